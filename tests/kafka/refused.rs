//! What brokers refuse, and who is refused by them.

use super::*;

#[test]
fn an_event_that_is_too_large_goes_to_the_dead_letter_and_the_rest_goes_on() {
    const TEST: &str = "an_event_that_is_too_large_goes_to_the_dead_letter_and_the_rest_goes_on";
    let folder = tempfile::tempdir().unwrap();
    let Some(broker) = Tansu::start(TEST, folder.path(), Place::HERE, Store::Memory) else { return };
    let node = Node::new(broker.port, "topic = 'windows'\nmessage_max = '8KiB'", "");
    let running = node.run();
    let (mut host, offered) = node.host(0);
    let mut events = batch(&host, 1..=20);
    events[9] =
        events[9].replace("</EventData>", &format!("<Data>{}</Data></EventData>", "x".repeat(10_000)));
    assert!(host.deliver(&offered, &events, &bookmark("Security", 20)).unwrap().is_ack());
    node.confirms(19);
    node.stops(running);
    assert_eq!(node_letters(&node).len(), 1);
    assert!(node_letters(&node)[0].contains("Message size too large"), "{:?}", node_letters(&node));
    let records: Vec<u64> =
        reading::all(broker.port, "windows").iter().map(|message| record(message).1).collect();
    assert_eq!(records, (1..=20).filter(|record| *record != 10).collect::<Vec<_>>());
}

/// Lines of the dead letter.
fn node_letters(node: &Node) -> Vec<String> {
    let folder = node.path().join("basin/dead-letter/lake");
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    files
        .flat_map(|entry| {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn a_password_that_is_not_taken_is_a_finding_and_events_wait() {
    const TEST: &str = "a_password_that_is_not_taken_is_a_finding_and_events_wait";
    let folder = tempfile::tempdir().unwrap();
    let Some(broker) = Tansu::start(TEST, folder.path(), Place::HERE, Store::Memory) else { return };
    let node = Node::new(
        broker.port,
        "topic = 'windows'\nsasl.scram = { hash = 'sha-256', username = 'forebay', password = 'wrong' }",
        "",
    );
    let running = node.run();
    let (mut host, offered) = node.host(0);
    let events = batch(&host, 1..=5);
    assert!(host.deliver(&offered, &events, &bookmark("Security", 5)).unwrap().is_ack());
    eventually("it is told", || told(node.path()).contains("is not let in by its Kafka brokers"));
    assert_eq!(node.metric("forebay_output_events_total"), 0);
    assert!(!told(node.path()).contains("'wrong'"));
    let probed = forebay(node.path(), &["check", "--probe", "pipeline.toml"]);
    let mut probed = probed;
    let said = probed.stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("is not let in by its Kafka brokers"), "{said}");
    drop(running);
}

#[test]
fn a_probe_finds_the_topic_or_says_that_it_is_not_there_and_makes_none() {
    const TEST: &str = "a_probe_finds_the_topic_or_says_that_it_is_not_there_and_makes_none";
    let folder = tempfile::tempdir().unwrap();
    let Some(broker) = Tansu::start(TEST, folder.path(), Place::HERE, Store::Memory) else { return };
    let node = Node::new(broker.port, "topic = 'windows'", "");
    let probe = || {
        let output = forebay(node.path(), &["check", "--probe", "pipeline.toml"])
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for _ in 0..2 {
        let (code, said) = probe();
        assert!(code == Some(69) && said.contains("has no topic to write to"), "{said}");
    }
    let running = node.run();
    let (mut host, offered) = node.host(0);
    let events = batch(&host, 1..=5);
    assert!(host.deliver(&offered, &events, &bookmark("Security", 5)).unwrap().is_ack());
    node.confirms(5);
    node.stops(running);
    assert_eq!(probe(), (Some(0), String::new()));
}
