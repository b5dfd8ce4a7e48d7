//! What outputs count.
//!
//! Must not know: who updates them.

use super::Seconds;
use crate::telemetry::book::{Book, PerName};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

/// What one output counts.
#[derive(Clone, Debug)]
pub struct OutputMetrics {
    pub events: Counter,
    pub bytes: Counter,
    pub filtered: Counter,
    pub undecodable: Counter,
    pub dead_lettered: Counter,
    pub skipped: Counter,
    pub refused: Counter,
    pub retries: Counter,
    pub repeated: Counter,
    pub concurrency: Gauge,
    pub send_seconds: Histogram,
    pub delivery_seconds: Histogram,
    pub in_flight_events: Gauge,
    pub lag_events: Gauge,
    pub lag_bytes: Gauge,
    pub lag_seconds: Seconds,
}

/// The families behind `OutputMetrics`.
#[derive(Debug)]
pub(super) struct Outputs {
    events: PerName<Counter>,
    bytes: PerName<Counter>,
    filtered: PerName<Counter>,
    undecodable: PerName<Counter>,
    dead_lettered: PerName<Counter>,
    skipped: PerName<Counter>,
    refused: PerName<Counter>,
    retries: PerName<Counter>,
    repeated: PerName<Counter>,
    concurrency: PerName<Gauge>,
    send_seconds: PerName<Histogram>,
    delivery_seconds: PerName<Histogram>,
    in_flight_events: PerName<Gauge>,
    lag_events: PerName<Gauge>,
    lag_bytes: PerName<Gauge>,
    lag_seconds: PerName<Seconds>,
}

impl Outputs {
    pub(super) fn new(book: &mut Book) -> Self {
        let mut counters = |name, unit, help| book.counters(name, unit, "output", help);
        Self {
            events: counters("output_events", None, "Events the sink confirmed"),
            bytes: counters("output", Some(Unit::Bytes), "Bytes the sink confirmed"),
            filtered: counters("output_filtered_events", None, "Events the filter left out"),
            undecodable: counters(
                "output_undecodable_events",
                None,
                "Events written raw with the error beside them",
            ),
            dead_lettered: counters("output_dead_letter_events", None, "Events that went to the dead letter"),
            skipped: counters(
                "output_skipped_events",
                None,
                "Events dropped because the basin was full and this output may skip",
            ),
            refused: counters(
                "output_refused_events",
                None,
                "Events that the far end will never take; they went to the dead letter",
            ),
            retries: counters("output_retries", None, "Batches that had to be sent again"),
            repeated: counters(
                "output_repeated_events",
                None,
                "Events that were sent again though the far end may have had them",
            ),
            concurrency: book.gauges(
                "output_concurrency",
                None,
                "output",
                "Requests that may be under way at a time; fewer while the far end is slow or busy",
            ),
            send_seconds: book.histograms(
                "output_send",
                Unit::Seconds,
                "output",
                "Time from handing a batch to the sink to its answer",
            ),
            delivery_seconds: book.histograms(
                "output_delivery",
                Unit::Seconds,
                "output",
                "Time from receiving what a source handed over at once to all of it being confirmed",
            ),
            in_flight_events: book.gauges(
                "output_in_flight_events",
                None,
                "output",
                "Events that were handed to the sink and are not answered",
            ),
            lag_events: book.gauges(
                "output_lag_events",
                None,
                "output",
                "Events in the basin that this output has not confirmed",
            ),
            lag_bytes: book.gauges(
                "output_lag",
                Some(Unit::Bytes),
                "output",
                "Bytes in the basin that this output has not confirmed",
            ),
            lag_seconds: book.gauges(
                "output_lag",
                Some(Unit::Seconds),
                "output",
                "Age of the oldest event that this output has not confirmed",
            ),
        }
    }

    /// Handles of one `[output.NAME]`.
    pub(super) fn of(&self, name: &str) -> OutputMetrics {
        let label = [("output", name.to_owned())];
        let of = |family: &PerName<Counter>| family.get_or_create_owned(&label);
        OutputMetrics {
            events: of(&self.events),
            bytes: of(&self.bytes),
            filtered: of(&self.filtered),
            undecodable: of(&self.undecodable),
            dead_lettered: of(&self.dead_lettered),
            skipped: of(&self.skipped),
            refused: of(&self.refused),
            retries: of(&self.retries),
            repeated: of(&self.repeated),
            concurrency: self.concurrency.get_or_create_owned(&label),
            send_seconds: self.send_seconds.get_or_create_owned(&label),
            delivery_seconds: self.delivery_seconds.get_or_create_owned(&label),
            in_flight_events: self.in_flight_events.get_or_create_owned(&label),
            lag_events: self.lag_events.get_or_create_owned(&label),
            lag_bytes: self.lag_bytes.get_or_create_owned(&label),
            lag_seconds: self.lag_seconds.get_or_create_owned(&label),
        }
    }
}
