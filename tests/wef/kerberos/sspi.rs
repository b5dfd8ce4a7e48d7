//! Hosts that sign in with a password and without the Kerberos library on their side, to a collector that has it: in a
//! realm of MIT and in a domain of Samba; and those that cannot.

use super::members::collector;
use super::*;
use crate::kerberos::fleet;
use crate::support::domain::Domain;

const PASSWORD: &str = "throw-away pass wörd";

/// A fleet with this password, whose machines have names that begin so.
fn hosts(lab: &Lab, setting: &Setting, prefix: &str, password: &str, more: &[&str]) -> Command {
    fs::write(setting.site.path().join("password"), format!("{password}\r\n")).unwrap();
    let scheme = if setting.is_tls() { "https" } else { "http" };
    let mut command = lab.command(env!("CARGO_BIN_EXE_forebay"));
    command.args(["fleet", &format!("{scheme}://localhost:{}{WEC}", setting.site.port), "-o", "json"]);
    command.args(["--domain", &lab.realm().to_ascii_lowercase(), "--prefix", prefix, "--password-file"]);
    command.arg(setting.site.path().join("password")).args(more);
    command
}

/// Names of machines that the realm has, with the password.
fn machines(lab: &Lab, count: u32) -> String {
    let fresh = lab.fresh("pw");
    let prefix = format!("{}-", fresh.file_name().unwrap().to_str().unwrap());
    let added: String = (0..count)
        .map(|host| format!("{}{host:05}$", prefix.to_ascii_uppercase()))
        .map(|name| format!("addprinc +requires_preauth -pw \"{PASSWORD}\" {name}\n"))
        .collect();
    lab.administer(&added);
    prefix
}

#[test]
fn what_hosts_with_a_password_send_arrives_once() {
    let Some((lab, _)) = lab("what_hosts_with_a_password_send_arrives_once") else { return };
    let (prefix, kdc) = (machines(&lab, 2), format!("127.0.0.1:{}", lab.port()));
    for entrance in [PLAIN, TLS] {
        let setting = Setting::new(entrance, &lab.keytab(&[LOCALHOST]));
        let ledger = setting.site.path().join("ledger").display().to_string();
        let ca = setting.site.path().join("ca.pem").display().to_string();
        let trust = if setting.is_tls() { &["--server-ca", &ca][..] } else { &[] };
        for scheme in ["kerberos", "negotiate"] {
            let more = ["-n", "2", "--events", "60", "--batch", "10", "--ledger", &ledger];
            let more = [&more[..], &["--kdc", &kdc, "--scheme", scheme], trust].concat();
            let (code, report) = fleet::told(&mut hosts(&lab, &setting, &prefix, PASSWORD, &more));
            assert_eq!((code, report["acknowledged"].as_u64()), (Some(0), Some(60)), "{report}");
            assert_eq!([&report["failures"], &report["handshakes_failed"]], [&0, &0], "{report}");
            assert_eq!(report["handshakes"], report["connections"], "{report}");
        }
        setting.running.stop();
        assert_eq!(setting.running.code(), Some(0));
        let verify = ["fleet", "verify", &ledger, "out", "-o", "json"];
        let verdict = forebay(setting.site.path(), &verify).stdout(Stdio::piped()).output().unwrap().stdout;
        let verdict: Value = serde_json::from_slice(&verdict).unwrap();
        assert_eq!([&verdict["delivered"], &verdict["lost"]], [&120, &0], "{verdict}");
        assert_eq!(findings(&told(setting.site.path())), [""; 0]);
    }
}

#[test]
fn machines_of_a_trusted_realm_are_referred_to_ours() {
    let Some((lab, _)) = lab("machines_of_a_trusted_realm_are_referred_to_ours") else { return };
    // Centres refer whole names only.
    let (branch, service) = (lab.trusted(), lab.service(&[AES256]));
    let setting = Setting::new(PLAIN, &lab.keytab(&[&service]));
    let (prefix, kdc) = (machines(&branch, 1), format!("127.0.0.1:{}", branch.port()));
    for scheme in ["kerberos", "negotiate"] {
        let more = ["-n", "1", "--events", "20", "--duration", "20s", "--kdc", &kdc, "--scheme", scheme];
        let more = [&more[..], &["--service", &service]].concat();
        let (code, report) = fleet::told(&mut hosts(&branch, &setting, &prefix, PASSWORD, &more));
        assert_eq!((code, &report["acknowledged"]), (Some(0), &20.into()), "{report}");
        assert_eq!(report["handshakes_failed"], 0, "{report}");
    }
}

