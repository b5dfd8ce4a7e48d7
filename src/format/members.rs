//! Members of JSON objects, for the formats that write them one by one.

use crate::event::Value;

pub(super) use super::json::comma;

/// A member, unless its value is empty.
pub(super) fn string(name: &str, value: Value<'_>, out: &mut Vec<u8>) {
    let before = out.len();
    comma(out);
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":\"");
    let start = out.len();
    value.write_json(out);
    if out.len() == start {
        out.truncate(before);
    } else {
        out.push(b'"');
    }
}

/// The same for text that is escaped already.
pub(super) fn escaped(name: &str, text: &[u8], out: &mut Vec<u8>) {
    if !text.is_empty() {
        comma(out);
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":\"");
        out.extend_from_slice(text);
        out.push(b'"');
    }
}

/// A number that is one and not 0.
pub(super) fn whole(value: Value<'_>) -> Option<u64> {
    value.as_u64().filter(|&number| number != 0)
}

pub(super) fn number(name: &str, value: Value<'_>, out: &mut Vec<u8>) {
    if let Some(number) = whole(value) {
        comma(out);
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        Value::Unsigned(number).write_text(out);
    }
}

/// Opens an object that is a member.
pub(super) fn open(name: &str, out: &mut Vec<u8>) {
    comma(out);
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":{");
}

/// A member that is text, unless there is none.
pub(super) fn text(name: &str, text: &[u8], out: &mut Vec<u8>) {
    string(name, Value::Text(text), out);
}

/// A member that is a number, whichever.
pub(super) fn integer(name: &str, number: i64, out: &mut Vec<u8>) {
    comma(out);
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    Value::Signed(number).write_text(out);
}
