//! One output's way through the log, for the async side: from memory, or segments read ahead.

use super::super::{Delivery, Position};
use super::Shared;
use super::core::Core;
use super::read::{Next, Place, ReadAhead, ReadPlan};
use super::tail::Entry;
use bytes::Bytes;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

pub(in crate::basin) struct DiskReader {
    shared: Arc<Shared>,
    output: usize,
    /// Read up to here.
    at: Position,
    place: Place,
    ahead: VecDeque<Entry>,
    refusals: u32,
}

pub(in crate::basin) struct DiskCursor {
    shared: Arc<Shared>,
    output: usize,
}

impl DiskReader {
    pub(super) fn new(shared: Arc<Shared>, output: usize, at: Position) -> Self {
        Self { shared, output, at, place: Place::default(), ahead: VecDeque::new(), refusals: 0 }
    }

    pub(in crate::basin) async fn next(&mut self) -> Option<Delivery> {
        loop {
            let shared = Arc::clone(&self.shared);
            let changed = shared.changed.notified();
            let plan = {
                let mut core = self.shared.lock();
                if core.stopping {
                    return None;
                }
                if let Some(entry) = self.ahead.pop_front() {
                    return Some(hand_out(&mut core, self.output, entry));
                }
                match core.next(self.at, self.place) {
                    Next::Batch(entry) => {
                        self.at = entry.position;
                        return Some(hand_out(&mut core, self.output, entry));
                    }
                    Next::Read(plan) => Some(plan),
                    Next::Wait => None,
                    Next::End => return None,
                }
            };
            match plan {
                Some(plan) => self.read(plan).await,
                None => changed.await,
            }
        }
    }

    pub(in crate::basin) fn cursor(&self) -> DiskCursor {
        DiskCursor { shared: Arc::clone(&self.shared), output: self.output }
    }

    async fn read(&mut self, plan: ReadPlan) {
        let disk = Arc::clone(&self.shared.disk);
        let last_try = self.refusals == REFUSALS_MAX;
        let ahead = if tokio::runtime::Handle::try_current().is_ok() {
            match tokio::task::spawn_blocking(move || plan.run(&*disk, last_try)).await {
                Ok(ahead) => ahead,
                Err(_) => return,
            }
        } else {
            plan.run(&*disk, last_try)
        };
        let ReadAhead { entries, at, place, number, refused, damages } = ahead;
        self.refusals = if refused { self.refusals + 1 } else { 0 };
        if refused && entries.is_empty() && damages.is_empty() {
            tokio::time::sleep(REFUSAL_PAUSE * self.refusals).await;
        }
        if !damages.is_empty() {
            self.shared.lock().note_damages(number, damages);
        }
        self.at = at;
        self.place = place;
        self.ahead = entries.into();
    }
}

impl DiskCursor {
    pub(in crate::basin) fn confirm(&self, through: Position, note: Bytes) {
        let mut core = self.shared.lock();
        core.confirm(self.output, through, note);
        if core.hurries(self.output) {
            self.shared.keeper.notify_one();
        }
    }

    pub(in crate::basin) async fn checkpoint(&self) -> io::Result<()> {
        let (sender, written) = oneshot::channel();
        {
            let mut core = self.shared.lock();
            let output = &mut core.outputs[self.output];
            output.urgent = true;
            output.retry_at = None;
            output.waiters.push(sender);
        }
        self.shared.keeper.notify_one();
        written.await.unwrap_or_else(|_| Err(io::Error::other("the basin was closed")))
    }

    pub(in crate::basin) fn note(&self) -> Bytes {
        self.shared.lock().outputs[self.output].note.clone()
    }
}

fn hand_out(core: &mut Core, output: usize, entry: Entry) -> Delivery {
    core.hand_out(output, &entry);
    Delivery { position: entry.position, batch: entry.batch }
}

/// How often a read that the disk refused is tried again before its frames are skipped.
const REFUSALS_MAX: u32 = 3;
const REFUSAL_PAUSE: Duration = Duration::from_millis(500);
