//! Destinations: bytes out, what the answer meant in.
//!
//! A sink sends encoded batches and says what became of them; retry, pause, batching, filtering
//! and dead letters are written once, in the lane. To add one: its file, a field in `SinkConfig`
//! with its arm in `open`, an example under `pipelines/`.
//! Promise: `Confirmed` means the far end has the whole batch, durably where it can be durable.
//! Must not know: where batches come from, the basin, other outputs.

mod dial;
pub mod elasticsearch;
mod encoded;
pub mod evtx;
pub mod file;
pub mod http;
pub mod kafka;
pub mod keep;
pub mod name;
pub mod otlp;
pub mod path;
pub mod receiver;
pub mod relp;
pub mod s3;
mod secret;
pub mod sentinel;
pub mod socket;
pub mod splunk_hec;
pub mod stdout;
pub mod syslog;
mod template;
pub mod web;

pub use encoded::{Encoded, Item};

use crate::finding::Finding;
use crate::format::Framing;
use crate::telemetry::metrics::OutputMetrics;
use crate::units::ByteSize;
use bytes::Bytes;
use path::{RouteValues, Router};
use schemars::JsonSchema;
use serde::Deserialize;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// One destination. Calls come one after the other, batches in the order of the basin.
pub trait Sink: Send {
    /// Called once before everything else.
    fn attach(&mut self, attachment: Attachment) {
        let _ = attachment;
    }

    /// Sends the batch. A future that is dropped half-way leaves the sink such that the same
    /// batch can be sent again, or the process restarted and `resume`d. After `Retry` and
    /// `CheckpointFirst` the very same `Arc` comes again, so what was taken of it need not be sent
    /// twice. How much of a batch is under way at a time is the sink's own affair; the next batch
    /// comes when all of this one is answered, which keeps the order.
    fn send<'s>(&'s mut self, batch: &'s Arc<Encoded>) -> Sending<'s>;

    /// Called once before the first `send`, with the note that is durable with the cursor: what
    /// was written after it is taken back, because those events come again. Empty: nothing is
    /// known, as on the very first start and with a memory basin.
    ///
    /// # Errors
    /// When what was written cannot be taken back now; the lane tries again.
    fn resume(&mut self, note: &[u8]) -> Result<Vec<Finding>, SendError> {
        let _ = note;
        Ok(Vec::new())
    }

    /// The sink's own state after all that it has confirmed, at most `NOTE_BYTES_MAX`.
    fn note(&self) -> Bytes {
        Bytes::new()
    }

    /// Names the route of every event, for sinks whose place depends on the event.
    fn router(&self) -> Option<Router> {
        None
    }

    /// Whether it uses the ids of events: they cost a hash over the text.
    fn wants_ids(&self) -> bool {
        false
    }

    /// How payloads are told apart, for a sink that does not leave that to the format.
    fn framing(&self, format: Framing) -> Framing {
        format
    }

    /// What it wants before the payload of each event.
    fn head(&self) -> Option<Box<dyn Head>> {
        None
    }

    /// The most memory that it may hold batches in (`Sent::Held`); called once, before the first `send`.
    fn hold(&mut self, bytes: u64) {
        let _ = bytes;
    }

    /// Whether what is sent from here on is of other outputs: what is refused of it says nothing of our own events, and
    /// is believed at once.
    fn of_others(&mut self, are: bool) {
        let _ = are;
    }

    /// Brings what it holds to the far end now, because nothing more is coming, or nothing that belongs to it. As
    /// `send`, but never `Held`.
    fn release(&mut self) -> Sending<'_> {
        Box::pin(std::future::ready(Ok(Sent::Confirmed)))
    }

    /// How often `tick` is wanted while nothing comes.
    fn tick_every(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// Called between batches, for what time alone brings about. After `CheckpointFirst` it is called again, as
    /// `send` is. `Held`: what it holds is not old enough.
    fn tick(&mut self) -> Sending<'_> {
        Box::pin(std::future::ready(Ok(Sent::Confirmed)))
    }

    /// Ends when it is worth trying again before a pause is over.
    fn sooner(&mut self) -> Waiting<'_> {
        Box::pin(std::future::pending())
    }

    /// Nothing more is coming: finish what is open. The `note` after it is stored with the cursor when
    /// the lane has ended in order.
    fn close(&mut self) -> Closing<'_> {
        Box::pin(std::future::ready(Ok(())))
    }
}

pub type Sending<'s> = Pin<Box<dyn Future<Output = Result<Sent, SendError>> + Send + 's>>;
pub type Waiting<'s> = Pin<Box<dyn Future<Output = ()> + Send + 's>>;
pub type Closing<'s> = Pin<Box<dyn Future<Output = Result<(), SendError>> + Send + 's>>;

