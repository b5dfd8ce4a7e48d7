//! Single rules; whole rows are golden files of the room, Microsoft's columns and every event are `tests/schemas`.

use super::*;
use crate::event::XmlEvent;
use serde_json::{Value as Json, json};

fn encode(config: &str, system: &str, body: &str) -> Json {
    encode_with(config, &Meta::default(), system, body)
}

fn encode_with(config: &str, meta: &Meta<'_>, system: &str, body: &str) -> Json {
    let text = format!("<Event><System>{system}</System>{body}</Event>");
    let (mut sentinel, mut out) = (Sentinel::new(&toml::from_str(config).unwrap()), b"before".to_vec());
    sentinel.event(&XmlEvent::parse(text.as_bytes()).unwrap(), meta, &mut out).unwrap();
    serde_json::from_slice(out.strip_prefix(b"before").unwrap()).unwrap()
}

fn row(system: &str, body: &str) -> Json {
    encode("", system, body)
}

fn security(id: u32, data: &str) -> Json {
    let system = format!("<Provider Name='Microsoft-Windows-Security-Auditing'/><EventID>{id}</EventID>");
    encode("table = 'SecurityEvent'", &system, &format!("<EventData>{data}</EventData>"))
}

#[test]
fn a_name_has_the_place_where_it_stands_and_no_other_has_one() {
    for (place, name) in columns::DATA.into_iter().enumerate() {
        assert_eq!(columns::place(name.as_bytes()), Some(place));
        for other in [&name[1..], &name[..name.len() - 1], &name.to_lowercase(), &format!("{name}2")] {
            let listed = columns::DATA.contains(&other);
            assert_eq!(columns::place(other.as_bytes()).is_some(), listed, "{other}");
        }
    }
    assert_eq!(columns::place(b""), None);
}

#[test]
fn a_number_that_its_column_cannot_hold_stays_with_the_rest() {
    let system = "<EventID>x</EventID><Version>01</Version><Task>2147483648</Task><Level>3</Level>\
                  <Execution ProcessID='7' ThreadID='4294967295'/>";
    let found = row(system, "");
    assert_eq!(
        found,
        json!({
            "EventLevel": 3,
            "EventLevelName": "Warning",
            "SystemProcessId": 7,
            "EventData": {"#Event": {"System": {
                "EventID": "x", "Version": "01", "Task": 2_147_483_648_u64, "Execution": {"ThreadID": 4_294_967_295_u64}
            }}}
        })
    );
}

#[test]
fn members_of_event_data_stand_beside_the_rest_of_the_event() {
    let body = "<EventData><Data Name='Message'>m</Data><Data Name='#Event'>e</Data><Data Name='a'>1</Data><Data Name='A'>2</Data><Data Name='a'>3</Data></EventData><RenderingInfo><Message>r</Message></RenderingInfo>";
    let found = row("<Provider Name='P' Guid='{g}'/>", body);
    assert_eq!(found["Provider"], "P");
    assert_eq!(
        found["EventData"],
        json!({
            "Message": "m", "a": "1", "A": "2",
            "Data": [{"Name": "#Event", "Value": "e"}, {"Name": "a", "Value": "3"}],
            "#Event": {"System": {"Provider": {"Guid": "{g}"}}, "RenderingInfo": {"Message": "r"}},
        })
    );
    assert_eq!(row("", "<EventData/>")["EventData"]["#Event"], json!({"System": {}, "EventData": {}}));
    let user = row("", "<UserData><a><b>1</b></a></UserData>");
    assert_eq!(user["EventData"]["#Event"]["UserData"], json!({"a": {"b": "1"}}));
    let without = encode("rest = false", "<Provider Name='P' Guid='{g}'/>", body);
    assert_eq!((&without["EventData"]["a"], without["EventData"].get("#Event")), (&json!("1"), None));
}

#[test]
fn a_known_name_is_a_column_once_and_the_rest_is_xml() {
    let found = security(
        4624,
        "<Data Name='TargetUserName'>bob</Data><Data Name='TargetDomainName'>D</Data><Data Name='LogonType'>3</Data><Data Name='KeyLength'>0x80</Data><Data Name='Computer'>c</Data><Data Name='x'></Data>",
    );
    for (name, value) in [
        ("TargetUserName", json!("bob")),
        ("LogonType", json!(3)),
        ("LogonTypeName", json!("3 - Network")),
        ("Account", json!("D\\bob")),
        ("AccountType", json!("User")),
        ("TargetAccount", json!("D\\bob")),
        ("Activity", json!("4624 - An account was successfully logged on.")),
        (
            "EventData",
            json!(
                "<EventData><Data Name='KeyLength'>0x80</Data><Data Name='Computer'>c</Data><Data Name='x'></Data></EventData>"
            ),
        ),
    ] {
        assert_eq!(found[name], value, "{name}");
    }
    assert_eq!(security(4624, "<Data Name='TargetUserName'>bob$</Data>").get("EventData"), None);
    assert_eq!(security(4624, "<Data Name='TargetUserName'>bob$</Data>")["AccountType"], "Machine");
    assert_eq!(security(4624, "")["EventData"], "<EventData/>");
}

