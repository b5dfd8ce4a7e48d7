//! The line of Snare's agent for Windows, as syslog receivers and SIEMs have known it for long.
//!
//! ```text
//! MSWinEventLog⇥criticality⇥log⇥counter⇥date⇥event id⇥source⇥user⇥kind of user⇥type⇥computer⇥category⇥⇥message⇥counter
//! ```
//!
//! | field | from |
//! |---|---|
//! | criticality | Level: critical 4, error 3, warning 2, else 1; at least 2 for a failed audit |
//! | log, event id, source, computer | Channel, EventID, Provider, Computer |
//! | counters | EventRecordID; the first as 32 bits |
//! | date | TimeCreated, else when it was received, in UTC: `Fri Mar 29 21:10:40 2019` |
//! | user | of a logon who logged on, else who did it, else whom it was done to, as `DOMAIN\name`; else the account of System; else `N/A` |
//! | kind of user | of the account of System: `User`, `Well Known Group`; else `N/A` |
//! | type | `Success Audit`, `Failure Audit` by Keywords, else by Level `Error`, `Warning`, `Information` |
//! | category | rendered task, else its number, `None` for 0 |
//! | data | always empty |
//! | message | rendered message; without one the texts of the event, `Name: text` |
//!
//! A line end is written as two blanks, one for each of CR and LF, and a tab as one, so 15 fields
//! on one line are what comes of any event. Neither what came beside the event nor its nesting has
//! a place here; `json` loses nothing. What could not be read is an event of the log `Undecodable`
//! with the error and its text as the message.
//! Sources: Snare's "Windows Event Output Format"; the lines in rsyslog's tests.

use super::Meta;
use super::known::{self, Account, Outcome, is_blank, outcome};
use super::texts::Texts;
use crate::event::{Event, EventError, Header, Part, Timestamp, Value};
use schemars::JsonSchema;
use serde::Deserialize;

#[cfg(test)]
mod tests;

/// `format.snare = {}`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Put the computer's name and a tab in front, as Snare does where no syslog header says it.
    pub computer_first: bool,
}

/// Writes events as Snare's lines.
#[derive(Debug, Default)]
pub struct Snare {
    computer_first: bool,
    texts: Texts,
    scratch: Vec<u8>,
}

impl Snare {
    pub fn new(config: &Config) -> Self {
        Self { computer_first: config.computer_first, ..Self::default() }
    }

    /// Appends one event.
    ///
    /// # Errors
    /// When the event cannot be read to its end; `out` is then as it was.
    pub fn event<'a, E: Event<'a>>(
        &mut self,
        event: &E,
        meta: &Meta<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), EventError> {
        self.texts.clear();
        event.walk(Part::Body, &mut self.texts)?;
        let header = event.header();
        let failed = outcome(header) == Some(Outcome::Failure);
        let criticality: &[u8] = match header.level.as_u64() {
            Some(1) => b"4",
            Some(2) => b"3",
            Some(3) => b"2",
            _ if failed => b"2",
            _ => b"1",
        };
        self.begin(header.computer, criticality, out);
        self.value(header.channel, out);
        self.counter(header, out);
        self.date(header.time_created, meta, out);
        self.value(header.event_id, out);
        self.value(header.provider_name, out);
        self.user(header, out);
        for word in [kind(header), of_type(header)] {
            out.push(b'\t');
            out.extend_from_slice(word.as_bytes());
        }
        self.value(header.computer, out);
        self.category(header, out);
        out.extend_from_slice(b"\t\t");
        self.message(out);
        out.push(b'\t');
        self.last(header.record_id, b"0", out);
        Ok(())
    }

