//! Batches that a sink has taken and the far end has not: the cursor stays before them until all of them are there.
//!
//! Must not know: what a sink holds them for.

use super::{Halt, LaneError, Way};
use crate::basin::Position;
use crate::event::Timestamp;
use crate::pipeline::batch::Batch;
use crate::sink::{SendError, Sent};
use tokio::time::Instant;
use tracing::warn;

#[derive(Default)]
pub(super) struct Held {
    /// Everything up to here is held, confirmed, filtered out or dead.
    through: Option<Position>,
    pub(super) events: usize,
    pub(super) bytes: usize,
    /// When the first events of each batch were received.
    received: Vec<Timestamp>,
}

impl Held {
    pub(super) fn is_any(&self) -> bool {
        self.events > 0 || self.through.is_some()
    }

    /// So much of a batch is held.
    pub(super) fn add(&mut self, events: usize, bytes: usize) {
        self.events += events;
        self.bytes += bytes;
    }

    /// A batch that the cursor cannot pass yet.
    pub(super) fn wait(&mut self, batch: &Batch) {
        self.through = Some(batch.through);
        let first = batch.deliveries.iter().find(|delivery| !delivery.events.is_empty());
        self.received.extend(first.map(|delivery| delivery.origin.received));
    }
}

impl Way {
    /// What the sink held is at the far end.
    pub(super) fn let_go(&mut self, begun: Instant) {
        let Held { through, events, bytes, received } = std::mem::take(&mut self.held);
        if let Some(through) = through {
            self.through = through;
        }
        if events > 0 {
            self.taken(begun, events, bytes);
        }
        let now = super::now();
        for received in received {
            self.observe(now, received);
        }
        self.metrics.in_flight_events.set(0);
    }

    /// Brings what the sink holds to the far end, whatever it takes.
    pub(super) async fn settle(&mut self) -> Result<(), Halt> {
        if !self.held.is_any() {
            return Ok(());
        }
        if self.pass.is_none() {
            self.enter().await?;
        }
        let begun = Instant::now();
        loop {
            match self.sink.release().await {
                Ok(Sent::CheckpointFirst) => self.make_durable().await?,
                Ok(Sent::Confirmed | Sent::Partly(_) | Sent::Held) => break,
                Err(error @ (SendError::Retry { .. } | SendError::Refused { .. })) => {
                    self.metrics.retries.inc();
                    self.pause(&error).await?;
                }
                Err(error) => return Err(LaneError::Gone { output: self.output.clone(), error }.into()),
            }
        }
        self.let_go(begun);
        self.cursor.confirm(self.through, self.sink.note());
        self.pass = None;
        Ok(())
    }

    /// What time alone brings about.
    pub(super) async fn tick(&mut self) -> Result<(), Halt> {
        self.enter().await?;
        let begun = Instant::now();
        loop {
            match self.sink.tick().await {
                Ok(Sent::Held) => break,
                Ok(Sent::Confirmed | Sent::Partly(_)) => {
                    self.let_go(begun);
                    break;
                }
                Ok(Sent::CheckpointFirst) => self.make_durable().await?,
                // Not before its time has come does it touch the far end, so this is what a batch would meet.
                Err(error @ SendError::Retry { .. }) if self.held.is_any() => {
                    self.metrics.retries.inc();
                    self.pause(&error).await?;
                }
                Err(error) => {
                    warn!(output = self.output, %error, "what `rotate` and `keep` say could not be done; trying again");
                    break;
                }
            }
        }
        // It may be long before a batch takes the note along.
        self.cursor.confirm(self.through, self.sink.note());
        self.pass = None;
        Ok(())
    }
}
