//! What is wrong with peers that nobody knows yet, told once in a while for each address and kind.
//!
//! Promise: bounded; a flood of bad connections is a line in the log now and then.
//! Must not know: what a peer sent.

use super::clock::Stage;
use super::http::Broken;
use crate::finding::Finding;
use crate::source::Report;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Findings about peers, on their way to the report.
#[derive(Debug)]
pub(super) struct Complaints {
    report: Report,
    told: Mutex<HashMap<(IpAddr, &'static str), Instant>>,
}

/// The same is told of the same address this often.
const AGAIN: Duration = Duration::from_secs(600);
/// Pairs of address and kind that are remembered; while more come, those stay untold.
const TOLD_MAX: usize = 4096;

impl Complaints {
    pub(super) fn new(report: Report) -> Self {
        Self { report, told: Mutex::default() }
    }

    /// Tells it, unless that was done lately.
    pub(super) fn tell(&self, address: IpAddr, kind: &'static str, finding: impl FnOnce() -> Finding) {
        if self.is_due(address, kind, Instant::now()) {
            self.report.find(finding());
        }
    }

    /// Tells what no peer is to blame for.
    pub(super) fn report(&self, finding: Finding) {
        self.report.find(finding);
    }

    /// A connection ended otherwise than by being closed between two requests.
    pub(super) fn ended(&self, address: IpAddr, stage: Stage, broken: &Broken) {
        let what = |doing: &str| format!("the connection of {address} was closed while it {doing}");
        let late = match broken {
            Broken::Unfit(unfit) => {
                return self.tell(address, "http", || Finding {
                    what: what("sent a request"),
                    why: format!("what it sent is not HTTP that we take: {}", unfit.why),
                    fix:
                        "see what connects from there; a load balancer in front belongs in `proxy_from`, and \
                      hosts that were told `https://` need `tls`"
                            .into(),
                });
            }
            Broken::Cut => false,
            Broken::Io(error) if error.kind() == ErrorKind::TimedOut => true,
            Broken::Io(error) if error.kind() == ErrorKind::UnexpectedEof => false,
            Broken::Io(_) => return,
        };
        let doing = match stage {
            Stage::First | Stage::Idle => return,
            Stage::Head => "sent the head of a request",
            Stage::Busy => "sent a request",
            Stage::Writing => "was sent an answer",
        };
        self.tell(address, if late { "slow" } else { "cut" }, || Finding {
            what: what(doing),
            why: if late { "it took too long" } else { "it went away" }.into(),
            fix: "look at the network between; the host sends what was under way again".into(),
        });
    }

    fn is_due(&self, address: IpAddr, kind: &'static str, now: Instant) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(&(address, kind)).is_some_and(|at| now.duration_since(*at) < AGAIN) {
            return false;
        }
        if told.len() == TOLD_MAX {
            told.retain(|_, at| now.duration_since(*at) < AGAIN);
        }
        if told.len() == TOLD_MAX {
            return false;
        }
        told.insert((address, kind), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_told_once_in_a_while_and_no_flood_fills_the_memory() {
        let complaints = Complaints::new(Report::new("dc"));
        let now = Instant::now();
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        assert!(complaints.is_due(address(1), "tls", now) && !complaints.is_due(address(1), "tls", now));
        assert!(complaints.is_due(address(1), "proxy", now) && complaints.is_due(address(2), "tls", now));
        assert!(complaints.is_due(address(1), "tls", now + AGAIN));
        for number in 10..10_000 {
            complaints.is_due(address(number), "tls", now);
        }
        assert_eq!(complaints.told.lock().unwrap().len(), TOLD_MAX);
        assert!(complaints.is_due(address(77), "tls", now + 2 * AGAIN));
    }
}
