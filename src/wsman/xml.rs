//! A pull reader over quick-xml that knows namespaces and limits: what all our messages are read with.
//!
//! Promise: linear time, no recursion, positions are offsets into the text it was given. A DOCTYPE and
//! processing instructions are refused, as SOAP 1.2 section 5 asks. Must not know: any message.

use super::ns::Ns;
use super::put::is_xml_char;
use crate::event::text::reference;
use crate::event::xml::is_name;
use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{QName, ResolveResult};
use std::borrow::Cow;
use thiserror::Error;

/// Deepest nesting of elements: what Windows nests in an EnumerateResponse (16), and an event inline.
pub const DEPTH_MAX: usize = 96;
/// Most attributes of one element that is looked at.
pub const ATTRIBUTES_MAX: usize = 64;
/// Most namespaces one element declares.
const NAMESPACES_PER_ELEMENT_MAX: usize = 32;
/// Longest value of a single field: an address, an identifier, a name.
pub const FIELD_BYTES_MAX: usize = 4096;

/// Text that is no XML, or more of it than is taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("at byte {at}: {what}")]
pub struct XmlError {
    /// Byte offset into the text.
    pub at: usize,
    pub what: Cow<'static, str>,
}

pub(super) struct Reader<'a> {
    text: &'a str,
    reader: NsReader<&'a [u8]>,
    depth: usize,
    /// Where what was read last begins.
    began: usize,
    /// Nothing is read that begins behind this offset.
    limit: usize,
}

/// A start tag.
#[derive(Debug)]
pub(super) struct Element<'a> {
    pub(super) ns: Ns,
    pub(super) local: &'a str,
    /// With its prefix, as written.
    pub(super) name: &'a str,
    /// Offset of its `<`.
    pub(super) at: usize,
    start: BytesStart<'a>,
}

