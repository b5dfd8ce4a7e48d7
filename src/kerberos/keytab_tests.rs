//! Keytabs as MIT Kerberos writes them, the old version, holes, and what is none.

use super::*;

const WEC: &[u8] = include_bytes!("testdata/wec.keytab");

/// An entry of either version without its length.
fn entry(layout: Layout, parts: &[&str], kvno: u8, full: Option<u32>) -> Vec<u8> {
    let short = |number: u16| match layout {
        Layout::OneLittle => number.to_le_bytes().to_vec(),
        _ => number.to_be_bytes().to_vec(),
    };
    let long = |number: u32| match layout {
        Layout::OneLittle => number.to_le_bytes().to_vec(),
        _ => number.to_be_bytes().to_vec(),
    };
    let text = |text: &str| [short(text.len() as u16), text.as_bytes().to_vec()].concat();
    let mut bytes = short(parts.len() as u16 + u16::from(layout != Layout::Two));
    bytes.extend(text("FOREBAY.TEST"));
    parts.iter().for_each(|part| bytes.extend(text(part)));
    if layout == Layout::Two {
        bytes.extend(long(2));
    }
    bytes.extend(long(1_795_955_533));
    bytes.push(kvno);
    bytes.extend([short(17), short(16), vec![7; 16]].concat());
    bytes.extend(full.map(long).unwrap_or_default());
    bytes
}

fn file(layout: Layout, entries: &[Vec<u8>]) -> Vec<u8> {
    let mut file = vec![5, if layout == Layout::Two { 2 } else { 1 }];
    for entry in entries {
        let length = entry.len() as u32;
        file.extend(if layout == Layout::OneLittle { length.to_le_bytes() } else { length.to_be_bytes() });
        file.extend(entry);
    }
    file
}

#[test]
fn what_mit_kerberos_writes_is_read() {
    let keytab = Keytab::parse(WEC).unwrap();
    let told: Vec<String> = keytab
        .entries
        .iter()
        .map(|entry| format!("{} {}@{} {}", entry.kvno, entry.principal, entry.realm, entry.key.etype()))
        .collect();
    assert_eq!(told.len(), 10);
    assert_eq!(told[0], "3 HTTP/wec.forebay.test@FOREBAY.TEST aes256-cts-hmac-sha1-96");
    assert_eq!(told[9], "2 HTTP/rc4.forebay.test@FOREBAY.TEST arcfour-hmac");
    assert_eq!(keytab.entries[0].written_at.to_string(), "2026-11-29T12:42:13.000Z");
    let wec = Name::new(0, ["http", "WEC.forebay.test"]);
    assert_eq!(keytab.of(&wec, "FOREBAY.TEST").count(), 5);
    assert_eq!(keytab.of(&wec, "OTHER.TEST").count(), 0);
}

#[test]
fn what_was_read_is_written_as_mit_kerberos_writes_it() {
    let keytab = Keytab::parse(WEC).unwrap();
    assert_eq!(keytab.to_bytes()[..], *WEC);
    let old = file(Layout::OneLittle, &[entry(Layout::OneLittle, &["WIN1$"], 7, Some(263))]);
    let old = Keytab::parse(&old).unwrap();
    assert_eq!(Keytab::parse(&old.to_bytes()).unwrap(), old);
}

#[test]
fn the_old_version_is_read_in_either_byte_order() {
    for layout in [Layout::OneLittle, Layout::OneBig, Layout::Two] {
        let file =
            file(layout, &[entry(layout, &["HTTP", "wec"], 3, None), entry(layout, &["WIN10$"], 4, None)]);
        let keytab = Keytab::parse(&file).unwrap();
        assert_eq!(keytab.entries.len(), 2);
        let first = &keytab.entries[0];
        assert_eq!(
            (first.principal.to_string(), &*first.realm, first.kvno),
            ("HTTP/wec".into(), "FOREBAY.TEST", 3)
        );
        assert_eq!((first.key.etype(), first.key.bytes()), (Etype::AES128_SHA1, &[7; 16][..]));
        assert_eq!(first.written_at, Timestamp(1_795_955_533 * SECOND_NANOS));
    }
}

