//! Some chunks of one input, read one by one as they are asked for.

use crate::cli::Exit;
use crate::evtx::chunk::{CHUNK_HEADER_BYTES, RECORD_MAGIC};
use crate::evtx::{CHUNK_BYTES, ChunkHeader, FILE_HEADER_BYTES};
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What stands unused at the end of a chunk is not read when there is at least so much of it.
const UNUSED_BYTES_MIN: usize = 8 << 10;

/// Chunks of one file. Its buffers are reused.
pub(super) struct Run {
    /// Runs are written in this order.
    pub(super) sequence: u64,
    pub(super) file: Arc<Path>,
    /// Of the next chunk.
    pub(super) chunk: u64,
    pub(super) left: Left,
    pub(super) buffer: Box<[u8]>,
    /// The header of the next chunk.
    pub(super) ahead: Vec<u8>,
}

/// What of a run is not handed out yet.
pub(super) enum Left {
    Nothing,
    /// Read already.
    Filled(usize),
    /// Chunks up to this one.
    Chunks(Arc<Readable>, u64),
}

/// An input that cannot be read, or not all of it.
pub(super) struct Problem {
    pub(super) text: String,
    /// Set when nothing of the file was read.
    pub(super) exit: Option<Exit>,
}

/// A file that several workers read.
pub(super) struct Readable {
    pub(super) file: File,
    /// A read failed: there is little use in going on.
    failed: AtomicBool,
}

