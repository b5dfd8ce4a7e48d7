//! Group commit against the bare disk: 200 waiting producers of 64 KiB batches, and then a loop
//! that writes and fdatasyncs the same bytes in the same number of groups. Prints the ratio.
//!
//! `BASIN_BENCH_DIR` chooses the disk; rounds alternate, so that both meet the same neighbours.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a bench")]

use bytes::Bytes;
use forebay::basin::{Basin, BasinConfig, Budget, DiskConfig};
use forebay::event::{EventBatch, Origin, Outcome, Timestamp};
use forebay::units::ByteSize;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const BATCH_BYTES: usize = 64 << 10;
const PRODUCERS: usize = 200;
const BATCHES_EACH: usize = 30;
const ROUNDS: usize = 7;

fn main() {
    let root = std::env::var("BASIN_BENCH_DIR").unwrap_or_else(|_| env!("CARGO_TARGET_TMPDIR").into());
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        let folder = tempfile::tempdir_in(&root).unwrap();
        let (basin, groups) = basin(folder.path());
        let bare = bare(folder.path(), groups);
        println!("round {round}: basin {basin:.0} MB/s, bare loop {bare:.0} MB/s, {groups} groups");
        ratios.push(basin / bare);
    }
    ratios.sort_by(f64::total_cmp);
    println!("basin / bare loop: median {:.0} %, all {ratios:.2?}", ratios[ROUNDS / 2] * 100.0);
}

/// MB/s through the basin, and how many groups it made of it.
fn basin(root: &Path) -> (f64, u64) {
    let config = BasinConfig { disk: Some(DiskConfig::new(root.join("basin"))), memory: None };
    let (basin, _) = Basin::open(&config, &[], &Budget::new(ByteSize::mib(256))).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let batch = batch();
    // The first segment is prepared after opening; that is no part of the steady state.
    runtime.block_on(basin.append(batch.clone()));
    let before = basin.stats().syncs;
    let start = Instant::now();
    runtime.block_on(async {
        let mut producers = tokio::task::JoinSet::new();
        for _ in 0..PRODUCERS {
            let (basin, batch) = (basin.clone(), batch.clone());
            producers.spawn(async move {
                for _ in 0..BATCHES_EACH {
                    assert_eq!(basin.append(batch.clone()).await, Outcome::Kept);
                }
            });
        }
        while let Some(ended) = producers.join_next().await {
            ended.unwrap();
        }
    });
    let rate = rate(start);
    let groups = basin.stats().syncs - before;
    runtime.block_on(basin.close());
    (rate, groups)
}

/// The same bytes in as many groups, into one preallocated file.
fn bare(root: &Path, groups: u64) -> f64 {
    let total = (PRODUCERS * BATCHES_EACH * BATCH_BYTES) as u64;
    let file = OpenOptions::new().create_new(true).write(true).open(root.join("bare")).unwrap();
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, total).unwrap();
    file.sync_all().unwrap();
    let group = batch().text.repeat((total / groups) as usize / BATCH_BYTES + 1);
    let start = Instant::now();
    let mut at = 0;
    for index in 0..groups {
        let end = total * (index + 1) / groups;
        file.write_all_at(&group[..(end - at) as usize], at).unwrap();
        file.sync_data().unwrap();
        at = end;
    }
    rate(start)
}

fn rate(start: Instant) -> f64 {
    (PRODUCERS * BATCHES_EACH * BATCH_BYTES) as f64 / 1e6 / start.elapsed().as_secs_f64()
}

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
