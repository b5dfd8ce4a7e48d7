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

use super::answers::{BUSY, Reply};
use super::body::{Unread, collect, discard, response};
use super::clock::{Clock, Patience, Timed};
use super::complaints::Complaints;
use super::request::{self, Kind, Unfit};
use super::room::Room;
use super::session::{Collector, Incoming, Peer};
use crate::auth::Principal;
use crate::auth::basic::{Denied, Passwords};
use crate::auth::tls::{self, Identity, Refusal};
use crate::finding::Finding;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as _, Incoming as Body};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};
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
    let mut server = http1::Builder::new();
    server.max_buf_size(HEAD_BYTES_MAX).header_read_timeout(None);
    let mut stream = Timed::new(stream, &clock);
    // HTTP has buffers that are larger than all else of a connection, so it is there only while it is needed.
    while ready(&mut stream, stop).await {
        let service = service_fn(|request| {
            // Apart from the connection, which is there for hours with nothing to do.
            let answering: Pin<Box<dyn Future<Output = _> + Send + '_>> =
                Box::pin(connection.respond(request));
            answering
        });
        let mut serving = server.serve_connection(TokioIo::new(stream), service);
        let served = tokio::select! {
            served = poll_fn(|cx| serving.poll_without_shutdown(cx)) => Some(served),
            () = clock.quiet() => None,
            () = stop.cancelled() => {
                Pin::new(&mut serving).graceful_shutdown();
                match timeout(LEAVING_MAX, poll_fn(|cx| serving.poll_without_shutdown(cx))).await {
                    Ok(served) => Some(served),
                    Err(_) => return,
                }
            }
        };
        let parts = serving.into_parts();
        stream = parts.io.into_inner();
        stream.put_back(&parts.read_buf);
        if let Some(served) = served {
            if let Err(error) = served {
                site.complaints.ended(address, clock.stage(), &error);
            }
            break;
        }
    }
    // Whether it hears that or not, it is gone.
    let _ = stream.shutdown().await;
}

/// Waits for a request. False when none will come: the peer has closed, was silent for too long, or we go.
async fn ready(stream: &mut Timed<'_, impl AsyncRead + Unpin>, stop: &CancellationToken) -> bool {
    tokio::select! {
        ready = stream.is_ready() => ready.unwrap_or(false),
        () = stop.cancelled() => false,
    }
}

struct Connection<'s, S> {
    site: &'s Site<S>,
    caller: Caller,
    clock: &'s Clock,
    /// As of the last request: it is mostly that of the next one too.
    peer: Mutex<Arc<Peer>>,
}

type Head = hyper::http::request::Parts;
type Answer = Result<Response<Full<Bytes>>, Infallible>;

/// What is wrong with a request before it is read.
enum Refused {
    Unfit(Unfit),
    /// The peer has to prove who it is.
    Unknown {
        why: &'static str,
    },
    /// Its certificate is not taken any more.
    Void(Refusal),
    /// It tried too often.
    TooOften {
        wait: Duration,
    },
    /// We cannot tell just now.
    Busy,
}

