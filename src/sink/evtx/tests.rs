//! The evtx sink against what disks, operators and crashes do.

use super::*;
use crate::event::Timestamp;
use crate::evtx::{Decoder, FileHeader};
use crate::sink::{Item, Sent};
use std::ops::ControlFlow;
use std::path::Path;

fn config(folder: &Path, path: &str) -> Config {
    let path = format!("{}/{path}", folder.display());
    Config { path, size_max: None, full: Full::Archive, keep: Keep::default(), open_max: None }
}

fn logs(config: &Config) -> Logs {
    let sink = config.open().unwrap();
    let Ok(logs) = Arc::try_unwrap(sink.logs) else { unreachable!("nobody else has it") };
    logs.into_inner().unwrap()
}

fn event(text: &str) -> String {
    format!(
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><EventID>1</EventID>\
         <Channel>S</Channel><Computer>a.example.org</Computer></System><EventData><Data>{text}</Data></EventData></Event>"
    )
}

fn batch(items: &[(&str, &str)]) -> Encoded {
    let (mut bytes, mut routes, mut list) = (Vec::new(), Vec::<Box<str>>::new(), Vec::new());
    for (route, text) in items {
        let start = bytes.len() as u32;
        bytes.extend_from_slice(event(text).as_bytes());
        let route = routes.iter().position(|known| **known == **route).unwrap_or_else(|| {
            routes.push((*route).into());
            routes.len() - 1
        });
        let range = start..bytes.len() as u32;
        list.push(Item { range, head: 0, id: None, time: Timestamp(0), route: route as u32 });
    }
    Encoded { bytes: bytes.into(), items: list, routes }
}

/// What a lane does: checkpoints when asked.
#[track_caller]
fn deliver(logs: &mut Logs, items: &[(&str, &str)], durable: &mut Bytes) {
    for _ in 0..5 {
        match logs.send(&batch(items)).unwrap() {
            Sent::Confirmed => return,
            Sent::CheckpointFirst => *durable = logs.note(),
            other @ (Sent::Partly(_) | Sent::Held) => panic!("{other:?}"),
        }
    }
    panic!("asks for checkpoints without end");
}

/// The Data of every event, in file order, with the record ids checked to be consecutive.
#[track_caller]
fn read(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap();
    assert!(FileHeader::parse(&bytes).unwrap().intact);
    let (mut texts, mut decoder, mut last) = (Vec::new(), Decoder::new(), None);
    for chunk in bytes[FILE_HEADER_BYTES..].chunks(CHUNK_BYTES) {
        let _ = decoder.chunk(chunk, 512, |found| {
            let (found, mut xml) = (found.unwrap(), Vec::new());
            assert!(last.is_none_or(|last| found.record_id() == last + 1));
            last = Some(found.record_id());
            found.xml(&mut xml).unwrap();
            let xml = String::from_utf8(xml).unwrap();
            let text = xml.split("<Data>").nth(1).unwrap().split("</Data>").next().unwrap();
            texts.push(text.to_owned());
            ControlFlow::Continue(())
        });
    }
    texts
}

#[test]
fn events_go_to_the_log_their_route_names_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut logs = logs(&config(folder.path(), "{channel}/{computer}.evtx"));
    let mut note = Bytes::new();
    deliver(&mut logs, &[("S/a.evtx", "1"), ("S/b.evtx", "2"), ("S/a.evtx", "3")], &mut note);
    deliver(&mut logs, &[("S/a.evtx", "4")], &mut note);
    assert_eq!(read(&folder.path().join("S/a.evtx")), ["1", "3", "4"]);
    assert_eq!(read(&folder.path().join("S/b.evtx")), ["2"]);
    logs.close().unwrap();
    let header = std::fs::read(folder.path().join("S/a.evtx")).unwrap();
    let header = FileHeader::parse(&header).unwrap();
    assert_eq!((header.flags, header.next_record_id), (0, 4));
}

