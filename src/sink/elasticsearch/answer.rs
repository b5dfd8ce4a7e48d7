//! What an answer to `_bulk` says, event by event.
//!
//! Must not know: connections.

use crate::finding::Finding;
use crate::sink::web::answer::{Answer, words_of};
use crate::sink::web::reading::{Fate, Reading, Setback};
use serde::Deserialize;
use std::borrow::Cow;
use std::time::Duration;

/// The body of an answer; of one to a request that failed as a whole only the error.
#[derive(Debug, Default, Deserialize)]
pub struct Said<'a> {
    pub errors: Option<bool>,
    #[serde(default, borrow)]
    pub items: Vec<Action<'a>>,
    #[serde(default, borrow)]
    error: Option<Reason<'a>>,
}

/// What became of one event.
#[derive(Debug, Deserialize)]
pub struct Action<'a> {
    #[serde(alias = "index", alias = "update", alias = "delete", borrow)]
    create: Outcome<'a>,
}

#[derive(Debug, Deserialize)]
struct Outcome<'a> {
    status: u16,
    #[serde(default, borrow)]
    error: Option<Reason<'a>>,
}

/// An error, or the text of one: a request that is refused early has only that.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Reason<'a> {
    Whole {
        #[serde(rename = "type", borrow)]
        kind: Option<Cow<'a, str>>,
        #[serde(borrow)]
        reason: Option<Cow<'a, str>>,
        #[serde(borrow)]
        caused_by: Option<Cause<'a>>,
    },
    Text(#[serde(borrow)] Cow<'a, str>),
}

#[derive(Debug, Deserialize)]
struct Cause<'a> {
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
}

/// How long an index that is not there, or may not be written, is left alone.
const CLOSED_PAUSE: Duration = Duration::from_secs(60);
const CLOSED_FIX: &str =
    "make the index or data stream, see that it may be written and that our key or user may do so";

impl<'a> Said<'a> {
    /// Nothing when it is no answer to `_bulk`.
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        // An array would be taken for the members in their order.
        body.trim_ascii_start().strip_prefix(b"{")?;
        let said: Self = serde_json::from_slice(body).ok()?;
        (said.errors.is_some() || said.error.is_some()).then_some(said)
    }
}

impl Reason<'_> {
    fn words(&self) -> String {
        match self {
            Self::Text(text) => words_of(text.as_bytes()),
            Self::Whole { kind, reason, caused_by } => {
                let cause = caused_by.as_ref().and_then(|cause| cause.reason.as_ref());
                let parts = [kind.as_ref(), reason.as_ref(), cause];
                let parts: Vec<&str> = parts.iter().flatten().map(|part| part.as_ref()).collect();
                words_of(parts.join(": ").as_bytes())
            }
        }
    }

    fn kind(&self) -> &str {
        match self {
            Self::Whole { kind: Some(kind), .. } => kind,
            _ => "error",
        }
    }

    /// What to do where it is about the index and never about the event that was to go there; `is_routed` when the
    /// event names its index. Reasons are known by how they begin: further on the text of an event may be quoted.
    fn of_index(&self, is_routed: bool) -> Option<&'static str> {
        let reason = match self {
            Self::Whole { reason: Some(reason), .. } => &**reason,
            _ => "",
        };
        match self.kind() {
            "cluster_block_exception" | "index_create_block_exception" | "index_not_found_exception" => {
                Some(CLOSED_FIX)
            }
            "index_closed_exception" => Some("open the index"),
            "invalid_index_name_exception" if !is_routed => Some("correct `index`"),
            "illegal_argument_exception" | "validation_exception"
                if reason.starts_with("Validation Failed: 1: this action would add [") =>
            {
                Some(
                    "there are as many shards as the cluster takes: delete old indices or make them fewer, add nodes, \
                     or raise `cluster.max_shards_per_node`",
                )
            }
            "illegal_argument_exception" if reason.starts_with("pipeline with id [") => Some(
                "make the ingest pipeline, or correct `pipeline` or the `index.default_pipeline` that names it",
            ),
            "illegal_argument_exception" if reason.starts_with("no write index is defined for alias [") => {
                Some("tell which index behind the alias is written to (`is_write_index`)")
            }
            _ => None,
        }
    }
}

