//! Sealed messages byte for byte as MIT Kerberos seals them; every layout, every changed byte, every order.

use super::*;
use crate::kerberos::crypto::tests::hex;
use crate::kerberos::etype::Etype;
use proptest::prelude::*;

const MESSAGE: &[u8] = b"hello world 123";
const SECRET: &str = "00294138d5cdc7c32dcc61c3af25ed4ce4815243295004f73968cb40e290682d";
const ALL: [(Etype, usize, usize); 4] = [
    (Etype::AES128_SHA1, 16, 60),
    (Etype::AES256_SHA1, 32, 60),
    (Etype::AES128_SHA256, 16, 64),
    (Etype::AES256_SHA384, 32, 72),
];

fn key(etype: Etype, bytes: usize) -> ContextKey {
    ContextKey { key: Key::new(etype, &vec![0x5a; bytes]), is_of_acceptor: true }
}

/// Both sides of a context.
fn sides(etype: Etype, bytes: usize) -> (Sealer, Sealer) {
    let key = key(etype, bytes);
    let initiator = Sealer::new(&key, Role::Initiator, 100, Some(900)).unwrap();
    (initiator, Sealer::new(&key, Role::Acceptor, 900, Some(100)).unwrap())
}

/// By MIT Kerberos in WinRM's layout: the two directions of one context, each with its number.
fn vectors() -> [(Role, u64, Vec<u8>, Vec<u8>); 2] {
    [
        (
            Role::Initiator,
            0x265e_174b,
            hex(
                "050406ff0000001c00000000265e174bd31c3a0c83abc70da05c0e3a00753714178601d9500667ada2d93e500b387962\
                 0982eeec296b7a2e9c04f753",
            ),
            hex("782653cef29ca244d331a4fb4d984e"),
        ),
        (
            Role::Acceptor,
            0x2057_9242,
            hex(
                "050407ff0000001c000000002057924243f830b86ac6f9bf3ce439f5a4c4d68af154ada710543fcab303c17a16e915b3\
                 fbe09f2f4934c849e486540f",
            ),
            hex("814f86d147fc2bc928aa16f7abb790"),
        ),
    ]
}

fn other(role: Role) -> Role {
    if role == Role::Acceptor { Role::Initiator } else { Role::Acceptor }
}

/// The confounder of a vector.
fn confounder(opener: &Opener, signature: &[u8], sealed: &[u8]) -> [u8; 16] {
    let mut first: [u8; 16] = signature[44..].try_into().unwrap();
    let (mut middle, mut last) = (sealed.to_vec(), signature[16..32].to_vec());
    let pieces = Pieces { first: &mut first, middle: &mut middle, last: &mut last };
    assert!(opener.open(pieces, &signature[32..44]));
    first
}

#[test]
fn what_mit_kerberos_seals_is_opened_and_sealed_again_byte_for_byte() {
    let key = ContextKey { key: Key::new(Etype::AES256_SHA1, &hex(SECRET)), is_of_acceptor: true };
    for (role, number, signature, sealed) in vectors() {
        let mut ours = Sealer::new(&key, other(role), 0, Some(number)).unwrap();
        let first = confounder(&ours.opener, &signature, &sealed);
        let mut data = sealed.clone();
        assert_eq!(ours.unseal(&signature, &mut data), Ok(MESSAGE.len()));
        assert_eq!(data, MESSAGE);
        let mut theirs = Sealer::new(&key, role, number, Some(0)).unwrap();
        assert_eq!((&*theirs.seal(first, &mut data), &data), (&*signature, &sealed));
    }
}

#[test]
fn signatures_are_as_long_as_those_of_mit_kerberos() {
    for (etype, bytes, length) in ALL {
        let (mut initiator, mut acceptor) = sides(etype, bytes);
        for length_of_message in (0..70).chain([4095, 4096, 4097, 20_000]) {
            let message: Vec<u8> = (0..length_of_message).map(|at| at as u8).collect();
            let mut data = message.clone();
            let signature = initiator.seal([7; 16], &mut data);
            assert_eq!((signature.len(), signature[7]), (length, length as u8 - 32));
            assert_eq!((signature[2], data.len()), (6, message.len()));
            assert_eq!(acceptor.unseal(&signature, &mut data), Ok(message.len()));
            assert!(data == message, "{etype} {length_of_message}");
            let signature = acceptor.seal([8; 16], &mut data);
            assert_eq!(signature[2], 7);
            assert_eq!(initiator.unseal(&signature, &mut data), Ok(message.len()));
            assert!(data == message, "{etype} {length_of_message}");
        }
    }
}

