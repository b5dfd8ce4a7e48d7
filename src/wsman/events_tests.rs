//! Deliveries in every form events come in.

use super::*;
use crate::wsman::ns;
use proptest::prelude::*;

const EVENT: &str = "<w:Event Action=\"http://schemas.dmtf.org/wbem/wsman/1/wsman/Event\">";

/// `w:Events` with this inside, and where the ranges stand.
fn read(inside: &str) -> Result<(Vec<String>, Vec<String>, u64, bool), Refusal> {
    let text = format!("<w:Events xmlns:w=\"{}\">{inside}</w:Events>", ns::WSMAN);
    let mut reader = Reader::new(&text);
    reader.child()?.expect("Events");
    let events = Events::read(&mut reader)?;
    assert!(matches!(reader.next()?, Node::Eof), "all is read");
    let ascending = events.ranges.windows(2).all(|pair| pair[0].end <= pair[1].start);
    assert!(ascending, "{:?}", events.ranges);
    let started = events.started.iter().map(|range| events.at(range).to_owned()).collect();
    let borrowed = matches!(events.text, Cow::Borrowed(_));
    Ok((events.iter().map(str::to_owned).collect(), started, events.dropped, borrowed))
}

#[track_caller]
fn check(inside: &str, expected: &[&str], borrowed: bool) {
    let (events, started, dropped, is_borrowed) = read(inside).unwrap();
    assert_eq!(events, expected);
    assert_eq!((started.len(), dropped), (0, 0));
    assert_eq!(is_borrowed, borrowed, "whether the text is the envelope");
}

fn usual(events: &[&str]) -> String {
    events.iter().map(|event| format!("{EVENT}<![CDATA[{event}]]></w:Event>")).collect()
}

#[test]
fn usual_events_are_ranges_of_the_envelope() {
    check(
        &usual(&["<Event>1</Event>", "<Event>2\r\n\u{1}</Event>", "no XML <", ""]),
        &["<Event>1</Event>", "<Event>2\r\n\u{1}</Event>", "no XML <", ""],
        true,
    );
    check("", &[], true);
}

#[test]
fn white_space_around_a_section_is_not_of_the_event() {
    check(
        &format!("\r\n {EVENT} <![CDATA[a]]>\n</w:Event>\n{EVENT}<![CDATA[b]]></w:Event> "),
        &["a", "b"],
        true,
    );
}

#[test]
fn an_event_in_pieces_is_joined_and_the_others_are_moved_beside_it() {
    let odd = format!("{EVENT}<![CDATA[a]]]]><![CDATA[>b]]></w:Event>");
    let text = format!("{}{odd}{}", usual(&["<1/>", "<2/>"]), usual(&["<3/>", "<4/>"]));
    check(&text, &["<1/>", "<2/>", "a]]>b", "<3/>", "<4/>"], false);
    check(&format!("{EVENT}a<!-- --> <![CDATA[b]]> c</w:Event>"), &["a b c"], false);
}

#[test]
fn an_escaped_event_is_unescaped_and_its_line_ends_stay() {
    check(
        &format!("{EVENT}&lt;Event a='1'&gt;\r\n&amp;amp;&lt;/Event&gt;</w:Event>"),
        &["<Event a='1'>\r\n&amp;</Event>"],
        false,
    );
    check(&format!("{EVENT}a&nothing;b</w:Event>"), &["a&nothing;b"], false);
}

#[test]
fn an_event_inline_is_taken_as_it_is_written() {
    let inline = "<Event xmlns=\"e\"><System a='1'/>&lt;<![CDATA[x]]></Event>";
    check(&format!("{EVENT}\n {inline} </w:Event>{}", usual(&["b"])), &[inline, "b"], true);
    check(&format!("{EVENT}<a/>text<b/></w:Event>"), &["<a/>text<b/>"], true);
    check(&format!("{EVENT}<a/><b/></w:Event>"), &["<a/><b/>"], true);
    check(&format!("{EVENT}x<a/></w:Event>"), &["x<a/>"], true);
    check(&format!("{EVENT}</w:Event><w:Event/>"), &["", ""], true);
}

#[test]
fn the_prefix_is_whatever_was_declared() {
    let text = format!(
        "<Event xmlns=\"{0}\"><![CDATA[a]]></Event><x:Event xmlns:x=\"{0}\"><![CDATA[b]]></x:Event >",
        ns::WSMAN
    );
    check(&text, &["a", "b"], true);
    let wrong = "<Event xmlns=\"other\"><![CDATA[a]]></Event>";
    assert!(matches!(read(wrong), Err(Refusal::InvalidBody(_))));
    assert!(matches!(read("<w:Other/>"), Err(Refusal::InvalidBody(_))));
    assert!(matches!(read("text"), Err(Refusal::InvalidXml(_))));
}

