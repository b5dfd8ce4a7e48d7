//! Files on this machine: by path template, rotated, compressed, thinned out by age and size.
//!
//! | file | what |
//! |---|---|
//! | `files` | the open files: prepare, write, sync, and back again when something fails |
//! | `files/tick` | what time alone brings about: rotation and deletion while nothing is written |
//! | `entry` | one of them: append, cut back, open again |
//! | `note` | which files were how long, stored with the cursor |
//! | `compress` | one gzip member or zstd frame per batch |
//! | `stamp` | names of files that were set aside |
//!
//! Promises: confirmed is synced, names included. After a crash every event is in the files
//! exactly once and no line is torn, also across creation and rotation (with a disk basin; the
//! argument is in `files`). A full disk is waited for. Must not know: filters, what a line means.

mod compress;
pub(super) mod entry;
mod files;
pub(super) mod note;
mod stamp;

use super::keep::Keep;
use super::path::{PathTemplate, Router};
use super::{Closing, Encoded, SendError, Sending, Sink, SinkError};
use crate::finding::Finding;
use crate::units::{ByteSize, Span};
use bytes::Bytes;
use files::Files;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use compress::Compression;

/// Files kept open by default: well below the 1024 descriptors a process may have by default.
const OPEN_MAX: usize = 128;
/// More would not fit into what a process may have open.
pub const OPEN_MAX_MAX: usize = 16_384;

/// `sink.file = { path = "/var/log/forebay/{channel}.jsonl" }`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where events go: a folder, then text and `{channel}`, `{computer}`, `{provider}`,
    /// `{event_id}`, `{level}`, `{source}`, `{host}`, `{yyyy}`, `{mm}`, `{dd}`, `{hh}` or
    /// `{date:%Y-%m-%d}`. Dates are those of the event, in UTC.
    pub path: String,
    /// When a file is set aside and a new one begun.
    #[serde(default)]
    pub rotate: Rotate,
    /// What is deleted; without it nothing is.
    #[serde(default)]
    pub keep: Keep,
    /// Compresses what is written, batch by batch.
    pub compression: Option<Compression>,
    /// Files that are kept open at a time (128 if not set).
    pub open_max: Option<usize>,
}

/// A rotated file gets the time into its name: `logons-20260102T030405Z.jsonl`.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// From this size on.
    pub size: Option<ByteSize>,
    /// At every full span since midnight UTC: `"1h"`, `"1d"`.
    pub every: Option<Span>,
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
    pub fn open(&self) -> Result<FileSink, SinkError> {
        let wrong = |setting, why: &str| Err(SinkError::Setting { setting, why: why.to_owned() });
        let template = PathTemplate::parse(&self.path)?;
        if self.rotate.size.is_some_and(|size| size.0 == 0) {
            return wrong(
                "rotate.size",
                "0 would begin a file for every batch; write a size such as `100MiB`",
            );
        }
        if self.rotate.every.is_some_and(|span| span.0.as_secs() == 0) {
            return wrong("rotate.every", "must be a second or more; write a span such as `1h` or `1d`");
        }
        if self.open_max.is_some_and(|open_max| !(1..=OPEN_MAX_MAX).contains(&open_max)) {
            let why =
                format!("at least one file must be open to be written, and at most {OPEN_MAX_MAX} may be");
            return Err(SinkError::Setting { setting: "open_max", why });
        }
        self.keep.check()?;
        let files = Files::new(template.clone(), self, self.open_max.unwrap_or(OPEN_MAX));
        Ok(FileSink { router: Router::new(template), files: Arc::new(Mutex::new(files)) })
    }
}

/// The sink: its work happens on the threads for blocking calls.
pub struct FileSink {
    router: Router,
    files: Arc<Mutex<Files>>,
}

impl FileSink {
    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for FileSink {
    fn send<'s>(&'s mut self, batch: &'s Arc<Encoded>) -> Sending<'s> {
        let (files, batch) = (Arc::clone(&self.files), Arc::clone(batch));
        Box::pin(async move {
            let sent = tokio::task::spawn_blocking(move || {
                files.lock().unwrap_or_else(PoisonError::into_inner).send(&batch)
            });
            sent.await.unwrap_or_else(|ended| Err(super::cut_off(ended)))
        })
    }

    fn resume(&mut self, note: &[u8]) -> Result<Vec<Finding>, SendError> {
        self.files().resume(note)
    }

    fn note(&self) -> Bytes {
        self.files().note()
    }

    fn router(&self) -> Option<Router> {
        Some(self.router.clone())
    }

    fn tick(&mut self) -> Sending<'_> {
        let files = Arc::clone(&self.files);
        Box::pin(async move {
            let ticked = tokio::task::spawn_blocking(move || {
                files.lock().unwrap_or_else(PoisonError::into_inner).tick()
            });
            ticked.await.unwrap_or_else(|ended| Err(super::cut_off(ended)))
        })
    }

    fn close(&mut self) -> Closing<'_> {
        let closed: Result<(), SendError> = self.files().close();
        Box::pin(std::future::ready(closed))
    }
}

#[cfg(test)]
mod tests;
