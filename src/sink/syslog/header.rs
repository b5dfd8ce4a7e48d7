//! The header of a syslog message: RFC 5424, or RFC 3164 for receivers that know no other.
//!
//! ```text
//! <14>1 2019-03-29T21:10:40.380542Z dc1.example.org Microsoft-Windows-Security-Auditing 516 4624 - payload
//! <14>Mar 29 21:10:40 dc1.example.org Microsoft-Windows-Security-Audi[516]: payload
//! ```
//!
//! Time and host are the event's own, not ours. Every value comes from a remote machine: each is brought into the
//! alphabet of its place and cut where the RFC ends it. No byte order mark stands before the payload, which is
//! UTF-8 all the same: many receivers take it for part of the message.

mod structured;

pub use structured::StructuredData;

use crate::event::{Header, Value};
use crate::sink::template::{RouteValues, Template, shorten};
use crate::sink::{Head, SinkError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use structured::Structured;

/// Longest HOSTNAME of RFC 5424 6.
const HOSTNAME_BYTES_MAX: usize = 255;
/// Longest APP-NAME of RFC 5424 6.
const APP_NAME_BYTES_MAX: usize = 48;
/// Longest PROCID of RFC 5424 6.
const PROCID_BYTES_MAX: usize = 128;
/// Longest MSGID of RFC 5424 6.
const MSGID_BYTES_MAX: usize = 32;
/// Longest TAG of RFC 3164 4.1.3.
const TAG_BYTES_MAX: usize = 32;

/// What stands before each event.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub protocol: Protocol,
    /// What kind of program speaks, as receivers sort by it.
    pub facility: Facility,
    /// APP-NAME, or the tag of RFC 3164: text with `{provider}`, `{channel}`, `{event_id}`, `{source}`,
    /// `{subscription}` and the like. Empty: none, for a payload of RFC 3164 that begins with its own.
    pub app_name: String,
    /// Values of the event as structured data; RFC 5424 only.
    pub structured_data: Option<StructuredData>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            protocol: Protocol::default(),
            facility: Facility::default(),
            // What other senders of Windows events have there.
            app_name: "{provider}".into(),
            structured_data: None,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// The syslog protocol of today: time to the microsecond with its year and zone.
    #[default]
    Rfc5424,
    /// The BSD form, for old receivers: no year, no zone (the time is UTC), no fraction of a second.
    Rfc3164,
}

/// RFC 5424, table 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Facility {
    Kern,
    #[default]
    User,
    Mail,
    Daemon,
    Auth,
    Syslog,
    Lpr,
    News,
    Uucp,
    Cron,
    Authpriv,
    Ftp,
    Ntp,
    Audit,
    Alert,
    Clock,
    Local0,
    Local1,
    Local2,
    Local3,
    Local4,
    Local5,
    Local6,
    Local7,
}

/// Writes headers.
pub(in crate::sink) struct Writer {
    protocol: Protocol,
    facility: Facility,
    app_name: Template,
    structured: Option<Structured>,
    text: String,
    value: Vec<u8>,
}

impl Config {
    /// # Errors
    /// Names the setting that cannot be.
    pub(in crate::sink) fn open(&self) -> Result<Writer, SinkError> {
        let wrong = |setting, why: String| SinkError::Setting { setting, why };
        let app_name = Template::parse(&self.app_name, &self.app_name)
            .map_err(|error| wrong("header.app_name", error.to_string()))?;
        let structured = match (&self.structured_data, self.protocol) {
            (Some(_), Protocol::Rfc3164) => {
                let why = "RFC 3164 has no structured data; leave it out, or write `protocol = \"rfc5424\"`";
                return Err(wrong("header.structured_data", why.into()));
            }
            (Some(data), Protocol::Rfc5424) => Some(data.open()?),
            (None, _) => None,
        };
        let Self { protocol, facility, .. } = *self;
        Ok(Writer { protocol, facility, app_name, structured, text: String::new(), value: Vec::new() })
    }
}

impl Head for Writer {
    fn write(&mut self, of: &RouteValues<'_, '_>, out: &mut Vec<u8>) {
        let header = of.header.copied().unwrap_or_default();
        let priority = self.facility as u8 * 8 + severity(of.header);
        out.push(b'<');
        put_number(priority, out);
        out.push(b'>');
        match self.protocol {
            Protocol::Rfc5424 => self.rfc5424(of, &header, out),
            Protocol::Rfc3164 => self.rfc3164(of, &header, out),
        }
    }
}

