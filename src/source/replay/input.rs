//! Reads the input on a thread of its own and hands out batches, each with the position behind it.

use super::encoding::{Encoding, Transcoder};
use super::json;
use super::position::{Position, head};
use super::split::{EVENT_BYTES_MAX, Kind, Splitter, Step};
use crate::event::{Bookmark, NoteKind, Origin, xml};
use crate::finding::Finding;
use crate::source::batch::{self, Filling};
use crate::source::feed::{Closed, Outlet};
use crate::source::{Report, Unreadable};
use bytes::Bytes;
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::sync::Arc;

/// What the thread needs.
pub(super) struct Job {
    pub(super) name: Box<str>,
    pub(super) path: Box<str>,
    pub(super) key: Box<str>,
    /// Origins that stand beside events are theirs.
    pub(super) dead_letters: bool,
    pub(super) resume: Option<Bytes>,
    pub(super) report: Report,
}

const READ_BYTES: usize = 64 << 10;

impl Job {
    /// Reads to the end, or until nobody takes batches any more.
    pub(super) fn run(self, outlet: Outlet) -> Result<(), Unreadable> {
        let failed =
            |error: io::Error| Unreadable { finding: unreadable(&self.path, &error), kind: error.kind() };
        let (input, start) = self.open().map_err(failed)?;
        let mut reading = Reading::new(&self, start);
        match reading.all(input, &outlet) {
            Ok(()) | Err(Ended::Closed) => {}
            Err(Ended::Io(error)) => return Err(failed(error)),
        }
        reading.conclude();
        Ok(())
    }

    /// The input from where reading goes on.
    fn open(&self) -> io::Result<(Box<dyn Read>, Start)> {
        if &*self.path == "-" {
            return Ok((Box::new(io::stdin()), Start::default()));
        }
        let mut file = File::open(&*self.path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        // A pipe has a path, and no place to come back to.
        if !metadata.is_file() {
            return Ok((Box::new(file), Start::default()));
        }
        let head = head(&file)?;
        let (encoding, mark) = Encoding::detect(&head);
        let kept = self.resume.as_deref().and_then(Position::read);
        let offset = match kept {
            Some(position) if position.fits(&file, metadata.len())? => position.offset,
            Some(_) => {
                tracing::info!(source = %self.name, file = %self.path, "another file than last time: read from its start");
                mark as u64
            }
            None => mark as u64,
        };
        file.seek(SeekFrom::Start(offset))?;
        let position = Position::new(offset, &head);
        Ok((Box::new(file), Start { encoding: Some(encoding), position: Some(position) }))
    }
}

/// In words, why the input at `path` cannot be read.
pub(super) fn unreadable(path: &str, error: &io::Error) -> Finding {
    let fix = match error.kind() {
        ErrorKind::NotFound => "check the path; it is taken relative to the working directory",
        ErrorKind::PermissionDenied => "let this user read it",
        ErrorKind::IsADirectory => "name a file in it",
        _ => "check that it is a readable file",
    };
    Finding { what: format!("cannot read {path}"), why: error.to_string(), fix: fix.into() }
}

/// Where reading starts; nothing is known of a pipe before it is read.
#[derive(Clone, Copy, Debug, Default)]
struct Start {
    encoding: Option<Encoding>,
    position: Option<Position>,
}

enum Ended {
    Closed,
    Io(io::Error),
}

impl From<Closed> for Ended {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

/// The state between input and batches.
struct Reading<'j> {
    job: &'j Job,
    encoding: Option<Encoding>,
    transcoder: Transcoder,
    splitter: Splitter,
    text: Vec<u8>,
    /// Bytes of text before `text`.
    before: u64,
    filling: Filling,
    /// Of the dead letters in it.
    origin: Option<Origin>,
    position: Option<Position>,
    broken: u64,
    doctype_told: bool,
    letters_told: bool,
}

impl<'j> Reading<'j> {
    fn new(job: &'j Job, start: Start) -> Self {
        Self {
            job,
            encoding: start.encoding,
            transcoder: Transcoder::new(start.encoding.unwrap_or(Encoding::Utf8)),
            splitter: Splitter::default(),
            text: Vec::new(),
            before: 0,
            filling: Filling::default(),
            origin: None,
            position: start.position,
            broken: 0,
            doctype_told: false,
            letters_told: false,
        }
    }

