//! The ledger: what every host had in its log, what of it was sent and what was acknowledged.
//!
//! ```text
//! {"forebay_ledger":1,"seed":7,…}      first line: all that the events follow from
//! S 0 {"name":…,"query":…}             a subscription, under a number of its own
//! L 12 0 50 133…                       host 12 has events 0..50, from this time on (ticks since 1601)
//! A 12 0 0 50                          host 12, subscription 0: 0..50 were acknowledged
//! U 12 0 50 100                        … were sent; no Ack came
//! D 12 0 0 50                          … were sent once more, after their Ack
//! T 12 7                               event 7 of host 12 was sent with an element that is never closed
//! ```
//! Events themselves are not in it: they follow from the seed, the host and their number, so the ledger
//! takes some bytes per batch and still says every event letter by letter. Lines are written as it
//! happens; a run that is given an existing ledger goes on where that ends.

use super::log::Log;
use super::pool::{Origin, Pool};
use crate::wsman::QueryList;
use crate::wsman::subscription::{Content, Subscription};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// All that the events follow from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Version of this layout.
    pub forebay_ledger: u32,
    pub seed: u64,
    pub hosts: u32,
    pub names: Names,
    pub first_record: u64,
    pub origin: Origin,
}

pub(super) const VERSION: u32 = 1;

/// What hosts are called: `{prefix}00012.{domain}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    pub prefix: String,
    pub domain: String,
}

impl Names {
    pub fn of(&self, host: u32) -> String {
        let Self { prefix, domain } = self;
        let dot = if domain.is_empty() { "" } else { "." };
        format!("{prefix}{host:05}{dot}{domain}")
    }
}

/// What of a subscription decides which events are sent, and in which form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) query: String,
    pub(super) rendered: bool,
}

impl Stream {
    pub(super) fn of(subscription: &Subscription) -> Self {
        let mut query = String::new();
        subscription.query.write(&mut query);
        let rendered = subscription.content == Content::RenderedText;
        Self { name: subscription.name.clone(), query, rendered }
    }

    pub(super) fn wanted(&self, pool: &Pool) -> Vec<bool> {
        QueryList::parse(&self.query).map(|query| pool.wanted(&query)).unwrap_or_default()
    }
}

/// What became of a range of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Acknowledged,
    Unanswered,
    SentAgain,
}

/// One line below the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Stream(u32, Stream),
    Log { host: u32, events: Range<u64>, time: u64 },
    Sent { host: u32, stream: u32, events: Range<u64>, fate: Fate },
    Torn { host: u32, event: u64 },
}

/// The ledger as it is being written; without a file it only numbers the subscriptions.
pub(super) struct Ledger {
    inner: Mutex<Inner>,
}

struct Inner {
    file: Option<BufWriter<File>>,
    streams: Vec<Stream>,
    failed: Option<io::Error>,
}

impl Ledger {
    /// Without a file: nothing can be verified.
    pub(super) fn none() -> Self {
        Self::over(None, Vec::new())
    }

    /// Makes a file, or goes on with one whose first line says the same: then with the logs of its hosts.
    pub(super) fn open(path: &Path, head: &Head) -> io::Result<(Self, Vec<Log>)> {
        let mut logs = vec![Log::default(); head.hosts as usize];
        let mut streams = Vec::new();
        if path.exists() {
            let (found, entries) = read(path)?;
            if found != *head {
                let why = "it is the ledger of another fleet; name another file, or use the same options";
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
            for entry in entries {
                match entry? {
                    Entry::Stream(_, stream) => streams.push(stream),
                    Entry::Log { host, events, time } => {
                        if let Some(log) = logs.get_mut(host as usize) {
                            log.restore(events.start, events.end, time);
                        }
                    }
                    Entry::Sent { .. } | Entry::Torn { .. } => {}
                }
            }
            let file = File::options().read(true).append(true).open(path)?;
            cut_to_whole_lines(&file)?;
            return Ok((Self::over(Some(BufWriter::new(file)), streams), logs));
        }
        let mut file = BufWriter::new(File::create_new(path)?);
        writeln!(file, "{}", serde_json::to_string(head)?)?;
        Ok((Self::over(Some(file), streams), logs))
    }

    fn over(file: Option<BufWriter<File>>, streams: Vec<Stream>) -> Self {
        Self { inner: Mutex::new(Inner { file, streams, failed: None }) }
    }

    /// The number of a subscription, the same for the same one.
    pub(super) fn stream(&self, stream: &Stream) -> u32 {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = inner.streams.iter().position(|known| known == stream) {
            return known as u32;
        }
        let number = inner.streams.len() as u32;
        inner.streams.push(stream.clone());
        inner.write(&Entry::Stream(number, stream.clone()));
        number
    }

    pub(super) fn write(&self, entry: &Entry) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).write(entry);
    }

    /// What is known so far reaches the file.
    pub(super) fn flush(&self) -> io::Result<()> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = inner.failed.take() {
            return Err(error);
        }
        inner.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Inner {
    fn write(&mut self, entry: &Entry) {
        let Some(file) = &mut self.file else { return };
        let written = match entry {
            Entry::Stream(number, stream) => serde_json::to_string(stream)
                .map_err(io::Error::from)
                .and_then(|json| writeln!(file, "S {number} {json}")),
            Entry::Log { host, events, time } => {
                writeln!(file, "L {host} {} {} {time}", events.start, events.end)
            }
            Entry::Torn { host, event } => writeln!(file, "T {host} {event}"),
            Entry::Sent { host, stream, events, fate } => {
                let letter = match fate {
                    Fate::Acknowledged => 'A',
                    Fate::Unanswered => 'U',
                    Fate::SentAgain => 'D',
                };
                writeln!(file, "{letter} {host} {stream} {} {}", events.start, events.end)
            }
        };
        if let Err(error) = written {
            self.failed.get_or_insert(error);
        }
    }
}

