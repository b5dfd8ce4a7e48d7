//! `testdata/openwec/*.json` is what OpenWEC itself wrote (a41b95f, after 0.3.0) of the event beside it, or of that in
//! `testdata/json`, without its object `OpenWEC`; `benches/site/openwec.py` writes them.

use super::*;
use crate::event::{Note, NoteKind, Timestamp, XmlEvent};
use crate::format::Format;
use serde_json::{Map, Value as Json, json};
use std::fs;
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/format/testdata").join(name)
}

fn written(config: &str, meta: &Meta<'_>, text: &[u8]) -> Map<String, Json> {
    let mut openwec = Format::Openwec(Openwec::new(&toml::from_str(config).unwrap()));
    let mut out = b"before".to_vec();
    match XmlEvent::parse(text).and_then(|event| openwec.event(&event, meta, &mut out)) {
        Ok(()) => {}
        Err(error) => {
            assert_eq!(out, b"before");
            openwec.raw(text, &error.to_string(), meta, &mut out);
        }
    }
    serde_json::from_slice(out.strip_prefix(b"before").unwrap()).unwrap()
}

/// Where the two differ, and why.
const DIFFERENT: [(&str, &str); 13] = [
    ("colons", "it refuses names with two colons"),
    ("line-ends-and-controls", "it refuses references to control characters"),
    ("numbers-that-are-not", "it refuses numbers that are none"),
    ("prefixed", "it refuses System with a prefix in which it finds nothing"),
    ("system-container", "Container stands in EventXML only"),
    ("system-empty", "it refuses a System that says nothing"),
    ("system-empty-texts", "it refuses names and times that are empty"),
    ("system-in-pieces", "texts of System in pieces stand in EventXML only"),
    ("system-odd", "it refuses a System that repeats itself"),
    ("system-poor", "it refuses a TimeCreated without a time"),
    ("system-twice", "it refuses a second System"),
    ("system-version-high", "it leaves out numbers that are larger than their type"),
    ("data-with-comment", "to it a text ends at a comment"),
];

#[test]
fn every_event_is_what_openwec_made_of_it() {
    let files = |name: &str| fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path());
    let (mut equal, mut different) = (0, Vec::new());
    for path in files("json").chain(files("openwec")) {
        if path.extension().is_none_or(|end| end != "xml") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        let theirs = fs::read(folder("openwec").join(name).with_extension("json")).unwrap();
        let mut theirs: Map<String, Json> = serde_json::from_slice(&theirs).unwrap();
        let text = fs::read(&path).unwrap();
        let mut ours = written("", &Meta::default(), text.strip_suffix(b"\n").unwrap_or(&text));
        // What OpenWEC leaves out stands in the event's XML.
        ours.remove("EventXML");
        let said = |object: &mut Map<String, Json>| match object.remove("OpenWEC") {
            Some(Json::Object(mut metadata)) => {
                metadata.remove("Error").map(|error| error["OriginalContent"].clone())
            }
            _ => None,
        };
        let is_equal = said(&mut ours) == said(&mut theirs) && ours == theirs;
        match DIFFERENT.iter().any(|(other, _)| *other == name) {
            true => {
                assert!(!is_equal, "{name} does not differ");
                different.push(name.to_owned());
            }
            false => {
                assert_eq!(Json::from(ours), Json::from(theirs), "{name}");
                equal += 1;
            }
        }
    }
    assert_eq!((equal, different.len()), (58, DIFFERENT.len()), "{different:?}");
}

fn origin() -> Origin {
    Origin {
        source: "dc".into(),
        host: Some("dc1.example.org".into()),
        address: Some("192.0.2.10".parse().unwrap()),
        subscription: Some("logons".into()),
        file: None,
        received: Timestamp::parse(b"2026-03-29T21:10:41.002Z").unwrap(),
    }
}

const TEXT: &[u8] = b"<Event><System><EventID>1</EventID></System></Event>";

#[test]
fn the_object_openwec_says_where_the_event_came_from() {
    let origin = origin();
    let meta = Meta { origin: Some(&origin), ..Meta::default() };
    let config = "node = 'main'\nuuid_by_subscription.logons = '8B18D83D-2964-4F35-AC3B-6F4E6FFA727B'";
    assert_eq!(
        written(config, &meta, TEXT)["OpenWEC"],
        json!({
            "IpAddress": "192.0.2.10",
            "TimeReceived": "2026-03-29T21:10:41.002000000+00:00",
            "Principal": "dc1.example.org",
            "Client": "dc1.example.org",
            "Node": "main",
            "Subscription": {"Uuid": "8B18D83D-2964-4F35-AC3B-6F4E6FFA727B", "Name": "logons"},
        })
    );
    let bare = written("", &meta, TEXT);
    assert_eq!(
        (&bare["OpenWEC"]["Subscription"], bare["OpenWEC"].get("Node")),
        (&json!({"Name": "logons"}), None)
    );
}

