//! Splunk's HTTP Event Collector: the whole object of the event endpoint, one line each.
//!
//! ```text
//! {"time":1553893840.3805426,"host":Computer,"source":"XmlWinEventLog:<Channel>",
//!  "sourcetype":"XmlWinEventLog","index":…,"event":"<Event …>","fields":{…}}
//! ```
//!
//! | member | from |
//! |---|---|
//! | `time` | TimeCreated in seconds since 1970, 7 decimals (9 where it has more); without one since 1970, when it was received |
//! | `host` | Computer, whole or up to its first dot; else the host that signed in |
//! | `source`, `sourcetype` | what Splunk's add-on for Windows goes by; of JSON `JsonWinEventLog:<Channel>` and `_json` |
//! | `index` | that of the subscription, else the one for all, else none: the token's default |
//! | `event` | the XML in one string, or the native JSON as an object |
//! | `fields` | indexed: `forebay_subscription` and what else is asked for; `forebay_note`, `forebay_error` where there is something to tell |
//!
//! Only whoever writes the pipeline file names an index, a host cannot: one that does not exist
//! makes Splunk refuse a whole request. Indexed fields are texts with a prefix of their own, so
//! they never hide what Splunk finds in the event. JSON has no `source` of the add-on, whose rules
//! for XML would run over it; `_json` is the built-in type that indexes JSON of this endpoint.
//! What could not be read is an event of its text (of the error where there is none, for Splunk
//! refuses a blank one), with the error in `fields`.
//! Sources: Splunk's "Format events for HTTP Event Collector" and "Automate indexed field
//! extractions with HTTP Event Collector".

use super::json::{self, Json};
use super::known::{is_blank, since_1970};
use super::{FormatError, Meta};
use crate::event::canonical::XmlWriter;
use crate::event::{Event, EventError, Ignore, Part, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

mod fields;
#[cfg(test)]
mod tests;

pub use fields::Field;
use fields::write_fields;

/// `format.splunk = {}`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What Splunk gets as the event.
    pub event: EventConfig,
    /// What stands for the computer in `host`.
    pub host: HostConfig,
    /// Index for events whose subscription has none of its own; not given: the default of the token.
    pub index: Option<String>,
    /// Index by the name of the subscription that brought the event.
    pub index_by_subscription: BTreeMap<String, String>,
    /// Instead of `XmlWinEventLog:{channel}`; `{channel}` is replaced.
    pub source: Option<String>,
    /// Instead of `XmlWinEventLog`.
    pub sourcetype: Option<String>,
    /// Which indexed fields are sent of what is known beside the event, each as `forebay_…`.
    pub fields: Vec<Field>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EventConfig {
    /// The event's XML, for the Splunk Add-on for Microsoft Windows.
    #[default]
    Xml,
    /// The native JSON as an object.
    Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HostConfig {
    /// Its whole name, as the event has it.
    #[default]
    Fqdn,
    /// Its name up to the first dot.
    Short,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            event: EventConfig::default(),
            host: HostConfig::default(),
            index: None,
            index_by_subscription: BTreeMap::new(),
            source: None,
            sourcetype: None,
            // Each indexed field takes room in the index for every event.
            fields: vec![Field::Subscription],
        }
    }
}

/// Writes events as objects of the event endpoint, one line each.
#[derive(Debug)]
pub struct Splunk {
    json: Option<Json>,
    host: HostConfig,
    /// `,"source":"` with what stands before and behind the channel; without one, all of it.
    source: (Vec<u8>, Option<Vec<u8>>),
    /// `,"sourcetype":"…"`
    sourcetype: Vec<u8>,
    /// `,"index":"…"`, empty without one.
    index: Vec<u8>,
    indexes: Vec<(Box<str>, Vec<u8>)>,
    fields: Vec<Field>,
    scratch: Vec<u8>,
}

impl Splunk {
    /// # Errors
    /// A name of an index that Splunk does not allow, or a placeholder that `source` does not know.
    pub fn new(config: &Config) -> Result<Self, FormatError> {
        let member = |name: &str, text: &str| {
            let mut out = format!(",\"{name}\":\"").into_bytes();
            Value::Text(text.as_bytes()).write_json(&mut out);
            out.push(b'"');
            out
        };
        let is_json = config.event == EventConfig::Json;
        let (source, sourcetype) =
            if is_json { ("JsonWinEventLog:{channel}", "_json") } else { (SOURCE, "XmlWinEventLog") };
        let source = source_parts(config.source.as_deref().unwrap_or(source))?;
        let mut indexes = Vec::new();
        for (subscription, name) in &config.index_by_subscription {
            indexes.push((subscription.as_str().into(), member("index", checked_index(name)?)));
        }
        let index = match &config.index {
            Some(name) => member("index", checked_index(name)?),
            None => Vec::new(),
        };
        let sourcetype = member("sourcetype", config.sourcetype.as_deref().unwrap_or(sourcetype));
        let json = is_json.then(|| Json::new(&json::Config::default()));
        let mut fields = Vec::new();
        for field in &config.fields {
            if !fields.contains(field) {
                fields.push(*field);
            }
        }
        Ok(Self { json, host: config.host, source, sourcetype, index, indexes, fields, scratch: Vec::new() })
    }

    /// Whether the event's id stands in what it writes.
    pub fn writes_id(&self) -> bool {
        self.json.is_some() || self.fields.contains(&Field::Id)
    }