#[test]
fn the_version_of_a_key_may_be_given_in_full() {
    for (kvno, full, meant) in [(1, Some(257), 257), (7, Some(0), 7), (7, None, 7), (0, Some(65_536), 65_536)]
    {
        let file = file(Layout::Two, &[entry(Layout::Two, &["a"], kvno, full)]);
        assert_eq!(Keytab::parse(&file).unwrap().entries[0].kvno, meant);
    }
}

#[test]
fn holes_are_passed_and_a_zero_ends_the_file() {
    let one = entry(Layout::Two, &["one"], 1, None);
    let hole = [&(-9_i32).to_be_bytes()[..], &[0xaa; 9]].concat();
    let mut bytes = file(Layout::Two, &[]);
    bytes.extend(&hole);
    bytes.extend(&file(Layout::Two, std::slice::from_ref(&one))[2..]);
    bytes.extend(&hole);
    assert_eq!(Keytab::parse(&bytes).unwrap().entries.len(), 1);
    bytes.extend([0; 100]);
    assert_eq!(Keytab::parse(&bytes).unwrap().entries.len(), 1);
    assert_eq!(Keytab::parse(&[5, 2]), Ok(Keytab::default()));
}

#[test]
fn what_is_no_keytab_says_why() {
    assert_eq!(Keytab::parse(b""), Err(KeytabError::Empty));
    assert_eq!(Keytab::parse(b"-----BEGIN"), Err(KeytabError::NotAKeytab { first: b'-' }));
    assert_eq!(Keytab::parse(&[5, 3, 0]), Err(KeytabError::Version { version: 3 }));
    assert_eq!(Keytab::parse(&[5]), Err(KeytabError::Cut { what: "version", at: 0 }));
    let none = file(Layout::Two, &[entry(Layout::Two, &[], 1, None)]);
    assert_eq!(Keytab::parse(&none), Err(KeytabError::Parts { parts: 0, at: 2 }));
    let long = file(Layout::Two, &[entry(Layout::Two, &["x".repeat(PART_BYTES_MAX + 1).as_str()], 1, None)]);
    assert_eq!(Keytab::parse(&long), Err(KeytabError::Long { bytes: PART_BYTES_MAX + 1, at: 2 }));
    let least = i32::MIN.to_be_bytes();
    let hole = [&[5, 2][..], &least].concat();
    assert_eq!(Keytab::parse(&hole), Err(KeytabError::Cut { what: "length", at: 2 }));
    let many = vec![entry(Layout::Two, &["a"], 1, None); ENTRIES_MAX + 1];
    assert_eq!(Keytab::parse(&file(Layout::Two, &many)), Err(KeytabError::Entries));
    let large = vec![5; KEYTAB_BYTES_MAX + 1];
    assert_eq!(Keytab::parse(&large), Err(KeytabError::FileBytes { bytes: KEYTAB_BYTES_MAX + 1 }));
}

/// Cut anywhere, it is an error or fewer entries, never other ones.
#[test]
fn a_file_that_is_cut_off_has_the_entries_before() {
    let whole = Keytab::parse(WEC).unwrap();
    for end in 2..WEC.len() {
        match Keytab::parse(&WEC[..end]) {
            Ok(keytab) => assert!(whole.entries.starts_with(&keytab.entries), "{end}"),
            Err(error) => assert!(matches!(error, KeytabError::Cut { .. }), "{end}: {error}"),
        }
    }
}

#[test]
fn a_key_is_in_no_debug_output() {
    let keytab = Keytab::parse(&file(Layout::Two, &[entry(Layout::Two, &["a"], 1, None)])).unwrap();
    let text = format!("{keytab:?}");
    assert!(text.contains("Key(aes128-cts-hmac-sha1-96)") && !text.contains("7, 7"), "{text}");
}
