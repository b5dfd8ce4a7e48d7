//! One connection: bytes out, bytes in, and how many the kernel still holds.
//!
//! Writing and reading are turns of one task, so that a peer that closes or speaks is heard while it is written to.
//! Promise: a line that is dropped is closed, whatever was half-way on it.

use super::{Trouble, queue};
use crate::auth::tls::outgoing::Client;
use crate::finding::Finding;
use rustix::net::{RecvFlags, sockopt};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};
use tokio_rustls::client::TlsStream;

/// A connection to a receiver.
pub(in crate::sink) struct Line {
    stream: Stream,
    peer: Arc<str>,
    opened: Instant,
    /// What came and is not yet taken away.
    pub(in crate::sink) incoming: Vec<u8>,
    /// TLS may hold what was written.
    is_unflushed: bool,
    /// Reading had the last turn.
    has_just_read: bool,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Local(UnixStream),
}

/// What got on.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sink) enum Turn {
    /// So many bytes of what was to be written, or with none, what TLS held of it.
    Wrote(usize),
    /// There is more in `incoming`.
    Read,
    Closed,
}

/// How long a receiver has to turn a new connection away.
const FRESH: Duration = Duration::from_millis(250);
/// Bytes that are read at once.
const READ_BYTES: usize = 4096;
/// A connection that nobody uses shows after these that the other end is there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 6;
/// Within which TLS has dealt with what is there for itself, such as tickets.
const TICKETS: Duration = Duration::from_millis(20);
/// Most looks at what a peer goes on to say.
const LOOKS_MAX: usize = 32;
/// Longest that a goodbye takes.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

impl Line {
    pub(super) fn new(stream: TcpStream, peer: Arc<str>, silence_max: Duration) -> Self {
        // A system that lacks one of these is served without it.
        let _ = stream.set_nodelay(true);
        let _ = sockopt::set_socket_keepalive(&stream, true);
        let _ = sockopt::set_tcp_keepidle(&stream, KEEPALIVE_IDLE);
        let _ = sockopt::set_tcp_keepintvl(&stream, KEEPALIVE_INTERVAL);
        let _ = sockopt::set_tcp_keepcnt(&stream, KEEPALIVE_PROBES);
        let millis = u32::try_from(silence_max.as_millis()).unwrap_or(u32::MAX);
        let _ = sockopt::set_tcp_user_timeout(&stream, millis);
        Self::over(Stream::Plain(stream), peer)
    }

    /// To a socket of this machine.
    pub(super) fn local(stream: UnixStream, peer: Arc<str>) -> Self {
        Self::over(Stream::Local(stream), peer)
    }

    fn over(stream: Stream, peer: Arc<str>) -> Self {
        Self {
            stream,
            peer,
            opened: Instant::now(),
            incoming: Vec::new(),
            is_unflushed: false,
            has_just_read: false,
        }
    }

    /// The same, within TLS.
    pub(super) async fn secure(
        self,
        tls: &Client,
        host: &str,
        report: &(dyn Fn(Finding) + Send + Sync),
    ) -> Result<Self, Trouble> {
        let Stream::Plain(stream) = self.stream else { return Ok(self) };
        match tls.connect(stream, host, report).await {
            Ok(stream) => Ok(Self { stream: Stream::Tls(Box::new(stream)), ..self }),
            Err(finding) => Err(Trouble::handshake(&self.peer, finding)),
        }
    }

    pub(in crate::sink) fn peer(&self) -> &str {
        &self.peer
    }

    /// How long the receiver may still turn the connection away that it has accepted.
    pub(in crate::sink) fn settles_in(&self) -> Duration {
        match self.stream {
            Stream::Plain(_) | Stream::Tls(_) => FRESH.saturating_sub(self.opened.elapsed()),
            // Its queue is empty when the receiver has read all of it, and then has not turned it away.
            Stream::Local(_) => Duration::ZERO,
        }
    }

    /// Writes of `out` what can be written, or reads what has come, whichever is possible first.
    ///
    /// # Errors
    /// When the connection is broken.
    pub(in crate::sink) async fn turn(&mut self, out: &[u8]) -> Result<Turn, Trouble> {
        let turned = std::future::poll_fn(|context| self.poll_turn(context, out)).await;
        turned.map_err(|error| Trouble::broken(&self.peer, &error))
    }

