//! The second step: does what was written make sense? Opens nothing.
//!
//! Promise: a `Pipeline` can be built as it stands, as far as that can be known without opening
//! files and sockets.

use super::diagnostic::{Diagnostic, SourceFile};
use super::letters::{circles, dead_letter, diverted, without_dead_letter};
use super::place::{at, keys_of, one_kind, tell_at};
use super::subscription::{self, Around as Beside};
use super::tree::{Notes, Part, Tree, read};
use super::typed::{typed, typed_rest};
use super::written::{
    BatchConfig, ControlConfig, HttpConfig, Limits, LogConfig, OutputConfig, RetryConfig, Undecodable,
};
use super::{bounds, filter, paths, shape};
use crate::basin::{BasinConfig, BasinError, Full, OutputSpec, Start};
use crate::filter::{Filter, FilterConfig};
use crate::format::FormatConfig;
use crate::format::xml::FramingConfig;
use crate::sink::syslog::Transport;
use crate::sink::{SinkConfig, SinkError};
use crate::source::{self, Source, SourceError};
use crate::units::ByteSize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A pipeline that can be built.
#[derive(Clone, Debug)]
pub struct Pipeline {
    pub limits: Limits,
    pub basin: BasinConfig,
    pub sources: Vec<Source>,
    pub outputs: Vec<Output>,
    pub log: LogConfig,
    pub http: Option<Http>,
    pub control: Option<PathBuf>,
}

/// An output that can be built.
#[derive(Clone, Debug)]
pub struct Output {
    pub name: String,
    pub filter: Filter,
    /// As written: what tells whether two outputs want the same.
    pub wants: FilterConfig,
    /// Checked; `open` cannot fail.
    pub format: FormatConfig,
    pub batch: BatchConfig,
    pub undecodable: Undecodable,
    /// Checked; `open` cannot fail on what was written.
    pub sink: SinkConfig,
    pub start: Start,
    pub full: Full,
    pub retry: RetryConfig,
    pub dead_letter: DeadLetter,
}

/// Where refused events go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeadLetter {
    Folder {
        path: PathBuf,
        /// Bytes; more are not taken.
        size_max: Option<ByteSize>,
    },
    Output(String),
    /// Nowhere: the lane waits.
    Wait,
}

/// Where probes and metrics are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    pub listen: SocketAddr,
    /// Names besides IP addresses and `localhost`.
    pub hosts: Vec<String>,
}

impl Pipeline {
    /// What the basin must know of the outputs.
    pub fn output_specs(&self) -> Vec<OutputSpec> {
        let spec = |output: &Output| OutputSpec {
            name: output.name.clone(),
            start: output.start,
            full: output.full,
        };
        self.outputs.iter().map(spec).collect()
    }
}

const SINGLE: [&str; 5] = ["limits", "basin", "log", "http", "control"];
const NAMED: [&str; 2] = ["source", "output"];

/// Both steps, for the first `own` of the files; the others are those that they name. None when an
/// error was told.
pub(super) fn check(own: usize, around: &Beside<'_>, notes: &mut Notes) -> Option<Pipeline> {
    let files = around.files;
    let tree = read(&files[..own], &SINGLE, &NAMED, around.lookup, notes);
    let whole = notes.errors() == 0;
    let limits = single::<Limits>(&tree, "limits", notes);
    let log = single::<LogConfig>(&tree, "log", notes);
    let control = single::<ControlConfig>(&tree, "control", notes);
    let http = tree.single.get("http").map(|part| http(part, notes));
    let basin = basin(&tree, whole, notes);
    let sources = sources(&tree, around, whole, notes);
    let outputs = outputs(&tree, files, whole, basin.as_ref(), notes);
    paths::check(&tree, &sources, &outputs, notes);
    let (basin, limits) = (basin?, limits?);
    couple(&tree, &basin, notes);
    diverted(&sources, &outputs, tree.named.get("output"), notes);
    indexes(&sources, &outputs, tree.named.get("output"), notes);
    bounds::check(&tree, &limits, &basin, &outputs, notes);
    let control = control?.socket.or_else(|| Some(basin.disk.as_ref()?.path.join("control.sock")));
    let pipeline = Pipeline { limits, sources, outputs, log: log?, http: http.flatten(), control, basin };
    (notes.errors() == 0 && notes.unfilled.is_empty()).then_some(pipeline)
}

/// A table that may be left out.
fn single<T: DeserializeOwned + Default>(tree: &Tree<'_>, name: &str, notes: &mut Notes) -> Option<T> {
    match tree.single.get(name) {
        Some(part) => typed(part, name, notes),
        None => Some(T::default()),
    }
}

