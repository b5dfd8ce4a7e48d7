//! Signing in with a Kerberos ticket: the keytab in force, handshakes with hosts, and why one failed.
//!
//! ```text
//! token ─► one of few turns ─► the library, on a thread that may block ─┬─► Signed: who it is, and the seal
//!                                                                     ├─► More: another token is due
//!                                                                     └─► Denied: the cause, for an operator
//! ```
//! The library reads the keytab for each handshake, so a new one is in force as soon as it is there. What we look
//! at ourselves, once in a while, is whether it still makes sense.
//! Must not know: HTTP, what hosts are asked for.

use super::files::Stamp;
use super::gss::{Accepting, Acceptor, AcceptorSettings, Library, ReplayProtection, ReplaySettings, Trouble};
use super::handshake::{self, Established, Failure, SecurityContext};
use super::{MachineKey, Principal, Scheme};
use crate::event::Timestamp;
use crate::finding::Finding;
use crate::kerberos::Keytab;
use crate::kerberos::diagnose::{self, Cause, Evidence, KeytabState, Refusal, diagnose};
use crate::kerberos::keytab::{KEYTAB_BYTES_MAX, KeytabError};
use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::num::NonZero;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::Semaphore;

/// Kerberos tickets, as members of a domain have them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Keytab with the keys of the account that has `HTTP/<our name>`. Others must not be able to read it. It is
    /// read for each handshake; put a new one in place by renaming it.
    pub keytab: PathBuf,
    /// Services whose tickets are taken, such as `HTTP/wec.corp.example@CORP.EXAMPLE`; without any, all whose key
    /// is in the keytab.
    #[serde(default)]
    pub services: Vec<String>,
    /// File for what was accepted of late, by which a token that comes again is known after a restart, too.
    /// Without one, or where it cannot be written, memory serves, for ten minutes or twice the `clockskew` of
    /// `krb5.conf` where that is more.
    pub replay_cache: Option<PathBuf>,
}

/// Accepts tickets; one serves a source.
pub struct Tickets {
    config: Config,
    acceptor: Arc<Acceptor>,
    /// Handshakes that are worked on.
    turns: Arc<Semaphore>,
    /// The keytab and the trouble with the replay cache, as they were told of last.
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    stamp: Stamp,
    trouble: Option<Trouble>,
}

/// What a token of a host led to.
pub enum Shaken {
    /// It is to send another one, to the same context.
    More {
        token: Vec<u8>,
        context: Box<Accepting>,
    },
    Signed {
        token: Vec<u8>,
        principal: Principal,
        established: Box<Established>,
    },
}

/// Why a host is not signed in, and what it is told of that; empty if nothing.
#[derive(Debug)]
pub struct Denied {
    cause: Cause,
    pub token: Vec<u8>,
}

impl Denied {
    pub fn other(why: String) -> Self {
        Self { cause: Cause::Other { why }, token: Vec::new() }
    }

    /// One of `REASONS`.
    pub fn reason(&self) -> &'static str {
        self.cause.label()
    }
}

/// Every reason that there is for a host not to be signed in, in a word each.
pub const REASONS: [&str; Cause::LABELS.len()] = Cause::LABELS;

/// Handshakes at once for each processor: they wait for nothing but the disk of the replay cache.
const TURNS_PER_PROCESSOR: usize = 2;

impl Tickets {
    /// Loads the library and looks at the keytab. With it: what will be trouble.
    ///
    /// # Errors
    /// In words, why nobody could sign in.
    pub fn open(config: &Config) -> Result<(Self, Vec<Finding>), Finding> {
        let what = || "hosts cannot sign in with Kerberos".to_owned();
        let library = Library::load(Library::NAME).map_err(|missing| Finding {
            what: what(),
            why: missing.to_string(),
            fix: "install MIT Kerberos (`libgssapi-krb5-2` of Debian and Ubuntu, `krb5-libs` of Red Hat), or leave \
                  out `auth.kerberos`"
                .into(),
        })?;
        let stamp = Stamp::of([&config.keytab]);
        let mut findings = looked_at(&config.keytab).map_err(|cause| unusable(&cause, &config.keytab))?;
        let replay = ReplaySettings { file: config.replay_cache.clone(), ..ReplaySettings::default() };
        let settings =
            AcceptorSettings { keytab: config.keytab.clone(), replay, services: config.services.clone() };
        let acceptor = Acceptor::new(library, settings).map_err(|error| Finding {
            what: what(),
            why: error.to_string(),
            fix: "look at the keytab with `klist -ekt`, and at krb5.conf".into(),
        })?;
        if let ReplayProtection::MemoryInsteadOf { file, reason } = acceptor.replay_protection() {
            findings.push(no_file(file, reason));
        }
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        let tickets = Self {
            config: config.clone(),
            acceptor: Arc::new(acceptor),
            turns: Arc::new(Semaphore::new(processors * TURNS_PER_PROCESSOR)),
            told: Mutex::new(Told { stamp, trouble: None }),
        };
        Ok((tickets, findings))
    }

    /// What would keep hosts from signing in. Changes nothing, so the replay cache is not made.
    pub fn probe(config: &Config) -> Vec<Finding> {
        let mut findings = match Self::open(&Config { replay_cache: None, ..config.clone() }) {
            Ok((_, findings)) => findings,
            Err(finding) => vec![finding],
        };
        if let Some(file) = &config.replay_cache {
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            let found = std::fs::metadata(folder.unwrap_or_else(|| Path::new(".")));
            findings.extend(found.err().map(|error| no_file(file, &error.to_string())));
        }
        findings
    }

