//! The body of an event as a plain list of names and texts, and the words that its sender rendered:
//! what the formats of one line of text are made of.
//!
//! - The name is the Name attribute, else the element's; an unnamed `Data` is `paramN`, N being its
//!   place among its siblings. An element inside goes by its own name alone; an attribute other than
//!   Name is `Element_Attribute`. Empty texts are left out, but counted.
//! - Of `Texts::bare` an unnamed `Data` is `Data`, and what is empty is there.
//! - RenderingInfo gives its Message, Level, Task and Opcode.
//!
//! Nothing is decided here and nothing escaped. Must not know: what a format makes of it.

use crate::event::{Value, Visitor, local_name};
use std::ops::Range;

/// Longest name; the rest of one is cut off, so that names that multiply stay affordable.
const NAME_BYTES_MAX: usize = 256;

/// What is reused from event to event.
#[derive(Debug, Default)]
pub(super) struct Texts {
    is_bare: bool,
    /// All names and texts, one behind the other.
    bytes: Vec<u8>,
    pairs: Vec<(Range<usize>, Range<usize>)>,
    frames: Vec<Frame>,
    /// Of the open elements.
    names: Vec<u8>,
    texts: Vec<u8>,
    /// Elements open of RenderingInfo, itself included.
    rendering: usize,
    word: Word,
    pub(super) message: Vec<u8>,
    pub(super) level: Vec<u8>,
    pub(super) task: Vec<u8>,
    pub(super) opcode: Vec<u8>,
}

/// An open element.
#[derive(Debug)]
struct Frame {
    name: usize,
    text: usize,
    children: u32,
    /// Among its siblings, from 1.
    place: u32,
    /// It has attributes that are pairs.
    is_described: bool,
}

/// What a text of RenderingInfo is for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Word {
    #[default]
    None,
    Message,
    Level,
    Task,
    Opcode,
}

impl Texts {
    /// Names as they stand, and all texts.
    pub(super) fn bare() -> Self {
        Self { is_bare: true, ..Self::default() }
    }

    /// Before an event.
    pub(super) fn clear(&mut self) {
        let Self { bytes, pairs, frames, names, texts, rendering, word, .. } = self;
        let Self { message, level, task, opcode, .. } = self;
        [bytes, names, texts, message, level, task, opcode].into_iter().for_each(Vec::clear);
        pairs.clear();
        frames.clear();
        *rendering = 0;
        *word = Word::None;
    }

    /// In document order.
    pub(super) fn pairs(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        let text = |range: &Range<usize>| &self.bytes[range.start..range.end];
        self.pairs.iter().map(move |(name, value)| (text(name), text(value)))
    }

    /// The text of the pair at this place.
    pub(super) fn text_of(&self, place: usize) -> &[u8] {
        &self.bytes[self.pairs[place].1.clone()]
    }

    /// The text of the first that has the name.
    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        self.pairs().find(|(found, _)| *found == name.as_bytes()).map(|(_, text)| text)
    }

    fn put(&mut self, name: Range<usize>, text: usize, place: u32) {
        if self.texts.len() == text && !self.is_bare {
            return;
        }
        let start = self.bytes.len();
        let name = &self.names[name];
        if name == b"Data" && !self.is_bare {
            param(place, &mut self.bytes);
        } else {
            self.bytes.extend_from_slice(name);
        }
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(&self.texts[text..]);
        self.pairs.push((start..middle, middle..self.bytes.len()));
    }
}

impl<'a> Visitor<'a> for Texts {
    fn start(&mut self, name: &'a [u8]) {
        if self.rendering > 0 || (self.frames.is_empty() && name == b"RenderingInfo") {
            self.rendering += 1;
            self.word = match (self.rendering, name) {
                (2, b"Message") => Word::Message,
                (2, b"Level") => Word::Level,
                (2, b"Task") => Word::Task,
                (2, b"Opcode") => Word::Opcode,
                _ => Word::None,
            };
            return;
        }
        let place = self.frames.last_mut().map_or(1, |outer| {
            outer.children += 1;
            outer.children
        });
        let (name_start, text) = (self.names.len(), self.texts.len());
        self.frames.push(Frame { name: name_start, text, children: 0, place, is_described: false });
        self.names.extend_from_slice(bounded(local_name(name), NAME_BYTES_MAX));
    }