fn basin(tree: &Tree<'_>, whole: bool, notes: &mut Notes) -> Option<BasinConfig> {
    let Some(part) = tree.single.get("basin") else {
        if whole {
            notes.tell(Diagnostic::error(
                None,
                "the pipeline has no basin",
                "add `[basin.disk]` with a `path`, or `[basin.memory]`",
            ));
        }
        return None;
    };
    let config: BasinConfig = typed(part, "basin", notes)?;
    one_kind::<BasinConfig>(part, &[], "basin", notes)?;
    if let Err(error) = config.check() {
        let key = if let BasinError::Config { key, .. } = &error { key } else { "" };
        let keys: Vec<&str> = keys_of(key).collect();
        tell_at(part, &keys, error, notes);
    }
    Some(config)
}

fn sources(tree: &Tree<'_>, around: &Beside<'_>, whole: bool, notes: &mut Notes) -> Vec<Source> {
    let files = around.files;
    let mut sources = Vec::new();
    for (name, part) in tree.named.get("source").into_iter().flatten() {
        let path = format!("source.{name}");
        let Some((mut config, whole)) = typed_rest::<source::Config>(part, &path, notes) else { continue };
        // A kind that was wrongly written is told already.
        if !whole && config.evtx.is_none() && config.replay.is_none() && config.wef.is_none() {
            continue;
        }
        let Some(kind) = one_kind::<source::Config>(part, &[], &path, notes) else { continue };
        let filter = config.evtx.as_mut().and_then(|evtx| evtx.filter.take());
        let right = filter
            .as_ref()
            .is_none_or(|filter| filter::compile(part, &["evtx", "filter"], filter, files, notes).is_some());
        // Told in its own words already; what else is wrong is told beside it.
        if let Some(evtx) = config.evtx.as_mut().filter(|_| right) {
            evtx.filter = filter;
        }
        if let Some(wef) = &mut config.wef
            && !subscription::check(name, part, wef, around, notes)
        {
            continue;
        }
        match config.open(name) {
            Ok(source) => sources.extend((right && whole).then_some(source)),
            // What was wrongly written is told already, and not what follows from that.
            Err(SourceError::Kind { .. }) if !whole => {}
            Err(error) => {
                let keys: Vec<&str> = std::iter::once(&*kind).chain(keys_of(error.key())).collect();
                tell_at(part, &keys, &error, notes);
            }
        }
    }
    if whole && tree.named.get("source").is_none_or(|named| named.is_empty()) {
        notes.tell(Diagnostic::error(
            None,
            "the pipeline has no source, so no event will ever come",
            "add `[source.NAME.evtx]` with a `path`",
        ));
    }
    sources
}

fn outputs(
    tree: &Tree<'_>,
    files: &[SourceFile],
    whole: bool,
    basin: Option<&BasinConfig>,
    notes: &mut Notes,
) -> Vec<Output> {
    let mut outputs = Vec::new();
    let parts = tree.named.get("output");
    for (name, part) in parts.into_iter().flatten() {
        let path = format!("output.{name}");
        let Some((config, whole)) = typed_rest::<OutputConfig>(part, &path, notes) else { continue };
        let sink = one_kind::<SinkConfig>(part, &["sink"], &path, notes);
        let written = part.value.get_ref().get("format").is_some();
        if written && one_kind::<FormatConfig>(part, &["format"], &path, notes).is_none() {
            check_sink(part, &config.sink, sink.as_deref(), notes);
            filter::compile(part, &["filter"], &config.filter, files, notes);
            continue;
        }
        let known = |other: &str| parts.is_some_and(|parts| parts.contains_key(other));
        let around = Around { files, basin, known: &known, sink: sink.as_deref() };
        outputs.extend(output(name, part, config, &around, notes).filter(|_| whole && sink.is_some()));
    }
    circles(&outputs, parts, notes);
    if whole && parts.is_none_or(|named| named.is_empty()) {
        notes.tell(Diagnostic::error(
            None,
            "the pipeline has no output, so every event would stay in the basin",
            "add `[output.NAME]` with a `sink`",
        ));
    }
    outputs
}

/// What an output is checked against.
struct Around<'a> {
    files: &'a [SourceFile],
    basin: Option<&'a BasinConfig>,
    /// Which outputs there are.
    known: &'a dyn Fn(&str) -> bool,
    /// The kind of its sink, if it has exactly one.
    sink: Option<&'a str>,
}

fn check_sink(part: &Part<'_>, config: &SinkConfig, kind: Option<&str>, notes: &mut Notes) {
    // Without a kind that is told already; a kind that was wrongly written is too.
    let Some(kind) = kind else { return };
    for (key, message, help) in config.doubts() {
        let keys: Vec<&str> = ["sink", kind].into_iter().chain(keys_of(key)).collect();
        let place = (1..=keys.len()).rev().find_map(|end| at(part, &keys[..end]));
        notes.tell(Diagnostic::warning(place, message, help));
    }
    let Err(error) = config.check() else { return };
    if !matches!(error, SinkError::NotOne(_)) {
        let keys: Vec<&str> = ["sink", kind].into_iter().chain(keys_of(error.key())).collect();
        tell_at(part, &keys, error, notes);
    }
}

