//! The reader's thread: keeps the list of logs up to date and gives each its turn.
//!
//! Logs of one channel (archives, then the log itself) are read one after the other, different
//! ones by turns. A log that is renamed is known by its inode and keeps its position; a log whose
//! name goes to another file is finished first, through its open handle.

use super::decode::{Decoding, Owner};
use super::discover::{self, Listing};
use super::log::{Log, Pace, Progress, Start, TurnError};
use super::position::Position;
use super::trouble;
use super::watch::Watch;
use crate::finding::Finding;
use crate::source::Unreadable;
use crate::source::feed::Closed;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Most open files of one source; those that were quiet longest are opened anew when they change.
const HANDLES_MAX: usize = 512;
/// A log without a name is let go after this long without news.
const DETACHED_QUIET: Duration = Duration::from_secs(5);

/// What the thread needs.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) source: Box<str>,
    pub(super) patterns: Vec<String>,
    pub(super) poll: Duration,
    pub(super) read_existing: bool,
    /// Ends when everything is read.
    pub(super) once: bool,
    /// Positions by path, as kept.
    pub(super) kept: BTreeMap<Box<str>, Position>,
}

pub(super) struct Tail {
    job: Job,
    decoding: Decoding,
    watch: Watch,
    logs: Vec<Log>,
    told: BTreeSet<String>,
    /// The first path that could not be listed.
    missing: Option<Unreadable>,
    listed: bool,
}

impl Tail {
    pub(super) fn new(job: Job, decoding: Decoding, watch: Watch) -> Self {
        Self { job, decoding, watch, logs: Vec::new(), told: BTreeSet::new(), missing: None, listed: false }
    }

    /// Reads until everything is read (`once`) or nobody takes batches any more.
    pub(super) fn run(self) -> Result<(), Unreadable> {
        let report = self.decoding.report.clone();
        if self.job.once {
            report.hold();
        }
        let ended = self.rounds();
        report.release(ended.as_ref().err().map(|unreadable| &unreadable.finding));
        ended
    }

    fn rounds(mut self) -> Result<(), Unreadable> {
        loop {
            let round = self.round();
            // What ends the run in its first round is told with the end, and not here too.
            if !(self.job.once && matches!(round, Ok(Round::Idle))) {
                self.decoding.report.release(None);
            }
            match round {
                Err(Closed) => return Ok(()),
                Ok(Round::More) => {}
                Ok(Round::Waiting) if self.job.once => std::thread::sleep(Duration::from_millis(10)),
                Ok(Round::Idle) if self.job.once => return self.conclude(),
                Ok(Round::Idle | Round::Waiting) => self.watch.wait(self.job.poll),
            }
            if self.decoding.is_closed() {
                return Ok(());
            }
        }
    }

    /// One listing, and turns until nothing is new or a poll's time is over.
    fn round(&mut self) -> Result<Round, Closed> {
        let listing = discover::list(&self.job.patterns);
        self.watch.folders(&listing.folders);
        self.tell(&listing);
        self.update(&listing)?;
        let start = Instant::now();
        loop {
            let round = self.turns()?;
            if round != Round::More || start.elapsed() >= self.job.poll {
                self.let_go()?;
                return Ok(round);
            }
        }
    }

    /// Without a single log that can be read there was nothing to end with.
    fn conclude(mut self) -> Result<(), Unreadable> {
        let unreadable: Option<Vec<Unreadable>> = self.logs.iter().map(Log::unreadable).collect();
        let Some(unreadable) = unreadable.filter(|_| self.decoding.report.counts().events == 0) else {
            return Ok(());
        };
        let missing = self.missing.take();
        Err(missing.into_iter().chain(unreadable).next().unwrap_or_else(|| Unreadable {
            finding: Finding {
                what: format!("nothing to read in {}", self.job.patterns.join(", ")),
                why: "no event log is there".into(),
                fix: "check `path`".into(),
            },
            kind: io::ErrorKind::NotFound,
        }))
    }

    fn tell(&mut self, listing: &Listing) {
        let lines: BTreeSet<String> =
            listing.trouble.iter().map(|(finding, _)| finding.to_string()).collect();
        for (finding, _) in &listing.trouble {
            if !self.told.contains(&finding.to_string()) {
                self.decoding.report.find(finding.clone());
            }
        }
        self.told = lines;
        let first = listing.trouble.first().cloned();
        self.missing = first.map(|(finding, kind)| Unreadable { finding, kind });
    }

    /// Brings the logs in line with the files that are there.
    fn update(&mut self, listing: &Listing) -> Result<(), Closed> {
        let names: BTreeMap<(u64, u64), &PathBuf> =
            listing.files.iter().map(|(path, id)| (*id, path)).collect();
        let Self { logs, decoding, job, .. } = self;
        for log in logs.iter_mut() {
            match names.get(&log.file_id) {
                Some(&path) if *path == log.path && log.detached.is_none() => {}
                // Its name was gone for a while, as when a share is not mounted.
                Some(&path) if *path == log.path => {
                    log.detached = None;
                    log.rename(path.clone(), owner(&job.source, path), decoding)?;
                }
                Some(&path) => {
                    log.detached = None;
                    tracing::info!(source = %job.source, from = %log.owner.file, to = %path.display(), "a log was renamed");
                    log.rename(path.clone(), owner(&job.source, path), decoding)?;
                }
                None if log.detached.is_some() => {}
                None => {
                    log.detached = Some(Instant::now());
                    if !listing.files.contains_key(&log.path) {
                        let finding = trouble::deleted(&log.owner.file, log.is_open());
                        log.tell(decoding, finding);
                    }
                }
            }
        }
        let known: HashSet<(u64, u64)> = logs.iter().map(|log| log.file_id).collect();
        for (path, id) in &listing.files {
            if !known.contains(id) {
                self.add(path, *id, &names)?;
            }
        }
        self.logs.sort_by_cached_key(|log| (group(log), log.detached.is_none(), discover::order(&log.path)));
        for index in 0..self.logs.len() {
            let next = self.logs.get(index + 1).map(group);
            let log = &mut self.logs[index];
            log.superseded = log.detached.is_some() || next == Some(group(log));
        }
        self.listed = true;
        Ok(())
    }

