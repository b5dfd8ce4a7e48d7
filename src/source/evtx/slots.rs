//! Which chunks of a log are to be read next, told from their headers. The file header lies while
//! a log is open, so nothing of it is used.
//!
//! ```text
//! slot     0    1    2    3    4          a ring: the log went on in slot 0 after slot 4
//! ids     60…  70…  30…  40…  50…         position 42: read slot 3 from there, 4, 0, 1
//! ```
//!
//! Pure.

use super::position::{Identity, Position};
use crate::evtx::chunk::{
    CHUNK_BYTES, CHUNK_HEADER_BYTES, ChunkHeader, RECORD_BYTES_MIN, RECORD_HEADER_BYTES, RECORD_MAGIC,
};
use std::ops::RangeInclusive;

/// Bytes of a chunk that a look at it reads: its header and that of its first record.
pub(super) const LOOK_BYTES: usize = CHUNK_HEADER_BYTES + RECORD_HEADER_BYTES;

/// A chunk from its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) identity: Identity,
    /// As the chunk's header says; it may be older or newer than the records.
    pub(super) last_id: u64,
    /// Number of the first record: 1 where a log begins, also after it was cleared.
    pub(super) number: u64,
}

/// What a look at a slot found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Chunk(Head),
    /// Nothing was ever written there, or only the header of a chunk.
    Empty,
    /// Header and first record do not belong together: being overwritten, or damaged.
    Torn,
}

impl Slot {
    /// From a chunk's first `LOOK_BYTES`, or fewer at the end of a file that was cut.
    pub(super) fn look(bytes: &[u8]) -> Self {
        let first = first_record(bytes);
        match (ChunkHeader::parse(bytes), first) {
            (Some(header), Some(first)) if header.first_record_id == first.id => Self::Chunk(Head {
                identity: first,
                last_id: header.last_record_id.max(first.id),
                number: header.first_record_number,
            }),
            (Some(header), None) if header.free_space_offset as usize <= CHUNK_HEADER_BYTES => Self::Empty,
            (None, _) if bytes.iter().all(|&byte| byte == 0) => Self::Empty,
            _ => Self::Torn,
        }
    }

    /// As `look`, for bytes that will not change any more: the first record is believed, or else
    /// the header.
    pub(super) fn look_settled(bytes: &[u8]) -> Self {
        let seen = Self::look(bytes);
        if seen != Self::Torn {
            return seen;
        }
        let header = ChunkHeader::parse(bytes);
        let number = header.map_or(u64::MAX, |header| header.first_record_number);
        let header_id = header.map(|header| Identity { id: header.first_record_id, written: 0 });
        match first_record(bytes).or(header_id) {
            Some(identity) => Self::Chunk(Head { identity, last_id: identity.id, number }),
            None => Self::Torn,
        }
    }

    pub(super) fn head(&self) -> Option<&Head> {
        match self {
            Self::Chunk(head) => Some(head),
            Self::Empty | Self::Torn => None,
        }
    }
}

fn first_record(bytes: &[u8]) -> Option<Identity> {
    record_at(bytes.get(CHUNK_HEADER_BYTES..)?)
}

/// Id and FILETIME of a record from its first bytes, when these are a record's.
pub(super) fn record_at(bytes: &[u8]) -> Option<Identity> {
    let head: &[u8; RECORD_HEADER_BYTES] = bytes.first_chunk()?;
    let number = |at: usize| head[at..].first_chunk().map_or(0, |field| u64::from_le_bytes(*field));
    let size = number(4) as u32 as usize;
    let sane = head.starts_with(RECORD_MAGIC) && (RECORD_BYTES_MIN..=CHUNK_BYTES).contains(&size);
    sane.then(|| Identity { id: number(8), written: number(16) })
}

/// What became of the record that a position stands behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// It is in this slot, and ends there.
    Here { slot: usize, end: usize },
    /// A record of its id is there, of another time: this is another log.
    Another,
    /// No chunk has its id.
    Gone,
    /// The chunk that should have it cannot be read to that place.
    Unclear { slot: usize },
}

impl Holder {
    fn slot(self) -> Option<usize> {
        match self {
            Self::Here { slot, .. } | Self::Unclear { slot } => Some(slot),
            Self::Another | Self::Gone => None,
        }
    }
}

/// Where to look for the record of a position: the chunk whose ids enclose it.
pub(super) fn candidate(slots: &[Slot], at: &Position) -> Option<usize> {
    let encloses = |slot: usize| {
        let head = slots.get(slot).and_then(Slot::head);
        head.is_some_and(|head| head.identity.id <= at.id && at.id <= head.last_id)
    };
    let known = usize::try_from(at.slot).ok().filter(|&slot| {
        slots.get(slot).and_then(Slot::head).is_some_and(|head| head.identity == at.chunk) || encloses(slot)
    });
    known.or_else(|| (0..slots.len()).find(|&slot| encloses(slot)))
}

