//! Takes out of an event's body what a schema has places for: the `Data` of EventData with names that it knows,
//! and the rendered message. Everything else goes on to another visitor as if that had never been there.
//!
//! - A place takes the first `Data` of its name, if the text is what the place is for.
//! - When a name comes twice, or stands in a shape that no place takes, `Taken::again` says so: what is left
//!   would not show which came first. The event is then walked again and everything goes on, taken or not.
//! - The message is that of the first RenderingInfo, if it is text and not empty.
//!
//! What is taken does not depend on the shape in which a reader reports a `Data`. Must not know: what a place
//! means.

use super::json::body::Body;
use crate::event::{Value, Visitor};
use std::ops::Range;

/// Which `Data` have a place, by number.
pub(super) trait Places {
    fn place_of(&self, name: &[u8]) -> Option<usize>;

    /// Whether the text, which is not empty, is what the place is for.
    fn fits(&self, place: usize, text: &[u8]) -> bool;
}

/// What was taken of one event; reused.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// All texts, one behind the other.
    texts: Vec<u8>,
    /// Where each stands, by place; of one that took nothing, what it had of an event before.
    ranges: Vec<Range<usize>>,
    /// Places whose name is there, and those that took its text.
    seen: Set,
    full: Set,
    pub(super) message: Vec<u8>,
    has_message: bool,
    /// To be walked again with nothing held back.
    pub(super) again: bool,
    /// Name and text of the element that is held back.
    name: Vec<u8>,
    text: Vec<u8>,
}

/// Some of the places.
#[derive(Clone, Copy, Debug, Default)]
struct Set([u64; PLACES_MAX / 64]);

const PLACES_MAX: usize = 256;

impl Set {
    fn has(&self, place: usize) -> bool {
        self.0[place / 64] & 1 << (place % 64) != 0
    }

    /// Whether it was not there.
    fn add(&mut self, place: usize) -> bool {
        let is_new = !self.has(place);
        self.0[place / 64] |= 1 << (place % 64);
        is_new
    }

    /// In their order.
    fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(index, mut word)| {
            std::iter::from_fn(move || {
                let place = index * 64 + word.trailing_zeros() as usize;
                let next = (word != 0).then_some(place);
                word &= word.wrapping_sub(1);
                next
            })
        })
    }
}

impl Taken {
    /// Before an event, for so many places.
    ///
    /// # Panics
    /// When there are more than 256.
    pub(super) fn clear(&mut self, places: usize) {
        assert!(places <= PLACES_MAX, "more places than a set has");
        self.texts.clear();
        self.message.clear();
        if self.ranges.len() < places {
            self.ranges.resize(places, 0..0);
        }
        (self.seen, self.full) = (Set::default(), Set::default());
        (self.has_message, self.again) = (false, false);
    }

    pub(super) fn get(&self, place: usize) -> Option<&[u8]> {
        self.full.has(place).then(|| &self.texts[self.ranges[place].clone()])
    }

    /// All that was taken, in the order of the places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.full.iter().map(|place| (place, &self.texts[self.ranges[place].clone()]))
    }

    /// Whether anything was taken of EventData.
    pub(super) fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// A name that has this place is there; false: it was there before.
    fn see(&mut self, place: usize) -> bool {
        let first = self.seen.add(place);
        self.again |= !first;
        first
    }

    /// Keeps the text of this value; whether it did.
    fn take(&mut self, place: usize, value: Value<'_>, places: &impl Places) -> bool {
        if !self.see(place) {
            return false;
        }
        let start = self.texts.len();
        value.write_text(&mut self.texts);
        let text = &self.texts[start..];
        let fits = !text.is_empty() && places.fits(place, text);
        if fits {
            self.ranges[place] = start..self.texts.len();
            self.full.add(place);
        } else {
            self.texts.truncate(start);
        }
        fits
    }
}

/// What the rest goes on to: a visitor that keeps no value, so that one may come from anywhere.
pub(super) trait Onward<'a>: Visitor<'a> {
    fn text_of(&mut self, value: Value<'_>);
    fn data_of(&mut self, name: Value<'_>, value: Value<'_>);
}

impl Onward<'_> for Body<'_> {
    fn text_of(&mut self, value: Value<'_>) {
        Visitor::text(self, value);
    }

    fn data_of(&mut self, name: Value<'_>, value: Value<'_>) {
        Visitor::data(self, name, value);
    }
}

/// The visitor that takes.
pub(super) struct Sieve<'s, 'a, P, V> {
    pub(super) onward: V,
    taken: &'s mut Taken,
    places: P,
    config: Holding,
    /// Open elements.
    depth: usize,
    part: Part,
    event_data: bool,
    rendering: bool,
    held: Option<Held>,
    /// Its name and text as they came, and of how many pieces that is.
    name: Value<'a>,
    text: Value<'a>,
    pieces: usize,
}

/// What does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holding {
    /// What is taken does not go on.
    pub(super) taken: bool,
    /// RenderingInfo does not go on at all.
    pub(super) rendering: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Other,
    EventData,
    Rendering,
}

/// An element that may be taken, as far as it has been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Data { named: bool },
    Message,
}

