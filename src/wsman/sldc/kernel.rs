//! The decoder's fast loop: scheme 1 symbols while there is room on both sides.
//!
//! Two symbols for each refill of a 64-bit word; the nine bits at its top say by a table how long a
//! symbol is and how many bytes it makes. A literal is a copy as well, from a table of all bytes, so
//! that the usual mix of literals and short copies takes no branch that depends on the data.
//!
//! It stops, and leaves the next symbol to the careful decoder, before a control symbol and where
//! less than `INPUT_BYTES` or `OUTPUT_BYTES` are left. A whole ring of history stands behind it, so
//! that there is a byte at every place.

use super::{COPY_BYTES_MAX, HISTORY_BYTES};
use std::mem::MaybeUninit;

/// Bytes that a refill looks at.
pub(super) const INPUT_BYTES: usize = 8;
/// What a symbol stores at least.
const STORE_BYTES: usize = 16;
/// Room for two symbols, and for what the last store writes beyond its end.
pub(super) const OUTPUT_BYTES: usize = 2 * COPY_BYTES_MAX + STORE_BYTES;

const INDEX_BITS: u32 = 9;
const PLACE_BITS: u32 = 10;
/// All nine ones: a control symbol.
const CONTROL: usize = (1 << INDEX_BITS) - 1;

/// By the first nine bits of a symbol: its bits. Zero for counts from 32 on, whose end the nine bits do
/// not show, and for control symbols. One symbol begins where the one before ends, so looking this up is
/// what a symbol waits for; nothing else stands between.
static BITS: [u8; 1 << INDEX_BITS] = table(0);
/// By the same: how many bytes it makes.
static COUNTS: [u8; 1 << INDEX_BITS] = table(1);

const fn table(column: usize) -> [u8; 1 << INDEX_BITS] {
    let mut table = [0; 1 << INDEX_BITS];
    let mut index = 0;
    while index < table.len() {
        let row = match index {
            0..0x100 => [9, 1],
            0x100..0x180 => [13, 2 + (index >> 6 & 1)],
            0x180..0x1c0 => [15, 4 + (index >> 4 & 3)],
            0x1c0..0x1e0 => [17, 8 + (index >> 2 & 7)],
            0x1e0..0x1f0 => [19, 16 + (index & 15)],
            _ => [0, 0],
        };
        table[index] = row[column] as u8;
        index += 1;
    }
    table
}

/// Every byte at its own offset, and behind them what a wide load may touch.
const BYTES: [u8; 256 + STORE_BYTES] = {
    let mut bytes = [0; 256 + STORE_BYTES];
    let mut byte = 0;
    while byte < 256 {
        bytes[byte] = byte as u8;
        byte += 1;
    }
    bytes
};
static LITERALS: [u8; 256 + STORE_BYTES] = BYTES;

/// Decodes from `bit` on, appends to `out` up to the length `end` at most, and returns the first bit
/// that it did not decode. The history started at `origin`.
#[expect(
    unsafe_code,
    reason = "bounds checked once for two symbols, and copies by wide words, are several times faster"
)]
pub(super) fn symbols(stream: &[u8], bit: usize, origin: usize, end: usize, out: &mut Vec<u8>) -> usize {
    let end = end.min(out.capacity());
    let mut next = bit / 8;
    if out.len() - origin < HISTORY_BYTES
        || out.len() + OUTPUT_BYTES > end
        || next + INPUT_BYTES > stream.len()
    {
        return bit;
    }
    // SAFETY: a refill reads eight bytes at `next`, which is at most `last_input`: checked above for
    // the first, and in the loop for the others. `to` starts at the length of `out`, with the ring's
    // 1024 bytes before it, and each round starts at most at `last_output`, from where there is room
    // for what `symbol` writes twice. All bytes below `to` were written.
    unsafe {
        let last_input = stream.len() - INPUT_BYTES;
        let start = out.as_mut_ptr();
        let base = start.add(origin);
        let last_output = start.add(end - OUTPUT_BYTES);
        let mut to = start.add(out.len());
        let refill = |next: usize| u64::from_be_bytes(stream.as_ptr().add(next).cast::<[u8; 8]>().read());
        let mut word = refill(next) << (bit % 8);
        let mut valid = 56 - (bit % 8) as u32;
        next += 7;
        while next <= last_input && to <= last_output {
            // Bits below the valid ones are what the stream has there, or zero: the same again.
            word |= refill(next) >> valid;
            next += (63 - valid as usize) >> 3;
            valid |= 56;
            let Some((bits, count)) = symbol(word, base, to) else { break };
            word <<= bits;
            valid -= bits;
            to = to.add(count);
            let Some((bits, count)) = symbol(word, base, to) else { break };
            word <<= bits;
            valid -= bits;
            to = to.add(count);
        }
        out.set_len(to.offset_from_unsigned(start));
        next * 8 - valid as usize
    }
}

