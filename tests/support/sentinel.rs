//! The Logs Ingestion API of Azure Monitor and the token endpoint of a tenant, as they are documented ("Logs Ingestion
//! API in Azure Monitor", "OAuth 2.0 client credentials flow" of Microsoft Learn, the troubleshooting guides of the
//! `Azure.Monitor.Ingestion` libraries): nobody here could have real ones.

use super::web::{Receiver, Reply, Request, says};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

pub(crate) struct Sentinel {
    pub(crate) receiver: Receiver,
    state: Arc<Mutex<State>>,
}

/// What can be changed from outside, and what came.
pub(crate) struct State {
    pub(crate) tenant: String,
    pub(crate) client: String,
    pub(crate) secret: String,
    pub(crate) scope: String,
    /// How long tokens live, in seconds.
    pub(crate) lives: u64,
    /// Those that are good.
    pub(crate) tokens: BTreeSet<String>,
    pub(crate) tokens_given: u32,
    /// Whether the application may write.
    pub(crate) has_role: bool,
    /// Streams by rule.
    pub(crate) rules: BTreeMap<String, BTreeSet<String>>,
    /// Larger calls are answered with 413.
    pub(crate) content_max: usize,
    /// Given before anything else, the first one first: by the endpoint, and by the tenant.
    pub(crate) replies: Vec<Reply>,
    pub(crate) token_replies: Vec<Reply>,
    /// What was taken, in its order.
    pub(crate) events: Vec<Value>,
}

pub(crate) const RULE: &str = "dcr-00000000000000000000000000000001";
/// Of a table whose columns are what is sent.
pub(crate) const STREAM: &str = "Custom-Windows";
pub(crate) const SECRET: &str = "s3cret~/+ &=";

impl Sentinel {
    /// With one application, `app`, which knows the secret and may write to one stream of one rule.
    pub(crate) fn start() -> Self {
        let streams = BTreeSet::from([STREAM.to_owned()]);
        let state = Arc::new(Mutex::new(State {
            tenant: "tenant.example.org".into(),
            client: "app".into(),
            secret: SECRET.into(),
            scope: "https://monitor.azure.com/.default".into(),
            lives: 3599,
            tokens: BTreeSet::new(),
            tokens_given: 0,
            has_role: true,
            rules: BTreeMap::from([(RULE.to_owned(), streams)]),
            content_max: 1_048_576,
            replies: Vec::new(),
            token_replies: Vec::new(),
            events: Vec::new(),
        }));
        let of = Arc::clone(&state);
        Self { receiver: Receiver::start(move |request| of.lock().unwrap().reply(request)), state }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What stands behind `sink.`, for a sink that has all it needs but its secret.
    pub(crate) fn sink(&self, at: &str, more: &str) -> String {
        format!(
            "[sentinel]\nurl = '{at}'\nauthority = '{at}'\ndcr = '{RULE}'\nstream = '{STREAM}'\n\
             tenant = 'tenant.example.org'\nclient_id = 'app'\n{more}"
        )
    }

    /// Calls with events, those for tokens left out.
    pub(crate) fn posts(&self) -> Vec<Request> {
        let is_post = |request: &Request| request.path.starts_with("/dataCollectionRules/");
        self.receiver.requests().into_iter().filter(is_post).collect()
    }
}

pub(crate) fn error(status: u16, code: &str, message: &str) -> Reply {
    says(status, &json!({ "error": { "code": code, "message": message } }).to_string())
}

/// As a tenant says no.
pub(crate) fn denied(status: u16, error: &str, number: u32, described: &str) -> Reply {
    let described = format!("AADSTS{number}: {described} Trace ID: 0f0f Correlation ID: 1e1e");
    says(
        status,
        &json!({ "error": error, "error_description": described, "error_codes": [number] }).to_string(),
    )
}

impl State {
    fn reply(&mut self, request: &Request) -> Reply {
        if request.path.ends_with("/oauth2/v2.0/token") {
            if !self.token_replies.is_empty() {
                return self.token_replies.remove(0);
            }
            return self.token(request);
        }
        if !self.replies.is_empty() {
            return self.replies.remove(0);
        }
        self.ingest(request)
    }

