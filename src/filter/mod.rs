//! Which events an output wants: channel, id, provider, level and computer sets, and the Windows
//! event XPath, compiled to a predicate over the borrowed event.
//!
//! ```text
//! keep (none, or any rule matches) ─► drop (no rule matches) ─► the lane
//! ```
//!
//! | file | knows |
//! |---|---|
//! | `rule` | keep and drop rules, on System alone |
//! | `number`, `glob` | sets of ids and levels; names without case |
//!
//! Promise: a rule reads the header and nothing else, and allocates nothing once its scratch has
//! grown. An event that cannot be read passes every filter: `keeps` says `Err`, and the caller
//! hands the raw text on with that error beside it.
//! Pure. Must not know: outputs, formats.

mod glob;
mod number;
mod one_or_many;
mod rule;

pub use glob::PATTERN_BYTES_MAX;
pub use number::{EVENT_ID_MAX, IdRange, LEVEL_MAX, LevelRange};
pub use one_or_many::OneOrMany;
pub use rule::RuleConfig;

use crate::event::{Event, EventError, Timestamp};
use rule::Rule;
use schemars::JsonSchema;
use serde::Deserialize;
use thiserror::Error;

/// What an output, or a source, wants of the events that come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FilterConfig {
    /// Events that match any of these rules are kept; without a rule all are.
    pub keep: OneOrMany<RuleConfig>,
    /// Events that match any of these rules are dropped, whatever `keep` says.
    pub drop: OneOrMany<RuleConfig>,
}

/// A checked filter, with the scratch it reuses from event to event.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    keep: Vec<Rule>,
    drop: Vec<Rule>,
    scratch: Vec<u8>,
}

/// A filter that was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FilterError {
    /// `key` is the place in the configuration, such as `drop[2]`.
    #[error("filter.{key}: {why}")]
    Rule { key: String, why: String },
}

impl FilterConfig {
    /// # Errors
    /// What was not understood, and where.
    pub fn compile(&self) -> Result<Filter, FilterError> {
        Ok(Filter { keep: rules("keep", &self.keep)?, drop: rules("drop", &self.drop)?, scratch: Vec::new() })
    }
}

impl Filter {
    /// Whether the event is wanted; `now` is what `timediff` counts from.
    ///
    /// # Errors
    /// When the event cannot be read: pass it on raw, with this beside it.
    pub fn keeps<'a, E: Event<'a>>(&mut self, event: &E, now: Timestamp) -> Result<bool, EventError> {
        let _ = now;
        let Self { keep, drop, scratch } = self;
        let header = event.header();
        if !keep.is_empty() && !keep.iter().any(|rule| rule.matches(header, scratch)) {
            return Ok(false);
        }
        Ok(!drop.iter().any(|rule| rule.matches(header, scratch)))
    }
}

fn rules(key: &str, rules: &[RuleConfig]) -> Result<Vec<Rule>, FilterError> {
    let rule = |(index, rule): (usize, &RuleConfig)| {
        rule.compile().map_err(|why| FilterError::Rule { key: format!("{key}[{index}]"), why })
    };
    rules.iter().enumerate().map(rule).collect()
}

#[cfg(test)]
mod tests;
