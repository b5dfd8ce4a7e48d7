//! Whatever the event collector of Splunk answers: events are taken only when it says so, and then those in front.
//!
//! Input: a status (one byte of a list), a number of events, the body.
#![no_main]

use forebay::sink::splunk_hec::Ack;
use forebay::sink::splunk_hec::answer::{Said, read};
use forebay::sink::web::answer::Answer;
use forebay::sink::web::reading::{Fate, Reading};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const STATUSES: [u16; 8] = [200, 400, 401, 403, 404, 413, 500, 503];

fuzz_target!(|data: &[u8]| {
    let [status, items, body @ ..] = data else { return };
    let (status, items) = (STATUSES[*status as usize % STATUSES.len()], *items as usize);
    let answer = Answer::of("https://splunk:8088", status, body.to_vec().into());
    // What is left out is not looked at, so it may be no text; the oracle would refuse all of it then.
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return };
    for ack in [Ack::Auto, Ack::On, Ack::Off] {
        match read(&answer, items, ack) {
            Reading::Taken => assert!(status == 200 && value["code"] == 0 && ack != Ack::On),
            Reading::Numbered(number) => {
                assert!(status == 200 && value["code"] == 0 && value["ackId"] == number && ack != Ack::Off);
            }
            Reading::Each(fates, Some(_)) => {
                assert!(fates.len() == items && value["code"] == 7);
                let invalid = value["invalid-event-number"].as_u64().unwrap() as usize;
                for (item, fate) in fates.iter().enumerate() {
                    assert_eq!(*fate, if item + 1 < invalid { Fate::Taken } else { Fate::Again });
                }
            }
            Reading::Each(fates, None) => {
                assert_eq!(fates.len(), items);
                let invalid = value["invalid-event-number"].as_u64().unwrap() as usize;
                for (item, fate) in fates.iter().enumerate() {
                    match fate {
                        Fate::Taken => assert!(item < invalid),
                        Fate::Refused(words) => assert!(item == invalid && !words.contains(char::is_control)),
                        Fate::Again => assert!(item > invalid),
                    }
                }
            }
            Reading::Noted(_) | Reading::Unclear { .. } | Reading::Failed(_) => {
                panic!("nobody says that here")
            }
            Reading::Again(_) | Reading::TooLarge(_) | Reading::Refused(_) | Reading::Locked(_) => {}
        }
    }
    if let Some(acks) = Said::parse(body).and_then(|said| said.acks) {
        assert!(acks.iter().all(|(number, is)| value["acks"][number.to_string()] == *is));
    }
});
