//! Handshakes that begin with a password or one key, without the Kerberos library on our side: against our acceptor,
//! which has it, with tickets of a real centre, and against an acceptor of NTLM that nobody here wrote.

use super::*;
use crate::support::lab::{AES128, AES256, REALM, find};
use forebay::auth::handshake::{Flags, Step};
use forebay::auth::sealing::Sealing;
use forebay::auth::sspi::{
    Centre, CentreSettings, Identity, IdentityError, Initiating, Initiator, Server, Way,
};
use forebay::kerberos::Keytab;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

const PASSWORD: &str = "throw-away pass wörd";

/// An account of the centre, with this password.
fn account(lab: &Lab) -> String {
    let name = lab.fresh("alice").file_name().unwrap().to_str().unwrap().to_owned();
    lab.administer(&format!("addprinc +requires_preauth -pw \"{PASSWORD}\" {name}\n"));
    name
}

fn server(port: u16) -> Server {
    Server { host: "127.0.0.1".into(), port, is_datagram: false }
}

fn centre(servers: Vec<Server>) -> Arc<Centre> {
    let short =
        CentreSettings { answer_timeout: Duration::from_secs(1), ..CentreSettings::new(REALM, servers) };
    Arc::new(Centre::new(short))
}

fn of_lab(lab: &Lab) -> Arc<Centre> {
    centre(vec![server(lab.port())])
}

/// A handshake of this account with a service.
fn beginning(way: Way, account: &str, password: &str, service: &str) -> Initiating {
    let identity = Identity::password(account, REALM, password).unwrap();
    Initiator::new(identity, way, "TEST").unwrap().context(service).unwrap()
}

/// Messages of both sides, each opened by the other, and none of them twice.
#[track_caller]
fn check_messages(ours: Sealing, theirs: Sealing) {
    let (mut ours, mut theirs) = (ours, theirs);
    for length in [1, 15, 20_000] {
        let message: Vec<u8> = (0..length).map(|number: u32| number as u8).collect();
        for _ in 0..2 {
            let sealed = theirs.seal(&message).unwrap();
            let mut data = sealed.data.clone();
            assert_eq!(ours.open(&sealed.token, &mut data, message.len()).unwrap(), message.len());
            assert_eq!(data, message);
            std::mem::swap(&mut ours, &mut theirs);
        }
    }
    let sealed = theirs.seal(b"once").unwrap();
    assert_eq!(ours.open(&sealed.token, &mut sealed.data.clone(), 4).unwrap(), 4);
    assert!(ours.open(&sealed.token, &mut sealed.data.clone(), 4).is_err());
}

/// What a handshake fails with, in words, and with codes.
#[track_caller]
fn failure(mut initiating: Initiating) -> (String, Vec<i32>) {
    let failure = initiating.step(&[], None).unwrap_err();
    assert_eq!(initiating.step(&[], None).unwrap_err().cause, Cause::Over);
    (failure.to_string(), failure.refused.iter().map(|one| one.error.code).collect())
}

#[test]
fn a_password_or_a_key_signs_in_and_messages_are_sealed_both_ways() {
    const TEST: &str = "a_password_or_a_key_signs_in_and_messages_are_sealed_both_ways";
    let Some((lab, library)) = lab(TEST) else { return };
    let (service, name, client) = (lab.service(&[AES256]), account(&lab), lab.client());
    lab.administer(&format!("modprinc +requires_preauth {}\n", client.principal));
    let acceptor = acceptor(&library, &lab.keytab(&[&service]));
    let machine = client.principal.split('@').next().unwrap();
    let keytab = Keytab::parse(&fs::read(&client.keytab).unwrap()).unwrap();
    let identities = [
        (Identity::password(&name, REALM, PASSWORD).unwrap(), format!("{name}@{REALM}")),
        (Identity::key(&keytab, machine, REALM).unwrap(), client.principal.clone()),
    ];
    let centre = of_lab(&lab);
    for (identity, principal) in identities {
        for (way, mechanism) in [
            (Way::Kerberos(centre.clone()), Mechanism::Kerberos),
            (Way::Negotiate(centre.clone()), Mechanism::Spnego),
        ] {
            let initiator = Initiator::new(identity.clone(), way, "TEST").unwrap();
            let mut initiating = initiator.context(&service).unwrap();
            let mut accepting = acceptor.context();
            let [ours, theirs] = shake_hands((&mut accepting, None), (&mut initiating, None)).unwrap();
            assert_eq!((&*ours.peer, &*theirs.peer), (&*principal, &*service));
            assert_eq!((ours.mechanism, theirs.mechanism), (mechanism, mechanism));
            let wanted = Flags::MUTUAL | Flags::CONFIDENTIAL | Flags::INTEGRITY | Flags::SEQUENCE;
            assert!(ours.flags.has(wanted) && theirs.flags.has(wanted), "{:?}", ours.flags);
            check_messages(Sealing::new(ours.seal).unwrap(), Sealing::new(theirs.seal).unwrap());
            let codes: Vec<i32> = initiating.refused().iter().map(|one| one.error.code).collect();
            assert_eq!(codes, [25], "a proof was asked for first, and nothing else was refused");
        }
    }
}

