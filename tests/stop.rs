//! How a run ends: SIGTERM with each basin, SIGKILL with the memory basin, and a disk that is full
//! for a while.

use crate::support::live_log::LiveLog;
use crate::support::process::{Process, eventually, forebay, told};
use crate::support::small_disk::SmallDisk;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

struct Bench {
    folder: tempfile::TempDir,
    log: LiveLog,
}

impl Bench {
    /// A log of a few events; `output` says what stands behind `[output.lake]`.
    fn new(basin: &str, output: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pipeline = format!(
            "{basin}\n[source.dc.evtx]\npath = 'a.evtx'\npoll = '100ms'\n[output.lake]\n\
             retry = {{ pause_min = '50ms', pause_max = '200ms' }}\n{output}\n"
        );
        fs::write(folder.path().join("pipeline.toml"), pipeline).unwrap();
        let log = LiveLog::create(&folder.path().join("a.evtx"), 512, Duration::ZERO).unwrap();
        let mut bench = Self { folder, log };
        bench.write(100);
        bench
    }

    fn write(&mut self, count: u64) {
        self.log.append_numbered(count, 500);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, more: &[&str]) -> Process {
        let args: Vec<&str> = ["run", "pipeline.toml"].iter().chain(more).copied().collect();
        Process::start(forebay(self.folder.path(), &args))
    }

    fn told(&self) -> String {
        told(self.folder.path())
    }

    /// The output has each record once, in order and whole.
    #[track_caller]
    fn has_all(&self, path: &Path) {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.ends_with('\n'), "the last line is torn");
        assert_eq!(ids(&text), (1..self.log.next_record_id()).collect::<Vec<_>>(), "{}", self.told());
    }
}

fn ids(text: &str) -> Vec<u64> {
    let ids = text.lines().map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        event["System"]["EventRecordID"].as_u64().unwrap()
    });
    ids.collect()
}

fn lines(path: &Path) -> usize {
    fs::read(path).map_or(0, |text| text.iter().filter(|&&byte| byte == b'\n').count())
}

const MEMORY: &str = "[basin.memory]";
const DISK: &str = "[basin.disk]\npath = 'basin'\nsize_max = '64MiB'\nsegment_size = '1MiB'";
const FILE: &str = "sink.file.path = './out/events.jsonl'";

/// An output that takes nothing: its folder cannot be made where a file stands.
fn block(bench: &Bench) {
    fs::write(bench.path("out"), "in the way").unwrap();
}

fn unblock(bench: &Bench) {
    fs::remove_file(bench.path("out")).unwrap();
}

#[test]
fn sigterm_ends_with_zero_when_everything_is_delivered() {
    for basin in [MEMORY, DISK] {
        let bench = Bench::new(basin, FILE);
        let process = bench.run(&[]);
        eventually("events are delivered", || lines(&bench.path("out/events.jsonl")) == 100);
        process.stop();
        assert_eq!(process.code(), Some(0), "{}", bench.told());
        bench.has_all(&bench.path("out/events.jsonl"));
    }
}

#[test]
fn sigterm_with_a_dead_output_ends_with_zero_if_the_disk_basin_keeps_it() {
    let bench = Bench::new(DISK, FILE);
    block(&bench);
    let process = bench.run(&["--drain", "300ms"]);
    eventually("the output cannot write", || bench.told().contains("trying again"));
    process.stop();
    assert_eq!(process.code(), Some(0), "{}", bench.told());
    unblock(&bench);
    assert_eq!(bench.run(&["--once"]).code(), Some(0), "{}", bench.told());
    bench.has_all(&bench.path("out/events.jsonl"));
}

#[test]
fn sigterm_with_a_dead_output_ends_with_75_if_only_memory_holds_it() {
    let bench = Bench::new(MEMORY, FILE);
    block(&bench);
    let process = bench.run(&["--drain", "300ms"]);
    eventually("the output cannot write", || bench.told().contains("trying again"));
    process.stop();
    assert_eq!(process.code(), Some(75), "{}", bench.told());
    // Nothing was acknowledged, so the log still has it all.
    unblock(&bench);
    assert_eq!(bench.run(&["--once"]).code(), Some(0), "{}", bench.told());
    bench.has_all(&bench.path("out/events.jsonl"));
}

