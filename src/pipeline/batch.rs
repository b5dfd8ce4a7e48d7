//! Batches: whole deliveries of the basin, filtered and in the shape of the output, one after the
//! other in one buffer.
//!
//! A delivery is never split over two batches: what the sink notes after a batch then belongs to a
//! position of the basin, and a restart goes on exactly there. Limits are therefore where a batch
//! is closed, not what it can never exceed; a delivery is bounded by its source.
//! Filter and format are the CPU work of a lane (`shape`); several outputs of the same share what came of a
//! delivery (`shelf`), and copy it into their batches.
//! Must not know: sinks, retry, cursors.

use super::shape::{Page, Shaped, Shaper, Tally};
use super::shelf::Place;
use crate::basin::{Permit, Position};
use crate::config::BatchConfig;
use crate::event::xml::XmlEvent;
use crate::event::{Event, EventBatch, EventId, Timestamp};
use crate::format::Framing;
use crate::sink::path::{RouteValues, Router};
use crate::sink::{Encoded, Head, Item};
use std::collections::HashMap;
use std::sync::Arc;

/// Turns events into items.
pub(super) struct Encoder {
    pub(super) shaper: Shaper,
    pub(super) placer: Placer,
    /// Where there are other outputs of the same filter and format.
    pub(super) place: Option<Place>,
}

/// Puts payloads into a batch as the sink wants them.
pub(super) struct Placer {
    /// The format's, or the sink's.
    framing: Framing,
    router: Option<Router>,
    /// What the sink wants before each payload.
    head: Option<Box<dyn Head>>,
    route: String,
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
        let Self { shaper, placer, place } = self;
        if batch.deliveries.is_empty()
            && let Some(router) = &mut placer.router
        {
            router.begin();
        }
        let number = batch.begin(delivery);
        batch.through = through;
        let shared =
            place.as_ref().and_then(|place| place.take(through, || Shaped::new(shaper, delivery, now)));
        let tally = match shared {
            Some(shaped) => {
                placer.copy(batch, delivery, &shaped);
                shaped.tally.clone()
            }
            None => shaper.shape(delivery, now, &mut Direct::new(placer, batch, delivery)),
        };
        batch.count(number, tally);
    }

    /// Adds what another output could not deliver, with the reason beside it.
    pub(super) fn add_letter(
        &mut self,
        batch: &mut Batch,
        delivery: &Arc<EventBatch>,
        event: usize,
        error: &str,
    ) {
        batch.begin(delivery);
        self.shaper.letter(delivery, event, error, &mut Direct::new(&mut self.placer, batch, delivery));
    }

    /// Whether the batch should be sent before more is added.
    pub(super) fn is_full(&self, batch: &Batch, limits: &BatchConfig) -> bool {
        batch.bytes.len() as u64 >= limits.bytes.0
            || batch.items.len() as u64 >= limits.events
            || self.placer.router.as_ref().is_some_and(Router::is_full)
    }
}

impl Placer {
    pub(super) fn new(framing: Framing, router: Option<Router>, head: Option<Box<dyn Head>>) -> Self {
        Self { framing, router, head, route: String::new() }
    }

    /// Puts in what was made for several outputs.
    fn copy(&mut self, batch: &mut Batch, delivery: &EventBatch, shaped: &Shaped) {
        let reads = self.head.is_some() || self.router.as_ref().is_some_and(|router| !router.is_fixed());
        for (payload, bytes) in shaped.payloads() {
            let text = delivery.event(payload.event as usize);
            let event = if reads && payload.is_read { XmlEvent::parse(text).ok() } else { None };
            let opened = self.open(batch, delivery, event.as_ref(), payload.time);
            batch.bytes.extend_from_slice(bytes);
            self.close(batch, opened, payload.event, payload.id);
        }
    }

    /// All that stands before the payload.
    fn open(
        &mut self,
        batch: &mut Batch,
        delivery: &EventBatch,
        event: Option<&XmlEvent<'_>>,
        time: Timestamp,
    ) -> Opened {
        let values = RouteValues { header: event.map(Event::header), origin: &delivery.origin, time };
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

    /// All that stands after it.
    fn close(&mut self, batch: &mut Batch, opened: Opened, event: u32, id: Option<EventId>) {
        let Opened { start, head, payload, time } = opened;
        self.framing.close(&mut batch.bytes, payload);
        let route = if self.router.is_some() { batch.route(&self.route) } else { 0 };
        batch.origins.push((batch.deliveries.len() as u32 - 1, event));
        batch.items.push(Item { range: start as u32..batch.bytes.len() as u32, head, id, time, route });
    }
}

/// The batch as the page that payloads are written on.
struct Direct<'p> {
    placer: &'p mut Placer,
    batch: &'p mut Batch,
    delivery: &'p EventBatch,
    opened: Option<Opened>,
}

impl<'p> Direct<'p> {
    fn new(placer: &'p mut Placer, batch: &'p mut Batch, delivery: &'p EventBatch) -> Self {
        Self { placer, batch, delivery, opened: None }
    }
}

impl Page for Direct<'_> {
    fn begin(&mut self, event: Option<&XmlEvent<'_>>, time: Timestamp) {
        self.opened = Some(self.placer.open(self.batch, self.delivery, event, time));
    }

    fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.batch.bytes
    }

    fn undo(&mut self) {
        if let Some(opened) = self.opened.take() {
            self.batch.bytes.truncate(opened.start);
        }
    }

    fn end(&mut self, event: u32, id: Option<EventId>) {
        if let Some(opened) = self.opened.take() {
            self.placer.close(self.batch, opened, event, id);
        }
    }
}

impl Batch {
    /// Another delivery begins; its number.
    fn begin(&mut self, delivery: &Arc<EventBatch>) -> u32 {
        self.deliveries.push(Arc::clone(delivery));
        self.deliveries.len() as u32 - 1
    }

    fn count(&mut self, delivery: u32, Tally { dead, filtered, undecodable, unread }: Tally) {
        self.dead.extend(dead.into_iter().map(|(event, error)| (delivery, event, error)));
        self.filtered += filtered;
        self.undecodable += undecodable;
        if let Some(error) = unread {
            self.unread.get_or_insert((delivery, error));
        }
    }

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
