//! A log that is followed while it is written: SIGKILL at any moment, and wraps that nobody read.
//!
//! `FOREBAY_TAIL_KILLS` makes the first one longer; `FOREBAY_TAIL_SEED` repeats its choices.

use crate::support::dice::Dice;
use crate::support::live_log::LiveLog;
use crate::support::process::{Process, eventually, forebay, free_port, http_get, told};
use std::fs;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

const CHUNKS: u16 = 12;
/// Nothing younger is overwritten.
const AGE_MIN: Duration = Duration::from_secs(5);
/// One wrap: chunks are older than `AGE_MIN` when their turn comes, as of a log that is large
/// enough.
const WRAP_TIME: Duration = Duration::from_secs(8);
const EVENTS_A_WRAP: u32 = 700;
const WRAPS_MIN: u64 = 3;
const KILLS_MIN: u64 = 50;

/// A folder with a log, a pipeline over it and its output.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pipeline = format!(
            "[basin.disk]\npath = 'basin'\nsize_max = '64MiB'\nsegment_size = '1MiB'\n\
             [source.dc.evtx]\npath = 'Security.evtx'\n\
             [output.lake]\nformat.json = {{}}\nsink.file.path = './events.jsonl'\n{more}"
        );
        fs::write(folder.path().join("pipeline.toml"), pipeline).unwrap();
        Self { folder }
    }

    fn log(&self, chunks: u16, age_min: Duration) -> LiveLog {
        LiveLog::create(&self.path("Security.evtx"), chunks, age_min).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self) -> Process {
        Process::start(forebay(self.folder.path(), &["run", "pipeline.toml"]))
    }

    /// Record ids of the output so far, each from a line that is a whole event.
    #[track_caller]
    fn ids(&self) -> Vec<u64> {
        let text = fs::read(self.path("events.jsonl")).unwrap();
        assert!(text.is_empty() || text.ends_with(b"\n"), "the last line is torn");
        text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(id).collect()
    }

    /// Whether the last line of the output is of this record.
    fn has(&self, last: u64) -> bool {
        let text = fs::read(self.path("events.jsonl")).unwrap_or_default();
        let Some(lines) = text.strip_suffix(b"\n") else { return false };
        let line = lines.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
        let event = serde_json::from_slice::<serde_json::Value>(line).unwrap_or_default();
        event["System"]["EventRecordID"] == last
    }

    fn told(&self) -> String {
        told(self.folder.path())
    }
}

#[track_caller]
fn id(line: &[u8]) -> u64 {
    let event: serde_json::Value = serde_json::from_slice(line)
        .unwrap_or_else(|error| panic!("a torn line ({error}): {}", String::from_utf8_lossy(line)));
    let id = event["System"]["EventRecordID"].as_u64().unwrap();
    assert_eq!(event["EventData"]["Number"], id.to_string(), "an event has the content of another");
    id
}

/// One event is a chunk's hundredth, more or less.
fn event(id: u64) -> String {
    let padding = "x".repeat(60 + (id % 7 * 60) as usize);
    format!(
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>\
         <Provider Name='Microsoft-Windows-Security-Auditing'/><EventID>{}</EventID>\
         <EventRecordID>{id}</EventRecordID><Channel>Security</Channel><Computer>dc1.example.org</Computer>\
         </System><EventData><Data Name='Number'>{id}</Data><Data Name='Padding'>{padding}</Data></EventData>\
         </Event>",
        4600 + id % 100
    )
}

/// FILETIME of a record; it grows with the id.
fn written(id: u64) -> u64 {
    133_000_000_000_000_000 + id * 10_000
}

#[track_caller]
fn append(log: &mut LiveLog) -> u64 {
    let next = log.next_record_id();
    let id = log.append(&event(next), written(next)).unwrap();
    assert_eq!(id, next);
    id
}

