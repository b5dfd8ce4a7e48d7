//! The next byte that matters: short searches through tags, names and values.
//!
//! Values are short (a dozen bytes, mostly), so the search must start fast rather than run fast:
//! one 16-byte step inline, the vectorised search of `memchr` behind it.

use super::{EventError, error};
use crate::event::text::reference;

/// Position of the first `needle` at or after `at`, or the end.
#[inline]
pub(super) fn find(text: &[u8], at: usize, needle: u8) -> usize {
    find_either(text, at, needle, needle)
}

/// Position of the first `one` or `other` at or after `at`, or the end.
#[inline]
pub(super) fn find_either(text: &[u8], at: usize, one: u8, other: u8) -> usize {
    let mut at = at;
    for _ in 0..4 {
        let Some(block) = text.get(at..).and_then(<[u8]>::first_chunk::<16>) else { break };
        let hits = hits(block, one, other);
        if hits != 0 {
            return at + hits.trailing_zeros() as usize;
        }
        at += 16;
    }
    let rest = text.get(at..).unwrap_or_default();
    at + memchr::memchr2(one, other, rest).unwrap_or(rest.len())
}

/// Bit per byte of the block that is `one` or `other`.
#[cfg(target_arch = "x86_64")]
#[inline]
fn hits(block: &[u8; 16], one: u8, other: u8) -> u32 {
    #[target_feature(enable = "sse2")]
    #[inline]
    fn vector(block: &[u8; 16], one: u8, other: u8) -> u32 {
        use std::arch::x86_64::{
            _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
        };
        let half = |range: std::ops::Range<usize>| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&block[range]);
            i64::from_le_bytes(bytes)
        };
        let bytes = _mm_set_epi64x(half(8..16), half(0..8));
        let one = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(one.cast_signed()));
        let other = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(other.cast_signed()));
        _mm_movemask_epi8(_mm_or_si128(one, other)).cast_unsigned()
    }
    #[expect(unsafe_code, reason = "the compiler wants to hear that SSE2 is there")]
    // SAFETY: SSE2 is part of every x86-64 processor.
    unsafe {
        vector(block, one, other)
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn hits(block: &[u8; 16], one: u8, other: u8) -> u32 {
    hits_bytewise(block, one, other)
}

/// What `hits` means.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn hits_bytewise(block: &[u8; 16], one: u8, other: u8) -> u32 {
    let hit = |(index, &byte): (usize, &u8)| u32::from(byte == one || byte == other) << index;
    block.iter().enumerate().map(hit).sum()
}

/// Whether `literal` stands at `at`.
#[inline]
pub(super) fn stands<const N: usize>(text: &[u8], at: usize, literal: &[u8; N]) -> bool {
    text.get(at..).and_then(<[u8]>::first_chunk::<N>) == Some(literal)
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// First position at or after `at` that is not white space.
#[inline]
pub(super) fn skip_space(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|&byte| !is_space(byte)).unwrap_or(rest.len())
}

/// Nothing but white space, be it written as references: on one line, line ends between elements
/// are.
pub(super) fn is_blank(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = if is_space(byte) {
            behind
        } else if let Some((' ' | '\t' | '\r' | '\n', length)) = reference(rest) {
            &rest[length..]
        } else {
            return false;
        };
    }
    true
}

/// End of the name that starts at `at`.
pub(super) fn name_end(text: &[u8], at: usize) -> Result<usize, EventError> {
    let rest = text.get(at..).unwrap_or_default();
    let length = rest.iter().position(|&byte| !NAME[usize::from(byte)]).unwrap_or(rest.len());
    match rest.first() {
        Some(b'-' | b'.' | b'0'..=b'9') | None => error(at, "a name is missing"),
        _ if length == 0 => error(at, "a name is missing"),
        _ => Ok(at + length),
    }
}

/// Whether `name` can be the name of an element or attribute: as XML 1.0 section 2.3 for ASCII,
/// and every character beyond.
pub fn is_name(name: &[u8]) -> bool {
    name_end(name, 0) == Ok(name.len())
}

/// Bytes of names; past ASCII all are, as every reader that matters has it.
const NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'-' | b'.') || b >= 0x80;
        byte += 1;
    }
    table
};

/// Checks `text[from..to]`; both must be places where a character starts.
#[inline]
pub(super) fn check_utf8(text: &[u8], from: usize, to: usize) -> Result<(), EventError> {
    let part = text.get(from..to).unwrap_or_default();
    if part.is_ascii() {
        return Ok(());
    }
    match std::str::from_utf8(part) {
        Ok(_) => Ok(()),
        Err(wrong) => error(from + wrong.valid_up_to(), "the text is not UTF-8"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_vector_search_finds_what_the_plain_one_finds(
            text in proptest::collection::vec(prop_oneof![4 => any::<u8>(), 1 => Just(b'<'), 1 => Just(b'\'')], 0..200),
            at in 0..210_usize,
        ) {
            let plain = text.iter().enumerate().skip(at).find(|(_, byte)| matches!(**byte, b'<' | b'\''));
            let expected = plain.map_or_else(|| text.len().max(at), |(index, _)| index);
            prop_assert_eq!(find_either(&text, at, b'<', b'\''), expected);
            if let Some(block) = text.first_chunk() {
                prop_assert_eq!(hits(block, b'<', b'x'), hits_bytewise(block, b'<', b'x'));
            }
        }
    }

    #[test]
    fn names_are_those_of_xml() {
        for name in ["a", "_1", "e:Event", "auto-ns2", "Größe"] {
            assert!(is_name(name.as_bytes()), "{name}");
        }
        for name in ["", "-a", "1", "a b", "@a", "#text", "a>", "a='"] {
            assert!(!is_name(name.as_bytes()), "{name}");
        }
    }
}
