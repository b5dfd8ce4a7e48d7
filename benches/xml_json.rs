//! Event XML to JSON, and rejecting by header, against quick-xml driving the same writer and
//! against a DOM with a value tree.
//!
//! Each input is run by all contestants in turn, round after round, so that a noisy machine is
//! noisy for all of them; the ratios of the medians are printed at the end. It comes in deliveries
//! that were touched right before, as a lane gets them: the source has just written them. Time is
//! that of the thread on a processor. Before it is taken, it is checked that all write the same JSON and that
//! none meets an event that is odd for it. `xml_json/*` are criterion's own figures for the product
//! alone. Then come all shapes that an output can have, in turns as well, against the native JSON. Without the corpus
//! the golden files are read.

#![allow(clippy::print_stdout, reason = "what a bench prints is its result")]

#[path = "../tests/peers/mod.rs"]
#[allow(dead_code)]
mod peers;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forebay::event::{Event, Timestamp, XmlEvent};
use forebay::filter::{Filter, FilterConfig};
use forebay::format::{Format, FormatConfig, Meta, json::Json};
use peers::{dom, quick, quick::QuickEvent};
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::ops::RangeInclusive;
use std::time::Duration;

type Input = (&'static str, Vec<Vec<u8>>);

/// Named inputs: what is special about each.
fn inputs() -> Vec<Input> {
    let (events, _) = peers::events();
    let of = |wanted: &dyn Fn(&[u8]) -> bool| -> Vec<Vec<u8>> {
        events.iter().filter(|event| wanted(event)).take(8000).cloned().collect()
    };
    let has = |event: &[u8], text: &str| memchr::memmem::find(event, text.as_bytes()).is_some();
    let mut inputs = vec![
        // Every kind of log, all that there is of it.
        ("corpus", events.clone()),
        // Long lists of short values.
        ("security", of(&|event| has(event, "<Channel>Security<"))),
        // Long message with tabs and line breaks, keywords: half of the event is text to escape.
        (
            "rendered",
            of(&|event| has(event, "<Channel>Security<")).iter().map(|event| rendered(event)).collect(),
        ),
        // Foreign elements, attributes, repeated names: by the tape.
        ("user data", of(&|event| has(event, "<UserData>"))),
        // Unnamed values and a binary.
        ("classic", of(&|event| has(event, "<Data>"))),
    ];
    inputs.retain(|(_, events)| !events.is_empty());
    inputs
}

fn rendered(event: &[u8]) -> Vec<u8> {
    let message =
        "An account was successfully logged on.\r\n\r\nSubject:\r\n\tSecurity ID:\t\tS-1-5-18\r\n\t\
                   Account Name:\t\tDC1$\r\n\tAccount Domain:\t\tEXAMPLE\r\n\tLogon ID:\t\t0x3E7\r\n\r\n"
            .repeat(5);
    let info = format!(
        "<RenderingInfo Culture='en-US'><Message>{message}</Message><Level>Information</Level>\
         <Task>Logon</Task><Opcode>Info</Opcode><Channel>Security</Channel><Provider>Microsoft Windows \
         security auditing.</Provider><Keywords><Keyword>Audit Success</Keyword></Keywords></RenderingInfo>\
         </Event>"
    );
    let end = memchr::memmem::rfind(event, b"</Event>").unwrap_or(event.len());
    [&event[..end], info.as_bytes()].concat()
}

/// What contestants use again and again.
struct Tools {
    json: Json,
    out: Vec<u8>,
    by_id: Filter,
    by_channel: Filter,
}

/// No event is of this channel.
const CHANNEL: &str = "No-Such-Channel";
/// The channel and one id: nearly all say no by the id, which stands near the beginning.
const ONE_ID: RangeInclusive<u16> = 4624..=4624;
/// The channel and any id: all have to read on to the channel, near the end of System.
const ANY_ID: RangeInclusive<u16> = 0..=u16::MAX;

impl Tools {
    fn new() -> Self {
        let filter = |ids: RangeInclusive<u16>| {
            let keep = format!("keep = {{ channel = {CHANNEL:?}, id = '{}-{}' }}", ids.start(), ids.end());
            toml::from_str::<FilterConfig>(&keep).expect("a filter").compile().expect("a filter")
        };
        Self { json: Json::default(), out: Vec::new(), by_id: filter(ONE_ID), by_channel: filter(ANY_ID) }
    }
}

/// As the pipeline asks.
fn keeps(filter: &mut Filter, text: &[u8]) -> bool {
    !filter.rejects(text)
        && filter.keeps(&XmlEvent::parse(text).expect("an event"), Timestamp(0)).expect("a whole event")
}

/// A contestant works through a delivery; its figure is what it wrote or kept.
type Contestant = (&'static str, fn(&[Vec<u8>], &mut Tools) -> usize);

const CONTESTANTS: &[Contestant] = &[
    ("ours", |events, Tools { json, out, .. }| {
        let mut bytes = 0;
        for text in events {
            out.clear();
            let event = XmlEvent::parse(text).expect("an event");
            json.event(&event, &Meta::default(), out).expect("a whole event");
            bytes += black_box(&out).len();
        }
        bytes
    }),
    ("quick-xml, same writer", |events, Tools { json, out, .. }| {
        let mut bytes = 0;
        for text in events {
            out.clear();
            let event = QuickEvent::parse(text).expect("an event");
            json.event(&event, &Meta::default(), out).expect("a whole event");
            bytes += black_box(&out).len();
        }
        bytes
    }),
    ("roxmltree + Value", |events, _| {
        let json = |text: &Vec<u8>| {
            let text = std::str::from_utf8(text).expect("UTF-8");
            dom::to_value(text).map_or(0, |value| black_box(value.to_string()).len())
        };
        events.iter().map(json).sum()
    }),
    ("reject by id, ours", |events, tools| {
        events.iter().filter(|text| keeps(&mut tools.by_id, text)).count()
    }),
    ("reject by id, quick-xml", |events, _| {
        events.iter().filter(|text| quick::is_from(text, CHANNEL.as_bytes(), &ONE_ID)).count()
    }),
    ("reject by channel, ours", |events, tools| {
        events.iter().filter(|text| keeps(&mut tools.by_channel, text)).count()
    }),
    ("reject by channel, quick-xml", |events, _| {
        events.iter().filter(|text| quick::is_from(text, CHANNEL.as_bytes(), &ANY_ID)).count()
    }),
];

/// About 160 KB of text.
const EVENTS_OF_A_DELIVERY: usize = 128;

/// Panics unless all contestants do the same work. Events with control characters, which a
/// conforming parser refuses, are the DOM's to skip; the number of them.
fn agree(events: &[Vec<u8>]) -> usize {
    let (mut json, mut ours, mut theirs) = (Json::default(), Vec::new(), Vec::new());
    let mut refused = 0;
    for text in events {
        ours.clear();
        theirs.clear();
        let (event, quick) =
            (XmlEvent::parse(text).expect("an event"), QuickEvent::parse(text).expect("an event"));
        assert_eq!(event.header().odd, quick.header().odd, "a header that only one of them has to repair");
        json.event(&event, &Meta::default(), &mut ours).expect("a whole event");
        json.event(&quick, &Meta::default(), &mut theirs).expect("a whole event");
        assert_eq!(ours, theirs);
        match dom::to_value(std::str::from_utf8(text).expect("UTF-8")) {
            Some(value) => {
                assert_eq!(serde_json::from_slice::<serde_json::Value>(&ours).expect("JSON"), value)
            }
            None => refused += 1,
        }
    }
    refused
}

/// Median time per event of each contestant, taken in turns.
fn medians(events: &[Vec<u8>], rounds: usize) -> Vec<Duration> {
    let mut tools = Tools::new();
    let mut times = vec![Vec::new(); CONTESTANTS.len()];
    for _ in 0..rounds {
        for ((_, run), times) in CONTESTANTS.iter().zip(&mut times) {
            let mut time = Duration::ZERO;
            for delivery in events.chunks(EVENTS_OF_A_DELIVERY) {
                black_box(delivery.iter().flatten().fold(0_u8, |sum, byte| sum ^ byte));
                let start = cpu_time();
                black_box(run(black_box(delivery), &mut tools));
                time += cpu_time() - start;
            }
            times.push(time / events.len() as u32);
        }
    }
    times
        .into_iter()
        .map(|mut times| {
            times.sort_unstable();
            times[times.len() / 2]
        })
        .collect()
}

/// Of this thread: what others take of a busy machine does not count.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn rounds() -> usize {
    std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(9)
}

fn compare(_: &mut Criterion) {
    for (name, events) in inputs() {
        let size: usize = events.iter().map(Vec::len).sum();
        let refused = agree(&events);
        let times = medians(&events, rounds());
        println!(
            "\n{name}: {} events, {} bytes each; {refused} of them refused by roxmltree",
            events.len(),
            size / events.len()
        );
        for ((contestant, _), time) in CONTESTANTS.iter().zip(&times) {
            let rate = size as f64 / events.len() as f64 / time.as_nanos() as f64 * 1000.0;
            println!("  {contestant:28} {:>7} ns {rate:>7.0} MB/s", time.as_nanos());
        }
        let ratio = |a: usize, b: usize| times[a].as_nanos() as f64 / times[b].as_nanos() as f64;
        println!("  to JSON: {:.1}x roxmltree + Value, {:.1}x quick-xml", ratio(2, 0), ratio(1, 0));
        for (what, ours, peer) in [("id", 3, 4), ("channel", 5, 6)] {
            println!(
                "  reject by {what}: {:.1}x quick-xml, {:.2} of a conversion",
                ratio(peer, ours),
                ratio(ours, 0)
            );
        }
    }
}

/// Each shape as an output has it by default.
const SHAPES: [&str; 13] = [
    "json = {}",
    "xml = {}",
    "ecs = {}",
    "splunk = {}",
    "snare = {}",
    "cef = {}",
    "leef = {}",
    "ocsf = {}",
    "sentinel.table = 'WindowsEvent'",
    "sentinel.table = 'SecurityEvent'",
    "openwec = {}",
    "nxlog = {}",
    "flat = {}",
];

/// Processor time and bytes of an event in each shape.
fn shapes(_: &mut Criterion) {
    for (name, events) in inputs() {
        let mut formats = SHAPES
            .map(|shape| toml::from_str::<FormatConfig>(shape).expect("a format").open().expect("a format"));
        let mut costs = vec![(Vec::new(), 0); SHAPES.len()];
        for _ in 0..rounds() {
            for (format, (times, bytes)) in formats.iter_mut().zip(&mut costs) {
                let (time, written) = shape(format, &events);
                times.push(time / events.len() as u32);
                *bytes = written / events.len();
            }
        }
        let median = |times: &[Duration]| {
            let mut times = times.to_vec();
            times.sort_unstable();
            times[times.len() / 2].as_nanos()
        };
        let native = median(&costs[0].0);
        println!("\n{name}, by shape:");
        for (shape, (times, bytes)) in SHAPES.iter().zip(&costs) {
            let time = median(times);
            println!("  {shape:34} {time:>7} ns {bytes:>6} bytes {:.2}x", time as f64 / native as f64);
        }
    }
}

/// Time for all of them, and what they came to.
fn shape(format: &mut Format, events: &[Vec<u8>]) -> (Duration, usize) {
    let (mut time, mut bytes, mut out) = (Duration::ZERO, 0, Vec::new());
    for delivery in events.chunks(EVENTS_OF_A_DELIVERY) {
        black_box(delivery.iter().flatten().fold(0_u8, |sum, byte| sum ^ byte));
        let start = cpu_time();
        for text in delivery {
            out.clear();
            let event = XmlEvent::parse(text).expect("an event");
            format.event(&event, &Meta::default(), &mut out).expect("a whole event");
            bytes += black_box(&out).len();
        }
        time += cpu_time() - start;
    }
    (time, bytes)
}

fn product(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("xml_json");
    group.sample_size(10).measurement_time(Duration::from_secs(1)).warm_up_time(Duration::from_millis(300));
    for (name, events) in inputs() {
        let mut tools = Tools::new();
        group.throughput(Throughput::Bytes(events.iter().map(Vec::len).sum::<usize>() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| CONTESTANTS[0].1(&events, &mut tools)));
    }
    group.finish();
}

criterion_group!(benches, compare, shapes, product);
criterion_main!(benches);
