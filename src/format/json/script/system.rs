//! System as a script: `json/system.rs` says the same of a header.

use super::Script;
use super::draft::{Draft, Fill};
use super::{When, Write};
use crate::event::header::Seen;
use crate::event::template::{Op, Part};
use crate::event::{Header, Template};

/// How an element of System is written.
enum Shape {
    Text,
    Number,
    /// Its attributes, and which of them are numbers.
    Object(&'static [(&'static [u8], bool)]),
    EventId,
    TimeCreated,
    Security,
}

const SYSTEM: &[(u32, &[u8], Shape)] = &[
    (
        Seen::PROVIDER,
        b"Provider",
        Shape::Object(&[(b"Name", false), (b"Guid", false), (b"EventSourceName", false)]),
    ),
    (Seen::EVENT_ID, b"EventID", Shape::EventId),
    (Seen::VERSION, b"Version", Shape::Number),
    (Seen::LEVEL, b"Level", Shape::Number),
    (Seen::TASK, b"Task", Shape::Number),
    (Seen::OPCODE, b"Opcode", Shape::Number),
    (Seen::KEYWORDS, b"Keywords", Shape::Text),
    (Seen::TIME_CREATED, b"TimeCreated", Shape::TimeCreated),
    (Seen::RECORD_ID, b"EventRecordID", Shape::Number),
    (
        Seen::CORRELATION,
        b"Correlation",
        Shape::Object(&[(b"ActivityID", false), (b"RelatedActivityID", false)]),
    ),
    (
        Seen::EXECUTION,
        b"Execution",
        Shape::Object(&[
            (b"ProcessID", true),
            (b"ThreadID", true),
            (b"ProcessorID", true),
            (b"SessionID", true),
            (b"KernelTime", true),
            (b"UserTime", true),
            (b"ProcessorTime", true),
        ]),
    ),
    (Seen::CHANNEL, b"Channel", Shape::Text),
    (Seen::COMPUTER, b"Computer", Shape::Text),
    (Seen::SECURITY, b"Security", Shape::Security),
];

pub(super) fn system(template: &Template, start: usize) -> Option<Script> {
    let elements = Element::all(template, start)?;
    let mut draft = Draft::new(template);
    draft.literal(b"\"System\":");
    draft.open(b'{');
    for (bit, name, shape) in SYSTEM {
        if let Some(element) = elements.iter().find(|element| element.bit == *bit) {
            draft.guarded(element.guard, |draft| draft.system_element(element, name, shape))?;
        }
    }
    draft.close(b'}');
    draft.finish(b"")
}

/// An element of System as the template has it.
struct Element<'t> {
    bit: u32,
    guard: Option<u16>,
    attributes: Vec<(&'t [u8], Part)>,
    text: Option<Part>,
}

impl<'t> Element<'t> {
    /// None when System holds anything that a header has no place for.
    fn all(template: &'t Template, start: usize) -> Option<Vec<Self>> {
        let mut elements: Vec<Self> = Vec::new();
        let mut at = start + 1;
        while at + 1 < template.behind(start) {
            let behind = template.behind(at);
            let guard = if let Op::Guard { slot, .. } = template.ops[at] { Some(slot) } else { None };
            let element = Self::read(template, at + usize::from(guard.is_some()), guard)?;
            if elements.iter().any(|other| other.bit == element.bit) {
                return None;
            }
            elements.push(element);
            at = behind;
        }
        Some(elements)
    }

    fn read(template: &'t Template, start: usize, guard: Option<u16>) -> Option<Self> {
        let Op::Start { name, end, .. } = template.ops[start] else { return None };
        let bit = Seen::element(template.name(name))?;
        let mut element = Self { bit, guard, attributes: Vec::new(), text: None };
        let mut header = Header::default();
        for op in &template.ops[start + 1..end as usize - 1] {
            match *op {
                Op::Attribute { name, part } => {
                    let name = template.name(name);
                    header.attribute_mut(bit, name)?;
                    if element.attribute(name).is_some() {
                        return None;
                    }
                    element.attributes.push((name, part));
                }
                Op::Text(part) if element.text.is_none() => {
                    header.text_mut(bit)?;
                    element.text = Some(part);
                }
                _ => return None,
            }
        }
        Some(element)
    }

    fn attribute(&self, name: &[u8]) -> Option<Part> {
        self.attributes.iter().find(|(other, _)| *other == name).map(|(_, part)| *part)
    }
}

impl Draft<'_> {
    fn system_element(&mut self, element: &Element<'_>, name: &[u8], shape: &Shape) -> Option<()> {
        match shape {
            Shape::Text => {
                self.key(b"", name);
                self.string(element.text)?;
            }
            Shape::TimeCreated => {
                self.key(b"", name);
                self.string(element.attribute(b"SystemTime"))?;
            }
            Shape::Number => {
                self.key(b"", name);
                self.number(element.text)?;
            }
            Shape::EventId => {
                self.key(b"", name);
                self.number(element.text)?;
                self.member(b"", b"Qualifiers", element.attribute(b"Qualifiers"), true)?;
            }
            Shape::Object(attributes) => {
                self.key(b"", name);
                self.open(b'{');
                for (name, is_number) in *attributes {
                    self.member(b"", name, element.attribute(name), *is_number)?;
                }
                self.close(b'}');
            }
            Shape::Security => self.security(element.attribute(b"UserID"))?,
        }
        Some(())
    }

    fn security(&mut self, user: Option<Part>) -> Option<()> {
        let before = *self.fill();
        let slot = match user {
            Some(Part::Slot { slot, optional: true }) => Some(slot),
            Some(_) => None,
            None => {
                self.key(b"", b"Security");
                self.literal(b"{}");
                return Some(());
            }
        };
        if let Some(slot) = slot {
            self.flush();
            self.key(b"", b"Security");
            self.literal(b"{}");
            self.step(When::Absent, Write::Piece, slot);
            *self.fill() = before;
        }
        self.member(b"", b"UserID", user, false)?;
        *self.fill() = Fill::Some;
        Some(())
    }
}
