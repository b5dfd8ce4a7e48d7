//! Hosts against a collector made for the test, which answers as each test says.

use super::*;
use crate::fleet::ledger::Fate;
use crate::wsman::charset::{self, Charset};
use crate::wsman::subscription::{Endpoint, Policy, Retry, Subscription};
use crate::wsman::{
    Answer, Bookmark, Guid, Message, Offer, QueryList, Reference, Refusal, Reply, Request, sldc,
};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of one delivery.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Say {
    Ack,
    /// Takes the events, and the answer is lost.
    Lose,
    /// A status without a body; the events are not taken.
    Status(u16),
    Refuse,
    /// An Ack of another message.
    WrongAck,
}

/// A collector of a hundred lines.
struct Fake {
    address: String,
    subscription: Mutex<Subscription>,
    /// Says what becomes of a delivery by how many came before.
    says: Box<dyn Fn(usize) -> Say + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    deliveries: usize,
    /// Of each machine.
    bookmarks: HashMap<String, String>,
    /// Machine and text of each event, in the order in which they were taken.
    events: Vec<(String, String)>,
    beginnings: usize,
    heartbeats: usize,
    enumerations: usize,
    ends: usize,
    farewells: usize,
    refused: usize,
}

fn subscription() -> Subscription {
    Subscription {
        name: "all".into(),
        query: QueryList::of(generate::CHANNELS.map(|(channel, _)| (channel, "*"))),
        retry: Retry { interval: Duration::from_millis(10), total: 5 },
        ..Subscription::default()
    }
}

