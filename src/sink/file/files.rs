//! The files being written: prepared, written and synced batch by batch, and taken back when
//! something fails.
//!
//! Why a crash neither repeats nor tears anything. Let (C, N) be the durable cursor and the note
//! stored with it. After a restart everything past C comes again, so the files must be as they
//! were at C. Three rules make `resume` able to do that by cutting alone:
//!  1. A file is written only while N lists it. A new or re-opened file therefore asks for a
//!     checkpoint first (`Sent::CheckpointFirst`); before it the file is unchanged, or empty.
//!  2. N is taken between batches and has each file's length after exactly the events up to C.
//!     Cutting to that length removes what came later, and only that.
//!  3. A file is renamed only while N has its exact length (a checkpoint right before it), so a
//!     rotated file never holds anything past C. Its place then has another inode or none, which
//!     `resume` leaves alone; the new file is written only after rule 1.
//!
//! A lane that ends in order leaves a note that says `Finished`: nothing of ours can be past it, so
//! nothing is cut, whoever wrote there meanwhile. What is written next therefore asks for a
//! checkpoint first, as for a new file.
//!
//! A file that leaves the note (too many are open) needs nothing: N still lists it until the next
//! checkpoint, whose C covers all that was written to it.

mod tick;

use super::compress::Compression;
use super::entry::{Entry, append, is_due, lock, recut};
use super::note::{self, Noted, State};
use super::stamp::{aside, without_stamp};
use super::{Config, Rotate};
use crate::finding::Finding;
use crate::sink::keep::Keeper;
use crate::sink::path::{Confined, PathTemplate, Place};
use crate::sink::{Encoded, SendError, Sent};
use bytes::Bytes;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tracing::warn;

pub(super) struct Files {
    template: PathTemplate,
    rotate: Rotate,
    compression: Option<Compression>,
    open_max: usize,
    keeper: Keeper,
    root: Option<Confined>,
    pub(super) entries: HashMap<Box<str>, Entry>,
    /// Counts batches, for what was used last.
    batches: u64,
    /// A checkpoint was asked for and has happened when `send` is called again.
    asked: bool,
    /// Files that were there before us may end in the middle of a batch: no note vouches for them.
    strangers: bool,
    /// Closed, and nothing written since.
    finished: bool,
    plain: Vec<u8>,
    packed: Vec<u8>,
}

type Reason = (String, io::Error);

impl Files {
    pub(super) fn new(template: PathTemplate, config: &Config, open_max: usize) -> Self {
        Self {
            keeper: Keeper::new(config.keep, &template, without_stamp),
            template,
            rotate: config.rotate,
            compression: config.compression,
            open_max,
            root: None,
            entries: HashMap::new(),
            batches: 0,
            asked: false,
            strangers: true,
            finished: false,
            plain: Vec::new(),
            packed: Vec::new(),
        }
    }

    /// All of the batch or nothing of it.
    pub(super) fn send(&mut self, batch: &Encoded) -> Result<Sent, SendError> {
        self.try_send(batch, now()).map_err(|(path, error)| self.retry(&path, &error))
    }

    pub(super) fn try_send(&mut self, batch: &Encoded, now: u64) -> Result<Sent, Reason> {
        self.answered();
        self.finished = false;
        self.batches += 1;
        let mut ready = true;
        for route in &batch.routes {
            ready &= self.prepare(route, now).map_err(|error| (route.to_string(), error))?;
        }
        if !ready {
            self.evict()?;
            self.asked = true;
            return Ok(Sent::CheckpointFirst);
        }
        let mut lengths = Vec::with_capacity(batch.routes.len());
        for (index, route) in batch.routes.iter().enumerate() {
            match self.write(route, index as u32, batch) {
                Ok(length) => lengths.push(length),
                Err(error) => {
                    self.take_back(&batch.routes[..=index]);
                    return Err((route.to_string(), error));
                }
            }
        }
        for (route, length) in batch.routes.iter().zip(lengths) {
            if let Some(entry) = self.entries.get_mut(route) {
                (entry.length, entry.exact, entry.cut) = (length, false, false);
            }
        }
        self.close_least_used();
        self.thin_out(now);
        Ok(Sent::Confirmed)
    }

    fn retry(&self, path: &str, error: &io::Error) -> SendError {
        let file = self.template.root().join(path);
        SendError::retry(file.display().to_string(), error)
    }

    pub(super) fn note(&self) -> Bytes {
        let entries = self.entries.iter().map(|(path, entry)| Noted {
            path: path.clone(),
            inode: entry.inode,
            length: entry.length,
            begun: entry.begun,
        });
        note::write(if self.finished { State::Finished } else { State::Writing }, entries).into()
    }

