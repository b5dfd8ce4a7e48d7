//! Names compared the way Windows compares them: without case, with `*` and `?` where asked.
//!
//! Promise: ASCII patterns are compared with the bytes of the value in place, nothing is decoded or
//! allocated. Patterns with other letters go through the reused scratch.

use crate::event::Value;

/// Longest pattern: twice the longest channel or computer name that Windows allows.
pub const PATTERN_BYTES_MAX: usize = 512;

/// A name, or a pattern of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob {
    /// Lower case.
    pattern: Box<[u8]>,
    ascii: bool,
    wild: bool,
}

impl Glob {
    /// None when the pattern is longer than any name, or empty.
    pub(super) fn new(pattern: &str) -> Option<Self> {
        let pattern = pattern.trim();
        if pattern.is_empty() || pattern.len() > PATTERN_BYTES_MAX {
            return None;
        }
        Some(Self {
            ascii: pattern.is_ascii(),
            wild: pattern.contains(['*', '?']),
            pattern: pattern.to_lowercase().into_bytes().into(),
        })
    }

    pub(super) fn matches(&self, value: Value<'_>, scratch: &mut Vec<u8>) -> bool {
        match value {
            Value::Absent => false,
            Value::Plain(text) | Value::Text(text) if self.ascii => self.matches_bytes(text),
            Value::Xml(raw) if self.ascii && memchr::memchr2(b'&', b'\r', raw).is_none() => {
                self.matches_bytes(raw)
            }
            Value::Utf16(units) if self.ascii && !self.wild => self.equals_utf16(units),
            _ => {
                scratch.clear();
                value.write_text(scratch);
                if self.ascii { self.matches_bytes(scratch) } else { self.matches_folded(scratch) }
            }
        }
    }

    fn matches_bytes(&self, text: &[u8]) -> bool {
        if self.wild { wild(&self.pattern, text) } else { text.eq_ignore_ascii_case(&self.pattern) }
    }

    fn equals_utf16(&self, units: &[u8]) -> bool {
        units.len() == self.pattern.len() * 2
            && units
                .chunks_exact(2)
                .zip(&self.pattern)
                .all(|(unit, &byte)| unit[1] == 0 && unit[0].to_ascii_lowercase() == byte)
    }

    fn matches_folded(&self, scratch: &mut Vec<u8>) -> bool {
        let end = scratch.len();
        // Lower case is appended behind the text: both live in the one buffer.
        let mut at = 0;
        while at < end {
            let character = first_char(&scratch[at..end]);
            at += character.len_utf8().min(end - at);
            for lower in character.to_lowercase() {
                scratch.extend_from_slice(lower.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        wild(&self.pattern, &scratch[end..])
    }
}

/// Text from `write_text` is UTF-8; a byte that is not reads as U+FFFD.
fn first_char(text: &[u8]) -> char {
    let window = &text[..text.len().min(4)];
    match window.utf8_chunks().next() {
        Some(chunk) => chunk.valid().chars().next().unwrap_or(char::REPLACEMENT_CHARACTER),
        None => char::REPLACEMENT_CHARACTER,
    }
}

/// `*` is any run of characters, `?` is one. On a mismatch only the last `*` is widened, so the
/// cost is at most pattern times text.
fn wild(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some(b'?') => {
                p += 1;
                t += char_len(&text[t..]);
                continue;
            }
            Some(&byte) if byte == text[t].to_ascii_lowercase() => {
                p += 1;
                t += 1;
                continue;
            }
            _ => {}
        }
        let Some((after_star, from)) = retry else { return false };
        p = after_star;
        t = from + char_len(&text[from..]);
        retry = Some((after_star, t));
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// Bytes of the UTF-8 character at the start of `text`, at least one.
fn char_len(text: &[u8]) -> usize {
    1 + text[1..].iter().take_while(|&&byte| byte & 0xc0 == 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: bool) {
        let glob = Glob::new(pattern).unwrap();
        let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let escaped = format!("&#x{:x};{}", text.chars().next().unwrap() as u32, {
            let mut chars = text.chars();
            chars.next();
            chars.as_str()
        });
        for value in [Value::Text(text.as_bytes()), Value::Utf16(&units), Value::Xml(escaped.as_bytes())] {
            assert_eq!(glob.matches(value, &mut Vec::new()), expected, "{pattern} {value:?}");
        }
    }

    #[test]
    fn names_match_without_case() {
        check("Security", "SECURITY", true);
        check("security", "Security2", false);
        check("MÜNCHEN-*", "münchen-dc1", true);
        check("M?nchen", "MÜNCHEN", true);
        check("m?nchen", "mnchen", false);
    }

    #[test]
    fn stars_span_any_run() {
        check("dc*.example.org", "DC01.Example.ORG", true);
        check("dc*.example.org", "dc.example.org", true);
        check("dc*.example.org", "dc01.example.org.evil", false);
        check("*a*b*", "xxaxxbxx", true);
        check("*a*b", "xxaxxbxx", false);
        check("?", "é", true);
        check("*", "x", true);
    }

    #[test]
    fn a_missing_value_matches_nothing() {
        assert!(!Glob::new("*").unwrap().matches(Value::Absent, &mut Vec::new()));
        assert_eq!(Glob::new("  "), None);
    }

    #[test]
    fn a_hostile_pattern_costs_no_more_than_its_product() {
        let pattern = "*a".repeat(200) + "b";
        let text = "a".repeat(4000);
        assert!(!Glob::new(&pattern).unwrap().matches(Value::Text(text.as_bytes()), &mut Vec::new()));
    }
}
