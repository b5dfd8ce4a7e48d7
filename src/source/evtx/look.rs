//! Looks at a log file: its chunks' headers, single chunks, and whether anything is new.
//!
//! Change is seen in the chunks, not in size or time of the file: a log keeps its size, and one
//! that is mapped into memory keeps its time too. Must not know: events.

use super::position::{Identity, Position};
use super::records;
use super::slots::{self, Holder, LOOK_BYTES, Slot};
use crate::evtx::chunk::{CHUNK_BYTES, RECORD_HEADER_BYTES};
use crate::evtx::header::{FILE_HEADER_BYTES, FLAG_DIRTY, FileHeader};
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::Duration;

/// Most chunks of a log: Windows ends one at 4 GiB.
pub(super) const SLOTS_MAX: usize = 1 << 16;
/// A chunk that changes under every reading is left for the next look.
const READINGS_MAX: u32 = 4;
/// Between two readings that must be equal.
const READING_PAUSE: Duration = Duration::from_millis(2);

/// All of a log's chunk headers at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    pub(super) slots: Vec<Slot>,
    /// Slots with a damaged chunk: torn, but not because somebody writes it.
    pub(super) damaged: HashSet<usize>,
    pub(super) bytes: u64,
    /// FILETIME is not what this is: seconds and nanoseconds, only to see it change.
    pub(super) modified: (i64, i64),
    /// The file header's dirty flag is set: whoever writes it has not closed it.
    pub(super) open: bool,
    /// What is wrong with the file as a whole.
    pub(super) problem: Option<Problem>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    Empty,
    NoLog,
    /// It ends inside this chunk.
    Cut {
        slot: usize,
    },
    /// It ends inside its own header.
    Head,
    TooLarge,
    /// This chunk is neither one nor blank.
    NoChunk {
        slot: usize,
    },
}

/// Reads all headers; `settled`: nobody writes this file.
pub(super) fn look(file: &File, settled: bool) -> io::Result<Look> {
    let metadata = file.metadata()?;
    let (bytes, modified) = (metadata.len(), (metadata.mtime(), metadata.mtime_nsec()));
    let mut head = [0; 128];
    let read = read_at(file, &mut head, 0)?;
    let header = FileHeader::parse(&head[..read]);
    let open = header.as_ref().is_ok_and(|header| header.flags & FLAG_DIRTY != 0);
    let body = bytes.saturating_sub(FILE_HEADER_BYTES as u64);
    let count = usize::try_from(body.div_ceil(CHUNK_BYTES as u64)).unwrap_or(usize::MAX);
    let mut slots = Vec::with_capacity(count.min(SLOTS_MAX));
    for slot in 0..count.min(SLOTS_MAX) {
        slots.push(look_at(file, slot, settled)?);
    }
    let torn = slots.iter().position(|slot| *slot == Slot::Torn);
    let cut = body % CHUNK_BYTES as u64 != 0;
    let chunks = slots.iter().any(|slot| slot.head().is_some());
    let problem = match (bytes, header, torn) {
        (0, ..) => Some(Problem::Empty),
        (_, Err(_), _) if !chunks => Some(Problem::NoLog),
        _ if count > SLOTS_MAX => Some(Problem::TooLarge),
        _ if bytes < FILE_HEADER_BYTES as u64 => Some(Problem::Head),
        _ if cut => Some(Problem::Cut { slot: count - 1 }),
        (.., Some(slot)) if settled => Some(Problem::NoChunk { slot }),
        _ => None,
    };
    Ok(Look { slots, bytes, modified, open, problem, damaged: HashSet::new() })
}

pub(super) fn look_at(file: &File, slot: usize, settled: bool) -> io::Result<Slot> {
    let mut bytes = [0; LOOK_BYTES];
    let read = read_at(file, &mut bytes, start(slot))?;
    Ok(if settled { Slot::look_settled(&bytes[..read]) } else { Slot::look(&bytes[..read]) })
}

