//! The captured messages of a Windows host and a Windows collector: read, written again byte for
//! byte, and our answers beside theirs, element by element.
//!
//! The captures are not part of the project; where they are not, the tests say that they were skipped.

use forebay::event::{Event, XmlEvent};
use forebay::wsman::ns::{action, resource};
use forebay::wsman::subscription::{Content, Endpoint, Policy, Subscription};
use forebay::wsman::{
    Answer, Bookmark, BookmarkList, Guid, Message, Offer, QueryList, Reference, Refusal, Reply, Request,
};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where the captures are: `$FOREBAY_PROTOCOL_SAMPLES`, or beside the repository.
fn samples() -> PathBuf {
    std::env::var_os("FOREBAY_PROTOCOL_SAMPLES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference/protocol-samples"),
        PathBuf::from,
    )
}

/// The text of one; a file ends with a line end that the wire has not.
fn sample(test: &str, name: &str) -> Option<String> {
    let path = samples().join(name).with_extension("xml");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("SKIP {test}: there is no {}", path.display());
        return None;
    };
    Some(text.trim_end().to_owned())
}

fn request_written(request: &Request<'_>) -> String {
    let mut out = String::new();
    request.write(&mut out);
    out
}

fn answer_written(answer: &Answer<'_>) -> String {
    let mut out = String::new();
    answer.write(&mut out);
    out
}

#[test]
fn what_windows_sent_is_written_again_byte_for_byte() {
    const TEST: &str = "what_windows_sent_is_written_again_byte_for_byte";
    for name in [
        "01-enumerate-request",
        "03-end-after-enumerate",
        "04-heartbeat",
        "06-events-batch",
        "08-subscription-end",
        "09-end-after-subscription-end",
    ] {
        let Some(text) = sample(TEST, name) else { return };
        let request = Request::parse(&text).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(request_written(&request), text, "{name}");
    }
}

#[test]
fn what_windows_answered_is_written_again_byte_for_byte() {
    const TEST: &str = "what_windows_answered_is_written_again_byte_for_byte";
    for name in [
        "02-enumerate-response",
        "05-ack-of-heartbeat",
        "07-ack-of-events",
        "35-constructed-delivery-refused",
    ] {
        let Some(text) = sample(TEST, name) else { return };
        let answer = Answer::parse(&text).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(answer_written(&answer), text, "{name}");
    }
}

#[test]
fn every_field_of_the_captured_requests_is_where_it_belongs() {
    const TEST: &str = "every_field_of_the_captured_requests_is_where_it_belongs";
    let Some(text) = sample(TEST, "01-enumerate-request") else { return };
    let Request { header, message } = Request::parse(&text).unwrap();
    assert_eq!(message, Message::Enumerate { optimized: true, max_elements: Some(32_000) });
    assert_eq!(header.message_id.as_deref(), Some("uuid:E9802257-6A7D-4C0D-BFA4-E81C7B1C447E"));
    assert_eq!(header.machine_id.as_deref(), Some("win10.windomain.local"));
    assert_eq!(header.max_envelope_size, Some(512_000));
    assert_eq!(header.sequence_id, Some(1));
    assert_eq!(header.operation_timeout.map(|timeout| timeout.as_secs()), Some(60));
    assert_eq!(header.resource.as_deref(), Some(resource::SUBSCRIPTION_MANAGER));
    assert_eq!(header.locale.as_deref(), Some("en-US"));

    let Some(text) = sample(TEST, "04-heartbeat") else { return };
    let Request { header, message } = Request::parse(&text).unwrap();
    assert_eq!(message, Message::Heartbeat);
    assert_eq!(header.identifier(), Some("219C5353-5F3D-4CD7-A644-F6B69E57C1C1"));
    assert!(header.ack_requested && header.bookmark.is_none());

    let Some(text) = sample(TEST, "08-subscription-end") else { return };
    let Request { header, message } = Request::parse(&text).unwrap();
    let Message::SubscriptionEnd(end) = message else { panic!("{message:?}") };
    assert!(end.status.unwrap().ends_with("/SourceCancelling"));
    let fault = end.fault.unwrap();
    assert_eq!((fault.number(), fault.machine.as_str()), (1717, "win10.windomain.local"));
    let error = fault.provider.unwrap().error.unwrap();
    assert_eq!(error, "Windows Event Forward Plugin failed to read events.");
    assert_eq!(header.operation_timeout.map(|timeout| timeout.as_millis()), Some(500));
}