#[test]
fn a_name_that_comes_twice_leaves_all_of_the_data_in_xml_too() {
    let data = "<Data Name='Status'>1</Data><Data Name='TargetUserName'>b</Data><Data Name='Status'>2</Data>";
    let found = security(4624, data);
    assert_eq!((&found["Status"], &found["TargetUserName"]), (&json!("1"), &json!("b")));
    assert_eq!(found["EventData"], format!("<EventData>{data}</EventData>"));
}

#[test]
fn a_system_that_no_columns_can_hold_is_kept_whole() {
    for system in [
        "<EventID>1</EventID><Other>2</Other>",
        "<Task>2147483648</Task>",
        "<TimeCreated SystemTime='2019-03-29T21:10:40.380542601Z'/>",
    ] {
        let config = "table = 'SecurityEvent'";
        let found = encode(config, system, "");
        assert_eq!(found["EventData"], format!("<Event><System>{system}</System></Event>"));
    }
}

#[test]
fn a_time_that_the_service_may_replace_stands_in_the_rest_too() {
    const TIME: &str = "<TimeCreated SystemTime='2026-03-29T21:10:40.3805426Z'/>";
    let row = |config: &str, now: &str, time: &str, body: &str| {
        let now = Some(Timestamp::parse(now.as_bytes()).unwrap());
        encode_with(config, &Meta { now, ..Meta::default() }, time, body)
    };
    let body = "<EventData><Data Name='IpPort'>1</Data></EventData>";
    for (now, is_old) in [
        ("2026-03-29T21:10:41Z", false),
        ("2026-03-30T21:10:40Z", false),
        ("2026-03-30T21:10:41Z", true),
        ("2036-01-01T00:00:00Z", true),
        ("2026-03-29T09:10:41Z", false),
        ("2026-03-29T09:10:40Z", true),
    ] {
        let found = row("", now, TIME, body);
        assert_eq!(found["EventData"]["#Event"]["System"]["TimeCreated"], "2026-03-29T21:10:40.3805426Z");
        let found = row("table = 'SecurityEvent'", now, TIME, body);
        assert_eq!(
            (&found["TimeGenerated"], &found["IpPort"]),
            (&json!("2026-03-29T21:10:40.3805426Z"), &json!("1"))
        );
        let whole = json!(format!("<Event><System>{TIME}</System>{body}</Event>"));
        assert_eq!(found.get("EventData"), is_old.then_some(&whole), "{now}");
    }
    // Nothing of the event's is lost where it has no time.
    let found = row("table = 'SecurityEvent'", "2036-01-01T00:00:00Z", "", body);
    assert_eq!(found.get("EventData"), None);
}

#[test]
fn who_did_it_is_the_account_of_what_is_no_logon() {
    let data = "<Data Name='SubjectUserName'>a</Data><Data Name='SubjectDomainName'>-</Data><Data Name='TargetUserName'>b</Data>";
    assert_eq!(security(4720, data)["Account"], "a");
    assert_eq!(security(4625, data)["Account"], "b");
    assert_eq!(security(4625, &data.replace(">b<", ">-<"))["Account"], "a");
    let process = security(4688, "<Data Name='NewProcessName'>C:\\x\\y.exe</Data>");
    assert_eq!((&process["Process"], process.get("Account")), (&json!("y.exe"), None));
}

#[test]
fn what_cannot_be_read_has_its_text_in_a_column() {
    let raw = |config: &str| -> Json {
        let mut out = Vec::new();
        let mut sentinel = Sentinel::new(&toml::from_str(config).unwrap());
        sentinel.raw(
            &[b"<Ev\xff\r\n".as_slice(), &[b'x'; 70_000]].concat(),
            "it is cut",
            &Meta::default(),
            &mut out,
        );
        serde_json::from_slice(&out).unwrap()
    };
    let found = raw("");
    assert_eq!(found["EventData"]["#Event"]["Error"], "it is cut");
    let text = found["RawEventData"].as_str().unwrap();
    assert!(text.starts_with("<Ev\u{fffd}\r\n") && text.ends_with("bytes cut]"));
    let found = raw("table = 'SecurityEvent'");
    assert_eq!((&found["Activity"], &found["EventSourceName"]), (&json!("it is cut"), &json!("Forebay")));
    assert!(found["EventData"].as_str().unwrap().starts_with("<Ev"));
}
