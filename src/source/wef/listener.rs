//! Where hosts come in: addresses that are listened on, and what each connection passes before it is
//! served.
//!
//! ```text
//! accept ─► place ─► PROXY header, from listed addresses ─► place of its address ─► TLS ─► connection
//! ```
//! Promise: a peer that sends nothing, or nonsense, costs a socket for a bounded time; others do not wait
//! for it. Must not know: HTTP, messages.

use super::admission::{Admission, Crowd, Place};
use super::complaints::Complaints;
use super::connection::{self, Caller, Service, Site};
use super::entrance::{Entrance, LimitsConfig, taken};
use super::proxy;
use crate::auth::basic::Passwords;
use crate::auth::tickets::{self, Tickets};
use crate::auth::tls;
use crate::finding::Finding;
use crate::source::Report;
use ipnet::IpNet;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

/// Why nobody can come in.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) finding: Finding,
    pub(super) kind: io::ErrorKind,
}

/// Those who wait for `accept`; a whole fleet comes at once after a restart.
const BACKLOG: u32 = 4096;
/// After a failed `accept`, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// For a handshake's turn to come; hosts give up sooner or later too.
const QUEUE_MAX: Duration = Duration::from_secs(30);
/// How often files are looked at for changes.
const REFRESH: Duration = Duration::from_secs(5);
/// For connections to end when the source does; each has less.
const LEAVING_MAX: Duration = Duration::from_secs(3);

impl Entrance {
    /// Listens and serves until `stop`.
    pub(super) async fn serve<S: Service>(
        &self,
        service: S,
        report: Report,
        stop: CancellationToken,
    ) -> Result<(), Closed> {
        let site = self.site(service, report)?;
        let listeners = self.bind()?;
        let LimitsConfig { connections, connections_per_address, handshakes, handshakes_per_address, .. } =
            self.limits;
        let crowd = Crowd { connections, connections_per_address, handshakes, handshakes_per_address };
        let door = Arc::new(Door {
            site,
            admission: Admission::new(crowd),
            proxies: self.proxies.clone(),
            handshake_timeout: self.limits.handshake_timeout.0,
        });
        let mut connections = JoinSet::new();
        let mut refresh = tokio::time::interval(REFRESH);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                accepted = accept(&listeners) => match accepted {
                    Ok((stream, remote)) => {
                        let (door, stop) = (Arc::clone(&door), stop.clone());
                        connections.spawn(async move { door.pass(stream, remote, &stop).await });
                    }
                    Err((address, error)) => {
                        door.site.complaints.tell(address.ip(), "accept", || not_accepted(address, &error));
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                _ = refresh.tick() => door.refresh().await,
            }
        }
        drop(listeners);
        // Whoever is still here then has no answer, and sends again.
        let _ = timeout(LEAVING_MAX, async { while connections.join_next().await.is_some() {} }).await;
        Ok(())
    }

    /// Serves one peer that came in another way.
    pub(super) async fn converse<S: Service>(
        &self,
        service: S,
        report: Report,
        address: IpAddr,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    ) -> Result<(), Closed> {
        let site = self.site(service, report)?;
        let caller = Caller { address, is_tls: false, identity: None, binding: None };
        connection::serve(&site, caller, stream, &CancellationToken::new()).await;
        Ok(())
    }

    /// What its connections share.
    fn site<S>(&self, service: S, report: Report) -> Result<Site<S>, Closed> {
        let closed = |finding| Closed { finding, kind: io::ErrorKind::InvalidData };
        let passwords = self.passwords.as_deref().map(Passwords::open).transpose().map_err(closed)?;
        let tls = self.tls.as_ref().map(tls::Server::open).transpose().map_err(closed)?;
        let (tls, findings) = tls.unzip();
        findings.into_iter().flatten().for_each(|finding| report.find(finding));
        let opened = self.tickets.as_ref().map(Tickets::open).transpose().map_err(closed)?;
        let (tickets, findings) = opened.unzip();
        findings.into_iter().flatten().for_each(|finding| report.find(finding));
        let limits = self.limits.of_connection();
        let metrics = report.entrance(&REFUSALS, &tls::FAILURES, &tickets::REASONS);
        let complaints = Complaints::new(report);
        Ok(Site { tls, tickets, service, passwords, limits, complaints, metrics })
    }

    fn bind(&self) -> Result<Vec<(SocketAddr, TcpListener)>, Closed> {
        let bind = |address: &SocketAddr| {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            socket.set_reuseaddr(true)?;
            socket.bind(*address)?;
            let listener = socket.listen(BACKLOG)?;
            let address = listener.local_addr()?;
            tracing::info!(%address, "listening for hosts");
            Ok((address, listener))
        };
        let closed = |address: &SocketAddr, error: io::Error| Closed {
            finding: taken(*address, &error),
            kind: error.kind(),
        };
        self.listen.iter().map(|address| bind(address).map_err(|error| closed(address, error))).collect()
    }
}

/// What every connection passes.
struct Door<S> {
    site: Site<S>,
    admission: Arc<Admission>,
    proxies: Vec<IpNet>,
    handshake_timeout: Duration,
}

/// Why a connection is closed at once: the limits of that name, and `proxy_from`.
const REFUSALS: [&str; 3] = ["connections", "connections_per_address", "proxy_header"];

