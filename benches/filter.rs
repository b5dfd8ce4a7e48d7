//! What it costs to drop an event, by what decides: against reading System alone, and against
//! writing the event as JSON and as ECS.
//!
//! Every contestant works through all events in turn, round after round, so that a noisy machine is
//! noisy for all of them; printed are the medians and their ratio to JSON. Needs the corpus.

use forebay::event::{Event, Timestamp, XmlEvent};
use forebay::evtx::{CHUNK_BYTES, Decoder, FILE_HEADER_BYTES};
use forebay::filter::{Filter, FilterConfig};
use forebay::format::{Format, FormatConfig, Meta};
use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Named filters: what is special about each.
const FILTERS: [(&str, &str); 6] = [
    // The channel is another one: the first comparison decides.
    ("rule, other channel", "drop = { channel = 'Microsoft-Windows-Sysmon/Operational', id = [3, 7] }"),
    // Channel, then ids as ranges.
    ("rule, channel and ids", "drop = { channel = 'security', id = [5156, 5158, '4600-4799'] }"),
    // A glob over the computer's name for every event.
    ("rule, computer glob", "keep = { computer = '*dc*.example.org' }"),
    // System only: the body is never read.
    ("xpath, System", "xpath = '*[System[(Level>0 and Level<=3) or (EventID=4625) or (EventID=1102)]]'"),
    // Named data: the body goes to the tape.
    (
        "xpath, EventData",
        "xpath = \"*[EventData[Data[@Name='LogonType']=10 or Data[@Name='TargetUserName']='nobody']]\"",
    ),
    // Decided by System for most, though it is written last.
    (
        "xpath, both",
        "xpath = \"*[EventData[Data[@Name='LogonType']=10]] and *[System[EventID=4624 or EventID=4625]]\"",
    ),
];

const ROUNDS: usize = 15;

fn main() {
    // `cargo test --benches` runs this as well; it has nothing to find out there.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    for log in ["security", "mixed", "forwarded"] {
        let events = events(log);
        if events.is_empty() {
            println!("SKIP {log}: there is no corpus");
            continue;
        }
        let bytes: usize = events.iter().map(Vec::len).sum();
        println!("{log}: {} events, {} bytes each", events.len(), bytes / events.len());
        compare(&events);
    }
}

fn compare(events: &[Vec<u8>]) {
    let mut contestants: Vec<(String, Box<dyn FnMut() -> usize + '_>)> = Vec::new();
    contestants.push(("json".into(), writes(events, "json = {}")));
    contestants.push(("ecs".into(), writes(events, "ecs = {}")));
    contestants.push(("xml".into(), writes(events, "xml = {}")));
    contestants.push((
        "read System".into(),
        Box::new(|| events.iter().filter(|text| !read(text).header().channel.is_absent()).count()),
    ));
    for (name, filter) in FILTERS {
        let config: FilterConfig = toml::from_str(filter).expect("a filter");
        let mut filter: Filter = config.compile().expect("a filter");
        let keeps = move || {
            let keeps = |text: &&Vec<u8>| filter.keeps(&read(text), Timestamp(0)).expect("an event");
            events.iter().filter(keeps).count()
        };
        contestants.push((name.into(), Box::new(keeps)));
    }
    let mut times = vec![Vec::new(); contestants.len()];
    let mut results = vec![0; contestants.len()];
    for _ in 0..ROUNDS {
        for ((contestant, times), result) in contestants.iter_mut().zip(&mut times).zip(&mut results) {
            let start = Instant::now();
            *result = black_box(contestant.1());
            times.push(start.elapsed());
        }
    }
    let per_event = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[ROUNDS / 2].as_nanos() as f64 / events.len() as f64
    };
    let nanos: Vec<f64> = times.iter_mut().map(per_event).collect();
    for (((name, _), nanos_each), result) in contestants.iter().zip(&nanos).zip(results) {
        println!("  {name:24} {nanos_each:7.0} ns/event  {:5.2} of json  ({result})", nanos_each / nanos[0]);
    }
}

fn writes<'e>(events: &'e [Vec<u8>], format: &str) -> Box<dyn FnMut() -> usize + 'e> {
    let config: FormatConfig = toml::from_str(format).expect("a format");
    let (mut format, mut out): (Format, _) = (config.open().expect("a format"), Vec::new());
    Box::new(move || {
        let mut bytes = 0;
        for text in events {
            out.clear();
            format.event(&read(text), &Meta::default(), &mut out).expect("an event");
            bytes += out.len();
        }
        bytes
    })
}

fn read(text: &[u8]) -> XmlEvent<'_> {
    XmlEvent::parse(text).expect("an event")
}

/// Up to 8000 events of a log, as XML.
fn events(log: &str) -> Vec<Vec<u8>> {
    let corpus = std::env::var_os("FOREBAY_CORPUS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"), PathBuf::from);
    let path = corpus.join("evtx/bench").join(log).with_extension("evtx");
    let bytes = std::fs::read(path).unwrap_or_default();
    let (mut events, mut decoder) = (Vec::new(), Decoder::new());
    for chunk in bytes.get(FILE_HEADER_BYTES..).unwrap_or_default().chunks(CHUNK_BYTES) {
        let _ = decoder.chunk(chunk, 0, |event| {
            let mut text = Vec::new();
            if event.is_ok_and(|event| event.xml(&mut text).is_ok()) {
                events.push(text);
            }
            if events.len() == 8000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if events.len() == 8000 {
            break;
        }
    }
    events
}