impl Fake {
    async fn start(says: impl Fn(usize) -> Say + Send + Sync + 'static) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let fake = Arc::new(Self {
            address,
            subscription: Mutex::new(subscription()),
            says: Box::new(says),
            state: Mutex::default(),
        });
        let serving = Arc::clone(&fake);
        std::mem::drop(tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let fake = Arc::clone(&serving);
                std::mem::drop(tokio::task::spawn_local(async move { fake.serve(stream).await }));
            }
        }));
        fake
    }

    fn url(&self) -> String {
        format!("http://{}/wsman/SubscriptionManager/WEC", self.address)
    }

    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut bytes = Vec::new();
        loop {
            let head = loop {
                if let Some(at) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
                    break at + 4;
                }
                if stream.read_buf(&mut bytes).await.ok()? == 0 {
                    return None;
                }
            };
            let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
            let length: usize =
                text.lines().find_map(|line| line.strip_prefix("Content-Length: "))?.parse().unwrap();
            while bytes.len() < head + length {
                if stream.read_buf(&mut bytes).await.ok()? == 0 {
                    return None;
                }
            }
            let body = bytes[head..head + length].to_vec();
            bytes.drain(..head + length);
            let (status, answer) = self.answer(&body, text.contains("Content-Encoding: SLDC"))?;
            let mut out =
                format!("HTTP/1.1 {status} \r\nContent-Length: {}\r\n\r\n", answer.len()).into_bytes();
            out.extend_from_slice(&answer);
            stream.write_all(&out).await.ok()?;
        }
    }

    /// `None`: the connection ends without an answer.
    fn answer(&self, body: &[u8], is_sldc: bool) -> Option<(u16, Vec<u8>)> {
        let mut plain = Vec::new();
        if !is_sldc || sldc::decode(body, 1 << 24, &mut plain).is_err() {
            plain = body.to_vec();
        }
        let mut text = Vec::new();
        if charset::decode(&plain, Some(Charset::Utf16), &mut text).is_err() {
            return Some((400, Vec::new()));
        }
        let text = String::from_utf8(text).unwrap();
        let request = match Request::parse(&text) {
            Ok(request) => request,
            Err(rejected) => {
                return Some((500, self.written(Reply::Fault(rejected.why.fault("fake")), None)));
            }
        };
        let id = request.header.message_id.as_deref();
        let mut state = self.state.lock().unwrap();
        let machine = request.header.machine_id.as_deref().unwrap_or_default().to_owned();
        let (status, reply) = match &request.message {
            Message::Enumerate { .. } => {
                state.enumerations += 1;
                let bookmark = state.bookmarks.get(&machine).cloned();
                (200, Reply::EnumerateResponse(vec![self.offer(bookmark)]))
            }
            Message::FullDuplex => {
                state.ends += 1;
                return Some((204, Vec::new()));
            }
            Message::SubscriptionEnd(_) => {
                state.farewells += 1;
                (200, Reply::Ack)
            }
            Message::Heartbeat => {
                state.heartbeats += 1;
                (200, Reply::Ack)
            }
            Message::Events(events) => {
                let say = (self.says)(state.deliveries);
                state.deliveries += 1;
                if matches!(say, Say::Ack | Say::Lose) {
                    state.beginnings += events.started.len();
                    let bookmark = request.header.bookmark.as_ref().and_then(Bookmark::text).unwrap();
                    state.bookmarks.insert(machine.clone(), bookmark.to_owned());
                    state.events.extend(events.iter().map(|event| (machine.clone(), event.to_owned())));
                }
                match say {
                    Say::Ack => (200, Reply::Ack),
                    Say::Lose => return None,
                    Say::Status(status) => return Some((status, Vec::new())),
                    Say::Refuse => {
                        state.refused += 1;
                        (500, Reply::Fault(Refusal::DeliveryRefused.fault("fake")))
                    }
                    Say::WrongAck => return Some((200, self.written(Reply::Ack, Some("uuid:0")))),
                }
            }
            other => panic!("{other:?}"),
        };
        Some((status, self.written(reply, id)))
    }

    fn offer(&self, bookmark: Option<String>) -> Offer<'static> {
        let subscription = self.subscription.lock().unwrap().clone();
        let address = format!("HTTP://{}/wsman/subscriptions/1", self.address);
        let endpoint = Endpoint { address, policy: Policy::Open };
        let nil = Guid([0; 16]);
        let version = subscription.version(&endpoint);
        let of_version = Reference {
            prefix: "".into(),
            namespace: "".into(),
            name: "Version".into(),
            text: version.to_string().into(),
        };
        Offer {
            version,
            message_id: nil,
            operation_id: nil,
            references: vec![Reference::identifier("219C5353-5F3D-4CD7-A644-F6B69E57C1C1"), of_version],
            subscription: Cow::Owned(subscription),
            endpoint: Cow::Owned(endpoint),
            bookmark: bookmark.map(Bookmark::kept),
        }
    }

    fn written(&self, reply: Reply<'_>, relates_to: Option<&str>) -> Vec<u8> {
        let (mut text, mut body) = (String::new(), Vec::new());
        Answer::new(reply, Guid([1; 16]), relates_to).write(&mut text);
        charset::encode(&text, Charset::Utf16, &mut body);
        body
    }
}

fn settings(hosts: u32, folder: &tempfile::TempDir) -> Settings {
    Settings {
        hosts,
        origin: Origin::Generated { variants: 60 },
        refresh: Duration::from_millis(200),
        batch: 7,
        ledger: Some(folder.path().join("ledger")),
        ..Settings::default()
    }
}

fn plan(fake: &Fake, settings: Settings) -> Plan {
    let pool = Pool::generated(settings.seed, 60, settings.first_record);
    Plan::new(&fake.url(), None, None, Arc::new(pool), settings).unwrap()
}

/// Runs the fleet and holds what the collector took against its ledger.
async fn run_and_verify(fake: &Fake, settings: Settings) -> (Report, Verdict) {
    let path = settings.ledger.clone().unwrap();
    let report = run(plan(fake, settings), CancellationToken::new(), |_| {}).await.unwrap();
    (report, verified(fake, &path))
}

fn verified(fake: &Fake, ledger: &Path) -> Verdict {
    let mut verify =
        Verify::open(ledger, |head| Ok(Pool::generated(head.seed, 60, head.first_record))).unwrap();
    let output = tempfile::tempdir().unwrap();
    let text: String =
        fake.state.lock().unwrap().events.iter().map(|(_, event)| format!("{event}\n")).collect();
    std::fs::write(output.path().join("events.xml"), text).unwrap();
    verify.output(output.path(), &|_| unreachable!("it is no event log")).unwrap();
    verify.finish()
}

