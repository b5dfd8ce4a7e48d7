//! Element and attribute names: UTF-16 at a chunk offset to an interned UTF-8 name.
//!
//! A name keeps its id across chunks, so that templates of different chunks can be compared.
//! A small table remembers the offsets of the current chunk; losing an entry costs time only.

use super::arena::Arena;
use super::header::u16_at;
use super::labels::{look, same};
use crate::event::text::decode_utf16;
use crate::event::utf16::until_nul;
use std::cell::{Cell, RefCell};

/// Most distinct names held; the table is emptied between two records when half full.
pub(super) const NAMES_MAX: usize = 16_384;
/// Most bytes of distinct names held, as UTF-8 and as UTF-16.
pub(super) const NAMES_BYTES_MAX: usize = 3 << 20;
/// Longest name, in UTF-16 units. The longest in Windows' own manifests are below 128.
const NAME_UNITS_MAX: usize = 1024;
const OFFSETS: usize = 1024;
/// Names that are known by their UTF-16, a power of two.
const SPELLINGS: usize = 512;
/// Places of the first index.
const INDEX: usize = 1024;

/// Names that records without templates are read by. They are interned first, so that the id of
/// each is its place here.
pub(super) const KNOWN: [&[u8]; 34] = [
    b"Event",
    b"xmlns",
    b"System",
    b"EventData",
    b"Data",
    b"Name",
    b"Provider",
    b"EventID",
    b"Version",
    b"Level",
    b"Task",
    b"Opcode",
    b"Keywords",
    b"TimeCreated",
    b"EventRecordID",
    b"Correlation",
    b"Execution",
    b"Channel",
    b"Computer",
    b"Security",
    b"Guid",
    b"EventSourceName",
    b"Qualifiers",
    b"SystemTime",
    b"ActivityID",
    b"RelatedActivityID",
    b"ProcessID",
    b"ThreadID",
    b"ProcessorID",
    b"SessionID",
    b"KernelTime",
    b"UserTime",
    b"ProcessorTime",
    b"UserID",
];

/// Ids of some of them.
pub(super) mod known {
    pub(crate) const EVENT: u32 = 0;
    pub(crate) const XMLNS: u32 = 1;
    pub(crate) const SYSTEM: u32 = 2;
    pub(crate) const EVENT_DATA: u32 = 3;
    pub(crate) const DATA: u32 = 4;
    pub(crate) const NAME: u32 = 5;
}

#[derive(Debug)]
pub(super) struct Names {
    names: Arena<Name>,
    bytes: Cell<usize>,
    /// Open addressing over the hash of a name, never more than half full; 0 is free, else id + 1.
    index: RefCell<Vec<u32>>,
    /// Direct-mapped by the hash of a name's UTF-16; 0 is free, else id + 1.
    spellings: Box<[Cell<u16>; SPELLINGS]>,
    /// Direct-mapped by offset: (chunk generation and offset, id).
    offsets: Box<[Cell<(u64, u32)>; OFFSETS]>,
    generation: u32,
    scratch: RefCell<Vec<u8>>,
}

#[derive(Debug)]
struct Name {
    text: Box<[u8]>,
    /// As it stands in chunks.
    units: Box<[u8]>,
}

impl Default for Names {
    fn default() -> Self {
        let names = Self {
            names: Arena::default(),
            bytes: Cell::new(0),
            index: RefCell::new(vec![0; INDEX]),
            spellings: Box::new([const { Cell::new(0) }; SPELLINGS]),
            offsets: Box::new([const { Cell::new((0, 0)) }; OFFSETS]),
            generation: 1,
            scratch: RefCell::default(),
        };
        names.intern_known();
        names
    }
}

impl Names {
    /// Offsets mean something else from here on.
    pub(super) fn next_chunk(&mut self) {
        match self.generation.checked_add(1) {
            Some(next) => self.generation = next,
            None => {
                self.generation = 1;
                self.offsets.fill(Cell::new((0, 0)));
            }
        }
    }

