//! The parts of an event that an expression looks at, flat and in document order.
//!
//! ```text
//! <Data Name='x'>y</Data>  =  Element(end = 3) · Attribute · Text
//! ```
//!
//! A node's children are the nodes up to its end; nothing points backwards and nothing is copied.
//! The vectors are reused from event to event: `recycle` empties them and changes only the lifetime
//! they are for.

use crate::event::{Value, Visitor, local_name};

/// Most nodes of one event that are kept; about 70 000 data items.
pub const TAPE_NODES_MAX: usize = 1 << 18;

/// A tape that grew past this for one event is given back to the allocator after it.
const TAPE_NODES_KEPT: usize = 1 << 14;

#[derive(Clone, Copy, Debug)]
pub(super) struct TapeNode<'a> {
    pub(super) kind: NodeKind,
    /// Local name; empty for text.
    pub(super) name: &'a [u8],
    pub(super) value: Value<'a>,
    /// Index behind the last node of the subtree.
    pub(super) end: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NodeKind {
    Element,
    Attribute,
    Text,
}

#[derive(Debug, Default)]
pub(super) struct Tape<'a> {
    pub(super) nodes: Vec<TapeNode<'a>>,
    /// Elements that have not ended.
    open: Vec<u32>,
    /// More nodes came than are kept.
    pub(super) full: bool,
}

impl<'a> Tape<'a> {
    /// The same tape, empty, for an event of another lifetime. Collecting an emptied vector into
    /// one of the same layout keeps its allocation.
    pub(super) fn recycle<'b>(mut self) -> Tape<'b> {
        self.open.clear();
        if self.nodes.capacity() > TAPE_NODES_KEPT {
            self.nodes = Vec::new();
        }
        self.nodes.clear();
        let nodes = self.nodes.into_iter().map(|_| -> TapeNode<'b> { unreachable!("it was cleared") });
        Tape { nodes: nodes.collect(), open: self.open, full: false }
    }

    pub(super) fn len(&self) -> u32 {
        self.nodes.len() as u32
    }

    fn push(&mut self, kind: NodeKind, name: &'a [u8], value: Value<'a>) {
        if self.nodes.len() >= TAPE_NODES_MAX {
            self.full = true;
            return;
        }
        let end = self.len() + 1;
        self.nodes.push(TapeNode { kind, name, value, end });
    }
}

impl<'a> Visitor<'a> for Tape<'a> {
    fn start(&mut self, name: &'a [u8]) {
        self.open.push(self.len());
        self.push(NodeKind::Element, local_name(name), Value::Absent);
    }

    fn attribute(&mut self, name: &'a [u8], value: Value<'a>) {
        // Namespace declarations are no attributes (XPath 1.0, 5.3).
        if name != b"xmlns" && !name.starts_with(b"xmlns:") {
            self.push(NodeKind::Attribute, local_name(name), value);
        }
    }

    fn text(&mut self, value: Value<'a>) {
        if !value.is_absent() {
            self.push(NodeKind::Text, b"", value);
        }
    }

    fn end(&mut self) {
        let end = self.len();
        if let Some(node) = self.open.pop().and_then(|index| self.nodes.get_mut(index as usize)) {
            node.end = end;
        }
    }
}
