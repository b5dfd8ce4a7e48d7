//! The basin: one log in front of all outputs, on disk or in memory.
//!
//! ```text
//! append(batch) ──► [ group ] ──► write, fdatasync ──► commit ──► Outcome::Kept
//!                                                        ├──► bookmarks (state)
//!                                                        └──► reader of each output ──► confirm ──► cursor
//! ```
//!
//! Promises: `Outcome::Kept` means the batch and its bookmark outlive a crash (disk) or that every
//! output has confirmed it (memory). A reader sees a batch only after its commit, in the order of
//! the log. Positions are never reused. Full means wait.
//! Must not know: XML, sinks, formats.

pub mod budget;
pub mod config;
mod disk;
mod memory;
pub mod stats;

pub use budget::{Budget, Permit};
pub use config::{BasinConfig, DiskConfig, Full, MemoryConfig, OutputSpec, Retain, Start};
pub use disk::inspect::{CursorListing, Listing, SegmentListing};
pub use stats::{Latency, OutputStats, Stats};

use crate::event::{Bookmark, EventBatch, Outcome, Timestamp};
use crate::finding::Finding;
use bytes::Bytes;
use disk::{DiskBasin, DiskCursor, DiskReader};
use memory::{Memory, MemoryCursor, MemoryReader};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Handle of an open basin; clones share it.
#[derive(Clone)]
pub struct Basin {
    kind: Kind,
    /// What batches count in until the basin has answered for them.
    budget: Budget,
}

/// A batch on its way to an output.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub position: Position,
    /// May hold no event (a bookmark alone); it is confirmed like any other.
    pub batch: Arc<EventBatch>,
}

/// What the basin in a folder holds. Changes nothing, and works beside a running process.
pub fn inspect(path: &Path) -> Result<Listing, BasinError> {
    disk::inspect::inspect(path)
}

/// Reads the whole basin in a folder and reports all damage. Changes nothing.
pub fn verify(path: &Path) -> Result<Vec<Finding>, BasinError> {
    disk::inspect::verify(path)
}

/// Whether the basin could be opened now: whether its format is known and no process has it.
///
/// # Errors
/// As `Basin::open`.
pub fn probe(config: &BasinConfig) -> Result<(), BasinError> {
    config.disk.as_ref().map_or(Ok(()), |disk| disk::probe(&disk.path))
}

/// Releases an output's cursor in a basin that no process has open; see `Basin::forget`.
pub fn forget(path: &Path, output: &str) -> Result<(), BasinError> {
    disk::forget(path, output)
}

/// Where a batch stands in the log. Later batches have greater positions; none is ever reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Counts the starts of the basin.
    pub epoch: u32,
    /// Counts the frames within the epoch.
    pub sequence: u64,
}

/// What a memory basin leaves to the next one of the same process; a disk basin keeps it itself.
#[derive(Clone, Debug, Default)]
pub struct Handover {
    bookmarks: State,
    /// By output.
    notes: BTreeMap<String, Bytes>,
}

/// One output's way through the log.
pub struct Reader {
    kind: ReaderKind,
}

/// How far one output has come, kept across restarts.
pub struct Cursor {
    kind: CursorKind,
}

impl Basin {
    /// Opens the basin and starts its own threads; no runtime is needed. The findings say what was
    /// repaired, skipped or left over.
    pub fn open(
        config: &BasinConfig,
        outputs: &[OutputSpec],
        budget: &Budget,
    ) -> Result<(Self, Vec<Finding>), BasinError> {
        config.check()?;
        if let Some(memory) = &config.memory {
            let kind = Kind::Memory(Memory::open(memory, outputs));
            return Ok((Self { kind, budget: budget.clone() }, Vec::new()));
        }
        let Some(disk) = &config.disk else { unreachable!("checked above") };
        let (basin, findings) = DiskBasin::open(disk, outputs, budget)?;
        Ok((Self { kind: Kind::Disk(basin), budget: budget.clone() }, findings))
    }

