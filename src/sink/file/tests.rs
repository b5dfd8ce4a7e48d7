//! The file sink against what disks, operators and crashes do.

use super::*;
use crate::event::Timestamp;
use crate::sink::{Item, Sent};
use std::io::Read;
use std::path::Path;

const NOW: u64 = 1_767_323_045;

fn config(folder: &Path, path: &str) -> Config {
    Config {
        path: format!("{}/{path}", folder.display()),
        rotate: Rotate::default(),
        keep: Keep::default(),
        compression: None,
        open_max: None,
    }
}

fn files(config: &Config) -> Files {
    Files::new(PathTemplate::parse(&config.path).unwrap(), config, config.open_max.unwrap_or(OPEN_MAX))
}

fn batch(items: &[(&str, &str)]) -> Encoded {
    let (mut bytes, mut routes, mut list) = (Vec::new(), Vec::<Box<str>>::new(), Vec::new());
    for (route, text) in items {
        let start = bytes.len() as u32;
        bytes.extend_from_slice(text.as_bytes());
        let route = routes.iter().position(|known| **known == **route).unwrap_or_else(|| {
            routes.push((*route).into());
            routes.len() - 1
        });
        let range = start..bytes.len() as u32;
        list.push(Item { range, head: 0, id: None, time: Timestamp(0), route: route as u32 });
    }
    Encoded { bytes: bytes.into(), items: list, routes }
}

/// What a lane does: checkpoints when asked. Returns the notes made durable on the way.
#[track_caller]
fn deliver(files: &mut Files, items: &[(&str, &str)], now: u64, durable: &mut Bytes) {
    for _ in 0..5 {
        match files.try_send(&batch(items), now).unwrap() {
            Sent::Confirmed => return,
            Sent::CheckpointFirst => *durable = files.note(),
            other @ (Sent::Partly(_) | Sent::Held) => panic!("{other:?}"),
        }
    }
    panic!("asks for checkpoints without end");
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn events_go_to_the_file_their_route_names_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = files(&config(folder.path(), "{channel}/{computer}.json"));
    let mut note = Bytes::new();
    deliver(&mut files, &[("S/a", "1\n"), ("S/b", "2\n"), ("S/a", "3\n"), ("S/a", "4\n")], NOW, &mut note);
    deliver(&mut files, &[("S/a", "5\n")], NOW, &mut note);
    assert_eq!(read(&folder.path().join("S/a")), "1\n3\n4\n5\n");
    assert_eq!(read(&folder.path().join("S/b")), "2\n");
}

#[test]
fn what_came_after_the_durable_note_is_cut_on_resume() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "x");
    let mut durable = Bytes::new();
    let mut before = files(&config);
    deliver(&mut before, &[("x", "1\n")], NOW, &mut durable);
    durable = before.note();
    deliver(&mut before, &[("x", "2\n")], NOW, &mut durable);
    drop(before);
    std::fs::write(folder.path().join("y"), "not ours").unwrap();

    let mut after = files(&config);
    assert_eq!(after.resume(&durable).unwrap(), []);
    assert_eq!(read(&folder.path().join("x")), "1\n");
    deliver(&mut after, &[("x", "2\n")], NOW, &mut durable);
    assert_eq!(read(&folder.path().join("x")), "1\n2\n");
}

#[test]
fn a_file_in_the_place_of_ours_is_never_cut() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "x");
    let mut durable = Bytes::new();
    deliver(&mut files(&config), &[("x", "1\n")], NOW, &mut durable);
    std::fs::write(folder.path().join("other"), "somebody's text").unwrap();
    std::fs::rename(folder.path().join("other"), folder.path().join("x")).unwrap();
    files(&config).resume(&durable).unwrap();
    assert_eq!(read(&folder.path().join("x")), "somebody's text");
}

#[test]
fn what_somebody_wrote_after_an_orderly_end_is_never_cut() {
    let folder = tempfile::tempdir().unwrap();
    let (config, path) = (config(folder.path(), "x"), folder.path().join("x"));
    let mut before = files(&config);
    deliver(&mut before, &[("x", "1\n")], NOW, &mut Bytes::new());
    before.close().unwrap();
    let left = before.note();
    drop(before);
    std::fs::write(&path, "1\nsomebody's line\n").unwrap();

    let (mut after, mut durable) = (files(&config), left.clone());
    let findings = after.resume(&left).unwrap();
    assert!(findings[0].what.contains("longer than it was left"), "{findings:?}");
    deliver(&mut after, &[("x", "2\n")], NOW, &mut durable);
    assert_eq!(read(&path), "1\nsomebody's line\n2\n");
    // What is written from here on is ours to take back.
    assert_ne!(durable, left);
    drop(after);
    assert_eq!(files(&config).resume(&durable).unwrap(), []);
    assert_eq!(read(&path), "1\nsomebody's line\n");
}

