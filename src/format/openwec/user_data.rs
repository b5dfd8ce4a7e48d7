//! Where UserData stands in the text of an event.

const START: &[u8] = b"<UserData";
const END: &[u8] = b"</UserData";

/// Whether what looks like a tag of UserData is one: comments and CDATA may hold anything.
pub(super) fn is_plain(text: &[u8]) -> bool {
    memchr::memmem::find(text, b"<!").is_none()
        || starts(text).count() == 1 && memchr::memmem::find_iter(text, END).count() < 2
}

/// Right behind each name in a start tag.
fn starts(text: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let is_end = |at: &usize| matches!(text.get(*at), Some(b'>' | b'/' | b' ' | b'\t' | b'\r' | b'\n'));
    memchr::memmem::find_iter(text, START).map(|at| at + START.len()).filter(is_end)
}

/// The XML inside of UserData, in the text of an event; of the last of several.
pub(super) fn inner(text: &[u8], is_repeated: bool) -> Option<&[u8]> {
    let mut starts = starts(text);
    let start = if is_repeated { starts.last() } else { starts.next() }?;
    let mut quote = None;
    let length = text[start..].iter().position(|&byte| match (quote, byte) {
        (None, b'"' | b'\'') => {
            quote = Some(byte);
            false
        }
        (None, b'>') => true,
        (Some(open), byte) if open == byte => {
            quote = None;
            false
        }
        _ => false,
    })?;
    if text[..start + length].ends_with(b"/") {
        return Some(b"");
    }
    let inside = start + length + 1;
    let end = memchr::memmem::rfind(text, END)?;
    text.get(inside..end)
}