/// A token that is turned by nothing, whole or cut anywhere up to where its message begins.
#[test]
fn a_plain_token_is_opened_whole_and_in_two() {
    for (etype, bytes, length) in ALL {
        let (mut initiator, mut acceptor) = sides(etype, bytes);
        for cut in (HEADER_BYTES..=length + 1).chain([0, 15]) {
            let mut token = initiator.seal_token([9; 16], MESSAGE);
            let (signature, sealed) = token.split_at_mut(cut);
            let opened = acceptor.unseal(signature, sealed);
            if cut < HEADER_BYTES {
                assert!(matches!(opened, Err(SealError::Short { .. })), "{cut}: {opened:?}");
            } else if cut > length {
                assert_eq!(opened, Err(SealError::Layout { bytes: cut, most: length }));
            } else {
                assert_eq!(opened.map(|length| &sealed[..length]), Ok(MESSAGE), "{cut}");
            }
        }
        let mut token = initiator.seal_token([9; 16], MESSAGE);
        let range = acceptor.unseal_token(&mut token).unwrap();
        assert_eq!(&token[range], MESSAGE);
        assert_eq!(acceptor.unseal_token(&mut token), Err(SealError::Integrity));
    }
}

/// Filling behind the message, as DCE has it, and every turn.
#[test]
fn every_count_is_honoured() {
    let (mut initiator, _) = sides(Etype::AES256_SHA1, 32);
    for extra in [0, 1, 16, 30] {
        for turned in (0..130_u16).chain([0xff00, 0xffff]) {
            let header = initiator.next_header(extra);
            let filling = vec![0; usize::from(extra)];
            let mut token = [&header[..], &[1; 16], MESSAGE, &filling, &header].concat();
            let (first, middle) = token[HEADER_BYTES..].split_first_chunk_mut().unwrap();
            let tag = initiator.locker.lock(Pieces { first, middle, last: &mut [] });
            token.extend(&tag[..12]);
            let body = &mut token[HEADER_BYTES..];
            body.rotate_right(usize::from(turned) % body.len());
            token[6..8].copy_from_slice(&turned.to_be_bytes());
            let (_, mut acceptor) = sides(Etype::AES256_SHA1, 32);
            let (signature, sealed) = token.split_at_mut(60);
            let length = acceptor.unseal(signature, sealed).unwrap();
            assert_eq!(&sealed[..length], MESSAGE, "{extra} {turned}");
        }
    }
}

/// Whatever counts stand in the header: refused, and nothing of the message is left.
#[test]
fn wrong_counts_are_refused() {
    let (mut initiator, mut acceptor) = sides(Etype::AES256_SHA1, 32);
    let mut sealed = MESSAGE.to_vec();
    let signature = initiator.seal([7; 16], &mut sealed);
    for extra in (0..80_u16).chain([0xff, 0x7fff, 0xffff]) {
        for turned in (0..80_u16).chain([0xff, 0x7fff, 0xffff]) {
            if (extra, turned) == (0, 28) {
                continue;
            }
            let (mut signature, mut data) = (signature.to_vec(), sealed.clone());
            signature[4..6].copy_from_slice(&extra.to_be_bytes());
            signature[6..8].copy_from_slice(&turned.to_be_bytes());
            let error = acceptor.unseal(&signature, &mut data).unwrap_err();
            let is_begun = error == SealError::Integrity;
            let is_extra = error == SealError::Extra { count: extra.into(), room: MESSAGE.len() };
            assert!(is_begun || is_extra, "{extra} {turned}: {error}");
            assert_eq!(is_begun, data.iter().all(|byte| *byte == 0));
        }
    }
    let mut data = sealed.clone();
    assert_eq!(acceptor.unseal(&signature, &mut data), Ok(MESSAGE.len()));
}

#[test]
fn every_changed_byte_is_refused() {
    for (etype, bytes, _) in ALL {
        let (mut initiator, mut acceptor) = sides(etype, bytes);
        let mut sealed = b"one two three four five six seven eight".to_vec();
        let signature = initiator.seal([7; 16], &mut sealed);
        for at in 0..signature.len() + sealed.len() {
            for change in [1, 0x80, 0xff] {
                let (mut signature, mut sealed) = (signature.to_vec(), sealed.clone());
                let length = signature.len();
                *signature.iter_mut().chain(&mut sealed).nth(at).unwrap() ^= change;
                let error = acceptor.unseal(&signature, &mut sealed);
                assert!(error.is_err() && signature.len() == length, "{etype} {at}");
            }
        }
        for cut in 0..signature.len() {
            assert!(acceptor.unseal(&signature[..cut], &mut sealed.clone()).is_err(), "{etype} {cut}");
        }
        for cut in 0..sealed.len() {
            assert!(acceptor.unseal(&signature, &mut sealed.clone()[..cut]).is_err(), "{etype} {cut}");
        }
        assert_eq!(acceptor.unseal(&signature, &mut sealed), Ok(39));
    }
}

