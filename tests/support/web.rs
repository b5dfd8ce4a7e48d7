//! A receiver of HTTP in the test: keeps what it is asked, answers as it is told to, also wrongly.

use flate2::read::GzDecoder;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as it came, with its body as it was before it was compressed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// What it answers.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Status(u16, Vec<(&'static str, String)>, String),
    /// The same, so much later.
    Late(Duration, Box<Reply>),
    /// Half of an answer, then nothing more.
    Half,
    /// Bytes that are no HTTP.
    Garbage,
    HangUp,
    /// An answer that does not end.
    Endless,
}

pub(crate) fn says(status: u16, body: &str) -> Reply {
    Reply::Status(status, Vec::new(), body.into())
}

pub(crate) struct Receiver {
    pub(crate) port: u16,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<Request>>>,
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

impl Receiver {
    pub(crate) fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::over(None, handler)
    }

    /// With TLS, of which there may be another for each connection.
    pub(crate) fn over(
        tls: Option<Arc<Mutex<Arc<ServerConfig>>>>,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (count, kept, handler) =
            (Arc::clone(&connections), Arc::clone(&requests), Arc::new(handler) as Arc<Handler>);
        // It ends with the process of the tests.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::Relaxed);
                let tls = tls.as_ref().map(|tls| Arc::clone(&tls.lock().unwrap()));
                let (kept, handler) = (Arc::clone(&kept), Arc::clone(&handler));
                std::thread::spawn(move || serve(wire(stream, tls)?, &kept, &*handler));
            }
        });
        Self { port, connections, requests }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

fn wire(stream: TcpStream, tls: Option<Arc<ServerConfig>>) -> io::Result<Box<dyn Wire>> {
    stream.set_nodelay(true)?;
    Ok(match tls {
        None => Box::new(stream),
        Some(config) => {
            let connection = ServerConnection::new(config).map_err(io::Error::other)?;
            Box::new(StreamOwned::new(connection, stream))
        }
    })
}

/// Requests of one connection, until it ends.
fn serve(wire: Box<dyn Wire>, kept: &Mutex<Vec<Request>>, handler: &Handler) -> io::Result<()> {
    let mut wire = BufReader::new(wire);
    loop {
        let mut line = String::new();
        if wire.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split_whitespace().map(str::to_owned);
        let mut request = Request {
            method: words.next().unwrap_or_default(),
            path: words.next().unwrap_or_default(),
            ..Request::default()
        };
        loop {
            let mut line = String::new();
            wire.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            request.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let mut body = vec![0; request.header("content-length").parse().unwrap_or(0)];
        wire.read_exact(&mut body)?;
        request.body = match request.header("content-encoding") {
            "gzip" => {
                let mut plain = Vec::new();
                GzDecoder::new(&body[..]).read_to_end(&mut plain)?;
                plain
            }
            "zstd" => zstd::decode_all(&body[..])?,
            _ => body,
        };
        let mut reply = handler(&request);
        kept.lock().unwrap().push(request);
        while let Reply::Late(after, later) = reply {
            std::thread::sleep(after);
            reply = *later;
        }
        let wire = wire.get_mut();
        match reply {
            Reply::Status(status, headers, body) => {
                let mut head = format!("HTTP/1.1 {status} words\r\nContent-Length: {}\r\n", body.len());
                headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
                wire.write_all(format!("{head}\r\n{body}").as_bytes())?;
                wire.flush()?;
            }
            Reply::Half => {
                wire.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"text\":")?;
                return wire.flush();
            }
            Reply::Garbage => {
                wire.write_all(b"\x16\x03\x01 this is no HTTP\r\n\r\n")?;
                return wire.flush();
            }
            Reply::Endless => {
                wire.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                let chunk = format!("10000\r\n{}\r\n", " ".repeat(65_536));
                loop {
                    wire.write_all(chunk.as_bytes())?;
                }
            }
            Reply::HangUp | Reply::Late(..) => return Ok(()),
        }
    }
}
