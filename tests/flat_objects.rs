//! Flat objects, `flat` and `nxlog`, on every event there is: one line of JSON, no key twice in any case, and a
//! reader finds in it all that the native JSON says, but for what their pages list under "What is lost".

use crate::peers;
use forebay::event::{Origin, Timestamp, XmlEvent};
use forebay::format::{Format, FormatConfig, Meta};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

/// What tells the two apart.
struct Shape {
    config: &'static str,
    /// A value of System in the native JSON, by path, and the name it has here.
    system: &'static [(&'static str, &'static str)],
    /// A word of RenderingInfo, likewise.
    words: &'static [(&'static str, &'static str)],
    /// Names that the format has beside those, which are not of the event.
    others: &'static [&'static str],
    /// Whether an unnamed `Data` is there under its place, and what is empty is not.
    is_sparse: bool,
}

const FLAT: Shape = Shape {
    config: "flat = {}",
    system: &[
        ("/Provider/Name", "Provider_Name"),
        ("/Provider/Guid", "Provider_Guid"),
        ("/Provider/EventSourceName", "Provider_EventSourceName"),
        ("/EventID", "EventID"),
        ("/Qualifiers", "EventID_Qualifiers"),
        ("/Version", "Version"),
        ("/Level", "Level"),
        ("/Task", "Task"),
        ("/Opcode", "Opcode"),
        ("/Keywords", "Keywords"),
        ("/TimeCreated", "TimeCreated"),
        ("/EventRecordID", "EventRecordID"),
        ("/Correlation/ActivityID", "Correlation_ActivityID"),
        ("/Correlation/RelatedActivityID", "Correlation_RelatedActivityID"),
        ("/Execution/ProcessID", "Execution_ProcessID"),
        ("/Execution/ThreadID", "Execution_ThreadID"),
        ("/Execution/ProcessorID", "Execution_ProcessorID"),
        ("/Execution/SessionID", "Execution_SessionID"),
        ("/Execution/KernelTime", "Execution_KernelTime"),
        ("/Execution/UserTime", "Execution_UserTime"),
        ("/Execution/ProcessorTime", "Execution_ProcessorTime"),
        ("/Channel", "Channel"),
        ("/Computer", "Computer"),
        ("/UserID", "Security_UserID"),
    ],
    words: &[
        ("Message", "Message"),
        ("Level", "RenderingInfo_Level"),
        ("Task", "RenderingInfo_Task"),
        ("Opcode", "RenderingInfo_Opcode"),
    ],
    others: &["Forebay", "EventXML"],
    is_sparse: false,
};

const NXLOG: Shape = Shape {
    config: "nxlog = {}",
    system: &[
        ("/Provider/Name", "SourceName"),
        ("/Provider/Guid", "ProviderGuid"),
        ("/Provider/EventSourceName", "EventSourceName"),
        ("/EventID", "EventID"),
        ("/Qualifiers", "Qualifiers"),
        ("/Version", "Version"),
        ("/Level", "LevelValue"),
        ("/Task", "TaskValue"),
        ("/Opcode", "OpcodeValue"),
        ("/Keywords", "Keywords"),
        ("/TimeCreated", "EventTime"),
        ("/EventRecordID", "RecordNumber"),
        ("/Correlation/ActivityID", "ActivityID"),
        ("/Correlation/RelatedActivityID", "RelatedActivityID"),
        ("/Execution/ProcessID", "ExecutionProcessID"),
        ("/Execution/ThreadID", "ExecutionThreadID"),
        ("/Execution/ProcessorID", "ExecutionProcessorID"),
        ("/Execution/SessionID", "ExecutionSessionID"),
        ("/Execution/KernelTime", "ExecutionKernelTime"),
        ("/Execution/UserTime", "ExecutionUserTime"),
        ("/Execution/ProcessorTime", "ExecutionProcessorTime"),
        ("/Channel", "Channel"),
        ("/Computer", "Hostname"),
        ("/UserID", "UserID"),
    ],
    words: &[("Message", "Message"), ("Level", "Level"), ("Task", "Category"), ("Opcode", "Opcode")],
    others: &[
        "Forebay",
        "EventXML",
        "EventType",
        "SeverityValue",
        "Severity",
        "Level",
        "Domain",
        "AccountName",
        "AccountType",
        "EventReceivedTime",
        "SourceModuleName",
        "SourceModuleType",
        "MessageSourceAddress",
    ],
    is_sparse: true,
};

