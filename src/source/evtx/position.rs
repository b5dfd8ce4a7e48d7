//! How far a log has been read, and how that is written into a bookmark.
//!
//! value = version u8 ‖ flags u8 ‖ ten u64 (the fields in their order), little-endian.
//! Pure.

use bytes::Bytes;

/// A place in a log, behind a record that is kept. Record ids order a log; where they cannot (a
/// file put together of several logs), the places of the chunks do, see `scattered`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// Inode of the file, to recognise it under another name.
    pub(super) inode: u64,
    /// Id and FILETIME of the last record read: another record of that id is another log's.
    pub(super) id: u64,
    pub(super) written: u64,
    /// Where it stands: chunk, and offset behind it.
    pub(super) slot: u64,
    pub(super) offset: u64,
    /// First record of the chunk it stands in.
    pub(super) chunk: Identity,
    /// FILETIME since which the log counts its records; chunks of before are left over.
    pub(super) since: u64,
    /// Ids do not order this file: chunks are read as they stand, …
    pub(super) scattered: bool,
    /// … the first this many of them are read …
    pub(super) through: u64,
    /// … and nothing read is younger than this FILETIME.
    pub(super) newest: u64,
}

/// Tells one filling of a chunk from the next: id and FILETIME of its first record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) id: u64,
    pub(super) written: u64,
}

const VERSION: u8 = 1;
const SCATTERED: u8 = 1;

impl Position {
    pub(super) fn write(&self) -> Bytes {
        let mut value = Vec::with_capacity(82);
        value.extend_from_slice(&[VERSION, if self.scattered { SCATTERED } else { 0 }]);
        for field in self.fields() {
            value.extend_from_slice(&field.to_le_bytes());
        }
        value.into()
    }

    /// None: not written by this version.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        let (&[version, flags], rest) = value.split_first_chunk()?;
        let mut fields = [0; 10];
        if version != VERSION || rest.len() != 8 * fields.len() {
            return None;
        }
        for (field, bytes) in fields.iter_mut().zip(rest.chunks_exact(8)) {
            *field = u64::from_le_bytes(bytes.try_into().ok()?);
        }
        let [inode, id, written, slot, offset, chunk_id, chunk_written, since, through, newest] = fields;
        let chunk = Identity { id: chunk_id, written: chunk_written };
        let scattered = flags & SCATTERED != 0;
        Some(Self { inode, id, written, slot, offset, chunk, since, scattered, through, newest })
    }

    fn fields(&self) -> [u64; 10] {
        [
            self.inode,
            self.id,
            self.written,
            self.slot,
            self.offset,
            self.chunk.id,
            self.chunk.written,
            self.since,
            self.through,
            self.newest,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_back_and_others_are_refused() {
        let position = Position {
            inode: 1,
            id: 2,
            written: 3,
            slot: 4,
            offset: 5,
            chunk: Identity { id: 6, written: 7 },
            since: 8,
            scattered: true,
            through: 9,
            newest: 10,
        };
        let value = position.write();
        assert_eq!(Position::read(&value), Some(position));
        assert_eq!(Position::read(&value[1..]), None);
        assert_eq!(Position::read(&[2; 82]), None);
        assert_eq!(Position::read(b""), None);
    }
}