/// A closed standard output ends the run; what another output has not got yet counts.
#[test]
fn a_closed_pipe_ends_with_75_if_only_memory_holds_what_another_output_lacks() {
    for (basin, code) in [(MEMORY, 75), (DISK, 0)] {
        for once in [false, true] {
            let mut bench = Bench::new(basin, &format!("{FILE}\n[output.pipe]\nsink.stdout = {{}}"));
            bench.write(200);
            block(&bench);
            let args = ["run", "pipeline.toml", "--drain", "300ms", "--once"];
            let args = &args[..args.len() - usize::from(!once)];
            let mut command = forebay(bench.folder.path(), args);
            command.stdout(Stdio::piped());
            let mut process = Process::start(command);
            drop(process.stdout());
            // `--once` promises all outputs everything.
            let code = if once { 75 } else { code };
            assert_eq!(process.code(), Some(code), "{basin}, once: {once}\n{}", bench.told());
        }
    }
}

#[test]
fn a_closed_pipe_is_no_failure_where_nobody_else_waits() {
    let bench = Bench::new(MEMORY, "sink.stdout = {}");
    let mut command = forebay(bench.folder.path(), &["run", "pipeline.toml", "--once"]);
    command.stdout(Stdio::piped());
    let mut process = Process::start(command);
    drop(process.stdout());
    assert_eq!(process.code(), Some(0), "{}", bench.told());
}

#[test]
fn sigkill_with_a_memory_basin_loses_nothing_that_its_source_still_has() {
    let mut bench = Bench::new(MEMORY, FILE);
    let mut seen = std::collections::BTreeSet::new();
    for millis in [5, 40, 80, 120, 160, 200, 300] {
        let process = bench.run(&[]);
        bench.write(200);
        std::thread::sleep(Duration::from_millis(millis));
        process.kill();
        // It has no place to keep positions: a run begins at the start, its output is another.
        let text = fs::read_to_string(bench.path("out/events.jsonl")).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        seen.extend(ids(whole));
    }
    assert_eq!(bench.run(&["--once"]).code(), Some(0), "{}", bench.told());
    let text = fs::read_to_string(bench.path("out/events.jsonl")).unwrap();
    seen.extend(ids(&text));
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), (1..bench.log.next_record_id()).collect::<Vec<_>>());
}

#[test]
fn a_disk_that_is_full_for_a_while_costs_nothing() {
    const TEST: &str = "a_disk_that_is_full_for_a_while_costs_nothing";
    let folder = tempfile::tempdir().unwrap();
    let disk = match SmallDisk::mount(folder.path(), 12) {
        Ok(disk) => disk,
        Err(why) => return println!("SKIP {TEST}: {why}"),
    };
    let small = disk.path().to_str().unwrap();
    let basin = format!("[basin.disk]\npath = '{small}/basin'\nsize_max = '4MiB'\nsegment_size = '1MiB'");
    let mut bench = Bench::new(&basin, &format!("sink.file.path = '{small}/out/events.jsonl'"));
    let output = disk.path().join("out/events.jsonl");
    let mut process = bench.run(&[]);
    for round in 1..=3 {
        let before = bench.log.next_record_id() as usize - 1;
        eventually("all so far arrives", || lines(&output) >= before);
        disk.fill();
        bench.write(1500);
        let said = bench.told().len();
        eventually("it is told that there is no space", || bench.told()[said..].contains("No space left"));
        if round > 1 {
            process.kill();
            process = bench.run(&[]);
        }
        disk.free();
    }
    let all = bench.log.next_record_id() as usize - 1;
    eventually("all of it arrives", || lines(&output) >= all);
    process.stop();
    assert_eq!(process.code(), Some(0), "{}", bench.told());
    bench.has_all(&output);
}
