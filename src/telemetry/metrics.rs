//! Every metric, each name once, with its help and unit.
//!
//! The acting rooms ask for their handles once (`metrics().output("lake")`) and then pay one atomic
//! addition per update. Chosen: one set per process over a set handed from room to room, because
//! there is one `/metrics` per process and a disk sync has no business knowing who listens.
//! Promises: no label carries text from a Windows host; the table in the README is this file's.
//! Must not know: who updates them.

mod entrance;
mod kafka;
mod outputs;

pub use super::book::Row;
pub use entrance::{EntranceMetrics, Reasons};
pub use kafka::KafkaMetrics;
pub use outputs::OutputMetrics;

use super::book::{Book, PerName};
use entrance::Entrances;
use kafka::Kafka;
use outputs::Outputs;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::fmt::Write;
use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;

/// The metrics of this process.
pub fn metrics() -> &'static Metrics {
    static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);
    &METRICS
}

/// A gauge of seconds.
pub type Seconds = Gauge<f64, AtomicU64>;

#[derive(Debug)]
pub struct Metrics {
    pub basin: BasinMetrics,
    pub memory: MemoryMetrics,
    /// Findings made since the start.
    pub findings: Counter,
    sources: Sources,
    entrances: Entrances,
    outputs: Outputs,
    kafka: Kafka,
    registry: Registry,
    table: Vec<Row>,
}

/// What a basin counts.
#[derive(Clone, Debug)]
pub struct BasinMetrics {
    pub bytes: Gauge,
    pub max_bytes: Gauge,
    pub segments: Gauge,
    pub frames: Counter,
    pub written_bytes: Counter,
    pub sync_seconds: Histogram,
    pub sync_failures: Counter,
    pub quarantined: Counter,
}

/// What the memory budget counts.
#[derive(Clone, Debug)]
pub struct MemoryMetrics {
    pub used_bytes: Gauge,
    pub max_bytes: Gauge,
}

/// What one source counts.
#[derive(Clone, Debug)]
pub struct SourceMetrics {
    pub events: Counter,
    pub bytes: Counter,
    pub undecodable: Counter,
    pub filtered: Counter,
    pub lost_ranges: Counter,
    pub lost_events: Counter,
    pub hosts_active: Gauge,
    pub hosts_silent: Gauge,
    pub resent: Counter,
    pub refused: Counter,
}

impl Metrics {
    fn new() -> Self {
        let mut book = Book { registry: Registry::with_prefix("forebay"), table: Vec::new() };
        let build: PerName<Gauge> =
            book.gauges("build_info", None, "version", "One, labelled with the version that runs");
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION").to_owned())]).set(1);
        let sources = Sources::new(&mut book);
        let entrances = Entrances::new(&mut book);
        let basin = BasinMetrics::new(&mut book);
        let outputs = Outputs::new(&mut book);
        let kafka = Kafka::new(&mut book);
        let memory = MemoryMetrics {
            used_bytes: book.gauge("memory_used", Some(Unit::Bytes), "Bytes of memory_max that are taken"),
            max_bytes: book.gauge("memory_max", Some(Unit::Bytes), "Bytes of memory_max"),
        };
        let findings = book.counter("findings", None, "Failures that were explained in a finding");
        let Book { registry, table } = book;
        Self { basin, memory, findings, sources, entrances, outputs, kafka, registry, table }
    }

    /// Handles of one `[source.NAME]`.
    pub fn source(&self, name: &str) -> SourceMetrics {
        let label = [("source", name.to_owned())];
        let of = |family: &PerName<Counter>| family.get_or_create_owned(&label);
        SourceMetrics {
            events: of(&self.sources.events),
            bytes: of(&self.sources.bytes),
            undecodable: of(&self.sources.undecodable),
            filtered: of(&self.sources.filtered),
            lost_ranges: of(&self.sources.lost_ranges),
            lost_events: of(&self.sources.lost_events),
            hosts_active: self.sources.hosts_active.get_or_create_owned(&label),
            hosts_silent: self.sources.hosts_silent.get_or_create_owned(&label),
            resent: of(&self.sources.resent),
            refused: of(&self.sources.refused),
        }
    }

