//! Forms of records without templates: what many of them have in common, as templates of our own,
//! so that whatever is prepared for a template serves them too.
//!
//! A form of System is the elements and attributes it has; slot N is the field N. A form of
//! EventData is its labels in order; slot N is the value of the Nth. A list of labels becomes a
//! form when it comes for the second time.

use super::arena::Arena;
use super::labels::Labels;
use super::names::{KNOWN, known};
use super::program::{EventPlan, HeaderPlan, Planned};
use super::spelling::Spelling;
use super::system::{Field, MEANINGS};
use crate::event::Template;
use crate::event::header::Seen;
use crate::event::template::{Constant, ConstantKind, Op, Part};
use std::cell::Cell;

/// Forms are forgotten between two records when there are half as many as this.
const SYSTEMS_MAX: usize = 128;
const LISTS_MAX: usize = 1024;
/// Bytes of the templates of lists.
const LISTS_BYTES_MAX: usize = 2 << 20;
/// Longest list that becomes a form.
const LABELS_MAX: usize = 256;
/// Places a list may be at, of a power of two.
const PLACES: usize = 2048;
const PROBES: usize = 8;
/// Lists that came once.
const NOTES: usize = 256;
/// Events that are told apart when a list is guessed, a power of two.
const GUESSES: usize = 64;

#[derive(Debug)]
pub(super) struct Forms {
    systems: Arena<SystemForm>,
    /// Of the record before.
    system: Cell<usize>,
    lists: Arena<List>,
    /// Open addressing over the hash of the labels; 0 is free, else the place in `lists` + 1.
    places: Box<[Cell<u32>; PLACES]>,
    notes: Box<[Cell<u64>; NOTES]>,
    /// By the hash of an event's id: its last list, as in `places`.
    guesses: [Cell<u32>; GUESSES],
    bytes: Cell<usize>,
}

/// An event that is System alone.
#[derive(Debug)]
pub(super) struct SystemForm {
    shape: SystemShape,
    pub(super) template: Template,
    pub(super) plan: EventPlan,
}

/// What tells one form of System from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SystemShape {
    /// Bits of `Seen`.
    pub(super) elements: u32,
    /// A bit for each field that is an attribute and there.
    pub(super) attributes: u32,
}

/// An EventData.
#[derive(Debug)]
pub(super) struct List {
    labels: Box<[u32]>,
    pub(super) spelling: Spelling,
    pub(super) template: Template,
}

impl Default for Forms {
    fn default() -> Self {
        Self {
            systems: Arena::default(),
            system: Cell::new(0),
            lists: Arena::default(),
            places: Box::new([const { Cell::new(0) }; PLACES]),
            notes: Box::new([const { Cell::new(0) }; NOTES]),
            guesses: [const { Cell::new(0) }; GUESSES],
            bytes: Cell::new(0),
        }
    }
}

impl Forms {
    /// Whether it is time for `clear`.
    pub(super) fn crowded(&self) -> bool {
        self.systems.len() > SYSTEMS_MAX / 2
            || self.lists.len() > LISTS_MAX / 2
            || self.bytes.get() > LISTS_BYTES_MAX / 2
    }

    pub(super) fn clear(&mut self) {
        self.systems.clear();
        self.lists.clear();
        self.places.fill(Cell::new(0));
        self.notes.fill(Cell::new(0));
        self.guesses.fill(Cell::new(0));
        self.bytes.set(0);
    }

    /// The form of a System. None: there is no room for one more.
    #[inline]
    pub(super) fn system(&self, shape: SystemShape) -> Option<&SystemForm> {
        match self.systems.get(self.system.get()) {
            Some(form) if form.shape == shape => Some(form),
            _ => self.other_system(shape),
        }
    }

    #[inline(never)]
    fn other_system(&self, shape: SystemShape) -> Option<&SystemForm> {
        let is = |index: &usize| self.systems.get(*index).is_some_and(|form| form.shape == shape);
        let index = match (0..self.systems.len()).find(is) {
            Some(index) => index,
            None if self.systems.len() == SYSTEMS_MAX => return None,
            None => self.systems.push(SystemForm::new(shape))?,
        };
        self.system.set(index);
        self.systems.get(index)
    }

    /// The form that the EventData of an event with this id had the last time.
    #[inline]
    pub(super) fn guess(&self, event_id: u64) -> Option<&List> {
        self.lists.get(self.guesses[guess(event_id)].get().checked_sub(1)? as usize)
    }

