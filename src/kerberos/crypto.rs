//! Encryption of Kerberos with AES: RFC 3961 and 3962 (SHA-1), RFC 8009 (SHA-2).
//!
//! ```text
//! encrypted = CBC with ciphertext stealing(confounder 16 | plaintext) | HMAC, cut
//! ```
//!
//! | type | key | HMAC | over |
//! |---|---|---|---|
//! | 17 | AES-128 | SHA-1, 12 bytes | confounder and plaintext |
//! | 18 | AES-256 | SHA-1, 12 bytes | confounder and plaintext |
//! | 19 | AES-128 | SHA-256, 16 bytes | 16 zeros and what is encrypted |
//! | 20 | AES-256 | SHA-384, 24 bytes | 16 zeros and what is encrypted |
//!
//! | file | what |
//! |---|---|
//! | `crypto/derive` | keys of a usage out of a key |
//! | `crypto/cts` | blocks, and the last two of them |
//! | `crypto/pieces` | cipher and HMAC together, over a message in pieces |
//!
//! Everything is in place, in pieces that stay in the cache between cipher and HMAC. RC4 and what is older is
//! left to the library. Must not know: tokens, tickets.

mod cts;
mod derive;
mod pieces;

pub(super) use pieces::Pieces;

use super::etype::Etype;
use super::key::Key;
use aes::{Aes128Dec, Aes128Enc, Aes256Dec, Aes256Enc};
use derive::{Derived, Purpose};
use hmac::Hmac;
use pieces::{Lock, Open, Pair};
use sha1::Sha1;
use sha2::{Sha256, Sha384};
use thiserror::Error;
use zeroize::Zeroizing;

/// What a message begins with before it is encrypted, and how long its blocks are.
pub const CONFOUNDER_BYTES: usize = 16;
/// Longest HMAC at the end of a message.
pub const MAC_BYTES_MAX: usize = 24;

/// What a key is used for; each use has keys of its own (RFC 4120 7.5.1, RFC 4121 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage(pub u32);

impl Usage {
    pub const TICKET: Self = Self(2);
    pub const AUTHENTICATOR: Self = Self(11);
    pub const ACCEPTOR_SEAL: Self = Self(22);
    pub const INITIATOR_SEAL: Self = Self(24);
}

/// Why something is not decrypted or encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CryptoError {
    #[error("{0} is left to the Kerberos library")]
    Etype(Etype),
    #[error("a key of {bytes} bytes for {etype}")]
    KeyBytes { etype: Etype, bytes: usize },
    #[error("{bytes} encrypted bytes are fewer than the {least} of an empty message")]
    Short { bytes: usize, least: usize },
    #[error("the message is not what was encrypted with this key")]
    Integrity,
}

/// What was encrypted, without its confounder.
pub fn decrypt(key: &Key, usage: Usage, encrypted: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let opener = Opener::new(key, usage)?;
    let (bytes, least) = (encrypted.len(), CONFOUNDER_BYTES + opener.mac_bytes);
    if bytes < least {
        return Err(CryptoError::Short { bytes, least });
    }
    let (text, tag) = encrypted.split_at(bytes - opener.mac_bytes);
    let mut text = Zeroizing::new(text.to_vec());
    let (first, middle) = text.split_first_chunk_mut().expect("checked above");
    if !opener.open(Pieces { first, middle, last: &mut [] }, tag) {
        return Err(CryptoError::Integrity);
    }
    Ok(Zeroizing::new(text[CONFOUNDER_BYTES..].to_vec()))
}

/// The plaintext encrypted behind this confounder, which is random and used once.
pub fn encrypt(
    key: &Key,
    usage: Usage,
    mut confounder: [u8; CONFOUNDER_BYTES],
    plain: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    let locker = Locker::new(key, usage)?;
    let mut middle = plain.to_vec();
    let tag = locker.lock(Pieces { first: &mut confounder, middle: &mut middle, last: &mut [] });
    Ok([&confounder, &middle[..], &tag[..locker.mac_bytes]].concat())
}

/// Opens messages of one usage.
pub(super) struct Opener {
    open: Box<dyn Open>,
    pub(super) mac_bytes: usize,
}

