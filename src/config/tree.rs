//! The pipeline files as one tree in which every key and value knows its place.
//!
//! `source` and `output` may be spread over the files of a folder, every other table stands in one.
//! Chosen: typing each component from its own part of the tree over one serde pass, because one
//! mistake then hides no other, and a `${…}` is filled in where it stands, so its text can never
//! become structure.
//! Must not know: what components there are.

use super::diagnostic::{Diagnostic, Place, SourceFile, mark_bytes};
use super::interpolate::{Lookup, interpolate, is_reference};
use super::secret::{Secrets, is_secret};
use super::suggest::nearest;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Largest pipeline file.
pub(super) const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Most mistakes told at once; whoever has more reads these first.
pub(super) const MISTAKES_MAX: usize = 50;

pub(super) type Node<'t> = Spanned<DeValue<'t>>;

/// A named part of the tree.
#[derive(Clone, Debug)]
pub(super) struct Part<'t> {
    pub(super) file: usize,
    pub(super) key: Place,
    pub(super) value: Node<'t>,
}

#[derive(Debug, Default)]
pub(super) struct Tree<'t> {
    /// Tables that stand once: `limits`, `basin`, ….
    pub(super) single: BTreeMap<String, Part<'t>>,
    /// Tables of named components: `source`, `output`.
    pub(super) named: BTreeMap<&'static str, BTreeMap<String, Part<'t>>>,
}

/// What is gathered on the way from files to a pipeline.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) secrets: Secrets,
    /// Values whose `${…}` could not be filled in; what follows from that is not told again.
    pub(super) unfilled: Vec<Place>,
}

impl Notes {
    pub(super) fn tell(&mut self, diagnostic: Diagnostic) {
        if self.diagnostics.len() < MISTAKES_MAX {
            self.diagnostics.push(diagnostic);
        }
    }

    pub(super) fn errors(&self) -> usize {
        self.diagnostics.iter().filter(|told| told.severity == super::Severity::Error).count()
    }
}

/// Reads all files into one tree. `single` and `named` are the tables that may stand at the top.
pub(super) fn read<'t>(
    files: &'t [SourceFile],
    single: &[&'static str],
    named: &[&'static str],
    lookup: &dyn Lookup,
    notes: &mut Notes,
) -> Tree<'t> {
    let mut tree = Tree::default();
    for (file, source) in files.iter().enumerate() {
        if source.text.len() > FILE_BYTES_MAX {
            let message =
                format!("{} is larger than a pipeline file may be ({FILE_BYTES_MAX} bytes)", source.name);
            notes.tell(Diagnostic::error(None, message, "name a pipeline file"));
            continue;
        }
        let (mut table, mistakes) = DeTable::parse_recoverable(&source.text);
        hide_and_fill(file, table.get_mut(), named, lookup, notes);
        if !mistakes.is_empty() {
            syntax(file, source, table.get_ref(), &mistakes, notes);
            continue;
        }
        for (key, value) in table.into_inner() {
            let place = Place { file, span: key.span() };
            let name = key.into_inner().into_owned();
            if let Some(kind) = named.iter().find(|kind| **kind == name) {
                components(&mut tree, files, kind, Part { file, key: place, value }, notes);
            } else if single.contains(&name.as_str()) {
                insert(&mut tree.single, files, name.clone(), &name, Part { file, key: place, value }, notes);
            } else {
                let known = single.iter().chain(named).copied();
                notes.tell(Diagnostic::error(
                    place,
                    format!("unknown table `{name}`"),
                    known_keys(&name, known),
                ));
            }
        }
    }
    tree
}

/// A whole file as one part; nothing is filled in.
pub(super) fn root<'t>(source: &'t SourceFile, notes: &mut Notes) -> Option<Part<'t>> {
    let (table, mistakes) = DeTable::parse_recoverable(&source.text);
    syntax(0, source, table.get_ref(), &mistakes, notes);
    let value = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
    mistakes.is_empty().then_some(Part { file: 0, key: Place { file: 0, span: 0..0 }, value })
}

/// A whole file as one part, with its `${…}` filled in.
pub(super) fn beside<'t>(
    file: usize,
    source: &'t SourceFile,
    lookup: &dyn Lookup,
    notes: &mut Notes,
) -> Option<Part<'t>> {
    let (mut table, mistakes) = DeTable::parse_recoverable(&source.text);
    hide_and_fill(file, table.get_mut(), &[], lookup, notes);
    syntax(file, source, table.get_ref(), &mistakes, notes);
    let value = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
    mistakes.is_empty().then_some(Part { file, key: Place { file, span: 0..0 }, value })
}

/// `did you mean …?` and the keys there are.
pub(super) fn known_keys<'k>(typed: &str, known: impl Iterator<Item = &'k str> + Clone) -> String {
    let list = known.clone().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    match nearest(typed, known) {
        Some(meant) => format!("did you mean `{meant}`? known here: {list}"),
        None if list.is_empty() => "nothing may be set here".into(),
        None => format!("known here: {list}"),
    }
}

/// Spreads `[source.NAME]` tables by name.
fn components<'t>(
    tree: &mut Tree<'t>,
    files: &[SourceFile],
    kind: &'static str,
    part: Part<'t>,
    notes: &mut Notes,
) {
    let file = part.file;
    let DeValue::Table(table) = part.value.into_inner() else {
        let message = format!("`{kind}` must be a table of named {kind}s");
        notes.tell(Diagnostic::error(part.key, message, format!("write `[{kind}.NAME]`")));
        return;
    };
    for (key, value) in table {
        let place = Place { file, span: key.span() };
        let name = key.into_inner().into_owned();
        if !is_name(&name) {
            notes.tell(Diagnostic::error(
                place,
                format!("`{}` cannot be the name of {}", name.escape_debug(), super::article(kind)),
                "a name is 1 to 64 letters, digits, `_` and `-`, beginning with a letter or digit",
            ));
            continue;
        }
        let what = format!("{kind}.{name}");
        insert(
            tree.named.entry(kind).or_default(),
            files,
            name,
            &what,
            Part { file, key: place, value },
            notes,
        );
    }
}

