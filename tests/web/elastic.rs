//! `_bulk`: against a receiver that turns single events away, and against two search engines that nobody here
//! wrote.

use super::{Rig, batch, is_free};
use crate::support::backends::{Noida, OpenSearch, Place, http};
use crate::support::process::eventually;
use crate::support::web::{Receiver, Reply, says};
use forebay::sink::{Encoded, SendError, Sent};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex};

fn document(number: usize) -> String {
    format!("{{\"@timestamp\":\"2026-01-02T03:04:05Z\",\"n\":{number}}}\n")
}

fn documents(count: usize) -> Arc<Encoded> {
    batch((0..count).map(document))
}

/// One `_bulk` of the test: each event is answered by its number and how often it came.
fn engine(
    fate: impl Fn(u64, u32) -> u16 + Send + Sync + 'static,
) -> (Receiver, Arc<Mutex<BTreeMap<String, u64>>>) {
    let (index, tries) = (Arc::new(Mutex::new(BTreeMap::new())), Mutex::new(BTreeMap::<u64, u32>::new()));
    let kept = Arc::clone(&index);
    let receiver = Receiver::start(move |request| {
        let (mut items, mut errors) = (Vec::new(), false);
        let text = request.text();
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.chunks(2) {
            let action: Value = serde_json::from_str(pair[0]).unwrap();
            let document: Value = serde_json::from_str(pair[1]).unwrap();
            let (id, number) =
                (action["create"]["_id"].as_str().unwrap().to_owned(), document["n"].as_u64().unwrap());
            let mut tries = tries.lock().unwrap();
            let times = tries.entry(number).or_default();
            *times += 1;
            let mut status = fate(number, *times);
            if status == 201 && kept.lock().unwrap().insert(id, number).is_some() {
                status = 409;
            }
            errors |= status != 201;
            items.push(match status {
                201 => json!({ "create": { "status": 201 } }),
                status => json!({ "create": { "status": status, "error": { "type": format!("of_{status}"), "reason": "why" } } }),
            });
        }
        says(200, &json!({ "errors": errors, "items": items }).to_string())
    });
    (receiver, index)
}

fn rig(receiver: &Receiver, more: &str) -> Rig {
    Rig::new(&format!("[elasticsearch]\nurl = '{}'\n{more}", receiver.url()))
}

#[test]
fn single_events_are_sent_again_or_refused_and_the_others_are_not() {
    let (receiver, index) = engine(|number, times| match number % 10 {
        3 if times < 3 => 429,
        4 if times < 2 => 503,
        5 => 400,
        _ => 201,
    });
    let mut rig = rig(&receiver, "");
    let batch = documents(100);
    assert!(matches!(rig.send(&batch), Err(SendError::Retry { .. })));
    let Sent::Partly(refused) = rig.deliver(&batch) else { panic!() };
    assert_eq!(refused.iter().map(|refused| refused.item % 10).collect::<BTreeSet<_>>(), BTreeSet::from([5]));
    assert_eq!(refused.len(), 10);
    assert_eq!(refused[0].reason, format!("{} refused: 400: of_400: why", receiver.url()));
    assert_eq!(index.lock().unwrap().len(), 90);
    let lines: Vec<usize> =
        receiver.requests().iter().map(|request| request.text().lines().count() / 2).collect();
    assert_eq!(lines, [100, 20, 10], "only what was turned away comes again");
    rig.has_told("too busy");
    is_free(batch);
}

#[test]
fn what_is_there_already_is_taken() {
    let (receiver, index) = engine(|_, _| 201);
    let mut rig = rig(&receiver, "");
    assert_eq!(rig.send(&documents(10)), Ok(Sent::Confirmed));
    assert_eq!(rig.send(&documents(10)), Ok(Sent::Confirmed));
    assert_eq!(index.lock().unwrap().len(), 10);
    let request = receiver.requests().remove(0);
    assert!(
        request.path.starts_with("/logs-windows.forwarded-default/_bulk?filter_path=errors,items.*.status")
    );
    assert_eq!(
        request.text().lines().next().unwrap(),
        "{\"create\":{\"_id\":\"00000000000000000000000000000001\"}}"
    );
    assert_eq!(request.header("content-type"), "application/x-ndjson");
}

#[test]
fn an_index_that_is_not_there_or_closed_holds_the_events_until_it_is_open() {
    let (receiver, index) = engine(|_, times| if times < 2 { 403 } else { 201 });
    let mut rig = rig(&receiver, "");
    let batch = documents(10);
    assert!(matches!(rig.send(&batch), Err(SendError::Retry { after: Some(_), .. })));
    rig.has_told("does not let us write to the index: 403: of_403: why");
    assert_eq!(rig.send(&batch), Ok(Sent::Confirmed));
    assert_eq!(index.lock().unwrap().len(), 10);
}

