//! Zeros ahead into the next segment, so that all of its blocks were written once before they are needed.
//!
//! A block that is only allocated is marked so by the file system, and the sync of the first write to it waits
//! for the file system's log, with whatever else is in it: on ext4 with another writer, tenths of a second for
//! every host that waits for its answer. A segment whose file was used before has few such blocks; one after
//! an output stopped reading has nothing else. The price: such a segment is written twice.

use super::chores::Chore;
use super::core::Core;
use super::file::File;
use crate::event::Timestamp;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

/// A piece of the prepared segment, which nobody else writes to meanwhile.
pub(super) struct Fill {
    file: Arc<dyn File>,
    number: u64,
    from: u64,
    to: u64,
}

impl Fill {
    pub(super) fn run(&self) -> io::Result<()> {
        let bytes = (self.to - self.from) as usize;
        let mut parts = vec![IoSlice::new(&ZEROS); bytes / ZEROS.len()];
        parts.push(IoSlice::new(&ZEROS[..bytes % ZEROS.len()]));
        self.file.write_at(self.from, &mut parts)?;
        self.file.sync()
    }
}

impl Core {
    /// How long until the next piece may be written; `None` when there is nothing to write.
    pub(super) fn fill_in(&self, now: Timestamp) -> Option<Duration> {
        self.to_fill()?;
        let since = self.chores.filled_at.map_or(i64::MAX, |at| now.0.saturating_sub(at.0));
        // Also when the clock was set back.
        let left = if since < 0 { 0 } else { FILL_NANOS.saturating_sub(since).max(0) };
        Some(Duration::from_nanos(left as u64))
    }

    /// Follows what comes in, so that a quiet basin writes next to nothing, and is over in time: once the active
    /// segment is nearly full the prepared one may be wanted at any moment, and blocks that are only allocated do as
    /// well.
    fn to_fill(&self) -> Option<(u64, u64)> {
        let (active, prepared) = (self.active.as_ref()?, self.prepared.as_ref()?);
        let until = prepared.capacity.min(active.end.saturating_mul(FILL_AHEAD));
        let busy =
            self.stopping || self.chores.wanted_bytes.is_some() || active.end > active.capacity / 4 * 3;
        let from = prepared.written;
        let to = until.min(from + FILL_BYTES);
        let is_piece = to == from + FILL_BYTES || to == prepared.capacity;
        (!busy && from < to && is_piece).then_some((from, to))
    }

    pub(super) fn fill(&mut self, now: Timestamp) -> Option<Chore> {
        let due = self.fill_in(now).is_some_and(|left| left.is_zero());
        let (from, to) = self.to_fill().filter(|_| due)?;
        let prepared = self.prepared.as_mut()?;
        prepared.lent = true;
        Some(Chore::Fill(Fill { file: Arc::clone(&prepared.file), number: prepared.number, from, to }))
    }

    pub(super) fn end_fill(&mut self, fill: &Fill, error: Option<io::Error>, now: Timestamp) {
        self.chores.filled_at = Some(now);
        let Some(prepared) = self.prepared.as_mut().filter(|prepared| prepared.number == fill.number) else {
            return;
        };
        prepared.lent = false;
        prepared.written = fill.to;
        if let Some(error) = error {
            // After a failed sync nobody knows what a second one would be worth.
            self.prepared = None;
            self.chores.abandoned.push(fill.number);
            self.prepare_failed(&error, now);
        }
    }
}

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
/// Of a piece, and the pause between two: at most 40 MiB/s.
const FILL_BYTES: u64 = 2 << 20;
const FILL_NANOS: i64 = 50_000_000;
/// How many times what the active segment has is written ahead.
const FILL_AHEAD: u64 = 4;
