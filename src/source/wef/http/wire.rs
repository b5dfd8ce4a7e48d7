//! A connection's bytes: heads and bodies in, answers out.

use super::head::{Framing, Head, Unfit};
use crate::source::wef::clock::Timed;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use hyper::StatusCode;
use std::cell::RefCell;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::SystemTime;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// The stream, and what was read of it that nobody has asked for yet.
pub(in crate::source::wef) struct Wire<'c, S> {
    stream: Timed<'c, S>,
    ahead: BytesMut,
}

/// Why a connection ends otherwise than between two requests.
#[derive(Debug)]
pub(in crate::source::wef) enum Broken {
    /// What came is not HTTP that we take.
    Unfit(Unfit),
    /// The peer went away in the middle.
    Cut,
    Io(io::Error),
}

/// Why there is no whole body.
#[derive(Debug)]
pub(in crate::source::wef) enum Unread {
    TooLarge,
    Broken(Broken),
}

/// What is answered.
#[derive(Debug, Default)]
pub(in crate::source::wef) struct Answer {
    pub(in crate::source::wef) status: StatusCode,
    pub(in crate::source::wef) headers: Vec<(&'static str, String)>,
    pub(in crate::source::wef) body: Bytes,
}

/// The body of a request, on its way.
pub(in crate::source::wef) struct Body<'w, 'c, S> {
    wire: &'w mut Wire<'c, S>,
    left: Left,
    /// The peer waits for our word before it sends.
    waits: bool,
}

/// Where in a body we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// So much of it.
    Length(u64),
    /// In front of the size of a chunk.
    Size,
    /// So much of a chunk.
    Chunk(u64),
    /// In front of the end of a line behind a chunk.
    ChunkEnd,
    /// All is read.
    Nothing,
}

impl<'c, S: AsyncRead + AsyncWrite + Unpin> Wire<'c, S> {
    pub(in crate::source::wef) fn new(stream: Timed<'c, S>) -> Self {
        Self { stream, ahead: BytesMut::new() }
    }

