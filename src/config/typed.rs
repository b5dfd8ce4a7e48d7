//! From the tree to typed structs, telling every mistake with its key and the nearest valid one.
//!
//! serde tells one mistake at a time. So what was wrong is taken out of the tree and the rest is
//! typed again, until nothing is wrong or only consequences are left.
//! Must not know: what the structs mean.

use super::diagnostic::{Diagnostic, Place};
use super::tree::{MISTAKES_MAX, Node, Notes, Part, known_keys};
use serde::de::DeserializeOwned;
use std::ops::Range;
use toml::de::{DeValue, ValueDeserializer};

/// Types a part of the tree; `path` is how its keys are called, such as `output.lake`.
pub(super) fn typed<T: DeserializeOwned>(part: &Part<'_>, path: &str, notes: &mut Notes) -> Option<T> {
    typed_rest(part, path, notes).filter(|(_, whole)| *whole).map(|(value, _)| value)
}

/// As `typed`, and where something was wrong, what is left without it, for checks of single keys.
/// With it: whether that is all of it.
pub(super) fn typed_rest<T: DeserializeOwned>(
    part: &Part<'_>,
    path: &str,
    notes: &mut Notes,
) -> Option<(T, bool)> {
    let mut node = part.value.clone();
    let mut removed: Vec<String> = Vec::new();
    for _ in 0..MISTAKES_MAX {
        let error = match T::deserialize(ValueDeserializer::from(node.clone())) {
            Ok(value) => return Some((value, removed.is_empty())),
            Err(error) => error,
        };
        let mistake = Mistake::parse(error.message());
        // A missing key is told at the table's header, not over all of its lines.
        let span =
            error.span().filter(|span| *span != part.value.span() && !matches!(mistake, Mistake::Missing(_)));
        let Some(span) = span else {
            tell_of_table(&mistake, error.span(), &removed, part, path, notes);
            // Without the table that lacks it, the rest can still be looked at.
            let table = error.span().filter(|span| *span != part.value.span())?;
            removed.extend(keys_to(&node, &table).pop());
            if !take_out(&mut node, &table) {
                return None;
            }
            continue;
        };
        let place = Place { file: part.file, span: span.clone() };
        let keys = keys_to(&node, &span);
        if !notes.unfilled.contains(&place) {
            let name = full(path, &keys);
            notes.tell(mistake.told(place, &name, keys.last().map_or("", String::as_str)));
        }
        if !take_out(&mut node, &span) {
            return None;
        }
        removed.extend(keys.last().cloned());
    }
    None
}

/// A mistake that has no key of its own: a missing one, or a table where something else belongs.
fn tell_of_table(
    mistake: &Mistake<'_>,
    span: Option<Range<usize>>,
    removed: &[String],
    part: &Part<'_>,
    path: &str,
    notes: &mut Notes,
) {
    let keys = span.as_ref().map(|span| keys_to(&part.value, span)).unwrap_or_default();
    match mistake {
        Mistake::Missing(key) if removed.iter().any(|removed| removed == key) => {}
        Mistake::Missing(key) => {
            let inner = span.filter(|span| *span != part.value.span());
            let place = match inner.and_then(|span| key_span(&part.value, &span)) {
                Some(span) => Place { file: part.file, span },
                None => part.key.clone(),
            };
            let name = full(path, &keys);
            notes.tell(Diagnostic::error(
                place,
                format!("`{name}` needs the key `{key}`"),
                format!("add `{key} = …`"),
            ));
        }
        other => notes.tell(other.told(part.key.clone(), path, "")),
    }
}

