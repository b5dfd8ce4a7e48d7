//! Typed values as text: numbers, GUIDs, SIDs, times and bytes, each in a few stores.

use super::{Pen, put};

/// Two digits at a time.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + number as u8 / 10, b'0' + number as u8 % 10];
        number += 1;
    }
    pairs
};

/// Decimal, without leading zeros.
#[inline]
pub(super) fn write_u64(number: u64, out: &mut Vec<u8>) {
    match number {
        0..10 => out.push(b'0' + number as u8),
        10..100 => out.extend_from_slice(&PAIRS[number as usize]),
        _ => {
            let mut digits = [0; 20];
            let start = decimal(number, &mut digits);
            put::short(&digits[start..], out);
        }
    }
}

/// Digits at the end of the block; where they begin.
#[inline]
fn decimal(mut number: u64, digits: &mut [u8; 20]) -> usize {
    let mut start = digits.len();
    while number >= 100 {
        start -= 2;
        digits[start..start + 2].copy_from_slice(&PAIRS[(number % 100) as usize]);
        number /= 100;
    }
    if number >= 10 {
        start -= 2;
        digits[start..start + 2].copy_from_slice(&PAIRS[number as usize]);
    } else {
        start -= 1;
        digits[start] = b'0' + number as u8;
    }
    start
}

/// The digits of a number below 10^8 and their count, 1 to 8.
#[inline]
pub(super) fn digits8(number: u32) -> ([u8; 8], usize) {
    let digits = eight(number);
    // The first digit is the lowest byte; the last counts even when it is 0.
    let zeros = ((digits | 1 << 56).trailing_zeros() / 8) as usize;
    (((digits | ZEROS) >> (8 * zeros)).to_le_bytes(), 8 - zeros)
}

/// A number of nine digits or more in decimal.
pub(super) fn long(number: u64, pen: Pen<'_>) -> Pen<'_> {
    const EIGHT: u64 = 100_000_000;
    if number >= EIGHT * EIGHT {
        return pen.with(|out| write_u64(number, out));
    }
    let (digits, count) = digits8((number / EIGHT) as u32);
    pen.block(digits, count).block(padded8((number % EIGHT) as u32), 8)
}

/// All eight digits of a number below 10^8, with leading zeros.
#[inline]
fn padded8(number: u32) -> [u8; 8] {
    (eight(number) | ZEROS).to_le_bytes()
}

const ZEROS: u64 = 0x3030_3030_3030_3030;

/// Digits as numbers, made side by side: halves, then halves of these, in lanes that never carry
/// into each other.
#[inline]
fn eight(number: u32) -> u64 {
    debug_assert!(number < 100_000_000);
    let fours = u64::from(number / 10_000) | u64::from(number % 10_000) << 32;
    // x / 100 for x below 10 000, x / 10 for x below 100.
    let hundreds = (fours * 5243) >> 19 & 0x0000_007f_0000_007f;
    let pairs = hundreds | (fours - hundreds * 100) << 16;
    let tens = (pairs * 103) >> 10 & 0x000f_000f_000f_000f;
    tens | (pairs - tens * 10) << 8
}

/// `0x` and lower-case hex, without leading zeros.
#[inline]
pub(super) fn write_hex(number: u64, out: &mut Vec<u8>) {
    let (text, used) = hex(number);
    put::block(&text, used, out);
}

/// The same as a block, of which so many bytes count.
#[inline]
pub(super) fn hex(number: u64) -> ([u8; 18], usize) {
    let nibbles = (64 - number.leading_zeros()).div_ceil(4).max(1) as usize;
    let left = number << (64 - 4 * nibbles as u32);
    let mut text = [0; 18];
    text[..2].copy_from_slice(b"0x");
    text[2..10].copy_from_slice(&hex8((left >> 32) as u32, LOWER));
    text[10..].copy_from_slice(&hex8(left as u32, LOWER));
    (text, 2 + nibbles)
}

/// From `9` to the letter behind it.
const LOWER: u8 = b'a' - b'9' - 1;
const UPPER: u8 = b'A' - b'9' - 1;

/// The eight hex digits of a number: its nibbles are spread over eight bytes, then made digits.
#[inline]
fn hex8(number: u32, letters: u8) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut word = u64::from(number);
    word = (word | word << 16) & 0x0000_ffff_0000_ffff;
    word = (word | word << 8) & 0x00ff_00ff_00ff_00ff;
    word = (word | word << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    let is_letter = (word + ONES * 6) >> 4 & ONES;
    (word + ONES * u64::from(b'0') + is_letter * u64::from(letters)).to_be_bytes()
}

/// `{xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx}`. Data1 to Data3 are little-endian, Data4 is a byte
/// string (MS-DTYP 2.3.4).
#[inline]
pub(super) fn write_guid(guid: &[u8; 16], out: &mut Vec<u8>) {
    out.extend_from_slice(&self::guid(guid));
}

#[inline]
pub(super) fn guid(guid: &[u8; 16]) -> [u8; 38] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = *guid;
    let [i, j, k, l, m, n, o, p] = rest;
    let middle = hex8(u32::from_le_bytes([g, h, e, f]), LOWER);
    let fourth = hex8(u32::from_be_bytes([i, j, k, l]), LOWER);
    let mut text = [b'-'; 38];
    text[0] = b'{';
    text[1..9].copy_from_slice(&hex8(u32::from_le_bytes([a, b, c, d]), LOWER));
    text[10..14].copy_from_slice(&middle[..4]);
    text[15..19].copy_from_slice(&middle[4..]);
    text[20..24].copy_from_slice(&fourth[..4]);
    text[25..29].copy_from_slice(&fourth[4..]);
    text[29..37].copy_from_slice(&hex8(u32::from_be_bytes([m, n, o, p]), LOWER));
    text[37] = b'}';
    text
}

