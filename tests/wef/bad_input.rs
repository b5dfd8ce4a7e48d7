//! What a collector on an open port meets: each has the right answer and one finding that names the peer;
//! nothing of a body is logged, and hosts that do nothing wrong do not notice.

use super::{LOGONS, Site, WEC, batch, findings, only};
use crate::support::dice::number;
use crate::support::host::{self, Host, Offered, Response, bookmark, sldc, utf16};
use crate::support::process::{eventually, told};
use forebay::wsman::Guid;
use forebay::wsman::ns::action;
use forebay::wsman::request::Message;
use forebay::wsman::subscription::delivery_path;
use std::io::Write;
use std::net::TcpStream;

/// In every body; must never be in the log.
const CANARY: &str = "CANARY-5f3d";

struct Case {
    name: &'static str,
    send: fn(&mut Host, &Offered) -> Response,
    status: u16,
    /// In the answer's text; empty: there is none.
    answer: &'static str,
    /// In the finding; empty: there is none.
    finding: &'static str,
}

fn post(host: &mut Host, to: &Offered, lines: &str, body: &[u8]) -> Response {
    host.post(&to.path, lines, body).unwrap()
}

fn events(host: &Host, to: &Offered) -> String {
    let events = [host::event("Security", 1, &host.name).replace(">1</Data>", &format!(">{CANARY}</Data>"))];
    host.events(to, &events, &bookmark("Security", 1))
}

/// With a content type of any kind.
fn typed(host: &mut Host, to: &Offered, kind: &str, body: &[u8]) -> Response {
    let head = host.head("POST", &to.path, &format!("Content-Type: {kind}\r\n"), body.len());
    host.request(&head, body).unwrap()
}

/// A compressed delivery that says another length than it has.
fn claims(host: &mut Host, to: &Offered, length: fn(u32) -> u32) -> Response {
    let plain = utf16(&events(host, to));
    let mut body = sldc(&plain);
    let trailer = body.len() - 4..;
    body[trailer].copy_from_slice(&length(plain.len() as u32).to_le_bytes());
    post(host, to, SLDC, &body)
}

const SLDC: &str = "Content-Encoding: SLDC\r\n";

