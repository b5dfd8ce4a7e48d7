//! Messages sealed under a security context: wrap tokens of RFC 4121, confidential ones.
//!
//! ```text
//! token     = header 16 | confounder 16 | message … | header again 16 | HMAC       the last four encrypted as
//!                                                                                  one, HMAC apart
//! header    = 05 04 | flags | ff | extra count u16 | right rotation count u16 | sequence u64
//! WinRM     = header | header again, HMAC, confounder | message …                  rotated by 28 (SHA-1)
//!             └───────────── signature ─────────────┘   └ sealed ┘
//! ```
//!
//! All behind the header may have been turned to the right by any count of bytes, and there may be filling behind
//! the message. WinRM turns by what stands behind the message, so what is sealed is as long as what it was and is
//! opened where it lies; everything else is laid straight first.
//!
//! Promise: what is opened was sealed by the other side of this context, is not opened twice, and nothing that
//! came before it is opened after it. Messages that never came are passed over: who takes one away takes away
//! its answer, too. A failure changes nothing.
//! Must not know: where keys come from, multipart bodies, HTTP.

mod window;

use super::crypto::{CONFOUNDER_BYTES, CryptoError, Locker, MAC_BYTES_MAX, Opener, Pieces, Usage};
use super::key::Key;
use std::fmt;
use std::ops::{Deref, Range};
use thiserror::Error;
use window::{Place, Window};

/// What every token begins with.
pub const HEADER_BYTES: usize = 16;
/// Longest signature of a sealed message.
pub const SIGNATURE_BYTES_MAX: usize = 2 * HEADER_BYTES + CONFOUNDER_BYTES + MAC_BYTES_MAX;

const WRAP: [u8; 2] = [5, 4];
const BY_ACCEPTOR: u8 = 1;
const CONFIDENTIAL: u8 = 2;
const ACCEPTOR_SUBKEY: u8 = 4;

/// Which side of the context we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Initiator,
    Acceptor,
}

/// The key of an established context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextKey {
    pub key: Key,
    /// Whether the acceptor chose it; tokens say so.
    pub is_of_acceptor: bool,
}

/// Seals and opens the messages of one context.
pub struct Sealer {
    role: Role,
    is_of_acceptor: bool,
    opener: Opener,
    locker: Locker,
    send: u64,
    received: Window,
}

/// What goes before a sealed message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    bytes: [u8; SIGNATURE_BYTES_MAX],
    length: usize,
}

/// Why something sealed is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    #[error("{bytes} bytes are fewer than the {least} of an empty message")]
    Short { bytes: usize, least: usize },
    #[error("the signature has {bytes} bytes and holds part of the message; {most} are the most")]
    Layout { bytes: usize, most: usize },
    #[error("it begins with {found:02x?}, and a sealed message with 05 04")]
    Token { found: [u8; 2] },
    #[error("it is signed but not encrypted")]
    NotConfidential,
    #[error("it was sealed by our own side")]
    Direction,
    #[error("it is sealed with the key of the other side of the context")]
    Subkey,
    #[error("an extra count of {count}, and {room} bytes in all")]
    Extra { count: usize, room: usize },
    #[error("it is not what the other side of this context has sealed")]
    Integrity,
    #[error("message {sequence} was opened before")]
    Replayed { sequence: u64 },
    #[error("message {sequence} comes late, behind {newest}")]
    Late { sequence: u64, newest: u64 },
}

impl Sealer {
    /// For a context whose next message of ours, and of the other side, have these numbers. Where that of the other
    /// side is not known, its first message that opens tells.
    ///
    /// # Errors
    /// When the key is of a type that is left to the library.
    pub fn new(key: &ContextKey, role: Role, send: u64, receive: Option<u64>) -> Result<Self, CryptoError> {
        let (ours, theirs) = match role {
            Role::Initiator => (Usage::INITIATOR_SEAL, Usage::ACCEPTOR_SEAL),
            Role::Acceptor => (Usage::ACCEPTOR_SEAL, Usage::INITIATOR_SEAL),
        };
        Ok(Self {
            role,
            is_of_acceptor: key.is_of_acceptor,
            opener: Opener::new(&key.key, theirs)?,
            locker: Locker::new(&key.key, ours)?,
            send,
            received: Window::new(receive),
        })
    }

