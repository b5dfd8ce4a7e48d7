//! `forebay check [PIPELINE]`: is the pipeline file right? Opens no socket and no log, unless
//! `--probe` asks whether what it names can be opened here and now; that leaves nothing behind.
//!
//! Promise: exits 78 when the file is wrong, 69 when it is right and something cannot be opened.

use super::{Exit, Failure, Shape};
use crate::config::{self, Checked, Process, Severity};
use crate::finding::Finding;
use crate::pipeline;
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
    /// Also ask whether what it opens can be opened: logs, basin, folders, sockets, brokers. Changes nothing
    #[arg(long)]
    probe: bool,
    /// How to write the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Shape,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let checked = load(args.pipeline.as_deref(), Severity::Warning)?;
    let (errors, warnings) = (checked.errors(), checked.warnings());
    let failed = errors > 0 || (args.deny_warnings && warnings > 0);
    let probed = checked.pipeline.as_ref().filter(|_| args.probe).map(pipeline::probe);
    match args.output {
        Shape::Json => super::print(as_json(&checked, probed.as_deref()).as_bytes())?,
        Shape::Text => {
            tell(&checked);
            if errors == 0 {
                super::print(summary(&checked).as_bytes())?;
            }
            for finding in probed.iter().flatten() {
                // Standard error may be closed; the exit code still tells.
                let _ = writeln!(io::stderr().lock(), "error: {finding}");
            }
            if probed.as_ref().is_some_and(Vec::is_empty) {
                super::print(b"all it opens can be opened\n")?;
            }
        }
    }
    match probed {
        _ if failed => Err(Failure::told(Exit::Config)),
        Some(findings) if !findings.is_empty() => Err(Failure::told(Exit::Unavailable)),
        None if args.probe => Err(Failure::new(
            Exit::Config,
            "what it opens is not known without what is missing; set it first",
        )),
        _ => Ok(()),
    }
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

fn as_json(checked: &Checked, probed: Option<&[Finding]>) -> String {
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
    let mut whole =
        json!({ "errors": checked.errors(), "warnings": checked.warnings(), "diagnostics": told });
    if let Some(findings) = probed {
        let one = |finding: &Finding| json!({ "what": finding.what, "why": finding.why, "fix": finding.fix });
        whole["findings"] = findings.iter().map(one).collect();
    }
    format!("{whole}\n")
}
