//! When batches are due, in an open loop: whoever answers late does not get fewer of them.
//!
//! A rate is a curve of events per second over time, for all hosts together. Batches are numbered through
//! and dealt to the hosts in turn, so that hosts with few events do not all send at once; the time of a
//! batch is where the area below the curve reaches its number of events.
//!
//! The events of a batch come one by one since the one before. Where that takes longer than the subscription
//! lets its first event wait (`MaxTime`), what is there is delivered in time, and the batch goes in parts.

use std::time::Duration;

/// A stretch of time in which the rate goes evenly from one value to another.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stretch {
    seconds: f64,
    from: f64,
    to: f64,
}

impl Stretch {
    fn events(self) -> f64 {
        self.seconds * (self.from + self.to) / 2.0
    }

    /// When so many events of it have come.
    fn when(self, events: f64) -> f64 {
        let slope = (self.to - self.from) / self.seconds;
        if slope.abs() < 1e-9 {
            return if self.from > 0.0 { events / self.from } else { self.seconds };
        }
        // events = from·t + slope·t²/2
        let root = (self.from * self.from + 2.0 * slope * events).max(0.0).sqrt();
        (root - self.from) / slope
    }
}

/// Events per second over time; the last stretch goes on for ever.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    stretches: Vec<Stretch>,
    /// The stretches are repeated instead.
    repeats: bool,
}

/// Where a host is: deliveries before this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Turn {
    batch: u64,
    part: u64,
}

/// A delivery of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// After the start.
    pub(super) at: Duration,
    /// Events that the host has had by then.
    pub(super) events: u64,
    pub(super) next: Turn,
}

/// Longest that anything lasts here: ten years.
const FOREVER_SECONDS: f64 = 3.2e8;

impl Schedule {
    pub fn steady(rate: f64) -> Self {
        Self { stretches: vec![Stretch { seconds: FOREVER_SECONDS, from: rate, to: rate }], repeats: false }
    }

    /// From one rate to another, and then at that.
    pub fn ramp(from: f64, to: f64, over: Duration) -> Self {
        let ramp = Stretch { seconds: over.as_secs_f64().max(0.001), from, to };
        let mut schedule = Self::steady(to);
        schedule.stretches.insert(0, ramp);
        schedule
    }

    /// At `rate`, but for the first `length` of each `period` at `peak`.
    pub fn bursts(rate: f64, peak: f64, length: Duration, period: Duration) -> Self {
        let (length, period) = (length.as_secs_f64(), period.as_secs_f64());
        let burst = Stretch { seconds: length.min(period), from: peak, to: peak };
        let rest = Stretch { seconds: (period - length).max(0.0), from: rate, to: rate };
        Self { stretches: vec![burst, rest], repeats: true }
    }

    /// When the event with this number is due, after the start. `None`: never.
    pub fn due(&self, event: u64) -> Option<Duration> {
        let (mut left, mut seconds) = (event as f64, 0.0);
        if self.repeats {
            let round: f64 = self.stretches.iter().map(|stretch| stretch.events()).sum();
            if round <= 0.0 {
                return None;
            }
            let rounds = (left / round).floor();
            seconds = rounds * self.stretches.iter().map(|stretch| stretch.seconds).sum::<f64>();
            left -= rounds * round;
        }
        for stretch in &self.stretches {
            let events = stretch.events();
            if left < events {
                return Some(Duration::from_secs_f64(seconds + stretch.when(left)));
            }
            (left, seconds) = (left - events, seconds + stretch.seconds);
        }
        // What rounding left over at the end of a round.
        self.repeats.then(|| Duration::from_secs_f64(seconds))
    }

