//! Who gets in: connections in all and of one address, and handshakes under way.
//!
//! ```text
//! accepted ─► one of all ─► [PROXY header] ─► one of its address ─► its turn to shake hands ─► served
//!             else closed                     else closed          waits
//! ```
//! A handshake costs a thousand times an idle connection, and anybody may ask for one. So few are under way
//! at once, fewer of one address, and the rest stands in line with nothing but its socket.
//!
//! Promise: bounded before anybody has proved anything; a crowd of one address leaves room for others.
//! Must not know: TLS, HTTP.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many of each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crowd {
    pub(super) connections: usize,
    pub(super) connections_per_address: usize,
    pub(super) handshakes: usize,
    pub(super) handshakes_per_address: usize,
}

/// Counts who is here.
#[derive(Debug)]
pub(super) struct Admission {
    crowd: Crowd,
    connections: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    addresses: Mutex<HashMap<IpAddr, OfAddress>>,
}

#[derive(Debug)]
struct OfAddress {
    connections: usize,
    handshakes: Arc<Semaphore>,
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    admission: Arc<Admission>,
    address: IpAddr,
}

/// A handshake's turn.
#[derive(Debug)]
pub(super) struct Turn {
    _of_address: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Admission {
    pub(super) fn new(crowd: Crowd) -> Arc<Self> {
        let semaphore = |places: usize| Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self {
            crowd,
            connections: semaphore(crowd.connections),
            handshakes: semaphore(crowd.handshakes),
            addresses: Mutex::default(),
        })
    }

    /// One of all connections, whosever it is.
    pub(super) fn enter(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.connections).try_acquire_owned().ok()
    }

    /// One of the connections of an address.
    pub(super) fn place(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut addresses = self.lock();
        let of_address = addresses.entry(address).or_insert_with(|| OfAddress {
            connections: 0,
            handshakes: Arc::new(Semaphore::new(self.crowd.handshakes_per_address)),
        });
        if of_address.connections == self.crowd.connections_per_address {
            return None;
        }
        of_address.connections += 1;
        Some(Place { admission: Arc::clone(self), address })
    }

    pub(super) fn connections_per_address(&self) -> usize {
        self.crowd.connections_per_address
    }

    /// Connections that are here.
    pub(super) fn count(&self) -> usize {
        self.crowd.connections.saturating_sub(self.connections.available_permits())
    }

    // Every change is one number.
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, OfAddress>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits for the turn to shake hands. The line is one of its address first, so that others are not behind it.
    pub(super) async fn turn(&self) -> Option<Turn> {
        let of_address = Arc::clone(&self.admission.lock().get(&self.address)?.handshakes);
        let of_address = of_address.acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.admission.handshakes).acquire_owned().await.ok()?;
        Some(Turn { _of_address: of_address, _of_all: of_all })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut addresses = self.admission.lock();
        if let Some(of_address) = addresses.get_mut(&self.address) {
            of_address.connections -= 1;
            if of_address.connections == 0 {
                addresses.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn address(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    fn admission() -> Arc<Admission> {
        Admission::new(Crowd {
            connections: 4,
            connections_per_address: 3,
            handshakes: 3,
            handshakes_per_address: 2,
        })
    }

    #[test]
    fn one_address_does_not_take_all_places() {
        let admission = admission();
        let first: Vec<_> = (0..3).map(|_| admission.place(address(1)).unwrap()).collect();
        assert!(admission.place(address(1)).is_none());
        let other = admission.place(address(2)).unwrap();
        drop(first);
        assert!(admission.place(address(1)).is_some());
        drop(other);
        assert!(admission.lock().is_empty(), "nobody is remembered who has left");
        let all: Vec<_> = (0..4).map(|_| admission.enter().unwrap()).collect();
        assert!(admission.enter().is_none());
        assert_eq!(admission.count(), 4);
        drop(all);
        assert_eq!(admission.count(), 0);
    }

    #[test]
    fn handshakes_wait_for_those_of_their_address_and_then_for_all() {
        let admission = admission();
        let places: Vec<_> = [1, 1, 1, 2, 3].map(|number| admission.place(address(number)).unwrap()).into();
        let turn = |place: &Place| match pin!(place.turn()).poll(&mut Context::from_waker(Waker::noop())) {
            std::task::Poll::Ready(turn) => turn,
            std::task::Poll::Pending => None,
        };
        let (first, second) = (turn(&places[0]).unwrap(), turn(&places[1]).unwrap());
        assert!(turn(&places[2]).is_none(), "two of its address are under way");
        let _third = turn(&places[3]).unwrap();
        assert!(turn(&places[4]).is_none(), "three in all are under way");
        drop(first);
        assert!(turn(&places[4]).is_some());
        drop(second);
        assert!(turn(&places[2]).is_some());
    }
}