#[test]
fn after_an_orderly_end_the_first_write_asks_for_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "x");
    let mut before = files(&config);
    deliver(&mut before, &[("x", "1\n")], NOW, &mut Bytes::new());
    before.close().unwrap();
    let left = before.note();
    drop(before);
    let (mut after, mut durable) = (files(&config), left.clone());
    assert_eq!(after.resume(&left).unwrap(), []);
    deliver(&mut after, &[("x", "2\n")], NOW, &mut durable);
    drop(after);
    // A crash here: the note that says `Finished` is no longer the durable one.
    assert_eq!(files(&config).resume(&durable).unwrap(), []);
    assert_eq!(read(&folder.path().join("x")), "1\n");
}

#[test]
fn a_file_that_lost_bytes_is_a_finding() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "x");
    let mut first = files(&config);
    deliver(&mut first, &[("x", "12345\n")], NOW, &mut Bytes::new());
    std::fs::File::options().write(true).open(folder.path().join("x")).unwrap().set_len(2).unwrap();
    let note = first.note();
    drop(first);
    let findings = files(&config).resume(&note).unwrap();
    assert!(findings[0].to_string().contains("6 bytes were confirmed, 2 are there"), "{findings:?}");
}

#[test]
fn files_rotate_by_size_and_by_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path(), "x.json");
    config.rotate = Rotate { size: Some(ByteSize(4)), every: Some(Span::secs(3600)) };
    let mut files = files(&config);
    let mut note = Bytes::new();
    for (text, now) in [("1\n", NOW), ("22\n", NOW), ("3\n", NOW), ("4\n", NOW + 3600), ("5\n", NOW + 3600)] {
        deliver(&mut files, &[("x.json", text)], now, &mut note);
    }
    assert_eq!(names(folder.path()), ["x-20260102T030405Z.json", "x-20260102T040405Z.json", "x.json"]);
    assert_eq!(read(&folder.path().join("x-20260102T030405Z.json")), "1\n22\n");
    assert_eq!(read(&folder.path().join("x-20260102T040405Z.json")), "3\n");
    assert_eq!(read(&folder.path().join("x.json")), "4\n5\n");
}

/// Every crash point: the files after any prefix of calls, with any note that can be durable then.
#[test]
fn no_crash_point_repeats_loses_or_tears_an_event() {
    const BATCHES: usize = 12;
    for crash_after in 0..BATCHES * 4 {
        for keeps_last_note in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let mut config = config(folder.path(), "{computer}.json");
            config.rotate.size = Some(ByteSize(8));
            config.open_max = Some(1);
            // (events confirmed, note): what the basin holds durably.
            let mut durable = (0, Bytes::new());
            let mut steps = 0;
            let mut done = 0;
            let route = |number: usize| if number % 5 < 3 { "a.json" } else { "b.json" };
            let mut first = files(&config);
            'life: while done < BATCHES {
                let text = format!("{done:03}\n");
                loop {
                    if steps == crash_after {
                        break 'life;
                    }
                    steps += 1;
                    if first.try_send(&batch(&[(route(done), &text)]), NOW).unwrap() == Sent::Confirmed {
                        break;
                    }
                    durable = (done, first.note());
                }
                done += 1;
                // The timed checkpoint may or may not have come by.
                if keeps_last_note && done % 4 == 0 {
                    durable = (done, first.note());
                }
            }
            drop(first);
            let mut second = files(&config);
            second.resume(&durable.1).unwrap();
            for number in durable.0..BATCHES {
                let text = format!("{number:03}\n");
                deliver(&mut second, &[(route(number), &text)], NOW + 1, &mut Bytes::new());
            }
            let mut all = Vec::new();
            for name in names(folder.path()) {
                all.extend(read(&folder.path().join(name)).lines().map(str::to_owned));
            }
            all.sort();
            let expected: Vec<_> = (0..BATCHES).map(|number| format!("{number:03}")).collect();
            assert_eq!(all, expected, "crash after {crash_after} calls, {keeps_last_note}");
        }
    }
}

#[test]
fn a_batch_that_fails_half_way_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = files(&config(folder.path(), "{computer}"));
    let mut note = Bytes::new();
    deliver(&mut files, &[("a", "1\n"), ("b", "1\n")], NOW, &mut note);
    // A descriptor that cannot be written stands for any failure.
    let unwritable = std::fs::File::open(folder.path().join("b")).unwrap();
    files.entries.get_mut("b").unwrap().file = Some(unwritable);
    assert!(files.try_send(&batch(&[("a", "2\n"), ("b", "2\n")]), NOW).is_err());
    assert_eq!(read(&folder.path().join("a")), "1\n");
    deliver(&mut files, &[("a", "2\n"), ("b", "2\n")], NOW, &mut note);
    assert_eq!(read(&folder.path().join("b")), "1\n2\n");
}

