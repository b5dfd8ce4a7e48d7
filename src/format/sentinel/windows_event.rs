//! Rows of the table WindowsEvent.
//!
//! | column | from |
//! |---|---|
//! | TimeGenerated | TimeCreated; without one, when it was received |
//! | Provider, Channel, Computer, EventID, Version, Task, Opcode, Keywords, EventRecordId | System |
//! | EventLevel, EventLevelName | Level |
//! | Correlation | ActivityID |
//! | SystemProcessId, SystemThreadId, SystemUserId | Execution, Security |
//! | EventData | members of EventData as in native JSON, and `#Event` |
//! | RawEventData | the text of what could not be read |
//!
//! `#Event` is the native JSON of what no column holds, and of TimeCreated, since the service may put the time of arrival
//! in the column; EventData has no member of that name, as names that begin with `#` stand in its list `Data`.

use super::limit::{self, Members};
use super::{Scratch, is_int, level_name, time};
use crate::event::header::Seen;
use crate::event::{Event, EventError, Part, Value};
use crate::format::Meta;
use crate::format::json::{body::Body, system};
use crate::format::members::{comma, integer, open, string};
use crate::format::rest::Rest;

pub(super) fn write<'a, E: Event<'a>>(
    event: &E,
    meta: &Meta<'_>,
    with_rest: bool,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Result<(), EventError> {
    let header = event.header();
    let Scratch { body, origin, members, parts, text, .. } = scratch;
    members.clear();
    members.push(b'{');
    let mut visitor = Body::new(body, members);
    event.walk(Part::Body, &mut visitor)?;
    visitor.finish()?;
    members.push(b'}');

    let mut rest = Rest::new(header);
    out.push(b'{');
    time(header.time_created, meta, text, out);
    limit::value("Provider", rest.attribute(Seen::PROVIDER, b"Name"), text, out);
    limit::value("Channel", rest.text(Seen::CHANNEL), text, out);
    limit::value("Computer", rest.text(Seen::COMPUTER), text, out);
    int("EventID", rest.text_if(Seen::EVENT_ID, is_int), out);
    int("Version", rest.text_if(Seen::VERSION, is_int), out);
    int("EventLevel", rest.text_if(Seen::LEVEL, is_int), out);
    limit::text("EventLevelName", level_name(header).as_bytes(), out);
    int("Task", rest.text_if(Seen::TASK, is_int), out);
    limit::value("Opcode", rest.text(Seen::OPCODE), text, out);
    limit::value("Keywords", rest.text(Seen::KEYWORDS), text, out);
    limit::value("EventRecordId", rest.text(Seen::RECORD_ID), text, out);
    limit::value("Correlation", rest.attribute(Seen::CORRELATION, b"ActivityID"), text, out);
    int("SystemProcessId", rest.attribute_if(Seen::EXECUTION, b"ProcessID", is_int), out);
    int("SystemThreadId", rest.attribute_if(Seen::EXECUTION, b"ThreadID", is_int), out);
    limit::value("SystemUserId", rest.attribute(Seen::SECURITY, b"UserID"), text, out);

    open("EventData", out);
    let start = out.len() - 1;
    parts.clear();
    parts.extend(Members::of(members));
    let inner = parts.iter().find(|(name, _)| &members[name.clone()] == b"EventData");
    let inner = inner.map(|(_, value)| value.start + 1..value.end - 1).unwrap_or_default();
    out.extend_from_slice(&members[inner.clone()]);
    if with_rest {
        open("#Event", out);
        if header.odd {
            system::odd(event, &rest.header, out)?;
        } else {
            system::open(&rest.header, out);
            out.push(b'}');
        }
        for (name, value) in parts.drain(..) {
            // One that is empty would not be seen otherwise.
            if &members[name.clone()] == b"EventData" && !inner.is_empty() {
                continue;
            }
            comma(out);
            out.push(b'"');
            out.extend_from_slice(&members[name]);
            out.extend_from_slice(b"\":");
            out.extend_from_slice(&members[value]);
        }
        origin.write(meta, None, out);
        out.push(b'}');
    }
    out.push(b'}');
    limit::object(start, text, out);
    out.push(b'}');
    Ok(())
}

/// The columns of what could not be read, behind those that all rows have.
pub(super) fn raw(text: &[u8], error: &str, meta: &Meta<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) {
    open("EventData", out);
    let start = out.len() - 1;
    open("#Event", out);
    string("Error", Value::Text(error.as_bytes()), out);
    scratch.origin.write(meta, None, out);
    out.extend_from_slice(b"}}");
    limit::object(start, &mut scratch.text, out);
    limit::text("RawEventData", text, out);
}

/// A number that fits, unless there is none.
pub(super) fn int(name: &str, value: Value<'_>, out: &mut Vec<u8>) {
    if let Some(number) = value.as_u64().and_then(|number| i64::try_from(number).ok()) {
        integer(name, number, out);
    }
}
