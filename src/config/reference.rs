//! The JSON Schema of a pipeline file, and the reference for people, both made from the doc
//! comments of the rooms' own structs.
//!
//! Promise: `pipelines/REFERENCE.md` is what `reference` says (a test compares them).

use super::written::PipelineConfig;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fmt::Write;

/// JSON Schema (draft 2020-12) for editors.
pub fn schema() -> Value {
    schemars::schema_for!(PipelineConfig).to_value()
}

/// Every table and key, and every limit, in Markdown.
pub fn reference() -> String {
    pages(LIMITS)
}

/// The limits, which a test gathers from where they are enforced.
const LIMITS: &str = include_str!("limits.md");

fn pages(limits: &str) -> String {
    let schema = schema();
    let definitions = schema.get("$defs").and_then(Value::as_object);
    let mut pages = Pages { definitions, shown: BTreeSet::new(), out: String::new() };
    pages.out.push_str(HEAD);
    pages.table(&schema, &mut Vec::new());
    pages.out.push_str(limits);
    pages.out
}

const HEAD: &str = "# The pipeline file, key by key

TOML, one file or a folder of `*.toml` (`[source.…]` and `[output.…]` may be spread over its files).
The kind of a component is the name of a table: `[source.dc.evtx]`, `sink.file = { … }`.
Sizes are texts such as `\"512KiB\"`, `\"64MiB\"`, `\"50GiB\"`; durations `\"250ms\"`, `\"30s\"`, `\"5m\"`, `\"1h\"`, `\"7d\"`.
`${env:NAME}` and `${file:/path}` (without its last line end) may stand in any text; `$${` is a plain `${`.
A file that every user of the machine can read is refused there (a group may), unless it stands below
`/run/secrets`, where containers find theirs; with a Kubernetes volume elsewhere set `defaultMode: 0440`.
`forebay check FILE` tells every mistake with its line; `forebay schema` prints the JSON Schema.

This file is generated from the program (`UPDATE=1 cargo test the_reference_is_up_to_date`).
";

struct Pages<'s> {
    definitions: Option<&'s Map<String, Value>>,
    /// Tables that stand in lists, by name: each is described once.
    shown: BTreeSet<&'s str>,
    out: String,
}

impl<'s> Pages<'s> {
    /// One table and those below it.
    fn table(&mut self, schema: &'s Value, path: &mut Vec<String>) {
        let words = self.words(schema);
        let schema = self.resolved(schema);
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
        let required: BTreeSet<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let (tables, keys): (Vec<_>, Vec<_>) = properties.iter().partition(|(_, value)| self.is_table(value));
        if !path.is_empty() {
            // Writing into a String cannot fail.
            let _ = write!(self.out, "\n## `[{}]`\n\n{words}\n", path.join("."));
        }
        let mut listed = Vec::new();
        if !keys.is_empty() {
            self.out.push_str("\n| key | value | default | |\n|---|---|---|---|\n");
        }
        for (key, value) in keys {
            listed.extend(
                self.listed(value).filter(|(name, _)| self.shown.insert(name)).map(|(_, table)| (key, table)),
            );
            let default = match value.get("default") {
                _ if required.contains(key.as_str()) => "(needed)".into(),
                Some(default) if !default.is_null() => format!("`{default}`"),
                _ => String::new(),
            };
            let kind = self.kind(value).replace('|', "\\|");
            let words = self.words(value).replace('\n', " ").replace('|', "\\|");
            let _ = writeln!(self.out, "| `{key}` | {kind} | {default} | {words} |");
        }
        for (key, value) in tables.into_iter().chain(listed) {
            path.push(key.clone());
            match self.resolved(value).get("additionalProperties").filter(|inner| inner.is_object()) {
                Some(inner) => {
                    path.push("NAME".into());
                    self.table(inner, path);
                    path.pop();
                }
                None => self.table(value, path),
            }
            path.pop();
        }
    }

    /// Follows `$ref`, and leaves out `null`, which TOML does not have.
    fn resolved(&self, mut schema: &'s Value) -> &'s Value {
        // Definitions do not nest deeper than this.
        for _ in 0..16 {
            if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
                let name = name.rsplit('/').next().unwrap_or_default();
                match self.definitions.and_then(|definitions| definitions.get(name)) {
                    Some(definition) => schema = definition,
                    None => return schema,
                }
            } else if let Some(one) = only(schema) {
                schema = one;
            } else {
                return schema;
            }
        }
        schema
    }

    fn is_table(&self, schema: &'s Value) -> bool {
        let schema = self.resolved(schema);
        match schema.get("additionalProperties").filter(|inner| inner.is_object()) {
            // Tables by name are tables; values by name are a key.
            Some(inner) => self.is_table(inner),
            None => {
                schema.get("properties").is_some() || schema.get("type").is_some_and(|kind| kind == "object")
            }
        }
    }

