//! Who we are, and our side of a handshake that we begin.
//!
//! Must not know: HTTP.

use super::centre::{Centre, Server, now};
use super::package::{Leg, Package};
use super::seal::NtlmSeal;
use crate::auth::gss::Mechanism;
use crate::auth::handshake::{
    Cause, Established, Failure, Flags, LEGS_MAX, LucidKeys, Seal, SecurityContext, Step, TOKEN_BYTES_MAX,
};
use crate::kerberos::diagnose::Refused;
use crate::kerberos::krb_error::code;
use crate::kerberos::seal::ContextKey;
use crate::kerberos::token::spnego::State;
use crate::kerberos::token::{Content, Ntlm, Spnego};
use crate::kerberos::{Etype, Key, Keytab, KrbError, Token};
use ::sspi::{AuthIdentity, Credentials, CredentialsBuffers, Error, ErrorKind, KeytabIdentity, Username};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// What we prove ourselves with.
#[derive(Clone)]
pub struct Identity(Proof);

#[derive(Clone)]
enum Proof {
    Password(AuthIdentity),
    Key(KeytabIdentity),
}

/// How we prove ourselves.
#[derive(Clone, Debug)]
pub enum Way {
    /// Kerberos as it is.
    Kerberos(Arc<Centre>),
    /// Kerberos within SPNEGO.
    Negotiate(Arc<Centre>),
    /// NTLM within SPNEGO.
    NegotiateNtlm,
    /// NTLM as it is.
    Ntlm,
}

/// Why nobody can be proved with this.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IdentityError {
    #[error("`{name}` is no name of an account: {why}")]
    Name { name: String, why: String },
    #[error("the keytab has no key of {principal}")]
    NoKey { principal: String },
    #[error(
        "the keytab has no key of {principal} of type {}; export one, or use the Kerberos library",
        Etype::AES256_SHA1
    )]
    NoAes256 { principal: String },
    #[error("NTLM needs a password, and a keytab has none")]
    Ntlm,
    #[error("the sspi crate: {0}")]
    Sspi(String),
}

impl Identity {
    /// An account by its name without domain, in a realm or, for NTLM, a domain or computer.
    pub fn password(account: &str, realm: &str, password: &str) -> Result<Self, IdentityError> {
        let (username, password) = (name(account, realm)?, password.to_owned().into());
        Ok(Self(Proof::Password(AuthIdentity { username, password })))
    }

    /// An account with its newest key.
    pub fn key(keytab: &Keytab, account: &str, realm: &str) -> Result<Self, IdentityError> {
        let principal = format!("{account}@{realm}");
        let is_of = |text: &str| text.eq_ignore_ascii_case(&principal);
        let of_account =
            || keytab.entries.iter().filter(|entry| is_of(&format!("{}@{}", entry.principal, entry.realm)));
        let aes = of_account().filter(|entry| entry.key.etype() == Etype::AES256_SHA1);
        let newest = aes.max_by_key(|entry| entry.kvno).ok_or_else(|| match of_account().next() {
            Some(_) => IdentityError::NoAes256 { principal: principal.clone() },
            None => IdentityError::NoKey { principal: principal.clone() },
        })?;
        let etype = usize::from(newest.key.etype().0.unsigned_abs() as u16);
        let key_enctype = etype.try_into().map_err(|_| IdentityError::NoAes256 { principal })?;
        let (principal, key) = (name(account, realm)?, newest.key.bytes().to_vec().into());
        Ok(Self(Proof::Key(KeytabIdentity { principal, key, key_enctype })))
    }
}

/// As `REALM\account`: what has an `@` would be asked for as an enterprise name, which only Windows knows.
fn name(account: &str, realm: &str) -> Result<Username, IdentityError> {
    let wrong = |why: String| IdentityError::Name { name: account.into(), why };
    match account.is_empty() || account.contains(['@', '\\']) || account.chars().any(char::is_control) {
        true => Err(wrong("it is to be without its domain".into())),
        false => {
            Username::new_down_level_logon_name(account, realm).map_err(|error| wrong(error.to_string()))
        }
    }
}

/// Who we are for a number of handshakes.
#[derive(Clone)]
pub struct Initiator {
    identity: Identity,
    way: Way,
    computer: Arc<str>,
}

