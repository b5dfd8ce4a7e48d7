//! Texts with holes, ready for the wire: what is the same in every message is searched for copies once,
//! what differs (a time, a record id, a name) is put between as it is.
//!
//! Promise: a body written this way decodes to the very text that writing it out in full would give.

use crate::wsman::charset::{self, Charset};
use crate::wsman::sldc::{Encoder, Prepared, Scheme, Writer};
use std::cell::RefCell;

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

    fn of_mark(mark: char) -> Option<Self> {
        let index = u32::from(mark).checked_sub(Self::FIRST_MARK)?;
        Self::ALL.get(index as usize).copied()
    }
}

#[derive(Clone, Debug)]
pub(super) enum Piece {
    Fixed(Fixed),
    Hole(Hole),
}

/// Text that is always the same.
#[derive(Clone, Debug)]
pub(super) struct Fixed {
    pub(super) text: Box<str>,
    prepared: Prepared,
    utf16_bytes: usize,
}

impl Fixed {
    pub(super) fn new(text: &str) -> Self {
        let mut units = Vec::new();
        crate::event::transcode::utf16le_from_utf8(text, &mut units);
        let prepared = ENCODER.with_borrow_mut(|encoder| encoder.prepare(&units));
        Self { text: text.into(), prepared, utf16_bytes: units.len() }
    }

    pub(super) fn utf16_bytes(&self) -> usize {
        self.utf16_bytes
    }
}

/// Fixed text and holes, in order.
#[derive(Clone, Debug)]
pub(super) struct Form(Box<[Piece]>);

impl Form {
    /// Every mark in the text becomes a hole.
    pub(super) fn of_marked(text: &str) -> Self {
        let (mut pieces, mut from) = (Vec::new(), 0);
        for (at, c) in text.char_indices() {
            let Some(hole) = Hole::of_mark(c) else { continue };
            pieces.push(Piece::Fixed(Fixed::new(&text[from..at])));
            pieces.push(Piece::Hole(hole));
            from = at + c.len_utf8();
        }
        pieces.push(Piece::Fixed(Fixed::new(&text[from..])));
        Self(pieces.into())
    }

    /// Appends it with its holes filled.
    pub(super) fn put<'v>(&self, value: impl Fn(Hole) -> &'v str, wire: &mut Wire<'_>) {
        for piece in &self.0 {
            match piece {
                Piece::Fixed(fixed) => wire.fixed(fixed),
                Piece::Hole(hole) => wire.text(value(*hole)),
            }
        }
    }
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

    pub(super) fn fixed(&mut self, fixed: &Fixed) {
        match &mut self.to {
            To::Sldc(writer) => writer.prepared(&fixed.prepared),
            To::Text { text, .. } => text.push_str(&fixed.text),
        }
    }

    pub(super) fn text(&mut self, piece: &str) {
        match &mut self.to {
            To::Sldc(writer) => {
                for unit in piece.encode_utf16() {
                    writer.literals(&unit.to_le_bytes());
                }
            }
            To::Text { text, .. } => text.push_str(piece),
        }
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
