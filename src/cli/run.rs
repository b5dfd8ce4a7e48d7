//! `forebay run [PIPELINE]`: runs a pipeline until it is stopped, or with `--once` until the inputs
//! end.
//!
//! SIGTERM and SIGINT stop in order, a second one at once; SIGHUP reads the file again.
//! Must not know: how the parts work.

use super::{Exit, Failure, check};
use crate::basin::BasinError;
use crate::config::{LogFormat, LogLevel, Pipeline, Severity};
use crate::pipeline::{self, Ended, Options, Order, RunError};
use crate::source::SourceError;
use crate::telemetry::{Status, logs};
use crate::units::Span;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::Level;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Pipeline file, or a folder of them; the built-in one when left out
    pipeline: Option<PathBuf>,
    /// End when the inputs end and every output has everything
    #[arg(long)]
    once: bool,
    /// How long outputs may take to empty the basin after a stop; what is left stays on disk
    #[arg(long, default_value = "10s", value_parser = Span::parse)]
    drain: Span,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Software, format!("no runtime: {error}")))?;
    let ended = runtime.block_on(live(args));
    // A read from a terminal or a dead disk may never return.
    runtime.shutdown_background();
    match ended? {
        Ended::Kept => Ok(()),
        Ended::Unfinished => Err(Failure::new(
            Exit::TempFail,
            "stopped before every output had everything; run again to go on where it stopped",
        )),
    }
}

async fn live(args: Args) -> Result<Ended, Failure> {
    // Before anything else, so that a signal never ends the process without an orderly stop.
    let (orders, received) = mpsc::channel(4);
    let signals = listen(orders)
        .map_err(|error| Failure::new(Exit::Software, format!("signals cannot be received: {error}")))?;
    let path = args.pipeline.as_deref();
    if path.is_none() {
        put_sample()?;
    }
    let pipeline = load(path)?;
    let format = pipeline.log.format;
    logs::start(format == LogFormat::Json, level(&pipeline));
    raise_open_files();
    let options = Options { once: args.once, drain: args.drain.0 };
    let reload = || load_again(path, format);
    let running = pipeline::run(pipeline, options, &reload, received, Arc::new(Status::default()));
    tokio::select! {
        ended = running => ended.map_err(failure),
        () = signals => Err(Failure::new(Exit::Software, "signals ended")),
    }
}

/// The pipeline as it is written now; its mistakes are told.
fn load(path: Option<&Path>) -> Result<Pipeline, Failure> {
    let checked = check::load(path, Severity::Error)?;
    check::tell(&checked);
    checked.pipeline.ok_or_else(|| Failure::told(Exit::Config))
}

/// As `load`, while one runs, for which it returns None when the file is wrong.
fn load_again(path: Option<&Path>, running: LogFormat) -> Option<Pipeline> {
    match load(path) {
        Ok(pipeline) => {
            logs::set_level(level(&pipeline));
            if pipeline.log.format != running {
                tracing::warn!("`log.format` is another now; it counts at the next start");
            }
            Some(pipeline)
        }
        Err(failure) => {
            failure.print();
            None
        }
    }
}

/// The log that the built-in pipeline reads, unless it is there.
fn put_sample() -> Result<(), Failure> {
    const SAMPLE: &[u8] = include_bytes!("../../pipelines/sample.evtx");
    const PATH: &str = "./forebay-out/sample.evtx";
    let path = Path::new(PATH);
    if path.exists() {
        return Ok(());
    }
    let written = std::fs::create_dir_all("./forebay-out").and_then(|()| std::fs::write(path, SAMPLE));
    written.map_err(|error| Failure::io("write", path, &error))
}

fn level(pipeline: &Pipeline) -> Level {
    match pipeline.log.level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    }
}

/// Signals as orders, for as long as the future is polled.
fn listen(orders: mpsc::Sender<Order>) -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        loop {
            let order = tokio::select! {
                Some(()) = terminate.recv() => Order::Stop,
                Some(()) = interrupt.recv() => Order::Stop,
                Some(()) = hangup.recv() => Order::Reload,
                else => return,
            };
            // When the channel is full the run has orders enough.
            let _ = orders.try_send(order);
        }
    })
}

/// As many descriptors as the system allows: a path template may name many files.
pub(super) fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // The files that are kept open fit the usual limit too.
    let _ = setrlimit(Resource::Nofile, limit);
}

pub(super) fn failure(error: RunError) -> Failure {
    let exit = match &error {
        RunError::Basin(BasinError::InUse { .. }) | RunError::Listen(_) => Exit::Unavailable,
        RunError::Basin(BasinError::Io { source, .. }) => Exit::of_io(source),
        RunError::Basin(BasinError::Newer { .. }) => Exit::Data,
        RunError::Basin(_) | RunError::Output { .. } => Exit::Config,
        RunError::Source(source) => of_source(source),
        RunError::Lane(_) => Exit::Io,
        RunError::Bug(_) => Exit::Software,
    };
    Failure::new(exit, error)
}

fn of_source(error: &SourceError) -> Exit {
    match error {
        SourceError::Kind { .. } | SourceError::Config { .. } => Exit::Config,
        SourceError::Input { kind, .. } => match kind {
            ErrorKind::PermissionDenied => Exit::NoPerm,
            ErrorKind::InvalidData => Exit::Data,
            ErrorKind::NotFound | ErrorKind::IsADirectory => Exit::NoInput,
            _ => Exit::Io,
        },
        // The input is there; the basin's disk is not.
        SourceError::NotKept { .. } => Exit::Io,
        SourceError::Reader { .. } => Exit::Software,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_the_basin_does_not_keep_is_no_missing_input() {
        let lost = SourceError::NotKept { name: "dc".into(), path: "a.evtx".into() };
        assert_eq!(failure(RunError::Source(lost)).exit, Exit::Io);
        let reader = SourceError::Reader { name: "dc".into() };
        assert_eq!(failure(RunError::Source(reader)).exit, Exit::Software);
    }
}
