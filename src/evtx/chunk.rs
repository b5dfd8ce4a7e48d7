//! Chunks and the records in them, resynchronised past what is damaged.
//!
//! ```text
//! chunk 65536 = header 128 ‖ string table 64 × u32 ‖ template table 32 × u32 ‖ records ‖ free
//! record      = 2A 2A 00 00 ‖ size u32 ‖ id u64 ‖ FILETIME u64 ‖ BinXML ‖ size u32
//! ```
//!
//! The header's word on where the records end is taken as a hint: records that continue it
//! exactly are read beyond it (a torn header is older than its data), zeros before it end the walk.

use super::header::{u32_at, u64_at};
use memchr::memmem;
use std::ops::Range;
use thiserror::Error;

pub const CHUNK_BYTES: usize = 65536;
/// Header, string table and template table: the first record's offset.
pub const CHUNK_HEADER_BYTES: usize = 512;
pub const CHUNK_MAGIC: &[u8; 8] = b"ElfChnk\0";
pub const RECORD_MAGIC: &[u8; 4] = b"**\0\0";
/// Before a record's BinXML.
pub const RECORD_HEADER_BYTES: usize = 24;
/// Header and the copy of the size at the end.
pub const RECORD_BYTES_MIN: usize = 28;
pub const STRING_BUCKETS: usize = 64;
pub const TEMPLATE_BUCKETS: usize = 32;

/// Field offsets, for the writer too.
pub mod offset {
    pub const FIRST_NUMBER: usize = 8;
    pub const LAST_NUMBER: usize = 16;
    pub const FIRST_ID: usize = 24;
    pub const LAST_ID: usize = 32;
    pub const HEADER_BYTES: usize = 40;
    pub const LAST_RECORD: usize = 44;
    pub const FREE_SPACE: usize = 48;
    pub const RECORDS_CRC32: usize = 52;
    pub const FLAGS: usize = 120;
    pub const HEADER_CRC32: usize = 124;
    pub const STRINGS: usize = 128;
    pub const TEMPLATES: usize = 384;
}

/// A chunk's header as it stands; `checks` says what of it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkHeader {
    pub first_record_number: u64,
    pub last_record_number: u64,
    pub first_record_id: u64,
    pub last_record_id: u64,
    pub last_record_offset: u32,
    pub free_space_offset: u32,
    pub records_crc32: u32,
    pub flags: u32,
    pub header_crc32: u32,
}

/// What of a chunk's checksums holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checks {
    pub header: bool,
    pub records: bool,
}

impl ChunkHeader {
    /// Reads a chunk's header. None: these bytes are no chunk (a preallocated slot is all zeros).
    pub fn parse(chunk: &[u8]) -> Option<Self> {
        if chunk.len() < CHUNK_HEADER_BYTES || !chunk.starts_with(CHUNK_MAGIC) {
            return None;
        }
        Some(Self {
            first_record_number: u64_at(chunk, offset::FIRST_NUMBER),
            last_record_number: u64_at(chunk, offset::LAST_NUMBER),
            first_record_id: u64_at(chunk, offset::FIRST_ID),
            last_record_id: u64_at(chunk, offset::LAST_ID),
            last_record_offset: u32_at(chunk, offset::LAST_RECORD),
            free_space_offset: u32_at(chunk, offset::FREE_SPACE),
            records_crc32: u32_at(chunk, offset::RECORDS_CRC32),
            flags: u32_at(chunk, offset::FLAGS),
            header_crc32: u32_at(chunk, offset::HEADER_CRC32),
        })
    }

    /// Compares both checksums with the bytes.
    pub fn checks(&self, chunk: &[u8]) -> Checks {
        if self.has_no_checksums() {
            return Checks { header: true, records: true };
        }
        let records = chunk.get(CHUNK_HEADER_BYTES..self.free_space_offset as usize);
        Checks {
            header: self.holds(chunk),
            records: records.is_some_and(|bytes| crc32fast::hash(bytes) == self.records_crc32),
        }
    }

    fn has_no_checksums(&self) -> bool {
        self.flags & super::header::FLAG_NO_CRC32 != 0
    }

    fn holds(&self, chunk: &[u8]) -> bool {
        let mut hash = crc32fast::Hasher::new();
        hash.update(&chunk[..120.min(chunk.len())]);
        hash.update(chunk.get(128..CHUNK_HEADER_BYTES).unwrap_or_default());
        hash.finalize() == self.header_crc32
    }

    /// Where the records ended when the header was written, if its checksum vouches for that. A
    /// record that was added since then starts exactly there.
    pub fn vouched_end(&self, chunk: &[u8]) -> Option<usize> {
        let free = self.free_space_offset as usize;
        let is_sure = !self.has_no_checksums() && self.holds(chunk);
        (is_sure && (CHUNK_HEADER_BYTES..=CHUNK_BYTES).contains(&free)).then_some(free)
    }

