//! Which element and attribute of System is which field of `Header`.

use super::decoder::Store;
use super::names::KNOWN;
use super::walk::is_empty;
use crate::event::header::Seen;
use crate::event::{Header, Value, Visitor, local_name};

/// A field of `Header`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    ProviderName,
    ProviderGuid,
    EventSourceName,
    EventId,
    Qualifiers,
    Version,
    Level,
    Task,
    Opcode,
    Keywords,
    TimeCreated,
    RecordId,
    ActivityId,
    RelatedActivityId,
    ProcessId,
    ThreadId,
    ProcessorId,
    SessionId,
    KernelTime,
    UserTime,
    ProcessorTime,
    Channel,
    Computer,
    UserId,
}

/// How many fields there are.
pub(super) const FIELDS: usize = Field::UserId as usize + 1;

/// The bit of an element of System, and the field that its text is.
pub(super) const fn element(name: &[u8]) -> Option<(u32, Option<Field>)> {
    Some(match name {
        b"Provider" => (Seen::PROVIDER, None),
        b"EventID" => (Seen::EVENT_ID, Some(Field::EventId)),
        b"Version" => (Seen::VERSION, Some(Field::Version)),
        b"Level" => (Seen::LEVEL, Some(Field::Level)),
        b"Task" => (Seen::TASK, Some(Field::Task)),
        b"Opcode" => (Seen::OPCODE, Some(Field::Opcode)),
        b"Keywords" => (Seen::KEYWORDS, Some(Field::Keywords)),
        b"TimeCreated" => (Seen::TIME_CREATED, None),
        b"EventRecordID" => (Seen::RECORD_ID, Some(Field::RecordId)),
        b"Correlation" => (Seen::CORRELATION, None),
        b"Execution" => (Seen::EXECUTION, None),
        b"Channel" => (Seen::CHANNEL, Some(Field::Channel)),
        b"Computer" => (Seen::COMPUTER, Some(Field::Computer)),
        b"Security" => (Seen::SECURITY, None),
        _ => return None,
    })
}

/// The field that an attribute of the element with this bit is.
pub(super) const fn attribute(element: u32, name: &[u8]) -> Option<Field> {
    Some(match (element, name) {
        (Seen::PROVIDER, b"Name") => Field::ProviderName,
        (Seen::PROVIDER, b"Guid") => Field::ProviderGuid,
        (Seen::PROVIDER, b"EventSourceName") => Field::EventSourceName,
        (Seen::EVENT_ID, b"Qualifiers") => Field::Qualifiers,
        (Seen::TIME_CREATED, b"SystemTime") => Field::TimeCreated,
        (Seen::CORRELATION, b"ActivityID") => Field::ActivityId,
        (Seen::CORRELATION, b"RelatedActivityID") => Field::RelatedActivityId,
        (Seen::EXECUTION, b"ProcessID") => Field::ProcessId,
        (Seen::EXECUTION, b"ThreadID") => Field::ThreadId,
        (Seen::EXECUTION, b"ProcessorID") => Field::ProcessorId,
        (Seen::EXECUTION, b"SessionID") => Field::SessionId,
        (Seen::EXECUTION, b"KernelTime") => Field::KernelTime,
        (Seen::EXECUTION, b"UserTime") => Field::UserTime,
        (Seen::EXECUTION, b"ProcessorTime") => Field::ProcessorTime,
        (Seen::SECURITY, b"UserID") => Field::UserId,
        _ => return None,
    })
}

/// What a name is in System.
#[derive(Clone, Copy)]
pub(super) struct Meaning {
    /// The bit of an element, and the field that its text is.
    pub(super) element: Option<(u32, Option<Field>)>,
    /// The element of an attribute, and its field.
    pub(super) attribute: Option<(u32, Field)>,
}

/// By the ids of known names.
pub(super) const MEANINGS: [Meaning; KNOWN.len()] = {
    let mut meanings = [Meaning { element: None, attribute: None }; KNOWN.len()];
    let mut id = 0;
    while id < KNOWN.len() {
        meanings[id].element = element(KNOWN[id]);
        let mut bit = 1;
        while bit <= Seen::SECURITY {
            if let Some(field) = attribute(bit, KNOWN[id]) {
                meanings[id].attribute = Some((bit, field));
            }
            bit <<= 1;
        }
        id += 1;
    }
    meanings
};