impl Initiator {
    /// `computer` is what we call this machine.
    pub fn new(identity: Identity, way: Way, computer: &str) -> Result<Self, IdentityError> {
        if matches!((&identity.0, &way), (Proof::Key(_), Way::Ntlm | Way::NegotiateNtlm)) {
            return Err(IdentityError::Ntlm);
        }
        Ok(Self { identity, way, computer: computer.into() })
    }

    /// A handshake with a service, as `HTTP/wec.corp.example`.
    pub fn context(&self, service: &str) -> Result<Initiating, IdentityError> {
        let failed = |error: Error| IdentityError::Sspi(error.description);
        // The realm is found by whom the tickets come from.
        let service = service.split('@').next().unwrap_or_default().to_owned();
        let Self { way, computer, .. } = self;
        let package = match (&self.identity.0, way) {
            (proof, Way::Kerberos(centre) | Way::Negotiate(centre)) => {
                let credentials = match proof.clone() {
                    Proof::Password(identity) => Credentials::AuthIdentity(identity),
                    Proof::Key(identity) => Credentials::Keytab(identity),
                };
                let credentials = CredentialsBuffers::try_from(credentials).map_err(failed)?;
                let is_negotiated = matches!(way, Way::Negotiate(_));
                Package::kerberos(&centre.url(), computer, credentials, is_negotiated)
            }
            (Proof::Password(identity), Way::NegotiateNtlm | Way::Ntlm) => {
                Package::ntlm(computer, identity.clone(), matches!(way, Way::NegotiateNtlm))
            }
            (Proof::Key(_), Way::NegotiateNtlm | Way::Ntlm) => return Err(IdentityError::Ntlm),
        };
        let package = Some(package.map_err(failed)?);
        Ok(Initiating { package, way: way.clone(), service, legs: 0, realm: None, refused: Vec::new() })
    }
}

/// A handshake with one service, on one connection.
pub struct Initiating {
    /// None once it has ended.
    package: Option<Package>,
    way: Way,
    service: String,
    legs: u32,
    /// That of the ticket.
    realm: Option<Box<str>>,
    refused: Vec<Refused>,
}

