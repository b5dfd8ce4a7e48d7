//! Peers that came and could not sign in: they have an address and no name, until they can.
//!
//! Promise: bounded; a flood of strangers costs a map of a few thousand. Must not know: how hosts sign in.

use super::view::moment;
use crate::event::Timestamp;
use crate::finding::Finding;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Those of late, by address.
#[derive(Debug, Default)]
pub(super) struct Denied(Mutex<HashMap<IpAddr, Peer>>);

#[derive(Debug)]
struct Peer {
    first_seen: Timestamp,
    last_seen: Timestamp,
    attempts: u64,
    reason: &'static str,
    finding: Finding,
}

/// Addresses that are remembered; more are counted and told all the same.
const DENIED_MAX: usize = 4096;

impl Denied {
    pub(super) fn note(&self, address: IpAddr, reason: &'static str, finding: &Finding, now: Timestamp) {
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !peers.contains_key(&address) && peers.len() == DENIED_MAX {
            return;
        }
        let peer = peers.entry(address).or_insert_with(|| Peer {
            first_seen: now,
            last_seen: now,
            attempts: 0,
            reason,
            finding: finding.clone(),
        });
        (peer.last_seen, peer.reason, peer.attempts) = (now, reason, peer.attempts + 1);
        if peer.finding != *finding {
            peer.finding = finding.clone();
        }
    }

    /// Drops those not heard of since, and those that `has_signed_in` since they were denied last.
    pub(super) fn forget(&self, before: i64, has_signed_in: impl Fn(IpAddr, Timestamp) -> bool) {
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        peers.retain(|address, peer| peer.last_seen.0 >= before && !has_signed_in(*address, peer.last_seen));
    }

    /// As the hosts of the table are shown.
    pub(super) fn shown(&self, source: &str) -> Vec<Value> {
        let peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = peers.iter().map(|(address, peer)| {
            json!({
                "source": source,
                "host": address,
                "name": null,
                "address": address,
                "state": "denied",
                "first_seen": moment(peer.first_seen),
                "last_seen": moment(peer.last_seen),
                "findings": peer.attempts,
                "reason": peer.reason,
                "last_finding": format!("{}: {}", peer.finding.what, peer.finding.why),
                "fix": peer.finding.fix,
                "subscriptions": [],
            })
        });
        shown.collect()
    }
}
