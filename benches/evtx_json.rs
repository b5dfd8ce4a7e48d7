//! Event logs to JSON lines, in process, against the `evtx` crate's own command-line lane.
//!
//! | log | what is special about it |
//! |---|---|
//! | security | templates with typed values, hardly any text |
//! | mixed | every kind of log, many templates |
//! | forwarded | plain tokens, all values are strings |

#![allow(clippy::print_stdout, reason = "what a bench prints is its result")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forebay::evtx::{CHUNK_BYTES, Decoder, FILE_HEADER_BYTES};
use forebay::format::{FormatConfig, Meta};
use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn corpus() -> PathBuf {
    std::env::var_os("FOREBAY_CORPUS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"), PathBuf::from)
}

fn ours(bytes: &[u8], decoder: &mut Decoder, out: &mut Vec<u8>) -> usize {
    let config = FormatConfig { json: Some(Default::default()), ..FormatConfig::default() };
    let mut format = config.open().expect("JSON has no settings");
    let mut events = 0;
    for chunk in bytes[FILE_HEADER_BYTES..].chunks(CHUNK_BYTES) {
        out.clear();
        let _ = decoder.chunk(chunk, 0, |event| {
            if let Ok(event) = event {
                events += usize::from(format.event(&event, &Meta::default(), out).is_ok());
                out.push(b'\n');
            }
            ControlFlow::Continue(())
        });
        black_box(&out);
    }
    events
}

fn theirs(bytes: &[u8]) -> usize {
    let settings = Arc::new(evtx::ParserSettings::default().indent(false));
    let mut events = 0;
    for chunk in bytes[FILE_HEADER_BYTES..].chunks(CHUNK_BYTES) {
        let Ok(mut data) = evtx::EvtxChunkData::new(chunk.to_vec(), false) else { continue };
        let Ok(mut chunk) = data.parse(Arc::clone(&settings)) else { continue };
        for record in chunk.iter() {
            let json = record.and_then(evtx::EvtxRecord::into_json_bytes);
            events += usize::from(black_box(json).is_ok());
        }
    }
    events
}

fn bench(criterion: &mut Criterion) {
    for name in ["security", "mixed", "forwarded"] {
        let path = corpus().join("evtx/bench").join(name).with_extension("evtx");
        let Ok(bytes) = std::fs::read(&path) else {
            println!("SKIP {name}: there is no {}", path.display());
            continue;
        };
        ratio(name, &bytes);
        let mut group = criterion.benchmark_group(name);
        group.sample_size(10);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        let (mut decoder, mut out) = (Decoder::new(), Vec::new());
        group.bench_function("forebay", |bencher| bencher.iter(|| ours(&bytes, &mut decoder, &mut out)));
        group.bench_function("evtx", |bencher| bencher.iter(|| theirs(&bytes)));
        group.finish();
    }
}

/// Median of runs in turn: absolute figures drift with the machine, their ratio hardly does.
fn ratio(name: &str, bytes: &[u8]) {
    const ROUNDS: usize = 11;
    let (mut decoder, mut out) = (Decoder::new(), Vec::new());
    let mut ratios: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = std::time::Instant::now();
            let ours = ours(bytes, &mut decoder, &mut out);
            let half = started.elapsed();
            let theirs = theirs(bytes);
            assert!(ours >= theirs, "{ours} events here, {theirs} there");
            (started.elapsed() - half).as_secs_f64() / half.as_secs_f64()
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    println!("{name}: the evtx crate takes {:.2} times as long", ratios[ROUNDS / 2]);
}

criterion_group!(benches, bench);
criterion_main!(benches);
