//! One simulated host: asks for its subscriptions, keeps a stream of deliveries for each, and asks again
//! every so often, as a Windows host does whose group policy names this collector.
//!
//! ```text
//! connection A: Enumerate ─► subscriptions ─► End, close            every `refresh`
//! connection B: Events, Heartbeat … ─► Ack …                        one for each subscription
//! ```
//! A subscription whose version is known goes on undisturbed; a new version takes the old one's place; what
//! is no longer offered ends. A stream that gave up comes back with the next answer, from the bookmark in it.

use super::dice::{Dice, mixed};
use super::domain::Machine;
use super::http::Delivery;
use super::ledger::{Ledger, Stream as Record};
use super::link::Link;
use super::log::Log;
use super::message::{self, Caller, Task};
use super::meter::Meter;
use super::outcome;
use super::outgoing::Outgoing;
use super::plan::Plan;
use super::storm::{Storm, Who};
use super::stream::{Ended, Stream};
use crate::event::Timestamp;
use crate::wsman::charset::{self, Charset};
use crate::wsman::{Answer, Bookmark, Offer, Reply};
use rustls::ClientConfig;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// What all hosts have in common.
pub(super) struct Shared {
    pub(super) plan: Plan,
    pub(super) meter: Meter,
    pub(super) ledger: Ledger,
    pub(super) storm: Storm,
    pub(super) started: Instant,
    /// Events that may still be sent, where their number is limited.
    left: Option<AtomicU64>,
    /// Subscriptions that were given out: most hosts have the same.
    duties: Mutex<Vec<Arc<Duty>>>,
}

/// A subscription, and what of the pool it wants.
pub(super) struct Duty {
    pub(super) task: Task,
    pub(super) wanted: Vec<bool>,
    /// Its number in the ledger.
    pub(super) number: u32,
}

/// Most subscriptions that are kept for others; more are made anew for each host.
const DUTIES_MAX: usize = 1000;
/// How long a host waits that has no answer yet, or none since the storm, where `refresh` is longer.
const FIRST_RETRY: Duration = Duration::from_secs(5);

pub(super) struct Host {
    pub(super) shared: Arc<Shared>,
    pub(super) number: u32,
    pub(super) name: Box<str>,
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// Who it is in its domain.
    pub(super) machine: Option<Machine>,
    pub(super) log: Mutex<Log>,
    /// Events that were there when this run began.
    pub(super) before: u64,
    /// How far its clock is from the true time.
    skew: Duration,
}

impl Shared {
    pub(super) fn new(plan: Plan, ledger: Ledger) -> Self {
        let left = plan.settings.events.map(AtomicU64::new);
        let started = Instant::now();
        let (meter, storm) = (Meter::default(), Storm::default());
        Self { plan, meter, ledger, storm, started, left, duties: Mutex::default() }
    }

    /// How many of `events` may be sent; those that are not sent in the end are to be given back.
    pub(super) fn take(&self, events: u64) -> u64 {
        let Some(left) = &self.left else { return events };
        let mut taken = 0;
        let _ = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
            taken = now.min(events);
            Some(now - taken)
        });
        taken
    }

    pub(super) fn give_back(&self, events: u64) {
        if let Some(left) = &self.left {
            left.fetch_add(events, Ordering::Relaxed);
        }
    }

    fn duty(&self, offer: &Offer<'_>) -> Arc<Duty> {
        let mut duties = self.duties.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = duties.iter().find(|duty| duty.task.is_of(offer)) {
            return Arc::clone(known);
        }
        let record = Record::of(&offer.subscription);
        let wanted = record.wanted(&self.plan.pool);
        let number = self.ledger.stream(&record);
        let duty = Arc::new(Duty { task: Task::new(offer), wanted, number });
        if duties.len() < DUTIES_MAX {
            duties.push(Arc::clone(&duty));
        }
        duty
    }
}

/// A stream that runs.
struct Running {
    duty: Arc<Duty>,
    stop: CancellationToken,
    task: tokio::task::Id,
}

impl Host {
    pub(super) fn new(shared: Arc<Shared>, number: u32, log: Log, tls: Option<Arc<ClientConfig>>) -> Self {
        let settings = &shared.plan.settings;
        let name: Box<str> = settings.names.of(number).into();
        let faults = &settings.faults;
        let is_skewed = Dice::new(mixed(settings.seed) ^ u64::from(number)).chance(faults.skew);
        let skew = if is_skewed { faults.skew_by } else { Duration::ZERO };
        let machine = shared.plan.domain.as_ref().map(|domain| domain.machine(number, &name));
        Self { shared, number, name, tls, machine, log: Mutex::new(log), before: 0, skew }
    }

    /// The time of this host's clock.
    pub(super) fn now(&self) -> Timestamp {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + self.skew;
        Timestamp(i64::try_from(now.as_nanos()).unwrap_or(i64::MAX))
    }

