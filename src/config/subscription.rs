//! Subscriptions of a collector: those in the pipeline file, those in files beside it, and the query
//! lists that they name.
//!
//! A file beside holds the table of one subscription and gives it its name. Chosen over tables of
//! many in a file: a folder then shows what there is, and each has its owner and history.
//! Must not know: what hosts make of a subscription.

use super::diagnostic::{Diagnostic, Place, SourceFile};
use super::interpolate::{Lookup, interpolate};
use super::place::{at, tell_at};
use super::suggest::nearest;
use super::tree::{FILE_BYTES_MAX, Node, Notes, Part, beside};
use super::typed::typed;
use crate::source::Source;
use crate::source::wef::{self, Doubt, QUERY_BYTES_MAX, SubscriptionConfig};
use std::collections::BTreeMap;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Most files beside a pipeline.
pub(super) const FILES_MAX: usize = 1024;

/// A file that a pattern of a source named.
pub(super) struct Beside {
    source: String,
    name: String,
    file: usize,
}

/// Reads the files that the sources name, behind those of the pipeline. What cannot be read is told
/// where it is named, once that is typed.
pub(super) fn read(files: &mut Vec<SourceFile>, lookup: &dyn Lookup) -> Vec<Beside> {
    let mut found = Vec::new();
    let patterns: Vec<(String, String)> =
        files.iter().enumerate().flat_map(|(file, source)| patterns(file, source, lookup)).collect();
    for (source, pattern) in patterns {
        for path in lookup.list(&pattern).unwrap_or_default() {
            let text = lookup.bytes(&path, FILE_BYTES_MAX).ok().and_then(|text| String::from_utf8(text).ok());
            let name = Path::new(&path).file_stem().and_then(|stem| stem.to_str());
            let (Some(text), Some(name)) = (text, name) else { continue };
            if found.len() == FILES_MAX {
                return found;
            }
            found.push(Beside { source: source.clone(), name: name.to_owned(), file: files.len() });
            files.push(SourceFile { name: path, text });
        }
    }
    found
}

/// Source and pattern of each `source.NAME.wef.subscriptions` of a file.
fn patterns(file: usize, source: &SourceFile, lookup: &dyn Lookup) -> Vec<(String, String)> {
    let (table, _) = DeTable::parse_recoverable(&source.text);
    let Some(sources) = table.get_ref().get("source").and_then(|value| value.get_ref().as_table()) else {
        return Vec::new();
    };
    let of_source = |(name, source): (&Spanned<_>, &Node<'_>)| {
        let named = source.get_ref().get("wef").and_then(|wef| wef.get_ref().get("subscriptions"));
        let text = |node: &Node<'_>| {
            let text = node.get_ref().as_str()?;
            let place = Place { file, span: node.span() };
            // What cannot be filled in is told by whoever types it.
            Some(interpolate(text, &place, lookup, &mut Notes::default()).unwrap_or_else(|| text.into()))
        };
        let texts: Vec<String> = match named.map(Spanned::get_ref) {
            Some(DeValue::Array(items)) => items.iter().filter_map(text).collect(),
            Some(_) => named.into_iter().filter_map(text).collect(),
            None => Vec::new(),
        };
        let name: &std::borrow::Cow<'_, str> = name.get_ref();
        let name = name.to_string();
        texts.into_iter().map(move |pattern| (name.clone(), pattern))
    };
    sources.iter().flat_map(of_source).collect()
}

/// What is told of subscriptions is told with these at hand.
pub(super) struct Around<'a> {
    pub(super) files: &'a [SourceFile],
    pub(super) besides: &'a [Beside],
    pub(super) lookup: &'a dyn Lookup,
}

/// Joins a source's subscriptions and tells all that is wrong with them. Whether none is.
pub(super) fn check(
    source: &str,
    part: &Part<'_>,
    config: &mut wef::Config,
    around: &Around<'_>,
    notes: &mut Notes,
) -> bool {
    let before = notes.errors();
    unread(part, &config.subscriptions.0, around, notes);
    let mut parts: BTreeMap<String, Part<'_>> = BTreeMap::new();
    for one in around.besides.iter().filter(|one| one.source == source) {
        let Some(file) = beside(one.file, &around.files[one.file], around.lookup, notes) else { continue };
        let path = format!("source.{source}.wef.subscription.{}", one.name);
        if config.subscription.contains_key(&one.name) {
            let message = format!("`{path}` is defined twice");
            let help = "a file is a subscription of its own name; rename or remove one of them";
            notes.tell(Diagnostic::error(file.key.clone(), message, help));
            continue;
        }
        if let Some(typed) = typed::<SubscriptionConfig>(&file, &path, notes) {
            config.subscription.insert(one.name.clone(), typed);
            parts.insert(one.name.clone(), file);
        }
    }
    for (name, subscription) in &mut config.subscription {
        let (part, above) = of(name, part, &parts);
        query_file(part, &above, subscription, around.lookup, notes);
    }
    for doubt in wef::check(source, &config.subscription) {
        tell(&doubt, part, &parts, around.files, notes);
    }
    notes.errors() == before
}

