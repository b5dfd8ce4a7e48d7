//! The exposition as scrapers read it.

use super::*;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};

fn filled() -> Metrics {
    let metrics = Metrics::new();
    metrics.source("dc").events.inc_by(3);
    let entrance = metrics.entrance("dc", &["connections"], &["expired", "revoked"], &["clock_skew"]);
    std::mem::forget(entrance.clone().open());
    entrance.failed.count("revoked");
    entrance.failed.count("nothing that was named");
    let lake = metrics.output("lake");
    lake.events.inc_by(2);
    lake.lag_seconds.set(1.5);
    lake.send_seconds.observe(0.01);
    metrics.kafka("lake").brokers_up.set(3);
    metrics.basin.sync_seconds.observe(0.002);
    metrics
}

#[test]
fn every_name_is_told_once_with_help_and_type_before_its_samples() {
    let metrics = filled();
    let text = metrics.exposition();
    let names: BTreeSet<&str> = metrics.table().iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names.len(), metrics.table().len());
    for row in metrics.table() {
        assert_eq!(text.matches(&format!("# HELP {} {}.\n", row.name, row.help)).count(), 1, "{}", row.name);
        assert_eq!(text.matches(&format!("# TYPE {} {}\n", row.name, row.kind)).count(), 1, "{}", row.name);
    }
    assert!(text.contains("forebay_source_events_total{source=\"dc\"} 3\n"), "{text}");
    assert!(text.contains("forebay_source_connections{source=\"dc\"} 1\n"), "{text}");
    drop(metrics.entrance("dc", &[], &[], &[]).open());
    assert_eq!(metrics.exposition(), text, "it is closed again");
    let failed = "forebay_source_failed_handshakes_total{source=\"dc\",reason=";
    assert!(text.contains(&format!("{failed}\"expired\"}} 0\n")), "{text}");
    assert!(text.contains(&format!("{failed}\"revoked\"}} 1\n")), "{text}");
    assert_eq!(text.matches(failed).count(), 2, "{text}");
    assert!(text.contains("forebay_output_lag_seconds{output=\"lake\"} 1.5\n"), "{text}");
    assert!(text.contains("forebay_basin_sync_seconds_count 1\n"), "{text}");
}

#[test]
fn two_handles_of_one_output_count_together() {
    let metrics = filled();
    metrics.output("lake").events.inc();
    assert_eq!(metrics.output("lake").events.get(), 3);
    assert_eq!(metrics.output("siem").events.get(), 0);
}

#[test]
fn promtool_finds_nothing_to_say() {
    let tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut tool) = tool else {
        println!("SKIP promtool_finds_nothing_to_say: promtool is not installed");
        return;
    };
    std::io::Write::write_all(&mut tool.stdin.take().unwrap(), filled().exposition().as_bytes()).unwrap();
    let said = tool.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&said.stdout) + String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && words.trim().is_empty(), "{words}");
}
