//! Receivers that answer wrongly, late, in halves or not at all: told, nothing lost, no spin; and when they answer
//! as they should, all is there.

use super::{Rig, batch};
use crate::support::web::{Receiver, Reply, Request, says};
use forebay::sink::{SendError, Sent};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The kinds of sinks, with what each takes for a yes.
pub(super) const SINKS: [(&str, &str); 5] = [
    ("splunk_hec = { url = 'URL', token = 't', request = { timeout = '800ms' } }", "splunk"),
    ("elasticsearch = { url = 'URL', request = { timeout = '800ms' } }", "elastic"),
    ("http = { url = 'URL/in', request = { timeout = '800ms' } }", "http"),
    ("otlp = { url = 'URL', request = { timeout = '800ms' } }", "otlp"),
    (
        "sentinel = { url = 'URL', authority = 'URL', dcr = 'dcr-1', stream = 'Custom-X', tenant = 't', \
         client_id = 'c', client_secret = 's', request = { timeout = '800ms' } }",
        "sentinel",
    ),
];

/// The marks of events in a request.
pub(super) fn marks(request: &Request) -> Vec<u32> {
    let text = String::from_utf8_lossy(&request.body);
    text.split("\"event\":").skip(1).map(|rest| rest[..4].parse().unwrap()).collect()
}

/// The answer to who wants a token.
pub(super) fn token(request: &Request) -> Option<Reply> {
    let granted = r#"{"token_type":"Bearer","expires_in":3599,"access_token":"x"}"#;
    request.path.ends_with("/oauth2/v2.0/token").then(|| says(200, granted))
}

