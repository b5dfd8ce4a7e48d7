//! What a run is measured by: counts, and latencies as histograms, by second and in all.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Counts of one stretch of time.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) events: u64,
    pub(super) batches: u64,
    /// Bodies of acknowledged deliveries, as they went over the wire.
    pub(super) bytes: u64,
    pub(super) heartbeats: u64,
    pub(super) enumerations: u64,
    /// Deliveries that were not acknowledged, and questions not answered.
    pub(super) failures: u64,
    pub(super) latency: Histogram,
}

#[derive(Debug, Default)]
pub(super) struct Meter {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    second: Counts,
    total: Counts,
    tally: Tally,
}

/// What is only counted in all.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) connections: u64,
    /// In a domain.
    pub(super) handshakes: u64,
    pub(super) handshakes_failed: u64,
    pub(super) handshake_reasons: BTreeMap<String, u64>,
    /// Hosts that have their subscriptions.
    pub(super) hosts: u64,
    /// Batches sent again: no Ack had come.
    pub(super) resent: u64,
    /// Deliveries that the collector refused for good.
    pub(super) refused: u64,
    /// Subscriptions that a host gave up after its retries.
    pub(super) given_up: u64,
    /// Events that are larger than an envelope.
    pub(super) oversize: u64,
    pub(super) reasons: BTreeMap<String, u64>,
    /// What was done on purpose, and what came of it.
    pub(super) faults: BTreeMap<String, u64>,
    /// Acks where none was due.
    pub(super) wrong_acks: u64,
}

impl Meter {
    pub(super) fn acknowledged(&self, events: u64, bytes: usize, latency: Duration) {
        self.both(|counts| {
            counts.events += events;
            counts.batches += 1;
            counts.bytes += bytes as u64;
            counts.latency.add(latency);
        });
    }

    pub(super) fn heartbeat(&self) {
        self.both(|counts| counts.heartbeats += 1);
    }

    pub(super) fn enumerated(&self) {
        self.both(|counts| counts.enumerations += 1);
    }

    pub(super) fn failed(&self, why: &str) {
        self.both(|counts| counts.failures += 1);
        self.tally(|tally| add(&mut tally.reasons, why));
    }

    /// A handshake came to its end, or failed for a reason.
    pub(super) fn handshake(&self, why: Option<&str>) {
        self.tally(|tally| match why {
            None => tally.handshakes += 1,
            Some(why) => {
                tally.handshakes_failed += 1;
                add(&mut tally.handshake_reasons, why);
            }
        });
    }

    pub(super) fn fault(&self, what: &str) {
        self.tally(|tally| add(&mut tally.faults, what));
    }

    pub(super) fn tally(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner).tally);
    }

    /// Counts since the last call, and those that are only counted in all.
    pub(super) fn second(&self) -> (Counts, Tally) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut inner.second), inner.tally.clone())
    }

    pub(super) fn total(&self) -> (Counts, Tally) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        (inner.total.clone(), inner.tally.clone())
    }

    fn both(&self, mut change: impl FnMut(&mut Counts)) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut inner.second);
        change(&mut inner.total);
    }
}

/// Most different reasons that are told apart.
const REASONS_MAX: usize = 100;

fn add(to: &mut BTreeMap<String, u64>, what: &str) {
    if let Some(count) = to.get_mut(what) {
        *count += 1;
    } else if to.len() < REASONS_MAX {
        to.insert(what.to_owned(), 1);
    }
}

/// Counts of times, in steps of a sixteenth: microseconds to hours in 600 numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Histogram {
    counts: Vec<u32>,
    total: u64,
    longest: Duration,
}

const STEPS_LOG2: u32 = 4;
const STEPS: u64 = 1 << STEPS_LOG2;

impl Histogram {
    pub(super) fn add(&mut self, time: Duration) {
        let slot = slot(u64::try_from(time.as_micros()).unwrap_or(u64::MAX >> 20));
        if slot >= self.counts.len() {
            self.counts.resize(slot + 1, 0);
        }
        self.counts[slot] = self.counts[slot].saturating_add(1);
        self.total += 1;
        self.longest = self.longest.max(time);
    }

    /// The time that so many in a hundred took at most, to a sixteenth. `None` when there are none.
    pub(super) fn percentile(&self, percent: f64) -> Option<Duration> {
        let rank = (self.total as f64 * percent / 100.0).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (slot, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank {
                return Some(Duration::from_micros(upper(slot)).min(self.longest));
            }
        }
        None
    }

    pub(super) fn longest(&self) -> Option<Duration> {
        (self.total > 0).then_some(self.longest)
    }
}

fn slot(micros: u64) -> usize {
    if micros < STEPS {
        return micros as usize;
    }
    let power = micros.ilog2();
    let step = micros >> (power - STEPS_LOG2) & (STEPS - 1);
    (u64::from(power - STEPS_LOG2 + 1) * STEPS + step) as usize
}

/// Largest number of a slot.
fn upper(slot: usize) -> u64 {
    let slot = slot as u64;
    if slot < STEPS {
        return slot;
    }
    let (power, step) = (slot / STEPS + u64::from(STEPS_LOG2) - 1, slot % STEPS);
    ((STEPS + step + 1) << (power - u64::from(STEPS_LOG2))) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_to_a_sixteenth() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(50.0), None);
        (1..=10_000).for_each(|n| histogram.add(Duration::from_micros(n * 37)));
        for percent in [1.0, 50.0, 99.0, 99.9, 100.0] {
            let exact = 370_000.0 * percent / 100.0;
            let found = histogram.percentile(percent).unwrap().as_micros() as f64;
            assert!(found >= exact * 0.999 && found <= exact * 1.0626, "{percent}: {found}, not {exact}");
        }
        assert_eq!(histogram.percentile(100.0), Some(Duration::from_micros(370_000)));
    }

    #[test]
    fn every_number_is_in_the_slot_that_ends_with_it_or_above() {
        for micros in
            (0..5000).chain((0..40).map(|power| 1 << power)).chain((4..40).map(|power| (1 << power) - 1))
        {
            let slot = slot(micros);
            assert!(upper(slot) >= micros && (slot == 0 || upper(slot - 1) < micros), "{micros}");
        }
    }
}