    /// A host's delivery, in batches of `events` of which none waits for longer than `time_max`.
    pub(super) fn turn(
        &self,
        turn: Turn,
        (host, hosts): (u32, u32),
        events: u64,
        time_max: Duration,
    ) -> Option<Due> {
        let full = self.batch_due(host, hosts, turn.batch, events)?;
        // Nobody says since when the first one has been filling.
        let since = turn
            .batch
            .checked_sub(1)
            .map_or(Some(full), |before| self.batch_due(host, hosts, before, events))?;
        let filling = full.saturating_sub(since).as_secs_f64();
        let parts = ((filling / time_max.as_secs_f64()).ceil() as u64).clamp(1, events.max(1));
        let part = turn.part + 1;
        let is_last = part >= parts;
        Some(Due {
            at: since + Duration::from_secs_f64(filling * part as f64 / parts as f64),
            events: turn.batch * events + events * part / parts,
            next: if is_last { Turn { batch: turn.batch + 1, part: 0 } } else { Turn { part, ..turn } },
        })
    }

    /// When the host's nth batch is full.
    fn batch_due(&self, host: u32, hosts: u32, nth: u64, events: u64) -> Option<Duration> {
        self.due((nth * u64::from(hosts) + u64::from(host)).saturating_mul(events))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(schedule: &Schedule, due: &[(u64, f64)]) {
        for (event, seconds) in due {
            let found = schedule.due(*event).unwrap().as_secs_f64();
            assert!((found - seconds).abs() < 1e-6, "event {event}: {found}, not {seconds}");
        }
    }

    #[test]
    fn a_steady_rate_is_even() {
        check(&Schedule::steady(100.0), &[(0, 0.0), (1, 0.01), (100, 1.0), (360_000, 3600.0)]);
        assert_eq!(Schedule::steady(0.0).due(0), None);
    }

    #[test]
    fn a_ramp_has_the_area_of_a_triangle() {
        let ramp = Schedule::ramp(0.0, 100.0, Duration::from_secs(10));
        check(&ramp, &[(0, 0.0), (125, 5.0), (500, 10.0), (600, 11.0)]);
        check(&Schedule::ramp(100.0, 50.0, Duration::from_secs(10)), &[(750, 10.0), (800, 11.0)]);
    }

    #[test]
    fn bursts_come_back() {
        let (one, ten) = (Duration::from_secs(1), Duration::from_secs(10));
        let bursts = Schedule::bursts(10.0, 100.0, one, ten);
        // A round is 100 + 9 · 10 events.
        check(&bursts, &[(50, 0.5), (100, 1.0), (110, 2.0), (190, 10.0), (240, 10.5)]);
        check(&Schedule::bursts(0.0, 100.0, one, ten), &[(99, 0.99), (100, 10.0)]);
    }

    #[test]
    fn batches_are_dealt_to_the_hosts_in_turn() {
        let schedule = Schedule::steady(1000.0);
        let due = |host, nth| schedule.batch_due(host, 10, nth, 50).unwrap().as_secs_f64();
        assert_eq!([due(0, 0), due(1, 0), due(9, 0), due(0, 1)], [0.0, 0.05, 0.45, 0.5]);
    }

    /// Seconds, and events by then, of a host's first deliveries.
    fn turns(schedule: &Schedule, time_max: f64, count: usize) -> Vec<(f64, u64)> {
        let mut turn = Turn::default();
        let next = || {
            let due = schedule.turn(turn, (1, 2), 4, Duration::from_secs_f64(time_max)).unwrap();
            turn = due.next;
            (due.at.as_secs_f64(), due.events)
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    #[test]
    fn a_batch_that_fills_slowly_goes_in_parts_and_no_event_is_left_out() {
        // A batch of the host each eight seconds.
        let slow = Schedule::steady(1.0);
        assert_eq!(turns(&slow, 8.0, 3), [(4.0, 4), (12.0, 8), (20.0, 12)]);
        assert_eq!(turns(&slow, 2.5, 6), [(4.0, 4), (6.0, 5), (8.0, 6), (10.0, 7), (12.0, 8), (14.0, 9)]);
        assert_eq!(turns(&slow, 4.0, 4), [(4.0, 4), (8.0, 6), (12.0, 8), (16.0, 10)]);
        // No event is cut in two.
        assert_eq!(turns(&slow, 0.0, 4), [(4.0, 4), (6.0, 5), (8.0, 6), (10.0, 7)]);
    }
}
