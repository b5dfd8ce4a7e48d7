//! What a source has to tell while it runs: counters, findings, and the summary at its end.
//!
//! Shared with whoever shows it (status, metrics); never holds content of events.

use crate::finding::Finding;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Findings kept for showing; older ones are in the log.
const FINDINGS_MAX: usize = 256;

/// Live figures of one source; cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Report {
    shared: Arc<Shared>,
}

/// Counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events handed to the basin, those that could not be decoded included.
    pub events: u64,
    /// Bytes of canonical text handed to the basin.
    pub bytes: u64,
    /// Events that travel raw, because they could not be decoded.
    pub undecodable: u64,
    /// Events that the source's own filter dropped.
    pub filtered: u64,
    /// Records that were overwritten before they could be read.
    pub lost: u64,
}

/// What a source did, when it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub counts: Counts,
    pub findings: Vec<Finding>,
}

impl Report {
    /// Notes a finding: one line in the log, and kept for showing.
    pub fn find(&self, source: &str, finding: Finding) {
        tracing::warn!(source, what = %finding.what, why = %finding.why, fix = %finding.fix, "finding");
        let mut findings = self.shared.findings.lock().unwrap_or_else(PoisonError::into_inner);
        if findings.len() == FINDINGS_MAX {
            findings.pop_front();
        }
        findings.push_back(finding);
    }

    pub fn findings(&self) -> Vec<Finding> {
        self.shared.findings.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Adds to the counters.
    pub fn count(&self, more: Counts) {
        let shared = &*self.shared;
        for (counter, amount) in [
            (&shared.events, more.events),
            (&shared.bytes, more.bytes),
            (&shared.undecodable, more.undecodable),
            (&shared.filtered, more.filtered),
            (&shared.lost, more.lost),
        ] {
            if amount > 0 {
                counter.fetch_add(amount, Ordering::Relaxed);
            }
        }
    }

    pub fn counts(&self) -> Counts {
        let shared = &*self.shared;
        Counts {
            events: shared.events.load(Ordering::Relaxed),
            bytes: shared.bytes.load(Ordering::Relaxed),
            undecodable: shared.undecodable.load(Ordering::Relaxed),
            filtered: shared.filtered.load(Ordering::Relaxed),
            lost: shared.lost.load(Ordering::Relaxed),
        }
    }

    pub fn summary(&self) -> Summary {
        Summary { counts: self.counts(), findings: self.findings() }
    }
}

#[derive(Debug, Default)]
struct Shared {
    events: AtomicU64,
    bytes: AtomicU64,
    undecodable: AtomicU64,
    filtered: AtomicU64,
    lost: AtomicU64,
    findings: Mutex<VecDeque<Finding>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_add_up_and_findings_are_bounded() {
        let report = Report::default();
        report.count(Counts { events: 2, bytes: 10, ..Counts::default() });
        report.clone().count(Counts { events: 1, lost: 7, ..Counts::default() });
        assert_eq!(report.counts(), Counts { events: 3, bytes: 10, lost: 7, ..Counts::default() });
        for number in 0..FINDINGS_MAX + 3 {
            let text = || number.to_string();
            report.find("logs", Finding { what: text(), why: text(), fix: text() });
        }
        assert_eq!(report.findings().len(), FINDINGS_MAX);
        assert_eq!(report.summary().findings[0].what, "3");
    }
}
