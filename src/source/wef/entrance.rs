//! What a pipeline says of where hosts come in, and whether that makes sense.
//!
//! Opens nothing. Must not know: how connections are served.

use super::clock::Patience;
use super::connection::Limits;
use crate::auth::AuthConfig;
use crate::auth::basic::Passwords;
use crate::auth::tickets::{self, Tickets};
use crate::auth::tls;
use crate::filter::OneOrMany;
use crate::finding::Finding;
use crate::units::{ByteSize, Span};
use crate::wsman::subscription::Thumbprint;
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Bounds on connections.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Connections at once. A host has one for each of its subscriptions, and one more now and then.
    pub connections: usize,
    /// Connections of one address, behind which a whole site may be.
    pub connections_per_address: usize,
    /// Handshakes under way at once; more wait.
    pub handshakes: usize,
    /// Handshakes of one address under way at once; more wait.
    pub handshakes_per_address: usize,
    /// For a handshake, a PROXY header included.
    pub handshake_timeout: Span,
    /// For the head of a request, and until the first one of a peer that has not signed in.
    pub head_timeout: Span,
    /// For the body of a request.
    pub body_timeout: Span,
    /// For an answer to be taken.
    pub write_timeout: Span,
    /// Between two requests. Hosts are silent for as long as `heartbeat` of their subscription.
    pub idle_timeout: Span,
    /// Largest body, as it comes: an envelope of 500 KiB and what wraps it.
    pub body_max: ByteSize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            connections: 20_000,
            connections_per_address: 10_000,
            handshakes: 256,
            handshakes_per_address: 64,
            handshake_timeout: Span::secs(10),
            head_timeout: Span::secs(20),
            body_timeout: Span::secs(60),
            write_timeout: Span::secs(30),
            // Longer than the longest heartbeat of Windows' own presets, which is six hours.
            idle_timeout: Span::secs(7 * 3600),
            body_max: ByteSize::kib(576),
        }
    }
}

/// What a pipeline says of where hosts come in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written<'c> {
    pub(super) listen: &'c OneOrMany<String>,
    pub(super) tls: Option<&'c tls::Config>,
    pub(super) auth: &'c AuthConfig,
    pub(super) insecure_plain_http: bool,
    pub(super) proxy_from: &'c [String],
    pub(super) limits: &'c LimitsConfig,
}

/// A key of it that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) key: &'static str,
    pub(super) what: String,
    pub(super) fix: &'static str,
}

/// Where hosts come in, checked.
#[derive(Clone, Debug)]
pub(super) struct Entrance {
    pub(super) listen: Vec<SocketAddr>,
    pub(super) tls: Option<tls::Spec>,
    pub(super) tickets: Option<tickets::Config>,
    pub(super) passwords: Option<PathBuf>,
    pub(super) proxies: Vec<IpNet>,
    pub(super) limits: LimitsConfig,
}

impl Entrance {
    /// Checks what was written; opens nothing.
    pub(super) fn open(written: &Written<'_>) -> Result<Self, Wrong> {
        let Written { listen, tls, auth, insecure_plain_http, proxy_from, limits } = *written;
        let listen: Vec<SocketAddr> = listen.iter().map(|text| address(text)).collect::<Result<_, _>>()?;
        if listen.is_empty() {
            return Err(wrong("listen", "`listen` is empty".into(), "write one such as `0.0.0.0:5986`"));
        }
        let tls = signing_in(tls, auth, insecure_plain_http)?;
        let proxies = proxy_from.iter().map(|text| network(text)).collect::<Result<_, _>>()?;
        check(limits)?;
        let passwords = auth.basic.as_ref().map(|basic| basic.passwords.clone());
        let tickets = auth.kerberos.clone();
        Ok(Self { listen, tls, tickets, passwords, proxies, limits: limits.clone() })
    }

    /// What would keep it from listening now. Changes nothing.
    pub(super) fn probe(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> =
            self.passwords.iter().filter_map(|path| Passwords::open(path).err()).collect();
        match self.tls.as_ref().map(tls::Server::open) {
            Some(Ok((_, trouble))) => findings.extend(trouble),
            Some(Err(finding)) => findings.push(finding),
            None => {}
        }
        findings.extend(self.tickets.iter().flat_map(Tickets::probe));
        for address in &self.listen {
            findings.extend(std::net::TcpListener::bind(address).err().map(|error| taken(*address, &error)));
        }
        findings
    }
}

impl LimitsConfig {
    pub(super) fn of_connection(&self) -> Limits {
        Limits {
            patience: Patience {
                first: self.head_timeout.0,
                head: self.head_timeout.0,
                idle: self.idle_timeout.0,
                write: self.write_timeout.0,
            },
            body: self.body_timeout.0,
            body_bytes_max: usize::try_from(self.body_max.0).unwrap_or(usize::MAX),
        }
    }
}

