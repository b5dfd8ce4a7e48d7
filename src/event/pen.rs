//! Appends to a buffer with its end kept at hand: an event is hundreds of short pieces, and
//! through a vector each of them loads and stores the length.
//!
//! Each piece takes the pen and gives it back, so that it may live in registers. A pen that is
//! dropped without `finish` has written nothing.

use super::{digits, render, time, utf16};

/// Writes at the end of a buffer.
#[derive(Debug)]
pub struct Pen<'o> {
    out: &'o mut Vec<u8>,
    to: *mut u8,
    end: *mut u8,
}

/// What has to stand behind a text given to `Pen::piece`: it is copied in blocks.
pub const PIECE_PADDING: usize = 32;

impl<'o> Pen<'o> {
    #[inline(always)]
    pub fn byte(self, byte: u8) -> Self {
        self.block([byte], 1)
    }

    /// An unsigned number in decimal.
    #[inline(always)]
    pub fn decimal(self, number: u64) -> Self {
        match number {
            0..10 => self.byte(b'0' + number as u8),
            10..100_000_000 => {
                let (digits, count) = render::digits8(number as u32);
                self.block(digits, count)
            }
            _ => self.apart(|pen| render::long(number, pen)),
        }
    }

    /// `0x` and lower-case hex, without padding.
    #[inline(always)]
    pub fn hex(self, number: u64) -> Self {
        let (text, used) = render::hex(number);
        self.block(text, used)
    }

    #[inline(always)]
    pub fn guid(self, guid: &[u8; 16]) -> Self {
        self.apart(|pen| pen.block(render::guid(guid), 38))
    }

    /// `S-1-…`, from its binary form.
    #[inline(always)]
    pub fn sid(self, sid: &[u8]) -> Self {
        self.apart(|pen| render::sid(sid, pen))
    }

    /// A FILETIME, with seven digits.
    #[inline(always)]
    pub fn filetime(self, ticks: u64) -> Self {
        self.apart(|pen| match time::filetime(ticks) {
            Some(text) => pen.block(text, text.len()),
            None => pen.with(|out| time::write_filetime(ticks, out)),
        })
    }

    /// UTF-16 up to its first NUL, for the inside of a JSON string. The last `utf16::LOOKAHEAD` bytes
    /// of `window` are no text; they may be looked at.
    #[inline(always)]
    pub fn json_until_nul(self, window: &[u8]) -> Self {
        utf16::json_until_nul(window, self)
    }

    /// The first `bytes` of `units`, UTF-16, where they are a decimal number without leading zeros.
    /// What stands behind them may be looked at.
    ///
    /// # Errors
    /// The pen, which has written nothing: it is another text, or a longer one than is looked at here.
    #[inline(always)]
    pub fn number(self, units: &[u8], bytes: usize) -> Result<Self, Self> {
        digits::number(units, bytes, self)
    }
}

#[expect(unsafe_code, reason = "stores behind the end of a vector, whose length is set when all is written")]
mod kernel {
    use super::{PIECE_PADDING, Pen};

    // Of every pen: `to` and `end` point into the buffer of `out` or to its end, `to <= end`, all
    // before `to` is initialised, and nobody touches `out` but through the pen.
    impl<'o> Pen<'o> {
        pub fn new(out: &'o mut Vec<u8>) -> Self {
            let written = out.as_mut_ptr_range();
            // SAFETY: the capacity is the size of the buffer that begins at `start`.
            let end = unsafe { written.start.add(out.capacity()) };
            Self { to: written.end, end, out }
        }

        /// Makes what was written part of the buffer.
        #[inline(always)]
        pub fn finish(self) {
            self.settle();
        }

        #[inline(always)]
        fn settle(self) -> &'o mut Vec<u8> {
            // SAFETY: `to` points into the buffer, and all before it is initialised.
            unsafe { settle(self.out, self.to) };
            self.out
        }

        /// Lets something else write, as it writes to any buffer.
        #[inline(always)]
        pub fn with(self, write: impl FnOnce(&mut Vec<u8>)) -> Self {
            self.apart(|pen| {
                let out = pen.settle();
                write(out);
                Pen::new(out)
            })
        }

