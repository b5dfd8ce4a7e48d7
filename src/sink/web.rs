//! HTTP to receivers: one client, one pool, one retry policy for all sinks that speak it.
//!
//! ```text
//! batch ─► progress: open items ─► chunks ─► pack ─► compress ─► client ─► answer ─► protocol.read ─┐
//!              ▲                    up to `pace` at a time                                          │
//!              └───────────── taken · refused · again ◄─────────────────────────────────────────────┘
//! ```
//!
//! | file | what |
//! |---|---|
//! | `address` | what stands in `url` |
//! | `credentials` | the `Authorization` header, from files that are read again when they change |
//! | `token` | one that is fetched with a secret |
//! | `client` | connections, kept and made; one request and its answer |
//! | `answer` | an answer, and what every protocol means by its status |
//! | `pack` | the body of a request, compressed |
//! | `pace` | how many requests are under way at a time |
//! | `progress` | what of a batch was taken, refused, is open |
//! | `request` | one request of a batch |
//! | `reading` | what an answer says of the events in it |
//! | `doubt` | whether a receiver that refuses events is believed |
//! | `size` | how large requests may be |
//! | `courier` | a batch in requests, until each event of it has its answer |
//!
//! Promises: an event that was taken is not sent again while the process lives; an answer that cannot be
//! understood is never taken for a yes; redirects are never followed; answers are bounded; who does not let us
//! in is asked once a minute, or when the file with the credentials changes.
//! Must not know: what a body means to its receiver.

pub(super) mod address;
pub mod answer;
pub(super) mod client;
pub(super) mod courier;
pub(super) mod credentials;
mod doubt;
pub(super) mod pace;
pub(super) mod pack;
pub(super) mod progress;
pub mod reading;
pub(super) mod request;
mod size;
pub mod token;

pub use pack::Compression;

use super::{Encoded, SinkError};
use crate::auth::tls::outgoing;
use crate::filter::OneOrMany;
use crate::finding::Finding;
use crate::units::{ByteSize, Span};
use address::Address;
use answer::Answer;
use client::{Ask, Client, Timing, Trouble};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use reading::Reading;
use request::{Protocol, Shared};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use token::Unsigned;

/// How requests are made.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RequestConfig {
    /// Most bytes of a request before it is compressed; an event that is larger goes alone. Nothing given: what
    /// the receiver takes without harm, `800KiB` for Splunk, `1MB` for Sentinel, `1MiB` for others.
    pub bytes: Option<ByteSize>,
    /// How bodies are compressed. Nothing given: `none` for `sink.http`, `gzip` for others. Sentinel does not read
    /// `zstd`.
    pub compression: Option<Compression>,
    /// Most requests under way at a time. There are fewer while the receiver is slow, busy or away.
    pub concurrency_max: u16,
    /// How long a connection, with its TLS, may take to come about.
    pub connect_timeout: Span,
    /// How long the receiver may take for its answer.
    pub timeout: Span,
}

impl Default for RequestConfig {
    fn default() -> Self {
        Self {
            bytes: None,
            compression: None,
            // Past this more requests only wait at the other end.
            concurrency_max: 8,
            connect_timeout: Span::secs(10),
            // What Splunk and Elasticsearch give themselves under load.
            timeout: Span::secs(60),
        }
    }
}

/// Fewer bytes would be a request for each event.
const REQUEST_BYTES_MIN: u64 = 1024;
/// What servers of this kind refuse in any configuration.
const REQUEST_BYTES_MAX: u64 = 100 << 20;
/// Most addresses of one output.
const ADDRESSES_MAX: usize = 64;

impl RequestConfig {
    fn check(&self) -> Result<(), SinkError> {
        let wrong = |setting, why: String| Err(SinkError::Setting { setting, why });
        if let Some(bytes) = self.bytes
            && !(REQUEST_BYTES_MIN..=REQUEST_BYTES_MAX).contains(&bytes.0)
        {
            return wrong("request.bytes", "write a size from `1KiB` to `100MiB`".into());
        }
        if !(1..=1024).contains(&self.concurrency_max) {
            return wrong("request.concurrency_max", "write a number from 1 to 1024".into());
        }
        for (setting, span) in
            [("request.timeout", self.timeout), ("request.connect_timeout", self.connect_timeout)]
        {
            if span.0.is_zero() {
                return wrong(setting, "nothing comes about in no time; write such as `30s`".into());
            }
        }
        Ok(())
    }
}

