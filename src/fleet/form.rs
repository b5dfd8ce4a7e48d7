//! Texts with holes, ready for the wire: what is the same in every message is searched for copies once,
//! what differs (a time, a record id, a name) is put between as it is.
//!
//! Promise: a body written this way decodes to the very text that writing it out in full would give.

use crate::wsman::charset::{self, Charset};
use crate::wsman::sldc::{Encoder, Prepared, Scheme, Writer};
use std::cell::RefCell;

/// Behind such a long bookmark nothing before it can be reached anyway.
const BOOKMARK_CHARS_MAX: usize = 1 << 20;

/// What stands between the fixed parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hole {
    Time,
    Record,
    Computer,
    Machine,
    MessageId,
    OperationId,
    SessionId,
    Bookmark,
}

impl Hole {
    const ALL: [Self; 8] = [
        Self::Time,
        Self::Record,
        Self::Computer,
        Self::Machine,
        Self::MessageId,
        Self::OperationId,
        Self::SessionId,
        Self::Bookmark,
    ];
    /// A character of private use: no message of ours has one.
    const FIRST_MARK: u32 = 0xe100;

    /// What stands for the hole in a text that is to become a form.
    pub(super) fn mark(self) -> char {
        char::from_u32(Self::FIRST_MARK + self as u32).unwrap_or_default()
    }

    /// Bytes that it takes up at most in UTF-16; what is longer is written without a search for copies.
    fn room(self) -> usize {
        2 * match self {
            Self::Time => "2026-01-01T00:00:00.0000000Z".len(),
            Self::Record => "18446744073709551615".len(),
            Self::Computer | Self::Machine => 64,
            Self::MessageId | Self::OperationId | Self::SessionId => 36,
            Self::Bookmark => BOOKMARK_CHARS_MAX,
        }
    }

    fn of_mark(mark: char) -> Option<Self> {
        let index = u32::from(mark).checked_sub(Self::FIRST_MARK)?;
        Self::ALL.get(index as usize).copied()
    }
}

/// Fixed text and holes, in turn: it begins and ends with text.
#[derive(Clone, Debug)]
pub(super) struct Form {
    texts: Box<[Box<str>]>,
    holes: Box<[Hole]>,
    prepared: Prepared,
    utf16_bytes: usize,
}

impl Form {
    /// One text more than holes.
    pub(super) fn new(texts: &[&str], holes: &[Hole]) -> Self {
        let utf16 = |text: &&str| {
            let mut units = Vec::new();
            crate::event::transcode::utf16le_from_utf8(text, &mut units);
            units
        };
        let segments: Vec<Vec<u8>> = texts.iter().map(utf16).collect();
        let segments: Vec<&[u8]> = segments.iter().map(Vec::as_slice).collect();
        let gaps: Vec<usize> = holes.iter().map(|hole| hole.room()).collect();
        Self {
            texts: texts.iter().map(|text| Box::from(*text)).collect(),
            holes: holes.into(),
            prepared: ENCODER.with_borrow_mut(|encoder| encoder.prepare(&segments, &gaps)),
            utf16_bytes: segments.iter().map(|segment| segment.len()).sum(),
        }
    }

    /// Every mark in the text becomes a hole.
    pub(super) fn of_marked(text: &str) -> Self {
        let (mut texts, mut holes, mut from) = (Vec::new(), Vec::new(), 0);
        for (at, c) in text.char_indices() {
            let Some(hole) = Hole::of_mark(c) else { continue };
            texts.push(&text[from..at]);
            holes.push(hole);
            from = at + c.len_utf8();
        }
        texts.push(&text[from..]);
        Self::new(&texts, &holes)
    }

    /// What its text takes up in UTF-16, without what is in the holes.
    pub(super) fn utf16_bytes(&self) -> usize {
        self.utf16_bytes
    }

