//! An output that is added later: what `retain` has kept for it, and where `start` lets it begin.

use crate::support::live_log::LiveLog;
use crate::support::process::{Process, eventually, forebay, told};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Several segments of the basin.
const EARLY: u64 = 3000;
const LATER: u64 = 50;

struct Bench {
    folder: tempfile::TempDir,
    log: LiveLog,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = LiveLog::create(&folder.path().join("a.evtx"), 256, Duration::ZERO).unwrap();
        Self { folder, log }
    }

    fn write(&mut self, count: u64) {
        self.log.append_numbered(count, 1200);
    }

    /// Runs until each output has its last record, then stops in order.
    fn run(&self, retain: &str, outputs: &[(&str, &str)]) {
        let mut pipeline =
            format!("[basin.disk]\npath = 'basin'\nsize_max = '64MiB'\nsegment_size = '1MiB'\n{retain}");
        pipeline += "[source.dc.evtx]\npath = 'a.evtx'\npoll = '50ms'\n";
        for (name, start) in outputs {
            pipeline += &format!("[output.{name}]\n{start}sink.file.path = './out/{name}.jsonl'\n");
        }
        fs::write(self.folder.path().join("pipeline.toml"), pipeline).unwrap();
        let process = Process::start(forebay(self.folder.path(), &["run", "pipeline.toml"]));
        let last = self.log.next_record_id() - 1;
        eventually("each has the newest", || {
            outputs.iter().all(|(name, _)| self.ids(name).last() == Some(&last))
        });
        process.stop();
        assert_eq!(process.code(), Some(0), "{}", told(self.folder.path()));
    }

    fn ids(&self, output: &str) -> Vec<u64> {
        let text = fs::read_to_string(self.path(&format!("out/{output}.jsonl"))).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let ids = whole.lines().map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            event["System"]["EventRecordID"].as_u64().unwrap()
        });
        ids.collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn segments(basin: &Path) -> usize {
    fs::read_dir(basin.join("segments")).unwrap().count()
}

#[test]
fn a_new_output_begins_where_start_says_with_what_retain_has_kept() {
    for (retain, keeps) in [
        ("", false),
        ("retain = { size = '1B' }\n", false),
        ("retain = { size = '32MiB' }\n", true),
        ("retain = { age = '1h' }\n", true),
        ("retain = { age = '1ms' }\n", false),
    ] {
        let mut bench = Bench::new();
        bench.write(EARLY);
        bench.run(retain, &[("lake", "")]);
        // What all have read goes when the next start has seen it.
        bench.write(1);
        bench.run(retain, &[("lake", "")]);
        assert_eq!(segments(&bench.path("basin")) > 2, keeps, "{retain}");
        bench.write(LATER);
        bench.run(retain, &[("lake", ""), ("oldest", ""), ("newest", "start = 'newest'\n")]);
        let all: Vec<u64> = (1..=EARLY + 1 + LATER).collect();
        let later = &all[all.len() - LATER as usize..];
        assert_eq!(bench.ids("lake"), all, "{retain}");
        assert_eq!(bench.ids("newest"), later, "{retain}");
        let oldest = bench.ids("oldest");
        assert!(all.ends_with(&oldest) && oldest.len() > later.len(), "{retain}");
        assert_eq!(oldest.len() == all.len(), keeps, "{retain}");
        // Both go on from there like any other.
        bench.write(LATER);
        bench.run(retain, &[("lake", ""), ("oldest", ""), ("newest", "start = 'newest'\n")]);
        assert_eq!(bench.ids("newest").len() as u64, 2 * LATER, "{retain}");
        assert_eq!(bench.ids("oldest").len() as u64, oldest.len() as u64 + LATER, "{retain}");
    }
}