/// Each test is a future on one thread, fake collector included.
fn test(body: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tasks = tokio::task::LocalSet::new();
    let within = async { timeout(Duration::from_secs(60), body).await.expect("a test takes seconds") };
    tasks.block_on(&runtime, within);
}

#[test]
fn everything_arrives_letter_by_letter_in_order_and_once() {
    test(async {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake::start(|_| Say::Ack).await;
        let settings = Settings { events: Some(1000), ..settings(5, &folder) };
        let (report, verdict) = run_and_verify(&fake, settings).await;
        assert!(verdict.is_good(), "{verdict}");
        assert_eq!((report.acknowledged, verdict.acknowledged, verdict.delivered), (1000, 1000, 1000));
        assert_eq!((verdict.duplicated, verdict.compared, report.failures), (0, 1000, 0), "{report}");
        let state = fake.state.lock().unwrap();
        assert_eq!((state.beginnings, state.farewells), (5, 5), "each host begins and ends once");
        assert!(state.ends >= 10, "an End follows each Enumerate and each SubscriptionEnd");
        for (machine, event) in &state.events {
            assert!(event.contains(&format!("<Computer>{machine}</Computer>")), "{event}");
        }
    });
}

#[test]
fn what_is_not_acknowledged_is_sent_again() {
    test(async {
        for say in [Say::Status(503), Say::Status(500), Say::Status(200), Say::WrongAck] {
            let folder = tempfile::tempdir().unwrap();
            let fake = Fake::start(move |nth| if nth % 3 == 1 { say } else { Say::Ack }).await;
            // Others may take every answer that is good.
            fake.subscription.lock().unwrap().retry.total = 100;
            let settings = Settings { events: Some(300), ..settings(3, &folder) };
            let (report, verdict) = run_and_verify(&fake, settings).await;
            assert!(verdict.is_good(), "{say:?}: {verdict}");
            assert_eq!((verdict.delivered, verdict.duplicated), (300, 0), "{say:?}");
            assert!(report.failures > 10 && report.resent == report.failures, "{say:?}: {report}");
        }
    });
}

#[test]
fn a_lost_answer_makes_a_duplicate_and_no_loss() {
    test(async {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake::start(|nth| if nth % 5 == 2 { Say::Lose } else { Say::Ack }).await;
        let settings = Settings { events: Some(300), ..settings(2, &folder) };
        let (_, verdict) = run_and_verify(&fake, settings).await;
        assert_eq!((verdict.lost, verdict.altered, verdict.delivered), (0, 0, 300), "{verdict}");
        assert!(verdict.duplicated > 0);
    });
}

#[test]
fn a_host_that_is_refused_asks_anew_and_goes_on_from_the_bookmark() {
    test(async {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake::start(|nth| if nth == 4 { Say::Refuse } else { Say::Ack }).await;
        let settings = Settings { events: Some(100), ..settings(1, &folder) };
        let (report, verdict) = run_and_verify(&fake, settings).await;
        assert!(verdict.is_good(), "{verdict}");
        assert_eq!((report.refused, verdict.delivered, verdict.duplicated), (1, 100, 0));
        let state = fake.state.lock().unwrap();
        assert!(state.enumerations >= 2);
        assert_eq!(
            (state.beginnings, state.farewells),
            (1, 1),
            "no goodbye to who refused, no new beginning"
        );
    });
}

#[test]
fn a_host_gives_up_after_its_retries_and_comes_back() {
    test(async {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake::start(|nth| if (3..9).contains(&nth) { Say::Status(503) } else { Say::Ack }).await;
        let settings = Settings { events: Some(100), ..settings(1, &folder) };
        let (report, verdict) = run_and_verify(&fake, settings).await;
        assert!(verdict.is_good(), "{verdict}");
        assert_eq!((report.given_up, report.failures, verdict.delivered), (1, 6, 100));
    });
}

