//! Names of `<Data Name='…'>`. They stand in full in every record without a template; here each is
//! kept once, so that what is known is compared instead of decoded and escaped, and a name that
//! comes twice in a list is noticed.

use super::arena::Arena;
use super::layout::DataTag;
use super::values::Slot;
use crate::event::utf16::until_nul;
use std::cell::Cell;

/// Most labels held; the table is emptied between two records when there are a third fewer.
const LABELS_MAX: usize = 1536;
/// A power of two.
const PLACES: usize = 2048;
/// Longest label in bytes of UTF-16.
const LABEL_BYTES_MAX: usize = 128;
/// Places that a label may be at: labels that hash alike cost no more.
const PROBES: usize = 8;

#[derive(Debug)]
pub(super) struct Labels {
    held: Arena<Label>,
    /// Open addressing over the hash of a label; 0 is free, else its place in `held` + 1.
    places: Box<[Cell<u16>; PLACES]>,
    /// For how many more there is room.
    room: Cell<usize>,
    list: Cell<u64>,
}

#[derive(Debug)]
struct Label {
    units: Box<[u8]>,
    text: Box<[u8]>,
    /// The last list it was taken in.
    list: Cell<u64>,
}

/// Data in order: the label of each, and where its value stands.
#[derive(Debug, Default)]
pub(super) struct DataList {
    /// How each of them starts in this chunk.
    pub(super) tag: DataTag,
    pub(super) labels: Vec<u32>,
    pub(super) values: Vec<Slot>,
}

impl DataList {
    /// Offsets mean something else from here on.
    pub(super) fn next_chunk(&mut self) {
        self.tag = DataTag::default();
    }

    pub(super) fn clear(&mut self) {
        self.labels.clear();
        self.values.clear();
    }

    #[inline]
    pub(super) fn push(&mut self, label: u32, value: Slot) {
        self.labels.push(label);
        self.values.push(value);
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self {
            held: Arena::default(),
            places: Box::new([const { Cell::new(0) }; PLACES]),
            room: Cell::new(LABELS_MAX),
            list: Cell::new(0),
        }
    }
}

impl Labels {
    /// Whether it is time for `clear`.
    #[inline]
    pub(super) fn crowded(&self) -> bool {
        self.room.get() < LABELS_MAX / 3
    }

    pub(super) fn clear(&mut self) {
        self.held.clear();
        self.places.fill(Cell::new(0));
        self.room.set(LABELS_MAX);
    }

    /// From here on nothing is held any more that was not held before.
    #[cfg(test)]
    pub(super) fn refuse(&self) {
        self.room.set(0);
    }

    /// All labels are free again.
    pub(super) fn next_list(&self) {
        self.list.set(self.list.get() + 1);
    }

    /// The label that this string is, free to be used once per list. None: it is taken, or none
    /// that is held here.
    pub(super) fn take(&self, units: &[u8]) -> Option<u32> {
        let start = hash(units);
        for probe in 0..PROBES {
            let place = &self.places[(start + probe) % PLACES];
            let Some(label) = place.get().checked_sub(1) else { return self.keep(place, units) };
            let held = self.held.get(label.into())?;
            if same(&held.units, units) {
                return self.taken(label.into());
            }
        }
        None
    }

    #[inline]
    fn taken(&self, label: u32) -> Option<u32> {
        let list = self.list.get();
        (self.held.get(label as usize)?.list.replace(list) != list).then_some(label)
    }

    /// The text of a label, in which nothing needs escaping.
    #[inline]
    pub(super) fn text(&self, label: u32) -> &[u8] {
        self.held.get(label as usize).map_or(&[], |label| &label.text)
    }

    /// The same as it stands in records.
    pub(super) fn units(&self, label: u32) -> &[u8] {
        self.held.get(label as usize).map_or(&[], |label| &label.units)
    }

