//! Windows event log files as a source: reads what is there, then follows the logs while Windows
//! (or a copy job) writes them.
//!
//! Promise: each record that was not overwritten before it could be read is handed over once and
//! in the order of its log; a position moves only in the frame of the events up to it.
//! Must not know: outputs, formats.

use super::{Report, SourceError};
use crate::units::Span;
use schemars::JsonSchema;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use std::fmt;
use std::time::Duration;

/// `[source.NAME.evtx]`
#[derive(Clone, Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A file, a folder (its `*.evtx`) or a glob; or several of them.
    pub path: Paths,
    /// How often the logs are looked at when no notification says they changed. Over network
    /// shares, and while a log is mapped into memory, there is no notification at all.
    #[serde(default = "poll_default")]
    pub poll: Span,
    /// Whether a log that is seen for the first time is read from its start or from its end.
    #[serde(default = "yes")]
    pub read_existing: bool,
    /// Whether to go on with what is written later. `run --once` ends at the end in any case.
    #[serde(default = "yes")]
    pub follow: bool,
}

/// One path or a list of them.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Paths {
    One(String),
    Many(Vec<String>),
}

// By hand, because what serde derives for untagged enums says nothing helpful on a mistake.
impl<'de> Deserialize<'de> for Paths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Listing;
        impl<'de> Visitor<'de> for Listing {
            type Value = Paths;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path, or a list of paths such as [\"/logs/*.evtx\"]")
            }

            fn visit_str<E: Error>(self, path: &str) -> Result<Paths, E> {
                Ok(Paths::One(path.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Paths, A::Error> {
                let mut paths = Vec::new();
                while let Some(path) = list.next_element()? {
                    paths.push(path);
                }
                Ok(Paths::Many(paths))
            }
        }
        deserializer.deserialize_any(Listing)
    }
}

// A second is what people wait for without asking, and costs a few reads for each log.
fn poll_default() -> Span {
    Span::secs(1)
}

fn yes() -> bool {
    true
}

/// Shortest pause between two looks at the logs, whatever the configuration says.
pub const POLL_MIN: Duration = Duration::from_millis(10);

impl Config {
    /// Checks what was written; opens nothing.
    pub fn open(&self, name: &str) -> Result<Evtx, SourceError> {
        let patterns: Vec<String> = match &self.path {
            Paths::One(path) => vec![path.clone()],
            Paths::Many(paths) => paths.clone(),
        };
        let wrong = |what: &str, fix| SourceError::Config { name: name.into(), what: what.into(), fix };
        if patterns.is_empty() || patterns.iter().any(|pattern| pattern.trim().is_empty()) {
            return Err(wrong("`path` is empty", "name a file, a folder or a glob such as `/logs/*.evtx`"));
        }
        if self.poll.0 < POLL_MIN {
            return Err(wrong("`poll` is below 10ms", "use `1s`, or `100ms` where every moment counts"));
        }
        Ok(Evtx { name: name.into(), patterns, config: self.clone(), report: Report::new(name) })
    }
}

/// The source, checked.
#[derive(Debug)]
pub struct Evtx {
    name: Box<str>,
    patterns: Vec<String>,
    config: Config,
    report: Report,
}

impl Evtx {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Live figures; stays valid while and after the source runs.
    pub fn report(&self) -> Report {
        self.report.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn open(text: &str) -> Result<Vec<String>, String> {
        let config: Config = toml::from_str(text).map_err(|error| error.to_string())?;
        config.open("logs").map(|source| source.patterns).map_err(|error| error.to_string())
    }

    #[test]
    fn a_path_or_a_list_of_paths_is_taken() {
        assert_eq!(open("path = '/logs/*.evtx'"), Ok(vec!["/logs/*.evtx".into()]));
        assert_eq!(open("path = ['/a', '/b']"), Ok(vec!["/a".into(), "/b".into()]));
    }

    #[test]
    fn mistakes_are_answered_with_what_is_right() {
        assert!(open("path = 5").unwrap_err().contains("a path, or a list of paths"));
        assert!(open("path = []").unwrap_err().contains("`/logs/*.evtx`"));
        assert!(open("path = '/a'\npoll = '1ms'").unwrap_err().contains("`poll` is below 10ms"));
        assert!(open("path = '/a'\npol = '1s'").unwrap_err().contains("unknown field `pol`"));
    }
}
