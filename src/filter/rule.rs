//! Keep and drop rules: conditions on System alone, so that rejecting an event reads nothing else.
//!
//! A rule matches when all of its conditions do; a condition with several values when one of them
//! does; a field that the event does not have matches no condition.

use super::glob::{Glob, PATTERN_BYTES_MAX};
use super::number::{IdRange, LevelRange, Numbers};
use super::one_or_many::OneOrMany;
use crate::event::{Header, Value};
use schemars::JsonSchema;
use serde::Deserialize;

/// Conditions on an event; at least one must be named, and all named ones must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RuleConfig {
    /// Channel names, case does not matter; `*` and `?` are wildcards.
    pub channel: OneOrMany<String>,
    /// Event ids and ranges: `4624`, `"4700-4799"`.
    pub id: OneOrMany<IdRange>,
    /// Provider names, case does not matter; `*` and `?` are wildcards.
    pub provider: OneOrMany<String>,
    /// Levels as number, name or range: `2`, `"error"`, `"1-3"`. The Security log writes 0.
    pub level: OneOrMany<LevelRange>,
    /// Computer names as the events carry them, case does not matter; `*` and `?` are wildcards.
    pub computer: OneOrMany<String>,
}

/// A checked rule.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    channels: Vec<Glob>,
    ids: Numbers,
    providers: Vec<Glob>,
    levels: Numbers,
    computers: Vec<Glob>,
}

impl RuleConfig {
    pub(super) fn compile(&self) -> Result<Rule, String> {
        let rule = Rule {
            channels: globs("channel", &self.channel)?,
            ids: Numbers::of(self.id.iter().map(|range| (range.0, range.1))),
            providers: globs("provider", &self.provider)?,
            levels: Numbers::of(self.level.iter().map(|range| (range.0, range.1))),
            computers: globs("computer", &self.computer)?,
        };
        if rule.is_empty() {
            return Err("names no condition and would match every event; name at least one of \
                        channel, id, provider, level, computer"
                .into());
        }
        Ok(rule)
    }
}

impl Rule {
    /// The channel first: it decides most often and is never escaped.
    pub(super) fn matches(&self, header: &Header<'_>, scratch: &mut Vec<u8>) -> bool {
        self.allows_place(header.level, header.channel, scratch)
            && self.allows_kind(header.provider_name, header.event_id, scratch)
            && named(&self.computers, header.computer, scratch)
    }

    /// What is known of an event after its EventID.
    pub(super) fn allows_kind(&self, provider: Value<'_>, id: Value<'_>, scratch: &mut Vec<u8>) -> bool {
        numbered(&self.ids, id) && named(&self.providers, provider, scratch)
    }

    /// What is known of an event after its Channel.
    pub(super) fn allows_place(&self, level: Value<'_>, channel: Value<'_>, scratch: &mut Vec<u8>) -> bool {
        named(&self.channels, channel, scratch) && numbered(&self.levels, level)
    }

    /// Whether the computer counts, which stands behind all other fields.
    pub(super) fn names_computers(&self) -> bool {
        !self.computers.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.channels.is_empty()
            && self.ids.is_empty()
            && self.providers.is_empty()
            && self.levels.is_empty()
            && self.computers.is_empty()
    }
}

fn named(globs: &[Glob], value: Value<'_>, scratch: &mut Vec<u8>) -> bool {
    globs.is_empty() || globs.iter().any(|glob| glob.matches(value, scratch))
}

fn numbered(numbers: &Numbers, value: Value<'_>) -> bool {
    numbers.is_empty() || value.as_u64().is_some_and(|number| numbers.contains(number))
}

fn globs(key: &str, patterns: &[String]) -> Result<Vec<Glob>, String> {
    let glob = |pattern: &String| {
        Glob::new(pattern).ok_or_else(|| {
            format!(
                "{key} = {pattern:?} is no name; write 1 to {PATTERN_BYTES_MAX} bytes, with `*` for any run"
            )
        })
    };
    patterns.iter().map(glob).collect()
}
