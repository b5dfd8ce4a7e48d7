//! Single rules; whole lines are golden files of the room.

use super::*;
use crate::event::{EventId, Note, NoteKind, Origin, Timestamp, XmlEvent};
use serde_json::{Value as Json, json};

fn origin() -> Origin {
    Origin {
        source: "domain".into(),
        host: Some("dc1.example.org".into()),
        address: Some("192.0.2.10".parse().unwrap()),
        subscription: Some("logons".into()),
        file: None,
        received: Timestamp::parse(b"2026-03-29T21:10:41.002Z").unwrap(),
    }
}

fn opened(config: &str) -> Splunk {
    Splunk::new(&toml::from_str(config).unwrap()).unwrap()
}

/// What the format writes of System with this inside.
fn encode(config: &str, meta: &Meta<'_>, system: &str) -> Json {
    let text = format!("<Event><System>{system}</System></Event>");
    let mut out = b"before".to_vec();
    opened(config).event(&XmlEvent::parse(text.as_bytes()).unwrap(), meta, &mut out).unwrap();
    let object: Json = serde_json::from_slice(&out[b"before".len()..]).unwrap();
    if !config.contains("json") {
        assert_eq!(object["event"], text);
    }
    object
}

fn wef(config: &str, system: &str) -> Json {
    let origin = origin();
    encode(config, &Meta { origin: Some(&origin), ..Meta::default() }, system)
}

