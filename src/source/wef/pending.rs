//! One delivery under way for each host and subscription: a newer one takes the place of an older.
//!
//! ```text
//! older   begin ── append … │ dropped, answered "busy"
//! newer               begin ┘── waits until the older's append is gone ── append … ── Ack
//! ```
//! A host sends the next delivery when it has the answer to the one before or has given it up. So the
//! older one's answer reaches nobody, and its bookmark must not come behind the newer one's.
//!
//! Promise: the append of an older delivery is dropped before that of a newer one is first polled.
//! Must not know: what is appended.

use std::collections::HashMap;
use std::hash::Hash;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Mutex as Turn, Notify};

/// All that is under way; clones share it.
#[derive(Debug)]
pub(super) struct Pending<K: Eq + Hash + Clone> {
    streams: Arc<Mutex<HashMap<K, Arc<Stream>>>>,
}

/// A delivery's place: the newest of its stream until another begins.
#[derive(Debug)]
pub(super) struct Place<K: Eq + Hash + Clone> {
    pending: Pending<K>,
    key: K,
    stream: Arc<Stream>,
    number: u64,
}

impl<K: Eq + Hash + Clone> Default for Pending<K> {
    fn default() -> Self {
        Self { streams: Arc::default() }
    }
}

impl<K: Eq + Hash + Clone> Clone for Pending<K> {
    fn clone(&self) -> Self {
        Self { streams: Arc::clone(&self.streams) }
    }
}

impl<K: Eq + Hash + Clone> Pending<K> {
    /// Makes this delivery the newest of its stream; whichever was under way is withdrawn.
    pub(super) fn begin(&self, key: K) -> Place<K> {
        let stream = Arc::clone(self.lock().entry(key.clone()).or_default());
        let number = stream.newest.fetch_add(1, Ordering::AcqRel) + 1;
        stream.changed.notify_waiters();
        Place { pending: self.clone(), key, stream, number }
    }

    /// Streams with something under way.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    // A map of pointers is never half-changed.
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Arc<Stream>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Clone> Place<K> {
    /// Runs `work` when no older delivery of the stream is at work any more. None, and what it was
    /// doing is dropped, as soon as a newer one begins.
    pub(super) async fn run<F: Future>(&self, work: impl FnOnce() -> F) -> Option<F::Output> {
        let mut newer = pin!(self.newer());
        let _turn = tokio::select! {
            biased;
            () = &mut newer => return None,
            turn = self.stream.turn.lock() => turn,
        };
        // Dropped before the turn is passed on.
        let mut work = pin!(work());
        tokio::select! {
            biased;
            done = &mut work => Some(done),
            () = newer => None,
        }
    }

    /// Until a newer delivery begins.
    async fn newer(&self) {
        loop {
            let changed = self.stream.changed.notified();
            if self.stream.newest.load(Ordering::Acquire) > self.number {
                return;
            }
            changed.await;
        }
    }
}

impl<K: Eq + Hash + Clone> Drop for Place<K> {
    fn drop(&mut self) {
        let mut streams = self.pending.lock();
        // The map and this place: nobody else is there, and nobody can come while the map is locked.
        if Arc::strong_count(&self.stream) == 2 {
            streams.remove(&self.key);
        }
    }
}

#[derive(Debug, Default)]
struct Stream {
    newest: AtomicU64,
    changed: Notify,
    turn: Turn<()>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use std::task::{Context, Poll, Waker};

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Says when it is dropped.
    struct Work<'a>(&'a Mutex<Vec<&'static str>>, &'static str);

    impl Drop for Work<'_> {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(self.1);
        }
    }

    #[test]
    fn the_older_is_dropped_before_the_newer_is_polled() {
        let all = Pending::default();
        let said = Mutex::new(Vec::new());
        let (older, mut newer_work) = (all.begin("a"), false);
        let mut first = pin!(older.run(|| async {
            let _work = Work(&said, "older gone");
            pending::<()>().await;
        }));
        assert!(poll(first.as_mut()).is_pending());
        let newer = all.begin("a");
        let mut second = pin!(newer.run(|| async {
            said.lock().unwrap().push("newer polled");
            newer_work = true;
        }));
        assert!(poll(second.as_mut()).is_pending(), "the older one is still there");
        assert_eq!(poll(first.as_mut()), Poll::Ready(None));
        assert_eq!(poll(second.as_mut()), Poll::Ready(Some(())));
        assert_eq!(*said.lock().unwrap(), ["older gone", "newer polled"]);
    }

    #[test]
    fn a_newest_one_that_waits_gives_way_too() {
        let all = Pending::default();
        let [first, second, third] = [(); 3].map(|()| all.begin("a"));
        assert_eq!(poll(pin!(first.run(|| ready(1)))), Poll::Ready(None));
        assert_eq!(poll(pin!(second.run(|| ready(2)))), Poll::Ready(None));
        assert_eq!(poll(pin!(third.run(|| ready(3)))), Poll::Ready(Some(3)));
    }

    #[test]
    fn other_streams_go_on_and_nothing_stays_behind() {
        let all = Pending::default();
        {
            let a = all.begin("a");
            let b = all.begin("b");
            let mut first = pin!(a.run(pending::<()>));
            assert!(poll(first.as_mut()).is_pending());
            assert_eq!(poll(pin!(b.run(|| ready(())))), Poll::Ready(Some(())));
            assert!(poll(first.as_mut()).is_pending());
            assert_eq!(all.len(), 2);
        }
        assert_eq!(all.len(), 0);
    }
}