#[test]
fn what_could_not_be_read_is_an_error_with_its_text() {
    let found = written("", &Meta::default(), b"<Event><System>\xff");
    assert_eq!(found.len(), 1);
    let error = &found["OpenWEC"]["Error"];
    assert_eq!(
        (&error["OriginalContent"], &error["Type"]),
        (&json!("<Event><System>\u{fffd}"), &json!("Unrecoverable"))
    );
    assert!(error["Message"].is_string());
}

#[test]
fn notes_stand_in_an_object_of_their_own() {
    let note = Note { event: 0, kind: NoteKind::Foreign, detail: "it says dc2".into() };
    let found = written("", &Meta { notes: &[note], ..Meta::default() }, TEXT);
    assert_eq!(found["Forebay"], json!({"Notes": [{"Kind": "Foreign", "Detail": "it says dc2"}]}));
    assert_eq!(written("", &Meta::default(), TEXT).get("Forebay"), None);
}

/// Of an event with this body: what it becomes, and whether the event's XML is beside it.
#[track_caller]
fn check(body: &str, expected: Json, has_xml: bool) {
    let text = format!("<Event>{}{body}</Event>", "<System><EventID>1</EventID></System>");
    let mut found = written("", &Meta::default(), text.as_bytes());
    for name in ["System", "OpenWEC"] {
        found.remove(name);
    }
    let xml = found.remove("EventXML");
    assert_eq!(Json::from(found), expected, "{body}");
    assert_eq!(xml, has_xml.then(|| text.into()), "{body}");
}

#[test]
fn what_openwec_leaves_out_is_in_the_events_xml() {
    let data = |data: &str| format!("<EventData>{data}</EventData>");
    check(&data("<Data Name='A'>1</Data><Data/><Binary/>"), json!({"EventData": {"A": "1"}}), false);
    check(&data("<Data Name='A'>1</Data><Data Name='A'>2</Data>"), json!({"EventData": {"A": "2"}}), true);
    check(&data("<Data Name='Data'>1</Data><Data>2</Data>"), json!({"EventData": {"Data": ["2"]}}), true);
    check(&data("<Data Name='Data'>1</Data>"), json!({"EventData": {"Data": "1"}}), false);
    check(&data("<Data Name='A' Type='t'>1</Data>"), json!({"EventData": {"A": "1"}}), true);
    check(&data("<ComplexData><Data Name='A'>1</Data></ComplexData>"), json!({"EventData": {}}), true);
    check(&data("<Data Name='A'><B>1</B></Data>"), json!({"EventData": {"A": ""}}), true);
    check(&data("<Binary>00</Binary><Binary>01</Binary>"), json!({"EventData": {"Binary": "01"}}), true);
    check("<EventData Name='T'/>", json!({"EventData": {}}), true);
    check("<EventData/><UserData><A/></UserData>", json!({"UserData": "<A/>"}), true);
    check("<UserData a='>'><A/></UserData>", json!({"UserData": "<A/>"}), true);
    check(
        "<DebugData><Other>1</Other></DebugData>",
        json!({"DebugData": {"Component": "", "Message": ""}}),
        true,
    );
    check("<Other/>", json!({}), true);
}

#[test]
fn any_number_of_names_is_there() {
    let data = |count: usize| (0..count).map(|n| format!("<Data Name='n{n}'>{n}</Data>")).collect::<String>();
    for count in [500, 2000] {
        let text = format!("<Event><System/><EventData>{}</EventData></Event>", data(count));
        let found = written("", &Meta::default(), text.as_bytes());
        assert_eq!((found["EventData"].as_object().unwrap().len(), found.get("EventXML")), (count, None));
    }
}

#[test]
fn user_data_is_the_xml_inside() {
    for (body, expected) in [
        ("<UserData>\r\n <A x=\"1\">&lt;</A>\r</UserData>", "\n <A x=\"1\">&lt;</A>\n"),
        ("<UserDataX/><UserData><A/></UserData>", "<A/>"),
        ("<UserData><UserData>1</UserData></UserData>", "<UserData>1</UserData>"),
        ("<UserData/>", ""),
        // Written anew, so that nothing in a comment passes for a tag.
        ("<!-- <UserData> --><UserData><A b=\"1\"></A></UserData>", "<A b='1'/>"),
    ] {
        let text = format!("<Event><System/>{body}</Event>");
        assert_eq!(written("", &Meta::default(), text.as_bytes())["UserData"], expected, "{body}");
    }
}
