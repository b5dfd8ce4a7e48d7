//! The reader's field offsets, and how fields are put there.

pub(super) use super::super::chunk::{
    CHUNK_BYTES, CHUNK_HEADER_BYTES, CHUNK_MAGIC, RECORD_HEADER_BYTES, RECORD_MAGIC, STRING_BUCKETS,
    TEMPLATE_BUCKETS, offset,
};
pub(super) use super::super::header::{
    self as file, FILE_HEADER_BYTES, FILE_HEADER_USED_BYTES, FILE_MAGIC, FLAG_DIRTY, u16_at, u32_at,
};

pub(super) fn put_u16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

pub(super) fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

pub(super) fn put_u64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}
