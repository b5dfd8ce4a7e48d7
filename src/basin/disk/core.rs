//! The disk basin as a machine without threads and clock: the drivers ask it what to do, do it
//! without holding its lock, and tell it how that went.
//!
//! ```text
//!  push ─► pending ─► begin_group ─► Group::run (write, fdatasync) ─► end_group ─► head, tail, state
//!  confirm ─► output ─► begin_chore ─► Chore::run ─► end_chore ─► durable cursor ─► segments go
//! ```
//!
//! Promises: a batch counts (position, bookmark, tail, receipt) only in `end_group` after a sync
//! that returned; a segment goes only when every durable cursor and the durable snapshot are past
//! it. Must not know: threads, runtimes, what time it is.

use super::super::stats::OutputStats;
use super::super::{Full, Position, Retain, State, Stats};
use super::file::File;
use super::frame::Totals;
use super::group::Pending;
use super::slots::Slots;
use super::tail::Tail;
use crate::event::Timestamp;
use crate::finding::Finding;
use bytes::Bytes;
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use tokio::sync::oneshot;

pub(super) struct Core {
    pub(super) options: Options,
    pub(super) node: [u8; 16],
    pub(super) epoch: u32,
    /// Of this life; each segment has one of its own.
    pub(super) salt: u64,
    pub(super) next_sequence: u64,
    /// Last committed position, and the totals through it.
    pub(super) head: Position,
    pub(super) totals: Totals,
    /// Segments with committed frames, oldest first; the active one is the last.
    pub(super) segments: VecDeque<Segment>,
    pub(super) active: Option<Active>,
    pub(super) prepared: Option<Prepared>,
    pub(super) next_number: u64,
    pub(super) pending: VecDeque<Pending>,
    pub(super) writing: bool,
    /// When the last group was committed, while no mark covers it yet.
    pub(super) unmarked: Option<Timestamp>,
    pub(super) tail: Tail,
    pub(super) state: State,
    pub(super) snapshot: Snapshots,
    pub(super) outputs: Vec<Output>,
    pub(super) chores: Chores,
    pub(super) findings: VecDeque<Finding>,
    /// Damage that was reported: segment, from and to.
    pub(super) damaged: BTreeSet<(u64, u64, u64)>,
    pub(super) stats: Stats,
    pub(super) finished: bool,
    pub(super) stopping: bool,
    /// No group will come any more.
    pub(super) writer_ended: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) size_max: u64,
    pub(super) segment_bytes: u64,
    pub(super) retain: Retain,
}

/// A segment with committed frames.
#[derive(Clone)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) epoch: u32,
    pub(super) salt: u64,
    pub(super) file: Arc<dyn File>,
    /// What it takes on disk.
    pub(super) bytes: u64,
    /// Where its committed frames end.
    pub(super) end: u64,
    pub(super) last: Position,
    pub(super) through: Totals,
    pub(super) last_at: Timestamp,
}

/// The segment that is written to.
pub(super) struct Active {
    pub(super) number: u64,
    pub(super) file: Arc<dyn File>,
    pub(super) capacity: u64,
    /// All before this is synced.
    pub(super) end: u64,
    /// Has its link frame.
    pub(super) linked: bool,
}

/// The next segment: allocated, its header written, its name durable.
pub(super) struct Prepared {
    pub(super) number: u64,
    pub(super) file: Arc<dyn File>,
    pub(super) capacity: u64,
    /// All before this was written once; the blocks behind it are only allocated.
    pub(super) written: u64,
    /// Just now a chore writes zeros into it.
    pub(super) lent: bool,
}

pub(super) struct Snapshots {
    pub(super) durable: Position,
    pub(super) generation: u64,
    pub(super) retry_at: Option<Timestamp>,
}

/// What the keeper has to remember between chores.
#[derive(Default)]
pub(super) struct Chores {
    pub(super) running: bool,
    /// Files of segments that hold nothing committed.
    pub(super) abandoned: Vec<u64>,
    /// Closed segments whose unused space is still allocated.
    pub(super) trims: Vec<u64>,
    /// Size of a frame that fits neither the active nor the prepared segment.
    pub(super) wanted_bytes: Option<u64>,
    pub(super) prepare_retry_at: Option<Timestamp>,
    /// When zeros were last written ahead.
    pub(super) filled_at: Option<Timestamp>,
    /// Set while the oldest file cannot be deleted.
    pub(super) remove_retry_at: Option<Timestamp>,
    /// The folder was synced since the last file went.
    pub(super) names_settled: bool,
    /// The disk, not our limit, is full.
    pub(super) disk_full: bool,
    /// Space is short: what is only retained may go.
    pub(super) squeeze: bool,
}

/// One output's cursor.
pub(super) struct Output {
    pub(super) name: String,
    pub(super) full: Full,
    pub(super) orphaned: bool,
    pub(super) slots: Slots,
    pub(super) confirmed: Position,
    pub(super) totals: Totals,
    pub(super) note: Bytes,
    pub(super) durable: Position,
    pub(super) dirty: bool,
    /// Make it durable now, not in a second.
    pub(super) urgent: bool,
    pub(super) written_at: Timestamp,
    pub(super) written_bytes: u64,
    pub(super) retry_at: Option<Timestamp>,
    pub(super) waiters: Vec<oneshot::Sender<io::Result<()>>>,
    /// Given to the lane, not confirmed.
    pub(super) handed: VecDeque<Handed>,
    /// Last position given to the lane.
    pub(super) at: Position,
    pub(super) skipped_events: u64,
}

