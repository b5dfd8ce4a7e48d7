//! A template with the values of a record: how it is read, and for visitors that take it whole.

use super::cursor::Cursor;
use super::decoder::Store;
use super::program::{Frame, Program};
use super::values::{self, Slot, kind};
use crate::event::utf16::LOOKAHEAD;
use crate::event::{EventError, Instance, Pen, Template, Value};

/// An element of a template; none of the values is an array.
#[derive(Clone, Copy)]
pub(super) struct Filled<'s, 'a> {
    chunk: &'a [u8],
    frame: Frame<'s, 'a>,
    start: usize,
}

impl<'s, 'a> Filled<'s, 'a> {
    /// None where there are arrays: elements may have to be repeated.
    pub(super) fn new(chunk: &'a [u8], frame: &Frame<'s, 'a>, start: usize) -> Option<Self> {
        (!frame.arrays).then_some(Self { chunk, frame: *frame, start })
    }

    #[inline]
    fn slot(&self, slot: u16) -> (Slot, &'a [u8]) {
        let slot = self.frame.slot(slot);
        (slot, slot.of(self.chunk))
    }
}

impl<'a> Instance<'a> for Filled<'_, 'a> {
    fn template(&self) -> &'a Template {
        self.frame.template
    }

    fn start(&self) -> usize {
        self.start
    }

    #[inline(never)]
    fn value(&self, slot: u16) -> Value<'a> {
        let (slot, bytes) = self.slot(slot);
        values::value(slot.kind, bytes)
    }

    #[inline]
    fn is_left_out(&self, guard: u16) -> bool {
        self.frame.left_out(guard)
    }

    #[inline]
    fn is_absent(&self, slot: u16) -> bool {
        match self.slot(slot) {
            (Slot { kind: kind::NULL, .. }, _) | (_, []) => true,
            (Slot { kind: kind::GUID | kind::UINT32 | kind::SID, .. }, _) => false,
            _ => self.value(slot).is_absent(),
        }
    }

    #[inline(always)]
    fn write_number<'o>(&self, slot: u16, pen: Pen<'o>) -> Result<Pen<'o>, Pen<'o>> {
        let Some(&place) = self.frame.slots.get(usize::from(slot)) else { return Err(pen) };
        let (at, length) = (place.at as usize, usize::from(place.bytes));
        if place.kind == kind::STRING {
            let Some(window) = self.chunk.get(at..at + LOOKAHEAD) else { return Err(pen) };
            return pen.number(window, length);
        }
        let number = match (place.kind, self.chunk.get(at..at + length).unwrap_or_default()) {
            (kind::UINT8, [byte, ..]) => (*byte).into(),
            (kind::UINT16, bytes) if let Some(&word) = bytes.first_chunk() => u16::from_le_bytes(word).into(),
            (kind::UINT32, bytes) if let Some(&word) = bytes.first_chunk() => u32::from_le_bytes(word).into(),
            (kind::UINT64, bytes) if let Some(&word) = bytes.first_chunk() => u64::from_le_bytes(word),
            _ => return Err(pen),
        };
        Ok(pen.decimal(number))
    }

    #[inline(always)]
    fn write_json<'o>(&self, slot: u16, pen: Pen<'o>) -> Option<Pen<'o>> {
        let Some(&place) = self.frame.slots.get(usize::from(slot)) else { return Some(pen) };
        let at = place.at as usize;
        let length = usize::from(place.bytes);
        if place.kind == kind::STRING
            && let Some(window) = self.chunk.get(at..at + length + LOOKAHEAD)
        {
            return Some(pen.json_until_nul(window));
        }
        let Some(bytes) = self.chunk.get(at..at + length) else { return Some(pen) };
        Some(match place.kind {
            kind::UINT8 if let [byte, ..] = bytes => pen.decimal((*byte).into()),
            kind::UINT16 if let Some(&word) = bytes.first_chunk() => {
                pen.decimal(u16::from_le_bytes(word).into())
            }
            kind::UINT32 if let Some(&word) = bytes.first_chunk() => {
                pen.decimal(u32::from_le_bytes(word).into())
            }
            kind::UINT64 if let Some(&word) = bytes.first_chunk() => pen.decimal(u64::from_le_bytes(word)),
            kind::HEX_INT32 if let Some(&word) = bytes.first_chunk() => {
                pen.hex(u32::from_le_bytes(word).into())
            }
            kind::HEX_INT64 if let Some(&word) = bytes.first_chunk() => pen.hex(u64::from_le_bytes(word)),
            kind::GUID if let Some(guid) = bytes.first_chunk() => pen.guid(guid),
            kind::SID if let Some(sid) = values::whole_sid(bytes) => pen.sid(sid),
            kind::FILETIME if let Some(&ticks) = bytes.first_chunk() => {
                pen.filetime(u64::from_le_bytes(ticks))
            }
            kind::NULL => pen,
            kind::BINXML if !bytes.is_empty() => return None,
            kind => pen.with(|out| values::value(kind, bytes).write_json(out)),
        })
    }
}

/// Reads a template instance behind its token: the program, its values into `slots`, how
/// many these are, and whether there are arrays among them. Behind them `slots` may hold others'.
pub(super) fn read_instance<'a>(
    store: &'a Store,
    chunk: &'a [u8],
    cursor: &mut Cursor<'a>,
    slots: &mut Vec<Slot>,
) -> Result<(&'a Program, usize, bool), EventError> {
    cursor.u8()?;
    cursor.u32()?;
    let definition = cursor.u32()?;
    if definition as usize == cursor.at {
        // Used for the first time in the chunk: the definition stands here.
        cursor.take(super::template::DEFINITION_HEADER_BYTES - 4)?;
        let body = cursor.u32()? as usize;
        cursor.take(body)?;
    }
    let program = store.programs.resolve(&store.names, chunk, definition)?;
    let count = cursor.u32()? as usize;
    let descriptors = cursor.take(count.saturating_mul(4))?;
    if slots.len() < count {
        slots.resize(count, Slot::default());
    }
    let mut at = cursor.at;
    let mut kinds = 0;
    for (slot, &[low, high, kind, _]) in slots.iter_mut().zip(descriptors.as_chunks::<4>().0) {
        let bytes = u16::from_le_bytes([low, high]);
        *slot = Slot { at: at as u32, bytes, kind };
        at += usize::from(bytes);
        kinds |= kind;
    }
    cursor.take(at - cursor.at)?;
    Ok((program, count, kinds & kind::ARRAY != 0))
}