    /// Handles of where hosts come into one `[source.NAME]`, for these reasons to refuse a connection, for a
    /// handshake of TLS to fail, and for a ticket not to be taken.
    pub fn entrance(
        &self,
        source: &str,
        refusals: &[&'static str],
        failures: &[&'static str],
        denials: &[&'static str],
    ) -> EntranceMetrics {
        self.entrances.of(source, refusals, failures, denials)
    }

    /// Handles of one `[output.NAME]`.
    pub fn output(&self, name: &str) -> OutputMetrics {
        self.outputs.of(name)
    }

    /// Handles of one `[output.NAME]` to Kafka.
    pub fn kafka(&self, name: &str) -> KafkaMetrics {
        self.kafka.of(name)
    }

    /// The Prometheus text format.
    pub fn exposition(&self) -> String {
        let mut open = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut open, &self.registry);
        // The encoder writes OpenMetrics, where the type of `x_total` is told of `x` and units have
        // a line of their own. The older text format, which every scraper reads, names them alike.
        let mut text = String::with_capacity(open.len());
        for line in open.lines() {
            match line.split_whitespace().nth(1).filter(|_| line.starts_with('#')) {
                Some("UNIT" | "EOF") => {}
                Some("HELP" | "TYPE") => text.push_str(&self.described(line)),
                _ => text.push_str(line),
            }
            if !text.ends_with('\n') && !text.is_empty() {
                text.push('\n');
            }
        }
        text
    }

    /// A `# HELP` or `# TYPE` line with the name that the samples carry.
    fn described(&self, line: &str) -> String {
        let mut words = line.splitn(4, ' ');
        let (hash, word) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (name, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let counted = format!("{name}_total");
        let name = if self.table.iter().any(|row| row.name == counted) { &counted } else { name };
        format!("{hash} {word} {name} {rest}")
    }

    /// Every metric, in the order of the exposition.
    pub fn table(&self) -> &[Row] {
        &self.table
    }

    /// The table as the README has it.
    pub fn markdown(&self) -> String {
        let mut text = String::from("| metric | kind | label | what it says |\n|---|---|---|---|\n");
        for row in &self.table {
            let labels = row.label.split(", ").filter(|label| !label.is_empty());
            let label = labels.map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
            let _ = writeln!(text, "| `{}` | {} | {label} | {} |", row.name, row.kind, row.help);
        }
        text
    }
}

/// The families behind `SourceMetrics`.
#[derive(Debug)]
struct Sources {
    events: PerName<Counter>,
    bytes: PerName<Counter>,
    undecodable: PerName<Counter>,
    filtered: PerName<Counter>,
    lost_ranges: PerName<Counter>,
    lost_events: PerName<Counter>,
    resent: PerName<Counter>,
    refused: PerName<Counter>,
    hosts_active: PerName<Gauge>,
    hosts_silent: PerName<Gauge>,
}

impl Sources {
    fn new(book: &mut Book) -> Self {
        let mut counters = |name, unit, help| book.counters(name, unit, "source", help);
        Self {
            events: counters("source_events", None, "Events taken in"),
            bytes: counters("source", Some(Unit::Bytes), "Bytes of event text taken in"),
            undecodable: counters(
                "source_undecodable_events",
                None,
                "Events that could not be read and were passed on raw",
            ),
            filtered: counters(
                "source_filtered_events",
                None,
                "Events the filter of the source left out before the basin",
            ),
            lost_ranges: counters(
                "source_lost_ranges",
                None,
                "Ranges of records that were overwritten before they could be read",
            ),
            lost_events: counters("source_lost_events", None, "Records in those ranges"),
            resent: counters(
                "source_resent_deliveries",
                None,
                "Deliveries of hosts that had been kept before, and were only acknowledged again",
            ),
            refused: counters(
                "source_refused_deliveries",
                None,
                "Deliveries of hosts that were not taken; the host sends them again",
            ),
            hosts_active: book.gauges(
                "source_hosts_active",
                None,
                "source",
                "Hosts that were heard of within their heartbeat interval",
            ),
            hosts_silent: book.gauges(
                "source_hosts_silent",
                None,
                "source",
                "Hosts of which a heartbeat is missing, or which gave up a subscription",
            ),
        }
    }
}

impl BasinMetrics {
    fn new(book: &mut Book) -> Self {
        Self {
            bytes: book.gauge("basin_size", Some(Unit::Bytes), "Bytes the basin holds"),
            max_bytes: book.gauge("basin_size_max", Some(Unit::Bytes), "Bytes the basin may hold"),
            segments: book.gauge("basin_segments", None, "Segment files of the basin"),
            frames: book.counter("basin_frames", None, "Batches the basin took responsibility for"),
            written_bytes: book.counter("basin_written", Some(Unit::Bytes), "Bytes written to the basin"),
            sync_seconds: book.histogram("basin_sync", Unit::Seconds, "Time one fdatasync of the basin took"),
            sync_failures: book.counter(
                "basin_sync_failures",
                None,
                "Syncs of the basin that the system refused",
            ),
            quarantined: book.counter(
                "basin_quarantined_frames",
                None,
                "Damaged frames that were copied aside and skipped",
            ),
        }
    }
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
