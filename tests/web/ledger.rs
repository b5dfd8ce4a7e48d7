//! The whole program into search engines: what hosts were acknowledged is read back, each event once, letter by
//! letter; also when we are killed, and when answers are lost.

use crate::support::backends::{Noida, OpenSearch, OtelTap, Place, http};
use crate::support::host::passwords;
use crate::support::process::{Process, events, eventually, forebay, told};
use crate::support::sentinel::{SECRET, Sentinel, error};
use crate::support::web::{Receiver, Reply, says};
use crate::wef::{Site, WEC};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ALL: &str = "[source.dc.wef.subscription.all]\nquery.channels = { Security = '*', System = '*' }\n";
const HOSTS: usize = 4;

pub(crate) fn site(sink: &str) -> Site {
    let site = Site::new(ALL, "");
    let retry = "retry = { pause_min = '50ms', pause_max = '200ms' }";
    site.add(&format!("[output.siem]\n{retry}\n{sink}"));
    let names: Vec<String> = (0..HOSTS).map(|number| format!("ws-{number:05}.fleet.example")).collect();
    passwords(&site.path().join("passwords"), &names);
    site
}

fn elastic(port: u16) -> String {
    format!(
        "format.ecs.original = true\nsink.elasticsearch = {{ url = 'http://127.0.0.1:{port}', index = 'windows', \
         request.bytes = '128KiB' }}\n"
    )
}

pub(crate) fn fleet(site: &Site, events: u64) -> Process {
    let url = format!("http://127.0.0.1:{}{WEC}", site.port);
    let (hosts, existing) = (HOSTS.to_string(), (events / HOSTS as u64).to_string());
    let events = events.to_string();
    let fleet = ["fleet", &url, "-n", &hosts, "--password", "opensesame", "--ledger", "ledger"];
    let rest = ["--events", &events, "--existing", &existing, "-o", "json"];
    Process::start(forebay(site.path(), &[&fleet[..], &rest].concat()))
}

/// The verdict on events one behind the other in a file.
#[track_caller]
fn verify(site: &Site, sent: u64) {
    verify_at(site, "read-back.xml", sent);
}

#[track_caller]
pub(crate) fn verify_at(site: &Site, file: &str, sent: u64) {
    let arguments = ["fleet", "verify", "ledger", file, "-o", "json"];
    let output = forebay(site.path(), &arguments).stdout(Stdio::piped()).output().unwrap();
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    println!("{verdict}");
    let number = |key: &str| verdict[key].as_u64().unwrap();
    assert_eq!(number("acknowledged"), sent);
    assert_eq!(
        [number("lost"), number("duplicated"), number("altered"), number("foreign")],
        [0; 4],
        "{verdict}"
    );
    assert_eq!(number("compared"), number("delivered"), "letter by letter");
}

fn ask(port: u16, path: &str, body: Value) -> Value {
    let at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let said = http(at, "POST", path, &[("Content-Type", "application/json")], body.to_string().as_bytes());
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    let body = if head.to_ascii_lowercase().contains("chunked") { unchunked(body) } else { body.to_owned() };
    serde_json::from_str::<Value>(&body).unwrap_or_else(|error| panic!("{error}: {said:.300}"))
}

/// Documents that are found; none while there is no index.
fn count(port: u16) -> u64 {
    std::thread::sleep(Duration::from_millis(200));
    ask(port, "/windows/_refresh", Value::Null);
    ask(port, "/windows/_count", json!({ "query": { "match_all": {} } }))["count"].as_u64().unwrap_or(0)
}

/// Everything in the index, as it was sent.
pub(crate) fn read_back(port: u16, to: &Path) -> usize {
    ask(port, "/windows/_refresh", Value::Null);
    let (mut file, mut count) = (std::fs::File::create(to).unwrap(), 0);
    let mut page =
        ask(port, "/windows/_search?scroll=1m", json!({ "size": 2000, "query": { "match_all": {} } }));
    loop {
        let hits = page["hits"]["hits"].as_array().unwrap();
        if hits.is_empty() {
            return count;
        }
        for hit in hits {
            file.write_all(hit["_source"]["event"]["original"].as_str().unwrap().as_bytes()).unwrap();
            count += 1;
        }
        page = ask(port, "/_search/scroll", json!({ "scroll": "1m", "scroll_id": page["_scroll_id"] }));
    }
}

fn unchunked(mut body: &str) -> String {
    let mut out = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        out += &rest[..length];
        body = rest[length..].trim_start_matches("\r\n");
        if length == 0 {
            break;
        }
    }
    out
}

pub(crate) fn stopped(site: &Site, running: Process) {
    running.stop();
    assert_eq!(running.code(), Some(0), "{}", told(site.path()));
}

