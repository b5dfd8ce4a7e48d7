//! The table across restarts: a value of the basin's state for each shard that changed.
//!
//! Written now and then and at the end, not with each delivery: it is for people, and a crash costs the
//! figures of a few minutes. Bookmarks are kept elsewhere, with their events.

use super::{Hosts, Shard, host::Host, lock};
use bytes::Bytes;
use std::collections::HashMap;

/// A shard's values by machine.
type Kept = HashMap<Box<str>, Host>;

impl Hosts {
    /// The values to keep: key and text of each shard that changed since the last call.
    pub(in crate::source::wef) fn changed(&self, source: &str) -> Vec<(Box<str>, Bytes)> {
        let mut values = Vec::new();
        for (number, shard) in self.shards.iter().enumerate() {
            let mut shard = lock(shard);
            if !shard.changed {
                continue;
            }
            shard.changed = false;
            // Numbers, texts and maps of them: there is nothing JSON could refuse.
            let text = serde_json::to_vec(&shard.hosts).unwrap_or_default();
            values.push((key(source, number), text.into()));
        }
        values
    }

    /// The shard of this key changed, after all: its value was not kept.
    pub(in crate::source::wef) fn not_kept(&self, source: &str, of: &str) {
        if let Some((_, shard)) =
            self.shards.iter().enumerate().find(|(number, _)| *key(source, *number) == *of)
        {
            lock(shard).changed = true;
        }
    }

    /// Takes values back, under whatever number they were kept. How many were no values of ours.
    pub(in crate::source::wef) fn take_back(&self, values: &[(Box<str>, Bytes)]) -> usize {
        let mut wrong = 0;
        for (_, text) in values {
            match serde_json::from_slice::<Kept>(text) {
                Ok(kept) => kept.into_iter().for_each(|(machine, host)| self.put(machine, host)),
                Err(_) => wrong += 1,
            }
        }
        // Machines fall into other shards than before, so each is written anew, the empty ones too.
        self.shards.iter().for_each(|shard| lock(shard).changed = true);
        wrong
    }

    fn put(&self, machine: Box<str>, host: Host) {
        let mut shard = self.shard(&machine);
        let Shard { hosts, .. } = &mut *shard;
        // In two shards after a crash in between: the newer one counts.
        if hosts.get(&machine).is_none_or(|known| known.last_seen < host.last_seen) {
            hosts.insert(machine, host);
        }
    }
}

/// Keys of all shards begin so. No machine has an empty name.
pub(in crate::source::wef) fn prefix(source: &str) -> String {
    format!("{source}//hosts/")
}

fn key(source: &str, shard: usize) -> Box<str> {
    format!("{}{shard:02}", prefix(source)).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timestamp;

    #[test]
    fn what_is_known_of_hosts_outlives_the_table() {
        let hosts = Hosts::new();
        for number in 0..100 {
            hosts.heard(&format!("host{number}"), Timestamp(number), |host| {
                host.events = number.unsigned_abs();
                host.subscription(crate::wsman::Guid([7; 16])).heartbeat_seconds = 60;
            });
        }
        let kept = hosts.changed("dc");
        assert!(kept.iter().all(|(key, _)| key.starts_with(&prefix("dc"))));
        assert!(hosts.changed("dc").is_empty(), "nothing changed since");
        hosts.not_kept("dc", &kept[0].0);
        assert_eq!(hosts.changed("dc"), kept[..1]);

        let again = Hosts::new();
        assert_eq!(again.take_back(&kept), 0);
        assert_eq!(again.len(), 100);
        let host = again.heard("host42", Timestamp(1000), |host| host.clone()).unwrap();
        assert_eq!((host.first_seen, host.events), (Timestamp(42), 42));
        assert_eq!(host.subscriptions[0].heartbeat_seconds, 60);
        assert_eq!(again.changed("dc").len(), super::super::SHARDS, "each shard is written anew");
    }

    #[test]
    fn values_that_are_not_ours_are_counted_and_passed_over() {
        let hosts = Hosts::new();
        let wrong = [("k".into(), Bytes::from_static(b"[]")), ("l".into(), Bytes::from_static(b"{}"))];
        assert_eq!(hosts.take_back(&wrong), 1);
        assert_eq!(hosts.len(), 0);
    }
}
