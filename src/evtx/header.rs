//! The file header: 4096 bytes, of which 128 are used. It lies while a log is open (dirty flag):
//! whoever needs the truth reads the chunk headers.

use thiserror::Error;

/// Bytes before the first chunk.
pub const FILE_HEADER_BYTES: usize = 4096;
/// Bytes of it that are used; stored in the header itself.
pub const FILE_HEADER_USED_BYTES: u32 = 128;
pub const FILE_MAGIC: &[u8; 8] = b"ElfFile\0";
pub const FLAG_DIRTY: u32 = 1;
pub const FLAG_FULL: u32 = 2;
pub const FLAG_NO_CRC32: u32 = 4;

/// Field offsets, for the writer too.
pub mod offset {
    pub const OLDEST_CHUNK: usize = 8;
    pub const CURRENT_CHUNK: usize = 16;
    pub const NEXT_RECORD_ID: usize = 24;
    pub const USED_BYTES: usize = 32;
    pub const MINOR: usize = 36;
    pub const MAJOR: usize = 38;
    pub const HEADER_BYTES: usize = 40;
    pub const CHUNK_COUNT: usize = 42;
    pub const FLAGS: usize = 120;
    pub const CRC32: usize = 124;
}

/// What the header says; nothing of it is trusted for reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    pub oldest_chunk: u64,
    pub current_chunk: u64,
    pub next_record_id: u64,
    pub major: u16,
    pub minor: u16,
    pub chunk_count: u16,
    pub flags: u32,
    pub crc32: u32,
    /// The stored checksum is that of the bytes, or the file says it has none.
    pub intact: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FileHeaderError {
    #[error("{have} bytes are no event log: its header alone has {FILE_HEADER_BYTES}")]
    Short { have: usize },
    #[error("not an event log (.evtx): it starts with `{}` and not with `ElfFile`", .found.escape_ascii())]
    Magic { found: [u8; 8] },
}

impl FileHeader {
    /// Reads the first 128 bytes of a log.
    ///
    /// # Errors
    /// When these are not the first bytes of an event log. A wrong checksum is no error.
    pub fn parse(bytes: &[u8]) -> Result<Self, FileHeaderError> {
        let Some(head) = bytes.first_chunk::<128>() else {
            return Err(FileHeaderError::Short { have: bytes.len() });
        };
        let found: [u8; 8] = std::array::from_fn(|index| head[index]);
        if &found != FILE_MAGIC {
            return Err(FileHeaderError::Magic { found });
        }
        let flags = u32_at(head, offset::FLAGS);
        let crc32 = u32_at(head, offset::CRC32);
        Ok(Self {
            oldest_chunk: u64_at(head, offset::OLDEST_CHUNK),
            current_chunk: u64_at(head, offset::CURRENT_CHUNK),
            next_record_id: u64_at(head, offset::NEXT_RECORD_ID),
            minor: u16_at(head, offset::MINOR),
            major: u16_at(head, offset::MAJOR),
            chunk_count: u16_at(head, offset::CHUNK_COUNT),
            flags,
            crc32,
            intact: flags & FLAG_NO_CRC32 != 0 || crc32fast::hash(&head[..offset::FLAGS]) == crc32,
        })
    }
}

/// Little-endian fields of a slice that is known to be long enough; zero past its end.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |field| u16::from_le_bytes([field[0], field[1]]))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |field| u32::from_le_bytes(*field))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |field| u64::from_le_bytes(*field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_and_its_checksum_compared() {
        let mut bytes = vec![0; 4096];
        bytes[..8].copy_from_slice(FILE_MAGIC);
        bytes[offset::NEXT_RECORD_ID] = 7;
        bytes[offset::MAJOR] = 3;
        let crc32 = crc32fast::hash(&bytes[..120]);
        bytes[offset::CRC32..128].copy_from_slice(&crc32.to_le_bytes());
        let header = FileHeader::parse(&bytes).unwrap();
        assert_eq!((header.next_record_id, header.major, header.intact), (7, 3, true));
        bytes[offset::OLDEST_CHUNK] = 1;
        assert!(!FileHeader::parse(&bytes).unwrap().intact);
    }

    #[test]
    fn what_is_no_log_is_refused_in_words() {
        assert_eq!(FileHeader::parse(b"Elf"), Err(FileHeaderError::Short { have: 3 }));
        let error = FileHeader::parse(&[b'x'; 4096]).unwrap_err();
        assert!(error.to_string().contains("not an event log (.evtx): it starts with `xxxxxxxx`"), "{error}");
    }
}