    /// Cuts every file to the length the durable note has of it.
    pub(super) fn resume(&mut self, note: &[u8]) -> Result<Vec<Finding>, SendError> {
        let mut findings = Vec::new();
        if note.is_empty() {
            return Ok(findings);
        }
        let root = self.template.root().display().to_string();
        let Some((state, noted)) = note::read(note) else {
            findings.push(Finding {
                what: format!("the files under {root} could not be checked against the cursor"),
                why: "the note stored with the cursor is not one of this version's file sink".into(),
                fix: "look for repeated events around this restart; nothing is missing".into(),
            });
            return Ok(findings);
        };
        self.strangers = false;
        for noted in noted {
            let path = noted.path.clone();
            let cut = self.cut_to(noted, state, &mut findings);
            cut.map_err(|error| SendError::retry(format!("{root}{path}"), error))?;
        }
        Ok(findings)
    }

    fn cut_to(&mut self, noted: Noted, state: State, findings: &mut Vec<Finding>) -> io::Result<()> {
        let Some(file) = self.place(&noted.path, true)?.open()? else { return Ok(()) };
        let found = file.metadata()?;
        if found.ino() != noted.inode {
            return Ok(());
        }
        // A write of ours that is not over yet would come after the cut.
        lock(&file, &self.place(&noted.path, false)?)?;
        if found.len() < noted.length {
            findings.push(Finding {
                what: format!("{} is shorter than it was", self.template.root().join(&*noted.path).display()),
                why: format!("{} bytes were confirmed, {} are there", noted.length, found.len()),
                fix: "something else changed the file; what is missing can be sent again with `start = \"oldest\"` under a new output name".into(),
            });
        } else if found.len() > noted.length && state == State::Finished {
            findings.push(Finding {
                what: format!(
                    "{} is longer than it was left",
                    self.template.root().join(&*noted.path).display()
                ),
                why: format!(
                    "it had {} bytes and has {}: something else writes there",
                    noted.length,
                    found.len()
                ),
                fix: "nothing was cut; give every writer a file of its own".into(),
            });
            self.strangers = true;
            return Ok(());
        } else if found.len() > noted.length {
            file.set_len(noted.length)?;
            file.sync_all()?;
        }
        let entry = Entry {
            inode: noted.inode,
            length: found.len().min(noted.length),
            begun: noted.begun,
            file: None,
            used: 0,
            noted: state == State::Writing,
            exact: state == State::Writing,
            cut: false,
        };
        self.entries.insert(noted.path, entry);
        Ok(())
    }

    pub(super) fn close(&mut self) -> Result<(), SendError> {
        let unclean: Vec<_> =
            self.entries.iter().filter(|(_, entry)| entry.cut).map(|(path, _)| path.clone()).collect();
        self.take_back(&unclean);
        for entry in self.entries.values_mut() {
            entry.file = None;
        }
        self.finished = self.entries.values().all(|entry| !entry.cut);
        Ok(())
    }

    /// Makes the file of `route` one that may be written; false: only after a checkpoint.
    fn prepare(&mut self, route: &str, now: u64) -> io::Result<bool> {
        let place = self.place(route, true)?;
        let there = place.inode()?;
        let batches = self.batches;
        let Some(entry) = self.entries.get_mut(route).filter(|entry| Some(entry.inode) == there) else {
            if self.entries.remove(route).is_some() {
                warn!(path = route, "the file was moved or removed while it was written; a new one is begun");
            }
            let entry = if there.is_some() { self.adopt(&place, now)? } else { self.create(&place, now)? };
            self.entries.insert(route.into(), entry);
            return Ok(false);
        };
        entry.used = batches;
        if !is_due(&self.rotate, entry, now) {
            return Ok(entry.noted);
        }
        if !(entry.noted && entry.exact) {
            return Ok(false);
        }
        if entry.cut {
            recut(entry, &place)?;
        }
        place.rename(&aside(&place, self.template.extension(), now)?)?;
        self.keeper.wake();
        self.entries.remove(route);
        let entry = self.create(&place, now)?;
        self.entries.insert(route.into(), entry);
        Ok(false)
    }

    fn create(&self, place: &Place, now: u64) -> io::Result<Entry> {
        let file = place.create()?;
        self.entry(file, place, now)
    }

