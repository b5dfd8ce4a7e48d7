//! Record ids of a delivery, channel by channel: where they begin and end, and what is missing between.
//!
//! Record ids of one log ascend by one. A query that leaves events out leaves gaps, so a gap says
//! nothing by itself. An id that goes back while time goes on is a log that was cleared; one that goes
//! back with its time is an event sent again.

use crate::event::Timestamp;

/// The events of one channel in a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) channel: Box<str>,
    pub(super) first: u64,
    pub(super) last: u64,
    /// When the first and the last were created.
    pub(super) first_at: Option<Timestamp>,
    pub(super) last_at: Option<Timestamp>,
    pub(super) gaps: u64,
    /// Record ids in them.
    pub(super) missing: u64,
    pub(super) resets: u64,
}

/// Collects runs; most deliveries have one or two.
#[derive(Default)]
pub(super) struct Runs<'a> {
    runs: Vec<Growing<'a>>,
    /// Index of the one that grew last.
    latest: usize,
}

struct Growing<'a> {
    channel: &'a [u8],
    first: u64,
    last: u64,
    first_time: Option<&'a [u8]>,
    last_time: Option<&'a [u8]>,
    gaps: u64,
    missing: u64,
    resets: u64,
}

/// Channels of one delivery that are followed; Windows allows 256 in a query.
const CHANNELS_MAX: usize = 256;

impl<'a> Runs<'a> {
    pub(super) fn note(&mut self, channel: &'a [u8], record: &[u8], time: Option<&'a [u8]>) {
        let Some(record) = number(record) else { return };
        let is_latest = self.runs.get(self.latest).is_some_and(|run| run.channel == channel);
        if !is_latest {
            match self.runs.iter().position(|run| run.channel == channel) {
                Some(index) => self.latest = index,
                None if self.runs.len() == CHANNELS_MAX => return,
                None => {
                    self.latest = self.runs.len();
                    self.runs.push(Growing {
                        channel,
                        first: record,
                        last: record,
                        first_time: time,
                        last_time: time,
                        gaps: 0,
                        missing: 0,
                        resets: 0,
                    });
                    return;
                }
            }
        }
        self.runs[self.latest].add(record, time);
    }

    pub(super) fn finish(self) -> Vec<Run> {
        let run = |run: Growing<'_>| Run {
            channel: String::from_utf8_lossy(run.channel).into(),
            first: run.first,
            last: run.last,
            first_at: run.first_time.and_then(Timestamp::parse),
            last_at: run.last_time.and_then(Timestamp::parse),
            gaps: run.gaps,
            missing: run.missing,
            resets: run.resets,
        };
        self.runs.into_iter().map(run).collect()
    }
}

impl<'a> Growing<'a> {
    fn add(&mut self, record: u64, time: Option<&'a [u8]>) {
        match record.checked_sub(self.last) {
            Some(1) => {}
            Some(more) if more > 1 => {
                self.gaps += 1;
                self.missing += more - 1;
            }
            _ if is_reset(self.last_time.and_then(Timestamp::parse), time.and_then(Timestamp::parse)) => {
                self.resets += 1;
            }
            // Sent again.
            _ => return,
        }
        self.last = record;
        self.last_time = time;
    }
}

/// Whether a record id that went back is that of a log which was cleared.
pub(super) fn is_reset(before: Option<Timestamp>, after: Option<Timestamp>) -> bool {
    matches!((before, after), (Some(before), Some(after)) if after > before)
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    digits
        .iter()
        .try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(events: &[(&str, u64, u32)], expected: &[(&str, u64, u64, u64, u64, u64)]) {
        let times: Vec<String> =
            events.iter().map(|(_, _, second)| format!("2026-01-01T00:00:{second:02}Z")).collect();
        let mut runs = Runs::default();
        for ((channel, record, _), time) in events.iter().zip(&times) {
            runs.note(channel.as_bytes(), record.to_string().as_bytes(), Some(time.as_bytes()));
        }
        let found = runs.finish();
        let found: Vec<_> = found
            .iter()
            .map(|run| (&*run.channel, run.first, run.last, run.gaps, run.missing, run.resets))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn channels_may_alternate() {
        check(
            &[("System", 7, 0), ("Security", 100, 1), ("System", 8, 2), ("Security", 101, 3)],
            &[("System", 7, 8, 0, 0, 0), ("Security", 100, 101, 0, 0, 0)],
        );
    }

    #[test]
    fn what_is_missing_is_counted() {
        check(&[("System", 7, 0), ("System", 10, 1), ("System", 12, 2)], &[("System", 7, 12, 2, 3, 0)]);
    }

    #[test]
    fn back_with_time_going_on_is_a_cleared_log_else_a_repetition() {
        check(&[("System", 700, 0), ("System", 1, 1), ("System", 2, 2)], &[("System", 700, 2, 0, 0, 1)]);
        check(&[("System", 7, 5), ("System", 6, 4), ("System", 8, 6)], &[("System", 7, 8, 0, 0, 0)]);
    }

    #[test]
    fn ids_that_are_no_numbers_are_passed_over() {
        let mut runs = Runs::default();
        runs.note(b"System", b"x1", None);
        runs.note(b"System", b"99999999999999999999", None);
        assert_eq!(runs.finish(), []);
    }
}
