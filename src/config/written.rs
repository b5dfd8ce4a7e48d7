//! What a pipeline file may say: the sections of this room and the rooms' own tables, joined.
//!
//! Doc comments here and there become the reference and the JSON Schema.
//! Must not know: whether it makes sense (`checked` does).

use crate::basin::{BasinConfig, Full, Start};
use crate::filter::FilterConfig;
use crate::format::FormatConfig;
use crate::sink::SinkConfig;
use crate::source;
use crate::units::{ByteSize, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A pipeline: sources, one basin, outputs.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PipelineConfig {
    #[serde(default)]
    pub limits: Limits,
    /// Where events are kept until every output has them: `[basin.disk]` or `[basin.memory]`.
    pub basin: BasinConfig,
    /// Where events come from, by name.
    pub source: BTreeMap<String, source::Config>,
    /// Where events go, by name.
    pub output: BTreeMap<String, OutputConfig>,
    #[serde(default)]
    pub log: LogConfig,
    /// Probes, metrics and a status page. Without this table nothing listens.
    pub http: Option<HttpConfig>,
    #[serde(default)]
    pub control: ControlConfig,
}

/// Bounds on what the process takes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Most bytes of events held in memory, whatever sources and sinks do.
    pub memory_max: ByteSize,
}

impl Default for Limits {
    fn default() -> Self {
        // Room for a hundred large batches under way, and little for any server.
        Self { memory_max: ByteSize::mib(256) }
    }
}

/// One way out: which events, in what shape, to where.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutputConfig {
    /// Which events it gets; all, without it.
    #[serde(default)]
    pub filter: FilterConfig,
    /// In which shape: one kind; native JSON, without it.
    #[serde(default)]
    pub format: FormatConfig,
    /// Where they go: exactly one kind.
    pub sink: SinkConfig,
    #[serde(default)]
    pub batch: BatchConfig,
    /// What becomes of events that cannot be read.
    #[serde(default)]
    pub undecodable: Undecodable,
    /// Where an output begins that the basin has not seen before.
    #[serde(default)]
    pub start: Start,
    /// What happens to its unread events when the basin is full.
    #[serde(default)]
    pub full: Full,
    #[serde(default)]
    pub retry: RetryConfig,
    #[serde(default)]
    pub dead_letter: DeadLetterConfig,
}

/// `[output.NAME.batch]`: a batch is sent when it reaches any of these.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BatchConfig {
    /// Bytes in the output's shape.
    pub bytes: ByteSize,
    /// Events.
    pub events: u64,
    /// How long to wait for more. With `0s` what is there is sent at once, and what arrives
    /// meanwhile is the next batch. Nothing given: `50ms` with a disk basin, where no source waits
    /// for an output, and `0s` with a memory basin.
    pub wait: Option<Span>,
}

impl BatchConfig {
    /// Memory that an output of this setting needs to go at full speed: one batch being sent, one being
    /// filled, each with the text it was made from, and the delivery that closes it.
    pub fn memory(&self) -> ByteSize {
        const DELIVERY: u64 = 1024 * 1024;
        ByteSize(self.bytes.0.saturating_mul(6).saturating_add(2 * DELIVERY))
    }
}

impl Default for BatchConfig {
    fn default() -> Self {
        // 1 MiB is where larger writes and requests stop being faster.
        Self { bytes: ByteSize::mib(1), events: 10_000, wait: None }
    }
}

/// What becomes of events that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undecodable {
    /// They pass every filter and are written raw, with the error beside them.
    #[default]
    Raw,
    /// They go to the dead letter instead.
    DeadLetter,
}

/// Pauses between attempts. They double from the first to the longest, with jitter, and never end:
/// what was acknowledged is delivered or stays in the basin.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// After the first failure.
    pub pause_min: Span,
    /// After many.
    pub pause_max: Span,
}

impl Default for RetryConfig {
    fn default() -> Self {
        // Half a second outlives a restart of the far end; a minute is soon enough after an outage.
        Self { pause_min: Span::millis(500), pause_max: Span::secs(60) }
    }
}

/// Where events go that the sink will never take. Nothing given: the folder `dead-letter/<output>`
/// of the disk basin; with a memory basin the output waits.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeadLetterConfig {
    /// A folder.
    pub path: Option<PathBuf>,
    /// Another output, by name. What is refused there too goes where that one's own go.
    pub output: Option<String>,
    /// Most bytes in the folder. When it is full the output waits until files are taken away: what was
    /// acknowledged is never deleted. Not given: as much as the disk has.
    pub size_max: Option<ByteSize>,
}

/// The program's own log, on standard error. Of events it holds no more than what receivers say of those
/// that they refuse, without what stands between quotation marks there. Mistakes in the pipeline file are
/// text in any format.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// A change counts at the next start.
    pub format: LogFormat,
    /// The least severe level that is written. A reload changes it.
    pub level: LogLevel,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// `/livez`, `/readyz`, `/metrics` and a status page. Nothing there changes anything.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Address and port. Others than loopback are reachable from the network, without sign-in.
    pub listen: String,
    /// Names under which it may be asked, besides IP addresses and `localhost`.
    pub hosts: Vec<String>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { listen: "127.0.0.1:9750".into(), hosts: Vec::new() }
    }
}

/// The socket for commands to a running forebay; only its own user may open it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ControlConfig {
    /// Nothing given: `control.sock` in the folder of the disk basin, none with a memory basin.
    pub socket: Option<PathBuf>,
}
