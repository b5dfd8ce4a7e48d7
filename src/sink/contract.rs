//! What every sink promises, asked of all of them: confirmed is there for a reader, in order; what
//! came after a note is taken back; a place that cannot be written is tried again, not refused.

use super::{Encoded, Item, SendError, Sent, Sink, SinkConfig};
use crate::event::Timestamp;
use crate::evtx::{CHUNK_BYTES, Decoder, FILE_HEADER_BYTES};
use bytes::Bytes;
use std::fs;
use std::io::{self, Read as _, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A sink over a folder, and how others read what it wrote.
struct Case {
    name: &'static str,
    open: fn(&Path) -> Box<dyn Sink>,
    read: fn(&Path) -> String,
    /// Whether it takes back what came after a note.
    resumes: bool,
    /// Whether some bytes can never be taken.
    refuses: bool,
}

const CASES: [Case; 5] = [
    Case {
        name: "file",
        open: |folder| configured(folder, "file = { path = 'ROOT/out/x' }"),
        read: |folder| fs::read_to_string(folder.join("out/x")).unwrap(),
        resumes: true,
        refuses: false,
    },
    Case {
        name: "file, gzip",
        open: |folder| configured(folder, "file = { path = 'ROOT/out/x', compression = 'gzip' }"),
        read: |folder| {
            let mut text = String::new();
            let file = fs::File::open(folder.join("out/x")).unwrap();
            flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
            text
        },
        resumes: true,
        refuses: false,
    },
    Case {
        name: "file, zstd",
        open: |folder| configured(folder, "file = { path = 'ROOT/out/x', compression = 'zstd' }"),
        read: |folder| {
            let file = fs::File::open(folder.join("out/x")).unwrap();
            String::from_utf8(zstd::decode_all(file).unwrap()).unwrap()
        },
        resumes: true,
        refuses: false,
    },
    Case {
        name: "evtx",
        open: |folder| configured(folder, "evtx = { path = 'ROOT/out/x.evtx' }"),
        read: |folder| log(&folder.join("out/x.evtx")),
        resumes: true,
        refuses: true,
    },
    Case {
        name: "stdout",
        open: |folder| Box::new(super::stdout::Stdout::to(Box::new(Appending(folder.join("stdout"))))),
        read: |folder| fs::read_to_string(folder.join("stdout")).unwrap(),
        resumes: false,
        refuses: false,
    },
];

fn configured(folder: &Path, text: &str) -> Box<dyn Sink> {
    let text = text.replace("ROOT", &folder.display().to_string());
    toml::from_str::<SinkConfig>(&text).unwrap().open().unwrap()
}

/// What a redirected standard output is.
struct Appending(PathBuf);

impl Write for Appending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        fs::File::options().append(true).create(true).open(&self.0)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Events of a log, a line each, as `event` writes them.
fn log(path: &Path) -> String {
    let (bytes, mut decoder, mut text) = (fs::read(path).unwrap(), Decoder::new(), String::new());
    for chunk in bytes[FILE_HEADER_BYTES..].chunks(CHUNK_BYTES) {
        let _ = decoder.chunk(chunk, 512, |found| {
            let mut xml = Vec::new();
            found.unwrap().xml(&mut xml).unwrap();
            let xml = String::from_utf8(xml).unwrap();
            text += &event(xml.split("<Data>").nth(1).unwrap().split("</Data>").next().unwrap());
            ControlFlow::Continue(())
        });
    }
    text
}

fn event(data: &str) -> String {
    format!(
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><EventID>1</EventID></System>\
         <EventData><Data>{data}</Data></EventData></Event>\n"
    )
}

fn events(texts: &[&str]) -> String {
    texts.iter().map(|text| event(text)).collect()
}

fn batch(route: &str, texts: &[String]) -> Arc<Encoded> {
    let (mut bytes, mut items) = (Vec::new(), Vec::new());
    for text in texts {
        let start = bytes.len() as u32;
        bytes.extend_from_slice(text.as_bytes());
        items.push(Item {
            range: start..bytes.len() as u32,
            head: 0,
            id: None,
            time: Timestamp(0),
            route: 0,
        });
    }
    Arc::new(Encoded { bytes: bytes.into(), items, routes: vec![route.into()] })
}

impl Case {
    /// As a lane does: at most one checkpoint is asked for, and it is taken.
    async fn send(&self, sink: &mut dyn Sink, texts: &[&str], durable: &mut Bytes) {
        let route = if self.name == "evtx" { "x.evtx" } else { "x" };
        let batch = batch(route, &texts.iter().map(|text| event(text)).collect::<Vec<_>>());
        match sink.send(&batch).await.unwrap() {
            Sent::Confirmed => return,
            Sent::CheckpointFirst => *durable = sink.note(),
            other @ (Sent::Partly(_) | Sent::Held) => panic!("{other:?}"),
        }
        assert_eq!(
            sink.send(&batch).await,
            Ok(Sent::Confirmed),
            "{}: a checkpoint is asked for once",
            self.name
        );
    }
}

#[tokio::test]
async fn what_is_confirmed_is_there_for_others_in_order_without_a_close() {
    for case in &CASES {
        let folder = tempfile::tempdir().unwrap();
        let (mut sink, mut durable) = ((case.open)(folder.path()), Bytes::new());
        case.send(&mut *sink, &["1", "2"], &mut durable).await;
        assert_eq!((case.read)(folder.path()), events(&["1", "2"]), "{}", case.name);
        case.send(&mut *sink, &["3"], &mut durable).await;
        case.send(&mut *sink, &["4", "5"], &mut durable).await;
        assert_eq!((case.read)(folder.path()), events(&["1", "2", "3", "4", "5"]), "{}", case.name);
        assert!(sink.note().len() <= super::NOTE_BYTES_MAX);
        assert_eq!(sink.close().await, Ok(()), "{}", case.name);
        assert_eq!((case.read)(folder.path()), events(&["1", "2", "3", "4", "5"]), "{}", case.name);
    }
}

#[tokio::test]
async fn what_came_after_the_durable_note_is_taken_back_and_can_be_sent_again() {
    for case in CASES.iter().filter(|case| case.resumes) {
        let folder = tempfile::tempdir().unwrap();
        let (mut sink, mut durable) = ((case.open)(folder.path()), Bytes::new());
        case.send(&mut *sink, &["1", "2"], &mut durable).await;
        durable = sink.note();
        case.send(&mut *sink, &["3", "4"], &mut Bytes::new()).await;
        drop(sink);
        let mut sink = (case.open)(folder.path());
        assert_eq!(sink.resume(&durable), Ok(Vec::new()), "{}", case.name);
        assert_eq!((case.read)(folder.path()), events(&["1", "2"]), "{}", case.name);
        case.send(&mut *sink, &["3", "4", "5"], &mut durable).await;
        assert_eq!((case.read)(folder.path()), events(&["1", "2", "3", "4", "5"]), "{}", case.name);
    }
}

#[tokio::test]
async fn a_restart_before_the_first_checkpoint_repeats_nothing() {
    for case in CASES.iter().filter(|case| case.resumes) {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = (case.open)(folder.path());
        let route = if case.name == "evtx" { "x.evtx" } else { "x" };
        assert_eq!(sink.send(&batch(route, &[event("1")])).await, Ok(Sent::CheckpointFirst), "{}", case.name);
        drop(sink);
        let (mut sink, mut durable) = ((case.open)(folder.path()), Bytes::new());
        assert_eq!(sink.resume(b""), Ok(Vec::new()));
        case.send(&mut *sink, &["1"], &mut durable).await;
        assert_eq!((case.read)(folder.path()), event("1"), "{}", case.name);
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_tried_again_and_works_when_it_can() {
    for case in CASES.iter().filter(|case| case.resumes) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("out"), "a file where a folder should be").unwrap();
        let (mut sink, mut durable) = ((case.open)(folder.path()), Bytes::new());
        let route = if case.name == "evtx" { "x.evtx" } else { "x" };
        for _ in 0..3 {
            let error = sink.send(&batch(route, &[event("1")])).await.unwrap_err();
            assert!(matches!(&error, SendError::Retry { peer, .. } if peer.contains("out/x")), "{error}");
        }
        fs::remove_file(folder.path().join("out")).unwrap();
        case.send(&mut *sink, &["1"], &mut durable).await;
        assert_eq!((case.read)(folder.path()), event("1"), "{}", case.name);
    }
}

#[tokio::test]
async fn what_will_never_be_taken_is_refused_whole_and_the_sink_goes_on() {
    for case in CASES.iter().filter(|case| case.refuses) {
        let folder = tempfile::tempdir().unwrap();
        let (mut sink, mut durable) = ((case.open)(folder.path()), Bytes::new());
        case.send(&mut *sink, &["1"], &mut durable).await;
        let poisoned = batch("x.evtx", &[event("2"), "no event\n".into(), event("3")]);
        let error = sink.send(&poisoned).await.unwrap_err();
        assert!(matches!(error, SendError::Refused { .. }), "{error}");
        assert_eq!((case.read)(folder.path()), event("1"), "{}", case.name);
        case.send(&mut *sink, &["2"], &mut durable).await;
        assert_eq!((case.read)(folder.path()), events(&["1", "2"]), "{}", case.name);
    }
}
