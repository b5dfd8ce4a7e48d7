//! Writing against our own reader, and against crashes at every write.

use super::*;
use crate::event::Event;
use crate::event::text::{Place, xml_from_text};
use crate::event::xml::XmlEvent;
use crate::evtx::{CHUNK_BYTES, ChunkHeader, Decoder, FILE_HEADER_BYTES};
use proptest::prelude::*;
use std::convert::Infallible;
use std::ops::ControlFlow;

fn event(id: u64, text: &str) -> String {
    format!(
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='P'/>\
         <EventID>{}</EventID><EventRecordID>{id}</EventRecordID><Correlation/><Channel>C</Channel></System>\
         <EventData><Data Name='N{}'>{text}</Data></EventData></Event>",
        id % 7,
        id % 30,
    )
}

/// Record ids and texts of a log, in the order of the ids.
fn read(bytes: &[u8]) -> Vec<(u64, String)> {
    let (mut found, mut decoder) = (Vec::new(), Decoder::new());
    for chunk in bytes[FILE_HEADER_BYTES..].chunks(CHUNK_BYTES) {
        let _ = decoder.chunk(chunk, 512, |event| {
            let (event, mut xml) = (event.unwrap(), Vec::new());
            event.xml(&mut xml).unwrap();
            found.push((event.record_id(), String::from_utf8(xml).unwrap()));
            ControlFlow::Continue(())
        });
    }
    found.sort();
    found
}

/// A store that remembers every write, so that a crash can be put after each.
#[derive(Default)]
struct Recorded {
    bytes: Vec<u8>,
    writes: Vec<Write>,
}

#[derive(Clone)]
enum Write {
    At(u64, Vec<u8>),
    Truncate,
}

impl Store for Recorded {
    type Error = Infallible;

    fn bytes(&mut self) -> Result<u64, Infallible> {
        self.bytes.bytes()
    }

