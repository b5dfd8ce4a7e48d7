//! One chunk of a log: whether it is the one that was planned, how much of it can be taken, and
//! what a half-written or damaged end of it means. Must not know: other chunks.

use super::super::decode::Decoding;
use super::super::look::{self, Chunk};
use super::super::position::{Identity, Position};
use super::super::records::{self, Run};
use super::super::slots::Slot;
use super::super::trouble;
use super::{Log, Pace, SETTLE, Torn, TurnError};
use crate::evtx::chunk::{CHUNK_BYTES, CHUNK_HEADER_BYTES, ChunkHeader};
use crate::source::feed::Closed;
use std::fs::File;
use std::ops::RangeInclusive;
use std::time::Instant;

/// Ids of one chunk are not further apart: a chunk holds 2340 records, and holes are rare.
const CHUNK_IDS_MAX: u64 = 4096;

impl Log {
    pub(super) fn chunk(
        &mut self,
        file: &File,
        (slot, from): (usize, usize),
        pace: Pace,
        decoding: &mut Decoding,
    ) -> Result<Step, TurnError> {
        let (Some(mut at), Some(head)) = (self.at, self.look.slots.get(slot).and_then(Slot::head).copied())
        else {
            return Ok(Step::Done);
        };
        let resumed = from > CHUNK_HEADER_BYTES;
        let previous = resumed.then_some(Identity { id: at.id, written: at.written });
        let Some((chunk, run)) = look::read_stable(file, slot, from, previous)? else {
            return Ok(Step::Wait);
        };
        let settled = self.is_settled(pace);
        let believed = settled || self.look.damaged.contains(&slot);
        let seen = if believed { Slot::look_settled(&chunk.bytes) } else { Slot::look(&chunk.bytes) };
        if seen.head().map(|head| head.identity) != Some(head.identity) {
            return Ok(Step::Changed);
        }
        (at.slot, at.offset, at.chunk) = (slot as u64, from as u64, head.identity);
        at.through = at.through.max(slot as u64);
        if head.identity.written >= self.since {
            at.since = self.since;
        }
        let (before, last) = (at.id, self.todo.len() == 1);
        let step = self.take(&chunk, run, &mut at, Tail { last, settled, now: pace.now }, decoding);
        self.at = Some(at);
        if let Some(front) = self.todo.front_mut() {
            front.from = at.offset as usize;
            if let Some(lost) = front.lost.take_if(|_| at.id != before) {
                trouble::lost(&self.owner.file, lost, &decoding.report);
            }
        }
        step.map_err(TurnError::from)
    }

    /// Decodes what can be taken of a chunk.
    fn take(
        &mut self,
        chunk: &Chunk,
        run: Run,
        at: &mut Position,
        tail: Tail,
        decoding: &mut Decoding,
    ) -> Result<Step, Closed> {
        let slot = at.slot as usize;
        if run.end > at.offset as usize {
            // The decoder stops where the header says; the run goes on where that is behind.
            let whole = records::counted(&chunk.bytes, run);
            self.decode(&whole, at, &(0..=u64::MAX), decoding)?;
            assert!(at.offset as usize == run.end, "a run consists of whole records, each is handed out");
        }
        if run.complete {
            at.offset = at.offset.max(run.end as u64);
            return Ok(self.done(at));
        }
        let torn = self.torn.filter(|torn| (torn.slot, torn.end) == (slot, run.end));
        let torn = *self.torn.insert(torn.unwrap_or(Torn { slot, end: run.end, since: tail.now }));
        let patient = tail.now.saturating_duration_since(torn.since) < SETTLE;
        // In a log that is open, the newest chunk may stay like this until its writer goes on.
        let open = tail.last && self.look.open && !chunk.cut && !self.superseded;
        if open && tail.settled {
            return Ok(self.done(at));
        }
        if open || patient && !tail.settled {
            return Ok(Step::Wait);
        }
        let last_id = ChunkHeader::parse(&chunk.bytes).map_or(0, |header| header.last_record_id);
        let ids_end = at.chunk.id.saturating_add(CHUNK_IDS_MAX).min(last_id.max(at.chunk.id));
        let (first, before) = (at.chunk.id, at.id);
        self.decode(&chunk.bytes, at, &(first.max(before)..=ids_end), decoding)?;
        at.offset = CHUNK_BYTES as u64;
        decoding.moved();
        Ok(self.done(at))
    }

    fn decode(
        &mut self,
        chunk: &[u8],
        at: &mut Position,
        ids: &RangeInclusive<u64>,
        decoding: &mut Decoding,
    ) -> Result<(), Closed> {
        let (slot, wrong) = (at.slot, decoding.chunk(&self.owner, chunk, at, ids)?);
        if let Some(wrong) = wrong.filter(|_| !self.undecodable_told) {
            self.undecodable_told = true;
            decoding.report.find(trouble::undecodable(&self.owner.file, format!("chunk {slot}: {wrong}")));
        }
        Ok(())
    }

    fn done(&self, at: &mut Position) -> Step {
        at.through = at.through.max(at.slot + 1);
        at.newest = at.newest.max(at.chunk.written);
        Step::Done
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Done,
    /// More is being written there.
    Wait,
    /// The chunk is not the one that was planned.
    Changed,
}

/// How a chunk that ends in a torn record is to be seen.
#[derive(Clone, Copy, Debug)]
struct Tail {
    /// No later chunk is known.
    last: bool,
    settled: bool,
    now: Instant,
}
