//! One output of the model: reads and confirms as a lane does, and holds what it is given against
//! the list.

use super::log::Log;
use super::source::id_of;
use crate::basin::disk::core::Core;
use crate::basin::disk::fake::{Fails, FakeDisk, Random};
use crate::basin::disk::read::{Next, Place};
use crate::basin::disk::tail::Entry;
use crate::basin::{Full, Position};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

pub(super) struct Lane {
    pub(super) name: &'static str,
    pub(super) full: Full,
    /// Where the core has it, while it is configured.
    pub(super) index: Option<usize>,
    /// Its cursor was let go; a file may be left all the same.
    pub(super) forgotten: bool,
    at: Position,
    place: Place,
    ahead: VecDeque<Entry>,
    refusals: u32,
    handed: VecDeque<Position>,
    /// Its cursor is surely not before this, and surely not behind that.
    durable: Position,
    confirmed_max: Position,
    /// Where its cursor was durable before, which its other copy has.
    before: Position,
    /// A start may have had to take that one.
    fell_back: bool,
    /// When its cursor was let go, and came back all the same, the log had gone up to here.
    excused: Position,
    /// Where it stands without having confirmed anything: the note is an older one.
    placed: Position,
    /// Highest number of each stream.
    seen: BTreeMap<u64, u64>,
    missed: u64,
    skipped: u64,
    skipped_in_run: u64,
    pub(super) delivered: u64,
    pub(super) from_disk: u64,
    pub(super) refused: u64,
}

impl Lane {
    pub(super) fn new(name: &'static str, full: Full) -> Self {
        Self {
            name,
            full,
            index: None,
            forgotten: true,
            at: Position::default(),
            place: Place::default(),
            ahead: VecDeque::new(),
            refusals: 0,
            handed: VecDeque::new(),
            durable: Position::default(),
            confirmed_max: Position::default(),
            before: Position::default(),
            fell_back: false,
            excused: Position::default(),
            placed: Position::default(),
            seen: BTreeMap::new(),
            missed: 0,
            skipped: 0,
            skipped_in_run: 0,
            delivered: 0,
            from_disk: 0,
            refused: 0,
        }
    }

    /// The basin was opened; a cursor that was there has to be where it was.
    pub(super) fn start(&mut self, core: &mut Core, log: &Log, is_new: bool) {
        self.index = core.start_reader(self.name).map(|(index, at)| {
            self.at = at;
            index
        });
        let output = core.outputs.iter().find(|output| output.name == self.name);
        let Some(output) = output else { return };
        let at = output.confirmed;
        if !is_new && !self.forgotten {
            let (name, from, to) = (self.name, self.durable, self.confirmed_max);
            assert!(from <= at && at <= to, "{name}: the cursor is at {at}, not from {from} to {to}");
            // Where that one was in the log no more, the note says nothing either.
            let unnoted = self.fell_back && output.note.is_empty();
            if unnoted {
                self.placed = at;
            }
            let noted = self.full == Full::Wait && at != self.placed;
            assert!(!noted || output.note == at.to_string(), "{name}: {:?} noted at {at}", output.note);
        } else {
            self.seen.clear();
            (self.placed, self.excused) = (at, log.removed);
        }
        self.forgotten &= self.index.is_none();
        (self.durable, self.confirmed_max, self.skipped_in_run) = (output.durable, at, 0);
        self.before = self.before.min(output.durable);
        self.fell_back = false;
        (self.place, self.refusals) = (Place::default(), 0);
        self.ahead.clear();
        self.handed.clear();
    }

    /// A start could not read everything: of its cursor's copies it may have kept the older.
    pub(super) fn may_fall_back(&mut self) {
        self.durable = self.durable.min(self.before);
        self.fell_back = true;
    }

    /// Takes note of what the core says of its cursor.
    pub(super) fn observe(&mut self, core: &Core) {
        let Some(output) = core.outputs.iter().find(|output| output.name == self.name) else { return };
        if self.durable != output.durable {
            (self.before, self.durable) = (self.durable, output.durable);
        }
        self.confirmed_max = self.confirmed_max.max(output.confirmed);
        if output.skipped_events > self.skipped_in_run {
            assert_eq!(self.full, Full::SkipOldest, "only who may be skipped is skipped");
            self.skipped += output.skipped_events - self.skipped_in_run;
            self.skipped_in_run = output.skipped_events;
        }
    }

