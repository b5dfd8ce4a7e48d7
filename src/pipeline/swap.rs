//! A reload on its way to the next life.
//!
//! Must not know: tasks, lanes.

use super::gate::Gate;
use crate::config::Pipeline;
use std::pin::Pin;
use tokio::sync::OwnedRwLockWriteGuard;

#[derive(Default)]
pub(super) struct Swap {
    pub(super) next: Option<Box<Pipeline>>,
    closing: Option<Pin<Box<dyn Future<Output = OwnedRwLockWriteGuard<()>> + Send>>>,
}

impl Swap {
    /// From now on `closed` waits for a moment at which no output has a batch under way.
    pub(super) fn close(&mut self, gate: &Gate) {
        self.closing = Some(Box::pin(gate.close()));
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Nobody may pass before the gate was left, so leaving it comes before the wait is over.
    pub(super) async fn closed(&mut self, gate: &Gate) {
        if let Some(closing) = &mut self.closing {
            let _shut = closing.await;
            gate.leave();
            self.closing = None;
        }
    }

    /// Whether there was one.
    pub(super) fn cancel(&mut self) -> bool {
        self.closing = None;
        self.next.take().is_some()
    }
}
