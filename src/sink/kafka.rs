//! Kafka: each event a message, confirmed when all in-sync replicas of its partition have it.
//!
//! | file | what |
//! |---|---|
//! | `secure` | TLS and ways to sign in, as written |
//! | `properties` | what was written as properties of librdkafka, and which of these an operator may set |
//! | `key` | the key before each payload |
//! | `send` | a batch against the brokers: enqueue all of it, wait for all answers, again what was not taken |
//! | `send/verdict` | what the answers mean: what is told, what is done differently from then on |
//! | `message` | one event as a message |
//! | `window` | which messages of a batch are under way, taken, refused |
//! | `producer` | one life of librdkafka's producer, from its making to its end aside |
//! | `trouble` | what librdkafka says in errors, as findings |
//! | `figures` | its statistics, as metrics |
//! | `topics` | topics that are made before they are written: which are there, which could not be made |
//! | `admin` | the client that makes them |
//!
//! Chosen: a batch as the window (all of it is enqueued, then all answers are awaited) over a window that
//! slides over batches, because the cursor moves by batches anyway, and what is enqueued at a time is bounded
//! without counting. Answers carry the number of the message and no task or future of its own.
//! Promises: the order of a key is kept; what was taken is not sent again by this process unless the producer
//! is lost. Without the feature `kafka` only the configuration is there, and says how to build.
//! Must not know: filters, formats, cursors.

#[cfg(feature = "kafka")]
mod admin;
#[cfg(feature = "kafka")]
mod figures;
#[cfg(feature = "kafka")]
mod key;
#[cfg(feature = "kafka")]
mod message;
#[cfg(feature = "kafka")]
mod producer;
mod properties;
mod secure;
#[cfg(feature = "kafka")]
mod send;
#[cfg(feature = "kafka")]
mod topics;
#[cfg(feature = "kafka")]
mod trouble;
#[cfg(feature = "kafka")]
mod window;

use super::name::{Alphabet, NameTemplate};
use super::template::Template;
use super::{Sink, SinkError};
use crate::finding::Finding;
use crate::units::ByteSize;
use properties::Property;
use schemars::JsonSchema;
use secure::{Sasl, Tls};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `sink.kafka = { brokers = ["k1:9092"], topic = "windows.{channel}" }`. Each event is a message; the header
/// `forebay-event-id` names it, the same in every copy.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Some brokers, `host:port`; the others are learnt from them.
    pub brokers: Vec<String>,
    /// Text, then text and `{channel}`, `{computer}`, `{provider}`, `{event_id}`, `{level}`, `{source}`,
    /// `{host}`, `{subscription}`, `{yyyy}`, `{mm}`, `{dd}`, `{hh}` or `{date:%Y-%m-%d}`. What a topic cannot
    /// hold becomes `_`. Further ones than 4096 within an hour share one of `_other`.
    pub topic: String,
    /// What is kept in order: events of one key go to one partition. The same values as in `topic`, up to 256
    /// bytes each. Where an event has no such value, its host. Empty: no key and no order.
    #[serde(default = "key_default")]
    pub key: String,
    #[serde(default)]
    pub compression: Compression,
    /// The time of a message.
    #[serde(default)]
    pub timestamp: Time,
    /// Largest message. An event that makes a larger one goes to the dead letter; brokers have a limit of
    /// their own (`message.max.bytes`, 1 MiB).
    #[serde(default = "message_max_default")]
    pub message_max: ByteSize,
    /// Bytes that the client holds, beside those of the batch; more wait.
    #[serde(default = "queue_max_default")]
    pub queue_max: ByteSize,
    /// Whether brokers tell repeated messages apart. Without it an answer that was lost makes duplicates; for
    /// clusters that cannot.
    #[serde(default = "idempotent_default")]
    pub idempotent: bool,
    /// Makes topics that are not there. Without it they must be there, or brokers make them.
    pub create: Option<Create>,
    /// TLS; without it everything crosses the network as it is.
    pub tls: Option<Tls>,
    /// How it signs in: exactly one way.
    pub sasl: Option<Sasl>,
    /// Any other property of librdkafka by its name: `{ "linger.ms" = 20, "client.rack" = "a" }`. Those that
    /// would break a promise are refused.
    #[serde(default)]
    pub properties: BTreeMap<String, Property>,
}

// Order as Windows has it: by machine.
fn key_default() -> String {
    "{computer}".into()
}

// Below what brokers take by default, with what Kafka puts around a message.
fn message_max_default() -> ByteSize {
    ByteSize::kib(976)
}

