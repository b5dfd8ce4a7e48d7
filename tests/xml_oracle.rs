//! The event reader and the JSON writer against parsers that nobody here wrote.

use crate::json_schema::Schema;
use crate::peers::quick::QuickEvent;
use crate::peers::{self, dom};
use forebay::event::{Event, XmlEvent};
use forebay::format::{FormatConfig, Meta, json::Json};
use proptest::prelude::*;

fn ours(text: &[u8]) -> Option<String> {
    json(&XmlEvent::parse(text).ok()?)
}

fn quick(text: &[u8]) -> Option<String> {
    json(&QuickEvent::parse(text).ok()?)
}

fn json<'a>(event: &impl Event<'a>) -> Option<String> {
    let mut out = Vec::new();
    Json::default().event(event, &Meta::default(), &mut out).ok()?;
    Some(String::from_utf8(out).expect("JSON is UTF-8"))
}

fn ecs<'a>(event: &impl Event<'a>) -> Option<String> {
    let config: FormatConfig = toml::from_str("ecs = {}").expect("a format");
    let mut out = Vec::new();
    config.open().expect("a format").event(event, &Meta::default(), &mut out).ok()?;
    Some(String::from_utf8(out).expect("JSON is UTF-8"))
}

#[test]
fn every_event_of_the_corpus_reads_as_conforming_parsers_read_it_and_fits_the_schema() {
    let (events, is_corpus) = peers::events();
    if !is_corpus {
        println!(
            "SKIP every_event_of_the_corpus_reads_as_conforming_parsers_read_it_and_fits_the_schema: no corpus"
        );
        return;
    }
    let (mut refused, schema) = (0, Schema::published());
    for text in &events {
        let json = ours(text).expect("every event of the corpus is well formed");
        assert_eq!(Some(&json), quick(text).as_ref());
        let text = std::str::from_utf8(text).expect("UTF-8");
        let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        schema.check(&value).unwrap_or_else(|wrong| panic!("{wrong}: {text}"));
        match dom::to_value(text) {
            Some(expected) => assert_eq!(value, expected, "{text}"),
            None => refused += 1,
        }
    }
    // Control characters, which a conforming parser refuses and Windows sends.
    println!("{} events, {refused} of them refused by the DOM parser", events.len());
    assert!(refused * 100 < events.len());
}

#[test]
fn every_golden_file_reads_as_quick_xml_reads_it() {
    for text in peers::fixtures() {
        assert_eq!(ours(&text), quick(&text), "{}", String::from_utf8_lossy(&text));
    }
}

fn xml_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => "[ -%'-;=?-~]{0,20}",
        1 => Just("&lt;".to_owned()),
        1 => Just("&amp;amp;".to_owned()),
        1 => Just("&#x1F600;".to_owned()),
        1 => Just("\r\n".to_owned()),
        1 => Just(" \t\n".to_owned()),
        1 => Just("Größe 日本".to_owned()),
        1 => Just("<![CDATA[<&amp;\r\n]]>".to_owned()),
        1 => Just("<!-- - -->".to_owned()),
        1 => Just("<?pi a?>".to_owned()),
    ];
    proptest::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

fn attribute() -> impl Strategy<Value = String> {
    ("[A-D]", prop_oneof!["[ -%'-;=?-~&&[^'\"]]{0,12}", Just("&quot;&#9;".to_owned())], any::<bool>())
        .prop_map(
            |(name, value, double)| {
                if double { format!(" {name}=\"{value}\"") } else { format!("\n{name} = '{value}'") }
            },
        )
}

/// An element, its children below it, three levels deep.
fn element() -> impl Strategy<Value = String> {
    let tag = || {
        const NAMES: &[&str] = &["Data", "ComplexData", "Binary", "a", "b", "Keywords", "Keyword"];
        (prop::sample::select(NAMES), proptest::option::of(attribute()), any::<bool>())
    };
    let leaf = (tag(), xml_text()).prop_map(|((name, attribute, _), text)| {
        let attribute = attribute.unwrap_or_default();
        format!("<{name}{attribute}>{text}</{name}>")
    });
    leaf.prop_recursive(3, 24, 5, move |inner| {
        (tag(), proptest::collection::vec(prop_oneof![inner, xml_text()], 0..5)).prop_map(
            |((name, attribute, named), content)| {
                let content = content.concat();
                let attribute = if named { " Name='N'".to_owned() } else { attribute.unwrap_or_default() };
                if content.is_empty() {
                    format!("<{name}{attribute} />")
                } else {
                    format!("<{name}{attribute}>{content}</{name} >")
                }
            },
        )
    })
}

