//! Expressions as Windows people write them, what is refused and how, and the comparison with the
//! oracle on made-up events and expressions.

use super::*;
use crate::event::xml::XmlEvent;
use proptest::prelude::*;

#[path = "oracle.rs"]
mod oracle;

const LOGON: &str = "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>\
<Provider Name='Microsoft-Windows-Security-Auditing' Guid='{54849625-5478-4994-A5BA-3E3B0328C30D}'/>\
<EventID>4624</EventID><Version>1</Version><Level>0</Level><Task>12544</Task><Opcode>0</Opcode>\
<Keywords>0x8020000000000000</Keywords><TimeCreated SystemTime='2019-03-29T21:10:40.380542600Z'/>\
<EventRecordID>1542</EventRecordID><Correlation/><Execution ProcessID='516' ThreadID='556'/>\
<Channel>Security</Channel><Computer>dc01</Computer><Security UserID='S-1-5-18'/></System>\
<EventData><Data Name='TargetUserName'>vagrant</Data><Data Name='LogonType'>2</Data>\
<Data Name='ProcessId'>0x1c0</Data><Data Name='Elevated'>True</Data><Data>a &amp; b</Data><Data/></EventData>\
</Event>";
const USER: &str = "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>\
<Provider Name='P'/><EventID Qualifiers='0'>1102</EventID><Foo>7</Foo></System>\
<UserData><n:Log xmlns:n='urn:x' Kind='k'><SubjectUserName>bob</SubjectUserName><Size>-5</Size><Rate>1.5</Rate>\
<Note>one<br/>two</Note></n:Log></UserData></Event>";

/// 2019-03-30T21:10:40Z
const NOW: Timestamp = Timestamp(1_553_980_240_000_000_000);

#[track_caller]
fn selects(event: &str, xpath: &str) -> bool {
    let xpath = XPath::parse(xpath).unwrap_or_else(|error| panic!("{xpath}: {error}"));
    assert_eq!(XPath::parse(&xpath.to_string()).as_ref(), Ok(&xpath), "{xpath}");
    let answer = xpath.selects(&XmlEvent::parse(event.as_bytes()).unwrap(), NOW, &mut Scratch::default());
    let document = roxmltree::Document::parse(event).unwrap();
    assert_eq!(answer, Ok(oracle::holds(&xpath.written, document.root(), NOW)), "{xpath}");
    answer.unwrap()
}

#[track_caller]
fn check(event: &str, yes: &[&str], no: &[&str]) {
    for xpath in yes {
        assert!(selects(event, xpath), "{xpath} does not select");
    }
    for xpath in no {
        assert!(!selects(event, xpath), "{xpath} selects");
    }
}

#[test]
fn system_is_tested_by_element_and_attribute() {
    check(
        LOGON,
        &[
            "*",
            "Event",
            "*[System[(Level<=3) or (EventID=4625)]]",
            "*[System/EventID=4624]",
            "Event/System/EventID",
            "Event/System[EventID=4624]/Computer='dc01'",
            "*[System[Provider[@Name='x' or @Name='Microsoft-Windows-Security-Auditing'] and EventID=4624]]",
            "*[System[Security[@UserID='S-1-5-18']]]",
            "*[System[EventRecordID>1541 and EventRecordID < 1543.5]]",
            "*[System[Execution/@ProcessID=0x204]]",
            "*[System[Correlation]]",
            "*[System/*/@*='556']",
            "*[System/Channel/text()='Security']",
            "*[System[EventID!=4625]] and *[System[Level=0]]",
        ],
        &[
            "*[System[(Level>=1) and (EventID=4624)]]",
            "*[System[Provider[@EventSourceName]]]",
            "*[System[Correlation/@ActivityID]]",
            "*[System/Security/text()]",
            "*[System/Channel='security']",
            "*[EventData/System]",
        ],
    );
}

