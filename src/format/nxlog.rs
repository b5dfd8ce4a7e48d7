//! NXLog's flat object: the names that `im_msvistalog` and `im_wseventing` give to System, EventData beside
//! them.
//!
//! ```text
//! {"EventTime":…,"Hostname":…,"Keywords":…,"EventType":…,"SeverityValue":2,"Severity":"INFO","EventID":4624,
//!  "SourceName":…,…,"Message":…,"Category":…,"TargetUserName":…,"EventReceivedTime":…,"SourceModuleName":…}
//! ```
//!
//! | name | from |
//! |---|---|
//! | `EventTime`, `Hostname`, `SourceName`, `ProviderGuid`, `EventID`, `Version`, `RecordNumber`, `Channel`, `UserID`, `ActivityID`, `RelatedActivityID` | System, as it stands; numbers where they are some |
//! | `LevelValue`, `TaskValue`, `OpcodeValue`, `ExecutionProcessID`, `ExecutionThreadID` | Level, Task, Opcode, Execution |
//! | `Keywords` | hex as it stands |
//! | `EventType` | `AUDIT_SUCCESS`, `AUDIT_FAILURE` by Keywords, else by Level `CRITICAL`, `ERROR`, `WARNING`, `INFO`, `VERBOSE` |
//! | `SeverityValue`, `Severity` | 5 `CRITICAL`, 4 `ERROR` (a failed audit too), 3 `WARNING`, 2 `INFO`, 1 `DEBUG` |
//! | `Level`, `Category`, `Opcode`, `Message` | RenderingInfo; the level also where it was not rendered |
//! | `AccountName`, `Domain`, `AccountType` | of an account that every Windows has |
//! | `EventData.Binary` | Binary |
//! | any other | values of EventData, UserData and the rest (`texts.rs`), as strings; an unnamed `Data` is `paramN`; empty ones are left out |
//! | `EventReceivedTime`, `SourceModuleName`, `SourceModuleType`, `MessageSourceAddress` | where it came from |
//! | `Other`, `EventXML`, `Forebay` | see `object.rs` |
//!
//! The Community Edition says `ProcessID`, `ThreadID` and `Task`, and Keywords as a signed number. What NXLog
//! has no name for is called as it would: `Qualifiers`, `EventSourceName`, `ExecutionSessionID` …
//! A name that collides has its place behind it (`names.rs`), where NXLog drops the value.
//! `pipelines/formats/nxlog.md` lists what this shape cannot say.
//! Source: NXLog Agent's reference, `im_msvistalog` and `im_wseventing`.

#[cfg(test)]
mod tests;

use super::json::says_more;
use super::known::{Account, Outcome, outcome};
use super::object::{Object, key, number, string};
use super::texts::Texts;
use super::{FormatError, Meta};
use crate::event::{Event, EventError, Header, Part, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::io::Write;

/// `format.nxlog = {}`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whose names are written.
    pub edition: Edition,
    /// What stands in `SourceModuleType`.
    pub module_type: String,
    /// Keep the event's XML in `EventXML`.
    pub original: bool,
}

