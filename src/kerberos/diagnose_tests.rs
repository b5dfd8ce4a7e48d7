//! Every cause, from tokens of real clients and keytabs in every state.

use super::*;
use crate::kerberos::key::Key;
use crate::kerberos::krb_error::KrbError;
use crate::kerberos::token::spnego::{Answer, State};

const AES256: &[u8] = include_bytes!("testdata/krb5-aes256.token");
const NEGOTIATED: &[u8] = include_bytes!("testdata/spnego-aes256.token");
const RC4: &[u8] = include_bytes!("testdata/krb5-rc4.token");
const CHANGED: &[u8] = include_bytes!("testdata/krb5-wec.token");
const FAILED: u32 = 13 << 16;

fn at(time: &str) -> Timestamp {
    Timestamp::parse(format!("2026-11-{time}Z").as_bytes()).unwrap()
}

fn keytab() -> Keytab {
    Keytab::parse(include_bytes!("testdata/wec.keytab")).unwrap()
}

fn old() -> Keytab {
    Keytab::parse(include_bytes!("testdata/old.keytab")).unwrap()
}

/// The entries of one service, changed.
fn changed(host: &str, change: impl Fn(&mut Entry)) -> Keytab {
    let mut keytab = keytab();
    keytab.entries.retain(|entry| entry.principal.host() == Some(host));
    keytab.entries.iter_mut().for_each(change);
    keytab
}

/// As the library refuses a bare token of Kerberos with this code.
fn coded(code: i32) -> Refusal<'static> {
    Refusal::Library { major: FAILED, minor: LIBRARY_CODES.wrapping_add_signed(code), text: "", answer: b"" }
}

const NO_CODE: Refusal<'_> = Refusal::Library { major: 9 << 16, minor: 100_001, text: "", answer: b"" };

fn cause(token: &[u8], refusal: Refusal<'_>, keytab: &Keytab, now: &str) -> Cause {
    diagnose(&Evidence { token, refusal, keytab: KeytabState::Read(keytab), now: at(now) })
}

#[track_caller]
fn check(cause: &Cause, label: &str, why: &str, fix: &str) {
    assert_eq!(cause.label(), label, "{cause:?}");
    assert!(Cause::LABELS.contains(&label));
    let finding = cause.finding("win10", "/etc/wec.keytab");
    assert_eq!(finding.what, "win10 cannot sign in with Kerberos");
    assert!(finding.why.contains(why), "{}", finding.why);
    assert!(finding.fix.contains(fix), "{}", finding.fix);
}

fn skew_answer() -> KrbError {
    match Token::peek(include_bytes!("testdata/error-skew.token")) {
        Ok(Token { content: Content::Error(error), .. }) => *error,
        other => panic!("no error: {other:?}"),
    }
}

const NOW: &str = "29T12:42:20";

#[test]
fn a_service_that_is_not_in_the_keytab() {
    let cause = cause(AES256, coded(code::NOT_US), &old(), NOW);
    let why = "a ticket for HTTP/aes256.forebay.test@FOREBAY.TEST, which keytab /etc/wec.keytab has no key of; it has \
               HTTP/wec.forebay.test@FOREBAY.TEST";
    check(&cause, "service_not_in_keytab", why, "`setspn -Q HTTP/aes256.forebay.test`");
}

#[test]
fn a_realm_that_the_keytab_does_not_have() {
    let keytab = changed("aes256.forebay.test", |entry| {
        (entry.realm, entry.key) = ("OTHER.TEST".into(), Key::new(Etype::AES256_SHA1, &[1; 32]));
    });
    let cause = cause(AES256, coded(code::NOT_US), &keytab, NOW);
    check(&cause, "wrong_realm", "in realm OTHER.TEST only", "from realm FOREBAY.TEST too");
}

#[test]
fn a_key_that_was_changed() {
    let behind = cause(CHANGED, coded(code::BAD_KEY_VERSION), &old(), NOW);
    assert!(matches!(behind, Cause::Version { ticket: 3, newest: 2, .. }), "{behind:?}");
    check(
        &behind,
        "key_version",
        "version 3 of the key, and keytab /etc/wec.keytab has 2",
        "export the keytab again",
    );
    let later = changed("wec.forebay.test", |entry| {
        (entry.kvno, entry.key) = (9, Key::new(entry.key.etype(), &[1; 32]));
    });
    let before = cause(CHANGED, coded(code::BAD_KEY_VERSION), &later, NOW);
    check(&before, "key_version", "older than the keytab", "klist -li 0x3e4 purge");
}

