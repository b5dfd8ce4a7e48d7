//! One log file: what of it is to be read next, and its way through the decoder.
//!
//! ```text
//! idle ──news──► look at all chunks ──plan──► todo ──a turn at a time──► idle
//!   ▲                    ▲                      │
//!   └── poll             └── a chunk is not what the look said ──┘
//! ```
//!
//! A chunk that ends in a half-written record is waited for. When that goes on for `SETTLE`
//! while later chunks are there, or nobody writes the file, it is damaged: the decoder then finds
//! what can be read behind it. Must not know: other files.

mod chunk;
mod survey;

use super::decode::{Decoding, Owner};
use super::look::{Look, Problem};
use super::position::Position;
use super::trouble;
use crate::finding::Finding;
use crate::source::Unreadable;
use crate::source::feed::Closed;
use chunk::Step;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Chunks read of one log before others get their turn.
const TURN_CHUNKS: usize = 16;
/// How long a torn chunk may take until it counts as damaged.
const SETTLE: Duration = Duration::from_secs(2);

/// A log file and how far it has been read.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) path: PathBuf,
    pub(super) owner: Owner,
    /// Device and inode.
    pub(super) file_id: (u64, u64),
    /// Its name is gone or belongs to another file since then: finished through the open handle.
    pub(super) detached: Option<Instant>,
    /// A newer log goes on where this one ended: what is torn in it stays torn.
    pub(super) superseded: bool,
    /// Had this name before: this one goes on where that one ends, if it is a copy of it.
    pub(super) after: Option<(u64, u64)>,
    pub(super) idle_since: Instant,
    file: Option<File>,
    at: Option<Position>,
    start: Start,
    look: Look,
    todo: VecDeque<Todo>,
    /// For positions in chunks that are not older, see `Position::since`.
    since: u64,
    torn: Option<Torn>,
    polls: u32,
    changed: Instant,
    told: Option<Finding>,
    /// One finding for a log full of records that cannot be decoded.
    undecodable_told: bool,
    /// The file could not be opened or read.
    failed: Option<io::ErrorKind>,
}

/// What the first look does with the position it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// There is none: read everything.
    Oldest,
    /// There is none: begin behind the newest record.
    Newest,
    /// Resume where it is known to belong to a log of this name.
    Resume,
    /// Resume only if its record is there: the file has another name now.
    Renamed,
    /// Looked at before.
    Known,
}

/// A chunk to be read.
#[derive(Debug)]
struct Todo {
    slot: usize,
    from: usize,
    /// Ids before it that were overwritten; told when there is a record behind them.
    lost: Option<RangeInclusive<u64>>,
}

impl Todo {
    fn new(slot: usize, from: usize) -> Self {
        Self { slot, from, lost: None }
    }
}

#[derive(Clone, Copy, Debug)]
struct Torn {
    slot: usize,
    end: usize,
    since: Instant,
}

/// What a turn achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// There is more to read.
    More,
    /// All there is has been read.
    Idle,
    /// A record is being written; the rest waits for it.
    Waiting,
}

/// How a turn is to be taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Inputs are complete: what is torn now stays torn.
    pub(super) once: bool,
    pub(super) now: Instant,
}

#[derive(Debug)]
pub(super) enum TurnError {
    Closed,
    Io(io::Error),
}

impl From<Closed> for TurnError {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<io::Error> for TurnError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Log {
    pub(super) fn new(
        path: PathBuf,
        owner: Owner,
        file_id: (u64, u64),
        at: Option<Position>,
        start: Start,
    ) -> Self {
        let now = Instant::now();
        Self {
            path,
            owner,
            file_id,
            detached: None,
            superseded: false,
            after: None,
            idle_since: now,
            file: None,
            at,
            start,
            look: Look::default(),
            todo: VecDeque::new(),
            since: 0,
            torn: None,
            polls: 0,
            changed: now,
            told: None,
            undecodable_told: false,
            failed: None,
        }
    }