/// Slots to read, in order, each from an offset on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) todo: Vec<(usize, usize)>,
    /// Where the ids of a chunk do not go on where those before it end.
    pub(super) gaps: Vec<Gap>,
    /// The ids of the first gap were overwritten before they could be read.
    pub(super) lost: Option<RangeInclusive<u64>>,
    pub(super) turn: Turn,
    /// For the positions from here on.
    pub(super) since: u64,
    pub(super) scattered: bool,
}

/// Ids that no chunk has. Slots are looked at one after the other, so the chunk that has them may
/// have been written behind the look, and the next one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) ids: RangeInclusive<u64>,
    /// The chunk behind it.
    pub(super) chunk: Identity,
}

/// What happened to the log since the position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Turn {
    #[default]
    On,
    /// It was cleared and begins anew.
    Cleared,
    /// Another log stands in its place.
    Replaced,
}

/// Plans the reading of a log that nothing was read of.
pub(super) fn plan_all(slots: &[Slot]) -> Plan {
    let mut order = heads(slots);
    let scattered = !sort(&mut order);
    if scattered {
        order.sort_by_key(|(slot, _)| *slot);
    }
    let gaps = if scattered { Vec::new() } else { gaps(&order, 0) };
    let todo = order.into_iter().map(|(slot, _)| (slot, CHUNK_HEADER_BYTES)).collect();
    Plan { todo, gaps, scattered, ..Plan::default() }
}

/// Plans what is to be read behind `at`, given what became of its record.
pub(super) fn plan(slots: &[Slot], at: &Position, holder: Holder) -> Plan {
    if at.scattered {
        return plan_scattered(slots, at, holder);
    }
    let mut order = heads(slots);
    order.retain(|(_, head)| head.identity.written >= at.since);
    // Cleared: numbers begin again, later than what was read, with ids that were used before.
    let start = order
        .iter()
        .filter(|(_, head)| {
            head.number == 1 && head.identity.written > at.written && head.identity.id <= at.id
        })
        .map(|(_, head)| head.identity.written)
        .max();
    if let Some(since) = start {
        let old = |head: &Head| head.identity.written < since;
        let mut left: Vec<_> =
            order.iter().filter(|(_, head)| old(head) && head.identity.id > at.id).copied().collect();
        sort(&mut left);
        order.retain(|(_, head)| !old(head));
        sort(&mut order);
        let before = order.first().map_or(0, |(_, head)| head.identity.id.saturating_sub(1));
        let gaps = gaps(&order, before);
        let todo = left.into_iter().chain(order).map(|(slot, _)| (slot, CHUNK_HEADER_BYTES)).collect();
        return Plan { todo, gaps, turn: Turn::Cleared, since, ..Plan::default() };
    }
    let newer = order.iter().any(|(_, head)| head.identity.id > at.id);
    let replaced = match holder {
        Holder::Another => true,
        Holder::Gone => !newer && !order.is_empty() && !knows(slots, at),
        Holder::Here { .. } | Holder::Unclear { .. } => false,
    };
    if replaced {
        return Plan { turn: Turn::Replaced, ..plan_all(slots) };
    }
    let mut plan = Plan { since: at.since, ..Plan::default() };
    order.retain(|(slot, head)| head.identity.id > at.id && holder.slot() != Some(*slot));
    match holder {
        Holder::Here { slot, end } => plan.todo.push((slot, end)),
        // What was read of it is not known any more, unless it is still the same chunk.
        Holder::Unclear { slot } => plan.todo.push((slot, offset_in(slots, slot, at))),
        Holder::Another | Holder::Gone => {}
    }
    sort(&mut order);
    let here = holder.slot().and_then(|slot| slots.get(slot)).and_then(Slot::head);
    plan.gaps = gaps(&order, here.map_or(at.id, |head| head.last_id.max(at.id)));
    // As long as the chunk before it is there, a gap is a hole in the numbering: a log overwrites
    // its oldest chunk first.
    if holder == Holder::Gone {
        let first = order.first().map(|(_, head)| head.identity);
        plan.lost = plan.gaps.first().filter(|gap| Some(gap.chunk) == first).map(|gap| gap.ids.clone());
    }
    plan.todo.extend(order.into_iter().map(|(slot, _)| (slot, CHUNK_HEADER_BYTES)));
    plan
}

