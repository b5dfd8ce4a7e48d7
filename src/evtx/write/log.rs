//! A whole log: which bytes go where, while events are appended.
//!
//! ```text
//! 4096 header │ slot 0 │ slot 1 │ … │ slot n-1        one chunk of 64 KiB each
//!               ▲ oldest when the ring is full and the current one is n-1
//! ```

use super::chunk::{ChunkWriter, Pushed, Unstorable};
use super::layout::{
    CHUNK_BYTES, CHUNK_HEADER_BYTES, FILE_HEADER_BYTES, FILE_HEADER_USED_BYTES, FILE_MAGIC, FLAG_DIRTY, file,
    put_u16, put_u32, put_u64,
};
use super::{Layout, Store, resume};
use crate::event::Event;
use thiserror::Error;

/// The header counts chunks with 16 bits: a log ends at 4 GiB.
pub const CHUNKS_MAX: u16 = u16::MAX;

#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Slots of the log.
    pub chunks_max: u16,
    /// Go on in the oldest chunk when all are full; otherwise the log is full then.
    pub wrap: bool,
    /// Of the first record of a new log.
    pub first_record_id: u64,
    pub headers: FileHeaders,
    pub layout: Layout,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            chunks_max: CHUNKS_MAX,
            wrap: false,
            first_record_id: 1,
            headers: FileHeaders::PerChunk,
            layout: Layout::Portable,
        }
    }
}

/// How often the file header is brought up to date while the log is open. It says "dirty" until
/// the log is closed, so nobody may rely on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileHeaders {
    /// With every new chunk.
    PerChunk,
    /// When the log is created and closed: what a log looks like that Windows is writing.
    Stale,
}

#[derive(Debug, Error)]
pub enum PushError<E> {
    /// No log can hold this event; the log is as it was.
    #[error(transparent)]
    Unstorable(#[from] Unstorable),
    /// All chunks are full and this log does not wrap: close it and go on in another.
    #[error("the log is full")]
    Full,
    #[error("{0}")]
    Store(E),
}

/// A log that is being written.
pub struct LogWriter {
    options: Options,
    chunk: ChunkWriter,
    /// Of the current chunk.
    slot: u16,
    /// Slots that hold a chunk, or will at the next flush.
    slots: u16,
    wrapped: bool,
    next_id: u64,
    next_number: u64,
    /// What of the current chunk the store has.
    stored: Stored,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    Nothing,
    /// Header and records up to this offset.
    Until(usize),
}

impl LogWriter {
    /// A new log; its header goes to the store at once.
    ///
    /// # Errors
    /// Those of the store.
    pub fn create<S: Store>(options: Options, store: &mut S) -> Result<Self, S::Error> {
        let log = Self {
            options,
            chunk: ChunkWriter::new(options.layout),
            slot: 0,
            slots: 1,
            wrapped: false,
            next_id: options.first_record_id,
            next_number: 1,
            stored: Stored::Nothing,
        };
        store.truncate(0)?;
        store.write_at(0, &log.file_header(FLAG_DIRTY))?;
        Ok(log)
    }

    /// Goes on in a log, behind its last whole record; with `below`, behind the last one whose id
    /// is smaller: later ones are taken out of the log. An empty store becomes a new log.
    ///
    /// # Errors
    /// When the store holds something else than a log, and those of the store.
    pub fn resume<S: Store>(
        options: Options,
        store: &mut S,
        below: Option<u64>,
    ) -> Result<Self, resume::ResumeError<S::Error>> {
        resume::resume(options, store, below)
    }

    /// A log that is open again, and says so.
    pub(super) fn at<S: Store>(
        options: Options,
        chunk: ChunkWriter,
        position: resume::Position,
        store: &mut S,
    ) -> Result<Self, S::Error> {
        let stored = if chunk.is_empty() { Stored::Nothing } else { Stored::Until(chunk.end()) };
        let log = Self {
            options,
            chunk,
            slot: position.slot,
            slots: position.slots,
            wrapped: position.wrapped,
            next_id: position.next_id,
            next_number: position.next_number,
            stored,
        };
        store.write_at(0, &log.file_header(FLAG_DIRTY)[..128])?;
        Ok(log)
    }

    /// Appends an event, written at the FILETIME `written`. It is in the store after the next
    /// `flush`. Returns its record id.
    ///
    /// # Errors
    /// See `PushError`; after an error of the store the log is to be resumed.
    pub fn push<'a, E: Event<'a>, S: Store>(
        &mut self,
        event: &E,
        written: u64,
        store: &mut S,
    ) -> Result<u64, PushError<S::Error>> {
        while self.chunk.push(event, self.next_number, self.next_id, written)? == Pushed::Full {
            self.next_chunk(store)?;
        }
        let id = self.next_id;
        self.next_id += 1;
        self.next_number += 1;
        Ok(id)
    }

