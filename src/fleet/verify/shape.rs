//! One event of an output: which it is, and whether it is still what was sent.

use crate::event::text::decode_xml;
use crate::event::{Event, Value, XmlEvent};
use crate::format::{Format, Meta, json, xml};
use serde::Deserialize;
use std::fmt;

/// How an event was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Xml,
    /// XML that was made of what an event log holds.
    Logged,
    /// Our own JSON, of which we know what it must look like.
    Json,
    /// The text of what a collector could not read.
    Raw,
    /// JSON of any other kind.
    Other,
}

/// An event that was recognised.
#[derive(Debug)]
pub(super) struct Known {
    shape: Shape,
    /// Text of a raw one.
    raw: Option<String>,
    pub(super) computer: String,
    pub(super) channel: String,
    pub(super) record: u64,
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.computer, self.channel, self.record)
    }
}

/// The formats, with what they reuse from event to event.
pub(super) struct Judge {
    json: Format,
    xml: Format,
    out: Vec<u8>,
}

impl Default for Judge {
    fn default() -> Self {
        let json = Format::Json(json::Json::new(&json::Config::default()));
        let xml = Format::Xml(xml::Xml::new(&xml::Config::default()));
        Self { json, xml, out: Vec::new() }
    }
}

impl Judge {
    pub(super) fn identify(&self, line: &[u8]) -> Option<Known> {
        if line.starts_with(xml::RAW_START.as_bytes()) {
            let text = line.strip_suffix(xml::RAW_END.as_bytes())?;
            let escaped = &text[memchr::memchr(b'>', text)? + 1..];
            let mut raw = Vec::with_capacity(escaped.len());
            decode_xml(escaped, &mut raw);
            return of_raw(String::from_utf8(raw).ok()?);
        }
        if line.starts_with(b"<") {
            return of_xml(line, Shape::Xml);
        }
        let line: Line = serde_json::from_slice(line).ok()?;
        let is_ours = line.forebay.is_some() && line.system.is_some();
        let shape = if is_ours { Shape::Json } else { Shape::Other };
        let original = line.elastic.filter(|_| line.winlog.is_none()).and_then(|elastic| elastic.original);
        if let Some(raw) = line.forebay.and_then(|forebay| forebay.raw).or(original) {
            return of_raw(raw);
        }
        let event = line.event.and_then(|event| event.system);
        let flat = match line.hostname {
            Some(_) if line.computer.is_none() => {
                System { computer: line.hostname, channel: line.channel, record: line.record_number }
            }
            _ => System { computer: line.computer, channel: line.channel, record: line.record },
        };
        let system = line.system.or(event).or(line.winlog).unwrap_or(flat);
        let record = match system.record? {
            serde_json::Value::Number(number) => number.as_u64()?,
            serde_json::Value::String(text) => text.parse().ok()?,
            _ => return None,
        };
        Some(Known { shape, raw: None, computer: system.computer?, channel: system.channel?, record })
    }

    /// An event that was read from an event log.
    pub(super) fn identify_logged(&self, text: &[u8]) -> Option<Known> {
        of_xml(text, Shape::Logged)
    }

    /// Whether it says what the text says; `None` where we do not know what it should look like.
    pub(super) fn is_same(&mut self, line: &[u8], known: &Known, text: &str) -> Option<bool> {
        if known.shape == Shape::Xml && line == text.as_bytes() {
            return Some(true);
        }
        if let Some(raw) = &known.raw {
            return Some(raw == text);
        }
        self.out.clear();
        let event = XmlEvent::parse(text.as_bytes()).ok()?;
        let format = match known.shape {
            Shape::Xml => &mut self.xml,
            Shape::Json | Shape::Logged => &mut self.json,
            Shape::Raw | Shape::Other => return None,
        };
        if format.event(&event, &Meta::default(), &mut self.out).is_err() {
            return Some(false);
        }
        Some(match known.shape {
            // What was known beside the event follows it in the same object.
            Shape::Json => {
                let members = self.out.strip_suffix(b"}").unwrap_or(&self.out);
                line.strip_prefix(members).is_some_and(|rest| rest.starts_with(b",\"Forebay\":{"))
            }
            Shape::Logged => {
                let found = XmlEvent::parse(line).ok()?;
                let sent = self.out.len();
                format.event(&found, &Meta::default(), &mut self.out).ok()?;
                self.out[..sent] == self.out[sent..]
            }
            Shape::Xml | Shape::Raw | Shape::Other => line == self.out,
        })
    }
}

fn of_raw(raw: String) -> Option<Known> {
    let known = of_xml(raw.as_bytes(), Shape::Raw)?;
    Some(Known { raw: Some(raw), ..known })
}

fn of_xml(text: &[u8], shape: Shape) -> Option<Known> {
    let event = XmlEvent::parse(text).ok()?;
    let header = event.header();
    let text = |value: Value<'_>| {
        let mut out = Vec::new();
        value.write_text(&mut out);
        String::from_utf8(out).ok()
    };
    Some(Known {
        shape,
        raw: None,
        computer: text(header.computer)?,
        channel: text(header.channel)?,
        record: text(header.record_id)?.parse().ok()?,
    })
}

/// What tells an event in the shapes that are about: ours, Elastic's, those of other collectors, and flat ones.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "System")]
    system: Option<System>,
    #[serde(rename = "Event")]
    event: Option<Nested>,
    winlog: Option<System>,
    #[serde(rename = "Forebay")]
    forebay: Option<Forebay>,
    #[serde(rename = "event")]
    elastic: Option<Elastic>,
    #[serde(rename = "Computer")]
    computer: Option<String>,
    #[serde(rename = "Hostname")]
    hostname: Option<String>,
    #[serde(rename = "Channel")]
    channel: Option<String>,
    #[serde(rename = "EventRecordID")]
    record: Option<serde_json::Value>,
    #[serde(rename = "RecordNumber")]
    record_number: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Nested {
    #[serde(rename = "System")]
    system: Option<System>,
}

#[derive(Deserialize)]
struct Elastic {
    /// The text of what could not be read.
    original: Option<String>,
}

#[derive(Deserialize)]
struct System {
    #[serde(rename = "Computer", alias = "computer_name")]
    computer: Option<String>,
    #[serde(rename = "Channel", alias = "channel")]
    channel: Option<String>,
    #[serde(rename = "EventRecordID", alias = "record_id")]
    record: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Forebay {
    #[serde(rename = "Raw")]
    raw: Option<String>,
}
