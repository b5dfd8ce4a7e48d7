//! One output's way: reader, filter, format, batch, sink, cursor. Written once for all sinks.
//!
//! ```text
//! filler.next ─► batch ─► sink.send ─┬─ Confirmed ───────────────────────► cursor.confirm
//!      ▲                             ├─ Partly ─► those to the dead letter ─┘
//!      │                             ├─ Held ─► the next batch; the cursor waits for all of them
//!      │                             ├─ CheckpointFirst ─► checkpoint ─► again
//!      │ the next one meanwhile      ├─ Retry ─► pause ─► again, without end
//!      └── recycled                  └─ Refused ─► halves … one event ─► dead letter
//! ```
//!
//! Promises: the cursor passes an event only when it is confirmed, filtered out or in the dead
//! letter; order is kept; one output's trouble is only its own.
//!
//! | file | what |
//! |---|---|
//! | `send` | a batch against what the sink says of it |
//! | `held` | what a sink has taken and the far end has not |
//! | `bury` | dead letters: its own to their place, others' to its far end |
//! | `reasons` | why, told once for each kind |
//!
//! Must not know: sources, other outputs, what a sink's note says.

mod bury;
mod held;
mod reasons;
mod send;

use super::batch::Batch;
use super::fill::{Filled, Filler, Panicked};
use super::gate::{Gate, Left, Pass};
use super::letter::{Dead, Letters};
use super::retry::Backoff;
use super::unread::Unread;
use crate::basin::{Cursor, Position};
use crate::event::{EventBatch, Timestamp};
use crate::finding::Finding;
use crate::sink::{SendError, Sink};
use crate::telemetry::metrics::OutputMetrics;
use bury::{REFUSED, UNSENT};
use held::Held;
use reasons::Reasons;
use send::Parts;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use thiserror::Error;
use tokio::sync::oneshot;
use tracing::warn;

/// Longest pause that a far end can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

