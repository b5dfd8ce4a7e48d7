//! The findings about log files, in words.

use super::look::{self, Problem};
use crate::finding::Finding;
use crate::source::{Counts, Report};
use std::io;
use std::ops::RangeInclusive;

/// Counts and tells what was overwritten before it could be read.
pub(super) fn lost(file: &str, ids: RangeInclusive<u64>, report: &Report) {
    let count = (ids.end() - ids.start()).saturating_add(1);
    report.count(Counts { lost_ranges: 1, lost_events: count, ..Counts::default() });
    report.find(Finding {
        what: format!("{file}: records {} to {} are lost", ids.start(), ids.end()),
        why: "the log wrapped around and they were overwritten before they could be read".into(),
        fix: "make the log larger, or keep this source running".into(),
    });
}

/// The first record of a log that cannot be decoded; the others are counted.
pub(super) fn undecodable(file: &str, why: String) -> Finding {
    Finding {
        what: format!("{file}: a record cannot be read"),
        why,
        fix: "it travels on raw with the reason beside it, as all others of this log do".into(),
    }
}

/// `id` is the last record read before.
pub(super) fn cleared(file: &str, id: u64) -> Finding {
    Finding {
        what: format!("{file}: the log was cleared"),
        why: format!("its record numbers begin anew; the last record read before was {id}"),
        fix: "what was written between that record and the clearing is gone; find out who cleared it".into(),
    }
}

pub(super) fn deleted(file: &str, open: bool) -> Finding {
    let why =
        if open { "what was written to it until then is still read" } else { "it had been read before" };
    Finding {
        what: format!("{file} was deleted or moved out of `path`"),
        why: why.into(),
        fix: "nothing to do if that was meant; a new log of this name is read from its start".into(),
    }
}

pub(super) fn unreadable(file: &str, error: &io::Error) -> Finding {
    let fix = match error.kind() {
        io::ErrorKind::NotFound => "check `path`; it is taken relative to the working directory",
        io::ErrorKind::PermissionDenied => "let this user read it",
        _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            "its symbolic links lead in a circle; name the file itself"
        }
        _ => "check the disk or the share; it is tried again with every poll",
    };
    Finding { what: format!("cannot read {file}"), why: error.to_string(), fix: fix.into() }
}

pub(super) fn explain(problem: Problem, file: &str) -> Finding {
    let (what, why, fix) = match problem {
        Problem::Empty => ("is empty", "it has no bytes".into(), "nothing to do if it is to be written yet"),
        Problem::NoLog => (
            "is not an event log",
            "it does not begin with `ElfFile` and holds no chunk".into(),
            "take it out of `path`, or copy the log again",
        ),
        Problem::Cut { slot } => (
            "is truncated",
            format!("it ends inside chunk {slot}"),
            "copy the log again; what is there is read",
        ),
        Problem::Head => (
            "is truncated",
            "it ends inside its own header, before its first record".into(),
            "copy the log again",
        ),
        Problem::TooLarge => (
            "is too large",
            format!("a log has at most {} chunks (4 GiB); those are read", look::SLOTS_MAX),
            "split the log",
        ),
        Problem::NoChunk { slot } => (
            "has a damaged chunk",
            format!("at chunk {slot} stands neither a chunk nor blank space"),
            "its records cannot be read, those of the other chunks are",
        ),
    };
    Finding { what: format!("{file} {what}"), why, fix: fix.into() }
}
