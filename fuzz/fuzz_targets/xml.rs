//! Any bytes as an event's XML: no panic, bounded work, valid JSON, the same JSON each time the
//! writer's scratch is used again, and filters that never panic.
#![no_main]

use forebay::event::{Event, Timestamp, XmlEvent};
use forebay::filter::FilterConfig;
use forebay::format::{FormatConfig, Meta};
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
    let header = event.header();
    let (mut channel, mut escaped) = (Vec::new(), Vec::new());
    header.channel.write_text(&mut channel);
    header.channel.write_json(&mut escaped);
    let config = FormatConfig { json: Some(Default::default()), ..FormatConfig::default() };
    let mut json = config.open().expect("the native format");
    let (mut first, mut second) = (Vec::new(), Vec::new());
    if json.event(&event, &Meta::default(), &mut first).is_ok() {
        serde_json::from_slice::<serde_json::Value>(&first).expect("valid JSON");
        json.event(&event, &Meta::default(), &mut second).expect("as the first time");
        assert_eq!(first, second);
    } else {
        assert!(first.is_empty(), "what failed leaves nothing behind");
    }
    let expression = "*[System[EventID=1 and band(Keywords,3)] or EventData[Data[@Name='a']='b']]";
    let filter = FilterConfig { xpath: Some(expression.into()), ..FilterConfig::default() };
    let _ = filter.compile().expect("an expression that is right").keeps(&event, Timestamp(0));
}
