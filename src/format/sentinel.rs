//! Rows of Microsoft Sentinel's tables for Windows events, one object each, for the Logs Ingestion API.
//!
//! | table | stream | what it is |
//! |---|---|---|
//! | `WindowsEvent` | `Microsoft-WindowsEvent` | columns of System, all `Data` in the dynamic column EventData |
//! | `SecurityEvent` | `Microsoft-SecurityEvent` | a column for each `Data` that the table knows, XML of the rest in EventData |
//!
//! Columns and their types are Microsoft's (`testdata/sentinel/columns.txt`); a number that its column cannot
//! hold, and text where a number belongs, is kept where the rest is. Nothing is sent for a value that is empty.
//! A column holds 64 kB (`FIELD_BYTES_MAX`), what is more is cut with a mark: see `limit.rs`.
//! Sources: Azure Monitor's table reference; its limits of custom logs and of the Logs Ingestion API.

mod columns;
mod limit;
mod security_event;
#[cfg(test)]
mod tests;
mod windows_event;
mod xml;

use super::Meta;
use super::json;
use super::known;
use super::sieve::Taken;
use crate::event::{Event, EventError, Header, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use limit::FIELD_BYTES_MAX;

/// `format.sentinel = {}`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which table the rows are for.
    pub table: Table,
    /// Whether `EventData["#Event"]` of WindowsEvent holds what no column is for: the provider's GUID, rendered
    /// texts, UserData, where the event came from.
    pub rest: bool,
}

impl Default for Config {
    /// The table that takes events of every channel, and all of them.
    fn default() -> Self {
        Self { table: Table::default(), rest: true }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
pub enum Table {
    /// Events of every channel.
    #[default]
    WindowsEvent,
    /// Security events, as most of Sentinel's rules for them read.
    SecurityEvent,
}

impl Table {
    /// The one that a stream of the Logs Ingestion API goes to, if it is one of Microsoft's.
    pub fn of_stream(stream: &str) -> Option<Self> {
        match stream {
            "Microsoft-WindowsEvent" => Some(Self::WindowsEvent),
            "Microsoft-SecurityEvent" => Some(Self::SecurityEvent),
            _ => None,
        }
    }
}

/// Writes events as rows of a table, one line each.
#[derive(Debug)]
pub struct Sentinel {
    table: Table,
    rest: bool,
    scratch: Scratch,
}

/// What is reused from event to event.
#[derive(Debug, Default)]
struct Scratch {
    body: json::body::Scratch,
    origin: json::meta::Cached,
    taken: Taken,
    /// Members or XML of the body.
    members: Vec<u8>,
    name: Vec<u8>,
    text: Vec<u8>,
}

impl Sentinel {
    pub fn new(config: &Config) -> Self {
        Self { table: config.table, rest: config.rest, scratch: Scratch::default() }
    }

    /// Whether the event's id stands in what it writes.
    pub fn writes_id(&self) -> bool {
        self.table == Table::WindowsEvent && self.rest
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
        match self.table {
            Table::WindowsEvent => windows_event::write(event, meta, self.rest, &mut self.scratch, out),
            Table::SecurityEvent => security_event::write(event, meta, &mut self.scratch, out),
        }
    }

    /// Appends what could not be read as an event. Bytes that are not UTF-8 read as U+FFFD.
    pub fn raw(&mut self, text: &[u8], error: &str, meta: &Meta<'_>, out: &mut Vec<u8>) {
        out.push(b'{');
        time(Value::Absent, meta, &mut self.scratch.text, out);
        let host = meta.origin.and_then(|origin| origin.host.as_deref()).unwrap_or_default();
        limit::text("Computer", host.as_bytes(), out);
        let text = String::from_utf8_lossy(text);
        match self.table {
            Table::WindowsEvent => windows_event::raw(text.as_bytes(), error, meta, &mut self.scratch, out),
            Table::SecurityEvent => {
                limit::text("EventSourceName", b"Forebay", out);
                limit::text("Activity", error.as_bytes(), out);
                limit::text("EventData", text.as_bytes(), out);
            }
        }
        out.push(b'}');
    }
}

/// `TimeGenerated`: when it happened, or else when it was received. Says whether it is all that TimeCreated says.
fn time(created: Value<'_>, meta: &Meta<'_>, scratch: &mut Vec<u8>, out: &mut Vec<u8>) -> bool {
    let happened = known::happened(created, scratch);
    let received = meta.origin.map(|origin| origin.received);
    if let Some(time) = happened.or(received) {
        out.extend_from_slice(b"\"TimeGenerated\":\"");
        // As many digits as the column has.
        time.write(7, out);
        out.push(b'"');
    }
    happened.is_some_and(|time| time.0 % 100 == 0)
}

/// What Windows calls the level; 0 (log always) is what Event Viewer shows as Information.
fn level_name(header: &Header<'_>) -> &'static str {
    match header.level.as_u64() {
        Some(0 | 4) => "Information",
        Some(1) => "Critical",
        Some(2) => "Error",
        Some(3) => "Warning",
        Some(5) => "Verbose",
        _ => "",
    }
}

/// Whether the text of a value is a number that a column of type `int` gives back as it is.
fn is_int(value: Value<'_>) -> bool {
    let mut digits = [0; 12];
    match value {
        Value::Unsigned(number) => i32::try_from(number).is_ok(),
        Value::Xml(text) | Value::Plain(text) | Value::Text(text) => columns::is_int(text),
        Value::Utf16(units) => {
            let count = units.len() / 2;
            let Some(digits) = digits.get_mut(..count) else { return false };
            let ascii = |unit: &[u8]| if unit[1] == 0 { unit[0] } else { b'?' };
            digits.iter_mut().zip(units.chunks_exact(2)).for_each(|(digit, unit)| *digit = ascii(unit));
            columns::is_int(digits)
        }
        _ => false,
    }
}
