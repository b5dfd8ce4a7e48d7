//! How long to pause before trying again: doubling, with jitter, without end.
//!
//! Jitter: half of the pause is random, so that outputs which failed together do not return
//! together. Must not know: what is tried.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Backoff {
    pause_min: Duration,
    pause_max: Duration,
    next: Duration,
    /// Any number; the jitter needs no better randomness than hash seeds.
    seed: RandomState,
    count: u64,
}

impl Backoff {
    pub(super) fn new(pause_min: Duration, pause_max: Duration) -> Self {
        // Zero would never double.
        let pause_min = pause_min.max(Duration::from_millis(1));
        let pause_max = pause_max.max(pause_min);
        Self { pause_min, pause_max, next: pause_min, seed: RandomState::new(), count: 0 }
    }

    /// The pause after one more failure.
    pub(super) fn pause(&mut self) -> Duration {
        let whole = self.next;
        self.next = whole.saturating_mul(2).min(self.pause_max);
        self.count += 1;
        let share = (self.seed.hash_one(self.count) >> 11) as f64 / (1_u64 << 53) as f64;
        whole.mul_f64(0.5 + share / 2.0)
    }

    /// Failures since the last success.
    pub(super) fn failures(&self) -> u64 {
        self.count
    }

    /// It worked.
    pub(super) fn reset(&mut self) {
        (self.next, self.count) = (self.pause_min, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew_after_success() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        for whole in [1, 2, 4, 5, 5] {
            let pause = backoff.pause();
            assert!(
                pause <= Duration::from_secs(whole) && pause * 2 >= Duration::from_secs(whole),
                "{pause:?}"
            );
        }
        assert_eq!(backoff.failures(), 5);
        backoff.reset();
        assert!(backoff.pause() <= Duration::from_secs(1));
    }
}
