//! How long a group waits for batches that are likely to come.
//!
//! Whoever was answered with the last group sends its next batch at once, and that just misses the group
//! which begins then with those that came meanwhile: so a crowd falls into two halves, each of which waits for
//! two syncs. A short wait brings them together. Pure but for the time it is told.

use std::time::{Duration, Instant};

/// What the groups before say of the next one.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    last: Option<Last>,
    /// This group has had its wait.
    has_waited: bool,
}

#[derive(Debug)]
struct Last {
    at: Instant,
    /// Batches in it, and those that waited at its end.
    batches: usize,
    sync: Duration,
}

impl Gathering {
    /// A group was written: so many batches were in it or waited at its end, and its sync took so long.
    pub(super) fn ended(&mut self, at: Instant, batches: usize, sync: Option<Duration>) {
        self.last = sync.map(|sync| Last { at, batches, sync });
        self.has_waited = false;
    }

    /// How long to wait, with so many batches there; once for each group.
    pub(super) fn wait(&mut self, now: Instant, batches: usize) -> Option<Duration> {
        let last = self.last.as_ref()?;
        let is_crowd = batches > 0 && batches < last.batches;
        // Later than that they are no longer those of the last group.
        let is_soon = now.duration_since(last.at) < last.sync;
        if !is_crowd || !is_soon || std::mem::replace(&mut self.has_waited, true) {
            return None;
        }
        Some((last.sync / 4).min(WAIT_MAX))
    }
}

/// On a slow disk too, a batch waits for no other longer than this.
const WAIT_MAX: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: Duration = Duration::from_millis(4);

    #[test]
    fn a_crowd_is_waited_for_once_and_one_alone_never() {
        let (mut gathering, start) = (Gathering::default(), Instant::now());
        assert_eq!(gathering.wait(start, 1), None, "nothing is known");
        gathering.ended(start, 16, Some(SYNC));
        assert_eq!(gathering.wait(start, 0), None, "there is nothing to write yet");
        assert_eq!(gathering.wait(start, 8), Some(SYNC / 4));
        assert_eq!(gathering.wait(start, 9), None);
        gathering.ended(start, 16, Some(SYNC));
        assert_eq!(gathering.wait(start, 16), None, "all are here");
        gathering.ended(start, 1, Some(SYNC));
        assert_eq!(gathering.wait(start, 1), None);
    }

    #[test]
    fn nobody_waits_long_or_for_those_who_do_not_come() {
        let (mut gathering, start) = (Gathering::default(), Instant::now());
        gathering.ended(start, 16, Some(Duration::from_secs(1)));
        assert_eq!(gathering.wait(start, 8), Some(WAIT_MAX));
        gathering.ended(start, 16, Some(SYNC));
        assert_eq!(gathering.wait(start + SYNC, 8), None);
        gathering.ended(start, 16, None);
        assert_eq!(gathering.wait(start, 8), None, "the disk has failed");
    }
}
