//! What metrics, status and service manager hear of a life while it runs: figures that only the
//! basin knows, and what it and the sources found.
//!
//! Must not know: orders, tasks.

use super::build::Budgets;
use crate::basin::{Basin, BasinConfig, Stats};
use crate::config::Pipeline;
use crate::source::{Report, Source};
use crate::telemetry::{Status, metrics};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) struct Figures {
    budgets: Budgets,
    /// What the basin may hold.
    size_max: u64,
    outputs: Vec<String>,
    reports: Vec<Report>,
    status: Arc<Status>,
    /// What the metrics have of the basin: it counts anew in every life, they do not.
    told: Stats,
}

/// What the basin of this pipeline may hold.
pub(super) fn size_max(pipeline: &Pipeline) -> u64 {
    match &pipeline.basin {
        BasinConfig { disk: Some(disk), .. } => disk.size_max.0,
        BasinConfig { memory, .. } => memory.as_ref().map_or(0, |memory| memory.size_max.0),
    }
}

impl Figures {
    pub(super) fn new(
        budgets: Budgets,
        size_max: u64,
        outputs: Vec<String>,
        sources: &[Source],
        status: &Arc<Status>,
    ) -> Self {
        let reports = sources.iter().map(Source::report).collect();
        Self { budgets, size_max, outputs, reports, status: Arc::clone(status), told: Stats::default() }
    }

    /// Tells all of it; returns how many events the slowest output is behind.
    pub(super) fn tell(&mut self, basin: &Basin) -> u64 {
        // The basin wrote them to the log when it made them.
        basin.take_findings().into_iter().for_each(|finding| self.status.keep(finding));
        self.reports.iter().flat_map(Report::take_fresh).for_each(|finding| self.status.keep(finding));
        let stats = basin.stats();
        let before = std::mem::replace(&mut self.told, stats.clone());
        tell_of_basin(&before, &stats);
        metrics().basin.max_bytes.set(gauge(self.size_max));
        metrics().memory.used_bytes.set(gauge(self.budgets.used()));
        metrics().memory.max_bytes.set(gauge(self.budgets.max()));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let mut events = 0;
        for output in stats.outputs.iter().filter(|output| self.outputs.contains(&output.name)) {
            let of = metrics().output(&output.name);
            of.lag_events.set(gauge(output.lag_events));
            of.lag_bytes.set(gauge(output.lag_bytes));
            let skipped = before.outputs.iter().find(|before| before.name == output.name);
            of.skipped.inc_by(
                output.skipped_events.saturating_sub(skipped.map_or(0, |before| before.skipped_events)),
            );
            let age = output
                .oldest
                .filter(|_| output.lag_events > 0)
                .map_or(0.0, |oldest| now.as_secs_f64() - oldest.0 as f64 / 1e9);
            of.lag_seconds.set(age.max(0.0));
            events = events.max(output.lag_events);
        }
        events
    }
}

fn tell_of_basin(before: &Stats, stats: &Stats) {
    let basin = &metrics().basin;
    basin.bytes.set(gauge(stats.bytes));
    basin.segments.set(gauge(stats.segments));
    for (counter, before, now) in [
        (&basin.frames, before.frames_appended, stats.frames_appended),
        (&basin.written_bytes, before.bytes_appended, stats.bytes_appended),
        (&basin.sync_failures, before.sync_failures, stats.sync_failures),
        (&basin.quarantined, before.frames_damaged, stats.frames_damaged),
    ] {
        counter.inc_by(now.saturating_sub(before));
    }
}

fn gauge(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
