//! Cursors: how far each output has confirmed, with the sink's note, in one slot file each.

use super::super::{BasinError, Full, NOTE_BYTES_MAX, Position};
use super::codec::{Take, put_blob};
use super::file::{Disk, FRESH};
use super::frame::Totals;
use super::slots::{Flaw, SLOT_HEADER_BYTES, Slots};
use bytes::Bytes;
use std::io;

/// What is stored of a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CursorRecord {
    pub(super) name: String,
    pub(super) position: Position,
    /// Of the log, through `position`.
    pub(super) totals: Totals,
    /// Kept so that an orphaned cursor still has its policy.
    pub(super) full: Full,
    pub(super) note: Bytes,
}

impl CursorRecord {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.note.len());
        out.extend_from_slice(&self.position.sequence.to_le_bytes());
        out.extend_from_slice(&self.position.epoch.to_le_bytes());
        out.extend_from_slice(&self.totals.events.to_le_bytes());
        out.extend_from_slice(&self.totals.bytes.to_le_bytes());
        out.push(u8::from(self.full == Full::SkipOldest));
        put_blob(&mut out, self.name.as_bytes());
        put_blob(&mut out, &self.note);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut take = Take(bytes);
        let sequence = take.u64()?;
        let position = Position { epoch: take.u32()?, sequence };
        let totals = Totals { events: take.u64()?, bytes: take.u64()? };
        let full = if take.u8()? == 1 { Full::SkipOldest } else { Full::Wait };
        let name = take.text()?.to_owned();
        Some(Self { name, position, totals, full, note: Bytes::copy_from_slice(take.blob()?) })
    }
}

pub(super) fn create(disk: &dyn Disk, record: &CursorRecord) -> io::Result<Slots> {
    Slots::create(disk, &cursor_path(&record.name), CURSOR_MAGIC, SLOT_BYTES, &record.encode())
}

/// The file and what it holds; `Err` of a flaw where it holds nothing usable.
pub(super) fn open(disk: &dyn Disk, path: &str) -> io::Result<(Slots, Result<CursorRecord, Flaw>)> {
    let (slots, payload) = Slots::open(disk, path, CURSOR_MAGIC, SLOT_BYTES)?;
    let record = payload.and_then(|bytes| CursorRecord::decode(&bytes).ok_or(Flaw::Damaged));
    Ok((slots, record))
}

/// Files of cursors, by name, without one that a crash kept from being made.
pub(super) fn names(disk: &dyn Disk) -> io::Result<Vec<String>> {
    let mut names = disk.list(CURSORS)?;
    names.retain(|name| !name.ends_with(FRESH));
    names.sort();
    Ok(names)
}

/// File of an output's cursor: what is not a letter, digit, `-` or `_` is written as `%XX`.
pub(super) fn cursor_path(name: &str) -> String {
    let mut path = format!("{CURSORS}/");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

pub(super) fn check_name(name: &str) -> Result<(), BasinError> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        let what = format!("output name `{name}` has {} bytes; choose 1 to {NAME_BYTES_MAX}", name.len());
        return Err(BasinError::Config { key: "", what });
    }
    Ok(())
}

pub(super) const CURSORS: &str = "cursors";
const CURSOR_MAGIC: [u8; 8] = *b"FBYCURSR";
/// So that its file name fits every file system even when each byte is written as `%XX`.
const NAME_BYTES_MAX: usize = 80;
const SLOT_BYTES: u64 = 64 << 10;
const _: () = assert!(SLOT_HEADER_BYTES + NOTE_BYTES_MAX + NAME_BYTES_MAX + 64 <= SLOT_BYTES as usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        let record = CursorRecord {
            name: "lake".into(),
            position: Position { epoch: 3, sequence: 9 },
            totals: Totals { events: 1, bytes: 2 },
            full: Full::SkipOldest,
            note: Bytes::from_static(b"path,17"),
        };
        let bytes = record.encode();
        assert_eq!(CursorRecord::decode(&bytes), Some(record));
        for len in 0..bytes.len() {
            assert_eq!(CursorRecord::decode(&bytes[..len]), None);
        }
    }

    #[test]
    fn a_name_cannot_leave_the_folder() {
        assert_eq!(cursor_path("../x"), "cursors/%2E%2E%2Fx");
    }
}
