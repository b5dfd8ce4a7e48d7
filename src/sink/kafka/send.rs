//! A batch against the brokers: enqueue all of it, wait for all answers, again what was not taken.
//!
//! Everything that must outlive a dropped future is in the sink: the batch, its window and the producer.
//! Must not know: what librdkafka's errors mean to an operator.

mod verdict;

use super::key::Keys;
use super::message;
use super::producer::{self, Context, Producer};
use super::topics::Topics;
use super::trouble::{Kind, Teller, Trouble};
use super::window::{Answers, Mark, Window};
use super::{Checked, Config, Time};
use crate::auth::files::Stamp;
use crate::format::Framing;
use crate::sink::path::Router;
use crate::sink::{Attachment, Closing, Encoded, Head, SendError, Sending, Sent, Sink};
use rdkafka::error::RDKafkaErrorCode as Code;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// Bytes that are enqueued before others have their turn: about a tenth of a millisecond.
const STRETCH_BYTES: usize = 64 * 1024;
/// Without any answer for so long, the lane is told why; what is under way stays so.
const STALL: Duration = Duration::from_secs(15);
/// The same where it is known that nobody will answer.
const STALL_KNOWN: Duration = Duration::from_secs(2);
/// What a producer with a fatal error has for its last answers.
const LAST_ANSWERS: Duration = Duration::from_secs(5);
/// How often is told that times were replaced.
const TIMES_TOLD: Duration = Duration::from_secs(3600);
/// How often is looked whether secrets have changed.
const SECRETS_AGE: Duration = Duration::from_secs(5);
/// What the end of a producer may take.
const END: Duration = Duration::from_secs(5);

pub(super) struct Kafka {
    config: Config,
    checked: Checked,
    teller: Arc<Teller>,
    /// The batch under way, and what became of its messages.
    batch: Option<Arc<Encoded>>,
    answers: Arc<Answers>,
    producer: Option<Producer>,
    /// Largest message set.
    set_bytes: u64,
    topics: Topics,
    secrets: Vec<PathBuf>,
    stamp: Stamp,
    looked_at: Option<Instant>,
    /// When it was told that times were replaced.
    times_told_at: Option<Instant>,
}

/// How far a stretch came.
enum Stretch {
    End,
    More,
    /// The queue is full.
    Full,
    /// What is under way must be answered first.
    Alone,
    Failed(Code),
}

impl Kafka {
    pub(super) fn new(config: Config, checked: Checked) -> Self {
        Self {
            teller: Arc::new(Teller::alone("", config.brokers.join(", "))),
            batch: None,
            answers: Arc::default(),
            producer: None,
            // librdkafka takes no other than a number.
            set_bytes: checked.properties.get("batch.size").and_then(|size| size.parse().ok()).unwrap_or(1),
            topics: Topics::new(config.create),
            secrets: producer::secret_files(&config),
            stamp: Stamp::default(),
            looked_at: None,
            times_told_at: None,
            config,
            checked,
        }
    }

    async fn drive(&mut self, batch: &Arc<Encoded>) -> Result<Sent, SendError> {
        self.begin(batch).await;
        let mut moved = None;
        loop {
            self.is_ready().await?;
            let made =
                self.topics.make(batch, &self.config, &self.checked, &self.teller, Instant::now()).await;
            made.map_err(|trouble| self.held(trouble))?;
            self.put(batch).await?;
            match self.producer.as_ref().and_then(Producer::fatal) {
                // A message was not taken, and those behind it did not pass it.
                Some((Code::GaplessGuarantee, _)) => self.give_up().await,
                Some(fatal) => return Err(self.lost(fatal).await),
                None => {}
            }
            if self.is_smaller(batch) {
                self.give_up().await;
                continue;
            }
            let mut window = self.answers.lock();
            if let Some(code) = window.failed.take() {
                drop(window);
                return Err(self.failed(code));
            }
            if window.marks.contains(&Mark::Waiting) {
                let now = window.moved();
                drop(window);
                // One pass may do no more than to give up a producer.
                if moved.replace(now) == Some(now) {
                    return Err(self.retry("some of it was not taken, and it was not said why"));
                }
                continue;
            }
            let ended = std::mem::take(&mut *window);
            drop(window);
            self.batch = None;
            self.topics.are_there(batch, |message| ended.marks[message] == Mark::Taken);
            self.tell_times(batch, &ended);
            let mut refused = ended.refused;
            refused.sort_unstable_by_key(|refusal| refusal.item);
            self.teller.is_well();
            return Ok(if refused.is_empty() { Sent::Confirmed } else { Sent::Partly(refused) });
        }
    }

