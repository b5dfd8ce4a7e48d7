//! What is refused, and what is said of it: to us, and to the client.

use super::*;
use crate::support::lab::{AES256, RC4, find};
use forebay::auth::gss::AcceptorError;
use forebay::auth::handshake::TOKEN_BYTES_MAX;
use forebay::kerberos::krb_error::code;
use std::fs;
use std::io::{Read, Write};
use std::process::Stdio;

/// The code that the client is told and a part of the text that we are, for either mechanism.
#[track_caller]
fn check(lab: &Arc<Lab>, library: &Library, service: &str, keytab: &Path, expected: (i32, &str)) {
    let (acceptor, client) = (acceptor(library, keytab), lab.client());
    client.ticket(service);
    for mechanism in [Mechanism::Kerberos, Mechanism::Spnego] {
        let failure = accept(&acceptor, &token(library, &client, service, mechanism)).unwrap_err();
        let error = krb_error(&failure);
        assert_eq!(error.code, expected.0, "{mechanism:?}: {failure}");
        assert!(failure.to_string().contains(expected.1), "{mechanism:?}: {failure}");
        assert!(matches!(&failure.cause, Cause::Library(trouble) if trouble.major >> 16 == 13));
    }
}

#[test]
fn a_ticket_for_a_service_that_is_not_in_the_keytab() {
    let Some((lab, library)) = lab("a_ticket_for_a_service_that_is_not_in_the_keytab") else { return };
    let (asked, other) = (lab.service(&[AES256]), lab.service(&[AES256]));
    let keytab = lab.keytab(&[&other]);
    check(&lab, &library, &asked, &keytab, (code::NOT_US, "not found in keytab"));
}

#[test]
fn a_ticket_of_a_newer_key_than_that_in_the_keytab() {
    let Some((lab, library)) = lab("a_ticket_of_a_newer_key_than_that_in_the_keytab") else { return };
    let service = lab.service(&[AES256]);
    let keytab = lab.keytab(&[&service]);
    lab.change_key(&service);
    check(&lab, &library, &service, &keytab, (code::BAD_KEY_VERSION, "keytab is likely out of date"));
}

#[test]
fn a_key_that_is_another_under_the_same_name_and_version() {
    let Some((lab, library)) = lab("a_key_that_is_another_under_the_same_name_and_version") else { return };
    let service = lab.service(&[AES256]);
    let keytab = lab.keytab(&[&service]);
    let mut bytes = fs::read(&keytab).unwrap();
    // The version of the key ends the file, four bytes long; the key is in front of it.
    let last = bytes.len() - 5;
    bytes[last] ^= 1;
    fs::write(&keytab, bytes).unwrap();
    check(&lab, &library, &service, &keytab, (code::BAD_INTEGRITY, "cannot decrypt ticket"));
}

#[test]
fn a_ticket_of_an_encryption_type_that_is_not_in_the_keytab() {
    let Some((lab, library)) = lab("a_ticket_of_an_encryption_type_that_is_not_in_the_keytab") else {
        return;
    };
    let service = lab.service(&[RC4]);
    let keytab = lab.keytab(&[&service]);
    lab.administer(&format!("cpw -randkey -e {AES256}:normal {service}\nmodprinc -kvno 1 {service}\n"));
    let said = "found in keytab but not with enctype aes256-cts";
    check(&lab, &library, &service, &keytab, (code::BAD_KEY_VERSION, said));
}

#[test]
fn a_ticket_that_is_too_old_or_too_new_for_our_clock() {
    const TEST: &str = "a_ticket_that_is_too_old_or_too_new_for_our_clock";
    let Some((lab, library)) = lab(TEST) else { return };
    if find("faketime").is_none() {
        return println!("SKIP {TEST}: faketime is not installed");
    }
    let (service, client) = (lab.service(&[AES256]), lab.client());
    let keytab = lab.keytab(&[&service]);
    client.ticket(&service);
    let written = lab.fresh("token");
    fs::write(&written, token(&library, &client, &service, Mechanism::Kerberos)).unwrap();
    let clocks = [
        ("+11h", code::TICKET_EXPIRED, "Ticket expired"),
        ("-1h", code::TICKET_NOT_YET_VALID, "Ticket not yet valid"),
        ("+10m", code::SKEW, "Clock skew too great"),
        ("+4m", 0, "accepted"),
    ];
    for (clock, code, text) in clocks {
        let mut process = lab.command("faketime");
        process.args(["-f", clock]).arg(std::env::current_exe().unwrap()).env("DONT_FAKE_MONOTONIC", "1");
        let paths = [("LAB_KEYTAB", keytab.to_str().unwrap()), ("LAB_OLD", written.to_str().unwrap())];
        let told = in_its_own_process(process, "kerberos::refused::by_another_clock", &paths);
        assert!(told.contains(&format!("code {code}: ")) && told.contains(text), "{clock}: {told}");
    }
}

/// Its part in another process.
#[test]
fn by_another_clock() {
    let Ok(written) = std::env::var("LAB_OLD") else { return };
    let keytab = std::env::var("LAB_KEYTAB").unwrap();
    let acceptor = acceptor(&Library::load(Library::NAME).unwrap(), keytab.as_ref());
    match accept(&acceptor, &fs::read(written).unwrap()) {
        Ok(_) => println!("code 0: accepted"),
        Err(failure) => println!("code {}: {failure}", krb_error(&failure).code),
    }
}

