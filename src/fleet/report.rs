//! What came of a run, as numbers: printed, as JSON, or drawn.

mod page;

pub use page::page;

use super::meter::{Counts, Histogram, Tally};
use super::watch::Usage;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub hosts: u32,
    pub seconds: f64,
    pub acknowledged: u64,
    pub batches: u64,
    /// Bodies of the acknowledged deliveries, as sent, or as sealed then.
    pub bytes: u64,
    pub events_per_second: f64,
    pub latency_ms: Latency,
    pub heartbeats: u64,
    pub enumerations: u64,
    pub connections: u64,
    /// In a domain: those that were good.
    pub handshakes: u64,
    pub handshakes_failed: u64,
    pub handshake_reasons: BTreeMap<String, u64>,
    pub resent: u64,
    pub refused: u64,
    pub given_up: u64,
    pub oversize: u64,
    pub failures: u64,
    pub reasons: BTreeMap<String, u64>,
    pub faults: BTreeMap<String, u64>,
    /// Acks of messages that are none: a mistake of the collector.
    pub wrong_acks: u64,
    /// How it was when all connected again at once.
    pub storm: Option<Storm>,
    /// What the fleet itself cost.
    pub fleet: Cost,
    /// What the watched process cost.
    pub collector: Option<Cost>,
    pub series: Vec<Second>,
}

/// All hosts lost their connections at one moment and came back.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Storm {
    /// Seconds from the start.
    pub at: f64,
    /// Those whose question for subscriptions was answered since.
    pub hosts: Back,
    /// Those that had an Ack since.
    pub deliveries: Back,
    /// In a domain, since then.
    pub handshakes: u64,
    pub handshakes_failed: u64,
}

/// How many lost their connection, how many are back, and when the last of them was.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Back {
    pub gone: u64,
    pub back: u64,
    pub seconds: f64,
}

/// From when a batch was due, or in a closed loop from when it was sent, to its Ack.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Cost {
    pub cpu_seconds: f64,
    pub user_seconds: f64,
    /// Processor time for each million of events: the figure to compare.
    pub cpu_seconds_per_million: f64,
    pub rss_mib_max: f64,
    pub rss_mib_end: f64,
}

/// About one second of a run; counts per second, times in ms, memory in MiB.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Second {
    pub at: f64,
    pub events: u64,
    pub batches: u64,
    pub failures: u64,
    pub hosts: u64,
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    pub collector_cpu_percent: Option<f64>,
    pub collector_rss_mib: Option<f64>,
    pub fleet_cpu_percent: f64,
}

/// Gathers a report while a run goes on.
pub(super) struct Gathering {
    pid: Option<u32>,
    fleet: Watched,
    collector: Watched,
    series: Vec<Second>,
    last_at: f64,
}

/// A process, from its first look to its last.
#[derive(Default)]
struct Watched {
    first: Option<Usage>,
    last: Option<Usage>,
    rss_max: u64,
}

const MIB: f64 = 1_048_576.0;
/// Most seconds that are kept: two days.
const SECONDS_MAX: usize = 172_800;

impl Gathering {
    pub(super) fn new(pid: Option<u32>) -> Self {
        let (mut fleet, mut collector) = (Watched::default(), Watched::default());
        fleet.look(Some(std::process::id()));
        collector.look(pid);
        Self { pid, fleet, collector, series: Vec::new(), last_at: 0.0 }
    }

    /// Another second has passed.
    pub(super) fn second(&mut self, at: Duration, counts: &Counts, tally: &Tally) -> Second {
        let at = at.as_secs_f64();
        let length = (at - self.last_at).max(1e-3);
        self.last_at = at;
        let percent = |cpu: f64| 100.0 * cpu / length;
        let fleet = self.fleet.look(Some(std::process::id()));
        let collector = self.collector.look(self.pid);
        // A busy machine makes seconds of different length.
        let rate = |count: u64| (count as f64 / length).round() as u64;
        let second = Second {
            at,
            events: rate(counts.events),
            batches: rate(counts.batches),
            failures: rate(counts.failures),
            hosts: tally.hosts,
            p50: counts.latency.percentile(50.0).map(millis),
            p99: counts.latency.percentile(99.0).map(millis),
            collector_cpu_percent: collector.map(percent),
            collector_rss_mib: self.collector.last.map(|usage| usage.rss_bytes as f64 / MIB),
            fleet_cpu_percent: fleet.map_or(0.0, percent),
        };
        if self.series.len() < SECONDS_MAX {
            self.series.push(second);
        }
        second
    }

