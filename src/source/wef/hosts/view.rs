//! The table as it is shown: one JSON object a host, with what can only be told at this moment.

use super::host::{Channel, Host, Subscription};
use super::{Hosts, lock};
use crate::event::Timestamp;
use crate::wsman::Guid;
use serde_json::{Value, json};

/// How a host is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Heard within the heartbeat interval of each of its subscriptions.
    Active,
    /// A heartbeat is missing.
    Silent,
    /// It gave up a subscription, and has not come back.
    Ended,
    /// It has asked, and has not delivered yet.
    New,
    /// There is no subscription for it.
    Idle,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Silent => "silent",
            Self::Ended => "ended",
            Self::New => "new",
            Self::Idle => "idle",
        }
    }
}

impl Hosts {
    /// Every host, by name, and behind them those that could not sign in, by address; `name` tells what a subscription is called.
    pub(in crate::source::wef) fn shown(
        &self,
        source: &str,
        now: Timestamp,
        name: &dyn Fn(Guid) -> Option<String>,
    ) -> Vec<Value> {
        let mut shown = Vec::new();
        for shard in &self.shards {
            shown.extend(
                lock(shard)
                    .hosts
                    .iter()
                    .map(|(machine, host)| (machine.clone(), host.shown((source, machine), now, name))),
            );
        }
        shown.sort_by(|(one, _), (other, _)| one.cmp(other));
        let heard = self.heard_at();
        self.denied.forget(i64::MIN, |address, denied| heard.get(&address).is_some_and(|at| *at > denied));
        shown.into_iter().map(|(_, host)| host).chain(self.denied.shown(source)).collect()
    }

    /// How many are active, and how many are not though they should be.
    pub(in crate::source::wef) fn counted(&self, now: Timestamp) -> (u64, u64) {
        let (mut active, mut silent) = (0, 0);
        for shard in &self.shards {
            for host in lock(shard).hosts.values() {
                match host.state(now) {
                    State::Active => active += 1,
                    State::Silent | State::Ended => silent += 1,
                    State::New | State::Idle => {}
                }
            }
        }
        (active, silent)
    }
}

impl Host {
    fn state(&self, now: Timestamp) -> State {
        if self.subscriptions.is_empty() {
            State::Idle
        } else if self.subscriptions.iter().any(|one| one.ended.is_some()) {
            State::Ended
        } else if self.heartbeats_missed(now) > 0 {
            State::Silent
        } else if self.deliveries + self.started == 0 {
            State::New
        } else {
            State::Active
        }
    }

    fn heartbeats_missed(&self, now: Timestamp) -> u64 {
        self.subscriptions.iter().map(|one| one.heartbeats_missed(now)).max().unwrap_or_default()
    }

    fn shown(
        &self,
        (source, machine): (&str, &str),
        now: Timestamp,
        name: &dyn Fn(Guid) -> Option<String>,
    ) -> Value {
        let channels = || self.subscriptions.iter().flat_map(|one| &one.channels);
        json!({
            "source": source,
            "host": machine,
            "name": self.name,
            "address": self.address,
            "state": self.state(now).name(),
            "first_seen": moment(self.first_seen),
            "last_seen": moment(self.last_seen),
            "last_enumerate": moment(self.last_enumerate),
            "last_event": moment(self.last_event),
            "heartbeats_missed": self.heartbeats_missed(now),
            "events": self.events,
            "bytes": self.bytes,
            "deliveries": self.deliveries,
            "lag_seconds": self.lag_millis as f64 / 1000.0,
            "gaps": channels().filter_map(|channel| channel.gaps).sum::<u64>(),
            "missing": channels().filter_map(|channel| channel.missing).sum::<u64>(),
            "resets": channels().map(|channel| channel.resets).sum::<u64>(),
            "resent": self.resent,
            "refused": self.refused,
            "dropped": self.dropped,
            "started": self.started,
            "undecodable": self.undecodable,
            "foreign": self.foreign,
            "findings": self.findings,
            "last_finding": self.last_finding,
            "subscriptions": self.subscriptions.iter().map(|one| one.shown(now, name)).collect::<Vec<_>>(),
        })
    }
}

impl Subscription {
    fn shown(&self, now: Timestamp, name: &dyn Fn(Guid) -> Option<String>) -> Value {
        let text = |guid: Option<Guid>| guid.map(|guid| guid.to_string());
        json!({
            "name": self.id.and_then(name),
            "id": text(self.id),
            "version": text(self.version),
            "offered": text(self.offered),
            "last_seen": moment(self.last_seen),
            "heartbeat_seconds": self.heartbeat_seconds,
            "heartbeats_missed": self.heartbeats_missed(now),
            "ended": self.ended,
            "channels": self.channels.iter().map(Channel::shown).collect::<Vec<_>>(),
        })
    }
}

impl Channel {
    fn shown(&self) -> Value {
        json!({
            "channel": self.name, "record_id": self.record, "at": moment(self.at),
            "gaps": self.gaps, "missing": self.missing, "resets": self.resets,
        })
    }
}

pub(super) fn moment(time: Timestamp) -> Option<String> {
    (time != Timestamp::default()).then(|| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Finding;
    use std::time::Duration;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn who_cannot_sign_in_is_shown_by_address_until_it_can() {
        let hosts = Hosts::new();
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let finding = |why: &str| Finding { what: "x".into(), why: why.into(), fix: "y".into() };
        for (address, reason, at) in [(one, "ntlm", 1), (one, "clock_skew", 2), (other, "ntlm", 3)] {
            hosts.denied(address, reason, &finding(reason), Timestamp(at * SECOND));
        }
        let shown = |hosts: &Hosts| hosts.shown("dc", Timestamp(9 * SECOND), &|_| None);
        let row = shown(&hosts).into_iter().find(|row| row["host"] == "192.0.2.1").unwrap();
        assert_eq!((&row["state"], &row["reason"]), (&"denied".into(), &"clock_skew".into()));
        assert_eq!((&row["findings"], &row["last_finding"]), (&2.into(), &"x: clock_skew".into()));
        hosts.heard("pc1", Timestamp(4 * SECOND), |host| host.signed_in("pc1", one));
        let left: Vec<_> = shown(&hosts).iter().map(|row| row["host"].clone()).collect();
        assert_eq!(left, ["pc1", "192.0.2.2"]);
        hosts.forget(Duration::from_secs(1), Timestamp(100 * SECOND));
        assert_eq!(shown(&hosts).len(), 0);
    }

    #[test]
    fn a_host_is_new_active_silent_ended_or_idle() {
        let hosts = Hosts::new();
        let now = Timestamp(1_000 * SECOND);
        for machine in ["active", "ended", "new", "silent"] {
            hosts.heard(machine, now, |host| {
                host.deliveries = u64::from(machine != "new");
                let one = host.subscription(Guid([1; 16]));
                one.heartbeat_seconds = 60;
                one.last_seen = if machine == "silent" { Timestamp(700 * SECOND) } else { now };
                one.ended = (machine == "ended").then(|| "SourceCancelling".into());
            });
        }
        hosts.heard("idle", now, |_| {});
        let shown = hosts.shown("dc", now, &|_| Some("logons".into()));
        for host in &shown {
            assert_eq!(host["host"], host["state"]);
        }
        assert_eq!(shown.len(), 5);
        assert_eq!(shown[0]["subscriptions"][0]["name"], "logons");
        assert_eq!(shown[4]["heartbeats_missed"], 4);
        assert_eq!(hosts.counted(now), (1, 2));
    }
}
