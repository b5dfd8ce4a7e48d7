//! The disk basin through the room's door, on a real folder.

use super::*;
use crate::event::Origin;
use crate::units::ByteSize;
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::time::Duration;
use tempfile::TempDir;

fn batch(text: &str) -> EventBatch {
    let origin = Origin {
        source: "test".into(),
        host: Some("dc1".into()),
        address: None,
        subscription: None,
        file: None,
        received: Timestamp(0),
    };
    EventBatch {
        text: Bytes::copy_from_slice(text.as_bytes()),
        events: std::iter::once(0..text.len() as u32).collect(),
        origin: Arc::new(origin),
        bookmark: Some(Bookmark { key: "test/a".into(), value: Bytes::copy_from_slice(text.as_bytes()) }),
        notes: Vec::new(),
    }
}

fn spec(name: &str, start: Start) -> OutputSpec {
    OutputSpec { name: name.into(), start, full: Full::Wait }
}

fn config(folder: &TempDir) -> BasinConfig {
    let disk = DiskConfig {
        segment_size: ByteSize::kib(256),
        size_max: ByteSize::mib(4),
        ..DiskConfig::new(folder.path().join("basin"))
    };
    BasinConfig { disk: Some(disk), memory: None }
}

fn open(folder: &TempDir, outputs: &[OutputSpec]) -> (Basin, Vec<Finding>) {
    Basin::open(&config(folder), outputs, &Budget::new(ByteSize::mib(8))).unwrap()
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

async fn texts(reader: &mut Reader) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(delivery) = reader.next().await {
        texts.push(String::from_utf8(delivery.batch.text.to_vec()).unwrap());
        reader.cursor().confirm(delivery.position, Bytes::from_static(b"note"));
    }
    texts
}

#[test]
fn what_was_kept_comes_back_after_a_restart_from_the_cursor_on() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let (basin, findings) = open(&folder, &[spec("a", Start::Oldest)]);
        assert_eq!(findings, []);
        for text in ["one", "two", "three"] {
            assert_eq!(basin.append(batch(text)).await, Outcome::Kept);
        }
        let mut reader = basin.reader("a").unwrap();
        let one = reader.next().await.unwrap();
        reader.cursor().confirm(one.position, Bytes::from_static(b"at one"));
        reader.cursor().checkpoint().await.unwrap();
        basin.close().await;
        let (basin, findings) =
            open(&folder, &[spec("a", Start::Oldest), spec("b", Start::Newest), spec("c", Start::Oldest)]);
        assert_eq!(findings, []);
        assert_eq!(basin.bookmark("test/a"), Some(Bytes::from("three")));
        let mut reader = basin.reader("a").unwrap();
        assert_eq!(reader.cursor().note(), "at one");
        assert_eq!(basin.append(batch("four")).await, Outcome::Kept);
        basin.finish();
        assert_eq!(basin.append(batch("late")).await, Outcome::Lost);
        assert_eq!(texts(&mut reader).await, ["two", "three", "four"]);
        assert_eq!(texts(&mut basin.reader("b").unwrap()).await, ["four"]);
        assert_eq!(texts(&mut basin.reader("c").unwrap()).await, ["one", "two", "three", "four"]);
        assert_eq!(basin.stats().outputs[0].lag_events, 0);
        basin.close().await;
    });
}

#[test]
fn a_second_opening_is_refused_and_names_the_process() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let (basin, _) = open(&folder, &[]);
        let error = Basin::open(&config(&folder), &[], &Budget::new(ByteSize::mib(1))).err().unwrap();
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        let path = folder.path().join("basin");
        assert!(forget(&path, "x").is_err());
        assert!(inspect(&path).is_ok());
        basin.close().await;
    });
}

#[test]
fn what_the_system_refused_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file/basin");
    fs::write(folder.path().join("file"), "in the way").unwrap();
    let config = BasinConfig { disk: Some(DiskConfig::new(&path)), ..BasinConfig::default() };
    let error = Basin::open(&config, &[], &Budget::new(ByteSize::mib(1))).err().unwrap().to_string();
    assert!(
        error.starts_with(&format!("basin: cannot make folder {}: Not a directory", path.display())),
        "{error}"
    );
    assert_eq!(error.matches("Not a directory").count(), 1);
}