/// What serde said, taken apart.
enum Mistake<'m> {
    Unknown { word: &'static str, known: Vec<&'m str> },
    Missing(&'m str),
    Type { found: &'m str, expected: &'m str },
    Other(&'m str),
}

impl<'m> Mistake<'m> {
    fn parse(message: &'m str) -> Self {
        for (start, word) in [("unknown field `", "key"), ("unknown variant `", "value")] {
            if let Some(rest) = message.strip_prefix(start) {
                // The typed word may hold anything, the known ones are ours: read from the end.
                let known = rest.rsplit_once(", expected ").map_or("", |(_, known)| known);
                let known = known.split('`').skip(1).step_by(2).collect();
                return Self::Unknown { word, known };
            }
        }
        if let Some(rest) = message.strip_prefix("missing field `") {
            return Self::Missing(rest.trim_end_matches('`'));
        }
        if let Some((found, expected)) =
            message.strip_prefix("invalid type: ").and_then(|rest| rest.rsplit_once(", expected "))
        {
            return Self::Type { found, expected };
        }
        Self::Other(message)
    }

    /// `name` is the full dotted key, `key` its last part.
    fn told(&self, place: Place, name: &str, key: &str) -> Diagnostic {
        match self {
            Self::Unknown { word: "key", known } => {
                let table = name.rsplit_once('.').map_or("this file", |(table, _)| table);
                let message = format!("unknown key `{}` in `{table}`", key.escape_debug());
                Diagnostic::error(place, message, known_keys(key, known.iter().copied()))
            }
            Self::Unknown { known, .. } => {
                let list =
                    known.iter().map(|known| format!("`\"{known}\"`")).collect::<Vec<_>>().join(" or ");
                Diagnostic::error(
                    place,
                    format!("`{name}` has a value that it does not know"),
                    format!("write {list}"),
                )
            }
            Self::Type { found, expected } => {
                let message =
                    format!("`{name}` must be {}, not {}", in_words(expected), found_in_words(found));
                Diagnostic::error(place, message, "")
            }
            Self::Missing(key) => Diagnostic::error(
                place,
                format!("`{name}` needs the key `{key}`"),
                format!("add `{key} = …`"),
            ),
            Self::Other(message) => {
                // The rooms' own types say what is wrong, then what to do.
                let (message, help) = message.split_once("; ").unwrap_or((message, ""));
                Diagnostic::error(place, format!("`{name}`: {message}"), help)
            }
        }
    }
}

/// serde names Rust types; operators know numbers, texts and tables.
fn in_words(expected: &str) -> String {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => {
            "a whole number".into()
        }
        "f32" | "f64" => "a number".into(),
        "a boolean" => "`true` or `false`".into(),
        "a string" | "path string" => "a text in quotes".into(),
        "a map" | "map" => "a table".into(),
        "a sequence" => "a list".into(),
        _ if expected.starts_with("struct ") => "a table".into(),
        _ => expected.into(),
    }
}

fn found_in_words(found: &str) -> String {
    match found.split_once(' ') {
        Some(("string", text)) => format!("the text {text}"),
        Some(("integer", number)) => format!("the number {number}"),
        Some(("floating", number)) => format!("the number {}", number.trim_start_matches("point ")),
        Some(("boolean", value)) => value.to_owned(),
        _ if found == "map" => "a table".into(),
        _ if found == "sequence" => "a list".into(),
        _ => found.to_owned(),
    }
}

fn full(path: &str, keys: &[String]) -> String {
    let mut name = path.to_owned();
    for key in keys {
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(key.escape_debug());
    }
    name
}

/// The keys on the way to the key or value at this span; list entries have none.
fn keys_to(node: &Node<'_>, span: &Range<usize>) -> Vec<String> {
    let mut keys = Vec::new();
    walk(node, span, &mut keys);
    keys
}

fn walk(node: &Node<'_>, span: &Range<usize>, keys: &mut Vec<String>) -> bool {
    match node.get_ref() {
        DeValue::Table(table) => {
            for (key, value) in table {
                keys.push(key.get_ref().clone().into_owned());
                if key.span() == *span || value.span() == *span || walk(value, span, keys) {
                    return true;
                }
                keys.pop();
            }
            false
        }
        DeValue::Array(items) => items.iter().any(|item| item.span() == *span || walk(item, span, keys)),
        _ => false,
    }
}

/// Where the key of the value at this span stands.
fn key_span(node: &Node<'_>, span: &Range<usize>) -> Option<Range<usize>> {
    match node.get_ref() {
        DeValue::Table(table) => table.iter().find_map(|(key, value)| {
            if value.span() == *span { Some(key.span()) } else { key_span(value, span) }
        }),
        DeValue::Array(items) => items
            .iter()
            .find_map(|item| if item.span() == *span { Some(item.span()) } else { key_span(item, span) }),
        _ => None,
    }
}

/// Takes the entry at this span out of its table or list.
fn take_out(node: &mut Node<'_>, span: &Range<usize>) -> bool {
    match node.get_mut() {
        DeValue::Table(table) => {
            let found = table.iter().find(|(key, value)| key.span() == *span || value.span() == *span);
            if let Some(key) = found.map(|(key, _)| key.clone()) {
                return table.remove(&key).is_some();
            }
            table.iter_mut().any(|(_, value)| take_out(value, span))
        }
        DeValue::Array(items) => {
            if let Some(at) = items.iter().position(|item| item.span() == *span) {
                let kept = items.iter().enumerate().filter(|(index, _)| *index != at);
                *items = kept.map(|(_, item)| item.clone()).collect();
                return true;
            }
            items.iter_mut().any(|item| take_out(item, span))
        }
        _ => false,
    }
}