#[test]
fn data_is_found_by_name_and_by_value() {
    check(
        LOGON,
        &[
            "*[EventData[Data[@Name='TargetUserName']='vagrant']]",
            "*[EventData[Data='vagrant']]",
            "*[EventData/Data='a & b']",
            "*[EventData[Data[@Name='TargetUserName'] and (Data='vagrant' or Data='x')]]",
            "*[EventData[Data[@Name='LogonType']=2 and Data[@Name='ProcessId']=448]]",
            "*[EventData[Data[@Name='ProcessId']=0x1C0]]",
            "*[EventData[Data[@Name='LogonType']!=3]]",
            "*[EventData[Data[@Name='Elevated']='true']]",
            "*[EventData[Data='']]",
            "*[EventData[Data[@Name='TargetUserName'][text()='vagrant']]]",
        ],
        &[
            "*[EventData[Data[@Name='TargetUserName']='Vagrant']]",
            "*[EventData[Data[@Name='TargetUserName']=5]]",
            "*[EventData[Data[@Name='TargetUserName']!=5]]",
            "*[EventData[Data[@Name='Nobody']!='x']]",
            "*[EventData[Data[@Name='Elevated']='false']]",
            "*[UserData]",
        ],
    );
}

#[test]
fn user_data_is_walked_by_local_names() {
    check(
        USER,
        &[
            "*[UserData/*/SubjectUserName='bob']",
            "*[UserData/Log[@Kind='k']/Size<0]",
            "*[UserData[Log[Rate=1.5 and Rate<2 and Rate>=1]]]",
            "*[UserData/Log/Note='onetwo']",
            "*[UserData/Log/Note/text()='two']",
            "*[System[EventID=1102 and Foo=7 and EventID/@Qualifiers=0]]",
            "*/*/*/SubjectUserName",
        ],
        &["*[UserData/Log/SubjectUserName='alice']", "*[UserData/*/Note='one']", "*[System[Foo=8]]"],
    );
}

#[test]
fn bits_times_and_guids_are_compared_as_such() {
    check(
        LOGON,
        &[
            "*[System[band(Keywords,0x20000000000000)]]",
            "*[System[band(Keywords,13510798882111488)]]",
            "*[System[Keywords=0x8020000000000000]]",
            "*[System[Provider/@Guid='54849625-5478-4994-a5ba-3e3b0328c30d']]",
            "*[System[TimeCreated[timediff(@SystemTime) <= 86400000]]]",
            "*[System[timediff(TimeCreated/@SystemTime,'2019-03-29T21:10:41.380Z')=999]]",
            "*[System[TimeCreated[@SystemTime>='2019-03-29T21:10:40.380Z' and @SystemTime<'2019-03-30T00:00:00Z']]]",
        ],
        &[
            "*[System[band(Keywords,0x10000000000000)]]",
            "*[System[TimeCreated[timediff(@SystemTime) < 86000000]]]",
            "*[System[TimeCreated[@SystemTime='2019-03-29T21:10:40.380Z']]]",
            "*[System[Provider/@Name!='{54849625-5478-4994-A5BA-3E3B0328C30D}']]",
            "*[System[Computer!='S-1-5-18']]",
        ],
    );
}

/// What a value cannot be turned into it does not equal, and does not differ from either.
#[test]
fn numbers_past_64_bits_have_no_bits_and_what_is_no_sid_is_not_compared_as_one() {
    let event = |value: &str| {
        format!("<Event><System/><EventData><Data>{value}<b/>18446744073709551615</Data></EventData></Event>")
    };
    check(&event(""), &["*[EventData[band(Data,0x1)]]", "*[EventData/Data>1]"], &[]);
    check(&event("4624"), &["*[EventData/Data>1]"], &["*[EventData[band(Data,0x1)]]"]);
    check(&event("0x1c0"), &[], &["*[EventData[band(Data,0x1)]]", "*[EventData/Data!=1]"]);
    check(&event("S-1-5-"), &["*[EventData/Data!='S-1-5-18']"], &["*[EventData/Data='S-1-5-18']"]);
    check(
        &event("S-1-0x5-x"),
        &["*[EventData/Data!='S-1-5-x']"],
        &["*[EventData/Data!='S-1-5-18']", "*[EventData/Data='S-1-5-18']"],
    );
}

#[test]
fn what_system_decides_is_asked_first() {
    let xpath = XPath::parse("*[EventData[Data='x'] and System[EventID=1]] or *[System/Level=4]").unwrap();
    assert_eq!(
        xpath.program.to_string(),
        "*[System/Level=4] or *[System[EventID=1] and EventData[Data='x']]"
    );
    assert_eq!(xpath.to_string(), "*[EventData[Data='x'] and System[EventID=1]] or *[System/Level=4]");
    assert!(!xpath.reads_header_only());
    assert!(XPath::parse("*[System[EventID=1 or Provider/@Name='x']]").unwrap().reads_header_only());
}

