//! The crash matrix: what can go wrong around an output, against each kind of receiver.

use super::receivers::{Archive, Azure, Elastic, Files, Hec, Otel, Relp};
use super::scene::{Receiver, Scene};
use super::sockets::Kept;
use crate::support::dice::{Dice, number};
use crate::support::link::Link;
use crate::support::small_disk::SmallDisk;
use std::path::Path;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// kill -9 of the collector, again and again.
    Ours,
    /// Of the receiver.
    Theirs,
    Both,
    /// Packets vanish.
    Cut,
    /// Of the collector.
    FullDisk,
    /// The receiver stops to answer and keeps its connections.
    Hung,
}

pub(crate) const ALL: [Fault; 6] =
    [Fault::Ours, Fault::Theirs, Fault::Both, Fault::Cut, Fault::FullDisk, Fault::Hung];

/// What a receiver may do to events that were sent twice.
#[derive(PartialEq)]
pub(crate) enum Twice {
    /// It has them twice.
    Kept,
    /// It tells them by their id.
    Removed,
}

/// One receiver against these faults. `open` starts it in a folder and a place, or says SKIP.
pub(crate) fn against(
    test: &str,
    faults: &[Fault],
    twice: Twice,
    open: impl for<'a> Fn(&Around<'a>) -> Option<Box<dyn Receiver + 'a>> + Sync,
) {
    for fault in faults {
        let folder = tempfile::tempdir().unwrap();
        Link::within(test, folder.path(), |link| {
            let disk = (*fault == Fault::FullDisk).then(|| SmallDisk::mount(folder.path(), 96).unwrap());
            let around = Around { folder: folder.path(), link, fault: *fault, disk: disk.as_ref() };
            let Some(mut receiver) = open(&around) else { return };
            let verdict = case(test, &around, &mut *receiver);
            let lost_max = receiver.lost_max();
            println!("{test}, {fault:?}: at most {lost_max} may be lost: {verdict}");
            let nothing: serde_json::Value = 0.into();
            assert!(verdict["acknowledged"].as_u64() > Some(500), "{fault:?}: {verdict}");
            assert!(verdict["lost"].as_u64().unwrap() <= lost_max, "{fault:?}: {lost_max}: {verdict}");
            assert_eq!(verdict["altered"], nothing, "{fault:?}: {verdict}");
            assert_eq!(verdict["unreadable"], nothing, "{fault:?}: {verdict}");
            if twice == Twice::Removed {
                assert_eq!(verdict["duplicated"], nothing, "{fault:?}: {verdict}");
            }
        });
    }
}

/// Where a case happens.
pub(crate) struct Around<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) link: &'a Link,
    pub(crate) fault: Fault,
    /// For what the collector writes, where that may fill up.
    disk: Option<&'a SmallDisk>,
}

impl Around<'_> {
    /// Where the collector writes.
    fn place(&self) -> &Path {
        self.disk.map_or(self.folder, SmallDisk::path)
    }
}

fn case(test: &str, around: &Around<'_>, receiver: &mut (dyn Receiver + '_)) -> serde_json::Value {
    let mut dice = Dice::new(test);
    let cell = number("FOREBAY_CELL", 1200);
    let moment = |dice: &mut Dice| std::thread::sleep(Duration::from_millis(cell / 2) + dice.millis(0..cell));
    let mut scene = Scene::begin(around.folder, around.place(), receiver);
    moment(&mut dice);
    match around.fault {
        Fault::Ours => {
            for _ in 0..3 {
                scene.kill();
                scene.run();
                moment(&mut dice);
            }
        }
        Fault::Theirs => {
            receiver.kill();
            moment(&mut dice);
            receiver.restart();
        }
        Fault::Both => {
            receiver.kill();
            scene.kill();
            scene.run();
            moment(&mut dice);
            receiver.restart();
        }
        Fault::Cut => {
            around.link.cut();
            moment(&mut dice);
            moment(&mut dice);
            around.link.mend();
        }
        Fault::FullDisk => {
            let disk = around.disk.unwrap();
            disk.fill();
            moment(&mut dice);
            disk.free();
        }
        Fault::Hung => {
            receiver.freeze();
            // Longer than what the outputs wait for an answer here.
            moment(&mut dice);
            moment(&mut dice);
            receiver.thaw();
        }
    }
    moment(&mut dice);
    scene.end(receiver)
}

