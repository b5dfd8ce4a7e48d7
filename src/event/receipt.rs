//! Receipts: how a source learns that what it handed over is kept.
//!
//! Every copy of a receipt must be settled with `kept`. One that is dropped (a panic, an early
//! return, a task that was cut off) makes the outcome `Lost`, and the source delivers again.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// What became of a handed-over batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The basin answers for it.
    Kept,
    /// Nobody does: send it again.
    Lost,
}

/// A receipt and its other end.
pub fn ticket() -> (Receipt, Settled) {
    let shared = Arc::new(Mutex::new(State { open: 1, lost: false, waker: None }));
    (Receipt { shared: Some(Arc::clone(&shared)) }, Settled { shared })
}

/// The duty to say that one copy of a batch is kept.
#[derive(Debug)]
pub struct Receipt {
    shared: Option<Arc<Mutex<State>>>,
}

impl Receipt {
    /// One more copy that must be settled too.
    #[must_use]
    pub fn split(&self) -> Receipt {
        if let Some(shared) = &self.shared {
            lock(shared).open += 1;
        }
        Receipt { shared: self.shared.clone() }
    }

    /// This copy is kept.
    pub fn kept(mut self) {
        self.settle(false);
    }

    fn settle(&mut self, lost: bool) {
        let Some(shared) = self.shared.take() else { return };
        let waker = {
            let mut state = lock(&shared);
            state.open -= 1;
            state.lost |= lost;
            if state.open == 0 { state.waker.take() } else { None }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.settle(true);
    }
}

/// Resolves when every copy of the receipt is settled.
#[derive(Debug)]
pub struct Settled {
    shared: Arc<Mutex<State>>,
}

impl Future for Settled {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let mut state = lock(&self.shared);
        if state.open == 0 {
            return Poll::Ready(if state.lost { Outcome::Lost } else { Outcome::Kept });
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

#[derive(Debug)]
struct State {
    open: usize,
    lost: bool,
    waker: Option<Waker>,
}

// A panic elsewhere cannot leave the counter half-written, so a poisoned lock is still good.
fn lock(shared: &Mutex<State>) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(settled: &mut Settled) -> Poll<Outcome> {
        Pin::new(settled).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn kept_only_when_the_last_copy_is() {
        let (receipt, mut settled) = ticket();
        let second = receipt.split();
        receipt.kept();
        assert_eq!(poll(&mut settled), Poll::Pending);
        second.kept();
        assert_eq!(poll(&mut settled), Poll::Ready(Outcome::Kept));
    }

    #[test]
    fn a_dropped_copy_is_a_lost_batch() {
        let (receipt, mut settled) = ticket();
        drop(receipt.split());
        receipt.kept();
        assert_eq!(poll(&mut settled), Poll::Ready(Outcome::Lost));
    }
}
