//! A basin that is in use, newer, damaged or none, as a process meets it: one line, and the right exit
//! code.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn forebay(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_forebay")).args(args).current_dir(folder).output().unwrap()
}

/// The built-in pipeline ran to its end here; its basin.
fn ran() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let ran = forebay(folder.path(), &["run", "--once"]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let basin = folder.path().join(BASIN);
    (folder, basin)
}

/// The command ends so, and says this in one line.
#[track_caller]
fn check(folder: &Path, args: &[&str], code: i32, says: &str) {
    let output = forebay(folder, args);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
    let lines: Vec<&str> = told.lines().filter(|line| line.contains(says)).collect();
    assert_eq!(lines.len(), 1, "{args:?}: {told}");
}

/// Flips a byte in both slots of a file.
fn damage(path: &Path, slot_bytes: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    for at in [40, slot_bytes + 40] {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    }
}

#[test]
fn a_second_process_is_told_which_one_has_the_basin() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::create_dir(path.join("logs")).unwrap();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/sample.evtx");
    fs::copy(sample, path.join("logs/a.evtx")).unwrap();
    let written = "[basin.disk]\npath = \"basin\"\n[source.logs.evtx]\npath = \"logs/*.evtx\"\n\
                   [output.xml]\nformat.xml = {}\nsink.file.path = \"./out/events.xml\"\n";
    let other = "[output.old]\nformat.json = {}\nsink.file.path = \"./out/old.json\"\n";
    fs::write(path.join("pipeline.toml"), format!("{written}{other}")).unwrap();
    assert!(forebay(path, &["run", "--once", "pipeline.toml"]).status.success());
    fs::write(path.join("pipeline.toml"), written).unwrap();
    let mut first = Command::new(env!("CARGO_BIN_EXE_forebay"))
        .args(["run", "pipeline.toml"])
        .current_dir(path)
        .spawn()
        .unwrap();
    // Made when all else is open.
    let start = Instant::now();
    while !path.join("basin/control.sock").exists() && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let says = format!("in use by process {}", first.id());
    check(path, &["run", "--once", "pipeline.toml"], 69, &says);
    check(path, &["basin", "forget", "basin", "old", "--socket", "elsewhere"], 69, &says);
    check(path, &["basin", "forget", "basin", "xml"], 65, "output `xml` is configured and stays");
    assert!(path.join("basin/cursors/old").exists());
    let forgot = forebay(path, &["basin", "forget", "basin", "old"]);
    assert!(forgot.status.success(), "{}", String::from_utf8_lossy(&forgot.stderr));
    assert!(!path.join("basin/cursors/old").exists(), "the one that runs has removed it");
    check(path, &["basin", "forget", "basin", "old"], 65, "no cursor named `old`");
    // Looking needs no lock.
    assert!(forebay(path, &["basin", "ls", "basin"]).status.success());
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(forebay(path, &["run", "--once", "pipeline.toml"]).status.success(), "the lock went with it");
}

#[test]
fn a_basin_of_a_newer_program_is_refused_by_every_command_and_left_alone() {
    let (folder, basin) = ran();
    let file = OpenOptions::new().write(true).open(basin.join("basin")).unwrap();
    file.write_all_at(&9_u32.to_le_bytes(), 8).unwrap();
    let says = "has format version 9, this program reads up to 1; run the newer forebay";
    for args in [
        ["run", "--once"].as_slice(),
        &["basin", "ls", BASIN],
        &["basin", "verify", BASIN],
        &["basin", "forget", BASIN, "events"],
    ] {
        check(folder.path(), args, 65, says);
    }
    assert!(basin.join("cursors/events").exists());
}

#[test]
fn a_damaged_cursor_or_identity_is_told_and_the_run_goes_on() {
    for (name, slot_bytes, says) in [
        ("cursors/events", 64 << 10, "cursor cursors/events is damaged"),
        ("basin", 4096, "/basin is damaged"),
    ] {
        let (folder, basin) = ran();
        damage(&basin.join(name), slot_bytes);
        let verified = forebay(folder.path(), &["basin", "verify", BASIN]);
        let told = String::from_utf8_lossy(&verified.stdout).into_owned();
        assert_eq!(verified.status.code(), Some(1), "{told}");
        assert!(told.lines().count() == 1 && told.contains(name) && told.contains("damaged"), "{told}");
        check(folder.path(), &["run", "--once"], 0, says);
        let verified = forebay(folder.path(), &["basin", "verify", BASIN]);
        assert_eq!(verified.status.code(), Some(0), "made anew");
    }
}

#[test]
fn rot_is_found_by_verify_with_its_place() {
    let (folder, basin) = ran();
    let segments = fs::read_dir(basin.join("segments")).unwrap().map(|entry| entry.unwrap().path());
    let segment = segments.min().unwrap();
    let bytes = fs::read(&segment).unwrap();
    let at = memchr::memmem::find(&bytes, b"<Event ").unwrap();
    OpenOptions::new().write(true).open(&segment).unwrap().write_all_at(b"X", at as u64).unwrap();
    let verified = forebay(folder.path(), &["basin", "verify", BASIN]);
    let told = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert_eq!(verified.status.code(), Some(1), "{told}");
    assert!(told.contains("segments/000000000001.seg") && told.contains("damaged"), "{told}");
}

#[test]
fn what_is_no_basin_or_no_cursor_is_said_so() {
    let (folder, _) = ran();
    check(folder.path(), &["basin", "forget", BASIN, "nobody"], 65, "has no cursor named `nobody`");
    fs::create_dir(folder.path().join("empty")).unwrap();
    for verb in ["ls", "verify"] {
        check(folder.path(), &["basin", verb, "empty"], 66, "there is no basin in empty; name the `path`");
        check(folder.path(), &["basin", verb, "absent"], 66, "there is no basin in absent; name the `path`");
        // A folder that only has a basin in it.
        let says = "there is no basin in forebay-out; there is one in forebay-out/basin";
        check(folder.path(), &["basin", verb, "forebay-out"], 66, says);
    }
    check(folder.path(), &["basin", "forget", "empty", "events"], 66, "there is no basin in empty");
    assert_eq!(fs::read_dir(folder.path().join("empty")).unwrap().count(), 0, "nothing is made there");
}

/// Of the built-in pipeline.
const BASIN: &str = "forebay-out/basin";
