//! `forebay hosts [PIPELINE]`: the machines that a running forebay hears from, asked over its control
//! socket.
//!
//! Names come from machines, so what could change a terminal is escaped. Must not know: how hosts are
//! followed.

use super::{Exit, Failure, check};
use crate::config::Severity;
use crate::telemetry::control;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Pipeline file it runs with, or a folder of them, which says where its socket is
    pipeline: Option<PathBuf>,
    /// Its control socket
    #[arg(long, value_name = "SOCKET", conflicts_with = "pipeline")]
    socket: Option<PathBuf>,
    /// Only those in this state
    #[arg(long, value_enum)]
    state: Option<State>,
    #[arg(short, long, value_enum, default_value_t = Shape::Text)]
    output: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Shape {
    Text,
    /// More columns, and a line for each log
    Wide,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum State {
    /// Heard within its heartbeat interval
    Active,
    /// A heartbeat is missing
    Silent,
    /// It gave up a subscription
    Ended,
    /// It has asked, and not yet delivered
    New,
    /// No subscription is for it
    Idle,
    /// It came and could not sign in; its address is all that is known of it
    Denied,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let socket = match args.socket {
        Some(socket) => socket,
        None => socket_of(args.pipeline.as_deref())?,
    };
    let answer = control::ask(&socket, &json!({ "verb": "hosts" })).map_err(|error| {
        let socket = socket.display();
        Failure::new(Exit::Unavailable, format!("nobody answers on {socket}: {error}; does forebay run?"))
    })?;
    if let Some(refused) = answer.get("error").and_then(Value::as_str) {
        return Err(Failure::new(Exit::Data, refused));
    }
    let mut hosts = answer.get("hosts").and_then(Value::as_array).cloned().unwrap_or_default();
    if let Some(state) = args.state {
        hosts.retain(|host| text(host, "state").eq_ignore_ascii_case(&format!("{state:?}")));
    }
    let shown = match args.output {
        Shape::Text => table(&hosts, &COLUMNS),
        Shape::Wide => table(&hosts, &COLUMNS_WIDE) + &logs(&hosts),
        Shape::Json => format!("{:#}\n", Value::Array(hosts)),
    };
    super::print(shown.as_bytes())
}

fn socket_of(pipeline: Option<&Path>) -> Result<PathBuf, Failure> {
    let checked = check::load(pipeline, Severity::Error)?;
    let Some(pipeline) = checked.pipeline else {
        check::tell(&checked);
        return Err(Failure::told(Exit::Config));
    };
    pipeline.control.ok_or_else(|| {
        Failure::new(
            Exit::Config,
            "this pipeline has no control socket; set `control.socket`, or use `[basin.disk]`",
        )
    })
}

/// Heading, and key of the value below it.
type Column = (&'static str, &'static str);

const COLUMNS: [Column; 8] = [
    ("HOST", "host"),
    ("STATE", "state"),
    ("ADDRESS", "address"),
    ("LAST SEEN", "last_seen"),
    ("MISSED", "heartbeats_missed"),
    ("EVENTS", "events"),
    ("LAG s", "lag_seconds"),
    ("FINDINGS", "findings"),
];

const COLUMNS_WIDE: [Column; 18] = [
    ("SOURCE", "source"),
    ("HOST", "host"),
    ("NAME", "name"),
    ("STATE", "state"),
    ("ADDRESS", "address"),
    ("FIRST SEEN", "first_seen"),
    ("LAST SEEN", "last_seen"),
    ("LAST EVENT", "last_event"),
    ("MISSED", "heartbeats_missed"),
    ("EVENTS", "events"),
    ("BYTES", "bytes"),
    ("LAG s", "lag_seconds"),
    ("GAPS", "gaps"),
    ("RESETS", "resets"),
    ("RESENT", "resent"),
    ("REFUSED", "refused"),
    ("FINDINGS", "findings"),
    ("LAST FINDING", "last_finding"),
];

fn table(hosts: &[Value], columns: &[Column]) -> String {
    let mut lines: Vec<Vec<String>> =
        vec![columns.iter().map(|(heading, _)| (*heading).to_owned()).collect()];
    lines.extend(hosts.iter().map(|host| columns.iter().map(|(_, key)| text(host, key)).collect()));
    aligned(&lines)
}

/// Each log of each host, as each subscription sees it.
fn logs(hosts: &[Value]) -> String {
    let heading = ["HOST", "SUBSCRIPTION", "LOG", "RECORD ID", "AT", "GAPS", "MISSING", "RESETS"];
    let mut lines = vec![heading.map(str::to_owned).to_vec()];
    let list =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    for host in hosts {
        for subscription in list(host, "subscriptions") {
            for log in list(&subscription, "channels") {
                let mut line = vec![text(host, "host"), text(&subscription, "name")];
                let keys = ["channel", "record_id", "at", "gaps", "missing", "resets"];
                line.extend(keys.map(|key| text(&log, key)));
                lines.push(line);
            }
        }
    }
    format!("\n{}", aligned(&lines))
}

/// A value as a cell; none is a dash.
fn text(of: &Value, key: &str) -> String {
    match of.get(key) {
        None | Some(Value::Null) => "-".into(),
        Some(Value::String(text)) => text.escape_debug().to_string(),
        Some(other) => other.to_string(),
    }
}

fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width =
        |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for line in lines {
        let mut shown = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            let _ = write!(shown, "{cell:<width$}  ");
        }
        out.push_str(shown.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_names_cannot_change_the_terminal() {
        let hosts = [
            json!({ "host": "pc1.example.org", "state": "active", "events": 12, "lag_seconds": 0.5 }),
            json!({ "host": "\u{1b}[31mred", "state": "new", "address": null }),
        ];
        let shown = table(&hosts, &[("HOST", "host"), ("STATE", "state"), ("EVENTS", "events")]);
        assert_eq!(
            shown,
            "HOST             STATE   EVENTS\n\
             pc1.example.org  active  12\n\
             \\u{1b}[31mred    new     -\n"
        );
    }

    #[test]
    fn each_log_of_a_host_has_a_line() {
        let log =
            json!({ "channel": "System", "record_id": 7, "at": null, "gaps": 1, "missing": 2, "resets": 0 });
        let hosts = [json!({ "host": "pc1", "subscriptions": [{ "name": "all", "channels": [log] }] })];
        assert!(
            logs(&hosts).ends_with("pc1   all           System  7          -   1     2        0\n"),
            "{}",
            logs(&hosts)
        );
    }
}