#[test]
fn shards_that_are_used_up_hold_the_events_and_the_one_that_does_not_fit_is_refused() {
    let shards = json!({ "type": "validation_exception", "reason": "Validation Failed: 1: this action would add [2] \
        shards, but this cluster currently has [1000]/[1000] maximum normal shards open;" });
    let bad =
        json!({ "status": 400, "error": { "type": "document_parsing_exception", "reason": "no date" } });
    let full = json!([{ "create": bad }, { "create": { "status": 400, "error": shards } }]);
    let replies = Mutex::new(vec![full.clone(), full, json!([{ "create": { "status": 201 } }])]);
    let receiver = Receiver::start(move |_| {
        says(200, &json!({ "errors": true, "items": replies.lock().unwrap().remove(0) }).to_string())
    });
    let mut rig = rig(&receiver, "");
    let batch = documents(2);
    let Err(SendError::Retry { after: Some(_), .. }) = rig.send(&batch) else { panic!() };
    rig.has_told("maximum normal shards open");
    rig.has_told("cluster.max_shards_per_node");
    // The second answer has one event too many: the first one has its answer already.
    assert!(matches!(rig.send(&batch), Err(SendError::Retry { .. })));
    let Ok(Sent::Partly(refused)) = rig.send(&batch) else { panic!("{:?}", rig.told()) };
    assert_eq!(refused.iter().map(|refused| refused.item).collect::<Vec<_>>(), [0]);
}

