//! What hosts prove themselves with in a domain: their keys in one keytab, or a password.
//!
//! | file | what |
//! |---|---|
//! | `tickets` | with keys: the tickets that each host fetches, and keeps as long as they are good |
//! | `password` | with a password: a feature, and nothing is kept |
//!
//! Handshakes are blocking calls that may wait for the key distribution centre: blocking threads make them, a
//! bounded number at once.
//! Must not know: HTTP.

#[cfg(feature = "sspi")]
mod password;
mod tickets;

#[cfg(feature = "sspi")]
pub use password::PasswordSettings;

use crate::auth::gss::{Mechanism, Missing};
use crate::auth::handshake::{Cause, Failure, SecurityContext, Step};
use crate::kerberos::Etype;
use crate::kerberos::keytab::KeytabError;
use crate::wsman::multipart::Protocol;
#[cfg(feature = "sspi")]
use password::Password;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use thiserror::Error;
use tickets::{Held, Tickets};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// How hosts sign in to a domain.
#[derive(Clone, Debug)]
pub struct DomainSettings {
    pub proof: Proof,
    pub realm: String,
    /// The collector's principal, in place of `HTTP/` and the host of the address.
    pub service: Option<String>,
    pub scheme: Scheme,
}

/// What hosts have.
#[derive(Clone, Debug)]
pub enum Proof {
    /// A keytab with the keys of all machines, and the encryption types of tickets and keys; none are all that the
    /// library has.
    Keytab { path: PathBuf, etypes: Vec<Etype> },
    #[cfg(feature = "sspi")]
    Password(PasswordSettings),
}

/// What hosts write before a token, and what is in that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// The token of Kerberos as it is.
    #[default]
    Kerberos,
    /// Within SPNEGO.
    Negotiate,
    /// The token of NTLM as it is, which is written as one of SPNEGO.
    Ntlm,
}

#[derive(Debug, Error)]
pub enum DomainError {
    #[error(transparent)]
    Library(#[from] Missing),
    #[error("cannot read keytab {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is no keytab: {source}", path.display())]
    NoKeytab { path: PathBuf, source: KeytabError },
    #[error(
        "keytab {} has no key of {principal}{}; a host signs in as its machine: its name up to the first dot \
         in capitals, a dollar sign, and the realm that `--realm` names",
        path.display(), others(*missing)
    )]
    NoKey { path: PathBuf, principal: String, missing: usize },
    #[error("keys cannot be put where only this process reads them: {0}")]
    Memory(io::Error),
}

fn others(missing: usize) -> String {
    match missing {
        0 | 1 => String::new(),
        2 => ", nor of another host".into(),
        _ => format!(", nor of {} other hosts", missing - 1),
    }
}

/// Most handshakes that are worked on at once. More wait for their turn; most of the time of one is waiting
/// for the key distribution centre, where there is no ticket yet.
const STEPS_MAX: usize = 32;

/// What all hosts of a fleet have in common.
pub(super) struct Domain {
    settings: DomainSettings,
    means: Means,
    steps: Arc<Semaphore>,
}

enum Means {
    Tickets(Tickets),
    #[cfg(feature = "sspi")]
    Password(Arc<Password>),
}

/// One host: who it is, and what it has.
pub(super) struct Machine {
    account: String,
    principal: String,
    has: Has,
}

enum Has {
    Tickets(Held),
    #[cfg(feature = "sspi")]
    Password(Arc<Password>),
}

/// A handshake that a host has begun.
pub(super) struct Handshake {
    context: Option<Box<dyn SecurityContext>>,
    bindings: Option<Vec<u8>>,
}

impl Scheme {
    /// As in `Authorization`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Kerberos => "Kerberos",
            Self::Negotiate | Self::Ntlm => "Negotiate",
        }
    }

    pub(super) const fn protocol(self) -> Protocol {
        match self {
            Self::Kerberos => Protocol::Kerberos,
            Self::Negotiate | Self::Ntlm => Protocol::Spnego,
        }
    }

    const fn mechanism(self) -> Mechanism {
        match self {
            Self::Kerberos => Mechanism::Kerberos,
            Self::Negotiate => Mechanism::Spnego,
            Self::Ntlm => Mechanism::Ntlm,
        }
    }
}

impl DomainSettings {
    /// The principal of a machine: its short name in capitals, as it is called in its domain, and a dollar sign.
    fn principal(&self, host: &str) -> String {
        format!("{}@{}", account(host), self.realm)
    }

