//! The second step: does what was written make sense? Opens nothing.
//!
//! Promise: a `Pipeline` can be built as it stands, as far as that can be known without opening
//! files and sockets.

use super::diagnostic::{Diagnostic, Place, SourceFile};
use super::filter;
use super::interpolate::Lookup;
use super::letters::{circles, dead_letter, without_dead_letter};
use super::tree::{Notes, Part, Tree, read};
use super::typed::typed;
use super::written::{ControlConfig, HttpConfig, Limits, LogConfig, OutputConfig, RetryConfig};
use crate::basin::{BasinConfig, Full, OutputSpec, Start};
use crate::filter::Filter;
use crate::format::xml::FramingConfig;
use crate::format::{FormatConfig, FormatError};
use crate::pipeline::{BatchConfig, Undecodable};
use crate::sink::SinkConfig;
use crate::source::{self, Source};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
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
    Folder(PathBuf),
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

/// Both steps. None when an error was told.
pub(super) fn check(files: &[SourceFile], lookup: &dyn Lookup, notes: &mut Notes) -> Option<Pipeline> {
    let tree = read(files, &SINGLE, &NAMED, lookup, notes);
    let whole = notes.errors() == 0;
    let limits = single::<Limits>(&tree, "limits", notes);
    let log = single::<LogConfig>(&tree, "log", notes);
    let control = single::<ControlConfig>(&tree, "control", notes);
    let http = tree.single.get("http").map(|part| http(part, notes));
    let basin = basin(&tree, whole, notes);
    let sources = sources(&tree, files, whole, notes);
    let outputs = outputs(&tree, files, whole, basin.as_ref(), notes);
    let (basin, limits) = (basin?, limits?);
    couple(&tree, &basin, notes);
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
        tell_at(part, &[], error, notes);
    }
    Some(config)
}

