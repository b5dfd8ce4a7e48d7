//! All hosts lose their connections at one moment and come back at once, as after a restart of the collector or
//! a change of group policy: how long until all are back.
//!
//! A host is back when its question for subscriptions is answered, a delivery when it has an Ack, both over
//! connections made after the moment.

use super::meter::Tally;
use super::report;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The moment, and who is back since.
#[derive(Debug, Default)]
pub(super) struct Storm {
    begun: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    began: Option<Began>,
    hosts: Returning,
    deliveries: Returning,
}

/// What there was at the moment.
#[derive(Debug)]
struct Began {
    at: Instant,
    since_start: Duration,
    handshakes: u64,
    handshakes_failed: u64,
}

/// How many are gone, how many of them are back, and when the last came.
#[derive(Clone, Copy, Debug, Default)]
struct Returning {
    gone: u64,
    back: u64,
    last: Duration,
}

/// Who has to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Host,
    Delivery,
}

impl Storm {
    /// It is now.
    pub(super) fn begin(&self, since_start: Duration, tally: &Tally) {
        let began = Began {
            at: Instant::now(),
            since_start,
            handshakes: tally.handshakes,
            handshakes_failed: tally.handshakes_failed,
        };
        self.state().began = Some(began);
        self.begun.cancel();
    }

    /// Until it is there; never, where none is to come.
    pub(super) async fn begins(&self) {
        self.begun.cancelled().await;
    }

    pub(super) fn gone(&self, who: Who) {
        self.state().of(who).gone += 1;
    }

    pub(super) fn back(&self, who: Who) {
        let mut state = self.state();
        let after = state.began.as_ref().map(|began| began.at.elapsed()).unwrap_or_default();
        let returning = state.of(who);
        returning.back += 1;
        returning.last = returning.last.max(after);
    }

    /// What came of it, if there was one.
    pub(super) fn report(&self, tally: &Tally) -> Option<report::Storm> {
        let state = self.state();
        let began = state.began.as_ref()?;
        let back = |returning: Returning| report::Back {
            gone: returning.gone,
            back: returning.back,
            seconds: returning.last.as_secs_f64(),
        };
        Some(report::Storm {
            at: began.since_start.as_secs_f64(),
            hosts: back(state.hosts),
            deliveries: back(state.deliveries),
            handshakes: tally.handshakes - began.handshakes,
            handshakes_failed: tally.handshakes_failed - began.handshakes_failed,
        })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    const fn of(&mut self, who: Who) -> &mut Returning {
        match who {
            Who::Host => &mut self.hosts,
            Who::Delivery => &mut self.deliveries,
        }
    }
}