#[test]
fn what_came_after_the_durable_note_is_taken_out_on_resume() {
    let folder = tempfile::tempdir().unwrap();
    let (config, path) = (config(folder.path(), "x.evtx"), folder.path().join("x.evtx"));
    let (mut durable, long) = (Bytes::new(), "l".repeat(20_000));
    let mut first = logs(&config);
    deliver(&mut first, &[("x.evtx", "1"), ("x.evtx", "2")], &mut durable);
    durable = first.note();
    // These fill the chunk and begin others.
    for _ in 0..5 {
        deliver(&mut first, &[("x.evtx", "3"), ("x.evtx", &long)], &mut Bytes::new());
    }
    drop(first);
    let mut second = logs(&config);
    assert_eq!(second.resume(&durable).unwrap(), []);
    assert_eq!(read(&path), ["1", "2"]);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), (FILE_HEADER_BYTES + CHUNK_BYTES) as u64);
    deliver(&mut second, &[("x.evtx", "3")], &mut durable);
    assert_eq!(read(&path), ["1", "2", "3"]);
}

#[test]
fn what_somebody_wrote_after_an_orderly_end_is_never_taken_out() {
    let folder = tempfile::tempdir().unwrap();
    let (config, path) = (config(folder.path(), "x.evtx"), folder.path().join("x.evtx"));
    let (mut first, mut durable) = (logs(&config), Bytes::new());
    deliver(&mut first, &[("x.evtx", "1")], &mut durable);
    first.close().unwrap();
    let left = first.note();
    drop(first);
    let mut somebody = logs(&config);
    deliver(&mut somebody, &[("x.evtx", "theirs")], &mut Bytes::new());
    somebody.close().unwrap();
    drop(somebody);

    let (mut second, mut durable) = (logs(&config), left.clone());
    let findings = second.resume(&left).unwrap();
    assert!(findings[0].what.contains("more events than it was left with"), "{findings:?}");
    deliver(&mut second, &[("x.evtx", "2")], &mut durable);
    assert_eq!(read(&path), ["1", "theirs", "2"]);
    // What is written from here on is ours to take back.
    drop(second);
    assert_eq!(logs(&config).resume(&durable).unwrap(), []);
    assert_eq!(read(&path), ["1", "theirs"]);
}

#[test]
fn a_full_log_is_set_aside_under_the_name_windows_gives() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { size_max: Some(ByteSize::kib(200)), ..config(folder.path(), "S.evtx") };
    let (mut logs, mut durable) = (logs(&config), Bytes::new());
    let text = "t".repeat(3000);
    for number in 0..100 {
        deliver(&mut logs, &[("S.evtx", &format!("{number} {text}"))], &mut durable);
    }
    logs.close().unwrap();
    let mut names: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() > 2, "{names:?}");
    let mut numbers = Vec::new();
    for name in &names {
        // Archive-S-2019-01-14-18-33-55-830.evtx
        let archived = name.strip_prefix("Archive-S-").and_then(|name| name.strip_suffix(".evtx"));
        assert!(name == "S.evtx" || archived.is_some_and(|stamp| stamp.split('-').count() == 7), "{name}");
        let texts = read(&folder.path().join(name));
        numbers.extend(texts.iter().map(|text| text.split(' ').next().unwrap().parse::<u32>().unwrap()));
    }
    assert!(numbers.into_iter().eq(0..100));
}

#[test]
fn archived_logs_beyond_the_size_are_deleted_oldest_first_and_foreign_files_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let keep = Keep { size: Some(ByteSize::kib(500)), age: None };
    let config = Config { size_max: Some(ByteSize::kib(200)), keep, ..config(folder.path(), "S.evtx") };
    std::fs::write(folder.path().join("Archive-T-2019-01-14-18-33-55-830.evtx"), [0; 400_000]).unwrap();
    let (mut logs, mut durable) = (logs(&config), Bytes::new());
    let text = "t".repeat(3000);
    for number in 0..300 {
        deliver(&mut logs, &[("S.evtx", &format!("{number} {text}"))], &mut durable);
    }
    logs.close().unwrap();
    let sizes = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap());
    let (ours, foreign): (Vec<_>, Vec<_>) =
        sizes.partition(|entry| !entry.file_name().to_string_lossy().starts_with("Archive-T-"));
    let total: u64 = ours.iter().map(|entry| entry.metadata().unwrap().len()).sum();
    // Looked at with the next batch after a log was set aside.
    assert!(total <= 700 << 10 && ours.len() >= 2, "{total} bytes in {} logs", ours.len());
    assert_eq!(foreign.len(), 1);
    assert_eq!(read(&folder.path().join("S.evtx")).last().unwrap().split(' ').next(), Some("299"));
}

