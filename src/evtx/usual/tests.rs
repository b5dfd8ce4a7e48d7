//! The usual form against the long way, over records as collectors store them and over changed ones.

use super::*;
use crate::event::xml::XmlEvent;
use crate::event::{Event, Header, Part, Value, Visitor};
use crate::evtx::decoder::Store;
use crate::evtx::system::{self, HeaderBuilder};
use crate::evtx::walk::{Until, WALKED_BYTES_MAX, Walk};
use crate::evtx::write::{Layout, LogWriter, Options};
use crate::evtx::{CHUNK_BYTES, Decoder, FILE_HEADER_BYTES};
use proptest::prelude::*;
use std::ops::ControlFlow;

/// Everything that is visited, as text.
#[derive(Default)]
struct Trace(String);

impl<'a> Visitor<'a> for Trace {
    fn start(&mut self, name: &'a [u8]) {
        self.0 += &format!("<{}>", String::from_utf8_lossy(name));
    }

    fn attribute(&mut self, name: &'a [u8], value: Value<'a>) {
        self.0 += &format!("@{}=", String::from_utf8_lossy(name));
        self.text(value);
    }

    fn text(&mut self, value: Value<'a>) {
        let mut text = Vec::new();
        value.write_text(&mut text);
        self.0 += &String::from_utf8_lossy(&text);
    }

    fn end(&mut self) {
        self.0 += "</>";
    }
}

const DATA: [&str; 8] = [
    "<Data Name='SubjectUserSid'>S-1-5-18</Data>",
    "<Data Name='SubjectUserName'></Data>",
    "<Data Name='Größe'>1</Data>",
    "<Data Name='a'>x &amp; y</Data>",
    "<Data>unnamed</Data>",
    "<Data Name='LogonType' Type='b'>3</Data>",
    "<Data Name='ProcessName'>C:\\Windows\\System32\\svchost.exe</Data>",
    "<Binary>00</Binary>",
];

