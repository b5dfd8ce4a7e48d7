//! The output: pages of all workers, in order, and what went wrong, beside them.

use super::feed::Feed;
use super::log::Log;
use super::place::Place;
use super::worker::Page;
use crate::cli::{Exit, Failure};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

pub(super) struct Output {
    state: Mutex<State>,
    turned: Condvar,
    bar: Option<ProgressBar>,
}

struct State {
    target: Target,
    place: Place,
    /// The sequence number whose turn it is.
    turn: u64,
    /// How many workers wait for theirs.
    waiting: usize,
    outcome: Outcome,
    stopped: bool,
}

/// Where pages go.
enum Target {
    Stream(File),
    Log(Box<Log>),
}

/// How it went.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) events: u64,
    pub(super) damaged: u64,
    /// Of the first file of which nothing could be read.
    pub(super) unread: Option<Exit>,
    pub(super) failed: Option<io::Error>,
}

impl Output {
    pub(super) fn new(path: Option<&Path>, log: bool, feed: &Feed) -> Result<Self, Failure> {
        if log && path.is_none() {
            let why = "the header of an event log is written last, so it needs a file: add `-o FILE`";
            return Err(Failure::new(Exit::Usage, why));
        }
        let (file, place) = Place::open(path, feed)?;
        // Not over the events themselves.
        let shown = io::stderr().is_terminal() && (path.is_some() || !io::stdout().is_terminal());
        let bar = feed.total_bytes().filter(|_| shown).map(bar);
        let target = if log {
            let cannot = |error| Failure::new(Exit::CantCreate, format!("the log cannot be begun: {error}"));
            Target::Log(Box::new(Log::begin(file).map_err(cannot)?))
        } else {
            Target::Stream(file)
        };
        let state = State { target, place, turn: 0, waiting: 0, outcome: Outcome::default(), stopped: false };
        Ok(Self { state: Mutex::new(state), turned: Condvar::new(), bar })
    }

    /// Writes a page when all before it are written. Break: there is no use in going on.
    pub(super) fn write(&self, sequence: u64, page: &Page<'_>) -> ControlFlow<()> {
        let mut state = self.lock();
        while state.turn != sequence && !state.stopped {
            state.waiting += 1;
            state = self.turned.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        if state.stopped {
            return ControlFlow::Break(());
        }
        for problem in page.problems {
            self.tell(&problem.text, problem.exit.is_some());
            state.outcome.unread = state.outcome.unread.or(problem.exit);
        }
        let mut refused = Vec::new();
        let written = match &mut state.target {
            Target::Stream(file) => file.write_all(page.out),
            Target::Log(log) => log.append(page.out, &mut refused),
        };
        for reason in &refused {
            self.tell(reason, false);
        }
        state.outcome.damaged += refused.len() as u64;
        if let Err(error) = written {
            state.outcome.failed = Some(error);
            state.stopped = true;
        }
        state.outcome.events += page.events - refused.len() as u64;
        state.outcome.damaged += page.damaged;
        state.turn += 1;
        // Telling costs a call of the kernel even where nobody listens.
        if state.waiting > 0 {
            self.turned.notify_all();
        }
        if let Some(bar) = &self.bar {
            bar.inc(page.bytes);
        }
        if state.stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn tell(&self, text: &str, fatal: bool) {
        let kind = if fatal { "error" } else { "warning" };
        let tell = || {
            // Standard error may be closed; the exit code still tells.
            let _ = writeln!(io::stderr().lock(), "{kind}: {text}");
        };
        match &self.bar {
            Some(bar) => bar.suspend(tell),
            None => tell(),
        }
    }

    /// Held by a worker: when it ends without `done`, the others do not wait for its turn.
    pub(super) fn guard(&self) -> Guard<'_> {
        Guard { output: self, done: false }
    }

    pub(super) fn finish(self) -> Outcome {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let State { target, place, mut outcome, .. } =
            self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        if outcome.failed.is_some() {
            return outcome;
        }
        let closed = match target {
            Target::Log(log) => log.close(),
            Target::Stream(_) => Ok(()),
        };
        // What stands there already is worth more than the output of inputs that are not there.
        let is_nothing = outcome.unread.is_some() && outcome.events + outcome.damaged == 0;
        outcome.failed = closed.and_then(|()| if is_nothing { Ok(()) } else { place.publish() }).err();
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Guard<'o> {
    output: &'o Output,
    done: bool,
}

impl Guard<'_> {
    pub(super) fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.output.lock().stopped = true;
            self.output.turned.notify_all();
        }
    }
}

fn bar(bytes: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left");
    let bar = ProgressBar::new(bytes);
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}
