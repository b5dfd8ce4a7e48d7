//! The unit of systemd: valid and hardened in systemd's own judgement, and nothing that it forbids is what the
//! program does.

use forebay::cli::Exit;
use forebay::units::Span;
use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Exposure in systemd's own scale, times ten: 0 is nothing, 100 everything. What systemd itself
/// calls safe has 25 or less.
const EXPOSURE_MAX: &str = "13";

pub(super) fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/forebay.service")
}

/// The unit file as it is written.
pub(super) struct Unit(Vec<(String, String)>);

impl Unit {
    pub(super) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with(['#', '[']) && !line.is_empty());
        Self(lines.map(|line| line.split_once('=').expect(line)).map(|(k, v)| (k.into(), v.into())).collect())
    }

    pub(super) fn all(&self, key: &str) -> Vec<&str> {
        self.0.iter().filter(|(name, _)| name == key).map(|(_, value)| value.as_str()).collect()
    }

    #[track_caller]
    pub(super) fn one(&self, key: &str) -> &str {
        let all = self.all(key);
        assert_eq!(all.len(), 1, "{key}");
        all[0]
    }
}

/// `systemd-analyze`, or a word on why the test is skipped.
fn analyze(test: &str) -> Option<Command> {
    let mut command = Command::new("systemd-analyze");
    command.env("SYSTEMD_PAGER", "").env("SYSTEMD_COLORS", "0").env("LC_ALL", "C");
    match Command::new("systemd-analyze").arg("--version").output() {
        Ok(_) => Some(command),
        Err(_) => {
            println!("SKIP {test}: systemd-analyze is not installed");
            None
        }
    }
}

