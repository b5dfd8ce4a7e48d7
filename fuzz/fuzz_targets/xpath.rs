//! Event XPath from anywhere: parsing never panics, what is parsed is written and read back the
//! same, every refusal points into the text, and no expression panics on an event.
#![no_main]

use forebay::event::Timestamp;
use forebay::event::xml::XmlEvent;
use forebay::filter::XPath;
use forebay::filter::xpath::Scratch;
use libfuzzer_sys::fuzz_target;

const EVENTS: [&str; 3] = [
    "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='P' Guid='{54849625-5478-4994-A5BA-3E3B0328C30D}'/><EventID Qualifiers='0'>4624</EventID><Level>0</Level><Keywords>0x8020000000000000</Keywords><TimeCreated SystemTime='2019-03-29T21:10:40.380542600Z'/><EventRecordID>1542</EventRecordID><Correlation/><Channel>Security</Channel><Security UserID='S-1-5-18'/></System><EventData><Data Name='A'>1</Data><Data>a &amp; b</Data><Data/></EventData></Event>",
    "<Event><System><Foo>7</Foo><EventID>1</EventID><EventID>2</EventID></System><UserData><n:Log xmlns:n='u' Kind='k'><Note>one<br/>two</Note></n:Log></UserData></Event>",
    "<Event><EventData><Data>1</Event>",
];

fuzz_target!(|text: &str| {
    match XPath::parse(text) {
        Ok(xpath) => {
            let written = xpath.to_string();
            assert_eq!(XPath::parse(&written).as_ref(), Ok(&xpath), "{written}");
            xpath.warnings();
            let mut scratch = Scratch::default();
            for event in EVENTS {
                if let Ok(event) = XmlEvent::parse(event.as_bytes()) {
                    let first = xpath.selects(&event, Timestamp(0), &mut scratch);
                    assert_eq!(xpath.selects(&event, Timestamp(0), &mut scratch), first);
                }
            }
        }
        Err(error) => assert!(error.at + error.bytes <= text.len()),
    }
});
