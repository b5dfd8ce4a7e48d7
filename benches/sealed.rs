//! What it costs to open and to seal a message of a Kerberos context, by size and encryption type.
//!
//! | size | what it is |
//! |---|---|
//! | 1.5 kB | a heartbeat or an answer: what is done once a message shows here |
//! | 20 kB | a batch of a quiet host, compressed |
//! | 500 kB | the largest envelope |
//!
//! Processor time is compared, since the machine is shared: medians are printed first, in ms per MB, ours beside
//! those of the Kerberos library, which opens what it sealed itself in a process of its own (`sealed_peer.py`; it
//! needs a key distribution centre and the Python of `.ci/python.txt`, and is left out where they are not).
//! `sealed/*` are criterion's own figures.

#![allow(clippy::print_stdout, reason = "what a bench prints is its result")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use forebay::kerberos::seal::{ContextKey, Role, Sealer, Signature};
use forebay::kerberos::{Etype, Key};
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use support::lab::Lab;

/// The lab of the tests.
#[allow(dead_code, clippy::unwrap_used, reason = "a bench needs less of it, and tests may panic")]
#[path = "../tests/support"]
mod support {
    pub(crate) mod lab;
    pub(crate) mod process;
}

const SIZES: [(&str, usize); 3] = [("1.5 kB", 1_500), ("20 kB", 20_000), ("500 kB", 500_000)];
/// With the names of those that the lab has, and the bytes of their keys.
const TYPES: [(Etype, Option<&str>, usize); 4] = [
    (Etype::AES256_SHA1, Some("aes256-cts-hmac-sha1-96"), 32),
    (Etype::AES128_SHA1, Some("aes128-cts-hmac-sha1-96"), 16),
    (Etype::AES128_SHA256, None, 16),
    (Etype::AES256_SHA384, Some("aes256-cts-hmac-sha384-192"), 32),
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
    let mut client = Sealer::new(key, Role::Initiator, 0, Some(0)).expect("AES");
    let message = |number| {
        let mut message: Vec<u8> = (0..bytes).map(|at| (at * 7 + number) as u8).collect();
        (client.seal([number as u8; 16], &mut message), message)
    };
    (0..count).map(message).collect()
}

fn open(key: &ContextKey, sealed: &mut Sealed) {
    let mut server = Sealer::new(key, Role::Acceptor, 0, Some(0)).expect("AES");
    for (signature, message) in sealed {
        let length = server.unseal(signature, message).expect("what was sealed");
        black_box(&message[..length]);
    }
}

fn seal(key: &ContextKey, sealed: &mut Sealed) {
    let mut server = Sealer::new(key, Role::Acceptor, 0, Some(0)).expect("AES");
    for (_, message) in sealed {
        black_box(server.seal([7; 16], message));
    }
}

/// Median of the rounds, in ms per MB.
fn median(key: &ContextKey, sealed: &Sealed, contestant: fn(&ContextKey, &mut Sealed)) -> f64 {
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
    let lab = Lab::start("sealed");
    for (etype, name, bytes) in TYPES {
        let key = key(etype, bytes);
        let mut library =
            lab.as_ref().zip(name).and_then(|(lab, name)| library(lab, etype, name)).map(Vec::into_iter);
        for (name, size) in SIZES {
            let sealed = sealed(&key, size, ROUND_BYTES / size);
            let (opens, seals) = (median(&key, &sealed, open), median(&key, &sealed, seal));
            print!("{etype}, {name}: opens {opens:.2}, seals {seals:.2}");
            match library.as_mut().and_then(|library| library.next()) {
                Some(theirs) => println!("; the library opens {theirs:.2}, {:.1}x", theirs / opens),
                None => println!(),
            }
        }
    }
}

/// What the library takes for each size with keys of this type, if it can be asked.
fn library(lab: &Arc<Lab>, etype: Etype, name: &str) -> Option<Vec<f64>> {
    let cache = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/forebay/python/bin/python"));
    let python = std::env::var_os("FOREBAY_PYTHON").map(PathBuf::from).or_else(cache)?;
    let service = lab.service(&[name]);
    let mut command = lab.client_with(&[etype]).command(python.to_str()?);
    command.env("KRB5_KTNAME", lab.keytab(&[&service])).env("KRB5RCACHENAME", "none:");
    command.args([concat!(env!("CARGO_MANIFEST_DIR"), "/benches/sealed_peer.py"), &service]);
    command.args([ROUNDS, ROUND_BYTES].map(|number| number.to_string()));
    command.args(SIZES.map(|(_, size)| size.to_string()));
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()?.lines().map(|line| line.parse().ok()).collect()
}

fn sealed_messages(criterion: &mut Criterion) {
    compare();
    let key = key(Etype::AES256_SHA1, 32);
    let mut group = criterion.benchmark_group("sealed");
    for (name, size) in SIZES {
        let sealed = sealed(&key, size, 16);
        group.throughput(Throughput::Bytes(16 * size as u64));
        group.bench_function(name, |bench| {
            bench.iter_batched_ref(|| sealed.clone(), |sealed| open(&key, sealed), BatchSize::LargeInput);
        });
    }
    group.finish();
}

criterion_group!(benches, sealed_messages);
criterion_main!(benches);
