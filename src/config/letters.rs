//! Where dead letters go, as it is written: a place, another output, nowhere; never round.
//!
//! Opens nothing. Must not know: how they are written.

use super::checked::{DeadLetter, Output};
use super::diagnostic::Diagnostic;
use super::place::at;
use super::tree::{Notes, Part};
use super::written::{DeadLetterConfig, Undecodable};
use crate::basin::BasinConfig;
use crate::source::Source;
use crate::units::ByteSize;
use std::collections::BTreeMap;

pub(super) fn dead_letter(
    name: &str,
    part: &Part<'_>,
    config: &DeadLetterConfig,
    basin: Option<&BasinConfig>,
    known: &dyn Fn(&str) -> bool,
    notes: &mut Notes,
) -> DeadLetter {
    let place = at(part, &["dead_letter", "output"]);
    let folder = |path| DeadLetter::Folder { path, size_max: config.size_max };
    let bounds_nothing = config.size_max.is_some()
        && (config.output.is_some()
            || config.path.is_none() && basin.is_some_and(|basin| basin.disk.is_none()));
    if bounds_nothing || config.size_max == Some(ByteSize(0)) {
        let (message, fix) = if bounds_nothing {
            (
                "there is no folder for dead letters that it would bound",
                "leave it out, or set `dead_letter.path`",
            )
        } else {
            ("a dead letter of 0 bytes takes nothing", "leave it out, or write such as `1GiB`")
        };
        notes.tell(Diagnostic::error(at(part, &["dead_letter", "size_max"]), message, fix));
    }
    match (&config.path, &config.output) {
        (Some(_), Some(_)) => {
            notes.tell(Diagnostic::error(
                place,
                "the dead letter is a folder or an output, not both",
                "keep one",
            ));
            DeadLetter::Wait
        }
        (Some(path), None) => folder(path.clone()),
        (None, Some(output)) if output == name => {
            let message = format!("`{name}` cannot be its own dead letter");
            notes.tell(Diagnostic::error(place, message, "name another output, or a `path`"));
            DeadLetter::Wait
        }
        (None, Some(output)) if !known(output) => {
            let message = format!("there is no output `{}`", output.escape_debug());
            notes.tell(Diagnostic::error(place, message, "name one that this pipeline has, or a `path`"));
            DeadLetter::Wait
        }
        (None, Some(output)) => DeadLetter::Output(output.clone()),
        (None, None) => match basin.and_then(|basin| basin.disk.as_ref()) {
            Some(disk) => folder(disk.path.join("dead-letter").join(name)),
            None => DeadLetter::Wait,
        },
    }
}

/// What an output that has no dead letter could wait for without end.
pub(super) fn without_dead_letter(
    part: &Part<'_>,
    undecodable: Undecodable,
    refuses: bool,
    notes: &mut Notes,
) {
    const FIX: &str = "set `dead_letter.path`, or use `[basin.disk]`, which has a place for dead letters";
    if undecodable == Undecodable::DeadLetter {
        let message =
            "there is no dead letter, so the first event that cannot be read would stop this output";
        notes.tell(Diagnostic::error(at(part, &["undecodable"]), message, FIX));
    } else if refuses {
        let message = "there is no dead letter, so an event that is not taken there would stop this output";
        notes.tell(Diagnostic::warning(at(part, &["sink"]), message, FIX));
    }
}

/// Sources that divert what they do not trust, and outputs that would have nowhere to put it.
pub(super) fn diverted(
    sources: &[Source],
    outputs: &[Output],
    parts: Option<&BTreeMap<String, Part<'_>>>,
    notes: &mut Notes,
) {
    let Some(source) = sources.iter().find(|source| source.diverts()) else { return };
    for output in outputs.iter().filter(|output| output.dead_letter == DeadLetter::Wait) {
        let place = parts.and_then(|parts| at(parts.get(&output.name)?, &["sink"]));
        let message = format!(
            "there is no dead letter, so the first event that `{}` does not trust would stop this output",
            source.name()
        );
        let fix = "set `dead_letter.path`, or use `trust = \"tag\"` in the source";
        notes.tell(Diagnostic::error(place, message, fix));
    }
}

/// Outputs whose dead letters go round: each would wait for the next one for ever.
pub(super) fn circles(outputs: &[Output], parts: Option<&BTreeMap<String, Part<'_>>>, notes: &mut Notes) {
    let next = |name: &str| match &outputs.iter().find(|output| output.name == name)?.dead_letter {
        DeadLetter::Output(next) => Some(next.as_str()),
        DeadLetter::Folder { .. } | DeadLetter::Wait => None,
    };
    for Output { name, .. } in outputs {
        let mut way = vec![name.as_str()];
        while let Some(to) = next(way[way.len() - 1]).filter(|to| !way.contains(to)) {
            way.push(to);
        }
        let closes = next(way[way.len() - 1]) == Some(name.as_str());
        // Told once, at the output that comes first.
        if way.len() < 2 || !closes || way.iter().any(|other| *other < name.as_str()) {
            continue;
        }
        let place = parts.and_then(|parts| at(parts.get(name)?, &["dead_letter", "output"]));
        let message = format!("dead letters go round: {} ─► {name}", way.join(" ─► "));
        notes.tell(Diagnostic::error(
            place,
            message,
            "each of them could wait for the next for ever; give one a `dead_letter.path`",
        ));
    }
}