#[test]
fn a_ticket_over_tls_is_not_bound_and_is_taken() {
    let Some((lab, library)) = lab("a_ticket_over_tls_is_not_bound_and_is_taken") else { return };
    let (service, name) = (lab.service(&[AES256]), account(&lab));
    let acceptor = acceptor(&library, &lab.keytab(&[&service]));
    let bindings = Some(&b"tls-server-end-point:\x01\x02\x03"[..]);
    for way in [Way::Kerberos(of_lab(&lab)), Way::Negotiate(of_lab(&lab))] {
        let mut initiating = beginning(way, &name, PASSWORD, &service);
        let [ours, _] =
            shake_hands((&mut acceptor.context(), bindings), (&mut initiating, bindings)).unwrap();
        assert!(!ours.flags.has(Flags::BOUND));
    }
}

#[test]
fn what_the_centre_refuses_is_told_in_words() {
    let Some((lab, _)) = lab("what_the_centre_refuses_is_told_in_words") else { return };
    let (service, name) = (lab.service(&[AES256]), account(&lab));
    let [locked, expired, old] = [0; 3].map(|_| account(&lab));
    lab.administer(&format!(
        "modprinc -allow_tix {locked}\nmodprinc -expire yesterday {expired}\nmodprinc -pwexpire yesterday {old}\n"
    ));
    let (unknown, shorter) = (format!("HTTP/nobody.forebay.test@{REALM}"), lab.service(&[AES128]));
    lab.administer(&format!("setstr {shorter} session_enctypes {AES128}\n"));
    for (name, password, service, codes, words) in [
        (&name, "another", &service, &[25, 24][..], "refuses with code 24"),
        (&name, "another", &service, &[25, 24], "the password or key is wrong"),
        (&"nobody".to_owned(), PASSWORD, &service, &[6], "realm FOREBAY.TEST has no such account"),
        (&name, PASSWORD, &unknown, &[25, 7], "has no service HTTP/nobody.forebay.test"),
        (&locked, PASSWORD, &service, &[18], "the account is disabled, locked or expired"),
        (&expired, PASSWORD, &service, &[1], "the account has expired"),
        (&old, PASSWORD, &service, &[23], "the password has expired"),
        (&name, PASSWORD, &shorter, &[25], "the sspi crate: invalid key length"),
    ] {
        for way in [Way::Kerberos(of_lab(&lab)), Way::Negotiate(of_lab(&lab))] {
            let (told, found) = failure(beginning(way, name, password, service));
            assert!(told.contains(words), "{told}");
            assert_eq!(found, codes, "{told}");
        }
    }
}