fn plan_scattered(slots: &[Slot], at: &Position, holder: Holder) -> Plan {
    let same = knows(slots, at) || matches!(holder, Holder::Here { .. });
    if !same {
        return Plan { turn: Turn::Replaced, ..plan_all(slots) };
    }
    let unread = |(slot, head): &(usize, Head)| {
        *slot as u64 == at.slot || *slot as u64 >= at.through || head.identity.written > at.newest
    };
    let order = heads(slots).into_iter().filter(unread);
    let todo = order.map(|(slot, _)| (slot, offset_in(slots, slot, at))).collect();
    Plan { todo, scattered: true, ..Plan::default() }
}

/// Where to go on in a slot: behind the position if it stands there and the chunk is the same.
fn offset_in(slots: &[Slot], slot: usize, at: &Position) -> usize {
    let same = slots.get(slot).and_then(Slot::head).is_some_and(|head| head.identity == at.chunk);
    let here = slot as u64 == at.slot && same;
    usize::try_from(at.offset).ok().filter(|_| here).unwrap_or(CHUNK_HEADER_BYTES)
}

/// Whether the chunk of the position is where it was.
fn knows(slots: &[Slot], at: &Position) -> bool {
    let slot = usize::try_from(at.slot).ok().and_then(|slot| slots.get(slot));
    slot.and_then(Slot::head).is_some_and(|head| head.identity == at.chunk)
}

fn heads(slots: &[Slot]) -> Vec<(usize, Head)> {
    slots.iter().enumerate().filter_map(|(slot, seen)| seen.head().map(|head| (slot, *head))).collect()
}

/// The gaps in chunks sorted by id; `last` is the id before the first.
fn gaps(order: &[(usize, Head)], mut last: u64) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for (_, head) in order {
        let (chunk, before) = (head.identity, head.identity.id.saturating_sub(1));
        if before > last {
            gaps.push(Gap { ids: last + 1..=before, chunk });
        }
        last = last.max(head.last_id);
    }
    gaps
}

