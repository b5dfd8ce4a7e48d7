//! UTF-16 kernels: little-endian units straight to UTF-8, to the inside of a JSON string, to XML.
//!
//! Lone surrogates become U+FFFD. Text and JSON fold CRLF and lone CR to LF, XML passes them on as
//! Windows does. The scalar forms say what is right; `lanes`, 16 units at a time, is compared with
//! them by proptest.

use super::Pen;
use super::text::{self, Place};

/// UTF-16LE to UTF-8: lone surrogates to U+FFFD, CRLF and lone CR to LF.
pub fn decode_utf16(units: &[u8], out: &mut Vec<u8>) {
    #[cfg(target_arch = "x86_64")]
    lanes::write::<lanes::Text>(units, out);
    #[cfg(not(target_arch = "x86_64"))]
    scalar::decode(units, out);
}

/// UTF-16LE straight to JSON: `decode_utf16`, then `json_from_text`.
pub fn json_from_utf16(units: &[u8], out: &mut Vec<u8>) {
    #[cfg(target_arch = "x86_64")]
    lanes::write::<lanes::Json>(units, out);
    #[cfg(not(target_arch = "x86_64"))]
    scalar::json(units, out);
}

/// What stands behind a text that `json_until_nul` reads, so that it may read whole lanes.
pub const LOOKAHEAD: usize = 32;

/// `json_from_utf16` up to the first NUL. The last `LOOKAHEAD` bytes of `window` are no text, they
/// may be looked at.
#[inline(always)]
pub(super) fn json_until_nul<'o>(window: &[u8], pen: Pen<'o>) -> Pen<'o> {
    let bytes = window.len().saturating_sub(LOOKAHEAD) & !1;
    #[cfg(target_arch = "x86_64")]
    return lanes::json_until_nul(window, bytes, pen);
    #[cfg(not(target_arch = "x86_64"))]
    pen.with(|out| json_from_utf16(until_nul(&window[..bytes]), out))
}

/// UTF-16LE as XML: as `xml_from_text`, but line ends are passed on as they are, the way Windows
/// renders them.
pub fn xml_from_utf16(units: &[u8], place: Place, out: &mut Vec<u8>) {
    #[cfg(target_arch = "x86_64")]
    match place {
        Place::Content => lanes::write::<lanes::Content>(units, out),
        Place::Attribute => lanes::write::<lanes::Attribute>(units, out),
    }
    #[cfg(not(target_arch = "x86_64"))]
    scalar::xml(units, place, out);
}

/// Whole units up to the first NUL: what Windows takes a string to be.
#[inline]
pub fn until_nul(units: &[u8]) -> &[u8] {
    let units = &units[..units.len() & !1];
    #[cfg(target_arch = "x86_64")]
    let end = lanes::nul(units);
    #[cfg(not(target_arch = "x86_64"))]
    let end = scalar::nul(units);
    end.map_or(units, |end| &units[..end])
}

/// One character at a time.
#[cfg_attr(all(target_arch = "x86_64", not(test)), expect(dead_code, reason = "the twin for tests"))]
mod scalar {
    use super::{Place, text};

    pub(super) fn decode(units: &[u8], out: &mut Vec<u8>) {
        let mut after_cr = false;
        for character in characters(units) {
            match character {
                '\n' if after_cr => {}
                '\r' => out.push(b'\n'),
                _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
            after_cr = character == '\r';
        }
    }

    pub(super) fn json(units: &[u8], out: &mut Vec<u8>) {
        let mut decoded = Vec::new();
        decode(units, &mut decoded);
        text::json_from_text(&decoded, out);
    }

    pub(super) fn xml(units: &[u8], place: Place, out: &mut Vec<u8>) {
        for character in characters(units) {
            let mut bytes = [0; 4];
            let encoded = character.encode_utf8(&mut bytes).as_bytes();
            match encoded {
                // A CR would become a reference there; Windows passes it on.
                b"\r" => out.push(b'\r'),
                _ => text::xml_from_text(encoded, place, out),
            }
        }
    }

    pub(super) fn nul(units: &[u8]) -> Option<usize> {
        units.as_chunks::<2>().0.iter().position(|unit| *unit == [0, 0]).map(|unit| unit * 2)
    }

    fn characters(units: &[u8]) -> impl Iterator<Item = char> {
        char::decode_utf16(units.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])))
            .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "16 units at a time is about ten times the scalar form")]
