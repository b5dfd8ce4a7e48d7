//! What became of the messages of one batch.
//!
//! ```text
//! Waiting ─► UnderWay ─┬─► Taken
//!    ▲                 ├─► Refused
//!    └── failed, or under suspicion ◄─┘
//! ```
//!
//! What a broker says of a message may be said of all that came with it. Such a message is under suspicion: it
//! goes once more, alone, and is refused when the same is said again. One whose time is not taken goes with the
//! time of sending then, also where that is said only of the message alone: of several in one set librdkafka
//! says `InvalidRecord`, whatever it was.
//!
//! Shared by the sink, which enqueues and waits, and by the thread that hears of answers, which counts them. A
//! producer that is given up keeps an empty one, so its late answers fall on nothing.
//! Must not know: what is in the messages.

use crate::sink::Refusal;
use rdkafka::types::RDKafkaErrorCode as Code;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Waiting,
    UnderWay,
    Taken,
    Refused,
}

/// The messages of a batch.
#[derive(Debug, Default)]
pub(super) struct Window {
    pub(super) marks: Vec<Mark>,
    pub(super) under_way: usize,
    /// Answers since it began, to see whether something moves.
    pub(super) answers: u64,
    pub(super) refused: Vec<Refusal>,
    /// Too large for a broker, alone or with others.
    pub(super) too_large: Vec<(usize, Code)>,
    /// To be sent alone.
    pub(super) suspects: BTreeSet<usize>,
    /// To be sent without the event's time.
    pub(super) undated: BTreeSet<usize>,
    /// Why the last one failed that may be taken later.
    pub(super) failed: Option<Code>,
    /// Somebody waits for room in the queue.
    pub(super) wants_room: bool,
}

impl Window {
    pub(super) fn of(messages: usize) -> Self {
        Self { marks: vec![Mark::Waiting; messages], ..Self::default() }
    }

    /// Those without an answer are to be sent again.
    pub(super) fn give_up(&mut self) {
        self.marks.iter_mut().filter(|mark| **mark == Mark::UnderWay).for_each(|mark| *mark = Mark::Waiting);
        self.under_way = 0;
    }

    pub(super) fn set_out(&mut self, message: usize) {
        self.marks[message] = Mark::UnderWay;
        self.under_way += 1;
    }

    /// It was not enqueued after all.
    pub(super) fn hold(&mut self, message: usize) {
        self.marks[message] = Mark::Waiting;
        self.under_way -= 1;
    }

    /// Grows with what is known of messages.
    pub(super) fn moved(&self) -> usize {
        let ended = |mark: &&Mark| matches!(mark, Mark::Taken | Mark::Refused);
        self.marks.iter().filter(ended).count() + self.suspects.len() + self.undated.len()
    }

    /// It will never be taken.
    pub(super) fn refuse(&mut self, message: usize, reason: String) {
        self.marks[message] = Mark::Refused;
        self.refused.push(Refusal { item: message as u32, reason });
    }

    fn answer(&mut self, message: usize, failed: Option<Code>) {
        if self.marks.get(message) != Some(&Mark::UnderWay) {
            return;
        }
        self.under_way -= 1;
        self.answers += 1;
        self.marks[message] = match failed {
            None => Mark::Taken,
            Some(code) if is_too_large(code) => {
                self.too_large.push((message, code));
                Mark::Waiting
            }
            Some(Code::InvalidTimestamp) if self.undated.insert(message) => {
                // What was accused with it goes without its time too: each that is refused alone costs a producer.
                if !self.suspects.insert(message) {
                    self.undated.extend(&self.suspects);
                }
                Mark::Waiting
            }
            Some(code) if is_refusal(code) => {
                if self.suspects.insert(message) {
                    Mark::Waiting
                } else {
                    self.refused.push(Refusal { item: message as u32, reason: code.to_string() });
                    Mark::Refused
                }
            }
            // Another one was meant, of those that came with it or before it.
            Some(
                Code::InvalidDifferentRecord
                | Code::PurgeQueue
                | Code::PurgeInflight
                | Code::GaplessGuarantee,
            ) => Mark::Waiting,
            Some(code) => {
                self.failed = Some(code);
                Mark::Waiting
            }
        };
    }
}

