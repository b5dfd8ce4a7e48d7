//! Drives a visitor over BinXML: plain tokens as they stand, template instances whole where the
//! visitor takes them, else by their operations.
//!
//! Bounds: elements `DEPTH_MAX` deep, fragments `FRAGMENTS_MAX` deep, and everything that is
//! reported is charged to a budget, so a record that repeats itself through its templates ends
//! with an error before its output passes 16 MiB.

use super::cursor::Cursor;
use super::decoder::Store;
use super::instance::Filled;
use super::labels::DataList;
use super::names::known;
use super::program::{Frame, Program};
use super::usual::Usual;
use super::values::{self, Slot, kind};
use crate::event::template::{Constant, Op, Part};
use crate::event::utf16::until_nul;
use crate::event::{EventError, Value, Visitor};
use std::ops::Range;

/// Elements open at a time in one stream; a template's are counted apart.
pub(super) const DEPTH_MAX: usize = 128;
/// Fragments and instances within each other. Windows uses two.
pub(super) const FRAGMENTS_MAX: u32 = 16;
/// Bytes of names and values reported per walk. A byte becomes six at most (`\u0001`).
pub(super) const WALKED_BYTES_MAX: usize = 2_600_000;
/// What an element or attribute costs beside its name: tags, quotes, commas.
const NODE_BYTES: usize = 8;
/// Arrays that repeat one element; of further ones the first item is shown.
const ARRAYS_MAX: usize = 4;

/// BinXML tokens; `_MORE` is the same with the flag that more of its kind follow.
pub(super) mod token {
    pub(crate) const END: u8 = 0x00;
    pub(crate) const OPEN: u8 = 0x01;
    pub(crate) const OPEN_ATTRIBUTES: u8 = 0x41;
    pub(crate) const CLOSE_START: u8 = 0x02;
    pub(crate) const CLOSE_EMPTY: u8 = 0x03;
    pub(crate) const CLOSE: u8 = 0x04;
    pub(crate) const VALUE: u8 = 0x05;
    pub(crate) const VALUE_MORE: u8 = 0x45;
    pub(crate) const ATTRIBUTE: u8 = 0x06;
    pub(crate) const ATTRIBUTE_MORE: u8 = 0x46;
    pub(crate) const CDATA: u8 = 0x07;
    pub(crate) const CDATA_MORE: u8 = 0x47;
    pub(crate) const CHARACTER: u8 = 0x08;
    pub(crate) const CHARACTER_MORE: u8 = 0x48;
    pub(crate) const ENTITY: u8 = 0x09;
    pub(crate) const ENTITY_MORE: u8 = 0x49;
    pub(crate) const PI_TARGET: u8 = 0x0a;
    pub(crate) const PI_DATA: u8 = 0x0b;
    pub(crate) const INSTANCE: u8 = 0x0c;
    pub(crate) const SUBSTITUTION: u8 = 0x0d;
    pub(crate) const OPTIONAL: u8 = 0x0e;
    pub(crate) const FRAGMENT: u8 = 0x0f;

    /// Whether the token is a piece of a value.
    pub(crate) fn is_value(token: u8) -> bool {
        matches!(token & !0x40, VALUE | CDATA | CHARACTER | ENTITY)
            || matches!(token, SUBSTITUTION | OPTIONAL)
    }
}

/// What a stream ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// The end token or the last byte.
    End,
    /// The end of the first element.
    Element,
    /// The end of an element that was open before and is not reported.
    Close,
}

pub(super) struct Walk<'a, 'v, V> {
    pub(super) store: &'a Store,
    pub(super) chunk: &'a [u8],
    pub(super) visitor: &'v mut V,
    pub(super) budget: usize,
    pub(super) fragments: u32,
}

/// Slots that stand for one item of an array while its element is repeated.
#[derive(Clone, Copy, Default)]
struct Items {
    known: [(u16, Slot); ARRAYS_MAX],
    count: usize,
}

