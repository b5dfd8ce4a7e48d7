//! Answers: what is written is read again, also in the shapes of other collectors.

use super::*;
use crate::wsman::bookmark::Bookmark;
use crate::wsman::query::QueryList;
use crate::wsman::reference::Reference;
use crate::wsman::subscription::{
    Content, Encoding, Endpoint, Oversize, Policy, Retry, Subscription, Thumbprint,
};
use proptest::option;
use proptest::prelude::*;
use std::borrow::Cow;
use std::time::Duration;

fn written(answer: &Answer<'_>) -> String {
    let mut out = String::new();
    answer.write(&mut out);
    out
}

fn offer() -> Offer<'static> {
    let subscription = Subscription {
        name: "logons & more".into(),
        query: QueryList::of([("Security", "*[System[Level<=3]]")]),
        ..Subscription::default()
    };
    let endpoint =
        Endpoint { address: "https://col:5986/wsman/subscriptions/1".into(), policy: Policy::KerberosHttp };
    let version = subscription.version(&endpoint);
    Offer {
        version,
        message_id: Guid([1; 16]),
        operation_id: Guid([2; 16]),
        references: vec![Reference::identifier(version.to_string())],
        subscription: Cow::Owned(subscription),
        endpoint: Cow::Owned(endpoint),
        bookmark: None,
    }
}

