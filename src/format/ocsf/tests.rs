//! Single rules; whole objects are golden files of the room, the schema and every event are `tests/schemas`.

use super::*;
use crate::event::{EventId, Note, NoteKind, Origin, XmlEvent};
use serde_json::{Value as Json, json};

fn encode_with(config: &str, meta: &Meta<'_>, text: &str) -> Json {
    let (mut ocsf, mut out) = (Ocsf::new(&toml::from_str(config).unwrap()), b"before".to_vec());
    ocsf.event(&XmlEvent::parse(text.as_bytes()).unwrap(), meta, &mut out).unwrap();
    assert!(out.starts_with(b"before"));
    serde_json::from_slice(&out[b"before".len()..]).unwrap()
}

const SECURITY: &str = "Microsoft-Windows-Security-Auditing";

fn event(provider: &str, id: u32, data: &str) -> Json {
    let text = format!(
        "<Event><System><Provider Name='{provider}'/><EventID>{id}</EventID><Computer>dc1</Computer></System><EventData>{data}</EventData></Event>"
    );
    encode_with("", &Meta::default(), &text)
}

const ACCOUNT: &str = "<Data Name='TargetUserName'>bob</Data>";

#[test]
fn events_are_of_their_class_and_activity() {
    let process = "<Data Name='ProcessId'>0x1</Data><Data Name='NewProcessId'>0x2</Data>";
    let sysmon = "<Data Name='ProcessId'>1</Data><Data Name='ParentProcessId'>2</Data>";
    let explicit = "<Data Name='TargetUserName'>bob</Data><Data Name='TargetServerName'>srv</Data>";
    for (provider, id, data, class, activity) in [
        (SECURITY, 4624, ACCOUNT, 3002, 1),
        (SECURITY, 4625, ACCOUNT, 3002, 1),
        (SECURITY, 4634, ACCOUNT, 3002, 2),
        (SECURITY, 4647, ACCOUNT, 3002, 2),
        (SECURITY, 4648, explicit, 3002, 1),
        (SECURITY, 4768, ACCOUNT, 3002, 3),
        (SECURITY, 4769, ACCOUNT, 3002, 4),
        (SECURITY, 4770, ACCOUNT, 3002, 5),
        (SECURITY, 4771, ACCOUNT, 3002, 6),
        (SECURITY, 4776, ACCOUNT, 3002, 99),
        (SECURITY, 4688, process, 1007, 1),
        (SECURITY, 4689, process, 1007, 2),
        ("Microsoft-Windows-Sysmon", 1, sysmon, 1007, 1),
        ("Microsoft-Windows-Sysmon", 5, sysmon, 1007, 2),
        (SECURITY, 4672, ACCOUNT, 0, 0),
        ("Microsoft-Windows-Sysmon", 3, sysmon, 0, 0),
        ("Other", 4624, ACCOUNT, 0, 0),
    ] {
        let object = event(provider, id, data);
        assert_eq!((&object["class_uid"], &object["activity_id"]), (&json!(class), &json!(activity)), "{id}");
        assert_eq!(object["type_uid"], class * 100 + activity, "{id}");
    }
}

#[test]
fn an_event_that_lacks_what_its_class_requires_is_a_base_event_with_all_it_has() {
    for (id, data) in [
        (4624, "<Data Name='TargetUserName'>-</Data><Data Name='LogonType'>3</Data>"),
        (4648, ACCOUNT),
        (4688, "<Data Name='NewProcessName'>C:\\a.exe</Data><Data Name='ProcessId'>0x1</Data>"),
        (4688, "<Data Name='NewProcessId'>0x1</Data>"),
    ] {
        let object = event(SECURITY, id, data);
        assert_eq!(object["class_uid"], 0, "{object}");
        assert_eq!(object["unmapped"]["EventData"].as_object().unwrap().len(), data.matches("Name=").count());
    }
}

#[test]
fn what_stands_in_the_schema_does_not_stand_in_unmapped() {
    let object = event(
        SECURITY,
        4624,
        "<Data Name='TargetUserName'>bob</Data><Data Name='IpAddress'>-</Data><Data Name='LogonType'>10</Data><Data Name='ProcessId'>0x01</Data><Data Name='KeyLength'>0</Data>",
    );
    assert_eq!(
        object["unmapped"],
        json!({"System": {}, "EventData": {"IpAddress": "-", "ProcessId": "0x01", "KeyLength": "0"}})
    );
    assert_eq!((&object["logon_type_id"], &object["is_remote"]), (&json!(10), &json!(true)));
    assert_eq!((object.get("src_endpoint"), object.get("actor")), (None, None));
}

#[test]
fn a_name_that_comes_twice_leaves_all_of_the_data_in_unmapped_too() {
    for more in [
        "<Data Name='TargetUserName'>eve</Data>",
        "<Data Name='TargetUserName' Type='x'>eve</Data>",
        "<Data Name='TargetUserName'><a/></Data>",
    ] {
        for data in [format!("{ACCOUNT}{more}"), format!("{more}{ACCOUNT}")] {
            let object = event(SECURITY, 4624, &data);
            let data = &object["unmapped"]["EventData"];
            assert!(data["TargetUserName"].is_string() && data["Data"].is_array(), "{object}");
        }
    }
}

