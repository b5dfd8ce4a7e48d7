//! Receivers of OpenTelemetry's protocol: OTLP/HTTP with logs in Protocol Buffers.
//!
//! ```text
//! ExportLogsServiceRequest ─ ResourceLogs ─┬─ Resource: who collects
//!                                          └─ ScopeLogs ─┬─ Scope: forebay
//!                                                        └─ LogRecord: time, severity, attributes, body
//! ```
//!
//! | file | what |
//! |---|---|
//! | `proto` | Protocol Buffers on the wire |
//! | `attribute` | a key with a value |
//! | `record` | what a record has before its body |
//! | `body` | the payload in a record |
//! | `answer` | what the receiver says, and what follows |
//!
//! A record is written in two parts: time, severity and attributes while the event is at hand, before the payload
//! of any format; the rest with the request. `log.record.uid` is the event's id, the same in every copy: by it a
//! receiver can tell those that a lost answer or a crash brings twice.
//! Messages and their numbers: opentelemetry-proto, `logs_service.proto`, `logs.proto`, `resource.proto` and
//! `common.proto`. Must not know: formats.

pub mod answer;
mod attribute;
mod body;
mod proto;
mod record;

#[cfg(test)]
mod tests;

use super::web::client::Ask;
use super::web::courier::Courier;
use super::web::credentials::{AuthConfig, Credentials};
use super::web::reading::Reading;
use super::web::request::{Protocol, Shared};
use super::web::{self, Compression, RequestConfig};
use super::{Attachment, Encoded, Head, Sending, Sent, Sink, SinkError, Waiting};
use crate::auth::tls::outgoing;
use crate::filter::OneOrMany;
use crate::finding::Finding;
use crate::format::Framing;
use crate::units::ByteSize;
use bytes::Bytes;
use hyper::{HeaderMap, Method};
use record::Records;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use body::Body;

/// A receiver of OpenTelemetry's protocol, by HTTP: a collector of theirs, or what takes what these send.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it is, such as `https://otel:4318`, or a list: they are used in turn.
    pub url: OneOrMany<String>,
    /// What follows in the address of each request.
    #[serde(default = "path_default")]
    pub path: String,
    /// How the payload stands in a record.
    #[serde(default)]
    pub body: Body,
    /// Attributes of the resource, by name, beside or instead of `service.name` (`forebay`), `service.version` and
    /// `service.instance.id` (the name of this machine). An empty text leaves one of these out. The machine that an
    /// event is of stands in the record, as `host.name`.
    #[serde(default)]
    pub resource: BTreeMap<String, String>,
    /// Headers of every request, by name.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub auth: AuthConfig,
    #[serde(default)]
    pub request: RequestConfig,
    #[serde(default)]
    pub tls: outgoing::Config,
}

// Where the specification has logs.
fn path_default() -> String {
    "/v1/logs".into()
}

/// Receivers take up to 20 MiB; past this a request is not taken faster.
const REQUEST_BYTES: u64 = 1 << 20;
/// A line, mostly.
const ANSWER_BYTES_MAX: usize = 1 << 20;

impl Config {
    /// The checked sink; nothing is touched before its first use.
    ///
    /// # Errors
    /// Names the setting that cannot be.
    pub fn open(&self) -> Result<Otlp, SinkError> {
        let wrong = |setting, why: String| SinkError::Setting { setting, why };
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#');
        if !(self.path.starts_with('/') && self.path.bytes().all(is_plain)) {
            return Err(wrong("path", "write such as `/v1/logs`, which it is without".into()));
        }
        let doubled = |url: &&String| self.path != "/" && url.trim_end_matches('/').ends_with(&self.path);
        if let Some(url) = self.url.iter().find(doubled) {
            let why = format!("`{}` is put behind `{url}`; leave it out there, or set `path`", self.path);
            return Err(wrong("url", why));
        }
        let headers = web::headers("application/x-protobuf", &self.headers)?;
        let credentials = Credentials::of(&self.auth).map_err(|(setting, why)| wrong(setting, why))?;
        let client = web::client(&self.url, &self.tls, &self.request, ANSWER_BYTES_MAX)?;
        let logs = Logs { path: self.path.clone(), headers, body: self.body, around: self.around() };
        let compression = self.request.compression.unwrap_or(Compression::Gzip);
        let shared = Shared { client, protocol: logs, credentials, compression };
        let bytes = self.request.bytes.map_or(REQUEST_BYTES, |bytes| bytes.0) as usize;
        Ok(Otlp { courier: Courier::new(shared, bytes, self.request.concurrency_max) })
    }

