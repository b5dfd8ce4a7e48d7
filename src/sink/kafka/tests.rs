//! The sink against librdkafka's own brokers, which can be told to fail.

mod front;
mod making;

use crate::event::{EventId, Timestamp};
use crate::finding::Finding;
use crate::sink::{Attachment, Encoded, Item, SendError, Sent, Sink, SinkConfig};
use crate::telemetry::metrics::metrics;
use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey as Api, RDKafkaRespErr as Answer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

type Cluster = MockCluster<'static, DefaultProducerContext>;

/// A sink, and what it told.
struct Tried {
    sink: Box<dyn Sink>,
    findings: Arc<Mutex<Vec<Finding>>>,
}

impl Tried {
    fn new(brokers: &str, more: &str) -> Self {
        let text = format!("kafka = {{ brokers = ['{brokers}'], topic = 'windows', {more} }}");
        let mut sink = toml::from_str::<SinkConfig>(&text).unwrap().open().unwrap();
        let findings = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&findings);
        sink.attach(Attachment {
            output: "lake".into(),
            metrics: metrics().output("lake"),
            report: Arc::new(move |finding| told.lock().unwrap().push(finding)),
        });
        Self { sink, findings }
    }

    fn told(&self) -> Vec<String> {
        self.findings.lock().unwrap().iter().map(ToString::to_string).collect()
    }

    /// As a lane does, without its pauses.
    async fn send(&mut self, batch: &Arc<Encoded>) -> Sent {
        let begun = Instant::now();
        loop {
            match self.sink.send(batch).await {
                Ok(sent) => return sent,
                Err(error) => {
                    assert!(matches!(error, SendError::Retry { .. }), "{error}");
                    assert!(begun.elapsed() < Duration::from_secs(60), "{error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// One broker, one partition.
fn cluster() -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("windows", 1, 1).unwrap();
    cluster
}

/// Messages `from..to`, each with its number, `length` bytes long.
fn batch(from: usize, to: usize, length: usize) -> Arc<Encoded> {
    let (mut bytes, mut items) = (Vec::new(), Vec::new());
    for number in from..to {
        let start = bytes.len() as u32;
        bytes.extend_from_slice(b"dc1");
        bytes.extend_from_slice(format!("{number:0>length$}").as_bytes());
        items.push(Item {
            range: start..bytes.len() as u32,
            head: 3,
            id: Some(EventId([number as u8; 16])),
            time: Timestamp(1_700_000_000_000_000_000 + number as i64 * 1_000_000),
            route: 0,
        });
    }
    Arc::new(Encoded { bytes: Bytes::from(bytes), items, routes: vec!["windows".into()] })
}

/// The numbers in the topic, in its order, once there are `count` of them and nothing more comes.
fn read(cluster: &Cluster, count: usize) -> Vec<usize> {
    let mut numbers = Vec::new();
    consume(cluster, count, |message| {
        let text = std::str::from_utf8(message.payload().unwrap()).unwrap();
        numbers.push(text.parse().unwrap());
    });
    numbers
}

fn consume(cluster: &Cluster, count: usize, mut each: impl FnMut(&rdkafka::message::BorrowedMessage<'_>)) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers()).set("group.id", "test");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset("windows", 0, Offset::Beginning).unwrap();
    consumer.assign(&partitions).unwrap();
    let (begun, mut came) = (Instant::now(), 0);
    loop {
        match consumer.poll(Duration::from_millis(300)) {
            Some(Ok(message)) => {
                each(&message);
                came += 1;
            }
            Some(Err(error)) => panic!("{error}"),
            None if came >= count => return,
            None => assert!(begun.elapsed() < Duration::from_secs(30), "{came} of {count} came"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_a_message_with_its_key_id_and_time_in_order() {
    let cluster = cluster();
    let mut tried = Tried::new(&cluster.bootstrap_servers(), "");
    assert_eq!(tried.send(&batch(0, 500, 100)).await, Sent::Confirmed);
    assert_eq!(tried.send(&batch(500, 600, 100)).await, Sent::Confirmed);
    assert_eq!(read(&cluster, 600), (0..600).collect::<Vec<_>>());
    let mut number: i64 = 0;
    consume(&cluster, 600, |message| {
        assert_eq!(message.key(), Some(&b"dc1"[..]));
        assert_eq!(message.timestamp().to_millis(), Some(1_700_000_000_000 + number));
        let header = message.headers().unwrap().get(0);
        let id = EventId([number as u8; 16]).to_string();
        assert_eq!((header.key, header.value), ("forebay-event-id", Some(id.as_bytes())));
        number += 1;
    });
    assert!(tried.told().is_empty(), "{:?}", tried.told());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_waited_for() {
    let cluster = cluster();
    let mut tried = Tried::new(&cluster.bootstrap_servers(), "queue_max = '64KiB', message_max = '4KiB'");
    assert_eq!(tried.send(&batch(0, 2000, 1000)).await, Sent::Confirmed);
    assert_eq!(read(&cluster, 2000), (0..2000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_larger_than_a_message_may_be_is_refused_and_the_rest_is_there() {
    let cluster = cluster();
    let mut tried = Tried::new(&cluster.bootstrap_servers(), "message_max = '4KiB'");
    let mut all = Encoded::clone(&batch(0, 3, 100));
    let large = batch(3, 4, 5000);
    let start = all.bytes.len() as u32;
    all.items.insert(1, Item { range: start..start + 5003, ..large.items[0].clone() });
    all.bytes = [&all.bytes[..], &large.bytes[..]].concat().into();
    let Sent::Partly(refused) = tried.send(&Arc::new(all)).await else { panic!("all of it was taken") };
    assert_eq!((refused.len(), refused[0].item), (1, 1));
    assert!(refused[0].reason.contains("Message size too large"), "{}", refused[0].reason);
    assert_eq!(read(&cluster, 3), [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_a_broker_does_not_take_comes_again_in_smaller_ones() {
    let cluster = cluster();
    let mut tried = Tried::new(&cluster.bootstrap_servers(), "");
    cluster.request_errors(Api::Produce, &[Answer::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
    assert_eq!(tried.send(&batch(0, 500, 1000)).await, Sent::Confirmed);
    let mut numbers = read(&cluster, 500);
    numbers.sort_unstable();
    assert_eq!(numbers, (0..500).collect::<Vec<_>>());
    assert!(tried.told().iter().any(|told| told.contains("larger message sets")), "{:?}", tried.told());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_alone_too_is_refused() {
    let cluster = cluster();
    let mut tried = Tried::new(&cluster.bootstrap_servers(), "");
    let invalid = Answer::RD_KAFKA_RESP_ERR_INVALID_RECORD;
    cluster.request_errors(Api::Produce, &[invalid, invalid]);
    let Sent::Partly(refused) = tried.send(&batch(0, 5, 1000)).await else { panic!("all of it was taken") };
    assert_eq!((refused.len(), refused[0].item), (1, 0), "{refused:?}");
    assert!(refused[0].reason.contains("InvalidRecord"), "{}", refused[0].reason);
    assert_eq!(read(&cluster, 4), [1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_time_is_not_taken_goes_with_the_time_of_sending() {
    let cluster = cluster();
    let mut tried = Tried::new(&cluster.bootstrap_servers(), "");
    cluster.request_errors(Api::Produce, &[Answer::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP]);
    assert_eq!(tried.send(&batch(0, 5, 1000)).await, Sent::Confirmed);
    let mut times = Vec::new();
    consume(&cluster, 5, |message| times.push(message.timestamp().to_millis().unwrap()));
    assert!(times.iter().all(|time| *time > 1_750_000_000_000), "{times:?}");
    let told = tried.told();
    assert!(
        told.len() == 1
            && told[0].contains("has events whose time Kafka does not take")
            && told[0]
                .contains("5 in one batch, the first with the key `dc1` and the time 2023-11-14T22:13:20"),
        "{told:?}"
    );
    cluster.request_errors(Api::Produce, &[Answer::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP]);
    assert_eq!(tried.send(&batch(5, 10, 1000)).await, Sent::Confirmed);
    assert_eq!(tried.told(), told, "once for as long as the same machine may go on so");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_sending_was_dropped_is_not_sent_twice() {
    let cluster = cluster();
    cluster.broker_round_trip_time(1, Duration::from_millis(700)).unwrap();
    let mut tried = Tried::new(&cluster.bootstrap_servers(), "");
    let first = batch(0, 300, 1000);
    for _ in 0..6 {
        let _ = tokio::time::timeout(Duration::from_millis(150), tried.sink.send(&first)).await;
    }
    assert_eq!(tried.send(&first).await, Sent::Confirmed);
    assert_eq!(tried.send(&batch(300, 301, 1000)).await, Sent::Confirmed);
    assert_eq!(read(&cluster, 301), (0..301).collect::<Vec<_>>());
    assert_eq!(Arc::strong_count(&first), 1, "its buffers can be used again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_down_is_a_finding_and_has_everything_when_it_is_back() {
    let cluster = cluster();
    cluster.broker_down(1).unwrap();
    let mut tried = Tried::new(&cluster.bootstrap_servers(), "");
    let first = batch(0, 300, 1000);
    let error = tried.sink.send(&first).await.unwrap_err();
    assert!(error.to_string().contains("refused") || error.to_string().contains("down"), "{error}");
    let _ = tried.sink.send(&first).await.unwrap_err();
    let told = tried.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("output `lake` cannot reach its Kafka brokers"), "{told:?}");
    cluster.broker_up(1).unwrap();
    assert_eq!(tried.send(&first).await, Sent::Confirmed);
    assert_eq!(read(&cluster, 300), (0..300).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_there_or_not_ours_is_a_finding_with_what_to_do() {
    for (answer, what) in [
        (Answer::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "has no topic to write to"),
        (Answer::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "may not write to Kafka"),
    ] {
        let cluster = cluster();
        cluster.topic_error("windows", answer).unwrap();
        let mut tried = Tried::new(
            &cluster.bootstrap_servers(),
            "properties = { 'topic.metadata.propagation.max.ms' = 500 }",
        );
        let first = batch(0, 10, 100);
        assert!(tried.sink.send(&first).await.is_err());
        let told = tried.told();
        assert!(told.len() == 1 && told[0].contains(what), "{told:?}");
        cluster.topic_error("windows", Answer::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
        assert_eq!(tried.send(&first).await, Sent::Confirmed);
        assert_eq!(read(&cluster, 10), (0..10).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_there_is_told_before_brokers_are_thought_away() {
    let cluster = cluster();
    cluster.topic_error("windows", Answer::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    let mut tried = Tried::new(&cluster.bootstrap_servers(), "");
    assert!(tried.sink.send(&batch(0, 10, 100)).await.is_err());
    let told = tried.told();
    assert!(told.len() == 1 && told[0].contains("has no topic to write to"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_cannot_go_on_is_made_anew_and_what_was_not_confirmed_is_sent_again() {
    let cluster = cluster();
    let mut tried = Tried::new(&cluster.bootstrap_servers(), "");
    assert_eq!(tried.send(&batch(0, 10, 100)).await, Sent::Confirmed);
    cluster.request_errors(Api::Produce, &[Answer::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER]);
    assert_eq!(tried.send(&batch(10, 300, 1000)).await, Sent::Confirmed);
    let told = tried.told();
    assert!(told.len() == 1 && told[0].contains("lost its Kafka producer"), "{told:?}");
    assert_eq!(read(&cluster, 300), (0..300).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn order_is_kept_where_a_set_fails_while_others_are_under_way() {
    let cluster = cluster();
    cluster.broker_round_trip_time(1, Duration::from_millis(100)).unwrap();
    let mut tried = Tried::new(&cluster.bootstrap_servers(), "properties = { 'batch.size' = 10000 }");
    cluster.request_errors(Api::Produce, &[Answer::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
    assert_eq!(tried.send(&batch(0, 200, 1000)).await, Sent::Confirmed);
    assert_eq!(read(&cluster, 200), (0..200).collect::<Vec<_>>());
}
