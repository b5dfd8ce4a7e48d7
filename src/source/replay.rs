//! Events from a file or standard input: XML documents or JSON lines that carry the XML.
//!
//! Must not know: outputs, formats.

use super::{Report, SourceError};
use schemars::JsonSchema;
use serde::Deserialize;

/// `[source.NAME.replay]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file; `-` is standard input.
    pub path: String,
}

impl Config {
    /// Checks what was written; opens nothing.
    pub fn open(&self, name: &str) -> Result<Replay, SourceError> {
        if self.path.trim().is_empty() {
            return Err(SourceError::Config {
                name: name.into(),
                what: "`path` is empty".into(),
                fix: "name a file, or `-` for standard input",
            });
        }
        Ok(Replay { name: name.into(), config: self.clone(), report: Report::default() })
    }
}

/// The source, checked.
#[derive(Debug)]
pub struct Replay {
    name: Box<str>,
    config: Config,
    report: Report,
}

impl Replay {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Live figures; stays valid while and after the source runs.
    pub fn report(&self) -> Report {
        self.report.clone()
    }
}
