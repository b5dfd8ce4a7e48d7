//! Faults as they are, with tickets of a real key distribution centre and the library's own answers: each is named,
//! in both schemes.

use super::*;
use crate::support::lab::{AES256, find};
use forebay::event::Timestamp;
use forebay::kerberos::Keytab;
use forebay::kerberos::diagnose::{self, Evidence, KeytabState, Refusal, diagnose};
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// What is made of a failure with this token and this keytab, now.
fn diagnosed(failure: &Failure, token: &[u8], keytab: &Path) -> diagnose::Cause {
    let parsed = fs::read(keytab).map(|bytes| Keytab::parse(&bytes));
    let keytab = match &parsed {
        Ok(Ok(keytab)) => KeytabState::Read(keytab),
        Ok(Err(error)) => KeytabState::Damaged(error),
        Err(_) => KeytabState::Missing,
    };
    let said = failure.to_string();
    let refusal = match &failure.cause {
        Cause::Library(trouble) => Refusal::Library {
            major: trouble.major,
            minor: trouble.minor,
            text: &trouble.text,
            answer: &failure.token,
        },
        Cause::Replay => Refusal::Replayed,
        _ => Refusal::Other { why: &said },
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    diagnose(&Evidence { token, refusal, keytab, now: Timestamp(now.as_nanos() as i64) })
}

/// A ticket for the service, against this keytab.
#[track_caller]
fn check(lab: &Arc<Lab>, library: &Library, service: &str, keytab: &Path, expected: (&str, &str)) {
    let (acceptor, client) = (acceptor(library, keytab), lab.client());
    client.ticket(service);
    for mechanism in [Mechanism::Kerberos, Mechanism::Spnego] {
        let token = token(library, &client, service, mechanism);
        let failure = accept(&acceptor, &token).unwrap_err();
        let cause = diagnosed(&failure, &token, keytab);
        assert_eq!(cause.label(), expected.0, "{mechanism:?}: {failure}: {cause:?}");
        let finding = cause.finding("win10", "wec.keytab");
        assert!(finding.why.contains(expected.1), "{finding}");
    }
}

#[test]
fn every_fault_of_a_keytab_is_named() {
    let Some((lab, library)) = lab("every_fault_of_a_keytab_is_named") else { return };
    each_misfit(&lab, |service, keytab, expected| check(&lab, &library, service, keytab, expected));
}

#[test]
fn a_replay_ntlm_and_a_keytab_that_went_away_are_named() {
    const TEST: &str = "a_replay_ntlm_and_a_keytab_that_went_away_are_named";
    let Some((lab, library)) = lab(TEST) else { return };
    let (service, client) = (lab.service(&[AES256]), lab.client());
    let keytab = lab.keytab(&[&service]);
    let acceptor = acceptor(&library, &keytab);
    client.ticket(&service);
    let token = || token(&library, &client, &service, Mechanism::Kerberos);
    let label = |token: &[u8]| {
        let failure = accept(&acceptor, token).unwrap_err();
        diagnosed(&failure, token, &keytab).label()
    };
    let first = token();
    accept(&acceptor, &first).unwrap();
    assert_eq!(label(&first), "replay");
    assert_eq!(label(b"NTLMSSP\0\x01\0\0\0\x97\x82\x08\xe2"), "ntlm");
    assert_eq!(label(b"hello"), "garbage");
    fs::remove_file(&keytab).unwrap();
    assert_eq!(label(&token()), "keytab_missing");
}

#[test]
fn a_clock_is_named_with_its_seconds() {
    const TEST: &str = "a_clock_is_named_with_its_seconds";
    let Some((lab, library)) = lab(TEST) else { return };
    if find("faketime").is_none() {
        return println!("SKIP {TEST}: faketime is not installed");
    }
    let (service, client) = (lab.service(&[AES256]), lab.client());
    let keytab = lab.keytab(&[&service]);
    client.ticket(&service);
    for mechanism in [Mechanism::Kerberos, Mechanism::Spnego] {
        let written = lab.fresh("token");
        fs::write(&written, token(&library, &client, &service, mechanism)).unwrap();
        for (clock, label, seconds) in [
            ("+11h", "ticket_expired", 3600),
            ("-1h", "ticket_not_yet_valid", 3600),
            ("+10m", "clock_skew", -600),
        ] {
            let mut process = lab.command("faketime");
            process.args(["-f", clock]).arg(std::env::current_exe().unwrap()).env("DONT_FAKE_MONOTONIC", "1");
            let paths =
                [("LAB_KEYTAB", keytab.to_str().unwrap()), ("LAB_DIAGNOSED", written.to_str().unwrap())];
            let told = in_its_own_process(process, "kerberos::diagnosed::by_another_clock", &paths);
            let found = told.lines().find_map(|line| line.strip_prefix("cause ")).expect("a cause");
            let (found, by) = found.split_once(' ').unwrap();
            let by: i64 = by.parse().unwrap();
            // The test itself takes its time.
            assert!(found == label && (by - seconds).abs() < 120, "{clock}: {found} {by}");
        }
    }
}

/// Its part in another process.
#[test]
fn by_another_clock() {
    let Ok(written) = std::env::var("LAB_DIAGNOSED") else { return };
    let keytab = PathBuf::from(std::env::var("LAB_KEYTAB").unwrap());
    let (acceptor, token) =
        (acceptor(&Library::load(Library::NAME).unwrap(), &keytab), fs::read(written).unwrap());
    let cause = diagnosed(&accept(&acceptor, &token).unwrap_err(), &token, &keytab);
    let seconds = match cause {
        diagnose::Cause::Skew { seconds, .. } => seconds.unwrap(),
        diagnose::Cause::Expired { at, now } => (now.0 - at.unwrap().0) / 1_000_000_000,
        diagnose::Cause::NotYetValid { at, now } => (at.unwrap().0 - now.0) / 1_000_000_000,
        ref other => panic!("{other:?}"),
    };
    println!("cause {} {seconds}", cause.label());
}
