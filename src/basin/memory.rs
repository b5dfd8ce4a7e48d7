//! Memory basin: the same interface, no disk.
//!
//! Promises: a receipt settles when every output has confirmed the batch; bytes are bounded, and a
//! batch beyond the bound waits in the order of asking. One dead output withholds the answer of
//! all. A restart knows nothing; the next basin of the same process may take over what this one knew.

use super::budget;
use super::stats::{OutputStats, Stats};
use super::{Delivery, Handover, MemoryConfig, OutputSpec, Position};
use crate::event::receipt::{self, Receipt};
use crate::event::{EventBatch, Outcome, Timestamp};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

#[derive(Clone)]
pub(super) struct Memory {
    shared: Arc<Shared>,
}

pub(super) struct MemoryReader {
    shared: Arc<Shared>,
    output: usize,
    /// Sequence of the last batch handed out.
    at: u64,
}

pub(super) struct MemoryCursor {
    shared: Arc<Shared>,
    output: usize,
}

impl Memory {
    pub(super) fn open(config: &MemoryConfig, outputs: &[OutputSpec]) -> Self {
        let units = u32::try_from(config.size_max.0 / budget::UNIT).unwrap_or(u32::MAX).max(1);
        let outputs = outputs
            .iter()
            .map(|spec| Output { name: spec.name.clone(), confirmed: 0, note: Bytes::new() })
            .collect();
        let queue = Queue { outputs, ..Queue::default() };
        let room = Arc::new(Semaphore::new(units as usize));
        Self { shared: Arc::new(Shared { queue: Mutex::new(queue), changed: Notify::new(), room, units }) }
    }

    pub(super) async fn append(&self, batch: EventBatch, now: Timestamp) -> Outcome {
        let units = budget::units(batch.weight()).min(self.shared.units);
        let Ok(room) = Arc::clone(&self.shared.room).acquire_many_owned(units).await else {
            return Outcome::Lost;
        };
        let (receipt, settled) = receipt::ticket();
        {
            let mut queue = self.shared.lock();
            if queue.finished {
                return Outcome::Lost;
            }
            queue.push(Arc::new(batch), receipt, room, now);
            queue.settle();
        }
        self.shared.changed.notify_waiters();
        settled.await
    }

    pub(super) fn bookmark(&self, key: &str) -> Option<Bytes> {
        self.shared.lock().state.get(key).cloned()
    }

    pub(super) fn bookmarks(&self, prefix: &str) -> Vec<(Box<str>, Bytes)> {
        super::with_prefix(&self.shared.lock().state, prefix)
    }

    pub(super) fn hand_over(&self) -> Handover {
        let queue = self.shared.lock();
        let notes = queue.outputs.iter().map(|output| (output.name.clone(), output.note.clone()));
        Handover { bookmarks: queue.state.clone(), notes: notes.collect() }
    }

    pub(super) fn take_over(&self, from: &Handover) {
        let mut queue = self.shared.lock();
        queue.state.clone_from(&from.bookmarks);
        for output in &mut queue.outputs {
            if let Some(note) = from.notes.get(&output.name) {
                output.note = note.clone();
            }
        }
    }

    pub(super) fn reader(&self, output: &str) -> Option<MemoryReader> {
        let queue = self.shared.lock();
        let index = queue.outputs.iter().position(|known| known.name == output)?;
        let at = queue.outputs[index].confirmed;
        Some(MemoryReader { shared: Arc::clone(&self.shared), output: index, at })
    }

    pub(super) fn stats(&self) -> Stats {
        self.shared.lock().stats()
    }

    pub(super) fn finish(&self) {
        self.shared.room.close();
        self.shared.lock().finished = true;
        self.shared.changed.notify_waiters();
    }

    pub(super) fn close(&self) {
        self.finish();
        let mut queue = self.shared.lock();
        queue.stopped = true;
        // Their receipts are dropped unsettled: the sources hear that these batches are lost.
        queue.entries.clear();
        drop(queue);
        self.shared.changed.notify_waiters();
    }
}

impl MemoryReader {
    pub(super) async fn next(&mut self) -> Option<Delivery> {
        loop {
            let changed = self.shared.changed.notified();
            {
                let queue = self.shared.lock();
                if queue.stopped {
                    return None;
                }
                let index = queue.entries.partition_point(|entry| entry.sequence <= self.at);
                if let Some(entry) = queue.entries.get(index) {
                    self.at = entry.sequence;
                    return Some(Delivery {
                        position: position(entry.sequence),
                        batch: Arc::clone(&entry.batch),
                    });
                }
                if queue.finished {
                    return None;
                }
            }
            changed.await;
        }
    }

    pub(super) fn cursor(&self) -> MemoryCursor {
        MemoryCursor { shared: Arc::clone(&self.shared), output: self.output }
    }
}

impl MemoryCursor {
    pub(super) fn confirm(&self, through: Position, note: Bytes) {
        let mut queue = self.shared.lock();
        let last = queue.next;
        let output = &mut queue.outputs[self.output];
        output.confirmed = output.confirmed.max(through.sequence.min(last));
        output.note = note;
        queue.settle();
    }

    pub(super) fn note(&self) -> Bytes {
        self.shared.lock().outputs[self.output].note.clone()
    }
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Notify,
    room: Arc<Semaphore>,
    units: u32,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Entry>,
    /// Sequence of the newest batch.
    next: u64,
    outputs: Vec<Output>,
    state: BTreeMap<Box<str>, Bytes>,
    finished: bool,
    stopped: bool,
    stats: Stats,
}

struct Entry {
    sequence: u64,
    batch: Arc<EventBatch>,
    receipt: Receipt,
    at: Timestamp,
    _room: OwnedSemaphorePermit,
}

struct Output {
    name: String,
    confirmed: u64,
    note: Bytes,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn push(&mut self, batch: Arc<EventBatch>, receipt: Receipt, room: OwnedSemaphorePermit, at: Timestamp) {
        self.next += 1;
        self.stats.frames_appended += 1;
        self.stats.events_appended += batch.events.len() as u64;
        self.stats.bytes_appended += batch.weight() as u64;
        self.stats.bytes += batch.weight() as u64;
        self.entries.push_back(Entry { sequence: self.next, batch, receipt, at, _room: room });
    }

    /// Settles what every output has confirmed.
    fn settle(&mut self) {
        let through = self.outputs.iter().map(|output| output.confirmed).min().unwrap_or(self.next);
        while self.entries.front().is_some_and(|entry| entry.sequence <= through) {
            let Some(entry) = self.entries.pop_front() else { return };
            self.stats.bytes -= entry.batch.weight() as u64;
            if let Some(bookmark) = &entry.batch.bookmark {
                super::apply(&mut self.state, bookmark);
            }
            entry.receipt.kept();
        }
    }

    fn stats(&self) -> Stats {
        let outputs = self.outputs.iter().map(|output| {
            let unread = self.entries.iter().filter(|entry| entry.sequence > output.confirmed);
            let mut stats = OutputStats { name: output.name.clone(), ..OutputStats::default() };
            for entry in unread {
                stats.lag_events += entry.batch.events.len() as u64;
                stats.lag_bytes += entry.batch.weight() as u64;
                stats.oldest = stats.oldest.or(Some(entry.at));
            }
            stats
        });
        Stats { pending: self.entries.len() as u64, outputs: outputs.collect(), ..self.stats.clone() }
    }
}

fn position(sequence: u64) -> Position {
    Position { epoch: 1, sequence }
}
