//! Sinks with connections as their tests use them: from text, attached, with batches of their own.

use crate::event::Timestamp;
use crate::finding::Finding;
use crate::sink::{Attachment, Encoded, Item, Sink, SinkConfig};
use crate::telemetry::metrics::metrics;
use std::sync::{Arc, Mutex};

/// What was told.
#[derive(Clone, Default)]
pub(in crate::sink) struct Reports(Arc<Mutex<Vec<String>>>);

impl Reports {
    pub(in crate::sink) fn taken(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// The sink of an output `siem`.
pub(in crate::sink) fn sink_of(text: &str) -> (Box<dyn Sink>, Reports) {
    let mut sink = toml::from_str::<SinkConfig>(text).unwrap().open().unwrap();
    let reports = Reports::default();
    let told = reports.clone();
    sink.attach(Attachment {
        output: "siem".into(),
        metrics: metrics().output("siem"),
        report: Arc::new(move |finding: Finding| told.0.lock().unwrap().push(finding.to_string())),
    });
    (sink, reports)
}

pub(in crate::sink) fn batch(texts: &[&str]) -> Arc<Encoded> {
    let (mut bytes, mut items) = (Vec::new(), Vec::new());
    for text in texts {
        let start = bytes.len() as u32;
        bytes.extend_from_slice(text.as_bytes());
        let range = start..bytes.len() as u32;
        items.push(Item { range, head: 0, id: None, time: Timestamp(0), route: 0 });
    }
    Arc::new(Encoded { bytes: bytes.into(), items, routes: Vec::new() })
}
