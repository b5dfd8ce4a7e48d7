//! One flat object with the names that Sigma rules use: those of EventData as Windows writes them,
//! System's beside them, and the few that engines expect under another name.
//!
//! ```text
//! {"EventID":4688,…,"Provider_Name":…,"Channel":…,"Computer":…,"NewProcessName":…,"Image":…,"Forebay":{…}}
//! ```
//!
//! | name | from |
//! |---|---|
//! | `EventID`, `Version`, `Level`, `Task`, `Opcode`, `Keywords`, `TimeCreated`, `EventRecordID`, `Channel`, `Computer` | System; numbers where they are some |
//! | `Provider_Name`, `Security_UserID`, `Execution_ProcessID` … | attributes in System, behind the name of their element |
//! | `Message`, `RenderingInfo_Level`, `_Task`, `_Opcode` | RenderingInfo |
//! | any other | values of EventData, UserData and the rest, under their own names (`texts.rs`), as strings |
//! | `Data` | all unnamed `Data`, with line ends between |
//! | `MD5`, `SHA256`, `IMPHASH` … | parts of `Hashes` and `Hash`, as Sysmon names them |
//! | `Image`, `ParentImage`, `User`, `LogonId`, `ParentProcessId`, `IntegrityLevel` | process creation of Security (4688), as Sysmon would have them, see `alias.rs` |
//! | `Other`, `EventXML`, `Forebay` | see `object.rs` |
//!
//! An event's own names are there whatever is made of them. One that collides has its place behind it, by the
//! rule in `names.rs`. `pipelines/formats/flat.md` lists what this shape cannot say.
//! Source: SigmaHQ/sigma, `tests/logsource.json`; fields of Sysmon's events.

mod alias;
#[cfg(test)]
mod tests;

use super::Meta;
use super::json::says_more;
use super::object::{Object, number, string};
use super::texts::Texts;
use crate::event::{Event, EventError, Header, Part, Value};
use schemars::JsonSchema;
use serde::Deserialize;

/// `format.flat = {}`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Keep the event's XML in `EventXML`.
    pub original: bool,
}

/// Writes events as flat objects, one line each.
#[derive(Debug)]
pub struct Flat {
    original: bool,
    object: Object,
    texts: Texts,
    /// Unnamed `Data`, or an alias in the making.
    joined: Vec<u8>,
}

impl Flat {
    pub fn new(config: &Config) -> Self {
        let (object, texts) = (Object::new(OWN), Texts::bare());
        Self { original: config.original, object, texts, joined: Vec::new() }
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
        system(header, out);
        for (name, text) in [
            ("Message", &self.texts.message),
            ("RenderingInfo_Level", &self.texts.level),
            ("RenderingInfo_Task", &self.texts.task),
            ("RenderingInfo_Opcode", &self.texts.opcode),
        ] {
            if !text.is_empty() {
                string(name, Value::Text(text), out);
            }
        }
        self.values(out);
        alias::hashes(&self.texts, &mut self.object, out);
        if alias::is_process_creation(header) {
            alias::process_creation(&self.texts, &mut self.object, &mut self.joined, out);
        }
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

    fn values(&mut self, out: &mut Vec<u8>) {
        self.joined.clear();
        let mut unnamed = 0_usize;
        for (index, (name, text)) in self.texts.pairs().enumerate() {
            if name == b"Data" {
                if unnamed > 0 {
                    self.joined.push(b'\n');
                }
                self.joined.extend_from_slice(text);
                unnamed += 1;
            } else {
                self.object.value(name, text, index + 1, out);
            }
        }
        if unnamed > 0 {
            string("Data", Value::Text(&self.joined), out);
        }
    }
}

/// Names that are not the event's.
const OWN: &[&str] = &[
    "EventID",
    "EventID_Qualifiers",
    "Version",
    "Level",
    "Task",
    "Opcode",
    "Keywords",
    "TimeCreated",
    "EventRecordID",
    "Provider_Name",
    "Provider_Guid",
    "Provider_EventSourceName",
    "Correlation_ActivityID",
    "Correlation_RelatedActivityID",
    "Execution_ProcessID",
    "Execution_ThreadID",
    "Execution_ProcessorID",
    "Execution_SessionID",
    "Execution_KernelTime",
    "Execution_UserTime",
    "Execution_ProcessorTime",
    "Channel",
    "Computer",
    "Security_UserID",
    "Data",
    "Message",
    "RenderingInfo_Level",
    "RenderingInfo_Task",
    "RenderingInfo_Opcode",
];

fn system(header: &Header<'_>, out: &mut Vec<u8>) {
    string("Provider_Name", header.provider_name, out);
    string("Provider_Guid", header.provider_guid, out);
    string("Provider_EventSourceName", header.event_source_name, out);
    number("EventID", header.event_id, out);
    number("EventID_Qualifiers", header.qualifiers, out);
    number("Version", header.version, out);
    number("Level", header.level, out);
    number("Task", header.task, out);
    number("Opcode", header.opcode, out);
    string("Keywords", header.keywords, out);
    string("TimeCreated", header.time_created, out);
    number("EventRecordID", header.record_id, out);
    string("Correlation_ActivityID", header.activity_id, out);
    string("Correlation_RelatedActivityID", header.related_activity_id, out);
    number("Execution_ProcessID", header.process_id, out);
    number("Execution_ThreadID", header.thread_id, out);
    number("Execution_ProcessorID", header.processor_id, out);
    number("Execution_SessionID", header.session_id, out);
    number("Execution_KernelTime", header.kernel_time, out);
    number("Execution_UserTime", header.user_time, out);
    number("Execution_ProcessorTime", header.processor_time, out);
    string("Channel", header.channel, out);
    string("Computer", header.computer, out);
    string("Security_UserID", header.user_id, out);
}
