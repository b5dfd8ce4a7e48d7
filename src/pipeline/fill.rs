//! What a lane sends next: a batch filled from the basin while the one before is being sent, or
//! dead letters of another output.
//!
//! A batch is closed when it is full, or when nothing is left to add and the sink is idle: what
//! arrives while the sink is busy becomes one batch, not many.
//! Promises: the order of the basin; at most one batch beside the one that is being sent; text and
//! encoding together stay within the output's share of memory, which intake cannot take.
//! Must not know: sinks, cursors.

use super::batch::{Batch, Encoder};
use super::letter::{Dead, Letter, Taken};
use crate::basin::{Budget, Delivery, Permit, Reader};
use crate::config::BatchConfig;
use crate::event::Timestamp;
use std::pin::pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio::time::Instant;

pub(super) struct Filler {
    reader: Reader,
    /// Dead letters of other outputs.
    inbox: mpsc::Receiver<Letter>,
    /// None while it is at work on another thread.
    encoder: Option<Encoder>,
    limits: BatchConfig,
    share: Budget,
    /// Taken from the basin, for the next batch.
    held: Option<Delivery>,
    /// Buffers of a batch that was sent.
    spare: Option<Batch>,
    last_tick: Instant,
    /// How often a sink may do what time alone brings about.
    tick_every: Duration,
    /// Text that was encoded since others had their turn.
    at_a_stretch: usize,
}

pub(super) enum Filled {
    Batch(Batch),
    /// With whom to tell when it is durable.
    Letter(Batch, Taken),
    /// It is time for the sink's `tick`.
    Tick,
    /// The basin is closed, or finished and read to its end.
    End,
}

/// A bug that ended the encoding.
pub(super) struct Panicked(pub(super) String);

/// Deliveries below this size are encoded where they are, which takes a millisecond at most: the way to
/// another thread and back costs more when all processors are busy.
const INLINE_BYTES_MAX: usize = 256 * 1024;
/// After so much of that, others have their turn: deliveries one after the other are tens of milliseconds, in
/// which nobody else has the worker.
const STRETCH_BYTES: usize = 64 * 1024;
/// What an encoding takes beside its text, reserved before it is known: JSON is rarely longer.
const GROWTH: usize = 2;

impl Filler {
    pub(super) fn new(
        reader: Reader,
        inbox: mpsc::Receiver<Letter>,
        encoder: Encoder,
        (limits, tick_every): (BatchConfig, Duration),
        share: Budget,
    ) -> Self {
        Self {
            reader,
            inbox,
            encoder: Some(encoder),
            limits,
            share,
            held: None,
            spare: None,
            last_tick: Instant::now(),
            tick_every,
            at_a_stretch: 0,
        }
    }

    /// The next to be sent. `idle` says that the sink has nothing to do.
    ///
    /// # Errors
    /// A bug.
    pub(super) async fn next(&mut self, idle: impl Future<Output = ()>) -> Result<Filled, Panicked> {
        // Also of a lane that never rests.
        if self.last_tick.elapsed() >= self.tick_every {
            self.last_tick = Instant::now();
            return Ok(Filled::Tick);
        }
        let first = match self.held.take() {
            Some(held) => held,
            None => match self.first().await {
                First::Delivery(delivery) => delivery,
                First::Letter(letter) => return self.letter(letter).await,
                First::Tick => return Ok(Filled::Tick),
                First::End => return Ok(Filled::End),
            },
        };
        self.fill(first, idle).await.map(Filled::Batch)
    }

    /// Dead letters that come after the end, until nobody is left who could send one.
    pub(super) async fn last_letter(&mut self) -> Result<Option<Filled>, Panicked> {
        match self.inbox.recv().await {
            Some(letter) => self.letter(letter).await.map(Some),
            None => Ok(None),
        }
    }

    /// Takes the buffers of a batch that was sent.
    pub(super) fn recycle(&mut self, batch: Batch) {
        self.spare = Some(batch);
    }

