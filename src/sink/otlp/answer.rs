//! What a receiver of OTLP says, and what follows ("OTLP/HTTP Response" of the OTLP specification).
//!
//! | answer | what follows |
//! |---|---|
//! | 200, an `ExportLogsServiceResponse` | taken |
//! | the same with a message | taken, and the message is told |
//! | the same with rejected records, all of the request | refused, in its words |
//! | the same with some rejected | none is sent again, and all of the request go to the dead letter: see below |
//! | 429, 502, 503, 504 | again, after `Retry-After` |
//! | 400 | refused: what it is about is searched for by halving, since nothing of such a request was taken |
//! | 413 | halved |
//! | other 5xx | again for a while, then as 400 |
//! | redirects, 401, 403, 404, 405 … | nothing goes on before an operator has done something |
//!
//! A receiver says how many records it rejected and not which, and forbids to send the request again. To send parts
//! of it would bring the accepted ones twice, to go on would lose the others. So the events of that request stand in
//! the dead letter, with what it said; there they can be looked for in the receiver by `log.record.uid`. Requests are
//! smaller for a while, so that fewer share that.
//! The specification wants no second attempt after another 5xx. A receiver that fails over everything would send the
//! basin to the dead letter then, so it is tried again first.
//! Must not know: connections.

use super::proto::{Field, Fields};
use crate::finding::Finding;
use crate::sink::web::answer::{Answer, words_of};
use crate::sink::web::reading::{Fate, Reading};
use serde_json::Value;

/// An `ExportLogsServiceResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub rejected: u64,
    pub message: String,
}

/// Fields of `ExportLogsServiceResponse` and of the message in it.
const PARTIAL_SUCCESS: u64 = 1;
const REJECTED: u64 = 1;
const MESSAGE: u64 = 2;
/// Field of `google.rpc.Status`.
const STATUS_MESSAGE: u64 = 2;

impl Said {
    /// Nothing when it is none. Some answer in JSON though they were asked in the other encoding.
    pub fn parse(body: &[u8]) -> Option<Self> {
        match body.first() {
            None => Some(Self::default()),
            Some(b'{') => Self::of_json(body),
            // The first field of a message never looks so: it is a text that came in its place.
            Some(b' '..=b'~') => None,
            Some(_) => Self::of_proto(body),
        }
    }

    fn of_proto(body: &[u8]) -> Option<Self> {
        let mut said = Self::default();
        for field in Fields(body) {
            let (PARTIAL_SUCCESS, field) = field.ok()? else { continue };
            let Field::Bytes(partial) = field else { return None };
            for field in Fields(partial) {
                match field.ok()? {
                    (REJECTED, Field::Number(rejected)) => said.rejected = rejected,
                    (MESSAGE, Field::Bytes(message)) => {
                        said.message = String::from_utf8_lossy(message).into_owned();
                    }
                    (REJECTED | MESSAGE, _) => return None,
                    _ => {}
                }
            }
        }
        // Fewer than none.
        i64::try_from(said.rejected).is_ok().then_some(said)
    }

    fn of_json(body: &[u8]) -> Option<Self> {
        let Value::Object(all) = serde_json::from_slice(body).ok()? else { return None };
        let partial = match all.get("partialSuccess") {
            None if all.is_empty() => return Some(Self::default()),
            None => return None,
            Some(Value::Null) => return Some(Self::default()),
            Some(partial) => partial.as_object()?,
        };
        let rejected = match partial.get("rejectedLogRecords") {
            None | Some(Value::Null) => 0,
            Some(Value::String(digits)) => digits.parse().ok()?,
            Some(number) => number.as_u64()?,
        };
        let message = match partial.get("errorMessage") {
            None | Some(Value::Null) => String::new(),
            Some(message) => message.as_str()?.to_owned(),
        };
        Some(Self { rejected, message })
    }
}

/// What an answer to so many events says of them.
pub fn read(answer: &Answer, items: usize) -> Reading {
    match answer.status {
        200..=299 => match Said::parse(&answer.body) {
            Some(said) => taken(answer, &said, items),
            None => Reading::Again(answer.not_understood("what it says is not of OTLP")),
        },
        500 | 501 | 505..=599 => Reading::Failed(answer.busy(&words(answer))),
        _ => {
            let unclear = || Reading::Again(answer.not_understood("that means nothing in OTLP"));
            answer.usual(&words(answer)).unwrap_or_else(unclear)
        }
    }
}

fn taken(answer: &Answer, said: &Said, items: usize) -> Reading {
    let Answer { peer, .. } = answer;
    let message = match words_of(said.message.as_bytes()) {
        message if message.is_empty() => "without a reason".to_owned(),
        message => message,
    };
    match usize::try_from(said.rejected).unwrap_or(usize::MAX) {
        0 if said.message.is_empty() => Reading::Taken,
        0 => Reading::Noted(Finding {
            what: format!("{peer} takes events and has something to say"),
            why: message,
            fix: "see whether that matters to you; nothing was rejected".into(),
        }),
        _ if items == 0 => Reading::Taken,
        rejected if rejected >= items => Reading::Each(vec![Fate::Refused(message); items], None),
        rejected => Reading::Unclear {
            words: format!(
                "{rejected} of the {items} events of a request and does not say which; this one may be there, \
                 and is not sent again: {message}"
            ),
            finding: Finding {
                what: format!("{peer} rejects some events of requests and does not say which"),
                why: message,
                fix: "mend what it says; all events of such a request are in the dead letter, since none may be sent \
                      again: look for their `log.record.uid` there"
                    .into(),
            },
        },
    }
}

