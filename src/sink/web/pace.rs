//! How many requests are under way at a time: one more when all is well, fewer when the receiver is slow, busy or
//! away.
//!
//! Additive increase, multiplicative decrease, as TCP shares a line that it cannot see. Slow means slower than the
//! answers before it (a moving average, and how much they differ). Pure but for the durations that it is told.
//! Must not know: what is asked.

use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Pace {
    limit: f64,
    max: f64,
    /// Mean time of an answer and its variance, in seconds.
    usual: Option<(f64, f64)>,
    /// Answers since the last decrease: those that were under way then tell nothing new.
    answers: usize,
}

/// Weight of the newest answer.
const WEIGHT: f64 = 0.4;
/// How much slower is slow: in deviations, and in seconds, for a deviation may be next to nothing.
const SLOW_DEVIATIONS: f64 = 2.5;
const SLOW_SECONDS_MIN: f64 = 0.05;

impl Pace {
    pub(crate) fn new(max: u16) -> Self {
        let max = f64::from(max.max(1));
        Self { limit: max.min(2.0), max, usual: None, answers: usize::MAX }
    }

    /// Requests that may be under way.
    pub(crate) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// An answer that was no complaint, after this time; `is_full` when as many as may be were under way.
    pub(crate) fn answered(&mut self, after: Duration, is_full: bool) {
        self.answers = self.answers.saturating_add(1);
        let seconds = after.as_secs_f64();
        let is_slow = self.usual.is_some_and(|(mean, variance)| {
            seconds > mean + (SLOW_DEVIATIONS * variance.sqrt()).max(SLOW_SECONDS_MIN)
        });
        self.usual = Some(match self.usual {
            None => (seconds, 0.0),
            Some((mean, variance)) => {
                let off = seconds - mean;
                (mean + WEIGHT * off, (1.0 - WEIGHT) * (variance + WEIGHT * off * off))
            }
        });
        if is_slow {
            self.shrink(0.9);
        } else if is_full {
            self.limit = (self.limit + 1.0 / self.limit).min(self.max);
        }
    }

    /// The receiver is busy, or did not answer at all.
    pub(crate) fn overloaded(&mut self) {
        self.answers = self.answers.saturating_add(1);
        self.shrink(0.5);
    }

    fn shrink(&mut self, by: f64) {
        if self.answers >= self.limit() {
            self.limit = (self.limit * by).max(1.0);
            self.answers = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_to_the_most_while_all_is_well_and_only_when_it_is_used() {
        let mut pace = Pace::new(8);
        for _ in 0..1000 {
            pace.answered(Duration::from_millis(20), false);
        }
        assert_eq!(pace.limit(), 2);
        for _ in 0..100 {
            pace.answered(Duration::from_millis(20), true);
        }
        assert_eq!(pace.limit(), 8);
    }

    #[test]
    fn complaints_halve_it_once_for_all_that_were_under_way() {
        let mut pace = Pace::new(64);
        for _ in 0..4000 {
            pace.answered(Duration::from_millis(20), true);
        }
        assert_eq!(pace.limit(), 64);
        for _ in 0..32 {
            pace.overloaded();
        }
        assert_eq!(pace.limit(), 32, "the first one, and those that were under way with it");
        for _ in 0..1000 {
            pace.overloaded();
        }
        assert_eq!(pace.limit(), 1);
    }

    #[test]
    fn answers_that_come_later_than_usual_make_it_smaller() {
        let mut pace = Pace::new(16);
        for _ in 0..500 {
            pace.answered(Duration::from_millis(20), true);
        }
        pace.answered(Duration::from_secs(2), true);
        assert!(pace.limit() < 16);
        // What is always slow is usual.
        for _ in 0..2000 {
            pace.answered(Duration::from_secs(2), true);
        }
        assert_eq!(pace.limit(), 16);
    }
}
