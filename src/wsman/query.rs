//! `QueryList`: which events a host is asked for. Read as Windows' tools export it, written as Windows'
//! collector sends it.
//!
//! Must not know: what an expression means; that is `filter`'s.
//! Source: MS-EVEN6 2.2.16; Microsoft, "Query Schema".

use super::ns::Ns;
use super::put::{Attribute, Text, put};
use super::xml::{Element, Reader, XmlError};
use thiserror::Error;

/// Longest query list that is read.
pub const QUERY_BYTES_MAX: usize = 256 * 1024;
/// Longest expression of one Select or Suppress that is read.
pub const EXPRESSION_BYTES_MAX: usize = 32 * 1024;
/// Most Selects and Suppresses of one list.
pub const SELECTS_MAX: usize = 1000;

/// What is asked for: an event is sent when any of the queries selects it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryList {
    pub queries: Vec<Query>,
}

/// Selects what any of its Selects does and none of its Suppresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pub id: Option<String>,
    /// The channel of those that name none.
    pub path: Option<String>,
    pub target: Option<String>,
    pub parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub kind: PartKind,
    pub path: Option<String>,
    pub xpath: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    Select,
    Suppress,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QueryError {
    #[error("the query list is no XML: {0}")]
    Xml(#[from] XmlError),
    #[error(
        "this is no query list; write `<QueryList><Query><Select Path=\"Security\">*</Select></Query></QueryList>`"
    )]
    NoList,
    #[error("`<{0}>` has no place here; a QueryList holds Query, a Query holds Select and Suppress")]
    Misplaced(String),
    #[error("the query list has more than {QUERY_BYTES_MAX} bytes")]
    TooLong,
    #[error("more than {SELECTS_MAX} Selects and Suppresses")]
    TooMany,
}