fn response(offers: Vec<Offer<'static>>) -> Answer<'static> {
    Answer::new(Reply::EnumerateResponse(offers), Guid([3; 16]), Some("uuid:1"))
}

fn span() -> impl Strategy<Value = Duration> {
    (0..100_000_000_u64).prop_map(Duration::from_millis)
}

fn any_subscription() -> impl Strategy<Value = Subscription> {
    let name = "([!-~][ -~]{0,10}[!-~])?";
    let queries = proptest::collection::vec(("[!-~]{1,8}", "[!-~]([ -~]{0,8}[!-~])?"), 1..3);
    let flags = any::<[bool; 6]>();
    let numbers = (span(), span(), option::of(any::<u32>()), any::<u32>(), span(), any::<u32>());
    (name, queries, flags, numbers, option::of("[a-z]{2}"), option::of(span()), 0..3_u8).prop_map(
        |(name, queries, flags, numbers, locale, expires, oversize)| Subscription {
            name,
            query: QueryList::of(queries.iter().map(|(path, xpath)| (path.as_str(), xpath.as_str()))),
            content: if flags[0] { Content::RenderedText } else { Content::Raw },
            read_existing: flags[1],
            ignore_channel_error: flags[2],
            compressed: flags[3],
            cdata: flags[4],
            heartbeat: numbers.0,
            max_time: numbers.1,
            max_elements: numbers.2,
            max_envelope_bytes: numbers.3,
            oversize: [Oversize::CancelSubscription, Oversize::Skip, Oversize::Notify][usize::from(oversize)],
            retry: Retry { interval: numbers.4, total: numbers.5 },
            locale: locale.clone(),
            data_locale: locale,
            encoding: if flags[5] { Encoding::Utf8 } else { Encoding::Utf16 },
            expires,
        },
    )
}

proptest! {
    #[test]
    fn subscriptions_are_read_as_they_are_written(
        subscription in any_subscription(),
        policy in 0..4_u8,
        earliest in option::of(any::<bool>()),
    ) {
        let policies = [
            Policy::KerberosHttp,
            Policy::KerberosHttps,
            Policy::Open,
            Policy::Certificate { issuer: Thumbprint([0x6a; 20]) },
        ];
        let endpoint = Endpoint { address: "http://a&b/".into(), policy: policies[usize::from(policy)].clone() };
        let kept = Bookmark::kept("<BookmarkList/>");
        let bookmark = earliest.map(|earliest| if earliest { Bookmark::Earliest } else { kept });
        let offer = Offer { subscription: Cow::Owned(subscription), endpoint: Cow::Owned(endpoint), bookmark, ..offer() };
        let answer = response(vec![offer.clone(), offer]);
        let text = written(&answer);
        prop_assert_eq!(Answer::parse(&text), Ok(answer));
    }
}

#[test]
fn acks_faults_and_identities_are_read_as_they_are_written() {
    let id = Guid([9; 16]);
    for answer in [
        Answer::new(Reply::Ack, id, Some("uuid:1")),
        Answer::new(Reply::Fault(Refusal::DeliveryRefused.fault("col")), id, Some("uuid:1")),
        Answer::new(Reply::Fault(Refusal::InvalidBody("x").fault("col")), id, None),
        Answer::new(Reply::Identified(Identity::of("Forebay", "0.1")), id, None),
        response(Vec::new()),
    ] {
        assert_eq!(Answer::parse(&written(&answer)), Ok(answer));
    }
}

#[test]
fn a_policy_for_certificates_names_the_issuer() {
    let issuer = Thumbprint::parse("6a4720a83504b818c86bac099d3a4bede89945d9").unwrap();
    let endpoint = Endpoint { policy: Policy::Certificate { issuer }, ..offer().endpoint.into_owned() };
    let text = written(&response(vec![Offer { endpoint: Cow::Owned(endpoint), ..offer() }]));
    let policy = "<c:Policy xmlns:c=\"http://schemas.xmlsoap.org/ws/2002/12/policy\" \
        xmlns:auth=\"http://schemas.microsoft.com/wbem/wsman/1/authentication\"><c:ExactlyOne><c:All>\
        <auth:Authentication Profile=\"http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual\">\
        <auth:ClientCertificate><auth:Thumbprint Role=\"issuer\">6a4720a83504b818c86bac099d3a4bede89945d9\
        </auth:Thumbprint></auth:ClientCertificate></auth:Authentication></c:All></c:ExactlyOne></c:Policy>";
    assert!(text.contains(policy), "{text}");
}

#[test]
fn references_in_the_shape_of_other_collectors_come_back_verbatim() {
    let reference = |name: &'static str, text: &'static str| Reference {
        prefix: "".into(),
        namespace: "".into(),
        name: name.into(),
        text: text.into(),
    };
    let references =
        vec![Reference::identifier("1"), reference("Version", "uuid:2"), reference("Revision", "r")];
    let answer = response(vec![Offer { references, ..offer() }]);
    let text = written(&answer);
    assert!(text.contains("<Version>uuid:2</Version><Revision>r</Revision>"), "{text}");
    let other = text.replace("ReferenceProperties", "ReferenceParameters");
    assert_eq!(Answer::parse(&other), Ok(answer));
}

#[test]
fn an_escaped_filter_and_another_order_are_read() {
    let text = written(&response(vec![offer()]));
    let filter = "<QueryList><Query Id=\"0\"><Select Path=\"Security\">*[System[Level&lt;=3]]</Select></Query></QueryList>";
    assert!(text.contains(filter), "{text}");
    let escaped = filter.replace('&', "&amp;").replace('<', "&lt;");
    let other = text
        .replace(filter, &escaped)
        .replace("<w:SendBookmarks/>", "")
        .replace("<e:Subscribe>", "<e:Subscribe><w:SendBookmarks/>");
    assert_eq!(Answer::parse(&other), Ok(response(vec![offer()])));
}

#[test]
fn an_answer_that_lacks_what_matters_says_so() {
    let text = written(&response(vec![offer()]));
    let version = format!("<m:Version>uuid:{}</m:Version>", offer().version);
    for (from, to) in [
        (version.as_str(), ""),
        (version.as_str(), "<m:Version>1</m:Version>"),
        ("<w:Items>", "<w:Items><w:Other/>"),
        ("<a:Address>https://col:5986/wsman/subscriptions/1</a:Address>", ""),
        ("<QueryList>", "<QueryList/><QueryList>"),
        ("PT30.000S", "soon"),
        (action::ENUMERATE_RESPONSE, action::ACK),
        (action::ENUMERATE_RESPONSE, "urn:other"),
        ("<w:EndOfSequence/>", "<w:EndOfSequence>"),
    ] {
        assert!(text.contains(from), "{from}");
        let text = text.replace(from, to);
        let parsed = Answer::parse(&text);
        assert!(parsed.is_err(), "{from} -> {to}: {parsed:?}");
    }
}
