//! What the answers to a batch mean: what is told, and what is done differently from then on.
//!
//! Must not know: how messages come to a producer.

use super::{Kafka, STALL, TIMES_TOLD};
use crate::sink::kafka::producer::Fatal;
use crate::sink::kafka::trouble::{Kind, Trouble};
use crate::sink::kafka::window::{Mark, Window};
use crate::sink::{Encoded, SendError};
use rdkafka::error::RDKafkaErrorCode as Code;
use tokio::time::Instant;

impl Kafka {
    /// Nothing was answered.
    pub(super) fn stalled(&self, trouble: Option<Trouble>) -> SendError {
        let not_made = self.not_made();
        // One of several brokers may be away at the same time.
        let trouble = trouble.filter(|trouble| trouble.kind != Kind::Unreachable || not_made.is_none());
        self.held(trouble.or(not_made).unwrap_or_else(|| Trouble {
            kind: Kind::Unreachable,
            words: format!("no answer for {} s", STALL.as_secs()),
        }))
    }

    /// A message was not taken, and may be later.
    pub(super) fn failed(&mut self, code: Code) -> SendError {
        let kind = Kind::of(code);
        if kind == Kind::NoTopic
            && let Some(batch) = &self.batch
        {
            self.topics.may_be_gone(batch);
        }
        let last = self.teller.last().filter(|last| last.kind == kind);
        // That it is not there follows from why it could not be made.
        let before = if kind == Kind::NoTopic { self.not_made() } else { None };
        self.held(before.or(last).unwrap_or_else(|| Trouble { kind, words: code.to_string() }))
    }

    /// The batch waits, and it is told why.
    pub(super) fn held(&self, trouble: Trouble) -> SendError {
        self.teller.tell(&trouble);
        self.retry(trouble.words)
    }

    /// Why a topic of the batch is not there.
    fn not_made(&self) -> Option<Trouble> {
        self.batch.as_ref().and_then(|batch| self.topics.missed(batch))
    }

    /// The producer cannot go on: another one is made with the next attempt.
    pub(super) async fn lost(&mut self, (code, words): Fatal) -> SendError {
        let words = format!("{code}: {words}");
        self.teller.tell(&Trouble { kind: Kind::Producer, words: words.clone() });
        self.give_up().await;
        self.answers.lock().failed = None;
        self.retry(words)
    }

    /// Tells of times that were replaced, with one of them; the same machine goes on with the same clock.
    pub(super) fn tell_times(&mut self, batch: &Encoded, ended: &Window) {
        let mut replaced = ended.undated.iter().filter(|message| ended.marks[**message] == Mark::Taken);
        let Some(first) = replaced.next() else { return };
        if self.times_told_at.is_some_and(|at| at.elapsed() < TIMES_TOLD) {
            return;
        }
        self.times_told_at = Some(Instant::now());
        let (many, (key, _)) = (1 + replaced.count(), batch.parts(*first));
        let (key, time) = (String::from_utf8_lossy(key), batch.items[*first].time);
        let words = format!(
            "{many} in one batch, the first with the key `{}` and the time {time}: {}",
            key.escape_debug(),
            Code::InvalidTimestamp
        );
        self.teller.report(&Trouble { kind: Kind::Time, words });
    }

    /// Whether something was too large for a broker. Alone it is refused; what came with others comes again in
    /// message sets of half the size, with a new producer.
    pub(super) fn is_smaller(&mut self, batch: &Encoded) -> bool {
        let mut window = self.answers.lock();
        let too_large = std::mem::take(&mut window.too_large);
        let before = self.set_bytes;
        for (message, code) in too_large {
            if batch.items[message].range.len() as u64 >= before {
                window.refuse(message, code.to_string());
            } else {
                self.set_bytes = before / 2;
            }
        }
        drop(window);
        if self.set_bytes < before {
            let words = format!("a set of up to {before} bytes was refused as too large");
            self.teller.tell(&Trouble { kind: Kind::TooLarge, words });
        }
        self.set_bytes < before
    }

    pub(super) fn retry(&self, why: impl ToString) -> SendError {
        SendError::retry(self.teller.peer(), why)
    }
}
