//! The HTTP Event Collector: every documented refusal, acknowledgements, and what was indexed.

use super::{Rig, batch, is_free};
use crate::support::splunk::{Splunk, Token};
use crate::support::web::{Reply, says};
use forebay::sink::{Encoded, Refusal, SendError, Sent};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

fn rig(splunk: &Splunk, more: &str) -> Rig {
    Rig::new(&format!("[splunk_hec]\nurl = '{}'\n{more}", splunk.receiver.url()))
}

const GOOD: &str = "token = 'good'\n";

fn event(number: usize) -> String {
    let event = json!({ "time": 1553893840.380, "host": "dc1", "event": format!("<Event>{number}</Event>") });
    format!("{event}\n")
}

fn events(count: usize) -> Arc<Encoded> {
    batch((0..count).map(event))
}

/// How often each event is indexed.
fn indexed(splunk: &Splunk) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for event in &splunk.state().events {
        *found.entry(event["event"].to_string()).or_default() += 1;
    }
    found
}

#[track_caller]
fn is_there_once(splunk: &Splunk, count: usize) {
    let found = indexed(splunk);
    assert_eq!(found.len(), count);
    assert!(found.values().all(|times| *times == 1), "{found:?}");
}

#[track_caller]
fn retry(result: Result<Sent, SendError>) -> Option<Duration> {
    match result {
        Err(SendError::Retry { after, .. }) => after,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_batch_is_sent_in_requests_that_splunk_takes_and_each_event_is_indexed_once() {
    let splunk = Splunk::start();
    let mut rig = rig(&splunk, &format!("{GOOD}request.bytes = '16KiB'"));
    for _ in 0..3 {
        splunk.state().events.clear();
        let batch = events(3000);
        assert_eq!(rig.send(&batch), Ok(Sent::Confirmed));
        is_there_once(&splunk, 3000);
        is_free(batch);
    }
    let posts = splunk.posts();
    assert!(posts.len() >= 30 && posts.iter().all(|post| post.body.len() <= 16 * 1024));
    assert!(posts.iter().all(|post| post.header("content-encoding") == "gzip"));
    assert!(posts.iter().all(|post| post.header("authorization") == "Splunk good"));
    assert!(splunk.receiver.connections() <= 8, "{}", splunk.receiver.connections());
    assert!(rig.metrics.concurrency.get() > 2);
    assert_eq!((rig.told().len(), rig.metrics.repeated.get()), (0, 0));
}

#[test]
fn lines_go_to_the_raw_endpoint_with_what_is_said_about_all_of_them() {
    let splunk = Splunk::start();
    let more = "raw = { index = 'main', sourcetype = 'XmlWinEventLog', source = 'a b/ö' }";
    let mut rig = rig(&splunk, &format!("{GOOD}{more}"));
    assert_eq!(
        rig.send(&batch(["<Event>1</Event>\n".to_owned(), "<Event>2</Event>\n".to_owned()])),
        Ok(Sent::Confirmed)
    );
    let state = splunk.state();
    assert_eq!(state.events.len(), 2);
    assert_eq!(state.events[1]["event"], "<Event>2</Event>");
    assert_eq!(
        state.events[0]["about"],
        json!({ "index": "main", "sourcetype": "XmlWinEventLog", "source": "a%20b%2F%C3%B6" })
    );
}

/// Each documented refusal that an operator must mend: nothing is lost, nothing repeated, and when it is mended
/// the very same batch goes through.
#[test]
fn who_is_not_let_in_is_told_so_and_goes_on_when_it_is_mended() {
    type Change = fn(&mut crate::support::splunk::State);
    let cases: [(&str, Change, Change, &str); 6] = [
        (
            "token = 'bad'",
            |_| {},
            |state| {
                state.tokens.insert("bad".into(), Token::default());
            },
            "Invalid token (code 4)",
        ),
        (
            GOOD,
            |state| state.tokens.get_mut("good").unwrap().is_disabled = true,
            |state| state.tokens.get_mut("good").unwrap().is_disabled = false,
            "Token disabled (code 1)",
        ),
        (
            "token = 'good'\nack = 'on'",
            |_| {},
            |state| state.tokens.get_mut("good").unwrap().acks = true,
            "ACK is disabled (code 14)",
        ),
        (
            GOOD,
            |state| state.replies = vec![says(401, r#"{"text":"Token is required","code":2}"#)],
            |_| {},
            "Token is required (code 2)",
        ),
        (
            GOOD,
            |state| {
                state.replies =
                    vec![says(400, r#"{"text":"Query string authorization is not enabled","code":16}"#)]
            },
            |_| {},
            "(code 16)",
        ),
        (
            GOOD,
            |state| state.replies = vec![says(400, r#"{"text":"Data channel is missing","code":10}"#)],
            |_| {},
            "X-Splunk-Request-Channel",
        ),
    ];
    for (settings, harm, mend, words) in cases {
        let splunk = Splunk::start();
        harm(&mut splunk.state());
        let mut rig = rig(&splunk, settings);
        let batch = events(10);
        assert_eq!(retry(rig.send(&batch)), Some(Duration::from_secs(60)), "{words}");
        rig.has_told(words);
        assert!(rig.told()[0].starts_with("output `siem`: http://127.0.0.1"), "{:?}", rig.told());
        assert!(indexed(&splunk).is_empty(), "{words}");
        assert!(splunk.receiver.requests().len() <= 2, "it is asked once a minute");
        mend(&mut splunk.state());
        assert_eq!(rig.send(&batch), Ok(Sent::Confirmed), "{words}");
        is_there_once(&splunk, 10);
        is_free(batch);
    }
}

#[test]
fn a_token_in_a_file_counts_at_once_when_it_changes() {
    use std::os::unix::fs::PermissionsExt;
    let (splunk, folder) = (Splunk::start(), tempfile::tempdir().unwrap());
    let path = folder.path().join("token");
    let put = |text: &str| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    let mut rig = rig(&splunk, &format!("token_file = '{}'", path.display()));
    let batch = events(5);
    assert!(retry(rig.send(&batch)).is_some());
    rig.has_told("the credentials in");
    assert!(splunk.receiver.requests().is_empty(), "nothing is sent without them");
    put("old\n");
    assert!(rig.is_sooner());
    assert!(retry(rig.send(&batch)).is_some());
    rig.has_told("Invalid token");
    assert!(!rig.is_sooner(), "nothing has changed");
    put("good");
    assert!(rig.is_sooner());
    assert_eq!(rig.send(&batch), Ok(Sent::Confirmed));
    is_there_once(&splunk, 5);
    assert!(rig.told().iter().all(|told| !told.contains("good")), "{:?}", rig.told());
}

#[test]
fn events_before_one_that_is_not_taken_are_not_sent_again() {
    let bad = [
        ("{\"host\":\"x\"}\n", "Event field is required (code 12, event 3"),
        ("{\"event\":\"\"}\n", "Event field cannot be blank (code 13, event 3"),
        ("{\"event\":\n", "Invalid data format (code 6, event 3"),
    ];
    for (poison, words) in bad {
        let splunk = Splunk::start();
        let mut rig = rig(&splunk, GOOD);
        let batch = batch((0..9).map(|number| if number == 3 { poison.to_owned() } else { event(number) }));
        let Ok(Sent::Partly(refused)) = rig.send(&batch) else { panic!("{words}") };
        // What a torn event takes with it is known only event by event.
        assert_eq!(refused[0].item, 3);
        assert!(refused[0].reason.contains(words), "{refused:?}");
        if !poison.ends_with(":\n") {
            assert_eq!(refused.len(), 1);
            is_there_once(&splunk, 8);
            assert_eq!(splunk.posts().len(), 2);
        }
        is_free(batch);
    }
}

#[test]
fn an_event_whose_fields_splunk_does_not_index_is_refused_and_those_before_it_are_there_once() {
    let splunk = Splunk::start();
    let mut rig = rig(&splunk, GOOD);
    let poison = "{\"event\":\"x\",\"fields\":{\"a\":{\"b\":1}}}\n";
    let batch = batch((0..8).map(|number| if number == 5 { poison.to_owned() } else { event(number) }));
    let Ok(Sent::Partly(refused)) = rig.send(&batch) else { panic!() };
    assert_eq!(refused.iter().map(|refused| refused.item).collect::<Vec<_>>(), [5]);
    assert!(refused[0].reason.contains("Error in handling indexed fields (code 15, event 5"), "{refused:?}");
    is_there_once(&splunk, 7);
    assert_eq!((splunk.posts().len(), rig.metrics.repeated.get()), (2, 0));
}

#[test]
fn an_index_that_is_not_there_holds_the_events_until_it_is() {
    let splunk = Splunk::start();
    let mut rig = rig(&splunk, GOOD);
    let batch = batch((0..4).map(|number| format!("{{\"index\":\"windows\",\"event\":{number}}}\n")));
    assert_eq!(retry(rig.send(&batch)), Some(Duration::from_secs(60)));
    rig.has_told("Incorrect index (code 7");
    splunk.state().indexes.insert("windows".into());
    assert_eq!(rig.send(&batch), Ok(Sent::Confirmed));
    is_there_once(&splunk, 4);
    assert_eq!(rig.metrics.repeated.get(), 0);
}

/// Every third event of ten goes to an index that is not there.
fn mixed() -> Arc<Encoded> {
    let index = |number| if number % 3 == 2 { "windows" } else { "main" };
    batch((0..10).map(|number| format!("{{\"index\":\"{}\",\"event\":{number}}}\n", index(number))))
}

#[test]
fn events_before_one_for_an_index_that_is_not_there_are_there_once_and_the_others_wait() {
    let splunk = Splunk::start();
    let mut rig = rig(&splunk, GOOD);
    let batch = mixed();
    for _ in 0..3 {
        assert_eq!(retry(rig.send(&batch)), Some(Duration::from_secs(60)));
        is_there_once(&splunk, 2);
    }
    rig.has_told("Incorrect index (code 7");
    rig.has_told("let the token write to it");
    splunk.state().indexes.insert("windows".into());
    assert_eq!(rig.send(&batch), Ok(Sent::Confirmed));
    is_there_once(&splunk, 10);
    assert_eq!(rig.metrics.repeated.get(), 0);
    is_free(batch);
}

#[test]
fn an_index_that_is_not_there_loses_nothing_however_splunk_counts() {
    for (count_from, twice) in [(Some(0), 1), (None, 2)] {
        let splunk = Splunk::start();
        splunk.state().index_count_from = count_from;
        let mut rig = rig(&splunk, GOOD);
        let batch = mixed();
        assert_eq!(retry(rig.send(&batch)), Some(Duration::from_secs(60)));
        splunk.state().indexes.insert("windows".into());
        assert_eq!(rig.send(&batch), Ok(Sent::Confirmed));
        let found = indexed(&splunk);
        assert_eq!(found.len(), 10, "{count_from:?}");
        assert_eq!(found.values().filter(|times| **times == 2).count(), twice, "{count_from:?}: {found:?}");
        // Which of them are there it has told only where it gave a number.
        assert_eq!(rig.metrics.repeated.get() > 0, count_from.is_none());
    }
}

#[test]
fn a_busy_splunk_is_left_alone_for_as_long_as_it_says() {
    let splunk = Splunk::start();
    let busy = |status, code, header: Vec<(&'static str, String)>| {
        Reply::Status(status, header, json!({ "text": "Server is busy", "code": code }).to_string())
    };
    splunk.state().replies = vec![
        busy(503, 9, vec![("Retry-After", "7".into())]),
        busy(500, 8, Vec::new()),
        busy(429, 26, Vec::new()),
    ];
    let mut rig = rig(&splunk, &format!("{GOOD}request.concurrency_max = 1"));
    let batch = events(100);
    assert_eq!(retry(rig.send(&batch)), Some(Duration::from_secs(7)));
    assert_eq!(retry(rig.send(&batch)), None);
    assert_eq!(retry(rig.send(&batch)), None);
    assert_eq!(rig.send(&batch), Ok(Sent::Confirmed));
    rig.has_told("is too busy");
    is_there_once(&splunk, 100);
    assert_eq!(rig.metrics.repeated.get(), 0, "it said that it has not taken them");
}

#[test]
fn requests_that_are_too_large_are_halved_and_one_event_that_is_goes_to_the_dead_letter() {
    let splunk = Splunk::start();
    splunk.state().content_max = 10_000;
    let mut rig = rig(&splunk, GOOD);
    let large = format!("{{\"event\":\"{}\"}}\n", "x".repeat(20_000));
    let batch = batch((0..500).map(|number| if number == 77 { large.clone() } else { event(number) }));
    let Ok(Sent::Partly(refused)) = rig.send(&batch) else { panic!() };
    assert_eq!(refused.iter().map(|Refusal { item, .. }| *item).collect::<Vec<_>>(), [77]);
    assert!(refused[0].reason.contains("Content-Length too large"), "{refused:?}");
    is_there_once(&splunk, 499);
    rig.has_told("takes smaller requests only");
}

#[test]
fn with_acknowledgement_a_batch_counts_when_it_is_indexed() {
    let splunk = Splunk::start();
    splunk.state().tokens.get_mut("good").unwrap().acks = true;
    for ack in ["auto", "on"] {
        splunk.state().events.clear();
        let mut rig = rig(&splunk, &format!("{GOOD}ack = '{ack}'\nrequest.bytes = '4KiB'"));
        let batch = events(400);
        splunk.state().polls_until_indexed = u32::MAX;
        rig.begin(&batch, Duration::from_millis(700));
        is_there_once(&splunk, 400);
        // Given up half-way, it goes on with what it has asked for.
        let posts = splunk.posts().len();
        splunk.state().polls_until_indexed = 0;
        splunk.state().acks_come();
        assert_eq!(rig.send(&batch), Ok(Sent::Confirmed));
        assert_eq!(splunk.posts().len(), posts, "nothing is sent twice");
        is_free(batch);
    }
}

#[test]
fn a_collector_that_is_away_does_not_keep_another_from_saying_that_it_acknowledges() {
    let away = || format!("http://127.0.0.1:{}", crate::support::process::free_port());
    let rig = |urls: &[String]| {
        Rig::new(&format!("[splunk_hec]\nurl = {urls:?}\n{GOOD}ack = 'on'\nrequest.timeout = '5s'"))
    };
    let (splunk, busy) = (Splunk::start(), Splunk::start());
    splunk.state().tokens.get_mut("good").unwrap().acks = true;
    busy.state().replies = vec![says(503, r#"{"text":"Server is busy","code":9}"#)];
    busy.state().tokens.get_mut("good").unwrap().acks = true;
    let batch = events(20);
    assert_eq!(rig(&[away(), splunk.receiver.url()]).send(&batch), Ok(Sent::Confirmed));
    is_there_once(&splunk, 20);
    splunk.state().events.clear();
    assert_eq!(rig(&[busy.receiver.url(), splunk.receiver.url()]).send(&batch), Ok(Sent::Confirmed));
    assert_eq!(splunk.state().events.len() + busy.state().events.len(), 20);
    let (first, second) = (away(), away());
    let mut nobody = rig(&[first.clone(), second.clone()]);
    assert_eq!(retry(nobody.send(&batch)), None);
    nobody.has_told(&format!("no connection to {first}"));
    nobody.has_told(&format!("no connection to {second}"));
}

#[test]
fn what_is_never_acknowledged_is_sent_again_and_counted() {
    let splunk = Splunk::start();
    {
        let mut state = splunk.state();
        state.tokens.get_mut("good").unwrap().acks = true;
        (state.forgets, state.polls_until_indexed) = (true, 0);
    }
    let mut rig = rig(&splunk, &format!("{GOOD}ack_timeout = '600ms'"));
    let batch = events(20);
    rig.begin(&batch, Duration::from_millis(300));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(1200));
            splunk.state().forgets = false;
        });
        assert_eq!(rig.send(&batch), Ok(Sent::Confirmed));
    });
    rig.has_told("did not say that events are indexed");
    let twice = indexed(&splunk).values().map(|times| times - 1).sum::<usize>();
    assert!(
        twice > 0 && rig.metrics.repeated.get() == twice as u64,
        "{twice} {}",
        rig.metrics.repeated.get()
    );
}

#[test]
fn the_collector_is_asked_whether_it_lets_us_in() {
    let splunk = Splunk::start();
    splunk.state().tokens.insert("off".into(), Token { is_disabled: true, ..Token::default() });
    let probe = |token: &str| {
        let text = format!("splunk_hec = {{ url = '{}', token = '{token}' }}", splunk.receiver.url());
        let sink = toml::from_str::<forebay::sink::SinkConfig>(&text).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(sink.probe("siem"))
    };
    assert_eq!(probe("good"), []);
    assert!(probe("bad")[0].why.contains("Invalid token (code 4)"));
    assert!(probe("bad")[0].fix.contains("correct the token"));
    assert!(probe("off")[0].why.contains("Token disabled (code 1)"));
    splunk.state().replies = vec![says(503, r#"{"text":"HEC is unhealthy, queues are full","code":18}"#)];
    assert!(probe("good")[0].why.contains("queues are full"));
    splunk.state().replies = vec![says(503, r#"{"text":"Server is busy","code":9}"#)];
    assert!(probe("good")[0].why.contains("503: Server is busy (code 9)"));
    splunk.state().replies = vec![says(400, "<html>sent to an HTTPS port</html>")];
    assert!(probe("good")[0].what.contains("does not answer as the event collector"));
    splunk.state().tokens.get_mut("good").unwrap().acks = true;
    assert_eq!(probe("good"), []);
    assert!(splunk.receiver.requests().iter().all(|request| request.body.is_empty()));
    let values: Vec<Value> = splunk.state().events.clone();
    assert!(values.is_empty());
}
