//! A pipeline while it runs, and its end in three steps: sources stop, lanes empty the basin, the
//! basin is closed.
//!
//! Must not know: how a part does its work.

use super::build::{Budgets, Parts, build};
use super::lane::LaneError;
use super::{Options, Order, Reload, RunError};
use crate::basin::{Basin, BasinConfig, Stats};
use crate::config::Pipeline;
use crate::source::{Report, Source, SourceError, Summary};
use crate::telemetry::notify::Notifier;
use crate::telemetry::{Phase, Status, metrics};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything acknowledged is delivered, or kept in the disk basin.
    Kept,
    /// Not all that was taken in has reached every output, and no disk holds it; or `once` was
    /// interrupted.
    Unfinished,
}

/// What follows a life.
pub(super) enum Next {
    End(Ended),
    Swap(Box<Pipeline>),
}

pub(super) struct Life {
    options: Options,
    basin: Basin,
    budgets: Budgets,
    /// What the basin may hold.
    size_max: u64,
    on_disk: bool,
    outputs: Vec<String>,
    reports: Vec<Report>,
    tasks: JoinSet<End>,
    sources: usize,
    lanes: usize,
    stop: CancellationToken,
    /// Ends probes and the control socket, which answer until the very end.
    quiet: CancellationToken,
    reload: Arc<Notify>,
    notifier: Notifier,
    status: Arc<Status>,
    stage: Stage,
    /// What the metrics have of the basin: it counts anew in every life, they do not.
    told: Stats,
    failure: Option<RunError>,
    /// An output's far end is gone for good.
    is_closed: bool,
}

/// How a task ended.
enum End {
    Source(Box<str>, Result<Summary, SourceError>),
    Lane(Result<(), LaneError>),
    Service,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    /// Sources were told to stop.
    Stopping,
    /// No source is left; lanes read the basin to its end.
    Draining,
    /// Readers were ended where they stand.
    Closing,
}

/// How often figures are taken from the basin.
const TICK: Duration = Duration::from_secs(1);
/// What a lane may take to finish its batch when the pipeline is swapped.
const SWAP_TIME_MAX: Duration = Duration::from_secs(5);

impl Life {
    pub(super) async fn begin(
        pipeline: Pipeline,
        options: Options,
        status: &Arc<Status>,
    ) -> Result<Self, RunError> {
        status.enter(Phase::Starting);
        let size_max = match &pipeline.basin {
            BasinConfig { disk: Some(disk), .. } => disk.size_max.0,
            BasinConfig { memory, .. } => memory.as_ref().map_or(0, |memory| memory.size_max.0),
        };
        let Parts { basin, budgets, on_disk, sources, lanes, http, control } =
            build(pipeline, status).await?;
        let mut life = Self {
            options,
            basin,
            budgets,
            size_max,
            on_disk,
            outputs: lanes.iter().map(|lane| lane.output.clone()).collect(),
            reports: sources.iter().map(Source::report).collect(),
            tasks: JoinSet::new(),
            sources: sources.len(),
            lanes: lanes.len(),
            stop: CancellationToken::new(),
            quiet: CancellationToken::new(),
            reload: Arc::new(Notify::new()),
            notifier: Notifier::from_env(),
            status: Arc::clone(status),
            stage: Stage::Running,
            told: Stats::default(),
            failure: None,
            is_closed: false,
        };
        for lane in lanes {
            life.tasks.spawn(async move { End::Lane(lane.run().await) });
        }
        for source in sources {
            let (basin, stop) = (life.basin.clone(), life.stop.child_token());
            let name = source.name().into();
            life.tasks.spawn(async move { End::Source(name, source.run(basin, stop, options.once).await) });
        }
        if let Some((listener, hosts)) = http {
            let (status, stop) = (Arc::clone(status), life.quiet.clone());
            life.tasks.spawn(async move {
                crate::telemetry::http::serve(listener, hosts, status, stop).await;
                End::Service
            });
        }
        if let Some(control) = control {
            let (status, stop, reload) = (Arc::clone(status), life.quiet.clone(), Arc::clone(&life.reload));
            life.tasks.spawn(async move {
                control.serve(status, reload, stop).await;
                End::Service
            });
        }
        status.enter(Phase::Ready);
        life.notifier.ready();
        Ok(life)
    }

