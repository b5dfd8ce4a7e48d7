//! Every log of the corpus, read by us and by the `evtx` crate: each record that crate yields is
//! yielded here, with the same elements, attributes and texts for a conforming XML parser.

use crate::corpus_logs;
use forebay::event::XmlEvent;
use forebay::evtx::{CHUNK_BYTES, Decoder, FILE_HEADER_BYTES};
use forebay::format::{FormatConfig, Meta};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// Why records differ, and how it is undone before the comparison. Anything else fails the test.
const CLASSES: [(&str, &str); 2] = [
    (
        "control characters",
        "they pass as they came here; the crate writes `_`, as Windows does, because XML 1.0 has no place for them",
    ),
    ("lone surrogates", "U+FFFD here, as in every format; `_` there"),
];

#[derive(Default)]
struct Tally {
    records: usize,
    equal: usize,
    ours_only: usize,
    explained: BTreeMap<&'static str, usize>,
    wrong: usize,
}

#[test]
fn every_record_of_the_corpus_is_read_as_the_evtx_crate_reads_it() {
    let Some(files) = corpus_logs("every_record_of_the_corpus_is_read_as_the_evtx_crate_reads_it") else {
        return;
    };
    let mut tally = Tally::default();
    for file in &files {
        compare(file, &mut tally);
    }
    let Tally { records, equal, ours_only, explained, wrong } = &tally;
    println!(
        "{} logs: {records} records of the evtx crate, {equal} equal as they are, explained {explained:?}, \
         {wrong} unexplained; {ours_only} more read here",
        files.len()
    );
    for (class, reason) in CLASSES {
        println!("  {class}: {reason}");
    }
    assert_eq!(*wrong, 0);
    assert!(*equal as f64 >= 0.999 * *records as f64);
    assert!(*records > 90_000, "the corpus is not complete");
}

/// The bench logs are large and alike: one chunk in so many of them is enough for every build.
const BENCH_STEP: usize = 5;

