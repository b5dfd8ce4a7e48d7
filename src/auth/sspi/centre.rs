//! The way to the key distribution centres of a realm: one after the other until one answers, each within its time.
//!
//! ```text
//! TCP = [length u32] | message        UDP = message; what is too long for a datagram comes again by TCP
//! ```
//! Whoever answered last is asked first next time, so a centre that is away costs its time once.
//! Promise: an answer is one of Kerberos and of at most `ANSWER_BYTES_MAX`; a request takes no longer than both times
//! of each server together, however slowly one answers. Names are looked up by the system, in its own time.
//! Must not know: what requests ask for.

use crate::auth::handshake::Cause;
use crate::event::Timestamp;
use crate::kerberos::centre::{Answer, Request};
use crate::kerberos::diagnose::Refused;
use crate::kerberos::krb_error::code;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longest answer: a ticket with the largest PAC that Windows makes is of some 70 KiB.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// Most servers of a realm that are tried.
const SERVERS_MAX: usize = 8;
/// Most addresses of a server that are tried.
const ADDRESSES_MAX: usize = 4;
const PORT: u16 = 88;

/// Where the centres of a realm are, and how long they may take.
#[derive(Clone, Debug)]
pub struct CentreSettings {
    pub realm: String,
    pub servers: Vec<Server>,
    pub connect_timeout: Duration,
    pub answer_timeout: Duration,
}

impl CentreSettings {
    /// With the times that are usual: a server that is there connects at once, and has its database in memory.
    pub fn new(realm: &str, servers: Vec<Server>) -> Self {
        let (connect_timeout, answer_timeout) = (Duration::from_secs(3), Duration::from_secs(5));
        Self { realm: realm.into(), servers, connect_timeout, answer_timeout }
    }
}

/// One centre.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub host: String,
    pub port: u16,
    pub is_datagram: bool,
}

impl Server {
    /// `dc1.corp.example`, `dc1.corp.example:1088`, `[::1]:88`, `udp://dc1.corp.example`.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is no key distribution centre; write for example `dc1.corp.example:88`");
        let (scheme, place) = text.split_once("://").unwrap_or(("tcp", text));
        let is_datagram = match scheme {
            "tcp" => false,
            "udp" => true,
            _ => return Err(wrong()),
        };
        if let Ok(address) = place.parse::<SocketAddr>() {
            return Ok(Self { host: address.ip().to_string(), port: address.port(), is_datagram });
        }
        let bare = place.strip_prefix('[').and_then(|place| place.strip_suffix(']')).unwrap_or(place);
        if bare.parse::<Ipv6Addr>().is_ok() {
            return Ok(Self { host: bare.into(), port: PORT, is_datagram });
        }
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
            None => (place, PORT),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        match !host.is_empty() && host.chars().all(is_name) {
            true => Ok(Self { host: host.into(), port, is_datagram }),
            false => Err(wrong()),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, is_datagram } = self;
        f.write_str(if *is_datagram { "udp://" } else { "" })?;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// The centres of a realm.
#[derive(Debug)]
pub struct Centre {
    settings: CentreSettings,
    /// Whoever answered last.
    first: AtomicUsize,
}

/// What a request came to.
pub(super) struct Asked {
    /// Without its length in front.
    pub(super) answer: Result<Vec<u8>, Cause>,
    /// What was refused, by the one that answered as well.
    pub(super) refused: Vec<Refused>,
}

impl Centre {
    pub fn new(mut settings: CentreSettings) -> Self {
        // As the crate writes all realms.
        settings.realm.make_ascii_uppercase();
        Self { settings, first: AtomicUsize::new(0) }
    }

    pub fn realm(&self) -> &str {
        &self.settings.realm
    }

    /// An address for the crate, which wants one; `ask` knows better.
    pub(super) fn url(&self) -> String {
        let server = self.settings.servers.first();
        server.map_or_else(String::new, |server| Server { is_datagram: false, ..server.clone() }.to_string())
    }

    /// Asks the centres of our realm, or for a ticket of another realm `elsewhere`.
    pub(super) fn ask(&self, request: &[u8], elsewhere: Option<Server>) -> Asked {
        let ours = &*self.settings.realm;
        let failed = |cause| Asked { answer: Err(cause), refused: Vec::new() };
        match (Request::parse(request), elsewhere) {
            (Ok(asked), _) if *asked.realm == *ours => {
                self.ask_any(ours, &self.settings.servers, &self.first, request)
            }
            (Ok(Request { realm, is_first: false }), Some(server)) => {
                self.ask_any(&realm, &[server], &AtomicUsize::new(0), request)
            }
            (Ok(Request { realm, .. }), _) => failed(Cause::Realm { ours: ours.into(), asked: realm }),
            (Err(error), _) => failed(Cause::Sspi(format!("a request that is none: {error}").into())),
        }
    }