#[test]
fn the_captured_events_are_ranges_of_their_envelope() {
    const TEST: &str = "the_captured_events_are_ranges_of_their_envelope";
    let Some(text) = sample(TEST, "06-events-batch") else { return };
    let Request { header, message } = Request::parse(&text).unwrap();
    let Message::Events(events) = message else { panic!("{message:?}") };
    assert!(matches!(events.text, Cow::Borrowed(_)), "nothing is copied");
    assert_eq!((events.ranges.len(), events.started.len(), events.dropped), (21, 0, 0));
    let mut records = Vec::new();
    for event in events.iter() {
        assert!(event.starts_with("<Event ") && event.ends_with("</Event>"));
        let mut record = Vec::new();
        XmlEvent::parse(event.as_bytes()).unwrap().header().record_id.write_text(&mut record);
        records.push(String::from_utf8(record).unwrap().parse::<u64>().unwrap());
    }
    assert_eq!(records, (149_141..=149_161).collect::<Vec<_>>());
    let Some(Bookmark::Kept(bookmark)) = header.bookmark else { panic!("{:?}", header.bookmark) };
    let list = BookmarkList::parse(&bookmark).unwrap();
    assert_eq!(list.record("Microsoft-Windows-WinRM/Operational"), Some(149_161));
}

#[test]
fn the_first_delivery_of_a_subscription_without_a_bookmark_brings_one_and_no_event() {
    const TEST: &str = "the_first_delivery_of_a_subscription_without_a_bookmark_brings_one_and_no_event";
    let Some(text) = sample(TEST, "30-constructed-events-111-bookmark") else { return };
    let Request { header, message } = Request::parse(&text).unwrap();
    let Message::Events(events) = message else { panic!("{message:?}") };
    assert_eq!((events.ranges.len(), events.started.len()), (0, 1));
    let list = BookmarkList::parse(header.bookmark.unwrap().text().unwrap()).unwrap();
    assert!(list.backward);
}

/// What differs between the captured answer and ours, and why.
const RESPONSE_DIFFERS: &[(&str, &str)] = &[
    ("/Envelope/Header/MessageID", "an id of this message"),
    (
        "/Envelope/Header/OperationID",
        "it promises that answers are kept to be sent again, and we keep none (MS-WSMV 3.1.4.1.39)",
    ),
    ("/Envelope/Body/EnumerateResponse/Items/Subscription/Version", "ours is a hash of the subscription"),
    ("…/Subscription/Envelope/Header/MessageID", "an id of this message"),
    ("…/Subscription/Envelope/Header/OperationID", "an id of this message"),
    ("…/Subscribe/EndTo/ReferenceProperties/Identifier", "the version, as with Windows"),
    ("…/Subscribe/Delivery/NotifyTo/ReferenceProperties/Identifier", "the version, as with Windows"),
];

const ACK_DIFFERS: &[(&str, &str)] = &[
    ("/Envelope/Header/MessageID", "an id of this message"),
    (
        "/Envelope/Header/OperationID",
        "it promises that answers are kept to be sent again, and we keep none (MS-WSMV 3.1.4.1.39)",
    ),
];

const REFUSED_DIFFERS: &[(&str, &str)] = &[
    ("/Envelope/Header/MessageID", "an id of this message"),
    ("/Envelope/Body/Fault/Reason/Text", "words for people; hosts look at subcode and number"),
    ("/Envelope/Body/Fault/Detail/WSManFault/Message", "words for people"),
];

#[test]
fn our_enumerate_response_is_that_of_windows_but_for_what_is_listed() {
    const TEST: &str = "our_enumerate_response_is_that_of_windows_but_for_what_is_listed";
    let Some(theirs) = sample(TEST, "02-enumerate-response") else { return };
    let xpath = "*[System[(Level=1  or Level=2 or Level=3 or Level=4 or Level=0 or Level=5)]]";
    let subscription = Subscription {
        name: "Toto".into(),
        query: QueryList::of([("Microsoft-Windows-WinRM/Operational", xpath)]),
        content: Content::RenderedText,
        ..Subscription::default()
    };
    let endpoint = Endpoint {
        address: "HTTP://srv.windomain.local:5985/wsman/subscriptions/B6BDBB59-FB07-4EE5-841F-EBEC9D67CDD4/1"
            .into(),
        policy: Policy::KerberosHttp,
    };
    let version = subscription.version(&endpoint);
    let bookmark = r#"<BookmarkList><Bookmark Channel="Microsoft-Windows-WinRM/Operational" RecordId="149140" IsCurrent="true"/></BookmarkList>"#;
    let offer = Offer {
        version,
        message_id: Guid([1; 16]),
        operation_id: Guid([2; 16]),
        references: vec![Reference::identifier(version.to_string())],
        subscription: Cow::Owned(subscription),
        endpoint: Cow::Owned(endpoint),
        bookmark: Some(Bookmark::kept(bookmark)),
    };
    let relates_to = "uuid:E9802257-6A7D-4C0D-BFA4-E81C7B1C447E";
    let ours = Answer::new(Reply::EnumerateResponse(vec![offer]), Guid([3; 16]), Some(relates_to));
    compare(&theirs, &answer_written(&ours), RESPONSE_DIFFERS);
}

