//! Event to bytes, one file per shape; each is written once for both encodings.
//!
//! | file | shape |
//! |---|---|
//! | `json.rs` | native JSON: everything the event holds, nothing lost |
//! | `xml.rs` | canonical XML, byte for byte |
//! | `ecs.rs` | Elastic Common Schema, as Winlogbeat and Elastic Agent write it |
//! | `splunk.rs` | object of Splunk's HTTP Event Collector: XML or JSON within |
//! | `snare.rs` | Snare's line of fields, for syslog |
//! | `cef.rs` | ArcSight's Common Event Format, for syslog |
//! | `leef.rs` | IBM's Log Event Extended Format, for syslog |
//! | `ocsf.rs` | Open Cybersecurity Schema Framework |
//! | `sentinel.rs` | rows of Microsoft Sentinel's tables for Windows events |
//! | `openwec.rs` | JSON as OpenWEC writes it |
//! | `nxlog.rs` | NXLog's flat object |
//! | `flat.rs` | a flat object with the names that Sigma rules use |
//!
//! `texts.rs`, `names.rs`, `known.rs`, `members.rs`, `object.rs`, `rest.rs` and `sieve.rs` are what several
//! of them share.
//! A format appends the payload of one event to a buffer that the lane owns and reuses; how
//! payloads are told apart in a stream is the [`Framing`], which stream sinks write.
//! Pure. Must not know: sinks, batches.

pub mod cef;
pub mod ecs;
pub mod flat;
pub mod json;
mod known;
pub mod leef;
mod members;
mod names;
pub mod nxlog;
mod object;
pub mod ocsf;
pub mod openwec;
mod rest;
pub mod sentinel;
mod sieve;
pub mod snare;
pub mod splunk;
mod texts;
pub mod xml;

#[cfg(test)]
mod tests;

use crate::event::{Event, EventError, EventId, Note, Origin, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;
use thiserror::Error;

/// `[output.NAME.format]`: exactly one table, named after the shape.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FormatConfig {
    /// Native JSON: System, EventData, UserData, RenderingInfo and one object of metadata.
    pub json: Option<json::Config>,
    /// The event's XML as it came.
    pub xml: Option<xml::Config>,
    /// Elastic Common Schema for the data stream `windows.forwarded` (`formats/ecs.md`).
    pub ecs: Option<ecs::Config>,
    /// Objects of Splunk's HTTP Event Collector, for its event endpoint (`formats/splunk.md`).
    pub splunk: Option<splunk::Config>,
    /// Snare's line of fields, for syslog (`formats/snare.md`).
    pub snare: Option<snare::Config>,
    /// ArcSight's Common Event Format, for syslog (`formats/cef.md`).
    pub cef: Option<cef::Config>,
    /// IBM's Log Event Extended Format, for syslog (`formats/leef.md`).
    pub leef: Option<leef::Config>,
    /// Objects of the Open Cybersecurity Schema Framework (`formats/ocsf.md`).
    pub ocsf: Option<ocsf::Config>,
    /// Rows of Microsoft Sentinel's tables WindowsEvent and SecurityEvent (`formats/sentinel.md`).
    pub sentinel: Option<sentinel::Config>,
    /// JSON as OpenWEC writes it (`formats/openwec.md`).
    pub openwec: Option<openwec::Config>,
    /// NXLog's flat object, with the names of `im_msvistalog` (`formats/nxlog.md`).
    pub nxlog: Option<nxlog::Config>,
    /// A flat object with the names that Sigma rules use (`formats/flat.md`).
    pub flat: Option<flat::Config>,
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
    #[error(
        "`{found}` is no index of Splunk; write lower-case letters, digits, `_` and `-`, of which it does not \
         begin with the last two, and not `kvstore`"
    )]
    Index { found: String },
    #[error("`{found}` is no source: `{{channel}}` may stand in it once, and no other brace")]
    SplunkSource { found: String },
    #[error("`{found}` is no version: it may hold no line end and no other control character")]
    CefVersion { found: String },
    #[error(
        "`{found}` is no delimiter of LEEF; write one sign that is no letter or digit, or its code such as `x09`; \
         version 1.0 has the tab and nothing else"
    )]
    LeefDelimiter { found: String },
    #[error(
        "`{found}` is no version of a product: it may hold no `|`, no line end and no other control character"
    )]
    LeefVersion { found: String },
    #[error("`{found}` is no type of a module; write one word, such as `im_msvistalog`")]
    NxlogModule { found: String },
}

