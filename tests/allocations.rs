//! What is promised to allocate nothing per event once its buffers have grown is counted here, by
//! an allocator that counts for the thread that asks.

use crate::corpus;
use forebay::event::{Origin, Timestamp, XmlEvent};
use forebay::evtx::{CHUNK_BYTES, Decoder, FILE_HEADER_BYTES};
use forebay::filter::FilterConfig;
use forebay::format::{FormatConfig, Meta};
use forebay::wsman::{Message, Request};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::ControlFlow;

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

fn note() {
    // A thread that is ending has no counter any more, and nobody asks for it.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

#[expect(unsafe_code, reason = "an allocator can be written in no other way")]
// SAFETY: every call is passed on to the system's allocator as it came; counting touches a
// thread-local number that needs no allocation and has no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const FILTERS: [&str; 4] = [
    "drop = [{ channel = 'security', id = [5156, '4700-4799'] }, { computer = 'dc*.example.org' }]",
    "xpath = '*[System[(Level<=3) or (EventID=4625 and Provider/@Name and band(Keywords,0x10))]]'",
    "xpath = \"*[EventData[Data[@Name='LogonType']=3 or Data='S-1-5-18' or Data[@Name='a']!='b']]\"",
    "select = { channel = 'Security', xpath = \"*[UserData/*/*='x' or System/TimeCreated[timediff(@SystemTime)<5]]\" }",
];

/// Events as text and chunks of a log, of the kinds that come most.
fn inputs() -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let mut logs = Vec::new();
    for name in ["security", "forwarded", "mixed"] {
        logs.push(std::fs::read(corpus().join("evtx/bench").join(name).with_extension("evtx")).ok()?);
    }
    let (mut text, mut events) = (Vec::new(), Vec::new());
    let mut decoder = Decoder::new();
    for chunk in logs.iter().flat_map(|log| log[FILE_HEADER_BYTES..].chunks(CHUNK_BYTES).take(8)) {
        let _ = decoder.chunk(chunk, 0, |event| {
            text.clear();
            event.expect("a record of a good log").xml(&mut text).expect("its XML");
            events.push(text.clone());
            ControlFlow::Continue(())
        });
    }
    Some((logs.swap_remove(1)[FILE_HEADER_BYTES..][..CHUNK_BYTES].to_vec(), events))
}

/// Allocations of the second pass over the same input.
#[track_caller]
fn none(what: &str, mut pass: impl FnMut()) {
    pass();
    let before = COUNT.get();
    pass();
    assert_eq!(COUNT.get() - before, 0, "{what} allocates");
}

#[test]
fn filters_and_formats_allocate_nothing_per_event() {
    let Some((chunk, events)) = inputs() else {
        println!("SKIP filters_and_formats_allocate_nothing_per_event: there is no corpus");
        return;
    };
    assert!(events.len() > 500);
    let parsed: Vec<_> = events.iter().map(|text| XmlEvent::parse(text).unwrap()).collect();
    for filter in FILTERS {
        let config: FilterConfig = toml::from_str(filter).unwrap();
        let mut filter_ = config.compile().unwrap();
        none(filter, || {
            for event in &parsed {
                filter_.keeps(event, Timestamp(0)).unwrap();
            }
        });
        let (mut filter_, mut decoder) = (config.compile().unwrap(), Decoder::new());
        none(&format!("{filter} on BinXML"), || {
            let _ = decoder.chunk(&chunk, 0, |event| {
                filter_.keeps(&event.unwrap(), Timestamp(0)).unwrap();
                ControlFlow::Continue(())
            });
        });
    }
    let origin = Origin {
        source: "dc".into(),
        host: None,
        address: None,
        subscription: None,
        file: Some("a".into()),
        received: Timestamp(1),
    };
    let meta = Meta { origin: Some(&origin), ..Meta::default() };
    for format in ["json = {}", "xml = {}", "ecs = {}", "ecs.original = true"] {
        let config: FormatConfig = toml::from_str(format).unwrap();
        let (mut format_, mut out) = (config.open().unwrap(), Vec::new());
        none(format, || {
            for event in &parsed {
                out.clear();
                format_.event(event, &meta, &mut out).unwrap();
            }
        });
    }
}

/// A delivery of ours with its event so many times.
fn delivery(events: usize) -> String {
    let text = include_str!("../src/wsman/testdata/messages/events.xml");
    let (from, to) = (text.find("<w:Event ").unwrap(), text.find("</w:Event>").unwrap() + "</w:Event>".len());
    let end = text.find("</w:Events>").unwrap();
    format!("{}{}{}", &text[..from], text[from..to].repeat(events), &text[end..])
}

#[test]
fn events_of_a_delivery_are_found_without_allocating_for_each() {
    let count = |events: usize| {
        let text = delivery(events);
        let before = COUNT.get();
        let request = Request::parse(&text).unwrap();
        let allocations = COUNT.get() - before;
        let Message::Events(found) = request.message else { panic!("{:?}", request.message) };
        assert_eq!(found.ranges.len(), events);
        allocations
    };
    // The list of ranges grows by doubling: from 4 to 1024 in eight steps.
    assert_eq!(count(1000) - count(4), 8);
}
