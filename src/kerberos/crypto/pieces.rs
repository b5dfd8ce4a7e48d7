//! A message in pieces, encrypted and protected where it lies.
//!
//! ```text
//! first 16 | middle … | last 0 to 16        one text for cipher and HMAC
//! ```
//!
//! Of a sealed message the first block and the last one stand in its signature, and only the middle is long.

use super::MAC_BYTES_MAX;
use super::cts::{self, BLOCK, CHUNK, Iv};
use super::derive::Derived;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit, consts::U16};
use hmac::Mac;

/// The pieces of one message.
pub(in crate::kerberos) struct Pieces<'a> {
    pub(in crate::kerberos) first: &'a mut [u8; BLOCK],
    pub(in crate::kerberos) middle: &'a mut [u8],
    /// At most a block.
    pub(in crate::kerberos) last: &'a mut [u8],
}

/// What stands behind a message, cut to what its type has.
pub(super) type Tag = [u8; MAC_BYTES_MAX];

/// Decrypts, and says whether the message is intact.
pub(super) trait Open: Send + Sync {
    fn open(&self, message: Pieces<'_>, tag: &[u8]) -> bool;
}

/// Encrypts.
pub(super) trait Lock: Send + Sync {
    fn lock(&self, message: Pieces<'_>) -> Tag;
}

/// Cipher and HMAC, both with their keys.
pub(super) struct Pair<C, M> {
    cipher: C,
    mac: M,
    /// Whether the HMAC is over what is encrypted instead of the plaintext.
    of_encrypted: bool,
}

impl<C: KeyInit, M: KeyInit + Mac> Pair<C, M> {
    pub(super) fn new(cipher: (&Derived, usize), mac: (&Derived, usize), of_encrypted: bool) -> Self {
        let cipher = C::new_from_slice(&cipher.0[..cipher.1]).expect("as long as keys of the cipher are");
        let mut mac = <M as KeyInit>::new_from_slice(&mac.0[..mac.1]).expect("HMAC takes any key");
        if of_encrypted {
            // RFC 8009 5: the state of the cipher is part of it, and that is zeros.
            mac.update(&[0; BLOCK]);
        }
        Self { cipher, mac, of_encrypted }
    }
}

impl<C, M> Open for Pair<C, M>
where
    C: BlockCipherDecrypt<BlockSize = U16> + Send + Sync,
    M: Mac + Clone + Send + Sync,
{
    fn open(&self, mut message: Pieces<'_>, tag: &[u8]) -> bool {
        let mut mac = self.mac.clone();
        let mut iv = [0; BLOCK];
        let mut step = |text: &mut [u8], work: &mut dyn FnMut(&mut [u8])| {
            if self.of_encrypted {
                mac.update(text);
            }
            work(text);
            if !self.of_encrypted {
                mac.update(text);
            }
        };
        message.run(|text| step(text, &mut |text| cts::decrypt(&self.cipher, &mut iv, text)));
        message.end(|text| step(text, &mut |text| cts::decrypt_end(&self.cipher, iv, text)));
        mac.verify_truncated_left(tag).is_ok()
    }
}

impl<C, M> Lock for Pair<C, M>
where
    C: BlockCipherEncrypt<BlockSize = U16> + Send + Sync,
    M: Mac + Clone + Send + Sync,
{
    fn lock(&self, mut message: Pieces<'_>) -> Tag {
        let mut mac = self.mac.clone();
        let mut iv = [0; BLOCK];
        let mut step = |text: &mut [u8], work: &mut dyn FnMut(&mut [u8])| {
            if !self.of_encrypted {
                mac.update(text);
            }
            work(text);
            if self.of_encrypted {
                mac.update(text);
            }
        };
        message.run(|text| step(text, &mut |text| cts::encrypt(&self.cipher, &mut iv, text)));
        message.end(|text| step(text, &mut |text| cts::encrypt_end(&self.cipher, iv, text)));
        let whole = mac.finalize().into_bytes();
        let mut tag = Tag::default();
        let length = tag.len().min(whole.len());
        tag[..length].copy_from_slice(&whole[..length]);
        tag
    }
}

impl Pieces<'_> {
    /// How many bytes of the middle come before the last two blocks; none where two blocks are all there is.
    fn run_bytes(&self) -> Option<usize> {
        assert!(self.last.len() <= BLOCK, "one block at most");
        let behind = self.middle.len() + self.last.len();
        let end = BLOCK + behind.checked_sub(1)? % BLOCK + 1;
        behind.checked_sub(end)
    }

    /// Works on all but the last two blocks, in chunks.
    fn run(&mut self, mut work: impl FnMut(&mut [u8])) {
        let Some(bytes) = self.run_bytes() else { return };
        work(self.first);
        self.middle[..bytes].chunks_mut(CHUNK).for_each(work);
    }

    /// Works on the last two blocks, of which the second may be short, or on the only one there is.
    fn end(&mut self, work: impl FnOnce(&mut [u8])) {
        let run = self.run_bytes();
        let (first, middle) = match run {
            Some(bytes) => (&mut [][..], &mut self.middle[bytes..]),
            None => (&mut self.first[..], &mut *self.middle),
        };
        let mut text = [0; 2 * BLOCK];
        let mut length = 0;
        let mut pieces = [first, middle, self.last];
        for piece in &pieces {
            text[length..length + piece.len()].copy_from_slice(piece);
            length += piece.len();
        }
        work(&mut text[..length]);
        let mut text = &text[..];
        for piece in &mut pieces {
            let (now, rest) = text.split_at(piece.len());
            piece.copy_from_slice(now);
            text = rest;
        }
    }
}

const _: () = assert!(CHUNK.is_multiple_of(BLOCK) && size_of::<Iv>() == BLOCK);
