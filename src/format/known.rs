//! What values of System mean that every Windows has alike, and when an event happened: shared by
//! the formats that say it.

use super::Meta;
use crate::event::{Header, Timestamp, Value};

const AUDIT_FAILURE: u64 = 0x10_0000_0000_0000;
const AUDIT_SUCCESS: u64 = 0x20_0000_0000_0000;

/// What an audit says of its outcome, by the bits of Keywords (winmeta.xml of the Windows SDK).
pub(super) fn outcome(header: &Header<'_>) -> Option<Outcome> {
    let bits = header.keywords.as_u64()?;
    match (bits & AUDIT_FAILURE, bits & AUDIT_SUCCESS) {
        (0, 0) => None,
        (0, _) => Some(Outcome::Success),
        _ => Some(Outcome::Failure),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    Failure,
}

/// An account whose SID is the same on every machine (MS-DTYP 2.4.2.4), as Windows names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
}

impl Account {
    pub(super) const DOMAIN: &str = "NT AUTHORITY";

    pub(super) fn of(sid: Value<'_>) -> Option<Self> {
        const SERVICE: &str = "Well Known Group";
        const ACCOUNTS: [(u8, &str, &str, &str); 3] = [
            (18, "S-1-5-18", "SYSTEM", "User"),
            (19, "S-1-5-19", "LOCAL SERVICE", SERVICE),
            (20, "S-1-5-20", "NETWORK SERVICE", SERVICE),
        ];
        let is_known = |&&(rid, text, ..): &&(u8, &str, &str, &str)| match sid {
            Value::Sid(bytes) => bytes == [1, 1, 0, 0, 0, 0, 0, 5, rid, 0, 0, 0],
            _ => sid.is(text),
        };
        ACCOUNTS.iter().find(is_known).map(|&(_, _, name, kind)| Self { name, kind })
    }
}

/// When it happened, where that is a time that nanoseconds can hold.
pub(super) fn happened(created: Value<'_>, scratch: &mut Vec<u8>) -> Option<Timestamp> {
    match created {
        Value::FileTime(ticks) => Timestamp::of_filetime(ticks),
        Value::Xml(text) | Value::Plain(text) | Value::Text(text) => Timestamp::parse(text.trim_ascii()),
        other => {
            scratch.clear();
            other.write_text(scratch);
            Timestamp::parse(scratch.trim_ascii())
        }
    }
}

/// When it happened, or else when it was received. Receivers that count from 1970 refuse what is
/// before, which no clock of a Windows shows that is set at all.
pub(super) fn since_1970(created: Value<'_>, meta: &Meta<'_>, scratch: &mut Vec<u8>) -> Option<Timestamp> {
    let happened = happened(created, scratch).filter(|time| time.0 >= 0);
    happened.or_else(|| meta.origin.map(|origin| origin.received))
}

pub(super) fn is_blank(value: Value<'_>) -> bool {
    match value {
        Value::Absent => true,
        Value::Xml(text) | Value::Plain(text) | Value::Text(text) | Value::Utf16(text) => text.is_empty(),
        _ => false,
    }
}
