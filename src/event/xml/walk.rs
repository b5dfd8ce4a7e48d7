//! Reports well-formed content in one pass, without recursion; refuses the rest with its place.

use super::scan::{check_utf8, find, find_either, is_blank, is_space, name_end, skip_space, stands};
use super::{ATTRIBUTES_MAX, DEPTH_MAX, Outline, error};
use crate::event::{EventError, Ignore, Value, Visitor};

pub(super) fn system<'a, V: Visitor<'a>>(
    text: &'a [u8],
    outline: Outline,
    visitor: &mut V,
) -> Result<(), EventError> {
    if outline.system < outline.system_end {
        element(text, outline.system, 1, visitor)?;
    }
    Ok(())
}

pub(super) fn body<'a, V: Visitor<'a>>(
    text: &'a [u8],
    outline: Outline,
    visitor: &mut V,
) -> Result<(), EventError> {
    check_utf8(text, outline.utf8, text.len())?;
    let mut at = outline.content;
    if !outline.empty {
        let name = &text[outline.event + 1..name_end(text, outline.event + 1)?];
        at = event_content(text, at, name, (outline.system, outline.system_end), visitor)?;
    }
    nothing_follows(text, at)
}

pub(super) fn whole<'a, V: Visitor<'a>>(
    text: &'a [u8],
    outline: Outline,
    visitor: &mut V,
) -> Result<(), EventError> {
    check_utf8(text, outline.utf8, text.len())?;
    let tag = start_tag(text, outline.event, visitor)?;
    let mut at = tag.end;
    if !tag.empty {
        at = event_content(text, at, tag.name, (0, 0), visitor)?;
    }
    visitor.end();
    nothing_follows(text, at)
}

/// Children of Event up to and with its end tag, except what stands at `skip`.
fn event_content<'a, V: Visitor<'a>>(
    text: &'a [u8],
    mut at: usize,
    name: &[u8],
    skip: (usize, usize),
    visitor: &mut V,
) -> Result<usize, EventError> {
    loop {
        at = match child(text, at, name, visitor)? {
            Child::Element(at) if at == skip.0 && skip.0 < skip.1 => skip.1,
            Child::Element(at) if stands(text, at, b"<EventData>") => {
                visitor.start(b"EventData");
                let end = event_data(text, at + b"<EventData>".len(), visitor)?;
                visitor.end();
                end
            }
            Child::Element(at) => element(text, at, 1, visitor)?,
            Child::Nothing(at) => at,
            Child::End(at) => return Ok(at),
        };
    }
}

/// Children of EventData up to and with its end tag.
fn event_data<'a, V: Visitor<'a>>(
    text: &'a [u8],
    mut at: usize,
    visitor: &mut V,
) -> Result<usize, EventError> {
    loop {
        if let Some((name, value, next)) = data(text, at) {
            visitor.data(name, value);
            at = next;
            continue;
        }
        if stands(text, at, b"</EventData>") {
            return Ok(at + b"</EventData>".len());
        }
        at = match child(text, at, b"EventData", visitor)? {
            Child::Element(at) => element(text, at, 2, visitor)?,
            Child::Nothing(at) => at,
            Child::End(at) => return Ok(at),
        };
    }
}

/// `<Data Name='name'>value</Data>` and where the next thing starts; None for any other shape.
#[inline]
fn data(text: &[u8], at: usize) -> Option<(Value<'_>, Value<'_>, usize)> {
    const OPEN: &[u8; 11] = b"<Data Name=";
    if !stands(text, at, OPEN) {
        return None;
    }
    let (name, at) = quoted(text, at + OPEN.len())?;
    if !stands(text, at, b">") {
        return stands(text, at, b"/>").then_some((name, Value::Absent, at + 2));
    }
    let start = at + 1;
    let end = find(text, start, b'<');
    if !stands(text, end, b"</Data>") {
        return None;
    }
    let value = if end == start { Value::Absent } else { Value::Xml(&text[start..end]) };
    Some((name, value, end + b"</Data>".len()))
}

/// The attribute value at `at`, quotes included, and what follows it.
#[inline]
pub(super) fn quoted(text: &[u8], at: usize) -> Option<(Value<'_>, usize)> {
    let quote = *text.get(at).filter(|byte| matches!(byte, b'\'' | b'"'))?;
    let end = find_either(text, at + 1, quote, b'<');
    (*text.get(end)? == quote).then(|| (Value::Xml(&text[at + 1..end]), end + 1))
}