#[test]
fn centres_that_are_away_or_answer_half_are_told_and_the_next_one_is_asked() {
    const TEST: &str = "centres_that_are_away_or_answer_half_are_told_and_the_next_one_is_asked";
    let Some((lab, library)) = lab(TEST) else { return };
    let (service, name) = (lab.service(&[AES256]), account(&lab));
    let acceptor = acceptor(&library, &lab.keytab(&[&service]));
    let dead = server(TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let half = server(listener.local_addr().unwrap().port());
    thread::spawn(move || {
        for stream in listener.incoming() {
            halve(stream.unwrap());
        }
    });
    for way in [Way::Kerberos, Way::Negotiate] {
        let servers = vec![dead.clone(), half.clone()];
        let (told, codes) = failure(beginning(way(centre(servers)), &name, PASSWORD, &service));
        let start = format!("no key distribution centre of FOREBAY.TEST answers ({dead}: does not connect: ");
        assert!(told.starts_with(&start), "{told}");
        let end = format!("; {half}: answers with 2 of 100 bytes of its answer, then closes)");
        assert!(told.ends_with(&end) && codes.is_empty(), "{told}");

        let servers = vec![dead.clone(), half.clone(), server(lab.port())];
        let mut initiating = beginning(way(centre(servers)), &name, PASSWORD, &service);
        shake_hands((&mut acceptor.context(), None), (&mut initiating, None)).unwrap();
    }
    let datagrams = vec![Server { is_datagram: true, ..server(lab.port()) }];
    let mut initiating = beginning(Way::Kerberos(centre(datagrams)), &name, PASSWORD, &service);
    shake_hands((&mut acceptor.context(), None), (&mut initiating, None)).unwrap();
}

/// Half an answer.
fn halve(mut stream: TcpStream) {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut request = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut request).unwrap();
    let _ = stream.write_all(&[0, 0, 0, 100, 0x6b, 0x62]);
}

#[test]
fn a_clock_that_is_wrong_is_made_up_for_and_told() {
    const TEST: &str = "a_clock_that_is_wrong_is_made_up_for_and_told";
    let Some((lab, library)) = lab(TEST) else { return };
    if find("faketime").is_none() {
        return println!("SKIP {TEST}: faketime is not installed");
    }
    let (service, name) = (lab.service(&[AES256]), account(&lab));
    let acceptor = acceptor(&library, &lab.keytab(&[&service]));
    for (clock, expected) in [("+10m", "s ahead of its clock"), ("-10m", "s behind its clock")] {
        let written = lab.fresh("token");
        let mut process = lab.command("faketime");
        process.args(["-f", clock]).arg(std::env::current_exe().unwrap()).env("DONT_FAKE_MONOTONIC", "1");
        let port = lab.port().to_string();
        let arguments = [
            ("LAB_PORT", &*port),
            ("LAB_USER", &name),
            ("LAB_SERVICE", &service),
            ("LAB_TOKEN", written.to_str().unwrap()),
        ];
        let told = in_its_own_process(process, "kerberos::sspi::by_another_clock", &arguments);
        assert!(told.contains("refuses with code 37") && told.contains(expected), "{told}");
        accept(&acceptor, &fs::read(written).unwrap()).unwrap();
    }
}

/// Its part in another process.
#[test]
fn by_another_clock() {
    let argument = |name: &str| std::env::var(name);
    let Ok(port) = argument("LAB_PORT") else { return };
    let way = Way::Kerberos(centre(vec![server(port.parse().unwrap())]));
    let [user, service, token] = ["LAB_USER", "LAB_SERVICE", "LAB_TOKEN"].map(|name| argument(name).unwrap());
    let mut initiating = beginning(way, &user, PASSWORD, &service);
    fs::write(token, initiating.step(&[], None).unwrap().token).unwrap();
    for refused in initiating.refused() {
        println!("{refused}");
    }
}

#[test]
fn what_the_service_refuses_is_told_in_words() {
    let Some((lab, library)) = lab("what_the_service_refuses_is_told_in_words") else { return };
    let (service, other, name) = (lab.service(&[AES256]), lab.service(&[AES256]), account(&lab));
    let acceptor = acceptor(&library, &lab.keytab(&[&other]));
    for way in [Way::Kerberos(of_lab(&lab)), Way::Negotiate(of_lab(&lab))] {
        let mut initiating = beginning(way, &name, PASSWORD, &service);
        let token = initiating.step(&[], None).unwrap().token;
        let told = acceptor.context().step(&token, None).unwrap_err().token;
        let failure = initiating.step(&told, None).unwrap_err();
        let host = service.split('@').next().unwrap();
        let expected = format!("{host} refuses with code 35");
        assert!(failure.to_string().starts_with(&expected), "{failure}");
        assert!(failure.to_string().ends_with(&format!("it cannot open the ticket for {host}")), "{failure}");
        assert_eq!(failure.refused.last().unwrap().error.code, 35);
    }
}

