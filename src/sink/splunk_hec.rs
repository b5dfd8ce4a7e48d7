//! Splunk, by its HTTP Event Collector.
//!
//! | file | what |
//! |---|---|
//! | `answer` | what the collector says, and what follows from each of its codes |
//! | `acks` | waiting until events are indexed, where the token asks for that |
//!
//! Without indexer acknowledgement `Confirmed` means that the collector has the events in its queue, which is all
//! that it tells then. With it a batch is confirmed when all of it is indexed; Splunk takes some seconds for that,
//! so a batch should be larger then (`batch.bytes`).
//! Promise: what the collector says to have indexed before an event that is not taken is not sent again. It gives no
//! number to ask for then, so that counts as without acknowledgement.
//! Must not know: how an event looks in Splunk (`format.splunk`).

mod acks;
pub mod answer;

use super::web::client::Ask;
use super::web::courier::Courier;
use super::web::credentials::{Credentials, Scheme, Secret};
use super::web::reading::Reading;
use super::web::request::{Protocol, Shared};
use super::web::{self, Compression, RequestConfig};
use super::{Attachment, Encoded, Sending, Sent, Sink, SinkError, Waiting};
use crate::auth::tls::outgoing;
use crate::filter::OneOrMany;
use crate::finding::Finding;
use crate::format::Framing;
use crate::units::{ByteSize, Span};
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, header::HeaderName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Splunk's HTTP Event Collector.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the collector is, such as `https://splunk:8088`, or a list: they are used in turn. Behind a load
    /// balancer acknowledgements need one that keeps a client at its indexer.
    pub url: OneOrMany<String>,
    /// The token.
    pub token: Option<String>,
    /// A file that holds the token; it is read again when it changes.
    pub token_file: Option<PathBuf>,
    /// Whether a batch counts only when Splunk has indexed it.
    #[serde(default)]
    pub ack: Ack,
    /// How long events may take to be indexed before they are sent again.
    #[serde(default = "ack_timeout_default")]
    pub ack_timeout: Span,
    /// Sends lines to the raw endpoint instead of events to the event endpoint, with this about all of them.
    pub raw: Option<RawConfig>,
    #[serde(default)]
    pub request: RequestConfig,
    #[serde(default)]
    pub tls: outgoing::Config,
}

// Indexing takes seconds, and minutes where indexers are behind.
fn ack_timeout_default() -> Span {
    Span::secs(300)
}

/// Indexer acknowledgement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ack {
    /// When the token has it switched on.
    #[default]
    Auto,
    /// Nothing is sent with a token that has it switched off.
    On,
    /// What the collector took is confirmed.
    Off,
}

/// What Splunk is told about all lines; empty: what the token says.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// The index.
    pub index: Option<String>,
    /// Such as `XmlWinEventLog`.
    pub sourcetype: Option<String>,
    /// Such as `XmlWinEventLog:Security`.
    pub source: Option<String>,
    /// The host, for all lines alike.
    pub host: Option<String>,
}

/// Splunk Cloud advises against more than 1 MB; an old default limit is 1 MB.
const REQUEST_BYTES: u64 = 800 * 1024;
/// Answers are a line.
const ANSWER_BYTES_MAX: usize = 1 << 20;

impl Config {
    /// The checked sink; nothing is touched before its first use.
    ///
    /// # Errors
    /// Names the setting that cannot be.
    pub fn open(&self) -> Result<SplunkHec, SinkError> {
        let wrong = |setting, why: &str| SinkError::Setting { setting, why: why.into() };
        let secret = Secret::one_of(self.token.as_ref(), self.token_file.as_ref());
        let secret = secret
            .map_err(|why| wrong("token", why))?
            .ok_or_else(|| wrong("token", "write `token` or `token_file`"))?;
        let compression = self.request.compression.unwrap_or(Compression::Gzip);
        if compression == Compression::Zstd {
            return Err(wrong("request.compression", "Splunk reads `gzip` and `none`"));
        }
        if self.ack_timeout.0.is_zero() {
            return Err(wrong("ack_timeout", "nothing is indexed in no time; write such as `5m`"));
        }
        let client = web::client(&self.url, &self.tls, &self.request, ANSWER_BYTES_MAX)?;
        let channel = web::guid();
        let hec = Hec { path: self.path(&channel), channel, ack: self.ack, is_raw: self.raw.is_some() };
        let credentials = Credentials::new(Some((Scheme::Word("Splunk"), secret)));
        let shared = Shared { client, protocol: hec, credentials, compression };
        let bytes = self.request.bytes.map_or(REQUEST_BYTES, |bytes| bytes.0) as usize;
        Ok(SplunkHec {
            courier: Courier::new(shared, bytes, self.request.concurrency_max),
            ack_timeout: self.ack_timeout.0,
            is_asked: self.ack != Ack::On,
        })
    }

