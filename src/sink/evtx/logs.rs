//! The logs being written: prepared, appended to and synced batch by batch, and taken back when
//! something fails.
//!
//! Why a crash neither repeats nor tears anything is what `file/files.rs` says, with a log's next
//! record id in place of a file's length: a log is written only while the durable note lists it,
//! the note has each log's next id after exactly the events up to the cursor, and a log is set
//! aside only while the note has its exact next id. Taking back is dropping every record from that
//! id on: records are only appended, so that rewrites one chunk header and cuts the file.

use super::Limits;
use super::archive::{archive, unarchived};
use super::entry::{Entry, Open, begin, close, open, open_below};
use crate::event::Timestamp;
use crate::event::xml::XmlEvent;
use crate::evtx::write::PushError;
use crate::finding::Finding;
use crate::sink::file::note::{self, Noted, State};
use crate::sink::keep::{Keep, Keeper};
use crate::sink::path::{Confined, PathTemplate, Place};
use crate::sink::{Encoded, SendError, Sent};
use bytes::Bytes;
use std::collections::HashMap;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tracing::warn;

pub(super) struct Logs {
    template: PathTemplate,
    limits: Limits,
    keeper: Keeper,
    root: Option<Confined>,
    entries: HashMap<Box<str>, Entry>,
    /// Counts batches, for what was used last.
    batches: u64,
    /// A checkpoint was asked for and has happened when `send` is called again.
    asked: bool,
    /// Closed, and nothing written since.
    finished: bool,
}

