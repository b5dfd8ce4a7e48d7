//! What the filter and the format of an output make of a delivery: the costly part of a lane, and the part that
//! outputs of the same filter and format have in common.
//!
//! The payloads go to a [`Page`]: straight into the batch of an output, or into a [`Shaped`], from which several
//! outputs copy theirs.
//! Must not know: sinks, where a payload goes, what stands before and after it.

use crate::config::Undecodable;
use crate::event::xml::XmlEvent;
use crate::event::{Event, EventBatch, EventId, Note, NoteKind, Timestamp, Value};
use crate::filter::Filter;
use crate::format::{Format, Meta};
use std::ops::Range;

/// Filters events and writes their payloads.
pub(super) struct Shaper {
    pub(super) filter: Filter,
    pub(super) format: Format,
    pub(super) undecodable: Undecodable,
    /// Another output sends its dead letters here: what nobody can read comes with them, once.
    pub(super) takes_letters: bool,
    /// Whether the format or a sink uses ids: they cost a hash over the text.
    pub(super) ids: bool,
}

/// Takes the payloads of a delivery, in their order.
pub(super) trait Page {
    /// A payload follows. `event` is there when it could be read.
    fn begin(&mut self, event: Option<&XmlEvent<'_>>, time: Timestamp);

    /// It is appended here.
    fn bytes(&mut self) -> &mut Vec<u8>;

    /// What was begun is not to stay.
    fn undo(&mut self);

    /// It is whole: that of the event with this index.
    fn end(&mut self, event: u32, id: Option<EventId>);
}

/// What became of the events of a delivery that are on no page.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// For the dead letter: index and error.
    pub(super) dead: Vec<(u32, String)>,
    pub(super) filtered: u64,
    pub(super) undecodable: u64,
    /// Of the first that its source took for readable, why it is not.
    pub(super) unread: Option<String>,
}

impl Shaper {
    /// Writes what comes of all events of a delivery.
    pub(super) fn shape(&mut self, delivery: &EventBatch, now: Timestamp, page: &mut impl Page) -> Tally {
        let mut tally = Tally::default();
        let mut notes = &delivery.notes[..];
        for index in 0..delivery.events.len() {
            let own = notes.iter().take_while(|note| note.event as usize == index).count();
            let (of_event, rest) = notes.split_at(own);
            notes = rest;
            self.event(delivery, (index as u32, of_event), now, page, &mut tally);
        }
        tally
    }

    /// Writes what another output could not deliver, with the reason beside it.
    pub(super) fn letter(&mut self, delivery: &EventBatch, index: usize, error: &str, page: &mut impl Page) {
        let text = delivery.event(index);
        let from = delivery.notes.partition_point(|note| (note.event as usize) < index);
        let own = delivery.notes[from..].iter().take_while(|note| note.event as usize == index).count();
        let notes = &delivery.notes[from..from + own];
        let event = XmlEvent::parse(text).ok();
        let id = self.ids.then(|| match &event {
            Some(event) if !is_undecodable(notes) => id_of(event, delivery, text),
            _ => id_of_raw(delivery, text),
        });
        let meta = Meta { origin: Some(&delivery.origin), id, notes, ..Meta::default() };
        page.begin(event.as_ref(), time_of(event.as_ref(), delivery));
        self.format.raw(text, error, &meta, page.bytes());
        page.end(index as u32, id);
    }

    fn event(
        &mut self,
        delivery: &EventBatch,
        (index, notes): (u32, &[Note]),
        now: Timestamp,
        page: &mut impl Page,
        tally: &mut Tally,
    ) {
        let text = delivery.event(index as usize);
        // Who collects what cannot be read wants to hear of all of it, so System is read first.
        let may_glance = self.undecodable == Undecodable::Raw && !is_undecodable(notes);
        if may_glance && self.filter.rejects(text) {
            tally.filtered += 1;
            return;
        }
        let parsed = XmlEvent::parse(text);
        if self.takes_letters && (parsed.is_err() || is_undecodable(notes)) {
            return;
        }
        if let Some(note) = notes.iter().find(|note| note.kind == NoteKind::Distrusted) {
            let error = format!("the source does not trust it: it names the computer `{}`", note.detail);
            tally.dead.push((index, error));
            return;
        }
        if let Some(note) = notes.iter().find(|note| note.kind == NoteKind::Undecodable) {
            return self.unreadable(delivery, (index, notes), &note.detail, page, tally);
        }
        let event = match parsed {
            Ok(event) => event,
            Err(error) => {
                return self.unreadable(delivery, (index, notes), &error.to_string(), page, tally);
            }
        };
        match self.filter.keeps(&event, now) {
            Ok(true) => {}
            Ok(false) => {
                tally.filtered += 1;
                return;
            }
            Err(error) => {
                let error = error.to_string();
                self.unreadable(delivery, (index, notes), &error, page, tally);
                tally.unread.get_or_insert(error);
                return;
            }
        }
        let id = self.ids.then(|| id_of(&event, delivery, text));
        let meta = Meta { origin: Some(&delivery.origin), id, notes, now: Some(now) };
        page.begin(Some(&event), time_of(Some(&event), delivery));
        if let Err(error) = self.format.event(&event, &meta, page.bytes()) {
            page.undo();
            let error = error.to_string();
            self.unreadable(delivery, (index, notes), &error, page, tally);
            tally.unread.get_or_insert(error);
            return;
        }
        page.end(index, id);
    }

