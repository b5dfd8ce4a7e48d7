//! A compiled template: flat operations for a visitor, and where the System fields come from.

use super::system::Field;
use super::values::{Slot, kind};
use crate::event::Value;
use std::ops::Range;

/// One step. Indices are into `Program::ops`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// `end` is the index behind the element's `End`. Distinct: it holds nothing but `Data` of
    /// different names.
    Start {
        name: Constant,
        end: u32,
        distinct: bool,
    },
    Attribute {
        name: Constant,
        part: Part,
    },
    /// An attribute of several parts, which are joined: `parts[first..first + count]`.
    Joined {
        name: Constant,
        first: u32,
        count: u32,
    },
    Text(Part),
    End,
    /// Leaves out the next element, `skip` operations, when the slot's value is NULL.
    Guard {
        slot: u16,
        skip: u32,
    },
    /// `<Data Name='name'>part</Data>`
    Data {
        name: Constant,
        part: Option<Part>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Constant(Constant),
    /// Optional: an attribute is left out when the value is empty.
    Slot {
        slot: u16,
        optional: bool,
    },
}

/// A piece of `Program::text`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Constant {
    pub(super) start: u32,
    pub(super) bytes: u32,
    pub(super) kind: ConstantKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConstantKind {
    Plain,
    Text,
    Utf16,
}

/// A template, compiled. `guid`, `body` and `names` tell whether another chunk's is the same.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) guid: [u8; 16],
    pub(super) body: Box<[u8]>,
    pub(super) names: Box<[NameRef]>,
    pub(super) ops: Box<[Op]>,
    pub(super) parts: Box<[Part]>,
    pub(super) text: Box<[u8]>,
    /// Set when this is a whole event.
    pub(super) event: Option<EventPlan>,
}

/// A reference to a name in a template's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NameRef {
    /// Of the u32 offset, in the body.
    pub(super) at: u32,
    /// Bytes behind it that hold the name itself, when it was used here first.
    pub(super) inline: u32,
    pub(super) id: u32,
}

/// Where the parts of an event stand among the operations of its program.
#[derive(Debug)]
pub(super) struct EventPlan {
    pub(super) system: Range<usize>,
    /// Children of Event before and behind System.
    pub(super) body: [Range<usize>; 2],
    pub(super) header: Option<HeaderPlan>,
    /// Event has an attribute that is not the usual one.
    pub(super) odd: bool,
}

/// Fills a `Header` without looking at names.
#[derive(Debug, Default)]
pub(super) struct HeaderPlan {
    pub(super) fields: Vec<Planned>,
    /// Bits of `Seen`, each with the slot that, being NULL, leaves the element out.
    pub(super) seen: u32,
    pub(super) guarded: Vec<(u16, u32)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    pub(super) field: Field,
    pub(super) part: Option<Part>,
    pub(super) guard: Option<u16>,
}

impl Program {
    pub(super) fn name(&self, name: Constant) -> &[u8] {
        &self.text[name.start as usize..(name.start + name.bytes) as usize]
    }

    pub(super) fn constant(&self, constant: Constant) -> Value<'_> {
        let bytes = self.name(constant);
        match constant.kind {
            ConstantKind::Plain => Value::Plain(bytes),
            ConstantKind::Text => Value::Text(bytes),
            ConstantKind::Utf16 => Value::Utf16(bytes),
        }
    }

    /// Bytes this program holds.
    pub(super) fn weight(&self) -> usize {
        self.body.len()
            + self.text.len()
            + size_of_val(&*self.ops)
            + size_of_val(&*self.names)
            + size_of_val(&*self.parts)
    }
}

/// A program and the values of one of its instances.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'s, 'a> {
    pub(super) program: &'a Program,
    pub(super) slots: &'s [Slot],
    /// Some slot is an array: elements may have to be repeated.
    pub(super) arrays: bool,
}

impl Frame<'_, '_> {
    /// A slot that the instance does not have is NULL.
    pub(super) fn slot(&self, slot: u16) -> Slot {
        self.slots.get(usize::from(slot)).copied().unwrap_or_default()
    }

    pub(super) fn left_out(&self, guard: u16) -> bool {
        self.slots.get(usize::from(guard)).is_some_and(|slot| slot.kind == kind::NULL)
    }
}