#[test]
fn a_second_run_goes_on_from_the_ledger_and_the_bookmark() {
    test(async {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake::start(|_| Say::Ack).await;
        let settings = Settings { events: Some(60), ..settings(2, &folder) };
        run_and_verify(&fake, settings.clone()).await;
        let pace = Pace::Open(Schedule::steady(500.0));
        let (_, verdict) = run_and_verify(&fake, Settings { pace, ..settings }).await;
        assert!(verdict.is_good(), "{verdict}");
        assert_eq!((verdict.acknowledged, verdict.duplicated), (120, 0));
        assert_eq!(fake.state.lock().unwrap().beginnings, 2);
    });
}

#[test]
fn what_was_there_before_comes_when_the_subscription_asks_for_it() {
    test(async {
        for read_existing in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let fake = Fake::start(|_| Say::Ack).await;
            fake.subscription.lock().unwrap().read_existing = read_existing;
            let settings = Settings { existing: 100, events: Some(100), ..settings(1, &folder) };
            let (_, verdict) = run_and_verify(&fake, settings).await;
            assert!(verdict.is_good(), "{verdict}");
            let state = fake.state.lock().unwrap();
            let first = state.events[0].1.contains("<EventRecordID>1</EventRecordID>");
            assert_eq!((first, state.beginnings), (read_existing, usize::from(!read_existing)));
        }
    });
}

#[test]
fn what_was_there_before_is_the_same_in_every_run_that_says_since_when() {
    test(async {
        let mut runs = Vec::new();
        for _ in 0..2 {
            let folder = tempfile::tempdir().unwrap();
            let fake = Fake::start(|_| Say::Ack).await;
            fake.subscription.lock().unwrap().read_existing = true;
            let since = Timestamp::parse(b"2026-01-02T03:04:05Z");
            let settings = Settings { existing: 100, existing_since: since, ..settings(1, &folder) };
            let (_, verdict) = run_and_verify(&fake, Settings { events: Some(100), ..settings }).await;
            assert!(verdict.is_good(), "{verdict}");
            let state = fake.state.lock().unwrap();
            runs.push(state.events[..100].iter().map(|event| event.1.clone()).collect::<Vec<_>>());
        }
        assert!(runs[0][0].contains("SystemTime='2026-01-02T03:04:05.0000000Z'"), "{}", runs[0][0]);
        assert_eq!(runs[0], runs[1]);
    });
}

#[test]
fn what_a_subscription_says_is_done() {
    test(async {
        let raw = Subscription {
            content: crate::wsman::subscription::Content::Raw,
            compressed: false,
            ..subscription()
        };
        let logons = Subscription {
            query: QueryList::of([("Security", "*[System[EventID=4624]]")]),
            ..subscription()
        };
        let inline = Subscription { cdata: false, ..subscription() };
        let small = Subscription { max_envelope_bytes: 24_000, ..subscription() };
        for wanted in [raw, logons, inline, small] {
            let folder = tempfile::tempdir().unwrap();
            let fake = Fake::start(|_| Say::Ack).await;
            *fake.subscription.lock().unwrap() = wanted.clone();
            let settings = Settings { events: Some(50), batch: 50, ..settings(1, &folder) };
            let (report, verdict) = run_and_verify(&fake, settings).await;
            assert!(verdict.is_good() && verdict.delivered == 50, "{wanted:?}: {verdict}");
            let state = fake.state.lock().unwrap();
            let text = &state.events[0].1;
            assert_eq!(
                text.contains("<RenderingInfo"),
                wanted.content != crate::wsman::subscription::Content::Raw
            );
            if wanted.query.queries[0].parts.len() == 1 {
                assert!(state.events.iter().all(|(_, event)| event.contains("<EventID>4624<")));
            }
            if wanted.max_envelope_bytes < 100_000 {
                assert!(report.batches > 5, "{report}");
            }
        }
    });
}

