//! One event as it is sent again and again: all of it fixed but its time, record id and computer.

use super::form::{Form, Hole, Wire};
use crate::event::time::write_filetime;
use crate::event::{Event, Value, XmlEvent};
use std::fmt::Write as _;
use std::ops::Range;

/// What differs from one sending to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filling<'a> {
    pub(super) record: u64,
    /// Ticks since 1601.
    pub(super) time: u64,
    pub(super) computer: &'a str,
}

#[derive(Clone, Debug)]
pub(super) struct Template {
    /// As it was written, with the values it came with.
    pub(super) original: Box<str>,
    pub(super) channel: Box<str>,
    whole: Form,
    /// Without RenderingInfo, which subscriptions to raw events do not get. None where there is none anyway.
    raw: Option<Form>,
}

impl Template {
    /// `None` for what is no event, has no channel or could not stand in CDATA: no host has such in a log.
    pub(super) fn new(text: &str) -> Option<Self> {
        let event = XmlEvent::parse(text.as_bytes()).ok()?;
        let header = event.header();
        let mut channel = Vec::new();
        header.channel.write_text(&mut channel);
        let channel = String::from_utf8(channel).ok()?;
        if channel.is_empty() || text.contains("]]>") {
            return None;
        }
        let mut holes = [
            (range_in(text, header.time_created)?, Hole::Time),
            (range_in(text, header.record_id)?, Hole::Record),
            (range_in(text, header.computer)?, Hole::Computer),
        ];
        holes.sort_by_key(|(range, _)| range.start);
        let (mut texts, mut from) = ([""; 4], 0);
        for (before, (range, _)) in texts.iter_mut().zip(&holes) {
            *before = &text[from..range.start];
            from = range.end;
        }
        let holes = holes.map(|(_, hole)| hole);
        texts[3] = &text[from..];
        let whole = Form::new(&texts, &holes);
        // RenderingInfo stands behind System in whatever Windows writes.
        let rendering = rendering_in(text, from);
        let raw = (!rendering.is_empty()).then(|| {
            let rest = [&text[from..rendering.start], &text[rendering.end..]].concat();
            Form::new(&[texts[0], texts[1], texts[2], &rest], &holes)
        });
        Some(Self { original: text.into(), channel: channel.into(), whole, raw })
    }

    /// What its fixed parts take up in UTF-16.
    pub(super) fn utf16_bytes(&self) -> usize {
        self.whole.utf16_bytes()
    }

    /// Appends the event as it is sent.
    pub(super) fn put(&self, filling: Filling<'_>, rendered: bool, wire: &mut Wire<'_>) {
        let numbers = filling.numbers();
        self.form(rendered).put(|hole| filling.value(hole, &numbers), wire);
    }

    /// Appends its text.
    pub(super) fn write(&self, filling: Filling<'_>, rendered: bool, out: &mut String) {
        let numbers = filling.numbers();
        self.form(rendered).write(|hole| filling.value(hole, &numbers), out);
    }

    fn form(&self, rendered: bool) -> &Form {
        self.raw.as_ref().filter(|_| !rendered).unwrap_or(&self.whole)
    }
}

/// The text of an event with an element in it that is never closed: System can be read, and no more.
pub(super) fn torn(text: &str) -> String {
    let end = text.rfind("</").unwrap_or(text.len());
    format!("{}<torn>{}", &text[..end], &text[end..])
}

/// Time and record id as they are written, one behind the other.
struct Numbers {
    text: String,
    record_at: usize,
}

impl<'a> Filling<'a> {
    fn numbers(&self) -> Numbers {
        let mut text = Vec::with_capacity(48);
        write_filetime(self.time, &mut text);
        let record_at = text.len();
        let mut text = String::from_utf8(text).unwrap_or_default();
        let _ = write!(text, "{}", self.record);
        Numbers { text, record_at }
    }

    fn value<'v>(&self, hole: Hole, numbers: &'v Numbers) -> &'v str
    where
        'a: 'v,
    {
        match hole {
            Hole::Time => &numbers.text[..numbers.record_at],
            Hole::Record => &numbers.text[numbers.record_at..],
            _ => self.computer,
        }
    }
}

/// Where a value stands in the text it was read from.
fn range_in(text: &str, value: Value<'_>) -> Option<Range<usize>> {
    let (Value::Xml(slice) | Value::Plain(slice) | Value::Text(slice)) = value else { return None };
    let start = (slice.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    (start + slice.len() <= text.len()).then(|| start..start + slice.len())
}

fn rendering_in(text: &str, from: usize) -> Range<usize> {
    const END: &str = "</RenderingInfo>";
    let start = text[from..].find("<RenderingInfo").map(|at| from + at);
    let end = text.rfind(END).map(|at| at + END.len());
    match (start, end) {
        (Some(start), Some(end)) if start < end => start..end,
        _ => text.len()..text.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='P'/><EventID>1</EventID><TimeCreated SystemTime='2020-01-01T00:00:00Z'/><EventRecordID>7</EventRecordID><Channel>System</Channel><Computer>old</Computer></System><EventData><Data>7 old</Data></EventData><RenderingInfo Culture='en-US'><Message>old</Message></RenderingInfo></Event>";

    #[test]
    fn time_record_and_computer_are_replaced_and_nothing_else() {
        let template = Template::new(EVENT).unwrap();
        let filling = Filling { record: 123, time: 133_000_000_000_000_001, computer: "ws.example" };
        let mut text = String::new();
        template.write(filling, true, &mut text);
        let expected = EVENT
            .replace("2020-01-01T00:00:00Z", "2022-06-18T04:26:40.0000001Z")
            .replace("<EventRecordID>7<", "<EventRecordID>123<")
            .replace("<Computer>old<", "<Computer>ws.example<");
        assert_eq!(text, expected);
        text.clear();
        template.write(filling, false, &mut text);
        let (start, end) = (expected.find("<Rendering").unwrap(), expected.find("</Event>").unwrap());
        assert_eq!(text, expected[..start].to_owned() + &expected[end..]);
        assert_eq!(&*template.channel, "System");
    }

    #[test]
    fn what_no_log_holds_makes_no_template() {
        for text in ["", "<a/>", "<Event><System/></Event>", &EVENT.replace("old</M", "<![CDATA[x]]></M")] {
            assert!(Template::new(text).is_none(), "{text}");
        }
        assert!(Template::new(&EVENT.replace("<Channel>System</Channel>", "")).is_none());
    }
}
