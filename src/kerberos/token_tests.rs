//! Tokens of real clients, whole, cut and changed.

use super::*;
use crate::kerberos::etype::Etype;
use crate::kerberos::krb_error::code;
use crate::kerberos::token::spnego::{Answer, State};

const AES256: &[u8] = include_bytes!("testdata/krb5-aes256.token");
const NEGOTIATED: &[u8] = include_bytes!("testdata/spnego-aes256.token");
const SKEW: &[u8] = include_bytes!("testdata/error-skew.token");
const REJECTED: &[u8] = include_bytes!("testdata/spnego-rejected.token");

fn request(token: &[u8]) -> ApReq<'_> {
    match Token::peek(token) {
        Ok(Token { content: Content::Kerberos(request), .. }) => request,
        other => panic!("no AP-REQ: {other:?}"),
    }
}

#[test]
fn a_ticket_says_whom_it_is_for_and_how_it_is_encrypted() {
    let tokens: [(&[u8], &str, Etype); 5] = [
        (AES256, "HTTP/aes256.forebay.test", Etype::AES256_SHA1),
        (include_bytes!("testdata/krb5-aes128.token"), "HTTP/aes128.forebay.test", Etype::AES128_SHA1),
        (include_bytes!("testdata/krb5-sha256.token"), "HTTP/sha256.forebay.test", Etype::AES128_SHA256),
        (include_bytes!("testdata/krb5-sha384.token"), "HTTP/sha384.forebay.test", Etype::AES256_SHA384),
        (include_bytes!("testdata/krb5-rc4.token"), "HTTP/rc4.forebay.test", Etype::RC4),
    ];
    for (token, service, etype) in tokens {
        let request = request(token);
        assert_eq!((&*request.realm, request.service.to_string()), ("FOREBAY.TEST", service.to_owned()));
        assert_eq!((request.ticket.etype, request.ticket.kvno), (etype, Some(2)));
        assert_eq!(request.authenticator.kvno, None);
        assert!(request.is_mutual() && !request.is_user_to_user());
    }
}

#[test]
fn negotiation_is_looked_through() {
    let token = Token::peek(NEGOTIATED).unwrap();
    assert!(token.is_negotiated && token.offered == [Mechanism::Kerberos]);
    assert_eq!(request(NEGOTIATED).service, request(AES256).service);
}

/// The forms that clients send the same AP-REQ in.
#[test]
fn framing_is_as_clients_have_it() {
    let bare = &AES256[AES256.iter().position(|byte| *byte == ap_req::TAG).unwrap()..];
    let windows = element(GSS, &[&Mechanism::MsKerberos.write(), &[1, 0], bare]);
    let answer = Answer { state: Some(State::Incomplete), mechanism: None, token: Some(&windows) }.write();
    for token in [bare, &windows, &answer] {
        assert_eq!(request(token), request(AES256));
    }
}

#[test]
fn ntlm_is_seen_in_every_framing() {
    let ntlm = b"NTLMSSP\0\x01\0\0\0\x07\xb2\x08\xa2";
    let framed = element(GSS, &[&Mechanism::Ntlm.write(), ntlm]);
    let negotiated = Answer { token: Some(ntlm), ..Answer::default() }.write();
    for token in [&ntlm[..], &framed, &negotiated] {
        let Ok(Token { content: Content::Ntlm(ntlm), .. }) = Token::peek(token) else { panic!("NTLM") };
        assert_eq!(ntlm.kind, 1);
    }
}

#[test]
fn an_error_is_found_in_every_framing() {
    for token in [SKEW, REJECTED] {
        let Ok(Token { content: Content::Error(error), .. }) = Token::peek(token) else { panic!("an error") };
        assert_eq!((error.code, &*error.realm), (code::SKEW, "FOREBAY.TEST"));
    }
}

#[test]
fn what_is_no_token_of_ours_is_named() {
    assert_eq!(Token::peek(b""), Err(TokenError::Empty));
    assert_eq!(Token::peek(b"hello"), Err(TokenError::Unknown { first: b'h' }));
    let long = vec![GSS; TOKEN_BYTES_MAX + 1];
    assert_eq!(Token::peek(&long), Err(TokenError::Long { bytes: TOKEN_BYTES_MAX + 1 }));
    let other = element(GSS, &[&Mechanism::NegoEx.write(), b"x"]);
    assert_eq!(Token::peek(&other).unwrap().content, Content::Other(Mechanism::NegoEx));
    let nested = Answer { token: Some(NEGOTIATED), ..Answer::default() }.write();
    assert_eq!(Token::peek(&nested), Err(TokenError::Nested));
    let hint = Answer { state: Some(State::RequestMic), ..Answer::default() }.write();
    assert_eq!(Token::peek(&hint).unwrap().content, Content::Nothing);
}

#[test]
fn a_token_that_is_cut_off_is_damaged() {
    for token in [AES256, NEGOTIATED, SKEW, REJECTED] {
        for end in 1..token.len() {
            let error = Token::peek(&token[..end]).unwrap_err();
            assert!(matches!(error, TokenError::Damaged(_)), "{end}: {error}");
        }
    }
}

/// Every bit of the structure turned: it ends, whatever it says then.
#[test]
fn no_changed_bit_is_more_than_another_token() {
    for token in [NEGOTIATED, REJECTED] {
        for at in 0..token.len().min(400) {
            for bit in 0..8 {
                let mut token = token.to_vec();
                token[at] ^= 1 << bit;
                let _ = Token::peek(&token);
            }
        }
    }
}
