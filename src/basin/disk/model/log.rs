//! What the log must hold, as a list: the model's truth.

use super::source::key;
use crate::basin::disk::core::Core;
use crate::basin::{Position, State};
use crate::finding::Finding;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

#[derive(Default)]
pub(super) struct Log {
    /// Stream and number of every batch that was ever sent, by id.
    sent: Vec<(u64, u64)>,
    /// Acknowledged, or seen by an output (then committed): all of them stay.
    kept: BTreeMap<Position, u64>,
    positions: BTreeMap<u64, Position>,
    by_stream: BTreeMap<u64, BTreeSet<u64>>,
    /// Ids whose fate a crash or failure hid.
    unknown: BTreeSet<u64>,
    /// Damaged on disk, with file and offset.
    rotted: BTreeMap<u64, (String, u64)>,
    /// Parts of files that findings called damaged.
    told: Vec<(String, u64, u64)>,
    /// Everything up to here may have gone from the log.
    pub(super) removed: Position,
    /// Of the last start.
    pub(super) epoch: u32,
}

impl Log {
    pub(super) fn send(&mut self, stream: u64, number: u64) -> u64 {
        self.sent.push((stream, number));
        self.sent.len() as u64 - 1
    }

    /// Stream and number.
    pub(super) fn sent(&self, id: u64) -> (u64, u64) {
        self.sent[id as usize]
    }

    /// A group was committed, and these are its ids.
    pub(super) fn commit(&mut self, mut ids: Vec<u64>, head: Position) {
        ids.sort_unstable();
        let count = ids.len() as u64;
        for (id, index) in ids.into_iter().zip(1..) {
            let position = Position { epoch: head.epoch, sequence: head.sequence - count + index };
            self.keep(position, id);
        }
    }

    pub(super) fn hide(&mut self, ids: impl IntoIterator<Item = u64>) {
        self.unknown.extend(ids);
    }

    /// An output was given this batch.
    pub(super) fn see(&mut self, position: Position, id: u64) {
        if self.positions.get(&id) != Some(&position) {
            assert!(self.unknown.remove(&id), "batch {id} was seen before its commit");
            self.keep(position, id);
        }
    }

    fn keep(&mut self, position: Position, id: u64) {
        let before = self.kept.insert(position, id);
        assert!(before.is_none(), "position {position} named batch {before:?} before {id}");
        let elsewhere = self.positions.insert(id, position);
        assert!(elsewhere.is_none(), "batch {id} is at {position} and at {elsewhere:?}");
        self.by_stream.entry(self.sent(id).0).or_default().insert(id);
    }

    /// What stands behind a position and up to another, and whether it is damaged.
    pub(super) fn between(
        &self,
        from: Position,
        to: Bound<Position>,
    ) -> impl Iterator<Item = (Position, u64, bool)> {
        let (Bound::Included(end) | Bound::Excluded(end)) = to else { unreachable!("nobody asks for all") };
        // A position that was given again or out of order is the caller's to assert.
        let range = (from < end).then(|| self.kept.range((Bound::Excluded(from), to)));
        range.into_iter().flatten().map(|(position, id)| (*position, *id, self.is_rotted(*id)))
    }

    pub(super) fn kept_count(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn rot(&mut self, position: Position, id: u64, path: &str, offset: u64) {
        if self.positions.get(&id) != Some(&position) {
            self.see(position, id);
        }
        self.rotted.insert(id, (path.to_owned(), offset));
    }

    pub(super) fn is_rotted(&self, id: u64) -> bool {
        self.rotted.contains_key(&id)
    }

    pub(super) fn rotted_count(&self) -> usize {
        self.rotted.len()
    }

    /// Damage is told where there is some, and only there.
    pub(super) fn hear(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            if !finding.what.contains("damaged") {
                continue;
            }
            let (path, from, to) = place(&finding).unwrap_or_else(|| panic!("no rot was made: {finding}"));
            let made = |(rotted, offset): &(String, u64)| *rotted == path && (from..to).contains(offset);
            assert!(self.rotted.values().any(made), "no rot was made: {finding}");
            self.told.push((path, from, to));
        }
    }

    /// An output goes on without this damaged batch.
    pub(super) fn assert_told(&self, id: u64) {
        let (path, offset) = &self.rotted[&id];
        let told = self.told.iter().any(|(told, from, to)| told == path && (from..to).contains(&offset));
        assert!(told, "batch {id} at {offset} of {path} is skipped, and no finding says so");
    }

    /// Every stream's bookmark is that of its last acknowledged batch, or of a later one of which the
    /// source did not hear; damage may hide the last ones.
    pub(super) fn check_bookmarks(&self, state: &State) {
        for (stream, ids) in &self.by_stream {
            let Some(whole) = ids.iter().rev().find(|id| !self.is_rotted(**id)) else { continue };
            let value = state.get(key(*stream).as_str()).expect("a kept bookmark is there");
            let value: u64 = std::str::from_utf8(value).unwrap().parse().unwrap();
            let known = value >= *whole && (ids.contains(&value) || self.unknown.contains(&value));
            assert!(known, "bookmark of {stream} is {value}, {whole} was acknowledged");
        }
    }

    /// A start never takes the epoch of an earlier one, and nothing kept is behind its head.
    pub(super) fn check_start(&mut self, core: &Core) {
        assert!(core.epoch > self.epoch, "epoch {} after {}", core.epoch, self.epoch);
        self.epoch = core.epoch;
        assert!(core.head.epoch < core.epoch, "the log ends at {} before epoch {}", core.head, core.epoch);
        let last = self.kept.iter().rev().find(|(_, id)| !self.is_rotted(**id));
        assert!(last.is_none_or(|(last, _)| *last <= core.head), "{last:?} is behind {}", core.head);
    }
}

/// File, from and to of `basin: 12 bytes at 34 of segments/000000000001.seg are damaged…`.
fn place(finding: &Finding) -> Option<(String, u64, u64)> {
    let text = finding.what.strip_prefix("basin: ")?;
    let (bytes, rest) = text.split_once(" bytes at ")?;
    let (from, rest) = rest.split_once(" of ")?;
    let (path, _) = rest.split_once(" are damaged")?;
    let from: u64 = from.parse().ok()?;
    Some((path.to_owned(), from, from + bytes.parse::<u64>().ok()?))
}
