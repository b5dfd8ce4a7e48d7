//! One thread's work: a run of chunks to output, and what was damaged in it.

use super::Shape;
use super::feed::Feed;
use super::output::{Output, PAGE_BYTES_MAX};
use super::run::{Problem, Run};
use crate::cli::{Exit, Failure};
use crate::event::{EventError, Timestamp};
use crate::evtx::chunk::{ChunkHeader, RawRecord};
use crate::evtx::{BinXmlEvent, Decoder, RecordError};
use crate::filter::Filter;
use crate::format::{Format, FormatConfig, Framing, Meta, xml};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Less than what the allocator would map on its own.
const HEAP_AHEAD_BYTES: usize = 112 << 10;

/// What every worker does with an event.
pub(super) struct Recipe {
    format: FormatConfig,
    filter: Filter,
    /// When the command began: one answer to `timediff` for all events.
    now: Timestamp,
    log: bool,
}

impl Recipe {
    pub(super) fn new(shape: Shape, filter: Filter) -> Result<Self, Failure> {
        let format = match shape {
            Shape::Json => FormatConfig { json: Some(Default::default()), ..FormatConfig::default() },
            Shape::Evtx => FormatConfig {
                xml: Some(xml::Config { framing: xml::FramingConfig::Length }),
                ..FormatConfig::default()
            },
            Shape::Xml => FormatConfig { xml: Some(Default::default()), ..FormatConfig::default() },
            Shape::Ecs => FormatConfig { ecs: Some(Default::default()), ..FormatConfig::default() },
        };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let now = Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
        Ok(Self { format, filter, now, log: shape == Shape::Evtx })
    }
}

pub(super) struct Worker {
    decoder: Decoder,
    pen: Pen,
}

/// What writes events, apart from what reads them.
struct Pen {
    /// For a log: before each event stands when its record was written.
    log: bool,
    filter: Filter,
    now: Timestamp,
    format: Format,
    framing: Framing,
    raw: Vec<u8>,
    page: Page,
}

/// Of one run, what is not written yet.
pub(super) struct Page {
    pub(super) out: Vec<u8>,
    pub(super) problems: Vec<Problem>,
    /// Read, wanted or not.
    pub(super) events: u64,
    pub(super) damaged: u64,
    /// Of the input.
    pub(super) bytes: u64,
}

impl Page {
    /// With room for all that is kept back: growing a large buffer moves its pages under all threads, which
    /// stops each of them.
    pub(super) fn new() -> Self {
        let out = Vec::with_capacity(PAGE_BYTES_MAX + PAGE_BYTES_MAX / 2);
        Self { out, problems: Vec::new(), events: 0, damaged: 0, bytes: 0 }
    }

    pub(super) fn clear(&mut self) {
        let Self { out, problems, events, damaged, bytes } = self;
        out.clear();
        problems.clear();
        (*events, *damaged, *bytes) = (0, 0, 0);
    }
}

impl Worker {
    pub(super) fn new(recipe: &Recipe) -> Result<Self, Failure> {
        let format = recipe.format.open().map_err(|error| Failure::new(Exit::Usage, error))?;
        let framing = format.framing();
        let pen = Pen {
            log: recipe.log,
            filter: recipe.filter.clone(),
            now: recipe.now,
            format,
            framing,
            raw: Vec::new(),
            page: Page::new(),
        };
        Ok(Self { decoder: Decoder::new(), pen })
    }

