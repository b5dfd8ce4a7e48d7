//! What is promised to allocate nothing per event once its buffers have grown is counted here, by
//! an allocator that counts for the thread that asks.

use crate::corpus;
use forebay::event::{Origin, Timestamp, XmlEvent};
use forebay::evtx::{BinXmlEvent, CHUNK_BYTES, Decoder, FILE_HEADER_BYTES};
use forebay::filter::FilterConfig;
use forebay::format::{FormatConfig, Meta};
use forebay::kerberos::seal::{ContextKey, Role, Sealer};
use forebay::kerberos::{Etype, Key};
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

const FORMATS: [&str; 21] = [
    "json = {}",
    "xml = {}",
    "ecs = {}",
    "ecs.original = true",
    "splunk.fields = ['source', 'host', 'address', 'subscription', 'file', 'id']",
    "splunk = { event = 'json', host = 'short' }",
    "snare = {}",
    "cef = {}",
    "cef.severity = 'numbers'",
    "leef = {}",
    "leef.delimiter = '^'",
    "ocsf = {}",
    "ocsf.raw_data = true",
    "sentinel = {}",
    "sentinel.table = 'SecurityEvent'",
    "openwec = {}",
    "nxlog = {}",
    "nxlog.edition = 'community'",
    "nxlog.original = true",
    "flat = {}",
    "flat.original = true",
];

/// Logs of the kinds that come most, and whether their records are instances of templates.
const LOGS: [(&str, bool); 3] = [("security", true), ("mixed", true), ("forwarded", false)];

/// Enough of each log that every buffer grows and every template is met.
const CHUNKS_PER_LOG: usize = 8;

type Chunks = Vec<Vec<u8>>;

/// Chunks of each log.
fn logs(test: &str) -> Option<Vec<(&'static str, Chunks)>> {
    let mut logs = Vec::new();
    for (name, templated) in LOGS {
        let path = corpus().join("evtx/bench").join(name).with_extension("evtx");
        let Ok(bytes) = std::fs::read(&path) else {
            println!("SKIP {test}: there is no {}", path.display());
            return None;
        };
        let chunks: Chunks =
            bytes[FILE_HEADER_BYTES..].chunks(CHUNK_BYTES).take(CHUNKS_PER_LOG).map(<[u8]>::to_vec).collect();
        // Behind the chunk's and the record's header and a fragment header, a template instance.
        assert_eq!(chunks[0][512 + 24 + 4] == 0x0c, templated, "{name}");
        logs.push((name, chunks));
    }
    Some(logs)
}

/// The events of a log as text.
fn texts(chunks: &Chunks) -> Vec<Vec<u8>> {
    let (mut events, mut decoder) = (Vec::new(), Decoder::new());
    for chunk in chunks {
        let _ = decoder.chunk(chunk, 0, |event| {
            let mut text = Vec::new();
            event.expect("a record of a good log").xml(&mut text).expect("its XML");
            events.push(text);
            ControlFlow::Continue(())
        });
    }
    assert!(events.len() > 200);
    events
}

/// Shows `look` each event of the log.
fn each_binxml(decoder: &mut Decoder, chunks: &Chunks, mut look: impl FnMut(&BinXmlEvent<'_>)) {
    for chunk in chunks {
        let _ = decoder.chunk(chunk, 0, |event| {
            look(&event.expect("a record of a good log"));
            ControlFlow::Continue(())
        });
    }
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
fn filters_allocate_nothing_per_event() {
    let Some(logs) = logs("filters_allocate_nothing_per_event") else { return };
    for (log, chunks) in &logs {
        let (events, mut decoder) = (texts(chunks), Decoder::new());
        for written in FILTERS {
            let config: FilterConfig = toml::from_str(written).unwrap();
            let mut filter = config.compile().unwrap();
            none(&format!("{written} on the XML of {log}"), || {
                for text in &events {
                    filter.rejects(text);
                    filter.keeps(&XmlEvent::parse(text).unwrap(), Timestamp(0)).unwrap();
                }
            });
            let mut filter = config.compile().unwrap();
            none(&format!("{written} on the BinXML of {log}"), || {
                each_binxml(&mut decoder, chunks, |event| {
                    filter.keeps(event, Timestamp(0)).unwrap();
                });
            });
        }
    }
}

#[test]
fn formats_allocate_nothing_per_event() {
    let Some(logs) = logs("formats_allocate_nothing_per_event") else { return };
    let origin = Origin {
        source: "dc".into(),
        host: None,
        address: None,
        subscription: None,
        file: Some("a".into()),
        received: Timestamp(1),
    };
    let meta = Meta { origin: Some(&origin), ..Meta::default() };
    for (log, chunks) in &logs {
        let (events, mut decoder) = (texts(chunks), Decoder::new());
        for written in FORMATS {
            let config: FormatConfig = toml::from_str(written).unwrap();
            let (mut format, mut out) = (config.open().unwrap(), Vec::new());
            none(&format!("{written} from the XML of {log}"), || {
                for text in &events {
                    out.clear();
                    format.event(&XmlEvent::parse(text).unwrap(), &meta, &mut out).unwrap();
                }
            });
            let (mut format, mut out) = (config.open().unwrap(), Vec::new());
            none(&format!("{written} from the BinXML of {log}"), || {
                each_binxml(&mut decoder, chunks, |event| {
                    out.clear();
                    format.event(event, &meta, &mut out).unwrap();
                });
            });
        }
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

#[test]
fn sealed_messages_are_opened_and_sealed_where_they_lie() {
    for (etype, bytes) in [
        (Etype::AES128_SHA1, 16),
        (Etype::AES256_SHA1, 32),
        (Etype::AES128_SHA256, 16),
        (Etype::AES256_SHA384, 32),
    ] {
        let key = ContextKey { key: Key::new(etype, &vec![7; bytes]), is_of_acceptor: true };
        let mut client = Sealer::new(&key, Role::Initiator, 0, Some(0)).unwrap();
        let mut server = Sealer::new(&key, Role::Acceptor, 0, Some(0)).unwrap();
        let mut message = vec![b'x'; 100_001];
        none(&format!("{etype}"), || {
            let signature = client.seal([1; 16], &mut message);
            assert_eq!(server.unseal(&signature, &mut message), Ok(message.len()));
        });
    }
}
