//! JSON as OpenWEC writes it (its format `Json`), for what stands behind an OpenWEC today.
//!
//! ```text
//! {"System":{…},"EventData":{name:text,…,"Data":[…],"Binary":[…]},"RenderingInfo":{…},"OpenWEC":{metadata}}
//! ```
//!
//! - **System**: as in the native JSON, with `EventIDQualifiers`; numbers where they are some.
//! - **EventData** and the other parts: see `body.rs`.
//! - **OpenWEC**: `IpAddress`, `TimeReceived`, `Principal` and `Client` (who signed in), `Node`,
//!   `Subscription` {Uuid, Name}; `Error` {OriginalContent, Type, Message} for what could not be read.
//! - **EventXML**: the event's XML, where OpenWEC's shape leaves something of it out.
//!
//! `pipelines/formats/openwec.md` lists what differs from OpenWEC's own output.
//! Source: OpenWEC's documentation, `formats.md`, and what it wrote of the events in `testdata`.

mod body;
mod pairs;
#[cfg(test)]
mod tests;
mod user_data;

use super::Meta;
use super::json::{meta, says_more};
use super::members::open;
use super::object::{key, number, original, string};
use crate::event::canonical::XmlWriter;
use crate::event::header::Seen;
use crate::event::{Event, EventError, Header, Origin, Part, Value};
use body::{Body, Scratch};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Write;
use user_data::{inner, is_plain};

/// `format.openwec = {}`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of this collector in `OpenWEC.Node`, as OpenWEC's `server.node_name`; without it there is none.
    pub node: Option<String>,
    /// `OpenWEC.Subscription.Uuid` by the name of the subscription; without one there is none.
    pub uuid_by_subscription: BTreeMap<String, String>,
}

/// Writes events as OpenWEC's objects, one line each.
#[derive(Debug)]
pub struct Openwec {
    config: Config,
    scratch: Scratch,
    /// Members that all events of a batch share.
    origin: Option<Origin>,
    shared: Vec<u8>,
    xml: Vec<u8>,
}

impl Openwec {
    pub fn new(config: &Config) -> Self {
        let (config, scratch) = (config.clone(), Scratch::default());
        Self { config, scratch, origin: None, shared: Vec::new(), xml: Vec::new() }
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
        if header.seen != Seen::default() {
            system(header, out);
        }
        let mut body = Body::new(&mut self.scratch);
        event.walk(Part::Body, &mut body)?;
        let end = body.end();
        let mut is_whole = end.is_whole && !(header.odd && says_more(event)?);
        if end.part == body::Part::UserData {
            self.user_data(event, end.is_repeated, out)?;
        }
        is_whole &= self.scratch.write_part(&end, out);
        is_whole &= self.scratch.write_rendering(&end, out);
        if !is_whole {
            original(event, &mut self.xml, out)?;
        }
        self.metadata(meta, None, out);
        out.push(b'}');
        Ok(())
    }

    /// Appends what could not be read as an event. Bytes that are not UTF-8 read as U+FFFD.
    pub fn raw(&mut self, text: &[u8], error: &str, meta: &Meta<'_>, out: &mut Vec<u8>) {
        out.push(b'{');
        self.metadata(meta, Some((error, text)), out);
        out.push(b'}');
    }

    /// The XML inside, as it came but for its line ends.
    fn user_data<'a, E: Event<'a>>(
        &mut self,
        event: &E,
        is_repeated: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), EventError> {
        // Where the tag may stand in a comment or in CDATA, all is written anew.
        let plain = event.canonical().filter(|text| is_plain(text));
        let text = match plain {
            Some(text) => text,
            None => {
                self.xml.clear();
                event.walk(Part::Whole, &mut XmlWriter::new(&mut self.xml))?;
                &self.xml
            }
        };
        let inside = inner(text, is_repeated).unwrap_or_default();
        key("UserData", out);
        out.push(b'"');
        // As an XML parser has them: CRLF and a lone CR are LF.
        let mut lines = inside.split(|&byte| byte == b'\r');
        Value::Text(lines.next().unwrap_or_default()).write_json(out);
        for line in lines {
            if !line.starts_with(b"\n") {
                Value::Text(b"\n").write_json(out);
            }
            Value::Text(line).write_json(out);
        }
        out.push(b'"');
        Ok(())
    }

