//! Any bytes as an event's XML, alone and inside of an event: what is read is read alike by
//! quick-xml, is written as canonical XML that reads the same, on one line that stays well formed
//! if asked, and takes bounded room in every format; lines for SIEMs are one line of the parts they
//! promise; flat objects have no name twice; filters never panic.
#![no_main]

#[path = "../../tests/peers/quick.rs"]
#[allow(dead_code)]
mod quick;

use forebay::event::canonical::XmlWriter;
use forebay::event::{Event, Part, Timestamp, XmlEvent};
use forebay::filter::FilterConfig;
use forebay::format::{Format, FormatConfig, Meta, ecs, sentinel, splunk, xml};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The inside of an event, so that mutations need not find the frame first.
    let framed = [b"<Event><System><EventID>1</EventID></System>", data, b"</Event>"].concat();
    for text in [data, &framed] {
        read(text);
    }
});

fn read(text: &[u8]) {
    let Ok(event) = XmlEvent::parse(text) else { return };
    let mut json = FormatConfig { json: Some(Default::default()), ..FormatConfig::default() }.open().expect("a format");
    let first = written(&mut json, &event);
    assert_eq!(first, written(&mut json, &event), "a scratch that was used");
    if let Some(first) = &first {
        assert!(first.len() <= 8 * text.len() + 1024, "{} of {}", first.len(), text.len());
        serde_json::from_str::<serde_json::Value>(first).expect("valid JSON");
        if let Ok(peer) = quick::QuickEvent::parse(text)
            && let Some(theirs) = written(&mut json, &peer)
        {
            assert_eq!(first, &theirs);
        }
        rewritten(text, &event, first, &mut json);
    }
    others(text, &event);
    let expression = "*[System[EventID=1 and band(Keywords,3)] or EventData[Data[@Name='a']='b']]";
    let filter = FilterConfig { xpath: Some(expression.into()), ..FilterConfig::default() };
    let _ = filter.compile().expect("an expression that is right").keeps(&event, Timestamp(0));
}

/// What is written as XML reads as the same event.
fn rewritten(text: &[u8], event: &XmlEvent<'_>, json: &str, format: &mut Format) {
    let mut canonical = Vec::new();
    event.walk(Part::Whole, &mut XmlWriter::new(&mut canonical)).expect("it was walked before");
    let again = XmlEvent::parse(&canonical).expect("canonical XML is well formed");
    let again = written(format, &again).expect("canonical XML is well formed");
    let mut line = Vec::new();
    let mut one_line = FormatConfig { xml: Some(xml::Config::default()), ..FormatConfig::default() }.open().expect("a format");
    one_line.event(event, &Meta::default(), &mut line).expect("text is passed on");
    assert!(!line.contains(&b'\n') && !line.contains(&b'\r'), "more than one line");
    let on_a_line = XmlEvent::parse(&line).expect("it stays well formed");
    let on_a_line = written(format, &on_a_line).expect("it stays well formed");
    // White space beside a comment is text until elements follow, and without the comment it is
    // layout.
    let has = |needle: &[u8]| text.windows(needle.len()).any(|window| window == needle);
    if !(has(b"<!") || has(b"<?")) {
        assert_eq!(again, json);
        // A reference keeps the CR of a line end, which the character does not outlive.
        if !text.contains(&b'\r') {
            assert_eq!(on_a_line, json);
        }
    }
}

fn others(text: &[u8], event: &XmlEvent<'_>) {
    let config = FormatConfig { ecs: Some(ecs::Config::default()), ..FormatConfig::default() };
    if let Some(ecs) = written(&mut config.open().expect("a format"), event) {
        // Names of outer elements stand before those inside, up to 256 bytes of them.
        assert!(ecs.len() <= 64 * text.len() + 4096, "{} of {}", ecs.len(), text.len());
        serde_json::from_str::<serde_json::Value>(&ecs).expect("valid JSON");
    }
    lines(text, event);
    objects(text, event);
}

/// Objects on one line, whose names differ in more than case.
fn objects(text: &[u8], event: &XmlEvent<'_>) {
    let empty = FormatConfig::default;
    for config in [
        FormatConfig { openwec: Some(Default::default()), ..empty() },
        FormatConfig { nxlog: Some(Default::default()), ..empty() },
        FormatConfig { flat: Some(Default::default()), ..empty() },
    ] {
        let mut format = config.open().expect("a format");
        let mut raw = Vec::new();
        format.raw(text, "why\r\n\"it\" is cut", &Meta::default(), &mut raw);
        let raw = String::from_utf8(raw).expect("UTF-8");
        for line in written(&mut format, event).iter().chain([&raw]) {
            assert!(!line.contains(['\n', '\r']), "more than one line: {line:?}");
            // Names of elements stand before each of their attributes, up to 256 bytes of them, and the event may be
            // there once more.
            assert!(line.len() <= 64 * text.len() + 4096, "{} of {}", line.len(), text.len());
            let object: std::collections::BTreeMap<String, serde_json::Value> =
                serde_json::from_str(line).expect("valid JSON");
            if !matches!(format, Format::Openwec(_)) {
                let names: std::collections::HashSet<_> = object.keys().map(|name| name.to_ascii_lowercase()).collect();
                assert_eq!(names.len(), object.len(), "a name twice: {line:?}");
            }
        }
    }
}

