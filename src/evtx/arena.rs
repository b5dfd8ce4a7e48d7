//! Owned pieces that are added while others are borrowed: names, programs and joined values live
//! here until the decoder, alone again between two records, empties it.

use std::cell::{Cell, OnceCell};

/// Items stand in segments of one size, so they never move.
#[derive(Debug)]
pub(super) struct Arena<T> {
    segments: [OnceCell<Box<[OnceCell<T>]>>; SEGMENTS],
    used: Cell<usize>,
}

/// 16 384 items: as many as the largest limit of ours.
const SEGMENTS: usize = 64;
const SEGMENT_ITEMS: usize = 256;

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self { segments: std::array::from_fn(|_| OnceCell::new()), used: Cell::new(0) }
    }
}

impl<T> Arena<T> {
    pub(super) fn len(&self) -> usize {
        self.used.get()
    }

    /// Adds an item; None when the arena is full.
    pub(super) fn push(&self, item: T) -> Option<usize> {
        let index = self.used.get();
        let (segment, place) = split(index);
        let cells = self.segments.get(segment)?;
        let cells = cells.get_or_init(|| (0..SEGMENT_ITEMS).map(|_| OnceCell::new()).collect());
        cells.get(place)?.set(item).ok()?;
        self.used.set(index + 1);
        Some(index)
    }

    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&T> {
        let (segment, place) = split(index);
        self.segments.get(segment)?.get()?.get(place)?.get()
    }

    /// Drops all items, keeps the segments.
    pub(super) fn clear(&mut self) {
        for index in 0..self.used.replace(0) {
            let (segment, place) = split(index);
            if let Some(cell) = self.segments[segment].get_mut().and_then(|cells| cells.get_mut(place)) {
                cell.take();
            }
        }
    }
}

#[inline]
fn split(index: usize) -> (usize, usize) {
    (index / SEGMENT_ITEMS, index % SEGMENT_ITEMS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stay_while_others_are_added() {
        let mut arena = Arena::default();
        let first = arena.push(String::from("0")).unwrap();
        let kept = arena.get(first).unwrap();
        for number in 1..5000 {
            assert_eq!(arena.push(number.to_string()), Some(number));
        }
        assert_eq!(kept, "0");
        assert!((0..5000).all(|number| arena.get(number).unwrap() == &number.to_string()));
        arena.clear();
        assert_eq!((arena.len(), arena.get(0)), (0, None));
        assert_eq!(arena.push(String::from("again")), Some(0));
    }

    #[test]
    fn a_full_arena_says_so() {
        let arena = Arena::default();
        let room = SEGMENTS * SEGMENT_ITEMS;
        assert!((0..room).all(|_| arena.push(()).is_some()));
        assert_eq!(arena.push(()), None);
    }
}
