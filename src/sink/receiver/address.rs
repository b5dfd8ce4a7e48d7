//! Host and port of receivers, as written: `"siem.example.org:6514"`, or a list of such.

use crate::filter::OneOrMany;
use crate::sink::SinkError;
use std::fmt;

/// Most receivers of one output.
const RECEIVERS_MAX: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sink) struct Address {
    host: Box<str>,
    port: u16,
}

/// Checked.
///
/// # Errors
/// Says what an address looks like.
pub(super) fn parse(OneOrMany(written): &OneOrMany<String>) -> Result<Vec<Address>, SinkError> {
    let wrong = |why: String| SinkError::Setting { setting: "address", why };
    if written.is_empty() || written.len() > RECEIVERS_MAX {
        return Err(wrong(format!(
            "1 to {RECEIVERS_MAX} receivers can be tried in turn, such as `siem.example.org:6514`"
        )));
    }
    let parse = |text: &String| {
        Address::parse(text).ok_or_else(|| {
                let text = text.escape_debug();
                wrong(format!(
                    "`{text}` is not a host and a port; write such as `siem.example.org:6514` or `[2001:db8::7]:6514`"
                ))
            })
    };
    written.iter().map(parse).collect()
}

impl Address {
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_good = match bare {
            Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty()
                    && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
            }
        };
        is_good.then(|| Self { host: bare.unwrap_or(host).into(), port })
    }

    pub(in crate::sink) fn host(&self) -> &str {
        &self.host
    }

    pub(in crate::sink) fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_a_host_and_a_port() {
        for good in ["siem.example.org:6514", "10.0.0.1:514", "[2001:db8::7]:6514", "log_1:601"] {
            assert_eq!(Address::parse(good).map(|address| address.to_string()).as_deref(), Some(good));
        }
        for wrong in [
            "siem",
            "siem:",
            ":514",
            "siem:0",
            "siem:70000",
            "2001:db8::7:514",
            "a b:514",
            "[x]:514",
            "tcp://a:1",
        ] {
            assert_eq!(Address::parse(wrong), None, "{wrong}");
        }
        let none = parse(&OneOrMany(Vec::new())).unwrap_err();
        assert!(none.to_string().contains("1 to 16"), "{none}");
    }
}
