//! Any bytes as an event's XML, alone and inside of an event: what is read is read alike by
//! quick-xml, is written as canonical XML that reads the same, on one line that stays well formed
//! if asked, and takes bounded room in every format; filters never panic.
#![no_main]

#[path = "../../tests/peers/quick.rs"]
#[allow(dead_code)]
mod quick;

use forebay::event::canonical::XmlWriter;
use forebay::event::{Event, Part, Timestamp, XmlEvent};
use forebay::filter::FilterConfig;
use forebay::format::{Format, FormatConfig, Meta, ecs, xml};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The inside of an event, so that mutations need not find the frame first.
    let framed = [b"<Event><System><EventID>1</EventID></System>", data, b"</Event>"].concat();
    for text in [data, &framed] {
        read(text);
    }
});

fn read(text: &[u8]) {
    let Ok(event) = XmlEvent::parse(text) else { return };
    let mut json = FormatConfig { json: Some(Default::default()), ..FormatConfig::default() }.open().expect("a format");
    let first = written(&mut json, &event);
    assert_eq!(first, written(&mut json, &event), "a scratch that was used");
    if let Some(first) = &first {
        assert!(first.len() <= 8 * text.len() + 1024, "{} of {}", first.len(), text.len());
        serde_json::from_str::<serde_json::Value>(first).expect("valid JSON");
        if let Ok(peer) = quick::QuickEvent::parse(text)
            && let Some(theirs) = written(&mut json, &peer)
        {
            assert_eq!(first, &theirs);
        }
        rewritten(text, &event, first, &mut json);
    }
    others(text, &event);
    let expression = "*[System[EventID=1 and band(Keywords,3)] or EventData[Data[@Name='a']='b']]";
    let filter = FilterConfig { xpath: Some(expression.into()), ..FilterConfig::default() };
    let _ = filter.compile().expect("an expression that is right").keeps(&event, Timestamp(0));
}

/// What is written as XML reads as the same event.
fn rewritten(text: &[u8], event: &XmlEvent<'_>, json: &str, format: &mut Format) {
    let mut canonical = Vec::new();
    event.walk(Part::Whole, &mut XmlWriter::new(&mut canonical)).expect("it was walked before");
    let again = XmlEvent::parse(&canonical).expect("canonical XML is well formed");
    let again = written(format, &again).expect("canonical XML is well formed");
    let mut line = Vec::new();
    let mut one_line = FormatConfig { xml: Some(xml::Config::default()), ..FormatConfig::default() }.open().expect("a format");
    one_line.event(event, &Meta::default(), &mut line).expect("text is passed on");
    assert!(!line.contains(&b'\n') && !line.contains(&b'\r'), "more than one line");
    let on_a_line = XmlEvent::parse(&line).expect("it stays well formed");
    let on_a_line = written(format, &on_a_line).expect("it stays well formed");
    // White space beside a comment is text until elements follow, and without the comment it is
    // layout.
    let has = |needle: &[u8]| text.windows(needle.len()).any(|window| window == needle);
    if !(has(b"<!") || has(b"<?")) {
        assert_eq!(again, json);
        // A reference keeps the CR of a line end, which the character does not outlive.
        if !text.contains(&b'\r') {
            assert_eq!(on_a_line, json);
        }
    }
}

fn others(text: &[u8], event: &XmlEvent<'_>) {
    let config = FormatConfig { ecs: Some(ecs::Config::default()), ..FormatConfig::default() };
    if let Some(ecs) = written(&mut config.open().expect("a format"), event) {
        // Names of outer elements stand before those inside, up to 256 bytes of them.
        assert!(ecs.len() <= 64 * text.len() + 4096, "{} of {}", ecs.len(), text.len());
        serde_json::from_str::<serde_json::Value>(&ecs).expect("valid JSON");
    }
}

fn written<'a>(format: &mut Format, event: &impl Event<'a>) -> Option<String> {
    let mut out = Vec::new();
    match format.event(event, &Meta::default(), &mut out) {
        Ok(()) => Some(String::from_utf8(out).expect("JSON is UTF-8")),
        Err(_) => {
            assert!(out.is_empty(), "what failed leaves nothing behind");
            None
        }
    }
}