/// Both streams.
fn said(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    let said = [&output.stdout[..], &output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn systemd_finds_the_unit_valid_and_hardened() {
    let Some(mut verify) = analyze("systemd_finds_the_unit_valid_and_hardened") else { return };
    let folder = tempfile::tempdir().unwrap();
    // Where it is installed the program is in its place.
    let text = fs::read_to_string(path()).unwrap();
    let unit = folder.path().join("forebay.service");
    fs::write(&unit, text.replace("/usr/bin/forebay", env!("CARGO_BIN_EXE_forebay"))).unwrap();
    let (valid, told) = said(verify.arg("verify").arg(&unit));
    assert!(valid && !told.contains("forebay"), "{told}");
    // A key that is written wrong is told of.
    fs::write(&unit, text.replace("NoNewPrivileges=", "NoNewPrivilege=")).unwrap();
    let (_, told) = said(analyze("").unwrap().arg("verify").arg(&unit));
    assert!(told.contains("NoNewPrivilege"), "{told}");

    let mut security = analyze("").unwrap();
    security.args(["security", "--offline=true", "--no-pager", &format!("--threshold={EXPOSURE_MAX}")]);
    let (hardened, told) = said(security.arg(path()));
    let overall = told.lines().find(|line| line.contains("Overall exposure level"));
    assert!(hardened, "{told}");
    println!("{}", overall.unwrap().trim());
}

#[test]
fn the_unit_stops_reloads_and_restarts_as_the_program_does() {
    let unit = Unit::read(&path());
    let start: Vec<&str> = unit.one("ExecStart").split(' ').collect();
    let drain = start.iter().position(|word| *word == "--drain").expect("--drain");
    let drain = Span::parse(start[drain + 1]).unwrap().0.as_secs();
    let stop: u64 = unit.one("TimeoutStopSec").parse().unwrap();
    assert!(drain + 5 <= stop, "{drain} s to drain, killed after {stop} s");
    let pipeline = start.last().unwrap();
    let check = format!("/usr/bin/forebay check {pipeline}");
    // `run` checks too, and only its own exit status can prevent a restart.
    assert_eq!(unit.one("ExecStartPre"), format!("-{check}"));
    assert_eq!(unit.all("ExecReload"), [&check, "/bin/kill -HUP $MAINPID"]);
    assert_eq!(unit.one("Type"), "notify");
    assert!(unit.one("WatchdogSec").parse::<u64>().unwrap() > 10);
    let never = format!("{} {}", Exit::Usage.code(), Exit::Config.code());
    assert_eq!((unit.one("Restart"), unit.one("RestartPreventExitStatus")), ("on-failure", &*never));
    assert_eq!((unit.one("User"), unit.one("StateDirectory")), ("forebay", "forebay"));
}

/// How `forebay run` ends with a pipeline, in a folder with a file `plain`.
fn ends(pipeline: &str) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plain"), "").unwrap();
    fs::write(folder.path().join("p.toml"), pipeline).unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_forebay"));
    let output = run.args(["run", "p.toml"]).current_dir(folder.path()).output().unwrap();
    (output.status.code().unwrap().to_string(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn what_may_pass_is_tried_until_it_goes_and_a_wrong_file_only_once() {
    let unit = Unit::read(&path());
    let never: Vec<&str> = unit.one("RestartPreventExitStatus").split(' ').collect();
    assert_eq!((unit.one("StartLimitIntervalSec"), unit.all("StartLimitBurst").len()), ("0", 0));
    assert!(unit.one("RestartSec").parse::<u64>().unwrap() >= 5, "it does not keep a processor busy");

    let rest = "[source.a.replay]\npath = '-'\n[output.o]\nsink.file.path = './out.jsonl'\n";
    for wrong in ["[basin.dsik]\n", "[basin.disk\n", "[basin.disk]\npath = '${env:FOREBAY_NOPE}'\n"] {
        let (status, told) = ends(&format!("{wrong}{rest}"));
        assert!(never.contains(&&*status), "{status}: {told}");
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("[basin.memory]\n[http]\nlisten = '{}'\n", taken.local_addr().unwrap());
    for passing in [&*port, "[basin.disk]\npath = './plain/basin'\n"] {
        let (status, told) = ends(&format!("{passing}{rest}"));
        assert!(status != "0" && !never.contains(&&*status), "{status}: {told}");
    }
}

/// Names of a set of system calls, those of the sets in it too.
fn calls(set: &str) -> BTreeSet<String> {
    let (_, told) = said(analyze("").unwrap().args(["syscall-filter", set]));
    let (mut names, lines) = (BTreeSet::new(), told.lines().skip(1).map(str::trim));
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with('@') {
            names.append(&mut calls(line));
        } else {
            names.insert(line.to_owned());
        }
    }
    names
}

/// A collector with TLS, hosts, a basin and files, all in one process.
#[test]
fn nothing_that_the_unit_forbids_is_what_the_program_does() {
    const TEST: &str = "nothing_that_the_unit_forbids_is_what_the_program_does";
    let Some(_) = analyze(TEST) else { return };
    if Command::new("strace").arg("-V").output().is_err() {
        return println!("SKIP {TEST}: strace is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-o", "trace", env!("CARGO_BIN_EXE_forebay"), "demo", "--seconds", "1"]);
    traced.args(["--hosts", "3", "--rate", "60"]).current_dir(folder.path());
    let (good, told) = said(&mut traced);
    assert!(good, "{told}");
    let trace = fs::read_to_string(folder.path().join("trace")).unwrap();

    let unit = Unit::read(&path());
    let filters = unit.all("SystemCallFilter");
    assert_eq!(filters, ["@system-service", "~@privileged"]);
    let (allowed, forbidden) = (calls("@system-service"), calls("@privileged"));
    assert!(allowed.len() > 200 && forbidden.len() > 30);
    let families: Vec<&str> = unit.one("RestrictAddressFamilies").split(' ').collect();
    let mut used = BTreeSet::new();
    for line in trace.lines() {
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        let Some((name, arguments)) = call.split_once('(') else { continue };
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            continue;
        }
        used.insert(name.to_owned());
        if name == "socket" {
            let family = arguments.split(',').next().unwrap();
            assert!(families.contains(&family), "{line}");
        }
        // MemoryDenyWriteExecute.
        let is_code = arguments.contains("PROT_EXEC");
        let is_written = name == "mprotect" || arguments.contains("PROT_WRITE");
        assert!(!(is_code && is_written && ["mmap", "mprotect"].contains(&name)), "{line}");
    }
    let wrong: Vec<&String> =
        used.iter().filter(|call| !allowed.contains(*call) || forbidden.contains(*call)).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(used.contains("fdatasync") && used.contains("socket"), "{used:?}");
    println!("{} system calls are used, all of them allowed", used.len());
}

/// With `ProcSubset=pid` there is nothing else in /proc.
#[test]
fn nothing_is_read_of_proc_but_processes() {
    const TEST: &str = "nothing_is_read_of_proc_but_processes";
    assert_eq!(Unit::read(&path()).one("ProcSubset"), "pid");
    if Command::new("strace").arg("-V").output().is_err() {
        return println!("SKIP {TEST}: strace is not installed");
    }
    let (folder, pipelines) = (tempfile::tempdir().unwrap(), path().with_file_name("../pipelines"));
    let mut seen = 0;
    for pipeline in fs::read_dir(pipelines).unwrap().map(|entry| entry.unwrap().path()) {
        if pipeline.extension().is_none_or(|end| end != "toml") {
            continue;
        }
        let mut traced = Command::new("strace");
        traced.args([
            "-f",
            "-qq",
            "-e",
            "trace=%file",
            "-o",
            "trace",
            env!("CARGO_BIN_EXE_forebay"),
            "check",
        ]);
        said(traced.arg(&pipeline).current_dir(folder.path()));
        let trace = fs::read_to_string(folder.path().join("trace")).unwrap();
        for line in trace.lines() {
            let Some((_, rest)) = line.split_once("\"/proc/") else { continue };
            let of = rest.split(['/', '"']).next().unwrap();
            let is_process = ["self", "thread-self"].contains(&of) || of.parse::<u32>().is_ok();
            assert!(is_process, "{}: {line}", pipeline.display());
            seen += 1;
        }
    }
    println!("{seen} files of processes were looked at");
}
