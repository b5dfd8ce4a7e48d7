//! How records without templates have looked so far in a chunk: the next one is compared with that,
//! which costs less than reading its tokens.
//!
//! ```text
//! head of a record = tokens ‖ string ‖ tokens ‖ string ‖ … ‖ tokens
//! ```
//!
//! Promise: what compares equal would be read the same way, token by token. Sizes are not looked at
//! there, so they are left out here. A name stands right behind its offset where it is used first; an
//! event is only learned from when all its names stand before it, so before every later one too.

use super::block::{BLOCK_BYTES, Block, are_equal};
use super::system::FIELDS;
use super::usual::{Head, NOTHING};
use super::values::{Slot, kind};
use super::walk::token;
use std::ops::Range;

/// Layouts kept: the events of a chunk come from a few providers.
const LAYOUTS: usize = 4;
/// Of an element, or of its attributes.
const SIZE_BYTES: usize = 4;

/// Heads of records of one chunk.
#[derive(Debug, Default)]
pub(super) struct Layouts {
    layouts: [Layout; LAYOUTS],
    /// How many of them are set.
    count: usize,
    /// The one that fitted last.
    last: usize,
    /// The one that is replaced next.
    next: usize,
    sizes: Vec<usize>,
}

/// An event up to the end of its System, without its strings.
#[derive(Debug, Default)]
struct Layout {
    /// Of the event it was learned from, in the chunk.
    start: usize,
    head: Head,
    stretches: Vec<Stretch>,
}

/// Some tokens, and the number of units of a string behind them.
#[derive(Debug)]
struct Stretch {
    blocks: [Block; STRETCH_BLOCKS],
    bytes: usize,
    /// Which field the string is; `FIELDS` where there is none, but more tokens or the end.
    field: usize,
}

/// From one string to the next there are rarely more, and always comparing both costs no more than
/// finding out how many there are.
const STRETCH_BLOCKS: usize = 2;
const STRETCH_BYTES: usize = STRETCH_BLOCKS * BLOCK_BYTES;

impl Layouts {
    /// Offsets mean something else from here on.
    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    /// The head of an event. Its fields go to `slots`, which are empty, and are again when the answer
    /// is None.
    #[inline]
    pub(super) fn read(
        &mut self,
        chunk: &[u8],
        event: Range<usize>,
        slots: &mut [Slot; FIELDS],
    ) -> Option<Head> {
        let known = self.layouts.get(..self.count)?;
        if let Some(head) = known.get(self.last).and_then(|layout| layout.read(chunk, &event, slots)) {
            return Some(head);
        }
        for index in (0..known.len()).filter(|&index| index != self.last) {
            slots.fill(NOTHING);
            if let Some(head) = known[index].read(chunk, &event, slots) {
                self.last = index;
                return Some(head);
            }
        }
        slots.fill(NOTHING);
        None
    }

    /// Keeps what a head that was read looks like.
    pub(super) fn learn(&mut self, chunk: &[u8], start: usize, head: &Head, slots: &[Slot; FIELDS]) {
        if self.count == 0 {
            self.next = 0;
        }
        let layout = &mut self.layouts[self.next];
        if layout.learn(&chunk[..head.rest], start, slots, &mut self.sizes).is_some() {
            (layout.start, layout.head) = (start, *head);
            self.last = self.next;
            self.next = (self.next + 1) % LAYOUTS;
            self.count = LAYOUTS.min(self.count + 1);
        } else {
            // What was there is gone.
            layout.start = usize::MAX;
        }
    }
}

impl Layout {
    #[inline]
    fn read(&self, chunk: &[u8], event: &Range<usize>, slots: &mut [Slot; FIELDS]) -> Option<Head> {
        // All names stand before it.
        if event.start < self.start {
            return None;
        }
        let mut at = event.start;
        for stretch in &self.stretches {
            let found = chunk.get(at..at + STRETCH_BYTES)?;
            if !are_equal(&stretch.blocks, found.as_chunks().0) {
                return None;
            }
            at += stretch.bytes;
            if let Some(slot) = slots.get_mut(stretch.field) {
                let bytes = units(*chunk.get(at..)?.first_chunk()?);
                at += 2;
                *slot = Slot { at: at as u32, bytes: bytes as u16, kind: kind::STRING };
                at += bytes;
            }
        }
        if at > event.end {
            return None;
        }
        Some(Head { shape: self.head.shape, system: event.start + self.head.system - self.start, rest: at })
    }

