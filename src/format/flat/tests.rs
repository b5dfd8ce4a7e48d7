//! Single rules; whole lines are golden files of the room.

use super::*;
use crate::event::XmlEvent;
use serde_json::{Map, Value as Json, json};

fn encode(config: &Config, system: &str, body: &str) -> Map<String, Json> {
    let text = format!("<Event><System>{system}</System>{body}</Event>");
    let (mut flat, mut out) = (Flat::new(config), b"before".to_vec());
    flat.event(&XmlEvent::parse(text.as_bytes()).unwrap(), &Meta::default(), &mut out).unwrap();
    serde_json::from_slice(out.strip_prefix(b"before").unwrap()).unwrap()
}

/// What EventData becomes, of an event with this System.
#[track_caller]
fn check_with(system: &str, data: &str, expected: Json) {
    let mut found = encode(&Config::default(), system, &format!("<EventData>{data}</EventData>"));
    found.retain(|name, _| name != "EventID" && name != "Provider_Name");
    assert_eq!(Json::from(found), expected, "{data}");
}

#[track_caller]
fn check(data: &str, expected: Json) {
    check_with("", data, expected);
}

#[test]
fn names_are_those_of_the_event() {
    check(
        "<Data Name='LogonType'>2</Data><Data Name='Empty'/><Binary>00</Binary>",
        json!({"LogonType": "2", "Empty": "", "Binary": "00"}),
    );
}

#[test]
fn unnamed_values_are_joined() {
    check("<Data>one</Data>", json!({"Data": "one"}));
    check("<Data/>", json!({"Data": ""}));
    check(
        "<Data>one</Data><Data Name='X'>2</Data><Data/><Data>three\r\nlines</Data>",
        json!({"Data": "one\n\nthree\nlines", "X": "2"}),
    );
}

#[test]
fn a_name_of_system_is_never_the_events() {
    check_with(
        "<EventID>7</EventID>",
        "<Data Name='EventID'>8</Data><Data Name='Message'>m</Data><Data Name='computer'>c</Data>\
         <Data Name='ProcessID'>9</Data>",
        json!({"EventID_1": "8", "Message_2": "m", "computer_3": "c", "ProcessID": "9"}),
    );
}

#[test]
fn names_that_differ_in_case_only_are_told_apart_by_place() {
    check(
        "<Data Name='A'>1</Data><Data Name='a'>2</Data><Data Name='A'>3</Data><Data Name='A_3'>4</Data>",
        json!({"A": "1", "a_2": "2", "A_3": "3", "A_3_4": "4"}),
    );
}

#[test]
fn hashes_are_there_one_by_one() {
    check(
        "<Data Name='Hashes'>SHA1=0A,MD5=0B,SHA256=0C,IMPHASH=0D</Data>",
        json!({"Hashes": "SHA1=0A,MD5=0B,SHA256=0C,IMPHASH=0D", "SHA1": "0A", "MD5": "0B", "SHA256": "0C", "IMPHASH": "0D"}),
    );
    check("<Data Name='Hash'>MD5=0B</Data>", json!({"Hash": "MD5=0B", "MD5": "0B"}));
    // What the event says itself comes before what is made of it.
    check(
        "<Data Name='md5'>own</Data><Data Name='Hashes'>MD5=0B</Data>",
        json!({"md5": "own", "Hashes": "MD5=0B"}),
    );
    for text in ["", "-", "MD5=", "=0B", "MD5=0B,", "MD5=0B, SHA1=0A", "MD5=xyz", "SHA1=0A;MD5=0B"] {
        check(&format!("<Data Name='Hashes'>{text}</Data>"), json!({"Hashes": text}));
    }
}

const AUDIT: &str = "<Provider Name='Microsoft-Windows-Security-Auditing'/><EventID>4688</EventID>";

#[test]
fn a_process_of_security_is_one_of_sysmon() {
    let data = "<Data Name='SubjectUserSid'>S-1-5-21-1-2-3-1105</Data><Data Name='SubjectUserName'>anna</Data>\
        <Data Name='SubjectDomainName'>CORP</Data><Data Name='SubjectLogonId'>0x8a3f</Data>\
        <Data Name='NewProcessId'>0x1f4</Data><Data Name='NewProcessName'>C:\\a.exe</Data>\
        <Data Name='ProcessId'>0x240</Data><Data Name='ParentProcessName'>C:\\b.exe</Data>\
        <Data Name='MandatoryLabel'>S-1-16-12288</Data>";
    let found = encode(&Config::default(), AUDIT, &format!("<EventData>{data}</EventData>"));
    for (name, expected) in [
        ("Image", "C:\\a.exe"),
        ("ParentImage", "C:\\b.exe"),
        ("User", "CORP\\anna"),
        ("LogonId", "0x8a3f"),
        ("ParentProcessId", "576"),
        ("IntegrityLevel", "High"),
        ("ProcessId", "0x240"),
        ("NewProcessId", "0x1f4"),
        ("NewProcessName", "C:\\a.exe"),
    ] {
        assert_eq!(found[name], expected, "{name}");
    }
    assert_eq!(found.len(), 2 + 9 + 6);
}

#[test]
fn an_account_that_every_windows_has_is_called_as_sysmon_calls_it() {
    let data = "<Data Name='SubjectUserSid'>S-1-5-18</Data><Data Name='SubjectUserName'>DC1$</Data>";
    let found = encode(&Config::default(), AUDIT, &format!("<EventData>{data}</EventData>"));
    assert_eq!(found["User"], "NT AUTHORITY\\SYSTEM");
}

#[test]
fn other_events_have_no_second_names() {
    for system in [
        "<Provider Name='Microsoft-Windows-Security-Auditing'/><EventID>4689</EventID>",
        "<Provider Name='Other'/><EventID>4688</EventID>",
    ] {
        check_with(system, "<Data Name='NewProcessName'>a</Data>", json!({"NewProcessName": "a"}));
    }
    // And an own name is not overruled.
    check_with(
        AUDIT,
        "<Data Name='Image'>own</Data><Data Name='NewProcessName'>a</Data>",
        json!({"Image": "own", "NewProcessName": "a"}),
    );
}

#[test]
fn the_events_xml_is_there_where_asked_for_or_where_names_do_not_say_it_all() {
    let text = "<Event><System><EventID>1</EventID></System></Event>";
    let asked = encode(&Config { original: true }, "<EventID>1</EventID>", "");
    assert_eq!(asked["EventXML"], text);
    let odd = encode(&Config::default(), "<EventID>1</EventID><Container>c</Container>", "");
    assert!(odd["EventXML"].as_str().unwrap().contains("<Container>c</Container>"));
    assert_eq!(encode(&Config::default(), "<EventID>1</EventID>", "").get("EventXML"), None);
}
