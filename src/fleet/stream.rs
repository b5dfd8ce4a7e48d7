//! The deliveries of one subscription of one host: one at a time, the next when the last is acknowledged.
//!
//! ```text
//!            ┌── nothing due: heartbeat ──┐
//! resume ─► wait ─► batch ─► sent ─► Ack ─┴─► bookmark moves, wait
//!                     ▲        └─► anything else ─► pause, the same events again; in the end: given up
//!                     └───────────────────────────┘
//! ```
//! As on Windows: what is not acknowledged is sent again, `ConnectionRetry` times; then the stream ends until
//! the collector offers the subscription again, and goes on from the bookmark in that offer. A collector
//! that refuses deliveries is not asked twice, nor told goodbye.

mod beside;

use super::batch::{Batch, charset_of};
use super::dice::Dice;
use super::fault;
use super::form::compress;
use super::host::{Duty, Host};
use super::http::{Delivery, HttpError};
use super::ledger::{Entry, Fate};
use super::link::Link;
use super::message::Caller;
use super::open::Open;
use super::outcome::Outcome;
use super::outgoing::Outgoing;
use super::plan::Pace;
use super::schedule::Turn;
use super::storm::Who;
use super::target::Target;
use crate::wsman::charset;
use crate::wsman::{BookmarkList, Guid};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was told to.
    Stopped,
    /// There are no more events to send.
    Spent,
    /// The collector did not acknowledge in as many tries as it allows itself.
    GivenUp,
    /// The collector does not want it.
    Refused,
}

pub(super) struct Stream {
    host: Arc<Host>,
    duty: Arc<Duty>,
    link: Link,
    session: Guid,
    dice: Dice,
    /// Number of the next event that was not acknowledged.
    at: u64,
    bookmark: BookmarkList,
    /// It begins without a bookmark, and says so first.
    is_new: bool,
    /// Whether the storm took its connection, and where that is over.
    storm: Weather,
}

/// Where a stream is with the storm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    Before,
    /// It has lost its connection, and no Ack since.
    Within,
    Behind,
}

/// How long a goodbye may take; Windows gives it half a second.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(5);

impl Stream {
    /// `None` where the subscription has no address that deliveries could go to.
    pub(super) fn new(
        host: &Arc<Host>,
        duty: &Arc<Duty>,
        bookmark: Option<&str>,
        dice: &mut Dice,
    ) -> Option<Self> {
        let target = Target::parse(&duty.task.address).ok()?;
        let list = bookmark.map(|text| BookmarkList::parse(text).unwrap_or_default());
        let newest = host.log.lock().unwrap_or_else(PoisonError::into_inner).len();
        let pool = &host.shared.plan.pool;
        let behind = |list: &BookmarkList| {
            let events = list.marks.iter().filter_map(|mark| {
                let channel = pool.channel_of(&mark.channel)?;
                Some(pool.nth(channel, mark.record)? + 1)
            });
            // A bookmark of another life of this host says nothing about this one.
            events.max().filter(|at| *at <= newest).unwrap_or_default()
        };
        let (at, list, is_new) = match list {
            Some(list) => (behind(&list), list, false),
            None if duty.task.subscription.read_existing => (0, BookmarkList::default(), false),
            None => (newest, beginning(host, newest), true),
        };
        Some(Self {
            host: Arc::clone(host),
            duty: Arc::clone(duty),
            link: Link::new(host, target),
            session: dice.guid(),
            dice: Dice::new(dice.roll()),
            at,
            bookmark: list,
            is_new,
            storm: Weather::Before,
        })
    }

    pub(super) async fn live(mut self, stop: CancellationToken) -> Ended {
        let ended = match self.begin(&stop).await {
            Ok(()) => self.run(&stop).await,
            Err(ended) => ended,
        };
        let says_goodbye = matches!(ended, Ended::Stopped | Ended::Spent);
        if says_goodbye && self.host.shared.plan.settings.farewell {
            let _ = timeout(FAREWELL_TIMEOUT, self.farewell()).await;
        }
        match ended {
            Ended::GivenUp => self.host.shared.meter.tally(|tally| tally.given_up += 1),
            Ended::Refused => self.host.shared.meter.tally(|tally| tally.refused += 1),
            Ended::Stopped | Ended::Spent => {}
        }
        ended
    }

