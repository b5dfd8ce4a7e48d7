//! A chunk of any bytes: no panic, bounded output, valid JSON, and the same JSON from BinXML and
//! from the XML it is rendered to. Records are put where the reader looks, so that mutations reach
//! their inside.
#![no_main]

use forebay::event::XmlEvent;
use forebay::evtx::{CHUNK_BYTES, Decoder, FileHeader};
use forebay::format::{FormatConfig, Meta};
use libfuzzer_sys::fuzz_target;
use std::ops::ControlFlow;

fuzz_target!(|data: &[u8]| {
    let _ = FileHeader::parse(data);
    let mut chunk = data[..data.len().min(CHUNK_BYTES)].to_vec();
    if data.first().is_some_and(|first| first % 2 == 0) {
        chunk = framed(data);
    }
    let config = FormatConfig { json: Some(Default::default()), ..FormatConfig::default() };
    let (mut direct, mut through) = (config.open().unwrap(), config.open().unwrap());
    let mut decoder = Decoder::new();
    let mut budget: usize = 64 << 20;
    let _ = decoder.chunk(&chunk, 0, |event| {
        let Ok(event) = event else { return ControlFlow::Continue(()) };
        let (mut xml, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
        let rendered = event.xml(&mut xml);
        assert!(xml.len() <= 16 << 20);
        let written = direct.event(&event, &Meta::default(), &mut ours);
        if rendered.is_ok() && written.is_ok() {
            serde_json::from_slice::<serde_json::Value>(&ours).expect("valid JSON");
            if let Ok(parsed) = XmlEvent::parse(&xml)
                && through.event(&parsed, &Meta::default(), &mut theirs).is_ok()
            {
                assert_eq!(String::from_utf8_lossy(&ours), String::from_utf8_lossy(&theirs));
            }
        }
        budget = budget.saturating_sub(xml.len() + ours.len());
        if budget == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
});

/// The input as BinXML of one record, as often as it says.
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
    chunk.resize(CHUNK_BYTES, 0);
    chunk
}
