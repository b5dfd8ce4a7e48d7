//! A record as an event: its System as a `Header`, the rest walked on demand.

use super::chunk::RawRecord;
use super::cursor::Cursor;
use super::decoder::Store;
use super::forms::SystemForm;
use super::instance::{Filled, read_instance};
use super::program::{EventPlan, Frame, HeaderPlan};
use super::system::{self, EMPTY, Field, HeaderBuilder};
use super::usual::{Head, Usual};
use super::values::{self, Slot};
use super::walk::{Until, WALKED_BYTES_MAX, Walk, token};
use crate::event::canonical::XmlWriter;
use crate::event::template::Part;
use crate::event::xml::EVENT_XMLNS;
use crate::event::{Event, EventError, Header, Part as EventPart, Template, Value, Visitor, local_name};
use std::cell::OnceCell;
use std::ops::Range;

/// An event in a record of a chunk.
#[derive(Debug)]
pub struct BinXmlEvent<'a> {
    /// Set from the beginning unless it can be had from the slots, which costs nothing until asked.
    /// It stands elsewhere: it is large, and an event is handed on.
    header: &'a OnceCell<Header<'a>>,
    record: RawRecord,
    chunk: &'a [u8],
    store: &'a Store,
    shape: Shape<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Shape<'a> {
    /// One template instance that is the whole event.
    Planned { plan: &'a EventPlan, template: &'a Template, slots: &'a [Slot], arrays: bool },
    /// Plain tokens: where System starts and where it ends, `odd` as in `EventPlan`, and the form
    /// of System with its values.
    Streamed { system: usize, rest: usize, odd: bool, form: Option<(&'a SystemForm, &'a [Slot])> },
    /// Anything else.
    Other,
}

impl<'a> BinXmlEvent<'a> {
    /// As numbered by the log it is read from; the event's own number is in its header.
    pub fn record_id(&self) -> u64 {
        self.record.id
    }

    /// FILETIME of when the record was written to the log.
    pub fn written(&self) -> u64 {
        self.record.written
    }

    /// The record's place in its chunk; its end is where to go on reading.
    pub fn span(&self) -> Range<usize> {
        self.record.offset..self.record.end()
    }

    /// The record ends as it should; one that is being written does not yet.
    pub fn is_whole(&self) -> bool {
        self.record.whole
    }

    /// Appends the canonical XML text: one line, as Windows forwards it.
    ///
    /// # Errors
    /// As `walk`; `out` is as before then.
    pub fn xml(&self, out: &mut Vec<u8>) -> Result<(), EventError> {
        let before = out.len();
        let mut writer = XmlWriter::new(out);
        let walked = self.walk(EventPart::Whole, &mut writer);
        if walked.is_err() {
            out.truncate(before);
        }
        walked
    }

    pub(super) fn read(
        store: &'a Store,
        chunk: &'a [u8],
        record: &RawRecord,
        slots: &'a mut Vec<Slot>,
        header: &'a OnceCell<Header<'a>>,
    ) -> Result<Self, EventError> {
        let mut event = Self { header, record: *record, chunk, store, shape: Shape::Other };
        let mut cursor = event.cursor();
        if cursor.peek() == Some(token::FRAGMENT) {
            cursor.take(4)?;
        }
        match cursor.u8()? {
            token::INSTANCE => {
                let (program, count, arrays) = read_instance(store, chunk, &mut cursor, slots)?;
                if let Some(plan) = &program.event {
                    event.shape =
                        Shape::Planned { plan, template: &program.template, slots: &slots[..count], arrays };
                }
            }
            token @ (token::OPEN | token::OPEN_ATTRIBUTES) => {
                let start = Cursor { at: cursor.at - 1, ..cursor };
                let mut usual = Usual::new(&store.names, chunk, &start);
                let head = usual.head(slots, &mut store.layouts.borrow_mut());
                if let Some(Head { shape, system, rest }) = head
                    && let Some(form) = store.forms.system(shape)
                {
                    event.shape = Shape::Streamed { system, rest, odd: false, form: Some((form, slots)) };
                    return Ok(event);
                }
                event.find_system(&mut cursor, token)?;
            }
            _ => {}
        }
        event.read_header()?;
        Ok(event)
    }