// Larger ones make nothing faster, and the process by as much larger.
fn queue_max_default() -> ByteSize {
    ByteSize::mib(16)
}

fn idempotent_default() -> bool {
    true
}

/// How batches of messages are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    None,
    /// Costs ten times what the others do.
    Gzip,
    Snappy,
    #[default]
    Lz4,
    /// Smaller, at about half as much processor time again; for far clusters.
    Zstd,
}

/// What a message's time is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Time {
    /// When the event happened.
    #[default]
    Event,
    /// When it is sent; for topics that take no old messages (`message.timestamp.before.max.ms`), and whose
    /// retention counts from then.
    Sent,
}

/// `sink.kafka.create = { partitions = 6, replication = 3 }`
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// Partitions of a new topic; more let more consumers share it.
    pub partitions: u16,
    /// Copies of each partition; what the cluster says, without it.
    pub replication: Option<u16>,
}

/// What is to be said of settings that are right and yet doubtful: the key below `sink.kafka`, what, what to do.
pub type Doubt = (&'static str, String, &'static str);

/// The checked configuration.
#[derive(Clone)]
#[cfg_attr(not(feature = "kafka"), expect(dead_code, reason = "only checked"))]
struct Checked {
    topic: NameTemplate,
    key: Template,
    properties: BTreeMap<String, String>,
}

impl Config {
    /// The checked sink, which reaches out with the first batch.
    ///
    /// # Errors
    /// Names the setting that cannot be, or that this build has no Kafka.
    pub fn open(&self) -> Result<Box<dyn Sink>, SinkError> {
        let checked = self.checked()?;
        #[cfg(feature = "kafka")]
        {
            producer::check(&checked.properties)?;
            Ok(Box::new(send::Kafka::new(self.clone(), checked)))
        }
        #[cfg(not(feature = "kafka"))]
        {
            drop(checked);
            let why = "this forebay was built without Kafka; build it with `cargo build --release`";
            Err(SinkError::Setting { setting: "", why: why.into() })
        }
    }

    /// Whether brokers can be reached, take the sign-in and have the topic. Makes nothing.
    pub async fn probe(&self, output: &str) -> Vec<Finding> {
        #[cfg(feature = "kafka")]
        {
            let (config, output) = (self.clone(), output.to_owned());
            let asked = tokio::task::spawn_blocking(move || topics::probe(&config, &output));
            asked.await.unwrap_or_default()
        }
        #[cfg(not(feature = "kafka"))]
        {
            let _ = output;
            Vec::new()
        }
    }

    /// What is allowed, and weakens a promise.
    pub fn doubts(&self) -> Vec<Doubt> {
        properties::doubts(self)
    }

    fn checked(&self) -> Result<Checked, SinkError> {
        let wrong = |setting, why: &str| Err(SinkError::Setting { setting, why: why.to_owned() });
        if self.brokers.is_empty() {
            return wrong("brokers", "it has nowhere to go; write such as `[\"kafka-1.example.org:9092\"]`");
        }
        for broker in &self.brokers {
            let is_right = broker.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty()
                    && !host.contains(['/', ',', ' '])
                    && port.parse::<u16>().is_ok_and(|port| port > 0)
            });
            if !is_right {
                let why = format!(
                    "`{}` is no `host:port`; write such as `kafka-1.example.org:9092`",
                    broker.escape_debug()
                );
                return wrong("brokers", &why);
            }
        }
        if self.message_max.0 < 1024 || self.message_max.0 > 1_000_000_000 {
            return wrong("message_max", "a message has from 1KiB to 1000MB; write such as `976KiB`");
        }
        if self.queue_max.0 < self.message_max.0 || self.queue_max.0 > 2_000_000_000 {
            return wrong(
                "queue_max",
                "it holds at least one message, and at most 2000MB; write such as `16MiB`",
            );
        }
        if self.create.is_some_and(|create| create.partitions == 0 || create.replication == Some(0)) {
            return wrong("create", "a topic has at least one partition and one copy; write 1 or more");
        }
        Ok(Checked {
            topic: NameTemplate::parse(&self.topic, Alphabet::Topic)
                .map_err(|error| template("topic", &error))?,
            key: Template::parse(&self.key, &self.key).map_err(|error| template("key", &error))?,
            properties: properties::of(self)?,
        })
    }
}

fn template(setting: &'static str, error: &super::path::TemplateError) -> SinkError {
    SinkError::Setting { setting, why: error.to_string() }
}

#[cfg(test)]
mod config_tests;
#[cfg(test)]
#[cfg(feature = "kafka")]
mod tests;
