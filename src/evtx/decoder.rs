//! Reads chunks, one after the other, and keeps across them what costs to find out: compiled
//! templates and names.

use super::arena::Arena;
use super::chunk::{CHUNK_BYTES, RawRecord, Records};
use super::event::BinXmlEvent;
use super::forms::Forms;
use super::labels::{DataList, Labels};
use super::layout::Layouts;
use super::names::Names;
use super::template::Programs;
use super::values::Slot;
use crate::event::{Header, Value};
use std::cell::{Cell, OnceCell, RefCell};
use std::ops::{ControlFlow, Range};
use thiserror::Error;

/// Reads events out of chunks. One per worker, reused; nothing is allocated per event once the
/// templates of a log have been seen.
#[derive(Debug, Default)]
pub struct Decoder {
    store: Store,
    slots: Vec<Slot>,
}

/// Bytes of a chunk that cannot be read as an event.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what} at byte {at} of the chunk")]
pub struct RecordError {
    /// The record, or the bytes that are none, in the chunk.
    pub bytes: Range<usize>,
    /// The record's id and FILETIME, when these are a record.
    pub record: Option<(u64, u64)>,
    /// Where in the chunk it went wrong.
    pub at: usize,
    pub what: &'static str,
}

impl Decoder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands out the events of a chunk from the record at offset `from` (512 is the first) on,
    /// and what cannot be read between them, in order, until `each` breaks off.
    pub fn chunk(
        &mut self,
        chunk: &[u8],
        from: usize,
        mut each: impl FnMut(Result<BinXmlEvent<'_>, RecordError>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let chunk = &chunk[..chunk.len().min(CHUNK_BYTES)];
        self.store.names.next_chunk();
        self.store.programs.next_chunk();
        self.store.layouts.get_mut().clear();
        self.store.list.get_mut().next_chunk();
        self.store.spare_budget.set(SPARE_BYTES);
        let mut records = Records::new(chunk, from);
        while let Some(next) = records.next() {
            match next {
                Ok(record) => {
                    let header = OnceCell::new();
                    let event = self.record(chunk, &record, &header);
                    let unreadable = event.is_err() && !record.whole;
                    each(event)?;
                    if unreadable {
                        records.rescan(&record);
                    }
                }
                Err(gap) => {
                    let at = gap.bytes.start;
                    each(Err(RecordError { bytes: gap.bytes, record: None, at, what: gap.what }))?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// How many templates are held.
    #[cfg(test)]
    pub(super) fn programs(&self) -> usize {
        self.store.programs.len()
    }

    fn record<'a>(
        &'a mut self,
        chunk: &'a [u8],
        record: &RawRecord,
        header: &'a OnceCell<Header<'a>>,
    ) -> Result<BinXmlEvent<'a>, RecordError> {
        self.store.make_room();
        let Self { store, slots } = self;
        BinXmlEvent::read(store, chunk, record, slots, header).map_err(|error| RecordError {
            bytes: record.offset..record.end(),
            record: Some((record.id, record.written)),
            at: error.at,
            what: error.what,
        })
    }
}

/// Everything that events borrow beside their chunk.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) names: Names,
    pub(super) programs: Programs,
    pub(super) labels: Labels,
    pub(super) forms: Forms,
    /// Values that had to be put together, of the current record.
    joined: Arena<Box<[u8]>>,
    joined_bytes: Cell<usize>,
    lent: RefCell<Vec<Vec<Slot>>>,
    pub(super) list: RefCell<DataList>,
    pub(super) layouts: RefCell<Layouts>,
    /// What the records of a chunk may together be walked beyond their usual size.
    pub(super) spare_budget: Cell<usize>,
}

const SPARE_BYTES: usize = 32 << 20;
const JOINED_MAX: usize = 16_384;
const JOINED_BYTES_MAX: usize = 4 << 20;

impl Store {
    /// Between two records: what only the one before needed goes, and tables that are crowded.
    #[inline]
    fn make_room(&mut self) {
        let crowded =
            self.names.crowded() || self.programs.crowded() || self.labels.crowded() || self.forms.crowded();
        if crowded || self.joined.len() > 0 {
            self.forget();
        }
    }

    /// In a function of its own: what builds tables needs a stack that no record should pay for.
    #[cold]
    #[inline(never)]
    fn forget(&mut self) {
        self.joined.clear();
        self.joined_bytes.set(0);
        if self.names.crowded() || self.programs.crowded() {
            self.programs.clear();
            self.names.clear();
        }
        if self.labels.crowded() || self.forms.crowded() {
            self.labels.clear();
            self.forms.clear();
        }
    }

    /// Keeps a text for as long as the record is looked at.
    pub(super) fn keep(&self, text: Vec<u8>) -> Result<Value<'_>, &'static str> {
        const FULL: &str = "too many values have to be put together";
        let bytes = self.joined_bytes.get() + text.len();
        if bytes > JOINED_BYTES_MAX || self.joined.len() >= JOINED_MAX {
            return Err(FULL);
        }
        self.joined_bytes.set(bytes);
        let index = self.joined.push(text.into()).ok_or(FULL)?;
        self.joined.get(index).map(|text| Value::Text(text)).ok_or(FULL)
    }

    /// The texts of several values as one.
    pub(super) fn join(&self, values: &[Value<'_>]) -> Result<Value<'_>, &'static str> {
        let mut text = Vec::new();
        for value in values {
            value.write_text(&mut text);
        }
        self.keep(text)
    }

    pub(super) fn lend_slots(&self) -> Vec<Slot> {
        self.lent.borrow_mut().pop().unwrap_or_default()
    }

    pub(super) fn return_slots(&self, slots: Vec<Slot>) {
        self.lent.borrow_mut().push(slots);
    }
}
