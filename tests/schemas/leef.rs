//! `leef` read by IBM's rules: the header is parted by bars, attributes by the delimiter that it declares, a key
//! stands once and is what IBM's table says that it is.

use super::{events, native, open, written};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A line as QRadar takes it apart.
#[derive(Debug)]
struct Line {
    header: Vec<String>,
    attributes: BTreeMap<String, String>,
}

impl Line {
    fn read(line: &str) -> Result<Self, String> {
        let parts: Vec<&str> = line.splitn(6, '|').collect();
        let [version, vendor, product, release, event_id, rest] = parts[..] else {
            return Err("a header of less parts".into());
        };
        let (delimiter, attributes) = match version {
            "LEEF:1.0" => ('\t', rest),
            "LEEF:2.0" => {
                let (declared, attributes) = rest.split_once('|').ok_or("no delimiter is declared")?;
                (delimiter(declared).ok_or("a delimiter that is none")?, attributes)
            }
            _ => return Err(format!("{version} is no version")),
        };
        if event_id.chars().count() > 255 {
            return Err("an EventID of more than 255 signs".into());
        }
        let mut found = BTreeMap::new();
        for attribute in attributes.split(delimiter) {
            let (key, value) =
                attribute.split_once('=').ok_or_else(|| format!("{attribute:?} is no attribute"))?;
            check(key, value)?;
            if found.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(format!("{key} stands twice"));
            }
        }
        let folded: BTreeSet<String> = found.keys().map(|key| key.to_ascii_lowercase()).collect();
        if folded.len() != found.len() {
            return Err("keys that differ in case only".into());
        }
        let header = [vendor, product, release, event_id].map(str::to_owned).into();
        Ok(Self { header, attributes: found })
    }
}

/// One sign, or the code of one behind `x` or `0x`.
fn delimiter(declared: &str) -> Option<char> {
    let mut signs = declared.chars();
    match (signs.next(), signs.next()) {
        (Some(sign), None) => Some(sign),
        _ => {
            let digits = declared.strip_prefix("0x").or_else(|| declared.strip_prefix('x'))?;
            char::from_u32(u32::from_str_radix(digits, 16).ok()?)
        }
    }
}

/// IBM's "Predefined LEEF event attributes": names and types of those that have one, and what IBM says of keys.
fn check(key: &str, value: &str) -> Result<(), String> {
    let number = |max: u64| value.parse::<u64>().is_ok_and(|number| number <= max);
    let is_right = match key {
        "sev" => number(10) && value != "0",
        "srcPort" | "dstPort" => number(65_535),
        "proto" => number(255),
        "src" | "dst" => value.parse::<IpAddr>().is_ok(),
        // Of 13 digits no devTimeFormat is needed.
        "devTime" => value.len() == 13 && number(u64::MAX),
        "usrName" => value.chars().count() <= 255,
        "cat" | "domain" | "resource" => true,
        _ if PREDEFINED.contains(&key) => return Err(format!("{key} is a predefined key, and not used")),
        _ => {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
            !key.is_empty() && key.bytes().all(is_plain)
        }
    };
    let is_clean = !value.contains(|sign: char| sign.is_ascii_control());
    if is_right && is_clean { Ok(()) } else { Err(format!("{key} is not {value:.200}")) }
}

/// The others of IBM's table.
const PREDEFINED: [&str; 34] = [
    "devTimeFormat",
    "srcPreNAT",
    "dstPreNAT",
    "srcPostNAT",
    "dstPostNAT",
    "srcMAC",
    "dstMAC",
    "srcPreNATPort",
    "dstPreNATPort",
    "srcPostNATPort",
    "dstPostNATPort",
    "identSrc",
    "identHostName",
    "identNetBios",
    "identGrpName",
    "identMAC",
    "vSrc",
    "vSrcName",
    "accountName",
    "srcBytes",
    "dstBytes",
    "srcPackets",
    "dstPackets",
    "totalPackets",
    "role",
    "realm",
    "policy",
    "url",
    "groupID",
    "isLoginEvent",
    "isLogoutEvent",
    "identSecondlp",
    "calLanguage",
    "calCountryOrRegion",
];

