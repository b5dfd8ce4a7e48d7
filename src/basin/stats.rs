//! What the basin counts, for metrics and `top`.

use crate::event::Timestamp;
use std::time::Duration;

/// A reading of all counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes the segments take on disk; for the memory basin, bytes held.
    pub bytes: u64,
    pub segments: u64,
    /// Since the start of the process.
    pub frames_appended: u64,
    pub events_appended: u64,
    pub bytes_appended: u64,
    pub syncs: u64,
    pub sync_failures: u64,
    pub sync_latency: Latency,
    /// Frames that were damaged on disk and skipped.
    pub frames_damaged: u64,
    /// Appends whose batch is not on disk yet.
    pub pending: u64,
    /// Bytes kept in memory for lanes that keep up.
    pub tail_bytes: u64,
    /// The log is at its size limit, or the disk is full: intake waits.
    pub full: bool,
    pub outputs: Vec<OutputStats>,
}

/// Of one output's cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputStats {
    pub name: String,
    pub lag_events: u64,
    pub lag_bytes: u64,
    /// When the oldest unconfirmed batch was appended; a lower bound while it waits on disk.
    pub oldest: Option<Timestamp>,
    /// Events that `full = "skip-oldest"` skipped since the start of the process.
    pub skipped_events: u64,
    /// No output of this name is configured; its cursor still holds the log back.
    pub orphaned: bool,
}

/// How often something took how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Counts per bound of `Latency::BOUNDS`, and one more for what took longer than all.
    pub buckets: [u64; Latency::BOUNDS.len() + 1],
    pub total: Duration,
}

impl Latency {
    /// Upper bounds in microseconds: a virtual disk takes 250 µs, a plain one up to 10 ms.
    pub const BOUNDS: [u64; 12] =
        [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 250_000, 1_000_000, 5_000_000];

    pub fn note(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = Self::BOUNDS.iter().position(|bound| micros <= *bound).unwrap_or(Self::BOUNDS.len());
        self.buckets[bucket] += 1;
        self.total += took;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_the_first_bound_that_holds_it() {
        let mut latency = Latency::default();
        latency.note(Duration::from_micros(100));
        latency.note(Duration::from_micros(101));
        latency.note(Duration::from_secs(60));
        assert_eq!((latency.buckets[0], latency.buckets[1], latency.buckets[12]), (1, 1, 1));
    }
}
