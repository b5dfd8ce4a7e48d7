//! STRUCTURED-DATA of RFC 5424 6.3: one element with values of the event.

use crate::event::{Header, Value};
use crate::sink::SinkError;
use crate::sink::template::{RouteValues, VALUE_BYTES_MAX, shorten};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest SD-ID of RFC 5424 6.3.2.
const ID_BYTES_MAX: usize = 32;

/// One element of structured data.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StructuredData {
    /// Its SD-ID: a name, `@`, and the private enterprise number of your organization, such as
    /// `windows@32473`.
    pub id: String,
    /// Which values, in this order.
    #[serde(default = "fields_default")]
    pub fields: Vec<Field>,
}

fn fields_default() -> Vec<Field> {
    vec![Field::Channel, Field::Provider, Field::EventId, Field::RecordId, Field::Level]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    Channel,
    Provider,
    EventId,
    RecordId,
    Level,
    Keywords,
    /// The SID of the user in System.
    UserId,
    ProcessId,
    ThreadId,
    ActivityId,
    /// Who sent it to us.
    Host,
    /// Name of our source.
    Source,
    Subscription,
}

pub(super) struct Structured {
    id: Box<str>,
    fields: Vec<Field>,
    value: Vec<u8>,
}

impl StructuredData {
    pub(super) fn open(&self) -> Result<Structured, SinkError> {
        let Self { id, fields } = self;
        let number = id.split_once('@').map(|(name, number)| (name, number.split('.').all(is_number)));
        let fits = |byte: u8| byte.is_ascii_graphic() && !b"=]\"".contains(&byte);
        if id.len() > ID_BYTES_MAX
            || !id.bytes().all(fits)
            || !number.is_some_and(|(name, is)| is && !name.is_empty())
        {
            let why = format!(
                "`{}` is no SD-ID of your own; write a name, `@` and a private enterprise number, such as \
                 `windows@32473`, {ID_BYTES_MAX} bytes at most",
                id.escape_debug()
            );
            return Err(SinkError::Setting { setting: "header.structured_data.id", why });
        }
        if fields.is_empty() {
            let why = "an element without values says nothing; name some, or leave out `structured_data`";
            return Err(SinkError::Setting { setting: "header.structured_data.fields", why: why.into() });
        }
        Ok(Structured { id: id.as_str().into(), fields: fields.clone(), value: Vec::new() })
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Structured {
    /// Values that the event does not have are left out.
    pub(super) fn write(&mut self, of: &RouteValues<'_, '_>, header: &Header<'_>, out: &mut Vec<u8>) {
        out.push(b'[');
        out.extend_from_slice(self.id.as_bytes());
        for field in &self.fields {
            let (name, value) = field.of(of, header);
            if value.is_absent() {
                continue;
            }
            self.value.clear();
            shorten(value).write_text(&mut self.value);
            out.push(b' ');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"=\"");
            escape(&String::from_utf8_lossy(&self.value), out);
            out.push(b'"');
        }
        out.push(b']');
    }
}

impl Field {
    fn of<'v>(self, of: &RouteValues<'v, '_>, header: &Header<'v>) -> (&'static str, Value<'v>) {
        let text = |text: Option<&'v str>| text.map_or(Value::Absent, |text| Value::Text(text.as_bytes()));
        match self {
            Self::Channel => ("channel", header.channel),
            Self::Provider => ("provider", header.provider_name),
            Self::EventId => ("event_id", header.event_id),
            Self::RecordId => ("record_id", header.record_id),
            Self::Level => ("level", header.level),
            Self::Keywords => ("keywords", header.keywords),
            Self::UserId => ("user_id", header.user_id),
            Self::ProcessId => ("process_id", header.process_id),
            Self::ThreadId => ("thread_id", header.thread_id),
            Self::ActivityId => ("activity_id", header.activity_id),
            Self::Host => ("host", text(of.origin.host.as_deref())),
            Self::Source => ("source", text(Some(&*of.origin.source))),
            Self::Subscription => ("subscription", text(of.origin.subscription.as_deref())),
        }
    }
}

/// RFC 5424 6.3.3: `"`, `\` and `]` are escaped. Control characters would pass, and end a line that is told apart
/// by LF.
fn escape(value: &str, out: &mut Vec<u8>) {
    let start = out.len();
    for letter in value.chars() {
        if out.len() - start + letter.len_utf8() > VALUE_BYTES_MAX {
            break;
        }
        match letter {
            '"' | '\\' | ']' => out.extend_from_slice(&[b'\\', letter as u8]),
            letter if letter.is_control() => out.push(b'_'),
            letter => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}
