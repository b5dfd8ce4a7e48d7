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
        let walk = |visitor| Walk { store: &store, chunk, visitor, budget: WALKED_BYTES_MAX, fragments: 0 };
        let span = event.span();
        let mut cursor = Cursor::new(chunk, span.start + 24..span.end - 4);
        let walked = walk(&mut long).tokens(&mut cursor, Until::Element);
        assert_eq!(event.walk(Part::Whole, &mut quick).is_ok(), walked.is_ok());
        if walked.is_ok() {
            assert_eq!(quick.0, long.0);
        }
        let cursor = Cursor::new(chunk, span.start + 28..span.end - 4);
        if let Some(head) = Usual::new(&store.names, chunk, &cursor).head(&mut Vec::new()) {
            let mut builder = HeaderBuilder::new(&store);
            let mut walk =
                Walk { store: &store, chunk, visitor: &mut builder, budget: 1 << 20, fragments: 0 };
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
        reader.head(&mut Vec::new()).unwrap();
        reader.expect([token::OPEN]).unwrap();
        reader.opened(known::EVENT_DATA).unwrap();
        let mut list = DataList::default();
        usual.push(reader.event_data(&store.labels, &mut list).map(|()| list.labels.len()));
        ControlFlow::Continue(())
    });
    assert_eq!(usual, [Some(3), Some(2), None, None, Some(0)]);
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