impl FormatConfig {
    pub fn open(&self) -> Result<Format, FormatError> {
        let Self { json, xml, ecs, splunk, snare, cef, leef, ocsf, sentinel, openwec, nxlog, flat } = self;
        let mut written = [
            json.as_ref().map(|json| Ok(Format::Json(json::Json::new(json)))),
            xml.as_ref().map(|xml| Ok(Format::Xml(xml::Xml::new(xml)))),
            ecs.as_ref().map(|ecs| ecs::Ecs::new(ecs).map(Format::Ecs)),
            splunk.as_ref().map(|splunk| splunk::Splunk::new(splunk).map(Format::Splunk)),
            snare.as_ref().map(|snare| Ok(Format::Snare(snare::Snare::new(snare)))),
            cef.as_ref().map(|cef| cef::Cef::new(cef).map(Format::Cef)),
            leef.as_ref().map(|leef| leef::Leef::new(leef).map(Format::Leef)),
            ocsf.as_ref().map(|ocsf| Ok(Format::Ocsf(ocsf::Ocsf::new(ocsf)))),
            sentinel.as_ref().map(|sentinel| Ok(Format::Sentinel(sentinel::Sentinel::new(sentinel)))),
            openwec.as_ref().map(|openwec| Ok(Format::Openwec(openwec::Openwec::new(openwec)))),
            nxlog.as_ref().map(|nxlog| nxlog::Nxlog::new(nxlog).map(Format::Nxlog)),
            flat.as_ref().map(|flat| Ok(Format::Flat(flat::Flat::new(flat)))),
        ]
        .into_iter()
        .flatten();
        match (written.next(), written.next()) {
            (Some(format), None) => format,
            (None, _) => Err(FormatError::None),
            _ => Err(FormatError::Several),
        }
    }

    /// Whether each payload is an object of JSON.
    pub fn is_json(&self) -> bool {
        // All are named, so that a new one is put on one side.
        let Self { json, ecs, splunk, ocsf, sentinel, openwec, nxlog, flat, xml, snare, cef, leef } = self;
        let _are_text = (xml, snare, cef, leef);
        json.is_some()
            || ecs.is_some()
            || splunk.is_some()
            || ocsf.is_some()
            || sentinel.is_some()
            || openwec.is_some()
            || nxlog.is_some()
            || flat.is_some()
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
    /// When it is written, where that is soon sent.
    pub now: Option<Timestamp>,
}

/// A shape, with the scratch it reuses from event to event.
#[derive(Debug)]
pub enum Format {
    Json(json::Json),
    Xml(xml::Xml),
    Ecs(ecs::Ecs),
    Splunk(splunk::Splunk),
    Snare(snare::Snare),
    Cef(cef::Cef),
    Leef(leef::Leef),
    Ocsf(ocsf::Ocsf),
    Sentinel(sentinel::Sentinel),
    Openwec(openwec::Openwec),
    Nxlog(nxlog::Nxlog),
    Flat(flat::Flat),
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
        let start = out.len();
        let written = match self {
            Self::Json(json) => json.event(event, meta, out),
            Self::Xml(xml) => xml.event(event, meta, out),
            Self::Ecs(ecs) => ecs.event(event, meta, out),
            Self::Splunk(splunk) => splunk.event(event, meta, out),
            Self::Snare(snare) => snare.event(event, meta, out),
            Self::Cef(cef) => cef.event(event, meta, out),
            Self::Leef(leef) => leef.event(event, meta, out),
            Self::Ocsf(ocsf) => ocsf.event(event, meta, out),
            Self::Sentinel(sentinel) => sentinel.event(event, meta, out),
            Self::Openwec(openwec) => openwec.event(event, meta, out),
            Self::Nxlog(nxlog) => nxlog.event(event, meta, out),
            Self::Flat(flat) => flat.event(event, meta, out),
        };
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    /// Appends what could not be read as an event: its text, and the error beside it.
    pub fn raw(&mut self, text: &[u8], error: &str, meta: &Meta<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Json(json) => json.raw(text, error, meta, out),
            Self::Xml(xml) => xml.raw(text, error, meta, out),
            Self::Ecs(ecs) => ecs.raw(text, error, meta, out),
            Self::Splunk(splunk) => splunk.raw(text, error, meta, out),
            Self::Snare(snare) => snare.raw(text, error, meta, out),
            Self::Cef(cef) => cef.raw(text, error, meta, out),
            Self::Leef(leef) => leef.raw(text, error, meta, out),
            Self::Ocsf(ocsf) => ocsf.raw(text, error, meta, out),
            Self::Sentinel(sentinel) => sentinel.raw(text, error, meta, out),
            Self::Openwec(openwec) => openwec.raw(text, error, meta, out),
            Self::Nxlog(nxlog) => nxlog.raw(text, error, meta, out),
            Self::Flat(flat) => flat.raw(text, error, meta, out),
        }
    }

    /// Whether the event's id stands in what it writes.
    pub fn writes_id(&self) -> bool {
        match self {
            Self::Json(_) | Self::Ocsf(_) | Self::Nxlog(_) | Self::Flat(_) => true,
            Self::Splunk(splunk) => splunk.writes_id(),
            Self::Sentinel(sentinel) => sentinel.writes_id(),
            Self::Xml(_)
            | Self::Ecs(_)
            | Self::Snare(_)
            | Self::Cef(_)
            | Self::Leef(_)
            | Self::Openwec(_) => false,
        }
    }

    /// How its payloads are told apart in a stream.
    pub fn framing(&self) -> Framing {
        match self {
            Self::Xml(xml) => xml.framing(),
            Self::Json(_)
            | Self::Ecs(_)
            | Self::Splunk(_)
            | Self::Snare(_)
            | Self::Cef(_)
            | Self::Leef(_)
            | Self::Ocsf(_)
            | Self::Sentinel(_)
            | Self::Openwec(_)
            | Self::Nxlog(_)
            | Self::Flat(_) => Framing::Line,
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
