//! Path templates: where an event goes is named by text that came from a remote machine.
//!
//! `/var/log/forebay/{channel}/{computer}-{date:%Y-%m-%d}.jsonl`. The part up to the last `/`
//! before the first `{…}` is the literal root and nothing is ever opened outside of it: values are
//! cleaned (no separator, no control character, no leading dot, bounded length), and files are
//! opened component by component below the root without following links (`confined`).
//! The number of distinct paths is capped too, or one lying host could fill a disk with inodes.

mod confined;
mod router;

pub use super::template::{RouteValues, TemplateError, VALUE_BYTES_MAX};
pub use confined::{Confined, Place};
pub use router::{BATCH_PATH_BYTES_MAX, PATH_OVERHEAD_BYTES, ROUTES_MAX, Router};

use super::template::{Part, Template};
use std::path::PathBuf;

/// Longest name of a file or folder below the root; file systems allow 255, and rotation and
/// compression add to it.
pub const COMPONENT_BYTES_MAX: usize = 200;

/// A checked template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    root: PathBuf,
    template: Template,
}

impl PathTemplate {
    /// # Errors
    /// Names what is wrong in the template and what would be right.
    pub fn parse(path: &str) -> Result<Self, TemplateError> {
        let literal = path.find(['{', '}']).unwrap_or(path.len());
        let cut = path[..literal].rfind('/').ok_or_else(|| TemplateError::NoRoot(path.into()))?;
        let (root, below) = path.split_at(cut + 1);
        let template = Template::parse(path, below)?;
        let sketch: String = template
            .parts
            .iter()
            .map(|part| if let Part::Literal(text) = part { text } else { "x" })
            .collect();
        if sketch.split('/').any(|component| matches!(component, "" | "." | "..")) {
            return Err(TemplateError::Component(path.into()));
        }
        Ok(Self { root: PathBuf::from(root), template })
    }

    /// The literal folder in front.
    pub fn root(&self) -> &std::path::Path {
        &self.root
    }

    /// Whether every event has the same path.
    pub fn is_fixed(&self) -> bool {
        self.template.is_fixed()
    }

    /// From the first dot of the last part, if that is literal: `.jsonl.gz`.
    pub fn extension(&self) -> &str {
        let Some(Part::Literal(text)) = self.template.parts.last() else { return "" };
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
        1 + self.template.parts.iter().map(inside).sum::<usize>()
    }

    /// Whether a path below the root could have been made by this template.
    pub fn matches(&self, path: &str) -> bool {
        fits(&self.pieces(), path)
    }

    /// The literal pieces below the root, and `None` for one or more characters of one name.
    pub fn pieces(&self) -> Vec<Option<&str>> {
        let mut pieces: Vec<Option<&str>> = Vec::new();
        for part in &self.template.parts {
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
        self.template.write(values, other, clean, out);
        if out[start..].split('/').any(|component| component.len() > COMPONENT_BYTES_MAX) {
            let whole = out.split_off(start);
            for (index, component) in whole.split('/').enumerate() {
                out.push_str(if index == 0 { "" } else { "/" });
                out.push_str(&component[..component.floor_char_boundary(COMPONENT_BYTES_MAX)]);
            }
        }
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

#[cfg(test)]
mod tests;
