//! Sessions over a memory and a disk basin, without sockets.

use super::super::harness::{Harness, LOGONS, Machine, SYSTEM, bookmark, event, text_of};
use crate::wsman::ns::action;
use crate::wsman::request::Message as Soap;
use crate::wsman::subscription::delivery_path;
use crate::wsman::{Answer, Guid, Reply, SubscriptionEnd};
use std::task::{Context, Poll, Waker};

fn events(channel: &str, records: std::ops::RangeInclusive<u64>) -> Vec<String> {
    records.map(|record| event(channel, record, "pc1.example.org")).collect()
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn a_delivery_is_acknowledged_when_the_disk_has_it_and_its_bookmark_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = Harness::disk(folder.path());
    let pc = Machine::new("pc1.example.org");
    assert_eq!(pc.bookmark(&harness, SYSTEM).await, None);
    let (sent, at) = (events("System", 1..=3), bookmark("System", 3));
    let reply = pc.deliver(&harness, SYSTEM, &sent, Some(&at)).await;
    assert_eq!(reply.status, 200);
    let text = text_of(&reply);
    let ack = Answer::parse(&text).unwrap();
    assert_eq!(ack.reply, Reply::Ack);
    assert_eq!(ack.header.relates_to.as_deref(), Some("uuid:02020202-0202-8202-8202-020202020202"));
    assert_eq!(harness.next().await, sent);
    assert_eq!(pc.bookmark(&harness, SYSTEM).await.as_ref(), Some(&at));
    assert_eq!(pc.bookmark(&harness, LOGONS).await, None, "each subscription has its own");
    harness.close().await;

    let again = Harness::disk(folder.path());
    assert_eq!(pc.bookmark(&again, SYSTEM).await, Some(at));
    assert_eq!(Machine::new("pc2.example.org").bookmark(&again, SYSTEM).await, None, "each machine too");
}

#[tokio::test]
async fn over_a_memory_basin_the_answer_waits_for_the_output() {
    let mut harness = Harness::memory();
    let pc = Machine::new("pc1.example.org");
    let sent = events("System", 1..=2);
    let mut reader = harness.collector.basin.reader("all").unwrap();
    {
        let mut delivering = std::pin::pin!(pc.deliver(&harness, SYSTEM, &sent, None));
        assert!(poll(delivering.as_mut()).is_pending());
        let delivery = reader.next().await.unwrap();
        assert!(poll(delivering.as_mut()).is_pending());
        reader.cursor().confirm(delivery.position, bytes::Bytes::new());
        assert_eq!(delivering.await.status, 200);
    }
    assert!(poll(std::pin::pin!(harness.next())).is_pending());
}

#[tokio::test]
async fn heartbeats_and_ends_are_answered_at_once() {
    let harness = Harness::memory();
    let pc = Machine::new("pc1.example.org");
    let path = delivery_path(SYSTEM);
    let end =
        SubscriptionEnd { status: Some("…/eventing/SourceShuttingDown".into()), ..Default::default() };
    for (action, message, status) in [
        (action::HEARTBEAT, Soap::Heartbeat, 200),
        (action::DROPPED_EVENTS, Soap::DroppedEvents(3), 200),
        (action::SUBSCRIPTION_END, Soap::SubscriptionEnd(end), 200),
        (action::END, Soap::FullDuplex, 204),
    ] {
        let mut sending = std::pin::pin!(pc.send(&harness, &path, action, message));
        let Poll::Ready(reply) = poll(sending.as_mut()) else { panic!("{action} waits") };
        assert_eq!(reply.status, status, "{action}");
    }
}

#[tokio::test]
async fn who_has_not_signed_in_may_only_ask_who_we_are() {
    let harness = Harness::memory();
    let mut pc = Machine::new("pc1.example.org");
    pc.peer.principal = None;
    pc.is_sldc = false;
    let identify = pc.body(Default::default(), Soap::Identify);
    let reply = pc.post(&harness, "/wsman", identify).await;
    assert_eq!(reply.status, 200);
    assert!(text_of(&reply).contains("Forebay"));
    let reply = pc.deliver(&harness, SYSTEM, &events("System", 1..=1), None).await;
    assert_eq!(reply.status, 500);
    assert!(text_of(&reply).contains("AccessDenied"));
}

#[tokio::test]
async fn what_belongs_to_no_subscription_is_refused() {
    let harness = Harness::memory();
    let pc = Machine::new("pc1.example.org");
    let sent = events("System", 1..=1);
    let reply = pc.deliver(&harness, Guid([9; 16]), &sent, None).await;
    let text = text_of(&reply);
    let Reply::Fault(fault) = Answer::parse(&text).unwrap().reply else { panic!("{text}") };
    assert!(fault.is_delivery_refused(), "it gives the subscription up: {text}");
    let reply = pc.post(&harness, "/elsewhere", pc.events(&sent, None)).await;
    assert_eq!((reply.status, reply.body), (404, None));
    assert_eq!(harness.findings().len(), 1, "{:?}", harness.findings());
}

#[tokio::test]
async fn what_says_that_it_is_compressed_is_told_apart() {
    let harness = Harness::memory();
    let pc = Machine::new("pc1.example.org");
    let path = delivery_path(SYSTEM);
    let beat = pc.events(&[], None);
    let claims = |body: &[u8], bytes: u32| {
        let mut body = body.to_vec();
        let end = body.len() - 4;
        body[end..].copy_from_slice(&bytes.to_le_bytes());
        bytes::Bytes::from(body)
    };
    let plain = Machine { is_sldc: false, ..Machine::new("pc1.example.org") };
    let end = plain.events(&[], None);
    for (body, status) in [
        (beat.clone(), 200),
        (claims(&beat, 10), 200),
        // It would be too long, if that were true.
        (claims(&beat, u32::MAX), 413),
        (claims(&[0x2a; 4096], u32::MAX), 400),
        (end, 200),
        (vec![1, 2, 3].into(), 400),
    ] {
        let reply = pc.post(&harness, &path, body.clone()).await;
        assert_eq!(reply.status, status, "{:02x?}", &body[body.len() - 4.min(body.len())..]);
    }
}
