//! A batch against what the sink says of it: again, in halves, or refused event by event.
//!
//! Must not know: filters, cursors, where refused events go.

use super::{Halt, LaneError, Way};
use crate::sink::{Encoded, Refusal, SendError, Sent};
use std::sync::Arc;
use tokio::time::Instant;
use tracing::info;

/// What of a batch is still to be sent, the first last.
pub(super) struct Parts(Vec<(usize, usize)>);

impl Parts {
    pub(super) fn of(whole: &Encoded) -> Self {
        Self(vec![(0, whole.items.len())])
    }
}

/// What became of a part.
enum Answer {
    Taken,
    Held,
    Partly(Vec<Refusal>),
    Refused { peer: String, reason: String },
}

impl Way {
    /// Sends on until something is refused, in halves where it is not said what, down to the event itself:
    /// their places in the batch, and the words. None when nothing is left to be sent.
    pub(super) async fn send(
        &mut self,
        whole: &Arc<Encoded>,
        parts: &mut Parts,
    ) -> Result<Option<Vec<(usize, String)>>, Halt> {
        while let Some((from, to)) = parts.0.pop() {
            let part = if to - from == whole.items.len() {
                Arc::clone(whole)
            } else {
                Arc::new(whole.part(from, to))
            };
            let refused: Vec<(usize, String)> = match self.send_part(&part).await? {
                Answer::Taken => continue,
                Answer::Held => {
                    self.held.add(part.items.len(), part.bytes.len());
                    continue;
                }
                Answer::Partly(refused) => {
                    let of = |Refusal { item, reason }| (from + item as usize, reason);
                    refused.into_iter().map(of).collect()
                }
                Answer::Refused { peer, reason } if to - from == 1 => {
                    vec![(from, format!("{peer} refused: {reason}"))]
                }
                Answer::Refused { .. } => {
                    let middle = from + (to - from) / 2;
                    parts.0.push((middle, to));
                    parts.0.push((from, middle));
                    continue;
                }
            };
            self.metrics.refused.inc_by(refused.len() as u64);
            return Ok(Some(refused));
        }
        Ok(None)
    }

    /// Until it is taken or refused.
    async fn send_part(&mut self, part: &Arc<Encoded>) -> Result<Answer, Halt> {
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
        // An answer that refuses all of it is no success.
        if events == 0 {
            return;
        }
        self.metrics.events.inc_by(events as u64);
        self.metrics.bytes.inc_by(bytes as u64);
        if self.backoff.failures() > 0 {
            info!(output = self.output, "the sink takes batches again");
        }
        self.backoff.reset();
    }
}
