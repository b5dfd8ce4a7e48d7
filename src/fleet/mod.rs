//! Thousands of simulated Windows hosts in one process: they test and measure this collector, or any other.
//!
//! ```text
//! pool ─► log ─► batch ─► form ─► http ─► collector ─► verdict ─► bookmark, ledger, meter
//!  │                                                                          │
//!  └── what each event is, from a seed ──────── verify ◄── ledger, outputs ───┘
//! ```
//!
//! | file | what |
//! |---|---|
//! | `generate`, `template`, `pool` | events: made up or replayed, and which of them a host has |
//! | `log` | what happened on one host, and when |
//! | `form`, `message`, `batch` | what a host says, as Windows writes it, cheaply |
//! | `target`, `outgoing`, `http`, `link`, `mint` | how it gets there: HTTP/1.1, TLS, certificates made on the fly |
//! | `domain`, `sign_in`, `sealing` | keys or a password of a domain, the handshake with them, bodies sealed behind it |
//! | `host`, `stream`, `outcome` | one host; one subscription of it; what an answer means |
//! | `schedule`, `fault`, `stranger`, `storm`, `plan` | what a run is to do |
//! | `ledger`, `open`, `verify` | what was sent, and what an output made of it |
//! | `meter`, `watch`, `report` | what it came to |
//!
//! Promise: all events follow from the seed; what was acknowledged is in the ledger, letter by letter.
//! Must not know: how a collector works inside.

mod batch;
mod dice;
mod domain;
mod fault;
mod form;
mod generate;
mod host;
mod http;
mod ledger;
mod link;
mod log;
mod message;
mod meter;
mod mint;
mod open;
mod outcome;
mod outgoing;
mod plan;
mod pool;
mod report;
mod schedule;
mod sealing;
mod sign_in;
mod storm;
mod stranger;
mod stream;
mod target;
mod template;
mod verify;
mod watch;

#[cfg(feature = "sspi")]
pub use crate::auth::sspi::Server;
#[cfg(feature = "sspi")]
pub use domain::PasswordSettings;
pub use domain::{DomainError, DomainSettings, Proof, Scheme};
pub use ledger::{Head, Names};
pub use mint::{Mint, MintError};
pub use plan::{Faults, Pace, Plan, PlanError, Settings};
pub use pool::{Origin, Pool};
pub use report::{Back, Cost, Latency, Report, Second, Storm, page};
pub use schedule::Schedule;
pub use verify::{ReadLog, Verdict, Verify};

use crate::event::Timestamp;
use host::{Host, Shared};
use ledger::{Entry, Ledger};
use log::Log;
use report::Gathering;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Error)]
pub enum FleetError {
    #[error("the ledger cannot be kept: {0}")]
    Ledger(#[from] io::Error),
    #[error(transparent)]
    Mint(#[from] MintError),
}

/// Runs the fleet until it is stopped, or until it has sent what it is to send. `each_second` is told how
/// it goes.
///
/// # Errors
/// When certificates cannot be made or the ledger cannot be written; the collector's failures are in the
/// report.
pub async fn run(
    plan: Plan,
    stop: CancellationToken,
    mut each_second: impl FnMut(&Second),
) -> Result<Report, FleetError> {
    let settings = plan.settings.clone();
    let (ledger, logs) = match &settings.ledger {
        Some(path) => Ledger::open(path, &settings.head())?,
        None => (Ledger::none(), vec![Log::default(); settings.hosts as usize]),
    };
    let shared = Arc::new(Shared::new(plan, ledger));
    let mut gathering = Gathering::new(settings.pid);
    let mut hosts = JoinSet::new();
    hosts.spawn(start(Arc::clone(&shared), logs, stop.clone()));
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    seconds.tick().await;
    let mut over: Option<Instant> = None;
    let mut storm = settings.storm_at.map(|at| shared.started + at);
    loop {
        tokio::select! {
            ended = hosts.join_next() => match ended {
                Some(Ok(ended)) => ended?,
                Some(Err(error)) => return Err(io::Error::other(error).into()),
                None => break,
            },
            _ = seconds.tick() => {
                let (counts, tally) = shared.meter.second();
                each_second(&gathering.second(shared.started.elapsed(), &counts, &tally));
                shared.ledger.flush()?;
            }
            () = sleep_until(storm.unwrap_or_else(Instant::now)), if storm.is_some() => {
                storm = None;
                shared.storm.begin(shared.started.elapsed(), &shared.meter.total().1);
            }
            () = stop.cancelled(), if over.is_none() => over = Some(Instant::now() + settings.grace),
            () = sleep_until(over.unwrap_or_else(Instant::now)), if over.is_some() => {
                hosts.shutdown().await;
            }
        }
    }
    let took = shared.started.elapsed();
    let (counts, tally) = shared.meter.second();
    gathering.second(took, &counts, &tally);
    shared.ledger.flush()?;
    let (total, tally) = shared.meter.total();
    let storm = shared.storm.report(&tally);
    Ok(Report { storm, ..gathering.report(settings.hosts, took, &total, tally) })
}

/// Starts the hosts, one after the other over the time given, and waits for all of them.
async fn start(shared: Arc<Shared>, logs: Vec<Log>, stop: CancellationToken) -> Result<(), FleetError> {
    let settings = &shared.plan.settings;
    let pause = settings.start_over / settings.hosts.max(1);
    let mut hosts = JoinSet::new();
    for (number, log) in (0..settings.hosts).zip(logs) {
        let due = shared.started + pause * number;
        if !pause.is_zero() && timeout(Duration::ZERO, stop.cancelled()).await.is_err() {
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(due.saturating_duration_since(Instant::now())) => {}
            }
        }
        let tls = match &shared.plan.tls {
            Some(tls) => Some(tls.of_host(&settings.names.of(number))?),
            None => None,
        };
        let mut host = Host::new(Arc::clone(&shared), number, log, tls);
        host.exist(settings.existing, settings.existing_since);
        hosts.spawn(host.live(stop.clone()));
    }
    while hosts.join_next().await.is_some() {}
    Ok(())
}

impl Host {
    /// Events that had come before the host started.
    fn exist(&mut self, events: u64, since: Option<Timestamp>) {
        let mut log = self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let before = log.len();
        if log.grow(events, since.unwrap_or_else(|| self.now())) {
            let entry = Entry::Log { host: self.number, events: before..events, time: log.last_time() };
            self.shared.ledger.write(&entry);
        }
        self.before = log.len();
    }
}

#[cfg(test)]
mod tests;
