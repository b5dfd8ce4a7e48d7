//! Bookmarks: how far a host has come, as its own words and as numbers.
//!
//! What a host sends is a cookie: it is kept and given back byte for byte, whatever it says. The list
//! is read only to tell people and tests how far a host is.
//!
//! Sources: MS-EVEN6 2.2.14; captured messages.

use super::ns::{self, Ns};
use super::put::{Attribute, is_xml_char, put};
use super::xml::{Node, Reader, XmlError};
use crate::event::text::reference;
use std::borrow::Cow;
use thiserror::Error;

/// Longest bookmark that is kept: 256 channels of the longest names take half of it.
pub const BOOKMARK_BYTES_MAX: usize = 64 * 1024;
/// Most channels of one list.
pub const CHANNELS_MAX: usize = 1024;

/// The content of `w:Bookmark`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bookmark<'a> {
    /// XML as written, well formed on its own: kept and given back as it is.
    Kept(Cow<'a, str>),
    /// Everything that is there.
    Earliest,
    /// It could not be given back, and says why.
    Unusable(XmlError),
}

impl<'a> Bookmark<'a> {
    /// Takes stored text back.
    pub fn kept(text: impl Into<Cow<'a, str>>) -> Self {
        let text = text.into();
        match check(&text) {
            Ok(()) if text.trim() == ns::BOOKMARK_EARLIEST => Self::Earliest,
            Ok(()) => Self::Kept(text),
            Err(error) => Self::Unusable(error),
        }
    }

    /// What is to be stored, none where it cannot be given back.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Kept(text) => Some(text),
            Self::Earliest => Some(ns::BOOKMARK_EARLIEST),
            Self::Unusable(_) => None,
        }
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, XmlError> {
        Ok(Self::kept(reader.raw()?))
    }

    pub(super) fn write(&self, out: &mut String) {
        if let Some(text) = self.text() {
            put(out, format_args!("<w:Bookmark>{text}</w:Bookmark>"));
        }
    }
}

/// Whether the text can stand in an envelope of ours: short enough, and well formed with no prefix
/// that only the host's envelope declared.
fn check(text: &str) -> Result<(), XmlError> {
    let mut reader = Reader::new(text);
    if text.len() > BOOKMARK_BYTES_MAX {
        return reader.error(format!("a bookmark has at most {BOOKMARK_BYTES_MAX} bytes"));
    }
    if text.starts_with('\u{feff}') || text.contains("<?") || text.contains("]]>") {
        return reader.error("a bookmark has elements and text, no declarations and no CDATA");
    }
    if let Some(wrong) = text.chars().find(|&c| !is_xml_char(c)) {
        return reader.error(format!("the character U+{:04X} has no place in XML", u32::from(wrong)));
    }
    if text.trim().is_empty() {
        return reader.error("the bookmark is empty");
    }
    loop {
        match reader.next()? {
            Node::Start(element) => reader.check_attributes(&element)?,
            Node::Reference(raw) if reference(raw.as_bytes()).is_none() => {
                return reader.error(format!("`{raw}` is no character"));
            }
            Node::Eof => return Ok(()),
            _ => {}
        }
    }
}

