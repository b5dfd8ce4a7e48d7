//! Finding the place to go on in a log that was closed, or was not.
//!
//! Nothing is taken from the file header (it lies while a log is open): the chunk with the highest
//! record ids is the current one. A chunk whose header does not hold counts by its records.

use super::layout::{CHUNK_BYTES, CHUNK_HEADER_BYTES, FILE_HEADER_BYTES, FILE_MAGIC, FLAG_DIRTY};
use super::{ChunkWriter, Layout, LogWriter, Options, Store};
use crate::evtx::chunk::ChunkHeader;
use crate::evtx::header::FileHeader;
use thiserror::Error;

#[derive(Debug, Error)]
pub enum ResumeError<E> {
    /// Somebody else's bytes are there; they are left alone.
    #[error(
        "what is there is not an event log: {bytes} bytes that do not begin with `ElfFile`; move it away"
    )]
    NotALog { bytes: u64 },
    #[error("{0}")]
    Store(E),
}

/// Where a log goes on.
pub(super) struct Position {
    pub(super) slot: u16,
    pub(super) slots: u16,
    pub(super) wrapped: bool,
    pub(super) next_id: u64,
    pub(super) next_number: u64,
}

pub(super) fn resume<S: Store>(
    options: Options,
    store: &mut S,
    below: Option<u64>,
) -> Result<LogWriter, ResumeError<S::Error>> {
    let bytes = store.bytes().map_err(ResumeError::Store)?;
    let mut magic = [0; 8];
    store.read_at(0, &mut magic).map_err(ResumeError::Store)?;
    // A log whose very first write was lost is all zeros.
    if bytes < FILE_HEADER_BYTES as u64 || magic == [0; 8] {
        if magic != [0; 8] && &magic != FILE_MAGIC {
            return Err(ResumeError::NotALog { bytes });
        }
        return LogWriter::create(options, store).map_err(ResumeError::Store);
    }
    if &magic != FILE_MAGIC {
        return Err(ResumeError::NotALog { bytes });
    }
    let slots =
        (bytes - FILE_HEADER_BYTES as u64).div_ceil(CHUNK_BYTES as u64).min(u64::from(super::CHUNKS_MAX));
    scan(options, store, below, slots as u16).map_err(ResumeError::Store)
}

fn scan<S: Store>(
    options: Options,
    store: &mut S,
    below: Option<u64>,
    slots: u16,
) -> Result<LogWriter, S::Error> {
    let mut current: Option<(u16, ChunkWriter)> = None;
    let mut oldest: Option<(u64, u16)> = None;
    let mut dropped = Vec::new();
    for slot in 0..slots {
        let newest = current.as_ref().and_then(|(_, chunk)| chunk.last()).map(|(_, id)| id);
        let Some(chunk) = look(store, slot, newest, (options.layout, below), &mut oldest)? else { continue };
        match chunk.last() {
            None => dropped.push(slot),
            Some((_, id)) if newest.is_none_or(|newest| id > newest) => current = Some((slot, chunk)),
            Some(_) => {}
        }
    }
    let Some((slot, mut chunk)) = current else {
        let first_record_id = below.unwrap_or(options.first_record_id);
        return LogWriter::create(Options { first_record_id, ..options }, store);
    };
    let last = chunk.last().unwrap_or_default();
    let wrapped = oldest.is_some_and(|(_, oldest)| oldest > slot);
    if !wrapped {
        store.truncate(start_of(slot + 1))?;
    }
    for gone in dropped.into_iter().filter(|&gone| wrapped || gone <= slot) {
        store.write_at(start_of(gone), &[0; CHUNK_HEADER_BYTES])?;
    }
    store.write_at(start_of(slot), &chunk.finish()[..])?;
    if wrapped || options.wrap {
        wipe_torn(store, slot, if wrapped { slots } else { slot })?;
    }
    let position = Position {
        slot,
        slots: if wrapped { slots } else { slot + 1 },
        wrapped,
        next_id: last.1.wrapping_add(1),
        next_number: last.0.wrapping_add(1),
    };
    LogWriter::at(options, chunk, position, store)
}

/// In a ring that was not closed, an old chunk may have been overwritten in part: what is left of
/// it is the oldest of the log, and no reader could tell it from the new.
fn wipe_torn<S: Store>(store: &mut S, current: u16, slots: u16) -> Result<(), S::Error> {
    let mut head = [0; 128];
    store.read_at(0, &mut head)?;
    if FileHeader::parse(&head).is_ok_and(|header| header.intact && header.flags & FLAG_DIRTY == 0) {
        return Ok(());
    }
    let mut bytes = vec![0; CHUNK_BYTES];
    for slot in (0..slots).filter(|&slot| slot != current) {
        store.read_at(start_of(slot), &mut bytes)?;
        let whole = ChunkHeader::parse(&bytes).is_some_and(|header| {
            let checks = header.checks(&bytes);
            checks.header && checks.records
        });
        if !whole && bytes.iter().any(|&byte| byte != 0) {
            bytes.fill(0);
            store.write_at(start_of(slot), &bytes)?;
        }
    }
    Ok(())
}

/// The chunk in a slot if it may be the current one, or was emptied by `below`.
fn look<S: Store>(
    store: &mut S,
    slot: u16,
    newest: Option<u64>,
    (layout, below): (Layout, Option<u64>),
    oldest: &mut Option<(u64, u16)>,
) -> Result<Option<ChunkWriter>, S::Error> {
    let mut header = [0; CHUNK_HEADER_BYTES];
    store.read_at(start_of(slot), &mut header)?;
    // The checksum of a header is over the header alone, so 512 bytes are enough to judge it.
    let sound = ChunkHeader::parse(&header).filter(|parsed| parsed.checks(&header).header);
    if let Some(parsed) = sound {
        let older = newest.is_some_and(|newest| parsed.last_record_id <= newest);
        if older || below.is_none_or(|below| parsed.first_record_id < below) {
            if oldest.is_none_or(|(first, _)| parsed.first_record_id < first) {
                *oldest = Some((parsed.first_record_id, slot));
            }
            if older {
                return Ok(None);
            }
        }
    }
    let mut bytes = vec![0; CHUNK_BYTES].into_boxed_slice();
    store.read_at(start_of(slot), &mut bytes)?;
    let Ok(bytes) = <Box<[u8; CHUNK_BYTES]>>::try_from(bytes) else { return Ok(None) };
    let blank = bytes.iter().all(|&byte| byte == 0);
    Ok((!blank).then(|| ChunkWriter::reopen(bytes, layout, below)))
}

fn start_of(slot: u16) -> u64 {
    FILE_HEADER_BYTES as u64 + u64::from(slot) * CHUNK_BYTES as u64
}
