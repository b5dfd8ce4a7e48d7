//! Requests: what is written is read again, whatever prefixes it has; what is wrong has its fault.

use super::*;
use crate::wsman::bookmark::Bookmark;
use crate::wsman::fault::Code;
use crate::wsman::header::{HEADER_BLOCKS_MAX, HEADER_BYTES_MAX, OptionValue};
use crate::wsman::reference::Reference;
use proptest::option;
use proptest::prelude::*;
use std::time::Duration;

fn written(request: &Request<'_>) -> String {
    let mut out = String::new();
    request.write(&mut out);
    out
}

fn header(action: &'static str) -> Header<'static> {
    Header {
        action: Some(action.into()),
        message_id: Some("uuid:E9802257-6A7D-4C0D-BFA4-E81C7B1C447E".into()),
        to: Some("https://col.example.org:5986/wsman/subscriptions/1".into()),
        reply_to: Some(ns::ANONYMOUS.into()),
        machine_id: Some("pc1.example.org".into()),
        max_envelope_size: Some(512_000),
        references: vec![Reference::identifier("219C5353-5F3D-4CD7-A644-F6B69E57C1C1")],
        ack_requested: true,
        ..Header::default()
    }
}

fn enumerate() -> Request<'static> {
    Request {
        header: Header {
            resource: Some(resource::SUBSCRIPTION_MANAGER.into()),
            references: Vec::new(),
            ..header(action::ENUMERATE)
        },
        message: Message::Enumerate { optimized: true, max_elements: Some(32_000) },
    }
}

fn heartbeat() -> Request<'static> {
    Request { header: header(action::HEARTBEAT), message: Message::Heartbeat }
}

fn one_event(text: String) -> Events<'static> {
    let ranges = std::iter::once(0..text.len() as u32).collect();
    Events { text: text.into(), ranges, ..Events::default() }
}

/// Text of a field: no white space around it, nothing that is no character.
fn text() -> impl Strategy<Value = Cow<'static, str>> {
    "[!-~é]([ -~\r\t\n]{0,10}[!-~€])?".prop_map(Cow::Owned)
}

fn references() -> impl Strategy<Value = Vec<Reference<'static>>> {
    let reference = (
        prop_oneof![Just(("e", ns::EVENTING)), Just(("", "")), Just(("x", "urn:x")), Just(("", "urn:y"))],
        text(),
    )
        .prop_map(|((prefix, namespace), text)| Reference {
            prefix: prefix.into(),
            namespace: namespace.into(),
            name: "Reference".into(),
            text,
        });
    proptest::collection::vec(reference, 0..3)
}

fn any_header() -> impl Strategy<Value = Header<'static>> {
    let ids = (text(), option::of(text()), option::of(text()), option::of(text()), option::of(text()));
    let numbers = (option::of(8192..u32::MAX), option::of(any::<u64>()), option::of(0..1_000_000_u64));
    let options = proptest::collection::vec((text(), option::of(text())), 0..3);
    let bookmark = option::of(prop_oneof![
        Just(Bookmark::Earliest),
        Just(Bookmark::kept("<BookmarkList><Bookmark Channel='S' RecordId=\"1\"/></BookmarkList>")),
    ]);
    (ids, numbers, options, references(), bookmark, any::<bool>()).prop_map(
        |(ids, numbers, options, references, bookmark, ack_requested)| Header {
            message_id: Some(ids.0),
            to: ids.1.clone(),
            machine_id: ids.2.clone(),
            locale: ids.2,
            data_locale: ids.1,
            session_id: ids.3,
            operation_id: ids.4,
            reply_to: Some(ns::ANONYMOUS.into()),
            resource: Some(resource::SUBSCRIPTION_MANAGER.into()),
            max_envelope_size: numbers.0,
            sequence_id: numbers.1,
            operation_timeout: numbers.2.map(Duration::from_millis),
            options: options.into_iter().map(|(name, value)| OptionValue { name, value }).collect(),
            references,
            bookmark,
            ack_requested,
            ..Header::default()
        },
    )
}

