//! Basic authentication: a user and a password in each request, checked against a file.
//!
//! ```text
//! sign_in ─► known to be good? ── yes ───────────────────────────────────────► Principal
//!               └ no ─► tried too often? ─► a place among the few that hash ─► argon2 ─► Principal
//! ```
//! | file | what |
//! |---|---|
//! | `basic/passwords` | the file |
//! | `basic/backoff` | who has to wait |
//!
//! Hashing costs milliseconds and megabytes, on purpose. So few hash at once, and what was found good is
//! remembered as a keyed digest, which is why somebody else's failures never lock a user out who is
//! already here. A name that is not in the file costs as much as one that is.
//!
//! Promise: bounded in memory and processor time, whatever is tried. No password is kept, shown or logged.
//! Must not know: HTTP.

mod backoff;
mod passwords;

use super::Principal;
use super::files::Stamp;
use crate::finding::Finding;
use argon2::{Argon2, PasswordHash, PasswordVerifier};
use backoff::Backoff;
use passwords::Table;
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// User and password, for tests. Windows hosts sign in by certificate or Kerberos.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// File of lines `MACHINE:$argon2id$…`, as `argon2 SALT -id -e` writes the hash. Others must not be able to
    /// read it. A change is noticed.
    pub passwords: PathBuf,
}

/// Those who may sign in.
pub struct Passwords {
    path: PathBuf,
    current: Mutex<Current>,
    backoff: Mutex<Backoff>,
    hashing: Semaphore,
    waiting: AtomicUsize,
    /// Of the digests of what was found good; drawn at the start.
    key: [u8; 32],
}

/// Why somebody is not signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    Wrong,
    /// This address or this user failed too often lately.
    TooOften {
        wait: Duration,
    },
    /// Too many are being checked.
    Busy,
}

struct Current {
    table: Arc<Table>,
    stamp: Stamp,
    /// Digest of what each user last signed in with; forgotten with the table.
    good: HashMap<Box<str>, [u8; 32]>,
}

/// Hashes at once; each takes 19 MiB as a rule.
const HASHING_MAX: usize = 2;
/// Those who wait for one of them.
const WAITING_MAX: usize = 64;
const HASHING_TIME_MAX: Duration = Duration::from_secs(10);

impl Passwords {
    /// Reads the file.
    ///
    /// # Errors
    /// In words, why it cannot be used.
    pub fn open(path: &Path) -> Result<Self, Finding> {
        let stamp = Stamp::of([path]);
        let table = Arc::new(Table::read(path)?);
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| Finding {
            what: "passwords cannot be checked".into(),
            why: format!("the system has no random numbers: {error}"),
            fix: "see why /dev/urandom cannot be read".into(),
        })?;
        Ok(Self {
            path: path.into(),
            current: Mutex::new(Current { table, stamp, good: HashMap::new() }),
            backoff: Mutex::default(),
            hashing: Semaphore::new(HASHING_MAX),
            waiting: AtomicUsize::new(0),
            key,
        })
    }

    /// Reads the file again if it has changed. The old one stays in force while the new one cannot be used.
    pub fn refresh(&self) -> Option<Finding> {
        let stamp = Stamp::of([&self.path]);
        if self.lock().stamp == stamp {
            return None;
        }
        let table = Table::read(&self.path);
        let mut current = self.lock();
        current.stamp = stamp;
        match table {
            Ok(table) => {
                current.table = Arc::new(table);
                current.good.clear();
                None
            }
            Err(finding) => Some(finding),
        }
    }

    /// Who this is, if the password is right.
    pub async fn sign_in(&self, user: &str, password: &str, address: IpAddr) -> Result<Principal, Denied> {
        let digest = self.digest(user, password);
        let table = {
            let current = self.lock();
            if current.good.get(user) == Some(&digest) {
                return current.table.principal(user).ok_or(Denied::Wrong);
            }
            Arc::clone(&current.table)
        };
        if let Some(wait) = self.backoff().wait(address, user, Instant::now()) {
            return Err(Denied::TooOften { wait });
        }
        let is_right = self.verify(table.hash(user).to_owned(), password.to_owned()).await?;
        let principal = table.principal(user).filter(|_| is_right);
        let Some(principal) = principal else {
            self.backoff().failed(address, user, Instant::now());
            return Err(Denied::Wrong);
        };
        self.backoff().succeeded(address, user);
        let mut current = self.lock();
        if Arc::ptr_eq(&current.table, &table) {
            current.good.insert(user.into(), digest);
        }
        Ok(principal)
    }

    /// Off the worker, a few at a time.
    async fn verify(&self, hash: PasswordHash, password: String) -> Result<bool, Denied> {
        let _waiting = Waiting::begin(&self.waiting).ok_or(Denied::Busy)?;
        let permit = tokio::time::timeout(HASHING_TIME_MAX, self.hashing.acquire()).await;
        let Ok(Ok(_permit)) = permit else { return Err(Denied::Busy) };
        let verify = move || Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
        tokio::task::spawn_blocking(verify).await.map_err(|_| Denied::Busy)
    }

    fn digest(&self, user: &str, password: &str) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(self.key);
        hasher.update((user.len() as u64).to_le_bytes());
        hasher.update(user.as_bytes());
        hasher.update(password.as_bytes());
        hasher.finalize().into()
    }

    // Both are changed in single steps.
    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn backoff(&self) -> MutexGuard<'_, Backoff> {
        self.backoff.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").field("path", &self.path).finish_non_exhaustive()
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Option<Self> {
        let waiting = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < WAITING_MAX).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn unusable(path: &Path, why: impl fmt::Display, fix: &str) -> Finding {
    Finding {
        what: format!("the password file {} cannot be used", path.display()),
        why: why.to_string(),
        fix: fix.into(),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Finding {
    unusable(path, error, "see that the file is there and that the user of forebay may read it")
}

#[cfg(test)]
mod tests;
