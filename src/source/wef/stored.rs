//! A bookmark as it stands in the basin: with a checksum of the events it came with.
//!
//! ```text
//! [form u8 = 1][CRC-32C u32][CRC-32 u32][length u32] of the events' text, then the bookmark's own text
//! ```
//! The checksum tells a delivery that came again from another one; a host that forges it cheats itself.

use crate::event::Bookmark;
use bytes::Bytes;

/// The value to be kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stored(Bytes);

const FORM: u8 = 1;
const HEAD_BYTES: usize = 13;

impl Stored {
    pub(super) fn new(bookmark: &str, events: &[u8]) -> Self {
        let mut value = Vec::with_capacity(HEAD_BYTES + bookmark.len());
        value.push(FORM);
        value.extend_from_slice(&crc32c::crc32c(events).to_le_bytes());
        value.extend_from_slice(&crc32fast::hash(events).to_le_bytes());
        // Longer than 32 bits can count is no delivery; its lower half is as good a part of a checksum.
        value.extend_from_slice(&(events.len() as u32).to_le_bytes());
        value.extend_from_slice(bookmark.as_bytes());
        Self(value.into())
    }

    /// The bookmark in a value; none when it is of another form.
    pub(super) fn read(value: &[u8]) -> Option<&str> {
        let (head, text) = value.split_at_checked(HEAD_BYTES)?;
        std::str::from_utf8(text).ok().filter(|_| head[0] == FORM)
    }

    pub(super) fn value(&self) -> &Bytes {
        &self.0
    }

    pub(super) fn bookmark(&self, key: &str) -> Bookmark {
        Bookmark { key: key.into(), value: self.0.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bookmark_comes_back_as_it_was() {
        let stored = Stored::new("<BookmarkList/>", b"<Event/>");
        assert_eq!(Stored::read(stored.value()), Some("<BookmarkList/>"));
        assert_eq!(Stored::read(b"<BookmarkList/>"), None);
        assert_eq!(Stored::read(b""), None);
    }

    #[test]
    fn another_text_or_another_bookmark_is_another_delivery() {
        let of = |bookmark, events: &[u8]| Stored::new(bookmark, events);
        assert_eq!(of("a", b"1"), of("a", b"1"));
        assert_ne!(of("a", b"1"), of("a", b"2"));
        assert_ne!(of("a", b"1"), of("b", b"1"));
        assert_ne!(of("a", b""), of("a", b"\0"));
    }
}
