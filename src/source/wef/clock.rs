//! The stages of a connection, and how long each may last.
//!
//! ```text
//! First ──first byte──► Head ──request──► Busy ──answer──► Writing ──flushed──► Idle
//!                        ▲                                                       │
//!                        └──────────────────────first byte───────────────────────┘
//! ```
//! Hosts are silent for hours, and a head has seconds. So the stream itself keeps the time: it knows when a
//! first byte comes and when the last one went. While `Busy` the request has its own limits.
//!
//! Promise: a peer that stops in the middle is let go; a quiet one costs one sleeping timer, which
//! is set anew only when it rings or rings too late. Must not know: HTTP.

use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long each stage may last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// From the opened connection to the first byte of the first request.
    pub(super) first: Duration,
    /// From a request's first byte to the end of its head.
    pub(super) head: Duration,
    /// From one answer to the next request.
    pub(super) idle: Duration,
    /// For an answer to be taken.
    pub(super) write: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    First,
    Head,
    /// A request is read or answered.
    Busy,
    Writing,
    Idle,
}

/// What the stream and those who serve it both know.
#[derive(Debug)]
pub(super) struct Clock {
    patience: Patience,
    now: Mutex<(Stage, Instant)>,
}

impl Clock {
    pub(super) fn new(patience: Patience) -> Self {
        Self { patience, now: Mutex::new((Stage::First, Instant::now())) }
    }

    /// The head of a request is here. When its first byte came.
    pub(super) fn requested(&self) -> Instant {
        let mut now = self.lock();
        let began = if now.0 == Stage::Head { now.1 } else { Instant::now() };
        *now = (Stage::Busy, began);
        began
    }

    pub(super) fn answered(&self) {
        *self.lock() = (Stage::Writing, Instant::now());
    }

    pub(super) fn stage(&self) -> Stage {
        self.lock().0
    }

    fn read(&self) {
        let mut now = self.lock();
        if matches!(now.0, Stage::First | Stage::Idle) {
            *now = (Stage::Head, Instant::now());
        }
    }

    fn flushed(&self) {
        let mut now = self.lock();
        if now.0 == Stage::Writing {
            *now = (Stage::Idle, Instant::now());
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let (stage, since) = *self.lock();
        let patience = match stage {
            Stage::First => self.patience.first,
            Stage::Head => self.patience.head,
            Stage::Busy => return None,
            Stage::Writing => self.patience.write,
            Stage::Idle => self.patience.idle,
        };
        Some(since + patience)
    }

    // Two words that are written together.
    fn lock(&self) -> std::sync::MutexGuard<'_, (Stage, Instant)> {
        self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A stream that ends with `TimedOut` when a stage lasts too long.
pub(super) struct Timed<'c, T> {
    stream: T,
    clock: &'c Clock,
    timer: Pin<Box<Sleep>>,
}

impl<'c, T> Timed<'c, T> {
    pub(super) fn new(stream: T, clock: &'c Clock) -> Self {
        let first = clock.deadline().unwrap_or_else(Instant::now);
        Self { stream, clock, timer: Box::pin(tokio::time::sleep_until(first)) }
    }

    /// A request has begun whose first bytes came with the one before.
    pub(super) fn begun(&self) {
        self.clock.read();
    }

    /// Ready when the stage has lasted too long; else wakes the task when it will have.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let Some(deadline) = self.clock.deadline() else { return Poll::Pending };
        if self.timer.deadline() > deadline {
            self.timer.as_mut().reset(deadline);
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            self.timer.as_mut().reset(deadline);
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Timed<'_, T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(Ok(())) if buf.filled().len() > before => {
                self.clock.read();
                Poll::Ready(Ok(()))
            }
            Poll::Pending => self.poll_late(cx).map(Err),
            ready => ready,
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Timed<'_, T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(cx, bytes) {
            Poll::Pending => self.poll_late(cx).map(Err),
            ready => ready,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(Ok(())) => {
                self.clock.flushed();
                Poll::Ready(Ok(()))
            }
            Poll::Pending => self.poll_late(cx).map(Err),
            ready => ready,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_shutdown(cx) {
            Poll::Pending => self.poll_late(cx).map(Err),
            ready => ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const PATIENCE: Patience = Patience {
        first: Duration::from_millis(300),
        head: Duration::from_millis(100),
        idle: Duration::from_millis(500),
        write: Duration::from_millis(200),
    };

    /// Which of the stages' times passed until the stream was given up.
    async fn given_up(outcome: impl Future<Output = io::Result<()>>) -> Duration {
        let before = Instant::now();
        assert_eq!(outcome.await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let passed = before.elapsed().as_millis();
        let stages = [PATIENCE.head, PATIENCE.write, PATIENCE.first, PATIENCE.idle];
        *stages.iter().rfind(|stage| stage.as_millis() <= passed).unwrap()
    }

    async fn read(stream: &mut Timed<'_, tokio::io::DuplexStream>) -> io::Result<()> {
        stream.read_u8().await.map(drop)
    }

    #[tokio::test]
    async fn each_stage_has_its_own_time() {
        let clock = Clock::new(PATIENCE);
        let (mut peer, stream) = tokio::io::duplex(64);
        let mut stream = Timed::new(stream, &clock);
        assert_eq!(given_up(read(&mut stream)).await, PATIENCE.first);
        peer.write_all(b"P").await.unwrap();
        read(&mut stream).await.unwrap();
        assert_eq!(given_up(read(&mut stream)).await, PATIENCE.head);
        clock.requested();
        let busy = tokio::time::timeout(2 * PATIENCE.idle, read(&mut stream)).await;
        assert!(busy.is_err(), "a request has its own limits");
        clock.answered();
        stream.write_all(b"ok").await.unwrap();
        assert_eq!(clock.stage(), Stage::Writing);
        stream.flush().await.unwrap();
        assert_eq!(clock.stage(), Stage::Idle);
        assert_eq!(given_up(read(&mut stream)).await, PATIENCE.idle);
    }

    #[tokio::test]
    async fn an_answer_that_nobody_takes_ends_the_connection() {
        let clock = Clock::new(PATIENCE);
        let (_peer, stream) = tokio::io::duplex(4);
        let mut stream = Timed::new(stream, &clock);
        clock.answered();
        assert_eq!(given_up(stream.write_all(b"more than four")).await, PATIENCE.write);
    }

    #[tokio::test]
    async fn a_head_that_trickles_in_has_no_more_time_than_another() {
        let clock = Clock::new(Patience { idle: PATIENCE.head / 4, ..PATIENCE });
        let (mut peer, stream) = tokio::io::duplex(64);
        let mut stream = Timed::new(stream, &clock);
        let feeding = async {
            while peer.write_all(b"x").await.is_ok() {
                tokio::time::sleep(PATIENCE.head / 4).await;
            }
        };
        let reading = async {
            loop {
                read(&mut stream).await?;
            }
        };
        let stage = tokio::select! {
            stage = given_up(reading) => stage,
            () = feeding => unreachable!("somebody reads"),
        };
        assert_eq!(stage, PATIENCE.head);
    }
}
