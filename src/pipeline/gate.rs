//! The moment at which no output has a batch under way, for a reload that repeats nothing.
//!
//! A lane holds a pass from before it sends until its cursor has moved, and gives it back while it
//! waits to try again. Who closes the gate waits for the passes that are out; meanwhile no new ones
//! are given. Giving up on that opens it again, so an output that hangs holds others up no longer
//! than the one who closes likes to wait.
//! Must not know: lanes, lives.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio_util::sync::CancellationToken;

/// Clones share it.
#[derive(Clone, Default)]
pub(super) struct Gate {
    /// Fair: who waits to write is not overtaken by those who come to read.
    lock: Arc<RwLock<()>>,
    left: CancellationToken,
    /// Who has a pass.
    out: Arc<Mutex<Vec<String>>>,
}

pub(super) struct Pass {
    _lock: OwnedRwLockReadGuard<()>,
    output: String,
    out: Arc<Mutex<Vec<String>>>,
}

/// The pipeline changes over: what is not sent yet is sent by the next life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left;

impl Gate {
    pub(super) async fn pass(&self, output: &str) -> Result<Pass, Left> {
        let lock = tokio::select! {
            biased;
            () = self.left.cancelled() => return Err(Left),
            lock = Arc::clone(&self.lock).read_owned() => lock,
        };
        names(&self.out).push(output.to_owned());
        Ok(Pass { _lock: lock, output: output.to_owned(), out: Arc::clone(&self.out) })
    }

    /// Waits without a pass.
    pub(super) async fn sleep(&self, time: Duration) -> Result<(), Left> {
        tokio::select! {
            biased;
            () = self.left.cancelled() => Err(Left),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }

    /// Ends when no pass is out, and keeps it so while what it gives is held.
    pub(super) fn close(&self) -> impl Future<Output = OwnedRwLockWriteGuard<()>> + use<> {
        Arc::clone(&self.lock).write_owned()
    }

    /// From here on nobody passes.
    pub(super) fn leave(&self) {
        self.left.cancel();
    }

    /// Outputs that have a batch under way.
    pub(super) fn out(&self) -> Vec<String> {
        names(&self.out).clone()
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut names = names(&self.out);
        if let Some(at) = names.iter().position(|name| *name == self.output) {
            names.swap_remove(at);
        }
    }
}

// A panic elsewhere cannot leave the list half-changed.
fn names(out: &Mutex<Vec<String>>) -> MutexGuard<'_, Vec<String>> {
    out.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn a_gate_closes_when_the_last_pass_is_back_and_opens_when_it_is_given_up() {
        let gate = Gate::default();
        let first = gate.pass("a").await.unwrap();
        let mut closing = Box::pin(gate.close());
        assert!(poll(closing.as_mut()).is_pending());
        let mut second = pin!(gate.pass("b"));
        assert!(poll(second.as_mut()).is_pending(), "none is given while it closes");
        assert_eq!(gate.out(), ["a"]);
        drop(closing);
        assert!(matches!(poll(second.as_mut()), Poll::Ready(Ok(_))), "it was given up");

        let mut closing = Box::pin(gate.close());
        assert!(poll(closing.as_mut()).is_pending());
        drop(first);
        let Poll::Ready(closed) = poll(closing.as_mut()) else { panic!("no pass is out") };
        let mut late = pin!(gate.pass("a"));
        assert!(poll(late.as_mut()).is_pending());
        gate.leave();
        drop(closed);
        assert_eq!(poll(late.as_mut()).map(|pass| pass.err()), Poll::Ready(Some(Left)));
        assert_eq!(gate.sleep(Duration::MAX).await, Err(Left));
    }
}
