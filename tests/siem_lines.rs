//! Lines for SIEMs, read by what nobody here wrote: Snare's by rsyslog's modules for Snare and for
//! fields, CEF by the parser of liblognorm within rsyslog and by parsers from PyPI. What they find is
//! what the native JSON says of the same event. Objects for Splunk are held against its documented rules.

use crate::kerberos::python;
use crate::peers;
use crate::support::backends::{Place, rsyslog};
use crate::support::process::{eventually, free_port};
use forebay::event::{Origin, Timestamp, XmlEvent};
use forebay::format::{FormatConfig, Meta};
use serde_json::{Map, Value};
use std::fs;
use std::io::Write;
use std::net::{IpAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

/// Events of every kind, as many as rsyslog reads in a moment.
fn events() -> Vec<Vec<u8>> {
    let (corpus, _) = peers::events();
    let step = corpus.len() / 3000 + 1;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/format/testdata");
    let more = ["ecs/logon-rendered.xml", "lines/sysmon-process.xml", "lines/nasty.xml"];
    let mut events: Vec<Vec<u8>> = more.map(|name| fs::read(folder.join(name)).unwrap()).into();
    events.extend(peers::fixtures());
    events.extend(corpus.into_iter().step_by(step));
    events
}

fn written(config: &str, text: &[u8]) -> String {
    let config: FormatConfig = toml::from_str(config).unwrap();
    let mut out = Vec::new();
    let event = XmlEvent::parse(text).unwrap();
    config.open().unwrap().event(&event, &Meta::default(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn native(text: &[u8]) -> Value {
    serde_json::from_str(&written("json = {}", text)).unwrap()
}

/// What rsyslog writes of the messages, with this configuration behind an input for octet-counted TCP.
fn read_by_rsyslog(test: &str, rules: &str, messages: &[String]) -> Option<Vec<Value>> {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let out = folder.path().join("out");
    let configuration = format!(
        "global(maxMessageSize=\"1m\" parser.escapeControlCharactersOnReceive=\"off\")\n\
         module(load=\"imtcp\")\nmodule(load=\"mmfields\")\nmodule(load=\"mmnormalize\")\nmodule(load=\"pmsnare\")\n\
         template(name=\"all\" type=\"string\" string=\"%$!all-json%\\n\")\n\
         {}\ninput(type=\"imtcp\" port=\"{port}\" address=\"127.0.0.1\" ruleset=\"lines\")\n",
        rules.replace("OUT", &format!("action(type=\"omfile\" file=\"{}\" template=\"all\")", out.display()))
    );
    let _rsyslog = rsyslog(test, folder.path(), Place::HERE, &configuration, port)?;
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    for message in messages {
        write!(stream, "{} {message}", message.len()).unwrap();
    }
    drop(stream);
    let lines = || fs::read_to_string(&out).unwrap_or_default();
    eventually("all messages are read", || lines().lines().count() == messages.len());
    Some(lines().lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn rsyslog_reads_the_fields_of_every_snare_line() {
    let (events, test) = (events(), "rsyslog_reads_the_fields_of_every_snare_line");
    let header = "<14>Mar 29 21:10:40 dc1 ";
    let lines: Vec<String> =
        events.iter().map(|text| header.to_owned() + &written("snare = {}", text)).collect();
    let rules = "ruleset(name=\"lines\" parser=[\"rsyslog.snare\", \"rsyslog.rfc3164\"]) {\n\
                 action(type=\"mmfields\" separator=\"\t\")\nOUT\n}";
    let Some(found) = read_by_rsyslog(test, rules, &lines) else { return };
    for (text, found) in events.iter().zip(&found) {
        let (system, fields) = (&native(text)["System"], found.as_object().unwrap());
        let wrong = || format!("{found} {}", String::from_utf8_lossy(text));
        // MSWinEventLog is the message's tag to rsyslog, and the blank behind it belongs to the message.
        assert_eq!(fields.len(), 14, "{}", wrong());
        for (field, name) in
            [("f2", "Channel"), ("f5", "EventID"), ("f10", "Computer"), ("f14", "EventRecordID")]
        {
            let expected = match &system[name] {
                Value::String(said) if !said.is_empty() => said.replace(['\t', '\n'], " "),
                Value::Number(number) => number.to_string(),
                _ if name == "EventRecordID" => "0".into(),
                _ => "N/A".into(),
            };
            assert_eq!(fields[field].as_str().unwrap().trim(), expected.trim(), "{name} {}", wrong());
        }
    }
    println!("{} lines of Snare", found.len());
}

#[test]
fn rsyslog_reads_every_line_of_cef() {
    let (events, test) = (events(), "rsyslog_reads_every_line_of_cef");
    let header = "<14>1 2019-03-29T21:10:40.380542Z dc1 forebay - 4624 - ";
    let lines: Vec<String> =
        events.iter().map(|text| header.to_owned() + &written("cef = {}", text)).collect();
    let rules = "ruleset(name=\"lines\" parser=[\"rsyslog.rfc5424\"]) {\n\
                 action(type=\"mmnormalize\" rule=\"rule=:%cef:cef%\")\nOUT\n}";
    let Some(found) = read_by_rsyslog(test, rules, &lines) else { return };
    for (text, found) in events.iter().zip(&found) {
        let found = found.get("cef").unwrap_or_else(|| panic!("{found} {}", String::from_utf8_lossy(text)));
        let header = ["DeviceVendor", "DeviceProduct", "SignatureID", "Name", "Severity"]
            .map(|name| found[name].as_str().unwrap_or_else(|| panic!("{name} of {found}")).to_owned());
        check(text, &header, found["Extensions"].as_object().unwrap());
    }
    println!("{} lines of CEF", found.len());
}

#[test]
fn others_read_every_line_of_cef_and_know_its_keys() {
    let Some(python) = python("others_read_every_line_of_cef_and_know_its_keys") else { return };
    let (events, script) = (events(), Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/cef.py"));
    let mut child =
        Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines: Vec<String> = events.iter().map(|text| written("cef = {}", text) + "\n").collect();
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(lines.concat().as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let found: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(found.len(), events.len());
    for (text, found) in events.iter().zip(&found) {
        assert_eq!(found["wrong"].as_array().unwrap(), &[] as &[Value], "{}", String::from_utf8_lossy(text));
        let header: Vec<String> = serde_json::from_value(found["header"].clone()).unwrap();
        check(text, &header.try_into().unwrap(), found["extension"].as_object().unwrap());
    }
    println!("{} lines of CEF", found.len());
}

/// Members and their types as "Format events for HTTP Event Collector" has them: nothing else, no event
/// that is blank, no indexed field that is no text.
#[test]
fn objects_for_splunk_keep_the_rules_of_the_event_endpoint() {
    let origin = Origin {
        source: "domain".into(),
        host: Some("dc1.example.org".into()),
        address: None,
        subscription: Some("logons".into()),
        file: None,
        received: Timestamp(1_774_818_641_002_000_000),
    };
    let meta = Meta { origin: Some(&origin), ..Meta::default() };
    let open = |config: &str| toml::from_str::<FormatConfig>(config).unwrap().open().unwrap();
    let (mut xml, mut json) = (open("splunk.index = 'main'"), open("splunk.event = 'json'"));
    let (mut out, mut native) = (Vec::new(), open("json = {}"));
    for text in events() {
        let event = XmlEvent::parse(&text).unwrap();
        for format in [&mut xml, &mut json] {
            out.clear();
            format.event(&event, &meta, &mut out).unwrap();
            assert!(!out.contains(&b'\n'));
            let object: Map<String, Value> = serde_json::from_slice(&out).unwrap();
            for (name, value) in &object {
                let is_right = match name.as_str() {
                    // A number of seconds, written with three decimals or more.
                    "time" => value.as_f64().is_some_and(|time| time > 0.0),
                    "host" | "source" | "sourcetype" | "index" => {
                        value.as_str().is_some_and(|text| !text.is_empty())
                    }
                    "event" => value.is_object() || value == &*String::from_utf8_lossy(&text),
                    "fields" => value == &serde_json::json!({"forebay_subscription": "logons"}),
                    _ => false,
                };
                assert!(is_right, "{name}: {value}");
            }
            assert_eq!(object.len(), 6 + usize::from(object.contains_key("index")));
        }
        let inside: Map<String, Value> = serde_json::from_slice(&out).unwrap();
        out.clear();
        native.event(&event, &meta, &mut out).unwrap();
        assert_eq!(inside["event"], serde_json::from_slice::<Value>(&out).unwrap());
    }
}

/// Vendor, product, signature, name and severity, and the keys, as the event has them.
fn check(text: &[u8], header: &[String; 5], keys: &Map<String, Value>) {
    let json = native(text);
    let system = &json["System"];
    let wrong = || format!("{keys:?} {}", String::from_utf8_lossy(text));
    let said = |value: &Value| match value {
        Value::String(said) => said.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    let id = said(&system["EventID"]);
    assert_eq!(header[..2], ["Microsoft", "Microsoft Windows"]);
    let signature = format!("{}:{id}", said(&system["Provider"]["Name"])).replace('\n', " ");
    assert_eq!(header[2].trim(), signature.trim(), "{}", wrong());
    for (key, expected) in [
        ("externalId", id),
        ("cat", said(&system["Channel"])),
        ("dhost", said(&system["Computer"])),
        ("deviceExternalId", said(&system["EventRecordID"])),
    ] {
        assert_eq!(keys.get(key).map(&said).unwrap_or_default(), expected, "{key} {}", wrong());
    }
    // Each text of EventData stands under some key, whole or cut.
    let texts = keys.values().map(said).collect::<Vec<_>>();
    for (name, value) in json["EventData"].as_object().into_iter().flatten() {
        let Some(value) = value.as_str().map(str::trim).filter(|value| !value.is_empty()) else { continue };
        if keys.contains_key("ad.ForebayLeftOut") {
            break;
        }
        let stands = |text: &String| {
            let start = text.strip_suffix("...").unwrap_or(text);
            let same_address = address(value).is_some_and(|value| address(text) == Some(value));
            *text == value || same_address || value.starts_with(start) && start.len() > 250
        };
        assert!(texts.iter().any(stands), "{name} {value:?} {}", wrong());
    }
}

fn address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}
