//! Topics that are to be made: who may, what is told, and when it is tried again.

use super::front::Front;
use super::*;
use crate::sink::kafka::Config;
use crate::sink::kafka::topics::{AGAIN, Topics};
use crate::sink::kafka::trouble::Teller;

const INVALID_REPLICATION_FACTOR: i16 = 38;
const TOPIC_AUTHORIZATION_FAILED: i16 = 29;
const TOPIC_ALREADY_EXISTS: i16 = 36;

#[tokio::test(flavor = "multi_thread")]
async fn who_makes_topics_shows_the_token_too() {
    let cluster = MockCluster::new(1).unwrap();
    let front = Front::before(&cluster);
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "opensesame\n").unwrap();
    let more = format!(
        "create = {{ partitions = 3 }}, sasl.insecure_plain_text = true, sasl.oauthbearer.token_file = '{}'",
        token.display()
    );
    let mut tried = Tried::new(&front.address, &more);
    assert_eq!(tried.send(&batch(0, 10, 100)).await, Sent::Confirmed);
    let seen = front.seen();
    assert_eq!(seen.asked, [("windows".to_owned(), 3)]);
    // One looks, one makes, one writes.
    assert!(seen.shown.len() >= 3, "{:?}", seen.shown);
    assert!(seen.shown.iter().all(|shown| shown.contains("auth=Bearer opensesame")), "{:?}", seen.shown);
    assert!(tried.told().is_empty(), "{:?}", tried.told());
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_are_down_are_told_also_before_a_topic_is_made() {
    let cluster = cluster();
    cluster.broker_down(1).unwrap();
    let mut tried = Tried::new(&cluster.bootstrap_servers(), "create = { partitions = 1 }");
    let first = batch(0, 10, 100);
    for _ in 0..2 {
        assert!(tried.sink.send(&first).await.is_err());
    }
    let told = tried.told();
    assert!(told.len() == 1 && told[0].contains("cannot reach its Kafka brokers"), "{told:?}");
    cluster.broker_up(1).unwrap();
    // The topic is there, so nothing is asked that this broker does not know.
    assert_eq!(tried.send(&first).await, Sent::Confirmed);
    assert_eq!(read(&cluster, 10), (0..10).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_cannot_be_made_is_told_as_that_and_nothing_else() {
    for (code, what) in [
        (INVALID_REPLICATION_FACTOR, "cannot make a topic in Kafka: `windows` could not be made"),
        (TOPIC_AUTHORIZATION_FAILED, "may not make a topic in Kafka: `windows` could not be made"),
    ] {
        let cluster = cluster();
        cluster.topic_error("windows", Answer::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
        let front = Front::before(&cluster);
        front.seen().codes = [code; 20].into();
        let more = "create = { partitions = 3 }, properties = { 'topic.metadata.propagation.max.ms' = 500 }";
        let mut tried = Tried::new(&front.address, more);
        let first = batch(0, 10, 100);
        for _ in 0..2 {
            assert!(tried.sink.send(&first).await.is_err());
        }
        let told = tried.told();
        assert!(told.len() == 1 && told[0].contains(what), "{told:?}");
        assert!(!told[0].contains("create = "), "{told:?}");
        cluster.topic_error("windows", Answer::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
        assert_eq!(tried.send(&first).await, Sent::Confirmed);
        assert_eq!(tried.told(), told);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_made_is_tried_again_after_a_while_and_what_is_there_is_not() {
    let cluster = MockCluster::new(1).unwrap();
    let front = Front::before(&cluster);
    front.seen().codes =
        [INVALID_REPLICATION_FACTOR, TOPIC_AUTHORIZATION_FAILED, TOPIC_ALREADY_EXISTS].into();
    let text = format!("brokers = ['{}']\ntopic = 'windows'\ncreate = {{ partitions = 3 }}", front.address);
    let config: Config = toml::from_str(&text).unwrap();
    let (checked, teller) = (config.checked().unwrap(), Arc::new(Teller::alone("lake", String::new())));
    let (mut topics, first, start) =
        (Topics::new(config.create), batch(0, 1, 100), tokio::time::Instant::now());
    let mut asked = Vec::new();
    for at in [Duration::ZERO, AGAIN / 2, AGAIN, AGAIN + AGAIN / 2, 2 * AGAIN, 4 * AGAIN] {
        topics.make(&first, &config, &checked, &teller, start + at).await.unwrap();
        asked.push((front.seen().asked.len(), topics.missed(&first).is_some()));
    }
    assert_eq!(asked, [(1, true), (1, true), (2, true), (2, true), (3, false), (3, false)]);
}
