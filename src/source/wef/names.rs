//! Which machine a name is of, where the name alone does not say.
//!
//! ```text
//! ACCOUNTING-SERV$  ─► the one known machine whose whole name begins so ─► its key
//!                      none, several, or it calls itself otherwise ──────► a key of its own
//! one name, record ids of two machines in turns ─────────────────────────► a stream for each address
//!
//! <source>//names/<key of the cut name>          = the whole name it goes with
//! <source>/<machine>@<address>/<subscription>    = the bookmark of one of several with one name
//! ```
//! What a machine calls itself keeps two names apart; it brings a cut and a whole one together only when
//! that whole name is proved too. Where several machines could be meant, none is.
//!
//! Promise: no machine is given a bookmark of another that is known. Must not know: messages, the basin.

use super::hosts::HOSTS_MAX;
use crate::auth::MachineKey;
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// What is known of the names of a source's machines.
#[derive(Debug)]
pub(super) struct Names {
    source: Box<str>,
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Machines whose names an account cuts, by the key of that account.
    whole: HashMap<MachineKey, Vec<MachineKey>>,
    /// Machines in it.
    count: usize,
    /// The whole name that a cut one goes with, or would if it were known: it called itself so when
    /// no machine was.
    goes_with: HashMap<MachineKey, MachineKey>,
    /// Cut names of which that has changed since it was kept.
    changed: HashSet<MachineKey>,
    /// Machines whose name others have too.
    shared: HashSet<Box<str>>,
}

impl Names {
    /// `kept` is all that the basin has of the source.
    pub(super) fn recall(source: &str, kept: &[(Box<str>, Bytes)]) -> Self {
        let (own, names) = (format!("{source}/"), prefix(source));
        let mut known = Known::default();
        for (key, value) in kept {
            if let Some(cut) = key.strip_prefix(&*names) {
                let whole = std::str::from_utf8(value).ok().and_then(MachineKey::parse);
                if let (Some(cut), Some(whole)) = (MachineKey::parse(cut), whole) {
                    known.goes_with.insert(cut, whole);
                }
                continue;
            }
            let Some((machine, _)) = key.strip_prefix(&*own).and_then(|key| key.split_once('/')) else {
                continue;
            };
            let machine = match machine.split_once('@') {
                Some((machine, _)) => {
                    known.shared.insert(machine.into());
                    machine
                }
                None => machine,
            };
            if let Some((machine, cut)) = MachineKey::parse(machine).and_then(with_cut) {
                known.meet(&machine, cut);
            }
        }
        Self { source: source.into(), known: RwLock::new(known) }
    }

    /// Notes a machine by its whole name.
    pub(super) fn met(&self, machine: &MachineKey) {
        let Some(cut) = machine.cut() else { return };
        if self.read().whole.get(&cut).is_none_or(|known| !known.contains(machine)) {
            self.write().meet(machine, cut);
        }
    }

    /// The machine that a cut name is of. `said` is what it calls itself; `has_own` tells whether it has
    /// left something under its cut name.
    pub(super) fn whole(
        &self,
        cut: &MachineKey,
        said: Option<&str>,
        has_own: impl FnOnce() -> bool,
    ) -> MachineKey {
        let said = said.and_then(MachineKey::parse).filter(|said| said.cut().as_ref() == Some(cut));
        let found = {
            let known = self.read();
            let before = known.goes_with.get(cut);
            let machines = known.whole.get(cut).map_or(&[][..], Vec::as_slice);
            let found = match (before, machines) {
                (Some(before), _) => machines.contains(before).then_some(before),
                (None, [machine]) => Some(machine),
                (None, _) => None,
            };
            let found = found.filter(|found| said.as_ref().is_none_or(|said| said == *found));
            if found.is_some() && found == before {
                return found.cloned().unwrap_or_else(|| cut.clone());
            }
            // Where no machine is known, what it calls itself may be that of one which comes later.
            let later = said.clone().filter(|said| machines.is_empty() && Some(said) != before);
            (found.cloned(), later)
        };
        match found {
            (Some(found), _) if said.is_some() || !has_own() => {
                self.write().note(cut, &found);
                found
            }
            (_, later) => {
                if let Some(later) = later {
                    self.write().note(cut, &later);
                }
                cut.clone()
            }
        }
    }

    /// The cut name under which a machine may have left what it has not left under its own.
    pub(super) fn earlier(&self, machine: &MachineKey) -> Option<MachineKey> {
        let cut = machine.cut()?;
        (self.read().goes_with.get(&cut) == Some(machine)).then_some(cut)
    }

    /// Notes that a machine is several.
    pub(super) fn share(&self, machine: &str) {
        if !self.is_shared(machine) {
            self.write().shared.insert(machine.into());
        }
    }

    pub(super) fn is_shared(&self, machine: &str) -> bool {
        self.read().shared.contains(machine)
    }

    pub(super) fn forget(&self, machine: &str) {
        let mut known = self.write();
        known.shared.remove(machine);
        let Some((machine, cut)) = MachineKey::parse(machine).and_then(with_cut) else { return };
        if let Some(machines) = known.whole.get_mut(&cut) {
            let before = machines.len();
            machines.retain(|known| *known != machine);
            let gone = before - machines.len();
            if machines.is_empty() {
                known.whole.remove(&cut);
            }
            known.count -= gone;
        }
        if known.goes_with.get(&cut) == Some(&machine) {
            known.goes_with.remove(&cut);
            known.changed.insert(cut);
        }
    }

