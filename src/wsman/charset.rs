//! The text of a message: UTF-16 with a byte order mark as Windows sends and expects it, or UTF-8.
//!
//! A mark decides. Without one the declared charset does, and the order of UTF-16 is that of the `<`
//! that every message starts with, little-endian in doubt. Text that is plainly of the other kind
//! than declared is refused. Lone surrogates, which Windows passes on from event values, become
//! U+FFFD and are counted: no reason to refuse a batch.
//!
//! Promise: half as many bytes again as the body has, at most.

use crate::event::transcode::{Order, utf8_from_utf16, utf16le_from_utf8};
use thiserror::Error;

/// The charset of a content type; an answer has that of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    Utf8,
    Utf16,
}

impl Charset {
    /// By the name in a content type, in any case, quoted or not.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.trim().trim_matches('"');
        if name.eq_ignore_ascii_case("utf-16") {
            Some(Self::Utf16)
        } else if name.eq_ignore_ascii_case("utf-8") {
            Some(Self::Utf8)
        } else {
            None
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Utf16 => "UTF-16",
        }
    }
}

/// What a body turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    pub charset: Charset,
    /// It started with a byte order mark.
    pub marked: bool,
    /// Lone surrogates that were replaced.
    pub replaced: usize,
}

/// Why a body is no text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CharsetError {
    #[error("UTF-16 text of {bytes} bytes, which is odd: the body was cut")]
    Odd { bytes: usize },
    #[error("declared as {}, but the body is {}", declared.name(), found.name())]
    Other { declared: Charset, found: Charset },
    #[error("byte {at} is not UTF-8")]
    NotUtf8 { at: usize },
}

/// Appends the body as UTF-8, without its mark. On an error `out` is as it was.
pub fn decode(body: &[u8], declared: Option<Charset>, out: &mut Vec<u8>) -> Result<Text, CharsetError> {
    let (found, order, mark) = match body {
        [0xff, 0xfe, ..] => (Some(Charset::Utf16), Order::Little, 2),
        [0xfe, 0xff, ..] => (Some(Charset::Utf16), Order::Big, 2),
        [0xef, 0xbb, 0xbf, ..] => (Some(Charset::Utf8), Order::Little, 3),
        [b'<', 0, ..] => (Some(Charset::Utf16), Order::Little, 0),
        [0, b'<', ..] => (Some(Charset::Utf16), Order::Big, 0),
        [b'<', _, ..] => (Some(Charset::Utf8), Order::Little, 0),
        _ => (None, Order::Little, 0),
    };
    if let (Some(declared), Some(found)) = (declared, found)
        && declared != found
    {
        return Err(CharsetError::Other { declared, found });
    }
    let charset = found.or(declared).unwrap_or(Charset::Utf8);
    let text = &body[mark..];
    let replaced = match charset {
        Charset::Utf8 => {
            let valid = std::str::from_utf8(text);
            valid.map_err(|error| CharsetError::NotUtf8 { at: mark + error.valid_up_to() })?;
            out.extend_from_slice(text);
            0
        }
        Charset::Utf16 if !text.len().is_multiple_of(2) => {
            return Err(CharsetError::Odd { bytes: body.len() });
        }
        Charset::Utf16 => utf8_from_utf16(text, order, out),
    };
    Ok(Text { charset, marked: mark > 0, replaced })
}

/// Appends a message: UTF-16LE behind a byte order mark, which Windows insists on, or UTF-8 without.
pub fn encode(text: &str, charset: Charset, out: &mut Vec<u8>) {
    match charset {
        Charset::Utf8 => out.extend_from_slice(text.as_bytes()),
        Charset::Utf16 => {
            out.extend_from_slice(&[0xff, 0xfe]);
            utf16le_from_utf8(text, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARTBEAT: &[u8] = include_bytes!("testdata/heartbeat.utf16le");

    #[track_caller]
    fn check(body: &[u8], declared: Option<Charset>, expected: Result<(&str, Text), CharsetError>) {
        let mut out = b"before".to_vec();
        let result = decode(body, declared, &mut out);
        assert_eq!(out[..6], *b"before");
        let text = std::str::from_utf8(&out[6..]).unwrap();
        match expected {
            Ok(expected) => assert_eq!((text, result), (expected.0, Ok(expected.1))),
            Err(error) => assert_eq!((text, result), ("", Err(error))),
        }
    }

    const fn utf16(marked: bool) -> Text {
        Text { charset: Charset::Utf16, marked, replaced: 0 }
    }

    #[test]
    fn a_captured_message_is_read_and_written_byte_for_byte() {
        let mut text = Vec::new();
        assert_eq!(decode(HEARTBEAT, Some(Charset::Utf16), &mut text), Ok(utf16(true)));
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("<s:Envelope ") && text.ends_with("</s:Envelope>"));
        let mut again = Vec::new();
        encode(&text, Charset::Utf16, &mut again);
        assert!(again == HEARTBEAT);
    }

    #[test]
    fn the_order_is_that_of_the_mark_or_of_the_first_character() {
        let declared = Some(Charset::Utf16);
        check(b"\xff\xfe<\0a\0", declared, Ok(("<a", utf16(true))));
        check(b"\xfe\xff\0<\0a", declared, Ok(("<a", utf16(true))));
        check(b"<\0a\0", declared, Ok(("<a", utf16(false))));
        check(b"\0<\0a", declared, Ok(("<a", utf16(false))));
        check(b" \0<\0", declared, Ok((" <", utf16(false))));
        check(b"<\0a\0", None, Ok(("<a", utf16(false))));
    }

    #[test]
    fn utf8_has_a_mark_or_not() {
        let text = |marked| Text { charset: Charset::Utf8, marked, replaced: 0 };
        check("<ä/>".as_bytes(), Some(Charset::Utf8), Ok(("<ä/>", text(false))));
        check("\u{feff}<ä/>".as_bytes(), None, Ok(("<ä/>", text(true))));
        check(b"", None, Ok(("", text(false))));
        check(b"<a\xff", Some(Charset::Utf8), Err(CharsetError::NotUtf8 { at: 2 }));
        let mut out = Vec::new();
        encode("<ä/>", Charset::Utf8, &mut out);
        assert_eq!(out, "<ä/>".as_bytes());
    }

    #[test]
    fn text_of_the_other_charset_is_refused() {
        let (utf8, utf16) = (Charset::Utf8, Charset::Utf16);
        let error = CharsetError::Other { declared: utf16, found: utf8 };
        check(b"<s:Envelope/>", Some(utf16), Err(error.clone()));
        check(b"\xef\xbb\xbf<s:Envelope/>", Some(utf16), Err(error));
        check(HEARTBEAT, Some(utf8), Err(CharsetError::Other { declared: utf8, found: utf16 }));
    }

    #[test]
    fn an_odd_count_of_bytes_is_refused_and_a_lone_surrogate_is_not() {
        check(b"\xff\xfe<\0a", Some(Charset::Utf16), Err(CharsetError::Odd { bytes: 5 }));
        check(b"\xff\xfe<\0\0\xd8>\0", None, Ok(("<\u{fffd}>", Text { replaced: 1, ..utf16(true) })));
    }

    #[test]
    fn a_charset_is_known_by_its_name_in_any_case() {
        for (name, charset) in
            [("UTF-16", Charset::Utf16), ("utf-8", Charset::Utf8), ("\"Utf-16\"", Charset::Utf16)]
        {
            assert_eq!(Charset::from_name(name), Some(charset));
        }
        assert_eq!(Charset::from_name("ISO-8859-1"), None);
    }
}
