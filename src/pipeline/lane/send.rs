//! A batch against what the sink says of it: again, in halves, or to the dead letter event by event.
//!
//! Must not know: filters, cursors.

use super::{Dead, Halt, LaneError, Way, dead};
use crate::pipeline::batch::Batch;
use crate::sink::{Encoded, Refusal, SendError, Sent};
use std::sync::Arc;
use tokio::time::Instant;
use tracing::info;

/// What became of a part.
pub(super) enum Answer {
    Taken,
    Held,
    Partly(Vec<Refusal>),
    Refused { peer: String, reason: String },
}

impl Way {
    /// Sends the batch, in halves where something in it is refused, down to the event itself.
    pub(super) async fn send(&mut self, whole: &Arc<Encoded>, batch: &Batch) -> Result<(), Halt> {
        let mut parts = vec![(0, whole.items.len())];
        while let Some((from, to)) = parts.pop() {
            let part = if to - from == whole.items.len() {
                Arc::clone(whole)
            } else {
                Arc::new(whole.part(from, to))
            };
            match self.send_part(&part).await? {
                Answer::Taken => {}
                Answer::Held => self.held.add(part.items.len(), part.bytes.len()),
                Answer::Partly(refused) => {
                    let dead: Vec<Dead> = refused
                        .into_iter()
                        .map(|Refusal { item, reason }| {
                            dead(&batch.deliveries, batch.origins[from + item as usize], reason)
                        })
                        .collect();
                    self.metrics.refused.inc_by(dead.len() as u64);
                    self.bury(&dead).await?;
                }
                Answer::Refused { peer, reason } if to - from == 1 => {
                    let error = format!("{peer} refused: {reason}");
                    self.metrics.refused.inc();
                    self.bury(&[dead(&batch.deliveries, batch.origins[from], error)]).await?;
                }
                Answer::Refused { .. } => {
                    let middle = from + (to - from) / 2;
                    parts.push((middle, to));
                    parts.push((from, middle));
                }
            }
        }
        Ok(())
    }

    /// Until it is taken or refused.
    pub(super) async fn send_part(&mut self, part: &Arc<Encoded>) -> Result<Answer, Halt> {
        loop {
            let begun = Instant::now();
            self.metrics.in_flight_events.set((self.held.events + part.items.len()) as i64);
            let sent = self.sink.send(part).await;
            if sent != Ok(Sent::Held) {
                self.metrics.in_flight_events.set(self.held.events as i64);
            }
            match sent {
                Ok(Sent::Confirmed) => {
                    self.let_go(begun);
                    self.taken(begun, part.items.len(), part.bytes.len());
                    return Ok(Answer::Taken);
                }
                Ok(Sent::Held) => {
                    self.backoff.reset();
                    return Ok(Answer::Held);
                }
                Ok(Sent::Partly(refused)) => {
                    self.let_go(begun);
                    let bytes: usize =
                        refused.iter().map(|refused| part.item(refused.item as usize).len()).sum();
                    self.taken(begun, part.items.len() - refused.len(), part.bytes.len() - bytes);
                    return Ok(Answer::Partly(refused));
                }
                Ok(Sent::CheckpointFirst) => self.make_durable().await?,
                Err(error @ SendError::Retry { .. }) => {
                    self.metrics.retries.inc();
                    self.pause(&error).await?;
                }
                Err(SendError::Refused { peer, reason }) => return Ok(Answer::Refused { peer, reason }),
                Err(error) => return Err(LaneError::Gone { output: self.output.clone(), error }.into()),
            }
        }
    }

    /// What the sink confirmed.
    pub(super) fn taken(&mut self, begun: Instant, events: usize, bytes: usize) {
        self.metrics.send_seconds.observe(begun.elapsed().as_secs_f64());
        self.metrics.events.inc_by(events as u64);
        self.metrics.bytes.inc_by(bytes as u64);
        if self.backoff.failures() > 0 {
            info!(output = self.output, "the sink takes batches again");
        }
        self.backoff.reset();
    }
}
