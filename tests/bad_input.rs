//! Bad input through the program: one clear line each, the right exit code, and the events around
//! it still arrive.

use crate::support::live_log::LiveLog;
use crate::support::once::{events, findings, pipeline, run_once, text};
use crate::support::process::{Process, eventually, forebay, quiet, told};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const SAMPLE: &[u8] = include_bytes!("../pipelines/sample.evtx");
const SAMPLE_EVENTS: usize = 160;
const CHUNK_BYTES: usize = 65536;

/// The sample with bits flipped in the records of its second chunk.
fn flipped() -> Vec<u8> {
    let mut bytes = SAMPLE.to_vec();
    for at in (4096 + CHUNK_BYTES + 600..4096 + 2 * CHUNK_BYTES).step_by(2000) {
        bytes[at] ^= 0x10;
    }
    bytes
}

/// A log whose records say that they are longer and deeper than anything.
fn hostile() -> Vec<u8> {
    let mut bytes = SAMPLE.to_vec();
    for chunk in bytes[4096..].chunks_mut(CHUNK_BYTES) {
        // Where records have their BinXML: sizes, name offsets and template offsets of all ones.
        for at in (536..chunk.len() - 4).step_by(97) {
            chunk[at..at + 4].fill(0xff);
        }
    }
    bytes
}

#[test]
fn logs_that_are_empty_cut_flipped_or_hostile_do_not_hide_the_others() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("logs")).unwrap();
    let put = |name: &str, bytes: &[u8]| fs::write(folder.path().join("logs").join(name), bytes).unwrap();
    put("cut.evtx", &SAMPLE[..4096 + CHUNK_BYTES + 30_000]);
    put("empty.evtx", b"");
    put("flipped.evtx", &flipped());
    put("good.evtx", SAMPLE);
    put("head.evtx", &SAMPLE[..3000]);
    put("hostile.evtx", &hostile());
    put("text.evtx", &[b'x'; 100_000]);
    let ran = run_once(folder.path(), "evtx]\npath = 'logs'", b"");
    assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
    let mut told = findings(&text(&ran.stderr));
    told.sort();
    let expected = [
        "logs/cut.evtx is truncated",
        "logs/cut.evtx: a record cannot be read",
        "logs/empty.evtx is empty",
        "logs/flipped.evtx: a record cannot be read",
        "logs/head.evtx is truncated",
        "logs/hostile.evtx: a record cannot be read",
        "logs/text.evtx is not an event log",
    ];
    assert_eq!(told, expected);
    let events = events(folder.path());
    let of = |name: &str, whole: bool| {
        let file = format!("logs/{name}.evtx");
        events
            .iter()
            .filter(|event| event["Forebay"]["File"] == file && event.get("System").is_some() == whole)
            .count()
    };
    assert_eq!((of("good", true), of("good", false)), (SAMPLE_EVENTS, 0));
    assert!(
        of("cut", true) > 30 && of("flipped", true) > 100 && of("flipped", false) > 5,
        "{}",
        of("cut", true)
    );
    assert!(of("hostile", true) + of("hostile", false) > 0);
}

/// Why the run ended, which is its last line in the format of the log.
#[track_caller]
fn failure(told: &str) -> String {
    let last = told.lines().last().unwrap_or_default();
    let line: serde_json::Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("no JSON: {told}"));
    assert_eq!(line["level"], "ERROR", "{told}");
    line["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_source_without_anything_it_can_read_ends_with_the_code_that_says_why() {
    for (source, code, line) in [
        ("evtx]\npath = 'text.evtx'", 65, "text.evtx is not an event log"),
        ("evtx]\npath = 'empty.evtx'", 65, "empty.evtx is empty"),
        ("evtx]\npath = 'none.evtx'", 66, "cannot read none.evtx"),
        ("evtx]\npath = '*.none'", 66, "no file matches *.none"),
        ("replay]\npath = 'none.xml'", 66, "cannot read none.xml"),
        ("replay]\npath = '.'", 66, "cannot read ."),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("text.evtx"), "no log").unwrap();
        fs::write(folder.path().join("empty.evtx"), "").unwrap();
        let ran = run_once(folder.path(), source, b"");
        let told = text(&ran.stderr);
        assert_eq!(ran.status.code(), Some(code), "{told}");
        assert!(failure(&told).starts_with(&format!("source `dc`: {line}")), "{told}");
    }
}

