//! Sealed bodies as captured and as other peers write them, and what is wrong with a wrong one.

use super::*;
use proptest::prelude::*;

const SOAP: &str = "application/soap+xml;charset=UTF-16";
const HEADER: &str = r#"multipart/encrypted;protocol="application/HTTP-Kerberos-session-encrypted";boundary="Encrypted Boundary""#;

fn kerberos() -> Framing<'static> {
    Framing::windows(Protocol::Kerberos)
}

fn part<'a>(token: &'a [u8], sealed: &'a [u8]) -> Part<'a> {
    Part { content_type: SOAP, length: sealed.len(), token, sealed }
}

fn body(framing: &Framing<'_>, parts: &[Part<'_>], indent: bool) -> Vec<u8> {
    let mut body = Vec::new();
    framing.write(parts, indent, &mut body);
    body
}

/// A body with one change to its text.
fn changed(from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(body(&kerberos(), &[part(b"token", b"sealed")], false)).unwrap();
    assert!(text.contains(from));
    text.replacen(from, to, 1).into_bytes()
}

#[track_caller]
fn reads(body: &[u8]) {
    assert_eq!(kerberos().read(body), Ok(vec![part(b"token", b"sealed")]));
}

#[track_caller]
fn fails(body: &[u8], expected: &'static str, at: usize) {
    assert_eq!(kerberos().read(body), Err(MultipartError::Expected { expected, at }));
}

#[test]
fn a_body_is_framed_byte_for_byte_as_windows_does() {
    let body = body(&kerberos(), &[part(b"TOKEN", b"SEALED")], false);
    let expected = "--Encrypted Boundary\r\n\
        Content-Type: application/HTTP-Kerberos-session-encrypted\r\n\
        OriginalContent: type=application/soap+xml;charset=UTF-16;Length=6\r\n\
        --Encrypted Boundary\r\n\
        Content-Type: application/octet-stream\r\n\
        \u{5}\0\0\0TOKENSEALED--Encrypted Boundary--\r\n";
    assert_eq!(String::from_utf8(body).unwrap(), expected);
    assert_eq!(kerberos().to_string(), HEADER);
}

#[test]
fn the_captured_lengths_of_bodies_come_out() {
    // Length of what was sealed, and Content-Length of the request or answer; a token has 60 bytes.
    for (length, content_length) in
        [(3240, 3542), (8672, 8974), (1434, 1736), (1006, 1308), (1430, 1732), (19555, 19858)]
    {
        let body = body(&kerberos(), &[part(&[0; 60], &vec![0; length])], false);
        assert_eq!(body.len(), content_length);
        assert_eq!(kerberos().read(&body).unwrap()[0].length, length);
    }
}

#[test]
fn a_content_type_is_read_with_quotes_or_without_and_in_any_order() {
    for text in [
        HEADER,
        "multipart/encrypted; boundary=\"Encrypted Boundary\"; protocol=\"application/HTTP-Kerberos-session-encrypted\"",
        "Multipart/Encrypted ;PROTOCOL=application/http-kerberos-session-encrypted;x=\"a;b\";Boundary=Encrypted Boundary",
    ] {
        assert_eq!(Framing::parse(text), Ok(kerberos()));
    }
    for protocol in Protocol::ALL {
        for several in [false, true] {
            let framing = Framing { protocol, boundary: "other", several };
            assert_eq!(Framing::parse(&framing.to_string()), Ok(framing));
        }
    }
}

#[test]
fn a_content_type_of_another_kind_is_told_apart_from_a_wrong_one() {
    let parameter = |parameter| Err(MultipartError::Parameter { parameter });
    assert_eq!(Framing::parse("application/soap+xml;charset=UTF-16"), Err(MultipartError::NotEncrypted));
    assert_eq!(Framing::parse("multipart/encrypted;boundary=x"), parameter("protocol"));
    assert_eq!(Framing::parse(&HEADER.replace("Kerberos", "Unknown")), parameter("protocol"));
    assert_eq!(Framing::parse(&HEADER.replace("boundary", "b")), parameter("boundary"));
    for boundary in ["", &"x".repeat(71), "a\tb"] {
        assert_eq!(Framing::parse(&HEADER.replace("Encrypted Boundary", boundary)), parameter("boundary"));
    }
}