    fn cursor(&self) -> Cursor<'a> {
        Cursor::new(self.chunk, self.record.binxml())
    }

    /// Sets the shape of a record of plain tokens whose first child is System.
    fn find_system(&mut self, cursor: &mut Cursor<'a>, token: u8) -> Result<(), EventError> {
        let mut root = Outline::default();
        self.walker(&mut root).tag(cursor, token)?;
        let system = cursor.at;
        if root.open && root.name == b"Event" && self.names_system(*cursor) {
            self.shape = Shape::Streamed { system, rest: system, odd: root.odd, form: None };
        }
        Ok(())
    }

    fn names_system(&self, mut cursor: Cursor<'a>) -> bool {
        matches!(cursor.u8(), Ok(token::OPEN | token::OPEN_ATTRIBUTES))
            && cursor.u32().is_ok()
            && cursor.name().is_ok_and(|(offset, _)| {
                let id = self.store.names.resolve(self.chunk, offset);
                id.is_ok_and(|id| self.store.names.name(id) == b"System")
            })
    }

    /// Reads System, unless its fields stand in slots: then whoever asks gets them from there.
    fn read_header(&mut self) -> Result<(), EventError> {
        if self.header_plan().is_some() {
            return Ok(());
        }
        let mut builder = HeaderBuilder::new(self.store);
        // Of a shape that is not known anything may be odd.
        let odd = match self.shape {
            Shape::Streamed { system, odd, .. } => {
                let mut cursor = self.cursor();
                cursor.at = system;
                self.walker(&mut builder).tokens(&mut cursor, Until::Element)?;
                self.shape = Shape::Streamed { system, rest: cursor.at, odd, form: None };
                odd
            }
            Shape::Planned { plan, .. } => {
                self.walk(EventPart::System, &mut builder)?;
                plan.odd
            }
            Shape::Other => {
                self.walk(EventPart::System, &mut builder)?;
                true
            }
        };
        let at = self.record.offset;
        let mut header = builder.finish().map_err(|what| EventError { at, what })?;
        header.odd |= odd;
        self.header.get_or_init(|| header);
        Ok(())
    }

    /// How to fill the header from slots.
    #[inline]
    fn header_plan(&self) -> Option<(&'a EventPlan, &'a HeaderPlan, Frame<'a, 'a>)> {
        match self.shape {
            Shape::Planned { plan, template, slots, arrays: false } => {
                Some((plan, plan.header.as_ref()?, Frame { template, slots, arrays: false }))
            }
            Shape::Streamed { form: Some((SystemForm { plan, template, .. }, slots)), .. } => {
                Some((plan, plan.header.as_ref()?, Frame { template, slots, arrays: false }))
            }
            _ => None,
        }
    }

    fn slots_header(&self) -> Option<Header<'a>> {
        let (event, plan, frame) = self.header_plan()?;
        let mut header = Header { odd: event.odd, ..Header::default() };
        header.seen.0 = plan.seen;
        for (slot, bit) in &plan.guarded {
            header.seen.0 |= if frame.left_out(*slot) { 0 } else { *bit };
        }
        for planned in &plan.fields {
            if planned.guard.is_none_or(|slot| !frame.left_out(slot)) {
                *system::field(&mut header, planned.field) = self.planned(&frame, planned.part);
            }
        }
        Some(header)
    }

    #[inline]
    fn planned(&self, frame: &Frame<'_, 'a>, part: Option<Part>) -> Value<'a> {
        match part {
            None => EMPTY,
            Some(Part::Constant(constant)) => frame.template.constant(constant),
            Some(Part::Slot { slot, optional }) => {
                let slot = frame.slot(slot);
                let value = values::value(slot.kind, slot.of(self.chunk));
                if !value.is_absent() {
                    value
                } else if optional {
                    Value::Absent
                } else {
                    EMPTY
                }
            }
        }
    }

    fn walker<'v, V>(&self, visitor: &'v mut V) -> Walk<'a, 'v, V> {
        let budget = WALKED_BYTES_MAX.min(USUAL_BYTES + self.store.spare_budget.get());
        Walk { store: self.store, chunk: self.chunk, visitor, budget, fragments: 0, event_id: 0 }
    }

    fn whole<V: Visitor<'a>>(&self, walk: &mut Walk<'a, '_, V>) -> Result<(), EventError> {
        if let Shape::Planned { template, slots, arrays, .. } = self.shape {
            return walk.run(&Frame { template, slots, arrays }, 0..template.ops.len());
        }
        walk.tokens(&mut self.cursor(), Until::Element)
    }

    /// The last four characters of EventID.
    fn looks_of_id(&self, slots: &[Slot]) -> u64 {
        let text = slots.get(Field::EventId as usize).map_or(&[][..], |slot| slot.of(self.chunk));
        match text.last_chunk() {
            Some(last) => u64::from_le_bytes(*last),
            None => text.iter().fold(1, |looks, &byte| looks << 8 | u64::from(byte)),
        }
    }

    fn part<V: Visitor<'a>>(&self, part: EventPart, visitor: &mut V) -> Result<(), EventError> {
        let mut walk = self.walker(visitor);
        let before = walk.budget;
        match (self.shape, part) {
            (_, EventPart::Whole) => self.whole(&mut walk)?,
            (Shape::Planned { plan, template, slots, arrays }, part) => {
                let frame = Frame { template, slots, arrays };
                if part == EventPart::System {
                    walk.run(&frame, plan.system.clone())?;
                } else {
                    for range in &plan.body {
                        walk.elements(&frame, range.clone())?;
                    }
                }
            }
            (Shape::Streamed { system, rest, form, .. }, part) => {
                let mut cursor = self.cursor();
                let whole = part == EventPart::System;
                cursor.at = if whole { system } else { rest };
                walk.event_id = form.map_or(0, |(_, slots)| self.looks_of_id(slots));
                walk.tokens(&mut cursor, if whole { Until::Element } else { Until::Close })?;
            }
            (Shape::Other, part) => {
                let mut filtered =
                    Children { visitor: walk.visitor, part, depth: 0, hidden: false, had_system: false };
                self.whole(&mut self.walker(&mut filtered))?;
            }
        }
        let used = before - walk.budget;
        if used > USUAL_BYTES {
            let spare = &self.store.spare_budget;
            spare.set(spare.get().saturating_sub(used));
        }
        Ok(())
    }
}

