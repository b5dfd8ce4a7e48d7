//! The reference's sealed messages, with their key, opened in both layouts.
//!
//! They are not part of the project; where they are not, the test says that it was skipped. Copies are in the
//! tests of the room, which also seal them again byte for byte.

use forebay::kerberos::crypto::{self, Usage};
use forebay::kerberos::seal::{ContextKey, Role, Sealer};
use forebay::kerberos::{Etype, Key};
use std::path::{Path, PathBuf};

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..][..2], 16).unwrap()).collect()
}

#[test]
fn the_vectors_of_the_reference_are_opened() {
    let folder = std::env::var_os("FOREBAY_PROTOCOL_SAMPLES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference/protocol-samples"),
        PathBuf::from,
    );
    let path = folder.join("gss-wrap-vectors.txt");
    let Ok(text) = std::fs::read_to_string(&path) else {
        return println!("SKIP the_vectors_of_the_reference_are_opened: there is no {}", path.display());
    };
    // `name     value`, or `name(length) value`.
    let values = |name: &str| -> Vec<Vec<u8>> {
        let value = |line: &str| {
            let (found, value) = line.split_once(char::is_whitespace)?;
            let is_hex = value.trim().bytes().all(|byte| byte.is_ascii_hexdigit());
            (found.split('(').next() == Some(name) && is_hex).then(|| hex(value.trim()))
        };
        text.lines().filter_map(value).collect()
    };
    let key = Key::new(Etype::AES256_SHA1, &values("key")[0]);
    let directions = [(Role::Acceptor, Usage::INITIATOR_SEAL), (Role::Initiator, Usage::ACCEPTOR_SEAL)];
    let messages = [values("HDR"), values("DATA"), values("ct")];
    assert!(messages.iter().all(|values| values.len() == directions.len()));
    let key_of_context = ContextKey { key: key.clone(), is_of_acceptor: true };
    for (at, (ours, usage)) in directions.into_iter().enumerate() {
        let (signature, sealed, straight) = (&messages[0][at], &messages[1][at], &messages[2][at]);
        let number = u64::from_be_bytes(signature[8..16].try_into().unwrap());
        let mut message = sealed.clone();
        let mut sealer = Sealer::new(&key_of_context, ours, 0, Some(number)).unwrap();
        assert_eq!(sealer.unseal(signature, &mut message), Ok(15));
        assert_eq!(message, b"hello world 123");
        // Laid straight it is an encrypted text as any other.
        let mut header = signature[..16].to_vec();
        header[6..8].fill(0);
        assert_eq!(*crypto::decrypt(&key, usage, straight).unwrap(), [&message[..], &header].concat());
    }
}
