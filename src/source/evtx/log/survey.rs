//! Finds out what of a log is to be read: the cheap question whether anything is new, the look at
//! all chunks, and the plan from it.
//!
//! Slots are looked at one after the other while somebody writes. A gap between the ids of two
//! chunks is believed only when the chunk behind it had been seen by an earlier look: then all
//! that was written before it was there to be seen, or is overwritten.

use super::super::decode::Decoding;
use super::super::look::{self, Look, News, Problem};
use super::super::position::{Identity, Position};
use super::super::slots::{self, Gap, Holder, Plan, Slot, Turn};
use super::super::trouble;
use super::{Found, Log, Pace, SETTLE, Start, Todo, TurnError};
use crate::evtx::chunk::CHUNK_HEADER_BYTES;
use std::collections::HashSet;
use std::fs::File;
use std::io;

/// Looks at all chunks are this many polls apart when nothing seems to happen.
const IDLE_POLLS: u32 = 30;
/// A log whose oldest chunks change with every look is left for the next poll.
const LOOKS_MAX: u32 = 4;

impl Log {
    /// What there is to read; cheap when nothing happened.
    pub(super) fn find_work(
        &mut self,
        file: &File,
        pace: Pace,
        decoding: &mut Decoding,
    ) -> Result<Found, TurnError> {
        self.polls += 1;
        if let (Some(at), Start::Known) = (&self.at, self.start) {
            match look::is_news(file, at, &self.look)? {
                News::Here => {
                    self.todo.push_back(Todo::new(at.slot as usize, at.offset as usize));
                    return Ok(Found::Work);
                }
                News::Next(slot, seen) => {
                    self.look.slots[slot] = seen;
                    self.todo.push_back(Todo::new(slot, CHUNK_HEADER_BYTES));
                    return Ok(Found::Work);
                }
                News::None if !self.polls.is_multiple_of(IDLE_POLLS) && !self.unsettled(pace) => {
                    return Ok(Found::Nothing);
                }
                News::None | News::Touched | News::Look => {}
            }
        }
        self.look_again(file, pace, decoding)
    }

    /// A torn chunk was seen, and nobody has written the file for a while.
    fn unsettled(&self, pace: Pace) -> bool {
        let torn = self.look.slots.contains(&Slot::Torn) && self.look.problem.is_none();
        torn && self.is_settled(pace)
    }

    pub(super) fn is_settled(&self, pace: Pace) -> bool {
        pace.once || !self.look.open && pace.now.saturating_duration_since(self.changed) >= SETTLE
    }

    pub(super) fn look_again(
        &mut self,
        file: &File,
        pace: Pace,
        decoding: &mut Decoding,
    ) -> Result<Found, TurnError> {
        let settled = self.is_settled(pace);
        let look = look::look(file, settled)?;
        if (look.bytes, look.modified) != (self.look.bytes, self.look.modified) {
            self.changed = pace.now;
        }
        // Damage and emptiness of a file that is being made pass by themselves.
        let lasting = self.is_settled(pace) || self.look.problem == look.problem;
        let mut before = std::mem::replace(&mut self.look, look);
        if let Some(problem) = self.look.problem.filter(|_| lasting) {
            let finding = trouble::explain(problem, &self.owner.file);
            self.tell(decoding, finding);
        }
        if matches!(self.look.problem, Some(Problem::Empty | Problem::NoLog)) {
            return Ok(Found::Nothing);
        }
        if self.start == Start::Newest {
            (self.at, self.start) = (self.newest(file)?, Start::Known);
            decoding.moved();
        }
        for _ in 0..LOOKS_MAX {
            let mut plan = self.plan(file, settled)?;
            if are_believed(&plan.gaps, &before) {
                if self.mend(file, &plan.gaps)? {
                    plan = self.plan(file, settled)?;
                }
                return Ok(self.begin(plan, decoding));
            }
            before = std::mem::replace(&mut self.look, look::look(file, settled)?);
        }
        Ok(Found::Unclear)
    }