impl Opener {
    pub(super) fn new(key: &Key, usage: Usage) -> Result<Self, CryptoError> {
        let (keys, mac_bytes) = derived(key, usage)?;
        let open: Box<dyn Open> = match key.etype() {
            Etype::AES128_SHA1 => Box::new(keys.pair::<Aes128Dec, Hmac<Sha1>>()),
            Etype::AES256_SHA1 => Box::new(keys.pair::<Aes256Dec, Hmac<Sha1>>()),
            Etype::AES128_SHA256 => Box::new(keys.pair::<Aes128Dec, Hmac<Sha256>>()),
            _ => Box::new(keys.pair::<Aes256Dec, Hmac<Sha384>>()),
        };
        Ok(Self { open, mac_bytes })
    }

    /// Whether the message is intact; it is plaintext then.
    pub(super) fn open(&self, message: Pieces<'_>, tag: &[u8]) -> bool {
        assert!(tag.len() == self.mac_bytes, "a whole one: what is cut proves less");
        self.open.open(message, tag)
    }
}

/// Locks messages of one usage.
pub(super) struct Locker {
    lock: Box<dyn Lock>,
    pub(super) mac_bytes: usize,
}

impl Locker {
    pub(super) fn new(key: &Key, usage: Usage) -> Result<Self, CryptoError> {
        let (keys, mac_bytes) = derived(key, usage)?;
        let lock: Box<dyn Lock> = match key.etype() {
            Etype::AES128_SHA1 => Box::new(keys.pair::<Aes128Enc, Hmac<Sha1>>()),
            Etype::AES256_SHA1 => Box::new(keys.pair::<Aes256Enc, Hmac<Sha1>>()),
            Etype::AES128_SHA256 => Box::new(keys.pair::<Aes128Enc, Hmac<Sha256>>()),
            _ => Box::new(keys.pair::<Aes256Enc, Hmac<Sha384>>()),
        };
        Ok(Self { lock, mac_bytes })
    }

    /// Encrypts the message; as much of what comes back as `mac_bytes` says goes behind it.
    pub(super) fn lock(&self, message: Pieces<'_>) -> [u8; MAC_BYTES_MAX] {
        self.lock.lock(message)
    }
}

/// The keys of a usage.
struct Keys {
    cipher: (Derived, usize),
    mac: (Derived, usize),
    of_encrypted: bool,
}

impl Keys {
    fn pair<C: aes::cipher::KeyInit, M: aes::cipher::KeyInit + hmac::Mac>(&self) -> Pair<C, M> {
        Pair::new((&self.cipher.0, self.cipher.1), (&self.mac.0, self.mac.1), self.of_encrypted)
    }
}

/// The keys, and how long an HMAC is.
fn derived(key: &Key, usage: Usage) -> Result<(Keys, usize), CryptoError> {
    let (etype, bytes) = (key.etype(), key.bytes().len());
    let (key_bytes, mac_key_bytes, mac_bytes) = match etype {
        Etype::AES128_SHA1 => (16, 16, 12),
        Etype::AES256_SHA1 => (32, 32, 12),
        Etype::AES128_SHA256 => (16, 16, 16),
        Etype::AES256_SHA384 => (32, 24, 24),
        _ => return Err(CryptoError::Etype(etype)),
    };
    if bytes != key_bytes {
        return Err(CryptoError::KeyBytes { etype, bytes });
    }
    let derive = |purpose, bytes| match etype {
        Etype::AES128_SHA1 => derive::by_cipher::<Aes128Enc>(key.bytes(), usage, purpose),
        Etype::AES256_SHA1 => derive::by_cipher::<Aes256Enc>(key.bytes(), usage, purpose),
        Etype::AES128_SHA256 => derive::by_mac::<Hmac<Sha256>>(key.bytes(), usage, purpose, bytes),
        _ => derive::by_mac::<Hmac<Sha384>>(key.bytes(), usage, purpose, bytes),
    };
    let keys = Keys {
        cipher: (derive(Purpose::Encrypt, key_bytes), key_bytes),
        mac: (derive(Purpose::Protect, mac_key_bytes), mac_key_bytes),
        of_encrypted: matches!(etype, Etype::AES128_SHA256 | Etype::AES256_SHA384),
    };
    Ok((keys, mac_bytes))
}

#[cfg(test)]
#[path = "crypto_tests.rs"]
pub(super) mod tests;
