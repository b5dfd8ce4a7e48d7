//! The machine on a disk that fails where a test wants it: one promise each. `model` does the rest.

mod fill;

use super::chores::Chore;
use super::core::{Core, Options, SECOND};
use super::fake::{Fails, FakeDisk};
use super::file::Disk;
use super::frame::{Framed, HEADER_BYTES, MAGIC};
use super::group::Pending;
use super::read::{Next, Place};
use super::recovery::{self, Entropy};
use super::segment::{FRAMES_AT, Found, Scanner, segment_path};
use super::stream::{Streams, Underway};
use crate::basin::{Budget, Full, OutputSpec, Position, Retain, Start};
use crate::event::receipt::{self, Settled};
use crate::event::{Bookmark, EventBatch, Origin, Outcome, Timestamp};
use crate::units::ByteSize;
use bytes::Bytes;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

fn open(disk: &FakeDisk) -> Core {
    let options = Options { size_max: 8 << 20, segment_bytes: 1 << 20, retain: Retain::default() };
    let specs = [OutputSpec { name: "a".into(), start: Start::Oldest, full: Full::Wait }];
    let (budget, entropy) = (Budget::new(ByteSize::kib(1)), Entropy { node: [7; 16], salt: 11 });
    let disk = Arc::new(disk.clone());
    recovery::open(disk, Path::new("x"), options, &specs, &budget, entropy, Timestamp(SECOND)).unwrap()
}

fn push(core: &mut Core, streams: &Streams, number: u32, size: usize) -> (Underway, Settled) {
    let origin = Origin {
        source: "s".into(),
        host: None,
        address: None,
        subscription: None,
        file: None,
        received: Timestamp(0),
    };
    let batch = EventBatch {
        text: vec![b'x'; size].into(),
        events: std::iter::once(0..size as u32).collect(),
        origin: Arc::new(origin),
        bookmark: Some(Bookmark { key: "s".into(), value: Bytes::from(number.to_string()) }),
        notes: Vec::new(),
    };
    let underway = streams.begin(&batch.origin);
    let (receipt, settled) = receipt::ticket();
    assert!(core.push(Pending::new(Framed::new(batch).unwrap(), receipt, underway.place(), None)));
    (underway, settled)
}

/// Writes until nothing waits any more.
fn work(core: &mut Core, disk: &FakeDisk) {
    work_with(core, disk, |_| Fails::default());
}

/// As `work`, on a disk that refuses at some chores.
fn work_with(core: &mut Core, disk: &FakeDisk, fails: fn(&Chore) -> Fails) {
    for tick in 2..60 {
        let now = Timestamp(tick * SECOND);
        if let Some(group) = core.begin_group(now) {
            let result = group.run();
            core.end_group(group, &result, now).into_iter().for_each(receipt::Receipt::kept);
        }
        keep(core, disk, now, fails);
    }
}

fn keep(core: &mut Core, disk: &FakeDisk, now: Timestamp, fails: fn(&Chore) -> Fails) {
    if let Some(chore) = core.begin_chore(now) {
        disk.fail(fails(&chore));
        let result = chore.run(disk);
        disk.fail(Fails::default());
        core.end_chore(chore, result, now);
    }
}

/// Output `a` reads and confirms all there is.
fn read_all(core: &mut Core, disk: &FakeDisk) {
    let (index, mut at) = core.start_reader("a").unwrap();
    let mut place = Place::default();
    loop {
        match core.next(at, place) {
            Next::Batch(entry) => {
                core.hand_out(index, &entry);
                at = entry.position;
            }
            Next::Read(plan) => {
                let ahead = plan.run(disk, true);
                ahead.entries.iter().for_each(|entry| core.hand_out(index, entry));
                (at, place) = (ahead.at, ahead.place);
            }
            Next::Wait | Next::End => break,
        }
    }
    core.confirm(index, at, Bytes::new());
}

/// A first batch in one segment, with what a failed write left behind it, and the second in another,
/// where it was written again. The core is a new one, so that none of the two is written to any more.
fn two_segments(disk: &FakeDisk) -> Core {
    let streams = Streams::default();
    let mut core = open(disk);
    let _first = push(&mut core, &streams, 1, 100);
    work(&mut core, disk);
    let _second = push(&mut core, &streams, 2, 2000);
    let group = core.begin_group(Timestamp(60 * SECOND)).unwrap();
    disk.fail(Fails { syncs: 1, ..Fails::default() });
    let result = group.run();
    disk.fail(Fails::default());
    core.end_group(group, &result, Timestamp(60 * SECOND));
    work(&mut core, disk);
    let mut core = open(disk);
    assert_eq!(core.segments.len(), 2);
    core.findings.clear();
    core
}

