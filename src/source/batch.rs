//! Collects events into batches of bounded size.

use super::Counts;
use crate::event::{Bookmark, EventBatch, Note, NoteKind, Origin, Timestamp};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A batch is handed over once it has this much text: large enough that a disk sync for each is
/// cheap, small enough that a dozen of them in flight are nothing.
pub(super) const BATCH_BYTES: usize = 256 << 10;

/// A batch being filled.
#[derive(Debug, Default)]
pub(super) struct Filling {
    text: Vec<u8>,
    events: Vec<Range<u32>>,
    notes: Vec<Note>,
    counts: Counts,
}

impl Filling {
    /// Adds an event's text; `note` says what is to be known of it.
    pub(super) fn push(&mut self, event: &[u8], note: Option<(NoteKind, String)>) {
        let start = self.text.len();
        self.text().extend_from_slice(event);
        self.end(start, note);
    }

    /// The text so far, to append an event to; `end` then makes it one.
    pub(super) fn text(&mut self) -> &mut Vec<u8> {
        if self.text.capacity() == 0 {
            self.text.reserve(BATCH_BYTES + BATCH_BYTES / 4);
        }
        &mut self.text
    }

    /// Makes what was appended since `start` an event.
    pub(super) fn end(&mut self, start: usize, note: Option<(NoteKind, String)>) {
        // What is pushed is bounded per event and `is_full` per batch: both far below 4 GiB.
        let range = start as u32..self.text.len() as u32;
        if let Some((kind, detail)) = note {
            self.note(kind, detail);
        }
        self.counts.events += 1;
        self.counts.bytes += u64::from(range.end - range.start);
        self.events.push(range);
    }

    /// What is to be known of the event that is added next.
    pub(super) fn note(&mut self, kind: NoteKind, detail: String) {
        self.counts.undecodable += u64::from(kind == NoteKind::Undecodable);
        self.notes.push(Note { event: self.events.len() as u32, kind, detail: detail.into() });
    }

    /// Counts events that the source's filter dropped.
    pub(super) fn filtered(&mut self) {
        self.counts.filtered += 1;
    }

    pub(super) fn is_full(&self) -> bool {
        self.text.len() >= BATCH_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The batch, and what to count for it; the next one starts empty.
    pub(super) fn take(&mut self, mut origin: Origin, bookmark: Option<Bookmark>) -> (EventBatch, Counts) {
        let full = std::mem::take(self);
        origin.received = now();
        let batch = EventBatch {
            text: Bytes::from(full.text),
            events: full.events,
            origin: Arc::new(origin),
            bookmark,
            notes: full.notes,
        };
        (batch, full.counts)
    }
}

pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// Origin of what was read from a file: nobody was authenticated.
pub(super) fn origin(source: &str, file: Option<&str>) -> Origin {
    Origin {
        source: source.into(),
        host: None,
        address: None,
        subscription: None,
        file: file.map(Into::into),
        received: Timestamp::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_stand_one_after_the_other_and_notes_name_theirs() {
        let mut filling = Filling::default();
        filling.push(b"<Event/>", None);
        filling.push(b"junk", Some((NoteKind::Undecodable, "no event".into())));
        filling.filtered();
        let (batch, counts) = filling.take(origin("logs", Some("/a")), None);
        assert_eq!((batch.event(0), batch.event(1)), (&b"<Event/>"[..], &b"junk"[..]));
        assert_eq!((batch.notes_of(0).count(), batch.notes_of(1).count()), (0, 1));
        assert_eq!(counts, Counts { events: 2, bytes: 12, undecodable: 1, filtered: 1, ..Counts::default() });
        assert!(filling.is_empty());
    }
}