#[test]
fn peers_that_write_tabs_and_spaces_or_other_line_ends_are_read() {
    reads(&body(&kerberos(), &[part(b"token", b"sealed")], true));
    reads(&changed("--Encrypted", "-- Encrypted"));
    reads(&changed("sealed--", "sealed-- "));
    reads(&changed("Boundary--\r\n", "Boundary--"));
    reads(&changed("Boundary--\r\n", "Boundary--\r\n\r\n"));
    reads(&changed("OriginalContent: type=", "originalcontent:Type="));
    reads(&changed("application/octet-stream", "Application/Octet-Stream"));
}

#[test]
fn a_wrong_body_is_told_with_the_place() {
    fails(b"", "closing boundary", 0);
    fails(&changed("Boundary--\r\n", "Boundary\r\n"), "closing boundary", 238 - 3 + 4 + 5 + 6 - 2);
    fails(&changed("--Encrypted", "Encrypted"), "boundary", 0);
    fails(b"--Encrypted Boundary--\r\n", "boundary", 0);
    fails(&changed("Kerberos", "SPNEGO"), "content type of the protocol", 22);
    for wrong in ["Length=-6", "Length=+6", "Length=", "Size=6", "Length=99999999999999999999"] {
        fails(&changed("Length=6", wrong), "OriginalContent", 81);
    }
    fails(&changed("OriginalContent", "Content"), "OriginalContent", 81);
    fails(&changed("octet-stream", "xml"), "application/octet-stream", 171);
    fails(&changed("\r\nOriginal", &format!("{:600}\r\nOriginal", "")), "content type of the protocol", 22);
    let at = 211;
    fails(&changed("\u{5}\0\0\0tokensealed", "123"), "token", at);
    let error = |from: &str, to: &str| kerberos().read(&changed(from, to)).unwrap_err();
    assert_eq!(error("\u{5}\0", "\u{c}\0"), MultipartError::Token { bytes: 12, at, most: 11 });
    assert_eq!(
        error("\u{5}\0\0\0", "\0\0\0\u{7f}"),
        MultipartError::Token { bytes: 0x7f00_0000, at, most: 11 }
    );
    assert_eq!(error("Length=6", "Length=7"), MultipartError::Cut { sealed: 6, length: 7, at });
    let long = body(&kerberos(), &[part(&[0; 257], b"sealed")], false);
    assert_eq!(kerberos().read(&long), Err(MultipartError::Token { bytes: 257, at, most: 256 }));
}

#[test]
fn sealed_bytes_may_look_like_boundaries() {
    let sealed = b"\r\n--Encrypted Boundary\r\n--Encrypted Boundary--\r\n";
    let body = body(&kerberos(), &[part(b"--", sealed)], false);
    assert_eq!(kerberos().read(&body), Ok(vec![part(b"--", sealed)]));
}

#[test]
fn parts_are_read_in_order_up_to_their_number() {
    let framing = Framing { several: true, ..Framing::windows(Protocol::CredSsp) };
    let parts = vec![part(b"token", b"sealed"); PARTS_MAX + 1];
    for count in [1, 2, PARTS_MAX] {
        for indent in [false, true] {
            assert_eq!(framing.read(&body(&framing, &parts[..count], indent)).unwrap(), parts[..count]);
        }
    }
    assert_eq!(framing.read(&body(&framing, &parts, false)), Err(MultipartError::Parts));
    // A second part where one is allowed is sealed bytes, and something to unseal in vain.
    let two = body(&kerberos(), &parts[..2], false);
    assert_eq!(kerberos().read(&two).unwrap().len(), 1);
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..257), prop::collection::vec(any::<u8>(), 0..200)), 1..5),
        boundary in "[A-Za-z0-9 '()+_,./:=?-]{0,60}[A-Za-z0-9]",
        indent in any::<bool>(),
    ) {
        let parts: Vec<Part<'_>> = parts.iter().map(|(token, sealed)| part(token, sealed)).collect();
        for several in [false, true] {
            let framing = Framing { protocol: Protocol::Spnego, boundary: &boundary, several };
            let parts = if several { &parts[..] } else { &parts[..1] };
            let body = body(&framing, parts, indent);
            let header = framing.to_string();
            prop_assert_eq!(Framing::parse(&header), Ok(framing));
            // A short boundary may stand in random bytes.
            prop_assume!(!several || boundary.len() > 6);
            prop_assert_eq!(framing.read(&body).unwrap(), parts);
        }
    }
}
