//! What is counted where hosts come in: connections, and handshakes of TLS and Kerberos.
//!
//! Reasons are words of ours, and each is there from the start: a rate needs a nought to begin with.
//! Must not know: what the reasons are.

use crate::telemetry::book::{Book, PerName, PerReason};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

/// What the entrance of one source counts.
#[derive(Clone, Debug)]
pub struct EntranceMetrics {
    open: Gauge,
    pub accepted: Counter,
    pub refused: Reasons,
    pub handshakes: Counter,
    pub failed: Reasons,
    pub tickets: Counter,
    pub denied: Reasons,
}

/// A connection, for as long as it is open.
#[derive(Debug)]
pub struct Open<'m>(&'m Gauge);

/// A counter for each reason.
#[derive(Clone, Debug)]
pub struct Reasons(Vec<(&'static str, Counter)>);

impl EntranceMetrics {
    pub fn open(&self) -> Open<'_> {
        self.open.inc();
        Open(&self.open)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Reasons {
    /// One more for a reason that was named at the start; others are not counted.
    pub fn count(&self, reason: &str) {
        if let Some((_, counter)) = self.0.iter().find(|(known, _)| *known == reason) {
            counter.inc();
        }
    }
}

/// The families behind `EntranceMetrics`.
#[derive(Debug)]
pub(super) struct Entrances {
    open: PerName<Gauge>,
    accepted: PerName<Counter>,
    refused: PerReason,
    handshakes: PerName<Counter>,
    failed: PerReason,
    tickets: PerName<Counter>,
    denied: PerReason,
}

impl Entrances {
    pub(super) fn new(book: &mut Book) -> Self {
        Self {
            open: book.gauges("source_connections", None, "source", "Connections of hosts that are open"),
            accepted: book.counters(
                "source_accepted_connections",
                None,
                "source",
                "Connections that hosts have opened",
            ),
            refused: book.counters_by_reason(
                "source_refused_connections",
                "source, reason",
                "Those of them that were closed at once, by the limit that was reached",
            ),
            handshakes: book.counters(
                "source_handshakes",
                None,
                "source",
                "Handshakes of TLS that led to a connection",
            ),
            failed: book.counters_by_reason(
                "source_failed_handshakes",
                "source, reason",
                "Handshakes of TLS that came to nothing, by what was wrong",
            ),
            tickets: book.counters(
                "source_kerberos_handshakes",
                None,
                "source",
                "Handshakes of Kerberos by which a host signed in",
            ),
            denied: book.counters_by_reason(
                "source_failed_kerberos_handshakes",
                "source, reason",
                "Handshakes of Kerberos that came to nothing, by what was wrong",
            ),
        }
    }

    pub(super) fn of(
        &self,
        source: &str,
        refusals: &[&'static str],
        failures: &[&'static str],
        denials: &[&'static str],
    ) -> EntranceMetrics {
        let label = [("source", source.to_owned())];
        let reasons = |family: &PerReason, reasons: &[&'static str]| {
            let counter = |reason: &&'static str| {
                let labels = [("source", source.to_owned()), ("reason", (*reason).to_owned())];
                (*reason, family.get_or_create_owned(&labels))
            };
            Reasons(reasons.iter().map(counter).collect())
        };
        EntranceMetrics {
            open: self.open.get_or_create_owned(&label),
            accepted: self.accepted.get_or_create_owned(&label),
            refused: reasons(&self.refused, refusals),
            handshakes: self.handshakes.get_or_create_owned(&label),
            failed: reasons(&self.failed, failures),
            tickets: self.tickets.get_or_create_owned(&label),
            denied: reasons(&self.denied, denials),
        }
    }
}
