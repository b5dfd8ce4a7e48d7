//! The framing of sealed messages (MS-WSMV 2.2.9.1): a few plain lines around a token and ciphertext.
//!
//! ```text
//! --Encrypted Boundary␍␊
//! Content-Type: application/HTTP-Kerberos-session-encrypted␍␊
//! OriginalContent: type=application/soap+xml;charset=UTF-16;Length=3240␍␊
//! --Encrypted Boundary␍␊
//! Content-Type: application/octet-stream␍␊
//! [token length: 4 bytes, little-endian][token][sealed]--Encrypted Boundary--␍␊
//! ```
//!
//! No empty line and nothing before the last boundary: Windows cannot read it otherwise. `Length` is
//! that of the bytes that were sealed, so after SLDC. `multipart/x-multi-encrypted` (CredSSP) has
//! several such pairs before the closing boundary; in `multipart/encrypted` there is one, and its
//! bytes go to the end of the body, whatever they look like.
//!
//! Read leniently where peers differ: a tab before header lines (MS-WSMV asks for it, Windows
//! forwarders have none), a space behind the dashes, none or two line ends behind the last boundary.
//! What is read borrows from the body. Must not know: what a token is, keys, HTTP.

use memchr::memmem;
use std::fmt;
use thiserror::Error;

/// Longest token: 16 bytes of NTLM, 72 of the longest Kerberos.
pub const TOKEN_BYTES_MAX: usize = 256;
/// Most pairs in one body: as many as 16 KiB pieces of the largest envelope, and some.
pub const PARTS_MAX: usize = 64;
/// Longest plain line.
pub const LINE_BYTES_MAX: usize = 512;
/// Longest content type of a part; a line has room for it however it is indented.
pub const CONTENT_TYPE_BYTES_MAX: usize = 256;
/// What the boundary is in everything that Windows sends.
pub const BOUNDARY: &str = "Encrypted Boundary";

const BOUNDARY_BYTES_MAX: usize = 70;
const OCTETS: &str = "application/octet-stream";

/// How the messages of a connection are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Kerberos,
    /// Negotiate, with Kerberos or NTLM inside.
    Spnego,
    CredSsp,
}

impl Protocol {
    const ALL: [Self; 3] = [Self::Kerberos, Self::Spnego, Self::CredSsp];

    /// The content type that stands for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kerberos => "application/HTTP-Kerberos-session-encrypted",
            Self::Spnego => "application/HTTP-SPNEGO-session-encrypted",
            Self::CredSsp => "application/HTTP-CredSSP-session-encrypted",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }
}

/// What the `Content-Type` of a sealed body says; written with `Display` as Windows writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing<'a> {
    pub protocol: Protocol,
    pub boundary: &'a str,
    /// `multipart/x-multi-encrypted`.
    pub several: bool,
}

/// One token with what it seals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Of the message inside, with its charset.
    pub content_type: &'a str,
    /// Bytes that were sealed; to be compared with what comes out.
    pub length: usize,
    pub token: &'a [u8],
    pub sealed: &'a [u8],
}

