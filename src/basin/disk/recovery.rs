//! Opening: reads the folder as a crash left it, and makes a working core of it.
//!
//! Restart = snapshot + the frames after it. Segments whose end the next one's link tells, and
//! which the snapshot covers, are not read; lanes check them when they get there.

use super::super::budget::Budget;
use super::super::{BasinError, OutputSpec, Position, Start, Stats};
use super::core::{Chores, Core, Options, Output, Snapshots};
use super::cursor::{self, CURSORS, CursorRecord, cursor_path};
use super::file::Disk;
use super::frame::Totals;
use super::quarantine::QUARANTINE;
use super::replay::{self, Reached, Replay};
use super::segment::{SEGMENTS, segment_path};
use super::slots::{Flaw, Slots};
use super::snapshot::{self, Snapshot, SnapshotWrite};
use super::tail::Tail;
use crate::event::Timestamp;
use crate::finding::Finding;
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Random numbers for a new basin and for this start.
#[derive(Clone, Copy)]
pub(super) struct Entropy {
    pub(super) node: [u8; 16],
    pub(super) salt: u64,
}

/// Where opening happens, for messages; and what it found.
pub(super) struct Opening<'a> {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) root: &'a Path,
    pub(super) findings: Vec<Finding>,
    /// Damage: segment, from and to.
    pub(super) damaged: BTreeSet<(u64, u64, u64)>,
    /// Segments that hold nothing and could not be removed.
    left: Vec<u64>,
}

pub(super) fn open(
    disk: Arc<dyn Disk>,
    root: &Path,
    options: Options,
    specs: &[OutputSpec],
    budget: &Budget,
    entropy: Entropy,
    now: Timestamp,
) -> Result<Core, BasinError> {
    let mut opening = Opening {
        disk: Arc::clone(&disk),
        root,
        findings: Vec::new(),
        damaged: BTreeSet::new(),
        left: Vec::new(),
    };
    opening.folders()?;
    let (identity, mut node, mut epoch) = opening.identity()?;
    let (snapshot, generation, is_older) = opening.snapshot()?;
    let stored = opening.stored_cursors()?;
    // Lanes see only what is committed, so a cursor tells as much as a mark.
    let cursors = || stored.iter().map(|(record, _)| record.position);
    let reached = Reached {
        committed: cursors().fold(snapshot.position, Position::max),
        done: cursors().fold(snapshot.position, Position::min),
    };
    let replay = replay::replay(&mut opening, node, &snapshot, reached)?;
    if is_older {
        opening.miss_bookmarks(&snapshot, &replay);
    }
    node = node.or(replay.node).or(Some(entropy.node));
    epoch = epoch.max(replay.epoch).max(snapshot.position.epoch);
    let node = node.unwrap_or(entropy.node);
    let (head, totals) = replay.head(&snapshot);
    let outputs = opening.outputs(specs, stored, &replay, head, totals, now)?;
    epoch = outputs.iter().map(|output| output.confirmed.epoch).fold(epoch, u32::max) + 1;
    // Durable before anything is appended: a position of this epoch never comes again.
    opening.start_epoch(identity, node, epoch)?;
    let durable = if generation == 0 { Position::default() } else { snapshot.position };
    Ok(Core {
        options,
        node,
        epoch,
        salt: entropy.salt,
        next_sequence: 1,
        head,
        totals,
        segments: replay.segments,
        active: None,
        prepared: None,
        next_number: replay.next_number,
        pending: VecDeque::new(),
        writing: false,
        unmarked: None,
        tail: Tail::new(head, budget.clone()),
        state: replay.state,
        snapshot: Snapshots { durable, generation, retry_at: None },
        outputs,
        chores: Chores { abandoned: opening.left, ..Chores::default() },
        findings: opening.findings.into(),
        stats: Stats { frames_damaged: opening.damaged.len() as u64, ..Stats::default() },
        damaged: opening.damaged,
        finished: false,
        stopping: false,
        writer_ended: false,
    })
}

