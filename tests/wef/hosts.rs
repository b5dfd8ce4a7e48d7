//! `forebay hosts` of a collector that runs: who is there, how each is doing, and what was wrong.

use super::{Site, WEC, batch};
use crate::support::host::{self, Host, Offered, bookmark, passwords, utf16};
use crate::support::process::{Process, eventually, forebay, told};
use forebay::wsman::WsmanFault;
use forebay::wsman::ns::action;
use forebay::wsman::request::{Message, SubscriptionEnd};
use serde_json::Value;
use std::process::{Output, Stdio};

const SUBSCRIPTIONS: &str = "[source.dc.wef.subscription.logons]\nquery.channels = { Security = [4624] }\n\
     enabled_for.deny = ['idle*', 'ws-*']\n\
     [source.dc.wef.subscription.everything]\nquery.channels = { Security = '*', System = '*' }\n\
     enabled_for.allow = 'ws-*'\n";

/// What `forebay hosts` prints, and its exit code.
fn ask(site: &Site, more: &[&str]) -> (Option<i32>, String) {
    let args = [&["hosts", "pipeline.toml"], more].concat();
    let Output { status, stdout, .. } = forebay(site.path(), &args).stdout(Stdio::piped()).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap())
}

/// The hosts of a table of JSON.
#[track_caller]
fn hosts(site: &Site, more: &[&str]) -> Vec<Value> {
    let (code, shown) = ask(site, &[&["-o", "json"], more].concat());
    assert_eq!(code, Some(0), "{}", told(site.path()));
    serde_json::from_str::<Vec<Value>>(&shown).unwrap_or_else(|error| panic!("{error}: {shown}"))
}

/// Name and state of each.
fn states(hosts: &[Value]) -> Vec<(&str, &str)> {
    hosts.iter().map(|host| (host["host"].as_str().unwrap(), host["state"].as_str().unwrap())).collect()
}

fn end(host: &Host, to: &Offered) -> Vec<u8> {
    utf16(&host::written(
        host.delivery(to, action::SUBSCRIPTION_END),
        Message::SubscriptionEnd(SubscriptionEnd {
            status: Some("http://schemas.xmlsoap.org/ws/2004/08/eventing/DeliveryFailure".into()),
            fault: Some(WsmanFault::new(15007, &host.name, "the channel is gone")),
            manager: None,
        }),
    ))
}

