//! Which records of a chunk that is being written can be believed.
//!
//! The chunk's header may be ahead of its records or behind them, and stale records may follow.
//! A record is taken when its trailer equals its size and it continues the one before. Pure.

use super::position::Identity;
use crate::evtx::chunk::{CHUNK_HEADER_BYTES, ChunkHeader, RawRecord, offset};

/// The run of records that can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Where it ends.
    pub(super) end: usize,
    /// The last record before `end`, if any is known.
    pub(super) last: Option<Identity>,
    /// Nothing stands behind it that the header counts.
    pub(super) complete: bool,
}

/// Follows the records from `from` on; `previous` is the one before.
pub(super) fn run(chunk: &[u8], from: usize, previous: Option<Identity>) -> Run {
    let header = ChunkHeader::parse(chunk);
    let limit = header.map_or(chunk.len(), |header| header.live_end(chunk));
    let last_id = header.map_or(u64::MAX, |header| header.last_record_id);
    let (mut at, mut last) = (from.max(CHUNK_HEADER_BYTES), previous);
    while let Ok(record) = RawRecord::at(chunk, at) {
        let next = match last {
            None => at == CHUNK_HEADER_BYTES,
            // Behind what the header counts, only time tells a new record from a stale one.
            Some(last) if at >= limit => {
                record.id == last.id.wrapping_add(1) && record.written >= last.written
            }
            Some(last) if record.id == last.id.wrapping_add(1) => true,
            // A hole in the numbering, as logs may have.
            Some(last) => record.id > last.id && record.id <= last_id && record.written >= last.written,
        };
        if !record.whole || !next {
            break;
        }
        last = Some(Identity { id: record.id, written: record.written });
        at = record.end();
    }
    // The header's word on the last record counts more than a free-space offset that is behind.
    let all = last.is_some_and(|last| last.id >= last_id) || header.is_none() || header_empty(header);
    Run { end: at, last, complete: at >= limit || all }
}

fn header_empty(header: Option<ChunkHeader>) -> bool {
    header.is_some_and(|header| header.free_space_offset as usize <= CHUNK_HEADER_BYTES)
}

/// The chunk up to the end of `run`, with a header that counts exactly those records.
pub(super) fn counted(chunk: &[u8], run: Run) -> Vec<u8> {
    let mut counted = chunk[..run.end].to_vec();
    let mut put = |at: usize, value: &[u8]| counted[at..at + value.len()].copy_from_slice(value);
    put(offset::FREE_SPACE, &(run.end as u32).to_le_bytes());
    if let Some(last) = run.last {
        put(offset::LAST_ID, &last.id.to_le_bytes());
    }
    counted
}

/// Whether the chunk's checksums hold for everything before `end`: then one reading is enough.
pub(super) fn intact(chunk: &[u8], end: usize) -> bool {
    ChunkHeader::parse(chunk).is_some_and(|header| {
        let checked = header.flags & crate::evtx::header::FLAG_NO_CRC32 == 0;
        let checks = header.checks(chunk);
        checked && checks.header && checks.records && header.free_space_offset as usize >= end
    })
}

