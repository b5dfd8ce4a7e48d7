//! `sentinel` against Microsoft's published columns, and back.

use super::{events, native, number, open, put, read, same, sorted, written, written_at};
use forebay::event::Timestamp;
use forebay::format::sentinel::FIELD_BYTES_MAX;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Of a table: columns with their types.
fn published(table: &str) -> BTreeMap<&'static str, &'static str> {
    let lines = include_str!("../../src/format/testdata/sentinel/columns.txt").lines();
    let columns = lines.filter(|line| !line.starts_with('#')).map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        (words[0], words[1], words[2])
    });
    columns.filter(|column| column.0 == table).map(|(_, name, kind)| (name, kind)).collect()
}

/// What is wrong with a row.
fn check(row: &Value, columns: &BTreeMap<&str, &str>) -> Result<(), String> {
    for (name, value) in row.as_object().ok_or("no object")? {
        let kind = columns.get(&**name).ok_or_else(|| format!("{name} is no column"))?;
        let text = value.as_str();
        let is_right = match *kind {
            "string" => text.is_some_and(|text| !text.is_empty()),
            "int" => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
            "datetime" => text.is_some_and(|text| Timestamp::parse(text.as_bytes()).is_some()),
            "dynamic" => value.is_object(),
            _ => false,
        };
        if !is_right {
            return Err(format!("{name} is no {kind}: {value}"));
        }
        let bytes = text.map_or_else(|| value.to_string().len(), str::len);
        if bytes > FIELD_BYTES_MAX {
            return Err(format!("{name} has {bytes} bytes"));
        }
    }
    Ok(())
}

/// A time is the same in whatever digits.
fn timed(mut native: Value) -> Value {
    let created = native.pointer_mut("/System/TimeCreated");
    if let Some(created) = created
        && let Some(time) = created.as_str().and_then(|text| Timestamp::parse(text.as_bytes()))
    {
        *created = time.0.into();
    }
    native
}

/// Whether something of it was cut or left out.
fn is_cut(line: &str) -> bool {
    line.contains(" bytes cut]") || line.contains("\"#LeftOut\":")
}

fn system(native: &mut Value, row: &Value) {
    for (path, column, is_number) in [
        ("System/Channel", "Channel", false),
        ("System/Computer", "Computer", false),
        ("System/EventID", "EventID", true),
        ("System/Version", "Version", true),
        ("System/Task", "Task", true),
        ("System/Opcode", "Opcode", true),
        ("System/Keywords", "Keywords", false),
        ("System/EventRecordID", "EventRecordId", true),
        ("System/Correlation/ActivityID", "Correlation", false),
        ("System/Execution/ProcessID", "SystemProcessId", true),
        ("System/Execution/ThreadID", "SystemThreadId", true),
        ("System/UserID", "SystemUserId", false),
    ] {
        match &row[column] {
            Value::String(text) => {
                put(native, path, if is_number { number(text) } else { text.as_str().into() })
            }
            Value::Number(found) => put(native, path, found.clone().into()),
            _ => {}
        }
    }
}

/// Native JSON again, from a row of WindowsEvent.
fn of_windows_event(row: &Value) -> Value {
    let mut data = row["EventData"].clone();
    let mut native = data.as_object_mut().unwrap().remove("#Event").unwrap();
    if data.as_object().is_some_and(|data| !data.is_empty()) {
        put(&mut native, "EventData", data);
    }
    system(&mut native, row);
    for (path, column) in [("System/Provider/Name", "Provider"), ("System/Level", "EventLevel")] {
        if !row[column].is_null() {
            put(&mut native, path, row[column].clone());
        }
    }
    // The service may put another time in the column, so the event's own is not taken from there.
    let time = row["TimeGenerated"].as_str().unwrap();
    let own =
        native.pointer("/System/TimeCreated").and_then(|own| Timestamp::parse(own.as_str()?.as_bytes()));
    let same = own.map_or_else(
        || RECEIVED.to_owned(),
        |own| {
            let mut text = Vec::new();
            own.write(7, &mut text);
            String::from_utf8(text).unwrap()
        },
    );
    assert_eq!(time, same);
    native
}

/// The time of an event without one.
const RECEIVED: &str = "2026-03-29T21:10:41.0020000Z";

