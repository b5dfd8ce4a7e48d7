//! The body of an event, part by part: EventData and UserData into `winlog`, RenderingInfo into
//! words that are written behind them.
//!
//! The pairs of user_data are the children of the element inside UserData, whose name is
//! `xml_name`. Parts that Winlogbeat does not know (DebugData, BinaryEventData,
//! ProcessingErrorData …) are written as if they were that element.

use super::meaning::Rendered;
use super::pairs::Pairs;
use crate::event::{EventError, Value, Visitor, local_name};

/// Deepest elements inside a pair.
const NESTED_MAX: usize = 64;

/// What is reused from event to event.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) rendered: Rendered,
    /// The event's XML, where it did not come as text; before that, its time.
    pub(super) original: Vec<u8>,
    event_data: Pairs,
    user_data: Pairs,
    /// Members of user_data: written aside, so that parts in any order fill one object.
    user: Vec<u8>,
    xml_name: Vec<u8>,
}

/// Writes members of `winlog` at the end of `out`.
pub(super) struct Parts<'w> {
    scratch: &'w mut Scratch,
    out: &'w mut Vec<u8>,
    within: Within,
    /// Where the member event_data starts; a second EventData is a part like any other.
    event_data: Option<usize>,
    /// Elements open inside RenderingInfo.
    rendering: usize,
    too_deep: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Event,
    EventData,
    UserData,
    /// In an element whose children are pairs of user_data.
    Element {
        in_user_data: bool,
    },
    Rendering(Field),
}

/// What a text of RenderingInfo is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    None,
    Message,
    Level,
    Task,
    Opcode,
    Keyword,
}

impl<'w> Parts<'w> {
    pub(super) fn new(scratch: &'w mut Scratch, out: &'w mut Vec<u8>) -> Self {
        scratch.rendered.clear();
        scratch.xml_name.clear();
        scratch.user.clear();
        scratch.user_data.open(&scratch.user);
        Self { scratch, out, within: Within::Event, event_data: None, rendering: 0, too_deep: false }
    }

    /// After the walk: writes user_data.
    pub(super) fn finish(self) -> Result<(), EventError> {
        if self.too_deep {
            return Err(EventError { at: 0, what: "elements nested too deep for ECS" });
        }
        let Scratch { user_data, user, xml_name, .. } = self.scratch;
        user_data.close(user);
        if xml_name.is_empty() {
            return Ok(());
        }
        self.out.extend_from_slice(b",\"user_data\":{");
        self.out.extend_from_slice(user);
        if !user.is_empty() {
            self.out.push(b',');
        }
        self.out.extend_from_slice(b"\"xml_name\":\"");
        self.out.extend_from_slice(xml_name);
        self.out.extend_from_slice(b"\"}");
        Ok(())
    }

    fn start_part(&mut self, name: &[u8]) {
        match name {
            b"EventData" if self.event_data.is_none() => {
                self.event_data = Some(self.out.len());
                self.out.extend_from_slice(b",\"event_data\":{");
                let pairs = &mut self.scratch.event_data;
                pairs.open(self.out);
                pairs.start(name);
                self.within = Within::EventData;
            }
            b"UserData" => self.within = Within::UserData,
            b"RenderingInfo" => {
                self.rendering = 0;
                self.within = Within::Rendering(Field::None);
            }
            _ => self.start_element(name, false),
        }
    }

    fn start_element(&mut self, name: &[u8], in_user_data: bool) {
        let Scratch { user_data, xml_name, .. } = &mut *self.scratch;
        if xml_name.is_empty() {
            Value::Text(local_name(name)).write_json(xml_name);
        }
        user_data.start(name);
        self.within = Within::Element { in_user_data };
    }

    fn end_event_data(&mut self) {
        let written = self.scratch.event_data.close(self.out);
        match self.event_data {
            Some(start) if !written => self.out.truncate(start),
            _ => self.out.push(b'}'),
        }
        self.within = Within::Event;
    }

