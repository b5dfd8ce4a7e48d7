//! A chunk of any bytes: no panic, bounded output, the same JSON, ECS and filter's answers from
//! BinXML and from the XML it is rendered to, and from the record that our own writer makes of it.
//! The first byte says whether the rest is a chunk or the BinXML of a record, which is put where
//! the reader looks, so that mutations reach its inside.
#![no_main]

use forebay::event::{Event, Timestamp, XmlEvent};
use forebay::evtx::write::{ChunkWriter, Layout, Pushed};
use forebay::evtx::{BinXmlEvent, CHUNK_BYTES, Decoder, FileHeader};
use forebay::filter::{Filter, FilterConfig};
use forebay::format::{Format, FormatConfig, Meta, ecs, json};
use libfuzzer_sys::fuzz_target;
use std::ops::ControlFlow;

fuzz_target!(|data: &[u8]| {
    let Some((how, data)) = data.split_first() else { return };
    let _ = FileHeader::parse(data);
    let mut chunk = if how % 2 == 0 { framed(data) } else { data.to_vec() };
    chunk.resize(CHUNK_BYTES, 0);
    let mut views = [View::new(), View::new(), View::new()];
    let mut budget: usize = 64 << 20;
    let _ = Decoder::new().chunk(&chunk, 0, |event| {
        let Ok(event) = event else { return ControlFlow::Continue(()) };
        budget = budget.saturating_sub(compare(&event, &mut views));
        if budget == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
});

/// What formats and a filter make of an event.
struct View {
    json: Format,
    ecs: Format,
    filter: Filter,
}

impl View {
    fn new() -> Self {
        let json = FormatConfig { json: Some(json::Config::default()), ..FormatConfig::default() };
        let ecs = FormatConfig { ecs: Some(ecs::Config::default()), ..FormatConfig::default() };
        let xpath = "*[System[EventID>1 or Level/@*] or EventData[Data[@Name]!='x' and Data>5] or UserData/*/*/text()]";
        let filter = FilterConfig { xpath: Some(xpath.into()), ..FilterConfig::default() };
        Self {
            json: json.open().expect("a format"),
            ecs: ecs.open().expect("a format"),
            filter: filter.compile().expect("an expression"),
        }
    }

    fn of<'a>(&mut self, event: &impl Event<'a>) -> Option<(String, Option<String>, Option<bool>)> {
        let written = |format: &mut Format| {
            let mut out = Vec::new();
            format.event(event, &Meta::default(), &mut out).ok()?;
            Some(String::from_utf8(out).expect("JSON is UTF-8"))
        };
        let json = written(&mut self.json)?;
        Some((json, written(&mut self.ecs), self.filter.keeps(event, Timestamp(0)).ok()))
    }
}

/// How many bytes were written of it.
fn compare(event: &BinXmlEvent<'_>, [direct, through, stored]: &mut [View; 3]) -> usize {
    let mut xml = Vec::new();
    let rendered = event.xml(&mut xml);
    assert!(xml.len() <= 16 << 20);
    let Some(ours) = direct.of(event) else { return xml.len() };
    let bytes = xml.len() + ours.0.len();
    serde_json::from_str::<serde_json::Value>(&ours.0).expect("valid JSON");
    // Elements may be nested deeper in a record than in text.
    if let (Ok(()), Ok(parsed)) = (rendered, XmlEvent::parse(&xml))
        && let Some(theirs) = through.of(&parsed)
    {
        assert_eq!(ours, theirs);
        for layout in [Layout::Portable, Layout::Collector] {
            let mut chunk = ChunkWriter::new(layout);
            if matches!(chunk.push(&parsed, 1, 1, 0), Ok(Pushed::Stored)) {
                let _ = Decoder::new().chunk(chunk.finish(), 0, |again| {
                    let again = again.expect("a record of our own");
                    // U+0000, which a string cannot hold, is stored as U+FFFD.
                    let visible = |view: &(String, _, _)| view.0.replace("\\u0000", "\u{fffd}");
                    assert_eq!(Some(visible(&theirs)), stored.of(&again).as_ref().map(visible));
                    ControlFlow::Continue(())
                });
            }
        }
    }
    bytes
}

/// A chunk with one record that holds this.
fn framed(data: &[u8]) -> Vec<u8> {
    const FIRST: usize = 512;
    let binxml = &data[..data.len().min(CHUNK_BYTES - FIRST - 28)];
    let mut chunk = vec![0; FIRST];
    chunk[..8].copy_from_slice(b"ElfChnk\0");
    let size = (binxml.len() + 28) as u32;
    chunk.extend(b"**\0\0");
    chunk.extend(size.to_le_bytes());
    chunk.extend([1; 16]);
    chunk.extend(binxml);
    chunk.extend(size.to_le_bytes());
    let end = (chunk.len() as u32).to_le_bytes();
    chunk[48..52].copy_from_slice(&end);
    chunk
}