/// Members of System that have a key.
const SYSTEM: [(&str, &str); 20] = [
    ("/Provider/Name", "EventSource"),
    ("/Provider/Guid", "EventSourceGuid"),
    ("/Provider/EventSourceName", "EventSourceName"),
    ("/Qualifiers", "Qualifiers"),
    ("/Version", "EventVersion"),
    ("/Level", "Level"),
    ("/Task", "Task"),
    ("/Opcode", "Opcode"),
    ("/Keywords", "Keywords"),
    ("/TimeCreated", "TimeCreated"),
    ("/EventRecordID", "EventRecordID"),
    ("/Correlation/ActivityID", "ActivityID"),
    ("/Correlation/RelatedActivityID", "RelatedActivityID"),
    ("/Execution/ProcessID", "ExecutionProcessID"),
    ("/Execution/ThreadID", "ExecutionThreadID"),
    ("/Execution/ProcessorID", "ExecutionProcessorID"),
    ("/Execution/SessionID", "ExecutionSessionID"),
    ("/UserID", "SecurityUserID"),
    ("/Channel", "cat"),
    ("/Computer", "resource"),
];

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// As the page says of values.
fn cleaned(text: &str) -> String {
    text.chars().map(|sign| if sign.is_ascii_control() { ' ' } else { sign }).collect()
}

/// All texts of a part of the event. Text beside elements is one however many pieces it comes in.
fn leaves(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            // A list of `Data` has their names too, which are no texts.
            let is_data = members.contains_key("Name") && members.contains_key("Value");
            // A Name is the key, and a namespace nobody's text.
            let is_text =
                |name: &str| !(is_data && name == "Name" || name == "@Name" || name.starts_with("@xmlns"));
            let texts = members.iter().filter(|(name, _)| is_text(name));
            texts.for_each(|(_, member)| leaves(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| leaves(item, found)),
        other => found.push(text(other)),
    }
}

#[test]
fn every_line_is_read_by_ibms_rules_and_loses_what_its_page_says() {
    let events = events("every_line_is_read_by_ibms_rules_and_loses_what_its_page_says");
    let (mut leef, mut json) = (open("leef = {}"), open("json = {}"));
    for event in &events {
        let line = written(&mut leef, event);
        let wrong = |wrong: &str| -> ! { panic!("{wrong}: {}", line.chars().take(3000).collect::<String>()) };
        let read = Line::read(&line).unwrap_or_else(|told| wrong(&told));
        let native = native(&mut json, event);
        let system = &native["System"];
        let id = cleaned(&text(&system["EventID"])).replace('|', "_");
        let id = if system["EventID"].is_null() { "" } else { &id };
        assert_eq!(read.header, ["Microsoft", "Windows", "1.0", id], "{line:.2000}");
        // An element of System that is not Windows' own is on the page.
        for (path, key) in SYSTEM {
            let expected = system.pointer(path).map(text).filter(|text| !text.is_empty());
            let found = read.attributes.get(key).cloned();
            if found != expected.as_deref().map(cleaned) {
                wrong(&format!("{key} is {found:?}, not {expected:?}"));
            }
        }
        let (mut texts, mut values) = (Vec::new(), BTreeMap::<&str, usize>::new());
        let parts = native.as_object().unwrap();
        let parts = parts.iter().filter(|(name, _)| {
            !matches!(&***name, "System" | "Forebay" | "RenderingInfo") && !name.starts_with(['#', '@'])
        });
        parts.for_each(|(_, part)| leaves(part, &mut texts));
        for message in ["Message", "Task"] {
            texts.extend(native["RenderingInfo"][message].as_str().map(str::to_owned));
        }
        read.attributes.values().for_each(|value| *values.entry(value).or_default() += 1);
        let other = read.attributes.get("other").map_or("", String::as_str);
        for text in texts.iter().map(|text| cleaned(text)).filter(|text| !text.trim().is_empty()) {
            let address = text.parse::<IpAddr>().map(|address| address.to_canonical().to_string());
            let shown = [Some(text.clone()), address.ok()];
            let stands = shown.iter().flatten().any(|text| match values.get_mut(text.as_str()) {
                Some(count) if *count > 0 => {
                    *count -= 1;
                    true
                }
                _ => other.contains(&format!("={text}")),
            });
            if !stands {
                wrong(&format!("{text:.300} is nowhere"));
            }
        }
    }
    println!("{} lines of LEEF", events.len());
}

#[test]
fn a_line_against_ibms_rules_is_found() {
    let wrong = |attributes: &str| Line::read(&format!("LEEF:2.0|a|b|1|7|x09|{attributes}")).err().unwrap();
    assert_eq!(wrong("sev=0"), "sev is not 0");
    assert_eq!(wrong("src=1.2.3"), "src is not 1.2.3");
    assert_eq!(wrong("a=1\ta=2"), "a stands twice");
    assert_eq!(wrong("a=1\tA=2"), "keys that differ in case only");
    assert_eq!(wrong("role=1"), "role is a predefined key, and not used");
    assert_eq!(wrong("a"), "\"a\" is no attribute");
    let read = Line::read("LEEF:2.0|a|b|1|7|^|x=1\t2^y=3=4").unwrap_err();
    assert_eq!(read, "x is not 1\t2");
    let read = Line::read("LEEF:1.0|a|b|1|7|x=1^2\ty=3=4").unwrap();
    assert_eq!(read.attributes["y"], "3=4");
}
