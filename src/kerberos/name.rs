//! Names of principals: `HTTP/wec.corp.example` of the realm `CORP.EXAMPLE`.
//!
//! They come from peers and go into logs, so what could break a line there is replaced when they are read.

use super::der::{Der, DerError, INTEGER, SEQUENCE, TEXT, element, field, integer};
use std::fmt;

/// Most parts of a name; a service has two, a few protocols three.
pub const PARTS_MAX: usize = 16;
/// Longest part, and longest realm.
pub const PART_BYTES_MAX: usize = 1024;

/// How a name without any other meaning is typed (RFC 4120 6.2).
pub const PRINCIPAL: i32 = 1;
/// A service on a host.
pub const SERVICE: i32 = 2;

/// The name of a principal without its realm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name {
    /// What kind of name it claims to be; says little.
    pub kind: i32,
    pub parts: Box<[Box<str>]>,
}

impl Name {
    pub fn new<'a>(kind: i32, parts: impl IntoIterator<Item = &'a str>) -> Self {
        Self { kind, parts: parts.into_iter().map(Into::into).collect() }
    }

    /// The host of a service's name.
    pub fn host(&self) -> Option<&str> {
        self.parts.get(1).map(|host| &**host)
    }

    /// Whether the parts are the same, as Windows compares them: whatever their case is.
    pub fn is_same(&self, other: &Self) -> bool {
        self.parts.len() == other.parts.len()
            && self.parts.iter().zip(&other.parts).all(|(one, two)| one.eq_ignore_ascii_case(two))
    }

    /// The content of a `PrincipalName`.
    pub(super) fn read(mut name: Der<'_>) -> Result<Self, DerError> {
        let kind = name.field(0, INTEGER, "type of a name")?.int32("type of a name")?;
        let mut texts = name.field(1, SEQUENCE, "parts of a name")?;
        let mut parts = Vec::new();
        while !texts.is_empty() {
            if parts.len() == PARTS_MAX {
                return Err(texts.expected("end of a name"));
            }
            parts.push(text(texts.take(TEXT, "part of a name")?)?);
        }
        Ok(Self { kind, parts: parts.into() })
    }

    /// A whole `PrincipalName`.
    pub(super) fn write(&self) -> Vec<u8> {
        let texts: Vec<u8> = self.parts.iter().flat_map(|part| element(TEXT, &[part.as_bytes()])).collect();
        let (kind, parts) = (element(field(0), &[&integer(self.kind.into())]), element(SEQUENCE, &[&texts]));
        element(SEQUENCE, &[&kind, &element(field(1), &[&parts])])
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts.iter().enumerate() {
            f.write_str(if index > 0 { "/" } else { "" })?;
            f.write_str(part)?;
        }
        Ok(())
    }
}

/// A text of limited length, fit for a line of a log.
pub(super) fn text(content: Der<'_>) -> Result<Box<str>, DerError> {
    match content.rest().len() <= PART_BYTES_MAX {
        true => Ok(plain(&String::from_utf8_lossy(content.rest()))),
        false => Err(content.expected("text of that length")),
    }
}

/// The text without what could break a line.
pub(super) fn plain(text: &str) -> Box<str> {
    let visible = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(visible).collect::<String>().into()
}