    /// A file that is there already.
    fn adopt(&self, place: &Place, now: u64) -> io::Result<Entry> {
        let Some(file) = place.open()? else { return self.create(place, now) };
        let found = file.metadata()?;
        if self.strangers && found.len() > 0 {
            let mut last = [0];
            file.read_exact_at(&mut last, found.len() - 1)?;
            // A compressed file may end in the middle of a member, after which nothing is readable.
            if self.compression.is_some() || last != *b"\n" {
                drop(file);
                place.rename(&aside(place, self.template.extension(), now)?)?;
                return self.create(place, now);
            }
        }
        let begun = u64::try_from(found.mtime()).unwrap_or(0);
        self.entry(file, place, begun)
    }

    fn entry(&self, file: File, place: &Place, begun: u64) -> io::Result<Entry> {
        lock(&file, place)?;
        let found = file.metadata()?;
        let (inode, length) = (found.ino(), found.len());
        Ok(Entry {
            inode,
            length,
            begun,
            file: Some(file),
            used: self.batches,
            noted: false,
            exact: false,
            cut: false,
        })
    }

    /// Appends the batch's items of one route and syncs; returns the new length.
    fn write(&mut self, route: &str, index: u32, batch: &Encoded) -> io::Result<u64> {
        let place = self.place(route, false)?;
        let mut plain = std::mem::take(&mut self.plain);
        let mut packed = std::mem::take(&mut self.packed);
        let bytes = gather(batch, index, &mut plain);
        let packing = match self.compression {
            Some(compression) if !bytes.is_empty() => compression.pack(bytes, &mut packed),
            _ => Ok(()),
        };
        let bytes = if self.compression.is_some() { &packed[..] } else { bytes };
        let written = packing.and_then(|()| match self.entries.get_mut(route) {
            Some(entry) => append(entry, &place, bytes),
            None => Err(io::ErrorKind::NotFound.into()),
        });
        (self.plain, self.packed) = (plain, packed);
        written
    }

    /// Leaves the files as they were before the batch, now or, where that fails too, before the
    /// next write: nobody is to read half a line while the lane waits.
    fn take_back(&mut self, routes: &[Box<str>]) {
        for route in routes {
            let place = self.place(route, false);
            if let (Some(entry), Ok(place)) = (self.entries.get_mut(route), place) {
                // A descriptor whose sync failed may have lost its pages and say nothing of it.
                entry.file = None;
                entry.cut = true;
                if let Err(error) = recut(entry, &place) {
                    warn!(path = %route, %error, "what was written of a failed batch could not be removed yet");
                }
            }
        }
    }

    /// Forgets the files used longest ago that are not part of this batch, until the rest fits.
    fn evict(&mut self) -> Result<(), Reason> {
        let mut bytes: usize = self.entries.keys().map(|path| note::entry_bytes(path)).sum();
        let mut old: Vec<(u64, Box<str>)> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.used < self.batches)
            .map(|(path, entry)| (entry.used, path.clone()))
            .collect();
        old.sort_unstable();
        for (_, path) in old {
            if self.entries.len() <= self.open_max && note::fits(bytes) {
                break;
            }
            let place = self.place(&path, false).map_err(|error| (path.to_string(), error))?;
            if let Some(entry) = self.entries.get_mut(&path).filter(|entry| entry.cut) {
                recut(entry, &place).map_err(|error| (path.to_string(), error))?;
            }
            bytes -= note::entry_bytes(&path);
            self.entries.remove(&path);
        }
        Ok(())
    }

    fn close_least_used(&mut self) {
        let mut open: Vec<(u64, &mut Entry)> = self
            .entries
            .values_mut()
            .filter(|entry| entry.file.is_some())
            .map(|entry| (entry.used, entry))
            .collect();
        if open.len() > self.open_max {
            open.sort_unstable_by_key(|(used, _)| *used);
            let surplus = open.len() - self.open_max;
            open.into_iter().take(surplus).for_each(|(_, entry)| entry.file = None);
        }
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

/// The items of one route in one piece: the batch itself where it has only one.
fn gather<'b>(batch: &'b Encoded, route: u32, plain: &'b mut Vec<u8>) -> &'b [u8] {
    if batch.routes.len() == 1 {
        return &batch.bytes;
    }
    plain.clear();
    let mut run: Range<u32> = 0..0;
    for item in batch.items.iter().filter(|item| item.route == route) {
        if item.range.start != run.end {
            plain.extend_from_slice(&batch.bytes[run.start as usize..run.end as usize]);
            run.start = item.range.start;
        }
        run.end = item.range.end;
    }
    plain.extend_from_slice(&batch.bytes[run.start as usize..run.end as usize]);
    plain
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
