//! Event to bytes, one file per shape; each is written once for both encodings.
//!
//! | file | shape |
//! |---|---|
//! | `json.rs` | native JSON: everything the event holds, nothing lost |
//! | `xml.rs` | canonical XML, byte for byte |
//! | `ecs.rs` | Elastic Common Schema, as Winlogbeat and Elastic Agent write it |
//!
//! A format appends the payload of one event to a buffer that the lane owns and reuses; how
//! payloads are told apart in a stream is the [`Framing`], which stream sinks write.
//! Pure. Must not know: sinks, batches.

pub mod ecs;
pub mod json;
pub mod xml;

use crate::event::{Event, EventError, EventId, Note, Origin};
use schemars::JsonSchema;
use serde::Deserialize;
use thiserror::Error;

/// `[output.NAME.format]`: exactly one table, named after the shape.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FormatConfig {
    /// Native JSON: System, EventData, UserData, RenderingInfo and one object of metadata.
    pub json: Option<json::Config>,
    /// The event's XML as it came.
    pub xml: Option<xml::Config>,
    /// Elastic Common Schema for the data stream `windows.forwarded`.
    pub ecs: Option<ecs::Config>,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FormatError {
    #[error("no format is set; write for example `format.json = {{}}`")]
    None,
    #[error("more than one format is set; keep one of them, each output has one shape")]
    Several,
    #[error(
        "`{found}` is no namespace of a data stream; write 1 to 100 bytes in lower case, without blanks and \
         any of \\ / * ? \" < > | , # : -"
    )]
    Namespace { found: String },
}

impl FormatConfig {
    pub fn open(&self) -> Result<Format, FormatError> {
        match self {
            Self { json: Some(json), xml: None, ecs: None } => Ok(Format::Json(json::Json::new(json))),
            Self { json: None, xml: Some(xml), ecs: None } => Ok(Format::Xml(xml::Xml::new(xml))),
            Self { json: None, xml: None, ecs: Some(ecs) } => ecs::Ecs::new(ecs).map(Format::Ecs),
            Self { json: None, xml: None, ecs: None } => Err(FormatError::None),
            _ => Err(FormatError::Several),
        }
    }
}

/// What is known of an event beside its own text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meta<'m> {
    /// Where it came from; without it no metadata is written.
    pub origin: Option<&'m Origin>,
    pub id: Option<EventId>,
    /// Those of this event.
    pub notes: &'m [Note],
}

/// A shape, with the scratch it reuses from event to event.
#[derive(Debug)]
pub enum Format {
    Json(json::Json),
    Xml(xml::Xml),
    Ecs(ecs::Ecs),
}

impl Format {
    /// Appends the payload of one event.
    ///
    /// # Errors
    /// When the event cannot be read to its end; `out` is then as it was.
    pub fn event<'a, E: Event<'a>>(
        &mut self,
        event: &E,
        meta: &Meta<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), EventError> {
        match self {
            Self::Json(json) => json.event(event, meta, out),
            Self::Xml(xml) => xml.event(event, meta, out),
            Self::Ecs(ecs) => ecs.event(event, meta, out),
        }
    }

    /// Appends what could not be read as an event: its text, and the error beside it.
    pub fn raw(&mut self, text: &[u8], error: &str, meta: &Meta<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Json(json) => json.raw(text, error, meta, out),
            Self::Xml(xml) => xml.raw(text, error, meta, out),
            Self::Ecs(ecs) => ecs.raw(text, error, meta, out),
        }
    }

    /// Whether the event's id stands in what it writes.
    pub fn writes_id(&self) -> bool {
        matches!(self, Self::Json(_))
    }

    /// How its payloads are told apart in a stream.
    pub fn framing(&self) -> Framing {
        match self {
            Self::Json(_) | Self::Ecs(_) => Framing::Line,
            Self::Xml(xml) => xml.framing(),
        }
    }
}

/// How payloads are told apart in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Each ends with LF and holds none.
    Line,
    /// The number of bytes stands before each: four bytes, big-endian.
    Length,
    /// They follow each other; each shows its own end.
    None,
}

impl Framing {
    /// Before a payload is appended; what is returned goes to `close`.
    pub fn open(self, out: &mut Vec<u8>) -> usize {
        if self == Self::Length {
            out.extend_from_slice(&[0; 4]);
        }
        out.len()
    }

    /// After the payload, which stands from `start` on.
    ///
    /// # Panics
    /// When the payload has 4 GiB or more: no event may come that far.
    pub fn close(self, out: &mut Vec<u8>, start: usize) {
        match self {
            Self::Line => out.push(b'\n'),
            Self::Length => {
                let length = u32::try_from(out.len() - start).expect("limits keep events far below 4 GiB");
                out[start - 4..start].copy_from_slice(&length.to_be_bytes());
            }
            Self::None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_format_is_opened() {
        let open = |text: &str| toml::from_str::<FormatConfig>(text).unwrap().open();
        assert!(matches!(open("json = {}"), Ok(Format::Json(_))));
        assert!(matches!(open("xml.framing = 'length'").unwrap().framing(), Framing::Length));
        assert!(matches!(open("ecs.original = true"), Ok(Format::Ecs(_))));
        assert!(matches!(open(""), Err(FormatError::None)));
        assert!(matches!(open("xml = {}\njson = {}"), Err(FormatError::Several)));
        assert!(open("ecs.namespace = 'a b'").unwrap_err().to_string().contains("`a b`"));
    }

    #[test]
    fn payloads_are_told_apart_by_line_or_length() {
        for (framing, expected) in
            [(Framing::Line, &b"ab\n"[..]), (Framing::Length, b"\0\0\0\x02ab"), (Framing::None, b"ab")]
        {
            let mut out = Vec::new();
            let start = framing.open(&mut out);
            out.extend_from_slice(b"ab");
            framing.close(&mut out, start);
            assert_eq!(out, expected);
        }
    }
}