impl Default for Config {
    /// What rules downstream look for most.
    fn default() -> Self {
        Self { edition: Edition::default(), module_type: "im_msvistalog".into(), original: false }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Edition {
    /// NXLog Agent 6, and Enterprise Edition 5 but for its Keywords.
    #[default]
    Agent,
    /// NXLog Community Edition.
    Community,
}

/// Writes events as NXLog's objects, one line each.
#[derive(Debug)]
pub struct Nxlog {
    edition: Edition,
    module_type: String,
    original: bool,
    object: Object,
    texts: Texts,
}

impl Nxlog {
    /// # Errors
    /// A type of module that is no word.
    pub fn new(config: &Config) -> Result<Self, FormatError> {
        let Config { edition, module_type, original } = config.clone();
        if module_type.is_empty() || module_type.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err(FormatError::NxlogModule { found: module_type });
        }
        let own = [OWN, &edition.names()].concat();
        Ok(Self { edition, module_type, original, object: Object::new(&own), texts: Texts::default() })
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
        self.texts.clear();
        event.walk(Part::Body, &mut self.texts)?;
        let header = event.header();
        self.object.open(out);
        self.system(header, out);
        self.words(header, out);
        for (index, (name, text)) in self.texts.pairs().enumerate() {
            let name = if name == b"Binary" { &b"EventData.Binary"[..] } else { name };
            self.object.value(name, text, index + 1, out);
        }
        self.origin(meta, out);
        if self.original || header.odd && says_more(event)? {
            self.object.xml(event, out)?;
        }
        self.object.close(meta, out);
        Ok(())
    }

    /// Appends what could not be read as an event, as the native JSON does.
    pub fn raw(&mut self, text: &[u8], error: &str, meta: &Meta<'_>, out: &mut Vec<u8>) {
        self.object.raw(text, error, meta, out);
    }

    fn system(&self, header: &Header<'_>, out: &mut Vec<u8>) {
        let [process, thread, task] = self.edition.names();
        string("EventTime", header.time_created, out);
        string("Hostname", header.computer, out);
        match header.keywords.as_u64() {
            Some(bits) if self.edition == Edition::Community => {
                key("Keywords", out);
                Value::Signed(bits.cast_signed()).write_json(out);
            }
            _ => string("Keywords", header.keywords, out),
        }
        let outcome = outcome(header);
        let (kind, value, severity) = severity(outcome, header.level);
        string("EventType", Value::Plain(kind.as_bytes()), out);
        number("SeverityValue", Value::Unsigned(value), out);
        string("Severity", Value::Plain(severity.as_bytes()), out);
        number("EventID", header.event_id, out);
        number("Qualifiers", header.qualifiers, out);
        string("SourceName", header.provider_name, out);
        string("ProviderGuid", header.provider_guid, out);
        string("EventSourceName", header.event_source_name, out);
        number("Version", header.version, out);
        number("LevelValue", header.level, out);
        number(task, header.task, out);
        number("OpcodeValue", header.opcode, out);
        number("RecordNumber", header.record_id, out);
        string("ActivityID", header.activity_id, out);
        string("RelatedActivityID", header.related_activity_id, out);
        number(process, header.process_id, out);
        number(thread, header.thread_id, out);
        number("ExecutionProcessorID", header.processor_id, out);
        number("ExecutionSessionID", header.session_id, out);
        number("ExecutionKernelTime", header.kernel_time, out);
        number("ExecutionUserTime", header.user_time, out);
        number("ExecutionProcessorTime", header.processor_time, out);
        string("Channel", header.channel, out);
        if let Some(account) = Account::of(header.user_id) {
            string("Domain", Value::Plain(Account::DOMAIN.as_bytes()), out);
            string("AccountName", Value::Plain(account.name.as_bytes()), out);
            string("AccountType", Value::Plain(account.kind.as_bytes()), out);
        }
        string("UserID", header.user_id, out);
    }

    /// What RenderingInfo says.
    fn words(&self, header: &Header<'_>, out: &mut Vec<u8>) {
        let Texts { message, level, task, opcode, .. } = &self.texts;
        let known = header.level.as_u64().and_then(|level| LEVELS.get(usize::try_from(level).ok()?));
        let level = if level.is_empty() { known.copied().unwrap_or_default().as_bytes() } else { &level[..] };
        for (name, text) in
            [("Message", &message[..]), ("Level", level), ("Category", &task[..]), ("Opcode", &opcode[..])]
        {
            if !text.is_empty() {
                string(name, Value::Text(text), out);
            }
        }
    }

    fn origin(&self, meta: &Meta<'_>, out: &mut Vec<u8>) {
        let Some(origin) = meta.origin else { return };
        key("EventReceivedTime", out);
        out.push(b'"');
        origin.received.write(6, out);
        out.push(b'"');
        string("SourceModuleName", Value::Text(origin.source.as_bytes()), out);
        string("SourceModuleType", Value::Text(self.module_type.as_bytes()), out);
        if let Some(address) = origin.address {
            key("MessageSourceAddress", out);
            write!(out, "\"{address}\"").expect("a vector takes it");
        }
    }
}

impl Edition {
    /// Of the process, the thread and the task.
    const fn names(self) -> [&'static str; 3] {
        match self {
            Self::Agent => ["ExecutionProcessID", "ExecutionThreadID", "TaskValue"],
            Self::Community => ["ProcessID", "ThreadID", "Task"],
        }
    }
}

/// Level 0, log always, is what Event Viewer shows as Information.
const LEVELS: [&str; 6] = ["Information", "Critical", "Error", "Warning", "Information", "Verbose"];

/// EventType, SeverityValue and Severity.
fn severity(outcome: Option<Outcome>, level: Value<'_>) -> (&'static str, u64, &'static str) {
    match (outcome, level.as_u64()) {
        (Some(Outcome::Success), _) => ("AUDIT_SUCCESS", 2, "INFO"),
        (Some(Outcome::Failure), _) => ("AUDIT_FAILURE", 4, "ERROR"),
        (None, Some(1)) => ("CRITICAL", 5, "CRITICAL"),
        (None, Some(2)) => ("ERROR", 4, "ERROR"),
        (None, Some(3)) => ("WARNING", 3, "WARNING"),
        (None, Some(5)) => ("VERBOSE", 1, "DEBUG"),
        (None, _) => ("INFO", 2, "INFO"),
    }
}

/// Names that are not the event's, beside those that the editions have each their own for.
const OWN: &[&str] = &[
    "EventTime",
    "Hostname",
    "Keywords",
    "EventType",
    "SeverityValue",
    "Severity",
    "EventID",
    "Qualifiers",
    "SourceName",
    "ProviderGuid",
    "EventSourceName",
    "Version",
    "LevelValue",
    "OpcodeValue",
    "RecordNumber",
    "ActivityID",
    "RelatedActivityID",
    "ExecutionProcessorID",
    "ExecutionSessionID",
    "ExecutionKernelTime",
    "ExecutionUserTime",
    "ExecutionProcessorTime",
    "Channel",
    "Domain",
    "AccountName",
    "AccountType",
    "UserID",
    "Message",
    "Level",
    "Category",
    "Opcode",
    "EventReceivedTime",
    "SourceModuleName",
    "SourceModuleType",
    "MessageSourceAddress",
];
