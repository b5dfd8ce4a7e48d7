//! Looking at a basin from outside, also one that a process has open: `forebay basin ls | verify`.
//!
//! Promise: changes nothing. While a process writes, its last segment may look torn.

use super::super::{BasinError, Position};
use super::cursor::{self, CURSORS};
use super::file::{Disk, Folder};
use super::recovery::{IDENTITY, IDENTITY_MAGIC, IDENTITY_SLOT_BYTES};
use super::segment::{SEGMENTS, SegmentHeader, segment_number, segment_path};
use super::slots::{FORMAT_VERSION, Flaw, Slots};
use super::snapshot;
use super::survey::{Known, Survey, link, survey};
use crate::event::Timestamp;
use crate::finding::Finding;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a basin's folder holds.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// 32 hex digits; empty when the identity cannot be read.
    pub node: String,
    pub epoch: u32,
    pub segments: Vec<SegmentListing>,
    pub cursors: Vec<CursorListing>,
    /// Keys of the bookmarks in the newest snapshot, with the size of each value.
    pub bookmarks: Vec<(String, usize)>,
    /// Up to where the log is covered by that snapshot.
    pub snapshot: Position,
}

#[derive(Clone, Debug)]
pub struct SegmentListing {
    pub path: PathBuf,
    /// What it takes on disk.
    pub bytes: u64,
    /// What of it is used.
    pub used_bytes: u64,
    pub frames: u64,
    pub events: u64,
    pub first: Option<Position>,
    pub last: Option<Position>,
    pub first_at: Option<Timestamp>,
    pub last_at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub struct CursorListing {
    pub output: String,
    pub position: Position,
    /// Events and bytes of the log that the output has not confirmed.
    pub lag_events: u64,
    pub lag_bytes: u64,
    pub note_bytes: usize,
}

/// Reads everything there is to list.
pub(in crate::basin) fn inspect(path: &Path) -> Result<Listing, BasinError> {
    Visit::new(path)?.run().map(|visit| visit.listing)
}

/// Reads everything and says what is wrong with it; nothing is no finding.
pub(in crate::basin) fn verify(path: &Path) -> Result<Vec<Finding>, BasinError> {
    Visit::new(path)?.run().map(|visit| visit.findings)
}

/// There is a basin, and not a newer one.
pub(super) fn check(path: &Path) -> Result<(), BasinError> {
    Visit::new(path).map(|_| ())
}

struct Visit<'a> {
    root: &'a Path,
    disk: Folder,
    listing: Listing,
    findings: Vec<Finding>,
    committed: Position,
    events: u64,
    bytes: u64,
}

impl<'a> Visit<'a> {
    fn new(root: &'a Path) -> Result<Self, BasinError> {
        let mut visit = Self {
            root,
            disk: Folder::read_only(root),
            listing: Listing::default(),
            findings: Vec::new(),
            committed: Position::default(),
            events: 0,
            bytes: 0,
        };
        visit.identity()?;
        Ok(visit)
    }

    fn run(mut self) -> Result<Self, BasinError> {
        self.snapshot()?;
        let cursors = self.cursors()?;
        self.segments()?;
        for (record, _) in cursors {
            self.listing.cursors.push(CursorListing {
                lag_events: self.events.saturating_sub(record.totals.events),
                lag_bytes: self.bytes.saturating_sub(record.totals.bytes),
                output: record.name,
                position: record.position,
                note_bytes: record.note.len(),
            });
        }
        Ok(self)
    }