    /// Appends it with its holes filled.
    pub(super) fn put<'v>(&self, value: impl Fn(Hole) -> &'v str, wire: &mut Wire<'_>) {
        let fits = |hole: &Hole| 2 * value(*hole).len() <= hole.room();
        match &mut wire.to {
            To::Sldc(writer) if self.holes.iter().all(fits) => {
                writer.prepared(&self.prepared, |gap, writer| literals(value(self.holes[gap]), writer));
            }
            To::Sldc(writer) => self.each(value, |piece| literals(piece, writer)),
            To::Text { text, .. } => self.write(value, text),
        }
    }

    /// Appends its text.
    pub(super) fn write<'v>(&self, value: impl Fn(Hole) -> &'v str, out: &mut String) {
        self.each(value, |piece| out.push_str(piece));
    }

    fn each<'v>(&self, value: impl Fn(Hole) -> &'v str, mut take: impl FnMut(&str)) {
        for (index, text) in self.texts.iter().enumerate() {
            take(text);
            if let Some(hole) = self.holes.get(index) {
                take(value(*hole));
            }
        }
    }
}

fn literals(piece: &str, writer: &mut Writer<'_>) {
    // What fills a hole is short.
    let mut some = [0; 64];
    let mut length = 0;
    for unit in piece.encode_utf16() {
        some[length..length + 2].copy_from_slice(&unit.to_le_bytes());
        length += 2;
        if length == some.len() {
            writer.literals(&some);
            length = 0;
        }
    }
    writer.literals(&some[..length]);
}

/// A body that is being written.
pub(super) struct Wire<'a> {
    to: To<'a>,
}

enum To<'a> {
    /// Compressed UTF-16, which is what Windows sends unless it is told otherwise.
    Sldc(Writer<'a>),
    Text {
        text: String,
        charset: Charset,
        compressed: bool,
        out: &'a mut Vec<u8>,
    },
}

impl<'a> Wire<'a> {
    /// Appends to `out`.
    pub(super) fn new(charset: Charset, compressed: bool, out: &'a mut Vec<u8>) -> Self {
        let to = if compressed && charset == Charset::Utf16 {
            let mut writer = Writer::new(out);
            writer.literals(&[0xff, 0xfe]);
            To::Sldc(writer)
        } else {
            To::Text { text: String::new(), charset, compressed, out }
        };
        Self { to }
    }

    /// What has no holes.
    pub(super) fn fixed(&mut self, fixed: &Form) {
        fixed.put(|_| "", self);
    }

    pub(super) fn finish(self) {
        match self.to {
            To::Sldc(writer) => writer.finish(),
            To::Text { text, charset, compressed: false, out } => charset::encode(&text, charset, out),
            To::Text { text, charset, compressed: true, out } => {
                let mut plain = Vec::new();
                charset::encode(&text, charset, &mut plain);
                compress(&plain, out);
            }
        }
    }
}

/// Appends a body as SLDC.
pub(super) fn compress(plain: &[u8], out: &mut Vec<u8>) {
    ENCODER.with_borrow_mut(|encoder| encoder.encode(plain, Scheme::One, out));
}

thread_local! {
    // Tables of 20 KiB that all hosts of a thread share.
    static ENCODER: RefCell<Encoder> = RefCell::default();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wsman::sldc;

    fn body(charset: Charset, compressed: bool) -> Vec<u8> {
        let text = format!("<a><b>{}</b><b>ü</b><c>{}</c></a>", Hole::Time.mark(), Hole::Computer.mark());
        let form = Form::of_marked(&text);
        let mut out = b"head".to_vec();
        let mut wire = Wire::new(charset, compressed, &mut out);
        form.put(|hole| if hole == Hole::Time { "now" } else { "Büro" }, &mut wire);
        wire.finish();
        out.split_off(4)
    }

    #[test]
    fn a_form_is_the_same_text_in_every_dress() {
        let expected = "<a><b>now</b><b>ü</b><c>Büro</c></a>";
        for charset in [Charset::Utf8, Charset::Utf16] {
            for compressed in [false, true] {
                let mut body = body(charset, compressed);
                if compressed {
                    let mut plain = Vec::new();
                    sldc::decode(&body, 10_000, &mut plain).unwrap();
                    body = plain;
                }
                let mut text = Vec::new();
                let read = charset::decode(&body, Some(charset), &mut text).unwrap();
                assert_eq!(String::from_utf8(text).unwrap(), expected);
                assert_eq!(read.marked, charset == Charset::Utf16);
            }
        }
    }
}
