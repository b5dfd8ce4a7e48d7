//! A flat object of JSON: members that a format has for System and for itself, those that the event brings
//! under names of their own (`names.rs`), and what is not flat behind them.
//!
//! - `Other`: a list of `name=value`, for values that come after as many as an object may have.
//! - `EventXML`: the event's XML, where it was asked for, and where System holds what it has no name for.
//! - `Forebay`: where the event came from, as in the native JSON.

use super::Meta;
use super::json::meta::Cached;
use super::json::{comma, number_or_string};
use super::names::Names;
use crate::event::canonical::XmlWriter;
use crate::event::{Event, EventError, Part, Value};

/// Names that all objects have.
const COMMON: [&str; 3] = ["Other", "EventXML", "Forebay"];

/// What is reused from event to event.
#[derive(Debug)]
pub(super) struct Object {
    names: Names,
    /// Items of `Other`, each with a comma before it.
    other: Vec<u8>,
    origin: Cached,
    xml: Vec<u8>,
}

impl Object {
    /// With the names that the format has beside the common ones.
    pub(super) fn new(own: &[&str]) -> Self {
        let names = Names::new(&[own, &COMMON].concat());
        Self { names, other: Vec::new(), origin: Cached::default(), xml: Vec::new() }
    }

    pub(super) fn open(&mut self, out: &mut Vec<u8>) {
        self.names.clear();
        self.other.clear();
        out.push(b'{');
    }

    /// A value that the event has under this name; `place` is its place among those values.
    pub(super) fn value(&mut self, name: &[u8], text: &[u8], place: usize, out: &mut Vec<u8>) {
        let before = out.len();
        comma(out);
        out.push(b'"');
        let start = out.len();
        Value::Text(name).write_json(out);
        if self.names.settle(start, place, out) {
            out.extend_from_slice(b"\":\"");
            Value::Text(text).write_json(out);
            out.push(b'"');
        } else {
            out.truncate(before);
            self.other.extend_from_slice(b",\"");
            Value::Text(name).write_json(&mut self.other);
            self.other.push(b'=');
            Value::Text(text).write_json(&mut self.other);
            self.other.push(b'"');
        }
    }

    /// A second name for what is there, unless the event has something of that name.
    pub(super) fn alias(&mut self, name: &[u8], text: Value<'_>, out: &mut Vec<u8>) {
        if self.names.take(name) {
            comma(out);
            out.push(b'"');
            out.extend_from_slice(name);
            out.extend_from_slice(b"\":\"");
            text.write_json(out);
            out.push(b'"');
        }
    }

    /// The event's XML.
    pub(super) fn xml<'a, E: Event<'a>>(&mut self, event: &E, out: &mut Vec<u8>) -> Result<(), EventError> {
        original(event, &mut self.xml, out)
    }

    pub(super) fn close(&mut self, meta: &Meta<'_>, out: &mut Vec<u8>) {
        if let Some(items) = self.other.strip_prefix(b",") {
            comma(out);
            out.extend_from_slice(b"\"Other\":[");
            out.extend_from_slice(items);
            out.push(b']');
        }
        self.origin.write(meta, None, out);
        out.push(b'}');
    }

    /// What could not be read as an event. Bytes that are not UTF-8 read as U+FFFD.
    pub(super) fn raw(&mut self, text: &[u8], error: &str, meta: &Meta<'_>, out: &mut Vec<u8>) {
        out.push(b'{');
        self.origin.write(meta, Some((error, text)), out);
        out.push(b'}');
    }
}

/// `EventXML`.
pub(super) fn original<'a, E: Event<'a>>(
    event: &E,
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<(), EventError> {
    match event.canonical() {
        Some(canonical) => string("EventXML", Value::Text(canonical), out),
        None => {
            scratch.clear();
            event.walk(Part::Whole, &mut XmlWriter::new(scratch))?;
            string("EventXML", Value::Text(scratch), out);
        }
    }
    Ok(())
}

/// A member, if there is a value.
pub(super) fn string(name: &str, value: Value<'_>, out: &mut Vec<u8>) {
    if !value.is_absent() {
        key(name, out);
        out.push(b'"');
        value.write_json(out);
        out.push(b'"');
    }
}

/// The same with a number, where the text is one and JSON would give back the same digits.
pub(super) fn number(name: &str, value: Value<'_>, out: &mut Vec<u8>) {
    if !value.is_absent() {
        key(name, out);
        number_or_string(value, out);
    }
}

pub(super) fn key(name: &str, out: &mut Vec<u8>) {
    comma(out);
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}
