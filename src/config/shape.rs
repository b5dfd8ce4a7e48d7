//! The format of an output against its sink: what is meant where none is written, and what does not fit.
//!
//! Must not know: how either works.

use super::diagnostic::Diagnostic;
use super::place::{at, tell_at};
use super::tree::{Notes, Part};
use crate::format::sentinel::{self, Table};
use crate::format::xml::FramingConfig;
use crate::format::{FormatConfig, FormatError};
use crate::sink::http::Body;
use crate::sink::socket::{self, Framing};
use crate::sink::{SinkConfig, otlp};

/// The format of an output, written or meant. None when an error was told.
pub(super) fn format(
    part: &Part<'_>,
    written: FormatConfig,
    sink: &SinkConfig,
    notes: &mut Notes,
) -> Option<FormatConfig> {
    let format = match written.open() {
        Err(FormatError::None) => meant(sink),
        Err(error) => {
            tell_at(part, &["format"], error, notes);
            return None;
        }
        Ok(_) => written,
    };
    if let Some((message, help)) = misfit(&format, sink) {
        notes.tell(Diagnostic::error(at(part, &["format"]), message.to_owned(), help));
    }
    let is_of_others = |stream: &str| stream.starts_with("Microsoft-") && Table::of_stream(stream).is_none();
    if sink.sentinel.as_ref().is_some_and(|sentinel| is_of_others(&sentinel.stream)) {
        let message =
            "what is no column of the table behind this stream is dropped there without a word".to_owned();
        let help = "no format writes the columns of this table; send to `Microsoft-WindowsEvent`, \
                    `Microsoft-SecurityEvent`, or a stream of your own, `Custom-` and a name";
        notes.tell(Diagnostic::warning(at(part, &["sink", "sentinel", "stream"]), message, help));
    }
    let takes_data_streams =
        sink.elasticsearch.as_ref().is_some_and(|elastic| elastic.index.starts_with("logs-"));
    if takes_data_streams && format.is_json() && format.ecs.is_none() {
        let message =
            "a data stream wants `@timestamp` in each event, which only `format.ecs` writes".to_owned();
        let help = "write `format.ecs = {}`, or name an index that is no data stream";
        notes.tell(Diagnostic::warning(at(part, &["format"]), message, help));
    }
    Some(format)
}

/// Where no format is written: what the receiver reads as it stands.
fn meant(sink: &SinkConfig) -> FormatConfig {
    if let Some(table) = sink.sentinel.as_ref().and_then(|sink| Table::of_stream(&sink.stream)) {
        let rows = sentinel::Config { table, ..sentinel::Config::default() };
        return FormatConfig { sentinel: Some(rows), ..FormatConfig::default() };
    }
    let is_raw = sink.splunk_hec.as_ref().map(|hec| hec.raw.is_some());
    if sink.evtx.is_some() || is_raw == Some(true) {
        FormatConfig { xml: Some(Default::default()), ..FormatConfig::default() }
    } else if is_raw == Some(false) {
        FormatConfig { splunk: Some(Default::default()), ..FormatConfig::default() }
    } else if sink.elasticsearch.is_some() {
        FormatConfig { ecs: Some(Default::default()), ..FormatConfig::default() }
    } else {
        FormatConfig { json: Some(Default::default()), ..FormatConfig::default() }
    }
}

/// What is wrong, and what to write instead.
fn misfit(format: &FormatConfig, sink: &SinkConfig) -> Option<(&'static str, &'static str)> {
    let FormatConfig { xml, splunk, sentinel, .. } = format;
    let is_json = format.is_json();
    if sink.evtx.is_some() && xml.as_ref().is_none_or(|xml| xml.framing == FramingConfig::Length) {
        return Some((
            "an event log holds events, not text: `sink.evtx` takes them as XML",
            "write `format.xml = {}`",
        ));
    }
    if sink.elasticsearch.is_some() && (!is_json || splunk.is_some()) {
        return Some((
            "`sink.elasticsearch` takes documents of JSON",
            "write `format.ecs = {}`, or `format.json = {}`",
        ));
    }
    match &sink.splunk_hec {
        Some(hec) if hec.raw.is_none() && splunk.is_none() => {
            return Some((
                "the event endpoint of `sink.splunk_hec` takes events as `format.splunk` writes them",
                "leave `format` out, or send lines to the raw endpoint with `sink.splunk_hec.raw = {}`",
            ));
        }
        Some(hec) if hec.raw.is_some() && splunk.is_some() => {
            return Some((
                "the raw endpoint of `sink.splunk_hec` would index what `format.splunk` says beside the event too",
                "write `format.xml = {}`, or leave `raw` out",
            ));
        }
        Some(hec)
            if hec.raw.is_some() && xml.as_ref().is_some_and(|xml| xml.framing != FramingConfig::Line) =>
        {
            return Some((
                "the raw endpoint of `sink.splunk_hec` takes lines",
                "write `format.xml.framing = \"line\"`",
            ));
        }
        _ => {}
    }
    if sink.sentinel.is_some() && (!is_json || splunk.is_some()) {
        return Some((
            "`sink.sentinel` takes objects of JSON, whose members are the columns of its stream",
            "write `format.sentinel = {}` for Microsoft's tables, or `format.json = {}` and let the rule's \
             transformation make columns of it",
        ));
    }
    let table = sink.sentinel.as_ref().and_then(|sink| Table::of_stream(&sink.stream));
    if table.is_some_and(|table| sentinel.as_ref().is_none_or(|rows| rows.table != table)) {
        return Some((
            "what is no column of the table behind the stream of `sink.sentinel` is dropped there without a word",
            "leave `format` out, which writes these columns, or send to a stream of your own, `Custom-` and a name",
        ));
    }
    let is_map = sink.otlp.as_ref().is_some_and(|otlp| otlp.body == otlp::Body::Map);
    if is_map && !is_json {
        return Some((
            "`sink.otlp.body = \"map\"` makes a map of JSON",
            "write a format of JSON, or `body = \"text\"`",
        ));
    }
    let is_lines = sink.socket.as_ref().is_some_and(|socket| socket.framing == Some(Framing::Line));
    if is_lines && xml.as_ref().is_some_and(|xml| xml.framing != FramingConfig::Line) {
        return Some((
            "an event of `sink.socket` ends with its line here, and this format leaves line ends within events",
            "leave `framing` of `format.xml` out, or write `sink.socket.framing = \"length\"`",
        ));
    }
    let is_array = sink.http.as_ref().is_some_and(|http| http.body == Body::Array);
    (is_array && !is_json).then_some((
        "`sink.http.body = \"array\"` makes an array of JSON",
        "write a format of JSON, or `body = \"lines\"`",
    ))
}

/// Whether the far end may refuse single events for good, be it for their size only.
pub(super) fn refuses(sink: &SinkConfig) -> bool {
    // All are named, so that a new one is put on one side.
    let SinkConfig {
        elasticsearch,
        evtx,
        file,
        http,
        kafka,
        otlp,
        relp,
        s3,
        sentinel,
        socket,
        splunk_hec,
        stdout,
        syslog,
    } = sink;
    let _take_all = (file, s3, stdout);
    elasticsearch.is_some()
        || evtx.is_some()
        || http.is_some()
        || kafka.is_some()
        || otlp.is_some()
        || relp.is_some()
        || sentinel.is_some()
        || socket.as_ref().is_some_and(socket::Config::refuses)
        || splunk_hec.is_some()
        || syslog.is_some()
}