#[test]
fn a_key_that_is_wrong_waits_for_an_operator() {
    let receiver = Receiver::start(|request| match request.header("authorization") {
        "ApiKey right" => says(200, r#"{"errors":false,"items":[{"create":{"status":201}}]}"#),
        _ => says(
            401,
            r#"{"error":{"type":"security_exception","reason":"unable to authenticate"},"status":401}"#,
        ),
    });
    let one = documents(1);
    let mut wrong = rig(&receiver, "auth.api_key = 'wrong'");
    assert!(matches!(wrong.send(&one), Err(SendError::Retry { after: Some(_), .. })));
    wrong.has_told("does not let us in: 401: security_exception: unable to authenticate");
    assert_eq!(rig(&receiver, "auth.api_key = 'right'").send(&one), Ok(Sent::Confirmed));
}

#[test]
fn a_probe_takes_a_key_that_may_only_write_and_no_other_refusal() {
    let refusal = |reason: &str| {
        let error = json!({ "type": "security_exception", "reason": reason });
        json!({ "error": { "root_cause": [error], "type": "security_exception", "reason": reason }, "status": 403 })
            .to_string()
    };
    let probe = |status, body: String| {
        let receiver = Receiver::start(move |_| says(status, &body));
        let text = format!("elasticsearch = {{ url = '{}', auth.api_key = 'key' }}", receiver.url());
        let sink = toml::from_str::<forebay::sink::SinkConfig>(&text).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let told = runtime.block_on(sink.probe("siem"));
        assert_eq!(receiver.requests()[0].header("authorization"), "ApiKey key");
        told.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let elastic = "action [cluster:monitor/main] is unauthorized for API key id [x] of user [elastic], this action is \
                   granted by the cluster privileges [monitor,manage,all]";
    let open = "no permissions for [cluster:monitor/main] and User [name=writer, backend_roles=[]]";
    assert_eq!(probe(200, r#"{"cluster_name":"c"}"#.into()), "");
    assert_eq!(probe(403, refusal(elastic)), "");
    assert_eq!(probe(403, refusal(open)), "");
    for (status, body, words) in [
        (401, refusal("unable to authenticate with provided credentials"), "unable to authenticate"),
        // Of who is not known.
        (401, refusal(elastic), "does not let us in"),
        (403, refusal("no permissions for [indices:data/write/bulk] and User [name=writer]"), "write/bulk"),
        (403, r#"{"error":"[cluster:monitor/main]"}"#.into(), "does not let us in: 403"),
        (403, "<html>a proxy: cluster:monitor/main</html>".into(), "403: <html>a proxy"),
        (404, "no such page".into(), "has nothing for us there"),
        (503, "no master".into(), "is not ready for events: 503: no master"),
    ] {
        let told = probe(status, body);
        assert!(told.contains(words) && told.starts_with("output `siem`: http://127"), "{status}: {told}");
    }
}

#[test]
fn each_event_goes_to_the_index_that_its_values_name() {
    let receiver = Receiver::start(|_| {
        says(200, r#"{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}}]}"#)
    });
    let mut rig = rig(&receiver, "index = 'windows-{channel}'");
    let mut batch = Encoded::clone(&documents(2));
    batch.routes = vec!["windows-security".into(), "windows-system".into()];
    batch.items[1].route = 1;
    assert_eq!(rig.send(&Arc::new(batch)), Ok(Sent::Confirmed));
    let request = receiver.requests().remove(0);
    assert!(request.path.starts_with("/_bulk?"));
    let actions: Vec<String> = request.text().lines().step_by(2).map(str::to_owned).collect();
    assert_eq!(
        actions[1],
        "{\"create\":{\"_index\":\"windows-system\",\"_id\":\"00000000000000000000000000000002\"}}"
    );
}

#[test]
fn requests_that_are_too_large_are_halved() {
    let receiver = Receiver::start(|request| match request.text().lines().count() / 2 {
        count if count > 30 => Reply::Status(413, Vec::new(), String::new()),
        count => {
            let items = vec![json!({ "create": { "status": 201 } }); count];
            says(200, &json!({ "errors": false, "items": items }).to_string())
        }
    });
    let mut rig = rig(&receiver, "");
    assert_eq!(rig.send(&documents(1000)), Ok(Sent::Confirmed));
    rig.has_told("takes smaller requests only");
    let before = receiver.requests().len();
    assert_eq!(rig.send(&documents(1000)), Ok(Sent::Confirmed));
    assert!(receiver.requests().len() - before <= 80, "what was learnt is kept");
}

/// Against a search engine: new, again, and with one that does not fit the mapping.
fn engines(port: u16, is_stream: bool) {
    let at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let send = |method: &str, path: &str, body: Value| {
        http(at, method, path, &[("Content-Type", "application/json")], body.to_string().as_bytes())
    };
    let mappings = json!({ "properties": { "n": { "type": "long" }, "@timestamp": { "type": "date" } } });
    let made = match is_stream {
        true => send(
            "PUT",
            "/_index_template/windows",
            json!({ "index_patterns": ["logs-windows*"], "data_stream": {}, "template": { "mappings": mappings } }),
        ),
        false => send("PUT", "/logs-windows.forwarded-default", json!({ "mappings": mappings })),
    };
    assert!(made.starts_with("HTTP/1.1 200"), "{made}");
    let mut rig =
        Rig::new(&format!("elasticsearch = {{ url = 'http://127.0.0.1:{port}', request.bytes = '64KiB' }}"));
    let count = || {
        let said =
            send("GET", "/logs-windows.forwarded-default/_count", json!({ "query": { "match_all": {} } }));
        serde_json::from_str::<Value>(&said[said.find('{').unwrap_or(0)..]).unwrap_or_default()["count"]
            .as_u64()
    };
    assert_eq!(rig.send(&documents(5000)), Ok(Sent::Confirmed), "{:?}", rig.told());
    let _ = send("POST", "/logs-windows.forwarded-default/_refresh", Value::Null);
    eventually("all is found", || count() == Some(5000));
    assert_eq!(rig.send(&documents(5000)), Ok(Sent::Confirmed));
    let odd = "{\"@timestamp\":\"yesterday\",\"n\":1}\n".to_owned();
    let batch = batch((0..5003).map(|number| if number == 5001 { odd.clone() } else { document(number) }));
    let Ok(Sent::Partly(refused)) = rig.send(&batch) else { panic!("{:?}", rig.told()) };
    assert_eq!(refused.iter().map(|refused| refused.item).collect::<Vec<_>>(), [5001]);
    assert!(refused[0].reason.contains("parsing_exception"), "{refused:?}");
    let _ = send("POST", "/logs-windows.forwarded-default/_refresh", Value::Null);
    eventually("what is new is found too", || count() == Some(5002));
    assert_eq!(rig.told(), Vec::<String>::new());
}

#[test]
fn elasticsearch_as_noida_speaks_it_takes_each_event_once() {
    let folder = tempfile::tempdir().unwrap();
    let test = "elasticsearch_as_noida_speaks_it_takes_each_event_once";
    let Some(noida) = Noida::start(test, folder.path(), Place::HERE) else { return };
    engines(noida.elasticsearch, true);
}

#[test]
fn opensearch_as_osmem_speaks_it_takes_each_event_once() {
    let folder = tempfile::tempdir().unwrap();
    let test = "opensearch_as_osmem_speaks_it_takes_each_event_once";
    let Some(open) = OpenSearch::start(test, folder.path()) else { return };
    engines(open.port, false);
}