/// Names become parts of file names and metric labels.
fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
        && name.as_bytes()[0].is_ascii_alphanumeric()
}

fn insert<'t>(
    map: &mut BTreeMap<String, Part<'t>>,
    files: &[SourceFile],
    name: String,
    what: &str,
    part: Part<'t>,
    notes: &mut Notes,
) {
    if let Some(first) = map.get(&name) {
        let before = files[first.file].position(first.key.span.start);
        notes.tell(Diagnostic::error(
            part.key,
            format!("`{what}` is defined twice"),
            format!("the first one is at {before}; rename or remove one of them"),
        ));
    } else {
        map.insert(name, part);
    }
}

/// Walks all strings: hides those at secret keys, fills in every `${…}`. A name is no key:
/// `[source.token-server]` hides nothing.
fn hide_and_fill(
    file: usize,
    table: &mut DeTable<'_>,
    named: &[&'static str],
    lookup: &dyn Lookup,
    notes: &mut Notes,
) {
    for (key, value) in table.iter_mut() {
        let by_name = named.contains(&key.get_ref().as_ref());
        match value.get_mut() {
            DeValue::Table(parts) if by_name => {
                for (_, part) in parts.iter_mut() {
                    fill(file, false, part, lookup, notes);
                }
            }
            _ => fill(file, false, value, lookup, notes),
        }
    }
}

fn fill(file: usize, secret: bool, node: &mut Node<'_>, lookup: &dyn Lookup, notes: &mut Notes) {
    let span = node.span();
    match node.get_mut() {
        DeValue::Table(table) => {
            for (key, value) in table.iter_mut() {
                fill(file, secret || is_secret(key.get_ref()), value, lookup, notes);
            }
        }
        DeValue::Array(items) => {
            for item in items.iter_mut() {
                fill(file, secret, item, lookup, notes);
            }
        }
        DeValue::String(text) => {
            let place = Place { file, span: span.clone() };
            // The name of a variable is no secret, only what it holds.
            if secret && !is_reference(text) {
                notes.secrets.add_span(file, span);
                notes.secrets.add_text(text);
            }
            if let Some(filled) = interpolate(text, &place, lookup, notes) {
                notes.secrets.add_text(&filled);
                *text = filled.into();
            }
        }
        _ if secret => notes.secrets.add_span(file, span),
        _ => {}
    }
}

/// Mistakes in the TOML itself.
fn syntax(
    file: usize,
    source: &SourceFile,
    table: &DeTable<'_>,
    mistakes: &[toml::de::Error],
    notes: &mut Notes,
) {
    let mut twice: Vec<Vec<String>> = Vec::new();
    for mistake in mistakes {
        let span = mistake.span().unwrap_or(0..0);
        let message = mistake.message().lines().next().unwrap_or_default();
        let place = Place { file, span: span.clone() };
        if !message.contains("duplicate key") {
            notes.tell(Diagnostic::error(place, message, "see https://toml.io for how TOML is written"));
            continue;
        }
        let path = path_at(&source.text, span.start);
        // What stands in a table that is there twice is no mistake of its own.
        if twice.iter().any(|table| path.starts_with(table)) {
            continue;
        }
        let first = first_header(&source.text, &path).or_else(|| first_at(table, &path));
        let help = match first.filter(|first| *first < span.start) {
            Some(first) => {
                format!("the first one is at {}; rename or remove one of them", source.position(first))
            }
            None => "rename or remove one of them".into(),
        };
        notes.tell(Diagnostic::error(place, format!("`{}` is defined twice", path.join(".")), help));
        twice.push(path);
    }
}

/// The dotted path of the key at this byte, read from its line and the table header above it.
fn path_at(text: &str, at: usize) -> Vec<String> {
    let mark = mark_bytes(text);
    let text = &text[mark..];
    let at = text.floor_char_boundary(at.saturating_sub(mark));
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    if line.trim_start().starts_with('[') {
        return header(line);
    }
    let above = text[..start].lines().rev().find(|line| line.trim_start().starts_with('['));
    let mut path = above.map(header).unwrap_or_default();
    path.extend(split(line.split('=').next().unwrap_or_default()));
    path
}

/// The path of a `[table.header]` line.
fn header(line: &str) -> Vec<String> {
    split(line.trim().trim_start_matches('[').split(']').next().unwrap_or_default())
}

fn split(keys: &str) -> Vec<String> {
    keys.split('.').map(|key| key.trim().trim_matches(['"', '\'']).to_owned()).collect()
}

/// Where the header of this path stands first: its last key.
fn first_header(text: &str, path: &[String]) -> Option<usize> {
    let mut start = mark_bytes(text);
    for line in text[start..].split_inclusive('\n') {
        if line.trim_start().starts_with('[') && header(line) == path {
            let end = line.find(']').unwrap_or(line.len());
            return Some(start + line[..end].rfind(path.last()?.as_str())?);
        }
        start += line.len();
    }
    None
}

/// Where the key at this path stands.
fn first_at(table: &DeTable<'_>, path: &[String]) -> Option<usize> {
    let (name, rest) = path.split_first()?;
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
    if rest.is_empty() { Some(key.span().start) } else { first_at(value.get_ref().as_table()?, rest) }
}
