//! The Logs Ingestion API: every documented refusal, tokens and their end, and what was taken.

use super::{Rig, batch, is_free};
use crate::support::sentinel::{RULE, SECRET, STREAM, Sentinel, State, denied, error};
use crate::support::web::{Reply, says};
use forebay::sink::{Encoded, Refusal, SendError, Sent};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

fn rig(sentinel: &Sentinel, more: &str) -> Rig {
    let secret = format!("client_secret = '{SECRET}'\n{more}");
    Rig::new(&sentinel.sink(&sentinel.receiver.url(), &secret))
}

fn event(number: usize) -> String {
    format!("{{\"EventRecordId\":{number},\"Provider\":\"Microsoft-Windows-Security-Auditing\"}}")
}

fn events(count: usize) -> Arc<Encoded> {
    batch((0..count).map(event))
}

/// How often each event is there.
fn taken(sentinel: &Sentinel) -> BTreeMap<u64, usize> {
    let mut found = BTreeMap::new();
    for event in &sentinel.state().events {
        *found.entry(event["EventRecordId"].as_u64().unwrap()).or_default() += 1;
    }
    found
}

#[track_caller]
fn is_there_once(sentinel: &Sentinel, count: usize) {
    let found = taken(sentinel);
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
fn a_batch_is_sent_in_calls_with_one_token_and_each_event_is_there_once() {
    let sentinel = Sentinel::start();
    let mut rig = rig(&sentinel, "request.bytes = '16KiB'\n");
    for _ in 0..3 {
        sentinel.state().events.clear();
        let batch = events(3000);
        assert_eq!(rig.send(&batch), Ok(Sent::Confirmed));
        is_there_once(&sentinel, 3000);
        is_free(batch);
    }
    let posts = sentinel.posts();
    assert!(posts.len() >= 30 && posts.iter().all(|post| post.body.len() <= 16 * 1024));
    assert!(posts.iter().all(|post| post.header("content-encoding") == "gzip"));
    assert!(posts.iter().all(|post| post.header("authorization") == "Bearer ey.token-1"));
    assert!(rig.metrics.concurrency.get() > 2);
    assert_eq!((rig.told().len(), rig.metrics.repeated.get()), (0, 0));
    assert_eq!(sentinel.state().tokens_given, 1);
}

/// Each documented refusal that an operator must mend: nothing is lost, nothing repeated, and when it is mended
/// the very same batch goes through.
#[test]
fn who_is_not_let_in_is_told_so_and_goes_on_when_it_is_mended() {
    type Change = fn(&mut State);
    let cases: [(Change, Change, &str, &str); 8] = [
        (
            |state| state.secret = "new".into(),
            |state| state.secret = SECRET.into(),
            "AADSTS7000215",
            "not its id",
        ),
        (
            |state| state.tenant = "other".into(),
            |state| state.tenant = "tenant.example.org".into(),
            "AADSTS90002",
            "`tenant`",
        ),
        (
            |state| state.client = "other".into(),
            |state| state.client = "app".into(),
            "AADSTS700016",
            "`client_id`",
        ),
        (
            |state| state.scope = "other".into(),
            |state| state.scope = "https://monitor.azure.com/.default".into(),
            "AADSTS70011",
            "`scope`",
        ),
        (
            |state| {
                state.rules.clear();
            },
            |state| {
                state.rules.insert(RULE.into(), [STREAM.to_owned()].into());
            },
            "not found",
            "`dcr`",
        ),
        (
            |state| state.rules.get_mut(RULE).unwrap().clear(),
            |state| {
                state.rules.get_mut(RULE).unwrap().insert(STREAM.into());
            },
            "InvalidStream",
            "`stream`",
        ),
        (
            |state| state.has_role = false,
            |state| state.has_role = true,
            "OperationFailed",
            "Monitoring Metrics Publisher",
        ),
        (
            |state| {
                state.replies = vec![error(401, "InvalidAudience", "no"), error(401, "InvalidAudience", "no")]
            },
            |_| {},
            "InvalidAudience",
            "it was tried with a new token",
        ),
    ];
    for (harm, mend, words, fix) in cases {
        let sentinel = Sentinel::start();
        harm(&mut sentinel.state());
        let mut rig = rig(&sentinel, "request.concurrency_max = 1\n");
        let batch = events(10);
        assert_eq!(retry(rig.send(&batch)), Some(Duration::from_secs(60)), "{words}");
        rig.has_told(words);
        rig.has_told(fix);
        assert!(rig.told()[0].starts_with("output `siem`: http://127.0.0.1"), "{:?}", rig.told());
        assert!(
            rig.told().iter().all(|told| !told.contains(SECRET) && !told.contains("ey.")),
            "{:?}",
            rig.told()
        );
        assert!(taken(&sentinel).is_empty(), "{words}");
        let asked = sentinel.receiver.requests().len();
        assert!(asked <= 4, "{words}: a token, a call, and once more: {asked}");
        mend(&mut sentinel.state());
        assert_eq!(rig.send(&batch), Ok(Sent::Confirmed), "{words}");
        is_there_once(&sentinel, 10);
        is_free(batch);
    }
}

#[test]
fn a_token_that_is_not_taken_any_more_costs_one_more_request_and_no_word() {
    let sentinel = Sentinel::start();
    let mut rig = rig(&sentinel, "request.bytes = '1KiB'\n");
    assert_eq!(rig.send(&events(200)), Ok(Sent::Confirmed));
    sentinel.state().tokens.clear();
    sentinel.state().events.clear();
    assert_eq!(rig.send(&events(200)), Ok(Sent::Confirmed));
    is_there_once(&sentinel, 200);
    assert_eq!(sentinel.state().tokens_given, 2, "those that were under way share the new one");
    assert_eq!((rig.told().len(), rig.metrics.repeated.get()), (0, 0));
}

#[test]
fn a_token_is_fetched_anew_before_it_ends() {
    let sentinel = Sentinel::start();
    sentinel.state().lives = 2;
    let mut rig = rig(&sentinel, "");
    assert_eq!(rig.send(&events(1)), Ok(Sent::Confirmed));
    assert_eq!(rig.send(&events(1)), Ok(Sent::Confirmed));
    assert_eq!(sentinel.state().tokens_given, 1);
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(rig.send(&events(1)), Ok(Sent::Confirmed));
    assert_eq!(sentinel.state().tokens_given, 2);
}

#[test]
fn a_secret_in_a_file_counts_at_once_when_it_changes() {
    use std::os::unix::fs::PermissionsExt;
    let (sentinel, folder) = (Sentinel::start(), tempfile::tempdir().unwrap());
    let path = folder.path().join("secret");
    let put = |text: &str| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    let file = format!("client_secret_file = '{}'\n", path.display());
    let mut rig = Rig::new(&sentinel.sink(&sentinel.receiver.url(), &file));
    let batch = events(5);
    assert!(retry(rig.send(&batch)).is_some());
    rig.has_told("the credentials in");
    assert!(sentinel.receiver.requests().is_empty(), "nothing is sent without it");
    put("old\n");
    assert!(rig.is_sooner());
    assert!(retry(rig.send(&batch)).is_some());
    rig.has_told("Invalid client secret");
    assert!(!rig.is_sooner(), "nothing has changed");
    put(&format!("{SECRET}\n"));
    assert!(rig.is_sooner());
    assert_eq!(rig.send(&batch), Ok(Sent::Confirmed));
    is_there_once(&sentinel, 5);
    // One more secret is proved at once, though the token of the other one is good.
    sentinel.state().secret = "newer".into();
    put("newer");
    assert_eq!(rig.send(&events(1)), Ok(Sent::Confirmed));
    assert_eq!(sentinel.state().tokens_given, 2);
}

#[test]
fn a_tenant_in_trouble_is_asked_again_and_events_wait() {
    let sentinel = Sentinel::start();
    sentinel.state().token_replies = vec![
        Reply::Status(429, vec![("Retry-After", "7".into())], "slow down".into()),
        says(503, ""),
        denied(400, "temporarily_unavailable", 50_196, "busy."),
        says(200, "<html>sign in here</html>"),
        Reply::HangUp,
        Reply::Half,
    ];
    let mut rig = rig(&sentinel, "request = { concurrency_max = 1, timeout = '1s' }\n");
    let batch = events(100);
    assert_eq!(retry(rig.send(&batch)), Some(Duration::from_secs(7)));
    for _ in 0..5 {
        assert_eq!(retry(rig.send(&batch)), None);
    }
    for part in
        ["gives us no token now", "what it says is no token", "did not answer when it was asked for a token"]
    {
        rig.has_told(part);
    }
    assert!(sentinel.posts().is_empty());
    assert_eq!(rig.send(&batch), Ok(Sent::Confirmed));
    is_there_once(&sentinel, 100);
    assert_eq!(rig.metrics.repeated.get(), 0, "no event was in those requests");
}

#[test]
fn a_redirect_of_the_tenant_is_not_followed() {
    let elsewhere = crate::support::web::Receiver::start(|_| says(200, ""));
    let sentinel = Sentinel::start();
    sentinel.state().token_replies =
        vec![Reply::Status(307, vec![("Location", elsewhere.url())], String::new())];
    let mut rig = rig(&sentinel, "");
    let batch = events(1);
    assert_eq!(retry(rig.send(&batch)), Some(Duration::from_secs(60)));
    rig.has_told("sends us elsewhere, and we do not go");
    assert!(elsewhere.requests().is_empty(), "the secret went nowhere");
    assert_eq!(rig.send(&batch), Ok(Sent::Confirmed));
}

#[test]
fn a_busy_endpoint_is_left_alone_for_as_long_as_it_says() {
    let sentinel = Sentinel::start();
    sentinel.state().replies = vec![
        Reply::Status(429, vec![("Retry-After", "9".into())], String::new()),
        error(500, "InternalServerError", "oh"),
        says(503, ""),
    ];
    let mut rig = rig(&sentinel, "request.concurrency_max = 1\n");
    let batch = events(100);
    assert_eq!(retry(rig.send(&batch)), Some(Duration::from_secs(9)));
    assert_eq!(retry(rig.send(&batch)), None);
    assert_eq!(retry(rig.send(&batch)), None);
    assert_eq!(rig.send(&batch), Ok(Sent::Confirmed));
    rig.has_told("is too busy");
    is_there_once(&sentinel, 100);
    assert_eq!(rig.metrics.repeated.get(), 0, "it said that it has not taken them");
}

#[test]
fn calls_that_are_too_large_are_halved_and_one_event_that_is_goes_to_the_dead_letter() {
    let sentinel = Sentinel::start();
    sentinel.state().content_max = 10_000;
    let mut rig = rig(&sentinel, "");
    let large = format!("{{\"EventRecordId\":77,\"RawEventData\":\"{}\"}}", "x".repeat(20_000));
    let batch = batch((0..500).map(|number| if number == 77 { large.clone() } else { event(number) }));
    let Ok(Sent::Partly(refused)) = rig.send(&batch) else { panic!() };
    assert_eq!(refused.iter().map(|Refusal { item, .. }| *item).collect::<Vec<_>>(), [77]);
    assert!(refused[0].reason.contains("Maximum allowed content length: 10000 bytes"), "{refused:?}");
    is_there_once(&sentinel, 499);
    rig.has_told("takes smaller requests only");
}

#[test]
fn what_is_refused_is_searched_for_and_the_others_go_on() {
    for (poison, words) in [("{\"EventRecordId\":", "InvalidJson"), ("[1]", "InvalidRecord")] {
        let sentinel = Sentinel::start();
        let mut rig = rig(&sentinel, "");
        let batch = batch((0..64).map(|number| if number == 37 { poison.to_owned() } else { event(number) }));
        let Ok(Sent::Partly(refused)) = rig.send(&batch) else { panic!("{words}") };
        assert_eq!(refused.iter().map(|Refusal { item, .. }| *item).collect::<Vec<_>>(), [37]);
        assert!(refused[0].reason.contains(words), "{refused:?}");
        is_there_once(&sentinel, 63);
    }
}

#[test]
fn what_is_wrong_is_told_before_anything_is_sent() {
    let sentinel = Sentinel::start();
    let probe = || {
        let url = sentinel.receiver.url();
        let text = sentinel.sink(&url, &format!("client_secret = '{SECRET}'\n"));
        let sink = toml::from_str::<forebay::sink::SinkConfig>(&text).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(sink.probe("siem"))
    };
    assert_eq!(probe(), []);
    sentinel.state().has_role = false;
    assert!(probe()[0].fix.contains("Monitoring Metrics Publisher"));
    sentinel.state().has_role = true;
    sentinel.state().secret = "new".into();
    assert!(probe()[0].why.contains("Invalid client secret"));
    sentinel.state().secret = SECRET.into();
    sentinel.state().replies = vec![error(400, "InvalidPayload", "an array without records")];
    assert_eq!(probe(), [], "who finds fault with the body has let us in");
    assert!(sentinel.state().events.is_empty());
}
