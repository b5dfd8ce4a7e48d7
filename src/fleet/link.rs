//! The way of one host to one address: a connection that is kept, made anew when it is gone, and the
//! sign-in.

use super::host::Host;
use super::http::{Answer, Connection, Delivery, HttpError, Outgoing, Socket};
use super::stranger::Stranger;
use super::target::Target;
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
    host: Arc<Host>,
    target: Target,
    connection: Option<Connection>,
}

impl Link {
    pub(super) fn new(host: &Arc<Host>, target: Target) -> Self {
        Self { host: Arc::clone(host), target, connection: None }
    }

    /// Sends a body and waits for the answer. A connection that turns out to be closed is made anew, once:
    /// the collector may have closed it while it was idle.
    pub(super) async fn exchange(
        &mut self,
        mut request: Outgoing,
        charset: Charset,
        sldc: bool,
        how: Delivery,
    ) -> Result<Answer, HttpError> {
        let settings = &self.host.shared.plan.settings;
        let (limit, password) = (settings.timeout, settings.password.as_deref());
        let authorization = password.map(|password| {
            format!("Basic {}", BASE64_STANDARD.encode(format!("{}:{password}", self.host.name)))
        });
        request.head(&self.target, charset.name(), sldc, authorization.as_deref());
        let tls = self.host.tls.as_ref();
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect(tls).await?,
        };
        let was_used = connection.was_used;
        let mut exchanged = connection.exchange(&request, how, limit).await;
        let is_stale = matches!(exchanged, Err(HttpError::Closed | HttpError::Broken(_)));
        if was_used && is_stale {
            exchanged = self.connect(tls).await?.exchange(&request, how, limit).await;
        }
        let (answer, connection) = exchanged?;
        self.connection = connection;
        Ok(answer)
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
        request.head(&self.target, charset.name(), false, None);
        let connection = self.connect(tls.as_ref()).await?;
        let exchanged = connection.exchange(&request, Delivery::Whole, plan.settings.timeout).await?;
        Ok(exchanged.0)
    }

    async fn connect(&self, config: Option<&Arc<ClientConfig>>) -> Result<Connection, HttpError> {
        let connected = timeout(CONNECT_TIMEOUT, self.open(config)).await;
        let socket = connected.map_err(|_| HttpError::Connect(io::ErrorKind::TimedOut.into()))??;
        self.host.shared.meter.tally(|tally| tally.connections += 1);
        Ok(Connection::new(socket))
    }

    async fn open(&self, config: Option<&Arc<ClientConfig>>) -> Result<Box<dyn Socket>, HttpError> {
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
            (Some(config), true) => tls(stream, host, config).await.map_err(HttpError::Tls),
            (None, true) => {
                let why = "the subscription is to be delivered by TLS, and the host has no certificate";
                Err(HttpError::Tls(io::Error::other(why)))
            }
            (_, false) => Ok(Box::new(stream)),
        }
    }
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

async fn tls(
    stream: tokio::net::TcpStream,
    host: &str,
    config: &Arc<ClientConfig>,
) -> io::Result<Box<dyn Socket>> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await?;
    Ok(Box::new(stream))
}