    fn add(
        &mut self,
        path: &Path,
        id: (u64, u64),
        names: &BTreeMap<(u64, u64), &PathBuf>,
    ) -> Result<(), Closed> {
        let owner = owner(&self.job.source, path);
        // The log that had this name is finished under a key of its own.
        let mut after = None;
        for log in self.logs.iter_mut().filter(|log| log.owner.key == owner.key) {
            let key = format!("{}#{}", owner.key, log.file_id.1).into();
            log.give_up_name(key, &mut self.decoding)?;
            after = Some(log.file_id);
        }
        let (at, start) = self.position(&owner.file, id.1, names);
        let mut log = Log::new(path.into(), owner, id, at, start);
        log.after = after;
        self.logs.push(log);
        Ok(())
    }

    /// Where a file that was not known goes on.
    fn position(
        &mut self,
        file: &str,
        inode: u64,
        names: &BTreeMap<(u64, u64), &PathBuf>,
    ) -> (Option<Position>, Start) {
        let kept = &mut self.job.kept;
        if let Some(own) = kept.get(file).copied() {
            // Unless it is that of a file which is still there, under another name.
            if own.inode == inode || !names.keys().any(|(_, other)| *other == own.inode) {
                kept.remove(file);
                return (Some(own), Start::Resume);
            }
        }
        let renamed = kept.iter().find(|(_, position)| position.inode == inode);
        if let Some((key, position)) = renamed.map(|(key, position)| (key.clone(), *position)) {
            kept.remove(&key);
            return (Some(position), Start::Renamed);
        }
        let newest = !self.job.read_existing && !self.listed;
        (None, if newest { Start::Newest } else { Start::Oldest })
    }

    /// One turn for each log, one log of a channel at a time.
    fn turns(&mut self) -> Result<Round, Closed> {
        let pace = Pace { once: self.job.once, now: Instant::now() };
        let (mut round, mut busy) = (Round::Idle, HashSet::new());
        let Self { logs, decoding, .. } = self;
        for index in 0..logs.len() {
            let group = group(&logs[index]);
            if busy.contains(&group) {
                continue;
            }
            // Whatever had its name comes before it, and has nothing more to read.
            if let Some(before) = logs[index].after.take() {
                let before = logs.iter().find(|log| log.file_id == before).and_then(Log::position);
                before.into_iter().for_each(|at| logs[index].resume(at));
            }
            let log = &mut logs[index];
            match log.turn(pace, decoding) {
                Ok(Progress::Idle) => {}
                Ok(Progress::Waiting) => {
                    busy.insert(group);
                    round = round.max(Round::Waiting);
                }
                Ok(Progress::More) => {
                    busy.insert(group);
                    round = Round::More;
                }
                Err(TurnError::Closed) => return Err(Closed),
                // Deleted or replaced since it was listed: the next listing finds out.
                Err(TurnError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(TurnError::Io(error)) => log.fail(&error, decoding),
            }
        }
        Ok(round)
    }

    /// Gives up logs that are gone and finished, and handles beyond the limit.
    fn let_go(&mut self) -> Result<(), Closed> {
        let Self { logs, decoding, job, .. } = self;
        let quiet = |log: &Log, since: Instant| {
            !log.is_open() || job.once || since.max(log.idle_since).elapsed() >= DETACHED_QUIET
        };
        let (gone, kept): (Vec<Log>, Vec<Log>) =
            logs.drain(..).partition(|log| log.detached.is_some_and(|since| quiet(log, since)));
        *logs = kept;
        for log in gone {
            // An empty folder may be a share that is not mounted: then the position is kept.
            let folder = log.path.parent();
            if logs.iter().any(|other| other.path.parent() == folder) {
                decoding.forget(&log.owner)?;
            } else if let Some(at) = log.position() {
                job.kept.insert(log.owner.file, at);
            }
        }
        let open = logs.iter().filter(|log| log.is_open()).count();
        if open > HANDLES_MAX {
            let mut quiet: Vec<&mut Log> =
                logs.iter_mut().filter(|log| log.is_open() && log.detached.is_none()).collect();
            quiet.sort_by_key(|log| log.idle_since);
            quiet.into_iter().take(open - HANDLES_MAX).for_each(Log::close);
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Round {
    Idle,
    Waiting,
    More,
}

fn group(log: &Log) -> PathBuf {
    discover::order(&log.path).0
}

fn owner(source: &str, path: &Path) -> Owner {
    let file: Box<str> = path.to_string_lossy().into();
    Owner { source: source.into(), key: format!("{source}/{file}").into(), file }
}