    /// What to keep: key and value of each name of which something has changed since the last call.
    pub(super) fn changed(&self) -> Vec<(Box<str>, Bytes)> {
        let mut known = self.write();
        let changed = std::mem::take(&mut known.changed);
        let kept = changed.into_iter().map(|cut| {
            let whole = known.goes_with.get(&cut).map(|whole| Bytes::from(whole.to_string()));
            (format!("{}{cut}", prefix(&self.source)).into(), whole.unwrap_or_default())
        });
        kept.collect()
    }

    /// What was to be kept was not.
    pub(super) fn not_kept(&self, key: &str) {
        if let Some(cut) = key.strip_prefix(&*prefix(&self.source)).and_then(MachineKey::parse) {
            self.write().changed.insert(cut);
        }
    }

    // Each change is of one entry.
    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn meet(&mut self, machine: &MachineKey, cut: MachineKey) {
        let machines = self.whole.entry(cut).or_default();
        // A second one must not be missed; a third changes nothing.
        let is_room = self.count < HOSTS_MAX || machines.len() == 1;
        if is_room && !machines.contains(machine) {
            machines.push(machine.clone());
            self.count += 1;
        }
    }

    fn note(&mut self, cut: &MachineKey, whole: &MachineKey) {
        self.goes_with.insert(cut.clone(), whole.clone());
        self.changed.insert(cut.clone());
    }
}

fn with_cut(machine: MachineKey) -> Option<(MachineKey, MachineKey)> {
    let cut = machine.cut()?;
    Some((machine, cut))
}

/// No machine has an empty name.
fn prefix(source: &str) -> String {
    format!("{source}//names/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "ACCOUNTING-SERV$@CORP.EXAMPLE";
    const FIRST: &str = "accounting-server-1.corp.example";
    const SECOND: &str = "accounting-server-2.corp.example";

    fn key(name: &str) -> MachineKey {
        MachineKey::parse(name).unwrap()
    }

    fn names(met: &[&str]) -> Names {
        let names = Names::recall("dc", &[]);
        met.iter().for_each(|name| names.met(&key(name)));
        names
    }

    #[track_caller]
    fn check(names: &Names, said: Option<&str>, has_own: bool, expected: &str) {
        assert_eq!(names.whole(&key(ACCOUNT), said, || has_own), key(expected), "{said:?}");
    }

    #[test]
    fn a_cut_name_is_that_of_the_only_machine_it_can_be() {
        for said in [None, Some("ACCOUNTING-SERV"), Some(FIRST), Some("dc1.corp.example")] {
            check(&names(&[FIRST, "accounting-server-1.other.example"]), said, false, FIRST);
        }
        check(&names(&["accounting-serv.corp.example"]), None, false, "accounting-serv.corp.example");
        check(&names(&[]), None, false, ACCOUNT);
        check(&names(&[FIRST, SECOND]), None, false, ACCOUNT);
        check(&names(&[FIRST, SECOND]), Some(FIRST), false, ACCOUNT);
        check(&names(&[FIRST]), Some(SECOND), false, ACCOUNT);
    }

    #[test]
    fn whom_it_goes_with_stays_when_others_come() {
        let names = names(&[FIRST]);
        check(&names, None, false, FIRST);
        names.met(&key(SECOND));
        check(&names, None, false, FIRST);
        check(&names, Some(SECOND), false, ACCOUNT);
        check(&names, None, false, FIRST);
    }

    #[test]
    fn what_it_left_under_the_cut_name_is_not_given_up_without_reason() {
        check(&names(&[FIRST]), None, true, ACCOUNT);
        check(&names(&[FIRST]), Some(FIRST), true, FIRST);
    }

    #[test]
    fn a_machine_that_was_known_by_its_cut_name_goes_on_from_there() {
        let names = names(&[]);
        check(&names, Some(FIRST), false, ACCOUNT);
        names.met(&key(SECOND));
        assert_eq!(names.earlier(&key(SECOND)), None, "it called itself otherwise");
        check(&names, None, true, ACCOUNT);
        names.met(&key(FIRST));
        assert_eq!(names.earlier(&key(FIRST)), Some(key(ACCOUNT)));
        check(&names, Some(FIRST), true, FIRST);
    }

    #[test]
    fn what_is_known_outlives_a_restart() {
        let names = names(&[FIRST]);
        check(&names, None, false, FIRST);
        let mut kept = names.changed();
        assert!(kept[0].0.starts_with("dc//names/") && names.changed().is_empty());
        names.not_kept(&kept[0].0);
        assert_eq!(names.changed(), kept);
        for machine in [FIRST, SECOND, "pc1@192.0.2.7"] {
            kept.push((format!("dc/{machine}/id").into(), Bytes::new()));
        }
        let again = Names::recall("dc", &kept);
        check(&again, None, false, FIRST);
        assert!(again.is_shared("pc1") && !again.is_shared(FIRST));
        again.forget("pc1");
        again.forget(FIRST);
        assert!(!again.is_shared("pc1"));
        assert_eq!(again.changed(), [(kept[0].0.clone(), Bytes::new())]);
        check(&again, None, false, SECOND);
    }
}