impl Writer {
    fn rfc5424(&mut self, of: &RouteValues<'_, '_>, header: &Header<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"1 ");
        of.time.write(6, out);
        out.push(b' ');
        self.host(of, header, out);
        out.push(b' ');
        self.app_name(of);
        clean(&self.text, APP_NAME_BYTES_MAX, is_printable, out);
        out.push(b' ');
        self.field(header.process_id, PROCID_BYTES_MAX, out);
        out.push(b' ');
        self.field(header.event_id, MSGID_BYTES_MAX, out);
        out.push(b' ');
        match &mut self.structured {
            Some(structured) => structured.write(of, header, out),
            None => out.push(b'-'),
        }
        out.push(b' ');
    }

    fn rfc3164(&mut self, of: &RouteValues<'_, '_>, header: &Header<'_>, out: &mut Vec<u8>) {
        const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
        self.value.clear();
        of.time.write(0, &mut self.value);
        // `2019-03-29T21:10:40Z`: what nanoseconds can say has a year of four digits.
        let month = usize::from(self.value[5] - b'0') * 10 + usize::from(self.value[6] - b'0');
        out.extend_from_slice(&MONTHS[(month - 1) * 3..month * 3]);
        out.push(b' ');
        out.push(if self.value[8] == b'0' { b' ' } else { self.value[8] });
        out.push(self.value[9]);
        out.push(b' ');
        out.extend_from_slice(&self.value[11..19]);
        out.push(b' ');
        self.host(of, header, out);
        out.push(b' ');
        if self.app_name.parts.is_empty() {
            return;
        }
        self.app_name(of);
        let is_of_tag = |letter: char| is_printable(letter) && !matches!(letter, ':' | '[' | ']');
        clean(&self.text, TAG_BYTES_MAX, is_of_tag, out);
        if !header.process_id.is_absent() {
            out.push(b'[');
            self.field(header.process_id, TAG_BYTES_MAX, out);
            out.push(b']');
        }
        out.extend_from_slice(b": ");
    }

    /// The machine that the event is of; where the event does not say, who sent it.
    fn host(&mut self, of: &RouteValues<'_, '_>, header: &Header<'_>, out: &mut Vec<u8>) {
        match (header.computer.is_absent(), &of.origin.host) {
            (true, Some(host)) => clean(host, HOSTNAME_BYTES_MAX, is_printable, out),
            _ => self.field(header.computer, HOSTNAME_BYTES_MAX, out),
        }
    }

    fn app_name(&mut self, of: &RouteValues<'_, '_>) {
        self.text.clear();
        self.app_name.write(of, false, |value, out| out.push_str(value), &mut self.text);
    }

    fn field(&mut self, value: Value<'_>, bytes_max: usize, out: &mut Vec<u8>) {
        self.value.clear();
        shorten(value).write_text(&mut self.value);
        clean(&String::from_utf8_lossy(&self.value), bytes_max, is_printable, out);
    }
}

/// PRINTUSASCII.
fn is_printable(letter: char) -> bool {
    letter.is_ascii_graphic()
}

/// Appends a value with `_` for what cannot stand there, and `-` for nothing.
fn clean(value: &str, bytes_max: usize, fits: impl Fn(char) -> bool, out: &mut Vec<u8>) {
    let start = out.len();
    for letter in value.chars().take(bytes_max) {
        out.push(if fits(letter) { letter as u8 } else { b'_' });
    }
    if out.len() == start {
        out.push(b'-');
    }
}

/// RFC 5424, table 2, for the levels of Windows; a failed audit is a notice, and so is what cannot be read.
fn severity(header: Option<&Header<'_>>) -> u8 {
    const NOTICE: u8 = 5;
    const AUDIT_FAILURE: u64 = 0x0010_0000_0000_0000;
    let Some(header) = header else { return NOTICE };
    match header.level.as_u64() {
        Some(1) => 2,
        Some(2) => 3,
        Some(3) => 4,
        Some(5) => 7,
        _ if header.keywords.as_u64().is_some_and(|keywords| keywords & AUDIT_FAILURE != 0) => NOTICE,
        _ => 6,
    }
}

fn put_number(number: u8, out: &mut Vec<u8>) {
    if number >= 100 {
        out.push(b'0' + number / 100);
    }
    if number >= 10 {
        out.push(b'0' + number / 10 % 10);
    }
    out.push(b'0' + number % 10);
}

#[cfg(test)]
mod tests;