    /// Bytes that sealing adds.
    pub fn signature_bytes(&self) -> usize {
        2 * HEADER_BYTES + CONFOUNDER_BYTES + self.locker.mac_bytes
    }

    /// Opens a message in two parts, where it lies: how many bytes of `sealed` are it. WinRM's signature, the one of
    /// a token that was cut behind as many bytes as it is longer than its message, or a token's header alone.
    ///
    /// # Errors
    /// `sealed` is zeros when it was begun to be opened.
    pub fn unseal(&mut self, signature: &[u8], sealed: &mut [u8]) -> Result<usize, SealError> {
        let header = self.header(signature, sealed.len())?;
        let (tail, whole) = (HEADER_BYTES + self.opener.mac_bytes, self.signature_bytes());
        if signature.len() == whole && header.turned == tail && header.extra == 0 {
            let mut first = [0; CONFOUNDER_BYTES];
            first.copy_from_slice(&signature[whole - CONFOUNDER_BYTES..]);
            let (last, tag) = signature[HEADER_BYTES..][..tail].split_at(HEADER_BYTES);
            let mut again = [0; HEADER_BYTES];
            again.copy_from_slice(last);
            let pieces = Pieces { first: &mut first, middle: &mut *sealed, last: &mut again };
            let intact = self.opener.open(pieces, tag);
            self.accept(&header, intact && again == header.inner).inspect_err(|_| sealed.fill(0))?;
            return Ok(sealed.len());
        }
        let most = whole + header.extra;
        if signature.len() > most {
            return Err(SealError::Layout { bytes: signature.len(), most });
        }
        let mut token = [signature, sealed].concat();
        let opened = self.unseal_token(&mut token);
        let message = &token[opened.inspect_err(|_| sealed.fill(0))?];
        sealed[..message.len()].copy_from_slice(message);
        Ok(message.len())
    }

    /// Opens a token in one piece: where in it the message is.
    ///
    /// # Errors
    /// What is behind the header has no meaning then.
    pub fn unseal_token(&mut self, token: &mut [u8]) -> Result<Range<usize>, SealError> {
        let header = self.header(token, 0)?;
        let body = &mut token[HEADER_BYTES..];
        body.rotate_left(header.turned % body.len());
        let end = body.len() - self.opener.mac_bytes;
        let (text, tag) = body.split_at_mut(end);
        let (first, middle) = text.split_first_chunk_mut().expect("the header was checked");
        let intact = self.opener.open(Pieces { first, middle: &mut *middle, last: &mut [] }, tag);
        let (message, again) = middle.split_at(middle.len() - HEADER_BYTES);
        let is_ours = intact && *again == header.inner;
        let start = HEADER_BYTES + CONFOUNDER_BYTES;
        let range = start..start + message.len() - header.extra;
        self.accept(&header, is_ours)?;
        Ok(range)
    }

    /// Seals a message where it lies, as WinRM lays it out. The confounder is random and used once.
    pub fn seal(&mut self, confounder: [u8; CONFOUNDER_BYTES], message: &mut [u8]) -> Signature {
        let (tail, length) = (HEADER_BYTES + self.locker.mac_bytes, self.signature_bytes());
        let (mut first, mut again) = (confounder, self.next_header(0));
        let mut bytes = [0; SIGNATURE_BYTES_MAX];
        bytes[..HEADER_BYTES].copy_from_slice(&again);
        bytes[6..8].copy_from_slice(&(tail as u16).to_be_bytes());
        let tag = self.locker.lock(Pieces { first: &mut first, middle: message, last: &mut again });
        bytes[HEADER_BYTES..][..HEADER_BYTES].copy_from_slice(&again);
        bytes[2 * HEADER_BYTES..length - CONFOUNDER_BYTES].copy_from_slice(&tag[..self.locker.mac_bytes]);
        bytes[length - CONFOUNDER_BYTES..length].copy_from_slice(&first);
        Signature { bytes, length }
    }

