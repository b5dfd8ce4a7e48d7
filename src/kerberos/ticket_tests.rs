//! Tickets of MIT Kerberos, opened with the keys of its keytab.

use super::*;
use crate::kerberos::token::{Content, Token};

const WEC: &[u8] = include_bytes!("testdata/wec.keytab");
const OLD: &[u8] = include_bytes!("testdata/old.keytab");

fn request(token: &[u8]) -> ApReq<'_> {
    match Token::peek(token) {
        Ok(Token { content: Content::Kerberos(request), .. }) => request,
        other => panic!("no AP-REQ: {other:?}"),
    }
}

#[test]
fn tickets_of_every_aes_type_tell_who_and_when() {
    let keytab = Keytab::parse(WEC).unwrap();
    let tokens: [&[u8]; 6] = [
        include_bytes!("testdata/krb5-aes128.token"),
        include_bytes!("testdata/krb5-aes256.token"),
        include_bytes!("testdata/krb5-sha256.token"),
        include_bytes!("testdata/krb5-sha384.token"),
        include_bytes!("testdata/krb5-wec.token"),
        include_bytes!("testdata/spnego-aes256.token"),
    ];
    for token in tokens {
        let request = request(token);
        let opened = open(&request, &keytab).unwrap();
        assert!(opened.entry.principal.is_same(&request.service));
        let Ticket { client_realm, client, starts_at, ends_at, .. } = &opened.ticket;
        assert_eq!(format!("{client}@{client_realm}"), "WIN10$@FOREBAY.TEST");
        assert_eq!(ends_at.to_string(), "2026-11-29T22:42:14.000Z");
        assert_eq!(starts_at.to_string(), "2026-11-29T12:42:14.000Z");
        let sent_at = opened.sent_at.unwrap().to_string();
        assert!(sent_at.starts_with("2026-11-29T12:42:14."), "{sent_at}");
    }
}

#[test]
fn another_name_with_the_same_key_opens_it() {
    let mut keytab = Keytab::parse(WEC).unwrap();
    for entry in &mut keytab.entries {
        (entry.principal, entry.kvno) = (Name::new(1, ["WEC$"]), 9);
    }
    let request = request(include_bytes!("testdata/krb5-aes256.token"));
    assert_eq!(open(&request, &keytab).unwrap().entry.principal.to_string(), "WEC$");
}

#[test]
fn what_does_not_open_says_why() {
    let (wec, old) = (Keytab::parse(WEC).unwrap(), Keytab::parse(OLD).unwrap());
    let reason = |token, keytab| open(&request(token), keytab).unwrap_err();
    assert_eq!(reason(include_bytes!("testdata/krb5-rc4.token"), &wec), NotOpened::Etype(Etype::RC4));
    assert_eq!(reason(include_bytes!("testdata/krb5-wec.token"), &old), NotOpened::Keys { tries: 1 });
    let none = Keytab::default();
    let aes = Etype::AES256_SHA1;
    assert_eq!(reason(include_bytes!("testdata/krb5-aes256.token"), &none), NotOpened::NoKey(aes));
}

/// A keytab of very many keys costs a stranger's ticket no more than some.
#[test]
fn few_keys_are_tried_and_the_right_one_among_them() {
    let mut keytab = Keytab::parse(WEC).unwrap();
    let right = keytab.entries.iter().position(|entry| entry.principal.host() == Some("aes256.forebay.test"));
    let right = keytab.entries.remove(right.unwrap());
    let wrong = Key::new(Etype::AES256_SHA1, &[1; 32]);
    keytab.entries = vec![Entry { key: wrong, ..right.clone() }; 1000];
    keytab.entries.iter_mut().for_each(|entry| entry.kvno = 1);
    let request = request(include_bytes!("testdata/krb5-aes256.token"));
    assert_eq!(open(&request, &keytab), Err(NotOpened::Keys { tries: TRIES_MAX }));
    keytab.entries.push(right);
    assert!(open(&request, &keytab).is_ok());
}