    fn attribute(&mut self, name: &'a [u8], value: Value<'a>) {
        let inside = self.frames.len() > 1;
        let before = self.rendering == 0;
        let Some(frame) = self.frames.last_mut().filter(|_| before) else { return };
        if name == b"xmlns" || name.starts_with(b"xmlns:") {
            return;
        }
        let (from, end, place) = (frame.name, self.names.len(), frame.place);
        if name == b"Name" && inside {
            value.write_text(&mut self.names);
            if self.names.len() > end {
                self.names.drain(from..end);
                let length = bounded(&self.names[from..], NAME_BYTES_MAX).len();
                self.names.truncate(from + length);
            }
            return;
        }
        frame.is_described = true;
        let text = self.texts.len();
        self.names.push(b'_');
        self.names.extend_from_slice(bounded(local_name(name), NAME_BYTES_MAX));
        value.write_text(&mut self.texts);
        self.put(from..self.names.len(), text, place);
        self.names.truncate(end);
        self.texts.truncate(text);
    }

    fn text(&mut self, value: Value<'a>) {
        match (self.rendering, self.word) {
            (0, _) => value.write_text(&mut self.texts),
            (_, Word::Message) => value.write_text(&mut self.message),
            (_, Word::Level) => value.write_text(&mut self.level),
            (_, Word::Task) => value.write_text(&mut self.task),
            (_, Word::Opcode) => value.write_text(&mut self.opcode),
            (_, Word::None) => {}
        }
    }

    fn end(&mut self) {
        if self.rendering > 0 {
            self.rendering -= 1;
            self.word = Word::None;
            return;
        }
        let Some(frame) = self.frames.pop() else { return };
        // White space between the elements of an element is no value; what holds nothing at all is none
        // where it has attributes, or is a part of the event.
        let is_leaf = frame.children == 0;
        let is_nothing = self.texts.len() == frame.text && (frame.is_described || self.frames.is_empty());
        if is_leaf && !is_nothing || !self.texts[frame.text..].trim_ascii().is_empty() {
            self.put(frame.name..self.names.len(), frame.text, frame.place);
        }
        self.names.truncate(frame.name);
        self.texts.truncate(frame.text);
    }

    fn data(&mut self, name: Value<'a>, value: Value<'a>) {
        let (start, before) = (self.bytes.len(), self.rendering == 0);
        let Some(outer) = self.frames.last_mut().filter(|_| before) else {
            self.start(b"Data");
            self.attribute(b"Name", name);
            self.text(value);
            return self.end();
        };
        outer.children += 1;
        name.write_text(&mut self.bytes);
        let named = bounded(&self.bytes[start..], NAME_BYTES_MAX).len();
        self.bytes.truncate(start + named);
        if named == 0 || &self.bytes[start..] == b"Data" {
            self.bytes.truncate(start);
            if self.is_bare {
                self.bytes.extend_from_slice(b"Data");
            } else {
                param(outer.children, &mut self.bytes);
            }
        }
        let middle = self.bytes.len();
        value.write_text(&mut self.bytes);
        if self.bytes.len() == middle && !self.is_bare {
            self.bytes.truncate(start);
        } else {
            self.pairs.push((start..middle, middle..self.bytes.len()));
        }
    }
}

fn param(place: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(b"param");
    Value::Unsigned(place.into()).write_text(out);
}

