//! What the keeper does beside the writer: cursors, snapshots, the next segment, deleting.
//!
//! One chore at a time. Where space comes from is in `space.rs`.

use super::super::Position;
use super::core::{CHECKPOINT_BYTES, Core, SECOND, Segment, due, elapsed};
use super::cursor::CursorRecord;
use super::file::{Disk, File};
use super::fill::Fill;
use super::prepare::{Reused, is_full, prepare, reuse};
use super::segment::{FRAMES_AT, SEGMENTS, segment_path};
use super::slots::SlotWrite;
use super::snapshot::SnapshotWrite;
use crate::event::Timestamp;
use crate::finding::Finding;
use std::io;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Something to be done without holding any lock.
pub(super) enum Chore {
    Checkpoint {
        write: SlotWrite,
        record: CursorRecord,
        waiters: Vec<oneshot::Sender<io::Result<()>>>,
    },
    Snapshot(SnapshotWrite),
    /// `reused`: takes the file of a segment that nobody needs any more.
    Prepare {
        number: u64,
        bytes: u64,
        header: Vec<u8>,
        reused: Option<Reused>,
    },
    /// `settle`: the names removed before are not known to be gone for good.
    Remove {
        number: u64,
        settle: bool,
    },
    Trim {
        file: Arc<dyn File>,
        number: u64,
        len: u64,
    },
    Fill(Fill),
}

impl Chore {
    /// The file that is good for more, where there is one.
    pub(super) fn run(&self, disk: &dyn Disk) -> io::Result<Option<Arc<dyn File>>> {
        match self {
            Self::Checkpoint { write, .. } => write.run(disk).map(Some),
            Self::Snapshot(write) => write.run(disk).map(|()| None),
            Self::Prepare { number, bytes, header, reused: None } => {
                prepare(disk, *number, *bytes, header).map(Some)
            }
            Self::Prepare { number, bytes, header, reused: Some(reused) } => {
                reuse(disk, reused, *number, *bytes, header).map(Some)
            }
            Self::Remove { number, settle } => remove(disk, *number, *settle).map(|()| None),
            Self::Trim { file, len, .. } => file.cut(*len).map(|()| None),
            Self::Fill(fill) => fill.run().map(|()| None),
        }
    }
}