    fn path(&self, channel: &str) -> String {
        let Some(raw) = &self.raw else { return "/services/collector/event".into() };
        let mut path = format!("/services/collector/raw?channel={channel}");
        for (name, value) in [
            ("index", &raw.index),
            ("sourcetype", &raw.sourcetype),
            ("source", &raw.source),
            ("host", &raw.host),
        ] {
            if let Some(value) = value {
                path += &format!("&{name}={}", web::escaped(value));
            }
        }
        path
    }

    /// Whether the collector is there and lets us in: its health endpoint answers whatever the token, so it gets a
    /// request without events.
    pub async fn probe(&self, output: &str) -> Vec<Finding> {
        let Ok(sink) = self.open() else { return Vec::new() };
        let shared = sink.courier.shared();
        web::probe(shared, shared.protocol.ask(), output, &answer::doubt).await
    }

    /// Bytes of a batch where none are given.
    pub fn batch_bytes(&self) -> ByteSize {
        ByteSize::mib(4)
    }
}

/// The sink.
pub struct SplunkHec {
    courier: Courier<Hec>,
    ack_timeout: std::time::Duration,
    /// Whether the token is known to acknowledge, where that is a must.
    is_asked: bool,
}

impl Sink for SplunkHec {
    fn attach(&mut self, attachment: Attachment) {
        self.courier.attach(attachment);
    }

    fn of_others(&mut self, are: bool) {
        self.courier.of_others(are);
    }

    fn send<'s>(&'s mut self, batch: &'s Arc<Encoded>) -> Sending<'s> {
        Box::pin(async move {
            self.ask_for_acks().await?;
            loop {
                self.courier.carry(batch).await?;
                self.indexed(batch).await?;
                if self.courier.progress(batch).is_done() {
                    return Ok(self.courier.end(batch));
                }
            }
        })
    }

    fn framing(&self, format: Framing) -> Framing {
        if format == Framing::Length { Framing::Line } else { format }
    }

    fn tick(&mut self) -> Sending<'_> {
        self.courier.look();
        Box::pin(std::future::ready(Ok(Sent::Confirmed)))
    }

    fn sooner(&mut self) -> Waiting<'_> {
        Box::pin(self.courier.unlocked())
    }
}

/// What the collector wants and says.
pub(crate) struct Hec {
    path: String,
    /// By which it knows its acknowledgements for us.
    channel: String,
    ack: Ack,
    is_raw: bool,
}

impl Hec {
    fn ask_at(&self, path: String, body: Bytes) -> Ask {
        let mut headers = HeaderMap::new();
        let kind = if self.is_raw { "text/plain; charset=utf-8" } else { "application/json" };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if let Ok(channel) = HeaderValue::from_str(&self.channel) {
            headers.insert(HeaderName::from_static("x-splunk-request-channel"), channel);
        }
        Ask { method: Method::POST, path, headers, body }
    }
}

impl Protocol for Hec {
    fn ask(&self) -> Ask {
        self.ask_at(self.path.clone(), Bytes::new())
    }

    fn write(&self, batch: &Encoded, items: &[u32], body: &mut Vec<u8>) {
        for item in items {
            body.extend_from_slice(batch.item(*item as usize));
        }
    }

    fn read(&self, answer: &web::answer::Answer, items: usize) -> Reading {
        answer::read(answer, items, self.ack)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("url", &self.url).field("ack", &self.ack).finish_non_exhaustive()
    }
}
