//! Templates: text with `{channel}`, `{computer}` and dates in it, which become values of the event.
//!
//! Values come from remote machines: each place that a template makes a name for (a path, a topic, an index)
//! cleans them as it must. Must not know: what the name is for.

use crate::event::{Header, Origin, Timestamp, Value};
use thiserror::Error;

/// Longest text of one value; longer ones are cut.
pub const VALUE_BYTES_MAX: usize = 100;

/// The parts of a template, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Literal(Box<str>),
    Field(Field),
    /// strftime-like, checked: literals and `%Y %m %d %H %M`.
    Date(Box<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Channel,
    Computer,
    Provider,
    EventId,
    Level,
    Source,
    Host,
    Subscription,
}

/// Why a template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    #[error("`{0}` must begin with a folder, such as `/var/log/forebay/` or `./`")]
    NoRoot(String),
    #[error(
        "`{text}`: `{{{name}}}` is not known; use {{channel}}, {{computer}}, {{provider}}, \
         {{event_id}}, {{level}}, {{source}}, {{host}}, {{subscription}}, {{yyyy}}, {{mm}}, {{dd}}, {{hh}} or {{date:%Y-%m-%d}}"
    )]
    Unknown { text: String, name: String },
    #[error("`{text}`: `{{date:{format}}}` knows %Y, %m, %d, %H and %M only")]
    Date { text: String, format: String },
    #[error("`{0}`: a `{{` without its `}}`, or the other way round")]
    Unbalanced(String),
    #[error("`{0}`: `.` and `..` may not stand after the first `{{…}}`, and the last part must name a file")]
    Component(String),
    #[error("`{0}` must begin with text of its own: a value in front would let a machine choose any name")]
    NoPrefix(String),
    #[error("`{text}`: {why}")]
    Name { text: String, why: &'static str },
}

impl Template {
    /// Of the template `whole`, the part `text`.
    ///
    /// # Errors
    /// Names what is wrong in the template and what would be right.
    pub(super) fn parse(whole: &str, text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let (before, tail) = rest.split_at(open);
            push_literal(&mut parts, before);
            let inner = tail.strip_prefix('{').ok_or_else(|| TemplateError::Unbalanced(whole.into()))?;
            let (name, after) =
                inner.split_once('}').ok_or_else(|| TemplateError::Unbalanced(whole.into()))?;
            parts.push(part(whole, name)?);
            rest = after;
        }
        push_literal(&mut parts, rest);
        Ok(Self { parts })
    }

    /// Whether every event has the same text.
    pub(super) fn is_fixed(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Literal(_)))
    }

    /// Appends the text. `other`: names of `_other`, and the day it was received.
    pub(super) fn write(
        &self,
        values: &RouteValues<'_, '_>,
        other: bool,
        clean: impl Fn(&str, &mut String),
        out: &mut String,
    ) {
        let mut scratch = Vec::new();
        let time = if other { values.origin.received } else { values.time };
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Date(format) => write_date(format, time, out),
                Part::Field(_) if other => out.push_str("_other"),
                Part::Field(field) => {
                    scratch.clear();
                    values.write(*field, &mut scratch);
                    clean(&String::from_utf8_lossy(&scratch), out);
                }
            }
        }
    }
}

/// What a template may be made of.
#[derive(Clone, Copy, Debug)]
pub struct RouteValues<'v, 'e> {
    /// Absent when the event could not be read.
    pub header: Option<&'v Header<'e>>,
    pub origin: &'v Origin,
    /// When it happened, or was received.
    pub time: Timestamp,
}

impl RouteValues<'_, '_> {
    fn write(&self, field: Field, out: &mut Vec<u8>) {
        let header = self.header.copied().unwrap_or_default();
        let value = match field {
            Field::Channel => header.channel,
            Field::Computer => header.computer,
            Field::Provider => header.provider_name,
            Field::EventId => header.event_id,
            Field::Level => header.level,
            Field::Source => Value::Text(self.origin.source.as_bytes()),
            Field::Host => Value::Text(self.origin.host.as_deref().unwrap_or("").as_bytes()),
            Field::Subscription => Value::Text(self.origin.subscription.as_deref().unwrap_or("").as_bytes()),
        };
        shorten(value).write_text(out);
    }
}

fn push_literal(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Literal(text.into()));
    }
}

fn part(text: &str, name: &str) -> Result<Part, TemplateError> {
    if let Some(format) = name.strip_prefix("date:") {
        let wrong = || TemplateError::Date { text: text.into(), format: format.into() };
        let mut rest = format.chars();
        while let Some(character) = rest.next() {
            let fits = match character {
                '%' => rest.next().is_some_and(|unit| "YmdHM".contains(unit)),
                other => !other.is_control(),
            };
            if !fits {
                return Err(wrong());
            }
        }
        return if format.split('/').any(|component| matches!(component, "" | "." | "..")) {
            Err(wrong())
        } else {
            Ok(Part::Date(format.into()))
        };
    }
    Ok(match name {
        "channel" => Part::Field(Field::Channel),
        "computer" => Part::Field(Field::Computer),
        "provider" => Part::Field(Field::Provider),
        "event_id" => Part::Field(Field::EventId),
        "level" => Part::Field(Field::Level),
        "source" => Part::Field(Field::Source),
        "host" => Part::Field(Field::Host),
        "subscription" => Part::Field(Field::Subscription),
        "date" => Part::Date("%Y-%m-%d".into()),
        "yyyy" => Part::Date("%Y".into()),
        "mm" => Part::Date("%m".into()),
        "dd" => Part::Date("%d".into()),
        "hh" => Part::Date("%H".into()),
        _ => return Err(TemplateError::Unknown { text: text.into(), name: name.into() }),
    })
}

/// Cuts text values that are far longer than a path holds before they are converted.
pub(super) fn shorten(value: Value<'_>) -> Value<'_> {
    const RAW_BYTES_MAX: usize = VALUE_BYTES_MAX * 16;
    match value {
        Value::Xml(raw) => Value::Xml(&raw[..raw.len().min(RAW_BYTES_MAX)]),
        Value::Text(text) => Value::Text(&text[..text.len().min(RAW_BYTES_MAX)]),
        Value::Plain(text) => Value::Plain(&text[..text.len().min(RAW_BYTES_MAX)]),
        Value::Utf16(units) => Value::Utf16(&units[..units.len().min(RAW_BYTES_MAX)]),
        other => other,
    }
}

fn write_date(format: &str, time: Timestamp, out: &mut String) {
    let mut text = Vec::with_capacity(32);
    time.write(0, &mut text);
    // Years beyond 9999 take more digits, so fields are counted from the end: `…-MM-DDTHH:MM:SSZ`.
    let digits = String::from_utf8_lossy(&text).into_owned();
    let end = digits.len();
    let mut rest = format.chars();
    while let Some(character) = rest.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        out.push_str(match rest.next() {
            Some('Y') => &digits[..end - 16],
            Some('m') => &digits[end - 15..end - 13],
            Some('d') => &digits[end - 12..end - 10],
            Some('H') => &digits[end - 9..end - 7],
            _ => &digits[end - 6..end - 4],
        });
    }
}
