//! One connection: HTTP/1.1 as Windows uses it, who is at its other end, and the limits of a request.
//!
//! ```text
//! head ─► POST? ─► who? ─► a body we take? ─► room for it ─► the body ─► Service::answer ─► answer
//!          405      401          415, 413         503           408
//! ```
//! Who is at the other end is known from the handshake of TLS (a certificate), from that of Kerberos, which is the
//! connection's as well (`connection/ticket`), or from each request (Basic).
//!
//! Promise: what is asked of the peer is asked before its body is read; memory for a body is there before
//! the body is. When the peer goes, the answer it waited for is dropped with all that it was doing.
//! Must not know: messages, the basin, how connections are admitted.

mod refused;
mod ticket;
mod who;

use self::refused::Refused;
use self::ticket::Ticket;
use super::answers::{BUSY, Reply};
use super::clock::{Clock, Patience, Timed};
use super::complaints::Complaints;
use super::http::{Answer, Body, Broken, Head, Unread, Wire};
use super::request::{self, Kind};
use super::room::Room;
use super::session::{Collector, Incoming, Peer};
use crate::auth::Scheme;
use crate::auth::basic::Passwords;
use crate::auth::tickets::Tickets;
use crate::auth::tls::{self, Identity};
use crate::finding::Finding;
use crate::source::batch;
use crate::telemetry::metrics::EntranceMetrics;
use hyper::StatusCode;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// What answers requests.
pub(super) trait Service: Send + Sync + 'static {
    /// Waits for memory for a body of so many bytes. None: the peer is to come again later.
    fn admit(
        &self,
        peer: &Peer,
        body_bytes: usize,
        arrived: Instant,
    ) -> impl Future<Output = Option<Room>> + Send;

    fn answer(&self, peer: &Peer, request: Incoming<'_>) -> impl Future<Output = Reply> + Send;

    /// Notes that somebody at this address could not sign in, for a reason of a small set.
    fn denied(&self, _address: IpAddr, _reason: &'static str, _finding: &Finding) {}
}

impl Service for Arc<Collector> {
    async fn admit(&self, peer: &Peer, body_bytes: usize, arrived: Instant) -> Option<Room> {
        Collector::admit(self, peer, body_bytes, arrived).await
    }

    async fn answer(&self, peer: &Peer, request: Incoming<'_>) -> Reply {
        Collector::answer(self, peer, request).await
    }

    fn denied(&self, address: IpAddr, reason: &'static str, finding: &Finding) {
        self.hosts.denied(address, reason, finding, batch::now());
    }
}

/// What all connections of a source share.
#[derive(Debug)]
pub(super) struct Site<S> {
    pub(super) service: S,
    /// Who may sign in with a certificate; shakes hands.
    pub(super) tls: Option<tls::Server>,
    /// Who may sign in with a ticket.
    pub(super) tickets: Option<Tickets>,
    /// Who may sign in with a password.
    pub(super) passwords: Option<Passwords>,
    pub(super) limits: Limits,
    pub(super) complaints: Complaints,
    pub(super) metrics: EntranceMetrics,
}

/// What bounds a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) patience: Patience,
    /// For a body, from the end of its head.
    pub(super) body: Duration,
    pub(super) body_bytes_max: usize,
}

/// Who is at the other end, as far as that is known before a request.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) address: IpAddr,
    pub(super) is_tls: bool,
    /// By its certificate.
    pub(super) identity: Option<Identity>,
    /// What its TLS is known by, to which tickets may be bound.
    pub(super) binding: Option<Arc<[u8]>>,
}

/// Largest head of a request: tickets of machines in many groups make headers of 64 KiB.
const HEAD_BYTES_MAX: usize = 80 * 1024;
/// Who has not signed in may ask who we are, in so many bytes.
const ANONYMOUS_BYTES_MAX: usize = 8 * 1024;
/// Of a body that is refused, so much is read and thrown away, so that the peer gets to read why.
const DISCARDED_BYTES_MAX: usize = 16 << 20;
const DISCARDING_MAX: Duration = Duration::from_secs(10);
/// How long requests under way may take when the source stops.
const LEAVING_MAX: Duration = Duration::from_secs(2);

