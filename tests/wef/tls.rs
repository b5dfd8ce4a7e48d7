//! Hosts that come in by certificate, and those whose certificate is not taken: what they are told, what we
//! are told, and that hosts beside them do not notice.

use super::{LOGONS, Site, WEC, batch, findings, only};
use crate::support::authority::{Authority, Shown, beside, but, of_host};
use crate::support::host::{Host, bookmark};
use crate::support::process::{Process, eventually, free_port, http_get, told};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, SerialNumber, date_time_ymd};
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use std::io::{Read, Write};
use std::time::Duration;

const BY_SUBJECT: &str = "tls.certificate = 'own.pem'\ntls.key = 'own.key'\n\
     auth.certificate.ca = ['ca.pem']\nauth.certificate.crl = ['ca.crl']\n";
const BY_SAN: &str = "tls.certificate = 'own.pem'\ntls.key = 'own.key'\n\
     auth.certificate.ca = ['ca.pem']\nauth.certificate.name_from = 'san'\n";

/// Serial number of the certificate that is on the list.
const REVOKED: u64 = 66;

/// A collector with TLS, and a host that does nothing wrong.
struct Setting {
    site: Site,
    ca: Authority,
    running: Process,
    good: Host,
    delivered: u64,
    /// Where metrics are.
    http: u16,
}

impl Setting {
    fn new(entrance: &'static str) -> Self {
        let (site, ca) = (Site::bare(entrance), Authority::new("Corp CA"));
        ca.set_up(site.path());
        ca.revoke(&[REVOKED], 2090, &site.path().join("ca.crl"));
        site.write(&format!("limits.connections_per_address = 8\n{LOGONS}"), "");
        let http = free_port();
        site.add(&format!("[http]\nlisten = '127.0.0.1:{http}'\n"));
        let good = "pc1.example.org";
        let shown = ca.issue(&numbered(beside(Some(good), &[good]), 1));
        let running = site.run();
        let good = Host::certified(good, site.port, ca.client(Some(&shown), &TLS13));
        Self { site, ca, running, good, delivered: 0, http }
    }

    fn host(&self, name: &str, shown: Option<&Shown>, version: &'static SupportedProtocolVersion) -> Host {
        Host::certified(name, self.site.port, self.ca.client(shown, version))
    }

    /// The good host has something acknowledged, on the connection that it has.
    #[track_caller]
    fn is_unharmed(&mut self, when: &str) {
        let to = only(self.good.enumerate(WEC));
        self.delivered += 1;
        let one = batch(&self.good, self.delivered..=self.delivered);
        let answer = self.good.deliver(&to, &one, &bookmark("Security", self.delivered));
        assert!(answer.as_ref().is_ok_and(|answer| answer.is_ack()), "{when}: {answer:?}");
    }

    /// Lines of the log that are about a host's address.
    fn told_of(&self, host: &Host) -> Vec<String> {
        let (told, address) = (told(self.site.path()), format!("{} ", host.address));
        told.lines().filter(|line| line.contains(&address)).map(str::to_owned).collect()
    }

    /// What a metric of the source says; `reason` is `,reason="…"` or nothing.
    #[track_caller]
    fn metric(&self, name: &str, reason: &str) -> u64 {
        let told = http_get(self.http, "/metrics");
        let line = format!("forebay_source_{name}{{source=\"dc\"{reason}}} ");
        let value = told.lines().find_map(|told| told.strip_prefix(&line));
        value.unwrap_or_else(|| panic!("no {line}: {told}")).parse().unwrap()
    }

    /// Everything ended well, and nothing of an event is in the log.
    fn close(self) {
        eventually("all of the good host is there", || {
            let events = self.site.events();
            let of_good = events.iter().filter(|(host, _)| *host == self.good.name);
            of_good.count() as u64 == self.delivered
        });
        self.running.stop();
        let told = told(self.site.path());
        assert_eq!(self.running.code(), Some(0), "{told}");
        assert!(!told.contains("EventRecordID") && !told.contains("<Data"), "{told}");
    }
}

struct Case {
    name: &'static str,
    /// None: it shows none.
    shown: fn(&Authority) -> Option<Shown>,
    /// What the host is told, which is what its own log has.
    alert: &'static str,
    /// In the finding, beside its address.
    finding: &'static [&'static str],
}