    #[cold]
    fn keep(&self, place: &Cell<u16>, units: &[u8]) -> Option<u32> {
        let text = until_nul(units);
        if text.len() < units.len() {
            return self.take(text);
        }
        let room = self.room.get().checked_sub(1)?;
        if units.is_empty() || units.len() > LABEL_BYTES_MAX {
            return None;
        }
        let plain = |byte: u8| (0x20..0x7f).contains(&byte) && !b"&<>\"'\\".contains(&byte);
        let ascii = |&[low, high]: &[u8; 2]| (high == 0 && plain(low)).then_some(low);
        let text: Option<Box<[u8]>> = units.as_chunks().0.iter().map(ascii).collect();
        let label = self.held.push(Label { units: units.into(), text: text?, list: Cell::new(0) })? as u16;
        place.set(label + 1);
        self.room.set(room);
        self.taken(label.into())
    }
}

/// Compares without a call: labels are short.
#[inline]
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let (Some(last), Some(other_last)) = (one.last_chunk::<16>(), other.last_chunk()) else {
        return one == other;
    };
    let equal = |one: &[u8; 16], other: &[u8; 16]| u128::from_le_bytes(*one) == u128::from_le_bytes(*other);
    let (one, other) = (one.as_chunks().0, other.as_chunks().0);
    equal(last, other_last) && one.iter().zip(other).all(|(one, other)| equal(one, other))
}

/// Where a label goes.
#[inline]
fn hash(units: &[u8]) -> usize {
    look(units) as usize % PLACES
}

/// Of length and both ends; what shares all three is compared.
#[inline]
pub(super) fn look(units: &[u8]) -> u64 {
    let (head, tail) = match (units.first_chunk::<8>(), units.last_chunk::<8>()) {
        (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
        _ => (units.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)), 0),
    };
    let mixed =
        (head ^ tail.rotate_left(23) ^ (units.len() as u64) << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn a_label_is_taken_once_in_a_list_and_keeps_its_place() {
        let labels = Labels::default();
        labels.next_list();
        let one = labels.take(&units("SubjectUserSid")).unwrap();
        let other = labels.take(&units("SubjectUserName")).unwrap();
        assert_ne!(one, other);
        assert_eq!(labels.text(one), b"SubjectUserSid");
        assert_eq!(labels.take(&units("SubjectUserSid")), None);
        labels.next_list();
        assert_eq!(labels.take(&units("SubjectUserSid")), Some(one));
        assert_eq!(labels.text(other), b"SubjectUserName");
    }

    #[test]
    fn a_label_ends_at_its_first_nul() {
        let labels = Labels::default();
        labels.next_list();
        let label = labels.take(&units("Name\0rest")).unwrap();
        assert_eq!(labels.text(label), b"Name");
        assert_eq!(labels.take(&units("Name")), None);
        labels.next_list();
        assert_eq!(labels.take(&units("Name")), Some(label));
        assert_eq!(labels.take(&units("Name\0")), None);
        assert_eq!(labels.take(&units("\0Name")), None);
    }

    #[test]
    fn only_names_that_need_no_escaping_are_held() {
        let labels = Labels::default();
        labels.next_list();
        for name in ["", "a\"b", "a'b", "a<b", "a&b", "a\\b", "Größe", "a\n", "\u{141}", &"x".repeat(65)] {
            assert_eq!(labels.take(&units(name)), None, "{name}");
        }
        for name in ["a", "ab c", "#x", "Data", &"x".repeat(64)] {
            let label = labels.take(&units(name)).unwrap();
            assert_eq!(labels.text(label), name.as_bytes());
        }
    }

    #[test]
    fn more_labels_than_any_log_has_are_refused_until_cleared() {
        let mut labels = Labels::default();
        labels.next_list();
        let taken = (0..3 * LABELS_MAX).filter(|number| labels.take(&units(&format!("n{number}"))).is_some());
        assert!((LABELS_MAX / 3 * 2..=LABELS_MAX).contains(&taken.count()));
        assert!(labels.crowded());
        labels.clear();
        labels.next_list();
        assert!(!labels.crowded());
        assert!(labels.take(&units("one more")).is_some());
    }
}
