//! The pipeline file: what was written (`PipelineConfig`), then what was checked (`Pipeline`).
//!
//! ```text
//! files ─► tree (every key knows its place) ─► ${…} filled in ─► typed, part by part ─► checked
//!            └───────────────┴─────────────────────┴──────────────────────┴─► diagnostics
//! ```
//!
//! | file | knows |
//! |---|---|
//! | `tree`, `typed` | TOML to structs, all mistakes at once, each with its place |
//! | `interpolate`, `secret` | `${env:…}`, `${file:…}`; what must not be shown |
//! | `diagnostic`, `suggest` | how a mistake is told |
//! | `written`, `checked`, `filter` | what a pipeline is |
//! | `place` | where something stands in a part |
//! | `subscription` | files of subscriptions beside the pipeline, and the query lists they name |
//! | `paths`, `bounds` | what its parts must not do to each other |
//! | `shares` | how memory is shared out, as it is checked and built |
//! | `reference`, `limits` | the same for editors and for people, with the limits of all rooms |
//!
//! Promises: nothing is opened but the files named; every mistake has a line and a column; no secret
//! is shown.
//! Must not know: how sources, formats and sinks work.

mod bounds;
mod checked;
mod diagnostic;
mod files;
mod filter;
mod interpolate;
mod letters;
mod paths;
mod place;
mod reference;
mod secret;
mod shape;
mod shares;
mod subscription;
mod suggest;
mod tree;
mod typed;
mod written;

pub use checked::{DeadLetter, Output, Pipeline};
pub use diagnostic::{Diagnostic, Place, Severity, SourceFile};
pub use files::{FilesError, default_file, read_files};
pub use filter::one_filter;
pub use interpolate::{Lookup, Process};
pub use reference::{reference, schema};
pub use shares::{Shares, shapes, targets};
pub use written::{
    BatchConfig, ControlConfig, DeadLetterConfig, HttpConfig, Limits, LogConfig, LogFormat, LogLevel,
    OutputConfig, PipelineConfig, RetryConfig, Undecodable,
};

use secret::Secrets;

/// What came of pipeline files.
#[derive(Debug)]
pub struct Checked {
    /// None when something is wrong.
    pub pipeline: Option<Pipeline>,
    pub diagnostics: Vec<Diagnostic>,
    files: Vec<SourceFile>,
    secrets: Secrets,
}

/// Checks the files, and those that they name; opens nothing but what `lookup` does.
pub fn check(mut files: Vec<SourceFile>, lookup: &dyn Lookup) -> Checked {
    let mut notes = tree::Notes::default();
    let own = files.len();
    let besides = subscription::read(&mut files, lookup);
    let around = subscription::Around { files: &files, besides: &besides, lookup };
    let pipeline = checked::check(own, &around, &mut notes);
    let tree::Notes { diagnostics, secrets, .. } = notes;
    Checked { pipeline, diagnostics, files, secrets }
}

/// Types a file that is no pipeline, such as one of tests, with the same care for mistakes.
///
/// # Errors
/// All mistakes as text for people.
pub fn typed_file<T: serde::de::DeserializeOwned>(file: &SourceFile) -> Result<T, String> {
    let mut notes = tree::Notes::default();
    let value = tree::root(file, &mut notes).and_then(|part| typed::typed(&part, "", &mut notes));
    let files = std::slice::from_ref(file);
    value
        .filter(|_| notes.errors() == 0)
        .ok_or_else(|| diagnostic::render(&notes.diagnostics, files, &notes.secrets))
}

impl Checked {
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// All diagnostics as text for people; empty when there is nothing to say.
    pub fn told(&self) -> String {
        diagnostic::render(&self.diagnostics, &self.files, &self.secrets)
    }

    /// Words without what must not be shown.
    pub fn hide(&self, text: &str) -> String {
        self.secrets.hide(text)
    }

    fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|told| told.severity == severity).count()
    }
}

/// `a source`, `an output`.
fn article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {kind}")
}

#[cfg(test)]
mod tests;
