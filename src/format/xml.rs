//! Canonical XML: the event's text byte for byte, as it came or as the EVTX reader renders it.
//!
//! Framing `line` puts one event on each line: a line end inside the event is written `&#13;`,
//! `&#10;` where the text has CR, LF, so a reader gets exactly the characters that Windows sent.
//! Where no reference can stand it is written otherwise: between the attributes of a tag, in
//! comments and beside the root element as a blank, in CDATA as `]]>&#10;<![CDATA[`. `length` and
//! `none` alter nothing.
//!
//! What cannot be read as an event becomes one element of its own, well formed whatever it holds:
//! `<Undecodable Error='why'>the text, escaped</Undecodable>`.
//! Must not know: metadata.

use super::{Framing, Meta};
use crate::event::canonical::XmlWriter;
use crate::event::text::{Place, xml_from_text};
use crate::event::{Event, EventError, Ignore, Part};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What could not be read as an event begins and ends so.
pub const RAW_START: &str = "<Undecodable ";
pub const RAW_END: &str = "</Undecodable>";

/// `format.xml = {}`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How events are told apart.
    pub framing: FramingConfig,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FramingConfig {
    /// One event per line; line ends inside an event become `&#13;` and `&#10;`.
    #[default]
    Line,
    /// Four bytes, big-endian, before each event: how many bytes it has.
    Length,
    /// One behind the other.
    None,
}

/// Writes events as XML.
#[derive(Debug)]
pub struct Xml {
    framing: Framing,
    /// An event before its line ends are written otherwise.
    scratch: Vec<u8>,
}

impl Xml {
    pub fn new(config: &Config) -> Self {
        let framing = match config.framing {
            FramingConfig::Line => Framing::Line,
            FramingConfig::Length => Framing::Length,
            FramingConfig::None => Framing::None,
        };
        Self { framing, scratch: Vec::new() }
    }

    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Appends one event.
    ///
    /// # Errors
    /// When the event cannot be read to its end; part of it may then stand in `out`.
    pub fn event<'a, E: Event<'a>>(
        &mut self,
        event: &E,
        _: &Meta<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), EventError> {
        if let Some(text) = event.canonical() {
            // One that is not well formed would take its neighbours with it.
            event.walk(Part::Body, &mut Ignore)?;
            self.put(text, out);
            return Ok(());
        }
        let start = out.len();
        event.walk(Part::Whole, &mut XmlWriter::new(out))?;
        if self.framing == Framing::Line && has_line_end(&out[start..]) {
            self.scratch.clear();
            self.scratch.extend_from_slice(&out[start..]);
            out.truncate(start);
            one_line(&self.scratch, out);
        }
        Ok(())
    }

    /// Appends what could not be read as an event. Bytes that are not UTF-8 read as U+FFFD.
    pub fn raw(&mut self, text: &[u8], error: &str, _: &Meta<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(RAW_START.as_bytes());
        out.extend_from_slice(b"Error='");
        xml_from_text(error.as_bytes(), Place::Attribute, out);
        out.extend_from_slice(b"'>");
        xml_from_text(String::from_utf8_lossy(text).as_bytes(), Place::Content, out);
        out.extend_from_slice(RAW_END.as_bytes());
        if self.framing == Framing::Line && has_line_end(&out[start..]) {
            let written = out.split_off(start);
            one_line(&written, out);
        }
    }

    fn put(&self, text: &[u8], out: &mut Vec<u8>) {
        if self.framing == Framing::Line && has_line_end(text) {
            one_line(text, out);
        } else {
            out.extend_from_slice(text);
        }
    }
}

fn has_line_end(text: &[u8]) -> bool {
    memchr::memchr2(b'\r', b'\n', text).is_some()
}

/// What a run of markup is, by how it starts.
const SECTIONS: [(&[u8], &[u8]); 3] = [(b"<!--", b"-->"), (b"<![CDATA[", b"]]>"), (b"<?", b"?>")];

