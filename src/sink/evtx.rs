//! Event logs as a destination: an archive that Event Viewer, evtx_dump and Hayabusa open.
//!
//! | file | what |
//! |---|---|
//! | `logs` | the open logs: prepare, append, sync, and back again when something fails |
//! | `entry` | one of them: begin, open below what is confirmed, close |
//! | `archive` | names of logs that were set aside |
//! | `store` | a file as the place where a log's bytes are |
//!
//! Takes events as `format.xml` writes them. Promises those of the `file` sink: confirmed is
//! synced, and after a crash every event is in the logs exactly once (with a disk basin). An event
//! that no log can hold is refused, with the reason. Must not know: filters, what an event says.

mod archive;
mod entry;
mod logs;
mod store;

use super::keep::Keep;
use super::path::{PathTemplate, Router};
use super::{Closing, Encoded, SendError, Sending, Sent, Sink, SinkError};
use crate::evtx::write::CHUNKS_MAX;
use crate::evtx::{CHUNK_BYTES, FILE_HEADER_BYTES};
use crate::finding::Finding;
use crate::units::ByteSize;
use bytes::Bytes;
use logs::Logs;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Logs kept open by default; each holds a chunk of 64 KiB in memory.
const OPEN_MAX: usize = 64;
/// Each holds a chunk of 64 KiB in memory.
pub const OPEN_MAX_MAX: usize = 4096;
/// What Event Viewer still opens without complaint; many tools read a log into memory.
const SIZE_MAX_DEFAULT: ByteSize = ByteSize::mib(1024);
/// A log holds 4 GiB; the rest is room for the batch that reaches the size.
const SIZE_MAX: ByteSize = ByteSize::mib(3 * 1024);
/// Header and one chunk.
const SIZE_MIN: u64 = (FILE_HEADER_BYTES + CHUNK_BYTES) as u64;

/// `sink.evtx = { path = "/archive/{channel}.evtx" }`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where logs are: a folder, then text and `{channel}`, `{computer}`, `{provider}`,
    /// `{event_id}`, `{level}`, `{source}`, `{host}`, `{yyyy}`, `{mm}`, `{dd}`, `{hh}` or
    /// `{date:%Y-%m-%d}`; it ends in `.evtx`. Dates are those of the event, in UTC.
    pub path: String,
    /// From this size on a log is full (1 GiB if not set, 3 GiB at most).
    pub size_max: Option<ByteSize>,
    /// What happens to a full log.
    #[serde(default)]
    pub full: Full,
    /// What is deleted of logs that are not being written; without it nothing is.
    #[serde(default)]
    pub keep: Keep,
    /// Logs that are kept open at a time (64 if not set).
    pub open_max: Option<usize>,
}

/// The two ways Windows has too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Full {
    /// It is set aside as `Archive-NAME-YYYY-MM-DD-hh-mm-ss-nnn.evtx` and a new one begun.
    #[default]
    Archive,
    /// Its oldest events are overwritten.
    Overwrite,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    size_max: u64,
    /// Slots of a log that overwrites its oldest events.
    ring: Option<u16>,
    open_max: usize,
}

impl Config {
    /// Checks what was written; opens nothing.
    ///
    /// # Errors
    /// Names the setting that cannot be.
    pub fn check(&self) -> Result<(), SinkError> {
        self.open().map(|_| ())
    }

    /// The checked sink; nothing is touched before its first use.
    ///
    /// # Errors
    /// As `check`.
    pub fn open(&self) -> Result<EvtxSink, SinkError> {
        let wrong = |setting, why: &str| Err(SinkError::Setting { setting, why: why.to_owned() });
        let template = PathTemplate::parse(&self.path)?;
        if !self.path.ends_with(".evtx") {
            return wrong("path", "must end in `.evtx`, or nothing will open the logs");
        }
        let size_max = self.size_max.unwrap_or(SIZE_MAX_DEFAULT);
        if size_max.0 < SIZE_MIN || size_max > SIZE_MAX {
            return wrong("size_max", "a log has at least 68 KiB and at most 3 GiB; write such as `100MiB`");
        }
        if self.open_max.is_some_and(|open_max| !(1..=OPEN_MAX_MAX).contains(&open_max)) {
            let why =
                format!("at least one log must be open to be written, and at most {OPEN_MAX_MAX} may be");
            return Err(SinkError::Setting { setting: "open_max", why });
        }
        self.keep.check()?;
        let chunks = (size_max.0 - FILE_HEADER_BYTES as u64) / CHUNK_BYTES as u64;
        let limits = Limits {
            size_max: size_max.0,
            ring: match self.full {
                Full::Archive => None,
                Full::Overwrite => Some(u16::try_from(chunks).unwrap_or(CHUNKS_MAX)),
            },
            open_max: self.open_max.unwrap_or(OPEN_MAX),
        };
        let logs = Logs::new(template.clone(), limits, self.keep);
        Ok(EvtxSink { router: Router::new(template), logs: Arc::new(Mutex::new(logs)) })
    }
}

/// The sink: its work happens on the threads for blocking calls.
pub struct EvtxSink {
    router: Router,
    logs: Arc<Mutex<Logs>>,
}

impl EvtxSink {
    fn logs(&self) -> MutexGuard<'_, Logs> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for EvtxSink {
    fn send<'s>(&'s mut self, batch: &'s Arc<Encoded>) -> Sending<'s> {
        let (logs, batch) = (Arc::clone(&self.logs), Arc::clone(batch));
        Box::pin(async move {
            let sent = tokio::task::spawn_blocking(move || {
                logs.lock().unwrap_or_else(PoisonError::into_inner).send(&batch)
            });
            sent.await.unwrap_or_else(|panic| {
                Err(SendError::Gone { peer: "evtx".to_owned(), reason: panic.to_string() })
            })
        })
    }

    fn resume(&mut self, note: &[u8]) -> Result<Vec<Finding>, SendError> {
        self.logs().resume(note)
    }

    fn note(&self) -> Bytes {
        self.logs().note()
    }

    fn router(&self) -> Option<Router> {
        Some(self.router.clone())
    }

    fn tick(&mut self) -> Sending<'_> {
        let logs = Arc::clone(&self.logs);
        Box::pin(async move {
            let ticked = tokio::task::spawn_blocking(move || {
                logs.lock().unwrap_or_else(PoisonError::into_inner).tick();
            });
            ticked.await.map(|()| Sent::Confirmed).map_err(super::cut_off)
        })
    }

    fn close(&mut self) -> Closing<'_> {
        let closed = self.logs().close();
        Box::pin(std::future::ready(closed))
    }
}

#[cfg(test)]
mod tests;