fn sources(tree: &Tree<'_>, files: &[SourceFile], whole: bool, notes: &mut Notes) -> Vec<Source> {
    let mut sources = Vec::new();
    for (name, part) in tree.named.get("source").into_iter().flatten() {
        let path = format!("source.{name}");
        let Some(config) = typed::<source::Config>(part, &path, notes) else { continue };
        if one_kind::<source::Config>(part, &[], &path, notes).is_none() {
            continue;
        }
        let filter = config.evtx.as_ref().and_then(|evtx| evtx.filter.as_ref());
        if filter
            .is_some_and(|filter| filter::compile(part, &["evtx", "filter"], filter, files, notes).is_none())
        {
            continue;
        }
        match config.open(name) {
            Ok(source) => sources.push(source),
            Err(error) => tell_at(part, &[], error, notes),
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
        let Some(config) = typed::<OutputConfig>(part, &path, notes) else { continue };
        let sink = one_kind::<SinkConfig>(part, &["sink"], &path, notes);
        let written = part.value.get_ref().get("format").is_some();
        let format =
            if written { one_kind::<FormatConfig>(part, &["format"], &path, notes) } else { Some(()) };
        let (Some(()), Some(())) = (sink, format) else { continue };
        let known = |other: &str| parts.is_some_and(|parts| parts.contains_key(other));
        outputs.extend(output(name, part, config, (files, basin, &known), notes));
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

/// What an output is checked against: the files, the basin, which outputs there are.
type Around<'a> = (&'a [SourceFile], Option<&'a BasinConfig>, &'a dyn Fn(&str) -> bool);

fn output(
    name: &str,
    part: &Part<'_>,
    config: OutputConfig,
    (files, basin, known): Around<'_>,
    notes: &mut Notes,
) -> Option<Output> {
    let before = notes.errors();
    let filter = filter::compile(part, &["filter"], &config.filter, files, notes);
    if let Err(error) = config.sink.check() {
        tell_at(part, &["sink"], error, notes);
    }
    let format = match config.format.open() {
        Err(FormatError::None) if config.sink.evtx.is_some() => {
            FormatConfig { xml: Some(Default::default()), ..config.format }
        }
        Err(FormatError::None) => FormatConfig { json: Some(Default::default()), ..config.format },
        Err(error) => {
            tell_at(part, &["format"], error, notes);
            return None;
        }
        Ok(_) => config.format,
    };
    if config.sink.evtx.is_some()
        && format.xml.as_ref().is_none_or(|xml| xml.framing == FramingConfig::Length)
    {
        let message = "an event log holds events, not text: `sink.evtx` takes them as XML".to_owned();
        notes.tell(Diagnostic::error(at(part, &["format"]), message, "write `format.xml = {}`"));
    }
    if config.retry.pause_min > config.retry.pause_max {
        let message = format!("`pause_min` is longer than `pause_max` ({})", config.retry.pause_max);
        notes.tell(Diagnostic::error(at(part, &["retry", "pause_min"]), message, "swap them"));
    }
    let dead_letter = dead_letter(name, part, &config.dead_letter, basin, known, notes);
    if dead_letter == DeadLetter::Wait && basin.is_some() && notes.errors() == before {
        without_dead_letter(part, config.undecodable, config.sink.evtx.is_some(), notes);
    }
    (notes.errors() == before).then_some(())?;
    let OutputConfig { sink, batch, undecodable, start, full, retry, .. } = config;
    let (name, filter) = (name.into(), filter?);
    Some(Output { name, filter, format, batch, undecodable, sink, start, full, retry, dead_letter })
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

/// Exactly one key of `T`'s must stand in the table at `keys`.
fn one_kind<T: JsonSchema>(part: &Part<'_>, keys: &[&str], path: &str, notes: &mut Notes) -> Option<()> {
    let kinds = kinds::<T>();
    let prefix: String = keys.iter().map(|key| format!("{key}.")).collect();
    let list = || kinds.iter().map(|kind| format!("`{prefix}{kind}`")).collect::<Vec<_>>().join(", ");
    let inner = keys.iter().try_fold(&part.value, |node, key| node.get_ref().get(key));
    let table = inner.and_then(|node| node.get_ref().as_table());
    let mut found: Vec<(String, Place)> = table
        .into_iter()
        .flat_map(|table| table.keys())
        .filter(|key| kinds.iter().any(|kind| kind == key.get_ref()))
        .map(|key| (key.get_ref().to_string(), Place { file: part.file, span: key.span() }))
        .collect();
    found.sort_by_key(|(_, place)| place.span.start);
    match found.as_slice() {
        [_] => return Some(()),
        [] => {
            let place = at(part, keys).unwrap_or_else(|| part.key.clone());
            let what = keys.last().copied().unwrap_or("kind");
            let message = format!("`{path}` has no {what}");
            notes.tell(Diagnostic::error(place, message, format!("add one of {}", list())));
        }
        [(first, _), (second, place), ..] => {
            let message = format!("`{path}` has two kinds, `{prefix}{first}` and `{prefix}{second}`");
            let help = "keep one of them; another shape or destination is another `[output.NAME]`";
            let help = if keys.is_empty() { "keep one of them" } else { help };
            notes.tell(Diagnostic::error(place.clone(), message, help));
        }
    }
    None
}

/// The keys that `T` knows.
pub(super) fn kinds<T: JsonSchema>() -> Vec<String> {
    let schema = schemars::schema_for!(T);
    let properties = schema.get("properties").and_then(|properties| properties.as_object());
    properties.into_iter().flatten().map(|(key, _)| key.clone()).collect()
}

/// What a room said of its table, at the deepest of `keys` that stands there.
fn tell_at(part: &Part<'_>, keys: &[&str], error: impl std::fmt::Display, notes: &mut Notes) {
    let place =
        (0..=keys.len()).rev().find_map(|end| at(part, &keys[..end])).unwrap_or_else(|| part.key.clone());
    let text = error.to_string();
    // Rooms say what is wrong, then what to do.
    let (message, help) = text.split_once("; ").unwrap_or((&text, ""));
    notes.tell(Diagnostic::error(place, message, help));
}

/// Place of the key at the end of `keys`; of the value, if that is a single line's.
pub(super) fn at(part: &Part<'_>, keys: &[&str]) -> Option<Place> {
    let (last, before) = keys.split_last()?;
    let mut node = &part.value;
    for key in before {
        node = node.get_ref().get(key)?;
    }
    let (key, value) = node.get_ref().as_table()?.iter().find(|(key, _)| key.get_ref() == last)?;
    let span = if value.get_ref().is_table() { key.span() } else { value.span() };
    Some(Place { file: part.file, span })
}
