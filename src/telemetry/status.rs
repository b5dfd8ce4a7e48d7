//! What the process is doing right now: its phase, and the findings made so far.
//!
//! Promise: bounded; a finding that repeats is counted, not stored again.
//! Must not know: who reads it (log, status page, control socket).

use super::metrics;
use crate::finding::Finding;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Different findings kept; the oldest goes first.
pub const FINDINGS_MAX: usize = 200;

/// Shared by everyone who has something to tell.
#[derive(Debug)]
pub struct Status {
    phase: AtomicU8,
    findings: Mutex<VecDeque<Noted>>,
    started: Instant,
}

/// Where the process stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Opening the basin and the sources.
    Starting,
    /// Taking events in.
    Ready,
    /// Asked to stop: takes nothing in, empties what it holds.
    Draining,
}

/// A finding, when it came last, and how often.
#[derive(Clone, Debug)]
pub struct Noted {
    pub finding: Finding,
    pub times: u64,
    pub last: SystemTime,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            phase: AtomicU8::new(Phase::Starting as u8),
            findings: Mutex::new(VecDeque::new()),
            started: Instant::now(),
        }
    }
}

impl Status {
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Draining,
        }
    }

    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Notes a finding: counted, kept for whoever asks, and logged when it is new.
    pub fn finding(&self, finding: Finding) {
        self.findings_of(finding, 1);
    }

    /// As `finding`, for what came so many times at once.
    pub fn findings_of(&self, finding: Finding, times: u64) {
        if !self.lock().iter().any(|noted| noted.finding == finding) {
            tracing::warn!(what = %finding.what, why = %finding.why, fix = %finding.fix, "finding");
        }
        self.note(finding, times);
    }

    /// As `finding`, for one that is in the log already.
    pub fn keep(&self, finding: Finding) {
        self.note(finding, 1);
    }

    fn note(&self, finding: Finding, times: u64) {
        metrics().findings.inc();
        let mut kept = self.lock();
        let last = SystemTime::now();
        if let Some(known) = kept.iter_mut().find(|noted| noted.finding == finding) {
            known.times += times;
            known.last = last;
            return;
        }
        if kept.len() == FINDINGS_MAX {
            kept.pop_front();
        }
        kept.push_back(Noted { finding, times, last });
    }

    /// The findings, oldest first.
    pub fn findings(&self) -> Vec<Noted> {
        self.lock().iter().cloned().collect()
    }

    // A panic elsewhere cannot leave the list half-changed.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Noted>> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(what: &str) -> Finding {
        Finding { what: what.into(), why: "because".into(), fix: "mend it".into() }
    }

    #[test]
    fn a_repeated_finding_is_counted_once_in_the_list() {
        let status = Status::default();
        status.finding(finding("a"));
        status.finding(finding("b"));
        status.findings_of(finding("a"), 1000);
        let times: Vec<_> =
            status.findings().into_iter().map(|noted| (noted.finding.what, noted.times)).collect();
        assert_eq!(times, [("a".into(), 1001), ("b".into(), 1)]);
    }

    #[test]
    fn the_list_is_bounded_and_forgets_the_oldest() {
        let status = Status::default();
        for index in 0..FINDINGS_MAX + 5 {
            status.finding(finding(&index.to_string()));
        }
        assert_eq!(status.findings().len(), FINDINGS_MAX);
        assert_eq!(status.findings()[0].finding.what, "5");
    }
}
