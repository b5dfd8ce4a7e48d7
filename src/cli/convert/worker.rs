//! One thread's work: a block of chunks to output, and what was damaged in it.

use super::Shape;
use super::feed::{Block, Feed, Problem};
use super::output::Output;
use crate::cli::{Exit, Failure};
use crate::event::{EventError, Timestamp};
use crate::evtx::chunk::{ChunkHeader, RawRecord};
use crate::evtx::{BinXmlEvent, Decoder, RecordError};
use crate::filter::Filter;
use crate::format::{Format, FormatConfig, Framing, Meta, xml};
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
    out: Vec<u8>,
    /// Read, wanted or not.
    events: u64,
    damaged: u64,
}

/// Of one block, to be written when it is its turn.
pub(super) struct Page<'p> {
    pub(super) out: &'p [u8],
    pub(super) problems: &'p [Problem],
    pub(super) events: u64,
    pub(super) damaged: u64,
    /// Of the input.
    pub(super) bytes: u64,
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
            out: Vec::new(),
            events: 0,
            damaged: 0,
        };
        Ok(Self { decoder: Decoder::new(), pen })
    }

    /// Takes blocks until there are none.
    pub(super) fn run(mut self, feed: &Mutex<Feed>, output: &Output) {
        let mut block = Block::new();
        let guard = output.guard();
        // The lock ends with the statement: others read while this one decodes.
        while feed.lock().unwrap_or_else(PoisonError::into_inner).next(&mut block) {
            let problems = self.convert(&mut block);
            let page = Page {
                out: &self.pen.out,
                problems: &problems,
                events: self.pen.events,
                damaged: self.pen.damaged,
                bytes: block.bytes(),
            };
            if output.write(block.sequence, &page).is_break() {
                break;
            }
        }
        guard.done();
    }

    fn convert(&mut self, block: &mut Block) -> Vec<Problem> {
        let mut problems = std::mem::take(&mut block.problems);
        let Self { decoder, pen } = self;
        pen.out.clear();
        (pen.events, pen.damaged) = (0, 0);
        for (chunk, number) in block.chunks().zip(block.first_chunk..) {
            let mut note = |text: std::fmt::Arguments<'_>| {
                let text = format!("{}: chunk {number}: {text}", block.file.display());
                problems.push(Problem { text, exit: None });
            };
            if chunk.iter().take(8).all(|&byte| byte == 0) && RawRecord::at(chunk, 512).is_err() {
                // Preallocated, not used yet.
                continue;
            }
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
                    Ok(event) => pen.event(chunk, &event, &mut note),
                    Err(error) => pen.unreadable(chunk, &error, &mut note),
                }
                ControlFlow::Continue(())
            });
        }
        problems
    }
}

impl Pen {
    fn event(
        &mut self,
        chunk: &[u8],
        event: &BinXmlEvent<'_>,
        note: &mut dyn FnMut(std::fmt::Arguments<'_>),
    ) {
        let before = self.out.len();
        let written = match self.filter.keeps(event, self.now) {
            Ok(true) => self.write(event),
            Ok(false) => Ok(()),
            // Nobody can say that it is not wanted.
            Err(error) => Err(error),
        };
        match written {
            Ok(()) => self.events += 1,
            Err(error) => {
                self.out.truncate(before);
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
            super::log::stamp(event.written(), &mut self.out);
        }
        let start = self.framing.open(&mut self.out);
        self.format.event(event, &Meta::default(), &mut self.out)?;
        self.framing.close(&mut self.out, start);
        Ok(())
    }

    /// A record that is no event is written raw; bytes that are no record are only told of.
    fn unreadable(
        &mut self,
        chunk: &[u8],
        error: &RecordError,
        note: &mut dyn FnMut(std::fmt::Arguments<'_>),
    ) {
        self.damaged += 1;
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
        let start = self.framing.open(&mut self.out);
        self.format.raw(&self.raw, &error.to_string(), &Meta::default(), &mut self.out);
        self.framing.close(&mut self.out, start);
    }
}
