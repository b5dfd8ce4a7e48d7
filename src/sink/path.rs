//! Path templates: where an event goes is named by text that came from a remote machine.
//!
//! `/var/log/forebay/{channel}/{computer}-{date:%Y-%m-%d}.jsonl`. The part up to the last `/`
//! before the first `{…}` is the literal root and nothing is ever opened outside of it: values are
//! cleaned (no separator, no control character, no leading dot, bounded length), and files are
//! opened component by component below the root without following links (`confined`).
//! The number of distinct paths is capped too, or one lying host could fill a disk with inodes.

mod confined;
mod router;

pub use confined::{Confined, Place};
pub use router::{BATCH_PATH_BYTES_MAX, PATH_OVERHEAD_BYTES, ROUTES_MAX, Router};

use crate::event::{Header, Origin, Timestamp, Value};
use std::path::PathBuf;
use thiserror::Error;

/// Longest text of one value in a path; longer ones are cut.
pub const VALUE_BYTES_MAX: usize = 100;
/// Longest name of a file or folder below the root; file systems allow 255, and rotation and
/// compression add to it.
pub const COMPONENT_BYTES_MAX: usize = 200;

/// A checked template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    root: PathBuf,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    Field(Field),
    /// strftime-like, checked: literals and `%Y %m %d %H %M`.
    Date(Box<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Channel,
    Computer,
    Provider,
    EventId,
    Level,
    Source,
    Host,
}

/// Why a template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    #[error("path `{0}` must begin with a folder, such as `/var/log/forebay/` or `./`")]
    NoRoot(String),
    #[error(
        "path `{path}`: `{{{name}}}` is not known; use {{channel}}, {{computer}}, {{provider}}, \
         {{event_id}}, {{level}}, {{source}}, {{host}}, {{yyyy}}, {{mm}}, {{dd}}, {{hh}} or {{date:%Y-%m-%d}}"
    )]
    Unknown { path: String, name: String },
    #[error("path `{path}`: `{{date:{format}}}` knows %Y, %m, %d, %H and %M only")]
    Date { path: String, format: String },
    #[error("path `{0}`: a `{{` without its `}}`, or the other way round")]
    Unbalanced(String),
    #[error(
        "path `{0}`: `.` and `..` may not stand after the first `{{…}}`, and the last part must name a file"
    )]
    Component(String),
}

impl PathTemplate {
    /// # Errors
    /// Names what is wrong in the template and what would be right.
    pub fn parse(path: &str) -> Result<Self, TemplateError> {
        let literal = path.find(['{', '}']).unwrap_or(path.len());
        let cut = path[..literal].rfind('/').ok_or_else(|| TemplateError::NoRoot(path.into()))?;
        let (root, below) = path.split_at(cut + 1);
        let mut parts = Vec::new();
        let mut rest = below;
        while let Some(open) = rest.find(['{', '}']) {
            let (before, tail) = rest.split_at(open);
            push_literal(&mut parts, before);
            let inner = tail.strip_prefix('{').ok_or_else(|| TemplateError::Unbalanced(path.into()))?;
            let (name, after) =
                inner.split_once('}').ok_or_else(|| TemplateError::Unbalanced(path.into()))?;
            parts.push(part(path, name)?);
            rest = after;
        }
        push_literal(&mut parts, rest);
        let sketch: String =
            parts.iter().map(|part| if let Part::Literal(text) = part { text } else { "x" }).collect();
        if sketch.split('/').any(|component| matches!(component, "" | "." | "..")) {
            return Err(TemplateError::Component(path.into()));
        }
        Ok(Self { root: PathBuf::from(root), parts })
    }

    /// The literal folder in front.
    pub fn root(&self) -> &std::path::Path {
        &self.root
    }

