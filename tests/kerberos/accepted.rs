//! What is accepted, and what is known then.

use super::*;
use crate::support::lab::{AES128, AES256, AES256_SHA2, RC4, REALM};
use forebay::auth::gss::{LibrarySeal, SealError, Sealed};
use forebay::auth::handshake::{Flags, LucidKeys, Seal};
use forebay::kerberos::token::spnego::{Answer, State};
use forebay::kerberos::token::{self, Spnego};
use std::fs;

fn keys(seal: Seal) -> LucidKeys {
    match seal {
        Seal::Keys(keys) => keys,
        other => panic!("{other:?}"),
    }
}

fn of_library(seal: Seal) -> LibrarySeal {
    match seal {
        Seal::Library(seal) => seal,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn check_keys(ours: Seal, theirs: Seal) -> Etype {
    let (ours, theirs) = (keys(ours), keys(theirs));
    assert!(ours.key == theirs.key);
    assert_eq!(Some(ours.send_sequence), theirs.receive_sequence);
    assert_eq!(ours.receive_sequence, Some(theirs.send_sequence));
    assert!(!ours.is_initiator && theirs.is_initiator);
    ours.key.key.etype()
}

#[test]
fn a_ticket_of_each_encryption_type_is_accepted() {
    let Some((lab, library)) = lab("a_ticket_of_each_encryption_type_is_accepted") else { return };
    let client = lab.client();
    for etype in [AES256, AES128, AES256_SHA2, RC4] {
        let service = lab.service(&[etype]);
        let acceptor = acceptor(&library, &lab.keytab(&[&service]));
        client.ticket(&service);
        for mechanism in [Mechanism::Kerberos, Mechanism::Spnego] {
            let mut initiator = initiating(&library, &client, &service, mechanism);
            let [ours, theirs] =
                shake_hands((&mut acceptor.context(), None), (&mut initiator, None)).unwrap();
            assert_eq!((&*ours.peer, &*ours.service), (&*client.principal, &*service), "{etype}");
            assert_eq!((&*theirs.peer, &*theirs.service), (&*service, &*service), "{etype}");
            assert_eq!((ours.mechanism, theirs.mechanism), (mechanism, mechanism), "{etype}");
            let wanted = Flags::MUTUAL | Flags::CONFIDENTIAL | Flags::INTEGRITY | Flags::SEQUENCE;
            assert!(ours.flags.has(wanted) && theirs.flags.has(wanted), "{:?}", ours.flags);
            assert!((3600..11 * 3600).contains(&ours.lifetime.as_secs()), "{ours:?}");
            check_keys(ours.seal, theirs.seal);
        }
    }
}

#[test]
fn the_keys_are_of_the_type_that_both_sides_agreed_on() {
    let Some((lab, library)) = lab("the_keys_are_of_the_type_that_both_sides_agreed_on") else { return };
    let service = lab.service(&[AES256, AES128, AES256_SHA2, RC4]);
    let acceptor = acceptor(&library, &lab.keytab(&[&service]));
    for etype in [Etype::AES256_SHA1, Etype::AES128_SHA1, Etype::AES256_SHA384, Etype::RC4] {
        let client = lab.client_with(&[etype]);
        client.ticket(&service);
        for mechanism in [Mechanism::Kerberos, Mechanism::Spnego] {
            let mut initiator = initiating_with(&library, &client, &service, mechanism, &[etype]);
            let [ours, theirs] =
                shake_hands((&mut acceptor.context(), None), (&mut initiator, None)).unwrap();
            if etype.is_aes() {
                assert_eq!(check_keys(ours.seal, theirs.seal), etype);
            } else {
                check_messages(of_library(ours.seal), of_library(theirs.seal));
            }
        }
    }
}

/// Messages of both sides by the library, and what is not one.
#[track_caller]
fn check_messages(mut ours: LibrarySeal, mut theirs: LibrarySeal) {
    let open = |seal: &mut LibrarySeal, Sealed { token, data }: &Sealed| {
        let (mut token, mut data) = (token.clone(), data.clone());
        seal.unwrap(&mut token, &mut data).map(|plain| data[..plain.bytes].to_vec())
    };
    for length in [0, 1, 15, 20_000] {
        let plain = vec![b'x'; length];
        let sealed = theirs.wrap(&plain).unwrap();
        assert!(sealed.token.len() <= 64 && sealed.data.len() <= length + 8, "{}", sealed.token.len());
        assert_eq!(open(&mut ours, &sealed), Ok(plain.clone()));
        assert_eq!(open(&mut theirs, &ours.wrap(&plain).unwrap()), Ok(plain));
    }
    let (first, second) = (theirs.wrap(b"first").unwrap(), theirs.wrap(b"second").unwrap());
    let mut changed = first.clone();
    changed.data[0] ^= 1;
    assert!(matches!(open(&mut ours, &changed), Err(SealError::Library(_))));
    let cut = Sealed { token: first.token[..20].to_vec(), data: first.data.clone() };
    assert!(matches!(open(&mut ours, &cut), Err(SealError::Library(_))));
    let nothing = Sealed { token: Vec::new(), data: Vec::new() };
    assert!(matches!(open(&mut ours, &nothing), Err(SealError::Library(_))));
    assert_eq!(open(&mut ours, &second), Ok(b"second".to_vec()), "one that never came is passed over");
    assert_eq!(open(&mut ours, &second), Err(SealError::Order), "a replay");
    assert_eq!(open(&mut ours, &first), Err(SealError::Order), "late");
}

#[test]
fn a_client_may_ask_first_which_mechanism_it_is_to_be() {
    let Some((lab, library)) = lab("a_client_may_ask_first_which_mechanism_it_is_to_be") else { return };
    let (service, client) = (lab.service(&[AES256]), lab.client());
    let acceptor = acceptor(&library, &lab.keytab(&[&service]));
    client.ticket(&service);
    // Kerberos is offered, and there is no token of it yet.
    let offer = b"\x60\x1b\x06\x06\x2b\x06\x01\x05\x05\x02\xa0\x11\x30\x0f\xa0\x0d\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";
    let attempt = |token: &[u8]| {
        let mut context = acceptor.context();
        let first = context.step(offer, None).unwrap();
        assert!(first.established.is_none());
        let Ok(Some(Spnego::Answer(answer))) = Spnego::find(&first.token) else { panic!("{first:?}") };
        assert_eq!(answer.state, Some(State::Incomplete));
        assert_eq!(answer.mechanism, Some(token::Mechanism::Kerberos));
        context.step(&Answer { token: Some(token), ..Answer::default() }.write(), None)
    };
    let mut initiator = initiating(&library, &client, &service, Mechanism::Kerberos);
    let token = initiator.step(&[], None).unwrap().token;
    let second = attempt(&token).unwrap();
    let Ok(Some(Spnego::Answer(answer))) = Spnego::find(&second.token) else { panic!("{second:?}") };
    assert_eq!(answer.state, Some(State::Completed));
    let theirs = initiator.step(answer.token.unwrap(), None).unwrap().established.unwrap();
    let ours = second.established.unwrap();
    assert_eq!((&*ours.peer, ours.mechanism), (&*client.principal, Mechanism::Spnego));
    check_keys(ours.seal, theirs.seal);
    assert_eq!(attempt(&token).unwrap_err().cause, Cause::Replay);
}

#[test]
fn a_new_keytab_counts_from_the_moment_it_is_there() {
    let Some((lab, library)) = lab("a_new_keytab_counts_from_the_moment_it_is_there") else { return };
    let (service, client) = (lab.service(&[AES256]), lab.client());
    let keytab = lab.keytab(&[&service]);
    let acceptor = acceptor(&library, &keytab);
    client.ticket(&service);
    let token_of = |client| token(&library, client, &service, Mechanism::Kerberos);
    assert!(accept(&acceptor, &token_of(&client)).is_ok());
    lab.change_key(&service);
    let later = lab.client();
    later.ticket(&service);
    let refused = accept(&acceptor, &token_of(&later)).unwrap_err();
    assert_eq!(krb_error(&refused).code, 44);
    fs::rename(lab.keytab(&[&service]), &keytab).unwrap();
    assert!(accept(&acceptor, &token_of(&later)).is_ok());
    assert!(accept(&acceptor, &token_of(&client)).is_ok(), "the key before is kept in the new keytab");
}

#[test]
fn a_key_counts_whatever_its_version_is_called() {
    let Some((lab, library)) = lab("a_key_counts_whatever_its_version_is_called") else { return };
    let (service, client) = (lab.service(&[AES256]), lab.client());
    let keytab = lab.keytab(&[&service]);
    let mut bytes = fs::read(&keytab).unwrap();
    *bytes.last_mut().unwrap() = 9;
    fs::write(&keytab, bytes).unwrap();
    let acceptor = acceptor(&library, &keytab);
    client.ticket(&service);
    accept(&acceptor, &token(&library, &client, &service, Mechanism::Kerberos)).unwrap();
}

#[test]
fn bindings_must_be_the_same_where_both_sides_have_them() {
    let Some((lab, library)) = lab("bindings_must_be_the_same_where_both_sides_have_them") else { return };
    let (service, client) = (lab.service(&[AES256]), lab.client());
    let acceptor = acceptor(&library, &lab.keytab(&[&service]));
    client.ticket(&service);
    let one: &[u8] = b"tls-server-end-point:\x01\x02\x03";
    let other: &[u8] = b"tls-server-end-point:\x01\x02\x04";
    for mechanism in [Mechanism::Kerberos, Mechanism::Spnego] {
        let attempt = |ours, theirs| {
            let mut initiator = initiating(&library, &client, &service, mechanism);
            shake_hands((&mut acceptor.context(), ours), (&mut initiator, theirs))
                .map(|[ours, _]| ours.flags.has(Flags::BOUND))
                .map_err(|failure| failure.cause)
        };
        assert_eq!(attempt(Some(one), Some(one)), Ok(true));
        assert_eq!(attempt(Some(one), None), Ok(false));
        assert_eq!(attempt(None, Some(one)), Ok(false));
        let Err(Cause::Library(trouble)) = attempt(Some(one), Some(other)) else { panic!("it was taken") };
        assert_eq!(trouble.major >> 16, 4, "{trouble}");
    }
}

#[test]
fn a_list_of_services_goes_by_the_key_that_opened_the_ticket() {
    let Some((lab, library)) = lab("a_list_of_services_goes_by_the_key_that_opened_the_ticket") else {
        return;
    };
    // One account with two names: RC4 keys have no salt, so one password is one key.
    let names = ["HTTP/account.forebay.test", "HOST/account.forebay.test"];
    let lines = names.map(|name| format!("addprinc -pw throw-away -e {RC4}:normal {name}\n"));
    lab.administer(&lines.concat());
    let [http, host] = names.map(|name| format!("{name}@{REALM}"));
    let other = lab.service(&[AES256]);
    let keytab = lab.keytab(&[&http, &host, &other]);
    let client = lab.client();
    for service in [&http, &host, &other] {
        client.ticket(service);
    }
    let attempt = |listed: &[&str], service: &str| {
        let acceptor = acceptor_with(&library, &keytab, ReplaySettings::default(), listed);
        let token = token(&library, &client, service, Mechanism::Spnego);
        accept(&acceptor, &token).map(drop).map_err(|failure| {
            assert_eq!(krb_error(&failure).code, 35);
            failure.cause
        })
    };
    for service in [&http, &host, &other] {
        assert_eq!(attempt(&[], service), Ok(()));
    }
    assert_eq!(attempt(&[&http.to_lowercase()], &http), Ok(()));
    assert_eq!(attempt(&[&host], &host), Ok(()), "it stands behind the other in the keytab");
    assert_eq!(attempt(&[&http], &other), Err(Cause::Service { service: other.as_str().into() }));
}

#[test]
fn a_client_needs_no_more_than_its_keytab() {
    let Some((lab, library)) = lab("a_client_needs_no_more_than_its_keytab") else { return };
    let (service, client) = (lab.service(&[AES256]), lab.client());
    let acceptor = acceptor(&library, &lab.keytab(&[&service]));
    let written = lab.fresh("token");
    // The library fetches the ticket itself, so it must find the centre.
    let process = lab.command(std::env::current_exe().unwrap().to_str().unwrap());
    let arguments = [
        ("LAB_KEYTAB", client.keytab.to_str().unwrap()),
        ("LAB_PRINCIPAL", &client.principal),
        ("LAB_SERVICE", &service),
        ("LAB_TOKEN", written.to_str().unwrap()),
    ];
    in_its_own_process(process, "kerberos::accepted::a_keytab_makes_a_token", &arguments);
    let established = accept(&acceptor, &fs::read(written).unwrap()).unwrap();
    assert_eq!(&*established.peer, client.principal);
}

/// Its part in another process.
#[test]
fn a_keytab_makes_a_token() {
    let argument = |name: &str| std::env::var(name);
    let Ok(keytab) = argument("LAB_KEYTAB") else { return };
    let identity = Identity::Keytab {
        name: format!("FILE:{keytab}"),
        principal: argument("LAB_PRINCIPAL").unwrap(),
        cache: "MEMORY:lab".into(),
    };
    let library = Library::load(Library::NAME).unwrap();
    let initiator = Initiator::new(library, &identity, &[]).unwrap();
    let mut context = initiator.context(&argument("LAB_SERVICE").unwrap(), Mechanism::Kerberos).unwrap();
    fs::write(argument("LAB_TOKEN").unwrap(), context.step(&[], None).unwrap().token).unwrap();
}