#[test]
fn a_tag_that_only_begins_as_the_first_one_is_read_on_its_own() {
    let text = "<w:Event><![CDATA[a]]></w:Event><w:Events2><![CDATA[b]]></w:Events2>";
    assert!(matches!(read(text), Err(Refusal::InvalidBody(_))));
}

const STARTED: &str = "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>\
    <Provider Name='Microsoft-Windows-EventForwarder'/><EventID>111</EventID>\
    <TimeCreated SystemTime='2025-08-22T16:32:36.329Z'/><Computer>PC1</Computer></System>\
    <SubscriptionBookmarkEvent><SubscriptionId></SubscriptionId></SubscriptionBookmarkEvent></Event>";

#[test]
fn event_111_carries_a_bookmark_and_is_set_apart() {
    let (events, started, _, _) = read(&usual(&["<1/>", STARTED, "<2/>"])).unwrap();
    assert_eq!((events, started), (vec!["<1/>".to_owned(), "<2/>".into()], vec![STARTED.to_owned()]));
    let inline = STARTED.replace('\'', "\"");
    let (events, started, _, _) = read(&format!("{EVENT}{inline}</w:Event>")).unwrap();
    assert_eq!((events.len(), started.len()), (0, 1));
}

#[test]
fn what_only_looks_like_event_111_is_an_event() {
    for event in [
        STARTED.replace("111", "112"),
        STARTED.replace("EventForwarder", "Other"),
        STARTED.replace("<Computer>", "<Channel>System</Channel><Computer>"),
        STARTED.replace("SubscriptionBookmarkEvent", "EventData"),
        STARTED.replace("SubscriptionId><", &format!("SubscriptionId>{}<", "x".repeat(1024))),
        STARTED.replace("</System>", ""),
    ] {
        let (events, started, _, _) = read(&usual(&[&event])).unwrap();
        assert_eq!((events.len(), started.len()), (1, 0), "{event}");
    }
}

#[test]
fn events_the_host_left_out_are_counted() {
    let of = "<w:Event Action=\"http://schemas.dmtf.org/wbem/wsman/1/wsman/DroppedEvents\">";
    let text = format!("{of}3</w:Event>{}{of}<w:DroppedEvents>4 </w:DroppedEvents></w:Event>", usual(&["a"]));
    let (events, _, dropped, _) = read(&text).unwrap();
    assert_eq!((events, dropped), (vec!["a".to_owned()], 7));
}

#[test]
fn an_envelope_holds_so_many_events() {
    let one = "<w:Event><![CDATA[]]></w:Event>";
    assert_eq!(read(&one.repeat(EVENTS_MAX)).unwrap().0.len(), EVENTS_MAX);
    assert!(matches!(read(&one.repeat(EVENTS_MAX + 1)), Err(Refusal::InvalidBody(_))));
    let inline = "<w:Event>a</w:Event>";
    assert!(matches!(read(&inline.repeat(EVENTS_MAX + 1)), Err(Refusal::InvalidBody(_))));
}

proptest! {
    #[test]
    fn a_comment_in_an_event_changes_nothing_but_the_way_it_is_read(
        events in proptest::collection::vec("[ -~\r\n<>&\\]é]{0,20}", 0..6),
        commented in any::<u8>(),
    ) {
        let mut text = String::new();
        for (nth, event) in events.iter().enumerate() {
            let comment = if commented >> nth & 1 == 1 { "<!-- -->" } else { "" };
            let event = event.replace("]]>", "]]]]><![CDATA[>");
            text.push_str(&format!("{EVENT}{comment}<![CDATA[{event}]]></w:Event>"));
        }
        prop_assert_eq!(read(&text).unwrap().0, events);
    }

    #[test]
    fn what_is_written_is_read_again(events in proptest::collection::vec("[ -~\r\n\u{1}é]{0,30}|\\]\\]>|<!\\[CDATA\\[x", 0..6)) {
        let text: String = events.concat();
        let mut at = 0;
        let ranges = events.iter().map(|event| { let from = at; at += event.len() as u32; from..at }).collect();
        let events = Events { text: text.into(), ranges, started: Vec::new(), dropped: 2 };
        let mut out = String::new();
        events.write(&mut out);
        let text = out.replacen('>', &format!(" xmlns:w=\"{}\">", ns::WSMAN), 1);
        let mut reader = Reader::new(&text);
        reader.child().unwrap();
        prop_assert_eq!(Events::read(&mut reader).unwrap(), events);
    }
}
