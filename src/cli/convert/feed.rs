//! The input: files one after the other, cut into blocks of whole chunks.

use crate::cli::{Exit, Failure};
use crate::evtx::chunk::{CHUNK_HEADER_BYTES, CHUNK_MAGIC, RECORD_MAGIC};
use crate::evtx::{CHUNK_BYTES, ChunkHeader, FILE_HEADER_BYTES, FileHeader};
use std::fs::{File, Metadata};
use std::io::{self, IoSliceMut, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Chunks a worker takes at a time: one stays in the processor's cache between the kernel's copy and the
/// decoding, which is worth more than fewer turns.
const BLOCK_CHUNKS: usize = 1;

/// What stands unused at the end of a chunk is not read when there is at least so much of it.
const UNUSED_BYTES_MIN: usize = 8 << 10;

pub(super) struct Feed {
    /// In reverse order.
    files: Vec<PathBuf>,
    current: Option<Open>,
    total_bytes: Option<u64>,
    sequence: u64,
}

struct Open {
    name: Arc<Path>,
    reader: Reader,
    chunk: u64,
    /// The start of the next chunk, read already to see what it is.
    ahead: Vec<u8>,
}

enum Reader {
    File(File),
    Stream(Box<dyn Read + Send>),
}

/// Chunks of one file. Its buffer is reused.
pub(super) struct Block {
    /// Blocks are written in this order.
    pub(super) sequence: u64,
    pub(super) file: Arc<Path>,
    pub(super) first_chunk: u64,
    buffer: Box<[u8]>,
    filled: usize,
    pub(super) problems: Vec<Problem>,
}

/// An input that cannot be read, or not all of it.
pub(super) struct Problem {
    pub(super) text: String,
    /// Set when nothing of the file was read.
    pub(super) exit: Option<Exit>,
}

impl Block {
    pub(super) fn new() -> Self {
        Self {
            sequence: 0,
            file: Path::new("").into(),
            first_chunk: 0,
            buffer: vec![0; BLOCK_CHUNKS * CHUNK_BYTES].into(),
            filled: 0,
            problems: Vec::new(),
        }
    }

    pub(super) fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        self.buffer[..self.filled].chunks(CHUNK_BYTES)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.filled as u64
    }
}

impl Feed {
    /// # Errors
    /// When a folder cannot be listed or has no event log. Files are opened when it is their turn.
    pub(super) fn new(paths: &[PathBuf]) -> Result<Self, Failure> {
        let mut files = Vec::new();
        for path in paths {
            if path.is_dir() {
                let before = files.len();
                search(path, &mut files)?;
                if files.len() == before {
                    let why = format!("there is no event log (*.evtx) in {} or below it", path.display());
                    return Err(Failure::new(Exit::NoInput, why));
                }
            } else {
                files.push(path.clone());
            }
        }
        let total_bytes =
            files.iter().map(|path| Some(path.metadata().ok().filter(|file| file.is_file())?.len())).sum();
        files.reverse();
        Ok(Self { files, current: None, total_bytes, sequence: 0 })
    }

    /// None where an input has no size.
    pub(super) fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    /// The input that is this very file, if one is.
    pub(super) fn input_that_is(&self, file: &File) -> Option<&Path> {
        let same = |path: &&PathBuf| {
            let there = if path.as_path() == Path::new("-") { stdin() } else { path.metadata() };
            there.is_ok_and(|there| is_same(&there, file))
        };
        self.files.iter().find(same).map(PathBuf::as_path)
    }

    /// Fills `block` with the next chunks, or problems; false at the end of all files.
    pub(super) fn next(&mut self, block: &mut Block) -> bool {
        block.filled = 0;
        block.problems.clear();
        while block.filled == 0 {
            let Some(open) = &mut self.current else {
                let Some(path) = self.files.pop() else { break };
                match Open::new(&path) {
                    Ok((open, problem)) => {
                        block.problems.extend(problem);
                        self.current = Some(open);
                    }
                    Err(failure) => {
                        block.problems.push(Problem { text: failure.message, exit: Some(failure.exit) });
                    }
                }
                continue;
            };
            block.file = Arc::clone(&open.name);
            block.first_chunk = open.chunk;
            match open.fill(&mut block.buffer) {
                Ok(filled) => block.filled = filled,
                Err(error) => block.problems.push(Problem {
                    text: format!(
                        "{} cannot be read beyond chunk {}: {error}",
                        open.name.display(),
                        open.chunk
                    ),
                    exit: (open.chunk == 0).then(|| Exit::of_io(&error)),
                }),
            }
            if block.filled < block.buffer.len() {
                self.current = None;
            }
        }
        block.sequence = self.sequence;
        self.sequence += 1;
        block.filled > 0 || !block.problems.is_empty()
    }
}

