//! What is in the topics of a broker, by a consumer of librdkafka.

use super::secure::Front;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

/// A message as it was read.
pub(crate) struct Message {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) key: Option<String>,
    pub(super) payload: Vec<u8>,
    /// The id of its event.
    pub(super) id: String,
}

/// All messages of all topics that begin so, each partition from its beginning to its end.
pub(super) fn all(port: u16, prefix: &str) -> Vec<Message> {
    at(Ipv4Addr::LOCALHOST, port, prefix)
}

/// The same of a broker that is elsewhere.
pub(crate) fn at(address: Ipv4Addr, port: u16, prefix: &str) -> Vec<Message> {
    read(ClientConfig::new(), address, port, prefix)
}

/// The same of a broker behind TLS.
pub(super) fn over_tls(front: &Front, prefix: &str) -> Vec<Message> {
    let mut config = ClientConfig::new();
    config.set("security.protocol", "ssl").set("ssl.ca.pem", &front.pem);
    read(config, Ipv4Addr::LOCALHOST, front.port, prefix)
}

fn read(mut config: ClientConfig, address: Ipv4Addr, port: u16, prefix: &str) -> Vec<Message> {
    // One of the brokers takes no notice of what it is asked for at most.
    config
        .set("bootstrap.servers", format!("{address}:{port}"))
        .set("group.id", "test")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("receive.message.max.bytes", "1500000000");
    let consumer: BaseConsumer = config.create().unwrap();
    let metadata = consumer.fetch_metadata(None, Duration::from_secs(30)).unwrap();
    let mut partitions = TopicPartitionList::new();
    for topic in metadata.topics().iter().filter(|topic| topic.name().starts_with(prefix)) {
        for partition in topic.partitions() {
            partitions.add_partition_offset(topic.name(), partition.id(), Offset::Beginning).unwrap();
        }
    }
    consumer.assign(&partitions).unwrap();
    let (begun, mut ended, mut messages) = (Instant::now(), 0, Vec::new());
    while ended < partitions.count() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{ended} of {} ended", partitions.count());
        match consumer.poll(Duration::from_secs(1)) {
            Some(Ok(message)) => messages.push(Message {
                topic: message.topic().into(),
                partition: message.partition(),
                key: message.key().map(|key| String::from_utf8(key.to_vec()).unwrap()),
                payload: message.payload().unwrap().to_vec(),
                id: id(&message),
            }),
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    messages
}

fn id(message: &rdkafka::message::BorrowedMessage<'_>) -> String {
    let headers = message.headers().unwrap();
    let ids = headers.iter().filter(|header| header.key == "forebay-event-id");
    let ids: Vec<&[u8]> = ids.map(|header| header.value.unwrap()).collect();
    assert_eq!(ids.len(), 1);
    String::from_utf8(ids[0].to_vec()).unwrap()
}

/// How many events there are when copies are told by the header.
pub(crate) fn distinct_ids(messages: &[Message]) -> usize {
    messages.iter().map(|message| &message.id).collect::<BTreeSet<_>>().len()
}

/// Each partition as a file of lines.
pub(super) fn written(messages: &[Message], folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for message in messages {
        let path = folder.join(format!("{}-{}.jsonl", message.topic, message.partition));
        let mut file = fs::File::options().create(true).append(true).open(path).unwrap();
        file.write_all(&message.payload).unwrap();
        file.write_all(b"\n").unwrap();
    }
}