#[test]
fn tokens_that_are_none_end_a_handshake_and_nothing_else() {
    let Some((lab, library)) = lab("tokens_that_are_none_end_a_handshake_and_nothing_else") else { return };
    let (service, name) = (lab.service(&[AES256]), account(&lab));
    let acceptor = acceptor(&library, &lab.keytab(&[&service]));
    let mut dice = crate::support::dice::Dice::new("tokens that are none");
    for number in 0..60 {
        let way = [Way::Kerberos(of_lab(&lab)), Way::Negotiate(of_lab(&lab))][number % 2].clone();
        let mut initiating = beginning(way, &name, PASSWORD, &service);
        let token = initiating.step(&[], None).unwrap().token;
        let mut answer = acceptor.context().step(&token, None).unwrap().token;
        for _ in 0..=dice.within(0..3) {
            let at = dice.within(0..answer.len() as u64) as usize;
            match dice.within(0..3) {
                0 => answer.truncate(at),
                1 => answer.insert(at, dice.within(0..256) as u8),
                _ => answer[at] ^= 1 << dice.within(0..8),
            }
            if answer.is_empty() {
                break;
            }
        }
        // What is not encrypted may be changed and mean the same.
        if let Err(failure) = initiating.step(&answer, None) {
            assert_eq!(initiating.step(&answer, None).unwrap_err().cause, Cause::Over, "{failure}");
        }
    }
}

/// The acceptor of pyspnego, as a process.
struct Peer {
    child: std::process::Child,
}

