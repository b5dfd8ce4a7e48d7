//! An event read by quick-xml, driving the product's own visitors.
//!
//! Names and values are handed on as slices of the text, found by the place of the reader, so that
//! the difference to the product's reader is the tokenizer and nothing else.

use forebay::event::header::Seen;
use forebay::event::text::decode_xml;
use forebay::event::xml::EVENT_XMLNS;
use forebay::event::{Event, EventError, Header, Part, Value, Visitor};
use quick_xml::Reader;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesStart, Event as Xml};
use std::ops::RangeInclusive;

pub(crate) struct QuickEvent<'a> {
    text: &'a [u8],
    header: Header<'a>,
}

impl<'a> QuickEvent<'a> {
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, EventError> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut reading = Reading::default();
        let regular = drive(text, Part::System, &mut reading)?;
        reading.header.odd |= !regular;
        Ok(Self { text, header: reading.header })
    }
}

impl<'a> Event<'a> for QuickEvent<'a> {
    fn header(&self) -> &Header<'a> {
        &self.header
    }

    fn walk<V: Visitor<'a>>(&self, part: Part, visitor: &mut V) -> Result<(), EventError> {
        if part != Part::System {
            std::str::from_utf8(self.text)
                .map_err(|wrong| EventError { at: wrong.valid_up_to(), what: "not UTF-8" })?;
        }
        drive(self.text, part, visitor).map(|_| ())
    }
}

/// Whether EventID is one of `ids` and Channel is `channel`, read no further than needed.
pub(crate) fn is_from(text: &[u8], channel: &[u8], ids: &RangeInclusive<u16>) -> bool {
    let mut reader = Reader::from_reader(text);
    // It has no use for end tags.
    reader.config_mut().check_end_names = false;
    let mut within = 0_u8;
    loop {
        match reader.read_event() {
            Ok(Xml::Start(tag)) => {
                within = match tag.name().as_ref() {
                    b"EventID" => 1,
                    b"Channel" => 2,
                    _ => 0,
                }
            }
            Ok(Xml::Text(value)) if within == 1 => {
                let id = std::str::from_utf8(&value).ok().and_then(|digits| digits.parse().ok());
                if !id.is_some_and(|id| ids.contains(&id)) {
                    return false;
                }
            }
            Ok(Xml::Text(value)) if within == 2 => return *value == *channel,
            Ok(Xml::Eof) | Err(_) => return false,
            Ok(_) => within = 0,
        }
    }
}

/// Reports a part of the event; `Part::System` stops at its end. Whether there is a System in an
/// Event that has its usual attribute at most.
fn drive<'a, V: Visitor<'a>>(text: &'a [u8], part: Part, visitor: &mut V) -> Result<bool, EventError> {
    let mut reader = Reader::from_reader(text);
    reader.config_mut().allow_dangling_amp = true;
    reader.config_mut().check_comments = false;
    let mut walk =
        Walk { text, part, depth: 0, system: 0, had_system: false, usual: false, run: None, parents: 0 };
    loop {
        let event = reader.read_event();
        let end = reader.buffer_position() as usize;
        let failed = |what| EventError { at: end, what };
        match event.map_err(|_| failed("quick-xml cannot read it"))? {
            Xml::Start(tag) => {
                walk.start(&tag, end - tag.len() - 1, visitor).ok_or_else(|| failed("attribute"))?;
            }
            Xml::Empty(tag) => {
                walk.start(&tag, end - tag.len() - 2, visitor).ok_or_else(|| failed("attribute"))?;
                walk.end(visitor);
            }
            Xml::End(_) => {
                walk.flush(walk.parents >> walk.depth & 1 == 1, visitor);
                walk.end(visitor);
                if part == Part::System && walk.had_system && walk.system == 0 {
                    return Ok(walk.usual);
                }
            }
            Xml::Text(piece) => walk.piece(end - piece.len(), end),
            Xml::GeneralRef(name) => walk.piece(end - name.len() - 2, end),
            Xml::CData(section) => {
                walk.flush(walk.parents >> walk.depth & 1 == 1, visitor);
                walk.cdata(&text[end - 3 - section.len()..end - 3], visitor);
            }
            Xml::Comment(_) | Xml::PI(_) | Xml::Decl(_) => {
                walk.flush(walk.parents >> walk.depth & 1 == 1, visitor);
            }
            Xml::DocType(_) => return Err(failed("a document type")),
            Xml::Eof if walk.depth == 0 => return Ok(walk.usual && walk.had_system),
            Xml::Eof => return Err(failed("it ends inside an element")),
        }
    }
}

struct Walk<'a> {
    text: &'a [u8],
    part: Part,
    depth: usize,
    /// Depth of the System element while in it, else 0.
    system: usize,
    had_system: bool,
    usual: bool,
    /// Text that lasts until something else comes.
    run: Option<(usize, usize)>,
    /// Bit per depth: has a child element.
    parents: u128,
}