fn outcome(settled: &mut Settled) -> Poll<Outcome> {
    Pin::new(settled).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_batch_that_cannot_be_written_takes_the_later_ones_of_its_stream_with_it() {
    let (disk, streams) = (FakeDisk::new(1), Streams::default());
    let mut core = open(&disk);
    let (first, mut first_settled) = push(&mut core, &streams, 1, 100);
    let mut second = None;
    let mut failures = 0;
    for tick in 2..60 {
        let now = Timestamp(tick * SECOND);
        if let Some(group) = core.begin_group(now) {
            disk.fail(Fails { syncs: u64::from(failures < 3), ..Fails::default() });
            let result = group.run();
            disk.fail(Fails::default());
            failures += u64::from(result.is_err());
            core.end_group(group, &result, now).into_iter().for_each(receipt::Receipt::kept);
            // The second comes when the first has failed once, so that it has a try left at the end.
            second.get_or_insert_with(|| push(&mut core, &streams, 2, 100));
        }
        if let Some(chore) = core.begin_chore(now) {
            let result = chore.run(&disk);
            core.end_chore(chore, result, now);
        }
    }
    let (later, mut later_settled) = second.unwrap();
    assert_eq!(failures, 3);
    assert_eq!(outcome(&mut first_settled), Poll::Ready(Outcome::Lost));
    assert_eq!(outcome(&mut later_settled), Poll::Ready(Outcome::Lost));
    assert!(core.state.is_empty(), "no bookmark passes what is lost");
    drop((first, later));
    let (_again, mut settled) = push(&mut core, &streams, 1, 100);
    work(&mut core, &disk);
    assert_eq!(outcome(&mut settled), Poll::Ready(Outcome::Kept));
    assert_eq!(core.state["s"], "1");
}

#[test]
fn what_a_source_leaves_behind_takes_the_later_ones_and_not_the_earlier() {
    let (disk, streams) = (FakeDisk::new(1), Streams::default());
    let mut core = open(&disk);
    let (_first, mut first) = push(&mut core, &streams, 1, 100);
    let (left, _) = push(&mut core, &streams, 2, 100);
    let (_third, mut third) = push(&mut core, &streams, 3, 100);
    drop(left);
    work(&mut core, &disk);
    assert_eq!(outcome(&mut first), Poll::Ready(Outcome::Kept));
    assert_eq!(outcome(&mut third), Poll::Ready(Outcome::Lost));
    assert_eq!(core.state["s"], "1");
}

#[test]
fn a_bad_block_takes_nothing_that_stands_far_before_it() {
    let (disk, streams) = (FakeDisk::new(1), Streams::default());
    let mut core = open(&disk);
    let underway: Vec<_> = (1..=60).map(|number| push(&mut core, &streams, number, 2000)).collect();
    work(&mut core, &disk);
    assert_eq!(core.head.sequence, 60);
    let path = segment_path(core.segments[0].number);
    // The header of the second batch, after which the next one has to be searched for.
    let second = 8192 + 96 + 2150;
    for offset in second..second + 64 {
        disk.flip(&path, offset, 1);
    }
    disk.ruin(&path, 25 * 4096);
    let mut read = 0;
    let (mut at, mut place) = (Default::default(), Place::default());
    while let Next::Read(plan) = core.next(at, place) {
        let ahead = plan.run(&disk, true);
        read += ahead.entries.len();
        (at, place) = (ahead.at, ahead.place);
    }
    // One by the flips, and those that touch the block.
    assert!((55..=58).contains(&read), "{read}");
    drop(underway);
}

#[test]
fn a_segment_that_the_disk_refuses_to_read_is_not_removed() {
    let (disk, streams) = (FakeDisk::new(1), Streams::default());
    let mut core = open(&disk);
    let (_underway, mut settled) = push(&mut core, &streams, 1, 100);
    work(&mut core, &disk);
    assert_eq!(outcome(&mut settled), Poll::Ready(Outcome::Kept));
    let path = segment_path(core.segments[0].number);
    drop(core);
    disk.restart(true);
    disk.ruin(&path, 8192);
    let options = Options { size_max: 8 << 20, segment_bytes: 1 << 20, retain: Retain::default() };
    let entropy = Entropy { node: [7; 16], salt: 12 };
    let (shared, budget) = (Arc::new(disk.clone()), Budget::new(ByteSize::kib(1)));
    let opened = recovery::open(shared, Path::new("x"), options, &[], &budget, entropy, Timestamp(SECOND));
    assert!(opened.is_err());
    assert!(disk.names("segments").iter().any(|name| path.ends_with(name.as_str())));
}

#[test]
fn a_deletion_that_a_crash_undid_leaves_nothing_to_tell() {
    for seed in 0..200 {
        let disk = FakeDisk::new(seed);
        let mut core = two_segments(&disk);
        read_all(&mut core, &disk);
        // No longer: with the next segment all names of the folder are made durable.
        for tick in 60..90 {
            if !core.segments.is_empty() {
                keep(&mut core, &disk, Timestamp(tick * SECOND), |_| Fails::default());
            }
        }
        assert!(core.segments.is_empty(), "all is read");
        drop(core);
        disk.restart(true);
        let core = open(&disk);
        assert!(core.findings.is_empty(), "seed {seed}: {:?}", core.findings);
    }
}

#[test]
fn a_segment_that_cannot_be_deleted_keeps_those_behind_it() {
    let disk = FakeDisk::new(1);
    let mut core = two_segments(&disk);
    let both = disk.names("segments");
    read_all(&mut core, &disk);
    work_with(&mut core, &disk, |chore| Fails {
        writes: u64::from(matches!(chore, Chore::Remove { .. })),
        ..Fails::default()
    });
    assert_eq!(core.segments.len(), 2);
    assert!(both.iter().all(|name| disk.names("segments").contains(name)), "{:?}", disk.names("segments"));
    assert_eq!(core.findings.len(), 1, "told once: {:?}", core.findings);
    work(&mut core, &disk);
    assert!(core.segments.is_empty());
    assert!(!both.iter().any(|name| disk.names("segments").contains(name)), "{:?}", disk.names("segments"));
}

#[test]
fn a_damaged_last_batch_does_not_pass_for_one_that_somebody_removed() {
    // A bit of the header, and one of the text.
    for from_end in [2100, 100] {
        let disk = FakeDisk::new(1);
        let mut core = two_segments(&disk);
        // The mark that ends it says that all before it was synced.
        let segment = core.segments[1].clone();
        let end = segment.end - HEADER_BYTES as u64;
        disk.flip(&segment_path(segment.number), end - from_end, 1);
        core.stopping = true;
        work(&mut core, &disk);
        for opened in 0..3 {
            let mut core = open(&disk);
            let told = core.findings.iter().all(|finding| finding.what.contains("are damaged"));
            assert!(told, "start {opened}: {:?}", core.findings);
            read_all(&mut core, &disk);
            work(&mut core, &disk);
            drop(core);
            disk.restart(true);
        }
    }
}

#[test]
fn a_cursor_that_was_brought_back_into_the_log_is_durable_when_it_is_written() {
    let disk = FakeDisk::new(1);
    drop(two_segments(&disk));
    for name in disk.names("segments") {
        disk.remove(&format!("segments/{name}")).unwrap();
    }
    let mut core = open(&disk);
    assert!(core.outputs[0].confirmed > Position::default());
    assert_eq!(core.outputs[0].durable, Position::default());
    work(&mut core, &disk);
    assert_eq!(core.outputs[0].durable, core.outputs[0].confirmed);
}

#[test]
fn one_copy_that_cannot_be_read_is_done_without_and_told() {
    for (path, bad) in [("basin", 0), ("basin", 4096), ("cursors/a", 0), ("cursors/a", 65536)] {
        let disk = FakeDisk::new(1);
        let mut core = two_segments(&disk);
        read_all(&mut core, &disk);
        // Until its cursor is written, and the segments still there.
        keep(&mut core, &disk, Timestamp(60 * SECOND), |_| Fails::default());
        assert_eq!(core.outputs[0].durable, core.head);
        let epoch = core.epoch;
        drop(core);
        disk.restart(true);
        disk.ruin(path, bad);
        let core = open(&disk);
        assert_eq!(core.findings.len(), 1, "{path}: {:?}", core.findings);
        assert!(core.findings[0].what.contains("one of the two copies"), "{:?}", core.findings);
        assert!(core.epoch > epoch, "no epoch comes again");
        drop(core);
        disk.restart(true);
        assert!(open(&disk).findings.is_empty(), "{path} was made anew");
    }
}

#[test]
fn frames_that_stood_in_a_file_before_are_none_of_its_next_segment() {
    let disk = FakeDisk::new(1);
    let streams = Streams::default();
    let mut core = open(&disk);
    // Three to a segment, until the second segment of the first file has one.
    for number in 1..=7 {
        let _kept = push(&mut core, &streams, number, 300 << 10);
        work(&mut core, &disk);
        read_all(&mut core, &disk);
        work(&mut core, &disk);
    }
    let segment = core.segments.back().unwrap().clone();
    let mut bytes = vec![0; segment.file.len().unwrap() as usize];
    segment.file.read_at(0, &mut bytes).unwrap();
    let heads = memchr::memmem::find_iter(&bytes, &MAGIC).count();
    let mut scanner =
        Scanner::new(Arc::clone(&segment.file), segment.salt, FRAMES_AT, segment.file.len().unwrap());
    let mut frames = 0;
    loop {
        match scanner.next() {
            Found::Frame { .. } => frames += 1,
            Found::Damage(_) => {}
            Found::End => break,
        }
    }
    assert!(heads > frames, "it is a file that was used before: {heads} and {frames}");
    // Its link, the batch, and the mark behind it.
    assert_eq!((segment.last.sequence, frames), (7, 3));
    drop(core);
    disk.restart(true);
    let core = open(&disk);
    assert!(core.findings.is_empty(), "{:?}", core.findings);
    assert_eq!(core.head, segment.last);
}
