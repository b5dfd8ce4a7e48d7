//! What holds of all formats: one is opened, payloads are told apart, the lines for others are those
//! of the golden files (`testdata/<format>/<event>.txt`; `UPDATE=1` writes them anew) and of the
//! pages in `pipelines/formats`.

use super::*;
use crate::event::{Timestamp, XmlEvent};
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn exactly_one_format_is_opened() {
    let open = |text: &str| toml::from_str::<FormatConfig>(text).unwrap().open();
    assert!(matches!(open("json = {}"), Ok(Format::Json(_))));
    assert!(matches!(open("xml.framing = 'length'").unwrap().framing(), Framing::Length));
    assert!(matches!(open("ecs.original = true"), Ok(Format::Ecs(_))));
    assert!(matches!(open("splunk.host = 'short'"), Ok(Format::Splunk(_))));
    assert!(matches!(open("snare = {}"), Ok(Format::Snare(_))));
    assert!(matches!(open("cef = {}"), Ok(Format::Cef(_))));
    assert!(matches!(open("leef.delimiter = '^'"), Ok(Format::Leef(_))));
    assert!(matches!(open("ocsf.raw_data = true"), Ok(Format::Ocsf(_))));
    assert!(matches!(open("sentinel.table = 'SecurityEvent'"), Ok(Format::Sentinel(_))));
    assert!(matches!(open("openwec = {}"), Ok(Format::Openwec(_))));
    assert!(matches!(open("nxlog.edition = 'community'"), Ok(Format::Nxlog(_))));
    assert!(matches!(open("flat = {}"), Ok(Format::Flat(_))));
    assert!(matches!(open("cef = {}\nsnare = {}"), Err(FormatError::Several)));
    assert!(matches!(open(""), Err(FormatError::None)));
    assert!(matches!(open("xml = {}\njson = {}"), Err(FormatError::Several)));
    assert!(open("ecs.namespace = 'a b'").unwrap_err().to_string().contains("`a b`"));
}

#[test]
fn payloads_are_told_apart_by_line_or_length() {
    for (framing, expected) in
        [(Framing::Line, &b"ab\n"[..]), (Framing::Length, b"\0\0\0\x02ab"), (Framing::None, b"ab")]
    {
        let mut out = Vec::new();
        let start = framing.open(&mut out);
        out.extend_from_slice(b"ab");
        framing.close(&mut out, start);
        assert_eq!(out, expected);
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn opened(text: &str) -> Format {
    toml::from_str::<FormatConfig>(text).unwrap().open().unwrap()
}

#[test]
fn a_failed_event_leaves_the_output_and_the_next_event_as_they_were() {
    let good =
        XmlEvent::parse(b"<Event><System/><EventData><Data Name='B'>2</Data></EventData></Event>").unwrap();
    for shape in [
        "json = {}",
        "xml = {}",
        "ecs = {}",
        "splunk = {}",
        "splunk.event = 'json'",
        "snare = {}",
        "cef = {}",
        "leef = {}",
        "ocsf = {}",
        "sentinel = {}",
        "sentinel.table = 'SecurityEvent'",
        "openwec = {}",
        "nxlog = {}",
        "flat = {}",
    ] {
        let mut format = opened(shape);
        for text in
            ["<Event><System/><EventData><Data Name='A'>1</Data>", "<Event><System/><a><b></a></b></Event>"]
        {
            let mut out = b"kept".to_vec();
            let event = XmlEvent::parse(text.as_bytes()).unwrap();
            format.event(&event, &Meta::default(), &mut out).unwrap_err();
            assert_eq!(out, b"kept", "{shape}");
        }
        let (mut after, mut alone) = (Vec::new(), Vec::new());
        format.event(&good, &Meta::default(), &mut after).unwrap();
        opened(shape).event(&good, &Meta::default(), &mut alone).unwrap();
        assert_eq!(String::from_utf8(after).unwrap(), String::from_utf8(alone).unwrap(), "{shape}");
    }
}

/// What the format makes of a text, as a lane would have it.
fn written(format: &mut Format, text: &[u8], meta: &Meta<'_>) -> String {
    let mut out = b"before".to_vec();
    let failed = match XmlEvent::parse(text) {
        Ok(event) => format.event(&event, meta, &mut out).err(),
        Err(error) => Some(error),
    };
    if let Some(error) = failed {
        assert_eq!(out, b"before", "what failed leaves nothing behind");
        format.raw(text, &error.to_string(), meta, &mut out);
    }
    String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned()
}

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

const EVENTS: [&str; 9] = [
    "json/logon.xml",
    "ecs/logon-rendered.xml",
    "json/rendering-info.xml",
    "json/classic-unnamed-data.xml",
    "json/user-data.xml",
    "json/line-ends-and-controls.xml",
    "lines/sysmon-process.xml",
    "lines/nasty.xml",
    "lines/undecodable.xml",
];

#[test]
fn every_event_becomes_the_line_beside_it() {
    let (folder, origin) = (root().join("src/format/testdata"), origin());
    let meta = Meta { origin: Some(&origin), ..Meta::default() };
    for (name, config) in [
        ("splunk", "splunk = {}"),
        ("snare", "snare = {}"),
        ("cef", "cef = {}"),
        ("leef", "leef = {}"),
        ("ocsf", "ocsf = {}"),
        ("sentinel/windows-event", "sentinel = {}"),
        ("sentinel/security-event", "sentinel.table = 'SecurityEvent'"),
        ("openwec", "openwec = {}"),
        ("nxlog", "nxlog = {}"),
        ("flat", "flat = {}"),
    ] {
        let mut format = opened(config);
        for event in EVENTS {
            let line = written(&mut format, &fs::read(folder.join(event)).unwrap(), &meta) + "\n";
            assert_eq!(line.lines().count(), 1, "{line}");
            let golden = folder.join(name).join(Path::new(event).with_extension("txt").file_name().unwrap());
            if std::env::var_os("UPDATE").is_some() {
                fs::write(&golden, line).unwrap();
            } else {
                assert_eq!(line, fs::read_to_string(&golden).unwrap(), "{}", golden.display());
            }
        }
    }
}

/// In each page stand a table `[output.siem]`, and the line that it makes of the rendered logon.
#[test]
fn every_page_shows_what_its_format_writes() {
    let event = fs::read(root().join("src/format/testdata/ecs/logon-rendered.xml")).unwrap();
    let origin = origin();
    let meta = Meta { origin: Some(&origin), ..Meta::default() };
    for name in ["splunk", "snare", "cef", "ecs", "leef", "ocsf", "sentinel", "openwec", "nxlog", "flat"] {
        let path = root().join("pipelines/formats").join(name).with_extension("md");
        let page = fs::read_to_string(&path).unwrap();
        let config = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let table: toml::Table = toml::from_str(config).unwrap();
        let format = table["output"]["siem"]["format"].clone();
        assert!(format.get(name).is_some(), "{}", path.display());
        let line = written(&mut format.try_into::<FormatConfig>().unwrap().open().unwrap(), &event, &meta);
        // Tabs would not be seen.
        let line = line.replace('\t', "⇥");
        let (before, rest) = page.split_once("```text\n").unwrap();
        let (shown, after) = rest.split_once("\n```").unwrap();
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, format!("{before}```text\n{line}\n```{after}")).unwrap();
        } else {
            assert_eq!(shown, line, "{}", path.display());
        }
    }
}