impl Opening<'_> {
    fn folders(&self) -> Result<(), BasinError> {
        for folder in ["", SEGMENTS, CURSORS, QUARANTINE] {
            self.disk.make_dir(folder).map_err(|source| self.io("make folder", folder, source))?;
        }
        // A name that the last run gave may be in the kernel's cache alone.
        for folder in ["", CURSORS] {
            self.disk.sync_dir(folder).map_err(|source| self.io("sync folder", folder, source))?;
        }
        Ok(())
    }

    /// The identity file, node id and last epoch, where there are any.
    #[expect(clippy::type_complexity, reason = "used once, right below")]
    fn identity(&mut self) -> Result<(Option<Slots>, Option<[u8; 16]>, u32), BasinError> {
        let disk = Arc::clone(&self.disk);
        let (mut slots, payload) = match Slots::open(&*disk, IDENTITY, IDENTITY_MAGIC, IDENTITY_SLOT_BYTES) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((None, None, 0)),
            Err(source) => return Err(self.io("read", IDENTITY, source)),
        };
        match payload {
            Ok(bytes) if bytes.len() == 20 => {
                let mut node = [0; 16];
                node.copy_from_slice(&bytes[..16]);
                let mut epoch = u32::from_le_bytes([bytes[16], bytes[17], bytes[18], bytes[19]]);
                let refusal = slots.refusal("nothing is lost by it");
                // The other copy may have been one ahead.
                epoch += u32::from(refusal.is_some());
                self.findings.extend(refusal);
                let settled = slots.settle(&*disk, &identity(node, epoch));
                settled.map_err(|source| self.io("write", IDENTITY, source))?;
                Ok((Some(slots), Some(node), epoch))
            }
            Err(Flaw::Newer(found)) => Err(self.newer(found)),
            Ok(_) | Err(Flaw::Empty | Flaw::Damaged) => {
                self.findings.push(Finding {
                    what: format!("basin: {} is damaged", self.root.join(IDENTITY).display()),
                    why: "both copies of the node id and the epoch fail their checksum".into(),
                    fix: "check the disk; both were taken from the segments instead".into(),
                });
                Ok((None, None, 0))
            }
        }
    }

    fn start_epoch(&self, slots: Option<Slots>, node: [u8; 16], epoch: u32) -> Result<(), BasinError> {
        let payload = identity(node, epoch);
        let result = match slots {
            Some(mut slots) => slots.write(&payload).run(&*self.disk).map(|_| ()),
            None => Slots::create(&*self.disk, IDENTITY, IDENTITY_MAGIC, IDENTITY_SLOT_BYTES, &payload)
                .map(|_| ()),
        };
        result.map_err(|source| self.io("write", IDENTITY, source))
    }

    /// The newest whole snapshot, its generation, and whether the other file may have been newer.
    fn snapshot(&mut self) -> Result<(Snapshot, u64, bool), BasinError> {
        let (snapshot, generation, flaws) =
            snapshot::load(&*self.disk).map_err(|source| self.io("read", "state", source))?;
        for flaw in &flaws {
            if let Flaw::Newer(found) = flaw {
                return Err(self.newer(*found));
            }
        }
        // One that a crash tore is no matter while the other counts. The first of all is never torn.
        if generation == 0 && !flaws.is_empty() {
            self.findings.push(Finding {
                what: format!("basin: the snapshot of the bookmarks in {} is damaged", self.root.display()),
                why: "its checksum is wrong".into(),
                fix: "check the disk; bookmarks come from the segments that are left, and hosts may send events again".into(),
            });
        }
        if generation > 0 {
            // As for the cursors: what was read may be in the kernel's cache alone.
            SnapshotWrite::new(generation, snapshot.position, snapshot.totals, &snapshot.state)
                .run(&*self.disk)
                .map_err(|source| self.io("write", "state", source))?;
        }
        Ok((snapshot, generation, generation > 0 && !flaws.is_empty()))
    }

    /// What a snapshot that a crash tore would have covered is still in the log; one that was damaged
    /// later may have let it go.
    fn miss_bookmarks(&mut self, snapshot: &Snapshot, replay: &Replay) {
        if replay.oldest.is_some_and(|(oldest, _)| oldest <= snapshot.position) {
            return;
        }
        self.findings.push(Finding {
            what: format!(
                "basin: the newest snapshot of the bookmarks in {} is damaged",
                self.root.display()
            ),
            why: format!(
                "its checksum is wrong; the other one ends at {}, where the log does not go on",
                snapshot.position
            ),
            fix: "check the disk; some bookmarks are older than they were, and hosts may send events again"
                .into(),
        });
    }

    fn outputs(
        &mut self,
        specs: &[OutputSpec],
        mut stored: Vec<(CursorRecord, Slots)>,
        replay: &Replay,
        head: Position,
        totals: Totals,
        now: Timestamp,
    ) -> Result<Vec<Output>, BasinError> {
        let mut outputs = Vec::with_capacity(specs.len());
        for spec in specs {
            cursor::check_name(&spec.name)?;
            let known = stored.iter().position(|(record, _)| record.name == spec.name);
            let (mut record, slots, is_new) = match known.map(|index| stored.swap_remove(index)) {
                Some((record, slots)) => (record, slots, false),
                None => {
                    let (position, through) = match spec.start {
                        Start::Oldest => replay.oldest.unwrap_or((head, totals)),
                        Start::Newest => (head, totals),
                    };
                    let (record, slots) = self.new_cursor(spec, position, through)?;
                    (record, slots, true)
                }
            };
            record.full = spec.full;
            let durable = record.position;
            let dirty = !is_new && self.clamp(&mut record, replay, head, totals);
            outputs.push(output(record, slots, durable, dirty, now));
        }
        for (mut record, slots) in stored {
            let durable = record.position;
            let dirty = self.clamp(&mut record, replay, head, totals);
            self.findings.push(Finding {
                what: format!("basin: no output is named `{}`, but its cursor is still there", record.name),
                why: format!(
                    "it holds back {} bytes of the log",
                    totals.bytes.saturating_sub(record.totals.bytes)
                ),
                fix: format!(
                    "name an output so again, or run `forebay basin forget {} {}`",
                    self.root.display(),
                    record.name
                ),
            });
            outputs.push(Output { orphaned: true, ..output(record, slots, durable, dirty, now) });
        }
        Ok(outputs)
    }

    fn stored_cursors(&mut self) -> Result<Vec<(CursorRecord, Slots)>, BasinError> {
        let disk = Arc::clone(&self.disk);
        let names = cursor::names(&*disk).map_err(|source| self.io("list", CURSORS, source))?;
        let mut stored = Vec::new();
        for name in names {
            let path = format!("{CURSORS}/{name}");
            match cursor::open(&*disk, &path).map_err(|source| self.io("read", &path, source))? {
                (mut slots, Ok(record)) if cursor_path(&record.name) == path => {
                    self.findings.extend(slots.refusal("the output may repeat what it did last"));
                    slots
                        .settle(&*disk, &record.encode())
                        .map_err(|source| self.io("write", &path, source))?;
                    stored.push((record, slots));
                }
                (_, Err(Flaw::Newer(found))) => return Err(self.newer(found)),
                (_, Ok(_) | Err(Flaw::Empty | Flaw::Damaged)) => self.findings.push(Finding {
                    what: format!("basin: cursor {path} is damaged"),
                    why: "neither of its two copies passes its checksum under this name".into(),
                    fix: "check the disk; an output of this name begins anew, and events may be repeated"
                        .into(),
                }),
            }
        }
        Ok(stored)
    }

    fn new_cursor(
        &self,
        spec: &OutputSpec,
        position: Position,
        totals: Totals,
    ) -> Result<(CursorRecord, Slots), BasinError> {
        let record = CursorRecord {
            name: spec.name.clone(),
            position,
            totals,
            full: spec.full,
            note: Default::default(),
        };
        let slots = cursor::create(&*self.disk, &record)
            .map_err(|source| self.io("create", &cursor_path(&spec.name), source))?;
        Ok((record, slots))
    }

    /// Brings a cursor back into the log. True when it was not.
    fn clamp(&mut self, record: &mut CursorRecord, replay: &Replay, head: Position, totals: Totals) -> bool {
        if record.position > head {
            self.findings.push(Finding {
                what: format!("basin: the cursor of output `{}` is past the end of the log", record.name),
                why: format!("it says {}, and the log ends at {head}: part of the log is missing", record.position),
                fix: "find out who removed or restored files of the basin; the output goes on with what comes next".into(),
            });
            (record.position, record.totals) = (head, totals);
            return true;
        }
        let begins = if replay.segments.is_empty() { Some((head, totals)) } else { replay.oldest };
        if let Some((oldest, through)) = begins.filter(|(oldest, _)| *oldest > record.position) {
            self.findings.push(Finding {
                what: format!(
                    "basin: {} events that output `{}` has not read are no longer in the log",
                    through.events.saturating_sub(record.totals.events),
                    record.name
                ),
                why: format!("its cursor is at {}, and the log begins after {oldest}", record.position),
                fix: "find out who removed segments of the basin; the output goes on with the oldest that is left"
                    .into(),
            });
            (record.position, record.totals) = (oldest, through);
            // What the sink wrote after its note cannot come again, so nothing of it is to be taken back.
            record.note = Default::default();
            return true;
        }
        false
    }

    /// A file that holds nothing. One that cannot be removed now is the keeper's to remove.
    pub(super) fn remove(&mut self, number: u64) {
        let path = segment_path(number);
        if let Err(error) = self.disk.remove(&path) {
            self.findings.push(Finding {
                what: format!("basin: {path}, which holds nothing, could not be removed"),
                why: error.to_string(),
                fix: "check the permissions of the basin's folder; it is tried again".into(),
            });
            self.left.push(number);
        }
    }

    pub(super) fn io(&self, action: &'static str, path: &str, source: io::Error) -> BasinError {
        BasinError::Io { action, path: self.root.join(path), source }
    }

    pub(super) fn newer(&self, found: u32) -> BasinError {
        BasinError::Newer { path: self.root.into(), found, known: super::slots::FORMAT_VERSION }
    }
}

