//! A key with its encryption type: wiped when it goes, and in no debug output.

use super::etype::Etype;
use std::fmt;
use zeroize::Zeroize;

/// A key. What is known of it is only how it is used.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    etype: Etype,
    bytes: Box<[u8]>,
}

impl Key {
    pub fn new(etype: Etype, bytes: &[u8]) -> Self {
        Self { etype, bytes: bytes.into() }
    }

    pub const fn etype(&self) -> Etype {
        self.etype
    }

    /// The secret itself.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.etype)
    }
}
