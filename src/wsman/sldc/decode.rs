//! The decoder: any bytes in, at most so many bytes out.
//!
//! One symbol at a time, in safe code, with every check; `kernel` takes the long stretches of scheme 1
//! symbols between them that need none.

use super::{
    CONTROL_BITS, CONTROL_PREFIX, CONTROL_PREFIX_BITS, COPY_BYTES_MAX, Control, HISTORY_BYTES,
    LONGEST_COPY_BITS, Scheme, SldcError, TRAILER_BYTES, WORD_BITS, kernel,
};

/// What was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    pub bytes: usize,
    /// Records that came to their end.
    pub records: usize,
    /// The length that stood behind the stream; Windows is never wrong about it, others may be.
    pub declared: Option<usize>,
}

/// A body as Windows sends it: the stream, then its decoded length. Appends to `out`.
pub fn decode(body: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<Decoded, SldcError> {
    // Windows says "SLDC" of some plain bodies. As SLDC the marks would be END MARKER with a wrong pad
    // and a copy from the empty history.
    if body.starts_with(&[0xff, 0xfe]) || body.starts_with(&[0xfe, 0xff]) {
        return Err(SldcError::Plain);
    }
    let Some((stream, trailer)) = body.split_last_chunk::<TRAILER_BYTES>() else {
        return Err(SldcError::Short { bytes: body.len() });
    };
    let declared = u32::from_le_bytes(*trailer) as usize;
    if declared > limit {
        return Err(SldcError::Declared { declared, limit });
    }
    run(stream, Some(declared), limit, out)
}

/// A stream without the length behind it. Appends to `out`.
pub fn decode_stream(stream: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<Decoded, SldcError> {
    run(stream, None, limit, out)
}

fn run(
    stream: &[u8],
    declared: Option<usize>,
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<Decoded, SldcError> {
    let start = out.len();
    let possible = (stream.len() * 8 / LONGEST_COPY_BITS + 1) * COPY_BYTES_MAX;
    out.reserve(declared.unwrap_or(stream.len() * 3).min(limit).min(possible) + kernel::OUTPUT_BYTES);
    let mut decoder = Decoder {
        stream,
        bit: 0,
        scheme: Scheme::One,
        origin: start,
        limit: start.saturating_add(limit),
        expected: declared.map(|declared| start + declared),
        records: 0,
        place: Place::Start,
        out,
    };
    let result = decoder.run(limit);
    let records = decoder.records;
    match result {
        Ok(()) => Ok(Decoded { bytes: out.len() - start, records, declared }),
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

struct Decoder<'a> {
    stream: &'a [u8],
    /// Next bit to read.
    bit: usize,
    scheme: Scheme,
    /// Where in `out` the history started.
    origin: usize,
    /// Length that `out` must not pass.
    limit: usize,
    /// Length of `out` at which no record follows.
    expected: Option<usize>,
    records: usize,
    place: Place,
    out: &'a mut Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing was read yet.
    Start,
    Record,
    /// Behind END OF RECORD.
    Between,
}

impl Decoder<'_> {
    fn run(&mut self, limit: usize) -> Result<(), SldcError> {
        loop {
            if self.place == Place::Between && self.is_over()? {
                return Ok(());
            }
            if self.place == Place::Record && self.scheme == Scheme::One {
                self.stretch();
            }
            let word = self.peek();
            if word >> (64 - CONTROL_PREFIX_BITS) == CONTROL_PREFIX {
                if self.control(word)? {
                    return Ok(());
                }
                continue;
            }
            self.place = Place::Record;
            match self.scheme {
                Scheme::One if word >> 63 == 0 => {
                    self.take(9)?;
                    self.literal((word >> 55) as u8, limit, 9)?;
                }
                Scheme::One => self.copy(word, limit)?,
                Scheme::Two => {
                    let byte = (word >> 56) as u8;
                    let bits = if byte == 0xff { 9 } else { 8 };
                    self.take(bits)?;
                    self.literal(byte, limit, bits)?;
                }
            }
        }
    }

    /// Decodes as far as the fast loop goes.
    fn stretch(&mut self) {
        let left = self.limit - self.out.len();
        if left < kernel::OUTPUT_BYTES || self.bit / 8 + kernel::INPUT_BYTES > self.stream.len() {
            return;
        }
        if self.out.len() + kernel::OUTPUT_BYTES > self.out.capacity() {
            self.out.reserve(kernel::OUTPUT_BYTES);
        }
        self.bit = kernel::symbols(self.stream, self.bit, self.origin, self.limit, self.out);
    }

    /// Behind a record: skips the pad, and says whether nothing follows.
    fn is_over(&mut self) -> Result<bool, SldcError> {
        if self.expected == Some(self.out.len()) {
            return Ok(true);
        }
        self.bit = self.next_one();
        if self.bit == self.bits() {
            return Ok(true);
        }
        if self.peek() >> (64 - CONTROL_PREFIX_BITS) == CONTROL_PREFIX {
            return Ok(false);
        }
        Err(SldcError::Stray { bit: self.bit })
    }

    /// Does what a control symbol says; true at the end of everything.
    fn control(&mut self, word: u64) -> Result<bool, SldcError> {
        let (bit, place) = (self.bit, self.place);
        self.take(CONTROL_BITS)?;
        let code = (word >> (64 - CONTROL_BITS)) as u8 & 0xf;
        match Control::from_code(code).ok_or(SldcError::Reserved { code, bit })? {
            Control::Flush | Control::FileMark => self.pad()?,
            Control::Scheme(scheme) => {
                self.scheme = scheme;
                self.place = Place::Record;
            }
            Control::Reset(scheme) => {
                self.scheme = scheme;
                self.origin = self.out.len();
                self.place = Place::Record;
            }
            Control::EndOfRecord => {
                self.records += 1;
                self.place = Place::Between;
            }
            // Nothing but an END MARKER stands for no data at all.
            Control::EndMarker if place == Place::Record => return Err(SldcError::Unended { bit }),
            Control::EndMarker => return Ok(true),
        }
        Ok(false)
    }

    fn pad(&mut self) -> Result<(), SldcError> {
        let end = self.bit.next_multiple_of(WORD_BITS).min(self.bits());
        let one = self.next_one();
        if one < end {
            return Err(SldcError::Pad { bit: one });
        }
        self.bit = end;
        Ok(())
    }

    fn literal(&mut self, byte: u8, limit: usize, bits: usize) -> Result<(), SldcError> {
        if self.out.len() == self.limit {
            return Err(SldcError::TooLong { limit, bit: self.bit - bits });
        }
        self.out.push(byte);
        Ok(())
    }

    fn copy(&mut self, word: u64, limit: usize) -> Result<(), SldcError> {
        let bit = self.bit;
        let (count, count_bits) = copy_count(word << 1);
        let bits = 1 + count_bits + 10;
        self.take(bits)?;
        if count > self.limit - self.out.len() {
            return Err(SldcError::TooLong { limit, bit });
        }
        let place = (word >> (64 - bits)) as usize % HISTORY_BYTES;
        let written = self.out.len() - self.origin;
        let distance = written.wrapping_sub(place + 1) % HISTORY_BYTES + 1;
        for _ in 0..count {
            let at = self.out.len();
            let byte = if distance > at - self.origin { 0 } else { self.out[at - distance] };
            self.out.push(byte);
        }
        Ok(())
    }

    fn bits(&self) -> usize {
        self.stream.len() * 8
    }

    /// Passes so many bits, or the stream has no end of record.
    fn take(&mut self, bits: usize) -> Result<(), SldcError> {
        if bits > self.bits() - self.bit {
            return Err(SldcError::Unended { bit: self.bit });
        }
        self.bit += bits;
        Ok(())
    }

    /// At least the next 57 bits, from the top; zeros behind the end of the stream.
    fn peek(&self) -> u64 {
        let rest = &self.stream[self.bit / 8..];
        let word = match rest.first_chunk::<8>() {
            Some(bytes) => u64::from_be_bytes(*bytes),
            None => {
                let mut bytes = [0; 8];
                bytes[..rest.len()].copy_from_slice(rest);
                u64::from_be_bytes(bytes)
            }
        };
        word << (self.bit % 8)
    }

    /// The next bit that is one, or the end of the stream.
    fn next_one(&self) -> usize {
        let first = self.stream.get(self.bit / 8).map_or(0, |byte| byte << (self.bit % 8));
        if first != 0 {
            return self.bit + first.leading_zeros() as usize;
        }
        let from = (self.bit / 8 + 1).min(self.stream.len());
        match self.stream[from..].iter().position(|byte| *byte != 0) {
            Some(zeros) => {
                let at = from + zeros;
                at * 8 + self.stream[at].leading_zeros() as usize
            }
            None => self.bits(),
        }
    }
}

/// Bytes to copy and the bits of the count, which stands at the top. Eight ones in front would be a
/// control symbol, which the caller has ruled out.
fn copy_count(word: u64) -> (usize, usize) {
    let below = |skip: u32, bits: u32| (word << skip >> (64 - bits)) as usize;
    match word.leading_ones() {
        0 => (2 + below(1, 1), 2),
        1 => (4 + below(2, 2), 4),
        2 => (8 + below(3, 3), 6),
        3 => (16 + below(4, 4), 8),
        _ => (32 + below(4, 8), 12),
    }
}