/// The start of UTF-8 text, at most so long, no character cut in two.
pub(super) fn bounded(text: &[u8], bytes_max: usize) -> &[u8] {
    if text.len() <= bytes_max {
        return text;
    }
    let mut end = bytes_max;
    while end > 0 && text[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Part, XmlEvent};

    fn texts(body: &str) -> Texts {
        read(body, Texts::default())
    }

    fn read(body: &str, mut texts: Texts) -> Texts {
        let text = format!("<Event><System/>{body}</Event>");
        for _ in 0..2 {
            texts.clear();
            XmlEvent::parse(text.as_bytes()).unwrap().walk(Part::Body, &mut texts).unwrap();
        }
        texts
    }

    #[track_caller]
    fn check(body: &str, expected: &[(&str, &str)]) {
        holds(&texts(body), body, expected);
    }

    #[track_caller]
    fn holds(texts: &Texts, body: &str, expected: &[(&str, &str)]) {
        let found: Vec<_> = texts
            .pairs()
            .map(|(name, text)| (str::from_utf8(name).unwrap(), str::from_utf8(text).unwrap()))
            .collect();
        assert_eq!(found, expected, "{body}");
    }

    #[test]
    fn values_without_a_name_are_called_after_their_place() {
        check(
            "<EventData><Data>a</Data><Data/><Data Name='X'>b &amp;\r\n</Data><Data Name=''>c</Data><Data Name='Data'>d</Data><Binary>00</Binary></EventData>",
            &[("param1", "a"), ("X", "b &\n"), ("param4", "c"), ("param5", "d"), ("Binary", "00")],
        );
    }

    #[test]
    fn bare_names_stand_as_they_are_and_what_is_empty_is_there() {
        for (body, expected) in [
            (
                "<EventData><Data>a</Data><Data/><Data Name='X'/><Data Name='Data'>d</Data><Binary/></EventData>",
                &[("Data", "a"), ("Data", ""), ("X", ""), ("Data", "d"), ("Binary", "")][..],
            ),
            (
                "<UserData><Log Kind=''><A/><B Code='5'/> <C Code='6'> </C></Log></UserData>",
                &[("Log_Kind", ""), ("A", ""), ("B_Code", "5"), ("C_Code", "6"), ("C", " ")],
            ),
            ("<EventData/><UserData></UserData>", &[]),
        ] {
            holds(&read(body, Texts::bare()), body, expected);
        }
    }

    #[test]
    fn elements_go_by_their_own_name_and_attributes_by_both() {
        check(
            "<UserData><n:Log xmlns:n='u' Kind='k'><A>1</A>\n <B><C>2</C>\n</B><Error Code='5'>text</Error></n:Log></UserData>",
            &[("Log_Kind", "k"), ("A", "1"), ("C", "2"), ("Error_Code", "5"), ("Error", "text")],
        );
        check(
            "<EventData Name='T'><ComplexData Name='C'><Data Name='x'>1</Data><Data>2</Data></ComplexData></EventData>",
            &[("EventData_Name", "T"), ("x", "1"), ("param2", "2")],
        );
        check("<BinaryEventData>00</BinaryEventData>", &[("BinaryEventData", "00")]);
    }

    #[test]
    fn the_words_of_rendering_info_are_no_pairs() {
        let texts = texts(
            "<RenderingInfo Culture='x'><Message>a\r\nb</Message><Level>I</Level><Task>Logon</Task><Opcode>O</Opcode><Keywords><Message>no</Message></Keywords></RenderingInfo><EventData><Data Name='RenderingInfo'>1</Data></EventData>",
        );
        assert_eq!((&texts.message[..], &texts.task[..]), (&b"a\nb"[..], &b"Logon"[..]));
        assert_eq!((&texts.level[..], &texts.opcode[..]), (&b"I"[..], &b"O"[..]));
        assert_eq!(texts.get("RenderingInfo"), Some(&b"1"[..]));
        assert_eq!((texts.pairs().len(), texts.get("Message")), (1, None));
    }

    #[test]
    fn names_that_multiply_stay_affordable() {
        let long = "ü".repeat(2000);
        let attributes: String = (0..200).map(|n| format!(" a{n}='1'")).collect();
        let texts = texts(&format!("<UserData><{long}{attributes}/></UserData>"));
        assert_eq!(texts.pairs().len(), 200);
        assert!(texts.pairs().all(|(name, _)| name.len() <= 256 + 5 && str::from_utf8(name).is_ok()));
    }
}
