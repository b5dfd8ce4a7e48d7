//! Elasticsearch and OpenSearch, by `_bulk`.
//!
//! Events are created under an `_id` that follows from them, so one that is sent again is found to be there (409)
//! and counts as taken: what a crash repeats is in the index once. `create` is also what data streams ask for.
//! Each event of a request has its own answer: those that a busy shard turned away are sent again, those that do
//! not fit the mapping are refused, in the receiver's words, and nothing happens to the others.
//! Must not know: how an event looks in the index (`format.ecs`).

pub mod answer;

use super::name::{Alphabet, NameTemplate};
use super::path::Router;
use super::web::answer::Answer;
use super::web::client::Ask;
use super::web::courier::Courier;
use super::web::credentials::{AuthConfig, Credentials};
use super::web::reading::Reading;
use super::web::request::{Protocol, Shared};
use super::web::{self, Compression, RequestConfig};
use super::{Attachment, Encoded, Sending, Sent, Sink, SinkError, Waiting};
use crate::auth::tls::outgoing;
use crate::filter::OneOrMany;
use crate::finding::Finding;
use crate::format::Framing;
use crate::units::ByteSize;
use bytes::Bytes;
use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::io::Write;
use std::sync::Arc;

/// Elasticsearch and OpenSearch.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it is, such as `https://elastic:9200`, or a list of nodes: they are used in turn.
    pub url: OneOrMany<String>,
    /// Data stream or index: text, then `{channel}`, `{computer}`, `{yyyy}` and so on, as in the path of a file.
    #[serde(default = "index_default")]
    pub index: String,
    /// Whether events have an `_id` that follows from them: one that is sent again is there once then. Without,
    /// indexing is cheaper, and a crash can leave duplicates.
    #[serde(default = "ids_default")]
    pub ids: bool,
    /// An ingest pipeline.
    pub pipeline: Option<String>,
    #[serde(default)]
    pub auth: AuthConfig,
    #[serde(default)]
    pub request: RequestConfig,
    #[serde(default)]
    pub tls: outgoing::Config,
}

// Where Elastic's integration for forwarded events puts them, with mappings and dashboards.
fn index_default() -> String {
    "logs-windows.forwarded-default".into()
}

fn ids_default() -> bool {
    true
}

/// Past this a request is not indexed faster.
const REQUEST_BYTES: u64 = 1 << 20;
/// A line for each event of the largest request, with an error in each.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// What is left out of an answer is not sent and not read.
const FILTER: &str = "filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason,\
                      items.*.error.caused_by.reason,error.type,error.reason,status";

impl Config {
    /// The checked sink; nothing is touched before its first use.
    ///
    /// # Errors
    /// Names the setting that cannot be.
    pub fn open(&self) -> Result<Elasticsearch, SinkError> {
        let template = NameTemplate::parse(&self.index, Alphabet::Index)
            .map_err(|error| SinkError::Setting { setting: "index", why: error.to_string() })?;
        let compression = self.request.compression.unwrap_or(Compression::Gzip);
        if compression == Compression::Zstd {
            let why = "Elasticsearch and OpenSearch read `gzip` and `none`".into();
            return Err(SinkError::Setting { setting: "request.compression", why });
        }
        let credentials =
            Credentials::of(&self.auth).map_err(|(setting, why)| SinkError::Setting { setting, why })?;
        let client = web::client(&self.url, &self.tls, &self.request, ANSWER_BYTES_MAX)?;
        let mut path = match template.is_fixed() {
            true => format!("/{}/_bulk?{FILTER}", web::escaped(&self.index)),
            false => format!("/_bulk?{FILTER}"),
        };
        if let Some(pipeline) = &self.pipeline {
            path += &format!("&pipeline={}", web::escaped(pipeline));
        }
        let router = (!template.is_fixed()).then(|| Router::of_names(template));
        let bulk = Bulk { path, is_routed: router.is_some(), ids: self.ids };
        let shared = Shared { client, protocol: bulk, credentials, compression };
        let bytes = self.request.bytes.map_or(REQUEST_BYTES, |bytes| bytes.0) as usize;
        Ok(Elasticsearch {
            courier: Courier::new(shared, bytes, self.request.concurrency_max),
            router,
            ids: self.ids,
        })
    }

