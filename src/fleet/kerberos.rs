//! What hosts prove themselves with in a domain: the keys of all machines in one keytab, and the tickets that
//! each fetches with its own.
//!
//! The library reads a keytab from its beginning for each key it looks for, so one of thousands of machines
//! would be read thousands of times. It is taken apart into files of a few machines, which are only in memory.
//! Handshakes are blocking calls that may wait for the key distribution centre: blocking threads make them, a
//! bounded number at once.
//! Promise: a host's tickets are fetched once and kept for the run, however often it connects.
//! Must not know: HTTP.

use crate::auth::gss::{Identity, Initiating, Initiator, InitiatorError, Library, Mechanism, Missing};
use crate::auth::handshake::{Cause, Failure, SecurityContext, Step};
use crate::kerberos::keytab::{Entry, KEYTAB_BYTES_MAX, KeytabError};
use crate::kerberos::{Etype, Keytab};
use crate::wsman::multipart::Protocol;
use rustix::fs::{MemfdFlags, memfd_create};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use thiserror::Error;
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::spawn_blocking;

/// How hosts sign in by Kerberos.
#[derive(Clone, Debug)]
pub struct KerberosSettings {
    /// Keys of all machines.
    pub keytab: PathBuf,
    pub realm: String,
    /// The collector's principal, in place of `HTTP/` and the host of the address.
    pub service: Option<String>,
    pub scheme: Scheme,
    /// Encryption types of tickets and keys; none are all that the library has.
    pub etypes: Vec<Etype>,
}

/// What hosts write before a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// The token of Kerberos as it is.
    #[default]
    Kerberos,
    /// Within SPNEGO.
    Negotiate,
}

#[derive(Debug, Error)]
pub enum KerberosError {
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
/// Machines in one file: few enough to be read in no time, and enough to need few files.
const MACHINES_PER_FILE: usize = 64;

/// What all hosts of a fleet have in common.
pub(super) struct Kerberos {
    library: Library,
    settings: KerberosSettings,
    /// Keys of `MACHINES_PER_FILE` hosts each, in their order. They are there as long as they are open.
    files: Vec<File>,
    steps: Arc<Semaphore>,
    /// Tells its caches from those of other fleets in this process.
    number: u32,
}

/// One host: who it is, and its tickets.
pub(super) struct Machine {
    principal: String,
    identity: Identity,
    initiator: OnceCell<Initiator>,
}

/// A handshake that a host has begun.
pub(super) struct Handshake {
    context: Option<Initiating>,
    bindings: Option<Vec<u8>>,
}

impl Scheme {
    /// As in `Authorization`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Kerberos => "Kerberos",
            Self::Negotiate => "Negotiate",
        }
    }

    pub(super) const fn protocol(self) -> Protocol {
        match self {
            Self::Kerberos => Protocol::Kerberos,
            Self::Negotiate => Protocol::Spnego,
        }
    }

    const fn mechanism(self) -> Mechanism {
        match self {
            Self::Kerberos => Mechanism::Kerberos,
            Self::Negotiate => Mechanism::Spnego,
        }
    }
}

impl KerberosSettings {
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

static FLEETS: AtomicU32 = AtomicU32::new(0);

impl Kerberos {
    /// For hosts of these names, in their order.
    pub(super) fn new(settings: KerberosSettings, hosts: &[String]) -> Result<Self, KerberosError> {
        let library = Library::load(Library::NAME)?;
        let keytab = read(&settings.keytab)?;
        let files = taken_apart(&keytab, &settings, hosts)?;
        let (steps, number) = (Arc::new(Semaphore::new(STEPS_MAX)), FLEETS.fetch_add(1, Ordering::Relaxed));
        Ok(Self { library, settings, files, steps, number })
    }

    pub(super) const fn scheme(&self) -> Scheme {
        self.settings.scheme
    }

    /// The host of this number.
    pub(super) fn machine(&self, number: u32, name: &str) -> Machine {
        let file = &self.files[number as usize / MACHINES_PER_FILE];
        let principal = self.settings.principal(name);
        let identity = Identity::Keytab {
            name: format!("FILE:/proc/self/fd/{}", file.as_raw_fd()),
            principal: principal.clone(),
            cache: format!("MEMORY:fleet-{}-{number}", self.number),
        };
        Machine { principal, identity, initiator: OnceCell::new() }
    }