/// MS-DTYP 2.4.2: revision, count, 48-bit authority big-endian, sub-authorities little-endian.
pub(super) fn sid<'o>(sid: &[u8], pen: Pen<'o>) -> Pen<'o> {
    let [revision, _, a, b, c, d, e, f, rest @ ..] = sid else { return pen };
    let authority = u64::from_be_bytes([0, 0, *a, *b, *c, *d, *e, *f]);
    let pen = pen.block(*b"S-", 2).decimal(u64::from(*revision)).byte(b'-');
    let mut pen = if authority >> 32 == 0 { pen.decimal(authority) } else { pen.hex(authority) };
    for part in rest.as_chunks::<4>().0 {
        pen = pen.byte(b'-').decimal(u64::from(u32::from_le_bytes(*part)));
    }
    pen
}

/// SYSTEMTIME as Windows renders it, in FILETIME's seven fraction digits.
pub(super) fn write_systemtime(fields: &[u8; 16], out: &mut Vec<u8>) {
    let field = |index: usize| u64::from(u16::from_le_bytes([fields[index * 2], fields[index * 2 + 1]]));
    let mut padded = |value: u64, width: u32, separator: &[u8]| {
        out.extend_from_slice(separator);
        let mut place = 10_u64.pow(width - 1);
        while place > 0 {
            out.push(b'0' + (value / place % 10) as u8);
            place /= 10;
        }
    };
    // year, month, day of week, day, hour, minute, second, milliseconds
    padded(field(0), 4, b"");
    padded(field(1), 2, b"-");
    padded(field(3), 2, b"-");
    padded(field(4), 2, b"T");
    padded(field(5), 2, b":");
    padded(field(6), 2, b":");
    padded(field(7), 3, b".");
    out.extend_from_slice(b"0000Z");
}

/// Upper-case hex without separators.
pub(super) fn write_binary(bytes: &[u8], out: &mut Vec<u8>) {
    let mut pen = Pen::new(out).room(bytes.len() * 2);
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        pen = pen.block(hex8(u32::from_be_bytes(*word), UPPER), 8);
    }
    for byte in rest {
        let [.., high, low] = hex8(u32::from(*byte), UPPER);
        pen = pen.block([high, low], 2);
    }
    pen.finish();
}

/// `2020-12-29T07:20:00.0000001Z`, of a time whose year has four digits.
#[inline]
pub(super) fn time([year, month, day]: [u32; 3], second_of_day: u32, fraction: u32) -> [u8; 28] {
    let mut text = *b"0000-00-00T00:00:00.0000000Z";
    let mut pair = |at: usize, number: u32| text[at..at + 2].copy_from_slice(&PAIRS[number as usize % 100]);
    pair(0, year / 100);
    pair(2, year);
    pair(5, month);
    pair(8, day);
    pair(11, second_of_day / 3600);
    pair(14, second_of_day / 60 % 60);
    pair(17, second_of_day % 60);
    pair(21, fraction / 10_000 % 100);
    pair(23, fraction / 100 % 100);
    pair(25, fraction % 100);
    text[20] = b'0' + (fraction / 1_000_000) as u8;
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_written_as_the_standard_library_writes_them(number: u64, shift in 0_u32..64) {
            let number = number >> shift;
            let mut out = Vec::new();
            write_u64(number, &mut out);
            out.push(b' ');
            write_hex(number, &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("{number} {number:#x}"));
        }

        #[test]
        fn bytes_are_written_as_hex(bytes: Vec<u8>) {
            let mut out = Vec::new();
            write_binary(&bytes, &mut out);
            let expected: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
