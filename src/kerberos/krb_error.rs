//! KRB-ERROR (RFC 4120 5.9.1): why the other side refused, with its clock and the service it was asked for.
//!
//! It is read from servers and peers, and written for a client that we refuse: from our time in it a client
//! can tell that its own clock is wrong.

use super::der::{
    self, Der, DerError, INTEGER, OCTETS, SEQUENCE, TEXT, TIME, application, element, field, integer,
};
use super::name::{self, Name};
use super::token::spnego::{Answer, State};
use super::token::{self, Mechanism};
use crate::event::Timestamp;

/// Longest text that goes with an error.
pub const TEXT_BYTES_MAX: usize = name::PART_BYTES_MAX;
/// Longest data that is kept.
pub const DATA_BYTES_MAX: usize = 4096;

const KRB_ERROR: i32 = 30;
const SECOND_NANOS: i64 = 1_000_000_000;
/// Where Windows and Samba put an NTSTATUS: MS-KILE 2.2.2.
const EXTENDED_ERROR: i32 = 3;

/// Codes of RFC 4120 7.5.9.
pub mod code {
    pub const CLIENT_EXPIRED: i32 = 1;
    pub const CLIENT_UNKNOWN: i32 = 6;
    pub const SERVICE_UNKNOWN: i32 = 7;
    /// Several accounts have the name.
    pub const NOT_UNIQUE: i32 = 8;
    pub const POLICY: i32 = 12;
    /// There is no key of that type.
    pub const ETYPE_NOSUPP: i32 = 14;
    pub const CLIENT_REVOKED: i32 = 18;
    pub const PASSWORD_EXPIRED: i32 = 23;
    /// What was to prove the client did not.
    pub const PREAUTH_FAILED: i32 = 24;
    /// A proof is due first, which is no refusal yet.
    pub const PREAUTH_REQUIRED: i32 = 25;
    pub const UNAVAILABLE: i32 = 29;
    /// What was decrypted is not intact: another key, as a rule.
    pub const BAD_INTEGRITY: i32 = 31;
    pub const TICKET_EXPIRED: i32 = 32;
    pub const TICKET_NOT_YET_VALID: i32 = 33;
    pub const REPEAT: i32 = 34;
    /// The ticket is not for us.
    pub const NOT_US: i32 = 35;
    pub const BAD_MATCH: i32 = 36;
    pub const SKEW: i32 = 37;
    pub const MODIFIED: i32 = 41;
    pub const BAD_KEY_VERSION: i32 = 44;
    pub const NO_KEY: i32 = 45;
    /// The answer fits in no datagram.
    pub const TOO_BIG: i32 = 52;
    pub const GENERIC: i32 = 60;
    pub const WRONG_REALM: i32 = 68;
}

/// Why the other side refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KrbError {
    /// RFC 4120 7.5.9.
    pub code: i32,
    /// The sender's clock.
    pub server_time: Timestamp,
    /// The clock of the one it answers.
    pub client_time: Option<Timestamp>,
    pub client: Option<(Box<str>, Name)>,
    /// The realm of the service.
    pub realm: Box<str>,
    pub service: Name,
    pub text: Option<Box<str>>,
    pub data: Option<Box<[u8]>>,
}

impl KrbError {
    pub(super) const TAG: u8 = application(30);