#[test]
fn compressed_files_are_whole_after_every_batch() {
    for (compression, name) in [(Compression::Gzip, "x.gz"), (Compression::Zstd, "x.zst")] {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path(), name);
        config.compression = Some(compression);
        let mut sink = files(&config);
        let mut durable = Bytes::new();
        deliver(&mut sink, &[(name, "1\n")], NOW, &mut durable);
        durable = sink.note();
        deliver(&mut sink, &[(name, "2\n")], NOW, &mut durable);
        drop(sink);
        let mut sink = files(&config);
        sink.resume(&durable).unwrap();
        deliver(&mut sink, &[(name, "2\n")], NOW, &mut durable);
        let file = std::fs::File::open(folder.path().join(name)).unwrap();
        let mut text = String::new();
        match compression {
            Compression::Gzip => flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).unwrap(),
            Compression::Zstd => zstd::Decoder::new(file).unwrap().read_to_string(&mut text).unwrap(),
        };
        assert_eq!(text, "1\n2\n");
    }
}

#[test]
fn without_a_note_a_torn_file_is_set_aside_and_a_whole_one_continued() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("torn"), "1\n{\"half").unwrap();
    std::fs::write(folder.path().join("whole"), "1\n").unwrap();
    let mut files = files(&config(folder.path(), "{computer}"));
    deliver(&mut files, &[("torn", "2\n"), ("whole", "2\n")], NOW, &mut Bytes::new());
    assert_eq!(read(&folder.path().join("torn")), "2\n");
    assert_eq!(read(&folder.path().join("torn-20260102T030405Z")), "1\n{\"half");
    assert_eq!(read(&folder.path().join("whole")), "1\n2\n");
}

#[test]
fn a_file_moved_away_by_somebody_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = files(&config(folder.path(), "x"));
    let mut note = Bytes::new();
    deliver(&mut files, &[("x", "1\n")], NOW, &mut note);
    std::fs::rename(folder.path().join("x"), folder.path().join("x.1")).unwrap();
    deliver(&mut files, &[("x", "2\n")], NOW, &mut note);
    assert_eq!(read(&folder.path().join("x.1")), "1\n");
    assert_eq!(read(&folder.path().join("x")), "2\n");
}

#[test]
fn two_writers_of_one_file_are_kept_apart() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "x");
    let mut first = files(&config);
    deliver(&mut first, &[("x", "1\n")], NOW, &mut Bytes::new());
    let error = files(&config).try_send(&batch(&[("x", "2\n")]), NOW).unwrap_err();
    assert!(error.1.to_string().contains("another output or process"), "{error:?}");
}

#[test]
fn keep_deletes_the_oldest_and_only_our_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path(), "x.json");
    config.rotate.size = Some(ByteSize(1));
    config.keep.size = Some(ByteSize(6));
    std::fs::write(folder.path().join("notes.txt"), "a long text of somebody").unwrap();
    let mut files = files(&config);
    for number in 0..6 {
        deliver(&mut files, &[("x.json", &format!("{number}\n"))], NOW + number, &mut Bytes::new());
    }
    let names = names(folder.path());
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(names.contains(&"notes.txt".to_owned()) && names.contains(&"x.json".to_owned()));
}

#[test]
fn only_so_many_files_are_open_and_noted() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path(), "{computer}");
    config.open_max = Some(2);
    let mut files = files(&config);
    for number in 0..20 {
        let name = format!("f{}", number % 5);
        deliver(&mut files, &[(&name, &format!("{number}\n"))], NOW, &mut Bytes::new());
        assert!(super::note::read(&files.note()).unwrap().1.len() <= 2);
    }
    assert_eq!(read(&folder.path().join("f3")), "3\n8\n13\n18\n");
}

/// As a lane does it.
#[track_caller]
fn tick(files: &mut Files, now: u64, durable: &mut Bytes) {
    for _ in 0..3 {
        match files.try_tick(now).unwrap() {
            Sent::Confirmed => return,
            Sent::CheckpointFirst => *durable = files.note(),
            other @ (Sent::Partly(_) | Sent::Held) => panic!("{other:?}"),
        }
    }
    panic!("asks for checkpoints without end");
}

#[test]
fn an_idle_output_sets_aside_and_deletes_when_it_is_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path(), "x.json");
    config.rotate.every = Some(Span::secs(3600));
    config.keep.age = Some(Span::secs(24 * 3600));
    let mut files = files(&config);
    let mut durable = Bytes::new();
    let now = now();
    deliver(&mut files, &[("x.json", "1\n")], now, &mut durable);
    tick(&mut files, now, &mut durable);
    assert_eq!(names(folder.path()), ["x.json"], "it is not time yet");
    tick(&mut files, now + 3600, &mut durable);
    let aside = names(folder.path());
    assert!(aside.len() == 1 && aside[0].starts_with("x-2"), "{aside:?}");
    assert_eq!(read(&folder.path().join(&aside[0])), "1\n");
    // A restart with the note of before and events that come again: nothing of it is repeated.
    let mut again = self::files(&config);
    again.resume(&durable).unwrap();
    deliver(&mut again, &[("x.json", "2\n")], now + 3600, &mut durable);
    assert_eq!(names(folder.path()).len(), 2);
    tick(&mut again, now + 26 * 3600, &mut durable);
    assert_eq!(names(folder.path()), [""; 0], "all of it is too old");
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}