impl Peer {
    fn new(python: &Path, mechanism: &str, users: &Path, bindings: Option<&str>) -> Self {
        let mut command = Command::new(python);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kerberos/ntlm.py")).arg(mechanism);
        command.env("NTLM_USER_FILE", users).envs(bindings.map(|bindings| ("BINDINGS", bindings)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { child: command.spawn().unwrap() }
    }

    fn put(&mut self, bytes: &[u8]) {
        let whole = [&(bytes.len() as u32).to_be_bytes(), bytes].concat();
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(&whole).and_then(|()| input.flush()).unwrap();
    }

    /// None where it has ended.
    fn get(&mut self) -> Option<Vec<u8>> {
        let output = self.child.stdout.as_mut().unwrap();
        let mut length = [0; 4];
        output.read_exact(&mut length).ok()?;
        let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
        output.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }

    /// What it said of its end.
    fn told(mut self) -> String {
        drop(self.child.stdin.take());
        let mut told = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        self.child.wait().unwrap();
        told
    }

    /// Both until both are done: who we are to it, and what we have.
    fn shake(
        &mut self,
        initiating: &mut Initiating,
        bindings: Option<&[u8]>,
    ) -> Option<(String, Box<Established>)> {
        let mut step = initiating.step(&[], bindings).unwrap();
        loop {
            let Step { token, established } = step;
            if !token.is_empty() {
                self.put(&token);
                let answer = self.get()?;
                if established.is_none() {
                    step = initiating.step(&answer, bindings).unwrap();
                    continue;
                }
            }
            return Some((String::from_utf8(self.get()?).unwrap(), established.unwrap()));
        }
    }
}

#[test]
fn ntlm_signs_in_to_an_acceptor_of_others_and_messages_are_sealed_both_ways() {
    const TEST: &str = "ntlm_signs_in_to_an_acceptor_of_others_and_messages_are_sealed_both_ways";
    let Some(python) = python(TEST) else { return };
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    fs::write(&users, format!("CORP:alice:{PASSWORD}\n")).unwrap();
    let begin = |way: &Way, password: &str| {
        let identity = Identity::password("alice", "CORP", password).unwrap();
        Initiator::new(identity, way.clone(), "TEST").unwrap().context("HTTP/wec.corp.example").unwrap()
    };
    let ours = b"tls-server-end-point:abc";
    for (mechanism, way) in [("ntlm", Way::Ntlm), ("negotiate", Way::NegotiateNtlm)] {
        for bindings in [None, Some("tls-server-end-point:abc")] {
            let mut peer = Peer::new(&python, mechanism, &users, bindings);
            let mut initiating = begin(&way, PASSWORD);
            let (user, established) = match peer.shake(&mut initiating, bindings.map(str::as_bytes)) {
                Some(signed_in) => signed_in,
                None => panic!("{mechanism}: {}", peer.told()),
            };
            assert_eq!(user, "CORP\\alice");
            assert_eq!(&*established.peer, "HTTP/wec.corp.example");
            assert!(established.flags.has(Flags::CONFIDENTIAL) && !established.flags.has(Flags::MUTUAL));
            let mut sealing = Sealing::new(established.seal).unwrap();
            let mut last = Vec::new();
            for length in [1, 16, 20_000] {
                let mut message: Vec<u8> = (0..length).map(|number: u32| number as u8).collect();
                let sealed = sealing.seal(&message).unwrap();
                assert_eq!((sealed.token.len(), sealed.data.len()), (16, message.len()));
                peer.put(&sealed.token);
                peer.put(&sealed.data);
                let (signature, mut data) = (peer.get().unwrap(), peer.get().unwrap());
                message.reverse();
                assert_eq!(sealing.open(&signature, &mut data, message.len()).unwrap(), message.len());
                assert!(data == message, "{mechanism}");
                last = signature;
            }
            let again = sealing.open(&last, &mut [0; 20_000], 20_000).unwrap_err().to_string();
            assert!(again.contains("sequence number"), "{again}");
        }
        let mut peer = Peer::new(&python, mechanism, &users, None);
        assert!(peer.shake(&mut begin(&way, "another"), None).is_none());
        assert!(peer.told().contains("refused: "));
        let mut peer = Peer::new(&python, mechanism, &users, Some("tls-server-end-point:other"));
        assert!(peer.shake(&mut begin(&way, PASSWORD), Some(ours)).is_none());
        assert!(peer.told().contains("refused: "));
    }
}

#[test]
fn a_server_that_seals_nothing_under_ntlm_is_not_taken() {
    let identity = Identity::password("alice", "CORP", PASSWORD).unwrap();
    let initiator = Initiator::new(identity, Way::Ntlm, "TEST").unwrap();
    let mut initiating = initiator.context("HTTP/wec.corp.example").unwrap();
    initiating.step(&[], None).unwrap();
    let mut challenge = b"NTLMSSP\0\x02\0\0\0\0\0\0\0\0\0\0\0\x05\x82\x89\xe2".to_vec();
    challenge.resize(56, 0);
    let failure = initiating.step(&challenge, None).unwrap_err();
    assert!(matches!(failure.cause, Cause::Lacks { .. }), "{failure}");
}

#[test]
fn an_identity_that_cannot_be_proved_is_told_before_anything_begins() {
    let Some((lab, _)) = lab("an_identity_that_cannot_be_proved_is_told_before_anything_begins") else {
        return;
    };
    for name in ["", "alice@CORP.EXAMPLE", "CORP\\alice"] {
        assert!(matches!(Identity::password(name, REALM, "x"), Err(IdentityError::Name { .. })), "{name}");
    }
    let name = account(&lab);
    let keytab = |etype: &str| {
        lab.administer(&format!("cpw -randkey -e {etype}:normal {name}\n"));
        Keytab::parse(&fs::read(lab.keytab(&[&name])).unwrap()).unwrap()
    };
    assert!(matches!(Identity::key(&keytab(AES128), &name, REALM), Err(IdentityError::NoAes256 { .. })));
    let good = keytab(AES256);
    assert!(matches!(Identity::key(&good, "nobody", REALM), Err(IdentityError::NoKey { .. })));
    let identity = Identity::key(&good, &name, REALM).unwrap();
    assert!(matches!(Initiator::new(identity, Way::Ntlm, "TEST").err(), Some(IdentityError::Ntlm)));
}
