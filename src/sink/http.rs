//! Any receiver of HTTP: lines or a JSON array in the body, and a status that says whether they were taken.
//!
//! Must not know: what the body of an answer means.

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
use crate::format::Framing;
use crate::units::ByteSize;
use bytes::Bytes;
use hyper::{HeaderMap, Method};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Any receiver of HTTP.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where requests go, or a list of such places: they are used in turn.
    pub url: OneOrMany<String>,
    /// `POST` or `PUT`.
    #[serde(default)]
    pub method: Verb,
    /// How events stand in a request.
    #[serde(default)]
    pub body: Body,
    /// Headers of every request, by name.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub status: StatusConfig,
    #[serde(default)]
    pub auth: AuthConfig,
    #[serde(default)]
    pub request: RequestConfig,
    #[serde(default)]
    pub tls: outgoing::Config,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
pub enum Verb {
    #[default]
    #[serde(rename = "POST")]
    Post,
    #[serde(rename = "PUT")]
    Put,
}

/// How events stand in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// As the format tells them apart: a line each, mostly.
    #[default]
    Lines,
    /// A JSON array, for formats that are JSON.
    Array,
}

/// What a status means: numbers such as `"429"`, classes such as `"5xx"`. The first of these lists that names it
/// decides. What stands in none: redirects, 401, 403, 404, 405, 407, 410 and 415 wait for an operator; a request
/// with 413 is halved.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StatusConfig {
    /// The receiver has the events.
    pub taken: Vec<String>,
    /// They are sent again later.
    pub again: Vec<String>,
    /// It will never take something in the request: that is searched for by halving, and goes to the dead letter.
    pub refused: Vec<String>,
}

impl Default for StatusConfig {
    fn default() -> Self {
        let list = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        Self {
            taken: list(&["2xx"]),
            again: list(&["408", "425", "429", "5xx"]),
            refused: list(&["400", "409", "422"]),
        }
    }
}

const REQUEST_BYTES: u64 = 1 << 20;
/// Only its beginning is told to anybody.
const ANSWER_BYTES_MAX: usize = 1 << 20;

impl Config {
    /// The checked sink; nothing is touched before its first use.
    ///
    /// # Errors
    /// Names the setting that cannot be.
    pub fn open(&self) -> Result<Http, SinkError> {
        let wrong = |setting, why: String| SinkError::Setting { setting, why };
        let kind = match self.body {
            Body::Lines => "application/x-ndjson",
            Body::Array => "application/json",
        };
        let headers = web::headers(kind, &self.headers)?;
        let credentials = Credentials::of(&self.auth).map_err(|(setting, why)| wrong(setting, why))?;
        let meanings = Meanings {
            taken: patterns(&self.status.taken).map_err(|why| wrong("status.taken", why))?,
            again: patterns(&self.status.again).map_err(|why| wrong("status.again", why))?,
            refused: patterns(&self.status.refused).map_err(|why| wrong("status.refused", why))?,
        };
        let client = web::client(&self.url, &self.tls, &self.request, ANSWER_BYTES_MAX)?;
        let method = match self.method {
            Verb::Post => Method::POST,
            Verb::Put => Method::PUT,
        };
        let protocol = Plain { method, headers, body: self.body, meanings };
        let compression = self.request.compression.unwrap_or(Compression::None);
        let shared = Shared { client, protocol, credentials, compression };
        let bytes = self.request.bytes.map_or(REQUEST_BYTES, |bytes| bytes.0) as usize;
        Ok(Http { courier: Courier::new(shared, bytes, self.request.concurrency_max), body: self.body })
    }

    /// Bytes of a batch where none are given.
    pub fn batch_bytes(&self) -> ByteSize {
        ByteSize::mib(4)
    }
}

/// The sink.
pub struct Http {
    courier: Courier<Plain>,
    body: Body,
}

impl Sink for Http {
    fn attach(&mut self, attachment: Attachment) {
        self.courier.attach(attachment);
    }

    fn of_others(&mut self, are: bool) {
        self.courier.of_others(are);
    }

    fn send<'s>(&'s mut self, batch: &'s Arc<Encoded>) -> Sending<'s> {
        Box::pin(self.courier.deliver(batch))
    }

    fn framing(&self, format: Framing) -> Framing {
        match self.body {
            Body::Lines => format,
            Body::Array => Framing::None,
        }
    }

