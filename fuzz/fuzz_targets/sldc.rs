//! Any bits as SLDC: what the reference says, down to the bit where an error stands, and never more
//! than the limit. Any bytes as text: encoded and decoded they are the same.
#![no_main]

#[path = "../../src/wsman/sldc/reference.rs"]
mod reference;

use forebay::wsman::sldc::{Encoder, Scheme, SldcError, decode, decode_stream};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;

/// Stands before the output: no history may come from it.
const BEFORE: usize = 2000;

thread_local! {
    static ENCODER: RefCell<Encoder> = RefCell::new(Encoder::default());
}

fuzz_target!(|data: &[u8]| {
    let Some((first, stream)) = data.split_first() else { return };
    let limit = 1 << (first % 18);
    as_the_reference(stream, limit);
    let mut out = Vec::new();
    if let Ok(decoded) = decode(stream, limit, &mut out) {
        assert!(decoded.bytes == out.len() && out.len() <= limit);
    }
    // The tables go on from text to text, as the fleet uses them.
    let scheme = if first & 0x80 == 0 { Scheme::One } else { Scheme::Two };
    let mut body = Vec::new();
    ENCODER.with_borrow_mut(|encoder| encoder.encode(stream, scheme, &mut body));
    out.clear();
    let decoded = decode(&body, stream.len(), &mut out).expect("what the encoder wrote");
    assert!(out == stream && decoded.records == 1);
    as_the_reference(&body, 1 << 20);
});

fn as_the_reference(stream: &[u8], limit: usize) {
    let mut out = vec![0x55; BEFORE];
    let decoded = decode_stream(stream, limit, &mut out);
    let ours = match decoded {
        Ok(decoded) => Ok((out.split_off(BEFORE), decoded.records)),
        Err(error) => {
            assert_eq!(out.len(), BEFORE, "an error leaves nothing behind");
            Err(match error {
                SldcError::TooLong { bit, .. } => ("too long", bit),
                SldcError::Reserved { bit, .. } => ("reserved", bit),
                SldcError::Unended { bit } => ("unended", bit),
                SldcError::Pad { bit } => ("pad", bit),
                SldcError::Stray { bit } => ("stray", bit),
                other => panic!("no error of a stream: {other}"),
            })
        }
    };
    assert!(out.len() <= BEFORE);
    assert_eq!(ours, reference::decode(stream, limit));
}
