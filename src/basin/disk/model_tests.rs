//! Model test: random operations on the core, over a disk that does its worst, against a list.
//!
//! Asserted at every step: what was acknowledged is delivered to every output, in order and from
//! its durable cursor on; a position names one batch for ever; a lane sees nothing that is not
//! committed; bookmarks are those of the last acknowledged batches, also when all segments of
//! theirs are gone; nothing is skipped where the policy does not allow it.
//! `FOREBAY_MODEL_SEED` and `FOREBAY_MODEL_STEPS` choose another run; a failure prints the seed.

use super::chores::Chore;
use super::core::{Core, Options, SECOND};
use super::fake::{FakeDisk, Random};
use super::frame::Framed;
use super::group::{Group, Pending};
use super::read::{Next, Place};
use super::recovery::{self, Entropy};
use super::tail::Entry;
use crate::basin::{Budget, Full, OutputSpec, Position, Retain, Start};
use crate::event::receipt::{self, Settled};
use crate::event::{Bookmark, EventBatch, Origin, Outcome, Timestamp};
use crate::units::{ByteSize, Span};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Waker};

#[test]
fn nothing_acknowledged_is_lost_whatever_the_disk_does() {
    let read = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let seed = read("FOREBAY_MODEL_SEED", 1);
    let steps = read("FOREBAY_MODEL_STEPS", 120_000);
    println!("FOREBAY_MODEL_SEED={seed} FOREBAY_MODEL_STEPS={steps}");
    let mut model = Model::new(seed);
    for _ in 0..steps {
        model.step();
    }
    model.drain();
    let seen = &model.seen;
    println!("{seen:?}");
    assert!(seen.crashes > 100 && seen.kept > 1000 && seen.delivered > 1000, "{seen:?}");
    assert!(
        seen.sync_failures > 10 && seen.full > 10 && seen.skipped > 0 && seen.from_disk > 100,
        "{seen:?}"
    );
}

#[derive(Debug, Default)]
struct Seen {
    kept: u64,
    delivered: u64,
    from_disk: u64,
    crashes: u64,
    sync_failures: u64,
    full: u64,
    skipped: u64,
}

struct Model {
    random: Random,
    disk: FakeDisk,
    core: Option<Core>,
    now: i64,
    group: Option<Group>,
    chore: Option<Chore>,
    lanes: Vec<Lane>,
    waiting: BTreeMap<u64, Settled>,
    next_id: u64,
    /// Ids that were acknowledged, in the order of the log.
    kept: Vec<u64>,
    /// Ids whose fate a crash or failure hid: they may be delivered.
    unknown: BTreeSet<u64>,
    positions: BTreeMap<Position, u64>,
    bookmarks: BTreeMap<u64, u64>,
    seen: Seen,
}

/// What one output was given.
struct Lane {
    name: &'static str,
    full: Full,
    at: Position,
    place: Place,
    ahead: VecDeque<Entry>,
    handed: VecDeque<(Position, usize)>,
    /// How many of `kept` it has been given, and has confirmed, and how many are surely durable.
    given: usize,
    /// At least so many, while a restart leaves open how many.
    given_min: usize,
    confirmed: usize,
    confirmed_max: usize,
    durable: usize,
    skipped_events: u64,
}

impl Model {
    fn new(seed: u64) -> Self {
        let lane = |name, full| Lane {
            name,
            full,
            at: Position::default(),
            place: Place::default(),
            ahead: VecDeque::new(),
            handed: VecDeque::new(),
            given: 0,
            given_min: 0,
            confirmed: 0,
            confirmed_max: 0,
            durable: 0,
            skipped_events: 0,
        };
        let mut model = Self {
            random: Random::new(seed),
            disk: FakeDisk::new(seed),
            core: None,
            now: SECOND,
            group: None,
            chore: None,
            lanes: vec![lane("fast", Full::Wait), lane("slow", Full::Wait), lane("skips", Full::SkipOldest)],
            waiting: BTreeMap::new(),
            next_id: 1,
            kept: Vec::new(),
            unknown: BTreeSet::new(),
            positions: BTreeMap::new(),
            bookmarks: BTreeMap::new(),
            seen: Seen::default(),
        };
        model.open();
        model
    }

