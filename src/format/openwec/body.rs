//! Parts of an event as OpenWEC has them: one beside RenderingInfo, and of that what its schema names.
//!
//! | part | becomes |
//! |---|---|
//! | EventData | `{name: text, …, "Data": [texts of unnamed ones], "Binary": text}` |
//! | UserData | a string, the XML inside as it came (`user_data.rs`) |
//! | DebugData, ProcessingErrorData | `{element: text, …}` with the elements of event.xsd, two of them numbers |
//! | BinaryEventData | a string |
//! | RenderingInfo | `{"Message", "Level", "Task", "Opcode", "Channel", "Provider", "Keywords": [], "Culture"}` |
//!
//! As OpenWEC does: the last of several parts counts, and the last of several values of one name; texts that
//! are empty are left out, but for those of named `Data`; a text ends at the first element inside.
//! Whatever of this leaves something out that is not empty is told (`End::is_whole`). A name is written once:
//! beside unnamed values a value called `Data` is left out, where OpenWEC writes the key twice.

use super::pairs::Pairs;
use crate::event::{Value, Visitor};
use crate::format::json::keys::Keys;
use crate::format::object::key;

/// What is reused from event to event.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    part: Pairs,
    rendering: Pairs,
    keys: Keys,
    order: Vec<u32>,
    /// Items of `Data` and of `Keywords`, each with a comma before it.
    unnamed: Vec<u8>,
    keywords: Vec<u8>,
    binary: Vec<u8>,
    culture: Vec<u8>,
    blank: Vec<u8>,
}

/// What stands in Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    None,
    EventData,
    UserData,
    DebugData,
    ProcessingErrorData,
    BinaryEventData,
    RenderingInfo,
    Unknown,
}

/// What an open child of a part is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaf {
    /// `named` once its Name was seen.
    Data {
        named: bool,
    },
    Binary,
    /// Under the element's own name.
    Field,
    Keywords,
    Unknown,
}

/// Listens to the body of an event.
pub(super) struct Body<'s> {
    scratch: &'s mut Scratch,
    depth: usize,
    part: Part,
    leaf: Leaf,
    /// Where the open child, and its text, start.
    from: usize,
    text: usize,
    /// Its text goes on.
    is_open: bool,
    end: End,
}

/// After the walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// The part that counts.
    pub(super) part: Part,
    /// There were others.
    pub(super) is_repeated: bool,
    is_rendered: bool,
    has_keywords: bool,
    /// Nothing was left out.
    pub(super) is_whole: bool,
}

impl<'s> Body<'s> {
    pub(super) fn new(scratch: &'s mut Scratch) -> Self {
        scratch.part.clear();
        scratch.rendering.clear();
        for text in [&mut scratch.unnamed, &mut scratch.keywords, &mut scratch.binary, &mut scratch.culture] {
            text.clear();
        }
        let end = End {
            part: Part::None,
            is_repeated: false,
            is_rendered: false,
            has_keywords: false,
            is_whole: true,
        };
        let (part, leaf) = (Part::None, Leaf::Unknown);
        Self { scratch, depth: 0, part, leaf, from: 0, text: 0, is_open: false, end }
    }

    pub(super) fn end(self) -> End {
        self.end
    }

    fn pairs(&mut self) -> &mut Pairs {
        match self.part {
            Part::RenderingInfo => &mut self.scratch.rendering,
            _ => &mut self.scratch.part,
        }
    }

    fn open_part(&mut self, name: &[u8]) {
        self.part = Part::of(name);
        match self.part {
            Part::Unknown => self.end.is_whole = false,
            Part::RenderingInfo => {
                self.end.is_whole &= !self.end.is_rendered;
                self.end.is_rendered = true;
                self.end.has_keywords = false;
                self.scratch.rendering.clear();
                self.scratch.keywords.clear();
                self.scratch.culture.clear();
            }
            part => {
                self.end.is_repeated |= self.end.part != Part::None;
                self.end.is_whole &= !self.end.is_repeated;
                self.end.part = part;
                self.scratch.part.clear();
                self.scratch.unnamed.clear();
                self.scratch.binary.clear();
            }
        }
    }

