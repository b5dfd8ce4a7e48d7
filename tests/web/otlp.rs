//! OTLP: what others read in our requests, every answer of the specification, and records that are rejected without
//! a word on which.

use super::{Rig, batch, is_free};
use crate::support::backends::{OtelTap, Place, otel_decode};
use crate::support::once::pipeline_to;
use crate::support::process::{Process, eventually, forebay, told};
use crate::support::web::{Receiver, Reply, Request, says};
use forebay::sink::{Encoded, SendError, Sent};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn rig(receiver: &Receiver, more: &str) -> Rig {
    Rig::new(&format!("[otlp]\nurl = '{}'\n{more}", receiver.url()))
}

fn events(count: usize) -> Arc<Encoded> {
    batch((0..count).map(|number| format!("<Event>{number:04}</Event>")))
}

/// The numbers of events in a request.
fn numbers(request: &Request) -> Vec<u32> {
    let text = String::from_utf8_lossy(&request.body).into_owned();
    text.split("<Event>").skip(1).map(|rest| rest[..4].parse().unwrap()).collect()
}

/// A message in the place of an answer.
fn partly(rejected: u8, message: &str) -> Reply {
    let inner = format!("\x08{}\x12{}{message}", rejected as char, message.len() as u8 as char);
    says(200, &format!("\n{}{inner}", inner.len() as u8 as char))
}

#[track_caller]
fn retry(result: Result<Sent, SendError>) -> Option<Duration> {
    match result {
        Err(SendError::Retry { after, .. }) => after,
        other => panic!("{other:?}"),
    }
}

/// A receiver that gives these answers, then says yes, and what it has taken by then.
fn receiver(replies: Vec<Reply>) -> (Receiver, Arc<Mutex<Vec<u32>>>) {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let (kept, replies) = (Arc::clone(&taken), Mutex::new(replies));
    let receiver = Receiver::start(move |request| {
        let mut replies = replies.lock().unwrap();
        if !replies.is_empty() {
            return replies.remove(0);
        }
        kept.lock().unwrap().extend(numbers(request));
        says(200, "")
    });
    (receiver, taken)
}

#[track_caller]
fn is_there_once(taken: &Mutex<Vec<u32>>, count: u32) {
    let mut taken = taken.lock().unwrap().clone();
    taken.sort_unstable();
    assert_eq!(taken, (0..count).collect::<Vec<u32>>());
}

#[test]
fn a_batch_is_sent_in_requests_and_each_event_is_there_once() {
    let (receiver, taken) = receiver(Vec::new());
    let mut rig = rig(
        &receiver,
        "request.bytes = '8KiB'\nheaders = { X-Scope-OrgID = 'blue' }\nauth.bearer_token = 't'",
    );
    for _ in 0..3 {
        taken.lock().unwrap().clear();
        let batch = events(2000);
        assert_eq!(rig.send(&batch), Ok(Sent::Confirmed));
        is_there_once(&taken, 2000);
        is_free(batch);
    }
    let requests = receiver.requests();
    assert!(requests.len() >= 30 && requests.iter().all(|request| request.body.len() <= 8 * 1024));
    for request in requests {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/logs"));
        for (name, value) in [
            ("content-type", "application/x-protobuf"),
            ("content-encoding", "gzip"),
            ("x-scope-orgid", "blue"),
            ("authorization", "Bearer t"),
        ] {
            assert_eq!(request.header(name), value);
        }
    }
    assert_eq!((rig.told().len(), rig.metrics.repeated.get()), (0, 0));
}

#[test]
fn a_busy_receiver_is_left_alone_for_as_long_as_it_says() {
    for status in [429, 502, 503, 504] {
        let busy = Reply::Status(status, vec![("Retry-After", "7".into())], String::new());
        let (receiver, taken) = receiver(vec![busy, says(status, "")]);
        let mut rig = rig(&receiver, "request.concurrency_max = 1");
        let batch = events(50);
        assert_eq!(retry(rig.send(&batch)), Some(Duration::from_secs(7)), "{status}");
        assert_eq!(retry(rig.send(&batch)), None, "{status}");
        assert_eq!(rig.send(&batch), Ok(Sent::Confirmed), "{status}");
        is_there_once(&taken, 50);
        rig.has_told(&format!("it answered {status}"));
    }
}

