//! BinXML values: a type byte and bytes to a `Value` (MS-EVEN6 2.2.12).
//!
//! Bytes that do not fit their type are never an error: what is too short for a number is read as
//! far as it goes, what cannot be its type is shown as binary.

use crate::event::Value;
use crate::event::utf16::until_nul;
use memchr::memchr;

/// Type bytes; an array adds `ARRAY`.
pub mod kind {
    pub const NULL: u8 = 0x00;
    pub const STRING: u8 = 0x01;
    pub const ANSI_STRING: u8 = 0x02;
    pub const INT8: u8 = 0x03;
    pub const UINT8: u8 = 0x04;
    pub const INT16: u8 = 0x05;
    pub const UINT16: u8 = 0x06;
    pub const INT32: u8 = 0x07;
    pub const UINT32: u8 = 0x08;
    pub const INT64: u8 = 0x09;
    pub const UINT64: u8 = 0x0a;
    pub const REAL32: u8 = 0x0b;
    pub const REAL64: u8 = 0x0c;
    pub const BOOL: u8 = 0x0d;
    pub const BINARY: u8 = 0x0e;
    pub const GUID: u8 = 0x0f;
    pub const SIZE_T: u8 = 0x10;
    pub const FILETIME: u8 = 0x11;
    pub const SYSTEMTIME: u8 = 0x12;
    pub const SID: u8 = 0x13;
    pub const HEX_INT32: u8 = 0x14;
    pub const HEX_INT64: u8 = 0x15;
    pub const EVT_HANDLE: u8 = 0x20;
    pub const BINXML: u8 = 0x21;
    pub const EVT_XML: u8 = 0x23;
    pub const ARRAY: u8 = 0x80;
}

/// One value of a template instance: where its bytes are and what they mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) at: u32,
    pub(super) bytes: u16,
    pub(super) kind: u8,
}

impl Slot {
    pub(super) fn of(self, chunk: &[u8]) -> &[u8] {
        let at = self.at as usize;
        chunk.get(at..at + usize::from(self.bytes)).unwrap_or_default()
    }

    pub(super) fn range(self) -> std::ops::Range<usize> {
        self.at as usize..self.at as usize + usize::from(self.bytes)
    }

    pub(super) fn is_array(self) -> bool {
        self.kind & kind::ARRAY != 0
    }
}

/// A single value; Absent when it has no text. BinXML has to be dealt with before, an array gives
/// its first item. A type that nobody has seen yet is shown as binary.
#[inline]
pub(super) fn value(kind: u8, bytes: &[u8]) -> Value<'_> {
    match kind {
        _ if bytes.is_empty() => Value::Absent,
        kind::STRING | kind::EVT_XML => match until_nul(bytes) {
            [] => Value::Absent,
            text => Value::Utf16(text),
        },
        kind::UINT8 | kind::UINT16 | kind::UINT32 | kind::UINT64 => Value::Unsigned(little(kind, bytes)),
        kind::HEX_INT32 | kind::HEX_INT64 => Value::Hex(little(kind, bytes)),
        kind::NULL => Value::Absent,
        _ => rarer(kind, bytes),
    }
}

fn rarer(kind: u8, bytes: &[u8]) -> Value<'_> {
    match kind {
        kind::SIZE_T | kind::EVT_HANDLE => Value::Hex(little(kind, bytes)),
        kind::GUID => bytes.first_chunk().map_or(Value::Binary(bytes), Value::Guid),
        kind::FILETIME if bytes.len() >= 8 => Value::FileTime(little(kind, bytes)),
        kind::SID => sid(bytes),
        kind::ANSI_STRING => match memchr(0, bytes) {
            Some(0) => Value::Absent,
            end => Value::Ansi(&bytes[..end.unwrap_or(bytes.len())]),
        },
        kind::INT8 | kind::INT16 | kind::INT32 | kind::INT64 => Value::Signed(signed(kind, bytes)),
        // Windows keeps bit masks in some of them, so anything but 0 and 1 stays a number.
        kind::BOOL => match signed(kind, bytes) {
            0 => Value::Bool(false),
            1 => Value::Bool(true),
            number => Value::Signed(number),
        },
        kind::REAL32 => {
            bytes.first_chunk().map_or(Value::Binary(bytes), |real| Value::Float(f32::from_le_bytes(*real)))
        }
        kind::REAL64 => {
            bytes.first_chunk().map_or(Value::Binary(bytes), |real| Value::Double(f64::from_le_bytes(*real)))
        }
        kind::SYSTEMTIME => bytes.first_chunk().map_or(Value::Binary(bytes), Value::SystemTime),
        kind::ARRAY.. => {
            let single = kind & !kind::ARRAY;
            value(single, &bytes[..item_bytes(single, bytes)])
        }
        _ => Value::Binary(bytes),
    }
}

