//! The demo as a newcomer runs it, the fleet's own verdict on what it left behind, and hosts of a domain.

use crate::kerberos::fleet::{self, Machines};
use crate::kerberos::lab;
use crate::support::host::passwords;
use crate::support::lab::LOCALHOST;
use crate::support::process::{Process, forebay, told};
use crate::wef::{Site, WEC};
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;

fn json(folder: &Path, args: &[&str]) -> (Option<i32>, Value) {
    let output = forebay(folder, args).stdout(Stdio::piped()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{}", told(folder)));
    (output.status.code(), json)
}

#[test]
fn the_demo_loses_and_alters_nothing_and_goes_on_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let demo = ["demo", "--seconds", "2", "--hosts", "5", "--rate", "300", "-o", "json"];
    let mut before = 0;
    for _ in 0..2 {
        let (code, result) = json(folder.path(), &demo);
        assert_eq!(code, Some(0), "{result}");
        let number = |key: &str| result[key].as_u64().unwrap_or_else(|| panic!("no {key}: {result}"));
        assert_eq!([number("lost"), number("duplicated"), number("altered")], [0, 0, 0], "{result}");
        assert_eq!(number("delivered"), number("acknowledged"), "{result}");
        assert!(number("acknowledged") >= before + 100, "{result}");
        before = number("acknowledged");
    }
    let demo = folder.path().join("forebay-demo");
    let alerts = std::fs::read_to_string(demo.join("alerts/events.jsonl")).unwrap();
    assert!(alerts.lines().count() > 10 && !alerts.contains("\"EventID\":4634"));
    let page = std::fs::read_to_string(demo.join("report.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("<svg"));

    let verify = ["fleet", "verify", "forebay-demo/ledger", "forebay-demo/all", "-o", "json"];
    let (code, verdict) = json(folder.path(), &verify);
    assert_eq!((code, &verdict["delivered"]), (Some(0), &before.into()), "{verdict}");
    assert_eq!(verdict["compared"], verdict["delivered"], "letter by letter");

    // An event that is changed, and one that is gone.
    let path = demo.join("all/events.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    let second = rest.replacen("Microsoft", "Nicrosoft", 1);
    assert!(!first.is_empty() && second != rest);
    std::fs::write(&path, second).unwrap();
    let (code, verdict) = json(folder.path(), &verify);
    assert_eq!((code, &verdict["lost"], &verdict["altered"]), (Some(1), &1.into(), &1.into()), "{verdict}");
}

#[test]
fn what_simulated_hosts_sent_is_found_in_every_kind_of_output() {
    let site = Site::new(
        "[source.dc.wef.subscription.all]\nquery.channels = { Security = '*', System = '*', Application = '*' }\n",
        "",
    );
    site.add(
        "[output.framed]\nformat.xml.framing = 'length'\nsink.file.path = './framed/events.bin'\n\
         [output.archive]\nsink.evtx.path = './archive/{computer}.evtx'\n\
         [output.elastic]\nformat.ecs = {}\nsink.file.path = './elastic/events.jsonl.gz'\nsink.file.compression = 'gzip'\n",
    );
    let names: Vec<String> = (0..3).map(|number| format!("ws-{number:05}.fleet.example")).collect();
    passwords(&site.path().join("passwords"), &names);
    let running = site.run();
    let url = format!("http://127.0.0.1:{}{WEC}", site.port);
    let fleet = ["fleet", &url, "-n", "3", "--password", "opensesame", "--ledger", "ledger"];
    let (code, report) =
        json(site.path(), &[&fleet[..], &["--events", "600", "--existing", "200", "-o", "json"]].concat());
    assert_eq!((code, report["acknowledged"].as_u64()), (Some(0), Some(600)), "{report}");
    running.stop();
    assert_eq!(running.code(), Some(0), "{}", told(site.path()));
    for (output, is_compared) in [("out", true), ("framed", true), ("archive", true), ("elastic", false)] {
        let (code, verdict) = json(site.path(), &["fleet", "verify", "ledger", output, "-o", "json"]);
        assert_eq!((code, &verdict["delivered"]), (Some(0), &600.into()), "{output}: {verdict}");
        assert_eq!(verdict["compared"], if is_compared { 600 } else { 0 }, "{output}: {verdict}");
    }
}

#[test]
fn strangers_stay_outside_and_torn_events_arrive_raw_while_the_good_ones_are_served() {
    let site = Site::bare(
        "tls.certificate = 'certificates/server.pem'\ntls.key = 'certificates/server.key'\n\
         auth.certificate.ca = ['certificates/ca.pem']\n",
    );
    site.write("[source.dc.wef.subscription.all]\nquery.channels = { Security = '*', System = '*' }\n", "");
    site.add(
        "[output.framed]\nformat.xml.framing = 'length'\nsink.file.path = './framed/events.bin'\n\
         [output.joined]\nformat.xml.framing = 'none'\nsink.file.path = './joined/events.xml'\n\
         [output.lines]\nformat.xml = {}\nsink.file.path = './lines/events.xml'\n\
         [output.elastic]\nformat.ecs = {}\nsink.file.path = './elastic/events.jsonl'\n",
    );
    let url = format!("https://localhost:{}{WEC}", site.port);
    let mint = ["fleet", &url, "--certificates", "certificates", "--mint-only"];
    assert_eq!(Process::start(forebay(site.path(), &mint)).code(), Some(0));
    let running = site.run();
    let fleet = ["fleet", &url, "-n", "3", "--certificates", "certificates", "--ledger", "ledger"];
    let faults = ["--fault-torn", "0.5", "--fault-certificate", "0.5", "--fault-malformed", "0.2"];
    let rest = ["--events", "600", "--existing", "200", "--batch", "10", "-o", "json"];
    let (code, report) = json(site.path(), &[&fleet[..], &faults, &rest].concat());
    assert_eq!((code, report["acknowledged"].as_u64()), (Some(0), Some(600)), "{report}");
    assert_eq!((&report["wrong_acks"], &report["failures"]), (&0.into(), &0.into()), "{report}");
    let told_of = report["faults"].as_object().unwrap();
    let torn = told_of["torn event among good ones, acknowledged"].as_u64().unwrap();
    for stranger in
        ["certificate of another CA, refused", "expired certificate, refused", "no certificate, refused"]
    {
        assert!(told_of.contains_key(stranger), "{stranger}: {report}");
    }
    running.stop();
    assert_eq!(running.code(), Some(0), "{}", told(site.path()));
    for (output, compared) in
        [("out", 600), ("framed", 600), ("joined", 600), ("lines", 600), ("elastic", torn)]
    {
        let (code, verdict) = json(site.path(), &["fleet", "verify", "ledger", output, "-o", "json"]);
        assert_eq!((code, &verdict["delivered"]), (Some(0), &600.into()), "{output}: {verdict}");
        assert_eq!(verdict["compared"], compared, "{output}: {verdict}");
    }
}

#[test]
#[cfg(not(feature = "sspi"))]
fn a_build_that_cannot_sign_in_with_a_password_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = ["fleet", "http://localhost:5985/wsman", "--password-file", "any", "--kdc", "dc1"];
    let output = forebay(folder.path(), &fleet).stderr(Stdio::piped()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(69) && told.contains("build it with `--features sspi`"), "{told}");
}

const BY_TICKET: &str = "auth.kerberos.keytab = 'wec.keytab'\n";
const BY_TICKET_OVER_TLS: &str = "auth.kerberos.keytab = 'wec.keytab'\n\
     tls.certificate = 'certificates/server.pem'\ntls.key = 'certificates/server.key'\n";

#[test]
fn what_hosts_of_a_domain_sent_arrives_once_by_either_scheme_sealed_or_over_tls() {
    const TEST: &str = "what_hosts_of_a_domain_sent_arrives_once_by_either_scheme_sealed_or_over_tls";
    let Some((lab, _)) = lab(TEST) else { return };
    let machines = Machines::new(&lab, 3);
    let keytab = lab.keytab(&[LOCALHOST]);
    for entrance in [BY_TICKET, BY_TICKET_OVER_TLS] {
        let site = Site::bare(entrance);
        std::fs::copy(&keytab, site.path().join("wec.keytab")).unwrap();
        site.write(
            "[source.dc.wef.subscription.all]\nquery.channels = { Security = '*', System = '*' }\n",
            "",
        );
        let is_tls = entrance == BY_TICKET_OVER_TLS;
        let url = format!("{}://localhost:{}{WEC}", if is_tls { "https" } else { "http" }, site.port);
        let [ledger, certificates] =
            ["ledger", "certificates"].map(|name| site.path().join(name).display().to_string());
        let mint = ["fleet", &url, "--certificates", &certificates, "--mint-only"];
        assert_eq!(Process::start(forebay(site.path(), &mint)).code(), Some(0));
        let running = site.run();
        let more = ["-n", "3", "--ledger", &ledger, "--existing", "50"];
        let trust = if is_tls { &["--certificates", &certificates][..] } else { &[] };
        let run = |last: &[&str]| {
            let (code, report) = fleet::told(&mut machines.fleet(&lab, &url, &[&more, trust, last].concat()));
            assert_eq!(code, Some(0), "{report}{}", told(site.path()));
            assert_eq!([&report["failures"], &report["handshakes_failed"]], [&0, &0], "{report}");
            report
        };
        for scheme in ["kerberos", "negotiate"] {
            let report = run(&["--events", "300", "--scheme", scheme]);
            assert_eq!(report["acknowledged"], 300, "{report}");
            assert_eq!(report["handshakes"], report["connections"], "{report}");
        }
        let report = run(&["--idle", "--duration", "3s", "--reconnect-after", "1s"]);
        for who in ["hosts", "deliveries"] {
            let storm = &report["storm"][who];
            assert_eq!([&storm["gone"], &storm["back"]], [&3, &3], "{who}: {report}");
        }
        assert_eq!(report["storm"]["handshakes"], 6, "{report}");
        running.stop();
        assert_eq!(running.code(), Some(0), "{}", told(site.path()));
        let (code, verdict) = json(site.path(), &["fleet", "verify", "ledger", "out", "-o", "json"]);
        assert_eq!((code, &verdict["delivered"]), (Some(0), &600.into()), "{verdict}");
        assert_eq!(
            [&verdict["lost"], &verdict["duplicated"], &verdict["altered"]],
            [&0, &0, &0],
            "{verdict}"
        );
    }
}