    /// Waits for room, then until the basin answers for the batch. Dropping the future withdraws a
    /// batch that no write has begun for.
    ///
    /// A source may have several under way for one host and subscription, begun (first polled) in
    /// the order of their bookmarks: when one is lost or withdrawn, so are those begun after it and
    /// not yet written, for their bookmarks would pass it.
    pub async fn append(&self, batch: EventBatch) -> Outcome {
        let weight = batch.weight();
        self.append_in(batch, self.budget.reserve(weight)).await
    }

    /// As `append`, for a batch that its source has reserved memory for, and holds it until the answer.
    pub async fn append_reserved(&self, batch: EventBatch) -> Outcome {
        self.append_in(batch, std::future::ready(())).await
    }

    async fn append_in<M>(&self, batch: EventBatch, memory: impl Future<Output = M>) -> Outcome {
        match &self.kind {
            Kind::Disk(disk) => disk.append(batch, memory).await,
            Kind::Memory(basin) => {
                let _memory = memory.await;
                basin.append(batch, now()).await
            }
        }
    }

    /// What batches count in.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Value of a committed bookmark.
    pub fn bookmark(&self, key: &str) -> Option<Bytes> {
        match &self.kind {
            Kind::Disk(disk) => disk.bookmark(key),
            Kind::Memory(memory) => memory.bookmark(key),
        }
    }

    /// Committed bookmarks whose key starts with `prefix`, by key.
    pub fn bookmarks(&self, prefix: &str) -> Vec<(Box<str>, Bytes)> {
        match &self.kind {
            Kind::Disk(disk) => disk.bookmarks(prefix),
            Kind::Memory(memory) => memory.bookmarks(prefix),
        }
    }

    /// The reader of an output named at `open`, standing at its cursor.
    pub fn reader(&self, output: &str) -> Option<Reader> {
        let kind = match &self.kind {
            Kind::Disk(disk) => ReaderKind::Disk(disk.reader(output)?),
            Kind::Memory(memory) => ReaderKind::Memory(memory.reader(output)?),
        };
        Some(Reader { kind })
    }

    pub fn stats(&self) -> Stats {
        match &self.kind {
            Kind::Disk(disk) => disk.stats(),
            Kind::Memory(memory) => memory.stats(),
        }
    }

    /// For `take_over` of the basin that is opened next.
    pub fn hand_over(&self) -> Handover {
        match &self.kind {
            Kind::Disk(_) => Handover::default(),
            Kind::Memory(memory) => memory.hand_over(),
        }
    }

    /// Goes on where another memory basin ended; before the first `append` and `reader`.
    pub fn take_over(&self, from: &Handover) {
        if let Kind::Memory(memory) = &self.kind {
            memory.take_over(from);
        }
    }

    /// What went wrong since the last call; it is in the log already.
    pub fn take_findings(&self) -> Vec<Finding> {
        match &self.kind {
            Kind::Disk(disk) => disk.take_findings(),
            Kind::Memory(_) => Vec::new(),
        }
    }

    /// Releases the cursor of an output that is no longer configured. Blocks while the disk works.
    ///
    /// # Errors
    /// When the disk refuses; the cursor may then be back at the next start.
    pub fn forget(&self, output: &str) -> io::Result<Forgot> {
        match &self.kind {
            Kind::Disk(disk) => disk.forget(output),
            Kind::Memory(_) => Ok(Forgot::Unknown),
        }
    }

    /// Takes no more batches; each reader ends when it has read everything.
    pub fn finish(&self) {
        match &self.kind {
            Kind::Disk(disk) => disk.finish(),
            Kind::Memory(memory) => memory.finish(),
        }
    }

    /// Finishes, ends every reader where it stands, and makes cursors and bookmarks durable.
    pub async fn close(self) {
        match self.kind {
            Kind::Disk(disk) => disk.close().await,
            Kind::Memory(memory) => memory.close(),
        }
    }
}

