//! The head of a request: method, target, headers, and what they say of the body's length.
//!
//! Pure. RFC 9112, 3 (request line), 6 (length of the body), 9.3 (whether the connection is kept).

use std::ops::Range;

/// A head, with its bytes.
#[derive(Debug)]
pub(in crate::source::wef) struct Head {
    bytes: Box<[u8]>,
    method: Range<usize>,
    target: Range<usize>,
    /// Minor version.
    version: u8,
    /// Name and value of each.
    headers: Vec<(Range<usize>, Range<usize>)>,
}

/// How long the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source::wef) enum Framing {
    Length(u64),
    Chunked,
}

/// What is no head of HTTP/1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source::wef) struct Unfit {
    pub(in crate::source::wef) status: u16,
    pub(in crate::source::wef) why: &'static str,
}

impl Unfit {
    pub(super) const fn new(status: u16, why: &'static str) -> Self {
        Self { status, why }
    }
}

impl Head {
    /// Reads a head at the beginning of `bytes`, and how long it is. None: it goes on.
    pub(in crate::source::wef) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Unfit> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(Unfit::new(431, "it has too many headers")),
            Err(httparse::Error::Version) => return Err(Unfit::new(505, "it is of another version")),
            Err(httparse::Error::HeaderName | httparse::Error::HeaderValue) => {
                return Err(Unfit::new(400, "a header of it is none"));
            }
            Err(_) => return Err(Unfit::new(400, "its first line is not one of HTTP")),
        };
        let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version)
        else {
            return Err(Unfit::new(400, "its first line is not one of HTTP"));
        };
        let range = |part: &[u8]| {
            let start = part.as_ptr().addr() - bytes.as_ptr().addr();
            start..start + part.len()
        };
        let headers = request.headers.iter().map(|one| (range(one.name.as_bytes()), range(one.value)));
        let head = Self {
            method: range(method.as_bytes()),
            target: range(target.as_bytes()),
            version,
            headers: headers.collect(),
            bytes: bytes[..length].into(),
        };
        Ok(Some((head, length)))
    }

    pub(in crate::source::wef) fn method(&self) -> &str {
        self.text(&self.method)
    }

    /// The path of the target, without what follows a `?`.
    pub(in crate::source::wef) fn path(&self) -> &str {
        let (_, path) = self.target();
        path.split(['?', '#']).next().unwrap_or_default()
    }

    /// The authority that the target itself names.
    pub(in crate::source::wef) fn authority(&self) -> Option<&str> {
        self.target().0
    }

    /// Values of a header, in their order.
    pub(in crate::source::wef) fn all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let named = |range: &Range<usize>| self.bytes[range.clone()].eq_ignore_ascii_case(name.as_bytes());
        self.headers.iter().filter(move |one| named(&one.0)).map(|one| &self.bytes[one.1.clone()])
    }

    pub(in crate::source::wef) fn first(&self, name: &str) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// The peer waits for our word before it sends its body.
    pub(in crate::source::wef) fn expects_word(&self) -> bool {
        self.version > 0 && self.lists("expect", "100-continue")
    }

    /// How long the body is. Where a length is not to be relied on, nothing behind it is either.
    pub(in crate::source::wef) fn framing(&self) -> Result<Framing, Unfit> {
        let mut lengths = self.all("content-length");
        let length = lengths.next();
        if lengths.any(|another| Some(another) != length) {
            return Err(Unfit::new(400, "it has two lengths"));
        }
        let mut codings = self.all("transfer-encoding");
        let Some(coding) = codings.next() else {
            return match length {
                Some(length) => number(length).map(Framing::Length).ok_or(NO_LENGTH),
                None => Ok(Framing::Length(0)),
            };
        };
        if length.is_some() || self.version == 0 {
            return Err(Unfit::new(400, "it has a length and is in chunks"));
        }
        match codings.next() {
            None if coding.trim_ascii().eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
            _ => Err(Unfit::new(501, "its transfer encoding is not `chunked`")),
        }
    }

    /// The connection carries another request after this one.
    pub(in crate::source::wef) fn is_kept(&self) -> bool {
        match self.version {
            0 => self.lists("connection", "keep-alive"),
            _ => !self.lists("connection", "close"),
        }
    }

    fn lists(&self, name: &str, word: &str) -> bool {
        let mut words = self.all(name).flat_map(|value| value.split(|byte| *byte == b','));
        words.any(|one| one.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    }

    /// Authority and path, of a target in either form.
    fn target(&self) -> (Option<&str>, &str) {
        let target = self.text(&self.target);
        let absolute = target.split_once("://").filter(|(scheme, _)| {
            scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
        });
        let Some((_, rest)) = absolute else { return (None, target) };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        (Some(authority), if path.starts_with('/') { path } else { "/" })
    }

    fn text(&self, range: &Range<usize>) -> &str {
        // Method and target are text, or it would not have been parsed.
        std::str::from_utf8(&self.bytes[range.clone()]).unwrap_or_default()
    }
}

