//! A template with the values of a record, for visitors that take it whole.

use super::program::Frame;
use super::values::{self, Slot, kind};
use crate::event::{Instance, Pen, Template, Value};

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
    fn unsigned(&self, slot: u16) -> Option<u64> {
        let (slot, bytes) = self.slot(slot);
        match slot.kind {
            kind::UINT8 => bytes.first().map(|&byte| byte.into()),
            kind::UINT16 => bytes.first_chunk().map(|&word| u16::from_le_bytes(word).into()),
            kind::UINT32 => bytes.first_chunk().map(|&word| u32::from_le_bytes(word).into()),
            kind::UINT64 => bytes.first_chunk().map(|&word| u64::from_le_bytes(word)),
            _ => None,
        }
    }

    #[inline(always)]
    fn write_json<'o>(&self, slot: u16, pen: Pen<'o>) -> Option<Pen<'o>> {
        let (place, bytes) = self.slot(slot);
        Some(match place.kind {
            kind::STRING => match self.chunk.get(place.at as usize..) {
                Some(from) => pen.json_until_nul(from, bytes.len()),
                None => pen,
            },
            kind::UINT8 | kind::UINT16 | kind::UINT32 | kind::UINT64
                if let Some(number) = self.unsigned(slot) =>
            {
                pen.decimal(number)
            }
            kind::HEX_INT32 if let Some(&word) = bytes.first_chunk() => {
                pen.hex(u32::from_le_bytes(word).into())
            }
            kind::HEX_INT64 if let Some(&word) = bytes.first_chunk() => pen.hex(u64::from_le_bytes(word)),
            kind::GUID if let Some(guid) = bytes.first_chunk() => pen.guid(guid),
            kind::BINXML if !bytes.is_empty() => return None,
            kind => rarer(kind, bytes, pen),
        })
    }
}

#[inline(never)]
fn rarer<'o>(kind: u8, bytes: &[u8], pen: Pen<'o>) -> Pen<'o> {
    pen.with(|out| values::value(kind, bytes).write_json(out))
}