    fn core(&mut self) -> &mut Core {
        self.core.as_mut().unwrap()
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.now)
    }

    fn step(&mut self) {
        self.now += SECOND / 20;
        match self.random.below(100) {
            0..25 => self.push(),
            25..45 => self.write(),
            45..60 => self.keep(),
            60..77 => {
                // The slow output reads a fifth of the time, so that it lags and the log fills.
                let lane = [0, 0, 0, 0, 0, 2, 2, 1][self.random.below(8) as usize];
                self.read(lane);
            }
            77..95 => {
                let lane = self.random.below(3) as usize;
                self.confirm(lane);
            }
            95 => {
                let left = self.random.below(40);
                if self.random.one_in(4) {
                    self.disk.crash_in(Some(left));
                }
            }
            96 => {
                let chance = [0, 0, 0, 6][self.random.below(4) as usize];
                self.disk.fail_syncs(chance);
            }
            97 => {
                let space = [None, None, Some(0), Some(30_000)][self.random.below(4) as usize];
                self.disk.leave_space(space);
            }
            98 if self.random.one_in(4) => self.crash(),
            99 if self.random.one_in(10) => self.let_slow_catch_up(),
            _ => {}
        }
        if self.disk.is_crashed() {
            self.crash();
        }
    }

    fn push(&mut self) {
        let id = self.next_id;
        self.next_id += 1;
        let size_max = if self.random.one_in(20) { 9000 } else { 700 };
        let size = 20 + self.random.below(size_max);
        let (receipt, settled) = receipt::ticket();
        let frame = Framed::new(batch(id, size as usize)).unwrap();
        let pending = Pending::new(frame, receipt, Arc::new(AtomicBool::new(false)), None);
        if self.core().pending.len() < 20 && self.core().push(pending) {
            self.waiting.insert(id, settled);
        }
    }

    /// One step of the writer, so that other things happen between its steps.
    fn write(&mut self) {
        let now = self.now();
        let Some(group) = self.group.take() else {
            self.group = self.core().begin_group(now);
            if self.core().stats.full {
                self.seen.full += 1;
            }
            return;
        };
        let result = group.run();
        if self.disk.is_crashed() {
            return;
        }
        self.seen.sync_failures += u64::from(result.is_err());
        for receipt in self.core().end_group(group, &result, now) {
            receipt.kept();
        }
        let mut kept = Vec::new();
        self.waiting.retain(|id, settled| {
            let outcome = Pin::new(settled).poll(&mut Context::from_waker(Waker::noop()));
            match outcome {
                Poll::Pending => return true,
                Poll::Ready(Outcome::Kept) => kept.push(*id),
                Poll::Ready(Outcome::Lost) => {
                    self.unknown.insert(*id);
                }
            }
            false
        });
        for id in kept {
            self.seen.kept += 1;
            self.kept.push(id);
            self.bookmarks.insert(id % KEYS, id);
        }
    }

    fn keep(&mut self) {
        let now = self.now();
        let Some(chore) = self.chore.take() else {
            self.chore = self.core().begin_chore(now);
            return;
        };
        let result = chore.run(&self.disk);
        if self.disk.is_crashed() {
            return;
        }
        self.core().end_chore(chore, result, now);
        let core = self.core.as_ref().unwrap();
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            let output = &core.outputs[index];
            // Everything this output was given up to its durable position.
            if output.durable >= output.confirmed {
                lane.durable = lane.confirmed;
            }
            if output.skipped_events > lane.skipped_events {
                assert_eq!(lane.full, Full::SkipOldest, "only who may be skipped is skipped");
                self.seen.skipped += output.skipped_events - lane.skipped_events;
                lane.skipped_events = output.skipped_events;
            }
        }
    }

    fn read(&mut self, index: usize) -> bool {
        let entry = loop {
            let lane = &mut self.lanes[index];
            if let Some(entry) = lane.ahead.pop_front() {
                break entry;
            }
            match self.core.as_ref().unwrap().next(lane.at, lane.place) {
                Next::Batch(entry) => {
                    lane.at = entry.position;
                    break entry;
                }
                Next::Read(plan) => {
                    let ahead = plan.run(&self.disk);
                    assert!(ahead.damages.is_empty(), "no rot was made: {:?}", ahead.damages);
                    assert!(ahead.at > lane.at || !ahead.entries.is_empty(), "reading goes on");
                    (lane.at, lane.place) = (ahead.at, ahead.place);
                    self.seen.from_disk += ahead.entries.len() as u64;
                    lane.ahead = ahead.entries.into();
                }
                Next::Wait | Next::End => return false,
            }
        };
        self.core().hand_out(index, &entry);
        self.deliver(index, &entry);
        true
    }

    fn deliver(&mut self, index: usize, entry: &Entry) {
        self.seen.delivered += 1;
        let id = id_of(&entry.batch);
        let first = *self.positions.entry(entry.position).or_insert(id);
        assert_eq!(first, id, "position {} named batch {first} before", entry.position);
        let lane = &mut self.lanes[index];
        assert!(lane.handed.back().is_none_or(|(last, _)| *last < entry.position), "in the order of the log");
        match self.kept.binary_search(&id) {
            Ok(at) => {
                let skips = lane.full == Full::SkipOldest;
                assert!(
                    at <= lane.given || skips,
                    "{}: {} kept batches are missing",
                    lane.name,
                    at - lane.given
                );
                assert!(
                    at >= lane.durable,
                    "{}: batch {id} again, though its confirmation was durable",
                    lane.name
                );
                (lane.given, lane.given_min) = (at + 1, at + 1);
            }
            Err(_) => assert!(self.unknown.contains(&id), "batch {id} was seen before its commit"),
        }
        lane.handed.push_back((entry.position, lane.given_min));
    }

    fn confirm(&mut self, index: usize) {
        let lane = &mut self.lanes[index];
        if lane.handed.is_empty() {
            return;
        }
        let count = 1 + self.random.below(lane.handed.len() as u64) as usize;
        let (position, given) = lane.handed[count - 1];
        lane.handed.drain(..count);
        lane.confirmed = lane.confirmed.max(given);
        lane.confirmed_max = lane.confirmed_max.max(lane.given);
        self.core().confirm(index, position, Bytes::from(position.to_string()));
    }

    fn let_slow_catch_up(&mut self) {
        while self.read(1) {}
        while !self.lanes[1].handed.is_empty() {
            self.confirm(1);
        }
    }

    fn crash(&mut self) {
        self.seen.crashes += 1;
        (self.group, self.chore, self.core) = (None, None, None);
        self.unknown.extend(std::mem::take(&mut self.waiting).into_keys());
        let power_lost = !self.random.one_in(3);
        self.disk.restart(power_lost);
        self.open();
    }

    fn open(&mut self) {
        // A crash while opening, now and then; the last try is left alone.
        for attempt in 0..4 {
            self.disk.leave_space(None);
            self.disk.fail_syncs(0);
            let crashes = attempt < 3 && self.random.one_in(4);
            let left = self.random.below(30);
            self.disk.crash_in(crashes.then_some(left));
            match self.try_open() {
                Ok(core) if !self.disk.is_crashed() => {
                    self.disk.crash_in(None);
                    self.core = Some(core);
                    break;
                }
                _ => {
                    assert!(self.disk.is_crashed(), "it opens unless the disk is away");
                    let power_lost = self.random.one_in(2);
                    self.disk.restart(power_lost);
                }
            }
        }
        let rot = |finding: &&crate::finding::Finding| finding.what.contains("damaged");
        assert_eq!(self.core().findings.iter().find(rot), None, "no rot was made");
        self.check_bookmarks();
        for index in 0..self.lanes.len() {
            let name = self.lanes[index].name;
            let (output, at) = self.core().start_reader(name).unwrap();
            assert_eq!(output, index);
            let lane = &mut self.lanes[index];
            (lane.at, lane.place) = (at, Place::default());
            lane.ahead.clear();
            lane.handed.clear();
            // Its cursor may stand anywhere between what was surely and what was perhaps durable.
            lane.given = lane.confirmed_max;
            (lane.confirmed, lane.given_min) = (lane.durable, lane.durable);
            lane.skipped_events = 0;
        }
    }

    fn try_open(&mut self) -> Result<Core, crate::basin::BasinError> {
        let retain = [
            Retain::default(),
            Retain { age: Some(Span::secs(20)), size: None },
            Retain { age: None, size: Some(ByteSize::kib(40)) },
        ][self.random.below(3) as usize];
        let options = Options { size_max: SEGMENT_BYTES * 8, segment_bytes: SEGMENT_BYTES, retain };
        let specs: Vec<_> = self
            .lanes
            .iter()
            .map(|lane| OutputSpec { name: lane.name.into(), start: Start::Oldest, full: lane.full })
            .collect();
        let tail = ByteSize::kib([1, 4, 64][self.random.below(3) as usize]);
        let entropy = Entropy { node: [7; 16], salt: self.random.below(u64::MAX) };
        let disk = Arc::new(self.disk.clone());
        let now = self.now();
        recovery::open(disk, Path::new("model"), options, &specs, &Budget::new(tail), entropy, now)
    }

    fn check_bookmarks(&mut self) {
        let state = self.core.as_ref().unwrap().state.clone();
        for (key, kept) in &self.bookmarks {
            let value = state.get(format!("key/{key}").as_str()).expect("a kept bookmark is there");
            let value: u64 = std::str::from_utf8(value).unwrap().parse().unwrap();
            let known = value == *kept || (value > *kept && self.unknown.contains(&value));
            assert!(known, "bookmark {key} is {value}, {kept} was acknowledged");
        }
    }

    /// With a disk that behaves, every output gets everything, all segments go, bookmarks stay.
    fn drain(&mut self) {
        self.disk.crash_in(None);
        for round in 0..2000 {
            self.disk.leave_space(None);
            self.disk.fail_syncs(0);
            self.now += SECOND;
            self.write();
            self.keep();
            for index in 0..self.lanes.len() {
                while self.read(index) {}
                while !self.lanes[index].handed.is_empty() {
                    self.confirm(index);
                }
            }
            if round == 1500 {
                self.core().finished = true;
                self.core().stopping = true;
                self.core().close_active();
            }
        }
        assert!(self.waiting.is_empty(), "all that waited was answered");
        for lane in &self.lanes {
            assert_eq!(lane.given, self.kept.len(), "{} has everything", lane.name);
        }
        self.disk.restart(true);
        (self.group, self.chore) = (None, None);
        self.core = None;
        self.open();
        let left = self.disk.names("segments").len();
        assert!(left <= 3, "{left} segments are left of a log that all have read");
        assert!(!self.lanes.iter().enumerate().any(|(index, _)| {
            matches!(self.core.as_ref().unwrap().next(self.lanes[index].at, Place::default()), Next::Batch(_))
        }));
    }
}

fn batch(id: u64, size: usize) -> EventBatch {
    let mut text = format!("{id:020}").into_bytes();
    // Bytes that look like a frame are nothing special.
    text.extend_from_slice(b"FbF\x01");
    text.resize(size.max(24), b'x');
    let origin = Origin {
        source: "model".into(),
        host: None,
        address: None,
        subscription: None,
        file: None,
        received: Timestamp(0),
    };
    EventBatch {
        events: std::iter::once(0..text.len() as u32).collect(),
        text: text.into(),
        origin: Arc::new(origin),
        bookmark: Some(Bookmark { key: format!("key/{}", id % KEYS).into(), value: id.to_string().into() }),
        notes: Vec::new(),
    }
}

fn id_of(batch: &EventBatch) -> u64 {
    std::str::from_utf8(&batch.text[..20]).unwrap().parse().unwrap()
}

const KEYS: u64 = 17;
const SEGMENT_BYTES: u64 = 24 << 10;
