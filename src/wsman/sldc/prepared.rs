//! Text that is searched for copies once and written many times: for the fleet, whose hosts send the same
//! events with other numbers in them.
//!
//! ```text
//! segment 0 │ gap │ segment 1 │ gap │ segment 2       a gap is filled anew each time it is written
//! ```
//! A copy names a place in the ring of history, so the same text has other bits at another position. What
//! is kept is therefore where in which segment a copy begins; the place is worked out when the text is
//! written, from where that segment came to stand. Copies reach back across gaps, as far as they may be
//! wide, and never into one, nor to what stands before the text, so it may stand behind anything.

use super::encode::{Bits, Symbol};
use super::{Control, Encoder, HISTORY_BYTES, Scheme};

/// A text as symbols.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    segments: Box<[Segment]>,
    symbols: Box<[u64]>,
}

#[derive(Clone, Debug)]
struct Segment {
    bytes: usize,
    /// Its last symbol, and one.
    end: usize,
    /// How wide the gap behind it may be; none behind the last.
    gap: usize,
}

/// What fills a gap, as far as the search for copies is concerned: no text has all of it.
const FILLER_FIRST: u16 = 0xd800;

// A symbol: its bits (27, for a copy without the place), how many they are (5), the place within the
// segment that a copy is of (10), which segment that is (8); the top bit tells a copy.
const LENGTH_SHIFT: u32 = 27;
const PLACE_SHIFT: u32 = 32;
const SEGMENT_SHIFT: u32 = 42;
const COPY: u64 = 1 << 63;
const VALUE_MASK: u64 = (1 << LENGTH_SHIFT) - 1;
const LITERAL_BITS: u32 = 9;
/// Literals that are written as one.
const LITERALS_MAX: u32 = 3;
/// Most segments of a text.
const SEGMENTS_MAX: usize = 16;

impl Encoder {
    /// Of a text in segments; behind each but the last stands a gap of at most so many bytes.
    ///
    /// # Panics
    /// With more than 16 segments.
    pub fn prepare(&mut self, segments: &[&[u8]], gaps: &[usize]) -> Prepared {
        assert!(segments.len() <= SEGMENTS_MAX, "a text of few segments");
        let (mut text, mut starts) = (Vec::new(), Vec::new());
        let mut filler = FILLER_FIRST;
        for (index, segment) in segments.iter().enumerate() {
            starts.push(text.len());
            text.extend_from_slice(segment);
            let end = text.len() + gaps.get(index).copied().unwrap_or_default().min(HISTORY_BYTES);
            while text.len() < end {
                text.extend_from_slice(&filler.to_le_bytes());
                filler = filler.wrapping_add(1);
            }
            text.truncate(end);
        }
        let mut drafts = vec![Draft::default(); segments.len()];
        // In which segment a range lies whole.
        let within = |from: usize, to: usize| {
            let index = starts.partition_point(|start| *start <= from).checked_sub(1)?;
            (to <= starts[index] + segments[index].len()).then_some(index)
        };
        self.symbols(&text, |at, symbol| match symbol {
            Symbol::Literal(byte) => {
                if let Some(index) = within(at, at + 1) {
                    drafts[index].literal(byte);
                }
            }
            Symbol::Copy { count, distance } => {
                let source = at - distance;
                match (within(at, at + count), within(source, source + count.min(distance))) {
                    (Some(target), Some(index)) => {
                        drafts[target].copy(count, index, source - starts[index]);
                    }
                    // It touches a gap, which happens by chance alone.
                    _ => {
                        for (at, byte) in (at..).zip(&text[at..at + count]) {
                            if let Some(index) = within(at, at + 1) {
                                drafts[index].literal(*byte);
                            }
                        }
                    }
                }
            }
        });
        let (mut symbols, mut ready) = (Vec::new(), Vec::new());
        for (index, draft) in drafts.into_iter().enumerate() {
            symbols.extend(draft.finish());
            let gap = gaps.get(index).copied().unwrap_or_default();
            ready.push(Segment { bytes: segments[index].len(), end: symbols.len(), gap });
        }
        Prepared { segments: ready.into(), symbols: symbols.into() }
    }
}

/// Symbols of one segment.
#[derive(Clone, Debug, Default)]
struct Draft {
    symbols: Vec<u64>,
    literals: u64,
    count: u32,
}

impl Draft {
    fn literal(&mut self, byte: u8) {
        self.literals = self.literals << LITERAL_BITS | u64::from(byte);
        self.count += 1;
        if self.count == LITERALS_MAX {
            self.close();
        }
    }

    fn copy(&mut self, count: usize, segment: usize, place: usize) {
        self.close();
        let (value, bits) = Bits::copy_of(count);
        self.symbols.push(
            COPY | (segment as u64) << SEGMENT_SHIFT
                | ((place % HISTORY_BYTES) as u64) << PLACE_SHIFT
                | u64::from(bits) << LENGTH_SHIFT
                | value,
        );
    }

    fn close(&mut self) {
        if self.count > 0 {
            self.symbols.push(u64::from(self.count * LITERAL_BITS) << LENGTH_SHIFT | self.literals);
            (self.literals, self.count) = (0, 0);
        }
    }

