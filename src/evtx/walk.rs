//! Drives a visitor over BinXML: plain tokens as they stand, template instances whole where the
//! visitor takes them, else by their operations.
//!
//! Bounds: elements `DEPTH_MAX` deep, fragments `FRAGMENTS_MAX` deep, and everything that is
//! reported is charged to a budget, so a record that repeats itself through its templates ends
//! with an error before its output passes 16 MiB.

use super::cursor::Cursor;
use super::decoder::Store;
use super::instance::read_instance;
use super::labels::DataList;
use super::names::known;
use super::program::Frame;
use super::usual::Usual;
use super::values::{Slot, kind};
use crate::event::{EventError, Template, Value, Visitor};
pub(super) use literals::literal;
use literals::{plain_string, string};
use std::ops::Range;

mod literals;
mod operations;

/// Most elements open at a time in one stream; a template's are counted apart.
pub(super) const DEPTH_MAX: usize = 128;
/// Most fragments and instances within each other. Windows uses two.
pub(super) const FRAGMENTS_MAX: u32 = 16;
/// Most bytes of names and values reported per walk. A byte becomes six at most (`\u0001`).
pub(super) const WALKED_BYTES_MAX: usize = 2_600_000;
/// What an element or attribute costs beside its name: tags, quotes, commas.
const NODE_BYTES: usize = 8;
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
    /// What the id of the event looks like, where that is known: its EventData is guessed by it.
    pub(super) event_id: u64,
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
        let store = self.store;
        // A list within a list would go the way of tokens.
        let Ok(mut list) = store.list.try_borrow_mut() else { return Ok(false) };
        let list = &mut *list;
        let usual = || Usual::new(&store.names, self.chunk, cursor);
        let mut quick = usual();
        let reported = match store.forms.guess(self.event_id) {
            Some(form) if quick.expected_data(&form.spelling, &mut list.tag, &mut list.values).is_some() => {
                Some(self.form(&form.template, &list.values))
            }
            _ => {
                quick = usual();
                quick.event_data(&store.labels, list).map(|()| self.list(list))
            }
        };
        let Some(reported) = reported else { return Ok(false) };
        cursor.at = quick.at();
        reported.map(|()| true)
    }

    fn form(&mut self, template: &'a Template, values: &[Slot]) -> Result<(), EventError> {
        let frame = Frame { template, slots: values, arrays: false };
        self.element_of(&frame, 0..template.ops.len())
    }

    #[inline(never)]
    fn list(&mut self, list: &DataList) -> Result<(), EventError> {
        let store = self.store;
        if let Some(form) = store.forms.list(&store.labels, &list.labels, self.event_id) {
            return self.form(&form.template, &list.values);
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