    /// Waits for a request. None: the peer has closed instead.
    pub(in crate::source::wef) async fn head(&mut self, bytes_max: usize) -> Result<Option<Head>, Broken> {
        let mut looked_at = 0;
        if !self.ahead.is_empty() {
            self.stream.begun();
        }
        loop {
            // An end is two ends of a line; a head is parsed when there may be one, not at each piece of it.
            let may_end = has_empty_line(&self.ahead[looked_at..]);
            if may_end && let Some((head, length)) = Head::parse(&self.ahead).map_err(Broken::Unfit)? {
                self.pass(length);
                return Ok(Some(head));
            }
            if self.ahead.len() >= bytes_max {
                return Err(Broken::Unfit(Unfit::new(431, "its head is too long")));
            }
            looked_at = self.ahead.len().saturating_sub(2);
            match self.fill().await {
                Ok(0) if self.ahead.is_empty() => return Ok(None),
                Ok(0) => return Err(Broken::Cut),
                Ok(_) if is_not_http(&self.ahead) => {
                    return Err(Broken::Unfit(Unfit::new(400, "its first line is not one of HTTP")));
                }
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(in crate::source::wef) fn body(&mut self, framing: Framing, waits: bool) -> Body<'_, 'c, S> {
        let left = match framing {
            Framing::Length(0) => Left::Nothing,
            Framing::Length(length) => Left::Length(length),
            Framing::Chunked => Left::Size,
        };
        Body { wire: self, left, waits }
    }

    /// Returns when the peer has gone. A request that it sends meanwhile waits for its turn.
    pub(in crate::source::wef) async fn gone(&mut self) {
        if !self.ahead.is_empty() {
            return std::future::pending().await;
        }
        // Memory for more is not there before it is wanted.
        let mut byte = [0];
        match self.stream.read(&mut byte).await {
            Ok(1..) => self.ahead.extend_from_slice(&byte),
            Ok(0) | Err(_) => return,
        }
        std::future::pending().await
    }

    /// Sends an answer, in one piece.
    pub(in crate::source::wef) async fn answer(
        &mut self,
        answer: &Answer,
        is_kept: bool,
    ) -> Result<(), Broken> {
        let bytes = answer.encode(is_kept);
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// Whether the peer hears that or not, it is over.
    pub(in crate::source::wef) async fn close(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Reads what there is, at most `READ_BYTES`, by way of memory that belongs to the thread.
    async fn fill(&mut self) -> io::Result<usize> {
        let Self { stream, ahead } = self;
        poll_fn(|cx| {
            SCRATCH.with_borrow_mut(|scratch| {
                let mut read = ReadBuf::new(scratch);
                match Pin::new(&mut *stream).poll_read(cx, &mut read) {
                    Poll::Ready(Ok(())) => {
                        ahead.extend_from_slice(read.filled());
                        Poll::Ready(Ok(read.filled().len()))
                    }
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                    Poll::Pending => Poll::Pending,
                }
            })
        })
        .await
    }

    /// Memory of what is ahead goes with the last of it.
    fn pass(&mut self, length: usize) {
        if length == self.ahead.len() {
            self.ahead = BytesMut::new();
        } else {
            self.ahead.advance(length);
        }
    }

    /// Moves some of at most `length` bytes behind `into`.
    async fn take(&mut self, into: &mut BytesMut, length: usize) -> Result<usize, Broken> {
        if !self.ahead.is_empty() {
            let length = length.min(self.ahead.len());
            into.extend_from_slice(&self.ahead[..length]);
            self.pass(length);
            return Ok(length);
        }
        match self.stream.read_buf(&mut into.limit(length)).await? {
            0 => Err(Broken::Cut),
            length => Ok(length),
        }
    }

    /// The next line, without its end.
    async fn line(&mut self) -> Result<BytesMut, Broken> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.ahead) {
                let mut line = self.ahead.split_to(end + 1);
                line.truncate(end);
                if line.last() == Some(&b'\r') {
                    line.truncate(end - 1);
                }
                return Ok(line);
            }
            if self.ahead.len() > LINE_BYTES_MAX {
                return Err(Broken::Unfit(Unfit::new(400, "a line between its chunks is too long")));
            }
            if self.fill().await? == 0 {
                return Err(Broken::Cut);
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Body<'_, '_, S> {
    /// The whole body, in memory of just its size where that is known.
    pub(in crate::source::wef) async fn collect(&mut self, bytes_max: usize) -> Result<Bytes, Unread> {
        let length = self.length().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        if length.is_some_and(|length| length > bytes_max) {
            return Err(Unread::TooLarge);
        }
        let mut whole = BytesMut::with_capacity(length.unwrap_or_default());
        while self.next(&mut whole).await.map_err(Unread::Broken)? > 0 {
            if whole.len() > bytes_max {
                return Err(Unread::TooLarge);
            }
        }
        Ok(whole.freeze())
    }

    /// Reads what is left of a refused body: a socket that is closed over unread bytes takes the answer
    /// with it. Who waits for our word before it sends has sent nothing.
    pub(in crate::source::wef) async fn discard(&mut self, bytes_max: usize) {
        if self.waits {
            return;
        }
        let (mut piece, mut discarded) = (BytesMut::new(), 0);
        while let Ok(1..) = self.next(&mut piece).await {
            discarded += piece.len();
            piece.clear();
            if discarded > bytes_max {
                return;
            }
        }
    }

    /// Bytes that are to come, where that is known.
    pub(in crate::source::wef) fn length(&self) -> Option<u64> {
        match self.left {
            Left::Length(length) => Some(length),
            Left::Nothing => Some(0),
            _ => None,
        }
    }

    /// All of it is read, so that the next request can be.
    pub(in crate::source::wef) fn is_read(&self) -> bool {
        self.left == Left::Nothing
    }

    /// Returns when the peer has gone; for when the body is read.
    pub(in crate::source::wef) async fn gone(&mut self) {
        self.wire.gone().await;
    }

    /// Some more of it behind `into`. 0: that was all.
    async fn next(&mut self, into: &mut BytesMut) -> Result<usize, Broken> {
        if self.waits && !self.is_read() {
            self.waits = false;
            self.wire.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            self.wire.stream.flush().await?;
        }
        loop {
            match self.left {
                Left::Nothing => return Ok(0),
                Left::Length(left) => {
                    let taken = self.piece(into, left).await?;
                    let left = left - taken as u64;
                    self.left = if left == 0 { Left::Nothing } else { Left::Length(left) };
                    return Ok(taken);
                }
                Left::Chunk(left) => {
                    let taken = self.piece(into, left).await?;
                    let left = left - taken as u64;
                    self.left = if left == 0 { Left::ChunkEnd } else { Left::Chunk(left) };
                    return Ok(taken);
                }
                Left::ChunkEnd => {
                    if !self.wire.line().await?.is_empty() {
                        return Err(Broken::Unfit(Unfit::new(400, "a chunk of it is longer than it says")));
                    }
                    self.left = Left::Size;
                }
                Left::Size => {
                    let line = self.wire.line().await?;
                    let size = chunk_size(&line);
                    match size.ok_or(Broken::Unfit(Unfit::new(400, "a chunk of it has no size")))? {
                        0 => {
                            self.trailers().await?;
                            self.left = Left::Nothing;
                        }
                        size => self.left = Left::Chunk(size),
                    }
                }
            }
        }
    }

    async fn piece(&mut self, into: &mut BytesMut, left: u64) -> Result<usize, Broken> {
        let length = usize::try_from(left).unwrap_or(usize::MAX);
        if into.capacity() == into.len() {
            into.reserve(length.min(READ_BYTES));
        }
        self.wire.take(into, length.min(into.capacity() - into.len())).await
    }

    /// Headers behind the last chunk: nobody asks for them.
    async fn trailers(&mut self) -> Result<(), Broken> {
        for _ in 0..TRAILERS_MAX {
            if self.wire.line().await?.is_empty() {
                return Ok(());
            }
        }
        Err(Broken::Unfit(Unfit::new(400, "too much follows its chunks")))
    }
}

impl Answer {
    fn encode(&self, is_kept: bool) -> Vec<u8> {
        let Self { status, headers, body } = self;
        let mut head = String::with_capacity(ANSWER_HEAD_BYTES + body.len());
        let reason = status.canonical_reason().unwrap_or_default();
        // A String takes whatever is written.
        let _ = write!(head, "HTTP/1.1 {} {reason}\r\n", status.as_u16());
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if !is_kept {
            head.push_str("connection: close\r\n");
        }
        // RFC 9110, 8.6: none with 204.
        if *status != StatusCode::NO_CONTENT {
            let _ = write!(head, "content-length: {}\r\n", body.len());
        }
        let _ = write!(head, "date: {}\r\n\r\n", httpdate::HttpDate::from(SystemTime::now()));
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// RFC 9112, 7.1: hexadecimal digits, and extensions that nobody here knows.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii_end();
    let is_good = !digits.is_empty() && digits.len() <= 8 && digits.iter().all(u8::is_ascii_hexdigit);
    u64::from_str_radix(std::str::from_utf8(digits).ok().filter(|_| is_good)?, 16).ok()
}

/// Of what may be the end of a head.
fn has_empty_line(bytes: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', bytes).any(|end| matches!(bytes[end + 1..], [b'\n', ..] | [b'\r', b'\n', ..]))
}

/// Not even a first line is to be expected, such as of TLS on a port that has none.
fn is_not_http(bytes: &[u8]) -> bool {
    let start = bytes.iter().find(|byte| !matches!(byte, b'\r' | b'\n'));
    start.is_some_and(|byte| !byte.is_ascii_graphic())
}

thread_local! {
    static SCRATCH: RefCell<[u8; READ_BYTES]> = const { RefCell::new([0; READ_BYTES]) };
}

/// Of a head, and of a body in chunks, at once. Most heads have 500 bytes; the less of the body comes with
/// them, the less is moved.
const READ_BYTES: usize = 4096;
const LINE_BYTES_MAX: usize = 4096;
const TRAILERS_MAX: usize = 64;
const ANSWER_HEAD_BYTES: usize = 256;
