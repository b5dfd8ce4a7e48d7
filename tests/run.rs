//! `forebay run` as a process: the built-in pipeline, and SIGKILL at any moment.

use crate::support::process::{self, Process, eventually};
use forebay::telemetry::control;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

fn forebay(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_forebay")).args(args).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_built_in_pipeline_makes_json_lines_of_the_sample_once() {
    let folder = tempfile::tempdir().unwrap();
    for again in [false, true] {
        let ran = forebay(folder.path(), &["run", "--once"]);
        assert!(ran.status.success(), "{}", text(&ran.stderr));
        assert_eq!(text(&ran.stderr).contains("nothing is new since the last run"), again);
        let lines = std::fs::read_to_string(folder.path().join("forebay-out/events.jsonl")).unwrap();
        assert_eq!(lines.lines().count(), 160);
        assert!(lines.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    }

    let listed = forebay(folder.path(), &["basin", "ls", "-o", "json", "forebay-out/basin"]);
    let listing: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listing["cursors"][0]["output"], "events");
    assert_eq!(listing["cursors"][0]["lag_events"], 0);
    let verified = forebay(folder.path(), &["basin", "verify", "forebay-out/basin"]);
    assert_eq!(text(&verified.stdout), "no damage\n");
    let forgot = forebay(folder.path(), &["basin", "forget", "forebay-out/basin", "events"]);
    assert!(forgot.status.success(), "{}", text(&forgot.stderr));
    let absent = forebay(folder.path(), &["basin", "ls", "no/such/basin"]);
    assert_eq!(absent.status.code(), Some(66), "{}", text(&absent.stderr));
}

/// Once in all that is written, and in the format of the log.
#[test]
fn what_ends_a_run_is_told_once_and_in_the_format_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("no-log.evtx"), "text").unwrap();
    for (kind, path) in [("evtx", "missing.evtx"), ("evtx", "no-log.evtx"), ("replay", "missing.xml")] {
        for format in ["text", "json"] {
            let pipeline = format!(
                "log.format = '{format}'\n[basin.disk]\npath = 'basin'\n[source.s.{kind}]\npath = '{path}'\n\
                 [output.o]\nsink.file.path = './out/o.jsonl'\n"
            );
            std::fs::write(folder.path().join("p.toml"), pipeline).unwrap();
            let ran = forebay(folder.path(), &["run", "--once", "p.toml"]);
            let told = text(&ran.stderr);
            assert!(ran.status.code().is_some_and(|code| [65, 66].contains(&code)), "{told}");
            assert_eq!(told.matches(path).count(), 1, "{told}");
            let last = told.lines().last().unwrap_or_default();
            assert!(last.contains(path), "{told}");
            if format == "json" {
                let is_object =
                    |line| serde_json::from_str::<serde_json::Value>(line).is_ok_and(|v| v.is_object());
                assert!(told.lines().all(is_object) && last.contains("\"ERROR\""), "{told}");
            } else {
                assert!(last.starts_with("error: "), "{told}");
            }
        }
    }
}

/// Killed again and again at moments that differ, every event is in the file once and whole.
#[test]
fn a_killed_run_goes_on_without_a_loss_a_repetition_or_a_torn_line() {
    const KILLS: u64 = 12;
    let folder = tempfile::tempdir().unwrap();
    let log = sample_many(folder.path());
    let pipeline = folder.path().join("pipeline.toml");
    let written = "[basin.disk]\npath = \"basin\"\n[source.logs.evtx]\npath = \"logs/*.evtx\"\n\
                   [output.xml]\nformat.xml = {}\nsink.file.path = \"./out/events.xml\"\n";
    std::fs::write(&pipeline, written).unwrap();
    for kill in 0..KILLS {
        let mut child = Command::new(env!("CARGO_BIN_EXE_forebay"))
            .args(["run", "pipeline.toml"])
            .current_dir(folder.path())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(15 + kill * 37 % 160));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let ran = forebay(folder.path(), &["run", "--once", "pipeline.toml"]);
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    let found = std::fs::read(folder.path().join("out/events.xml")).unwrap();
    let expected = forebay(folder.path(), &["convert", "--format", "xml", log.to_str().unwrap()]);
    assert!(
        expected.status.success() && found == expected.stdout,
        "{} bytes, not {}",
        found.len(),
        expected.stdout.len()
    );
}

/// A log of a few thousand events: the sample, joined with itself.
fn sample_many(folder: &Path) -> PathBuf {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/sample.evtx");
    std::fs::create_dir(folder.join("logs")).unwrap();
    std::fs::create_dir(folder.join("out")).unwrap();
    let log = folder.join("logs/many.evtx");
    let mut args = vec!["convert", "--format", "evtx", "-o", log.to_str().unwrap()];
    args.extend(std::iter::repeat_n(sample.to_str().unwrap(), 20));
    let made = forebay(folder, &args);
    assert!(made.status.success(), "{}", text(&made.stderr));
    log
}

#[test]
fn a_pipeline_file_that_is_not_there_has_one_code_for_all_commands() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["run", "check"] {
        let refused = forebay(folder.path(), &[command, "missing.toml"]);
        assert_eq!(refused.status.code(), Some(66), "{command}");
        assert!(text(&refused.stderr).starts_with("error: cannot read missing.toml"), "{command}");
    }
}

#[test]
fn a_reload_changes_how_much_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let write = |log: &str| {
        let written = format!(
            "{log}\n[basin.disk]\npath = 'basin'\n[source.logs.evtx]\npath = 'logs/*.evtx'\n\
             [output.out]\nformat.json = {{}}\nsink.file.path = './out.jsonl'\n"
        );
        std::fs::write(path.join("pipeline.toml"), written).unwrap();
    };
    std::fs::create_dir(path.join("logs")).unwrap();
    write("log.level = 'error'");
    let process = Process::start(process::forebay(path, &["run", "pipeline.toml"]));
    let request = serde_json::json!({ "verb": "reload" });
    let socket = path.join("basin/control.sock");
    eventually("it runs", || socket.exists());
    let reload = |log: &str, says: &str| {
        write(log);
        eventually("the control socket answers", || control::ask(&socket, &request).is_ok());
        eventually(says, || process::told(path).contains(says));
    };
    reload("log.level = 'info'", "changing over");
    reload("log = { level = 'warn', format = 'json' }", "`log.format` is another now");
    process.stop();
    assert_eq!(process.code(), Some(0));
    let told = process::told(path);
    assert_eq!(told.matches("changing over").count(), 1, "{told}");
}