#[test]
fn who_cannot_sign_in_with_a_password_is_told_why() {
    let Some((lab, _)) = lab("who_cannot_sign_in_with_a_password_is_told_why") else { return };
    let (prefix, kdc) = (machines(&lab, 1), format!("127.0.0.1:{}", lab.port()));
    let dead = format!("127.0.0.1:{}", free_port());
    let setting = Setting::new(PLAIN, &lab.keytab(&[LOCALHOST]));
    let [unreachable, refused] =
        [format!("({dead}: does not connect: "), format!("{kdc} refuses with code ")];
    for (password, more, why) in [
        ("another", &["--kdc", &kdc][..], &[&*refused, "the password or key is wrong"][..]),
        (
            PASSWORD,
            &["--kdc", &kdc, "--user", "nobody"],
            &[&*refused, "realm FOREBAY.TEST has no such account"],
        ),
        (PASSWORD, &["--kdc", &kdc, "--service", "HTTP/nobody"], &["has no service HTTP/nobody"]),
        (PASSWORD, &["--kdc", &dead], &["no key distribution centre of FOREBAY.TEST answers", &*unreachable]),
        (PASSWORD, &["--scheme", "ntlm"], &["HTTP 401, without a token"]),
        (PASSWORD, &["--scheme", "negotiate"], &["the service takes no NTLM"]),
    ] {
        let more = [&["-n", "1", "--duration", "1500ms"], more].concat();
        let (code, report) = fleet::told(&mut hosts(&lab, &setting, &prefix, password, &more));
        assert_eq!((code, &report["handshakes"]), (Some(0), &0.into()), "{report}");
        let reasons: Vec<&String> = report["handshake_reasons"].as_object().unwrap().keys().collect();
        assert_eq!(reasons.len(), 1, "{report}");
        assert!(why.iter().all(|why| reasons[0].contains(why)), "{report}");
    }
    eventually("it is told", || setting.told_of("it offers NTLM", "TrustedHosts") >= 1);
}

#[test]
fn members_of_a_domain_of_samba_sign_in_with_their_password() {
    const TEST: &str = "members_of_a_domain_of_samba_sign_in_with_their_password";
    let Some(domain) = Domain::start(TEST) else { return };
    let setting = collector(&domain, &domain.path("services.keytab"));
    let fleet = |service: &str, password: &str, more: &[&str]| {
        fs::write(domain.path("password"), password).unwrap();
        let url = format!("http://{service}.corp.forebay.test:{}{WEC}", setting.site.port);
        let mut fleet = domain.command(env!("CARGO_BIN_EXE_forebay"));
        fleet.args(["fleet", &url, "-n", "1", "--domain", "corp.forebay.test", "-o", "json"]);
        fleet.args(["--connect", &format!("127.0.0.1:{}", setting.site.port), "--password-file"]);
        fleet.arg(domain.path("password")).args(["--kdc", "127.0.0.10"]).args(more);
        fleet::told(&mut fleet)
    };
    for (service, scheme, kdc) in [
        ("aes", "kerberos", "127.0.0.10"),
        ("aes256", "negotiate", "udp://127.0.0.10"),
        // The ticket is of RC4 and the session key is not.
        ("default", "kerberos", "127.0.0.10"),
    ] {
        let more = ["--events", "20", "--batch", "5", "--scheme", scheme, "--kdc", kdc];
        let (code, report) = fleet(service, "Passw0rd-of-WS-00000", &more);
        assert_eq!((code, &report["acknowledged"]), (Some(0), &20.into()), "{service}: {report}");
    }
    let brief = ["--duration", "1500ms"];
    for (service, password, more, why) in [
        ("aes", "another", &[][..], "refuses with code 24: the password or key is wrong"),
        ("aes", "x", &["--user", "nobody"], "has no such account"),
        ("aes", "Passw0rd-of-WS-00001", &["--user", "WS-00001$", "--service", "HTTP/nobody"], "code 7"),
        (
            "aes",
            "Passw0rd-of-DISABLED",
            &["--user", "DISABLED$"],
            "refuses with code 18: the account is disabled",
        ),
        // Their session keys are of types that the crate has not.
        ("aes128", "Passw0rd-of-WS-00000", &[], "the sspi crate: invalid key length"),
        ("rc4", "Passw0rd-of-WS-00000", &[], "no encryption type in common"),
    ] {
        let (code, report) = fleet(service, password, &[&brief, more].concat());
        assert_eq!((code, &report["handshakes"]), (Some(0), &0.into()), "{report}");
        let reasons = report["handshake_reasons"].as_object().unwrap();
        assert!(reasons.keys().all(|reason| reason.contains(why)) && !reasons.is_empty(), "{why}: {report}");
    }
    assert_eq!(findings(&told(setting.site.path())), [""; 0]);
}

#[test]
fn a_command_line_that_makes_no_sense_says_why() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("password", "secret\n"), ("empty", "\n")] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let url = "http://localhost:5985/wsman";
    for (more, code, why) in [
        (&["--password-file", "password"][..], 64, "needs a key distribution centre"),
        (&["--password-file", "password", "--scheme", "ntlm", "--kdc", "dc1"], 64, "leave out `--kdc`"),
        (&["--password-file", "password", "--kdc", "http://dc1"], 64, "is no key distribution centre"),
        (&["--password-file", "absent", "--kdc", "dc1"], 66, "cannot read absent"),
        (&["--password-file", "empty", "--kdc", "dc1"], 65, "there is no password in empty"),
        (&["--keytab", "keytab", "--scheme", "ntlm"], 64, "NTLM needs a password"),
        (&["--keytab", "keytab", "--password-file", "password"], 64, "cannot be used with"),
        (&["--kdc", "dc1"], 64, "required"),
    ] {
        let mut command = forebay(folder.path(), &[&["fleet", url], more].concat());
        let output = command.stderr(Stdio::piped()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && told.contains(why), "{more:?}: {told}");
    }
}