const CASES: &[Case] = &[
    Case { name: "no body", send: |host, to| post(host, to, "", b""), status: 200, answer: "", finding: "" },
    Case {
        name: "another content type",
        send: |host, to| {
            let body = utf16(&events(host, to));
            let head = host.head("POST", &to.path, "Content-Type: text/plain\r\n", body.len());
            host.request(&head, &body).unwrap()
        },
        status: 415,
        answer: "",
        finding: "sent a body of the type",
    },
    Case {
        name: "another charset",
        send: |host, to| {
            let body = utf16(&events(host, to));
            let kind = "Content-Type: application/soap+xml;charset=latin1\r\n";
            let head = host.head("POST", &to.path, kind, body.len());
            host.request(&head, &body).unwrap()
        },
        status: 415,
        answer: "",
        finding: "charset",
    },
    Case {
        name: "another encoding",
        send: |host, to| post(host, to, "Content-Encoding: gzip\r\n", &utf16(CANARY)),
        status: 415,
        answer: "",
        finding: "gzip",
    },
    Case {
        name: "an odd number of bytes",
        send: |host, to| {
            let mut body = utf16(&events(host, to));
            body.pop();
            post(host, to, "", &body)
        },
        status: 400,
        answer: "",
        finding: "which is odd",
    },
    Case {
        name: "UTF-8 that says it is UTF-16",
        send: |host, to| {
            let body = format!("\u{feff}{}", events(host, to)).into_bytes();
            post(host, to, "", &body)
        },
        status: 400,
        answer: "",
        finding: "declared as UTF-16, but the body is UTF-8",
    },
    Case {
        name: "no byte order mark",
        send: |host, to| {
            let body = utf16(&events(host, to));
            post(host, to, "", &body[2..])
        },
        status: 200,
        answer: action::ACK,
        finding: "",
    },
    Case {
        name: "the other byte order, with its mark",
        send: |host, to| {
            let mut body = utf16(&events(host, to));
            body.as_chunks_mut::<2>().0.iter_mut().for_each(|unit| unit.reverse());
            post(host, to, "", &body)
        },
        status: 200,
        answer: action::ACK,
        finding: "",
    },
    Case {
        name: "the mark twice",
        send: |host, to| post(host, to, "", &utf16(&format!("\u{feff}{}", events(host, to)))),
        status: 200,
        answer: action::ACK,
        finding: "",
    },
    Case {
        name: "a mark and nothing else",
        send: |host, to| post(host, to, "", &utf16("")),
        status: 500,
        answer: "s:Fault",
        finding: "sent a message that was not understood",
    },
    Case {
        name: "UTF-8, as it says",
        send: |host, to| {
            let body = events(host, to).into_bytes();
            let response = typed(host, to, "application/soap+xml;charset=UTF-8", &body);
            assert!(response.head.contains("charset=UTF-8"), "{response:?}");
            response
        },
        status: 200,
        answer: action::ACK,
        finding: "",
    },
    Case {
        name: "UTF-16 that says it is UTF-8",
        send: |host, to| {
            let body = utf16(&events(host, to));
            typed(host, to, "application/soap+xml;charset=UTF-8", &body)
        },
        status: 400,
        answer: "",
        finding: "declared as UTF-8, but the body is UTF-16",
    },
    Case {
        name: "UTF-16 that does not say what it is",
        send: |host, to| {
            let body = utf16(&events(host, to));
            typed(host, to, "application/soap+xml", &body)
        },
        status: 200,
        answer: action::ACK,
        finding: "",
    },
    Case {
        name: "bytes that are no UTF-8",
        send: |host, to| {
            let mut body = events(host, to).into_bytes();
            let at = body.len() / 2;
            body[at] = 0xff;
            typed(host, to, "application/soap+xml;charset=UTF-8", &body)
        },
        status: 400,
        answer: "",
        finding: "is not UTF-8",
    },
    Case {
        name: "no content type",
        send: |host, to| {
            let body = utf16(&events(host, to));
            let head = host.head("POST", &to.path, "", body.len());
            host.request(&head, &body).unwrap()
        },
        status: 415,
        answer: "",
        finding: "sent a body of no type",
    },
    Case {
        name: "a sealed body of one who did not sign in that way",
        send: |host, to| {
            let body = utf16(&events(host, to));
            let kind = "multipart/encrypted;protocol=\"application/HTTP-Kerberos-session-encrypted\"";
            typed(host, to, kind, &body)
        },
        status: 415,
        answer: "",
        finding: "sealed by Kerberos or NTLM",
    },
    Case {
        name: "two lengths",
        send: |host, to| {
            let lines = "Content-Type: application/soap+xml;charset=UTF-16\r\nContent-Length: 7\r\n";
            let head = host.head("POST", &to.path, lines, 9);
            host.request(&head, b"123456789").unwrap()
        },
        status: 400,
        answer: "",
        finding: "not HTTP that we take",
    },
    Case {
        name: "an unknown action",
        send: |host, to| {
            let body =
                utf16(&events(host, to).replace("wsman/Events</a:Action>", "wsman/Unheard</a:Action>"));
            post(host, to, "", &body)
        },
        status: 500,
        answer: "ActionNotSupported",
        finding: "wsman/Unheard",
    },
    Case {
        name: "a path that is no subscription",
        send: |host, to| {
            let body = utf16(&events(host, to));
            host.post("/wsman/nowhere", "", &body).unwrap()
        },
        status: 404,
        answer: "",
        finding: "no subscription has that address",
    },
    Case {
        name: "a subscription whose id is none",
        send: |host, to| {
            let body = utf16(&events(host, to));
            host.post("/wsman/subscriptions/../../etc/passwd", "", &body).unwrap()
        },
        status: 404,
        answer: "",
        finding: "no subscription has that address",
    },
    Case {
        name: "a subscription that is gone",
        send: |host, to| {
            let body = utf16(&events(host, to));
            host.post(&delivery_path(Guid([9; 16])), "", &body).unwrap()
        },
        status: 500,
        answer: "DeliveryRefused",
        finding: "",
    },
    Case {
        name: "another version of the subscription",
        send: |host, to| {
            let old = Offered { reference: "219C5353-5F3D-4CD7-A644-F6B69E57C1C1".into(), ..to.clone() };
            let body = utf16(&events(host, &old));
            post(host, to, "", &body)
        },
        status: 200,
        answer: action::ACK,
        finding: "",
    },
    Case {
        name: "a version of the subscription that is none",
        send: |host, to| {
            let old = Offered { reference: "not a version".into(), ..to.clone() };
            let body = utf16(&events(host, &old));
            post(host, to, "", &body)
        },
        status: 200,
        answer: action::ACK,
        finding: "",
    },
    Case {
        name: "a bookmark that could not be given back",
        send: |host, to| {
            let body = events(host, to).replace("<BookmarkList>", "<BookmarkList><s:y/>");
            post(host, to, "", &utf16(&body))
        },
        status: 200,
        answer: action::ACK,
        finding: "that could not be given back",
    },
    Case {
        name: "no bookmark",
        send: |host, to| {
            let records = [host::event("Security", 1, &host.name)];
            let body = utf16(&host.events(to, &records, ""));
            post(host, to, "", &body)
        },
        status: 200,
        answer: action::ACK,
        finding: "",
    },
    Case {
        name: "a body over the limit",
        send: |host, to| {
            // The answer comes before the body is read.
            let head =
                host.head("POST", &to.path, "Content-Type: application/soap+xml;charset=UTF-16\r\n", 1 << 30);
            host.request(&head, b"").unwrap()
        },
        status: 413,
        answer: "",
        finding: "sent a body of 1073741824 bytes",
    },
    Case {
        name: "a compressed body that says it is gigabytes",
        send: |host, to| {
            let mut body = sldc(&utf16(&events(host, to)));
            let trailer = body.len() - 4..;
            body[trailer].copy_from_slice(&[0xff; 4]);
            post(host, to, SLDC, &body)
        },
        status: 413,
        answer: "",
        finding: "sent a message that was not understood",
    },
    Case {
        name: "a compressed body that is too long, and says so",
        send: |host, to| {
            let long = events(host, to).replace("<w:Events>", &format!("<w:Events>{}", " ".repeat(1 << 20)));
            let body = sldc(&utf16(&long));
            assert!(body.len() < 576 << 10, "{}", body.len());
            post(host, to, SLDC, &body)
        },
        status: 413,
        answer: "",
        finding: "sent a message that was not understood",
    },
    Case {
        name: "a compressed body that is longer than it says",
        send: |host, to| claims(host, to, |length| length - 1),
        status: 200,
        answer: action::ACK,
        finding: "sent a body that says it expands to",
    },
    Case {
        name: "a compressed body that is shorter than it says",
        send: |host, to| claims(host, to, |length| length + 1000),
        status: 200,
        answer: action::ACK,
        finding: "sent a body that says it expands to",
    },
    Case {
        name: "an odd number of bytes once it is expanded",
        send: |host, to| {
            let mut plain = utf16(&events(host, to));
            plain.pop();
            post(host, to, SLDC, &sldc(&plain))
        },
        status: 400,
        answer: "",
        finding: "which is odd",
    },
    Case {
        name: "a compressed body that is thousands of times what it says",
        send: |host, to| {
            let mut body = sldc(&vec![0; 8 << 20]);
            assert!(body.len() < 576 << 10, "{}", body.len());
            let trailer = body.len() - 4..;
            body[trailer].copy_from_slice(&1000_u32.to_le_bytes());
            post(host, to, SLDC, &body)
        },
        status: 413,
        answer: "",
        finding: "sent a message that was not understood",
    },
    Case {
        name: "a compressed body that is none",
        send: |host, to| post(host, to, SLDC, &[&[0xff; 4096][..], &1000_u32.to_le_bytes()].concat()),
        status: 500,
        answer: "s:Fault",
        finding: "sent a message that was not understood",
    },
    Case {
        name: "a compressed body that was cut",
        send: |host, to| {
            let body = sldc(&utf16(&events(host, to)));
            post(host, to, SLDC, &[&body[..body.len() / 2], &1000_u32.to_le_bytes()].concat())
        },
        status: 400,
        answer: "",
        finding: "sent a message that was not understood",
    },
    Case {
        name: "deeply nested XML",
        send: |host, to| {
            let deep = format!("{}{}", "<a>".repeat(20_000), "</a>".repeat(20_000));
            let body = sldc(&utf16(&events(host, to).replace("<w:AckRequested/>", &deep)));
            post(host, to, SLDC, &body)
        },
        status: 500,
        answer: "s:Fault",
        finding: "more than 96 elements inside each other",
    },
    Case {
        name: "no XML at all",
        send: |host, to| post(host, to, "", &utf16(CANARY)),
        status: 500,
        answer: "s:Fault",
        finding: "sent a message that was not understood",
    },
    Case {
        name: "a DOCTYPE",
        send: |host, to| {
            let bomb = format!("<!DOCTYPE a [<!ENTITY x '{CANARY}'>]>{}", events(host, to));
            post(host, to, "", &utf16(&bomb))
        },
        status: 500,
        answer: "s:Fault",
        finding: "DOCTYPE",
    },
    Case {
        name: "another method",
        send: |host, _| {
            let head = host.head("GET", "/", "", 0);
            host.request(&head, b"").unwrap()
        },
        status: 405,
        answer: "",
        finding: "asked with GET",
    },
];