    /// Whether it is time for `clear`.
    pub(super) fn crowded(&self) -> bool {
        self.names.len() > NAMES_MAX / 2 || self.bytes.get() > NAMES_BYTES_MAX / 2
    }

    /// Forgets all names that are not known; every other id is void.
    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.bytes.set(0);
        *self.index.get_mut() = vec![0; INDEX];
        self.spellings.fill(Cell::new(0));
        self.next_chunk();
        self.intern_known();
    }

    fn intern_known(&self) {
        for (name, place) in KNOWN.iter().zip(0..) {
            let units: Vec<u8> = name.iter().flat_map(|&byte| [byte, 0]).collect();
            let id = self.intern(name, &units);
            debug_assert_eq!(id, Ok(place));
        }
    }

    pub(super) fn name(&self, id: u32) -> &[u8] {
        self.names.get(id as usize).map_or(&[], |name| &name.text)
    }

    /// The id of the name at `offset` of the chunk.
    ///
    /// # Errors
    /// When no usable name stands there.
    #[inline]
    pub(super) fn resolve(&self, chunk: &[u8], offset: u32) -> Result<u32, &'static str> {
        let near = &self.offsets[offset as usize / 2 % OFFSETS];
        let key = u64::from(self.generation) << 32 | u64::from(offset);
        let (known, id) = near.get();
        if known == key {
            return Ok(id);
        }
        let id = self.read(chunk, offset as usize)?;
        near.set((key, id));
        Ok(id)
    }

    #[cold]
    fn read(&self, chunk: &[u8], offset: usize) -> Result<u32, &'static str> {
        let units = usize::from(u16_at(chunk, offset.saturating_add(6)));
        if units > NAME_UNITS_MAX {
            return Err("a name is longer than any name is");
        }
        let start = offset.saturating_add(8);
        let raw = chunk.get(start..start + units * 2).ok_or("a name lies outside of the chunk")?;
        let near = &self.spellings[look(raw) as usize % SPELLINGS];
        if let Some(id) = near.get().checked_sub(1)
            && self.names.get(id.into()).is_some_and(|name| same(&name.units, raw))
        {
            return Ok(id.into());
        }
        let id = self.decode(raw)?;
        near.set(id as u16 + 1);
        Ok(id)
    }

    #[cold]
    fn decode(&self, raw: &[u8]) -> Result<u32, &'static str> {
        let mut text = self.scratch.borrow_mut();
        text.clear();
        let units = until_nul(raw);
        decode_utf16(units, &mut text);
        if is_name(&text) { self.intern(&text, units) } else { Err("a name holds what no name holds") }
    }

    /// The id of a name, which is written as `units`.
    ///
    /// # Errors
    /// When there is no room for one more.
    pub(super) fn intern(&self, name: &[u8], units: &[u8]) -> Result<u32, &'static str> {
        let mut index = self.index.borrow_mut();
        let free = match self.find(&index, name) {
            Ok(id) => return Ok(id),
            Err(free) => free,
        };
        let bytes = self.bytes.get() + name.len() + units.len();
        if self.names.len() >= NAMES_MAX || bytes > NAMES_BYTES_MAX {
            return Err("a record has more names than any event");
        }
        let held = Name { text: name.into(), units: units.into() };
        let id = self.names.push(held).ok_or("a record has more names than any event")? as u32;
        self.bytes.set(bytes);
        index[free] = id + 1;
        if self.names.len() > index.len() / 2 {
            *index = vec![0; index.len() * 2];
            for id in 0..self.names.len() as u32 {
                if let Err(free) = self.find(&index, self.name(id)) {
                    index[free] = id + 1;
                }
            }
        }
        Ok(id)
    }

    /// The id of a name, or where in the index it may go.
    fn find(&self, index: &[u32], name: &[u8]) -> Result<u32, usize> {
        let mut place = hash(name) as usize;
        loop {
            place %= index.len();
            let Some(id) = index[place].checked_sub(1) else { return Err(place) };
            if self.name(id) == name {
                return Ok(id);
            }
            place += 1;
        }
    }
}

