//! Connections, admitted a bounded number at a time and for a bounded time.
//!
//! Promise: more wait in the system's queue; none outlives `stop`. Must not know: protocols.

use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// What is granted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admission {
    /// Connections at once.
    pub(super) connections_max: usize,
    /// Life of one.
    pub(super) time_max: Duration,
}

/// Where connections come from.
pub(super) trait Listen {
    type Stream;

    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listen for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        Self::accept(self).await.map(|(stream, _)| stream)
    }
}

impl Listen for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        Self::accept(self).await.map(|(stream, _)| stream)
    }
}

/// After a failed accept (no file handles left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves connections until `stop`.
pub(super) async fn serve<L, F>(
    listener: &L,
    admission: Admission,
    stop: CancellationToken,
    connection: impl Fn(L::Stream) -> F,
) where
    L: Listen,
    F: Future<Output = ()> + Send + 'static,
{
    let admitted = Arc::new(Semaphore::new(admission.connections_max));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let permit = tokio::select! {
            () = stop.cancelled() => return,
            permit = Arc::clone(&admitted).acquire_owned() => permit,
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = Listen::accept(listener) => accepted,
        };
        let Ok(stream) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let served = connection(stream);
        connections.spawn(async move {
            let _permit = permit;
            let _ = timeout(admission.time_max, served).await;
        });
    }
}
