//! Any bytes as a keytab: entries lie within it and within the limits, whichever version it says it is.
#![no_main]

use forebay::kerberos::Keytab;
use forebay::kerberos::keytab::ENTRIES_MAX;
use forebay::kerberos::name::PARTS_MAX;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(keytab) = Keytab::parse(data) else { return };
    assert!(keytab.entries.len() <= ENTRIES_MAX);
    let mut bytes = 2;
    for entry in &keytab.entries {
        assert!((1..=PARTS_MAX).contains(&entry.principal.parts.len()));
        assert!(!entry.principal.to_string().contains(char::is_control));
        assert!(keytab.of(&entry.principal, &entry.realm).any(|found| found == entry));
        // Length, number of parts, realm, two bytes for each part, time, version, type and length of the key.
        bytes += 4 + 2 + 2 + 2 * entry.principal.parts.len() + 4 + 1 + 4 + entry.key.bytes().len();
    }
    assert!(bytes <= data.len(), "{bytes} bytes of entries in {}", data.len());
});
