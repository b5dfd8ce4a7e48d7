//! Rows of the table SecurityEvent.
//!
//! | column | from |
//! |---|---|
//! | TimeGenerated | TimeCreated; without one, when it was received |
//! | EventSourceName, Channel, Computer, EventID, Version, Level, Task, Opcode, Keywords, EventRecordId, Correlation, SystemProcessId, SystemThreadId, SystemUserId | System |
//! | EventLevelName | Level |
//! | Activity | EventID, and the title of an event that all know, or the first line of the rendered message |
//! | Account, AccountType | of a logon who logged on, else who did it: `DOMAIN\name`; `Machine` where that ends in `$`, else `User` |
//! | SubjectAccount, TargetAccount | from their domain and name |
//! | LogonTypeName, Process | LogonType with its name; the file of ProcessName or NewProcessName |
//! | a column of its name | each `Data` that the table knows (`columns.rs`), once |
//! | EventData | XML of every other part of the event but System and RenderingInfo; all of it where a name comes twice, the whole event where System holds what these columns cannot, or a time that the service would not keep |
//!
//! Has no place: the provider's GUID and EventSourceName, Qualifiers, RelatedActivityID, what Execution has beside
//! process and thread, RenderingInfo beyond the first line of its message, where the event came from.

use super::columns::{self, Columns};
use super::windows_event::int;
use super::xml::TextWriter;
use super::{Scratch, is_int, level_name, limit, time};
use crate::event::{Event, EventError, Header, Part, Value};
use crate::format::Meta;
use crate::format::cef::titles::title;
use crate::format::json::system;
use crate::format::known::is_blank;
use crate::format::sieve::{Holding, Sieve, Taken};

pub(super) fn write<'a, E: Event<'a>>(
    event: &E,
    meta: &Meta<'_>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Result<(), EventError> {
    let header = event.header();
    let Scratch { taken, members: xml, name, text, .. } = scratch;
    let mut holding = Holding { taken: true, rendering: true };
    loop {
        taken.clear(columns::DATA.len());
        xml.clear();
        let mut sieve = Sieve::new(TextWriter::new(xml, name, text), taken, Columns, holding);
        event.walk(Part::Body, &mut sieve)?;
        if !holding.taken || !taken.again {
            break;
        }
        holding.taken = false;
    }
    out.push(b'{');
    let is_said = columns_of(header, meta, text, out);
    if !is_said || header.odd && holds_more(event, text)? {
        xml.clear();
        event.walk(Part::Whole, &mut TextWriter::new(xml, name, text))?;
    }
    activity(header, &taken.message, text, out);
    accounts(header, taken, text, out);
    for (place, value) in taken.iter() {
        let name = columns::DATA[place];
        if columns::is_number(name) {
            int(name, Value::Text(value), out);
        } else {
            limit::text(name, value, out);
        }
    }
    // What is left of an EventData of which everything was taken.
    let is_left = &xml[..] != b"<EventData/>" || taken.is_empty();
    limit::text("EventData", if is_left { &xml[..] } else { b"" }, out);
    out.push(b'}');
    Ok(())
}

/// Whether there is more in System, or in the tag of Event, than a header holds.
fn holds_more<'a, E: Event<'a>>(event: &E, text: &mut Vec<u8>) -> Result<bool, EventError> {
    text.clear();
    system::odd(event, &Header::default(), text)?;
    Ok(!matches!(&text[..], b"" | b"\"System\":{}"))
}

