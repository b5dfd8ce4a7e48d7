//! System from the header; what a header cannot hold from a walk.

use super::body::list;
use super::comma;
use super::tape::{Tape, is_blank, member};
use crate::event::header::Seen;
use crate::event::xml::EVENT_XMLNS;
use crate::event::{Event, EventError, Header, Part, Value, Visitor, local_name, put};

/// `"System":{…` without the closing brace.
pub(in crate::format) fn open(header: &Header<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"System\":{");
    let seen = header.seen;
    if seen.has(Seen::PROVIDER) {
        out.extend_from_slice(b"\"Provider\":{");
        string(b"\"Name\":", header.provider_name, out);
        string(b"\"Guid\":", header.provider_guid, out);
        string(b"\"EventSourceName\":", header.event_source_name, out);
        out.push(b'}');
    }
    if seen.has(Seen::EVENT_ID) {
        text_or_number(b"\"EventID\":", header.event_id, out);
        number(b"\"Qualifiers\":", header.qualifiers, out);
    }
    for (element, name, value) in [
        (Seen::VERSION, &b"\"Version\":"[..], header.version),
        (Seen::LEVEL, b"\"Level\":", header.level),
        (Seen::TASK, b"\"Task\":", header.task),
        (Seen::OPCODE, b"\"Opcode\":", header.opcode),
    ] {
        if seen.has(element) {
            text_or_number(name, value, out);
        }
    }
    if seen.has(Seen::KEYWORDS) {
        text(b"\"Keywords\":", header.keywords, out);
    }
    if seen.has(Seen::TIME_CREATED) {
        text(b"\"TimeCreated\":", header.time_created, out);
    }
    if seen.has(Seen::RECORD_ID) {
        text_or_number(b"\"EventRecordID\":", header.record_id, out);
    }
    place(header, out);
}

fn place(header: &Header<'_>, out: &mut Vec<u8>) {
    let seen = header.seen;
    if seen.has(Seen::CORRELATION) {
        comma(out);
        out.extend_from_slice(b"\"Correlation\":{");
        string(b"\"ActivityID\":", header.activity_id, out);
        string(b"\"RelatedActivityID\":", header.related_activity_id, out);
        out.push(b'}');
    }
    if seen.has(Seen::EXECUTION) {
        comma(out);
        out.extend_from_slice(b"\"Execution\":{");
        number(b"\"ProcessID\":", header.process_id, out);
        number(b"\"ThreadID\":", header.thread_id, out);
        number(b"\"ProcessorID\":", header.processor_id, out);
        number(b"\"SessionID\":", header.session_id, out);
        number(b"\"KernelTime\":", header.kernel_time, out);
        number(b"\"UserTime\":", header.user_time, out);
        number(b"\"ProcessorTime\":", header.processor_time, out);
        out.push(b'}');
    }
    if seen.has(Seen::CHANNEL) {
        text(b"\"Channel\":", header.channel, out);
    }
    if seen.has(Seen::COMPUTER) {
        text(b"\"Computer\":", header.computer, out);
    }
    if seen.has(Seen::SECURITY) {
        if header.user_id.is_absent() {
            comma(out);
            out.extend_from_slice(b"\"Security\":{}");
        }
        string(b"\"UserID\":", header.user_id, out);
    }
}

/// Member with a string, empty where there is no value.
fn text(name: &[u8], value: Value<'_>, out: &mut Vec<u8>) {
    comma(out);
    put::framed([], name, *b"\"", out);
    value.write_json(out);
    out.push(b'"');
}

/// Member with a string, if there is a value.
fn string(name: &[u8], value: Value<'_>, out: &mut Vec<u8>) {
    if !value.is_absent() {
        text(name, value, out);
    }
}

/// Member with a number, if there is a value.
fn number(name: &[u8], value: Value<'_>, out: &mut Vec<u8>) {
    if !value.is_absent() {
        text_or_number(name, value, out);
    }
}

/// Member with a number, or with a string where its text is none.
fn text_or_number(name: &[u8], value: Value<'_>, out: &mut Vec<u8>) {
    comma(out);
    put::short(name, out);
    number_or_string(value, out);
}

/// A number where the text is one and JSON would give back the same digits.
pub(in crate::format) fn number_or_string(value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Unsigned(number) => Value::Unsigned(number).write_json(out),
        Value::Xml(digits) | Value::Plain(digits) | Value::Text(digits) if is_number(digits) => {
            out.extend_from_slice(digits);
        }
        _ => {
            let start = out.len();
            out.push(b'"');
            value.write_json(out);
            if is_number(&out[start + 1..]) {
                out.remove(start);
            } else {
                out.push(b'"');
            }
        }
    }
}

/// A u64 in decimal, without leading zeros.
fn is_number(text: &[u8]) -> bool {
    const MAX: &[u8; 20] = b"18446744073709551615";
    let digits = text.iter().all(u8::is_ascii_digit);
    let leading_zero = text.len() > 1 && text[0] == b'0';
    digits && !leading_zero && !text.is_empty() && (text.len() < 20 || text.len() == 20 && text <= &MAX[..])
}

