//! SIGHUP while a pipeline runs: what changes, what the service manager hears, and who wins when a
//! stop comes meanwhile.

use crate::support::live_log::LiveLog;
use crate::support::process::{Process, eventually, forebay, told};
use std::fs;
use std::io::Read;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{ChildStdout, Stdio};
use std::time::Duration;

const DISK: &str = "[basin.disk]\npath = 'basin'\nsize_max = '64MiB'\nsegment_size = '1MiB'\n";
const SOURCE: &str = "[source.dc.evtx]\npath = 'a.evtx'\npoll = '50ms'\n";
const FILE: &str = "[output.lake]\nsink.file.path = './out/events.jsonl'\n";
const MEMORY: &str = "[basin.memory]\n";
const STDOUT: &str = "[output.pipe]\nsink.stdout = {}\n";

/// A log of a few events, and a service manager's socket.
struct Bench {
    folder: tempfile::TempDir,
    log: LiveLog,
    manager: UnixDatagram,
}

impl Bench {
    fn new(pipeline: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = LiveLog::create(&folder.path().join("a.evtx"), 64, Duration::ZERO).unwrap();
        let manager = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut bench = Self { folder, log, manager };
        bench.pipeline(pipeline);
        bench.write(100);
        bench
    }

    fn pipeline(&self, parts: &[&str]) {
        fs::write(self.path("pipeline.toml"), parts.concat()).unwrap();
    }

    fn write(&mut self, count: u64) {
        self.log.append_numbered(count, 1000);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, more: &[&str]) -> Process {
        let args: Vec<&str> = ["run", "pipeline.toml"].iter().chain(more).copied().collect();
        let mut command = forebay(self.folder.path(), &args);
        command.stdout(Stdio::piped()).env("NOTIFY_SOCKET", self.path("notify"));
        Process::start(command)
    }

    /// The next thing the manager hears, besides how many events are behind and that all is well.
    #[track_caller]
    fn heard(&self) -> String {
        let mut bytes = [0; 300];
        loop {
            let length = self.manager.recv(&mut bytes).unwrap();
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if !text.starts_with("STATUS=") && text != "WATCHDOG=1" {
                return text;
            }
        }
    }

    #[track_caller]
    fn hears_a_reload(&self) {
        let reloading = self.heard();
        let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").map(str::parse::<u64>);
        assert!(micros.is_some_and(|micros| micros.unwrap() > 0), "{reloading}");
    }

    fn told(&self) -> String {
        told(self.folder.path())
    }

    /// Which records are in the output, in its order.
    fn ids(&self) -> Vec<u64> {
        ids(&fs::read_to_string(self.path("out/events.jsonl")).unwrap_or_default())
    }

    fn all(&self) -> Vec<u64> {
        (1..self.log.next_record_id()).collect()
    }
}

fn is_full(pipe: &ChildStdout) -> bool {
    const PIPE_BYTES: u64 = 64 * 1024;
    rustix::io::ioctl_fionread(pipe).unwrap() >= PIPE_BYTES
}

/// Of whole lines.
fn ids(text: &str) -> Vec<u64> {
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let ids = whole.lines().map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        event["System"]["EventRecordID"].as_u64().unwrap()
    });
    ids.collect()
}

#[test]
fn the_service_manager_hears_of_a_reload_and_of_a_stop_and_does_not_mix_them_up() {
    let mut bench = Bench::new(&[DISK, SOURCE, FILE]);
    let process = bench.run(&[]);
    assert_eq!(bench.heard(), "READY=1");
    for pipeline in [&[DISK, SOURCE, FILE, "[limits]\nmemory_max = '80MiB'\n"][..], &["this is no pipeline"]]
    {
        bench.pipeline(pipeline);
        process.reload();
        bench.hears_a_reload();
        assert_eq!(bench.heard(), "READY=1", "{}", bench.told());
    }
    bench.write(10);
    eventually("it goes on", || bench.ids() == bench.all());
    process.stop();
    assert_eq!(bench.heard(), "STOPPING=1");
    assert_eq!(process.code(), Some(0), "{}", bench.told());
}

