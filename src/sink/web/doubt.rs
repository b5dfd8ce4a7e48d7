//! Whether a receiver that refuses events is believed.
//!
//! ```text
//! refused ─► row of 16 ─► one more: doubted ─► tried again, 20 times ─► believed: the dead letter
//!               ▲                                     │                       │
//!               └───────── anything is taken ◄────────┴───────────────────────┘ the next batch is doubted
//! ```
//!
//! As long as it takes others, a refusal is about the event. One that takes nothing at all is more likely asked in a
//! wrong way, and to believe it would send the whole basin to the dead letter. A receiver that fails over a request
//! and does not expect it again is doubted from the first time on.
//! Pure. Must not know: which events, and how requests are made.

use super::reading::Setback;
use crate::finding::Finding;

/// So many refusals in a row are believed though nothing was taken in between.
pub(super) const ROW_MAX: usize = 16;
/// So many attempts at a batch are doubted.
pub(super) const FAILURES_MAX: u32 = 20;

#[derive(Debug, Default)]
pub(super) struct Doubt {
    /// Events that were refused, over batches, since anything was taken.
    row: usize,
    /// The last one of them: by whom, and in what words.
    last: (String, String),
    /// Attempts at this batch that were doubted.
    failures: u32,
    has_failed: bool,
    /// Something was taken in this attempt.
    has_taken: bool,
    /// What is sent is of other outputs: what is refused of it has a place to go to, and ours wait behind it.
    are_of_others: bool,
}

impl Doubt {
    pub(super) fn taken(&mut self) {
        (self.row, self.has_taken) = (0, true);
    }

    pub(super) fn of_others(&mut self, are: bool) {
        self.are_of_others = are;
    }

    pub(super) fn refused(&mut self, peer: &str, words: &str) {
        if self.are_of_others {
            return;
        }
        self.row = self.row.saturating_add(1);
        self.last = (peer.to_owned(), words.to_owned());
    }

    /// Whether there is an attempt left before it is believed.
    pub(super) fn is_patient(&self) -> bool {
        !self.are_of_others && self.failures < FAILURES_MAX
    }

    /// Whether what it refused last is not believed.
    pub(super) fn is_due(&self) -> bool {
        self.row > ROW_MAX && !self.has_taken && self.is_patient()
    }

    /// This attempt is doubted.
    pub(super) fn failed(&mut self) {
        self.has_failed = true;
    }

    /// What was refused last is not believed, and comes again.
    pub(super) fn setback(&mut self) -> Setback {
        self.failed();
        let (peer, words) = &self.last;
        Setback {
            reason: words.clone(),
            finding: Some(Finding {
                what: format!("{peer} takes none of the events it is sent"),
                why: words.clone(),
                fix: format!(
                    "see what it says of the set-up (index, pipeline, headers, compression, version), which is more \
                     likely at fault than all of these events; nothing is lost meanwhile, they are sent again, and go \
                     to the dead letter after {FAILURES_MAX} attempts"
                ),
            }),
            ..Setback::of(peer)
        }
    }

    /// An attempt is over.
    pub(super) fn attempted(&mut self) {
        self.has_taken = false;
        self.failures += u32::from(std::mem::take(&mut self.has_failed));
    }

    /// Each event of the batch has its answer.
    pub(super) fn ended(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(doubt: &mut Doubt, times: usize) {
        (0..times).for_each(|_| doubt.refused("siem", "400: no"));
    }

    #[test]
    fn refusals_are_believed_until_there_are_many_and_nothing_is_taken_in_between() {
        let mut doubt = Doubt::default();
        for _ in 0..3 {
            refused(&mut doubt, ROW_MAX);
            assert!(!doubt.is_due());
            doubt.ended();
            refused(&mut doubt, 1);
            assert!(doubt.is_due(), "batches count together");
            doubt.taken();
            refused(&mut doubt, 2 * ROW_MAX);
            assert!(!doubt.is_due(), "it takes others of this attempt");
            doubt.attempted();
            assert!(doubt.is_due());
            doubt.taken();
            doubt.attempted();
        }
    }

    #[test]
    fn what_is_refused_of_others_is_believed_and_says_nothing_of_ours() {
        let mut doubt = Doubt::default();
        refused(&mut doubt, ROW_MAX);
        doubt.of_others(true);
        refused(&mut doubt, 100);
        assert!(!doubt.is_due() && !doubt.is_patient());
        doubt.of_others(false);
        assert!(!doubt.is_due() && doubt.is_patient());
        refused(&mut doubt, 1);
        assert!(doubt.is_due());
    }

    #[test]
    fn a_batch_is_doubted_for_so_many_attempts_and_the_next_one_again() {
        let mut doubt = Doubt::default();
        refused(&mut doubt, ROW_MAX + 1);
        for _ in 0..2 {
            for _ in 0..FAILURES_MAX {
                assert!(doubt.is_due());
                let setback = doubt.setback();
                assert_eq!((setback.peer.as_str(), setback.reason.as_str()), ("siem", "400: no"));
                // Several answers of an attempt may be.
                doubt.failed();
                doubt.attempted();
            }
            assert!(!doubt.is_due() && !doubt.is_patient());
            doubt.attempted();
            doubt.ended();
            refused(&mut doubt, 1);
        }
    }
}
