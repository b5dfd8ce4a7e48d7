//! The event XPath of Windows: what stands in a `Select` or `Suppress` of a subscription.
//!
//! ```text
//! text ─lex─► tokens ─parse─► tree ─header_first─► program ─eval─► true or false
//!                                                     ▲
//!                         header, and the body when the program asks for it
//! ```
//!
//! Supported: child and attribute steps, `*`, `text()`, predicates, `and`, `or`, comparisons of a
//! path with a value, `band()`, `timediff()`. Refused in words: what XPath 1.0 has and Windows
//! refuses, and `position()`, which needs the whole answer of a query. Names and text are compared
//! with their case; names without their namespace prefix.
//!
//! Promise: an expression that only asks for System reads nothing but the header; no event makes
//! evaluation recurse, and none makes it allocate once the scratch has grown; `Display` gives text
//! that is read back as the same expression.
//! Pure; now is an argument. Must not know: queries, channels.
//!
//! Sources: MS-EVEN6 2.2.15; Microsoft, "Consuming Events", XPath 1.0 limitations.

mod ast;
mod eval;
mod lex;
mod literal;
mod parse;
mod schema;
mod split;
mod tape;

pub use eval::Scratch;
pub(super) use eval::{Evaluation, with};
pub use tape::TAPE_NODES_MAX;

use crate::event::{Event, EventError, Timestamp};
use ast::Expr;
use std::fmt;
use thiserror::Error;

/// Longest expression we read.
pub const EXPRESSION_BYTES_MAX: usize = 32 * 1024;
/// Deepest nesting of brackets, of all kinds.
pub const DEPTH_MAX: usize = 32;
/// Most tests of one expression.
pub const TERMS_MAX: usize = 1000;
/// What Windows takes in one Select of a subscription before it calls the query invalid; people
/// meet the limit at 20 to 23.
pub const WINDOWS_TERMS_MAX: usize = 20;

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct XPath {
    written: Expr,
    /// The same with what System decides in front.
    program: Expr,
    doubts: Vec<String>,
}

/// An expression that was not understood: what, and where in it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("at byte {at}: {message}")]
pub struct XPathError {
    /// Byte offset into the expression.
    pub at: usize,
    /// How many bytes are meant; 0 at the end.
    pub bytes: usize,
    /// What was found and what to write instead.
    pub message: String,
}

impl XPath {
    /// # Errors
    /// What is no event XPath, with its place.
    pub fn parse(text: &str) -> Result<Self, XPathError> {
        let (written, doubts) = parse::parse(text)?;
        let terms = written.terms();
        if terms > TERMS_MAX {
            let message = format!("{terms} tests in one expression, at most {TERMS_MAX} are taken; split it");
            return Err(XPathError { at: 0, bytes: text.len(), message });
        }
        let mut program = written.clone();
        schema::header_first(&mut program, schema::Place::Root);
        Ok(Self { written, program, doubts })
    }

    /// Whether the event is selected; `now` is what `timediff` counts to.
    ///
    /// # Errors
    /// When the event's body cannot be read.
    pub fn selects<'a, E: Event<'a>>(
        &self,
        event: &E,
        now: Timestamp,
        scratch: &mut Scratch,
    ) -> Result<bool, EventError> {
        with(event, now, scratch, |evaluation| self.holds(evaluation))
    }

    /// The same, within an evaluation of several expressions on one event.
    pub(super) fn holds<'a, E: Event<'a>>(
        &self,
        evaluation: &mut Evaluation<'_, '_, 'a, E>,
    ) -> Result<bool, EventError> {
        evaluation.holds(&self.program)
    }

    /// Whether only System is looked at.
    pub fn reads_header_only(&self) -> bool {
        !schema::reads_body(&self.written, schema::Place::Root)
    }

    /// Its tests as Windows counts them: comparisons, functions and plain existence.
    pub fn terms(&self) -> usize {
        self.written.terms()
    }

    /// Expressions of at most `terms_max` tests that together select what this one does. None where
    /// it cannot be taken apart that far.
    pub fn split(&self, terms_max: usize) -> Option<Vec<Self>> {
        let of = |written: Expr| {
            let mut program = written.clone();
            schema::header_first(&mut program, schema::Place::Root);
            Self { written, program, doubts: Vec::new() }
        };
        Some(split::split(&self.written, terms_max)?.into_iter().map(of).collect())
    }

    /// What is likely a mistake.
    pub fn doubts(&self) -> &[String] {
        &self.doubts
    }

    /// What is likely a mistake, or what Windows would refuse in a subscription.
    pub fn warnings(&self) -> Vec<String> {
        let terms = self.terms();
        let mut warnings = self.doubts.clone();
        if terms > WINDOWS_TERMS_MAX {
            warnings.push(format!(
                "{terms} tests: Windows takes about {WINDOWS_TERMS_MAX} in one Select of a subscription; \
                 there, split it into several"
            ));
        }
        warnings
    }
}

impl fmt::Display for XPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}

impl PartialEq for XPath {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

#[cfg(test)]
mod tests;
