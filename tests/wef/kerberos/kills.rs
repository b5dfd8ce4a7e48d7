//! kill -9 of a collector whose hosts are of a domain: what was acknowledged on sealed connections is kept.

use super::*;
use crate::kerberos::fleet::Machines;
use crate::support::dice::{Dice, number};
use std::time::Duration;

#[test]
fn nothing_acknowledged_is_lost_when_a_collector_of_a_domain_is_killed() {
    const TEST: &str = "nothing_acknowledged_is_lost_when_a_collector_of_a_domain_is_killed";
    let Some((lab, _)) = lab(TEST) else { return };
    let hosts = number("FOREBAY_HOSTS", 12);
    let setting = Setting::new(PLAIN, &lab.keytab(&[LOCALHOST]));
    let Setting { site, mut running, .. } = setting;
    let (machines, mut dice) = (Machines::new(&lab, hosts as u32), Dice::new("killed in a domain"));
    let (url, ledger) = (format!("http://localhost:{}{WEC}", site.port), site.path().join("ledger"));
    let (count, ledger) = (hosts.to_string(), ledger.to_str().unwrap());
    let more = ["-n", &count, "--batch", "5", "--ledger", ledger, "--retry", "100ms", "--refresh", "500ms"];
    let report = fs::File::create(site.path().join("report")).unwrap();
    let mut fleet = machines.fleet(&lab, &url, &more);
    fleet.stdin(Stdio::null()).stdout(report).stderr(Stdio::null());
    let fleet = Process::start(fleet);
    for _ in 0..number("FOREBAY_KILLS", 6) {
        std::thread::sleep(dice.millis(300..number("FOREBAY_PAUSE", 1200)));
        running.kill();
        running = site.run();
    }
    std::thread::sleep(Duration::from_secs(1));
    fleet.stop();
    assert_eq!(fleet.code(), Some(0));
    running.stop();
    assert_eq!(running.code(), Some(0), "{}", told(site.path()));
    let verified = forebay(site.path(), &["fleet", "verify", ledger, "out", "-o", "json"])
        .stdout(Stdio::piped())
        .output()
        .unwrap();
    let verdict: Value = serde_json::from_slice(&verified.stdout).unwrap();
    println!("{verdict}");
    assert!(verdict["acknowledged"].as_u64() > Some(100), "{verdict}");
    assert_eq!((&verdict["lost"], &verdict["altered"]), (&0.into(), &0.into()), "{verdict}");
}