#[test]
fn nothing_acknowledged_is_lost_between_here_and_a_file() {
    const TEST: &str = "nothing_acknowledged_is_lost_between_here_and_a_file";
    against(TEST, &[Fault::Ours, Fault::FullDisk], Twice::Removed, |around| {
        Some(Box::new(Files(around.place().to_owned())))
    });
}

#[test]
fn nothing_acknowledged_is_lost_between_here_and_a_receiver_of_relp() {
    const TEST: &str = "nothing_acknowledged_is_lost_between_here_and_a_receiver_of_relp";
    against(TEST, &ALL, Twice::Kept, |around| {
        Some(Box::new(Relp::start(TEST, around.folder, around.link.place())?))
    });
}

#[test]
fn nothing_acknowledged_is_lost_between_here_and_a_search_engine_which_has_it_once() {
    const TEST: &str = "nothing_acknowledged_is_lost_between_here_and_a_search_engine_which_has_it_once";
    against(TEST, &ALL, Twice::Removed, |around| {
        Some(Box::new(Elastic::start(TEST, around.folder, around.link)?))
    });
}

#[test]
fn nothing_acknowledged_is_lost_between_here_and_splunk() {
    const TEST: &str = "nothing_acknowledged_is_lost_between_here_and_splunk";
    against(TEST, &ALL, Twice::Kept, |around| Some(Box::new(Hec::start(around.folder, around.link))));
}

#[test]
fn nothing_acknowledged_is_lost_between_here_and_a_receiver_of_otlp() {
    const TEST: &str = "nothing_acknowledged_is_lost_between_here_and_a_receiver_of_otlp";
    against(TEST, &ALL, Twice::Kept, |around| Some(Box::new(Otel::start(TEST, around.folder, around.link)?)));
}

#[test]
fn nothing_acknowledged_is_lost_between_here_and_sentinel() {
    const TEST: &str = "nothing_acknowledged_is_lost_between_here_and_sentinel";
    against(TEST, &ALL, Twice::Kept, |around| Some(Box::new(Azure::start(around.folder, around.link))));
}

/// What needs no network.
const LOCAL: [Fault; 5] = [Fault::Ours, Fault::Theirs, Fault::Both, Fault::FullDisk, Fault::Hung];

#[test]
fn nothing_acknowledged_is_lost_between_here_and_a_unix_socket_whoever_dies() {
    const TEST: &str = "nothing_acknowledged_is_lost_between_here_and_a_unix_socket_whoever_dies";
    against(TEST, &LOCAL, Twice::Kept, |around| Some(Box::new(Kept::stream(around.folder, around.link))));
}

#[test]
fn nothing_acknowledged_is_lost_between_here_and_a_socket_of_datagrams_whoever_dies() {
    const TEST: &str = "nothing_acknowledged_is_lost_between_here_and_a_socket_of_datagrams_whoever_dies";
    against(TEST, &LOCAL, Twice::Kept, |around| Some(Box::new(Kept::datagrams(around.folder, around.link))));
}

#[test]
fn over_tcp_no_more_is_lost_than_a_dying_receiver_had_not_read() {
    const TEST: &str = "over_tcp_no_more_is_lost_than_a_dying_receiver_had_not_read";
    against(TEST, &ALL, Twice::Kept, |around| Some(Box::new(Kept::tcp(around.folder, around.link))));
}

#[test]
fn nothing_acknowledged_is_lost_between_here_and_an_archive_in_s3_which_has_it_once() {
    const TEST: &str = "nothing_acknowledged_is_lost_between_here_and_an_archive_in_s3_which_has_it_once";
    against(TEST, &ALL, Twice::Removed, |around| {
        Some(Box::new(Archive::start(TEST, around.folder, around.link)?))
    });
}
