//! Each limit: at it nothing is said, past it one problem with the limit named.

use super::*;
use crate::wsman::query::{Part, Query};
use crate::wsman::subscription::Retry;
use std::time::Duration;

fn subscription() -> Subscription {
    Subscription {
        name: "logons".into(),
        query: QueryList::of([("Security", "*[System[EventID=4624]]")]),
        ..Subscription::default()
    }
}

#[track_caller]
fn check_change_of(change: impl FnOnce(&mut Subscription), expected: &[Problem]) {
    let mut subscription = subscription();
    change(&mut subscription);
    assert_eq!(check(&subscription), expected);
}

fn query(xml: &str) -> Vec<Problem> {
    check_query(&QueryList::parse(xml).unwrap())
}

#[test]
fn a_usual_subscription_has_no_problem() {
    check_change_of(|_| {}, &[]);
}

#[test]
fn sizes_times_and_names_have_their_limits() {
    check_change_of(|s| s.name = "x".repeat(NAME_CHARS_MAX), &[]);
    check_change_of(|s| s.name = "x".repeat(129), &[Problem::LongName { chars: 129 }]);
    check_change_of(|s| s.name = " ".into(), &[Problem::NoName]);
    check_change_of(|s| s.max_envelope_bytes = 8192, &[]);
    check_change_of(|s| s.max_envelope_bytes = 8191, &[Problem::SmallEnvelope { bytes: 8191 }]);
    check_change_of(|s| s.max_elements = Some(0), &[Problem::NoElements]);
    check_change_of(|s| s.heartbeat = Duration::ZERO, &[Problem::NoHeartbeat]);
    check_change_of(|s| s.cdata = false, &[Problem::Parsed]);
    check_change_of(|s| s.retry = Retry { interval: Duration::ZERO, total: 0 }, &[]);
    check_change_of(|s| s.retry.total = 0, &[Problem::HalfRetry]);
    check_change_of(|s| s.retry.interval = Duration::ZERO, &[Problem::HalfRetry]);
}

#[test]
fn a_language_has_its_shape() {
    for good in ["en-US", "de", "zh-Hans-CN", "es-419"] {
        check_change_of(|s| s.locale = Some(good.into()), &[]);
    }
    for wrong in ["", "e", "en_US", "en-", "1a", "english-languages"] {
        check_change_of(
            |s| (s.locale, s.data_locale) = (Some(wrong.into()), Some(wrong.into())),
            &[Problem::Locale { name: wrong.into() }],
        );
    }
}

#[test]
fn a_query_has_so_many_channels_and_comparisons() {
    let channels = |count: usize| {
        let names: Vec<_> = (0..count).map(|number| format!("c{number}")).collect();
        check_query(&QueryList::of(names.iter().map(|name| (name.as_str(), "*"))))
    };
    assert_eq!(channels(CHANNELS_MAX), []);
    assert_eq!(channels(257), [Problem::TooManyChannels { count: 257 }]);
    let comparisons = |count: usize| {
        let xpath = vec!["EventID=1"; count].join(" or ");
        check_query(&QueryList::of([("Security", format!("*[System[({xpath})]]").as_str())]))
    };
    assert_eq!(comparisons(EXPRESSIONS_MAX), []);
    assert_eq!(comparisons(23), [Problem::TooManyExpressions { channel: "Security".into(), count: 23 }]);
}

#[test]
fn comparisons_are_counted_outside_of_quotes_and_names() {
    for (xpath, count) in [
        ("*", 1),
        ("*[System[EventID=1]]", 1),
        ("*[a='x and y or z'and b=\"or\" or(c=1)]", 3),
        ("*[Data[@Name='and']and-or]", 1),
        ("*[(a)and(b)]", 2),
    ] {
        assert_eq!(expressions(xpath), count, "{xpath}");
    }
}

#[test]
fn a_select_needs_a_channel_that_can_be_forwarded() {
    let wrapped = |inside: &str| query(&format!("<QueryList><Query>{inside}</Query></QueryList>"));
    assert_eq!(wrapped(""), [Problem::NothingSelected { query: 1 }]);
    assert_eq!(wrapped("<Select>*</Select>"), [Problem::NoChannel { query: 1 }]);
    assert_eq!(wrapped("<Select Path='S'/>"), [Problem::NoExpression { channel: "S".into() }]);
    for (path, problem) in [
        ("file://c:/a.evtx", Problem::SavedLog { path: "file://c:/a.evtx".into() }),
        ("Micro*", Problem::Wildcard { path: "Micro*".into() }),
        ("A/Analytic", Problem::DirectChannel { channel: "A/Analytic".into() }),
        ("A/Debug", Problem::DirectChannel { channel: "A/Debug".into() }),
    ] {
        let part = format!("<Select Path='{path}'>*</Select>");
        assert_eq!(wrapped(&part.repeat(2)), [problem]);
    }
    assert_eq!(wrapped("<Select Path='S'>*</Select><Suppress Path='s'>*</Suppress>"), []);
    assert_eq!(
        wrapped("<Select Path='S'>*</Select><Suppress Path='T'>*</Suppress>"),
        [Problem::SuppressAlone { channel: "T".into() }]
    );
}

#[test]
fn a_channel_that_joins_later_is_told() {
    let before = QueryList::of([("Security", "*"), ("System", "*")]);
    let after = QueryList::of([("SECURITY", "*[System]"), ("Setup", "*")]);
    assert_eq!(check_change(&before, &after), [Problem::ChannelAdded { channel: "Setup".into() }]);
    assert_eq!(check_change(&before, &before), []);
}

#[test]
fn a_subscription_must_fit_an_answer() {
    let part = Part {
        kind: PartKind::Select,
        path: Some("S".into()),
        xpath: format!("*[a='{}']", "x".repeat(30_000)),
    };
    let queries = vec![Query { parts: vec![part; 10], ..Query::default() }];
    let mut large = subscription();
    large.query = QueryList { queries };
    let problems = check(&large);
    assert!(
        matches!(problems[..], [Problem::LargeSubscription { bytes }] if bytes > 600_000),
        "{problems:?}"
    );
}

#[test]
fn an_address_has_a_name_that_hosts_can_sign_in_at() {
    let endpoint = |address: &str, policy| check_endpoint(&Endpoint { address: address.into(), policy });
    assert_eq!(endpoint("HTTP://col.example.org:5985/wsman", Policy::KerberosHttp), []);
    assert_eq!(endpoint("https://10.0.0.1:5986/wsman", Policy::Open), []);
    for (address, host) in [("http://10.0.0.1:5985/wsman", "10.0.0.1"), ("http://[::1]:5985/", "::1")] {
        let expected = [Problem::KerberosByAddress { host: host.into() }];
        assert_eq!(endpoint(address, Policy::KerberosHttp), expected);
    }
    assert_eq!(endpoint("https://LocalHost/", Policy::Open), [Problem::Localhost]);
    for address in ["", "col.example.org:5985", "ftp://a/", "https://", "https:///wsman"] {
        assert_eq!(endpoint(address, Policy::Open), [Problem::Scheme { address: address.into() }]);
    }
}

#[test]
fn what_hosts_refuse_is_an_error_and_names_its_limit() {
    let many = Problem::TooManyChannels { count: 300 };
    assert_eq!((many.severity(), many.to_string().contains("hosts take 256")), (Severity::Error, true));
    let added = Problem::ChannelAdded { channel: "Setup".into() };
    assert_eq!((added.severity(), added.to_string().contains("whole history")), (Severity::Warning, true));
}