/// Why a batch was not written.
enum Trouble {
    Io(io::Error),
    /// The batch holds an event that no log takes.
    Event(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Logs {
    pub(super) fn new(template: PathTemplate, limits: Limits, keep: Keep) -> Self {
        let keeper = Keeper::new(keep, &template, unarchived);
        let (entries, batches) = (HashMap::new(), 0);
        Self { template, limits, keeper, root: None, entries, batches, asked: false, finished: false }
    }

    /// All of the batch or nothing of it.
    pub(super) fn send(&mut self, batch: &Encoded) -> Result<Sent, SendError> {
        self.try_send(batch, now()).map_err(|(path, trouble)| {
            let peer = self.template.root().join(path).display().to_string();
            match trouble {
                Trouble::Io(error) => SendError::retry(peer, error),
                Trouble::Event(reason) => SendError::Refused { peer, reason },
            }
        })
    }

    fn try_send(&mut self, batch: &Encoded, now: Timestamp) -> Result<Sent, (String, Trouble)> {
        if std::mem::take(&mut self.asked) {
            for entry in self.entries.values_mut() {
                (entry.noted, entry.exact) = (true, true);
            }
        }
        self.finished = false;
        self.batches += 1;
        let mut ready = true;
        for route in &batch.routes {
            ready &= self.prepare(route, now).map_err(|error| (route.to_string(), error.into()))?;
        }
        self.evict(ready).map_err(|(path, error)| (path, error.into()))?;
        if !ready {
            self.asked = true;
            return Ok(Sent::CheckpointFirst);
        }
        let mut next_ids = Vec::with_capacity(batch.routes.len());
        for (index, route) in batch.routes.iter().enumerate() {
            match self.write(route, index as u32, batch, now) {
                Ok(next_id) => next_ids.push(next_id),
                Err(trouble) => {
                    self.take_back(&batch.routes[..=index]);
                    return Err((route.to_string(), trouble));
                }
            }
        }
        for (route, next_id) in batch.routes.iter().zip(next_ids) {
            if let Some(entry) = self.entries.get_mut(route) {
                (entry.next_id, entry.exact) = (next_id, false);
            }
        }
        self.thin_out(now);
        Ok(Sent::Confirmed)
    }

    /// What time alone brings about: logs are deleted although nothing is written.
    pub(super) fn tick(&mut self) {
        if self.root.is_none() && self.template.root().is_dir() {
            self.root = Confined::open(self.template.root()).ok();
        }
        self.thin_out(now());
    }

    fn thin_out(&mut self, now: Timestamp) {
        if let Some(root) = &self.root {
            let (entries, seconds) = (&self.entries, u64::try_from(now.0 / 1_000_000_000).unwrap_or(0));
            self.keeper.thin_out(root, seconds, &|path| entries.contains_key(path));
        }
    }

    pub(super) fn note(&self) -> Bytes {
        let entries = self.entries.iter().map(|(path, entry)| Noted {
            path: path.clone(),
            inode: entry.inode,
            length: entry.next_id,
            begun: 0,
        });
        note::write(if self.finished { State::Finished } else { State::Writing }, entries).into()
    }

    /// Takes what the durable note does not have out of every log.
    pub(super) fn resume(&mut self, note: &[u8]) -> Result<Vec<Finding>, SendError> {
        let mut findings = Vec::new();
        if note.is_empty() {
            return Ok(findings);
        }
        let root = self.template.root().display().to_string();
        let Some((state, noted)) = note::read(note) else {
            findings.push(Finding {
                what: format!("the logs under {root} could not be checked against the cursor"),
                why: "the note stored with the cursor is not one of this version's evtx sink".into(),
                fix: "look for repeated events around this restart; nothing is missing".into(),
            });
            return Ok(findings);
        };
        for noted in noted {
            let path = noted.path.clone();
            self.resume_one(&noted, state, &mut findings)
                .map_err(|error| SendError::retry(format!("{root}{path}"), error))?;
        }
        Ok(findings)
    }

    fn resume_one(&mut self, noted: &Noted, state: State, findings: &mut Vec<Finding>) -> io::Result<()> {
        let place = self.place(&noted.path, true)?;
        if place.inode()? != Some(noted.inode) {
            return Ok(());
        }
        let mut entry = Entry {
            inode: noted.inode,
            next_id: noted.length,
            open: None,
            used: 0,
            noted: state == State::Writing,
            exact: state == State::Writing,
            cut: false,
        };
        let below = (state == State::Writing).then_some(noted.length);
        let found = open_below(&mut entry, &place, self.limits, below)?.log.next_record_id();
        if found > noted.length {
            findings.push(Finding {
                what: format!(
                    "{} has more events than it was left with",
                    self.template.root().join(&*noted.path).display()
                ),
                why: format!(
                    "its next record was {} and is {found}: something else writes there",
                    noted.length
                ),
                fix: "nothing was taken out; give every writer a log of its own".into(),
            });
            entry.next_id = found;
        }
        if found < noted.length {
            findings.push(Finding {
                what: format!("{} has fewer events than it had", self.template.root().join(&*noted.path).display()),
                why: format!("records up to {} were confirmed, {} is the last one", noted.length - 1, found - 1),
                fix: "something else changed the log; what is missing can be sent again with `start = \"oldest\"` under a new output name".into(),
            });
            entry.next_id = found;
            entry.exact = false;
        }
        self.entries.insert(noted.path.clone(), entry);
        Ok(())
    }

    pub(super) fn close(&mut self) -> Result<(), SendError> {
        for (path, entry) in &mut self.entries {
            if let Some(open) = entry.open.take() {
                close(open).map_err(|error| {
                    SendError::retry(self.template.root().join(&**path).display().to_string(), error)
                })?;
            }
        }
        self.finished = self.entries.values().all(|entry| !entry.cut);
        Ok(())
    }

    /// Makes the log of `route` one that may be written; false: only after a checkpoint.
    fn prepare(&mut self, route: &str, now: Timestamp) -> io::Result<bool> {
        let place = self.place(route, true)?;
        let there = place.inode()?;
        let (batches, limits) = (self.batches, self.limits);
        let Some(entry) = self.entries.get_mut(route).filter(|entry| Some(entry.inode) == there) else {
            if self.entries.remove(route).is_some() {
                warn!(path = route, "the log was moved or removed while it was written; a new one is begun");
            }
            let entry = begin(&place, 1, limits, batches)?;
            self.entries.insert(route.into(), entry);
            return Ok(false);
        };
        entry.used = batches;
        let (noted, exact, next_id) = (entry.noted, entry.exact, entry.next_id);
        let log = &mut open(entry, &place, limits)?.log;
        if limits.ring.is_some() || log.bytes() < limits.size_max || log.is_empty() {
            return Ok(noted);
        }
        if !(noted && exact) {
            return Ok(false);
        }
        if let Some(open) = entry.open.take() {
            close(open)?;
        }
        place.rename(&archive(&place, now)?)?;
        self.keeper.wake();
        // Record ids go on in the new log, as they do on Windows.
        let entry = begin(&place, next_id, limits, batches)?;
        self.entries.insert(route.into(), entry);
        Ok(false)
    }

    /// Appends the batch's items of one route and syncs; returns the next record id.
    fn write(&mut self, route: &str, index: u32, batch: &Encoded, now: Timestamp) -> Result<u64, Trouble> {
        let place = self.place(route, false)?;
        let limits = self.limits;
        let entry = self.entries.get_mut(route).ok_or(io::ErrorKind::NotFound).map_err(io::Error::from)?;
        let Open { log, file } = open(entry, &place, limits)?;
        for (at, item) in batch.items.iter().enumerate().filter(|(_, item)| item.route == index) {
            let text = batch.item(at).trim_ascii();
            let event = XmlEvent::parse(text)
                .map_err(|error| Trouble::Event(format!("event of {}: {error}", item.time)))?;
            log.push(&event, now.to_filetime(), file).map_err(|error| match error {
                PushError::Store(error) => Trouble::Io(error),
                PushError::Unstorable(error) => Trouble::Event(format!("event of {}: {error}", item.time)),
                // Logs are set aside long before they are full; one that was full when it was
                // found is set aside when the batch comes again.
                PushError::Full => Trouble::Io(io::ErrorKind::FileTooLarge.into()),
            })?;
        }
        log.flush(file)?;
        file.sync_data()?;
        Ok(log.next_record_id())
    }

    /// Leaves the logs as they were before the batch, now or, where that fails too, before the
    /// next write.
    fn take_back(&mut self, routes: &[Box<str>]) {
        for route in routes {
            let place = self.place(route, false);
            let limits = self.limits;
            if let (Some(entry), Ok(place)) = (self.entries.get_mut(route), place) {
                // A descriptor whose sync failed may have lost its pages and say nothing of it.
                (entry.open, entry.cut) = (None, true);
                if let Err(error) = open(entry, &place, limits) {
                    warn!(path = %route, %error, "what was written of a failed batch could not be removed yet");
                }
            }
        }
    }

    /// Closes the logs used longest ago that are not part of this batch, and before a checkpoint
    /// forgets them, until the rest fits.
    fn evict(&mut self, ready: bool) -> Result<(), (String, io::Error)> {
        let mut bytes: usize = self.entries.keys().map(|path| note::entry_bytes(path)).sum();
        let mut open = self.entries.values().filter(|entry| entry.open.is_some()).count();
        let mut old: Vec<(u64, Box<str>)> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.used < self.batches)
            .map(|(path, entry)| (entry.used, path.clone()))
            .collect();
        old.sort_unstable();
        for (_, path) in old {
            if open <= self.limits.open_max && note::fits(bytes) {
                break;
            }
            let Some(entry) = self.entries.get_mut(&path) else { continue };
            if let Some(opened) = entry.open.take() {
                close(opened).map_err(|error| (path.to_string(), error))?;
                open -= 1;
            }
            if !ready {
                bytes -= note::entry_bytes(&path);
                self.entries.remove(&path);
            }
        }
        Ok(())
    }

    fn place(&mut self, route: &str, create: bool) -> io::Result<Place> {
        if self.root.is_none() {
            self.root = Some(Confined::open(self.template.root())?);
        }
        match &self.root {
            Some(root) => root.place(route, create),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
