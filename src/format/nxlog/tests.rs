//! Single rules; whole lines are golden files of the room.

use super::*;
use crate::event::XmlEvent;
use serde_json::{Map, Value as Json, json};

fn encode(config: &str, system: &str, body: &str) -> Map<String, Json> {
    let text = format!("<Event><System>{system}</System>{body}</Event>");
    let mut nxlog = Nxlog::new(&toml::from_str(config).unwrap()).unwrap();
    let mut out = b"before".to_vec();
    nxlog.event(&XmlEvent::parse(text.as_bytes()).unwrap(), &Meta::default(), &mut out).unwrap();
    serde_json::from_slice(out.strip_prefix(b"before").unwrap()).unwrap()
}

#[track_caller]
fn holds(found: &Map<String, Json>, expected: &[(&str, Json)]) {
    for (name, value) in expected {
        assert_eq!(found.get(*name), Some(value), "{name} {found:?}");
    }
}

const SYSTEM: &str = "<Level>0</Level><Task>12544</Task><Keywords>0x8020000000000000</Keywords>\
    <Execution ProcessID='516' ThreadID='556'/>";

#[test]
fn each_edition_has_its_own_names() {
    let data = "<EventData><Data Name='ProcessId'>0x1c0</Data><Data Name='Task'>t</Data></EventData>";
    let agent = encode("", SYSTEM, data);
    holds(
        &agent,
        &[
            ("ExecutionProcessID", json!(516)),
            ("ExecutionThreadID", json!(556)),
            ("TaskValue", json!(12544)),
            ("Keywords", json!("0x8020000000000000")),
            ("ProcessId", json!("0x1c0")),
            ("Task", json!("t")),
        ],
    );
    let community = encode("edition = 'community'", SYSTEM, data);
    holds(
        &community,
        &[
            ("ProcessID", json!(516)),
            ("ThreadID", json!(556)),
            ("Task", json!(12544)),
            ("Keywords", json!(-9214364837600034816_i64)),
            // NXLog drops these.
            ("ProcessId_1", json!("0x1c0")),
            ("Task_2", json!("t")),
        ],
    );
}

#[test]
fn severity_follows_the_audit_or_the_level() {
    for (level, keywords, expected) in [
        (0, "0x8020000000000000", ("AUDIT_SUCCESS", 2, "INFO", "Information")),
        (0, "0x8010000000000000", ("AUDIT_FAILURE", 4, "ERROR", "Information")),
        (0, "0x0", ("INFO", 2, "INFO", "Information")),
        (1, "0x0", ("CRITICAL", 5, "CRITICAL", "Critical")),
        (2, "0x0", ("ERROR", 4, "ERROR", "Error")),
        (3, "0x0", ("WARNING", 3, "WARNING", "Warning")),
        (4, "0x0", ("INFO", 2, "INFO", "Information")),
        (5, "0x0", ("VERBOSE", 1, "DEBUG", "Verbose")),
    ] {
        let found = encode("", &format!("<Level>{level}</Level><Keywords>{keywords}</Keywords>"), "");
        let (kind, value, severity, text) = expected;
        holds(
            &found,
            &[
                ("EventType", json!(kind)),
                ("SeverityValue", json!(value)),
                ("Severity", json!(severity)),
                ("LevelValue", json!(level)),
                ("Level", json!(text)),
            ],
        );
    }
    let unknown = encode("", "<Level>9</Level>", "");
    assert_eq!(unknown.get("Level"), None);
}

#[test]
fn what_was_rendered_is_told_in_its_words() {
    let body = "<RenderingInfo Culture='de-DE'><Message>Angemeldet.\r\nGut</Message><Level>Informationen</Level>\
        <Task>Anmelden</Task><Opcode>Info</Opcode></RenderingInfo>";
    holds(
        &encode("", SYSTEM, body),
        &[
            ("Message", json!("Angemeldet.\nGut")),
            ("Level", json!("Informationen")),
            ("Category", json!("Anmelden")),
            ("Opcode", json!("Info")),
        ],
    );
}

#[test]
fn values_stand_beside_system_under_their_own_names() {
    let body = "<EventData><Data>a</Data><Data Name='Empty'/><Data Name='Message'>m</Data><Data Name='X'>1</Data>\
        <Data Name='x'>2</Data><Binary>00</Binary></EventData>";
    let found = encode("", "", body);
    holds(
        &found,
        &[
            ("param1", json!("a")),
            ("Message_2", json!("m")),
            ("X", json!("1")),
            ("x_4", json!("2")),
            ("EventData.Binary", json!("00")),
        ],
    );
    // Places are those among what is written.
    assert_eq!(found.len(), 3 + 5);
}

#[test]
fn accounts_that_every_windows_has_are_named() {
    holds(
        &encode("", "<Security UserID='S-1-5-18'/>", ""),
        &[
            ("UserID", json!("S-1-5-18")),
            ("AccountName", json!("SYSTEM")),
            ("Domain", json!("NT AUTHORITY")),
            ("AccountType", json!("User")),
        ],
    );
    assert_eq!(encode("", "<Security UserID='S-1-5-21-1'/>", "").get("AccountName"), None);
}

#[test]
fn a_module_is_a_word() {
    let open = |kind: &str| Nxlog::new(&Config { module_type: kind.into(), ..Config::default() });
    assert!(open("im_wseventing").is_ok());
    for kind in ["", "a b", "a\n"] {
        assert_eq!(open(kind).unwrap_err(), FormatError::NxlogModule { found: kind.into() });
    }
}