/// Largest note of a sink; the basin keeps it beside the cursor in a slot of fixed size.
pub const NOTE_BYTES_MAX: usize = 60 * 1024;

/// Writes what a protocol has before each payload: a header, a key.
pub trait Head: Send {
    fn write(&mut self, of: &RouteValues<'_, '_>, out: &mut Vec<u8>);
}

/// What a sink is told of where it is used.
#[derive(Clone)]
pub struct Attachment {
    /// Name of the output.
    pub output: Arc<str>,
    pub metrics: OutputMetrics,
    /// Takes what an operator should know; one that repeats is counted, not told again.
    pub report: Arc<dyn Fn(Finding) + Send + Sync>,
}

/// What became of a batch that met no obstacle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The far end has all of it.
    Confirmed,
    /// The far end has all of it but these, which it will never take; in their order, each once.
    Partly(Vec<Refusal>),
    /// Nothing of it was written. The sink needs the cursor and its present `note` durable before
    /// it may go on; then send the same batch again.
    CheckpointFirst,
    /// The sink has it, and the far end not all of it: the cursor stays. A later `Confirmed` is said of all that was
    /// held before it; after a restart all of it comes again.
    Held,
}

/// One event that a far end will never take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Index into `Encoded::items`.
    pub item: u32,
    /// In the receiver's own words.
    pub reason: String,
}

/// Why a batch was not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SendError {
    /// May work later, with the same batch.
    #[error("{peer}: {reason}")]
    Retry {
        peer: String,
        reason: String,
        /// Not before this, as the receiver said.
        after: Option<Duration>,
    },
    /// Something in this batch will never be taken, and it is not known what. Nothing of it was.
    #[error("{peer} refused: {reason}")]
    Refused { peer: String, reason: String },
    /// The far end is gone for good, as a closed pipe is: the run ends.
    #[error("{peer} is gone: {reason}")]
    Gone { peer: String, reason: String },
}

impl SendError {
    /// May work later.
    pub fn retry(peer: impl Into<String>, reason: impl ToString) -> Self {
        Self::Retry { peer: peer.into(), reason: reason.to_string(), after: None }
    }
}

/// A blocking call that did not return: a mistake of ours goes on as a panic, the end of the runtime
/// is the end of the sink.
fn cut_off(ended: tokio::task::JoinError) -> SendError {
    match ended.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(ended) => SendError::Gone { peer: "the process".into(), reason: ended.to_string() },
    }
}

/// The destination of an output: exactly one of these.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SinkConfig {
    /// Elasticsearch and OpenSearch.
    pub elasticsearch: Option<elasticsearch::Config>,
    /// Windows event logs on this machine.
    pub evtx: Option<evtx::Config>,
    /// Files on this machine.
    pub file: Option<file::Config>,
    /// Any receiver of HTTP.
    pub http: Option<http::Config>,
    /// Kafka, and what speaks its protocol.
    pub kafka: Option<kafka::Config>,
    /// OpenTelemetry's collector, and what takes what these send.
    pub otlp: Option<otlp::Config>,
    /// A receiver of syslog messages that confirms each.
    pub relp: Option<relp::Config>,
    /// Objects in S3, and in stores that speak its protocol.
    pub s3: Option<s3::Config>,
    /// Microsoft Sentinel, by the Logs Ingestion API.
    pub sentinel: Option<sentinel::Config>,
    /// A plain socket: TCP, TLS, or a Unix socket of this machine. Nobody answers: over TCP what a dying receiver had not
    /// read is lost, over a Unix socket what it had read and not yet written.
    pub socket: Option<socket::Config>,
    /// Splunk, by its HTTP Event Collector.
    pub splunk_hec: Option<splunk_hec::Config>,
    /// The standard output of the process.
    pub stdout: Option<stdout::Config>,
    /// A receiver of syslog messages, over TCP, TLS or UDP.
    pub syslog: Option<syslog::Config>,
}

impl SinkConfig {
    /// Checks what was written; opens nothing.
    ///
    /// # Errors
    /// When not exactly one destination is named, or its settings contradict each other.
    pub fn check(&self) -> Result<(), SinkError> {
        self.open().map(|_| ())
    }

    /// The folder that what it writes is in, for a sink that writes to this machine.
    pub fn folder(&self) -> Option<PathBuf> {
        Some(path::PathTemplate::parse(self.path()?).ok()?.root().to_path_buf())
    }

    /// The template of what it writes, for a sink that writes to this machine.
    pub fn path(&self) -> Option<&str> {
        match (&self.evtx, &self.file) {
            (Some(evtx), _) => Some(&evtx.path),
            (None, Some(file)) => Some(&file.path),
            (None, None) => None,
        }
    }

    /// Whether each payload must be one message, as it is with syslog, and no stream of them.
    pub fn takes_messages(&self) -> bool {
        self.syslog.is_some() || self.relp.is_some()
    }

