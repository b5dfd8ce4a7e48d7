//! Text kernels: between XML text, UTF-16, UTF-8 and JSON strings, appending to the output.
//!
//! The scalar forms: they say what is right, the fast kernels are compared with them.

pub use super::escape::{json_from_text, json_from_xml};
pub use super::utf16::{decode_utf16, json_from_utf16, xml_from_utf16};

/// XML text as written to the text it means: references resolved, CRLF and lone CR to LF. A
/// reference that means nothing (`&foo;`, `&#xD800;`) stays as it is written.
pub fn decode_xml(raw: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while at < raw.len() {
        let stop = memchr::memchr2(b'&', b'\r', &raw[at..]).map_or(raw.len(), |found| at + found);
        out.extend_from_slice(&raw[at..stop]);
        at = stop;
        if at == raw.len() {
            break;
        }
        if raw[at] == b'\r' {
            at += if raw.get(at + 1) == Some(&b'\n') { 2 } else { 1 };
            out.push(b'\n');
        } else if let Some((character, length)) = reference(&raw[at..]) {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            at += length;
        } else {
            out.push(b'&');
            at += 1;
        }
    }
}

/// The character a reference at the start of `raw` stands for, and its length. Control characters
/// are allowed (Windows sends them), NUL and surrogates are not.
pub fn reference(raw: &[u8]) -> Option<(char, usize)> {
    // `&#x10FFFF;` with some leading zeros is the longest reference anyone writes.
    const REFERENCE_BYTES_MAX: usize = 16;
    let window = &raw[..raw.len().min(REFERENCE_BYTES_MAX)];
    let end = memchr::memchr(b';', window)?;
    let name = window.get(1..end)?;
    let character = match name {
        b"lt" => '<',
        b"gt" => '>',
        b"amp" => '&',
        b"quot" => '"',
        b"apos" => '\'',
        [b'#', b'x', digits @ ..] => numeric(digits, 16)?,
        [b'#', digits @ ..] => numeric(digits, 10)?,
        _ => return None,
    };
    Some((character, end + 1))
}

fn numeric(digits: &[u8], radix: u32) -> Option<char> {
    if digits.is_empty() {
        return None;
    }
    let code = digits.iter().try_fold(0_u32, |code, &byte| {
        code.checked_mul(radix)?.checked_add(char::from(byte).to_digit(radix)?)
    })?;
    char::from_u32(code).filter(|&character| character != '\0')
}

/// Windows-1252 to UTF-8, CRLF and lone CR to LF. Bytes without a meaning there map to the C1
/// control of their number.
pub fn decode_ansi(bytes: &[u8], out: &mut Vec<u8>) {
    ansi_folded(bytes, |character| out.extend_from_slice(character));
}

/// Windows-1252 straight to JSON: `decode_ansi`, then `json_from_text`.
pub fn json_from_ansi(bytes: &[u8], out: &mut Vec<u8>) {
    ansi_folded(bytes, |character| json_from_text(character, out));
}

/// Windows-1252 as XML, line ends as they are, the way Windows renders them.
pub fn xml_from_ansi(bytes: &[u8], place: Place, out: &mut Vec<u8>) {
    for run in ansi_runs(bytes) {
        match run {
            [b'\r'] => out.push(b'\r'),
            [byte @ 0x80..=0xff] => {
                out.extend_from_slice(ansi_character(*byte).encode_utf8(&mut [0; 4]).as_bytes())
            }
            ascii => xml_from_text(ascii, place, out),
        }
    }
}

fn ansi_folded(bytes: &[u8], mut each: impl FnMut(&[u8])) {
    let mut after_cr = false;
    for run in ansi_runs(bytes) {
        match run {
            [b'\r'] => each(b"\n"),
            [byte @ 0x80..=0xff] => each(ansi_character(*byte).encode_utf8(&mut [0; 4]).as_bytes()),
            [b'\n', rest @ ..] if after_cr => each(rest),
            ascii => each(ascii),
        }
        after_cr = run == b"\r";
    }
}

