//! A ticket opened with a key of ours, and what is within it: who sends it, when it is valid, and by the clock of
//! its sender when it was sent.
//!
//! It serves to explain a handshake that failed, and accepts nobody: flags, addresses and replays are not looked
//! at. Only keys of AES are tried.
//! Must not know: clocks, files.

use super::crypto::{self, CryptoError, Usage};
use super::der::{Der, DerError, INTEGER, OCTETS, SEQUENCE, TEXT, TIME, application};
use super::etype::Etype;
use super::key::Key;
use super::keytab::{Entry, Keytab};
use super::name::{self, Name};
use super::token::ApReq;
use crate::event::Timestamp;
use thiserror::Error;

/// Most keys that are tried for one ticket, those that are most likely first.
pub const TRIES_MAX: usize = 16;

/// Within the encrypted part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub client_realm: Box<str>,
    pub client: Name,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    session: Key,
}

/// A ticket that opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened<'k> {
    /// Whose key did it.
    pub entry: &'k Entry,
    pub ticket: Ticket,
    /// The clock of the sender; none where its key is of a type that is left to the library, or another one's.
    pub sent_at: Option<Timestamp>,
}

/// Why a ticket is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotOpened {
    #[error("{0} is left to the Kerberos library")]
    Etype(Etype),
    #[error("the keytab has no key of {0}")]
    NoKey(Etype),
    #[error("none of the {tries} keys that were tried opens the ticket")]
    Keys { tries: usize },
    #[error("the ticket is damaged within: {0}")]
    Damaged(#[from] DerError),
}

/// Opens the ticket with whichever key does, as an acceptor would.
pub fn open<'k>(request: &ApReq<'_>, keytab: &'k Keytab) -> Result<Opened<'k>, NotOpened> {
    let etype = request.ticket.etype;
    if !etype.is_aes() {
        return Err(NotOpened::Etype(etype));
    }
    let mut tries = 0;
    for entry in likely_first(request, keytab).take(TRIES_MAX) {
        tries += 1;
        match crypto::decrypt(&entry.key, Usage::TICKET, request.ticket.bytes) {
            Ok(text) => {
                let ticket = Ticket::read(&text)?;
                let sent_at = sent_at(&ticket.session, request);
                return Ok(Opened { entry, ticket, sent_at });
            }
            Err(CryptoError::Short { .. }) => break,
            Err(_) => {}
        }
    }
    if tries == 0 { Err(NotOpened::NoKey(etype)) } else { Err(NotOpened::Keys { tries }) }
}

/// The entries of the ticket's type: those of its service and version, of its service, of its version, the rest.
fn likely_first<'k>(request: &ApReq<'_>, keytab: &'k Keytab) -> impl Iterator<Item = &'k Entry> {
    let rank = |entry: &Entry| {
        let is_other_service = *entry.realm != *request.realm || !entry.principal.is_same(&request.service);
        let is_other_version = request.ticket.kvno.is_some_and(|kvno| kvno != entry.kvno);
        usize::from(is_other_service) * 2 + usize::from(is_other_version)
    };
    let mut ranks: [Vec<&Entry>; 4] = Default::default();
    for entry in keytab.entries.iter().filter(|entry| entry.key.etype() == request.ticket.etype) {
        let rank = &mut ranks[rank(entry)];
        if rank.len() < TRIES_MAX {
            rank.push(entry);
        }
    }
    ranks.into_iter().flatten()
}

impl Ticket {
    /// RFC 4120 5.3, the parts that are of use here.
    fn read(text: &[u8]) -> Result<Self, DerError> {
        let mut part = Der::new(text).take(application(3), "ticket")?.take(SEQUENCE, "ticket")?;
        part.skip_to(1)?;
        let session = key(part.field(1, SEQUENCE, "session key")?)?;
        let client_realm = name::text(part.field(2, TEXT, "realm of the client")?)?;
        let client = Name::read(part.field(3, SEQUENCE, "name of the client")?)?;
        part.skip_to(5)?;
        let signed_in_at = part.field(5, TIME, "time of sign-in")?.time("time of sign-in")?;
        let starts_at = match part.optional(6, TIME, "time of start")? {
            Some(time) => time.time("time of start")?,
            None => signed_in_at,
        };
        let ends_at = part.field(7, TIME, "time of end")?.time("time of end")?;
        Ok(Self { client_realm, client, starts_at, ends_at, session })
    }
}

/// RFC 4120 5.5.1: the authenticator, encrypted with the session key.
fn sent_at(session: &Key, request: &ApReq<'_>) -> Option<Timestamp> {
    let text = crypto::decrypt(session, Usage::AUTHENTICATOR, request.authenticator.bytes).ok()?;
    let mut part = Der::new(&text).take(application(2), "authenticator").ok()?;
    let mut part = part.take(SEQUENCE, "authenticator").ok()?;
    part.skip_to(4).ok()?;
    let micros = part.field(4, INTEGER, "microseconds").ok()?.integer("microseconds").ok()?;
    let seconds = part.field(5, TIME, "time").ok()?.time("time").ok()?;
    Some(Timestamp(seconds.0.saturating_add(micros.clamp(0, 999_999) * 1000)))
}

fn key(mut key: Der<'_>) -> Result<Key, DerError> {
    let etype = Etype(key.field(0, INTEGER, "type of the key")?.int32("type of the key")?);
    Ok(Key::new(etype, key.field(1, OCTETS, "key")?.rest()))
}

#[cfg(test)]
#[path = "ticket_tests.rs"]
mod tests;
