//! Any bytes as the token of a stranger: what is said of it lies within it and within the limits, and a keytab
//! is held against it. Errors in it are read again as they are written.
#![no_main]

use forebay::kerberos::name::{PART_BYTES_MAX, PARTS_MAX};
use forebay::kerberos::ticket;
use forebay::kerberos::token::{Content, TOKEN_BYTES_MAX};
use forebay::kerberos::{Keytab, Token};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

/// A lossily read byte takes three.
const TEXT_BYTES_MAX: usize = 3 * PART_BYTES_MAX;

fuzz_target!(|data: &[u8]| {
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

fn keytab() -> &'static Keytab {
    static KEYTAB: OnceLock<Keytab> = OnceLock::new();
    KEYTAB.get_or_init(|| {
        Keytab::parse(include_bytes!("../../src/kerberos/testdata/wec.keytab")).expect("a keytab")
    })
}
