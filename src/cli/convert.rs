//! `forebay convert FILE…`: .evtx files to JSON, ECS, XML or one .evtx file, without a pipeline.
//!
//! ```text
//! files ─► Feed (runs of chunks, in order) ─► workers: decode, filter, format ─► turn ─► output
//! ```
//!
//! Output is in the order of the input whatever the number of threads: the worker whose run has the turn
//! writes each chunk as it is done, the others keep theirs, at most two pages a thread. Damage is told on standard error, one line for each damaged range, and what
//! can be read around it is written: that is a success (0). A file that cannot be read at all fails
//! the command with its own code (65, 66, 77) after the others were written.

mod feed;
mod log;
mod output;
mod place;
mod run;
mod worker;

use super::{Exit, Failure};
use crate::config::{self, SourceFile};
use crate::filter::Filter;
use feed::Feed;
use output::Output;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;
use worker::{Recipe, Worker};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files to read; folders are searched for *.evtx; `-` is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Shape of the output
    #[arg(long, value_enum, default_value_t = Shape::Json)]
    format: Shape,
    /// Which events: a Windows event XPath, a <QueryList>, or a rule as in a pipeline file:
    /// '{ channel = "Security", id = [4624, "4700-4799"] }'
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// File to write, replaced when all is written; standard output without it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Threads that decode
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Shape {
    /// Native JSON, an event a line
    Json,
    /// The events' XML, an event a line
    Xml,
    /// Elastic Common Schema, an event a line
    Ecs,
    /// One event log, as a Windows collector would store the events
    Evtx,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let recipe = Recipe::new(args.format, filter(args.filter)?)?;
    let feed = Feed::new(&args.files)?;
    let output = Output::new(args.output.as_deref(), args.format == Shape::Evtx, &feed, args.threads.into())?;
    let feed = Mutex::new(feed);
    std::thread::scope(|scope| -> Result<(), Failure> {
        for _ in 1..args.threads {
            let worker = Worker::new(&recipe)?;
            scope.spawn(|| worker.run(&feed, &output));
        }
        Worker::new(&recipe)?.run(&feed, &output);
        Ok(())
    })?;
    let outcome = output.finish();
    if let Some(error) = outcome.failed {
        return match error.kind() {
            std::io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(Failure::new(Exit::Io, format!("the output cannot be written: {error}"))),
        };
    }
    match outcome.unread {
        Some(exit) => Err(Failure::told(exit)),
        None if outcome.events == 0 && outcome.damaged > 0 => Err(Failure::told(Exit::Data)),
        None => Ok(()),
    }
}

/// The filter as it was typed; what is doubtful about it is told at once.
fn filter(text: Option<String>) -> Result<Filter, Failure> {
    let Some(text) = text else { return Ok(Filter::default()) };
    let (filter, doubts) = config::one_filter(&SourceFile { name: "--filter".into(), text })
        .map_err(|told| Failure::new(Exit::Usage, told.trim_start_matches("error: ")))?;
    // Standard error may be closed; the exit code still tells.
    let _ = std::io::stderr().lock().write_all(doubts.as_bytes());
    Ok(filter)
}
