//! Select and Suppress, alone or as the `QueryList` of a subscription.
//!
//! An event is wanted when any query selects it; a query selects what any of its Selects does and
//! none of its Suppresses. A Select with a channel looks at events of that channel only.
//! Source: Microsoft, "Query Schema" (Windows Event Log); MS-EVEN6 2.2.16.

use super::FilterError;
use super::glob::Glob;
use super::xpath::{Evaluation, Scratch, XPath, with};
use crate::event::{Event, EventError, Timestamp, Value};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event as Xml};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor, value};
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// Longest query list we read.
pub const QUERY_BYTES_MAX: usize = 512 * 1024;
/// Most Selects and Suppresses of one list.
pub const SELECTS_MAX: usize = 1000;

/// One entry of `select` or `suppress`: an expression, or `{ channel, xpath }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectConfig {
    pub channel: Option<String>,
    pub xpath: String,
}

/// What is selected together and suppressed together.
#[derive(Clone, Debug, Default)]
pub(super) struct Query {
    pub(super) selects: Vec<Select>,
    pub(super) suppresses: Vec<Select>,
}

#[derive(Clone, Debug)]
pub(super) struct Select {
    channel: Option<Glob>,
    xpath: XPath,
}

impl Select {
    pub(super) fn new(key: &str, channel: Option<&str>, xpath: &str) -> Result<Self, FilterError> {
        let xpath = XPath::parse(xpath).map_err(|error| FilterError {
            key: key.into(),
            span: Some(error.at..error.at + error.bytes),
            message: error.message,
        })?;
        let channel = match channel {
            None => None,
            Some(name) => Some(
                Glob::new(name)
                    .ok_or_else(|| FilterError::whole(key, format!("`{name}` is no channel name")))?,
            ),
        };
        Ok(Self { channel, xpath })
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        self.xpath.warnings()
    }

    fn matches<'a, E: Event<'a>>(
        &self,
        evaluation: &mut Evaluation<'_, '_, 'a, E>,
        names: &mut Vec<u8>,
    ) -> Result<bool, EventError> {
        match &self.channel {
            Some(channel) if !channel.matches(evaluation.header().channel, names) => Ok(false),
            _ => self.xpath.holds(evaluation),
        }
    }
}

impl Query {
    /// Whether all that it selects is of channels that it names.
    pub(super) fn names_channels(&self) -> bool {
        !self.selects.is_empty() && self.selects.iter().all(|select| select.channel.is_some())
    }

    /// Whether it asks for events of other channels only.
    pub(super) fn is_elsewhere(&self, channel: Value<'_>, names: &mut Vec<u8>) -> bool {
        let mut differs =
            |select: &Select| select.channel.as_ref().is_some_and(|wanted| !wanted.matches(channel, names));
        !self.selects.is_empty() && self.selects.iter().all(&mut differs)
    }