const NO_LENGTH: Unfit = Unfit::new(400, "its length is no number");
/// Windows sends eight.
const HEADERS_MAX: usize = 64;

/// RFC 9110, 8.6: digits and nothing else.
fn number(text: &[u8]) -> Option<u64> {
    let is_good = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_good)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &str) -> Head {
        Head::parse(lines.as_bytes()).unwrap().unwrap().0
    }

    #[track_caller]
    fn framing(lines: &str, expected: Result<Framing, u16>) {
        let head = head(&format!("POST / HTTP/1.1\r\n{lines}\r\n"));
        assert_eq!(head.framing().map_err(|unfit| unfit.status), expected, "{lines}");
    }

    #[test]
    fn a_head_has_its_parts_and_no_more_than_its_bytes() {
        let text = "POST /wsman/WEC?PolicyId=1 HTTP/1.1\r\nHost: wec:5985\r\nX:  a b \r\nx: c\r\n\r\nbody";
        let (head, length) = Head::parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!(&text[length..], "body");
        assert_eq!((head.method(), head.path(), head.authority()), ("POST", "/wsman/WEC", None));
        assert_eq!(head.all("X").collect::<Vec<_>>(), [b"a b".as_slice(), b"c"]);
        assert_eq!((head.first("host"), head.first("none")), (Some(b"wec:5985".as_slice()), None));
        for end in 0..length {
            assert!(Head::parse(&text.as_bytes()[..end]).unwrap().is_none(), "{end}");
        }
    }

    #[test]
    fn a_target_may_name_its_authority() {
        for (target, authority, path) in [
            ("http://wec:5985/wsman?x", Some("wec:5985"), "/wsman"),
            ("HTTPS://wec", Some("wec"), "/"),
            ("https://wec?x=/y", Some("wec"), "/"),
            ("/a://b", None, "/a://b"),
            ("*", None, "*"),
        ] {
            let head = head(&format!("POST {target} HTTP/1.1\r\n\r\n"));
            assert_eq!((head.authority(), head.path()), (authority, path), "{target}");
        }
    }

    #[test]
    fn a_body_has_one_length() {
        framing("", Ok(Framing::Length(0)));
        framing("Content-Length: 12\r\n", Ok(Framing::Length(12)));
        framing("Content-Length: 12\r\nContent-Length: 12\r\n", Ok(Framing::Length(12)));
        framing("Transfer-Encoding: Chunked\r\n", Ok(Framing::Chunked));
        for lines in [
            "Content-Length: 12\r\nContent-Length: 13\r\n",
            "Content-Length: 12\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: +12\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: 12, 12\r\n",
            "Content-Length: \r\n",
            "Content-Length: 18446744073709551616\r\n",
        ] {
            framing(lines, Err(400));
        }
        framing("Transfer-Encoding: gzip, chunked\r\n", Err(501));
        framing("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(501));
        assert_eq!(
            head("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").framing().unwrap_err().status,
            400
        );
    }

    #[test]
    fn a_connection_is_kept_as_its_version_says() {
        for (lines, is_kept) in [
            ("HTTP/1.1\r\n", true),
            ("HTTP/1.1\r\nConnection: Keep-Alive\r\n", true),
            ("HTTP/1.1\r\nConnection: x, CLOSE\r\n", false),
            ("HTTP/1.0\r\n", false),
            ("HTTP/1.0\r\nConnection: keep-alive\r\n", true),
        ] {
            assert_eq!(head(&format!("POST / {lines}\r\n")).is_kept(), is_kept, "{lines}");
        }
    }

    #[test]
    fn what_is_no_head_says_so() {
        let many = format!("POST / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1));
        for (text, status) in [
            ("\u{16}\u{3}\u{1}hello\r\n\r\n", 400),
            ("POST / HTTP/2.0\r\n\r\n", 505),
            ("POST / HTTP/1.1\r\na b: c\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\na: b\r\n c\r\n\r\n", 400),
            (&many, 431),
        ] {
            assert_eq!(Head::parse(text.as_bytes()).unwrap_err().status, status, "{text}");
        }
    }
}
