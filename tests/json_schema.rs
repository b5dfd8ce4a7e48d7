//! What is written is what the published schema of the native format says. Of JSON Schema, the
//! keywords that this schema uses; another one there fails the test instead of passing unseen.

use crate::peers;
use forebay::event::{EventId, Note, NoteKind, Origin, Timestamp, XmlEvent};
use forebay::format::json::SCHEMA;
use forebay::format::{Meta, json::Json};
use serde_json::Value;

pub(crate) struct Schema(Value);

impl Schema {
    pub(crate) fn published() -> Self {
        Self(serde_json::from_str(SCHEMA).unwrap())
    }

    /// What is wrong with the value, and where.
    pub(crate) fn check(&self, value: &Value) -> Result<(), String> {
        self.at(&self.0, value)
    }

    fn at(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let keywords = match schema {
            Value::Bool(true) => return Ok(()),
            Value::Object(keywords) => keywords,
            _ => return Err(format!("not allowed: {value}")),
        };
        for (keyword, wanted) in keywords {
            let holds = match keyword.as_str() {
                "$schema" | "$defs" | "title" | "description" => true,
                "$ref" => {
                    let name = wanted.as_str().and_then(|path| path.strip_prefix("#/$defs/")).unwrap();
                    self.at(&self.0["$defs"][name], value)?;
                    true
                }
                "type" => is(wanted.as_str().unwrap(), value),
                "enum" => wanted.as_array().unwrap().contains(value),
                "minimum" => value.as_u64().is_none_or(|number| number >= wanted.as_u64().unwrap()),
                "maximum" => value.as_u64().is_none_or(|number| number <= wanted.as_u64().unwrap()),
                "pattern" => value.as_str().is_none_or(|text| matches(wanted.as_str().unwrap(), text)),
                "format" => value.as_str().is_none_or(|text| is_formatted(wanted.as_str().unwrap(), text)),
                "anyOf" => wanted.as_array().unwrap().iter().any(|one| self.at(one, value).is_ok()),
                "required" => {
                    let has = |name: &Value| value.get(name.as_str().unwrap()).is_some();
                    !value.is_object() || wanted.as_array().unwrap().iter().all(has)
                }
                "items" => {
                    value.as_array().into_iter().flatten().try_for_each(|item| self.at(wanted, item))?;
                    true
                }
                "properties" | "additionalProperties" => true,
                other => panic!("the schema uses {other}, which is not checked here"),
            };
            if !holds {
                return Err(format!("{keyword} {wanted}: {value}"));
            }
        }
        for (name, member) in value.as_object().into_iter().flatten() {
            let known = schema["properties"].get(name).or_else(|| keywords.get("additionalProperties"));
            known
                .map_or(Ok(()), |schema| self.at(schema, member))
                .map_err(|wrong| format!("{name}: {wrong}"))?;
        }
        Ok(())
    }
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        _ => panic!("unknown type {kind}"),
    }
}

/// The patterns that the schema has.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern {
        "^[0-9a-f]{32}$" => text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')),
        _ => panic!("the pattern {pattern} is not checked here"),
    }
}

fn is_formatted(format: &str, text: &str) -> bool {
    match format {
        "date-time" => text.ends_with('Z') && Timestamp::parse(text.as_bytes()).is_some(),
        _ => panic!("the format {format} is not checked here"),
    }
}

fn written(text: &[u8], meta: &Meta<'_>) -> Value {
    let mut out = Vec::new();
    Json::default().event(&XmlEvent::parse(text).unwrap(), meta, &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn every_golden_file_is_what_the_published_schema_says() {
    let schema = Schema::published();
    for text in peers::fixtures() {
        let value = written(&text, &Meta::default());
        schema.check(&value).unwrap_or_else(|wrong| panic!("{wrong}: {value}"));
    }
}

#[test]
fn metadata_and_what_could_not_be_read_are_what_the_published_schema_says() {
    let origin = Origin {
        source: "dc".into(),
        host: Some("dc1$@EXAMPLE.ORG".into()),
        address: Some("192.0.2.10".parse().unwrap()),
        subscription: Some("logons".into()),
        file: Some("a".into()),
        received: Timestamp::parse(b"2023-05-29T08:47:50.693054112Z").unwrap(),
    };
    let kinds = [NoteKind::Undecodable, NoteKind::Surrogates, NoteKind::Recovered];
    let notes = kinds.map(|kind| Note { event: 0, kind, detail: "why".into() });
    let meta =
        Meta { origin: Some(&origin), id: Some(EventId([0xab; 16])), notes: &notes, ..Meta::default() };
    let schema = Schema::published();
    schema.check(&written(b"<Event><System/></Event>", &meta)).unwrap();
    let mut out = Vec::new();
    Json::default().raw(b"<Ev", "it is cut", &meta, &mut out);
    schema.check(&serde_json::from_slice(&out).unwrap()).unwrap();
}

#[test]
fn what_the_schema_does_not_say_is_noticed() {
    let schema = Schema::published();
    for wrong in [
        r#"{"System":{"Provider":{"Nam":"x"}}}"#,
        r#"{"System":{"EventID":-1}}"#,
        r#"{"System":[]}"#,
        r#"{"System":{},"Forebay":{"Id":"xyz"}}"#,
        r#"{"System":{},"EventData":{"Data":"x"}}"#,
    ] {
        assert!(schema.check(&serde_json::from_str(wrong).unwrap()).is_err(), "{wrong}");
    }
}