impl<'a> Walk<'a> {
    fn wanted(&self) -> bool {
        match self.part {
            Part::Whole => true,
            Part::System => self.system > 0,
            Part::Body => self.system == 0 && self.depth > 0,
        }
    }

    fn start<V: Visitor<'a>>(&mut self, tag: &BytesStart<'_>, from: usize, visitor: &mut V) -> Option<()> {
        self.flush(true, visitor);
        self.depth += 1;
        self.parents = (self.parents | 1 << (self.depth - 1)) & !(1 << self.depth);
        let name = &self.text[from..from + tag.name().as_ref().len()];
        if self.depth == 2 && !self.had_system && local(name) == b"System" {
            (self.system, self.had_system) = (2, true);
        }
        let event = self.depth == 1;
        if event {
            let usual = |a: Attribute<'_>| a.key.as_ref() == b"xmlns" && *a.value == *EVENT_XMLNS;
            self.usual = name == b"Event" && tag.attributes().all(|attribute| attribute.is_ok_and(usual));
        }
        // What Event itself has is reported with the whole only; `usual` says enough of it.
        if !self.wanted() || event && self.part != Part::Whole {
            return Some(());
        }
        visitor.start(name);
        for attribute in tag.attributes() {
            let attribute = attribute.ok()?;
            let slice = |inner: &[u8]| {
                let start = from + (inner.as_ptr() as usize - tag.as_ptr() as usize);
                &self.text[start..start + inner.len()]
            };
            visitor.attribute(slice(attribute.key.as_ref()), Value::Xml(slice(&attribute.value)));
        }
        Some(())
    }

    fn end<V: Visitor<'a>>(&mut self, visitor: &mut V) {
        if self.wanted() && (self.depth > 1 || self.part == Part::Whole) {
            visitor.end();
        }
        if self.depth == self.system {
            self.system = 0;
        }
        self.depth = self.depth.saturating_sub(1);
    }

    fn piece(&mut self, from: usize, to: usize) {
        self.run = Some((self.run.map_or(from, |(start, _)| start), to));
    }

    fn flush<V: Visitor<'a>>(&mut self, layout: bool, visitor: &mut V) {
        let Some((from, to)) = self.run.take() else { return };
        let text = &self.text[from..to];
        let continues = self.text[..from].ends_with(b"]]>") || self.text[to..].starts_with(b"<![CDATA[");
        let mut meant = Vec::new();
        decode_xml(text, &mut meant);
        let blank = !continues && meant.iter().all(|byte| matches!(byte, b' ' | b'\r' | b'\n' | b'\t'));
        if self.wanted() && self.depth > 0 && !(blank && (layout || self.depth == 1)) {
            visitor.text(Value::Xml(text));
        }
    }

    fn cdata<V: Visitor<'a>>(&self, section: &'a [u8], visitor: &mut V) {
        if !self.wanted() || self.depth == 0 {
            return;
        }
        for (index, line) in section.split(|&byte| byte == b'\r').enumerate() {
            if index > 0 && line.first() != Some(&b'\n') {
                visitor.text(Value::Text(b"\n"));
            }
            if !line.is_empty() {
                visitor.text(Value::Text(line));
            }
        }
    }
}

/// Fills a header.
#[derive(Default)]
struct Reading<'a> {
    header: Header<'a>,
    depth: usize,
    element: Option<u32>,
    met: Seen,
}

impl<'a> Visitor<'a> for Reading<'a> {
    fn start(&mut self, name: &'a [u8]) {
        self.depth += 1;
        if self.depth == 2 {
            let local = local(name);
            self.element = Seen::element(local).filter(|&element| !self.met.add(element));
            self.header.seen.0 |= self.element.unwrap_or(0);
            self.header.odd |= self.element.is_none() || local != name;
            if let Some(slot) = self.element.and_then(|element| self.header.text_mut(element)) {
                *slot = Value::Plain(b"");
            }
        }
        self.header.odd |= self.depth > 2 || self.depth == 1 && name != b"System";
    }

    fn attribute(&mut self, name: &'a [u8], value: Value<'a>) {
        let element = if self.depth == 2 { self.element } else { None };
        match element.and_then(|element| self.header.attribute_mut(element, name)) {
            Some(slot) => *slot = value,
            None => self.header.odd = true,
        }
    }

    fn text(&mut self, value: Value<'a>) {
        let element = if self.depth == 2 { self.element } else { None };
        match element.and_then(|element| self.header.text_mut(element)) {
            Some(slot) if matches!(slot, Value::Plain(b"")) => *slot = value,
            Some(slot) => {
                *slot = Value::Absent;
                self.header.seen.0 &= !self.element.take().unwrap_or(0);
                self.header.odd = true;
            }
            None => self.header.odd = true,
        }
    }

    fn end(&mut self) {
        self.depth -= 1;
    }
}

/// A name behind its prefix.
fn local(name: &[u8]) -> &[u8] {
    name.iter().position(|&byte| byte == b':').map_or(name, |colon| &name[colon + 1..])
}