    pub(super) fn report(mut self, hosts: u32, took: Duration, total: &Counts, tally: Tally) -> Report {
        self.fleet.look(Some(std::process::id()));
        self.collector.look(self.pid);
        let seconds = took.as_secs_f64();
        Report {
            hosts,
            seconds,
            acknowledged: total.events,
            batches: total.batches,
            bytes: total.bytes,
            events_per_second: total.events as f64 / seconds.max(1e-9),
            latency_ms: Latency::of(&total.latency),
            heartbeats: total.heartbeats,
            enumerations: total.enumerations,
            connections: tally.connections,
            handshakes: tally.handshakes,
            handshakes_failed: tally.handshakes_failed,
            handshake_reasons: tally.handshake_reasons,
            resent: tally.resent,
            refused: tally.refused,
            given_up: tally.given_up,
            oversize: tally.oversize,
            failures: total.failures,
            reasons: tally.reasons,
            faults: tally.faults,
            wrong_acks: tally.wrong_acks,
            storm: None,
            fleet: self.fleet.cost(total.events).unwrap_or_default(),
            collector: self.collector.cost(total.events),
            series: self.series,
        }
    }
}

impl Watched {
    /// Processor seconds since the last look.
    fn look(&mut self, pid: Option<u32>) -> Option<f64> {
        let usage = Usage::of(pid?)?;
        let before = self.last.replace(usage);
        self.first.get_or_insert(usage);
        self.rss_max = self.rss_max.max(usage.rss_bytes);
        before.map(|before| usage.cpu - before.cpu)
    }

    fn cost(&self, events: u64) -> Option<Cost> {
        let (first, last) = (self.first?, self.last?);
        let cpu = last.cpu - first.cpu;
        Some(Cost {
            cpu_seconds: cpu,
            user_seconds: last.user - first.user,
            cpu_seconds_per_million: if events > 0 { cpu * 1e6 / events as f64 } else { 0.0 },
            // The mark of the process itself counts what came between two looks, and what came before.
            rss_mib_max: self.rss_max.max(if first.peak_bytes < last.peak_bytes {
                last.peak_bytes
            } else {
                0
            }) as f64
                / MIB,
            rss_mib_end: last.rss_bytes as f64 / MIB,
        })
    }
}

impl Latency {
    fn of(histogram: &Histogram) -> Self {
        let at = |percent| histogram.percentile(percent).map_or(0.0, millis);
        Self {
            p50: at(50.0),
            p90: at(90.0),
            p99: at(99.0),
            p999: at(99.9),
            max: histogram.longest().map_or(0.0, millis),
        }
    }
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

impl fmt::Display for Back {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} back after {:.2} s", self.back, self.gone, self.seconds)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Latency { p50, p90, p99, p999, max } = self.latency_ms;
        writeln!(
            f,
            "{} hosts, {:.1} s: {} events acknowledged in {} deliveries, {:.0} a second, {:.1} MiB sent",
            self.hosts,
            self.seconds,
            self.acknowledged,
            self.batches,
            self.events_per_second,
            self.bytes as f64 / MIB
        )?;
        if self.batches > 0 {
            writeln!(f, "ack   p50 {p50:.1} ms, p90 {p90:.1}, p99 {p99:.1}, p99.9 {p999:.1}, max {max:.1}")?;
        }
        writeln!(
            f,
            "also  {} heartbeats, {} enumerations, {} connections, {} sent again",
            self.heartbeats, self.enumerations, self.connections, self.resent
        )?;
        if self.handshakes + self.handshakes_failed > 0 {
            writeln!(f, "sign  {} handshakes", self.handshakes)?;
        }
        if let Some(Storm { at, hosts, deliveries, handshakes, handshakes_failed }) = self.storm {
            writeln!(
                f,
                "storm at {at:.1} s: hosts {hosts}, deliveries {deliveries}, {handshakes} handshakes, \
                 {handshakes_failed} failed"
            )?;
        }
        for (name, cost) in [("fleet", Some(self.fleet)), ("collector", self.collector)] {
            let Some(cost) = cost else { continue };
            writeln!(
                f,
                "{name:<5} {:.2} CPU s ({:.2} user), {:.2} CPU s per million events, {:.1} MiB at most",
                cost.cpu_seconds, cost.user_seconds, cost.cpu_seconds_per_million, cost.rss_mib_max
            )?;
        }
        for (count, what) in [
            (self.failures, "deliveries or questions failed"),
            (self.handshakes_failed, "handshakes failed"),
            (self.given_up, "subscriptions given up after retries"),
            (self.refused, "subscriptions refused"),
            (self.oversize, "events larger than an envelope"),
            (self.wrong_acks, "Acks of messages that are none"),
        ] {
            if count > 0 {
                writeln!(f, "!     {count} {what}")?;
            }
        }
        for (reason, count) in &self.reasons {
            writeln!(f, "        {count} × {reason}")?;
        }
        for (reason, count) in &self.handshake_reasons {
            writeln!(f, "        {count} × handshake: {reason}")?;
        }
        for (fault, count) in &self.faults {
            writeln!(f, "      on purpose: {count} × {fault}")?;
        }
        Ok(())
    }
}