/// `BookmarkList`: the position in each channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BookmarkList {
    /// `Direction="backward"`: of a subscription that has delivered nothing yet.
    pub backward: bool,
    pub marks: Vec<Mark>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub channel: String,
    pub record: u64,
    /// The channel of the last event.
    pub current: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BookmarkError {
    #[error("the bookmark is no XML: {0}")]
    Xml(#[from] XmlError),
    #[error("the bookmark is no BookmarkList but `{0}`")]
    NoList(String),
    #[error("a Bookmark has no {0}")]
    Missing(&'static str),
    #[error("`{0}` is no record id")]
    Record(String),
    #[error("more than {CHANNELS_MAX} channels")]
    TooMany,
}

/// How one list stands to an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Same,
    /// No channel went back, and one went on or is new.
    Ahead,
    /// No channel went on, and one went back or is gone.
    Behind,
    /// Some went on and some back: a log was cleared, or the host is another one.
    Mixed,
}

impl BookmarkList {
    /// # Errors
    /// What is no list, and why.
    pub fn parse(text: &str) -> Result<Self, BookmarkError> {
        let mut reader = Reader::new(text);
        let Some(root) = reader.child()? else { return Err(BookmarkError::NoList(String::new())) };
        if root.local != "BookmarkList" {
            return Err(BookmarkError::NoList(root.name.to_owned()));
        }
        let direction = reader.attribute(&root, Ns::None, "Direction")?;
        let backward = direction.is_some_and(|direction| direction.eq_ignore_ascii_case("backward"));
        let mut marks = Vec::new();
        while let Some(element) = reader.child()? {
            if element.local == "Bookmark" {
                if marks.len() == CHANNELS_MAX {
                    return Err(BookmarkError::TooMany);
                }
                let attribute = |name| reader.attribute(&element, Ns::None, name);
                let channel = attribute("Channel")?.ok_or(BookmarkError::Missing("Channel"))?;
                let record = attribute("RecordId")?.ok_or(BookmarkError::Missing("RecordId"))?;
                let record = record.parse().map_err(|_| BookmarkError::Record(record))?;
                let current = attribute("IsCurrent")?;
                let current = current.is_some_and(|is| is == "1" || is.eq_ignore_ascii_case("true"));
                marks.push(Mark { channel, record, current });
            }
            reader.skip()?;
        }
        match reader.child()? {
            Some(other) => Err(BookmarkError::NoList(other.name.to_owned())),
            None => Ok(Self { backward, marks }),
        }
    }

    /// As Windows writes it.
    pub fn write(&self, out: &mut String) {
        let direction = if self.backward { r#" Direction="backward""# } else { "" };
        put(out, format_args!("<BookmarkList{direction}>"));
        for Mark { channel, record, current } in &self.marks {
            let current = if *current { r#" IsCurrent="true""# } else { "" };
            put(
                out,
                format_args!(r#"<Bookmark Channel="{}" RecordId="{record}"{current}/>"#, Attribute(channel)),
            );
        }
        out.push_str("</BookmarkList>");
    }

    /// Position in a channel; names of channels have no case.
    pub fn record(&self, channel: &str) -> Option<u64> {
        let mark = self.marks.iter().find(|mark| mark.channel.eq_ignore_ascii_case(channel));
        mark.map(|mark| mark.record)
    }

    /// Notes the last event of a batch.
    pub fn advance(&mut self, channel: &str, record: u64) {
        self.backward = false;
        let mut found = false;
        for mark in &mut self.marks {
            mark.current = !found && mark.channel.eq_ignore_ascii_case(channel);
            if mark.current {
                mark.record = record;
                found = true;
            }
        }
        if !found {
            self.marks.push(Mark { channel: channel.to_owned(), record, current: true });
        }
    }

    /// How this list stands to one before it.
    pub fn since(&self, before: &Self) -> Progress {
        let (mut on, mut back) = (false, false);
        for mark in &self.marks {
            match before.record(&mark.channel) {
                Some(record) => {
                    on |= mark.record > record;
                    back |= mark.record < record;
                }
                None => on = true,
            }
        }
        back |= before.marks.iter().any(|mark| self.record(&mark.channel).is_none());
        match (on, back) {
            (false, false) => Progress::Same,
            (true, false) => Progress::Ahead,
            (false, true) => Progress::Behind,
            (true, true) => Progress::Mixed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(marks: &[(&str, u64)]) -> BookmarkList {
        let mut list = BookmarkList::default();
        marks.iter().for_each(|(channel, record)| list.advance(channel, *record));
        list
    }

    fn written(list: &BookmarkList) -> String {
        let mut out = String::new();
        list.write(&mut out);
        out
    }

    #[test]
    fn a_list_of_windows_is_read_and_written_alike() {
        for text in [
            r#"<BookmarkList><Bookmark Channel="Microsoft-Windows-WinRM/Operational" RecordId="149161" IsCurrent="true"/></BookmarkList>"#,
            r#"<BookmarkList Direction="backward"><Bookmark Channel="A&amp;B" RecordId="1"/><Bookmark Channel="System" RecordId="1407" IsCurrent="true"/></BookmarkList>"#,
            "<BookmarkList></BookmarkList>",
        ] {
            assert_eq!(written(&BookmarkList::parse(text).unwrap()), text);
        }
    }

    #[test]
    fn a_capital_true_is_true() {
        let text = r#"<BookmarkList><Bookmark Channel="S" RecordId="7" IsCurrent="True"/></BookmarkList>"#;
        assert!(BookmarkList::parse(text).unwrap().marks[0].current);
    }

    #[test]
    fn what_is_no_list_says_why() {
        let error = |text| BookmarkList::parse(text).unwrap_err().to_string();
        assert_eq!(error("<Other/>"), "the bookmark is no BookmarkList but `Other`");
        assert_eq!(
            error("<BookmarkList><Bookmark RecordId='1'/></BookmarkList>"),
            "a Bookmark has no Channel"
        );
        assert_eq!(
            error("<BookmarkList><Bookmark Channel='S' RecordId='x'/></BookmarkList>"),
            "`x` is no record id"
        );
        assert!(error("<BookmarkList>").contains("ends within an element"));
        assert!(error("<BookmarkList/><BookmarkList/>").contains("no BookmarkList"));
    }

    #[test]
    fn the_channel_of_the_last_event_is_the_current_one() {
        let list = list(&[("Security", 10), ("System", 5), ("security", 11)]);
        assert_eq!(
            written(&list),
            r#"<BookmarkList><Bookmark Channel="Security" RecordId="11" IsCurrent="true"/><Bookmark Channel="System" RecordId="5"/></BookmarkList>"#
        );
    }

    #[test]
    fn progress_is_told_by_channel() {
        let before = list(&[("Security", 10), ("System", 5)]);
        for (marks, progress) in [
            (&[("Security", 10), ("System", 5)][..], Progress::Same),
            (&[("Security", 12), ("System", 5)], Progress::Ahead),
            (&[("Security", 10), ("System", 5), ("Setup", 1)], Progress::Ahead),
            (&[("Security", 9), ("System", 5)], Progress::Behind),
            (&[("Security", 10)], Progress::Behind),
            (&[("Security", 1), ("System", 6)], Progress::Mixed),
        ] {
            assert_eq!(list(marks).since(&before), progress, "{marks:?}");
        }
    }

    #[test]
    fn what_could_not_be_given_back_is_unusable() {
        for text in [
            "<a",
            "<x:a/>",
            "<a></b>",
            "",
            "  ",
            "<?xml version='1.0'?><a/>",
            "a]]>",
            "<a b/>",
            "&b;",
            "\u{1}",
            "<!DOCTYPE a>",
        ] {
            let bookmark = Bookmark::kept(text);
            assert!(matches!(bookmark, Bookmark::Unusable(_)), "{text}");
            assert_eq!(bookmark.text(), None);
        }
        let long = format!("<a>{}</a>", "x".repeat(BOOKMARK_BYTES_MAX));
        assert!(matches!(Bookmark::kept(long), Bookmark::Unusable(_)));
        assert_eq!(Bookmark::kept(ns::BOOKMARK_EARLIEST), Bookmark::Earliest);
        assert_eq!(Bookmark::kept("<a b='\r\n'/>").text(), Some("<a b='\r\n'/>"));
    }
}
