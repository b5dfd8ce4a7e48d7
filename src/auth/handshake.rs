//! A handshake in tokens, and what it proved: the same for both sides and for whichever library does it.
//!
//! ```text
//! Initiator                            Acceptor
//! step(nothing) ─► token ──── AP-REQ ────► step(token) ─► token, established
//! step(token)   ◄─────────── AP-REP ──────────┘
//!    └► established
//! ```
//!
//! A context belongs to one connection and is not used again once it has failed. What is established has
//! proved both sides to each other and can seal messages; less is a failure, whatever the peer asked for. Only NTLM,
//! which proves the other side as anyone whom the account's domain trusts, comes without `Flags::MUTUAL`.
//! Steps are blocking calls of some 100 µs, an initiator's may also wait for a key distribution centre: callers
//! take a blocking thread for them. Contexts may go from thread to thread in between.
//! Must not know: HTTP, which machine a name stands for.

pub use crate::kerberos::token::TOKEN_BYTES_MAX;

use super::gss::{LibrarySeal, Mechanism, Trouble};
#[cfg(feature = "sspi")]
use super::sspi::NtlmSeal;
use crate::kerberos::Etype;
use crate::kerberos::crypto::CryptoError;
use crate::kerberos::diagnose::Refused;
use crate::kerberos::seal::{ContextKey, Role, Sealer};
use std::fmt;
use std::ops::BitOr;
use std::time::Duration;
use thiserror::Error;

/// Most tokens of one handshake. Kerberos needs one, within SPNEGO at most three.
pub const LEGS_MAX: u32 = 4;
/// Longest name of whoever proved itself, and of the service it came for.
pub const NAME_BYTES_MAX: usize = 1024;

/// One side of a handshake.
pub trait SecurityContext: Send {
    /// Takes the token of the peer, and gives what is to be sent to it. An initiator begins with an empty one.
    ///
    /// `bindings` is what the connection below is known by: the application data of RFC 5929,
    /// `tls-server-end-point:` and the hash of the certificate. A peer that has bindings must have the same.
    fn step(&mut self, token: &[u8], bindings: Option<&[u8]>) -> Result<Step, Failure>;
}

/// What a step brought.
#[derive(Debug)]
pub struct Step {
    /// For the peer; empty if it is to be told nothing.
    pub token: Vec<u8>,
    pub established: Option<Box<Established>>,
}

/// Who the peer is, and how messages are sealed.
#[derive(Debug)]
pub struct Established {
    /// Principal and realm, as `WIN10$@CORP.EXAMPLE`. With NTLM it is the service that was asked for.
    pub peer: Box<str>,
    /// Principal and realm of whoever accepted. On that side it is the name under which the key that opened the
    /// ticket stands in the keytab, which may be another than was asked for.
    pub service: Box<str>,
    pub mechanism: Mechanism,
    pub flags: Flags,
    /// Until the ticket ends, and where it is accepted as much longer as clocks may differ by (`clockskew` of
    /// `krb5.conf`); without end where that is not known.
    pub lifetime: Duration,
    /// How far clocks may be apart, where it was accepted and the ticket tells: `clockskew` of `krb5.conf`.
    pub skew: Option<Duration>,
    pub seal: Seal,
}

/// What a context can do, by the bits of RFC 2744.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Flags(pub u32);

impl Flags {
    pub const DELEGATED: Self = Self(1);
    pub const MUTUAL: Self = Self(2);
    pub const REPLAY: Self = Self(4);
    pub const SEQUENCE: Self = Self(8);
    pub const CONFIDENTIAL: Self = Self(16);
    pub const INTEGRITY: Self = Self(32);
    pub const ANONYMOUS: Self = Self(64);
    /// Both had bindings, and the same.
    pub const BOUND: Self = Self(0x800);
    /// Three legs and another layout of messages, as DCE has it.
    pub const DCE: Self = Self(0x1000);

