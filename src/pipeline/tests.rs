//! Lanes and lives against sinks that refuse, fail, hang and vanish: the far end that does so, and what lanes need.

mod letters;
mod lives;
mod refused;
mod sending;

use super::batch::{Encoder, Placer};
use super::build::Budgets;
use super::fill::Filler;
use super::gate::Gate;
use super::lane::{Lane, LaneError};
use super::letter::{Letter, Letters};
use super::retry::Backoff;
use super::shape::Shaper;
use super::{Ended, Options, Order};
use crate::basin::{Basin, BasinConfig, Budget, DiskConfig, MemoryConfig, OutputSpec};
use crate::config::{self, BatchConfig, Pipeline, Process, Severity, SourceFile, Undecodable};
use crate::event::{Bookmark, EventBatch, Note, NoteKind, Origin, Outcome, Timestamp};
use crate::filter::Filter;
use crate::finding::Finding;
use crate::format::{FormatConfig, Framing};
use crate::sink::path::RouteValues;
use crate::sink::{Encoded, Head, Refusal, SendError, Sending, Sent, Sink};
use crate::telemetry::{Status, metrics};
use crate::units::ByteSize;
use bytes::Bytes;
use std::collections::VecDeque;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinSet, yield_now};

/// What a far end does with a batch; after its script it takes everything but poison.
enum Answer {
    Retry,
    /// With what the far end wants to be waited for.
    RetryAfter(Duration),
    /// All but these.
    Partly(Vec<u32>),
    Gone,
    CheckpointFirst,
    /// It has them, and the far end has not.
    Held,
    /// Until it is told to go on.
    Hang(Arc<Notify>),
}

/// A far end that does as told, and what it has.
#[derive(Default)]
struct Peer {
    script: Mutex<VecDeque<Answer>>,
    taken: Mutex<Vec<Vec<String>>>,
    /// What the sink holds, and how often it was asked to let go of it.
    held: Mutex<Vec<Vec<String>>>,
    settled: Mutex<usize>,
    calls: Mutex<usize>,
    takes_poison: bool,
    /// What it refuses beside poison, for now.
    refuses: Mutex<Option<&'static str>>,
}

struct Faulty(Arc<Peer>);

impl Sink for Faulty {
    fn send<'s>(&'s mut self, batch: &'s Arc<Encoded>) -> Sending<'s> {
        Box::pin(async move {
            let peer = || "peer".to_owned();
            *self.0.calls.lock().unwrap() += 1;
            let answer = self.0.script.lock().unwrap().pop_front();
            match answer {
                Some(Answer::Retry) => {
                    return Err(SendError::retry(peer(), "busy"));
                }
                Some(Answer::RetryAfter(after)) => {
                    return Err(SendError::Retry { peer: peer(), reason: "busy".into(), after: Some(after) });
                }
                Some(Answer::Partly(refused)) => {
                    let taken = (0..batch.items.len()).filter(|index| !refused.contains(&(*index as u32)));
                    self.0.taken.lock().unwrap().push(taken.map(|index| data(batch.item(index))).collect());
                    let reason = "number 7 is no date".to_owned();
                    let refusal = |item| Refusal { item, reason: reason.clone() };
                    return Ok(Sent::Partly(refused.into_iter().map(refusal).collect()));
                }
                Some(Answer::Gone) => {
                    return Err(SendError::Gone { peer: peer(), reason: "closed".into() });
                }
                Some(Answer::CheckpointFirst) => return Ok(Sent::CheckpointFirst),
                Some(Answer::Held) => {
                    let items = (0..batch.items.len()).map(|index| data(batch.item(index))).collect();
                    self.0.held.lock().unwrap().push(items);
                    return Ok(Sent::Held);
                }
                Some(Answer::Hang(go_on)) => go_on.notified().await,
                None => {}
            }
            let items: Vec<String> = (0..batch.items.len()).map(|index| data(batch.item(index))).collect();
            let refuses = *self.0.refuses.lock().unwrap();
            let is_poison = |item: &String| {
                !self.0.takes_poison && item.contains("poison")
                    || refuses.is_some_and(|words| item.contains(words))
            };
            if items.iter().any(is_poison) {
                return Err(SendError::Refused { peer: peer(), reason: "field 7 is no number".into() });
            }
            self.0.let_go();
            self.0.taken.lock().unwrap().push(items);
            Ok(Sent::Confirmed)
        })
    }

    fn release(&mut self) -> Sending<'_> {
        self.0.let_go();
        *self.0.settled.lock().unwrap() += 1;
        Box::pin(std::future::ready(Ok(Sent::Confirmed)))
    }

    fn note(&self) -> Bytes {
        Bytes::from_static(b"note")
    }
}

impl Peer {
    fn with(script: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        let peer = Self::default();
        peer.script.lock().unwrap().extend(script);
        Arc::new(peer)
    }

    fn let_go(&self) {
        self.taken.lock().unwrap().append(&mut self.held.lock().unwrap());
    }

    fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().concat()
    }

    fn batches(&self) -> Vec<usize> {
        self.taken.lock().unwrap().iter().map(Vec::len).collect()
    }

    fn calls(&self) -> usize {
        *self.calls.lock().unwrap()
    }
}

/// What stands in the event's Data, or the whole of what is no event.
fn data(item: &[u8]) -> String {
    let text = String::from_utf8_lossy(item);
    let data = text.split("<Data>").nth(1).and_then(|rest| rest.split("</Data>").next());
    data.unwrap_or_else(|| text.trim_end()).to_owned()
}

fn batch(texts: &[&str]) -> EventBatch {
    let (mut text, mut events) = (String::new(), Vec::new());
    for data in texts {
        let start = text.len() as u32;
        text.push_str(&format!(
            "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><EventID>1</EventID>\
             </System><EventData><Data>{data}</Data></EventData></Event>"
        ));
        events.push(start..text.len() as u32);
    }
    let origin = Origin {
        source: "test".into(),
        host: None,
        address: None,
        subscription: None,
        file: None,
        received: Timestamp(0),
    };
    EventBatch { text: text.into(), events, origin: Arc::new(origin), bookmark: None, notes: Vec::new() }
}

/// The lane of another output, which has no dead letter itself.
fn to(output: &str, lane: mpsc::Sender<Letter>) -> Letters {
    Letters::Lane { output: output.to_owned(), lane, beyond: Box::new(Letters::Nowhere) }
}

fn unbounded(path: PathBuf) -> Letters {
    Letters::Folder { path, bytes_max: u64::MAX }
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

fn disk(folder: &Path, outputs: &[&str]) -> Basin {
    let disk = DiskConfig {
        size_max: ByteSize::mib(4),
        segment_size: ByteSize::kib(256),
        ..DiskConfig::new(folder.join("basin"))
    };
    open(&BasinConfig { disk: Some(disk), memory: None }, outputs, &Budget::new(ByteSize::mib(64)))
}

fn memory(outputs: &[&str], budget: &Budget) -> Basin {
    open(&BasinConfig { disk: None, memory: Some(MemoryConfig::default()) }, outputs, budget)
}

fn open(config: &BasinConfig, outputs: &[&str], budget: &Budget) -> Basin {
    let spec = |name: &&str| OutputSpec {
        name: (*name).to_owned(),
        start: crate::basin::Start::Oldest,
        full: crate::basin::Full::Wait,
    };
    let specs: Vec<OutputSpec> = outputs.iter().map(spec).collect();
    Basin::open(config, &specs, budget).unwrap().0
}

/// A lane to the peer; the sender is for other lanes' dead letters.
fn lane(basin: &Basin, output: &str, peer: &Arc<Peer>, letters: Letters) -> (Lane, mpsc::Sender<Letter>) {
    shared_lane(basin, output, peer, letters, Budget::new(ByteSize::mib(8)))
}

fn shared_lane(
    basin: &Basin,
    output: &str,
    peer: &Arc<Peer>,
    letters: Letters,
    share: Budget,
) -> (Lane, mpsc::Sender<Letter>) {
    let encoder = encoder(Filter::default(), Undecodable::DeadLetter);
    let (sender, inbox) = mpsc::channel(1);
    let reader = basin.reader(output).unwrap();
    let lane = Lane {
        cursor: reader.cursor(),
        filler: Filler::new(reader, inbox, encoder, (BatchConfig::default(), Duration::from_secs(60)), share),
        sink: Box::new(Faulty(Arc::clone(peer))),
        backoff: Backoff::new(Duration::from_millis(1), Duration::from_millis(2)),
        letters,
        metrics: metrics().output(output),
        gate: Gate::default(),
        report: Arc::new(|_: Finding, _| {}),
        output: output.to_owned(),
    };
    (lane, sender)
}

fn encoder(filter: Filter, undecodable: Undecodable) -> Encoder {
    let format = FormatConfig { xml: Some(Default::default()), ..FormatConfig::default() }.open().unwrap();
    let placer = Placer::new(format.framing(), None, None);
    let shaper = Shaper { filter, ids: format.writes_id(), format, undecodable, takes_letters: false };
    Encoder { shaper, placer, place: None }
}

async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        yield_now().await;
    }
}

fn lag(basin: &Basin, output: &str) -> u64 {
    basin.stats().outputs.iter().find(|stats| stats.name == output).unwrap().lag_events
}

/// Error and Data of each dead letter in a folder.
fn buried(folder: &Path) -> Vec<(String, String)> {
    let file = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let letters = fs::read_to_string(file).unwrap();
    let pair = |line: &str| {
        let letter: serde_json::Value = serde_json::from_str(line).unwrap();
        (letter["error"].as_str().unwrap().to_owned(), data(letter["text"].as_str().unwrap().as_bytes()))
    };
    letters.lines().map(pair).collect()
}
