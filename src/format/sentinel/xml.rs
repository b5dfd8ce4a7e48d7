//! The rest of an event as XML, the same whichever way it was read: of each value its text is written, so line
//! ends are LF, and references those that XML needs.

use crate::event::canonical::XmlWriter;
use crate::event::{Value, Visitor};
use crate::format::sieve::Onward;

pub(super) struct TextWriter<'o, 'a> {
    xml: XmlWriter<'o, 'a>,
    name: &'o mut Vec<u8>,
    text: &'o mut Vec<u8>,
}

impl<'o> TextWriter<'o, '_> {
    pub(super) fn new(xml: &'o mut Vec<u8>, name: &'o mut Vec<u8>, text: &'o mut Vec<u8>) -> Self {
        Self { xml: XmlWriter::new(xml), name, text }
    }
}

impl<'a> Visitor<'a> for TextWriter<'_, 'a> {
    fn start(&mut self, name: &'a [u8]) {
        self.xml.start(name);
    }

    fn attribute(&mut self, name: &'a [u8], value: Value<'a>) {
        self.xml.put_attribute(name, text_of(value, self.text));
    }

    fn text(&mut self, value: Value<'a>) {
        self.text_of(value);
    }

    fn end(&mut self) {
        self.xml.end();
    }

    fn data(&mut self, name: Value<'a>, value: Value<'a>) {
        self.data_of(name, value);
    }
}

impl<'a> Onward<'a> for TextWriter<'_, 'a> {
    fn text_of(&mut self, value: Value<'_>) {
        self.xml.put_text(text_of(value, self.text));
    }

    fn data_of(&mut self, name: Value<'_>, value: Value<'_>) {
        self.xml.put_data(text_of(name, self.name), text_of(value, self.text));
    }
}

fn text_of<'t>(value: Value<'_>, text: &'t mut Vec<u8>) -> Value<'t> {
    text.clear();
    value.write_text(text);
    Value::Text(text)
}
