//! Deliveries that are shaped once for all outputs of the same filter and format.
//!
//! The output that comes first to a delivery shapes it; those that come to it later copy. What is kept for them is
//! bounded by memory of its own: an output that stays far behind shapes for itself, and holds back nobody.
//! A second output that asks while the first is at it waits for it, on its thread: that is a millisecond at most
//! where the thread is one of the runtime's, as long as the encoding of one delivery there.
//! Must not know: what is shaped, and what outputs make of it.

use super::shape::Shaped;
use crate::basin::{Budget, Permit, Position};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// What the outputs of one shape share.
pub(super) struct Shelf {
    room: Budget,
    inside: Mutex<Inside>,
}

struct Inside {
    /// How far each output has come.
    passed: Vec<Position>,
    /// Ascending by position.
    slots: VecDeque<Slot>,
}

struct Slot {
    position: Position,
    /// Outputs that have not come here yet.
    left: usize,
    shaped: Arc<OnceLock<Arc<Shaped>>>,
    /// There as soon as it is shaped.
    room: Option<Permit>,
}

/// An output's place at the shelf.
pub(super) struct Place {
    shelf: Arc<Shelf>,
    number: usize,
}

impl Shelf {
    /// The places of so many outputs.
    pub(super) fn places(outputs: usize, room: Budget) -> Vec<Place> {
        let inside = Inside { passed: vec![Position::default(); outputs], slots: VecDeque::new() };
        let shelf = Arc::new(Self { room, inside: Mutex::new(inside) });
        (0..outputs).map(|number| Place { shelf: Arc::clone(&shelf), number }).collect()
    }

    fn inside(&self) -> std::sync::MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what was shaped for as long as it is kept; what is oldest makes room for it.
    fn keep(&self, position: Position, weight: usize) {
        let mut inside = self.inside();
        // All others may have been here meanwhile.
        while let Ok(at) = inside.find(position) {
            if weight as u64 > self.room.max().0 {
                inside.slots.remove(at);
            } else if let Some(room) = self.room.try_reserve(weight) {
                inside.slots[at].room = Some(room);
                return;
            } else {
                inside.slots.pop_front();
            }
        }
    }
}

impl Inside {
    fn find(&self, position: Position) -> Result<usize, usize> {
        // Whoever is first goes on behind all others.
        match self.slots.back() {
            Some(last) if last.position >= position => {
                self.slots.binary_search_by_key(&position, |slot| slot.position)
            }
            _ => Err(self.slots.len()),
        }
    }
}

impl Place {
    /// What came of the delivery that ends at this position. `None` where nobody else is still to come to
    /// it, and nobody was here: then there is nothing to share.
    pub(super) fn take(&self, position: Position, shape: impl FnOnce() -> Shaped) -> Option<Arc<Shaped>> {
        let slot = {
            let mut inside = self.shelf.inside();
            inside.passed[self.number] = position;
            match inside.find(position) {
                Ok(at) => {
                    let slot = &mut inside.slots[at];
                    slot.left -= 1;
                    let shaped = Arc::clone(&slot.shaped);
                    if slot.left == 0 {
                        inside.slots.remove(at);
                    }
                    shaped
                }
                Err(at) => {
                    let left = inside.passed.iter().filter(|passed| **passed < position).count();
                    if left == 0 {
                        return None;
                    }
                    let shaped = Arc::default();
                    let slot = Slot { position, left, shaped: Arc::clone(&shaped), room: None };
                    inside.slots.insert(at, slot);
                    shaped
                }
            }
        };
        let mut made = None;
        let shaped = Arc::clone(slot.get_or_init(|| {
            let shaped = shape();
            made = Some(shaped.weight());
            Arc::new(shaped)
        }));
        if let Some(weight) = made {
            self.shelf.keep(position, weight);
        }
        Some(shaped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::ByteSize;
    use std::cell::Cell;

    /// So many outputs with room for so many KiB, and how often something was shaped.
    fn shelf(outputs: usize, kib: u64) -> (Vec<Place>, impl Fn(&Place, u64) -> Option<bool>) {
        let places = Shelf::places(outputs, Budget::new(ByteSize::kib(kib)));
        let take = |place: &Place, sequence: u64| {
            let shaped = Cell::new(false);
            let position = Position { epoch: 1, sequence };
            let found = place.take(position, || {
                shaped.set(true);
                Shaped::default()
            });
            found.map(|_| shaped.get())
        };
        (places, take)
    }

    fn kept(places: &[Place]) -> (usize, u64) {
        let shelf = &places[0].shelf;
        (shelf.inside().slots.len(), shelf.room.used())
    }

    #[test]
    fn who_comes_first_shapes_and_who_comes_last_leaves_nothing_behind() {
        let (places, take) = shelf(3, 64);
        assert_eq!(take(&places[1], 1), Some(true));
        assert_eq!(take(&places[1], 2), Some(true));
        assert_eq!(take(&places[0], 1), Some(false));
        assert_eq!(kept(&places), (2, 2048));
        assert_eq!(take(&places[2], 1), Some(false));
        assert_eq!(take(&places[2], 2), Some(false));
        assert_eq!(take(&places[2], 3), Some(true));
        assert_eq!(take(&places[0], 2), Some(false));
        assert_eq!(kept(&places), (1, 1024));
    }

    #[test]
    fn nothing_is_kept_for_those_that_have_passed() {
        let (places, take) = shelf(2, 64);
        assert_eq!(take(&places[0], 7), Some(true));
        assert_eq!(take(&places[1], 7), Some(false));
        assert_eq!(take(&places[0], 9), Some(true));
        // It had not been there before: a delivery that the other one read past.
        assert_eq!((take(&places[1], 8), kept(&places).0), (None, 1));
        assert_eq!((take(&places[1], 9), kept(&places)), (Some(false), (0, 0)));
    }

    #[test]
    fn one_that_stays_behind_shapes_for_itself_and_the_others_go_on_sharing() {
        let (places, take) = shelf(3, 4);
        for sequence in 1..=20 {
            assert_eq!(take(&places[0], sequence), Some(true));
            assert_eq!(take(&places[1], sequence), Some(false));
            assert!(kept(&places).1 <= 4096);
        }
        assert_eq!(kept(&places).0, 4, "as much as there is room for, the newest");
        assert_eq!((take(&places[2], 1), take(&places[2], 16)), (None, None));
        assert_eq!((take(&places[2], 17), take(&places[2], 20)), (Some(false), Some(false)));
    }

    #[test]
    fn what_is_larger_than_the_room_is_not_kept() {
        let places = Shelf::places(2, Budget::new(ByteSize::kib(1)));
        let large = || {
            let mut shaped = Shaped::default();
            super::super::shape::Page::bytes(&mut shaped).resize(4096, b'x');
            shaped
        };
        let position = Position { epoch: 1, sequence: 1 };
        for place in &places {
            place.take(position, large);
            assert_eq!(kept(&places), (0, 0));
        }
    }

    #[test]
    fn two_at_a_time_shape_once() {
        let places = Shelf::places(2, Budget::new(ByteSize::mib(1)));
        let made = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for place in &places {
                scope.spawn(|| {
                    for sequence in 1..=2000 {
                        place.take(Position { epoch: 1, sequence }, || {
                            made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                            Shaped::default()
                        });
                    }
                });
            }
        });
        assert_eq!((made.into_inner(), kept(&places)), (2000, (0, 0)));
    }
}
