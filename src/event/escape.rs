//! One pass from XML text or plain text to the inside of a JSON string.
//!
//! Sixteen bytes are loaded, stored and looked at together; the first byte that needs care is
//! written on its own, and the run begins anew behind it. Values are short, so what is left below
//! sixteen bytes goes in two overlapping words.

use super::text::reference;

/// UTF-8 text escaped for a JSON string.
pub fn json_from_text(text: &[u8], out: &mut Vec<u8>) {
    let mut at = copy_clean(text, out);
    while at < text.len() {
        escape(text[at], out);
        at += 1;
        at += copy_clean(&text[at..], out);
    }
}

/// XML text as written: references resolved, CRLF and lone CR to LF, then escaped.
pub fn json_from_xml(raw: &[u8], out: &mut Vec<u8>) {
    let mut at = copy_clean(raw, out);
    while at < raw.len() {
        match raw[at] {
            b'\r' => {
                out.extend_from_slice(b"\\n");
                at += if raw.get(at + 1) == Some(&b'\n') { 2 } else { 1 };
            }
            b'&' => match reference(&raw[at..]) {
                Some((character, length)) => {
                    match u8::try_from(character) {
                        Ok(byte) if byte < 0x80 => escape(byte, out),
                        _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
                    }
                    at += length;
                }
                None => {
                    out.push(b'&');
                    at += 1;
                }
            },
            byte => {
                escape(byte, out);
                at += 1;
            }
        }
        at += copy_clean(&raw[at..], out);
    }
}

/// One ASCII character.
fn escape(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0x00..0x20 => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        }
        _ => out.push(byte),
    }
}

/// Whether a run must stop here: what JSON escapes, and the ampersand of XML references.
fn needs_care(byte: u8) -> bool {
    byte < 0x20 || matches!(byte, b'"' | b'\\' | b'&')
}

/// Appends the longest start of `text` in which nothing needs care; its length.
#[inline]
fn copy_clean(text: &[u8], out: &mut Vec<u8>) -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        #[expect(unsafe_code, reason = "the compiler wants to hear that SSE2 is there")]
        // SAFETY: SSE2 is part of every x86-64 processor.
        unsafe {
            copy_clean_by_blocks(text, out)
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    copy_clean_bytewise(text, out)
}

/// What `copy_clean` means.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn copy_clean_bytewise(text: &[u8], out: &mut Vec<u8>) -> usize {
    let length = text.iter().position(|&byte| needs_care(byte)).unwrap_or(text.len());
    out.extend_from_slice(&text[..length]);
    length
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
#[expect(unsafe_code, reason = "sixteen bytes are stored before it is known how many of them stay")]
fn copy_clean_by_blocks(text: &[u8], out: &mut Vec<u8>) -> usize {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi8, _mm_storeu_si128,
    };
    let mut done = 0;
    if text.len() >= 16 {
        out.reserve(text.len());
        let start = out.len();
        while done + 16 <= text.len() {
            // SAFETY: 16 bytes from `done` are inside `text`; `out` has room for `text.len()` bytes
            // behind `start`, so for these too.
            let block = unsafe { _mm_loadu_si128(text.as_ptr().add(done).cast::<__m128i>()) };
            // SAFETY: as above.
            unsafe { _mm_storeu_si128(out.as_mut_ptr().add(start + done).cast::<__m128i>(), block) };
            let is = |byte: u8| _mm_cmpeq_epi8(block, _mm_set1_epi8(byte.cast_signed()));
            let control = _mm_cmpeq_epi8(_mm_min_epu8(block, _mm_set1_epi8(0x1f)), block);
            let quote = _mm_or_si128(is(b'"'), is(b'\\'));
            let care = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(control, quote), is(b'&')));
            if care != 0 {
                done += care.trailing_zeros() as usize;
                // SAFETY: `start + done` bytes are written and within the capacity.
                unsafe { out.set_len(start + done) };
                return done;
            }
            done += 16;
        }
        // SAFETY: as above.
        unsafe { out.set_len(start + done) };
    }
    done + copy_clean_short(&text[done..], out)
}

/// Below sixteen bytes: words that overlap, so that no length takes more than two.
#[cfg(target_arch = "x86_64")]
#[inline]
fn copy_clean_short(text: &[u8], out: &mut Vec<u8>) -> usize {
    let clean = match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        (Some(head), Some(tail)) => {
            is_clean(u64::from_le_bytes(*head)) && is_clean(u64::from_le_bytes(*tail))
        }
        _ => match (text.first_chunk::<4>(), text.last_chunk::<4>()) {
            (Some(head), Some(tail)) => {
                let both = u64::from(u32::from_le_bytes(*tail)) << 32 | u64::from(u32::from_le_bytes(*head));
                is_clean(both)
            }
            _ => !text.iter().any(|&byte| needs_care(byte)),
        },
    };
    let length =
        if clean { text.len() } else { text.iter().position(|&byte| needs_care(byte)).unwrap_or(text.len()) };
    out.extend_from_slice(&text[..length]);
    length
}

/// Whether none of eight bytes needs care. A borrow may mark a clean byte above a marked one, never
/// hide one, so that yes is always right and no at worst costs a look at each byte.
#[cfg(target_arch = "x86_64")]
#[inline]
fn is_clean(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let is = |byte: u8| zero(word ^ (ONES * u64::from(byte)));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (control | is(b'"') | is(b'\\') | is(b'&')) & HIGH == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::text::decode_xml;
    use proptest::prelude::*;

    /// Decode, then escape byte by byte.
    fn slowly(raw: &[u8], xml: bool) -> Vec<u8> {
        let (mut text, mut out) = (Vec::new(), Vec::new());
        if xml {
            decode_xml(raw, &mut text);
        } else {
            text.extend_from_slice(raw);
        }
        text.iter().for_each(|&byte| escape(byte, &mut out));
        out
    }

    const SPECIAL: &[&[u8]] = &[b"\r\n", b"\r", b"&lt;", b"&#x1F600;", b"&#13;", b"\\", b"\"", b"&"];

    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            "[ -~]{0,40}".prop_map(String::into_bytes),
            proptest::collection::vec(any::<u8>(), 0..8),
            prop::sample::select(SPECIAL).prop_map(<[u8]>::to_vec),
        ];
        proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn the_fast_way_writes_what_the_slow_way_writes(text in pieces()) {
            let (mut from_xml, mut from_text) = (b"x".to_vec(), b"x".to_vec());
            json_from_xml(&text, &mut from_xml);
            json_from_text(&text, &mut from_text);
            prop_assert_eq!(&from_xml[1..], slowly(&text, true));
            prop_assert_eq!(&from_text[1..], slowly(&text, false));
        }

        #[test]
        fn a_run_by_blocks_is_a_run_bytewise(text in pieces(), from in 0..4_usize) {
            let text = &text[from.min(text.len())..];
            let (mut fast, mut slow) = (Vec::new(), Vec::new());
            prop_assert_eq!(copy_clean(text, &mut fast), copy_clean_bytewise(text, &mut slow));
            prop_assert_eq!(fast, slow);
        }
    }
}