#[test]
fn every_host_is_shown_as_it_is_doing_while_others_send_and_after_a_restart() {
    let site = Site::new(SUBSCRIPTIONS, "");
    let simulated: Vec<String> = (0..3).map(|number| format!("ws-{number:05}.fleet.example")).collect();
    let odd = ["ended.example.org", "fresh.example.org", "idle.example.org", "other.example.org"];
    let all: Vec<String> = odd.map(str::to_owned).into_iter().chain(simulated.clone()).collect();
    passwords(&site.path().join("passwords"), &all);
    let running = site.run();
    assert_eq!(hosts(&site, &[]), [] as [Value; 0]);

    let url = format!("http://127.0.0.1:{}{WEC}", site.port);
    let fleet = ["fleet", &url, "-n", "3", "--password", "opensesame", "--rate", "300", "--vanish"];
    let rest = ["--events", "1500", "--batch", "20", "-o", "json"];
    let mut fleet = forebay(site.path(), &[&fleet[..], &rest].concat());
    let mut fleet = Process::start({
        fleet.stdout(Stdio::piped());
        fleet
    });
    eventually("the simulated ones are active", || hosts(&site, &["--state", "active"]).len() == 3);
    assert!(fleet.is_running(), "it was asked meanwhile");

    let mut ended = site.host("ended.example.org");
    let to = &ended.enumerate(WEC)[0];
    let three = batch(&ended, 1..=3);
    assert!(ended.deliver(to, &three, &bookmark("Security", 3)).unwrap().is_ack());
    let goodbye = end(&ended, to);
    assert!(ended.post(&to.path, "", &goodbye).unwrap().is_ack());
    site.host("fresh.example.org").enumerate(WEC);
    site.host("idle.example.org").enumerate(WEC);
    let mut other = site.host("other.example.org");
    let to = &other.enumerate(WEC)[0];
    let foreign = [host::event("Security", 7, "somebody.else.example")];
    assert!(other.deliver(to, &foreign, &bookmark("Security", 7)).unwrap().is_ack());

    let report = std::io::read_to_string(fleet.stdout()).unwrap();
    assert_eq!(fleet.code(), Some(0), "{}", told(site.path()));
    let report: Value = serde_json::from_str(&report).unwrap();
    let shown = hosts(&site, &[]);
    let mut expected = vec![
        ("ended.example.org", "ended"),
        ("fresh.example.org", "new"),
        ("idle.example.org", "idle"),
        ("other.example.org", "active"),
    ];
    expected.extend(simulated.iter().map(|name| (name.as_str(), "active")));
    assert_eq!(states(&shown), expected);
    let of = |name: &str| shown.iter().find(|host| host["host"] == name).unwrap();
    let events = |host: &Value| host["events"].as_u64().unwrap();
    let sent: u64 = simulated.iter().map(|name| events(of(name))).sum();
    assert_eq!((sent, report["acknowledged"].as_u64()), (1500, Some(1500)), "{report}");
    let simulated_one = of(&simulated[0]);
    let subscription = &simulated_one["subscriptions"][0];
    assert_eq!(
        (&subscription["name"], &subscription["version"]),
        (&"everything".into(), &subscription["offered"])
    );
    let mut channels: Vec<&str> = subscription["channels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["channel"].as_str().unwrap())
        .collect();
    channels.sort_unstable();
    assert_eq!(channels, ["Security", "System"]);
    assert_eq!((&simulated_one["findings"], &simulated_one["resets"]), (&0.into(), &0.into()));
    assert_eq!((events(of("ended.example.org")), &of("ended.example.org")["findings"]), (3, &1.into()));
    let why = &of("ended.example.org")["subscriptions"][0]["ended"];
    assert_eq!(why, "DeliveryFailure, 15007: the channel is gone");
    let other = of("other.example.org");
    assert_eq!(
        (&other["foreign"], &other["findings"], &other["address"]),
        (&1.into(), &1.into(), &"127.0.0.1".into())
    );

    for (state, names) in [
        ("ended", &["ended.example.org"][..]),
        ("new", &["fresh.example.org"]),
        ("idle", &["idle.example.org"]),
        ("silent", &[]),
    ] {
        let named: Vec<Value> = hosts(&site, &["--state", state]);
        assert_eq!(named.iter().map(|host| host["host"].as_str().unwrap()).collect::<Vec<_>>(), names);
        let (code, table) = ask(&site, &["--state", state]);
        let mut lines = table.lines();
        assert!(code == Some(0) && lines.next().is_some_and(|line| line.starts_with("HOST  ")), "{table}");
        assert_eq!(lines.map(|line| line.split(' ').next().unwrap()).collect::<Vec<_>>(), names, "{table}");
    }
    let (_, wide) = ask(&site, &["-o", "wide", "--state", "ended"]);
    let log = wide.lines().last().unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(log[..4], ["ended.example.org", "logons", "Security", "3"], "{wide}");

    running.stop();
    assert_eq!(running.code(), Some(0), "{}", told(site.path()));
    let (code, shown_then) = ask(&site, &[]);
    assert_eq!((code, shown_then.as_str()), (Some(69), ""), "nobody answers");
    assert!(told(site.path()).contains("does forebay run?"));
    let running = site.run();
    let again = hosts(&site, &[]);
    assert_eq!(states(&again), expected, "the table outlives the process");
    let kept = ["events", "bytes", "deliveries", "first_seen", "last_seen", "findings", "subscriptions"];
    for (before, after) in shown.iter().zip(&again) {
        for key in kept {
            assert_eq!(before[key], after[key], "{key} of {}", before["host"]);
        }
    }
    running.stop();
    assert_eq!(running.code(), Some(0), "{}", told(site.path()));
}