    /// Appends one event.
    ///
    /// # Errors
    /// When the event cannot be read to its end; part of it may then stand in `out`.
    pub fn event<'a, E: Event<'a>>(
        &mut self,
        event: &E,
        meta: &Meta<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), EventError> {
        let header = event.header();
        self.envelope(header.time_created, header.computer, header.channel, meta, out);
        match &mut self.json {
            Some(json) => json.event(event, meta, out)?,
            None => {
                out.push(b'"');
                if let Some(text) = event.canonical() {
                    // One that is not well formed is told as such.
                    event.walk(Part::Body, &mut Ignore)?;
                    Value::Text(text).write_json(out);
                } else {
                    self.scratch.clear();
                    event.walk(Part::Whole, &mut XmlWriter::new(&mut self.scratch))?;
                    Value::Text(&self.scratch).write_json(out);
                }
                out.push(b'"');
            }
        }
        write_fields(&self.fields, meta, None, out);
        out.push(b'}');
        Ok(())
    }

    /// Appends what could not be read as an event. Bytes that are not UTF-8 read as U+FFFD.
    pub fn raw(&mut self, text: &[u8], error: &str, meta: &Meta<'_>, out: &mut Vec<u8>) {
        self.envelope(Value::Absent, Value::Absent, Value::Plain(b"Undecodable"), meta, out);
        match &mut self.json {
            Some(json) => json.raw(text, error, meta, out),
            None => {
                let text = String::from_utf8_lossy(text);
                let text = if text.trim().is_empty() { error } else { &text };
                out.push(b'"');
                Value::Text(text.as_bytes()).write_json(out);
                out.push(b'"');
            }
        }
        write_fields(&self.fields, meta, Some(error), out);
        out.push(b'}');
    }

    /// The members before the event.
    fn envelope(
        &mut self,
        created: Value<'_>,
        computer: Value<'_>,
        channel: Value<'_>,
        meta: &Meta<'_>,
        out: &mut Vec<u8>,
    ) {
        out.push(b'{');
        if let Some(time) = since_1970(created, meta, &mut self.scratch) {
            out.extend_from_slice(b"\"time\":");
            // From 1970 to 2262.
            let nanos = time.0.unsigned_abs();
            Value::Unsigned(nanos / 1_000_000_000).write_text(out);
            out.push(b'.');
            fraction((nanos % 1_000_000_000) as u32, out);
            out.push(b',');
        }
        self.write_host(computer, meta, out);
        let (before, after) = &self.source;
        out.extend_from_slice(before);
        if let Some(after) = after {
            let channel = if is_blank(channel) { Value::Plain(b"Unknown") } else { channel };
            channel.write_json(out);
            out.extend_from_slice(after);
        }
        out.extend_from_slice(&self.sourcetype);
        let subscription = meta.origin.and_then(|origin| origin.subscription.as_deref());
        let own = subscription.and_then(|name| self.indexes.iter().find(|(of, _)| **of == *name));
        out.extend_from_slice(own.map_or(&self.index, |(_, index)| index));
        out.extend_from_slice(b",\"event\":");
    }

    fn write_host(&mut self, computer: Value<'_>, meta: &Meta<'_>, out: &mut Vec<u8>) {
        let signed_in = meta.origin.and_then(|origin| origin.host.as_deref());
        let computer = match signed_in {
            Some(host) if is_blank(computer) => Value::Text(host.as_bytes()),
            _ => computer,
        };
        if is_blank(computer) {
            return;
        }
        out.extend_from_slice(b"\"host\":\"");
        match self.host {
            HostConfig::Fqdn => computer.write_json(out),
            HostConfig::Short => {
                self.scratch.clear();
                computer.write_text(&mut self.scratch);
                Value::Text(short(&self.scratch)).write_json(out);
            }
        }
        out.extend_from_slice(b"\",");
    }
}

const SOURCE: &str = "XmlWinEventLog:{channel}";

/// Seven digits, as many as Windows' clock has, or all nine.
fn fraction(nanos: u32, out: &mut Vec<u8>) {
    let (mut scale, last) = (100_000_000, if nanos.is_multiple_of(100) { 100 } else { 1 });
    while scale >= last {
        out.push(b'0' + (nanos / scale % 10) as u8);
        scale /= 10;
    }
}

/// Up to the first dot; an address has no shorter form.
fn short(name: &[u8]) -> &[u8] {
    let is_address = str::from_utf8(name).is_ok_and(|name| name.parse::<IpAddr>().is_ok());
    match memchr::memchr(b'.', name) {
        Some(dot) if dot > 0 && !is_address => &name[..dot],
        _ => name,
    }
}

/// Splunk's rules for the name of an index.
fn checked_index(name: &str) -> Result<&str, FormatError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    let is_right = name.chars().all(allowed) && !name.starts_with(['_', '-']) && !name.contains("kvstore");
    if name.is_empty() || !is_right {
        return Err(FormatError::Index { found: name.into() });
    }
    Ok(name)
}

/// The member `source` before and behind the channel.
fn source_parts(source: &str) -> Result<(Vec<u8>, Option<Vec<u8>>), FormatError> {
    let (before, after) = match source.split_once("{channel}") {
        Some((before, after)) => (before, Some(after)),
        None => (source, None),
    };
    if before.contains(['{', '}']) || after.is_some_and(|after| after.contains(['{', '}'])) {
        return Err(FormatError::SplunkSource { found: source.into() });
    }
    let mut start = b"\"source\":\"".to_vec();
    Value::Text(before.as_bytes()).write_json(&mut start);
    let Some(after) = after else {
        start.push(b'"');
        return Ok((start, None));
    };
    let mut end = Vec::new();
    Value::Text(after.as_bytes()).write_json(&mut end);
    end.push(b'"');
    Ok((start, Some(end)))
}