    fn start_rendering(&mut self, name: &[u8]) {
        self.rendering += 1;
        let field = match (self.rendering, name) {
            (1, b"Message") => Field::Message,
            (1, b"Level") => Field::Level,
            (1, b"Task") => Field::Task,
            (1, b"Opcode") => Field::Opcode,
            (2, b"Keyword") => Field::Keyword,
            _ => Field::None,
        };
        if field == Field::Keyword {
            let keywords = &mut self.scratch.rendered.keywords;
            keywords.extend_from_slice(if keywords.is_empty() { b"\"" } else { b",\"" });
        }
        self.within = Within::Rendering(field);
    }

    fn end_rendering(&mut self, field: Field) {
        if self.rendering == 0 {
            self.within = Within::Event;
            return;
        }
        self.rendering -= 1;
        self.within = Within::Rendering(Field::None);
        if field == Field::Keyword {
            let keywords = &mut self.scratch.rendered.keywords;
            // An empty keyword names nothing; what opened it goes again.
            if keywords.ends_with(b",\"") {
                keywords.truncate(keywords.len() - 2);
            } else if keywords.len() == 1 {
                keywords.clear();
            } else {
                keywords.push(b'"');
            }
        }
    }

    fn end_in_element(&mut self, in_user_data: bool) {
        let Scratch { rendered, user_data, user, xml_name, .. } = &mut *self.scratch;
        let of_error = !in_user_data && user_data.depth() == 2 && &xml_name[..] == b"ProcessingErrorData";
        if of_error && rendered.error_code.is_empty() && user_data.is_named(b"ErrorCode") {
            rendered.error_code.extend_from_slice(user_data.open_text());
        }
        user_data.end(user);
        if user_data.depth() == 0 {
            self.within = if in_user_data { Within::UserData } else { Within::Event };
        }
    }
}

impl<'a> Visitor<'a> for Parts<'_> {
    fn start(&mut self, name: &'a [u8]) {
        let pairs = match self.within {
            Within::Event => return self.start_part(name),
            Within::UserData => return self.start_element(name, true),
            Within::Rendering(_) => return self.start_rendering(name),
            Within::EventData => &mut self.scratch.event_data,
            Within::Element { .. } => &mut self.scratch.user_data,
        };
        self.too_deep |= pairs.depth() > NESTED_MAX;
        pairs.start(name);
    }

    fn attribute(&mut self, name: &'a [u8], value: Value<'a>) {
        let Scratch { event_data, user_data, user, .. } = &mut *self.scratch;
        match self.within {
            Within::EventData => event_data.attribute(name, value, self.out),
            Within::Element { .. } => user_data.attribute(name, value, user),
            Within::Event | Within::UserData | Within::Rendering(_) => {}
        }
    }

    fn text(&mut self, value: Value<'a>) {
        let Scratch { rendered, event_data, user_data, .. } = &mut *self.scratch;
        match self.within {
            Within::EventData => event_data.text(value),
            Within::Element { .. } => user_data.text(value),
            Within::Rendering(field) => match field {
                Field::Message => value.write_json(&mut rendered.message),
                Field::Level => value.write_json(&mut rendered.level),
                Field::Task => value.write_json(&mut rendered.task),
                Field::Opcode => value.write_json(&mut rendered.opcode),
                Field::Keyword => value.write_json(&mut rendered.keywords),
                Field::None => {}
            },
            Within::Event | Within::UserData => {}
        }
    }

    fn end(&mut self) {
        match self.within {
            Within::Event => {}
            Within::EventData => {
                self.scratch.event_data.end(self.out);
                if self.scratch.event_data.depth() == 0 {
                    self.end_event_data();
                }
            }
            Within::UserData => self.within = Within::Event,
            Within::Element { in_user_data } => self.end_in_element(in_user_data),
            Within::Rendering(field) => self.end_rendering(field),
        }
    }

    fn data(&mut self, name: Value<'a>, value: Value<'a>) {
        if self.within == Within::EventData && self.scratch.event_data.depth() == 1 {
            return self.scratch.event_data.data(name, value, self.out);
        }
        self.start(b"Data");
        self.attribute(b"Name", name);
        self.text(value);
        self.end();
    }
}
