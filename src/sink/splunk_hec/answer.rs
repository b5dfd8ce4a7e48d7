//! What the collector says, and what follows from each of its codes ("Possible error codes" and "Partially
//! successful requests" of Splunk's "Troubleshoot HTTP Event Collector").
//!
//! Must not know: connections.

use super::Ack;
use crate::finding::Finding;
use crate::sink::web::answer::{Answer, words_of};
use crate::sink::web::reading::{Fate, Reading, Setback};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// The body of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Said {
    pub code: Option<u32>,
    #[serde(default)]
    pub text: String,
    #[serde(rename = "invalid-event-number")]
    pub invalid_event: Option<u64>,
    #[serde(rename = "ackId")]
    pub ack: Option<u64>,
    /// Of the acknowledgement endpoint: by number, whether it is indexed.
    pub acks: Option<BTreeMap<u64, bool>>,
}

impl Said {
    /// Nothing when it is no answer of the collector.
    pub fn parse(body: &[u8]) -> Option<Self> {
        // An array would be taken for the members in their order.
        body.trim_ascii_start().strip_prefix(b"{")?;
        let said: Self = serde_json::from_slice(body).ok()?;
        (said.code.is_some() || said.acks.is_some()).then_some(said)
    }

    /// In its own words, fit to be shown.
    pub(super) fn words(&self) -> String {
        let text = words_of(self.text.as_bytes());
        match (self.code, self.invalid_event) {
            (Some(code), Some(event)) => format!("{text} (code {code}, event {event} of the request)"),
            (Some(code), None) => format!("{text} (code {code})"),
            _ => text,
        }
    }
}

/// How long an index that is not there, or that the token may not write to, is left alone.
const INDEX_PAUSE: Duration = Duration::from_secs(60);

/// What an answer to so many events says of them.
pub fn read(answer: &Answer, items: usize, ack: Ack) -> Reading {
    let Some((said, code)) = Said::parse(&answer.body).and_then(|said| said.code.map(|code| (said, code)))
    else {
        let unclear = || Reading::Again(answer.not_understood("what it says is not of the event collector"));
        return answer.usual(&answer.words()).unwrap_or_else(unclear);
    };
    let words = said.words();
    let finding = |fix: &str| Finding {
        what: format!("{} does not take our events", answer.peer),
        why: words.clone(),
        fix: fix.into(),
    };
    let locked = |fix: &str| Reading::Locked(finding(fix));
    match code {
        0 if answer.is_success() => match (said.ack, ack) {
            (Some(number), Ack::Auto | Ack::On) => Reading::Numbered(number),
            (None, Ack::On) => Reading::Again(answer.not_understood("it gave no number to ask for")),
            _ => Reading::Taken,
        },
        1 => locked("switch the token on in Splunk (Settings, Data inputs, HTTP Event Collector)"),
        2..=4 => locked("correct the token; a changed file is noticed at once"),
        // No event was found in it, though there are some.
        5 => Reading::Refused(words),
        // The events before the invalid one are indexed.
        6 | 12 | 13 | 15 => match said.invalid_event.and_then(|event| usize::try_from(event).ok()) {
            Some(invalid) if invalid < items => {
                let fates = (0..items).map(|item| match item.cmp(&invalid) {
                    std::cmp::Ordering::Less => Fate::Taken,
                    std::cmp::Ordering::Equal => Fate::Refused(words.clone()),
                    std::cmp::Ordering::Greater => Fate::Again,
                });
                Reading::Each(fates.collect(), None)
            }
            _ => Reading::Refused(words),
        },
        7 => {
            let finding =
                finding("make the index in Splunk, let the token write to it, or name another index");
            wrong_index(&said, items, Setback { finding: Some(finding), ..Setback::of(&answer.peer) })
        }
        10 | 11 => locked("see that nothing in between takes `X-Splunk-Request-Channel` away"),
        14 => locked("switch indexer acknowledgement on for the token, or write `ack = \"off\"`"),
        16 => locked("the token must come in the header: take it out of `url`"),
        8 | 9 | 17..=26 => Reading::Again(answer.busy(&words)),
        _ => {
            let unclear = || Reading::Again(answer.not_understood(&format!("says {words}")));
            answer.usual(&words).unwrap_or_else(unclear)
        }
    }
}

