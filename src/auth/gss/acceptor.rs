//! Our side of a handshake that a host begins: a keytab, and what came before.
//!
//! The library opens the keytab for each handshake, so a new one counts from the moment it is there; it should
//! be put in place by a rename. Any key in it opens a ticket, whatever name the ticket has, because hosts write
//! names as they like; a list of services is therefore held against the names that the key has in the keytab.
//! Must not know: HTTP, why a handshake failed beyond what the library says.

use super::context::{Context, Leg};
use super::library::{Credential, Library, Mechanism, Trouble};
use super::replay::{Authenticator, ReplayProtection, ReplaySettings, Seen, authenticator};
use super::{conclude, fitting};
use crate::auth::handshake::{Cause, Established, Failure, SecurityContext, Step};
use crate::event::Timestamp;
use crate::kerberos::keytab::{Entry, KEYTAB_BYTES_MAX};
use crate::kerberos::krb_error::code;
use crate::kerberos::token::{Content, Spnego};
use crate::kerberos::{Keytab, KrbError, Token};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use thiserror::Error;

/// What a listener accepts with.
#[derive(Clone, Debug)]
pub struct AcceptorSettings {
    pub keytab: PathBuf,
    pub replay: ReplaySettings,
    /// Services whose tickets are taken, as `HTTP/wec.corp.example@CORP.EXAMPLE`; none are all in the keytab.
    pub services: Vec<String>,
}

/// Why nothing can be accepted.
#[derive(Debug, Error)]
pub enum AcceptorError {
    #[error("keytab {path} cannot be read")]
    Keytab { path: PathBuf, source: io::Error },
    #[error("{path:?} cannot be given to the Kerberos library: there is a zero byte in it")]
    Path { path: PathBuf },
    #[error("the Kerberos library makes no credential of keytab {path}: {trouble}")]
    Credential { path: PathBuf, trouble: Trouble },
}

/// What accepts on one listener. Any number of handshakes may be under way.
pub struct Acceptor {
    library: Library,
    /// For handshakes whose replays the library notices by a file.
    filed: Option<Credential>,
    /// For those whose replays only we notice.
    bare: Credential,
    keytab: PathBuf,
    services: Box<[String]>,
    protection: ReplayProtection,
    /// Handshakes of late, those as well that the file remembers.
    seen: Mutex<Seen>,
    /// Why the file was of no use when it was needed last.
    file_trouble: Mutex<Option<Trouble>>,
}

impl Acceptor {
    pub fn new(library: Library, settings: AcceptorSettings) -> Result<Self, AcceptorError> {
        let AcceptorSettings { keytab: path, replay, services } = settings;
        // The library makes a credential also of a file that is not there.
        File::open(&path).map_err(|source| AcceptorError::Keytab { path: path.clone(), source })?;
        let protection = ReplayProtection::choose(&replay);
        let keytab = argument("FILE:", &path)?;
        let credential = |cache: &CStr| {
            let store = [(c"keytab", &*keytab), (c"rcache", cache)];
            let acquired = library.acquire(None, true, &store);
            acquired.map_err(|trouble| AcceptorError::Credential { path: path.clone(), trouble })
        };
        let filed = match protection.library_cache() {
            Some(file) => Some(credential(&argument("file2:", file)?)?),
            None => None,
        };
        Ok(Self {
            filed,
            bare: credential(c"none:")?,
            library,
            keytab: path,
            services: services.into(),
            protection,
            seen: Mutex::new(Seen::new(&replay)),
            file_trouble: Mutex::new(None),
        })
    }

    /// What notices replays.
    pub const fn replay_protection(&self) -> &ReplayProtection {
        &self.protection
    }