#[track_caller]
fn check_time(created: &str, expected: &str) {
    let (origin, mut out) = (origin(), Vec::new());
    let meta = Meta { origin: Some(&origin), ..Meta::default() };
    let text = format!("<Event><System><TimeCreated SystemTime='{created}'/></System></Event>");
    opened("").event(&XmlEvent::parse(text.as_bytes()).unwrap(), &meta, &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(out.starts_with(&format!("{{\"time\":{expected},")), "{out}");
}

#[test]
fn time_keeps_every_digit_and_is_when_it_was_received_without_one_since_1970() {
    check_time("2019-03-29T21:10:40.3805426Z", "1553893840.3805426");
    check_time("2019-03-29T21:10:40.380Z", "1553893840.3800000");
    check_time("2019-03-29T21:10:40.123456789Z", "1553893840.123456789");
    check_time("1970-01-01T00:00:00.5Z", "0.5000000");
    check_time("1601-01-01T00:00:00.0000000Z", "1774818641.0020000");
    check_time("yesterday", "1774818641.0020000");
    assert_eq!(encode("", &Meta::default(), "").get("time"), None);
}

#[test]
fn the_host_is_the_whole_computer_or_its_first_name() {
    let host = |config: &str, computer: &str| {
        wef(config, &format!("<Computer>{computer}</Computer>"))["host"].clone()
    };
    assert_eq!(host("", "ws1.example.org"), "ws1.example.org");
    assert_eq!(host("host = 'short'", "ws1.example.org"), "ws1");
    assert_eq!(host("host = 'short'", "WS1"), "WS1");
    assert_eq!(host("host = 'short'", "10.1.2.3"), "10.1.2.3");
    assert_eq!(host("host = 'short'", ".local"), ".local");
    assert_eq!(host("host = 'short'", ""), "dc1");
    assert_eq!(encode("", &Meta::default(), "").get("host"), None);
}

#[test]
fn the_index_is_that_of_the_subscription_else_the_one_for_all() {
    let index = |config: &str| wef(config, "").get("index").cloned();
    assert_eq!(index(""), None);
    assert_eq!(index("index = 'main'"), Some(json!("main")));
    let both = "index = 'main'\nindex_by_subscription = { logons = 'authentication', other = 'x' }";
    assert_eq!(index(both), Some(json!("authentication")));
    assert_eq!(index("index = 'main'\nindex_by_subscription.other = 'x'"), Some(json!("main")));
    assert_eq!(encode(both, &Meta::default(), "")["index"], "main");
}

#[test]
fn names_that_splunk_does_not_allow_are_refused() {
    for name in ["", "Main", "_audit", "-a", "a b", "my-kvstore", "größe", "a\"b"] {
        for config in [format!("index = {name:?}"), format!("index_by_subscription.a = {name:?}")] {
            let refused = Splunk::new(&toml::from_str(&config).unwrap()).unwrap_err();
            assert_eq!(refused, FormatError::Index { found: name.into() });
        }
    }
    for source in ["{host}", "{channel", "a}", "{channel}{channel}"] {
        let refused = Splunk::new(&toml::from_str(&format!("source = {source:?}")).unwrap()).unwrap_err();
        assert_eq!(refused, FormatError::SplunkSource { found: source.into() });
    }
}

#[test]
fn source_and_sourcetype_are_those_of_the_add_on_unless_others_are_named() {
    let of = |config: &str, system: &str| {
        let object = wef(config, system);
        (object["source"].as_str().unwrap().to_owned(), object["sourcetype"].as_str().unwrap().to_owned())
    };
    let pair = |source: &str, sourcetype: &str| (source.to_owned(), sourcetype.to_owned());
    let channel = "<Channel>A &amp; \"B\"</Channel>";
    assert_eq!(of("", channel), pair("XmlWinEventLog:A & \"B\"", "XmlWinEventLog"));
    assert_eq!(of("", ""), pair("XmlWinEventLog:Unknown", "XmlWinEventLog"));
    assert_eq!(of("event = 'json'", channel), pair("JsonWinEventLog:A & \"B\"", "_json"));
    let own = "source = '\"{channel}\\'\nsourcetype = 'own\"'";
    assert_eq!(of(own, channel), pair("\"A & \"B\"\\", "own\""));
    assert_eq!(of("source = 'fixed'", channel), pair("fixed", "XmlWinEventLog"));
}

#[test]
fn json_is_an_object_within_the_object() {
    let object = wef("event = 'json'", "<EventID>4624</EventID>");
    assert_eq!(object["event"]["System"]["EventID"], 4624);
    assert_eq!(object["event"]["Forebay"]["Subscription"], "logons");
    assert_eq!(object["fields"], json!({"forebay_subscription": "logons"}));
}

#[test]
fn fields_are_flat_texts_under_names_of_their_own() {
    let origin = Origin { file: Some("C:\\a.evtx".into()), ..origin() };
    let note = |kind, detail: &str| Note { event: 0, kind, detail: detail.into() };
    let notes = [
        note(NoteKind::Foreign, "names dc2"),
        note(NoteKind::Recovered, ""),
        note(NoteKind::Surrogates, "\""),
    ];
    let meta =
        Meta { origin: Some(&origin), id: Some(EventId([0xab; 16])), notes: &notes, ..Meta::default() };
    let all = "fields = ['id', 'source', 'host', 'address', 'subscription', 'file']";
    assert_eq!(
        encode(all, &meta, "")["fields"],
        json!({
            "forebay_id": "ab".repeat(16),
            "forebay_source": "domain",
            "forebay_host": "dc1.example.org",
            "forebay_address": "192.0.2.10",
            "forebay_subscription": "logons",
            "forebay_file": "C:\\a.evtx",
            "forebay_note": "Foreign Recovered Surrogates",
            "forebay_error": "names dc2; \"",
        })
    );
    assert_eq!(wef("fields = []", "").get("fields"), None);
    assert_eq!(encode(all, &Meta::default(), "").get("fields"), None);
    assert!(opened(all).writes_id() && opened("event = 'json'").writes_id() && !opened("").writes_id());
}

#[test]
fn what_cannot_be_read_is_an_event_that_is_not_blank() {
    let raw = |config: &str, text: &[u8]| -> Json {
        let (origin, mut out) = (origin(), Vec::new());
        let meta = Meta { origin: Some(&origin), ..Meta::default() };
        opened(config).raw(text, "it is \"cut\"", &meta, &mut out);
        assert!(!out.contains(&b'\n'));
        serde_json::from_slice(&out).unwrap()
    };
    let object = raw("index = 'main'", b"<Ev\xff\r\n");
    assert_eq!((&object["event"], &object["index"]), (&json!("<Ev\u{fffd}\r\n"), &json!("main")));
    assert_eq!((&object["host"], &object["time"]), (&json!("dc1.example.org"), &json!(1_774_818_641.002)));
    assert_eq!(object["source"], "XmlWinEventLog:Undecodable");
    assert_eq!(object["fields"]["forebay_error"], "it is \"cut\"");
    for blank in [&b""[..], b" \r\n\t"] {
        assert_eq!(raw("", blank)["event"], "it is \"cut\"");
    }
    let object = raw("event = 'json'", b"<Ev");
    assert_eq!(object["event"]["Forebay"]["Raw"], "<Ev");
}
