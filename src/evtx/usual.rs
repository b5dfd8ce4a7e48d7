//! Records without templates in the form that collectors write them: one pass, by the ids of names.
//!
//! ```text
//! Event xmlns ‖ System of known elements, each once ‖ EventData of Data with distinct names ‖ …
//! ```
//!
//! Promise: what is read here is what `walk` would have reported. At the first token of another
//! form the answer is None, and the caller walks the long way from where it was.

use super::cursor::Cursor;
use super::forms::SystemShape;
use super::labels::{DataList, Labels};
use super::layout::{DATA_TAG_BYTES, DataTag, Layouts, units};
use super::names::{Names, known};
use super::spelling::{self, Spelling};
use super::system::{FIELDS, MEANINGS};
use super::values::{Slot, kind};
use super::walk::token;
use crate::event::utf16::until_nul;
use crate::event::xml::EVENT_XMLNS;

#[cfg(test)]
mod tests;

/// An event up to the end of its System.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) shape: SystemShape,
    /// Where System starts in the chunk.
    pub(super) system: usize,
    /// Behind System.
    pub(super) rest: usize,
}

/// A field that is empty, or not there.
pub(super) const NOTHING: Slot = Slot { at: 0, bytes: 0, kind: kind::STRING };

/// Reads one record.
pub(super) struct Usual<'s, 'a> {
    names: &'s Names,
    chunk: &'a [u8],
    /// What of the record has not been read.
    rest: &'a [u8],
    /// Of the record, in the chunk.
    end: usize,
}

impl<'s, 'a> Usual<'s, 'a> {
    pub(super) fn new(names: &'s Names, chunk: &'a [u8], cursor: &Cursor<'a>) -> Self {
        Self { names, chunk, rest: &cursor.chunk[cursor.at..], end: cursor.chunk.len() }
    }