#[derive(Debug)]
pub(super) enum Node<'a> {
    Start(Element<'a>),
    /// Text as written, between two tags or references.
    Text(&'a str),
    /// The inside of a CDATA section.
    CData(&'a str),
    /// `&name;` as written.
    Reference(&'a str),
    /// The end of the innermost open element.
    End,
    /// The end of the text, with no element open.
    Eof,
}

impl<'a> Element<'a> {
    pub(super) fn is(&self, ns: Ns, local: &str) -> bool {
        self.ns == ns && self.local == local
    }

    /// Its prefix, empty without one.
    pub(super) fn prefix(&self) -> &'a str {
        self.name.split_once(':').map_or("", |(prefix, _)| prefix)
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut reader = NsReader::from_str(text.trim_start_matches('\u{feff}'));
        reader.config_mut().expand_empty_elements = true;
        reader.resolver_mut().set_max_declarations_per_element(NAMESPACES_PER_ELEMENT_MAX);
        Self { text, reader, depth: 0, began: 0, limit: usize::MAX }
    }

    /// Whatever begins more than `bytes` from here is refused until the limit is lifted.
    pub(super) fn limit(&mut self, bytes: usize) {
        self.limit = self.position().saturating_add(bytes);
    }

    pub(super) fn lift_limit(&mut self) {
        self.limit = usize::MAX;
    }

    /// Offset behind what was read last.
    pub(super) fn position(&self) -> usize {
        // Not the reader's own count, which begins behind a byte order mark.
        self.text.len() - self.reader.get_ref().len()
    }

    /// Offset at which what was read last begins.
    pub(super) fn began(&self) -> usize {
        self.began
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// Goes on at an offset further on. The same elements must be open there as here, and the last thing
    /// read must be no empty element.
    pub(super) fn jump(&mut self, to: usize) {
        debug_assert!(to >= self.position(), "only forwards");
        *self.reader.get_mut() = self.text.as_bytes().get(to..).unwrap_or_default();
    }

    pub(super) fn wrong(&self, what: impl Into<Cow<'static, str>>) -> XmlError {
        XmlError { at: self.position(), what: what.into() }
    }

    pub(super) fn error<T>(&self, what: impl Into<Cow<'static, str>>) -> Result<T, XmlError> {
        Err(self.wrong(what))
    }

    pub(super) fn next(&mut self) -> Result<Node<'a>, XmlError> {
        loop {
            let from = self.position();
            if from > self.limit {
                return self.error("more than is taken here");
            }
            let event = self
                .reader
                .read_event()
                .map_err(|error| XmlError { at: from, what: error.to_string().into() })?;
            self.began = from;
            let raw = self.text.get(from..self.position()).unwrap_or_default();
            return Ok(match event {
                Event::Start(start) => {
                    self.depth += 1;
                    if self.depth > DEPTH_MAX {
                        return self.error(format!("more than {DEPTH_MAX} elements inside each other"));
                    }
                    Node::Start(self.element(start, from)?)
                }
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    Node::End
                }
                Event::Text(_) => Node::Text(raw),
                Event::CData(_) => {
                    let inside = raw.strip_prefix("<![CDATA[").and_then(|rest| rest.strip_suffix("]]>"));
                    Node::CData(inside.unwrap_or_default())
                }
                Event::GeneralRef(_) => Node::Reference(raw),
                Event::DocType(_) => return self.error("a DOCTYPE is not read"),
                Event::PI(_) => return self.error("a processing instruction is not read"),
                Event::Eof if self.depth > 0 => return self.error("the text ends within an element"),
                Event::Eof => Node::Eof,
                // Empty elements come as a start and an end.
                Event::Empty(_) | Event::Decl(_) | Event::Comment(_) => continue,
            });
        }
    }

    fn element(&self, start: BytesStart<'a>, from: usize) -> Result<Element<'a>, XmlError> {
        let name = self.text.get(from + 1..).and_then(|rest| rest.get(..start.name().as_ref().len()));
        let Some(name) = name.filter(|name| is_qname(name)) else {
            return self.error("an element without a proper name");
        };
        let (resolved, _) = self.reader.resolver().resolve_element(QName(name.as_bytes()));
        let ns = self.known(&resolved)?;
        let local = name.split_once(':').map_or(name, |(_, local)| local);
        Ok(Element { ns, local, name, at: from, start })
    }

    fn known(&self, resolved: &ResolveResult<'_>) -> Result<Ns, XmlError> {
        match resolved {
            ResolveResult::Bound(namespace) => Ok(Ns::of(namespace.as_ref())),
            ResolveResult::Unbound => Ok(Ns::None),
            ResolveResult::Unknown(prefix) => {
                let prefix = String::from_utf8_lossy(prefix).into_owned();
                self.error(format!("the prefix `{prefix}` is not declared"))
            }
        }
    }

    /// URI of the namespace of an element that was just read.
    pub(super) fn namespace_of(&self, element: &Element<'_>) -> Result<String, XmlError> {
        let mut uri = Field::default();
        // The resolver keeps the attribute's value as it is written.
        if let ResolveResult::Bound(namespace) =
            self.reader.resolver().resolve_element(QName(element.name.as_bytes())).0
        {
            uri.raw(&String::from_utf8_lossy(namespace.as_ref()), self)?;
        }
        Ok(uri.done(self)?.into_owned())
    }

    /// The namespace that a name in text means here, and its local part.
    pub(super) fn qname(&self, text: &str) -> Result<(Ns, String), XmlError> {
        if !is_qname(text) {
            return self.error("a name was expected");
        }
        let (resolved, local) = self.reader.resolver().resolve_element(QName(text.as_bytes()));
        Ok((self.known(&resolved)?, String::from_utf8_lossy(local.as_ref()).into_owned()))
    }

    /// An attribute of an element that was just read. `Ns::None` is an attribute without a prefix.
    pub(super) fn attribute(
        &self,
        element: &Element<'a>,
        ns: Ns,
        local: &str,
    ) -> Result<Option<String>, XmlError> {
        let mut found = None;
        // The crate's own check for repeated names takes quadratic time.
        for (count, attribute) in element.start.attributes().with_checks(false).enumerate() {
            if count >= ATTRIBUTES_MAX {
                return self.error(format!("more than {ATTRIBUTES_MAX} attributes"));
            }
            let attribute = match attribute {
                Ok(attribute) => attribute,
                Err(error) => return self.error(error.to_string()),
            };
            let (resolved, name) = self.reader.resolver().resolve_attribute(attribute.key);
            let attribute_ns = self.known(&resolved)?;
            if name.as_ref() != local.as_bytes() || attribute_ns != ns {
                continue;
            }
            if found.is_some() {
                return self.error(format!("the attribute `{local}` stands twice"));
            }
            let mut value = Field::default();
            value.raw(&String::from_utf8_lossy(&attribute.value), self)?;
            found = Some(value.done(self)?.into_owned());
        }
        Ok(found)
    }

    /// Whether every attribute of an element that was just read is well formed.
    pub(super) fn check_attributes(&self, element: &Element<'a>) -> Result<(), XmlError> {
        self.attribute(element, Ns::Other, "").map(drop)
    }

    /// The text of the element whose start was just read, to its end; no element may stand in it.
    /// White space around it is cut off, whatever way it was written.
    pub(super) fn field(&mut self) -> Result<Cow<'a, str>, XmlError> {
        self.field_within(FIELD_BYTES_MAX)
    }

    /// The text that is left, of a text without tags.
    pub(super) fn field_to_eof(&mut self) -> Result<Cow<'a, str>, XmlError> {
        debug_assert_eq!(self.depth, 0, "no element is open");
        self.field()
    }

    pub(super) fn field_within(&mut self, bytes: usize) -> Result<Cow<'a, str>, XmlError> {
        let mut field = Field { bytes_max: bytes, ..Field::default() };
        loop {
            match self.next()? {
                Node::Text(text) => field.text(text, self)?,
                Node::CData(text) => field.text(text, self)?,
                Node::Reference(raw) => field.reference(raw, self)?,
                Node::End | Node::Eof => return field.done(self),
                Node::Start(element) => {
                    return self.error(format!("`{}` stands where text belongs", element.name));
                }
            }
        }
    }

    /// Reads over what is left of the element whose start was just read.
    pub(super) fn skip(&mut self) -> Result<(), XmlError> {
        self.raw().map(drop)
    }

    /// What stands in the element whose start was just read, as written.
    pub(super) fn raw(&mut self) -> Result<&'a str, XmlError> {
        let (start, mut open) = (self.position(), 1_usize);
        loop {
            match self.next()? {
                Node::Start(_) => open += 1,
                Node::End if open == 1 => return Ok(self.text.get(start..self.began).unwrap_or_default()),
                Node::End => open -= 1,
                Node::Eof => return self.error("the text ends within an element"),
                Node::Text(_) | Node::CData(_) | Node::Reference(_) => {}
            }
        }
    }

    /// The next element, or None at the end of the innermost open one; only white space may stand
    /// before it.
    pub(super) fn child(&mut self) -> Result<Option<Element<'a>>, XmlError> {
        loop {
            match self.next()? {
                Node::Start(element) => return Ok(Some(element)),
                Node::End | Node::Eof => return Ok(None),
                Node::Text(text) if text.trim().is_empty() => {}
                Node::Text(_) | Node::CData(_) | Node::Reference(_) => {
                    return self.error("text stands where elements belong");
                }
            }
        }
    }
}

