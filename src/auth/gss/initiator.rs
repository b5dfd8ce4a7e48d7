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
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
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

/// Who we are for a number of handshakes, however long they go on: credentials are had anew when half of their time
/// has passed, so that no handshake begins with tickets that are about to end.
#[derive(Clone)]
pub struct Initiator(Arc<Inner>);

struct Inner {
    library: Library,
    identity: Identity,
    etypes: Box<[Etype]>,
    credential: Mutex<Arc<Credential>>,
}

impl Initiator {
    /// With `etypes`, tickets and keys are of these only, if the library has its say.
    pub fn new(library: Library, identity: &Identity, etypes: &[Etype]) -> Result<Self, InitiatorError> {
        let credential = Mutex::new(Arc::new(acquired(&library, identity, etypes)?));
        Ok(Self(Arc::new(Inner { library, identity: identity.clone(), etypes: etypes.into(), credential })))
    }

    /// A handshake with a service, as `HTTP/wec.corp.example@CORP.EXAMPLE`.
    pub fn context(&self, service: &str, mechanism: Mechanism) -> Result<Initiating, InitiatorError> {
        let oid = match mechanism {
            Mechanism::Kerberos => KRB5,
            Mechanism::Spnego => SPNEGO,
            Mechanism::Ntlm => return Err(InitiatorError::Ntlm),
        };
        Ok(Initiating {
            initiator: self.clone(),
            credential: None,
            service: self.0.library.name(service)?,
            context: Some(Context::new(self.0.library.clone())),
            mechanism,
            oid,
            legs: 0,
        })
    }

    /// What handshakes begin with now, which may ask the key distribution centre.
    fn credential(&self) -> Result<Arc<Credential>, Cause> {
        let mut kept = self.0.credential.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.renew_at.is_some_and(|renew_at| renew_at <= Instant::now()) {
            let Inner { library, identity, etypes, .. } = &*self.0;
            let renewed = acquired(library, identity, etypes).map_err(|error| match error {
                InitiatorError::Library(trouble) => Cause::Library(trouble),
                InitiatorError::Zero | InitiatorError::Ntlm => Cause::Name,
            })?;
            *kept = Arc::new(renewed);
        }
        Ok(Arc::clone(&kept))
    }
}

fn acquired(library: &Library, identity: &Identity, etypes: &[Etype]) -> Result<Credential, InitiatorError> {
    let argument = |name: &str| CString::new(name).map_err(|_| InitiatorError::Zero);
    let mut credential = match identity {
        Identity::Cache { name } => library.acquire(None, false, &[(c"ccache", &argument(name)?)])?,
        Identity::Keytab { name, principal, cache } => {
            let (keytab, cache) = (argument(name)?, argument(cache)?);
            let principal = library.name(principal)?;
            let store = [(c"client_keytab", &*keytab), (c"ccache", &*cache)];
            library.acquire(Some(&principal), false, &store)?
        }
    };
    if !etypes.is_empty() {
        credential.allow_only(etypes)?;
    }
    Ok(credential)
}

/// A handshake with one service, on one connection.
pub struct Initiating {
    initiator: Initiator,
    /// From the first leg on.
    credential: Option<Arc<Credential>>,
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
        let credential = match self.credential.take() {
            Some(credential) => credential,
            None => self.initiator.credential()?,
        };
        let to = (&self.service, self.oid, ASKED.0);
        let leg = context.initiate(&credential, to, token, bindings);
        self.credential = Some(credential);
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
