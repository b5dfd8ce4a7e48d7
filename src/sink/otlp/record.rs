//! What a log record has before its body, written while the event is at hand.
//!
//! | field or attribute | from |
//! |---|---|
//! | `time_unix_nano` | when it happened; when it was received, if it does not say; none before 1970 |
//! | `observed_time_unix_nano` | when it was received |
//! | `severity_number`, `_text` | Level: Critical 21, Error 17, Warning 13, Information 9 (0 too, as Windows shows it), Verbose 5; none for levels of a provider's own |
//! | `host.name` | Computer; else the host that signed in |
//! | `winlog.…` | System: `channel`, `provider_name`, `provider_guid`, `event_id`, `version`, `level`, `task`, `opcode`, `keywords`, `record_id`, `activity_id`, `process.pid`, `process.thread.id`, `user.identifier`; numbers where they are |
//! | `forebay.source`, `.subscription` | which part of the pipeline file brought it |
//!
//! Names are those of Elastic's `winlog`, under which a record can stand beside what its agents send. Sources:
//! `logs.proto` of opentelemetry-proto; "Logs Data Model", appendix B (severities of Windows).
//! Must not know: bodies, requests.

use super::{attribute, proto};
use crate::event::{Header, Timestamp, Value};
use crate::sink::Head;
use crate::sink::template::{RouteValues, shorten};

/// Longest text in an attribute; the body has all of it.
const ATTRIBUTE_BYTES_MAX: usize = 1024;

const TIME: u32 = 1;
const SEVERITY_NUMBER: u32 = 2;
const SEVERITY_TEXT: u32 = 3;
const OBSERVED_TIME: u32 = 11;

/// Writes the part of records before their bodies.
#[derive(Default)]
pub(super) struct Records {
    scratch: Vec<u8>,
}

impl Head for Records {
    fn write(&mut self, of: &RouteValues<'_, '_>, out: &mut Vec<u8>) {
        let header = of.header.copied().unwrap_or_default();
        time(TIME, of.time, out);
        time(OBSERVED_TIME, of.origin.received, out);
        if let Some((number, text)) = severity(&header) {
            proto::number(SEVERITY_NUMBER, number, out);
            proto::bytes(SEVERITY_TEXT, text.as_bytes(), out);
        }
        let signed_in =
            || of.origin.host.as_deref().map_or(Value::Absent, |host| Value::Text(host.as_bytes()));
        self.text("host.name", if is_blank(header.computer) { signed_in() } else { header.computer }, out);
        for (name, value) in texts(&header) {
            self.text(name, value, out);
        }
        for (name, value) in numbers(&header) {
            match value.as_u64().and_then(|number| i64::try_from(number).ok()) {
                Some(number) => attribute::number(name, number, out),
                None => self.text(name, value, out),
            }
        }
        self.text("forebay.source", Value::Text(of.origin.source.as_bytes()), out);
        if let Some(subscription) = &of.origin.subscription {
            self.text("forebay.subscription", Value::Text(subscription.as_bytes()), out);
        }
    }
}

impl Records {
    fn text(&mut self, name: &str, value: Value<'_>, out: &mut Vec<u8>) {
        self.scratch.clear();
        shorten(value).write_text(&mut self.scratch);
        if self.scratch.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(&self.scratch);
        attribute::text(name, &text[..text.floor_char_boundary(ATTRIBUTE_BYTES_MAX)], out);
    }
}

fn texts<'a>(header: &Header<'a>) -> [(&'static str, Value<'a>); 6] {
    [
        ("winlog.channel", header.channel),
        ("winlog.provider_name", header.provider_name),
        ("winlog.provider_guid", header.provider_guid),
        ("winlog.keywords", header.keywords),
        ("winlog.activity_id", header.activity_id),
        ("winlog.user.identifier", header.user_id),
    ]
}

fn numbers<'a>(header: &Header<'a>) -> [(&'static str, Value<'a>); 8] {
    [
        ("winlog.event_id", header.event_id),
        ("winlog.version", header.version),
        ("winlog.level", header.level),
        ("winlog.task", header.task),
        ("winlog.opcode", header.opcode),
        ("winlog.record_id", header.record_id),
        ("winlog.process.pid", header.process_id),
        ("winlog.process.thread.id", header.thread_id),
    ]
}

fn severity(header: &Header<'_>) -> Option<(u64, &'static str)> {
    Some(match header.level.as_u64()? {
        1 => (21, "Critical"),
        2 => (17, "Error"),
        3 => (13, "Warning"),
        0 | 4 => (9, "Information"),
        5 => (5, "Verbose"),
        _ => return None,
    })
}

/// None is written for what OTLP cannot say.
fn time(field: u32, time: Timestamp, out: &mut Vec<u8>) {
    if let Ok(nanos @ 1..) = u64::try_from(time.0) {
        proto::fixed(field, nanos, out);
    }
}

fn is_blank(value: Value<'_>) -> bool {
    matches!(
        value,
        Value::Absent | Value::Xml(b"") | Value::Plain(b"") | Value::Text(b"") | Value::Utf16(b"")
    )
}
