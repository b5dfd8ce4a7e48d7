//! Encryption against the vectors of RFC 8009, against what MIT Kerberos encrypted, and back.

use super::*;
use proptest::prelude::*;

pub(in crate::kerberos) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn key(etype: Etype, text: &str) -> Key {
    Key::new(etype, &hex(text))
}

const ALL: [(Etype, usize); 4] = [
    (Etype::AES128_SHA1, 16),
    (Etype::AES256_SHA1, 32),
    (Etype::AES128_SHA256, 16),
    (Etype::AES256_SHA384, 32),
];

/// RFC 8009 A.
#[test]
fn what_sha2_protects_is_that_of_the_rfc() {
    let plain = hex("000102030405060708090a0b0c0d0e0f1011121314");
    let short = key(Etype::AES128_SHA256, "3705d96080c17728a0e800eab6e0d23c");
    let long = key(Etype::AES256_SHA384, "6d404d37faf79f9df0d33568d320669800eb4836472ea8a026d16b7182460c52");
    for (key, length, confounder, expected) in [
        (
            &short,
            0,
            "7e5895eaf2672435bad817f545a37148",
            "ef85fb890bb8472f4dab20394dca781dad877eda39d50c870c0d5a0a8e48c718",
        ),
        (
            &short,
            6,
            "7bca285e2fd4130fb55b1a5c83bc5b24",
            "84d7f30754ed987bab0bf3506beb09cfb55402cef7e6877ce99e247e52d16ed4421dfdf8976c",
        ),
        (
            &short,
            16,
            "56ab21713ff62c0a1457200f6fa9948f",
            "3517d640f50ddc8ad3628722b3569d2ae07493fa8263254080ea65c1008e8fc2\
             95fb4852e7d83e1e7c48c37eebe6b0d3",
        ),
        (
            &short,
            21,
            "a7a4e29a4728ce10664fb64e49ad3fac",
            "720f73b18d9859cd6ccb4346115cd336c70f58edc0c4437c5573544c31c813bc\
             e1e6d072c186b39a413c2f92ca9b8334a287ffcbfc",
        ),
        (
            &long,
            0,
            "f764e9fa15c276478b2c7d0c4e5f58e4",
            "41f53fa5bfe7026d91faf9be959195a058707273a96a40f0a01960621ac612748b9bbfbe7eb4ce3c",
        ),
        (
            &long,
            6,
            "b80d3251c1f6471494256ffe712d0b9a",
            "4ed7b37c2bcac8f74f23c1cf07e62bc7b75fb3f637b9f559c7f664f69eab7b60\
             92237526ea0d1f61cb20d69d10f2",
        ),
        (
            &long,
            16,
            "53bf8a0d105265d4e276428624ce5e63",
            "bc47ffec7998eb91e8115cf8d19dac4bbbe2e163e87dd37f49beca92027764f6\
             8cf51f14d798c2273f35df574d1f932e40c4ff255b36a266",
        ),
        (
            &long,
            21,
            "763e65367e864f02f55153c7e3b58af1",
            "40013e2df58e8751957d2878bcd2d6fe101ccfd556cb1eae79db3c3ee86429f2\
             b2a602ac86fef6ecb647d6295fae077a1feb517508d2c16b4192e01f62",
        ),
    ] {
        let confounder = hex(confounder).try_into().unwrap();
        let encrypted = encrypt(key, Usage::TICKET, confounder, &plain[..length]).unwrap();
        assert_eq!(encrypted, hex(expected), "{length}");
        assert_eq!(decrypt(key, Usage::TICKET, &encrypted).unwrap()[..], plain[..length]);
    }
}