/// Serves a connection to its end.
pub(super) async fn serve<S: Service>(
    site: &Site<S>,
    caller: Caller,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    stop: &CancellationToken,
) {
    let mut patience = site.limits.patience;
    if caller.identity.is_some() {
        // Whoever has proved who it is may take its time.
        patience.first = patience.idle;
    }
    let clock = Clock::new(patience);
    let address = caller.address;
    let connection = Connection {
        site,
        peer: Mutex::new(who::first(&caller)),
        caller,
        clock: &clock,
        ticket: Ticket::default(),
    };
    let mut wire = Wire::new(Timed::new(stream, &clock));
    if let Err(broken) = connection.serve(&mut wire, stop).await {
        site.complaints.ended(address, clock.stage(), &broken);
    }
    wire.close().await;
}

/// Waits until we go, and for requests under way a little longer.
async fn leaving(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(LEAVING_MAX).await;
}

struct Connection<'s, S> {
    site: &'s Site<S>,
    caller: Caller,
    clock: &'s Clock,
    /// As of the last request: it is mostly that of the next one too.
    peer: Mutex<Arc<Peer>>,
    ticket: Ticket,
}

impl<S: Service> Connection<'_, S> {
    /// One request after the other, until there are no more.
    async fn serve<T>(&self, wire: &mut Wire<'_, T>, stop: &CancellationToken) -> Result<(), Broken>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send,
    {
        loop {
            let head = tokio::select! {
                head = wire.head(HEAD_BYTES_MAX) => head,
                () = stop.cancelled() => return Ok(()),
            };
            let head = match head {
                Ok(Some(head)) => head,
                Ok(None) => return Ok(()),
                Err(broken) => {
                    if let Broken::Unfit(unfit) = &broken {
                        let status = StatusCode::from_u16(unfit.status).unwrap_or(StatusCode::BAD_REQUEST);
                        let _ = wire.answer(&Answer { status, ..Answer::default() }, false).await;
                    }
                    return Err(broken);
                }
            };
            // Apart from the connection, which is there for hours with nothing to do.
            let asked: Pin<Box<dyn Future<Output = _> + Send + '_>> = Box::pin(self.one(head, wire));
            let is_kept = tokio::select! {
                is_kept = asked => is_kept?,
                () = leaving(stop) => return Ok(()),
            };
            if !is_kept {
                return Ok(());
            }
        }
    }

    /// Answers a request. Whether another may follow.
    async fn one<T>(&self, head: Head, wire: &mut Wire<'_, T>) -> Result<bool, Broken>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let arrived = self.clock.requested();
        let framing = request::framing(&head);
        let mut body = match &framing {
            Ok(framing) => wire.body(*framing, head.expects_word()),
            Err(unfit) => {
                let answer = self.refuse(&Refused::Unfit(unfit.clone()));
                self.clock.answered();
                return wire.answer(&answer.0, false).await.map(|()| false);
            }
        };
        let (mut answer, close) = match self.prepare(&head, body.length()).await {
            Ok(None) => response(Reply::empty(200)),
            Ok(Some(prepared)) => self.reply(prepared, &head, &mut body, arrived).await?,
            Err(refused) => {
                let answer = self.refuse(&refused);
                discard(&mut body).await;
                answer
            }
        };
        ticket::greet(&mut answer, self.ticket.greeting());
        let is_kept = head.is_kept() && body.is_read() && !close;
        self.clock.answered();
        wire.answer(&answer, is_kept).await.map(|()| is_kept)
    }

    /// What can be said before the body is read. None: there is no body.
    async fn prepare<'r>(
        &self,
        head: &'r Head,
        length: Option<u64>,
    ) -> Result<Option<Prepared<'r>>, Refused> {
        request::method(head.method()).map_err(Refused::Unfit)?;
        let authority = request::authority(head).map_err(Refused::Unfit)?;
        let peer = self.sign_in(head, authority).await?;
        // With an empty body a host only signs in.
        if length == Some(0) {
            return Ok(None);
        }
        let is_by_ticket = peer.principal.as_ref().is_some_and(|known| known.scheme == Scheme::Kerberos);
        if request::is_sealed(head) && !is_by_ticket {
            return Err(Refused::Unfit(request::sealed_by_none()));
        }
        let kind = request::kind(head).map_err(Refused::Unfit)?;
        // What everybody on the way can read and change is nobody's.
        let is_exposed = is_by_ticket && kind.sealed.is_none() && !self.caller.is_tls;
        let peer = if is_exposed { Arc::new(Peer { principal: None, ..(*peer).clone() }) } else { peer };
        let bytes_max = match peer.principal {
            Some(_) => self.site.limits.body_bytes_max,
            None => ANONYMOUS_BYTES_MAX,
        };
        let length = length.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        if length.is_some_and(|length| length > bytes_max) {
            let too_large = || request::too_large(length, bytes_max);
            return Err(Refused::Unfit(if is_exposed { request::unsealed() } else { too_large() }));
        }
        Ok(Some(Prepared { peer, kind, length, bytes_max, is_exposed }))
    }

    /// Reads the body and answers it.
    async fn reply<T>(
        &self,
        prepared: Prepared<'_>,
        head: &Head,
        body: &mut Body<'_, '_, T>,
        arrived: Instant,
    ) -> Result<(Answer, bool), Broken>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let Prepared { peer, kind, length, bytes_max, is_exposed } = prepared;
        let Some(room) = self.site.service.admit(&peer, length.unwrap_or(bytes_max), arrived).await else {
            discard(body).await;
            return Ok(response(Reply { close: true, ..BUSY }));
        };
        let bytes = match timeout(self.site.limits.body, body.collect(bytes_max)).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(Unread::TooLarge)) => {
                let unfit = request::too_large(None, bytes_max);
                self.tell(&peer, &unfit);
                discard(body).await;
                return Ok(response(unfit.reply()));
            }
            Ok(Err(Unread::Broken(Broken::Unfit(unfit)))) => {
                let unfit = request::unframed(unfit);
                self.tell(&peer, &unfit);
                return Ok(response(unfit.reply()));
            }
            // Nobody is there to read an answer.
            Ok(Err(Unread::Broken(broken))) => return Err(broken),
            Err(_) => {
                let unfit = request::too_slow(self.site.limits.body);
                self.tell(&peer, &unfit);
                return Ok(response(unfit.reply()));
            }
        };
        if bytes.is_empty() {
            return Ok(response(Reply::empty(200)));
        }
        let mut charset_hint = kind.charset;
        let mut indented = false;
        let bytes = match kind.sealed {
            None => bytes,
            Some(framing) => match self.ticket.open(framing, bytes) {
                Ok(opened) => {
                    (charset_hint, indented) = (opened.charset, opened.is_indented);
                    opened.body
                }
                Err(unfit) => {
                    self.tell(&peer, &unfit);
                    return Ok(response(unfit.reply()));
                }
            },
        };
        let (path, is_sldc) = (head.path(), kind.is_sldc);
        let request = Incoming { path, is_sldc, charset_hint, body: bytes, room, arrived };
        let reply = tokio::select! {
            biased;
            reply = self.site.service.answer(&peer, request) => reply,
            () = body.gone() => return Err(Broken::Cut),
        };
        if is_exposed && reply.status != 200 {
            self.tell(&peer, &request::unsealed());
        }
        let Some(framing) = kind.sealed else { return Ok(response(reply)) };
        let (reply, content_type) = self.ticket.seal(framing, indented, reply);
        Ok(typed(reply, content_type))
    }
}

/// A request whose body may be read.
struct Prepared<'r> {
    peer: Arc<Peer>,
    kind: Kind<'r>,
    length: Option<usize>,
    bytes_max: usize,
    /// Its body crosses the network as it is, of somebody who could have sealed it.
    is_exposed: bool,
}

/// A reply as an answer, and whether the connection ends with it.
fn response(reply: Reply) -> (Answer, bool) {
    typed(reply, None)
}

/// The same with another type than the message has.
fn typed(reply: Reply, content_type: Option<String>) -> (Answer, bool) {
    let Reply { status, body, content_type: own, close } = reply;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = content_type.or_else(|| own.map(str::to_owned));
    let headers = content_type.map(|content_type| ("content-type", content_type)).into_iter().collect();
    (Answer { status, headers, body: body.unwrap_or_default() }, close)
}

async fn discard<T: AsyncRead + AsyncWrite + Unpin>(body: &mut Body<'_, '_, T>) {
    let _ = timeout(DISCARDING_MAX, body.discard(DISCARDED_BYTES_MAX)).await;
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
