//! Gathers the limits for the reference: constants `…_MAX` whose words begin with what they bound
//! (Most, Longest, Largest, Deepest), from the code that enforces them.

use crate::units::ByteSize;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

const WORDS: [&str; 4] = ["Most ", "Longest ", "Largest ", "Deepest "];

/// The table, in the order of the files.
pub(super) fn gathered(folder: &Path) -> String {
    let mut out = "\n## Limits\n\nWhat comes from outside is bounded; these are not settings. Each stands beside the code that \
                   enforces it.\n\n| | at most | constant |\n|---|---|---|\n"
        .to_owned();
    // What only reads for the one who typed the command is no way in from outside.
    let is_inside = |path: &PathBuf| ["cli", "fleet"].iter().any(|room| path.starts_with(folder.join(room)));
    for path in sources(folder).into_iter().filter(|path| !is_inside(path)) {
        let text = fs::read_to_string(&path).expect("a readable file");
        let name = path.strip_prefix(folder).expect("below it").display().to_string();
        let mut words: Vec<&str> = Vec::new();
        for line in text.lines() {
            if let Some(said) = line.strip_prefix("///") {
                words.push(said.trim());
                continue;
            }
            let words = std::mem::take(&mut words).join(" ");
            // What takes another limit over stands there once.
            let limit = constant(line).filter(|(_, value)| !value.ends_with("_MAX"));
            let Some((constant, value)) = limit else { continue };
            if WORDS.iter().any(|word| words.starts_with(word)) {
                let value = shown(constant, value).unwrap_or_else(|| format!("`{value}`"));
                let words = words.replace('|', "\\|");
                writeln!(out, "| {words} | {value} | `{constant}` in `{name}` |").expect("a text takes it");
            }
        }
    }
    out
}

/// Name and value of a limit that the line defines.
fn constant(line: &str) -> Option<(&str, &str)> {
    let (_, definition) = line.split_once("const ").filter(|(before, _)| !before.starts_with(' '))?;
    let (name, rest) = definition.split_once(": ")?;
    let (_, value) = rest.split_once(" = ")?;
    name.ends_with("_MAX").then_some((name, value.strip_suffix(';')?))
}

fn shown(name: &str, value: &str) -> Option<String> {
    if let Some(seconds) = value.strip_prefix("Duration::from_secs(") {
        return Some(format!("{} s", number(seconds.strip_suffix(')')?)?));
    }
    let number = number(value)?;
    Some(match name.contains("BYTES") || name.contains("SIZE") {
        true if number.is_multiple_of(1024) => ByteSize(number).to_string(),
        true => format!("{number} bytes"),
        false => number.to_string(),
    })
}

/// What limits are written with: products, shifts and sizes.
fn number(value: &str) -> Option<u64> {
    for (open, factor) in [("ByteSize::mib(", 1 << 20), ("ByteSize::kib(", 1 << 10), ("ByteSize(", 1)] {
        if let Some(inside) = value.strip_prefix(open) {
            return Some(number(inside.strip_suffix(')')?)? * factor);
        }
    }
    if let Some((one, other)) = value.split_once(" << ") {
        return Some(number(one)? << number(other)?);
    }
    if let Some((one, other)) = value.split_once(" * ") {
        return Some(number(one)? * number(other)?);
    }
    match value {
        "u8::MAX as u64" => Some(u8::MAX.into()),
        "u16::MAX as u64" => Some(u16::MAX.into()),
        _ => value.replace('_', "").parse().ok(),
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![folder.to_path_buf()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}