    fn finish(mut self) -> Vec<u64> {
        self.close();
        self.symbols
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

    /// `fill` writes what stands in each gap, counted from 0.
    ///
    /// # Panics
    /// When it writes more than the gap may hold.
    pub fn prepared(&mut self, text: &Prepared, mut fill: impl FnMut(usize, &mut Self)) {
        let mut bases = [0; SEGMENTS_MAX];
        let mut from = 0;
        for (index, segment) in text.segments.iter().enumerate() {
            bases[index % SEGMENTS_MAX] = self.at as u64;
            let symbols = &text.symbols[from..segment.end];
            let written = symbols.iter().map(|&symbol| {
                let base = bases[(symbol >> SEGMENT_SHIFT) as usize % SEGMENTS_MAX];
                // All ones for a copy.
                let is_copy = ((symbol as i64) >> 63) as u64;
                let place = base.wrapping_add(symbol >> PLACE_SHIFT) & is_copy & (HISTORY_BYTES as u64 - 1);
                (symbol & VALUE_MASK | place, (symbol >> LENGTH_SHIFT) as u32 & 31)
            });
            self.bits.put_all(symbols.len(), written);
            (from, self.at) = (segment.end, self.at + segment.bytes);
            if index + 1 < text.segments.len() {
                let before = self.at;
                fill(index, self);
                assert!(self.at - before <= segment.gap, "a gap holds what it was made for");
            }
        }
    }

    /// Text that is not worth a search.
    pub fn literals(&mut self, text: &[u8]) {
        let chunks = text.chunks(LITERALS_MAX as usize);
        let written = chunks.clone().map(|some| {
            let value = some.iter().fold(0, |value, byte| value << LITERAL_BITS | u64::from(*byte));
            (value, some.len() as u32 * LITERAL_BITS)
        });
        self.bits.put_all(chunks.len(), written);
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
        let prepared = encoder.prepare(&[text.as_bytes()], &[]);
        let empty = encoder.prepare(&[b""], &[]);
        for before in [0, 1, 2, 3, 700, 1023, 1024, 1025, 5000] {
            let (mut body, mut expected) = (b"head".to_vec(), Vec::new());
            let mut writer = Writer::new(&mut body);
            let other = "0123456".repeat(before / 7 + 1);
            for part in [&other.as_bytes()[..before], text.as_bytes(), b"", b"1", text.as_bytes()] {
                expected.extend_from_slice(part);
                match part.len() {
                    0 => writer.prepared(&empty, |_, _| {}),
                    length if length == text.len() => writer.prepared(&prepared, |_, _| {}),
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

    #[test]
    fn copies_reach_across_gaps_of_any_width() {
        let same = "the same words again and again, ".repeat(4);
        let segments = [same.as_bytes(), b"", &same.as_bytes()[3..90], same.as_bytes()];
        // Some that text of UTF-16 could hold, in odd numbers.
        let odd: Vec<u8> = (0..40u8).flat_map(|byte| [byte, 0xd8]).collect();
        let gaps = [80, 3, 2000];
        let mut encoder = Encoder::default();
        let prepared = encoder.prepare(&segments, &gaps);
        let mut lengths = Vec::new();
        for widths in [[0, 0, 0], [80, 3, 2000], [1, 2, 999], [79, 0, 1024]] {
            let (mut body, mut expected) = (Vec::new(), b"before".to_vec());
            let mut writer = Writer::new(&mut body);
            writer.literals(b"before");
            let filled = |index: usize| odd.iter().copied().cycle().take(widths[index]).collect::<Vec<u8>>();
            writer.prepared(&prepared, |index, writer| writer.literals(&filled(index)));
            writer.finish();
            for (index, segment) in segments.iter().enumerate() {
                expected.extend_from_slice(segment);
                if index < gaps.len() {
                    expected.extend(filled(index));
                }
            }
            let mut out = Vec::new();
            decode(&body, expected.len(), &mut out).unwrap();
            assert!(out == expected, "{widths:?}");
            lengths.push(body.len() - widths.iter().sum::<usize>() * 9 / 8);
        }
        // The third segment is a copy of the first, and the last stands alone behind a gap of 2000.
        assert!(lengths[0] < 2 * 60 + 40, "{lengths:?}");
    }

    #[test]
    fn text_that_looks_like_the_filler_of_a_gap_is_written_all_the_same() {
        let filler: Vec<u8> = (FILLER_FIRST..FILLER_FIRST + 40).flat_map(u16::to_le_bytes).collect();
        let segments = [b"one ".as_slice(), &filler, &filler[..20]];
        let prepared = Encoder::default().prepare(&segments, &[64, 64]);
        let (mut body, mut out) = (Vec::new(), Vec::new());
        let mut writer = Writer::new(&mut body);
        writer.prepared(&prepared, |_, writer| writer.literals(b"?"));
        writer.finish();
        decode(&body, 1000, &mut out).unwrap();
        assert_eq!(out, [segments[0], b"?", segments[1], b"?", segments[2]].concat());
    }
}
