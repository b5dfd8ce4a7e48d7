//! Any bytes as a sealed body: parts lie within it and within the limits, and what is read from it is
//! read again from what is written. Any bytes as token and ciphertext come back.
#![no_main]

use forebay::wsman::multipart::{Framing, PARTS_MAX, Part, Protocol, TOKEN_BYTES_MAX};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let protocol = [Protocol::Kerberos, Protocol::Spnego, Protocol::CredSsp][usize::from(first % 3)];
    let framing = Framing { several: first & 0x80 != 0, ..Framing::windows(protocol) };
    read(&framing, rest);
    write(&framing, usize::from(first >> 2), rest);
    // A content type on the first line, the body behind it.
    let split = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    if let Ok(Ok(framing)) = std::str::from_utf8(&rest[..split]).map(Framing::parse) {
        assert_eq!(Framing::parse(&framing.to_string()), Ok(framing));
        let _ = framing.read(&rest[(split + 1).min(rest.len())..]);
    }
});

fn read(framing: &Framing<'_>, body: &[u8]) {
    let Ok(parts) = framing.read(body) else { return };
    assert!((1..=PARTS_MAX).contains(&parts.len()));
    let mut bytes = 0;
    for part in &parts {
        assert!(part.token.len() <= TOKEN_BYTES_MAX && part.length <= part.sealed.len());
        bytes += part.token.len() + part.sealed.len();
    }
    assert!(bytes < body.len());
    for indent in [false, true] {
        let mut again = Vec::new();
        framing.write(&parts, indent, &mut again);
        assert_eq!(framing.read(&again).as_ref(), Ok(&parts));
    }
}

fn write(framing: &Framing<'_>, token: usize, bytes: &[u8]) {
    let (token, sealed) = bytes.split_at(token.min(bytes.len()));
    let part = Part { content_type: "application/soap+xml;charset=UTF-16", length: sealed.len(), token, sealed };
    let single = Framing { several: false, ..*framing };
    let mut body = Vec::new();
    single.write(&[part], false, &mut body);
    assert_eq!(single.read(&body), Ok(vec![part]));
}
