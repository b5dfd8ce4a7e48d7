//! Keys of a usage out of a key: DK of RFC 3961 over AES, KDF-HMAC-SHA2 of RFC 8009.

use super::Usage;
use aes::cipher::{BlockCipherEncrypt, KeyInit, consts::U16};
use hmac::Mac;
use zeroize::Zeroizing;

/// What a derived key is for, as the last byte of the constant it is derived with.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Encrypt = 0xaa,
    Protect = 0x55,
}

pub(super) type Derived = Zeroizing<[u8; 32]>;

fn constant(usage: Usage, purpose: Purpose) -> [u8; 5] {
    let [a, b, c, d] = usage.0.to_be_bytes();
    [a, b, c, d, purpose as u8]
}

/// RFC 3961 5.1: the constant, folded to a block, is encrypted over and over. As long as the key itself.
pub(super) fn by_cipher<C>(key: &[u8], usage: Usage, purpose: Purpose) -> Derived
where
    C: KeyInit + BlockCipherEncrypt<BlockSize = U16>,
{
    dk::<C>(key, &constant(usage, purpose))
}

fn dk<C: KeyInit + BlockCipherEncrypt<BlockSize = U16>>(key: &[u8], constant: &[u8]) -> Derived {
    let cipher = C::new_from_slice(key).expect("the length of the key was checked");
    let mut block = [0; 16];
    fold(constant, &mut block);
    let mut derived = Zeroizing::new([0; 32]);
    let mut block = block.into();
    for piece in derived[..key.len()].chunks_exact_mut(16) {
        cipher.encrypt_block(&mut block);
        piece.copy_from_slice(&block);
    }
    derived
}

/// RFC 8009 3: one round of HMAC over the constant and the length; the caller cuts it there.
pub(super) fn by_mac<M: Mac + KeyInit>(key: &[u8], usage: Usage, purpose: Purpose, bytes: usize) -> Derived {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes any key");
    mac.update(&[0, 0, 0, 1]);
    mac.update(&constant(usage, purpose));
    mac.update(&[0]);
    mac.update(&(bytes as u32 * 8).to_be_bytes());
    let tag = mac.finalize().into_bytes();
    let mut derived = Zeroizing::new([0; 32]);
    derived[..bytes].copy_from_slice(&tag[..bytes]);
    derived
}

/// The n-fold of RFC 3961 5.1: copies of the input, each turned 13 bits further to the right, are added in
/// pieces of the output's length, with the carry of the highest bit into the lowest.
fn fold(input: &[u8], output: &mut [u8]) {
    let (width, length) = (input.len(), output.len());
    let mut sums = vec![0_u32; length];
    for at in 0..lcm(width, length) {
        // The bit of the input that the byte at `at` begins with.
        let turned = at / width * 13 % (8 * width);
        let bit = (at % width * 8 + 8 * width - turned) % (8 * width);
        let pair = u16::from_be_bytes([input[bit / 8], input[(bit / 8 + 1) % width]]);
        sums[at % length] += u32::from(pair >> (8 - bit % 8) & 0xff);
    }
    let mut carry = 0;
    // Twice: what is carried out of the first byte goes into the last one.
    for _ in 0..2 {
        for sum in sums.iter_mut().rev() {
            *sum += carry;
            carry = *sum >> 8;
            *sum &= 0xff;
        }
    }
    for (byte, sum) in output.iter_mut().zip(sums) {
        *byte = sum as u8;
    }
}

