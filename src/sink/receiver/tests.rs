//! Sinks with connections as their tests use them: from text, attached, with batches of their own. And the addresses
//! of one name.

use super::first_that_answers;
use crate::event::Timestamp;
use crate::finding::Finding;
use crate::sink::{Attachment, Encoded, Item, Sink, SinkConfig};
use crate::telemetry::metrics::metrics;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

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

/// Listens, and lets connections neither in nor be refused.
pub(in crate::sink) async fn swallowing() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let place = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(100), TcpStream::connect(place)).await {
        waiting.push(stream.unwrap());
    }
    (listener, waiting)
}

#[tokio::test]
async fn an_address_that_swallows_connections_leaves_time_for_the_next_of_the_same_name() {
    let (swallowing, _waiting) = swallowing().await;
    let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = gone.local_addr().unwrap();
    drop(gone);
    let [swallowing, good] = [&swallowing, &good].map(|listener| listener.local_addr().unwrap());
    let connected = async |places: &[SocketAddr]| {
        let begun = Instant::now();
        let connected = first_that_answers(places, begun + Duration::from_millis(900)).await;
        (connected, begun.elapsed())
    };
    let (stream, took) = connected(&[nobody, swallowing, swallowing, good]).await;
    assert_eq!(stream.unwrap().peer_addr().unwrap(), good);
    assert!((Duration::from_millis(590)..Duration::from_millis(900)).contains(&took), "{took:?}");
    let (refused, _) = connected(&[swallowing, nobody]).await;
    assert_eq!(refused.unwrap_err().unwrap().kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(connected(&[]).await.0.unwrap_err().is_none());
    // A single one has all of the time: who waits for it ends it.
    let alone = timeout(Duration::from_millis(1200), connected(&[swallowing])).await;
    assert!(alone.is_err());
}