/// What stands between the tags of an element.
pub(super) enum Child {
    /// A child starts here.
    Element(usize),
    /// Text, comment or instruction: done, go on here.
    Nothing(usize),
    /// The end tag was read, go on behind it.
    End(usize),
}

/// The next piece of the content of an element whose children are known to be elements, so that
/// white space between them means nothing.
#[inline]
pub(super) fn child<'a, V: Visitor<'a>>(
    text: &'a [u8],
    at: usize,
    name: &[u8],
    visitor: &mut V,
) -> Result<Child, EventError> {
    let next = find(text, at, b'<');
    let between = &text[at.min(text.len())..next.min(text.len())];
    if !between.is_empty() && (!is_blank(between) || beside_cdata(text, at, next)) {
        visitor.text(Value::Xml(between));
    }
    match text.get(next + 1) {
        Some(b'/') => end_tag(text, next, name).map(Child::End),
        Some(b'!' | b'?') => aside(text, next, visitor).map(Child::Nothing),
        Some(_) => Ok(Child::Element(next)),
        None => error(text.len(), "the event ends before its end tag"),
    }
}

/// One element with all it holds; `level` elements are open around it.
pub(super) fn element<'a, V: Visitor<'a>>(
    text: &'a [u8],
    mut at: usize,
    level: usize,
    visitor: &mut V,
) -> Result<usize, EventError> {
    let mut open: [&[u8]; DEPTH_MAX] = [b""; DEPTH_MAX];
    let mut depth = 0;
    // Bit per open element that has a child element: white space in it is layout.
    let mut parents = 0_u64;
    loop {
        match text.get(at + 1) {
            Some(b'/') => {
                depth -= 1;
                at = end_tag(text, at, open[depth])?;
                visitor.end();
            }
            Some(b'!' | b'?') => at = aside(text, at, visitor)?,
            _ => {
                if level + depth == DEPTH_MAX {
                    return error(at, "elements are nested more than 64 deep");
                }
                let tag = start_tag(text, at, visitor)?;
                at = tag.end;
                parents = (parents | 1 << depth) & ((2 << depth) - 1);
                if tag.empty {
                    visitor.end();
                } else {
                    open[depth] = tag.name;
                    depth += 1;
                }
            }
        }
        if depth == 0 {
            return Ok(at);
        }
        let next = find(text, at, b'<');
        if next >= text.len() {
            return error(text.len(), "the event ends inside an element");
        }
        let layout = parents >> depth & 1 == 1 || !matches!(text.get(next + 1), Some(b'/' | b'!' | b'?'));
        let between = &text[at..next];
        if !(between.is_empty() || layout && is_blank(between) && !beside_cdata(text, at, next)) {
            visitor.text(Value::Xml(between));
        }
        at = next;
    }
}

/// Whether the text between two pieces of markup continues a CDATA section: then it is one text
/// with it, and no layout even if it is blank.
fn beside_cdata(text: &[u8], at: usize, next: usize) -> bool {
    text[..at].ends_with(b"]]>") || stands(text, next, b"<![CDATA[")
}

pub(super) struct Tag<'a> {
    pub(super) name: &'a [u8],
    pub(super) end: usize,
    pub(super) empty: bool,
}

/// Reads the start tag at `start`, reports it and its attributes.
pub(super) fn start_tag<'a, V: Visitor<'a>>(
    text: &'a [u8],
    start: usize,
    visitor: &mut V,
) -> Result<Tag<'a>, EventError> {
    let mut at = name_end(text, start + 1)?;
    let name = &text[start + 1..at];
    visitor.start(name);
    let mut attributes = 0;
    // A bit per name seen: only on a hit are the names before compared.
    let mut seen = 0_u64;
    let first = at;
    loop {
        match text.get(at) {
            Some(b'>') => return Ok(Tag { name, end: at + 1, empty: false }),
            Some(b'/') if text.get(at + 1) == Some(&b'>') => {
                return Ok(Tag { name, end: at + 2, empty: true });
            }
            Some(&byte) if is_space(byte) => {}
            None => return error(text.len(), "the event ends inside a tag"),
            _ => return error(at, "a tag is malformed"),
        }
        at = skip_space(text, at);
        if matches!(text.get(at), Some(b'>' | b'/') | None) {
            continue;
        }
        attributes += 1;
        if attributes > ATTRIBUTES_MAX {
            return error(at, "an element has more than 256 attributes");
        }
        let (key, value, next) = attribute(text, at)?;
        let bit = 1_u64 << ((key.len() * 7 + usize::from(key[0]) + usize::from(key[key.len() / 2])) % 64);
        if seen & bit != 0 && has_attribute(text, first, at, key) {
            return error(at, "an attribute stands twice");
        }
        seen |= bit;
        visitor.attribute(key, value);
        at = next;
    }
}