    /// Until the inputs end (`once`), an order comes, or something fails for good.
    pub(super) async fn live(
        mut self,
        orders: &mut mpsc::Receiver<Order>,
        reload: Reload<'_>,
    ) -> Result<Next, RunError> {
        let mut tick = tokio::time::interval(self.notifier.watchdog_interval().map_or(TICK, |w| w.min(TICK)));
        let mut deadline: Option<Instant> = None;
        let mut next: Option<Box<Pipeline>> = None;
        let mut orders_open = true;
        let asked = Arc::clone(&self.reload);
        while self.sources + self.lanes > 0 {
            let order = tokio::select! {
                Some(end) = self.tasks.join_next() => {
                    self.ended(end);
                    None
                }
                order = orders.recv(), if orders_open => {
                    orders_open = order.is_some();
                    order
                }
                () = asked.notified() => Some(Order::Reload),
                _ = tick.tick() => {
                    self.tell();
                    None
                }
                () = sleep_until(deadline), if deadline.is_some() => {
                    warn!("the time to empty the basin is over");
                    break;
                }
            };
            match order {
                Some(Order::Stop) if self.stage == Stage::Running => {
                    info!(drain = ?self.options.drain, "stopping: no more input, outputs take what is there");
                    self.notifier.stopping();
                    self.stop();
                }
                Some(Order::Stop) if next.take().is_some() => {
                    info!(drain = ?self.options.drain, "stopping instead of changing over");
                    self.notifier.stopping();
                    deadline = Some(Instant::now() + self.options.drain);
                }
                Some(Order::Stop) => {
                    warn!("stopping at once");
                    break;
                }
                Some(Order::Reload) if self.stage == Stage::Running || next.is_some() => {
                    self.notifier.reloading();
                    if let Some(pipeline) = reload() {
                        info!("the pipeline file is right; changing over");
                        next = Some(Box::new(pipeline));
                        if self.stage == Stage::Running {
                            self.stop();
                        }
                    } else {
                        error!("the pipeline file is wrong; the running pipeline stays");
                        self.notifier.ready();
                    }
                }
                _ => {}
            }
            if self.stage == Stage::Running && self.is_over() {
                self.notifier.stopping();
                self.stop();
            }
            if self.stage == Stage::Stopping && self.sources == 0 {
                self.drain(next.is_some()).await;
            }
            // A run to the end has no deadline until it is interrupted.
            if deadline.is_none() && self.stop.is_cancelled() {
                let time = if next.is_some() && self.on_disk { SWAP_TIME_MAX } else { self.options.drain };
                deadline = Some(Instant::now() + time);
            }
        }
        self.end(next).await
    }

    fn is_over(&self) -> bool {
        self.failure.is_some() || self.lanes < self.outputs.len() || (self.options.once && self.sources == 0)
    }

    /// Step 1: nothing more comes in. When the inputs have ended by themselves, lanes get all the
    /// time they need.
    fn stop(&mut self) {
        self.stage = Stage::Stopping;
        self.status.enter(Phase::Draining);
        if self.sources > 0 || self.failure.is_some() || self.lanes < self.outputs.len() {
            self.stop.cancel();
        }
    }

    /// Step 2: lanes read to the end of the basin; with a disk basin that is swapped they stop where
    /// they stand, and go on from there in the next life.
    async fn drain(&mut self, swap: bool) {
        if swap && self.on_disk {
            self.stage = Stage::Closing;
            self.basin.clone().close().await;
        } else {
            self.stage = Stage::Draining;
            self.basin.finish();
        }
    }