    /// Whether every event has the same path.
    pub fn is_fixed(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Literal(_)))
    }

    /// From the first dot of the last part, if that is literal: `.jsonl.gz`.
    pub fn extension(&self) -> &str {
        let Some(Part::Literal(text)) = self.parts.last() else { return "" };
        let name = text.rsplit('/').next().unwrap_or(text);
        // A name that is all literal keeps what is before its first dot, whatever that is.
        name.find('.').map_or("", |dot| &name[dot..])
    }

    /// How many names a path below the root has.
    pub fn depth(&self) -> usize {
        let slashes = |text: &str| text.matches('/').count();
        let inside = |part: &Part| match part {
            Part::Literal(text) | Part::Date(text) => slashes(text),
            Part::Field(_) => 0,
        };
        1 + self.parts.iter().map(inside).sum::<usize>()
    }

    /// Whether a path below the root could have been made by this template.
    pub fn matches(&self, path: &str) -> bool {
        fits(&self.pieces(), path)
    }

    /// The literal pieces below the root, and `None` for one or more characters of one name.
    pub fn pieces(&self) -> Vec<Option<&str>> {
        let mut pieces: Vec<Option<&str>> = Vec::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => pieces.push(Some(text)),
                Part::Field(_) => pieces.push(None),
                Part::Date(format) => {
                    for (index, piece) in format.split('%').enumerate() {
                        // Each unit is one letter after the `%`, and stands for some digits.
                        let literal = if index == 0 {
                            piece
                        } else {
                            pieces.push(None);
                            &piece[1..]
                        };
                        pieces.push(Some(literal));
                    }
                }
            }
        }
        pieces
    }

    /// Appends the path below the root.
    pub fn render(&self, values: &RouteValues<'_, '_>, out: &mut String) {
        self.write(values, false, out);
    }

    /// `other`: no place of its own, so names of `_other` and the day it was received.
    fn write(&self, values: &RouteValues<'_, '_>, other: bool, out: &mut String) {
        let start = out.len();
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
        if out[start..].split('/').any(|component| component.len() > COMPONENT_BYTES_MAX) {
            let whole = out.split_off(start);
            for (index, component) in whole.split('/').enumerate() {
                out.push_str(if index == 0 { "" } else { "/" });
                out.push_str(&component[..component.floor_char_boundary(COMPONENT_BYTES_MAX)]);
            }
        }
    }
}

/// What a path may be made of.
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
        };
        shorten(value).write_text(out);
    }
}

/// Literal pieces, and `None` for one or more characters of one name.
fn fits(pieces: &[Option<&str>], path: &str) -> bool {
    let Some((first, rest)) = pieces.split_first() else { return path.is_empty() };
    match first {
        Some(literal) => path.strip_prefix(literal).is_some_and(|path| fits(rest, path)),
        None => {
            let end = path.find('/').unwrap_or(path.len());
            path.char_indices()
                .map(|(at, character)| at + character.len_utf8())
                .take_while(|at| *at <= end)
                .any(|at| fits(rest, &path[at..]))
        }
    }
}

fn push_literal(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Literal(text.into()));
    }
}

fn part(path: &str, name: &str) -> Result<Part, TemplateError> {
    if let Some(format) = name.strip_prefix("date:") {
        let wrong = || TemplateError::Date { path: path.into(), format: format.into() };
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
        "date" => Part::Date("%Y-%m-%d".into()),
        "yyyy" => Part::Date("%Y".into()),
        "mm" => Part::Date("%m".into()),
        "dd" => Part::Date("%d".into()),
        "hh" => Part::Date("%H".into()),
        _ => return Err(TemplateError::Unknown { path: path.into(), name: name.into() }),
    })
}

/// Cuts text values that are far longer than a path holds before they are converted.
fn shorten(value: Value<'_>) -> Value<'_> {
    const RAW_BYTES_MAX: usize = VALUE_BYTES_MAX * 16;
    match value {
        Value::Xml(raw) => Value::Xml(&raw[..raw.len().min(RAW_BYTES_MAX)]),
        Value::Text(text) => Value::Text(&text[..text.len().min(RAW_BYTES_MAX)]),
        Value::Plain(text) => Value::Plain(&text[..text.len().min(RAW_BYTES_MAX)]),
        Value::Utf16(units) => Value::Utf16(&units[..units.len().min(RAW_BYTES_MAX)]),
        other => other,
    }
}

/// Appends a remote value as a piece of a file name.
fn clean(value: &str, out: &mut String) {
    let start = out.len();
    for character in value.chars() {
        let character = match character {
            '/' | '\\' => '_',
            // What would hide or reorder a name in a listing.
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => '_',
            '.' if out.len() == start => '_',
            character if character.is_control() => '_',
            character => character,
        };
        if out.len() - start + character.len_utf8() > VALUE_BYTES_MAX {
            break;
        }
        out.push(character);
    }
    if out.len() == start {
        out.push('_');
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

#[cfg(test)]
mod tests;