#[track_caller]
fn refused(xpath: &str, at: usize, words: &str) {
    let error = XPath::parse(xpath).expect_err(xpath);
    assert!(error.message.contains(words) && error.at == at, "{xpath}: {error}");
}

#[test]
fn what_windows_does_not_know_is_refused_by_name() {
    refused("//EventID", 0, "`//`");
    refused("*[contains(System/Channel,'x')]", 2, "`contains()` is not supported");
    refused("*[not(System)]", 2, "`not()`");
    refused("*[System[position()=1]]", 9, "`position()`");
    refused("*[System[EventID=1] | UserData]", 20, "`|` (union)");
    refused("*[System[EventID=1+1]]", 18, "arithmetic");
    refused("*[System[EventID * 2 = 4]]", 17, "arithmetic");
    refused("*[System[EventID mod 2 = 0]]", 17, "`mod`");
    refused("*[System[Level=-1]]", 15, "negative numbers");
    refused("*[child::System]", 2, "`child::`");
    refused("*[ancestor::System]", 2, "axis `ancestor::`");
    refused("*[System/../EventData]", 9, "`..`");
    refused("*[EventData/Data[.='x']]", 17, "`.` is not part");
    refused("/Event/System", 0, "start with `/`");
    refused("*[e:System]", 2, "namespace prefixes");
    refused("*[System/Level=$x]", 15, "variables");
    refused("*[EventData/Data[1]='x']", 17, "by position");
    refused("*[System[EventID=EventRecordID]]", 17, "two parts of one event");
    refused("*[System[4624=EventID]]", 9, "path on the left");
    refused("*[System[true()]]", 9, "`'true'`");
    refused("*[@x]", 2, "no attribute");
}

#[test]
fn slips_are_explained_where_they_stand() {
    refused("", 0, "ends too early");
    refused("System[EventID=1]", 0, "`*[System...]`");
    refused("*[System[EventID=1]", 19, "`]` is missing");
    refused("*[System[EventID==1]]", 16, "`=`");
    refused("*[System[EventID<>1]]", 16, "`!=`");
    refused("*[System[Level&lt;=3]]", 14, "XML escapes");
    refused("*[System[Level=1 AND Task=2]]", 17, "`and` in lower case");
    refused("*[System[Level=1 && Task=2]]", 17, "`and`");
    refused("*[System[Computer='dc]]", 18, "never closed");
    refused("*[System[Computer=dc]]", 18, "`'dc'`");
    refused("*[System[EventID=46x]]", 17, "no number");
    refused("*[System[EventID=99999999999999999999]]", 17, "64 bits");
    refused("*[System[Computer<'x']]", 18, "numbers and times");
    refused("*[System[band(Keywords,1)=1]]", 25, "not compared");
    refused("*[System[band(Keywords)]]", 22, "belong");
    refused("*[System[timediff(TimeCreated/@SystemTime)]]", 42, "milliseconds");
    refused("*[System[EventID=1]]]", 20, "belong");
    refused("*[System] *", 10, "arithmetic");
    refused("*[EventData[Data[@Name]/x/@a/b]]", 28, "nothing lies below");
    refused(&("*[".repeat(40) + "a"), 65, "at most 32 deep");
    refused(&("(".repeat(100_000) + "a"), EXPRESSION_BYTES_MAX, "at most 32768 bytes");
    refused(&("*[System[EventID=1".to_owned() + &" or EventID=1".repeat(1000) + "]]"), 0, "1001 tests");
}

#[test]
fn doubts_are_warnings() {
    let warnings = |text: &str| XPath::parse(text).unwrap().warnings().join("; ");
    assert_eq!(warnings("*[System[EventID=1 or Level=2]]"), "");
    assert!(warnings("*[System/eventid=1]").contains("Windows writes `EventID`"));
    assert!(warnings("*[Evendata]").contains("`Event` has no element `Evendata`"));
    assert!(warnings("*[System/Provider[@name='x']]").contains("Windows writes `Name`"));
    assert!(warnings("*[System/TimeCreated/@SystemTime>'2019-03-29T21:10:40.3801Z']").contains("3 fraction"));
    let many = format!("*[System[{}]]", vec!["EventID=1"; 21].join(" or "));
    assert!(warnings(&many).contains("21 tests"));
}