impl Readable {
    pub(super) fn new(file: File) -> Self {
        Self { file, failed: AtomicBool::new(false) }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

impl Run {
    pub(super) fn new() -> Self {
        Self {
            sequence: 0,
            file: Path::new("").into(),
            chunk: 0,
            left: Left::Nothing,
            buffer: vec![0; CHUNK_BYTES].into(),
            ahead: Vec::new(),
        }
    }

    /// The next chunk, or what there is of it, and its number. None at the end of the run.
    pub(super) fn next(&mut self, problems: &mut Vec<Problem>) -> Option<(u64, &[u8])> {
        let number = self.chunk;
        let filled = match &self.left {
            Left::Nothing => 0,
            Left::Filled(filled) => *filled,
            Left::Chunks(_, end) if number == *end => 0,
            Left::Chunks(readable, _) => {
                match next(&readable.file, number, &mut self.buffer, &mut self.ahead) {
                    Ok(filled) => filled,
                    Err(error) => {
                        readable.failed.store(true, Ordering::Relaxed);
                        problems.push(unreadable(&self.file, number, &error));
                        0
                    }
                }
            }
        };
        self.chunk += u64::from(filled > 0);
        if filled < CHUNK_BYTES || matches!(self.left, Left::Filled(_)) {
            self.left = Left::Nothing;
        }
        (filled > 0).then(|| (number, &self.buffer[..filled]))
    }
}

/// Chunk `number`, and in `ahead` the header of the one behind it; how much of the chunk there is.
/// `ahead` comes with this chunk's header, or empty.
fn next(file: &File, number: u64, chunk: &mut [u8], ahead: &mut Vec<u8>) -> io::Result<usize> {
    let start = FILE_HEADER_BYTES as u64 + number * CHUNK_BYTES as u64;
    let mut at = ahead.len();
    chunk[..at].copy_from_slice(ahead);
    if let Some(end) = unused_from(ahead) {
        // Whether a record was added since the header was written shows there.
        let seen = end + RECORD_MAGIC.len();
        at += fill_at(file, &mut chunk[at..seen], &mut [], start + at as u64)?;
        if at == seen && chunk[end..seen] != *RECORD_MAGIC {
            chunk[seen..].fill(0);
            at = CHUNK_BYTES;
        }
    }
    ahead.resize(CHUNK_HEADER_BYTES, 0);
    let read = fill_at(file, &mut chunk[at..], ahead, start + at as u64)?;
    ahead.truncate((at + read).saturating_sub(CHUNK_BYTES));
    Ok((at + read).min(CHUNK_BYTES))
}

pub(super) fn unreadable(file: &Path, chunk: u64, error: &io::Error) -> Problem {
    let text = format!("{} cannot be read from chunk {chunk} on: {error}", file.display());
    Problem { text, exit: (chunk == 0).then(|| Exit::of_io(error)) }
}

/// Where in a chunk with this header the records end, if nothing stands behind them that is worth
/// to be read.
fn unused_from(header: &[u8]) -> Option<usize> {
    let end = ChunkHeader::parse(header)?.vouched_end(header)?;
    (end + UNUSED_BYTES_MIN <= CHUNK_BYTES).then_some(end)
}

/// Reads from a place in a file until both buffers are full or it ends. Both may be empty.
pub(super) fn fill_at(
    file: &File,
    mut first: &mut [u8],
    mut second: &mut [u8],
    place: u64,
) -> io::Result<usize> {
    let mut filled = 0;
    while !(first.is_empty() && second.is_empty()) {
        let place = place + filled as u64;
        let read = if second.is_empty() {
            file.read_at(first, place)
        } else {
            let mut buffers = [IoSliceMut::new(first), IoSliceMut::new(second)];
            rustix::io::preadv(file, &mut buffers, place).map_err(io::Error::from)
        };
        match read {
            Ok(0) => break,
            Ok(read) => {
                filled += read;
                let in_first = read.min(first.len());
                first = &mut first[in_first..];
                second = &mut second[read - in_first..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::super::feed::Feed;
    use super::*;
    use crate::event::xml::XmlEvent;
    use crate::evtx::write::{LogWriter, Options};

    /// A log of one chunk with one event.
    fn log() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut log = LogWriter::create(Options::default(), &mut bytes).unwrap();
        let event = b"<Event><System><EventID>1</EventID></System></Event>";
        log.push(&XmlEvent::parse(event).unwrap(), 0, &mut bytes).unwrap();
        log.close(&mut bytes).unwrap();
        bytes
    }

    /// All that is handed out of a file.
    fn read(file: &[u8]) -> Vec<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.evtx");
        std::fs::write(&path, file).unwrap();
        let (mut feed, mut run, mut problems) = (Feed::new(&[path]).unwrap(), Run::new(), Vec::new());
        let mut chunks = Vec::new();
        while feed.next(&mut run, &mut problems) {
            while let Some((number, chunk)) = run.next(&mut problems) {
                assert_eq!(number, chunks.len() as u64);
                chunks.push(chunk.to_vec());
            }
        }
        assert!(problems.is_empty());
        chunks
    }

    #[test]
    fn what_stands_behind_the_records_of_a_chunk_is_read_only_where_one_goes_on() {
        let log = log();
        let (header, chunk) = log.split_at(FILE_HEADER_BYTES);
        let end = unused_from(&chunk[..CHUNK_HEADER_BYTES]).unwrap();
        let with = |from: usize, bytes: &[u8]| {
            let mut changed = chunk.to_vec();
            changed[from..from + bytes.len()].copy_from_slice(bytes);
            changed
        };
        let stale = with(60_000, b"what was there before");
        let added = [&with(60_000, b"of an event")[..end], RECORD_MAGIC, &stale[end + 4..]].concat();
        let unsure = with(48, &50_000_u32.to_le_bytes());
        let whole = with(end, &[1; 4]);
        let chunks = [chunk, &stale, &added, &unsure, &whole, chunk, chunk];
        let expected = [chunk, chunk, &added, &unsure, &whole, chunk, chunk];
        assert_eq!(read(&[header, &chunks.concat()].concat()), expected);
        // The file may end anywhere.
        let cut = [header, &chunks[..3].concat(), &chunk[..end - 1]].concat();
        assert_eq!(read(&cut)[3], &chunk[..end - 1]);
        let cut = [header, chunk, &chunk[..CHUNK_HEADER_BYTES - 1]].concat();
        assert_eq!(read(&cut)[1].len(), CHUNK_HEADER_BYTES - 1);
        assert_eq!(read(&[header, chunk, &chunk[..end + 4]].concat())[1], *chunk);
    }
}
