//! Microsoft Sentinel: tables of a Log Analytics workspace, by the Logs Ingestion API of Azure Monitor.
//!
//! ```text
//! tenant ── secret ──► token ─┐
//!                             ▼
//! POST {endpoint}/dataCollectionRules/{rule}/streams/{stream}  [{…},{…}]  ──► 204
//! ```
//!
//! | file | what |
//! |---|---|
//! | `answer` | what it says, and what follows |
//!
//! The token is `web/token.rs`. A 204 says that the service has the events; what the rule's transformation drops or
//! cannot fit into the table's columns afterwards it tells in its own metrics only. It knows no event again: a lost
//! answer or a crash can bring some twice, which the event's id tells where the format writes it.
//! Must not know: the columns of a table (formats).

pub mod answer;

#[cfg(test)]
mod tests;

use super::web::client::Ask;
use super::web::courier::Courier;
use super::web::credentials::{Credentials, Secret};
use super::web::reading::Reading;
use super::web::request::{Protocol, Shared};
use super::web::token::Tokens;
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
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Microsoft Sentinel and Log Analytics, by the Logs Ingestion API. The application (`client_id`) needs the role
/// Monitoring Metrics Publisher on the data collection rule.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The data collection endpoint, or the rule's own one for logs ingestion, such as
    /// `https://wef-x1y2.westeurope-1.ingest.monitor.azure.com`.
    pub url: String,
    /// Immutable id of the data collection rule: `dcr-` and 32 digits.
    pub dcr: String,
    /// A stream of the rule: `Microsoft-WindowsEvent`, `Microsoft-SecurityEvent`, or `Custom-` and a name. Where no
    /// format is written, events have the columns of Microsoft's table, and are native JSON for another.
    pub stream: String,
    /// Tenant of the application: its id, or a domain of it.
    pub tenant: String,
    /// Application (client) id.
    pub client_id: String,
    /// The application's secret: its value, not its id.
    pub client_secret: Option<String>,
    /// A file that holds the secret; it is read again when it changes.
    pub client_secret_file: Option<PathBuf>,
    /// Which of Microsoft's clouds.
    #[serde(default)]
    pub cloud: Cloud,
    /// Where tokens are had, instead of the cloud's own place.
    pub authority: Option<String>,
    /// What tokens are for, instead of the cloud's Azure Monitor.
    pub scope: Option<String>,
    #[serde(default)]
    pub request: RequestConfig,
    #[serde(default)]
    pub tls: outgoing::Config,
}

/// One of Microsoft's clouds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cloud {
    /// Everybody's.
    #[default]
    Public,
    /// Operated by 21Vianet.
    China,
    /// Azure Government.
    UsGov,
}

impl Cloud {
    fn authority(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com",
            Self::China => "https://login.partner.microsoftonline.cn",
            Self::UsGov => "https://login.microsoftonline.us",
        }
    }

    fn scope(self) -> &'static str {
        match self {
            Self::Public => "https://monitor.azure.com/.default",
            Self::China => "https://monitor.azure.cn/.default",
            Self::UsGov => "https://monitor.azure.us/.default",
        }
    }
}

/// The service takes 1 MB a call, compressed or not, and says 1048576 bytes; a decimal megabyte is below either.
const REQUEST_BYTES: u64 = 1_000_000;
/// A line, mostly; tokens are a few KiB.
const ANSWER_BYTES_MAX: usize = 1 << 20;
const API_VERSION: &str = "2023-01-01";