#[test]
fn a_new_version_takes_the_place_of_the_old_one() {
    test(async {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake::start(|_| Say::Ack).await;
        let stop = CancellationToken::new();
        let settings =
            Settings { pace: Pace::Open(Schedule::steady(200.0)), batch: 5, ..settings(1, &folder) };
        let path = settings.ledger.clone().unwrap();
        let running = run(plan(&fake, settings), stop.clone(), |_| {});
        let changing = async {
            sleep(Duration::from_millis(300)).await;
            fake.subscription.lock().unwrap().query = QueryList::of([("System", "*")]);
            sleep(Duration::from_millis(600)).await;
            stop.cancel();
        };
        let (report, ()) = tokio::join!(running, changing);
        report.unwrap();
        let state = fake.state.lock().unwrap();
        let (first, last) = (&state.events[..20], &state.events[state.events.len() - 2..]);
        assert!(first.iter().any(|(_, event)| event.contains("<Channel>Security<")));
        assert!(last.iter().all(|(_, event)| event.contains("<Channel>System<")));
        assert_eq!(state.beginnings, 1);
        drop(state);
        assert_eq!(verified(&fake, &path).lost, 0);
    });
}

#[test]
fn hosts_without_events_send_heartbeats() {
    test(async {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake::start(|_| Say::Ack).await;
        let stop = CancellationToken::new();
        let heartbeat = Some(Duration::from_millis(50));
        let settings = Settings { pace: Pace::Idle, heartbeat, ..settings(3, &folder) };
        let running = run(plan(&fake, settings), stop.clone(), |_| {});
        let stopping = async {
            sleep(Duration::from_millis(500)).await;
            stop.cancel();
        };
        let (report, ()) = tokio::join!(running, stopping);
        let report = report.unwrap();
        assert!(report.heartbeats >= 12 && report.acknowledged == 0, "{report}");
        assert_eq!(fake.state.lock().unwrap().heartbeats as u64, report.heartbeats);
    });
}

#[test]
fn all_hosts_lose_their_connections_and_come_back_at_once() {
    test(async {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake::start(|_| Say::Ack).await;
        let stop = CancellationToken::new();
        let storm_at = Some(Duration::from_millis(300));
        let refresh = Duration::from_secs(60);
        let settings = Settings { pace: Pace::Idle, storm_at, refresh, ..settings(5, &folder) };
        let running = run(plan(&fake, settings), stop.clone(), |_| {});
        let stopping = async {
            while fake.state.lock().unwrap().heartbeats < 5 {
                sleep(Duration::from_millis(20)).await;
            }
            stop.cancel();
        };
        let (report, ()) = tokio::join!(running, stopping);
        let report = report.unwrap();
        let storm = report.storm.unwrap();
        for back in [storm.hosts, storm.deliveries] {
            assert_eq!((back.gone, back.back), (5, 5), "{report}");
            assert!(back.seconds > 0.0 && back.seconds < 20.0, "{report}");
        }
        assert_eq!((report.enumerations, report.connections, report.failures), (10, 20, 0), "{report}");
        assert_eq!(fake.state.lock().unwrap().beginnings, 5, "a host that comes back does not begin anew");
    });
}

#[test]
fn a_storm_amid_deliveries_loses_nothing() {
    test(async {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake::start(|_| Say::Ack).await;
        let storm_at = Some(Duration::from_millis(100));
        let pace = Pace::Open(Schedule::steady(1000.0));
        let settings = Settings { events: Some(500), storm_at, pace, ..settings(4, &folder) };
        let (report, verdict) = run_and_verify(&fake, settings).await;
        assert_eq!((verdict.lost, verdict.altered, verdict.delivered), (0, 0, 500), "{verdict}");
        let storm = report.storm.unwrap();
        assert_eq!((storm.deliveries.gone, storm.deliveries.back, report.failures), (4, 4, 0), "{report}");
    });
}

#[test]
fn faults_lose_nothing_and_are_told() {
    test(async {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake::start(|_| Say::Ack).await;
        let faults = Faults {
            cut: 0.2,
            unheard: 0.1,
            duplicate: 0.1,
            malformed: 0.2,
            oversize: 0.02,
            torn: 0.3,
            skew: 0.5,
            skew_by: Duration::from_secs(3600),
            ..Faults::default()
        };
        let settings = Settings { events: Some(700), faults, ..settings(4, &folder) };
        let (report, verdict) = run_and_verify(&fake, settings).await;
        assert_eq!((verdict.lost, verdict.altered, verdict.delivered), (0, 0, 700), "{verdict}");
        assert_eq!((report.wrong_acks, report.failures), (0, 0), "{report}");
        assert!(report.faults.len() >= 6, "{report}");
        assert!(report.faults.contains_key("torn event among good ones, acknowledged"), "{report}");
        assert!(verdict.duplicated > 0);
    });
}

