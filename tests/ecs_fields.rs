//! Every field that `ecs` writes is one of Elastic's, with its type: the published names of ECS and
//! of Elastic's integration for Windows (`src/format/testdata/ecs/fields.txt`) against the corpus, the
//! golden files and what cannot be read.

use crate::peers;
use forebay::event::{Note, NoteKind, Origin, Timestamp, XmlEvent};
use forebay::format::{Format, FormatConfig, Meta};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// By name: the type, and whether the list asks for an array.
struct Fields(BTreeMap<&'static str, (&'static str, bool)>);

impl Fields {
    fn published() -> Self {
        let lines = include_str!("../src/format/testdata/ecs/fields.txt").lines();
        let fields = lines.filter(|line| !line.starts_with('#')).map(|line| {
            let mut words = line.split(' ');
            let (name, kind) = (words.next().unwrap(), words.next().unwrap());
            (name, (kind, words.next() == Some("array")))
        });
        Self(fields.collect())
    }

    /// What is wrong with a document; what was found in it is added to `seen`.
    fn check(&self, document: &Value, seen: &mut BTreeSet<String>) -> Result<(), String> {
        self.at("", document, seen)
    }

    fn at(&self, path: &str, value: &Value, seen: &mut BTreeSet<String>) -> Result<(), String> {
        if let Value::Object(members) = value {
            return members.iter().try_for_each(|(name, member)| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                // Names of values are those of the event, dots included.
                let data = ["winlog.event_data", "winlog.user_data"].contains(&path.as_str());
                match member {
                    Value::Object(pairs) if data => {
                        seen.insert(format!("{path}.*"));
                        pairs
                            .iter()
                            .try_for_each(|(name, value)| of_type("keyword", false, &path, name, value))
                    }
                    _ => self.at(&path, member, seen),
                }
            });
        }
        // Windows' own numbers that the integration has no field for are kept below `winlog`.
        const OURS: [&str; 6] = [
            "winlog.processor_id",
            "winlog.session_id",
            "winlog.kernel_time",
            "winlog.user_time",
            "winlog.processor_time",
            "winlog.time_created_text",
        ];
        if OURS.contains(&path) {
            return Ok(());
        }
        let (kind, array) = self.0.get(path).ok_or_else(|| format!("{path} is nobody's field"))?;
        seen.insert(path.to_owned());
        of_type(kind, *array, path, "", value)
    }
}

/// Any field may hold a list of its type, unless the list says that it always does.
fn of_type(kind: &str, array: bool, path: &str, name: &str, value: &Value) -> Result<(), String> {
    if let Value::Array(items) = value {
        return items.iter().try_for_each(|item| of_type(kind, false, path, name, item));
    }
    let is_right = !array
        && match kind {
            "keyword" | "constant_keyword" | "wildcard" | "match_only_text" => value.is_string(),
            "long" => value.is_u64(),
            "date" => value.as_str().is_some_and(|text| Timestamp::parse(text.as_bytes()).is_some()),
            _ => false,
        };
    if is_right { Ok(()) } else { Err(format!("{path} {name} is no {kind}: {value}")) }
}

fn origin() -> Origin {
    Origin {
        source: "dc".into(),
        host: Some("dc1.example.org".into()),
        address: None,
        subscription: Some("logons".into()),
        file: Some("C:\\a.evtx".into()),
        received: Timestamp(1_774_818_641_002_000_000),
    }
}

fn open(config: &str) -> Format {
    toml::from_str::<FormatConfig>(config).unwrap().open().unwrap()
}

#[test]
fn every_field_of_ecs_is_one_of_elastics_with_its_type() {
    let (corpus, is_corpus) = peers::events();
    if !is_corpus {
        println!("SKIP every_field_of_ecs_is_one_of_elastics_with_its_type, of the corpus: there is none");
    }
    let mut fixtures = peers::fixtures();
    fixtures.push(include_bytes!("../src/format/testdata/ecs/logon-rendered.xml").to_vec());
    let (fields, origin, mut seen) = (Fields::published(), origin(), BTreeSet::new());
    let notes: Vec<Note> = [NoteKind::Recovered, NoteKind::Surrogates]
        .map(|kind| Note { event: 0, kind, detail: "it was cut".into() })
        .into();
    for notes in [&[][..], &notes[..1], &notes] {
        let meta = Meta { origin: Some(&origin), notes, ..Meta::default() };
        for config in ["ecs = {}", "ecs.original = true"] {
            let (mut format, mut out) = (open(config), Vec::new());
            // All of the corpus once, and what differs by options and notes on what is made for it.
            let is_first = notes.is_empty() && config == "ecs = {}";
            for text in fixtures.iter().chain(corpus.iter().filter(|_| is_first)) {
                out.clear();
                format.event(&XmlEvent::parse(text).unwrap(), &meta, &mut out).unwrap();
                let document: Value = serde_json::from_slice(&out).unwrap();
                let text = || String::from_utf8_lossy(text).into_owned();
                fields.check(&document, &mut seen).unwrap_or_else(|wrong| panic!("{wrong}: {}", text()));
            }
            out.clear();
            format.raw(b"<Ev\xff", "it is cut", &meta, &mut out);
            fields.check(&serde_json::from_slice(&out).unwrap(), &mut seen).unwrap();
        }
    }
    println!("{} events of the corpus, {} fields of the list seen", corpus.len(), seen.len());
    // All that Winlogbeat writes of a forwarded event, so that the test cannot pass by seeing little.
    for name in [
        "@timestamp",
        "message",
        "tags",
        "ecs.version",
        "data_stream.dataset",
        "event.action",
        "event.code",
        "event.created",
        "event.kind",
        "event.original",
        "event.outcome",
        "event.provider",
        "error.message",
        "host.name",
        "log.level",
        "log.file.path",
        "winlog.activity_id",
        "winlog.api",
        "winlog.channel",
        "winlog.computer_name",
        "winlog.event_data.*",
        "winlog.event_id",
        "winlog.keywords",
        "winlog.opcode",
        "winlog.process.pid",
        "winlog.process.thread.id",
        "winlog.provider_guid",
        "winlog.provider_name",
        "winlog.record_id",
        "winlog.task",
        "winlog.user.domain",
        "winlog.user.identifier",
        "winlog.user.name",
        "winlog.user.type",
        "winlog.user_data.*",
        "winlog.version",
    ] {
        assert!(seen.contains(name) || !is_corpus, "{name} is never written");
    }
}

#[test]
fn a_field_of_another_name_or_type_is_found() {
    let wrong = |text: &str| {
        Fields::published().check(&serde_json::from_str(text).unwrap(), &mut BTreeSet::new()).unwrap_err()
    };
    assert_eq!(wrong(r#"{"event":{"cod":"1"}}"#), "event.cod is nobody's field");
    assert_eq!(wrong(r#"{"event":{"code":1}}"#), "event.code  is no keyword: 1");
    assert_eq!(wrong(r#"{"tags":"a"}"#), "tags  is no keyword: \"a\"");
    assert_eq!(wrong(r#"{"@timestamp":"yesterday"}"#), "@timestamp  is no date: \"yesterday\"");
    assert_eq!(wrong(r#"{"winlog":{"event_data":{"A":1}}}"#), "winlog.event_data A is no keyword: 1");
}
