//! A column holds 64 kB; the service cuts what is more without a word, so it is cut here, with a mark.
//!
//! - Of text its start is kept; the end is ` [Forebay: N bytes cut]`.
//! - In a dynamic column all texts longer than 16 KiB are cut so, or than 4 KiB, 1 KiB, 256 or 64 bytes, whichever
//!   is the first that makes the column fit. Where even that is too much, members that do not fit any more are
//!   left out and counted in `#LeftOut`.

use crate::event::Value;

use crate::format::members::{comma, integer, string};
use crate::format::texts::bounded;
use std::ops::Range;

/// Most bytes of one column, whether the service counts a kB as 1000 or as 1024.
pub const FIELD_BYTES_MAX: usize = 64_000;
/// More than the mark takes.
const MARK_BYTES: usize = 64;
const TEXTS_BYTES_MAX: [usize; 5] = [16 * 1024, 4 * 1024, 1024, 256, 64];

/// A column of text, unless there is none.
pub(super) fn text(name: &str, text: &[u8], out: &mut Vec<u8>) {
    if text.len() <= FIELD_BYTES_MAX {
        return string(name, Value::Text(text), out);
    }
    let kept = bounded(text, FIELD_BYTES_MAX - MARK_BYTES);
    string(name, Value::Text(kept), out);
    out.pop();
    mark(text.len() - kept.len(), out);
    out.push(b'"');
}

pub(super) fn value(name: &str, value: Value<'_>, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    let before = out.len();
    string(name, value, out);
    if out.len() - before > FIELD_BYTES_MAX {
        out.truncate(before);
        scratch.clear();
        value.write_text(scratch);
        text(name, scratch, out);
    }
}

fn mark(bytes: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(b" [Forebay: ");
    Value::Unsigned(bytes as u64).write_text(out);
    out.extend_from_slice(b" bytes cut]");
}

/// The object that stands from `start` on, so that it fits.
pub(super) fn object(start: usize, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    if out.len() - start <= FIELD_BYTES_MAX {
        return;
    }
    scratch.clear();
    scratch.extend_from_slice(&out[start..]);
    for bytes_max in TEXTS_BYTES_MAX {
        out.truncate(start);
        shorten(scratch, bytes_max, out);
        if out.len() - start <= FIELD_BYTES_MAX {
            return;
        }
    }
    scratch.clear();
    scratch.extend_from_slice(&out[start..]);
    out.truncate(start);
    out.push(b'{');
    let mut left_out = 0;
    for (name, value) in Members::of(scratch) {
        if out.len() - start + name.len() + value.len() + MARK_BYTES > FIELD_BYTES_MAX {
            left_out += 1;
            continue;
        }
        comma(out);
        out.push(b'"');
        out.extend_from_slice(&scratch[name]);
        out.extend_from_slice(b"\":");
        out.extend_from_slice(&scratch[value]);
    }
    integer("#LeftOut", left_out, out);
    out.push(b'}');
}

/// A copy of JSON without white space in which no text that is a value is longer.
fn shorten(json: &[u8], bytes_max: usize, out: &mut Vec<u8>) {
    let mut at = 0;
    while at < json.len() {
        let Some(quote) = memchr::memchr(b'"', &json[at..]) else { break };
        let start = at + quote + 1;
        out.extend_from_slice(&json[at..start]);
        let end = string_end(json, start);
        let text = &json[start..end];
        let is_name = json.get(end + 1) == Some(&b':');
        if is_name || text.len() <= bytes_max {
            out.extend_from_slice(text);
        } else {
            let kept = whole_escapes(bounded(text, bytes_max));
            out.extend_from_slice(kept);
            mark(text.len() - kept.len(), out);
        }
        at = end;
        // The quote that ends it.
        if let Some(quote) = json.get(end) {
            out.push(*quote);
            at += 1;
        }
    }
    out.extend_from_slice(&json[at.min(json.len())..]);
}

/// Where the text that starts here ends: at its quote.
fn string_end(json: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(next) = json.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += next;
        if json[at] == b'"' {
            return at;
        }
        at += 2;
    }
    json.len()
}

/// Escaped text that was cut, without the piece of an escape at its end.
fn whole_escapes(text: &[u8]) -> &[u8] {
    let mut at = 0;
    while let Some(next) = memchr::memchr(b'\\', &text[at..]) {
        let start = at + next;
        let length = if text.get(start + 1) == Some(&b'u') { 6 } else { 2 };
        if start + length > text.len() {
            return &text[..start];
        }
        at = start + length;
    }
    text
}