impl<S: Service> Door<S> {
    async fn pass(&self, mut stream: TcpStream, remote: SocketAddr, stop: &CancellationToken) {
        let address = remote.ip().to_canonical();
        let complaints = &self.site.complaints;
        self.site.metrics.accepted.inc();
        let Some(_one) = self.admission.enter() else {
            self.site.metrics.refused.count("connections");
            complaints.tell(address, "crowd", || crowded(address, self.admission.count(), "connections"));
            return;
        };
        let _open = self.site.metrics.open();
        prepare(&stream);
        let is_proxy = self.proxies.iter().any(|network| network.contains(&address));
        let address = match is_proxy {
            false => address,
            true => match timeout(self.handshake_timeout, proxied(&mut stream)).await {
                Ok(Ok(told)) => told.map_or(address, |told| told.ip().to_canonical()),
                Ok(Err(why)) => return self.without_header(address, &why),
                Err(_) => return self.without_header(address, "nothing came in time"),
            },
        };
        let Some(place) = self.admission.place(address) else {
            let key = "connections_per_address";
            self.site.metrics.refused.count(key);
            complaints
                .tell(address, "crowd", || crowded(address, self.admission.connections_per_address(), key));
            return;
        };
        let Some(tls) = &self.site.tls else {
            let caller = Caller { address, is_tls: false, identity: None, binding: None };
            return connection::serve(&self.site, caller, stream, stop).await;
        };
        let Some(shaken) = self.shake(tls, &place, stream, address).await else { return };
        let tls::Shaken { stream, identity, binding } = shaken;
        let caller = Caller { address, is_tls: true, identity, binding: Some(binding) };
        connection::serve(&self.site, caller, stream, stop).await;
    }

    fn without_header(&self, address: IpAddr, why: &str) {
        self.site.metrics.refused.count("proxy_header");
        self.site.complaints.tell(address, "proxy", || no_header(address, why));
    }

    /// When it is its turn. A peer that only opens and closes, as health checks do, is no trouble.
    async fn shake(
        &self,
        tls: &tls::Server,
        place: &Place,
        stream: TcpStream,
        address: IpAddr,
    ) -> Option<tls::Shaken<TcpStream>> {
        let late = || tls::Failed::Broken(io::ErrorKind::TimedOut.into());
        let Ok(turn) = timeout(QUEUE_MAX, place.turn()).await else {
            self.site.metrics.failed.count(late().kind());
            return None;
        };
        let _turn = turn?;
        // Apart from the connection, which it is much larger than and shorter.
        let failed = match timeout(self.handshake_timeout, Box::pin(tls.accept(stream))).await {
            Ok(Ok(shaken)) => {
                self.site.metrics.handshakes.inc();
                return Some(shaken);
            }
            Ok(Err(failed)) => failed,
            Err(_) => late(),
        };
        self.site.metrics.failed.count(failed.kind());
        if !failed.is_hang_up() {
            self.site.complaints.tell(address, "tls", || failed.finding(address));
        }
        None
    }

    /// Takes up what has changed on disk.
    async fn refresh(self: &Arc<Self>) {
        let door = Arc::clone(self);
        let refreshed = tokio::task::spawn_blocking(move || {
            let mut findings = door.site.tls.as_ref().map(tls::Server::refresh).unwrap_or_default();
            findings.extend(door.site.tickets.iter().flat_map(Tickets::refresh));
            findings.extend(door.site.passwords.as_ref().and_then(Passwords::refresh));
            findings
        });
        for finding in refreshed.await.unwrap_or_default() {
            self.site.complaints.report(finding);
        }
    }
}

/// The next connection, with the address that it came to where there is none.
async fn accept(
    listeners: &[(SocketAddr, TcpListener)],
) -> Result<(TcpStream, SocketAddr), (SocketAddr, io::Error)> {
    poll_fn(|cx| {
        for (address, listener) in listeners {
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                return Poll::Ready(accepted.map_err(|error| (*address, error)));
            }
        }
        Poll::Pending
    })
    .await
}

/// Answers go out at once, and a host that was switched off is noticed within minutes.
fn prepare(stream: &TcpStream) {
    use rustix::net::sockopt;
    // Best effort: without them it works too.
    let _ = stream.set_nodelay(true);
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, Duration::from_secs(120));
    let _ = sockopt::set_tcp_keepintvl(stream, Duration::from_secs(30));
    let _ = sockopt::set_tcp_keepcnt(stream, 6);
}

/// Reads the header and nothing behind it.
async fn proxied(stream: &mut TcpStream) -> Result<Option<SocketAddr>, Box<str>> {
    let mut header = Vec::new();
    loop {
        match proxy::step(&header) {
            proxy::Step::Done(told) => return Ok(told),
            proxy::Step::Wrong(why) => return Err(why.into()),
            proxy::Step::Read(more) => {
                let before = header.len();
                header.resize(before + more, 0);
                let read = stream.read_exact(&mut header[before..]).await;
                read.map_err(|error| error.to_string())?;
            }
        }
    }
}

fn not_accepted(address: SocketAddr, error: &io::Error) -> Finding {
    Finding {
        what: format!("a connection to {address} could not be accepted"),
        why: error.to_string(),
        fix: "allow more open files (`LimitNOFILE=` of the service, `ulimit -n`)".into(),
    }
}

fn crowded(address: IpAddr, count: usize, key: &str) -> Finding {
    Finding {
        what: format!("a connection of {address} was closed at once"),
        why: format!("there are {count} already"),
        fix: format!("see who that is; if it is all hosts, raise `limits.{key}`"),
    }
}

fn no_header(address: IpAddr, why: &str) -> Finding {
    Finding {
        what: format!("{address}, which is listed in `proxy_from`, sent no PROXY header"),
        why: why.into(),
        fix: "switch the PROXY protocol on at the load balancer, or take it off the list".into(),
    }
}

#[cfg(test)]
#[path = "listener_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "listener_tls_tests.rs"]
mod tls_tests;
