//! Would it run? Asks for what a pipeline opens when it starts, without leaving a trace.
//!
//! Promise: nothing is made, written or deleted; a lock or port that is free is held for a moment
//! only. Must not know: how parts open what they need.

use crate::basin::{self, BasinError};
use crate::config::{DeadLetter, Pipeline};
use crate::finding::Finding;
use crate::source::Source;
use crate::telemetry::control::Control;
use rustix::fs::{Access, AtFlags, CWD};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

/// What would keep the pipeline from running as it is written. Empty: nothing that can be seen from
/// here.
pub fn probe(pipeline: &Pipeline) -> Vec<Finding> {
    let mut findings: Vec<Finding> = pipeline.sources.iter().flat_map(Source::probe).collect();
    if let Some(disk) = &pipeline.basin.disk {
        findings.extend(unwritable(&disk.path, "the basin"));
        findings.extend(basin::probe(&pipeline.basin).err().map(|error| closed(&disk.path, error)));
    }
    for output in &pipeline.outputs {
        let what = format!("output `{}`", output.name);
        findings.extend(output.sink.folder().and_then(|folder| unwritable(&folder, &what)));
        if let DeadLetter::Folder { path, .. } = &output.dead_letter {
            findings.extend(unwritable(path, &format!("the dead letter of {what}")));
        }
    }
    findings.extend(receivers(pipeline));
    if let Some(http) = &pipeline.http {
        findings.extend(TcpListener::bind(http.listen).err().map(|error| not_served(http.listen, &error)));
    }
    findings.extend(pipeline.control.as_deref().and_then(|socket| Control::probe(socket).err()));
    findings
}

/// Receivers that do not answer. Nothing is sent to them.
fn receivers(pipeline: &Pipeline) -> Vec<Finding> {
    let asked = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let ask = async {
            let mut findings = Vec::new();
            for output in &pipeline.outputs {
                findings.extend(output.sink.probe(&output.name).await);
            }
            findings
        };
        io::Result::Ok(runtime.block_on(ask))
    };
    // On a thread of its own: the caller may be within a runtime.
    let answered = std::thread::scope(|scope| scope.spawn(asked).join());
    match answered {
        Ok(Ok(findings)) => findings,
        Ok(Err(error)) => vec![Finding {
            what: "receivers cannot be asked".into(),
            why: error.to_string(),
            fix: "see what the system refuses to this process".into(),
        }],
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// For a port that cannot be had.
pub(super) fn not_served(address: SocketAddr, error: &io::Error) -> Finding {
    Finding {
        what: format!("probes and metrics cannot be served on {address}"),
        why: error.to_string(),
        fix: "stop what uses that port, or change `http.listen`".into(),
    }
}

fn closed(path: &Path, error: BasinError) -> Finding {
    let text = error.to_string();
    let (why, fix) = text.split_once("; ").unwrap_or((&text, "see `forebay basin verify`"));
    Finding {
        what: format!("the basin {} cannot be opened", path.display()),
        why: why.into(),
        fix: fix.into(),
    }
}

/// Whether this process may make files in the folder, or make the folder.
fn unwritable(folder: &Path, whose: &str) -> Option<Finding> {
    // Without a last `/`, or a file in the folder's place would not be seen.
    let folder: PathBuf = folder.components().collect();
    let there = folder.ancestors().find(|path| path.symlink_metadata().is_ok());
    let there = there.unwrap_or_else(|| Path::new("."));
    let asked = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let refused = match asked.metadata() {
        Ok(metadata) if !metadata.is_dir() => io::ErrorKind::NotADirectory.into(),
        Err(error) => error,
        Ok(_) => {
            let access = Access::WRITE_OK | Access::EXEC_OK;
            rustix::fs::accessat(CWD, asked, access, AtFlags::EACCESS).err()?.into()
        }
    };
    let made = if there == folder { "" } else { "make it, or " };
    Some(Finding {
        what: format!("{whose} cannot write to {}", folder.display()),
        why: format!("{}: {refused}", asked.display()),
        fix: format!("{made}let this user write there, or name another folder"),
    })
}
