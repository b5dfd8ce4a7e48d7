//! What the reader makes of every shape: the visits, written down one per line.

use super::*;
use crate::event::Value;
use crate::event::header::Seen;

#[derive(Default)]
struct Visits(String);

impl Visits {
    fn value(value: Value<'_>) -> String {
        let mut text = Vec::new();
        value.write_text(&mut text);
        String::from_utf8(text).unwrap()
    }
}

impl<'a> Visitor<'a> for Visits {
    fn start(&mut self, name: &'a [u8]) {
        self.0 += &format!("<{} ", String::from_utf8_lossy(name));
    }

    fn attribute(&mut self, name: &'a [u8], value: Value<'a>) {
        self.0 += &format!("{}={} ", String::from_utf8_lossy(name), Self::value(value));
    }

    fn text(&mut self, value: Value<'a>) {
        self.0 += &format!("`{}` ", Self::value(value));
    }

    fn end(&mut self) {
        self.0 += "> ";
    }
}

fn visits(part: Part, text: &str) -> Result<String, EventError> {
    let mut visits = Visits::default();
    XmlEvent::parse(text.as_bytes())?.walk(part, &mut visits)?;
    Ok(visits.0)
}

#[track_caller]
fn check(body: &str, expected: &str) {
    let text = format!("<Event><System/>{body}</Event>");
    assert_eq!(visits(Part::Body, &text).unwrap().trim_end(), expected);
}

#[track_caller]
fn refuse(text: &str, expected: &str) {
    let found = visits(Part::Body, text).unwrap_err().to_string();
    assert!(found.starts_with(expected), "{found}");
}

const USUAL: &str = "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>\
    <Provider Name='P' Guid='{g}' EventSourceName='S'/><EventID Qualifiers='16384'>7036</EventID>\
    <Version>0</Version><Level>4</Level><Task>0</Task><Opcode>0</Opcode>\
    <Keywords>0x8080000000000000</Keywords><TimeCreated SystemTime='2023-05-29T08:47:50.6930541Z'/>\
    <EventRecordID>1542</EventRecordID><Correlation ActivityID='{a}' RelatedActivityID='{r}'/>\
    <Execution ProcessID='516' ThreadID='556' ProcessorID='1' SessionID='2' KernelTime='3' \
    UserTime='4' ProcessorTime='5'/><Channel>System</Channel><Computer>dc&amp;1</Computer>\
    <Security UserID='S-1-5-18'/></System></Event>";

#[track_caller]
fn header_of(text: &str) -> String {
    let event = XmlEvent::parse(text.as_bytes()).unwrap();
    let h = event.header();
    let fields = [
        h.provider_name,
        h.provider_guid,
        h.event_source_name,
        h.event_id,
        h.qualifiers,
        h.version,
        h.level,
        h.task,
        h.opcode,
        h.keywords,
        h.time_created,
        h.record_id,
        h.activity_id,
        h.related_activity_id,
        h.process_id,
        h.thread_id,
        h.processor_id,
        h.session_id,
        h.kernel_time,
        h.user_time,
        h.processor_time,
        h.channel,
        h.computer,
        h.user_id,
    ];
    let shown = fields.map(|field| if field.is_absent() { "-".into() } else { Visits::value(field) });
    format!("{} {:x} {}", shown.join(" "), h.seen.0, h.odd)
}

#[test]
fn the_predicted_and_the_general_way_read_the_same_header() {
    let expected = "P {g} S 7036 16384 0 4 0 0 0x8080000000000000 2023-05-29T08:47:50.6930541Z 1542 {a} {r} \
                    516 556 1 2 3 4 5 System dc&1 S-1-5-18 3fff false";
    assert!(system::predicted(USUAL.as_bytes()).is_some());
    assert_eq!(header_of(USUAL), expected);
    let double = USUAL.replace('\'', "\"");
    assert!(system::predicted(double.as_bytes()).is_some());
    assert_eq!(header_of(&double), expected);
    let spaced = USUAL.replace("><", ">\r\n  <").replace("'/>", "' />");
    assert!(system::predicted(spaced.as_bytes()).is_none());
    assert_eq!(header_of(&spaced), expected);
}

#[test]
fn missing_elements_are_absent_and_empty_ones_are_not() {
    let dashes = "- ".repeat(21);
    assert_eq!(header_of("<Event><System></System></Event>"), format!("{dashes}- - - 0 false"));
    assert_eq!(
        header_of("<Event><System><Channel/><Computer></Computer><Security/></System></Event>"),
        format!("{dashes}  - 3800 false")
    );
}