impl Reader {
    /// The next batch after the last one handed out. `None` when the basin is closed, or finished
    /// and read to its end. Cancel-safe.
    pub async fn next(&mut self) -> Option<Delivery> {
        match &mut self.kind {
            ReaderKind::Disk(reader) => reader.next().await,
            ReaderKind::Memory(reader) => reader.next().await,
        }
    }

    /// The output's cursor, to be moved while this goes on reading.
    pub fn cursor(&self) -> Cursor {
        let kind = match &self.kind {
            ReaderKind::Disk(reader) => CursorKind::Disk(reader.cursor()),
            ReaderKind::Memory(reader) => CursorKind::Memory(reader.cursor()),
        };
        Cursor { kind }
    }
}

impl Cursor {
    /// Everything up to `through` is confirmed, filtered out or dead-lettered. `note` (at most
    /// `NOTE_BYTES_MAX`) is the sink's own state at this point, stored with the cursor.
    pub fn confirm(&self, through: Position, note: Bytes) {
        assert!(note.len() <= NOTE_BYTES_MAX, "a sink's note has at most {NOTE_BYTES_MAX} bytes");
        match &self.kind {
            CursorKind::Disk(cursor) => cursor.confirm(through, note),
            CursorKind::Memory(cursor) => cursor.confirm(through, note),
        }
    }

    /// Makes the cursor and its note durable now; otherwise that happens every second, every 64 MiB
    /// and at `close`.
    pub async fn checkpoint(&self) -> io::Result<()> {
        match &self.kind {
            CursorKind::Disk(cursor) => cursor.checkpoint().await,
            CursorKind::Memory(_) => Ok(()),
        }
    }

    /// The note that was confirmed last; after `open`, the durable one.
    pub fn note(&self) -> Bytes {
        match &self.kind {
            CursorKind::Disk(cursor) => cursor.note(),
            CursorKind::Memory(cursor) => cursor.note(),
        }
    }
}

/// What became of a cursor that is to be released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgot {
    Released,
    /// An output of this name is configured and stays.
    Configured,
    /// There is no such cursor.
    Unknown,
}

/// Why a basin cannot be opened.
#[derive(Debug, Error)]
pub enum BasinError {
    /// With the dotted key below `[basin]`; empty when it is no single one.
    #[error("{what}")]
    Config { key: &'static str, what: String },
    #[error("basin {path} is in use by process {holder}; stop that process, or give this one another `path`")]
    InUse { path: PathBuf, holder: String },
    #[error(
        "basin {path} has format version {found}, this program reads up to {known}; run the newer forebay, or use another `path`"
    )]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error("there is no basin in {path}; {fix}")]
    Absent { path: PathBuf, fix: String },
    #[error("basin {path} has no cursor named `{name}`; `forebay basin ls {path}` shows those it has")]
    NoCursor { path: PathBuf, name: String },
    #[error("basin: cannot {action} {path}: {source}; check the disk and that this user may write there")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

/// Largest note a sink may store with its cursor.
pub const NOTE_BYTES_MAX: usize = 60 << 10;

#[derive(Clone)]
enum Kind {
    Disk(DiskBasin),
    Memory(Memory),
}

enum CursorKind {
    Disk(DiskCursor),
    Memory(MemoryCursor),
}

enum ReaderKind {
    Disk(DiskReader),
    Memory(MemoryReader),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.sequence)
    }
}

/// Bookmarks by key. A bookmark without a value removes its key.
type State = BTreeMap<Box<str>, Bytes>;

fn apply(state: &mut State, bookmark: &Bookmark) {
    if bookmark.value.is_empty() {
        state.remove(&bookmark.key);
    } else {
        state.insert(bookmark.key.clone(), bookmark.value.clone());
    }
}

fn with_prefix(state: &State, prefix: &str) -> Vec<(Box<str>, Bytes)> {
    state
        .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
        .take_while(|(key, _)| key.starts_with(prefix))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod disk_tests;
#[cfg(test)]
mod memory_tests;