/// A name with at most one prefix.
fn is_qname(name: &str) -> bool {
    let (prefix, local) = name.split_once(':').unwrap_or(("x", name));
    let proper = |part: &str| is_name(part.as_bytes()) && !part.contains(':');
    proper(prefix) && proper(local)
}

/// Text put together from its pieces: borrowed as long as there is one, and nothing to replace.
#[derive(Default)]
struct Field<'a> {
    text: Cow<'a, str>,
    bytes_max: usize,
}

impl<'a> Field<'a> {
    fn text(&mut self, piece: &'a str, reader: &Reader<'_>) -> Result<(), XmlError> {
        if self.text.is_empty() && !piece.contains('\r') {
            self.text = Cow::Borrowed(piece);
        } else {
            // XML 1.0 section 2.11: a line end is read as LF.
            self.text.to_mut().push_str(&piece.replace("\r\n", "\n").replace('\r', "\n"));
        }
        self.check(reader)
    }

    fn reference(&mut self, raw: &str, reader: &Reader<'_>) -> Result<(), XmlError> {
        let Some((character, length)) = reference(raw.as_bytes()) else {
            return reader.error(format!("`{raw}` is no character"));
        };
        debug_assert_eq!(length, raw.len(), "the reader cuts references out");
        self.text.to_mut().push(character);
        self.check(reader)
    }

    /// An attribute value, references and all.
    fn raw(&mut self, raw: &str, reader: &Reader<'_>) -> Result<(), XmlError> {
        self.bytes_max = FIELD_BYTES_MAX;
        let mut rest = raw;
        while let Some(at) = rest.find('&') {
            self.text.to_mut().push_str(&rest[..at]);
            let Some(end) = rest[at..].find(';') else {
                return reader.error("an `&` that begins no reference");
            };
            self.reference(&rest[at..=at + end], reader)?;
            rest = &rest[at + end + 1..];
        }
        self.text.to_mut().push_str(rest);
        self.check(reader)
    }

    fn check(&self, reader: &Reader<'_>) -> Result<(), XmlError> {
        if self.text.len() > self.bytes_max {
            return reader.error(format!("a value is longer than {} bytes", self.bytes_max));
        }
        Ok(())
    }

    fn done(self, reader: &Reader<'_>) -> Result<Cow<'a, str>, XmlError> {
        if let Some(wrong) = self.text.chars().find(|&c| !is_xml_char(c)) {
            return reader.error(format!("the character U+{:04X} has no place in XML", u32::from(wrong)));
        }
        let space = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r');
        Ok(match self.text {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches(space)),
            Cow::Owned(text) if text.trim_matches(space).len() == text.len() => Cow::Owned(text),
            Cow::Owned(text) => Cow::Owned(text.trim_matches(space).to_owned()),
        })
    }
}

#[cfg(test)]
#[path = "xml_tests.rs"]
mod tests;