#[test]
fn a_newer_format_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    run(async { open(&folder, &[]).0.close().await });
    let path = folder.path().join("basin");
    let file = fs::OpenOptions::new().write(true).open(path.join("basin")).unwrap();
    file.write_all_at(&7_u32.to_le_bytes(), 8).unwrap();
    let error = Basin::open(&config(&folder), &[], &Budget::new(ByteSize::mib(1))).err().unwrap();
    assert!(error.to_string().contains("format version 7, this program reads up to 1"), "{error}");
    assert!(matches!(verify(&path), Err(BasinError::Newer { found: 7, .. })));
}

#[test]
fn folders_and_files_are_for_their_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let (basin, _) = open(&folder, &[spec("a", Start::Oldest)]);
        assert_eq!(basin.append(batch("one")).await, Outcome::Kept);
        basin.close().await;
    });
    let mut waiting = vec![folder.path().join("basin")];
    let mut files = 0;
    while let Some(path) = waiting.pop() {
        let metadata = fs::metadata(&path).unwrap();
        let mode = metadata.permissions().mode() & 0o777;
        if metadata.is_dir() {
            assert_eq!(mode, 0o700, "{path:?}");
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            assert_eq!(mode, 0o600, "{path:?}");
            files += 1;
        }
    }
    assert!(files >= 4, "{files}");
}

#[test]
fn rot_is_skipped_copied_and_reported_and_the_rest_is_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("basin");
    run(async {
        let (basin, _) = open(&folder, &[spec("a", Start::Oldest)]);
        for text in ["first batch", "second batch", "third batch"] {
            assert_eq!(basin.append(batch(text)).await, Outcome::Kept);
        }
        basin.close().await;
    });
    assert_eq!(verify(&path).unwrap(), []);
    let segment = inspect(&path).unwrap().segments[0].path.clone();
    let bytes = fs::read(&segment).unwrap();
    let at = memchr::memmem::rfind(&bytes, b"second batch").unwrap();
    fs::OpenOptions::new().write(true).open(&segment).unwrap().write_all_at(b"X", at as u64).unwrap();
    assert_eq!(verify(&path).unwrap().len(), 1);
    run(async {
        let (basin, findings) = open(&folder, &[spec("a", Start::Oldest)]);
        let mut reader = basin.reader("a").unwrap();
        basin.finish();
        assert_eq!(texts(&mut reader).await, ["first batch", "third batch"]);
        let all = [findings, basin.take_findings()].concat();
        assert_eq!(all.len(), 1, "{all:?}");
        assert!(all[0].why.contains("a copy is in quarantine/"), "{}", all[0]);
        assert_eq!(fs::read_dir(path.join("quarantine")).unwrap().count(), 1);
        basin.close().await;
    });
}

#[test]
fn an_orphaned_cursor_is_reported_and_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("basin");
    run(async {
        open(&folder, &[spec("old", Start::Oldest)]).0.close().await;
        let (basin, findings) = open(&folder, &[]);
        let command = format!("`forebay basin forget {} old`", path.display());
        assert!(findings[0].fix.ends_with(&command), "{findings:?}");
        assert_eq!(basin.forget("old").unwrap(), Forgot::Released);
        assert_eq!(basin.forget("old").unwrap(), Forgot::Unknown);
        basin.clone().close().await;
        assert!(basin.forget("old").is_err(), "the folder may be another's by now");
        open(&folder, &[spec("older", Start::Oldest)]).0.close().await;
        forget(&path, "older").unwrap();
        assert!(matches!(forget(&path, "older"), Err(BasinError::NoCursor { .. })));
        assert!(open(&folder, &[]).1.is_empty());
    });
}

#[test]
fn a_full_basin_lets_intake_wait_until_the_output_reads_on() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let (basin, _) = open(&folder, &[spec("a", Start::Oldest)]);
        let text = "x".repeat(60 << 10);
        let mut kept = 0;
        let wait = Duration::from_secs(2);
        while let Ok(outcome) = tokio::time::timeout(wait, basin.append(batch(&text))).await {
            assert_eq!(outcome, Outcome::Kept);
            kept += 1;
        }
        assert!((30..70).contains(&kept), "{kept}");
        assert!(basin.stats().full);
        let mut reader = basin.reader("a").unwrap();
        for _ in 0..kept {
            let delivery = reader.next().await.unwrap();
            reader.cursor().confirm(delivery.position, Bytes::new());
        }
        assert_eq!(basin.append(batch("room again")).await, Outcome::Kept);
        assert!(basin.take_findings().iter().any(|finding| finding.what.contains("intake waits")));
        basin.close().await;
    });
}

