//! `forebay basin ls|verify|forget`: looks into a basin on disk; lets go of an output that is gone.
//!
//! `ls` and `verify` change nothing and may be used while a forebay runs on the basin; `forget` asks
//! the one that runs, over its control socket.
//! Must not know: how the log is laid out.

use super::{Exit, Failure, Shape};
use crate::basin::{self, BasinError, Listing};
use crate::event::Timestamp;
use crate::telemetry::control;
use crate::units::ByteSize;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List segments, cursors and bookmarks
    Ls {
        /// Folder of the basin
        path: PathBuf,
        #[arg(short, long, value_enum, default_value_t = Shape::Text)]
        output: Shape,
    },
    /// Read everything and tell all damage; exits 1 when there is any
    Verify {
        /// Folder of the basin
        path: PathBuf,
    },
    /// Release the cursor of an output that will not come back, so that it no longer holds the log
    Forget {
        /// Folder of the basin
        path: PathBuf,
        /// Name of the output
        name: String,
        /// Control socket of the forebay that runs on it; `control.sock` in its folder when left out
        #[arg(long, value_name = "SOCKET")]
        socket: Option<PathBuf>,
    },
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    match args.verb {
        Verb::Ls { path, output } => {
            let listing = basin::inspect(&path).map_err(failure)?;
            let text = match output {
                Shape::Text => table(&listing),
                Shape::Json => format!("{:#}\n", object(&listing)),
            };
            super::print(text.as_bytes())
        }
        Verb::Verify { path } => {
            let findings = basin::verify(&path).map_err(failure)?;
            if findings.is_empty() {
                return super::print(b"no damage\n");
            }
            let lines: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
            super::print(lines.as_bytes())?;
            Err(Failure::told(Exit::Failed))
        }
        Verb::Forget { path, name, socket } => {
            match basin::forget(&path, &name) {
                Err(in_use @ BasinError::InUse { .. }) => {
                    let socket = socket.unwrap_or_else(|| path.join("control.sock"));
                    forget_there(&socket, &name, &in_use)?;
                }
                forgotten => forgotten.map_err(failure)?,
            }
            super::print(
                format!("output `{name}` is forgotten; what only it had not read can go\n").as_bytes(),
            )
        }
    }
}

/// Lets the forebay do it that has the basin.
fn forget_there(socket: &Path, name: &str, in_use: &BasinError) -> Result<(), Failure> {
    let answer = control::ask(socket, &json!({ "verb": "forget", "output": name })).map_err(|error| {
        let socket = socket.display();
        Failure::new(
            Exit::Unavailable,
            format!("{in_use}, or name its `--socket`: nobody answers on {socket}: {error}"),
        )
    })?;
    match answer.get("error").and_then(Value::as_str) {
        Some(refused) => Err(Failure::new(Exit::Data, refused)),
        None => Ok(()),
    }
}

fn failure(error: BasinError) -> Failure {
    let exit = match &error {
        BasinError::InUse { .. } => Exit::Unavailable,
        BasinError::Absent { .. } => Exit::NoInput,
        BasinError::Io { source, .. } => Exit::of_io(source),
        _ => Exit::Data,
    };
    Failure::new(exit, error.to_string())
}

fn table(listing: &Listing) -> String {
    let mut text = format!("node {}, epoch {}\n\nsegments\n", listing.node, listing.epoch);
    for segment in &listing.segments {
        let name = segment.path.file_name().unwrap_or_default().to_string_lossy();
        let _ = writeln!(
            text,
            "  {name}  {} of {}  {} batches  {} events  {} to {}",
            ByteSize(segment.used_bytes),
            ByteSize(segment.bytes),
            segment.frames,
            segment.events,
            moment(segment.first_at),
            moment(segment.last_at)
        );
    }
    text.push_str("\ncursors\n");
    for cursor in &listing.cursors {
        let (events, bytes) = (cursor.lag_events, ByteSize(cursor.lag_bytes));
        let position = cursor.position;
        let _ = writeln!(
            text,
            "  {}  at {}.{}  {events} events behind ({bytes})",
            cursor.output, position.epoch, position.sequence
        );
    }
    text.push_str("\nbookmarks\n");
    for (key, bytes) in &listing.bookmarks {
        let _ = writeln!(text, "  {}  {bytes} bytes", key.escape_debug());
    }
    text
}

fn moment(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| time.to_string())
}

fn object(listing: &Listing) -> Value {
    let segment = |segment: &basin::SegmentListing| {
        json!({
            "path": segment.path, "bytes": segment.bytes, "used_bytes": segment.used_bytes,
            "frames": segment.frames, "events": segment.events,
            "first_at": segment.first_at.map(|at| at.to_string()), "last_at": segment.last_at.map(|at| at.to_string()),
        })
    };
    let cursor = |cursor: &basin::CursorListing| {
        json!({
            "output": cursor.output, "epoch": cursor.position.epoch, "sequence": cursor.position.sequence,
            "lag_events": cursor.lag_events, "lag_bytes": cursor.lag_bytes,
        })
    };
    json!({
        "node": listing.node, "epoch": listing.epoch,
        "segments": listing.segments.iter().map(segment).collect::<Vec<_>>(),
        "cursors": listing.cursors.iter().map(cursor).collect::<Vec<_>>(),
        "bookmarks": listing.bookmarks.iter().map(|(key, bytes)| json!({ "key": key, "bytes": bytes })).collect::<Vec<_>>(),
    })
}
