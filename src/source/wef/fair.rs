//! Who is next when there is not enough for all: bytes, shared out fairly by host.
//!
//! ```text
//! a noisy host     512k at 0   512k at 512k   512k at 1024k …      each host's demands stand one
//! another                3k at 0                                    behind the other on a line of bytes
//! granted in the order of the line: 512k, 3k, 512k, …
//! ```
//! Start-time fair queueing (Goyal, Vin, Cheng 1996): whoever asked for less comes first, nobody waits
//! for more than one demand of each other host. As long as there is enough, nobody is looked at.
//!
//! Promise: never more than `bytes_max` is out, but for a single demand that is larger by itself.
//! Must not know: what the bytes are for.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// A number of bytes that hosts share; clones share the same bytes.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    shared: Arc<Shared>,
}

/// Bytes that were granted; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    shared: Arc<Shared>,
    bytes: u64,
}

impl Shares {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { shared: Arc::new(Shared { bytes_max, line: Mutex::default() }) }
    }

    /// What is free now, when nobody waits.
    pub(super) fn try_take(&self, bytes: u64) -> Option<Share> {
        let is_free = self.shared.lock().take_free(bytes, self.shared.bytes_max);
        is_free.then(|| Share { shared: Arc::clone(&self.shared), bytes })
    }

    /// Waits until it is this demand's turn.
    pub(super) async fn take(&self, host: &str, bytes: u64) -> Share {
        let waiting = {
            let mut line = self.shared.lock();
            if line.take_free(bytes, self.shared.bytes_max) {
                return Share { shared: Arc::clone(&self.shared), bytes };
            }
            let (granted, grant) = oneshot::channel();
            let place = line.enqueue(host, Demand { bytes, granted });
            Waiting { shared: &self.shared, place, grant }
        };
        waiting.granted().await
    }

    /// Bytes that are granted.
    #[cfg(test)]
    pub(super) fn out(&self) -> u64 {
        self.shared.lock().out
    }
}

impl Share {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives back what is above `bytes`.
    pub(super) fn shrink_to(&mut self, bytes: u64) {
        let surplus = self.bytes.saturating_sub(bytes);
        self.bytes -= surplus;
        self.shared.give_back(surplus);
    }

    /// Both as one.
    pub(super) fn join(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shared.give_back(self.bytes);
    }
}

#[derive(Debug)]
struct Shared {
    bytes_max: u64,
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    out: u64,
    /// By start and number of the demand.
    waiting: BTreeMap<(u64, u64), Demand>,
    /// Where the last demand of a host ends; empty while nobody waits.
    ends: HashMap<Box<str>, u64>,
    /// Start of the demand that was granted last.
    now: u64,
    /// Demands so far, which orders those of one start.
    count: u64,
}

#[derive(Debug)]
struct Demand {
    bytes: u64,
    granted: oneshot::Sender<Share>,
}

/// A demand in the line; leaves it when dropped.
struct Waiting<'a> {
    shared: &'a Arc<Shared>,
    place: (u64, u64),
    grant: oneshot::Receiver<Share>,
}

impl Waiting<'_> {
    async fn granted(mut self) -> Share {
        (&mut self.grant).await.expect("a demand leaves the line granted or with who waits for it")
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let was_first = {
            let mut line = self.shared.lock();
            let was_first = line.waiting.first_key_value().is_some_and(|(place, _)| *place == self.place);
            line.waiting.remove(&self.place);
            was_first
        };
        // Those behind it may be smaller.
        if was_first {
            self.shared.give_back(0);
        }
    }
}

impl Shared {
    fn give_back(self: &Arc<Self>, bytes: u64) {
        let mut granted = Vec::new();
        {
            let mut line = self.lock();
            line.out -= bytes;
            while let Some(first) = line.waiting.first_entry() {
                let ((start, _), bytes) = (*first.key(), first.get().bytes);
                if !line.fits(bytes, self.bytes_max) {
                    break;
                }
                let Some((_, demand)) = line.waiting.pop_first() else { break };
                line.now = start;
                line.out += bytes;
                granted.push(demand);
            }
            if line.waiting.is_empty() {
                line.ends.clear();
                line.now = 0;
            }
        }
        for Demand { bytes, granted } in granted {
            // Whoever stopped waiting gives it back at once, which is why the line is not locked here.
            drop(granted.send(Share { shared: Arc::clone(self), bytes }));
        }
    }

