//! What a failure says of itself: every room that fails to connect, parse or deliver makes one.

use std::fmt;

/// A failure explained: what happened, why, and the operator's next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Names the host, file or output, and what did not work.
    pub what: String,
    pub why: String,
    /// Something a person can do.
    pub fix: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.what, self.why, self.fix)
    }
}
