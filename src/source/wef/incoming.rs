//! From the bytes of a request to values of our own: decompressed, as text, as a message, with its
//! events in one buffer.
//!
//! ```text
//! body ─► SLDC ─► UTF-16 to UTF-8 ─► envelope ─► Message
//!         └── scratch of the thread, used again ┘    └► text of the events, and nothing between them
//! ```
//! This is the processor time of a delivery: no allocation per event, each byte is looked at a few times.
//! Promise: bounded by `Limits`, whatever the body says. Must not know: who sent it, the basin.

use super::run::{Run, Runs};
use crate::event::text::decode_xml;
use crate::event::xml::{XmlEvent, recover};
use crate::event::{Event, Note, NoteKind, Timestamp, Value};
use crate::wsman::charset::{self, Charset};
use crate::wsman::request::{Message as Soap, Rejected};
use crate::wsman::sldc::{self, SldcError};
use crate::wsman::{Events, Guid, Header, Request, SubscriptionEnd, bookmark};
use bytes::Bytes;
use std::cell::RefCell;
use std::ops::Range;
use std::time::Duration;

/// A message, taken out of its envelope.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) charset: Charset,
    pub(super) message_id: Option<Box<str>>,
    /// What the host calls itself.
    pub(super) machine_id: Option<Box<str>>,
    /// Version of the subscription that the host runs, as it was told.
    pub(super) version: Option<Guid>,
    pub(super) timeout: Option<Duration>,
    /// Longest answer that the host takes.
    pub(super) envelope_bytes_max: Option<u32>,
    pub(super) wrong_length: Option<WrongLength>,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Enumerate,
    Delivery(Delivered),
    Heartbeat,
    /// How many events the host says it left out.
    Dropped(u64),
    /// Why the host gives the subscription up.
    Ended {
        status: Option<Box<str>>,
        fault: Option<(u32, Box<str>)>,
    },
    /// End, Cancel and their kind: no answer is due.
    Duplex,
    Identify,
    /// The host tells of a failure.
    Fault(Box<str>),
}

/// The length behind a compressed body, which was not the true one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WrongLength {
    pub(super) declared: usize,
    pub(super) decoded: usize,
}

/// Events and what came with them.
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) text: Bytes,
    pub(super) events: Vec<Range<u32>>,
    pub(super) notes: Vec<Note>,
    pub(super) bookmark: Mark,
    /// Events 111 among them, which are not passed on: the host began without a bookmark.
    pub(super) started: usize,
    pub(super) dropped: u64,
    /// Events that cannot be read; they go on raw.
    pub(super) undecodable: u64,
    /// Why, of the first of them.
    pub(super) wrong: Option<Box<str>>,
    /// Of each channel, where its events begin and end.
    pub(super) runs: Vec<Run>,
    /// When the newest event was created.
    pub(super) newest: Option<Timestamp>,
    /// A name in `Computer` that is not the sender's, and how many events bear such.
    pub(super) foreign: Option<(Box<str>, u64)>,
}

/// The bookmark of a delivery.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mark {
    None,
    Kept(Box<str>),
    /// It could not be given back.
    Unusable(String),
}

/// Why a request is not served.
#[derive(Debug)]
pub(super) enum Wrong {
    /// The body is no text. Answered by a bare status.
    Body { why: String, too_large: bool },
    /// The text is no message of ours. Answered by a fault.
    Message { charset: Charset, rejected: Rejected },
}

/// What to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body<'b> {
    pub(super) bytes: &'b [u8],
    pub(super) is_sldc: bool,
    pub(super) charset: Option<Charset>,
    /// Most bytes after decompression.
    pub(super) bytes_max: usize,
}

