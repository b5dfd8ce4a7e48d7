//! The whole program into moto: what hosts were acknowledged is read back by a client that nobody here wrote.

use super::unpacked;
use crate::support::backends::{Place, S3};
use crate::support::process::{eventually, told};
use crate::web::ledger::{fleet, site, stopped, verify_at};
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

/// What stands behind `sink.s3`.
fn sink(s3: &S3, more: &str) -> String {
    format!(
        "format.json = {{}}\nsink.s3 = {{ bucket = 'archive', endpoint = 'http://{}', \
         auth = {{ access_key_id = 'a', secret_access_key = 's' }}, {more} }}\n",
        s3.address
    )
}

/// All objects as lines in `read-back.jsonl`; their keys.
fn read_back(s3: &S3, folder: &Path) -> Vec<String> {
    assert_eq!(s3.take(folder), 0, "no upload is left");
    let objects = unpacked(&folder.join("objects"));
    let (keys, texts): (Vec<_>, Vec<_>) = objects.into_iter().unzip();
    fs::write(folder.join("read-back.jsonl"), texts.concat()).unwrap();
    keys
}

#[test]
fn what_hosts_sent_is_in_the_bucket_once_by_time_and_channel_though_we_are_killed() {
    const TEST: &str = "what_hosts_sent_is_in_the_bucket_once_by_time_and_channel_though_we_are_killed";
    for packing in ["zstd", "gzip"] {
        let folder = tempfile::tempdir().unwrap();
        let Some(s3) = S3::start(TEST, folder.path(), Place::HERE, "archive") else { return };
        let more = format!("compression = '{packing}', age_max = '250ms', extension = 'jsonl'");
        let site = site(&sink(&s3, &more));
        let mut running = site.run();
        let hosts = fleet(&site, 6_000);
        for pause in [300, 400, 500] {
            std::thread::sleep(Duration::from_millis(pause));
            running.kill();
            running = site.run();
        }
        assert_eq!(hosts.code(), Some(0), "{}", told(site.path()));
        stopped(&site, running);
        let keys = read_back(&s3, site.path());
        let end = if packing == "zstd" { ".jsonl.zst" } else { ".jsonl.gz" };
        assert!(keys.iter().all(|key| key.starts_with("windows/") && key.ends_with(end)), "{keys:?}");
        let channels: BTreeSet<&str> = keys.iter().map(|key| key.split('/').nth(1).unwrap()).collect();
        assert_eq!(channels.into_iter().collect::<Vec<_>>(), ["Security", "System"]);
        println!("{} objects", keys.len());
        verify_at(&site, "read-back.jsonl", 6_000);
        assert!(!told(site.path()).contains("finding"), "{}", told(site.path()));
    }
}

#[test]
fn an_object_that_is_large_goes_in_parts_when_we_stop() {
    const TEST: &str = "an_object_that_is_large_goes_in_parts_when_we_stop";
    let folder = tempfile::tempdir().unwrap();
    let Some(s3) = S3::start(TEST, folder.path(), Place::HERE, "archive") else { return };
    let more = "compression = 'none', key_prefix = 'all/', size_max = '96MiB', age_max = '1h'";
    let site = site(&sink(&s3, more));
    site.add("[limits]\nmemory_max = '1GiB'\n");
    let running = site.run();
    assert_eq!(fleet(&site, 16_000).code(), Some(0), "{}", told(site.path()));
    assert_eq!(s3.take(site.path()), 0, "all of it is held");
    stopped(&site, running);
    let keys = read_back(&s3, site.path());
    assert_eq!(keys.len(), 1, "{keys:?}");
    let bytes = fs::metadata(site.path().join("objects").join(&keys[0])).unwrap().len();
    println!("{bytes} bytes in one object");
    assert!(bytes > 8 << 20, "it goes in one piece");
    verify_at(&site, "read-back.jsonl", 16_000);
}

#[test]
fn a_reload_sends_nothing_twice_and_lag_tells_what_is_held() {
    const TEST: &str = "a_reload_sends_nothing_twice_and_lag_tells_what_is_held";
    let folder = tempfile::tempdir().unwrap();
    let Some(s3) = S3::start(TEST, folder.path(), Place::HERE, "archive") else { return };
    let site = site(&sink(&s3, "age_max = '1h'"));
    let http = crate::support::process::free_port();
    site.add(&format!("[http]\nlisten = '127.0.0.1:{http}'\n"));
    let running = site.run();
    assert_eq!(fleet(&site, 2_000).code(), Some(0), "{}", told(site.path()));
    let metric = |name: &str| {
        // Nobody listens between two lives.
        let mut text = String::new();
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", http)) {
            let _ =
                stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            let _ = stream.read_to_string(&mut text);
        }
        let name = format!("forebay_output_{name}{{output=\"siem\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)?.parse::<f64>().ok()).unwrap_or(-1.0)
    };
    eventually("all of it is held", || metric("in_flight_events") == 2_000.0);
    eventually("that is told", || metric("lag_events") == 2_000.0);
    assert_eq!(metric("events_total"), 0.0);
    let pipeline = site.path().join("pipeline.toml");
    let written = fs::read_to_string(&pipeline).unwrap();
    fs::write(&pipeline, written.replace("age_max = '1h'", "age_max = '1s'")).unwrap();
    running.reload();
    eventually("the next life has brought all of it", || metric("events_total") == 2_000.0);
    stopped(&site, running);
    read_back(&s3, site.path());
    verify_at(&site, "read-back.jsonl", 2_000);
}

#[test]
fn a_bucket_that_is_not_there_is_told_and_gets_everything_when_it_is() {
    const TEST: &str = "a_bucket_that_is_not_there_is_told_and_gets_everything_when_it_is";
    let folder = tempfile::tempdir().unwrap();
    let Some(s3) = S3::start(TEST, folder.path(), Place::HERE, "another") else { return };
    let site = site(&sink(&s3, "age_max = '200ms'"));
    let running = site.run();
    assert_eq!(fleet(&site, 400).code(), Some(0), "{}", told(site.path()));
    eventually("it is told", || told(site.path()).contains("there is no such bucket"));
    // Who waits for an operator is stopped without delay, and goes on in the next life.
    stopped(&site, running);
    s3.make("archive");
    let running = site.run();
    std::thread::sleep(Duration::from_millis(500));
    stopped(&site, running);
    // The client looks into the bucket that it was started with.
    let s3 = s3.of("archive");
    read_back(&s3, site.path());
    verify_at(&site, "read-back.jsonl", 400);
}
