//! Where in a part something stands, and which kind a part is of.
//!
//! Must not know: what a kind means.

use super::diagnostic::{Diagnostic, Place, SourceFile};
use super::tree::{Node, Notes, Part};
use schemars::JsonSchema;
use std::ops::Range;

/// Exactly one key of `T`'s must stand in the table at `keys`; which one.
pub(super) fn one_kind<T: JsonSchema>(
    part: &Part<'_>,
    keys: &[&str],
    path: &str,
    notes: &mut Notes,
) -> Option<String> {
    let kinds = kinds::<T>();
    let prefix: String = keys.iter().map(|key| format!("{key}.")).collect();
    let list = || kinds.iter().map(|kind| format!("`{prefix}{kind}`")).collect::<Vec<_>>().join(", ");
    let inner = keys.iter().try_fold(&part.value, |node, key| node.get_ref().get(key));
    let table = inner.and_then(|node| node.get_ref().as_table());
    let mut found: Vec<(String, Place)> = table
        .into_iter()
        .flat_map(|table| table.keys())
        .filter(|key| kinds.iter().any(|kind| kind == key.get_ref()))
        .map(|key| (key.get_ref().to_string(), Place { file: part.file, span: key.span() }))
        .collect();
    found.sort_by_key(|(_, place)| place.span.start);
    match found.as_slice() {
        [(kind, _)] => return Some(kind.clone()),
        [] => {
            let place = at(part, keys).unwrap_or_else(|| part.key.clone());
            let what = keys.last().copied().unwrap_or("kind");
            let message = format!("`{path}` has no {what}");
            notes.tell(Diagnostic::error(place, message, format!("add one of {}", list())));
        }
        [(first, _), (second, place), ..] => {
            let message = format!("`{path}` has two kinds, `{prefix}{first}` and `{prefix}{second}`");
            let help = "keep one of them; another shape or destination is another `[output.NAME]`";
            let help = if keys.is_empty() { "keep one of them" } else { help };
            notes.tell(Diagnostic::error(place.clone(), message, help));
        }
    }
    None
}

/// The keys that `T` knows.
pub(super) fn kinds<T: JsonSchema>() -> Vec<String> {
    let schema = schemars::schema_for!(T);
    let properties = schema.get("properties").and_then(|properties| properties.as_object());
    properties.into_iter().flatten().map(|(key, _)| key.clone()).collect()
}

/// The keys of a dotted one.
pub(super) fn keys_of(key: &str) -> impl Iterator<Item = &str> {
    key.split('.').filter(|key| !key.is_empty())
}

/// What a room said of its table, at the deepest of `keys` that stands there.
pub(super) fn tell_at(part: &Part<'_>, keys: &[&str], error: impl std::fmt::Display, notes: &mut Notes) {
    let place =
        (0..=keys.len()).rev().find_map(|end| at(part, &keys[..end])).unwrap_or_else(|| part.key.clone());
    // The value of a variable that is not set is not the operator's mistake.
    if notes.unfilled.contains(&place) {
        return;
    }
    let text = error.to_string();
    // Rooms say what is wrong, then what to do.
    let (message, help) = text.split_once("; ").unwrap_or((&text, ""));
    notes.tell(Diagnostic::error(place, message, help));
}

/// Place of the key at the end of `keys`; of the value, if that is a single line's.
pub(super) fn at(part: &Part<'_>, keys: &[&str]) -> Option<Place> {
    let (last, before) = keys.split_last()?;
    let mut node = &part.value;
    for key in before {
        node = node.get_ref().get(key)?;
    }
    let (key, value) = node.get_ref().as_table()?.iter().find(|(key, _)| key.get_ref() == last)?;
    let span = if value.get_ref().is_table() { key.span() } else { value.span() };
    Some(Place { file: part.file, span })
}

/// Place of `meant` in the text of a value; None where it is not written down letter by letter.
pub(super) fn sign(
    part: &Part<'_>,
    node: &Node<'_>,
    meant: &Range<usize>,
    files: &[SourceFile],
) -> Option<Place> {
    let (span, text) = (node.span(), node.get_ref().as_str()?);
    let written = files.get(part.file)?.text.get(span.clone())?;
    let quotes =
        written.len() - written.trim_start_matches(['"', '\'']).trim_start_matches(['\r', '\n']).len();
    let start = span.start + quotes;
    let is_plain = written.get(quotes..).is_some_and(|written| written.starts_with(text));
    is_plain.then(|| Place { file: part.file, span: start + meant.start..start + meant.end })
}