    /// Reads on, up to `TURN_CHUNKS`.
    pub(super) fn turn(&mut self, pace: Pace, decoding: &mut Decoding) -> Result<Progress, TurnError> {
        let file = self.open()?;
        let result = self.read(&file, pace, decoding);
        if let Some(at) = &self.at {
            decoding.flush(&self.owner, at)?;
        }
        let progress = result.inspect_err(|_| self.todo.clear())?;
        self.failed = None;
        self.file = Some(file);
        if progress == Progress::More {
            self.idle_since = pace.now;
        }
        Ok(progress)
    }

    pub(super) fn position(&self) -> Option<Position> {
        self.at
    }

    /// Goes on behind the position if this is the same log.
    pub(super) fn resume(&mut self, at: Position) {
        (self.at, self.start) = (Some(at), Start::Resume);
    }

    /// Tells of trouble once, until something else happens.
    pub(super) fn tell(&mut self, decoding: &Decoding, finding: Finding) {
        if self.told.as_ref() != Some(&finding) {
            self.told = Some(finding.clone());
            decoding.report.find(finding);
        }
    }

    /// It could not be opened or read.
    pub(super) fn fail(&mut self, error: &io::Error, decoding: &Decoding) {
        self.failed = Some(error.kind());
        self.tell(decoding, trouble::unreadable(&self.owner.file, error));
    }

    /// Why nothing of the file can be read, if that is so.
    pub(super) fn unreadable(&self) -> Option<Unreadable> {
        let no_log = matches!(self.look.problem, Some(Problem::Empty | Problem::NoLog | Problem::Head));
        let kind = self.failed.or_else(|| no_log.then_some(io::ErrorKind::InvalidData))?;
        Some(Unreadable { finding: self.told.clone()?, kind })
    }

    pub(super) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Gives the handle back; the next turn opens the path again.
    pub(super) fn close(&mut self) {
        self.file = None;
    }

    /// The file has another name: the position goes there.
    pub(super) fn rename(
        &mut self,
        path: PathBuf,
        owner: Owner,
        decoding: &mut Decoding,
    ) -> Result<(), Closed> {
        let before = std::mem::replace(&mut self.owner, owner);
        self.path = path;
        if self.at.is_none() || before.key == self.owner.key {
            return Ok(());
        }
        self.commit(decoding)?;
        decoding.forget(&before)
    }

    /// Another file has the name: the position gets a key of its own. Under the old key it stays
    /// until that file has one, which may go on behind it.
    pub(super) fn give_up_name(&mut self, key: Box<str>, decoding: &mut Decoding) -> Result<(), Closed> {
        self.owner.key = key;
        self.commit(decoding)
    }

    /// The position under the owner's present key.
    fn commit(&self, decoding: &mut Decoding) -> Result<(), Closed> {
        let Some(at) = &self.at else { return Ok(()) };
        decoding.moved();
        decoding.flush(&self.owner, at)
    }

    fn open(&mut self) -> io::Result<File> {
        if let Some(file) = self.file.take() {
            return Ok(file);
        }
        let file = File::open(&self.path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // Another file took the name since it was listed; the next listing sorts it out.
        if (metadata.dev(), metadata.ino()) != self.file_id {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(file)
    }

    fn read(&mut self, file: &File, pace: Pace, decoding: &mut Decoding) -> Result<Progress, TurnError> {
        if self.todo.is_empty() && self.find_work(file, pace, decoding)? == Found::Unclear {
            return Ok(Progress::Waiting);
        }
        for _ in 0..TURN_CHUNKS {
            let Some(todo) = self.todo.front() else { return Ok(Progress::Idle) };
            match self.chunk(file, (todo.slot, todo.from), pace, decoding)? {
                Step::Done => {
                    self.todo.pop_front();
                    self.torn = None;
                }
                Step::Wait => return Ok(Progress::Waiting),
                Step::Changed => {
                    self.todo.clear();
                    if self.look_again(file, pace, decoding)? == Found::Unclear {
                        return Ok(Progress::Waiting);
                    }
                }
            }
            if decoding.is_closed() {
                return Err(TurnError::Closed);
            }
        }
        Ok(if self.todo.is_empty() { Progress::Idle } else { Progress::More })
    }
}

/// Whether it is known what to read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Work,
    Nothing,
    /// The log is rewritten faster than it can be looked at.
    Unclear,
}