    fn ask_any(&self, realm: &str, servers: &[Server], last: &AtomicUsize, request: &[u8]) -> Asked {
        let count = servers.len().min(SERVERS_MAX);
        let first = last.load(Ordering::Relaxed) % count.max(1);
        let (mut refused, mut tried) = (Vec::new(), Vec::new());
        for index in (first..count).chain(0..first) {
            let server = &servers[index];
            match self.ask_one(server, request, &mut refused) {
                Ok(answer) => {
                    last.store(index, Ordering::Relaxed);
                    return Asked { answer: Ok(answer), refused };
                }
                Err(why) => tried.push(format!("{server}: {why}")),
            }
        }
        if tried.is_empty() {
            tried.push("none is named".into());
        }
        let cause = Cause::Unreachable { realm: realm.into(), tried: tried.into() };
        Asked { answer: Err(cause), refused }
    }

    /// An answer that counts, be it an error.
    fn ask_one(
        &self,
        server: &Server,
        request: &[u8],
        refused: &mut Vec<Refused>,
    ) -> Result<Vec<u8>, String> {
        let mut bytes = match server.is_datagram {
            true => self.by_datagram(server, request)?,
            false => self.by_stream(server, request)?,
        };
        let is_too_big =
            |answer: &Answer| matches!(answer, Answer::Error(error) if error.code == code::TOO_BIG);
        let mut answer = Answer::parse(&bytes).map_err(|error| error.to_string())?;
        if server.is_datagram && is_too_big(&answer) {
            bytes = self.by_stream(server, request)?;
            answer = Answer::parse(&bytes).map_err(|error| error.to_string())?;
        }
        let Answer::Error(error) = answer else { return Ok(bytes) };
        let is_away = error.code == code::UNAVAILABLE;
        let one = Refused { by: server.to_string().into(), error: *error, at: now() };
        let told = one.to_string();
        refused.push(one);
        if is_away { Err(told) } else { Ok(bytes) }
    }

    fn by_stream(&self, server: &Server, request: &[u8]) -> Result<Vec<u8>, String> {
        let mut stream = self.connect(server)?;
        let until = Instant::now() + self.settings.answer_timeout;
        let length = u32::try_from(request.len()).map_err(|_| "a request that is too long")?;
        let whole = [&length.to_be_bytes(), request].concat();
        stream
            .set_write_timeout(Some(self.settings.answer_timeout))
            .and_then(|()| stream.write_all(&whole))
            .map_err(|error| format!("takes no request: {error}"))?;
        let mut length = [0; 4];
        read(&mut stream, &mut length, until, "of its length")?;
        let length = u32::from_be_bytes(length) as usize;
        if length > ANSWER_BYTES_MAX {
            return Err(format!("answers with {length} bytes; {ANSWER_BYTES_MAX} are the most"));
        }
        let mut answer = vec![0; length];
        read(&mut stream, &mut answer, until, "of its answer")?;
        Ok(answer)
    }

    fn connect(&self, server: &Server) -> Result<TcpStream, String> {
        let until = Instant::now() + self.settings.connect_timeout;
        let mut last = "has no address".to_owned();
        for address in resolved(server)? {
            let Some(left) = left(until) else { break };
            match TcpStream::connect_timeout(&address, left) {
                Ok(stream) => return Ok(stream),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    last = format!("does not connect within {:?}", self.settings.connect_timeout);
                }
                Err(error) => last = format!("does not connect: {error}"),
            }
        }
        Err(last)
    }

    fn by_datagram(&self, server: &Server, request: &[u8]) -> Result<Vec<u8>, String> {
        let until = Instant::now() + self.settings.answer_timeout;
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                format!("does not answer within {:?}", self.settings.answer_timeout)
            }
            _ => format!("does not answer: {error}"),
        };
        let address = resolved(server)?.into_iter().next().ok_or("has no address")?;
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).map_err(failed)?;
        // Datagrams of others do not reach it then.
        socket.connect(address).map_err(failed)?;
        socket.send(request).map_err(failed)?;
        socket.set_read_timeout(left(until)).map_err(failed)?;
        let mut answer = vec![0; usize::from(u16::MAX)];
        let length = socket.recv(&mut answer).map_err(failed)?;
        answer.truncate(length);
        Ok(answer)
    }
}

fn resolved(server: &Server) -> Result<Vec<SocketAddr>, String> {
    let found = (server.host.as_str(), server.port).to_socket_addrs();
    found.map(|all| all.take(ADDRESSES_MAX).collect()).map_err(|error| format!("has no address: {error}"))
}

/// Until then, if it is not past.
fn left(until: Instant) -> Option<Duration> {
    Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
}

/// All of it, in time.
fn read(stream: &mut TcpStream, all: &mut [u8], until: Instant, what: &str) -> Result<(), String> {
    let (mut count, whole) = (0, all.len());
    while count < whole {
        let came = match left(until) {
            Some(left) => stream.set_read_timeout(Some(left)).and_then(|()| stream.read(&mut all[count..])),
            None => Err(io::ErrorKind::TimedOut.into()),
        };
        let why = match came {
            Ok(0) => "then closes".into(),
            Ok(bytes) => {
                count += bytes;
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                "then nothing in time".into()
            }
            Err(error) => error.to_string(),
        };
        return Err(format!("answers with {count} of {whole} bytes {what}, {why}"));
    }
    Ok(())
}

pub(super) fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(now.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
#[path = "centre_tests.rs"]
mod tests;
