//! An `Ack` means kept: through kill -9 under load, a disk that is full for a while, an output that hangs;
//! and bookmarks outlive the segments that they came in.
//!
//! How long the kills go on is said by the environment: `FOREBAY_KILLS` in number, at most `FOREBAY_PAUSE`
//! milliseconds apart, with `FOREBAY_HOSTS` hosts, 50 at most.

use super::{LOGONS, PLAIN, Site, WEC, batch, events_of, findings, only};
use crate::support::dice::{Dice, number};
use crate::support::host::{Host, bookmark};
use crate::support::process::{Process, eventually, free_port, http_get, told};
use crate::support::small_disk::SmallDisk;
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What hosts know to be safe: the last record that was acknowledged to each.
#[derive(Default)]
struct Ledger {
    acked: Mutex<BTreeMap<String, u64>>,
    /// Deliveries that were answered otherwise: the host is to come again.
    refused: AtomicUsize,
}

impl Ledger {
    fn acked(&self, host: &str) -> u64 {
        self.acked.lock().unwrap().get(host).copied().unwrap_or_default()
    }

    /// Whether there is all that was acknowledged; how many there are twice.
    #[track_caller]
    fn is_in(&self, events: &[(String, u64)]) -> usize {
        let mut written: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for (host, record) in events {
            written.entry(host).or_default().push(*record);
        }
        let mut repeated = 0;
        for (host, last) in &*self.acked.lock().unwrap() {
            let of_host = written.get_mut(&**host).unwrap_or_else(|| panic!("{host} lacks all"));
            let all = of_host.len();
            of_host.sort_unstable();
            of_host.dedup();
            repeated += all - of_host.len();
            let begins = of_host.iter().copied().take(*last as usize);
            assert!(begins.eq(1..=*last), "{host} lacks some of 1 to {last}");
        }
        repeated
    }
}