impl<'a, V: Visitor<'a>> Walk<'a, '_, V> {
    /// Reports tokens until `until`.
    pub(super) fn tokens(&mut self, cursor: &mut Cursor<'a>, until: Until) -> Result<(), EventError> {
        let mut open = 0_usize;
        while cursor.left() > 0 {
            match cursor.u8()? {
                token::END => break,
                token::FRAGMENT => {
                    cursor.take(3)?;
                }
                token @ (token::OPEN | token::OPEN_ATTRIBUTES) => {
                    if open >= DEPTH_MAX {
                        return Err(cursor.fail("elements are nested too deeply"));
                    }
                    open += usize::from(self.element(cursor, token)?);
                    if open == 0 && until == Until::Element {
                        return Ok(());
                    }
                }
                token::CLOSE => {
                    if open == 0 {
                        return match until {
                            Until::Close => Ok(()),
                            _ => Err(cursor.fail("an element is closed that was not opened")),
                        };
                    }
                    open -= 1;
                    self.visitor.end();
                    if open == 0 && until == Until::Element {
                        return Ok(());
                    }
                }
                token::INSTANCE => {
                    self.instance(cursor)?;
                    if open == 0 && until == Until::Element {
                        return Ok(());
                    }
                }
                token::PI_TARGET => {
                    cursor.name()?;
                }
                token::PI_DATA => {
                    let units = usize::from(cursor.u16()?);
                    cursor.take(units * 2)?;
                }
                token => self.content(cursor, token, open == 0 && until == Until::Element)?,
            }
        }
        if open > 0 || until != Until::End {
            return Err(cursor.fail("an element is left open"));
        }
        Ok(())
    }

    fn content(&mut self, cursor: &mut Cursor<'a>, token: u8, outside: bool) -> Result<(), EventError> {
        if outside {
            return Err(cursor.fail("text stands where an element should"));
        }
        if let token::VALUE | token::VALUE_MORE = token
            && cursor.peek() == Some(kind::BINXML)
        {
            cursor.u8()?;
            let bytes = usize::from(cursor.u16()?);
            let start = cursor.at;
            cursor.take(bytes)?;
            return self.fragment(start..cursor.at);
        }
        let text = plain_string(cursor, token)?;
        let value = match text {
            Some(text) => text,
            None => self.piece(cursor, token)?,
        };
        self.text(value)
    }

    fn text(&mut self, value: Value<'a>) -> Result<(), EventError> {
        if !is_empty(value) {
            self.charge(weight(value))?;
            self.visitor.text(value);
        }
        Ok(())
    }

