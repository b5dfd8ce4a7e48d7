//! Subscriptions: what hosts are asked for, as written and as checked.
//!
//! | file | knows |
//! |---|---|
//! | `written` | the keys of a subscription |
//! | `query` | channels and ids, expressions, exported query lists: what hosts get as a QueryList |
//! | `checked` | what was written as a value of the protocol, and what hosts would make of it |
//! | `doubt` | what is wrong or doubtful, and at which key |
//! | `hosts` | which machines a subscription is for |
//! | `channels` | the channels that come with Windows |
//!
//! Promise: the id of a subscription is the same over restarts, nodes and changes, for bookmarks are
//! stored under it; what a host is sent changes only when what it must know does, whatever the order
//! and the form in which it was written.
//! Must not know: who asks, bookmarks, addresses.

mod channels;
mod checked;
mod doubt;
mod hosts;
mod query;
mod written;

pub use doubt::Doubt;
pub use query::QUERY_BYTES_MAX;
pub use written::Config;

use super::super::SourceError;
use crate::auth::MachineKey;
use crate::wsman::{self, Guid};
use hosts::Hosts;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// A subscription that can be offered.
#[derive(Clone, Debug)]
pub(super) struct Subscribed {
    pub(super) id: Guid,
    pub(super) name: Box<str>,
    pub(super) subscription: wsman::Subscription,
    hosts: Hosts,
    uri: Option<Box<str>>,
}

impl Subscribed {
    /// For everyone.
    #[cfg(test)]
    pub(super) fn of(id: Guid, subscription: wsman::Subscription) -> Self {
        Self { id, name: subscription.name.as_str().into(), subscription, hosts: Hosts::default(), uri: None }
    }

    /// Whether a machine may have it, at whatever path it asks.
    pub(super) fn is_for(&self, signed_in_as: &str, machine: &MachineKey) -> bool {
        let plain = machine.plain();
        self.hosts.takes(&[signed_in_as, &plain, machine.label()])
    }
}

/// All subscriptions of a source.
#[derive(Clone, Debug, Default)]
pub(super) struct Subscriptions(Vec<Subscribed>);

impl Subscriptions {
    #[cfg(test)]
    pub(super) fn new(all: Vec<Subscribed>) -> Self {
        Self(all)
    }

    /// # Errors
    /// The first thing that hosts would refuse.
    pub(super) fn open(source: &str, written: &BTreeMap<String, Config>) -> Result<Self, SourceError> {
        let (subscriptions, doubts) = checked::check(source, written);
        match doubts.into_iter().find(|doubt| doubt.is_error) {
            None => Ok(Self(subscriptions)),
            Some(doubt) => Err(SourceError::Config {
                name: source.into(),
                key: "subscription",
                what: doubt.to_string(),
                fix: "see `forebay check`",
            }),
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|one| &*one.name)
    }

    /// Those that a machine gets when it asks at this path, in the order of their names.
    pub(super) fn for_machine<'s>(
        &'s self,
        signed_in_as: &'s str,
        machine: &'s MachineKey,
        path: &'s str,
    ) -> impl Iterator<Item = &'s Subscribed> {
        let is_here = |uri: &str| same_path(uri, path);
        let offered = move |one: &&Subscribed| {
            one.uri.as_deref().is_none_or(is_here) && one.is_for(signed_in_as, machine)
        };
        self.0.iter().filter(offered)
    }

    /// The largest batch that a host may send.
    pub(super) fn envelope_bytes_max(&self) -> usize {
        self.0.iter().map(|one| one.subscription.max_envelope_bytes as usize).max().unwrap_or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Subscribed> {
        self.0.iter()
    }

    pub(super) fn by_id(&self, id: Guid) -> Option<&Subscribed> {
        self.0.iter().find(|subscribed| subscribed.id == id)
    }
}

/// Everything that is wrong or doubtful in the subscriptions of a source.
pub fn check(source: &str, written: &BTreeMap<String, Config>) -> Vec<Doubt> {
    checked::check(source, written).1
}

/// The id of a subscription that has none written down.
fn id(source: &str, name: &str) -> Guid {
    let mut hash = Sha256::new();
    for part in ["forebay subscription", source, name] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let mut bits = [0; 16];
    bits.copy_from_slice(&hash.finalize()[..16]);
    Guid::from_bits(bits)
}

/// Windows puts the path of a group policy into the request as it was typed.
fn same_path(uri: &str, path: &str) -> bool {
    let plain =
        |path: &str| path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/').to_owned();
    plain(uri).eq_ignore_ascii_case(&plain(path))
}

#[cfg(test)]
mod tests;