    /// Where in the chunk reading goes on.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.end - self.rest.len()
    }

    /// An event from its start tag on to the end of its System, of which the fields go to `slots`.
    pub(super) fn head(&mut self, slots: &mut Vec<Slot>, layouts: &mut Layouts) -> Option<Head> {
        slots.clear();
        slots.resize(FIELDS, NOTHING);
        let slots = slots.first_chunk_mut()?;
        let start = self.at();
        if let Some(head) = layouts.read(self.chunk, start..self.end, slots) {
            return Some(head);
        }
        self.root()?;
        let system = self.at();
        let shape = self.system(slots)?;
        let head = Head { shape, system, rest: self.at() };
        layouts.learn(self.chunk, start, &head, slots);
        Some(head)
    }

    /// `<Event xmlns='…'>`
    fn root(&mut self) -> Option<()> {
        self.expect([token::OPEN_ATTRIBUTES])?;
        self.opened(known::EVENT)?;
        self.skip_size()?;
        self.expect([token::ATTRIBUTE])?;
        let xmlns = self.name()? == known::XMLNS && until_nul(self.string()?.of(self.chunk)) == XMLNS;
        if !xmlns {
            return None;
        }
        self.expect([token::CLOSE_START])
    }

    fn system(&mut self, slots: &mut [Slot; FIELDS]) -> Option<SystemShape> {
        self.expect([token::OPEN])?;
        self.opened(known::SYSTEM)?;
        self.expect([token::CLOSE_START])?;
        let mut shape = SystemShape::default();
        loop {
            let open = self.token()?;
            if open == token::CLOSE {
                return Some(shape);
            }
            if !matches!(open, token::OPEN | token::OPEN_ATTRIBUTES) {
                return None;
            }
            self.skip_size()?;
            let (element, text) = MEANINGS.get(self.name()? as usize)?.element?;
            if shape.elements & element != 0 {
                return None;
            }
            shape.elements |= element;
            if open == token::OPEN_ATTRIBUTES {
                self.skip_size()?;
            }
            let content = self.element(element, &mut shape, slots)?;
            match text {
                Some(field) => slots[field as usize] = content,
                None if content.bytes == 0 => {}
                None => return None,
            }
        }
    }

    /// Attributes and content of a child of System; the content.
    #[inline]
    fn element(&mut self, element: u32, shape: &mut SystemShape, slots: &mut [Slot; FIELDS]) -> Option<Slot> {
        loop {
            match self.token()? {
                token::ATTRIBUTE | token::ATTRIBUTE_MORE => {
                    let (owner, field) = MEANINGS.get(self.name()? as usize)?.attribute?;
                    let bit = 1 << field as u32;
                    if owner != element || shape.attributes & bit != 0 {
                        return None;
                    }
                    shape.attributes |= bit;
                    slots[field as usize] = self.string()?;
                }
                token::CLOSE_START => {
                    return if self.expect([token::CLOSE]).is_some() {
                        Some(NOTHING)
                    } else {
                        let text = self.string()?;
                        self.expect([token::CLOSE]).map(|()| text)
                    };
                }
                token::CLOSE_EMPTY => return Some(NOTHING),
                _ => return None,
            }
        }
    }

    /// The content of an EventData with its last token, from the end of the start tag on.
    pub(super) fn event_data(&mut self, labels: &Labels, list: &mut DataList) -> Option<()> {
        list.clear();
        labels.next_list();
        self.expect([token::CLOSE_START])?;
        while self.expect([token::CLOSE]).is_none() {
            let label = self.data_label(&mut list.tag)?;
            let value = self.data_value()?;
            list.push(labels.take(label)?, value);
        }
        Some(())
    }

    /// The same where it has these labels: its values.
    pub(super) fn expected_data(
        &mut self,
        expected: &Spelling,
        tag: &mut DataTag,
        values: &mut Vec<Slot>,
    ) -> Option<()> {
        self.expect([token::CLOSE_START])?;
        values.clear();
        values.resize(expected.len(), NOTHING);
        let mut at = self.at();
        let mut is_before = tag.is_before(at);
        for (spelled, value) in expected.iter().zip(values) {
            if is_before
                && let Some((found, rest)) = self.chunk.get(at..)?.split_first_chunk()
                && tag.is(found)
                && let Some((found, rest)) = rest.split_at_checked(spelled.len())
                && found == spelled
                && let Some((&count, text)) = rest.split_first_chunk()
                && text.get(units(count)) == Some(&token::CLOSE)
            {
                let from = self.chunk.len() - text.len();
                *value = Slot { at: from as u32, bytes: units(count) as u16, kind: kind::STRING };
                at = from + units(count) + 1;
            } else {
                self.rest = self.chunk.get(at..self.end)?;
                *value = self.data_by_tokens(spelling::label(spelled), tag)?;
                at = self.at();
                is_before = tag.is_before(at);
            }
        }
        self.rest = self.chunk.get(at..self.end)?;
        self.expect([token::CLOSE])
    }

    #[inline(never)]
    fn data_by_tokens(&mut self, expected: &[u8], tag: &mut DataTag) -> Option<Slot> {
        if self.data_label(tag)? != expected {
            return None;
        }
        self.data_value()
    }

    /// A Data up to its label, which is returned.
    #[inline]
    fn data_label(&mut self, usual: &mut DataTag) -> Option<&'a [u8]> {
        match self.rest.split_first_chunk() {
            Some((tag, rest)) if usual.is_before(self.at()) && usual.is(tag) => self.rest = rest,
            _ => self.data_tag(usual)?,
        }
        let &[token::VALUE, kind::STRING, low, high] = self.chunk_of()? else { return None };
        self.take(units([low, high]))
    }

    /// The rest of a Data, from the end of its label on; its value.
    #[inline]
    fn data_value(&mut self) -> Option<Slot> {
        if let Some((&[start, value, string, low, high], rest)) = self.rest.split_first_chunk()
            && [start, value, string] == [token::CLOSE_START, token::VALUE, kind::STRING]
        {
            let bytes = units([low, high]);
            let slot = Slot { at: (self.end - rest.len()) as u32, bytes: bytes as u16, kind: kind::STRING };
            if *rest.get(bytes)? != token::CLOSE {
                return None;
            }
            self.rest = &rest[bytes + 1..];
            return Some(slot);
        }
        // In order even where nothing stands: whoever takes the list measures it by its ends.
        let at = self.at() as u32;
        self.expect([token::CLOSE_EMPTY]).or_else(|| self.expect([token::CLOSE_START, token::CLOSE]))?;
        Some(Slot { at, bytes: 0, kind: kind::STRING })
    }

    /// A Data up to the value that is its label. What it looks like goes to `usual` when others may look
    /// the same.
    #[inline(never)]
    fn data_tag(&mut self, usual: &mut DataTag) -> Option<()> {
        let (start, at) = (self.rest, self.at());
        self.expect([token::OPEN_ATTRIBUTES])?;
        self.opened(known::DATA)?;
        self.skip_size()?;
        self.expect([token::ATTRIBUTE])?;
        if self.name()? != known::NAME {
            return None;
        }
        if let Some(tag) = start.first_chunk().filter(|_| self.at() - at == DATA_TAG_BYTES) {
            *usual = DataTag::of(tag);
        }
        Some(())
    }

    #[inline]
    fn token(&mut self) -> Option<u8> {
        let (token, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*token)
    }

    /// Reads exactly these tokens, or nothing.
    #[inline]
    fn expect<const N: usize>(&mut self, tokens: [u8; N]) -> Option<()> {
        let (found, rest) = self.rest.split_first_chunk()?;
        (*found == tokens).then(|| self.rest = rest)
    }

    #[inline]
    fn chunk_of<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(bytes)
    }

    #[inline]
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(taken)
    }

    /// What stands behind the token of a start tag of this name.
    #[inline]
    fn opened(&mut self, name: u32) -> Option<()> {
        self.skip_size()?;
        (self.name()? == name).then_some(())
    }

    /// Of an element or of its attributes; the tokens show it too.
    #[inline]
    fn skip_size(&mut self) -> Option<()> {
        self.chunk_of::<4>().map(|_| ())
    }

    #[inline]
    fn name(&mut self) -> Option<u32> {
        let offset = u32::from_le_bytes(*self.chunk_of()?);
        if offset as usize == self.at() {
            self.skip_name()?;
        }
        self.names.resolve(self.chunk, offset).ok()
    }

    /// A name that is used for the first time in the chunk stands behind its offset.
    #[cold]
    fn skip_name(&mut self) -> Option<()> {
        let mut cursor = Cursor { chunk: &self.chunk[..self.end], at: self.at() - 4 };
        cursor.name().ok()?;
        self.rest = &cursor.chunk[cursor.at..];
        Some(())
    }

    /// A string literal with its token.
    #[inline]
    fn string(&mut self) -> Option<Slot> {
        let &[token::VALUE, kind::STRING, low, high] = self.chunk_of()? else { return None };
        let (at, bytes) = (self.at() as u32, units([low, high]));
        self.take(bytes)?;
        Some(Slot { at, bytes: bytes as u16, kind: kind::STRING })
    }
}

/// The usual namespace in UTF-16.
const XMLNS: [u8; EVENT_XMLNS.len() * 2] = {
    let mut units = [0; EVENT_XMLNS.len() * 2];
    let mut index = 0;
    while index < EVENT_XMLNS.len() {
        units[index * 2] = EVENT_XMLNS[index];
        index += 1;
    }
    units
};
