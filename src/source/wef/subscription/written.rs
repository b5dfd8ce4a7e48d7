//! The keys of a subscription.

use crate::filter::{IdRange, OneOrMany};
use crate::units::{ByteSize, Span};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserializer, Error, IntoDeserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// What hosts are asked for, in `[source.NAME.wef.subscription.X]` or in a file beside the pipeline.
/// Hosts show X in their own log. A change reaches a host when it asks again, by default every 15
/// minutes (`Refresh` in its group policy).
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub query: QueryConfig,
    /// Bookmarks are stored under this GUID. Nothing given: made of the names of source and
    /// subscription. Write it down before you rename either, or hosts begin anew.
    pub id: Option<String>,
    /// Only for hosts whose group policy names this path, such as `/wsman/servers`; nothing given:
    /// for hosts that ask at any.
    pub uri: Option<String>,
    #[serde(default)]
    pub enabled_for: EnabledFor,
    /// Windows' three choices of how long events may wait: `max_time` and `heartbeat` in one word.
    #[serde(default)]
    pub preset: Preset,
    /// How long the first event of a batch waits for others at most; nothing given: the preset's.
    pub max_time: Option<Span>,
    /// How long a host is silent at most; nothing given: the preset's.
    pub heartbeat: Option<Span>,
    /// Most events of a batch; nothing given: as many as an envelope holds.
    pub max_elements: Option<u32>,
    /// Largest batch, before it is compressed.
    #[serde(default = "max_envelope_default")]
    pub max_envelope: ByteSize,
    /// What a host does with an event that is larger than that.
    #[serde(default)]
    pub oversize: Oversize,
    /// Whether events come with their message in words.
    #[serde(default)]
    pub format: Format,
    /// Language of the messages; `host`: the host's own.
    #[serde(default = "locale_default")]
    pub locale: String,
    /// Form of numbers and dates in the messages; nothing given: that of `locale`.
    pub data_locale: Option<String>,
    /// Whether a host that has no bookmark here begins with all that is in its logs.
    #[serde(default)]
    pub read_existing: bool,
    /// Whether hosts compress what they send: a tenth of the bytes.
    #[serde(default = "yes")]
    pub compression: bool,
    #[serde(default)]
    pub retry: RetryConfig,
    /// How long a host keeps the subscription without asking again; nothing given: for ever.
    pub expires: Option<Span>,
    /// Channels of programs of yours, which do not come with Windows, so that `check` knows them.
    #[serde(default)]
    pub own_channels: OneOrMany<String>,
}

/// Which events: by channel, or as one list of queries.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QueryConfig {
    /// Event ids by channel, such as `{ Security = [4624, "4700-4799"], System = "*" }`. Long lists
    /// are split as hosts need it.
    pub channels: BTreeMap<String, Ids>,
    /// Event XPaths by channel; an event is sent that any of them selects. Long ones are split as
    /// hosts need it, where that keeps their meaning.
    pub xpath: BTreeMap<String, OneOrMany<String>>,
    /// Event XPaths by channel; an event is not sent that any of them selects.
    pub suppress: BTreeMap<String, OneOrMany<String>>,
    /// A `<QueryList>`, instead of the three above.
    pub xml: Option<String>,
    /// A file with a `<QueryList>`, instead of all above: as saved by hand, or exported from Event
    /// Viewer (custom view) or `wecutil gs /f:xml`.
    pub file: Option<String>,
    /// What stands in `file`.
    #[serde(skip)]
    pub(super) read: Option<String>,
}

/// Machines by name: the one in the certificate, the user or the account that signs in, and its short
/// form; case does not matter. `*`, `?` and `[a-z]` are wildcards.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnabledFor {
    /// Only these; empty: every machine that may sign in.
    pub allow: OneOrMany<String>,
    /// Never these.
    pub deny: OneOrMany<String>,
}

/// How often a host tries to deliver again, before it gives the subscription up until it asks anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// Between two attempts.
    pub interval: Span,
    /// How many attempts; none with both at nought.
    pub total: u32,
}

impl Default for RetryConfig {
    fn default() -> Self {
        // Windows' own.
        Self { interval: Span::secs(60), total: 5 }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// 15 minutes; a heartbeat every 15 minutes.
    Normal,
    /// 30 seconds; a heartbeat every hour.
    #[default]
    MinLatency,
    /// 6 hours; a heartbeat every 6 hours.
    MinBandwidth,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// With the message, as Event Viewer shows it: two to three times the bytes.
    #[default]
    RenderedText,
    /// The event alone.
    Raw,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Oversize {
    /// Leaves it out and says so.
    #[default]
    Notify,
    /// Leaves it out.
    Skip,
    /// Ends the subscription.
    CancelSubscription,
}

// What Windows sends without being asked, 500 KiB.
fn max_envelope_default() -> ByteSize {
    ByteSize(512_000)
}

// The language that rules and parsers are written for.
fn locale_default() -> String {
    "en-US".into()
}

fn yes() -> bool {
    true
}

/// Event ids of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ids {
    /// `"*"`
    All,
    Some(Vec<IdRange>),
}

impl<'de> Deserialize<'de> for Ids {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl<'de> Visitor<'de> for Written {
            type Value = Ids;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("event ids such as `[4624, \"4700-4799\"]`, or `\"*\"` for all")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Ids, E> {
                IdRange::deserialize(number.into_deserializer()).map(|id| Ids::Some(vec![id]))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Ids, E> {
                match text.trim() {
                    "*" => Ok(Ids::All),
                    ids => IdRange::deserialize(ids.into_deserializer()).map(|id| Ids::Some(vec![id])),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Ids, A::Error> {
                let mut ids = Vec::new();
                while let Some(id) = seq.next_element()? {
                    ids.push(id);
                }
                Ok(Ids::Some(ids))
            }
        }
        deserializer.deserialize_any(Written)
    }
}

impl JsonSchema for Ids {
    fn schema_name() -> Cow<'static, str> {
        "Ids".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let ids = generator.subschema_for::<OneOrMany<IdRange>>();
        schemars::json_schema!({ "anyOf": [{ "const": "*" }, ids] })
    }
}
