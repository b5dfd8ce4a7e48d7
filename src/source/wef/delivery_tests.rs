//! Deliveries: once, in order, in time, and with what is wrong about them beside them.

use super::super::Trust;
use super::super::harness::{Harness, LOGONS, Machine, SYSTEM, bookmark, event, text_of};
use super::*;
use crate::wsman::ns::action;
use crate::wsman::request::Message as Soap;
use crate::wsman::subscription::delivery_path;
use bytes::Bytes;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const PC: &str = "pc1.example.org";

fn events(records: std::ops::RangeInclusive<u64>) -> Vec<String> {
    records.map(|record| event("System", record, PC)).collect()
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn host(harness: &Harness) -> Host {
    harness.collector.hosts.heard(PC, Timestamp(0), |host| host.clone()).unwrap()
}

#[tokio::test]
async fn what_was_kept_before_is_acknowledged_and_not_kept_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = Harness::disk(folder.path());
    let pc = Machine::new(PC);
    let (sent, at) = (events(1..=3), bookmark("System", 3));
    for _ in 0..2 {
        assert_eq!(pc.deliver(&harness, SYSTEM, &sent, Some(&at)).await.status, 200);
    }
    assert_eq!((host(&harness).deliveries, host(&harness).resent), (1, 1));
    // The same bookmark with other events is another delivery.
    assert_eq!(pc.deliver(&harness, SYSTEM, &events(2..=3), Some(&at)).await.status, 200);
    assert_eq!(harness.next().await.len(), 3);
    assert_eq!(harness.next().await.len(), 2);
    harness.close().await;

    let mut again = Harness::disk(folder.path());
    assert_eq!(pc.deliver(&again, SYSTEM, &events(2..=3), Some(&at)).await.status, 200);
    assert_eq!(pc.deliver(&again, SYSTEM, &events(4..=4), Some(&bookmark("System", 4))).await.status, 200);
    assert_eq!(again.next().await, events(4..=4), "its answer was lost over the restart, not the delivery");
}

#[tokio::test]
async fn a_newer_delivery_takes_the_place_of_an_older_one() {
    let harness = Harness::memory();
    let pc = Machine::new(PC);
    {
        let (first, second) = (events(1..=1), events(1..=2));
        let (at_first, at_second) = (bookmark("System", 1), bookmark("System", 2));
        let mut older = pin!(pc.deliver(&harness, SYSTEM, &first, Some(&at_first)));
        assert!(poll(older.as_mut()).is_pending());
        let mut newer = pin!(pc.deliver(&harness, SYSTEM, &second, Some(&at_second)));
        assert!(poll(newer.as_mut()).is_pending());
        let Poll::Ready(reply) = poll(older.as_mut()) else { panic!("the older one still waits") };
        assert_eq!(reply.status, 503);
        // Other subscriptions of the host are streams of their own.
        let other = [event("Security", 9, PC)];
        let mut other = pin!(pc.deliver(&harness, LOGONS, &other, None));
        assert!(poll(other.as_mut()).is_pending() && poll(newer.as_mut()).is_pending());
        let mut reader = harness.collector.basin.reader("all").unwrap();
        // A memory basin cannot take back what an output may have seen.
        for expected in [1, 1, 2] {
            let delivery = reader.next().await.unwrap();
            assert_eq!(delivery.batch.events.len(), expected);
            reader.cursor().confirm(delivery.position, Bytes::new());
        }
        assert_eq!((newer.await.status, other.await.status), (200, 200));
    }
    assert_eq!(pc.bookmark(&harness, SYSTEM).await, Some(bookmark("System", 2)));
    assert_eq!(host(&harness).refused, 1);
    assert_eq!(harness.collector.pending.len(), 0);
}

#[tokio::test]
async fn a_connection_that_closes_withdraws_its_delivery() {
    let harness = Harness::memory();
    let pc = Machine::new(PC);
    let sent = events(1..=1);
    {
        let mut delivering = pin!(pc.deliver(&harness, SYSTEM, &sent, None));
        assert!(poll(delivering.as_mut()).is_pending());
        assert_eq!(harness.collector.pending.len(), 1);
    }
    assert_eq!(harness.collector.pending.len(), 0);
}

