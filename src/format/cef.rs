//! ArcSight's Common Event Format, one line each, with the keys that ArcSight's connectors for
//! Windows use and Microsoft's consumers ask for.
//!
//! ```text
//! CEF:0|Microsoft|Microsoft Windows|<version>|<Provider>:<EventID>|<name>|<severity>| key=value key=value …
//! ```
//!
//! | key | from |
//! |---|---|
//! | name in the header | first line of the rendered message, else that of an event all know (`titles.rs`), else rendered task, else `Event <EventID>` |
//! | severity | Level: critical Very-High, error High, warning Medium, else Low; Medium for a failed audit; as numbers 10, 8, 5, 2 |
//! | `externalId`, `cat`, `rt` | EventID; Channel; TimeCreated, else when it was received, in milliseconds since 1970 |
//! | `dvchost`, `dhost` | Computer |
//! | `cs2`, `cs3`, `cs4` | Channel, provider, and a code of failure or `-`, labelled `EventlogCategory`, `EventSource`, `Reason or Error Code` |
//! | `outcome`, `deviceExternalId` | bits of Keywords; EventRecordID |
//! | `msg` | rendered message |
//! | others | names of EventData, see `mapping.rs` |
//! | `ad.<Name>` | every other text of the event and the account of System; a name that comes again has its place behind it |
//!
//! The blank before the first key is that of Microsoft's examples; rsyslog's parser takes the first sign
//! for it whatever it is.
//! Escapes: `|` and `\` in the header, `=` and `\` in values; a line end is a blank in the header,
//! `\n` or `\r` in values. White space around a value is left out, no reader could tell it from
//! what separates. Signs in a name that a key cannot have become `_`.
//! Bounded: a value is cut at the length that the format gives its key (4000 bytes for `ad.`) and
//! then ends in `...`; at most `ADDITIONAL_MAX` of the latter are written, `ad.ForebayLeftOut` counts
//! the others. `json` loses nothing.
//! What could not be read is an event of the vendor `Forebay`, its text in `ad.Raw`.
//! Sources: ArcSight's "Implementing CEF"; Microsoft's description of SIEM events for ATA.

use super::Meta;
use super::known::{Account, Outcome, outcome};
use super::names::Names;
use super::texts::Texts;
use super::{FormatError, json};
use crate::event::{Event, EventError, Header, Part, Value};
use mapping::{Key, Mapped};
use pen::{Pen, Place, cut, escape};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use titles::title;

mod mapping;
mod pen;
#[cfg(test)]
mod tests;
pub(in crate::format) mod titles;

const VENDOR: &[u8] = b"CEF:0|Microsoft|Microsoft Windows|";
/// Most keys `ad.…` of one event.
pub const ADDITIONAL_MAX: usize = 128;
/// Longest value of a key `ad.…`.
pub const ADDITIONAL_BYTES_MAX: usize = 4000;
/// Longest text of what could not be read.
pub const RAW_BYTES_MAX: usize = 16 * 1024;

/// `format.cef = {}`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How severity is written.
    pub severity: Severity,
    /// Version of the device in the header; empty as ArcSight's connectors leave it.
    pub version: String,
    /// Whether texts without a key of their own are written as `ad.<Name>`.
    pub additional: bool,
}

impl Default for Config {
    /// As ArcSight's connectors do.
    fn default() -> Self {
        Self { severity: Severity::default(), version: String::new(), additional: true }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// `Low`, `Medium`, `High`, `Very-High`.
    #[default]
    Words,
    /// `2`, `5`, `8`, `10`.
    Numbers,
}

/// Writes events as CEF.
#[derive(Debug)]
pub struct Cef {
    severity: Severity,
    /// `CEF:0|Microsoft|Microsoft Windows|version|`
    head: Vec<u8>,
    additional: bool,
    texts: Texts,
    scratch: Vec<u8>,
    /// Of the keys `ad.…`, without that.
    names: Names,
}

impl Cef {
    /// # Errors
    /// A version that is no word of one line.
    pub fn new(config: &Config) -> Result<Self, FormatError> {
        if config.version.contains(char::is_control) {
            return Err(FormatError::CefVersion { found: config.version.clone() });
        }
        let mut head = VENDOR.to_vec();
        let start = head.len();
        head.extend_from_slice(config.version.as_bytes());
        let mut scratch = Vec::new();
        escape(start, Place::Header, &mut scratch, &mut head);
        head.push(b'|');
        Ok(Self {
            severity: config.severity,
            head,
            additional: config.additional,
            texts: Texts::default(),
            scratch,
            names: Names::new(&RESERVED),
        })
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
        self.header(header, out);
        let mapped = Mapped::of(&self.texts);
        let mut pen = Pen { scratch: &mut self.scratch, out };
        pen.value("externalId", header.event_id, Key::EXTERNAL_ID_BYTES_MAX);
        pen.value("cat", header.channel, Key::TEXT_BYTES_MAX);
        pen.time(header.time_created, meta);
        pen.value("dvchost", header.computer, Key::DEVICE_HOST_BYTES_MAX);
        mapped.write_source(&self.texts, &mut pen);
        pen.value("dhost", header.computer, Key::TEXT_BYTES_MAX);
        mapped.write_rest(&self.texts, &mut pen);
        if let Some(outcome) = outcome(header) {
            let word = if outcome == Outcome::Success { "Success" } else { "Failure" };
            pen.value("outcome", Value::Plain(word.as_bytes()), Key::TEXT_BYTES_MAX);
        }
        pen.labelled("cs2", header.channel, "EventlogCategory");
        pen.labelled("cs3", header.provider_name, "EventSource");
        mapped.write_code(&self.texts, &mut pen);
        pen.value("deviceExternalId", header.record_id, Key::NAME_BYTES_MAX);
        pen.text("msg", &self.texts.message, Key::TEXT_BYTES_MAX);
        if self.additional {
            self.write_additional(header, meta, &mapped, out);
        }
        Ok(())
    }

