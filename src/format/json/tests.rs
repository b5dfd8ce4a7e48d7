//! Golden files: `testdata/json/*.xml` in, `.json` out; `UPDATE=1` writes them anew.

use super::*;
use crate::event::{EventId, Note, NoteKind, Origin, Timestamp, XmlEvent};
use crate::format::Format;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

pub(super) fn encode(text: &[u8]) -> String {
    let (mut json, mut out) = (Json::default(), b"before".to_vec());
    let event = XmlEvent::parse(text).unwrap();
    json.event(&event, &Meta::default(), &mut out).unwrap();
    assert!(out.starts_with(b"before"));
    String::from_utf8(out[6..].to_vec()).unwrap()
}

#[track_caller]
fn check(body: &str, expected: &str) {
    let json = encode(format!("<Event><System/>{body}</Event>").as_bytes());
    assert_eq!(json, format!(r#"{{"System":{{}},{expected}}}"#));
}

fn golden_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/format/testdata/json");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "xml")).collect();
    files.sort();
    files
}

#[test]
fn every_shape_becomes_the_json_beside_it() {
    for path in golden_files() {
        let json = encode(&fs::read(&path).unwrap()) + "\n";
        serde_json::from_str::<Value>(&json).unwrap();
        let golden = path.with_extension("json");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&golden, json).unwrap();
        } else {
            assert_eq!(json, fs::read_to_string(&golden).unwrap(), "{}", path.display());
        }
    }
}

#[test]
fn both_quotes_and_any_layout_give_the_same_json() {
    let of = |name: &str| {
        fs::read_to_string(golden_files()[0].with_file_name(name).with_extension("json")).unwrap()
    };
    assert_eq!(of("logon"), of("double-quotes"));
    let with_rendering = of("pretty-printed");
    assert!(with_rendering.starts_with(of("logon").trim_end().strip_suffix('}').unwrap()));
}

#[test]
fn an_empty_element_is_an_empty_string_in_either_form() {
    check("<EventData><Data Name='A'/></EventData>", r#""EventData":{"A":""}"#);
    check("<EventData><Data Name='A'></Data></EventData>", r#""EventData":{"A":""}"#);
    check("<UserData><a/><b></b></UserData>", r#""UserData":{"a":"","b":""}"#);
}

#[test]
fn metadata_names_where_the_event_came_from() {
    let origin = Origin {
        source: "dc".into(),
        host: Some("dc1$@EXAMPLE.ORG".into()),
        address: Some("192.0.2.10".parse().unwrap()),
        subscription: Some("logons".into()),
        file: Some("C:\\a".into()),
        received: Timestamp::parse(b"2023-05-29T08:47:50.693054112Z").unwrap(),
    };
    let notes = [Note { event: 0, kind: NoteKind::Recovered, detail: "cut".into() }];
    let meta =
        Meta { origin: Some(&origin), id: Some(EventId([0xab; 16])), notes: &notes, ..Meta::default() };
    let mut json = Json::default();
    let expected = r#"{"System":{},"Forebay":{"Received":"2023-05-29T08:47:50.693054112Z","Source":"dc","Host":"dc1$@EXAMPLE.ORG","Address":"192.0.2.10","Subscription":"logons","File":"C:\\a","Id":"abababababababababababababababab","Notes":[{"Kind":"Recovered","Detail":"cut"}]}}"#;
    for _ in 0..2 {
        let mut out = Vec::new();
        let event = XmlEvent::parse(b"<Event><System/></Event>").unwrap();
        json.event(&event, &meta, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn what_cannot_be_read_is_passed_on_raw_with_the_error() {
    let mut out = b"x".to_vec();
    Json::default().raw(b"<Ev\"\xff\r\n", "it is cut", &Meta::default(), &mut out);
    let expected = "x{\"Forebay\":{\"Error\":\"it is cut\",\"Raw\":\"<Ev\\\"\u{fffd}\\r\\n\"}}";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn more_elements_than_the_limit_are_refused() {
    let text = format!("<Event><System/><a>{}</a></Event>", "<b/>".repeat(tape::NODES_MAX));
    let event = XmlEvent::parse(text.as_bytes()).unwrap();
    let (mut format, mut out) = (Format::Json(Json::default()), Vec::new());
    assert!(format.event(&event, &Meta::default(), &mut out).is_err());
    assert!(out.is_empty());
}
