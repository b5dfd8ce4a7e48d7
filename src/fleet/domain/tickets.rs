//! Hosts that have keys: each fetches its tickets with its own, and keeps them as long as they are good, however
//! often it connects.
//!
//! The library reads a keytab from its beginning for each key it looks for, so one of thousands of machines
//! would be read thousands of times. It is taken apart into files of a few machines, which are only in memory.
//! Must not know: HTTP.

use super::{Domain, DomainError, DomainSettings, account};
use crate::auth::gss::{Identity, Initiator, InitiatorError, Library};
use crate::kerberos::keytab::{Entry, KEYTAB_BYTES_MAX};
use crate::kerberos::{Etype, Keytab};
use rustix::fs::{MemfdFlags, memfd_create};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::OnceCell;

/// Machines in one file: few enough to be read in no time, and enough to need few files.
const MACHINES_PER_FILE: usize = 64;

/// The keys of all hosts.
pub(super) struct Tickets {
    library: Library,
    etypes: Arc<[Etype]>,
    /// Keys of `MACHINES_PER_FILE` hosts each, in their order. They are there as long as they are open.
    files: Vec<File>,
    /// Tells its caches from those of other fleets in this process.
    number: u32,
}

/// What one host has.
pub(super) struct Held {
    library: Library,
    etypes: Arc<[Etype]>,
    identity: Identity,
    initiator: OnceCell<Initiator>,
}

static FLEETS: AtomicU32 = AtomicU32::new(0);

impl Tickets {
    pub(super) fn new(
        path: &Path,
        etypes: &[Etype],
        settings: &DomainSettings,
        hosts: &[String],
    ) -> Result<Self, DomainError> {
        let library = Library::load(Library::NAME)?;
        let files = taken_apart(&read(path)?, path, settings, hosts)?;
        Ok(Self { library, etypes: etypes.into(), files, number: FLEETS.fetch_add(1, Ordering::Relaxed) })
    }

    /// The host of this number.
    pub(super) fn of(&self, number: u32, principal: &str) -> Held {
        let file = &self.files[number as usize / MACHINES_PER_FILE];
        let identity = Identity::Keytab {
            name: format!("FILE:/proc/self/fd/{}", file.as_raw_fd()),
            principal: principal.into(),
            cache: format!("MEMORY:fleet-{}-{number}", self.number),
        };
        let (library, etypes) = (self.library.clone(), Arc::clone(&self.etypes));
        Held { library, etypes, identity, initiator: OnceCell::new() }
    }
}

impl Held {
    /// Made once.
    pub(super) async fn initiator(&self, domain: &Domain) -> Result<&Initiator, InitiatorError> {
        let make = || async {
            let (library, identity) = (self.library.clone(), self.identity.clone());
            let etypes = Arc::clone(&self.etypes);
            domain.aside(move || Initiator::new(library, &identity, &etypes)).await
        };
        self.initiator.get_or_try_init(make).await
    }
}

fn read(path: &Path) -> Result<Keytab, DomainError> {
    let failed = |source| DomainError::Read { path: path.into(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(KEYTAB_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    let keytab = Keytab::parse(&bytes);
    zeroize::Zeroize::zeroize(&mut bytes);
    keytab.map_err(|source| DomainError::NoKeytab { path: path.into(), source })
}

/// The keys of the hosts, some in each file.
fn taken_apart(
    keytab: &Keytab,
    path: &Path,
    settings: &DomainSettings,
    hosts: &[String],
) -> Result<Vec<File>, DomainError> {
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
        let (path, principal) = (path.into(), settings.principal(first));
        return Err(DomainError::NoKey { path, principal, missing });
    }
    let file_of = |hosts: &[String]| {
        let keys = hosts.iter().filter_map(|host| known.get(account(host).as_str()));
        let entries = keys.flatten().map(|&entry| entry.clone()).collect();
        kept(&Keytab { entries }).map_err(DomainError::Memory)
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
    use super::super::tests::settings;
    use super::*;
    use crate::event::Timestamp;
    use crate::kerberos::{Key, Name};

    const PATH: &str = "machines.keytab";

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
    fn each_file_has_the_keys_of_its_machines_and_no_others() {
        let hosts: Vec<String> = (0..100).map(|number| format!("ws-{number:05}.corp.example")).collect();
        let mut entries = vec![entry("WEC$", "CORP.EXAMPLE", 1), entry("WS-00000$", "OTHER.EXAMPLE", 1)];
        for host in hosts.iter().rev() {
            entries.extend([2, 3].map(|kvno| entry(&account(host), "CORP.EXAMPLE", kvno)));
        }
        let files = taken_apart(&Keytab { entries }, PATH.as_ref(), &settings(None), &hosts).unwrap();
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
        let told = taken_apart(&keytab, PATH.as_ref(), &settings(None), &hosts).unwrap_err().to_string();
        let expected = "machines.keytab has no key of WS-2$@CORP.EXAMPLE, nor of another host; ";
        assert!(told.contains(expected), "{told}");
    }
}
