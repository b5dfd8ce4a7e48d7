//! The command line, one file per command: `Args` (what was typed) and `run` (does it).
//!
//! Promises: results go to standard output, everything else to standard error; a failure is
//! `error: what; what to do` and one of the codes in `exit.rs`; a closed pipe ends quietly.
//! Must not know: how anything works.

mod basin;
mod check;
mod completion;
mod convert;
mod demo;
pub mod exit;
mod fleet;
mod health;
mod hosts;
mod run;
mod schema;
mod test;

pub use exit::{Exit, Failure};

use clap::{CommandFactory, Parser, Subcommand};
use std::io::{self, Write};
use std::process::ExitCode;

/// Windows event logs in, files and streams out; what was acknowledged is never lost.
#[derive(Debug, Parser)]
#[command(name = "forebay", version, after_long_help = exit::table(), subcommand_required = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a pipeline until it is stopped, or once to the end of its inputs
    Run(run::Args),
    /// Check a pipeline file; nothing is opened, unless asked with --probe
    Check(check::Args),
    /// Test what the outputs of a pipeline make of events
    Test(test::Args),
    /// Turn .evtx files into JSON, ECS, XML or one .evtx file
    Convert(convert::Args),
    /// Look into a basin on disk
    Basin(basin::Args),
    /// Try it: a collector, simulated Windows hosts, their events as JSON; all in one folder
    Demo(demo::Args),
    /// Simulate Windows hosts that push their events to a collector
    Fleet(Box<fleet::Args>),
    /// List the machines that a running forebay hears from
    Hosts(hosts::Args),
    /// Ask a running forebay whether it lives, for health checks of containers
    Health(health::Args),
    /// Print the JSON Schema or the reference of the pipeline file
    Schema(schema::Args),
    /// Print the completion script of a shell
    Completion(completion::Args),
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Shape {
    /// For people
    #[default]
    Text,
    /// One JSON object
    Json,
}

/// Parses the command line of this process and does what it says.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refused(&error),
    };
    let done = match cli.command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::run(args),
        Command::Convert(args) => convert::run(args),
        Command::Test(args) => test::run(args),
        Command::Basin(args) => basin::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Fleet(args) => fleet::run(*args),
        Command::Hosts(args) => hosts::run(args),
        Command::Health(args) => health::run(args),
        Command::Schema(args) => schema::run(args),
        Command::Completion(args) => completion::run(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            failure.exit.into()
        }
    }
}

/// The command line itself, for whoever writes something from it.
fn command() -> clap::Command {
    Cli::command()
}

/// `--help` and `--version` come this way too, and are no mistake.
fn refused(error: &clap::Error) -> ExitCode {
    // Nothing is left to be told when standard output or error is gone.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage.into() } else { ExitCode::SUCCESS }
}

/// Writes to standard output; a reader that has gone (`| head`) is no failure.
fn print(text: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Io, format!("standard output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
