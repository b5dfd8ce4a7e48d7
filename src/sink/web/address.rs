//! What stands in `url`: where a receiver is reached.
//!
//! Must not know: what is said there.

use hyper::Uri;
use std::fmt;

/// A checked address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) is_tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// As it stands in the `Host` header.
    pub(crate) authority: String,
    /// In front of the path of every request, without a `/` at its end.
    pub(crate) path: String,
    /// With its `?`, or empty.
    pub(crate) query: String,
}

impl Address {
    /// # Errors
    /// What is wrong, in words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let example = "write such as `https://siem.example.org:8088`";
        let uri: Uri =
            text.parse().map_err(|error| format!("`{text}` is no address ({error}); {example}"))?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(format!("`{text}` is no address of HTTP; {example}")),
        };
        let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        if authority.contains('@') {
            // Not told back: a password stands in it.
            return Err(format!("credentials do not belong into an address; {example}"));
        }
        let host = uri.host().unwrap_or_default().to_owned();
        if host.is_empty() {
            return Err(format!("`{text}` names no machine; {example}"));
        }
        let port = match uri.port() {
            Some(port) => port.as_u16(),
            None if is_tls => 443,
            None => 80,
        };
        Ok(Self {
            is_tls,
            host,
            port,
            authority: authority.to_owned(),
            path: uri.path().trim_end_matches('/').to_owned(),
            query: uri.query().map(|query| format!("?{query}")).unwrap_or_default(),
        })
    }
}

/// Without the query, which may hold a key.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.is_tls { "https" } else { "http" }, self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let address = Address::parse("https://siem.example.org:8088/base/?key=1").unwrap();
        assert_eq!((address.host.as_str(), address.port, address.is_tls), ("siem.example.org", 8088, true));
        assert_eq!((address.path.as_str(), address.query.as_str()), ("/base", "?key=1"));
        assert_eq!(address.to_string(), "https://siem.example.org:8088/base");
        assert_eq!(Address::parse("http://[::1]").unwrap().port, 80);
        for (text, word) in [
            ("siem:8088", "no address"),
            ("ftp://siem", "no address of HTTP"),
            ("/services", "no address of HTTP"),
            ("https://user:secret@siem", "credentials"),
        ] {
            let why = Address::parse(text).unwrap_err();
            assert!(why.contains(word) && !why.contains("secret"), "{why}");
        }
    }
}
