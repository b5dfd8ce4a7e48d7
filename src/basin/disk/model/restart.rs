//! How the model's process ends, and how it starts again: what has to hold right after a start.

use super::lane::Lane;
use super::{LATE, Model, SEGMENT_BYTES};
use crate::basin::disk::core::{Core, Options, SECOND};
use crate::basin::disk::fake::Fails;
use crate::basin::disk::recovery::{self, Entropy};
use crate::basin::disk::stream::Streams;
use crate::basin::{BasinError, Budget, OutputSpec, Retain, Start};
use crate::units::{ByteSize, Span};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

impl Model {
    pub(super) fn crash(&mut self) {
        self.seen.crashes += 1;
        let power_lost = !self.random.one_in(3);
        self.die(power_lost);
        self.open();
    }

    fn die(&mut self, power_lost: bool) {
        (self.group, self.chore, self.core) = (None, None, None);
        let mut unknown = Vec::new();
        for source in &mut self.sources {
            source.die(&mut unknown);
        }
        self.log.hide(unknown);
        self.streams = Streams::default();
        self.disk.restart(power_lost);
    }

    /// Stops in good order: afterwards there is nothing to repair, and cursors are where they were.
    pub(super) fn close(&mut self) {
        self.disk.crash_in(None);
        self.disk.leave_space(None);
        self.fail(Fails::default());
        (self.core().finished, self.core().stopping) = (true, true);
        for _ in 0..400 {
            self.write();
            self.keep();
            self.now += SECOND / 4;
        }
        assert!(self.group.is_none() && self.chore.is_none(), "it comes to an end");
        let core = self.core.as_ref().unwrap();
        let confirmed: Vec<_> =
            core.outputs.iter().map(|output| (output.confirmed, output.durable)).collect();
        assert!(confirmed.iter().all(|(confirmed, durable)| confirmed == durable), "{confirmed:?}");
        assert_eq!(core.snapshot.durable.max(core.head), core.snapshot.durable, "bookmarks are durable");
        self.seen.closes += 1;
        self.die(true);
        self.open();
    }

    pub(super) fn open(&mut self) {
        // A crash while opening, now and then, or a disk that refuses; the last try is left alone.
        for attempt in 0..4 {
            let troubled = attempt < 3;
            self.disk.leave_space(None);
            self.short = false;
            let refusal = if troubled && self.random.one_in(6) { 1 + self.random.below(30) } else { 0 };
            self.fail(Fails { syncs: refusal, reads: refusal, writes: refusal });
            let left = self.random.below(40);
            self.disk.crash_in((troubled && self.random.one_in(4)).then_some(left));
            let late = [None, Some(Start::Oldest), Some(Start::Newest)][self.random.below(3) as usize];
            let had_late = self.disk.names("cursors").iter().any(|name| name == LATE);
            let opened = self.try_open(late);
            if refusal > 0 {
                self.lanes.iter_mut().for_each(Lane::may_fall_back);
            }
            match opened {
                // What was refused now is damaged to this start; the next one has to find it whole.
                Ok(_) if !self.disk.is_crashed() && refusal > 0 => {
                    self.seen.unopened += 1;
                    self.disk.restart(true);
                }
                Ok(core) if !self.disk.is_crashed() => {
                    self.disk.crash_in(None);
                    self.core = Some(core);
                    self.opened(late, had_late);
                    return;
                }
                Err(error) if !self.disk.is_crashed() => {
                    assert!(refusal > 0, "it opens unless the disk is away: {error}");
                    self.seen.unopened += 1;
                    self.disk.restart(false);
                }
                _ => {
                    let power_lost = self.random.one_in(2);
                    self.disk.restart(power_lost);
                }
            }
        }
        unreachable!("the last try is left alone");
    }

    fn opened(&mut self, late: Option<Start>, had_late: bool) {
        self.fail(Fails::default());
        let core = self.core.as_mut().unwrap();
        self.log.hear(core.findings.drain(..));
        self.log.check_start(core);
        self.log.check_bookmarks(&core.state);
        for source in &mut self.sources {
            source.resume(core, &self.log);
        }
        for lane in &mut self.lanes {
            let is_new = if lane.name == LATE { !had_late } else { self.seen.kept == 0 };
            lane.start(core, &self.log, is_new);
        }
        self.seen.kept = self.log.kept_count();
        let at = self.lanes[3].at();
        match late {
            Some(Start::Oldest) if !had_late => {
                self.seen.oldest += 1;
                let missing = self.log.between(at, Bound::Included(self.log.removed));
                assert!(at <= self.log.removed || missing.count() == 0, "it starts with the oldest there is");
            }
            Some(Start::Newest) if !had_late => {
                self.seen.newest += 1;
                assert_eq!(at, core.head, "it starts with what comes next");
            }
            _ => {}
        }
    }

    fn try_open(&mut self, late: Option<Start>) -> Result<Core, BasinError> {
        self.retain = [
            Retain::default(),
            Retain { age: Some(Span::secs(20)), size: None },
            Retain { age: None, size: Some(ByteSize::kib(40)) },
        ][self.random.below(3) as usize];
        let options =
            Options { size_max: SEGMENT_BYTES * 8, segment_bytes: SEGMENT_BYTES, retain: self.retain };
        let lanes = self.lanes.iter().filter(|lane| lane.name != LATE || late.is_some());
        let spec = |lane: &Lane| OutputSpec {
            name: lane.name.into(),
            start: late.filter(|_| lane.name == LATE).unwrap_or_default(),
            full: lane.full,
        };
        let specs: Vec<_> = lanes.map(spec).collect();
        let tail = ByteSize::kib([1, 4, 64][self.random.below(3) as usize]);
        let entropy = Entropy { node: [7; 16], salt: self.random.below(u64::MAX) };
        let disk = Arc::new(self.disk.clone());
        let now = self.now();
        recovery::open(disk, Path::new("model"), options, &specs, &Budget::new(tail), entropy, now)
    }
}