    fn open_leaf(&mut self, name: &[u8]) {
        self.leaf = match (self.part, name) {
            (Part::EventData, b"Data") => Leaf::Data { named: false },
            (Part::EventData, b"Binary") => Leaf::Binary,
            (Part::RenderingInfo, b"Keywords") => Leaf::Keywords,
            (Part::RenderingInfo | Part::DebugData | Part::ProcessingErrorData, _) => Leaf::Field,
            _ => Leaf::Unknown,
        };
        self.end.is_whole &= self.leaf != Leaf::Unknown || self.part == Part::UserData;
        self.end.has_keywords |= self.leaf == Leaf::Keywords;
        self.is_open = true;
        let is_field = self.leaf == Leaf::Field;
        let bytes = &mut self.pairs().bytes;
        let from = bytes.len();
        if is_field {
            Value::Text(name).write_json(bytes);
        }
        (self.from, self.text) = (from, bytes.len());
    }

    fn close_leaf(&mut self) {
        let (from, text, leaf) = (self.from, self.text, self.leaf);
        let Scratch { part, rendering, unnamed, binary, .. } = &mut *self.scratch;
        let pairs = if self.part == Part::RenderingInfo { rendering } else { part };
        let is_empty = pairs.bytes.len() == text;
        match leaf {
            Leaf::Data { named: true } | Leaf::Field => return pairs.push(from, text),
            Leaf::Data { named: false } if !is_empty => {
                unnamed.extend_from_slice(b",\"");
                unnamed.extend_from_slice(&pairs.bytes[text..]);
                unnamed.push(b'"');
            }
            Leaf::Binary if !is_empty => {
                self.end.is_whole &= binary.is_empty();
                binary.clear();
                binary.extend_from_slice(&pairs.bytes[text..]);
            }
            _ => {}
        }
        pairs.bytes.truncate(from);
    }

    /// Text that has no place: white space between elements does not need one.
    fn stray(&mut self, value: Value<'_>) {
        let blank = &mut self.scratch.blank;
        blank.clear();
        value.write_text(blank);
        self.end.is_whole &= blank.trim_ascii().is_empty();
    }
}

impl<'a> Visitor<'a> for Body<'_> {
    fn start(&mut self, name: &'a [u8]) {
        self.depth += 1;
        match self.depth {
            1 => self.open_part(name),
            2 => self.open_leaf(name),
            3 if self.leaf == Leaf::Keywords && name == b"Keyword" => {
                self.text = self.scratch.rendering.bytes.len();
            }
            _ => {
                self.is_open = false;
                self.end.is_whole &= self.part == Part::UserData;
            }
        }
    }

    fn attribute(&mut self, name: &'a [u8], value: Value<'a>) {
        match (self.depth, self.part, self.leaf, name) {
            (1, Part::RenderingInfo, _, b"Culture") => value.write_json(&mut self.scratch.culture),
            (2, Part::EventData, Leaf::Data { .. }, b"Name") => {
                self.leaf = Leaf::Data { named: true };
                let bytes = &mut self.scratch.part.bytes;
                value.write_json(bytes);
                self.text = bytes.len();
            }
            (2.., Part::UserData, ..) => {}
            (1, _, _, name) if name == b"xmlns" || name.starts_with(b"xmlns:") => {}
            _ => self.end.is_whole = false,
        }
    }

    fn text(&mut self, value: Value<'a>) {
        match (self.depth, self.part) {
            (1.., Part::UserData) => {}
            (1, Part::BinaryEventData) => value.write_json(&mut self.scratch.part.bytes),
            (2, _) if self.is_open && !matches!(self.leaf, Leaf::Keywords | Leaf::Unknown) => {
                value.write_json(&mut self.pairs().bytes);
            }
            (3, _) if self.leaf == Leaf::Keywords => value.write_json(&mut self.scratch.rendering.bytes),
            _ => self.stray(value),
        }
    }

    fn end(&mut self) {
        match self.depth {
            2 => self.close_leaf(),
            3 if self.leaf == Leaf::Keywords => {
                let Scratch { rendering, keywords, .. } = &mut *self.scratch;
                if rendering.bytes.len() > self.text {
                    keywords.extend_from_slice(b",\"");
                    keywords.extend_from_slice(&rendering.bytes[self.text..]);
                    keywords.push(b'"');
                    rendering.bytes.truncate(self.text);
                }
            }
            _ => {}
        }
        self.depth -= 1;
    }

    fn data(&mut self, name: Value<'a>, value: Value<'a>) {
        if self.depth == 1 && self.part == Part::EventData {
            let pairs = &mut self.scratch.part;
            let from = pairs.bytes.len();
            name.write_json(&mut pairs.bytes);
            let text = pairs.bytes.len();
            value.write_json(&mut pairs.bytes);
            return pairs.push(from, text);
        }
        self.start(b"Data");
        self.attribute(b"Name", name);
        self.text(value);
        self.end();
    }
}

