//! The encoder: for the fleet, which speaks as Windows does, and for tests.
//!
//! One record: RESET, the text, END OF RECORD, zero bits up to the byte, one more zero byte, the
//! length. Which copies are taken is the encoder's own business, and this one takes Windows': always
//! the longest it finds, the nearest of equals, none below three bytes nor nearer than three bytes,
//! among the nearest candidates only. A captured heartbeat comes out byte for byte. How many
//! candidates Windows looks at is not known: that capture shows 18 at least and 29 at most.

use super::{CONTROL_BITS, CONTROL_PREFIX, COPY_BYTES_MAX, Control, HISTORY_BYTES, Scheme};

/// Candidates looked at for one position.
const CANDIDATES_MAX: usize = 18;
/// Shortest copy, and how far behind the position a candidate is at least: a string of three bytes is
/// known once all of it was passed.
const STRING_BYTES: usize = 3;
/// A copy cannot reach the byte that is overwritten next.
const DISTANCE_MAX: usize = HISTORY_BYTES - 1;
const HASH_BITS: u32 = 12;

/// Tables that are used again for each body.
pub struct Encoder {
    /// Hash of a string → where it was seen last.
    heads: Vec<u32>,
    /// Place in the ring → the position before with the same hash.
    before: Vec<u32>,
    /// Position of the next text's first byte. Positions go on from text to text, which makes those
    /// of the last text too far away to be used, so that nothing need be cleared.
    base: u32,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { heads: vec![0; 1 << HASH_BITS], before: vec![0; HISTORY_BYTES], base: HISTORY_BYTES as u32 }
    }
}

impl Encoder {
    /// Appends a whole body with its length behind it. The text is below 2 GiB.
    pub fn encode(&mut self, text: &[u8], scheme: Scheme, out: &mut Vec<u8>) {
        assert!(text.len() < 1 << 31, "a message below 2 GiB");
        let mut bits = Bits::new(out);
        bits.control(Control::Reset(scheme));
        match scheme {
            Scheme::One => self.symbols(text, |at, symbol| match symbol {
                Symbol::Literal(byte) => bits.put(u64::from(byte), 9),
                Symbol::Copy { count, distance } => bits.copy(count, (at - distance) % HISTORY_BYTES),
            }),
            Scheme::Two => {
                for byte in text {
                    if *byte == 0xff { bits.put(0x1fe, 9) } else { bits.put(u64::from(*byte), 8) }
                }
            }
        }
        bits.end(text.len());
    }

    /// The symbols that a text becomes, each with its position.
    pub(super) fn symbols(&mut self, text: &[u8], mut each: impl FnMut(usize, Symbol)) {
        if self.base as usize + text.len() + HISTORY_BYTES > u32::MAX as usize {
            *self = Self::default();
        }
        let (mut at, mut known) = (0, 0);
        while at < text.len() {
            while known + STRING_BYTES <= at {
                self.note(text, known);
                known += 1;
            }
            let (count, distance) = self.longest(text, at);
            if count < STRING_BYTES {
                each(at, Symbol::Literal(text[at]));
                at += 1;
            } else {
                each(at, Symbol::Copy { count, distance });
                at += count;
            }
        }
        self.base += (text.len() + HISTORY_BYTES) as u32;
    }

    /// Count and distance of the longest copy, the nearest of equals; a count of 0 for none.
    fn longest(&self, text: &[u8], at: usize) -> (usize, usize) {
        let rest = &text[at..];
        let Some(string) = rest.first_chunk::<STRING_BYTES>() else { return (0, 0) };
        let here = self.base + at as u32;
        let reach = DISTANCE_MAX.min(at);
        let most = rest.len().min(COPY_BYTES_MAX);
        let mut best = (0, 0);
        let mut candidate = self.heads[hash(*string)];
        let mut left = CANDIDATES_MAX;
        // Each step goes back, so that the reach ends the chain.
        while left > 0 && (here - candidate) as usize <= reach {
            let distance = (here - candidate) as usize;
            let from = &text[at - distance..];
            if from[..STRING_BYTES] == *string {
                left -= 1;
                if from[best.0] == rest[best.0] {
                    let count = common(from, rest, most);
                    if count > best.0 {
                        best = (count, distance);
                        if count == most {
                            break;
                        }
                    }
                }
            }
            candidate = self.before[candidate as usize % HISTORY_BYTES];
        }
        best
    }