const NAME: &str = "pc2.example.org";

fn of_ours(ca: &Authority, params: &CertificateParams) -> Option<Shown> {
    Some(ca.issue(params))
}

fn numbered(params: CertificateParams, serial: u64) -> CertificateParams {
    but(params, |params| params.serial_number = Some(SerialNumber::from(serial)))
}

const REFUSED: &[Case] = &[
    Case {
        name: "of another authority",
        shown: |_| of_ours(&Authority::new("Other CA"), &of_host(NAME)),
        alert: "UnknownCA",
        finding: &["CN=pc2.example.org", "none of our authorities"],
    },
    Case {
        name: "of another authority that has the name of ours",
        shown: |_| of_ours(&Authority::new("Corp CA"), &of_host(NAME)),
        alert: "DecryptError",
        finding: &["CN=pc2.example.org", "a signature in it is wrong"],
    },
    Case {
        name: "expired",
        shown: |ca| of_ours(ca, &but(of_host(NAME), |params| params.not_after = date_time_ymd(2024, 1, 1))),
        alert: "CertificateExpired",
        finding: &["CN=pc2.example.org", "it has ended"],
    },
    Case {
        name: "of next century",
        shown: |ca| of_ours(ca, &but(of_host(NAME), |params| params.not_before = date_time_ymd(2100, 1, 1))),
        alert: "CertificateExpired",
        finding: &["CN=pc2.example.org", "not valid yet"],
    },
    Case {
        name: "revoked",
        shown: |ca| of_ours(ca, &numbered(of_host(NAME), REVOKED)),
        alert: "CertificateRevoked",
        finding: &["CN=pc2.example.org", "revoked"],
    },
    Case {
        name: "of a server",
        shown: |ca| {
            let usage = vec![ExtendedKeyUsagePurpose::ServerAuth];
            of_ours(ca, &but(of_host(NAME), |params| params.extended_key_usages = usage))
        },
        alert: "UnsupportedCertificate",
        finding: &["CN=pc2.example.org", "not made for client authentication"],
    },
    Case {
        name: "without a common name",
        shown: |ca| of_ours(ca, &beside(None, &[NAME])),
        alert: "AccessDenied",
        finding: &["(without a subject)", "does not name a machine where `name_from` looks"],
    },
    Case {
        name: "with an empty common name",
        shown: |ca| of_ours(ca, &beside(Some(""), &[NAME])),
        alert: "AccessDenied",
        finding: &["`` is the name of no machine"],
    },
    Case {
        name: "with a name that is a path",
        shown: |ca| of_ours(ca, &of_host("../../pc1.example.org")),
        alert: "AccessDenied",
        finding: &["`../../pc1.example.org` is the name of no machine"],
    },
    Case {
        name: "with a pattern",
        shown: |ca| of_ours(ca, &of_host("*.example.org")),
        alert: "AccessDenied",
        finding: &["`*.example.org` is the name of no machine"],
    },
    Case {
        name: "with a name that ends before it ends",
        shown: |ca| of_ours(ca, &of_host("pc1.example.org\0.evil.example")),
        alert: "AccessDenied",
        finding: &["`pc1.example.org\\\\0.evil.example` is the name of no machine"],
    },
    Case {
        name: "with a name that would write lines and colours",
        shown: |ca| of_ours(ca, &of_host("pc1\n\u{1b}[31mWARN all is lost\u{202e}")),
        alert: "AccessDenied",
        finding: &["`pc1\\\\n\\\\u{1b}[31mWARN all is lost\\\\u{202e}` is the name of no machine"],
    },
    Case {
        name: "with a name longer than any",
        shown: |ca| of_ours(ca, &of_host(&"pc1.".repeat(100))),
        alert: "AccessDenied",
        finding: &["CN=pc1.pc1.", "is the name of no machine"],
    },
    Case {
        name: "none",
        shown: |_| None,
        alert: "CertificateRequired",
        finding: &["could not connect with TLS", "sent no certificate"],
    },
];