impl Initiating {
    /// All that was refused so far, also where the handshake went on: a wrong clock, say, which is made up for.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    fn leg(&mut self, token: &[u8], bindings: Option<&[u8]>) -> Result<Step, Cause> {
        let mut package = self.package.take().ok_or(Cause::Over)?;
        if self.legs > 0 && token.is_empty() {
            return Err(Cause::Empty);
        }
        self.legs += 1;
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Cause::Long { bytes: token.len() });
        }
        if self.legs > LEGS_MAX {
            return Err(Cause::Endless);
        }
        self.look_into(token)?;
        let (refused, way, mut trouble) = (&mut self.refused, &self.way, None);
        let before = refused.len();
        // The crate writes an option beside bindings that is too short for MIT Kerberos, which refuses all of it.
        let bindings = bindings.filter(|_| matches!(way, Way::NegotiateNtlm | Way::Ntlm));
        let leg = Leg { service: &self.service, token, bindings };
        let stepped = package.step(&leg, |request| {
            let (Way::Kerberos(centre) | Way::Negotiate(centre)) = way else {
                return Err(Error::new(ErrorKind::InternalError, "NTLM asks nobody"));
            };
            let elsewhere = request.url.host_str().map(|host| Server {
                host: host.trim_matches(['[', ']']).into(),
                port: request.url.port().unwrap_or(KERBEROS_PORT),
                is_datagram: request.url.scheme() == "udp",
            });
            // The crate puts the length in front, and expects it there.
            let asked = centre.ask(request.data.get(LENGTH_BYTES..).unwrap_or_default(), elsewhere);
            refused.extend(asked.refused);
            let answer = asked.answer.map_err(|cause| {
                trouble = Some(cause);
                Error::new(ErrorKind::NoAuthenticatingAuthority, "no answer")
            })?;
            Ok([&(answer.len() as u32).to_be_bytes(), &*answer].concat())
        });
        let (token, is_last) = stepped.map_err(|error| {
            let told = self.refused[before..].last().filter(|last| last.error.code != code::PREAUTH_REQUIRED);
            match (trouble, told) {
                (Some(trouble), _) => trouble,
                (None, Some(refused)) => Cause::Refused(Box::new(refused.clone())),
                (None, None) => Cause::Sspi(error.description.into()),
            }
        })?;
        if let Ok(Token { content: Content::Kerberos(request), .. }) = Token::peek(&token) {
            self.realm = Some(request.realm);
        }
        let established = match is_last {
            true => Some(Box::new(self.conclude(package)?)),
            false => {
                self.package = Some(package);
                None
            }
        };
        Ok(Step { token, established })
    }

    /// What in the peer's token is better told by us than by the crate.
    fn look_into(&mut self, token: &[u8]) -> Result<(), Cause> {
        if let Ok(Token { content: Content::Error(error), .. }) = Token::peek(token) {
            return Err(Cause::Refused(Box::new(self.told_by_service(*error))));
        }
        let (within, state) = match Spnego::find(token) {
            Ok(Some(Spnego::Answer(answer))) => (answer.token.unwrap_or_default(), answer.state),
            _ => (token, None),
        };
        let is_kerberos = matches!(self.way, Way::Kerberos(_) | Way::Negotiate(_));
        if state == Some(State::Rejected) {
            return Err(Cause::Declined { mechanism: if is_kerberos { "Kerberos" } else { "NTLM" } });
        }
        match Ntlm::offers(within) {
            Some(flags) if flags & NTLM_SEALS != NTLM_SEALS => {
                Err(Cause::Lacks { missing: "confidentiality and integrity" })
            }
            None if !is_kerberos && !within.is_empty() => Err(Cause::Declined { mechanism: "NTLM" }),
            _ => Ok(()),
        }
    }

    fn told_by_service(&mut self, error: KrbError) -> Refused {
        let one = Refused { by: self.service.as_str().into(), error, at: now() };
        self.refused.push(one.clone());
        one
    }

    fn conclude(&self, package: Package) -> Result<Established, Cause> {
        let (mechanism, is_kerberos) = match self.way {
            Way::Kerberos(_) => (Mechanism::Kerberos, true),
            Way::Negotiate(_) => (Mechanism::Spnego, true),
            Way::NegotiateNtlm => (Mechanism::Spnego, false),
            Way::Ntlm => (Mechanism::Ntlm, false),
        };
        let sealed = Flags::REPLAY | Flags::SEQUENCE | Flags::CONFIDENTIAL | Flags::INTEGRITY;
        let (flags, seal, peer) = if is_kerberos {
            let realm = self.realm.as_deref().unwrap_or_default();
            (sealed | Flags::MUTUAL, Seal::Keys(keys(package)?), format!("{}@{realm}", self.service))
        } else {
            (sealed, Seal::Ntlm(NtlmSeal::new(package)), self.service.clone())
        };
        let (peer, service) = (peer.clone().into(), peer.into());
        let lifetime = Duration::MAX;
        Ok(Established { peer, service, mechanism, flags, lifetime, skew: None, seal })
    }
}

impl SecurityContext for Initiating {
    fn step(&mut self, token: &[u8], bindings: Option<&[u8]>) -> Result<Step, Failure> {
        let leg = self.leg(token, bindings);
        leg.map_err(|cause| Failure { refused: self.refused.clone(), ..cause.into() })
    }
}

/// The acceptor has always chosen a key, or the crate would have failed.
fn keys(package: Package) -> Result<LucidKeys, Cause> {
    let (bytes, send_sequence) = package.key().map_err(|error| Cause::Sspi(error.description.into()))?;
    let etype = match bytes.len() {
        AES256_BYTES => Etype::AES256_SHA1,
        AES128_BYTES => Etype::AES128_SHA1,
        _ => return Err(Cause::Etype { etype: None }),
    };
    let key = ContextKey { key: Key::new(etype, &bytes), is_of_acceptor: true };
    Ok(LucidKeys { key, send_sequence, receive_sequence: None, is_initiator: true })
}

const AES256_BYTES: usize = 32;
const AES128_BYTES: usize = 16;
/// What stands before a message.
const LENGTH_BYTES: usize = 4;
const KERBEROS_PORT: u16 = 88;
/// MS-NLMP 2.2.2.5: NTLMSSP_NEGOTIATE_SIGN and NTLMSSP_NEGOTIATE_SEAL.
const NTLM_SEALS: u32 = 0x30;
