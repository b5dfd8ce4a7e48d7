//! Tokens that somebody changed: no panic, no growth, and nobody gets in.

use super::*;
use crate::support::dice::Dice;
use crate::support::lab::{AES256, RC4};
use forebay::auth::handshake::Seal;
use std::fs;

const HANDSHAKES: usize = 10_000;
const MESSAGES: usize = 10_000;
/// What the heap may take more after the first tenth; the library keeps texts of errors.
const GROWTH_KIB_MAX: u64 = 2048;

#[test]
fn ten_thousand_mutated_handshakes() {
    let Some((lab, library)) = lab("ten_thousand_mutated_handshakes") else { return };
    let (service, client) = (lab.service(&[AES256]), lab.client());
    let keytab = lab.keytab(&[&service]);
    client.ticket(&service);
    let tokens = [Mechanism::Kerberos, Mechanism::Spnego].map(|mechanism| {
        let path = lab.fresh("token");
        fs::write(&path, token(&library, &client, &service, mechanism)).unwrap();
        path.to_str().unwrap().to_owned()
    });
    // Memory is counted by process, and others are being tested in this one.
    let arguments =
        [("LAB_KEYTAB", keytab.to_str().unwrap()), ("LAB_RAW", &tokens[0]), ("LAB_SPNEGO", &tokens[1])];
    let process = Command::new(std::env::current_exe().unwrap());
    let told = in_its_own_process(process, "kerberos::mutated::nobody_gets_in", &arguments);
    println!("{}", told.lines().find(|line| line.contains("KiB")).unwrap());
}

/// Its part in another process.
#[test]
fn nobody_gets_in() {
    let Ok(keytab) = std::env::var("LAB_RAW").and_then(|_| std::env::var("LAB_KEYTAB")) else { return };
    let library = Library::load(Library::NAME).unwrap();
    let acceptor = acceptor(&library, keytab.as_ref());
    let originals = ["LAB_RAW", "LAB_SPNEGO"].map(|name| fs::read(std::env::var(name).unwrap()).unwrap());
    let bindings: [Option<&[u8]>; 2] = [None, Some(b"tls-server-end-point:xyz")];
    // Who changes nothing that counts says the same again.
    for original in &originals {
        accept(&acceptor, original).unwrap();
    }
    let (mut dice, mut before) = (Dice::new("nobody_gets_in"), 0);
    for number in 0..HANDSHAKES {
        if number == HANDSHAKES / 10 {
            before = resident_kib();
        }
        let token = mutated(&originals[number % 2], &mut dice);
        let mut context = acceptor.context();
        if let Ok(step) = context.step(&token, bindings[number / 2 % 2]) {
            assert!(step.established.is_none(), "{token:02x?}");
            let _ = context.step(&mutated(&token, &mut dice), None);
        }
    }
    let grown = resident_kib().saturating_sub(before);
    println!("{HANDSHAKES} handshakes, grown by {grown} KiB from {before} KiB");
    assert!(grown < GROWTH_KIB_MAX, "{grown} KiB");
}

/// Messages that the library opens; those of AES types never reach it.
#[test]
fn ten_thousand_mutated_messages() {
    let Some((lab, library)) = lab("ten_thousand_mutated_messages") else { return };
    let (service, client) = (lab.service(&[AES256, RC4]), lab.client_with(&[Etype::RC4]));
    let acceptor = acceptor(&library, &lab.keytab(&[&service]));
    client.ticket(&service);
    let mut initiator = initiating_with(&library, &client, &service, Mechanism::Kerberos, &[Etype::RC4]);
    let [ours, theirs] = shake_hands((&mut acceptor.context(), None), (&mut initiator, None)).unwrap();
    let (Seal::Library(mut ours), Seal::Library(mut theirs)) = (ours.seal, theirs.seal) else {
        panic!("they are not with the library")
    };
    let mut dice = Dice::new("ten_thousand_mutated_messages");
    for number in 0..MESSAGES {
        let plain = vec![b'x'; dice.within(0..200) as usize];
        let sealed = theirs.wrap(&plain).unwrap();
        let (mut token, mut data) = (sealed.token.clone(), sealed.data.clone());
        if number % 3 != 0 {
            token = mutated(&token, &mut dice);
        }
        if number % 3 != 1 {
            data = mutated(&data, &mut dice);
        }
        let is_whole = token == sealed.token && data == sealed.data;
        let opened = ours.unwrap(&mut token, &mut data);
        assert!(opened.is_err() || is_whole, "{token:02x?} {data:02x?}");
        if opened.is_err() {
            let (mut token, mut data) = (sealed.token, sealed.data);
            let opened = ours.unwrap(&mut token, &mut data).unwrap();
            assert_eq!(data[..opened.bytes], plain, "what was made of it before is no matter");
        }
    }
}

fn mutated(original: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut token = original.to_vec();
    for _ in 0..dice.within(1..6) {
        // Framing is in front, so half of the changes go there.
        let end = if dice.within(0..2) == 0 { token.len().min(80) } else { token.len() };
        let at = dice.within(0..end.max(1) as u64) as usize;
        let byte = dice.within(0..256) as u8;
        match dice.within(0..6) {
            _ if token.is_empty() => token.push(byte),
            0 | 1 => token[at] ^= 1 << (byte % 8),
            2 => token[at] = byte,
            3 => token.insert(at, byte),
            4 => drop(token.remove(at)),
            _ if dice.within(0..4) == 0 => token.truncate(at),
            _ => token[at] = [0, 0x7f, 0x80, 0x84, 0xff][usize::from(byte % 5)],
        }
    }
    token
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
