//! `forebay completion SHELL`: the completion script of a shell, on standard output.

use super::Failure;
use clap_complete::Shell;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    shell: Shell,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "forebay", &mut script);
    super::print(&script)
}
