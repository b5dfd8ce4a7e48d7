//! The basin against the bare disk, and how fast a lane that lags gets its batches.
//!
//! *Writing*: 200 waiting producers of 64 KiB batches, and a loop that writes and fdatasyncs the same
//! bytes in the same groups (told from the marks in the segments). They take turns in short bursts,
//! each second pair the other way round, so that both meet the same neighbours and the same moods of
//! the disk; the ratio is that of the sums.
//! *Reading*: the same log from its oldest batch on, from the page cache to decoded and checked
//! frames, with nothing in memory; in MB/s of event text.
//!
//! `BASIN_BENCH_DIR` chooses the disk.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a bench")]

use bytes::Bytes;
use forebay::basin::{Basin, BasinConfig, Budget, DiskConfig, Full, OutputSpec, Retain, Start};
use forebay::event::{EventBatch, Origin, Outcome, Timestamp};
use forebay::units::ByteSize;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const BATCH_BYTES: usize = 64 << 10;
const PRODUCERS: usize = 200;
const BATCHES_EACH: usize = 4;
const BURST_BYTES: usize = PRODUCERS * BATCHES_EACH * BATCH_BYTES;
const BURSTS: usize = 40;
const READS: usize = 5;

fn main() {
    let root = std::env::var("BASIN_BENCH_DIR").unwrap_or_else(|_| env!("CARGO_TARGET_TMPDIR").into());
    let folder = tempfile::tempdir_in(&root).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (basin, _) = Basin::open(&config(folder.path()), &[], &Budget::new(ByteSize::mib(256))).unwrap();
    let mut tape = Tape { folder: folder.path().join("basin/segments"), number: 1, at: FRAMES_AT };
    // The first segment is prepared after opening; that is no part of the steady state.
    runtime.block_on(burst(&basin));
    let mut groups = tape.groups();
    let (mut through_basin, mut barely, mut synced) = (Duration::ZERO, Duration::ZERO, 0);
    for index in 0..BURSTS {
        if index % 2 == 1 {
            barely += bare(folder.path(), &groups);
        }
        through_basin += runtime.block_on(burst(&basin));
        groups = tape.groups();
        synced += groups.len();
        if index % 2 == 0 {
            barely += bare(folder.path(), &groups);
        }
    }
    runtime.block_on(basin.close());
    let rate = |took: Duration| (BURSTS * BURST_BYTES) as f64 / 1e6 / took.as_secs_f64();
    println!(
        "basin {:.0} MB/s, bare loop {:.0} MB/s, {:.1} groups a burst: {:.0} %",
        rate(through_basin),
        rate(barely),
        synced as f64 / BURSTS as f64,
        barely.as_secs_f64() / through_basin.as_secs_f64() * 100.0
    );
    let mut read: Vec<f64> =
        (0..READS).map(|number| read_on(folder.path(), &format!("late-{number}"))).collect();
    read.sort_by(f64::total_cmp);
    println!("a lagging lane reads {:.0} MB/s, all {read:.0?}", read[READS / 2]);
}

/// Every producer appends its batches, one after the other.
async fn burst(basin: &Basin) -> Duration {
    let batch = batch();
    let start = Instant::now();
    let mut producers = tokio::task::JoinSet::new();
    for number in 0..PRODUCERS {
        let (basin, batch) = (basin.clone(), named(&batch, &format!("producer {number}")));
        producers.spawn(async move {
            for _ in 0..BATCHES_EACH {
                assert_eq!(basin.append(batch.clone()).await, Outcome::Kept);
            }
        });
    }
    while let Some(ended) = producers.join_next().await {
        ended.unwrap();
    }
    start.elapsed()
}

/// Reads behind the basin, header by header, how it grouped what it wrote.
struct Tape {
    folder: PathBuf,
    number: u64,
    at: u64,
}