/// What an answer to so many events says of them; `is_routed` when each names its index.
pub fn read(answer: &Answer, items: usize, is_routed: bool) -> Reading {
    let said = Said::parse(&answer.body);
    if !answer.is_success() {
        let error = said.as_ref().and_then(|said| said.error.as_ref());
        let words = error.map_or_else(|| answer.words(), Reason::words);
        return match (answer.status, error.and_then(|error| error.of_index(is_routed))) {
            (400 | 403 | 404, Some(fix)) => Reading::Again(closed(answer, answer.status, words, fix)),
            _ => answer.usual(&words).unwrap_or_else(|| Reading::Again(answer.not_understood(&words))),
        };
    }
    let Some(said) = said.filter(|said| said.items.len() == items) else {
        let why = format!("it does not say what became of each of {items} events");
        return Reading::Again(answer.not_understood(&why));
    };
    if said.items.iter().all(|action| is_there(action.create.status)) {
        return Reading::Taken;
    }
    let (mut setback, mut fates) = (None, Vec::with_capacity(items));
    for Action { create: Outcome { status, error } } in &said.items {
        fates.push(match status {
            status if is_there(*status) => Fate::Taken,
            408 | 429 | 500..=599 => {
                let words = error.as_ref().map_or("error", Reason::kind);
                let busy = || Answer { status: *status, ..answer.clone() }.busy(words);
                setback.get_or_insert_with(busy);
                Fate::Again
            }
            400..=499 => {
                let words = error.as_ref().map(Reason::words).unwrap_or_default();
                let of_index = error.as_ref().and_then(|error| error.of_index(is_routed));
                let is_closed = matches!(status, 401 | 403 | 404);
                match of_index.or_else(|| is_closed.then_some(CLOSED_FIX)) {
                    Some(fix) => {
                        setback.get_or_insert_with(|| closed(answer, *status, words, fix));
                        Fate::Again
                    }
                    None => Fate::Refused(format!("{status}: {words}")),
                }
            }
            _ => {
                let why = format!("status {status} for an event");
                setback.get_or_insert_with(|| answer.not_understood(&why));
                Fate::Again
            }
        });
    }
    Reading::Each(fates, setback)
}

/// Created now, or before: then its `_id` is taken, which follows from the event.
fn is_there(status: u16) -> bool {
    matches!(status, 200..=299 | 409)
}

