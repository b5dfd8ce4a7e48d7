//! Text as tokens: strings and references, in pieces that belong together.
//!
//! A string ends at its first NUL for every reader, so U+0000 (which XML does not have, XML 1.0 section
//! 2.2, and only a damaged or hostile record brings) is stored as U+FFFD: seen, and nothing after it is lost.

use super::fragment::{Fragment, MORE, STRING, TEXT, Unfit};
use super::layout::put_u16;
use crate::event::{Value, text};
use memchr::memchr;
use std::borrow::Cow;

const ENTITY: u8 = 0x09;

/// What text may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Content,
    /// An attribute that Windows renders in single quotes.
    Quoted,
    /// No references: libevtx takes one string as an attribute's value and nothing else.
    Raw,
}

fn special(byte: u8) -> bool {
    matches!(byte, b'&' | b'<' | b'>' | b'\'')
}

/// The text as a string can hold it.
pub(super) fn storable(text: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(text);
    if memchr(0, text.as_bytes()).is_some() { text.replace('\0', "\u{fffd}").into() } else { text }
}

impl Fragment<'_> {
    pub(super) fn flag_more(&mut self, token: usize) {
        if self.unfit.is_none() {
            self.chunk[token] |= MORE;
        }
    }

    /// A token of a text; true to its meaning only when the one before says that more follows.
    fn text_token(&mut self, token: u8) {
        if let Some(tail) = self.tail.replace(self.at) {
            self.flag_more(tail);
        }
        self.put(&[token]);
    }

    pub(super) fn value(&mut self, value: Value<'_>, place: Place) {
        match value {
            Value::Absent => {}
            Value::Utf16(units) => self.units(units, place),
            Value::Plain(plain) => self.run(plain),
            Value::Xml(raw) => self.xml(raw, place),
            _ => {
                let mut text = std::mem::take(&mut self.scratch.text);
                text.clear();
                value.write_text(&mut text);
                self.text_bytes(&text, place);
                self.scratch.text = text;
            }
        }
        self.close_string();
    }

    /// XML text: references resolved, line ends as they are.
    fn xml(&mut self, raw: &[u8], place: Place) {
        let mut at = 0;
        while at < raw.len() {
            let length = raw[at..].iter().position(|&byte| special(byte)).unwrap_or(raw.len() - at);
            self.run(&raw[at..at + length]);
            at += length;
            let Some(&byte) = raw.get(at) else { break };
            let reference = if byte == b'&' { text::reference(&raw[at..]) } else { None };
            match reference {
                Some((character, _)) => self.character(character, place),
                None => self.character(char::from(byte), place),
            }
            at += reference.map_or(1, |(_, length)| length);
        }
    }

    fn text_bytes(&mut self, text: &[u8], place: Place) {
        let mut at = 0;
        while at < text.len() {
            let length = text[at..].iter().position(|&byte| special(byte)).unwrap_or(text.len() - at);
            self.run(&text[at..at + length]);
            at += length;
            if let Some(&byte) = text.get(at) {
                self.character(char::from(byte), place);
                at += 1;
            }
        }
    }

    fn units(&mut self, units: &[u8], place: Place) {
        for unit in units.chunks_exact(2) {
            match *unit {
                [byte, 0] if special(byte) => self.character(char::from(byte), place),
                _ => self.unit(unit),
            }
        }
    }

    /// One character that may need a reference.
    fn character(&mut self, character: char, place: Place) {
        if place == Place::Raw {
            return self.run(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        let entity: &[u8] = match character {
            '&' => b"amp",
            '<' => b"lt",
            '>' => b"gt",
            '\'' if place == Place::Quoted => b"apos",
            _ => return self.run(character.encode_utf8(&mut [0; 4]).as_bytes()),
        };
        self.close_string();
        self.text_token(ENTITY);
        self.name(entity);
    }

    /// UTF-8 that needs no reference.
    fn run(&mut self, run: &[u8]) {
        if run.is_empty() {
            return;
        }
        self.open_string();
        if run.is_ascii() && memchr(0, run).is_none() {
            match self.chunk.get_mut(self.at..self.at + run.len() * 2) {
                Some(room) if self.unfit.is_none() => {
                    for (unit, &byte) in room.chunks_exact_mut(2).zip(run) {
                        unit.copy_from_slice(&[byte, 0]);
                    }
                    self.at += run.len() * 2;
                }
                _ => self.unfit = self.unfit.or(Some(Unfit::Space)),
            }
            return;
        }
        for unit in storable(run).encode_utf16() {
            self.put(&unit.to_le_bytes());
        }
    }

    fn unit(&mut self, unit: &[u8]) {
        self.open_string();
        self.put(if unit == [0, 0] { &[0xfd, 0xff] } else { unit });
    }

    fn open_string(&mut self) {
        if self.string.is_none() {
            self.text_token(TEXT);
            self.put(&[STRING]);
            self.string = Some(self.at);
            self.put(&[0, 0]);
        }
    }

    fn close_string(&mut self) {
        if let Some(length) = self.string.take()
            && self.unfit.is_none()
        {
            // At most half a chunk, so 16 bits are enough.
            put_u16(self.chunk, length, ((self.at - length - 2) / 2) as u16);
        }
    }
}
