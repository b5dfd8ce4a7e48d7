//! Lanes and lives against sinks that refuse, fail, hang and vanish.

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
            if !self.0.takes_poison && items.iter().any(|item| item.contains("poison")) {
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
        report: Arc::new(|_: Finding| {}),
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

#[tokio::test]
async fn a_poison_event_goes_to_the_dead_letter_with_the_peers_words_and_the_rest_goes_on_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (basin, peer) = (disk(folder.path(), &["poisoned"]), Peer::with([]));
    let letters = folder.path().join("dead");
    let (lane, _) = lane(&basin, "poisoned", &peer, unbounded(letters.clone()));
    basin.append(batch(&["0", "1", "2", "poison a", "3", "4", "poison b"])).await;
    basin.append(batch(&["5", "6"])).await;
    basin.finish();
    lane.run().await.unwrap();
    assert_eq!(peer.taken(), numbers(0..7));
    let error = "peer refused: field 7 is no number".to_owned();
    assert_eq!(buried(&letters), [(error.clone(), "poison a".into()), (error, "poison b".into())]);
    assert_eq!(lag(&basin, "poisoned"), 0);
    assert_eq!(metrics().output("poisoned").dead_lettered.get(), 2);
    basin.close().await;
}

#[tokio::test]
async fn what_a_receiver_refuses_by_number_goes_to_the_dead_letter_and_is_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let basin = disk(folder.path(), &["particular"]);
    let peer = Peer::with([Answer::Partly(vec![1, 3])]);
    let letters = folder.path().join("dead");
    let (lane, _) = lane(&basin, "particular", &peer, unbounded(letters.clone()));
    basin.append(batch(&["0", "a", "2", "b"])).await;
    basin.finish();
    lane.run().await.unwrap();
    assert_eq!((peer.taken(), peer.calls()), (vec!["0".to_owned(), "2".to_owned()], 1));
    let error = "number 7 is no date".to_owned();
    assert_eq!(buried(&letters), [(error.clone(), "a".into()), (error, "b".into())]);
    let metrics = metrics().output("particular");
    assert_eq!((metrics.events.get(), metrics.refused.get(), metrics.dead_lettered.get()), (2, 2, 2));
    basin.close().await;
}

#[tokio::test]
async fn a_receiver_that_says_when_to_come_again_is_not_asked_before_that() {
    let folder = tempfile::tempdir().unwrap();
    let basin = disk(folder.path(), &["asked"]);
    // Far longer than a pause of these tests, which are a few milliseconds.
    let after = Duration::from_millis(200);
    let peer = Peer::with([Answer::RetryAfter(after)]);
    let (lane, _) = lane(&basin, "asked", &peer, Letters::Nowhere);
    basin.append(batch(&["0"])).await;
    basin.finish();
    let begun = std::time::Instant::now();
    lane.run().await.unwrap();
    assert!(begun.elapsed() >= after);
    assert_eq!((peer.taken(), peer.calls()), (vec!["0".to_owned()], 2));
    basin.close().await;
}

/// Writes when it was received, as a protocol might.
struct Counting;

impl Head for Counting {
    fn write(&mut self, of: &RouteValues<'_, '_>, out: &mut Vec<u8>) {
        let received = of.origin.received.0;
        out.extend_from_slice(format!("{received}|").as_bytes());
    }
}

#[test]
fn what_a_sink_wants_before_each_payload_stands_there_and_can_be_told_from_it() {
    let mut encoder = encoder(Filter::default(), Undecodable::Raw);
    encoder.placer = Placer::new(Framing::Line, None, Some(Box::new(Counting)));
    let mut batch = super::batch::Batch::default();
    encoder.add(&mut batch, &Arc::new(self::batch(&["0", "1"])), Default::default(), Timestamp(0));
    let encoded = batch.encoded();
    for index in 0..2 {
        let (head, payload) = encoded.parts(index);
        assert_eq!(head, b"0|");
        assert!(payload.starts_with(b"<Event") && payload.ends_with(b"</Event>\n"));
    }
    assert_eq!(encoded.part(1, 2).parts(0).0, b"0|");
}