/// Appends XML without a line end in it.
///
/// Most of an event has no line end, so what is not near one is not looked at: outside of sections a `<` begins a tag
/// wherever it stands, and the last one before a line end tells what that is in.
fn one_line(text: &[u8], out: &mut Vec<u8>) {
    let has_sections =
        memchr::memmem::find(text, b"<!").is_some() || memchr::memmem::find(text, b"<?").is_some();
    let (Some(root), Some(last), false) =
        (memchr::memchr(b'<', text), memchr::memrchr(b'<', text), has_sections)
    else {
        return each_tag(text, out);
    };
    let mut at = 0;
    while let Some(length) = memchr::memchr2(b'\r', b'\n', &text[at..]) {
        let end = at + length;
        let tag = memchr::memrchr(b'<', &text[at..end]).map(|length| at + length);
        if let Some(tag) = tag.filter(|tag| tag + tag_length(&text[*tag..]) > end) {
            out.extend_from_slice(&text[at..tag]);
            at = tag + tag_line(&text[tag..], out);
        } else {
            let next = memchr::memchr(b'<', &text[end..]).map_or(text.len(), |length| end + length);
            out.extend_from_slice(&text[at..end]);
            // White space beside the root element is no content.
            let ends = if (root..last).contains(&end) { Ends::References } else { Ends::Blanks };
            content(&text[end..next], ends, out);
            at = next;
        }
    }
    out.extend_from_slice(&text[at..]);
}

/// Where the tag at the start of `text` ends.
fn tag_length(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(length) = memchr::memchr3(b'>', b'\'', b'"', &text[at..]) {
        at += length + 1;
        let quote = text[at - 1];
        if quote == b'>' {
            return at;
        }
        let Some(length) = memchr::memchr(quote, &text[at..]) else { break };
        at += length + 1;
    }
    text.len()
}

/// The same for any XML: tag by tag.
fn each_tag(text: &[u8], out: &mut Vec<u8>) {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let tag = memchr::memchr(b'<', &text[at..]).map_or(text.len(), |length| at + length);
        // White space beside the root element is no content.
        content(&text[at..tag], if depth > 0 { Ends::References } else { Ends::Blanks }, out);
        at = tag;
        let rest = &text[at..];
        if let Some((open, close)) = SECTIONS.iter().find(|(open, _)| rest.starts_with(open)) {
            // `<?>` and `<!-->` are not closed yet.
            let inside = &rest[open.len()..];
            let end = memchr::memmem::find(inside, close)
                .map_or(rest.len(), |length| open.len() + length + close.len());
            let ends = if open.ends_with(b"[") { Ends::OutsideCdata } else { Ends::Blanks };
            content(&rest[..end], ends, out);
            at += end;
        } else if !rest.is_empty() {
            let end = tag_line(rest, out);
            match rest {
                [b'<', b'/', ..] => depth = depth.saturating_sub(1),
                _ if rest[..end].ends_with(b"/>") => {}
                _ => depth += 1,
            }
            at += end;
        }
    }
}

/// Appends the tag at the start of `text`; says where it ends.
fn tag_line(text: &[u8], out: &mut Vec<u8>) -> usize {
    let mut quote = None;
    for (index, &byte) in text.iter().enumerate() {
        match (byte, quote) {
            (b'\r', Some(_)) => out.extend_from_slice(b"&#13;"),
            (b'\n', Some(_)) => out.extend_from_slice(b"&#10;"),
            (b'\r' | b'\n', None) => out.push(b' '),
            (b'>', None) => {
                out.push(byte);
                return index + 1;
            }
            (b'\'' | b'"', None) => {
                quote = Some(byte);
                out.push(byte);
            }
            _ => {
                if quote == Some(byte) {
                    quote = None;
                }
                out.push(byte);
            }
        }
    }
    text.len()
}

#[derive(Clone, Copy)]
enum Ends {
    References,
    OutsideCdata,
    Blanks,
}