#[test]
fn json_is_the_same_from_binxml_and_from_the_xml_it_is_rendered_to() {
    let test = "json_is_the_same_from_binxml_and_from_the_xml_it_is_rendered_to";
    let Some(files) = corpus_logs(test) else { return };
    let config = FormatConfig { json: Some(Default::default()), ..FormatConfig::default() };
    let (mut direct, mut through) = (config.open().unwrap(), config.open().unwrap());
    let (mut decoder, mut events) = (Decoder::new(), 0);
    let (mut xml, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for path in &files {
        let bytes = std::fs::read(path).unwrap();
        let step = if path.parent().is_some_and(|folder| folder.ends_with("bench")) { BENCH_STEP } else { 1 };
        let chunks = bytes.get(FILE_HEADER_BYTES..).unwrap_or_default().chunks(CHUNK_BYTES);
        for chunk in chunks.step_by(step) {
            let _ = decoder.chunk(chunk, 0, |event| {
                let Ok(event) = event else { return ControlFlow::Continue(()) };
                xml.clear();
                ours.clear();
                theirs.clear();
                if event.xml(&mut xml).is_err() {
                    return ControlFlow::Continue(());
                }
                direct.event(&event, &Meta::default(), &mut ours).unwrap();
                let parsed = XmlEvent::parse(&xml).unwrap();
                through.event(&parsed, &Meta::default(), &mut theirs).unwrap();
                let place = || format!("{} record {}", path.display(), event.record_id());
                assert_eq!(String::from_utf8_lossy(&ours), String::from_utf8_lossy(&theirs), "{}", place());
                events += 1;
                ControlFlow::Continue(())
            });
        }
    }
    println!("{events} events: the same JSON both ways");
    assert!(events > 30_000, "the corpus is not complete");
}

/// Bytes of real chunks changed at random (the seed is printed with a failure): nothing panics,
/// what is written is JSON, and the other encoding gives the same.
#[test]
fn changed_bytes_never_make_invalid_json() {
    const ROUNDS: u64 = 300;
    let Some(files) = corpus_logs("changed_bytes_never_make_invalid_json") else { return };
    let mut chunks = Vec::new();
    for path in &files {
        let bytes = std::fs::read(path).unwrap();
        let all = bytes.get(FILE_HEADER_BYTES..).unwrap_or_default().chunks_exact(CHUNK_BYTES);
        chunks.extend(all.take(3).map(<[u8]>::to_vec));
    }
    let config = FormatConfig { json: Some(Default::default()), ..FormatConfig::default() };
    let (mut direct, mut through) = (config.open().unwrap(), config.open().unwrap());
    let mut decoder = Decoder::new();
    for seed in 0..ROUNDS {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let mut chunk = chunks[random(chunks.len())].clone();
        for _ in 0..1 + random(200) {
            let at = random(CHUNK_BYTES - 4);
            match random(4) {
                0 => chunk[at] = random(256) as u8,
                1 => chunk[at] ^= 1 << random(8),
                2 => chunk[at..at + 4].copy_from_slice(&(random(CHUNK_BYTES) as u32).to_le_bytes()),
                _ => {
                    let from = random(CHUNK_BYTES - 64);
                    chunk.copy_within(from..from + 64, at.min(CHUNK_BYTES - 64));
                }
            }
        }
        let _ = decoder.chunk(&chunk, 0, |event| {
            let Ok(event) = event else { return ControlFlow::Continue(()) };
            let (mut xml, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
            if event.xml(&mut xml).is_ok() && direct.event(&event, &Meta::default(), &mut ours).is_ok() {
                if let Err(error) = serde_json::from_slice::<serde_json::Value>(&ours) {
                    panic!("seed {seed}: {error}: {}", String::from_utf8_lossy(&ours));
                }
                let Ok(parsed) = XmlEvent::parse(&xml) else { return ControlFlow::Continue(()) };
                if through.event(&parsed, &Meta::default(), &mut theirs).is_ok() {
                    let (ours, theirs) = (String::from_utf8_lossy(&ours), String::from_utf8_lossy(&theirs));
                    assert_eq!(ours, theirs, "seed {seed}");
                }
            }
            ControlFlow::Continue(())
        });
    }
}

fn compare(path: &Path, tally: &mut Tally) {
    let bytes = std::fs::read(path).unwrap();
    let mut decoder = Decoder::new();
    let settings = Arc::new(evtx::ParserSettings::default().indent(false));
    for (number, chunk) in bytes[FILE_HEADER_BYTES.min(bytes.len())..].chunks(CHUNK_BYTES).enumerate() {
        let mut ours = ours(&mut decoder, chunk);
        let Ok(mut data) = evtx::EvtxChunkData::new(chunk.to_vec(), false) else { continue };
        let Ok(mut theirs) = data.parse(Arc::clone(&settings)) else { continue };
        for record in theirs.iter() {
            let Ok(record) = record else { continue };
            let id = record.event_record_id;
            let Ok(xml) = record.into_xml() else { continue };
            tally.records += 1;
            let why = match ours.get_mut(&id).filter(|texts| !texts.is_empty()).map(|texts| texts.remove(0)) {
                None => "it is not read here".to_owned(),
                Some(Err(error)) => error,
                Some(Ok(text)) => match judge(&text, &xml.data) {
                    Ok(None) => {
                        tally.equal += 1;
                        continue;
                    }
                    Ok(Some(class)) => {
                        *tally.explained.entry(class).or_default() += 1;
                        continue;
                    }
                    Err(why) => why,
                },
            };
            tally.wrong += 1;
            println!("{} chunk {number} record {id}: {why}", path.display());
        }
        tally.ours_only += ours.values().flatten().filter(|left| left.is_ok()).count();
    }
}

fn ours(decoder: &mut Decoder, chunk: &[u8]) -> BTreeMap<u64, Vec<Result<String, String>>> {
    let mut ours = BTreeMap::<_, Vec<_>>::new();
    let _ = decoder.chunk(chunk, 0, |event| {
        match event {
            Ok(event) => {
                let mut xml = Vec::new();
                let text = event.xml(&mut xml).map(|()| String::from_utf8(xml).unwrap());
                ours.entry(event.record_id()).or_default().push(text.map_err(|error| error.to_string()));
            }
            Err(error) => {
                if let Some((id, _)) = error.record {
                    ours.entry(id).or_default().push(Err(error.to_string()));
                }
            }
        }
        ControlFlow::Continue(())
    });
    ours
}

/// Equal, equal but for a class, or the first difference.
fn judge(ours: &str, theirs: &str) -> Result<Option<&'static str>, String> {
    let is_control =
        |c: char| (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}');
    let (class, ours) = if ours.contains(is_control) {
        (Some(CLASSES[0].0), ours.replace(is_control, "_"))
    } else {
        (None, ours.to_owned())
    };
    let difference = difference(&ours, theirs);
    if difference.is_some() && class.is_none() && ours.contains('\u{fffd}') {
        return judge(&ours.replace('\u{fffd}', "_"), theirs).map(|_| Some(CLASSES[1].0));
    }
    difference.map_or(Ok(class), Err)
}

fn difference(ours: &str, theirs: &str) -> Option<String> {
    let parse = roxmltree::Document::parse;
    let (ours, theirs) = match (parse(ours), parse(theirs)) {
        (Ok(ours), Ok(theirs)) => (flat(&ours), flat(&theirs)),
        (Err(error), _) => return Some(format!("our XML: {error}")),
        (_, Err(error)) => return Some(format!("the crate's XML: {error}")),
    };
    let at =
        ours.iter().zip(&theirs).position(|(a, b)| a != b).unwrap_or_else(|| ours.len().min(theirs.len()));
    (ours != theirs).then(|| format!("{:?} here, {:?} there", ours.get(at), theirs.get(at)))
}

/// Elements with their attributes and depth, and texts, in document order.
fn flat(document: &roxmltree::Document<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for node in document.descendants() {
        if node.is_element() {
            let mut line = format!("{}<{}", node.ancestors().count(), node.tag_name().name());
            for attribute in node.attributes() {
                let _ = write!(line, " {}={:?}", attribute.name(), attribute.value());
            }
            lines.push(line);
        } else if let Some(text) = node.text().filter(|text| node.is_text() && !text.is_empty()) {
            lines.push(format!("{text:?}"));
        }
    }
    lines
}