/// Members of an object without white space: where the name stands, without its quotes, and where the value.
pub(super) struct Members<'j> {
    json: &'j [u8],
    at: usize,
}

impl<'j> Members<'j> {
    pub(super) fn of(json: &'j [u8]) -> Self {
        Self { json, at: 1 }
    }
}

impl Iterator for Members<'_> {
    type Item = (Range<usize>, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        if self.json.get(at) != Some(&b'"') {
            return None;
        }
        let name = at + 1..string_end(self.json, at + 1);
        let start = name.end + 2;
        let mut end = start;
        let mut depth = 0;
        while let Some(byte) = self.json.get(end) {
            match byte {
                b'"' => end = string_end(self.json, end + 1),
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth > 0 => depth -= 1,
                b',' | b'}' | b']' if depth == 0 => break,
                _ => {}
            }
            end += 1;
        }
        self.at = end + 1;
        Some((name, start..end.min(self.json.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value as Json;

    fn fitted(object_of: &Json) -> Json {
        let (mut scratch, mut out) = (Vec::new(), b"before".to_vec());
        out.extend_from_slice(object_of.to_string().as_bytes());
        object(b"before".len(), &mut scratch, &mut out);
        assert!(out.len() <= FIELD_BYTES_MAX + b"before".len());
        serde_json::from_slice(&out[b"before".len()..]).unwrap()
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let given = serde_json::json!({"a": "x".repeat(60_000), "b": [1, {"c": "\"\\"}]});
        assert_eq!(fitted(&given), given);
    }

    #[test]
    fn long_texts_are_cut_with_a_mark_and_short_ones_stay() {
        let given =
            serde_json::json!({"a": "\u{1}é".repeat(500_000), "b": {"c": ["short", "y".repeat(70_000)]}});
        let found = fitted(&given);
        assert_eq!(found["b"]["c"][0], "short");
        for text in [&found["a"], &found["b"]["c"][1]] {
            let text = text.as_str().unwrap();
            assert!(text.ends_with(" bytes cut]"), "{}", &text[text.len() - 40..]);
        }
        assert!(found["b"]["c"][1].as_str().unwrap().len() > 16_000);
    }

    #[test]
    fn members_that_do_not_fit_at_all_are_counted() {
        let members = (0..2000).map(|n| (format!("name number {n}"), Json::from("z".repeat(100))));
        let found = fitted(&Json::Object(members.collect()));
        let kept = found.as_object().unwrap().len() as u64 - 1;
        assert_eq!(found["#LeftOut"].as_u64().unwrap() + kept, 2000);
        assert!(kept > 400, "{kept}");
    }

    #[test]
    fn a_column_of_text_says_how_much_is_missing() {
        let mut out = b"{".to_vec();
        text("A", "ü".repeat(40_000).as_bytes(), &mut out);
        value("B", Value::Text(&[b'x'; 70_000]), &mut Vec::new(), &mut out);
        out.push(b'}');
        let row: Json = serde_json::from_slice(&out).unwrap();
        for (name, bytes) in [("A", 80_000), ("B", 70_000)] {
            let (kept, rest) = row[name].as_str().unwrap().split_once(" [Forebay: ").unwrap();
            let cut: usize = rest.strip_suffix(" bytes cut]").unwrap().parse().unwrap();
            assert_eq!(kept.len() + cut, bytes);
            assert!(row[name].as_str().unwrap().len() <= FIELD_BYTES_MAX);
        }
    }

    #[test]
    fn members_are_found_whatever_their_values() {
        let json = br#"{"a":{"x":["}",1]},"b\"":"c,\"}","d":12,"e":[]}"#;
        let found: Vec<(&str, &str)> = Members::of(json)
            .map(|(name, value)| {
                (str::from_utf8(&json[name]).unwrap(), str::from_utf8(&json[value]).unwrap())
            })
            .collect();
        let expected = [("a", r#"{"x":["}",1]}"#), ("b\\\"", r#""c,\"}""#), ("d", "12"), ("e", "[]")];
        assert_eq!(found, expected);
        assert_eq!(Members::of(b"{}").count(), 0);
    }
}
