//! What is left of System when a schema has taken what it has a place for.
//!
//! What was taken is no longer said by the header that is left, so that nothing stands twice. Empty values are
//! not taken: a reader could not tell them from what is missing.

use super::known::is_blank;
use crate::event::header::Seen;
use crate::event::{Header, Value};

/// A header of which values are taken.
#[derive(Debug)]
pub(super) struct Rest<'a> {
    pub(super) header: Header<'a>,
}

impl<'a> Rest<'a> {
    pub(super) fn new(header: &Header<'a>) -> Self {
        Self { header: *header }
    }

    /// The text of an element (a bit of `Seen`).
    pub(super) fn text(&mut self, element: u32) -> Value<'a> {
        let is_alone = element != Seen::EVENT_ID || self.header.qualifiers.is_absent();
        let Some(value) = self.header.text_mut(element) else { return Value::Absent };
        let taken = *value;
        if is_alone && !is_blank(taken) {
            *value = Value::Absent;
            self.header.seen.0 &= !element;
        }
        taken
    }

    /// The same where it is taken only if the schema can hold it.
    pub(super) fn text_if(&mut self, element: u32, fits: impl FnOnce(Value<'a>) -> bool) -> Value<'a> {
        match self.header.text_mut(element) {
            Some(value) if fits(*value) => self.text(element),
            _ => Value::Absent,
        }
    }

    /// An attribute of an element.
    pub(super) fn attribute(&mut self, element: u32, name: &[u8]) -> Value<'a> {
        let Some(value) = self.header.attribute_mut(element, name) else { return Value::Absent };
        let taken = *value;
        if !is_blank(taken) {
            *value = Value::Absent;
            if attributes(&self.header, element).iter().all(|value| value.is_absent()) {
                self.header.seen.0 &= !element;
            }
        }
        taken
    }

    pub(super) fn attribute_if(
        &mut self,
        element: u32,
        name: &[u8],
        fits: impl FnOnce(Value<'a>) -> bool,
    ) -> Value<'a> {
        match self.header.attribute_mut(element, name) {
            Some(value) if fits(*value) => self.attribute(element, name),
            _ => Value::Absent,
        }
    }
}

/// All attributes that an element can have.
fn attributes<'a>(header: &Header<'a>, element: u32) -> [Value<'a>; 7] {
    const NONE: Value<'static> = Value::Absent;
    match element {
        Seen::PROVIDER => {
            let Header { provider_name, provider_guid, event_source_name, .. } = *header;
            [provider_name, provider_guid, event_source_name, NONE, NONE, NONE, NONE]
        }
        Seen::CORRELATION => [header.activity_id, header.related_activity_id, NONE, NONE, NONE, NONE, NONE],
        Seen::EXECUTION => [
            header.process_id,
            header.thread_id,
            header.processor_id,
            header.session_id,
            header.kernel_time,
            header.user_time,
            header.processor_time,
        ],
        // An element with one attribute.
        _ => [NONE; 7],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, XmlEvent};
    use crate::format::json::system;

    const SYSTEM: &str = "<Provider Name='P' Guid='{g}'/><EventID>1</EventID><Version></Version><Correlation ActivityID='{a}'/><Execution ProcessID='5' ThreadID='6'/><Channel>C</Channel><Security UserID='S'/>";

    #[track_caller]
    fn check(system_text: &str, take: fn(&mut Rest<'_>), expected: &str) {
        let text = format!("<Event><System>{system_text}</System></Event>");
        let event = XmlEvent::parse(text.as_bytes()).unwrap();
        let (mut rest, mut out) = (Rest::new(event.header()), Vec::new());
        take(&mut rest);
        system::open(&rest.header, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), format!("\"System\":{{{expected}"));
    }

    #[test]
    fn what_is_taken_is_not_left() {
        check(
            SYSTEM,
            |rest| {
                assert!(rest.attribute(Seen::PROVIDER, b"Name").is("P"));
                assert!(rest.text(Seen::EVENT_ID).is("1"));
                rest.text(Seen::VERSION);
                rest.attribute(Seen::CORRELATION, b"ActivityID");
                rest.attribute(Seen::EXECUTION, b"ProcessID");
                assert!(rest.text_if(Seen::CHANNEL, |value| value.is("x")).is_absent());
                rest.attribute(Seen::SECURITY, b"UserID");
            },
            r#""Provider":{"Guid":"{g}"},"Version":"","Execution":{"ThreadID":6},"Channel":"C""#,
        );
    }

    #[test]
    fn an_id_stays_beside_its_qualifiers() {
        let take = |rest: &mut Rest<'_>| assert!(rest.text(Seen::EVENT_ID).is("7"));
        check("<EventID Qualifiers='3'>7</EventID>", take, r#""EventID":7,"Qualifiers":3"#);
    }
}
