//! The address of a collector, taken apart.

/// Where a URL leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) is_tls: bool,
    /// `host:port`, as in the URL.
    pub(super) authority: Box<str>,
    pub(super) host: Box<str>,
    pub(super) port: u16,
    pub(super) path: Box<str>,
}

impl Target {
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let refuse = || {
            format!(
                "`{url}` is no address of a collector; write for example \
                 `https://wec.example:5986/wsman/SubscriptionManager/WEC`"
            )
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(refuse)?;
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(refuse()),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| refuse())?),
            _ => (authority, if is_tls { 5986 } else { 5985 }),
        };
        if host.is_empty() {
            return Err(refuse());
        }
        let path = if path.is_empty() { "/" } else { path };
        let host = host.trim_matches(['[', ']']);
        Ok(Self { is_tls, authority: authority.into(), host: host.into(), port, path: path.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        let target = Target::parse("HTTPS://wec.example/wsman/SubscriptionManager/WEC").unwrap();
        assert_eq!((target.is_tls, &*target.host, target.port), (true, "wec.example", 5986));
        assert_eq!((&*target.authority, &*target.path), ("wec.example", "/wsman/SubscriptionManager/WEC"));
        let target = Target::parse("http://[::1]:80").unwrap();
        assert_eq!((target.is_tls, &*target.host, target.port, &*target.path), (false, "::1", 80, "/"));
        for wrong in ["", "wec.example", "ftp://x", "http://:80/", "http://x:y/"] {
            assert!(Target::parse(wrong).unwrap_err().contains("https://wec.example"), "{wrong}");
        }
    }
}