#[test]
fn convert_reads_around_damage_and_refuses_what_is_no_log() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, code, lines) in [
        ("cut", &SAMPLE[..4096 + CHUNK_BYTES + 30_000], 0, 30..SAMPLE_EVENTS),
        ("empty", b"", 65, 0..1),
        ("flipped", &flipped()[..], 0, 100..SAMPLE_EVENTS + 1),
        ("head", &SAMPLE[..3000], 65, 0..1),
        ("hostile", &hostile()[..], 65, 1..SAMPLE_EVENTS + 1),
        ("text", b"no log", 65, 0..1),
    ] {
        fs::write(folder.path().join(name), bytes).unwrap();
        let ran = Command::new(env!("CARGO_BIN_EXE_forebay"))
            .args(["convert", name])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert_eq!(ran.status.code(), Some(code), "{name}: {}", text(&ran.stderr));
        let written = text(&ran.stdout);
        assert!(written.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
        assert!(lines.contains(&written.lines().count()), "{name}: {}", written.lines().count());
        let kind = if written.is_empty() { "error" } else { "warning" };
        let told = text(&ran.stderr);
        assert!(told.starts_with(&format!("{kind}: {name}: ")), "{name}: {told}");
        assert!(kind == "warning" || told.lines().count() == 1, "{name}: {told}");
    }
}

fn event(number: usize) -> String {
    format!("<Event><System><EventRecordID>{number}</EventRecordID><Channel>C</Channel></System></Event>")
}

#[test]
fn xml_that_is_unbalanced_or_declares_entities_travels_raw_and_expands_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let bomb: String = (1..10)
        .map(|level| {
            let inner = format!("&e{};", level - 1).repeat(10);
            format!("<!ENTITY e{level} \"{inner}\">")
        })
        .collect();
    let input = format!(
        "{}\n<Event><System></Event>\n{}\n<!DOCTYPE Event [<!ENTITY e0 \"ha\">{bomb}]>\n\
         <Event><System><Computer>&e9;</Computer></System></Event>\n{}\n<Event><EventData><Data>\n{}\n</Event>\n{}",
        event(1),
        event(2),
        event(3),
        event(4),
        event(5),
    );
    let ran = run_once(folder.path(), "replay]\npath = '-'", input.as_bytes());
    let told = text(&ran.stderr);
    assert_eq!(ran.status.code(), Some(0), "{told}");
    assert_eq!(findings(&told), ["-: an event cannot be read", "-: a document type declaration is left out"]);
    let events = events(folder.path());
    let ids: Vec<u64> = events.iter().filter_map(|event| event["System"]["EventRecordID"].as_u64()).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5]);
    assert!(fs::metadata(folder.path().join("events.jsonl")).unwrap().len() < 10_000);
    assert!(events.iter().any(|event| event["Forebay"]["Raw"] == "<Event><System></Event>"), "{events:?}");
}

#[test]
fn a_hundred_megabytes_in_one_line_are_read_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut input = event(1).into_bytes();
    input.extend_from_slice(b"<Event><EventData><Data>");
    input.resize(100 << 20, b'x');
    input.extend_from_slice(b"</Data></EventData></Event>");
    input.extend_from_slice(event(2).as_bytes());
    pipeline(folder.path(), "replay]\npath = '-'\n[limits]\nmemory_max = '32MiB'");
    fs::write(folder.path().join("input"), input).unwrap();
    let mut command = forebay(folder.path(), &["run", "--once", "pipeline.toml"]);
    command.stdin(fs::File::open(folder.path().join("input")).unwrap());
    let process = Process::start(command);
    let mut peak = 0;
    eventually("the run ends", || {
        let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        peak = kib.unwrap_or(peak).max(peak);
        // A process that has ended and was not waited for has no memory.
        kib.is_none()
    });
    assert_eq!(process.code(), Some(0), "{}", told(folder.path()));
    assert_eq!(findings(&told(folder.path())).len(), 1, "{}", told(folder.path()));
    let events = events(folder.path());
    let ids: Vec<u64> = events.iter().filter_map(|event| event["System"]["EventRecordID"].as_u64()).collect();
    assert_eq!(ids, [1, 2]);
    println!("{peak} KiB at most");
    assert!((1..200 << 10).contains(&peak), "{peak} KiB");
}

#[test]
fn a_folder_that_may_not_be_read_is_told_and_the_others_are_read() {
    const TEST: &str = "a_folder_that_may_not_be_read_is_told_and_the_others_are_read";
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open(folder.path(), 0o777);
    for name in ["closed", "free"] {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("a.evtx"), SAMPLE).unwrap();
    }
    open(&folder.path().join("closed"), 0);
    // Root may read everything; the copy is where somebody else may run it.
    let root = rustix::process::geteuid().is_root();
    let program = folder.path().join("forebay");
    fs::copy(env!("CARGO_BIN_EXE_forebay"), &program).unwrap();
    let code = |source: &str| {
        pipeline(folder.path(), source);
        let mut command = Command::new(if root { "setpriv".as_ref() } else { program.as_os_str() });
        if root {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
        }
        command.args(["run", "--once", "pipeline.toml"]);
        let command = quiet(command, folder.path());
        open(&folder.path().join("stderr.log"), 0o666);
        Process::start(command).code()
    };
    if root && Command::new("setpriv").arg("--version").output().is_err() {
        return println!("SKIP {TEST}: setpriv is not installed");
    }
    let some = code("evtx]\npath = ['closed', 'free']");
    assert_eq!(some, Some(0), "{}", told(folder.path()));
    assert_eq!(findings(&told(folder.path())), ["cannot read closed"]);
    assert_eq!(events(folder.path()).len(), SAMPLE_EVENTS);
    assert_eq!(code("evtx]\npath = 'closed'"), Some(77));
    assert_eq!(
        failure(&told(folder.path())),
        "source `dc`: cannot read closed: Permission denied (os error 13); let this user read it"
    );
    open(&folder.path().join("closed"), 0o700);
}

