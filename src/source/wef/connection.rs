//! One connection: HTTP/1.1 as Windows uses it, who is at its other end, and the limits of a request.
//!
//! ```text
//! head ─► POST? ─► who? ─► a body we take? ─► room for it ─► the body ─► Service::answer ─► answer
//!          405      401          415, 413         503           408
//! ```
//! Who is at the other end is known from the handshake (a certificate) or from each request (Basic); a
//! security context would belong here, because it lives as long as the connection.
//!
//! Promise: what is asked of the peer is asked before its body is read; memory for a body is there before
//! the body is. When the peer goes, the answer it waited for is dropped with all that it was doing.
//! Must not know: messages, the basin, how connections are admitted.

mod refused;

use self::refused::Refused;
use super::answers::{BUSY, Reply};
use super::clock::{Clock, Patience, Timed};
use super::complaints::Complaints;
use super::http::{Answer, Body, Broken, Head, Unread, Wire};
use super::request::{self, Kind};
use super::room::Room;
use super::session::{Collector, Incoming, Peer};
use crate::auth::Principal;
use crate::auth::basic::{Denied, Passwords};
use crate::auth::tls::{self, Identity};
use hyper::StatusCode;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
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
}

impl Service for Arc<Collector> {
    async fn admit(&self, peer: &Peer, body_bytes: usize, arrived: Instant) -> Option<Room> {
        Collector::admit(self, peer, body_bytes, arrived).await
    }

    async fn answer(&self, peer: &Peer, request: Incoming<'_>) -> Reply {
        Collector::answer(self, peer, request).await
    }
}

/// What all connections of a source share.
#[derive(Debug)]
pub(super) struct Site<S> {
    pub(super) service: S,
    /// Who may sign in with a certificate; shakes hands.
    pub(super) tls: Option<tls::Server>,
    /// Who may sign in with a password.
    pub(super) passwords: Option<Passwords>,
    pub(super) limits: Limits,
    pub(super) complaints: Complaints,
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
    let connection = Connection { site, peer: Mutex::new(first(&caller)), caller, clock: &clock };
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
        let (answer, close) = match self.prepare(&head, body.length()).await {
            Ok(None) => response(Reply::empty(200)),
            Ok(Some(prepared)) => response(self.reply(prepared, &head, &mut body, arrived).await?),
            Err(refused) => {
                let answer = self.refuse(&refused);
                discard(&mut body).await;
                answer
            }
        };
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
        let kind = request::kind(head).map_err(Refused::Unfit)?;
        let bytes_max = match peer.principal {
            Some(_) => self.site.limits.body_bytes_max,
            None => ANONYMOUS_BYTES_MAX,
        };
        let length = length.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        if length.is_some_and(|length| length > bytes_max) {
            return Err(Refused::Unfit(request::too_large(length, bytes_max)));
        }
        Ok(Some(Prepared { peer, kind, length, bytes_max }))
    }

    async fn sign_in(&self, head: &Head, authority: &str) -> Result<Arc<Peer>, Refused> {
        if let Some(identity) = &self.caller.identity {
            // It may have been revoked since, or ended.
            let looked = self.site.tls.as_ref().map_or(Ok(()), |tls| tls.look_again(identity));
            looked.map_err(Refused::Void)?;
            return Ok(self.peer(Some(&identity.principal), authority));
        }
        let Some(authorization) = head.first("authorization") else {
            let asks_who_we_are = head.first("wsmanidentify") == Some(b"unauthenticated");
            return match asks_who_we_are {
                true => Ok(self.peer(None, authority)),
                false => Err(Refused::Unknown { why: "" }),
            };
        };
        let Some(passwords) = &self.site.passwords else {
            return Err(Refused::Unknown { why: "passwords are not taken here" });
        };
        let Some(credentials) = request::credentials(authorization) else {
            return Err(Refused::Unknown { why: "what it sent is no user and password" });
        };
        let signed_in = passwords.sign_in(&credentials.user, &credentials.password, self.caller.address);
        match signed_in.await {
            Ok(principal) => Ok(self.peer(Some(&principal), authority)),
            Err(Denied::Wrong) => Err(Refused::Unknown { why: "no such user, or not its password" }),
            Err(Denied::TooOften { wait }) => Err(Refused::TooOften { wait }),
            Err(Denied::Busy) => Err(Refused::Busy),
        }
    }

    /// The peer of a request; that of the last one where nothing has changed.
    fn peer(&self, principal: Option<&Principal>, authority: &str) -> Arc<Peer> {
        let mut last = self.peer.lock().unwrap_or_else(PoisonError::into_inner);
        if last.principal.as_ref() != principal || *last.authority != *authority {
            let Caller { address, is_tls, .. } = self.caller;
            *last = Arc::new(Peer {
                principal: principal.cloned(),
                address,
                is_tls,
                authority: authority.into(),
            });
        }
        Arc::clone(&last)
    }

    /// Reads the body and answers it.
    async fn reply<T>(
        &self,
        prepared: Prepared<'_>,
        head: &Head,
        body: &mut Body<'_, '_, T>,
        arrived: Instant,
    ) -> Result<Reply, Broken>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let Prepared { peer, kind, length, bytes_max } = prepared;
        let Some(room) = self.site.service.admit(&peer, length.unwrap_or(bytes_max), arrived).await else {
            discard(body).await;
            return Ok(Reply { close: true, ..BUSY });
        };
        let bytes = match timeout(self.site.limits.body, body.collect(bytes_max)).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(Unread::TooLarge)) => {
                let unfit = request::too_large(None, bytes_max);
                self.tell(&peer, &unfit);
                discard(body).await;
                return Ok(unfit.reply());
            }
            Ok(Err(Unread::Broken(Broken::Unfit(unfit)))) => {
                let unfit = request::unframed(unfit);
                self.tell(&peer, &unfit);
                return Ok(unfit.reply());
            }
            // Nobody is there to read an answer.
            Ok(Err(Unread::Broken(broken))) => return Err(broken),
            Err(_) => {
                let unfit = request::too_slow(self.site.limits.body);
                self.tell(&peer, &unfit);
                return Ok(unfit.reply());
            }
        };
        if bytes.is_empty() {
            return Ok(Reply::empty(200));
        }
        let request = Incoming {
            path: head.path(),
            is_sldc: kind.is_sldc,
            charset_hint: kind.charset,
            body: bytes,
            room,
            arrived,
        };
        tokio::select! {
            biased;
            reply = self.site.service.answer(&peer, request) => Ok(reply),
            () = body.gone() => Err(Broken::Cut),
        }
    }
}

/// A request whose body may be read.
struct Prepared<'r> {
    peer: Arc<Peer>,
    kind: Kind<'r>,
    length: Option<usize>,
    bytes_max: usize,
}

/// A reply as an answer, and whether the connection ends with it.
fn response(reply: Reply) -> (Answer, bool) {
    let Reply { status, body, content_type, close } = reply;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = content_type.map(|content_type| ("content-type", content_type.to_owned()));
    (Answer { status, headers: headers.into_iter().collect(), body: body.unwrap_or_default() }, close)
}

async fn discard<T: AsyncRead + AsyncWrite + Unpin>(body: &mut Body<'_, '_, T>) {
    let _ = timeout(DISCARDING_MAX, body.discard(DISCARDED_BYTES_MAX)).await;
}

/// The peer before its first request.
fn first(caller: &Caller) -> Arc<Peer> {
    let Caller { address, is_tls, identity } = caller;
    let principal = identity.as_ref().map(|identity| identity.principal.clone());
    Arc::new(Peer { principal, address: *address, is_tls: *is_tls, authority: "".into() })
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
