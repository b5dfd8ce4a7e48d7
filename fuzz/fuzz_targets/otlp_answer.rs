//! Whatever a receiver of OTLP answers: events are taken only when it says so, and those of a request with rejected
//! records are neither taken nor sent again.
//!
//! Input: a status (one byte of a list), a number of events, the body.
#![no_main]

use forebay::sink::otlp::answer::{Said, read};
use forebay::sink::web::answer::Answer;
use forebay::sink::web::reading::{Fate, Reading};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const STATUSES: [u16; 8] = [200, 202, 400, 401, 413, 429, 500, 503];

fuzz_target!(|data: &[u8]| {
    let [status, items, body @ ..] = data else { return };
    let (status, items) = (STATUSES[*status as usize % STATUSES.len()], *items as usize);
    let said = Said::parse(body);
    let is_yes = status < 300 && said.is_some();
    let rejected = said.as_ref().map_or(0, |said| said.rejected);
    match read(&Answer::of("https://otel:4318", status, body.to_vec().into()), items) {
        Reading::Taken => assert!(is_yes && (rejected == 0 || items == 0)),
        Reading::Noted(_) => assert!(is_yes && rejected == 0),
        Reading::Each(fates, setback) => {
            assert!(is_yes && rejected as usize >= items && fates.len() == items && setback.is_none());
            let is_clean = |words: &str| !words.is_empty() && !words.contains(char::is_control);
            assert!(fates.iter().all(|fate| matches!(fate, Fate::Refused(words) if is_clean(words))));
        }
        Reading::Unclear { words, .. } => {
            assert!(is_yes && rejected > 0 && (rejected as usize) < items);
            assert!(!words.contains(char::is_control));
        }
        Reading::Numbered(_) => panic!("there are no numbers here"),
        Reading::Again(_) => assert!(!is_yes),
        Reading::Failed(_) => assert_eq!(status, 500),
        Reading::TooLarge(_) | Reading::Refused(_) | Reading::Locked(_) => assert!(status >= 400),
    }
    // In JSON an independent reader says the same.
    if let (Some(said), Ok(value)) = (&said, serde_json::from_slice::<Value>(body)) {
        let number = &value["partialSuccess"]["rejectedLogRecords"];
        let written = number.as_u64().or_else(|| number.as_str().and_then(|digits| digits.parse().ok()));
        assert_eq!(said.rejected, written.unwrap_or(0));
    }
});