#[test]
fn a_scratch_is_reused_across_events_and_lifetimes() {
    let xpath = XPath::parse("*[EventData/Data='vagrant' or UserData/*/*='bob']").unwrap();
    let mut scratch = Scratch::default();
    for _ in 0..3 {
        for text in [LOGON, USER] {
            let text = text.to_owned();
            let event = XmlEvent::parse(text.as_bytes()).unwrap();
            assert_eq!(xpath.selects(&event, NOW, &mut scratch), Ok(true));
        }
    }
}

/// Names and values from small sets, so that expressions meet what events hold.
fn value() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "1",
        "4624",
        "0x1c0",
        "448",
        "-5",
        "1.5",
        "x",
        "X",
        "",
        " 1 ",
        "true",
        "False",
        "S-1-5-18",
        "s-1-5-18",
        "{54849625-5478-4994-A5BA-3E3B0328C30D}",
        "54849625-5478-4994-a5ba-3e3b0328c30d",
        "2019-03-29T21:10:40.380Z",
        "2019-03-30T21:10:40Z",
        "18446744073709551615",
        "18446744073709551617",
        "0x10000000000000001",
        "S-1-5-18-x",
        "S-1-0x5-32",
        "99999999999999999999999999999999999999999",
        "a&amp;b",
        "line&#10;one",
    ])
}

fn element() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["Data", "Foo", "n:Bar", "System", "EventID"]);
    let attribute = prop::option::of((prop::sample::select(vec!["Name", "Kind"]), value()));
    let leaf = (name, attribute, value()).prop_map(|(name, attribute, text)| {
        let attribute = attribute.map_or(String::new(), |(name, value)| format!(" {name}='{value}'"));
        format!("<{name}{attribute}>{text}</{name}>")
    });
    leaf.prop_recursive(3, 12, 4, |inner| {
        (prop::sample::select(vec!["Data", "Foo"]), value(), prop::collection::vec(inner, 0..4), value())
            .prop_map(|(name, before, inner, after)| {
                format!("<{name}>{before}{}{after}</{name}>", inner.concat())
            })
    })
}

fn event() -> impl Strategy<Value = String> {
    let system = prop::collection::vec(
        (
            prop::sample::select(vec![
                "<EventID>#</EventID>",
                "<EventID Qualifiers='#'/>",
                "<Level>#</Level>",
                "<Provider Name='#' Guid=\"#\"/>",
                "<Keywords>#</Keywords>",
                "<TimeCreated SystemTime='#'/>",
                "<Correlation/>",
                "<Foo>#</Foo>",
            ]),
            value(),
        )
            .prop_map(|(shape, value)| shape.replace('#', value)),
        0..5,
    );
    let part = prop::sample::select(vec!["EventData", "UserData", "RenderingInfo"]);
    let body = prop::collection::vec((part, prop::collection::vec(element(), 0..5)), 0..3);
    (system, body).prop_map(|(system, body)| {
        let body: String =
            body.iter().map(|(part, inner)| format!("<{part}>{}</{part}>", inner.concat())).collect();
        let system = system.concat();
        format!("<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event' xmlns:n='urn:n'><System>{system}</System>{body}</Event>")
    })
}

fn literal() -> impl Strategy<Value = String> {
    value().prop_map(|value| match value {
        "1" | "4624" | "0x1c0" | "448" | "1.5" => value.to_owned(),
        "a&amp;b" => "'a&b'".to_owned(),
        "line&#10;one" => "'line\none'".to_owned(),
        _ => format!("\"{value}\""),
    })
}

#[track_caller]
fn split(xpath: &str, terms_max: usize, expected: &[&str]) {
    let parts = XPath::parse(xpath).unwrap().split(terms_max).unwrap_or_default();
    assert_eq!(parts.iter().map(XPath::to_string).collect::<Vec<_>>(), expected);
}

