//! Writes visits as canonical XML text: one line, single-quoted attributes, the way Windows
//! forwards events. `Data` is never written as an empty tag, other empty elements are.
//! Allocates nothing of its own below `SHALLOW` open elements.

use super::text::Place;
use super::{Value, Visitor};

/// A visitor that appends XML.
#[derive(Debug)]
pub struct XmlWriter<'o, 'a> {
    out: &'o mut Vec<u8>,
    open: Open<'a>,
    /// The start tag has not been closed.
    in_tag: bool,
}

impl<'o> XmlWriter<'o, '_> {
    pub fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out, open: Open::default(), in_tag: false }
    }

    /// As `attribute`, of a value from anywhere: none is kept.
    pub fn put_attribute(&mut self, name: &[u8], value: Value<'_>) {
        self.out.push(b' ');
        self.out.extend_from_slice(name);
        self.out.extend_from_slice(b"='");
        value.write_xml(Place::Attribute, self.out);
        self.out.push(b'\'');
    }

    /// As `text`.
    pub fn put_text(&mut self, value: Value<'_>) {
        self.close_tag();
        value.write_xml(Place::Content, self.out);
    }

    /// As `data`.
    pub fn put_data(&mut self, name: Value<'_>, value: Value<'_>) {
        self.close_tag();
        self.out.extend_from_slice(b"<Data Name='");
        name.write_xml(Place::Attribute, self.out);
        self.out.extend_from_slice(b"'>");
        value.write_xml(Place::Content, self.out);
        self.out.extend_from_slice(b"</Data>");
    }

    fn close_tag(&mut self) {
        if self.in_tag {
            self.in_tag = false;
            self.out.push(b'>');
        }
    }
}

impl<'a> Visitor<'a> for XmlWriter<'_, 'a> {
    fn start(&mut self, name: &'a [u8]) {
        self.close_tag();
        self.out.push(b'<');
        self.out.extend_from_slice(name);
        self.open.push(name);
        self.in_tag = true;
    }

    fn attribute(&mut self, name: &'a [u8], value: Value<'a>) {
        self.put_attribute(name, value);
    }

    fn text(&mut self, value: Value<'a>) {
        self.put_text(value);
    }

    fn end(&mut self) {
        let name = self.open.pop();
        if self.in_tag && name != b"Data" {
            self.in_tag = false;
            self.out.extend_from_slice(b"/>");
            return;
        }
        self.close_tag();
        self.out.extend_from_slice(b"</");
        self.out.extend_from_slice(name);
        self.out.push(b'>');
    }

    fn data(&mut self, name: Value<'a>, value: Value<'a>) {
        self.put_data(name, value);
    }
}

/// Deeper than events are nested, but for some UserData.
const SHALLOW: usize = 12;

/// Names of the open elements: a writer lives for one event, so its stack must cost nothing.
#[derive(Debug, Default)]
struct Open<'a> {
    depth: usize,
    shallow: [&'a [u8]; SHALLOW],
    deep: Vec<&'a [u8]>,
}

impl<'a> Open<'a> {
    fn push(&mut self, name: &'a [u8]) {
        match self.shallow.get_mut(self.depth) {
            Some(slot) => *slot = name,
            None => self.deep.push(name),
        }
        self.depth += 1;
    }

    /// The innermost; visits are well nested, so there is one.
    fn pop(&mut self) -> &'a [u8] {
        self.depth = self.depth.saturating_sub(1);
        match self.shallow.get(self.depth) {
            Some(name) => name,
            None => self.deep.pop().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visits_become_one_line_of_xml() {
        let mut out = Vec::new();
        let mut writer = XmlWriter::new(&mut out);
        writer.start(b"Event");
        writer.attribute(b"xmlns", Value::Plain(b"urn:x"));
        writer.start(b"Security");
        writer.end();
        writer.data(Value::Text(b"it's"), Value::Utf16(b"<\0\r\0\n\0"));
        writer.start(b"Data");
        writer.end();
        writer.start(b"Data");
        writer.attribute(b"Name", Value::Plain(b"a"));
        writer.end();
        writer.end();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "<Event xmlns='urn:x'><Security/><Data Name='it&apos;s'>&lt;\r\n</Data><Data></Data><Data Name='a'></Data></Event>"
        );
    }

    #[test]
    fn elements_of_any_depth_are_closed_by_their_names() {
        let names: Vec<String> = (0..3 * SHALLOW).map(|depth| format!("e{depth}")).collect();
        let mut out = Vec::new();
        let mut writer = XmlWriter::new(&mut out);
        names.iter().for_each(|name| writer.start(name.as_bytes()));
        writer.text(Value::Plain(b"x"));
        names.iter().for_each(|_| writer.end());
        let open: String = names.iter().map(|name| format!("<{name}>")).collect();
        let close: String = names.iter().rev().map(|name| format!("</{name}>")).collect();
        assert_eq!(String::from_utf8(out).unwrap(), format!("{open}x{close}"));
    }
}
