//! Hostile and damaged chunks: what made other parsers loop, blow up or lose records.

use super::chunk::{CHUNK_HEADER_BYTES, offset};
use super::values::kind;
use super::walk::token;
use super::*;
use crate::event::Event;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Builds a chunk by hand: names and definitions from the middle on, records from 512 on.
struct Forge {
    bytes: Vec<u8>,
    records: usize,
    spare: usize,
    last_id: u64,
}

impl Forge {
    fn new() -> Self {
        let mut bytes = vec![0; CHUNK_BYTES];
        bytes[..8].copy_from_slice(chunk::CHUNK_MAGIC);
        Self { bytes, records: CHUNK_HEADER_BYTES, spare: 30_000, last_id: 0 }
    }

    /// A name in the chunk; its offset.
    fn name(&mut self, name: &str) -> [u8; 4] {
        let at = self.spare;
        let mut entry = (at as u32).to_le_bytes().to_vec();
        entry.extend([0; 2]);
        entry.extend((name.len() as u16).to_le_bytes());
        entry.extend(units(name));
        entry.extend([0; 2]);
        self.put(at, &entry);
        self.spare += entry.len();
        (at as u32).to_le_bytes()
    }

    /// A template definition of this body, its size as told.
    fn definition(&mut self, body: &[u8], size: u32) -> [u8; 4] {
        let at = self.spare;
        // The next definition in its list is itself.
        let mut definition = (at as u32).to_le_bytes().to_vec();
        definition.extend((at as u128).to_le_bytes());
        definition.extend(size.to_le_bytes());
        definition.extend(body);
        self.put(at, &definition);
        self.spare += definition.len();
        (at as u32).to_le_bytes()
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn record(&mut self, binxml: &[u8]) {
        self.last_id += 1;
        let size = (binxml.len() + chunk::RECORD_BYTES_MIN) as u32;
        let mut record = chunk::RECORD_MAGIC.to_vec();
        record.extend(size.to_le_bytes());
        record.extend(self.last_id.to_le_bytes());
        record.extend([0; 8]);
        record.extend(binxml);
        record.extend(size.to_le_bytes());
        self.put(self.records, &record);
        self.records += record.len();
    }

    /// `<name>text</name>` as a record stores it.
    fn element(&mut self, name: &str, inside: &[u8]) -> Vec<u8> {
        let mut tokens = vec![token::OPEN, 0, 0, 0, 0];
        tokens.extend(self.name(name));
        tokens.push(token::CLOSE_START);
        tokens.extend(inside);
        tokens.push(token::CLOSE);
        tokens
    }

    fn finish(mut self) -> Vec<u8> {
        let end = (self.records as u32).to_le_bytes();
        self.put(offset::FREE_SPACE, &end);
        let last = self.last_id.to_le_bytes();
        self.put(offset::LAST_ID, &last);
        self.bytes
    }
}

fn units(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn text(text: &str) -> Vec<u8> {
    let mut tokens = vec![token::VALUE, kind::STRING];
    tokens.extend((text.len() as u16).to_le_bytes());
    tokens.extend(units(text));
    tokens
}

/// A whole event of one element of text.
fn event(forge: &mut Forge, content: &str) -> Vec<u8> {
    let system = forge.element("System", &[]);
    let data = forge.element("EventData", &text(content));
    let mut record = vec![token::FRAGMENT, 1, 1, 0];
    record.extend(forge.element("Event", &[system, data].concat()));
    record.push(token::END);
    record
}

/// An instance of the definition at `at` with these values.
fn instance(at: [u8; 4], values: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut tokens = vec![token::INSTANCE, 1, 0, 0, 0, 0];
    tokens.extend(at);
    tokens.extend((values.len() as u32).to_le_bytes());
    for (kind, bytes) in values {
        tokens.extend((bytes.len() as u16).to_le_bytes());
        tokens.extend([*kind, 0]);
    }
    tokens.extend(values.iter().flat_map(|(_, bytes)| bytes));
    tokens
}

/// A definition whose element holds these substitutions, with a text between them.
fn template(forge: &mut Forge, name: &str, slots: &[u16]) -> [u8; 4] {
    let mut body = vec![token::FRAGMENT, 1, 1, 0, token::OPEN, 0xff, 0xff, 0, 0, 0, 0];
    body.extend(forge.name(name));
    body.push(token::CLOSE_START);
    for slot in slots {
        body.push(token::SUBSTITUTION);
        body.extend(slot.to_le_bytes());
        body.push(kind::STRING);
    }
    body.extend([token::CLOSE, token::END]);
    let size = body.len() as u32;
    forge.definition(&body, size)
}

/// XML of each event, the reason for what is none; ends soon, and nothing is larger than allowed.
#[track_caller]
fn read(chunk: &[u8]) -> Vec<Result<String, &'static str>> {
    let started = Instant::now();
    let mut found = Vec::new();
    let _ = Decoder::new().chunk(chunk, 0, |event| {
        found.push(match event {
            Ok(event) => {
                let mut xml = Vec::new();
                let written = event.xml(&mut xml);
                assert!(xml.len() <= 16 << 20, "{} bytes", xml.len());
                written.map(|()| String::from_utf8(xml).unwrap()).map_err(|error| error.what)
            }
            Err(error) => Err(error.what),
        });
        ControlFlow::Continue(())
    });
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    found
}

#[track_caller]
fn check(chunk: &[u8], expected: &[Result<&str, &'static str>]) {
    let found = read(chunk);
    let found: Vec<_> = found.iter().map(|one| one.as_deref().map_err(|what| *what)).collect();
    assert_eq!(found, expected);
}

const A: &str = "<Event><System/><EventData>a</EventData></Event>";
const B: &str = "<Event><System/><EventData>b</EventData></Event>";

#[test]
fn records_around_garbage_are_found() {
    let mut forge = Forge::new();
    let first = event(&mut forge, "a");
    forge.record(&first);
    forge.records += 77;
    let garbage = forge.records - 50;
    forge.put(garbage, b"**\0\0\xff\xff\xff\xff**\0\0\x1c\0\0\0");
    let second = event(&mut forge, "b");
    forge.record(&second);
    check(&forge.finish(), &[Ok(A), Err("zeros stand where a record should start"), Ok(B)]);
}

#[test]
fn a_record_of_size_zero_does_not_stop_the_walk() {
    for size in [0_u32, 1, 27, 0xffff, u32::MAX] {
        let mut forge = Forge::new();
        let first = event(&mut forge, "a");
        forge.record(&first);
        forge.put(CHUNK_HEADER_BYTES + 4, &size.to_le_bytes());
        let second = event(&mut forge, "b");
        forge.record(&second);
        let found = read(&forge.finish());
        assert_eq!(found.len(), 2, "{size}: {found:?}");
        assert!(found[0].is_err());
        assert_eq!(found[1].as_deref(), Ok(B));
    }
}

#[test]
fn the_free_space_offset_may_lie() {
    for free in [0_u32, 1, 511, CHUNK_BYTES as u32, CHUNK_BYTES as u32 + 1, u32::MAX] {
        let mut forge = Forge::new();
        let first = event(&mut forge, "a");
        forge.record(&first);
        let mut chunk = forge.finish();
        chunk[offset::FREE_SPACE..offset::FREE_SPACE + 4].copy_from_slice(&free.to_le_bytes());
        chunk[offset::LAST_ID] = 9;
        check(&chunk, &[Ok(A)]);
    }
}

#[test]
fn records_that_continue_a_chunk_beyond_its_header_are_read_stale_ones_are_not() {
    let mut forge = Forge::new();
    let first = event(&mut forge, "a");
    forge.record(&first);
    let torn = forge.records;
    let second = event(&mut forge, "b");
    forge.record(&second);
    forge.last_id = 70;
    let third = event(&mut forge, "stale");
    forge.record(&third);
    let mut chunk = forge.finish();
    chunk[offset::FREE_SPACE..offset::FREE_SPACE + 4].copy_from_slice(&(torn as u32).to_le_bytes());
    chunk[offset::LAST_ID] = 1;
    check(&chunk, &[Ok(A), Ok(B)]);
}

#[test]
fn a_definition_of_size_zero_or_huge_is_an_error_of_its_record() {
    for (size, what) in [
        (0, "a template's element is left open"),
        (3, "a template's element is left open"),
        (u32::MAX, "the BinXML ends in the middle"),
    ] {
        let mut forge = Forge::new();
        let at = forge.definition(&[token::FRAGMENT, 1, 1], size);
        let record = instance(at, &[]);
        forge.record(&record);
        let second = event(&mut forge, "b");
        forge.record(&second);
        let what = if size == 3 { "the BinXML ends in the middle" } else { what };
        check(&forge.finish(), &[Err(what), Ok(B)]);
    }
}

#[test]
fn fragments_that_double_at_every_level_end_with_an_error() {
    let mut forge = Forge::new();
    let at = template(&mut forge, "a", &[0; 40]);
    let mut value = (kind::STRING, units("x"));
    for _ in 0..12 {
        value = (kind::BINXML, instance(at, &[value]));
    }
    forge.record(&instance(at, &[value]));
    check(&forge.finish(), &[Err("the record repeats itself past what an event can be")]);
}

#[test]
fn fragments_nested_too_deeply_end_with_an_error() {
    let mut forge = Forge::new();
    let at = template(&mut forge, "a", &[0]);
    let mut value = (kind::STRING, units("x"));
    for _ in 0..200 {
        value = (kind::BINXML, instance(at, &[value]));
    }
    forge.record(&instance(at, &[value]));
    check(&forge.finish(), &[Err("fragments are nested too deeply")]);
}

#[test]
fn elements_nested_too_deeply_end_with_an_error() {
    let mut forge = Forge::new();
    let name = forge.name("a");
    let open = [&[token::OPEN, 0, 0, 0, 0][..], &name, &[token::CLOSE_START]].concat();
    forge.record(&open.repeat(2000));
    check(&forge.finish(), &[Err("elements are nested too deeply")]);
}

#[test]
fn an_array_repeats_its_element_and_several_arrays_do_not_blow_up() {
    let mut forge = Forge::new();
    let at = template(&mut forge, "Data", &[0]);
    let outer = template(&mut forge, "Event", &[0]);
    let strings = (kind::ARRAY | kind::STRING, units("one\0\0two\0"));
    let list = (kind::BINXML, instance(at, &[strings]));
    forge.record(&instance(outer, &[list]));
    check(&forge.finish(), &[Ok("<Event><Data>one</Data><Data></Data><Data>two</Data></Event>")]);

    let mut forge = Forge::new();
    let inner = [&[token::OPEN, 0xff, 0xff, 0, 0, 0, 0][..], &forge.name("Data")].concat();
    let slots =
        [0, 1, 2, 3, 4_u16].map(|slot| [&[token::SUBSTITUTION][..], &slot.to_le_bytes(), &[1]].concat());
    let root =
        [&[token::OPEN, 0xff, 0xff, 0, 0, 0, 0][..], &forge.name("Event"), &[token::CLOSE_START]].concat();
    let ends = [token::CLOSE, token::CLOSE, token::END];
    let body = [&root[..], &inner, &[token::CLOSE_START], &slots.concat(), &ends].concat();
    let at = forge.definition(&body, body.len() as u32);
    let two = (kind::ARRAY | kind::UINT8, vec![1, 2]);
    let one = (kind::STRING, units("."));
    forge.record(&instance(at, &[two.clone(), one.clone(), two, one.clone(), one]));
    forge.record(&instance(at, &[0; 5].map(|_| (kind::ARRAY | kind::UINT8, vec![7; 3000]))));
    check(
        &forge.finish(),
        &[
            Ok("<Event><Data>1.1..</Data><Data>1.2..</Data><Data>2.1..</Data><Data>2.2..</Data></Event>"),
            Err("the record repeats itself past what an event can be"),
        ],
    );
}

#[test]
fn an_embedded_value_may_hold_several_elements() {
    let mut forge = Forge::new();
    let outer = template(&mut forge, "Event", &[0]);
    let mut inside = vec![token::FRAGMENT, 1, 1, 0];
    inside.extend(forge.element("EventData", &text("a")));
    inside.extend(forge.element("RenderingInfo", &text("b")));
    forge.record(&instance(outer, &[(kind::BINXML, inside)]));
    check(&forge.finish(), &[Ok("<Event><EventData>a</EventData><RenderingInfo>b</RenderingInfo></Event>")]);
}

#[test]
fn templates_that_overlap_are_not_compiled_for_ever() {
    // Long definitions that begin inside each other.
    let mut forge = Forge::new();
    let name = forge.name("a");
    let element =
        [&[token::OPEN, 0xff, 0xff, 0, 0, 0, 0][..], &name, &[token::CLOSE_EMPTY, token::END]].concat();
    let at = forge.spare;
    for step in 0..200 {
        let definition = at + step * 60;
        forge.put(definition + 20, &20_000_u32.to_le_bytes()[..3]);
        forge.put(definition + 24, &element);
        let record = instance((definition as u32).to_le_bytes(), &[]);
        forge.record(&record);
    }
    let found = read(&forge.finish());
    assert_eq!(found.len(), 200);
    assert!(found[199] == Err("the templates of a chunk overlap too often"), "{:?}", found[199]);
}

#[test]
fn one_template_at_other_offsets_in_the_next_chunk_is_the_same_program() {
    let mut decoder = Decoder::new();
    let mut texts = Vec::new();
    for shift in [0, 40] {
        let mut forge = Forge::new();
        forge.spare += shift;
        // The same GUID in both chunks: what `definition` writes depends on its place.
        let at = template(&mut forge, "Same", &[0]);
        let guid = u32::from_le_bytes(at) as usize + 4;
        forge.put(guid, &[7; 16]);
        forge.record(&instance(at, &[(kind::UINT32, vec![shift as u8, 0, 0, 0])]));
        let _ = decoder.chunk(&forge.finish(), 0, |event| {
            let mut xml = Vec::new();
            event.unwrap().xml(&mut xml).unwrap();
            texts.push(String::from_utf8(xml).unwrap());
            ControlFlow::Continue(())
        });
    }
    assert_eq!(texts, ["<Same>0</Same>", "<Same>40</Same>"]);
    assert_eq!(decoder.programs(), 1);
}

#[test]
fn a_forged_guid_does_not_get_another_templates_program() {
    let mut forge = Forge::new();
    for name in ["One", "Two"] {
        let at = template(&mut forge, name, &[0]);
        let guid = u32::from_le_bytes(at) as usize + 4;
        forge.put(guid, &[7; 16]);
        forge.record(&instance(at, &[(kind::STRING, units("x"))]));
    }
    check(&forge.finish(), &[Ok("<One>x</One>"), Ok("<Two>x</Two>")]);
}

#[test]
fn the_header_of_streamed_and_whole_walks_agree() {
    let mut forge = Forge::new();
    let id = forge.element("EventID", &text("4624"));
    let system = forge.element("System", &id);
    let record = forge.element("Event", &system);
    forge.record(&record);
    let _ = Decoder::new().chunk(&forge.finish(), 0, |event| {
        let event = event.unwrap();
        assert_eq!(event.header().event_id.as_u64(), Some(4624));
        assert!(!event.header().odd);
        ControlFlow::Continue(())
    });
}
