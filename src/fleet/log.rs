//! The event log of one host: how many events it has and when they came, nothing more.

use crate::event::Timestamp;

/// Between two events that come together: 1 ms and a bit, so that times look like times.
const STEP_TICKS: u64 = 10_019;

#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// Events from one mark on until the next came at its time, a step apart.
    marks: Vec<Mark>,
    len: u64,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    from: u64,
    /// Ticks since 1601.
    time: u64,
}

impl Log {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Events happen until there are `len`. True when there are new ones.
    pub(super) fn grow(&mut self, len: u64, now: Timestamp) -> bool {
        let grows = len > self.len;
        if grows {
            // A clock that went back does not reorder a log, but it shows in its times.
            self.marks.push(Mark { from: self.len, time: now.to_filetime() });
            self.len = len;
        }
        grows
    }

    /// As `grow`, from a ledger.
    pub(super) fn restore(&mut self, from: u64, len: u64, time: u64) {
        if from == self.len && len > from {
            self.marks.push(Mark { from, time });
            self.len = len;
        }
    }

    /// When the nth event came, in ticks since 1601.
    pub(super) fn time(&self, n: u64) -> u64 {
        let after = self.marks.partition_point(|mark| mark.from <= n);
        self.marks[..after].last().map_or(0, |mark| mark.time + (n - mark.from) * STEP_TICKS)
    }

    /// Time of the newest mark: what `restore` takes.
    pub(super) fn last_time(&self) -> u64 {
        self.marks.last().map_or(0, |mark| mark.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_the_time_at_which_it_came_for_ever() {
        let mut log = Log::default();
        let second = |n: i64| Timestamp(n * 1_000_000_000);
        assert!(log.grow(3, second(10)));
        assert!(!log.grow(3, second(20)) && !log.grow(1, second(20)));
        assert!(log.grow(5, second(30)));
        let ten = second(10).to_filetime();
        let thirty = second(30).to_filetime();
        let times: Vec<u64> = (0..5).map(|n| log.time(n)).collect();
        assert_eq!(times, [ten, ten + STEP_TICKS, ten + 2 * STEP_TICKS, thirty, thirty + STEP_TICKS]);
        let mut again = Log::default();
        again.restore(0, 3, ten);
        again.restore(3, 5, log.last_time());
        assert_eq!((0..5).map(|n| again.time(n)).collect::<Vec<_>>(), times);
    }
}