fn attribute(text: &[u8], start: usize) -> Result<(&[u8], Value<'_>, usize), EventError> {
    let end = name_end(text, start)?;
    let at = skip_space(text, end);
    if text.get(at) != Some(&b'=') {
        return error(at, "an attribute has no value");
    }
    let at = skip_space(text, at + 1);
    let Some((value, next)) = quoted(text, at) else {
        return error(at, "an attribute value is not quoted, not closed, or has `<` in it");
    };
    Ok((&text[start..end], value, next))
}

/// Whether one of the attributes in `text[at..end]`, which were read before, is named `key`.
#[cold]
fn has_attribute(text: &[u8], mut at: usize, end: usize, key: &[u8]) -> bool {
    loop {
        at = skip_space(text, at);
        if at >= end {
            return false;
        }
        match attribute(text, at) {
            Ok((name, _, next)) if name != key => at = next,
            found => return found.is_ok(),
        }
    }
}

fn end_tag(text: &[u8], start: usize, name: &[u8]) -> Result<usize, EventError> {
    let at = start + 2 + name.len();
    if text.get(start + 2..at) != Some(name) {
        return error(start, "an end tag does not match its start tag");
    }
    let end = if text.get(at) == Some(&b'>') { at } else { skip_space(text, at) };
    if text.get(end) != Some(&b'>') {
        return error(start, "an end tag does not match its start tag");
    }
    Ok(end + 1)
}

/// What starts with `<!` or `<?`: a comment and an instruction are passed over, CDATA is text.
#[cold]
pub(super) fn aside<'a, V: Visitor<'a>>(
    text: &'a [u8],
    at: usize,
    visitor: &mut V,
) -> Result<usize, EventError> {
    let behind = |start: usize, close: &[u8], what: &'static str| {
        let rest = text.get(start..).unwrap_or_default();
        match memchr::memmem::find(rest, close) {
            Some(length) => Ok((&rest[..length], start + length + close.len())),
            None => error(at, what),
        }
    };
    if stands(text, at, b"<![CDATA[") {
        let (value, end) = behind(at + b"<![CDATA[".len(), b"]]>", "a CDATA section is not closed")?;
        cdata(value, visitor);
        return Ok(end);
    }
    if stands(text, at, b"<!--") {
        return behind(at + b"<!--".len(), b"-->", "a comment is not closed").map(|(_, end)| end);
    }
    if stands(text, at, b"<?") {
        return behind(at + b"<?".len(), b"?>", "an instruction is not closed").map(|(_, end)| end);
    }
    error(at, "a document type or another declaration is not read")
}

/// Text of a CDATA section: references mean nothing there, but line ends fold as everywhere, so a
/// CR is left out and a lone one reported as LF.
fn cdata<'a, V: Visitor<'a>>(mut rest: &'a [u8], visitor: &mut V) {
    while let Some(cr) = memchr::memchr(b'\r', rest) {
        if cr > 0 {
            visitor.text(Value::Text(&rest[..cr]));
        }
        rest = &rest[cr + 1..];
        if rest.first() != Some(&b'\n') {
            visitor.text(Value::Text(b"\n"));
        }
    }
    if !rest.is_empty() {
        visitor.text(Value::Text(rest));
    }
}

/// Behind Event only white space, comments and instructions may stand.
fn nothing_follows(text: &[u8], mut at: usize) -> Result<(), EventError> {
    loop {
        at = skip_space(text, at);
        match text.get(at + 1) {
            None if at >= text.len() => return Ok(()),
            Some(b'!' | b'?') if text[at] == b'<' && !stands(text, at, b"<![") => {
                at = aside(text, at, &mut Ignore)?;
            }
            _ => return error(at, "something follows the end of the event"),
        }
    }
}