impl Part {
    fn of(name: &[u8]) -> Self {
        match name {
            b"EventData" => Self::EventData,
            b"UserData" => Self::UserData,
            b"DebugData" => Self::DebugData,
            b"ProcessingErrorData" => Self::ProcessingErrorData,
            b"BinaryEventData" => Self::BinaryEventData,
            b"RenderingInfo" => Self::RenderingInfo,
            _ => Self::Unknown,
        }
    }
}

impl Scratch {
    /// The part that counts, but for UserData; says whether nothing was left out.
    pub(super) fn write_part(&mut self, end: &End, out: &mut Vec<u8>) -> bool {
        let Self { part: pairs, .. } = self;
        match end.part {
            Part::EventData => return self.write_event_data(out),
            Part::DebugData => {
                key("DebugData", out);
                out.push(b'{');
                pairs.write_number("SequenceNumber", out);
                for name in ["FlagsName", "LevelName"] {
                    pairs.write_text(name, false, out);
                }
                pairs.write_text("Component", true, out);
                for name in ["SubComponent", "FileLine", "Function"] {
                    pairs.write_text(name, false, out);
                }
                pairs.write_text("Message", true, out);
                out.push(b'}');
                return pairs.hold_only(&DEBUG);
            }
            Part::ProcessingErrorData => {
                key("ProcessingErrorData", out);
                out.push(b'{');
                pairs.write_number("ErrorCode", out);
                pairs.write_text("DataItemName", true, out);
                pairs.write_text("EventPayload", true, out);
                out.push(b'}');
                return pairs.hold_only(&PROCESSING_ERROR);
            }
            Part::BinaryEventData => {
                key("BinaryEventData", out);
                out.push(b'"');
                out.extend_from_slice(&pairs.bytes);
                out.push(b'"');
            }
            Part::None | Part::UserData | Part::RenderingInfo | Part::Unknown => {}
        }
        true
    }

    fn write_event_data(&mut self, out: &mut Vec<u8>) -> bool {
        let has_unnamed = !self.unnamed.is_empty();
        let has_binary = !self.binary.is_empty();
        let is_taken = |name: &[u8]| has_unnamed && name == b"Data" || has_binary && name == b"Binary";
        let is_whole = self.part.keep_last(&mut self.keys, &mut self.order, is_taken);
        key("EventData", out);
        out.push(b'{');
        self.part.write(out);
        if let Some(items) = self.unnamed.strip_prefix(b",") {
            key("Data", out);
            out.push(b'[');
            out.extend_from_slice(items);
            out.push(b']');
        }
        if has_binary {
            key("Binary", out);
            out.push(b'"');
            out.extend_from_slice(&self.binary);
            out.push(b'"');
        }
        out.push(b'}');
        is_whole
    }

    /// RenderingInfo, if there is one; says whether nothing was left out.
    pub(super) fn write_rendering(&mut self, end: &End, out: &mut Vec<u8>) -> bool {
        if !end.is_rendered {
            return true;
        }
        key("RenderingInfo", out);
        out.push(b'{');
        for name in RENDERED {
            self.rendering.write_text(name, false, out);
        }
        if end.has_keywords {
            key("Keywords", out);
            out.push(b'[');
            out.extend_from_slice(self.keywords.strip_prefix(b",").unwrap_or_default());
            out.push(b']');
        }
        key("Culture", out);
        out.push(b'"');
        out.extend_from_slice(&self.culture);
        out.extend_from_slice(b"\"}");
        self.rendering.hold_only(&RENDERED)
    }
}

const RENDERED: [&str; 6] = ["Message", "Level", "Task", "Opcode", "Channel", "Provider"];
const DEBUG: [&str; 8] = [
    "SequenceNumber",
    "FlagsName",
    "LevelName",
    "Component",
    "SubComponent",
    "FileLine",
    "Function",
    "Message",
];
const PROCESSING_ERROR: [&str; 3] = ["ErrorCode", "DataItemName", "EventPayload"];