#[tokio::test]
async fn a_host_is_told_to_come_again_before_it_stops_waiting() {
    let mut harness = Harness::memory();
    harness.collector.limits.hold_max = Duration::from_millis(20);
    let pc = Machine::new(PC);
    let reply = pc.deliver(&harness, SYSTEM, &events(1..=1), Some(&bookmark("System", 1))).await;
    assert_eq!(reply, BUSY);
    assert_eq!(host(&harness).refused, 1);
    assert_eq!(pc.bookmark(&harness, SYSTEM).await, None);
    let arrived = tokio::time::Instant::now();
    harness.collector.limits.hold_max = Duration::from_secs(50);
    let until = |timeout| harness.collector.deadline(arrived, timeout) - arrived;
    let seconds = Duration::from_secs;
    assert_eq!(
        [until(None), until(Some(seconds(60))), until(Some(seconds(30))), until(Some(seconds(600)))],
        [seconds(50), seconds(50), seconds(25), seconds(50)],
    );
}

#[tokio::test]
async fn a_basin_that_is_closed_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let harness = Harness::disk(folder.path());
    harness.collector.basin.finish();
    let pc = Machine::new(PC);
    assert_eq!(pc.deliver(&harness, SYSTEM, &events(1..=1), None).await, BUSY);
}

#[tokio::test]
async fn a_host_that_begins_anew_is_noted_and_its_event_111_goes_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = Harness::disk(folder.path());
    let pc = Machine::new(PC);
    let started = [include_str!("../../wsman/testdata/messages/events-started.xml")
        .split_once("<![CDATA[")
        .and_then(|(_, rest)| rest.split_once("]]>"))
        .unwrap()
        .0
        .to_owned()];
    let backward =
        "<BookmarkList Direction=\"backward\"><Bookmark Channel=\"System\" RecordId=\"3\"/></BookmarkList>";
    assert_eq!(pc.deliver(&harness, SYSTEM, &started, Some(backward)).await.status, 200);
    assert_eq!(harness.next().await, [""; 0]);
    assert_eq!((host(&harness).started, host(&harness).events), (1, 0));
    assert_eq!(harness.findings(), [""; 0], "it had no bookmark: that is how it begins");
    // Given back as it came, and then not used.
    assert_eq!(pc.bookmark(&harness, SYSTEM).await.as_deref(), Some(backward));
    assert_eq!(pc.deliver(&harness, SYSTEM, &started, Some(&bookmark("System", 9))).await.status, 200);
    assert!(harness.findings()[0].contains("although it had just been given its bookmark"));
    // Used, and later begun anew for whatever reason of its own.
    pc.bookmark(&harness, SYSTEM).await;
    pc.deliver(&harness, SYSTEM, &events(10..=10), Some(&bookmark("System", 10))).await;
    pc.deliver(&harness, SYSTEM, &started, Some(&bookmark("System", 11))).await;
    assert_eq!(harness.findings().len(), 1);
}

#[tokio::test]
async fn a_bookmark_that_could_not_be_given_back_leaves_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = Harness::disk(folder.path());
    let pc = Machine::new(PC);
    pc.deliver(&harness, SYSTEM, &events(1..=1), Some(&bookmark("System", 1))).await;
    let body = pc.events_with(&events(2..=2), "<w:Bookmark><x:a xmlns:x='u'/></w:Bookmark>");
    assert_eq!(pc.post(&harness, &delivery_path(SYSTEM), body).await.status, 200);
    let body = pc.events_with(&events(3..=3), "<w:Bookmark><w:Prefixed/></w:Bookmark>");
    assert_eq!(pc.post(&harness, &delivery_path(SYSTEM), body).await.status, 200);
    for record in 1..=3 {
        assert_eq!(harness.next().await, events(record..=record));
    }
    assert_eq!(pc.bookmark(&harness, SYSTEM).await.as_deref(), Some("<x:a xmlns:x='u'/>"));
    assert_eq!(harness.findings().len(), 1);
    assert!(harness.findings()[0].contains("could not be given back"), "{:?}", harness.findings());
}

