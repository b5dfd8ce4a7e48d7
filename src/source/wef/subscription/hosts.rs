//! Which machines a subscription is for: names to allow and to deny.
//!
//! Promise: deny wins; what has no name is in no list of names.

use super::doubt::Doubts;
use super::written::EnabledFor;
use crate::filter::OneOrMany;
use glob::{MatchOptions, Pattern};

/// Longest pattern: no name of a machine is longer.
pub(super) const PATTERN_BYTES_MAX: usize = 255;

#[derive(Clone, Debug, Default)]
pub(super) struct Hosts {
    /// Empty: every machine.
    allow: Vec<Pattern>,
    deny: Vec<Pattern>,
}

impl Hosts {
    pub(super) fn new(written: &EnabledFor, doubts: &mut Doubts) -> Self {
        let mut patterns = |key: &str, list: &OneOrMany<String>| {
            let mut pattern = |text: &String| match pattern(text) {
                Ok(pattern) => Some(pattern),
                Err(why) => {
                    doubts.error(&["enabled_for", key], why);
                    None
                }
            };
            list.iter().filter_map(&mut pattern).collect()
        };
        Self { allow: patterns("allow", &written.allow), deny: patterns("deny", &written.deny) }
    }

    /// Whether it is for a machine that goes by these names.
    pub(super) fn takes(&self, names: &[&str]) -> bool {
        let matches = |patterns: &[Pattern]| {
            patterns.iter().any(|pattern| names.iter().any(|name| pattern.matches_with(name, WITHOUT_CASE)))
        };
        (self.allow.is_empty() || matches(&self.allow)) && !matches(&self.deny)
    }

    pub(super) fn is_everyone(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }
}

const WITHOUT_CASE: MatchOptions = MatchOptions {
    case_sensitive: false,
    require_literal_separator: false,
    require_literal_leading_dot: false,
};

fn pattern(text: &str) -> Result<Pattern, String> {
    let text = text.trim();
    if text.is_empty() || text.len() > PATTERN_BYTES_MAX {
        return Err(format!(
            "`{text}` is no name of a machine; write 1 to {PATTERN_BYTES_MAX} bytes, such as `dc*.example.org`"
        ));
    }
    // Doubled stars are folders in file globs, and nothing here.
    Pattern::new(text).map_err(|error| {
        format!(
            "`{text}` is no pattern ({}); `*` is any run, `?` one character, `[a-z]` one of a set",
            error.msg
        )
    })
}
