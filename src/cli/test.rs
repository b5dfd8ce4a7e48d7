//! `forebay test PIPELINE --tests FILE`: events in, what an output makes of them out.
//!
//! ```toml
//! [[test]]
//! name = "service logons stay out of the SIEM"
//! output = "siem"                    # may be left out when the pipeline has one
//! event = { channel = "Security", id = 4624, data = { LogonType = "5" } }
//! kept = false
//!
//! [[test]]
//! name = "who logged on is told"
//! file = "logon.xml"                 # or xml = '''<Event …>''', or event = { … }
//! has = { EventData = { TargetUserName = "alice" } }   # or expect = '''{ …all of it… }'''
//!
//! [[test]]
//! name = "what of last night reaches the SIEM"
//! file = "night.evtx"                # an event log; or XML or JSON lines with several events
//! count = 24                         # or record = 5006 for a single one
//! ```
//!
//! Runs the filter and the format alone: no basin, no sink, nothing is written.
//! Promise: exits 1 when a test fails; the last line is `N passed, N failed`.

mod case;
mod diff;
pub(super) mod events;

use super::{Exit, Failure};
use super::{Shape, check};
use crate::config::{self, Severity, SourceFile};
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Pipeline file, or a folder of them
    pipeline: PathBuf,
    /// File of tests
    #[arg(long, value_name = "FILE")]
    tests: PathBuf,
    /// Run only tests whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// How to write the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Shape,
}

/// A test that was run: its name, and what was not as expected.
struct Ran {
    name: String,
    wrong: Vec<String>,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let checked = check::load(Some(&args.pipeline), Severity::Warning)?;
    if checked.errors() > 0 {
        check::tell(&checked);
        return Err(Failure::told(Exit::Config));
    }
    let Some(mut pipeline) = checked.pipeline else {
        check::tell(&checked);
        return Err(Failure::new(Exit::Config, "the pipeline cannot be tested without what is missing"));
    };
    let file = tests_file(&args)?;
    let folder = args.tests.parent().map(PathBuf::from).unwrap_or_default();
    let tests = config::typed_file::<case::Tests>(&file).map_err(refused)?;
    let mut ran = Vec::new();
    for test in tests.test {
        if args.only.as_ref().is_some_and(|only| !test.name.contains(only.as_str())) {
            continue;
        }
        let wrong = match case::run(&test, &mut pipeline.outputs, &folder) {
            Ok(wrong) => wrong,
            Err(why) => vec![why],
        };
        ran.push(Ran { name: test.name, wrong });
    }
    if ran.is_empty() {
        let why =
            "holds no test that was asked for; add `[[test]]` with a `name`, an `event` and what to `expect`";
        return Err(Failure::new(Exit::Data, format!("{} {why}", args.tests.display())));
    }
    super::print(told(&ran, args.output).as_bytes())?;
    let failed = ran.iter().any(|test| !test.wrong.is_empty());
    if failed { Err(Failure::told(Exit::Failed)) } else { Ok(()) }
}

fn tests_file(args: &Args) -> Result<SourceFile, Failure> {
    let text =
        std::fs::read_to_string(&args.tests).map_err(|error| Failure::io("read", &args.tests, &error))?;
    Ok(SourceFile { name: args.tests.display().to_string(), text })
}

/// `told` begins with `error: `, which `Failure` would write again.
fn refused(told: String) -> Failure {
    Failure::new(Exit::Config, told.strip_prefix("error: ").unwrap_or(&told))
}

fn told(ran: &[Ran], shape: Shape) -> String {
    let failed = ran.iter().filter(|test| !test.wrong.is_empty()).count();
    let passed = ran.len() - failed;
    if shape == Shape::Json {
        let tests: Vec<_> = ran
            .iter()
            .map(|test| json!({ "name": test.name, "passed": test.wrong.is_empty(), "wrong": test.wrong }))
            .collect();
        return format!("{}\n", json!({ "passed": passed, "failed": failed, "tests": tests }));
    }
    let mut text = String::new();
    for test in ran {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{} {}", if test.wrong.is_empty() { "ok  " } else { "FAIL" }, test.name);
        for line in &test.wrong {
            let _ = writeln!(text, "       {line}");
        }
    }
    let _ = writeln!(text, "{passed} passed, {failed} failed");
    text
}