fn closed(answer: &Answer, status: u16, words: String, fix: &str) -> Setback {
    Setback {
        reason: format!("{status}: {words}"),
        after: Some(CLOSED_PAUSE),
        finding: Some(Finding {
            what: format!("{} does not let us write to the index", answer.peer),
            why: format!("{status}: {words}"),
            fix: format!("{fix}; events are sent again"),
        }),
        ..Setback::of(&answer.peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use serde_json::json;

    fn said(status: u16, body: &str, items: usize) -> Reading {
        let answer = Answer::of("http://es:9200", status, Bytes::from(body.to_owned()));
        read(&answer, items, false)
    }

    #[test]
    fn created_and_there_already_are_taken() {
        let body = r#"{"errors":true,"items":[{"create":{"status":201}},
            {"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"exists"}}}]}"#;
        assert_eq!(said(200, body, 2), Reading::Taken);
        assert_eq!(said(200, r#"{"errors":false,"items":[{"index":{"status":200}}]}"#, 1), Reading::Taken);
    }

    #[test]
    fn each_event_has_its_own_fate() {
        let body = r#"{"took":3,"errors":true,"items":[{"create":{"_index":"i","status":201}},
            {"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"queue \"full\""}}},
            {"create":{"status":400,"error":{"type":"document_parsing_exception","reason":"failed to parse",
              "caused_by":{"type":"x","reason":"For input string: \"é\""}}}}]}"#;
        let Reading::Each(fates, Some(setback)) = said(200, body, 3) else { panic!() };
        let words = "400: document_parsing_exception: failed to parse: For input string: \"é\"";
        assert_eq!(fates, [Fate::Taken, Fate::Again, Fate::Refused(words.into())]);
        assert!(setback.is_overload && setback.reason.contains("es_rejected_execution_exception"));
        let refused =
            r#"{"errors":true,"items":[{"create":{"status":400,"error":{"type":"t","reason":"r"}}}]}"#;
        assert_eq!(said(200, refused, 1), Reading::Each(vec![Fate::Refused("400: t: r".into())], None));
    }

    #[test]
    fn what_is_wrong_with_the_index_is_not_the_fault_of_events() {
        let shards = "Validation Failed: 1: this action would add [2] shards, but this cluster currently has \
                      [1000]/[1000] maximum normal shards open;";
        let alias = "no write index is defined for alias [logs]. The write index may be explicitly disabled";
        for (kind, reason, fix) in [
            ("validation_exception", shards, "cluster.max_shards_per_node"),
            ("illegal_argument_exception", shards, "cluster.max_shards_per_node"),
            ("illegal_argument_exception", "pipeline with id [x] does not exist", "`pipeline`"),
            ("illegal_argument_exception", alias, "`is_write_index`"),
            ("index_closed_exception", "closed", "open the index"),
            ("invalid_index_name_exception", "Invalid index name [A], must be lowercase", "`index`"),
            (
                "cluster_block_exception",
                "index [i] blocked by: [FORBIDDEN/8/index write (api)];",
                "may be written",
            ),
        ] {
            let error = json!({ "type": kind, "reason": reason });
            let refused =
                json!({ "status": 400, "error": { "type": "document_parsing_exception", "reason": "r" } });
            let items = json!([{ "create": { "status": 400, "error": error } }, { "create": refused }]);
            let body = json!({ "errors": true, "items": items }).to_string();
            let Reading::Each(fates, Some(setback)) = said(200, &body, 2) else { panic!("{kind}") };
            let words = "400: document_parsing_exception: r";
            assert_eq!(fates, [Fate::Again, Fate::Refused(words.into())], "{kind}");
            assert_eq!((setback.after, &*setback.peer), (Some(CLOSED_PAUSE), "http://es:9200"));
            let finding = setback.finding.unwrap();
            assert!(finding.why.contains(reason) && finding.fix.contains(fix), "{finding}");
            let whole = json!({ "error": error, "status": 400 }).to_string();
            assert!(matches!(said(400, &whole, 2), Reading::Again(Setback { after: Some(_), .. })), "{kind}");
        }
    }

    #[test]
    fn what_may_be_the_fault_of_an_event_is_refused() {
        // Grok quotes what it does not match.
        let quoted =
            "Provided Grok expressions do not match field value: [pipeline with id [x] does not exist]";
        for (kind, reason) in [
            ("illegal_argument_exception", quoted),
            ("illegal_argument_exception", "Limit of total fields [1000] has been exceeded"),
            ("document_parsing_exception", "Validation Failed: 1: this action would add [2] shards"),
        ] {
            let error = json!({ "type": kind, "reason": reason });
            let body = json!({ "errors": true, "items": [{ "create": { "status": 400, "error": error } }] });
            let words = format!("400: {kind}: {reason}");
            assert_eq!(said(200, &body.to_string(), 1), Reading::Each(vec![Fate::Refused(words)], None));
        }
        // The name may be made of values of the event.
        let name = r#"{"type":"invalid_index_name_exception","reason":"must be lowercase"}"#;
        let body = format!(r#"{{"errors":true,"items":[{{"create":{{"status":400,"error":{name}}}}}]}}"#);
        let answer = Answer::of("http://es:9200", 200, Bytes::from(body));
        assert!(matches!(read(&answer, 1, true), Reading::Each(fates, None) if fates[0] != Fate::Again));
    }

    #[test]
    fn what_does_not_say_what_became_of_each_event_is_no_yes() {
        for body in [
            "",
            "{}",
            "[]",
            "<html>",
            r#"{"errors":false}"#,
            r#"{"errors":false,"items":[{"create":{"status":201}}]}"#,
            r#"{"errors":false,"items":[{"create":{"status":201}},{"create":{"stat"#,
            r#"{"errors":false,"items":[{"create":{}},{"create":{}}]}"#,
        ] {
            let Reading::Again(setback) = said(200, body, 2) else { panic!("{body}") };
            assert!(setback.may_be_taken, "{body}");
        }
    }

    #[test]
    fn a_request_that_failed_as_a_whole_has_its_class() {
        let error = |kind: &str| format!(r#"{{"error":{{"type":"{kind}","reason":"why"}},"status":400}}"#);
        for (status, body, class) in [
            (404, error("index_not_found_exception"), "Again"),
            (404, "no such page".into(), "Locked"),
            (401, error("security_exception"), "Locked"),
            (403, error("security_exception"), "Locked"),
            (413, String::new(), "TooLarge"),
            (429, error("circuit_breaking_exception"), "Again"),
            (503, error("no_master"), "Again"),
            (400, error("illegal_argument_exception"), "Refused"),
            (302, String::new(), "Locked"),
        ] {
            let reading = format!("{:?}", said(status, &body, 1));
            assert!(reading.starts_with(class), "{status} {body}: {reading}");
        }
        assert_eq!(said(400, r#"{"error":"early","status":400}"#, 1), Reading::Refused("400: early".into()));
    }
}