    /// The next batch, as `DiskReader::next` gets it. False when there is none now.
    pub(super) fn read(&mut self, core: &mut Core, disk: &FakeDisk, log: &mut Log) -> bool {
        let Some(index) = self.index else { return false };
        let entry = loop {
            if let Some(entry) = self.ahead.pop_front() {
                break entry;
            }
            match core.next(self.at, self.place) {
                Next::Batch(entry) => break entry,
                Next::Read(plan) => {
                    let last_try = self.refusals == 3;
                    if last_try {
                        // What is refused only now and then is not what is given up.
                        disk.fail(Fails::default());
                    }
                    let ahead = plan.run(disk, last_try);
                    if disk.is_crashed() {
                        return false;
                    }
                    self.from_disk += ahead.entries.len() as u64;
                    self.refused += u64::from(ahead.refused);
                    core.note_damages(ahead.number, ahead.damages);
                    log.hear(core.findings.drain(..));
                    assert!(ahead.refused || ahead.at > self.at, "reading goes on");
                    self.refusals = if ahead.refused { self.refusals + 1 } else { 0 };
                    self.place = ahead.place;
                    self.ahead = ahead.entries.into();
                    if self.ahead.is_empty() {
                        self.pass(Bound::Included(ahead.at), log);
                        self.at = self.at.max(ahead.at);
                    }
                    if ahead.refused && self.ahead.is_empty() {
                        return false;
                    }
                }
                Next::Wait | Next::End => return false,
            }
        };
        core.hand_out(index, &entry);
        self.take(&entry, log);
        true
    }

    /// What is not given up to `to` must be damaged, or skipped where that is allowed.
    fn pass(&mut self, to: Bound<Position>, log: &Log) {
        for (position, id, rotted) in log.between(self.at, to) {
            let is_owed = position > self.excused;
            self.missed += u64::from(is_owed && !rotted);
            // What is skipped is not read.
            if is_owed && rotted && self.full == Full::Wait {
                log.assert_told(id);
            }
            let (stream, number) = log.sent(id);
            let seen = self.seen.entry(stream).or_default();
            *seen = number.max(*seen);
        }
        let (name, missed, skipped) = (self.name, self.missed, self.skipped);
        assert!(missed <= skipped, "{name}: {missed} kept batches are missing, {skipped} were skipped");
    }

    fn take(&mut self, entry: &Entry, log: &mut Log) {
        self.delivered += 1;
        let (id, position) = (id_of(&entry.batch), entry.position);
        log.see(position, id);
        assert!(position > self.at, "{}: {position} after {}", self.name, self.at);
        self.pass(Bound::Excluded(position), log);
        self.at = position;
        let (stream, number) = log.sent(id);
        let seen = self.seen.entry(stream).or_insert(number);
        let follows = number <= *seen + 1 || self.full == Full::SkipOldest;
        assert!(
            follows,
            "{}: number {number} of stream {stream} after {seen}: what is between is lost",
            self.name
        );
        *seen = number.max(*seen);
        self.handed.push_back(position);
    }

    pub(super) fn confirm(&mut self, core: &mut Core, random: &mut Random) {
        let Some(index) = self.index.filter(|_| !self.handed.is_empty()) else { return };
        let count = 1 + random.below(self.handed.len() as u64) as usize;
        let position = self.handed[count - 1];
        self.handed.drain(..count);
        core.confirm(index, position, Bytes::from(position.to_string()));
        self.confirmed_max = self.confirmed_max.max(core.outputs[index].confirmed);
    }

    /// Reads and confirms all there is.
    pub(super) fn catch_up(&mut self, core: &mut Core, disk: &FakeDisk, log: &mut Log, random: &mut Random) {
        while self.read(core, disk, log) {}
        while self.index.is_some() && !self.handed.is_empty() {
            self.confirm(core, random);
        }
    }

    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    pub(super) fn durable(&self) -> Position {
        self.durable
    }

    pub(super) fn at(&self) -> Position {
        self.at
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }
}
