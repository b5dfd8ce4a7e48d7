//! Hosts that come in with Kerberos, by clients that nobody here wrote, and those that cannot: what they are told,
//! and what an operator is.

mod bad_input;
mod ended;
mod forest;
mod kills;
mod matrix;
mod members;
#[cfg(feature = "sspi")]
mod sspi;

use super::{LOGONS, Site, WEC, batch, only};
use crate::kerberos::{each_misfit, lab, python, token};
use crate::support::host::{self, Host, Offered, bookmark};
use crate::support::lab::{AES256, LOCALHOST, Lab, Member, RC4, find};
use crate::support::once::findings;
use crate::support::process::{Process, eventually, forebay, free_port, http_get, quiet, told};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use forebay::auth::gss::{Library, Mechanism};
use forebay::kerberos::token::Content;
use forebay::kerberos::{KrbError, Token};
use forebay::wsman::ns::{action, resource};
use forebay::wsman::request::Message;
use forebay::wsman::{Answer, Header, Reply};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

const PLAIN: &str = "auth.kerberos.keytab = 'wec.keytab'\n";
const TLS: &str = "auth.kerberos.keytab = 'wec.keytab'\ntls.certificate = 'own.pem'\ntls.key = 'own.key'\n";

/// A collector whose service has these keys.
struct Setting {
    site: Site,
    running: Process,
    http: u16,
    /// Of the service that clients have tickets for.
    host: String,
}

impl Setting {
    fn new(entrance: &'static str, keytab: &Path) -> Self {
        Self::configured(entrance, keytab, None)
    }

    /// With a `krb5.conf` of its own.
    fn configured(entrance: &'static str, keytab: &Path, configuration: Option<&Path>) -> Self {
        let site = Site::bare(entrance);
        if entrance == TLS {
            crate::support::authority::Authority::new("Corp CA").set_up(site.path());
        }
        put(keytab, &site);
        site.write(LOGONS, "");
        let http = free_port();
        site.add(&format!("[http]\nlisten = '127.0.0.1:{http}'\n"));
        let mut command = forebay(site.path(), &["run", "pipeline.toml"]);
        command.envs(configuration.map(|path| ("KRB5_CONFIG", path)));
        let running = site.up(command);
        Self { site, running, http, host: "localhost".into() }
    }

    /// What a real client makes of a message that it sends twice.
    #[track_caller]
    fn send(&self, python: &Path, client: &impl Member, name: &str, path: &str, message: &str) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kerberos/clients.py");
        let mut command = client.command(python.to_str().unwrap());
        command.args([script, name, &self.site.port.to_string(), &self.host, path.trim_start_matches('/')]);
        command.args(self.is_tls().then_some("https"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(message.as_bytes()).unwrap();
        let Output { stdout, stderr, .. } = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&stderr);
        assert!(!stdout.is_empty(), "{name}: {errors}{}", told(self.site.path()));
        // RC4 leaves its byte of padding with some clients.
        String::from_utf8_lossy(&stdout).replace('\u{1}', "")
    }

    /// What curl makes of a message that it does not seal.
    fn curl(&self, client: &impl Member, message: &str) -> String {
        let (port, name) = (self.site.port, &self.host);
        let mut curl = client.command("curl");
        curl.args(["-s", "-S", "-i", "--negotiate", "-u", ":", "--max-time", "30", "-H"])
            .args([
                "Content-Type: application/soap+xml;charset=UTF-8",
                "-H",
                "Expect:",
                "--data-binary",
                message,
            ])
            .args(["--resolve", &format!("{name}:{port}:127.0.0.1")])
            .arg(format!("http://{name}:{port}/wsman"));
        String::from_utf8(curl.output().unwrap().stdout).unwrap()
    }

    fn is_tls(&self) -> bool {
        self.site.path().join("own.pem").exists()
    }