    /// What is wrong with the file that replays are noticed by, as long as it is. Memory does its part meanwhile.
    pub fn replay_trouble(&self) -> Option<Trouble> {
        self.file_trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn file_is(&self, trouble: Option<Trouble>) {
        *self.file_trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// A handshake with whoever connected.
    pub fn context(self: &Arc<Self>) -> Accepting {
        Accepting {
            acceptor: self.clone(),
            context: Some(Context::new(self.library.clone())),
            legs: 0,
            is_filed: self.filed.is_some(),
            mechanism: Mechanism::Kerberos,
            authenticator: None,
        }
    }

    /// Whether a ticket that opened with the key of this name is for us.
    fn serves(&self, name: &str) -> bool {
        let is_listed = |name: &str| self.services.iter().any(|listed| listed.eq_ignore_ascii_case(name));
        self.services.is_empty() || is_listed(name) || self.aliases(name).iter().any(|name| is_listed(name))
    }

    /// The other names in the keytab of the keys that have this one.
    fn aliases(&self, name: &str) -> Vec<String> {
        let name_of = |entry: &Entry| format!("{}@{}", entry.principal, entry.realm);
        let mut bytes = Vec::new();
        let file = File::open(&self.keytab);
        let read = file.and_then(|file| file.take(KEYTAB_BYTES_MAX as u64 + 1).read_to_end(&mut bytes));
        let Some(keytab) = read.ok().and_then(|_| Keytab::parse(&bytes).ok()) else { return Vec::new() };
        let (named, others): (Vec<_>, Vec<_>) =
            keytab.entries.into_iter().partition(|entry| name_of(entry) == name);
        let shares = |entry: &Entry| named.iter().any(|named| named.key == entry.key);
        others.iter().filter(|entry| shares(entry)).map(name_of).collect()
    }

    /// Enters a handshake that was good, once.
    fn enter(
        &self,
        authenticator: Option<Authenticator>,
        skew: Option<Duration>,
        is_filed: bool,
    ) -> Result<(), Cause> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.allow(skew.unwrap_or_default());
        let entered = match authenticator {
            Some(authenticator) => seen.enter(authenticator, Instant::now()),
            None => Err(Cause::NoAuthenticator),
        };
        match entered {
            // What is in the file need not be here.
            Err(Cause::NoAuthenticator | Cause::ReplayCacheFull { .. }) if is_filed => Ok(()),
            entered => entered,
        }
    }
}

/// A handshake with one host, on one connection.
pub struct Accepting {
    acceptor: Arc<Acceptor>,
    /// None once it has ended.
    context: Option<Context>,
    legs: u32,
    is_filed: bool,
    mechanism: Mechanism,
    authenticator: Option<Authenticator>,
}

impl SecurityContext for Accepting {
    fn step(&mut self, token: &[u8], bindings: Option<&[u8]>) -> Result<Step, Failure> {
        let mut context = self.context.take().ok_or(Cause::Over)?;
        if token.is_empty() {
            return Err(Cause::Empty.into());
        }
        fitting(token, &mut self.legs)?;
        if matches!(Spnego::find(token), Ok(Some(_))) {
            self.mechanism = Mechanism::Spnego;
        }
        self.authenticator = authenticator(token).or(self.authenticator);
        let leg = self.accept(&mut context, token, bindings);
        match leg.is_last {
            Err(trouble) => Err(Failure { token: leg.token, ..Cause::from(trouble).into() }),
            Ok(false) => {
                self.context = Some(context);
                Ok(Step { token: leg.token, established: None })
            }
            Ok(true) => {
                let judged = self.judge(context);
                let established =
                    judged.map_err(|cause| Failure { token: refusal(&cause, token), ..cause.into() })?;
                Ok(Step { token: leg.token, established: Some(Box::new(established)) })
            }
        }
    }
}

impl Accepting {
    /// By the library with its file, and without it where the file is the trouble: a full disk locks nobody out.
    fn accept(&mut self, context: &mut Context, token: &[u8], bindings: Option<&[u8]>) -> Leg {
        let acceptor = &*self.acceptor;
        let Some(filed) = acceptor.filed.as_ref().filter(|_| self.is_filed) else {
            return context.accept(&acceptor.bare, token, bindings);
        };
        let leg = context.accept(filed, token, bindings);
        let trouble = match &leg.is_last {
            Ok(is_last) => {
                if *is_last {
                    acceptor.file_is(None);
                }
                return leg;
            }
            Err(trouble) => trouble.clone(),
        };
        // It is not said what the trouble is with; if it is not the file, there will be the same again.
        if self.legs > 1 || !is_unspecific(&leg.token) {
            return leg;
        }
        let mut again = Context::new(acceptor.library.clone());
        let second = again.accept(&acceptor.bare, token, bindings);
        if second.is_last.is_err() {
            return leg;
        }
        acceptor.file_is(Some(trouble));
        (*context, self.is_filed) = (again, false);
        second
    }

    /// What the library takes is not yet taken by us.
    fn judge(&self, context: Context) -> Result<Established, Cause> {
        let established = conclude(context, self.mechanism, true)?;
        if !self.acceptor.serves(&established.service) {
            return Err(Cause::Service { service: established.service });
        }
        self.acceptor.enter(self.authenticator, established.skew, self.is_filed)?;
        Ok(established)
    }
}

/// Whether a token for the client says no more than that something went wrong.
fn is_unspecific(token: &[u8]) -> bool {
    let content = Token::peek(token).map(|token| token.content);
    matches!(content, Ok(Content::Error(error)) if error.code == code::GENERIC)
}

/// What the client is told of a refusal that is ours and not the library's, in the framing of its token.
fn refusal(cause: &Cause, token: &[u8]) -> Vec<u8> {
    let Ok(Token { is_negotiated, content: Content::Kerberos(request), .. }) = Token::peek(token) else {
        return Vec::new();
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let error = KrbError {
        code: match cause {
            Cause::Replay => code::REPEAT,
            Cause::Service { .. } => code::NOT_US,
            _ => code::GENERIC,
        },
        server_time: Timestamp(i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)),
        client_time: None,
        client: None,
        realm: request.realm,
        service: request.service,
        text: None,
        data: None,
    };
    if is_negotiated { error.to_rejection(None) } else { error.to_token() }
}

/// A path as the library takes it.
fn argument(kind: &str, path: &Path) -> Result<CString, AcceptorError> {
    CString::new([kind.as_bytes(), path.as_os_str().as_bytes()].concat())
        .map_err(|_| AcceptorError::Path { path: path.into() })
}
