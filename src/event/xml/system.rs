//! Reads System into a `Header`: by predicted literals, else element by element.
//!
//! Windows writes the children of System in one fixed order and shape, so nearly every event is
//! read by comparing with what must come next; only values are searched through. The first
//! surprise starts the general way from the top.

use super::glance::Glance;
use super::scan::{check_utf8, find, skip_space, stands};
use super::walk::{Child, Tag, aside, child, element, quoted, start_tag};
use super::{EVENT_XMLNS, Outline, error};
use crate::event::header::Seen;
use crate::event::{EventError, Header, Ignore, Value, Visitor, local_name};

/// System as Windows writes it, or None.
pub(super) fn predicted(text: &[u8]) -> Option<(Header<'_>, Outline)> {
    let mut header = Header::default();
    let mut next = Next::in_system(text)?;
    let content = next.at - SYSTEM.len();
    next.kind(&mut header)?;
    next.numbers(&mut header)?;
    next.context(&mut header)?;
    next.place(&mut header)?;
    next.literal(b"</System>").then_some(())?;
    check_utf8(text, 0, next.at).ok()?;
    let outline =
        Outline { event: 0, content, empty: false, system: content, system_end: next.at, utf8: next.at };
    Some((header, outline))
}

const SYSTEM: &[u8; 8] = b"<System>";

/// The same, as far as to EventID.
#[inline]
pub(super) fn glance(text: &[u8]) -> Option<Glance<'_>> {
    let mut header = Header::default();
    let mut next = Next::in_system(text)?;
    next.kind(&mut header)?;
    // What is not the next may still stand behind what was not expected.
    header.seen.has(Seen::EVENT_ID).then_some(())?;
    Some(Glance { provider_name: header.provider_name, event_id: header.event_id, behind: next })
}