fn identity(node: [u8; 16], epoch: u32) -> Vec<u8> {
    [&node[..], &epoch.to_le_bytes()].concat()
}

/// `durable`: where the file has it, until one that was brought back into the log is written.
fn output(record: CursorRecord, slots: Slots, durable: Position, dirty: bool, now: Timestamp) -> Output {
    Output {
        name: record.name,
        full: record.full,
        orphaned: false,
        slots,
        confirmed: record.position,
        totals: record.totals,
        note: record.note,
        durable: durable.min(record.position),
        dirty,
        urgent: dirty,
        written_at: now,
        written_bytes: record.totals.bytes,
        retry_at: None,
        waiters: Vec::new(),
        handed: VecDeque::new(),
        at: record.position,
        skipped_events: 0,
    }
}

impl Replay {
    fn head(&self, snapshot: &Snapshot) -> (Position, Totals) {
        match self.segments.back() {
            Some(last) if last.last > snapshot.position => (last.last, last.through),
            _ => (snapshot.position, snapshot.totals),
        }
    }
}

/// Node id and epoch.
pub(super) const IDENTITY: &str = "basin";
pub(super) const IDENTITY_MAGIC: [u8; 8] = *b"FBYBASIN";
pub(super) const IDENTITY_SLOT_BYTES: u64 = 4096;
