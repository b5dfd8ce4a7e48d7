//! Shapes of other platforms, held against what those publish (`src/format/testdata/*/`) and turned back into
//! native JSON: on every event of the fixtures and of the corpus, and on events that collide with a schema, break
//! it or flood it. What is lost is what the page of the format says, and nothing else.

mod leef;
mod ocsf;
mod sentinel;

use crate::peers;
use forebay::event::{EventId, Origin, Timestamp, XmlEvent};
use forebay::format::{Format, FormatConfig, Meta};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

/// Of the corpus, of the golden files, and those made to break a schema.
fn events(test: &str) -> Vec<Vec<u8>> {
    let (mut events, is_corpus) = peers::events();
    if !is_corpus {
        println!("SKIP {test}, of the corpus: there is none");
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/format/testdata");
    let more = ["ecs/logon-rendered.xml", "lines/sysmon-process.xml", "lines/nasty.xml"];
    events.extend(more.map(|name| fs::read(folder.join(name)).unwrap()));
    events.extend(peers::fixtures());
    events.extend(hostile());
    events
}

/// Events with these data, as one of each kind that a schema knows and as one that none knows.
fn hostile() -> Vec<Vec<u8>> {
    const SECURITY: &str = "Microsoft-Windows-Security-Auditing";
    const SYSMON: &str = "Microsoft-Windows-Sysmon";
    let kinds = [
        (SECURITY, 4624),
        (SECURITY, 4648),
        (SECURITY, 4688),
        (SECURITY, 4689),
        (SECURITY, 4768),
        (SECURITY, 4776),
        (SYSMON, 1),
        (SYSMON, 5),
        ("Other", 7),
    ];
    let known = "<Data Name='TargetUserName'>bob</Data><Data Name='TargetServerName'>srv</Data>\
                 <Data Name='NewProcessId'>0x1f</Data><Data Name='ProcessId'>0x2e</Data>\
                 <Data Name='ParentProcessId'>7</Data><Data Name='SubjectUserName'>eve</Data>";
    let mut events = Vec::new();
    for (provider, id) in kinds {
        // A flood is one whatever the kind.
        let is_flooded = [4624, 1, 7].contains(&id);
        for data in collisions().into_iter().filter(|data| is_flooded || data.len() < 100_000) {
            for data in [data.clone(), format!("{known}{data}"), format!("{data}{known}")] {
                events.push(format!(
                    "<Event><System><Provider Name='{provider}' Guid='{{g}}'/><EventID>{id}</EventID><Level>0</Level>\
                     <Task>1</Task><Keywords>0x8010000000000000</Keywords>\
                     <TimeCreated SystemTime='2026-03-29T21:10:40.3805426Z'/><EventRecordID>9</EventRecordID>\
                     <Channel>Security</Channel><Computer>dc1</Computer></System><EventData>{data}</EventData></Event>"
                ));
            }
        }
    }
    events.into_iter().map(String::into_bytes).collect()
}

/// What stands in EventData, for each way to break a schema.
fn collisions() -> Vec<String> {
    let data = |name: &str, text: &str| format!("<Data Name='{name}'>{text}</Data>");
    let all = |names: &[&str]| names.iter().map(|name| data(name, &format!("of {name}"))).collect::<String>();
    vec![
        // Names that a schema has for itself.
        all(&["Message", "EventData", "System", "Forebay", "unmapped", "metadata", "class_uid", "time"]),
        all(&[
            "TimeGenerated",
            "Computer",
            "EventID",
            "Activity",
            "Account",
            "Process",
            "RawEventData",
            "Level",
        ]),
        all(&["src", "cat", "devTime", "msg", "other", "usrName", "Raw", "EventSource"]),
        all(&["#Event", "#LeftOut", "@Name", "#text", "Data", "Binary", "ComplexData", ""]),
        // Names that differ in case only, that come again, and with signs that separate elsewhere.
        all(&["targetusername", "TARGETUSERNAME", "TargetUserName ", "processid", "a", "A", "ä", "Ä"]),
        all(&["x", "x", "x_2", "x", "TargetUserName", "TargetUserName", "ProcessId", "Status", "Status"]),
        all(&["a.b", "a=b", "a&#9;b", "a|b", "a^b", "a&quot;b", "a\\b", "a\u{1f600}b", "a&#10;b"]),
        "<Data Name='TargetUserName' Type='t'>typed</Data><Data Name='ProcessId'><a>1</a></Data>".into(),
        // Texts of the wrong kind.
        [
            "LogonType",
            "ProcessId",
            "NewProcessId",
            "IpAddress",
            "IpPort",
            "KeyLength",
            "Hashes",
            "User",
            "Image",
        ]
        .iter()
        .map(|name| data(name, "a\\,=\t\u{7f}&#13;\u{85}^|"))
        .collect(),
        [("LogonType", "3 "), ("ProcessId", "0X2E"), ("IpAddress", "::ffff:192.0.2.7"), ("IpPort", "070")]
            .iter()
            .chain(&[
                ("MandatoryLabel", "S-1-16-1"),
                ("Status", "0x100000000"),
                ("NewProcessId", "0x80000000"),
            ])
            .map(|(name, text)| data(name, text))
            .collect(),
        // Floods.
        (0..500).map(|n| data(&format!("n{n}"), "v")).collect(),
        (0..700).map(|n| data(&format!("n{n}"), "v")).collect(),
        data("big", &"x".repeat(1 << 20)) + &data("small", "y"),
        (0..600).map(|n| data(&format!("n{n}"), &"é&lt;".repeat(200))).collect(),
        data("CommandLine", &"é".repeat(1 << 19)) + &data("TargetDomainName", &"d".repeat(70_000)),
    ]
}

fn origin() -> Origin {
    Origin {
        source: "domain".into(),
        host: Some("dc1.example.org".into()),
        address: Some("192.0.2.10".parse().unwrap()),
        subscription: Some("logons".into()),
        file: None,
        received: Timestamp(1_774_818_641_002_000_000),
    }
}

fn open(config: &str) -> Format {
    toml::from_str::<FormatConfig>(config).unwrap().open().unwrap()
}

/// What the format makes of an event; a line, whatever is in it.
fn written(format: &mut Format, text: &[u8]) -> String {
    written_at(format, text, None)
}

fn written_at(format: &mut Format, text: &[u8], now: Option<Timestamp>) -> String {
    let (origin, mut out) = (origin(), Vec::new());
    let meta = Meta { origin: Some(&origin), id: Some(EventId([0xab; 16])), notes: &[], now };
    format.event(&XmlEvent::parse(text).unwrap(), &meta, &mut out).unwrap();
    assert!(!out.contains(&b'\n') && !out.contains(&b'\r'));
    String::from_utf8(out).unwrap()
}

/// The JSON of a line, in which no object has a name twice: a reader would take one of them.
fn read(line: &str) -> Value {
    serde_json::from_str::<Distinct>(line).unwrap_or_else(|wrong| panic!("{wrong}: {line:.4000}"));
    serde_json::from_str(line).unwrap()
}

struct Distinct;

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Distinct {
    type Value = Self;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut names = BTreeSet::new();
        while let Some((name, Self)) = members.next_entry::<String, Self>()? {
            if let Some(name) = names.replace(name) {
                return Err(A::Error::custom(format!("the name {name:?} twice")));
            }
        }
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }
}