    /// Goes on with the batch that is known, or begins with another one.
    async fn begin(&mut self, batch: &Arc<Encoded>) {
        if self.batch.as_ref().is_some_and(|known| Arc::ptr_eq(known, batch)) {
            return;
        }
        // Of a batch that nobody asks for any more some may still be on their way.
        if self.answers.lock().under_way > 0 {
            self.give_up().await;
        }
        self.teller.begin();
        self.batch = Some(Arc::clone(batch));
        *self.answers.lock() = Window::of(batch.items.len());
    }

    /// There is a producer, made with the secrets as they are.
    async fn is_ready(&mut self) -> Result<(), SendError> {
        let is_due = self.looked_at.is_none_or(|at| at.elapsed() >= SECRETS_AGE);
        if is_due && !self.secrets.is_empty() {
            self.looked_at = Some(Instant::now());
            let stamp = Stamp::of(&self.secrets);
            if stamp != self.stamp {
                self.give_up().await;
                self.stamp = stamp;
            }
        }
        if self.producer.is_some() {
            return Ok(());
        }
        // Late answers of the one before fall on nothing.
        let mut window = self.answers.take();
        window.give_up();
        self.answers = Arc::new(Answers::to(window));
        let mut properties = self.checked.properties.clone();
        properties.insert("batch.size".into(), self.set_bytes.to_string());
        let context = Context::new(&self.config, &self.teller, &self.answers);
        let config = self.config.clone();
        let made = tokio::task::spawn_blocking(move || {
            let client = producer::with_secrets(&config, &properties)?;
            Producer::new(&client, context)
        });
        match made.await.map_err(crate::sink::cut_off)? {
            Ok(producer) => {
                self.producer = Some(producer);
                Ok(())
            }
            Err(words) => {
                self.teller.tell(&Trouble { kind: Kind::Producer, words: words.clone() });
                Err(self.retry(words))
            }
        }
    }

    /// Enqueues all that waits, in order, and waits for the answers.
    async fn put(&mut self, batch: &Arc<Encoded>) -> Result<(), SendError> {
        let mut at = 0;
        loop {
            match self.stretch(batch, &mut at) {
                Stretch::End => return self.settle().await,
                Stretch::More => tokio::task::yield_now().await,
                Stretch::Full => self.room().await?,
                Stretch::Alone => {
                    self.settle().await?;
                    if self.producer.as_ref().is_some_and(|producer| producer.fatal().is_some()) {
                        return Ok(());
                    }
                }
                Stretch::Failed(code) => {
                    self.settle().await?;
                    // Why it is fatal is known to the producer.
                    if code != Code::Fatal {
                        self.answers.lock().failed = Some(code);
                    }
                    return Ok(());
                }
            }
        }
    }

