//! Writing XML: the few shapes our messages are made of. Everything that came from elsewhere goes
//! through `Text` or `Attribute`.

use std::fmt::{self, Write};

/// Appends what `format_args!` makes.
pub(super) fn put(out: &mut String, pieces: fmt::Arguments<'_>) {
    out.write_fmt(pieces).expect("a String takes whatever it is given");
}

/// Text between tags.
pub(super) struct Text<'a>(pub(super) &'a str);

/// An attribute value in double quotes.
pub(super) struct Attribute<'a>(pub(super) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escaped(self.0, f, |c| match c {
            '&' => Some("&amp;"),
            '<' => Some("&lt;"),
            '>' => Some("&gt;"),
            '\r' => Some("&#13;"),
            _ => illegal(c),
        })
    }
}

impl fmt::Display for Attribute<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escaped(self.0, f, |c| match c {
            '&' => Some("&amp;"),
            '<' => Some("&lt;"),
            '"' => Some("&quot;"),
            '\t' => Some("&#9;"),
            '\n' => Some("&#10;"),
            '\r' => Some("&#13;"),
            _ => illegal(c),
        })
    }
}

fn escaped(
    text: &str,
    f: &mut fmt::Formatter<'_>,
    replaced: impl Fn(char) -> Option<&'static str>,
) -> fmt::Result {
    let mut clean = 0;
    for (at, c) in text.char_indices() {
        if let Some(instead) = replaced(c) {
            f.write_str(&text[clean..at])?;
            f.write_str(instead)?;
            clean = at + c.len_utf8();
        }
    }
    f.write_str(&text[clean..])
}

/// A host answers 2150859018 to a character that XML has no place for.
fn illegal(c: char) -> Option<&'static str> {
    (!is_xml_char(c)).then_some("?")
}

/// XML 1.0, production Char.
pub(super) fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_attributes_escape_what_would_end_them() {
        assert_eq!(Text("a<b>&\r\"c").to_string(), "a&lt;b&gt;&amp;&#13;\"c");
        assert_eq!(Attribute("a<\"b\"\n>").to_string(), "a&lt;&quot;b&quot;&#10;>");
    }

    #[test]
    fn what_xml_cannot_hold_becomes_a_question_mark() {
        assert_eq!(Text("a\u{1}b\u{fffe}c\u{1f600}").to_string(), "a?b?c\u{1f600}");
    }
}
