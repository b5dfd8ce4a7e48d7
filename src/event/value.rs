//! A value as its encoding holds it: a slice of XML text, of UTF-16, or a typed BinXML value.
//!
//! Nothing is converted until a format writes it, and then straight into the output. All ways of
//! writing go through one meaning, the *text* of the value: what a conforming XML parser would
//! hand to its user (entities resolved, CRLF and lone CR turned into LF, `&#13;` kept).
//! Rendering of BinXML types: MS-EVEN6 2.2.12 and what Windows' own rendering shows.

use super::text::{self, Place};
use super::{Pen, put, render, time};
use std::io::Write;

/// One attribute value or piece of text.
#[derive(Clone, Copy, Debug, Default)]
pub enum Value<'a> {
    /// Not there (an element or attribute that is missing, or a NULL substitution).
    #[default]
    Absent,
    /// XML text or attribute value as written: UTF-8, entities not resolved, CRLF not folded.
    Xml(&'a [u8]),
    /// UTF-8 that is the text itself and needs escaping in no format: no control character,
    /// none of `& < > " ' \`.
    Plain(&'a [u8]),
    /// UTF-8 that is the text itself; may hold anything.
    Text(&'a [u8]),
    /// UTF-16, little-endian, an even number of bytes; lone surrogates read as U+FFFD. CRLF as in
    /// XML: `write_xml` passes it on, the text has LF.
    Utf16(&'a [u8]),
    /// Windows-1252 text (BinXML AnsiString); line ends as with `Utf16`.
    Ansi(&'a [u8]),
    Unsigned(u64),
    Signed(i64),
    /// `0x` and lower-case hex, no padding.
    Hex(u64),
    /// `{xxxxxxxx-…}`, lower case, from its 16 bytes.
    Guid(&'a [u8; 16]),
    /// `S-1-…`, from its binary form (validated by the reader: 8 + 4 × count bytes).
    Sid(&'a [u8]),
    /// 100 ns ticks since 1601.
    FileTime(u64),
    /// SYSTEMTIME: eight u16, rendered with seven fraction digits as a FILETIME is.
    SystemTime(&'a [u8; 16]),
    Bool(bool),
    Float(f32),
    Double(f64),
    /// Upper-case hex without separators.
    Binary(&'a [u8]),
}

/// Longest text a typed (not textual, not binary) value can have; a SID is the longest.
pub const SCALAR_TEXT_BYTES_MAX: usize = 200;

impl<'a> Value<'a> {
    pub fn is_absent(self) -> bool {
        matches!(self, Value::Absent)
    }

    /// Appends the text, UTF-8, unescaped.
    pub fn write_text(self, out: &mut Vec<u8>) {
        match self {
            Value::Absent => {}
            Value::Xml(raw) => text::decode_xml(raw, out),
            Value::Plain(text) | Value::Text(text) => put::short(text, out),
            Value::Utf16(units) => text::decode_utf16(units, out),
            Value::Ansi(bytes) => text::decode_ansi(bytes, out),
            _ => self.write_scalar(out),
        }
    }

    /// Appends the text escaped for the inside of a JSON string (without the quotes).
    #[inline]
    pub fn write_json(self, out: &mut Vec<u8>) {
        match self {
            Value::Absent => {}
            Value::Xml(raw) => text::json_from_xml(raw, out),
            Value::Plain(text) => put::short(text, out),
            Value::Text(text) => text::json_from_text(text, out),
            Value::Utf16(units) => text::json_from_utf16(units, out),
            Value::Ansi(bytes) => text::json_from_ansi(bytes, out),
            Value::Unsigned(number) => render::write_u64(number, out),
            Value::Hex(number) => render::write_hex(number, out),
            Value::Guid(guid) => render::write_guid(guid, out),
            _ => self.write_scalar(out),
        }
    }

    /// Appends the value as XML, between tags or in a single-quoted attribute. Raw XML passes as it
    /// is where the place allows it.
    pub fn write_xml(self, place: Place, out: &mut Vec<u8>) {
        match self {
            Value::Absent => {}
            Value::Xml(raw) => text::xml_from_xml(raw, place, out),
            Value::Plain(text) => put::short(text, out),
            Value::Text(text) => text::xml_from_text(text, place, out),
            Value::Utf16(units) => text::xml_from_utf16(units, place, out),
            Value::Ansi(bytes) => text::xml_from_ansi(bytes, place, out),
            _ => self.write_scalar(out),
        }
    }

    /// The text as a number: decimal, or hex after `0x`.
    pub fn as_u64(self) -> Option<u64> {
        match self {
            Value::Unsigned(number) | Value::Hex(number) => Some(number),
            Value::Signed(number) => u64::try_from(number).ok(),
            Value::Xml(digits) | Value::Plain(digits) | Value::Text(digits) => parse_u64(digits),
            Value::Utf16(units) => {
                let mut digits = [0; 24];
                let count = units.len() / 2;
                let digits = digits.get_mut(..count)?;
                for (digit, unit) in digits.iter_mut().zip(units.chunks_exact(2)) {
                    *digit = if unit[1] == 0 { unit[0] } else { return None };
                }
                parse_u64(digits)
            }
            _ => None,
        }
    }

    /// Whether the text is exactly `expected`.
    pub fn is(self, expected: &str) -> bool {
        match self {
            Value::Plain(text) | Value::Text(text) => text == expected.as_bytes(),
            Value::Xml(raw) if memchr::memchr2(b'&', b'\r', raw).is_none() => raw == expected.as_bytes(),
            Value::Utf16(units) if expected.is_ascii() => {
                units.len() == expected.len() * 2
                    && units.chunks_exact(2).zip(expected.bytes()).all(|(unit, byte)| unit == [byte, 0])
            }
            _ => {
                let mut text = Vec::new();
                self.write_text(&mut text);
                text == expected.as_bytes()
            }
        }
    }

    fn write_scalar(self, out: &mut Vec<u8>) {
        match self {
            Value::Unsigned(number) => render::write_u64(number, out),
            Value::Signed(number) => {
                if number < 0 {
                    out.push(b'-');
                }
                render::write_u64(number.unsigned_abs(), out);
            }
            Value::Hex(number) => render::write_hex(number, out),
            Value::Guid(guid) => render::write_guid(guid, out),
            Value::Sid(sid) => Pen::new(out).sid(sid).finish(),
            Value::FileTime(ticks) => time::write_filetime(ticks, out),
            Value::SystemTime(fields) => render::write_systemtime(fields, out),
            Value::Bool(flag) => out.extend_from_slice(if flag { b"true" } else { b"false" }),
            Value::Float(number) => write!(out, "{number}").expect("a vector takes it"),
            Value::Double(number) => write!(out, "{number}").expect("a vector takes it"),
            Value::Binary(bytes) => render::write_binary(bytes, out),
            Value::Absent
            | Value::Xml(_)
            | Value::Plain(_)
            | Value::Text(_)
            | Value::Utf16(_)
            | Value::Ansi(_) => {}
        }
    }
}

fn parse_u64(digits: &[u8]) -> Option<u64> {
    let (digits, radix) = match digits {
        [b'0', b'x' | b'X', rest @ ..] => (rest, 16),
        _ => (digits, 10),
    };
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, &byte| {
        let digit = char::from(byte).to_digit(radix)?;
        number.checked_mul(u64::from(radix))?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: Value<'_>, expected: &str) {
        let (mut text, mut json, mut xml) = (Vec::new(), Vec::new(), Vec::new());
        value.write_text(&mut text);
        value.write_json(&mut json);
        value.write_xml(Place::Content, &mut xml);
        for written in [text, json, xml] {
            assert_eq!(String::from_utf8(written).unwrap(), expected);
        }
        assert!(value.is(expected));
    }

    #[test]
    fn typed_values_are_written_as_windows_does() {
        check(Value::Unsigned(u64::MAX), "18446744073709551615");
        check(Value::Signed(i64::MIN), "-9223372036854775808");
        check(Value::Hex(0x3e7), "0x3e7");
        check(Value::Hex(0), "0x0");
        check(
            Value::Guid(&[
                0x25, 0x96, 0x84, 0x54, 0x78, 0x54, 0x94, 0x49, 0xa5, 0xba, 0x3e, 0x3b, 3, 0x28, 0xc3, 0x0d,
            ]),
            "{54849625-5478-4994-a5ba-3e3b0328c30d}",
        );
        check(Value::Sid(&[1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0]), "S-1-5-18");
        check(Value::Bool(true), "true");
        check(Value::Float(0.1), "0.1");
        check(Value::Double(-1.5e300), &format!("{}", -1.5e300));
        check(Value::Binary(&[0xde, 0xad]), "DEAD");
        check(
            Value::SystemTime(&[0xe7, 7, 5, 0, 1, 0, 29, 0, 8, 0, 47, 0, 50, 0, 0xb5, 2]),
            "2023-05-29T08:47:50.6930000Z",
        );
    }

    #[test]
    fn numbers_are_read_from_every_encoding() {
        assert_eq!(Value::Xml(b"4624").as_u64(), Some(4624));
        assert_eq!(Value::Plain(b"0x8020000000000000").as_u64(), Some(0x8020_0000_0000_0000));
        assert_eq!(Value::Utf16(b"4\x006\x00").as_u64(), Some(46));
        assert_eq!(Value::Text(b"").as_u64(), None);
        assert_eq!(Value::Text(b"18446744073709551616").as_u64(), None);
        assert_eq!(Value::Utf16(b"4\x006\x01").as_u64(), None);
    }
}
