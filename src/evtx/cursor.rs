//! Reads little-endian fields out of a chunk, never past the end it was given.

use crate::event::EventError;

/// A position in a chunk; offsets in BinXML count from the chunk's start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    pub(super) chunk: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    /// Reads `range` of the chunk; what the chunk does not hold of it is not there.
    pub(super) fn new(chunk: &'a [u8], range: std::ops::Range<usize>) -> Self {
        let end = range.end.min(chunk.len());
        Self { chunk: &chunk[..end], at: range.start.min(end) }
    }

    #[inline]
    pub(super) fn left(&self) -> usize {
        self.chunk.len() - self.at
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.chunk.get(self.at).copied()
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8, EventError> {
        let byte = self.peek().ok_or_else(|| self.short())?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Result<u16, EventError> {
        let field = self.chunk.get(self.at..).and_then(<[u8]>::first_chunk).ok_or_else(|| self.short())?;
        self.at += 2;
        Ok(u16::from_le_bytes(*field))
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Result<u32, EventError> {
        let field = self.chunk.get(self.at..).and_then(<[u8]>::first_chunk).ok_or_else(|| self.short())?;
        self.at += 4;
        Ok(u32::from_le_bytes(*field))
    }

    #[inline]
    pub(super) fn take(&mut self, bytes: usize) -> Result<&'a [u8], EventError> {
        if bytes > self.left() {
            return Err(self.short());
        }
        let taken = &self.chunk[self.at..self.at + bytes];
        self.at += bytes;
        Ok(taken)
    }

    /// A name's offset; the name itself follows when it is used for the first time in the chunk.
    /// Returns the offset and how many bytes were skipped.
    #[inline]
    pub(super) fn name(&mut self) -> Result<(u32, u32), EventError> {
        let offset = self.u32()?;
        if offset as usize != self.at {
            return Ok((offset, 0));
        }
        let start = self.at;
        // next offset u32, hash u16, count u16, characters, NUL u16
        self.take(6)?;
        let units = usize::from(self.u16()?);
        self.take(units * 2 + 2)?;
        Ok((offset, (self.at - start) as u32))
    }

    #[cold]
    pub(super) fn short(&self) -> EventError {
        self.fail("the BinXML ends in the middle")
    }

    #[cold]
    pub(super) fn fail(&self, what: &'static str) -> EventError {
        EventError { at: self.at, what }
    }
}
