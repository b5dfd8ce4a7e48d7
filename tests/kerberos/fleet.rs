//! Simulated hosts that sign in by Kerberos, against a collector made for the test: what they send before they
//! are signed in and after, and what they do not take from a collector.

use super::winrm::{Request, Sealing, read};
use super::*;
use crate::support::authority::Authority;
use crate::support::lab::{AES128, AES256_SHA2, LOCALHOST, RC4, REALM};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use forebay::auth::gss::Sealed;
use forebay::auth::handshake::Flags;
use forebay::auth::tls::end_point;
use forebay::wsman::charset::{self, Charset};
use forebay::wsman::multipart::{Framing, Part};
use forebay::wsman::subscription::{Endpoint, Policy, Retry, Subscription};
use forebay::wsman::{self, Answer, Guid, Message, Offer, QueryList, Reference, Reply, sldc};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How a collector is wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wrong {
    Nothing,
    /// It signs hosts in without a proof of its own.
    NoProof,
    /// It says what it has to say in clear.
    InClear,
    /// It forgets behind two messages of a connection who the host is.
    Forgets,
    /// It closes each connection behind its second answer.
    Closes,
    /// It knows nobody.
    Refuses,
}

struct Collector {
    listener: TcpListener,
    acceptor: Arc<Acceptor>,
    wrong: Wrong,
    is_over: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    peers: BTreeSet<String>,
    /// Heads of requests that sign in, and of those behind.
    handshakes: Vec<String>,
    heads: Vec<String>,
    events: u64,
}

