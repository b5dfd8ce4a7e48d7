//! Errors as MIT Kerberos and domain controllers write them, and ours.

use super::*;
use crate::kerberos::token::{Content, Token};

const SKEW: &[u8] = include_bytes!("testdata/error-skew.token");

fn sample() -> KrbError {
    KrbError {
        code: code::SKEW,
        server_time: Timestamp(1_795_956_141_250_000_000),
        client_time: None,
        client: None,
        realm: "FOREBAY.TEST".into(),
        service: Name::new(name::PRINCIPAL, ["HTTP", "wec.forebay.test"]),
        text: None,
        data: None,
    }
}

fn full() -> KrbError {
    KrbError {
        client_time: Some(Timestamp(1_795_955_541_000_001_000)),
        client: Some(("CORP.TEST".into(), Name::new(name::PRINCIPAL, ["WIN10$"]))),
        text: Some("clock".into()),
        data: Some([1, 2, 3].into()),
        ..sample()
    }
}

#[track_caller]
fn read(token: &[u8]) -> KrbError {
    match Token::peek(token) {
        Ok(Token { content: Content::Error(error), .. }) => *error,
        other => panic!("no error: {other:?}"),
    }
}

#[test]
fn what_mit_kerberos_writes_is_written_again() {
    let error = read(SKEW);
    assert_eq!((error.code, error.service.to_string()), (code::SKEW, "HTTP/aes128.forebay.test".to_owned()));
    assert!(error.server_time.to_string().starts_with("2026-11-29T12:"), "{}", error.server_time);
    assert_eq!(error.to_token(), SKEW);
    let rejected = include_bytes!("testdata/spnego-rejected.token");
    assert_eq!(read(rejected).to_rejection(None), rejected);
}

#[test]
fn an_error_is_read_as_it_was_written() {
    for error in [sample(), full()] {
        assert_eq!(KrbError::parse(&error.write()), Ok(error.clone()));
        assert_eq!(read(&error.to_token()), error);
        assert_eq!(read(&error.to_rejection(Some(Mechanism::Kerberos))), error);
    }
}

#[test]
fn a_time_beyond_all_times_stays_what_it_is() {
    let late = KrbError { server_time: Timestamp(i64::MAX / 1000 * 1000), ..sample() };
    let mut bytes = late.write();
    for year in [b"9999", b"2262"] {
        let at = bytes.windows(4).position(|window| window.starts_with(b"22") || window == b"9999").unwrap();
        bytes[at..at + 4].copy_from_slice(year);
        let read = KrbError::parse(&bytes).unwrap();
        assert_eq!(KrbError::parse(&read.write()), Ok(read));
    }
}

#[test]
fn a_domain_controller_tells_its_status() {
    const DISABLED: u32 = 0xc000_0072;
    let value = [DISABLED.to_le_bytes(), [0; 4], 1_u32.to_le_bytes()].concat();
    let one = |kind: i64| {
        let (kind, value) = (integer(kind), element(OCTETS, &[&value]));
        element(SEQUENCE, &[&element(field(1), &[&kind]), &element(field(2), &[&value])])
    };
    let status = |data: Vec<u8>| KrbError { data: Some(data.into()), ..sample() }.nt_status();
    assert_eq!(status(one(3)), Some(DISABLED));
    assert_eq!(status(element(SEQUENCE, &[&one(19), &one(3)])), Some(DISABLED));
    assert_eq!(status(one(19)), None);
    assert_eq!(status(b"x".to_vec()), None);
    assert_eq!(sample().nt_status(), None);
}

#[test]
fn what_is_cut_off_is_refused() {
    let bytes = full().write();
    for end in 0..bytes.len() {
        assert!(KrbError::parse(&bytes[..end]).is_err(), "{end}");
    }
}
