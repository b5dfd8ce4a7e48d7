//! Who has to wait before the next attempt: after some failures twice as long each time.
//!
//! Promise: bounded; who is forgotten to make room has failed longest ago. Takes the time as argument.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Failures by address and by user.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    addresses: HashMap<IpAddr, Failures>,
    users: HashMap<Box<str>, Failures>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

/// Attempts that cost nothing but themselves: people mistype.
const FREE: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(300);
/// Addresses that are remembered, and users.
const REMEMBERED_MAX: usize = 8192;
/// Longest name of a user that is remembered.
const USER_BYTES_MAX: usize = 64;

impl Backoff {
    /// How long this one has to wait, if at all.
    pub(super) fn wait(&self, address: IpAddr, user: &str, now: Instant) -> Option<Duration> {
        let [address, user] = [self.addresses.get(&network(address)), self.users.get(cut(user))];
        address.into_iter().chain(user).filter_map(|failures| failures.wait(now)).max()
    }

    pub(super) fn failed(&mut self, address: IpAddr, user: &str, now: Instant) {
        note(&mut self.addresses, network(address), now);
        note(&mut self.users, cut(user).into(), now);
    }

    pub(super) fn succeeded(&mut self, address: IpAddr, user: &str) {
        self.addresses.remove(&network(address));
        self.users.remove(cut(user));
    }
}

impl Failures {
    fn wait(self, now: Instant) -> Option<Duration> {
        let doublings = self.count.checked_sub(FREE)?.min(16);
        let until = self.last + (FIRST_WAIT * (1 << doublings)).min(WAIT_MAX);
        until.checked_duration_since(now).filter(|wait| !wait.is_zero())
    }
}

fn note<K: Eq + Hash + Clone>(failures: &mut HashMap<K, Failures>, key: K, now: Instant) {
    if failures.len() == REMEMBERED_MAX && !failures.contains_key(&key) {
        // A quarter at once, so that a flood does not make every attempt look at all of them.
        let mut times: Vec<Instant> = failures.values().map(|failures| failures.last).collect();
        let (_, quarter, _) = times.select_nth_unstable(REMEMBERED_MAX / 4);
        let quarter = *quarter;
        failures.retain(|_, failures| failures.last > quarter);
    }
    let entry = failures.entry(key).or_insert(Failures { count: 0, last: now });
    // Old failures count no more.
    if now.duration_since(entry.last) > 2 * WAIT_MAX {
        entry.count = 0;
    }
    entry.count = entry.count.saturating_add(1);
    entry.last = now;
}

/// Whoever has one address of IPv6 has a network of them.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address => address,
    }
}

fn cut(user: &str) -> &str {
    let mut end = user.len().min(USER_BYTES_MAX);
    while !user.is_char_boundary(end) {
        end -= 1;
    }
    &user[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn there(number: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + number).to_be_bytes())
    }

    #[test]
    fn the_wait_doubles_after_some_free_attempts() {
        let (mut backoff, mut now) = (Backoff::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..16 {
            backoff.failed(HERE, "win10", now);
            let wait = backoff.wait(HERE, "win10", now).unwrap_or_default();
            waits.push(wait.as_secs());
            now += wait;
            assert_eq!(backoff.wait(HERE, "win10", now), None, "over");
        }
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    }

    #[test]
    fn the_address_waits_for_other_users_and_the_user_from_other_addresses() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        for _ in 0..FREE {
            backoff.failed(HERE, "win10", now);
        }
        assert!(backoff.wait(HERE, "other", now).is_some() && backoff.wait(there(1), "win10", now).is_some());
        assert!(backoff.wait(there(1), "other", now).is_none());
        backoff.succeeded(HERE, "win10");
        assert!(backoff.wait(HERE, "win10", now).is_none());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        for host in 0..FREE {
            backoff.failed(format!("2001:db8::{host}").parse().unwrap(), &host.to_string(), now);
        }
        assert!(backoff.wait("2001:db8::ffff".parse().unwrap(), "x", now).is_some());
        assert!(backoff.wait("2001:db8:0:1::1".parse().unwrap(), "x", now).is_none());
    }

    #[test]
    fn old_failures_count_no_more_and_floods_are_bounded() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        for number in 0..3 * REMEMBERED_MAX as u32 {
            backoff.failed(
                there(number),
                &"é".repeat(number as usize % 100),
                now + Duration::from_millis(number.into()),
            );
        }
        assert!(backoff.addresses.len() <= REMEMBERED_MAX && backoff.users.len() <= REMEMBERED_MAX);
        let mut backoff = Backoff::default();
        for day in 0..20 {
            backoff.failed(HERE, "win10", now + Duration::from_secs(86_400 * day));
        }
        assert_eq!(backoff.wait(HERE, "win10", now + Duration::from_secs(86_400 * 19)), None);
    }
}