/// What SIEMs get: one line, whether the event is read or not.
fn lines(text: &[u8], event: &XmlEvent<'_>) {
    let (empty, json) = (FormatConfig::default, splunk::EventConfig::Json);
    let security = sentinel::Config { table: sentinel::Table::SecurityEvent, ..Default::default() };
    let objects = splunk::Config { event: json, host: splunk::HostConfig::Short, ..Default::default() };
    for config in [
        FormatConfig { splunk: Some(Default::default()), ..empty() },
        FormatConfig { splunk: Some(objects), ..empty() },
        FormatConfig { snare: Some(Default::default()), ..empty() },
        FormatConfig { cef: Some(Default::default()), ..empty() },
        FormatConfig { leef: Some(Default::default()), ..empty() },
        FormatConfig { ocsf: Some(Default::default()), ..empty() },
        FormatConfig { sentinel: Some(Default::default()), ..empty() },
        FormatConfig { sentinel: Some(security), ..empty() },
    ] {
        let mut format = config.open().expect("a format");
        let (mut raw, error) = (Vec::new(), "why\r\n\tit = | \\ is \"cut\"");
        format.raw(text, error, &Meta::default(), &mut raw);
        let raw = String::from_utf8(raw).expect("UTF-8");
        for line in written(&mut format, event).iter().chain([&raw]) {
            assert!(!line.contains(['\n', '\r']), "more than one line: {line:?}");
            match format {
                Format::Splunk(_) => object(line),
                Format::Leef(_) => attributes(line),
                Format::Ocsf(_) => class(line),
                Format::Sentinel(_) => row(line),
                Format::Snare(_) => assert_eq!(line.split('\t').count(), 15, "{line:?}"),
                _ => keys(line),
            }
        }
    }
}

/// Members as documented, the event not blank and the indexed fields flat.
fn object(line: &str) {
    let object: serde_json::Value = serde_json::from_str(line).expect("valid JSON");
    let object = object.as_object().expect("an object");
    for (name, value) in object {
        let is_right = match name.as_str() {
            "time" => value.as_f64().is_some_and(|time| time >= 0.0),
            "host" | "source" | "sourcetype" => value.as_str().is_some_and(|text| !text.is_empty()),
            "event" => value.is_object() || value.as_str().is_some_and(|text| !text.trim().is_empty()),
            "fields" => value.as_object().is_some_and(|fields| fields.values().all(|field| field.is_string())),
            _ => false,
        };
        assert!(is_right, "{name}: {value}");
    }
    assert!(object.contains_key("event") && object.contains_key("source"));
}

/// What every class requires, no member twice.
fn class(line: &str) {
    let object: serde_json::Value = serde_json::from_str(line).expect("valid JSON");
    let (class, activity) = (object["class_uid"].as_u64().expect("a class"), object["activity_id"].as_u64());
    assert_eq!(object["type_uid"].as_u64(), activity.map(|activity| class * 100 + activity));
    assert!(object["time"].is_i64() && object["severity_id"].is_u64() && object["unmapped"].is_object());
    assert_eq!(object["metadata"]["version"], "1.8.0");
    assert!(class != 3002 || object["user"].is_object() && object["dst_endpoint"].is_object());
    assert!(class != 1007 || object["process"].is_object() && object["actor"].is_object());
}

/// Columns that are within what a column holds.
fn row(line: &str) {
    let object: serde_json::Value = serde_json::from_str(line).expect("valid JSON");
    for (name, value) in object.as_object().expect("an object") {
        let bytes = value.as_str().map_or_else(|| value.to_string().len(), str::len);
        // What is written of a dynamic column is at least as long as this of it.
        assert!(bytes <= sentinel::FIELD_BYTES_MAX, "{name} has {bytes} bytes");
    }
}

/// Six parts of the header, then attributes with tabs between, no key twice.
fn attributes(line: &str) {
    let parts: Vec<&str> = line.splitn(7, '|').collect();
    assert!(parts.len() == 7 && parts[0] == "LEEF:2.0" && parts[5] == "x09", "{line:?}");
    let mut found = std::collections::HashSet::new();
    for attribute in parts[6].split('\t') {
        let (key, value) = attribute.split_once('=').expect("a key");
        assert!(!key.is_empty() && found.insert(key.to_ascii_lowercase()), "{key} in {line:?}");
        assert!(!value.contains(|c: char| c.is_ascii_control()), "{line:?}");
    }
}

/// Seven parts of the header, then keys of letters each once, all escapes known.
fn keys(line: &str) {
    let bytes = line.as_bytes();
    let (mut at, mut bars) = (0, 0);
    while bars < 7 {
        match bytes[at] {
            b'\\' => {
                assert!(matches!(bytes[at + 1], b'\\' | b'|'), "{line:?}");
                at += 1;
            }
            b'|' => bars += 1,
            _ => {}
        }
        at += 1;
    }
    assert!(line.starts_with("CEF:0|"));
    let (mut word, mut found) = (at, std::collections::HashSet::new());
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => {
                assert!(matches!(bytes[at + 1], b'\\' | b'=' | b'n' | b'r'), "{line:?}");
                at += 1;
            }
            b' ' => word = at + 1,
            b'=' => {
                let key = &bytes[word..at];
                let is_right = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
                assert!(!key.is_empty() && key.iter().all(is_right), "{line:?}");
                assert!(found.insert(key), "a key twice: {line:?}");
            }
            _ => {}
        }
        at += 1;
    }
}

fn written<'a>(format: &mut Format, event: &impl Event<'a>) -> Option<String> {
    let mut out = Vec::new();
    match format.event(event, &Meta::default(), &mut out) {
        Ok(()) => Some(String::from_utf8(out).expect("JSON is UTF-8")),
        Err(_) => {
            assert!(out.is_empty(), "what failed leaves nothing behind");
            None
        }
    }
}