#[inline]
pub(super) fn field<'h, 'a>(header: &'h mut Header<'a>, field: Field) -> &'h mut Value<'a> {
    match field {
        Field::ProviderName => &mut header.provider_name,
        Field::ProviderGuid => &mut header.provider_guid,
        Field::EventSourceName => &mut header.event_source_name,
        Field::EventId => &mut header.event_id,
        Field::Qualifiers => &mut header.qualifiers,
        Field::Version => &mut header.version,
        Field::Level => &mut header.level,
        Field::Task => &mut header.task,
        Field::Opcode => &mut header.opcode,
        Field::Keywords => &mut header.keywords,
        Field::TimeCreated => &mut header.time_created,
        Field::RecordId => &mut header.record_id,
        Field::ActivityId => &mut header.activity_id,
        Field::RelatedActivityId => &mut header.related_activity_id,
        Field::ProcessId => &mut header.process_id,
        Field::ThreadId => &mut header.thread_id,
        Field::ProcessorId => &mut header.processor_id,
        Field::SessionId => &mut header.session_id,
        Field::KernelTime => &mut header.kernel_time,
        Field::UserTime => &mut header.user_time,
        Field::ProcessorTime => &mut header.processor_time,
        Field::Channel => &mut header.channel,
        Field::Computer => &mut header.computer,
        Field::UserId => &mut header.user_id,
    }
}

/// An element or attribute that is there and empty.
pub(super) const EMPTY: Value<'static> = Value::Plain(b"");

/// Fills a `Header` from a walk of `System`.
#[derive(Debug)]
pub(super) struct HeaderBuilder<'a> {
    header: Header<'a>,
    store: &'a Store,
    depth: u32,
    element: u32,
    text: Option<Field>,
    failed: Option<&'static str>,
}

impl<'a> HeaderBuilder<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Self { header: Header::default(), store, depth: 0, element: 0, text: None, failed: None }
    }

    /// # Errors
    /// When a text was in more pieces than can be put together.
    pub(super) fn finish(self) -> Result<Header<'a>, &'static str> {
        self.failed.map_or(Ok(self.header), Err)
    }

    /// The name without its prefix, which no usual event has there.
    fn local(&mut self, name: &'a [u8]) -> &'a [u8] {
        let local = local_name(name);
        self.header.odd |= local.len() != name.len();
        local
    }
}

impl<'a> Visitor<'a> for HeaderBuilder<'a> {
    fn start(&mut self, name: &'a [u8]) {
        self.depth += 1;
        match self.depth {
            1 => self.header.odd |= name != b"System",
            2 => match element(self.local(name)) {
                Some((bit, text)) if !self.header.seen.add(bit) => {
                    (self.element, self.text) = (bit, text);
                    if let Some(text) = text {
                        *field(&mut self.header, text) = EMPTY;
                    }
                }
                _ => {
                    (self.element, self.text) = (0, None);
                    self.header.odd = true;
                }
            },
            _ => self.header.odd = true,
        }
    }

    fn attribute(&mut self, name: &'a [u8], value: Value<'a>) {
        let known = if self.depth == 2 { attribute(self.element, name) } else { None };
        let Some(known) = known else {
            self.header.odd = true;
            return;
        };
        let place = field(&mut self.header, known);
        let free = place.is_absent();
        if free {
            *place = if value.is_absent() { EMPTY } else { value };
        }
        self.header.odd |= !free;
    }

    fn text(&mut self, value: Value<'a>) {
        let Some(known) = self.text.filter(|_| self.depth == 2) else {
            self.header.odd = true;
            return;
        };
        let place = field(&mut self.header, known);
        let joined = if is_empty(*place) { Ok(value) } else { self.store.join(&[*place, value]) };
        match joined {
            Ok(text) => *place = text,
            Err(what) => self.failed = Some(what),
        }
    }

    fn end(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 1 {
            (self.element, self.text) = (0, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_field_makes_a_header_odd() {
        let store = Store::default();
        let mut builder = HeaderBuilder::new(&store);
        builder.start(b"System");
        builder.start(b"EventID");
        builder.attribute(b"Qualifiers", Value::Plain(b"0"));
        builder.text(Value::Plain(b"4624"));
        builder.end();
        builder.start(b"Version");
        builder.end();
        assert!(!builder.header.odd);
        assert_eq!(builder.header.event_id.as_u64(), Some(4624));
        assert_eq!(builder.header.qualifiers.as_u64(), Some(0));
        assert!(builder.header.version.is(""));
        assert!(!builder.header.version.is_absent());
        assert!(builder.header.level.is_absent());
        builder.start(b"EventID");
        assert!(builder.header.odd);
        builder.end();
        builder.end();
        assert!(builder.finish().unwrap().event_id.is("4624"));
    }

    #[test]
    fn a_text_in_pieces_is_put_together() {
        let store = Store::default();
        let mut builder = HeaderBuilder::new(&store);
        builder.start(b"System");
        builder.start(b"Computer");
        for piece in [&b"a"[..], b"&", b"b"] {
            builder.text(Value::Text(piece));
        }
        let header = builder.finish().unwrap();
        assert!(header.computer.is("a&b"));
        assert!(!header.odd);
    }
}
