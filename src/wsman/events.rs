//! The events of a delivery: ranges of one text, found without reading XML as long as they come the way
//! Windows sends them.
//!
//! ```text
//! <w:Events><w:Event Action="…"><![CDATA[<Event …>…</Event>]]></w:Event><w:Event …
//!           └── read as XML, once ──┘    └── range ─────────┘└ literally ┘└ as the first
//! ```
//! A start tag that is byte for byte the one before means what that one meant, for nothing between them
//! can declare a prefix. Whatever else comes goes through the XML reader, from that event to the next
//! usual one: CDATA in pieces, escaped text, elements inline. Then the events are copied together.
//!
//! The text of an event is not looked into, but for one: event 111, with which a host begins a
//! subscription without a bookmark. It carries the bookmark and is no event of any log.

use super::fault::Refusal;
use super::ns::{Ns, action};
use super::put::put;
use super::xml::{Element, Node, Reader};
use crate::event::text::reference;
use crate::event::{Event, XmlEvent};
use memchr::memmem::Finder;
use std::borrow::Cow;
use std::ops::Range;

/// Most events of one envelope: `MaxBatchItems` of Windows, and the `MaxElements` it asks for itself.
pub const EVENTS_MAX: usize = 32_000;
/// Longest event 111; those seen have 400 bytes.
const BOOKMARK_EVENT_BYTES_MAX: usize = 1024;

/// What a delivery holds.
#[derive(Clone, Debug, Default)]
pub struct Events<'a> {
    /// The envelope as it came, or else the events and nothing between them.
    pub text: Cow<'a, str>,
    /// Where each event stands in it, ascending.
    pub ranges: Vec<Range<u32>>,
    /// Events 111: the host begins without a bookmark. Not to be passed on; their bookmark counts.
    pub started: Vec<Range<u32>>,
    /// How many events the host says it left out.
    pub dropped: u64,
}

impl<'a> Events<'a> {
    /// Texts of the events to be passed on.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.ranges.iter().map(|range| self.at(range))
    }

    fn at(&self, range: &Range<u32>) -> &str {
        self.text.get(range.start as usize..range.end as usize).unwrap_or_default()
    }

    /// Reads `w:Events`, whose start was just read.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Refusal> {
        let mut events = Self { text: Cow::Borrowed(reader.text()), ..Self::default() };
        let end = Finder::new(b"]]>");
        while let Some(event) = reader.child()? {
            if !event.is(Ns::Wsman, "Event") {
                return Err(Refusal::InvalidBody("w:Events holds w:Event and nothing else"));
            }
            events.room()?;
            let of = reader.attribute(&event, Ns::None, "Action")?;
            if of.as_deref() == Some(action::DROPPED_EVENTS) {
                events.dropped = events.dropped.saturating_add(count(reader.raw()?));
            } else if let Some(close) = events.usual(reader, &event, &end) {
                reader.jump(close);
                if !matches!(reader.next()?, Node::End) {
                    return Err(Refusal::InvalidBody("a w:Event does not end"));
                }
            } else {
                let content = odd(reader)?;
                events.push(content);
            }
        }
        events.set_started_apart();
        Ok(events)
    }

    fn room(&self) -> Result<(), Refusal> {
        if self.ranges.len() < EVENTS_MAX {
            return Ok(());
        }
        Err(Refusal::InvalidBody("an envelope holds at most 32000 events"))
    }

    /// Takes events from the one whose start was just read on, as long as they are as usual; the offset
    /// of the last one's end tag.
    fn usual(&mut self, reader: &Reader<'a>, first: &Element<'a>, end: &Finder<'_>) -> Option<usize> {
        const OPEN: &[u8] = b"<![CDATA[";
        let text = reader.text().as_bytes();
        let start_tag = &text[first.at..reader.position()];
        let end_tag = format!("</{}>", first.name);
        let (mut at, mut last) = (reader.position(), None);
        if start_tag.ends_with(b"/>") {
            return None;
        }
        while self.ranges.len() < EVENTS_MAX && text[at..].starts_with(OPEN) {
            let from = at + OPEN.len();
            let Some(length) = end.find(&text[from..]) else { break };
            let close = from + length + b"]]>".len();
            if !text[close..].starts_with(end_tag.as_bytes()) {
                break;
            }
            let piece = reader.text().get(from..from + length)?;
            self.push(Content::Range(from..from + length, piece));
            last = Some(close);
            at = close + end_tag.len();
            if !text[at..].starts_with(start_tag) {
                break;
            }
            at += start_tag.len();
        }
        last
    }

    fn push(&mut self, content: Content<'a>) {
        let range = match (&mut self.text, content) {
            (Cow::Borrowed(_), Content::Range(range, _)) => range,
            (Cow::Owned(text), Content::Range(_, piece)) => append(text, piece),
            (Cow::Owned(text), Content::Owned(piece)) => append(text, &piece),
            (Cow::Borrowed(envelope), Content::Owned(odd)) => {
                // The first that is nowhere in the envelope: from here on all are copied.
                let envelope = *envelope;
                let mut text = String::with_capacity(envelope.len());
                for range in &mut self.ranges {
                    let moved = append(&mut text, &envelope[range.start as usize..range.end as usize]);
                    *range = moved.start as u32..moved.end as u32;
                }
                let range = append(&mut text, &odd);
                self.text = Cow::Owned(text);
                range
            }
        };
        // Envelopes are shorter than 32 bits can count.
        self.ranges.push(range.start as u32..range.end as u32);
    }

    fn set_started_apart(&mut self) {
        let (text, started) = (&self.text, &mut self.started);
        self.ranges.retain(|range| {
            let is = is_bookmark_event(&text[range.start as usize..range.end as usize]);
            if is {
                started.push(range.clone());
            }
            !is
        });
    }

    pub(super) fn write(&self, out: &mut String) {
        out.push_str("<w:Events>");
        for range in self.started.iter().chain(&self.ranges) {
            put(out, format_args!(r#"<w:Event Action="{}"><![CDATA["#, action::EVENT));
            // CDATA ends at the first `]]>`, so one in the text is cut in two.
            for (nth, piece) in self.at(range).split("]]>").enumerate() {
                if nth > 0 {
                    out.push_str("]]]]><![CDATA[>");
                }
                out.push_str(piece);
            }
            out.push_str("]]></w:Event>");
        }
        if self.dropped > 0 {
            let of = action::DROPPED_EVENTS;
            put(out, format_args!(r#"<w:Event Action="{of}">{}</w:Event>"#, self.dropped));
        }
        out.push_str("</w:Events>");
    }
}

/// Equal when they hold the same events, wherever those stand.
impl PartialEq for Events<'_> {
    fn eq(&self, other: &Self) -> bool {
        let started = |events: &Self| -> Vec<String> {
            events.started.iter().map(|range| events.at(range).to_owned()).collect()
        };
        self.dropped == other.dropped && self.iter().eq(other.iter()) && started(self) == started(other)
    }
}

impl Eq for Events<'_> {}

fn append(text: &mut String, piece: &str) -> Range<usize> {
    let from = text.len();
    text.push_str(piece);
    from..text.len()
}

/// The first number in the text of an element.
fn count(raw: &str) -> u64 {
    let text = raw.split('>').nth(1).filter(|_| raw.trim_start().starts_with('<')).unwrap_or(raw);
    let digits = text.trim().split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or_default()
}

/// The text of one event.
enum Content<'a> {
    /// As it stands in the envelope.
    Range(Range<usize>, &'a str),
    /// Put together.
    Owned(String),
}

/// Reads what is left of a `w:Event` to its end. An element or a CDATA section that stands alone is the
/// event; what is in pieces is joined as an XML parser would; a mixture is taken as it is written.
fn odd<'a>(reader: &mut Reader<'a>) -> Result<Content<'a>, Refusal> {
    let from = reader.position();
    let mut pieces = Pieces::default();
    loop {
        match reader.next()? {
            Node::CData(text) => pieces.push(reader.began() + b"<![CDATA[".len(), text),
            Node::Text(text) if text.trim().is_empty() => pieces.blank = text,
            Node::Text(text) => pieces.push(reader.began(), text),
            Node::Reference(raw) => match reference(raw.as_bytes()) {
                Some((character, _)) => pieces.join(character.encode_utf8(&mut [0; 4])),
                None => pieces.join(raw),
            },
            Node::Start(element) => {
                reader.skip()?;
                let text = reader.text().get(element.at..reader.position()).unwrap_or_default();
                pieces.mixed |= !pieces.is_empty();
                pieces.has_element = true;
                pieces.push(element.at, text);
            }
            Node::End | Node::Eof => {
                if pieces.mixed {
                    let to = reader.began();
                    let text = reader.text().get(from..to).unwrap_or_default();
                    return Ok(Content::Range(from..to, text));
                }
                return Ok(pieces.content(from));
            }
        }
    }
}

