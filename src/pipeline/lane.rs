//! One output's way: reader, filter, format, batch, sink, cursor. Written once for all sinks.
//!
//! ```text
//! filler.next ─► batch ─► sink.send ─┬─ Confirmed ───────────────────────► cursor.confirm
//!      ▲                             ├─ CheckpointFirst ─► checkpoint ─► again
//!      │ the next one meanwhile      ├─ Retry ─► pause ─► again, without end
//!      └── recycled                  └─ Refused ─► halves … one event ─► dead letter
//! ```
//!
//! Promises: the cursor passes an event only when it is confirmed, filtered out or in the dead
//! letter; order is kept; one output's trouble is only its own.
//! Must not know: sources, other outputs, what a sink's note says.

use super::batch::Batch;
use super::fill::{Filled, Filler, Panicked};
use super::letter::{Dead, Letters};
use super::retry::Backoff;
use crate::basin::{Cursor, Position};
use crate::event::{EventBatch, Timestamp};
use crate::finding::Finding;
use crate::sink::{Encoded, SendError, Sent, Sink};
use crate::telemetry::metrics::OutputMetrics;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{info, warn};

pub(super) struct Lane {
    pub(super) output: String,
    pub(super) filler: Filler,
    pub(super) cursor: Cursor,
    pub(super) sink: Box<dyn Sink>,
    pub(super) backoff: Backoff,
    pub(super) letters: Letters,
    pub(super) metrics: OutputMetrics,
    /// What happened that an operator should know.
    pub(super) report: Arc<dyn Fn(Finding) + Send + Sync>,
}

/// Why a lane ended before the basin did.
#[derive(Debug, Error)]
pub enum LaneError {
    /// The far end is gone for good; nothing was lost.
    #[error("output `{output}`: {error}")]
    Gone { output: String, error: SendError },
    #[error(
        "output `{output}`: a bug ended the encoding ({reason}); please report it with the log around it"
    )]
    Bug { output: String, reason: String },
}

impl Lane {
    /// Runs until the reader ends: the basin is closed, or finished and all of it delivered.
    ///
    /// # Errors
    /// When the sink is gone for good.
    pub(super) async fn run(self) -> Result<(), LaneError> {
        let Self { output, mut filler, cursor, sink, backoff, letters, metrics, report } = self;
        let bug = |Panicked(reason)| LaneError::Bug { output: output.clone(), reason };
        let mut way = Way {
            output: output.clone(),
            sink,
            backoff,
            letters,
            metrics,
            through: Position::default(),
            cursor,
        };
        way.resume(&report).await;
        let mut next = filler.next(std::future::ready(())).await.map_err(bug)?;
        loop {
            let (sent, idle) = oneshot::channel::<()>();
            // Told by the end of the sending side, in whatever way.
            let idle = async move { drop(idle.await) };
            let sending = async {
                let _sent = sent;
                match next {
                    Filled::End => Ok(None),
                    Filled::Letter(batch, taken) => way.take_letter(batch, taken).await.map(Some),
                    Filled::Batch(batch) => way.deliver(batch).await.map(Some),
                }
            };
            let filling = async { filler.next(idle).await.map_err(bug) };
            let (batch, filled) = tokio::try_join!(sending, filling)?;
            let Some(batch) = batch else { break };
            filler.recycle(batch);
            next = filled;
        }
        // Nobody is waiting for this lane from here on; others may still have dead letters for it.
        way.letters = Letters::Nowhere;
        while let Some(filled) = filler.last_letter().await.map_err(bug)? {
            if let Filled::Letter(batch, taken) = filled {
                filler.recycle(way.take_letter(batch, taken).await?);
            }
        }
        way.close().await
    }
}

/// What a batch goes through.
struct Way {
    output: String,
    sink: Box<dyn Sink>,
    backoff: Backoff,
    letters: Letters,
    metrics: OutputMetrics,
    through: Position,
    cursor: Cursor,
}

impl Way {
    async fn resume(&mut self, report: &Arc<dyn Fn(Finding) + Send + Sync>) {
        let note = self.cursor.note();
        loop {
            match self.sink.resume(&note) {
                Ok(findings) => {
                    findings.into_iter().for_each(|finding| report(finding));
                    break self.backoff.reset();
                }
                Err(error) => self.pause(&error).await,
            }
        }
    }

    /// Brings the whole batch to its end, whatever it takes, and moves the cursor; its buffers come
    /// back empty.
    async fn deliver(&mut self, mut batch: Batch) -> Result<Batch, LaneError> {
        self.metrics.filtered.inc_by(batch.filtered);
        self.metrics.undecodable.inc_by(batch.undecodable);
        let dead: Vec<Dead> = batch
            .dead
            .drain(..)
            .map(|(delivery, event, error)| dead(&batch.deliveries, (delivery, event), error))
            .collect();
        self.bury(&dead).await;
        let mut sent = None;
        if !batch.is_empty() {
            let encoded = Arc::new(batch.encoded());
            self.send(&encoded, &batch).await?;
            sent = Arc::try_unwrap(encoded).ok();
        }
        self.through = batch.through;
        self.cursor.confirm(self.through, self.sink.note());
        batch.recycle(sent);
        Ok(batch)
    }

