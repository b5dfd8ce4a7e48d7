//! Whole texts between UTF-16 and UTF-8: what a message is read from and written to.
//!
//! Line ends and control characters stay as they are, and lone surrogates become U+FFFD and are
//! counted; `utf16` is for single values, which it also escapes. Blocks of ASCII are the common case
//! and are narrowed or widened as a whole; the loops over a block have a fixed length and no exit, so
//! that the compiler makes wide instructions of them, and the one test for a block is at its end.

/// Units of a block.
const BLOCK: usize = 32;
const BLOCK_BYTES: usize = 2 * BLOCK;
/// Units that are decoded one by one where a block is not ASCII.
const RUN: usize = 16;

/// Which byte of a unit comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Little,
    Big,
}

/// UTF-16 to UTF-8, appended to `out`: the number of lone surrogates. An odd last byte is left out;
/// who reads foreign bytes has refused it.
pub fn utf8_from_utf16(units: &[u8], order: Order, out: &mut Vec<u8>) -> usize {
    match order {
        Order::Little => decode(units, u16::from_le_bytes, out),
        Order::Big => decode(units, u16::from_be_bytes, out),
    }
}

/// UTF-8 to UTF-16LE, appended to `out`.
pub fn utf16le_from_utf8(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() * 2);
    let mut rest = text;
    while let Some(block) = rest.as_bytes().first_chunk::<BLOCK>() {
        if !block.is_ascii() {
            // The whole characters among these bytes, at least one.
            let (head, tail) = rest.split_at(rest.floor_char_boundary(BLOCK));
            widen(head, out);
            rest = tail;
            continue;
        }
        let mut units = [0; BLOCK_BYTES];
        for (unit, byte) in units.as_chunks_mut::<2>().0.iter_mut().zip(block) {
            *unit = [*byte, 0];
        }
        out.extend_from_slice(&units);
        rest = &rest[BLOCK..];
    }
    widen(rest, out);
}

fn widen(text: &str, out: &mut Vec<u8>) {
    out.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
}

#[inline]
fn decode(units: &[u8], unit: impl Fn([u8; 2]) -> u16 + Copy, out: &mut Vec<u8>) -> usize {
    // ASCII alone takes no more; what is not makes the vector grow.
    out.reserve(units.len() / 2);
    let mut rest = units.as_chunks::<2>().0;
    let mut lone = 0;
    while let Some((block, behind)) = rest.split_first_chunk::<BLOCK>() {
        let mut bytes = [0; BLOCK];
        let mut all = 0;
        for (byte, pair) in bytes.iter_mut().zip(block) {
            let unit = unit(*pair);
            all |= unit;
            *byte = unit as u8;
        }
        if all < 0x80 {
            out.extend_from_slice(&bytes);
            rest = behind;
        } else {
            lone += mixed(&mut rest, &bytes, unit, out);
        }
    }
    while !rest.is_empty() {
        lone += characters(&mut rest, unit, out);
    }
    lone
}

/// Takes off the ASCII that a block starts with, whose low bytes are given, and a run behind it.
#[inline(never)]
fn mixed(
    rest: &mut &[[u8; 2]],
    low: &[u8; BLOCK],
    unit: impl Fn([u8; 2]) -> u16 + Copy,
    out: &mut Vec<u8>,
) -> usize {
    let ascii = rest.iter().take_while(|pair| unit(**pair) < 0x80).count().min(BLOCK);
    let length = out.len() + ascii;
    out.extend_from_slice(low);
    out.truncate(length);
    *rest = &rest[ascii..];
    let Some((run, behind)) = rest.split_first_chunk::<RUN>() else { return characters(rest, unit, out) };
    if run.iter().fold(false, |found, pair| found | (unit(*pair) & 0xf800 == 0xd800)) {
        return characters(rest, unit, out);
    }
    let mut bytes = [0; RUN * 3 + 1];
    let mut end = 0;
    for pair in run {
        let (word, length) = short(u32::from(unit(*pair)));
        bytes[end..end + 4].copy_from_slice(&word.to_le_bytes());
        end += length;
    }
    let length = out.len() + end;
    out.extend_from_slice(&bytes);
    out.truncate(length);
    *rest = behind;
    0
}

