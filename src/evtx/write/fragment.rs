//! One event as BinXML, every value a string, the way a collector stores what was forwarded to it.
//!
//! ```text
//! 41 size u32 ‖ name                                element with attributes (01: without)
//!    list size u32 ‖ 06 name value, …               attributes (46: another one follows)
//!    03  or  02 content 04                          empty, or content and its end
//! 05 01 units u16 ‖ UTF-16                          text
//! 09 name                                           &amp; &lt; &gt; &apos;
//! ```
//!
//! A text token with bit 6 set is followed by another that belongs to the same text. Windows
//! stores `&`, `<` and `>` as references, and line ends as they came (CRLF).
//!
//! `Layout::Collector` is these tokens between a fragment header and an end token, byte for byte
//! what Windows collectors write. libevtx cannot read that (it expects a dependency id in every
//! element outside of a value; it fails on each real collector's log we have), so by default the
//! tokens of System, EventData … are values of type BinXML of a template that is the Event element
//! alone, as Windows itself stores EventData and UserData. See `template`.
//! Source: MS-EVEN6 2.2.12; logs that Windows collectors wrote; libfwevt 20181227.

use super::layout::{CHUNK_BYTES, put_u16, put_u32};
use super::names;
use super::template::{self, Root};
use super::text::{Place, storable};
use crate::event::{Value, Visitor};

/// Elements that may be open in one another; readers refuse much deeper ones.
pub const ELEMENT_DEPTH_MAX: usize = 64;

/// How an event's tokens are put into a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// What every reader we know of takes.
    #[default]
    Portable,
    /// Byte for byte as a Windows collector does; libevtx 20181227 cannot read it.
    Collector,
}

pub(super) const MORE: u8 = 0x40;
pub(super) const OPEN: u8 = 0x01;
pub(super) const CLOSE_START: u8 = 0x02;
pub(super) const CLOSE_EMPTY: u8 = 0x03;
pub(super) const CLOSE: u8 = 0x04;
pub(super) const TEXT: u8 = 0x05;
pub(super) const ATTRIBUTE: u8 = 0x06;
pub(super) const FRAGMENT_HEADER: [u8; 4] = [0x0f, 1, 1, 0];
pub(super) const END: u8 = 0x00;
pub(super) const STRING: u8 = 0x01;

/// Buffers that one chunk after the other uses.
#[derive(Default)]
pub(super) struct Scratch {
    open: Vec<Open>,
    pub(super) text: Vec<u8>,
    name: Vec<u8>,
    root: Root,
}

/// An element whose end has not come.
struct Open {
    /// Its token; the size follows.
    token: usize,
    /// Where the size of its attribute list stands, when it has one.
    list: Option<usize>,
    /// Token of its last attribute.
    attribute: usize,
    /// Its start tag is closed.
    content: bool,
    /// A child of System: an empty one is one token in what Windows writes, others are two.
    system: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// The rest of the chunk is too small.
    Space,
    Depth,
    /// Event has more children than the template has places.
    Places,
}

/// Writes tokens into the free space of a chunk while an event is walked.
pub(super) struct Fragment<'c> {
    pub(super) chunk: &'c mut [u8; CHUNK_BYTES],
    pub(super) scratch: &'c mut Scratch,
    pub(super) at: usize,
    pub(super) unfit: Option<Unfit>,
    in_system: bool,
    /// The text token just before `at`.
    pub(super) tail: Option<usize>,
    /// Where the open string's length stands.
    pub(super) string: Option<usize>,
    layout: Layout,
    values: Values,
}

/// The values of the template instance, in the portable layout.
#[derive(Clone, Copy, Debug, Default)]
struct Values {
    /// Places the template has.
    places: u16,
    /// Where the first value's size and type stand, once the instance is begun.
    descriptors: Option<usize>,
    used: u16,
    /// Start of the value that is being written.
    start: usize,
}

const STRING_VALUE: u8 = 0x01;
const BINXML_VALUE: u8 = 0x21;

impl<'c> Fragment<'c> {
    pub(super) fn new(
        chunk: &'c mut [u8; CHUNK_BYTES],
        at: usize,
        scratch: &'c mut Scratch,
        layout: Layout,
        places: u16,
    ) -> Self {
        scratch.open.clear();
        scratch.root.clear();
        let values = Values { places, ..Values::default() };
        let mut fragment = Self {
            chunk,
            scratch,
            at,
            unfit: None,
            in_system: false,
            tail: None,
            string: None,
            layout,
            values,
        };
        fragment.put(&FRAGMENT_HEADER);
        fragment
    }

    /// The offset behind the fragment.
    pub(super) fn finish(mut self) -> Result<usize, Unfit> {
        self.put(&[END]);
        match self.unfit {
            Some(unfit) => Err(unfit),
            None => Ok(self.at),
        }
    }

    /// The Event element is the template: the next call is not for its start tag.
    fn in_template(&self) -> bool {
        self.layout == Layout::Portable && self.scratch.open.len() == 1
    }

    /// Begins the template instance, if that has not happened.
    fn instance(&mut self) {
        if self.values.descriptors.is_some() {
            return;
        }
        let root = std::mem::take(&mut self.scratch.root);
        template::instance(self, &root, self.values.places);
        self.scratch.root = root;
        self.values.descriptors = Some(self.at);
        for _ in 0..self.values.places {
            self.put(&[0; 4]);
        }
    }

    fn begin_value(&mut self) {
        self.instance();
        if self.values.used == self.values.places {
            self.unfit = self.unfit.or(Some(Unfit::Places));
        }
        self.values.start = self.at;
    }