/// Why a body is not of this framing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MultipartError {
    #[error("the content type is not multipart/encrypted")]
    NotEncrypted,
    #[error("the content type has no usable {parameter}")]
    Parameter { parameter: &'static str },
    #[error("no {expected} at byte {at} of the body")]
    Expected { expected: &'static str, at: usize },
    #[error("a token of {bytes} bytes at byte {at} of the body; {most} are the most")]
    Token { bytes: usize, at: usize, most: usize },
    #[error("{sealed} sealed bytes at byte {at} of the body cannot hold the {length} of its Length")]
    Cut { sealed: usize, length: usize, at: usize },
    #[error("more than {PARTS_MAX} parts")]
    Parts,
}

impl<'a> Framing<'a> {
    /// As Windows frames the messages of a Kerberos or Negotiate connection.
    pub const fn windows(protocol: Protocol) -> Self {
        Self { protocol, boundary: BOUNDARY, several: false }
    }

    /// Reads the value of a `Content-Type` header.
    pub fn parse(value: &'a str) -> Result<Self, MultipartError> {
        let (kind, mut rest) = value.split_once(';').unwrap_or((value, ""));
        let several = kind.trim().eq_ignore_ascii_case("multipart/x-multi-encrypted");
        if !several && !kind.trim().eq_ignore_ascii_case("multipart/encrypted") {
            return Err(MultipartError::NotEncrypted);
        }
        let (mut protocol, mut boundary) = (None, None);
        while let Some((name, value, behind)) = parameter(rest) {
            if name.eq_ignore_ascii_case("protocol") {
                protocol = Protocol::from_name(value);
            } else if name.eq_ignore_ascii_case("boundary") {
                boundary = Some(value);
            }
            rest = behind;
        }
        let usable = |value: &&str| {
            !value.is_empty()
                && value.len() <= BOUNDARY_BYTES_MAX
                && !value.contains(|c: char| c.is_control() || c == '"')
        };
        Ok(Self {
            protocol: protocol.ok_or(MultipartError::Parameter { parameter: "protocol" })?,
            boundary: boundary.filter(usable).ok_or(MultipartError::Parameter { parameter: "boundary" })?,
            several,
        })
    }

    /// The parts of a body, in order; at least one.
    pub fn read<'b>(&self, body: &'b [u8]) -> Result<Vec<Part<'b>>, MultipartError> {
        let mut reader = Reader { framing: *self, body, at: 0 };
        let end = reader.closing()?;
        let mut parts = Vec::new();
        while parts.is_empty() || reader.at < end {
            if parts.len() == PARTS_MAX {
                return Err(MultipartError::Parts);
            }
            parts.push(reader.part(end)?);
        }
        Ok(parts)
    }

    /// Whether the header lines of a body begin with a tab. Clients that write one want it in the answer as well.
    pub fn is_indented(&self, body: &[u8]) -> bool {
        let window = &body[..body.len().min(LINE_BYTES_MAX)];
        memmem::find(window, b"\r\n").is_some_and(|end| window.get(end + 2) == Some(&b'\t'))
    }

    /// Appends a body. `indent` puts the tab before header lines that MS-WSMV asks for: servers
    /// expect it from a client, hosts and collectors of forwarded events write none.
    pub fn write(&self, parts: &[Part<'_>], indent: bool, out: &mut Vec<u8>) {
        let tab = if indent { "\t" } else { "" };
        let Self { protocol, boundary, .. } = self;
        for part in parts {
            let lines = format!(
                "--{boundary}\r\n{tab}Content-Type: {}\r\n{tab}OriginalContent: type={};Length={}\r\n\
                 --{boundary}\r\n{tab}Content-Type: {OCTETS}\r\n",
                protocol.name(),
                part.content_type,
                part.length,
            );
            out.extend_from_slice(lines.as_bytes());
            out.extend_from_slice(&(part.token.len() as u32).to_le_bytes());
            out.extend_from_slice(part.token);
            out.extend_from_slice(part.sealed);
        }
        out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    }
}

impl fmt::Display for Framing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.several { "x-multi-encrypted" } else { "encrypted" };
        let Self { protocol, boundary, .. } = self;
        write!(f, "multipart/{kind};protocol=\"{}\";boundary=\"{boundary}\"", protocol.name())
    }
}

/// The next `name=value` or `name="value"` and what follows its semicolon.
fn parameter(text: &str) -> Option<(&str, &str, &str)> {
    let (name, value) = text.split_once('=')?;
    let name = name.trim_matches([' ', '\t', ';']);
    let value = value.trim_start();
    if let Some(quoted) = value.strip_prefix('"') {
        let (value, behind) = quoted.split_once('"')?;
        return Some((name, value, behind));
    }
    let (value, behind) = value.split_once(';').unwrap_or((value, ""));
    Some((name, value.trim_end(), behind))
}

struct Reader<'b, 'a> {
    framing: Framing<'a>,
    body: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b, '_> {
    /// Where the closing boundary starts. What may follow it is no part of the sealed bytes, which
    /// end before the dashes.
    fn closing(&self) -> Result<usize, MultipartError> {
        let missing = MultipartError::Expected { expected: "closing boundary", at: self.body.len() };
        let mut text = self.body;
        for _ in 0..2 {
            text = text.strip_suffix(b"\r\n").unwrap_or(text);
        }
        let text =
            text.strip_suffix(b"--").and_then(|text| text.strip_suffix(self.framing.boundary.as_bytes()));
        let text = text.and_then(|text| text.strip_suffix(b"--").or_else(|| text.strip_suffix(b"-- ")));
        text.map(<[u8]>::len).ok_or(missing)
    }

