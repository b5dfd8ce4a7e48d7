//! A batch as sinks get it.
//!
//! Must not know: how it came about, where it goes.

use crate::event::{EventId, Timestamp};
use bytes::Bytes;
use std::ops::Range;

/// A batch in the shape the far end takes. Always whole deliveries of the basin, so that a note
/// taken between two batches belongs to a position.
#[derive(Clone, Debug, Default)]
pub struct Encoded {
    /// Items one after the other, each with its framing.
    pub bytes: Bytes,
    pub items: Vec<Item>,
    /// Distinct routes of this batch; `Item::route` points here. Empty without a router.
    pub routes: Vec<Box<str>>,
}

/// One event of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Into `Encoded::bytes`, head and framing included; items touch each other.
    pub range: Range<u32>,
    /// Bytes of it that the sink's own head takes.
    pub head: u32,
    /// There when the output asks for ids.
    pub id: Option<EventId>,
    /// When it happened; when it was received, if it does not say.
    pub time: Timestamp,
    /// Index into `Encoded::routes`.
    pub route: u32,
}

impl Encoded {
    pub fn item(&self, index: usize) -> &[u8] {
        let range = &self.items[index].range;
        &self.bytes[range.start as usize..range.end as usize]
    }

    /// What the sink's head wrote for an item, and what follows it.
    pub fn parts(&self, index: usize) -> (&[u8], &[u8]) {
        self.item(index).split_at(self.items[index].head as usize)
    }

    /// The items `from..to` as a batch of their own, sharing the bytes.
    pub fn part(&self, from: usize, to: usize) -> Self {
        let items = &self.items[from..to];
        let start = items.first().map_or(0, |item| item.range.start);
        let end = items.last().map_or(start, |item| item.range.end);
        Self {
            bytes: self.bytes.slice(start as usize..end as usize),
            items: items
                .iter()
                .map(|item| Item { range: item.range.start - start..item.range.end - start, ..item.clone() })
                .collect(),
            routes: self.routes.clone(),
        }
    }
}