/// Decodes the symbol at the top of `word`: its bits and the bytes it made. `None` before a control
/// symbol.
///
/// # Safety
/// The 1024 bytes before `to` were written and stand behind `base` in one allocation, which has room
/// for `COPY_BYTES_MAX` and a store more.
#[inline(always)]
#[expect(unsafe_code, reason = "as for the loop it is a part of")]
unsafe fn symbol(word: u64, base: *const u8, to: *mut u8) -> Option<(u32, usize)> {
    let index = (word >> (64 - INDEX_BITS)) as usize;
    let (mut bits, mut count) = (u32::from(BITS[index]), usize::from(COUNTS[index]));
    if bits == 0 {
        if index == CONTROL {
            return None;
        }
        bits = 23;
        count = 32 + (word >> (64 - 13)) as usize % 256;
    }
    // SAFETY: `from` is at most 1024 bytes before `to`, or in the table with 16 bytes of it behind,
    // and stores end at most 16 bytes, or `count` and seven, behind `to`. Where the second load is of
    // bytes that nothing was written to yet, `count` ends before them or `long` writes them again.
    unsafe {
        let place = word.rotate_left(bits) as usize % (1 << PLACE_BITS);
        let distance = to.addr().wrapping_sub(base.addr() + 1).wrapping_sub(place) % HISTORY_BYTES + 1;
        let from = if index < 0x100 { LITERALS.as_ptr().add(index) } else { to.sub(distance) };
        eight(from, to);
        eight(from.add(8), to.add(8));
        if count > STORE_BYTES || (distance < 8 && count > distance) {
            long(distance, count, to);
        }
    }
    Some((bits, count))
}

/// A copy of more bytes than one step takes, or from so near that it repeats what it writes.
///
/// # Safety
/// As for `symbol`; `distance` and `count` are those of a copy.
#[expect(unsafe_code, reason = "as for the loop it is a part of")]
unsafe fn long(distance: usize, count: usize, to: *mut u8) {
    // SAFETY: reads are of bytes before the one written; writes end at most seven bytes behind
    // `count`.
    unsafe {
        let mut at = 0;
        // A multiple of the distance repeats the same bytes, and eight at a time are then known.
        let mut back = distance;
        if distance < 8 {
            back = distance * 8_usize.div_ceil(distance);
            while at < back.min(count) {
                *to.add(at) = *to.add(at).sub(distance);
                at += 1;
            }
        }
        while at < count {
            eight(to.add(at).sub(back), to.add(at));
            at += 8;
        }
    }
}

/// # Safety
/// Eight bytes at `from` and at `to` are in allocations; those at `from` need not be written yet.
#[inline(always)]
#[expect(unsafe_code, reason = "as for the loop it is a part of")]
unsafe fn eight(from: *const u8, to: *mut u8) {
    // SAFETY: the caller's promise; the accesses are unaligned, and nothing is asked of the bytes.
    unsafe { to.cast::<MaybeUninit<u64>>().write_unaligned(from.cast::<MaybeUninit<u64>>().read_unaligned()) }
}