    fn selects<'a, E: Event<'a>>(
        &self,
        evaluation: &mut Evaluation<'_, '_, 'a, E>,
        names: &mut Vec<u8>,
    ) -> Result<bool, EventError> {
        let mut any = |selects: &[Select]| {
            for select in selects {
                if select.matches(evaluation, names)? {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        Ok((self.selects.is_empty() || any(&self.selects)?) && !any(&self.suppresses)?)
    }
}

/// Whether each list has a query that selects the event.
pub(super) fn all_select<'a, E: Event<'a>>(
    lists: &[Vec<Query>],
    event: &E,
    now: Timestamp,
    scratch: &mut Scratch,
    names: &mut Vec<u8>,
) -> Result<bool, EventError> {
    with(event, now, scratch, |evaluation| {
        for queries in lists {
            let mut selected = false;
            for query in queries {
                selected = selected || query.selects(evaluation, names)?;
            }
            if !selected {
                return Ok(false);
            }
        }
        Ok(true)
    })
}

/// Reads `<QueryList><Query Path=…><Select Path=…>…</Select>…</Query></QueryList>`.
pub(super) fn parse_list(key: &str, xml: &str) -> Result<Vec<Query>, FilterError> {
    let refuse = |why: String| FilterError::whole(key, why);
    if xml.len() > QUERY_BYTES_MAX {
        return Err(refuse(format!("a query list has at most {QUERY_BYTES_MAX} bytes")));
    }
    let mut list = List { key, xml, queries: Vec::new(), path: None, select: None, selects: 0, depth: 0 };
    let mut reader = Reader::from_str(xml);
    reader.config_mut().expand_empty_elements = true;
    loop {
        let at = position(&reader);
        let event = reader.read_event();
        let end = position(&reader);
        let wrong = |why: &dyn fmt::Display| FilterError {
            key: key.into(),
            span: Some(at..end.max(at)),
            message: why.to_string(),
        };
        match event.map_err(|error| wrong(&error))? {
            Xml::Start(start) => list.start(&start).map_err(|why| wrong(&why))?,
            Xml::End(_) => list.end(at)?,
            Xml::Text(text) => {
                let text = text.decode().map_err(|error| wrong(&error))?;
                list.text(at, &text).map_err(|why| wrong(&why))?;
            }
            Xml::CData(text) => {
                let text = text.decode().map_err(|error| wrong(&error))?;
                list.text(at + "<![CDATA[".len(), &text).map_err(|why| wrong(&why))?;
            }
            Xml::GeneralRef(name) => {
                let name = name.decode().map_err(|error| wrong(&error))?;
                let reference = format!("&{name};");
                let (character, _) = crate::event::text::reference(reference.as_bytes())
                    .ok_or_else(|| wrong(&format!("`{reference}` is no character")))?;
                list.text(at, character.encode_utf8(&mut [0; 4])).map_err(|why| wrong(&why))?;
            }
            Xml::DocType(_) => return Err(wrong(&"a DOCTYPE is not read")),
            // Empty elements come as a start and an end.
            Xml::Empty(_) | Xml::Decl(_) | Xml::PI(_) | Xml::Comment(_) => {}
            Xml::Eof => break,
        }
    }
    if list.queries.is_empty() || list.depth > 0 {
        return Err(refuse(
            "this is no query list; write `<QueryList><Query><Select Path=\"Security\">*</Select></Query></QueryList>`"
                .into(),
        ));
    }
    Ok(list.queries)
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

struct List<'k> {
    key: &'k str,
    xml: &'k str,
    queries: Vec<Query>,
    /// Path of the open Query.
    path: Option<String>,
    /// The open Select or Suppress.
    select: Option<Open>,
    selects: usize,
    depth: usize,
}

struct Open {
    suppress: bool,
    channel: String,
    text: String,
    /// Where the text begins in the list.
    start: usize,
}

impl Open {
    /// Bytes of the list that are meant by those of the trimmed text; all up to `end` where the
    /// expression is not written down letter by letter.
    fn place(&self, span: Option<&Range<usize>>, xml: &str, end: usize) -> Range<usize> {
        let before = self.text.len() - self.text.trim_start().len();
        match span {
            Some(span) if xml.get(self.start..).is_some_and(|rest| rest.starts_with(&self.text)) => {
                let start = self.start + before;
                start + span.start..start + span.end
            }
            _ => self.start..end,
        }
    }
}

impl List<'_> {
    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), String> {
        let name = start.local_name();
        match (self.depth, name.as_ref()) {
            (0, b"QueryList") => {}
            (1, b"Query") => {
                self.path = path(start)?;
                self.queries.push(Query::default());
            }
            (2, kind @ (b"Select" | b"Suppress")) => {
                self.selects += 1;
                if self.selects > SELECTS_MAX {
                    return Err(format!("more than {SELECTS_MAX} Selects and Suppresses"));
                }
                let channel = path(start)?.or_else(|| self.path.clone()).ok_or(
                    "neither this element nor its Query has a Path; name the channel, such as `Path=\"Security\"`",
                )?;
                if channel.to_ascii_lowercase().starts_with("file:") {
                    return Err(format!("`{channel}` is a saved log; name a channel, such as `Security`"));
                }
                self.select =
                    Some(Open { suppress: kind == b"Suppress", channel, text: String::new(), start: 0 });
            }
            _ => {
                let name = String::from_utf8_lossy(name.as_ref()).into_owned();
                return Err(format!(
                    "`<{name}>` has no place here; a QueryList holds Query, a Query holds Select and Suppress"
                ));
            }
        }
        self.depth += 1;
        Ok(())
    }

    fn text(&mut self, at: usize, text: &str) -> Result<(), String> {
        match &mut self.select {
            Some(open) => {
                if open.text.is_empty() {
                    open.start = at;
                }
                open.text.push_str(text);
            }
            None if text.trim().is_empty() => {}
            None => return Err("text stands outside of a Select or Suppress".into()),
        }
        Ok(())
    }

    fn end(&mut self, at: usize) -> Result<(), FilterError> {
        self.depth -= 1;
        let queries = self.queries.len();
        match (&mut self.queries.last_mut(), self.select.take()) {
            (Some(query), Some(open)) => {
                let selects = if open.suppress { &mut query.suppresses } else { &mut query.selects };
                let kind = if open.suppress { "Suppress" } else { "Select" };
                let key = format!("{}, Query {queries}, {kind} {}", self.key, selects.len() + 1);
                let select = Select::new(&key, Some(&open.channel), open.text.trim());
                let span = |error: &FilterError| Some(open.place(error.span.as_ref(), self.xml, at));
                selects.push(select.map_err(|error| FilterError { span: span(&error), ..error })?);
            }
            (Some(query), None) if self.depth == 1 && query.selects.is_empty() => {
                return Err(FilterError::whole(
                    format!("{}, Query {queries}", self.key),
                    "selects nothing; write a Select, `*` for all events of a channel",
                ));
            }
            _ => {}
        }
        Ok(())
    }
}

fn path(start: &BytesStart<'_>) -> Result<Option<String>, String> {
    let mut path = None;
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        match attribute.key.local_name().as_ref() {
            b"Path" => {
                let mut text = Vec::new();
                crate::event::text::decode_xml(&attribute.value, &mut text);
                path = Some(String::from_utf8_lossy(&text).into_owned());
            }
            // Which of host and container is asked, and a number nobody refers to.
            b"Id" | b"Target" | b"xmlns" => {}
            other => {
                let name = String::from_utf8_lossy(other).into_owned();
                return Err(format!("the attribute `{name}` is not known here; Path, Id and Target are"));
            }
        }
    }
    Ok(path)
}

impl<'de> Deserialize<'de> for SelectConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrTable)
    }
}

struct TextOrTable;

#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Table {
    /// Events of this channel only; case does not matter, `*` and `?` are wildcards.
    channel: String,
    /// The expression, such as `*[System[Level<=3]]`.
    xpath: String,
}

impl<'de> Visitor<'de> for TextOrTable {
    type Value = SelectConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an expression, or a table with channel and xpath")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<SelectConfig, E> {
        Ok(SelectConfig { channel: None, xpath: text.into() })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SelectConfig, A::Error> {
        let Table { channel, xpath } = Table::deserialize(value::MapAccessDeserializer::new(map))?;
        if channel.trim().is_empty() {
            return Err(A::Error::custom("channel is empty; leave it out for all channels"));
        }
        Ok(SelectConfig { channel: Some(channel), xpath })
    }
}

impl JsonSchema for SelectConfig {
    fn schema_name() -> Cow<'static, str> {
        "Select".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<Table>();
        schemars::json_schema!({ "anyOf": [{ "type": "string" }, table] })
    }
}
