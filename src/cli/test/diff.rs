//! What differs between what was expected and what an output wrote, a line each.

use serde_json::Value;

/// Most lines of one test.
const LINES_MAX: usize = 20;
/// Longest value that is shown, in characters.
const VALUE_CHARS_MAX: usize = 200;

/// Compares all of it: as JSON if both are, otherwise byte by byte.
pub(super) fn whole(expected: &str, got: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    match (serde_json::from_str::<Value>(expected), serde_json::from_slice::<Value>(got)) {
        (Ok(expected), Ok(got)) => compare(&expected, &got, true, &mut String::new(), &mut lines),
        _ => {
            let (expected, got) = (expected.trim_end_matches('\n'), String::from_utf8_lossy(got));
            let same = expected.lines().zip(got.lines()).take_while(|(one, other)| one == other).count();
            if expected != got.trim_end_matches('\n') {
                lines.push(format!("from line {} on:", same + 1));
                lines.push(format!("- {}", cut(expected.lines().nth(same).unwrap_or("(nothing)"))));
                lines.push(format!("+ {}", cut(got.lines().nth(same).unwrap_or("(nothing)"))));
            }
        }
    }
    shortened(lines)
}

/// Compares what is expected with its place in what was written.
///
/// # Errors
/// When that is no JSON.
pub(super) fn part(expected: &Value, got: &[u8]) -> Result<Vec<String>, String> {
    let got: Value = serde_json::from_slice(got)
        .map_err(|_| "`has` is for formats that write JSON; use `expect` here".to_owned())?;
    let mut lines = Vec::new();
    compare(expected, &got, false, &mut String::new(), &mut lines);
    Ok(shortened(lines))
}

fn compare(expected: &Value, got: &Value, whole: bool, path: &mut String, lines: &mut Vec<String>) {
    let (Value::Object(members), Value::Object(others)) = (expected, got) else {
        if expected != got {
            lines.push(format!(
                "{}: expected {}, got {}",
                at(path),
                cut(&expected.to_string()),
                cut(&got.to_string())
            ));
        }
        return;
    };
    for (key, value) in members {
        let before = push(path, key);
        match others.get(key) {
            Some(other) => compare(value, other, whole, path, lines),
            None => lines.push(format!("{}: expected {}, missing", at(path), cut(&value.to_string()))),
        }
        path.truncate(before);
    }
    for (key, value) in others.iter().filter(|(key, _)| whole && !members.contains_key(*key)) {
        let before = push(path, key);
        lines.push(format!("{}: not expected, got {}", at(path), cut(&value.to_string())));
        path.truncate(before);
    }
}

fn push(path: &mut String, key: &str) -> usize {
    let before = path.len();
    if before > 0 {
        path.push('.');
    }
    path.extend(key.escape_debug());
    before
}

fn at(path: &str) -> &str {
    if path.is_empty() { "(the whole)" } else { path }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn shortened(mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(LINES_MAX);
    lines.truncate(LINES_MAX);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named_by_their_path() {
        let wrong = whole(r#"{"a":{"b":1,"c":2},"d":[1]}"#, br#"{"d":[1,2],"a":{"b":"1","x":null}}"#);
        assert_eq!(
            wrong,
            [
                "a.b: expected 1, got \"1\"",
                "a.c: expected 2, missing",
                "a.x: not expected, got null",
                "d: expected [1], got [1,2]"
            ]
        );
        assert_eq!(whole("{\"a\": 1}\n", b"{\"a\":1}"), [""; 0]);
    }

    #[test]
    fn a_part_may_have_neighbours() {
        let expected = serde_json::json!({ "a": { "b": 1 } });
        assert_eq!(part(&expected, br#"{"a":{"b":1,"c":2},"d":3}"#), Ok(vec![]));
        assert!(part(&expected, b"<Event/>").is_err());
    }

    #[test]
    fn text_is_compared_by_line() {
        assert_eq!(whole("<a>\n<b/>", b"<a>\n<c/>\n"), ["from line 2 on:", "- <b/>", "+ <c/>"]);
    }
}