    /// Becomes the layout of a head that was read. None: others cannot be read by it.
    fn learn(
        &mut self,
        head: &[u8],
        start: usize,
        slots: &[Slot; FIELDS],
        sizes: &mut Vec<usize>,
    ) -> Option<()> {
        self.stretches.clear();
        sizes.clear();
        let mut draft = Draft { layout: self, tokens: &head[start..], read: 0, sizes };
        while let Some(&token) = draft.rest().first() {
            draft.keep(1)?;
            match token {
                token::OPEN => {
                    draft.skip_size()?;
                    draft.name(start)?;
                }
                token::OPEN_ATTRIBUTES => {
                    draft.skip_size()?;
                    draft.name(start)?;
                    draft.skip_size()?;
                }
                token::ATTRIBUTE | token::ATTRIBUTE_MORE => draft.name(start)?,
                token::VALUE => {
                    draft.keep(1)?;
                    let string = 2 + units(*draft.rest().first_chunk()?);
                    let at = head.len() - draft.rest().len() + 2;
                    match slots.iter().position(|slot| slot.at as usize == at) {
                        Some(field) => draft.end(field, string)?,
                        None => draft.keep(string)?,
                    }
                }
                token::CLOSE_START | token::CLOSE | token::CLOSE_EMPTY => {}
                _ => return None,
            }
        }
        draft.end(FIELDS, 0)
    }
}

/// A layout while it is learned.
struct Draft<'l, 'c> {
    layout: &'l mut Layout,
    /// From behind the string before on.
    tokens: &'c [u8],
    /// How many of them were looked at.
    read: usize,
    /// Where sizes stand among them.
    sizes: &'l mut Vec<usize>,
}

impl Draft<'_, '_> {
    fn rest(&self) -> &[u8] {
        &self.tokens[self.read..]
    }

    fn keep(&mut self, bytes: usize) -> Option<()> {
        self.rest().get(..bytes)?;
        self.read += bytes;
        Some(())
    }

    fn skip_size(&mut self) -> Option<()> {
        self.sizes.push(self.read);
        self.keep(SIZE_BYTES)
    }

    /// A name that stands before `start`.
    fn name(&mut self, start: usize) -> Option<()> {
        let offset = u32::from_le_bytes(*self.rest().first_chunk()?);
        if offset as usize >= start {
            return None;
        }
        self.keep(4)
    }

    /// Ends the tokens up to a string; as many bytes are its length and it.
    fn end(&mut self, field: usize, string: usize) -> Option<()> {
        let (tokens, read) = (self.tokens, std::mem::take(&mut self.read));
        self.tokens = tokens.get(read + string..)?;
        let stretches = &mut self.layout.stretches;
        let first = stretches.len();
        for at in (0..read).step_by(STRETCH_BYTES) {
            stretches.push(Stretch::new(&tokens[at..], STRETCH_BYTES.min(read - at)));
        }
        for at in self.sizes.drain(..).flat_map(|at| at..at + SIZE_BYTES) {
            let blocks = &mut stretches[first + at / STRETCH_BYTES].blocks;
            blocks[at % STRETCH_BYTES / BLOCK_BYTES].leave_out(at % BLOCK_BYTES);
        }
        stretches.last_mut()?.field = field;
        Some(())
    }
}

impl Stretch {
    /// The first `bytes` of these tokens.
    fn new(tokens: &[u8], bytes: usize) -> Self {
        let second = tokens.get(BLOCK_BYTES..).unwrap_or_default();
        let blocks = [Block::new(tokens, bytes), Block::new(second, bytes.saturating_sub(BLOCK_BYTES))];
        Self { blocks, bytes, field: FIELDS }
    }
}

/// Up to the value that is the label of a Data: `41 size u32 ‖ Data u32 ‖ size u32 ‖ 06 Name u32`.
pub(super) const DATA_TAG_BYTES: usize = 18;

/// How a Data with a Name starts in this chunk, without its sizes: the next one is compared with it.
#[derive(Debug)]
pub(super) struct DataTag {
    first: Block,
    data: u32,
    name: u32,
}

impl Default for DataTag {
    /// None starts like this.
    fn default() -> Self {
        Self { first: Block::NEVER, data: u32::MAX, name: u32::MAX }
    }
}

impl DataTag {
    /// Of one that has been read and in which no name stands itself.
    pub(super) fn of(tag: &[u8; DATA_TAG_BYTES]) -> Self {
        let mut first = Block::new(tag, BLOCK_BYTES);
        for at in (1..1 + SIZE_BYTES).chain(9..9 + SIZE_BYTES) {
            first.leave_out(at);
        }
        let [.., a, b, c, d] = *tag;
        Self { first, data: super::header::u32_at(tag, 5), name: u32::from_le_bytes([a, b, c, d]) }
    }

    /// Whether both names stand before this offset of the chunk. Where an offset points right behind
    /// itself the name stands there, and everything is further on.
    #[inline]
    pub(super) fn is_before(&self, at: usize) -> bool {
        self.data.max(self.name) < at as u32
    }

    /// Whether a tag that stands behind both names is read the same way.
    #[inline(always)]
    pub(super) fn is(&self, tag: &[u8; DATA_TAG_BYTES]) -> bool {
        let [.., a, b, c, d] = *tag;
        let (blocks, _) = tag.as_chunks();
        are_equal(&[self.first], blocks) && u32::from_le_bytes([a, b, c, d]) == self.name
    }
}

/// Bytes of as many UTF-16 units.
#[inline]
pub(super) fn units(count: [u8; 2]) -> usize {
    usize::from(u16::from_le_bytes(count)) * 2
}