impl Open {
    fn new(path: &Path) -> Result<(Self, Option<Problem>), Failure> {
        let is_stdin = path == Path::new("-");
        let name: Arc<Path> = if is_stdin { Path::new("standard input").into() } else { path.into() };
        let cannot = |error: io::Error| Failure::io("read", &name, &error);
        let mut reader = if is_stdin {
            Reader::Stream(Box::new(io::stdin()))
        } else {
            let file = File::open(path).map_err(cannot)?;
            // A device or a pipe has no place to go to.
            let is_file = file.metadata().is_ok_and(|file| file.is_file());
            if is_file { Reader::File(file) } else { Reader::Stream(Box::new(file)) }
        };
        let mut header = vec![0; FILE_HEADER_BYTES];
        let read = fill(reader.plain(), &mut header).map_err(cannot)?;
        header.truncate(read);
        let mut open = Self { name, reader, chunk: 0, ahead: Vec::new() };
        let Err(error) = FileHeader::parse(&header) else {
            if read < FILE_HEADER_BYTES {
                let text =
                    format!("{}: it ends inside its own header; copy the log again", open.name.display());
                return Err(Failure::new(Exit::Data, text));
            }
            return Ok((open, None));
        };
        // A log whose first page is lost still has its chunks.
        let mut magic = [0; 8];
        let read = fill(open.reader.plain(), &mut magic).unwrap_or(0);
        if &magic[..read] != CHUNK_MAGIC {
            let instead = if is_text(&header) {
                "; XML and JSON lines are read by `forebay run`, with `[source.NAME.replay]` in a pipeline"
            } else {
                ""
            };
            return Err(Failure::new(Exit::Data, format!("{}: {error}{instead}", open.name.display())));
        }
        open.ahead = magic.to_vec();
        let text =
            format!("{}: the file header is damaged ({error}); its chunks are read", open.name.display());
        Ok((open, Some(Problem { text, exit: None })))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (mut filled, mut chunks) = (0, 0);
        for chunk in buffer.chunks_mut(CHUNK_BYTES) {
            let read = self.next(chunk)?;
            filled += read;
            chunks += u64::from(read > 0);
            if read < chunk.len() {
                break;
            }
        }
        self.chunk += chunks;
        Ok(filled)
    }

    /// The next chunk, and the header of the one behind it; how much of the chunk there is.
    fn next(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        let mut at = self.ahead.len();
        chunk[..at].copy_from_slice(&self.ahead);
        let file = match &mut self.reader {
            Reader::File(file) => file,
            Reader::Stream(stream) => {
                self.ahead.clear();
                return Ok(at + fill(stream, &mut chunk[at..])?);
            }
        };
        if let Some(end) = unused_from(&self.ahead) {
            // Whether a record was added since the header was written shows there.
            let seen = end + RECORD_MAGIC.len();
            at += fill(file, &mut chunk[at..seen])?;
            if at == seen && chunk[end..seen] != *RECORD_MAGIC {
                chunk[seen..].fill(0);
                file.seek(SeekFrom::Current((CHUNK_BYTES - seen) as i64))?;
                at = CHUNK_BYTES;
            }
        }
        self.ahead.resize(CHUNK_HEADER_BYTES, 0);
        let read = fill_both(file, &mut chunk[at..], &mut self.ahead)?;
        self.ahead.truncate((at + read).saturating_sub(CHUNK_BYTES));
        Ok((at + read).min(CHUNK_BYTES))
    }
}

impl Reader {
    fn plain(&mut self) -> &mut dyn Read {
        match self {
            Self::File(file) => file,
            Self::Stream(stream) => stream,
        }
    }
}

/// Where in a chunk with this header the records end, if nothing stands behind them that is worth
/// to be read.
fn unused_from(header: &[u8]) -> Option<usize> {
    let end = ChunkHeader::parse(header)?.vouched_end(header)?;
    (end + UNUSED_BYTES_MIN <= CHUNK_BYTES).then_some(end)
}

/// Devices and pipes may well be both input and output.
fn is_same(there: &Metadata, file: &File) -> bool {
    let same = |other: Metadata| (other.dev(), other.ino()) == (there.dev(), there.ino());
    there.is_file() && file.metadata().is_ok_and(same)
}

/// Begins as XML or JSON does, in UTF-8 or UTF-16.
fn is_text(bytes: &[u8]) -> bool {
    let mark = [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"];
    let rest = mark.iter().find_map(|mark| bytes.strip_prefix(*mark)).unwrap_or(bytes);
    let first = rest.iter().find(|byte| !byte.is_ascii_whitespace() && **byte != 0);
    matches!(first, Some(b'<' | b'{' | b'['))
}

fn stdin() -> io::Result<Metadata> {
    File::from(io::stdin().as_fd().try_clone_to_owned()?).metadata()
}

/// Reads until the buffer is full or the input ends.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The same with two buffers, the first of which may be empty.
fn fill_both(file: &mut File, mut first: &mut [u8], mut second: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while !second.is_empty() {
        match file.read_vectored(&mut [IoSliceMut::new(first), IoSliceMut::new(second)]) {
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

/// Event logs in a folder and those below it, by name. Links to folders are not followed.
fn search(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let cannot = |error: io::Error| Failure::io("list", folder, &error);
    let mut entries = folder.read_dir().and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(cannot)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_type().map_err(cannot)?.is_dir() {
            search(&path, files)?;
        } else if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("evtx")) {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
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
        let (mut feed, mut block) = (Feed::new(&[path]).unwrap(), Block::new());
        let mut chunks = Vec::new();
        while feed.next(&mut block) {
            assert!(block.problems.is_empty());
            chunks.extend(block.chunks().map(<[u8]>::to_vec));
        }
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
