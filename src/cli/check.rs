//! `forebay check [PIPELINE]`: is the pipeline file right? Opens no socket and no log.

use super::{Exit, Failure};
use crate::config::{self, Checked, Process, Severity};
use serde_json::json;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Pipeline file, or a folder of them; the built-in one when left out
    pipeline: Option<PathBuf>,
    /// Fail on warnings too
    #[arg(long)]
    deny_warnings: bool,
    /// How to write the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Shape,
}

/// For people or for scripts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Shape {
    #[default]
    Text,
    Json,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let checked = load(args.pipeline.as_deref(), Severity::Warning)?;
    let (errors, warnings) = (checked.errors(), checked.warnings());
    match args.output {
        Shape::Json => super::print(as_json(&checked).as_bytes())?,
        Shape::Text => {
            tell(&checked);
            if errors == 0 {
                super::print(summary(&checked).as_bytes())?;
            }
        }
    }
    let failed = errors > 0 || (args.deny_warnings && warnings > 0);
    if failed { Err(Failure::told(Exit::Config)) } else { Ok(()) }
}

/// Reads and checks the pipeline at `path`, or the built-in one.
pub(super) fn load(path: Option<&Path>, absent: Severity) -> Result<Checked, Failure> {
    let files = match path {
        Some(path) => config::read_files(path).map_err(|error| {
            let exit = match &error {
                config::FilesError::Read { source, .. } => Exit::of_io(source),
                _ => Exit::Config,
            };
            Failure::new(exit, error)
        })?,
        None => vec![config::default_file()],
    };
    Ok(config::check(files, &Process { absent }))
}

/// All diagnostics, on standard error.
pub(super) fn tell(checked: &Checked) {
    // Standard error may be closed; the exit code still tells.
    let _ = io::stderr().lock().write_all(checked.told().as_bytes());
}

fn summary(checked: &Checked) -> String {
    let files: Vec<&str> = checked.files().iter().map(|file| file.name.as_str()).collect();
    let Some(pipeline) = &checked.pipeline else {
        return format!("{}: right as far as it can be read without what is missing\n", files.join(", "));
    };
    let sources: Vec<&str> = pipeline.sources.iter().map(|source| source.name()).collect();
    let outputs: Vec<&str> = pipeline.outputs.iter().map(|output| output.name.as_str()).collect();
    let basin = if pipeline.basin.disk.is_some() { "disk" } else { "memory" };
    format!(
        "{}: right; {} ─► {basin} basin ─► {}\n",
        files.join(", "),
        sources.join(", "),
        outputs.join(", ")
    )
}

fn as_json(checked: &Checked) -> String {
    let told: Vec<_> = checked
        .diagnostics
        .iter()
        .map(|told| {
            let file = told.place.as_ref().and_then(|place| Some((place, checked.files().get(place.file)?)));
            let (line, column) = file.map(|(place, file)| file.line_column(place.span.start)).unzip();
            json!({
                "severity": if told.severity == Severity::Error { "error" } else { "warning" },
                "file": file.map(|(_, file)| &file.name),
                "line": line,
                "column": column,
                "message": checked.hide(&told.message),
                "help": checked.hide(&told.help),
            })
        })
        .collect();
    format!(
        "{}\n",
        json!({ "errors": checked.errors(), "warnings": checked.warnings(), "diagnostics": told })
    )
}
