//! Bad input: one clear line, and the events around it still arrive.

use super::harness::{Bench, log, pause};
use crate::evtx::chunk::{CHUNK_BYTES, RawRecord};
use std::path::Path;

fn chunk_start(slot: usize) -> usize {
    4096 + slot * CHUNK_BYTES
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_deleted_while_it_is_followed_is_told_and_the_others_go_on() {
    let bench = Bench::new();
    let (mut a, mut b) = (bench.writer("a.evtx", 100), bench.writer("b.evtx", 100));
    a.write(1..=50);
    b.write(1..=50);
    let summary = bench
        .following(async {
            bench.reached(100).await;
            a.write(51..=60);
            std::fs::remove_file(bench.path("a.evtx")).unwrap();
            bench.reached(110).await;
            b.write(51..=60);
            bench.reached(120).await;
            pause(100).await;
        })
        .await;
    assert_eq!(summary.findings.len(), 1, "{:?}", summary.findings);
    assert!(summary.findings[0].what.contains("a.evtx was deleted"));
}

#[tokio::test]
async fn files_that_are_no_logs_are_told_and_the_others_are_read() {
    let bench = Bench::new();
    std::fs::write(bench.path("empty.evtx"), b"").unwrap();
    std::fs::write(bench.path("text.evtx"), vec![b'x'; 100_000]).unwrap();
    std::fs::write(bench.path("zeros.evtx"), vec![0; 100_000]).unwrap();
    std::os::unix::fs::symlink("loop.evtx", bench.path("loop.evtx")).unwrap();
    std::fs::write(bench.path("good.evtx"), log(100)).unwrap();
    std::fs::create_dir(bench.path("folder.evtx")).unwrap();
    let summary = bench.once().await.unwrap();
    assert_eq!(bench.numbers(), (1..=100).collect::<Vec<_>>());
    let told: Vec<String> = summary.findings.iter().map(ToString::to_string).collect();
    for words in ["empty.evtx is empty", "text.evtx is not", "zeros.evtx is not", "lead in a circle"] {
        assert_eq!(told.iter().filter(|line| line.contains(words)).count(), 1, "{words} in {told:?}");
    }
    assert_eq!(told.len(), 4);
}

#[tokio::test]
async fn a_path_without_any_log_is_an_error() {
    let bench = Bench::new();
    let error = bench.once().await.unwrap_err().to_string();
    assert!(error.contains("nothing to read"), "{error}");
}

#[tokio::test]
async fn a_truncated_log_is_read_up_to_the_cut() {
    let bench = Bench::new();
    let mut bytes = log(300);
    bytes.truncate(chunk_start(2) + 20_000);
    std::fs::write(bench.path("a.evtx"), bytes).unwrap();
    let summary = bench.once().await.unwrap();
    let numbers = bench.numbers();
    // The record at the cut travels raw.
    let whole = numbers.len() - 1;
    assert!(whole > 130 && numbers[..whole] == (1..=whole as u64).collect::<Vec<_>>(), "{numbers:?}");
    assert_eq!((numbers[whole], summary.counts.undecodable), (0, 1));
    assert!(summary.findings[0].to_string().contains("truncated: it ends inside chunk 2"));
}

#[tokio::test]
async fn the_events_around_a_damaged_record_arrive_and_it_travels_raw() {
    let bench = Bench::new();
    let mut bytes = log(300);
    let start = chunk_start(1);
    let mut at = 512;
    for _ in 0..3 {
        at = RawRecord::at(&bytes[start..start + CHUNK_BYTES], at).unwrap().end();
    }
    bytes[start + at..start + at + 300].fill(0xee);
    std::fs::write(bench.path("a.evtx"), bytes).unwrap();
    let summary = bench.once().await.unwrap();
    let numbers = bench.numbers();
    assert_eq!(numbers.len(), 300, "{:?}", summary.findings);
    assert_eq!(numbers.iter().filter(|&&number| number == 0).count(), 1);
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1] || pair[0] == 0 || pair[1] == 0));
    assert!(bench.harness.events().iter().any(|event| event.starts_with("!<Undecodable Offset='")));
    assert_eq!(summary.counts.undecodable, 1);
    assert_eq!(bench.once().await.unwrap().counts.events, 0);
}

