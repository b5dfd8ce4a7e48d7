//! The input: files one after the other, cut into runs of chunks.

use super::run::{Left, Problem, Readable, Run, fill_at, unreadable};
use crate::cli::{Exit, Failure};
use crate::evtx::chunk::CHUNK_MAGIC;
use crate::evtx::{CHUNK_BYTES, FILE_HEADER_BYTES, FileHeader};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Chunks of a file that a worker takes at a time. It still reads and decodes them one by one: a chunk stays
/// in the processor's cache between the kernel's copy and the decoding.
const RUN_CHUNKS: u64 = 2;

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
    /// The first that no run has.
    chunk: u64,
}

enum Reader {
    File {
        file: Arc<Readable>,
        /// As it was opened; it may grow.
        chunks: u64,
    },
    Stream {
        stream: Box<dyn Read + Send>,
        /// The start of the next chunk, read already to see what it is.
        ahead: Vec<u8>,
        ended: bool,
    },
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

    /// The next run, or problems; false at the end of all files.
    pub(super) fn next(&mut self, run: &mut Run, problems: &mut Vec<Problem>) -> bool {
        run.left = Left::Nothing;
        while matches!(run.left, Left::Nothing) {
            let Some(open) = &mut self.current else {
                let Some(path) = self.files.pop() else { break };
                match Open::new(&path) {
                    Ok((open, problem)) => {
                        problems.extend(problem);
                        self.current = Some(open);
                    }
                    Err(failure) => {
                        problems.push(Problem { text: failure.message, exit: Some(failure.exit) })
                    }
                }
                continue;
            };
            if !open.claim(run, problems) {
                self.current = None;
            }
        }
        run.sequence = self.sequence;
        self.sequence += 1;
        !matches!(run.left, Left::Nothing) || !problems.is_empty()
    }
}

impl Open {
    fn new(path: &Path) -> Result<(Self, Option<Problem>), Failure> {
        let is_stdin = path == Path::new("-");
        let name: Arc<Path> = if is_stdin { Path::new("standard input").into() } else { path.into() };
        let cannot = |error: io::Error| Failure::io("read", &name, &error);
        let mut reader =
            if is_stdin { Reader::stream(io::stdin()) } else { Reader::open(path).map_err(cannot)? };
        let mut header = vec![0; FILE_HEADER_BYTES];
        let read = reader.start(&mut header).map_err(cannot)?;
        header.truncate(read);
        let Err(error) = FileHeader::parse(&header) else {
            if read < FILE_HEADER_BYTES {
                let text = format!("{}: it ends inside its own header; copy the log again", name.display());
                return Err(Failure::new(Exit::Data, text));
            }
            return Ok((Self { name, reader, chunk: 0 }, None));
        };
        // A log whose first page is lost still has its chunks.
        if !reader.has_chunk() {
            let instead = if is_text(&header) {
                "; XML and JSON lines are read by `forebay run`, with `[source.NAME.replay]` in a pipeline"
            } else {
                ""
            };
            return Err(Failure::new(Exit::Data, format!("{}: {error}{instead}", name.display())));
        }
        let text = format!("{}: the file header is damaged ({error}); its chunks are read", name.display());
        Ok((Self { name, reader, chunk: 0 }, Some(Problem { text, exit: None })))
    }

    /// Gives `run` the next chunks; false where there are none.
    fn claim(&mut self, run: &mut Run, problems: &mut Vec<Problem>) -> bool {
        // With one worker its next run goes on where the last one ended.
        if !(Arc::ptr_eq(&run.file, &self.name) && run.chunk == self.chunk) {
            run.ahead.clear();
        }
        run.file = Arc::clone(&self.name);
        run.chunk = self.chunk;
        match &mut self.reader {
            Reader::File { file, chunks } => {
                let has_more = self.chunk < *chunks && !file.has_failed();
                if has_more {
                    self.chunk += RUN_CHUNKS;
                    // The last run also takes what the file has grown by.
                    let end = if self.chunk < *chunks { self.chunk } else { u64::MAX };
                    run.left = Left::Chunks(Arc::clone(file), end);
                }
                has_more
            }
            Reader::Stream { ended: true, .. } => false,
            Reader::Stream { stream, ahead, ended } => {
                let at = ahead.len();
                run.buffer[..at].copy_from_slice(ahead);
                ahead.clear();
                let read = fill(stream, &mut run.buffer[at..]).unwrap_or_else(|error| {
                    problems.push(unreadable(&self.name, self.chunk, &error));
                    0
                });
                self.chunk += 1;
                *ended = at + read < CHUNK_BYTES;
                if at + read > 0 {
                    run.left = Left::Filled(at + read);
                }
                true
            }
        }
    }
}

impl Reader {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // A device or a pipe has no place to go to.
        match file.metadata() {
            Ok(metadata) if metadata.is_file() => {
                let chunks =
                    metadata.len().saturating_sub(FILE_HEADER_BYTES as u64).div_ceil(CHUNK_BYTES as u64);
                Ok(Self::File { file: Arc::new(Readable::new(file)), chunks })
            }
            _ => Ok(Self::stream(file)),
        }
    }

    fn stream(stream: impl Read + Send + 'static) -> Self {
        Self::Stream { stream: Box::new(stream), ahead: Vec::new(), ended: false }
    }

    /// Reads the file header.
    fn start(&mut self, header: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File { file, .. } => fill_at(&file.file, header, &mut [], 0),
            Self::Stream { stream, .. } => fill(stream, header),
        }
    }

    /// Whether a chunk stands behind the file header.
    fn has_chunk(&mut self) -> bool {
        let mut magic = [0; CHUNK_MAGIC.len()];
        let read = match self {
            Self::File { file, .. } => fill_at(&file.file, &mut magic, &mut [], FILE_HEADER_BYTES as u64),
            Self::Stream { stream, .. } => fill(stream, &mut magic),
        };
        let read = &magic[..read.unwrap_or(0)];
        if let Self::Stream { ahead, .. } = self {
            ahead.extend_from_slice(read);
        }
        read == CHUNK_MAGIC
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