    // Every change is one of whole entries and counters.
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn fits(&self, bytes: u64, bytes_max: u64) -> bool {
        self.out == 0 || self.out.saturating_add(bytes) <= bytes_max
    }

    fn take_free(&mut self, bytes: u64, bytes_max: u64) -> bool {
        let is_free = self.waiting.is_empty() && self.fits(bytes, bytes_max);
        self.out += if is_free { bytes } else { 0 };
        is_free
    }

    fn enqueue(&mut self, host: &str, demand: Demand) -> (u64, u64) {
        let start = self.ends.get(host).copied().unwrap_or_default().max(self.now);
        self.ends.insert(host.into(), start.saturating_add(demand.bytes));
        self.count += 1;
        let place = (start, self.count);
        self.waiting.insert(place, demand);
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    type Taking<'a> = Pin<Box<dyn Future<Output = Share> + 'a>>;

    fn poll(taking: &mut Taking<'_>) -> Option<Share> {
        match taking.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(share) => Some(share),
            Poll::Pending => None,
        }
    }

    fn ask<'a>(shares: &'a Shares, host: &'a str, bytes: u64) -> Taking<'a> {
        let mut taking: Taking<'_> = Box::pin(shares.take(host, bytes));
        assert!(poll(&mut taking).is_none());
        taking
    }

    /// The order in which demands are granted, when each is given back as soon as it is.
    fn order(waiting: &mut Vec<(&'static str, Taking<'_>)>) -> Vec<&'static str> {
        let mut order = Vec::new();
        while let Some(at) = (0..waiting.len()).find(|at| poll(&mut waiting[*at].1).is_some()) {
            order.push(waiting.remove(at).0);
        }
        order
    }

    #[tokio::test]
    async fn what_fits_is_granted_at_once() {
        let shares = Shares::new(10);
        let (first, second) = (shares.take("a", 4).await, shares.take("a", 6).await);
        assert_eq!(shares.out(), 10);
        drop((first, second));
        assert_eq!(shares.out(), 0);
        assert_eq!(shares.take("a", 50).await.bytes, 50, "alone, more than there is");
    }

    #[tokio::test]
    async fn a_noisy_host_does_not_come_before_others() {
        let shares = Shares::new(10);
        let held = shares.take("noisy", 10).await;
        let mut waiting: Vec<_> = (0..4).map(|_| ("noisy", ask(&shares, "noisy", 10))).collect();
        waiting.push(("b", ask(&shares, "b", 10)));
        waiting.push(("c", ask(&shares, "c", 10)));
        drop(held);
        assert_eq!(order(&mut waiting), ["noisy", "b", "c", "noisy", "noisy", "noisy"]);
    }

    #[tokio::test]
    async fn shares_are_of_bytes_and_not_of_demands() {
        let shares = Shares::new(10);
        let held = shares.take("x", 10).await;
        let mut waiting = vec![("large", ask(&shares, "large", 10)), ("large", ask(&shares, "large", 10))];
        waiting.extend((0..5).map(|_| ("small", ask(&shares, "small", 4))));
        drop(held);
        // Two small ones fit together; ten bytes of either host, then ten of the other.
        assert_eq!(order(&mut waiting), ["large", "small", "small", "small", "large", "small", "small"]);
    }

    #[tokio::test]
    async fn who_stops_waiting_leaves_the_line_and_lets_smaller_ones_through() {
        let shares = Shares::new(10);
        let held = shares.take("x", 5).await;
        let large = ask(&shares, "a", 10);
        let mut small = ask(&shares, "b", 5);
        drop(large);
        let granted = poll(&mut small).unwrap();
        assert_eq!(shares.out(), 10);
        drop((held, granted));
        assert_eq!(shares.out(), 0);
        assert!(shares.shared.lock().ends.is_empty());
    }

    #[tokio::test]
    async fn a_grant_that_nobody_takes_comes_back() {
        let shares = Shares::new(10);
        let held = shares.take("x", 10).await;
        let first = ask(&shares, "a", 10);
        let mut second = ask(&shares, "b", 10);
        drop(held);
        drop(first);
        assert!(poll(&mut second).is_some());
        assert_eq!(shares.out(), 0);
    }

    #[tokio::test]
    async fn what_is_not_needed_is_given_back_early() {
        let shares = Shares::new(10);
        let mut held = shares.take("x", 10).await;
        let mut second = ask(&shares, "b", 6);
        held.shrink_to(4);
        assert!(poll(&mut second).is_some());
    }
}
