//! Records to batches: decodes, filters before rendering, renders, and moves the position along.
//!
//! A record that cannot be decoded travels on as `<Undecodable>` with its bytes in hexadecimal,
//! so nothing of it is lost, and with the reason in a note. Must not know: files.

use super::position::{Identity, Position};
use crate::event::{Bookmark, NoteKind};
use crate::evtx::{BinXmlEvent, Decoder, RecordError};
use crate::filter::Filter;
use crate::source::Report;
use crate::source::batch::{self, Filling};
use crate::source::feed::{Closed, Outlet};
use std::io::Write;
use std::ops::{ControlFlow, RangeInclusive};

/// Whose records these are.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) source: Box<str>,
    /// Path of the log.
    pub(super) file: Box<str>,
    /// Key of its bookmark.
    pub(super) key: Box<str>,
}

/// Turns chunks into batches; one per source, reused from log to log.
#[derive(Debug)]
pub(super) struct Decoding {
    decoder: Decoder,
    filter: Option<Filter>,
    filling: Filling,
    outlet: Outlet,
    pub(super) report: Report,
    /// The position went on since the last batch.
    moved: bool,
}

impl Decoding {
    pub(super) fn new(filter: Option<Filter>, outlet: Outlet, report: Report) -> Self {
        let (decoder, filling) = (Decoder::new(), Filling::default());
        Self { decoder, filter, filling, outlet, report, moved: false }
    }

    /// Hands out the records of `chunk` from the offset of `at` on, and moves `at` behind each.
    /// Only ids in `ids` are believed to order the log. Returns what was wrong with the first record
    /// that could not be decoded.
    pub(super) fn chunk(
        &mut self,
        owner: &Owner,
        chunk: &[u8],
        at: &mut Position,
        ids: &RangeInclusive<u64>,
    ) -> Result<Option<String>, Closed> {
        let from = at.offset as usize;
        let now = batch::now();
        let Self { decoder, filter, filling, outlet, moved, .. } = self;
        let mut wrong = None;
        let ended = decoder.chunk(chunk, from, |found| {
            let (end, record) = match found {
                Ok(event) => {
                    let error = event_into(filling, filter.as_mut(), &event, now, chunk);
                    wrong = wrong.take().or(error);
                    (event.span().end, Some((event.record_id(), event.written())))
                }
                Err(error) => {
                    let reason = undecodable(filling, &error, chunk);
                    wrong.get_or_insert(reason);
                    (error.bytes.end, error.record)
                }
            };
            at.offset = end as u64;
            if let Some((id, written)) = record.filter(|(id, _)| ids.contains(id)) {
                (at.id, at.written) = (id, written);
                at.newest = at.newest.max(written);
            }
            *moved = true;
            if filling.is_full() && send(filling, owner, at, outlet).is_err() {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        match ended {
            ControlFlow::Continue(()) => Ok(wrong),
            ControlFlow::Break(()) => Err(Closed),
        }
    }

    /// The position goes on without a record.
    pub(super) fn moved(&mut self) {
        self.moved = true;
    }

    /// Hands over what is left, the position alone if need be.
    pub(super) fn flush(&mut self, owner: &Owner, at: &Position) -> Result<(), Closed> {
        if !self.filling.is_empty() || self.moved {
            self.moved = false;
            send(&mut self.filling, owner, at, &self.outlet)?;
        }
        Ok(())
    }

    /// A bookmark without a value: the key is forgotten.
    pub(super) fn forget(&mut self, owner: &Owner) -> Result<(), Closed> {
        let bookmark = Bookmark { key: owner.key.clone(), value: bytes::Bytes::new() };
        self.outlet.send(self.filling.take(batch::origin(&owner.source, Some(&owner.file)), Some(bookmark)))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.outlet.is_closed()
    }
}

fn send(filling: &mut Filling, owner: &Owner, at: &Position, outlet: &Outlet) -> Result<(), Closed> {
    let bookmark = Bookmark { key: owner.key.clone(), value: at.write() };
    outlet.send(filling.take(batch::origin(&owner.source, Some(&owner.file)), Some(bookmark)))
}

fn event_into(
    filling: &mut Filling,
    filter: Option<&mut Filter>,
    event: &BinXmlEvent<'_>,
    now: crate::event::Timestamp,
    chunk: &[u8],
) -> Option<String> {
    // What the filter cannot read passes it: rendering will say what is wrong.
    if filter.is_some_and(|filter| matches!(filter.keeps(event, now), Ok(false))) {
        filling.filtered();
        return None;
    }
    let start = filling.text().len();
    match event.xml(filling.text()) {
        Ok(()) => {
            filling.end(start, None);
            None
        }
        Err(error) => {
            let record = Some((event.record_id(), event.written()));
            let error = RecordError { bytes: event.span(), record, at: error.at, what: error.what };
            Some(undecodable(filling, &error, chunk))
        }
    }
}

/// Returns the reason.
fn undecodable(filling: &mut Filling, error: &RecordError, chunk: &[u8]) -> String {
    let start = filling.text().len();
    let text = filling.text();
    // Writing into memory does not fail.
    let _ = write!(text, "<Undecodable Offset='{}'", error.bytes.start);
    if let Some(Identity { id, written }) = error.record.map(|(id, written)| Identity { id, written }) {
        let _ = write!(text, " EventRecordID='{id}' Written='");
        crate::event::time::write_filetime(written, text);
        text.push(b'\'');
    }
    text.push(b'>');
    let bytes = chunk.get(error.bytes.clone()).unwrap_or_default();
    crate::event::Value::Binary(bytes).write_text(text);
    text.extend_from_slice(b"</Undecodable>");
    let reason = error.to_string();
    filling.end(start, Some((NoteKind::Undecodable, reason.clone())));
    reason
}