#[test]
fn a_wrong_key_of_the_right_name() {
    let keytab = changed("aes256.forebay.test", |entry| entry.key = Key::new(Etype::AES256_SHA1, &[1; 32]));
    let wrong = cause(AES256, coded(code::BAD_INTEGRITY), &keytab, NOW);
    check(&wrong, "wrong_key", "does not open with the key", "ktpass");
    let rc4 = cause(RC4, coded(code::BAD_INTEGRITY), &keytab_of_rc4(), NOW);
    check(&rc4, "wrong_key", "HTTP/rc4.forebay.test", "permitted_enctypes");
    // A version may be kept in eight bits.
    let keytab = changed("aes256.forebay.test", |entry| {
        (entry.kvno, entry.key) = (2, Key::new(Etype::AES256_SHA1, &[1; 32]));
    });
    assert_eq!(cause(AES256, NO_CODE, &keytab, NOW).label(), "wrong_key");
}

fn keytab_of_rc4() -> Keytab {
    changed("rc4.forebay.test", |entry| entry.key = Key::new(Etype::RC4, &[1; 16]))
}

#[test]
fn a_type_that_the_keytab_does_not_have() {
    let only = |etype: Etype, host: &str| changed(host, |entry| entry.key = Key::new(etype, &[1; 16]));
    let aes = cause(AES256, coded(code::NOT_US), &only(Etype::RC4, "aes256.forebay.test"), NOW);
    check(
        &aes,
        "etype_not_in_keytab",
        "with arcfour-hmac only",
        "export the keytab again with aes256-cts-hmac-sha1-96",
    );
    let rc4 = cause(RC4, coded(code::NOT_US), &only(Etype::AES128_SHA1, "rc4.forebay.test"), NOW);
    check(
        &rc4,
        "etype_not_in_keytab",
        "encrypted with arcfour-hmac",
        "msDS-SupportedEncryptionTypes of the account to 8",
    );
    let rc4 = cause(RC4, coded(code::NOT_US), &only(Etype::AES256_SHA384, "rc4.forebay.test"), NOW);
    check(&rc4, "etype_not_in_keytab", "", "msDS-SupportedEncryptionTypes of the account to 24");
}

#[test]
fn a_type_that_the_library_does_not_take() {
    let refused = cause(AES256, coded(code::BAD_INTEGRITY), &keytab(), NOW);
    check(&refused, "etype_refused", "takes no aes256-cts-hmac-sha1-96", "permitted_enctypes");
    let refused = cause(RC4, coded(code::ETYPE_NOSUPP), &keytab(), NOW);
    check(&refused, "etype_refused", "takes no arcfour-hmac", "allow_weak_crypto");
}

#[test]
fn a_clock_that_differs_with_its_seconds_and_its_direction() {
    let behind = cause(AES256, coded(code::SKEW), &keytab(), "29T12:52:14");
    let why = "its clock (WIN10$@FOREBAY.TEST) is 599 s behind ours";
    check(&behind, "clock_skew", why, "w32tm");
    let ahead = cause(AES256, NO_CODE, &keytab(), "29T12:32:14");
    check(&ahead, "clock_skew", "is 600 s ahead of ours", "w32tm");
    let unknown = cause(RC4, coded(code::SKEW), &keytab(), "29T12:52:14");
    check(&unknown, "clock_skew", "its clock differs from ours by more than 300 s", "w32tm");
}

/// Within SPNEGO the numbers of the library say nothing, so the code is that of the token for the host.
#[test]
fn the_code_is_also_found_within_the_negotiation() {
    let answer = include_bytes!("testdata/spnego-rejected.token");
    let refusal = Refusal::Library { major: FAILED, minor: 100_001, text: "", answer };
    assert_eq!(cause(NEGOTIATED, refusal, &keytab(), NOW).label(), "clock_skew");
    assert_eq!(cause(RC4, refusal, &keytab(), NOW).label(), "clock_skew");
    let answer = include_bytes!("testdata/error-skew.token");
    let refusal = Refusal::Library { major: FAILED, minor: 0, text: "", answer };
    assert_eq!(cause(RC4, refusal, &keytab(), NOW).label(), "clock_skew");
}

#[test]
fn a_ticket_that_is_not_valid_now() {
    let ended = cause(AES256, coded(code::TICKET_EXPIRED), &keytab(), "29T22:52:14");
    check(&ended, "ticket_expired", "its ticket has ended, 600 s ago", "domain controller");
    let early = cause(AES256, coded(code::TICKET_NOT_YET_VALID), &keytab(), "29T11:42:14");
    check(&early, "ticket_not_yet_valid", "is not valid yet, 3600 s to go", "synchronise");
    let ended = cause(RC4, coded(code::TICKET_EXPIRED), &keytab(), NOW);
    check(&ended, "ticket_expired", "its ticket has ended", "");
}

