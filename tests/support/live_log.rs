//! A log as it looks while Windows is writing it: preallocated, dirty, with a file header that is
//! never brought up to date; records first and the header of their chunk after them; wrapping in
//! place.

use forebay::event::xml::XmlEvent;
use forebay::evtx::write::{FileHeaders, Layout, LogWriter, Options, PushError, Store};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

pub(crate) struct LiveLog {
    log: LogWriter,
    ring: Ring,
}

impl LiveLog {
    /// A new ring of `chunks` chunks that overwrites none which is younger than `age_min`.
    pub(crate) fn create(path: &Path, chunks: u16, age_min: Duration) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        let options = Options {
            chunks_max: chunks,
            wrap: true,
            headers: FileHeaders::Stale,
            layout: Layout::Collector,
            ..Options::default()
        };
        let log = LogWriter::create(options, &mut file)?;
        file.set_len(4096 + u64::from(chunks) * 65536)?;
        let slots = vec![None; usize::from(chunks)];
        Ok(Self { log, ring: Ring { file, slots, age_min, overwritten: 0, header_first: false, held: None } })
    }

    /// Appends one event; returns its record id. It is in the file when this returns.
    pub(crate) fn append(&mut self, xml: &str, written: u64) -> io::Result<u64> {
        let event = XmlEvent::parse(xml.as_bytes()).map_err(io::Error::other)?;
        let id = self.log.push(&event, written, &mut self.ring).map_err(|error| match error {
            PushError::Store(error) => error,
            error => io::Error::other(error.to_string()),
        })?;
        self.log.flush(&mut self.ring)?;
        Ok(id)
    }

    /// Appends events that say their own record id and have a text of this length.
    pub(crate) fn append_numbered(&mut self, count: u64, characters: usize) {
        for _ in 0..count {
            let id = self.next_record_id();
            let text = "x".repeat(characters);
            let event = format!(
                "<Event><System><EventRecordID>{id}</EventRecordID></System><EventData><Data Name='A'>{text}</Data>\
                 </EventData></Event>"
            );
            self.append(&event, 133_000_000_000_000_000 + id * 10_000).unwrap();
        }
    }

    /// From now on the header of a chunk reaches the file before its records, as a reader may see
    /// it on a share; the records come in two pieces.
    pub(crate) fn header_first(&mut self, yes: bool) {
        self.ring.header_first = yes;
    }

    /// What Windows does when the log is closed.
    pub(crate) fn close(mut self) -> io::Result<()> {
        self.log.close(&mut self.ring)
    }

    /// How often every chunk was overwritten.
    pub(crate) fn wraps(&self) -> u64 {
        self.ring.overwritten / self.ring.slots.len() as u64
    }

    /// Id that the next record gets.
    pub(crate) fn next_record_id(&self) -> u64 {
        self.log.next_record_id()
    }
}

struct Ring {
    file: File,
    /// When each slot was last written.
    slots: Vec<Option<Instant>>,
    age_min: Duration,
    /// Chunks.
    overwritten: u64,
    header_first: bool,
    /// Records that wait for their header.
    held: Option<(u64, Vec<u8>)>,
}

impl Store for Ring {
    type Error = io::Error;

    fn bytes(&mut self) -> io::Result<u64> {
        self.file.bytes()
    }

    fn read_at(&mut self, at: u64, into: &mut [u8]) -> io::Result<()> {
        Store::read_at(&mut self.file, at, into)
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        if at < 4096 {
            return Store::write_at(&mut self.file, at, bytes);
        }
        let slot = ((at - 4096) / 65536) as usize;
        // A slot is taken over by wiping the header in it.
        if bytes.iter().all(|&byte| byte == 0)
            && let Some(last) = self.slots[slot]
        {
            sleep(self.age_min.saturating_sub(last.elapsed()));
            self.overwritten += 1;
        }
        self.slots[slot] = Some(Instant::now());
        let is_header = (at - 4096).is_multiple_of(65536);
        if self.header_first && !is_header {
            self.held = Some((at, bytes.to_vec()));
            return Ok(());
        }
        Store::write_at(&mut self.file, at, bytes)?;
        if let Some((at, records)) = self.held.take_if(|_| is_header) {
            let (first, second) = records.split_at(records.len() / 2);
            Store::write_at(&mut self.file, at, first)?;
            sleep(Duration::from_millis(2));
            Store::write_at(&mut self.file, at + first.len() as u64, second)?;
        }
        Ok(())
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        self.file.truncate(bytes)
    }
}