#[test]
fn a_certificate_that_is_not_taken_is_told_to_its_host_and_in_one_finding_and_hurts_nobody() {
    let mut setting = Setting::new(BY_SUBJECT);
    setting.is_unharmed("before");
    let mut address = [127, 0, 1, 0];
    for case in REFUSED {
        for version in [&TLS13, &TLS12] {
            let shown = (case.shown)(&setting.ca);
            let mut bad = setting.host(NAME, shown.as_ref(), version);
            address[3] += 1;
            bad.address = address.into();
            // Twice, as hosts come again and again.
            for _ in 0..2 {
                let refused = bad.open().and_then(|mut wire| {
                    setting.is_unharmed(case.name);
                    wire.read(&mut [0])
                });
                let refused = refused.map_err(|error| error.to_string());
                assert!(
                    refused.as_ref().is_err_and(|why| why.ends_with(case.alert)),
                    "{}, {:?}: {refused:?}",
                    case.name,
                    version.version
                );
            }
            eventually(case.name, || !setting.told_of(&bad).is_empty());
            setting.is_unharmed(case.name);
            let found = setting.told_of(&bad);
            assert_eq!(found.len(), 1, "{}: {found:?}", case.name);
            for words in case.finding {
                assert!(found[0].contains(words), "{}: {}", case.name, found[0]);
            }
        }
    }
    assert_eq!(findings(&told(setting.site.path())).len(), 2 * REFUSED.len());
    let failed = |why| setting.metric("failed_handshakes_total", &format!(",reason=\"{why}\""));
    for case in ["unknown_issuer", "signature", "expired", "not_valid_yet", "revoked", "purpose"] {
        assert_eq!(failed(case), 4, "{case}");
    }
    assert_eq!((failed("no_name"), failed("no_certificate"), failed("broken")), (28, 4, 0));
    let shaken = setting.metric("handshakes_total", "");
    let all = 4 * REFUSED.len() as u64 + failed("hang_up") + shaken;
    assert_eq!((shaken, setting.metric("accepted_connections_total", "")), (1, all));
    assert_eq!(setting.metric("connections", ""), 1);
    setting.close();
}

#[test]
fn a_crowd_of_one_address_is_closed_and_counted_and_what_speaks_no_tls_too() {
    let mut setting = Setting::new(BY_SUBJECT);
    setting.is_unharmed("before");
    let mut crowd = setting.host(NAME, None, &TLS13);
    crowd.address = [127, 0, 1, 9].into();
    let mut there: Vec<_> = (0..11).map(|_| crowd.connect().unwrap()).collect();
    let refused = |limit| setting.metric("refused_connections_total", &format!(",reason=\"{limit}\""));
    eventually("some are closed", || refused("connections_per_address") == 3);
    assert_eq!((refused("connections"), setting.metric("connections", "")), (0, 9));
    setting.is_unharmed("meanwhile");
    for stream in &mut there {
        // Some are closed already.
        let _ = stream.write_all(b"POST /wsman HTTP/1.1\r\n\r\n");
    }
    let failed = |why| setting.metric("failed_handshakes_total", &format!(",reason=\"{why}\""));
    eventually("none of them is TLS", || failed("no_tls") == 8);
    eventually("nobody else is there", || setting.metric("connections", "") == 1);
    let said = findings(&told(setting.site.path()));
    assert_eq!(
        said,
        ["a connection of 127.0.1.9 was closed at once", "127.0.1.9 could not connect with TLS"]
    );
    setting.is_unharmed("after");
    setting.close();
}

/// The hosts that the file's events came from, by what they proved.
fn origins(site: &Site) -> Vec<String> {
    let text = std::fs::read_to_string(site.path().join("out/events.jsonl")).unwrap_or_default();
    let host = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        event["Forebay"]["Host"].as_str().unwrap().to_owned()
    };
    text.lines().map(host).collect()
}

/// Delivers one event under the name of its certificate.
#[track_caller]
fn delivers(mut host: Host) {
    let to = only(host.enumerate(WEC));
    let one = batch(&host, 1..=1);
    assert!(host.deliver(&to, &one, &bookmark("Security", 1)).unwrap().is_ack(), "{}", host.name);
}