/// Names that `flat` gives to values which are there under their own.
const ALIASES: [&str; 10] = [
    "Image",
    "ParentImage",
    "User",
    "LogonId",
    "ParentProcessId",
    "IntegrityLevel",
    "MD5",
    "SHA1",
    "SHA256",
    "IMPHASH",
];

/// What the event itself brings, read from its native JSON.
#[derive(Debug, Default)]
struct Brought {
    /// Values of EventData under a name of their own.
    named: Vec<(String, String)>,
    /// All the others that have a name.
    texts: Vec<String>,
    unnamed: Vec<String>,
}

impl Brought {
    fn of(native: &Map<String, Value>) -> Self {
        let mut brought = Self::default();
        for (name, part) in native {
            match name.as_str() {
                "System" | "RenderingInfo" | "Forebay" | "#text" => {}
                "EventData" => brought.event_data(part.as_object().unwrap()),
                // A part with nothing in it is none.
                _ => match part {
                    Value::String(text) if text.is_empty() => {}
                    Value::Array(elements) if name == "#elements" => brought.elements(elements, true),
                    part => brought.element(name, part, true),
                },
            }
        }
        brought
    }

    fn event_data(&mut self, members: &Map<String, Value>) {
        for (name, value) in members {
            match (name.as_str(), value) {
                ("Data", Value::Array(items)) => items.iter().for_each(|item| self.data(item)),
                ("ComplexData", Value::Array(items)) => {
                    items.iter().for_each(|item| self.element("ComplexData", item, false));
                }
                ("#elements", Value::Array(elements)) => self.elements(elements, false),
                (name, _) if is_xmlns(name) => {}
                (name, Value::String(text)) if name.starts_with(['@', '#']) => self.texts.push(text.clone()),
                (name, Value::String(text)) => self.named.push((name.to_owned(), text.clone())),
                (name, value) => self.element(name, value, false),
            }
        }
    }

