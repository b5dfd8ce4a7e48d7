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

const LOGON: &str = "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>\
<Provider Name='P'/><EventID>4624</EventID><Level>0</Level><Channel>Security</Channel></System>\
<EventData><Data Name='SubjectUserSid'>S-1-5-18</Data></EventData></Event>";

#[track_caller]
fn check_xml(filter: &str, event: &str, expected: bool) {
    let config: FilterConfig = toml::from_str(filter).unwrap();
    let event = crate::event::xml::XmlEvent::parse(event.as_bytes()).unwrap();
    assert_eq!(config.compile().unwrap().keeps(&event, Timestamp(0)), Ok(expected), "{filter}");
}

#[test]
fn xpath_select_and_suppress_stand_beside_rules() {
    check_xml("xpath = '*[System[(Level<=3) or (EventID=4625)]]'", LOGON, true);
    check_xml("xpath = '*'\ndrop = { id = 4624 }", LOGON, false);
    check_xml("select = ['*[System/EventID=1]', '*[System/EventID=4624]']", LOGON, true);
    check_xml("select = { channel = 'system', xpath = '*' }", LOGON, false);
    check_xml("select = { channel = 'security', xpath = '*' }", LOGON, true);
    check_xml("suppress = \"*[EventData[Data='S-1-5-18']]\"", LOGON, false);
    check_xml("xpath = '*'\nselect = '*'\nsuppress = '*[System/EventID=1]'", LOGON, true);
}

const QUERY: &str = r#"query = """
<QueryList><!-- who signs in -->
 <Query Id="0" Path="Security">
  <Select>*[System[EventID=4624 and Level&lt;=3]]</Select>
  <Suppress Path="Security"><![CDATA[*[EventData[Data[@Name='SubjectUserSid']='S-1-5-18']]]]></Suppress>
 </Query>
 <Query Id="1"><Select Path="System">*</Select></Query>
</QueryList>""""#;

#[test]
fn a_query_list_of_a_subscription_is_a_filter() {
    check_xml(QUERY, LOGON, false);
    check_xml(QUERY, &LOGON.replace("S-1-5-18", "S-1-5-19"), true);
    check_xml(QUERY, &LOGON.replace("Security", "System"), true);
    check_xml(QUERY, &LOGON.replace("Security", "Setup"), false);
}

#[test]
fn mistakes_in_expressions_are_named_with_their_place() {
    refused("xpath = '//x'", "filter.xpath: at byte 0: `//`");
    refused("suppress = ['*', 'x']", "filter.suppress[1]: at byte 0");
    refused("select = { chanel = 'x' }", "unknown field `chanel`");
    refused(&QUERY.replace("EventID=4624", "EventID=="), "filter.query, Query 1, Select 1: at byte ");
    refused(&QUERY.replace("Suppress", "Supress"), "`<Supress>` has no place here");
    refused(&QUERY.replace(" Path=\"System\"", ""), "neither this element nor its Query has a Path");
    refused(&QUERY.replace("\"System\"", "\"file://c:/x.evtx\""), "is a saved log");
    refused("query = '<QueryList></QueryList>'", "this is no query list");
    refused("query = '<QueryList><Query/></QueryList>'", "Query 1: selects nothing");
    refused("query = '<!DOCTYPE x><QueryList/>'", "DOCTYPE");
    refused("query = '<QueryList>'", "this is no query list");
}

#[test]
fn an_unreadable_body_is_an_error_for_who_asks_for_it_only() {
    let broken = LOGON.replace("</EventData>", "</Oops>");
    let event = crate::event::xml::XmlEvent::parse(broken.as_bytes()).unwrap();
    let keeps = |filter: &str| {
        toml::from_str::<FilterConfig>(filter).unwrap().compile().unwrap().keeps(&event, Timestamp(0))
    };
    assert_eq!(keeps("drop = { id = 1 }"), Ok(true));
    assert_eq!(keeps("xpath = '*[System/EventID=4624]'"), Ok(true));
    assert!(keeps("xpath = \"*[EventData/Data='x']\"").is_err());
}

#[test]
fn a_filter_says_what_is_doubtful_and_whether_it_filters() {
    let compile = |filter: &str| toml::from_str::<FilterConfig>(filter).unwrap().compile().unwrap();
    assert!(compile("").is_empty());
    assert!(!compile("suppress = '*'").is_empty());
    assert!(compile("xpath = '*[System/Levl=1]'").warnings()[0].contains("no element `Levl`"));
}

/// What is meant of the key's text.
#[track_caller]
fn meant(filter: &str, expected: &str) {
    let config = toml::from_str::<FilterConfig>(filter).unwrap();
    let text = config.xpath.clone().or_else(|| config.query.clone()).unwrap();
    let span = config.compile().unwrap_err().span.unwrap();
    assert_eq!(&text[span], expected);
}

#[test]
fn an_error_points_into_the_expression_and_into_the_list() {
    meant("xpath = '*[System[EventID==1]]'", "==");
    meant(&QUERY.replace("Name='SubjectUserSid']=", "Name='SubjectUserSid']=="), "==");
    meant(&QUERY.replace("Suppress", "Supress"), "<Supress Path=\"Security\">");
    // Behind an entity the places of the expression are not those of the list.
    meant(&QUERY.replace("EventID=4624", "EventID=="), "*[System[EventID== and Level&lt;=3]]");
}

#[test]
fn an_error_knows_its_key() {
    let place = |filter: &str| {
        let error = toml::from_str::<FilterConfig>(filter).unwrap().compile().unwrap_err();
        (error.place().0.to_owned(), error.place().1)
    };
    assert_eq!(place("drop = [{ id = 1 }, {}]"), ("drop".into(), Some(1)));
    assert_eq!(place("xpath = 'x'"), ("xpath".into(), None));
    assert_eq!(place(&QUERY.replace("EventID=4624", "EventID==")), ("query".into(), None));
}
