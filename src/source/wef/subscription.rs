//! What hosts are asked for.

use crate::auth::MachineKey;
use crate::wsman::{Guid, Subscription};

/// A subscription and whom it is for.
#[derive(Clone, Debug)]
pub(super) struct Subscribed {
    /// Stays the same whatever else changes.
    pub(super) id: Guid,
    pub(super) name: Box<str>,
    pub(super) subscription: Subscription,
}

/// All of a source.
#[derive(Clone, Debug, Default)]
pub(super) struct Subscriptions {
    all: Vec<Subscribed>,
}

impl Subscribed {
    pub(super) fn is_for(&self, _machine: &MachineKey) -> bool {
        true
    }
}

impl Subscriptions {
    pub(super) fn new(all: Vec<Subscribed>) -> Self {
        Self { all }
    }

    pub(super) fn for_machine(&self, machine: &MachineKey, _path: &str) -> impl Iterator<Item = &Subscribed> {
        self.all.iter().filter(|subscribed| subscribed.is_for(machine))
    }

    pub(super) fn by_id(&self, id: Guid) -> Option<&Subscribed> {
        self.all.iter().find(|subscribed| subscribed.id == id)
    }
}
