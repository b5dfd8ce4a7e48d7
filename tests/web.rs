//! Outputs over HTTP against receivers that answer as they should, and as they should not.

mod doubt;
mod elastic;
mod http;
pub(crate) mod ledger;
mod otlp;
mod sentinel;
mod size;
mod splunk;
mod tls;
mod trouble;

use crate::support::process::PATIENCE;
use forebay::event::{EventId, Timestamp};
use forebay::finding::Finding;
use forebay::sink::{Attachment, Encoded, Item, SendError, Sent, Sink, SinkConfig};
use forebay::telemetry::metrics;
use forebay::telemetry::metrics::OutputMetrics;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Runtime;

/// A sink as a lane has it.
pub(crate) struct Rig {
    sink: Box<dyn Sink>,
    told: Arc<Mutex<Vec<Finding>>>,
    metrics: OutputMetrics,
    runtime: Runtime,
}

impl Rig {
    /// Of what stands behind `sink.`.
    pub(crate) fn new(sink: &str) -> Self {
        let mut sink = toml::from_str::<SinkConfig>(sink).unwrap().open().unwrap();
        // Metrics of its own, whatever other tests have counted.
        static RIGS: AtomicUsize = AtomicUsize::new(0);
        let name = format!("rig {}", RIGS.fetch_add(1, Ordering::Relaxed));
        let told = Arc::new(Mutex::new(Vec::new()));
        let (kept, metrics) = (Arc::clone(&told), metrics::metrics().output(&name));
        sink.attach(Attachment {
            output: "siem".into(),
            metrics: metrics.clone(),
            report: Arc::new(move |finding| kept.lock().unwrap().push(finding)),
        });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { sink, told, metrics, runtime }
    }

    pub(crate) fn send(&mut self, batch: &Arc<Encoded>) -> Result<Sent, SendError> {
        let Self { sink, runtime, .. } = self;
        runtime.block_on(async { tokio::time::timeout(PATIENCE, sink.send(batch)).await.unwrap() })
    }

    /// What it holds goes now.
    pub(crate) fn settle(&mut self) -> Result<Sent, SendError> {
        let Self { sink, runtime, .. } = self;
        runtime.block_on(async { tokio::time::timeout(PATIENCE, sink.release()).await.unwrap() })
    }

    pub(crate) fn tick(&mut self) -> Result<Sent, SendError> {
        let Self { sink, runtime, .. } = self;
        runtime.block_on(async { tokio::time::timeout(PATIENCE, sink.tick()).await.unwrap() })
    }

    pub(crate) fn sink(&mut self) -> &mut dyn Sink {
        &mut *self.sink
    }

    /// Gives a batch up after this time.
    pub(crate) fn begin(&mut self, batch: &Arc<Encoded>, time: Duration) {
        let Self { sink, runtime, .. } = self;
        assert!(runtime.block_on(async { tokio::time::timeout(time, sink.send(batch)).await }).is_err());
    }

    /// As a lane does, without its pauses.
    pub(crate) fn deliver(&mut self, batch: &Arc<Encoded>) -> Sent {
        for _ in 0..100 {
            match self.send(batch) {
                Ok(sent) => return sent,
                Err(SendError::Retry { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        panic!("never taken: {:?}", self.told());
    }

    /// Whether it says within a second that trying again is worth it.
    pub(crate) fn is_sooner(&mut self) -> bool {
        let Self { sink, runtime, .. } = self;
        let second = Duration::from_secs(2);
        runtime.block_on(async { tokio::time::timeout(second, sink.sooner()).await }).is_ok()
    }

    pub(crate) fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    pub(crate) fn has_told(&self, part: &str) {
        assert!(self.told().iter().any(|told| told.contains(part)), "`{part}` is not in {:?}", self.told());
    }
}

/// Payloads as a batch, each with an id of its own.
pub(crate) fn batch(payloads: impl IntoIterator<Item = String>) -> Arc<Encoded> {
    let (mut bytes, mut items) = (Vec::new(), Vec::new());
    for (number, payload) in payloads.into_iter().enumerate() {
        let start = bytes.len() as u32;
        bytes.extend_from_slice(payload.as_bytes());
        let id = Some(EventId((number as u128 + 1).to_be_bytes()));
        items.push(Item { range: start..bytes.len() as u32, head: 0, id, time: Timestamp(0), route: 0 });
    }
    Arc::new(Encoded { bytes: bytes.into(), items, routes: Vec::new() })
}

/// Whether the sink has let go of the batch, so that the lane can use its buffers again.
#[track_caller]
pub(crate) fn is_free(batch: Arc<Encoded>) {
    assert!(Arc::try_unwrap(batch).is_ok_and(|batch| batch.bytes.is_unique()));
}
