//! A log on disk that is written as the tests need it, and the source over its folder.

use super::super::{Config, Summary};
use crate::event::xml::XmlEvent;
use crate::evtx::write::{FileHeaders, LogWriter, Options, Store};
use crate::source::SourceError;
use crate::source::harness::Harness;
use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub(super) struct Disk(pub(super) File);

impl Store for Disk {
    type Error = io::Error;

    fn bytes(&mut self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&mut self, at: u64, into: &mut [u8]) -> io::Result<()> {
        into.fill(0);
        self.0.read_at(into, at).map(drop)
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, at)
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }
}

/// A log that is being written.
pub(super) struct Writer {
    log: LogWriter,
    disk: Disk,
    /// FILETIME of the next record.
    pub(super) clock: u64,
}

impl Writer {
    pub(super) fn new(path: &Path, chunks_max: u16, first_record_id: u64) -> Self {
        let mut disk =
            Disk(File::options().read(true).write(true).create(true).truncate(true).open(path).unwrap());
        let options = Options {
            chunks_max,
            wrap: true,
            first_record_id,
            headers: FileHeaders::Stale,
            ..Options::default()
        };
        Self { log: LogWriter::create(options, &mut disk).unwrap(), disk, clock: 133_000_000_000_000_000 }
    }

    /// Appends events of these numbers and flushes.
    pub(super) fn write(&mut self, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            self.clock += 10_000;
            let text = event(number);
            let event = XmlEvent::parse(text.as_bytes()).unwrap();
            self.log.push(&event, self.clock, &mut self.disk).unwrap();
        }
        self.log.flush(&mut self.disk).unwrap();
    }

    pub(super) fn close(mut self) {
        self.log.close(&mut self.disk).unwrap();
    }
}

/// About sixty of them fill a chunk.
pub(super) fn event(number: u64) -> String {
    let system = format!(
        "<System><Provider Name='Test'/><EventID>{}</EventID><EventRecordID>{number}</EventRecordID>\
         <Channel>Test</Channel><Computer>pc</Computer></System>",
        number % 10
    );
    let padding = "x".repeat(200);
    format!(
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'>{system}\
         <EventData><Data Name='N'>{number}</Data><Data Name='P'>{padding}</Data></EventData></Event>"
    )
}

pub(super) struct Bench {
    pub(super) folder: TempDir,
    pub(super) harness: Harness,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), harness: Harness::new() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn writer(&self, name: &str, chunks_max: u16) -> Writer {
        Writer::new(&self.path(name), chunks_max, 1)
    }

    pub(super) fn config(&self) -> Config {
        toml::from_str(&format!("path = '{}'\npoll = '20ms'", self.folder.path().display())).unwrap()
    }

    /// Reads what is there.
    pub(super) async fn once(&self) -> Result<Summary, SourceError> {
        self.run(self.config()).await
    }

    pub(super) async fn run(&self, config: Config) -> Result<Summary, SourceError> {
        let source = config.open("logs").unwrap();
        source.run(self.harness.basin.clone(), CancellationToken::new(), true).await
    }

    /// Follows until the future is done.
    pub(super) async fn following<F: Future<Output = ()>>(&self, until: F) -> Summary {
        let stop = CancellationToken::new();
        let source = self.config().open("logs").unwrap();
        let run = source.run(self.harness.basin.clone(), stop.clone(), false);
        let (summary, ()) = tokio::join!(run, async {
            until.await;
            stop.cancel();
        });
        summary.unwrap()
    }

    /// Waits until so many events are kept, at most half a minute.
    pub(super) async fn reached(&self, events: usize) {
        for _ in 0..3000 {
            if self.harness.events().len() >= events {
                return;
            }
            pause(10).await;
        }
        panic!("{} of {events} events came", self.harness.events().len());
    }

    /// Numbers of the events so far, in order; 0 for what could not be decoded.
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.harness.events().iter().map(|event| number(event)).collect()
    }
}

pub(super) async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

fn number(event: &str) -> u64 {
    let number = event.split("<EventRecordID>").nth(1).and_then(|rest| rest.split('<').next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Bytes of a finished log of so many events.
pub(super) fn log(events: u64) -> Vec<u8> {
    let mut store = Vec::new();
    let mut log = LogWriter::create(Options::default(), &mut store).unwrap();
    for number in 1..=events {
        let text = event(number);
        let event = XmlEvent::parse(text.as_bytes()).unwrap();
        let pushed: Result<u64, crate::evtx::write::PushError<Infallible>> =
            log.push(&event, 1_000_000 + number, &mut store);
        pushed.unwrap();
    }
    log.close(&mut store).unwrap();
    store
}