    /// A whole message, without framing.
    pub fn parse(bytes: &[u8]) -> Result<Self, DerError> {
        let mut error = Der::new(bytes).take(Self::TAG, "KRB-ERROR")?.take(SEQUENCE, "KRB-ERROR")?;
        for (number, expected, value) in [(0, "version 5", 5), (1, "message type of KRB-ERROR", KRB_ERROR)] {
            let found = error.field(number, INTEGER, expected)?;
            if found.int32(expected)? != value {
                return Err(found.expected(expected));
            }
        }
        let client_seconds = error.optional(2, TIME, "time of the client")?;
        let client_micros = error.optional(3, INTEGER, "microseconds of the client")?;
        let server_seconds = error.field(4, TIME, "time of the server")?;
        let server_micros = error.field(5, INTEGER, "microseconds of the server")?;
        let code = error.field(6, INTEGER, "error code")?.int32("error code")?;
        let client_realm = error.optional(7, TEXT, "realm of the client")?;
        let client_name = error.optional(8, SEQUENCE, "name of the client")?;
        let client = match (client_realm, client_name) {
            (Some(realm), Some(client)) => Some((name::text(realm)?, Name::read(client)?)),
            _ => None,
        };
        let realm = name::text(error.field(9, TEXT, "realm")?)?;
        let service = Name::read(error.field(10, SEQUENCE, "name of the service")?)?;
        let text = error.optional(11, TEXT, "text")?;
        let data = error.optional(12, OCTETS, "data")?.filter(|data| data.rest().len() <= DATA_BYTES_MAX);
        Ok(Self {
            code,
            server_time: time(server_seconds, Some(server_micros))?,
            client_time: match client_seconds {
                Some(seconds) => Some(time(seconds, client_micros)?),
                None => None,
            },
            client,
            realm,
            service,
            text: text.map(name::text).transpose()?,
            data: data.map(|data| data.rest().into()),
        })
    }

    /// The status of Windows behind the code, where a domain controller says it.
    pub fn nt_status(&self) -> Option<u32> {
        let mut data = Der::new(self.data.as_deref()?).take(SEQUENCE, "data").ok()?;
        // Either one element with its type, or a list of them.
        if data.is_next(field(1)) {
            return status(data);
        }
        while !data.is_empty() {
            if let Some(status) = status(data.take(SEQUENCE, "data").ok()?) {
                return Some(status);
            }
        }
        None
    }

    /// The message without framing.
    pub fn write(&self) -> Vec<u8> {
        let mut fields = Vec::new();
        let mut put = |number, inner: Vec<u8>| fields.extend(element(field(number), &[&inner]));
        put(0, integer(5));
        put(1, integer(KRB_ERROR.into()));
        if let Some(time) = self.client_time {
            put(2, der::time(time));
            put(3, integer(micros(time)));
        }
        put(4, der::time(self.server_time));
        put(5, integer(micros(self.server_time)));
        put(6, integer(self.code.into()));
        if let Some((realm, client)) = &self.client {
            put(7, element(TEXT, &[realm.as_bytes()]));
            put(8, client.write());
        }
        put(9, element(TEXT, &[self.realm.as_bytes()]));
        put(10, self.service.write());
        if let Some(text) = &self.text {
            put(11, element(TEXT, &[text.as_bytes()]));
        }
        if let Some(data) = &self.data {
            put(12, element(OCTETS, &[data]));
        }
        element(Self::TAG, &[&element(SEQUENCE, &[&fields])])
    }

    /// The message as an answer in the scheme `Kerberos`, or to Kerberos in `Negotiate` without SPNEGO.
    pub fn to_token(&self) -> Vec<u8> {
        token::frame([3, 0], &self.write())
    }

    /// The message as an answer that ends the negotiation.
    pub fn to_rejection(&self, mechanism: Option<Mechanism>) -> Vec<u8> {
        let token = self.to_token();
        Answer { state: Some(State::Rejected), mechanism, token: Some(&token) }.write()
    }
}

fn time(seconds: Der<'_>, micros: Option<Der<'_>>) -> Result<Timestamp, DerError> {
    let whole = seconds.time("time")?;
    let micros = micros.map_or(Ok(0), |micros| micros.integer("microseconds"))?;
    // Whole microseconds also at the end of what can be said, or it would be another time when written.
    Ok(Timestamp(whole.0.saturating_add(micros.clamp(0, 999_999) * 1000) / 1000 * 1000))
}

fn micros(time: Timestamp) -> i64 {
    time.0.rem_euclid(SECOND_NANOS) / 1000
}

/// The status in one element of the data.
fn status(mut data: Der<'_>) -> Option<u32> {
    let kind = data.field(1, INTEGER, "type").ok()?.int32("type").ok()?;
    let value = data.field(2, OCTETS, "value").ok()?.rest();
    (kind == EXTENDED_ERROR).then(|| value.first_chunk().copied().map(u32::from_le_bytes))?
}

#[cfg(test)]
#[path = "krb_error_tests.rs"]
mod tests;