impl Collector {
    fn new(acceptor: Arc<Acceptor>, wrong: Wrong) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { listener, acceptor, wrong, is_over: AtomicBool::new(false), seen: Mutex::default() }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// Serves while `meanwhile` runs.
    fn during<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        thread::scope(|scope| {
            scope.spawn(|| {
                while let Ok((stream, _)) = self.listener.accept() {
                    if self.is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    scope.spawn(|| self.serve(stream));
                }
            });
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(meanwhile));
            self.is_over.store(true, Ordering::Relaxed);
            drop(TcpStream::connect(("127.0.0.1", self.port())));
            done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn serve(&self, stream: TcpStream) {
        let mut writer = stream.try_clone().unwrap();
        let mut reader = BufReader::new(stream);
        let (mut context, mut sealing, mut messages) = (self.acceptor.context(), None, 0);
        let mut answer = |status: &str, headers: &str, body: &[u8]| {
            write!(writer, "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len())
                .and_then(|()| writer.write_all(body))
                // The host may have hung up on us.
                .is_ok()
        };
        while let Some(request) = read(&mut reader) {
            if !request.token.is_empty() {
                if self.wrong == Wrong::Refuses {
                    answer("401 ", "WWW-Authenticate: Kerberos\r\nWWW-Authenticate: Negotiate\r\n", b"");
                    return;
                }
                assert!(request.body.is_empty(), "{}", request.head);
                let step = context.step(&request.token, None).unwrap();
                let established = step.established.unwrap();
                let mut seen = self.seen.lock().unwrap();
                seen.peers.insert(established.peer.to_string());
                seen.handshakes.push(request.head);
                drop(seen);
                sealing = Some(Sealing::of(established.seal));
                let proof =
                    format!("WWW-Authenticate: {} {}\r\n", request.scheme, STANDARD.encode(&step.token));
                answer("200 ", if self.wrong == Wrong::NoProof { "" } else { &proof }, b"");
                continue;
            }
            messages += 1;
            if self.wrong == Wrong::Forgets && messages == 3 {
                sealing = None;
            }
            let Some(reply) = sealing.as_mut().map(|sealing| self.reply(&request, sealing)) else {
                answer("401 ", "WWW-Authenticate: Kerberos\r\nWWW-Authenticate: Negotiate\r\n", b"");
                continue;
            };
            let framing = Framing::parse(&request.content_type).unwrap();
            let content_type = "application/soap+xml;charset=UTF-16";
            if reply.is_empty() {
                answer("204 ", "", b"");
            } else if self.wrong == Wrong::InClear {
                answer("200 ", &format!("Content-Type: {content_type}\r\n"), &reply);
            } else {
                let Sealed { token, data } = sealing.as_mut().unwrap().seal(&reply);
                let part = Part { content_type, length: reply.len(), token: &token, sealed: &data };
                let mut body = Vec::new();
                framing.write(&[part], false, &mut body);
                answer("200 ", &format!("Content-Type: {framing}\r\n"), &body);
            }
            if self.wrong == Wrong::Closes && messages == 2 {
                return;
            }
        }
    }

    /// What is said to a sealed message.
    fn reply(&self, request: &Request, sealing: &mut Sealing) -> Vec<u8> {
        let framing = Framing::parse(&request.content_type).unwrap();
        let body = sealing.open(&framing.read(&request.body).unwrap()[0]);
        let mut seen = self.seen.lock().unwrap();
        seen.heads.push(request.head.clone());
        let (mut plain, mut text) = (Vec::new(), Vec::new());
        let is_sldc = request.head.contains("Content-Encoding: SLDC\r\n");
        if !is_sldc || sldc::decode(&body, 1 << 24, &mut plain).is_err() {
            plain = body;
        }
        charset::decode(&plain, Some(Charset::Utf16), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let message = wsman::Request::parse(&text).unwrap_or_else(|why| panic!("{:?}: {text}", why.why));
        let reply = match &message.message {
            Message::Enumerate { .. } => Reply::EnumerateResponse(vec![self.offer()]),
            Message::FullDuplex => return Vec::new(),
            Message::Events(events) => {
                seen.events += events.iter().count() as u64;
                Reply::Ack
            }
            _ => Reply::Ack,
        };
        let (mut text, mut out) = (String::new(), Vec::new());
        Answer::new(reply, Guid([1; 16]), message.header.message_id.as_deref()).write(&mut text);
        charset::encode(&text, Charset::Utf16, &mut out);
        out
    }

    fn offer(&self) -> Offer<'static> {
        let subscription = Subscription {
            name: "all".into(),
            query: QueryList::of([("Security", "*"), ("System", "*")]),
            retry: Retry { interval: Duration::from_millis(10), total: 2 },
            ..Subscription::default()
        };
        let address = format!("HTTP://localhost:{}/wsman/subscriptions/1", self.port());
        let endpoint = Endpoint { address, policy: Policy::Open };
        let nil = Guid([0; 16]);
        Offer {
            version: subscription.version(&endpoint),
            message_id: nil,
            operation_id: nil,
            references: vec![Reference::identifier("219C5353-5F3D-4CD7-A644-F6B69E57C1C1")],
            subscription: Cow::Owned(subscription),
            endpoint: Cow::Owned(endpoint),
            bookmark: None,
        }
    }
}

/// Machines of a realm, as hosts of a fleet are called.
pub(crate) struct Machines {
    pub(crate) keytab: PathBuf,
    /// Of their names.
    pub(crate) prefix: String,
}

impl Machines {
    pub(crate) fn new(lab: &Lab, hosts: u32) -> Self {
        let keytab = lab.fresh("machines");
        let prefix = format!("ws{}-", keytab.display().to_string().rsplit('-').next().unwrap());
        let names: Vec<String> =
            (0..hosts).map(|host| format!("{}{host:05}$", prefix.to_ascii_uppercase())).collect();
        let added: String = names.iter().map(|name| format!("addprinc -randkey {name}\n")).collect();
        lab.administer(&format!("{added}ktadd -norandkey -k {} {}\n", keytab.display(), names.join(" ")));
        Self { keytab, prefix }
    }

    /// A fleet of them.
    pub(crate) fn fleet(&self, lab: &Lab, url: &str, more: &[&str]) -> Command {
        let mut command = lab.command(env!("CARGO_BIN_EXE_forebay"));
        command.args(["fleet", url, "-o", "json", "--prefix", &self.prefix]);
        command
            .args(["--domain", &lab.realm().to_ascii_lowercase(), "--keytab"])
            .arg(&self.keytab)
            .args(more);
        command
    }
}

/// The exit code of a fleet and its report, or what it says instead.
pub(crate) fn told(command: &mut Command) -> (Option<i32>, Value) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let errors = Value::String(String::from_utf8_lossy(&output.stderr).into_owned());
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or(errors))
}

