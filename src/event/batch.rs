//! How events travel between rooms: one buffer of canonical XML text and the ranges of its events.
//!
//! Canonical text is the UTF-8 of what came (WEF, replay) or our rendering (EVTX). Nothing between
//! source and sink changes it.

use super::Timestamp;
use bytes::Bytes;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

/// Events of one origin that arrived together. A batch may carry a bookmark and no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventBatch {
    /// Canonical text of all events, UTF-8.
    pub text: Bytes,
    /// Where each event stands in `text`, ascending, not overlapping.
    pub events: Vec<Range<u32>>,
    pub origin: Arc<Origin>,
    /// What the source must know after a restart if and only if these events are kept.
    pub bookmark: Option<Bookmark>,
    /// What is to be known of single events, ascending by `event`; empty nearly always.
    pub notes: Vec<Note>,
}

/// Where a batch came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Name of the `[source.NAME]` it came through.
    pub source: Box<str>,
    /// Who sent it, as authenticated; for files the name of the folder's or file's configuration
    /// has no say in this: it stays empty where nobody was authenticated.
    pub host: Option<Box<str>>,
    pub address: Option<IpAddr>,
    pub subscription: Option<Box<str>>,
    /// The file it was read from.
    pub file: Option<Box<str>>,
    pub received: Timestamp,
}

/// A source's position, stored in the same frame as the events up to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bookmark {
    /// `<source>/<host or file>/<subscription>`: unique for a source's position.
    pub key: Box<str>,
    pub value: Bytes,
}

/// Something to be known of one event of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Index into `EventBatch::events`.
    pub event: u32,
    pub kind: NoteKind,
    pub detail: Box<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteKind {
    /// The bytes cannot be read as an event: the text is what could be saved of them.
    Undecodable,
    /// Lone surrogates became U+FFFD.
    Surrogates,
    /// Came cut off and was closed again.
    Recovered,
    /// Names a computer that is not the one which signed in.
    Foreign,
    /// The same, and the source does not want it: it goes to the dead letter of each output instead.
    Distrusted,
}

impl NoteKind {
    const ALL: [Self; 5] =
        [Self::Undecodable, Self::Surrogates, Self::Recovered, Self::Foreign, Self::Distrusted];

    /// As it is written beside an event.
    pub fn name(self) -> &'static str {
        match self {
            Self::Undecodable => "Undecodable",
            Self::Surrogates => "Surrogates",
            Self::Recovered => "Recovered",
            Self::Foreign => "Foreign",
            Self::Distrusted => "Distrusted",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl EventBatch {
    /// Text of one event.
    pub fn event(&self, index: usize) -> &[u8] {
        let range = &self.events[index];
        &self.text[range.start as usize..range.end as usize]
    }

    /// Bytes this batch counts for in memory budgets.
    pub fn weight(&self) -> usize {
        self.text.len() + self.events.len() * size_of::<Range<u32>>() + 256
    }

    pub fn notes_of(&self, index: usize) -> impl Iterator<Item = &Note> {
        self.notes.iter().filter(move |note| note.event as usize == index)
    }
}