    fn all(&mut self, mut input: Box<dyn Read>, outlet: &Outlet) -> Result<(), Ended> {
        let mut buffer = vec![0; READ_BYTES];
        let mut held = Vec::new();
        loop {
            let read = match input.read(&mut buffer) {
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Ended::Io(error)),
            };
            if outlet.is_closed() {
                return Err(Ended::Closed);
            }
            if self.encoding.is_none() {
                held.extend_from_slice(&buffer[..read]);
                // Enough to see a byte order mark.
                if held.len() >= 4 || read == 0 {
                    let (encoding, mark) = Encoding::detect(&held);
                    self.encoding = Some(encoding);
                    self.transcoder = Transcoder::new(encoding);
                    self.transcoder.push(&held[mark..], &mut self.text);
                }
            } else {
                self.transcoder.push(&buffer[..read], &mut self.text);
            }
            if read == 0 {
                self.transcoder.finish(&mut self.text);
            }
            self.pieces(read == 0, outlet)?;
            // A short read is all there is for now: events must not wait for more to come.
            if !self.filling.is_empty() && read < buffer.len() {
                self.hand_over(outlet)?;
            }
            if read == 0 {
                return Ok(());
            }
        }
    }

    fn pieces(&mut self, end: bool, outlet: &Outlet) -> Result<(), Closed> {
        loop {
            let text = std::mem::take(&mut self.text);
            // What is before the piece, and no longer in the batch.
            let mut behind = 0;
            while !self.filling.is_full() {
                let before = self.splitter.done();
                let Step::Piece(kind, range) = self.splitter.next(&text, end) else { break };
                let replaced = self.transcoder.replaced_before(self.before + (range.end - behind) as u64);
                let carried = self.carried(kind, &text[range]);
                if self.origin != carried.origin {
                    self.advance(&text[behind..before]);
                    behind = before;
                    if !self.filling.is_empty() {
                        self.hand_over(outlet)?;
                    }
                    self.origin = carried.origin.clone();
                }
                self.piece(kind, carried, replaced);
            }
            if self.splitter.skipped_doctype() && !self.doctype_told {
                self.doctype();
            }
            self.advance(&text[behind..self.splitter.done()]);
            self.keep(text);
            if !self.filling.is_full() {
                return Ok(());
            }
            self.hand_over(outlet)?;
        }
    }

    /// Everything in `done` is in the batch or skipped.
    fn advance(&mut self, done: &[u8]) {
        self.before += done.len() as u64;
        if let Some(position) = &mut self.position {
            position.offset += self.transcoder.raw_len(done);
        }
    }

    fn keep(&mut self, mut text: Vec<u8>) {
        text.drain(..self.splitter.done());
        self.splitter.forgot();
        self.text = text;
    }