fn output(
    name: &str,
    part: &Part<'_>,
    config: OutputConfig,
    &Around { files, basin, known, sink }: &Around<'_>,
    notes: &mut Notes,
) -> Option<Output> {
    let before = notes.errors();
    let filter = filter::compile(part, &["filter"], &config.filter, files, notes);
    check_sink(part, &config.sink, sink, notes);
    bounds::batch(part, &config.batch, notes);
    let format = shape::format(part, config.format, &config.sink, notes)?;
    messages(part, &config.sink, &format, notes);
    if config.retry.pause_min.0.is_zero() {
        let help = "write such as `500ms`";
        notes.tell(Diagnostic::error(
            at(part, &["retry", "pause_min"]),
            "without a pause, retries would keep a processor busy",
            help,
        ));
    }
    if config.retry.pause_min > config.retry.pause_max {
        let message = format!("`pause_min` is longer than `pause_max` ({})", config.retry.pause_max);
        notes.tell(Diagnostic::error(at(part, &["retry", "pause_min"]), message, "swap them"));
    }
    let dead_letter = dead_letter(name, part, &config.dead_letter, basin, known, notes);
    if dead_letter == DeadLetter::Wait && basin.is_some() && notes.errors() == before {
        without_dead_letter(part, config.undecodable, shape::refuses(&config.sink), notes);
    }
    (notes.errors() == before).then_some(())?;
    let OutputConfig { sink, filter: wants, mut batch, undecodable, start, full, retry, .. } = config;
    if at(part, &["batch", "bytes"]).is_none() {
        batch.bytes = sink.batch_bytes();
    }
    let (name, filter) = (name.into(), filter?);
    Some(Output { name, filter, wants, format, batch, undecodable, sink, start, full, retry, dead_letter })
}

/// What an operator of a syslog receiver should know.
fn messages(part: &Part<'_>, sink: &SinkConfig, format: &FormatConfig, notes: &mut Notes) {
    if sink.takes_messages() && format.xml.as_ref().is_some_and(|xml| xml.framing != FramingConfig::Line) {
        let message = "each event is a message of syslog, which has its own framing".to_owned();
        let help = "leave out `framing`: the events are on one line each then, which receivers expect";
        notes.tell(Diagnostic::error(at(part, &["format"]), message, help));
    }
    if sink.syslog.as_ref().is_some_and(|syslog| syslog.transport == Transport::Udp) {
        let place = at(part, &["sink", "syslog", "transport"]);
        let message = "syslog over UDP is best effort: events that do not arrive are lost, and nobody knows";
        let help = "use `transport = \"tcp\"`, or `sink.relp`, which confirms each event";
        notes.tell(Diagnostic::warning(place, message, help));
    }
}

/// Indexes for what no subscription brings.
fn indexes(
    sources: &[Source],
    outputs: &[Output],
    parts: Option<&BTreeMap<String, Part<'_>>>,
    notes: &mut Notes,
) {
    // A source that was wrongly written is not among them.
    if notes.errors() > 0 {
        return;
    }
    for Output { name, format, .. } in outputs {
        let (Some(splunk), Some(part)) = (&format.splunk, parts.and_then(|parts| parts.get(name))) else {
            continue;
        };
        for subscription in splunk.index_by_subscription.keys() {
            let keys = ["format", "splunk", "index_by_subscription", subscription];
            subscription::unknown(subscription, &keys, part, sources, notes);
        }
    }
}

fn http(part: &Part<'_>, notes: &mut Notes) -> Option<Http> {
    let config: HttpConfig = typed(part, "http", notes)?;
    let place = at(part, &["listen"]);
    let Ok(listen) = config.listen.parse::<SocketAddr>() else {
        let message = format!("`{}` is not an address and port", config.listen.escape_debug());
        notes.tell(Diagnostic::error(place, message, "write one such as `127.0.0.1:9750` or `[::1]:9750`"));
        return None;
    };
    if !listen.ip().is_loopback() {
        let message = format!("probes and metrics on {listen} can be read by whoever reaches it");
        notes.tell(Diagnostic::warning(place, message, "keep it behind a firewall, or listen on 127.0.0.1"));
    }
    Some(Http { listen, hosts: config.hosts })
}

/// The memory basin acknowledges when all outputs have confirmed.
fn couple(tree: &Tree<'_>, basin: &BasinConfig, notes: &mut Notes) {
    let outputs: Vec<&str> =
        tree.named.get("output").into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    if basin.memory.is_some() && outputs.len() > 1 {
        let place = tree.single.get("basin").and_then(|part| at(part, &["memory"]));
        let message = format!("the memory basin couples the outputs {}", outputs.join(", "));
        notes.tell(Diagnostic::warning(
            place,
            message,
            "while one of them does not answer, nothing is acknowledged and none gets new events; \
             `[basin.disk]` makes them independent",
        ));
    }
}
