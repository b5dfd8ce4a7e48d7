//! Batches: whole deliveries of the basin, filtered and in the shape of the output, one after the
//! other in one buffer.
//!
//! A delivery is never split over two batches: what the sink notes after a batch then belongs to a
//! position of the basin, and a restart goes on exactly there. Limits are therefore where a batch
//! is closed, not what it can never exceed; a delivery is bounded by its source.
//! This is the CPU work of a lane; it runs on the threads for blocking calls, a delivery at a time.
//! Must not know: sinks, retry, cursors.

use crate::basin::{Permit, Position};
use crate::config::{BatchConfig, Undecodable};
use crate::event::xml::XmlEvent;
use crate::event::{Event, EventBatch, EventError, EventId, Note, NoteKind, Timestamp};
use crate::filter::Filter;
use crate::format::{Format, Framing, Meta};
use crate::sink::path::{RouteValues, Router};
use crate::sink::{Encoded, Head, Item};
use crate::units::ByteSize;
use std::collections::HashMap;
use std::sync::Arc;

/// Memory that an output of this setting needs to go at full speed: one batch being sent, one being
/// filled, each with the text it was made from, and the delivery that closes it.
pub(super) fn share(limits: &BatchConfig) -> ByteSize {
    const DELIVERY: u64 = 1024 * 1024;
    ByteSize(limits.bytes.0.saturating_mul(6).saturating_add(2 * DELIVERY))
}

/// Turns events into items.
pub(super) struct Encoder {
    pub(super) filter: Filter,
    pub(super) format: Format,
    /// The format's, or the sink's.
    pub(super) framing: Framing,
    pub(super) router: Option<Router>,
    /// What the sink wants before each payload.
    pub(super) head: Option<Box<dyn Head>>,
    pub(super) undecodable: Undecodable,
    /// Another output sends its dead letters here: what nobody can read comes with them, once.
    pub(super) takes_letters: bool,
    /// Whether the format or the sink uses ids: they cost a hash over the text.
    pub(super) ids: bool,
    pub(super) route: String,
}

/// An item that has been begun.
struct Opened {
    start: usize,
    head: u32,
    /// What closes the framing.
    payload: usize,
    time: Timestamp,
}

/// A batch being filled.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    items: Vec<Item>,
    routes: Vec<Box<str>>,
    route_numbers: HashMap<Box<str>, u32>,
    /// Where each item came from: (delivery, event).
    pub(super) origins: Vec<(u32, u32)>,
    pub(super) deliveries: Vec<Arc<EventBatch>>,
    /// Events for the dead letter: (delivery, event, error).
    pub(super) dead: Vec<(u32, u32, String)>,
    pub(super) filtered: u64,
    pub(super) undecodable: u64,
    /// The first that its source took for readable, and why it is not: (delivery, error).
    pub(super) unread: Option<(u32, String)>,
    /// Everything up to here is in this batch or before it.
    pub(super) through: Position,
    /// What its deliveries and their encoding count for.
    pub(super) room: Vec<Permit>,
}

impl Encoder {
    /// Adds all events of a delivery.
    pub(super) fn add(
        &mut self,
        batch: &mut Batch,
        delivery: &Arc<EventBatch>,
        through: Position,
        now: Timestamp,
    ) {
        if batch.deliveries.is_empty()
            && let Some(router) = &mut self.router
        {
            router.begin();
        }
        let number = batch.deliveries.len() as u32;
        batch.deliveries.push(Arc::clone(delivery));
        batch.through = through;
        let mut notes = &delivery.notes[..];
        for index in 0..delivery.events.len() {
            let own = notes.iter().take_while(|note| note.event as usize == index).count();
            let (of_event, rest) = notes.split_at(own);
            notes = rest;
            self.event(batch, delivery, (number, index as u32), of_event, now);
        }
    }

    /// Adds what another output could not deliver, with the reason beside it.
    pub(super) fn add_letter(
        &mut self,
        batch: &mut Batch,
        delivery: &Arc<EventBatch>,
        event: usize,
        error: &str,
    ) {
        let number = batch.deliveries.len() as u32;
        batch.deliveries.push(Arc::clone(delivery));
        let text = delivery.event(event);
        let from = delivery.notes.partition_point(|note| (note.event as usize) < event);
        let own = delivery.notes[from..].iter().take_while(|note| note.event as usize == event).count();
        let notes = &delivery.notes[from..from + own];
        let header = XmlEvent::parse(text).ok();
        let id = self.ids.then(|| match &header {
            Some(event) if !is_undecodable(notes) => id_of(event, delivery, text),
            _ => id_of_raw(delivery, text),
        });
        let meta = Meta { origin: Some(&delivery.origin), id, notes };
        let opened = self.open(batch, delivery, header.as_ref());
        self.format.raw(text, error, &meta, &mut batch.bytes);
        self.finish(batch, (number, event as u32), id, opened);
    }

    /// Whether the batch should be sent before more is added.
    pub(super) fn is_full(&self, batch: &Batch, limits: &BatchConfig) -> bool {
        batch.bytes.len() as u64 >= limits.bytes.0
            || batch.items.len() as u64 >= limits.events
            || self.router.as_ref().is_some_and(Router::is_full)
    }

