//! The tail: the newest committed batches in memory, for lanes that keep up.
//!
//! Without a gap up to the head of the log. Bounded in bytes, counted in the memory budget, and
//! evicted without asking: what is gone from here is read from its segment.

use super::super::Position;
use super::super::budget::{Budget, Permit};
use super::frame::Totals;
use crate::event::{EventBatch, Timestamp};
use std::collections::VecDeque;
use std::sync::Arc;

/// A committed batch and where it stands.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) position: Position,
    pub(super) through: Totals,
    pub(super) at: Timestamp,
    pub(super) batch: Arc<EventBatch>,
}

pub(super) struct Tail {
    entries: VecDeque<(Entry, Permit)>,
    /// Every committed batch after this position is here.
    floor: Position,
    bytes: usize,
    budget: Budget,
}

impl Tail {
    pub(super) fn new(floor: Position, budget: Budget) -> Self {
        Self { entries: VecDeque::new(), floor, bytes: 0, budget }
    }

    pub(super) fn push(&mut self, entry: Entry) {
        let weight = entry.batch.weight();
        while self.bytes + weight > TAIL_BYTES_MAX && !self.entries.is_empty() {
            self.pop();
        }
        let permit = loop {
            match self.budget.try_spare(weight) {
                Some(permit) if weight <= TAIL_BYTES_MAX => break permit,
                _ if self.entries.is_empty() => {
                    self.floor = entry.position;
                    return;
                }
                _ => self.pop(),
            }
        };
        self.bytes += weight;
        self.entries.push_back((entry, permit));
    }

    /// The batch after `at`; `None` when it is the head or no longer here.
    pub(super) fn after(&self, at: Position) -> Option<&Entry> {
        if at < self.floor {
            return None;
        }
        let index = self.entries.partition_point(|(entry, _)| entry.position <= at);
        self.entries.get(index).map(|(entry, _)| entry)
    }

    /// Lets go of what every lane has been given.
    pub(super) fn drop_through(&mut self, position: Position) {
        while self.entries.front().is_some_and(|(entry, _)| entry.position <= position) {
            self.pop();
        }
    }

    pub(super) fn evict(&mut self, bytes: usize) {
        let target = self.bytes.saturating_sub(bytes);
        while self.bytes > target {
            self.pop();
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn pop(&mut self) {
        if let Some((entry, _)) = self.entries.pop_front() {
            self.bytes -= entry.batch.weight();
            self.floor = entry.position;
        }
    }
}

/// More would only hide that a lane does not keep up.
const TAIL_BYTES_MAX: usize = 64 << 20;