/// Sixteen batches in several segments, unread by `a` and `b`.
async fn some_segments(folder: &TempDir) -> Vec<SegmentListing> {
    let (basin, _) = open(folder, &[spec("a", Start::Oldest), spec("b", Start::Oldest)]);
    for number in 0..16 {
        let text = format!("{number:02}{}", "x".repeat(60 << 10));
        assert_eq!(basin.append(batch(&text)).await, Outcome::Kept);
    }
    basin.close().await;
    let listing = inspect(&folder.path().join("basin")).unwrap();
    listing.segments.into_iter().filter(|segment| segment.frames > 0).collect()
}

#[test]
fn a_segment_that_somebody_removed_from_the_middle_is_missed_aloud() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let segments = some_segments(&folder).await;
        assert!(segments.len() >= 4, "{segments:?}");
        fs::remove_file(&segments[1].path).unwrap();
        let (basin, findings) = open(&folder, &[spec("a", Start::Oldest), spec("b", Start::Oldest)]);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].what.contains("events are missing between"), "{findings:?}");
        let mut reader = basin.reader("a").unwrap();
        basin.finish();
        let texts = texts(&mut reader).await;
        assert_eq!(texts.len() as u64, 16 - segments[1].frames);
        assert!(texts[0].starts_with("00") && texts.last().unwrap().starts_with("15"));
        basin.close().await;
    });
}

#[test]
fn a_cursor_past_the_end_of_the_log_is_clamped_aloud_and_no_position_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        let segments = some_segments(&folder).await;
        let (basin, _) = open(&folder, &[spec("a", Start::Oldest), spec("b", Start::Oldest)]);
        let mut reader = basin.reader("a").unwrap();
        let mut last = Position::default();
        for _ in 0..16 {
            let delivery = reader.next().await.unwrap();
            last = delivery.position;
            reader.cursor().confirm(last, Bytes::new());
        }
        drop(reader);
        basin.close().await;
        fs::remove_file(&segments.last().unwrap().path).unwrap();
        for state in ["state.0", "state.1"] {
            let _ = fs::remove_file(folder.path().join("basin").join(state));
        }
        let (basin, findings) = open(&folder, &[spec("a", Start::Oldest), spec("b", Start::Oldest)]);
        assert!(findings.iter().any(|finding| finding.what.contains("`a` is past the end")), "{findings:?}");
        assert_eq!(basin.append(batch("next")).await, Outcome::Kept);
        let next = basin.reader("a").unwrap().next().await.unwrap();
        assert_eq!(&next.batch.text[..], b"next");
        assert!(next.position > last, "{} after {last}", next.position);
        basin.close().await;
    });
}

#[test]
fn a_damaged_newest_snapshot_is_told_when_the_log_before_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("basin");
    run(async {
        for count in [3, 3, 0] {
            let (basin, findings) = open(&folder, &[]);
            assert_eq!(findings, []);
            for _ in 0..count {
                assert_eq!(basin.append(batch("text")).await, Outcome::Kept);
            }
            // The next start lets its segment go, for nobody reads it.
            basin.close().await;
        }
        let newest = ["state.0", "state.1"]
            .map(|name| path.join(name))
            .into_iter()
            .max_by_key(|path| fs::read(path).unwrap()[16]);
        let newest = fs::OpenOptions::new().write(true).open(newest.unwrap()).unwrap();
        newest.write_all_at(b"X", 60).unwrap();
        let (basin, findings) = open(&folder, &[]);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].what.contains("newest snapshot"), "{findings:?}");
        basin.close().await;
    });
}

#[test]
fn a_log_without_its_segments_is_told_and_comes_to_an_end() {
    let folder = tempfile::tempdir().unwrap();
    run(async {
        for segment in some_segments(&folder).await {
            fs::remove_file(segment.path).unwrap();
        }
        let (basin, findings) = open(&folder, &[spec("a", Start::Oldest), spec("b", Start::Oldest)]);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].what.contains("16 events that output `a`"), "{findings:?}");
        assert_eq!(basin.append(batch("next")).await, Outcome::Kept);
        basin.finish();
        assert_eq!(texts(&mut basin.reader("a").unwrap()).await, ["next"]);
        basin.close().await;
    });
}