    fn unreadable(
        &mut self,
        delivery: &EventBatch,
        (index, notes): (u32, &[Note]),
        error: &str,
        page: &mut impl Page,
        tally: &mut Tally,
    ) {
        tally.undecodable += 1;
        if self.undecodable == Undecodable::DeadLetter {
            tally.dead.push((index, error.to_owned()));
            return;
        }
        let text = delivery.event(index as usize);
        let id = self.ids.then(|| id_of_raw(delivery, text));
        let meta = Meta { origin: Some(&delivery.origin), id, notes, ..Meta::default() };
        page.begin(None, delivery.origin.received);
        self.format.raw(text, error, &meta, page.bytes());
        page.end(index, id);
    }
}

/// What came of a delivery, for several outputs.
#[derive(Debug, Default)]
pub(super) struct Shaped {
    bytes: Vec<u8>,
    payloads: Vec<Payload>,
    pub(super) tally: Tally,
}

#[derive(Debug)]
pub(super) struct Payload {
    /// Index in the delivery.
    pub(super) event: u32,
    /// Whether it could be read.
    pub(super) is_read: bool,
    pub(super) time: Timestamp,
    pub(super) id: Option<EventId>,
    range: Range<u32>,
}

impl Shaped {
    pub(super) fn new(shaper: &mut Shaper, delivery: &EventBatch, now: Timestamp) -> Self {
        let mut shaped = Self { bytes: Vec::with_capacity(delivery.text.len()), ..Self::default() };
        shaped.tally = shaper.shape(delivery, now, &mut shaped);
        shaped
    }

    pub(super) fn payloads(&self) -> impl Iterator<Item = (&Payload, &[u8])> {
        let bytes = |range: &Range<u32>| &self.bytes[range.start as usize..range.end as usize];
        self.payloads.iter().map(move |payload| (payload, bytes(&payload.range)))
    }

    /// Bytes that it takes in memory.
    pub(super) fn weight(&self) -> usize {
        let dead: usize = self.tally.dead.iter().map(|(_, error)| error.len() + 64).sum();
        self.bytes.capacity() + self.payloads.capacity() * size_of::<Payload>() + dead + 256
    }
}

impl Page for Shaped {
    fn begin(&mut self, event: Option<&XmlEvent<'_>>, time: Timestamp) {
        let start = self.bytes.len() as u32;
        let is_read = event.is_some();
        self.payloads.push(Payload { event: 0, is_read, time, id: None, range: start..start });
    }

    fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    fn undo(&mut self) {
        if let Some(begun) = self.payloads.pop() {
            self.bytes.truncate(begun.range.start as usize);
        }
    }

    fn end(&mut self, event: u32, id: Option<EventId>) {
        let end = self.bytes.len() as u32;
        if let Some(begun) = self.payloads.last_mut() {
            (begun.event, begun.id, begun.range.end) = (event, id, end);
        }
    }
}

fn id_of(event: &XmlEvent<'_>, delivery: &EventBatch, text: &[u8]) -> EventId {
    let (mut channel, mut record_id) = (Vec::new(), Vec::new());
    event.header().channel.write_text(&mut channel);
    event.header().record_id.write_text(&mut record_id);
    let host = delivery.origin.host.as_deref().unwrap_or("");
    EventId::new(host.as_bytes(), &channel, &record_id, text)
}

fn id_of_raw(delivery: &EventBatch, text: &[u8]) -> EventId {
    let host = delivery.origin.host.as_deref().unwrap_or("");
    EventId::new(host.as_bytes(), b"", b"", text)
}

/// As its source says.
fn is_undecodable(notes: &[Note]) -> bool {
    notes.iter().any(|note| note.kind == NoteKind::Undecodable)
}

/// When it happened; when it was received, where it does not say.
fn time_of(event: Option<&XmlEvent<'_>>, delivery: &EventBatch) -> Timestamp {
    let happened = event.and_then(|event| match event.header().time_created {
        Value::Xml(text) | Value::Plain(text) | Value::Text(text) => Timestamp::parse(text),
        Value::FileTime(ticks) => Some(Timestamp::from_filetime(ticks)),
        _ => None,
    });
    happened.unwrap_or(delivery.origin.received)
}

#[cfg(test)]
mod tests;
