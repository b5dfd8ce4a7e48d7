//! Event as XML text: header first, the rest walked on demand, everything borrowed.
//!
//! ```text
//! <Event …><System>…</System><EventData>…</EventData><RenderingInfo>…</RenderingInfo></Event>
//!   parse ──────────────────►│ walk(Body) ─────────────────────────────────────────────►│
//! ```
//!
//! | file | knows |
//! |---|---|
//! | `scan.rs` | how to find the next byte that matters, names, white space |
//! | `system.rs` | System by predicted literals, or element by element |
//! | `glance.rs` | the few values that filters mostly decide on, and nothing behind them |
//! | `walk.rs` | any well-formed content, in one pass and without recursion |
//! | `repair.rs` | what can be saved of an event that came cut off |
//!
//! Chosen: one hand-written reader for all of it over a fast one beside an XML crate for what is
//! odd. Comments, CDATA and prefixes are a few branches that usual events never meet, and two
//! readers would be two meanings; quick-xml is the oracle of the tests instead.
//!
//! Strict where a wrong guess would change the meaning (tags must nest, attributes must be quoted
//! and named once, UTF-8 must be valid), lenient where Windows is: control characters, `]]>` and
//! references that mean nothing pass. No DTD, no external entity. White space in attribute values
//! is kept as it is, not turned into blanks.
//! Bounded: linear time, `DEPTH_MAX`, `ATTRIBUTES_MAX`, no recursion, no allocation.

mod glance;
mod repair;
mod scan;
mod system;
mod walk;

#[cfg(test)]
mod tests;

pub use glance::Glance;
pub use repair::recover;
pub use scan::is_name;

use super::{Event, EventError, Header, Ignore, Part, Visitor};

/// Deepest nesting of elements that is read, `Event` being the first.
pub const DEPTH_MAX: usize = 64;
/// Most attributes of one element.
pub const ATTRIBUTES_MAX: usize = 256;
/// What the Event element of every Windows event declares; any other attribute there makes the
/// header odd.
pub const EVENT_XMLNS: &[u8] = b"http://schemas.microsoft.com/win/2004/08/events/event";

/// An event of which `System` has been read.
#[derive(Clone, Copy, Debug)]
pub struct XmlEvent<'a> {
    text: &'a [u8],
    header: Header<'a>,
    outline: Outline,
}

/// Where the parts stand, as offsets into the text.
#[derive(Clone, Copy, Debug)]
struct Outline {
    /// `<` of `<Event`.
    event: usize,
    /// After the start tag of Event.
    content: usize,
    /// Event is written `<Event/>`.
    empty: bool,
    /// `<` of `<System`, and behind its end; both `content` where there is none.
    system: usize,
    system_end: usize,
    /// Up to here the text is known to be UTF-8.
    utf8: usize,
}

impl<'a> XmlEvent<'a> {
    /// Reads `System` and looks no further, unless something stands before it.
    ///
    /// # Errors
    /// When there is no Event element, or what stands up to the end of System is not well formed.
    pub fn parse(text: &'a [u8]) -> Result<Self, EventError> {
        if let Some((header, outline)) = system::predicted(text) {
            return Ok(Self { text, header, outline });
        }
        let (header, outline) = system::generic(text)?;
        Ok(Self { text, header, outline })
    }

    /// The text it was read from.
    pub fn text(&self) -> &'a [u8] {
        self.text
    }
}

impl<'a> Event<'a> for XmlEvent<'a> {
    fn header(&self) -> &Header<'a> {
        &self.header
    }

    fn canonical(&self) -> Option<&'a [u8]> {
        Some(self.text)
    }

    fn walk<V: Visitor<'a>>(&self, part: Part, visitor: &mut V) -> Result<(), EventError> {
        match part {
            Part::System => walk::system(self.text, self.outline, visitor),
            Part::Body => walk::body(self.text, self.outline, visitor),
            Part::Whole => walk::whole(self.text, self.outline, visitor),
        }
    }
}

/// Reads an event to its end.
///
/// # Errors
/// When it is not well formed, or no event.
pub fn check(text: &[u8]) -> Result<(), EventError> {
    XmlEvent::parse(text)?.walk(Part::Body, &mut Ignore)
}

const fn error<T>(at: usize, what: &'static str) -> Result<T, EventError> {
    Err(EventError { at, what })
}
