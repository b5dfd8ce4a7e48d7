//! Everything in Event but System: EventData straight into the output, other elements by the tape.

use super::keys::Keys;
use super::script::Scripts;
use super::tape::{Tape, is_blank, member};
use super::{comma, rendering};
use crate::event::{EventError, Instance, Value, Visitor, put};

/// What is reused from event to event.
#[derive(Debug, Default)]
pub(in crate::format) struct Scratch {
    tape: Tape,
    event: Level,
    event_data: Level,
    /// Items of the lists `Data` and `ComplexData`, each with a comma before it.
    data: Vec<u8>,
    complex: Vec<u8>,
}

/// What one object collects until its end.
#[derive(Debug, Default)]
struct Level {
    keys: Keys,
    /// Items of `#elements`, each with a comma before it.
    others: Vec<u8>,
    /// Text between its elements, escaped.
    text: Vec<u8>,
}

/// Writes members into the object that is open at the end of `out`.
pub(in crate::format) struct Body<'w> {
    scratch: &'w mut Scratch,
    out: &'w mut Vec<u8>,
    /// Where the event begins in `out`; keys are counted from here.
    base: usize,
    within: Within,
    /// The reader vouches for the names of this EventData.
    distinct: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Event,
    EventData,
    /// In a child of Event or of EventData, which goes to the tape.
    Child,
    DataChild,
}

impl<'w> Body<'w> {
    pub(in crate::format) fn new(scratch: &'w mut Scratch, out: &'w mut Vec<u8>) -> Self {
        scratch.event.clear();
        scratch.tape.clear();
        let base = out.len();
        Self { scratch, out, base, within: Within::Event, distinct: false }
    }

    /// After the walk: writes what stands at the end.
    pub(in crate::format) fn finish(self) -> Result<(), EventError> {
        if let Some(what) = self.scratch.tape.refused {
            return Err(EventError { at: 0, what });
        }
        self.scratch.event.close(self.out);
        Ok(())
    }

    fn end_event_data(&mut self) {
        let Scratch { event_data, data, complex, .. } = &mut *self.scratch;
        list(b"\"Data\":[", data, self.out);
        list(b"\"ComplexData\":[", complex, self.out);
        event_data.close(self.out);
        self.out.push(b'}');
        self.within = Within::Event;
    }

    /// A child of Event is complete on the tape.
    fn end_child(&mut self) {
        self.within = Within::Event;
        let Scratch { tape, event, .. } = &mut *self.scratch;
        if tape.refused.is_some() {
            return;
        }
        let name = tape.name(0);
        let reserved = matches!(name, b"System" | b"Forebay");
        if !reserved && event.open_member(name, self.base, self.out) {
            if tape.name(0) == b"RenderingInfo" {
                rendering::write(tape, self.out);
            } else {
                tape.write_value(0, self.out);
            }
        } else {
            event.other(tape);
        }
    }

    /// A child of EventData is complete on the tape.
    fn end_data_child(&mut self) {
        self.within = Within::EventData;
        let Scratch { tape, event_data, complex, .. } = &mut *self.scratch;
        if tape.refused.is_some() {
            return;
        }
        match tape.name(0) {
            b"Data" => self.end_data(),
            b"ComplexData" => {
                complex.push(b',');
                tape.write_value(0, complex);
            }
            b"Binary" if event_data.open_member(b"Binary", self.base, self.out) => {
                tape.write_value(0, self.out);
            }
            _ => event_data.other(tape),
        }
    }

    fn end_data(&mut self) {
        let Scratch { tape, event_data, data, .. } = &mut *self.scratch;
        let plain = !tape.has_elements(0);
        let (first, second) = {
            let mut attributes = tape.attributes(0);
            (attributes.next(), attributes.next())
        };
        match (first, second) {
            (None, _) if plain => {
                data.push(b',');
                tape.write_text(0, data);
                return;
            }
            (Some((b"Name", name)), None)
                if plain && !is_reserved(name) && event_data.open_member(name, self.base, self.out) =>
            {
                tape.write_text(0, self.out);
                return;
            }
            _ => {}
        }
        data.extend_from_slice(b",{");
        for (name, value) in tape.attributes(0) {
            comma(data);
            data.extend_from_slice(if matches!(name, b"Name" | b"Type") { b"\"" } else { b"\"@" });
            data.extend_from_slice(name);
            member(value, data);
        }
        comma(data);
        data.extend_from_slice(b"\"Value\":");
        tape.write_content(0, data);
        data.push(b'}');
    }
}

