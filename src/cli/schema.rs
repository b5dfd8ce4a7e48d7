//! `forebay schema`: the JSON Schema of a pipeline file, for editors; or the reference for people.

use super::Failure;
use crate::config;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print the reference of all keys in Markdown instead
    #[arg(long)]
    markdown: bool,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let text = if args.markdown { config::reference() } else { format!("{:#}\n", config::schema()) };
    super::print(text.as_bytes())
}