#[test]
fn what_hosts_sent_is_in_elasticsearch_once_though_we_are_killed_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    let test = "what_hosts_sent_is_in_elasticsearch_once_though_we_are_killed_in_the_middle";
    let Some(noida) = Noida::start(test, folder.path(), Place::HERE) else { return };
    let site = site(&elastic(noida.elasticsearch));
    let mut running = site.run();
    let events = events(4_000);
    let hosts = fleet(&site, events);
    for pause in [200, 300, 400] {
        std::thread::sleep(Duration::from_millis(pause));
        running.kill();
        running = site.run();
    }
    assert_eq!(hosts.code(), Some(0), "{}", told(site.path()));
    eventually("all is there", || count(noida.elasticsearch) >= events);
    stopped(&site, running);
    assert_eq!(read_back(noida.elasticsearch, &site.path().join("read-back.xml")) as u64, events);
    verify(&site, events);
}

#[test]
fn what_hosts_sent_is_in_opensearch_once() {
    let folder = tempfile::tempdir().unwrap();
    let Some(open) = OpenSearch::start("what_hosts_sent_is_in_opensearch_once", folder.path()) else {
        return;
    };
    let site = site(&elastic(open.port));
    let running = site.run();
    let events = events(1_000);
    assert_eq!(fleet(&site, events).code(), Some(0), "{}", told(site.path()));
    eventually("all is there", || count(open.port) >= events);
    stopped(&site, running);
    assert_eq!(read_back(open.port, &site.path().join("read-back.xml")) as u64, events);
    verify(&site, events);
}

/// A receiver that stores what it gets and dies before it answers, is away for a while, and turns some away.
#[test]
fn what_hosts_sent_is_there_once_though_the_receiver_is_cut_off_before_its_answers() {
    let index = Arc::new(Mutex::new(BTreeMap::<String, String>::new()));
    let (kept, asked) = (Arc::clone(&index), Mutex::new(0_u32));
    let receiver = Receiver::start(move |request| {
        let turn = {
            let mut asked = asked.lock().unwrap();
            *asked += 1;
            *asked
        };
        if turn % 7 == 3 {
            return Reply::HangUp;
        }
        let (text, mut items) = (request.text(), Vec::new());
        for pair in text.lines().collect::<Vec<_>>().chunks(2) {
            let action: Value = serde_json::from_str(pair[0]).unwrap();
            let id = action["create"]["_id"].as_str().unwrap().to_owned();
            if items.len() % 50 == 49 && turn % 3 == 0 {
                items.push(json!({ "create": { "status": 429, "error": { "type": "busy" } } }));
                continue;
            }
            let is_there = kept.lock().unwrap().insert(id, pair[1].to_owned()).is_some();
            items.push(json!({ "create": { "status": if is_there { 409 } else { 201 } } }));
        }
        // Stored, and not told.
        if turn % 7 == 5 {
            return Reply::HangUp;
        }
        says(200, &json!({ "errors": true, "items": items }).to_string())
    });
    let site = site(&elastic(receiver.port));
    let mut running = site.run();
    let hosts = fleet(&site, 4_000);
    for pause in [400, 600] {
        std::thread::sleep(Duration::from_millis(pause));
        running.kill();
        running = site.run();
    }
    assert_eq!(hosts.code(), Some(0), "{}", told(site.path()));
    eventually("all is there", || index.lock().unwrap().len() >= 4_000);
    stopped(&site, running);
    let mut file = std::fs::File::create(site.path().join("read-back.xml")).unwrap();
    for document in index.lock().unwrap().values() {
        let document: Value = serde_json::from_str(document).unwrap();
        file.write_all(document["event"]["original"].as_str().unwrap().as_bytes()).unwrap();
    }
    verify(&site, 4_000);
}