    /// An item of the list `Data`.
    fn data(&mut self, item: &Value) {
        let Value::Object(members) = item else { return self.element("Data", item, false) };
        let name = members.get("Name").and_then(Value::as_str).unwrap_or_default();
        let has_attributes = members.keys().any(|key| key == "Type" || key.starts_with('@'));
        for (key, value) in members {
            match (key.as_str(), value) {
                ("Name", _) => {}
                ("Value", Value::String(text)) if text.is_empty() && has_attributes => {}
                ("Value", Value::String(text)) if matches!(name, "" | "Data") => {
                    self.unnamed.push(text.clone())
                }
                ("Value", Value::String(text)) => self.texts.push(text.clone()),
                ("Value", Value::Object(inside)) => self.inside(name, inside, false),
                (_, Value::String(text)) => self.texts.push(text.clone()),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Elements that found their name taken: beside parts, words of a second RenderingInfo are lost like others.
    fn elements(&mut self, elements: &[Value], are_parts: bool) {
        for (name, value) in elements.iter().flat_map(|element| element.as_object().unwrap()) {
            if !(are_parts && name == "RenderingInfo") {
                self.element(name, value, are_parts);
            }
        }
    }

    /// By the rules of the native JSON for what is nested; the name of a part of the event is an attribute of it.
    fn element(&mut self, name: &str, value: &Value, is_part: bool) {
        let local = name.split_once(':').map_or(name, |(_, local)| local);
        match value {
            Value::String(text) if local == "Data" => self.unnamed.push(text.clone()),
            Value::String(text) => self.texts.push(text.clone()),
            Value::Array(items) => items.iter().for_each(|item| self.element(name, item, is_part)),
            Value::Object(members) => self.inside(local, members, is_part),
            other => panic!("{other}"),
        }
    }

    fn inside(&mut self, name: &str, members: &Map<String, Value>, is_part: bool) {
        let own = members.get("@Name").and_then(Value::as_str).filter(|own| !own.is_empty() && !is_part);
        let own = own.unwrap_or(name);
        let is_plain = members.keys().all(|key| key == "@Name" || is_xmlns(key));
        if is_plain && !is_part {
            // `<Data Name='x'/>`: the native JSON says no text.
            self.text(own, "");
        }
        for (key, value) in members {
            match (key.as_str(), value) {
                ("@Name", _) if !is_part => {}
                (key, _) if is_xmlns(key) => {}
                ("#text", Value::String(text)) => self.text(own, text),
                (key, Value::String(text)) if key.starts_with('@') => self.texts.push(text.clone()),
                (key, value) => self.element(key, value, false),
            }
        }
    }

    fn text(&mut self, name: &str, text: &str) {
        let list = if matches!(name, "Data" | "") { &mut self.unnamed } else { &mut self.texts };
        list.push(text.to_owned());
    }
}

fn is_xmlns(key: &str) -> bool {
    key == "@xmlns" || key.starts_with("@xmlns:")
}

fn open(config: &str) -> Format {
    toml::from_str::<FormatConfig>(config).unwrap().open().unwrap()
}

fn origin() -> Origin {
    Origin {
        source: "dc".into(),
        host: Some("dc1.example.org".into()),
        address: Some("192.0.2.10".parse().unwrap()),
        subscription: Some("logons".into()),
        file: None,
        received: Timestamp(1_774_818_641_002_000_000),
    }
}

/// The object on its one line, whose keys are each there once in any case.
fn object(format: &mut Format, text: &[u8]) -> Map<String, Value> {
    let (origin, mut out) = (origin(), Vec::new());
    let meta = Meta { origin: Some(&origin), ..Meta::default() };
    format.event(&XmlEvent::parse(text).unwrap(), &meta, &mut out).unwrap();
    assert!(!out.contains(&b'\n') && !out.contains(&b'\r'));
    let object: Map<String, Value> = serde_json::from_slice(&out).unwrap();
    let names: HashSet<String> = object.keys().map(|name| name.to_ascii_lowercase()).collect();
    assert_eq!(names.len(), object.len(), "{}", String::from_utf8_lossy(&out));
    // A key twice would have been lost when it was read.
    assert_eq!(keys(&out), object.len(), "{}", String::from_utf8_lossy(&out));
    object
}

/// Keys of the outermost object, as they stand.
fn keys(json: &[u8]) -> usize {
    let (mut depth, mut is_text, mut escaped, mut count) = (0, false, false, 0);
    for &byte in json {
        match (byte, is_text) {
            _ if escaped => escaped = false,
            (b'\\', true) => escaped = true,
            (b'"', _) => is_text = !is_text,
            (_, true) => {}
            (b'{' | b'[', _) => depth += 1,
            (b'}' | b']', _) => depth -= 1,
            (b':', _) if depth == 1 => count += 1,
            _ => {}
        }
    }
    count
}

fn check(shape: &Shape, format: &mut Format, json: &mut Format, text: &[u8]) {
    let (found, native) = (object(format, text), object(json, text));
    let wrong = || format!("{} of {}", Value::from(found.clone()), String::from_utf8_lossy(text));
    assert_eq!(found.get("Forebay"), native.get("Forebay"));
    if let Some(xml) = found.get("EventXML") {
        // What has no name here stands in the event's XML.
        assert_eq!(object(json, xml.as_str().unwrap().as_bytes()), native);
        return;
    }
    let mut rest = found.clone();
    for name in shape.others.iter().filter(|name| **name != "Level") {
        rest.remove(*name);
    }
    let system = native.get("System").unwrap_or(&Value::Null);
    for (path, name) in shape.system {
        let said = system.pointer(path).filter(|value| *value != "");
        let value = rest.remove(*name);
        assert_eq!(value.as_ref().filter(|value| *value != ""), said, "{name} {}", wrong());
    }
    for (word, name) in shape.words {
        let said = native.get("RenderingInfo").and_then(|info| info.get(*word)).filter(|text| *text != "");
        let value = rest.remove(*name);
        // NXLog names the level also where nobody rendered it.
        if said.is_some() || !shape.others.contains(name) {
            assert_eq!(value.as_ref(), said, "{name} {}", wrong());
        }
    }
    values(shape, rest, &Brought::of(&native), &wrong);
}

/// What is left are the values of the event: all of them, and nothing else.
fn values(shape: &Shape, mut rest: Map<String, Value>, brought: &Brought, wrong: &dyn Fn() -> String) {
    let kept = |text: &&String| !shape.is_sparse || !text.is_empty();
    let mut texts: Vec<&String> = brought.texts.iter().filter(kept).collect();
    if shape.is_sparse {
        texts.extend(brought.unnamed.iter().filter(kept));
    } else {
        let joined = rest.remove("Data");
        let joined: Vec<&str> = joined.iter().flat_map(|text| text.as_str().unwrap().split('\n')).collect();
        let lines = brought.unnamed.iter().flat_map(|text| text.split('\n')).collect();
        assert_eq!(sorted(joined), sorted(lines), "{}", wrong());
    }
    for (name, text) in brought.named.iter().filter(|(_, text)| kept(&text)) {
        let is_called = |key: &&String| {
            let key = key.strip_prefix("EventData.").unwrap_or(key);
            let place = key.strip_prefix(name.as_str());
            place.is_some_and(|end| end.is_empty() || end.starts_with('_'))
        };
        let key = rest.keys().find(|key| is_called(key) && rest[key.as_str()] == text.as_str()).cloned();
        let key = key.unwrap_or_else(|| panic!("{name} {text:?} is lost: {}", wrong()));
        rest.remove(&key);
    }
    if !shape.is_sparse {
        for alias in ALIASES {
            if !texts.iter().any(|text| rest.get(alias).is_some_and(|value| value == text.as_str())) {
                rest.remove(alias);
            }
        }
    }
    let found: Vec<&str> = rest.values().map(|value| value.as_str().unwrap()).collect();
    assert_eq!(sorted(found), sorted(texts.into_iter().map(String::as_str).collect()), "{}", wrong());
}

fn sorted(mut texts: Vec<&str>) -> Vec<&str> {
    texts.sort_unstable();
    texts
}

/// Golden shapes, lines of other formats, and what a sender may do to a flat schema.
fn made() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/format/testdata");
    let mut events = peers::fixtures();
    for name in ["ecs/logon-rendered.xml", "lines/sysmon-process.xml", "lines/nasty.xml"] {
        events.push(fs::read(folder.join(name)).unwrap());
    }
    let data = |name: &str, text: &str| format!("<Data Name='{name}'>{text}</Data>");
    let of = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, text)| data(name, text)).collect::<String>();
    let own =
        ["Message", "EventID", "Computer", "Forebay", "Other", "EventXML", "Data", "Hostname", "eventid"];
    let bodies = [
        own.map(|name| data(name, &format!("of {name}"))).concat(),
        of(&[("A", "1"), ("a", "2"), ("A", "3"), ("A_3", "4"), ("A_1", "5"), ("Ä", "6"), ("ä", "7")]),
        (0..500).map(|n| data(&format!("Field{n}"), &n.to_string())).collect(),
        data("Large", &"x\u{1}\u{e9}\"\\".repeat(1 << 18).replace('\u{1}', "\n")),
        of(&[("q\"uote", "1"), ("back\\slash", "2"), ("line&#10;end", "3"), ("&#x1F600;", "4"), (" ", "5")]),
    ];
    for body in bodies {
        let system = "<EventID>1</EventID><Channel>Security</Channel><Computer>dc1</Computer>";
        events.push(format!("<Event><System>{system}</System><EventData>{body}</EventData></Event>").into());
    }
    events
}

