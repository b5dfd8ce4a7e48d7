//! How many deliveries of one host are worked on at once.
//!
//! A host has a connection for each of its subscriptions, and each sends its next envelope when the last
//! is acknowledged. Without a bound such a host has as many envelopes between socket and disk as it has
//! subscriptions, and everybody else's small ones wait behind all of them for a processor and the next
//! sync. So it has one at a time, as a host with a single subscription has: by more of them nobody gets more.
//!
//! Promise: hosts wait for themselves only. Must not know: what a turn is for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Turns of all hosts that have any; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<Mutex<HashMap<Box<str>, Arc<Semaphore>>>>);

/// A turn, or the wait for one; given back when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    host: Box<str>,
    permit: Option<OwnedSemaphorePermit>,
    /// Its host had others in work when it came.
    pub(super) is_one_of_many: bool,
}

impl Turns {
    /// Waits until fewer than `TURNS_MAX` of this host are taken.
    pub(super) async fn take(&self, host: &str) -> Turn {
        let semaphore = {
            let mut hosts = self.lock();
            match hosts.get(host) {
                Some(semaphore) => Arc::clone(semaphore),
                None => Arc::clone(
                    hosts.entry(host.into()).or_insert_with(|| Arc::new(Semaphore::new(TURNS_MAX))),
                ),
            }
        };
        let is_one_of_many = semaphore.available_permits() < TURNS_MAX;
        let mut turn = Turn { turns: self.clone(), host: host.into(), permit: None, is_one_of_many };
        // Nobody closes it, so there is always a permit in the end.
        turn.permit = semaphore.acquire_owned().await.ok();
        turn
    }

    // A map of pointers is never half-changed.
    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Semaphore>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.permit = None;
        let mut hosts = self.turns.lock();
        // The map alone has it: nobody holds a turn or waits, and nobody can come while the map is locked.
        if hosts.get(&self.host).is_some_and(|semaphore| Arc::strong_count(semaphore) == 1) {
            hosts.remove(&self.host);
        }
    }
}

/// Most deliveries of one host between their first byte and their answer.
const TURNS_MAX: usize = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn a_host_waits_for_itself_and_nobody_else_does() {
        let turns = Turns::default();
        let first = turns.take("noisy").await;
        let mut second = pin!(turns.take("noisy"));
        assert!(poll(second.as_mut()).is_pending());
        assert!(!first.is_one_of_many && !turns.take("quiet").await.is_one_of_many);
        drop(first);
        assert!(second.await.is_one_of_many);
    }

    #[tokio::test]
    async fn nothing_stays_behind_of_who_is_done_or_gave_up_waiting() {
        let turns = Turns::default();
        let held = turns.take("a").await;
        {
            let mut waiting = pin!(turns.take("a"));
            assert!(poll(waiting.as_mut()).is_pending());
        }
        drop(held);
        drop(turns.take("b").await);
        assert!(turns.lock().is_empty());
    }
}
