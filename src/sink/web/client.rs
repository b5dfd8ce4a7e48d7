//! Connections, kept and made; one request and its answer.
//!
//! Several addresses are asked in turn; one that cannot be reached is left out for a while. A request goes to
//! another one only while nothing of it can have arrived.
//! Promises: nothing waits longer than it may; an answer is bounded; no redirect is followed.
//! Must not know: what is asked, and what an answer means.

use super::address::Address;
use super::answer::Answer;
use crate::auth::tls::outgoing;
use crate::finding::Finding;
use crate::sink::dial::first_that_answers;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{ToSocketAddrs, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// One request, but for where it goes.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    /// Behind the path of the address.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// Nothing of the request was sent.
    Unsent { peer: String, finding: Finding },
    /// It may have been taken.
    Unanswered { peer: String, reason: String, is_late: bool },
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) connect: Duration,
    pub(crate) answer: Duration,
}

pub(crate) struct Client {
    endpoints: Vec<Endpoint>,
    tls: outgoing::Client,
    timing: Timing,
    answer_bytes_max: usize,
    /// What moves the bytes of each connection; ends with the client.
    connections: Mutex<JoinSet<()>>,
    turn: AtomicUsize,
}

struct Endpoint {
    address: Address,
    peer: String,
    host: HeaderValue,
    idle: Mutex<Vec<Idle>>,
    /// Left out until then, after so many failures.
    away: Mutex<Option<(Instant, u32)>>,
}

type Sender = SendRequest<Full<Bytes>>;

struct Idle {
    sender: Sender,
    since: Instant,
}

/// What takes what an operator should know.
pub(crate) type Report<'r> = dyn Fn(Finding) + Send + Sync + 'r;

/// Servers and what stands between keep idle connections for a minute or so.
const IDLE_MAX: Duration = Duration::from_secs(45);
/// Longest time that an address is left out.
const AWAY_MAX: Duration = Duration::from_secs(30);

impl Client {
    pub(crate) fn new(
        addresses: Vec<Address>,
        tls: &outgoing::Config,
        timing: Timing,
        answer_bytes_max: usize,
    ) -> Self {
        let endpoint = |address: Address| Endpoint {
            peer: address.to_string(),
            host: HeaderValue::from_str(&address.authority).unwrap_or(HeaderValue::from_static("localhost")),
            address,
            idle: Mutex::default(),
            away: Mutex::default(),
        };
        Self {
            endpoints: addresses.into_iter().map(endpoint).collect(),
            tls: outgoing::Client::new(tls),
            timing,
            answer_bytes_max,
            connections: Mutex::default(),
            turn: AtomicUsize::new(0),
        }
    }

    pub(crate) fn endpoints(&self) -> usize {
        self.endpoints.len()
    }

    pub(crate) fn peer(&self, endpoint: usize) -> &str {
        &self.endpoints[endpoint].peer
    }

    /// Looks at what time alone brings about: a certificate that ends.
    pub(crate) fn look(&self, report: &Report<'_>) {
        if self.endpoints.iter().any(|endpoint| endpoint.address.is_tls)
            && let Err(finding) = self.tls.current(report)
        {
            report(finding);
        }
    }

    /// Asks whichever address can be reached.
    pub(crate) async fn ask(&self, ask: &Ask, report: &Report<'_>) -> Result<Answer, Trouble> {
        let mut last = None;
        for endpoint in self.order() {
            match self.ask_one(endpoint, ask, report).await {
                Err(unsent @ Trouble::Unsent { .. }) => last = Some(unsent),
                other => return other,
            }
        }
        Err(last.unwrap_or_else(|| {
            let finding =
                Finding { what: "there is no address".into(), why: String::new(), fix: "set `url`".into() };
            Trouble::Unsent { peer: String::new(), finding }
        }))
    }

