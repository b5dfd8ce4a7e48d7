//! Kills, of us and of the broker, while hosts push: what was acknowledged to them is in Kafka.

use super::*;
use crate::support::backends::S3;
use crate::support::dice::Dice;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[test]
fn kills_of_us_and_of_the_broker_lose_nothing_that_was_acknowledged() {
    const TEST: &str = "kills_of_us_and_of_the_broker_lose_nothing_that_was_acknowledged";
    let folder = tempfile::tempdir().unwrap();
    let Some(s3) = S3::start(TEST, folder.path(), Place::HERE, "tansu") else { return };
    let Some(mut broker) = Tansu::start(TEST, folder.path(), Place::HERE, Store::S3(s3.address)) else {
        return;
    };
    // Why this broker must not know messages by their number: `matrix.rs`.
    let sink = "topic = 'windows'\nidempotent = false\ncreate = { partitions = 4 }";
    let node = Node::new(broker.port, sink, "");
    let (acknowledged, stop) = (Mutex::new(BTreeMap::new()), AtomicBool::new(false));
    let mut dice = Dice::new(TEST);
    let running = std::thread::scope(|scope| {
        let mut running = node.run();
        for number in 0..4 {
            let (node, acknowledged, stop) = (&node, &acknowledged, &stop);
            scope.spawn(move || push(node, number, acknowledged, stop));
        }
        let _stops = Stops(&stop);
        for round in 0..6 {
            std::thread::sleep(dice.millis(300..1200));
            if round % 3 == 2 {
                broker.kill();
                std::thread::sleep(dice.millis(0..500));
                broker.restart();
            } else {
                running.kill();
                running = node.run();
            }
        }
        std::thread::sleep(Duration::from_millis(500));
        running
    });
    let before = node.metric("forebay_output_lag_events");
    eventually("Kafka has everything", || node.metric("forebay_output_lag_events") == 0);
    node.stops(running);
    let messages = reading::all(broker.port, "windows");
    let mut found: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for message in &messages {
        let (computer, record) = record(message);
        found.entry(computer).or_default().insert(record);
    }
    let mut events = 0;
    for (host, last) in acknowledged.into_inner().unwrap() {
        let of_host = found.remove(&host).unwrap_or_default();
        assert!((1..=last).all(|record| of_host.contains(&record)), "{host} lacks some of 1 to {last}");
        events += last;
    }
    let copies = messages.len() - reading::distinct_ids(&messages);
    println!(
        "{events} acknowledged, {before} of them behind at the end, {} messages, {copies} copies",
        messages.len()
    );
    assert!(events > 500, "{events}");
}

struct Stops<'s>(&'s AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// As Windows: asks, goes on from the bookmark it is given, sends a batch again until it is acknowledged.
fn push(node: &Node, number: usize, acknowledged: &Mutex<BTreeMap<String, u64>>, stop: &AtomicBool) {
    let mut host = Host::new(&format!("h{number}.example.org"), node.port);
    let mut next = 1;
    while !stop.load(Ordering::Relaxed) {
        let offered = host.ask(WEC).ok().map(only);
        while let Some(offered) = offered.as_ref().filter(|_| !stop.load(Ordering::Relaxed)) {
            let events = batch(&host, next..=next + 4);
            match host.deliver(offered, &events, &bookmark("Security", next + 4)) {
                Ok(answer) if answer.is_ack() => {
                    acknowledged.lock().unwrap().insert(host.name.clone(), next + 4);
                    next += 5;
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
        host.hang_up();
        std::thread::sleep(Duration::from_millis(20));
    }
}
