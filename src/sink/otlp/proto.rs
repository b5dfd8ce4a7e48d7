//! Protocol Buffers on the wire, as much as OTLP needs: fields are appended one by one, and read one by one.
//!
//! ```text
//! field = [varint number << 3 | kind][value]; value = varint | 8 bytes | varint length, bytes | 4 bytes
//! ```
//!
//! Source: "Encoding" of the Protocol Buffers documentation.
//! Must not know: what a field means.

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

/// Appends a number.
pub(super) fn number(field: u32, value: u64, out: &mut Vec<u8>) {
    varint(u64::from(field << 3 | VARINT), out);
    varint(value, out);
}

/// Appends eight bytes.
pub(super) fn fixed(field: u32, value: u64, out: &mut Vec<u8>) {
    varint(u64::from(field << 3 | FIXED64), out);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a string or bytes.
pub(super) fn bytes(field: u32, value: &[u8], out: &mut Vec<u8>) {
    varint(u64::from(field << 3 | BYTES), out);
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// Begins a message within this one; what is returned goes to `close`.
pub(super) fn open(field: u32, out: &mut Vec<u8>) -> usize {
    varint(u64::from(field << 3 | BYTES), out);
    // Most messages are short: their length takes one byte, and room for more is made when it is known.
    out.push(0);
    out.len()
}

/// Ends a message that begins at `start`.
pub(super) fn close(start: usize, out: &mut Vec<u8>) {
    let length = out.len() - start;
    let more = varint_bytes(length as u64) - 1;
    if more > 0 {
        out.resize(out.len() + more, 0);
        out.copy_within(start..start + length, start + more);
    }
    let (mut left, last) = (length, start + more - 1);
    for (at, byte) in (start - 1..).zip(&mut out[start - 1..=last]) {
        *byte = (left & 0x7f) as u8 | if at == last { 0 } else { 0x80 };
        left >>= 7;
    }
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_bytes(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a kind that OTLP's answers do not use.
    Other,
}

/// The fields of a message, by number. What is no message ends with `Broken`.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Field<'a>), Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u64, Field<'a>), Broken> {
        let tag = self.varint()?;
        let number = tag >> 3;
        // Numbers have 29 bits.
        if number == 0 || number >= 1 << 29 {
            return Err(Broken);
        }
        let field = match (tag & 7) as u32 {
            VARINT => Field::Number(self.varint()?),
            FIXED64 => self.take(8).map(|_| Field::Other)?,
            FIXED32 => self.take(4).map(|_| Field::Other)?,
            BYTES => {
                let length = self.varint()?;
                Field::Bytes(self.take(usize::try_from(length).map_err(|_| Broken)?)?)
            }
            // Groups went with the second version of the language.
            _ => return Err(Broken),
        };
        Ok((number, field))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Broken)?;
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Broken> {
        let mut value = 0;
        for place in 0..10 {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                // The tenth byte has one bit.
                return if place == 9 && byte > 1 { Err(Broken) } else { Ok(value) };
            }
        }
        Err(Broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<Result<(u64, Field<'_>), Broken>> {
        Fields(bytes).collect()
    }

    /// The examples of the documentation.
    #[test]
    fn fields_are_written_as_documented() {
        let mut out = Vec::new();
        number(1, 150, &mut out);
        assert_eq!(out, [0x08, 0x96, 0x01]);
        out.clear();
        bytes(2, b"testing", &mut out);
        assert_eq!(out, *b"\x12\x07testing");
        out.clear();
        let inner = open(3, &mut out);
        number(1, 150, &mut out);
        close(inner, &mut out);
        assert_eq!(out, [0x1a, 0x03, 0x08, 0x96, 0x01]);
        out.clear();
        fixed(1, 1, &mut out);
        assert_eq!(out, [0x09, 1, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_message_of_any_length_is_read_as_it_was_written() {
        for length in [0, 1, 127, 128, 129, 16_383, 16_384, 2_097_151, 2_097_152] {
            let mut out = b"before".to_vec();
            let inner = open(500, &mut out);
            out.extend(std::iter::repeat_n(b'x', length));
            close(inner, &mut out);
            out.push(0x08);
            out.push(0x01);
            let expected = vec![b'x'; length];
            let fields = read(&out[6..]);
            assert_eq!(fields, [Ok((500, Field::Bytes(&expected))), Ok((1, Field::Number(1)))], "{length}");
        }
    }

    #[test]
    fn numbers_have_up_to_ten_bytes() {
        for value in [0, 1, 127, 128, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            number(15, value, &mut out);
            assert_eq!(read(&out), [Ok((15, Field::Number(value)))]);
        }
    }

    #[test]
    fn what_is_no_message_is_broken_and_ends() {
        for bytes in [
            &b"\x08"[..],
            b"\x0a\x05abc",
            b"\x09\x00",
            b"\x0d\x00",
            b"\x00\x01",
            b"\x0b",
            b"\x0c",
            b"\x0e",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"<html>",
        ] {
            assert_eq!(read(bytes), [Err(Broken)], "{bytes:?}");
        }
    }
}
