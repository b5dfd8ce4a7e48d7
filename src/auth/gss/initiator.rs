//! Our side of a handshake that we begin, with the tickets of a cache or the key of a keytab.
//!
//! Where the key distribution centre of a realm is stands in `krb5.conf`, and how long it is waited for as well.
//! Must not know: HTTP.

use super::abi::{KRB5, SPNEGO};
use super::context::Context;
use super::library::{Credential, Library, Mechanism, Name, Trouble};
use super::{conclude, fitting};
use crate::auth::handshake::{Cause, Failure, Flags, SecurityContext, Step};
use crate::kerberos::Etype;
use std::ffi::CString;
use std::sync::Arc;
use thiserror::Error;

/// What we prove ourselves with. Names are the library's: `FILE:/run/forebay/tickets`, `MEMORY:pull`.
#[derive(Clone, Debug)]
pub enum Identity {
    /// Tickets that somebody else fetched.
    Cache { name: String },
    /// The key of a principal in a keytab. Tickets that are fetched with it go to a cache.
    Keytab { name: String, principal: String, cache: String },
}

/// Why nothing can be begun.
#[derive(Debug, Error)]
pub enum InitiatorError {
    #[error("there is a zero byte in a name for the Kerberos library")]
    Zero,
    #[error("the Kerberos library has no NTLM")]
    Ntlm,
    #[error(transparent)]
    Library(#[from] Trouble),
}

/// Who we are for a number of handshakes.
#[derive(Clone)]
pub struct Initiator {
    library: Library,
    credential: Arc<Credential>,
}

impl Initiator {
    /// With `etypes`, tickets and keys are of these only, if the library has its say.
    pub fn new(library: Library, identity: &Identity, etypes: &[Etype]) -> Result<Self, InitiatorError> {
        let argument = |name: &str| CString::new(name).map_err(|_| InitiatorError::Zero);
        let mut credential = match identity {
            Identity::Cache { name } => library.acquire(None, false, &[(c"ccache", &argument(name)?)])?,
            Identity::Keytab { name, principal, cache } => {
                let (keytab, cache) = (argument(name)?, argument(cache)?);
                let principal = library.name(principal)?;
                library.acquire(
                    Some(&principal),
                    false,
                    &[(c"client_keytab", &keytab), (c"ccache", &cache)],
                )?
            }
        };
        if !etypes.is_empty() {
            credential.allow_only(etypes)?;
        }
        Ok(Self { library, credential: Arc::new(credential) })
    }

    /// A handshake with a service, as `HTTP/wec.corp.example@CORP.EXAMPLE`.
    pub fn context(&self, service: &str, mechanism: Mechanism) -> Result<Initiating, InitiatorError> {
        let oid = match mechanism {
            Mechanism::Kerberos => KRB5,
            Mechanism::Spnego => SPNEGO,
            Mechanism::Ntlm => return Err(InitiatorError::Ntlm),
        };
        Ok(Initiating {
            credential: self.credential.clone(),
            service: self.library.name(service)?,
            context: Some(Context::new(self.library.clone())),
            mechanism,
            oid,
            legs: 0,
        })
    }
}

/// A handshake with one service, on one connection.
pub struct Initiating {
    credential: Arc<Credential>,
    service: Name,
    /// None once it has ended.
    context: Option<Context>,
    mechanism: Mechanism,
    oid: &'static [u8],
    legs: u32,
}

impl SecurityContext for Initiating {
    fn step(&mut self, token: &[u8], bindings: Option<&[u8]>) -> Result<Step, Failure> {
        let mut context = self.context.take().ok_or(Cause::Over)?;
        if self.legs > 0 && token.is_empty() {
            return Err(Cause::Empty.into());
        }
        fitting(token, &mut self.legs)?;
        let to = (&self.service, self.oid, ASKED.0);
        let leg = context.initiate(&self.credential, to, token, bindings);
        match leg.is_last {
            Err(trouble) => Err(Failure { token: leg.token, ..Cause::from(trouble).into() }),
            Ok(false) => {
                self.context = Some(context);
                Ok(Step { token: leg.token, established: None })
            }
            Ok(true) => {
                let established = conclude(context, self.mechanism, false)?;
                Ok(Step { token: leg.token, established: Some(Box::new(established)) })
            }
        }
    }
}

/// As Windows asks.
const ASKED: Flags =
    Flags(Flags::MUTUAL.0 | Flags::REPLAY.0 | Flags::SEQUENCE.0 | Flags::CONFIDENTIAL.0 | Flags::INTEGRITY.0);
