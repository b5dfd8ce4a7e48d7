//! Headers as they stand on the wire, from good values and from hostile ones.

use super::*;
use crate::event::{Origin, Timestamp};

const COMPUTER: &[u8] = b"dc1.example.org";

fn origin() -> Origin {
    Origin {
        source: "dc".into(),
        host: Some("pc7.example.org".into()),
        address: None,
        subscription: Some("logons".into()),
        file: None,
        received: Timestamp::parse(b"2026-01-02T03:04:05Z").unwrap(),
    }
}

fn logon() -> Header<'static> {
    Header {
        provider_name: Value::Text(b"Microsoft-Windows-Security-Auditing"),
        event_id: Value::Text(b"4624"),
        level: Value::Text(b"0"),
        keywords: Value::Text(b"0x8020000000000000"),
        record_id: Value::Text(b"1542"),
        process_id: Value::Text(b"516"),
        channel: Value::Text(b"Security"),
        computer: Value::Text(COMPUTER),
        ..Header::default()
    }
}

#[track_caller]
fn head(config: &str, header: Option<&Header<'_>>) -> String {
    let (mut out, origin) = (Vec::new(), origin());
    let time = Timestamp::parse(b"2019-03-09T21:10:40.3805426Z").unwrap();
    let values = RouteValues { header, origin: &origin, time };
    toml::from_str::<Config>(config).unwrap().open().unwrap().write(&values, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn the_header_of_rfc_5424_names_time_host_provider_process_and_event() {
    assert_eq!(
        head("", Some(&logon())),
        "<14>1 2019-03-09T21:10:40.380542Z dc1.example.org Microsoft-Windows-Security-Auditing 516 4624 - "
    );
    assert_eq!(
        head("facility = 'local0'\napp_name = 'wef-{channel}'", Some(&logon())),
        "<134>1 2019-03-09T21:10:40.380542Z dc1.example.org wef-Security 516 4624 - "
    );
}

#[test]
fn the_header_of_rfc_3164_has_a_day_with_a_blank_and_a_tag_with_the_process() {
    assert_eq!(
        head("protocol = 'rfc3164'", Some(&logon())),
        "<14>Mar  9 21:10:40 dc1.example.org Microsoft-Windows-Security-Audit[516]: "
    );
    assert_eq!(
        head("protocol = 'rfc3164'\napp_name = ''", Some(&logon())),
        "<14>Mar  9 21:10:40 dc1.example.org "
    );
}

#[test]
fn levels_become_severities_and_a_failed_audit_is_a_notice() {
    for (level, keywords, severity) in [
        ("1", "0x0", 2),
        ("2", "0x0", 3),
        ("3", "0x0", 4),
        ("4", "0x0", 6),
        ("5", "0x0", 7),
        ("0", "0x8010000000000000", 5),
        ("", "", 6),
        ("99", "0x0", 6),
    ] {
        let (level, keywords) = (Value::Text(level.as_bytes()), Value::Text(keywords.as_bytes()));
        let header = Header { level, keywords, ..logon() };
        assert!(head("", Some(&header)).starts_with(&format!("<{}>1 ", 8 + severity)), "{level:?}");
    }
}

#[test]
fn what_cannot_be_read_is_of_who_sent_it() {
    assert_eq!(head("", None), "<13>1 2019-03-09T21:10:40.380542Z pc7.example.org - - - - ");
}

#[test]
fn values_of_a_hostile_machine_stay_in_their_places() {
    let long = "x".repeat(5000);
    for hostile in ["", "a b", "a\nb", "\u{202e}ü", "] [x", "\" = \\", &long] {
        let value = Value::Text(hostile.as_bytes());
        let header = Header {
            computer: value,
            provider_name: value,
            process_id: value,
            event_id: value,
            channel: value,
            ..logon()
        };
        let written = head("", Some(&header));
        assert!(written.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{written:?}");
        assert_eq!(written.split(' ').count(), 8, "{written:?}");
        assert!(written.len() < 550);
        let old = head("protocol = 'rfc3164'", Some(&header));
        assert!(!old.contains('\n') && old.matches(": ").count() == 1, "{old:?}");
        let data = head("structured_data.id = 'windows@32473'", Some(&header));
        assert!(!data.contains('\n') && data.ends_with("] "), "{data:?}");
    }
}

#[test]
fn structured_data_has_the_values_that_are_there_with_what_must_be_escaped() {
    let header = Header { channel: Value::Text(b"a\"b]c\\d"), ..logon() };
    let config = "structured_data = { id = 'windows@32473', fields = ['channel', 'activity_id', 'record_id', 'subscription'] }";
    assert_eq!(
        head(config, Some(&header)).split(" 4624 ").nth(1),
        Some("[windows@32473 channel=\"a\\\"b\\]c\\\\d\" record_id=\"1542\" subscription=\"logons\"] ")
    );
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    for (config, part) in [
        ("app_name = '{chanel}'", "{channel}"),
        ("structured_data.id = 'windows'", "windows@32473"),
        ("structured_data.id = 'a=b@1'", "SD-ID"),
        ("structured_data.id = '@1'", "SD-ID"),
        ("structured_data = { id = 'a@1', fields = [] }", "says nothing"),
        ("protocol = 'rfc3164'\nstructured_data.id = 'a@1'", "RFC 3164"),
    ] {
        let error = toml::from_str::<Config>(config).unwrap().open().map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(part), "{config}: {error}");
    }
}
