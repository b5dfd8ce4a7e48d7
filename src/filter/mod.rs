//! Which events an output wants: channel, id, provider, level and computer sets, and the Windows
//! event XPath, compiled to a predicate over the borrowed event.
//!
//! ```text
//! keep (none, or any matches) ─► drop (none matches) ─► xpath ─► select, suppress ─► query ─► lane
//! ```
//!
//! | file | knows |
//! |---|---|
//! | `rule` | keep and drop rules, on System alone |
//! | `number`, `glob` | sets of ids and levels; names without case |
//! | `query` | Select and Suppress, and the QueryList of a subscription |
//! | `xpath/` | the event XPath: parsed, compiled, evaluated |
//!
//! Promise: a rule reads the header and nothing else, and allocates nothing once its scratch has
//! grown. An event that cannot be read passes every filter: `keeps` says `Err`, and the caller
//! hands the raw text on with that error beside it. What a filter does not ask about is not read,
//! be it whole or broken: `rejects` goes no further into an event than to the value that decides.
//! Pure. Must not know: outputs, formats.

mod glob;
mod number;
mod one_or_many;
mod query;
mod rule;
pub mod xpath;

pub use glob::PATTERN_BYTES_MAX;
pub use number::{EVENT_ID_MAX, IdRange, LEVEL_MAX, LevelRange};
pub use one_or_many::OneOrMany;
pub use query::{QUERY_BYTES_MAX, SELECTS_MAX, SelectConfig};
pub use rule::RuleConfig;
pub use xpath::{XPath, XPathError};

use crate::event::xml::Glance;
use crate::event::{Event, EventError, Timestamp};
use query::{Query, Select};
use rule::Rule;
use schemars::JsonSchema;
use serde::Deserialize;
use std::ops::Range;
use thiserror::Error;

/// What an output, or a source, wants of the events that come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FilterConfig {
    /// Events that match any of these rules are kept; without a rule all are.
    pub keep: OneOrMany<RuleConfig>,
    /// Events that match any of these rules are dropped, whatever `keep` says.
    pub drop: OneOrMany<RuleConfig>,
    /// Of what is left, events that this Windows event XPath selects:
    /// `*[System[(Level<=3) or (EventID=4625)]]`.
    pub xpath: Option<String>,
    /// Of what is left, events that any of these selects: an XPath, or `{ channel, xpath }`.
    pub select: OneOrMany<SelectConfig>,
    /// Events that none of these selects; wins over `select`.
    pub suppress: OneOrMany<SelectConfig>,
    /// Of what is left, events that this `<QueryList>` of a Windows subscription selects.
    pub query: Option<String>,
}

/// A checked filter, with the scratch it reuses from event to event.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    keep: Vec<Rule>,
    drop: Vec<Rule>,
    /// Each list must select the event.
    queries: Vec<Vec<Query>>,
    warnings: Vec<String>,
    /// There is something that a glance could decide.
    can_glance: bool,
    names: Vec<u8>,
    scratch: xpath::Scratch,
}

/// A filter that was not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("filter.{key}: {}{message}", byte(.span.as_ref()))]
pub struct FilterError {
    /// The place in the configuration, such as `drop[2]`.
    pub key: String,
    /// Bytes of the key's text that are meant; None: all of it.
    pub span: Option<Range<usize>>,
    /// What was found and what to write instead.
    pub message: String,
}

impl FilterError {
    /// The key that is meant and, where it holds a list, which entry.
    pub fn place(&self) -> (&str, Option<usize>) {
        let key = &self.key;
        let name = key.split(['[', ',']).next().unwrap_or(key);
        let entry = key[name.len()..].strip_prefix('[').and_then(|rest| rest.split(']').next()?.parse().ok());
        (name, entry)
    }

    fn whole(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), span: None, message: message.into() }
    }
}

fn byte(span: Option<&Range<usize>>) -> String {
    span.map(|span| format!("at byte {}: ", span.start)).unwrap_or_default()
}

