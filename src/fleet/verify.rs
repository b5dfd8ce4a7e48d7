//! A ledger beside an output: what was lost, what came twice, out of order or altered.
//!
//! Events are known by computer, channel and record id, in whatever shape they were written. What they must
//! look like is told from the ledger: in `xml`, and in `json` of ours, every letter is compared. What comes out
//! of an event log was written anew, so there all values are compared, and not how they were quoted.

mod lines;
mod shape;

use super::ledger::{self, Entry, Fate, Head, Stream};
use super::log::Log;
use super::pool::Pool;
use super::template::{Filling, torn};
use lines::Lines;
use serde::Serialize;
use shape::{Judge, Known};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What an output made of what was sent. Copies are counted, not events, where several subscriptions of a
/// host sent the same event.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verdict {
    /// Events that were sent at least once.
    pub sent: u64,
    pub acknowledged: u64,
    /// Of those that were sent, found in the output.
    pub delivered: u64,
    /// Acknowledged, and not in the output.
    pub lost: u64,
    /// Copies too many.
    pub duplicated: u64,
    /// Of these, at most so many come from deliveries that were sent more than once.
    pub sent_again: u64,
    /// Behind a later event of the same host and channel.
    pub disordered: u64,
    /// Not what was sent.
    pub altered: u64,
    /// Compared letter by letter.
    pub compared: u64,
    /// Events of nobody in this ledger.
    pub foreign: u64,
    /// Lines in which no event was found.
    pub unreadable: u64,
    /// Some of what is wrong, in words.
    pub examples: Vec<String>,
}

/// Most examples that are told.
const EXAMPLES_MAX: usize = 10;

/// The events of an event log, as text.
pub type ReadLog<'r> = &'r dyn Fn(&Path) -> io::Result<Vec<Vec<u8>>>;

/// A ledger that outputs are held against.
pub struct Verify {
    pool: Pool,
    head: Head,
    sheets: Vec<Sheet>,
    by_name: HashMap<String, u32>,
    judge: Judge,
    verdict: Verdict,
}

/// One host: for each event of its log what was done with it, and what was found.
#[derive(Default)]
struct Sheet {
    log: Log,
    events: Vec<Marks>,
    /// Several subscriptions sent: their events come between each other.
    streams: Vec<u32>,
    /// Newest event found of each channel, in this file.
    newest: Vec<u64>,
}

#[derive(Clone, Copy, Default)]
struct Marks {
    acknowledged: u8,
    /// Sent without an Ack, or once more after it.
    extra: u8,
    found: u8,
    raw: bool,
    rendered: bool,
    /// Sent with an element that is never closed.
    torn: bool,
}

impl Verify {
    /// Reads a ledger. `pool_of` makes the events that its first line speaks of.
    ///
    /// # Errors
    /// When it cannot be read, or the events cannot be had.
    pub fn open(path: &Path, pool_of: impl FnOnce(&Head) -> io::Result<Pool>) -> io::Result<Self> {
        let (head, entries) = ledger::read(path)?;
        let pool = pool_of(&head)?;
        let mut sheets: Vec<Sheet> = (0..head.hosts).map(|_| Sheet::default()).collect();
        let mut wanted: Vec<(Stream, Vec<bool>)> = Vec::new();
        for entry in entries {
            match entry? {
                Entry::Stream(_, stream) => {
                    let templates = stream.wanted(&pool);
                    wanted.push((stream, templates));
                }
                Entry::Log { host, events, time } => {
                    if let Some(sheet) = sheets.get_mut(host as usize) {
                        sheet.log.restore(events.start, events.end, time);
                    }
                }
                Entry::Torn { host, event } => {
                    if let Some(sheet) = sheets.get_mut(host as usize) {
                        sheet.reach(event + 1);
                        sheet.events[event as usize].torn = true;
                    }
                }
                Entry::Sent { host, stream, events, fate } => {
                    let Some(sheet) = sheets.get_mut(host as usize) else { continue };
                    let Some((of, wanted)) = wanted.get(stream as usize) else { continue };
                    if !sheet.streams.contains(&stream) {
                        sheet.streams.push(stream);
                    }
                    sheet.reach(events.end);
                    for n in events {
                        if wanted.get(pool.template(host, n) as usize).copied().unwrap_or_default() {
                            sheet.events[n as usize].note(fate, of.rendered);
                        }
                    }
                }
            }
        }
        let names = (0..head.hosts).map(|host| (head.names.of(host).to_lowercase(), host));
        let by_name = names.collect();
        Ok(Self { pool, head, sheets, by_name, judge: Judge::default(), verdict: Verdict::default() })
    }