/// The message of a `google.rpc.Status`, in either encoding, or what else it says.
fn words(answer: &Answer) -> String {
    let body = &answer.body[..];
    let of_json = |body| {
        let value: Value = serde_json::from_slice(body).ok()?;
        Some(words_of(value.get("message")?.as_str()?.as_bytes()))
    };
    let message = match body.first() {
        Some(b'{') => of_json(body),
        Some(b' '..=b'~') | None => None,
        Some(_) => status_message(body).map(words_of),
    };
    message.filter(|message| !message.is_empty()).unwrap_or_else(|| answer.words())
}

fn status_message(body: &[u8]) -> Option<&[u8]> {
    let mut message = None;
    for field in Fields(body) {
        if let (STATUS_MESSAGE, Field::Bytes(found)) = field.ok()? {
            message = Some(found);
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, body: &[u8], items: usize) -> Reading {
        read(&Answer::of("https://otel:4318", status, body.to_vec().into()), items)
    }

    #[test]
    fn an_empty_answer_is_a_yes_and_so_is_one_with_fields_that_are_new() {
        for body in [&b""[..], b"\x0a\x00", b"{}", br#"{"partialSuccess":{}}"#, br#"{"partialSuccess":null}"#]
        {
            assert_eq!(said(200, body, 3), Reading::Taken, "{body:?}");
        }
        assert_eq!(said(200, b"\x0a\x02\x18\x01\x12\x01x", 3), Reading::Taken);
    }

    #[test]
    fn what_is_no_answer_of_otlp_is_no_yes() {
        for body in [
            &b"OK"[..],
            b"<html>a proxy</html>",
            b"[]",
            br#"{"took":1}"#,
            br#"{"error":"no"}"#,
            br#"{"partialSuccess":{"rejectedLogRecords":"many"}}"#,
            b"\x0a\x05\x08",
            b"\x08\x01",
            b"\x0a\x02\x12\x08",
            b"\x0a\x02\x0a\x00",
            b"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ] {
            assert!(
                matches!(said(200, body, 3), Reading::Again(setback) if setback.may_be_taken),
                "{body:?}"
            );
        }
    }

    #[test]
    fn a_message_without_rejected_records_is_told() {
        for body in [&b"\x0a\x05\x12\x03old"[..], br#"{"partialSuccess":{"errorMessage":"old"}}"#] {
            let Reading::Noted(finding) = said(200, body, 3) else { panic!("{body:?}") };
            assert_eq!(finding.why, "old");
        }
    }

    #[test]
    fn records_that_are_rejected_are_refused_where_it_is_known_which() {
        for body in [
            &b"\x0a\x07\x08\x03\x12\x03bad"[..],
            b"\x0a\x07\x08\x09\x12\x03bad",
            br#"{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"bad"}}"#,
            br#"{"partialSuccess":{"rejectedLogRecords":3,"errorMessage":"bad"}}"#,
        ] {
            assert_eq!(said(200, body, 3), Reading::Each(vec![Fate::Refused("bad".into()); 3], None));
        }
        let Reading::Unclear { words, finding } = said(200, b"\x0a\x07\x08\x02\x12\x03bad", 3) else {
            panic!()
        };
        assert!(words.starts_with("2 of the 3 events") && words.ends_with("bad"), "{words}");
        assert!(finding.what.contains("does not say which"), "{finding}");
        assert_eq!(said(200, b"\x0a\x07\x08\x02\x12\x03bad", 0), Reading::Taken);
    }

    #[test]
    fn each_status_has_its_class_and_is_told_in_the_receivers_words() {
        // code 3, message "no body"
        let status = b"\x08\x03\x12\x07no body";
        for (code, class) in [
            (400, "Refused"),
            (401, "Locked"),
            (403, "Locked"),
            (404, "Locked"),
            (405, "Locked"),
            (307, "Locked"),
            (413, "TooLarge"),
            (415, "Locked"),
            (422, "Refused"),
            (429, "Again"),
            (500, "Failed"),
            (501, "Failed"),
            (502, "Again"),
            (503, "Again"),
            (504, "Again"),
            (507, "Failed"),
            (999, "Again"),
        ] {
            let reading = format!("{:?}", said(code, status, 3));
            assert!(reading.starts_with(class), "{code}: {reading}");
        }
        assert_eq!(said(400, status, 3), Reading::Refused("400: no body".into()));
        assert_eq!(
            said(400, br#"{"code":3,"message":"no body"}"#, 3),
            Reading::Refused("400: no body".into())
        );
        assert_eq!(said(400, b"no body", 3), Reading::Refused("400: no body".into()));
        assert_eq!(said(400, b"", 3), Reading::Refused("400: without a word".into()));
    }
}