    /// The text of an event, what is wrong with it, and whose it was when it is a dead letter.
    fn carried<'t>(&mut self, kind: Kind, piece: &'t [u8]) -> Carried<'t> {
        let as_it_is = |wrong| Carried { text: Cow::Borrowed(piece), wrong, origin: None, notes: Vec::new() };
        match kind {
            Kind::Xml => as_it_is(wrong(piece)),
            Kind::Json => match json::event(piece) {
                Ok(json::Carried { text, origin, notes }) => {
                    if origin.is_some() && !self.job.dead_letters {
                        self.letters();
                    }
                    // It comes through this source: one of that name may run, with an order of its own.
                    let ours = |origin| Origin { source: self.job.name.clone(), ..origin };
                    let origin = origin.filter(|_| self.job.dead_letters).map(ours);
                    Carried {
                        wrong: wrong(text.as_bytes()),
                        text: Cow::Owned(text.into_bytes()),
                        origin,
                        notes,
                    }
                }
                Err(wrong) => {
                    Carried { text: Cow::Borrowed(piece.trim_ascii_end()), ..as_it_is(Some(wrong)) }
                }
            },
            Kind::Broken { what } => as_it_is(Some(what.to_owned())),
            Kind::TooLong { first } => {
                if first {
                    self.too_long();
                }
                let limit = EVENT_BYTES_MAX >> 20;
                as_it_is(Some(format!("a part of something longer than {limit} MiB")))
            }
        }
    }

    fn piece(&mut self, kind: Kind, Carried { text, wrong, notes, .. }: Carried<'_>, replaced: bool) {
        // What no source trusted must not come back as if one did. That it cannot be read is seen anew.
        for (kind, detail) in notes {
            if kind != NoteKind::Undecodable || wrong.is_none() {
                self.filling.note(kind, detail);
            }
        }
        let note = match wrong {
            Some(wrong) => {
                if !matches!(kind, Kind::TooLong { .. }) {
                    self.broken(&wrong);
                }
                Some((NoteKind::Undecodable, wrong))
            }
            None if replaced => Some((NoteKind::Surrogates, "lone surrogates became U+FFFD".into())),
            None => None,
        };
        match String::from_utf8_lossy(&text) {
            Cow::Borrowed(valid) => self.filling.push(valid.as_bytes(), note),
            Cow::Owned(mended) => self.filling.push(mended.as_bytes(), note),
        }
    }

    fn too_long(&self) {
        let limit = EVENT_BYTES_MAX >> 20;
        self.job.report.find(Finding {
            what: format!("{}: something without an end is longer than {limit} MiB", self.job.path),
            why: format!(
                "no event of Windows is that long; it begins after byte {} of the text",
                self.before
            ),
            fix: "it travels on raw, in parts; check what wrote the file".into(),
        });
    }

    fn doctype(&mut self) {
        self.doctype_told = true;
        self.job.report.find(Finding {
            what: format!("{}: a document type declaration is left out", self.job.path),
            why: "no event of Windows has one, and what it declares is never expanded".into(),
            fix: "nothing to do if the entities it declares are not missed; check what wrote the file".into(),
        });
    }

    fn letters(&mut self) {
        if std::mem::replace(&mut self.letters_told, true) {
            return;
        }
        self.job.report.find(Finding {
            what: format!("{}: it holds dead letters, whose hosts are left out", self.job.path),
            why: "what a file says of who sent an event counts only where it is asked for".into(),
            fix: "set `dead_letters = true`, if only forebay writes the file; ids of events are other ones without \
                  their hosts"
                .into(),
        });
    }

    fn broken(&mut self, wrong: &str) {
        self.broken += 1;
        // The first is explained, the others are counted: one line for a file full of them.
        if self.broken == 1 {
            self.job.report.find(Finding {
                what: format!("{}: an event cannot be read", self.job.path),
                why: format!("{wrong}, after byte {} of the text", self.before),
                fix: "it travels on raw with the reason beside it, as all others of this file do".into(),
            });
        }
    }

    fn conclude(&self) {
        if self.broken > 1 {
            tracing::warn!(source = %self.job.name, file = %self.job.path, events = self.broken, "could not be read and travel raw");
        }
    }

    fn hand_over(&mut self, outlet: &Outlet) -> Result<(), Closed> {
        let file = (&*self.job.path != "-").then_some(&*self.job.path);
        let bookmark =
            self.position.map(|position| Bookmark { key: self.job.key.clone(), value: position.write() });
        let (mut batch, counts) = self.filling.take(batch::origin(&self.job.name, file), bookmark);
        if let Some(origin) = self.origin.take() {
            batch.origin = Arc::new(origin);
        }
        outlet.send((batch, counts))
    }
}

/// An event as it stands in the input.
struct Carried<'t> {
    text: Cow<'t, [u8]>,
    wrong: Option<String>,
    origin: Option<Origin>,
    notes: Vec<(NoteKind, String)>,
}

/// Why an event cannot be read.
fn wrong(text: &[u8]) -> Option<String> {
    xml::check(text).err().map(|error| error.to_string())
}
