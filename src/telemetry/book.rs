//! The book metrics are registered in: it makes the handle, and keeps name, kind and help for the
//! documentation.
//!
//! Must not know: which metrics there are.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry, Unit};

/// One value per source or per output.
pub(super) type PerName<M, C = fn() -> M> = Family<[(&'static str, String); 1], M, C>;

/// One count per source and reason.
pub(super) type PerReason = Family<[(&'static str, String); 2], Counter>;

/// One metric as documented.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    pub kind: &'static str,
    /// Several stand with commas between.
    pub label: &'static str,
    pub help: &'static str,
}

/// Registers metrics and keeps what they were registered as.
pub(super) struct Book {
    pub(super) registry: Registry,
    pub(super) table: Vec<Row>,
}

impl Book {
    pub(super) fn counter(&mut self, name: &str, unit: Option<Unit>, help: &'static str) -> Counter {
        self.add(name, unit, "counter", "", help, Counter::default())
    }

    pub(super) fn counters(
        &mut self,
        name: &str,
        unit: Option<Unit>,
        label: &'static str,
        help: &'static str,
    ) -> PerName<Counter> {
        self.add(name, unit, "counter", label, help, PerName::new_with_constructor(Counter::default))
    }

    pub(super) fn counters_by_reason(
        &mut self,
        name: &str,
        labels: &'static str,
        help: &'static str,
    ) -> PerReason {
        self.add(name, None, "counter", labels, help, PerReason::default())
    }

    pub(super) fn gauge(&mut self, name: &str, unit: Option<Unit>, help: &'static str) -> Gauge {
        self.add(name, unit, "gauge", "", help, Gauge::default())
    }

    pub(super) fn gauges<N>(
        &mut self,
        name: &str,
        unit: Option<Unit>,
        label: &'static str,
        help: &'static str,
    ) -> PerName<N>
    where
        N: Default + Clone,
        fn() -> N: MetricConstructor<N>,
        PerName<N>: Metric + Clone,
    {
        self.add(name, unit, "gauge", label, help, PerName::new_with_constructor(N::default as fn() -> N))
    }

    pub(super) fn histogram(&mut self, name: &str, unit: Unit, help: &'static str) -> Histogram {
        self.add(name, Some(unit), "histogram", "", help, latency())
    }

    pub(super) fn histograms(
        &mut self,
        name: &str,
        unit: Unit,
        label: &'static str,
        help: &'static str,
    ) -> PerName<Histogram> {
        self.add(name, Some(unit), "histogram", label, help, PerName::new_with_constructor(latency))
    }

    fn add<M: Metric + Clone>(
        &mut self,
        name: &str,
        unit: Option<Unit>,
        kind: &'static str,
        label: &'static str,
        help: &'static str,
        metric: M,
    ) -> M {
        let suffix = unit.as_ref().map(|unit| format!("_{}", unit.as_str())).unwrap_or_default();
        let total = if kind == "counter" { "_total" } else { "" };
        self.table.push(Row { name: format!("forebay_{name}{suffix}{total}"), kind, label, help });
        match unit {
            Some(unit) => self.registry.register_with_unit(name, help, unit, metric.clone()),
            None => self.registry.register(name, help, metric.clone()),
        }
        metric
    }
}

/// 0.25 ms (an SSD's sync) to 65 s (a peer that hardly answers), doubling.
fn latency() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 2.0, 19))
}