/// Columns of System; whether they say what it says, as far as there are columns.
fn columns_of(header: &Header<'_>, meta: &Meta<'_>, text: &mut Vec<u8>, out: &mut Vec<u8>) -> bool {
    let is_dated = time(header.time_created, meta, text, out);
    let mut is_said = is_dated || is_blank(header.time_created);
    limit::value("EventSourceName", header.provider_name, text, out);
    limit::value("Channel", header.channel, text, out);
    limit::value("Computer", header.computer, text, out);
    for (name, value) in [
        ("EventID", header.event_id),
        ("Version", header.version),
        ("Task", header.task),
        ("SystemProcessId", header.process_id),
        ("SystemThreadId", header.thread_id),
    ] {
        if is_int(value) {
            int(name, value, out);
        }
        is_said &= is_int(value) || is_blank(value);
    }
    limit::value("Level", header.level, text, out);
    limit::text("EventLevelName", level_name(header).as_bytes(), out);
    limit::value("Opcode", header.opcode, text, out);
    limit::value("Keywords", header.keywords, text, out);
    limit::value("EventRecordId", header.record_id, text, out);
    limit::value("Correlation", header.activity_id, text, out);
    limit::value("SystemUserId", header.user_id, text, out);
    is_said
}

fn activity(header: &Header<'_>, message: &[u8], text: &mut Vec<u8>, out: &mut Vec<u8>) {
    text.clear();
    header.provider_name.write_text(text);
    let known = header.event_id.as_u64().and_then(|id| title(text, id)).unwrap_or_default();
    let message = message.trim_ascii();
    let line = memchr::memchr2(b'\r', b'\n', message).map_or(message, |end| &message[..end]);
    let title = if known.is_empty() { line } else { known.as_bytes() };
    text.clear();
    header.event_id.write_text(text);
    if !title.is_empty() {
        text.extend_from_slice(b" - ");
        text.extend_from_slice(title);
    }
    limit::text("Activity", text, out);
}

/// Columns that several `Data` make up.
fn accounts(header: &Header<'_>, taken: &Taken, text: &mut Vec<u8>, out: &mut Vec<u8>) {
    const IDS_OF_LOGONS: [u64; 10] = [4624, 4625, 4634, 4647, 4648, 4768, 4769, 4770, 4771, 4776];
    let of =
        |name: &str| columns::place(name.as_bytes()).and_then(|place| taken.get(place)).unwrap_or_default();
    let subject = (of("SubjectDomainName"), of("SubjectUserName"));
    let target = (of("TargetDomainName"), of("TargetUserName"));
    let is_logon = header.event_id.as_u64().is_some_and(|id| IDS_OF_LOGONS.contains(&id));
    let (first, second) = if is_logon { (target, subject) } else { (subject, target) };
    let account = if is_nobody(first.1) { second } else { first };
    if !is_nobody(account.1) {
        limit::text("Account", joined(account, text), out);
        let kind: &[u8] = if account.1.ends_with(b"$") { b"Machine" } else { b"User" };
        limit::text("AccountType", kind, out);
    }
    for (name, account) in [("SubjectAccount", subject), ("TargetAccount", target)] {
        if !is_nobody(account.1) {
            limit::text(name, joined(account, text), out);
        }
    }
    limit::text("LogonTypeName", logon_type_name(of("LogonType")).as_bytes(), out);
    let path = [of("NewProcessName"), of("ProcessName")].into_iter().find(|path| !is_nobody(path));
    let path = path.unwrap_or_default();
    limit::text("Process", memchr::memrchr(b'\\', path).map_or(path, |at| &path[at + 1..]), out);
}

fn is_nobody(name: &[u8]) -> bool {
    matches!(name, b"" | b"-")
}

fn joined<'t>((domain, name): (&[u8], &[u8]), text: &'t mut Vec<u8>) -> &'t [u8] {
    text.clear();
    if !is_nobody(domain) {
        text.extend_from_slice(domain);
        text.push(b'\\');
    }
    text.extend_from_slice(name);
    text
}

fn logon_type_name(number: &[u8]) -> &'static str {
    match number {
        b"0" => "0 - System",
        b"2" => "2 - Interactive",
        b"3" => "3 - Network",
        b"4" => "4 - Batch",
        b"5" => "5 - Service",
        b"7" => "7 - Unlock",
        b"8" => "8 - NetworkCleartext",
        b"9" => "9 - NewCredentials",
        b"10" => "10 - RemoteInteractive",
        b"11" => "11 - CachedInteractive",
        b"12" => "12 - CachedRemoteInteractive",
        b"13" => "13 - CachedUnlock",
        _ => "",
    }
}
