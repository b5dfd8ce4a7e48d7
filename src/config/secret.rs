//! What must not be shown of a pipeline file: values of keys that name a secret, and whatever a
//! `${…}` brought in.
//!
//! Promise: `hide` and `masks` leave nothing of them in what is printed.
//! Must not know: who prints.

use super::interpolate::is_reference;
use std::ops::Range;

/// A key is secret when it contains one of these.
const SECRET_KEYS: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "apikey",
    "credential",
    "authorization",
];

/// Shorter texts are hidden only where they stand in quotes: replacing every `1` of a message would
/// leave nothing to read, and quotes are how messages cite values.
const HIDE_ANYWHERE_BYTES_MIN: usize = 4;

#[derive(Clone, Debug, Default)]
pub(super) struct Secrets {
    /// Texts to be hidden wherever they appear, longest first.
    texts: Vec<String>,
    /// File and span of values that must not be quoted.
    spans: Vec<(usize, Range<usize>)>,
}

/// Whether the value of this key is to be hidden.
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_KEYS.iter().any(|word| key.contains(word))
}

impl Secrets {
    /// Hides a text that came in through `${…}` or stood at a secret key.
    pub(super) fn add_text(&mut self, text: &str) {
        if !text.is_empty() {
            self.texts.push(text.to_owned());
            let escaped: String = text.escape_debug().collect();
            if escaped != text {
                self.texts.push(escaped);
            }
            self.texts.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
            self.texts.dedup();
        }
    }

    /// Hides what stands at a place.
    pub(super) fn add_span(&mut self, file: usize, span: Range<usize>) {
        self.spans.push((file, span));
    }

    /// The message without secrets.
    pub(super) fn hide(&self, message: &str) -> String {
        let mut shown = message.to_owned();
        for text in &self.texts {
            if text.len() >= HIDE_ANYWHERE_BYTES_MIN {
                shown = shown.replace(text.as_str(), "***");
            } else {
                for quote in ['`', '"', '\''] {
                    shown = shown.replace(&format!("{quote}{text}{quote}"), "***");
                }
            }
        }
        shown
    }

    /// Parts of a line that must not be quoted.
    pub(super) fn masks(&self, file: usize, text: &str, line: Range<usize>) -> Vec<Range<usize>> {
        let mut masks: Vec<Range<usize>> =
            self.spans.iter().filter(|(of, _)| *of == file).map(|(_, span)| span.clone()).collect();
        // A file that does not parse has no spans, so the line is read by eye: all after the `=`.
        let shown = &text[line.clone()];
        let mut from = 0;
        while let Some(equals) = shown[from..].find('=').map(|at| from + at) {
            if key_before(&shown[..equals]).is_some_and(is_secret) {
                let value = shown[equals + 1..].trim_start();
                match reference(value) {
                    Some(bytes) => from = shown.len() - value.len() + bytes,
                    None => {
                        masks.push(line.end - value.len()..line.end);
                        break;
                    }
                }
            } else {
                from = equals + 1;
            }
        }
        // Whatever else of the secret texts stands in the line, as in a comment.
        for text in self.texts.iter().filter(|text| text.len() >= HIDE_ANYWHERE_BYTES_MIN) {
            masks.extend(
                shown
                    .match_indices(text.as_str())
                    .map(|(at, found)| line.start + at..line.start + at + found.len()),
            );
        }
        masks
    }
}

/// Length of the `"${env:NAME}"` that the text begins with.
fn reference(text: &str) -> Option<usize> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inside = &text[1..text[1..].find(quote)? + 1];
    is_reference(inside).then_some(inside.len() + 2)
}

/// The last key of `a.b."c" `.
fn key_before(text: &str) -> Option<&str> {
    let text = text.trim_end().trim_end_matches(['"', '\'']);
    let start = text.rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).map_or(0, |at| at + 1);
    text.get(start..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_and_plain_forms_are_hidden() {
        let mut secrets = Secrets::default();
        secrets.add_text("a\"b\\c");
        assert_eq!(secrets.hide("string \"a\\\"b\\\\c\", expected u16"), "string \"***\", expected u16");
        assert_eq!(secrets.hide("`a\"b\\c` is not a size"), "`***` is not a size");
    }

    #[test]
    fn a_short_value_is_hidden_where_it_is_cited() {
        let mut secrets = Secrets::default();
        secrets.add_text("1");
        assert_eq!(secrets.hide("line 1: `1` is no path"), "line 1: *** is no path");
    }

    #[test]
    fn a_longer_secret_is_hidden_before_its_own_part() {
        let mut secrets = Secrets::default();
        secrets.add_text("hunter");
        secrets.add_text("hunter2000");
        assert_eq!(secrets.hide("hunter2000"), "***");
    }

    #[test]
    fn quoted_and_dotted_secret_keys_are_seen() {
        let text = "sink = { \"hec_token\" = \"x\" }";
        let masks = Secrets::default().masks(0, text, 0..text.len());
        assert_eq!(&text[masks[0].clone()], "\"x\" }");
    }
}