#[test]
fn an_archived_log_is_told_from_a_name() {
    for (path, bare) in [
        ("a/Archive-S-2019-01-14-18-33-55-830.evtx", "a/S.evtx"),
        ("Archive-S.evtx", "Archive-S.evtx"),
        ("Archive-S-2019-01-14.evtx", "Archive-S-2019-01-14.evtx"),
        ("S-2019-01-14-18-33-55-830.evtx", "S-2019-01-14-18-33-55-830.evtx"),
    ] {
        assert_eq!(archive::unarchived(path, ".evtx"), bare);
    }
}

#[test]
fn a_log_that_overwrites_keeps_its_size_and_the_newest_events() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        size_max: Some(ByteSize::kib(260)),
        full: Full::Overwrite,
        ..config(folder.path(), "S.evtx")
    };
    let (mut logs, mut durable) = (logs(&config), Bytes::new());
    let text = "t".repeat(3000);
    for number in 0..200 {
        deliver(&mut logs, &[("S.evtx", &format!("{number} {text}"))], &mut durable);
    }
    let path = folder.path().join("S.evtx");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 4096 + 4 * 65536);
    let bytes = std::fs::read(&path).unwrap();
    let newest =
        format!("199 {}", "t".repeat(10)).encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    assert!(memchr::memmem::find(&bytes, &newest).is_some());
}

#[test]
fn an_event_no_log_holds_is_refused_and_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.evtx");
    let (mut logs, mut durable) = (logs(&config(folder.path(), "x.evtx")), Bytes::new());
    deliver(&mut logs, &[("x.evtx", "1")], &mut durable);
    let huge = "h".repeat(40_000);
    let refused = logs.send(&batch(&[("x.evtx", "2"), ("x.evtx", &huge), ("x.evtx", "3")])).unwrap_err();
    assert!(
        matches!(&refused, SendError::Refused { reason, .. } if reason.contains("too large")),
        "{refused}"
    );
    assert_eq!(read(&path), ["1"]);
    deliver(&mut logs, &[("x.evtx", "2")], &mut durable);
    assert_eq!(read(&path), ["1", "2"]);
}

#[test]
fn what_is_no_log_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.evtx");
    std::fs::write(&path, "a text somebody needs").unwrap();
    let error = logs(&config(folder.path(), "x.evtx")).send(&batch(&[("x.evtx", "1")])).unwrap_err();
    assert!(error.to_string().contains("not an event log"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"a text somebody needs");
}

#[test]
fn two_writers_of_one_log_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), "x.evtx");
    let (mut first, mut durable) = (logs(&config), Bytes::new());
    deliver(&mut first, &[("x.evtx", "1")], &mut durable);
    let error = logs(&config).send(&batch(&[("x.evtx", "2")])).unwrap_err();
    assert!(error.to_string().contains("another output or process"), "{error}");
}

#[test]
fn more_logs_than_may_be_open_are_closed_and_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { open_max: Some(2), ..config(folder.path(), "{computer}.evtx") };
    let (mut logs, mut durable) = (logs(&config), Bytes::new());
    for round in 0..3 {
        for name in ["a.evtx", "b.evtx", "c.evtx", "d.evtx"] {
            deliver(&mut logs, &[(name, &round.to_string())], &mut durable);
        }
    }
    for name in ["a.evtx", "b.evtx", "c.evtx", "d.evtx"] {
        assert_eq!(read(&folder.path().join(name)), ["0", "1", "2"]);
    }
}

#[test]
fn a_wrong_setting_is_refused_in_words() {
    let check = |text: &str| toml::from_str::<Config>(text).unwrap().check().unwrap_err().to_string();
    assert!(check("path = '/x/{channel}.log'").contains(".evtx"));
    assert!(check("path = '/x/y.evtx'\nsize_max = '1KiB'").contains("68 KiB"));
    assert!(check("path = '/x/y.evtx'\nsize_max = '5GiB'").contains("3 GiB"));
    assert!(check("path = '/x/y.evtx'\nopen_max = 0").contains("open_max"));
}
