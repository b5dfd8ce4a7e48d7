//! `forebay convert FILE…`: .evtx files to JSON, ECS, XML or one .evtx file, without a pipeline.

use super::{Exit, Failure};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files to read; `-` is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let first = args.files.first().cloned().unwrap_or_default();
    Err(Failure::new(Exit::Unavailable, format!("{} cannot be converted by this build", first.display())))
}