/// How many bytes the first item of an array of `single`s takes, its NUL included; never 0 while
/// bytes are left. Binary has no item size of its own and is one item.
pub(super) fn item_bytes(single: u8, bytes: &[u8]) -> usize {
    let wanted = match single {
        kind::STRING => (until_nul(bytes).len() + 2).min(bytes.len()),
        kind::ANSI_STRING => memchr(0, bytes).map_or(bytes.len(), |end| end + 1),
        kind::SID => 8 + 4 * bytes.get(1).map_or(0, |&count| usize::from(count)),
        kind::SIZE_T if bytes.len().is_multiple_of(8) => 8,
        kind::SIZE_T => 4,
        _ => width(single),
    };
    if wanted == 0 { bytes.len() } else { wanted.min(bytes.len()) }
}

fn width(kind: u8) -> usize {
    match kind {
        kind::INT8 | kind::UINT8 => 1,
        kind::INT16 | kind::UINT16 => 2,
        kind::INT32 | kind::UINT32 | kind::HEX_INT32 | kind::REAL32 | kind::BOOL => 4,
        kind::INT64 | kind::UINT64 | kind::HEX_INT64 | kind::REAL64 | kind::FILETIME => 8,
        kind::SIZE_T | kind::EVT_HANDLE => 8,
        kind::GUID | kind::SYSTEMTIME => 16,
        _ => 0,
    }
}

/// Unsigned little-endian of the type's width, or of as many bytes as there are.
#[inline]
pub(super) fn little(kind: u8, bytes: &[u8]) -> u64 {
    match (kind, bytes) {
        (kind::UINT32 | kind::HEX_INT32, [a, b, c, d]) => u64::from(u32::from_le_bytes([*a, *b, *c, *d])),
        (kind::UINT16, [a, b]) => u64::from(u16::from_le_bytes([*a, *b])),
        _ => {
            let mut word = [0; 8];
            let taken = bytes.len().min(width(kind));
            word[..taken].copy_from_slice(&bytes[..taken]);
            u64::from_le_bytes(word)
        }
    }
}

fn signed(kind: u8, bytes: &[u8]) -> i64 {
    let unused = 64 - 8 * bytes.len().min(width(kind)) as u32;
    (little(kind, bytes) << unused) as i64 >> unused
}

fn sid(bytes: &[u8]) -> Value<'_> {
    whole_sid(bytes).map_or(Value::Binary(bytes), Value::Sid)
}

/// MS-DTYP 2.4.2: 8 bytes and 4 for each sub-authority. A SID is read as long as it says.
#[inline]
pub(super) fn whole_sid(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(..8 + 4 * usize::from(*bytes.get(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: u8, bytes: &[u8], expected: &str) {
        let mut text = Vec::new();
        value(kind, bytes).write_text(&mut text);
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn every_type_is_read() {
        check(kind::STRING, b"a\0b\0\0\0c\0", "ab");
        check(kind::ANSI_STRING, b"a\x80\0\0", "a€");
        check(kind::INT8, &[0xff], "-1");
        check(kind::UINT8, &[0xff], "255");
        check(kind::INT16, &[0xfe, 0xff], "-2");
        check(kind::UINT32, &[1, 0, 0, 0x80], "2147483649");
        check(kind::INT64, &i64::MIN.to_le_bytes(), "-9223372036854775808");
        check(kind::REAL32, &1.5_f32.to_le_bytes(), "1.5");
        check(kind::BOOL, &[1, 0, 0, 0], "true");
        check(kind::BINARY, &[0xab, 1], "AB01");
        check(kind::SIZE_T, &[16, 0, 0, 0], "0x10");
        check(kind::HEX_INT64, &0x8020_0000_0000_0000_u64.to_le_bytes(), "0x8020000000000000");
        check(kind::SID, &[1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0], "S-1-5-18");
        check(kind::NULL, &[1, 2], "");
        check(kind::ARRAY | kind::UINT16, &[1, 0, 2, 0], "1");
    }

    #[test]
    fn sizes_that_do_not_fit_are_read_as_far_as_they_go() {
        check(kind::UINT32, &[7], "7");
        check(kind::INT32, &[0xff], "-1");
        check(kind::UINT8, &[7, 9], "7");
        check(kind::BOOL, &[1], "true");
        check(kind::BOOL, &[16, 0, 0, 0], "16");
        check(kind::GUID, &[1, 2], "0102");
        check(kind::SID, &[1, 200, 0], "01C800");
        check(kind::STRING, b"a\0b", "a");
        check(kind::FILETIME, &[1], "01");
        check(0x7f, &[1], "01");
    }

    #[test]
    fn an_item_of_an_array_is_never_empty() {
        for single in 0..=0x23 {
            for length in 1..40 {
                let bytes = vec![0; length];
                assert!((1..=length).contains(&item_bytes(single, &bytes)), "{single} {length}");
            }
        }
    }
}