#[test]
fn a_keytab_that_went_away() {
    let Some((lab, library)) = lab("a_keytab_that_went_away") else { return };
    let (service, client) = (lab.service(&[AES256]), lab.client());
    let keytab = lab.keytab(&[&service]);
    let acceptor = acceptor(&library, &keytab);
    client.ticket(&service);
    fs::remove_file(&keytab).unwrap();
    let failure = accept(&acceptor, &token(&library, &client, &service, Mechanism::Kerberos)).unwrap_err();
    assert!(failure.to_string().contains(&format!("Key table file '{}' not found", keytab.display())));
    let settings =
        AcceptorSettings { keytab: keytab.clone(), replay: ReplaySettings::default(), services: Vec::new() };
    let Err(AcceptorError::Keytab { path, .. }) = Acceptor::new(library, settings) else {
        panic!("it began")
    };
    assert_eq!(path, keytab);
}

#[test]
fn what_is_no_token_of_kerberos() {
    let Some((lab, library)) = lab("what_is_no_token_of_kerberos") else { return };
    let acceptor = acceptor(&library, &lab.keytab(&[&lab.service(&[AES256])]));
    let refused = |token: &[u8]| acceptor.context().step(token, None).unwrap_err().cause;
    assert_eq!(refused(b""), Cause::Empty);
    let bytes = TOKEN_BYTES_MAX + 1;
    assert_eq!(refused(&vec![0x60; bytes]), Cause::Long { bytes });
    let ntlm = b"NTLMSSP\0\x01\0\0\0\x97\x82\x08\xe2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    // SPNEGO that offers NTLM and nothing else.
    let offer = b"\x60\x1c\x06\x06\x2b\x06\x01\x05\x05\x02\xa0\x12\x30\x10\xa0\x0e\x30\x0c\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a";
    for token in [&b"hello"[..], &[0; 1], &[0x60; 40], &[0x6e; 40], &[0xff; TOKEN_BYTES_MAX], ntlm, offer] {
        let mut context = acceptor.context();
        let failure = context.step(token, None).unwrap_err();
        assert!(matches!(failure.cause, Cause::Library(_)), "{failure}");
        assert_eq!(context.step(token, None).unwrap_err().cause, Cause::Over);
    }
}

/// Another binding of the library asks for what ours does not; it answers a token with one if it is given one.
const ASKS: &str = "import gssapi, sys\n\
    name = gssapi.Name(sys.argv[1], gssapi.NameType.kerberos_principal)\n\
    flags = [gssapi.RequirementFlag[flag] for flag in sys.argv[2:]]\n\
    context = gssapi.SecurityContext(name=name, usage='initiate', flags=flags)\n\
    token = context.step()\n\
    sys.stdout.buffer.write(len(token).to_bytes(4, 'big') + token)\n\
    sys.stdout.flush()\n\
    answer = sys.stdin.buffer.read()\n\
    if answer: sys.stdout.buffer.write(context.step(answer) or b'')";

#[test]
fn a_client_that_asks_for_less_or_for_something_else() {
    const TEST: &str = "a_client_that_asks_for_less_or_for_something_else";
    let Some((lab, library)) = lab(TEST) else { return };
    let Some(python) = python(TEST) else { return };
    let service = lab.service(&[AES256, RC4]);
    let acceptor = acceptor(&library, &lab.keytab(&[&service]));
    let (any, old) = (lab.client(), lab.client_with(&[Etype::RC4]));
    let attempt = |client: &Client, flags: &[&str]| {
        let mut command = client.command(python.to_str().unwrap());
        command.args(["-c", ASKS, &service]).args(flags).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut length = [0; 4];
        output.read_exact(&mut length).unwrap();
        let mut token = vec![0; u32::from_be_bytes(length) as usize];
        output.read_exact(&mut token).unwrap();
        let mut context = acceptor.context();
        let mut step = context.step(&token, None);
        if let Ok(first) = &step
            && first.established.is_none()
        {
            input.write_all(&first.token).unwrap();
            drop(input);
            token.clear();
            output.read_to_end(&mut token).unwrap();
            step = context.step(&token, None);
        } else {
            drop(input);
        }
        assert!(child.wait().unwrap().success());
        step.map(|step| step.established.is_some()).map_err(|failure| failure.cause)
    };
    assert_eq!(attempt(&any, &["mutual_authentication"]), Ok(true));
    let less = attempt(&any, &["confidentiality"]);
    assert!(matches!(&less, Err(Cause::Lacks { missing }) if missing.contains("mutual")), "{less:?}");
    let dce = attempt(&any, &["mutual_authentication", "dce_style"]);
    assert!(matches!(&dce, Err(Cause::Unwanted { unwanted }) if unwanted.contains("DCE")), "{dce:?}");
    let unordered = attempt(&old, &["mutual_authentication"]);
    let is_right = matches!(&unordered, Err(Cause::Lacks { missing }) if missing.contains("order"));
    assert!(is_right, "{unordered:?}");
    let ordered = ["mutual_authentication", "replay_detection", "out_of_sequence_detection"];
    assert_eq!(attempt(&old, &ordered), Ok(true));
}
