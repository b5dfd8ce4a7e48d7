//! Text that is searched for copies once and written many times: for the fleet, whose hosts send the same
//! events with other numbers in them.
//!
//! A copy names a place in the ring of history, so the same text has other bits at another position. What
//! is kept are therefore distances, and the place is worked out when the text is written. Copies reach
//! back within their own text only, so it may stand behind anything.

use super::encode::{Bits, Symbol};
use super::{Control, Encoder, HISTORY_BYTES, Scheme};

/// A text as symbols.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    /// Top bit set: a copy, its count above ten bits of distance minus one. Else one to three literals
    /// of nine bits, their number above them.
    symbols: Box<[u32]>,
}

const COPY: u32 = 1 << 31;
const DISTANCE_BITS: u32 = 10;
const LITERAL_BITS: u32 = 9;
const LITERALS_MAX: u32 = 3;

impl Encoder {
    pub fn prepare(&mut self, text: &[u8]) -> Prepared {
        let mut symbols = Vec::new();
        let (mut literals, mut count) = (0, 0);
        let close = |literals: &mut u32, count: &mut u32, symbols: &mut Vec<u32>| {
            if *count > 0 {
                symbols.push(*count << (LITERALS_MAX * LITERAL_BITS) | *literals);
                (*literals, *count) = (0, 0);
            }
        };
        self.symbols(text, |_, symbol| match symbol {
            Symbol::Literal(byte) => {
                literals = literals << LITERAL_BITS | u32::from(byte);
                count += 1;
                if count == LITERALS_MAX {
                    close(&mut literals, &mut count, &mut symbols);
                }
            }
            Symbol::Copy { count: bytes, distance } => {
                close(&mut literals, &mut count, &mut symbols);
                symbols.push(COPY | (bytes as u32) << DISTANCE_BITS | (distance as u32 - 1));
            }
        });
        close(&mut literals, &mut count, &mut symbols);
        Prepared { symbols: symbols.into() }
    }
}

/// Writes one body of prepared and other text.
pub struct Writer<'a> {
    bits: Bits<'a>,
    /// Decoded bytes so far.
    at: usize,
}

impl<'a> Writer<'a> {
    /// Appends to `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        let mut bits = Bits::new(out);
        bits.control(Control::Reset(Scheme::One));
        Self { bits, at: 0 }
    }

    pub fn prepared(&mut self, text: &Prepared) {
        let mut at = self.at;
        for &symbol in &text.symbols {
            if symbol & COPY == 0 {
                let count = symbol >> (LITERALS_MAX * LITERAL_BITS);
                self.bits.put(
                    u64::from(symbol & ((1 << (LITERALS_MAX * LITERAL_BITS)) - 1)),
                    count * LITERAL_BITS,
                );
                at += count as usize;
            } else {
                let count = ((symbol & !COPY) >> DISTANCE_BITS) as usize;
                let distance = (symbol as usize & (HISTORY_BYTES - 1)) + 1;
                self.bits.copy(count, (at - distance) % HISTORY_BYTES);
                at += count;
            }
        }
        self.at = at;
    }

    /// Text that is not worth a search.
    pub fn literals(&mut self, text: &[u8]) {
        for byte in text {
            self.bits.put(u64::from(*byte), LITERAL_BITS);
        }
        self.at += text.len();
    }

    pub fn finish(self) {
        self.bits.end(self.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wsman::sldc::decode;

    #[test]
    fn prepared_text_reads_the_same_wherever_it_stands() {
        let text = "<Data Name='A'>value</Data><Data Name='B'>value\u{ff}\0\0\0\0\0</Data>".repeat(9);
        let mut encoder = Encoder::default();
        let prepared = encoder.prepare(text.as_bytes());
        let empty = encoder.prepare(b"");
        for before in [0, 1, 2, 3, 700, 1023, 1024, 1025, 5000] {
            let (mut body, mut expected) = (b"head".to_vec(), Vec::new());
            let mut writer = Writer::new(&mut body);
            let other = "0123456".repeat(before / 7 + 1);
            for part in [&other.as_bytes()[..before], text.as_bytes(), b"", b"1", text.as_bytes()] {
                expected.extend_from_slice(part);
                match part.len() {
                    0 => writer.prepared(&empty),
                    length if length == text.len() => writer.prepared(&prepared),
                    _ => writer.literals(part),
                }
            }
            writer.finish();
            let mut out = Vec::new();
            let decoded = decode(&body[4..], expected.len(), &mut out).unwrap();
            assert_eq!(decoded.declared, Some(expected.len()));
            assert!(out == expected, "{before}");
        }
    }
}