    /// Whom a host asks a ticket for when it connects there.
    fn service(&self, host: &str) -> String {
        match &self.service {
            Some(service) if service.contains('@') => service.clone(),
            Some(service) => format!("{service}@{}", self.realm),
            None => format!("HTTP/{host}@{}", self.realm),
        }
    }
}

fn account(host: &str) -> String {
    let label = host.split('.').next().unwrap_or(host);
    format!("{}$", label.to_ascii_uppercase())
}

impl Domain {
    /// For hosts of these names, in their order.
    pub(super) fn new(settings: DomainSettings, hosts: &[String]) -> Result<Self, DomainError> {
        let means = match &settings.proof {
            Proof::Keytab { path, etypes } => Means::Tickets(Tickets::new(path, etypes, &settings, hosts)?),
            #[cfg(feature = "sspi")]
            Proof::Password(password) => Means::Password(Arc::new(Password::new(password, &settings))),
        };
        Ok(Self { settings, means, steps: Arc::new(Semaphore::new(STEPS_MAX)) })
    }

    pub(super) const fn scheme(&self) -> Scheme {
        self.settings.scheme
    }

    /// The host of this number.
    pub(super) fn machine(&self, number: u32, name: &str) -> Machine {
        let (account, principal) = (account(name), self.settings.principal(name));
        let has = match &self.means {
            Means::Tickets(tickets) => Has::Tickets(tickets.of(number, &principal)),
            #[cfg(feature = "sspi")]
            Means::Password(password) => Has::Password(Arc::clone(password)),
        };
        Machine { account, principal, has }
    }

    /// A handshake with the collector of this name, over a connection that is known by `bindings`. An error is in
    /// words.
    pub(super) async fn begin(
        &self,
        machine: &Machine,
        collector: &str,
        bindings: Option<Vec<u8>>,
    ) -> Result<Handshake, String> {
        let service = self.settings.service(collector);
        let context: Box<dyn SecurityContext> = match &machine.has {
            Has::Tickets(held) => {
                let initiator = held.initiator(self).await;
                let mechanism = self.settings.scheme.mechanism();
                let context = initiator.and_then(|initiator| initiator.context(&service, mechanism));
                Box::new(context.map_err(|error| error.to_string())?)
            }
            #[cfg(feature = "sspi")]
            Has::Password(password) => {
                let context = password.context(&machine.account, &service);
                Box::new(context.map_err(|error| error.to_string())?)
            }
        };
        Ok(Handshake { context: Some(context), bindings })
    }

    /// Takes the collector's token, at first none.
    pub(super) async fn step(&self, handshake: &mut Handshake, token: Vec<u8>) -> Result<Step, Failure> {
        let Some(mut context) = handshake.context.take() else {
            return Err(Cause::Over.into());
        };
        let bindings = handshake.bindings.clone();
        let (context, step) = self
            .aside(move || {
                let step = context.step(&token, bindings.as_deref());
                (context, step)
            })
            .await;
        handshake.context = Some(context);
        step
    }

    /// On a thread that may wait. It keeps its turn where the host does not wait for it any more.
    async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let turn = Arc::clone(&self.steps).acquire_owned().await.expect("the semaphore is never closed");
        let done = spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        match done.await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

impl Machine {
    /// A text without this machine's name, so that the same failure of many is counted as one.
    pub(super) fn without_name(&self, text: &str) -> String {
        text.replace(&self.principal, "the machine").replace(&self.account, "the machine")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn settings(service: Option<&str>) -> DomainSettings {
        DomainSettings {
            proof: Proof::Keytab { path: "machines.keytab".into(), etypes: Vec::new() },
            realm: "CORP.EXAMPLE".into(),
            service: service.map(str::to_owned),
            scheme: Scheme::Kerberos,
        }
    }

    #[test]
    fn machines_and_services_are_called_as_in_their_domain() {
        let plain = settings(None);
        assert_eq!(plain.principal("ws-00001.corp.example"), "WS-00001$@CORP.EXAMPLE");
        assert_eq!(plain.service("wec.corp.example"), "HTTP/wec.corp.example@CORP.EXAMPLE");
        assert_eq!(settings(Some("HTTP/other")).service("wec"), "HTTP/other@CORP.EXAMPLE");
        assert_eq!(settings(Some("HTTP/other@B.EXAMPLE")).service("wec"), "HTTP/other@B.EXAMPLE");
    }
}
