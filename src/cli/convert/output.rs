//! The output: pages of all workers, in order, and what went wrong, beside them.

use super::feed::Feed;
use super::log::Log;
use super::place::Place;
use super::worker::Page;
use crate::cli::{Exit, Failure};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Output of a run that is kept back until its turn, about; then its worker waits.
pub(super) const PAGE_BYTES_MAX: usize = 1 << 20;

pub(super) struct Output {
    state: Mutex<State>,
    /// The sequence number of the run whose turn it is. Set under the lock.
    turn: AtomicU64,
    turned: Condvar,
    bar: Option<ProgressBar>,
}

struct State {
    target: Target,
    place: Place,
    /// Pages of whole runs whose turn has not come, so that their workers need not wait for it; at most
    /// `finished_max`.
    finished: BTreeMap<u64, Page>,
    finished_max: usize,
    spare: Vec<Page>,
    /// How many workers wait for their turn.
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
    pub(super) fn new(path: Option<&Path>, log: bool, feed: &Feed, threads: usize) -> Result<Self, Failure> {
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
        let state = State {
            target,
            place,
            finished: BTreeMap::new(),
            finished_max: threads,
            spare: Vec::new(),
            waiting: 0,
            outcome: Outcome::default(),
            stopped: false,
        };
        Ok(Self { state: Mutex::new(state), turn: AtomicU64::new(0), turned: Condvar::new(), bar })
    }

    /// Writes a page, and empties it, if it is its run's turn, or later if it may wait; `last` ends the run.
    /// Break: there is no use in going on.
    pub(super) fn write(&self, sequence: u64, page: &mut Page, last: bool) -> ControlFlow<()> {
        let is_full = page.out.len() >= PAGE_BYTES_MAX;
        if !last && !is_full && self.turn.load(Ordering::Acquire) != sequence {
            return ControlFlow::Continue(());
        }
        let mut state = self.lock();
        while self.turn.load(Ordering::Acquire) != sequence && !state.stopped {
            if last && !is_full && state.finished.len() < state.finished_max {
                let spare = state.spare.pop().unwrap_or_else(Page::new);
                state.finished.insert(sequence, std::mem::replace(page, spare));
                return ControlFlow::Continue(());
            }
            state.waiting += 1;
            state = self.turned.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        if state.stopped {
            return ControlFlow::Break(());
        }
        self.put(&mut state, page);
        if last {
            let mut turn = sequence + 1;
            while let Some(mut page) = state.finished.remove(&turn) {
                self.put(&mut state, &mut page);
                state.spare.push(page);
                turn += 1;
            }
            self.turn.store(turn, Ordering::Release);
        }
        // Telling costs a call of the kernel even where nobody listens.
        if state.waiting > 0 && (last || state.stopped) {
            self.turned.notify_all();
        }
        if state.stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn put(&self, state: &mut State, page: &mut Page) {
        if state.stopped {
            return;
        }
        for problem in &page.problems {
            self.tell(&problem.text, problem.exit.is_some());
            state.outcome.unread = state.outcome.unread.or(problem.exit);
        }
        let mut refused = Vec::new();
        let written = match &mut state.target {
            // A chunk may have nothing that is wanted.
            Target::Stream(_) if page.out.is_empty() => Ok(()),
            Target::Stream(file) => file.write_all(&page.out),
            Target::Log(log) => log.append(&page.out, &mut refused),
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
        if let Some(bar) = &self.bar {
            bar.inc(page.bytes);
        }
        page.clear();
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of `threads` workers writes every so-many-th run of `runs`, whose chunks have these bytes, and
    /// what is written at the end.
    #[track_caller]
    fn in_order(threads: usize, runs: &[&[usize]]) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let output = Output::new(Some(&path), false, &Feed::new(&[]).unwrap(), threads).unwrap();
        let mark = |run: usize, chunk: usize| (run * 16 + chunk) as u8;
        std::thread::scope(|scope| {
            for first in 0..threads {
                let output = &output;
                scope.spawn(move || {
                    let mut page = Page::new();
                    for run in (first..runs.len()).step_by(threads) {
                        for (chunk, &bytes) in runs[run].iter().enumerate() {
                            page.out.resize(page.out.len() + bytes, mark(run, chunk));
                            page.events += 1;
                            assert!(output.write(run as u64, &mut page, false).is_continue());
                        }
                        assert!(output.write(run as u64, &mut page, true).is_continue());
                        assert!(page.out.is_empty());
                    }
                });
            }
        });
        let outcome = output.finish();
        assert!(outcome.failed.is_none());
        assert_eq!(outcome.events, runs.iter().map(|run| run.len() as u64).sum::<u64>());
        let mut written = Vec::new();
        for (run, chunks) in runs.iter().enumerate() {
            for (chunk, &bytes) in chunks.iter().enumerate() {
                written.resize(written.len() + bytes, mark(run, chunk));
            }
        }
        assert!(std::fs::read(&path).unwrap() == written);
    }

    #[test]
    fn runs_are_written_in_order_whoever_is_first() {
        let large = PAGE_BYTES_MAX;
        let runs: [&[usize]; 7] = [&[1, 2], &[], &[300_000], &[0, 7], &[large, 5], &[large, large], &[9]];
        for threads in [1, 2, 3, 5] {
            in_order(threads, &runs.repeat(2));
        }
    }

    #[test]
    fn who_waits_for_a_turn_hears_that_nothing_can_be_written() {
        let output = Output::new(Some(Path::new("/dev/full")), false, &Feed::new(&[]).unwrap(), 2).unwrap();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| {
                let mut page = Page::new();
                page.out.resize(PAGE_BYTES_MAX, 0);
                output.write(1, &mut page, false)
            });
            while output.lock().waiting == 0 {
                std::thread::yield_now();
            }
            let mut page = Page::new();
            page.out.push(0);
            assert!(output.write(0, &mut page, false).is_break());
            assert!(waits.join().unwrap().is_break());
        });
        assert!(output.finish().failed.is_some());
    }
}