    /// Makes the string at a position known to the positions behind it.
    fn note(&mut self, text: &[u8], at: usize) {
        let Some(string) = text[at..].first_chunk::<STRING_BYTES>() else { return };
        let here = self.base + at as u32;
        let head = &mut self.heads[hash(*string)];
        self.before[here as usize % HISTORY_BYTES] = *head;
        *head = here;
    }
}

fn hash([a, b, c]: [u8; STRING_BYTES]) -> usize {
    let bytes = u32::from_le_bytes([a, b, c, 0]);
    (bytes.wrapping_mul(0x9e37_79b1) >> (u32::BITS - HASH_BITS)) as usize
}

/// Bytes that are the same at the start of both, among the first `most`.
fn common(one: &[u8], other: &[u8], most: usize) -> usize {
    let (one, other) = (&one[..most], &other[..most]);
    let (ones, one_rest) = one.as_chunks::<8>();
    let (others, other_rest) = other.as_chunks::<8>();
    for (index, (one, other)) in ones.iter().zip(others).enumerate() {
        let differ = u64::from_le_bytes(*one) ^ u64::from_le_bytes(*other);
        if differ != 0 {
            return index * 8 + differ.trailing_zeros() as usize / 8;
        }
    }
    let same = one_rest.iter().zip(other_rest).take_while(|(one, other)| one == other).count();
    ones.len() * 8 + same
}

pub(super) enum Symbol {
    Literal(u8),
    Copy { count: usize, distance: usize },
}

/// Bytes of the longest value that is put at once.
const VALUE_BYTES_MAX: usize = 4;

/// Writes bits, bit 7 of each byte first.
pub(super) struct Bits<'a> {
    /// Bits not yet in `out`, at the high end; below them all is zero.
    word: u64,
    /// Fewer than eight.
    used: u32,
    out: &'a mut Vec<u8>,
}

impl<'a> Bits<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { word: 0, used: 0, out }
    }

    /// At most 32 bits, at least one.
    #[inline]
    pub(super) fn put(&mut self, value: u64, bits: u32) {
        self.put_all(1, std::iter::once((value, bits)));
    }

    /// At most `count` values, each as `put` takes it.
    #[inline]
    pub(super) fn put_all(&mut self, count: usize, values: impl Iterator<Item = (u64, u32)>) {
        let start = self.out.len();
        self.out.resize(start + count * VALUE_BYTES_MAX + 2 * size_of::<u64>(), 0);
        let room = &mut self.out[start..];
        let (mut word, mut used, mut at) = (self.word, self.used, 0);
        for (value, bits) in values {
            word |= value << (u64::BITS - used - bits);
            used += bits;
            // Eight bytes are written for the few that are meant: that costs no branch.
            if let Some(next) = room[at..].first_chunk_mut() {
                *next = word.to_be_bytes();
            }
            at += (used / 8) as usize;
            word <<= used & !7;
            used &= 7;
        }
        self.out.truncate(start + at);
        (self.word, self.used) = (word, used);
    }

    pub(super) fn copy(&mut self, count: usize, place: usize) {
        let (value, bits) = Self::copy_of(count);
        self.put(value | place as u64, bits);
    }

    /// A copy of the first place, and its length in bits.
    pub(super) fn copy_of(count: usize) -> (u64, u32) {
        let count = count as u64;
        let (value, bits) = match count {
            0..4 => (count - 2, 2),
            4..8 => (0b10 << 2 | (count - 4), 4),
            8..16 => (0b110 << 3 | (count - 8), 6),
            16..32 => (0b1110 << 4 | (count - 16), 8),
            _ => (0b1111 << 8 | (count - 32), 12),
        };
        ((1 << bits | value) << 10, 1 + bits + 10)
    }

    pub(super) fn control(&mut self, control: Control) {
        self.put(CONTROL_PREFIX << 4 | control.code(), CONTROL_BITS as u32);
    }

    /// The end of a body that decodes to so many bytes.
    pub(super) fn end(mut self, decoded: usize) {
        self.control(Control::EndOfRecord);
        if self.used > 0 {
            // Zero bits up to the byte.
            self.out.push((self.word >> (u64::BITS - 8)) as u8);
        }
        self.out.push(0);
        self.out.extend_from_slice(&(decoded as u32).to_le_bytes());
    }
}