    /// A literal or an entity.
    fn piece(&mut self, cursor: &mut Cursor<'a>, token: u8) -> Result<Value<'a>, EventError> {
        if let token::ENTITY | token::ENTITY_MORE = token {
            let name = self.name(cursor)?;
            let mut text = Vec::new();
            crate::event::text::decode_xml(&[b"&", name, b";"].concat(), &mut text);
            return self.store.keep(text).map_err(|what| cursor.fail(what));
        }
        literal(cursor, token)?.ok_or_else(|| cursor.fail("the BinXML holds an unknown token"))
    }

    /// Reports one start tag.
    pub(super) fn tag(&mut self, cursor: &mut Cursor<'a>, token: u8) -> Result<(), EventError> {
        self.element(cursor, token).map(|_| ())
    }

    /// A start tag; true when the element stays open.
    fn element(&mut self, cursor: &mut Cursor<'a>, token: u8) -> Result<bool, EventError> {
        cursor.u32()?;
        let id = self.name_id(cursor)?;
        let name = self.store.names.name(id);
        if token == token::OPEN_ATTRIBUTES {
            cursor.u32()?;
            if id == known::DATA && self.data(cursor)? {
                return Ok(false);
            }
        } else if id == known::EVENT_DATA && self.event_data(cursor)? {
            return Ok(false);
        }
        self.charge(name.len() + NODE_BYTES)?;
        self.visitor.start(name);
        loop {
            match cursor.u8()? {
                token::ATTRIBUTE | token::ATTRIBUTE_MORE => self.attribute(cursor)?,
                token::CLOSE_START => return Ok(true),
                token::CLOSE_EMPTY => {
                    self.visitor.end();
                    return Ok(false);
                }
                _ => return Err(cursor.fail("a tag holds an unknown token")),
            }
        }
    }

    fn attribute(&mut self, cursor: &mut Cursor<'a>) -> Result<(), EventError> {
        let name = self.name(cursor)?;
        let mut value = None;
        while let Some(token) = cursor.peek().filter(|&token| token::is_value(token)) {
            cursor.u8()?;
            let text = plain_string(cursor, token)?;
            let piece = match text {
                Some(text) => text,
                None => self.piece(cursor, token)?,
            };
            value = Some(match value {
                None => piece,
                Some(before) => self.store.join(&[before, piece]).map_err(|what| cursor.fail(what))?,
            });
        }
        if let Some(value) = value {
            self.charge(name.len() + NODE_BYTES + weight(value))?;
            self.visitor.attribute(name, value);
        }
        Ok(())
    }

    /// The usual `<Data Name='x'>text</Data>` in one call. Anything else: false, nothing read.
    fn data(&mut self, cursor: &mut Cursor<'a>) -> Result<bool, EventError> {
        let mut ahead = *cursor;
        if !matches!(ahead.u8()?, token::ATTRIBUTE | token::ATTRIBUTE_MORE)
            || self.name_id(&mut ahead)? != known::NAME
        {
            return Ok(false);
        }
        let Some(name) = string(&mut ahead)? else { return Ok(false) };
        let value = match ahead.u8()? {
            token::CLOSE_EMPTY => Value::Absent,
            token::CLOSE_START if ahead.peek() == Some(token::CLOSE) => {
                ahead.u8()?;
                Value::Absent
            }
            token::CLOSE_START => {
                let Some(value) = string(&mut ahead)? else { return Ok(false) };
                if ahead.u8()? != token::CLOSE {
                    return Ok(false);
                }
                if value.is_empty() { Value::Absent } else { Value::Utf16(value) }
            }
            _ => return Ok(false),
        };
        if name.is_empty() {
            return Ok(false);
        }
        *cursor = ahead;
        self.charge(name.len() + NODE_BYTES * 2 + weight(value))?;
        self.visitor.data(Value::Utf16(name), value);
        Ok(true)
    }

    /// All of an EventData that is of the usual form. Anything else: false, nothing read.
    fn event_data(&mut self, cursor: &mut Cursor<'a>) -> Result<bool, EventError> {
        let mut list = self.store.lend_list();
        let mut usual = Usual::new(&self.store.names, self.chunk, cursor);
        let reported = usual.event_data(&self.store.labels, &mut list).map(|()| self.list(&list));
        self.store.return_list(list);
        let Some(reported) = reported else { return Ok(false) };
        cursor.at = usual.at();
        reported.map(|()| true)
    }

    fn list(&mut self, list: &DataList) -> Result<(), EventError> {
        let store = self.store;
        if let Some(template) = store.forms.list(&store.labels, &list.labels) {
            let frame = Frame { template, slots: &list.values, arrays: false };
            return self.element_of(&frame, 0..template.ops.len());
        }
        let name = store.names.name(known::EVENT_DATA);
        self.charge(name.len() + NODE_BYTES)?;
        self.visitor.start(name);
        self.visitor.distinct_data();
        for (&label, &slot) in list.labels.iter().zip(&list.values) {
            let name = store.labels.text(label);
            self.charge(name.len() + NODE_BYTES * 2 + usize::from(slot.bytes))?;
            self.visitor.data(Value::Plain(name), self.value(slot));
        }
        self.visitor.end();
        Ok(())
    }

    #[inline]
    fn name(&self, cursor: &mut Cursor<'a>) -> Result<&'a [u8], EventError> {
        self.name_id(cursor).map(|id| self.store.names.name(id))
    }

    #[inline]
    fn name_id(&self, cursor: &mut Cursor<'a>) -> Result<u32, EventError> {
        let (offset, _) = cursor.name()?;
        self.store.names.resolve(self.chunk, offset).map_err(|what| cursor.fail(what))
    }

    /// A value that is BinXML itself.
    pub(super) fn fragment(&mut self, range: Range<usize>) -> Result<(), EventError> {
        let mut cursor = Cursor::new(self.chunk, range);
        if self.fragments >= FRAGMENTS_MAX {
            return Err(cursor.fail("fragments are nested too deeply"));
        }
        self.fragments += 1;
        self.charge(NODE_BYTES)?;
        self.tokens(&mut cursor, Until::End)?;
        self.fragments -= 1;
        Ok(())
    }

    fn instance(&mut self, cursor: &mut Cursor<'a>) -> Result<(), EventError> {
        let mut slots = self.store.lend_slots();
        let read = read_instance(self.store, self.chunk, cursor, &mut slots);
        let walked = read.and_then(|(program, count, arrays)| {
            let template = &program.template;
            self.element_of(&Frame { template, slots: &slots[..count], arrays }, 0..template.ops.len())
        });
        self.store.return_slots(slots);
        walked
    }

    /// Elements of a template beside each other; each is offered to the visitor first.
    pub(super) fn elements(&mut self, frame: &Frame<'_, 'a>, range: Range<usize>) -> Result<(), EventError> {
        let mut at = range.start;
        while at < range.end {
            let end = frame.template.behind(at);
            let start = match frame.template.ops[at] {
                Op::Guard { slot, .. } if frame.left_out(slot) => end,
                Op::Guard { .. } => at + 1,
                _ => at,
            };
            self.element_of(frame, start..end)?;
            at = end;
        }
        Ok(())
    }

    fn element_of(&mut self, frame: &Frame<'_, 'a>, range: Range<usize>) -> Result<(), EventError> {
        let template = frame.template;
        if let Some(Op::Start { .. }) = template.ops.get(range.start)
            && !range.is_empty()
            && let Some(filled) = Filled::new(self.chunk, frame, range.start)
        {
            // They stand one behind the other.
            let values = match frame.slots {
                [first, .., last] => last.range().end - first.at as usize,
                slots => slots.first().map_or(0, |slot| usize::from(slot.bytes)),
            };
            let cost = template.text.len() + range.len() * NODE_BYTES + values;
            if cost <= self.budget && self.visitor.instance(filled) {
                return self.charge(cost);
            }
        }
        self.run(frame, range)
    }

    /// Runs operations of a template.
    pub(super) fn run(&mut self, frame: &Frame<'_, 'a>, range: Range<usize>) -> Result<(), EventError> {
        let template = frame.template;
        let mut at = range.start;
        while at < range.end {
            let op = template.ops[at];
            at += 1;
            match op {
                Op::Data { name, part } if !frame.arrays => self.fused(frame, name, part)?,
                Op::Start { .. } | Op::Data { .. } if frame.arrays => {
                    at = self.repeat(frame, at - 1, Items::default())?;
                }
                Op::Start { name, distinct, .. } => {
                    let name = template.name(name);
                    self.charge(name.len() + NODE_BYTES)?;
                    self.visitor.start(name);
                    if distinct {
                        self.visitor.distinct_data();
                    }
                }
                Op::Guard { slot, skip } => {
                    if frame.left_out(slot) {
                        at += skip as usize;
                    }
                }
                Op::End => self.visitor.end(),
                Op::Data { .. } | Op::Attribute { .. } | Op::Joined { .. } | Op::Text(_) => {
                    self.inner(frame, op, &Items::default())?;
                }
            }
        }
        Ok(())
    }

    /// `<Data Name='…'>` with at most one value.
    #[inline]
    fn fused(&mut self, frame: &Frame<'_, 'a>, name: Constant, part: Option<Part>) -> Result<(), EventError> {
        let usual = name.bytes as usize + NODE_BYTES * 2;
        let value = match part {
            Some(Part::Slot { slot, .. }) => {
                let slot = frame.slot(slot);
                self.charge(usual + usize::from(slot.bytes))?;
                if slot.kind == kind::BINXML && slot.bytes > 0 {
                    self.visitor.start(b"Data");
                    self.visitor.attribute(b"Name", frame.template.constant(name));
                    self.fragment(slot.range())?;
                    self.visitor.end();
                    return Ok(());
                }
                self.value(slot)
            }
            Some(Part::Constant(constant)) => {
                self.charge(usual + constant.bytes as usize)?;
                frame.template.constant(constant)
            }
            None => {
                self.charge(usual)?;
                Value::Absent
            }
        };
        self.visitor.data(frame.template.constant(name), value);
        Ok(())
    }

    #[inline]
    fn value(&self, slot: Slot) -> Value<'a> {
        values::value(slot.kind, slot.of(self.chunk))
    }

    /// One element of a template with arrays: as often as the array it holds has items (MS-EVEN6
    /// 3.1.4.7.5). Returns the index behind it.
    fn repeat(&mut self, frame: &Frame<'_, 'a>, at: usize, items: Items) -> Result<usize, EventError> {
        let op = frame.template.ops[at];
        let end = match op {
            Op::Start { end, .. } => end as usize,
            _ => at + 1,
        };
        // The root of a record stands once, whatever it holds.
        let is_root = at == 0 && self.fragments == 0;
        if !is_root && let Some((slot, array)) = self.array(frame, at..end, &items) {
            let single = array.kind & !kind::ARRAY;
            let bytes = array.of(self.chunk);
            let mut from = 0;
            while from < bytes.len() {
                let length = values::item_bytes(single, &bytes[from..]);
                let item = Slot { at: array.at + from as u32, bytes: length as u16, kind: single };
                let mut items = items;
                items.known[items.count] = (slot, item);
                items.count += 1;
                self.charge(NODE_BYTES)?;
                self.repeat(frame, at, items)?;
                from += length;
            }
            return Ok(end);
        }
        if let Op::Data { name, part } = op {
            let name = frame.template.constant(name);
            self.charge(weight(name) + NODE_BYTES * 2)?;
            self.visitor.start(b"Data");
            self.visitor.attribute(b"Name", name);
            if let Some(part) = part {
                self.inner(frame, Op::Text(part), &items)?;
            }
            self.visitor.end();
            return Ok(end);
        }
        if let Op::Start { name, .. } = op {
            let name = frame.template.name(name);
            self.charge(name.len() + NODE_BYTES)?;
            self.visitor.start(name);
        }
        let mut inside = at + 1;
        while inside < end - 1 {
            match frame.template.ops[inside] {
                Op::Start { .. } | Op::Data { .. } => {
                    inside = self.repeat(frame, inside, Items::default())?
                }
                Op::Guard { slot, skip } => {
                    inside += 1;
                    if frame.left_out(slot) {
                        inside += skip as usize;
                    }
                }
                op => {
                    self.inner(frame, op, &items)?;
                    inside += 1;
                }
            }
        }
        self.visitor.end();
        Ok(end)
    }

    /// The first slot that the element at `range` holds itself, is an array of several items and
    /// is not being repeated already; content before attributes.
    fn array(&self, frame: &Frame<'_, 'a>, range: Range<usize>, items: &Items) -> Option<(u16, Slot)> {
        if items.count == ARRAYS_MAX {
            return None;
        }
        let several = |part: Part| {
            let Part::Slot { slot, .. } = part else { return None };
            if items.known[..items.count].iter().any(|(known, _)| *known == slot) {
                return None;
            }
            let array = frame.slot(slot);
            let bytes = array.of(self.chunk);
            let single = array.kind & !kind::ARRAY;
            (array.is_array() && !bytes.is_empty() && values::item_bytes(single, bytes) < bytes.len())
                .then_some((slot, array))
        };
        let mut in_attribute = None;
        let mut at = range.start;
        while at < range.end {
            let op = frame.template.ops[at];
            let found = match op {
                Op::Start { end, .. } if at > range.start => {
                    at = end as usize;
                    continue;
                }
                Op::Data { .. } if at > range.start => None,
                Op::Text(part) | Op::Data { part: Some(part), .. } => several(part),
                Op::Attribute { part, .. } => {
                    in_attribute = in_attribute.or_else(|| several(part));
                    None
                }
                Op::Joined { first, count, .. } => {
                    let parts = &frame.template.parts[first as usize..(first + count) as usize];
                    in_attribute = in_attribute.or_else(|| parts.iter().find_map(|part| several(*part)));
                    None
                }
                _ => None,
            };
            if found.is_some() {
                return found;
            }
            at += 1;
        }
        in_attribute
    }

    /// An attribute or a piece of content.
    fn inner(&mut self, frame: &Frame<'_, 'a>, op: Op, items: &Items) -> Result<(), EventError> {
        let template = frame.template;
        match op {
            Op::Attribute { name, part } => {
                let value = match part {
                    Part::Constant(constant) => template.constant(constant),
                    Part::Slot { slot, optional } => {
                        let value = self.value(items.slot(frame, slot));
                        if optional && is_empty(value) {
                            return Ok(());
                        }
                        value
                    }
                };
                self.report_attribute(template.name(name), value)
            }
            Op::Joined { name, first, count } => {
                let mut values = Vec::new();
                for part in &template.parts[first as usize..(first + count) as usize] {
                    values.push(match *part {
                        Part::Constant(constant) => template.constant(constant),
                        Part::Slot { slot, .. } => self.value(items.slot(frame, slot)),
                    });
                }
                let value = self.store.join(&values).map_err(|what| EventError { at: 0, what })?;
                self.report_attribute(template.name(name), value)
            }
            Op::Text(Part::Constant(constant)) => self.text(template.constant(constant)),
            Op::Text(Part::Slot { slot, .. }) => {
                let slot = items.slot(frame, slot);
                if slot.kind == kind::BINXML {
                    return if slot.bytes == 0 { Ok(()) } else { self.fragment(slot.range()) };
                }
                let value = self.value(slot);
                self.text(value)
            }
            Op::Start { .. } | Op::End | Op::Guard { .. } | Op::Data { .. } => Ok(()),
        }
    }

    fn report_attribute(&mut self, name: &'a [u8], value: Value<'a>) -> Result<(), EventError> {
        self.charge(name.len() + NODE_BYTES + weight(value))?;
        self.visitor.attribute(name, if value.is_absent() { super::system::EMPTY } else { value });
        Ok(())
    }

    #[inline]
    fn charge(&mut self, bytes: usize) -> Result<(), EventError> {
        match self.budget.checked_sub(bytes) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => Err(EventError { at: 0, what: "the record repeats itself past what an event can be" }),
        }
    }
}

