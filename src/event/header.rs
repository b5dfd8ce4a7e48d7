//! The System element as borrowed values: what filters decide on and every format names.
//!
//! Source: event.xsd, `SystemPropertiesType` (Windows Event Schema).

use super::Value;

/// `System`, field by field; `Value::Absent` where the element or attribute is not there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Header<'a> {
    pub provider_name: Value<'a>,
    pub provider_guid: Value<'a>,
    pub event_source_name: Value<'a>,
    pub event_id: Value<'a>,
    pub qualifiers: Value<'a>,
    pub version: Value<'a>,
    pub level: Value<'a>,
    pub task: Value<'a>,
    pub opcode: Value<'a>,
    pub keywords: Value<'a>,
    /// `TimeCreated/@SystemTime`
    pub time_created: Value<'a>,
    pub record_id: Value<'a>,
    pub activity_id: Value<'a>,
    pub related_activity_id: Value<'a>,
    pub process_id: Value<'a>,
    pub thread_id: Value<'a>,
    pub processor_id: Value<'a>,
    pub session_id: Value<'a>,
    pub kernel_time: Value<'a>,
    pub user_time: Value<'a>,
    pub processor_time: Value<'a>,
    pub channel: Value<'a>,
    pub computer: Value<'a>,
    /// `Security/@UserID`
    pub user_id: Value<'a>,
    /// Which of the elements stood there at all, see [`Seen`]; `<Correlation/>` is one of them.
    pub seen: Seen,
    /// There is something that these fields cannot hold: an unknown or repeated element or
    /// attribute in System, text where none belongs, a text in pieces, no System at all, or an
    /// attribute of Event that is not its usual `xmlns`. The fields hold the first of each all the
    /// same; whoever must not lose anything looks through `Part::Whole` for the rest.
    pub odd: bool,
}

impl<'a> Header<'a> {
    /// Where the text of an element (a bit of [`Seen`]) belongs; None for those that have none.
    pub fn text_mut(&mut self, element: u32) -> Option<&mut Value<'a>> {
        Some(match element {
            Seen::EVENT_ID => &mut self.event_id,
            Seen::VERSION => &mut self.version,
            Seen::LEVEL => &mut self.level,
            Seen::TASK => &mut self.task,
            Seen::OPCODE => &mut self.opcode,
            Seen::KEYWORDS => &mut self.keywords,
            Seen::RECORD_ID => &mut self.record_id,
            Seen::CHANNEL => &mut self.channel,
            Seen::COMPUTER => &mut self.computer,
            _ => return None,
        })
    }

    /// Where an attribute of an element belongs; None for one that is not known there.
    pub fn attribute_mut(&mut self, element: u32, name: &[u8]) -> Option<&mut Value<'a>> {
        Some(match (element, name) {
            (Seen::PROVIDER, b"Name") => &mut self.provider_name,
            (Seen::PROVIDER, b"Guid") => &mut self.provider_guid,
            (Seen::PROVIDER, b"EventSourceName") => &mut self.event_source_name,
            (Seen::EVENT_ID, b"Qualifiers") => &mut self.qualifiers,
            (Seen::TIME_CREATED, b"SystemTime") => &mut self.time_created,
            (Seen::CORRELATION, b"ActivityID") => &mut self.activity_id,
            (Seen::CORRELATION, b"RelatedActivityID") => &mut self.related_activity_id,
            (Seen::EXECUTION, b"ProcessID") => &mut self.process_id,
            (Seen::EXECUTION, b"ThreadID") => &mut self.thread_id,
            (Seen::EXECUTION, b"ProcessorID") => &mut self.processor_id,
            (Seen::EXECUTION, b"SessionID") => &mut self.session_id,
            (Seen::EXECUTION, b"KernelTime") => &mut self.kernel_time,
            (Seen::EXECUTION, b"UserTime") => &mut self.user_time,
            (Seen::EXECUTION, b"ProcessorTime") => &mut self.processor_time,
            (Seen::SECURITY, b"UserID") => &mut self.user_id,
            _ => return None,
        })
    }
}

/// Elements of System that were present, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen(pub u32);

impl Seen {
    pub const PROVIDER: u32 = 1;
    pub const EVENT_ID: u32 = 1 << 1;
    pub const VERSION: u32 = 1 << 2;
    pub const LEVEL: u32 = 1 << 3;
    pub const TASK: u32 = 1 << 4;
    pub const OPCODE: u32 = 1 << 5;
    pub const KEYWORDS: u32 = 1 << 6;
    pub const TIME_CREATED: u32 = 1 << 7;
    pub const RECORD_ID: u32 = 1 << 8;
    pub const CORRELATION: u32 = 1 << 9;
    pub const EXECUTION: u32 = 1 << 10;
    pub const CHANNEL: u32 = 1 << 11;
    pub const COMPUTER: u32 = 1 << 12;
    pub const SECURITY: u32 = 1 << 13;

    /// The bit of the element with this name.
    pub fn element(name: &[u8]) -> Option<u32> {
        Some(match name {
            b"Provider" => Self::PROVIDER,
            b"EventID" => Self::EVENT_ID,
            b"Version" => Self::VERSION,
            b"Level" => Self::LEVEL,
            b"Task" => Self::TASK,
            b"Opcode" => Self::OPCODE,
            b"Keywords" => Self::KEYWORDS,
            b"TimeCreated" => Self::TIME_CREATED,
            b"EventRecordID" => Self::RECORD_ID,
            b"Correlation" => Self::CORRELATION,
            b"Execution" => Self::EXECUTION,
            b"Channel" => Self::CHANNEL,
            b"Computer" => Self::COMPUTER,
            b"Security" => Self::SECURITY,
            _ => return None,
        })
    }

    pub fn has(self, element: u32) -> bool {
        self.0 & element != 0
    }

    /// Notes an element; true when it had been seen before.
    pub fn add(&mut self, element: u32) -> bool {
        let before = self.has(element);
        self.0 |= element;
        before
    }
}
