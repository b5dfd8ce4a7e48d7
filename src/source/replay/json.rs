//! The event's XML in a JSON line. Pure.

use serde_json::Value;

/// The text that a line carries, and what is wrong when there is none.
pub(super) fn event(line: &[u8]) -> Result<String, String> {
    const WHERE: &str = "`xml` or `event.original`";
    let value: Value = serde_json::from_slice(line).map_err(|error| format!("no JSON: {error}"))?;
    let found = match value {
        Value::String(text) => Some(text),
        Value::Object(mut object) => {
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
    found.ok_or_else(|| format!("a JSON line without the event's XML in {WHERE}"))
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
            assert_eq!(event(line.as_bytes()).as_deref(), Ok("<Event a='1'/>"), "{line}");
        }
    }

    #[test]
    fn a_line_without_it_is_refused_in_words() {
        for line in [r#"{"event":"x"}"#, r#"{"xml":5}"#, "[]"] {
            assert!(event(line.as_bytes()).unwrap_err().contains("event.original"), "{line}");
        }
        assert!(event(b"{\"xml\":").unwrap_err().starts_with("no JSON: EOF"));
    }
}
