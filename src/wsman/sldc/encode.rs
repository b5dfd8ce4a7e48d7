//! The encoder: for the fleet, which speaks as Windows does, and for tests.
//!
//! One record: RESET, the text, END OF RECORD, zero bits up to the byte, one more zero byte, the
//! length. That is byte for byte how Windows opens and closes a body. In between there is no one
//! right answer: both take the longest copy they find, but this looks at a bounded number of
//! candidates and puts a copy off by one byte when a longer one starts there, so the choice of
//! copies, and with it the length, differ a little from Windows'.

use super::{CONTROL_BITS, CONTROL_PREFIX, COPY_BYTES_MAX, COPY_BYTES_MIN, Control, HISTORY_BYTES, Scheme};

/// Candidates looked at for one position.
const CHAIN_MAX: usize = 16;
/// A copy of so many bytes is taken without a look at the next position.
const LAZY_BYTES_MAX: usize = 16;
const HASH_BITS: u32 = 12;
/// Bytes of the strings in the chains; shorter copies come from `pairs`.
const HASHED_BYTES: usize = 4;
/// A copy cannot reach the byte that is overwritten next.
const DISTANCE_MAX: usize = HISTORY_BYTES - 1;

/// Tables that are used again for each body.
pub struct Encoder {
    /// Hash of four bytes → where it was seen last.
    heads: Vec<u32>,
    /// Hash of two bytes → where it was seen last.
    pairs: Vec<u32>,
    /// Place in the ring → the position before with the same hash of four bytes.
    before: Vec<u32>,
    /// Position of the next text's first byte. Positions go on from text to text, which makes those
    /// of the last text too far away to be used, so that nothing need be cleared.
    base: u32,
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            heads: vec![0; 1 << HASH_BITS],
            pairs: vec![0; 1 << HASH_BITS],
            before: vec![0; HISTORY_BYTES],
            base: HISTORY_BYTES as u32,
        }
    }
}

impl Encoder {
    /// Appends a whole body with its length behind it. The text is below 2 GiB.
    pub fn encode(&mut self, text: &[u8], scheme: Scheme, out: &mut Vec<u8>) {
        let length = u32::try_from(text.len()).ok().filter(|length| *length < 1 << 31);
        let length = length.expect("a message below 2 GiB");
        let mut bits = Bits { word: 0, used: 0, out };
        bits.control(Control::Reset(scheme));
        match scheme {
            Scheme::One => self.copies(text, &mut bits),
            Scheme::Two => {
                for byte in text {
                    if *byte == 0xff { bits.put(0x1fe, 9) } else { bits.put(u64::from(*byte), 8) }
                }
            }
        }
        bits.control(Control::EndOfRecord);
        bits.finish();
        out.push(0);
        out.extend_from_slice(&length.to_le_bytes());
    }

    fn copies(&mut self, text: &[u8], bits: &mut Bits<'_>) {
        if self.base > u32::MAX / 2 - HISTORY_BYTES as u32 {
            *self = Self::default();
        }
        let mut at = 0;
        let mut found = self.longest(text, at);
        while at < text.len() {
            let Some(copy) = found else {
                bits.put(u64::from(text[at]), 9);
                self.note(text, at);
                at += 1;
                found = self.longest(text, at);
                continue;
            };
            self.note(text, at);
            let next = if copy.count < LAZY_BYTES_MAX { self.longest(text, at + 1) } else { None };
            if next.is_some_and(|next| next.count > copy.count) {
                bits.put(u64::from(text[at]), 9);
                at += 1;
                found = next;
                continue;
            }
            bits.copy(copy.count, (at - copy.distance) % HISTORY_BYTES);
            for passed in at + 1..at + copy.count {
                self.note(text, passed);
            }
            at += copy.count;
            found = self.longest(text, at);
        }
        self.base += (text.len() + HISTORY_BYTES) as u32;
    }