#[derive(Default)]
struct Pieces<'a> {
    one: Option<(usize, &'a str)>,
    joined: String,
    /// White space that counts if something follows it and something stood before it.
    blank: &'a str,
    has_element: bool,
    mixed: bool,
}

impl<'a> Pieces<'a> {
    fn is_empty(&self) -> bool {
        self.one.is_none() && self.joined.is_empty()
    }

    fn push(&mut self, at: usize, text: &'a str) {
        if self.is_empty() {
            self.one = Some((at, text));
        } else {
            self.join(text);
        }
        self.blank = "";
    }

    fn join(&mut self, text: &str) {
        self.mixed |= self.has_element;
        if let Some((_, one)) = self.one.take() {
            self.joined.push_str(one);
        }
        if !self.joined.is_empty() {
            self.joined.push_str(self.blank);
        }
        self.blank = "";
        self.joined.push_str(text);
    }

    fn content(self, empty_at: usize) -> Content<'a> {
        match self.one {
            Some((at, text)) => Content::Range(at..at + text.len(), text),
            None if self.joined.is_empty() => Content::Range(empty_at..empty_at, ""),
            None => Content::Owned(self.joined),
        }
    }
}

/// Whether this is event 111: of the forwarder, and of no channel.
fn is_bookmark_event(text: &str) -> bool {
    const PROVIDER: &[u8] = b"Microsoft-Windows-EventForwarder";
    if text.len() > BOOKMARK_EVENT_BYTES_MAX || memchr::memmem::find(text.as_bytes(), PROVIDER).is_none() {
        return false;
    }
    let Ok(event) = XmlEvent::parse(text.as_bytes()) else { return false };
    let header = event.header();
    let (mut provider, mut id) = (Vec::new(), Vec::new());
    header.provider_name.write_text(&mut provider);
    header.event_id.write_text(&mut id);
    provider == PROVIDER
        && id == b"111"
        && header.channel.is_absent()
        && text.contains("SubscriptionBookmarkEvent")
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
