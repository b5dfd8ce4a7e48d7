//! Any bytes as a sealed message: refused, and nothing of it is left. What was sealed is opened on the other side,
//! however it is turned and cut, and not when anything of it was changed.
//!
//! The first byte says which encryption type it is and what is done, the next three how it is turned, cut and
//! changed.
#![no_main]

use forebay::kerberos::seal::{ContextKey, HEADER_BYTES, Role, SealError, Sealer};
use forebay::kerberos::{Etype, Key};
use libfuzzer_sys::fuzz_target;

const TYPES: [(Etype, usize); 4] = [
    (Etype::AES128_SHA1, 16),
    (Etype::AES256_SHA1, 32),
    (Etype::AES128_SHA256, 16),
    (Etype::AES256_SHA384, 32),
];

fuzz_target!(|data: &[u8]| {
    let Some((&[what, turned, cut, change], rest)) = data.split_first_chunk() else { return };
    let (etype, bytes) = TYPES[usize::from(what % 4)];
    let key = ContextKey { key: Key::new(etype, &vec![0x5a; bytes]), is_of_acceptor: what & 4 != 0 };
    let sealer = |role| Sealer::new(&key, role, 7, Some(7)).expect("AES");
    let (mut client, mut server) = (sealer(Role::Initiator), sealer(Role::Acceptor));
    if what & 8 == 0 {
        return strangers(&mut server, rest, cut.into());
    }
    let mut token = client.seal_token([what; 16], rest);
    if what & 16 != 0 {
        let body = &mut token[HEADER_BYTES..];
        let by = usize::from(turned) % body.len();
        body.rotate_right(by);
        token[6..8].copy_from_slice(&(by as u16).to_be_bytes());
    }
    let most = client.signature_bytes();
    let cut = HEADER_BYTES + usize::from(cut) % (most - HEADER_BYTES + 1);
    if change != 0 {
        let at = (usize::from(turned) << 4 ^ usize::from(change)) % token.len();
        token[at] ^= change;
        let (signature, sealed) = token.split_at_mut(cut);
        let opened = server.unseal(signature, sealed);
        // A turn by as much more as all of it is long is the same turn.
        assert!(opened.is_err() || (6..8).contains(&at), "{at} {opened:?}");
        return;
    }
    let (signature, sealed) = token.split_at_mut(cut);
    let length = server.unseal(signature, sealed).expect("what was sealed");
    assert_eq!(&sealed[..length], rest);
    let mut message = rest.to_vec();
    let signature = server.seal([what; 16], &mut message);
    assert_eq!(client.unseal(&signature, &mut message), Ok(rest.len()));
    assert_eq!(message, rest);
    assert!(matches!(server.unseal(&signature, &mut message), Err(SealError::Direction)));
});

fn strangers(server: &mut Sealer, bytes: &[u8], cut: usize) {
    let (signature, sealed) = bytes.split_at(cut.min(bytes.len()));
    let mut sealed = sealed.to_vec();
    let before = sealed.clone();
    assert!(server.unseal(signature, &mut sealed).is_err());
    assert!(sealed == before || sealed.iter().all(|byte| *byte == 0));
    assert!(server.unseal_token(&mut bytes.to_vec()).is_err());
}