    fn stretch(&self, batch: &Encoded, at: &mut usize) -> Stretch {
        let Some(producer) = &self.producer else { return Stretch::End };
        let mut bytes = 0;
        while *at < batch.items.len() {
            let number = *at;
            let mut window = self.answers.lock();
            if window.marks[number] != Mark::Waiting {
                *at += 1;
                continue;
            }
            let is_suspect = window.suspects.contains(&number);
            let is_dated = self.config.timestamp == Time::Event && !window.undated.contains(&number);
            if is_suspect && window.under_way > 0 {
                return Stretch::Alone;
            }
            window.set_out(number);
            drop(window);
            if let Err(code) = message::enqueue(producer, batch, number, is_dated) {
                let mut window = self.answers.lock();
                window.hold(number);
                match code {
                    Code::QueueFull => {
                        window.wants_room = true;
                        return Stretch::Full;
                    }
                    // Larger than `message_max`, whatever comes with it.
                    Code::MessageSizeTooLarge => {
                        let (length, most) = (batch.items[number].range.len(), self.config.message_max);
                        window.refuse(number, format!("{code}: {length} bytes, and `message_max` is {most}"));
                    }
                    code => return Stretch::Failed(code),
                }
            }
            *at += 1;
            if is_suspect {
                return Stretch::Alone;
            }
            bytes += batch.items[number].range.len();
            if bytes >= STRETCH_BYTES {
                return Stretch::More;
            }
        }
        Stretch::End
    }

    /// Until the queue has room.
    async fn room(&self) -> Result<(), SendError> {
        let before = self.answers.lock().answers;
        self.wait(|window| window.answers > before || window.under_way == 0).await
    }

    /// Until all that is under way is answered.
    async fn settle(&self) -> Result<(), SendError> {
        self.wait(|window| window.under_way == 0).await
    }

    /// # Errors
    /// When nothing was answered for so long that the lane should know.
    async fn wait(&self, is_there: impl Fn(&Window) -> bool) -> Result<(), SendError> {
        let mut seen = 0;
        let mut moved = Instant::now();
        loop {
            let answers = {
                let window = self.answers.lock();
                if is_there(&window) {
                    return Ok(());
                }
                window.answers
            };
            if answers != seen {
                (seen, moved) = (answers, Instant::now());
            }
            let trouble = self.teller.last();
            let is_known = trouble.as_ref().is_some_and(|trouble| trouble.kind.is_lasting());
            let is_fatal = self.producer.as_ref().is_none_or(|producer| producer.fatal().is_some());
            let patience = match (is_fatal, is_known) {
                (true, _) => LAST_ANSWERS,
                (false, true) => STALL_KNOWN,
                (false, false) => STALL,
            };
            if moved.elapsed() >= patience {
                return if is_fatal { Ok(()) } else { Err(self.stalled(trouble)) };
            }
            // Whether it times out or not, it looks again.
            let _ = timeout_at(moved + patience, self.answers.wake.notified()).await;
        }
    }

    /// Drops the producer aside. What it still hears in the end counts.
    async fn give_up(&mut self) {
        let Some(producer) = self.producer.take() else { return };
        let end = tokio::task::spawn_blocking(move || drop(producer));
        // One that takes longer ends by itself, and what it has not answered by then is sent again.
        let _ = timeout(END, end).await;
        self.answers.lock().give_up();
    }
}

impl Sink for Kafka {
    fn attach(&mut self, attachment: Attachment) {
        self.teller = Arc::new(Teller::new(attachment, self.config.brokers.join(", ")));
    }

    fn send<'s>(&'s mut self, batch: &'s Arc<Encoded>) -> Sending<'s> {
        Box::pin(self.drive(batch))
    }

    fn router(&self) -> Option<Router> {
        Some(Router::of_names(self.checked.topic.clone()))
    }

    fn wants_ids(&self) -> bool {
        true
    }

    /// Each payload is a message of its own.
    fn framing(&self, _: Framing) -> Framing {
        Framing::None
    }

    fn head(&self) -> Option<Box<dyn Head>> {
        Some(Box::new(Keys::new(self.checked.key.clone())))
    }

    fn close(&mut self) -> Closing<'_> {
        Box::pin(async move {
            self.give_up().await;
            Ok(())
        })
    }
}