pub(super) struct Lane {
    pub(super) output: String,
    pub(super) filler: Filler,
    pub(super) cursor: Cursor,
    pub(super) sink: Box<dyn Sink>,
    pub(super) backoff: Backoff,
    pub(super) letters: Letters,
    pub(super) metrics: OutputMetrics,
    /// Closed when the pipeline changes over.
    pub(super) gate: Gate,
    /// What happened that an operator should know, and how often.
    pub(super) report: Arc<dyn Fn(Finding, u64) + Send + Sync>,
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

/// Why a lane stops in the middle.
enum Halt {
    /// The next life goes on from its cursor.
    Left,
    Failed(LaneError),
}

impl From<Left> for Halt {
    fn from(_: Left) -> Self {
        Self::Left
    }
}

impl From<LaneError> for Halt {
    fn from(error: LaneError) -> Self {
        Self::Failed(error)
    }
}

impl Lane {
    /// Runs until the reader ends (the basin is closed, or finished and all of it delivered) or the
    /// pipeline changes over.
    ///
    /// # Errors
    /// When the sink is gone for good.
    pub(super) async fn run(self) -> Result<(), LaneError> {
        let Self { output, filler, cursor, sink, backoff, letters, metrics, gate, report } = self;
        let mut way = Way {
            output,
            sink,
            backoff,
            letters,
            metrics,
            gate,
            report,
            unread: Unread::default(),
            reasons: Reasons::default(),
            held: Held::default(),
            pass: None,
            through: Position::default(),
            cursor,
        };
        match way.go(filler).await {
            Ok(()) => {
                way.close().await?;
                // A closed sink has one thing more to say: that nothing of it is past this note.
                way.cursor.confirm(way.through, way.sink.note());
                Ok(())
            }
            // The sink may have parts of a batch that the cursor is not past.
            Err(Halt::Left) => way.close().await,
            Err(Halt::Failed(error)) => Err(error),
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
    gate: Gate,
    report: Arc<dyn Fn(Finding, u64) + Send + Sync>,
    unread: Unread,
    reasons: Reasons,
    held: Held,
    /// From before a batch is sent until the cursor has moved.
    pass: Option<Pass>,
    through: Position,
    cursor: Cursor,
}

impl Way {
    async fn go(&mut self, mut filler: Filler) -> Result<(), Halt> {
        let output = self.output.clone();
        let bug = |Panicked(reason)| LaneError::Bug { output: output.clone(), reason };
        self.resume().await?;
        let mut next = filler.next(std::future::ready(())).await.map_err(bug)?;
        loop {
            let (sent, idle) = oneshot::channel::<()>();
            // Told by the end of the sending side, in whatever way.
            let idle = async move { drop(idle.await) };
            let sending = async {
                let _sent = sent;
                match next {
                    Filled::End => Ok(ControlFlow::Break(())),
                    Filled::Tick => self.tick().await.map(|()| ControlFlow::Continue(None)),
                    Filled::Letter(batch, taken) => {
                        self.take_letter(batch, taken).await.map(|batch| ControlFlow::Continue(Some(batch)))
                    }
                    Filled::Batch(batch) => {
                        self.deliver(batch).await.map(|batch| ControlFlow::Continue(Some(batch)))
                    }
                }
            };
            let filling = async { filler.next(idle).await.map_err(|panicked| Halt::Failed(bug(panicked))) };
            let (step, filled) = tokio::try_join!(sending, filling)?;
            let ControlFlow::Continue(batch) = step else {
                // It came while the last batch was sent.
                if let Filled::Letter(batch, taken) = filled {
                    filler.recycle(self.take_letter(batch, taken).await?);
                }
                break;
            };
            if let Some(batch) = batch {
                filler.recycle(batch);
            }
            next = filled;
        }
        self.settle().await?;
        // Nobody is waiting for this lane from here on; others may still have dead letters for it.
        self.letters = Letters::Nowhere;
        while let Some(filled) = filler.last_letter().await.map_err(bug)? {
            if let Filled::Letter(batch, taken) = filled {
                filler.recycle(self.take_letter(batch, taken).await?);
            }
        }
        Ok(())
    }

    async fn resume(&mut self) -> Result<(), Halt> {
        let note = self.cursor.note();
        loop {
            match self.sink.resume(&note) {
                Ok(findings) => {
                    findings.into_iter().for_each(|finding| (self.report)(finding, 1));
                    self.backoff.reset();
                    return Ok(());
                }
                Err(error) => self.pause(&error).await?,
            }
        }
    }

    /// Brings the whole batch to its end, whatever it takes, and moves the cursor; its buffers come
    /// back empty.
    async fn deliver(&mut self, mut batch: Batch) -> Result<Batch, Halt> {
        self.enter().await?;
        self.metrics.filtered.inc_by(batch.filtered);
        self.metrics.undecodable.inc_by(batch.undecodable);
        if let Some((delivery, error)) = batch.unread.take() {
            let origin = &batch.deliveries[delivery as usize].origin;
            let report = |finding| (self.report)(finding, 1);
            self.unread.tell(&self.output, origin, error, &report);
        }
        let unsent: Vec<Dead> = batch
            .dead
            .drain(..)
            .map(|(delivery, event, error)| dead(&batch.deliveries, (delivery, event), error))
            .collect();
        self.bury(UNSENT, unsent).await?;
        let mut sent = None;
        if !batch.is_empty() {
            let encoded = Arc::new(batch.encoded());
            let mut parts = Parts::of(&encoded);
            while let Some(refused) = self.send(&encoded, &mut parts).await? {
                let of = |(item, words): (usize, _)| dead(&batch.deliveries, batch.origins[item], words);
                self.bury(REFUSED, refused.into_iter().map(of).collect()).await?;
            }
            sent = Arc::try_unwrap(encoded).ok();
        }
        if self.held.is_any() {
            self.held.wait(&batch);
        } else {
            self.through = batch.through;
            self.cursor.confirm(self.through, self.sink.note());
            let now = now();
            // Bookmarks alone are nobody's events, and were not received at any time.
            for delivery in batch.deliveries.iter().filter(|delivery| !delivery.events.is_empty()) {
                self.observe(now, delivery.origin.received);
            }
        }
        self.pass = None;
        batch.recycle(sent);
        Ok(batch)
    }

    fn observe(&self, now: Timestamp, received: Timestamp) {
        let age = now.0.saturating_sub(received.0).max(0);
        self.metrics.delivery_seconds.observe(age as f64 / 1e9);
    }

    /// Cursor and note on disk; where that fails, again.
    async fn make_durable(&mut self) -> Result<(), Halt> {
        self.cursor.confirm(self.through, self.sink.note());
        while let Err(error) = self.cursor.checkpoint().await {
            let pause = self.backoff.pause();
            warn!(output = self.output, %error, retry_in = ?pause, "the cursor could not be made durable; trying again");
            self.rest(pause).await?;
        }
        Ok(())
    }

    async fn pause(&mut self, error: &SendError) -> Result<(), Left> {
        let mut pause = self.backoff.pause();
        if let SendError::Retry { after: Some(after), .. } = error {
            pause = pause.max((*after).min(RETRY_AFTER_MAX));
        }
        // At once, and then ever less often.
        if self.backoff.failures().is_power_of_two() {
            warn!(output = self.output, %error, retry_in = ?pause, "the batch was not taken; trying again");
        }
        self.rest(pause).await
    }

    /// Nothing is under way meanwhile.
    async fn rest(&mut self, time: Duration) -> Result<(), Left> {
        let entered = self.pass.take().is_some();
        tokio::select! {
            slept = self.gate.sleep(time) => slept?,
            () = self.sink.sooner() => {}
        }
        if entered { self.enter().await } else { Ok(()) }
    }

    async fn enter(&mut self) -> Result<(), Left> {
        self.pass = Some(self.gate.pass(&self.output).await?);
        Ok(())
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
