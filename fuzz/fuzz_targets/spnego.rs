//! Any bytes as a message of the negotiation: what is read of an answer is read again from what is written of it,
//! and its token lies within.
#![no_main]

use forebay::kerberos::token::Spnego;
use forebay::kerberos::token::spnego::MECHANISMS_MAX;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    match Spnego::find(data) {
        Ok(Some(Spnego::Init { offered, token })) => {
            assert!(offered.len() <= MECHANISMS_MAX);
            assert!(token.is_none_or(|token| token.len() < data.len()));
            offered.iter().for_each(|mechanism| assert!(mechanism.to_string().len() <= data.len() * 20));
        }
        Ok(Some(Spnego::Answer(answer))) => {
            assert!(answer.token.is_none_or(|token| token.len() < data.len()));
            let written = answer.write();
            assert_eq!(Spnego::find(&written), Ok(Some(Spnego::Answer(answer))));
        }
        Ok(None) | Err(_) => {}
    }
});