    /// Reads a file of an output, or all files below a folder; `log` reads those that are event logs.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn output(&mut self, path: &Path, log: ReadLog<'_>) -> io::Result<()> {
        if path.is_dir() {
            let entries: io::Result<Vec<PathBuf>> =
                std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect();
            let mut entries = entries?;
            entries.sort();
            return entries.iter().try_for_each(|path| self.output(path, log));
        }
        for sheet in &mut self.sheets {
            sheet.newest.clear();
        }
        if path.extension().is_some_and(|ending| ending == "evtx") {
            for text in log(path)? {
                let found = self.judge.identify_logged(&text);
                self.event(&text, found);
            }
            return Ok(());
        }
        let mut lines = Lines::open(path)?;
        while let Some(line) = lines.next()? {
            let found = self.judge.identify(line);
            self.event(line, found);
        }
        Ok(())
    }

    fn event(&mut self, line: &[u8], found: Option<Known>) {
        let Some(found) = found else {
            self.verdict.unreadable += 1;
            return example(&mut self.verdict, || "a line holds no event".into());
        };
        let Known { computer, channel, record, .. } = &found;
        let host = self.by_name.get(&computer.to_lowercase()).copied();
        let place = host.zip(self.pool.channel_of(channel));
        let n = place.and_then(|(_, channel)| self.pool.nth(channel, *record));
        let (Some((host, channel)), Some(n)) = (place, n) else {
            self.verdict.foreign += 1;
            return;
        };
        let sheet = &mut self.sheets[host as usize];
        let Some(marks) = sheet.events.get_mut(n as usize).filter(|marks| marks.was_sent()) else {
            self.verdict.foreign += 1;
            return;
        };
        let is_new = marks.found == 0;
        marks.found = marks.found.saturating_add(1);
        let marks = *marks;
        if sheet.streams.len() == 1 && is_new {
            let index = usize::from(channel);
            sheet.newest.resize(sheet.newest.len().max(index + 1), 0);
            if sheet.newest[index] > *record {
                self.verdict.disordered += 1;
                example(&mut self.verdict, || format!("{found} comes behind {}", sheet.newest[index]));
            } else {
                sheet.newest[index] = *record;
            }
        }
        let template = &self.pool.templates[self.pool.template(host, n) as usize];
        let name = self.head.names.of(host);
        let filling = Filling { record: *record, time: sheet.log.time(n), computer: &name };
        let forms = [(marks.rendered, true), (marks.raw, false)];
        let mut same = None;
        for (_, rendered) in forms.iter().filter(|(was_sent, _)| *was_sent) {
            let mut text = String::new();
            template.write(filling, *rendered, &mut text);
            let whole = (!marks.torn || marks.came_again()).then_some(&text);
            let torn = marks.torn.then(|| torn(&text));
            for text in whole.into_iter().chain(&torn) {
                match self.judge.is_same(line, &found, text) {
                    Some(is_same) => same = Some(same.unwrap_or_default() || is_same),
                    None => return,
                }
            }
        }
        self.verdict.compared += 1;
        if same == Some(false) {
            self.verdict.altered += 1;
            example(&mut self.verdict, || format!("{found} is not what was sent"));
        }
    }

    /// What it comes to.
    pub fn finish(mut self) -> Verdict {
        for (sheet, host) in self.sheets.iter().zip(0..) {
            for (marks, n) in sheet.events.iter().zip(0..) {
                if !marks.was_sent() {
                    continue;
                }
                let [acknowledged, extra, found] =
                    [marks.acknowledged, marks.extra, marks.found].map(u64::from);
                self.verdict.sent += 1;
                self.verdict.acknowledged += u64::from(acknowledged > 0);
                self.verdict.delivered += u64::from(found > 0);
                let lost = acknowledged.saturating_sub(found);
                let twice = found.saturating_sub(acknowledged.max(1));
                if lost > 0 || twice > extra {
                    let (channel, record) = self.pool.place(n);
                    let (channel, host) =
                        (&self.pool.channels[usize::from(channel)], self.head.names.of(host));
                    let what = if lost > 0 { "is lost".into() } else { format!("came {found} times") };
                    example(&mut self.verdict, || format!("{host} {channel} {record} {what}"));
                }
                self.verdict.lost += lost;
                self.verdict.duplicated += twice;
                self.verdict.sent_again += twice.min(extra);
            }
        }
        self.verdict
    }
}

impl Sheet {
    /// There are so many events at least.
    fn reach(&mut self, len: u64) {
        self.events.resize(self.events.len().max(len as usize), Marks::default());
    }
}

impl Marks {
    /// Sent in several deliveries: not all need have been torn.
    fn came_again(self) -> bool {
        self.extra > 0 || self.acknowledged > 1
    }

    fn note(&mut self, fate: Fate, rendered: bool) {
        match fate {
            Fate::Acknowledged => self.acknowledged = self.acknowledged.saturating_add(1),
            Fate::Unanswered | Fate::SentAgain => self.extra = self.extra.saturating_add(1),
        }
        self.raw |= !rendered;
        self.rendered |= rendered;
    }

    fn was_sent(self) -> bool {
        self.acknowledged > 0 || self.extra > 0
    }
}

fn example(verdict: &mut Verdict, what: impl FnOnce() -> String) {
    if verdict.examples.len() < EXAMPLES_MAX {
        verdict.examples.push(what());
    }
}

impl Verdict {
    /// Nothing is lost, altered or out of order, and nothing came twice but what was sent twice.
    pub fn is_good(&self) -> bool {
        self.lost == 0
            && self.altered == 0
            && self.disordered == 0
            && self.duplicated == self.sent_again
            && self.unreadable == 0
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} events sent, {} acknowledged, {} delivered: {} lost, {} duplicated, {} out of order, {} altered \
             of {} compared",
            self.sent,
            self.acknowledged,
            self.delivered,
            self.lost,
            self.duplicated,
            self.disordered,
            self.altered,
            self.compared
        )?;
        for (count, what) in [
            (self.sent_again, "of the duplicates were sent more than once"),
            (self.foreign, "events are in no ledger of this fleet"),
            (self.unreadable, "lines hold no event"),
        ] {
            if count > 0 {
                writeln!(f, "  {count} {what}")?;
            }
        }
        self.examples.iter().try_for_each(|example| writeln!(f, "  such as: {example}"))
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