    /// Appends what could not be read as an event. Bytes that are not UTF-8 read as U+FFFD.
    pub fn raw(&mut self, text: &[u8], error: &str, meta: &Meta<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"CEF:0|Forebay|Forebay|");
        out.extend_from_slice(&self.head[VENDOR.len()..]);
        out.extend_from_slice(b"undecodable|Event that cannot be read|");
        out.extend_from_slice(self.severity_of(2));
        let mut pen = Pen { scratch: &mut self.scratch, out };
        pen.out.extend_from_slice(b"| externalId=0");
        pen.time(Value::Absent, meta);
        let host = meta.origin.and_then(|origin| origin.host.as_deref()).unwrap_or_default();
        pen.text("dvchost", host.as_bytes(), Key::DEVICE_HOST_BYTES_MAX);
        pen.text("msg", error.as_bytes(), Key::TEXT_BYTES_MAX);
        pen.text("ad.Raw", String::from_utf8_lossy(text).as_bytes(), RAW_BYTES_MAX);
    }

    fn header(&mut self, header: &Header<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        let start = out.len();
        header.provider_name.write_text(out);
        let known = header.event_id.as_u64().and_then(|id| title(&out[start..], id)).unwrap_or_default();
        out.push(b':');
        header.event_id.write_text(out);
        cut(start, Key::TEXT_BYTES_MAX, out);
        escape(start, Place::Header, &mut self.scratch, out);
        out.push(b'|');
        let start = out.len();
        let message = self.texts.message.trim_ascii();
        let line = memchr::memchr2(b'\r', b'\n', message).map_or(message, |end| &message[..end]);
        let names = [line.trim_ascii(), known.as_bytes(), self.texts.task.trim_ascii()];
        match names.into_iter().find(|name| !name.is_empty()) {
            Some(name) => out.extend_from_slice(name),
            None => {
                out.extend_from_slice(b"Event ");
                header.event_id.write_text(out);
            }
        }
        cut(start, Key::HEADER_NAME_BYTES_MAX, out);
        escape(start, Place::Header, &mut self.scratch, out);
        out.push(b'|');
        let failed = outcome(header) == Some(Outcome::Failure);
        out.extend_from_slice(self.severity_of(match header.level.as_u64() {
            Some(level @ 1..=3) => level,
            _ if failed => 3,
            _ => 4,
        }));
        out.push(b'|');
    }

    fn severity_of(&self, level: u64) -> &'static [u8] {
        const WORDS: [&[u8]; 4] = [b"Very-High", b"High", b"Medium", b"Low"];
        const NUMBERS: [&[u8]; 4] = [b"10", b"8", b"5", b"2"];
        let names = if self.severity == Severity::Words { WORDS } else { NUMBERS };
        names[(level.clamp(1, 4) - 1) as usize]
    }

    /// Texts that no key was found for.
    fn write_additional(&mut self, header: &Header<'_>, meta: &Meta<'_>, mapped: &Mapped, out: &mut Vec<u8>) {
        self.names.clear();
        let (mut written, mut left_out) = (0, 0_u64);
        for (place, (name, text)) in self.texts.pairs().enumerate() {
            if mapped.has(place) {
                continue;
            }
            let text = text.trim_ascii();
            if text.is_empty() {
                continue;
            }
            if written == ADDITIONAL_MAX {
                left_out += 1;
                continue;
            }
            written += 1;
            out.extend_from_slice(b" ad.");
            let start = out.len();
            write_key(name, out);
            // Never too many: `ADDITIONAL_MAX` is less than an event may have.
            self.names.settle(start, place + 1, out);
            out.push(b'=');
            let mut pen = Pen { scratch: &mut self.scratch, out };
            pen.rest_of_text(text, ADDITIONAL_BYTES_MAX);
        }
        let mut pen = Pen { scratch: &mut self.scratch, out };
        if left_out > 0 {
            pen.value("ad.ForebayLeftOut", Value::Unsigned(left_out), Key::TEXT_BYTES_MAX);
        }
        pen.value("ad.SystemUserID", header.user_id, Key::TEXT_BYTES_MAX);
        if let Some(account) = Account::of(header.user_id) {
            pen.text("ad.SystemUserName", account.name.as_bytes(), Key::TEXT_BYTES_MAX);
        }
        // A key stands once: the first is told, as there is hardly ever a second.
        if let Some(note) = meta.notes.first() {
            pen.text("ad.ForebayNote", note.kind.name().as_bytes(), Key::TEXT_BYTES_MAX);
            pen.text("ad.ForebayError", note.detail.as_bytes(), ADDITIONAL_BYTES_MAX);
        }
    }
}

/// Names behind `ad.` that are not the event's.
const RESERVED: [&str; 6] =
    ["Raw", "SystemUserID", "SystemUserName", "ForebayLeftOut", "ForebayNote", "ForebayError"];
const _: () = assert!(ADDITIONAL_MAX <= json::KEYS_MAX);

/// Letters, digits and `_` of ASCII as they are.
fn write_key(name: &[u8], out: &mut Vec<u8>) {
    out.extend(name.iter().map(|&byte| if byte.is_ascii_alphanumeric() { byte } else { b'_' }));
}