#[test]
fn every_row_of_windows_event_has_microsofts_columns_and_is_native_json_again() {
    let events = events("every_row_of_windows_event_has_microsofts_columns_and_is_native_json_again");
    let (mut format, mut json, columns) =
        (open("sentinel = {}"), open("json = {}"), published("WindowsEvent"));
    let mut cut = 0;
    for text in &events {
        let line = written(&mut format, text);
        let row: Value = read(&line);
        check(&row, &columns).unwrap_or_else(|wrong| panic!("{wrong}: {line:.2000}"));
        if is_cut(&line) {
            cut += 1;
            assert!(text.len() > FIELD_BYTES_MAX / 6, "{line:.2000}");
            continue;
        }
        let found = timed(sorted(of_windows_event(&row)));
        same(found, timed(sorted(native(&mut json, text))), &line);
    }
    println!("{} events, {cut} of them longer than a column", events.len());
    assert!(cut > 10);
}

/// What Microsoft's tables have beside a column for each `Data`.
const OWN: [&str; 28] = [
    "Account",
    "AccountType",
    "Activity",
    "AzureDeploymentID",
    "Channel",
    "Computer",
    "Correlation",
    "EventData",
    "EventID",
    "EventLevelName",
    "EventRecordId",
    "EventSourceName",
    "Keywords",
    "Level",
    "LogonTypeName",
    "Opcode",
    "Process",
    "SubjectAccount",
    "SystemProcessId",
    "SystemThreadId",
    "SystemUserId",
    "TargetAccount",
    "Task",
    "TenantId",
    "TimeGenerated",
    "Type",
    "Version",
    "SourceSystem",
];

/// Native JSON again, from a row of SecurityEvent; the XML is of the whole event, or of all but System.
fn of_security_event(row: &Value, is_whole: bool, json: &mut forebay::format::Format) -> Value {
    let xml = row["EventData"].as_str().unwrap_or_default();
    let text = if is_whole { xml.to_owned() } else { format!("<Event><System/>{xml}</Event>") };
    let mut again = native(json, text.as_bytes());
    system(&mut again, row);
    if let Some(name) = row["EventSourceName"].as_str() {
        put(&mut again, "System/Provider/Name", name.into());
    }
    if let Some(level) = row["Level"].as_str() {
        put(&mut again, "System/Level", number(level));
    }
    if let Some(time) = row["TimeGenerated"].as_str().filter(|time| *time != RECEIVED) {
        put(&mut again, "System/TimeCreated", time.into());
    }
    // The whole event has them all itself, of many the last ones in a list.
    let columns = row.as_object().unwrap().iter().filter(|_| !is_whole);
    for (name, value) in columns.filter(|(name, _)| !OWN.contains(&name.as_str())) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        put(&mut again, &format!("EventData/{name}"), text.into());
    }
    again
}

/// Without what the page says that is lost: and no member that is empty, for such are not sent.
fn without_what_is_lost(mut native: Value) -> Value {
    let root = native.as_object_mut().unwrap();
    for name in ["Forebay", "RenderingInfo"] {
        root.remove(name);
    }
    // A second one is no member.
    if let Some(Value::Array(others)) = root.get_mut("#elements") {
        others.retain(|other| other.get("RenderingInfo").is_none());
        if others.is_empty() {
            root.remove("#elements");
        }
    }
    if let Some(system) = root.get_mut("System").and_then(Value::as_object_mut) {
        system.remove("Qualifiers");
        for (element, kept) in [
            ("Provider", &["Name"][..]),
            ("Correlation", &["ActivityID"]),
            ("Execution", &["ProcessID", "ThreadID"]),
        ] {
            if let Some(members) = system.get_mut(element).and_then(Value::as_object_mut) {
                members.retain(|name, _| kept.contains(&name.as_str()));
                members.retain(|_, value| value != "");
            }
        }
        system.retain(|_, value| *value != json!("") && *value != json!({}));
        if system.is_empty() {
            root.remove("System");
        }
    }
    native
}

#[test]
fn every_row_of_security_event_has_microsofts_columns_and_loses_what_its_page_says() {
    let events = events("every_row_of_security_event_has_microsofts_columns_and_loses_what_its_page_says");
    let columns = published("SecurityEvent");
    let (mut format, mut json) = (open("sentinel.table = 'SecurityEvent'"), open("json = {}"));
    let (mut cut, mut whole) = (0, 0);
    // Sent as they happen; some so late that the service puts the time of arrival into all of them.
    let late = Timestamp::parse(b"2100-01-01T00:00:00Z");
    let sent = events.iter().map(|text| (text, None));
    for (text, now) in sent.chain(events.iter().step_by(4).map(|text| (text, late))) {
        // What System has in pieces around a comment is one text in the XML that is kept.
        let text =
            String::from_utf8_lossy(text).replace("<!-- of 2 -->", "").replace("<![CDATA[Sec]]>", "Sec");
        let text = text.as_bytes();
        let line = written_at(&mut format, text, now);
        let mut row: Value = read(&line);
        check(&row, &columns).unwrap_or_else(|wrong| panic!("{wrong}: {line:.2000}"));
        if is_cut(&line) {
            cut += 1;
            assert!(text.len() > FIELD_BYTES_MAX / 2, "{line:.2000}");
            continue;
        }
        let expected = native(&mut json, text);
        if now.is_some() {
            row["TimeGenerated"] = RECEIVED.into();
        }
        let is_whole = is_kept_whole(&expected) || now.is_some() && is_dated(&expected);
        whole += usize::from(is_whole);
        let found = of_security_event(&row, is_whole, &mut json);
        let comparable = |native| timed(sorted(without_what_is_lost(native)));
        same(comparable(found), comparable(expected), &line);
    }
    println!("{} events, {cut} longer than a column, {whole} kept whole", events.len());
    assert!(cut > 10 && whole > 3);
}

