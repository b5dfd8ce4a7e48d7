//! The memory budget: bytes that intake reserves before it reads a body.
//!
//! Full means wait, in the order of asking. A lane's share is carved out for good, so that intake
//! can never starve the draining. What the basin keeps in memory only to be fast (its tail) counts
//! too, and is evicted without asking when somebody waits.
//! Counted in KiB, rounded up. Must not know: what the bytes are for.

use crate::units::ByteSize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A number of bytes that is shared out; clones share the same bytes.
#[derive(Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

/// Bytes taken from a budget, given back on drop.
#[derive(Debug)]
pub struct Permit(OwnedSemaphorePermit);

/// Holds memory that can be given back at any time.
pub trait Evict: Send + Sync {
    /// Gives back at least `bytes`, or all there is.
    fn evict(&self, bytes: usize);
}

impl Budget {
    pub fn new(max: ByteSize) -> Self {
        let units = usize::try_from(max.0 / UNIT).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            shared: Arc::new(Shared {
                max: AtomicUsize::new(units),
                free: Arc::new(Semaphore::new(units)),
                waiting: AtomicUsize::new(0),
                evictable: Mutex::new(None),
            }),
        }
    }

    /// A share of its own, taken from this budget for good. `None` when that much is not free.
    pub fn carve(&self, bytes: ByteSize) -> Option<Budget> {
        let units = units(usize::try_from(bytes.0).ok()?);
        if units as usize >= self.shared.max.load(Ordering::Relaxed) {
            return None;
        }
        self.shared.free.try_acquire_many(units).ok()?.forget();
        self.shared.max.fetch_sub(units as usize, Ordering::Relaxed);
        Some(Budget::new(ByteSize(u64::from(units) * UNIT)))
    }

    /// Waits until `bytes` are free. More than the whole budget counts as the whole budget.
    pub async fn reserve(&self, bytes: usize) -> Permit {
        if let Some(permit) = self.try_reserve(bytes) {
            return permit;
        }
        let _waiting = Waiting::new(&self.shared.waiting);
        self.evict(bytes);
        let units = self.units(bytes);
        let permit = Arc::clone(&self.shared.free).acquire_many_owned(units).await;
        Permit(permit.expect("a budget is never closed"))
    }

    /// Takes `bytes` if they are free now.
    pub fn try_reserve(&self, bytes: usize) -> Option<Permit> {
        Arc::clone(&self.shared.free).try_acquire_many_owned(self.units(bytes)).ok().map(Permit)
    }

    /// As `try_reserve`, for memory that is only there to be fast: never while somebody waits.
    pub fn try_spare(&self, bytes: usize) -> Option<Permit> {
        if self.shared.waiting.load(Ordering::Acquire) > 0 { None } else { self.try_reserve(bytes) }
    }

    /// Names the holder of memory that may be evicted.
    pub fn set_evictable(&self, holder: Weak<dyn Evict>) {
        *self.shared.evictable.lock().unwrap_or_else(PoisonError::into_inner) = Some(holder);
    }

    /// Bytes in use, those of lanes' shares not counted.
    pub fn used(&self) -> u64 {
        let max = self.shared.max.load(Ordering::Relaxed);
        max.saturating_sub(self.shared.free.available_permits()) as u64 * UNIT
    }

    pub fn max(&self) -> ByteSize {
        ByteSize(self.shared.max.load(Ordering::Relaxed) as u64 * UNIT)
    }

    fn evict(&self, bytes: usize) {
        let holder = self.shared.evictable.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(holder) = holder.and_then(|weak| weak.upgrade()) {
            holder.evict(bytes);
        }
    }

    fn units(&self, bytes: usize) -> u32 {
        units(bytes).min(u32::try_from(self.shared.max.load(Ordering::Relaxed)).unwrap_or(u32::MAX))
    }
}

impl Permit {
    /// Gives back what is above `bytes`, once the true size is known.
    pub fn shrink_to(&mut self, bytes: usize) {
        let surplus = self.0.num_permits().saturating_sub(units(bytes) as usize);
        drop(self.0.split(surplus));
    }

    /// Both as one; they have to be of one budget.
    pub fn join(&mut self, other: Self) {
        self.0.merge(other.0);
    }

    pub fn bytes(&self) -> usize {
        self.0.num_permits() * UNIT as usize
    }
}

struct Shared {
    /// In units, as is everything here.
    max: AtomicUsize,
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    evictable: Mutex<Option<Weak<dyn Evict>>>,
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

pub(super) const UNIT: u64 = 1024;

pub(super) fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT as usize)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_reservation_waits_until_bytes_come_back() {
        let budget = Budget::new(ByteSize::kib(64));
        let held = budget.try_reserve(40 << 10).unwrap();
        let mut second = pin!(budget.reserve(40 << 10));
        assert!(poll(second.as_mut()).is_pending());
        drop(held);
        assert!(poll(second.as_mut()).is_ready());
    }

    #[test]
    fn a_share_that_was_carved_out_is_not_taken_by_others() {
        let budget = Budget::new(ByteSize::kib(64));
        let lane = budget.carve(ByteSize::kib(16)).unwrap();
        assert_eq!(budget.max(), ByteSize::kib(48));
        let _all = budget.try_reserve(1 << 30).unwrap();
        assert!(lane.try_reserve(16 << 10).is_some());
        assert!(budget.carve(ByteSize::kib(48)).is_none());
    }

    #[test]
    fn what_is_only_there_to_be_fast_goes_when_somebody_waits() {
        struct Tail(Mutex<Vec<Permit>>);
        impl Evict for Tail {
            fn evict(&self, _: usize) {
                self.0.lock().unwrap().clear();
            }
        }
        let budget = Budget::new(ByteSize::kib(64));
        let tail = Arc::new(Tail(Mutex::new(vec![budget.try_spare(64 << 10).unwrap()])));
        let weak: Weak<dyn Evict> = Arc::downgrade(&(Arc::clone(&tail) as Arc<dyn Evict>));
        budget.set_evictable(weak);
        assert!(poll(pin!(budget.reserve(32 << 10))).is_ready());
    }
}
