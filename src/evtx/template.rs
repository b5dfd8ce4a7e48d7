//! Template definitions: compiled once, found again in later chunks by content.
//!
//! ```text
//! definition = next u32 ‖ GUID 16 ‖ size u32 ‖ body (size bytes of BinXML)
//! ```
//!
//! Two definitions are the same when GUID, size and body agree with every name's offset replaced
//! by the name: a GUID alone can be forged. The list the definitions form is never followed.

use super::arena::Arena;
use super::cursor::Cursor;
use super::names::{self, Names};
use super::program::{NameRef, Program};
use crate::event::EventError;
use std::cell::Cell;

mod compile;

/// Most programs held; all are dropped between two records when full.
const PROGRAMS_MAX: usize = 2048;
/// Most bytes of programs held.
const PROGRAMS_BYTES_MAX: usize = 8 << 20;
/// Definitions of one chunk do not overlap, so a chunk that makes us compile more is hostile.
const COMPILED_BYTES_MAX: usize = 4 * super::chunk::CHUNK_BYTES;
/// Most definitions of one GUID and size that differ otherwise.
const PROBES_MAX: usize = 16;
/// Definitions are longer than 16 bytes, so each has its own place.
const OFFSETS: usize = super::chunk::CHUNK_BYTES / 16;

#[derive(Debug)]
pub(super) struct Programs {
    list: Arena<Program>,
    bytes: Cell<usize>,
    index: Vec<Cell<u32>>,
    /// By offset: (chunk generation, offset, id).
    offsets: Vec<Cell<(u32, u32, u32)>>,
    generation: u32,
    compiled_bytes: Cell<usize>,
}

impl Default for Programs {
    fn default() -> Self {
        Self {
            list: Arena::default(),
            bytes: Cell::new(0),
            index: vec![Cell::new(0); PROGRAMS_MAX * 2],
            offsets: vec![Cell::new((0, 0, 0)); OFFSETS],
            generation: 0,
            compiled_bytes: Cell::new(0),
        }
    }
}

impl Programs {
    /// Offsets mean something else from here on.
    pub(super) fn next_chunk(&mut self) {
        self.compiled_bytes.set(0);
        match self.generation.checked_add(1) {
            Some(next) => self.generation = next,
            None => {
                self.generation = 1;
                self.offsets.fill(Cell::new((0, 0, 0)));
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether it is time for `clear`.
    pub(super) fn crowded(&self) -> bool {
        self.list.len() > PROGRAMS_MAX / 2 || self.bytes.get() > PROGRAMS_BYTES_MAX / 2
    }

    /// Forgets all programs.
    pub(super) fn clear(&mut self) {
        let compiled = self.compiled_bytes.get();
        self.list.clear();
        self.bytes.set(0);
        self.index.fill(Cell::new(0));
        self.next_chunk();
        self.compiled_bytes.set(compiled);
    }

    /// The program of the definition at `offset`.
    ///
    /// # Errors
    /// When there is no definition, or it is not what a template can be.
    pub(super) fn resolve<'a>(
        &'a self,
        names: &Names,
        chunk: &[u8],
        offset: u32,
    ) -> Result<&'a Program, EventError> {
        let near = &self.offsets[offset as usize / 16 % OFFSETS];
        let (generation, known, id) = near.get();
        if generation == self.generation
            && known == offset
            && generation != 0
            && let Some(program) = self.list.get(id as usize)
        {
            return Ok(program);
        }
        let definition = Definition::read(chunk, offset)?;
        let id = match self.find(names, &definition) {
            Ok(id) => id,
            Err(free) => self.add(names, &definition, free)?,
        };
        near.set((self.generation, offset, id));
        self.list.get(id as usize).ok_or_else(|| definition.fail("there is no room for a template"))
    }

    /// The id of the same definition, or where in the index a new one may go.
    fn find(&self, names: &Names, definition: &Definition<'_>) -> Result<u32, Option<usize>> {
        let mut place = names::hash(&definition.guid) as usize ^ definition.body().len();
        for _ in 0..PROBES_MAX {
            place %= self.index.len();
            let Some(id) = self.index[place].get().checked_sub(1) else { return Err(Some(place)) };
            if self.list.get(id as usize).is_some_and(|program| definition.is(program, names)) {
                return Ok(id);
            }
            place += 1;
        }
        Err(None)
    }

    fn add(
        &self,
        names: &Names,
        definition: &Definition<'_>,
        place: Option<usize>,
    ) -> Result<u32, EventError> {
        let compiled = self.compiled_bytes.get() + definition.body().len();
        if compiled > COMPILED_BYTES_MAX {
            return Err(definition.fail("the templates of a chunk overlap too often"));
        }
        self.compiled_bytes.set(compiled);
        let program = compile::compile(names, definition)?;
        let weight = self.bytes.get() + program.weight();
        if self.list.len() >= PROGRAMS_MAX || weight > PROGRAMS_BYTES_MAX {
            return Err(definition.fail("there is no room for a template"));
        }
        self.bytes.set(weight);
        let id = self.list.push(program).ok_or_else(|| definition.fail("there is no room for a template"))?;
        if let Some(place) = place {
            self.index[place].set(id as u32 + 1);
        }
        Ok(id as u32)
    }
}

/// A definition as it stands in a chunk.
struct Definition<'c> {
    chunk: &'c [u8],
    guid: [u8; 16],
    start: usize,
    end: usize,
}

/// Next offset, GUID and size before the body.
pub(super) const DEFINITION_HEADER_BYTES: usize = 24;

impl<'c> Definition<'c> {
    fn read(chunk: &'c [u8], offset: u32) -> Result<Self, EventError> {
        let mut cursor = Cursor::new(chunk, offset as usize..chunk.len());
        cursor.u32()?;
        let guid = *cursor.take(16)?.first_chunk().ok_or_else(|| cursor.short())?;
        let size = cursor.u32()? as usize;
        let start = cursor.at;
        cursor.take(size)?;
        Ok(Self { chunk, guid, start, end: cursor.at })
    }

    fn body(&self) -> &'c [u8] {
        &self.chunk[self.start..self.end]
    }

    /// Whether the program was compiled from the same definition, maybe of another chunk.
    fn is(&self, program: &Program, names: &Names) -> bool {
        let body = self.body();
        if program.guid != self.guid || program.body.len() != body.len() {
            return false;
        }
        let mut from = 0;
        for NameRef { at, inline, id } in &program.names {
            let at = *at as usize;
            let offset = super::header::u32_at(body, at);
            let inline_here = offset as usize == self.start + at + 4;
            if program.body[from..at] != body[from..at]
                || inline_here != (*inline != 0)
                || names.resolve(self.chunk, offset) != Ok(*id)
            {
                return false;
            }
            from = at + 4;
            if inline_here {
                // Count and characters; what stands before them are offsets of this chunk.
                let skip = from + *inline as usize;
                if program.body[from + 6..skip] != body[from + 6..skip] {
                    return false;
                }
                from = skip;
            }
        }
        program.body[from..] == body[from..]
    }

    #[cold]
    fn fail(&self, what: &'static str) -> EventError {
        EventError { at: self.start, what }
    }
}
