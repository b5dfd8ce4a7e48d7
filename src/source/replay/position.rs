//! How far a file has been read, and whether it is still the one that was.
//!
//! position = version u8 ‖ offset u64 ‖ bytes of the head u32 ‖ CRC32C of the head u32, little-endian.
//! The head tells whether the file is still the one that was read.

use bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

const HEAD_BYTES: usize = 4096;
const POSITION_VERSION: u8 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) offset: u64,
    head_len: u32,
    head_crc: u32,
}

impl Position {
    pub(super) fn new(offset: u64, head: &[u8]) -> Self {
        Self { offset, head_len: head.len() as u32, head_crc: crc32c::crc32c(head) }
    }

    pub(super) fn read(value: &[u8]) -> Option<Self> {
        let (&version, rest) = value.split_first()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (head_len, rest) = rest.split_first_chunk()?;
        let head_crc = rest.try_into().ok()?;
        (version == POSITION_VERSION).then(|| Self {
            offset: u64::from_le_bytes(*offset),
            head_len: u32::from_le_bytes(*head_len),
            head_crc: u32::from_le_bytes(head_crc),
        })
    }

    pub(super) fn write(&self) -> Bytes {
        let mut value = vec![POSITION_VERSION];
        value.extend_from_slice(&self.offset.to_le_bytes());
        value.extend_from_slice(&self.head_len.to_le_bytes());
        value.extend_from_slice(&self.head_crc.to_le_bytes());
        value.into()
    }

    pub(super) fn fits(&self, file: &File, file_len: u64) -> io::Result<bool> {
        let head = head_of(file, (self.head_len as usize).min(HEAD_BYTES))?;
        let same = head.len() == self.head_len as usize && crc32c::crc32c(&head) == self.head_crc;
        Ok(same && self.offset <= file_len)
    }
}

/// The first bytes of a file.
pub(super) fn head(file: &File) -> io::Result<Vec<u8>> {
    head_of(file, HEAD_BYTES)
}

fn head_of(file: &File, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut head = vec![0; bytes_max];
    let mut filled = 0;
    while filled < head.len() {
        match file.read_at(&mut head[filled..], filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    head.truncate(filled);
    Ok(head)
}