    /// What is to be read according to the last look.
    fn plan(&mut self, file: &File, settled: bool) -> io::Result<Plan> {
        let Some(at) = self.at else { return Ok(slots::plan_all(&self.look.slots)) };
        let Look { slots, damaged, .. } = &mut self.look;
        let same = |slot: &Slot| slot.head().is_some_and(|head| head.identity == at.chunk);
        if let Some(slot) = slots.get_mut(at.slot as usize) {
            let number = at.slot as usize;
            // As it is now: a gap is no loss only if the chunk before it is there after the look.
            if same(slot) && !damaged.contains(&number) {
                *slot = look::look_at(file, number, settled)?;
            }
            // What was read of it has been damaged since.
            let seen = look::look_at(file, number, true)?;
            if *slot == Slot::Torn && same(&seen) {
                *slot = seen;
                damaged.insert(number);
            }
        }
        let known = self.start == Start::Known && slots.get(at.slot as usize).is_some_and(same);
        let holder = if known {
            Holder::Here { slot: at.slot as usize, end: at.offset as usize }
        } else {
            look::holder(file, slots, &at)?
        };
        if self.start == Start::Renamed && !matches!(holder, Holder::Here { .. }) {
            self.at = None;
            return Ok(slots::plan_all(slots));
        }
        Ok(slots::plan(slots, &at, holder))
    }

    /// Whether there are chunks in the gaps after all, with damaged headers: nobody writes them,
    /// since the chunks behind them are there.
    fn mend(&mut self, file: &File, gaps: &[Gap]) -> io::Result<bool> {
        if gaps.is_empty() {
            return Ok(false);
        }
        let mut mended = false;
        for slot in 0..self.look.slots.len() {
            if self.look.slots[slot] != Slot::Torn {
                continue;
            }
            let seen = look::look_at(file, slot, true)?;
            let Some(id) = seen.head().map(|head| head.identity.id) else { continue };
            if gaps.iter().any(|gap| gap.ids.contains(&id)) {
                self.look.slots[slot] = seen;
                self.look.damaged.insert(slot);
                mended = true;
            }
        }
        Ok(mended)
    }

    /// Follows the plan.
    fn begin(&mut self, plan: Plan, decoding: &mut Decoding) -> Found {
        self.start = Start::Known;
        let before = self.at;
        match plan.turn {
            Turn::On => {}
            Turn::Cleared => {
                decoding.report.find(trouble::cleared(&self.owner.file, self.at.map_or(0, |at| at.id)));
            }
            Turn::Replaced => {
                tracing::info!(source = %self.owner.source, file = %self.owner.file, "another log under this name: read from its start");
                self.at = None;
            }
        }
        let fresh = Position { inode: self.file_id.1, ..Position::default() };
        let at = self.at.get_or_insert(fresh);
        (at.inode, at.scattered) = (self.file_id.1, plan.scattered);
        self.since = plan.since;
        self.todo = plan.todo.into_iter().map(|(slot, from)| Todo::new(slot, from)).collect();
        match self.todo.front_mut() {
            Some(first) => {
                first.lost = plan.lost;
                Found::Work
            }
            None => {
                self.at = before;
                Found::Nothing
            }
        }
    }

    /// Behind the newest record.
    fn newest(&self, file: &File) -> io::Result<Option<Position>> {
        let heads = self.look.slots.iter().enumerate();
        let newest = heads
            .filter_map(|(slot, seen)| Some((slot, seen.head()?)))
            .max_by_key(|(_, head)| head.identity.id);
        let Some((slot, head)) = newest else { return Ok(None) };
        let Some((_, run)) = look::read_stable(file, slot, CHUNK_HEADER_BYTES, None)? else {
            return Ok(None);
        };
        let last = run.last.unwrap_or(head.identity);
        Ok(Some(Position {
            inode: self.file_id.1,
            id: last.id,
            written: last.written,
            slot: slot as u64,
            offset: run.end as u64,
            chunk: head.identity,
            newest: last.written,
            ..Position::default()
        }))
    }
}

/// Whether each gap is one: the chunk behind it was there before the look that shows it.
fn are_believed(gaps: &[Gap], before: &Look) -> bool {
    if gaps.is_empty() {
        return true;
    }
    let seen: HashSet<Identity> =
        before.slots.iter().filter_map(Slot::head).map(|head| head.identity).collect();
    gaps.iter().all(|gap| seen.contains(&gap.chunk))
}
