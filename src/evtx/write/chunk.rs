//! One chunk that is being filled: 64 KiB in memory, valid whenever it is sealed.
//!
//! Records are only ever appended, so the bytes before an older end of the chunk stay what they
//! are: going back to that end is a rewrite of the header and nothing else.

use super::fragment::{ELEMENT_DEPTH_MAX, Fragment, Layout, Scratch, Unfit};
use super::layout::{
    CHUNK_BYTES, CHUNK_HEADER_BYTES, CHUNK_MAGIC, RECORD_HEADER_BYTES, RECORD_MAGIC, offset, put_u32, put_u64,
};
use super::{names, template};
use crate::event::{Event, EventError, Part};
use crate::evtx::chunk::{ChunkHeader, RawRecord};
use std::ops::Range;
use thiserror::Error;

/// Room that one event can take at most, its record header and trailer included.
pub const RECORD_BYTES_MAX: usize = RECORDS_END - CHUNK_HEADER_BYTES;
/// Windows leaves the last bytes of a chunk free, and libevtx takes no record that reaches there.
const RECORDS_END: usize = CHUNK_BYTES - 8;
/// Records are padded to this, as Windows does.
const ALIGNMENT: usize = 8;
/// The copy of a record's size.
const TRAILER_BYTES: usize = 4;
/// What every chunk that Windows wrote has in its flags, closed or not.
const FLAGS: u32 = 1;

const _: () = assert!(CHUNK_HEADER_BYTES.is_multiple_of(ALIGNMENT) && CHUNK_BYTES.is_multiple_of(ALIGNMENT));

/// What became of an event that was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    Stored,
    /// The chunk has no room for it: it goes to the next one.
    Full,
}

/// Why no event log can hold an event. The chunk is as it was before.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unstorable {
    #[error("the event cannot be read: {0}")]
    Event(#[from] EventError),
    #[error(
        "the event is too large for an event log: a record holds at most {RECORD_BYTES_MAX} bytes, at two \
         for each character; give such events a `file` output"
    )]
    TooLarge,
    #[error(
        "elements of the event are nested more than {ELEMENT_DEPTH_MAX} deep, which readers of event logs refuse"
    )]
    TooDeep,
}

/// A chunk and how far it is filled.
pub struct ChunkWriter {
    bytes: Box<[u8; CHUNK_BYTES]>,
    /// Where the next record goes.
    end: usize,
    records: Option<Records>,
    /// Of the bytes of all records.
    crc32: crc32fast::Hasher,
    scratch: Scratch,
    layout: Layout,
}

enum Failed {
    Event(EventError),
    Unfit(Unfit),
}

/// First and last record of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Records {
    first_number: u64,
    last_number: u64,
    first_id: u64,
    last_id: u64,
    last_offset: usize,
}

impl Default for ChunkWriter {
    fn default() -> Self {
        Self::over(Box::new([0; CHUNK_BYTES]))
    }
}

impl ChunkWriter {
    /// An empty chunk whose records are laid out so.
    pub fn new(layout: Layout) -> Self {
        Self { layout, ..Self::default() }
    }

    fn over(bytes: Box<[u8; CHUNK_BYTES]>) -> Self {
        Self {
            bytes,
            end: CHUNK_HEADER_BYTES,
            records: None,
            crc32: crc32fast::Hasher::new(),
            scratch: Scratch::default(),
            layout: Layout::Portable,
        }
    }

    /// Goes on in a chunk that is on disk, after its last whole record; with `below`, after the
    /// last one whose id is smaller. What stands behind it (a torn write, a header that is older
    /// or newer than the records) is dropped. A chunk without such a record is empty.
    pub fn reopen(bytes: Box<[u8; CHUNK_BYTES]>, layout: Layout, below: Option<u64>) -> Self {
        let mut chunk = Self { layout, ..Self::over(bytes) };
        let header =
            ChunkHeader::parse(&chunk.bytes[..]).filter(|header| header.checks(&chunk.bytes[..]).header);
        chunk.find_records(header.as_ref(), below);
        if header.is_some() {
            names::forget_from(&mut chunk.bytes, chunk.end);
            template::forget_from(&mut chunk.bytes, chunk.end);
        } else {
            // Without the tables names are stored once more when they are needed.
            chunk.bytes[offset::STRINGS..CHUNK_HEADER_BYTES].fill(0);
        }
        let end = chunk.end;
        chunk.bytes[end..].fill(0);
        chunk.crc32.update(&chunk.bytes[CHUNK_HEADER_BYTES..end]);
        chunk
    }

    fn find_records(&mut self, header: Option<&ChunkHeader>, below: Option<u64>) {
        // A header that fits its records says where they end; otherwise they do.
        let intact = header.filter(|header| header.checks(&self.bytes[..]).records);
        let limit = intact.map_or(CHUNK_BYTES, |header| header.live_end(&self.bytes[..]));
        let mut number = header.map(|header| header.first_record_number);
        while let Ok(record) = RawRecord::at(&self.bytes[..limit], self.end) {
            let next = self.records.is_none_or(|records| record.id == records.last_id.wrapping_add(1));
            if !record.whole || !next || below.is_some_and(|below| record.id >= below) {
                break;
            }
            let this = *number.get_or_insert(record.id);
            number = Some(this.wrapping_add(1));
            self.add(this, record.id, record.offset);
            self.end = record.end();
        }
    }