    /// Step 3: whoever is left is cut off, the basin is closed.
    async fn end(mut self, next: Option<Box<Pipeline>>) -> Result<Next, RunError> {
        let left: usize = self.sources + self.lanes;
        self.quiet.cancel();
        self.tasks.shutdown().await;
        self.tell();
        let lag: Vec<_> =
            self.basin.stats().outputs.into_iter().filter(|output| output.lag_events > 0).collect();
        self.basin.close().await;
        if let Some(pipeline) = next {
            return Ok(Next::Swap(pipeline));
        }
        for output in &lag {
            let on_disk = if self.on_disk { "kept in the basin" } else { "not delivered" };
            info!(output = output.name, events = output.lag_events, "{on_disk}");
        }
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if self.is_closed {
            return Ok(Next::End(Ended::Kept));
        }
        let is_finished = left == 0 && !self.stop.is_cancelled();
        let is_kept = if self.options.once { is_finished } else { self.on_disk || lag.is_empty() };
        Ok(Next::End(if is_kept { Ended::Kept } else { Ended::Unfinished }))
    }

    fn ended(&mut self, end: Result<End, JoinError>) {
        let failure = match end {
            Ok(End::Source(name, Ok(summary))) => {
                self.sources -= 1;
                let counts = summary.counts;
                info!(source = &*name, events = counts.events, bytes = counts.bytes, "the source has ended");
                None
            }
            Ok(End::Source(_, Err(error))) => {
                self.sources -= 1;
                Some(RunError::Source(error))
            }
            Ok(End::Lane(Ok(()))) => {
                self.lanes -= 1;
                None
            }
            // Whoever closed the pipe wants no more: that is an end, not a failure.
            Ok(End::Lane(Err(error @ LaneError::Gone { .. }))) => {
                info!(%error, "ending the run");
                self.lanes -= 1;
                self.is_closed = true;
                None
            }
            Ok(End::Lane(Err(error))) => {
                self.lanes -= 1;
                Some(RunError::Lane(error))
            }
            Ok(End::Service) => None,
            Err(error) => Some(RunError::Bug(error.to_string())),
        };
        if let Some(failure) = failure {
            error!(error = %failure, "ending the run");
            self.failure.get_or_insert(failure);
        }
    }

    /// Figures that only the basin knows, and what it and the sources found.
    fn tell(&mut self) {
        self.notifier.alive();
        self.basin.take_findings().into_iter().for_each(|finding| self.status.finding(finding));
        self.reports.iter().flat_map(Report::take_fresh).for_each(|finding| self.status.keep(finding));
        let stats = self.basin.stats();
        let before = std::mem::replace(&mut self.told, stats.clone());
        tell_of_basin(&before, &stats);
        metrics().basin.max_bytes.set(gauge(self.size_max));
        metrics().memory.used_bytes.set(gauge(self.budgets.used()));
        metrics().memory.max_bytes.set(gauge(self.budgets.max()));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let mut events = 0;
        for output in stats.outputs.iter().filter(|output| self.outputs.contains(&output.name)) {
            let of = metrics().output(&output.name);
            of.lag_events.set(gauge(output.lag_events));
            of.lag_bytes.set(gauge(output.lag_bytes));
            let skipped = before.outputs.iter().find(|before| before.name == output.name);
            of.skipped.inc_by(
                output.skipped_events.saturating_sub(skipped.map_or(0, |before| before.skipped_events)),
            );
            let age = output
                .oldest
                .filter(|_| output.lag_events > 0)
                .map_or(0.0, |oldest| now.as_secs_f64() - oldest.0 as f64 / 1e9);
            of.lag_seconds.set(age.max(0.0));
            events = events.max(output.lag_events);
        }
        self.notifier.status(&format!("{}; {events} events behind", self.status.phase().name()));
    }
}

fn tell_of_basin(before: &Stats, stats: &Stats) {
    let basin = &metrics().basin;
    basin.bytes.set(gauge(stats.bytes));
    basin.segments.set(gauge(stats.segments));
    for (counter, before, now) in [
        (&basin.frames, before.frames_appended, stats.frames_appended),
        (&basin.written_bytes, before.bytes_appended, stats.bytes_appended),
        (&basin.sync_failures, before.sync_failures, stats.sync_failures),
        (&basin.quarantined, before.frames_damaged, stats.frames_damaged),
    ] {
        counter.inc_by(now.saturating_sub(before));
    }
}

fn gauge(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