#[test]
fn an_object_without_its_key_is_left_in_unmapped() {
    let data = format!("{ACCOUNT}<Data Name='IpPort'>5</Data><Data Name='SubjectDomainName'>D</Data>");
    let object = event(SECURITY, 4624, &data);
    assert_eq!((object.get("src_endpoint"), object.get("actor")), (None, None));
    assert_eq!(object["unmapped"]["EventData"]["IpPort"], "5");
    assert_eq!(object["unmapped"]["EventData"]["SubjectDomainName"], "D");
    assert_eq!(object["user"]["name"], "bob");
}

#[test]
fn the_message_is_that_of_the_rendering_info() {
    let message = |rendering: &str| {
        let text = format!("<Event><System/><RenderingInfo>{rendering}</RenderingInfo></Event>");
        let object = encode_with("", &Meta::default(), &text);
        (object["message"].clone(), object["unmapped"]["RenderingInfo"].clone())
    };
    let (task, none) = ("<Task>t</Task>", Json::Null);
    assert_eq!(message(&format!("<Message>a\r\nb</Message>{task}")), (json!("a\nb"), json!({"Task": "t"})));
    assert_eq!(message("<Message></Message>"), (none, json!({"Message": ""})));
    assert_eq!(
        message("<Message>a</Message><Message>b</Message>"),
        (json!("a"), json!({"Message": ["a", "b"]}))
    );
    let (text, rest) = message("<Message a='1'>x</Message>");
    assert_eq!((text, rest), (Json::Null, json!({"Message": {"@a": "1", "#text": "x"}})));
}

#[test]
fn severity_status_and_time_follow_from_system() {
    let of = |system: &str| {
        encode_with("", &Meta::default(), &format!("<Event><System>{system}</System></Event>"))
    };
    for (level, id) in [("1", 5), ("2", 4), ("3", 3), ("4", 1), ("0", 1), ("5", 1), ("9", 0), ("", 0)] {
        assert_eq!(of(&format!("<Level>{level}</Level>"))["severity_id"], id, "{level}");
    }
    assert_eq!(of("<Keywords>0x8010000000000000</Keywords>")["status"], "Failure");
    assert_eq!(of("<Keywords>0x8020000000000000</Keywords>")["status_id"], 1);
    assert_eq!(of("").get("status_id"), None);
    let time = |text: &str| of(&format!("<TimeCreated SystemTime='{text}'/>"));
    assert_eq!(time("2019-03-29T21:10:40.3805426Z")["time"], 1_553_893_840_380_u64);
    assert_eq!(time("1969-12-31T23:59:59.9999Z")["time"], -1);
    let no_time = time("yesterday");
    assert_eq!((&no_time["time"], &no_time["metadata"]["original_time"]), (&json!(0), &json!("yesterday")));
}

#[test]
fn what_is_known_of_an_event_is_kept() {
    let origin = Origin {
        source: "dc".into(),
        host: Some("dc1.example.org".into()),
        address: None,
        subscription: None,
        file: None,
        received: Timestamp::parse(b"2026-03-29T21:10:41.002Z").unwrap(),
    };
    let notes = [Note { event: 0, kind: NoteKind::Foreign, detail: "it says dc2".into() }];
    let meta =
        Meta { origin: Some(&origin), id: Some(EventId([0xab; 16])), notes: &notes, ..Meta::default() };
    let text = "<Event><System><Security UserID='S-1-5-18'/></System></Event>";
    let object = encode_with("raw_data = true", &meta, text);
    assert_eq!(object["metadata"]["uid"], "ab".repeat(16));
    assert_eq!(object["metadata"]["logged_time"], 1_774_818_641_002_u64);
    assert_eq!((&object["raw_data"], &object["time"]), (&json!(text), &json!(1_774_818_641_002_u64)));
    assert_eq!(
        object["actor"]["user"],
        json!({"uid": "S-1-5-18", "name": "SYSTEM", "domain": "NT AUTHORITY"})
    );
    let forebay = &object["unmapped"]["Forebay"];
    assert_eq!((&forebay["Host"], &forebay["Id"]), (&json!("dc1.example.org"), &Json::Null));
    assert_eq!(forebay["Notes"][0]["Detail"], "it says dc2");
    let mut out = Vec::new();
    Ocsf::default().raw(b"<Ev\"\xff\r\n", "it is cut", &meta, &mut out);
    let object: Json = serde_json::from_slice(&out).unwrap();
    assert_eq!((&object["class_uid"], &object["message"]), (&json!(0), &json!("it is cut")));
    assert_eq!(object["unmapped"]["Forebay"]["Raw"], "<Ev\"\u{fffd}\r\n");
}
