//! What is wrong or doubtful in a subscription, and at which of its keys.

use std::fmt;
use std::ops::Range;

/// Something to be told about what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Hosts would refuse it. Else it works, but hardly as meant.
    pub is_error: bool,
    /// The name of the subscription; None: it concerns all of them together.
    pub subscription: Option<String>,
    /// From the table of the subscription on; empty: it concerns all of it.
    pub keys: Vec<String>,
    /// Bytes of the key's text that are meant; None: all of it.
    pub span: Option<Range<usize>>,
    /// What is wrong; then, after `; `, what to do.
    pub what: String,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(subscription) = &self.subscription {
            write!(f, "subscription `{subscription}`: ")?;
        }
        if !self.keys.is_empty() {
            write!(f, "{}: ", self.keys.join("."))?;
        }
        if let Some(span) = &self.span {
            write!(f, "at byte {}: ", span.start)?;
        }
        f.write_str(&self.what)
    }
}

/// Those of one subscription, or of all.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    subscription: Option<String>,
    all: Vec<Doubt>,
}

impl Doubts {
    pub(super) fn of(subscription: &str) -> Self {
        Self { subscription: Some(subscription.into()), all: Vec::new() }
    }

    pub(super) fn error(&mut self, keys: &[&str], what: impl fmt::Display) {
        self.tell(true, keys, None, what.to_string());
    }

    pub(super) fn warning(&mut self, keys: &[&str], what: impl fmt::Display) {
        self.tell(false, keys, None, what.to_string());
    }

    pub(super) fn tell(&mut self, is_error: bool, keys: &[&str], span: Option<Range<usize>>, what: String) {
        let keys = keys.iter().map(|key| (*key).into()).collect();
        let doubt = Doubt { is_error, subscription: self.subscription.clone(), keys, span, what };
        if !self.all.contains(&doubt) {
            self.all.push(doubt);
        }
    }

    pub(super) fn has_errors(&self) -> bool {
        self.all.iter().any(|doubt| doubt.is_error)
    }

    pub(super) fn into_all(self) -> Vec<Doubt> {
        self.all
    }
}
