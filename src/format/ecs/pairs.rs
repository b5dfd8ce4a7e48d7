//! `winlog.event_data` and `winlog.user_data`: flat objects of strings.
//!
//! - The key is the Name attribute, else the element's name; an unnamed `Data` is `paramN`, N being
//!   its place among its siblings. Empty values are left out, but counted.
//! - What Winlogbeat would lose is kept under a key of its own: elements inside an element and
//!   attributes other than Name as `Outer_Inner` and `Element_Attribute`, text beside the elements
//!   under the name of the element around them, a repeated name with its place behind it
//!   (`Name_7`), and what still has no free key, or comes after `KEYS_MAX` others, as
//!   `name=value` in the list `other`.

use crate::event::{Value, local_name};
use crate::format::json::keys::Keys;

/// Longest name that is put before those inside it: names that multiply stay affordable.
const PREFIX_BYTES_MAX: usize = 256;

/// One object that is being written.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    keys: Keys,
    frames: Vec<Frame>,
    /// Name of the element whose children are the pairs, then those of the open elements.
    key: Vec<u8>,
    /// Text of the open elements, one behind the other, escaped.
    text: Vec<u8>,
    /// Items of `other`, each with a comma before it.
    other: Vec<u8>,
    /// Where the members start in the output.
    base: usize,
}

/// An open element; the first one is that whose children are the pairs.
#[derive(Debug)]
struct Frame {
    /// Where its key starts, with the names of outer elements.
    from: usize,
    /// Where its own name starts, and what `key` is cut to at its end.
    own: usize,
    before: usize,
    text: usize,
    children: u32,
    /// Among its siblings, from 1.
    place: u32,
    named: bool,
}

impl Pairs {
    /// For an object whose members start at the end of `out`.
    pub(super) fn open(&mut self, out: &[u8]) {
        self.keys.clear();
        self.frames.clear();
        self.key.clear();
        self.text.clear();
        self.other.clear();
        self.base = out.len();
    }

    /// Writes `other`; says whether the object has any member.
    pub(super) fn close(&mut self, out: &mut Vec<u8>) -> bool {
        if let Some(items) = self.other.strip_prefix(b",") {
            self.comma(out);
            out.extend_from_slice(b"\"other\":[");
            out.extend_from_slice(items);
            out.push(b']');
        }
        out.len() > self.base
    }

    /// Elements that are open, the one around the pairs included.
    pub(super) fn depth(&self) -> usize {
        self.frames.len()
    }

    /// `<Data Name='name'>value</Data>` right below the element around the pairs.
    pub(super) fn data(&mut self, name: Value<'_>, value: Value<'_>, out: &mut Vec<u8>) {
        let Some(root) = self.frames.last_mut() else { return };
        root.children += 1;
        let place = root.children;
        let before = out.len();
        self.comma(out);
        out.push(b'"');
        let start = out.len();
        name.write_json(out);
        if out.len() == start || &out[start..] == b"Data" {
            out.truncate(start);
            param(place, out);
        }
        let end = out.len();
        out.extend_from_slice(b"\":\"");
        let value_start = out.len();
        value.write_json(out);
        if out.len() == value_start {
            out.truncate(before);
        } else if !is_reserved(&out[start..end]) && self.keys.take(out, self.base, start, end) {
            out.push(b'"');
        } else {
            let (from, text) = (self.key.len(), self.text.len());
            self.key.extend_from_slice(&out[start..end]);
            self.text.extend_from_slice(&out[value_start..]);
            out.truncate(before);
            self.put(from, text, place, out);
            self.key.truncate(from);
            self.text.truncate(text);
        }
    }

    pub(super) fn start(&mut self, name: &[u8]) {
        let inside_a_pair = self.frames.len() > 1;
        let mut place = 1;
        if let Some(outer) = self.frames.last_mut() {
            outer.children += 1;
            place = outer.children;
            if inside_a_pair {
                outer.settle_name(&mut self.key);
            }
        }
        let before = self.key.len();
        let from = match self.frames.last() {
            Some(outer) if inside_a_pair && before - outer.from <= PREFIX_BYTES_MAX => {
                self.key.push(b'_');
                outer.from
            }
            _ => before,
        };
        let (own, text) = (self.key.len(), self.text.len());
        self.frames.push(Frame { from, own, before, text, children: 0, place, named: false });
        Value::Text(local_name(name)).write_json(&mut self.key);
    }

