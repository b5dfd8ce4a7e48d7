//! Archive objects in S3, and in stores that speak its protocol.
//!
//! | file | what |
//! |---|---|
//! | `config` | what is written of it |
//! | `hold` | events of each route until they become objects, and the keys of these |
//! | `plan` | which events make which objects, durable before anything is sent |
//! | `upload` | objects on their way, in one piece or in parts |
//! | `bucket` | requests, signed |
//! | `sign` | the signature |
//! | `keys` | whose it is |
//! | `answer` | what the store says |
//!
//! ```text
//! batch ─► held, compressed ─► … old enough, or memory is full ─► end durable ─► objects ─► confirmed
//!            │ the cursor stays                                  (CheckpointFirst)
//!            └─► Held
//! ```
//!
//! Chosen: objects of many batches, held in memory where events take a tenth of their room, over one of each batch,
//! which would be small and many; and over parts that are confirmed before their object is there, of which each but
//! the last needs 5 MiB, for each route at a time. The basin has what is held, so nothing is lost with it.
//! Promises: confirmed is in the bucket, by its own answer for each object; the same events make the same objects under
//! the same keys, so a crash leaves none twice; no object is ever written over by another.
//! Must not know: what an event looks like.

pub mod answer;
mod bucket;
pub mod config;
mod hold;
mod keys;
mod plan;
mod sign;
mod upload;

pub use config::{Config, SIZE_LEAST};
pub use keys::AuthConfig;

use super::path::Router;
use super::web::pace::Pace;
use super::web::reading::Setback;
use super::{Attachment, Encoded, SendError, Sending, Sent, Sink, Waiting};
use crate::auth::files::Stamp;
use crate::finding::Finding;
use bucket::Bucket;
use bytes::Bytes;
use hold::{Hold, Next};
use plan::Plan;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use upload::{Halt, Shipment, Way};

/// How long who does not let us in is left alone.
const LOCKED_PAUSE: Duration = Duration::from_secs(60);
/// How often files with keys are looked at meanwhile.
const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// Batches from this size on are compressed on the threads for blocking calls.
const ASIDE_BYTES_MIN: usize = 32 * 1024;

/// The sink.
pub struct S3 {
    bucket: Arc<Bucket>,
    /// Shared with the threads that compress.
    hold: Arc<Mutex<Hold>>,
    shipment: Option<Shipment>,
    router: Option<Router>,
    pace: Pace,
    tick_every: Duration,
    /// The note is durable when we are asked again.
    waits_for_note: bool,
    /// So many of the next objects may have been begun by an earlier life.
    come_again: usize,
    /// The keys that did not let us in.
    locked: Option<Stamp>,
    attachment: Option<Attachment>,
}

impl S3 {
    fn new(bucket: Bucket, hold: Hold, router: Option<Router>, pace: Pace, tick_every: Duration) -> Self {
        Self {
            bucket: Arc::new(bucket),
            hold: Arc::new(Mutex::new(hold)),
            shipment: None,
            router,
            pace,
            tick_every,
            waits_for_note: false,
            come_again: 0,
            locked: None,
            attachment: None,
        }
    }

    fn report(&self) -> Arc<dyn Fn(Finding) + Send + Sync> {
        let attachment = self.attachment.clone();
        Arc::new(move |finding| {
            if let Some(Attachment { output, report, .. }) = &attachment {
                report(Finding { what: format!("output `{output}`: {}", finding.what), ..finding });
            }
        })
    }

    /// The note is durable, if that was asked for.
    fn asked_again(&mut self) {
        if std::mem::take(&mut self.waits_for_note) {
            lock(&self.hold).plan.is_durable();
        }
    }

    async fn take(&mut self, batch: &Arc<Encoded>) -> Result<Sent, SendError> {
        self.asked_again();
        loop {
            let next = if batch.bytes.len() < ASIDE_BYTES_MIN {
                lock(&self.hold).absorb(batch, Instant::now())
            } else {
                let batch = Arc::clone(batch);
                self.aside(move |hold| hold.absorb(&batch, Instant::now())).await?
            };
            if next == Next::Held {
                return Ok(Sent::Held);
            }
            if !self.may_ship() {
                return Ok(Sent::CheckpointFirst);
            }
            if !self.ship().await? {
                lock(&self.hold).passed();
                return Ok(Sent::Confirmed);
            }
        }
    }

