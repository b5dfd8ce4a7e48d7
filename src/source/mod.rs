//! Where events come from: each source turns what arrived into batches for the basin.
//!
//! Promise: a position moves only with the events up to it. Must not know: outputs, formats.

mod batch;
pub mod evtx;
mod feed;
#[cfg(test)]
mod harness;
pub mod replay;
mod report;
pub mod wef;

pub use report::{Counts, Report, Summary};

use crate::basin::Basin;
use crate::finding::Finding;
use schemars::JsonSchema;
use serde::Deserialize;
use std::io;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

/// `[source.NAME]`: exactly one of these.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Windows event log files: read, then followed while they are written.
    pub evtx: Option<evtx::Config>,
    /// Events as XML or JSON lines, from a file or standard input.
    pub replay: Option<replay::Config>,
    /// Windows machines push their events to us (Windows Event Forwarding).
    pub wef: Option<wef::Config>,
}

impl Config {
    /// Checks what was written; opens nothing.
    pub fn open(&self, name: &str) -> Result<Source, SourceError> {
        match (&self.evtx, &self.replay, &self.wef) {
            (Some(config), None, None) => config.open(name).map(Source::Evtx),
            (None, Some(config), None) => config.open(name).map(Source::Replay),
            (None, None, Some(config)) => config.open(name).map(Source::Wef),
            _ => Err(SourceError::Kind { name: name.into() }),
        }
    }
}

/// A source, checked and ready to run.
#[derive(Clone, Debug)]
pub enum Source {
    Evtx(evtx::Evtx),
    Replay(replay::Replay),
    Wef(wef::Wef),
}

/// Tells of machines, an object each; can be asked while and after the source runs.
pub type Hosts = Box<dyn Fn() -> Vec<serde_json::Value> + Send + Sync>;

/// Why a source cannot start or had to end. Trouble with single files is a [`Finding`] instead.
#[derive(Debug, Error)]
pub enum SourceError {
    #[error("source `{name}` needs exactly one of the tables `evtx`, `replay` and `wef`")]
    Kind { name: Box<str> },
    #[error("source `{name}`: {what}; {fix}")]
    Config { name: Box<str>, key: &'static str, what: String, fix: &'static str },
    #[error("source `{name}`: {finding}")]
    Input { name: Box<str>, finding: Finding, kind: io::ErrorKind },
    #[error("source `{name}`: the basin did not keep a batch of {path}; its position stays before it")]
    NotKept { name: Box<str>, path: Box<str> },
    #[error("source `{name}`: its reader ended unexpectedly; please report this with the log around it")]
    Reader { name: Box<str> },
}

/// Why an input cannot be read at all.
#[derive(Debug)]
struct Unreadable {
    finding: Finding,
    kind: io::ErrorKind,
}

impl Unreadable {
    fn of(self, source: &str) -> SourceError {
        SourceError::Input { name: source.into(), finding: self.finding, kind: self.kind }
    }
}

impl SourceError {
    /// The key in the table of the kind that is wrong; empty when it is no single one.
    pub fn key(&self) -> &'static str {
        if let Self::Config { key, .. } = self { key } else { "" }
    }
}

impl Source {
    pub fn name(&self) -> &str {
        match self {
            Self::Evtx(source) => source.name(),
            Self::Replay(source) => source.name(),
            Self::Wef(source) => source.name(),
        }
    }

    /// Live figures; stays valid while and after the source runs.
    pub fn report(&self) -> Report {
        match self {
            Self::Evtx(source) => source.report(),
            Self::Replay(source) => source.report(),
            Self::Wef(source) => source.report(),
        }
    }

    /// The machines it has heard of, where it is one that machines push to.
    pub fn hosts(&self) -> Option<Hosts> {
        match self {
            Self::Evtx(_) | Self::Replay(_) => None,
            Self::Wef(source) => Some(Box::new(source.hosts())),
        }
    }

    /// Whether it sends events to the dead letter of each output.
    pub fn diverts(&self) -> bool {
        matches!(self, Self::Wef(source) if source.diverts())
    }

    /// Names of its subscriptions, where machines push to it.
    pub fn subscriptions(&self) -> Vec<&str> {
        match self {
            Self::Evtx(_) | Self::Replay(_) => Vec::new(),
            Self::Wef(source) => source.subscriptions().collect(),
        }
    }

    /// What would keep it from reading now. Changes nothing.
    pub fn probe(&self) -> Vec<Finding> {
        match self {
            Self::Evtx(source) => source.probe(),
            Self::Replay(source) => source.probe(),
            Self::Wef(source) => source.probe(),
        }
    }

    /// Reads until the inputs end (`once`) or `stop`.
    ///
    /// # Errors
    /// When the source as a whole cannot go on.
    pub async fn run(
        self,
        basin: Basin,
        stop: CancellationToken,
        once: bool,
    ) -> Result<Summary, SourceError> {
        match self {
            Self::Evtx(source) => source.run(basin, stop, once).await,
            Self::Replay(source) => source.run(basin, stop).await,
            Self::Wef(source) => source.run(basin, stop).await,
        }
    }
}