    /// Sends the batch, in halves where something in it is refused, down to the event itself.
    async fn send(&mut self, whole: &Arc<Encoded>, batch: &Batch) -> Result<(), LaneError> {
        let mut parts = vec![(0, whole.items.len())];
        while let Some((from, to)) = parts.pop() {
            let part = if to - from == whole.items.len() {
                Arc::clone(whole)
            } else {
                Arc::new(whole.part(from, to))
            };
            match self.send_part(&part).await {
                Ok(()) => {}
                Err(SendError::Refused { peer, reason }) if to - from == 1 => {
                    let error = format!("{peer} refused: {reason}");
                    self.bury(&[dead(&batch.deliveries, batch.origins[from], error)]).await;
                }
                Err(SendError::Refused { .. }) => {
                    let middle = from + (to - from) / 2;
                    parts.push((middle, to));
                    parts.push((from, middle));
                }
                Err(error) => return Err(LaneError::Gone { output: self.output.clone(), error }),
            }
        }
        Ok(())
    }

    /// Until it is confirmed, refused, or the far end is gone.
    async fn send_part(&mut self, part: &Arc<Encoded>) -> Result<(), SendError> {
        loop {
            let begun = Instant::now();
            match self.sink.send(part).await {
                Ok(Sent::Confirmed) => {
                    self.metrics.send_seconds.observe(begun.elapsed().as_secs_f64());
                    self.metrics.events.inc_by(part.items.len() as u64);
                    self.metrics.bytes.inc_by(part.bytes.len() as u64);
                    if self.backoff.failures() > 0 {
                        info!(output = self.output, "the sink takes batches again");
                    }
                    self.backoff.reset();
                    return Ok(());
                }
                Ok(Sent::CheckpointFirst) => self.make_durable().await,
                Err(error @ SendError::Retry { .. }) => {
                    self.metrics.retries.inc();
                    self.pause(&error).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Cursor and note on disk; where that fails, again.
    async fn make_durable(&mut self) {
        self.cursor.confirm(self.through, self.sink.note());
        while let Err(error) = self.cursor.checkpoint().await {
            let pause = self.backoff.pause();
            warn!(output = self.output, %error, retry_in = ?pause, "the cursor could not be made durable; trying again");
            tokio::time::sleep(pause).await;
        }
    }

    /// Puts events into the dead letter; waits where it cannot take.
    async fn bury(&mut self, events: &[Dead]) {
        if events.is_empty() {
            return;
        }
        while let Err(error) = self.letters.put(&self.output, events, now()).await {
            let error = SendError::Retry { peer: "dead letter".into(), reason: error };
            self.pause(&error).await;
        }
        self.backoff.reset();
        self.metrics.dead_lettered.inc_by(events.len() as u64);
    }

    /// Sends what another output could not deliver. What is refused here too is held: a dead letter
    /// has no dead letter.
    async fn take_letter(
        &mut self,
        mut batch: Batch,
        taken: oneshot::Sender<()>,
    ) -> Result<Batch, LaneError> {
        let encoded = Arc::new(batch.encoded());
        while let Err(error) = self.send_part(&encoded).await {
            if matches!(error, SendError::Gone { .. }) {
                return Err(LaneError::Gone { output: self.output.clone(), error });
            }
            self.pause(&error).await;
        }
        // The other lane moves its cursor next, so what was just written may not be taken back.
        self.make_durable().await;
        batch.recycle(Arc::try_unwrap(encoded).ok());
        // Nobody listens when the other lane was stopped meanwhile; its cursor stays before these.
        let _ = taken.send(());
        Ok(batch)
    }

    async fn pause(&mut self, error: &SendError) {
        let pause = self.backoff.pause();
        // At once, and then ever less often.
        if self.backoff.failures().is_power_of_two() {
            warn!(output = self.output, %error, retry_in = ?pause, "the batch was not taken; trying again");
        }
        tokio::time::sleep(pause).await;
    }

    async fn close(&mut self) -> Result<(), LaneError> {
        if let Err(error) = self.sink.close().await {
            return Err(LaneError::Gone { output: self.output.clone(), error });
        }
        Ok(())
    }
}

fn dead(deliveries: &[Arc<EventBatch>], (delivery, event): (u32, u32), error: String) -> Dead {
    Dead { delivery: Arc::clone(&deliveries[delivery as usize]), event: event as usize, error }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