#[test]
fn a_reader_finds_everything_in_a_flat_object() {
    let (corpus, is_corpus) = peers::events();
    if !is_corpus {
        println!("SKIP a_reader_finds_everything_in_a_flat_object, of the corpus: there is none");
    }
    for shape in [FLAT, NXLOG] {
        let (mut format, mut json) = (open(shape.config), open("json = {}"));
        for text in made().iter().chain(&corpus) {
            check(&shape, &mut format, &mut json, text);
        }
    }
    println!("{} events of the corpus", corpus.len());
}

/// More values than an object may have are not lost either.
#[test]
fn a_flood_of_names_ends_in_a_list() {
    let data: String = (0..2000).map(|n| format!("<Data Name='n{n}'>v{n}</Data>")).collect();
    let text = format!("<Event><System/><EventData>{data}</EventData></Event>");
    for config in ["flat = {}", "nxlog = {}"] {
        let object = object(&mut open(config), text.as_bytes());
        let other: Vec<&str> =
            object["Other"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
        let members =
            object.iter().filter(|(name, value)| **value == format!("v{}", &name[1..]).as_str()).count();
        assert_eq!((members, other.len()), (forebay::format::json::KEYS_MAX, 2000 - members));
        assert_eq!((other[0], other[other.len() - 1]), ("n512=v512", "n1999=v1999"));
    }
}

/// Fields that Sigma's own list has for a kind of event, by the id that Sysmon gives it.
fn sigma() -> BTreeMap<u64, Vec<&'static str>> {
    let lines = include_str!("../src/format/testdata/flat/fields.txt").lines();
    let kinds = lines.filter(|line| !line.starts_with('#')).map(|line| {
        let mut words = line.split(' ').skip(1).peekable();
        let id = words.peek().and_then(|word| word.parse::<u64>().ok());
        (id.unwrap_or_default(), words.skip(usize::from(id.is_some())).collect())
    });
    kinds.collect()
}

