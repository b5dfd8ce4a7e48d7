//! Between a reader's thread and the basin: takes the batches in order and keeps a few appends in
//! flight, so that neither waits for the other's every step.
//!
//! Promise: appends begin in the order of the batches. Must not know: files.

use super::Counts;
use crate::event::{EventBatch, Outcome};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::sync::CancellationToken;

/// Appends in flight: one being synced, one in the next group, and room for the reader's pace.
pub(super) const APPENDS_MAX: usize = 4;
/// Batches read ahead of the appends.
const READ_AHEAD: usize = 2;

/// The reader's end. Both sides end when the other does.
#[derive(Debug)]
pub(super) struct Outlet {
    batches: Sender<(EventBatch, Counts)>,
}

pub(super) type Inlet = Receiver<(EventBatch, Counts)>;

/// The basin's side is gone: there is nobody to read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed;

pub(super) fn pipe() -> (Outlet, Inlet) {
    let (batches, inlet) = channel(READ_AHEAD);
    (Outlet { batches }, inlet)
}

impl Outlet {
    /// Hands a batch over; waits while the basin is behind. For threads outside the runtime.
    pub(super) fn send(&self, batch: (EventBatch, Counts)) -> Result<(), Closed> {
        self.batches.blocking_send(batch).map_err(|_| Closed)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.batches.is_closed()
    }
}

/// How feeding ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fed {
    /// The reader has nothing more, and all it read is kept.
    Ended,
    /// Told to stop; what was in flight is settled, what was not begun is read again next time.
    Stopped,
    /// The basin did not keep a batch.
    Lost,
}

/// Appends what the reader sends until it ends, `stop` is cancelled or a batch is lost. `kept` hears
/// of each batch that the basin answers for. More than one append at a time only where all are of one
/// stream: the basin keeps none of a stream after one that it lost, and of others it does.
pub(super) async fn feed<A, F>(
    mut inlet: Inlet,
    appends_max: usize,
    append: A,
    stop: &CancellationToken,
    mut kept: impl FnMut(&Counts),
) -> Fed
where
    A: Fn(EventBatch) -> F,
    F: Future<Output = Outcome>,
{
    let mut flying: VecDeque<(Pin<Box<F>>, Counts, Option<Outcome>)> = VecDeque::new();
    let mut open = true;
    loop {
        let (waiting, room) = (!flying.is_empty(), open && flying.len() < appends_max);
        // In order, so that an earlier append asks for room before a later one does.
        let settled = poll_fn(|context| {
            for (future, _, outcome) in &mut flying {
                if outcome.is_none()
                    && let Poll::Ready(ready) = future.as_mut().poll(context)
                {
                    *outcome = Some(ready);
                }
            }
            match flying.front() {
                Some((_, _, Some(_))) => Poll::Ready(()),
                _ => Poll::Pending,
            }
        });
        tokio::select! {
            biased;
            () = settled, if waiting => {}
            () = stop.cancelled(), if open => { inlet.close(); open = false; }
            batch = inlet.recv(), if room => match batch {
                Some((batch, counts)) => flying.push_back((Box::pin(append(batch)), counts, None)),
                None => open = false,
            },
            else => break,
        }
        while let Some((_, counts, Some(outcome))) = flying.front() {
            if *outcome == Outcome::Lost {
                return Fed::Lost;
            }
            kept(counts);
            flying.pop_front();
        }
    }
    if stop.is_cancelled() { Fed::Stopped } else { Fed::Ended }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::batch::Filling;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn batch(text: &str) -> (EventBatch, Counts) {
        let mut filling = Filling::default();
        filling.push(text.as_bytes(), None);
        filling.take(crate::source::batch::origin("test", None), None)
    }

    #[tokio::test]
    async fn batches_are_appended_in_order_with_a_few_in_flight() {
        let (outlet, inlet) = pipe();
        let reader = std::thread::spawn(move || {
            for number in 0..20 {
                outlet.send(batch(&number.to_string())).unwrap();
            }
        });
        let (seen, flying, most) = (Mutex::new(Vec::new()), AtomicUsize::new(0), AtomicUsize::new(0));
        let append = async |batch: EventBatch| {
            seen.lock().unwrap().push(String::from_utf8(batch.event(0).to_vec()).unwrap());
            most.fetch_max(flying.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            // The first one does not end before there is a second one.
            while most.load(Ordering::Relaxed) < 2 {
                tokio::task::yield_now().await;
            }
            flying.fetch_sub(1, Ordering::Relaxed);
            Outcome::Kept
        };
        let mut events = 0;
        let fed =
            feed(inlet, APPENDS_MAX, append, &CancellationToken::new(), |counts| events += counts.events)
                .await;
        reader.join().unwrap();
        assert_eq!((fed, events), (Fed::Ended, 20));
        assert_eq!(*seen.lock().unwrap(), (0..20).map(|number| number.to_string()).collect::<Vec<_>>());
        assert!((2..=APPENDS_MAX).contains(&most.load(Ordering::Relaxed)));
    }

    #[tokio::test]
    async fn a_lost_batch_ends_it() {
        let (outlet, inlet) = pipe();
        let reader = std::thread::spawn(move || while outlet.send(batch("a")).is_ok() {});
        let fed = feed(inlet, APPENDS_MAX, async |_| Outcome::Lost, &CancellationToken::new(), |_| {}).await;
        reader.join().unwrap();
        assert_eq!(fed, Fed::Lost);
    }

    #[tokio::test]
    async fn with_one_at_a_time_none_is_begun_after_one_that_is_lost() {
        let (outlet, inlet) = pipe();
        let reader = std::thread::spawn(move || while outlet.send(batch("a")).is_ok() {});
        let begun = AtomicUsize::new(0);
        let append = async |_| {
            begun.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Outcome::Lost
        };
        let fed = feed(inlet, 1, append, &CancellationToken::new(), |_| {}).await;
        reader.join().unwrap();
        assert_eq!((fed, begun.into_inner()), (Fed::Lost, 1));
    }

    #[tokio::test]
    async fn a_stop_waits_for_what_is_in_flight_only() {
        let (outlet, inlet) = pipe();
        let stop = CancellationToken::new();
        let inner = stop.clone();
        let reader = std::thread::spawn(move || while outlet.send(batch("a")).is_ok() {});
        let append = async |_| {
            inner.cancel();
            Outcome::Kept
        };
        let mut events = 0;
        let fed = feed(inlet, APPENDS_MAX, append, &stop, |counts| events += counts.events).await;
        reader.join().unwrap();
        assert_eq!(fed, Fed::Stopped);
        assert!((1..=APPENDS_MAX as u64).contains(&events));
    }
}