    /// The form of an EventData with these labels, which are all different. None: they come for
    /// the first time, or there is no room.
    pub(super) fn list(&self, known: &Labels, labels: &[u32], event_id: u64) -> Option<&List> {
        let hash = labels.iter().fold(labels.len() as u64, |hash, &label| {
            (hash.rotate_left(5) ^ u64::from(label)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        for probe in 0..PROBES {
            let place = &self.places[(hash as usize >> 32).wrapping_add(probe) % PLACES];
            let Some(index) = place.get().checked_sub(1) else {
                return self.learn(known, labels, hash, place);
            };
            let list = self.lists.get(index as usize)?;
            if *list.labels == *labels {
                self.guesses[guess(event_id)].set(index + 1);
                return Some(list);
            }
        }
        None
    }

    #[cold]
    fn learn(&self, known: &Labels, labels: &[u32], hash: u64, place: &Cell<u32>) -> Option<&List> {
        if self.notes[hash as usize % NOTES].replace(hash) != hash {
            return None;
        }
        let room = self.lists.len() < LISTS_MAX && self.bytes.get() < LISTS_BYTES_MAX;
        if !room || labels.len() > LABELS_MAX {
            return None;
        }
        let template = template_of(known, labels);
        let spelling = Spelling::new(labels.iter().map(|&label| known.units(label)));
        self.bytes.set(self.bytes.get() + size_of_val(labels) + spelling.weight() + template.weight());
        let index = self.lists.push(List { labels: labels.into(), spelling, template })?;
        place.set(index as u32 + 1);
        self.lists.get(index)
    }
}

/// Where the last list of events with this id stands.
#[inline]
fn guess(event_id: u64) -> usize {
    (event_id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - GUESSES.ilog2())) as usize
}

/// `<EventData>` of one Data for each label.
fn template_of(known: &Labels, labels: &[u32]) -> Template {
    let mut draft = Draft::default();
    let end = labels.len() as u32 + 2;
    let name = draft.constant(KNOWN[known::EVENT_DATA as usize]);
    draft.ops.push(Op::Start { name, end, distinct: true });
    for (&label, slot) in labels.iter().zip(0..) {
        let name = draft.constant(known.text(label));
        draft.ops.push(Op::Data { name, part: Some(Part::Slot { slot, optional: false }) });
    }
    draft.ops.push(Op::End);
    draft.finish()
}

impl SystemForm {
    fn new(shape: SystemShape) -> Self {
        let mut draft = Draft::default();
        draft.start(KNOWN[known::EVENT as usize]);
        draft.start(KNOWN[known::SYSTEM as usize]);
        let mut fields = Vec::new();
        let mut fill = |field: Field| {
            let part = Part::Slot { slot: field as u16, optional: false };
            fields.push(Planned { field, part: Some(part), guard: None });
            part
        };
        for (name, meaning) in KNOWN.iter().zip(&MEANINGS) {
            let Some((element, text)) = meaning.element.filter(|(bit, _)| Seen(shape.elements).has(*bit))
            else {
                continue;
            };
            draft.start(name);
            for (name, meaning) in KNOWN.iter().zip(&MEANINGS) {
                if let Some((owner, field)) = meaning.attribute
                    && owner == element
                    && shape.attributes >> field as u32 & 1 == 1
                {
                    let (name, part) = (draft.constant(name), fill(field));
                    draft.ops.push(Op::Attribute { name, part });
                }
            }
            draft.ops.extend(text.map(|field| Op::Text(fill(field))));
            draft.end();
        }
        draft.end();
        draft.end();
        let behind = draft.ops.len() - 1;
        let header = HeaderPlan { fields, seen: shape.elements, guarded: Vec::new() };
        let plan =
            EventPlan { system: 1..behind, body: [1..1, behind..behind], header: Some(header), odd: false };
        Self { shape, template: draft.finish(), plan }
    }
}

/// A template while it is put together.
#[derive(Default)]
struct Draft {
    ops: Vec<Op>,
    text: Vec<u8>,
    open: Vec<usize>,
}

impl Draft {
    fn constant(&mut self, text: &[u8]) -> Constant {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(text);
        Constant { start, bytes: text.len() as u32, kind: ConstantKind::Plain }
    }

    fn start(&mut self, name: &[u8]) {
        let name = self.constant(name);
        self.open.push(self.ops.len());
        self.ops.push(Op::Start { name, end: 0, distinct: false });
    }

    fn end(&mut self) {
        self.ops.push(Op::End);
        let behind = self.ops.len() as u32;
        if let Some(Op::Start { end, .. }) = self.open.pop().and_then(|start| self.ops.get_mut(start)) {
            *end = behind;
        }
    }

    fn finish(self) -> Template {
        Template::new(self.ops, Vec::new(), self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::spelling::label;
    use super::*;

    #[test]
    fn a_list_becomes_a_form_when_it_comes_again() {
        let (labels, forms) = (Labels::default(), Forms::default());
        labels.next_list();
        let ids = ["a", "b"].map(|name| {
            let units: Vec<u8> = name.bytes().flat_map(|byte| [byte, 0]).collect();
            labels.take(&units).unwrap()
        });
        assert!(forms.list(&labels, &ids, 7).is_none());
        let list = forms.list(&labels, &ids, 7).unwrap();
        assert_eq!(list.template.text.as_ref(), b"EventDataab");
        assert_eq!(list.spelling.iter().map(label).collect::<Vec<_>>(), [b"a\0", b"b\0"]);
        assert!(forms.guess(7).is_none());
        assert!(std::ptr::eq(forms.list(&labels, &ids, 7).unwrap(), list));
        assert!(std::ptr::eq(forms.guess(7).unwrap(), list));
        assert!(forms.list(&labels, &ids[..1], 7).is_none());
    }

    #[test]
    fn forms_beyond_any_log_are_refused_until_cleared() {
        let (labels, mut forms) = (Labels::default(), Forms::default());
        for number in 0..2 * LISTS_MAX as u32 {
            for _ in 0..2 {
                forms.list(&labels, &[number], 0);
            }
        }
        assert!(forms.lists.len() <= LISTS_MAX);
        for elements in 0..2 * SYSTEMS_MAX as u32 {
            forms.system(SystemShape { elements, attributes: 0 });
        }
        assert_eq!(forms.systems.len(), SYSTEMS_MAX);
        assert!(forms.crowded());
        forms.clear();
        assert!(!forms.crowded());
    }
}