#[test]
fn an_event_that_was_sent_torn_has_to_arrive_torn() {
    test(async {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake::start(|_| Say::Ack).await;
        let faults = Faults { torn: 1.0, ..Faults::default() };
        let settings = Settings { events: Some(100), batch: 10, faults, ..settings(2, &folder) };
        let path = settings.ledger.clone().unwrap();
        let (report, verdict) = run_and_verify(&fake, settings).await;
        assert!(verdict.is_good() && verdict.compared == 100, "{verdict}");
        assert_eq!(report.faults["torn event among good ones, acknowledged"], report.batches, "{report}");
        let mend = |change: &dyn Fn(&str) -> String| {
            let mut state = fake.state.lock().unwrap();
            let (_, text) = state.events.iter_mut().find(|(_, text)| text.contains("<torn>")).unwrap();
            *text = change(text);
        };
        mend(&|text| text.replace("<torn>", ""));
        assert_eq!((verified(&fake, &path).altered, verified(&fake, &path).lost), (1, 0));
    });
}

#[test]
fn an_open_loop_counts_latency_from_when_a_batch_was_due() {
    test(async {
        let folder = tempfile::tempdir().unwrap();
        // The first delivery but one takes four retries.
        let fake = Fake::start(|nth| if (1..5).contains(&nth) { Say::Status(503) } else { Say::Ack }).await;
        fake.subscription.lock().unwrap().retry.interval = Duration::from_millis(100);
        let pace = Pace::Open(Schedule::steady(100.0));
        let settings = Settings { events: Some(50), batch: 5, pace, ..settings(1, &folder) };
        let (report, verdict) = run_and_verify(&fake, settings).await;
        assert!(verdict.is_good(), "{verdict}");
        assert!(report.latency_ms.p90 >= 200.0, "those behind it were late too: {report}");
    });
}

#[test]
fn an_event_waits_no_longer_than_its_subscription_says() {
    test(async {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake::start(|_| Say::Ack).await;
        fake.subscription.lock().unwrap().max_time = Duration::from_millis(250);
        // A batch takes five seconds to fill.
        let pace = Pace::Open(Schedule::steady(10.0));
        let settings = Settings { events: Some(60), batch: 50, pace, ..settings(1, &folder) };
        let (report, verdict) = run_and_verify(&fake, settings).await;
        assert!(verdict.is_good() && verdict.delivered == 60, "{verdict}");
        assert!(
            (4..=7).contains(&report.batches),
            "the first at once, then two or three events each: {report}"
        );
        assert!(report.seconds < 3.0, "{report}");
    });
}

#[test]
fn the_ledger_hears_of_what_was_under_way_at_the_end() {
    test(async {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake::start(|nth| if nth < 3 { Say::Ack } else { Say::Status(503) }).await;
        fake.subscription.lock().unwrap().retry.interval = Duration::from_secs(60);
        let stop = CancellationToken::new();
        let settings = settings(1, &folder);
        let path = settings.ledger.clone().unwrap();
        let running = run(plan(&fake, settings), stop.clone(), |_| {});
        let stopping = async {
            sleep(Duration::from_millis(300)).await;
            stop.cancel();
        };
        let (report, ()) = tokio::join!(running, stopping);
        report.unwrap();
        let entries: Vec<Entry> = ledger::read(&path).unwrap().1.map(Result::unwrap).collect();
        let unanswered = |entry: &Entry| matches!(entry, Entry::Sent { fate: Fate::Unanswered, .. });
        assert_eq!(entries.iter().filter(|entry| unanswered(entry)).count(), 1);
        let verdict = verified(&fake, &path);
        assert!(verdict.is_good() && verdict.sent > verdict.acknowledged, "{verdict}");
    });
}