/// Members for an event whose header is odd: `System` with what `header` says, the event's own or what is left of
/// it, and all that a header cannot hold; attributes of Event.
#[cold]
pub(in crate::format) fn odd<'a, E: Event<'a>>(
    event: &E,
    header: &Header<'_>,
    out: &mut Vec<u8>,
) -> Result<(), EventError> {
    let mut rest = Rest { held: event.header().seen, ..Rest::default() };
    event.walk(Part::Whole, &mut rest)?;
    if let Some(what) = rest.tape.refused {
        return Err(EventError { at: 0, what });
    }
    if rest.system {
        open(header, out);
        for part in [&rest.system_attributes, &rest.system_text] {
            if let Some(members) = part.strip_prefix(b",") {
                comma(out);
                out.extend_from_slice(members);
            }
        }
        list(b"\"#elements\":[", &rest.elements, out);
        out.push(b'}');
    }
    if let Some(members) = rest.event_attributes.strip_prefix(b",") {
        comma(out);
        out.extend_from_slice(members);
    }
    Ok(())
}

/// Whether an event whose header is odd holds anything that the header does not.
#[cold]
pub(in crate::format) fn says_more<'a, E: Event<'a>>(event: &E) -> Result<bool, EventError> {
    let mut rest = Rest { held: event.header().seen, ..Rest::default() };
    event.walk(Part::Whole, &mut rest)?;
    let Rest { tape, event_attributes, system_attributes, system_text, elements, .. } = rest;
    let kept = [event_attributes, system_attributes, system_text, elements];
    Ok(tape.refused.is_some() || kept.iter().any(|text| !text.is_empty()))
}

/// Collects what a header cannot hold; it may allocate, odd headers are rare.
#[derive(Default)]
struct Rest {
    depth: usize,
    /// In the first System; and that there was one.
    within: bool,
    system: bool,
    seen: Seen,
    /// Elements that the header has.
    held: Seen,
    tape: Tape,
    /// Members and list items, each with a comma before it.
    event_attributes: Vec<u8>,
    system_attributes: Vec<u8>,
    system_text: Vec<u8>,
    elements: Vec<u8>,
}

impl Rest {
    /// A child of System is complete on the tape: keeps it if the header does not say it all.
    fn end_child(&mut self) {
        let tape = &mut self.tape;
        if tape.refused.is_some() || is_regular(tape, &mut self.seen, self.held) {
            return;
        }
        self.elements.extend_from_slice(b",{\"");
        self.elements.extend_from_slice(tape.name(0));
        self.elements.extend_from_slice(b"\":");
        tape.write_value(0, &mut self.elements);
        self.elements.push(b'}');
    }
}

fn is_regular(tape: &Tape, seen: &mut Seen, held: Seen) -> bool {
    let name = tape.name(0);
    let local = local_name(name);
    let Some(element) = Seen::element(local) else { return false };
    let mut header = Header::default();
    let first = !seen.add(element);
    let has_text = header.text_mut(element).is_none() && tape.texts(0).any(|text| !is_blank(text));
    let known = tape.attributes(0).all(|(name, _)| header.attribute_mut(element, name).is_some());
    first && held.has(element) && known && !has_text && local == name && !tape.has_elements(0)
}

fn attribute(name: &[u8], value: Value<'_>, out: &mut Vec<u8>) {
    let mut text = Vec::new();
    value.write_json(&mut text);
    out.extend_from_slice(b",\"@");
    out.extend_from_slice(name);
    member(&text, out);
}

fn renamed(name: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"#name");
    member(name, out);
}

impl<'a> Visitor<'a> for Rest {
    fn start(&mut self, name: &'a [u8]) {
        self.depth += 1;
        match self.depth {
            1 if name != b"Event" => renamed(name, &mut self.event_attributes),
            1 => {}
            2 => {
                self.within = !self.system && local_name(name) == b"System";
                self.system |= self.within;
                if self.within && name != b"System" {
                    renamed(name, &mut self.system_attributes);
                }
            }
            3 if self.within => self.tape.clear_for(name),
            _ if self.within => self.tape.start(name),
            _ => {}
        }
    }

    fn attribute(&mut self, name: &'a [u8], value: Value<'a>) {
        match self.depth {
            1 => {
                let mut text = Vec::new();
                value.write_text(&mut text);
                if name != b"xmlns" || text != EVENT_XMLNS {
                    attribute(name, value, &mut self.event_attributes);
                }
            }
            _ if !self.within => {}
            2 => attribute(name, value, &mut self.system_attributes),
            _ => self.tape.attribute(name, value),
        }
    }

    fn text(&mut self, value: Value<'a>) {
        match self.depth {
            _ if !self.within => {}
            2 => {
                // One member, however many pieces: the quote that closed the piece before goes.
                if self.system_text.pop().is_none() {
                    self.system_text.extend_from_slice(b",\"#text\":\"");
                }
                value.write_json(&mut self.system_text);
                self.system_text.push(b'"');
            }
            _ => self.tape.text(value),
        }
    }

    fn end(&mut self) {
        self.depth -= 1;
        if self.within && self.depth >= 2 && self.tape.end() && self.depth == 2 {
            self.end_child();
        }
        self.within &= self.depth >= 2;
    }
}