/// The end of the record with this id and FILETIME, among those that can be believed.
pub(super) fn find(chunk: &[u8], id: u64) -> Option<(Identity, usize)> {
    let mut at = CHUNK_HEADER_BYTES;
    while let Ok(record) = RawRecord::at(chunk, at) {
        if record.id == id {
            return Some((Identity { id, written: record.written }, record.end()));
        }
        at = record.end();
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::evtx::chunk::{CHUNK_BYTES, CHUNK_MAGIC};

    /// A chunk of records without content: (id, written, size).
    pub(in crate::source::evtx) fn chunk(records: &[(u64, u64, usize)]) -> Vec<u8> {
        let mut bytes = vec![0; CHUNK_BYTES];
        bytes[..8].copy_from_slice(CHUNK_MAGIC);
        let mut at = CHUNK_HEADER_BYTES;
        for &(id, written, size) in records {
            let record = &mut bytes[at..at + size];
            record[..4].copy_from_slice(b"**\0\0");
            record[4..8].copy_from_slice(&(size as u32).to_le_bytes());
            record[8..16].copy_from_slice(&id.to_le_bytes());
            record[16..24].copy_from_slice(&written.to_le_bytes());
            record[size - 4..].copy_from_slice(&(size as u32).to_le_bytes());
            at += size;
        }
        let put =
            |bytes: &mut Vec<u8>, at: usize, id: u64| bytes[at..at + 8].copy_from_slice(&id.to_le_bytes());
        put(&mut bytes, offset::FIRST_ID, records[0].0);
        put(&mut bytes, offset::LAST_ID, records[records.len() - 1].0);
        put(&mut bytes, offset::FIRST_NUMBER, records[0].0);
        free_space(&mut bytes, at);
        let crc = crc32fast::hash(&bytes[CHUNK_HEADER_BYTES..at]);
        bytes[offset::RECORDS_CRC32..][..4].copy_from_slice(&crc.to_le_bytes());
        let mut crc = crc32fast::Hasher::new();
        crc.update(&bytes[..120]);
        crc.update(&bytes[128..CHUNK_HEADER_BYTES]);
        bytes[offset::HEADER_CRC32..][..4].copy_from_slice(&crc.finalize().to_le_bytes());
        bytes
    }

    fn free_space(bytes: &mut [u8], at: usize) {
        bytes[offset::FREE_SPACE..][..4].copy_from_slice(&(at as u32).to_le_bytes());
    }

    fn last(id: u64, written: u64) -> Option<Identity> {
        Some(Identity { id, written })
    }

    #[test]
    fn a_whole_chunk_is_one_run() {
        let bytes = chunk(&[(5, 10, 40), (6, 11, 48), (7, 11, 28)]);
        assert_eq!(run(&bytes, 512, None), Run { end: 628, last: last(7, 11), complete: true });
        assert_eq!(run(&bytes, 552, last(5, 10)), Run { end: 628, last: last(7, 11), complete: true });
        assert_eq!(run(&bytes, 628, last(7, 11)), Run { end: 628, last: last(7, 11), complete: true });
        assert!(intact(&bytes, 628) && !intact(&bytes, 629));
        assert_eq!(find(&bytes, 6), Some((Identity { id: 6, written: 11 }, 600)));
    }

    #[test]
    fn a_header_ahead_of_its_records_waits_for_them() {
        let mut bytes = chunk(&[(5, 10, 40), (6, 11, 48), (7, 11, 28)]);
        bytes[596..628].fill(0);
        assert_eq!(run(&bytes, 512, None), Run { end: 552, last: last(5, 10), complete: false });
        assert!(!intact(&bytes, 552));
    }

    #[test]
    fn records_ahead_of_the_header_are_taken_and_stale_ones_are_not() {
        let mut bytes = chunk(&[(5, 10, 40), (6, 11, 48), (7, 12, 28)]);
        free_space(&mut bytes, 552);
        bytes[offset::LAST_ID] = 5;
        assert_eq!(run(&bytes, 512, None).end, 628);
        // The same, left over from before the log was cleared.
        bytes[552 + 16] = 9;
        assert_eq!(run(&bytes, 512, None), Run { end: 552, last: last(5, 10), complete: true });
    }

    #[test]
    fn records_behind_the_header_are_decoded_from_any_place() {
        let mut bytes = chunk(&[(5, 10, 40), (6, 11, 48), (7, 12, 28)]);
        free_space(&mut bytes, 552);
        bytes[offset::LAST_ID] = 5;
        let run = run(&bytes, 552, last(5, 10));
        let mut ids = Vec::new();
        let _ = crate::evtx::Decoder::new().chunk(&counted(&bytes, run), 552, |found| {
            ids.extend(found.unwrap_err().record.map(|(id, _)| id));
            std::ops::ControlFlow::Continue(())
        });
        assert_eq!(ids, [6, 7]);
    }

    #[test]
    fn holes_pass_and_older_ids_do_not() {
        let bytes = chunk(&[(5, 10, 40), (9, 11, 48)]);
        assert_eq!(run(&bytes, 512, None).last, last(9, 11));
        let mut bytes = chunk(&[(50, 10, 40), (6, 9, 48)]);
        bytes[offset::LAST_ID] = 51;
        assert_eq!(run(&bytes, 512, None), Run { end: 552, last: last(50, 10), complete: false });
    }
}