#[test]
fn a_basin_belongs_to_one_process() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.evtx"), SAMPLE).unwrap();
    pipeline(folder.path(), "evtx]\npath = 'a.evtx'");
    let first = Process::start(forebay(folder.path(), &["run", "pipeline.toml"]));
    eventually("the first one has delivered", || events(folder.path()).len() == SAMPLE_EVENTS);
    let second = Command::new(env!("CARGO_BIN_EXE_forebay"))
        .args(["run", "pipeline.toml"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let told = text(&second.stderr);
    assert_eq!((second.status.code(), told.lines().count()), (Some(69), 1), "{told}");
    assert!(failure(&told).starts_with("basin basin is in use by process"), "{told}");
    first.stop();
    assert_eq!(first.code(), Some(0));
    assert_eq!(events(folder.path()).len(), SAMPLE_EVENTS);
}

#[test]
fn a_wrong_pipeline_is_refused_by_run_before_anything_is_made() {
    const RIGHT: &str = "[basin.disk]\npath = 'basin'\n[source.dc.evtx]\npath = 'logs'\n[output.lake]\nsink.file.path = './events.jsonl'\n";
    for (wrong, line) in [
        (format!("{RIGHT}strat = 'newest'\n"), "error: p.toml:7:1: unknown key `strat` in `output.lake`"),
        (
            format!("{RIGHT}[output.lake]\nsink.stdout = {{}}\n"),
            "error: p.toml:7:9: `output.lake` is defined twice",
        ),
        (
            RIGHT.replace("'logs'", "'${env:FOREBAY_NOT_SET}'"),
            "error: p.toml:4:8: environment variable `FOREBAY_NOT_SET` is not set",
        ),
        (RIGHT.replace("'logs'", "'logs"), "error: p.toml:4:13: invalid literal string"),
        (RIGHT.replace("evtx", "evxt"), "error: p.toml:3:12: unknown key `evxt` in `source.dc`"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("p.toml"), wrong).unwrap();
        let ran = Command::new(env!("CARGO_BIN_EXE_forebay"))
            .args(["run", "p.toml"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let told = text(&ran.stderr);
        assert_eq!(ran.status.code(), Some(78), "{told}");
        assert!(told.starts_with(line), "{told}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

/// Rollover, replacement and deletion, all in one run that goes on.
#[test]
fn a_log_that_is_archived_replaced_or_deleted_under_the_program_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join("logs").join(name);
    fs::create_dir(folder.path().join("logs")).unwrap();
    let write = |log: &mut LiveLog, ids: std::ops::RangeInclusive<usize>| {
        for id in ids {
            log.append(&event(id), 133_000_000_000_000_000 + id as u64 * 10_000).unwrap();
        }
    };
    let create = |name: &str| LiveLog::create(&path(name), 16, Duration::ZERO).unwrap();
    let mut security = create("Security.evtx");
    write(&mut security, 1..=200);
    pipeline(folder.path(), "evtx]\npath = 'logs'\npoll = '100ms'");
    let process = Process::start(forebay(folder.path(), &["run", "pipeline.toml"]));
    let reached = |count: usize| {
        eventually("they arrive", || {
            fs::read(folder.path().join("events.jsonl"))
                .is_ok_and(|text| text.iter().filter(|&&byte| byte == b'\n').count() >= count)
        })
    };
    reached(200);
    write(&mut security, 201..=250);
    fs::rename(path("Security.evtx"), path("Archive-Security-2026-01-14-18-33-55-830.evtx")).unwrap();
    write(&mut security, 251..=260);
    security.close().unwrap();
    let mut next = create("Security.evtx");
    write(&mut next, 261..=300);
    reached(300);
    let mut other = create("other");
    write(&mut other, 301..=350);
    fs::rename(path("other"), path("Security.evtx")).unwrap();
    reached(350);
    fs::remove_file(path("Security.evtx")).unwrap();
    eventually("the deletion is told", || told(folder.path()).contains("was deleted"));
    process.stop();
    assert_eq!(process.code(), Some(0), "{}", told(folder.path()));
    let ids: Vec<u64> =
        events(folder.path()).iter().filter_map(|event| event["System"]["EventRecordID"].as_u64()).collect();
    assert_eq!(ids, (1..=350).collect::<Vec<_>>());
    // The log that took the name counts its records from one.
    assert_eq!(
        findings(&told(folder.path())),
        ["logs/Security.evtx: the log was cleared", "logs/Security.evtx was deleted or moved out of `path`"]
    );
}