/// Encrypted by MIT Kerberos with random confounders.
#[test]
fn what_mit_kerberos_encrypted_is_decrypted() {
    const FOX: &str = "The quick brown fox jumps over the lazy dog, twice in a row.";
    for (etype, secret, plain, encrypted) in [
        (
            17,
            "e50a213afbe40166ed14b69074a5981b",
            "",
            "bb17b80b05167ab05f917f599ab867edc5ee481ab356b42178084722",
        ),
        (
            17,
            "e50a213afbe40166ed14b69074a5981b",
            "abcdef",
            "4d0f319d4418aa32a4bfe4472fb2653c1d16e46c7d7c550866fff6655d66ecb792e2",
        ),
        (
            17,
            "e50a213afbe40166ed14b69074a5981b",
            FOX,
            "0fd25a213bd41cd13019c5904f618e2dd19a5ca8143d5967aea5d69f893122983c48f529b46dc6d84e7122b820362dc3\
             9aefcd43688b97e93d377b95eff1d84133250ff9d915107ac84c4c6bc18367188f7845626f59e659",
        ),
        (
            18,
            "3ffb6e401b09375760a2826d3ed05a82ef4fffa56deee0c97ee96f3197420d52",
            "0123456789abcdef",
            "c5b1b101d716dfe892f647ada5bc4b1769f78518c1afd4e0b620e84bc1e6c49b4e5f02f64782c5f1ff736b87",
        ),
        (
            18,
            "3ffb6e401b09375760a2826d3ed05a82ef4fffa56deee0c97ee96f3197420d52",
            FOX,
            "e4eb6a60182776b8758af80727848b1d8d1c3b40bb0088ecec4f82afd6e093c8b145a120ca72ae5733ee5c99c24478b0\
             cb29f3b5f07ea61ef1a4568cf30171bd777060af1cd1c70864f6305b5c857ab139a5147a895fc9c1",
        ),
        (
            19,
            "2d66f8da14857ef3d04d91403a1e86b6",
            FOX,
            "d6db4bc2c653e974cb77a20f273f6898d30f707efbb0d7adbf3155395305c588aa547cb24b6116029c22469d73d6affff\
             15a3ef32b59a6bae98ad0e4e335f842b5ec4803f818f1f1d315a5ada885a1deaf6f19bb0f47a1b6a1718cb0",
        ),
        (
            20,
            "48143ed86047ab95d191b1fccf798113b7e84b27dac7d018a4b466e0aac8bfa3",
            FOX,
            "14e9e9f02e02d72317360208bfad228ff29f767e8f25f65938aee0ea1f8f4bf9c0bc3782d554fc61beacbc9dd5f46de4\
             61224fc2f370ac86a3c544420f6e239038ddedda0305ac35cf04d2921e2f405d86a8adb735dd8a90befc10a7df350a14\
             b8d254f3",
        ),
    ] {
        let decrypted = decrypt(&key(Etype(etype), secret), Usage::AUTHENTICATOR, &hex(encrypted));
        let decrypted = decrypted.unwrap_or_else(|error| panic!("{etype} {plain}: {error}"));
        assert_eq!(decrypted[..], *plain.as_bytes(), "{etype}");
    }
}

#[test]
fn other_types_and_lengths_are_refused() {
    let refused =
        |etype, bytes: usize| decrypt(&Key::new(etype, &vec![1; bytes]), Usage::TICKET, &[0; 64]).err();
    assert_eq!(refused(Etype::RC4, 16), Some(CryptoError::Etype(Etype::RC4)));
    for (etype, bytes) in ALL {
        for bytes in [0, bytes - 1, bytes + 1] {
            assert_eq!(refused(etype, bytes), Some(CryptoError::KeyBytes { etype, bytes }));
        }
        let key = Key::new(etype, &vec![1; bytes]);
        let least = encrypt(&key, Usage::TICKET, [0; 16], b"").unwrap().len();
        let short = decrypt(&key, Usage::TICKET, &vec![0; least - 1]).err();
        assert_eq!(short, Some(CryptoError::Short { bytes: least - 1, least }));
        assert_eq!(decrypt(&key, Usage::TICKET, &vec![0; least]).err(), Some(CryptoError::Integrity));
    }
}

proptest! {
    #[test]
    fn what_was_encrypted_comes_back_and_nothing_else(
        etype in 0..4_usize,
        secret in any::<[u8; 32]>(),
        confounder in any::<[u8; 16]>(),
        plain in proptest::collection::vec(any::<u8>(), 0..200),
        repeat in prop_oneof![Just(1_usize), Just(60)],
        at in any::<proptest::sample::Index>(),
        bit in 0..8,
    ) {
        let (etype, bytes) = ALL[etype];
        let key = Key::new(etype, &secret[..bytes]);
        let plain = plain.repeat(repeat);
        let mut encrypted = encrypt(&key, Usage::TICKET, confounder, &plain).unwrap();
        prop_assert_eq!(&decrypt(&key, Usage::TICKET, &encrypted).unwrap()[..], &plain[..]);
        prop_assert_eq!(decrypt(&key, Usage(3), &encrypted).err(), Some(CryptoError::Integrity));
        let at = at.index(encrypted.len());
        encrypted[at] ^= 1_u8 << bit;
        prop_assert_eq!(decrypt(&key, Usage::TICKET, &encrypted).err(), Some(CryptoError::Integrity));
    }
}