/// Drops what a crash left of a last line.
fn cut_to_whole_lines(file: &File) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(LINE_BYTES_MAX);
    let mut tail = vec![0; (length - from) as usize];
    file.read_exact_at(&mut tail, from)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at as u64 + 1);
    file.set_len(from + whole)
}

/// Longest line: a subscription, whose query has its own limit.
const LINE_BYTES_MAX: u64 = 512 * 1024;

/// The first line of a ledger, and the others as they are read. A last line that was cut off is passed by.
pub(super) fn read(path: &Path) -> io::Result<(Head, impl Iterator<Item = io::Result<Entry>>)> {
    let wrong =
        |line: &str| io::Error::new(io::ErrorKind::InvalidData, format!("`{line}` is no line of a ledger"));
    let mut lines = BufReader::with_capacity(1 << 16, File::open(path)?);
    let mut first = String::new();
    lines.read_line(&mut first)?;
    let head: Head = serde_json::from_str(&first).map_err(|_| wrong(first.trim()))?;
    if head.forebay_ledger != VERSION {
        let why = format!("it is of version {}; this program reads {VERSION}", head.forebay_ledger);
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    let mut line = String::new();
    let entries = std::iter::from_fn(move || {
        line.clear();
        match lines.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) if !line.ends_with('\n') => None,
            Ok(_) => Some(Entry::parse(line.trim_end()).ok_or_else(|| wrong(line.trim()))),
            Err(error) => Some(Err(error)),
        }
    });
    Ok((head, entries))
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        let (kind, rest) = line.split_once(' ')?;
        if kind == "S" {
            let (number, json) = rest.split_once(' ')?;
            return Some(Self::Stream(number.parse().ok()?, serde_json::from_str(json).ok()?));
        }
        let mut numbers = rest.split(' ').map(|number| number.parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        let host = u32::try_from(next()?).ok()?;
        if kind == "L" {
            let (from, to, time) = (next()?, next()?, next()?);
            return Some(Self::Log { host, events: from..to, time });
        }
        if kind == "T" {
            return Some(Self::Torn { host, event: next()? });
        }
        let fate = match kind {
            "A" => Fate::Acknowledged,
            "U" => Fate::Unanswered,
            "D" => Fate::SentAgain,
            _ => return None,
        };
        let (stream, from, to) = (u32::try_from(next()?).ok()?, next()?, next()?);
        Some(Self::Sent { host, stream, events: from..to, fate })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            forebay_ledger: VERSION,
            seed: 7,
            hosts: 3,
            names: Names { prefix: "ws".into(), domain: "corp.example".into() },
            first_record: 1,
            origin: Origin::Generated { variants: 10 },
        }
    }

    #[test]
    fn a_ledger_is_read_as_it_was_written_and_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let stream = Stream { name: "a b".into(), query: "<QueryList/>".into(), rendered: true };
        let log = Entry::Log { host: 2, events: 0..5, time: 9 };
        let torn = Entry::Torn { host: 2, event: 1 };
        let sent = |fate, events| Entry::Sent { host: 2, stream: 0, events, fate };
        let entries = [
            log,
            torn,
            sent(Fate::Acknowledged, 0..3),
            sent(Fate::Unanswered, 3..5),
            sent(Fate::SentAgain, 0..1),
        ];
        let (ledger, logs) = Ledger::open(&path, &head()).unwrap();
        assert_eq!((logs.len(), logs[2].len(), ledger.stream(&stream), ledger.stream(&stream)), (3, 0, 0, 0));
        entries.iter().for_each(|entry| ledger.write(entry));
        ledger.flush().unwrap();

        // The line that a crash cut.
        File::options().append(true).open(&path).unwrap().write_all(b"A 2 0 3").unwrap();
        let (found, read) = read(&path).unwrap();
        assert_eq!(found, head());
        let read: Vec<Entry> = read.map(Result::unwrap).collect();
        assert_eq!(read[0], Entry::Stream(0, stream.clone()));
        assert_eq!(read[1..], entries);
    }

    #[test]
    fn a_second_run_has_the_logs_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let stream = Stream { name: "s".into(), query: "<QueryList/>".into(), rendered: false };
        let (ledger, _) = Ledger::open(&path, &head()).unwrap();
        ledger.stream(&stream);
        ledger.write(&Entry::Log { host: 1, events: 0..5, time: 9 });
        ledger.flush().unwrap();
        let (ledger, logs) = Ledger::open(&path, &head()).unwrap();
        assert_eq!((logs[1].len(), logs[1].time(0), ledger.stream(&stream)), (5, 9, 0));
        File::options().append(true).open(&path).unwrap().write_all(b"A 1 0").unwrap();
        let (ledger, _) = Ledger::open(&path, &head()).unwrap();
        ledger.write(&Entry::Log { host: 1, events: 5..6, time: 9 });
        ledger.flush().unwrap();
        assert_eq!(read(&path).unwrap().1.map(Result::unwrap).count(), 3);
        let other = Head { seed: 8, ..head() };
        assert!(Ledger::open(&path, &other).err().unwrap().to_string().contains("another fleet"));
    }
}
