//! What was written as the QueryList that hosts get.
//!
//! Selects are split where they have more tests than hosts take. Channels come in the order of their
//! names, so that the order in which they were written changes nothing.

use super::doubt::Doubts;
use super::written::{Ids, QueryConfig};
use crate::filter::{IdRange, OneOrMany, XPath};
use crate::wsman::query::{Part, PartKind, Query, QueryError};
use crate::wsman::{QueryList, charset};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Largest file with a query list.
pub const QUERY_BYTES_MAX: usize = 1024 * 1024;
/// Most tests of one Select of ours: hosts take 20 to 22, and nobody knows exactly what they count.
const TESTS_MAX: usize = 20;

impl QueryConfig {
    /// The file to be read, if one is named.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// Takes what stands in the file: UTF-16 with a mark, as Windows writes it, or UTF-8.
    ///
    /// # Errors
    /// In words, when it is no text.
    pub fn take_file(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut text = Vec::new();
        charset::decode(bytes, None, &mut text).map_err(|error| format!("it is no text: {error}"))?;
        self.read = Some(String::from_utf8(text).map_err(|_| "it is no text in UTF-8 or UTF-16")?);
        Ok(())
    }

    /// None when something of it was told to be wrong.
    pub(super) fn compile(&self, doubts: &mut Doubts) -> Option<QueryList> {
        let by_channel = !(self.channels.is_empty() && self.xpath.is_empty() && self.suppress.is_empty());
        let ways = [by_channel, self.xml.is_some(), self.file.is_some()];
        if ways.iter().filter(|way| **way).count() != 1 {
            let what = match ways.contains(&true) {
                true => {
                    "events are asked for in two ways; keep one of `channels` with `xpath` and `suppress`, `xml`, `file`"
                }
                false => {
                    "nothing is asked for; write such as `channels = { Security = [4624, 4625], System = \"*\" }`"
                }
            };
            doubts.error(&["query"], what);
            return None;
        }
        match (&self.xml, &self.file) {
            (Some(xml), _) => list("xml", xml, doubts),
            (_, Some(_)) => list("file", self.read.as_ref()?, doubts),
            _ => self.of_channels(doubts),
        }
    }

    fn of_channels(&self, doubts: &mut Doubts) -> Option<QueryList> {
        let mut parts = Vec::new();
        let mut wrong = false;
        for (channel, ids) in &self.channels {
            let Some(xpaths) = of_ids(ids) else {
                doubts.error(&["query", "channels", channel], "no event ids; write `\"*\"` for all events");
                wrong = true;
                continue;
            };
            parts.extend(xpaths.into_iter().map(|xpath| part(PartKind::Select, channel, xpath)));
        }
        let written =
            [("xpath", PartKind::Select, &self.xpath), ("suppress", PartKind::Suppress, &self.suppress)];
        for (key, kind, written) in written {
            wrong |= !expressions(key, kind, written, &mut parts, doubts);
        }
        let query = Query { id: Some("0".into()), parts, ..Query::default() };
        (!wrong).then(|| QueryList { queries: vec![query] })
    }
}

/// Whether all of them were understood.
fn expressions(
    key: &str,
    kind: PartKind,
    written: &BTreeMap<String, OneOrMany<String>>,
    parts: &mut Vec<Part>,
    doubts: &mut Doubts,
) -> bool {
    let mut right = true;
    for (channel, xpaths) in written {
        for xpath in xpaths.iter() {
            match compiled(xpath.trim(), &["query", key, channel], "", doubts) {
                Some(xpaths) => parts.extend(xpaths.into_iter().map(|xpath| part(kind, channel, xpath))),
                None => right = false,
            }
        }
    }
    right
}

fn part(kind: PartKind, channel: &str, xpath: String) -> Part {
    Part { kind, path: Some(channel.trim().into()), xpath }
}

