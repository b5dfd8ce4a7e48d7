//! Statistics of librdkafka, as metrics. Those of topics and partitions are passed over: there may be thousands.
//!
//! Must not know: what they are asked for.

use crate::telemetry::metrics::KafkaMetrics;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What is read of them.
#[derive(Debug, Deserialize)]
pub(super) struct Figures {
    msg_cnt: i64,
    msg_size: i64,
    brokers: BTreeMap<String, Broker>,
}

#[derive(Debug, Deserialize)]
struct Broker {
    nodeid: i32,
    state: String,
    txerrs: u64,
    txretries: u64,
    req_timeouts: u64,
    rtt: Rtt,
}

#[derive(Debug, Default, Deserialize)]
struct Rtt {
    /// Microseconds.
    avg: i64,
}

/// Counts of this producer when they were last read.
#[derive(Debug, Default)]
pub(super) struct Last {
    errors: u64,
    retries: u64,
}

impl Figures {
    pub(super) fn parse(json: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(json)
    }

    pub(super) fn count(&self, last: &mut Last, metrics: &KafkaMetrics) {
        metrics.queue_messages.set(self.msg_cnt);
        metrics.queue_bytes.set(self.msg_size);
        // The first connection to a broker whose number is not known yet is one more entry for it.
        let known = self.brokers.values().filter(|broker| broker.nodeid >= 0);
        let up = known.filter(|broker| matches!(broker.state.as_str(), "UP" | "UPDATE")).count();
        metrics.brokers_up.set(up as i64);
        let slowest = self.brokers.values().map(|broker| broker.rtt.avg).max().unwrap_or(0);
        metrics.rtt_seconds.set(slowest.max(0) as f64 / 1e6);
        let sum = |of: fn(&Broker) -> u64| self.brokers.values().map(of).sum::<u64>();
        let errors = sum(|broker| broker.txerrs + broker.req_timeouts);
        let retries = sum(|broker| broker.txretries);
        metrics.request_errors.inc_by(errors.saturating_sub(last.errors));
        metrics.request_retries.inc_by(retries.saturating_sub(last.retries));
        *last = Last { errors, retries };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_become_gauges_and_what_grew_is_counted() {
        let broker = |id: i32, state: &str, errors: u64| {
            format!(
                r#"{{"nodeid":{id},"state":"{state}","txerrs":{errors},"txretries":2,"req_timeouts":1,"rtt":{{"avg":1500}},"toppars":{{}}}}"#
            )
        };
        let json = |errors| {
            let (a, b) = (broker(-1, "UP", 0), broker(1, "UP", errors));
            format!(r#"{{"msg_cnt":3,"msg_size":900,"topics":{{"x":[]}},"brokers":{{"a":{a},"b":{b}}}}}"#)
        };
        let (metrics, mut last) = (KafkaMetrics::default(), Last::default());
        Figures::parse(json(4).as_bytes()).unwrap().count(&mut last, &metrics);
        Figures::parse(json(5).as_bytes()).unwrap().count(&mut last, &metrics);
        assert_eq!(
            (metrics.queue_messages.get(), metrics.queue_bytes.get(), metrics.brokers_up.get()),
            (3, 900, 1)
        );
        assert_eq!((metrics.request_errors.get(), metrics.request_retries.get()), (7, 4));
        assert!((metrics.rtt_seconds.get() - 0.0015).abs() < 1e-9);
    }
}