/// Decodes the next units, one by one, and takes them off; the number of lone surrogates.
#[inline]
fn characters(rest: &mut &[[u8; 2]], unit: impl Fn([u8; 2]) -> u16, out: &mut Vec<u8>) -> usize {
    // Three bytes for a unit at most; each store is of four.
    let mut bytes = [0; RUN * 3 + 1];
    let (mut at, mut end, mut lone) = (0, 0, 0);
    while at < RUN.min(rest.len()) {
        let first = u32::from(unit(rest[at]));
        at += 1;
        let (mut word, mut length) = short(first);
        if first & 0xf800 == 0xd800 {
            let second = rest.get(at).map_or(0, |pair| u32::from(unit(*pair)));
            if first < 0xdc00 && second & 0xfc00 == 0xdc00 {
                at += 1;
                let character = 0x1_0000 + ((first & 0x3ff) << 10) + (second & 0x3ff);
                (word, length) = (long(character), 4);
            } else {
                lone += 1;
                (word, length) = short(u32::from(char::REPLACEMENT_CHARACTER));
            }
        }
        bytes[end..end + 4].copy_from_slice(&word.to_le_bytes());
        end += length;
    }
    out.extend_from_slice(&bytes[..end]);
    *rest = &rest[at..];
    lone
}

/// UTF-8 of a character below 0x10000, the first byte lowest, and its length.
#[inline]
fn short(character: u32) -> (u32, usize) {
    let low = 0x80 | (character & 0x3f);
    let two = 0xc0 | character >> 6 | low << 8;
    let three = 0xe0 | character >> 12 | (0x80 | (character >> 6 & 0x3f)) << 8 | low << 16;
    let longer = if character < 0x800 { two } else { three };
    let word = if character < 0x80 { character } else { longer };
    (word, 1 + usize::from(character >= 0x80) + usize::from(character >= 0x800))
}

fn long(character: u32) -> u32 {
    let tail = |shift: u32| 0x80 | (character >> shift & 0x3f);
    0xf0 | character >> 18 | tail(12) << 8 | tail(6) << 16 | tail(0) << 24
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(units: &[u16], order: Order) -> Vec<u8> {
        let bytes = |unit: &u16| match order {
            Order::Little => unit.to_le_bytes(),
            Order::Big => unit.to_be_bytes(),
        };
        units.iter().flat_map(bytes).collect()
    }

    #[track_caller]
    fn check(units: &[u16]) {
        let mut lone = 0;
        let expected: String = char::decode_utf16(units.iter().copied())
            .map(|character| {
                lone += usize::from(character.is_err());
                character.unwrap_or(char::REPLACEMENT_CHARACTER)
            })
            .collect();
        for order in [Order::Little, Order::Big] {
            let mut out = b"before".to_vec();
            assert_eq!(utf8_from_utf16(&bytes(units, order), order, &mut out), lone);
            assert_eq!(String::from_utf8(out).unwrap(), format!("before{expected}"));
        }
        let mut back = b"before".to_vec();
        utf16le_from_utf8(&expected, &mut back);
        let again: Vec<u16> = expected.encode_utf16().collect();
        assert_eq!(back[6..], bytes(&again, Order::Little));
    }

    #[test]
    fn every_unit_is_read_at_every_place_of_a_block() {
        for unit in 0..=u16::MAX {
            check(&[0x61, unit]);
        }
        for unit in [0, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xd800, 0xdbff, 0xdc00, 0xdfff, 0xe000, 0xffff] {
            for before in 0..70 {
                let mut units = vec![0x61; before];
                units.push(unit);
                units.extend([0x62; 40]);
                check(&units);
            }
        }
    }

    #[test]
    fn a_pair_of_surrogates_is_one_character_also_across_blocks() {
        for before in 0..70 {
            for pair in
                [[0xd83d, 0xde00], [0xdbff, 0xdfff], [0xd83d, 0x62], [0xde00, 0xd83d], [0xd83d, 0xd83d]]
            {
                let mut units = vec![0x61; before];
                units.extend(pair);
                check(&units);
                units.extend([0x62; 40]);
                check(&units);
            }
        }
    }

    #[test]
    fn line_ends_and_controls_stay_as_they_are() {
        let mut out = Vec::new();
        utf8_from_utf16(b"\r\0\n\0\0\0\x01\0", Order::Little, &mut out);
        assert_eq!(out, b"\r\n\0\x01");
    }

    fn units() -> impl Strategy<Value = Vec<u16>> {
        let unit = prop_oneof![
            30 => 0x20_u16..0x7f,
            1 => 0_u16..0x900,
            1 => 0xd700_u16..0xe100,
            1 => any::<u16>(),
        ];
        prop::collection::vec(unit, 0..300)
    }

    proptest! {
        #[test]
        fn any_units_are_read_as_the_standard_library_reads_them(units in units()) {
            check(&units);
        }
    }
}
