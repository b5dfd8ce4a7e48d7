//! Events into Kafka, and what is in the topics afterwards: brokers that are away, that forget, that refuse, and
//! kills of both sides.

mod crash;
mod matrix;
pub(crate) mod reading;
mod ready;
mod refused;
mod secure;

use crate::support::backends::{Noida, Place, Store, Tansu};
use crate::support::host::{Host, Offered, bookmark, event, passwords};
use crate::support::process::{PATIENCE, Process, events, eventually, forebay, free_port, http_get, told};
use crate::wef::{WEC, batch, only};
use reading::{Message, written};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Stdio;

/// A collector whose events go to Kafka.
struct Node {
    folder: tempfile::TempDir,
    port: u16,
    http: u16,
}

impl Node {
    /// With what else stands in `sink.kafka`, beside the broker.
    fn new(broker: u16, sink: &str, rest: &str) -> Self {
        let node = Self { folder: tempfile::tempdir().unwrap(), port: free_port(), http: free_port() };
        let (port, http) = (node.port, node.http);
        let pipeline = format!(
            "{rest}\n[log]\nformat = 'json'\n[http]\nlisten = '127.0.0.1:{http}'\n\
             [basin.disk]\npath = 'basin'\nsize_max = '64MiB'\nsegment_size = '1MiB'\n\
             [output.lake]\nretry.pause_max = '2s'\n[output.lake.sink.kafka]\nbrokers = ['127.0.0.1:{broker}']\n{sink}\n\
             [source.dc.wef]\nlisten = '127.0.0.1:{port}'\ninsecure_plain_http = true\nauth.basic.passwords = 'passwords'\n\
             [source.dc.wef.subscription.all]\nquery.channels = {{ Security = '*', System = '*', Application = '*' }}\n"
        );
        fs::write(node.path().join("pipeline.toml"), pipeline).unwrap();
        let hosts = (0..50).map(|number| format!("h{number}.example.org"));
        let simulated = (0..50).map(|number| format!("ws-{number:05}.fleet.example"));
        passwords(&node.path().join("passwords"), &hosts.chain(simulated).collect::<Vec<_>>());
        node
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn run(&self) -> Process {
        let mut process = Process::start(forebay(self.path(), &["run", "pipeline.toml"]));
        eventually("it listens", || {
            assert!(process.is_running(), "{}", told(self.path()));
            std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
        process
    }

    /// A host that has asked what is wanted of it.
    fn host(&self, number: usize) -> (Host, Offered) {
        let mut host = Host::new(&format!("h{number}.example.org"), self.port);
        let offered = only(host.enumerate(WEC));
        (host, offered)
    }

    fn metric(&self, name: &str) -> u64 {
        let text = http_get(self.http, "/metrics");
        let line = text.lines().find(|line| line.starts_with(&format!("{name}{{output=\"lake\"}}")));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).unwrap_or_default() as u64
    }

    #[track_caller]
    fn confirms(&self, events: u64) {
        let begun = std::time::Instant::now();
        while self.metric("forebay_output_events_total") < events {
            assert!(
                begun.elapsed() < PATIENCE + std::time::Duration::from_millis(events),
                "Kafka does not have {events}: {}",
                told(self.path())
            );
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    #[track_caller]
    fn stops(&self, running: Process) {
        running.stop();
        assert_eq!(running.code(), Some(0), "{}", told(self.path()));
    }
}

fn json(folder: &Path, args: &[&str]) -> (Option<i32>, Value) {
    let output = forebay(folder, args).stdout(Stdio::piped()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{}", told(folder)));
    (output.status.code(), json)
}

/// Computer and record id of a message.
fn record(message: &Message) -> (String, u64) {
    let event: Value = serde_json::from_slice(&message.payload).unwrap();
    let system = &event["System"];
    (system["Computer"].as_str().unwrap().to_owned(), system["EventRecordID"].as_u64().unwrap())
}

#[test]
fn all_that_a_fleet_sent_is_in_kafka_once_in_order_letter_by_letter() {
    const TEST: &str = "all_that_a_fleet_sent_is_in_kafka_once_in_order_letter_by_letter";
    let folder = tempfile::tempdir().unwrap();
    let Some(broker) = Tansu::start(TEST, folder.path(), Place::HERE, Store::Memory) else { return };
    let node = Node::new(broker.port, "topic = 'windows.{channel}'\ncreate = { partitions = 6 }", "");
    let running = node.run();
    let url = format!("http://127.0.0.1:{}{WEC}", node.port);
    let fleet = ["fleet", &url, "-n", "20", "--password", "opensesame", "--ledger", "ledger"];
    let events = events(20_000);
    let (number, existing) = (events.to_string(), (events / 10).to_string());
    let (code, report) = json(
        node.path(),
        &[&fleet[..], &["--events", &number, "--existing", &existing, "-o", "json"]].concat(),
    );
    assert_eq!((code, report["acknowledged"].as_u64()), (Some(0), Some(events)), "{report}");
    node.confirms(events);
    node.stops(running);
    let messages = reading::all(broker.port, "windows.");
    assert!(messages.iter().all(|message| message.key.as_deref() == Some(&*record(message).0)));
    written(&messages, &node.path().join("out"));
    let (code, verdict) = json(node.path(), &["fleet", "verify", "ledger", "out", "-o", "json"]);
    assert_eq!(
        (code, &verdict["delivered"], &verdict["compared"]),
        (Some(0), &events.into(), &events.into()),
        "{verdict}"
    );
    assert_eq!((&verdict["duplicated"], &verdict["disordered"]), (&0.into(), &0.into()), "{verdict}");
    assert_eq!(reading::distinct_ids(&messages) as u64, events);
    // A long run fills the basin of the test, and its hosts wait.
    let said = told(node.path());
    let is_trouble =
        |line: &&str| line.contains("finding") && (events == 20_000 || !line.contains("basin: it is full"));
    assert_eq!(said.lines().find(is_trouble), None);
}

#[test]
fn a_broker_that_is_down_at_the_start_is_told_and_gets_everything_when_it_is_up() {
    const TEST: &str = "a_broker_that_is_down_at_the_start_is_told_and_gets_everything_when_it_is_up";
    let folder = tempfile::tempdir().unwrap();
    let Some(mut broker) = Tansu::start(TEST, folder.path(), Place::HERE, Store::Memory) else { return };
    broker.kill();
    let node = Node::new(broker.port, "topic = 'windows'", "");
    let running = node.run();
    let (mut host, offered) = node.host(0);
    let events = batch(&host, 1..=50);
    assert!(
        host.deliver(&offered, &events, &bookmark("Security", 50)).unwrap().is_ack(),
        "it is in the basin"
    );
    eventually("it is told", || told(node.path()).contains("cannot reach its Kafka brokers"));
    let probed = forebay(node.path(), &["check", "--probe", "pipeline.toml"]).output().unwrap();
    assert_eq!(probed.status.code(), Some(69));
    broker.restart();
    node.confirms(50);
    node.stops(running);
    assert_eq!(told(node.path()).matches("\"finding\"").count(), 1, "{}", told(node.path()));
    let records: Vec<u64> =
        reading::all(broker.port, "windows").iter().map(|message| record(message).1).collect();
    assert_eq!(records, (1..=50).collect::<Vec<_>>());
}

/// It keeps what it acknowledged only a little later, so what it lost by that is not ours to find.
#[test]
fn a_broker_that_forgot_messages_gets_a_new_producer_and_all_that_it_had_not_confirmed() {
    const TEST: &str = "a_broker_that_forgot_messages_gets_a_new_producer_and_all_that_it_had_not_confirmed";
    let folder = tempfile::tempdir().unwrap();
    let Some(mut broker) = Noida::start(TEST, folder.path(), Place::HERE) else { return };
    // It lets go at once of messages whose time is older than a week.
    let node =
        Node::new(broker.kafka, "topic = 'windows'\ncreate = { partitions = 1 }\ntimestamp = 'sent'", "");
    let running = node.run();
    let (mut host, offered) = node.host(0);
    let mut push = |from: u64, to: u64| {
        let events = batch(&host, from..=to);
        assert!(host.deliver(&offered, &events, &bookmark("Security", to)).unwrap().is_ack());
    };
    push(1, 500);
    node.confirms(500);
    std::thread::sleep(std::time::Duration::from_secs(3));
    // Killed behind its answers, and before it keeps what it answered for.
    push(501, 600);
    node.confirms(600);
    broker.kill();
    push(601, 1000);
    broker.restart();
    push(1001, 1500);
    node.confirms(1500);
    node.stops(running);
    assert!(told(node.path()).contains("lost its Kafka producer"), "{}", told(node.path()));
    let messages = reading::all(broker.kafka, "windows");
    let mut records: Vec<u64> = messages.iter().map(|message| record(message).1).collect();
    println!("{} of {} messages are copies", records.len() - reading::distinct_ids(&messages), records.len());
    records.sort_unstable();
    records.dedup();
    records.retain(|record| !(501..=600).contains(record));
    assert_eq!(records, (1..=500).chain(601..=1500).collect::<Vec<_>>());
}

/// An event with this channel.
fn of_channel(channel: &str, record: u64, computer: &str) -> String {
    event("Security", record, computer).replace("<Channel>Security<", &format!("<Channel>{channel}<"))
}

#[test]
fn a_channel_cannot_lead_out_of_the_topics_that_were_given_nor_make_a_crowd_of_them() {
    const TEST: &str = "a_channel_cannot_lead_out_of_the_topics_that_were_given_nor_make_a_crowd_of_them";
    let folder = tempfile::tempdir().unwrap();
    let Some(broker) = Tansu::start(TEST, folder.path(), Place::HERE, Store::Memory) else { return };
    let node = Node::new(broker.port, "topic = 'w.{channel}'\ncreate = { partitions = 1 }", "");
    let running = node.run();
    let (mut host, offered) = node.host(0);
    let channels = ["Security", "../../x", "a b", "__consumer_offsets", "\u{202e}ü", "x/Operational", ""];
    let events: Vec<String> =
        channels.iter().zip(1..).map(|(channel, record)| of_channel(channel, record, &host.name)).collect();
    assert!(host.deliver(&offered, &events, &bookmark("Security", 7)).unwrap().is_ack());
    node.confirms(7);
    node.stops(running);
    let messages = reading::all(broker.port, "");
    let mut topics: Vec<&str> = messages.iter().map(|message| message.topic.as_str()).collect();
    topics.sort_unstable();
    let expected =
        ["w._", "w..._.._x", "w.Security", "w.__", "w.__consumer_offsets", "w.a_b", "w.x_Operational"];
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(topics, expected);
}