/// Sorts by id; false when the ids of chunks overlap, as no log's do.
fn sort(order: &mut [(usize, Head)]) -> bool {
    order.sort_by_key(|(_, head)| head.identity.id);
    order.windows(2).all(|pair| pair[0].1.last_id < pair[1].1.identity.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(first: u64, last: u64, written: u64) -> Slot {
        Slot::Chunk(Head { identity: Identity { id: first, written }, last_id: last, number: first })
    }

    fn at(id: u64, written: u64, slot: u64, chunk_id: u64) -> Position {
        let chunk = Identity { id: chunk_id, written };
        Position { id, written, slot, offset: 900, chunk, ..Position::default() }
    }

    fn todo(plan: &Plan) -> Vec<usize> {
        plan.todo.iter().map(|(slot, _)| *slot).collect()
    }

    const RING: [Slot; 6] = [
        Slot::Chunk(Head { identity: Identity { id: 60, written: 60 }, last_id: 69, number: 60 }),
        Slot::Chunk(Head { identity: Identity { id: 70, written: 70 }, last_id: 75, number: 70 }),
        Slot::Chunk(Head { identity: Identity { id: 30, written: 30 }, last_id: 39, number: 30 }),
        Slot::Chunk(Head { identity: Identity { id: 40, written: 40 }, last_id: 49, number: 40 }),
        Slot::Chunk(Head { identity: Identity { id: 50, written: 50 }, last_id: 59, number: 50 }),
        Slot::Empty,
    ];

    #[test]
    fn a_ring_is_read_by_record_id() {
        assert_eq!(todo(&plan_all(&RING)), [2, 3, 4, 0, 1]);
        let position = at(42, 40, 3, 40);
        assert_eq!(candidate(&RING, &position), Some(3));
        let plan = plan(&RING, &position, Holder::Here { slot: 3, end: 900 });
        assert_eq!(plan.todo, [(3, 900), (4, 512), (0, 512), (1, 512)]);
        assert_eq!((plan.lost, plan.turn), (None, Turn::On));
    }

    #[test]
    fn what_was_overwritten_is_named() {
        let plan = plan(&RING, &at(12, 12, 2, 10), Holder::Gone);
        assert_eq!(todo(&plan), [2, 3, 4, 0, 1]);
        assert_eq!(plan.lost, Some(13..=29));
        let position = at(29, 29, 2, 20);
        assert_eq!(super::plan(&RING, &position, Holder::Gone).lost, None);
    }

    #[test]
    fn a_hole_behind_a_chunk_that_is_still_there_is_no_loss() {
        let slots = [chunk(1, 9, 1), chunk(20, 29, 20)];
        assert_eq!(plan(&slots, &at(9, 9, 0, 1), Holder::Here { slot: 0, end: 900 }).lost, None);
    }

    #[test]
    fn a_chunk_that_is_not_seen_leaves_a_gap_before_the_next_one() {
        let gap = |ids, id| Gap { ids, chunk: Identity { id, written: id } };
        let mut slots = RING;
        (slots[0], slots[3]) = (Slot::Empty, Slot::Torn);
        let plan = plan(&slots, &at(32, 30, 2, 30), Holder::Here { slot: 2, end: 900 });
        assert_eq!(plan.gaps, [gap(40..=49, 50), gap(60..=69, 70)]);
        assert_eq!((todo(&plan), plan.lost), (vec![2, 4, 1], None));
        assert_eq!(plan_all(&RING).gaps, [gap(1..=29, 30)]);
    }

    #[test]
    fn a_cleared_log_begins_anew_and_leftovers_are_not_read_twice() {
        let mut slots = RING;
        slots[0] = Slot::Chunk(Head { identity: Identity { id: 1, written: 80 }, last_id: 5, number: 1 });
        let plan = plan(&slots, &at(55, 55, 4, 50), Holder::Here { slot: 4, end: 900 });
        assert_eq!((plan.turn, plan.since), (Turn::Cleared, 80));
        assert_eq!(todo(&plan), [1, 0]);
        let later = Position { since: 80, ..at(5, 81, 0, 1) };
        assert_eq!(todo(&super::plan(&slots, &later, Holder::Here { slot: 0, end: 900 })), [0]);
    }

    #[test]
    fn ids_that_go_on_after_a_clear_just_go_on() {
        let slots =
            [Slot::Chunk(Head { identity: Identity { id: 76, written: 90 }, last_id: 80, number: 1 })];
        let plan = plan(&slots, &at(75, 75, 1, 70), Holder::Gone);
        assert_eq!((todo(&plan), plan.turn, plan.lost), (vec![0], Turn::On, None));
    }

    #[test]
    fn another_log_is_read_whole_and_a_cut_copy_of_the_same_is_not() {
        let position = at(75, 75, 1, 70);
        assert_eq!(plan(&RING, &position, Holder::Another).turn, Turn::Replaced);
        let older = [chunk(1, 9, 1), chunk(10, 19, 10)];
        let later = [chunk(10, 19, 100), chunk(20, 29, 110)];
        assert_eq!(plan(&later, &position, Holder::Gone).turn, Turn::Replaced);
        assert_eq!(plan(&older, &position, Holder::Gone).turn, Turn::Replaced);
        let cut =
            [chunk(60, 69, 60), Slot::Chunk(Head { identity: position.chunk, last_id: 70, number: 70 })];
        assert_eq!(plan(&cut, &position, Holder::Unclear { slot: 1 }).todo, [(1, 900)]);
    }

    #[test]
    fn a_file_of_several_logs_is_read_as_it_stands_and_resumed_there() {
        let slots = [chunk(5, 9, 50), chunk(1, 9, 10), chunk(5, 9, 50), chunk(3, 4, 20)];
        let plan = plan_all(&slots);
        assert!(plan.scattered);
        assert_eq!(todo(&plan), [0, 1, 2, 3]);
        let chunk = Identity { id: 1, written: 10 };
        let position = Position {
            scattered: true,
            through: 2,
            newest: 60,
            slot: 1,
            offset: 700,
            chunk,
            ..Position::default()
        };
        assert_eq!(super::plan(&slots, &position, Holder::Gone).todo, [(1, 700), (2, 512), (3, 512)]);
    }

    #[test]
    fn zeros_and_half_written_chunks_are_told_apart() {
        assert_eq!(Slot::look(&[0; LOOK_BYTES]), Slot::Empty);
        assert_eq!(Slot::look(&[]), Slot::Empty);
        let mut bytes = [0; LOOK_BYTES];
        bytes[..8].copy_from_slice(b"ElfChnk\0");
        bytes[24] = 7;
        bytes[48..52].copy_from_slice(&9000_u32.to_le_bytes());
        assert_eq!(Slot::look(&bytes), Slot::Torn);
        bytes[512..516].copy_from_slice(b"**\0\0");
        bytes[516] = 40;
        bytes[520] = 6;
        assert_eq!(Slot::look(&bytes), Slot::Torn);
        assert_eq!(Slot::look_settled(&bytes).head().map(|head| head.identity.id), Some(6));
        bytes[520] = 7;
        assert_eq!(Slot::look(&bytes).head().map(|head| (head.identity.id, head.last_id)), Some((7, 7)));
    }
}
