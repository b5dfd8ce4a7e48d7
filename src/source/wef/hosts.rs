//! The host table: who delivers, since when, how much, and what is wrong with it.
//!
//! | file | what |
//! |---|---|
//! | `host` | what is known of one machine |
//! | `keep` | the table across restarts, in the basin's state |
//! | `recall` | keeps it while a collector runs; forgets |
//! | `view` | the table as it is shown |
//! | `denied` | peers that could not sign in |
//!
//! Promise: bounded (`HOSTS_MAX`); an update costs a lock that other hosts hardly ever hold. What it says
//! after a crash is as old as its last write. Must not know: HTTP, messages.

mod denied;
pub(super) mod host;
mod keep;
mod recall;
mod view;

use crate::event::Timestamp;
use crate::finding::Finding;
use denied::Denied;
use host::Host;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Hosts that are followed. More are served all the same.
pub(super) const HOSTS_MAX: usize = 200_000;
/// Parts of the table, each with a lock of its own, and each kept as one value.
const SHARDS: usize = 64;

/// All hosts of one source.
#[derive(Debug)]
pub(super) struct Hosts {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    denied: Denied,
}

#[derive(Debug, Default)]
struct Shard {
    hosts: HashMap<Box<str>, Host>,
    /// Something was noted since it was kept.
    changed: bool,
}

impl Hosts {
    pub(super) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, hasher: RandomState::new(), denied: Denied::default() }
    }

    /// Changes what is known of a machine, which was heard of now.
    pub(super) fn heard<R>(
        &self,
        machine: &str,
        now: Timestamp,
        change: impl FnOnce(&mut Host) -> R,
    ) -> Option<R> {
        let mut shard = self.shard(machine);
        if !shard.hosts.contains_key(machine) {
            if shard.hosts.len() >= HOSTS_MAX / SHARDS {
                return None;
            }
            shard.hosts.insert(machine.into(), Host { first_seen: now, ..Host::default() });
        }
        shard.changed = true;
        let host = shard.hosts.get_mut(machine)?;
        host.last_seen = now;
        Some(change(host))
    }

    /// Notes what is wrong with a machine. The finding, when nothing of its kind was told of that
    /// machine lately.
    pub(super) fn trouble(
        &self,
        machine: &str,
        kind: &'static str,
        now: Timestamp,
        finding: impl FnOnce() -> Finding,
    ) -> Option<Finding> {
        let told = self.heard(machine, now, |host| {
            host.findings += 1;
            host.may_tell(kind, now).then(|| {
                let finding = finding();
                host.last_finding = Some(format!("{}: {}", finding.what, finding.why).into());
                finding
            })
        });
        told.flatten()
    }

    /// Somebody at this address could not sign in.
    pub(super) fn denied(&self, address: IpAddr, reason: &'static str, finding: &Finding, now: Timestamp) {
        self.denied.note(address, reason, finding, now);
    }

    /// When somebody who had signed in was last heard of at each address.
    fn heard_at(&self) -> HashMap<IpAddr, Timestamp> {
        let mut heard = HashMap::new();
        for shard in &self.shards {
            for host in lock(shard).hosts.values() {
                let Some(address) = host.address else { continue };
                let last: &mut Timestamp = heard.entry(address).or_default();
                *last = host.last_seen.max(*last);
            }
        }
        heard
    }

    /// Forgets who was not heard of for so long; their names.
    pub(super) fn forget(&self, after: Duration, now: Timestamp) -> Vec<Box<str>> {
        let before = now.0.saturating_sub(host::nanos(after));
        let heard = self.heard_at();
        self.denied.forget(before, |address, denied| heard.get(&address).is_some_and(|at| *at > denied));
        let mut gone = Vec::new();
        for shard in &self.shards {
            let mut shard = lock(shard);
            let silent = shard.hosts.extract_if(|_, host| host.last_seen.0 < before);
            let names: Vec<_> = silent.map(|(name, _)| name).collect();
            shard.changed |= !names.is_empty();
            gone.extend(names);
        }
        gone
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).hosts.len()).sum()
    }

    fn shard(&self, machine: &str) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(machine) as usize;
        lock(&self.shards[hash % SHARDS])
    }
}

// A panic elsewhere leaves at most one host's figures behind.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