#[test]
fn a_replay_and_a_memory_that_cannot_tell_one() {
    let empty = keytab();
    assert_eq!(cause(AES256, coded(code::REPEAT), &empty, NOW), Cause::Replay);
    assert_eq!(cause(RC4, coded(code::REPEAT), &empty, NOW), Cause::Replay);
    let replayed = cause(AES256, Refusal::Replayed, &empty, NOW);
    check(&replayed, "replay", "had come before", "sends requests twice");
    // KRB5_RC_IO_PERM of its header.
    let unwritable = Refusal::Library {
        major: FAILED,
        minor: (-1_765_328_215_i32).cast_unsigned(),
        text: "",
        answer: b"",
    };
    let unwritable = cause(AES256, unwritable, &empty, NOW);
    check(&unwritable, "replay_memory", "replay cache", "can be written");
    // What MIT Kerberos 1.20 gives for a folder that is not there: the number of the system.
    let answer = KrbError { code: code::GENERIC, ..skew_answer() }.to_token();
    let missing = Refusal::Library { major: FAILED, minor: 2, text: "No such file\n", answer: &answer };
    let missing = cause(AES256, missing, &empty, NOW);
    check(&missing, "replay_memory", "its replay cache (No such file\u{fffd})", "can be written");
    let full = cause(AES256, Refusal::Memory { why: "full" }, &empty, NOW);
    check(&full, "replay_memory", "full", "has room");
}

#[test]
fn a_keytab_that_gives_no_key() {
    let with = |keytab| diagnose(&Evidence { token: AES256, refusal: NO_CODE, keytab, now: at(NOW) });
    check(
        &with(KeytabState::Missing),
        "keytab_missing",
        "there is no keytab /etc/wec.keytab",
        "ktpass -princ",
    );
    let unreadable = KeytabState::Unreadable { why: "permission denied" };
    check(&with(unreadable), "keytab_unreadable", "permission denied", "forebay runs as");
    let error = Keytab::parse(b"-----").unwrap_err();
    check(&with(KeytabState::Damaged(&error)), "keytab_damaged", "no keytab", "as binary");
    check(&with(KeytabState::Read(&Keytab::default())), "keytab_empty", "has no key", "export");
}

#[test]
fn what_is_no_ticket() {
    let keytab = keytab();
    let other = |token: &[u8]| cause(token, NO_CODE, &keytab, NOW);
    check(&other(b"hello"), "garbage", "begins with byte 0x68", "no Windows");
    check(&other(&AES256[..100]), "garbage", "damaged", "");
    check(&other(b"NTLMSSP\0\x01\0\0\0"), "ntlm", "it offers NTLM, which", "TrustedHosts");
    let ntlm = Ntlm { user: Some("WIN10$".into()), ..Ntlm::default() };
    check(&Cause::Ntlm(ntlm), "ntlm", "offers NTLM as WIN10$", "no address");
    let mechanism = |mechanism| Answer { state: Some(State::Incomplete), mechanism, token: None }.write();
    assert_eq!(other(&mechanism(Some(Mechanism::Ntlm))).label(), "ntlm");
    check(&other(&mechanism(Some(Mechanism::NegoEx))), "mechanism", "it offers NegoEx", "port 88");
    check(&other(&mechanism(None)), "mechanism", "it offers nothing", "port 88");
    let error = include_bytes!("testdata/error-skew.token");
    check(&other(error), "host_refused", "Kerberos code 37", "");
}

#[test]
fn what_cannot_be_told_says_what_is_known() {
    let keytab = keytab();
    check(&cause(AES256, NO_CODE, &keytab, NOW), "other", "the Kerberos library refuses it: ", "");
    check(&cause(AES256, coded(code::GENERIC), &keytab, NOW), "other", "code 60", "");
    check(&cause(AES256, Refusal::Other { why: "no mutual" }, &keytab, NOW), "other", "no mutual", "");
    let bound = Refusal::Library { major: BAD_BINDINGS, minor: 0, text: "", answer: b"" };
    check(&cause(AES256, bound, &keytab, NOW), "channel_bindings", "another TLS connection", "ends TLS");
}

#[test]
fn a_keytab_that_others_may_read_is_told() {
    assert_eq!(exposed(0o100_600, "k"), None);
    assert_eq!(exposed(0o100_640, "k"), None);
    let finding = exposed(0o100_644, "k").unwrap();
    assert!(finding.why.contains("644") && finding.fix.contains("chmod 600 k"));
}