fn is_dated(native: &Value) -> bool {
    let time = native["System"]["TimeCreated"].as_str();
    time.is_some_and(|time| Timestamp::parse(time.trim().as_bytes()).is_some())
}

/// Whether System holds what the columns cannot.
fn is_kept_whole(native: &Value) -> bool {
    let system = &native["System"];
    let is_wrong = |value: &Value| match value {
        Value::Number(number) => number.as_u64().is_none_or(|number| i32::try_from(number).is_err()),
        Value::String(text) => !text.is_empty(),
        _ => false,
    };
    let numbers = [&system["EventID"], &system["Version"], &system["Task"]];
    let execution = [&system["Execution"]["ProcessID"], &system["Execution"]["ThreadID"]];
    let time = system["TimeCreated"].as_str().unwrap_or_default();
    let is_odd_time =
        !time.is_empty() && Timestamp::parse(time.as_bytes()).is_none_or(|time| time.0 % 100 != 0);
    let wrong = numbers.into_iter().chain(execution).any(is_wrong);
    let more = |value: &Value| {
        value.as_object().is_some_and(|members| members.keys().any(|name| name.starts_with(['@', '#'])))
    };
    let tag = native.as_object().unwrap().keys().any(|name| name.starts_with('@') || name == "#name");
    more(system) || tag || wrong || is_odd_time
}

#[test]
fn a_column_of_another_name_type_or_length_is_found() {
    let columns = published("WindowsEvent");
    let wrong = |row: Value| check(&row, &columns).unwrap_err();
    assert_eq!(wrong(json!({"Level": 1})), "Level is no column");
    assert_eq!(wrong(json!({"EventID": "1"})), "EventID is no int: \"1\"");
    assert_eq!(wrong(json!({"Opcode": 1})), "Opcode is no string: 1");
    assert_eq!(wrong(json!({"Channel": "c".repeat(64_001)})), "Channel has 64001 bytes");
    assert_eq!((columns.len(), published("SecurityEvent").len()), (26, 228));
}

#[test]
fn what_is_longer_than_a_column_is_cut_with_a_mark_and_the_rest_stays() {
    let data = |name: &str, text: &str| format!("<Data Name='{name}'>{text}</Data>");
    let text = format!(
        "<Event><System><EventID>4688</EventID></System><EventData>{}{}{}</EventData></Event>",
        data("CommandLine", &"é".repeat(500_000)),
        data("NewProcessName", "C:\\a.exe"),
        data("Other", &"<a/>".repeat(20_000).replace('<', "&lt;")),
    );
    let row: Value = serde_json::from_str(&written(&mut open("sentinel = {}"), text.as_bytes())).unwrap();
    let data = &row["EventData"];
    assert_eq!(data["NewProcessName"], "C:\\a.exe");
    let kept = |text: &Value, bytes: usize| {
        let (kept, rest) = text.as_str().unwrap().split_once(" [Forebay: ").unwrap();
        let cut: usize = rest.strip_suffix(" bytes cut]").unwrap().parse().unwrap();
        assert_eq!(kept.len() + cut, bytes);
        kept.len()
    };
    assert_eq!((kept(&data["CommandLine"], 1_000_000), kept(&data["Other"], 80_000)), (16_384, 16_384));
    let mut format = open("sentinel.table = 'SecurityEvent'");
    let row: Value = serde_json::from_str(&written(&mut format, text.as_bytes())).unwrap();
    assert_eq!(row["NewProcessName"], "C:\\a.exe");
    assert!(kept(&row["CommandLine"], 1_000_000) > 63_000);
    assert!(row["EventData"].as_str().unwrap().ends_with(" bytes cut]"));
}