    pub const fn has(self, all: Self) -> bool {
        self.0 & all.0 == all.0
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flags({:#x})", self.0)
    }
}

/// What seals messages.
#[derive(Debug)]
pub enum Seal {
    /// The keys of AES types, which are sealed with in our own code.
    Keys(LucidKeys),
    /// The library, for all others.
    Library(LibrarySeal),
    #[cfg(feature = "sspi")]
    Ntlm(NtlmSeal),
}

/// What a context of RFC 4121 seals with. The library's own context is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LucidKeys {
    /// It seals both ways: the key that the acceptor chose, if it did, or else that of the ticket.
    pub key: ContextKey,
    /// Of the first message that is sent.
    pub send_sequence: u64,
    /// Of the first token that came, which within SPNEGO may have been its signature. Where it is not known, the
    /// first message that opens tells.
    pub receive_sequence: Option<u64>,
    pub is_initiator: bool,
}

impl LucidKeys {
    /// What seals and opens the messages of this context from now on.
    ///
    /// # Errors
    /// When the key is not as long as its type has it.
    pub fn sealer(&self) -> Result<Sealer, CryptoError> {
        let role = if self.is_initiator { Role::Initiator } else { Role::Acceptor };
        Sealer::new(&self.key, role, self.send_sequence, self.receive_sequence)
    }
}

/// A handshake that failed.
#[derive(Debug, Error)]
#[error("{cause}")]
pub struct Failure {
    pub cause: Cause,
    /// For the peer, if there is anything to be told: KRB-ERROR in its framing.
    pub token: Vec<u8>,
    /// All that others refused on the way, the last of which may be the cause.
    pub refused: Vec<Refused>,
}

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Cause {
    #[error(transparent)]
    Library(#[from] Trouble),
    #[error("the token is empty")]
    Empty,
    #[error("a token of {bytes} bytes; {TOKEN_BYTES_MAX} are the most")]
    Long { bytes: usize },
    #[error("the handshake did not end after {LEGS_MAX} tokens")]
    Endless,
    #[error("this handshake has ended")]
    Over,
    #[error("the peer proved itself by another mechanism than Kerberos")]
    Mechanism,
    #[error("the peer did not ask for {missing}")]
    Lacks { missing: &'static str },
    #[error("the peer asked for {unwanted}")]
    Unwanted { unwanted: &'static str },
    #[error("the name of the peer or the service is no UTF-8 of at most {NAME_BYTES_MAX} bytes")]
    Name,
    #[error("the ticket is for {service}, which is not among the services of this listener")]
    Service { service: Box<str> },
    #[error("the token came before: it is a replay")]
    Replay,
    #[error(
        "{entries} handshakes within {window_seconds} s are remembered against replay, and no more can be"
    )]
    ReplayCacheFull { entries: usize, window_seconds: u64 },
    #[error("the token has no Kerberos authenticator where one belongs")]
    NoAuthenticator,
    #[error("{0}")]
    Refused(Box<Refused>),
    #[error("the service takes no {mechanism}")]
    Declined { mechanism: &'static str },
    #[error("no key distribution centre of {realm} answers ({})", tried.join("; "))]
    Unreachable { realm: Box<str>, tried: Box<[String]> },
    #[error(
        "krb5.conf says under [domain_realm] that {ours} is of realm {asked}; put the line `{} = {ours}` before \
         all others there",
        ours.to_ascii_lowercase()
    )]
    Realm { ours: Box<str>, asked: Box<str> },
    #[error("the sspi crate: {0}")]
    Sspi(Box<str>),
    #[error("messages cannot be sealed with the key agreed on{}", etype.map(|etype| format!(", {etype}")).unwrap_or_default())]
    Etype { etype: Option<Etype> },
}

impl From<Cause> for Failure {
    fn from(cause: Cause) -> Self {
        Self { cause, token: Vec::new(), refused: Vec::new() }
    }
}

/// What every established context must be able to do, with the name of each.
pub(super) const REQUIRED: [(Flags, &str); 3] = [
    (Flags::MUTUAL, "proof of the service (mutual authentication)"),
    (Flags::CONFIDENTIAL, "confidentiality"),
    (Flags::INTEGRITY, "integrity"),
];
/// What none may have.
pub(super) const UNWANTED: [(Flags, &str); 2] =
    [(Flags::ANONYMOUS, "anonymity"), (Flags::DCE, "a handshake as DCE has it")];
