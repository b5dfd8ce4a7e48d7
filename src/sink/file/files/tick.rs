//! What time alone brings about: files that nothing is written to are set aside, and deleted, too.
//!
//! Must not know: batches.

use super::super::entry::{Entry, is_due, recut};
use super::super::stamp::aside;
use super::{Files, Reason, now};
use crate::sink::path::Confined;
use crate::sink::{SendError, Sent};
use std::io;

impl Files {
    /// Once a minute.
    pub(in crate::sink::file) fn tick(&mut self) -> Result<Sent, SendError> {
        self.try_tick(now()).map_err(|(path, error)| self.retry(&path, &error))
    }

    pub(in crate::sink::file) fn try_tick(&mut self, now: u64) -> Result<Sent, Reason> {
        self.answered();
        self.finished = false;
        let due = |entry: &Entry| is_due(&self.rotate, entry, now);
        let due: Vec<Box<str>> =
            self.entries.iter().filter(|(_, entry)| due(entry)).map(|(path, _)| path.clone()).collect();
        if due.iter().any(|path| self.entries.get(path).is_some_and(|entry| !(entry.noted && entry.exact))) {
            self.asked = true;
            return Ok(Sent::CheckpointFirst);
        }
        for path in due {
            self.set_aside(&path, now).map_err(|error| (path.to_string(), error))?;
        }
        if self.root.is_none() && self.template.root().is_dir() {
            self.root = Confined::open(self.template.root()).ok();
        }
        self.thin_out(now);
        Ok(Sent::Confirmed)
    }

    /// A file that the durable note has as it is (rule 3).
    fn set_aside(&mut self, path: &str, now: u64) -> io::Result<()> {
        let place = self.place(path, false)?;
        if let Some(entry) = self.entries.get_mut(path).filter(|entry| entry.cut) {
            recut(entry, &place)?;
        }
        let there = place.inode()?;
        if there.is_some() && there == self.entries.get(path).map(|entry| entry.inode) {
            place.rename(&aside(&place, self.template.extension(), now)?)?;
            self.keeper.wake();
        }
        self.entries.remove(path);
        Ok(())
    }

    pub(super) fn thin_out(&mut self, now: u64) {
        if let Some(root) = &self.root {
            let entries = &self.entries;
            self.keeper.thin_out(root, now, &|path| entries.contains_key(path));
        }
    }

    /// The checkpoint that was asked for has happened.
    pub(super) fn answered(&mut self) {
        if std::mem::take(&mut self.asked) {
            for entry in self.entries.values_mut() {
                (entry.noted, entry.exact) = (true, true);
            }
        }
    }
}