#[derive(Clone, Copy)]
pub(super) struct Handed {
    pub(super) position: Position,
    pub(super) through: Totals,
    pub(super) at: Timestamp,
}

impl Core {
    /// The lane has dealt with everything up to `through`.
    pub(super) fn confirm(&mut self, output: usize, through: Position, note: Bytes) {
        let output = &mut self.outputs[output];
        while let Some(handed) = output.handed.front().filter(|handed| handed.position <= through) {
            if handed.position > output.confirmed {
                output.confirmed = handed.position;
                output.totals = handed.through;
            }
            output.handed.pop_front();
        }
        output.note = note;
        output.dirty = true;
    }

    /// A lane starts, or starts over, behind its cursor.
    pub(super) fn start_reader(&mut self, name: &str) -> Option<(usize, Position)> {
        let index = self.outputs.iter().position(|output| output.name == name && !output.orphaned)?;
        let output = &mut self.outputs[index];
        output.handed.clear();
        output.at = output.confirmed;
        Some((index, output.at))
    }

    /// So much is confirmed since the cursor was written that it should not wait for its second.
    pub(super) fn hurries(&self, output: usize) -> bool {
        let output = &self.outputs[output];
        output.totals.bytes.saturating_sub(output.written_bytes) >= CHECKPOINT_BYTES
    }

    /// Lets go of an orphaned cursor; its file is the caller's to remove.
    pub(super) fn forget(&mut self, name: &str) -> Option<String> {
        // Orphans stand behind all configured outputs, whose readers know their index.
        let index = self.outputs.iter().position(|output| output.orphaned && output.name == name)?;
        Some(self.outputs.remove(index).slots.path().to_owned())
    }

    pub(super) fn used_bytes(&self) -> u64 {
        let listed: u64 = self.segments.iter().map(|segment| segment.bytes).sum();
        let active = self.active.as_ref().filter(|active| !active.linked).map_or(0, |active| active.capacity);
        let prepared = self.prepared.as_ref().map_or(0, |prepared| prepared.capacity);
        listed + active + prepared + self.chores.abandoned.len() as u64 * self.options.segment_bytes
    }

    /// Its checksum differs from those of all other segments of this life, so that no frame that stood in
    /// the same file before passes for one of this segment: CRC32C tells numbers apart that differ in
    /// their low 32 bits.
    pub(super) fn salt_of(&self, number: u64) -> u64 {
        self.salt ^ number
    }

    pub(super) fn is_active(&self, number: u64) -> bool {
        self.active.as_ref().is_some_and(|active| active.number == number)
    }

    pub(super) fn note_finding(&mut self, finding: Finding) {
        tracing::warn!(what = %finding.what, why = %finding.why, fix = %finding.fix, "finding");
        if self.findings.len() == FINDINGS_MAX {
            self.findings.pop_front();
        }
        self.findings.push_back(finding);
    }

    pub(super) fn stats(&self) -> Stats {
        let outputs = self.outputs.iter().map(|output| {
            let lagging = output.confirmed < self.head;
            let next = output.handed.front().map(|handed| handed.at);
            OutputStats {
                name: output.name.clone(),
                lag_events: self.totals.events.saturating_sub(output.totals.events),
                lag_bytes: self.totals.bytes.saturating_sub(output.totals.bytes),
                oldest: if lagging { next.or_else(|| self.oldest_after(output.confirmed)) } else { None },
                skipped_events: output.skipped_events,
                orphaned: output.orphaned,
            }
        });
        Stats {
            bytes: self.used_bytes(),
            segments: self.segments.len() as u64,
            pending: self.pending.len() as u64,
            tail_bytes: self.tail.bytes() as u64,
            outputs: outputs.collect(),
            ..self.stats.clone()
        }
    }

    /// When the batch after `position` was appended, or a time before that.
    fn oldest_after(&self, position: Position) -> Option<Timestamp> {
        if let Some(entry) = self.tail.after(position) {
            return Some(entry.at);
        }
        let index = self.segments.partition_point(|segment| segment.last <= position);
        let before = index.checked_sub(1)?;
        self.segments.get(before).map(|segment| segment.last_at)
    }
}

/// Some time after `since`, also when the clock was set back.
pub(super) fn elapsed(since: Timestamp, now: Timestamp, nanos: i64) -> bool {
    now < since || now.0.saturating_sub(since.0) >= nanos
}

pub(super) fn due(at: Option<Timestamp>, now: Timestamp) -> bool {
    at.is_none_or(|at| elapsed(at, now, RETRY_NANOS))
}

/// A cursor is written after so many bytes, even within a second.
pub(super) const CHECKPOINT_BYTES: u64 = 64 << 20;
const FINDINGS_MAX: usize = 200;
pub(super) const SECOND: i64 = 1_000_000_000;
/// Pause before a failed chore is tried again.
const RETRY_NANOS: i64 = SECOND;
