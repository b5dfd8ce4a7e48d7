//! The input: files one after the other, cut into blocks of whole chunks.

use crate::cli::{Exit, Failure};
use crate::evtx::chunk::CHUNK_MAGIC;
use crate::evtx::{CHUNK_BYTES, FILE_HEADER_BYTES, FileHeader};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Chunks a worker takes at a time: small enough to stay in the processor's cache between the
/// kernel's copy and the decoding; and with others, large enough that taking turns costs nothing.
const BLOCK_CHUNKS_ALONE: usize = 1;
const BLOCK_CHUNKS: usize = 4;

pub(super) struct Feed {
    /// In reverse order.
    files: Vec<PathBuf>,
    current: Option<Open>,
    total_bytes: Option<u64>,
    sequence: u64,
}

struct Open {
    name: Arc<Path>,
    reader: Box<dyn Read + Send>,
    chunk: u64,
    /// Read already, to see what it is; comes before `reader`.
    ahead: Vec<u8>,
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
    /// For a worker that takes turns with others, or is alone.
    pub(super) fn new(alone: bool) -> Self {
        let chunks = if alone { BLOCK_CHUNKS_ALONE } else { BLOCK_CHUNKS };
        Self {
            sequence: 0,
            file: Path::new("").into(),
            first_chunk: 0,
            buffer: vec![0; chunks * CHUNK_BYTES].into(),
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
        let mut reader: Box<dyn Read + Send> =
            if is_stdin { Box::new(io::stdin()) } else { Box::new(File::open(path).map_err(cannot)?) };
        let mut header = vec![0; FILE_HEADER_BYTES];
        let read = fill(&mut *reader, &mut header).map_err(cannot)?;
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
        let read = fill(&mut *open.reader, &mut magic).unwrap_or(0);
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
        let ahead = self.ahead.len();
        buffer[..ahead].copy_from_slice(&self.ahead);
        self.ahead.clear();
        let filled = ahead + fill(&mut *self.reader, &mut buffer[ahead..])?;
        self.chunk += filled.div_ceil(CHUNK_BYTES) as u64;
        Ok(filled)
    }
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
