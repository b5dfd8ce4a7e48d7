//! What was written, as properties of librdkafka, and which of these an operator may set.
//!
//! Must not know: brokers.

use super::{Compression, Config, Doubt, secure};
use crate::sink::SinkError;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// Largest message set, where `message_max` is not less: smaller ones cost several times the processor time.
const SET_BYTES: u64 = 1_000_000;

/// The value of a property: a text, a number, or yes and no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property(String);

/// Those that have a setting of their own, where other things depend on them.
const OWN: [(&str, &str); 21] = [
    ("bootstrap.servers", "brokers"),
    ("metadata.broker.list", "brokers"),
    ("enable.idempotence", "idempotent"),
    ("compression.codec", "compression"),
    ("compression.type", "compression"),
    ("message.max.bytes", "message_max"),
    ("queue.buffering.max.kbytes", "queue_max"),
    ("security.protocol", "tls` and `sasl"),
    ("ssl.ca.location", "tls.ca"),
    ("ssl.ca.pem", "tls.ca"),
    ("ssl.certificate.location", "tls.certificate"),
    ("ssl.key.location", "tls.key"),
    ("ssl.key.password", "tls.key_password_file"),
    ("enable.ssl.certificate.verification", "tls.insecure_any_certificate"),
    ("sasl.mechanisms", "sasl"),
    ("sasl.mechanism", "sasl"),
    ("sasl.username", "sasl"),
    ("sasl.password", "sasl"),
    ("sasl.kerberos.principal", "sasl.gssapi"),
    ("sasl.kerberos.keytab", "sasl.gssapi"),
    ("sasl.kerberos.service.name", "sasl.gssapi"),
];

/// Those that would break a promise, and how.
const NEVER: [(&str, &str); 7] = [
    ("message.timeout.ms", "messages that wait long would be given up"),
    ("delivery.timeout.ms", "messages that wait long would be given up"),
    ("retries", "messages would be given up, and come out of order when they are sent again"),
    (
        "message.send.max.retries",
        "messages would be given up, and come out of order when they are sent again",
    ),
    ("delivery.report.only.error", "it could not be told when a message is there"),
    ("transactional.id", "messages outside of a transaction would be refused"),
    ("enable.gapless.guarantee", "messages would pass one that has to be sent again"),
];

/// All but secrets from files and what changes while it runs.
pub(super) fn of(config: &Config) -> Result<BTreeMap<String, String>, SinkError> {
    let mut out = BTreeMap::new();
    let mut set = |name: &str, value: String| out.insert(name.to_owned(), value);
    set("bootstrap.servers", config.brokers.join(","));
    set("client.id", "forebay".into());
    set("enable.idempotence", config.idempotent.to_string());
    set("acks", "all".into());
    if config.idempotent {
        // Where a message is not taken, those behind it wait for what becomes of it: a host keeps its order.
        set("enable.gapless.guarantee", "true".into());
    } else {
        // Several at a time would pass each other when one has to be sent again.
        set("max.in.flight", "1".into());
    }
    set("compression.codec", codec(config.compression).into());
    // A batch is there at once: what is waited for is only its last message set.
    set("linger.ms", "5".into());
    set("batch.size", SET_BYTES.min(config.message_max.0).to_string());
    set("message.max.bytes", config.message_max.0.to_string());
    set("queue.buffering.max.kbytes", config.queue_max.0.div_ceil(1024).to_string());
    set("queue.buffering.max.messages", "0".into());
    // It holds messages until it can send them; what is given up after a time would come out of order.
    set("message.timeout.ms", "0".into());
    // Before the sink thinks that nobody answers: a topic that is missing is told as that.
    set("topic.metadata.propagation.max.ms", "10000".into());
    // As Java's clients do, so that all agree on where a key belongs.
    set("partitioner", "murmur2_random".into());
    set("statistics.interval.ms", "5000".into());
    set("socket.keepalive.enable", "true".into());
    set("log.connection.close", "false".into());
    secure::properties(config.tls.as_ref(), config.sasl.as_ref(), &mut out)?;
    for (name, Property(value)) in &config.properties {
        allowed(name, value, config)?;
        if name == "request.required.acks" {
            out.remove("acks");
        }
        if name == "max.in.flight.requests.per.connection" {
            out.remove("max.in.flight");
        }
        out.insert(name.clone(), value.clone());
    }
    Ok(out)
}

fn allowed(name: &str, value: &str, config: &Config) -> Result<(), SinkError> {
    let wrong = |why: String| Err(SinkError::Setting { setting: "properties", why });
    if let Some((_, own)) = OWN.iter().find(|(known, _)| *known == name) {
        return wrong(format!("`{name}` has a setting of its own; write `{own}`"));
    }
    if let Some((_, breaks)) = NEVER.iter().find(|(known, _)| *known == name) {
        return wrong(format!("with `{name}` {breaks}; leave it out"));
    }
    if is_acks(name) {
        if value == "0" {
            return wrong(format!(
                "with `{name}` of 0 nobody answers, so nothing could be confirmed; leave it out"
            ));
        }
        if !is_all(value) && config.idempotent {
            return wrong(format!(
                "`{name}` of {value} cannot be idempotent; leave it out, or write `idempotent = false`"
            ));
        }
    }
    if name == "partitioner" && value == "random" {
        return wrong("events of a host would come out of order; leave it out".into());
    }
    let many = value.parse::<u64>().is_ok_and(|many| many > 5);
    if name.starts_with("max.in.flight") && many && config.idempotent {
        return wrong(format!("`{name}` of more than 5 cannot be idempotent; write 1 to 5"));
    }
    Ok(())
}

/// What is allowed, and weakens a promise.
pub(super) fn doubts(config: &Config) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    for (name, Property(value)) in &config.properties {
        if is_acks(name) && !is_all(value) {
            let what = format!("with `{name}` of {value} a broker that fails takes confirmed events with it");
            doubts.push(("properties", what, "leave it out: all in-sync replicas are asked"));
        }
        if name.starts_with("max.in.flight") && value != "1" && !config.idempotent {
            let what = format!("`{name}` of {value} without `idempotent` lets messages pass each other");
            doubts.push(("properties", what, "leave it out, and the order of a host is kept"));
        }
    }
    if !config.idempotent {
        let what = "events may come twice whenever an answer of a broker is lost".to_owned();
        doubts.push((
            "idempotent",
            what,
            "leave it out, unless the cluster cannot tell repeated messages apart",
        ));
    }
    if config.key.is_empty() {
        let what =
            "without a key events of a host come to many partitions, so their order is lost".to_owned();
        doubts.push(("key", what, "leave it out, for the machine as the key"));
    }
    doubts
}

fn is_acks(name: &str) -> bool {
    matches!(name, "acks" | "request.required.acks")
}

fn is_all(value: &str) -> bool {
    matches!(value, "all" | "-1")
}

fn codec(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "none",
        Compression::Gzip => "gzip",
        Compression::Snappy => "snappy",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
    }
}

impl<'de> Deserialize<'de> for Property {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Property;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a text, a number, `true` or `false`")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Property, E> {
                Ok(Property(text.to_owned()))
            }
            fn visit_bool<E: Error>(self, yes: bool) -> Result<Property, E> {
                Ok(Property(yes.to_string()))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Property, E> {
                Ok(Property(number.to_string()))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Property, E> {
                Ok(Property(number.to_string()))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Property, E> {
                Ok(Property(number.to_string()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl JsonSchema for Property {
    fn schema_name() -> Cow<'static, str> {
        "Property".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "number", "boolean"] })
    }
}
