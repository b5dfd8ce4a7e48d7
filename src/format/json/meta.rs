//! The `Forebay` object: where an event came from, and what is to be known of it.

use super::comma;
use crate::event::{Origin, Value};
use crate::format::Meta;

/// Text of the origin's members, kept because all events of a batch share it.
#[derive(Debug, Default)]
pub(in crate::format) struct Cached {
    origin: Option<Origin>,
    text: Vec<u8>,
}

impl Cached {
    /// Writes the object, if there is an origin or an error to tell.
    pub(in crate::format) fn write(
        &mut self,
        meta: &Meta<'_>,
        failed: Option<(&str, &[u8])>,
        out: &mut Vec<u8>,
    ) {
        if meta.origin.is_none() && failed.is_none() {
            return;
        }
        comma(out);
        out.extend_from_slice(b"\"Forebay\":{");
        if let Some(origin) = meta.origin {
            if self.origin.as_ref() != Some(origin) {
                self.text.clear();
                write_origin(origin, &mut self.text);
                self.origin = Some(origin.clone());
            }
            out.extend_from_slice(&self.text);
        }
        if let Some(id) = meta.id {
            comma(out);
            out.extend_from_slice(b"\"Id\":\"");
            Value::Binary(&id.0).write_json(out);
            let digits = out.len() - 2 * id.0.len();
            out[digits..].make_ascii_lowercase();
            out.push(b'"');
        }
        write_notes(meta, out);
        if let Some((error, raw)) = failed {
            string("Error", error.as_bytes(), out);
            string("Raw", String::from_utf8_lossy(raw).as_bytes(), out);
        }
        out.push(b'}');
    }
}

fn write_origin(origin: &Origin, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"Received\":\"");
    origin.received.write(9, out);
    out.push(b'"');
    string("Source", origin.source.as_bytes(), out);
    let address = origin.address.map(|address| address.to_string());
    for (name, value) in [
        ("Host", origin.host.as_deref()),
        ("Address", address.as_deref()),
        ("Subscription", origin.subscription.as_deref()),
        ("File", origin.file.as_deref()),
    ] {
        if let Some(value) = value {
            string(name, value.as_bytes(), out);
        }
    }
}

pub(in crate::format) fn write_notes(meta: &Meta<'_>, out: &mut Vec<u8>) {
    if meta.notes.is_empty() {
        return;
    }
    comma(out);
    out.extend_from_slice(b"\"Notes\":[");
    for note in meta.notes {
        comma(out);
        out.push(b'{');
        string("Kind", note.kind.name().as_bytes(), out);
        string("Detail", note.detail.as_bytes(), out);
        out.push(b'}');
    }
    out.push(b']');
}

fn string(name: &str, value: &[u8], out: &mut Vec<u8>) {
    comma(out);
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":\"");
    Value::Text(value).write_json(out);
    out.push(b'"');
}