impl<'s, 'a, P: Places, V: Onward<'a>> Sieve<'s, 'a, P, V> {
    pub(super) fn new(onward: V, taken: &'s mut Taken, places: P, config: Holding) -> Self {
        Self {
            onward,
            taken,
            places,
            config,
            depth: 0,
            part: Part::Other,
            event_data: false,
            rendering: false,
            held: None,
            name: Value::Absent,
            text: Value::Absent,
            pieces: 0,
        }
    }

    fn begin_part(&mut self, name: &[u8]) {
        self.part = match name {
            b"EventData" if !self.event_data => Part::EventData,
            b"RenderingInfo" if !self.rendering => Part::Rendering,
            _ => Part::Other,
        };
        self.event_data |= self.part == Part::EventData;
        self.rendering |= self.part == Part::Rendering;
    }

    fn is_dropped(&self) -> bool {
        self.config.rendering && self.part == Part::Rendering
    }

    /// The held element is more than a place can take: it goes on.
    fn release(&mut self) {
        let Some(held) = self.held.take() else { return };
        match held {
            Held::Data { named } => {
                if named && let Some(place) = self.places.place_of(&self.taken.name) {
                    self.taken.see(place);
                }
                self.onward.start(b"Data");
                if named {
                    self.onward.attribute(b"Name", self.name);
                }
                self.pass_text();
            }
            Held::Message if !self.is_dropped() => {
                self.onward.start(b"Message");
                self.pass_text();
            }
            Held::Message => {}
        }
    }

    /// The text of the held element goes on.
    fn pass_text(&mut self) {
        match self.pieces {
            0 => {}
            1 => self.onward.text(self.text),
            _ => self.onward.text_of(Value::Text(&self.taken.text)),
        }
    }

    /// The held element is complete.
    fn complete(&mut self, held: Held) {
        match held {
            Held::Data { named: false } => {
                self.onward.start(b"Data");
                self.pass_text();
                self.onward.end();
            }
            Held::Data { named: true } => {
                let place = self.places.place_of(&self.taken.name);
                let text = std::mem::take(&mut self.taken.text);
                let took =
                    place.is_some_and(|place| self.taken.take(place, Value::Text(&text), &self.places));
                self.taken.text = text;
                if took && self.config.taken {
                    return;
                }
                if self.pieces > 1 {
                    self.onward.data_of(self.name, Value::Text(&self.taken.text));
                } else {
                    self.onward.data(self.name, self.text);
                }
            }
            Held::Message => {
                let first = !std::mem::replace(&mut self.taken.has_message, true);
                self.taken.again |= !first;
                let took = first && !self.taken.text.is_empty();
                if took {
                    self.taken.message.extend_from_slice(&self.taken.text);
                }
                if !(took && self.config.taken || self.is_dropped()) {
                    self.onward.start(b"Message");
                    self.pass_text();
                    self.onward.end();
                }
            }
        }
    }
}

impl<'a, P: Places, V: Onward<'a>> Visitor<'a> for Sieve<'_, 'a, P, V> {
    fn start(&mut self, name: &'a [u8]) {
        self.release();
        self.depth += 1;
        if self.depth == 1 {
            self.begin_part(name);
        }
        self.held = match (self.depth, self.part, name) {
            (2, Part::EventData, b"Data") => Some(Held::Data { named: false }),
            (2, Part::Rendering, b"Message") => Some(Held::Message),
            _ => None,
        };
        if self.held.is_some() {
            self.taken.name.clear();
            self.taken.text.clear();
            (self.name, self.text, self.pieces) = (Value::Absent, Value::Absent, 0);
        } else if !self.is_dropped() {
            self.onward.start(name);
        }
    }

    fn attribute(&mut self, name: &'a [u8], value: Value<'a>) {
        if self.held == Some(Held::Data { named: false }) && name == b"Name" {
            value.write_text(&mut self.taken.name);
            self.name = value;
            self.held = Some(Held::Data { named: true });
            return;
        }
        self.release();
        if !self.is_dropped() {
            self.onward.attribute(name, value);
        }
    }

    fn text(&mut self, value: Value<'a>) {
        if self.held.is_some() {
            value.write_text(&mut self.taken.text);
            self.text = value;
            self.pieces += 1;
        } else if !self.is_dropped() {
            self.onward.text(value);
        }
    }

    fn end(&mut self) {
        self.depth -= 1;
        if let Some(held) = self.held.take() {
            return self.complete(held);
        }
        if !self.is_dropped() {
            self.onward.end();
        }
        if self.depth == 0 {
            self.part = Part::Other;
        }
    }

    fn data(&mut self, name: Value<'a>, value: Value<'a>) {
        if self.depth != 1 || self.part != Part::EventData {
            self.start(b"Data");
            self.attribute(b"Name", name);
            if !value.is_absent() {
                self.text(value);
            }
            return self.end();
        }
        self.taken.name.clear();
        name.write_text(&mut self.taken.name);
        let Some(place) = self.places.place_of(&self.taken.name) else {
            return self.onward.data(name, value);
        };
        let took = self.taken.take(place, value, &self.places);
        if !(took && self.config.taken) {
            self.onward.data(name, value);
        }
    }
}
