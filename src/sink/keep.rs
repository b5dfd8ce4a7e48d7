//! Deletes files by age and by total size, oldest first.
//!
//! Only what this sink could have written is looked at: regular files below the root whose path has
//! the template's shape, with or without what a rotation adds to a name, and that are not being
//! written. Must not know: what is in the files.

use super::SinkError;
use super::path::{Confined, PathTemplate};
use crate::units::{ByteSize, Span};
use schemars::JsonSchema;
use serde::Deserialize;
use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;
use tracing::{info, warn};

/// Files looked at per round; more than this is a matter for another tool.
const FILES_MAX: usize = 100_000;
const ROUND_SECONDS: u64 = 60;

/// Files that have the path's shape and are not being written are deleted, oldest first.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// Last written longer ago than this.
    pub age: Option<Span>,
    /// What all files together may take.
    pub size: Option<ByteSize>,
}

impl Keep {
    /// What would delete every file as soon as it is closed.
    pub(super) fn check(&self) -> Result<(), SinkError> {
        let wrong = |setting, why: &str| Err(SinkError::Setting { setting, why: why.to_owned() });
        if self.age.is_some_and(|age| age.0.as_secs() == 0) {
            return wrong("keep.age", "would delete everything; write a span such as `30d`");
        }
        if self.size.is_some_and(|size| size.0 == 0) {
            return wrong("keep.size", "would delete everything; write a size such as `50GiB`");
        }
        Ok(())
    }
}

pub(super) struct Keeper {
    keep: Keep,
    template: PathTemplate,
    /// The path that a file had before it was set aside.
    bare: Bare,
    /// Unix seconds before which nothing needs to be looked at.
    next: u64,
}

/// From a path and the template's extension to the path without what setting aside added.
type Bare = fn(&str, &str) -> String;

struct Found {
    written: u64,
    bytes: u64,
    path: String,
}

impl Keeper {
    pub(super) fn new(keep: Keep, template: &PathTemplate, bare: Bare) -> Self {
        Self { keep, template: template.clone(), bare, next: 0 }
    }

    /// There are more files than before: look again with the next batch.
    pub(super) fn wake(&mut self) {
        self.next = 0;
    }

    pub(super) fn thin_out(&mut self, root: &Confined, now: u64, in_use: &dyn Fn(&str) -> bool) {
        if now < self.next || (self.keep.age.is_none() && self.keep.size.is_none()) {
            return;
        }
        self.next = now + ROUND_SECONDS;
        let mut found = Vec::new();
        self.collect(root.path(), "", &mut found);
        found.sort_unstable_by(|a, b| (a.written, &a.path).cmp(&(b.written, &b.path)));
        let mut total: u64 = found.iter().map(|file| file.bytes).sum();
        let age_max = self.keep.age.map_or(u64::MAX, |age| age.0.as_secs());
        let size_max = self.keep.size.map_or(u64::MAX, |size| size.0);
        for file in found.iter().filter(|file| !in_use(&file.path)) {
            if total <= size_max && now.saturating_sub(file.written) <= age_max {
                break;
            }
            match root.place(&file.path, false).and_then(|place| place.remove()) {
                Ok(()) => info!(path = file.path, bytes = file.bytes, "deleted, as `keep` says"),
                Err(error) => warn!(path = file.path, %error, "could not be deleted"),
            }
            total = total.saturating_sub(file.bytes);
        }
    }

    fn collect(&self, folder: &Path, below: &str, found: &mut Vec<Found>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            // `file_type` does not follow links.
            let (Ok(kind), Some(name)) = (entry.file_type(), entry.file_name().to_str().map(str::to_owned))
            else {
                continue;
            };
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            if found.len() >= FILES_MAX {
                return;
            }
            if kind.is_dir() && path.split('/').count() <= self.template.depth() {
                self.collect(&entry.path(), &path, found);
            } else if kind.is_file()
                && self.template.matches(&(self.bare)(&path, self.template.extension()))
                && let Ok(metadata) = entry.metadata()
            {
                let written = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                let written = written.map_or(0, |since| since.as_secs());
                found.push(Found { written, bytes: metadata.len(), path });
            }
        }
    }
}