fn any_message() -> impl Strategy<Value = (&'static str, Message<'static>)> {
    let end = (option::of(text()), references(), option::of(text()), option::of(any::<u32>())).prop_map(
        |(address, references, status, code)| SubscriptionEnd {
            manager: Some(Endpoint { address, references }),
            status,
            fault: code.map(|code| WsmanFault::new(code, "pc1", "it <failed>")),
        },
    );
    prop_oneof![
        (any::<bool>(), option::of(any::<u32>())).prop_map(|(optimized, max_elements)| {
            (action::ENUMERATE, Message::Enumerate { optimized, max_elements })
        }),
        "[ -~\r\n]{0,20}".prop_map(|text| (action::EVENTS, Message::Events(one_event(text)))),
        Just((action::HEARTBEAT, Message::Heartbeat)),
        any::<u64>().prop_map(|count| (action::DROPPED_EVENTS, Message::DroppedEvents(count))),
        end.prop_map(|end| (action::SUBSCRIPTION_END, Message::SubscriptionEnd(end))),
        Just((action::END, Message::FullDuplex)),
        Just((action::KEEPALIVE, Message::FullDuplex)),
        Just((action::WSMAN_FAULT, Message::Fault(Refusal::DeliveryRefused.fault("col")))),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(header in any_header(), (action, message) in any_message()) {
        let request = Request { header: Header { action: Some(action.into()), ..header }, message };
        let text = written(&request);
        prop_assert_eq!(Request::parse(&text), Ok(request.clone()));
        // Windows reads by namespace, and so do we.
        let other = text.replace("<s:", "<soap:").replace("</s:", "</soap:").replace("xmlns:s=", "xmlns:soap=")
            .replace(" s:must", " soap:must");
        if !text.contains("Fault") {
            prop_assert_eq!(Request::parse(&other), Ok(request));
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "(<[a-z:/]{0,8}>?|[ -~]|</|<!\\[CDATA\\[|\\]\\]>|&|é){0,40}", at in 0..1500_usize) {
        let _ = Request::parse(&text);
        let mut whole = written(&heartbeat());
        if whole.is_char_boundary(at) && at < whole.len() {
            whole.insert_str(at, &text);
        }
        let _ = Request::parse(&whole);
    }
}

#[test]
fn identify_has_no_header_or_any() {
    let identify = Request { header: Header::default(), message: Message::Identify };
    assert_eq!(
        written(&identify),
        "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:wsmid=\"http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd\">\
         <s:Header/><s:Body><wsmid:Identify/></s:Body></s:Envelope>"
    );
    assert_eq!(Request::parse(&written(&identify)), Ok(identify.clone()));
    let bare = written(&identify).replace("<s:Header/>", "").replace("/identity/1", "/identify/1");
    assert_eq!(Request::parse(&bare), Ok(identify));
    let other = Request { header: header(action::HEARTBEAT), message: Message::Identify };
    assert_eq!(Request::parse(&written(&other)), Ok(other));
}

#[test]
fn white_space_between_elements_means_nothing() {
    let text = written(&heartbeat()).replace("><", ">\r\n  <");
    assert_eq!(Request::parse(&text), Ok(heartbeat()));
    let text = format!("\u{feff}<?xml version=\"1.0\"?>{text}\r\n");
    assert_eq!(Request::parse(&text), Ok(heartbeat()));
}

#[test]
fn ranges_of_events_are_offsets_into_the_text_that_came() {
    let message = Message::Events(one_event("<a/>".into()));
    let request = Request { header: header(action::EVENTS), message };
    let text = format!("\u{feff}{}", written(&request));
    let Ok(Request { message: Message::Events(events), .. }) = Request::parse(&text) else { panic!() };
    let range = &events.ranges[0];
    assert_eq!(&text[range.start as usize..range.end as usize], "<a/>");
}

/// Parses the heartbeat or enumerate after a change, which must be refused.
#[track_caller]
fn refused(request: &Request<'_>, from: &str, to: &str) -> Refusal {
    let text = written(request);
    assert!(text.contains(from), "{from} is not in {text}");
    let rejected = Request::parse(&text.replace(from, to)).unwrap_err();
    assert_eq!(rejected.relates_to.as_deref(), Some("uuid:E9802257-6A7D-4C0D-BFA4-E81C7B1C447E"));
    rejected.why
}

#[test]
fn what_is_wrong_has_its_refusal() {
    let reply_to = "<a:ReplyTo><a:Address s:mustUnderstand=\"true\">http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>";
    let body = Refusal::InvalidBody("a delivery holds one w:Events");
    let xml = |why: Refusal| matches!(why, Refusal::InvalidXml(_));
    let (heartbeat, enumerate) = (heartbeat(), enumerate());
    for (request, from, to, expected) in [
        (&heartbeat, reply_to, "", Refusal::HeaderMissing("ReplyTo")),
        (&heartbeat, "role/anonymous", "role/other", Refusal::AddressingMode),
        (&heartbeat, ">512000<", ">8191<", Refusal::EnvelopeTooSmall),
        (&heartbeat, ">512000<", ">x<", Refusal::header("MaxEnvelopeSize", "it is no number")),
        (
            &heartbeat,
            "wsman/Heartbeat<",
            "wsman/Other<",
            Refusal::ActionNotSupported("http://schemas.dmtf.org/wbem/wsman/1/wsman/Other".into()),
        ),
        (&heartbeat, "<w:Events></w:Events>", "<w:Other/>", body.clone()),
        (
            &heartbeat,
            "<w:Events></w:Events>",
            "<w:Events/><w:Events/>",
            Refusal::InvalidBody("a body holds one element"),
        ),
        (
            &heartbeat,
            "<w:AckRequested/>",
            "<w:New s:mustUnderstand=\"1\"/>",
            Refusal::NotUnderstood("w:New".into()),
        ),
        (
            &heartbeat,
            "<w:AckRequested/>",
            "<w:Locale s:mustUnderstand=\"true\"/>",
            Refusal::LocaleMustBeUnderstood,
        ),
        (
            &heartbeat,
            "<w:AckRequested/>",
            "<p:OperationID s:mustUnderstand=\"true\">1</p:OperationID>",
            Refusal::NotUnderstood("p:OperationID".into()),
        ),
        (&heartbeat, "<w:AckRequested/>", "<a:To>again</a:To>", Refusal::header("To", "it stands twice")),
        (
            &heartbeat,
            "<w:AckRequested/>",
            "<w:OperationTimeout>soon</w:OperationTimeout>",
            Refusal::header("OperationTimeout", "it is no duration"),
        ),
        (
            &enumerate,
            "SubscriptionManager/Subscription",
            "windows/EventLog",
            Refusal::ResourceNotFound("http://schemas.microsoft.com/wbem/wsman/1/windows/EventLog".into()),
        ),
        (&enumerate, "n:Enumerate>", "n:Pull>", Refusal::InvalidBody("an Enumerate holds one n:Enumerate")),
        (&enumerate, ">32000<", ">many<", Refusal::InvalidBody("MaxElements is no number")),
    ] {
        assert_eq!(refused(request, from, to), expected);
    }
    assert!(xml(refused(&heartbeat, "</s:Body></s:Envelope>", "")));
    assert!(xml(refused(&heartbeat, "<w:AckRequested/>", "<y:AckRequested/>")));
    assert!(xml(refused(&heartbeat, "<w:AckRequested/>", &"<b/>".repeat(HEADER_BLOCKS_MAX))));
    assert!(xml(refused(
        &heartbeat,
        "<w:AckRequested/>",
        &format!("<b>{}</b>", "<c/>".repeat(HEADER_BYTES_MAX / 4))
    )));
}

#[test]
fn what_is_no_envelope_relates_to_nothing() {
    let action =
        "<a:Action s:mustUnderstand=\"true\">http://schemas.dmtf.org/wbem/wsman/1/wsman/Heartbeat</a:Action>";
    let id = "<a:MessageID>uuid:E9802257-6A7D-4C0D-BFA4-E81C7B1C447E</a:MessageID>";
    let why = |text: &str| Request::parse(text).unwrap_err().why;
    let text = written(&heartbeat());
    assert_eq!(why(&text.replace(action, "")), Refusal::HeaderMissing("Action"));
    assert_eq!(why(&text.replace(id, "")), Refusal::HeaderMissing("MessageID"));
    assert_eq!(why(&text.replace(ns::SOAP, ns::SOAP_1_1)), Refusal::SoapVersion);
    assert!(matches!(why(&text.replace(ns::SOAP, "other")), Refusal::InvalidBody(_)));
    assert!(matches!(why(""), Refusal::InvalidBody(_)));
    assert!(matches!(why("no XML"), Refusal::InvalidXml(_)));
    assert!(matches!(why(&format!("{text}<more/>")), Refusal::InvalidBody(_)));
}

#[test]
fn unknown_blocks_that_need_not_be_understood_are_passed_over() {
    let block = "<x:Other xmlns:x=\"urn:x\" s:mustUnderstand=\"false\"><x:a/></x:Other><w:AckRequested/>";
    let text = written(&heartbeat()).replace("<w:AckRequested/>", block);
    assert_eq!(Request::parse(&text), Ok(heartbeat()));
}

#[test]
fn what_a_subscription_told_the_host_to_return_is_found() {
    let text =
        written(&heartbeat()).replace("<w:AckRequested/>", "<Version>uuid:7</Version><Revision>r</Revision>");
    let request = Request::parse(&text).unwrap();
    assert_eq!(request.header.identifier(), Some("219C5353-5F3D-4CD7-A644-F6B69E57C1C1"));
    assert_eq!(request.header.version(), Some("uuid:7"));
}

#[test]
fn a_bookmark_that_cannot_be_given_back_does_not_cost_the_events() {
    let text =
        written(&heartbeat()).replace("<w:AckRequested/>", "<w:Bookmark><s:BookmarkList/></w:Bookmark>");
    let request = Request::parse(&text).unwrap();
    assert!(matches!(request.header.bookmark, Some(Bookmark::Unusable(_))));
}

#[test]
fn every_refusal_has_a_fault_that_is_read_again() {
    let refusals = [
        (Refusal::SoapVersion, Code::VersionMismatch, None, 2_150_858_765),
        (Refusal::NotUnderstood("x".into()), Code::MustUnderstand, None, 2_150_858_768),
        (
            Refusal::HeaderMissing("To"),
            Code::Sender,
            Some((Ns::Addressing, "MessageInformationHeaderRequired")),
            2_150_858_769,
        ),
        (
            Refusal::ActionNotSupported("x".into()),
            Code::Sender,
            Some((Ns::Addressing, "ActionNotSupported")),
            2_150_858_771,
        ),
        (Refusal::DeliveryRefused, Code::Receiver, Some((Ns::Wsman, "DeliveryRefused")), 2_150_858_804),
        (Refusal::AccessDenied, Code::Sender, Some((Ns::Wsman, "AccessDenied")), 5),
    ];
    for (refusal, code, subcode, number) in refusals {
        let fault = refusal.fault("col.example.org");
        assert_eq!((fault.code, fault.number()), (code, Some(number)));
        assert_eq!(fault.subcode, subcode.map(|(ns, name)| (ns, name.to_owned())));
        let request = Request { header: header(fault.action()), message: Message::Fault(fault) };
        assert_eq!(Request::parse(&written(&request)), Ok(request));
    }
}
