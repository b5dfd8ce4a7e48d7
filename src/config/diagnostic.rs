//! What is wrong in a pipeline file, shown the way a compiler shows it: place, words, the line, a
//! mark under it, what to do.
//!
//! Promises: a span is always inside its file; no secret is shown, neither in the quoted line nor
//! in the words.
//! Must not know: what the keys mean.

use super::secret::Secrets;
use std::fmt::Write;
use std::ops::Range;

/// Longest quoted part of a line, in characters; the rest of a longer line is left out.
pub(super) const QUOTE_CHARS_MAX: usize = 160;

/// One file of the pipeline.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// As it was named on the command line, or below the folder that was.
    pub name: String,
    pub text: String,
}

/// A place in one of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index into the files.
    pub file: usize,
    /// Bytes of the file's text.
    pub span: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Warning,
    Error,
}

/// Something to be told about the pipeline file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    /// None: it concerns the whole.
    pub place: Option<Place>,
    pub message: String,
    /// What to do; may be empty.
    pub help: String,
}

impl Diagnostic {
    pub fn error(
        place: impl Into<Option<Place>>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Error, place: place.into(), message: message.into(), help: help.into() }
    }

    pub fn warning(
        place: impl Into<Option<Place>>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, message, help) }
    }
}

impl SourceFile {
    /// Line and column of a byte, both from 1; columns count characters.
    pub fn line_column(&self, at: usize) -> (usize, usize) {
        let at = floor(&self.text, at);
        let start = self.line_start(at);
        let line = self.text[..start].bytes().filter(|byte| *byte == b'\n').count() + 1;
        (line, self.text[start..at].chars().count() + 1)
    }

    /// `pipeline.toml:7:1`
    pub fn position(&self, at: usize) -> String {
        let (line, column) = self.line_column(at);
        format!("{}:{line}:{column}", self.name)
    }

    fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or_else(|| mark_bytes(&self.text).min(at), |newline| newline + 1)
    }
}

/// A byte order mark is no part of the first line.
pub(super) fn mark_bytes(text: &str) -> usize {
    if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 }
}

/// Writes all of it, a blank line between; `error: ` or `warning: ` in front of each.
pub(super) fn render(diagnostics: &[Diagnostic], files: &[SourceFile], secrets: &Secrets) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics {
        if !out.is_empty() {
            out.push('\n');
        }
        let word = match diagnostic.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let message = secrets.hide(&diagnostic.message);
        // Writing into a String cannot fail.
        let _ = match diagnostic.place.as_ref().and_then(|place| Some((place, files.get(place.file)?))) {
            Some((place, file)) => {
                let _ = writeln!(out, "{word}: {}: {message}", file.position(place.span.start));
                quote(&mut out, file, place, secrets);
                Ok(())
            }
            None => writeln!(out, "{word}: {message}"),
        };
        if !diagnostic.help.is_empty() {
            let _ = writeln!(out, "  = {}", secrets.hide(&diagnostic.help));
        }
    }
    out
}

/// The line with its number, and the span underlined.
fn quote(out: &mut String, file: &SourceFile, place: &Place, secrets: &Secrets) {
    let text = &file.text;
    let from = floor(text, place.span.start);
    let to = floor(text, place.span.end).max(from);
    let start = file.line_start(from);
    let end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
    let (number, _) = file.line_column(from);
    let masks = secrets.masks(place.file, text, start..end);

    let (mut line, mut marks, mut written, mut hidden) = (String::new(), String::new(), 0, false);
    for (offset, c) in text[start..end].char_indices() {
        let at = start + offset;
        let marked = at >= from && (at < to || at == from);
        let masked = masks.iter().any(|mask| mask.contains(&at));
        if masked && hidden {
            continue;
        }
        if written >= QUOTE_CHARS_MAX {
            line.push('…');
            break;
        }
        hidden = masked;
        let shown = if masked { "***" } else { "" };
        let mark = if marked || (masked && overlaps(&masks, at, from..to)) { '^' } else { ' ' };
        line.push_str(shown);
        if !masked {
            // A tab or another control character would shift the marks.
            line.push(if c.is_control() { ' ' } else { c });
        }
        marks.extend(std::iter::repeat_n(mark, shown.len().max(1)));
        written += 1;
    }
    if !marks.contains('^') {
        marks.push('^');
    }
    let gutter = number.to_string().len();
    let _ = writeln!(out, "{:gutter$} |", "");
    let _ = writeln!(out, "{number} | {}", line.trim_end());
    let _ = writeln!(out, "{:gutter$} | {}", "", marks.trim_end());
}

/// Whether the mask at `at` and the span have anything in common.
fn overlaps(masks: &[Range<usize>], at: usize, span: Range<usize>) -> bool {
    masks
        .iter()
        .any(|mask| mask.contains(&at) && mask.start < span.end.max(span.start + 1) && span.start < mask.end)
}

/// The nearest character border at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.min(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, span: Range<usize>) -> String {
        let files = [SourceFile { name: "p.toml".into(), text: text.into() }];
        let diagnostic = Diagnostic::error(Place { file: 0, span }, "wrong", "do right");
        render(&[diagnostic], &files, &Secrets::default())
    }

    #[test]
    fn the_span_is_underlined_in_its_line() {
        assert_eq!(
            shown("[a]\nkey = 1\n", 4..7),
            "error: p.toml:2:1: wrong\n  |\n2 | key = 1\n  | ^^^\n  = do right\n"
        );
    }

    #[test]
    fn a_span_past_the_end_or_inside_a_character_does_no_harm() {
        assert!(shown("ä", 1..9).starts_with("error: p.toml:1:1: wrong\n"));
        assert!(shown("", 7..9).starts_with("error: p.toml:1:1: wrong\n"));
    }

    #[test]
    fn the_value_of_a_secret_key_is_not_quoted() {
        let shown = shown("token = \"hunter2\", x = 1\n", 0..5);
        assert!(shown.contains("1 | token = ***\n") && !shown.contains("hunter2"), "{shown}");
    }
}
