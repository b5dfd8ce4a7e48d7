//! The handshake that a host begins a connection with, as Windows does it: tokens in requests without a body.
//!
//! ```text
//! POST, Authorization: Kerberos <AP-REQ>, no body ─►  200, WWW-Authenticate: Kerberos <AP-REP>    both are proved
//!                                                ◄─┬─ 401, WWW-Authenticate: Negotiate <token>    another leg,
//!                                                  │                                     on the same connection
//!                                                  └─ anything else                               no sign-in
//! ```
//! Promise: nothing is sent behind it unless the collector has proved who it is.
//! Must not know: what is said afterwards.

use super::domain::{Domain, Machine, Scheme};
use super::http::{Answer, Connection, Delivery, HttpError};
use super::outgoing::Outgoing;
use super::target::Target;
use crate::auth::handshake::{Established, Failure, LEGS_MAX};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::time::Duration;
use thiserror::Error;

/// Why a host is not signed in. Its text tells nothing of the host, so that it can be counted.
#[derive(Debug, Error)]
pub(super) enum SignInError {
    #[error("{0}")]
    Handshake(String),
    #[error("HTTP {0}")]
    Status(u16),
    #[error("HTTP 401, without a token")]
    Refused,
    #[error("the collector did not prove who it is: its answer has no token")]
    NoProof,
    #[error("the collector's token is no base64")]
    NoToken,
    #[error("the collector ended the handshake before it was done")]
    Early,
    #[error("the collector did not end the handshake when it was done")]
    Endless,
}

/// A way to the collector that has only been opened.
pub(super) struct Opened {
    pub(super) connection: Connection,
    /// What the connection is known by, over TLS.
    pub(super) bindings: Option<Vec<u8>>,
}

/// Which host signs in, where, and how requests look there.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    pub(super) domain: &'a Domain,
    pub(super) machine: &'a Machine,
    pub(super) to: &'a Target,
    pub(super) content_type: &'a str,
    pub(super) sldc: bool,
    /// For each answer.
    pub(super) limit: Duration,
}

impl Caller<'_> {
    /// The connection, and what was agreed on.
    pub(super) async fn sign_in(self, opened: Opened) -> Result<(Connection, Established), HttpError> {
        let Self { domain, machine, to, content_type, sldc, limit } = self;
        let failure = |error: Failure| self.told(&error.to_string());
        let Opened { mut connection, bindings } = opened;
        let mut handshake = domain.begin(machine, &to.host, bindings).await.map_err(|why| self.told(&why))?;
        let mut ours = domain.step(&mut handshake, Vec::new()).await.map_err(failure)?;
        for _ in 0..LEGS_MAX {
            let mut request = Outgoing::new(|_| {});
            let scheme = domain.scheme();
            let authorization = format!("{} {}", scheme.name(), BASE64_STANDARD.encode(&ours.token));
            request.head(to, content_type, sldc, Some(&authorization));
            let (answer, kept) = connection.exchange(&request, Delivery::Whole, limit).await?;
            let leg = Leg::of(&answer, scheme, ours.established.is_some())?;
            let established = ours.established.take();
            if let Leg::Last(token) | Leg::More(token) = &leg
                && established.is_none()
            {
                ours = domain.step(&mut handshake, token.clone()).await.map_err(failure)?;
            }
            connection = kept.ok_or(HttpError::Closed)?;
            match leg {
                Leg::More(_) if ours.token.is_empty() => return Err(SignInError::Endless.into()),
                Leg::More(_) => {}
                Leg::Last(_) | Leg::Done => {
                    let established =
                        established.or_else(|| ours.established.take()).ok_or(SignInError::Early)?;
                    return Ok((connection, *established));
                }
            }
        }
        Err(SignInError::Endless.into())
    }

    fn told(&self, why: &str) -> HttpError {
        SignInError::Handshake(self.machine.without_name(why)).into()
    }
}

/// What an answer says of a handshake.
#[derive(Debug, PartialEq)]
enum Leg {
    /// It is done, with this proof.
    Last(Vec<u8>),
    /// It is done, and was for us before.
    Done,
    More(Vec<u8>),
}

impl Leg {
    fn of(answer: &Answer, scheme: Scheme, is_established: bool) -> Result<Self, SignInError> {
        let token = answer.challenges.iter().find_map(|challenge| token(challenge, scheme)).transpose()?;
        match (answer.status, token) {
            (200..=299, _) if is_established => Ok(Self::Done),
            (200..=299, Some(token)) => Ok(Self::Last(token)),
            (200..=299, None) => Err(SignInError::NoProof),
            (401, Some(token)) if !is_established => Ok(Self::More(token)),
            (401, _) => Err(SignInError::Refused),
            (status, _) => Err(SignInError::Status(status)),
        }
    }
}

/// The token of a challenge, if it has one and is of this scheme.
fn token(challenge: &str, scheme: Scheme) -> Option<Result<Vec<u8>, SignInError>> {
    let (name, token) = challenge.split_once(' ')?;
    let token = token.trim();
    (name.eq_ignore_ascii_case(scheme.name()) && !token.is_empty())
        .then(|| BASE64_STANDARD.decode(token).map_err(|_| SignInError::NoToken))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leg(status: u16, challenges: &[&str], is_established: bool) -> Result<Leg, String> {
        let challenges = challenges.iter().map(|&challenge| challenge.into()).collect();
        let answer = Answer { status, challenges, ..Answer::default() };
        Leg::of(&answer, Scheme::Negotiate, is_established).map_err(|error| error.to_string())
    }

    #[test]
    fn an_answer_ends_a_handshake_only_with_a_proof() {
        let token = || b"token".to_vec();
        assert_eq!(leg(200, &["Negotiate dG9rZW4="], false), Ok(Leg::Last(token())));
        assert_eq!(leg(200, &["negotiate  dG9rZW4= "], false), Ok(Leg::Last(token())));
        assert_eq!(leg(401, &["Kerberos", "Negotiate dG9rZW4="], false), Ok(Leg::More(token())));
        let no_proof = "the collector did not prove who it is: its answer has no token";
        for challenges in [&[][..], &["Negotiate"], &["Kerberos dG9rZW4="]] {
            assert_eq!(leg(200, challenges, false), Err(no_proof.into()));
        }
        assert_eq!(leg(200, &["Negotiate %"], false), Err("the collector's token is no base64".into()));
        assert_eq!(leg(401, &["Kerberos", "Negotiate"], false), Err("HTTP 401, without a token".into()));
        assert_eq!(leg(503, &["Negotiate dG9rZW4="], false), Err("HTTP 503".into()));
    }

    #[test]
    fn who_has_proved_everything_before_needs_no_other_proof() {
        assert_eq!(leg(200, &[], true), Ok(Leg::Done));
        assert_eq!(leg(401, &["Negotiate dG9rZW4="], true), Err("HTTP 401, without a token".into()));
    }
}