#[tokio::test]
async fn a_named_output_takes_dead_letters_between_its_own_events() {
    let folder = tempfile::tempdir().unwrap();
    let basin = disk(folder.path(), &["picky", "patient"]);
    let picky = Peer::with([]);
    let patient = Arc::new(Peer { takes_poison: true, ..Peer::default() });
    patient.script.lock().unwrap().extend([Answer::Retry, Answer::CheckpointFirst]);
    let (patient_lane, inbox) = lane(&basin, "patient", &patient, Letters::Nowhere);
    let (picky_lane, _) = lane(&basin, "picky", &picky, Letters::Lane(inbox));
    basin.append(batch(&["0", "poison"])).await;
    basin.finish();
    let (one, other) = tokio::join!(picky_lane.run(), patient_lane.run());
    one.and(other).unwrap();
    let mut patients = patient.taken();
    let letter = patients.iter().position(|item| item.starts_with("<Undecodable")).unwrap();
    let letter = patients.remove(letter);
    assert!(letter.contains("peer refused: field 7 is no number") && letter.contains("poison"), "{letter}");
    assert_eq!((picky.taken(), patients), (numbers(0..1), vec!["0".into(), "poison".into()]));
    assert_eq!((lag(&basin, "picky"), lag(&basin, "patient")), (0, 0));
    basin.close().await;
}

#[tokio::test]
async fn what_a_sink_holds_keeps_the_cursor_back_until_it_is_confirmed_and_goes_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (basin, peer) = (disk(folder.path(), &["holding"]), Peer::with([Answer::Held, Answer::Held]));
    let (lane, _) = lane(&basin, "holding", &peer, Letters::Nowhere);
    let mut tasks = JoinSet::new();
    tasks.spawn(lane.run());
    for (number, held) in [("0", 1), ("1", 2)] {
        basin.append(batch(&[number])).await;
        until(|| peer.held.lock().unwrap().len() == held).await;
        assert_eq!(lag(&basin, "holding"), held as u64);
    }
    basin.append(batch(&["2"])).await;
    until(|| lag(&basin, "holding") == 0).await;
    assert_eq!((peer.taken(), *peer.settled.lock().unwrap()), (numbers(0..3), 0));
    peer.script.lock().unwrap().push_back(Answer::Held);
    basin.append(batch(&["3"])).await;
    until(|| peer.held.lock().unwrap().len() == 1).await;
    assert_eq!(lag(&basin, "holding"), 1);
    basin.finish();
    tasks.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!((peer.taken(), *peer.settled.lock().unwrap()), (numbers(0..4), 1));
    let metrics = metrics().output("holding");
    assert_eq!((lag(&basin, "holding"), metrics.events.get(), metrics.in_flight_events.get()), (0, 4, 0));
    basin.close().await;
}

#[tokio::test]
async fn dead_letters_of_another_output_are_not_held_and_not_mixed_with_what_is() {
    let folder = tempfile::tempdir().unwrap();
    let basin = disk(folder.path(), &["choosy", "keeping"]);
    let choosy = Peer::with([]);
    let keeping = Arc::new(Peer { takes_poison: true, ..Peer::default() });
    keeping.script.lock().unwrap().extend([Answer::Held, Answer::Held]);
    let (keeping_lane, inbox) = lane(&basin, "keeping", &keeping, Letters::Nowhere);
    let (choosy_lane, _) = lane(&basin, "choosy", &choosy, Letters::Lane(inbox));
    basin.append(batch(&["0", "poison"])).await;
    basin.finish();
    let (one, other) = tokio::join!(choosy_lane.run(), keeping_lane.run());
    one.and(other).unwrap();
    assert_eq!((keeping.taken().len(), *keeping.settled.lock().unwrap()), (3, 2));
    assert_eq!((lag(&basin, "choosy"), lag(&basin, "keeping")), (0, 0));
    basin.close().await;
}