    fn identity(&mut self) -> Result<(), BasinError> {
        const THEN: &str = "the node id and the epoch come from the segments at the next start";
        let payload = match Slots::open(&self.disk, IDENTITY, IDENTITY_MAGIC, IDENTITY_SLOT_BYTES) {
            Ok((slots, payload)) => {
                self.findings.extend(slots.refusal("nothing is lost by it"));
                payload
            }
            Err(source) if !is_elsewhere(&source) => return Err(self.io(IDENTITY, source)),
            Err(_) if self.disk.list(SEGMENTS).is_ok_and(|segments| !segments.is_empty()) => {
                self.damaged(IDENTITY, THEN);
                return Ok(());
            }
            Err(_) => return Err(self.absent()),
        };
        match payload {
            Ok(bytes) if bytes.len() == 20 => {
                self.listing.node = bytes[..16].iter().map(|byte| format!("{byte:02x}")).collect();
                self.listing.epoch = u32::from_le_bytes([bytes[16], bytes[17], bytes[18], bytes[19]]);
            }
            Err(Flaw::Newer(found)) => return Err(self.newer(found)),
            _ => self.damaged(IDENTITY, THEN),
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<(), BasinError> {
        let loaded = snapshot::load(&self.disk);
        let (snapshot, _, flaws) = loaded.map_err(|source| self.io("state.0", source))?;
        for flaw in flaws {
            if let Flaw::Newer(found) = flaw {
                return Err(self.newer(found));
            }
            self.damaged("state.0 or state.1", "the other one counts; the next snapshot replaces it");
        }
        self.listing.snapshot = snapshot.position;
        self.committed = snapshot.position;
        (self.events, self.bytes) = (snapshot.totals.events, snapshot.totals.bytes);
        self.listing.bookmarks =
            snapshot.state.iter().map(|(key, value)| (key.to_string(), value.len())).collect();
        Ok(())
    }

    fn cursors(&mut self) -> Result<Vec<(cursor::CursorRecord, Slots)>, BasinError> {
        let names = cursor::names(&self.disk).map_err(|source| self.io(CURSORS, source))?;
        let mut cursors = Vec::new();
        for name in names {
            let path = format!("{CURSORS}/{name}");
            match cursor::open(&self.disk, &path).map_err(|source| self.io(&path, source))? {
                (slots, Ok(record)) => {
                    self.findings.extend(slots.refusal("the output may repeat what it did last"));
                    self.committed = self.committed.max(record.position);
                    cursors.push((record, slots));
                }
                (_, Err(Flaw::Newer(found))) => return Err(self.newer(found)),
                (_, Err(Flaw::Empty | Flaw::Damaged)) => {
                    self.damaged(&path, "the output of this name begins anew");
                }
            }
        }
        Ok(cursors)
    }

    fn segments(&mut self) -> Result<(), BasinError> {
        let names = self.disk.list(SEGMENTS).map_err(|source| self.io(SEGMENTS, source))?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
        numbers.sort_unstable();
        let mut opened = Vec::new();
        for number in numbers {
            let path = segment_path(number);
            let file = match self.disk.open(&path) {
                Ok(file) => file,
                // Deleted by the process that has the basin open.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(self.io(&path, source)),
            };
            match SegmentHeader::read(&*file).map_err(|source| self.io(&path, source))? {
                Ok(header) => opened.push((number, file, header)),
                Err(Flaw::Newer(found)) => return Err(self.newer(found)),
                Err(Flaw::Empty) => {}
                // Its file is just becoming another segment's.
                Err(Flaw::Damaged) if self.disk.open(&path).is_err_and(|error| is_elsewhere(&error)) => {}
                Err(Flaw::Damaged) => self.damaged(&path, "its frames cannot be told from noise"),
            }
        }
        for index in 0..opened.len() {
            let (number, file, header) = &opened[index];
            let path = segment_path(*number);
            let io = |source| BasinError::Io { action: "read", path: self.root.join(&path), source };
            let mut end = None;
            let mut is_last = true;
            for (_, file, header) in &opened[index + 1..] {
                if let Some((_, link)) = link(file, header).map_err(io)? {
                    (end, is_last) = ((link.previous == *number).then_some(link.previous_end), false);
                    break;
                }
            }
            let known =
                Known { file: Arc::clone(file), header: *header, end, is_last, committed: self.committed };
            let survey = survey(&known).map_err(io)?;
            if SegmentHeader::read(&**file).map_err(io)? != Ok(*header) {
                // Its file became another segment's meanwhile.
                continue;
            }
            let bytes = file.len().map_err(io)?;
            self.list(&path, bytes, &survey);
        }
        Ok(())
    }

    fn list(&mut self, path: &str, bytes: u64, survey: &Survey) {
        let (first, last) = (survey.frames.first(), survey.frames.last());
        if let Some(last) = last {
            self.events = self.events.max(last.through.events);
            self.bytes = self.bytes.max(last.through.bytes);
        }
        for rot in &survey.rot {
            let what = format!("{path}, {} bytes at {}", rot.to - rot.from, rot.from);
            self.damaged(&what, "they are skipped, and the rest is delivered");
        }
        if survey.torn || survey.refused {
            self.findings.push(Finding {
                what: format!("basin {}: {path} ends in a torn write at {}", self.root.display(), survey.end),
                why: "a crash, or a process that is writing just now; nothing of it was acknowledged".into(),
                fix: "nothing to do; the next start cuts it off".into(),
            });
        }
        self.listing.segments.push(SegmentListing {
            path: self.root.join(path),
            bytes,
            used_bytes: survey.end,
            frames: survey.frames.len() as u64,
            events: survey.frames.iter().map(|frame| frame.events).sum(),
            first: first.map(|frame| frame.position),
            last: last.map(|frame| frame.position),
            first_at: first.map(|frame| frame.at),
            last_at: last.map(|frame| frame.at),
        });
    }

    fn damaged(&mut self, what: &str, then: &str) {
        self.findings.push(Finding {
            what: format!("basin {}: {what} is damaged", self.root.display()),
            why: format!("its checksum is wrong; {then}"),
            fix: "check the disk".into(),
        });
    }

    fn absent(&self) -> BasinError {
        let below = self.root.join("basin");
        let fix = match below.join(IDENTITY).is_file() {
            true => format!("there is one in {}", below.display()),
            false => "name the `path` of `[basin.disk]` of a pipeline that has run".into(),
        };
        BasinError::Absent { path: self.root.into(), fix }
    }

    fn io(&self, path: &str, source: io::Error) -> BasinError {
        BasinError::Io { action: "read", path: self.root.join(path), source }
    }

    fn newer(&self, found: u32) -> BasinError {
        BasinError::Newer { path: self.root.into(), found, known: FORMAT_VERSION }
    }
}

/// No file is there: not in this folder, or this is no folder, or what is there is one.
fn is_elsewhere(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | IsADirectory)
}
