//! What a peer offers to prove who it is, as far as it is in clear.
//!
//! ```text
//! Negotiate ─► SPNEGO ─► [GSS framing] ─► AP-REQ | KRB-ERROR | NTLM
//!          └─► GSS framing ─► AP-REQ          (some clients put Kerberos into Negotiate as it is)
//!          └─► NTLM
//! Kerberos  ─► GSS framing ─► AP-REQ | AP-REQ as it is
//! ```
//!
//! | file | what |
//! |---|---|
//! | `token/spnego` | the negotiation around it, both ways |
//! | `token/ap_req` | a ticket with its authenticator |
//! | `token/ntlm` | what should have been a ticket |
//!
//! All of it is read before anybody is known, and each byte at most a few times. What is read is a hint for a
//! person and never proof: only what decrypts is.
//! Must not know: HTTP, keys, whether it is true.

pub mod ap_req;
pub mod ntlm;
pub mod spnego;

pub use ap_req::ApReq;
pub use ntlm::Ntlm;
pub use spnego::{Mechanism, Spnego};

use super::der::{Der, DerError, OID, application, element};
use super::krb_error::KrbError;
use thiserror::Error;

/// Longest token that is looked at: that of the largest PAC that Windows makes, and some.
pub const TOKEN_BYTES_MAX: usize = 128 << 10;

/// What a token says in clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// Whether it is within SPNEGO.
    pub is_negotiated: bool,
    /// What SPNEGO offers, most wanted first.
    pub offered: Vec<Mechanism>,
    pub content: Content<'a>,
}

/// What is within all framing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    Kerberos(ApReq<'a>),
    /// What a peer says when it cannot go on.
    Error(Box<KrbError>),
    Ntlm(Ntlm),
    /// SPNEGO without a token: the peer wants to hear first which mechanism it is to be.
    Nothing,
    /// A token of another mechanism, or another message of this one.
    Other(Mechanism),
}

/// Why a token cannot be looked into.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    #[error("the token is empty")]
    Empty,
    #[error("a token of {bytes} bytes; {TOKEN_BYTES_MAX} are the most")]
    Long { bytes: usize },
    #[error("a token that begins with byte {first:#04x} is none of Kerberos, SPNEGO or NTLM")]
    Unknown { first: u8 },
    #[error("SPNEGO within SPNEGO")]
    Nested,
    #[error("the token is damaged: {0}")]
    Damaged(#[from] DerError),
}

impl<'a> Token<'a> {
    /// Looks into a token, whatever its framing is.
    pub fn peek(bytes: &'a [u8]) -> Result<Self, TokenError> {
        if bytes.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Long { bytes: bytes.len() });
        }
        match Spnego::find(bytes)? {
            None => Ok(Self { is_negotiated: false, offered: Vec::new(), content: content(bytes)? }),
            Some(Spnego::Init { offered, token }) => {
                Ok(Self { is_negotiated: true, offered, content: within(token)? })
            }
            Some(Spnego::Answer(answer)) => Ok(Self {
                is_negotiated: true,
                offered: answer.mechanism.into_iter().collect(),
                content: within(answer.token)?,
            }),
        }
    }
}

fn within(token: Option<&[u8]>) -> Result<Content<'_>, TokenError> {
    match token {
        None | Some([]) => Ok(Content::Nothing),
        Some(token) if Spnego::find(token)?.is_some() => Err(TokenError::Nested),
        Some(token) => content(token),
    }
}

/// What a token that is not SPNEGO holds.
fn content(bytes: &[u8]) -> Result<Content<'_>, TokenError> {
    if let Some(ntlm) = Ntlm::read(bytes) {
        return Ok(Content::Ntlm(ntlm));
    }
    match *bytes.first().ok_or(TokenError::Empty)? {
        ap_req::TAG => Ok(Content::Kerberos(ApReq::parse(bytes)?)),
        KrbError::TAG => Ok(Content::Error(Box::new(KrbError::parse(bytes)?))),
        GSS => framed(bytes),
        first => Err(TokenError::Unknown { first }),
    }
}

/// RFC 2743 3.1: the mechanism, then a token of its own; that of Kerberos begins with two bytes that say
/// which one it is (RFC 4121 4.1).
fn framed(bytes: &[u8]) -> Result<Content<'_>, TokenError> {
    let mut frame = Der::new(bytes).take(GSS, "GSS token")?;
    let mechanism = Mechanism::read(frame.take(OID, "mechanism")?);
    let inner = frame.rest();
    match (&mechanism, inner) {
        (Mechanism::Kerberos | Mechanism::MsKerberos, [1, 0, inner @ ..]) => {
            Ok(Content::Kerberos(ApReq::parse(inner)?))
        }
        (Mechanism::Kerberos | Mechanism::MsKerberos, [3, 0, inner @ ..]) => {
            Ok(Content::Error(Box::new(KrbError::parse(inner)?)))
        }
        (Mechanism::Ntlm, inner) => {
            Ok(Ntlm::read(inner).map_or(Content::Other(Mechanism::Ntlm), Content::Ntlm))
        }
        _ => Ok(Content::Other(mechanism)),
    }
}

/// Begins what GSS frames.
const GSS: u8 = application(0);

/// A message of Kerberos in GSS framing.
pub(super) fn frame(kind: [u8; 2], message: &[u8]) -> Vec<u8> {
    element(GSS, &[&Mechanism::Kerberos.write(), &kind, message])
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