#[tokio::test]
async fn what_cannot_be_read_goes_to_the_dead_letter_as_it_came_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (basin, peer) = (disk(folder.path(), &["strict"]), Peer::with([]));
    let letters = folder.path().join("dead");
    let (lane, _) = lane(&basin, "strict", &peer, unbounded(letters.clone()));
    let mut half = batch(&["0", "1"]);
    half.notes = vec![Note { event: 0, kind: NoteKind::Undecodable, detail: "cut off".into() }];
    basin.append(half).await;
    basin.finish();
    lane.run().await.unwrap();
    assert_eq!(
        (peer.taken(), buried(&letters)),
        (vec!["1".to_owned()], vec![("cut off".into(), "0".into())])
    );
    basin.close().await;
}

#[test]
fn what_a_filter_rejects_at_a_glance_is_read_no_further_but_for_the_dead_letter() {
    let filter: crate::filter::FilterConfig = toml::from_str("keep = { id = 2 }").unwrap();
    let filter = filter.compile().unwrap();
    let mut broken = batch(&["0"]);
    broken.text = String::from_utf8_lossy(&broken.text).replace("</System>", "</Systen>").into();
    let broken = Arc::new(broken);
    for (undecodable, expected) in [(Undecodable::Raw, (1, 0)), (Undecodable::DeadLetter, (0, 1))] {
        let mut batch = super::batch::Batch::default();
        encoder(filter.clone(), undecodable).add(
            &mut batch,
            &broken,
            crate::basin::Position::default(),
            Timestamp(0),
        );
        assert_eq!((batch.filtered, batch.dead.len()), expected, "{undecodable:?}");
    }
}

#[tokio::test]
async fn what_the_source_does_not_trust_goes_to_the_dead_letter_instead() {
    let folder = tempfile::tempdir().unwrap();
    let (basin, peer) = (disk(folder.path(), &["wary"]), Peer::with([]));
    let letters = folder.path().join("dead");
    let (lane, _) = lane(&basin, "wary", &peer, unbounded(letters.clone()));
    let mut both = batch(&["0", "1"]);
    both.notes = vec![Note { event: 0, kind: NoteKind::Distrusted, detail: "dc1".into() }];
    basin.append(both).await;
    basin.finish();
    lane.run().await.unwrap();
    assert_eq!(peer.taken(), ["1"]);
    let error = "the source does not trust it: it names the computer `dc1`".to_owned();
    assert_eq!(buried(&letters), [(error, "0".to_owned())]);
    basin.close().await;
}

#[tokio::test]
async fn a_lane_waits_for_a_dead_letter_that_cannot_take() {
    let folder = tempfile::tempdir().unwrap();
    let (basin, peer) = (disk(folder.path(), &["waiting"]), Peer::with([]));
    let blocked = folder.path().join("blocked");
    fs::write(&blocked, "a file where the folder should be").unwrap();
    let (lane, _) = lane(&basin, "waiting", &peer, unbounded(blocked.join("dead")));
    basin.append(batch(&["poison", "after"])).await;
    let operator = async {
        until(|| peer.calls() >= 2).await;
        for _ in 0..100 {
            yield_now().await;
        }
        assert_eq!((peer.taken().len(), lag(&basin, "waiting")), (0, 2), "nothing passes the poison");
        fs::remove_file(&blocked).unwrap();
        basin.finish();
    };
    let (ended, ()) = tokio::join!(lane.run(), operator);
    ended.unwrap();
    assert_eq!((peer.taken(), buried(&blocked.join("dead")).len()), (vec!["after".to_owned()], 1));
    basin.close().await;
}