/// An event names an index that is not there, or that the token may not write to: those in front of it are indexed,
/// it and the others wait until somebody has mended that.
///
/// Events are documented to count from 0, and in Splunk 10.4.2 they do but for this code, whose number is one higher:
/// 1 where it is the first event, as logs of older versions have it too. Others may count as documented. So the first
/// `number - 1` events are taken: where it counts from 1, those are all in front of the wrong one; where it counts from
/// 0, one more is, which is sent again and is there twice. None is lost by either. Without a number that can be,
/// nothing is known to be there, and all that is sent again may be.
fn wrong_index(said: &Said, items: usize, setback: Setback) -> Reading {
    let (reason, after) = (said.words(), Some(INDEX_PAUSE));
    match said.invalid_event.and_then(|event| usize::try_from(event).ok()) {
        Some(event) if event <= items => {
            let taken = event.saturating_sub(1);
            let fates = (0..items).map(|item| if item < taken { Fate::Taken } else { Fate::Again });
            Reading::Each(fates.collect(), Some(Setback { reason, after, ..setback }))
        }
        _ => Reading::Again(Setback { reason, after, may_be_taken: true, ..setback }),
    }
}

/// What an answer to a request without events says against sending some. Who misses them has let us in.
pub(super) fn doubt(answer: &Answer) -> Option<Finding> {
    if Said::parse(&answer.body).and_then(|said| said.code) == Some(5) {
        return None;
    }
    match read(answer, 0, Ack::Off) {
        Reading::Taken => None,
        Reading::Locked(finding) => Some(finding),
        Reading::Again(setback) | Reading::Each(_, Some(setback)) => {
            setback.finding.map(|finding| Finding { why: setback.reason, ..finding })
        }
        _ => Some(Finding {
            what: format!("{} does not answer as the event collector", answer.peer),
            why: format!("{}: {}", answer.status, answer.words()),
            fix: "see its own log, and whether `url` leads to the collector itself".into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn said(status: u16, body: &'static str, ack: Ack) -> Reading {
        let answer = Answer::of("https://splunk:8088", status, Bytes::from_static(body.as_bytes()));
        read(&answer, 3, ack)
    }

    /// Every documented code, and what must follow.
    #[test]
    fn every_documented_code_has_its_class() {
        for (status, body, class) in [
            (200, r#"{"text":"Success","code":0}"#, "Taken"),
            (403, r#"{"text":"Token disabled","code":1}"#, "Locked"),
            (401, r#"{"text":"Token is required","code":2}"#, "Locked"),
            (401, r#"{"text":"Invalid authorization","code":3}"#, "Locked"),
            (403, r#"{"text":"Invalid token","code":4}"#, "Locked"),
            (400, r#"{"text":"No data","code":5}"#, "Refused"),
            (400, r#"{"text":"Invalid data format","code":6}"#, "Refused"),
            (400, r#"{"text":"Invalid data format","code":6,"invalid-event-number":1}"#, "Each"),
            (400, r#"{"text":"Invalid data format","code":6,"invalid-event-number":3}"#, "Refused"),
            (400, r#"{"text":"Incorrect index","code":7,"invalid-event-number":1}"#, "Each"),
            (400, r#"{"text":"Incorrect index","code":7}"#, "Again"),
            (500, r#"{"text":"Internal server error","code":8}"#, "Again"),
            (503, r#"{"text":"Server is busy","code":9}"#, "Again"),
            (400, r#"{"text":"Data channel is missing","code":10}"#, "Locked"),
            (400, r#"{"text":"Invalid data channel","code":11}"#, "Locked"),
            (400, r#"{"text":"Event field is required","code":12,"invalid-event-number":0}"#, "Each"),
            (400, r#"{"text":"Event field cannot be blank","code":13,"invalid-event-number":2}"#, "Each"),
            (400, r#"{"text":"ACK is disabled","code":14}"#, "Locked"),
            (400, r#"{"text":"Error in handling indexed fields","code":15}"#, "Refused"),
            (
                400,
                r#"{"text":"Error in handling indexed fields","code":15,"invalid-event-number":2}"#,
                "Each",
            ),
            (400, r#"{"text":"Query string authorization is not enabled","code":16}"#, "Locked"),
            (503, r#"{"text":"HEC is unhealthy, queues are full","code":18}"#, "Again"),
            (503, r#"{"text":"Server is shutting down","code":23}"#, "Again"),
            (429, "slow down", "Again"),
            (413, "<html>413 Request Entity Too Large</html>", "TooLarge"),
            (404, r#"{"text":"The requested URL was not found","code":404}"#, "Locked"),
            (200, "<html>a proxy says hello</html>", "Again"),
            (200, r#"{"text":"Succ"#, "Again"),
            (200, r#"{"text":"Success"}"#, "Again"),
            (200, r#"{"text":"?","code":99}"#, "Again"),
        ] {
            let reading = format!("{:?}", said(status, body, Ack::Auto));
            assert!(reading.starts_with(class), "{status} {body}: {reading}");
        }
    }

    #[test]
    fn events_before_the_invalid_one_are_there_and_those_behind_it_are_sent_again() {
        let body = r#"{"text":"Event field is required","code":12,"invalid-event-number":1}"#;
        let words = "Event field is required (code 12, event 1 of the request)";
        let fates = vec![Fate::Taken, Fate::Refused(words.into()), Fate::Again];
        assert_eq!(said(400, body, Ack::Auto), Reading::Each(fates, None));
    }

    /// The third of three, by either count; and numbers that cannot be.
    #[test]
    fn an_event_before_a_wrong_index_is_there_by_whichever_count_it_is() {
        let number = |number| match number {
            None => said(400, r#"{"text":"Incorrect index","code":7}"#, Ack::Auto),
            Some(number) => {
                let body =
                    format!(r#"{{"text":"Incorrect index","code":7,"invalid-event-number":{number}}}"#);
                read(&Answer::of("https://splunk:8088", 400, body.into()), 3, Ack::Auto)
            }
        };
        for (event, taken) in [(Some(0), 0), (Some(1), 0), (Some(2), 1), (Some(3), 2)] {
            let Reading::Each(fates, Some(setback)) = number(event) else { panic!("{event:?}") };
            let expected: Vec<Fate> =
                (0..3).map(|item| if item < taken { Fate::Taken } else { Fate::Again }).collect();
            assert_eq!(fates, expected, "{event:?}");
            assert_eq!((setback.after, setback.may_be_taken), (Some(INDEX_PAUSE), false));
        }
        for event in [None, Some(4), Some(u64::MAX)] {
            let Reading::Again(setback) = number(event) else { panic!("{event:?}") };
            assert!(setback.may_be_taken && setback.after == Some(INDEX_PAUSE), "{event:?}");
        }
    }

    #[test]
    fn who_misses_the_events_has_let_us_in_and_nobody_else_has() {
        let answer = |status, body: &str| Answer::of("https://splunk:8088", status, body.to_owned().into());
        assert_eq!(doubt(&answer(400, r#"{"text":"No data","code":5}"#)), None);
        for (status, body, words) in [
            (401, r#"{"text":"Token is required","code":2}"#, "Token is required (code 2)"),
            (401, r#"{"text":"Invalid authorization","code":3}"#, "Invalid authorization (code 3)"),
            (403, r#"{"text":"Invalid token","code":4}"#, "Invalid token (code 4)"),
            (403, r#"{"text":"Token disabled","code":1}"#, "Token disabled (code 1)"),
            (503, r#"{"text":"Server is busy","code":9}"#, "503: Server is busy (code 9)"),
            (503, "<html>no server is there</html>", "503: <html>no server is there</html>"),
            (400, r#"{"text":"Incorrect index","code":7,"invalid-event-number":1}"#, "Incorrect index"),
            (400, "<html>The plain HTTP request was sent to HTTPS port</html>", "400: <html>The plain HTTP"),
            (404, "nothing here", "404: nothing here"),
            (200, "<html>a proxy says hello</html>", "is not of the event collector"),
        ] {
            let told = doubt(&answer(status, body)).unwrap_or_else(|| panic!("{status} {body}"));
            assert!(told.why.contains(words) && told.what.contains("https://splunk:8088 "), "{told}");
        }
    }

    #[test]
    fn a_number_is_waited_for_where_that_is_wanted() {
        let with = r#"{"text":"Success","code":0,"ackId":7}"#;
        let without = r#"{"text":"Success","code":0}"#;
        assert_eq!(said(200, with, Ack::Auto), Reading::Numbered(7));
        assert_eq!(said(200, with, Ack::On), Reading::Numbered(7));
        assert_eq!(said(200, with, Ack::Off), Reading::Taken);
        assert!(matches!(said(200, without, Ack::On), Reading::Again(_)));
        let acks = Said::parse(br#"{"acks":{"0":true,"1":false}}"#).unwrap().acks.unwrap();
        assert_eq!(acks, BTreeMap::from([(0, true), (1, false)]));
    }
}