    /// The table that may stand in this key's list, with its name.
    fn listed(&self, schema: &'s Value) -> Option<(&'s str, &'s Value)> {
        let schema = self.resolved(schema);
        let inner =
            schema.get("anyOf").and_then(Value::as_array).into_iter().flatten().chain(schema.get("items"));
        inner.filter_map(|one| Some((one.get("$ref")?.as_str()?, one))).find(|(_, one)| self.is_table(one))
    }

    /// What may stand there.
    fn kind(&self, schema: &'s Value) -> String {
        let name = schema.get("$ref").or_else(|| only(schema)?.get("$ref")).and_then(Value::as_str);
        match name.and_then(|name| name.rsplit('/').next()) {
            Some("ByteSize") => return "size".into(),
            Some("Duration") => return "duration".into(),
            _ => {}
        }
        let schema = self.resolved(schema);
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(" or ");
        }
        if let Some(value) = schema.get("const") {
            return format!("`{value}`");
        }
        for word in ["oneOf", "anyOf"] {
            if let Some(all) = schema.get(word).and_then(Value::as_array) {
                let mut kinds: Vec<String> =
                    all.iter().filter(|one| !is_null(one)).map(|one| self.kind(one)).collect();
                kinds.dedup();
                let listed = kinds.last().and_then(|last| last.strip_prefix("list of "));
                if listed.is_some_and(|listed| {
                    kinds.first().is_some_and(|first| kinds.len() == 2 && first == listed)
                }) {
                    return format!("{}, or a list of them", kinds[0]);
                }
                return kinds.join(" or ");
            }
        }
        if schema.get("properties").is_some() {
            return "table (below)".into();
        }
        if let Some(inner) = schema.get("additionalProperties").filter(|inner| inner.is_object()) {
            return format!("table, by name: {}", self.kind(inner));
        }
        if let Some(example) = schema.get("examples").and_then(|examples| examples.get(0)) {
            return format!("text such as `{example}`");
        }
        let kind = match schema.get("type") {
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
            kind => kind.and_then(Value::as_str),
        };
        match kind {
            Some("string") => "text".into(),
            Some("integer") => "whole number".into(),
            Some("number") => "number".into(),
            Some("boolean") => "`true` or `false`".into(),
            Some("array") => match schema.get("items") {
                Some(items) => format!("list of {}", self.kind(items)),
                None => "list".into(),
            },
            _ => "any".into(),
        }
    }

    /// The description, and that of each value of a choice.
    fn words(&self, schema: &'s Value) -> String {
        let own = schema.get("description").and_then(Value::as_str);
        let schema = self.resolved(schema);
        let mut words =
            own.or_else(|| schema.get("description").and_then(Value::as_str)).unwrap_or_default().to_owned();
        for choice in schema.get("oneOf").and_then(Value::as_array).into_iter().flatten() {
            if let (Some(value), Some(said)) =
                (choice.get("const"), choice.get("description").and_then(Value::as_str))
            {
                let _ = write!(words, " `{value}`: {said}");
            }
        }
        words.trim().to_owned()
    }
}

/// The only member of `anyOf` that is not `null`.
fn only(schema: &Value) -> Option<&Value> {
    let all = schema.get("anyOf").and_then(Value::as_array)?;
    let mut others = all.iter().filter(|one| !is_null(one));
    let one = others.next()?;
    (others.next().is_none() && all.len() > 1).then_some(one)
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").is_some_and(|kind| kind == "null")
}

#[cfg(test)]
#[path = "limits.rs"]
mod limits;

#[cfg(test)]
mod tests {
    use super::*;
    use std::{env, fs, path::Path};

    #[test]
    fn the_reference_is_up_to_date() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let limits = limits::gathered(&root.join("src"));
        for (name, expected) in
            [("src/config/limits.md", &limits), ("pipelines/REFERENCE.md", &pages(&limits))]
        {
            if env::var_os("UPDATE").is_some() {
                fs::write(root.join(name), expected).unwrap();
            }
            let written = fs::read_to_string(root.join(name)).unwrap_or_default();
            assert!(
                written == *expected,
                "{name} is old; run UPDATE=1 cargo test the_reference_is_up_to_date"
            );
        }
    }

    /// Here a peer of the tests keeps it.
    #[test]
    fn the_product_keeps_the_order_of_the_keys_too() {
        let manifest = include_str!("../../Cargo.toml");
        let product = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        let line = product.lines().find(|line| line.starts_with("serde_json = ")).unwrap_or_default();
        assert!(line.contains("preserve_order"), "{line}");
    }

    #[test]
    fn every_key_has_words_and_a_kind() {
        for line in reference().lines().filter(|line| line.starts_with("| `")) {
            assert!(!line.contains("| any |") && !line.ends_with("|  |"), "{line}");
        }
    }

    #[test]
    fn the_schema_refuses_unknown_keys() {
        assert_eq!(schema()["additionalProperties"], Value::Bool(false));
        assert_eq!(schema()["$defs"]["DiskConfig"]["additionalProperties"], Value::Bool(false));
    }
}