impl Items {
    fn slot(&self, frame: &Frame<'_, '_>, slot: u16) -> Slot {
        let known = self.known[..self.count].iter().find(|(known, _)| *known == slot);
        known.map_or_else(|| frame.slot(slot), |(_, item)| *item)
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

/// A literal value, CDATA or character behind its token; None: the token is none of these.
pub(super) fn literal<'a>(cursor: &mut Cursor<'a>, token: u8) -> Result<Option<Value<'a>>, EventError> {
    Ok(Some(match token {
        token::VALUE | token::VALUE_MORE => {
            let kind = cursor.u8()?;
            let bytes = match kind {
                kind::STRING => usize::from(cursor.u16()?) * 2,
                kind::ANSI_STRING | kind::BINARY => usize::from(cursor.u16()?),
                _ => values::item_bytes(kind, &cursor.chunk[cursor.at..]),
            };
            let bytes = cursor.take(bytes)?;
            values::value(kind, bytes)
        }
        token::CDATA | token::CDATA_MORE => {
            let units = usize::from(cursor.u16()?);
            Value::Utf16(until_nul(cursor.take(units * 2)?))
        }
        token::CHARACTER | token::CHARACTER_MORE => {
            let unit = cursor.take(2)?;
            // A line end given by number is meant as such, so it must not fold: text, not UTF-16.
            match unit {
                [b'\r', 0] => Value::Text(b"\r"),
                [b'\n', 0] => Value::Text(b"\n"),
                _ => Value::Utf16(unit),
            }
        }
        _ => return Ok(None),
    }))
}