/// The part that a subscription stands in, and the keys of its table there.
fn of<'p, 't, 'n>(
    name: &'n str,
    part: &'p Part<'t>,
    parts: &'p BTreeMap<String, Part<'t>>,
) -> (&'p Part<'t>, Vec<&'n str>) {
    match parts.get(name) {
        Some(file) => (file, Vec::new()),
        None => (part, vec!["wef", "subscription", name]),
    }
}

/// Patterns that name nothing, and files that cannot be read.
fn unread(part: &Part<'_>, patterns: &[String], around: &Around<'_>, notes: &mut Notes) {
    let keys = ["wef", "subscriptions"];
    for pattern in patterns {
        match around.lookup.list(pattern) {
            Err(why) => tell_at(part, &keys, format!("`{pattern}` {why}"), notes),
            Ok(paths) if paths.is_empty() => {
                let message = format!("`{pattern}` names no file");
                let help = "a path is taken from the folder in which forebay is started";
                notes.tell(Diagnostic::warning(at(part, &keys), message, help));
            }
            Ok(paths) => {
                for path in paths.iter().filter(|path| !around.files.iter().any(|file| file.name == **path)) {
                    let why = match around.lookup.bytes(path, FILE_BYTES_MAX) {
                        Err(why) => why,
                        Ok(_) => format!("is no text in UTF-8, or more than {FILES_MAX} files are named"),
                    };
                    tell_at(part, &keys, format!("`{path}` {why}"), notes);
                }
            }
        }
    }
}

fn query_file(
    part: &Part<'_>,
    above: &[&str],
    config: &mut SubscriptionConfig,
    lookup: &dyn Lookup,
    notes: &mut Notes,
) {
    let Some(path) = config.query.file().map(str::to_owned) else { return };
    let read = lookup.bytes(&path, QUERY_BYTES_MAX).and_then(|bytes| config.query.take_file(&bytes));
    if let Err(why) = read {
        let keys: Vec<&str> = above.iter().copied().chain(["query", "file"]).collect();
        tell_at(part, &keys, format!("`{path}` {why}"), notes);
    }
}

fn tell<'t>(
    doubt: &Doubt,
    part: &Part<'t>,
    parts: &BTreeMap<String, Part<'t>>,
    files: &[SourceFile],
    notes: &mut Notes,
) {
    let (part, mut keys) = match &doubt.subscription {
        Some(name) => of(name, part, parts),
        None => (part, vec!["wef", "subscription"]),
    };
    keys.extend(doubt.keys.iter().map(String::as_str));
    let found = (0..=keys.len()).rev().find_map(|end| Some((end, at(part, &keys[..end])?)));
    let place = match found {
        Some((end, place)) if end == keys.len() => {
            let node = keys.iter().try_fold(&part.value, |node, key| node.get_ref().get(*key));
            let sign = node.zip(doubt.span.as_ref());
            sign.and_then(|(node, span)| super::place::sign(part, node, span, files)).unwrap_or(place)
        }
        Some((_, place)) => place,
        None => part.key.clone(),
    };
    if notes.unfilled.contains(&place) {
        return;
    }
    let about = match (&doubt.subscription, doubt.keys.is_empty()) {
        (Some(name), true) => format!("subscription `{name}`: "),
        _ => String::new(),
    };
    let (message, help) = doubt.what.split_once("; ").unwrap_or((&doubt.what, ""));
    let message = format!("{about}{message}");
    notes.tell(match doubt.is_error {
        true => Diagnostic::error(place, message, help),
        false => Diagnostic::warning(place, message, help),
    });
}

/// What an output does by the name of a subscription that no source has: nothing, and without a word.
pub(super) fn unknown(name: &str, keys: &[&str], part: &Part<'_>, sources: &[Source], notes: &mut Notes) {
    let known: Vec<&str> = sources.iter().flat_map(Source::subscriptions).collect();
    if known.contains(&name) {
        return;
    }
    let list = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let help = match nearest(name, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`? subscriptions here: {list}"),
        None if known.is_empty() => "only machines that push to a source `wef` bring subscriptions".into(),
        None => format!("subscriptions here: {list}"),
    };
    let message = format!("no source has a subscription `{name}`, so no event comes under it");
    notes.tell(Diagnostic::warning(at(part, keys), message, help));
}