#[test]
fn simulated_hosts_sign_in_by_kerberos_as_windows_does() {
    const TEST: &str = "simulated_hosts_sign_in_by_kerberos_as_windows_does";
    let Some((lab, library)) = lab(TEST) else { return };
    let machines = Machines::new(&lab, 3);
    let keytab = lab.keytab(&[LOCALHOST]);
    for (scheme, etype, protocol) in [
        ("kerberos", None, "application/HTTP-Kerberos-session-encrypted"),
        ("negotiate", Some(AES128), "application/HTTP-SPNEGO-session-encrypted"),
        ("negotiate", Some(AES256_SHA2), "application/HTTP-SPNEGO-session-encrypted"),
        ("kerberos", Some(RC4), "application/HTTP-Kerberos-session-encrypted"),
    ] {
        let collector = Collector::new(acceptor(&library, &keytab), Wrong::Nothing);
        let url = format!("http://localhost:{}/wsman/SubscriptionManager/WEC", collector.port());
        let etype: Vec<&str> = etype.iter().flat_map(|etype| ["--etype", etype]).collect();
        let more = ["-n", "3", "--events", "90", "--batch", "10", "--scheme", scheme];
        let mut fleet = machines.fleet(&lab, &url, &[&more[..], &etype].concat());
        let (code, report) = collector.during(|| told(&mut fleet));
        assert_eq!((code, report["acknowledged"].as_u64()), (Some(0), Some(90)), "{scheme}: {report}");
        assert_eq!([&report["failures"], &report["handshakes_failed"]], [&0, &0], "{report}");
        let seen = collector.seen.lock().unwrap();
        assert_eq!(report["handshakes"], seen.handshakes.len(), "{report}");
        assert_eq!((seen.events, seen.peers.len()), (90, 3));
        let first = format!("{}00000$@{REALM}", machines.prefix.to_ascii_uppercase());
        assert_eq!(seen.peers.first(), Some(&first));
        let host = format!("Host: localhost:{}\r\n\r\n", collector.port());
        for head in &seen.handshakes {
            let name = if scheme == "kerberos" { "Kerberos" } else { "Negotiate" };
            let begin = "Connection: Keep-Alive\r\nContent-Type: application/soap+xml;charset=UTF-16\r\n";
            let encoding = if head.contains("/subscriptions/") { "Content-Encoding: SLDC\r\n" } else { "" };
            let begin = format!(" HTTP/1.1\r\n{begin}{encoding}Authorization: {name} ");
            let end = format!("\r\nUser-Agent: Microsoft WinRM Client\r\nContent-Length: 0\r\n{host}");
            assert!(head.contains(&begin) && head.ends_with(&end), "{head}");
        }
        for head in &seen.heads {
            assert!(!head.contains("Authorization"), "{head}");
            assert!(head.contains(&format!(
                "Content-Type: multipart/encrypted;protocol=\"{protocol}\";boundary=\"Encrypted Boundary\"\r\n"
            )));
        }
    }
}

#[test]
fn hosts_take_nothing_from_a_collector_that_does_not_prove_itself_or_speaks_in_clear() {
    const TEST: &str = "hosts_take_nothing_from_a_collector_that_does_not_prove_itself_or_speaks_in_clear";
    let Some((lab, library)) = lab(TEST) else { return };
    let machines = Machines::new(&lab, 2);
    let keytab = lab.keytab(&[LOCALHOST]);
    for (wrong, reasons, why) in [
        (
            Wrong::NoProof,
            "handshake_reasons",
            "the collector did not prove who it is: its answer has no token",
        ),
        (Wrong::Refuses, "handshake_reasons", "HTTP 401, without a token"),
        (Wrong::InClear, "reasons", "Enumerate: not sealed"),
    ] {
        let collector = Collector::new(acceptor(&library, &keytab), wrong);
        let url = format!("http://localhost:{}/wsman/SubscriptionManager/WEC", collector.port());
        let mut fleet = machines.fleet(&lab, &url, &["-n", "2", "--duration", "1s", "--refresh", "300ms"]);
        let (code, report) = collector.during(|| told(&mut fleet));
        assert_eq!((code, &report["acknowledged"]), (Some(0), &0.into()), "{wrong:?}: {report}");
        assert!(report[reasons][why].as_u64() >= Some(2), "{wrong:?}: {report}");
        assert_eq!(collector.seen.lock().unwrap().events, 0);
    }
}