/// Runs of ASCII, and what is to be looked at alone between them: each CR and each other byte.
fn ansi_runs(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    const BLOCK: usize = 16;
    let apart = |byte: u8| !byte.is_ascii() | (byte == b'\r');
    // A whole block at a time, without a branch inside, so that it is one comparison of a vector.
    let is_clean = move |block: &&[u8]| !block.iter().fold(false, |found, &byte| found | apart(byte));
    std::iter::from_fn(move || {
        let clean = bytes.chunks_exact(BLOCK).take_while(is_clean).count() * BLOCK;
        let rest = &bytes[clean..];
        let length = clean + rest.iter().position(|&byte| apart(byte)).unwrap_or(rest.len());
        let (run, rest) = bytes.split_at(length.max(1).min(bytes.len()));
        bytes = rest;
        (!run.is_empty()).then_some(run)
    })
}

fn ansi_character(byte: u8) -> char {
    const C1: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
        '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    if (0x80..0xa0).contains(&byte) { C1[usize::from(byte - 0x80)] } else { char::from(byte) }
}

/// Where escaped text will stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Between tags: `& < >` are escaped.
    Content,
    /// In an attribute value in single quotes: `'` too.
    Attribute,
}

/// UTF-8 text escaped for XML; a CR becomes `&#13;` so that it survives a parser.
pub fn xml_from_text(text: &[u8], place: Place, out: &mut Vec<u8>) {
    for &byte in text {
        match byte {
            b'\r' => out.extend_from_slice(b"&#13;"),
            _ => xml_byte(byte, place, out),
        }
    }
}

/// Raw XML text as it is; a single quote, where it would end the attribute, becomes `&apos;`.
pub fn xml_from_xml(raw: &[u8], place: Place, out: &mut Vec<u8>) {
    if place == Place::Content {
        return out.extend_from_slice(raw);
    }
    for &byte in raw {
        match byte {
            b'\'' => out.extend_from_slice(b"&apos;"),
            _ => out.push(byte),
        }
    }
}

fn xml_byte(byte: u8, place: Place, out: &mut Vec<u8>) {
    match byte {
        b'&' => out.extend_from_slice(b"&amp;"),
        b'<' => out.extend_from_slice(b"&lt;"),
        b'>' => out.extend_from_slice(b"&gt;"),
        b'\'' if place == Place::Attribute => out.extend_from_slice(b"&apos;"),
        _ => out.push(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(raw: &str, text: &str, json: &str) {
        let (mut decoded, mut escaped) = (Vec::new(), Vec::new());
        decode_xml(raw.as_bytes(), &mut decoded);
        json_from_xml(raw.as_bytes(), &mut escaped);
        assert_eq!(String::from_utf8(decoded).unwrap(), text);
        assert_eq!(String::from_utf8(escaped).unwrap(), json);
    }

    #[test]
    fn references_are_resolved_once() {
        check("a&lt;b&amp;lt;", "a<b&lt;", "a<b&lt;");
        check("&#x41;&#66;&#x1F600;", "AB😀", "AB😀");
        check("&quot;&apos;&gt;", "\"'>", "\\\"'>");
    }

    #[test]
    fn what_is_no_reference_stays() {
        check("&foo; & &#xD800; &#0; &", "&foo; & &#xD800; &#0; &", "&foo; & &#xD800; &#0; &");
    }

    #[test]
    fn line_ends_fold_but_references_to_them_do_not() {
        check("\rlt;", "\nlt;", "\\nlt;");
        check("a\r\nb\rc\nd&#13;&#10;e", "a\nb\nc\nd\r\ne", "a\\nb\\nc\\nd\\r\\ne");
    }

    #[test]
    fn control_characters_pass_and_are_escaped_in_json() {
        check("\u{1}\t&#x1f;", "\u{1}\t\u{1f}", "\\u0001\\t\\u001f");
    }

    proptest! {
        #[test]
        fn runs_of_ansi_are_those_of_looking_at_each_byte(
            bytes in proptest::collection::vec(prop_oneof![9 => 32_u8..127, 1 => Just(b'\r'), 1 => 128_u8..], 0..80),
        ) {
            let apart = |byte: u8| byte >= 0x80 || byte == b'\r';
            let slow = bytes.chunk_by(|&a, &b| !apart(a) && !apart(b));
            prop_assert!(ansi_runs(&bytes).eq(slow));
        }
    }
}