mod lanes {
    use super::{LOOKAHEAD, Pen};
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_cmpeq_epi16, _mm_cvtsi128_si64, _mm_loadl_epi64, _mm_loadu_si128,
        _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_packus_epi16, _mm_set1_epi8, _mm_setzero_si128,
        _mm_srli_si128, _mm_storel_epi64, _mm_storeu_si128, _mm_unpacklo_epi64,
    };

    /// Offset of the first NUL unit.
    #[inline]
    pub(super) fn nul(units: &[u8]) -> Option<usize> {
        const LANE: usize = 16;
        if units.len() < LANE {
            let (Some(first), Some(last)) = (units.first_chunk(), units.last_chunk()) else {
                return super::scalar::nul(units);
            };
            // A borrow reaches the top bit of a unit only when one of the four is zero.
            let zero = |four: [u8; 8]| {
                let word = u64::from_le_bytes(four);
                word.wrapping_sub(0x0001_0001_0001_0001) & !word & 0x8000_8000_8000_8000
            };
            return if zero(*first) | zero(*last) == 0 { None } else { super::scalar::nul(units) };
        }
        let mut at = 0;
        loop {
            // SAFETY: `at` is at most the length less a lane, which is not negative.
            let lane = unsafe { _mm_loadu_si128(units.as_ptr().add(at).cast()) };
            // SAFETY: SSE2 belongs to every x86-64 processor.
            let marked = unsafe { _mm_movemask_epi8(_mm_cmpeq_epi16(lane, _mm_setzero_si128())) };
            if marked != 0 {
                return Some(at + marked.trailing_zeros() as usize);
            }
            if at + LANE == units.len() {
                return None;
            }
            // The last lane looks at some units again.
            at = (at + LANE).min(units.len() - LANE);
        }
    }

    /// What a target does with ASCII.
    pub(super) trait Target {
        /// Replacements: up to seven bytes of text, low byte first, and their count in the top
        /// byte; 0 where the character stands for itself.
        const ASCII: &'static [u64; 128];
        /// CRLF becomes what CR becomes.
        const FOLD: bool;
        /// 0xff where a byte has to be replaced. Bytes from 0x80 on may be anything, 0 is special.
        fn special(bytes: __m128i) -> __m128i;
    }

    /// Longest replacement of one unit: `\u001f`, `&apos;`.
    const UNIT_BYTES_MAX: usize = 6;
    /// What a store may write beyond what counts.
    const SLACK: usize = 16;

    pub(super) fn write<T: Target>(units: &[u8], out: &mut Vec<u8>) {
        let units = &units[..units.len() & !1];
        // Every unit grows to six bytes at most, and each store below writes at most 16 bytes from
        // where the output ends.
        out.reserve(units.len() / 2 * UNIT_BYTES_MAX + SLACK);
        let mut from = units.as_ptr();
        // SAFETY: `end` is one past the slice. `from` moves from unit to unit, never past `end`, and
        // each load is of units between the two. `to` starts at the length of `out` and moves at
        // most six bytes for each unit passed; each store touches at most 16 bytes from `to`, or
        // ends where the units that are left end as one byte each, and that much was reserved. The
        // bytes up to `to` are initialised.
        unsafe {
            let end = from.add(units.len());
            let mut to = out.as_mut_ptr().add(out.len());
            while from < end {
                let left = end.offset_from_unsigned(from) / 2;
                let (packed, lane) = if left >= 16 {
                    let low = _mm_loadu_si128(from.cast());
                    let packed = _mm_packus_epi16(low, _mm_loadu_si128(from.add(16).cast()));
                    _mm_storeu_si128(to.cast(), packed);
                    (packed, 16)
                } else if left >= 8 {
                    // The first and the last eight, which may be partly the same.
                    let first = _mm_loadu_si128(from.cast());
                    let packed = _mm_packus_epi16(first, _mm_loadu_si128(end.sub(16).cast()));
                    _mm_storel_epi64(to.cast(), packed);
                    if marks::<T>(packed) == 0 {
                        _mm_storel_epi64(to.add(left - 8).cast(), _mm_srli_si128(packed, 8));
                        to = to.add(left);
                        break;
                    }
                    (packed, 8)
                } else if left >= 4 {
                    let both =
                        _mm_unpacklo_epi64(_mm_loadl_epi64(from.cast()), _mm_loadl_epi64(end.sub(8).cast()));
                    let packed = _mm_packus_epi16(both, both);
                    let bytes = (_mm_cvtsi128_si64(packed) as u64).to_le_bytes();
                    to.cast::<[u8; 8]>().write(bytes);
                    if marks::<T>(packed) == 0 {
                        let [.., a, b, c, d] = bytes;
                        to.add(left - 4).cast::<[u8; 4]>().write([a, b, c, d]);
                        to = to.add(left);
                        break;
                    }
                    (packed, 4)
                } else {
                    let unit = u16::from_le_bytes(from.cast::<[u8; 2]>().read());
                    if unit < 0x80 && T::ASCII[usize::from(unit)] == 0 {
                        *to = unit as u8;
                        to = to.add(1);
                        from = from.add(2);
                    } else {
                        (from, to) = one::<T>(from, end, to);
                    }
                    continue;
                };
                let marked = marks::<T>(packed) & ((1 << lane) - 1);
                if marked == 0 {
                    from = from.add(lane * 2);
                    to = to.add(lane);
                } else {
                    (from, to) = marked_lane::<T>(packed, marked, lane, from, end, to);
                }
            }
            let length = to.offset_from_unsigned(out.as_ptr());
            out.set_len(length);
        }
    }

    /// Whole lanes only: what a lane holds behind the text is not looked at, and what is stored of
    /// it is written over.
    #[inline(always)]
    pub(super) fn json_until_nul<'o>(units: &[u8], bytes: usize, pen: Pen<'o>) -> Pen<'o> {
        assert!(bytes.is_multiple_of(2) && (bytes == 0 || bytes + LOOKAHEAD <= units.len()));
        let pen = pen.room(bytes / 2 * UNIT_BYTES_MAX + SLACK);
        // SAFETY: `from` moves from unit to unit and never past `end`, behind which a whole lane can
        // be loaded. `to` moves at most six bytes for each unit passed, and each store touches at
        // most 16 bytes from `to`: that much room was made. The bytes up to `to` are written.
        unsafe {
            let mut from = units.as_ptr();
            let end = from.add(bytes);
            let mut to = pen.place();
            while from < end {
                let low = _mm_loadu_si128(from.cast());
                let packed = _mm_packus_epi16(low, _mm_loadu_si128(from.add(16).cast()));
                _mm_storeu_si128(to.cast(), packed);
                let lane = (end.offset_from_unsigned(from) / 2).min(16);
                let marked = marks::<Json>(packed) & (0xffff >> (16 - lane));
                if marked == 0 {
                    (from, to) = (from.add(lane * 2), to.add(lane));
                    continue;
                }
                let clean = marked.trailing_zeros() as usize;
                (from, to) = (from.add(clean * 2), to.add(clean));
                let unit = u16::from_le_bytes(from.cast::<[u8; 2]>().read());
                if unit == 0 {
                    break;
                }
                let replacement = Json::ASCII.get(usize::from(unit)).copied().unwrap_or(0);
                if replacement == 0 || unit == 0x0d {
                    (from, to) = one::<Json>(from, end, to);
                } else {
                    to.cast::<[u8; 8]>().write(replacement.to_le_bytes());
                    (from, to) = (from.add(2), to.add((replacement >> 56) as usize));
                }
            }
            pen.moved(to)
        }
    }

    /// A bit for each byte that cannot be copied as it is. Packing made units from 0x100 on 0xff,
    /// and from 0x8000 on 0: both are marked.
    #[inline]
    fn marks<T: Target>(packed: __m128i) -> u32 {
        // SAFETY: SSE2 belongs to every x86-64 processor.
        unsafe { _mm_movemask_epi8(_mm_or_si128(packed, T::special(packed))) as u32 }
    }

    /// A lane that was copied to `to` and has marked bytes in it: what is ASCII among them is
    /// replaced and the rest of the lane copied again behind it; anything else goes to `one`.
    ///
    /// # Safety
    /// As for `one`; `lane` units stand at `from`, and 16 bytes may be written for each unit's end.
    #[inline]
    unsafe fn marked_lane<T: Target>(
        packed: __m128i,
        mut marked: u32,
        lane: usize,
        from: *const u8,
        end: *const u8,
        mut to: *mut u8,
    ) -> (*const u8, *mut u8) {
        let mut bytes = [0_u8; 32];
        let mut at = 0;
        // SAFETY: `next` and `at` are at most 16, so loads stay in `bytes` and units before `end`;
        // stores are of 16 bytes from `to`, of which the caller knows there is room.
        unsafe {
            _mm_storeu_si128(bytes.as_mut_ptr().cast(), packed);
            while marked != 0 {
                let next = marked.trailing_zeros() as usize;
                to = to.add(next - at);
                let unit = u16::from_le_bytes(from.add(next * 2).cast::<[u8; 2]>().read());
                let replacement = T::ASCII.get(usize::from(unit)).copied().unwrap_or(0);
                if replacement == 0 || (T::FOLD && unit == 0x0d) {
                    return one::<T>(from.add(next * 2), end, to);
                }
                to.cast::<[u8; 8]>().write(replacement.to_le_bytes());
                to = to.add((replacement >> 56) as usize);
                at = next + 1;
                _mm_storeu_si128(to.cast(), _mm_loadu_si128(bytes.as_ptr().add(at).cast()));
                marked &= marked - 1;
            }
            (from.add(lane * 2), to.add(lane - at))
        }
    }

    /// One character that a lane cannot copy, and those after it that are not ASCII.
    ///
    /// # Safety
    /// A whole unit stands at `from`, units go on to `end`, and `to` has room for six bytes for
    /// each of them and eight more.
    #[inline]
    unsafe fn one<T: Target>(mut from: *const u8, end: *const u8, mut to: *mut u8) -> (*const u8, *mut u8) {
        // SAFETY: reads are of units before `end`; what is written is what the caller made room for:
        // eight bytes where the replacement counts up to six, three or four bytes for one or two units.
        unsafe {
            let unit = from.cast::<[u8; 2]>().read();
            let mut unit = u16::from_le_bytes(unit);
            from = from.add(2);
            if unit < 0x80 {
                if T::FOLD && unit == 0x0d && from < end && from.cast::<[u8; 2]>().read() == [0x0a, 0] {
                    from = from.add(2);
                }
                let replacement = T::ASCII[usize::from(unit)];
                if replacement == 0 {
                    *to = unit as u8;
                    return (from, to.add(1));
                }
                to.cast::<[u8; 8]>().write(replacement.to_le_bytes());
                return (from, to.add((replacement >> 56) as usize));
            }
            loop {
                let character = match unit {
                    0xd800..0xdc00 if from < end => {
                        let low = u16::from_le_bytes(from.cast::<[u8; 2]>().read());
                        if (0xdc00..0xe000).contains(&low) {
                            from = from.add(2);
                            0x1_0000 + (u32::from(unit - 0xd800) << 10) + u32::from(low - 0xdc00)
                        } else {
                            0xfffd
                        }
                    }
                    0xd800..0xe000 => 0xfffd,
                    _ => u32::from(unit),
                };
                let (bytes, count) = utf8(character);
                to.cast::<[u8; 4]>().write(bytes);
                to = to.add(count);
                if from == end {
                    return (from, to);
                }
                unit = u16::from_le_bytes(from.cast::<[u8; 2]>().read());
                if unit < 0x80 {
                    return (from, to);
                }
                from = from.add(2);
            }
        }
    }

    /// UTF-8 of a character that is not ASCII.
    #[inline]
    fn utf8(character: u32) -> ([u8; 4], usize) {
        let tail = |shift: u32| 0x80 | (character >> shift & 0x3f) as u8;
        match character {
            0..0x800 => ([0xc0 | (character >> 6) as u8, tail(0), 0, 0], 2),
            0x800..0x1_0000 => ([0xe0 | (character >> 12) as u8, tail(6), tail(0), 0], 3),
            _ => ([0xf0 | (character >> 18) as u8, tail(12), tail(6), tail(0)], 4),
        }
    }

    const fn replacement(text: &[u8]) -> u64 {
        let mut word = (text.len() as u64) << 56;
        let mut index = 0;
        while index < text.len() {
            word |= (text[index] as u64) << (index * 8);
            index += 1;
        }
        word
    }

    fn equal(bytes: __m128i, byte: u8) -> __m128i {
        // SAFETY: SSE2 belongs to every x86-64 processor.
        unsafe { _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte as i8)) }
    }

    fn any<const N: usize>(bytes: __m128i, list: [u8; N]) -> __m128i {
        // SAFETY: as in `equal`.
        list.into_iter()
            .fold(equal(bytes, 0), |found, byte| unsafe { _mm_or_si128(found, equal(bytes, byte)) })
    }

    pub(super) struct Text;
    pub(super) struct Json;
    pub(super) struct Content;
    pub(super) struct Attribute;

    impl Target for Text {
        const ASCII: &'static [u64; 128] = &{
            let mut table = [0; 128];
            table[b'\r' as usize] = replacement(b"\n");
            table
        };
        const FOLD: bool = true;

        fn special(bytes: __m128i) -> __m128i {
            any(bytes, [b'\r'])
        }
    }

    impl Target for Json {
        const ASCII: &'static [u64; 128] = &{
            const HEX: &[u8; 16] = b"0123456789abcdef";
            let mut table = [0; 128];
            let mut byte = 0;
            while byte < 0x20 {
                table[byte] = replacement(&[b'\\', b'u', b'0', b'0', HEX[byte >> 4], HEX[byte & 15]]);
                byte += 1;
            }
            table[b'\n' as usize] = replacement(b"\\n");
            table[b'\t' as usize] = replacement(b"\\t");
            table[b'\r' as usize] = replacement(b"\\n");
            table[b'"' as usize] = replacement(b"\\\"");
            table[b'\\' as usize] = replacement(b"\\\\");
            table
        };
        const FOLD: bool = true;

        fn special(bytes: __m128i) -> __m128i {
            // SAFETY: as in `equal`.
            let control = unsafe { _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes) };
            // SAFETY: as in `equal`.
            unsafe { _mm_or_si128(control, _mm_or_si128(equal(bytes, b'"'), equal(bytes, b'\\'))) }
        }
    }

    const CONTENT: [u64; 128] = {
        let mut table = [0; 128];
        table[b'&' as usize] = replacement(b"&amp;");
        table[b'<' as usize] = replacement(b"&lt;");
        table[b'>' as usize] = replacement(b"&gt;");
        table
    };

    impl Target for Content {
        const ASCII: &'static [u64; 128] = &CONTENT;
        const FOLD: bool = false;

        fn special(bytes: __m128i) -> __m128i {
            any(bytes, [b'&', b'<', b'>'])
        }
    }

    impl Target for Attribute {
        const ASCII: &'static [u64; 128] = &{
            let mut table = CONTENT;
            table[b'\'' as usize] = replacement(b"&apos;");
            table
        };
        const FOLD: bool = false;

        fn special(bytes: __m128i) -> __m128i {
            any(bytes, [b'&', b'<', b'>', b'\''])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Runs of what events hold, with a rare unit of each class in them.
    fn texts() -> impl Strategy<Value = Vec<u16>> {
        let unit = prop_oneof![
            12 => 0x20_u16..0x7f,
            2 => prop::sample::select(vec![0x0d, 0x0a, 0x22, 0x5c, 0x26, 0x3c, 0x3e, 0x27, 0x7f, 0x80, 0xff, 0x100]),
            1 => 0_u16..0x20,
            1 => 0xd7f0_u16..0xe010,
            1 => any::<u16>(),
        ];
        prop::collection::vec(unit, 0..80)
    }

    fn both(units: &[u8], fast: impl Fn(&[u8], &mut Vec<u8>), slow: impl Fn(&[u8], &mut Vec<u8>)) {
        let (mut one, mut other) = (b"before".to_vec(), b"before".to_vec());
        fast(units, &mut one);
        slow(units, &mut other);
        assert_eq!(String::from_utf8(one), String::from_utf8(other));
    }

    proptest! {
        #[test]
        fn the_lanes_write_what_the_scalar_forms_write(units in texts(), odd in any::<bool>()) {
            let mut bytes: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
            if odd {
                bytes.push(0x41);
            }
            both(&bytes, decode_utf16, scalar::decode);
            both(&bytes, json_from_utf16, scalar::json);
            both(&bytes, with_more_behind, |units, out| scalar::json(until_nul(units), out));
            both(&bytes, with_more_behind, |units, out| scalar::json(until_nul(units), out));
            for place in [Place::Content, Place::Attribute] {
                both(&bytes, |units, out| xml_from_utf16(units, place, out), |units, out| {
                    scalar::xml(units, place, out);
                });
            }
        }
    }

    #[test]
    fn a_string_ends_at_its_first_nul_wherever_that_is() {
        for length in 0..40 {
            let mut bytes: Vec<u8> = "x".repeat(length).bytes().flat_map(|byte| [byte, 0]).collect();
            assert_eq!(until_nul(&bytes).len(), length * 2);
            bytes.push(0);
            assert_eq!(until_nul(&bytes).len(), length * 2);
            bytes.extend(b"\0rest..rest..rest..\0\0");
            assert_eq!(until_nul(&bytes).len(), length * 2);
        }
        // A zero high byte beside a zero low byte is no NUL.
        assert_eq!(until_nul(&[1, 0, 0, 1]).len(), 4);
        assert_eq!(until_nul(&[1, 0, 0, 1].repeat(9)).len(), 36);
    }

    #[test]
    fn every_unit_alone_and_within_a_lane_is_written_the_same() {
        for unit in 0..=u16::MAX {
            for before in [0, 5, 16] {
                let mut units = vec![0x61_u16; before];
                units.push(unit);
                units.extend([0x0a, 0x62]);
                let bytes: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
                both(&bytes, decode_utf16, scalar::decode);
                both(&bytes, json_from_utf16, scalar::json);
                both(&bytes, with_more_behind, |units, out| scalar::json(until_nul(units), out));
            }
        }
    }

    /// The text among others, as it stands in a chunk.
    fn with_more_behind(units: &[u8], out: &mut Vec<u8>) {
        let window = [units, &b"\x0a\0\"\0more behind it that does not count"[..LOOKAHEAD]].concat();
        json_until_nul(&window, Pen::new(out)).finish();
    }

    #[test]
    fn utf16_reads_lone_surrogates_as_replacement() {
        let units: Vec<u8> = [0x41_u16, 0xd800, 0x42, 0xdc00, 0xd83d, 0xde00, 0x0d, 0x0a]
            .iter()
            .flat_map(|unit| unit.to_le_bytes())
            .collect();
        let mut text = Vec::new();
        decode_utf16(&units, &mut text);
        assert_eq!(String::from_utf8(text).unwrap(), "A\u{fffd}B\u{fffd}😀\n");
    }
}