    /// A message as a token in one piece, turned by nothing.
    pub fn seal_token(&mut self, confounder: [u8; CONFOUNDER_BYTES], message: &[u8]) -> Vec<u8> {
        let header = self.next_header(0);
        let mut token = [&header, &confounder, message, &header].concat();
        let (first, middle) = token[HEADER_BYTES..].split_first_chunk_mut().expect("the confounder");
        let tag = self.locker.lock(Pieces { first, middle, last: &mut [] });
        token.extend_from_slice(&tag[..self.locker.mac_bytes]);
        token
    }

    /// The header of our next message.
    fn next_header(&mut self, extra: u16) -> [u8; HEADER_BYTES] {
        let by = if self.role == Role::Acceptor { BY_ACCEPTOR } else { 0 };
        let subkey = if self.is_of_acceptor { ACCEPTOR_SUBKEY } else { 0 };
        let mut header =
            [WRAP[0], WRAP[1], CONFIDENTIAL | by | subkey, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        header[4..6].copy_from_slice(&extra.to_be_bytes());
        header[8..].copy_from_slice(&self.send.to_be_bytes());
        self.send = self.send.wrapping_add(1);
        header
    }

    /// Reads the header of what has as many bytes behind it.
    fn header(&self, token: &[u8], behind: usize) -> Result<Header, SealError> {
        let (bytes, least) = (token.len() + behind, self.signature_bytes());
        let Some(header) = token.first_chunk::<HEADER_BYTES>().filter(|_| bytes >= least) else {
            return Err(SealError::Short { bytes, least });
        };
        let [a, b, flags, filler, e0, e1, r0, r1, ..] = *header;
        if [a, b] != WRAP || filler != 0xff {
            return Err(SealError::Token { found: [a, b] });
        }
        // RFC 4121 4.2.2: other bits are to be ignored.
        if flags & CONFIDENTIAL == 0 {
            return Err(SealError::NotConfidential);
        }
        if (flags & BY_ACCEPTOR != 0) == (self.role == Role::Acceptor) {
            return Err(SealError::Direction);
        }
        if (flags & ACCEPTOR_SUBKEY != 0) != self.is_of_acceptor {
            return Err(SealError::Subkey);
        }
        let extra = usize::from(u16::from_be_bytes([e0, e1]));
        if extra > bytes - least {
            return Err(SealError::Extra { count: extra, room: bytes - least });
        }
        let mut inner = *header;
        inner[6..8].fill(0);
        let [.., s0, s1, s2, s3, s4, s5, s6, s7] = *header;
        let sequence = u64::from_be_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
        Ok(Header { extra, turned: u16::from_be_bytes([r0, r1]).into(), sequence, inner })
    }

    fn accept(&mut self, header: &Header, intact: bool) -> Result<(), SealError> {
        if !intact {
            return Err(SealError::Integrity);
        }
        let sequence = header.sequence;
        match self.received.place(sequence) {
            Place::Next => Ok(()),
            Place::Seen => Err(SealError::Replayed { sequence }),
            Place::Late { newest } => Err(SealError::Late { sequence, newest }),
        }
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, send, received, .. } = self;
        f.debug_struct("Sealer").field("role", role).field("send", send).field("received", received).finish()
    }
}

impl Deref for Signature {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({:02x?})", &**self)
    }
}

struct Header {
    extra: usize,
    turned: usize,
    sequence: u64,
    /// As it stands encrypted behind the message, where it was turned by nothing yet.
    inner: [u8; HEADER_BYTES],
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
