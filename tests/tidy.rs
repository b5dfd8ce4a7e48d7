//! The shape of the source tree, as a test: which room may import which, what a pure room must not
//! touch, and that every file says what it is.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Room → the rooms it may import (itself always). Names are the first path element after `crate::`.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("units", &[]),
    ("finding", &[]),
    ("event", &[]),
    ("evtx", &["event"]),
    ("filter", &["event"]),
    ("format", &["event"]),
    ("wsman", &["event"]),
    ("kerberos", &["event", "finding"]),
    ("auth", &["event", "kerberos", "wsman", "units", "finding"]),
    ("fleet", &["event", "filter", "format", "wsman", "kerberos", "auth"]),
    ("telemetry", &["units", "finding", "basin"]),
    ("basin", &["event", "units", "finding", "telemetry"]),
    ("sink", &["auth", "event", "evtx", "filter", "format", "units", "finding", "telemetry"]),
    ("source", &["event", "evtx", "filter", "wsman", "auth", "basin", "units", "finding", "telemetry"]),
    ("config", &["basin", "sink", "source", "filter", "format", "telemetry", "units", "finding"]),
    (
        "pipeline",
        &[
            "basin",
            "config",
            "event",
            "evtx",
            "filter",
            "finding",
            "format",
            "sink",
            "source",
            "telemetry",
            "units",
        ],
    ),
    (
        "cli",
        &[
            "basin",
            "config",
            "event",
            "evtx",
            "filter",
            "finding",
            "fleet",
            "format",
            "kerberos",
            "pipeline",
            "sink",
            "source",
            "telemetry",
            "units",
        ],
    ),
];

/// Rooms that only see bytes: fuzzed and replayed without a runtime.
const PURE: &[&str] = &["event", "evtx", "filter", "format", "wsman", "kerberos"];
const IMPURE_WORDS: &[&str] = &[
    "tokio",
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::thread",
    "SystemTime::now",
    "Instant::now",
    "rustix",
];

#[test]
fn rooms_import_only_what_the_table_allows() {
    let mut wrong = String::new();
    for (path, text) in sources() {
        let room = room_of(&path);
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == room) else {
            if !["lib", "main"].contains(&room.as_str()) {
                writeln!(wrong, "{}: room `{room}` is not in the table", path.display()).unwrap();
            }
            continue;
        };
        for (line, used) in imports(product_code(&text)) {
            if used != room && !allowed.contains(&used.as_str()) {
                writeln!(wrong, "{}:{line}: `{room}` must not import `{used}`", path.display()).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn pure_rooms_touch_no_file_socket_clock_or_thread() {
    let mut wrong = String::new();
    for (path, text) in sources() {
        if !PURE.contains(&room_of(&path).as_str()) || is_for_tests(&path) {
            continue;
        }
        for (number, line) in product_code(&text).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in IMPURE_WORDS.iter().filter(|word| code.contains(**word)) {
                writeln!(wrong, "{}:{}: `{word}` in a pure room", path.display(), number + 1).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_file_opens_with_what_it_is() {
    let mut wrong = String::new();
    for (path, text) in sources().into_iter().chain(read_all("tests")).chain(read_all("benches")) {
        if !text.starts_with("//!") {
            writeln!(wrong, "{}: no `//!` header", path.display()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Longest file of the product, and those that are longer: they may shrink, no other may join them.
const LINES_MAX: usize = 400;
const LONGER: &[(&str, usize)] = &[("src/event/utf16.rs", 580), ("src/source/evtx/slots.rs", 410)];

#[test]
fn files_stay_short_enough_to_be_read() {
    let mut wrong = String::new();
    for (path, text) in sources() {
        let longer = LONGER.iter().find(|(name, _)| Path::new(name) == path);
        let (lines, max) = (text.lines().count(), longer.map_or(LINES_MAX, |(_, max)| *max));
        if lines > max && !is_for_tests(&path) {
            writeln!(wrong, "{}: {lines} lines, at most {max}; split it along a seam", path.display())
                .unwrap();
        }
        if longer.is_some() && lines <= LINES_MAX {
            writeln!(wrong, "{}: is short now, take it off the list", path.display()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn nothing_is_left_for_later() {
    // Spelled in halves so that this file does not find itself.
    let marks =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("todo", "!("), concat!("unimplemented", "!(")];
    let mut wrong = String::new();
    for (path, text) in sources().into_iter().chain(read_all("tests")) {
        for (number, line) in text.lines().enumerate() {
            if let Some(mark) = marks.iter().find(|mark| line.contains(**mark)) {
                writeln!(wrong, "{}:{}: {mark}", path.display(), number + 1).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

fn sources() -> Vec<(PathBuf, String)> {
    read_all("src")
}

fn read_all(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut folders, mut files) = (vec![root.join(folder)], Vec::new());
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.expect("a readable folder").path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a readable file");
                files.push((path.strip_prefix(root).expect("below the root").to_path_buf(), text));
            }
        }
    }
    files.sort();
    files
}

/// `src/event/xml.rs` and `src/event.rs` are of the room `event`.
fn room_of(path: &Path) -> String {
    let first = path.components().nth(1).expect("below src").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_string()
}

/// A file that only the tests of a room are made of; golden files are read there.
fn is_for_tests(path: &Path) -> bool {
    path.components()
        .any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs" | "contract.rs")))
}

/// The text before the test module at the file's end; test files of a room import what they like.
fn product_code(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

/// Rooms named after `crate::`, also inside braces: `use crate::{event::Value, units};`.
fn imports(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for after in code.split("crate::").skip(1) {
            let names = match after.strip_prefix('{') {
                Some(list) => top_level_names(list),
                None => vec![word(after)],
            };
            let lower = |name: &String| name.starts_with(|c: char| c.is_ascii_lowercase());
            found.extend(names.into_iter().filter(lower).map(|name| (number + 1, name)));
        }
    }
    found
}

fn top_level_names(list: &str) -> Vec<String> {
    let (mut names, mut depth, mut fresh) = (Vec::new(), 0, true);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' => fresh = depth == 0,
            c if fresh && c.is_ascii_alphabetic() => {
                names.push(word(&list[at..]));
                fresh = false;
            }
            _ => {}
        }
        if depth < 0 {
            break;
        }
    }
    names
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}