pub(super) fn yes(kind: &str, request: &Request) -> Reply {
    let items = vec![r#"{"create":{"status":201}}"#; marks(request).len()].join(",");
    match kind {
        "splunk" => says(200, r#"{"text":"Success","code":0}"#),
        "otlp" => says(200, ""),
        "elastic" => says(200, &format!(r#"{{"errors":false,"items":[{items}]}}"#)),
        _ => says(204, ""),
    }
}

/// First the one answer, twice, then as it should be.
#[track_caller]
fn case(name: &str, wrong: &Reply, words: &str, kinds: &[&str]) {
    for (sink, kind) in SINKS.iter().filter(|(_, kind)| kinds.contains(kind)) {
        let (seen, taken) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (count, kept, wrong, kind) = (Arc::clone(&seen), Arc::clone(&taken), wrong.clone(), *kind);
        let receiver = Receiver::start(move |request| {
            if let Some(token) = token(request) {
                return token;
            }
            let mut count = count.lock().unwrap();
            *count += 1;
            if *count <= 2 {
                return wrong.clone();
            }
            kept.lock().unwrap().extend(marks(request));
            yes(kind, request)
        });
        let mut rig = Rig::new(&sink.replace("URL", &receiver.url()));
        let batch = batch((1000..1050).map(|number| format!("{{\"event\":{number}}}\n")));
        for _ in 0..2 {
            let result = rig.send(&batch);
            assert!(matches!(result, Err(SendError::Retry { .. })), "{name}, {kind}: {result:?}");
        }
        assert_eq!(*seen.lock().unwrap(), 2, "{name}, {kind}: a lane pauses between attempts");
        rig.has_told(words);
        assert_eq!(rig.deliver(&batch), Sent::Confirmed, "{name}, {kind}");
        let taken = taken.lock().unwrap();
        assert_eq!(taken.len(), 50, "{name}, {kind}");
        assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), 50, "{name}, {kind}");
    }
}

const ALL: [&str; 5] = ["splunk", "elastic", "http", "otlp", "sentinel"];
/// Those that say more than a status.
const SAYING: [&str; 4] = ["splunk", "elastic", "otlp", "sentinel"];

#[test]
fn an_answer_that_breaks_off_is_no_yes() {
    case("half", &Reply::Half, "did not answer a request to its end", &ALL);
    case("hang up", &Reply::HangUp, "did not answer a request to its end", &ALL);
    case("garbage", &Reply::Garbage, "did not answer a request to its end", &ALL);
    case("endless", &Reply::Endless, "did not answer a request to its end", &ALL);
}

#[test]
fn an_answer_that_comes_too_late_is_not_waited_for() {
    let late = Reply::Late(Duration::from_secs(5), Box::new(says(200, "{}")));
    case("late", &late, "no answer within 800ms", &ALL);
}

#[test]
fn success_with_something_else_inside_is_no_yes() {
    for body in ["<html>a proxy</html>", "{\"took\":1}", "[]", r#"{"error":"no"}"#] {
        case("200", &says(200, body), "cannot be understood", &SAYING);
    }
    case("200, empty", &says(200, ""), "cannot be understood", &["splunk", "elastic", "sentinel"]);
    case("200, code", &says(200, r#"{"text":"Server is busy","code":9}"#), "too busy", &["splunk"]);
}

#[test]
fn a_redirect_is_told_and_not_followed() {
    let elsewhere = Receiver::start(|_| says(200, ""));
    for status in [301, 302, 303, 307, 308] {
        let to = Reply::Status(status, vec![("Location", elsewhere.url())], String::new());
        case("redirect", &to, &format!("it answered {status} to {}", elsewhere.url()), &ALL);
    }
    assert_eq!(elsewhere.requests().len(), 0, "credentials went nowhere");
}

#[test]
fn trouble_of_the_receiver_is_waited_out() {
    for status in [429, 500, 502, 503, 504, 408] {
        case("busy", &says(status, "wait"), &format!("it answered {status}"), &ALL);
    }
    case("odd", &says(999, "?"), "cannot be understood", &ALL);
    case("away", &says(404, "not here"), "has nothing for us there", &["splunk", "elastic", "http", "otlp"]);
    case("away", &says(404, "not here"), "does not know our rule there", &["sentinel"]);
    case("kind", &says(415, "no"), "request.compression", &ALL);
}

#[test]
fn nobody_at_the_address_is_told_and_another_one_is_asked_in_its_place() {
    for (sink, kind) in SINKS {
        let away = crate::support::process::free_port();
        let mut rig = Rig::new(&sink.replace("URL", &format!("http://127.0.0.1:{away}")));
        let one = batch(["{\"event\":1000}\n".to_owned()]);
        assert!(matches!(rig.send(&one), Err(SendError::Retry { .. })), "{kind}");
        rig.has_told("see that the receiver runs and listens at that port");
        // It has one address.
        if kind == "sentinel" {
            continue;
        }

        let receiver = Receiver::start(move |request| yes(kind, request));
        let list = format!("['http://127.0.0.1:{away}', '{}']", receiver.url());
        let mut rig = Rig::new(&sink.replace("'URL/in'", "'URL'").replace("'URL'", &list));
        for _ in 0..6 {
            assert_eq!(rig.send(&one), Ok(Sent::Confirmed), "{kind}");
        }
        assert_eq!(rig.told(), Vec::<String>::new(), "{kind}");
        assert_eq!(receiver.requests().len(), 6, "{kind}");
    }
}

#[test]
fn a_connection_that_was_closed_while_it_was_kept_costs_no_attempt() {
    for (sink, kind) in SINKS {
        let receiver =
            Receiver::start(move |request| match token(request).unwrap_or_else(|| yes(kind, request)) {
                Reply::Status(status, mut headers, body) => {
                    headers.push(("Connection", "close".into()));
                    Reply::Status(status, headers, body)
                }
                other => other,
            });
        let mut rig = Rig::new(&sink.replace("URL", &receiver.url()));
        for _ in 0..10 {
            assert_eq!(rig.send(&batch(["{\"event\":1000}\n".to_owned()])), Ok(Sent::Confirmed), "{kind}");
        }
        assert_eq!(rig.told(), Vec::<String>::new());
    }
}

#[test]
fn what_was_taken_before_the_trouble_is_not_sent_again() {
    for (sink, kind) in SINKS {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let (kept, asked) = (Arc::clone(&taken), Mutex::new(0_u32));
        let receiver = Receiver::start(move |request| {
            if let Some(token) = token(request) {
                return token;
            }
            let mut asked = asked.lock().unwrap();
            *asked += 1;
            if (*asked).is_multiple_of(3) {
                return Reply::Status(503, vec![("Retry-After", "3".into())], "no".into());
            }
            kept.lock().unwrap().extend(marks(request));
            yes(kind, request)
        });
        let sink = sink.replace("request = {", "request = { bytes = '1KiB',").replace("URL", &receiver.url());
        let mut rig = Rig::new(&sink);
        let batch = batch((1000..2000).map(|number| format!("{{\"event\":{number}}}\n")));
        let first = rig.send(&batch);
        let Err(SendError::Retry { after, .. }) = first else { panic!("{first:?}") };
        assert_eq!(after, Some(Duration::from_secs(3)));
        assert_eq!(rig.deliver(&batch), Sent::Confirmed, "{kind}");
        let mut taken = taken.lock().unwrap().clone();
        taken.sort_unstable();
        assert_eq!(taken, (1000..2000).collect::<Vec<u32>>(), "{kind}: each one once");
    }
}

#[test]
fn one_that_ends_the_connection_where_a_request_is_too_large_gets_smaller_ones() {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&taken);
    let receiver = Receiver::start(move |request| {
        if request.body.len() > 40_000 {
            return Reply::HangUp;
        }
        kept.lock().unwrap().extend(marks(request));
        says(200, "")
    });
    let mut rig = Rig::new(&format!("http = {{ url = '{}', request.bytes = '256KiB' }}", receiver.url()));
    let filler = "x".repeat(280);
    for _ in 0..2 {
        taken.lock().unwrap().clear();
        let batch = batch((1000..2000).map(|number| format!("{{\"event\":{number},\"x\":\"{filler}\"}}\n")));
        assert_eq!(rig.deliver(&batch), Sent::Confirmed);
        let mut taken = taken.lock().unwrap().clone();
        taken.sort_unstable();
        assert_eq!(taken, (1000..2000).collect::<Vec<u32>>(), "each one once");
    }
    rig.has_told("requests may be too large for it");
}