    fn tick(&mut self) -> Sending<'_> {
        self.courier.look();
        Box::pin(std::future::ready(Ok(Sent::Confirmed)))
    }

    fn sooner(&mut self) -> Waiting<'_> {
        Box::pin(self.courier.unlocked())
    }
}

/// Requests as they were asked for.
struct Plain {
    method: Method,
    headers: HeaderMap,
    body: Body,
    meanings: Meanings,
}

/// Ranges of statuses.
struct Meanings {
    taken: Vec<(u16, u16)>,
    again: Vec<(u16, u16)>,
    refused: Vec<(u16, u16)>,
}

impl Protocol for Plain {
    fn ask(&self) -> Ask {
        let Self { method, headers, .. } = self;
        Ask { method: method.clone(), path: String::new(), headers: headers.clone(), body: Bytes::new() }
    }

    fn write(&self, batch: &Encoded, items: &[u32], body: &mut Vec<u8>) {
        let is_array = self.body == Body::Array;
        for (nth, item) in items.iter().enumerate() {
            if is_array {
                body.push(if nth == 0 { b'[' } else { b',' });
            }
            body.extend_from_slice(batch.item(*item as usize));
        }
        if is_array {
            body.push(b']');
        }
    }

    fn read(&self, answer: &Answer, _: usize) -> Reading {
        let is =
            |ranges: &[(u16, u16)]| ranges.iter().any(|(from, to)| (*from..=*to).contains(&answer.status));
        let words = answer.words();
        if is(&self.meanings.taken) {
            Reading::Taken
        } else if is(&self.meanings.again) {
            Reading::Again(answer.busy(&words))
        } else if is(&self.meanings.refused) {
            Reading::Refused(format!("{}: {words}", answer.status))
        } else {
            let unclear = || Reading::Again(answer.not_understood("`status` does not say what that means"));
            answer.usual(&words).unwrap_or_else(unclear)
        }
    }
}

/// `"429"`, `"5xx"`.
fn patterns(texts: &[String]) -> Result<Vec<(u16, u16)>, String> {
    let one = |text: &String| {
        let range = match text.strip_suffix("xx") {
            Some(class) => class
                .parse()
                .ok()
                .filter(|class| (1..=5).contains(class))
                .map(|class: u16| (class * 100, class * 100 + 99)),
            None => {
                text.parse().ok().filter(|status| (100..=599).contains(status)).map(|status| (status, status))
            }
        };
        range.ok_or_else(|| format!("`{text}` is no status; write such as `429` or `5xx`"))
    };
    texts.iter().map(one).collect()
}

impl fmt::Debug for Config {
    /// Without headers, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("url", &self.url).field("body", &self.body).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str) -> Result<Http, String> {
        toml::from_str::<Config>(text).unwrap().open().map_err(|error| format!("{}: {error}", error.key()))
    }

    #[test]
    fn settings_that_cannot_be_are_named() {
        assert!(open("url = 'http://x'").is_ok());
        for (more, part) in [
            ("headers = { Host = 'y' }", "headers"),
            ("headers = { 'a b' = 'y' }", "`a b`"),
            ("status.again = ['6xx']", "status.again"),
            ("status.taken = ['999']", "`999`"),
            ("request.timeout = '0s'", "request.timeout"),
            ("request.bytes = '1'", "request.bytes"),
            ("request.concurrency_max = 0", "request.concurrency_max"),
            ("tls.key = 'x'", "tls.key"),
            ("auth.basic.user = 'x'", "auth.basic"),
        ] {
            let why = open(&format!("url = 'http://x'\n{more}")).err().unwrap();
            assert!(why.contains(part), "{more}: {why}");
        }
        assert!(open("url = []").err().unwrap().contains("url"));
    }

    #[test]
    fn a_status_means_what_was_written() {
        let http = open("url = 'http://x'\nstatus = { taken = ['204'], again = ['404'], refused = ['4xx'] }")
            .ok()
            .unwrap();
        let class = |status| {
            let answer = Answer::of("x", status, Bytes::new());
            format!("{:?}", http.courier.shared().protocol.read(&answer, 1))
        };
        for (status, expected) in
            [(204, "Taken"), (404, "Again"), (413, "Refused"), (200, "Again"), (302, "Locked")]
        {
            assert!(class(status).starts_with(expected), "{status}: {}", class(status));
        }
    }
}