/// To Splunk: nothing lost, nothing altered; and in a quiet run nothing twice.
#[test]
fn what_hosts_sent_is_indexed_by_splunk_once_in_a_quiet_run_and_never_lost_in_a_rough_one() {
    for is_rough in [false, true] {
        let splunk = crate::support::splunk::Splunk::start();
        splunk.state().tokens.get_mut("good").unwrap().acks = true;
        let site = site(&format!(
            "sink.splunk_hec = {{ url = '{}', token = 'good', request.bytes = '128KiB' }}\n",
            splunk.receiver.url()
        ));
        let mut running = site.run();
        let wanted = if is_rough { 5_000 } else { events(5_000) };
        let hosts = fleet(&site, wanted);
        if is_rough {
            for pause in [300, 600] {
                std::thread::sleep(Duration::from_millis(pause));
                splunk.state().replies =
                    vec![Reply::HangUp, says(503, r#"{"text":"Server is busy","code":9}"#)];
                running.kill();
                running = site.run();
            }
        }
        assert_eq!(hosts.code(), Some(0), "{}", told(site.path()));
        let all =
            || splunk.state().events.iter().map(|event| event["event"].to_string()).collect::<BTreeSet<_>>();
        let is_there = || splunk.state().events.len() as u64 >= wanted && all().len() as u64 >= wanted;
        eventually("all is there", is_there);
        stopped(&site, running);
        let mut events = BTreeMap::<String, u32>::new();
        for event in &splunk.state().events {
            *events.entry(event["event"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        let twice: u32 = events.values().map(|times| times - 1).sum();
        println!("{} events, {twice} of them twice", events.len());
        assert!(is_rough || twice == 0);
        let texts: String = events.into_keys().collect();
        std::fs::write(site.path().join("read-back.xml"), texts).unwrap();
        verify(&site, wanted);
    }
}

/// Texts, each once, and how many were there more than once.
fn once(texts: impl IntoIterator<Item = String>) -> (Vec<String>, u32) {
    let mut all = BTreeMap::<String, u32>::new();
    texts.into_iter().for_each(|text| *all.entry(text).or_default() += 1);
    let twice = all.values().map(|times| times - 1).sum();
    (all.into_keys().collect(), twice)
}

/// To a receiver of OTLP: nothing lost, nothing altered, in a quiet run nothing twice.
#[test]
fn what_hosts_sent_is_at_a_receiver_of_otlp_once_in_a_quiet_run_and_never_lost_in_a_rough_one() {
    let test = "what_hosts_sent_is_at_a_receiver_of_otlp_once_in_a_quiet_run_and_never_lost_in_a_rough_one";
    for is_rough in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let Some(tap) = OtelTap::start(test, folder.path(), Place::HERE) else { return };
        let site = site(&format!(
            "format.xml.framing = 'none'\nsink.otlp = {{ url = 'http://127.0.0.1:{}', request = {{ bytes = '128KiB', \
             compression = 'none' }} }}\n",
            tap.port
        ));
        let mut running = site.run();
        let hosts = fleet(&site, 5_000);
        if is_rough {
            for pause in [300, 600] {
                std::thread::sleep(Duration::from_millis(pause));
                running.kill();
                running = site.run();
            }
        }
        assert_eq!(hosts.code(), Some(0), "{}", told(site.path()));
        eventually("all is there", || {
            std::thread::sleep(Duration::from_millis(200));
            once(tap.bodies()).0.len() >= 5_000
        });
        stopped(&site, running);
        let (texts, twice) = once(tap.bodies());
        println!("{} events, {twice} of them twice", texts.len());
        assert!(is_rough || twice == 0);
        std::fs::write(site.path().join("read-back.xml"), texts.concat()).unwrap();
        verify(&site, 5_000);
    }
}

/// The same to Azure Monitor, whose tokens end meanwhile.
#[test]
fn what_hosts_sent_is_in_sentinel_once_in_a_quiet_run_and_never_lost_in_a_rough_one() {
    for is_rough in [false, true] {
        let sentinel = Sentinel::start();
        sentinel.state().lives = 1;
        let at = sentinel.receiver.url();
        let more = format!("client_secret = '{SECRET}'\nrequest.bytes = '128KiB'\n");
        let sink = sentinel.sink(&at, &more).replace("[sentinel]", "[output.siem.sink.sentinel]");
        let site = site(&format!("format.json = {{}}\n{sink}"));
        // A pause that no token outlives, however fast the machine is.
        let later = Reply::Status(429, vec![("Retry-After", "2".into())], String::new());
        sentinel.state().replies = vec![later];
        let mut running = site.run();
        let hosts = fleet(&site, 5_000);
        if is_rough {
            for pause in [300, 600] {
                std::thread::sleep(Duration::from_millis(pause));
                let busy = Reply::Status(429, vec![("Retry-After", "0".into())], String::new());
                sentinel.state().replies = vec![Reply::HangUp, busy, error(500, "InternalServerError", "oh")];
                sentinel.state().tokens.clear();
                running.kill();
                running = site.run();
            }
        }
        assert_eq!(hosts.code(), Some(0), "{}", told(site.path()));
        let all = || once(sentinel.state().events.iter().map(ToString::to_string));
        eventually("all is there", || sentinel.state().events.len() >= 5_000 && all().0.len() >= 5_000);
        stopped(&site, running);
        let (texts, twice) = all();
        let tokens = sentinel.state().tokens_given;
        println!("{} events, {twice} of them twice, {tokens} tokens", texts.len());
        assert!(is_rough || twice == 0);
        assert!(tokens > 1);
        std::fs::write(site.path().join("read-back.xml"), texts.join("\n")).unwrap();
        verify(&site, 5_000);
    }
}