    fn end_value(&mut self, kind: u8) {
        let place = usize::from(self.values.used) * 4;
        self.values.used = self.values.used.saturating_add(1);
        if let (None, Some(descriptors)) = (self.unfit, self.values.descriptors) {
            // A value is shorter than its chunk, so 16 bits are enough.
            put_u16(self.chunk, descriptors + place, (self.at - self.values.start) as u16);
            self.chunk[descriptors + place + 2] = kind;
        }
    }

    /// Empty places go first: libevtx drops an element whose last place is empty.
    fn end_instance(&mut self) {
        if self.values.descriptors.is_none() {
            self.values.places = 0;
            self.instance();
        }
        if let (None, Some(descriptors)) = (self.unfit, self.values.descriptors) {
            let end = descriptors + usize::from(self.values.places) * 4;
            self.chunk[descriptors..end].rotate_left(usize::from(self.values.used) * 4);
        }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn chunk(&mut self) -> &mut [u8; CHUNK_BYTES] {
        self.chunk
    }

    /// Whether everything so far is in the chunk.
    pub(super) fn fits(&self) -> bool {
        self.unfit.is_none()
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        match self.chunk.get_mut(self.at..self.at + bytes.len()) {
            Some(room) if self.unfit.is_none() => {
                room.copy_from_slice(bytes);
                self.at += bytes.len();
            }
            _ => self.unfit = self.unfit.or(Some(Unfit::Space)),
        }
    }

    pub(super) fn name(&mut self, name: &[u8]) {
        let name = String::from_utf8_lossy(name);
        let hash = names::hash(name.encode_utf16());
        if let Some(known) = names::find(self.chunk, &name, hash) {
            return self.put(&(known as u32).to_le_bytes());
        }
        // Offset, then the name itself, or nothing: a name that does not fit is in no table.
        let at = self.at + 4;
        if self.unfit.is_some() || at + name.len() * 2 + 10 > CHUNK_BYTES {
            self.unfit = self.unfit.or(Some(Unfit::Space));
            return;
        }
        self.put(&(at as u32).to_le_bytes());
        let mut inline = std::mem::take(&mut self.scratch.name);
        names::inline(self.chunk, &name, hash, at, &mut inline);
        self.put(&inline);
        self.scratch.name = inline;
    }

    /// Closes the start tag of the innermost element, if that is still open.
    fn content(&mut self) {
        if let Some(open) = self.scratch.open.last_mut().filter(|open| !open.content) {
            open.content = true;
            self.close_list();
            self.put(&[CLOSE_START]);
        }
    }

    fn close_list(&mut self) {
        if let Some(list) = self.scratch.open.last().and_then(|open| open.list) {
            self.patch(list);
        }
    }

    /// Puts the number of bytes since `size` there.
    pub(super) fn patch(&mut self, size: usize) {
        if self.unfit.is_none() {
            put_u32(self.chunk, size, (self.at - size - 4) as u32);
        }
    }
}

impl<'a> Visitor<'a> for Fragment<'_> {
    fn start(&mut self, name: &'a [u8]) {
        if self.in_template() {
            self.begin_value();
        } else {
            self.content();
        }
        self.tail = None;
        let depth = self.scratch.open.len();
        if depth == ELEMENT_DEPTH_MAX {
            self.unfit = self.unfit.or(Some(Unfit::Depth));
        }
        let system = depth == 2 && self.in_system;
        if depth == 1 {
            self.in_system = name == b"System";
        }
        self.scratch.open.push(Open { token: self.at, list: None, attribute: 0, content: false, system });
        if self.in_template() {
            return self.scratch.root.name(name);
        }
        self.put(&[OPEN, 0, 0, 0, 0]);
        self.name(name);
    }

    fn attribute(&mut self, name: &'a [u8], value: Value<'a>) {
        if self.in_template() {
            return self.scratch.root.attribute(name, value);
        }
        let at = self.at;
        let Some(open) = self.scratch.open.last_mut() else { return };
        let (token, last, first) = (open.token, open.attribute, open.list.is_none());
        if first {
            open.list = Some(at);
            open.attribute = at + 4;
            self.flag_more(token);
            self.put(&[0; 4]);
        } else {
            open.attribute = at;
            self.flag_more(last);
        }
        self.put(&[ATTRIBUTE]);
        self.name(name);
        let before = self.at;
        self.tail = None;
        self.value(value, if self.layout == Layout::Portable { Place::Raw } else { Place::Quoted });
        if self.at == before {
            // An attribute without a value token, or with an empty one, is what readers stumble
            // over; a NUL at the end of a string is no part of it.
            self.put(&[TEXT, STRING, 1, 0, 0, 0]);
        }
        self.tail = None;
    }

    fn text(&mut self, value: Value<'a>) {
        if !self.in_template() {
            self.content();
            return self.value(value, Place::Content);
        }
        // No event has text there; whatever it is, it is kept.
        self.begin_value();
        let mut text = std::mem::take(&mut self.scratch.text);
        text.clear();
        value.write_text(&mut text);
        for unit in storable(&text).encode_utf16() {
            self.put(&unit.to_le_bytes());
        }
        self.scratch.text = text;
        self.end_value(STRING_VALUE);
    }

    fn end(&mut self) {
        if self.in_template() {
            self.scratch.open.pop();
            return self.end_instance();
        }
        match self.scratch.open.last() {
            Some(open) if open.system && !open.content => {
                self.close_list();
                self.put(&[CLOSE_EMPTY]);
            }
            Some(_) => {
                self.content();
                self.put(&[CLOSE]);
            }
            None => return,
        }
        if let Some(open) = self.scratch.open.pop() {
            self.patch(open.token + 1);
        }
        self.tail = None;
        if self.in_template() {
            self.put(&[END]);
            self.end_value(BINXML_VALUE);
        }
    }
}
