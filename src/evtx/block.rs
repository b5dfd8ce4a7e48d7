//! Bytes compared in blocks, some of them left out: what has come before is recognised by that.

pub(super) const BLOCK_BYTES: usize = 16;

/// Sixteen bytes that are expected.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    bytes: [u8; BLOCK_BYTES],
    /// Zero where anything may stand.
    mask: [u8; BLOCK_BYTES],
}

impl Block {
    /// Nothing is equal to it.
    pub(super) const NEVER: Self = Self { bytes: [1; BLOCK_BYTES], mask: [0; BLOCK_BYTES] };

    /// The first `count` of these bytes, as far as a block goes, and anything behind them.
    pub(super) fn new(bytes: &[u8], count: usize) -> Self {
        let word = match bytes.first_chunk() {
            Some(word) => u128::from_le_bytes(*word),
            None => bytes.iter().rev().fold(0, |word, &byte| word << 8 | u128::from(byte)),
        };
        let mask = FIRST[count.min(BLOCK_BYTES)];
        Self { bytes: (word & mask).to_le_bytes(), mask: mask.to_le_bytes() }
    }

    pub(super) fn leave_out(&mut self, at: usize) {
        (self.bytes[at], self.mask[at]) = (0, 0);
    }
}

/// Masks of the first bytes of a block, as many as the index.
const FIRST: [u128; BLOCK_BYTES + 1] = {
    let mut masks = [0; BLOCK_BYTES + 1];
    let mut count = 1;
    while count < masks.len() {
        masks[count] = masks[count - 1] << 8 | 0xff;
        count += 1;
    }
    masks
};

/// Whether all that was found is what was expected in its place.
#[inline(always)]
pub(super) fn are_equal(expected: &[Block], found: &[[u8; BLOCK_BYTES]]) -> bool {
    #[cfg(target_arch = "x86_64")]
    return lanes(expected, found);
    #[cfg(not(target_arch = "x86_64"))]
    scalar(expected, found)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn scalar(expected: &[Block], found: &[[u8; BLOCK_BYTES]]) -> bool {
    expected.iter().zip(found).all(|(Block { bytes, mask }, found)| {
        u128::from_le_bytes(*found) & u128::from_le_bytes(*mask) == u128::from_le_bytes(*bytes)
    })
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[expect(unsafe_code, reason = "the compiler wants to hear that SSE2 is there")]
fn lanes(expected: &[Block], found: &[[u8; BLOCK_BYTES]]) -> bool {
    use std::arch::x86_64::{
        _mm_and_si128, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128, _mm_setzero_si128,
        _mm_xor_si128,
    };
    // SAFETY: SSE2 belongs to every x86-64 processor, and each load is of an array of 16 bytes.
    unsafe {
        let load = |bytes: &[u8; BLOCK_BYTES]| _mm_loadu_si128(bytes.as_ptr().cast());
        let mut different = _mm_setzero_si128();
        for (Block { bytes, mask }, found) in expected.iter().zip(found) {
            let seen = _mm_and_si128(load(found), load(mask));
            different = _mm_or_si128(different, _mm_xor_si128(seen, load(bytes)));
        }
        _mm_movemask_epi8(_mm_cmpeq_epi8(different, _mm_setzero_si128())) == 0xffff
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lanes_compare_as_bytes_do(
            bytes in prop::collection::vec(any::<[u8; BLOCK_BYTES]>(), 0..4),
            left_out in prop::collection::vec((0..64_usize, any::<u8>()), 0..12),
            changed in prop::option::of((0..64_usize, 1..=u8::MAX)),
        ) {
            let mut expected: Vec<Block> = bytes.iter().map(|bytes| Block::new(bytes, BLOCK_BYTES)).collect();
            let mut found = bytes;
            let all = found.len() * BLOCK_BYTES;
            for (at, byte) in left_out.into_iter().filter(|(at, _)| *at < all) {
                expected[at / BLOCK_BYTES].leave_out(at % BLOCK_BYTES);
                found[at / BLOCK_BYTES][at % BLOCK_BYTES] = byte;
            }
            prop_assert!(are_equal(&expected, &found) && scalar(&expected, &found));
            if let Some((at, flip)) = changed.filter(|(at, _)| *at < all) {
                found[at / BLOCK_BYTES][at % BLOCK_BYTES] ^= flip;
                prop_assert_eq!(are_equal(&expected, &found), scalar(&expected, &found));
            }
            prop_assert!(found.is_empty() || !are_equal(&[Block::NEVER], &found));
        }
    }

    #[test]
    fn what_stands_behind_what_is_expected_does_not_matter() {
        let text = b"abcdefghijklmnop";
        for (bytes, count) in
            [(&b"abc"[..], 3), (&text[..], 3), (b"abcx", 3), (b"", 0), (text, 16), (text, 17)]
        {
            let block = [Block::new(bytes, count)];
            assert!(are_equal(&block, &[*text]));
            assert_eq!(are_equal(&block, &[*b"abxdefghijklmnop"]), count == 0);
            assert_eq!(are_equal(&block, &[*b"abcdefghijklmnox"]), count < 16);
        }
    }
}
