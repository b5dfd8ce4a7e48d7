//! What it costs to open and to seal a message of a Kerberos context, by size and encryption type.
//!
//! | size | what it is |
//! |---|---|
//! | 1.5 kB | a heartbeat or an answer: what is done once a message shows here |
//! | 20 kB | a batch of a quiet host, compressed |
//! | 500 kB | the largest envelope |
//!
//! Contestants take turns, round after round, and their processor time is compared, since the machine is shared;
//! medians are printed first, in ms per MB. `sealed/*` are criterion's own figures. A contestant is a name and a
//! way to open what was sealed, so that another one finds its place in [`contestants`].

#![allow(clippy::print_stdout, reason = "what a bench prints is its result")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use forebay::kerberos::seal::{ContextKey, Role, Sealer, Signature};
use forebay::kerberos::{Etype, Key};
use std::hint::black_box;
use std::time::Duration;

const SIZES: [(&str, usize); 3] = [("1.5 kB", 1_500), ("20 kB", 20_000), ("500 kB", 500_000)];
const TYPES: [(Etype, usize); 4] = [
    (Etype::AES256_SHA1, 32),
    (Etype::AES128_SHA1, 16),
    (Etype::AES128_SHA256, 16),
    (Etype::AES256_SHA384, 32),
];
const ROUNDS: usize = 15;
/// Bytes opened in a round.
const ROUND_BYTES: usize = 4_000_000;

fn key(etype: Etype, bytes: usize) -> ContextKey {
    ContextKey { key: Key::new(etype, &vec![0x5a; bytes]), is_of_acceptor: true }
}

/// Messages of one client, in their order.
type Sealed = Vec<(Signature, Vec<u8>)>;

fn sealed(key: &ContextKey, bytes: usize, count: usize) -> Sealed {
    let mut client = Sealer::new(key, Role::Initiator, 0, 0).expect("AES");
    let message = |number| {
        let mut message: Vec<u8> = (0..bytes).map(|at| (at * 7 + number) as u8).collect();
        (client.seal([number as u8; 16], &mut message), message)
    };
    (0..count).map(message).collect()
}

/// Opens all messages of a context, from the first on.
type Contestant = fn(&ContextKey, &mut Sealed);

fn contestants() -> Vec<(&'static str, Contestant)> {
    vec![("ours", open)]
}

fn open(key: &ContextKey, sealed: &mut Sealed) {
    let mut server = Sealer::new(key, Role::Acceptor, 0, 0).expect("AES");
    for (signature, message) in sealed {
        let length = server.unseal(signature, message).expect("what was sealed");
        black_box(&message[..length]);
    }
}

fn seal(key: &ContextKey, sealed: &mut Sealed) {
    let mut server = Sealer::new(key, Role::Acceptor, 0, 0).expect("AES");
    for (_, message) in sealed {
        black_box(server.seal([7; 16], message));
    }
}

/// Median of the rounds, in ms per MB.
fn median(key: &ContextKey, sealed: &Sealed, contestant: Contestant) -> f64 {
    let bytes: usize = sealed.iter().map(|(_, message)| message.len()).sum();
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let mut sealed = sealed.clone();
            let start = processor_time();
            contestant(key, &mut sealed);
            processor_time() - start
        })
        .collect();
    times.sort();
    times[ROUNDS / 2].as_secs_f64() * 1e9 / bytes as f64
}

fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn compare() {
    println!("ms per MB of message, processor time, median of {ROUNDS} rounds");
    for (etype, bytes) in TYPES {
        let key = key(etype, bytes);
        for (name, size) in SIZES {
            let sealed = sealed(&key, size, ROUND_BYTES / size);
            let mut line = format!("{etype}, {name}:");
            for (contestant, open) in contestants() {
                line += &format!(" {contestant} opens {:.2},", median(&key, &sealed, open));
            }
            println!("{line} seals {:.2}", median(&key, &sealed, seal));
        }
    }
}

fn sealed_messages(criterion: &mut Criterion) {
    compare();
    let key = key(Etype::AES256_SHA1, 32);
    let mut group = criterion.benchmark_group("sealed");
    for (name, size) in SIZES {
        let sealed = sealed(&key, size, 16);
        group.throughput(Throughput::Bytes(16 * size as u64));
        for (contestant, open) in contestants() {
            group.bench_function(format!("{contestant}/{name}"), |bench| {
                bench.iter_batched_ref(|| sealed.clone(), |sealed| open(&key, sealed), BatchSize::LargeInput);
            });
        }
    }
    group.finish();
}

criterion_group!(benches, sealed_messages);
criterion_main!(benches);
