//! Whatever a token endpoint answers: there is a token only when it gave one, with the time that it lives, and no
//! token is told of.
//!
//! Input: a status (one byte of a list), the body.
#![no_main]

use forebay::sink::web::answer::Answer;
use forebay::sink::web::token::{Unsigned, read};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const STATUSES: [u16; 8] = [200, 201, 302, 400, 401, 404, 429, 503];

fuzz_target!(|data: &[u8]| {
    let [status, body @ ..] = data else { return };
    let status = STATUSES[*status as usize % STATUSES.len()];
    let told = match read(&Answer::of("https://login", status, body.to_vec().into())) {
        Ok(granted) => {
            // What is left out is not looked at, so it may be no text; the oracle would refuse all of it then.
            let Ok(value) = serde_json::from_slice::<Value>(body) else { return };
            assert!(status < 300 && !granted.token.is_empty());
            assert_eq!(value["access_token"], granted.token);
            assert!(value["token_type"].as_str().unwrap().eq_ignore_ascii_case("bearer"));
            let written = &value["expires_in"];
            let written = written.as_u64().or_else(|| written.as_str()?.parse().ok()).unwrap();
            assert!(granted.seconds <= written);
            return;
        }
        Err(Unsigned::Locked(finding)) => {
            assert!(status >= 300);
            finding.to_string()
        }
        Err(Unsigned::Later(setback)) => {
            assert!(!setback.may_be_taken, "no event was in that request");
            setback.reason
        }
    };
    assert!(told.len() < 3000 && !told.contains(char::is_control));
});