    fn read_at(&mut self, at: u64, into: &mut [u8]) -> Result<(), Infallible> {
        self.bytes.read_at(at, into)
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> Result<(), Infallible> {
        self.writes.push(Write::At(at, bytes.to_vec()));
        self.bytes.write_at(at, bytes)
    }

    fn truncate(&mut self, bytes: u64) -> Result<(), Infallible> {
        self.writes.push(Write::Truncate);
        Store::truncate(&mut self.bytes, bytes)
    }
}

/// Batches of events are synced; then one more batch is written and the machine dies: of its
/// writes, sectors of 512 bytes reached the disk or did not, in any combination. The events of the
/// synced batches are all there afterwards, once, and the log goes on.
fn crash(sizes: &[u16], last: &[u16], sectors: u64, wrap: bool) {
    let options = Options { chunks_max: if wrap { 3 } else { CHUNKS_MAX }, wrap, ..Options::default() };
    let mut store = Recorded::default();
    let mut log = LogWriter::create(options, &mut store).unwrap();
    let mut expected = Vec::new();
    for (index, size) in sizes.iter().chain(last).enumerate() {
        if index == sizes.len() {
            log.flush(&mut store).unwrap();
            store.writes.clear();
        }
        let text = event(index as u64 + 1, &"x".repeat(usize::from(*size)));
        log.push(&XmlEvent::parse(text.as_bytes()).unwrap(), 7, &mut store).unwrap();
        expected.push((index as u64 + 1, text));
        if index % 3 == 0 {
            log.flush(&mut store).unwrap();
        }
    }
    log.flush(&mut store).unwrap();
    let mut disk = before(&store, sizes.len(), options, &expected);
    let mut coin = sectors;
    for write in &store.writes {
        let Write::At(at, bytes) = write else { continue };
        for (index, sector) in bytes.chunks(512).enumerate() {
            coin = coin.rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            if coin >> 63 == 1 {
                disk.write_at(at + index as u64 * 512, sector).unwrap();
            }
        }
    }
    let below = sizes.len() as u64 + 1;
    let mut log = LogWriter::resume(options, &mut disk, Some(below)).unwrap();
    assert_eq!(log.next_record_id(), below);
    check(&read(&disk), &expected[..sizes.len()], wrap);
    for (id, text) in &expected[sizes.len()..] {
        let written = log.push(&XmlEvent::parse(text.as_bytes()).unwrap(), 7, &mut disk).unwrap();
        assert_eq!(written, *id);
    }
    log.close(&mut disk).unwrap();
    check(&read(&disk), &expected, wrap);
    for chunk in disk[FILE_HEADER_BYTES..].chunks(CHUNK_BYTES) {
        let Some(header) = ChunkHeader::parse(chunk) else { continue };
        let checks = header.checks(chunk);
        assert!(checks.header && checks.records);
    }
}

/// All events are there; a ring may have lost old ones, but keeps the newest.
#[track_caller]
fn check(found: &[(u64, String)], expected: &[(u64, String)], wrap: bool) {
    let ids = |events: &[(u64, String)]| events.iter().map(|(id, _)| *id).collect::<Vec<_>>();
    if wrap {
        assert_eq!(found.last().map(|(id, _)| *id), expected.last().map(|(id, _)| *id));
    } else {
        assert_eq!(ids(found), ids(expected));
    }
    for (id, text) in found {
        assert!(*text == expected[*id as usize - 1].1, "record {id} is another");
    }
}

/// The disk as it was when the synced batches were synced.
fn before(store: &Recorded, synced: usize, options: Options, events: &[(u64, String)]) -> Vec<u8> {
    let mut disk = Vec::new();
    let mut log = LogWriter::create(options, &mut disk).unwrap();
    for (index, (_, text)) in events[..synced].iter().enumerate() {
        log.push(&XmlEvent::parse(text.as_bytes()).unwrap(), 7, &mut disk).unwrap();
        if index % 3 == 0 {
            log.flush(&mut disk).unwrap();
        }
    }
    log.flush(&mut disk).unwrap();
    assert!(store.writes.iter().all(|write| matches!(write, Write::At(..))));
    disk
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn a_crash_costs_nothing_that_was_synced(
        sizes in prop::collection::vec(prop_oneof![0_u16..2000, 10_000_u16..30_000], 0..24),
        last in prop::collection::vec(prop_oneof![0_u16..2000, 10_000_u16..30_000], 1..6),
        sectors in any::<u64>(),
    ) {
        crash(&sizes, &last, sectors, false);
    }

    #[test]
    fn what_is_written_reads_the_same(
        texts in prop::collection::vec("[ -~\r\n\tÄ漢\u{1}\u{1f600}\u{fffd}]{0,40}", 1..6),
        name in "[A-Za-zÄ][A-Za-z0-9._é-]{0,20}",
        collector in any::<bool>(),
    ) {
        let mut body = String::new();
        for text in &texts {
            let escaped = |place| {
                let mut escaped = Vec::new();
                xml_from_text(text.as_bytes(), place, &mut escaped);
                String::from_utf8(escaped).unwrap()
            };
            let (attribute, content) = (escaped(Place::Attribute), escaped(Place::Content));
            body += &format!("<{name} a='{attribute}'>{content}</{name}>");
        }
        let text = format!("<Event xmlns='n'><System><EventID>1</EventID></System><UserData>{body}</UserData></Event>");
        let layout = if collector { Layout::Collector } else { Layout::Portable };
        let mut bytes = Vec::new();
        let mut log = LogWriter::create(Options { layout, ..Options::default() }, &mut bytes).unwrap();
        log.push(&XmlEvent::parse(text.as_bytes()).unwrap(), 7, &mut bytes).unwrap();
        log.close(&mut bytes).unwrap();
        // A line end is one however it was written: what is stored renders as the line end it is.
        let end = format!("></{name}>");
        let meant = |text: &str| text.replace(&end, "/>").replace("&#13;\n", "\n").replace("&#13;", "\n").replace("\r\n", "\n").replace('\r', "\n");
        prop_assert_eq!(meant(&read(&bytes)[0].1), meant(&text));
    }
}

#[test]
fn a_ring_survives_a_crash_while_it_wraps() {
    for seed in 0..200_u64 {
        let sizes: Vec<u16> = (0..12 + seed % 7).map(|index| (index * 1999 % 25_000) as u16).collect();
        crash(&sizes, &[20_000, 900, 25_000, 30], seed.wrapping_mul(0x2545_f491_4f6c_dd1d), true);
    }
}

#[test]
fn a_log_is_gone_on_with_where_it_ended() {
    let mut bytes = Vec::new();
    for start in [1_u64, 4, 7] {
        let mut log = LogWriter::resume(Options::default(), &mut bytes, None).unwrap();
        for id in start..start + 3 {
            let text = event(id, "y");
            assert_eq!(log.push(&XmlEvent::parse(text.as_bytes()).unwrap(), 7, &mut bytes).unwrap(), id);
        }
        if start == 4 { log.flush(&mut bytes).unwrap() } else { log.close(&mut bytes).unwrap() }
    }
    assert_eq!(read(&bytes), (1..10).map(|id| (id, event(id, "y"))).collect::<Vec<_>>());
}

#[test]
fn a_header_that_is_lost_is_made_again_from_the_records() {
    let mut bytes = Vec::new();
    let mut log = LogWriter::create(Options::default(), &mut bytes).unwrap();
    for id in 1..=5 {
        log.push(&XmlEvent::parse(event(id, "z").as_bytes()).unwrap(), 7, &mut bytes).unwrap();
    }
    log.flush(&mut bytes).unwrap();
    bytes[FILE_HEADER_BYTES..FILE_HEADER_BYTES + 512].fill(0xaa);
    let mut log = LogWriter::resume(Options::default(), &mut bytes, None).unwrap();
    assert_eq!(log.next_record_id(), 6);
    log.push(&XmlEvent::parse(event(6, "z").as_bytes()).unwrap(), 7, &mut bytes).unwrap();
    log.close(&mut bytes).unwrap();
    assert_eq!(read(&bytes).len(), 6);
}

#[test]
fn deep_nesting_and_other_peoples_files_are_refused() {
    let (open, close) = ("<a>".repeat(61), "</a>".repeat(61));
    let deep = |more: &str, end: &str| {
        format!(
            "<Event><System><EventID>1</EventID></System><UserData>{more}{open}{close}{end}</UserData></Event>"
        )
    };
    let mut chunk = ChunkWriter::new(Layout::Portable);
    let fits = deep("", "");
    assert_eq!(chunk.push(&XmlEvent::parse(fits.as_bytes()).unwrap(), 1, 1, 0), Ok(Pushed::Stored));
    let deeper = deep("<b><b>", "</b></b>");
    let deeper = XmlEvent::parse(deeper.as_bytes()).unwrap();
    assert!(chunk.push(&deeper, 2, 2, 0).is_err());
    let many = format!("<Event><System><EventID>1</EventID></System>{}</Event>", "<x>1</x>".repeat(700));
    assert_eq!(chunk.push(&XmlEvent::parse(many.as_bytes()).unwrap(), 2, 2, 0), Ok(Pushed::Stored));
    let mut other = b"%PDF-1.7 and more".to_vec();
    assert!(matches!(
        LogWriter::resume(Options::default(), &mut other, None),
        Err(ResumeError::NotALog { bytes: 17 })
    ));
    assert!(XmlEvent::parse(b"<Event/>").map_or(true, |event| event.header().event_id.is_absent()));
}

#[test]
fn a_nul_is_stored_as_a_replacement_character_and_hides_nothing() {
    let hostile = "<Event a='x\0y'><System b='\0z'><EventID>1</EventID></System>\0top\
                   <UserData><e c='\0'>\0stray</e><f>\0</f>é\0é</UserData></Event>";
    for layout in [Layout::Portable, Layout::Collector] {
        let mut chunk = ChunkWriter::new(layout);
        let event = XmlEvent::parse(hostile.as_bytes()).unwrap();
        assert_eq!(chunk.push(&event, 1, 1, 0), Ok(Pushed::Stored));
        let mut seen = Vec::new();
        let _ = Decoder::new().chunk(chunk.finish(), 0, |again| {
            again.unwrap().xml(&mut seen).unwrap();
            ControlFlow::Continue(())
        });
        assert_eq!(String::from_utf8(seen).unwrap(), hostile.replace('\0', "\u{fffd}"), "{layout:?}");
    }
}
