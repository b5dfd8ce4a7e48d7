//! Model test: random operations on the core, over a disk that does its worst, against a list.
//!
//! | file | knows |
//! |---|---|
//! | `log.rs` | what was acknowledged, and must be there: the list |
//! | `source.rs` | who appends, and resumes behind its bookmark |
//! | `lane.rs` | who reads and confirms, and compares |
//! | `rot.rs` | damage to what was synced |
//! | `restart.rs` | crash, close, start |
//! | this one | the other operations: writer, keeper, disk, forget |
//!
//! Asserted: what was acknowledged is delivered to every output, in order and from its durable cursor
//! on, with no number of a stream left out; a position names one batch for ever; a lane sees nothing
//! that is not committed; bookmarks are those of the last acknowledged batches, also when all
//! segments of theirs are gone; a segment goes only when all have read it and `retain` lets it;
//! nothing is skipped where the policy does not allow it; damage costs the damaged batches alone, and
//! is told; a full disk does not stop cursors; a close leaves nothing to repair.
//! `FOREBAY_MODEL_SEED` and `FOREBAY_MODEL_STEPS` choose another run; a failure prints the seed.

mod lane;
mod log;
mod restart;
mod rot;
mod source;

use super::chores::Chore;
use super::core::{Core, SECOND};
use super::fake::{Fails, FakeDisk, Random};
use super::file::Disk;
use super::group::Group;
use super::read::Next;
use super::segment::segment_path;
use super::stream::Streams;
use crate::basin::{Full, Retain};
use crate::event::Timestamp;
use lane::Lane;
use log::Log;
use source::Source;
use std::ops::Bound;

#[test]
fn nothing_acknowledged_is_lost_whatever_the_disk_does() {
    run(chosen("FOREBAY_MODEL_SEED").unwrap_or(1));
}

/// Every run of the tests looks somewhere else.
#[test]
fn nothing_acknowledged_is_lost_with_a_seed_that_nobody_chose() {
    if chosen("FOREBAY_MODEL_SEED").is_none() {
        run(u64::from(std::process::id()) << 32 | u64::from(crate::basin::now().0 as u32));
    }
}