    /// Takes runs until there are none.
    pub(super) fn run(mut self, feed: &Mutex<Feed>, output: &Output) {
        let Self { decoder, pen } = &mut self;
        let mut run = Run::new();
        let guard = output.guard();
        // The lock ends with the statement: others take runs while this one decodes.
        while feed.lock().unwrap_or_else(PoisonError::into_inner).next(&mut run, &mut pen.page.problems) {
            // What templates are compiled to grows the heap; glibc does that for all but the first thread a
            // page at a time, each with a call of the kernel.
            std::hint::black_box(Vec::<u8>::with_capacity(HEAP_AHEAD_BYTES));
            let sequence = run.sequence;
            let file = Arc::clone(&run.file);
            while let Some((number, chunk)) = run.next(&mut pen.page.problems) {
                pen.chunk(decoder, chunk, &file, number);
                if output.write(sequence, &mut pen.page, false).is_break() {
                    return guard.done();
                }
            }
            if output.write(sequence, &mut pen.page, true).is_break() {
                break;
            }
        }
        guard.done();
    }
}

impl Pen {
    fn chunk(&mut self, decoder: &mut Decoder, chunk: &[u8], file: &Path, number: u64) {
        self.page.bytes += chunk.len() as u64;
        if chunk.iter().take(8).all(|&byte| byte == 0) && RawRecord::at(chunk, 512).is_err() {
            // Preallocated, not used yet.
            return;
        }
        let mut problems = std::mem::take(&mut self.page.problems);
        let mut note = |text: std::fmt::Arguments<'_>| {
            let text = format!("{}: chunk {number}: {text}", file.display());
            problems.push(Problem { text, exit: None });
        };
        match ChunkHeader::parse(chunk) {
            None => note(format_args!("its header is damaged; records are searched for")),
            Some(header) => {
                let checks = header.checks(chunk);
                if !checks.header || !checks.records {
                    note(format_args!("its checksum does not hold; what can be read is written"));
                }
            }
        }
        let _ = decoder.chunk(chunk, 0, |event| {
            match event {
                Ok(event) => self.event(chunk, &event, &mut note),
                Err(error) => self.unreadable(chunk, &error, &mut note),
            }
            ControlFlow::Continue(())
        });
        self.page.problems = problems;
    }

    fn event(
        &mut self,
        chunk: &[u8],
        event: &BinXmlEvent<'_>,
        note: &mut dyn FnMut(std::fmt::Arguments<'_>),
    ) {
        let before = self.page.out.len();
        let written = match self.filter.keeps(event, self.now) {
            Ok(true) => self.write(event),
            Ok(false) => Ok(()),
            // Nobody can say that it is not wanted.
            Err(error) => Err(error),
        };
        match written {
            Ok(()) => self.page.events += 1,
            Err(error) => {
                self.page.out.truncate(before);
                let record = Some((event.record_id(), event.written()));
                let at = event.span().start + error.at;
                self.unreadable(
                    chunk,
                    &RecordError { bytes: event.span(), record, at, what: error.what },
                    note,
                );
            }
        }
    }

    fn write(&mut self, event: &BinXmlEvent<'_>) -> Result<(), EventError> {
        if self.log {
            super::log::stamp(event.written(), &mut self.page.out);
        }
        let start = self.framing.open(&mut self.page.out);
        self.format.event(event, &Meta::default(), &mut self.page.out)?;
        self.framing.close(&mut self.page.out, start);
        Ok(())
    }

    /// A record that is no event is written raw; bytes that are no record are only told of.
    fn unreadable(
        &mut self,
        chunk: &[u8],
        error: &RecordError,
        note: &mut dyn FnMut(std::fmt::Arguments<'_>),
    ) {
        self.page.damaged += 1;
        let Some((id, _)) = error.record else {
            return note(format_args!(
                "bytes {} to {} are no record: {}",
                error.bytes.start, error.bytes.end, error.what
            ));
        };
        if self.log {
            return note(format_args!("record {id} cannot be read, so no log can hold it: {error}"));
        }
        note(format_args!("record {id} cannot be read and is written raw: {error}"));
        self.raw.clear();
        crate::event::Value::Binary(&chunk[error.bytes.clone()]).write_text(&mut self.raw);
        let start = self.framing.open(&mut self.page.out);
        self.format.raw(&self.raw, &error.to_string(), &Meta::default(), &mut self.page.out);
        self.framing.close(&mut self.page.out, start);
    }
}