/// The checked client for these addresses.
pub(super) fn client(
    url: &OneOrMany<String>,
    tls: &outgoing::Config,
    request: &RequestConfig,
    answer_bytes_max: usize,
) -> Result<Client, SinkError> {
    request.check()?;
    tls.check().map_err(|(setting, why)| SinkError::Setting { setting, why })?;
    let wrong = |why: String| SinkError::Setting { setting: "url", why };
    if url.is_empty() || url.len() > ADDRESSES_MAX {
        return Err(wrong(format!(
            "write one address such as `https://siem:8088`, or a list of up to {ADDRESSES_MAX}"
        )));
    }
    let addresses: Result<Vec<Address>, String> = url.iter().map(|text| Address::parse(text)).collect();
    let timing = Timing { connect: request.connect_timeout.0, answer: request.timeout.0 };
    Ok(Client::new(addresses.map_err(wrong)?, tls, timing, answer_bytes_max))
}

/// A number by which a receiver knows us for a while, version 4 of RFC 9562.
pub(super) fn guid() -> String {
    let mut bytes = [0; 16];
    // Without randomness two of us would share one; the time is as good then.
    if getrandom::fill(&mut bytes).is_err() {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
        bytes = now.to_le_bytes();
    }
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        text.push_str(if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" });
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// A value of a query.
pub(super) fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// Headers that are ours to write.
const OURS: [&str; 5] = ["host", "content-length", "transfer-encoding", "content-encoding", "connection"];

/// The headers of every request: what the body is, and those that were written.
pub(super) fn headers(
    kind: &'static str,
    written: &BTreeMap<String, String>,
) -> Result<HeaderMap, SinkError> {
    let wrong = |why: String| SinkError::Setting { setting: "headers", why };
    let mut headers = HeaderMap::new();
    headers.insert(hyper::header::CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in written {
        let parsed = HeaderName::try_from(name.as_str()).ok().zip(HeaderValue::from_str(value).ok());
        match parsed {
            Some((header, _)) if OURS.contains(&header.as_str()) => {
                return Err(wrong(format!("`{name}` is written by forebay itself")));
            }
            Some((header, value)) => headers.insert(header, value),
            None => return Err(wrong(format!("`{name}` or its value cannot stand in a header"))),
        };
    }
    Ok(headers)
}

/// Sends each address a request without events, and tells under the name of the output what follows.
pub(super) async fn probe_empty<P: Protocol>(shared: &Shared<P>, output: &str) -> Vec<Finding> {
    let (mut ask, mut body) = (shared.protocol.ask(), Vec::new());
    shared.protocol.write(&Encoded::default(), &[], &mut body);
    ask.body = body.into();
    let doubt = |answer: &Answer| match shared.protocol.read(answer, 0) {
        Reading::Locked(finding) => Some(finding),
        Reading::Again(setback) | Reading::Failed(setback) => setback.finding,
        // Who finds fault with the body has let us in.
        _ => None,
    };
    probe(shared, ask, output, &doubt).await
}

pub(super) const SEE: &str = "see its own log, and whether `url` leads to it";

/// What an answer says against sending events.
type Doubt<'d> = dyn Fn(&Answer) -> Option<Finding> + Send + Sync + 'd;

/// Asks each address this, and tells under the name of the output what is not well.
pub(super) async fn probe<P: Protocol>(
    shared: &Shared<P>,
    ask: Ask,
    output: &str,
    doubt: &Doubt<'_>,
) -> Vec<Finding> {
    let told = Mutex::new(Vec::new());
    let report = |finding: Finding| {
        let what = format!("output `{output}`: {}", finding.what);
        told.lock().unwrap_or_else(PoisonError::into_inner).push(Finding { what, ..finding });
    };
    match shared.signed_anew(ask, None, &report).await {
        Err(Unsigned::Locked(finding)) => report(finding),
        Err(Unsigned::Later(setback)) => setback.finding.into_iter().for_each(&report),
        Ok(ask) => {
            for endpoint in 0..shared.client.endpoints() {
                let doubted = match shared.client.ask_one(endpoint, &ask, &report).await {
                    Ok(answer) => doubt(&answer),
                    Err(Trouble::Unsent { finding, .. }) => Some(finding),
                    Err(Trouble::Unanswered { peer, reason, .. }) => {
                        let what = format!("{peer} does not answer");
                        Some(Finding { what, why: reason, fix: SEE.into() })
                    }
                };
                doubted.into_iter().for_each(&report);
            }
        }
    }
    told.into_inner().unwrap_or_else(PoisonError::into_inner)
}