impl Tape {
    /// Sizes of the groups since the last call: the frames of a group tell the same mark.
    fn groups(&mut self) -> Vec<usize> {
        let (mut sizes, mut group) = (Vec::new(), None);
        loop {
            let file = File::open(self.folder.join(format!("{:012}.seg", self.number))).unwrap();
            let mut header = [0; 64];
            let whole = file.read_exact_at(&mut header, self.at).is_ok();
            if !whole || !header.starts_with(b"FbF\x01") {
                let next = File::open(self.folder.join(format!("{:012}.seg", self.number + 1)));
                let mut magic = [0; 4];
                if next.is_ok_and(|next| {
                    next.read_exact_at(&mut magic, FRAMES_AT).is_ok() && magic == *b"FbF\x01"
                }) {
                    (self.number, self.at) = (self.number + 1, FRAMES_AT);
                    continue;
                }
                break;
            }
            let number = |at: usize, len: usize| {
                header[at..at + len].iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte))
            };
            let (size, mark) = ((64 + number(8, 4)).next_multiple_of(8), (self.number, number(24, 8)));
            if group.replace(mark) != Some(mark) {
                sizes.push(0);
            }
            *sizes.last_mut().unwrap() += size as usize;
            self.at += size;
        }
        // A mark alone, written when nothing comes, is no group of batches.
        sizes.retain(|size| *size > BATCH_BYTES);
        sizes
    }
}

/// The same bytes in the same groups, into one preallocated file.
fn bare(root: &Path, groups: &[usize]) -> Duration {
    let path = root.join("bare");
    let file = OpenOptions::new().create_new(true).write(true).open(&path).unwrap();
    let total: usize = groups.iter().sum();
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, total as u64).unwrap();
    file.sync_all().unwrap();
    let bytes = batch().text.repeat(groups.iter().max().unwrap() / BATCH_BYTES + 1);
    let start = Instant::now();
    let mut at = 0;
    for group in groups {
        file.write_all_at(&bytes[..*group], at).unwrap();
        file.sync_data().unwrap();
        at += *group as u64;
    }
    let took = start.elapsed();
    fs::remove_file(path).unwrap();
    took
}

/// MB/s of event text to a lane that begins with the oldest batch.
fn read_on(root: &Path, name: &str) -> f64 {
    let output = OutputSpec { name: name.into(), start: Start::Oldest, full: Full::Wait };
    let (basin, _) = Basin::open(&config(root), &[output], &Budget::new(ByteSize::mib(256))).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (mut bytes, start) = (0, Instant::now());
    runtime.block_on(async {
        let mut reader = basin.reader(name).unwrap();
        basin.finish();
        while let Some(delivery) = reader.next().await {
            bytes += delivery.batch.text.len();
        }
    });
    let rate = bytes as f64 / 1e6 / start.elapsed().as_secs_f64();
    assert!(bytes > BURST_BYTES, "{bytes}");
    runtime.block_on(basin.close());
    rate
}

fn config(root: &Path) -> BasinConfig {
    // Some of the log stays, for the lanes that come later.
    let retain = Retain { age: None, size: Some(ByteSize::mib(256)) };
    let disk = DiskConfig { retain, ..DiskConfig::new(root.join("basin")) };
    BasinConfig { disk: Some(disk), memory: None }
}

fn named(batch: &EventBatch, source: &str) -> EventBatch {
    let origin = Arc::new(Origin { source: source.into(), ..(*batch.origin).clone() });
    EventBatch { origin, ..batch.clone() }
}

/// Where the frames of a segment begin.
const FRAMES_AT: u64 = 8192;

/// Bytes that no disk compresses.
fn batch() -> EventBatch {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let text: Vec<u8> = (0..BATCH_BYTES)
        .map(|_| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random as u8
        })
        .collect();
    let origin = Origin {
        source: "bench".into(),
        host: None,
        address: None,
        subscription: None,
        file: None,
        received: Timestamp(0),
    };
    EventBatch {
        text: Bytes::from(text),
        events: (0..32_u32).map(|index| index * 2048..(index + 1) * 2048).collect(),
        origin: Arc::new(origin),
        bookmark: None,
        notes: Vec::new(),
    }
}
