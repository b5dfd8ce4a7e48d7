//! What outputs to Kafka count beside what all outputs do, from the statistics of librdkafka.
//!
//! Must not know: who updates them.

use super::Seconds;
use crate::telemetry::book::{Book, PerName};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;

/// What one output to Kafka counts.
#[derive(Clone, Debug, Default)]
pub struct KafkaMetrics {
    pub queue_messages: Gauge,
    pub queue_bytes: Gauge,
    pub brokers_up: Gauge,
    pub rtt_seconds: Seconds,
    pub request_errors: Counter,
    pub request_retries: Counter,
    pub producers: Counter,
}

/// The families behind `KafkaMetrics`.
#[derive(Debug)]
pub(super) struct Kafka {
    queue_messages: PerName<Gauge>,
    queue_bytes: PerName<Gauge>,
    brokers_up: PerName<Gauge>,
    rtt_seconds: PerName<Seconds>,
    request_errors: PerName<Counter>,
    request_retries: PerName<Counter>,
    producers: PerName<Counter>,
}

impl Kafka {
    pub(super) fn new(book: &mut Book) -> Self {
        let queue_messages = book.gauges(
            "output_kafka_queue_messages",
            None,
            "output",
            "Messages that the Kafka client holds",
        );
        let queue_bytes = book.gauges(
            "output_kafka_queue",
            Some(Unit::Bytes),
            "output",
            "Bytes of the messages that the Kafka client holds",
        );
        let brokers_up = book.gauges(
            "output_kafka_brokers_up",
            None,
            "output",
            "Brokers with a connection that is signed in",
        );
        let rtt_seconds = book.gauges(
            "output_kafka_rtt",
            Some(Unit::Seconds),
            "output",
            "Mean time to an answer of the slowest broker, over the last seconds",
        );
        let mut counters = |name, help| book.counters(name, None, "output", help);
        Self {
            queue_messages,
            queue_bytes,
            brokers_up,
            rtt_seconds,
            request_errors: counters(
                "output_kafka_request_errors",
                "Requests to brokers that could not be sent, or were not answered in time",
            ),
            request_retries: counters("output_kafka_request_retries", "Requests that were sent again"),
            producers: counters(
                "output_kafka_producers",
                "Producers that were made: one at the start, one after each fatal error and change of secrets",
            ),
        }
    }

    /// Handles of one `[output.NAME]`.
    pub(super) fn of(&self, name: &str) -> KafkaMetrics {
        let label = [("output", name.to_owned())];
        KafkaMetrics {
            queue_messages: self.queue_messages.get_or_create_owned(&label),
            queue_bytes: self.queue_bytes.get_or_create_owned(&label),
            brokers_up: self.brokers_up.get_or_create_owned(&label),
            rtt_seconds: self.rtt_seconds.get_or_create_owned(&label),
            request_errors: self.request_errors.get_or_create_owned(&label),
            request_retries: self.request_retries.get_or_create_owned(&label),
            producers: self.producers.get_or_create_owned(&label),
        }
    }
}