    /// The longest copy among the candidates, the nearest of equals.
    fn longest(&self, text: &[u8], at: usize) -> Option<Copy> {
        let rest = &text[at.min(text.len())..];
        let here = self.base + at as u32;
        let mut best = None;
        let mut best_count = COPY_BYTES_MIN - 1;
        let mut look = |candidate: u32| {
            let distance = (here - candidate) as usize;
            if distance > DISTANCE_MAX || distance > at {
                return false;
            }
            let count = common(&text[at - distance..], rest);
            if count > best_count {
                best_count = count;
                best = Some(Copy { count, distance });
            }
            true
        };
        if let Some(four) = rest.first_chunk::<HASHED_BYTES>() {
            let mut candidate = self.heads[hash(u32::from_le_bytes(*four))];
            for _ in 0..CHAIN_MAX {
                if !look(candidate) {
                    break;
                }
                let before = self.before[candidate as usize % HISTORY_BYTES];
                if before >= candidate {
                    break;
                }
                candidate = before;
            }
        }
        if let (None, Some(two)) = (best, rest.first_chunk::<2>()) {
            let distance = (here - self.pairs[hash(u32::from(u16::from_le_bytes(*two)))]) as usize;
            if distance <= DISTANCE_MAX && distance <= at {
                let count = common(&text[at - distance..], rest);
                best = (count >= COPY_BYTES_MIN).then_some(Copy { count, distance });
            }
        }
        best
    }

    /// Makes a position known to those after it.
    fn note(&mut self, text: &[u8], at: usize) {
        let here = self.base + at as u32;
        if let Some(four) = text[at..].first_chunk::<HASHED_BYTES>() {
            let head = &mut self.heads[hash(u32::from_le_bytes(*four))];
            self.before[here as usize % HISTORY_BYTES] = *head;
            *head = here;
        }
        if let Some(two) = text[at..].first_chunk::<2>() {
            self.pairs[hash(u32::from(u16::from_le_bytes(*two)))] = here;
        }
    }
}

#[derive(Clone, Copy)]
struct Copy {
    count: usize,
    distance: usize,
}

fn hash(bytes: u32) -> usize {
    (bytes.wrapping_mul(0x9e37_79b1) >> (u32::BITS - HASH_BITS)) as usize
}

/// Bytes that are the same at the start of both, as far as a copy reaches.
fn common(one: &[u8], other: &[u8]) -> usize {
    let most = one.len().min(other.len()).min(COPY_BYTES_MAX);
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

/// Writes bits, bit 7 of each byte first.
struct Bits<'a> {
    /// Bits not yet in `out`, at the low end.
    word: u64,
    used: u32,
    out: &'a mut Vec<u8>,
}

impl Bits<'_> {
    fn put(&mut self, value: u64, bits: u32) {
        self.word = self.word << bits | value;
        self.used += bits;
        if self.used >= 32 {
            self.used -= 32;
            self.out.extend_from_slice(&((self.word >> self.used) as u32).to_be_bytes());
        }
    }

    fn copy(&mut self, count: usize, place: usize) {
        let count = count as u64;
        let (value, bits) = match count {
            0..4 => (count - 2, 2),
            4..8 => (0b10 << 2 | (count - 4), 4),
            8..16 => (0b110 << 3 | (count - 8), 6),
            16..32 => (0b1110 << 4 | (count - 16), 8),
            _ => (0b1111 << 8 | (count - 32), 12),
        };
        self.put((1 << bits | value) << 10 | place as u64, 1 + bits + 10);
    }

    fn control(&mut self, control: Control) {
        self.put(CONTROL_PREFIX << 4 | control.code(), CONTROL_BITS as u32);
    }

    /// Zero bits up to the byte.
    fn finish(&mut self) {
        while self.used > 0 {
            let bits = self.used.min(8);
            self.used -= bits;
            let low = (self.word >> self.used) as u8;
            self.out.push(low << (8 - bits));
        }
    }
}
