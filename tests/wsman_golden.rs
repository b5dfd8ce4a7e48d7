//! One message of each kind as we write it, against the files beside the code: another byte on the wire
//! is seen here. `UPDATE=1` rewrites them. They are also what the fuzzer begins with.

use forebay::wsman::bookmark::BookmarkList;
use forebay::wsman::ns::{ANONYMOUS, action, resource};
use forebay::wsman::query::{Part, PartKind};
use forebay::wsman::reference;
use forebay::wsman::subscription::{Content, Endpoint, Policy, Subscription, Thumbprint, delivery_path};
use forebay::wsman::wsman_fault::ProviderFault;
use forebay::wsman::{
    Answer, Bookmark, Events, Guid, Header, Identity, Message, Offer, QueryList, Reference, Refusal, Reply,
    Request, SubscriptionEnd, WsmanFault,
};
use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

const LOGON: &str = "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Microsoft-Windows-Security-Auditing' Guid='{54849625-5478-4994-a5ba-3e3b0328c30d}'/><EventID>4624</EventID><Version>2</Version><Level>0</Level><Task>12544</Task><Opcode>0</Opcode><Keywords>0x8020000000000000</Keywords><TimeCreated SystemTime='2026-01-02T03:04:05.6789012Z'/><EventRecordID>7</EventRecordID><Correlation/><Execution ProcessID='600' ThreadID='604'/><Channel>Security</Channel><Computer>pc1.example.org</Computer><Security/></System><EventData><Data Name='TargetUserName'>anna</Data></EventData></Event>";
const STARTED: &str = "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Microsoft-Windows-EventForwarder'/><EventID>111</EventID><TimeCreated SystemTime='2026-01-02T03:04:05.678Z'/><Computer>pc1.example.org</Computer></System><SubscriptionBookmarkEvent><SubscriptionId></SubscriptionId></SubscriptionBookmarkEvent></Event>";

fn guid(number: u8) -> Guid {
    Guid::from_bits([number; 16])
}

fn uuid(number: u8) -> Option<Cow<'static, str>> {
    Some(format!("uuid:{}", guid(number)).into())
}

fn address() -> String {
    format!("https://col.example.org:5986{}", delivery_path(guid(1)))
}

fn request(action: &'static str, message: Message<'static>) -> Request<'static> {
    let header = Header {
        to: Some(address().into()),
        machine_id: Some("pc1.example.org".into()),
        reply_to: Some(ANONYMOUS.into()),
        action: Some(action.into()),
        max_envelope_size: Some(512_000),
        message_id: uuid(2),
        locale: Some("en-US".into()),
        data_locale: Some("en-US".into()),
        session_id: uuid(3),
        operation_id: uuid(4),
        sequence_id: Some(1),
        operation_timeout: Some(Duration::from_secs(60)),
        references: vec![Reference::identifier(guid(5).to_string())],
        ack_requested: true,
        ..Header::default()
    };
    Request { header, message }
}

fn bookmark(backward: bool) -> Bookmark<'static> {
    let mut list = BookmarkList::default();
    list.advance("System", 3);
    list.advance("Security", 7);
    list.backward = backward;
    let mut text = String::new();
    list.write(&mut text);
    Bookmark::kept(text)
}

fn delivery(events: &[&str], backward: bool) -> Request<'static> {
    let mut at = 0;
    let ranges = events.iter().map(|event| {
        let from = at;
        at += event.len() as u32;
        from..at
    });
    let events = Events { ranges: ranges.collect(), text: events.concat().into(), ..Events::default() };
    let mut request = request(action::EVENTS, Message::Events(events));
    request.header.bookmark = Some(bookmark(backward));
    request
}