    /// Asks this address.
    pub(crate) async fn ask_one(&self, at: usize, ask: &Ask, report: &Report<'_>) -> Result<Answer, Trouble> {
        let endpoint = &self.endpoints[at];
        let mut request = Some(endpoint.request(ask)?);
        // One that was kept may have been closed at the other end meanwhile.
        loop {
            let kept = endpoint.kept().await;
            let is_new = kept.is_none();
            let mut sender = match kept {
                Some(sender) => sender,
                None => self.connect(endpoint, report).await?,
            };
            let Some(sent) = request.take() else { break };
            let asked = Instant::now();
            match timeout(self.timing.answer, sender.try_send_request(sent)).await {
                Ok(Ok(response)) => {
                    let left = self.timing.answer.saturating_sub(asked.elapsed());
                    return self.answer(at, response, sender, left).await;
                }
                Ok(Err(mut error)) => match error.take_message() {
                    Some(unsent) if !is_new => request = Some(unsent),
                    unsent => return Err(endpoint.broken(&error.into_error(), unsent.is_some())),
                },
                Err(_) => return Err(endpoint.late(self.timing.answer)),
            }
        }
        Err(endpoint.late(self.timing.answer))
    }

    async fn answer(
        &self,
        at: usize,
        response: hyper::Response<hyper::body::Incoming>,
        sender: Sender,
        left: Duration,
    ) -> Result<Answer, Trouble> {
        let endpoint = &self.endpoints[at];
        let (head, body) = response.into_parts();
        let mut answer = Answer::of(&endpoint.peer, head.status.as_u16(), Bytes::new());
        answer.endpoint = at;
        answer.note_headers(&head.headers, SystemTime::now());
        let unanswered =
            |reason: String| Trouble::Unanswered { peer: endpoint.peer.clone(), reason, is_late: false };
        match timeout(left, Limited::new(body, self.answer_bytes_max).collect()).await {
            Ok(Ok(body)) => answer.body = body.to_bytes(),
            Ok(Err(error)) => {
                return Err(unanswered(format!("half an answer came, status {}: {error}", answer.status)));
            }
            Err(_) => return Err(endpoint.late(self.timing.answer)),
        }
        endpoint.is_there();
        // After a complaint it may not have read the request to its end.
        if answer.is_success() && !sender.is_closed() {
            lock(&endpoint.idle).push(Idle { sender, since: Instant::now() });
        }
        Ok(answer)
    }

    async fn connect(&self, endpoint: &Endpoint, report: &Report<'_>) -> Result<Sender, Trouble> {
        let Address { host, port, .. } = &endpoint.address;
        self.connect_at((host.trim_matches(['[', ']']), *port), endpoint, report).await
    }

    /// The same, where it is.
    async fn connect_at(
        &self,
        at: impl ToSocketAddrs,
        endpoint: &Endpoint,
        report: &Report<'_>,
    ) -> Result<Sender, Trouble> {
        let until = Instant::now() + self.timing.connect;
        let connecting = async {
            let Address { host, is_tls, .. } = &endpoint.address;
            let found = lookup_host(at).await.map_err(|error| endpoint.unreached(&error))?;
            let stream = first_that_answers(&found.collect::<Vec<_>>(), until).await.map_err(|error| {
                endpoint.unreached(&error.unwrap_or_else(|| io::Error::other("the name has no address")))
            })?;
            // Requests are written in one piece.
            let _ = stream.set_nodelay(true);
            if !is_tls {
                return self.shake(endpoint, stream).await;
            }
            let stream = self.tls.connect(stream, host, report).await?;
            self.shake(endpoint, stream).await
        };
        let connected = timeout(self.timing.connect, connecting).await;
        let late = || endpoint.unreached(&io::Error::from(io::ErrorKind::TimedOut));
        connected.unwrap_or_else(|_| Err(late())).map_err(|finding| {
            endpoint.is_away();
            Trouble::Unsent { peer: endpoint.peer.clone(), finding }
        })
    }

    async fn shake<T>(&self, endpoint: &Endpoint, stream: T) -> Result<Sender, Finding>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|error| endpoint.unreached(&io::Error::other(error)))?;
        let mut connections = lock(&self.connections);
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
            // What goes wrong is told to who asks.
            let _ = connection.await;
        });
        Ok(sender)
    }

    /// All addresses, in turn, those that could not be reached at the end.
    fn order(&self) -> Vec<usize> {
        let (count, first) = (self.endpoints.len(), self.turn.fetch_add(1, Ordering::Relaxed));
        let mut order: Vec<usize> = (0..count).map(|step| first.wrapping_add(step) % count).collect();
        let now = Instant::now();
        order.sort_by_key(|at| lock(&self.endpoints[*at].away).is_some_and(|(until, _)| until > now));
        order
    }
}

