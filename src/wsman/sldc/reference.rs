//! What is right: SLDC one bit at a time with a ring for the history, as the format is written down.
//!
//! For tests and the fuzz target, which compare the decoder with it. It shares no code with that and
//! imports nothing, so that the fuzz target can include the file.

/// The bytes and the records that ended, or what is wrong at which bit.
pub(super) type Outcome = Result<(Vec<u8>, usize), (&'static str, usize)>;

pub(super) fn decode(stream: &[u8], limit: usize) -> Outcome {
    let mut state = State { stream, bit: 0, ring: [0; 1024], place: 0, out: Vec::new(), limit, symbol: 0 };
    let (mut scheme, mut records) = (1, 0);
    // A record is open; anything was read of it.
    let (mut open, mut begun) = (true, false);
    loop {
        if !open {
            while state.bit < stream.len() * 8 && !state.ones(1) {
                state.bit += 1;
            }
            if state.bit == stream.len() * 8 {
                return Ok((state.out, records));
            }
            if !state.ones(9) {
                return Err(("stray", state.bit));
            }
        }
        state.symbol = state.bit;
        if !state.ones(9) {
            (open, begun) = (true, true);
            if scheme == 1 {
                state.scheme_1()?
            } else {
                state.scheme_2()?
            }
            continue;
        }
        state.number(9)?;
        match state.number(4)? {
            0 | 3 => state.pad()?,
            code @ (1 | 2) => {
                scheme = code;
                (open, begun) = (true, true);
            }
            4 => {
                records += 1;
                (open, begun) = (false, false);
            }
            code @ (5 | 6) => {
                scheme = code - 4;
                (state.ring, state.place) = ([0; 1024], 0);
                (open, begun) = (true, true);
            }
            15 if begun => return Err(("unended", state.symbol)),
            15 => return Ok((state.out, records)),
            _ => return Err(("reserved", state.symbol)),
        }
    }
}

struct State<'a> {
    stream: &'a [u8],
    bit: usize,
    ring: [u8; 1024],
    place: usize,
    out: Vec<u8>,
    limit: usize,
    /// Where the symbol started that is being read.
    symbol: usize,
}

impl State<'_> {
    fn scheme_1(&mut self) -> Result<(), (&'static str, usize)> {
        if self.number(1)? == 0 {
            let byte = self.number(8)?;
            return self.put(byte as u8, 1);
        }
        let count = if self.number(1)? == 0 {
            2 + self.number(1)?
        } else if self.number(1)? == 0 {
            4 + self.number(2)?
        } else if self.number(1)? == 0 {
            8 + self.number(3)?
        } else if self.number(1)? == 0 {
            16 + self.number(4)?
        } else {
            32 + self.number(8)?
        };
        let from = self.number(10)?;
        for index in 0..count {
            self.put(self.ring[(from + index) % 1024], count - index)?;
        }
        Ok(())
    }

    fn scheme_2(&mut self) -> Result<(), (&'static str, usize)> {
        let byte = self.number(8)?;
        if byte == 0xff {
            self.number(1)?;
        }
        self.put(byte as u8, 1)
    }

    /// One byte, the first of so many that must fit.
    fn put(&mut self, byte: u8, fit: usize) -> Result<(), (&'static str, usize)> {
        if self.out.len() + fit > self.limit {
            return Err(("too long", self.symbol));
        }
        self.out.push(byte);
        self.ring[self.place] = byte;
        self.place = (self.place + 1) % 1024;
        Ok(())
    }

    fn pad(&mut self) -> Result<(), (&'static str, usize)> {
        while !self.bit.is_multiple_of(32) && self.bit < self.stream.len() * 8 {
            if self.ones(1) {
                return Err(("pad", self.bit));
            }
            self.bit += 1;
        }
        Ok(())
    }

    /// The next bits are there and all ones; they are not passed.
    fn ones(&self, bits: usize) -> bool {
        (self.bit..self.bit + bits)
            .all(|bit| self.stream.get(bit / 8).is_some_and(|byte| byte >> (7 - bit % 8) & 1 == 1))
    }

    fn number(&mut self, bits: usize) -> Result<usize, (&'static str, usize)> {
        let mut number = 0;
        for _ in 0..bits {
            let Some(byte) = self.stream.get(self.bit / 8) else {
                return Err(("unended", self.symbol));
            };
            number = number * 2 + usize::from(byte >> (7 - self.bit % 8) & 1);
            self.bit += 1;
        }
        Ok(number)
    }
}
