//! Appends short pieces to an output without the calls and checks that a general copy costs.

/// As `Vec::extend_from_slice`; for names and short values, which is nearly everything written.
#[inline]
pub fn short(bytes: &[u8], out: &mut Vec<u8>) {
    if bytes.len() > SHORT_BYTES_MAX {
        return out.extend_from_slice(bytes);
    }
    kernel::short(bytes, out);
}

/// Appends the first `used` bytes of a block of fixed size: one store, and the length.
#[inline]
pub fn block<const N: usize>(block: &[u8; N], used: usize, out: &mut Vec<u8>) {
    let end = out.len() + used;
    out.extend_from_slice(block);
    out.truncate(end);
}

const SHORT_BYTES_MAX: usize = 32;

#[expect(unsafe_code, reason = "two overlapping stores instead of a call of memmove for every name")]
mod kernel {
    use super::SHORT_BYTES_MAX;

    #[inline]
    pub(super) fn short(bytes: &[u8], out: &mut Vec<u8>) {
        let length = bytes.len();
        debug_assert!(length <= SHORT_BYTES_MAX);
        out.reserve(SHORT_BYTES_MAX);
        // SAFETY: `length` bytes can be read from `bytes` and are written to room that was
        // reserved: each branch copies its first and its last N bytes, N <= length <= 2 N, so both
        // lie inside. The new length covers only bytes that were written.
        unsafe {
            let from = bytes.as_ptr();
            let to = out.as_mut_ptr().add(out.len());
            match length {
                16.. => ends::<16>(from, to, length),
                8.. => ends::<8>(from, to, length),
                4.. => ends::<4>(from, to, length),
                2.. => ends::<2>(from, to, length),
                1 => *to = *from,
                0 => {}
            }
            out.set_len(out.len() + length);
        }
    }

    /// # Safety
    /// `N <= length <= 2 N`, and `length` bytes are valid at both places.
    #[inline(always)]
    unsafe fn ends<const N: usize>(from: *const u8, to: *mut u8, length: usize) {
        // SAFETY: both halves lie inside `length` bytes.
        unsafe {
            let first = from.cast::<[u8; N]>().read();
            let last = from.add(length - N).cast::<[u8; N]>().read();
            to.cast::<[u8; N]>().write(first);
            to.add(length - N).cast::<[u8; N]>().write(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn short_pieces_are_appended_as_they_are(before in prop::collection::vec(any::<u8>(), 0..40),
                                                 piece in prop::collection::vec(any::<u8>(), 0..70)) {
            let (mut fast, mut plain) = (before.clone(), before);
            short(&piece, &mut fast);
            plain.extend_from_slice(&piece);
            prop_assert_eq!(fast, plain);
        }
    }

    #[test]
    fn of_a_block_only_what_is_used_stays() {
        let mut out = b"a".to_vec();
        block(b"bcdefgh", 2, &mut out);
        assert_eq!(out, b"abc");
    }
}