#[tokio::test]
async fn a_dead_letter_that_is_full_deletes_nothing_and_the_lane_waits_until_there_is_room() {
    let root = tempfile::tempdir().unwrap();
    let (basin, peer) = (disk(root.path(), &["full"]), Peer::with([]));
    let dead = root.path().join("dead");
    fs::create_dir(&dead).unwrap();
    let earlier = dead.join("2026-01-01.jsonl");
    fs::write(&earlier, "x".repeat(3000)).unwrap();
    let (lane, _) = lane(&basin, "full", &peer, Letters::Folder { path: dead.clone(), bytes_max: 3001 });
    basin.append(batch(&["poison", "after"])).await;
    let operator = async {
        until(|| peer.calls() >= 2).await;
        for _ in 0..100 {
            yield_now().await;
        }
        assert_eq!((peer.taken().len(), lag(&basin, "full")), (0, 2), "nothing passes the poison");
        assert_eq!(fs::metadata(&earlier).unwrap().len(), 3000);
        fs::remove_file(&earlier).unwrap();
        basin.finish();
    };
    let (ended, ()) = tokio::join!(lane.run(), operator);
    ended.unwrap();
    assert_eq!((peer.taken(), buried(&dead).len()), (vec!["after".to_owned()], 1));
    basin.close().await;
}

#[tokio::test]
async fn a_hanging_sink_holds_back_its_own_cursor_only() {
    let folder = tempfile::tempdir().unwrap();
    let basin = disk(folder.path(), &["hanging", "quick"]);
    let go_on = Arc::new(Notify::new());
    let (hanging, quick) = (Peer::with([Answer::Hang(Arc::clone(&go_on))]), Peer::with([]));
    let (hanging_lane, _) = lane(&basin, "hanging", &hanging, Letters::Nowhere);
    let (quick_lane, _) = lane(&basin, "quick", &quick, Letters::Nowhere);
    let operator = async {
        for number in 0..20 {
            assert_eq!(basin.append(batch(&[&number.to_string()])).await, Outcome::Kept);
        }
        until(|| lag(&basin, "quick") == 0).await;
        assert_eq!((quick.taken(), lag(&basin, "hanging")), (numbers(0..20), 20));
        go_on.notify_one();
        basin.finish();
    };
    let (one, other, ()) = tokio::join!(hanging_lane.run(), quick_lane.run(), operator);
    one.and(other).unwrap();
    assert_eq!(hanging.taken(), numbers(0..20));
    basin.close().await;
}

#[tokio::test]
async fn a_batch_that_fails_is_sent_again_until_it_is_taken_and_order_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let basin = disk(folder.path(), &["failing"]);
    let peer = Peer::with([Answer::Retry, Answer::CheckpointFirst, Answer::Retry, Answer::Retry]);
    let (lane, _) = lane(&basin, "failing", &peer, Letters::Nowhere);
    basin.append(batch(&["0", "1"])).await;
    basin.append(batch(&["2"])).await;
    basin.finish();
    lane.run().await.unwrap();
    assert_eq!((peer.taken(), metrics().output("failing").retries.get()), (numbers(0..3), 3));
    basin.close().await;
}

/// A source's own bookmarks come without events and without a time; they are nobody's wait.
#[tokio::test]
async fn what_holds_no_events_is_not_in_the_time_from_receipt_to_confirmation() {
    let folder = tempfile::tempdir().unwrap();
    let basin = disk(folder.path(), &["timed"]);
    let peer = Peer::with([]);
    let (lane, _) = lane(&basin, "timed", &peer, Letters::Nowhere);
    let bookmark = Bookmark { key: "test/table".into(), value: "1".into() };
    basin.append(batch(&["0"])).await;
    basin.append(EventBatch { bookmark: Some(bookmark), ..batch(&[]) }).await;
    basin.append(batch(&["1", "2"])).await;
    basin.finish();
    lane.run().await.unwrap();
    let exposition = metrics().exposition();
    let count = "forebay_output_delivery_seconds_count{output=\"timed\"} ";
    let found = exposition.lines().find_map(|line| line.strip_prefix(count));
    assert_eq!((peer.taken(), found), (numbers(0..3), Some("2")));
    basin.close().await;
}