    /// Enumerates and delivers as this client.
    #[track_caller]
    fn deliver(&self, python: &Path, client: &impl Member, name: &str, record: u64) {
        let machine = machine(client);
        let host = Host::new(&machine, self.site.port);
        let header = Header {
            resource: Some(resource::SUBSCRIPTION_MANAGER.into()),
            ..host.header(action::ENUMERATE)
        };
        let asked = host::written(header, Message::Enumerate { optimized: true, max_elements: Some(32_000) });
        let told = self.send(python, client, name, WEC, &asked);
        let one = half(&told);
        let profile = if self.is_tls() {
            "secprofile/https/spnego-kerberos"
        } else {
            "secprofile/http/spnego-kerberos"
        };
        assert!(one.contains(profile), "{name}: {one}");
        let to = only(offered(one));
        let delivered = host.events(&to, &batch(&host, record..=record), &bookmark("Security", record));
        let told = self.send(python, client, name, &to.path, &delivered);
        for answer in [half(&told), &told[half(&told).len()..]] {
            assert!(
                matches!(Answer::parse(answer), Ok(Answer { reply: Reply::Ack, .. })),
                "{name}: {answer}"
            );
        }
        let kept = (machine, record);
        eventually("it is in the file", || self.site.events().contains(&kept));
        assert_eq!(self.site.events().iter().filter(|event| **event == kept).count(), 1, "{name}");
    }

    /// One request with a token and no body; what is answered.
    fn sign_in(&self, scheme: &str, token: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.site.port)).unwrap();
        let proof = STANDARD.encode(token);
        let head = format!(
            "POST {WEC} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: {scheme} {proof}\r\n\
             Content-Type: application/soap+xml;charset=UTF-16\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn metric(&self, name: &str, reason: &str) -> u64 {
        let told = http_get(self.http, "/metrics");
        let line = format!("forebay_source_{name}{{source=\"dc\"{reason}}} ");
        let value = told.lines().find_map(|told| told.strip_prefix(&line));
        value.unwrap_or_else(|| panic!("no {line}: {told}")).parse().unwrap()
    }

    /// Rows of `forebay hosts` of peers that could not sign in.
    fn denied(&self) -> Vec<Value> {
        let args = ["hosts", "pipeline.toml", "--state", "denied", "-o", "json"];
        let Output { stdout, .. } = forebay(self.site.path(), &args).stdout(Stdio::piped()).output().unwrap();
        serde_json::from_slice(&stdout).unwrap()
    }

    /// Findings of the log that hold both texts.
    fn told_of(&self, one: &str, other: &str) -> usize {
        let told = told(self.site.path());
        told.lines().filter(|line| line.contains(one) && line.contains(other)).count()
    }
}

fn put(keytab: &Path, site: &Site) {
    let (new, own) = (site.path().join("wec.keytab.new"), site.path().join("wec.keytab"));
    fs::copy(keytab, &new).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&new, &own).unwrap();
}

/// `WIN3$@FOREBAY.TEST` as its events name it.
fn machine(client: &impl Member) -> String {
    client.principal().replacen("$@", ".", 1).to_lowercase()
}

/// The first of two answers, which are of one length and stand one behind the other.
fn half(told: &str) -> &str {
    &told[..told.len() / 2]
}

fn offered(text: &str) -> Vec<Offered> {
    let Ok(Answer { reply: Reply::EnumerateResponse(offers), .. }) = Answer::parse(text) else {
        panic!("{text}")
    };
    Host::offered(offers)
}

#[test]
fn clients_that_nobody_here_wrote_enumerate_and_deliver() {
    const TEST: &str = "clients_that_nobody_here_wrote_enumerate_and_deliver";
    let (Some((lab, _)), Some(python)) = (lab(TEST), python(TEST)) else { return };
    let setting = Setting::new(PLAIN, &lab.keytab(&[LOCALHOST]));
    let client = lab.client();
    for (record, name) in [(1, "pypsrp-kerberos"), (2, "pypsrp-negotiate"), (3, "pywinrm")] {
        setting.deliver(&python, &client, name, record);
    }
    assert_eq!(findings(&told(setting.site.path())), [""; 0]);
    assert!(setting.metric("kerberos_handshakes_total", "") >= 6);
    setting.running.stop();
    assert_eq!(setting.running.code(), Some(0));
}

#[test]
fn over_https_a_ticket_is_enough() {
    const TEST: &str = "over_https_a_ticket_is_enough";
    let (Some((lab, _)), Some(python)) = (lab(TEST), python(TEST)) else { return };
    let setting = Setting::new(TLS, &lab.keytab(&[LOCALHOST]));
    let client = lab.client();
    for (record, name) in [(1, "pypsrp-kerberos"), (2, "pypsrp-negotiate"), (3, "pywinrm")] {
        setting.deliver(&python, &client, name, record);
    }
    assert_eq!(findings(&told(setting.site.path())), [""; 0]);
}