fn chosen(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn run(seed: u64) {
    let steps = chosen("FOREBAY_MODEL_STEPS").unwrap_or(120_000);
    println!("FOREBAY_MODEL_SEED={seed} FOREBAY_MODEL_STEPS={steps}");
    let mut model = Model::new(seed);
    for _ in 0..steps {
        model.step();
    }
    model.drain();
    let seen = model.seen();
    println!("{seen:?}");
    if steps < 100_000 {
        return;
    }
    assert!(seen.crashes > 100 && seen.closes > 20 && seen.kept > 1000 && seen.delivered > 1000, "{seen:?}");
    assert!(seen.write_failures > 10 && seen.lost > 10 && seen.full > 10 && seen.skipped > 0, "{seen:?}");
    assert!(seen.from_disk > 100 && seen.refused > 10 && seen.rotted > 10 && seen.retained > 10, "{seen:?}");
    assert!(seen.reused > 100, "{seen:?}");
    assert!(seen.forgotten > 5 && seen.oldest > 5 && seen.newest > 5 && seen.unopened > 5, "{seen:?}");
}

#[derive(Debug, Default)]
struct Seen {
    kept: usize,
    lost: u64,
    delivered: u64,
    from_disk: u64,
    refused: u64,
    rotted: usize,
    crashes: u64,
    closes: u64,
    /// Opening met a disk that refused.
    unopened: u64,
    write_failures: u64,
    full: u64,
    skipped: u64,
    retained: u64,
    reused: u64,
    filled: u64,
    forgotten: u64,
    oldest: u64,
    newest: u64,
}

struct Model {
    random: Random,
    disk: FakeDisk,
    /// The disk's space is limited, and how often it refuses.
    short: bool,
    fails: Fails,
    core: Option<Core>,
    streams: Streams,
    retain: Retain,
    now: i64,
    group: Option<Group>,
    chore: Option<Chore>,
    sources: Vec<Source>,
    lanes: Vec<Lane>,
    log: Log,
    seen: Seen,
}

impl Model {
    fn new(seed: u64) -> Self {
        let lanes =
            [("fast", Full::Wait), ("slow", Full::Wait), ("skips", Full::SkipOldest), (LATE, Full::Wait)];
        let mut model = Self {
            random: Random::new(seed),
            disk: FakeDisk::new(seed),
            short: false,
            fails: Fails::default(),
            core: None,
            streams: Streams::default(),
            retain: Retain::default(),
            now: SECOND,
            group: None,
            chore: None,
            sources: (0..STREAMS).map(Source::new).collect(),
            lanes: lanes.into_iter().map(|(name, full)| Lane::new(name, full)).collect(),
            log: Log::default(),
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
            0..25 => self.append(),
            25..45 => self.write(),
            45..60 => self.keep(),
            60..77 => {
                // The slow output reads a tenth of the time, so that it lags and the log fills.
                let lane = [0, 0, 0, 0, 0, 2, 2, 1, 3, 3][self.random.below(10) as usize];
                self.read(lane);
            }
            77..95 => {
                let lane = self.random.below(4) as usize;
                self.lanes[lane].confirm(self.core.as_mut().unwrap(), &mut self.random);
            }
            95 if self.random.one_in(4) => {
                let left = self.random.below(40);
                self.disk.crash_in(Some(left));
            }
            96 => {
                let mut chance = |chances: [u64; 6]| chances[self.random.below(6) as usize];
                let fails = Fails {
                    syncs: chance([0, 0, 0, 0, 6, 1]),
                    reads: chance([0, 0, 0, 0, 0, 20]),
                    writes: chance([0, 0, 0, 0, 0, 8]),
                };
                self.fail(fails);
            }
            97 => {
                let space = [None, None, Some(0), Some(30_000)][self.random.below(4) as usize];
                self.short = space.is_some();
                self.disk.leave_space(space);
            }
            98 => match self.random.below(24) {
                0..6 => self.crash(),
                6..10 => self.rot(),
                10..12 => self.close(),
                12..20 => self.forget(),
                _ => {}
            },
            99 if self.random.one_in(10) => self.catch_up(1),
            _ => {}
        }
        if self.disk.is_crashed() {
            self.crash();
        }
    }

    fn fail(&mut self, fails: Fails) {
        self.fails = fails;
        self.disk.fail(fails);
    }

    fn append(&mut self) {
        let source = self.random.below(STREAMS) as usize;
        let core = self.core.as_mut().unwrap();
        self.sources[source].step(core, &self.streams, &mut self.log, &mut self.random);
    }

    /// One step of the writer, so that other things happen between its steps.
    fn write(&mut self) {
        let now = self.now();
        let Some(group) = self.group.take() else {
            self.group = self.core().begin_group(now);
            self.seen.full += u64::from(self.core().stats.full);
            self.settle();
            return;
        };
        let result = group.run();
        if self.disk.is_crashed() {
            return;
        }
        self.seen.write_failures += u64::from(result.is_err());
        for receipt in self.core().end_group(group, &result, now) {
            receipt.kept();
        }
        self.settle();
    }

    fn settle(&mut self) {
        let (mut kept, mut lost) = (Vec::new(), Vec::new());
        for source in &mut self.sources {
            source.answered(&mut kept, &mut lost);
        }
        self.seen.lost += lost.len() as u64;
        // A failed write may have left them on the disk.
        self.log.hide(lost);
        let head = self.core().head;
        self.log.commit(kept, head);
    }

    fn keep(&mut self) {
        let now = self.now();
        if let Some(chore) = self.chore.take() {
            if let Chore::Prepare { reused: Some(reused), .. } = &chore {
                // A torn write over a block that was bad before and that nobody had noticed is one fault too
                // many: such a log asks for a human.
                self.disk.mend(&segment_path(reused.segment.number));
            }
            let result = chore.run(&self.disk);
            if self.disk.is_crashed() {
                return;
            }
            let may_fail = self.fails.syncs > 0 || self.fails.writes > 0;
            if let (Chore::Checkpoint { .. }, Err(error)) = (&chore, &result) {
                assert!(may_fail, "a full disk stops no cursor: {error}");
            }
            self.seen.filled += u64::from(matches!(chore, Chore::Fill(_)));
            self.core().end_chore(chore, result, now);
        } else {
            self.chore = self.core().begin_chore(now);
            self.check_removal();
        }
        let core = self.core.as_mut().unwrap();
        for lane in &mut self.lanes {
            lane.observe(core);
        }
        self.log.hear(core.findings.drain(..));
    }

    /// A segment with frames goes when all have read it, and when it is not to be retained.
    fn check_removal(&mut self) {
        let (now, retain) = (self.now, self.retain);
        let core = self.core.as_ref().unwrap();
        let oldest = core.segments.front();
        let (front, reused) = match (&self.chore, oldest) {
            (Some(Chore::Remove { number, .. }), Some(oldest)) => {
                if core.segments.iter().all(|segment| segment.number != *number) {
                    return;
                }
                assert_eq!(oldest.number, *number, "the oldest goes first");
                (oldest, None)
            }
            (Some(Chore::Prepare { reused: Some(reused), .. }), oldest) => {
                let number = reused.segment.number;
                assert!(oldest.is_none_or(|oldest| oldest.number > number), "the oldest goes first");
                (&reused.segment, Some(&reused.segment))
            }
            _ => return,
        };
        let number = front.number;
        assert!(front.last <= core.snapshot.durable, "its bookmarks are in a durable snapshot");
        for output in &core.outputs {
            assert!(front.last <= output.durable, "{} has not read segment {number}", output.name);
        }
        self.log.removed = self.log.removed.max(front.last);
        let young = retain.age.is_some_and(|age| now - front.last_at.0 < age.0.as_nanos() as i64);
        let read = reused.into_iter().chain(&core.segments).take_while(|segment| core.is_read(segment.last));
        let small = retain.size.is_some_and(|size| read.map(|segment| segment.bytes).sum::<u64>() <= size.0);
        if young || small {
            let space = core.options.size_max.saturating_sub(core.used_bytes());
            let is_squeezed = self.short || core.chores.disk_full || space < SEGMENT_BYTES;
            assert!(is_squeezed && reused.is_none(), "segment {number} was to be retained");
        }
        self.seen.reused += u64::from(reused.is_some());
        self.seen.retained += u64::from((retain.age.is_some() || retain.size.is_some()) && !young && !small);
    }

    fn read(&mut self, lane: usize) {
        let (core, fails) = (self.core.as_mut().unwrap(), self.fails);
        self.lanes[lane].read(core, &self.disk, &mut self.log);
        self.disk.fail(fails);
    }

    fn catch_up(&mut self, lane: usize) {
        let (core, fails) = (self.core.as_mut().unwrap(), self.fails);
        self.lanes[lane].catch_up(core, &self.disk, &mut self.log, &mut self.random);
        self.disk.fail(fails);
    }

    /// What `forebay basin forget` does to an output that is no longer configured.
    fn forget(&mut self) {
        let Some(path) = self.core().forget(LATE) else { return };
        self.lanes[3].forgotten = true;
        self.seen.forgotten += 1;
        // Where that fails, a cursor is left that stands where nothing may be any more.
        let _ = self.disk.remove(&path).and_then(|()| self.disk.sync_dir("cursors"));
    }

    /// With a disk that behaves, every output gets everything, all segments go, bookmarks stay.
    fn drain(&mut self) {
        self.close();
        self.retain = Retain::default();
        self.core().options.retain = self.retain;
        for round in 0..2000 {
            self.now += SECOND;
            self.write();
            self.keep();
            for lane in 0..self.lanes.len() {
                self.catch_up(lane);
            }
            if round == 100 {
                self.forget();
            }
        }
        let head = self.core().head;
        for lane in self.lanes.iter().filter(|lane| lane.index.is_some()) {
            // An output confirms what it was given; a last batch that is damaged is told and passed.
            let mut left = self.log.between(lane.durable(), Bound::Included(head));
            let at = lane.durable();
            assert!(left.all(|(.., rotted)| rotted), "{} is at {at}, and the log goes to {head}", lane.name);
            let next = self.core.as_ref().unwrap().next(lane.at(), lane.place());
            assert!(matches!(next, Next::Wait), "{} has more to read", lane.name);
        }
        assert!(self.sources.iter().all(Source::is_idle), "all that waited was answered");
        let left = self.disk.names("segments");
        assert!(left.len() <= 2, "{left:?} are left of a log that all have read");
        // And the bookmarks are still there.
        self.close();
    }

    fn seen(&self) -> Seen {
        let sum = |count: fn(&Lane) -> u64| self.lanes.iter().map(count).sum();
        Seen {
            kept: self.log.kept_count(),
            delivered: sum(|lane| lane.delivered),
            from_disk: sum(|lane| lane.from_disk),
            refused: sum(|lane| lane.refused),
            skipped: sum(Lane::skipped),
            rotted: self.log.rotted_count(),
            ..self.seen
        }
    }
}

const LATE: &str = "late";
const STREAMS: u64 = 7;
const SEGMENT_BYTES: u64 = 24 << 10;
