//! One output's way: reader, filter, format, batch, sink, cursor. Written once for all sinks.
//!
//! ```text
//! reader.next ─► batch ─► sink.send ─┬─ Confirmed ───────────────────────► reader.confirm
//!                  ▲                 ├─ CheckpointFirst ─► checkpoint ─► again
//!                  └── recycled      ├─ Retry ─► pause ─► again, without end
//!                                    └─ Refused ─► halves … one event ─► dead letter
//! ```
//!
//! Promises: the cursor passes an event only when it is confirmed, filtered out or in the dead
//! letter; order is kept; one output's trouble is only its own.
//! Must not know: sources, other outputs, what a sink's note says.

use super::batch::{Batch, BatchConfig, Encoder};
use super::letter::{Dead, Letter, Letters};
use super::retry::Backoff;
use crate::basin::{Delivery, Position, Reader};
use crate::event::{EventBatch, Timestamp};
use crate::finding::Finding;
use crate::sink::{Encoded, SendError, Sent, Sink};
use crate::telemetry::metrics::OutputMetrics;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use thiserror::Error;
use tokio::sync::mpsc;
use tracing::{info, warn};

pub(super) struct Lane {
    pub(super) output: String,
    pub(super) reader: Reader,
    pub(super) sink: Box<dyn Sink>,
    pub(super) encoder: Encoder,
    pub(super) limits: BatchConfig,
    pub(super) backoff: Backoff,
    pub(super) letters: Letters,
    /// Dead letters of other outputs.
    pub(super) inbox: mpsc::Receiver<Letter>,
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

/// Deliveries below this size are encoded where they are: moving them costs more than it saves.
const INLINE_BYTES_MAX: usize = 32 * 1024;

struct Work {
    encoder: Encoder,
    batch: Batch,
}

enum Next {
    Delivery(Delivery),
    Letter(Letter),
    End,
}

impl Lane {
    /// Runs until the reader ends: the basin is closed, or finished and all of it delivered.
    ///
    /// # Errors
    /// When the sink is gone for good.
    pub(super) async fn run(self) -> Result<(), LaneError> {
        let Self { output, reader, sink, encoder, limits, backoff, letters, inbox, metrics, report } = self;
        let mut way = Way { output, sink, backoff, letters, metrics, through: Position::default(), reader };
        way.resume(&report).await;
        let mut work = Work { encoder, batch: Batch::default() };
        let mut inbox = inbox;
        let mut end = false;
        while !end {
            match next(&mut way.reader, &mut inbox).await {
                Next::End => break,
                Next::Letter(letter) => work = way.take_letter(work, letter).await?,
                Next::Delivery(first) => {
                    (work, end) = way.fill(work, first, &limits).await?;
                    way.deliver(&mut work.batch).await?;
                }
            }
        }
        // Nobody is waiting for this lane from here on; others may still have dead letters for it.
        way.letters = Letters::Nowhere;
        while let Some(letter) = inbox.recv().await {
            work = way.take_letter(work, letter).await?;
        }
        way.close().await
    }
}

async fn next(reader: &mut Reader, inbox: &mut mpsc::Receiver<Letter>) -> Next {
    let mut open = !inbox.is_closed() || !inbox.is_empty();
    loop {
        tokio::select! {
            biased;
            letter = inbox.recv(), if open => match letter {
                Some(letter) => return Next::Letter(letter),
                None => open = false,
            },
            delivery = reader.next() => {
                return delivery.map_or(Next::End, Next::Delivery);
            }
        }
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
    reader: Reader,
}

impl Way {
    async fn resume(&mut self, report: &Arc<dyn Fn(Finding) + Send + Sync>) {
        let note = self.reader.note();
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

    /// Adds deliveries until the batch is full or has waited; true: there will be no more.
    async fn fill(
        &mut self,
        mut work: Work,
        first: Delivery,
        limits: &BatchConfig,
    ) -> Result<(Work, bool), LaneError> {
        let deadline = tokio::time::Instant::now() + limits.wait.0;
        let mut delivery = first;
        loop {
            work = self.encode(work, delivery).await?;
            if work.encoder.is_full(&work.batch, limits) {
                return Ok((work, false));
            }
            let more = self.reader.next();
            let more = if limits.wait.0.is_zero() {
                once(more).await
            } else {
                tokio::time::timeout_at(deadline, more).await.ok()
            };
            match more {
                Some(Some(next)) => delivery = next,
                Some(None) => return Ok((work, true)),
                None => return Ok((work, false)),
            }
        }
    }

    async fn encode(&mut self, mut work: Work, delivery: Delivery) -> Result<Work, LaneError> {
        let is_small = delivery.batch.text.len() <= INLINE_BYTES_MAX;
        let encode = move || {
            work.encoder.add(&mut work.batch, &delivery.batch, delivery.position, now());
            work
        };
        if is_small {
            return Ok(encode());
        }
        tokio::task::spawn_blocking(encode)
            .await
            .map_err(|panic| LaneError::Bug { output: self.output.clone(), reason: panic.to_string() })
    }

    /// Brings the whole batch to its end, whatever it takes, and moves the cursor.
    async fn deliver(&mut self, batch: &mut Batch) -> Result<(), LaneError> {
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
            self.send(&encoded, batch).await?;
            sent = Arc::try_unwrap(encoded).ok();
        }
        self.through = batch.through;
        self.reader.confirm(self.through, self.sink.note());
        batch.recycle(sent);
        Ok(())
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
        self.reader.confirm(self.through, self.sink.note());
        while let Err(error) = self.reader.checkpoint().await {
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
    async fn take_letter(&mut self, mut work: Work, letter: Letter) -> Result<Work, LaneError> {
        for dead in &letter.events {
            work.encoder.add_letter(&mut work.batch, &dead.delivery, dead.event, &dead.error);
        }
        let encoded = Arc::new(work.batch.encoded());
        while let Err(error) = self.send_part(&encoded).await {
            if matches!(error, SendError::Gone { .. }) {
                return Err(LaneError::Gone { output: self.output.clone(), error });
            }
            self.pause(&error).await;
        }
        // The other lane moves its cursor next, so what was just written may not be taken back.
        self.make_durable().await;
        work.batch.recycle(None);
        // Nobody listens when the other lane was stopped meanwhile; its cursor stays before these.
        let _ = letter.taken.send(());
        Ok(work)
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

/// What is there without waiting; `None` when there is nothing yet.
async fn once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match future.as_mut().poll(context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