#[test]
fn who_is_not_let_in_is_told_so_and_goes_on_when_it_is_mended() {
    let elsewhere = Receiver::start(|_| says(200, ""));
    let redirect = Reply::Status(308, vec![("Location", elsewhere.url())], String::new());
    for (reply, words) in [
        (says(401, "\x12\x08no token"), "401: no token"),
        (says(403, r#"{"code":7,"message":"not yours"}"#), "403: not yours"),
        (says(404, "404 page not found"), "has nothing for us there"),
        (says(405, ""), "has nothing for us there"),
        (says(415, ""), "request.compression"),
        (redirect, "sends us elsewhere"),
    ] {
        let (receiver, taken) = receiver(vec![reply]);
        let mut rig = rig(&receiver, "request.concurrency_max = 1");
        let batch = events(10);
        assert_eq!(retry(rig.send(&batch)), Some(Duration::from_secs(60)), "{words}");
        rig.has_told(words);
        assert_eq!(rig.send(&batch), Ok(Sent::Confirmed), "{words}");
        is_there_once(&taken, 10);
    }
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn bad_data_is_searched_for_and_so_is_an_event_that_is_too_large() {
    for (status, body, words) in [
        (400, "\x08\x03\x12\x07no time", "400: no time"),
        (413, "20971520 bytes at most", "413: 20971520 bytes at most"),
    ] {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&taken);
        let receiver = Receiver::start(move |request| {
            let numbers = numbers(request);
            if numbers.contains(&37) {
                return says(status, body);
            }
            kept.lock().unwrap().extend(numbers);
            says(200, "")
        });
        let Ok(Sent::Partly(refused)) = rig(&receiver, "").send(&events(64)) else { panic!() };
        assert_eq!(refused.iter().map(|refused| refused.item).collect::<Vec<_>>(), [37]);
        assert!(refused[0].reason.ends_with(words), "{refused:?}");
        assert_eq!(taken.lock().unwrap().len(), 63);
    }
}

#[test]
fn of_a_request_with_rejected_records_all_are_refused_and_none_is_sent_again() {
    let (receiver, taken) = receiver(vec![partly(3, "timestamp too old")]);
    let mut rig = rig(&receiver, "request = { bytes = '64KiB', concurrency_max = 1 }");
    let batch = events(2000);
    let Ok(Sent::Partly(refused)) = rig.send(&batch) else { panic!() };
    let (all, asked) = (taken.lock().unwrap().clone(), receiver.requests());
    let first = numbers(&asked[0]);
    assert_eq!(
        refused.iter().map(|refused| refused.item).collect::<Vec<_>>(),
        first,
        "those of that request"
    );
    assert!(refused[0].reason.contains(&format!("3 of the {} events of a request", first.len())));
    assert!(refused[0].reason.ends_with("timestamp too old"), "{}", refused[0].reason);
    assert_eq!(all.len() + first.len(), 2000, "the others are there once");
    assert!(first.iter().all(|number| !all.contains(number)));
    rig.has_told("rejects some events of requests and does not say which");
    // Fewer share that from now on, and after some batches without, as many as before.
    let sizes = |rig: &mut Rig| {
        let before = receiver.requests().len();
        assert_eq!(rig.send(&batch), Ok(Sent::Confirmed));
        receiver.requests()[before..].iter().map(|request| request.body.len()).max().unwrap()
    };
    assert!(sizes(&mut rig) <= 16 * 1024);
    assert!(sizes(&mut rig) <= 32 * 1024);
    assert!(sizes(&mut rig) > 32 * 1024);
}

#[test]
fn what_is_said_beside_a_yes_is_told_and_what_is_rejected_whole_is_refused() {
    let (receiver, taken) = receiver(vec![partly(0, "use gzip"), partly(5, "no logs here")]);
    let mut rig = rig(&receiver, "");
    assert_eq!(rig.send(&events(5)), Ok(Sent::Confirmed));
    rig.has_told("use gzip");
    let Ok(Sent::Partly(refused)) = rig.send(&events(5)) else { panic!() };
    assert_eq!(refused.len(), 5);
    assert!(refused.iter().all(|refused| refused.reason.ends_with("refused: no logs here")), "{refused:?}");
    assert!(taken.lock().unwrap().is_empty());
}

#[test]
fn one_that_fails_over_an_event_keeps_it_waiting_for_a_while_and_not_for_ever() {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&taken);
    let receiver = Receiver::start(move |request| {
        let numbers = numbers(request);
        if numbers.contains(&5) {
            return says(500, "panic");
        }
        kept.lock().unwrap().extend(numbers);
        says(200, "")
    });
    let mut rig = rig(&receiver, "");
    let batch = events(8);
    for _ in 0..20 {
        assert_eq!(retry(rig.send(&batch)), None);
    }
    let Ok(Sent::Partly(refused)) = rig.send(&batch) else { panic!() };
    assert_eq!(refused.iter().map(|refused| refused.item).collect::<Vec<_>>(), [5]);
    assert!(refused[0].reason.ends_with("500: panic"), "{refused:?}");
    assert_eq!(taken.lock().unwrap().len(), 7);
    rig.has_told("in trouble");
}

#[test]
fn a_request_without_records_asks_whether_all_is_well() {
    let (receiver, _) = receiver(vec![says(200, ""), says(401, "\x12\x02no"), says(404, "")]);
    let probe = || {
        let text = format!("otlp = {{ url = '{}' }}", receiver.url());
        let sink = toml::from_str::<forebay::sink::SinkConfig>(&text).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(sink.probe("siem"))
    };
    assert_eq!(probe(), []);
    assert!(probe()[0].why.contains("401: no"));
    assert!(probe()[0].what.contains("has nothing for us there"));
    let requests = receiver.requests();
    assert!(requests.iter().all(|request| request.method == "POST" && request.body.is_empty()));
}

/// An attribute of those in a list.
fn attribute<'v>(of: &'v Value, name: &str) -> &'v Value {
    let all = of["attributes"].as_array().unwrap();
    let found = all.iter().find(|one| one["key"] == name).unwrap_or_else(|| panic!("no {name} in {of}"));
    &found["value"]
}