    /// What has become wrong with the keytab or the replay cache since it was looked at last.
    pub fn refresh(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let (stamp, trouble) = (Stamp::of([&self.config.keytab]), self.acceptor.replay_trouble());
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.stamp != stamp {
            told.stamp = stamp;
            match looked_at(&self.config.keytab) {
                Ok(found) => {
                    tracing::info!(keytab = %self.config.keytab.display(), "keytab replaced");
                    findings.extend(found);
                }
                Err(cause) => findings.push(unusable(&cause, &self.config.keytab)),
            }
        }
        if told.trouble != trouble {
            if let (Some(trouble), Some(file)) = (&trouble, &self.config.replay_cache) {
                findings.push(no_file(file, &trouble.to_string()));
            }
            told.trouble = trouble;
        }
        findings
    }

    /// Takes a token of a host. `context` is what the one before led to, `bound_to` what TLS is known by.
    pub async fn shake(
        &self,
        context: Option<Box<Accepting>>,
        token: Vec<u8>,
        bound_to: Option<Arc<[u8]>>,
    ) -> Result<Shaken, Denied> {
        let mut context = context.unwrap_or_else(|| Box::new(self.acceptor.context()));
        let keytab = self.config.keytab.clone();
        // Nobody closes it. The thread has it, which goes on also when the host has gone.
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok();
        let shaken = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let failed = |failure: Failure, token: &[u8]| {
                let cause = cause(&failure, token, &keytab);
                Denied { cause, token: failure.token }
            };
            let step =
                context.step(&token, bound_to.as_deref()).map_err(|failure| failed(failure, &token))?;
            let Some(established) = step.established else {
                return Ok(Shaken::More { token: step.token, context });
            };
            let Some(machine) = MachineKey::parse(&established.peer) else {
                let why = format!("`{}` is the name of no machine", established.peer.escape_debug());
                return Err(Denied::other(why));
            };
            let principal = Principal { name: established.peer.clone(), machine, scheme: Scheme::Kerberos };
            Ok(Shaken::Signed { token: step.token, principal, established })
        });
        shaken.await.unwrap_or_else(|error| {
            Err(Denied::other(format!("the handshake came to a sudden end: {error}")))
        })
    }

    /// What an operator is told of a host that was denied.
    pub fn finding(&self, denied: &Denied, host: &str) -> Finding {
        denied.cause.finding(host, &self.config.keytab.display().to_string())
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").field("config", &self.config).finish_non_exhaustive()
    }
}

/// A keytab as it was found.
enum Found {
    Read(Keytab, u32),
    Missing,
    Unreadable(String),
    Damaged(KeytabError),
}

impl Found {
    fn at(path: &Path) -> Self {
        let read = || -> io::Result<(Vec<u8>, u32)> {
            let file = File::open(path)?;
            let mode = file.metadata()?.mode();
            let mut bytes = Vec::new();
            file.take(KEYTAB_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
            Ok((bytes, mode))
        };
        match read() {
            Ok((bytes, mode)) => match Keytab::parse(&bytes) {
                Ok(keytab) => Self::Read(keytab, mode),
                Err(error) => Self::Damaged(error),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Missing,
            Err(error) => Self::Unreadable(error.to_string()),
        }
    }

    fn state(&self) -> KeytabState<'_> {
        match self {
            Self::Read(keytab, _) => KeytabState::Read(keytab),
            Self::Missing => KeytabState::Missing,
            Self::Unreadable(why) => KeytabState::Unreadable { why },
            Self::Damaged(error) => KeytabState::Damaged(error),
        }
    }
}

/// What is to be said of a keytab that can be used, or why it cannot be.
fn looked_at(path: &Path) -> Result<Vec<Finding>, Cause> {
    match Found::at(path) {
        Found::Read(keytab, _) if keytab.entries.is_empty() => Err(Cause::KeytabEmpty),
        Found::Read(_, mode) => {
            Ok(diagnose::exposed(mode, &path.display().to_string()).into_iter().collect())
        }
        Found::Missing => Err(Cause::KeytabMissing),
        Found::Unreadable(why) => Err(Cause::KeytabUnreadable { why }),
        Found::Damaged(error) => Err(Cause::KeytabDamaged(error)),
    }
}

fn unusable(cause: &Cause, keytab: &Path) -> Finding {
    let finding = cause.finding("", &keytab.display().to_string());
    Finding { what: "hosts cannot sign in with Kerberos".into(), ..finding }
}

fn no_file(file: &Path, reason: &str) -> Finding {
    Finding {
        what: format!("the replay cache {} cannot be written; memory does its part", file.display()),
        why: reason.into(),
        fix: "give it a folder that only forebay can write and that has room: a token that was taken less than ten \
              minutes before a restart could be sent again after it"
            .into(),
    }
}

/// Why a handshake failed.
fn cause(failure: &Failure, token: &[u8], keytab: &Path) -> Cause {
    let said = failure.to_string();
    let refusal = match &failure.cause {
        handshake::Cause::Library(Trouble { major, minor, text }) => {
            Refusal::Library { major: *major, minor: *minor, text, answer: &failure.token }
        }
        handshake::Cause::Replay => Refusal::Replayed,
        handshake::Cause::ReplayCacheFull { .. } => Refusal::Memory { why: &said },
        _ => Refusal::Other { why: &said },
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp(i64::try_from(now.as_nanos()).unwrap_or(i64::MAX));
    diagnose(&Evidence { token, refusal, keytab: Found::at(keytab).state(), now })
}