/// The usual literal behind its token, a string; None, nothing read: another one.
#[inline]
fn plain_string<'a>(cursor: &mut Cursor<'a>, token: u8) -> Result<Option<Value<'a>>, EventError> {
    if !matches!(token, token::VALUE | token::VALUE_MORE) || cursor.peek() != Some(kind::STRING) {
        return Ok(None);
    }
    cursor.u8()?;
    let units = usize::from(cursor.u16()?);
    Ok(Some(Value::Utf16(until_nul(cursor.take(units * 2)?))))
}

/// A string literal and nothing else.
fn string<'a>(cursor: &mut Cursor<'a>) -> Result<Option<&'a [u8]>, EventError> {
    if !matches!(cursor.u8()?, token::VALUE | token::VALUE_MORE) || cursor.u8()? != kind::STRING {
        return Ok(None);
    }
    let units = usize::from(cursor.u16()?);
    let text = until_nul(cursor.take(units * 2)?);
    Ok((!cursor.peek().is_some_and(token::is_value)).then_some(text))
}

pub(super) fn is_empty(value: Value<'_>) -> bool {
    match value {
        Value::Absent => true,
        Value::Plain(bytes) | Value::Text(bytes) | Value::Utf16(bytes) | Value::Ansi(bytes) => {
            bytes.is_empty()
        }
        _ => false,
    }
}

/// What a value counts for.
fn weight(value: Value<'_>) -> usize {
    match value {
        Value::Absent => 0,
        Value::Xml(bytes)
        | Value::Plain(bytes)
        | Value::Text(bytes)
        | Value::Utf16(bytes)
        | Value::Ansi(bytes)
        | Value::Binary(bytes)
        | Value::Sid(bytes) => bytes.len(),
        _ => 16,
    }
}