#[test]
fn a_ticket_without_a_seal_may_only_ask_who_we_are() {
    const TEST: &str = "a_ticket_without_a_seal_may_only_ask_who_we_are";
    let Some((lab, _)) = lab(TEST) else { return };
    if find("curl").is_none() {
        return println!("SKIP {TEST}: curl is not installed");
    }
    let setting = Setting::new(PLAIN, &lab.keytab(&[LOCALHOST]));
    let client = lab.client();
    let host = Host::new(&machine(&client), setting.site.port);
    let ask = |message: &str| setting.curl(&client, message);
    let identify = host::written(Header::default(), Message::Identify);
    let told = ask(&identify);
    assert!(told.contains("HTTP/1.1 200 OK") && told.contains("ProductVendor>Forebay"), "{told}");
    let header =
        Header { resource: Some(resource::SUBSCRIPTION_MANAGER.into()), ..host.header(action::ENUMERATE) };
    let asked = host::written(header, Message::Enumerate { optimized: true, max_elements: Some(32_000) });
    let told = ask(&asked);
    assert!(told.contains("HTTP/1.1 500") && !told.contains("EnumerateResponse"), "{told}");
    eventually("it is told", || setting.told_of("not sealed", "AllowUnencrypted") == 1);
    let told = ask(&format!("{identify}{}", " ".repeat(10_000)));
    assert!(told.contains("HTTP/1.1 403"), "{told}");
}

/// A ticket for this service, in a token that a collector with this keytab is sent in both schemes.
#[track_caller]
fn check(lab: &Arc<Lab>, library: &Library, service: &str, keytab: &Path, expected: (&str, &str)) {
    let (setting, client) = (Setting::new(PLAIN, keytab), lab.client());
    client.ticket(service);
    for (scheme, mechanism) in [("Kerberos", Mechanism::Kerberos), ("Negotiate", Mechanism::Spnego)] {
        let answer = setting.sign_in(scheme, &token(library, &client, service, mechanism));
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        for way in ["Kerberos", "Negotiate"] {
            assert!(answer.contains(&format!("www-authenticate: {way}\r\n")), "{answer}");
        }
        let error = krb_error(&answer, scheme);
        assert!(error.server_time.0 > 0);
    }
    setting.is_denied(expected);
}

impl Setting {
    /// Two attempts are one finding in the log, in the table and in the metrics.
    #[track_caller]
    fn is_denied(&self, (reason, word): (&str, &str)) {
        eventually("it is told", || self.told_of("cannot sign in with Kerberos", word) > 0);
        assert_eq!(
            self.told_of("127.0.0.1 cannot sign in with Kerberos", word),
            1,
            "{}",
            told(self.site.path())
        );
        assert_eq!(self.metric("failed_kerberos_handshakes_total", &format!(",reason=\"{reason}\"")), 2);
        let denied = self.denied();
        assert_eq!(denied.len(), 1, "{denied:?}");
        assert_eq!((&denied[0]["host"], &denied[0]["reason"]), (&"127.0.0.1".into(), &reason.into()));
        let told = ["last_finding", "fix"].map(|key| denied[0][key].as_str().unwrap()).concat();
        assert!(told.contains(word), "{denied:?}");
    }
}