impl<'a> Visitor<'a> for Body<'_> {
    fn start(&mut self, name: &'a [u8]) {
        match self.within {
            Within::Event => {
                self.within = Within::Child;
                let Scratch { event, event_data, data, complex, .. } = &mut *self.scratch;
                if name == b"EventData" && event.open_member(name, self.base, self.out) {
                    self.within = Within::EventData;
                    self.distinct = false;
                    event_data.clear();
                    data.clear();
                    complex.clear();
                    self.out.push(b'{');
                    return;
                }
                self.scratch.tape.clear_for(name);
            }
            Within::EventData => {
                self.within = Within::DataChild;
                self.scratch.tape.clear_for(name);
            }
            Within::Child | Within::DataChild => self.scratch.tape.start(name),
        }
    }

    fn attribute(&mut self, name: &'a [u8], value: Value<'a>) {
        match self.within {
            Within::EventData => {
                comma(self.out);
                self.out.extend_from_slice(b"\"@");
                Value::Text(name).write_json(self.out);
                self.out.extend_from_slice(b"\":\"");
                value.write_json(self.out);
                self.out.push(b'"');
            }
            _ => self.scratch.tape.attribute(name, value),
        }
    }

    fn text(&mut self, value: Value<'a>) {
        let Scratch { tape, event, event_data, .. } = &mut *self.scratch;
        match self.within {
            Within::Event => value.write_json(&mut event.text),
            Within::EventData => value.write_json(&mut event_data.text),
            Within::Child | Within::DataChild => tape.text(value),
        }
    }

    fn end(&mut self) {
        match self.within {
            Within::Event => {}
            Within::EventData => self.end_event_data(),
            Within::Child if self.scratch.tape.end() => self.end_child(),
            Within::DataChild if self.scratch.tape.end() => self.end_data_child(),
            Within::Child | Within::DataChild => {}
        }
    }

    fn instance<I: Instance<'a>>(&mut self, instance: I) -> bool {
        if self.within != Within::Event {
            return false;
        }
        let Some(script) = Scripts::child(instance) else { return false };
        let event = &mut self.scratch.event;
        let before = self.out.len();
        if !event.open_member(script.name(), self.base, self.out) {
            return false;
        }
        let written = script.write(instance, self.out);
        if !written {
            event.keys.give_back();
            self.out.truncate(before);
        }
        written
    }

    fn distinct_data(&mut self) {
        self.distinct = self.within == Within::EventData;
    }

    fn data(&mut self, name: Value<'a>, value: Value<'a>) {
        if self.within != Within::EventData {
            self.start(b"Data");
            self.attribute(b"Name", name);
            self.text(value);
            self.end();
            return;
        }
        let out = &mut *self.out;
        let before = out.len();
        if let Value::Plain(plain) = name
            && self.distinct
            && !is_reserved(plain)
        {
            if out.last() == Some(&b'{') {
                put::framed(*b"\"", plain, *b"\":\"", out);
            } else {
                put::framed(*b",\"", plain, *b"\":\"", out);
            }
            value.write_json(out);
            out.push(b'"');
            return;
        }
        comma(out);
        out.push(b'"');
        let start = out.len();
        name.write_json(out);
        let end = out.len();
        let Scratch { event_data, data, .. } = &mut *self.scratch;
        if !is_reserved(&out[start..end]) && event_data.keys.take(out, self.base, start, end) {
            out.extend_from_slice(b"\":\"");
            value.write_json(out);
            out.push(b'"');
        } else {
            data.extend_from_slice(b",{\"Name\":\"");
            data.extend_from_slice(&out[start..end]);
            data.extend_from_slice(b"\",\"Value\":\"");
            value.write_json(data);
            data.extend_from_slice(b"\"}");
            out.truncate(before);
        }
    }
}

impl Level {
    fn clear(&mut self) {
        self.keys.clear();
        self.others.clear();
        self.text.clear();
    }

    /// Writes `"name":` if the name is free.
    fn open_member(&mut self, name: &[u8], base: usize, out: &mut Vec<u8>) -> bool {
        let before = out.len();
        comma(out);
        out.push(b'"');
        let start = out.len();
        out.extend_from_slice(name);
        let free = self.keys.take(out, base, start, out.len());
        if free {
            out.extend_from_slice(b"\":");
        } else {
            out.truncate(before);
        }
        free
    }

    /// Keeps the element on the tape for `#elements`.
    fn other(&mut self, tape: &mut Tape) {
        self.others.extend_from_slice(b",{\"");
        self.others.extend_from_slice(tape.name(0));
        self.others.extend_from_slice(b"\":");
        tape.write_value(0, &mut self.others);
        self.others.push(b'}');
    }

    fn close(&self, out: &mut Vec<u8>) {
        if !is_blank(&self.text) {
            comma(out);
            out.extend_from_slice(b"\"#text\":\"");
            out.extend_from_slice(&self.text);
            out.push(b'"');
        }
        list(b"\"#elements\":[", &self.others, out);
    }
}

/// Member that is a list, if there is anything in it.
pub(super) fn list(open: &[u8], items: &[u8], out: &mut Vec<u8>) {
    if let Some(items) = items.strip_prefix(b",") {
        comma(out);
        out.extend_from_slice(open);
        out.extend_from_slice(items);
        out.push(b']');
    }
}

/// Names that EventData needs for itself.
#[inline]
pub(super) fn is_reserved(name: &[u8]) -> bool {
    match name.first() {
        None | Some(b'@' | b'#') => true,
        Some(b'D' | b'C' | b'B') => matches!(name, b"Data" | b"ComplexData" | b"Binary"),
        _ => false,
    }
}