    /// What would keep it from delivering, as far as a connection tells. Nothing is sent.
    pub async fn probe(&self, output: &str) -> Vec<Finding> {
        match self {
            Self { elasticsearch: Some(elasticsearch), .. } => elasticsearch.probe(output).await,
            Self { kafka: Some(kafka), .. } => kafka.probe(output).await,
            Self { otlp: Some(otlp), .. } => otlp.probe(output).await,
            Self { relp: Some(relp), .. } => relp.probe(output).await,
            Self { s3: Some(s3), .. } => s3.probe(output).await,
            Self { sentinel: Some(sentinel), .. } => sentinel.probe(output).await,
            Self { socket: Some(socket), .. } => socket.probe(output).await,
            Self { splunk_hec: Some(hec), .. } => hec.probe(output).await,
            Self { syslog: Some(syslog), .. } => syslog.probe(output).await,
            _ => Vec::new(),
        }
    }

    /// What is allowed, and weakens a promise: the key below the kind, what, what to do.
    pub fn doubts(&self) -> Vec<kafka::Doubt> {
        self.kafka.as_ref().map_or_else(Vec::new, kafka::Config::doubts)
    }

    /// Memory that it would like to hold batches in.
    pub fn hold_bytes(&self) -> ByteSize {
        self.s3.as_ref().map_or(ByteSize(0), s3::Config::hold_bytes)
    }

    /// Bytes of a batch where none are given.
    pub fn batch_bytes(&self) -> ByteSize {
        let own = [
            self.elasticsearch.as_ref().map(elasticsearch::Config::batch_bytes),
            self.http.as_ref().map(http::Config::batch_bytes),
            self.otlp.as_ref().map(otlp::Config::batch_bytes),
            self.sentinel.as_ref().map(sentinel::Config::batch_bytes),
            self.splunk_hec.as_ref().map(splunk_hec::Config::batch_bytes),
        ];
        // Where larger writes and requests stop being faster.
        own.into_iter().flatten().next().unwrap_or(ByteSize::mib(1))
    }

    /// The checked sink, not yet touching its destination.
    ///
    /// # Errors
    /// As `check`.
    pub fn open(&self) -> Result<Box<dyn Sink>, SinkError> {
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        if let Some(evtx) = &self.evtx {
            sinks.push(Box::new(evtx.open()?));
        }
        if let Some(file) = &self.file {
            sinks.push(Box::new(file.open()?));
        }
        if let Some(kafka) = &self.kafka {
            sinks.push(kafka.open()?);
        }
        if let Some(relp) = &self.relp {
            sinks.push(Box::new(relp.open()?));
        }
        if let Some(elasticsearch) = &self.elasticsearch {
            sinks.push(Box::new(elasticsearch.open()?));
        }
        if let Some(http) = &self.http {
            sinks.push(Box::new(http.open()?));
        }
        if let Some(otlp) = &self.otlp {
            sinks.push(Box::new(otlp.open()?));
        }
        if let Some(s3) = &self.s3 {
            sinks.push(Box::new(s3.open()?));
        }
        if let Some(sentinel) = &self.sentinel {
            sinks.push(Box::new(sentinel.open()?));
        }
        if let Some(hec) = &self.splunk_hec {
            sinks.push(Box::new(hec.open()?));
        }
        if let Some(socket) = &self.socket {
            sinks.push(Box::new(socket.open()?));
        }
        if let Some(stdout) = &self.stdout {
            sinks.push(Box::new(stdout.open()));
        }
        if let Some(syslog) = &self.syslog {
            sinks.push(Box::new(syslog.open()?));
        }
        let sink = sinks.pop().ok_or(SinkError::NotOne("none"))?;
        if sinks.is_empty() { Ok(sink) } else { Err(SinkError::NotOne("more than one")) }
    }
}

/// Why a sink's configuration cannot be used.
#[derive(Debug, Error)]
pub enum SinkError {
    #[error(
        "{0} of the destinations is set; write exactly one of `sink.elasticsearch`, `sink.evtx`, `sink.file`, \
         `sink.http`, `sink.kafka`, `sink.otlp`, `sink.relp`, `sink.s3`, `sink.sentinel`, `sink.socket`, \
         `sink.splunk_hec`, `sink.stdout`, `sink.syslog`"
    )]
    NotOne(&'static str),
    #[error(transparent)]
    Template(#[from] path::TemplateError),
    #[error("{setting}: {why}")]
    Setting { setting: &'static str, why: String },
}

impl SinkError {
    /// The dotted key in the table of the kind; empty when it is the table itself.
    pub fn key(&self) -> &'static str {
        match self {
            Self::NotOne(_) => "",
            Self::Template(_) => "path",
            Self::Setting { setting, .. } => setting,
        }
    }
}

#[cfg(test)]
mod contract;