    fn poll_turn(&mut self, context: &mut Context<'_>, out: &[u8]) -> Poll<io::Result<Turn>> {
        // A peer that never stops talking does not keep us from writing.
        if std::mem::take(&mut self.has_just_read)
            && let Poll::Ready(turn) = self.poll_out(context, out)
        {
            return Poll::Ready(turn);
        }
        if let Poll::Ready(turn) = self.poll_in(context) {
            return Poll::Ready(turn);
        }
        self.poll_out(context, out)
    }

    fn poll_in(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Turn>> {
        let mut bytes = [0; READ_BYTES];
        let mut read = ReadBuf::new(&mut bytes);
        let polled = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, &mut read),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, &mut read),
            Stream::Local(stream) => Pin::new(stream).poll_read(context, &mut read),
        };
        polled.map_ok(|()| {
            if read.filled().is_empty() {
                return Turn::Closed;
            }
            self.incoming.extend_from_slice(read.filled());
            self.has_just_read = true;
            Turn::Read
        })
    }

    fn poll_out(&mut self, context: &mut Context<'_>, out: &[u8]) -> Poll<io::Result<Turn>> {
        if out.is_empty() && !self.is_unflushed {
            return Poll::Pending;
        }
        let polled = match &mut self.stream {
            Stream::Plain(stream) if !out.is_empty() => Pin::new(stream).poll_write(context, out),
            Stream::Tls(stream) if !out.is_empty() => Pin::new(stream).poll_write(context, out),
            Stream::Local(stream) if !out.is_empty() => Pin::new(stream).poll_write(context, out),
            Stream::Plain(_) | Stream::Local(_) => Poll::Ready(Ok(0)),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context).map_ok(|()| 0),
        };
        match polled {
            Poll::Ready(Ok(0)) if !out.is_empty() => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(count)) => {
                self.is_unflushed = !out.is_empty() && matches!(self.stream, Stream::Tls(_));
                Poll::Ready(Ok(Turn::Wrote(count)))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whether TLS may hold what was written; a turn with nothing to write sends it on.
    pub(in crate::sink) fn is_unflushed(&self) -> bool {
        self.is_unflushed
    }

    /// Whether all that was written is with the other end's kernel, or on this machine, read.
    pub(in crate::sink) fn is_acknowledged(&self) -> io::Result<bool> {
        Ok(!self.is_unflushed && queue::unacknowledged(self.socket())? == 0)
    }

    /// Bytes that the other end's kernel has not acknowledged, or on this machine, the receiver has not read.
    pub(in crate::sink) fn unacknowledged(&self) -> io::Result<u32> {
        queue::unacknowledged(self.socket())
    }

    /// What has come is taken in, and thrown away with `discard`; whether the connection is still open then.
    ///
    /// # Errors
    /// When it is broken.
    pub(in crate::sink) async fn is_open(&mut self, discard: bool) -> Result<bool, Trouble> {
        for _ in 0..LOOKS_MAX {
            // Asked of the kernel: what the runtime knows of the socket may be a moment old.
            let mut byte = [0; 1];
            let peeked = rustix::net::recv(self.socket(), &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT);
            match peeked {
                Ok((_, 0)) => return Ok(false),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(true),
                Err(error) => return Err(Trouble::broken(&self.peer, &error.into())),
                // TLS may keep what it reads to itself, and then it is no turn.
                Ok(_) => {
                    let turn = timeout(TICKETS, self.turn(&[])).await.ok().transpose()?;
                    if turn == Some(Turn::Closed) {
                        return Ok(false);
                    }
                    if !discard {
                        return Ok(true);
                    }
                    self.incoming.clear();
                }
            }
        }
        // Whoever talks without an end is there.
        Ok(true)
    }

    /// Ends it in order, as far as that can be done soon.
    pub(in crate::sink) async fn goodbye(mut self) {
        let ended = async {
            match &mut self.stream {
                Stream::Plain(stream) => stream.shutdown().await,
                Stream::Tls(stream) => stream.shutdown().await,
                Stream::Local(stream) => stream.shutdown().await,
            }
        };
        // It is closed in any case.
        let _ = timeout(GOODBYE_TIMEOUT, ended).await;
    }

    fn socket(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Plain(stream) => stream.as_fd(),
            Stream::Tls(stream) => stream.get_ref().0.as_fd(),
            Stream::Local(stream) => stream.as_fd(),
        }
    }
}
