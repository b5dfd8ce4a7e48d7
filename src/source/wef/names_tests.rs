//! Bookmarks of machines whose names alone do not say which they are.

use super::harness::{Harness, Machine, SYSTEM, bookmark, event};

const PC: &str = "pc1.example.org";
const ACCOUNT: &str = "ACCOUNTING-SERV$@EXAMPLE.ORG";
const FIRST: &str = "accounting-server-1.example.org";
const SECOND: &str = "accounting-server-2.example.org";

/// Delivers one event with its bookmark.
async fn deliver(harness: &Harness, machine: &Machine, record: u64) {
    let event = [event("System", record, &machine.machine_id)];
    let reply = machine.deliver(harness, SYSTEM, &event, Some(&bookmark("System", record))).await;
    assert_eq!(reply.status, 200);
}

/// A machine that has signed in under one name and calls itself by another.
fn called(name: &str, machine_id: &str) -> Machine {
    Machine { machine_id: machine_id.into(), ..Machine::new(name) }
}

#[tokio::test]
async fn machines_whose_names_begin_alike_have_bookmarks_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let harness = Harness::disk(folder.path());
    let (first, second) = (Machine::new(FIRST), Machine::new(SECOND));
    deliver(&harness, &first, 7).await;
    assert_eq!(second.bookmark(&harness, SYSTEM).await, None);
    deliver(&harness, &second, 5000).await;
    assert_eq!(first.bookmark(&harness, SYSTEM).await, Some(bookmark("System", 7)));
    let account = called(ACCOUNT, "ACCOUNTING-SERV");
    assert_eq!(account.bookmark(&harness, SYSTEM).await, None, "it may be either");
    deliver(&harness, &account, 9).await;
    assert_eq!(account.bookmark(&harness, SYSTEM).await, Some(bookmark("System", 9)));
    assert_eq!(first.bookmark(&harness, SYSTEM).await, Some(bookmark("System", 7)));
    assert_eq!(harness.findings(), [""; 0]);
}

#[tokio::test]
async fn a_machine_goes_on_from_its_bookmark_under_the_name_of_its_account_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let harness = Harness::disk(folder.path());
    deliver(&harness, &Machine::new(FIRST), 7).await;
    let account = called(ACCOUNT, FIRST);
    assert_eq!(account.bookmark(&harness, SYSTEM).await, Some(bookmark("System", 7)));
    deliver(&harness, &account, 8).await;
    assert_eq!(harness.collector.hosts.len(), 1);
    harness.collector.keep_now().await;
    harness.close().await;

    let again = Harness::disk(folder.path());
    assert_eq!(Machine::new(FIRST).bookmark(&again, SYSTEM).await, Some(bookmark("System", 8)));
    deliver(&again, &Machine::new(SECOND), 5000).await;
    let account = called(ACCOUNT, "");
    assert_eq!(account.bookmark(&again, SYSTEM).await, Some(bookmark("System", 8)), "it was that one");
}

#[tokio::test]
async fn a_machine_that_came_by_its_account_goes_on_under_its_whole_name() {
    let folder = tempfile::tempdir().unwrap();
    let harness = Harness::disk(folder.path());
    deliver(&harness, &called(ACCOUNT, FIRST), 7).await;
    assert_eq!(Machine::new(SECOND).bookmark(&harness, SYSTEM).await, None);
    assert_eq!(Machine::new(FIRST).bookmark(&harness, SYSTEM).await, Some(bookmark("System", 7)));
}

#[tokio::test]
async fn two_machines_of_one_name_are_told_once_and_neither_skips_what_it_has_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let harness = Harness::disk(folder.path());
    let (one, mut two) = (Machine::new(PC), Machine::new(PC));
    two.peer.address = "192.0.2.8".parse().unwrap();
    // The record id of an event is also its second.
    for record in [1, 3, 5, 7] {
        deliver(&harness, &one, record).await;
        deliver(&harness, &two, 601 + record).await;
    }
    let found = harness.findings();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        ["192.0.2.7", "192.0.2.8", "two machines"].iter().all(|part| found[0].contains(part)),
        "{found:?}"
    );
    harness.close().await;

    let mut again = Harness::disk(folder.path());
    assert_eq!(one.bookmark(&again, SYSTEM).await, Some(bookmark("System", 7)));
    assert_eq!(two.bookmark(&again, SYSTEM).await, Some(bookmark("System", 608)));
    two.peer.address = "192.0.2.9".parse().unwrap();
    assert!(two.enumerate(&again).await.contains("bookmark/earliest"), "whose it was is not known");
    let mut events = 0;
    while events < 8 {
        events += again.next().await.len();
    }
    assert_eq!(again.collector.basin.bookmarks("dc/pc1.example.org@").len(), 2);
}