#[test]
fn what_a_header_cannot_hold_makes_it_odd() {
    for text in [
        "<Event/>",
        "<Event></Event>",
        "<Event a='1'><System/></Event>",
        "<e:Event><e:System/></e:Event>",
        "<Event><System><Container>c</Container></System></Event>",
        "<Event><System><TimeCreated SystemTime='1' RawTime='2'/></System></Event>",
        "<Event><System><Level>1</Level><Level>2</Level></System></Event>",
        "<Event><System><Security>x</Security></System></Event>",
        "<Event><System>x</System></Event>",
        "<Event><System><Level>1<x/></Level></System></Event>",
        "<Event><System><Level>1<!-- -->2</Level></System></Event>",
    ] {
        assert!(XmlEvent::parse(text.as_bytes()).unwrap().header().odd, "{text}");
    }
    let twice = "<Event><System><Level>1</Level><Level>2</Level></System></Event>";
    assert!(XmlEvent::parse(twice.as_bytes()).unwrap().header().level.is("1"));
}

#[test]
fn a_value_in_pieces_is_none_of_the_header_and_neither_is_one_behind_it() {
    let text = "<Event><System><Level>1<!-- -->2</Level><Level>3</Level><Task>4</Task></System></Event>";
    let event = XmlEvent::parse(text.as_bytes()).unwrap();
    let header = event.header();
    assert!(header.level.is_absent() && header.task.is("4") && header.seen == Seen(Seen::TASK));
    assert_eq!(visits(Part::System, text).unwrap(), "<System <Level `1` `2` > <Level `3` > <Task `4` > > ");
}

#[test]
fn system_is_found_behind_prolog_comments_and_other_elements() {
    let text = "\u{feff}<?xml version='1.0'?>\n<!-- c --><Event xmlns='x'><EventData><Data>1</Data></EventData>\
                <System><Level>3</Level></System></Event>\n<!-- end -->\n";
    let event = XmlEvent::parse(text.as_bytes()).unwrap();
    assert!(event.header().level.is("3"));
    assert_eq!(visits(Part::Body, text).unwrap(), "<EventData <Data `1` > > ");
    assert_eq!(visits(Part::System, text).unwrap(), "<System <Level `3` > > ");
    assert_eq!(
        visits(Part::Whole, text).unwrap(),
        "<Event xmlns=x <EventData <Data `1` > > <System <Level `3` > > > "
    );
}

#[test]
fn data_is_reported_in_every_form() {
    check(
        "<EventData><Data Name='A'>1</Data><Data Name=\"B\"/><Data Name='C'></Data><Data>x</Data>\
         <Data Name='D' Type='t'>2</Data><Data Name = 'E' >3</Data ></EventData>",
        "<EventData <Data Name=A `1` > <Data Name=B > <Data Name=C > <Data `x` > <Data Name=D Type=t `2` > \
         <Data Name=E `3` > >",
    );
    check("<EventData/><EventData Name='n'><Data/></EventData>", "<EventData > <EventData Name=n <Data > >");
}

#[test]
fn cdata_comments_and_instructions_are_seen_through() {
    check(
        "<EventData><Data Name='A'>1<![CDATA[&lt;<b>]]>2</Data><!-- <x> --><?p <y> ?></EventData>",
        "<EventData <Data Name=A `1` `&lt;<b>` `2` > >",
    );
    check("<U><![CDATA[a\r\nb\rc]]></U>", "<U `a` `\nb` `\n` `c` >");
    check("<U>1<!-- > -->2</U>", "<U `1` `2` >");
    check(
        "<EventData><Data/>\n<![CDATA[x]]> <Data/>\n</EventData>",
        "<EventData <Data > `\n` `x` ` ` <Data > >",
    );
}

#[test]
fn layout_is_not_reported_but_blank_values_are() {
    check(
        "\r\n <EventData>\r\n  <Data Name='A'> </Data>\r\n </EventData>\n<U>\n <a> </a>\n <b/> </U>",
        "<EventData <Data Name=A ` ` > > <U <a ` ` > <b > >",
    );
}

#[test]
fn line_ends_between_elements_mean_nothing_when_they_are_references() {
    check(
        "&#13;&#10; <EventData>&#xA;  <Data Name='A'>&#10;</Data>&#9;</EventData>\n<U>&#10;<a> </a>&#x20;<b/>&#10;</U>",
        "<EventData <Data Name=A `\n` > > <U <a ` ` > <b > >",
    );
    check("<U>&#10;x<b/>&#10;&lt;<c/>&#8;</U>", "<U `\nx` <b > `\n<` <c > `\u{8}` >");
}

