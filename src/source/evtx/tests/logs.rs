//! Logs that are written, wrapped, renamed and replaced while they are followed.

use super::harness::{Bench, pause};

#[tokio::test]
async fn a_log_is_read_once_and_resumed_exactly() {
    let bench = Bench::new();
    let mut log = bench.writer("a.evtx", 100);
    log.write(1..=500);
    assert_eq!(bench.once().await.unwrap().counts.events, 500);
    assert_eq!(bench.once().await.unwrap().counts.events, 0);
    log.write(501..=503);
    log.write(504..=900);
    bench.once().await.unwrap();
    assert_eq!(bench.numbers(), (1..=900).collect::<Vec<_>>());
    assert_eq!(bench.harness.batches()[0].origin.host, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_is_followed_over_its_wraps_and_over_restarts() {
    let bench = Bench::new();
    let mut log = bench.writer("a.evtx", 8);
    for restart in 0..8 {
        let summary = bench
            .following(async {
                for step in 0..5 {
                    let first = restart * 300 + step * 60 + 1;
                    log.write(first..first + 30);
                    log.write(first + 30..first + 60);
                    // The last step of each is read by the next start.
                    if step < 4 {
                        bench.reached((first + 59) as usize).await;
                    }
                }
            })
            .await;
        assert_eq!(summary.findings, []);
    }
    bench.once().await.unwrap();
    assert_eq!(bench.numbers(), (1..=2400).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_was_overwritten_unread_is_a_finding_with_the_ids() {
    let bench = Bench::new();
    let mut log = bench.writer("a.evtx", 4);
    log.write(1..=100);
    bench.once().await.unwrap();
    log.write(101..=1000);
    let summary = bench.once().await.unwrap();
    let numbers = bench.numbers();
    let first = numbers[100];
    assert!(first > 101);
    assert_eq!(numbers[100..], (first..=1000).collect::<Vec<_>>());
    assert!(summary.findings[0].what.ends_with(&format!("records 101 to {} are lost", first - 1)));
    assert_eq!((summary.counts.lost_ranges, summary.counts.lost_events), (1, first - 101));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archived_log_is_finished_first_and_not_read_again() {
    let bench = Bench::new();
    let archive = bench.path("Archive-Security-2024-01-14-18-33-55-830.evtx");
    let mut log = bench.writer("Security.evtx", 100);
    log.write(1..=200);
    let summary = bench
        .following(async {
            bench.reached(200).await;
            log.write(201..=400);
            std::fs::rename(bench.path("Security.evtx"), &archive).unwrap();
            log.write(401..=420);
            log.close();
            let mut log = super::harness::Writer::new(&bench.path("Security.evtx"), 100, 421);
            log.clock += 1_000_000_000;
            log.write(421..=600);
            bench.reached(600).await;
            pause(100).await;
        })
        .await;
    assert_eq!(summary.findings, []);
    assert_eq!(bench.numbers(), (1..=600).collect::<Vec<_>>());
    assert_eq!(bench.once().await.unwrap().counts.events, 0);
}

#[tokio::test]
async fn a_log_that_was_archived_meanwhile_is_known_again() {
    let bench = Bench::new();
    let mut log = bench.writer("Security.evtx", 100);
    log.write(1..=200);
    bench.once().await.unwrap();
    log.write(201..=300);
    log.close();
    std::fs::rename(bench.path("Security.evtx"), bench.path("Archive-Security-2024-01-14-18-33-55-830.evtx"))
        .unwrap();
    let mut log = super::harness::Writer::new(&bench.path("Security.evtx"), 100, 301);
    log.clock += 1_000_000_000;
    log.write(301..=400);
    let summary = bench.once().await.unwrap();
    assert_eq!(summary.findings, []);
    assert_eq!(bench.numbers(), (1..=400).collect::<Vec<_>>());
    assert_eq!(bench.once().await.unwrap().counts.events, 0);
}

#[tokio::test]
async fn a_copy_of_the_same_log_that_went_on_is_resumed() {
    let bench = Bench::new();
    let mut log = bench.writer("a.evtx", 100);
    log.write(1..=100);
    bench.once().await.unwrap();
    log.write(101..=200);
    std::fs::copy(bench.path("a.evtx"), bench.path("copy")).unwrap();
    std::fs::rename(bench.path("copy"), bench.path("a.evtx")).unwrap();
    bench.once().await.unwrap();
    assert_eq!(bench.numbers(), (1..=200).collect::<Vec<_>>());
}

/// As copy jobs do it: a new file that takes the name when it is whole.
#[tokio::test(flavor = "multi_thread")]
async fn copies_that_replace_each_other_while_they_are_followed_are_read_as_one_log() {
    let bench = Bench::new();
    let mut log = bench.writer("original", 8);
    log.write(1..=100);
    let copy = || {
        std::fs::copy(bench.path("original"), bench.path("copy")).unwrap();
        std::fs::rename(bench.path("copy"), bench.path("a.evtx")).unwrap();
    };
    copy();
    let summary = bench
        .following(async {
            for step in 1..=8 {
                bench.reached(step * 100).await;
                log.write(step as u64 * 100 + 1..=step as u64 * 100 + 100);
                copy();
            }
            bench.reached(900).await;
            pause(100).await;
        })
        .await;
    assert_eq!(bench.numbers(), (1..=900).collect::<Vec<_>>());
    assert_eq!(summary.findings, []);
    assert_eq!(bench.once().await.unwrap().counts.events, 0);
}

/// As when a share is not mounted for a while: shorter and longer than a handle is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_name_is_gone_for_a_while_is_resumed() {
    for (gone, back) in [(200, 6000), (6000, 200)] {
        let bench = Bench::new();
        let away = bench.path("away");
        let mut log = bench.writer("a.evtx", 100);
        log.write(1..=100);
        bench
            .following(async {
                bench.reached(100).await;
                std::fs::rename(bench.path("a.evtx"), &away).unwrap();
                pause(gone).await;
                std::fs::rename(&away, bench.path("a.evtx")).unwrap();
                pause(back).await;
                log.write(101..=200);
                bench.reached(200).await;
                pause(100).await;
            })
            .await;
        assert_eq!(bench.numbers(), (1..=200).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_cleared_or_replaced_is_read_from_its_start() {
    let bench = Bench::new();
    let mut log = bench.writer("a.evtx", 100);
    log.write(1..=100);
    bench
        .following(async {
            bench.reached(100).await;
            // In place, as a clearing does it.
            let mut cleared = bench.writer("a.evtx", 100);
            cleared.clock = log.clock + 10_000_000;
            cleared.write(1..=30);
            bench.reached(130).await;
            // By another file.
            let mut other = bench.writer("other", 100);
            other.clock = log.clock + 20_000_000;
            other.write(1..=20);
            std::fs::rename(bench.path("other"), bench.path("a.evtx")).unwrap();
            bench.reached(150).await;
            pause(100).await;
        })
        .await;
    assert_eq!(bench.numbers(), (1..=100).chain(1..=30).chain(1..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_first_start_may_skip_what_is_there_but_nothing_later() {
    let bench = Bench::new();
    let mut log = bench.writer("a.evtx", 100);
    log.write(1..=100);
    let mut config = bench.config();
    config.read_existing = false;
    bench.run(config.clone()).await.unwrap();
    assert!(bench.numbers().is_empty());
    log.write(101..=150);
    bench.run(config).await.unwrap();
    assert_eq!(bench.numbers(), (101..=150).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_filter_drops_before_the_basin_and_the_position_goes_on() {
    let bench = Bench::new();
    let mut log = bench.writer("a.evtx", 100);
    log.write(1..=100);
    let mut config = bench.config();
    config.filter = Some(toml::from_str("keep = { id = 7 }").unwrap());
    let summary = bench.run(config).await.unwrap();
    assert_eq!(bench.numbers(), [7, 17, 27, 37, 47, 57, 67, 77, 87, 97]);
    assert_eq!(summary.counts.filtered, 90);
    assert_eq!(bench.once().await.unwrap().counts.events, 0);
}
