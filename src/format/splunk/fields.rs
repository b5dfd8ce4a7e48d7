//! Indexed fields of an event: flat texts, each `forebay_…`.

use crate::event::Value;
use crate::format::Meta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::io::Write;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Field {
    /// Name of the source in the pipeline file.
    Source,
    /// Who sent it, as authenticated.
    Host,
    /// The sender's address.
    Address,
    /// Name of the subscription.
    Subscription,
    /// The file it was read from.
    File,
    /// The event's id, the same whenever it is sent again.
    Id,
}

/// The member `fields`, unless there is none.
pub(super) fn write_fields(fields: &[Field], meta: &Meta<'_>, error: Option<&str>, out: &mut Vec<u8>) {
    let before = out.len();
    out.extend_from_slice(b",\"fields\":{");
    let start = out.len();
    for field in fields {
        write_field(*field, meta, start, out);
    }
    if !meta.notes.is_empty() {
        let kinds = meta.notes.iter().map(|note| note.kind.name());
        write_texts("forebay_note", kinds, " ", start, out);
    }
    let details = meta.notes.iter().map(|note| &*note.detail);
    write_texts("forebay_error", error.into_iter().chain(details), "; ", start, out);
    if out.len() == start {
        out.truncate(before);
    } else {
        out.push(b'}');
    }
}

fn write_field(field: Field, meta: &Meta<'_>, start: usize, out: &mut Vec<u8>) {
    let (name, text) = match (field, meta.origin) {
        (Field::Id, _) => {
            if let Some(id) = meta.id {
                open("forebay_id", start, out);
                let digits = out.len();
                Value::Binary(&id.0).write_json(out);
                out[digits..].make_ascii_lowercase();
                out.push(b'"');
            }
            return;
        }
        (_, None) => return,
        (Field::Address, Some(origin)) => {
            if let Some(address) = origin.address {
                open("forebay_address", start, out);
                write!(out, "{address}").expect("a vector takes it");
                out.push(b'"');
            }
            return;
        }
        (Field::Source, Some(origin)) => ("forebay_source", Some(&*origin.source)),
        (Field::Host, Some(origin)) => ("forebay_host", origin.host.as_deref()),
        (Field::Subscription, Some(origin)) => ("forebay_subscription", origin.subscription.as_deref()),
        (Field::File, Some(origin)) => ("forebay_file", origin.file.as_deref()),
    };
    write_texts(name, text.into_iter(), "", start, out);
}

/// One member of all texts that are not empty; none without any.
fn write_texts<'t>(
    name: &str,
    texts: impl Iterator<Item = &'t str>,
    between: &str,
    start: usize,
    out: &mut Vec<u8>,
) {
    let mut is_open = false;
    for text in texts.filter(|text| !text.is_empty()) {
        if is_open {
            out.extend_from_slice(between.as_bytes());
        } else {
            open(name, start, out);
            is_open = true;
        }
        Value::Text(text.as_bytes()).write_json(out);
    }
    if is_open {
        out.push(b'"');
    }
}

/// The start of a member of the object whose members begin at `start`.
fn open(name: &str, start: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(if out.len() == start { b"\"" } else { b",\"" });
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":\"");
}