    async fn first(&mut self) -> First {
        let mut open = !self.inbox.is_closed() || !self.inbox.is_empty();
        loop {
            tokio::select! {
                biased;
                letter = self.inbox.recv(), if open => match letter {
                    Some(letter) => return First::Letter(letter),
                    None => open = false,
                },
                delivery = self.reader.next() => {
                    return delivery.map_or(First::End, First::Delivery);
                }
                () = tokio::time::sleep_until(self.last_tick + self.tick_every) => {
                    self.last_tick = Instant::now();
                    return First::Tick;
                }
            }
        }
    }

    async fn fill(&mut self, first: Delivery, idle: impl Future<Output = ()>) -> Result<Batch, Panicked> {
        let wait = self.limits.wait.map_or(Duration::ZERO, |wait| wait.0);
        let deadline = Instant::now() + wait;
        let mut closes = pin!(async {
            idle.await;
            if !wait.is_zero() {
                tokio::time::sleep_until(deadline).await;
            }
        });
        let mut batch = self.spare.take().unwrap_or_default();
        let room = self.share.reserve(needed(&first)).await;
        batch = self.add(batch, first, room).await?;
        loop {
            if self.encoder.as_ref().is_some_and(|encoder| encoder.is_full(&batch, &self.limits)) {
                return Ok(batch);
            }
            let delivery = tokio::select! {
                biased;
                delivery = self.reader.next() => delivery,
                () = &mut closes => None,
            };
            // At its end the reader says so again.
            let Some(delivery) = delivery else { return Ok(batch) };
            match self.share.try_reserve(needed(&delivery)) {
                Some(room) => batch = self.add(batch, delivery, room).await?,
                None => {
                    self.held = Some(delivery);
                    return Ok(batch);
                }
            }
        }
    }

    async fn add(&mut self, batch: Batch, delivery: Delivery, mut room: Permit) -> Result<Batch, Panicked> {
        let (before, weight) = (batch.bytes(), delivery.batch.weight());
        let text_bytes = delivery.batch.text.len();
        let small = text_bytes <= INLINE_BYTES_MAX;
        let work = move |encoder: &mut Encoder, batch: &mut Batch| {
            encoder.add(batch, &delivery.batch, delivery.position, now());
        };
        let mut batch = self.encode(batch, small, work).await?;
        self.at_a_stretch += text_bytes;
        if self.at_a_stretch >= STRETCH_BYTES {
            self.at_a_stretch = 0;
            tokio::task::yield_now().await;
        }
        room.shrink_to(weight + batch.bytes() - before);
        batch.room.push(room);
        Ok(batch)
    }

    async fn letter(&mut self, letter: Letter) -> Result<Filled, Panicked> {
        let Letter { events, taken } = letter;
        let text = |dead: &Dead| dead.delivery.event(dead.event).len();
        let bytes: usize = events.iter().map(text).sum();
        let room = self.share.reserve(bytes * GROWTH).await;
        let batch = self.spare.take().unwrap_or_default();
        let work = move |encoder: &mut Encoder, batch: &mut Batch| {
            for dead in &events {
                encoder.add_letter(batch, &dead.delivery, dead.event, &dead.error);
            }
        };
        let mut batch = self.encode(batch, bytes <= INLINE_BYTES_MAX, work).await?;
        batch.room.push(room);
        Ok(Filled::Letter(batch, taken))
    }

    async fn encode(
        &mut self,
        mut batch: Batch,
        small: bool,
        work: impl FnOnce(&mut Encoder, &mut Batch) + Send + 'static,
    ) -> Result<Batch, Panicked> {
        let Some(mut encoder) = self.encoder.take() else {
            return Err(Panicked("an encoder that panicked was asked again".into()));
        };
        if small {
            work(&mut encoder, &mut batch);
            self.encoder = Some(encoder);
            return Ok(batch);
        }
        let encoded = tokio::task::spawn_blocking(move || {
            work(&mut encoder, &mut batch);
            (encoder, batch)
        });
        let (encoder, batch) = encoded.await.map_err(|panic| Panicked(panic.to_string()))?;
        self.encoder = Some(encoder);
        Ok(batch)
    }
}

enum First {
    Delivery(Delivery),
    Letter(Letter),
    Tick,
    End,
}

/// What a delivery needs until it is sent: itself, and its encoding.
fn needed(delivery: &Delivery) -> usize {
    delivery.batch.weight() * (1 + GROWTH)
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