impl Endpoint {
    fn request(&self, ask: &Ask) -> Result<Request<Full<Bytes>>, Trouble> {
        let Address { path, query, .. } = &self.address;
        let target = match (query.strip_prefix('?'), ask.path.contains('?')) {
            (Some(query), true) => format!("{path}{}&{query}", ask.path),
            _ => format!("{path}{}{query}", ask.path),
        };
        let target = if target.starts_with('/') { target } else { format!("/{target}") };
        let mut request = Request::new(Full::new(ask.body.clone()));
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() =
            target.parse().map_err(|error: hyper::http::uri::InvalidUri| Trouble::Unsent {
                peer: self.peer.clone(),
                finding: Finding {
                    what: format!("`{target}` cannot be asked for"),
                    why: error.to_string(),
                    fix: "correct `url`".into(),
                },
            })?;
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("forebay/", env!("CARGO_PKG_VERSION"))));
        headers.extend(ask.headers.clone());
        Ok(request)
    }

    /// A connection that was kept and is still good.
    async fn kept(&self) -> Option<Sender> {
        loop {
            let mut idle = lock(&self.idle).pop()?;
            let is_fresh = idle.since.elapsed() < IDLE_MAX;
            if is_fresh
                && timeout(Duration::from_secs(1), idle.sender.ready()).await.is_ok_and(|ready| ready.is_ok())
            {
                return Some(idle.sender);
            }
        }
    }

    fn is_there(&self) {
        *lock(&self.away) = None;
    }

    fn is_away(&self) {
        let mut away = lock(&self.away);
        let times = away.map_or(0, |(_, times)| times).saturating_add(1);
        let pause = Duration::from_secs(1 << times.min(5)).min(AWAY_MAX);
        *away = Some((Instant::now() + pause, times));
    }

    fn unreached(&self, error: &io::Error) -> Finding {
        let fix = match error.kind() {
            io::ErrorKind::ConnectionRefused => "see that the receiver runs and listens at that port",
            io::ErrorKind::TimedOut => "see that no firewall is between, and that the machine is up",
            _ => "correct `url`, or see the network",
        };
        let what = format!("no connection to {}", self.peer);
        Finding { what, why: error.to_string(), fix: fix.into() }
    }

    fn broken(&self, error: &hyper::Error, is_unsent: bool) -> Trouble {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        let (peer, reason) = (self.peer.clone(), format!("{error}{cause}"));
        if is_unsent {
            self.is_away();
            let finding = self.unreached(&io::Error::other(reason));
            return Trouble::Unsent { peer, finding };
        }
        Trouble::Unanswered { peer, reason, is_late: false }
    }

    fn late(&self, after: Duration) -> Trouble {
        let reason = format!("no answer within {after:?}");
        Trouble::Unanswered { peer: self.peer.clone(), reason, is_late: true }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere cannot leave these half-changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::receiver::tests::swallowing;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn an_address_that_swallows_connections_leaves_time_for_the_next_of_the_same_name() {
        let (away, _waiting) = swallowing().await;
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let timing = Timing { connect: Duration::from_secs(2), answer: Duration::from_secs(2) };
        let address = Address::parse("http://siem.example.org").unwrap();
        let client = Client::new(vec![address], &outgoing::Config::default(), timing, 1024);
        let places = [&away, &good].map(|listener| listener.local_addr().unwrap());
        let endpoint = &client.endpoints[0];
        assert!(client.connect_at(&places[..], endpoint, &|_| {}).await.is_ok());
        let Err(Trouble::Unsent { finding, .. }) = client.connect_at(&places[..1], endpoint, &|_| {}).await
        else {
            panic!()
        };
        assert!(finding.what.starts_with("no connection to http://siem.example.org"), "{finding}");
    }
}
