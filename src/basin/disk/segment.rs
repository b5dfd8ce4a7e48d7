//! Segments: files of frames, and how their frames are found again.
//!
//! ```text
//! 0     header: magic 8 │ format version u32 │ crc u32 │ epoch u32 │ 0 u32 │ number u64 │ node 16 │ salt u64
//! 4096  the header once more
//! 8192  frames, the first of them a link; then 64 zeros; then whatever was there before
//! ```
//!
//! A file is used for one segment after another: what an older one left has another salt.
//!
//! Promise: reading ends, takes memory bounded by the file, and never panics, whatever the bytes.

use super::codec::Take;
use super::file::File;
use super::frame::{ALIGN, FrameHeader, HEADER_BYTES, MAGIC as FRAME_MAGIC};
use super::slots::{FORMAT_VERSION, Flaw};
use std::io;
use std::sync::Arc;

/// What a segment says of itself. Written and synced before the segment is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) epoch: u32,
    pub(super) number: u64,
    pub(super) node: [u8; 16],
    pub(super) salt: u64,
}

/// Walks over the frames of a segment, and over what is damaged between them.
pub(super) struct Scanner {
    window: Window,
    salt: u64,
    at: u64,
    limit: u64,
}

#[derive(Debug)]
pub(super) enum Found {
    Frame {
        offset: u64,
        header: FrameHeader,
        payload: Vec<u8>,
    },
    /// Bytes that are no whole frame, up to the next one or the limit; the header where it is whole.
    Damage(Damage),
    End,
}

/// A part of a segment that holds no whole frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) header: Option<FrameHeader>,
    /// The disk refused to read it; it may be whole.
    pub(super) unreadable: bool,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut one = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        one.extend_from_slice(&SEGMENT_MAGIC);
        one.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        one.extend_from_slice(&[0; 4]);
        one.extend_from_slice(&self.epoch.to_le_bytes());
        one.extend_from_slice(&[0; 4]);
        one.extend_from_slice(&self.number.to_le_bytes());
        one.extend_from_slice(&self.node);
        one.extend_from_slice(&self.salt.to_le_bytes());
        let crc = crc32c::crc32c(&one[16..]);
        one[12..16].copy_from_slice(&crc.to_le_bytes());
        let mut both = one.clone();
        both.resize(COPY_AT, 0);
        both.extend_from_slice(&one);
        both
    }

    /// From either copy; the disk may refuse one of them.
    pub(super) fn read(file: &dyn File) -> io::Result<Result<Self, Flaw>> {
        let copy = |at| {
            let mut bytes = [0; SEGMENT_HEADER_BYTES];
            file.read_at(at, &mut bytes).map(|count| Self::decode(&bytes[..count]))
        };
        let (first, second) = match (copy(0), copy(COPY_AT as u64)) {
            (Ok(first), second) => (first, second.unwrap_or(Err(Flaw::Damaged))),
            (Err(_), Ok(second)) => (Err(Flaw::Damaged), second),
            (Err(error), Err(_)) => return Err(error),
        };
        Ok(match (first, second) {
            (Ok(header), _) | (_, Ok(header)) => Ok(header),
            (Err(Flaw::Newer(version)), _) | (_, Err(Flaw::Newer(version))) => Err(Flaw::Newer(version)),
            (Err(Flaw::Empty), Err(Flaw::Empty)) => Err(Flaw::Empty),
            _ => Err(Flaw::Damaged),
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, Flaw> {
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(Flaw::Empty);
        }
        let mut take = Take(bytes);
        let read = |take: &mut Take<'_>| -> Option<Result<Self, Flaw>> {
            if take.array()? != SEGMENT_MAGIC {
                return None;
            }
            let (version, crc) = (take.u32()?, take.u32()?);
            if version > FORMAT_VERSION {
                return Some(Err(Flaw::Newer(version)));
            }
            if crc32c::crc32c(bytes.get(16..SEGMENT_HEADER_BYTES)?) != crc {
                return None;
            }
            let epoch = take.u32()?;
            take.u32()?;
            let (number, node, salt) = (take.u64()?, take.array()?, take.u64()?);
            Some(Ok(Self { epoch, number, node, salt }))
        };
        read(&mut take).unwrap_or(Err(Flaw::Damaged))
    }
}

impl Scanner {
    /// Over the frames from `at` that end at or before `limit`.
    pub(super) fn new(file: Arc<dyn File>, salt: u64, at: u64, limit: u64) -> Self {
        Self { window: Window { file, start: 0, bytes: Vec::new() }, salt, at: at.max(FRAMES_AT), limit }
    }