fn requests() -> Vec<(&'static str, Request<'static>)> {
    let mut enumerate =
        request(action::ENUMERATE, Message::Enumerate { optimized: true, max_elements: Some(32_000) });
    enumerate.header.to = Some("https://col.example.org:5986/wsman/SubscriptionManager/WEC".into());
    enumerate.header.resource = Some(resource::SUBSCRIPTION_MANAGER.into());
    (enumerate.header.references, enumerate.header.ack_requested) = (Vec::new(), false);
    let end = Request {
        header: Header {
            to: Some(ANONYMOUS.into()),
            resource: Some(resource::FULL_DUPLEX.into()),
            action: Some(action::END.into()),
            message_id: uuid(6),
            operation_id: uuid(4),
            ..Header::default()
        },
        message: Message::FullDuplex,
    };
    let provider = ProviderFault {
        provider: "Unknown provider".into(),
        path: "Unknown path".into(),
        error: Some("Windows Event Forward Plugin failed to read events.".into()),
        nested: None,
    };
    let fault =
        WsmanFault { provider: Some(Box::new(provider)), ..WsmanFault::new(1717, "pc1.example.org", "") };
    let subscription_end = SubscriptionEnd {
        manager: Some(reference::Endpoint {
            address: Some(address().into()),
            references: vec![Reference::identifier(guid(5).to_string())],
        }),
        status: Some("http://schemas.xmlsoap.org/ws/2004/08/eventing/SourceShuttingDown".into()),
        fault: Some(fault),
    };
    vec![
        ("enumerate", enumerate),
        ("end", end),
        ("heartbeat", request(action::HEARTBEAT, Message::Heartbeat)),
        ("events", delivery(&[LOGON, "<Event>]]></Event>", LOGON], false)),
        ("events-started", delivery(&[STARTED], true)),
        ("dropped-events", request(action::DROPPED_EVENTS, Message::DroppedEvents(3))),
        ("subscription-end", request(action::SUBSCRIPTION_END, Message::SubscriptionEnd(subscription_end))),
        ("identify", Request { header: Header::default(), message: Message::Identify }),
    ]
}

fn offer(subscription: Subscription, policy: Policy, bookmark: Option<Bookmark<'static>>) -> Offer<'static> {
    let endpoint = Endpoint { address: address(), policy };
    let version = subscription.version(&endpoint);
    Offer {
        version,
        message_id: guid(7),
        operation_id: guid(8),
        references: vec![Reference::identifier(version.to_string())],
        subscription: Cow::Owned(subscription),
        endpoint: Cow::Owned(endpoint),
        bookmark,
    }
}

fn answers() -> Vec<(&'static str, Answer<'static>)> {
    let logons = Subscription {
        name: "logons".into(),
        query: QueryList::of([("Security", "*[System[EventID=4624]]")]),
        ..Subscription::default()
    };
    let mut query = QueryList::of([("System", "*[System[Level<=3]]"), ("Application", "*")]);
    query.queries[0].parts.push(Part {
        kind: PartKind::Suppress,
        path: Some("System".into()),
        xpath: "*[System[Provider[@Name='a & b']]]".into(),
    });
    let raw = Subscription {
        name: "raw".into(),
        query,
        content: Content::Raw,
        read_existing: true,
        ignore_channel_error: false,
        compressed: false,
        max_elements: Some(50),
        locale: None,
        data_locale: None,
        expires: Some(Duration::from_secs(86_400)),
        ..Subscription::default()
    };
    let issuer = Thumbprint::parse("6a4720a83504b818c86bac099d3a4bede89945d9").unwrap();
    let offers = vec![
        offer(logons, Policy::KerberosHttp, Some(bookmark(false))),
        offer(raw, Policy::Certificate { issuer }, Some(Bookmark::Earliest)),
    ];
    let relates_to = Some("uuid:02020202-0202-8202-8202-020202020202");
    let answer = |reply| Answer::new(reply, guid(9), relates_to);
    let fault = |refusal: Refusal| answer(Reply::Fault(refusal.fault("col.example.org")));
    vec![
        ("enumerate-response", answer(Reply::EnumerateResponse(offers))),
        ("enumerate-response-none", answer(Reply::EnumerateResponse(Vec::new()))),
        ("ack", answer(Reply::Ack)),
        ("identify-response", answer(Reply::Identified(Identity::of("Forebay", "0.1")))),
        ("fault-delivery-refused", fault(Refusal::DeliveryRefused)),
        ("fault-must-understand", fault(Refusal::NotUnderstood("x:New".into()))),
        ("fault-header-missing", fault(Refusal::HeaderMissing("ReplyTo"))),
        ("fault-resource", fault(Refusal::ResourceNotFound("urn:other".into()))),
    ]
}

#[test]
fn messages_are_written_as_their_files_say() {
    for (name, request) in requests() {
        let mut text = String::new();
        request.write(&mut text);
        check(name, &text);
        // Written as one event like the others, it comes back set apart.
        if name != "events-started" {
            assert_eq!(Request::parse(&text), Ok(request), "{name}");
        }
    }
    for (name, answer) in answers() {
        let mut text = String::new();
        answer.write(&mut text);
        check(name, &text);
        assert_eq!(Answer::parse(&text), Ok(answer), "{name}");
    }
}

#[track_caller]
fn check(name: &str, text: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wsman/testdata/messages");
    let path = folder.join(name).with_extension("xml");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{name}; UPDATE=1 rewrites it");
}
