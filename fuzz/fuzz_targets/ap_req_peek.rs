//! Any bytes as the token of a stranger: what is said of it lies within it and within the limits, and a keytab
//! is held against it. Errors in it are read again as they are written. Whatever it is, a handshake with it that
//! fails has a cause, in lines fit for a log. So has what it refuses us, as an answer to a request of ours as well.
#![no_main]

use forebay::event::Timestamp;
use forebay::kerberos::centre::{Answer, Request};
use forebay::kerberos::diagnose::{Cause, Evidence, KeytabState, Refusal, Refused, diagnose};
use forebay::kerberos::name::{PART_BYTES_MAX, PARTS_MAX};
use forebay::kerberos::ticket;
use forebay::kerberos::token::{Content, TOKEN_BYTES_MAX};
use forebay::kerberos::{Keytab, KrbError, Token};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

/// A lossily read byte takes three.
const TEXT_BYTES_MAX: usize = 3 * PART_BYTES_MAX;

fuzz_target!(|data: &[u8]| {
    explained(data);
    if let Ok(Answer::Error(error)) = Answer::parse(data) {
        refused(&error);
    }
    if let Ok(request) = Request::parse(data) {
        assert!(request.realm.len() <= TEXT_BYTES_MAX && !request.realm.contains(char::is_control));
    }
    let Ok(token) = Token::peek(data) else { return };
    assert!(data.len() <= TOKEN_BYTES_MAX);
    match token.content {
        Content::Kerberos(request) => {
            assert!(request.service.parts.len() <= PARTS_MAX && request.realm.len() <= TEXT_BYTES_MAX);
            assert!(request.service.parts.iter().all(|part| part.len() <= TEXT_BYTES_MAX));
            assert!(!request.service.to_string().contains(char::is_control));
            assert!(request.ticket.bytes.len() + request.authenticator.bytes.len() < data.len());
            let _ = ticket::open(&request, keytab());
        }
        Content::Error(error) => {
            let _ = error.nt_status();
            refused(&error);
            for framed in [error.to_token(), error.to_rejection(token.offered.first().cloned())] {
                let again = Token::peek(&framed).map(|token| token.content);
                assert_eq!(again, Ok(Content::Error(error.clone())));
            }
        }
        Content::Ntlm(ntlm) => {
            let names = [ntlm.domain, ntlm.user, ntlm.workstation];
            assert!(names.iter().flatten().all(|name| name.len() <= 3 * data.len()));
        }
        Content::Nothing | Content::Other(_) => {}
    }
});

fn refused(error: &KrbError) {
    let at = Timestamp(1_795_956_134_000_000_000);
    let finding = Refused { by: "dc1".into(), error: error.clone(), at }.finding("host");
    assert!(!finding.to_string().contains(char::is_control), "{finding}");
}

fn explained(token: &[u8]) {
    let minor = u32::from(token.first().copied().unwrap_or_default()) + 2_529_638_912;
    for refusal in [Refusal::Library { major: 13 << 16, minor, text: "", answer: token }, Refusal::Replayed] {
        let keytab = KeytabState::Read(keytab());
        let cause = diagnose(&Evidence { token, refusal, keytab, now: Timestamp(1_795_956_134_000_000_000) });
        let finding = cause.finding("host", "keytab");
        assert!(Cause::LABELS.contains(&cause.label()));
        assert!(!format!("{finding}").contains(char::is_control), "{finding}");
    }
}

fn keytab() -> &'static Keytab {
    static KEYTAB: OnceLock<Keytab> = OnceLock::new();
    KEYTAB.get_or_init(|| {
        Keytab::parse(include_bytes!("../../src/kerberos/testdata/wec.keytab")).expect("a keytab")
    })
}