#[test]
fn a_stop_that_comes_while_a_reload_waits_for_an_output_stops() {
    // Nobody reads standard output, so its batch is never done.
    let bench = Bench::new(&[DISK, SOURCE, STDOUT]);
    let mut process = bench.run(&["--drain", "300ms"]);
    let stdout = process.stdout();
    eventually("the pipe is full", || is_full(&stdout));
    assert_eq!(bench.heard(), "READY=1");
    process.reload();
    bench.hears_a_reload();
    eventually("it waits", || bench.told().contains("changing over"));
    process.stop();
    assert_eq!(bench.heard(), "STOPPING=1");
    assert_eq!(process.code(), Some(0), "{}", bench.told());
}

#[test]
fn a_reload_repeats_and_misses_nothing_with_either_basin() {
    const REPLAYED: u64 = 7777;
    let replay = "[source.more.replay]\npath = 'more.xml'\n";
    for basin in [MEMORY, DISK] {
        let mut bench = Bench::new(&[basin, SOURCE, replay, FILE]);
        let event = format!("<Event><System><EventRecordID>{REPLAYED}</EventRecordID></System></Event>");
        fs::write(bench.path("more.xml"), event).unwrap();
        let process = bench.run(&[]);
        assert_eq!(bench.heard(), "READY=1");
        for _ in 0..3 {
            eventually("all so far arrives", || bench.ids().len() as u64 == bench.log.next_record_id());
            process.reload();
            // What comes meanwhile.
            bench.write(20);
            bench.hears_a_reload();
            assert_eq!(bench.heard(), "READY=1", "{}", bench.told());
            bench.write(20);
        }
        eventually("all of it arrives", || bench.ids().len() as u64 >= bench.log.next_record_id());
        process.stop();
        assert_eq!(process.code(), Some(0), "{}", bench.told());
        let mut ids = bench.ids();
        ids.retain(|id| *id != REPLAYED);
        assert_eq!(ids, bench.all(), "{basin}");
        assert_eq!(bench.ids().len(), ids.len() + 1, "{basin}");
    }
}

#[test]
fn a_reload_that_would_repeat_the_batch_under_way_is_refused_and_takes_place_when_it_is_done() {
    let mut bench = Bench::new(&[DISK, SOURCE, STDOUT, FILE]);
    let mut process = bench.run(&["--drain", "300ms"]);
    let mut stdout = process.stdout();
    eventually("the pipe is full", || is_full(&stdout));
    assert_eq!(bench.heard(), "READY=1");
    process.reload();
    bench.hears_a_reload();
    assert_eq!(bench.heard(), "READY=1");
    let told = bench.told();
    assert!(told.contains("the running pipeline stays") && told.contains("pipe"), "{told}");
    bench.write(20);
    eventually("the other output goes on", || bench.ids() == bench.all());

    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        text
    });
    let mut changed = false;
    // The pipe is being emptied, so one of these finds it idle.
    while !changed {
        process.reload();
        bench.hears_a_reload();
        assert_eq!(bench.heard(), "READY=1");
        changed = bench.told().contains("the new pipeline runs");
    }
    bench.write(20);
    eventually("the file has it all", || bench.ids() == bench.all());
    process.stop();
    assert_eq!(process.code(), Some(0), "{}", bench.told());
    assert_eq!(ids(&reader.join().unwrap()), bench.all(), "{}", bench.told());
}

#[test]
fn another_basin_is_not_changed_over_to() {
    let mut bench = Bench::new(&[DISK, SOURCE, FILE]);
    let process = bench.run(&[]);
    assert_eq!(bench.heard(), "READY=1");
    bench.pipeline(&[MEMORY, SOURCE, FILE]);
    process.reload();
    bench.hears_a_reload();
    assert_eq!(bench.heard(), "READY=1");
    assert!(bench.told().contains("another basin needs a stop and a start"), "{}", bench.told());
    bench.write(10);
    eventually("it goes on", || bench.ids() == bench.all());
    process.stop();
    assert_eq!(process.code(), Some(0), "{}", bench.told());
}