fn lcm(a: usize, b: usize) -> usize {
    let (mut high, mut low) = (a.max(b), a.min(b));
    while low > 0 {
        (high, low) = (low, high % low);
    }
    a / high * b
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kerberos::crypto::tests::hex;
    use aes::{Aes128Enc, Aes256Enc};
    use hmac::Hmac;
    use sha1::Sha1;
    use sha2::{Sha256, Sha384};

    /// RFC 3961 A.1.
    #[test]
    fn folds_are_those_of_the_rfc() {
        for (input, expected) in [
            ("012345", "be072631276b1955"),
            ("password", "78a07b6caf85fa"),
            ("Rough Consensus, and Running Code", "bb6ed30870b7f0e0"),
            ("password", "59e4a8ca7c0385c3c37b3f6d2000247cb6e6bd5b3e"),
            ("MASSACHVSETTS INSTITVTE OF TECHNOLOGY", "db3b0d8f0b061e603282b308a50841229ad798fab9540c1b"),
            ("Q", "518a54a215a8452a518a54a215a8452a518a54a215"),
            ("ba", "fb25d531ae8974499f52fd92ea9857c4ba24cf297e"),
            ("kerberos", "6b65726265726f73"),
            ("kerberos", "6b65726265726f737b9b5b2b93132b93"),
            ("kerberos", "8372c236344e5f1550cd0747e15d62ca7a5a3bcea4"),
            ("kerberos", "6b65726265726f737b9b5b2b93132b935c9bdcdad95c9899c4cae4dee6d6cae4"),
        ] {
            let expected = hex(expected);
            let mut out = vec![0; expected.len()];
            fold(input.as_bytes(), &mut out);
            assert_eq!(out, expected, "{input}");
        }
    }

    /// RFC 3962 B: keys from passwords are PBKDF2, then DK with `kerberos`.
    #[test]
    fn keys_by_cipher_are_those_of_the_rfc() {
        for (rounds, password, salt, short, long) in [
            (
                1,
                "password",
                &b"ATHENA.MIT.EDUraeburn"[..],
                "42263c6e89f4fc28b8df68ee09799f15",
                "fe697b52bc0d3ce14432ba036a92e65bbb52280990a2fa27883998d72af30161",
            ),
            (
                1200,
                "password",
                b"ATHENA.MIT.EDUraeburn",
                "4c01cd46d632d01e6dbe230a01ed642a",
                "55a6ac740ad17b4846941051e1e8b0a7548d93b0ab30a8bc3ff16280382b8c2a",
            ),
            (
                5,
                "password",
                &[0x12, 0x34, 0x56, 0x78, 0x78, 0x56, 0x34, 0x12],
                "e9b23d52273747dd5c35cb55be619d8e",
                "97a4e786be20d81a382d5ebc96d5909cabcdadc87ca48f574504159f16c36e31",
            ),
        ] {
            let key = pbkdf2(password, salt, rounds);
            assert_eq!(dk::<Aes128Enc>(&key[..16], b"kerberos")[..16], hex(short));
            assert_eq!(dk::<Aes256Enc>(&key, b"kerberos")[..], hex(long));
        }
    }

    fn pbkdf2(password: &str, salt: &[u8], rounds: u32) -> [u8; 32] {
        let hmac = |data: &[&[u8]]| {
            let mut mac = Hmac::<Sha1>::new_from_slice(password.as_bytes()).unwrap();
            data.iter().for_each(|data| mac.update(data));
            mac.finalize().into_bytes()
        };
        let mut out = Vec::new();
        for block in 1..=2_u32 {
            let mut link = hmac(&[salt, &block.to_be_bytes()]);
            let mut sum = link;
            for _ in 1..rounds {
                link = hmac(&[&link]);
                sum.iter_mut().zip(&link).for_each(|(sum, link)| *sum ^= link);
            }
            out.extend_from_slice(&sum);
        }
        out[..32].try_into().unwrap()
    }

    /// RFC 8009 A.
    #[test]
    fn keys_by_hmac_are_those_of_the_rfc() {
        let usage = Usage::TICKET;
        let key = hex("3705d96080c17728a0e800eab6e0d23c");
        let derived = |purpose| by_mac::<Hmac<Sha256>>(&key, usage, purpose, 16);
        assert_eq!(derived(Purpose::Encrypt)[..16], hex("9b197dd1e8c5609d6e67c3e37c62c72e"));
        assert_eq!(derived(Purpose::Protect)[..16], hex("9fda0e56ab2d85e1569a688696c26a6c"));
        let key = hex("6d404d37faf79f9df0d33568d320669800eb4836472ea8a026d16b7182460c52");
        let encrypt = by_mac::<Hmac<Sha384>>(&key, usage, Purpose::Encrypt, 32);
        assert_eq!(encrypt[..], hex("56ab22bee63d82d7bc5227f6773f8ea7a5eb1c825160c38312980c442e5c7e49"));
        let protect = by_mac::<Hmac<Sha384>>(&key, usage, Purpose::Protect, 24);
        assert_eq!(protect[..24], hex("69b16514e3cd8e56b82010d5c73012b622c4d00ffc23ed1f"));
    }
}