    /// A handshake with the collector of this name, over a connection that is known by `bindings`.
    pub(super) async fn begin(
        &self,
        machine: &Machine,
        collector: &str,
        bindings: Option<Vec<u8>>,
    ) -> Result<Handshake, InitiatorError> {
        let made = machine.initiator.get_or_try_init(|| async {
            let (library, identity) = (self.library.clone(), machine.identity.clone());
            let etypes = self.settings.etypes.clone();
            self.aside(move || Initiator::new(library, &identity, &etypes)).await
        });
        let initiator = made.await?;
        let context =
            initiator.context(&self.settings.service(collector), self.settings.scheme.mechanism())?;
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
        text.replace(&self.principal, "the machine")
    }
}

fn read(path: &Path) -> Result<Keytab, KerberosError> {
    let failed = |source| KerberosError::Read { path: path.into(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(KEYTAB_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    let keytab = Keytab::parse(&bytes);
    zeroize::Zeroize::zeroize(&mut bytes);
    keytab.map_err(|source| KerberosError::NoKeytab { path: path.into(), source })
}

/// The keys of the hosts, some in each file.
fn taken_apart(
    keytab: &Keytab,
    settings: &KerberosSettings,
    hosts: &[String],
) -> Result<Vec<File>, KerberosError> {
    let mut known: HashMap<&str, Vec<&Entry>> = HashMap::new();
    for entry in &keytab.entries {
        if let [account] = &*entry.principal.parts
            && *entry.realm == *settings.realm
        {
            known.entry(account).or_default().push(entry);
        }
    }
    let missing = |host: &&String| !known.contains_key(account(host).as_str());
    if let Some(first) = hosts.iter().find(missing) {
        let missing = hosts.iter().filter(missing).count();
        let (path, principal) = (settings.keytab.clone(), settings.principal(first));
        return Err(KerberosError::NoKey { path, principal, missing });
    }
    let file_of = |hosts: &[String]| {
        let keys = hosts.iter().filter_map(|host| known.get(account(host).as_str()));
        let entries = keys.flatten().map(|&entry| entry.clone()).collect();
        kept(&Keytab { entries }).map_err(KerberosError::Memory)
    };
    hosts.chunks(MACHINES_PER_FILE).map(file_of).collect()
}

/// A file of this process that is on no disk.
fn kept(keytab: &Keytab) -> io::Result<File> {
    let mut file = File::from(memfd_create("keytab", MemfdFlags::CLOEXEC)?);
    file.write_all(&keytab.to_bytes())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timestamp;
    use crate::kerberos::{Key, Name};

    fn settings(service: Option<&str>) -> KerberosSettings {
        KerberosSettings {
            keytab: "machines.keytab".into(),
            realm: "CORP.EXAMPLE".into(),
            service: service.map(str::to_owned),
            scheme: Scheme::Kerberos,
            etypes: Vec::new(),
        }
    }

    fn entry(account: &str, realm: &str, kvno: u32) -> Entry {
        Entry {
            realm: realm.into(),
            principal: Name::new(1, [account]),
            kvno,
            written_at: Timestamp(0),
            key: Key::new(Etype::AES256_SHA1, &[kvno as u8; 32]),
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

    #[test]
    fn each_file_has_the_keys_of_its_machines_and_no_others() {
        let hosts: Vec<String> = (0..100).map(|number| format!("ws-{number:05}.corp.example")).collect();
        let mut entries = vec![entry("WEC$", "CORP.EXAMPLE", 1), entry("WS-00000$", "OTHER.EXAMPLE", 1)];
        for host in hosts.iter().rev() {
            entries.extend([2, 3].map(|kvno| entry(&account(host), "CORP.EXAMPLE", kvno)));
        }
        let files = taken_apart(&Keytab { entries }, &settings(None), &hosts).unwrap();
        assert_eq!(files.len(), 2);
        let first = std::fs::read(format!("/proc/self/fd/{}", files[0].as_raw_fd())).unwrap();
        let first = Keytab::parse(&first).unwrap();
        assert_eq!(first.entries.len(), 2 * MACHINES_PER_FILE);
        assert_eq!(first.entries[..2], [2, 3].map(|kvno| entry("WS-00000$", "CORP.EXAMPLE", kvno)));
    }

    #[test]
    fn a_machine_without_a_key_is_told_before_anything_begins() {
        let hosts = ["ws-1.corp.example".to_owned(), "ws-2.corp.example".into(), "ws-3.corp.example".into()];
        let keytab = Keytab { entries: vec![entry("WS-1$", "CORP.EXAMPLE", 1)] };
        let told = taken_apart(&keytab, &settings(None), &hosts).unwrap_err().to_string();
        let expected = "machines.keytab has no key of WS-2$@CORP.EXAMPLE, nor of another host; ";
        assert!(told.contains(expected), "{told}");
    }
}