#[test]
fn whatever_is_sent_has_its_answer_and_one_finding_that_names_the_peer() {
    let site = Site::new(LOGONS, "");
    let running = site.run();
    let mut good = site.host("pc1.example.org");
    let to = only(good.enumerate(WEC));
    for (number, case) in CASES.iter().enumerate() {
        let mut host = site.host(&format!("h{number}.example.org"));
        // What is wrong with one address is told once in a while.
        host.address = [127, 0, 1, number as u8].into();
        let response = (case.send)(&mut host, &to);
        assert_eq!(response.status, case.status, "{}: {response:?}", case.name);
        assert!(response.text.is_empty() == case.answer.is_empty(), "{}: {response:?}", case.name);
        assert!(response.text.contains(case.answer), "{}: {response:?}", case.name);
        let address = format!("{} ", host.address);
        let of_host = || {
            let told = told(site.path());
            told.lines()
                .filter(|line| {
                    (line.contains(&host.name) || line.contains(&address)) && line.contains("\"what\"")
                })
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        if case.finding.is_empty() {
            assert_eq!(of_host(), [] as [String; 0], "{}", case.name);
        } else {
            eventually(case.name, || of_host().len() == 1);
            assert!(of_host()[0].contains(case.finding), "{}: {}", case.name, of_host()[0]);
        }
        // Nobody else has noticed, on a connection that was there before.
        let record = number as u64 + 1;
        let one = batch(&good, record..=record);
        assert!(good.deliver(&to, &one, &bookmark("Security", record)).unwrap().is_ack(), "{}", case.name);
    }
    assert!(!told(site.path()).contains(CANARY), "{}", told(site.path()));
    running.stop();
    assert_eq!(running.code(), Some(0));
}

#[test]
fn events_that_are_not_well_formed_are_acknowledged_and_written_raw_among_the_good_ones() {
    let site = Site::new(LOGONS, "");
    let running = site.run();
    let mut host = site.host("pc1.example.org");
    let to = only(host.enumerate(WEC));
    let good = |record| host::event("Security", record, "pc1.example.org");
    // Cut in System, not nested behind it, cut in its rendering, and with what XML does not have.
    let cut = format!("<Event><System><EventID>1</EventID><Data>{CANARY}");
    let torn = good(3).replace("</EventData>", &format!("<b>{CANARY}</EventData>"));
    let rendered = good(4).replace("</Event>", &format!("<RenderingInfo Culture='en-US'><Message>{CANARY}"));
    let odd = good(5).replace(">5</Data>", ">\u{1}\u{fffe}</Data>");
    let sent = [good(1), cut.clone(), torn.clone(), rendered, odd, good(6)];
    assert!(host.deliver(&to, &sent, &bookmark("Security", 6)).unwrap().is_ack());
    let text = || std::fs::read_to_string(site.path().join("out/events.jsonl")).unwrap_or_default();
    eventually("the file has them", || text().lines().count() == sent.len());
    let events: Vec<serde_json::Value> =
        text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let records: Vec<_> =
        events.iter().map(|event| event["System"]["EventRecordID"].as_u64().unwrap_or_default()).collect();
    assert_eq!(records, [1, 0, 0, 4, 5, 6]);
    for (event, raw) in [(&events[1], &cut), (&events[2], &torn)] {
        assert_eq!(event["Forebay"]["Raw"], raw.as_str());
        assert!(event["Forebay"]["Error"].as_str().is_some_and(|error| error.contains("at byte")), "{event}");
        assert_eq!(event["Forebay"]["Host"], "pc1.example.org");
    }
    assert_eq!(events[3]["Forebay"]["Notes"][0]["Kind"], "Recovered", "{}", events[3]);
    assert_eq!(events[3].get("RenderingInfo"), None);
    assert_eq!(events[4]["EventData"]["a"], "\u{1}\u{fffe}");
    // Nothing is told twice of the same host.
    assert!(host.deliver(&to, &[cut, torn], &bookmark("Security", 8)).unwrap().is_ack());
    eventually("the file has those too", || text().lines().count() == sent.len() + 2);
    host.hang_up();
    assert_eq!(only(host.enumerate(WEC)).bookmark, Some(bookmark("Security", 8)));
    running.stop();
    assert_eq!(running.code(), Some(0));
    let told = told(site.path());
    let expected = [
        "pc1.example.org (127.0.0.1) delivered an event of `logons` that cannot be read",
        "output `lake`: an event of pc1.example.org (127.0.0.1) cannot be read",
    ];
    assert_eq!(findings(&told), expected);
    assert!(!told.contains(CANARY), "{told}");
}

#[test]
fn half_a_request_and_silence_holds_nobody_up_and_ends() {
    let site = Site::new(&format!("limits.head_timeout = '1s'\nlimits.body_timeout = '1s'\n{LOGONS}"), "");
    let running = site.run();
    let mut good = site.host("pc1.example.org");
    let to = only(good.enumerate(WEC));
    let mut slow = site.host("pc2.example.org");
    let head = slow.head("POST", &to.path, "Content-Type: application/soap+xml;charset=UTF-16\r\n", 1000);
    let mut halves: Vec<TcpStream> = Vec::new();
    for (number, cut) in [0, 10, head.len() - 2, head.len()].into_iter().enumerate() {
        slow.address = [127, 0, 1, number as u8].into();
        let mut stream = slow.connect().unwrap();
        stream.write_all(&head.as_bytes()[..cut]).unwrap();
        halves.push(stream);
    }
    let one = batch(&good, 1..=1);
    assert!(good.deliver(&to, &one, &bookmark("Security", 1)).unwrap().is_ack());
    for mut half in halves {
        // An answer, or just the end.
        let answer = host::answer(&mut half);
        assert!(answer.as_ref().map_or(true, |answer| answer.status == 408), "{answer:?}");
    }
    eventually("it is told", || told(site.path()).contains("did not send the whole body within 1 s"));
    running.stop();
    assert_eq!(running.code(), Some(0));
}

/// So many as `FOREBAY_IDLE` says.
#[test]
fn hundreds_of_idle_connections_keep_nobody_out() {
    let site = Site::new(LOGONS, "");
    let running = site.run();
    let mut good = site.host("pc1.example.org");
    let to = only(good.enumerate(WEC));
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let (before, count) = (resident(), number("FOREBAY_IDLE", 800));
    let mut somebody = site.host("pc2.example.org");
    let idle = (0..count).map(|number| {
        somebody.address = [127, 0, 3, (number % 200) as u8].into();
        somebody.connect().unwrap()
    });
    let idle: Vec<TcpStream> = idle.collect();
    let mut other = site.host("pc2.example.org");
    assert_eq!(only(other.enumerate(WEC)).version, to.version);
    let one = batch(&good, 1..=1);
    assert!(good.deliver(&to, &one, &bookmark("Security", 1)).unwrap().is_ack());
    let each = resident().saturating_sub(before) as f64 / count as f64;
    println!("{each:.1} KiB for each of {count} idle connections");
    drop(idle);
    assert_eq!(findings(&told(site.path())), [] as [String; 0]);
    running.stop();
    assert_eq!(running.code(), Some(0));
}

#[test]
fn two_hosts_with_one_name_each_get_their_acks_and_lose_nothing() {
    let site = Site::new(LOGONS, "");
    let running = site.run();
    let (mut one, mut other) = (site.host("pc1.example.org"), site.host("pc1.example.org"));
    let to = only(one.enumerate(WEC));
    assert_eq!(only(other.enumerate(WEC)).version, to.version);
    for record in (1..=20).step_by(2) {
        let first = batch(&one, record..=record);
        let second = batch(&other, record + 1..=record + 1);
        assert!(one.deliver(&to, &first, &bookmark("Security", record)).unwrap().is_ack());
        assert!(other.deliver(&to, &second, &bookmark("Security", record + 1)).unwrap().is_ack());
    }
    eventually("the file has them all", || site.records() == (1..=20).collect::<Vec<_>>());
    running.stop();
    assert_eq!(running.code(), Some(0));
}

#[test]
fn what_is_no_delivery_is_answered_as_windows_expects_it() {
    let site = Site::new(LOGONS, "");
    let running = site.run();
    let mut host = site.host("pc1.example.org");
    let to = only(host.enumerate(WEC));
    let heartbeat = host::written(host.delivery(&to, action::HEARTBEAT), Message::Heartbeat);
    assert!(host.post(&to.path, SLDC, &sldc(&utf16(&heartbeat))).unwrap().is_ack());
    let end = host::written(host.header(action::END), Message::FullDuplex);
    // It says that it is compressed, and is not.
    assert_eq!(host.post(WEC, SLDC, &utf16(&end)).unwrap().status, 204);
    running.stop();
    assert_eq!(running.code(), Some(0));
}