        /// Writes in a function of its own.
        #[inline(always)]
        pub(in crate::event) fn apart(self, write: impl for<'p> FnOnce(Pen<'p>) -> Pen<'p>) -> Self {
            let Self { out, to, end } = self;
            let (to, end) = apart(out, to, end, write);
            Self { out, to, end }
        }

        /// Sees to it that at least `bytes` may be stored from `place` on.
        #[inline(always)]
        pub(in crate::event) fn room(self, bytes: usize) -> Self {
            let Self { out, mut to, mut end } = self;
            if end.addr() - to.addr() < bytes {
                (to, end) = grown(out, to, bytes);
            }
            Self { out, to, end }
        }

        /// Where the next byte goes.
        #[inline(always)]
        pub(in crate::event) fn place(&self) -> *mut u8 {
            self.to
        }

        /// Goes on at `to`.
        ///
        /// # Safety
        /// `to` lies in the room that was made, and all before it is written.
        #[inline(always)]
        pub(in crate::event) unsafe fn moved(self, to: *mut u8) -> Self {
            Self { to, ..self }
        }

        /// The byte that was written last.
        #[inline(always)]
        pub fn last(&self) -> Option<u8> {
            // SAFETY: where `to` is behind the start a byte stands before it, and it is initialised.
            (self.to.cast_const() > self.out.as_ptr()).then(|| unsafe { self.to.sub(1).read() })
        }

        /// The first `used` bytes of a block, in one store.
        #[inline(always)]
        pub fn block<const N: usize>(self, block: [u8; N], used: usize) -> Self {
            assert!(used <= N);
            let pen = self.room(N);
            // SAFETY: there is room for N bytes, and no more than these become part of the buffer.
            unsafe {
                let to = pen.to;
                to.cast::<[u8; N]>().write(block);
                pen.moved(to.add(used))
            }
        }

        /// `text[from..from + bytes]`, behind which `text` goes on for `PIECE_PADDING` bytes.
        #[inline(always)]
        pub fn piece(self, text: &[u8], from: usize, bytes: usize) -> Self {
            assert!(from <= text.len() && bytes + PIECE_PADDING <= text.len() - from);
            let pen = self.room(bytes + PIECE_PADDING);
            let to = pen.to;
            // SAFETY: a block begins at most `bytes` behind `from` and `to`, so as asserted `text`
            // holds it and as made there is room for it; `bytes` become part of the buffer.
            unsafe {
                let from = text.as_ptr().add(from);
                let mut at = 0;
                loop {
                    let block = from.add(at).cast::<[u8; PIECE_PADDING]>().read();
                    to.add(at).cast::<[u8; PIECE_PADDING]>().write(block);
                    at += PIECE_PADDING;
                    if at >= bytes {
                        break;
                    }
                }
                pen.moved(to.add(bytes))
            }
        }
    }

    /// # Safety
    /// `to` points into the buffer of `out` or to its end, and all before it is initialised.
    #[inline(always)]
    unsafe fn settle(out: &mut Vec<u8>, to: *mut u8) {
        // SAFETY: as the caller says.
        unsafe {
            let length = to.offset_from_unsigned(out.as_ptr());
            out.set_len(length);
        }
    }

    /// Only the pointers come back, so that they stay in registers.
    #[inline(never)]
    fn apart(
        out: &mut Vec<u8>,
        to: *mut u8,
        end: *mut u8,
        write: impl for<'p> FnOnce(Pen<'p>) -> Pen<'p>,
    ) -> (*mut u8, *mut u8) {
        let buffer: *const Vec<u8> = out;
        let pen = write(Pen { out, to, end });
        assert!(std::ptr::eq(buffer, pen.out), "a pen comes back to its buffer");
        (pen.to, pen.end)
    }

    /// As `apart`, where a buffer has to grow.
    #[cold]
    #[inline(never)]
    fn grown(out: &mut Vec<u8>, to: *mut u8, bytes: usize) -> (*mut u8, *mut u8) {
        // SAFETY: these are the pointers of a pen.
        unsafe { settle(out, to) };
        out.reserve(bytes);
        let pen = Pen::new(out);
        (pen.to, pen.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Value;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_pen_writes_what_values_write(number: u64, shift in 0_u32..64, guid: [u8; 16],
                                          text in prop::collection::vec(any::<u8>(), 0..100)) {
            let number = number >> shift;
            let (mut fast, mut plain) = (b"x".to_vec(), b"x".to_vec());
            let padded = [&text[..], &[0; PIECE_PADDING]].concat();
            Pen::new(&mut fast)
                .decimal(number)
                .byte(b' ')
                .hex(number)
                .guid(&guid)
                .piece(&padded, text.len() / 3, text.len() - text.len() / 3)
                .with(|out| out.push(b'.'))
                .block(*b"abc", 2)
                .finish();
            for value in [Value::Unsigned(number), Value::Text(b" "), Value::Hex(number), Value::Guid(&guid)] {
                value.write_text(&mut plain);
            }
            plain.extend_from_slice(&text[text.len() / 3..]);
            plain.extend_from_slice(b".ab");
            prop_assert_eq!(fast, plain);
        }
    }

    #[test]
    fn what_was_written_last_is_known_and_an_unfinished_pen_writes_nothing() {
        let mut out = Vec::new();
        assert_eq!(Pen::new(&mut out).last(), None);
        assert_eq!(Pen::new(&mut out).byte(b'a').last(), Some(b'a'));
        assert_eq!(out, b"");
    }
}