/// Hosts prove who they are, and nobody listens on the way, unless somebody says so in words.
fn signing_in(
    own: Option<&tls::Config>,
    auth: &AuthConfig,
    insecure_plain_http: bool,
) -> Result<Option<tls::Spec>, Wrong> {
    let AuthConfig { certificate, kerberos, basic } = auth;
    if certificate.is_none() && kerberos.is_none() && basic.is_none() {
        let fix = "add `auth.kerberos`, `auth.certificate` or `auth.basic`";
        return Err(wrong("auth", "nobody could sign in".into(), fix));
    }
    if let Some(service) =
        kerberos.iter().flat_map(|kerberos| &kerberos.services).find(|name| !is_service(name))
    {
        let what = format!("`{}` is no service with its realm", service.escape_debug());
        return Err(wrong(
            "auth.kerberos.services",
            what,
            "write one such as `HTTP/wec.corp.example@CORP.EXAMPLE`",
        ));
    }
    let Some(own) = own else {
        if certificate.is_some() {
            let what = "certificates are shown over TLS only".into();
            return Err(wrong(
                "auth.certificate",
                what,
                "add `tls` with a certificate of our own and its key",
            ));
        }
        if basic.is_some() && !insecure_plain_http {
            return Err(wrong(
                "auth.basic",
                "passwords and events would cross the network in plain HTTP".into(),
                "add `tls`, or write `insecure_plain_http = true` if that is meant, such as for a test",
            ));
        }
        return Ok(None);
    };
    if let Some(clients) = certificate {
        if clients.ca.is_empty() {
            let what = "no authority is named".into();
            return Err(wrong(
                "auth.certificate.ca",
                what,
                "name the files of those that issue hosts' certificates",
            ));
        }
        if let Some(text) = clients.issuers.iter().find(|text| Thumbprint::parse(text).is_none()) {
            let what = format!("`{}` is no thumbprint", text.escape_debug());
            let fix =
                "write the 40 hex digits of the issuer's SHA-1, as after `IssuerCA=` of the group policy";
            return Err(wrong("auth.certificate.issuers", what, fix));
        }
    }
    Ok(Some(tls::Spec {
        own: own.clone(),
        clients: certificate.clone(),
        others_may_come: basic.is_some() || kerberos.is_some(),
    }))
}

/// `HTTP/host@REALM`
fn is_service(name: &str) -> bool {
    let parts = name.split_once('@').and_then(|(service, realm)| Some((service.split_once('/')?, realm)));
    parts.is_some_and(|((service, host), realm)| ![service, host, realm].contains(&""))
}

fn wrong(key: &'static str, what: String, fix: &'static str) -> Wrong {
    Wrong { key, what, fix }
}

fn address(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().map_err(|_| {
        let what = format!("`{}` is not an address and port", text.escape_debug());
        wrong("listen", what, "write one such as `0.0.0.0:5986` or `[::]:5986`")
    })
}

fn network(text: &str) -> Result<IpNet, Wrong> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| {
        let what = format!("`{}` is not an address or a network", text.escape_debug());
        wrong("proxy_from", what, "write one such as `10.0.0.7` or `10.0.0.0/24`")
    })
}

fn check(limits: &LimitsConfig) -> Result<(), Wrong> {
    for (key, number) in [
        ("limits.connections", limits.connections),
        ("limits.connections_per_address", limits.connections_per_address),
        ("limits.handshakes", limits.handshakes),
        ("limits.handshakes_per_address", limits.handshakes_per_address),
    ] {
        if number == 0 {
            return Err(wrong(key, "nobody could come in".into(), "leave it out, or write a number above 0"));
        }
    }
    for (key, time) in [
        ("limits.handshake_timeout", limits.handshake_timeout),
        ("limits.head_timeout", limits.head_timeout),
        ("limits.body_timeout", limits.body_timeout),
        ("limits.write_timeout", limits.write_timeout),
        ("limits.idle_timeout", limits.idle_timeout),
    ] {
        if time < Span::secs(1) {
            return Err(wrong(key, format!("{time} is no time"), "leave it out, or write at least `1s`"));
        }
    }
    if limits.body_max < ByteSize::kib(16) || limits.body_max > ByteSize::mib(64) {
        let what = format!("{} is no size for a body", limits.body_max);
        return Err(wrong("limits.body_max", what, "write `16KiB` to `64MiB`; Windows sends up to 500 KiB"));
    }
    Ok(())
}

pub(super) fn taken(address: SocketAddr, error: &io::Error) -> Finding {
    Finding {
        what: format!("hosts cannot come in at {address}"),
        why: error.to_string(),
        fix: "stop what uses that port, or change `listen`".into(),
    }
}
