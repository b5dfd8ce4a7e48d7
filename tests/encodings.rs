//! Filters and formats say the same of an event whichever way it is read: from BinXML, or from the XML
//! it is rendered to.

use crate::{corpus_logs, peers};
use forebay::event::{Timestamp, XmlEvent};
use forebay::evtx::write::{ChunkWriter, Layout, Pushed};
use forebay::evtx::{CHUNK_BYTES, Decoder, FILE_HEADER_BYTES};
use forebay::filter::{Filter, FilterConfig};
use forebay::format::{Format, FormatConfig, Meta};
use std::ops::ControlFlow;

/// Each selects some events of the corpus and leaves some out.
const FILTERS: [&str; 13] = [
    "drop = { channel = 'security', id = ['4600-4699', 5156] }",
    "keep = [{ provider = 'microsoft-windows-*', level = '0-3' }, { computer = '*.local' }]",
    "xpath = '*[System[(Level<=3) or (EventID=4625)]]'",
    "xpath = '*[System[band(Keywords,0x20000000000000)]]'",
    "xpath = \"*[System[Security[@UserID='S-1-5-18']]]\"",
    "xpath = \"*[System[TimeCreated[@SystemTime>='2016-07-08T18:12:51.681Z' and timediff(@SystemTime) > 0]]]\"",
    "xpath = '*[System[Correlation/@ActivityID and Execution[@ProcessID>=500]]]'",
    "xpath = \"*[EventData[Data[@Name='LogonType']=3 or Data[@Name='TargetUserName']='SYSTEM']]\"",
    "xpath = \"*[EventData[Data='S-1-5-18']]\"",
    "xpath = \"*[EventData[Data[@Name='LogonGuid']='{00000000-0000-0000-0000-000000000000}']]\"",
    "xpath = '*[EventData/Data[@Name]>1000]'",
    "xpath = \"*[UserData/*/*!='x']\"",
    "xpath = \"*[EventData/Data/text()!='-']\"\nsuppress = '*[System/Task=12544]'",
];

/// JSON has tests of its own.
const FORMATS: [&str; 11] = [
    "ecs = {}",
    "splunk = {}",
    "snare = {}",
    "cef = {}",
    "leef = {}",
    "ocsf = {}",
    "sentinel = {}",
    "sentinel.table = 'SecurityEvent'",
    "openwec = {}",
    "nxlog = {}",
    "flat = {}",
];

/// Enough of every log: all of the corpus takes most of a minute without optimisation.
const CHUNKS_PER_LOG: usize = 6;

#[test]
fn filters_and_formats_do_not_know_the_encoding() {
    let Some(logs) = corpus_logs("filters_and_formats_do_not_know_the_encoding") else { return };
    let compile = |text: &&str| toml::from_str::<FilterConfig>(text).unwrap().compile().unwrap();
    let mut filters: Vec<Filter> = FILTERS.iter().map(compile).collect();
    let mut kept = [0_usize; FILTERS.len()];
    let mut formats = FORMATS.map(open);
    let (mut events, mut text, mut decoder) = (0, Vec::new(), Decoder::new());
    for log in logs {
        let bytes = std::fs::read(&log).unwrap();
        let chunks = bytes.get(FILE_HEADER_BYTES..).unwrap_or_default().chunks(CHUNK_BYTES);
        for chunk in chunks.take(CHUNKS_PER_LOG) {
            let _ = decoder.chunk(chunk, 0, |event| {
                let Ok(event) = event else { return ControlFlow::Continue(()) };
                text.clear();
                if event.xml(&mut text).is_err() {
                    return ControlFlow::Continue(());
                }
                events += 1;
                let place = || format!("{} record {}", log.display(), event.record_id());
                let xml = XmlEvent::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", place()));
                let now = Timestamp(1_700_000_000_000_000_000);
                for ((filter, kept), written) in filters.iter_mut().zip(&mut kept).zip(FILTERS) {
                    let answer = filter.keeps(&event, now);
                    assert_eq!(answer, filter.keeps(&xml, now), "{}: {written}", place());
                    *kept += usize::from(answer == Ok(true));
                }
                for format in &mut formats {
                    assert_eq!(written(format, &event), written(format, &xml), "{}", place());
                }
                ControlFlow::Continue(())
            });
        }
    }
    println!("{events} events; kept by each filter: {kept:?}");
    assert!(kept.iter().all(|&kept| kept > 0 && kept < events), "a filter that proves nothing");
}

/// A record cannot tell a reference to a CR from the character, and its reader puts together what
/// a comment in System left in pieces.
#[test]
fn every_golden_shape_is_the_same_event_in_a_record() {
    // XML within holds references as they came, and so does what OpenWEC has of UserData.
    const RAW: [&str; 4] = ["splunk", "openwec", "nxlog", "flat"];
    let is_raw = |format: &str| RAW.iter().any(|name| format.starts_with(name));
    let formats = FORMATS.iter().filter(|format| !is_raw(format)).chain(&["json = {}"]);
    let mut formats: Vec<Format> = formats.map(|format| open(format)).collect();
    let mut kept = 0;
    for text in peers::fixtures() {
        let text = String::from_utf8(text).unwrap().replace("&#13;", "").replace("&#xD;", "");
        let text = text.replace("<!-- of 2 -->", "").replace("<![CDATA[Sec]]>", "Sec");
        let event = XmlEvent::parse(text.as_bytes()).unwrap();
        for layout in [Layout::Portable, Layout::Collector] {
            let mut chunk = ChunkWriter::new(layout);
            assert_eq!(chunk.push(&event, 1, 1, 0), Ok(Pushed::Stored), "{text}");
            let _ = Decoder::new().chunk(chunk.finish(), 0, |stored| {
                let stored = stored.unwrap();
                for format in &mut formats {
                    assert_eq!(written(format, &stored), written(format, &event), "{layout:?} {text}");
                }
                kept += 1;
                ControlFlow::Continue(())
            });
        }
    }
    assert_eq!(kept, 2 * peers::fixtures().len());
}

fn open(format: &str) -> Format {
    toml::from_str::<FormatConfig>(format).unwrap().open().unwrap()
}

fn written<'a>(format: &mut Format, event: &impl forebay::event::Event<'a>) -> Result<String, String> {
    let mut out = Vec::new();
    let written = format.event(event, &Meta::default(), &mut out);
    written.map(|()| String::from_utf8(out).expect("UTF-8")).map_err(|error| error.to_string())
}