impl Body<'_> {
    /// `is_own` tells whether a name in `Computer` is the sender's; None: nobody asks.
    pub(super) fn read(&self, is_own: Option<&dyn Fn(&str) -> bool>) -> Result<Message, Wrong> {
        SCRATCH.with_borrow_mut(|scratch| {
            let message = self.read_with(scratch, is_own);
            scratch.trim();
            message
        })
    }

    fn read_with(
        &self,
        scratch: &mut Scratch,
        is_own: Option<&dyn Fn(&str) -> bool>,
    ) -> Result<Message, Wrong> {
        let Scratch { units, text } = scratch;
        units.clear();
        text.clear();
        let (encoded, wrong_length) = self.expanded(units)?;
        let read = charset::decode(encoded, self.charset, text);
        let read = read.map_err(|error| Wrong::Body { why: error.to_string(), too_large: false })?;
        let text = std::str::from_utf8(text)
            .map_err(|error| Wrong::Body { why: error.to_string(), too_large: false })?;
        let request =
            Request::parse(text).map_err(|rejected| Wrong::Message { charset: read.charset, rejected })?;
        let Request { header, message } = request;
        let what = what(&header, message, read.replaced, is_own);
        Ok(Message {
            charset: read.charset,
            message_id: header.message_id.as_deref().map(Into::into),
            machine_id: header.machine_id.as_deref().map(Into::into),
            version: header.identifier().or_else(|| header.version()).and_then(Guid::parse),
            timeout: header.operation_timeout,
            envelope_bytes_max: header.max_envelope_size,
            wrong_length,
            what,
        })
    }

    /// The body without its compression.
    fn expanded<'s>(&'s self, units: &'s mut Vec<u8>) -> Result<(&'s [u8], Option<WrongLength>), Wrong> {
        if !self.is_sldc {
            return Ok((self.bytes, None));
        }
        match sldc::decode(self.bytes, self.bytes_max, units) {
            Ok(decoded) => {
                let wrong = decoded.declared.filter(|declared| *declared != decoded.bytes);
                Ok((units, wrong.map(|declared| WrongLength { declared, decoded: decoded.bytes })))
            }
            // The End that follows a SubscriptionEnd says SLDC, and is not.
            Err(SldcError::Plain) => Ok((self.bytes, None)),
            Err(error) => {
                let error = match error {
                    SldcError::Declared { .. } => self.not_a_record(units).unwrap_or(error),
                    error => error,
                };
                let too_large = matches!(error, SldcError::Declared { .. } | SldcError::TooLong { .. });
                Err(Wrong::Body { why: error.to_string(), too_large })
            }
        }
    }

    /// Why a body that says it is too long is no record at all: then what it says means nothing.
    fn not_a_record(&self, units: &mut Vec<u8>) -> Option<SldcError> {
        let (stream, _) = self.bytes.split_last_chunk::<{ sldc::TRAILER_BYTES }>()?;
        let error = sldc::decode_stream(stream, self.bytes_max, units).err();
        error.filter(|error| !matches!(error, SldcError::TooLong { .. }))
    }
}

fn what(
    header: &Header<'_>,
    message: Soap<'_>,
    replaced: usize,
    is_own: Option<&dyn Fn(&str) -> bool>,
) -> What {
    match message {
        Soap::Enumerate { .. } => What::Enumerate,
        Soap::Events(events) => What::Delivery(delivered(header, &events, replaced, is_own)),
        Soap::Heartbeat => What::Heartbeat,
        Soap::DroppedEvents(count) => What::Dropped(count),
        Soap::SubscriptionEnd(SubscriptionEnd { status, fault, .. }) => What::Ended {
            status: status.as_deref().map(Into::into),
            fault: fault.map(|fault| (fault.innermost(), fault.message.into())),
        },
        Soap::FullDuplex => What::Duplex,
        Soap::Identify => What::Identify,
        Soap::Fault(fault) => What::Fault(fault.reason.into()),
    }
}