#[test]
fn fields_that_rules_of_sigma_ask_for_are_there_under_the_names_of_its_list() {
    let (corpus, is_corpus) = peers::events();
    if !is_corpus {
        println!("SKIP fields_that_rules_of_sigma_ask_for_are_there, of the corpus: there is none");
    }
    let (fields, mut flat, mut json) = (sigma(), open("flat = {}"), open("json = {}"));
    let (mut kinds, mut created) = (BTreeMap::new(), 0);
    for text in made().iter().chain(&corpus) {
        let (found, native) = (object(&mut flat, text), object(&mut json, text));
        let wrong = || format!("{} of {}", Value::from(found.clone()), String::from_utf8_lossy(text));
        let system = native.get("System").and_then(Value::as_object).cloned().unwrap_or_default();
        let is_said = |name: &&&str| system.get(**name).is_some_and(|value| value != "");
        let common = ["EventID", "Channel", "Computer", "UserID"].iter().filter(is_said).count();
        let provider =
            system.get("Provider").and_then(|provider| provider["Name"].as_str()).unwrap_or_default();
        let there = fields[&0].iter().filter(|name| found.contains_key(**name)).count();
        assert!(there >= common + usize::from(!provider.is_empty()), "{}", wrong());
        let id = system.get("EventID").and_then(Value::as_u64).unwrap_or_default();
        let data = native.get("EventData").and_then(Value::as_object);
        if let (Some(names), Some(data), "Microsoft-Windows-Sysmon") = (fields.get(&id), data, provider) {
            // Whatever case Windows' own name has, it is that of the list.
            let said = |name: &&&str| data.keys().any(|key| key.eq_ignore_ascii_case(name));
            let missing: Vec<_> =
                names.iter().filter(said).filter(|name| !found.contains_key(**name)).collect();
            assert!(missing.is_empty(), "{missing:?} {}", wrong());
            *kinds.entry(id).or_insert(0) += 1;
        }
        if (id, provider) == (4688, "Microsoft-Windows-Security-Auditing") {
            let creation = &fields[&1];
            for name in ["Image", "User", "LogonId", "ParentProcessId"] {
                assert!(creation.contains(&name) && found.contains_key(name), "{name} {}", wrong());
            }
            created += 1;
        }
    }
    println!("{created} processes created, and of Sysmon by id: {kinds:?}");
    assert!(!is_corpus || created > 0 && kinds.len() > 4);
}

/// Every member of NXLog's that is not the event's own is one of its reference, with its type.
#[test]
fn every_field_of_nxlog_is_one_of_its_reference_with_its_type() {
    let (corpus, is_corpus) = peers::events();
    if !is_corpus {
        println!("SKIP every_field_of_nxlog_is_one_of_its_reference, of the corpus: there is none");
    }
    let lines = include_str!("../src/format/testdata/nxlog/fields.txt").lines();
    let fields: BTreeMap<&str, Vec<&str>> = lines
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .map(|(name, kind)| (name, kind.split(' ').collect()))
        .collect();
    // Of System what NXLog has no name for, and where the event came from.
    const OURS: [&str; 8] = [
        "Qualifiers",
        "EventSourceName",
        "ExecutionProcessorID",
        "ExecutionSessionID",
        "ExecutionKernelTime",
        "ExecutionUserTime",
        "ExecutionProcessorTime",
        "MessageSourceAddress",
    ];
    let (mut format, mut seen) = (open("nxlog = {}"), HashSet::new());
    let own: Vec<&str> = NXLOG.system.iter().chain(NXLOG.words).map(|(_, name)| *name).collect();
    for text in made().iter().chain(&corpus) {
        let found = object(&mut format, text);
        for (name, value) in &found {
            let name = name.as_str();
            let is_formats = own.contains(&name) || NXLOG.others.contains(&name);
            if name == "Forebay" || !is_formats || OURS.contains(&name) {
                continue;
            }
            let kind = fields.get(name).unwrap_or_else(|| panic!("{name} is none of NXLog's fields"));
            // A number that is none in the event stays what it is.
            let is_right = match kind[0] {
                "integer" => {
                    let is_none = |text: &str| text.parse::<u64>().is_err() || text.starts_with('0');
                    value.is_u64() || value.as_str().is_some_and(is_none)
                }
                "datetime" | "string" => value.is_string(),
                _ => false,
            };
            assert!(is_right, "{name} is no {}: {value}", kind[0]);
            assert!(kind.len() == 1 || kind[1..].contains(&value.as_str().unwrap()), "{name}: {value}");
            seen.insert(name.to_owned());
        }
    }
    println!("{} events of the corpus, {} fields of the list seen", corpus.len(), seen.len());
    assert!(!is_corpus || seen.len() >= 26, "{seen:?}");
}