/// A chunk of these lists of Data as a collector stores it.
fn chunk(lists: &[Vec<usize>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let options = Options { layout: Layout::Collector, ..Options::default() };
    let mut log = LogWriter::create(options, &mut bytes).unwrap();
    for (list, id) in lists.iter().zip(1..) {
        let data: String = list.iter().map(|&index| DATA[index]).collect();
        let qualifiers = if id % 3 == 0 { " Qualifiers='16384'" } else { "" };
        let text = format!(
            "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>\
             <Provider Name='P' Guid='{{0}}'/><EventID{qualifiers}>{id}</EventID><Version></Version>\
             <Level>0</Level><TimeCreated SystemTime='2021-05-03T08:58:38.742567500Z'/>\
             <EventRecordID>{id}</EventRecordID><Correlation/><Execution ProcessID='4' ThreadID='8'/>\
             <Channel>C</Channel><Computer>c.example</Computer><Security UserID='S-1-5-18'/></System>\
             <EventData>{data}</EventData></Event>"
        );
        log.push(&XmlEvent::parse(text.as_bytes()).unwrap(), 0, &mut bytes).unwrap();
    }
    log.close(&mut bytes).unwrap();
    bytes.split_off(FILE_HEADER_BYTES)
}

/// What a header says, field by field.
fn texts(mut header: Header<'_>) -> (u32, bool, Vec<Option<String>>) {
    let fields = MEANINGS.iter().flat_map(|meaning| {
        [meaning.element.and_then(|(_, text)| text), meaning.attribute.map(|(_, field)| field)]
    });
    let text = |field| {
        let (value, mut text) = (*system::field(&mut header, field), Vec::new());
        value.write_text(&mut text);
        (!value.is_absent()).then(|| String::from_utf8_lossy(&text).into_owned())
    };
    let texts = fields.flatten().map(text).collect();
    (header.seen.0, header.odd, texts)
}

/// Reads a chunk both ways; how many records were of the usual form.
fn compare(chunk: &[u8]) -> usize {
    let mut usual = 0;
    let store = Store::default();
    store.labels.refuse();
    let _ = Decoder::new().chunk(chunk, 0, |event| {
        let Ok(event) = event else { return ControlFlow::Continue(()) };
        let (mut quick, mut long) = (Trace::default(), Trace::default());
        let walk = |visitor| Walk {
            store: &store,
            chunk,
            visitor,
            budget: WALKED_BYTES_MAX,
            fragments: 0,
            event_id: 0,
        };
        let span = event.span();
        let mut cursor = Cursor::new(chunk, span.start + 24..span.end - 4);
        let walked = walk(&mut long).tokens(&mut cursor, Until::Element);
        assert_eq!(event.walk(Part::Whole, &mut quick).is_ok(), walked.is_ok());
        if walked.is_ok() {
            assert_eq!(quick.0, long.0);
        }
        let cursor = Cursor::new(chunk, span.start + 28..span.end - 4);
        if let Some(head) =
            Usual::new(&store.names, chunk, &cursor).head(&mut Vec::new(), &mut Layouts::default())
        {
            let mut builder = HeaderBuilder::new(&store);
            let mut walk = Walk {
                store: &store,
                chunk,
                visitor: &mut builder,
                budget: 1 << 20,
                fragments: 0,
                event_id: 0,
            };
            let mut cursor = Cursor { at: head.system, ..cursor };
            walk.tokens(&mut cursor, Until::Element).unwrap();
            assert_eq!((cursor.at, texts(builder.finish().unwrap())), (head.rest, texts(*event.header())));
            usual += 1;
        }
        ControlFlow::Continue(())
    });
    usual
}

#[test]
fn what_collectors_write_is_usual() {
    assert_eq!(compare(&chunk(&vec![vec![0, 1, 6]; 30])), 30);
    let bytes = chunk(&[vec![0, 1, 6], vec![0, 6], vec![0, 1, 0], vec![4], vec![]]);
    let mut decoder = Decoder::new();
    let store = Store::default();
    let mut usual = Vec::new();
    let _ = decoder.chunk(&bytes, 0, |event| {
        let span = event.unwrap().span();
        let cursor = Cursor::new(&bytes, span.start + 28..span.end - 4);
        let mut reader = Usual::new(&store.names, &bytes, &cursor);
        reader.head(&mut Vec::new(), &mut Layouts::default()).unwrap();
        reader.expect([token::OPEN]).unwrap();
        reader.opened(known::EVENT_DATA).unwrap();
        let mut list = DataList::default();
        usual.push(reader.event_data(&store.labels, &mut list).map(|()| list.labels.len()));
        ControlFlow::Continue(())
    });
    assert_eq!(usual, [Some(3), Some(2), None, None, Some(0)]);
}

/// Starts and ends of the events in a chunk.
fn spans(chunk: &[u8]) -> Vec<(usize, usize)> {
    let mut spans = Vec::new();
    let _ = Decoder::new().chunk(chunk, 0, |event| {
        let span = event.unwrap().span();
        spans.push((span.start + 28, span.end - 4));
        ControlFlow::Continue(())
    });
    spans
}

/// The head of an event with its fields, and by which layouts it may be read.
fn head(names: &Names, chunk: &[u8], (start, end): (usize, usize), layouts: &mut Layouts) -> Fields {
    let mut slots = Vec::new();
    let mut reader = Usual::new(names, chunk, &Cursor::new(chunk, start..end));
    let head = reader.head(&mut slots, layouts)?;
    Some((head, slots))
}

type Fields = Option<(Head, Vec<Slot>)>;

#[test]
fn a_head_that_compares_equal_is_read_as_it_would_be_token_by_token() {
    let mut bytes = chunk(&vec![vec![0]; 6]);
    let spans = spans(&bytes);
    let mut layouts = Layouts::default();
    let mut quick = |bytes: &[u8], (start, end): (usize, usize)| {
        let mut slots = [NOTHING; FIELDS];
        let read = layouts.read(bytes, start..end, &mut slots).map(|head| (head, slots.to_vec()));
        assert!(read.is_some() || slots == [NOTHING; FIELDS]);
        if read.is_none() {
            head(&Names::default(), bytes, (start, end), &mut layouts);
        }
        read
    };
    let known: Vec<_> = spans.iter().map(|&span| quick(&bytes, span)).collect();
    // Names stand in the first event, and one more in the third: these are no layouts.
    assert_eq!(
        known.iter().map(Option::is_some).collect::<Vec<_>>(),
        [false, false, false, true, true, false]
    );
    let (start, end) = spans[4];
    let mut equal = 0;
    for at in start..known[4].as_ref().unwrap().0.rest {
        let before = bytes[at];
        for byte in [0, 1, 2, 4, 5, 0x41, before ^ 1, before.wrapping_add(1), 0xff] {
            bytes[at] = byte;
            let mut slots = [NOTHING; FIELDS];
            if let Some(read) = layouts.read(&bytes, start..end, &mut slots) {
                let plain = head(&Names::default(), &bytes, (start, end), &mut Layouts::default());
                assert_eq!(Some((read, slots.to_vec())), plain, "byte {at} is {byte}");
                equal += 1;
            }
        }
        bytes[at] = before;
    }
    assert!(equal > 1000, "{equal}");
}

#[test]
fn zeros_are_no_data() {
    let mut bytes = vec![token::CLOSE_START];
    bytes.extend([0; 20]);
    bytes.extend([1, 0, b'a', 0, token::CLOSE_START, token::VALUE, kind::STRING, 0, 0, token::CLOSE]);
    bytes.push(token::CLOSE);
    let store = Store::default();
    let mut reader = Usual::new(&store.names, &bytes, &Cursor::new(&bytes, 0..bytes.len()));
    assert_eq!(reader.event_data(&store.labels, &mut DataList::default()), None);
}

proptest! {
    /// Bytes of a record are changed, tokens and offsets mostly, and both ways still agree.
    #[test]
    fn the_quick_way_reads_what_the_long_way_reads(
        lists in prop::collection::vec(prop::collection::vec(0..DATA.len(), 0..6), 1..4),
        changes in prop::collection::vec((512..8192_usize, any::<u8>(), any::<bool>()), 0..4),
    ) {
        // What comes again is read by its form.
        let lists = [&lists[..], &lists[..], &lists[..]].concat();
        let mut bytes = chunk(&lists);
        prop_assert_eq!(compare(&bytes), lists.len());
        for (at, byte, small) in changes {
            bytes[at] = if small { byte % 0x10 } else { byte };
        }
        compare(&bytes[..CHUNK_BYTES]);
    }
}
