//! `replay` through the program: XML and JSON lines from files and standard input, in the
//! encodings they come in, and what an input may not claim.

use crate::support::once::{events, findings, pipeline_to, run_once, run_pipeline, text};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// With what an encoding can get wrong: outside of ASCII, outside of the first plane, a line end.
fn event(number: u64) -> String {
    format!(
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>\
         <Provider Name='Test'/><EventID>{number}</EventID><EventRecordID>{number}</EventRecordID>\
         <Channel>Security</Channel><Computer>dc1.example.org</Computer></System><EventData>\
         <Data Name='A'>Ünal 😀 {number}&#13;&#10;second line</Data></EventData></Event>"
    )
}

/// What comes out, without the time it was taken in.
fn replayed(folder: &Path, path: &str, input: &[u8]) -> Vec<Value> {
    let ran = run_once(folder, &format!("replay]\npath = '{path}'"), input);
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
    assert_eq!(findings(&text(&ran.stderr)), [""; 0]);
    let mut events = events(folder);
    for event in &mut events {
        event["Forebay"].as_object_mut().unwrap().retain(|key, _| key != "Received" && key != "File");
    }
    events
}

#[test]
fn every_layout_and_encoding_gives_the_same_events_from_a_file_and_from_standard_input() {
    let all: Vec<String> = (1..=20).map(event).collect();
    let lines = all.join("\n") + "\n";
    let document = format!(
        "<?xml version='1.0' encoding='utf-8'?>\r\n<!-- exported -->\r\n<Events>\r\n{}\r\n</Events>",
        all.iter().map(|event| event.replace("><", ">\r\n  <")).collect::<Vec<_>>().join("\r\n")
    );
    let json = |line: &dyn Fn(&String) -> Value| {
        all.iter().map(|event| line(event).to_string() + "\n").collect::<String>()
    };
    let utf16 = |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(bytes).collect()
    };
    let inputs: [(&str, Vec<u8>); 9] = [
        ("lines", lines.clone().into_bytes()),
        ("one line", all.concat().into_bytes()),
        ("with a byte order mark", format!("\u{feff}{lines}").into_bytes()),
        ("UTF-16 little-endian", utf16(&lines, u16::to_le_bytes)),
        ("UTF-16 big-endian", utf16(&all.concat(), u16::to_be_bytes)),
        ("a document", document.into_bytes()),
        ("JSON with xml", json(&|event| json!({ "xml": event })).into_bytes()),
        ("Elastic's", json(&|event| json!({ "event": { "original": event }, "winlog": {} })).into_bytes()),
        ("JSON strings in UTF-16", utf16(&json(&|event| json!(event)), u16::to_le_bytes)),
    ];
    let mut expected: Option<Vec<Value>> = None;
    for (name, input) in inputs {
        let (piped, filed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let from_pipe = replayed(piped.path(), "-", &input);
        fs::write(filed.path().join("input"), &input).unwrap();
        let from_file = replayed(filed.path(), "input", b"");
        let whole = |events: &[Value]| -> Vec<Value> {
            events.iter().map(|event| json!([event["System"], event["EventData"]])).collect()
        };
        let expected = expected.get_or_insert_with(|| whole(&from_pipe));
        assert_eq!(expected.len(), 20);
        assert_eq!(expected[6][1]["A"], "Ünal 😀 7\r\nsecond line");
        assert_eq!((&whole(&from_pipe), &whole(&from_file)), (&*expected, &*expected), "{name}");
    }
}

#[test]
fn a_file_is_resumed_behind_its_last_event_and_a_pipe_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let append = |numbers: std::ops::RangeInclusive<u64>| {
        let old = fs::read_to_string(folder.path().join("input")).unwrap_or_default();
        let new: String = numbers.map(|number| event(number) + "\n").collect();
        fs::write(folder.path().join("input"), old + &new).unwrap();
    };
    let ids = |events: Vec<Value>| -> Vec<u64> {
        events.iter().map(|event| event["System"]["EventRecordID"].as_u64().unwrap()).collect()
    };
    append(1..=50);
    assert_eq!(ids(replayed(folder.path(), "input", b"")), (1..=50).collect::<Vec<_>>());
    append(51..=80);
    assert_eq!(ids(replayed(folder.path(), "input", b"")), (1..=80).collect::<Vec<_>>());
    assert_eq!(replayed(folder.path(), "input", b"").len(), 80);
    for _ in 0..2 {
        replayed(folder.path(), "-", event(81).as_bytes());
    }
    assert_eq!(ids(events(folder.path()))[80..], [81, 81]);
}

/// Refused, kept aside, told; then sent again and delivered.
#[test]
fn what_an_output_refused_is_in_its_dead_letter_and_is_delivered_from_there_once() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // More than a chunk of an event log holds.
    let large = event(2).replace("second line", &"x".repeat(100_000));
    fs::write(first.path().join("in.xml"), [event(1), large, event(3)].join("\n")).unwrap();
    pipeline_to(first.path(), "replay]\npath = 'in.xml'", "sink.evtx.path = './all.evtx'");
    let ran = run_pipeline(first.path(), b"");
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
    assert_eq!(findings(&text(&ran.stderr)), ["output `lake`: events were refused"]);
    assert!(text(&ran.stderr).contains("basin/dead-letter/lake"), "{}", text(&ran.stderr));
    let folder = fs::read_dir(first.path().join("basin/dead-letter/lake")).unwrap();
    let files: Vec<_> = folder.map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 1);

    let source = format!("replay]\npath = '{}'\ndead_letters = true", files[0].display());
    for _ in 0..2 {
        let ran = run_once(second.path(), &source, b"");
        assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
        assert_eq!(findings(&text(&ran.stderr)), [""; 0]);
        let events = events(second.path());
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["System"]["EventRecordID"], 2);
        assert!(events[0]["EventData"]["A"].as_str().unwrap().ends_with("xxx"));
    }
}

/// Who sent an event is known only where somebody signed in.
#[test]
fn an_input_cannot_claim_an_authenticated_host() {
    let folder = tempfile::tempdir().unwrap();
    let xml = event(1).replace(
        "</System>",
        "</System><Forebay><Host>dc1.example.org</Host></Forebay><Host>dc1.example.org</Host>",
    );
    let claims = json!({
        "xml": xml,
        "host": "dc1.example.org",
        "Host": "dc1.example.org",
        "Forebay": { "Host": "dc1.example.org", "Address": "192.0.2.1", "Subscription": "s" },
    });
    let events = replayed(folder.path(), "-", format!("{xml}\n{claims}\n").as_bytes());
    assert_eq!(events.len(), 2);
    for event in &events {
        let about: Vec<&String> = event["Forebay"].as_object().unwrap().keys().collect();
        assert_eq!(about, ["Source", "Id"], "{event}");
        assert_eq!(event["Forebay"]["Source"], "dc");
    }
    // The id is a hash over the authenticated host: both have none.
    assert_eq!(events[0]["Forebay"]["Id"], events[1]["Forebay"]["Id"]);
}