/// Walks through what must come next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Next<'a> {
    /// Behind the start tag of System.
    #[inline(always)]
    fn in_system(text: &'a [u8]) -> Option<Self> {
        const SINGLE: &[u8; 69] = b"<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'>";
        const DOUBLE: &[u8; 69] = b"<Event xmlns=\"http://schemas.microsoft.com/win/2004/08/events/event\">";
        if !(stands(text, 0, SINGLE) || stands(text, 0, DOUBLE)) {
            return None;
        }
        let mut next = Next { text, at: SINGLE.len() };
        next.literal(SYSTEM).then_some(next)
    }

    /// Level and Channel, where EventID has been read.
    #[inline]
    pub(super) fn level_and_channel(mut self) -> Option<(Value<'a>, Value<'a>)> {
        let mut header = Header::default();
        self.numbers(&mut header)?;
        self.context(&mut header)?;
        header.seen.has(Seen::CHANNEL).then_some((header.level, header.channel))
    }

    #[inline(always)]
    fn literal<const N: usize>(&mut self, literal: &[u8; N]) -> bool {
        let stands = stands(self.text, self.at, literal);
        self.at += if stands { N } else { 0 };
        stands
    }

    /// Attribute, if it is the next: ` Name='value'` after `literal` = ` Name=`.
    #[inline(always)]
    fn attribute<const N: usize>(&mut self, literal: &[u8; N], slot: &mut Value<'a>) -> Option<()> {
        if self.literal(literal) {
            (*slot, self.at) = quoted(self.text, self.at)?;
        }
        Some(())
    }

    /// Text up to the end tag `close`.
    #[inline(always)]
    fn text<const N: usize>(&mut self, close: &[u8; N], slot: &mut Value<'a>) -> Option<()> {
        let end = find(self.text, self.at, b'<');
        *slot = Value::Xml(self.text.get(self.at..end)?);
        self.at = end;
        self.literal(close).then_some(())
    }

    /// Element with text, if it is the next.
    #[inline(always)]
    fn element<const N: usize, const M: usize>(
        &mut self,
        open: &[u8; N],
        close: &[u8; M],
        seen: (&mut Seen, u32),
        slot: &mut Value<'a>,
    ) -> Option<()> {
        if self.literal(open) {
            seen.0.add(seen.1);
            self.text(close, slot)?;
        }
        Some(())
    }

    #[inline(always)]
    fn kind(&mut self, header: &mut Header<'a>) -> Option<()> {
        if self.literal(b"<Provider") {
            header.seen.add(Seen::PROVIDER);
            self.attribute(b" Name=", &mut header.provider_name)?;
            self.attribute(b" Guid=", &mut header.provider_guid)?;
            self.attribute(b" EventSourceName=", &mut header.event_source_name)?;
            self.literal(b"/>").then_some(())?;
        }
        if self.literal(b"<EventID") {
            header.seen.add(Seen::EVENT_ID);
            self.attribute(b" Qualifiers=", &mut header.qualifiers)?;
            self.literal(b">").then_some(())?;
            self.text(b"</EventID>", &mut header.event_id)?;
        }
        Some(())
    }

    #[inline(always)]
    fn numbers(&mut self, header: &mut Header<'a>) -> Option<()> {
        let Header { seen, version, level, task, opcode, keywords, record_id, time_created, .. } = header;
        self.element(b"<Version>", b"</Version>", (seen, Seen::VERSION), version)?;
        self.element(b"<Level>", b"</Level>", (seen, Seen::LEVEL), level)?;
        self.element(b"<Task>", b"</Task>", (seen, Seen::TASK), task)?;
        self.element(b"<Opcode>", b"</Opcode>", (seen, Seen::OPCODE), opcode)?;
        self.element(b"<Keywords>", b"</Keywords>", (seen, Seen::KEYWORDS), keywords)?;
        if self.literal(b"<TimeCreated SystemTime=") {
            seen.add(Seen::TIME_CREATED);
            (*time_created, self.at) = quoted(self.text, self.at)?;
            self.literal(b"/>").then_some(())?;
        }
        self.element(b"<EventRecordID>", b"</EventRecordID>", (seen, Seen::RECORD_ID), record_id)
    }

    #[inline(always)]
    fn context(&mut self, header: &mut Header<'a>) -> Option<()> {
        if self.literal(b"<Correlation") {
            header.seen.add(Seen::CORRELATION);
            self.attribute(b" ActivityID=", &mut header.activity_id)?;
            self.attribute(b" RelatedActivityID=", &mut header.related_activity_id)?;
            self.literal(b"/>").then_some(())?;
        }
        if self.literal(b"<Execution") {
            header.seen.add(Seen::EXECUTION);
            self.attribute(b" ProcessID=", &mut header.process_id)?;
            self.attribute(b" ThreadID=", &mut header.thread_id)?;
            if !self.literal(b"/>") {
                self.attribute(b" ProcessorID=", &mut header.processor_id)?;
                self.attribute(b" SessionID=", &mut header.session_id)?;
                self.attribute(b" KernelTime=", &mut header.kernel_time)?;
                self.attribute(b" UserTime=", &mut header.user_time)?;
                self.attribute(b" ProcessorTime=", &mut header.processor_time)?;
                self.literal(b"/>").then_some(())?;
            }
        }
        self.element(b"<Channel>", b"</Channel>", (&mut header.seen, Seen::CHANNEL), &mut header.channel)
    }

    #[inline(always)]
    fn place(&mut self, header: &mut Header<'a>) -> Option<()> {
        let Header { seen, computer, user_id, .. } = header;
        self.element(b"<Computer>", b"</Computer>", (seen, Seen::COMPUTER), computer)?;
        if self.literal(b"<Security") {
            seen.add(Seen::SECURITY);
            self.attribute(b" UserID=", user_id)?;
            self.literal(b"/>").then_some(())?;
        }
        Some(())
    }
}

/// Reads up to the end of System in any well-formed event.
pub(super) fn generic(text: &[u8]) -> Result<(Header<'_>, Outline), EventError> {
    const BOM: &[u8; 3] = b"\xef\xbb\xbf";
    let event = prolog(text, if stands(text, 0, BOM) { BOM.len() } else { 0 })?;
    let mut reading = Reading::default();
    let tag = start_tag(text, event, &mut reading)?;
    if local_name(tag.name) != b"Event" {
        return error(event, "the element is no Event");
    }
    reading.header.odd |= tag.name != b"Event";
    let mut outline = Outline {
        event,
        content: tag.end,
        empty: tag.empty,
        system: tag.end,
        system_end: tag.end,
        utf8: tag.end,
    };
    if !tag.empty
        && let Some(system) = find_system(text, &tag)?
    {
        outline.system = system;
        outline.system_end = element(text, system, 1, &mut reading)?;
    }
    outline.utf8 = outline.system_end;
    check_utf8(text, 0, outline.utf8)?;
    reading.header.odd |= outline.system == outline.system_end;
    Ok((reading.header, outline))
}

