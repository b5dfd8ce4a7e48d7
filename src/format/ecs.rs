//! Elastic Common Schema, the shape of Winlogbeat and of Elastic Agent's `windows.forwarded`.
//!
//! ```text
//! {"@timestamp":…,"ecs":{…},"data_stream":{…},"tags":["forwarded"],"host":{"name":Computer},
//!  "winlog":{System…,"event_data":{…},"user_data":{…},"task","opcode","keywords"},
//!  "event":{…},"log":{"level"},"message":…}
//! ```
//!
//! | field | from |
//! |---|---|
//! | `@timestamp` | TimeCreated, 7 fraction digits (9 where they say more); without one between 1678 and 2261, when it was received, and `winlog.time_created_text` as it stands |
//! | `event.code`, `.provider`, `.created` | EventID and Provider as strings; when it was received |
//! | `event.action` | rendered task, `None` for task 0 |
//! | `event.outcome` | bits of Keywords: 0x10000000000000 failure, else 0x20000000000000 success |
//! | `event.original` | the event's XML, with `original = true` |
//! | `log.level` | rendered level, else the name Windows gives the number; lower case |
//! | `log.file.path` | the file it was read from |
//! | `message` | rendered message, lines end in LF |
//! | `error.code`, `.message` | ProcessingErrorData; what was noted when it was taken in |
//! | `winlog.…` | channel, computer_name, event_id, provider_name, provider_guid, record_id, version, activity_id, related_activity_id, process.pid, process.thread.id, processor_id, session_id, kernel_time, user_time, processor_time, user.identifier, task, opcode, keywords; user.name, .domain and .type of the accounts that every Windows has |
//! | `winlog.event_data`, `.user_data` | see `pairs.rs` |
//!
//! As Winlogbeat does: ids are strings; empty values and numbers that are 0 are left out; a name
//! for task, opcode or keywords that nobody rendered comes from winmeta.xml or is left out. What
//! Elastic's ingest pipelines add (`user`, `process`, `source`, `related`, `event.category`,
//! `winlog.logon` …) is left to them: they route by `data_stream.dataset` and read `winlog`.
//! What could not be read has `event.kind` `pipeline_error`, its text in `event.original` and the
//! reason in `error.message`.
//!
//! Not lossless: System elements that Windows' schema does not know, attributes of RenderingInfo
//! and the raw numbers of task, opcode and keywords stay in `event.original`; `json` loses nothing.
//! Sources: elastic/beats `winlogbeat/sys/winevent`, Elastic's `windows` integration.

mod meaning;
mod pairs;
mod parts;

#[cfg(test)]
mod tests;

use super::known::{self, Account, Outcome, is_blank};
use super::members::{comma, escaped, number, string, whole};
use super::{FormatError, Meta};
use crate::event::canonical::XmlWriter;
use crate::event::{Event, EventError, Header, NoteKind, Part, Value};
use parts::{Parts, Scratch};
use schemars::JsonSchema;
use serde::Deserialize;

/// The version of ECS whose fields are written.
pub const ECS_VERSION: &str = "8.17.0";
/// Longest namespace of a data stream (Elastic's own limit).
pub const NAMESPACE_BYTES_MAX: usize = 100;

/// `format.ecs = {}`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Keep the event's XML in `event.original`, as Elastic's `preserve_original_event`.
    pub original: bool,
    /// Last part of the data stream's name: `logs-windows.forwarded-<namespace>`.
    pub namespace: String,
}

impl Default for Config {
    /// Elastic's own default namespace; the original doubles the size of an event.
    fn default() -> Self {
        Self { original: false, namespace: "default".into() }
    }
}

/// Writes events as ECS documents, one line each.
#[derive(Debug)]
pub struct Ecs {
    original: bool,
    /// What is the same in every document.
    common: Vec<u8>,
    scratch: Scratch,
}

impl Ecs {
    /// # Errors
    /// A namespace that Elasticsearch would refuse.
    pub fn new(config: &Config) -> Result<Self, FormatError> {
        let namespace = &config.namespace;
        let refused = |c: char| c.is_uppercase() || c.is_control() || " \\/*?\"<>|,#:-".contains(c);
        if namespace.is_empty() || namespace.len() > NAMESPACE_BYTES_MAX || namespace.contains(refused) {
            return Err(FormatError::Namespace { found: namespace.clone() });
        }
        let common = format!(
            "\"ecs\":{{\"version\":\"{ECS_VERSION}\"}},\"data_stream\":{{\"type\":\"logs\",\
             \"dataset\":\"windows.forwarded\",\"namespace\":\"{namespace}\"}}"
        );
        Ok(Self { original: config.original, common: common.into(), scratch: Scratch::default() })
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
        out.push(b'{');
        let dated = timestamp(header.time_created, meta, &mut self.scratch.original, out);
        self.common(meta, out);
        if !is_blank(header.computer) {
            out.extend_from_slice(b",\"host\":{");
            string("name", header.computer, out);
            out.push(b'}');
        }
        out.extend_from_slice(b",\"winlog\":{\"api\":\"wineventlog\"");
        system(header, out);
        if !dated {
            // `time_created` is a date to Elastic, which would refuse any other text.
            string("time_created_text", header.time_created, out);
        }
        let mut parts = Parts::new(&mut self.scratch, out);
        event.walk(Part::Body, &mut parts)?;
        parts.finish()?;
        self.scratch.rendered.complete(header);
        self.scratch.rendered.write_winlog(out);
        out.push(b'}');
        self.write_event(event, meta, out)?;
        self.scratch.rendered.write_rest(meta, out);
        out.push(b'}');
        Ok(())
    }