/// May be said of all messages that came together.
fn is_too_large(code: Code) -> bool {
    matches!(code, Code::MessageSizeTooLarge | Code::MessageBatchTooLarge)
}

/// Said of a message, for what it is.
fn is_refusal(code: Code) -> bool {
    matches!(code, Code::InvalidRecord | Code::InvalidTimestamp | Code::InvalidMessageSize)
}

/// A window, between the sink and the thread of its producer.
#[derive(Default)]
pub(super) struct Answers {
    window: Mutex<Window>,
    /// All are in, there is room, or something went wrong.
    pub(super) wake: Notify,
}

impl Answers {
    pub(super) fn to(window: Window) -> Self {
        Self { window: Mutex::new(window), wake: Notify::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The window; answers that still come fall on nothing.
    pub(super) fn take(&self) -> Window {
        std::mem::take(&mut *self.lock())
    }

    pub(super) fn answer(&self, message: usize, failed: Option<Code>) {
        let mut window = self.lock();
        window.answer(message, failed);
        let wakes = window.under_way == 0 || std::mem::take(&mut window.wants_room);
        drop(window);
        if wakes {
            self.wake.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_counts_once_and_those_of_a_lost_producer_not_at_all() {
        let answers = Answers::to(Window::of(4));
        (0..4).for_each(|message| answers.lock().set_out(message));
        answers.answer(0, None);
        answers.answer(0, None);
        answers.answer(1, Some(Code::InvalidRecord));
        assert_eq!(answers.lock().marks[1], Mark::Waiting, "it goes once more, alone");
        answers.lock().set_out(1);
        answers.answer(1, Some(Code::InvalidRecord));
        answers.answer(2, Some(Code::NotEnoughReplicas));
        let mut window = answers.take();
        assert_eq!((window.under_way, window.answers, window.failed), (1, 4, Some(Code::NotEnoughReplicas)));
        window.give_up();
        answers.answer(3, None);
        assert_eq!(window.marks, [Mark::Taken, Mark::Refused, Mark::Waiting, Mark::Waiting]);
        assert_eq!(window.refused[0].item, 1);
        assert!(window.refused[0].reason.contains("InvalidRecord"), "{:?}", window.refused);
    }

    #[test]
    fn a_time_that_is_refused_only_of_the_message_alone_is_replaced_and_those_of_others_accused_with_it() {
        let answers = Answers::to(Window::of(4));
        let alone = |message, failed| {
            answers.lock().set_out(message);
            answers.answer(message, failed);
            answers.lock().marks[message]
        };
        // Of one set: two whose time is not taken, one that is no record, one that came with them.
        (0..4).for_each(|message| answers.lock().set_out(message));
        (0..3).for_each(|message| answers.answer(message, Some(Code::InvalidRecord)));
        answers.answer(3, Some(Code::InvalidDifferentRecord));
        assert_eq!(answers.lock().marks, [Mark::Waiting; 4]);
        let before = answers.lock().moved();
        assert_eq!(alone(0, Some(Code::InvalidTimestamp)), Mark::Waiting, "it goes with the time of sending");
        assert!(answers.lock().moved() > before);
        assert_eq!(answers.lock().undated.iter().copied().collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(alone(0, None), Mark::Taken);
        assert_eq!(alone(1, Some(Code::InvalidTimestamp)), Mark::Refused, "without its time too");
        assert_eq!(alone(2, Some(Code::InvalidRecord)), Mark::Refused);
        assert_eq!(alone(3, None), Mark::Taken);
        assert_eq!(answers.lock().refused.len(), 2);
    }
}
