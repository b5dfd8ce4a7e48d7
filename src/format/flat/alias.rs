//! Second names: what a rule asks for under the name that Sysmon has for it.
//!
//! | name | process creation of Security (4688) |
//! |---|---|
//! | `Image`, `ParentImage` | NewProcessName, ParentProcessName |
//! | `User` | SubjectDomainName and SubjectUserName as `DOMAIN\name`; by the SID where every Windows has the account |
//! | `LogonId` | SubjectLogonId, in hex as Sysmon writes it |
//! | `ParentProcessId` | ProcessId, in decimal as Sysmon writes it |
//! | `IntegrityLevel` | MandatoryLabel: `Low`, `Medium`, `High`, `System` |
//!
//! `ProcessId` stays what the event calls so, the creator's; that of the new process is `NewProcessId`.

use crate::event::{Header, Value};
use crate::format::known::Account;
use crate::format::object::Object;
use crate::format::texts::Texts;

/// Longest name of a hash.
const HASH_NAME_BYTES_MAX: usize = 16;
/// Most hashes of one list that are told one by one.
const HASHES_MAX: usize = 8;

/// Integrity levels by their SID (MS-DTYP 2.4.2.4), in Sysmon's words.
const INTEGRITY: [(&[u8], &[u8]); 4] = [
    (b"S-1-16-4096", b"Low"),
    (b"S-1-16-8192", b"Medium"),
    (b"S-1-16-12288", b"High"),
    (b"S-1-16-16384", b"System"),
];

/// `Hashes` of Sysmon's events, `SHA1=…,MD5=…`, part by part; text of any other form is left alone.
pub(super) fn hashes(texts: &Texts, object: &mut Object, out: &mut Vec<u8>) {
    for (name, text) in texts.pairs() {
        let parts = || text.split(|&byte| byte == b',');
        if !matches!(name, b"Hashes" | b"Hash") || parts().any(|part| hash(part).is_none()) {
            continue;
        }
        for (name, digits) in parts().filter_map(hash).take(HASHES_MAX) {
            object.alias(name, Value::Text(digits), out);
        }
    }
}

/// `NAME=digits`
fn hash(part: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b'=', part)?;
    let (name, digits) = (&part[..at], &part[at + 1..]);
    let is_name =
        (1..=HASH_NAME_BYTES_MAX).contains(&name.len()) && name.iter().all(u8::is_ascii_alphanumeric);
    let is_hex = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    (is_name && is_hex).then_some((name, digits))
}

pub(super) fn is_process_creation(header: &Header<'_>) -> bool {
    header.event_id.as_u64() == Some(4688) && header.provider_name.is("Microsoft-Windows-Security-Auditing")
}

pub(super) fn process_creation(texts: &Texts, object: &mut Object, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    for (alias, name) in
        [("Image", "NewProcessName"), ("ParentImage", "ParentProcessName"), ("LogonId", "SubjectLogonId")]
    {
        if let Some(text) = texts.get(name) {
            object.alias(alias.as_bytes(), Value::Text(text), out);
        }
    }
    if let Some(id) = texts.get("ProcessId").and_then(|text| Value::Text(text).as_u64()) {
        object.alias(b"ParentProcessId", Value::Unsigned(id), out);
    }
    let label = texts.get("MandatoryLabel").unwrap_or_default();
    if let Some((_, level)) = INTEGRITY.iter().find(|(sid, _)| *sid == label) {
        object.alias(b"IntegrityLevel", Value::Text(level), out);
    }
    scratch.clear();
    let sid = texts.get("SubjectUserSid").unwrap_or_default();
    if let Some(account) = Account::of(Value::Text(sid)) {
        scratch.extend_from_slice(Account::DOMAIN.as_bytes());
        scratch.push(b'\\');
        scratch.extend_from_slice(account.name.as_bytes());
    } else if let Some(name) = texts.get("SubjectUserName") {
        if let Some(domain) = texts.get("SubjectDomainName").filter(|domain| !matches!(*domain, b"" | b"-")) {
            scratch.extend_from_slice(domain);
            scratch.push(b'\\');
        }
        scratch.extend_from_slice(name);
    } else {
        return;
    }
    object.alias(b"User", Value::Text(scratch), out);
}
