//! The template of the portable layout: the Event element with a place for each of its children.
//!
//! ```text
//! 0C 01 id u32 ‖ definition offset u32 ‖ definition, where first used ‖ values u32 ‖
//!    (size u16 ‖ type u8 ‖ 0) × values ‖ the values
//! definition = next u32 ‖ GUID ‖ size u32 ‖ 0F 01 01 00 ‖ 41 FFFF size u32 ‖ name ‖ attributes ‖ 02 ‖
//!              (0E place u16 21) × places ‖ 04 ‖ 00
//! header: 32 buckets × u32 ─► definition ─► older one ─► … ─► 0
//! ```
//!
//! A place that an event does not fill has type 0 and no bytes. The GUID is a hash of what the
//! definition says, so equal ones are found again. Its first four bytes are the id.

use super::fragment::{
    ATTRIBUTE, CLOSE, CLOSE_START, END, FRAGMENT_HEADER, Fragment, MORE, OPEN, STRING, TEXT,
};
use super::layout::{CHUNK_BYTES, TEMPLATE_BUCKETS, offset, put_u32, u32_at};
use super::text::storable;
use crate::event::Value;
use sha2::{Digest, Sha256};

/// A definition before its fragment.
const DEFINITION_HEADER_BYTES: usize = 24;
/// Outside of a value every element says which value it depends on: none.
const NO_DEPENDENCY: [u8; 2] = [0xff, 0xff];

/// Start tag of the Event element: its name, then name and value of each attribute, each with its
/// length before it.
#[derive(Debug, Default)]
pub(super) struct Root(Vec<u8>);

impl Root {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn name(&mut self, name: &[u8]) {
        self.part(|bytes| bytes.extend_from_slice(name));
    }

    pub(super) fn attribute(&mut self, name: &[u8], value: Value<'_>) {
        self.name(name);
        self.part(|bytes| value.write_text(bytes));
    }

    fn part(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 4]);
        write(&mut self.0);
        let length = (self.0.len() - start - 4) as u32;
        put_u32(&mut self.0, start, length);
    }

    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (length, tail) = rest.split_first_chunk()?;
            let (part, tail) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            rest = tail;
            Some(part)
        })
    }

    fn guid(&self, places: u16) -> [u8; 16] {
        let hash = Sha256::new().chain_update(places.to_le_bytes()).chain_update(&self.0).finalize();
        std::array::from_fn(|index| hash[index])
    }
}

/// Writes an instance up to the count of its values.
pub(super) fn instance(fragment: &mut Fragment<'_>, root: &Root, places: u16) {
    let guid = root.guid(places);
    fragment.put(&[0x0c, 1]);
    fragment.put(&guid[..4]);
    let known = find(fragment.chunk(), &guid);
    let definition = known.unwrap_or_else(|| fragment.at() + 4);
    fragment.put(&(definition as u32).to_le_bytes());
    if known.is_none() {
        define(fragment, root, places, &guid);
        if fragment.fits() {
            put_u32(fragment.chunk(), bucket(&guid), definition as u32);
        }
    }
    fragment.put(&u32::from(places).to_le_bytes());
}

fn define(fragment: &mut Fragment<'_>, root: &Root, places: u16, guid: &[u8; 16]) {
    let next = u32_at(fragment.chunk(), bucket(guid));
    fragment.put(&next.to_le_bytes());
    fragment.put(guid);
    let size = fragment.at();
    fragment.put(&[0; 4]);
    fragment.put(&FRAGMENT_HEADER);
    let mut parts = root.parts();
    let name = parts.next().unwrap_or_default();
    let mut attributes = parts.peekable();
    let some = attributes.peek().is_some();
    fragment.put(&[if some { OPEN | MORE } else { OPEN }]);
    fragment.put(&NO_DEPENDENCY);
    let element = fragment.at();
    fragment.put(&[0; 4]);
    fragment.name(name);
    if some {
        let list = fragment.at();
        fragment.put(&[0; 4]);
        while let (Some(name), Some(value)) = (attributes.next(), attributes.next()) {
            let more = if attributes.peek().is_some() { MORE } else { 0 };
            fragment.put(&[ATTRIBUTE | more]);
            fragment.name(name);
            // As in `Fragment`: an empty value is a lone NUL.
            let value = if value.is_empty() { "\0".into() } else { storable(value) };
            fragment.put(&[TEXT, STRING]);
            fragment.put(&(value.encode_utf16().count() as u16).to_le_bytes());
            value.encode_utf16().for_each(|unit| fragment.put(&unit.to_le_bytes()));
        }
        fragment.patch(list);
    }
    fragment.put(&[CLOSE_START]);
    for place in 0..places {
        let [low, high] = place.to_le_bytes();
        fragment.put(&[0x0e, low, high, 0x21]);
    }
    fragment.put(&[CLOSE]);
    fragment.patch(element);
    fragment.put(&[END]);
    fragment.patch(size);
}

fn find(chunk: &[u8; CHUNK_BYTES], guid: &[u8; 16]) -> Option<usize> {
    let mut at = u32_at(chunk, bucket(guid)) as usize;
    while at != 0 {
        let head = chunk.get(at..at + DEFINITION_HEADER_BYTES)?;
        if head[4..20] == guid[..] {
            return Some(at);
        }
        // Newer definitions lead to older ones, so no chain is a ring.
        at = Some(u32_at(chunk, at) as usize).filter(|&next| next < at)?;
    }
    None
}

/// Takes every definition from `end` on out of the table, as `names::forget_from` does names.
pub(super) fn forget_from(chunk: &mut [u8; CHUNK_BYTES], end: usize) {
    for bucket in 0..TEMPLATE_BUCKETS {
        let head = offset::TEMPLATES + bucket * 4;
        let mut at = u32_at(chunk, head) as usize;
        while at >= end {
            let next = u32_at(chunk, at) as usize;
            let ours = at + DEFINITION_HEADER_BYTES <= CHUNK_BYTES
                && u32_at(chunk, at + 4) as usize % TEMPLATE_BUCKETS == bucket;
            at = if ours && next < at { next } else { 0 };
        }
        put_u32(chunk, head, at as u32);
    }
}

fn bucket(guid: &[u8; 16]) -> usize {
    let id = u32::from_le_bytes([guid[0], guid[1], guid[2], guid[3]]);
    offset::TEMPLATES + id as usize % TEMPLATE_BUCKETS * 4
}
