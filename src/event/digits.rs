//! Decimal numbers that stand as UTF-16: what JSON would write with the same digits is copied.

use super::Pen;

/// Most digits that are looked at together; a longer text is left to others.
const DIGITS_MAX: usize = 16;
/// What should stand behind the start of a text, so that it may be read as one lane.
const LANE_BYTES: usize = 2 * DIGITS_MAX;

/// Writes the first `bytes` of `units` where these are a number without leading zeros. Err: they are
/// not, or not seen to be; nothing is written. What stands behind them may be looked at.
#[inline(always)]
pub(super) fn number<'o>(units: &[u8], bytes: usize, pen: Pen<'o>) -> Result<Pen<'o>, Pen<'o>> {
    let count = bytes / 2;
    let Some(lane) =
        units.first_chunk().filter(|_| bytes.is_multiple_of(2) && (1..=DIGITS_MAX).contains(&count))
    else {
        return Err(pen);
    };
    let (text, others) = narrow(lane);
    let is_number = others << (DIGITS_MAX - count) == 0;
    let leading_zero = lane[0] == b'0' && count > 1;
    if is_number && !leading_zero { Ok(pen.block(text, count)) } else { Err(pen) }
}

/// The units as bytes, and a bit for each that is no digit; what such a byte is does not matter.
#[cfg(not(target_arch = "x86_64"))]
use scalar as narrow;

#[cfg(any(test, not(target_arch = "x86_64")))]
fn scalar(lane: &[u8; LANE_BYTES]) -> ([u8; DIGITS_MAX], u16) {
    let (mut text, mut others) = ([0; DIGITS_MAX], 0);
    for (index, &[low, high]) in lane.as_chunks().0.iter().enumerate() {
        text[index] = low;
        others |= u16::from(high != 0 || !low.is_ascii_digit()) << index;
    }
    (text, others)
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[expect(unsafe_code, reason = "the compiler wants to hear that SSE2 is there")]
fn narrow(lane: &[u8; LANE_BYTES]) -> ([u8; DIGITS_MAX], u16) {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_packus_epi16, _mm_set1_epi8,
        _mm_storeu_si128, _mm_sub_epi8,
    };
    let mut text = [0; DIGITS_MAX];
    // SAFETY: SSE2 belongs to every x86-64 processor; the loads are of the two halves of `lane`, and
    // the store is of 16 bytes, as `text` has.
    let digits = unsafe {
        // A unit from 0x100 on becomes 0 or 0xff: no digit either.
        let low = _mm_loadu_si128(lane.as_ptr().cast());
        let packed = _mm_packus_epi16(low, _mm_loadu_si128(lane.as_ptr().add(16).cast()));
        _mm_storeu_si128(text.as_mut_ptr().cast(), packed);
        let values = _mm_sub_epi8(packed, _mm_set1_epi8(b'0' as i8));
        _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(values, _mm_set1_epi8(9)), values))
    };
    (text, !digits as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(text: &str, behind: &str) -> Option<String> {
        let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let behind = behind.encode_utf16().flat_map(u16::to_le_bytes);
        let window: Vec<u8> = units.iter().copied().chain(behind).chain([0; LANE_BYTES]).collect();
        let mut out = b"x".to_vec();
        let is_number = match number(&window, units.len(), Pen::new(&mut out)) {
            Ok(pen) => {
                pen.finish();
                true
            }
            Err(pen) => {
                pen.finish();
                false
            }
        };
        assert!(is_number || out == b"x");
        is_number.then(|| String::from_utf8(out.split_off(1)).unwrap())
    }

    #[test]
    fn a_text_is_a_number_when_decimal_gives_back_the_same_text() {
        for text in ["0", "4624", "9999999999999999"] {
            for behind in ["", "7", "x", "\0"] {
                assert_eq!(written(text, behind).as_deref(), Some(text));
            }
        }
        for text in ["", "00", "07", "0x1", "-1", "1 ", "1\0", "\u{131}", "\u{8031}", "12345678901234567"] {
            assert_eq!(written(text, "1"), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn sixteen_units_together_are_sixteen_units_one_by_one(lane: [u16; DIGITS_MAX], digits: [bool; DIGITS_MAX]) {
            let mut bytes = [0; LANE_BYTES];
            for ((to, unit), digit) in bytes.as_chunks_mut().0.iter_mut().zip(lane).zip(digits) {
                *to = if digit { 0x2e + unit % 14 } else { unit }.to_le_bytes();
            }
            let ((fast, others), (slow, expected)) = (narrow(&bytes), scalar(&bytes));
            prop_assert_eq!(others, expected);
            for index in (0..DIGITS_MAX).filter(|index| others >> index & 1 == 0) {
                prop_assert_eq!(fast[index], slow[index]);
            }
        }
    }
}