#[tokio::test]
async fn a_damaged_chunk_header_costs_nothing() {
    let bench = Bench::new();
    let mut bytes = log(300);
    bytes[chunk_start(1)..chunk_start(1) + 8].fill(0xee);
    std::fs::write(bench.path("a.evtx"), bytes).unwrap();
    bench.once().await.unwrap();
    let mut numbers = bench.numbers();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=300).collect::<Vec<_>>());
    assert_eq!(bench.once().await.unwrap().counts.events, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_chunk_header_costs_nothing_in_a_log_that_is_open() {
    // Chunks of about a hundred: one that is read, one that is not, the one that was read last.
    for (read, damaged) in [(250, 1), (50, 1), (250, 2)] {
        let bench = Bench::new();
        let mut log = bench.writer("a.evtx", 100);
        log.write(1..=read);
        let summary = bench
            .following(async {
                bench.reached(read as usize).await;
                std::fs::rename(bench.path("a.evtx"), bench.path("away")).unwrap();
                log.write(read + 1..=400);
                let mut bytes = std::fs::read(bench.path("away")).unwrap();
                bytes[chunk_start(damaged)..chunk_start(damaged) + 8].fill(0xee);
                std::fs::write(bench.path("away"), bytes).unwrap();
                std::fs::rename(bench.path("away"), bench.path("a.evtx")).unwrap();
                bench.reached(400).await;
                pause(100).await;
            })
            .await;
        assert_eq!(summary.counts.lost_ranges, 0, "{:?}", summary.findings);
        assert_eq!(bench.numbers(), (1..=400).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_being_written_is_waited_for() {
    let bench = Bench::new();
    let whole = log(100);
    let mut log = bench.writer("a.evtx", 100);
    log.write(1..=40);
    let path = bench.path("a.evtx");
    let torn = std::fs::read(&path).unwrap();
    // The header counts sixty records, of which the last twenty are not there yet.
    let mut ahead = torn.clone();
    log.write(41..=60);
    let complete = std::fs::read(&path).unwrap();
    ahead[4096..4608].copy_from_slice(&complete[4096..4608]);
    std::fs::write(&path, &ahead).unwrap();
    let summary = bench
        .following(async {
            bench.reached(40).await;
            pause(200).await;
            assert_eq!(bench.numbers().len(), 40);
            std::fs::write(&path, &complete).unwrap();
            bench.reached(60).await;
        })
        .await;
    assert_eq!(summary.findings, []);
    assert_eq!(bench.numbers(), (1..=60).collect::<Vec<_>>());
    assert!(whole.len() > torn.len());
}

#[tokio::test]
async fn every_record_of_the_corpus_arrives_once() {
    let Some(corpus) = corpus() else {
        return println!("SKIP every_record_of_the_corpus_arrives_once: no corpus");
    };
    for name in ["bench/security.evtx", "bench/forwarded.evtx"] {
        let bench = Bench::new();
        let path = Path::new(&corpus).join(name);
        std::os::unix::fs::symlink(&path, bench.path("a.evtx")).unwrap();
        let (mut decoder, mut expected) = (crate::evtx::Decoder::new(), 0);
        for chunk in std::fs::read(&path).unwrap()[4096..].chunks_exact(CHUNK_BYTES) {
            let _ = decoder.chunk(chunk, 512, |_| {
                expected += 1;
                std::ops::ControlFlow::Continue(())
            });
        }
        assert_eq!(bench.once().await.unwrap().counts.events, expected, "{name}");
        assert_eq!(bench.once().await.unwrap().counts.events, 0);
    }
}

fn corpus() -> Option<String> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus");
    let corpus = std::env::var("FOREBAY_CORPUS").unwrap_or_else(|_| beside.into()) + "/evtx";
    Path::new(&corpus).is_dir().then_some(corpus)
}