fn native(json: &mut Format, text: &[u8]) -> Value {
    serde_json::from_str(&written(json, text)).unwrap()
}

/// Sets a member at the end of a path, unless there is one.
fn put(object: &mut Value, path: &str, value: Value) {
    let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let members = object.as_object_mut().unwrap();
    match rest {
        Some(rest) => put(members.entry(first).or_insert_with(|| Map::new().into()), rest, value),
        None => {
            members.entry(first).or_insert(value);
        }
    }
}

/// As native JSON has the text of a number.
fn number(text: &str) -> Value {
    match text.parse::<u64>() {
        Ok(number) if number.to_string() == text => number.into(),
        _ => text.into(),
    }
}

/// EventData as pairs: of names that come again, or after many others, the place in the object follows from the
/// others that stand there.
fn sorted(mut native: Value) -> Value {
    let Some(data) = native.get_mut("EventData").and_then(Value::as_object_mut) else { return native };
    let mut pairs: Vec<String> = Vec::new();
    data.retain(|name, value| {
        let is_pair = value.is_string() && !name.starts_with(['@', '#']) && name != "Binary";
        if is_pair {
            pairs.push(format!("{name}={value}"));
        }
        !is_pair
    });
    if let Some(Value::Array(items)) = data.get_mut("Data") {
        items.retain(|item| {
            let is_pair = item.as_object().is_some_and(|item| item.len() == 2 && item["Value"].is_string());
            if is_pair && let Some(name) = item["Name"].as_str() {
                pairs.push(format!("{name}={}", item["Value"]));
            }
            !(is_pair && item["Name"].is_string())
        });
        if items.is_empty() {
            data.remove("Data");
        }
    }
    pairs.sort();
    data.insert("pairs".into(), pairs.into());
    native
}

#[track_caller]
fn same(found: Value, expected: Value, written: &str) {
    if found != expected {
        let start = |text: String| text.chars().take(4000).collect::<String>();
        let (found, expected) = (start(found.to_string()), start(expected.to_string()));
        panic!("found    {found}\nexpected {expected}\nof {}", start(written.to_owned()));
    }
}
