//! The event's XML in a JSON line. Pure.

use crate::event::{NoteKind, Origin, Timestamp};
use serde_json::{Map, Value};

/// What a line carries.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Carried {
    pub(super) text: String,
    /// Where it came from first, when the line is a dead letter.
    pub(super) origin: Option<Origin>,
    /// What was known of it.
    pub(super) notes: Vec<(NoteKind, String)>,
}

/// The text that a line carries, and what is wrong when there is none.
pub(super) fn event(line: &[u8]) -> Result<Carried, String> {
    const WHERE: &str = "`xml` or `event.original`";
    let value: Value = serde_json::from_slice(line).map_err(|error| format!("no JSON: {error}"))?;
    let found = match value {
        Value::String(text) => Some(text),
        Value::Object(mut object) => {
            if let Some(letter) = letter(&mut object) {
                return Ok(letter);
            }
            let nested = match object.remove("event") {
                Some(Value::Object(mut event)) => event.remove("original"),
                _ => None,
            };
            match object.remove("xml").or_else(|| object.remove("event.original")).or(nested) {
                Some(Value::String(text)) => Some(text),
                _ => None,
            }
        }
        _ => None,
    };
    let text = found.ok_or_else(|| format!("a JSON line without the event's XML in {WHERE}"))?;
    Ok(Carried { text, origin: None, notes: Vec::new() })
}

/// A dead letter of ours, which nothing else looks like. Why it is one is not asked: it is sent anew.
fn letter(line: &mut Map<String, Value>) -> Option<Carried> {
    let is_text = |name: &str| line.get(name).is_some_and(Value::is_string);
    if !["output", "error", "received", "source", "text"].into_iter().all(is_text) {
        return None;
    }
    let notes = match line.remove("notes") {
        Some(Value::Array(notes)) => notes.iter().filter_map(note).collect(),
        _ => Vec::new(),
    };
    let mut member = |name: &str| match line.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let origin = Origin {
        source: member("source")?.into(),
        host: member("host").map(Into::into),
        address: member("address").and_then(|address| address.parse().ok()),
        subscription: member("subscription").map(Into::into),
        file: member("file").map(Into::into),
        received: Timestamp::parse(member("received")?.as_bytes())?,
    };
    Some(Carried { text: member("text")?, origin: Some(origin), notes })
}

fn note(note: &Value) -> Option<(NoteKind, String)> {
    Some((NoteKind::named(note["kind"].as_str()?)?, note["detail"].as_str()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_xml_is_found_in_each_place_it_may_stand() {
        for line in [
            r#"{"xml":"<Event a='1'/>"}"#,
            r#"{"event":{"original":"<Event a='1'/>","code":1},"winlog":{}}"#,
            r#"{"event.original":"<Event a='1'/>"}"#,
            "\"<Event a='1'/>\"\r",
        ] {
            let carried = Carried { text: "<Event a='1'/>".into(), origin: None, notes: Vec::new() };
            assert_eq!(event(line.as_bytes()), Ok(carried), "{line}");
        }
    }

    #[test]
    fn a_dead_letter_is_told_from_others_and_has_its_origin() {
        let line = r#"{"output":"o","error":"e","received":"2026-01-02T03:04:05.006Z","source":"dc","host":"h","address":"::1","subscription":"s","file":"f","notes":[{"kind":"Foreign","detail":"WS9"},{"kind":"?","detail":""}],"text":"<Event/>"}"#;
        let Carried { text, origin: Some(origin), notes } = event(line.as_bytes()).unwrap() else { panic!() };
        assert_eq!((text.as_str(), &*origin.source, origin.host.as_deref()), ("<Event/>", "dc", Some("h")));
        assert_eq!(notes, [(NoteKind::Foreign, "WS9".to_owned())]);
        assert_eq!(origin.address, Some(std::net::Ipv6Addr::LOCALHOST.into()));
        assert_eq!((origin.subscription.as_deref(), origin.file.as_deref()), (Some("s"), Some("f")));
        assert_eq!(origin.received.to_string(), "2026-01-02T03:04:05.006Z");
        assert!(event(line.replace("error", "note").as_bytes()).is_err());
    }

    #[test]
    fn a_line_without_it_is_refused_in_words() {
        for line in [r#"{"event":"x"}"#, r#"{"xml":5}"#, "[]"] {
            assert!(event(line.as_bytes()).unwrap_err().contains("event.original"), "{line}");
        }
        assert!(event(b"{\"xml\":").unwrap_err().starts_with("no JSON: EOF"));
    }
}
