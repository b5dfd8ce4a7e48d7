//! HTTP/1.1 as Windows' client speaks it: one request at a time on a connection that is kept, headers in
//! Windows' order, and an answer read to its end.
//!
//! Lean on purpose: an idle connection holds no buffer, a request leaves in one write.

use super::outgoing::Outgoing;
use super::sealing::SealingError;
use super::sign_in::SignInError;
use std::io;
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};

/// Longest head of an answer, and longest body: an answer holds subscriptions at most.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
const READ_BYTES: usize = 2048;

pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send + Sync {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync> Socket for S {}

pub(super) struct Connection {
    socket: Box<dyn Socket>,
    /// It has carried an answer: when it is found closed, that says nothing about the next request.
    pub(super) was_used: bool,
}

#[derive(Debug, Error)]
pub(super) enum HttpError {
    #[error("no connection: {0}")]
    Connect(io::Error),
    #[error("TLS failed: {0}")]
    Tls(io::Error),
    /// Before a byte of the answer.
    #[error("the connection was closed instead of an answer")]
    Closed,
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    #[error("the answer is no HTTP: {0}")]
    NoHttp(&'static str),
    #[error("no answer in time")]
    Late,
    /// Cut off by ourselves, to see what the collector makes of it.
    #[error("cut off on purpose")]
    Cut,
    #[error(transparent)]
    SignIn(#[from] SignInError),
    #[error(transparent)]
    Seal(#[from] SealingError),
}

impl HttpError {
    /// In one word, for counts.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Connect(_) => "no connection",
            Self::Tls(_) => "TLS failed",
            Self::Closed => "closed",
            Self::Broken(_) => "broken",
            Self::NoHttp(_) => "no HTTP",
            Self::Late => "no answer",
            Self::Cut => "cut",
            Self::SignIn(_) => "sign-in failed",
            Self::Seal(error) => error.kind(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Empty where none is told.
    pub(super) content_type: Box<str>,
    /// What each `WWW-Authenticate` says.
    pub(super) challenges: Vec<Box<str>>,
    pub(super) body: Vec<u8>,
    /// The connection can be used again.
    pub(super) keeps: bool,
}

/// How a request is written, where it is not just sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Delivery {
    Whole,
    /// So much of it, and then the connection is dropped.
    Cut(f64),
    /// All of it, and then the connection is dropped before the answer.
    Unheard,
    /// In so many pieces with a pause between them.
    Slow(usize, Duration),
}

impl Connection {
    pub(super) fn new(socket: Box<dyn Socket>) -> Self {
        Self { socket, was_used: false }
    }

    /// Sends and waits for the answer; `None` as connection when it cannot be used again.
    pub(super) async fn exchange(
        mut self,
        request: &Outgoing,
        how: Delivery,
        limit: Duration,
    ) -> Result<(Answer, Option<Self>), HttpError> {
        let exchanged = async {
            self.send(request, how).await?;
            self.answer().await
        };
        let answer = timeout(limit, exchanged).await.map_err(|_| HttpError::Late)??;
        self.was_used = true;
        let keeps = answer.keeps;
        Ok((answer, keeps.then_some(self)))
    }

    async fn send(&mut self, request: &Outgoing, how: Delivery) -> Result<(), HttpError> {
        let bytes = request.bytes();
        let pieces = match how {
            Delivery::Cut(share) => {
                let part = (bytes.len() as f64 * share.clamp(0.0, 1.0)) as usize;
                self.write(&bytes[..part]).await?;
                return Err(HttpError::Cut);
            }
            Delivery::Slow(pieces, _) => pieces.max(1),
            Delivery::Whole | Delivery::Unheard => 1,
        };
        for piece in bytes.chunks(bytes.len().div_ceil(pieces).max(1)) {
            self.write(piece).await?;
            if let Delivery::Slow(_, pause) = how {
                sleep(pause).await;
            }
        }
        if how == Delivery::Unheard { Err(HttpError::Cut) } else { Ok(()) }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        let written = async {
            self.socket.write_all(bytes).await?;
            self.socket.flush().await
        };
        // An answer may stand before the end of the request: that of a body too large.
        match written.await {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(broken),
        }
    }

    async fn answer(&mut self) -> Result<Answer, HttpError> {
        let mut bytes = Vec::with_capacity(READ_BYTES);
        let head_bytes = loop {
            if let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
                break end + 4;
            }
            if bytes.len() > HEAD_BYTES_MAX {
                return Err(HttpError::NoHttp("its head is too long"));
            }
            if self.socket.read_buf(&mut bytes).await.map_err(broken)? == 0 {
                return Err(if bytes.is_empty() { HttpError::Closed } else { cut_short() });
            }
        };
        let head = Head::parse(&bytes[..head_bytes])?;
        let mut body = bytes.split_off(head_bytes);
        match head.length {
            Length::Bytes(length) => self.fill(&mut body, length).await?,
            Length::Chunked => body = self.chunks(body).await?,
            Length::ToTheEnd => {
                while self.socket.read_buf(&mut body).await.map_err(broken)? > 0 {
                    check(body.len())?;
                }
            }
        }
        let Head { status, content_type, challenges, keeps, .. } = head;
        Ok(Answer { status, content_type, challenges, body, keeps })
    }

    async fn fill(&mut self, body: &mut Vec<u8>, length: usize) -> Result<(), HttpError> {
        check(length)?;
        body.reserve(length.saturating_sub(body.len()));
        while body.len() < length {
            if self.socket.read_buf(body).await.map_err(broken)? == 0 {
                return Err(cut_short());
            }
        }
        body.truncate(length);
        Ok(())
    }

    async fn chunks(&mut self, mut raw: Vec<u8>) -> Result<Vec<u8>, HttpError> {
        let mut body = Vec::new();
        loop {
            let Some(line) = memchr::memmem::find(&raw, b"\r\n") else {
                if self.socket.read_buf(&mut raw).await.map_err(broken)? == 0 {
                    return Err(cut_short());
                }
                continue;
            };
            let size = std::str::from_utf8(&raw[..line]).ok();
            let size = size.and_then(|line| line.split(';').next());
            let size = size.and_then(|digits| usize::from_str_radix(digits.trim(), 16).ok());
            let size = size.ok_or(HttpError::NoHttp("a chunk has no size"))?;
            let end = line + 2 + size + 2;
            check(body.len().saturating_add(size))?;
            let mut rest = raw.split_off(raw.len().min(end));
            while raw.len() < end {
                if self.socket.read_buf(&mut raw).await.map_err(broken)? == 0 {
                    return Err(cut_short());
                }
                rest.extend(raw.drain(end.min(raw.len())..));
            }
            if size == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&raw[line + 2..line + 2 + size]);
            raw = rest;
        }
    }
}

struct Head {
    status: u16,
    length: Length,
    content_type: Box<str>,
    challenges: Vec<Box<str>>,
    keeps: bool,
}

enum Length {
    Bytes(usize),
    Chunked,
    ToTheEnd,
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Self, HttpError> {
        let text = std::str::from_utf8(bytes).map_err(|_| HttpError::NoHttp("its head is no text"))?;
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
        let status = status.ok_or(HttpError::NoHttp("it has no status"))?;
        let (content_type, challenges) = (Box::default(), Vec::new());
        let mut head = Self { status, length: Length::ToTheEnd, content_type, challenges, keeps: true };
        for line in lines {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => {
                    let length = value.parse().map_err(|_| HttpError::NoHttp("its length is no number"))?;
                    head.length = Length::Bytes(length);
                }
                "transfer-encoding" if value.eq_ignore_ascii_case("chunked") => {
                    head.length = Length::Chunked;
                }
                "content-type" => head.content_type = value.into(),
                "www-authenticate" => head.challenges.push(value.into()),
                "connection" => head.keeps = !value.eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
        match head.length {
            _ if status == 204 => head.length = Length::Bytes(0),
            Length::ToTheEnd => head.keeps = false,
            _ => {}
        }
        Ok(head)
    }
}

fn check(body_bytes: usize) -> Result<(), HttpError> {
    if body_bytes <= BODY_BYTES_MAX { Ok(()) } else { Err(HttpError::NoHttp("its body is too long")) }
}

fn broken(error: io::Error) -> HttpError {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => HttpError::Closed,
        _ => HttpError::Broken(error),
    }
}

fn cut_short() -> HttpError {
    HttpError::Broken(io::ErrorKind::UnexpectedEof.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::target::Target;

    async fn answer(pieces: &[&str]) -> Result<(u16, String, bool), HttpError> {
        let (ours, mut theirs) = tokio::io::duplex(16);
        let pieces: Vec<String> = pieces.iter().map(|piece| (*piece).to_owned()).collect();
        let other = async move {
            let mut request = vec![0; 4096];
            let mut length = 0;
            while !request[..length].ends_with(b"\r\n\r\nbody") {
                length += theirs.read(&mut request[length..]).await.unwrap();
            }
            for piece in pieces {
                theirs.write_all(piece.as_bytes()).await.unwrap();
            }
            String::from_utf8(request[..length].to_vec()).unwrap()
        };
        let mut request = Outgoing::new(|out| out.extend_from_slice(b"body"));
        let to = Target::parse("http://wec.example:5985/wsman/x").unwrap();
        request.head(&to, "application/soap+xml;charset=UTF-16", true, None);
        let connection = Connection::new(Box::new(ours));
        let exchange = connection.exchange(&request, Delivery::Whole, Duration::from_secs(5));
        let (answer, sent) = tokio::join!(exchange, other);
        assert_eq!(
            sent,
            "POST /wsman/x HTTP/1.1\r\nConnection: Keep-Alive\r\n\
             Content-Type: application/soap+xml;charset=UTF-16\r\nContent-Encoding: SLDC\r\n\
             User-Agent: Microsoft WinRM Client\r\nContent-Length: 4\r\nHost: wec.example:5985\r\n\r\nbody"
        );
        answer.map(|(answer, kept)| (answer.status, String::from_utf8(answer.body).unwrap(), kept.is_some()))
    }

    #[tokio::test]
    async fn answers_end_where_their_head_says() {
        let ok = |status, body: &str, kept| (status, body.to_owned(), kept);
        let found = answer(&["HTTP/1.1 200 \r\nContent-Le", "ngth: 5\r\n\r\nhe", "llo"]).await.unwrap();
        assert_eq!(found, ok(200, "hello", true));
        let found = answer(&["HTTP/1.1 204 No Content\r\n\r\n"]).await.unwrap();
        assert_eq!(found, ok(204, "", true));
        let found = answer(&[
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
            "a;x=1\r\n0123456789\r\n0\r\n\r\n",
        ])
        .await
        .unwrap();
        assert_eq!(found, ok(200, "abc0123456789", true));
        let found =
            answer(&["HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"]).await.unwrap();
        assert_eq!(found, ok(503, "", false));
        let found = answer(&["HTTP/1.0 400 Bad\r\n\r\nto the end"]).await.unwrap();
        assert_eq!(found, ok(400, "to the end", false));
    }

    #[tokio::test]
    async fn what_is_no_answer_says_why() {
        assert!(matches!(answer(&[]).await, Err(HttpError::Closed)));
        assert!(matches!(answer(&["HTTP/1.1 200 OK\r\nConte"]).await, Err(HttpError::Broken(_))));
        assert!(matches!(answer(&["SSH-2.0-x\r\n\r\n"]).await, Err(HttpError::NoHttp(_))));
        let long = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", BODY_BYTES_MAX + 1);
        assert!(matches!(answer(&[&long]).await, Err(HttpError::NoHttp(_))));
    }
}
