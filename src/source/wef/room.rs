//! Memory for requests: reserved before a body is read, in the turn of its host, under the budget.
//!
//! ```text
//! Content-Length ─► turn ─► admit ─► read the body ─► grow to what it expands to ─► events ─► basin ─► answer
//!                   └ its length and twice that ┘                            └ shrinks to the events ┘
//! ```
//! Bodies up to `SMALL_BYTES` are read without waiting: heartbeats, requests for subscriptions and
//! SubscriptionEnd are among them, and what they cost is bounded by the number of connections.
//!
//! First demands have three quarters of the budget. Who holds room and needs more than is free there, because
//! its body expands to more than most do, is alone in taking that from the last quarter: did such wait for
//! each other, all would wait for ever.
//!
//! Promise: one of those who hold room can always end. Must not know: HTTP, messages.

use super::fair::{Share, Shares};
use super::turns::{Turn, Turns};
use crate::basin::{Budget, Permit};
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Memory for requests; clones share it.
#[derive(Clone)]
pub(super) struct Rooms {
    turns: Turns,
    shares: Shares,
    budget: Budget,
    /// Of the last quarter.
    more: Arc<Mutex<()>>,
}

/// Memory for one request, given back when dropped.
#[derive(Debug, Default)]
pub(super) struct Room {
    held: Option<(Share, Permit)>,
    /// One of its host's.
    turn: Option<Turn>,
    /// Held while it has more than its share.
    alone: Option<OwnedMutexGuard<()>>,
}

impl Rooms {
    pub(super) fn new(budget: Budget) -> Self {
        // The rest is for bodies that expand to more than was thought, and for other sources.
        let shares = Shares::new(budget.max().0 / 4 * 3);
        Self { turns: Turns::default(), shares, budget, more: Arc::default() }
    }

    /// Waits for room for a body of so many bytes and for its events.
    pub(super) async fn admit(&self, host: &str, body_bytes: usize) -> Room {
        if body_bytes <= SMALL_BYTES {
            return Room::default();
        }
        let turn = self.turns.take(host).await;
        let room = self.take(host, body_bytes.saturating_mul(1 + EXPANSION)).await;
        Room { turn: Some(turn), ..room }
    }

    /// Makes sure that there is room for `bytes` in all.
    pub(super) async fn grow(&self, host: &str, room: &mut Room, bytes: usize) {
        let Some(more) = bytes.checked_sub(room.bytes()).filter(|more| *more > 0) else { return };
        let Some((share, permit)) = &mut room.held else {
            room.held = self.take(host, more).await.held;
            return;
        };
        if let Some(free) = self.shares.try_take(more as u64)
            && let Some(reserved) = self.budget.try_reserve(more)
        {
            share.join(free);
            permit.join(reserved);
            return;
        }
        if room.alone.is_none() {
            room.alone = Some(Arc::clone(&self.more).lock_owned().await);
        }
        permit.join(self.budget.reserve(more).await);
    }

    async fn take(&self, host: &str, bytes: usize) -> Room {
        let share = self.shares.take(host, bytes as u64).await;
        let permit = self.budget.reserve(bytes).await;
        Room { held: Some((share, permit)), ..Room::default() }
    }
}

impl Room {
    /// Its host had others in work when it asked.
    pub(super) fn is_one_of_many(&self) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.is_one_of_many)
    }

    pub(super) fn bytes(&self) -> usize {
        self.held.as_ref().map_or(0, |(_, permit)| permit.bytes())
    }

    /// Gives back what is above `bytes`.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        if let Some((share, permit)) = &mut self.held {
            permit.shrink_to(bytes);
            share.shrink_to(bytes as u64);
            if permit.bytes() as u64 <= share.bytes() {
                self.alone = None;
            }
        }
    }
}