/// What stands in System, or should not.
fn system() -> impl Strategy<Value = String> {
    let usual = prop::sample::select(vec![
        "<EventID>#</EventID>",
        "<EventID Qualifiers='16384'>#</EventID>",
        "<Level>#</Level>",
        "<Channel>#</Channel>",
        "<Computer>#</Computer>",
        "<Provider Name=\"P\" Guid='{g}'/>",
        "<TimeCreated SystemTime='2023-05-29T08:47:50.693054112Z'/>",
        "<Correlation/>",
        "<Execution ProcessID='4' ThreadID='8' SessionID='1'/>",
        "<Security UserID='S-1-5-18'/>",
    ]);
    let odd = prop::sample::select(vec![
        "<Provider>#</Provider>",
        "<Provider Name='P' Nickname='N'></Provider>",
        "<n:Level>#</n:Level>",
        "<Container a='1'><b>#</b></Container>",
        "<Task>1<b/>#</Task>",
        "#",
        "<!-- c --><?p i?>",
        "\r\n\t",
    ]);
    let value = prop_oneof![2 => "[a-zA-Z0-9 ]{0,8}", 1 => xml_text()];
    let child =
        (prop_oneof![3 => usual, 1 => odd], value).prop_map(|(shape, value)| shape.replace('#', &value));
    proptest::collection::vec(child, 0..8).prop_map(|children| children.concat())
}

proptest! {
    /// Prologs, prefixes, foreign attributes, System anywhere, in pieces, twice or not at all.
    #[test]
    fn odd_events_read_as_quick_xml_reads_them(
        prolog in prop::sample::select(vec!["", "\u{feff}", "<?xml version='1.0'?>\r\n", "<!-- <Event> -->", " \n"]),
        prefix in prop::sample::select(vec!["", "", "", "e:"]),
        declared in prop::sample::select(vec!["", " xml:lang='en-US'", " a=\"1\"", "\n"]),
        first in system(),
        second in proptest::option::weighted(0.2, system()),
        system_attribute in prop::sample::select(vec!["", "", " a='b'"]),
        parts in proptest::collection::vec((prop::sample::select(vec!["EventData", "UserData", "RenderingInfo", "DebugData", "x:Y"]), element(), xml_text()), 0..4),
        at in 0..4_usize,
        epilog in prop::sample::select(vec!["", "\r\n", "<!-- end -->", "<?p?>"]),
    ) {
        let mut children: Vec<String> = parts.iter().map(|(name, element, text)| format!("<{name}>{element}{text}</{name}>")).collect();
        children.insert(at.min(children.len()), format!("<{prefix}System{system_attribute}>{first}</{prefix}System>"));
        if let Some(second) = second {
            children.push(format!("<System>{second}</System>"));
        }
        let xmlns = "xmlns='http://schemas.microsoft.com/win/2004/08/events/event'";
        let text = format!("{prolog}<{prefix}Event {xmlns}{declared}>{}</{prefix}Event>{epilog}", children.concat());
        let event = XmlEvent::parse(text.as_bytes());
        prop_assert!(event.is_ok(), "{:?} {}", event.err(), text);
        let (event, peer) = (event.expect("seen above"), QuickEvent::parse(text.as_bytes()).expect("well formed"));
        let written = json(&event);
        prop_assert!(written.is_some(), "{}", text);
        prop_assert_eq!(&written, &json(&peer), "{}", text);
        prop_assert_eq!(ecs(&event), ecs(&peer), "{}", text);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&written.unwrap_or_default()).is_ok(), "{}", text);
    }

    #[test]
    fn generated_events_read_as_conforming_parsers_read_them(
        data in proptest::collection::vec((prop_oneof!["[A-F]", "[ -%(-;=?-~]{0,8}"], "[ -%'-;=?-~\\\\]{0,40}"), 0..8),
        more in proptest::collection::vec(element(), 0..4),
        user in proptest::collection::vec(element(), 0..4),
        rendering in proptest::collection::vec(element(), 0..3),
    ) {
        let data: String = data.iter().map(|(name, value)| format!("<Data Name='{name}'>{value}</Data>")).collect();
        let text = format!(
            "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><EventID>1</EventID></System>\
             <EventData>{data}{}</EventData><UserData>{}</UserData><RenderingInfo Culture='c'>{}</RenderingInfo></Event>",
            more.concat(), user.concat(), rendering.concat(),
        );
        let json = ours(text.as_bytes());
        prop_assert!(json.is_some(), "{}", text);
        prop_assert_eq!(&json, &quick(text.as_bytes()), "{}", text);
        // At a comment a reader that streams cannot know whether elements follow, which would make
        // the blanks before it layout; the two streaming readers agree on it above.
        if text.contains("<!--") || text.contains("<?") {
            return Ok(());
        }
        let value: serde_json::Value = serde_json::from_str(&json.unwrap_or_default()).expect("JSON");
        let mut expected = dom::to_value(&text).expect("well formed");
        // The DOM has only a rough idea of RenderingInfo; the writers agree on it above.
        expected["RenderingInfo"] = value["RenderingInfo"].clone();
        prop_assert_eq!(value, expected, "{}", text);
    }

    #[test]
    fn cut_and_flipped_events_are_read_alike_or_refused(
        which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let fixtures = peers::fixtures();
        let mut text = which.get(&fixtures).clone();
        let at = at.index(text.len());
        if cut { text.truncate(at) } else { text[at] = byte }
        if let Some(json) = ours(&text) {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
            prop_assert_eq!(Some(json), quick(&text), "{}", String::from_utf8_lossy(&text));
        }
    }
}