/// What the client is told in the token of a refusal.
#[track_caller]
fn krb_error(answer: &str, scheme: &str) -> KrbError {
    let prefix = format!("www-authenticate: {scheme} ");
    let token =
        answer.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_else(|| panic!("{answer}"));
    let token = STANDARD.decode(token).unwrap();
    match Token::peek(&token).map(|token| token.content) {
        Ok(Content::Error(error)) => *error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_keytab_that_does_not_fit_is_told_with_what_to_do() {
    let Some((lab, library)) = lab("a_keytab_that_does_not_fit_is_told_with_what_to_do") else { return };
    each_misfit(&lab, |service, keytab, expected| check(&lab, &library, service, keytab, expected));
}

#[test]
fn ntlm_garbage_and_a_replay_are_told_and_a_new_keytab_is_taken_at_once() {
    const TEST: &str = "ntlm_garbage_and_a_replay_are_told_and_a_new_keytab_is_taken_at_once";
    let Some((lab, library)) = lab(TEST) else { return };
    let (service, client) = (lab.service(&[AES256]), lab.client());
    let keytab = lab.keytab(&[&service]);
    client.ticket(&service);
    let fresh = || token(&library, &client, &service, Mechanism::Kerberos);
    for (first, reason, word) in [
        (b"NTLMSSP\0\x01\0\0\0\x97\x82\x08\xe2".to_vec(), "ntlm", "TrustedHosts"),
        (b"hello".to_vec(), "garbage", "no Windows sends"),
    ] {
        let setting = Setting::new(PLAIN, &keytab);
        for _ in 0..2 {
            assert!(setting.sign_in("Negotiate", &first).starts_with("HTTP/1.1 401 "));
        }
        setting.is_denied((reason, word));
    }
    let setting = Setting::new(PLAIN, &keytab);
    let once = fresh();
    let answer = setting.sign_in("Kerberos", &once);
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.contains("www-authenticate: Kerberos "),
        "{answer}"
    );
    for _ in 0..2 {
        assert_eq!(krb_error(&setting.sign_in("Kerberos", &once), "Kerberos").code, 34);
    }
    setting.is_denied(("replay", "had come before"));

    lab.change_key(&service);
    let client = lab.client();
    client.ticket(&service);
    let newer = || token(&library, &client, &service, Mechanism::Kerberos);
    assert!(setting.sign_in("Kerberos", &newer()).starts_with("HTTP/1.1 401 "));
    put(&lab.keytab(&[&service]), &setting.site);
    assert!(setting.sign_in("Kerberos", &newer()).starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_clock_that_is_wrong_is_told_with_its_seconds() {
    const TEST: &str = "a_clock_that_is_wrong_is_told_with_its_seconds";
    let Some((lab, library)) = lab(TEST) else { return };
    if find("faketime").is_none() {
        return println!("SKIP {TEST}: faketime is not installed");
    }
    let (service, client) = (lab.service(&[AES256]), lab.client());
    let keytab = lab.keytab(&[&service]);
    client.ticket(&service);
    for (clock, code, told) in [
        ("+10m", 37, ("clock_skew", "s behind ours")),
        ("+11h", 32, ("ticket_expired", "its ticket has ended, ")),
        ("-1h", 33, ("ticket_not_yet_valid", "s to go")),
    ] {
        let site = Site::bare(PLAIN);
        put(&keytab, &site);
        site.write(LOGONS, "");
        let http = free_port();
        site.add(&format!("[http]\nlisten = '127.0.0.1:{http}'\n"));
        let mut other = Command::new("faketime");
        other.args(["-f", clock, env!("CARGO_BIN_EXE_forebay"), "run", "pipeline.toml"]);
        other.env("DONT_FAKE_MONOTONIC", "1");
        let running = site.up(quiet(other, site.path()));
        let setting = Setting { site, running, http, host: "localhost".into() };
        for _ in 0..2 {
            let token = token(&library, &client, &service, Mechanism::Kerberos);
            assert_eq!(krb_error(&setting.sign_in("Kerberos", &token), "Kerberos").code, code, "{clock}");
        }
        setting.is_denied(told);
        if code == 37 {
            let denied = setting.denied();
            assert!(denied[0]["last_finding"].as_str().unwrap().contains(&client.principal), "{denied:?}");
        }
    }
}

#[test]
fn a_thousand_that_are_right_are_told_nothing_of() {
    let Some((lab, library)) = lab("a_thousand_that_are_right_are_told_nothing_of") else { return };
    let (service, client) = (lab.service(&[AES256]), lab.client());
    let good = lab.keytab(&[&service]);
    client.ticket(&service);
    // The number of the version is wrong, and the key is right: the last byte but those of a longer one.
    let mut bytes = fs::read(&good).unwrap();
    let end = bytes.len();
    bytes[end - 1] ^= 5;
    let other = lab.fresh("version.keytab");
    fs::write(&other, &bytes).unwrap();
    for (keytab, count) in [(&good, 900), (&other, 100)] {
        let setting = Setting::new(PLAIN, keytab);
        for number in 0..count {
            let (scheme, mechanism) =
                [("Kerberos", Mechanism::Kerberos), ("Negotiate", Mechanism::Spnego)][number % 2];
            let answer = setting.sign_in(scheme, &token(&library, &client, &service, mechanism));
            assert!(answer.starts_with("HTTP/1.1 200 "), "{number}: {answer}");
        }
        assert_eq!(setting.metric("kerberos_handshakes_total", ""), count as u64);
        assert_eq!(findings(&told(setting.site.path())), [""; 0]);
        assert_eq!(setting.denied(), [] as [Value; 0]);
    }
}
