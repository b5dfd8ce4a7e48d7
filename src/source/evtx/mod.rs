//! Windows event log files as a source: reads what is there, then follows the logs while Windows
//! (or a copy job) writes them.
//!
//! ```text
//! folders, globs ─discover─► logs ─look─► chunk headers ─slots─► which chunks, from where
//!                 watch ──┘    │                                       │ records: which are whole
//!                              └── position ◄── decode ◄───────────────┘
//!                                     └── in the frame of its events ──► basin
//! ```
//!
//! | file | knows |
//! |---|---|
//! | `discover`, `watch` | which files there are; when to look again |
//! | `tail` | all logs: order, renames, deletions |
//! | `log`, `log/*` | one log: turns; what is new in it; single chunks, torn or damaged |
//! | `look`, `slots`, `records` | the file's headers; which chunks are unread; which records are whole |
//! | `position` | how far a log is read, as a bookmark |
//! | `decode` | records to batches, filtered before they are rendered |
//!
//! Promise: each record that was not overwritten before it could be read is handed over once and
//! in the order of its log; a position moves only in the frame of the events up to it; what was
//! overwritten is a finding with the lost ids. Must not know: outputs, formats.

mod decode;
mod discover;
mod log;
mod look;
mod position;
mod records;
mod slots;
mod tail;
mod trouble;
mod watch;

use super::feed::{self, Fed};
use super::{Report, SourceError, Summary};
use crate::basin::Basin;
use crate::filter::{Filter, FilterConfig, OneOrMany};
use crate::finding::Finding;
use crate::units::Span;
use decode::Decoding;
use position::Position;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;
use tail::{Job, Tail};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use watch::Watch;

/// `[source.NAME.evtx]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A file, a folder (its `*.evtx`) or a glob; or a list of them.
    pub path: OneOrMany<String>,
    /// How often the logs are looked at when no notification says they changed. Over network
    /// shares, and while a log is mapped into memory, there is no notification at all.
    #[serde(default = "poll_default")]
    pub poll: Span,
    /// Whether a log that is there at the first start is read from its start or from its end.
    #[serde(default = "yes")]
    pub read_existing: bool,
    /// Whether to go on with what is written later. `run --once` ends at the end in any case.
    #[serde(default = "yes")]
    pub follow: bool,
    /// What to take; the rest is dropped before it is rendered and never reaches the basin.
    pub filter: Option<FilterConfig>,
}

// A second is what people wait for without asking, and costs a few reads for each log.
fn poll_default() -> Span {
    Span::secs(1)
}

fn yes() -> bool {
    true
}

/// Shortest pause between two looks at the logs, whatever the configuration says.
pub const POLL_MIN: Duration = Duration::from_millis(10);

impl Config {
    /// Checks what was written; opens nothing.
    pub fn open(&self, name: &str) -> Result<Evtx, SourceError> {
        let wrong = |key, what: String, fix| SourceError::Config { name: name.into(), key, what, fix };
        if self.path.is_empty() || self.path.iter().any(|pattern| pattern.trim().is_empty()) {
            return Err(wrong(
                "path",
                "`path` is empty".into(),
                "name a file, a folder or a glob such as `/logs/*.evtx`",
            ));
        }
        if self.poll.0 < POLL_MIN {
            return Err(wrong(
                "poll",
                "`poll` is below 10ms".into(),
                "use `1s`, or `100ms` where every moment counts",
            ));
        }
        let filter = self.filter.as_ref().map(FilterConfig::compile).transpose();
        let filter = filter.map_err(|error| {
            wrong("filter", error.to_string(), "see `keep`, `drop` and `xpath` of a filter")
        })?;
        Ok(Evtx { name: name.into(), config: self.clone(), filter, report: Report::new(name) })
    }
}

/// The source, checked.
#[derive(Clone, Debug)]
pub struct Evtx {
    name: Box<str>,
    config: Config,
    filter: Option<Filter>,
    report: Report,
}

impl Evtx {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The configured files, folders and globs.
    pub fn paths(&self) -> &[String] {
        &self.config.path
    }

    /// Live figures; stays valid while and after the source runs.
    pub fn report(&self) -> Report {
        self.report.clone()
    }

    /// What would keep it from reading: paths where nothing is, files that cannot be opened.
    pub fn probe(&self) -> Vec<Finding> {
        let listing = discover::list(&self.config.path);
        let closed = |path: &PathBuf| {
            let error = std::fs::File::open(path).err()?;
            Some(trouble::unreadable(&path.display().to_string(), &error))
        };
        let closed: Vec<Finding> = listing.files.keys().filter_map(closed).collect();
        listing.trouble.into_iter().map(|(finding, _)| finding).chain(closed).collect()
    }

    /// Reads the logs and hands their events to the basin: until `stop`, or with `once` (or
    /// `follow = false`) until all are read.
    ///
    /// # Errors
    /// When there is nothing to read at all, or the basin does not keep what was read. Trouble
    /// with single logs is a finding, and the others are read.
    pub async fn run(
        self,
        basin: Basin,
        stop: CancellationToken,
        once: bool,
    ) -> Result<Summary, SourceError> {
        let Self { name, config, filter, report } = self;
        let prefix = format!("{name}/");
        let kept = basin
            .bookmarks(&prefix)
            .into_iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?.into(), Position::read(&value)?)));
        let job = Job {
            source: name.clone(),
            patterns: config.path.0,
            poll: config.poll.0,
            read_existing: config.read_existing,
            once: once || !config.follow,
            kept: kept.collect(),
        };
        let (outlet, inlet) = feed::pipe();
        let (watch, waker) = Watch::new(&name);
        let tail = Tail::new(job, Decoding::new(filter, outlet, report.clone()), watch);
        let (end, ended) = oneshot::channel();
        let reader = || SourceError::Reader { name: name.clone() };
        // Reading and decoding block and compute: a thread of its own keeps them off the reactor.
        let thread = std::thread::Builder::new().name("evtx".into());
        // Nobody listens any more when the source was stopped.
        thread.spawn(move || drop(end.send(tail.run()))).map_err(|_| reader())?;
        let append = |batch| basin.append(batch);
        let fed = feed::feed(inlet, feed::APPENDS_MAX, append, &stop, |counts| report.kept(*counts)).await;
        waker.wake();
        match fed {
            Fed::Ended => {
                let read = ended.await.map_err(|_| reader())?;
                read.map_err(|unreadable| unreadable.of(&name))?;
                Ok(report.summary())
            }
            Fed::Lost if !stop.is_cancelled() => Err(SourceError::NotKept { name, path: "its logs".into() }),
            Fed::Stopped | Fed::Lost => Ok(report.summary()),
        }
    }
}

#[cfg(test)]
mod tests;
