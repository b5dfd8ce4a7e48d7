//! Writes keys and values: trimmed, cut at their length, escaped.

use super::Meta;
use super::mapping::Key;
use crate::event::Value;
use crate::format::known::{is_blank, since_1970};
use crate::format::texts::bounded;
use std::fmt::Display;
use std::io::Write;

/// Writes pairs of the extension.
pub(super) struct Pen<'p> {
    pub(super) scratch: &'p mut Vec<u8>,
    pub(super) out: &'p mut Vec<u8>,
}

impl Pen<'_> {
    fn open(&mut self, key: &str) {
        self.out.push(b' ');
        self.out.extend_from_slice(key.as_bytes());
        self.out.push(b'=');
    }

    pub(super) fn value(&mut self, key: &str, value: Value<'_>, bytes_max: usize) {
        if !is_blank(value) {
            self.open(key);
            self.rest_of_value(value, bytes_max);
        }
    }

    pub(super) fn text(&mut self, key: &str, text: &[u8], bytes_max: usize) {
        let text = text.trim_ascii();
        if !text.is_empty() {
            self.open(key);
            self.rest_of_text(text, bytes_max);
        }
    }

    /// A custom string: without its value a label would say nothing.
    pub(super) fn labelled(&mut self, key: &str, value: Value<'_>, label: &str) {
        self.value(key, if is_blank(value) { Value::Plain(b"-") } else { value }, Key::CUSTOM_BYTES_MAX);
        self.label(key, label);
    }

    pub(super) fn label(&mut self, key: &str, label: &str) {
        self.out.push(b' ');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"Label=");
        self.out.extend_from_slice(label.as_bytes());
    }

    fn number(&mut self, key: &str, number: u64) {
        self.open(key);
        Value::Unsigned(number).write_text(self.out);
    }

    pub(super) fn display(&mut self, key: &str, address: impl Display) {
        self.open(key);
        write!(self.out, "{address}").expect("a vector takes it");
    }

    pub(super) fn time(&mut self, created: Value<'_>, meta: &Meta<'_>) {
        if let Some(time) = since_1970(created, meta, self.scratch) {
            self.number("rt", time.0.unsigned_abs() / 1_000_000);
        }
    }

    fn rest_of_value(&mut self, value: Value<'_>, bytes_max: usize) {
        let start = self.out.len();
        value.write_text(self.out);
        let length = self.out[start..].trim_ascii_end().len();
        self.out.truncate(start + length);
        let blanks = length - self.out[start..].trim_ascii_start().len();
        self.out.drain(start..start + blanks);
        cut(start, bytes_max, self.out);
        escape(start, Place::Value, self.scratch, self.out);
    }

    pub(super) fn rest_of_text(&mut self, text: &[u8], bytes_max: usize) {
        let start = self.out.len();
        // What is cut off anyway need not be copied.
        self.out.extend_from_slice(bounded(text, bytes_max + 4));
        cut(start, bytes_max, self.out);
        escape(start, Place::Value, self.scratch, self.out);
    }
}

/// Cuts what stands from `start` on.
pub(super) fn cut(start: usize, bytes_max: usize, out: &mut Vec<u8>) {
    const MARK: &[u8] = b"...";
    if out.len() - start > bytes_max {
        let kept = bounded(&out[start..], bytes_max - MARK.len()).len();
        out.truncate(start + kept);
        out.extend_from_slice(MARK);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Header,
    Value,
}

/// Escapes what stands from `start` on.
pub(super) fn escape(start: usize, place: Place, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    let separator = if place == Place::Header { b'|' } else { b'=' };
    let special = |byte: &u8| matches!(byte, b'\\' | b'\r' | b'\n') || *byte == separator;
    let Some(first) = out[start..].iter().position(special) else { return };
    scratch.clear();
    scratch.extend_from_slice(&out[start + first..]);
    out.truncate(start + first);
    for run in scratch.split_inclusive(special) {
        let (last, before) = match run.split_last() {
            Some((last, before)) if special(last) => (*last, before),
            _ => {
                out.extend_from_slice(run);
                continue;
            }
        };
        out.extend_from_slice(before);
        match (last, place) {
            (b'\r' | b'\n', Place::Header) => out.push(b' '),
            (b'\n', Place::Value) => out.extend_from_slice(b"\\n"),
            (b'\r', Place::Value) => out.extend_from_slice(b"\\r"),
            _ => out.extend_from_slice(&[b'\\', last]),
        }
    }
}