    /// A host without a bookmark tells where it begins.
    async fn begin(&mut self, stop: &CancellationToken) -> Result<(), Ended> {
        if !self.is_new {
            return Ok(());
        }
        let (mut mark, mut time) = (String::new(), Vec::new());
        self.bookmark.write(&mut mark);
        self.host.now().write(3, &mut time);
        let time = String::from_utf8(time).unwrap_or_default();
        self.persist(stop, |stream, caller| {
            let text = stream.duty.task.beginning(caller, &mark, &time);
            stream.body_of(&text)
        })
        .await?;
        self.bookmark.backward = false;
        Ok(())
    }

    async fn run(&mut self, stop: &CancellationToken) -> Ended {
        let settings = self.host.shared.plan.settings.clone();
        let heartbeat = settings.heartbeat.unwrap_or(self.duty.task.subscription.heartbeat);
        let sends = self.duty.wanted.iter().any(|wanted| *wanted);
        let time_max = self.duty.task.subscription.max_time;
        let (mut spoke, mut turn) = (Instant::now(), Turn::default());
        loop {
            let place = (self.host.number, settings.hosts);
            let planned = match &settings.pace {
                Pace::Open(schedule) if sends => schedule.turn(turn, place, settings.batch, time_max),
                _ => None,
            };
            let due = match &settings.pace {
                Pace::Closed if sends => Some(Instant::now()),
                _ => planned.map(|planned| self.host.shared.started + planned.at),
            };
            let silent = spoke + heartbeat;
            let done = tokio::select! {
                biased;
                () = stop.cancelled() => return Ended::Stopped,
                () = sleep_until(due.unwrap_or(silent)), if due.is_some_and(|due| due <= silent) => {
                    let limit = planned.map(|planned| self.host.before + planned.events);
                    turn = planned.map_or(turn, |planned| planned.next);
                    self.send(limit, due.unwrap_or(silent), stop).await
                }
                () = self.host.shared.storm.begins(), if self.storm == Weather::Before => {
                    self.lose_connection();
                    self.heartbeat(stop).await
                }
                () = sleep_until(silent) => self.heartbeat(stop).await,
            };
            if let Err(ended) = done {
                return ended;
            }
            spoke = Instant::now();
        }
    }

    /// Sends what there is up to `limit`, or one batch without one.
    async fn send(
        &mut self,
        limit: Option<u64>,
        due: Instant,
        stop: &CancellationToken,
    ) -> Result<(), Ended> {
        if let Some(limit) = limit {
            self.happen(limit);
        }
        loop {
            let settings = &self.host.shared.plan.settings;
            let granted = self.host.shared.take(settings.batch);
            if granted == 0 {
                return Err(Ended::Spent);
            }
            let mut batch = Batch::next(&self.host, &self.duty, self.at, limit, granted);
            fault::tear(&mut batch, &self.host, &self.duty, &mut self.dice);
            let shared = Arc::clone(&self.host.shared);
            shared.give_back(granted - batch.events());
            if batch.oversize > 0 {
                shared.meter.tally(|tally| tally.oversize += batch.oversize);
            }
            if batch.events() > 0 {
                let delivered = self.deliver(&batch, due, stop).await;
                delivered.inspect_err(|_| shared.give_back(batch.events()))?;
            }
            self.at = batch.range.end;
            if limit.is_none_or(|limit| self.at >= limit) {
                return Ok(());
            }
        }
    }

    /// Events come up to this number, at this time.
    fn happen(&self, len: u64) {
        let mut log = self.host.log.lock().unwrap_or_else(PoisonError::into_inner);
        let before = log.len();
        if log.grow(len, self.host.now()) {
            let entry = Entry::Log { host: self.host.number, events: before..len, time: log.last_time() };
            self.host.shared.ledger.write(&entry);
        }
    }