/// The whole program over the sample log, to a receiver that keeps requests, which are then read with the classes
/// that OpenTelemetry publishes.
#[test]
fn requests_are_read_by_the_classes_of_opentelemetry() {
    const TEST: &str = "requests_are_read_by_the_classes_of_opentelemetry";
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|_| says(200, ""));
    let output = format!(
        "sink.otlp = {{ url = '{}', body = 'map', resource = {{ site = 'main' }}, request.bytes = '64KiB' }}",
        receiver.url()
    );
    pipeline_to(folder.path(), "evtx]\npath = 'sample.evtx'", &output);
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/sample.evtx");
    fs::copy(sample, folder.path().join("sample.evtx")).unwrap();
    let run = Process::start(forebay(folder.path(), &["run", "--once", "pipeline.toml"]));
    assert_eq!(run.code(), Some(0), "{}", told(folder.path()));
    let mut records = Vec::new();
    for request in receiver.requests() {
        let Some(read) = otel_decode(TEST, folder.path(), &request.body) else { return };
        let logs = &read["resourceLogs"][0];
        assert_eq!(attribute(&logs["resource"], "service.name")["stringValue"], "forebay");
        assert_eq!(attribute(&logs["resource"], "site")["stringValue"], "main");
        assert_eq!(logs["scopeLogs"][0]["scope"]["name"], "forebay");
        records.extend(logs["scopeLogs"][0]["logRecords"].as_array().unwrap().clone());
    }
    assert_eq!(records.len(), 160);
    let ids: BTreeSet<&str> = records
        .iter()
        .map(|record| attribute(record, "log.record.uid")["stringValue"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 160);
    for record in &records {
        let body = record["body"]["kvlistValue"]["values"].as_array().unwrap();
        let system = body.iter().find(|pair| pair["key"] == "System").unwrap();
        let system = system["value"]["kvlistValue"]["values"].as_array().unwrap();
        let of_system = |key: &str| &system.iter().find(|pair| pair["key"] == key).unwrap()["value"];
        assert_eq!(attribute(record, "winlog.event_id"), of_system("EventID"));
        assert_eq!(attribute(record, "winlog.record_id"), of_system("EventRecordID"));
        assert_eq!(attribute(record, "host.name"), of_system("Computer"));
        assert_eq!(attribute(record, "winlog.channel"), of_system("Channel"));
        let time: i64 = record["timeUnixNano"].as_str().unwrap().parse().unwrap();
        let written = of_system("TimeCreated")["stringValue"].as_str().unwrap();
        assert_eq!(forebay::event::Timestamp::parse(written.as_bytes()).unwrap().0, time);
        assert!(record["observedTimeUnixNano"].is_string());
        assert!(record["severityText"].is_string(), "{record}");
    }
}

/// The same with XML, to a receiver of others, which prints what it reads.
#[test]
fn records_are_read_by_oteltap() {
    const TEST: &str = "records_are_read_by_oteltap";
    let folder = tempfile::tempdir().unwrap();
    let Some(tap) = OtelTap::start(TEST, folder.path(), Place::HERE) else { return };
    let output = format!(
        "format.xml.framing = 'none'\nsink.otlp = {{ url = 'http://127.0.0.1:{}', request.compression = 'none' }}",
        tap.port
    );
    pipeline_to(folder.path(), "evtx]\npath = 'sample.evtx'", &output);
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/sample.evtx");
    fs::copy(sample, folder.path().join("sample.evtx")).unwrap();
    let checked = Process::start(forebay(folder.path(), &["check", "--probe", "pipeline.toml"]));
    assert_eq!(checked.code(), Some(0), "{}", told(folder.path()));
    let run = Process::start(forebay(folder.path(), &["run", "--once", "pipeline.toml"]));
    assert_eq!(run.code(), Some(0), "{}", told(folder.path()));
    eventually("all is printed", || tap.records().len() >= 160);
    let bodies: BTreeSet<String> = tap.bodies().into_iter().collect();
    assert_eq!(bodies.len(), 160);
    assert!(bodies.iter().all(|body| body.starts_with("<Event ") && body.ends_with("</Event>")));
}