#[tokio::test]
async fn a_far_end_that_is_gone_ends_the_lane_and_leaves_the_rest_in_the_basin() {
    let folder = tempfile::tempdir().unwrap();
    let (basin, peer) = (disk(folder.path(), &["gone"]), Peer::with([Answer::Gone]));
    let (lane, _) = lane(&basin, "gone", &peer, Letters::Nowhere);
    basin.append(batch(&["0"])).await;
    let error = lane.run().await.unwrap_err();
    assert!(matches!(error, LaneError::Gone { .. }), "{error}");
    assert_eq!(lag(&basin, "gone"), 1);
    basin.close().await;
}

#[tokio::test]
async fn what_arrives_while_a_batch_is_sent_is_encoded_meanwhile_and_becomes_one_batch() {
    let go_on = Arc::new(Notify::new());
    let peer = Peer::with([Answer::Hang(Arc::clone(&go_on))]);
    let budget = Budget::new(ByteSize::mib(64));
    let basin = memory(&["busy"], &budget);
    let share = Budget::new(ByteSize::mib(8));
    let (lane, _) = shared_lane(&basin, "busy", &peer, Letters::Nowhere, share.clone());
    let mut appends = JoinSet::new();
    let operator = async {
        for number in 0..6 {
            let append = basin.clone();
            appends.spawn(async move { append.append(batch(&[&number.to_string()])).await });
            until(|| basin.stats().pending == number + 1).await;
        }
        // Text and encoding of all six count in the output's share.
        until(|| share.used() >= 6 * 1024).await;
        go_on.notify_one();
        until(|| lag(&basin, "busy") == 0).await;
        basin.finish();
    };
    let (ended, ()) = tokio::join!(lane.run(), operator);
    ended.unwrap();
    assert_eq!((peer.taken(), peer.batches()), (numbers(0..6), vec![1, 5]));
    assert_eq!(share.used(), 0, "what was sent is given back");
}

/// The contract of `memory_max`: intake takes all it can get, and outputs go on.
#[tokio::test]
async fn lanes_drain_while_intake_has_taken_all_the_memory_it_may() {
    const BATCHES: usize = 64;
    let pipeline = checked(
        "[limits]\nmemory_max = '4MiB'\n[basin.memory]\n[source.a.replay]\npath = '-'\n[output.full]\nsink.stdout = {}\n",
    );
    let budgets = Budgets::new(&pipeline);
    assert_eq!(budgets.max(), 4 << 20);
    let go_on = Arc::new(Notify::new());
    let peer = Peer::with([Answer::Hang(Arc::clone(&go_on))]);
    let basin = memory(&["full"], &budgets.intake);
    let (lane, _) = shared_lane(&basin, "full", &peer, Letters::Nowhere, budgets.shares[0].clone());
    let text = "t".repeat(200 << 10);
    let mut appends = JoinSet::new();
    for _ in 0..BATCHES {
        let (basin, batch) = (basin.clone(), batch(&[&text]));
        appends.spawn(async move { basin.append(batch).await });
    }
    let operator = async {
        // One more batch does not fit.
        until(|| budgets.intake.max().0 - budgets.intake.used() < text.len() as u64).await;
        assert!(basin.stats().pending < BATCHES as u64 && budgets.used() <= budgets.max());
        go_on.notify_one();
        while let Some(outcome) = appends.join_next().await {
            assert_eq!(outcome.unwrap(), Outcome::Kept);
        }
        basin.finish();
    };
    let (ended, ()) = tokio::join!(lane.run(), operator);
    ended.unwrap();
    assert_eq!((peer.taken().len(), budgets.used()), (BATCHES, 0));
}