    fn token(&mut self, request: &Request) -> Reply {
        let text = request.text();
        let form: BTreeMap<String, String> = text
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.to_owned(), plain(value)))
            .collect();
        let is = |key: &str, value: &str| form.get(key).is_some_and(|found| found == value);
        if request.method != "POST" || request.header("content-type") != "application/x-www-form-urlencoded" {
            return denied(400, "invalid_request", 900_144, "The request body must contain 'grant_type'.");
        }
        if request.path != format!("/{}/oauth2/v2.0/token", self.tenant) {
            return denied(400, "invalid_request", 90_002, "Tenant not found.");
        }
        if !is("grant_type", "client_credentials") {
            return denied(400, "unsupported_grant_type", 70_003, "The grant type is not supported.");
        }
        if !is("client_id", &self.client) {
            return denied(
                400,
                "unauthorized_client",
                700_016,
                "Application was not found in the directory.",
            );
        }
        if !is("client_secret", &self.secret) {
            return denied(401, "invalid_client", 7_000_215, "Invalid client secret provided.");
        }
        if !is("scope", &self.scope) {
            return denied(400, "invalid_scope", 70_011, "The provided value for scope is not valid.");
        }
        self.tokens_given += 1;
        let token = format!("ey.token-{}", self.tokens_given);
        self.tokens.insert(token.clone());
        let lives = self.lives;
        let said = json!({ "token_type": "Bearer", "expires_in": lives, "ext_expires_in": lives, "access_token": token });
        says(200, &said.to_string())
    }

    fn ingest(&mut self, request: &Request) -> Reply {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let places: Vec<&str> = path.split('/').collect();
        let ["", "dataCollectionRules", rule, "streams", stream] = places[..] else {
            return error(404, "NotFound", "no such resource");
        };
        if request.method != "POST" || query != "api-version=2023-01-01" {
            return error(400, "InvalidApiVersion", "an api-version is needed");
        }
        let token = request.header("authorization").strip_prefix("Bearer ").unwrap_or_default();
        if !self.tokens.contains(token) {
            return error(401, "InvalidToken", "the token is not valid");
        }
        let Some(streams) = self.rules.get(rule) else {
            let message = format!("Data collection rule with immutable Id '{rule}' not found.");
            return error(404, "NotFound", &message);
        };
        if !self.has_role {
            let message = format!(
                "The authentication token provided does not have access to ingest data for the data collection rule \
                 with immutable Id '{rule}'."
            );
            return error(403, "OperationFailed", &message);
        }
        if !streams.contains(stream) {
            return error(400, "InvalidStream", &format!("the rule has no stream '{stream}'"));
        }
        if !["", "gzip"].contains(&request.header("content-encoding"))
            || request.header("content-type") != "application/json"
        {
            return error(415, "UnsupportedMediaType", "JSON, plain or with gzip");
        }
        if request.body.len() > self.content_max {
            let message = format!("Maximum allowed content length: {} bytes.", self.content_max);
            return error(413, "ContentLengthLimitExceeded", &message);
        }
        match serde_json::from_slice::<Value>(&request.body) {
            Ok(Value::Array(events)) if events.iter().all(Value::is_object) => {
                self.events.extend(events);
                says(204, "")
            }
            // A single object is answered with success, and is nowhere.
            Ok(Value::Object(_)) => says(204, ""),
            Ok(_) => error(400, "InvalidRecord", "each record is an object"),
            Err(why) => error(400, "InvalidJson", &why.to_string()),
        }
    }
}

/// A value of a form.
fn plain(value: &str) -> String {
    let (mut out, mut rest) = (Vec::new(), value.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        rest = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                out.push(u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16).unwrap());
                after
            }
            (byte, after) => {
                out.push(if *byte == b'+' { b' ' } else { *byte });
                after
            }
        };
    }
    String::from_utf8(out).unwrap()
}
