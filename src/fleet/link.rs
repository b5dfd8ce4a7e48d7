//! The way of one host to one address: a connection that is kept, made anew when it is gone, and the
//! sign-in: with each request by password, or once for each connection, by certificate or in a domain. Behind
//! a handshake of a domain bodies are sealed, unless the connection is.

use super::host::Host;
use super::http::{Answer, Connection, Delivery, HttpError};
use super::outgoing::Outgoing;
use super::sealing::Sealing;
use super::sign_in::{Caller, Opened};
use super::stranger::Stranger;
use super::target::Target;
use crate::auth::tls::end_point;
use crate::wsman::charset::Charset;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpSocket;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) struct Link {
    way: Way,
    line: Option<Line>,
}

/// Who goes, and where to.
pub(super) struct Way {
    host: Arc<Host>,
    target: Target,
}

/// A connection on which the host has proved itself, if it does so once for each.
struct Line {
    connection: Connection,
    sealing: Option<Sealing>,
}

/// A body, and what its head says.
struct Message {
    body: Outgoing,
    content_type: String,
    sldc: bool,
}

impl Link {
    pub(super) fn new(host: &Arc<Host>, target: Target) -> Self {
        Self { way: Way { host: Arc::clone(host), target }, line: None }
    }

    /// Sends a body and waits for the answer. A connection that turns out to be closed, or that the collector
    /// no longer knows the host on, is made anew, once: it may have been so while it was idle.
    pub(super) async fn exchange(
        &mut self,
        body: Outgoing,
        charset: Charset,
        sldc: bool,
        how: Delivery,
    ) -> Result<Answer, HttpError> {
        let mut message = Message { body, content_type: content_type(charset), sldc };
        let was_used = self.line.as_ref().is_some_and(|line| line.connection.was_used);
        let exchanged = self.attempt(&mut message, how).await;
        let is_stale = match &exchanged {
            Err(HttpError::Closed | HttpError::Broken(_)) => true,
            Ok(answer) => answer.status == 401 && self.way.host.machine.is_some(),
            Err(_) => false,
        };
        if was_used && is_stale { self.attempt(&mut message, how).await } else { exchanged }
    }

    pub(super) const fn way(&self) -> &Way {
        &self.way
    }

    /// The connection ends here.
    pub(super) fn hang_up(&mut self) {
        self.line = None;
    }

    async fn attempt(&mut self, message: &mut Message, how: Delivery) -> Result<Answer, HttpError> {
        let Line { connection, mut sealing } = match self.line.take() {
            Some(line) => line,
            None => self.way.sign_in(message).await?,
        };
        let settings = &self.way.host.shared.plan.settings;
        let Message { body, content_type, sldc } = message;
        let sealed = match &mut sealing {
            Some(sealing) => {
                let mut sealed = sealing.seal(body.body(), content_type)?;
                sealed.head(&self.way.target, &sealing.content_type(), *sldc, None);
                Some(sealed)
            }
            None => {
                let password = settings.password.as_deref().map(|password| {
                    format!("Basic {}", BASE64_STANDARD.encode(format!("{}:{password}", self.way.host.name)))
                });
                body.head(&self.way.target, content_type, *sldc, password.as_deref());
                None
            }
        };
        let request = sealed.as_ref().unwrap_or(body);
        let (mut answer, kept) = connection.exchange(request, how, settings.timeout).await?;
        if self.way.host.machine.is_some() && answer.status == 401 {
            // Whatever it says, and the connection is of no use any more.
            answer.body.clear();
            return Ok(answer);
        }
        if let Some(sealing) = &mut sealing {
            sealing.open(&mut answer)?;
        }
        self.line = kept.map(|connection| Line { connection, sealing });
        Ok(answer)
    }
}

