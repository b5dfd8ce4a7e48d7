//! Tickets that end under an open connection: the host is asked to sign in again, does, and nothing is lost. The library
//! gives a ticket as much longer as clocks may differ, so here they may by a second only.

use super::bad_input::{Answered, Session, enumerate};
use super::*;
use crate::kerberos::fleet::{self, Machines};
use std::time::Duration;

/// How long tickets are good for, in the words of the centre.
const LIFETIME: &str = "4s";
/// Until one is over for sure, with what clocks may differ by.
const OVER: Duration = Duration::from_secs(6);

fn strict(lab: &Lab) -> Setting {
    Setting::configured(PLAIN, &lab.keytab(&[LOCALHOST]), Some(&lab.configured("clockskew = 1")))
}

#[test]
fn a_host_whose_ticket_ends_is_asked_to_sign_in_again_on_its_connection() {
    const TEST: &str = "a_host_whose_ticket_ends_is_asked_to_sign_in_again_on_its_connection";
    let Some((lab, library)) = lab(TEST) else { return };
    let (setting, client) = (strict(&lab), lab.client());
    let message = enumerate(&client);
    let ask = |session: &mut Session| {
        let body = session.sealed(&message);
        let Answered { status, is_last, .. } = session.post(&body).unwrap();
        (status, is_last)
    };
    let renew = || {
        client.prove(LIFETIME);
        client.ticket(LOCALHOST);
    };
    renew();
    let mut session = Session::new(&setting, &library, &client, LOCALHOST);
    for _ in 0..2 {
        assert_eq!(ask(&mut session), (200, false));
        std::thread::sleep(OVER);
        assert_eq!(ask(&mut session), (401, false), "its ticket has ended, and the connection has not");
        renew();
        session = session.again(&library, &client, LOCALHOST);
    }
    assert_eq!(ask(&mut session), (200, false));
    assert_eq!(setting.metric("kerberos_handshakes_total", ""), 3);
    assert_eq!(findings(&told(setting.site.path())), [""; 0], "that a ticket ends is no fault");
}

#[test]
fn nothing_is_lost_when_tickets_end_amid_deliveries() {
    let Some((lab, _)) = lab("nothing_is_lost_when_tickets_end_amid_deliveries") else { return };
    let (setting, machines) = (strict(&lab), Machines::new(&lab, 2));
    for host in 0..2 {
        let name = format!("{}{host:05}$", machines.prefix.to_ascii_uppercase());
        lab.administer(&format!("modprinc -maxlife {LIFETIME} {name}\n"));
    }
    let url = format!("http://localhost:{}{WEC}", setting.site.port);
    let ledger = setting.site.path().join("ledger").display().to_string();
    let more = ["-n", "2", "--rate", "200", "--batch", "5", "--duration", "14s", "--ledger", &ledger];
    let mut fleet = machines.fleet(&lab, &url, &more);
    fleet.env("KRB5_CONFIG", lab.configured("clockskew = 1"));
    let (code, report) = fleet::told(&mut fleet);
    assert_eq!((code, &report["handshakes_failed"]), (Some(0), &0.into()), "{report}");
    // Deliveries are without a pause: each host signs in anew as often as its ticket has ended.
    assert!(report["handshakes"].as_u64() >= Some(2 * 3), "{report}");
    assert!(report["acknowledged"].as_u64() > Some(100), "{report}");
    setting.running.stop();
    assert_eq!(setting.running.code(), Some(0));
    let verify = ["fleet", "verify", &ledger, "out", "-o", "json"];
    let verdict = forebay(setting.site.path(), &verify).stdout(Stdio::piped()).output().unwrap().stdout;
    let verdict: Value = serde_json::from_slice(&verdict).unwrap();
    assert_eq!(verdict["acknowledged"], report["acknowledged"], "{verdict}");
    for fault in ["lost", "duplicated", "altered"] {
        assert_eq!(verdict[fault], 0, "{fault}: {verdict}");
    }
    assert_eq!(findings(&told(setting.site.path())), [""; 0]);
}
