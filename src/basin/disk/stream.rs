//! Order within a stream: what one source has under way for one host and subscription.
//!
//! ```text
//! begun    0 ── 1 ── 2 ── 3        append 1 is not kept (a write failed for good, its caller left):
//! kept     yes  no   no   no       2 and 3 carry bookmarks beyond it, so they must not be kept either
//! ```
//!
//! Promise: an append is kept only if every append of its stream that was begun before it, and was
//! still under way with it, is kept or was written before. What is begun after a loss starts anew.
//! Must not know: batches, files, the log.

use crate::event::Origin;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All streams that have something under way; clones share them.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Shared>);

/// An append from its beginning to its answer. Dropped without `kept`, it was not kept.
pub(super) struct Underway {
    streams: Streams,
    key: u64,
    place: InStream,
    kept: bool,
}

/// An append's place in its stream.
#[derive(Clone)]
pub(super) struct InStream {
    run: Arc<Run>,
    number: u64,
}

impl Streams {
    /// Begins an append; those of one stream have to begin in the order of their bookmarks.
    pub(super) fn begin(&self, origin: &Origin) -> Underway {
        // Two streams of one hash would only make each other send again.
        let key = self.0.hasher.hash_one((&origin.source, &origin.host, &origin.subscription));
        let mut runs = self.0.lock();
        let entry = runs.entry(key).or_default();
        if entry.run.lost_from.load(Ordering::Acquire) != u64::MAX {
            *entry = Entry::default();
        }
        let place = InStream { run: Arc::clone(&entry.run), number: entry.begun };
        entry.begun += 1;
        entry.underway += 1;
        drop(runs);
        Underway { streams: self.clone(), key, place, kept: false }
    }
}

impl Underway {
    pub(super) fn place(&self) -> InStream {
        self.place.clone()
    }

    pub(super) fn kept(mut self) {
        self.kept = true;
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        if !self.kept {
            self.place.lose();
        }
        let mut runs = self.streams.0.lock();
        // A stream that started anew has another entry.
        if let Some(entry) = runs.get_mut(&self.key).filter(|entry| Arc::ptr_eq(&entry.run, &self.place.run))
        {
            entry.underway -= 1;
            if entry.underway == 0 {
                runs.remove(&self.key);
            }
        }
    }
}

impl InStream {
    /// Takes the append's turn to be queued. `false`, and it is lost, when one that was begun before
    /// it has not had its turn: whoever polled them did so in another order.
    pub(super) fn enter(&self) -> bool {
        let next = self.number + 1;
        let entered =
            self.run.entered.compare_exchange(self.number, next, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if !entered {
            self.lose();
        }
        entered
    }

    /// This append will not be kept, and so will none that was begun after it.
    pub(super) fn lose(&self) {
        self.run.lost_from.fetch_min(self.number, Ordering::AcqRel);
    }

    pub(super) fn is_lost(&self) -> bool {
        self.run.lost_from.load(Ordering::Acquire) <= self.number
    }
}

#[derive(Default)]
struct Shared {
    runs: Mutex<HashMap<u64, Entry>>,
    hasher: RandomState,
}

#[derive(Default)]
struct Entry {
    run: Arc<Run>,
    begun: u64,
    underway: u64,
}

/// Appends that overlap, up to the first loss.
struct Run {
    lost_from: AtomicU64,
    /// How many have been queued, in order.
    entered: AtomicU64,
}

impl Default for Run {
    fn default() -> Self {
        Self { lost_from: AtomicU64::new(u64::MAX), entered: AtomicU64::new(0) }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Entry>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timestamp;

    fn origin(host: &str) -> Origin {
        Origin {
            source: "s".into(),
            host: Some(host.into()),
            address: None,
            subscription: None,
            file: None,
            received: Timestamp(0),
        }
    }

    #[test]
    fn a_loss_takes_what_was_begun_after_it_and_leaves_what_was_begun_before() {
        let streams = Streams::default();
        let [first, second, third] = [(); 3].map(|()| streams.begin(&origin("a")));
        let other = streams.begin(&origin("b"));
        drop(second);
        assert!(third.place().is_lost());
        assert!(!first.place().is_lost() && !other.place().is_lost());
    }

    #[test]
    fn what_would_overtake_is_lost() {
        let streams = Streams::default();
        let (first, second) = (streams.begin(&origin("a")), streams.begin(&origin("a")));
        assert!(!second.place().enter() && second.place().is_lost());
        assert!(first.place().enter() && !first.place().is_lost());
    }

    #[test]
    fn what_is_begun_after_a_loss_starts_anew_and_nothing_stays_behind() {
        let streams = Streams::default();
        let (first, second) = (streams.begin(&origin("a")), streams.begin(&origin("a")));
        first.place().lose();
        let again = streams.begin(&origin("a"));
        assert!(second.place().is_lost() && !again.place().is_lost());
        again.kept();
        drop((first, second));
        assert!(streams.0.lock().is_empty());
    }
}