#[tokio::test]
async fn a_stored_bookmark_of_no_known_form_is_told_and_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let harness = Harness::disk(folder.path());
    let bookmark = crate::event::Bookmark {
        key: format!("dc/{PC}/{SYSTEM}").into(),
        value: Bytes::from_static(b"\x09whatever"),
    };
    let mut origin = batch::origin("dc", None);
    origin.host = Some(PC.into());
    let batch = EventBatch {
        text: Bytes::new(),
        events: Vec::new(),
        origin: Arc::new(origin),
        bookmark: Some(bookmark),
        notes: Vec::new(),
    };
    assert_eq!(harness.collector.basin.append(batch).await, Outcome::Kept);
    assert_eq!(Machine::new(PC).bookmark(&harness, SYSTEM).await, None);
    assert!(harness.findings()[0].contains("cannot be given back"), "{:?}", harness.findings());
}

/// Notes of each event of the next batch.
async fn notes(harness: &mut Harness) -> Vec<(u32, NoteKind, String)> {
    let delivery = harness.reader.next().await.unwrap();
    let of = |note: &Note| (note.event, note.kind, note.detail.to_string());
    delivery.batch.notes.iter().map(of).collect()
}

#[tokio::test]
async fn events_of_another_computer_are_marked_or_diverted_and_never_refused() {
    let mine = event("System", 1, "PC1");
    let others = event("System", 2, "dc1.example.org");
    let sent = [mine, others];
    for (trust, expected) in [
        (Trust::Tag, vec![(1, NoteKind::Foreign, "dc1.example.org".to_owned())]),
        (Trust::Strict, vec![(1, NoteKind::Distrusted, "dc1.example.org".to_owned())]),
        (Trust::Relay, vec![]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut harness = Harness::disk_with(folder.path(), trust);
        let pc = Machine::new(PC);
        assert_eq!(pc.deliver(&harness, SYSTEM, &sent, None).await.status, 200);
        assert_eq!(notes(&mut harness).await, expected, "{trust:?}");
        let found = harness.findings();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        assert!(found.iter().all(|finding| finding.contains(PC) && finding.contains("`dc1.example.org`")));
    }
}

#[tokio::test]
async fn a_machine_id_that_is_not_the_senders_marks_each_event() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = Harness::disk(folder.path());
    let mut pc = Machine::new(PC);
    pc.machine_id = "dc1.example.org".into();
    let sent = [event("System", 1, PC), event("System", 2, "dc2"), event("System", 3, PC)];
    assert_eq!(pc.deliver(&harness, SYSTEM, &sent, None).await.status, 200);
    let foreign = |event, name: &str| (event, NoteKind::Foreign, name.to_owned());
    assert_eq!(
        notes(&mut harness).await,
        [foreign(0, "dc1.example.org"), foreign(1, "dc2"), foreign(2, "dc1.example.org")]
    );
}

#[tokio::test]
async fn a_name_cannot_be_forged_by_how_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = Harness::disk(folder.path());
    let forged = |computer: &str| event("System", 1, computer);
    let sent = [
        forged("PC1&#46;example.org"),
        forged("dc1<!-- <Computer>pc1.example.org</Computer> -->"),
        forged("<![CDATA[dc1]]>"),
    ];
    assert_eq!(Machine::new(PC).deliver(&harness, SYSTEM, &sent, None).await.status, 200);
    let marked: Vec<u32> = notes(&mut harness).await.into_iter().map(|(event, _, _)| event).collect();
    assert_eq!(marked, [1, 2]);
}

#[tokio::test]
async fn lone_surrogates_are_noted_with_their_event() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = Harness::disk(folder.path());
    let mut pc = Machine::new(PC);
    pc.is_sldc = false;
    let body =
        pc.events(&[event("System", 1, PC), event("System", 2, PC).replace("'a'", "'\u{2603}'")], None);
    let mut body = body.to_vec();
    let at = body.windows(2).position(|unit| unit == [0x03, 0x26]).unwrap();
    body[at..at + 2].copy_from_slice(&[0x00, 0xd8]);
    assert_eq!(pc.post(&harness, &delivery_path(SYSTEM), body.into()).await.status, 200);
    let notes = notes(&mut harness).await;
    assert_eq!(notes.len(), 1);
    assert_eq!((notes[0].0, notes[0].1), (1, NoteKind::Surrogates));
}

