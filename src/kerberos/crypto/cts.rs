//! CBC over runs of blocks, and its end without padding (RFC 3962 5): the last two blocks are swapped, and the
//! second of them is as short as the text is.

use aes::cipher::consts::U16;
use aes::cipher::{
    Block, BlockCipherDecrypt, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt,
    BlockSizeUser,
};
use aes::{Aes128, cipher::Array};

pub(super) const BLOCK: usize = 16;
/// Bytes that are worked on at once, so that the HMAC finds them in the nearest cache.
pub(super) const CHUNK: usize = 4096;

pub(super) type Iv = [u8; BLOCK];
type AesBlock = Block<Aes128>;

/// Decrypts whole blocks, at most a chunk of them.
pub(super) fn decrypt<C: BlockCipherDecrypt<BlockSize = U16>>(cipher: &C, iv: &mut Iv, text: &mut [u8]) {
    let (blocks, rest) = Array::slice_as_chunks_mut(text);
    assert!(rest.is_empty() && blocks.len() <= CHUNK / BLOCK, "whole blocks of one chunk");
    let Some(last) = blocks.last() else { return };
    let next = (*last).into();
    let mut before = [AesBlock::default(); CHUNK / BLOCK];
    before[..blocks.len()].copy_from_slice(blocks);
    cipher.decrypt_blocks(blocks);
    mix(&mut blocks[0], iv);
    for (block, before) in blocks[1..].iter_mut().zip(&before) {
        mix(block, before);
    }
    *iv = next;
}

/// Encrypts whole blocks.
pub(super) fn encrypt<C: BlockCipherEncrypt<BlockSize = U16>>(cipher: &C, iv: &mut Iv, text: &mut [u8]) {
    let (blocks, rest) = Array::slice_as_chunks_mut(text);
    assert!(rest.is_empty(), "whole blocks");
    cipher.encrypt_with_backend(Chain { iv, blocks });
}

/// One block after the other, in one call to the cipher.
struct Chain<'a> {
    iv: &'a mut Iv,
    blocks: &'a mut [AesBlock],
}

impl BlockSizeUser for Chain<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Chain<'_> {
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let mut iv: AesBlock = (*self.iv).into();
        for block in self.blocks {
            mix(block, &iv);
            backend.encrypt_block((&mut *block).into());
            iv = *block;
        }
        *self.iv = iv.into();
    }
}

/// Decrypts the last blocks: one, or one and up to another.
pub(super) fn decrypt_end<C: BlockCipherDecrypt<BlockSize = U16>>(cipher: &C, mut iv: Iv, text: &mut [u8]) {
    let (first, second) = text.split_first_chunk_mut::<BLOCK>().expect("a block at least");
    if second.is_empty() {
        return decrypt(cipher, &mut iv, first);
    }
    let mut block: AesBlock = (*first).into();
    cipher.decrypt_block(&mut block);
    // What the second block lacks stands in the first.
    let mut stolen = block;
    for (stolen, byte) in stolen.iter_mut().zip(second) {
        let encrypted = std::mem::replace(byte, *byte ^ *stolen);
        *stolen = encrypted;
    }
    cipher.decrypt_block(&mut stolen);
    mix(&mut stolen, &iv);
    *first = stolen.into();
}

/// Encrypts the last blocks: one, or one and up to another.
pub(super) fn encrypt_end<C: BlockCipherEncrypt<BlockSize = U16>>(cipher: &C, mut iv: Iv, text: &mut [u8]) {
    let (first, second) = text.split_first_chunk_mut::<BLOCK>().expect("a block at least");
    encrypt(cipher, &mut iv, first);
    if second.is_empty() {
        return;
    }
    let mut last = [0; BLOCK];
    last[..second.len()].copy_from_slice(second);
    second.copy_from_slice(&first[..second.len()]);
    encrypt(cipher, &mut iv, &mut last);
    *first = last;
}

fn mix(block: &mut AesBlock, with: &[u8]) {
    block.iter_mut().zip(with).for_each(|(byte, with)| *byte ^= with);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kerberos::crypto::tests::hex;
    use aes::cipher::KeyInit;
    use aes::{Aes128Dec, Aes128Enc};

    /// RFC 3962 B.
    #[test]
    fn stolen_ciphertext_is_that_of_the_rfc() {
        let text = b"I would like the General Gau's Chicken, please, and wonton soup.";
        let key = b"chicken teriyaki".into();
        for (length, expected) in [
            (17, "c6353568f2bf8cb4d8a580362da7ff7f97"),
            (31, "fc00783e0efdb2c1d445d4c8eff7ed2297687268d6ecccc0c07b25e25ecfe5"),
            (32, "39312523a78662d5be7fcbcc98ebf5a897687268d6ecccc0c07b25e25ecfe584"),
            (
                47,
                "97687268d6ecccc0c07b25e25ecfe584b3fffd940c16a18c1b5549d2f838029e\
                 39312523a78662d5be7fcbcc98ebf5",
            ),
            (
                48,
                "97687268d6ecccc0c07b25e25ecfe5849dad8bbb96c4cdc03bc103e1a194bbd8\
                 39312523a78662d5be7fcbcc98ebf5a8",
            ),
            (
                64,
                "97687268d6ecccc0c07b25e25ecfe58439312523a78662d5be7fcbcc98ebf5a8\
                 4807efe836ee89a526730dbc2f7bc8409dad8bbb96c4cdc03bc103e1a194bbd8",
            ),
        ] {
            let mut bytes = text[..length].to_vec();
            let start = (length - 1) / BLOCK * BLOCK - BLOCK;
            let mut iv = [0; BLOCK];
            encrypt(&Aes128Enc::new(key), &mut iv, &mut bytes[..start]);
            encrypt_end(&Aes128Enc::new(key), iv, &mut bytes[start..]);
            assert_eq!(bytes, hex(expected), "{length}");
            let mut iv = [0; BLOCK];
            decrypt(&Aes128Dec::new(key), &mut iv, &mut bytes[..start]);
            decrypt_end(&Aes128Dec::new(key), iv, &mut bytes[start..]);
            assert_eq!(bytes, text[..length], "{length}");
        }
    }
}
