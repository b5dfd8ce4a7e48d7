//! Why a handshake failed: from the token, the answer to it, and our own look at the keytab.
//!
//! ```text
//! token ─► not Kerberos ───────────────────────────────► garbage, NTLM, another mechanism
//!      └─► replayed, cannot be remembered, bound ──────► as it was refused
//!      └─► no keytab ──────────────────────────────────► missing, unreadable, damaged, empty
//!      └─► opens with a key of ours ───────────────────► clock, end, start; the library does not take its type
//!      └─► does not ─► by code of the library ─────────► clock, end, start, replay
//!                   └► by name, type, version ─────────► realm, service, type, version, key
//! ```
//!
//! | file | what |
//! |---|---|
//! | `diagnose/words` | what an operator is told |
//! | `diagnose/refused` | why others refuse us |
//!
//! Promise: a cause is named when the evidence says so, else what is known is said. Each has a label of a small
//! set, for metrics. Clocks are arguments.
//! Must not know: the library, files, HTTP.

mod refused;
mod words;

pub use refused::Refused;
pub use words::exposed;

use super::etype::Etype;
use super::keytab::{Entry, Keytab, KeytabError};
use super::krb_error::code;
use super::name::{Name, plain};
use super::ticket::{self, NotOpened};
use super::token::{ApReq, Content, Mechanism, Ntlm, Token, TokenError};
use crate::event::Timestamp;

/// How far a host's clock may be from ours, as the library has it.
pub const SKEW_SECONDS_MAX: i64 = 300;

const SECOND_NANOS: i64 = 1_000_000_000;
/// Where MIT Kerberos numbers the codes of the protocol from, in its own numbers.
const LIBRARY_CODES: u32 = 2_529_638_912;
/// Numbers of the system's own errors, which the library passes on when it cannot use a file.
const ERRNO_MAX: u32 = 133;
/// RFC 2744: the bindings of the two sides differ.
const BAD_BINDINGS: u32 = 4 << 16;

/// All that is known of a handshake that failed.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// What the host sent.
    pub token: &'a [u8],
    pub refusal: Refusal<'a>,
    pub keytab: KeytabState<'a>,
    pub now: Timestamp,
}

