//! Event XPath from anywhere: parsing never panics, what is parsed is written and read back the
//! same, and every refusal points into the text. On an event, System answers the same from the
//! header and from the walk that an odd header needs, the body the same from XML and from BinXML,
//! and what reads only the header does not mind a body that cannot be read.
#![no_main]

use forebay::event::{Event, EventError, Timestamp, XmlEvent};
use forebay::evtx::Decoder;
use forebay::evtx::write::{ChunkWriter, Layout};
use forebay::filter::XPath;
use forebay::filter::xpath::Scratch;
use libfuzzer_sys::fuzz_target;
use std::ops::ControlFlow;

const EVENTS: [&str; 2] = [
    "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='P' Guid='{54849625-5478-4994-A5BA-3E3B0328C30D}'/><EventID Qualifiers='0'>4624</EventID><Level>0</Level><Keywords>0x8020000000000000</Keywords><TimeCreated SystemTime='2019-03-29T21:10:40.380542600Z'/><EventRecordID>1542</EventRecordID><Correlation/><Channel>Security</Channel><Security UserID='S-1-5-18'/></System><EventData><Data Name='A'>1</Data><Data>a &amp; b</Data><Data/></EventData></Event>",
    "<Event><System><Foo>7</Foo><EventID>1</EventID><EventID>2</EventID></System><UserData><n:Log xmlns:n='u' Kind='k'><Note>one<br/>two</Note></n:Log></UserData></Event>",
];

/// System of the first, and a body that ends too early.
const CUT: &str = "<Event><System><EventID>4624</EventID><Level>2</Level></System><EventData><Data>1</Event>";

fuzz_target!(|text: &str| {
    match XPath::parse(text) {
        Ok(xpath) => {
            let written = xpath.to_string();
            assert_eq!(XPath::parse(&written).as_ref(), Ok(&xpath), "{written}");
            xpath.warnings();
            EVENTS.iter().for_each(|event| ask(&xpath, event));
            let cut = XmlEvent::parse(CUT.as_bytes()).expect("its System is whole");
            let answer = selects(&xpath, &cut);
            assert!(answer.is_ok() || !xpath.reads_header_only(), "{written}");
        }
        Err(error) => assert!(error.at + error.bytes <= text.len()),
    }
});

fn ask(xpath: &XPath, text: &str) {
    let event = XmlEvent::parse(text.as_bytes()).expect("an event");
    let answer = selects(xpath, &event);
    assert!(answer.is_ok(), "{xpath}");
    // An attribute that Windows does not write makes the header odd, and no step reaches it.
    let odd = text.replacen("<Event", "<Event odd=''", 1);
    let odd = XmlEvent::parse(odd.as_bytes()).expect("an event");
    assert!(odd.header().odd);
    assert_eq!(selects(xpath, &odd), answer, "{xpath}");
    let mut chunk = ChunkWriter::new(Layout::Collector);
    chunk.push(&event, 1, 1, 0).expect("it is small");
    let _ = Decoder::new().chunk(chunk.finish(), 0, |stored| {
        assert_eq!(selects(xpath, &stored.expect("a record of our own")), answer, "{xpath}");
        ControlFlow::Continue(())
    });
}

/// Twice, the second time with a scratch that was used.
fn selects<'a>(xpath: &XPath, event: &impl Event<'a>) -> Result<bool, EventError> {
    let mut scratch = Scratch::default();
    let first = xpath.selects(event, Timestamp(0), &mut scratch);
    assert_eq!(xpath.selects(event, Timestamp(0), &mut scratch), first);
    first
}