#[test]
fn a_long_expression_is_taken_apart_at_its_ors() {
    split("*[System[EventID=1 or EventID=2]]", 2, &["*[System[EventID=1 or EventID=2]]"]);
    split(
        "*[System[(EventID=1 or EventID=2 or (EventID>=5 and EventID<=6) or EventID=9)]]",
        2,
        &[
            "*[System[EventID=1 or EventID=2]]",
            "*[System[EventID>=5 and EventID<=6]]",
            "*[System[EventID=9]]",
        ],
    );
    split(
        "*[System[Level=4 and (EventID=1 or EventID=2 or EventID=3)] and EventData[Data='x']]",
        4,
        &[
            "*[System[Level=4 and (EventID=1 or EventID=2)] and EventData[Data='x']]",
            "*[System[Level=4 and EventID=3] and EventData[Data='x']]",
        ],
    );
    split(
        "*[EventData[Data[@Name='a' or @Name='b']='x']]",
        2,
        &["*[EventData[Data[@Name='a']='x']]", "*[EventData[Data[@Name='b']='x']]"],
    );
}

#[test]
fn what_must_stand_together_is_not_taken_apart() {
    for xpath in ["*[System[Level=1 and EventID=2 and Task=3]]", "*[System[Level=1 and Task=3 and (a or b)]]"]
    {
        assert_eq!(XPath::parse(xpath).unwrap().split(2), None, "{xpath}");
    }
}

/// An expression inside of brackets.
fn inner() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "*",
        "System",
        "EventData",
        "UserData",
        "Data",
        "Foo",
        "Bar",
        "EventID",
        "Level",
        "Provider",
        "Keywords",
        "TimeCreated",
    ]);
    let steps = prop::collection::vec(name, 1..4).prop_map(|steps| steps.join("/"));
    let tail = prop::sample::select(vec!["", "", "", "/@Name", "/@*", "/text()", "/@SystemTime", "/@Kind"]);
    let path = (steps, tail).prop_map(|(steps, tail)| steps + tail);
    let op = prop::sample::select(vec!["=", "!=", "<", "<=", ">", ">="]);
    let test = (path, op, literal(), 0..6).prop_map(|(path, op, literal, kind)| match kind {
        0 => path,
        1 => format!("band({path},0x{:x})", literal.len()),
        2 => format!("timediff({path}){op}{}", literal.len() * 1000),
        _ if literal.starts_with(['"', '\'']) && !literal.ends_with("Z\"") => {
            format!("{path}{}{literal}", if op.contains('!') { "!=" } else { "=" })
        }
        _ => format!("{path}{op}{literal}"),
    });
    test.prop_recursive(3, 16, 3, |inner| {
        let name = prop::sample::select(vec!["*", "System", "EventData", "Data", "Foo", "EventID"]);
        prop_oneof![
            (name, inner.clone()).prop_map(|(name, inner)| format!("{name}[{inner}]")),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|all| format!("({})", all.join(" or "))),
            prop::collection::vec(inner, 2..4).prop_map(|all| all.join(" and ")),
        ]
    })
}

proptest! {
    // PROPTEST_CASES asks for more.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1500), ..ProptestConfig::default() })]

    #[test]
    fn the_compiled_form_means_what_the_oracle_means(event in event(), inner in inner()) {
        // A test such as `*/@Name` may stand right under Event, where attributes are refused.
        if XPath::parse(&format!("*[{inner}]")).is_ok() {
            selects(&event, &format!("*[{inner}]"));
        }
        for around in ["*[System[#]]", "*[EventData[#]]", "*/*[#]", "*/*/*[#]"] {
            selects(&event, &around.replace('#', &inner));
        }
    }

    #[test]
    fn parts_select_together_what_the_whole_does(event in event(), inner in inner(), terms_max in 1_usize..6) {
        let whole = XPath::parse(&format!("*[{inner}]"));
        let whole = whole.or_else(|_| XPath::parse(&format!("*/*[{inner}]"))).unwrap();
        if let Some(parts) = whole.split(terms_max) {
            let event = XmlEvent::parse(event.as_bytes()).unwrap();
            let mut selected = false;
            for part in parts {
                prop_assert!(part.terms() <= terms_max);
                prop_assert_eq!(XPath::parse(&part.to_string()), Ok(part.clone()));
                selected |= part.selects(&event, NOW, &mut Scratch::default()).unwrap();
            }
            prop_assert_eq!(selected, whole.selects(&event, NOW, &mut Scratch::default()).unwrap());
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused_inside_of_it(text in "\\PC{0,60}") {
        match XPath::parse(&text) {
            Ok(xpath) => prop_assert_eq!(XPath::parse(&xpath.to_string()), Ok(xpath)),
            Err(error) => prop_assert!(error.at + error.bytes <= text.len()),
        }
    }
}
