//! What many events have in common, where their encoding says so: elements, constants, and
//! numbered slots for what differs. The values of one event fill it to an `Instance`.
//!
//! A reader can report an instance node by node, as anything else. A visitor that wants to can take
//! it whole instead (`Visitor::instance`), and keep with the template what it found out about it.

use super::{Pen, Value};
use std::any::Any;
use std::cell::OnceCell;

/// A template. Its root, operation 0, is a `Start` without a guard.
#[derive(Debug)]
pub struct Template {
    pub ops: Box<[Op]>,
    /// Of the `Joined` attributes.
    pub parts: Box<[Part]>,
    pub text: Box<[u8]>,
    prepared: OnceCell<Box<dyn Any + Send>>,
}

/// One step. Indices are into `Template::ops`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
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
pub enum Part {
    Constant(Constant),
    /// Optional: an attribute is left out when the value is empty.
    Slot {
        slot: u16,
        optional: bool,
    },
}

/// A piece of `Template::text`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Constant {
    pub start: u32,
    pub bytes: u32,
    pub kind: ConstantKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConstantKind {
    Plain,
    Text,
    Utf16,
}

impl Template {
    pub fn new(ops: Vec<Op>, parts: Vec<Part>, text: Vec<u8>) -> Self {
        Self { ops: ops.into(), parts: parts.into(), text: text.into(), prepared: OnceCell::new() }
    }

    pub fn name(&self, name: Constant) -> &[u8] {
        &self.text[name.start as usize..(name.start + name.bytes) as usize]
    }

    pub fn constant(&self, constant: Constant) -> Value<'_> {
        let bytes = self.name(constant);
        match constant.kind {
            ConstantKind::Plain => Value::Plain(bytes),
            ConstantKind::Text => Value::Text(bytes),
            ConstantKind::Utf16 => Value::Utf16(bytes),
        }
    }

    /// Index behind the operation, element or guarded element at `at`.
    pub fn behind(&self, at: usize) -> usize {
        match self.ops[at] {
            Op::Start { end, .. } => end as usize,
            Op::Guard { skip, .. } => at + 1 + skip as usize,
            _ => at + 1,
        }
    }

    /// What one kind of visitor keeps with this template: a function of the template alone, made
    /// when first asked for. None where another kind came first.
    pub fn prepared<T: Any + Send>(&self, prepare: impl FnOnce(&Self) -> T) -> Option<&T> {
        self.prepared.get_or_init(|| Box::new(prepare(self))).downcast_ref()
    }

    /// Bytes this template holds.
    pub fn weight(&self) -> usize {
        self.text.len() + size_of_val(&*self.ops) + size_of_val(&*self.parts)
    }
}

/// An element of a template with the values of one event. No value is a list.
pub trait Instance<'a>: Copy {
    fn template(&self) -> &'a Template;

    /// Index of the `Start` of the element.
    fn start(&self) -> usize;

    /// The value of a slot; Absent when it is NULL or empty.
    fn value(&self, slot: u16) -> Value<'a>;

    /// Whether the element that this slot guards is not there.
    fn is_left_out(&self, guard: u16) -> bool;

    fn is_absent(&self, slot: u16) -> bool {
        self.value(slot).is_absent()
    }

    /// Writes the value where it is an unsigned number by its type, or is seen to be one by its text,
    /// which has no leading zeros then.
    ///
    /// # Errors
    /// The pen, which has written nothing.
    fn write_number<'o>(&self, slot: u16, pen: Pen<'o>) -> Result<Pen<'o>, Pen<'o>>;

    /// Writes the text of a value for the inside of a JSON string. None: it holds elements.
    fn write_json<'o>(&self, slot: u16, pen: Pen<'o>) -> Option<Pen<'o>>;
}
