//! Events between their sending and what became of them.
//!
//! Promise: the ledger hears of all that was under way, also where a task is just dropped.

use super::host::Host;
use super::ledger::{Entry, Fate};
use std::ops::Range;
use std::sync::Arc;

/// Events that are under way: whatever ends the stream, the ledger hears of them.
pub(super) struct Open {
    host: Arc<Host>,
    stream: u32,
    events: Range<u64>,
    fate: Fate,
}

impl Open {
    pub(super) fn new(host: Arc<Host>, stream: u32, events: Range<u64>) -> Self {
        Self { host, stream, events, fate: Fate::Unanswered }
    }

    pub(super) fn settle(&mut self, fate: Fate) {
        self.fate = fate;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let (host, stream, events) = (self.host.number, self.stream, self.events.clone());
        self.host.shared.ledger.write(&Entry::Sent { host, stream, events, fate: self.fate });
    }
}
