//! RELP through kills, and receivers that hang: nothing acknowledged to a host is lost, others go on.
//!
//! `FOREBAY_KILLS` in number, at most `FOREBAY_PAUSE` milliseconds apart.

use super::{HOSTS, Input, daemon, fleet, lines, site, verdict};
use crate::support::dice::Dice;
use crate::support::once::findings;
use crate::support::process::{eventually, free_port, told};
use std::fs;
use std::time::Duration;

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |number| number.parse().unwrap())
}

#[test]
fn nothing_acknowledged_is_lost_over_relp_when_we_the_receiver_or_both_are_killed_in_mid_stream() {
    const TEST: &str =
        "nothing_acknowledged_is_lost_over_relp_when_we_the_receiver_or_both_are_killed_in_mid_stream";
    let relp = free_port();
    let site = site(&format!(
        "[output.siem]\nretry.pause_max = '500ms'\nsink.relp = {{ address = '127.0.0.1:{relp}', message_size_max = '256KiB' }}\n"
    ));
    let inputs = [(Input::Relp, "relp", relp)];
    let Some(receiver) = daemon(TEST, &site, &inputs) else { return };
    let (mut receiver, mut running) = (receiver, site.run());
    let (kills, pause) = (number("FOREBAY_KILLS", 9), number("FOREBAY_PAUSE", 900));
    let rate = 400;
    // More than can be sent meanwhile.
    let events = kills * pause * rate * 3 / 1000;
    let mut hosts = fleet(&site, &["--events", &events.to_string(), "--rate", &rate.to_string()]);
    let mut dice = Dice::new("killed over RELP");
    for round in 0..kills {
        std::thread::sleep(dice.millis(100..pause));
        if round % 3 != 1 {
            running.kill();
        } else {
            running.stop();
            running.kill();
        }
        if round % 3 != 0 {
            receiver.kill();
            std::thread::sleep(dice.millis(0..pause / 2));
            receiver = daemon(TEST, &site, &inputs).unwrap();
        }
        running = site.run();
        // And the receiver alone.
        std::thread::sleep(dice.millis(100..pause));
        receiver.kill();
        receiver = daemon(TEST, &site, &inputs).unwrap();
    }
    assert!(hosts.is_running(), "it was killed in mid-stream: {} lines", lines(&site, "relp.out"));
    assert_eq!(hosts.code(), Some(0), "{}", told(site.path()));
    let acknowledged = verdict(&site, "relp.out")["acknowledged"].as_u64().unwrap();
    eventually("all is there", || {
        lines(&site, "relp.out") as u64 >= acknowledged && { verdict(&site, "relp.out")["lost"] == 0 }
    });
    running.stop();
    assert_eq!(running.code(), Some(0), "{}", told(site.path()));
    let verdict = verdict(&site, "relp.out");
    for key in ["lost", "altered", "unreadable", "foreign"] {
        assert_eq!(verdict[key], 0, "{key}: {verdict}");
    }
    println!("after {kills} rounds of kills: {verdict}");
}

#[test]
fn a_receiver_that_hangs_holds_nobody_else_back_is_told_and_gets_all_when_it_goes_on() {
    const TEST: &str = "a_receiver_that_hangs_holds_nobody_else_back_is_told_and_gets_all_when_it_goes_on";
    let (tcp, relp) = (free_port(), free_port());
    let site = site(&format!(
        "[output.tcp]\nretry.pause_max = '1s'\nsink.syslog = {{ address = '127.0.0.1:{tcp}', confirm_timeout = '1s' }}\n\
         [output.relp]\nretry.pause_max = '1s'\nsink.relp = {{ address = '127.0.0.1:{relp}', answer_timeout = '1s', connect_timeout = '1s' }}\n"
    ));
    let inputs = [(Input::Tcp, "tcp", tcp), (Input::Relp, "relp", relp)];
    let Some(receiver) = daemon(TEST, &site, &inputs) else { return };
    let running = site.run();
    let first = fleet(&site, &["--events", "300", "--existing", "100"]);
    assert_eq!(first.code(), Some(0), "{}", told(site.path()));
    eventually("both have the first", || {
        ["tcp.out", "relp.out"].iter().all(|file| lines(&site, file) == 300)
    });
    receiver.freeze();
    // The ledger is gone on with, and so are the logs.
    let events = 6000;
    let more = fleet(&site, &["--events", &events.to_string(), "--existing", &(events / HOSTS).to_string()]);
    assert_eq!(more.code(), Some(0), "hosts are served meanwhile: {}", told(site.path()));
    eventually("the file has all", || lines(&site, "out/events.jsonl") == 300 + events);
    let is_told = |name: &str| {
        let what = format!("output `{name}` cannot deliver to 127.0.0.1:");
        findings(&told(site.path())).iter().any(|told| told.starts_with(&what))
    };
    eventually("what hangs is told", || is_told("relp"));
    let before = processor_time(running.id());
    std::thread::sleep(Duration::from_secs(3));
    let spent = processor_time(running.id()) - before;
    assert!(spent < Duration::from_millis(600), "{spent:?} of processor time in 3 s: it spins");
    receiver.thaw();
    for file in ["tcp.out", "relp.out"] {
        eventually("all is there", || {
            lines(&site, file) >= 300 + events && verdict(&site, file)["lost"] == 0
        });
        let verdict = verdict(&site, file);
        assert_eq!((&verdict["altered"], &verdict["unreadable"]), (&0.into(), &0.into()), "{verdict}");
        println!("{file}: {verdict}");
    }
    running.stop();
    assert_eq!(running.code(), Some(0), "{}", told(site.path()));
}

/// Of a process, so far.
fn processor_time(id: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let after = stat.rsplit(')').next().unwrap();
    let ticks: u64 =
        after.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}