#[test]
fn our_acks_and_refusals_are_those_of_windows_but_for_what_is_listed() {
    const TEST: &str = "our_acks_and_refusals_are_those_of_windows_but_for_what_is_listed";
    for (theirs, request) in
        [("05-ack-of-heartbeat", "04-heartbeat"), ("07-ack-of-events", "06-events-batch")]
    {
        let (Some(theirs), Some(request)) = (sample(TEST, theirs), sample(TEST, request)) else { return };
        let request = Request::parse(&request).unwrap();
        let ours = Answer::new(Reply::Ack, Guid([3; 16]), request.header.message_id.as_deref());
        compare(&theirs, &answer_written(&ours), ACK_DIFFERS);
    }
    let Some(theirs) = sample(TEST, "35-constructed-delivery-refused") else { return };
    let relates_to = Some("uuid:31652DEB-C9E8-45D6-B3E8-90AC64D48422");
    let fault = Refusal::DeliveryRefused.fault("col.example.test");
    assert_eq!(fault.action(), action::WSMAN_FAULT);
    let ours = Answer::new(Reply::Fault(fault), Guid([3; 16]), relates_to);
    compare(&theirs, &answer_written(&ours), REFUSED_DIFFERS);
}

/// Both as lists of elements in document order; exactly the listed ones may differ, and must.
#[track_caller]
fn compare(theirs: &str, ours: &str, listed: &[(&str, &str)]) {
    let (theirs, ours) = (elements(theirs), elements(ours));
    let mut differing: Vec<&String> = Vec::new();
    for path in theirs.keys().chain(ours.keys()) {
        if theirs.get(path) != ours.get(path) && !differing.contains(&path) {
            differing.push(path);
        }
    }
    let is_listed = |path: &str| {
        listed.iter().any(|(end, _)| match end.strip_prefix('…') {
            Some(end) => path.ends_with(end),
            None => path == *end,
        })
    };
    for path in &differing {
        let (theirs, ours) = (theirs.get(*path), ours.get(*path));
        assert!(is_listed(path), "{path}:\n theirs {theirs:?}\n ours   {ours:?}");
    }
    assert_eq!(differing.len(), listed.len(), "listed, but alike: {listed:?}, differing: {differing:?}");
    let order = |elements: &BTreeMap<String, Element>, other: &BTreeMap<String, Element>| {
        let mut shared: Vec<_> = elements.iter().filter(|(path, _)| other.contains_key(*path)).collect();
        shared.sort_by_key(|(_, element)| element.nth);
        shared.into_iter().map(|(path, _)| path.clone()).collect::<Vec<_>>()
    };
    assert_eq!(order(&theirs, &ours), order(&ours, &theirs), "the order of the elements");
}

#[derive(Debug)]
struct Element {
    /// Of the document.
    nth: usize,
    /// Namespace and name, attributes with theirs, text.
    what: (String, Vec<String>, String),
}

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        self.what == other.what
    }
}

/// Path → element; a path that comes again gets a number.
fn elements(text: &str) -> BTreeMap<String, Element> {
    let document = roxmltree::Document::parse(text).unwrap();
    let mut found: BTreeMap<String, Element> = BTreeMap::new();
    for (nth, node) in document.descendants().filter(roxmltree::Node::is_element).enumerate() {
        let names: Vec<_> = node.ancestors().filter(|node| node.is_element()).collect();
        let mut path: String =
            names.iter().rev().map(|node| format!("/{}", node.tag_name().name())).collect();
        let before = found.keys().filter(|known| known.split('#').next() == Some(&path)).count();
        if before > 0 {
            path.push_str(&format!("#{before}"));
        }
        let mut attributes: Vec<_> = node
            .attributes()
            .map(|a| format!("{}:{}={}", a.namespace().unwrap_or_default(), a.name(), a.value()))
            .collect();
        attributes.sort();
        let name = format!("{:?}", node.tag_name());
        let text = node.children().filter_map(|node| node.text().filter(|_| node.is_text())).collect();
        found.insert(path, Element { nth, what: (name, attributes, text) });
    }
    found
}