    /// Offset of what comes next.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    pub(super) fn next(&mut self) -> Found {
        self.next_above(0)
    }

    /// As `next`, passing over batches up to `sequence` by their headers alone.
    pub(super) fn next_above(&mut self, sequence: u64) -> Found {
        loop {
            let from = self.at;
            if from >= self.limit {
                return Found::End;
            }
            let header = match self.header(from) {
                Ok(Some(header)) => header,
                Ok(None) => return self.damage(from, from + ALIGN as u64, false),
                Err(_) => return self.damage(from, next_block(from), true),
            };
            self.at = from + header.size();
            if header.sequence <= sequence && sequence > 0 {
                continue;
            }
            let payload = self.window.read(from + HEADER_BYTES as u64, header.payload_bytes as usize);
            let unreadable = payload.is_err();
            match payload {
                Ok(payload) if header.payload_is_whole(payload) => {
                    return Found::Frame { offset: from, header, payload: payload.to_vec() };
                }
                _ => return Found::Damage(Damage { from, to: self.at, header: Some(header), unreadable }),
            }
        }
    }

    /// A whole header at `offset` whose frame ends within the limit.
    fn header(&mut self, offset: u64) -> io::Result<Option<FrameHeader>> {
        let header = FrameHeader::decode(self.window.read(offset, HEADER_BYTES)?, self.salt);
        Ok(header.filter(|header| offset + header.size() <= self.limit))
    }

    /// Goes on at the next whole header at or after `next`, which is aligned, or at the limit.
    fn damage(&mut self, from: u64, mut next: u64, mut unreadable: bool) -> Found {
        self.at = self.limit;
        // Frames are aligned, and so is what is read here: the magic lies across no two reads.
        let mut reach = WINDOW_BYTES as u64;
        while next < self.limit {
            let want = reach.min(self.limit - next) as usize;
            let Ok(bytes) = self.window.read(next, want) else {
                // The bad block may be far ahead, with whole frames before it.
                let block = next_block(next);
                if reach > block - next {
                    reach = block - next;
                } else {
                    unreadable = true;
                    (next, reach) = (block, WINDOW_BYTES as u64);
                }
                continue;
            };
            let read = bytes.len();
            match memchr::memmem::find(bytes, &FRAME_MAGIC) {
                Some(index) => {
                    let offset = next + index as u64;
                    if offset.is_multiple_of(ALIGN as u64) && matches!(self.header(offset), Ok(Some(_))) {
                        self.at = offset;
                        break;
                    }
                    next = (offset + 1).next_multiple_of(ALIGN as u64);
                }
                None if read == want => next += read as u64,
                None => break,
            }
            reach = WINDOW_BYTES as u64;
        }
        Found::Damage(Damage { from, to: self.at, header: None, unreadable })
    }
}

/// True when nothing but zeros stands there: space that was never written.
pub(super) fn is_blank(file: &dyn File, mut from: u64, to: u64) -> io::Result<bool> {
    let mut bytes = vec![0; WINDOW_BYTES];
    while from < to {
        let count = bytes.len().min((to - from) as usize);
        let read = file.read_at(from, &mut bytes[..count])?;
        if bytes[..read].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        if read < count {
            break;
        }
        from += read as u64;
    }
    Ok(true)
}

/// Part of a file, read ahead.
struct Window {
    file: Arc<dyn File>,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// Up to `len` bytes at `offset`; fewer at the end of the file.
    fn read(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let inside = offset >= self.start && offset + len as u64 <= self.start + self.bytes.len() as u64;
        if !inside {
            let left = self.file.len()?.saturating_sub(offset);
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(len.max(WINDOW_BYTES));
            // Whatever fails, the window does not claim what it did not read.
            self.start = offset;
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.resize(want, 0);
            let mut read = self.file.read_at(offset, &mut bytes);
            if read.is_err() && want > len {
                // A bad block further on is no reason to lose what is asked for.
                bytes.truncate(len);
                read = self.file.read_at(offset, &mut bytes);
            }
            bytes.truncate(read?);
            self.bytes = bytes;
        }
        let from = (offset - self.start) as usize;
        Ok(&self.bytes[from..(from + len).min(self.bytes.len())])
    }
}

pub(super) fn segment_path(number: u64) -> String {
    format!("{SEGMENTS}/{number:012}.seg")
}

/// The number in a segment's file name.
pub(super) fn segment_number(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".seg")?.parse().ok()?;
    (segment_path(number).strip_prefix(SEGMENTS)?.strip_prefix('/')? == name).then_some(number)
}

/// A disk fails in blocks.
fn next_block(offset: u64) -> u64 {
    (offset + 1).next_multiple_of(COPY_AT as u64)
}

pub(super) const SEGMENTS: &str = "segments";
/// Where the frames begin.
pub(super) const FRAMES_AT: u64 = 8192;
/// Zeros behind the header of a segment that has no frames yet.
pub(super) const BLANK_BYTES: usize = 4096;
const SEGMENT_MAGIC: [u8; 8] = *b"FBYSEGMT";
const SEGMENT_HEADER_BYTES: usize = 56;
/// Another disk block than the first copy's.
const COPY_AT: usize = 4096;
const WINDOW_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_we_write_are_segments() {
        assert_eq!(segment_number("000000000012.seg"), Some(12));
        assert_eq!(segment_number("12.seg"), None);
        assert_eq!(segment_number("00000000001x.seg"), None);
    }
}
