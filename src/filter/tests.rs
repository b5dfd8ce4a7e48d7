//! Filters as people write them, against events as Windows writes them.

use super::*;
use crate::event::{Header, Part, Value, Visitor};

/// An event of which only System is looked at.
struct HeaderOnly(Header<'static>);

impl<'a> Event<'a> for HeaderOnly {
    fn header(&self) -> &Header<'a> {
        &self.0
    }

    fn walk<V: Visitor<'a>>(&self, part: Part, _: &mut V) -> Result<(), EventError> {
        panic!("a rule asked for {part:?}")
    }
}

fn event(channel: &'static str, id: u64, level: u64, provider: &'static str) -> HeaderOnly {
    HeaderOnly(Header {
        channel: Value::Plain(channel.as_bytes()),
        event_id: Value::Unsigned(id),
        level: Value::Unsigned(level),
        provider_name: Value::Plain(provider.as_bytes()),
        computer: Value::Plain(b"DC01.example.org"),
        ..Header::default()
    })
}

#[track_caller]
fn check(filter: &str, event: &HeaderOnly, expected: bool) {
    let config: FilterConfig = toml::from_str(filter).unwrap();
    assert_eq!(config.compile().unwrap().keeps(event, Timestamp(0)), Ok(expected), "{filter}");
}

#[track_caller]
fn refused(filter: &str, words: &str) {
    let error = match toml::from_str::<FilterConfig>(filter) {
        Ok(config) => config.compile().unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    assert!(error.contains(words), "{error}");
}

#[test]
fn a_rule_matches_when_all_of_its_conditions_do() {
    let logon = event("Security", 4624, 0, "Microsoft-Windows-Security-Auditing");
    check("", &logon, true);
    check(r#"drop = { channel = "security", id = 4624 }"#, &logon, false);
    check(r#"drop = [{ channel = "Security", id = [5156, 5158, "4700-4799"] }]"#, &logon, true);
    check(r#"drop = [{ channel = "Security", id = "4600-4699", level = 2 }]"#, &logon, true);
    check(r#"drop = [{ computer = "dc*.example.org" }]"#, &logon, false);
    check(r#"drop = [{ provider = ["x", "microsoft-windows-security-*"] }]"#, &logon, false);
    check(r#"drop = [{ level = ["1-3", "verbose", 0] }]"#, &logon, false);
}

#[test]
fn keep_wants_any_rule_and_drop_wins() {
    let service = event("System", 7036, 4, "Service Control Manager");
    check(r#"keep = [{ channel = "System" }, { id = 1 }]"#, &service, true);
    check(r#"keep = [{ channel = "Security" }, { id = 1 }]"#, &service, false);
    check("keep = { channel = \"System\" }\ndrop = { id = 7036 }", &service, false);
}

#[test]
fn a_missing_field_matches_no_condition() {
    let empty = HeaderOnly(Header::default());
    check(r#"drop = [{ channel = "*" }, { id = "0-65535" }, { level = "0-255" }]"#, &empty, true);
    check(r#"keep = [{ id = "0-65535" }]"#, &empty, false);
}

#[test]
fn mistakes_are_named_where_they_stand() {
    refused("drop = [{ channel = \"x\" }, {}]", "filter.drop[1]: names no condition");
    refused("drop = [{ id = [1, \"x\"] }]", "`x` is no event id");
    refused("drop = [{ id = [1, \"x\"] }]", "line 1, column 20");
    refused("drop = { chanel = \"x\" }", "unknown field `chanel`");
    refused("keep = { channel = \"\" }", "filter.keep[0]: channel = \"\" is no name");
    refused("keep = 5", "invalid type: integer `5`");
}