fn delivered(
    header: &Header<'_>,
    events: &Events<'_>,
    replaced: usize,
    is_own: Option<&dyn Fn(&str) -> bool>,
) -> Delivered {
    let mut text = Vec::with_capacity(events.iter().map(str::len).sum());
    let mut ranges = Vec::with_capacity(events.ranges.len());
    let mut facts = Facts::default();
    for (number, event) in events.iter().enumerate() {
        // Envelopes are shorter than 32 bits can count.
        let start = text.len() as u32;
        let closed = recover(event.as_bytes());
        text.extend_from_slice(closed.as_deref().unwrap_or(event.as_bytes()));
        ranges.push(start..text.len() as u32);
        facts.note(number as u32, event, replaced, is_own);
        if closed.is_some() {
            let detail = "came cut off in its RenderingInfo, which is left out".into();
            facts.notes.push(Note { event: number as u32, kind: NoteKind::Recovered, detail });
        }
    }
    let bookmark = match &header.bookmark {
        None => Mark::None,
        Some(bookmark::Bookmark::Unusable(error)) => Mark::Unusable(error.to_string()),
        Some(bookmark) => bookmark.text().map_or(Mark::None, |text| Mark::Kept(text.into())),
    };
    Delivered {
        text: text.into(),
        events: ranges,
        bookmark,
        started: events.started.len(),
        dropped: events.dropped,
        notes: facts.notes,
        undecodable: facts.undecodable,
        wrong: facts.wrong,
        newest: facts.time.and_then(Timestamp::parse),
        runs: facts.runs.finish(),
        foreign: facts.foreign,
    }
}

/// What is known of the events of a delivery.
#[derive(Default)]
struct Facts<'a> {
    notes: Vec<Note>,
    undecodable: u64,
    wrong: Option<Box<str>>,
    runs: Runs<'a>,
    /// `SystemTime` of the last event.
    time: Option<&'a [u8]>,
    /// A name that was found to be the sender's.
    own: Option<&'a [u8]>,
    foreign: Option<(Box<str>, u64)>,
}

impl<'a> Facts<'a> {
    fn note(&mut self, number: u32, event: &'a str, replaced: usize, is_own: Option<&dyn Fn(&str) -> bool>) {
        if replaced > 0 && event.contains('\u{fffd}') {
            let detail = "lone surrogates became U+FFFD".into();
            self.notes.push(Note { event: number, kind: NoteKind::Surrogates, detail });
        }
        let parsed = match XmlEvent::parse(event.as_bytes()) {
            Ok(parsed) => parsed,
            Err(error) => {
                self.undecodable += 1;
                self.wrong.get_or_insert_with(|| error.to_string().into());
                return;
            }
        };
        let header = parsed.header();
        self.time = raw(header.time_created).or(self.time);
        if let (Some(channel), Some(record)) = (raw(header.channel), raw(header.record_id)) {
            self.runs.note(channel, record, self.time);
        }
        if let (Some(is_own), Some(computer)) = (is_own, raw(header.computer)) {
            self.check(number, computer, is_own);
        }
    }

    fn check(&mut self, number: u32, computer: &'a [u8], is_own: &dyn Fn(&str) -> bool) {
        if self.own == Some(computer) {
            return;
        }
        let mut name = Vec::with_capacity(computer.len());
        decode_xml(computer, &mut name);
        let name = String::from_utf8_lossy(&name);
        if is_own(&name) {
            self.own = Some(computer);
            return;
        }
        let name: Box<str> = name.chars().take(NAME_CHARS_MAX).collect::<String>().into();
        self.notes.push(Note { event: number, kind: NoteKind::Foreign, detail: name.clone() });
        self.foreign.get_or_insert((name, 0)).1 += 1;
    }
}

/// A value of the XML reader as it is written.
fn raw(value: Value<'_>) -> Option<&[u8]> {
    match value {
        Value::Xml(text) | Value::Plain(text) | Value::Text(text) => Some(text),
        _ => None,
    }
}

/// Longest name of a computer that a note repeats; DNS names have 255.
const NAME_CHARS_MAX: usize = 255;
/// Buffers that outgrew this are given back after use.
const SCRATCH_BYTES_MAX: usize = 4 << 20;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

#[derive(Default)]
struct Scratch {
    /// The body without its compression.
    units: Vec<u8>,
    /// The same as UTF-8.
    text: Vec<u8>,
}

impl Scratch {
    fn trim(&mut self) {
        for buffer in [&mut self.units, &mut self.text] {
            if buffer.capacity() > SCRATCH_BYTES_MAX {
                *buffer = Vec::new();
            }
        }
    }
}