/// Who refused, and with what.
#[derive(Clone, Copy, Debug)]
pub enum Refusal<'a> {
    /// The library, with its codes, its words, and the token for the host, which has the code of Kerberos also
    /// within SPNEGO.
    Library { major: u32, minor: u32, text: &'a str, answer: &'a [u8] },
    /// We: the same token came before.
    Replayed,
    /// We: what came cannot be remembered, and so no replay noticed.
    Memory { why: &'a str },
    /// We, for a reason in words.
    Other { why: &'a str },
}

/// The keytab as we find it.
#[derive(Clone, Copy, Debug)]
pub enum KeytabState<'a> {
    Read(&'a Keytab),
    Missing,
    Unreadable { why: &'a str },
    Damaged(&'a KeytabError),
}

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    Garbage(TokenError),
    Ntlm(Ntlm),
    /// What the host offers instead of Kerberos.
    Mechanism(Option<Mechanism>),
    /// The host could not go on, and says so.
    HostRefused {
        code: i32,
    },
    KeytabMissing,
    KeytabUnreadable {
        why: String,
    },
    KeytabDamaged(KeytabError),
    KeytabEmpty,
    /// The ticket is for another realm than the service has in the keytab.
    Realm {
        asked: Asked,
        have: Box<str>,
    },
    Service {
        asked: Asked,
        have: Box<str>,
    },
    /// The keytab has the service with other types only.
    Etype {
        asked: Asked,
        have: Vec<Etype>,
    },
    /// The keytab has the right key, and the library takes none of its type.
    EtypeRefused {
        asked: Asked,
    },
    Version {
        asked: Asked,
        ticket: u32,
        newest: u32,
    },
    Key {
        asked: Asked,
    },
    /// How far the host's clock is before ours, where that is known; behind is less than nothing.
    Skew {
        host: Option<Box<str>>,
        seconds: Option<i64>,
    },
    /// When the ticket ended, or begins.
    Expired {
        at: Option<Timestamp>,
        now: Timestamp,
    },
    NotYetValid {
        at: Option<Timestamp>,
        now: Timestamp,
    },
    Replay,
    ReplayMemory {
        why: String,
    },
    Bindings,
    Other {
        why: String,
    },
}

/// What a ticket is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub service: Name,
    pub realm: Box<str>,
    pub etype: Etype,
}

/// What the handshake failed for.
pub fn diagnose(evidence: &Evidence<'_>) -> Cause {
    let request = match Token::peek(evidence.token) {
        Err(error) => return Cause::Garbage(error),
        Ok(Token { content: Content::Kerberos(request), .. }) => request,
        Ok(Token { content: Content::Ntlm(ntlm), .. }) => return Cause::Ntlm(ntlm),
        Ok(Token { content: Content::Error(error), .. }) => return Cause::HostRefused { code: error.code },
        Ok(Token { content: Content::Other(mechanism), .. }) => return Cause::Mechanism(Some(mechanism)),
        Ok(Token { content: Content::Nothing, offered, .. }) => return not_offered(offered),
    };
    let (code, minor, text) = match evidence.refusal {
        Refusal::Replayed => return Cause::Replay,
        Refusal::Memory { why } => return Cause::ReplayMemory { why: why.into() },
        Refusal::Other { why } => return Cause::Other { why: why.into() },
        Refusal::Library { major: BAD_BINDINGS, .. } => return Cause::Bindings,
        Refusal::Library { minor, text, .. } if is_memory(minor) => return memory(text),
        Refusal::Library { minor, text, answer, .. } => (code_of(minor, answer), minor, text),
    };
    let keytab = match evidence.keytab {
        KeytabState::Missing => return Cause::KeytabMissing,
        KeytabState::Unreadable { why } => return Cause::KeytabUnreadable { why: why.into() },
        KeytabState::Damaged(error) => return Cause::KeytabDamaged(error.clone()),
        KeytabState::Read(keytab) if keytab.entries.is_empty() => return Cause::KeytabEmpty,
        KeytabState::Read(keytab) => keytab,
    };
    let now = evidence.now;
    match ticket::open(&request, keytab) {
        Ok(opened) => of_opened(&request, &opened, code, now).unwrap_or_else(|| match minor {
            // Nothing is wrong with the ticket, and the number is one of the system.
            1..=ERRNO_MAX => memory(text),
            _ => Cause::Other { why: unknown(code, text) },
        }),
        Err(error) => by_code(code, now).unwrap_or_else(|| of_closed(&request, keytab, code, error)),
    }
}

/// SPNEGO without a token of Kerberos.
fn not_offered(offered: Vec<Mechanism>) -> Cause {
    match offered.into_iter().next() {
        Some(Mechanism::Ntlm) => Cause::Ntlm(Ntlm::default()),
        first => Cause::Mechanism(first.filter(|first| !first.is_kerberos())),
    }
}

/// The code of Kerberos, from the token for the host or else from the number of the library.
fn code_of(minor: u32, answer: &[u8]) -> Option<i32> {
    match Token::peek(answer) {
        Ok(Token { content: Content::Error(error), .. }) => Some(error.code),
        _ => {
            minor.checked_sub(LIBRARY_CODES).and_then(|code| code.try_into().ok()).filter(|code| *code < 128)
        }
    }
}

/// Whether the number is one of the library for a replay cache that cannot be used: from `KRB5_RC_TYPE_EXISTS` to
/// `KRB5_RC_IO_SPACE` without the one for a replay, and two that came later.
fn is_memory(minor: u32) -> bool {
    matches!(minor.wrapping_sub(LIBRARY_CODES), 159..=162 | 164..=172 | 211 | 215)
}

fn memory(text: &str) -> Cause {
    Cause::ReplayMemory { why: format!("the Kerberos library cannot use its replay cache ({})", plain(text)) }
}

fn unknown(code: Option<i32>, text: &str) -> String {
    let code = code.map(|code| format!(", with code {code}")).unwrap_or_default();
    format!("the Kerberos library refuses it{code}: {}", plain(text))
}

/// The key is right, so it is about time, or the library does not take its type.
fn of_opened(
    request: &ApReq<'_>,
    opened: &ticket::Opened<'_>,
    code: Option<i32>,
    now: Timestamp,
) -> Option<Cause> {
    let ticket = &opened.ticket;
    let ahead = opened.sent_at.map(|sent_at| seconds(sent_at, now));
    let skew = || Cause::Skew {
        host: Some(format!("{}@{}", ticket.client, ticket.client_realm).into()),
        seconds: ahead,
    };
    let expired = Cause::Expired { at: Some(ticket.ends_at), now };
    let not_yet_valid = Cause::NotYetValid { at: Some(ticket.starts_at), now };
    Some(match code {
        Some(code::SKEW) => skew(),
        Some(code::TICKET_EXPIRED) => expired,
        Some(code::TICKET_NOT_YET_VALID) => not_yet_valid,
        Some(code::REPEAT) => Cause::Replay,
        // It says that the key is wrong or that there is none, and it is not so.
        Some(code::ETYPE_NOSUPP | code::BAD_INTEGRITY | code::NOT_US | code::NO_KEY) => {
            Cause::EtypeRefused { asked: Asked::of(request) }
        }
        Some(code::BAD_KEY_VERSION) => {
            let ticket = request.ticket.kvno.unwrap_or_default();
            Cause::Version { asked: Asked::of(request), ticket, newest: opened.entry.kvno }
        }
        _ if ahead.is_some_and(|ahead| ahead.abs() > SKEW_SECONDS_MAX) => skew(),
        _ if seconds(now, ticket.ends_at) > SKEW_SECONDS_MAX => expired,
        _ if seconds(ticket.starts_at, now) > SKEW_SECONDS_MAX => not_yet_valid,
        _ => return None,
    })
}

/// What the library could only find out with the right key.
fn by_code(code: Option<i32>, now: Timestamp) -> Option<Cause> {
    Some(match code? {
        code::SKEW => Cause::Skew { host: None, seconds: None },
        code::TICKET_EXPIRED => Cause::Expired { at: None, now },
        code::TICKET_NOT_YET_VALID => Cause::NotYetValid { at: None, now },
        code::REPEAT => Cause::Replay,
        _ => return None,
    })
}

/// No key of ours opens it: what it is for, beside what we have.
fn of_closed(request: &ApReq<'_>, keytab: &Keytab, code: Option<i32>, error: NotOpened) -> Cause {
    let asked = Asked::of(request);
    let of_service: Vec<&Entry> = keytab.of(&request.service, &request.realm).collect();
    if of_service.is_empty() {
        let elsewhere = keytab.entries.iter().find(|entry| entry.principal.is_same(&request.service));
        return match elsewhere {
            Some(entry) => Cause::Realm { asked, have: entry.realm.clone() },
            None => Cause::Service { asked, have: words::services(keytab) },
        };
    }
    let of_type = of_service.iter().filter(|entry| entry.key.etype() == request.ticket.etype);
    let versions: Vec<u32> = of_type.map(|entry| entry.kvno).collect();
    let Some(newest) = versions.iter().copied().max() else {
        let mut have: Vec<Etype> = of_service.iter().map(|entry| entry.key.etype()).collect();
        have.sort_unstable();
        have.dedup();
        return Cause::Etype { asked, have };
    };
    match request.ticket.kvno {
        // Some tools keep the low eight bits of a version only.
        Some(ticket) if !versions.iter().any(|have| [ticket, ticket & 0xff].contains(have)) => {
            Cause::Version { asked, ticket, newest }
        }
        _ if code == Some(code::ETYPE_NOSUPP) => Cause::EtypeRefused { asked },
        _ if matches!(error, NotOpened::Damaged(_)) => Cause::Other { why: error.to_string() },
        _ => Cause::Key { asked },
    }
}

/// How many seconds the one time is behind the other.
fn seconds(time: Timestamp, since: Timestamp) -> i64 {
    time.0.saturating_sub(since.0) / SECOND_NANOS
}

impl Asked {
    fn of(request: &ApReq<'_>) -> Self {
        Self { service: request.service.clone(), realm: request.realm.clone(), etype: request.ticket.etype }
    }
}

#[cfg(test)]
#[path = "diagnose_tests.rs"]
mod tests;
