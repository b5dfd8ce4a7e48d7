//! The HTTP Event Collector of Splunk, as it is documented ("HTTP Event Collector REST API endpoints", "Possible
//! error codes", "HTTP Event Collector indexer acknowledgment"): nobody here could start a real one.

use super::web::{Receiver, Reply, Request, says};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

pub(crate) struct Splunk {
    pub(crate) receiver: Receiver,
    state: Arc<Mutex<State>>,
}

/// What can be changed from outside, and what came.
pub(crate) struct State {
    pub(crate) tokens: BTreeMap<String, Token>,
    pub(crate) indexes: BTreeSet<String>,
    /// Larger bodies are answered with 413.
    pub(crate) content_max: usize,
    /// Given before anything else, the first one first.
    pub(crate) replies: Vec<Reply>,
    /// What was indexed, in its order.
    pub(crate) events: Vec<Value>,
    /// How often it is asked before it says that something is indexed.
    pub(crate) polls_until_indexed: u32,
    /// Acknowledgements are never given.
    pub(crate) forgets: bool,
    /// What the number of an event is higher with a wrong index than with any other fault; nothing: there is none.
    pub(crate) index_count_from: Option<usize>,
    /// By channel and number: questions left.
    acks: BTreeMap<(String, u64), u32>,
    next: BTreeMap<String, u64>,
}

#[derive(Clone, Default)]
pub(crate) struct Token {
    pub(crate) is_disabled: bool,
    pub(crate) acks: bool,
}

impl Splunk {
    /// With one token, `good`, and one index, `main`.
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            tokens: BTreeMap::from([("good".to_owned(), Token::default())]),
            indexes: BTreeSet::from(["main".to_owned()]),
            content_max: 1_000_000,
            replies: Vec::new(),
            events: Vec::new(),
            polls_until_indexed: 2,
            forgets: false,
            // As Splunk 10.4.2 counts.
            index_count_from: Some(1),
            acks: BTreeMap::new(),
            next: BTreeMap::new(),
        }));
        let of = Arc::clone(&state);
        Self { receiver: Receiver::start(move |request| of.lock().unwrap().reply(request)), state }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Requests with events, acknowledgements and probes left out.
    pub(crate) fn posts(&self) -> Vec<Request> {
        let is_post = |request: &Request| !request.path.contains("/ack") && !request.body.is_empty();
        self.receiver.requests().into_iter().filter(is_post).collect()
    }
}

fn code(status: u16, code: u32, text: &str) -> Reply {
    says(status, &json!({ "text": text, "code": code }).to_string())
}

fn invalid(number: u32, text: &str, event: usize) -> Reply {
    says(400, &json!({ "text": text, "code": number, "invalid-event-number": event }).to_string())
}