    fn around(&self) -> Around {
        // Of the kernel itself: a service may see nothing of /proc but processes.
        let machine = rustix::system::uname();
        let host = machine.nodename().to_string_lossy();
        let own = [
            ("service.name", "forebay"),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("service.instance.id", &*host),
        ];
        let others = self.resource.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let own = own.into_iter().filter(|(name, _)| !self.resource.contains_key(*name));
        let mut around = Around::default();
        let start = proto::open(RESOURCE, &mut around.resource);
        for (name, value) in own.chain(others).filter(|(_, value)| !value.is_empty()) {
            attribute::of_resource(name, value, &mut around.resource);
        }
        proto::close(start, &mut around.resource);
        let start = proto::open(SCOPE, &mut around.scope);
        proto::bytes(SCOPE_NAME, b"forebay", &mut around.scope);
        proto::bytes(SCOPE_VERSION, env!("CARGO_PKG_VERSION").as_bytes(), &mut around.scope);
        proto::close(start, &mut around.scope);
        around
    }

    /// Whether it is there, lets us in and speaks the protocol: a request without records is answered with success.
    pub async fn probe(&self, output: &str) -> Vec<Finding> {
        let Ok(sink) = self.open() else { return Vec::new() };
        web::probe_empty(sink.courier.shared(), output).await
    }

    /// Bytes of a batch where none are given.
    pub fn batch_bytes(&self) -> ByteSize {
        ByteSize::mib(4)
    }
}

/// The sink.
pub struct Otlp {
    courier: Courier<Logs>,
}

impl Sink for Otlp {
    fn attach(&mut self, attachment: Attachment) {
        self.courier.attach(attachment);
    }

    fn of_others(&mut self, are: bool) {
        self.courier.of_others(are);
    }

    fn send<'s>(&'s mut self, batch: &'s Arc<Encoded>) -> Sending<'s> {
        Box::pin(self.courier.deliver(batch))
    }

    fn wants_ids(&self) -> bool {
        true
    }

    fn framing(&self, _: Framing) -> Framing {
        Framing::None
    }

    fn head(&self) -> Option<Box<dyn Head>> {
        Some(Box::new(Records::default()))
    }

    fn tick(&mut self) -> Sending<'_> {
        self.courier.look();
        Box::pin(std::future::ready(Ok(Sent::Confirmed)))
    }

    fn sooner(&mut self) -> Waiting<'_> {
        Box::pin(self.courier.unlocked())
    }
}

/// What is the same in each request, as it stands there.
#[derive(Default)]
struct Around {
    resource: Vec<u8>,
    scope: Vec<u8>,
}

/// What a receiver of logs wants and says.
struct Logs {
    path: String,
    headers: HeaderMap,
    body: Body,
    around: Around,
}

/// Fields of `ExportLogsServiceRequest`, `ResourceLogs`, `ScopeLogs`, `InstrumentationScope` and `LogRecord`.
const RESOURCE_LOGS: u32 = 1;
const RESOURCE: u32 = 1;
const SCOPE_LOGS: u32 = 2;
const SCOPE: u32 = 1;
const SCOPE_NAME: u32 = 1;
const SCOPE_VERSION: u32 = 2;
const LOG_RECORD: u32 = 2;
const BODY: u32 = 5;

impl Protocol for Logs {
    fn ask(&self) -> Ask {
        let Self { path, headers, .. } = self;
        Ask { method: Method::POST, path: path.clone(), headers: headers.clone(), body: Bytes::new() }
    }

    fn write(&self, batch: &Encoded, items: &[u32], body: &mut Vec<u8>) {
        // Nothing is to be sent around no records.
        if items.is_empty() {
            return;
        }
        let resource_logs = proto::open(RESOURCE_LOGS, body);
        body.extend_from_slice(&self.around.resource);
        let scope_logs = proto::open(SCOPE_LOGS, body);
        body.extend_from_slice(&self.around.scope);
        for index in items.iter().map(|item| *item as usize) {
            let (head, payload) = batch.parts(index);
            let record = proto::open(LOG_RECORD, body);
            body.extend_from_slice(head);
            if let Some(id) = batch.items[index].id {
                attribute::display("log.record.uid", id, body);
            }
            let value = proto::open(BODY, body);
            body::write(self.body, payload, body);
            proto::close(value, body);
            proto::close(record, body);
        }
        proto::close(scope_logs, body);
        proto::close(resource_logs, body);
    }

    fn beside(&self) -> usize {
        // Id, tags and lengths.
        80
    }

    fn read(&self, answer: &web::answer::Answer, items: usize) -> Reading {
        answer::read(answer, items)
    }
}

impl fmt::Debug for Config {
    /// Without headers, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("url", &self.url).field("body", &self.body).finish_non_exhaustive()
    }
}