#[test]
fn what_is_not_meant_for_us_says_why() {
    let (mut initiator, mut acceptor) = sides(Etype::AES128_SHA1, 16);
    let mut sealed = MESSAGE.to_vec();
    let signature = initiator.seal([7; 16], &mut sealed);
    assert_eq!(initiator.unseal(&signature, &mut sealed.clone()), Err(SealError::Direction));
    let mut changed = |at: usize, to: u8| {
        let mut signature = signature.to_vec();
        signature[at] = to;
        acceptor.unseal(&signature, &mut sealed.clone()).unwrap_err()
    };
    assert_eq!(changed(1, 5), SealError::Token { found: [5, 5] });
    assert_eq!(changed(3, 0), SealError::Token { found: [5, 4] });
    assert_eq!(changed(2, 4), SealError::NotConfidential);
    assert_eq!(changed(2, 2), SealError::Subkey);
    assert_eq!(changed(2, 0x46), SealError::Integrity);
    let stranger = ContextKey { key: Key::new(Etype::AES128_SHA1, &[1; 16]), is_of_acceptor: true };
    let mut stranger = Sealer::new(&stranger, Role::Acceptor, 0, Some(100)).unwrap();
    assert_eq!(stranger.unseal(&signature, &mut sealed), Err(SealError::Integrity));
}

#[test]
fn messages_are_opened_once_and_in_their_order() {
    let (mut initiator, mut acceptor) = sides(Etype::AES256_SHA1, 32);
    let messages: Vec<_> = (0..4_u8)
        .map(|number| {
            let mut message = vec![number; 9];
            (initiator.seal([number; 16], &mut message), message)
        })
        .collect();
    let mut open = |number: usize| {
        let (signature, mut message) = messages[number].clone();
        acceptor.unseal(&signature, &mut message).map(|_| message[0])
    };
    assert_eq!(open(0), Ok(0));
    assert_eq!(open(0), Err(SealError::Replayed { sequence: 100 }));
    assert_eq!(open(2), Ok(2));
    assert_eq!(open(1), Err(SealError::Late { sequence: 101, newest: 102 }));
    assert_eq!(open(2), Err(SealError::Replayed { sequence: 102 }));
    assert_eq!(open(3), Ok(3));
}

#[test]
fn a_type_that_is_left_to_the_library_is_told() {
    let sealer = Sealer::new(&key(Etype::RC4, 16), Role::Acceptor, 0, None);
    assert_eq!(sealer.err(), Some(CryptoError::Etype(Etype::RC4)));
}

proptest! {
    #[test]
    fn what_was_sealed_is_opened_on_the_other_side_only(
        etype in 0..4_usize,
        secret in any::<[u8; 32]>(),
        is_of_acceptor in any::<bool>(),
        role in prop_oneof![Just(Role::Initiator), Just(Role::Acceptor)],
        number in any::<u64>(),
        confounder in any::<[u8; 16]>(),
        message in proptest::collection::vec(any::<u8>(), 0..300),
        repeat in prop_oneof![Just(1_usize), Just(50)],
    ) {
        let (etype, bytes, _) = ALL[etype];
        let key = ContextKey { key: Key::new(etype, &secret[..bytes]), is_of_acceptor };
        let message = message.repeat(repeat);
        let mut theirs = Sealer::new(&key, role, number, Some(0)).unwrap();
        let mut ours = Sealer::new(&key, other(role), 0, Some(number)).unwrap();
        let mut sealed = message.clone();
        let signature = theirs.seal(confounder, &mut sealed);
        prop_assert_eq!(signature.len(), theirs.signature_bytes());
        let mut back = sealed.clone();
        prop_assert_eq!(theirs.unseal(&signature, &mut back), Err(SealError::Direction));
        prop_assert_eq!(ours.unseal(&signature, &mut sealed), Ok(message.len()));
        prop_assert_eq!(&sealed, &message);
        let mut token = theirs.seal_token(confounder, &message);
        let range = ours.unseal_token(&mut token).unwrap();
        prop_assert_eq!(&token[range], &message[..]);
    }
}