impl<S: Service> Connection<'_, S> {
    async fn respond(&self, request: Request<Body>) -> Answer {
        let arrived = self.clock.requested();
        let (head, mut body) = request.into_parts();
        let answer = match self.prepare(&head, &body).await {
            Ok(None) => response(Reply::empty(200)),
            Ok(Some(prepared)) => response(self.reply(prepared, &head, &mut body, arrived).await),
            Err(refused) => {
                let answer = self.refuse(&refused);
                discard(&head.headers, &mut body).await;
                answer
            }
        };
        self.clock.answered();
        Ok(answer)
    }

    /// What can be said before the body is read. None: there is no body.
    async fn prepare<'r>(&self, head: &'r Head, body: &Body) -> Result<Option<Prepared<'r>>, Refused> {
        request::method(&head.method).map_err(Refused::Unfit)?;
        let authority = request::authority(&head.headers, &head.uri).map_err(Refused::Unfit)?;
        let peer = self.sign_in(&head.headers, authority).await?;
        // With an empty body a host only signs in.
        if body.is_end_stream() {
            return Ok(None);
        }
        let kind = request::kind(&head.headers).map_err(Refused::Unfit)?;
        let bytes_max = match peer.principal {
            Some(_) => self.site.limits.body_bytes_max,
            None => ANONYMOUS_BYTES_MAX,
        };
        let length = body.size_hint().exact().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        if length.is_some_and(|length| length > bytes_max) {
            return Err(Refused::Unfit(request::too_large(length, bytes_max)));
        }
        Ok(Some(Prepared { peer, kind, length, bytes_max }))
    }

    async fn sign_in(&self, headers: &HeaderMap, authority: &str) -> Result<Arc<Peer>, Refused> {
        if let Some(identity) = &self.caller.identity {
            // It may have been revoked since, or ended.
            let looked = self.site.tls.as_ref().map_or(Ok(()), |tls| tls.look_again(identity));
            looked.map_err(Refused::Void)?;
            return Ok(self.peer(Some(&identity.principal), authority));
        }
        let Some(authorization) = headers.get(header::AUTHORIZATION) else {
            let asks_who_we_are =
                headers.get("wsmanidentify").is_some_and(|value| value == "unauthenticated");
            return match asks_who_we_are {
                true => Ok(self.peer(None, authority)),
                false => Err(Refused::Unknown { why: "" }),
            };
        };
        let Some(passwords) = &self.site.passwords else {
            return Err(Refused::Unknown { why: "passwords are not taken here" });
        };
        let Some(credentials) = request::credentials(authorization.as_bytes()) else {
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
    async fn reply(&self, prepared: Prepared<'_>, head: &Head, body: &mut Body, arrived: Instant) -> Reply {
        let Prepared { peer, kind, length, bytes_max } = prepared;
        let Some(room) = self.site.service.admit(&peer, length.unwrap_or(bytes_max), arrived).await else {
            discard(&head.headers, body).await;
            return Reply { close: true, ..BUSY };
        };
        let collected = timeout(self.site.limits.body, collect(body, length, bytes_max)).await;
        let bytes = match collected {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(Unread::TooLarge)) => {
                let unfit = request::too_large(None, bytes_max);
                self.tell(&peer, &unfit);
                discard(&head.headers, body).await;
                return unfit.reply();
            }
            // Nobody is there to read an answer.
            Ok(Err(Unread::Cut)) => return Reply { close: true, ..Reply::empty(400) },
            Err(_) => {
                let unfit = request::too_slow(self.site.limits.body);
                self.tell(&peer, &unfit);
                return unfit.reply();
            }
        };
        if bytes.is_empty() {
            return Reply::empty(200);
        }
        let request = Incoming {
            path: head.uri.path(),
            is_sldc: kind.is_sldc,
            charset_hint: kind.charset,
            body: bytes,
            room,
            arrived,
        };
        self.site.service.answer(&peer, request).await
    }

    fn refuse(&self, refused: &Refused) -> Response<Full<Bytes>> {
        let peer = Arc::clone(&self.peer.lock().unwrap_or_else(PoisonError::into_inner));
        match refused {
            Refused::Unfit(unfit) => {
                self.tell(&peer, unfit);
                let mut answer = response(unfit.reply());
                if unfit.status == StatusCode::METHOD_NOT_ALLOWED {
                    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
                }
                answer
            }
            Refused::Unknown { why } => {
                // A first request without credentials is how many clients begin.
                if !why.is_empty() {
                    self.denied(why);
                }
                let mut answer = response(Reply::empty(401));
                if self.site.passwords.is_some() {
                    let offer = HeaderValue::from_static("Basic realm=\"WSMAN\"");
                    answer.headers_mut().insert(header::WWW_AUTHENTICATE, offer);
                }
                answer
            }
            Refused::TooOften { wait } => {
                self.denied("too many attempts failed");
                let mut answer = response(Reply { close: true, ..Reply::empty(429) });
                answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
                answer
            }
            Refused::Void(refusal) => {
                let address = self.caller.address;
                self.site.complaints.tell(address, "tls", || refusal.finding(address));
                response(Reply { close: true, ..Reply::empty(403) })
            }
            Refused::Busy => response(Reply { close: true, ..BUSY }),
        }
    }

    fn denied(&self, why: &str) {
        let address = self.caller.address;
        self.site.complaints.tell(address, "sign-in", || Finding {
            what: format!("{address} could not sign in"),
            why: why.into(),
            fix: "compare user and password with the line in `auth.basic.passwords`".into(),
        });
    }

    fn tell(&self, peer: &Peer, unfit: &Unfit) {
        self.site.complaints.tell(peer.address, unfit.kind, || Finding {
            what: format!("{} {}", Named(peer), unfit.what),
            why: format!("it was refused with status {}", unfit.status.as_u16()),
            fix: unfit.fix.into(),
        });
    }
}

/// A request whose body may be read.
struct Prepared<'r> {
    peer: Arc<Peer>,
    kind: Kind<'r>,
    length: Option<usize>,
    bytes_max: usize,
}

/// A peer as findings name it.
struct Named<'p>(&'p Peer);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.principal {
            Some(principal) => write!(f, "{} ({})", principal.name.escape_debug(), self.0.address),
            None => write!(f, "{}", self.0.address),
        }
    }
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
