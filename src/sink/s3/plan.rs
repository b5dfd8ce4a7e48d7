//! Which events make the objects behind the cursor: the note that is stored with it.
//!
//! ```text
//! note = 1 u8, number u64, (events u64)*      little-endian
//! ```
//!
//! The first `events` items behind the cursor make the objects number `number`, the next ones those of the number after
//! it, and so on. Before anything is sent the end of what is sent is durable, so after a crash the same events make the
//! same objects, under the same keys: what was there is written over with itself.
//! Must not know: what an object is.

use crate::sink::NOTE_BYTES_MAX;
use bytes::Bytes;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Of the first objects behind the cursor.
    number: u64,
    /// How many events each time.
    ends: Vec<u64>,
    /// Those of `ends` that are at the far end.
    done: usize,
    /// Those of `ends` that are durable.
    durable: usize,
}

/// So many ends fit into a note; each crash within the same few batches adds one.
const ENDS_MAX: usize = (NOTE_BYTES_MAX - 9) / 8;
const VERSION: u8 = 1;

impl Plan {
    /// `None` when these bytes are no note of ours.
    pub(super) fn read(note: &[u8]) -> Option<Self> {
        let (&VERSION, rest) = note.split_first()? else { return None };
        let (number, mut rest) = rest.split_first_chunk()?;
        let mut ends = Vec::new();
        while !rest.is_empty() {
            let (end, tail) = rest.split_first_chunk()?;
            ends.push(Some(u64::from_le_bytes(*end)).filter(|end| *end > 0)?);
            rest = tail;
        }
        let durable = ends.len();
        Some(Self { number: u64::from_le_bytes(*number), ends, done: 0, durable })
    }

    pub(super) fn note(&self) -> Bytes {
        let mut note = vec![VERSION];
        note.extend_from_slice(&self.number.to_le_bytes());
        for end in self.ends.iter().take(ENDS_MAX) {
            note.extend_from_slice(&end.to_le_bytes());
        }
        note.into()
    }

    /// How many times ahead it is settled which events make objects.
    pub(super) fn ends(&self) -> usize {
        self.ends.len()
    }

    /// Of the objects that are being made.
    pub(super) fn number(&self) -> u64 {
        self.number + self.done as u64
    }

    /// How many events more they have than these, where that is settled.
    pub(super) fn left(&self, events: u64) -> Option<u64> {
        self.ends.get(self.done).map(|end| end.saturating_sub(events))
    }

    /// Whether they may be sent with so many events; if not, they may when the note is durable.
    pub(super) fn may_end(&mut self, events: u64) -> bool {
        if self.done < self.durable && self.ends[self.done] == events {
            return true;
        }
        self.ends.truncate(self.done);
        self.ends.push(events);
        self.durable = self.durable.min(self.done);
        false
    }

    /// The note is.
    pub(super) fn is_durable(&mut self) {
        self.durable = self.ends.len();
    }

    /// The objects are at the far end.
    pub(super) fn shipped(&mut self) {
        self.done += 1;
    }

    /// The cursor passes all that is at the far end.
    pub(super) fn passed(&mut self) {
        self.number += self.done as u64;
        self.ends.drain(..self.done);
        self.durable -= self.done;
        self.done = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_reads_as_written_and_nothing_else_does() {
        let mut plan = Plan::default();
        assert_eq!(Plan::read(&plan.note()), Some(Plan::default()));
        assert!(!plan.may_end(7));
        plan.is_durable();
        assert_eq!(Plan::read(&plan.note()), Some(plan.clone()));
        let note = plan.note();
        assert_eq!(Plan::read(&note[..note.len() - 1]), None);
        for other in [&b""[..], &[2; 17], &[1], &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(Plan::read(other), None, "{other:?}");
        }
    }

    #[test]
    fn nothing_is_sent_before_its_end_is_durable() {
        let mut plan = Plan::default();
        assert_eq!((plan.left(3), plan.may_end(7)), (None, false));
        assert!(!plan.may_end(7), "it was not said to be durable");
        plan.is_durable();
        assert_eq!((plan.left(3), plan.may_end(7)), (Some(4), true));
        // Fewer than were settled: another end.
        assert!(!plan.may_end(5));
        plan.is_durable();
        assert!(plan.may_end(5));
        plan.shipped();
        assert_eq!((plan.number(), plan.left(0)), (1, None));
        assert!(!plan.may_end(2));
        plan.is_durable();
        assert!(plan.may_end(2));
        plan.shipped();
        plan.passed();
        assert_eq!((plan.number(), plan.note().len()), (2, 9));
    }

    #[test]
    fn a_restart_goes_through_the_same_ends() {
        let mut plan = Plan::default();
        plan.may_end(7);
        plan.is_durable();
        plan.shipped();
        plan.may_end(2);
        // The first are there, the cursor is before them.
        let mut again = Plan::read(&plan.note()).unwrap();
        assert_eq!((again.number(), again.left(0), again.may_end(7)), (0, Some(7), true));
        again.shipped();
        again.passed();
        assert_eq!((again.number(), again.left(0), again.may_end(2)), (1, Some(2), true));
    }
}