#[test]
fn what_a_sink_may_hold_is_set_apart_and_never_more_than_there_is() {
    for (memory, memory_max, hold) in
        [("256MiB", 256 << 20, 32 << 20), ("64MiB", 64 << 20, 24 << 20), ("4MiB", 4 << 20, 0)]
    {
        let budgets = Budgets::new(&checked(&format!(
            "[limits]\nmemory_max = '{memory}'\n[basin.disk]\npath = '/b'\n[source.a.replay]\npath = '-'\n\
             [output.x.sink.s3]\nbucket = 'logs'\n"
        )));
        assert_eq!((budgets.max(), budgets.used()), (memory_max, hold), "{memory}");
        assert_eq!(budgets.holds, [hold], "{memory}");
    }
}

fn checked(text: &str) -> Pipeline {
    let file = SourceFile { name: "p.toml".into(), text: text.into() };
    let checked = config::check(vec![file], &Process { absent: Severity::Error });
    assert_eq!(checked.told(), "");
    checked.pipeline.unwrap()
}

/// A pipeline of a file of events, a basin and outputs.
fn pipeline(folder: &Path, basin: &str, outputs: &str) -> Pipeline {
    let folder = folder.display();
    checked(&format!(
        "[basin]\n{basin}\n[source.a.evtx]\npath = '{folder}/logs'\npoll = '10ms'\n{}",
        outputs.replace("ROOT", &folder.to_string())
    ))
}

fn put_sample(folder: &Path) {
    fs::create_dir(folder.join("logs")).unwrap();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/sample.evtx");
    fs::copy(sample, folder.join("logs/sample.evtx")).unwrap();
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

const BLOCKED: &str = "[output.blocked]\nsink.file.path = 'ROOT/file/x.json'\n";

/// Stops a pipeline whose output never takes anything once its events have come in.
async fn stopped(folder: &Path, basin: &str) -> Ended {
    put_sample(folder);
    fs::write(folder.join("file"), "where a folder should be").unwrap();
    let pipeline = pipeline(folder, basin, BLOCKED);
    let (orders, received) = mpsc::channel(4);
    let options = Options { once: false, drain: Duration::from_millis(20) };
    let status = Arc::new(Status::default());
    let run = super::run(pipeline, options, &|| None, received, Arc::clone(&status));
    let operator = async {
        until(|| metrics().output("blocked").retries.get() > 0).await;
        orders.send(Order::Stop).await.unwrap();
    };
    tokio::join!(run, operator).0.unwrap()
}

#[tokio::test]
async fn a_drain_that_runs_out_of_time_is_an_orderly_end_only_where_a_disk_holds_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(stopped(folder.path(), "memory = {}").await, Ended::Unfinished);
    let folder = tempfile::tempdir().unwrap();
    let disk = format!("disk.path = '{}/basin'", folder.path().display());
    assert_eq!(stopped(folder.path(), &disk).await, Ended::Kept);
}

#[tokio::test]
async fn a_reload_swaps_what_is_right_and_keeps_the_old_on_any_failure() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    put_sample(root);
    let basin = format!("disk.path = '{}/basin'", root.display());
    let first = "[output.first]\nsink.file.path = 'ROOT/out/first.json'\n";
    let second = format!("{first}[output.second]\nsink.file.path = 'ROOT/out/second.json'\n");
    // What is right, and cannot start: its port is taken.
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("{first}[http]\nlisten = '{}'\n", port.local_addr().unwrap());
    let cannot = pipeline(root, &basin, &taken);
    let moved = pipeline(root, &format!("disk.path = '{}/moved'", root.display()), first);
    let offers: Mutex<VecDeque<Option<Pipeline>>> =
        Mutex::new([None, Some(moved), Some(cannot), Some(pipeline(root, &basin, &second))].into());
    let asked = AtomicBool::new(false);
    let reload = || {
        asked.store(true, Ordering::Release);
        offers.lock().unwrap().pop_front().unwrap()
    };
    let (orders, received) = mpsc::channel(4);
    let options = Options { once: false, drain: Duration::from_secs(10) };
    let status = Arc::new(Status::default());
    let run = super::run(pipeline(root, &basin, first), options, &reload, received, Arc::clone(&status));
    let sample = |name: &str| {
        let logs = root.join("logs");
        fs::copy(logs.join("sample.evtx"), logs.join(name)).unwrap();
    };
    let (first, second) = (root.join("out/first.json"), root.join("out/second.json"));
    let operator = async {
        until(|| lines(&first) == 160).await;
        for (round, more) in [(2, "wrong.evtx"), (3, "moved.evtx"), (4, "cannot.evtx")] {
            asked.store(false, Ordering::Release);
            orders.send(Order::Reload).await.unwrap();
            until(|| asked.load(Ordering::Acquire)).await;
            sample(more);
            until(|| lines(&first) == round * 160).await;
        }
        orders.send(Order::Reload).await.unwrap();
        until(|| second.exists()).await;
        sample("right.evtx");
        until(|| lines(&first) == 5 * 160 && lines(&second) >= 160).await;
        orders.send(Order::Stop).await.unwrap();
    };
    let (ended, ()) = tokio::join!(run, operator);
    assert_eq!(ended.unwrap(), Ended::Kept);
    assert_eq!(lines(&first), 5 * 160, "nothing is lost or repeated by a change-over");
}