/// Where System starts among the children of Event.
fn find_system(text: &[u8], event: &Tag<'_>) -> Result<Option<usize>, EventError> {
    let mut at = event.end;
    loop {
        at = match child(text, at, event.name, &mut Ignore)? {
            Child::Element(start) if is_system(text, start) => return Ok(Some(start)),
            Child::Element(start) => element(text, start, 1, &mut Ignore)?,
            Child::Nothing(at) => at,
            Child::End(_) => return Ok(None),
        };
    }
}

/// Where Event starts: white space, declaration, instructions and comments may stand before it.
fn prolog(text: &[u8], mut at: usize) -> Result<usize, EventError> {
    loop {
        at = skip_space(text, at);
        match text.get(at..at + 2) {
            Some(b"<?" | b"<!") if !stands(text, at, b"<![") => at = aside(text, at, &mut Ignore)?,
            Some([b'<', _]) => return Ok(at),
            _ => return error(at, "the text does not start with an element"),
        }
    }
}

fn is_system(text: &[u8], start: usize) -> bool {
    super::scan::name_end(text, start + 1).is_ok_and(|end| local_name(&text[start + 1..end]) == b"System")
}

/// Fills a header from the visits of `Event`'s start tag and of `System`.
#[derive(Default)]
struct Reading<'a> {
    header: Header<'a>,
    /// Open elements: 1 is Event (its end is never reported here), 2 System, 3 a field.
    depth: usize,
    field: Field,
    /// Elements there were so far, also those that the header cannot hold.
    met: Seen,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Field {
    /// Its values must not be taken: unknown, there before, or in pieces.
    #[default]
    Odd,
    Known(u32),
}

impl<'a> Reading<'a> {
    fn text_slot(&mut self) -> Option<&mut Value<'a>> {
        let Field::Known(element) = self.field else { return None };
        self.header.text_mut(element)
    }

    fn attribute_slot(&mut self, name: &[u8]) -> Option<&mut Value<'a>> {
        let Field::Known(element) = self.field else { return None };
        self.header.attribute_mut(element, name)
    }

    /// A borrowed value cannot join pieces, as a comment leaves them: the header is then without
    /// that element.
    #[cold]
    fn give_up(&mut self) {
        let Field::Known(element) = std::mem::take(&mut self.field) else { return };
        if let Some(slot) = self.header.text_mut(element) {
            *slot = Value::Absent;
        }
        self.header.seen.0 &= !element;
        self.header.odd = true;
    }
}

impl<'a> Visitor<'a> for Reading<'a> {
    fn start(&mut self, name: &'a [u8]) {
        self.depth += 1;
        match self.depth {
            1 => {}
            2 => self.header.odd |= name != b"System",
            3 => {
                let known = Seen::element(local_name(name)).filter(|&known| !self.met.add(known));
                self.header.seen.0 |= known.unwrap_or(0);
                self.field = known.map_or(Field::Odd, Field::Known);
                self.header.odd |= known.is_none() || local_name(name) != name;
                if let Some(slot) = self.text_slot() {
                    *slot = Value::Plain(b"");
                }
            }
            _ => self.header.odd = true,
        }
    }

    fn attribute(&mut self, name: &'a [u8], value: Value<'a>) {
        let slot = if self.depth == 3 { self.attribute_slot(name) } else { None };
        if let Some(slot) = slot {
            *slot = value;
        } else if !(self.depth == 1 && name == b"xmlns" && matches!(value, Value::Xml(EVENT_XMLNS))) {
            self.header.odd = true;
        }
    }

    fn text(&mut self, value: Value<'a>) {
        let slot = if self.depth == 3 { self.text_slot() } else { None };
        match slot {
            Some(slot) if matches!(slot, Value::Plain(b"")) => *slot = value,
            Some(_) => self.give_up(),
            None => self.header.odd = true,
        }
    }

    fn end(&mut self) {
        self.depth -= 1;
    }
}