/// A walk that costs no more is not held against the rest of its chunk.
const USUAL_BYTES: usize = 256 << 10;

impl<'a> Event<'a> for BinXmlEvent<'a> {
    fn header(&self) -> &Header<'a> {
        self.header.get_or_init(|| self.slots_header().unwrap_or_default())
    }

    fn offer<V: Visitor<'a>>(&self, part: EventPart, visitor: &mut V) -> bool {
        let Some((plan, _, frame)) = self.header_plan().filter(|_| part == EventPart::System) else {
            return false;
        };
        let filled = Filled::new(self.chunk, &frame, plan.system.start);
        !plan.odd && filled.is_some_and(|filled| visitor.instance(filled))
    }

    fn walk<V: Visitor<'a>>(&self, part: EventPart, visitor: &mut V) -> Result<(), EventError> {
        self.part(part, visitor)
            .map_err(|error| EventError { at: error.at.saturating_sub(self.record.offset), what: error.what })
    }
}

/// Notes the root element's name, its attributes and whether it stays open.
#[derive(Default)]
struct Outline<'a> {
    name: &'a [u8],
    open: bool,
    /// It has an attribute that is not the usual one.
    odd: bool,
}

impl<'a> Visitor<'a> for Outline<'a> {
    fn start(&mut self, name: &'a [u8]) {
        (self.name, self.open) = (name, true);
    }

    fn attribute(&mut self, name: &'a [u8], value: Value<'a>) {
        const XMLNS: Option<&str> = match std::str::from_utf8(EVENT_XMLNS) {
            Ok(text) => Some(text),
            Err(_) => None,
        };
        self.odd |= name != b"xmlns" || !XMLNS.is_some_and(|usual| value.is(usual));
    }

    fn text(&mut self, _: Value<'a>) {}

    fn end(&mut self) {
        self.open = false;
    }
}

/// Passes on those children of the root that are, or are not, the first System.
struct Children<'v, V> {
    visitor: &'v mut V,
    part: EventPart,
    depth: u32,
    hidden: bool,
    had_system: bool,
}

impl<'a, V: Visitor<'a>> Visitor<'a> for Children<'_, V> {
    fn start(&mut self, name: &'a [u8]) {
        self.depth += 1;
        if self.depth == 2 {
            let system = !self.had_system && local_name(name) == b"System";
            self.had_system |= system;
            self.hidden = system != (self.part == EventPart::System);
        }
        if self.depth >= 2 && !self.hidden {
            self.visitor.start(name);
        }
    }

    fn attribute(&mut self, name: &'a [u8], value: Value<'a>) {
        if self.depth >= 2 && !self.hidden {
            self.visitor.attribute(name, value);
        }
    }

    fn text(&mut self, value: Value<'a>) {
        let between = self.depth == 1 && self.part == EventPart::Body;
        if between || (self.depth >= 2 && !self.hidden) {
            self.visitor.text(value);
        }
    }

    fn end(&mut self) {
        if self.depth >= 2 && !self.hidden {
            self.visitor.end();
        }
        self.depth = self.depth.saturating_sub(1);
    }
}