#[test]
fn hosts_that_are_forgotten_or_cut_off_sign_in_again_with_the_tickets_they_have() {
    const TEST: &str = "hosts_that_are_forgotten_or_cut_off_sign_in_again_with_the_tickets_they_have";
    let Some((lab, library)) = lab(TEST) else { return };
    let machines = Machines::new(&lab, 2);
    let keytab = lab.keytab(&[LOCALHOST]);
    for wrong in [Wrong::Forgets, Wrong::Closes] {
        let collector = Collector::new(acceptor(&library, &keytab), wrong);
        let url = format!("http://localhost:{}/wsman/SubscriptionManager/WEC", collector.port());
        let more = ["-n", "2", "--events", "200", "--batch", "10"];
        let (code, report) = collector.during(|| told(&mut machines.fleet(&lab, &url, &more)));
        assert_eq!((code, &report["acknowledged"]), (Some(0), &200.into()), "{wrong:?}: {report}");
        assert_eq!([&report["failures"], &report["handshakes_failed"]], [&0, &0], "{wrong:?}: {report}");
        assert!(report["handshakes"].as_u64() > Some(8), "{wrong:?}: {report}");
    }
    let log = std::fs::read_to_string(lab.folder().join("kdc.log")).unwrap();
    let first = format!("{}00000$@{REALM} for {LOCALHOST}", machines.prefix.to_ascii_uppercase());
    let fetched = log.lines().filter(|line| line.contains("ISSUE") && line.contains(&first)).count();
    assert_eq!(fetched, 2, "one ticket for each run");
}

#[test]
fn a_ticket_over_tls_is_bound_to_the_certificate_of_the_collector() {
    const TEST: &str = "a_ticket_over_tls_is_bound_to_the_certificate_of_the_collector";
    let Some((lab, library)) = lab(TEST) else { return };
    let machines = Machines::new(&lab, 1);
    let folder = tempfile::tempdir().unwrap();
    Authority::new("Corp CA").set_up(folder.path());
    let own = CertificateDer::from_pem_file(folder.path().join("own.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.path().join("own.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/wsman", listener.local_addr().unwrap().port());
    let ca = folder.path().join("ca.pem").display().to_string();
    let mut fleet = machines.fleet(&lab, &url, &["-n", "1", "--server-ca", &ca, "--duration", "3s"]);
    let token = thread::scope(|scope| {
        let fleet = scope.spawn(|| told(&mut fleet));
        let (stream, _) = listener.accept().unwrap();
        let tls = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream);
        let mut lines = BufReader::new(tls).lines().map(Result::unwrap);
        let proof = lines.find_map(|line| line.strip_prefix("Authorization: Kerberos ").map(str::to_owned));
        drop((lines, listener));
        let (_, report) = fleet.join().unwrap();
        assert!(report["handshakes_failed"].as_u64() >= Some(1), "{report}");
        STANDARD.decode(proof.unwrap()).unwrap()
    });
    let acceptor = acceptor(&library, &lab.keytab(&[LOCALHOST]));
    let refused = acceptor.context().step(&token, Some(&end_point(b"another certificate")));
    assert!(refused.is_err());
    let bound = acceptor.context().step(&token, Some(&end_point(&own))).unwrap().established.unwrap();
    assert!(bound.flags.has(Flags::BOUND), "{bound:?}");
}

#[test]
fn what_cannot_begin_says_why() {
    const TEST: &str = "what_cannot_begin_says_why";
    let Some((lab, _)) = lab(TEST) else { return };
    let machines = Machines::new(&lab, 1);
    let (http, https) = ("http://localhost:5985/wsman", "https://localhost:5986/wsman");
    for (url, more, code, why) in [
        (http, &["--password", "x"][..], 64, "cannot be used with"),
        (http, &["-n", "3"], 65, "00001$@FOREBAY.TEST, nor of another host"),
        (http, &["--realm", "OTHER.TEST"], 65, "00000$@OTHER.TEST"),
        (http, &["--etype", "aes512"], 64, "`aes512` is no encryption type"),
        (http, &["--fault-certificate", "0.1"], 64, "is for an https address"),
        (https, &["--fault-certificate", "0.1"], 64, "those of a domain have none"),
        (https, &[], 64, "name the CA of the collector's certificate"),
    ] {
        let (found, told) = told(&mut machines.fleet(&lab, url, more));
        let told = told.as_str().unwrap().to_owned();
        assert!(found == Some(code) && told.contains(why), "{more:?}: {found:?}, {told}");
    }
}