    fn add(&mut self, number: u64, id: u64, offset: usize) {
        let first = self.records.map_or((number, id), |records| (records.first_number, records.first_id));
        self.records = Some(Records {
            first_number: first.0,
            first_id: first.1,
            last_number: number,
            last_id: id,
            last_offset: offset,
        });
    }

    /// Appends an event as record `id`, the log's `number`-th, written at the FILETIME `written`.
    ///
    /// # Errors
    /// When no chunk can hold it.
    pub fn push<'a, E: Event<'a>>(
        &mut self,
        event: &E,
        number: u64,
        id: u64,
        written: u64,
    ) -> Result<Pushed, Unstorable> {
        let start = self.end;
        // System, EventData or UserData, RenderingInfo.
        let mut places = 3;
        loop {
            match self.encode(event, start, places) {
                Ok(end) => {
                    self.complete(start, end, id, written);
                    self.add(number, id, start);
                    return Ok(Pushed::Stored);
                }
                Err(unfit) => {
                    names::forget_from(&mut self.bytes, start);
                    template::forget_from(&mut self.bytes, start);
                    self.bytes[start..].fill(0);
                    match unfit {
                        Failed::Event(error) => return Err(error.into()),
                        Failed::Unfit(Unfit::Depth) => return Err(Unstorable::TooDeep),
                        Failed::Unfit(Unfit::Places) => places *= 4,
                        Failed::Unfit(Unfit::Space) if self.records.is_none() => {
                            return Err(Unstorable::TooLarge);
                        }
                        Failed::Unfit(Unfit::Space) => return Ok(Pushed::Full),
                    }
                }
            }
        }
    }

    /// Writes the inside of a record that starts at `start`; returns where the record ends.
    fn encode<'a, E: Event<'a>>(&mut self, event: &E, start: usize, places: u16) -> Result<usize, Failed> {
        let body = start + RECORD_HEADER_BYTES;
        let mut fragment = Fragment::new(&mut self.bytes, body, &mut self.scratch, self.layout, places);
        let walked = event.walk(Part::Whole, &mut fragment);
        let end = fragment.finish();
        walked.map_err(Failed::Event)?;
        let end = (end.map_err(Failed::Unfit)? + TRAILER_BYTES).next_multiple_of(ALIGNMENT);
        if end <= RECORDS_END { Ok(end) } else { Err(Failed::Unfit(Unfit::Space)) }
    }

    fn complete(&mut self, start: usize, end: usize, id: u64, written: u64) {
        let record = &mut self.bytes[start..end];
        let size = (end - start) as u32;
        record[..4].copy_from_slice(RECORD_MAGIC);
        put_u32(record, 4, size);
        put_u64(record, 8, id);
        put_u64(record, 16, written);
        put_u32(record, end - start - TRAILER_BYTES, size);
        self.crc32.update(record);
        self.end = end;
    }

    /// The whole chunk, valid as it stands.
    pub fn finish(&mut self) -> &[u8; CHUNK_BYTES] {
        self.seal();
        &self.bytes
    }

    fn seal(&mut self) {
        let header = &mut self.bytes[..CHUNK_HEADER_BYTES];
        header[..offset::STRINGS].fill(0);
        header[..8].copy_from_slice(CHUNK_MAGIC);
        // An empty chunk counts from 1 and ends before it, as Windows writes it.
        let empty = Records {
            first_number: 1,
            last_number: u64::MAX,
            first_id: u64::MAX,
            last_id: u64::MAX,
            last_offset: 0,
        };
        let records = self.records.unwrap_or(empty);
        put_u64(header, offset::FIRST_NUMBER, records.first_number);
        put_u64(header, offset::LAST_NUMBER, records.last_number);
        put_u64(header, offset::FIRST_ID, records.first_id);
        put_u64(header, offset::LAST_ID, records.last_id);
        put_u32(header, offset::HEADER_BYTES, offset::STRINGS as u32);
        put_u32(header, offset::LAST_RECORD, records.last_offset as u32);
        put_u32(header, offset::FREE_SPACE, self.end as u32);
        put_u32(header, offset::RECORDS_CRC32, self.crc32.clone().finalize());
        put_u32(header, offset::FLAGS, FLAGS);
        let mut crc32 = crc32fast::Hasher::new();
        crc32.update(&header[..offset::FLAGS]);
        crc32.update(&header[offset::STRINGS..]);
        put_u32(header, offset::HEADER_CRC32, crc32.finalize());
    }

    /// The sealed header and what was appended from `from` on.
    pub fn appended(&mut self, from: usize) -> (&[u8], Range<usize>, &[u8]) {
        self.seal();
        let range = from.min(self.end)..self.end;
        (&self.bytes[..CHUNK_HEADER_BYTES], range.clone(), &self.bytes[range])
    }

    /// Where the next record would start.
    pub fn end(&self) -> usize {
        self.end
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_none()
    }

    /// Number and id of the last record.
    pub fn last(&self) -> Option<(u64, u64)> {
        self.records.map(|records| (records.last_number, records.last_id))
    }

    /// Starts over, for the next chunk.
    pub fn clear(&mut self) {
        self.bytes.fill(0);
        self.end = CHUNK_HEADER_BYTES;
        self.records = None;
        self.crc32 = crc32fast::Hasher::new();
    }
}