impl FilterConfig {
    /// # Errors
    /// What was not understood, and where.
    pub fn compile(&self) -> Result<Filter, FilterError> {
        let mut filter = Filter {
            keep: rules("keep", &self.keep)?,
            drop: rules("drop", &self.drop)?,
            ..Filter::default()
        };
        if let Some(xpath) = &self.xpath {
            let select = Select::new("xpath", None, xpath)?;
            filter.queries.push(vec![Query { selects: vec![select], suppresses: Vec::new() }]);
        }
        if !(self.select.is_empty() && self.suppress.is_empty()) {
            let query = Query {
                selects: selects("select", &self.select)?,
                suppresses: selects("suppress", &self.suppress)?,
            };
            filter.queries.push(vec![query]);
        }
        if let Some(list) = &self.query {
            filter.queries.push(query::parse_list("query", list)?);
        }
        filter.can_glance = !filter.keep.is_empty()
            || filter.drop.iter().any(|rule| !rule.names_computers())
            || filter.queries.iter().any(|list| list.iter().all(Query::names_channels));
        let all = filter.queries.iter().flatten().flat_map(|q| q.selects.iter().chain(&q.suppresses));
        filter.warnings = all.flat_map(Select::warnings).collect();
        Ok(filter)
    }
}

impl Filter {
    /// Whether the event is wanted; `now` is what `timediff` counts to.
    ///
    /// # Errors
    /// When the event cannot be read: pass it on raw, with this beside it.
    pub fn keeps<'a, E: Event<'a>>(&mut self, event: &E, now: Timestamp) -> Result<bool, EventError> {
        // The header is put together for whoever asks; a JSON output without a filter never does.
        if self.is_empty() {
            return Ok(true);
        }
        let Self { keep, drop, queries, names, scratch, .. } = self;
        let header = event.header();
        if !keep.is_empty() && !keep.iter().any(|rule| rule.matches(header, names)) {
            return Ok(false);
        }
        if drop.iter().any(|rule| rule.matches(header, names)) {
            return Ok(false);
        }
        if queries.is_empty() {
            return Ok(true);
        }
        query::all_select(queries, event, now, scratch, names)
    }

    /// Whether the event of this text is certain not to be wanted, by what stands first in it. Asked
    /// before `keeps`, it spares reading what no one will get; false says nothing.
    pub fn rejects(&mut self, text: &[u8]) -> bool {
        if !self.can_glance {
            return false;
        }
        let Self { keep, drop, queries, names, .. } = self;
        let Some(glance) = Glance::new(text) else { return false };
        let (provider, id) = (glance.provider_name, glance.event_id);
        if !(keep.is_empty() || keep.iter().any(|rule| rule.allows_kind(provider, id, names))) {
            return true;
        }
        let Some((level, channel)) = glance.level_and_channel() else { return false };
        let mut fits =
            |rule: &Rule| rule.allows_place(level, channel, names) && rule.allows_kind(provider, id, names);
        !(keep.is_empty() || keep.iter().any(&mut fits))
            || drop.iter().any(|rule| !rule.names_computers() && fits(rule))
            || queries.iter().any(|list| list.iter().all(|query| query.is_elsewhere(channel, names)))
    }

    /// Whether every event passes, so that nobody needs to ask.
    pub fn is_empty(&self) -> bool {
        self.keep.is_empty() && self.drop.is_empty() && self.queries.is_empty()
    }

    /// What is likely a mistake in an expression, or what Windows would refuse in a subscription.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

fn selects(key: &str, selects: &[SelectConfig]) -> Result<Vec<Select>, FilterError> {
    let select = |(index, select): (usize, &SelectConfig)| {
        Select::new(&format!("{key}[{index}]"), select.channel.as_deref(), &select.xpath)
    };
    selects.iter().enumerate().map(select).collect()
}

fn rules(key: &str, rules: &[RuleConfig]) -> Result<Vec<Rule>, FilterError> {
    let rule = |(index, rule): (usize, &RuleConfig)| {
        rule.compile().map_err(|why| FilterError::whole(format!("{key}[{index}]"), why))
    };
    rules.iter().enumerate().map(rule).collect()
}

#[cfg(test)]
mod tests;