fn content(mut text: &[u8], ends: Ends, out: &mut Vec<u8>) {
    while let Some(index) = memchr::memchr2(b'\r', b'\n', text) {
        out.extend_from_slice(&text[..index]);
        let reference: &[u8] = if text[index] == b'\r' { b"&#13;" } else { b"&#10;" };
        match ends {
            Ends::References => out.extend_from_slice(reference),
            Ends::OutsideCdata => {
                out.extend_from_slice(b"]]>");
                out.extend_from_slice(reference);
                out.extend_from_slice(b"<![CDATA[");
            }
            Ends::Blanks => out.push(b' '),
        }
        text = &text[index + 1..];
    }
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::XmlEvent;

    #[track_caller]
    fn check(framing: FramingConfig, text: &str, expected: &str) {
        let mut out = b"kept".to_vec();
        let event = XmlEvent::parse(text.as_bytes()).unwrap();
        Xml::new(&Config { framing }).event(&event, &Meta::default(), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("kept{expected}"));
    }

    const LINES: &str = "<?xml version='1.0'?>\r\n<Event\n a='x\ny>'><System/>\n<!-- a\nb --><Data>1\r\n2<![CDATA[3\n<]]></Data><br/>\n</Event>\n";

    #[test]
    fn one_line_holds_the_same_characters() {
        let line = "<?xml version='1.0'?>  <Event  a='x&#10;y>'><System/>&#10;<!-- a b --><Data>1&#13;&#10;2<![CDATA[3]]>&#10;<![CDATA[<]]></Data><br/>&#10;</Event> ";
        check(FramingConfig::Line, LINES, line);
        let text = |xml: &str| {
            let document = roxmltree::Document::parse(xml).unwrap();
            let texts = document.descendants().filter(roxmltree::Node::is_text);
            let text: String = texts.filter_map(|node| node.text()).collect();
            text + document.root_element().attribute("a").unwrap()
        };
        // A parser folds CRLF in the text as it came, and keeps the references.
        assert_eq!(text(line).replace("\r\n", "\n"), text(LINES).replace("x y", "x\ny"));
    }

    #[test]
    fn what_is_near_no_line_end_need_not_be_looked_at() {
        // Every way to put two line ends into it.
        let text =
            "  <Event a='x>' b=\"'>\"><System><A/></System><Data N = 'y' >1 > 2&amp;'</Data> \"</Event > ";
        for (first, _) in text.match_indices(' ') {
            for (second, _) in text.match_indices(' ') {
                let mut text = text.as_bytes().to_vec();
                (text[first], text[second]) = (b'\r', b'\n');
                let (mut quick, mut whole) = (Vec::new(), Vec::new());
                one_line(&text, &mut quick);
                each_tag(&text, &mut whole);
                assert_eq!(String::from_utf8(quick).unwrap(), String::from_utf8(whole).unwrap());
            }
        }
    }

    #[test]
    fn length_and_none_pass_every_byte() {
        check(FramingConfig::Length, LINES, LINES);
        check(FramingConfig::None, LINES, LINES);
        let plain = LINES.replace(['\r', '\n'], "");
        check(FramingConfig::Line, &plain, &plain);
    }

    #[test]
    fn a_section_does_not_end_in_what_opens_it() {
        check(FramingConfig::Line, "<!--> a\n<b> --><?>\n<c>?><Event/>", "<!--> a <b> --><?> <c>?><Event/>");
    }

    #[test]
    fn what_is_wrong_behind_system_takes_no_neighbour_with_it() {
        for torn in ["<Event><System/><a></Event>", "<Event><System/></Event><a>", "<Event><System/>&#1"] {
            let mut out = b"kept".to_vec();
            let event = XmlEvent::parse(torn.as_bytes()).unwrap();
            let read = Xml::new(&Config::default()).event(&event, &Meta::default(), &mut out);
            assert!(read.is_err() && out == b"kept", "{torn}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_element_of_its_own() {
        let mut out = Vec::new();
        Xml::new(&Config::default()).raw(b"<Ev\xff\r\n", "it's cut", &Meta::default(), &mut out);
        let expected = "<Undecodable Error='it&apos;s cut'>&lt;Ev\u{fffd}&#13;&#10;</Undecodable>";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn text_that_is_cut_anywhere_still_gives_one_line() {
        for end in 0..LINES.len() {
            let mut out = Vec::new();
            one_line(&LINES.as_bytes()[..end], &mut out);
            assert!(!has_line_end(&out), "{end}");
        }
    }
}