    fn event(
        &mut self,
        batch: &mut Batch,
        delivery: &Arc<EventBatch>,
        at: (u32, u32),
        notes: &[Note],
        now: Timestamp,
    ) {
        let text = delivery.event(at.1 as usize);
        // Who collects what cannot be read wants to hear of all of it, so System is read first.
        let may_glance = self.undecodable == Undecodable::Raw && !is_undecodable(notes);
        if may_glance && self.filter.rejects(text) {
            batch.filtered += 1;
            return;
        }
        let parsed = XmlEvent::parse(text);
        if self.takes_letters && (parsed.is_err() || is_undecodable(notes)) {
            return;
        }
        if let Some(note) = notes.iter().find(|note| note.kind == NoteKind::Distrusted) {
            let error = format!("the source does not trust it: it names the computer `{}`", note.detail);
            batch.dead.push((at.0, at.1, error));
            return;
        }
        if let Some(note) = notes.iter().find(|note| note.kind == NoteKind::Undecodable) {
            return self.unreadable(batch, delivery, at, notes, &note.detail);
        }
        let event = match parsed {
            Ok(event) => event,
            Err(error) => return self.unreadable(batch, delivery, at, notes, &error.to_string()),
        };
        let unread = |batch: &mut Batch, error: &EventError| {
            batch.unread.get_or_insert_with(|| (at.0, error.to_string()));
        };
        match self.filter.keeps(&event, now) {
            Ok(true) => {}
            Ok(false) => {
                batch.filtered += 1;
                return;
            }
            Err(error) => {
                unread(batch, &error);
                return self.unreadable(batch, delivery, at, notes, &error.to_string());
            }
        }
        let id = self.ids.then(|| id_of(&event, delivery, text));
        let meta = Meta { origin: Some(&delivery.origin), id, notes };
        let opened = self.open(batch, delivery, Some(&event));
        if let Err(error) = self.format.event(&event, &meta, &mut batch.bytes) {
            batch.bytes.truncate(opened.start);
            unread(batch, &error);
            return self.unreadable(batch, delivery, at, notes, &error.to_string());
        }
        self.finish(batch, at, id, opened);
    }

    fn unreadable(
        &mut self,
        batch: &mut Batch,
        delivery: &Arc<EventBatch>,
        at: (u32, u32),
        notes: &[Note],
        error: &str,
    ) {
        batch.undecodable += 1;
        if self.undecodable == Undecodable::DeadLetter {
            batch.dead.push((at.0, at.1, error.to_owned()));
            return;
        }
        let text = delivery.event(at.1 as usize);
        let id = self.ids.then(|| id_of_raw(delivery, text));
        let meta = Meta { origin: Some(&delivery.origin), id, notes };
        let opened = self.open(batch, delivery, None);
        self.format.raw(text, error, &meta, &mut batch.bytes);
        self.finish(batch, at, id, opened);
    }

    /// All that stands before the payload.
    fn open(&mut self, batch: &mut Batch, delivery: &EventBatch, event: Option<&XmlEvent<'_>>) -> Opened {
        let header = event.map(|event| event.header());
        let time = header.and_then(|header| time_of(header.time_created)).unwrap_or(delivery.origin.received);
        let values = RouteValues { header, origin: &delivery.origin, time };
        if let Some(router) = &mut self.router {
            router.route(&values, &mut self.route);
        }
        let start = batch.bytes.len();
        if let Some(head) = &mut self.head {
            head.write(&values, &mut batch.bytes);
        }
        let head = (batch.bytes.len() - start) as u32;
        Opened { start, head, payload: self.framing.open(&mut batch.bytes), time }
    }

    fn finish(
        &mut self,
        batch: &mut Batch,
        at: (u32, u32),
        id: Option<EventId>,
        Opened { start, head, payload, time }: Opened,
    ) {
        self.framing.close(&mut batch.bytes, payload);
        let route = if self.router.is_some() { batch.route(&self.route) } else { 0 };
        batch.origins.push(at);
        batch.items.push(Item { range: start as u32..batch.bytes.len() as u32, head, id, time, route });
    }
}

impl Batch {
    /// Bytes in the shape of the output.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing would be sent.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The part for the sink.
    pub(super) fn encoded(&mut self) -> Encoded {
        Encoded {
            bytes: std::mem::take(&mut self.bytes).into(),
            items: std::mem::take(&mut self.items),
            routes: std::mem::take(&mut self.routes),
        }
    }

    /// Empty again, with the buffers of the batch that was sent.
    pub(super) fn recycle(&mut self, sent: Option<Encoded>) {
        if let Some(sent) = sent {
            (self.bytes, self.items) = (sent.bytes.into(), sent.items);
        }
        self.bytes.clear();
        self.items.clear();
        self.routes.clear();
        self.route_numbers.clear();
        self.origins.clear();
        self.deliveries.clear();
        self.dead.clear();
        self.room.clear();
        (self.filtered, self.undecodable, self.unread) = (0, 0, None);
    }

    fn route(&mut self, route: &str) -> u32 {
        // Events of one host and channel come together.
        let last = self.items.last().map(|item| item.route);
        if let Some(last) = last.filter(|last| *self.routes[*last as usize] == *route) {
            return last;
        }
        if let Some(number) = self.route_numbers.get(route) {
            return *number;
        }
        let number = self.routes.len() as u32;
        self.routes.push(route.into());
        self.route_numbers.insert(route.into(), number);
        number
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

fn time_of(value: crate::event::Value<'_>) -> Option<Timestamp> {
    use crate::event::Value;
    match value {
        Value::Xml(text) | Value::Plain(text) | Value::Text(text) => Timestamp::parse(text),
        Value::FileTime(ticks) => Some(Timestamp::from_filetime(ticks)),
        _ => None,
    }
}