    /// Whether it is there and lets us in.
    pub async fn probe(&self, output: &str) -> Vec<Finding> {
        let Ok(sink) = self.open() else { return Vec::new() };
        let (path, headers) = ("/".into(), HeaderMap::new());
        let ask = Ask { method: Method::GET, path, headers, body: Bytes::new() };
        web::probe(sink.courier.shared(), ask, output, &doubt).await
    }

    /// Bytes of a batch where none are given.
    pub fn batch_bytes(&self) -> ByteSize {
        ByteSize::mib(4)
    }
}

/// What an answer to the question who it is says against sending events.
fn doubt(answer: &Answer) -> Option<Finding> {
    if answer.is_success() || knows_us(answer) {
        return None;
    }
    let words = answer.words();
    Some(match answer.usual(&words) {
        Some(Reading::Locked(finding)) => finding,
        _ => Finding {
            what: format!("{} is not ready for events", answer.peer),
            why: format!("{}: {words}", answer.status),
            fix: web::SEE.into(),
        },
    })
}

/// Whether it knows who we are and does not tell us who it is: that takes the cluster privilege `monitor`, which a key
/// that may only write events has not. Who is not known gets 401.
fn knows_us(answer: &Answer) -> bool {
    if answer.status != 403 {
        return false;
    }
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let error = &said["error"];
    // Elasticsearch and OpenSearch name the action in words of their own: `action [cluster:monitor/main] is
    // unauthorized for API key …`, `no permissions for [cluster:monitor/main] and User …`.
    let is_this = |reason: &str| reason.contains("[cluster:monitor/main]");
    error["type"] == "security_exception" && error["reason"].as_str().is_some_and(is_this)
}

/// The sink.
pub struct Elasticsearch {
    courier: Courier<Bulk>,
    router: Option<Router>,
    ids: bool,
}

impl Sink for Elasticsearch {
    fn attach(&mut self, attachment: Attachment) {
        self.courier.attach(attachment);
    }

    fn of_others(&mut self, are: bool) {
        self.courier.of_others(are);
    }

    fn send<'s>(&'s mut self, batch: &'s Arc<Encoded>) -> Sending<'s> {
        Box::pin(self.courier.deliver(batch))
    }

    fn router(&self) -> Option<Router> {
        self.router.clone()
    }

    fn wants_ids(&self) -> bool {
        self.ids
    }

    fn framing(&self, _: Framing) -> Framing {
        Framing::Line
    }

    fn tick(&mut self) -> Sending<'_> {
        self.courier.look();
        Box::pin(std::future::ready(Ok(Sent::Confirmed)))
    }

    fn sooner(&mut self) -> Waiting<'_> {
        Box::pin(self.courier.unlocked())
    }
}

/// What `_bulk` wants and says.
struct Bulk {
    path: String,
    /// Each event names its index.
    is_routed: bool,
    ids: bool,
}

impl Protocol for Bulk {
    fn ask(&self) -> Ask {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        Ask { method: Method::POST, path: self.path.clone(), headers, body: Bytes::new() }
    }

    fn write(&self, batch: &Encoded, items: &[u32], body: &mut Vec<u8>) {
        for index in items.iter().map(|item| *item as usize) {
            let item = &batch.items[index];
            body.extend_from_slice(br#"{"create":{"#);
            let index_name = batch.routes.get(item.route as usize).filter(|_| self.is_routed);
            if let Some(name) = index_name {
                // Of letters that stand for themselves in JSON.
                let _ = write!(body, r#""_index":"{name}""#);
            }
            if let Some(id) = item.id.filter(|_| self.ids) {
                let comma = if index_name.is_some() { "," } else { "" };
                // Writing to memory cannot fail.
                let _ = write!(body, r#"{comma}"_id":"{id}""#);
            }
            body.extend_from_slice(b"}}\n");
            body.extend_from_slice(batch.item(index));
        }
    }

    fn beside(&self) -> usize {
        64
    }

    fn read(&self, answer: &Answer, items: usize) -> Reading {
        answer::read(answer, items, self.is_routed)
    }

    fn is_idempotent(&self) -> bool {
        self.ids
    }
}