/// In order, whatever a crash does to names: where a segment ends is told by the next one's link, so a
/// name may not come back when that of the next does not.
fn remove(disk: &dyn Disk, number: u64, settle: bool) -> io::Result<()> {
    if settle {
        disk.sync_dir(SEGMENTS)?;
    }
    match disk.remove(&segment_path(number)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Core {
    /// The next thing to do beside writing groups.
    pub(super) fn begin_chore(&mut self, now: Timestamp) -> Option<Chore> {
        if self.chores.running {
            return None;
        }
        let chore = self
            .checkpoint(now)
            .or_else(|| self.trim())
            .or_else(|| self.remove(now))
            .or_else(|| self.take_snapshot(now))
            .or_else(|| self.prepare_next(now))
            .or_else(|| self.fill(now));
        self.chores.running = chore.is_some();
        chore
    }

    pub(super) fn end_chore(
        &mut self,
        chore: Chore,
        result: io::Result<Option<Arc<dyn File>>>,
        now: Timestamp,
    ) {
        self.chores.running = false;
        match chore {
            Chore::Checkpoint { record, waiters, .. } => {
                self.end_checkpoint(&record, waiters, result, now);
            }
            Chore::Snapshot(write) => self.end_snapshot(&write, result.err(), now),
            Chore::Prepare { number, bytes, reused, .. } => {
                let written = reused.as_ref().map_or(FRAMES_AT, |old| old.segment.bytes);
                // What is left of it under its old name goes.
                self.chores
                    .abandoned
                    .extend(reused.filter(|_| result.is_err()).map(|old| old.segment.number));
                self.end_prepare(number, bytes, written, result, now);
            }
            Chore::Remove { number, .. } => self.end_remove(number, result.err(), now),
            Chore::Trim { number, len, .. } => {
                let end = |segment: &&mut Segment| segment.number == number;
                if let (Ok(_), Some(segment)) = (&result, self.segments.iter_mut().find(end)) {
                    segment.bytes = len;
                }
            }
            Chore::Fill(fill) => self.end_fill(&fill, result.err(), now),
        }
    }

    pub(super) fn checkpoint(&mut self, now: Timestamp) -> Option<Chore> {
        let stopping = self.stopping;
        let index = self.outputs.iter().position(|output| {
            let stale = elapsed(output.written_at, now, SECOND)
                || output.totals.bytes.saturating_sub(output.written_bytes) >= CHECKPOINT_BYTES;
            let wanted = output.urgent || (output.dirty && (stale || stopping));
            wanted && due(output.retry_at, now)
        })?;
        let output = &mut self.outputs[index];
        (output.urgent, output.dirty) = (false, false);
        let record = CursorRecord {
            name: output.name.clone(),
            position: output.confirmed,
            totals: output.totals,
            full: output.full,
            note: output.note.clone(),
        };
        let write = output.slots.write(&record.encode());
        Some(Chore::Checkpoint { write, record, waiters: std::mem::take(&mut output.waiters) })
    }

    fn end_checkpoint(
        &mut self,
        record: &CursorRecord,
        waiters: Vec<oneshot::Sender<io::Result<()>>>,
        result: io::Result<Option<Arc<dyn File>>>,
        now: Timestamp,
    ) {
        // By name: one that was forgotten meanwhile is gone, and its neighbours have moved up.
        let Some(output) = self.outputs.iter_mut().find(|output| output.name == record.name) else { return };
        let result = result.and_then(|file| file.ok_or_else(|| io::ErrorKind::NotFound.into()));
        output.slots.wrote(&result);
        let mut failed = None;
        match result {
            Ok(_) => {
                output.durable = record.position;
                output.written_at = now;
                output.written_bytes = record.totals.bytes;
                output.retry_at = None;
            }
            Err(error) => {
                output.dirty = true;
                output.retry_at = Some(now);
                failed = Some((output.slots.path().to_owned(), error));
            }
        }
        // Whoever waits may be gone; then nobody needs the answer.
        for waiter in waiters {
            let _ = waiter.send(failed.as_ref().map_or(Ok(()), |(_, error)| Err(again(error))));
        }
        if let Some((path, error)) = failed {
            self.note_finding(Finding {
                what: format!("basin: the cursor of output `{}` could not be written to {path}", record.name),
                why: error.to_string(),
                fix: "check the disk; it is tried again every second, and a crash now would repeat events"
                    .into(),
            });
        }
    }

    fn trim(&mut self) -> Option<Chore> {
        while let Some(number) = self.chores.trims.pop() {
            let segment = self.segments.iter().find(|segment| segment.number == number);
            if let Some(segment) = segment.filter(|segment| segment.end < segment.bytes) {
                return Some(Chore::Trim { file: Arc::clone(&segment.file), number, len: segment.end });
            }
        }
        None
    }

    pub(super) fn remove(&mut self, now: Timestamp) -> Option<Chore> {
        let squeeze = std::mem::take(&mut self.chores.squeeze);
        if !due(self.chores.remove_retry_at, now) {
            return None;
        }
        let settle = !self.chores.names_settled;
        if let Some(number) = self.chores.abandoned.last() {
            return Some(Chore::Remove { number: *number, settle });
        }
        let front = self.segments.front()?;
        if self.is_active(front.number) || !self.is_read(front.last) {
            return None;
        }
        // One is kept back: the next segment takes its file.
        let kept = self.is_retained(0, now) || (!self.stopping && !self.can_go(1, now));
        if kept && !squeeze {
            return None;
        }
        Some(Chore::Remove { number: front.number, settle })
    }

    fn end_remove(&mut self, number: u64, error: Option<io::Error>, now: Timestamp) {
        if let Some(error) = error {
            // Those behind it wait, for they go in order, and what it takes counts.
            if self.chores.remove_retry_at.replace(now).is_none() {
                self.note_finding(Finding {
                    what: format!("basin: segment {number} could not be deleted"),
                    why: error.to_string(),
                    fix: "check the permissions of the basin's folder; it is tried again every second, and its space stays taken"
                        .into(),
                });
            }
            return;
        }
        self.chores.remove_retry_at = None;
        self.chores.names_settled = false;
        self.chores.abandoned.retain(|abandoned| *abandoned != number);
        self.segments.retain(|segment| segment.number != number);
        // There may be room now.
        self.chores.prepare_retry_at = None;
        self.chores.disk_full = false;
    }

    /// Every durable cursor and the durable snapshot are past it.
    pub(super) fn is_read(&self, last: Position) -> bool {
        last <= self.snapshot.durable && self.outputs.iter().all(|output| output.durable >= last)
    }

    fn take_snapshot(&mut self, now: Timestamp) -> Option<Chore> {
        if !due(self.snapshot.retry_at, now) {
            return None;
        }
        let durable = self.snapshot.durable;
        let closed = self.segments.iter().rev().find(|segment| !self.is_active(segment.number));
        let behind = closed.is_some_and(|segment| segment.last > durable);
        if !(behind || self.stopping && self.head > durable) {
            return None;
        }
        let generation = self.snapshot.generation + 1;
        Some(Chore::Snapshot(SnapshotWrite::new(generation, self.head, self.totals, &self.state)))
    }

    fn end_snapshot(&mut self, write: &SnapshotWrite, error: Option<io::Error>, now: Timestamp) {
        let Some(error) = error else {
            self.snapshot.generation = write.generation;
            self.snapshot.durable = write.position;
            self.snapshot.retry_at = None;
            return;
        };
        self.snapshot.retry_at = Some(now);
        // The state has outgrown its files on a full disk. Without a snapshot no segment can go, so
        // the prepared one gives its space.
        if is_full(&error)
            && let Some(prepared) = self.prepared.take()
        {
            self.chores.abandoned.push(prepared.number);
            self.chores.prepare_retry_at = Some(now);
            self.snapshot.retry_at = None;
        }
        self.note_finding(Finding {
            what: "basin: the snapshot of the bookmarks could not be written".into(),
            why: error.to_string(),
            fix: "free space or check the disk; until then segments stay, and nothing is lost".into(),
        });
    }
}

/// The same error for one more who waits.
fn again(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}