    fn next_chunk<S: Store>(&mut self, store: &mut S) -> Result<(), PushError<S::Error>> {
        let last = self.slot + 1 >= self.options.chunks_max.max(1);
        if last && !self.options.wrap {
            return Err(PushError::Full);
        }
        self.write_chunk(store).map_err(PushError::Store)?;
        self.wrapped |= last;
        self.slot = if last { 0 } else { self.slot + 1 };
        self.slots = self.slots.max(self.slot + 1);
        self.chunk.clear();
        self.stored = Stored::Nothing;
        if self.options.headers == FileHeaders::PerChunk {
            store.write_at(0, &self.file_header(FLAG_DIRTY)[..128]).map_err(PushError::Store)?;
        }
        Ok(())
    }

    /// Brings the store up to date: records first, then the header of their chunk.
    ///
    /// # Errors
    /// Those of the store; the log is to be resumed then.
    pub fn flush<S: Store>(&mut self, store: &mut S) -> Result<(), S::Error> {
        if self.chunk.is_empty() { Ok(()) } else { self.write_chunk(store) }
    }

    fn write_chunk<S: Store>(&mut self, store: &mut S) -> Result<(), S::Error> {
        let start = FILE_HEADER_BYTES as u64 + u64::from(self.slot) * CHUNK_BYTES as u64;
        let end = self.chunk.end();
        match self.stored {
            Stored::Until(until) if until == end => return Ok(()),
            Stored::Until(until) => {
                let (header, range, records) = self.chunk.appended(until);
                store.write_at(start + range.start as u64, records)?;
                store.write_at(start, header)?;
            }
            Stored::Nothing => {
                // In a ring an older chunk stands here: its header must not outlive its records.
                let chunk = self.chunk.finish();
                store.write_at(start, &[0; CHUNK_HEADER_BYTES])?;
                store.write_at(start + CHUNK_HEADER_BYTES as u64, &chunk[CHUNK_HEADER_BYTES..])?;
                store.write_at(start, &chunk[..CHUNK_HEADER_BYTES])?;
            }
        }
        self.stored = Stored::Until(end);
        Ok(())
    }

    /// Everything to the store, and the file header says that the log is closed.
    ///
    /// # Errors
    /// Those of the store.
    pub fn close<S: Store>(&mut self, store: &mut S) -> Result<(), S::Error> {
        // A log without events has one chunk too, an empty one.
        self.write_chunk(store)?;
        store.write_at(0, &self.file_header(0))
    }

    fn file_header(&self, flags: u32) -> [u8; FILE_HEADER_BYTES] {
        let mut header = [0; FILE_HEADER_BYTES];
        header[..8].copy_from_slice(FILE_MAGIC);
        let oldest = if self.wrapped { (self.slot + 1) % self.options.chunks_max.max(1) } else { 0 };
        put_u64(&mut header, file::offset::OLDEST_CHUNK, u64::from(oldest));
        put_u64(&mut header, file::offset::CURRENT_CHUNK, u64::from(self.slot));
        put_u64(&mut header, file::offset::NEXT_RECORD_ID, self.next_id);
        put_u32(&mut header, file::offset::USED_BYTES, FILE_HEADER_USED_BYTES);
        // 3.1: what every reader knows; 3.2 changes nothing of what is written here.
        put_u16(&mut header, file::offset::MINOR, 1);
        put_u16(&mut header, file::offset::MAJOR, 3);
        put_u16(&mut header, file::offset::HEADER_BYTES, FILE_HEADER_BYTES as u16);
        put_u16(&mut header, file::offset::CHUNK_COUNT, self.slots);
        put_u32(&mut header, file::offset::FLAGS, flags);
        let crc32 = crc32fast::hash(&header[..file::offset::FLAGS]);
        put_u32(&mut header, file::offset::CRC32, crc32);
        header
    }

    /// Id that the next record gets.
    pub fn next_record_id(&self) -> u64 {
        self.next_id
    }

    /// Bytes of the log with all its chunks.
    pub fn bytes(&self) -> u64 {
        FILE_HEADER_BYTES as u64 + u64::from(self.slots) * CHUNK_BYTES as u64
    }

    /// Whether nothing was ever pushed, as far as this log still knows.
    pub fn is_empty(&self) -> bool {
        self.slot == 0 && !self.wrapped && self.chunk.is_empty()
    }
}