    /// Appends what could not be read as an event. Bytes that are not UTF-8 read as U+FFFD.
    pub fn raw(&mut self, text: &[u8], error: &str, meta: &Meta<'_>, out: &mut Vec<u8>) {
        let host = meta.origin.and_then(|origin| origin.host.as_deref());
        let host = host.map_or(Value::Absent, |host| Value::Text(host.as_bytes()));
        self.begin(host, b"3", out);
        out.extend_from_slice(b"\tUndecodable\t0");
        self.date(Value::Absent, meta, out);
        out.extend_from_slice(b"\t0\tForebay\tN/A\tN/A\tError");
        self.value(host, out);
        out.extend_from_slice(b"\tNone\t\t");
        let start = out.len();
        out.extend_from_slice(error.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(String::from_utf8_lossy(text).as_bytes());
        one_line(start, &mut self.scratch, out);
        out.extend_from_slice(b"\t0");
    }

    fn begin(&mut self, computer: Value<'_>, criticality: &[u8], out: &mut Vec<u8>) {
        if self.computer_first {
            self.last(computer, b"N/A", out);
            out.push(b'\t');
        }
        out.extend_from_slice(b"MSWinEventLog\t");
        out.extend_from_slice(criticality);
    }

    /// A tab and the value.
    fn value(&mut self, value: Value<'_>, out: &mut Vec<u8>) {
        out.push(b'\t');
        self.last(value, b"N/A", out);
    }

    fn last(&mut self, value: Value<'_>, absent: &[u8], out: &mut Vec<u8>) {
        if is_blank(value) {
            return out.extend_from_slice(absent);
        }
        let start = out.len();
        value.write_text(out);
        one_line(start, &mut self.scratch, out);
    }

    fn counter(&mut self, header: &Header<'_>, out: &mut Vec<u8>) {
        out.push(b'\t');
        let counter = header.record_id.as_u64().unwrap_or(0) & u64::from(u32::MAX);
        Value::Unsigned(counter).write_text(out);
    }

    fn date(&mut self, created: Value<'_>, meta: &Meta<'_>, out: &mut Vec<u8>) {
        out.push(b'\t');
        let happened = known::happened(created, &mut self.scratch);
        let time = happened.or_else(|| meta.origin.map(|origin| origin.received));
        write_date(time.unwrap_or_default(), &mut self.scratch, out);
    }

    fn user(&mut self, header: &Header<'_>, out: &mut Vec<u8>) {
        const TARGET: (&str, &str) = ("TargetUserName", "TargetDomainName");
        const SUBJECT: (&str, &str) = ("SubjectUserName", "SubjectDomainName");
        out.push(b'\t');
        let is_logon = self.texts.get("LogonType").is_some();
        let order = if is_logon { [TARGET, SUBJECT] } else { [SUBJECT, TARGET] };
        let said = |name: &str| self.texts.get(name).filter(|text| !matches!(*text, b"" | b"-"));
        for (name, domain) in order {
            let Some(name) = said(name) else { continue };
            let start = out.len();
            if let Some(domain) = said(domain) {
                out.extend_from_slice(domain);
                out.push(b'\\');
            }
            out.extend_from_slice(name);
            return one_line(start, &mut self.scratch, out);
        }
        match Account::of(header.user_id) {
            Some(account) => {
                out.extend_from_slice(Account::DOMAIN.as_bytes());
                out.push(b'\\');
                out.extend_from_slice(account.name.as_bytes());
            }
            None => self.last(header.user_id, b"N/A", out),
        }
    }

    fn category(&mut self, header: &Header<'_>, out: &mut Vec<u8>) {
        if self.texts.task.is_empty() {
            let is_none = header.task.as_u64().is_none_or(|task| task == 0);
            return self.value(if is_none { Value::Plain(b"None") } else { header.task }, out);
        }
        out.push(b'\t');
        let start = out.len();
        out.extend_from_slice(&self.texts.task);
        one_line(start, &mut self.scratch, out);
    }

    fn message(&mut self, out: &mut Vec<u8>) {
        let start = out.len();
        if self.texts.message.is_empty() {
            for (index, (name, text)) in self.texts.pairs().enumerate() {
                if index > 0 {
                    out.push(b'\n');
                }
                out.extend_from_slice(name);
                out.extend_from_slice(b": ");
                out.extend_from_slice(text);
            }
        } else {
            out.extend_from_slice(&self.texts.message);
        }
        one_line(start, &mut self.scratch, out);
    }
}

/// Kind of the account in System.
fn kind(header: &Header<'_>) -> &'static str {
    match Account::of(header.user_id) {
        Some(account) => account.kind,
        None if is_blank(header.user_id) => "N/A",
        None => "User",
    }
}

/// Type of the event.
fn of_type(header: &Header<'_>) -> &'static str {
    match (outcome(header), header.level.as_u64()) {
        (Some(Outcome::Success), _) => "Success Audit",
        (Some(Outcome::Failure), _) => "Failure Audit",
        (None, Some(1 | 2)) => "Error",
        (None, Some(3)) => "Warning",
        (None, _) => "Information",
    }
}

/// `Fri Mar 29 21:10:40 2019`
fn write_date(time: Timestamp, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
    const MONTHS: [&[u8; 3]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    scratch.clear();
    time.write(0, scratch);
    // `2019-03-29T21:10:40Z`: nanoseconds reach from 1677 to 2262.
    let day = time.0.div_euclid(86_400_000_000_000).rem_euclid(7) as usize;
    let month = usize::from((scratch[5] - b'0') * 10 + (scratch[6] - b'0')) - 1;
    out.extend_from_slice(DAYS[day]);
    out.push(b' ');
    out.extend_from_slice(MONTHS[month]);
    out.push(b' ');
    out.extend_from_slice(&scratch[8..10]);
    out.push(b' ');
    out.extend_from_slice(&scratch[11..19]);
    out.push(b' ');
    out.extend_from_slice(&scratch[..4]);
}

/// What stands from `start` on, without line ends and tabs.
fn one_line(start: usize, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    let Some(first) = memchr::memchr3(b'\r', b'\n', b'\t', &out[start..]) else { return };
    scratch.clear();
    scratch.extend_from_slice(&out[start + first..]);
    out.truncate(start + first);
    let mut text = &scratch[..];
    while let Some(at) = memchr::memchr3(b'\r', b'\n', b'\t', text) {
        out.extend_from_slice(&text[..at]);
        let length = if text[at..].starts_with(b"\r\n") { 2 } else { 1 };
        out.extend_from_slice(if text[at] == b'\t' { b" " } else { b"  " });
        text = &text[at + length..];
    }
    out.extend_from_slice(text);
}
