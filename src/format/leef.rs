//! IBM's Log Event Extended Format, one line each, for QRadar over syslog.
//!
//! ```text
//! LEEF:2.0|Microsoft|Windows|<product version>|<EventID>|<delimiter>|key=value<delimiter>key=value…
//! LEEF:1.0|Microsoft|Windows|<product version>|<EventID>|key=value<tab>key=value…
//! ```
//!
//! | key | from |
//! |---|---|
//! | `devTime` | TimeCreated, else when it was received, in milliseconds since 1970: 13 digits, which need no format; from 2001 on |
//! | `cat`, `resource`, `sev` | Channel; Computer; Level: critical 10, error 8, warning 5, else 2; 5 for a failed audit |
//! | `usrName`, `domain` | of a logon who logged on, else who did it, else whom it was done to |
//! | `src`, `srcPort`, `dst`, `dstPort`, `proto` | addresses, ports and protocol by the names of `mapping.rs` |
//! | `EventSource`, `EventRecordID`, `TimeCreated`, `Level` … | the other values of System, by their names |
//! | `outcome`, `msg`, `taskName` | bits of Keywords; rendered message and task |
//! | others | every other text of the event by its own name |
//!
//! LEEF has no escapes, and IBM wants no delimiter in a value: in values that and every control character, line
//! ends with it, is a blank. In names signs other than letters, digits, `_`, `-` and `.` are `_`. Names that collide
//! follow the rule of `names.rs`, predefined keys of LEEF being the format's own; what comes after the most keys
//! is `name=value` in `other`, with `; ` between.
//! Nothing is cut. Lost is the nesting of elements, and what the rules above make alike; `json` loses nothing.
//! What could not be read is an event of the vendor `Forebay`, its text in `Raw`.
//! Source: IBM's "QRadar LEEF guide": event components, predefined attributes, custom keys.

use super::known::{Outcome, is_blank, outcome, since_1970};
use super::names::Names;
use super::texts::{Texts, bounded};
use super::{FormatError, Meta};
use crate::event::{Event, EventError, Header, Part, Value};
use keys::OWN;
use mapping::Mapped;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod keys;
mod mapping;
#[cfg(test)]
mod tests;

/// Longest EventID of the header.
pub const EVENT_ID_BYTES_MAX: usize = 255;
/// Longest name of a key.
pub const KEY_BYTES_MAX: usize = 128;

/// `format.leef = {}`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Version of the format.
    pub version: Version,
    /// What stands between attributes in version 2.0: one sign, or its code in hexadecimal behind `x`.
    pub delimiter: String,
    /// Version of the product in the header, by which nothing but your own rules in QRadar goes.
    pub product_version: String,
}