/// Names go into XML and JSON as they are, so anything else than a name is refused here.
fn is_name(text: &[u8]) -> bool {
    let starts = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || byte == b':' || byte >= 0x80;
    text.first().is_some_and(|&first| starts(first))
        && text.iter().all(|&byte| starts(byte) || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
}

/// FNV-1a over eight bytes at a time: names and templates are few, the compare decides.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut state = 0xcbf2_9ce4_8422_2325 ^ bytes.len() as u64;
    for word in words {
        state = (state ^ u64::from_le_bytes(*word)).wrapping_mul(PRIME);
        state ^= state >> 29;
    }
    for &byte in rest {
        state = (state ^ u64::from(byte)).wrapping_mul(PRIME);
    }
    state ^ state >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A string table entry: next offset, hash, count, characters, NUL.
    fn entry(next: u32, name: &str) -> Vec<u8> {
        let mut bytes = next.to_le_bytes().to_vec();
        bytes.extend([0; 2]);
        bytes.extend((name.encode_utf16().count() as u16).to_le_bytes());
        bytes.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
        bytes.extend([0; 2]);
        bytes
    }

    #[test]
    fn a_name_keeps_its_id_in_the_next_chunk() {
        let mut names = Names::default();
        names.next_chunk();
        let mut chunk = vec![0; 16];
        chunk.extend(entry(16, "Data"));
        let id = names.resolve(&chunk, 16).unwrap();
        assert_eq!(names.name(id), b"Data");
        names.next_chunk();
        chunk.splice(0..0, [0; 6]);
        assert_eq!(names.resolve(&chunk, 22), Ok(id));
        assert!(names.resolve(&chunk, 16).is_err());
    }

    #[test]
    fn a_list_of_names_that_links_to_itself_is_never_followed() {
        let mut names = Names::default();
        names.next_chunk();
        let chunk = entry(0, "Event");
        let id = names.resolve(&chunk, 0).unwrap();
        assert_eq!(names.name(id), b"Event");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let mut names = Names::default();
        names.next_chunk();
        for text in ["", "a b", "a'b", "<", "a=", "1a", "!--", "a\u{1}"] {
            assert!(names.resolve(&entry(0, text), 0).is_err(), "{text}");
            names.next_chunk();
        }
        assert!(names.resolve(&[], 0).is_err());
        assert!(names.resolve(&[0; 16], u32::MAX).is_err());
        for text in ["auto-ns2:EventXML", "_x", "Größe", "a.b-c1"] {
            assert!(names.resolve(&entry(0, text), 0).is_ok(), "{text}");
            names.next_chunk();
        }
    }

    #[test]
    fn more_names_than_any_event_has_are_refused_until_cleared() {
        let mut names = Names::default();
        for number in KNOWN.len()..NAMES_MAX {
            names.intern(format!("n{number}").as_bytes(), b"").unwrap();
        }
        assert!(names.intern(b"one-more", b"").is_err());
        assert!(names.intern(b"n100", b"").is_ok());
        assert!(names.crowded());
        names.clear();
        assert!(!names.crowded());
        assert!(names.intern(b"one-more", b"").is_ok());
    }

    #[test]
    fn known_names_have_their_ids_before_and_after_a_clear() {
        let mut names = Names::default();
        for _ in 0..2 {
            assert_eq!(names.intern(b"Event", b""), Ok(known::EVENT));
            assert_eq!(names.intern(b"xmlns", b""), Ok(known::XMLNS));
            assert_eq!(names.intern(b"System", b""), Ok(known::SYSTEM));
            assert_eq!(names.intern(b"EventData", b""), Ok(known::EVENT_DATA));
            assert_eq!(names.intern(b"Data", b""), Ok(known::DATA));
            assert_eq!(names.intern(b"Name", b""), Ok(known::NAME));
            assert_eq!(names.intern(b"Forwarded", b""), Ok(KNOWN.len() as u32));
            names.clear();
        }
    }
}
