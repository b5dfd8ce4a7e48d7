//! What a source has to tell while it runs: counters, findings, and the summary at its end.
//!
//! Shared with whoever shows it (status, metrics); never holds content of events.

use crate::finding::Finding;
use crate::telemetry::metrics::{EntranceMetrics, SourceMetrics, metrics};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Findings kept for showing; older ones are in the log.
const FINDINGS_MAX: usize = 256;

/// Live figures of one source; cloning shares them.
#[derive(Clone, Debug)]
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
    /// Ranges of records that were overwritten before they could be read.
    pub lost_ranges: u64,
    /// Records in them.
    pub lost_events: u64,
}

/// What a source did, when it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub counts: Counts,
    pub findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(source: &str) -> Self {
        let shared = Shared {
            source: source.into(),
            metrics: metrics().source(source),
            counts: Mutex::default(),
            findings: Mutex::default(),
            fresh: Mutex::default(),
            held: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Notes a finding: one line in the log, and kept for showing.
    pub(super) fn find(&self, finding: Finding) {
        let source = &*self.shared.source;
        match &mut *self.shared.held.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(held) => held.push(finding.clone()),
            None => log(source, &finding),
        }
        let mut findings = self.shared.findings.lock().unwrap_or_else(PoisonError::into_inner);
        if findings.len() == FINDINGS_MAX {
            findings.pop_front();
        }
        findings.push_back(finding.clone());
        let mut fresh = self.shared.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        if fresh.len() < FINDINGS_MAX {
            fresh.push(finding);
        }
    }

    /// From now on findings are written to the log later.
    pub(super) fn hold(&self) {
        *self.shared.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    }

    /// Writes what was held back to the log, but for what is told elsewhere.
    pub(super) fn release(&self, elsewhere: Option<&Finding>) {
        let held = self.shared.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        for finding in held.iter().flatten().filter(|finding| Some(*finding) != elsewhere) {
            log(&self.shared.source, finding);
        }
    }

    /// The findings since the last call.
    pub fn take_fresh(&self) -> Vec<Finding> {
        std::mem::take(&mut self.shared.fresh.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn findings(&self) -> Vec<Finding> {
        self.shared.findings.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// The basin answered for a batch, and for all before it: from here on the position counts.
    pub(super) fn kept(&self, batch: Counts) {
        self.count(batch);
        let source = &*self.shared.source;
        tracing::debug!(source, events = self.counts().events, "the basin keeps all up to here");
    }

    /// Adds to the counters.
    pub(super) fn count(&self, more: Counts) {
        let metrics = &self.shared.metrics;
        metrics.events.inc_by(more.events);
        metrics.bytes.inc_by(more.bytes);
        metrics.undecodable.inc_by(more.undecodable);
        metrics.filtered.inc_by(more.filtered);
        metrics.lost_ranges.inc_by(more.lost_ranges);
        metrics.lost_events.inc_by(more.lost_events);
        let mut counts = self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.events += more.events;
        counts.bytes += more.bytes;
        counts.undecodable += more.undecodable;
        counts.filtered += more.filtered;
        counts.lost_ranges += more.lost_ranges;
        counts.lost_events += more.lost_events;
    }

    /// A delivery had been kept before.
    pub(super) fn resent(&self) {
        self.shared.metrics.resent.inc();
    }

    /// Handles of where hosts come in, for these reasons to refuse a connection, for a handshake of TLS to fail, and
    /// for a ticket not to be taken.
    pub(super) fn entrance(
        &self,
        refusals: &[&'static str],
        failures: &[&'static str],
        denials: &[&'static str],
    ) -> EntranceMetrics {
        metrics().entrance(&self.shared.source, refusals, failures, denials)
    }

    /// A delivery was not taken.
    pub(super) fn refused(&self) {
        self.shared.metrics.refused.inc();
    }

    /// How many hosts are active, and how many are not though they should be.
    pub(super) fn hosts(&self, active: u64, silent: u64) {
        let gauge = |number| i64::try_from(number).unwrap_or(i64::MAX);
        self.shared.metrics.hosts_active.set(gauge(active));
        self.shared.metrics.hosts_silent.set(gauge(silent));
    }

    pub fn counts(&self) -> Counts {
        *self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn summary(&self) -> Summary {
        Summary { counts: self.counts(), findings: self.findings() }
    }
}

fn log(source: &str, finding: &Finding) {
    tracing::warn!(source, what = %finding.what, why = %finding.why, fix = %finding.fix, "finding");
}

#[derive(Debug)]
struct Shared {
    source: Box<str>,
    metrics: SourceMetrics,
    counts: Mutex<Counts>,
    findings: Mutex<VecDeque<Finding>>,
    fresh: Mutex<Vec<Finding>>,
    /// What is yet to be written to the log, while that waits.
    held: Mutex<Option<Vec<Finding>>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_add_up_and_findings_are_bounded() {
        let report = Report::new("logs");
        report.count(Counts { events: 2, bytes: 10, ..Counts::default() });
        report.clone().count(Counts { events: 1, lost_events: 7, ..Counts::default() });
        assert_eq!(report.counts(), Counts { events: 3, bytes: 10, lost_events: 7, ..Counts::default() });
        for number in 0..FINDINGS_MAX + 3 {
            let text = || number.to_string();
            report.find(Finding { what: text(), why: text(), fix: text() });
        }
        assert_eq!(report.findings().len(), FINDINGS_MAX);
        assert_eq!(report.summary().findings[0].what, "3");
    }
}