    fn metadata(&mut self, meta: &Meta<'_>, failed: Option<(&str, &[u8])>, out: &mut Vec<u8>) {
        if !meta.notes.is_empty() {
            // What OpenWEC has no word for.
            open("Forebay", out);
            meta::write_notes(meta, out);
            out.push(b'}');
        }
        open("OpenWEC", out);
        if let Some(origin) = meta.origin {
            if self.origin.as_ref() != Some(origin) {
                self.shared.clear();
                write_origin(origin, &self.config, &mut self.shared);
                self.origin = Some(origin.clone());
            }
            out.extend_from_slice(&self.shared);
        }
        if let Some((error, text)) = failed {
            open("Error", out);
            string("OriginalContent", Value::Text(String::from_utf8_lossy(text).as_bytes()), out);
            string("Type", Value::Plain(b"Unrecoverable"), out);
            string("Message", Value::Text(error.as_bytes()), out);
            out.push(b'}');
        }
        out.push(b'}');
    }
}

fn write_origin(origin: &Origin, config: &Config, out: &mut Vec<u8>) {
    if let Some(address) = origin.address {
        write!(out, "\"IpAddress\":\"{address}\",").expect("a vector takes it");
    }
    out.extend_from_slice(b"\"TimeReceived\":\"");
    origin.received.write(9, out);
    // OpenWEC writes the offset of its own zone, and never a `Z`.
    out.pop();
    out.extend_from_slice(b"+00:00\"");
    if let Some(host) = origin.host.as_deref() {
        string("Principal", Value::Text(host.as_bytes()), out);
        string("Client", Value::Text(host.as_bytes()), out);
    }
    if let Some(node) = config.node.as_deref() {
        string("Node", Value::Text(node.as_bytes()), out);
    }
    if let Some(name) = origin.subscription.as_deref() {
        open("Subscription", out);
        if let Some(uuid) = config.uuid_by_subscription.get(name) {
            string("Uuid", Value::Text(uuid.as_bytes()), out);
        }
        string("Name", Value::Text(name.as_bytes()), out);
        out.push(b'}');
    }
}

fn system(header: &Header<'_>, out: &mut Vec<u8>) {
    open("System", out);
    open("Provider", out);
    string("Name", header.provider_name, out);
    string("Guid", header.provider_guid, out);
    string("EventSourceName", header.event_source_name, out);
    out.push(b'}');
    number("EventID", header.event_id, out);
    number("EventIDQualifiers", header.qualifiers, out);
    number("Version", header.version, out);
    number("Level", header.level, out);
    number("Task", header.task, out);
    number("Opcode", header.opcode, out);
    string("Keywords", header.keywords, out);
    string("TimeCreated", header.time_created, out);
    number("EventRecordID", header.record_id, out);
    if header.seen.has(Seen::CORRELATION) {
        open("Correlation", out);
        string("ActivityID", header.activity_id, out);
        string("RelatedActivityID", header.related_activity_id, out);
        out.push(b'}');
    }
    if header.seen.has(Seen::EXECUTION) {
        open("Execution", out);
        number("ProcessID", header.process_id, out);
        number("ThreadID", header.thread_id, out);
        number("ProcessorID", header.processor_id, out);
        number("SessionID", header.session_id, out);
        number("KernelTime", header.kernel_time, out);
        number("UserTime", header.user_time, out);
        number("ProcessorTime", header.processor_time, out);
        out.push(b'}');
    }
    string("Channel", header.channel, out);
    string("Computer", header.computer, out);
    string("UserID", header.user_id, out);
    out.push(b'}');
}