/// The expression, in parts if it has too many tests. `place` is told in front of what is wrong.
fn compiled(xpath: &str, keys: &[&str], place: &str, doubts: &mut Doubts) -> Option<Vec<String>> {
    let parsed = match XPath::parse(xpath) {
        Ok(parsed) => parsed,
        Err(error) => {
            let span = place.is_empty().then_some(error.at..error.at + error.bytes);
            doubts.tell(true, keys, span, format!("{place}{}", error.message));
            return None;
        }
    };
    for doubt in parsed.doubts() {
        doubts.warning(keys, format_args!("{place}{doubt}"));
    }
    // As it was written, unless it must be another one.
    let split = || parsed.split(TESTS_MAX).filter(|parts| parts.len() > 1);
    Some(split().map_or_else(|| vec![xpath.into()], |parts| parts.iter().map(XPath::to_string).collect()))
}

/// Reads a query list, and takes its long expressions apart.
fn list(key: &str, xml: &str, doubts: &mut Doubts) -> Option<QueryList> {
    let keys = ["query", key];
    let mut list = match exported(xml) {
        Ok(list) => list,
        Err(error) => {
            doubts.error(&keys, error);
            return None;
        }
    };
    let mut right = true;
    for (number, query) in list.queries.iter_mut().enumerate() {
        let mut parts = Vec::with_capacity(query.parts.len());
        for (nth, part) in query.parts.iter().enumerate() {
            let kind = if part.kind == PartKind::Select { "Select" } else { "Suppress" };
            let channel = part.path.as_deref().or(query.path.as_deref()).unwrap_or("no channel");
            let place = format!("Query {}, {kind} {} (`{channel}`): ", number + 1, nth + 1);
            match compiled(part.xpath.trim(), &keys, &place, doubts) {
                Some(xpaths) => parts.extend(xpaths.into_iter().map(|xpath| Part { xpath, ..part.clone() })),
                None => right = false,
            }
        }
        query.parts = parts;
    }
    right.then_some(list)
}

/// A query list, or the one in a view that Event Viewer exported or a subscription that `wecutil` did.
fn exported(xml: &str) -> Result<QueryList, QueryError> {
    const END: &str = "</QueryList>";
    let inside = |text: &str| {
        let (start, end) = (text.find("<QueryList")?, text.rfind(END)?);
        Some(text.get(start..end + END.len())?.to_owned())
    };
    match QueryList::parse(xml) {
        Err(QueryError::NoList) if !xml.trim_start().starts_with("<QueryList") => {
            let list = inside(xml).or_else(|| {
                let mut text = Vec::new();
                crate::event::text::decode_xml(xml.as_bytes(), &mut text);
                inside(&String::from_utf8(text).ok()?)
            });
            QueryList::parse(&list.ok_or(QueryError::NoList)?)
        }
        read => read,
    }
}

/// None without ids.
fn of_ids(ids: &Ids) -> Option<Vec<String>> {
    let Ids::Some(ids) = ids else { return Some(vec!["*".into()]) };
    let mut xpaths = Vec::new();
    let (mut tests, mut text) = (0, String::new());
    for &IdRange(from, to) in &joined(ids) {
        let more = if from == to { 1 } else { 2 };
        if tests + more > TESTS_MAX {
            xpaths.push(format!("*[System[({text})]]"));
            (tests, text) = (0, String::new());
        }
        let or = if text.is_empty() { "" } else { " or " };
        // Writing into a String cannot fail. As Event Viewer writes it.
        let _ = match to - from {
            0 => write!(text, "{or}EventID={from}"),
            1 => write!(text, "{or}EventID={from} or EventID={to}"),
            _ => write!(text, "{or}(EventID >= {from} and EventID <= {to})"),
        };
        tests += more;
    }
    if !text.is_empty() {
        xpaths.push(format!("*[System[({text})]]"));
    }
    (!xpaths.is_empty()).then_some(xpaths)
}

/// In order, and those that meet as one: how ids were written must not matter.
fn joined(ids: &[IdRange]) -> Vec<IdRange> {
    let mut ids = ids.to_vec();
    ids.sort_by_key(|&IdRange(from, to)| (from, to));
    let mut joined: Vec<IdRange> = Vec::new();
    for IdRange(from, to) in ids {
        match joined.last_mut() {
            Some(last) if from <= last.1 + 1 => last.1 = last.1.max(to),
            _ => joined.push(IdRange(from, to)),
        }
    }
    joined
}
