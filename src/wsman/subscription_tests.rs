//! The version stands for what a host must know, and for nothing else.

use super::*;
use crate::wsman::bookmark::Bookmark;

fn subscription() -> Subscription {
    Subscription {
        name: "logons".into(),
        query: QueryList::of([("Security", "*[System[EventID=4624]]")]),
        ..Subscription::default()
    }
}

fn endpoint() -> Endpoint {
    Endpoint {
        address: "https://col.example.org:5986/wsman/subscriptions/1".into(),
        policy: Policy::KerberosHttp,
    }
}

#[test]
fn the_version_is_the_same_everywhere_and_always() {
    let version = subscription().version(&endpoint());
    assert_eq!(version, subscription().version(&endpoint()));
    // Another value here makes every host of every installation subscribe anew, once.
    assert_eq!(version.to_string(), "B35B327F-3B29-8065-9ECA-3BDC08A999C3");
}

#[test]
fn whatever_a_host_can_see_changes_the_version() {
    let changes: [fn(&mut Subscription); 19] = [
        |s| s.name.push('2'),
        |s| s.query = QueryList::of([("Security", "*")]),
        |s| s.content = Content::Raw,
        |s| s.read_existing = true,
        |s| s.ignore_channel_error = false,
        |s| s.compressed = false,
        |s| s.cdata = false,
        |s| s.heartbeat += Duration::from_millis(1),
        |s| s.max_time += Duration::from_millis(1),
        |s| s.max_elements = Some(50),
        |s| s.max_envelope_bytes += 1,
        |s| s.oversize = Oversize::Skip,
        |s| s.retry.total += 1,
        |s| s.retry.interval += Duration::from_millis(1),
        |s| s.locale = None,
        |s| s.data_locale = Some("de-DE".into()),
        |s| s.encoding = Encoding::Utf8,
        |s| s.expires = Some(Duration::from_secs(1)),
        |s| s.oversize = Oversize::CancelSubscription,
    ];
    let mut seen = vec![subscription().version(&endpoint())];
    for change in changes {
        let mut changed = subscription();
        change(&mut changed);
        seen.push(changed.version(&endpoint()));
    }
    let mut moved = endpoint();
    moved.address.push('2');
    seen.push(subscription().version(&moved));
    for policy in [
        Policy::KerberosHttps,
        Policy::Open,
        Policy::Certificate { issuer: Thumbprint([1; 20]) },
        Policy::Certificate { issuer: Thumbprint([2; 20]) },
    ] {
        seen.push(subscription().version(&Endpoint { policy, ..endpoint() }));
    }
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), count, "two of them have one version");
}

#[test]
fn ids_and_the_bookmark_are_not_of_the_version() {
    let (subscription, endpoint) = (subscription(), endpoint());
    let offer = |bookmark, id| Offer {
        version: subscription.version(&endpoint),
        message_id: id,
        operation_id: id,
        references: Vec::new(),
        subscription: std::borrow::Cow::Borrowed(&subscription),
        endpoint: std::borrow::Cow::Borrowed(&endpoint),
        bookmark,
    };
    let one = offer(None, Guid([1; 16]));
    let other = offer(Some(Bookmark::Earliest), Guid([2; 16]));
    assert_eq!(one.version, other.version);
}

#[test]
fn a_delivery_path_names_its_subscription() {
    let id = Guid::from_bits([7; 16]);
    assert_eq!(delivery_path(id), format!("/wsman/subscriptions/{id}/1"));
    for path in
        [delivery_path(id), format!("/wsman/subscriptions/{id}"), format!("/WSMAN/Subscriptions/{id}/")]
    {
        assert_eq!(subscription_of(&path), Some(id), "{path}");
    }
    for path in ["", "/wsman", "/wsman/subscriptions/", "/wsman/subscriptions/x/1", "/wsman/subscriptionsé/1"]
    {
        assert_eq!(subscription_of(path), None, "{path}");
    }
    assert_eq!(subscription_of(&format!("/wsman/subscriptions/{id}/2")), None);
}

#[test]
fn a_thumbprint_is_read_as_people_paste_it() {
    let written = "6a4720a83504b818c86bac099d3a4bede89945d9";
    for text in [
        written.to_owned(),
        written.to_uppercase(),
        format!("\u{200e}{written}"),
        "6a 47 20 a8 35 04 b8 18 c8 6b ac 09 9d 3a 4b ed e8 99 45 d9".into(),
        "6A:47:20:A8:35:04:B8:18:C8:6B:AC:09:9D:3A:4B:ED:E8:99:45:D9".into(),
    ] {
        assert_eq!(
            Thumbprint::parse(&text).map(|print| print.to_string()).as_deref(),
            Some(written),
            "{text}"
        );
    }
    for text in ["", "6a47", "zz", &format!("{written}00"), &format!("{written}0")] {
        assert_eq!(Thumbprint::parse(text), None, "{text}");
    }
}
