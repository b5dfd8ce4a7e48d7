//! Attributes: a key with a value, `KeyValue` of `common.proto`.
//!
//! Must not know: what they are of.

use super::proto;
use std::fmt;
use std::io::Write;

/// Where records have them.
const OF_RECORD: u32 = 6;
/// Where resources have them.
const OF_RESOURCE: u32 = 1;

const KEY: u32 = 1;
const VALUE: u32 = 2;

/// Kinds of values, `AnyValue` of `common.proto`.
pub(super) const STRING: u32 = 1;
pub(super) const BOOL: u32 = 2;
pub(super) const INT: u32 = 3;
pub(super) const DOUBLE: u32 = 4;
pub(super) const ARRAY: u32 = 5;
pub(super) const MAP: u32 = 6;
pub(super) const BYTES: u32 = 7;

/// Appends an attribute of a record.
pub(super) fn text(name: &str, value: &str, out: &mut Vec<u8>) {
    pair(OF_RECORD, name, |out| proto::bytes(STRING, value.as_bytes(), out), out);
}

/// The same, of a value that is written as it is made.
pub(super) fn display(name: &str, value: impl fmt::Display, out: &mut Vec<u8>) {
    let write = |out: &mut Vec<u8>| {
        let start = proto::open(STRING, out);
        // Writing to memory cannot fail.
        let _ = write!(out, "{value}");
        proto::close(start, out);
    };
    pair(OF_RECORD, name, write, out);
}

/// The same, of a number.
pub(super) fn number(name: &str, value: i64, out: &mut Vec<u8>) {
    pair(OF_RECORD, name, |out| proto::number(INT, value.cast_unsigned(), out), out);
}

/// Appends an attribute of a resource.
pub(super) fn of_resource(name: &str, value: &str, out: &mut Vec<u8>) {
    pair(OF_RESOURCE, name, |out| proto::bytes(STRING, value.as_bytes(), out), out);
}

fn pair(field: u32, name: &str, value: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
    let start = open(field, name.as_bytes(), out);
    let of_value = open_value(out);
    value(out);
    proto::close(of_value, out);
    proto::close(start, out);
}

/// Begins a pair with its key.
pub(super) fn open(field: u32, key: &[u8], out: &mut Vec<u8>) -> usize {
    let start = proto::open(field, out);
    proto::bytes(KEY, key, out);
    start
}

/// Begins its value.
pub(super) fn open_value(out: &mut Vec<u8>) -> usize {
    proto::open(VALUE, out)
}