impl Way {
    /// A new connection, ready for a message.
    async fn sign_in(&self, message: &Message) -> Result<Line, HttpError> {
        let shared = &self.host.shared;
        let opened = self.connect(self.host.tls.as_ref()).await?;
        let (Some(domain), Some(machine)) = (&shared.plan.domain, &self.host.machine) else {
            return Ok(Line { connection: opened.connection, sealing: None });
        };
        let (to, content_type) = (&self.target, message.content_type.as_str());
        let limit = shared.plan.settings.timeout;
        let caller = Caller { domain, machine, to, content_type, sldc: message.sldc, limit };
        let signed_in = caller.sign_in(opened).await.and_then(|(connection, established)| {
            // What TLS protects is not sealed again.
            let seal = (!to.is_tls).then(|| Sealing::new(established.seal, domain.scheme().protocol()));
            Ok(Line { connection, sealing: seal.transpose()? })
        });
        shared.meter.handshake(signed_in.as_ref().err().map(HttpError::to_string).as_deref());
        signed_in
    }

    /// The same way once, as somebody who is not to be let in.
    pub(super) async fn intrude(
        &self,
        stranger: Stranger,
        mut request: Outgoing,
        charset: Charset,
    ) -> Result<Answer, HttpError> {
        let plan = &self.host.shared.plan;
        let tls = plan.tls.as_ref().map(|tls| tls.of_stranger(stranger, &self.host.name)).transpose();
        let tls = tls.map_err(|error| HttpError::Tls(io::Error::other(error)))?;
        request.head(&self.target, &content_type(charset), false, None);
        let Opened { connection, .. } = self.connect(tls.as_ref()).await?;
        let exchanged = connection.exchange(&request, Delivery::Whole, plan.settings.timeout).await?;
        Ok(exchanged.0)
    }

    async fn connect(&self, config: Option<&Arc<ClientConfig>>) -> Result<Opened, HttpError> {
        let connected = timeout(CONNECT_TIMEOUT, self.open(config)).await;
        let opened = connected.map_err(|_| HttpError::Connect(io::ErrorKind::TimedOut.into()))??;
        self.host.shared.meter.tally(|tally| tally.connections += 1);
        Ok(opened)
    }

    async fn open(&self, config: Option<&Arc<ClientConfig>>) -> Result<Opened, HttpError> {
        let settings = &self.host.shared.plan.settings;
        let Target { host, port, is_tls, .. } = &self.target;
        let to = match settings.connect {
            Some(to) => to,
            None => resolved(host, *port).await.map_err(HttpError::Connect)?,
        };
        let from = match settings.from.len() {
            0 => None,
            count => Some(settings.from[self.host.number as usize % count]),
        };
        let stream = tcp(to, from).await.map_err(HttpError::Connect)?;
        match (config, is_tls) {
            (Some(config), true) => {
                let is_bound = self.host.machine.is_some();
                tls(stream, host, config, is_bound).await.map_err(HttpError::Tls)
            }
            (None, true) => {
                let why = "the subscription is to be delivered by TLS, and no CA is named that vouches for the collector";
                Err(HttpError::Tls(io::Error::other(why)))
            }
            (_, false) => Ok(Opened { connection: Connection::new(Box::new(stream)), bindings: None }),
        }
    }
}

fn content_type(charset: Charset) -> String {
    format!("application/soap+xml;charset={}", charset.name())
}

async fn resolved(host: &str, port: u16) -> io::Result<SocketAddr> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok((address, port).into());
    }
    let mut found = tokio::net::lookup_host((host, port)).await?;
    found.next().ok_or_else(|| io::Error::other(format!("{host} has no address")))
}

async fn tcp(to: SocketAddr, from: Option<IpAddr>) -> io::Result<tokio::net::TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(from) = from {
        socket.bind((from, 0).into())?;
    }
    let stream = socket.connect(to).await?;
    // A request leaves in one write: nothing is to be waited for.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// `is_bound` is whether somebody asks what the connection is known by.
async fn tls(
    stream: tokio::net::TcpStream,
    host: &str,
    config: &Arc<ClientConfig>,
    is_bound: bool,
) -> io::Result<Opened> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await?;
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let bindings = shown.filter(|_| is_bound).map(|certificate| end_point(certificate));
    Ok(Opened { connection: Connection::new(Box::new(stream)), bindings })
}