    /// Where the header says that the records end; the chunk's end when it says nothing possible.
    pub fn live_end(&self, chunk: &[u8]) -> usize {
        let free = self.free_space_offset as usize;
        if (CHUNK_HEADER_BYTES..=chunk.len()).contains(&free) { free } else { chunk.len() }
    }
}

/// A record before its BinXML is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawRecord {
    /// Of its first byte, in the chunk.
    pub offset: usize,
    pub size: usize,
    pub id: u64,
    /// FILETIME of when it was written.
    pub written: u64,
    /// The copy of the size at the end is right. It is not in a record that is being written.
    pub whole: bool,
}

impl RawRecord {
    /// Reads the record at `offset`.
    ///
    /// # Errors
    /// When there is none, or its size reaches past the chunk.
    pub fn at(chunk: &[u8], offset: usize) -> Result<Self, &'static str> {
        let head = chunk.get(offset..offset + RECORD_HEADER_BYTES).ok_or("a record header is cut off")?;
        if !head.starts_with(RECORD_MAGIC) {
            return Err(if head[..4] == [0; 4] { BLANK } else { "no record starts here" });
        }
        let size = u32_at(head, 4) as usize;
        if size < RECORD_BYTES_MIN {
            return Err("a record's size is smaller than its header");
        }
        if size > chunk.len() - offset {
            return Err("a record's size reaches past its chunk");
        }
        let whole = u32_at(chunk, offset + size - 4) as usize == size;
        Ok(Self { offset, size, id: u64_at(head, 8), written: u64_at(head, 16), whole })
    }

    /// Where the next record starts.
    pub fn end(&self) -> usize {
        self.offset + self.size
    }

    pub fn binxml(&self) -> Range<usize> {
        self.offset + RECORD_HEADER_BYTES..self.end() - 4
    }
}

const BLANK: &str = "zeros stand where a record should start";

/// Bytes between records that are none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what}, chunk bytes {} to {}", bytes.start, bytes.end)]
pub struct Unreadable {
    pub bytes: Range<usize>,
    pub what: &'static str,
}

/// Walks a chunk's records from an offset on. Ends in at most one step per byte.
#[derive(Debug)]
pub struct Records<'c> {
    chunk: &'c [u8],
    live_end: usize,
    last_id: Option<u64>,
    previous: Option<u64>,
    at: usize,
}

impl<'c> Records<'c> {
    /// From the record at `from` (512 is the first) on.
    pub fn new(chunk: &'c [u8], from: usize) -> Self {
        let chunk = &chunk[..chunk.len().min(CHUNK_BYTES)];
        let header = ChunkHeader::parse(chunk);
        Self {
            chunk,
            live_end: header.map_or(chunk.len(), |header| header.live_end(chunk)),
            last_id: header.map(|header| header.last_record_id),
            previous: None,
            at: from.max(CHUNK_HEADER_BYTES),
        }
    }

    /// Goes on behind the start of a record whose inside turned out to be none.
    pub(super) fn rescan(&mut self, record: &RawRecord) {
        if let Some(next) = self.next_whole(record.offset + 1) {
            self.at = next;
        }
    }

    /// The next offset from `from` on where a whole record stands before the live end.
    fn next_whole(&self, from: usize) -> Option<usize> {
        let mut from = from;
        loop {
            let window = self.chunk.get(from..self.live_end)?;
            let found = from + memmem::find(window, RECORD_MAGIC)?;
            if RawRecord::at(self.chunk, found)
                .is_ok_and(|record| record.whole && record.end() <= self.live_end)
            {
                return Some(found);
            }
            from = found + 1;
        }
    }

    fn after_live_end(&mut self) -> Option<Result<RawRecord, Unreadable>> {
        let previous = self.previous?;
        let record = RawRecord::at(self.chunk, self.at).ok()?;
        if !record.whole || record.id != previous.wrapping_add(1) {
            return None;
        }
        self.at = record.end();
        self.previous = Some(record.id);
        Some(Ok(record))
    }
}

impl Iterator for Records<'_> {
    type Item = Result<RawRecord, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.live_end {
            return self.after_live_end();
        }
        match RawRecord::at(self.chunk, self.at) {
            Ok(record) => {
                self.at = record.end();
                self.previous = Some(record.id);
                if Some(record.id) == self.last_id {
                    self.live_end = self.live_end.min(self.at);
                }
                Some(Ok(record))
            }
            Err(what) => {
                let from = self.at;
                let next = self.next_whole(from + 1);
                self.at = next.unwrap_or(self.live_end);
                if next.is_none() {
                    // What continues exactly is only looked for behind a readable record.
                    self.previous = None;
                    if what == BLANK || self.chunk.len() - from < RECORD_BYTES_MIN {
                        return None;
                    }
                }
                Some(Err(Unreadable { bytes: from..self.at, what }))
            }
        }
    }
}