impl QueryList {
    /// A list of one query, with a Select for each channel.
    pub fn of<'a>(selects: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let part = |(channel, xpath): (&str, &str)| Part {
            kind: PartKind::Select,
            path: Some(channel.into()),
            xpath: xpath.into(),
        };
        let parts = selects.into_iter().map(part).collect();
        Self { queries: vec![Query { id: Some("0".into()), parts, ..Query::default() }] }
    }

    /// # Errors
    /// What is no query list, and why.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        if text.len() > QUERY_BYTES_MAX {
            return Err(QueryError::TooLong);
        }
        let mut reader = Reader::new(text);
        let root = reader.child()?.filter(|root| root.local == "QueryList").ok_or(QueryError::NoList)?;
        reader.check_attributes(&root)?;
        let mut list = Self::default();
        let mut parts = 0;
        while let Some(element) = reader.child()? {
            if element.local != "Query" {
                return Err(QueryError::Misplaced(element.name.into()));
            }
            let mut query = Query {
                id: reader.attribute(&element, Ns::None, "Id")?,
                path: reader.attribute(&element, Ns::None, "Path")?,
                target: reader.attribute(&element, Ns::None, "Target")?,
                parts: Vec::new(),
            };
            while let Some(element) = reader.child()? {
                parts += 1;
                if parts > SELECTS_MAX {
                    return Err(QueryError::TooMany);
                }
                query.parts.push(Part::read(&mut reader, &element)?);
            }
            list.queries.push(query);
        }
        match reader.child()? {
            Some(other) => Err(QueryError::Misplaced(other.name.into())),
            None if list.queries.is_empty() => Err(QueryError::NoList),
            None => Ok(list),
        }
    }

    /// As Windows' collector writes it: no white space, no namespace.
    pub fn write(&self, out: &mut String) {
        out.push_str("<QueryList>");
        for query in &self.queries {
            out.push_str("<Query");
            for (name, value) in [("Id", &query.id), ("Path", &query.path), ("Target", &query.target)] {
                if let Some(value) = value {
                    put(out, format_args!(r#" {name}="{}""#, Attribute(value)));
                }
            }
            out.push('>');
            query.parts.iter().for_each(|part| part.write(out));
            out.push_str("</Query>");
        }
        out.push_str("</QueryList>");
    }

    /// Every Select and Suppress with its channel, empty where none is named.
    pub fn parts(&self) -> impl Iterator<Item = (&str, &Part)> {
        self.queries.iter().flat_map(|query| {
            query
                .parts
                .iter()
                .map(|part| (part.path.as_deref().or(query.path.as_deref()).unwrap_or_default(), part))
        })
    }

    /// Whether no event of this channel is left out.
    pub fn takes_all_of(&self, channel: &str) -> bool {
        let mut takes_all = false;
        for (_, part) in self.parts().filter(|(of, _)| of.eq_ignore_ascii_case(channel)) {
            match part.kind {
                PartKind::Select => takes_all |= part.xpath.trim() == "*",
                PartKind::Suppress => return false,
            }
        }
        takes_all
    }

    /// The channels that are selected from, each once, in order; names of channels have no case.
    pub fn channels(&self) -> Vec<&str> {
        let mut channels: Vec<&str> = Vec::new();
        for (channel, _) in self.parts().filter(|(_, part)| part.kind == PartKind::Select) {
            if !channel.is_empty() && !channels.iter().any(|known| known.eq_ignore_ascii_case(channel)) {
                channels.push(channel);
            }
        }
        channels
    }
}

impl Part {
    fn read<'a>(reader: &mut Reader<'a>, element: &Element<'a>) -> Result<Self, QueryError> {
        let kind = match element.local {
            "Select" => PartKind::Select,
            "Suppress" => PartKind::Suppress,
            _ => return Err(QueryError::Misplaced(element.name.into())),
        };
        let path = reader.attribute(element, Ns::None, "Path")?;
        let xpath = reader.field_within(EXPRESSION_BYTES_MAX)?.into_owned();
        Ok(Self { kind, path, xpath })
    }

    fn write(&self, out: &mut String) {
        let kind = match self.kind {
            PartKind::Select => "Select",
            PartKind::Suppress => "Suppress",
        };
        put(out, format_args!("<{kind}"));
        if let Some(path) = &self.path {
            put(out, format_args!(r#" Path="{}""#, Attribute(path)));
        }
        put(out, format_args!(">{}</{kind}>", Text(&self.xpath)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: &str = r#"<QueryList><Query Id="0"><Select Path="Microsoft-Windows-WinRM/Operational">*[System[(Level=1  or Level=2 or Level=3 or Level=4 or Level=0 or Level=5)]]</Select></Query></QueryList>"#;

    fn written(list: &QueryList) -> String {
        let mut out = String::new();
        list.write(&mut out);
        out
    }

    #[test]
    fn a_list_of_windows_is_read_and_written_alike() {
        assert_eq!(written(&QueryList::parse(WINDOWS).unwrap()), WINDOWS);
        let suppressing = r#"<QueryList><Query Id="1" Path="System" Target="Host"><Select>*[System[TimeCreated[timediff(@SystemTime) &lt;= 86400000]]]</Select><Suppress Path="Security">*[EventData[Data='a"b']]</Suppress></Query></QueryList>"#;
        assert_eq!(written(&QueryList::parse(suppressing).unwrap()), suppressing);
    }

    #[test]
    fn what_event_viewer_exports_is_read() {
        let exported = "<?xml version='1.0'?>\r\n<!-- saved -->\r\n<QueryList>\r\n  <Query Id=\"0\" Path=\"Security\">\r\n    <Select Path=\"Security\"><![CDATA[*[System[Level<=3]]\r\n]]></Select>\r\n  </Query>\r\n</QueryList>\r\n";
        let list = QueryList::parse(exported).unwrap();
        assert_eq!(
            written(&list),
            r#"<QueryList><Query Id="0" Path="Security"><Select Path="Security">*[System[Level&lt;=3]]</Select></Query></QueryList>"#
        );
    }

    #[test]
    fn channels_come_once_and_inherit_the_path_of_their_query() {
        let text = "<QueryList><Query Path='Security'><Select>*</Select><Select Path='System'>*</Select>\
            <Select Path='SECURITY'>a</Select><Suppress Path='Setup'>*</Suppress></Query></QueryList>";
        assert_eq!(QueryList::parse(text).unwrap().channels(), ["Security", "System"]);
        let list = QueryList::of([("Security", "*"), ("System", "*[System[Level=1]]")]);
        assert_eq!(list.channels(), ["Security", "System"]);
    }

    #[test]
    fn what_is_no_list_says_why() {
        let error = |text: &str| QueryList::parse(text).unwrap_err().to_string();
        assert!(error("").contains("no query list"));
        assert!(error("<QueryList/>").contains("no query list"));
        assert!(error("<Query/>").contains("no query list"));
        assert!(error("<QueryList><Select/></QueryList>").contains("`<Select>` has no place"));
        assert!(error("<QueryList><Query><Selekt/></Query></QueryList>").contains("`<Selekt>`"));
        assert!(error("<QueryList><Query/></QueryList><x/>").contains("`<x>`"));
        assert!(error("<QueryList><Query>text</Query></QueryList>").contains("text stands where"));
        assert!(error("<!DOCTYPE a><QueryList/>").contains("DOCTYPE"));
        assert_eq!(QueryList::parse(&" ".repeat(QUERY_BYTES_MAX + 1)), Err(QueryError::TooLong));
        let many = format!("<QueryList><Query>{}</Query></QueryList>", "<Select/>".repeat(SELECTS_MAX + 1));
        assert_eq!(QueryList::parse(&many), Err(QueryError::TooMany));
    }
}
