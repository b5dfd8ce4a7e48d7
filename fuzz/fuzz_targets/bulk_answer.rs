//! Whatever answers a `_bulk`: every event of the request has a fate or none has, and nothing is taken that the answer
//! does not say is there.
//!
//! Input: a status (one byte of a list), a number of events, the body.
#![no_main]

use forebay::sink::elasticsearch::answer::read;
use forebay::sink::web::answer::Answer;
use forebay::sink::web::reading::{Fate, Reading};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const STATUSES: [u16; 8] = [200, 201, 400, 404, 413, 429, 503, 302];

fuzz_target!(|data: &[u8]| {
    let [status, items, body @ ..] = data else { return };
    let (status, items) = (STATUSES[*status as usize % STATUSES.len()], *items as usize);
    let reading = read(&Answer::of("https://es:9200", status, body.to_vec().into()), items, false);
    // What is left out is not looked at, so it may be no text; the oracle would refuse all of it then.
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return };
    let said = |item: usize| {
        let action = value["items"].get(item).and_then(Value::as_object).map(|action| action.values());
        action.and_then(|mut actions| actions.next_back()?["status"].as_u64())
    };
    let is_there = |item: usize| said(item).is_some_and(|status| matches!(status, 200..=299 | 409));
    match reading {
        Reading::Taken => {
            assert!(status < 300 && value["items"].as_array().map_or(0, Vec::len) == items);
            assert!((0..items).all(is_there));
        }
        Reading::Each(fates, setback) => {
            assert!(status < 300 && fates.len() == items);
            for (item, fate) in fates.iter().enumerate() {
                match fate {
                    Fate::Taken => assert!(is_there(item)),
                    Fate::Again => assert!(setback.is_some(), "nothing is sent again without a pause"),
                    Fate::Refused(words) => assert!(words.len() < 2000 && !words.contains(char::is_control)),
                }
            }
        }
        Reading::Numbered(_) => panic!("there are no numbers here"),
        Reading::Noted(_) | Reading::Unclear { .. } | Reading::Failed(_) => panic!("nobody says that here"),
        Reading::Again(_) | Reading::TooLarge(_) | Reading::Refused(_) | Reading::Locked(_) => {}
    }
});