    fn part(&mut self, end: usize) -> Result<Part<'b>, MultipartError> {
        self.delimiter()?;
        let protocol = self.framing.protocol.name();
        self.header("Content-Type", "content type of the protocol", |value| {
            value.eq_ignore_ascii_case(protocol).then_some(())
        })?;
        let (content_type, length) = self.header("OriginalContent", "OriginalContent", original)?;
        self.delimiter()?;
        self.header("Content-Type", OCTETS, |value| value.eq_ignore_ascii_case(OCTETS).then_some(()))?;
        let at = self.at;
        let short = || MultipartError::Expected { expected: "token", at };
        let rest = self.body.get(at..end).ok_or_else(short)?;
        let bytes = if self.framing.several { &rest[..self.next_part(rest)] } else { rest };
        self.at += bytes.len();
        let (size, bytes) = bytes.split_first_chunk().ok_or_else(short)?;
        let size = u32::from_le_bytes(*size) as usize;
        let most = TOKEN_BYTES_MAX.min(bytes.len());
        let (token, sealed) = bytes
            .split_at_checked(size)
            .filter(|_| size <= most)
            .ok_or(MultipartError::Token { bytes: size, at, most })?;
        if sealed.len() < length {
            return Err(MultipartError::Cut { sealed: sealed.len(), length, at });
        }
        Ok(Part { content_type, length, token, sealed })
    }

    /// Where among the bytes the boundary of a next part starts, or their end.
    fn next_part(&self, bytes: &[u8]) -> usize {
        let boundary = self.framing.boundary.as_bytes();
        let starts = |found: usize| {
            let before =
                bytes[..found].strip_suffix(b"--").or_else(|| bytes[..found].strip_suffix(b"-- "))?;
            bytes[found + boundary.len()..].starts_with(b"\r\n").then_some(before.len())
        };
        memmem::find_iter(bytes, boundary).find_map(starts).unwrap_or(bytes.len())
    }

    fn delimiter(&mut self) -> Result<(), MultipartError> {
        let at = self.at;
        let missing = || MultipartError::Expected { expected: "boundary", at };
        let line = self.line().ok_or_else(missing)?;
        let name = line.strip_prefix("--").ok_or_else(missing)?;
        let name = name.strip_prefix(' ').filter(|_| !self.framing.boundary.starts_with(' ')).unwrap_or(name);
        if name == self.framing.boundary { Ok(()) } else { Err(missing()) }
    }

    fn header<T>(
        &mut self,
        name: &str,
        expected: &'static str,
        read: impl FnOnce(&'b str) -> Option<T>,
    ) -> Result<T, MultipartError> {
        let at = self.at;
        let missing = || MultipartError::Expected { expected, at };
        let line = self.line().ok_or_else(missing)?;
        let (found, value) = line.split_once(':').ok_or_else(missing)?;
        if !found.trim().eq_ignore_ascii_case(name) {
            return Err(missing());
        }
        read(value.trim()).ok_or_else(missing)
    }

    /// The next line, without its end.
    fn line(&mut self) -> Option<&'b str> {
        let rest = &self.body[self.at..];
        let window = &rest[..rest.len().min(LINE_BYTES_MAX)];
        let end = memmem::find(window, b"\r\n")?;
        self.at += end + 2;
        std::str::from_utf8(&window[..end]).ok()
    }
}

/// `type=application/soap+xml;charset=UTF-16;Length=3240`
fn original(value: &str) -> Option<(&str, usize)> {
    let prefix = value.get(..5).filter(|prefix| prefix.eq_ignore_ascii_case("type="))?;
    let (content_type, length) = value[prefix.len()..].rsplit_once(';')?;
    let (name, length) = length.split_once('=')?;
    if content_type.len() > CONTENT_TYPE_BYTES_MAX {
        return None;
    }
    if !name.trim().eq_ignore_ascii_case("length") || !length.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    Some((content_type.trim(), length.parse().ok()?))
}

#[cfg(test)]
#[path = "multipart_tests.rs"]
mod tests;