    async fn deliver(&mut self, batch: &Batch, due: Instant, stop: &CancellationToken) -> Result<(), Ended> {
        let bookmark = batch.bookmark(&self.host, &self.bookmark);
        let mut open = Open::new(Arc::clone(&self.host), self.duty.number, batch.range.clone());
        self.misbehave().await;
        let mut bytes = 0;
        self.persist(stop, |stream, caller| {
            let request = batch.request(&stream.host, &stream.duty, caller, &bookmark);
            bytes = request.body().len();
            request
        })
        .await?;
        open.settle(Fate::Acknowledged);
        let meter = &self.host.shared.meter;
        meter.acknowledged(batch.events(), bytes, due.elapsed());
        if batch.torn.is_some() {
            meter.fault("torn event among good ones, acknowledged");
        }
        if self.dice.chance(self.host.shared.plan.settings.faults.duplicate) {
            let mut again = Open::new(Arc::clone(&self.host), self.duty.number, batch.range.clone());
            again.settle(Fate::SentAgain);
            let mut body = |stream: &Self, caller: Caller<'_>| {
                batch.request(&stream.host, &stream.duty, caller, &bookmark)
            };
            let verdict = self.attempt(Delivery::Whole, &mut body);
            let what = match verdict.await {
                Outcome::Acknowledged => "duplicate, acknowledged",
                Outcome::Refused => "duplicate, refused",
                Outcome::Failed(_) | Outcome::Cut => "duplicate, not acknowledged",
            };
            self.host.shared.meter.fault(what);
        }
        self.bookmark = bookmark;
        Ok(())
    }

    /// Sends until there is an Ack, as often as the subscription says.
    async fn persist(
        &mut self,
        stop: &CancellationToken,
        mut body: impl FnMut(&Self, Caller<'_>) -> Outgoing,
    ) -> Result<(), Ended> {
        let retry = self.duty.task.subscription.retry;
        let pause = self.host.shared.plan.settings.retry.unwrap_or(retry.interval);
        let mut left = retry.total;
        loop {
            let how = fault::delivery(&self.host.shared.plan.settings.faults, &mut self.dice);
            match self.attempt(how, &mut body).await {
                Outcome::Acknowledged => {
                    if self.storm == Weather::Within {
                        self.storm = Weather::Behind;
                        self.host.shared.storm.back(Who::Delivery);
                    }
                    return Ok(());
                }
                Outcome::Refused => {
                    self.host.shared.meter.failed("DeliveryRefused");
                    return Err(Ended::Refused);
                }
                // What we cut ourselves is sent again at once, and is no failure of anybody.
                Outcome::Cut => self.host.shared.meter.fault("cut, sent again"),
                Outcome::Failed(why) => {
                    self.host.shared.meter.failed(&why);
                    if left == 0 {
                        return Err(Ended::GivenUp);
                    }
                    left -= 1;
                    tokio::select! {
                        () = stop.cancelled() => return Err(Ended::Stopped),
                        () = sleep(pause) => {}
                    }
                }
            }
            self.host.shared.meter.tally(|tally| tally.resent += 1);
        }
    }

    async fn attempt(
        &mut self,
        how: Delivery,
        body: &mut impl FnMut(&Self, Caller<'_>) -> Outgoing,
    ) -> Outcome {
        let (message, operation) = (self.dice.guid(), self.dice.guid());
        let host = Arc::clone(&self.host);
        let caller = Caller { machine: &host.name, session: self.session, message, operation };
        let request = body(self, caller);
        let (charset, sldc) = (charset_of(&self.duty), self.duty.task.subscription.compressed);
        let exchanged = tokio::select! {
            biased;
            () = self.host.shared.storm.begins(), if self.storm == Weather::Before => None,
            exchanged = self.link.exchange(request, charset, sldc, how) => Some(exchanged),
        };
        match exchanged {
            Some(Ok(answer)) => Outcome::of(&answer, message),
            Some(Err(HttpError::Cut)) => Outcome::Cut,
            Some(Err(error)) => Outcome::Failed(error.kind().into()),
            None => {
                self.lose_connection();
                Outcome::Cut
            }
        }
    }

    fn lose_connection(&mut self) {
        self.link.hang_up();
        self.storm = Weather::Within;
        self.host.shared.storm.gone(Who::Delivery);
    }

    async fn heartbeat(&mut self, stop: &CancellationToken) -> Result<(), Ended> {
        self.persist(stop, |stream, caller| {
            let text = stream.duty.task.heartbeat(caller);
            stream.body_of(&text)
        })
        .await?;
        self.host.shared.meter.heartbeat();
        Ok(())
    }

    fn body_of(&self, text: &str) -> Outgoing {
        let charset = charset_of(&self.duty);
        Outgoing::new(|out| {
            if self.duty.task.subscription.compressed {
                let mut plain = Vec::new();
                charset::encode(text, charset, &mut plain);
                compress(&plain, out);
            } else {
                charset::encode(text, charset, out);
            }
        })
    }
}

/// Where a host stands that has delivered nothing: at the last event of each channel.
fn beginning(host: &Host, newest: u64) -> BookmarkList {
    let pool = &host.shared.plan.pool;
    let mut list = BookmarkList::default();
    for n in newest.saturating_sub(pool.round())..newest {
        let (channel, record) = pool.place(n);
        list.advance(&pool.channels[usize::from(channel)], record);
    }
    list.backward = true;
    list
}
