//! A pipeline while it runs, and its end in three steps: sources stop, lanes empty the basin, the
//! basin is closed.
//!
//! Must not know: how a part does its work.

use super::build::{Parts, build};
use super::figures::{self, Figures};
use super::gate::Gate;
use super::lane::LaneError;
use super::swap::Swap;
use super::{Options, Order, Reload, RunError};
use crate::basin::{Basin, Handover};
use crate::config::Pipeline;
use crate::source::{Source, SourceError, Summary};
use crate::telemetry::control::Commands;
use crate::telemetry::notify::Notifier;
use crate::telemetry::{Phase, Status};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
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
    /// With what a memory basin knew.
    Swap(Box<Pipeline>, Handover),
}

pub(super) struct Life {
    options: Options,
    basin: Basin,
    /// None: it is in memory.
    basin_path: Option<PathBuf>,
    figures: Figures,
    outputs: usize,
    tasks: JoinSet<End>,
    sources: usize,
    lanes: usize,
    gate: Gate,
    stop: CancellationToken,
    /// Ends probes and the control socket, which answer until the very end.
    quiet: CancellationToken,
    reload: Arc<Notify>,
    notifier: Notifier,
    status: Arc<Status>,
    stage: Stage,
    /// Sources were told to stop before they had come to their ends.
    cut_short: bool,
    failure: Option<RunError>,
    /// Outputs whose far end is gone for good.
    closed: Vec<String>,
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
/// What sources and lanes that have nothing under way may take to end when the pipeline is swapped.
const SWAP_TIME_MAX: Duration = Duration::from_secs(5);

impl Life {
    pub(super) async fn begin(
        pipeline: Pipeline,
        handover: &Handover,
        options: Options,
        status: &Arc<Status>,
        reload: &Arc<Notify>,
    ) -> Result<Self, RunError> {
        status.enter(Phase::Starting);
        let size_max = figures::size_max(&pipeline);
        let basin_path = pipeline.basin.disk.as_ref().map(|disk| disk.path.clone());
        let Parts { basin, budgets, sources, lanes, gate, http, control } =
            build(pipeline, handover, status).await?;
        let outputs = lanes.iter().map(|lane| lane.output.clone()).collect();
        let mut life = Self {
            options,
            basin,
            basin_path,
            figures: Figures::new(budgets, size_max, outputs, &sources, status),
            outputs: lanes.len(),
            tasks: JoinSet::new(),
            sources: sources.len(),
            lanes: lanes.len(),
            gate,
            stop: CancellationToken::new(),
            quiet: CancellationToken::new(),
            reload: Arc::clone(reload),
            notifier: Notifier::from_env(),
            status: Arc::clone(status),
            stage: Stage::Running,
            cut_short: false,
            failure: None,
            closed: Vec::new(),
        };
        for lane in lanes {
            life.tasks.spawn(async move { End::Lane(lane.run().await) });
        }
        let tables: Vec<_> = sources.iter().filter_map(Source::hosts).collect();
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
            let commands = Commands {
                status: Arc::clone(status),
                reload: Arc::clone(&life.reload),
                basin: life.basin.clone(),
                hosts: Arc::new(move || tables.iter().flat_map(|table| table()).collect()),
            };
            let stop = life.quiet.clone();
            life.tasks.spawn(async move {
                control.serve(commands, stop).await;
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
        let mut swap = Swap::default();
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
                () = swap.closed(&self.gate), if swap.is_closing() => {
                    self.stop();
                    deadline = Some(Instant::now() + SWAP_TIME_MAX);
                    None
                }
                () = sleep_until(deadline), if deadline.is_some() => {
                    if !swap.is_closing() {
                        warn!("the time to empty the basin is over");
                        break;
                    }
                    self.stay(&mut swap);
                    deadline = None;
                    None
                }
            };
            match order {
                Some(Order::Stop) if self.stage == Stage::Running => {
                    info!(drain = ?self.options.drain, "stopping: no more input, outputs take what is there");
                    swap.cancel();
                    deadline = None;
                    self.notifier.stopping();
                    self.stop();
                }
                Some(Order::Stop) if swap.cancel() => {
                    info!(drain = ?self.options.drain, "stopping instead of changing over");
                    self.notifier.stopping();
                    deadline = Some(Instant::now() + self.options.drain);
                }
                Some(Order::Stop) => {
                    warn!("stopping at once");
                    break;
                }
                Some(Order::Reload) if self.stage == Stage::Running || swap.next.is_some() => {
                    self.offer(&mut swap, reload);
                    if deadline.is_none() && swap.is_closing() {
                        deadline = Some(Instant::now() + self.options.drain);
                    }
                }
                _ => {}
            }
            if self.stage == Stage::Running && self.is_over() {
                swap.cancel();
                deadline = None;
                self.notifier.stopping();
                self.stop();
            }
            if self.stage == Stage::Stopping && self.sources == 0 {
                self.drain(swap.next.is_some()).await;
            }
            // A run to the end has no deadline until it is interrupted or something is over for good.
            let is_hurried = self.stop.is_cancelled() || self.failure.is_some() || !self.closed.is_empty();
            if deadline.is_none() && is_hurried {
                deadline = Some(Instant::now() + self.options.drain);
            }
        }
        self.end(swap.next).await
    }