impl State {
    fn reply(&mut self, request: &Request) -> Reply {
        if !self.replies.is_empty() {
            return self.replies.remove(0);
        }
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let parameter = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
        };
        // Whoever asks.
        if path == "/services/collector/health/1.0" {
            return code(200, 17, "HEC is healthy");
        }
        if request.header("authorization").is_empty() {
            return code(401, 2, "Token is required");
        }
        let Some(token) = request.header("authorization").strip_prefix("Splunk ") else {
            return code(401, 3, "Invalid authorization");
        };
        let Some(token) = self.tokens.get(token).cloned() else { return code(403, 4, "Invalid token") };
        if token.is_disabled {
            return code(403, 1, "Token disabled");
        }
        if request.body.len() > self.content_max {
            return says(413, "<html>Content-Length too large (maximum is 1000000)</html>");
        }
        if !["", "gzip"].contains(&request.header("content-encoding")) {
            return says(415, "Unsupported Media Type");
        }
        let channel =
            parameter("channel").unwrap_or_else(|| request.header("x-splunk-request-channel").into());
        if channel.is_empty() && (token.acks || path.ends_with("/raw") || path.ends_with("/ack")) {
            return code(400, 10, "Data channel is missing");
        }
        let is_guid = channel.len() == 36 && channel.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
        if !channel.is_empty() && !is_guid {
            return code(400, 11, "Invalid data channel");
        }
        match path {
            "/services/collector/ack" if !token.acks => code(400, 14, "ACK is disabled"),
            "/services/collector/ack" => self.acknowledge(&channel, &request.body),
            _ if request.body.is_empty() => code(400, 5, "No data"),
            "/services/collector/event" => match self.events_of(&request.body) {
                Ok(()) => self.taken(token.acks, channel),
                Err(reply) => reply,
            },
            "/services/collector/raw" => {
                let lines = request.text();
                let about: Value = ["index", "sourcetype", "source", "host"]
                    .iter()
                    .filter_map(|name| Some(((*name).to_owned(), parameter(name)?.into())))
                    .collect::<serde_json::Map<_, _>>()
                    .into();
                if about["index"].as_str().is_some_and(|index| !self.indexes.contains(index)) {
                    return self.wrong_index(0);
                }
                self.events.extend(lines.lines().map(|line| json!({ "event": line, "about": about })));
                self.taken(token.acks, channel)
            }
            _ => says(
                404,
                &json!({ "text": "The requested URL was not found on this server.", "code": 404 })
                    .to_string(),
            ),
        }
    }

    /// Events before an invalid one are indexed.
    fn events_of(&mut self, body: &[u8]) -> Result<(), Reply> {
        let values = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
        for (number, value) in values.enumerate() {
            let Ok(Value::Object(event)) = value else {
                return Err(invalid(6, "Invalid data format", number));
            };
            match event.get("event") {
                None | Some(Value::Null) => return Err(invalid(12, "Event field is required", number)),
                Some(Value::String(text)) if text.is_empty() => {
                    return Err(invalid(13, "Event field cannot be blank", number));
                }
                _ => {}
            }
            if event.get("index").and_then(Value::as_str).is_some_and(|index| !self.indexes.contains(index)) {
                return Err(self.wrong_index(number));
            }
            let nested =
                |fields: &Value| fields.as_object().is_none_or(|of| of.values().any(Value::is_object));
            if event.get("fields").is_some_and(nested) {
                return Err(invalid(15, "Error in handling indexed fields", number));
            }
            self.events.push(event.into());
        }
        Ok(())
    }

    fn wrong_index(&self, number: usize) -> Reply {
        match self.index_count_from {
            Some(first) => invalid(7, "Incorrect index", number + first),
            None => code(400, 7, "Incorrect index"),
        }
    }

    fn taken(&mut self, acks: bool, channel: String) -> Reply {
        if !acks {
            return code(200, 0, "Success");
        }
        let next = self.next.entry(channel.clone()).or_default();
        let number = *next;
        *next += 1;
        self.acks.insert((channel, number), self.polls_until_indexed);
        says(200, &json!({ "text": "Success", "code": 0, "ackId": number }).to_string())
    }

    /// What waits to be indexed is.
    pub(crate) fn acks_come(&mut self) {
        self.acks.values_mut().for_each(|left| *left = 0);
    }

    /// A yes is given once.
    fn acknowledge(&mut self, channel: &str, body: &[u8]) -> Reply {
        let Ok(asked) = serde_json::from_slice::<Value>(body) else {
            return code(400, 6, "Invalid data format");
        };
        let mut acks = serde_json::Map::new();
        for number in asked["acks"].as_array().into_iter().flatten().filter_map(Value::as_u64) {
            let key = (channel.to_owned(), number);
            let is_indexed = match self.acks.get_mut(&key) {
                Some(left) if *left > 0 => {
                    *left -= 1;
                    false
                }
                Some(_) => !self.forgets && self.acks.remove(&key).is_some(),
                None => false,
            };
            acks.insert(number.to_string(), is_indexed.into());
        }
        says(200, &json!({ "acks": acks }).to_string())
    }
}