    /// Appends what could not be read as an event. Bytes that are not UTF-8 read as U+FFFD.
    pub fn raw(&mut self, text: &[u8], error: &str, meta: &Meta<'_>, out: &mut Vec<u8>) {
        out.push(b'{');
        timestamp(Value::Absent, meta, &mut self.scratch.original, out);
        self.common(meta, out);
        out.extend_from_slice(b",\"event\":{\"kind\":\"pipeline_error\"");
        created(meta, out);
        string("original", Value::Text(String::from_utf8_lossy(text).as_bytes()), out);
        out.extend_from_slice(b"},\"error\":{");
        string("message", Value::Text(error.as_bytes()), out);
        out.push(b'}');
        file(meta, out);
        out.push(b'}');
    }

    fn common(&self, meta: &Meta<'_>, out: &mut Vec<u8>) {
        comma(out);
        out.extend_from_slice(&self.common);
        out.extend_from_slice(b",\"tags\":[\"forwarded\"");
        for note in meta.notes {
            out.extend_from_slice(match note.kind {
                NoteKind::Undecodable => b",\"forebay_undecodable\"",
                NoteKind::Surrogates => b",\"forebay_surrogates\"",
                NoteKind::Recovered => b",\"forebay_recovered\"",
                NoteKind::Foreign => b",\"forebay_foreign\"",
                NoteKind::Distrusted => b",\"forebay_distrusted\"",
            });
        }
        out.push(b']');
    }

    /// The `event` object.
    fn write_event<'a, E: Event<'a>>(
        &mut self,
        event: &E,
        meta: &Meta<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), EventError> {
        let header = event.header();
        out.extend_from_slice(b",\"event\":{\"kind\":\"event\"");
        string("code", header.event_id, out);
        string("provider", header.provider_name, out);
        escaped("action", &self.scratch.rendered.task, out);
        if let Some(outcome) = known::outcome(header) {
            let outcome: &[u8] = if outcome == Outcome::Success { b"success" } else { b"failure" };
            escaped("outcome", outcome, out);
        }
        created(meta, out);
        if self.original {
            let text = &mut self.scratch.original;
            text.clear();
            match event.canonical() {
                Some(canonical) => string("original", Value::Text(canonical), out),
                None => {
                    event.walk(Part::Whole, &mut XmlWriter::new(text))?;
                    string("original", Value::Text(text), out);
                }
            }
        }
        out.push(b'}');
        Ok(())
    }
}

/// `winlog` as far as System tells it.
fn system(header: &Header<'_>, out: &mut Vec<u8>) {
    string("channel", header.channel, out);
    string("computer_name", header.computer, out);
    string("event_id", header.event_id, out);
    string("provider_name", header.provider_name, out);
    string("provider_guid", header.provider_guid, out);
    string("record_id", header.record_id, out);
    number("version", header.version, out);
    string("activity_id", header.activity_id, out);
    string("related_activity_id", header.related_activity_id, out);
    let (pid, thread) = (whole(header.process_id), whole(header.thread_id));
    if pid.or(thread).is_some() {
        out.extend_from_slice(b",\"process\":{");
        number("pid", header.process_id, out);
        if thread.is_some() {
            comma(out);
            out.extend_from_slice(b"\"thread\":{");
            number("id", header.thread_id, out);
            out.push(b'}');
        }
        out.push(b'}');
    }
    number("processor_id", header.processor_id, out);
    number("session_id", header.session_id, out);
    number("kernel_time", header.kernel_time, out);
    number("user_time", header.user_time, out);
    number("processor_time", header.processor_time, out);
    if !is_blank(header.user_id) {
        out.extend_from_slice(b",\"user\":{");
        string("identifier", header.user_id, out);
        // Winlogbeat asks Windows for them.
        if let Some(account) = Account::of(header.user_id) {
            string("name", Value::Plain(account.name.as_bytes()), out);
            string("domain", Value::Plain(Account::DOMAIN.as_bytes()), out);
            string("type", Value::Plain(account.kind.as_bytes()), out);
        }
        out.push(b'}');
    }
}

/// When it happened, or else when it was received: a data stream takes no document without. Says
/// whether it was when it happened.
fn timestamp(created: Value<'_>, meta: &Meta<'_>, scratch: &mut Vec<u8>, out: &mut Vec<u8>) -> bool {
    let happened = known::happened(created, scratch);
    let received = meta.origin.map(|origin| origin.received);
    if let Some(time) = happened.or(received) {
        out.extend_from_slice(b"\"@timestamp\":\"");
        time.write(if time.0 % 100 == 0 { 7 } else { 9 }, out);
        out.push(b'"');
    }
    happened.is_some()
}

fn created(meta: &Meta<'_>, out: &mut Vec<u8>) {
    if let Some(origin) = meta.origin {
        out.extend_from_slice(b",\"created\":\"");
        origin.received.write(3, out);
        out.push(b'"');
    }
    out.extend_from_slice(b",\"dataset\":\"windows.forwarded\",\"module\":\"windows\"");
}

fn file(meta: &Meta<'_>, out: &mut Vec<u8>) {
    if let Some(file) = meta.origin.and_then(|origin| origin.file.as_deref()) {
        out.extend_from_slice(b",\"log\":{\"file\":{");
        string("path", Value::Text(file.as_bytes()), out);
        out.extend_from_slice(b"}}");
    }
}