    pub(super) async fn live(self, stop: CancellationToken) {
        let host = Arc::new(self);
        let mut dice = Dice::new(mixed(host.shared.plan.settings.seed ^ u64::from(host.number) << 32));
        let (mut running, mut streams) = (Vec::new(), JoinSet::new());
        let (mut is_known, mut is_gone, mut is_calm) = (false, false, true);
        loop {
            let answered = host.enumerate(&mut dice, &mut running, &mut streams, &stop).await;
            if let Err(why) = &answered {
                host.shared.meter.failed(&format!("Enumerate: {why}"));
            }
            if answered.is_ok() && !std::mem::replace(&mut is_known, true) {
                host.shared.meter.tally(|tally| tally.hosts += 1);
            }
            if answered.is_ok() && std::mem::take(&mut is_gone) {
                host.shared.storm.back(Who::Host);
            }
            let refresh = host.shared.plan.settings.refresh;
            let pause = if is_known && !is_gone { refresh } else { refresh.min(FIRST_RETRY) };
            tokio::select! {
                biased;
                () = host.shared.storm.begins(), if is_calm => {
                    (is_calm, is_gone) = (false, is_known);
                    if is_gone {
                        host.shared.storm.gone(Who::Host);
                    }
                }
                waited = host.wait(Instant::now() + pause, &mut running, &mut streams, &stop) => {
                    if waited.is_err() {
                        break;
                    }
                }
            }
        }
        while streams.join_next().await.is_some() {}
        if is_known {
            host.shared.meter.tally(|tally| tally.hosts -= 1);
        }
    }

    /// Until the time comes; an error when the host is done.
    async fn wait(
        &self,
        until: Instant,
        running: &mut Vec<Running>,
        streams: &mut JoinSet<Ended>,
        stop: &CancellationToken,
    ) -> Result<(), ()> {
        loop {
            tokio::select! {
                () = stop.cancelled() => return Err(()),
                () = sleep_until(until) => return Ok(()),
                Some(ended) = streams.join_next_with_id() => {
                    let id = ended.as_ref().map_or_else(tokio::task::JoinError::id, |(id, _)| *id);
                    running.retain(|one| one.task != id);
                    if running.is_empty() && matches!(ended, Ok((_, Ended::Spent))) {
                        return Err(());
                    }
                }
            }
        }
    }

    async fn enumerate(
        self: &Arc<Self>,
        dice: &mut Dice,
        running: &mut Vec<Running>,
        streams: &mut JoinSet<Ended>,
        stop: &CancellationToken,
    ) -> Result<(), String> {
        let caller = self.caller(dice);
        let plan = &self.shared.plan;
        let mut link = Link::new(self, plan.target.clone());
        let question = message::enumerate(caller, &plan.url);
        let asked = |text: &str| Outgoing::new(|out| charset::encode(text, Charset::Utf16, out));
        let exchanged = link.exchange(asked(&question), Charset::Utf16, false, Delivery::Whole).await;
        let answer = exchanged.map_err(|error| error.kind().to_owned())?;
        if answer.status != 200 {
            return Err(format!("HTTP {}", answer.status));
        }
        let text = outcome::text(&answer)?;
        let answer = Answer::parse(&text).map_err(|why| why.to_string())?;
        let Reply::EnumerateResponse(offers) = &answer.reply else {
            return Err("the answer is none to an Enumerate".into());
        };
        let relates = format!("uuid:{}", caller.message);
        if answer.header.relates_to.as_deref() != Some(relates.as_str()) {
            return Err("the answer is one to another message".into());
        }
        self.shared.meter.enumerated();
        self.follow(offers, dice, running, streams, stop);
        // What comes of it is of no consequence: the connection ends here.
        let end = message::end(dice.guid(), caller.operation);
        let _ = link.exchange(asked(&end), Charset::Utf16, false, Delivery::Whole).await;
        Ok(())
    }

    /// Does what the offers say from now on.
    fn follow(
        self: &Arc<Self>,
        offers: &[Offer<'_>],
        dice: &mut Dice,
        running: &mut Vec<Running>,
        streams: &mut JoinSet<Ended>,
        stop: &CancellationToken,
    ) {
        running.retain(|one| {
            let stays = offers.iter().any(|offer| offer.version == one.duty.task.version);
            if !stays {
                one.stop.cancel();
            }
            stays
        });
        for offer in offers {
            if running.iter().any(|one| one.duty.task.version == offer.version) {
                continue;
            }
            let duty = self.shared.duty(offer);
            let bookmark = offer.bookmark.as_ref().and_then(Bookmark::text).map(str::to_owned);
            let Some(stream) = Stream::new(self, &duty, bookmark.as_deref(), dice) else {
                self.shared.meter.failed("a subscription has no address");
                continue;
            };
            let stop = stop.child_token();
            let task = streams.spawn(stream.live(stop.clone())).id();
            running.push(Running { duty, stop, task });
        }
    }

    pub(super) fn caller(&self, dice: &mut Dice) -> Caller<'_> {
        let [session, message, operation] = [dice.guid(), dice.guid(), dice.guid()];
        Caller { machine: &self.name, session, message, operation }
    }
}
