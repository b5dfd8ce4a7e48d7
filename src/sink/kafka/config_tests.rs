//! Settings: which are right, which are refused and in which words.

use super::Config;
use super::properties;
use crate::sink::SinkError;

fn config(more: &str) -> Config {
    let text =
        format!("brokers = ['k1.example.org:9092', '[::1]:9092']\ntopic = 'windows.{{channel}}'\n{more}");
    toml::from_str(&text).unwrap_or_else(|error| panic!("{more}: {error}"))
}

#[track_caller]
fn refused(more: &str, setting: &str, words: &str) {
    match config(more).checked() {
        Err(SinkError::Setting { setting: found, why }) => {
            assert!(found == setting && why.contains(words), "{more}: {found}: {why}");
            assert!(why.contains("; "), "{why}: it says what to do");
        }
        Err(error) => panic!("{more}: {error}"),
        Ok(_) => panic!("{more}: it is taken"),
    }
}

#[test]
fn what_is_not_written_keeps_every_promise() {
    let properties = properties::of(&config("")).unwrap();
    for (name, value) in [
        ("bootstrap.servers", "k1.example.org:9092,[::1]:9092"),
        ("enable.idempotence", "true"),
        ("enable.gapless.guarantee", "true"),
        ("acks", "all"),
        ("message.timeout.ms", "0"),
        ("partitioner", "murmur2_random"),
        ("compression.codec", "lz4"),
        ("queue.buffering.max.kbytes", "16384"),
        ("security.protocol", "plaintext"),
    ] {
        assert_eq!(properties.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(config("").doubts().is_empty());
}

#[test]
fn properties_are_passed_through_and_those_that_break_a_promise_are_not() {
    let passed =
        config("properties = { 'linger.ms' = 20, 'client.rack' = 'a', 'socket.nagle.disable' = true }");
    let properties = properties::of(&passed).unwrap();
    for (name, value) in [("linger.ms", "20"), ("client.rack", "a"), ("socket.nagle.disable", "true")] {
        assert_eq!(properties.get(name).map(String::as_str), Some(value), "{name}");
    }
    refused("properties = { 'enable.idempotence' = false }", "properties", "write `idempotent`");
    refused("properties = { 'acks' = 0 }", "properties", "nobody answers");
    refused("properties = { 'acks' = 1 }", "properties", "cannot be idempotent");
    refused("properties = { 'message.timeout.ms' = 1000 }", "properties", "given up");
    refused("properties = { 'partitioner' = 'random' }", "properties", "out of order");
    refused("properties = { 'max.in.flight' = 6 }", "properties", "more than 5");
    refused("properties = { 'sasl.password' = 'x' }", "properties", "write `sasl`");
    refused("properties = { 'transactional.id' = 'x' }", "properties", "leave it out");
}

#[test]
fn what_weakens_a_promise_is_said() {
    let doubts = |more: &str| -> Vec<&str> { config(more).doubts().iter().map(|(key, _, _)| *key).collect() };
    assert_eq!(doubts("idempotent = false"), ["idempotent"]);
    assert_eq!(doubts("idempotent = false\nproperties = { 'acks' = 1 }"), ["properties", "idempotent"]);
    assert_eq!(doubts("key = ''"), ["key"]);
    let properties = properties::of(&config("idempotent = false")).unwrap();
    assert_eq!(properties["max.in.flight"], "1", "what is sent again is not passed");
}

#[test]
fn a_setting_that_cannot_be_is_refused_in_words() {
    refused("message_max = '10B'", "message_max", "976KiB");
    refused("queue_max = '64KiB'", "queue_max", "at least one message");
    refused("create = { partitions = 0 }", "create", "at least one partition");
    for (text, words) in [
        ("brokers = []\ntopic = 'x'", "nowhere to go"),
        ("brokers = ['k1']\ntopic = 'x'", "no `host:port`"),
        ("brokers = ['http://k1:9092']\ntopic = 'x'", "no `host:port`"),
        ("brokers = ['k1:9092']\ntopic = '{channel}'", "must begin with text"),
        ("brokers = ['k1:9092']\ntopic = 'x'\nkey = '{machine}'", "{machine}"),
    ] {
        let config: Config = toml::from_str(text).unwrap();
        let error = config.checked().err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn a_password_is_not_sent_in_the_clear_and_stands_in_one_place() {
    let plain = "sasl.plain = { username = 'u', password = 'p' }";
    refused(plain, "sasl", "whoever listens");
    refused("sasl.oauthbearer = { token_file = '/t' }", "sasl", "whoever listens");
    refused("sasl.scram = { username = 'u' }", "sasl.scram", "either `password` or `password_file`");
    refused("sasl = {}", "sasl", "exactly one of");
    refused("tls = { certificate = '/c' }", "tls", "belong together");
    let signed = |more: &str| properties::of(&config(more)).unwrap();
    let properties = signed(&format!("{plain}\ntls = {{}}"));
    assert_eq!(properties["security.protocol"], "sasl_ssl");
    assert_eq!(properties["ssl.ca.location"], "probe");
    assert!(!properties.contains_key("enable.ssl.certificate.verification"));
    let properties = signed("sasl.scram = { username = 'u', password_file = '/p' }");
    assert_eq!(
        (&*properties["security.protocol"], &*properties["sasl.mechanisms"]),
        ("sasl_plaintext", "SCRAM-SHA-512")
    );
    assert!(!properties.contains_key("sasl.password"), "it is read when a producer is made");
}

#[cfg(not(feature = "kafka"))]
#[test]
fn a_build_without_kafka_says_how_to_have_it() {
    let error = config("").open().err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("built without Kafka; build it with"), "{error}");
}

#[cfg(feature = "kafka")]
#[test]
fn librdkafka_is_asked_for_its_own_properties() {
    assert!(config("tls = {}\nsasl.scram = { username = 'u', password = 'p' }").open().is_ok());
    let error = config("properties = { 'linger.mss' = 20 }").open().err().map(|error| error.to_string());
    let error = error.unwrap_or_default();
    assert!(error.contains("`linger.mss`") && error.contains("not taken by librdkafka"), "{error}");
    let error = config("properties = { 'linger.ms' = 'soon' }").open().err().map(|error| error.to_string());
    assert!(error.unwrap_or_default().contains("`linger.ms` of `soon`"));
}

#[cfg(not(feature = "kafka-gssapi"))]
#[test]
fn a_build_without_kerberos_to_kafka_says_how_to_have_it() {
    refused("sasl.gssapi = { principal = 'f@X', keytab = '/k' }", "sasl.gssapi", "--features kafka-gssapi");
}
