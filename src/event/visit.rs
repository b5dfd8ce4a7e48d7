//! The two traits between readers and everything that looks at an event.
//!
//! Chosen: a monomorphised visitor for the body and a struct of borrowed values for System, over a
//! tape that holds every node: System is what filters read and what each format names field by
//! field, the rest is copied through, so nothing is stored that is looked at only once. Who needs
//! random access (XPath, irregular UserData) builds its own tape from the visits.

use super::{Header, Instance, Value};
use thiserror::Error;

/// A name behind its namespace prefix, up to the first colon: by it elements are known. XML allows
/// one colon at most (Namespaces in XML 1.0, section 4); what has more is nobody's System.
pub fn local_name(name: &[u8]) -> &[u8] {
    memchr::memchr(b':', name).map_or(name, |colon| &name[colon + 1..])
}

/// An event whose System part has been read; the rest is walked on demand.
pub trait Event<'a> {
    /// The System element.
    fn header(&self) -> &Header<'a>;

    /// The canonical text, where the event came as text.
    fn canonical(&self) -> Option<&'a [u8]> {
        None
    }

    /// Reports `part` in document order.
    ///
    /// # Errors
    /// When the bytes behind the part are not what the encoding allows; what was visited up to
    /// there is to be thrown away.
    fn walk<V: Visitor<'a>>(&self, part: Part, visitor: &mut V) -> Result<(), EventError>;

    /// Offers `part` as the instance of a template, where it is one whole element of it and, for
    /// System, holds nothing but what a `Header` can hold. True: the visitor took it.
    fn offer<V: Visitor<'a>>(&self, _part: Part, _visitor: &mut V) -> bool {
        false
    }
}

/// What `Event::walk` reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The (first) `System` element, start and end included.
    System,
    /// What stands in `Event` beside that: EventData, UserData, RenderingInfo …
    Body,
    /// The `Event` element itself with all its attributes and children.
    Whole,
}

/// Listens to a walk. Names are qualified names as written; readers vouch that they are names
/// (`xml::is_name`) and that no attribute stands twice in one element.
///
/// Calls are well nested: a reader never reports an end without its start. Attributes come right
/// after their start. Adjacent texts belong together. Comments and processing instructions are
/// not reported; CDATA is text. White space between the elements of System, EventData, Data
/// lists and RenderingInfo is not reported.
pub trait Visitor<'a> {
    fn start(&mut self, name: &'a [u8]);
    fn attribute(&mut self, name: &'a [u8], value: Value<'a>);
    fn text(&mut self, value: Value<'a>);
    fn end(&mut self);

    /// Right after the start of an element that holds nothing but `data` calls with names that
    /// are all different. A reader that knows may say so, never must.
    fn distinct_data(&mut self) {}

    /// An element that the reader has as the instance of a template. True: the visitor took it.
    /// Otherwise nothing happened, and the element is reported as any other. A reader may offer it
    /// in place of a start, never must.
    fn instance<I: Instance<'a>>(&mut self, _instance: I) -> bool {
        false
    }

    /// `<Data Name='name'>value</Data>`: most of what an event holds, in one call. A reader may
    /// use it for exactly this shape (one attribute, at most one text), never must.
    fn data(&mut self, name: Value<'a>, value: Value<'a>) {
        self.start(b"Data");
        self.attribute(b"Name", name);
        if !value.is_absent() {
            self.text(value);
        }
        self.end();
    }
}

/// Listens to nothing: a walk then only says whether all is as it should be.
pub struct Ignore;

impl<'a> Visitor<'a> for Ignore {
    fn start(&mut self, _: &'a [u8]) {}
    fn attribute(&mut self, _: &'a [u8], _: Value<'a>) {}
    fn text(&mut self, _: Value<'a>) {}
    fn end(&mut self) {}
    fn data(&mut self, _: Value<'a>, _: Value<'a>) {}
}

/// Why an event cannot be read. It travels on raw, with this beside it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what} at byte {at} of the event")]
pub struct EventError {
    /// Byte offset into the event (XML) or the record (BinXML).
    pub at: usize,
    pub what: &'static str,
}
