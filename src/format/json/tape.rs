//! A subtree written down while it is visited, so that repeated names can become arrays.
//!
//! Holds escaped JSON text in one buffer and one flat list of nodes in document order; both are
//! reused. Rules for an element: a leaf without attributes is a string; else an object of
//! `@attribute` members, `#text` (all its text joined; white space between elements left out) and
//! its children by name, where a repeated name becomes an array in place of its first.

use super::comma;
use crate::event::Value;
use crate::event::xml::DEPTH_MAX;
use std::ops::Range;

/// Most nodes (elements, attributes, texts) of one subtree.
pub(super) const NODES_MAX: usize = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Tape {
    nodes: Vec<Node>,
    /// Names and values, escaped.
    text: Vec<u8>,
    /// Open elements, by index.
    open: Vec<u32>,
    /// Child indices being grouped.
    order: Vec<u32>,
    /// What it cannot hold, once that came.
    pub(super) refused: Option<&'static str>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    kind: Kind,
    /// Shares its name with a sibling before it.
    follower: bool,
    name: (u32, u32),
    value: (u32, u32),
    /// Behind the last node of an element's subtree.
    after: u32,
    /// Next sibling with the same name, 0 for none.
    twin: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Element,
    Attribute,
    Text,
}

impl Tape {
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.text.clear();
        self.open.clear();
        self.refused = None;
    }

    /// Begins a new subtree.
    pub(super) fn clear_for(&mut self, root: &[u8]) {
        if self.refused.is_none() {
            self.clear();
        }
        self.open.clear();
        self.start(root);
    }

    pub(super) fn start(&mut self, name: &[u8]) {
        if self.open.len() >= DEPTH_MAX {
            self.refused = Some("elements are nested more than 64 deep");
        }
        let name = self.note(Value::Text(name));
        self.open.push(self.nodes.len() as u32);
        self.push(Kind::Element, name, (0, 0));
    }

    pub(super) fn attribute(&mut self, name: &[u8], value: Value<'_>) {
        let name = self.note(Value::Text(name));
        let value = self.note(value);
        self.push(Kind::Attribute, name, value);
    }

    pub(super) fn text(&mut self, value: Value<'_>) {
        let value = self.note(value);
        self.push(Kind::Text, (0, 0), value);
    }

    /// Ends the innermost element; true when that was the root.
    pub(super) fn end(&mut self) -> bool {
        if let Some(index) = self.open.pop() {
            let after = self.nodes.len() as u32;
            if let Some(node) = self.nodes.get_mut(index as usize) {
                node.after = after;
            }
        }
        self.open.is_empty()
    }

    fn note(&mut self, value: Value<'_>) -> (u32, u32) {
        let start = self.text.len();
        if self.refused.is_none() {
            value.write_json(&mut self.text);
        }
        if self.text.len() > u32::MAX as usize {
            self.refused = Some("the event is larger than 4 GiB");
        }
        (start as u32, self.text.len() as u32)
    }

    fn push(&mut self, kind: Kind, name: (u32, u32), value: (u32, u32)) {
        if self.nodes.len() >= NODES_MAX {
            self.refused = Some("an element holds more than 1048576 others");
        }
        if self.refused.is_none() {
            let after = self.nodes.len() as u32 + 1;
            self.nodes.push(Node { kind, follower: false, name, value, after, twin: 0 });
        }
    }

    fn slice(&self, (start, end): (u32, u32)) -> &[u8] {
        &self.text[start as usize..end as usize]
    }

    /// Name of the element at `index`; the root stands at 0.
    pub(super) fn name(&self, index: usize) -> &[u8] {
        self.slice(self.nodes[index].name)
    }

    /// Direct children of an element, attributes and texts included, by index.
    fn children(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        let end = self.nodes[index].after as usize;
        let mut next = index + 1;
        std::iter::from_fn(move || {
            let child = next;
            next = self.nodes.get(child)?.after as usize;
            (child < end).then_some(child)
        })
    }

    fn children_of(&self, index: usize, kind: Kind) -> impl Iterator<Item = usize> + '_ {
        self.children(index).filter(move |&child| self.nodes[child].kind == kind)
    }

    pub(super) fn elements(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        self.children_of(index, Kind::Element)
    }

    /// Names and values of the attributes, escaped.
    pub(super) fn attributes(&self, index: usize) -> impl Iterator<Item = (&[u8], &[u8])> + '_ {
        self.children_of(index, Kind::Attribute).map(|child| {
            let node = &self.nodes[child];
            (self.slice(node.name), self.slice(node.value))
        })
    }

    /// The pieces of the element's own text, escaped.
    pub(super) fn texts(&self, index: usize) -> impl Iterator<Item = &[u8]> + '_ {
        self.children_of(index, Kind::Text).map(|child| self.slice(self.nodes[child].value))
    }

    pub(super) fn has_elements(&self, index: usize) -> bool {
        self.elements(index).next().is_some()
    }

    /// Whether its text says anything: white space beside child elements does not.
    pub(super) fn has_text(&self, index: usize) -> bool {
        if self.has_elements(index) {
            self.texts(index).any(|text| !is_blank(text))
        } else {
            self.texts(index).any(|text| !text.is_empty())
        }
    }

    /// Value of an element by the general rules.
    pub(super) fn write_value(&mut self, index: usize, out: &mut Vec<u8>) {
        if !self.has_elements(index) && self.attributes(index).next().is_none() {
            self.write_text(index, out);
            return;
        }
        out.push(b'{');
        for (name, value) in self.attributes(index) {
            comma(out);
            out.extend_from_slice(b"\"@");
            out.extend_from_slice(name);
            member(value, out);
        }
        self.write_text_member(index, out);
        self.write_elements(index, out, Self::write_value);
        out.push(b'}');
    }

    /// Content of an element as if it had no attributes.
    pub(super) fn write_content(&mut self, index: usize, out: &mut Vec<u8>) {
        if !self.has_elements(index) {
            self.write_text(index, out);
            return;
        }
        out.push(b'{');
        self.write_text_member(index, out);
        self.write_elements(index, out, Self::write_value);
        out.push(b'}');
    }

    /// All text of the element as one string.
    pub(super) fn write_text(&self, index: usize, out: &mut Vec<u8>) {
        out.push(b'"');
        self.texts(index).for_each(|text| out.extend_from_slice(text));
        out.push(b'"');
    }

    /// `"#text"`, if there is any.
    pub(super) fn write_text_member(&self, index: usize, out: &mut Vec<u8>) {
        if self.has_text(index) {
            comma(out);
            out.extend_from_slice(b"\"#text\":");
            self.write_text(index, out);
        }
    }

    /// Child elements as members, each value by `write`. Recursion ends at `DEPTH_MAX`.
    pub(super) fn write_elements(
        &mut self,
        index: usize,
        out: &mut Vec<u8>,
        write: fn(&mut Self, usize, &mut Vec<u8>),
    ) {
        self.group(index);
        let Range { start: mut child, end } = index + 1..self.nodes[index].after as usize;
        while child < end {
            let Node { kind, follower, name, after, twin, .. } = self.nodes[child];
            if kind == Kind::Element && !follower {
                comma(out);
                out.push(b'"');
                out.extend_from_slice(self.slice(name));
                out.extend_from_slice(b"\":");
                if twin == 0 {
                    write(self, child, out);
                } else {
                    self.write_twins(child, out, write);
                }
            }
            child = after as usize;
        }
    }

    fn write_twins(&mut self, first: usize, out: &mut Vec<u8>, write: fn(&mut Self, usize, &mut Vec<u8>)) {
        out.push(b'[');
        let mut twin = first;
        loop {
            comma(out);
            write(self, twin, out);
            twin = self.nodes[twin].twin as usize;
            if twin == 0 {
                break;
            }
        }
        out.push(b']');
    }

    /// Links child elements that share a name.
    fn group(&mut self, index: usize) {
        let mut seen = 0_u64;
        let mut repeated = false;
        for child in self.elements(index) {
            let name = self.name(child);
            let ends =
                name.first().zip(name.last()).map_or(0, |(a, b)| usize::from(*a) * 5 + usize::from(*b));
            let bit = 1_u64 << ((name.len() * 11 + ends) % 64);
            repeated |= seen & bit != 0;
            seen |= bit;
        }
        if !repeated {
            return;
        }
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        order.extend(self.elements(index).map(|child| child as u32));
        order.sort_unstable_by(|&a, &b| {
            self.name(a as usize).cmp(self.name(b as usize)).then_with(|| a.cmp(&b))
        });
        for pair in order.windows(2) {
            let (one, next) = (pair[0] as usize, pair[1] as usize);
            if self.name(one) == self.name(next) {
                self.nodes[one].twin = pair[1];
                self.nodes[next].follower = true;
            }
        }
        self.order = order;
    }
}

/// `":"value"` after the start of a name.
pub(super) fn member(value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"\":\"");
    out.extend_from_slice(value);
    out.push(b'"');
}

/// Whether escaped text is white space only.
pub(super) fn is_blank(escaped: &[u8]) -> bool {
    let mut rest = escaped;
    loop {
        rest = match rest {
            [] => return true,
            [b' ', rest @ ..] | [b'\\', b'n' | b't' | b'r', rest @ ..] => rest,
            _ => return false,
        };
    }
}
