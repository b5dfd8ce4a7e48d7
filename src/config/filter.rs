//! Filters: of an output or source, and written as one text on the command line.
//!
//! Promise: what was not understood is marked where it stands, inside an expression to the very
//! sign. Must not know: what a filter means.

use super::diagnostic::{self, Diagnostic, Place, SourceFile};
use super::tree::{Notes, Part};
use super::typed::typed;
use crate::filter::{Filter, FilterConfig, FilterError, OneOrMany, RuleConfig};
use toml::Spanned;
use toml::de::DeValue;

/// Compiles a filter that stands in one text: a `<QueryList>`, a rule as the pipeline file has it
/// (`{ channel = "Security", id = [4624, 4625] }`, or a list of them, or a whole filter such as
/// `{ drop = … }`), otherwise an XPath. With it comes what is doubtful, as text for people.
///
/// # Errors
/// All mistakes as text for people.
pub fn one_filter(source: &SourceFile) -> Result<(Filter, String), String> {
    let files = std::slice::from_ref(source);
    let mut notes = Notes::default();
    let filter = read(source, &mut notes).and_then(|(part, config)| {
        let place = |error: &FilterError| Some(of_whole(source, &part, error));
        told(config.compile(), place, Some(part.key.clone()), &mut notes)
    });
    let words = diagnostic::render(&notes.diagnostics, files, &notes.secrets);
    match filter {
        Some(filter) if notes.errors() == 0 => Ok((filter, words)),
        _ => Err(words),
    }
}

/// Compiles the filter that stands in `part` at `keys`.
pub(super) fn compile(
    part: &Part<'_>,
    keys: &[&str],
    config: &FilterConfig,
    files: &[SourceFile],
    notes: &mut Notes,
) -> Option<Filter> {
    let whole = super::place::at(part, keys);
    let place = |error: &FilterError| in_part(part, keys, files, error).or_else(|| whole.clone());
    told(config.compile(), place, whole.clone(), notes)
}

fn told(
    compiled: Result<Filter, FilterError>,
    place: impl Fn(&FilterError) -> Option<Place>,
    whole: Option<Place>,
    notes: &mut Notes,
) -> Option<Filter> {
    match compiled {
        Ok(filter) => {
            for doubt in filter.warnings() {
                notes.tell(Diagnostic::warning(whole.clone(), doubt, ""));
            }
            Some(filter)
        }
        Err(error) => {
            let text = error.to_string();
            let (message, help) = text.split_once("; ").unwrap_or((&text, ""));
            notes.tell(Diagnostic::error(place(&error), message, help));
            None
        }
    }
}

/// What was written, and the text as a part; a TOML value has its nodes.
fn read<'t>(source: &'t SourceFile, notes: &mut Notes) -> Option<(Part<'t>, FilterConfig)> {
    let text = source.text.as_str();
    let key = Place { file: 0, span: 0..text.len() };
    let expression = || Spanned::new(0..text.len(), DeValue::String(text.into()));
    match text.trim_start().as_bytes().first() {
        Some(b'<') => {
            let config = FilterConfig { query: Some(text.into()), ..FilterConfig::default() };
            Some((Part { file: 0, key, value: expression() }, config))
        }
        Some(b'{' | b'[') => {
            let (value, mistakes) = DeValue::parse_recoverable(text);
            if let Some(mistake) = mistakes.first() {
                let place = Place { file: 0, span: mistake.span().unwrap_or(0..text.len()) };
                let message = mistake.message().lines().next().unwrap_or_default();
                let help = "write a rule such as `{ channel = \"Security\", id = [4624, \"4700-4799\"] }`";
                notes.tell(Diagnostic::error(place, message, help));
                return None;
            }
            let part = Part { file: 0, key, value };
            let config = table(&part, notes)?;
            Some((part, config))
        }
        _ => {
            let config = FilterConfig { xpath: Some(text.into()), ..FilterConfig::default() };
            Some((Part { file: 0, key, value: expression() }, config))
        }
    }
}

/// A whole filter where one of its keys is there, otherwise what to keep.
fn table(part: &Part<'_>, notes: &mut Notes) -> Option<FilterConfig> {
    let known = super::place::kinds::<FilterConfig>();
    let keys = part.value.get_ref().as_table().into_iter().flat_map(|table| table.keys());
    if keys.map(Spanned::get_ref).any(|key| known.iter().any(|known| known == key)) {
        return typed(part, "filter", notes);
    }
    let keep: OneOrMany<RuleConfig> = typed(part, "filter", notes)?;
    Some(FilterConfig { keep, ..FilterConfig::default() })
}

/// The place in a text that is all filter.
fn of_whole(source: &SourceFile, part: &Part<'_>, error: &FilterError) -> Place {
    match (&part.value.get_ref(), &error.span) {
        (DeValue::String(_), Some(span)) => Place { file: 0, span: span.clone() },
        _ => in_part(part, &[], std::slice::from_ref(source), error).unwrap_or_else(|| part.key.clone()),
    }
}

/// The place in the part of a pipeline file: the very sign where the text is written as it is
/// meant, without escapes, otherwise the value.
fn in_part(part: &Part<'_>, keys: &[&str], files: &[SourceFile], error: &FilterError) -> Option<Place> {
    let (key, entry) = error.place();
    let mut node = &part.value;
    for key in keys.iter().chain([&key]) {
        node = node.get_ref().get(*key)?;
    }
    if let (Some(entry), Some(list)) = (entry, node.get_ref().as_array()) {
        node = list.get(entry)?;
    }
    node = node.get_ref().get("xpath").unwrap_or(node);
    let sign = error.span.as_ref().and_then(|meant| super::place::sign(part, node, meant, files));
    Some(sign.unwrap_or_else(|| Place { file: part.file, span: node.span() }))
}