/// Writes until the ring wrapped so often: at an even pace, with pauses and bursts.
fn write_wraps(log: &mut LiveLog, wraps: u64, dice: &mut Dice) {
    let mut due = Instant::now();
    while log.wraps() < wraps {
        if dice.within(0..100) == 0 {
            thread::sleep(dice.millis(100..600));
            log.header_first(dice.within(0..2) == 0);
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        due += WRAP_TIME / EVENTS_A_WRAP;
        append(log);
    }
}

#[test]
fn a_ring_that_wraps_under_a_reader_that_is_killed_loses_and_repeats_nothing() {
    let mut dice = Dice::new("tail");
    let kills_min = std::env::var("FOREBAY_TAIL_KILLS").map_or(KILLS_MIN, |kills| kills.parse().unwrap());
    let bench = Bench::new("");
    let mut log = bench.log(CHUNKS, AGE_MIN);
    let wraps = WRAPS_MIN.max(WRAPS_MIN * kills_min / KILLS_MIN);
    let mut writing = dice.split();
    let writer = thread::spawn(move || {
        write_wraps(&mut log, wraps, &mut writing);
        log
    });
    let mut kills = 0;
    while kills < kills_min || !writer.is_finished() {
        let process = bench.run();
        thread::sleep(dice.millis(10..900));
        process.kill();
        kills += 1;
        thread::sleep(dice.millis(0..400));
    }
    let mut log = writer.join().unwrap();
    let process = bench.run();
    let last = append(&mut log);
    eventually("the last record is in the output", || bench.has(last));
    process.stop();
    assert_eq!(process.code(), Some(0), "{}", bench.told());
    println!("{kills} kills, {wraps} wraps, {last} records");
    let expected: Vec<u64> = (1..=last).collect();
    assert!(bench.ids() == expected, "{}\n{}", differences(&bench.ids(), last), bench.told());
}

#[test]
fn each_range_that_was_overwritten_unread_is_a_finding_and_is_counted() {
    let port = free_port();
    let bench = Bench::new(&format!("[http]\nlisten = '127.0.0.1:{port}'\n[log]\nformat = 'json'\n"));
    let mut log = bench.log(4, Duration::ZERO);
    for run in 0..3 {
        let lost = u64::from(run > 0);
        let wraps = log.wraps() + 2 * lost;
        while log.wraps() < wraps || log.next_record_id() < 100 {
            append(&mut log);
        }
        let last = append(&mut log);
        let process = bench.run();
        eventually("the last record is in the output", || bench.has(last));
        let ids = bench.ids();
        let gaps: Vec<_> = ids
            .windows(2)
            .filter(|pair| pair[1] != pair[0] + 1)
            .map(|pair| pair[0] + 1..=pair[1] - 1)
            .collect();
        assert_eq!((gaps.len(), ids[0], &lost_ranges(&bench.told())), (run, 1, &gaps));
        let events = gaps.last().map_or(0, |gap| gap.end() - gap.start() + 1);
        let metrics = http_get(port, "/metrics");
        for (metric, value) in [("lost_ranges", lost), ("lost_events", events)] {
            let line = format!("forebay_source_{metric}_total{{source=\"dc\"}} {value}\n");
            assert!(metrics.contains(&line), "{line}{metrics}");
        }
        process.stop();
        assert_eq!(process.code(), Some(0), "{}", bench.told());
    }
}

/// A writer without mercy, and a reader that is frozen now and then: whatever is missing is told.
#[test]
fn a_reader_that_is_too_slow_for_its_log_tells_all_it_lost() {
    let mut dice = Dice::new("too_slow");
    let bench = Bench::new("[log]\nformat = 'json'\n");
    let mut log = bench.log(4, Duration::ZERO);
    append(&mut log);
    let process = bench.run();
    eventually("the first record is in the output", || bench.has(1));
    let writer = thread::spawn(move || {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(4) {
            append(&mut log);
        }
        append(&mut log)
    });
    while !writer.is_finished() {
        thread::sleep(dice.millis(1..200));
        process.freeze();
        thread::sleep(dice.millis(1..400));
        process.thaw();
    }
    let last = writer.join().unwrap();
    eventually("the last record is in the output", || bench.has(last));
    process.stop();
    assert_eq!(process.code(), Some(0), "{}", bench.told());
    let (ids, mut next) = (bench.ids(), 1);
    let mut lost = lost_ranges(&bench.told()).into_iter();
    println!("{last} records, {} read, {} ranges lost", ids.len(), lost.len());
    for id in ids {
        while next < id {
            let range = lost.next().unwrap_or_else(|| panic!("{next} to {id} went missing untold"));
            assert_eq!(*range.start(), next);
            next = range.end() + 1;
        }
        assert_eq!(next, id);
        next += 1;
    }
    assert_eq!(lost.next(), None);
}

/// The ranges that findings in the log name.
fn lost_ranges(told: &str) -> Vec<RangeInclusive<u64>> {
    let lines = told.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let whats = lines.filter_map(|line| line["what"].as_str().map(str::to_owned));
    whats
        .filter_map(|what| {
            let ids = what.strip_prefix("Security.evtx: records ")?.strip_suffix(" are lost")?;
            let (first, last) = ids.split_once(" to ")?;
            Some(first.parse().unwrap()..=last.parse().unwrap())
        })
        .collect()
}

/// What is missing, repeated or out of order.
fn differences(ids: &[u64], last: u64) -> String {
    let missing: Vec<u64> = (1..=last).filter(|id| !ids.contains(id)).collect();
    let steps: Vec<_> = ids.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect();
    format!("{} of {last} records; missing {missing:?}; steps {steps:?}", ids.len())
}