    /// Takes the pipeline as it is written now for the next one, if it can follow this one.
    fn offer(&mut self, swap: &mut Swap, reload: Reload<'_>) {
        self.notifier.reloading();
        let Some(pipeline) = reload() else {
            error!("the pipeline file is wrong; the running pipeline stays");
            return self.notifier.ready();
        };
        if pipeline.basin.disk.as_ref().map(|disk| &disk.path) != self.basin_path.as_ref() {
            error!(
                "another basin needs a stop and a start, or what this one holds would stay in it; the running pipeline stays"
            );
            return self.notifier.ready();
        }
        info!("the pipeline file is right; changing over");
        let is_first = swap.next.replace(Box::new(pipeline)).is_none();
        if !is_first {
            return;
        }
        if self.basin_path.is_some() {
            swap.close(&self.gate);
        } else {
            self.stop();
        }
    }

    /// Goes on as before, because a batch that is under way would be repeated.
    fn stay(&self, swap: &mut Swap) {
        let outputs = self.gate.out().join(", ");
        let time = self.options.drain;
        error!(outputs, ?time, "has not answered for its batch; the running pipeline stays, reload again");
        swap.cancel();
        self.notifier.ready();
    }

    fn is_over(&self) -> bool {
        self.failure.is_some() || self.lanes < self.outputs || (self.options.once && self.sources == 0)
    }

    /// Step 1: nothing more comes in. When the inputs have ended by themselves, lanes get all the
    /// time they need.
    fn stop(&mut self) {
        self.stage = Stage::Stopping;
        self.status.enter(Phase::Draining);
        self.cut_short = self.sources > 0;
        if self.sources > 0 || self.failure.is_some() || self.lanes < self.outputs {
            self.stop.cancel();
        }
    }

    /// Step 2: lanes read to the end of the basin; with a disk basin that is swapped they stop where
    /// they stand, and go on from there in the next life.
    async fn drain(&mut self, swap: bool) {
        if swap && self.basin_path.is_some() {
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
        let mut lag = self.basin.stats().outputs;
        lag.retain(|output| output.lag_events > 0);
        let handover = self.basin.hand_over();
        self.basin.close().await;
        // What ended this life would end the next one too, unheard.
        if let Some(pipeline) = next.filter(|_| self.failure.is_none() && self.closed.is_empty()) {
            return Ok(Next::Swap(pipeline, handover));
        }
        let on_disk = self.basin_path.is_some();
        for output in &lag {
            let where_now = if on_disk { "kept in the basin" } else { "not delivered" };
            info!(output = output.name, events = output.lag_events, "{where_now}");
        }
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        // Whoever closed the pipe wants no more; the others do.
        let is_delivered = lag.iter().all(|output| self.closed.contains(&output.name));
        let is_kept = if self.closed.len() == self.outputs {
            true
        } else if self.options.once {
            left == 0 && !self.cut_short && is_delivered
        } else {
            on_disk || is_delivered
        };
        Ok(Next::End(if is_kept { Ended::Kept } else { Ended::Unfinished }))
    }

    fn ended(&mut self, end: Result<End, JoinError>) {
        let failure = match end {
            Ok(End::Source(name, Ok(summary))) => {
                self.sources -= 1;
                let counts = summary.counts;
                let read_before = || !self.basin.bookmarks(&format!("{name}/")).is_empty();
                if self.options.once && counts.events + counts.filtered == 0 && read_before() {
                    info!(source = &*name, "nothing is new since the last run");
                }
                info!(source = &*name, events = counts.events, bytes = counts.bytes, "the source has ended");
                None
            }
            Ok(End::Source(name, Err(error))) => {
                self.sources -= 1;
                info!(source = &*name, "the source cannot go on; ending the run");
                Some(RunError::Source(error))
            }
            Ok(End::Lane(Ok(()))) => {
                self.lanes -= 1;
                None
            }
            // Whoever closed the pipe wants no more: that is an end, not a failure.
            Ok(End::Lane(Err(LaneError::Gone { output, error }))) => {
                info!(output, %error, "ending the run");
                self.lanes -= 1;
                self.closed.push(output);
                None
            }
            Ok(End::Lane(Err(error))) => {
                self.lanes -= 1;
                info!("an output cannot go on; ending the run");
                Some(RunError::Lane(error))
            }
            Ok(End::Service) => None,
            Err(error) => Some(RunError::Bug(error.to_string())),
        };
        match failure {
            // The first is what the run ends with, and told then.
            Some(failure) if self.failure.is_none() => self.failure = Some(failure),
            Some(failure) => error!(error = %failure, "failed too"),
            None => {}
        }
    }

    fn tell(&mut self) {
        self.notifier.alive();
        let events = self.figures.tell(&self.basin);
        self.notifier.status(&format!("{}; {events} events behind", self.status.phase().name()));
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