impl Config {
    /// The checked sink; nothing is touched before its first use.
    ///
    /// # Errors
    /// Names the setting that cannot be.
    pub fn open(&self) -> Result<Sentinel, SinkError> {
        let wrong = |setting, why: &str| Err(SinkError::Setting { setting, why: why.into() });
        let is_word = |text: &str, more: &[u8]| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
        };
        if !(self.dcr.starts_with("dcr-") && is_word(&self.dcr, b"-")) {
            return wrong(
                "dcr",
                "write the immutable id, `dcr-` and 32 digits: not the rule's name or resource id",
            );
        }
        let is_known = self.stream.starts_with("Custom-") || self.stream.starts_with("Microsoft-");
        if !(is_known && is_word(&self.stream, b"-_.")) {
            return wrong("stream", "write such as `Microsoft-WindowsEvent` or `Custom-Windows_CL`");
        }
        if !is_word(&self.tenant, b"-.") {
            return wrong("tenant", "write the tenant's id or one of its domains");
        }
        if !is_word(&self.client_id, b"-") {
            return wrong("client_id", "write the application's (client) id");
        }
        let compression = self.request.compression.unwrap_or(Compression::Gzip);
        if compression == Compression::Zstd {
            return wrong("request.compression", "the Logs Ingestion API reads `gzip` and `none`");
        }
        let tokens = self.tokens()?;
        let client = self.client(&self.url, "url", &self.tls)?;
        let Self { dcr, stream, .. } = self;
        let path = format!("/dataCollectionRules/{dcr}/streams/{stream}?api-version={API_VERSION}");
        let credentials = Credentials::fetching(tokens);
        let shared = Shared { client, protocol: Ingestion { path }, credentials, compression };
        let bytes = self.request.bytes.map_or(REQUEST_BYTES, |bytes| bytes.0) as usize;
        // Between items there is a comma, around them one more byte than that.
        Ok(Sentinel { courier: Courier::new(shared, bytes - 1, self.request.concurrency_max) })
    }

    fn tokens(&self) -> Result<Tokens, SinkError> {
        let wrong = |why: &str| SinkError::Setting { setting: "client_secret", why: why.into() };
        let secret = Secret::one_of(self.client_secret.as_ref(), self.client_secret_file.as_ref());
        let secret =
            secret.map_err(wrong)?.ok_or_else(|| wrong("write `client_secret_file` or `client_secret`"))?;
        let authority = self.authority.as_deref().unwrap_or_else(|| self.cloud.authority());
        let scope = self.scope.as_deref().unwrap_or_else(|| self.cloud.scope());
        // What the endpoint is called to us says nothing of the tenant.
        let tls = outgoing::Config { server_name: None, ..self.tls.clone() };
        let client = self.client(authority, "authority", &tls)?;
        let path = format!("/{}/oauth2/v2.0/token", self.tenant);
        Ok(Tokens::new(client, path, &self.client_id, scope, secret))
    }

    fn client(
        &self,
        url: &str,
        key: &'static str,
        tls: &outgoing::Config,
    ) -> Result<web::client::Client, SinkError> {
        let urls = OneOrMany(vec![url.to_owned()]);
        web::client(&urls, tls, &self.request, ANSWER_BYTES_MAX).map_err(|error| match error {
            SinkError::Setting { setting: "url", why } => SinkError::Setting { setting: key, why },
            other => other,
        })
    }

    /// Whether there is a token, and whether the endpoint takes it for this rule and stream: an array without events
    /// is sent, and what is wrong with that alone is not told.
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
pub struct Sentinel {
    courier: Courier<Ingestion>,
}

impl Sink for Sentinel {
    fn attach(&mut self, attachment: Attachment) {
        self.courier.attach(attachment);
    }

    fn of_others(&mut self, are: bool) {
        self.courier.of_others(are);
    }

    fn send<'s>(&'s mut self, batch: &'s Arc<Encoded>) -> Sending<'s> {
        Box::pin(self.courier.deliver(batch))
    }

    fn framing(&self, _: Framing) -> Framing {
        Framing::None
    }

    fn tick(&mut self) -> Sending<'_> {
        self.courier.look();
        Box::pin(std::future::ready(Ok(Sent::Confirmed)))
    }

    fn sooner(&mut self) -> Waiting<'_> {
        Box::pin(self.courier.unlocked())
    }
}

/// What the endpoint wants and says.
struct Ingestion {
    path: String,
}

impl Protocol for Ingestion {
    fn ask(&self) -> Ask {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ask { method: Method::POST, path: self.path.clone(), headers, body: Bytes::new() }
    }

    fn write(&self, batch: &Encoded, items: &[u32], body: &mut Vec<u8>) {
        // An object that is not in an array is answered with 204, and is nowhere.
        body.push(b'[');
        for (nth, item) in items.iter().enumerate() {
            if nth > 0 {
                body.push(b',');
            }
            body.extend_from_slice(batch.item(*item as usize));
        }
        body.push(b']');
    }

    fn beside(&self) -> usize {
        1
    }

    fn read(&self, answer: &web::answer::Answer, _: usize) -> Reading {
        answer::read(answer)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, dcr, stream, tenant, .. } = self;
        let mut out = f.debug_struct("Config");
        out.field("url", url).field("dcr", dcr).field("stream", stream).field("tenant", tenant);
        out.finish_non_exhaustive()
    }
}