#[test]
fn an_unusual_name_that_is_one_is_taken_under_one_key() {
    let mut setting = Setting::new(BY_SUBJECT);
    setting.is_unharmed("before");
    let names = ["PC3.Example.ORG.", "büro-1.example.org", "lone", "host/pc4.example.org@EXAMPLE.ORG"];
    for name in names {
        let shown = setting.ca.issue(&of_host(name));
        delivers(setting.host(name, Some(&shown), &TLS12));
        setting.is_unharmed(name);
    }
    eventually("all is in the file", || setting.site.events().len() == 2 * names.len() + 1);
    let mut origins = origins(&setting.site);
    origins.retain(|host| host != "pc1.example.org");
    assert_eq!(origins, ["pc3.example.org", "büro-1.example.org", "lone", "pc4.example.org"]);
    assert_eq!(findings(&told(setting.site.path())), [] as [String; 0]);
    setting.close();
}

#[test]
fn a_machine_may_be_named_beside_an_empty_subject() {
    let mut setting = Setting::new(BY_SAN);
    setting.is_unharmed("before");
    let shown = setting.ca.issue(&beside(None, &["pc5.example.org", "other.example.org"]));
    delivers(setting.host("pc5.example.org", Some(&shown), &TLS13));
    let nameless = setting.ca.issue(&of_host("pc6.example.org"));
    let refused = setting.host("pc6.example.org", Some(&nameless), &TLS13).ask(WEC);
    assert!(refused.is_err(), "{refused:?}");
    eventually("it is told", || !findings(&told(setting.site.path())).is_empty());
    let said = findings(&told(setting.site.path()));
    assert_eq!(said, ["the certificate of 127.0.0.1 (CN=pc6.example.org) is not taken"]);
    setting.is_unharmed("after");
    eventually("all is in the file", || setting.site.events().len() == 3);
    assert!(origins(&setting.site).contains(&"pc5.example.org".into()));
    setting.close();
}

#[test]
fn a_list_that_changes_ends_the_connections_of_those_on_it_and_a_stale_one_those_of_all() {
    let mut setting = Setting::new(BY_SUBJECT);
    let shown = setting.ca.issue(&numbered(of_host("pc2.example.org"), 7));
    let mut host = setting.host("pc2.example.org", Some(&shown), &TLS13);
    host.address = [127, 0, 1, 2].into();
    let to = only(host.enumerate(WEC));
    setting.is_unharmed("before");
    let crl = setting.site.path().join("ca.crl");
    setting.ca.revoke(&[REVOKED, 7], 2090, &crl);
    let mut record = 0;
    eventually("it is refused on the connection that it has", || {
        record += 1;
        let one = batch(&host, record..=record);
        let answer = host.deliver(&to, &one, &bookmark("Security", record)).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert!(answer.is_ack() || answer.status == 403, "{answer:?}");
        answer.status == 403
    });
    assert!(host.ask(WEC).is_err(), "and on a new one");
    setting.is_unharmed("after");
    let said = findings(&told(setting.site.path()));
    assert_eq!(
        said,
        ["the certificate of 127.0.0.1 (CN=pc2.example.org) is not taken".replace(".0.1", ".1.2")]
    );

    // Whoever keeps the new list from us must not win by that.
    setting.ca.revoke(&[REVOKED, 7], 2025, &crl);
    let to = only(setting.good.enumerate(WEC));
    let mut refused = None;
    eventually("the other one is refused too", || {
        setting.delivered += 1;
        let one = batch(&setting.good, setting.delivered..=setting.delivered);
        let answer = setting.good.deliver(&to, &one, &bookmark("Security", setting.delivered)).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        refused = (!answer.is_ack()).then_some(answer.status);
        refused.is_some()
    });
    setting.delivered -= 1;
    assert_eq!(refused, Some(403));
    // With a fresh list it comes in again, and goes on where it was.
    setting.ca.revoke(&[REVOKED, 7], 2090, &crl);
    eventually("the fresh list is taken", || {
        setting.good.hang_up();
        setting.good.ask(WEC).is_ok()
    });
    assert_eq!(only(setting.good.enumerate(WEC)).bookmark, Some(bookmark("Security", setting.delivered)));
    setting.is_unharmed("at last");
    setting.close();
}
