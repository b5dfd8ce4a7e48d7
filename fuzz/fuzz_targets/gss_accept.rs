//! Any bytes as the tokens of a handshake, through MIT's library and all that is unsafe around it: nobody gets
//! in, a refusal ends it, and memory is as before. The keytab opens the tickets of the seeds, which are too old.
#![no_main]

use forebay::auth::gss::{Acceptor, AcceptorSettings, Library, ReplaySettings};
use forebay::auth::handshake::{Cause, SecurityContext};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};

const KEYTAB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/kerberos/testdata/wec.keytab");

static ACCEPTOR: LazyLock<Arc<Acceptor>> = LazyLock::new(|| {
    let library = Library::load(Library::NAME).expect("MIT Kerberos is installed");
    let (replay, services) = (ReplaySettings::default(), Vec::new());
    let settings = AcceptorSettings { keytab: KEYTAB.into(), replay, services };
    Arc::new(Acceptor::new(library, settings).expect("the keytab is there"))
});

fuzz_target!(|data: &[u8]| {
    // How long the first of two tokens is, and whether the connection has bindings.
    let Some((&[high, low], tokens)) = data.split_first_chunk() else { return };
    let first = usize::from(u16::from_be_bytes([high, low]) >> 1);
    let (first, second) = tokens.split_at(first.min(tokens.len()));
    let bindings: Option<&[u8]> = (low & 1 != 0).then_some(b"tls-server-end-point:0123");
    let mut context = ACCEPTOR.context();
    let mut is_over = false;
    for token in [first, second] {
        match context.step(token, bindings) {
            Ok(step) => assert!(!is_over && step.established.is_none()),
            Err(failure) => {
                assert!(!failure.to_string().is_empty());
                assert!(!is_over || failure.cause == Cause::Over);
                is_over = true;
            }
        }
    }
});