#[tokio::test]
async fn what_a_host_leaves_out_and_why_it_gives_up_is_noted() {
    let harness = Harness::memory();
    let pc = Machine::new(PC);
    let path = delivery_path(SYSTEM);
    pc.send(&harness, &path, action::DROPPED_EVENTS, Soap::DroppedEvents(3)).await;
    let end = |number| {
        Soap::SubscriptionEnd(crate::wsman::SubscriptionEnd {
            status: Some("http://schemas.xmlsoap.org/ws/2004/08/eventing/SourceCancelling".into()),
            fault: Some(crate::wsman::WsmanFault::new(number, "pc1", "it failed")),
            manager: None,
        })
    };
    pc.send(&harness, &path, action::SUBSCRIPTION_END, end(1717)).await;
    assert_eq!(host(&harness).subscriptions[0].ended.as_deref(), Some("SourceCancelling, 1717: it failed"));
    assert_eq!(harness.findings().len(), 1, "a shutdown is no trouble: {:?}", harness.findings());
    pc.send(&harness, &path, action::SUBSCRIPTION_END, end(15007)).await;
    let known = host(&harness);
    assert_eq!(known.dropped, 3);
    assert_eq!(known.subscriptions[0].ended.as_deref(), Some("SourceCancelling, 15007: it failed"));
    assert_eq!(harness.findings().len(), 2, "{:?}", harness.findings());
    pc.send(&harness, &path, action::HEARTBEAT, Soap::Heartbeat).await;
    assert_eq!(host(&harness).subscriptions[0].ended, None, "it is back");
}

#[tokio::test]
async fn the_table_follows_events_lag_and_versions() {
    let folder = tempfile::tempdir().unwrap();
    let harness = Harness::disk(folder.path());
    let pc = Machine::new(PC);
    pc.enumerate(&harness).await;
    pc.deliver(&harness, SYSTEM, &events(1..=3), None).await;
    pc.deliver(&harness, SYSTEM, &events(6..=7), None).await;
    pc.deliver(&harness, LOGONS, &[event("Security", 4, PC), event("Security", 9, PC)], None).await;
    let known = host(&harness);
    assert_eq!((known.deliveries, known.events, &*known.name), (3, 7, PC));
    assert!(known.lag_millis > 1_000_000, "its events are of January 2026");
    assert_eq!(known.last_event, Timestamp::parse(b"2026-01-02T03:04:09.6789012Z").unwrap());
    let of = |id| known.subscriptions.iter().find(|one| one.id == Some(id)).unwrap();
    let (system, logons) = (&of(SYSTEM).channels[0], &of(LOGONS).channels[0]);
    assert_eq!((system.record, system.gaps, system.missing), (7, Some(1), Some(2)));
    assert_eq!((logons.record, logons.gaps), (9, None), "its query leaves events out");
    assert_eq!(of(SYSTEM).version, Some(Guid([5; 16])), "as the host says");
    assert!(of(SYSTEM).offered.is_some_and(|offered| offered != Guid([5; 16])));
    assert_eq!(of(SYSTEM).heartbeat_seconds, 3600);
}

#[tokio::test]
async fn subscriptions_that_do_not_fit_are_a_fault_with_a_finding() {
    let harness = Harness::memory();
    let mut pc = Machine::new(PC);
    pc.envelope_bytes_max = 8192;
    pc.is_sldc = false;
    let reply = pc.ask(&harness).await;
    assert_eq!(reply.status, 500);
    assert!(text_of(&reply).contains("EncodingLimit"));
    assert!(harness.findings()[0].contains("cannot be given its subscriptions"));
}

#[tokio::test]
async fn a_delivery_of_nothing_is_acknowledged() {
    let harness = Harness::memory();
    let pc = Machine::new(PC);
    assert_eq!(pc.deliver(&harness, SYSTEM, &[], None).await.status, 200);
}
