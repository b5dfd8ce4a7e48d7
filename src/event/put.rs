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

/// A name between two pieces of fixed size: `,"name":"`.
#[inline]
pub fn framed<const A: usize, const B: usize>(
    before: [u8; A],
    name: &[u8],
    after: [u8; B],
    out: &mut Vec<u8>,
) {
    if name.len() > SHORT_BYTES_MAX {
        out.extend_from_slice(&before);
        out.extend_from_slice(name);
        return out.extend_from_slice(&after);
    }
    kernel::framed(before, name, after, out);
}

const SHORT_BYTES_MAX: usize = 32;

#[expect(unsafe_code, reason = "two overlapping stores instead of a call of memmove for every name")]
mod kernel {
    use super::SHORT_BYTES_MAX;

    #[inline]
    pub(super) fn short(bytes: &[u8], out: &mut Vec<u8>) {
        framed([], bytes, [], out);
    }

    #[inline]
    pub(super) fn framed<const A: usize, const B: usize>(
        before: [u8; A],
        name: &[u8],
        after: [u8; B],
        out: &mut Vec<u8>,
    ) {
        let length = name.len();
        assert!(length <= SHORT_BYTES_MAX);
        out.reserve(A + SHORT_BYTES_MAX + B);
        // SAFETY: room for all three pieces was reserved, and `length` bytes can be read from
        // `name`: each branch copies its first and its last N bytes, N <= length <= 2 N, so both
        // lie inside. The new length covers only bytes that were written.
        unsafe {
            let from = name.as_ptr();
            let start = out.as_mut_ptr().add(out.len());
            start.cast::<[u8; A]>().write(before);
            let to = start.add(A);
            match length {
                16.. => ends::<16>(from, to, length),
                8.. => ends::<8>(from, to, length),
                4.. => ends::<4>(from, to, length),
                2.. => ends::<2>(from, to, length),
                1 => *to = *from,
                0 => {}
            }
            to.add(length).cast::<[u8; B]>().write(after);
            out.set_len(out.len() + A + length + B);
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
            framed(*b",'", &piece, *b"':'", &mut fast);
            plain.extend_from_slice(&piece);
            plain.extend_from_slice(&[b",'", &piece[..], b"':'"].concat());
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