/// As Windows: asks, goes on from the bookmark it is given, sends a batch again until it is acknowledged.
fn push(mut host: Host, ledger: &Ledger, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        // The collector is away, or gone in the middle of it: what has no answer is sent again.
        let _ = session(&mut host, ledger, stop);
        host.hang_up();
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn session(host: &mut Host, ledger: &Ledger, stop: &AtomicBool) -> std::io::Result<()> {
    let to = only(host.ask(WEC)?);
    let acked = ledger.acked(&host.name);
    let given = to.bookmark.as_deref().map_or(0, record_of);
    assert!(given >= acked, "{}: told to go on at {given}, and {acked} was acknowledged", host.name);
    let mut next = given + 1;
    while !stop.load(Ordering::Relaxed) {
        let last = next + 4;
        let events = batch(host, next..=last);
        if host.deliver(&to, &events, &bookmark("Security", last))?.is_ack() {
            ledger.acked.lock().unwrap().insert(host.name.clone(), last);
            next = last + 1;
        } else {
            ledger.refused.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

fn record_of(bookmark: &str) -> u64 {
    bookmark.split("RecordId=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
}

/// Hosts push while `meanwhile` runs; then everything that was acknowledged is in the file.
fn under_load(site: &Site, meanwhile: impl FnOnce(&Ledger) -> Process) -> Ledger {
    let (ledger, stop, hosts) = (Ledger::default(), AtomicBool::new(false), number("FOREBAY_HOSTS", 12));
    let running = std::thread::scope(|scope| {
        for number in 0..hosts {
            let mut host = site.host(&format!("h{number}.example.org"));
            host.address = [127, 0, 2, number as u8].into();
            let (ledger, stop) = (&ledger, &stop);
            scope.spawn(move || push(host, ledger, stop));
        }
        // Also where a test fails, which would wait for its hosts otherwise.
        let _stops = Stops(&stop);
        meanwhile(&ledger)
    });
    running.stop();
    assert_eq!(running.code(), Some(0), "{}", told(site.path()));
    assert_eq!(ledger.acked.lock().unwrap().len(), hosts as usize, "every host got something through");
    let events = site.events();
    let repeated = ledger.is_in(&events);
    println!(
        "{} events in the file, {repeated} of them twice; {} deliveries were to come again",
        events.len(),
        ledger.refused.load(Ordering::Relaxed)
    );
    ledger
}

/// Ends the hosts when it is dropped.
struct Stops<'s>(&'s AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Kills of a test.
fn rounds(usual: u64) -> u64 {
    number("FOREBAY_KILLS", usual)
}

/// A moment between two kills.
fn moment(dice: &mut Dice) -> Duration {
    dice.millis(50..number("FOREBAY_PAUSE", 700))
}

#[test]
fn nothing_acknowledged_is_lost_when_the_collector_is_killed_under_load() {
    let site = Site::new(LOGONS, "");
    let mut dice = Dice::new("killed under load");
    under_load(&site, |_| {
        for _ in 0..rounds(8) {
            let running = site.run();
            std::thread::sleep(moment(&mut dice));
            running.kill();
        }
        let running = site.run();
        std::thread::sleep(Duration::from_millis(500));
        running
    });
}

#[test]
fn nothing_acknowledged_is_lost_when_it_is_killed_while_the_disk_is_full() {
    const TEST: &str = "nothing_acknowledged_is_lost_when_it_is_killed_while_the_disk_is_full";
    let mut site = Site::bare(PLAIN);
    let disk = match SmallDisk::mount(site.path(), 256) {
        Ok(disk) => disk,
        Err(why) => return println!("SKIP {TEST}: {why}"),
    };
    site.place = disk.path().to_str().unwrap().to_owned();
    site.has_passwords();
    site.write(&format!("hold_max = '1s'\n{LOGONS}"), "");
    let http = free_port();
    site.add(&format!("[http]\nlisten = '127.0.0.1:{http}'\n"));
    let mut dice = Dice::new("killed while the disk is full");
    under_load(&site, |_| {
        for round in 0..rounds(6) {
            let mut running = site.run();
            std::thread::sleep(moment(&mut dice));
            disk.fill();
            if round == 0 {
                let told = || findings(&told(site.path()));
                let is_no_room = |what: &String| what.ends_with("intake will wait");
                eventually("nothing more can be kept", || told().iter().any(is_no_room));
                let line = || format!("forebay_findings_total {}\n", told().len());
                eventually("what was found is told once", || http_get(http, "/metrics").contains(&line()));
            }
            std::thread::sleep(moment(&mut dice));
            if dice.within(0..2) == 0 {
                // It starts on a disk that has no room for anything.
                running.kill();
                running = site.run();
                std::thread::sleep(moment(&mut dice));
            }
            if dice.within(0..2) == 0 {
                disk.free();
                std::thread::sleep(moment(&mut dice));
                running.kill();
            } else {
                running.kill();
                disk.free();
            }
        }
        let running = site.run();
        std::thread::sleep(Duration::from_millis(500));
        running
    });
}

#[test]
fn nothing_acknowledged_is_lost_of_any_output_when_it_is_killed_while_one_hangs() {
    let site = Site::new(&format!("hold_max = '1s'\n{LOGONS}"), "");
    site.add("[output.hung]\nsink.stdout = {}\n");
    let mut dice = Dice::new("killed while an output hangs");
    // What was written there, of one life after the other: the last line of one may be torn.
    let (mut hung, mut last) = (Vec::new(), None);
    let ledger = under_load(&site, |ledger| {
        for _ in 0..rounds(8) {
            let mut running = site.run_piped();
            let mut pipe = running.stdout();
            std::thread::sleep(moment(&mut dice));
            running.kill();
            let mut text = String::new();
            pipe.read_to_string(&mut text).unwrap();
            hung.extend(events_of(&text));
        }
        // It goes on again.
        let mut running = site.run_piped();
        let pipe = running.stdout();
        last = Some(std::thread::spawn(move || std::io::read_to_string(pipe).unwrap()));
        let acked = |ledger: &Ledger| ledger.acked.lock().unwrap().values().sum::<u64>();
        let before = acked(ledger);
        eventually("hosts are served again", || acked(ledger) > before + 1000);
        running
    });
    hung.extend(events_of(&last.unwrap().join().unwrap()));
    let repeated = ledger.is_in(&hung);
    println!("{} events of the output that hung, {repeated} of them twice", hung.len());
}

#[test]
fn an_output_that_hangs_holds_back_its_own_events_and_no_acknowledgement() {
    let site = Site::new(LOGONS, "");
    site.add("[output.hung]\nsink.stdout = {}\n");
    let mut host = site.host("pc1.example.org");
    let mut running = site.run_piped();
    let to = only(host.enumerate(WEC));
    // More than a pipe holds, and nobody reads.
    for last in (50..=2000).step_by(50) {
        let events = batch(&host, last - 49..=last);
        assert!(host.deliver(&to, &events, &bookmark("Security", last)).unwrap().is_ack());
    }
    eventually("the other output has them", || site.records().len() == 2000);
    assert!(running.is_running());
    running.kill();
    let running = site.run();
    eventually("they are not written twice", || site.records() == (1..=2000).collect::<Vec<_>>());
    running.stop();
    assert_eq!(running.code(), Some(0), "{}", told(site.path()));
}

#[test]
fn a_full_basin_holds_the_answer_and_what_was_acknowledged_before_is_all_there() {
    // Too small for what comes while nobody reads.
    let disk = "[basin.disk]\npath = 'basin'\nsize_max = '8MiB'\nsegment_size = '1MiB'\n";
    let site = Site::new(&format!("hold_max = '1s'\n{LOGONS}"), disk);
    site.add("[output.hung]\nsink.stdout = {}\n");
    let mut host = site.host("pc1.example.org");
    let mut running = site.run_piped();
    let to = only(host.enumerate(WEC));
    let mut acked = 0;
    let full = loop {
        let events = batch(&host, acked + 1..=acked + 400);
        let response = host.deliver(&to, &events, &bookmark("Security", acked + 400)).unwrap();
        if !response.is_ack() {
            break response;
        }
        acked += 400;
        assert!(acked < 100_000, "8 MiB cannot hold that");
    };
    assert_eq!(full.status, 503);
    let start = Instant::now();
    let mut reader = running.stdout();
    std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    loop {
        let events = batch(&host, acked + 1..=acked + 400);
        if host.deliver(&to, &events, &bookmark("Security", acked + 400)).unwrap().is_ack() {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "room was made, and it does not go on");
    }
    eventually("all of it is in the file, once", || site.records() == (1..=acked + 400).collect::<Vec<_>>());
    running.stop();
    assert_eq!(running.code(), Some(0), "{}", told(site.path()));
}

#[test]
fn a_bookmark_outlives_the_segments_that_it_came_in() {
    let site = Site::new(LOGONS, "");
    let (mut host, mut other) = (site.host("pc1.example.org"), site.host("pc2.example.org"));
    let running = site.run();
    let to = only(host.enumerate(WEC));
    let first = batch(&host, 1..=1);
    assert!(host.deliver(&to, &first, &bookmark("Security", 1)).unwrap().is_ack());
    let segments = || {
        let names = std::fs::read_dir(site.path().join("basin/segments")).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let oldest = segments()[0].clone();
    let mut last = 0;
    eventually("the first segment is gone", || {
        let events = batch(&other, last + 1..=last + 400);
        last += 400;
        assert!(other.deliver(&to, &events, &bookmark("Security", last)).unwrap().is_ack());
        segments()[0] != oldest
    });
    running.kill();
    let running = site.run();
    host.hang_up();
    assert_eq!(only(host.enumerate(WEC)).bookmark, Some(bookmark("Security", 1)));
    running.stop();
    assert_eq!(running.code(), Some(0), "{}", told(site.path()));
}
