//! A compiled template, and where the System fields come from.

use super::system::Field;
use super::values::{Slot, kind};
use crate::event::Template;
use crate::event::template::Part;
use std::ops::Range;

/// A template, compiled. `guid`, `body` and `names` tell whether another chunk's is the same.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) guid: [u8; 16],
    pub(super) body: Box<[u8]>,
    pub(super) names: Box<[NameRef]>,
    pub(super) template: Template,
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

/// Where the parts of an event stand among the operations of its template.
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
    /// Bytes this program holds.
    pub(super) fn weight(&self) -> usize {
        self.body.len() + size_of_val(&*self.names) + self.template.weight()
    }
}

/// A template and the values of one of its instances.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'s, 'a> {
    pub(super) template: &'a Template,
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