/// Bodies of this size are read at once.
pub(super) const SMALL_BYTES: usize = 8 * 1024;
/// Event text for each byte of a body, and some more: Windows compresses UTF-16 to a third.
const EXPANSION: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::ByteSize;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    const KIB: usize = 1024;

    #[tokio::test]
    async fn small_bodies_wait_for_nobody_and_larger_ones_for_room() {
        let rooms = Rooms::new(Budget::new(ByteSize::mib(1)));
        let held = rooms.admit("a", 250 * KIB).await;
        assert_eq!(held.bytes(), 750 * KIB);
        let mut other = pin!(rooms.admit("b", 10 * KIB));
        assert!(poll(other.as_mut()).is_pending(), "three quarters are for bodies");
        assert_eq!(rooms.admit("b", SMALL_BYTES).await.bytes(), 0);
        drop(held);
        assert_eq!(other.await.bytes(), 30 * KIB);
        assert_eq!(rooms.shares.out(), 0);
    }

    #[tokio::test]
    async fn room_grows_to_what_is_needed_and_shrinks_to_what_is_left() {
        let rooms = Rooms::new(Budget::new(ByteSize::mib(1)));
        let mut room = rooms.admit("a", KIB).await;
        rooms.grow("a", &mut room, 100 * KIB).await;
        rooms.grow("a", &mut room, 50 * KIB).await;
        assert_eq!(room.bytes(), 100 * KIB, "it is large enough");
        rooms.grow("a", &mut room, 120 * KIB).await;
        assert_eq!((room.bytes(), rooms.shares.out()), (120 * KIB, 120 * KIB as u64));
        room.shrink_to(200 * KIB);
        room.shrink_to(20 * KIB);
        assert_eq!((room.bytes(), rooms.shares.out()), (20 * KIB, 20 * KIB as u64));
        drop(room);
        assert_eq!(rooms.shares.out(), 0);
    }

    #[tokio::test]
    async fn all_that_need_more_than_they_were_given_get_it_one_after_the_other() {
        let budget = Budget::new(ByteSize::mib(1));
        let rooms = Rooms::new(budget.clone());
        let mut held = Vec::new();
        for host in ["a", "b", "c"] {
            held.push((host, rooms.admit(host, 80 * KIB).await));
        }
        assert_eq!(rooms.shares.out(), 720 * KIB as u64);
        let (first_host, mut first) = held.remove(0);
        rooms.grow(first_host, &mut first, 400 * KIB).await;
        let (second_host, mut second) = held.remove(0);
        {
            let mut growing = pin!(rooms.grow(second_host, &mut second, 300 * KIB));
            assert!(poll(growing.as_mut()).is_pending(), "there would be room, and the first may need it");
            first.shrink_to(240 * KIB);
            assert!(poll(growing.as_mut()).is_ready(), "the first is within its share again");
        }
        let (third_host, mut third) = held.remove(0);
        {
            let mut growing = pin!(rooms.grow(third_host, &mut third, 300 * KIB));
            assert!(poll(growing.as_mut()).is_pending());
            rooms.grow(second_host, &mut second, 340 * KIB).await;
            drop(second);
            assert!(poll(growing.as_mut()).is_ready());
        }
        drop((first, third));
        assert_eq!((rooms.shares.out(), budget.used()), (0, 0));
    }

    #[tokio::test]
    async fn who_stops_waiting_for_more_keeps_what_it_has() {
        let rooms = Rooms::new(Budget::new(ByteSize::mib(1)));
        let held = rooms.admit("a", 240 * KIB).await;
        let mut room = Room::default();
        {
            let mut growing = pin!(rooms.grow("b", &mut room, 100 * KIB));
            assert!(poll(growing.as_mut()).is_pending());
        }
        assert_eq!((room.bytes(), rooms.shares.out()), (0, 720 * KIB as u64));
        drop(held);
        rooms.grow("b", &mut room, 100 * KIB).await;
        assert_eq!(room.bytes(), 100 * KIB);
    }
}
