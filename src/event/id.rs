//! Deterministic event ids, so that sinks which can make a repeated write idempotent.
//!
//! id v1 = first 16 bytes of SHA-256("forebay-event-1" ‖ for each of host, channel, record id,
//! text: length as u64 little-endian ‖ bytes). Host is the authenticated one, so nobody can make
//! an event that carries another host's id. The text is in it because record ids restart.

use sha2::{Digest, Sha256};
use std::fmt;

/// 128 bits that name an event; written as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(pub [u8; 16]);

impl EventId {
    pub fn new(host: &[u8], channel: &[u8], record_id: &[u8], text: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"forebay-event-1");
        for part in [host, channel, record_id, text] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let mut id = [0; 16];
        id.copy_from_slice(&hash.finalize()[..16]);
        Self(id)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_version_one_never_changes() {
        let id = EventId::new(b"dc1.example.org", b"Security", b"1542", b"<Event/>");
        assert_eq!(id.to_string(), "4a1393341f7f7042c874239dca32a537");
    }

    #[test]
    fn parts_cannot_be_moved_into_each_other() {
        assert_ne!(EventId::new(b"ab", b"c", b"", b""), EventId::new(b"a", b"bc", b"", b""));
    }
}