    pub(super) fn attribute(&mut self, name: &[u8], value: Value<'_>, out: &mut Vec<u8>) {
        let is_pair = self.frames.len() > 1;
        let Some(frame) = self.frames.last_mut() else { return };
        if name == b"xmlns" || name.starts_with(b"xmlns:") {
            return;
        }
        let end = self.key.len();
        if name == b"Name" && is_pair {
            value.write_json(&mut self.key);
            if self.key.len() > end {
                self.key.drain(frame.own..end);
                frame.named = &self.key[frame.own..] != b"Data";
            }
            return;
        }
        let (text, place) = (self.text.len(), frame.place);
        let from = if end - frame.from <= PREFIX_BYTES_MAX {
            self.key.push(b'_');
            frame.from
        } else {
            end
        };
        Value::Text(local_name(name)).write_json(&mut self.key);
        value.write_json(&mut self.text);
        self.put(from, text, place, out);
        self.key.truncate(end);
        self.text.truncate(text);
    }

    pub(super) fn text(&mut self, value: Value<'_>) {
        value.write_json(&mut self.text);
    }

    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        let Some(frame) = self.frames.pop() else { return };
        if !self.frames.is_empty() {
            frame.settle_name(&mut self.key);
        }
        // White space between the elements of an element is no value.
        if frame.children == 0 && !self.frames.is_empty() || !is_blank(&self.text[frame.text..]) {
            self.put(frame.from, frame.text, frame.place, out);
        }
        self.text.truncate(frame.text);
        self.key.truncate(frame.before);
    }

    /// Whether the open element is called so.
    pub(super) fn is_named(&self, name: &[u8]) -> bool {
        self.frames.last().is_some_and(|frame| &self.key[frame.own..] == name)
    }

    /// Text of the open element so far, escaped.
    pub(super) fn open_text(&self) -> &[u8] {
        self.frames.last().map_or(&[], |frame| &self.text[frame.text..])
    }

    /// Writes the pair of the key from `from` on and the text from `text` on, unless that is empty.
    fn put(&mut self, from: usize, text: usize, place: u32, out: &mut Vec<u8>) {
        let (name, value) = (&self.key[from..], &self.text[text..]);
        if value.is_empty() {
            return;
        }
        let before = out.len();
        self.comma(out);
        out.push(b'"');
        let start = out.len();
        out.extend_from_slice(name);
        let mut free = !is_reserved(name) && self.keys.take(out, self.base, start, out.len());
        if !free {
            out.push(b'_');
            Value::Unsigned(place.into()).write_text(out);
            free = self.keys.take(out, self.base, start, out.len());
        }
        if free {
            out.extend_from_slice(b"\":\"");
            out.extend_from_slice(value);
            out.push(b'"');
        } else {
            out.truncate(before);
            self.other.extend_from_slice(b",\"");
            self.other.extend_from_slice(name);
            self.other.push(b'=');
            self.other.extend_from_slice(value);
            self.other.push(b'"');
        }
    }

    fn comma(&self, out: &mut Vec<u8>) {
        if out.len() > self.base {
            out.push(b',');
        }
    }
}

impl Frame {
    /// An unnamed `Data` is called after its place.
    fn settle_name(&self, key: &mut Vec<u8>) {
        if !self.named && &key[self.own..] == b"Data" {
            key.truncate(self.own);
            param(self.place, key);
        }
    }
}

fn param(place: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(b"param");
    Value::Unsigned(place.into()).write_text(out);
}

/// Names that the objects have for themselves.
fn is_reserved(name: &[u8]) -> bool {
    matches!(name, b"other" | b"xml_name")
}

/// White space, in text escaped for JSON.
fn is_blank(mut text: &[u8]) -> bool {
    loop {
        text = match text {
            [] => return true,
            [b' ', rest @ ..] | [b'\\', b'n' | b't' | b'r', rest @ ..] => rest,
            _ => return false,
        };
    }
}