#[test]
fn references_line_ends_and_control_characters_in_values() {
    check(
        "<U a='x&lt;&#x41;\"' b=\"'\">a&#13;&#10;b\r\nc\u{1}&#x1;</U>",
        "<U a=x<A\" b=' `a\r\nb\nc\u{1}\u{1}` >",
    );
}

#[test]
fn what_is_not_well_formed_is_refused_with_its_place() {
    refuse("", "the text does not start with an element at byte 0");
    refuse("x<Event/>", "the text does not start with an element");
    refuse("<Evil/>", "the element is no Event");
    refuse("<Event>", "the event ends before its end tag");
    refuse("<Event><System></Event>", "an end tag does not match its start tag at byte 15");
    refuse("<Event><System/><a><b></a></b></Event>", "an end tag does not match");
    refuse("<Event><System/></Events>", "an end tag does not match");
    refuse("<Event><System/><a", "the event ends inside a tag");
    refuse("<Event><System/><a>", "the event ends inside an element");
    refuse("<Event><System/></Event>x", "something follows the end of the event");
    refuse("<Event><System/></Event><Event/>", "something follows the end of the event");
    refuse("<Event><System/><a b='1' b='2'/></Event>", "an attribute stands twice");
    refuse("<Event><System/><a b=1/></Event>", "an attribute value is not quoted");
    refuse("<Event><System/><a b='<'/></Event>", "an attribute value is not quoted");
    refuse("<Event><System/><a b/></Event>", "an attribute has no value");
    refuse("<Event><System/><a b='1'c='2'/></Event>", "a tag is malformed");
    refuse("<Event><System/><1/></Event>", "a name is missing");
    refuse("<Event><System/><a><![CDATA[x</a></Event>", "a CDATA section is not closed");
    refuse("<Event><System/><!-- x</Event>", "a comment is not closed");
}

#[test]
fn document_types_and_their_bombs_are_refused() {
    let bomb = "<!DOCTYPE lolz [<!ENTITY lol 'lol'><!ENTITY lol2 '&lol;&lol;'>]><Event><a>&lol2;</a></Event>";
    refuse(bomb, "a document type or another declaration is not read at byte 0");
    refuse("<Event><System/><!DOCTYPE x></Event>", "a document type");
}

#[test]
fn depth_and_attributes_are_bounded() {
    let nested = |depth: usize| {
        let inner = "<a>".repeat(depth) + &"</a>".repeat(depth);
        format!("<Event><System/>{inner}</Event>")
    };
    assert!(visits(Part::Body, &nested(DEPTH_MAX - 1)).is_ok());
    refuse(&nested(DEPTH_MAX), "elements are nested more than 64 deep");
    refuse(&nested(1_000_000), "elements are nested more than 64 deep");
    let attributes = |count: usize| {
        let all: String = (0..count).map(|index| format!(" a{index}=''")).collect();
        format!("<Event><System/><a{all}/></Event>")
    };
    assert!(visits(Part::Body, &attributes(ATTRIBUTES_MAX)).is_ok());
    refuse(&attributes(ATTRIBUTES_MAX + 1), "an element has more than 256 attributes");
}

#[test]
fn bytes_that_are_not_utf8_are_refused_where_they_stand() {
    let parse = |text: &[u8]| {
        let mut visits = Visits::default();
        XmlEvent::parse(text)?.walk(Part::Body, &mut visits)
    };
    assert_eq!(parse(b"<Event><System><Level>\xff</Level></System></Event>").unwrap_err().at, 22);
    assert_eq!(parse(b"<Event><System/><a>\xc3</a></Event>").unwrap_err().at, 19);
    assert!(parse("<Event><System/><ä>ö</ä></Event>".as_bytes()).is_ok());
}

/// Quadratic work would take hours here.
#[test]
fn an_enormous_line_is_read_in_linear_time() {
    for (open, piece, close) in [
        ("<a>", "<b/>", "</a>"),
        ("<a>", "&#x20;", "</a>"),
        ("<EventData>", "<Data Name='A'>\\</Data>", "</EventData>"),
        ("<EventData>", "<!---->", "</EventData>"),
        ("<a>", "<b a='' a0='' b0=''/>", "</a>"),
        ("<a>", "<![CDATA[\r]]>", "</a>"),
        ("<a b='", "&lt;", "'/>"),
        ("<a>", "<", ""),
    ] {
        let mut text = format!("<Event><System/>{open}");
        text.push_str(&piece.repeat((2 << 20) / piece.len()));
        text.push_str(close);
        text.push_str("</Event>");
        if let Ok(event) = XmlEvent::parse(text.as_bytes()) {
            let _ = event.walk(Part::Body, &mut Ignore);
        }
    }
}
