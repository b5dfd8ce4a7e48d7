//! Threads for bodies that take long to read; they give way to everything else.
//!
//! On a busy machine a worker that reads a full envelope lets the small requests of everybody wait, and so
//! does a thread beside it of the same rank. These have a lower one (`nice`), which costs nothing where a
//! processor is free. Must not know: what is done on them.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use tokio::sync::oneshot;

/// The way to the threads, which end with it.
#[derive(Debug)]
pub(super) struct Aside {
    jobs: Sender<Job>,
}

type Job = Box<dyn FnOnce() + Send>;

impl Aside {
    /// # Errors
    /// When the system has no more threads.
    pub(super) fn new(threads: usize) -> io::Result<Self> {
        let (jobs, waiting) = channel::<Job>();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..threads {
            let waiting = Arc::clone(&waiting);
            thread::Builder::new().name("wef-aside".into()).spawn(move || work(&waiting))?;
        }
        Ok(Self { jobs })
    }

    /// What `job` returns; None when it panicked. A job that nobody waits for any more is not begun: its peer has
    /// gone, and its memory counts for nobody.
    pub(super) async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (done, result) = oneshot::channel();
        let job = Box::new(move || {
            if done.is_closed() {
                return;
            }
            // Nobody sees what a job that panicked has left.
            if let Ok(value) = catch_unwind(AssertUnwindSafe(job)) {
                // Whoever waited may have gone.
                let _ = done.send(value);
            }
        });
        self.jobs.send(job).ok()?;
        result.await.ok()
    }
}

fn work(waiting: &Mutex<Receiver<Job>>) {
    // Of this thread alone, on Linux. Where that is not allowed they are as others.
    let _ = rustix::process::setpriority_process(None, NICE);
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

/// A tenth of the share of others, when there is not enough for all.
const NICE: i32 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};

    #[tokio::test]
    async fn what_is_done_aside_gives_way_and_a_panic_ends_nothing_else() {
        let aside = Aside::new(1).unwrap();
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let here = nice();
        assert_eq!(aside.run(nice).await, Some(NICE.max(here)));
        assert_eq!(aside.run(|| panic!("on purpose")).await, None::<()>);
        assert_eq!(aside.run(|| 7).await, Some(7));
        assert_eq!(nice(), here);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_begun() {
        let aside = Aside::new(1).unwrap();
        let (release, held) = channel::<()>();
        let (begun, seen) = channel();
        let mut first = pin!(aside.run(move || held.recv().is_ok()));
        {
            let mut second = pin!(aside.run(move || begun.send(())));
            let mut context = Context::from_waker(Waker::noop());
            assert!(first.as_mut().poll(&mut context).is_pending());
            assert!(second.as_mut().poll(&mut context).is_pending());
        }
        release.send(()).unwrap();
        assert_eq!((first.await, aside.run(|| 7).await), (Some(true), Some(7)));
        assert!(seen.try_recv().is_err());
    }
}