impl Default for Config {
    /// The tab, which values of Windows have least of all signs, and which version 1.0 has too.
    fn default() -> Self {
        Self { version: Version::default(), delimiter: "x09".into(), product_version: "1.0".into() }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
pub enum Version {
    /// With a tab between attributes.
    #[serde(rename = "1.0")]
    V1,
    /// With any sign between attributes.
    #[default]
    #[serde(rename = "2.0")]
    V2,
}

/// Writes events as LEEF.
#[derive(Debug)]
pub struct Leef {
    /// `LEEF:2.0|`
    start: &'static [u8],
    /// `version|`
    product_version: Vec<u8>,
    /// `x09|`, nothing in version 1.0.
    declared: Vec<u8>,
    delimiter: Vec<u8>,
    texts: Texts,
    names: Names,
    /// What found no key.
    other: Vec<u8>,
    scratch: Vec<u8>,
}

impl Leef {
    /// # Errors
    /// A delimiter that is none, or a version that is no word of one line.
    pub fn new(config: &Config) -> Result<Self, FormatError> {
        let found = || FormatError::LeefDelimiter { found: config.delimiter.clone() };
        let delimiter = delimiter(&config.delimiter).ok_or_else(found)?;
        let is_tab = delimiter == '\t';
        let (start, declared): (&[u8], _) = match config.version {
            Version::V1 if is_tab => (b"LEEF:1.0|", String::new()),
            Version::V1 => return Err(found()),
            Version::V2 => (b"LEEF:2.0|", format!("{}|", config.delimiter)),
        };
        let version = &config.product_version;
        if version.contains(|c: char| c.is_control() || c == '|') {
            return Err(FormatError::LeefVersion { found: version.clone() });
        }
        Ok(Self {
            start,
            product_version: format!("{version}|").into(),
            declared: declared.into(),
            delimiter: delimiter.to_string().into(),
            texts: Texts::default(),
            names: Names::new(&OWN),
            other: Vec::new(),
            scratch: Vec::new(),
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
        self.head(b"Microsoft|Windows|", header.event_id, out);
        let mapped = Mapped::of(header, &self.texts);
        self.system(header, meta, out);
        for (key, place) in mapped.keys() {
            self.open(key, out);
            let start = out.len();
            out.extend_from_slice(mapping::shown(key, self.texts.text_of(place), &mut self.scratch));
            self.clean(start, out);
        }
        self.rest_of_system(header, out);
        if let Some(outcome) = outcome(header) {
            let word: &[u8] = if outcome == Outcome::Success { b"Success" } else { b"Failure" };
            self.value("outcome", Value::Plain(word), out);
        }
        self.write_texts(&mapped, out);
        // A key stands once: the first is told, as there is hardly ever a second.
        if let Some(note) = meta.notes.first() {
            self.value("ForebayNote", Value::Text(note.kind.name().as_bytes()), out);
            self.value("ForebayError", Value::Text(note.detail.as_bytes()), out);
        }
        Ok(())
    }

    /// Appends what could not be read as an event. Bytes that are not UTF-8 read as U+FFFD.
    pub fn raw(&mut self, text: &[u8], error: &str, meta: &Meta<'_>, out: &mut Vec<u8>) {
        self.head(b"Forebay|Forebay|", Value::Plain(b"undecodable"), out);
        let header =
            Header { channel: Value::Plain(b"Undecodable"), level: Value::Unsigned(3), ..Header::default() };
        self.system(&header, meta, out);
        let host = meta.origin.and_then(|origin| origin.host.as_deref()).unwrap_or_default();
        self.value("resource", Value::Text(host.as_bytes()), out);
        self.value("msg", Value::Text(error.as_bytes()), out);
        self.value("Raw", Value::Text(String::from_utf8_lossy(text).as_bytes()), out);
    }

    fn head(&mut self, product: &[u8], event_id: Value<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(self.start);
        out.extend_from_slice(product);
        out.extend_from_slice(&self.product_version);
        let start = out.len();
        event_id.write_text(out);
        let length = bounded(&out[start..], EVENT_ID_BYTES_MAX).len();
        out.truncate(start + length);
        self.clean(start, out);
        out[start..].iter_mut().filter(|byte| **byte == b'|').for_each(|byte| *byte = b'_');
        out.push(b'|');
        out.extend_from_slice(&self.declared);
    }

    /// Keys that every event has.
    fn system(&mut self, header: &Header<'_>, meta: &Meta<'_>, out: &mut Vec<u8>) {
        let time = since_1970(header.time_created, meta, &mut self.scratch);
        let severity = match header.level.as_u64() {
            Some(1) => 10,
            Some(2) => 8,
            Some(3) => 5,
            _ if outcome(header) == Some(Outcome::Failure) => 5,
            _ => 2,
        };
        // The first has no delimiter before it.
        out.extend_from_slice(b"sev=");
        Value::Unsigned(severity).write_text(out);
        if let Some(millis) = time.map(|time| time.0.unsigned_abs() / 1_000_000)
            && (1_000_000_000_000..10_000_000_000_000).contains(&millis)
        {
            self.value("devTime", Value::Unsigned(millis), out);
        }
        self.value("cat", header.channel, out);
        self.value("resource", header.computer, out);
    }

    fn rest_of_system(&mut self, header: &Header<'_>, out: &mut Vec<u8>) {
        for (key, value) in [
            ("EventSource", header.provider_name),
            ("EventSourceGuid", header.provider_guid),
            ("EventSourceName", header.event_source_name),
            ("Qualifiers", header.qualifiers),
            ("EventVersion", header.version),
            ("Level", header.level),
            ("Task", header.task),
            ("Opcode", header.opcode),
            ("Keywords", header.keywords),
            ("TimeCreated", header.time_created),
            ("EventRecordID", header.record_id),
            ("ActivityID", header.activity_id),
            ("RelatedActivityID", header.related_activity_id),
            ("ExecutionProcessID", header.process_id),
            ("ExecutionThreadID", header.thread_id),
            ("ExecutionProcessorID", header.processor_id),
            ("ExecutionSessionID", header.session_id),
            ("ExecutionKernelTime", header.kernel_time),
            ("ExecutionUserTime", header.user_time),
            ("ExecutionProcessorTime", header.processor_time),
            ("SecurityUserID", header.user_id),
        ] {
            self.value(key, value, out);
        }
    }

    /// Texts that no key was found for, and the rendered ones.
    fn write_texts(&mut self, mapped: &Mapped, out: &mut Vec<u8>) {
        let Self { texts, names, other, delimiter, .. } = self;
        names.clear();
        other.clear();
        let plain = |text: &[u8], out: &mut Vec<u8>| {
            let start = out.len();
            out.extend_from_slice(text);
            clean(start, delimiter, out);
        };
        for (key, text) in [("msg", &texts.message), ("taskName", &texts.task)] {
            if !text.is_empty() {
                open(key.as_bytes(), delimiter, out);
                plain(text, out);
            }
        }
        for (place, (name, text)) in texts.pairs().enumerate() {
            if mapped.has(place) {
                continue;
            }
            let before = out.len();
            out.extend_from_slice(delimiter);
            let start = out.len();
            write_key(name, out);
            if names.settle(start, place + 1, out) {
                out.push(b'=');
                plain(text, out);
            } else {
                out.truncate(before);
                other.extend_from_slice(if other.is_empty() { b"" } else { b"; " });
                other.extend_from_slice(name);
                other.push(b'=');
                other.extend_from_slice(text);
            }
        }
        if !other.is_empty() {
            open(b"other", delimiter, out);
            plain(other, out);
        }
    }

    fn value(&self, key: &str, value: Value<'_>, out: &mut Vec<u8>) {
        if !is_blank(value) {
            self.open(key, out);
            let start = out.len();
            value.write_text(out);
            self.clean(start, out);
        }
    }

    fn open(&self, key: &str, out: &mut Vec<u8>) {
        open(key.as_bytes(), &self.delimiter, out);
    }

    fn clean(&self, start: usize, out: &mut [u8]) {
        clean(start, &self.delimiter, out);
    }
}

fn open(key: &[u8], delimiter: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(delimiter);
    out.extend_from_slice(key);
    out.push(b'=');
}

/// Blanks for the delimiter and for control characters in what stands from `start` on.
fn clean(start: usize, delimiter: &[u8], out: &mut [u8]) {
    if let [delimiter] = delimiter {
        let is_sign = |byte: &u8| *byte == *delimiter || byte.is_ascii_control();
        out[start..].iter_mut().filter(|byte| is_sign(byte)).for_each(|byte| *byte = b' ');
        return;
    }
    out[start..].iter_mut().filter(|byte| byte.is_ascii_control()).for_each(|byte| *byte = b' ');
    let mut at = start;
    while let Some(found) = memchr::memmem::find(&out[at..], delimiter) {
        at += found;
        // As many blanks as bytes, so that nothing moves.
        out[at..at + delimiter.len()].fill(b' ');
    }
}

/// Signs that IBM allows in a key.
fn write_key(name: &[u8], out: &mut Vec<u8>) {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let name = bounded(name, KEY_BYTES_MAX);
    out.extend(name.iter().map(|&byte| if is_plain(byte) { byte } else { b'_' }));
}

/// One sign, or the code of one.
fn delimiter(written: &str) -> Option<char> {
    let mut chars = written.chars();
    let sign = match (chars.next(), chars.next()) {
        (Some(sign), None) => sign,
        _ => {
            let digits = written.strip_prefix("0x").or_else(|| written.strip_prefix('x'))?;
            if digits.is_empty() || digits.len() > 4 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit())
            {
                return None;
            }
            char::from_u32(u32::from_str_radix(digits, 16).ok()?)?
        }
    };
    let is_wrong =
        sign.is_alphanumeric() || matches!(sign, '=' | '|' | ' ' | '\0' | '\n' | '\r' | '_' | '-' | '.');
    (!is_wrong).then_some(sign)
}