/// Whether something was written behind the position; `last` is the last full look.
pub(super) fn is_news(file: &File, at: &Position, last: &Look) -> io::Result<News> {
    let metadata = file.metadata()?;
    if metadata.len() != last.bytes {
        return Ok(News::Look);
    }
    let slot = at.slot as usize;
    match look_at(file, slot, false)? {
        Slot::Chunk(head) if head.identity == at.chunk => {}
        Slot::Torn if last.damaged.contains(&slot) => {}
        // Damaged and read as such, or being overwritten just now.
        Slot::Torn if last.slots.get(slot).is_some_and(|seen| seen.head().is_none()) => {}
        _ => return Ok(News::Look),
    }
    let mut record = [0; RECORD_HEADER_BYTES];
    let within = at.offset as usize + RECORD_HEADER_BYTES <= CHUNK_BYTES;
    if within && read_at(file, &mut record, start(slot) + at.offset)? == record.len() {
        let follows = |record: Identity| record.id > at.id && record.written >= at.written;
        if slots::record_at(&record).is_some_and(follows) {
            return Ok(News::Here);
        }
    }
    // A log goes on in the next chunk, or, at its end and after it was cleared, in the first.
    let next = if slot + 1 < last.slots.len() { slot + 1 } else { 0 };
    for slot in [next, 0] {
        let seen = look_at(file, slot, false)?;
        let Some(head) = seen.head() else { continue };
        if slot as u64 == at.slot || last.slots.get(slot) == Some(&seen) {
            continue;
        }
        let follows = head.identity.id == at.id.wrapping_add(1) && head.identity.written >= at.written;
        return Ok(if follows && !at.scattered { News::Next(slot, seen) } else { News::Look });
    }
    let touched = (metadata.mtime(), metadata.mtime_nsec()) != last.modified;
    Ok(if touched { News::Touched } else { News::None })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    None,
    /// The chunk of the position goes on.
    Here,
    /// The file was touched, where is not known.
    Touched,
    /// The log goes on in this chunk.
    Next(usize, Slot),
    /// Something else changed: look at all chunks.
    Look,
}

/// What became of the record that the position stands behind.
pub(super) fn holder(file: &File, slots: &[Slot], at: &Position) -> io::Result<Holder> {
    let Some(slot) = slots::candidate(slots, at) else { return Ok(Holder::Gone) };
    let chunk = read_chunk(file, slot)?;
    let same = slots[slot].head().is_some_and(|head| head.identity == at.chunk) && slot as u64 == at.slot;
    Ok(match records::find(&chunk.bytes, at.id) {
        Some((found, end)) if found.written == at.written => {
            let past = if same { at.offset as usize } else { 0 };
            Holder::Here { slot, end: end.max(past) }
        }
        Some(_) => Holder::Another,
        None => Holder::Unclear { slot },
    })
}

/// A chunk as read; what the file does not have of it is zeros.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) cut: bool,
}

pub(super) fn read_chunk(file: &File, slot: usize) -> io::Result<Chunk> {
    let mut bytes = vec![0; CHUNK_BYTES];
    let read = read_at(file, &mut bytes, start(slot))?;
    Ok(Chunk { bytes, cut: read < CHUNK_BYTES })
}

/// Reads a chunk until two readings agree on its records behind `from`, or its checksums hold.
/// None: it changes under every reading.
pub(super) fn read_stable(
    file: &File,
    slot: usize,
    from: usize,
    previous: Option<Identity>,
) -> io::Result<Option<(Chunk, records::Run)>> {
    let mut chunk = read_chunk(file, slot)?;
    for _ in 0..READINGS_MAX {
        let run = records::run(&chunk.bytes, from, previous);
        if records::intact(&chunk.bytes, run.end) {
            return Ok(Some((chunk, run)));
        }
        std::thread::sleep(READING_PAUSE);
        let again = read_chunk(file, slot)?;
        // Everything before the end, because records refer back to names and templates.
        if again.bytes[LOOK_BYTES - RECORD_HEADER_BYTES..run.end]
            == chunk.bytes[LOOK_BYTES - RECORD_HEADER_BYTES..run.end]
        {
            return Ok(Some((chunk, run)));
        }
        chunk = again;
    }
    Ok(None)
}

fn start(slot: usize) -> u64 {
    FILE_HEADER_BYTES as u64 + slot as u64 * CHUNK_BYTES as u64
}

/// Reads up to the buffer's length; less at the end of the file.
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