    /// All that is held.
    async fn bring(&mut self) -> Result<Sent, SendError> {
        self.asked_again();
        if lock(&self.hold).is_any() {
            if !self.may_ship() {
                return Ok(Sent::CheckpointFirst);
            }
            self.ship().await?;
        }
        lock(&self.hold).passed();
        Ok(Sent::Confirmed)
    }

    fn may_ship(&mut self) -> bool {
        self.waits_for_note = !lock(&self.hold).may_ship();
        !self.waits_for_note
    }

    /// Brings what is held to the bucket. Whether more of the batch is left.
    async fn ship(&mut self) -> Result<bool, SendError> {
        if self.shipment.is_none() {
            let parcels = self.aside(Hold::pack).await?;
            self.shipment = Some(Shipment::new(parcels, self.come_again > 0));
        }
        let (report, attachment) = (self.report(), self.attachment.clone());
        let gauge = move |limit: usize| {
            if let Some(attachment) = &attachment {
                attachment.metrics.concurrency.set(limit as i64);
            }
        };
        if let Some(shipment) = &mut self.shipment {
            let way = Way {
                bucket: &self.bucket,
                pace: &mut self.pace,
                report: Arc::clone(&report),
                gauge: &gauge,
            };
            match shipment.carry(way).await {
                Ok(()) => self.locked = None,
                Err(Halt::Setback(setback)) => {
                    self.locked = None;
                    return Err(setback.into());
                }
                Err(Halt::Locked { peer, finding }) => {
                    self.locked = Some(self.bucket.credentials.stamp());
                    let reason = format!("{}: {}", finding.what, finding.why);
                    report(finding);
                    return Err(Setback { reason, after: Some(LOCKED_PAUSE), ..Setback::of(&peer) }.into());
                }
            }
        }
        self.shipment = None;
        self.come_again = self.come_again.saturating_sub(1);
        Ok(lock(&self.hold).shipped())
    }

    /// Works on what is held where it keeps nobody waiting. Work that was begun comes to its end, also when nobody
    /// waits for it any more, so nothing of a batch is taken twice.
    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Hold) -> T + Send + 'static,
    ) -> Result<T, SendError> {
        let hold = Arc::clone(&self.hold);
        let done = tokio::task::spawn_blocking(move || work(&mut lock(&hold))).await;
        done.map_err(super::cut_off)
    }
}

impl Sink for S3 {
    fn attach(&mut self, attachment: Attachment) {
        self.attachment = Some(attachment);
    }

    fn hold(&mut self, bytes: u64) {
        lock(&self.hold).set_bytes_max(bytes);
    }

    fn send<'s>(&'s mut self, batch: &'s Arc<Encoded>) -> Sending<'s> {
        Box::pin(self.take(batch))
    }

    fn release(&mut self) -> Sending<'_> {
        Box::pin(self.bring())
    }

    fn tick_every(&self) -> Duration {
        self.tick_every
    }

    fn tick(&mut self) -> Sending<'_> {
        Box::pin(async move {
            self.bucket.client.look(&*self.report());
            let (is_any, is_due) = {
                let hold = lock(&self.hold);
                (hold.is_any(), hold.is_due(Instant::now()))
            };
            if is_any && !is_due { Ok(Sent::Held) } else { self.bring().await }
        })
    }

    fn resume(&mut self, note: &[u8]) -> Result<Vec<Finding>, SendError> {
        // One that is not ours is of another kind of sink that this output had before.
        let plan = Plan::read(note).unwrap_or_default();
        self.come_again = plan.ends();
        lock(&self.hold).plan = plan;
        Ok(Vec::new())
    }

    fn note(&self) -> Bytes {
        lock(&self.hold).plan.note()
    }

    fn router(&self) -> Option<Router> {
        self.router.clone()
    }

    fn sooner(&mut self) -> Waiting<'_> {
        Box::pin(async move {
            let Some(locked) = &self.locked else { return std::future::pending().await };
            while self.bucket.credentials.stamp() == *locked {
                tokio::time::sleep(LOOK_PAUSE).await;
            }
            self.locked = None;
        })
    }
}

fn lock(hold: &Mutex<Hold>) -> MutexGuard<'_, Hold> {
    // A panic there ends the lane, and what is held comes again.
    hold.lock().unwrap_or_else(PoisonError::into_inner)
}
