//! Exit codes, those of sysexits.h, and the failure that carries one.
//!
//! Promise: a code never changes its meaning; scripts rely on them.

use crate::telemetry::logs;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Why the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command did its work and the answer is no.
    Failed,
    Usage,
    Data,
    NoInput,
    Unavailable,
    Software,
    CantCreate,
    Io,
    TempFail,
    NoPerm,
    Config,
}

/// Every code once: number, name, what it means.
pub const TABLE: [(Exit, u8, &str, &str); 11] = [
    (Exit::Failed, 1, "FAILED", "a test failed or a basin is damaged"),
    (Exit::Usage, 64, "USAGE", "the command line is wrong"),
    (Exit::Data, 65, "DATAERR", "the input is not what it should be"),
    (Exit::NoInput, 66, "NOINPUT", "an input does not exist"),
    (Exit::Unavailable, 69, "UNAVAILABLE", "something needed cannot be reached or is in use"),
    (Exit::Software, 70, "SOFTWARE", "a mistake of the program itself"),
    (Exit::CantCreate, 73, "CANTCREAT", "an output cannot be created"),
    (Exit::Io, 74, "IOERR", "reading or writing failed"),
    (Exit::TempFail, 75, "TEMPFAIL", "stopped with events neither in the basin nor delivered; run again"),
    (Exit::NoPerm, 77, "NOPERM", "permission denied"),
    (Exit::Config, 78, "CONFIG", "the pipeline file is wrong"),
];

/// The table as `--help` shows it.
pub fn table() -> String {
    let mut text = String::from("Exit codes:\n    0  OK           done\n");
    for (_, code, name, meaning) in TABLE {
        text.push_str(&format!("  {code:>3}  {name:<11}  {meaning}\n"));
    }
    text
}

impl Exit {
    pub fn code(self) -> u8 {
        // `TABLE` holds every variant: the test below compares them.
        TABLE.iter().find(|(exit, ..)| *exit == self).map_or(70, |(_, code, ..)| *code)
    }

    /// The code for a file operation that failed.
    pub fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NoInput,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::NoPerm,
            io::ErrorKind::AlreadyExists | io::ErrorKind::IsADirectory => Self::CantCreate,
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Self::Data,
            _ => Self::Io,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// A command that did not succeed: its code, and what to tell.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    /// What happened, where, what to do; no `error:` in front. Empty when all has been told.
    pub message: String,
}

impl Failure {
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string() }
    }

    /// All has been told already.
    pub fn told(exit: Exit) -> Self {
        Self { exit, message: String::new() }
    }

    /// `cannot read /var/log/x.evtx: permission denied`, with the code that fits.
    pub fn io(doing: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(Exit::of_io(error), format!("cannot {doing} {}: {error}", path.display()))
    }

    pub(super) fn print(&self) {
        if self.message.is_empty() {
            return;
        }
        let message = self.message.trim_end();
        if logs::is_json() {
            tracing::error!("{message}");
        } else {
            // Standard error may be closed; the exit code still tells.
            let _ = writeln!(io::stderr().lock(), "error: {message}");
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let exit = error.chain().find_map(|cause| cause.downcast_ref().map(Exit::of_io));
        Self::new(exit.unwrap_or(Exit::Failed), format!("{error:#}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_in_the_table_once_and_in_order() {
        let codes: Vec<u8> = TABLE
            .iter()
            .map(|(exit, code, ..)| {
                assert_eq!(exit.code(), *code);
                *code
            })
            .collect();
        assert!(codes.is_sorted_by(|a, b| a < b));
        assert_eq!(Exit::Config.code(), 78);
        assert!(table().contains(" 78  CONFIG       the pipeline file is wrong\n"));
    }

    #[test]
    fn a_missing_file_is_told_apart_from_a_forbidden_one() {
        let missing = Failure::io("read", Path::new("x.evtx"), &io::ErrorKind::NotFound.into());
        assert_eq!(
            (missing.exit, missing.message.as_str()),
            (Exit::NoInput, "cannot read x.evtx: entity not found")
        );
        let forbidden =
            anyhow::Error::from(io::Error::from(io::ErrorKind::PermissionDenied)).context("cannot read y");
        assert_eq!(Failure::from(forbidden).exit, Exit::NoPerm);
    }
}
