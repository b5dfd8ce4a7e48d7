//! Native JSON: one object per event, everything it holds, nothing altered.
//!
//! ```text
//! {"System":{…},"EventData":{…},"UserData":…,"RenderingInfo":{…},…,"Forebay":{metadata}}
//! ```
//!
//! - **System**: `Provider` {Name, Guid, EventSourceName}, EventID, Qualifiers, Version, Level, Task,
//!   Opcode, Keywords, TimeCreated, EventRecordID, `Correlation` {…}, `Execution` {…}, Channel,
//!   Computer, UserID (`"Security":{}` where Security names nobody). Numbers where the text is a
//!   decimal u64 without leading zeros, else strings.
//! - **EventData**: each `<Data Name='n'>v</Data>` is a member `"n":"v"`, always a string. What has no
//!   place there stands in order in the list `Data`: a string for an unnamed one; an object
//!   {Name, Type, Value} where the name is repeated, empty, reserved (`Data`, `ComplexData`,
//!   `Binary`, or starting with `@` or `#`), comes after `KEYS_MAX` others, or where the element has
//!   other attributes or child elements. `ComplexData` is a list; `Binary` a member;
//!   attributes of EventData are `@name`.
//! - **Every other element** by the general rules of `tape.rs`: a leaf is a string, `@attribute`,
//!   `#text`, repeated names become arrays. RenderingInfo writes its culture as `Culture` and its
//!   keywords as a list of strings.
//! - An element whose key is taken, and what System has beyond its known fields, stands in
//!   `#elements`: a list of objects of one member, in order.
//! - **Forebay**: where the event came from; `Error` and `Raw` for what could not be read.
//!
//! A pure function of what the reader reports, so both encodings give the same bytes. The schema is
//! published in `json.schema.json`. Allocates nothing once its scratch has grown, except for odd
//! headers. Must not know: encodings.

pub(in crate::format) mod body;
pub(in crate::format) mod keys;
pub(in crate::format) mod meta;
mod rendering;
mod script;
pub(in crate::format) mod system;
mod tape;

#[cfg(test)]
mod tests;

use super::Meta;
use crate::event::{Event, EventError, Part};
use body::{Body, Scratch};
use schemars::JsonSchema;
use script::SystemWriter;
use serde::Deserialize;

pub use keys::KEYS_MAX;
pub(in crate::format) use system::{number_or_string, says_more};

/// JSON Schema (draft 2020-12) of the events written here.
pub const SCHEMA: &str = include_str!("json.schema.json");

/// `format.json = {}`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

/// Writes events as JSON objects, one line each.
#[derive(Debug, Default)]
pub struct Json {
    scratch: Scratch,
    origin: meta::Cached,
}

impl Json {
    pub fn new(_: &Config) -> Self {
        Self::default()
    }

    /// Appends one event.
    ///
    /// # Errors
    /// When the event cannot be read to its end; part of it may then stand in `out`.
    pub fn event<'a, E: Event<'a>>(
        &mut self,
        event: &E,
        meta: &Meta<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), EventError> {
        out.push(b'{');
        if !event.offer(Part::System, &mut SystemWriter::new(out)) {
            let header = event.header();
            if header.odd {
                system::odd(event, header, out)?;
            } else {
                system::open(header, out);
                out.push(b'}');
            }
        }
        let mut body = Body::new(&mut self.scratch, out);
        event.walk(Part::Body, &mut body)?;
        body.finish()?;
        self.origin.write(meta, None, out);
        out.push(b'}');
        Ok(())
    }

    /// Appends what could not be read as an event. Bytes that are not UTF-8 read as U+FFFD.
    pub fn raw(&mut self, text: &[u8], error: &str, meta: &Meta<'_>, out: &mut Vec<u8>) {
        out.push(b'{');
        self.origin.write(meta, Some((error, text)), out);
        out.push(b'}');
    }
}

/// A comma, unless this is the first of its object or list.
#[inline]
pub(in crate::format) fn comma(out: &mut Vec<u8>) {
    if !matches!(out.last(), Some(b'{' | b'[')) {
        out.push(b',');
    }
}