#[tokio::test]
async fn what_nobody_can_read_is_once_in_the_output_that_takes_anothers_dead_letters_with_its_notes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::write(root.join("in.xml"), "<Event><System></Event>\n<Event><System/></Event>\n").unwrap();
    let pipeline = checked(&format!(
        "[basin.disk]\npath = '{root}/basin'\n[source.a.replay]\npath = '{root}/in.xml'\n\
         [output.strict]\nundecodable = 'dead-letter'\ndead_letter.output = 'all'\n\
         sink.file.path = '{root}/out/strict.json'\n\
         [output.all]\nsink.file.path = '{root}/out/all.json'\n",
        root = root.display()
    ));
    let (_orders, received) = mpsc::channel(1);
    let options = Options { once: true, drain: Duration::from_secs(10) };
    let status = Arc::new(Status::default());
    assert_eq!(super::run(pipeline, options, &|| None, received, status).await.unwrap(), Ended::Kept);
    let json = |name: &str| -> Vec<serde_json::Value> {
        let text = fs::read_to_string(root.join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all = json("out/all.json");
    let (raw, read): (Vec<_>, Vec<_>) = all.iter().partition(|event| event["Forebay"]["Raw"].is_string());
    assert_eq!((raw.len(), read.len(), json("out/strict.json").len()), (1, 1, 1), "{all:?}");
    let forebay = &raw[0]["Forebay"];
    assert!(forebay["Id"].is_string() && forebay["Notes"].is_array(), "{forebay}");
}

/// The four figures that only the running pipeline knows are set, and the one that counts moves.
#[tokio::test]
async fn memory_the_size_of_the_basin_and_what_was_skipped_are_in_the_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    put_sample(root);
    for copy in 0..40 {
        let to = root.join(format!("logs/{copy}.evtx"));
        fs::copy(root.join("logs/sample.evtx"), to).unwrap();
    }
    fs::write(root.join("file"), "where a folder should be").unwrap();
    let basin =
        format!("disk = {{ path = '{}/basin', size_max = '4MiB', segment_size = '1MiB' }}", root.display());
    let output = "[output.skipping]\nfull = 'skip-oldest'\nsink.file.path = 'ROOT/file/x.json'\n";
    let pipeline = pipeline(root, &basin, output);
    let (orders, received) = mpsc::channel(4);
    let options = Options { once: false, drain: Duration::from_millis(20) };
    let run = super::run(pipeline, options, &|| None, received, Arc::new(Status::default()));
    let operator = async {
        until(|| metrics().output("skipping").skipped.get() > 0).await;
        orders.send(Order::Stop).await.unwrap();
    };
    tokio::join!(run, operator).0.unwrap();
    assert!(metrics().basin.max_bytes.get() > 0);
    assert!(metrics().memory.max_bytes.get() > 0 && metrics().memory.used_bytes.get() >= 0);
}
