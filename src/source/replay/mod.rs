//! Events from a file or standard input: XML documents or JSON lines that carry the XML.
//!
//! | accepted | as |
//! |---|---|
//! | XML | `<Event>…</Event>`, one a line, pretty-printed or end to end, with or without an `<Events>` root |
//! | JSON lines | `{"xml": "<Event…"}`, `{"event": {"original": "<Event…"}}`, `{"event.original": …}`, `"<Event…"` |
//! | dead letters | the JSON lines in an output's folder for them |
//! | encoding | UTF-8, or UTF-16 with a byte order mark |
//!
//! All may stand in one input. What cannot be parsed travels raw with a note and is counted.
//! A file is resumed behind its last kept event; standard input is not. Whatever the input says of
//! itself, its events have no authenticated host, unless an operator says that it holds dead letters.
//! Must not know: outputs, formats.

mod encoding;
mod input;
mod json;
mod position;
mod split;

use super::feed::{self, Fed};
use super::{Report, SourceError, Summary};
use crate::basin::Basin;
use crate::finding::Finding;
use encoding::{Encoding, Transcoder};
use schemars::JsonSchema;
use serde::Deserialize;
use split::{Kind, Splitter, Step};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// `[source.NAME.replay]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file; `-` is standard input.
    pub path: String,
    /// It holds dead letters: an event keeps the host and the time of receipt that stand beside it, so it has the
    /// id that it had. Who can write the file can claim any host by that.
    #[serde(default)]
    pub dead_letters: bool,
}

impl Config {
    /// Checks what was written; opens nothing.
    pub fn open(&self, name: &str) -> Result<Replay, SourceError> {
        if self.path.trim().is_empty() {
            return Err(SourceError::Config {
                name: name.into(),
                key: "path",
                what: "`path` is empty".into(),
                fix: "name a file, or `-` for standard input",
            });
        }
        Ok(Replay {
            name: name.into(),
            path: self.path.as_str().into(),
            dead_letters: self.dead_letters,
            report: Report::new(name),
        })
    }
}

/// The texts of all events of an input that is in memory, in its order; what cannot be read stands
/// among them as it came.
pub fn events(input: &[u8]) -> Vec<Vec<u8>> {
    let (encoding, mark) = Encoding::detect(input);
    let (mut transcoder, mut text) = (Transcoder::new(encoding), Vec::new());
    transcoder.push(&input[mark..], &mut text);
    transcoder.finish(&mut text);
    let (mut splitter, mut events) = (Splitter::default(), Vec::new());
    while let Step::Piece(kind, range) = splitter.next(&text, true) {
        let piece = &text[range];
        let unpacked = if matches!(kind, Kind::Json) { json::event(piece).ok() } else { None };
        events.push(unpacked.map_or_else(|| piece.trim_ascii_end().to_vec(), |line| line.text.into_bytes()));
    }
    events
}

/// The source, checked.
#[derive(Clone, Debug)]
pub struct Replay {
    name: Box<str>,
    path: Box<str>,
    dead_letters: bool,
    report: Report,
}

impl Replay {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The configured file; `-` is standard input.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Live figures; stays valid while and after the source runs.
    pub fn report(&self) -> Report {
        self.report.clone()
    }

    /// What would keep it from reading. A pipe is not opened: whoever writes to it would notice.
    pub fn probe(&self) -> Vec<Finding> {
        if &*self.path == "-" {
            return Vec::new();
        }
        let opened = std::fs::metadata(&*self.path).and_then(|metadata| match metadata.is_dir() {
            true => Err(std::io::ErrorKind::IsADirectory.into()),
            false if metadata.is_file() => std::fs::File::open(&*self.path).map(drop),
            false => Ok(()),
        });
        opened.err().map(|error| input::unreadable(&self.path, &error)).into_iter().collect()
    }

    /// Reads the input to its end; it ends there whether or not the pipeline goes on.
    pub async fn run(self, basin: Basin, stop: CancellationToken) -> Result<Summary, SourceError> {
        let (outlet, inlet) = feed::pipe();
        let (end, ended) = oneshot::channel();
        let key = format!("{}/{}", self.name, self.path);
        let job = input::Job {
            name: self.name.clone(),
            path: self.path.clone(),
            dead_letters: self.dead_letters,
            resume: basin.bookmark(&key),
            key: key.into(),
            report: self.report.clone(),
        };
        let reader = || SourceError::Reader { name: self.name.clone() };
        // A thread of its own, because reading standard input blocks for as long as it likes.
        let thread = std::thread::Builder::new().name("replay".into());
        // Nobody listens any more when the source was stopped.
        thread.spawn(move || drop(end.send(job.run(outlet)))).map_err(|_| reader())?;
        let report = &self.report;
        // Dead letters are of many hosts, and so of many streams.
        let at_once = if self.dead_letters { 1 } else { feed::APPENDS_MAX };
        let append = |batch| basin.append(batch);
        match feed::feed(inlet, at_once, append, &stop, |counts| report.kept(*counts)).await {
            Fed::Ended => {
                let read = ended.await.map_err(|_| reader())?;
                read.map_err(|unreadable| unreadable.of(&self.name))?;
                Ok(report.summary())
            }
            Fed::Stopped => Ok(report.summary()),
            Fed::Lost if stop.is_cancelled() => Ok(report.summary()),
            Fed::Lost => Err(SourceError::NotKept { name: self.name, path: self.path }),
        }
    }
}

#[cfg(test)]
mod tests;
