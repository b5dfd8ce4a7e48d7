//! A Windows host of a test: a connection to a collector, and the messages a forwarder sends. Plain HTTP
//! and a password, or TLS and a certificate; what it says is written and read by the library, what goes
//! wrong by hand.

use forebay::wsman::charset::{self, Charset};
use forebay::wsman::ns::{self, action, resource};
use forebay::wsman::request::Message;
use forebay::wsman::sldc::{Encoder, Scheme};
use forebay::wsman::{Answer, Bookmark, Events, Guid, Header, Offer, Reference, Reply, Request};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What all hosts sign in with.
const PASSWORD: &str = "opensesame";

/// A password file of these machines, as the collector reads it.
pub(crate) fn passwords(path: &Path, machines: &[String]) {
    use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
    use std::os::unix::fs::PermissionsExt;
    // As cheap as the file may have it: tests sign in often.
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
    let hash = argon.hash_password_with_salt(PASSWORD.as_bytes(), b"saltsalt").unwrap();
    let lines: String = machines.iter().map(|machine| format!("{machine}:{hash}\n")).collect();
    std::fs::write(path, lines).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// An answer over HTTP.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    /// Text of the envelope; empty when there is none.
    pub(crate) text: String,
}

impl Response {
    pub(crate) fn is_ack(&self) -> bool {
        self.status == 200 && matches!(Answer::parse(&self.text), Ok(Answer { reply: Reply::Ack, .. }))
    }
}

/// A subscription as a host was told of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Offered {
    pub(crate) name: String,
    pub(crate) version: Guid,
    pub(crate) path: String,
    pub(crate) bookmark: Option<String>,
    pub(crate) reference: String,
}

pub(crate) struct Host {
    pub(crate) name: String,
    /// Of the loopback, which has millions.
    pub(crate) address: Ipv4Addr,
    port: u16,
    /// Who it is, by certificate; without, it has a password.
    tls: Option<Arc<ClientConfig>>,
    connection: Option<Box<dyn Wire>>,
}

/// What requests go over.
pub(crate) trait Wire: Read + Write + Send {}

impl<T: Read + Write + Send> Wire for T {}

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(90);

impl Host {
    pub(crate) fn new(name: &str, port: u16) -> Self {
        Self { name: name.into(), address: Ipv4Addr::LOCALHOST, port, tls: None, connection: None }
    }

    /// One that signs in by certificate.
    pub(crate) fn certified(name: &str, port: u16, tls: Arc<ClientConfig>) -> Self {
        Self { tls: Some(tls), ..Self::new(name, port) }
    }

    pub(crate) fn connect(&self) -> io::Result<TcpStream> {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        bind(&socket, &SocketAddrV4::new(self.address, 0))?;
        connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.port))?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// A connection that requests can go over. Whether its certificate is taken shows at the first answer.
    pub(crate) fn open(&self) -> io::Result<Box<dyn Wire>> {
        let mut stream = self.connect()?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let name = "localhost".try_into().map_err(io::Error::other)?;
        let mut client = ClientConnection::new(Arc::clone(tls), name).map_err(io::Error::other)?;
        while client.is_handshaking() {
            client.complete_io(&mut stream)?;
        }
        Ok(Box::new(StreamOwned::new(client, stream)))
    }

    /// The connection breaks.
    pub(crate) fn hang_up(&mut self) {
        self.connection = None;
    }

    pub(crate) fn header(&self, action: &'static str) -> Header<'_> {
        Header {
            action: Some(action.into()),
            message_id: Some("uuid:02020202-0202-4202-8202-020202020202".into()),
            to: Some(format!("http://127.0.0.1:{}/wsman", self.port).into()),
            reply_to: Some(ns::ANONYMOUS.into()),
            machine_id: Some(self.name.as_str().into()),
            max_envelope_size: Some(512_000),
            operation_timeout: Some(Duration::from_secs(60)),
            ..Header::default()
        }
    }

    /// Everything it is asked for, by asking.
    pub(crate) fn enumerate(&mut self, path: &str) -> Vec<Offered> {
        self.ask(path).unwrap()
    }

    /// As `enumerate`, of a collector that may be away.
    pub(crate) fn ask(&mut self, path: &str) -> io::Result<Vec<Offered>> {
        let header = Header {
            resource: Some(resource::SUBSCRIPTION_MANAGER.into()),
            ..self.header(action::ENUMERATE)
        };
        let message = Message::Enumerate { optimized: true, max_elements: Some(32_000) };
        let body = utf16(&written(header, message));
        let response = self.post(path, "", &body)?;
        assert_eq!(response.status, 200, "{response:?}");
        let Ok(Answer { reply: Reply::EnumerateResponse(offers), .. }) = Answer::parse(&response.text) else {
            panic!("{response:?}");
        };
        Ok(Self::offered(offers))
    }

    /// What offers say, as far as a host goes by it.
    pub(crate) fn offered(offers: Vec<Offer<'_>>) -> Vec<Offered> {
        let offered = |offer: Offer<'_>| Offered {
            name: offer.subscription.name.clone(),
            version: offer.version,
            path: format!("/{}", offer.endpoint.address.splitn(4, '/').nth(3).unwrap()),
            bookmark: offer.bookmark.as_ref().and_then(|bookmark| bookmark.text().map(str::to_owned)),
            reference: offer.references[0].text.clone().into_owned(),
        };
        offers.into_iter().map(offered).collect()
    }

    /// Delivers events; `reference` is what the subscription wants back.
    pub(crate) fn deliver(
        &mut self,
        to: &Offered,
        events: &[String],
        bookmark: &str,
    ) -> io::Result<Response> {
        let body = sldc(&utf16(&self.events(to, events, bookmark)));
        self.post(&to.path, "Content-Encoding: SLDC\r\n", &body)
    }

    /// The envelope of a delivery.
    pub(crate) fn events(&self, to: &Offered, events: &[String], bookmark: &str) -> String {
        let (mut text, mut ranges) = (String::new(), Vec::new());
        for event in events {
            let start = text.len() as u32;
            text.push_str(event);
            ranges.push(start..text.len() as u32);
        }
        let bookmark = (!bookmark.is_empty()).then(|| Bookmark::kept(bookmark.to_owned()));
        let header = Header { bookmark, ..self.delivery(to, action::EVENTS) };
        written(header, Message::Events(Events { text: Cow::Owned(text), ranges, ..Events::default() }))
    }

    /// Header of what belongs to a subscription.
    pub(crate) fn delivery(&self, to: &Offered, action: &'static str) -> Header<'_> {
        let references = vec![Reference::identifier(to.reference.clone())];
        Header { references, ack_requested: true, ..self.header(action) }
    }

    /// Posts a body as it is, with more lines of head.
    pub(crate) fn post(&mut self, path: &str, lines: &str, body: &[u8]) -> io::Result<Response> {
        let kind = "Content-Type: application/soap+xml;charset=UTF-16\r\n";
        self.request(&self.head("POST", path, &format!("{kind}{lines}"), body.len()), body)
    }

    /// A head as Windows writes it.
    pub(crate) fn head(&self, method: &str, path: &str, lines: &str, length: usize) -> String {
        use base64::Engine as _;
        let proof = base64::engine::general_purpose::STANDARD.encode(format!("{}:{PASSWORD}", self.name));
        let proof = match self.tls {
            Some(_) => String::new(),
            None => format!("Authorization: Basic {proof}\r\n"),
        };
        format!(
            "{method} {path} HTTP/1.1\r\nConnection: Keep-Alive\r\n{lines}{proof}\
             User-Agent: Microsoft WinRM Client\r\nContent-Length: {length}\r\nHost: 127.0.0.1:{}\r\n\r\n",
            self.port
        )
    }

    pub(crate) fn request(&mut self, head: &str, body: &[u8]) -> io::Result<Response> {
        let mut stream = match self.connection.take() {
            Some(stream) => stream,
            None => self.open()?,
        };
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let response = answer(&mut stream)?;
        if !response.head.to_ascii_lowercase().contains("connection: close") {
            self.connection = Some(stream);
        }
        Ok(response)
    }
}

/// Reads one answer.
pub(crate) fn answer(stream: &mut impl Read) -> io::Result<Response> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let lower = head.to_ascii_lowercase();
            let length = lower.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
            let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
            if bytes.len() >= end + 4 + length {
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                let body = &bytes[end + 4..];
                let mut text = Vec::new();
                charset::decode(body, None, &mut text).map_err(io::Error::other)?;
                return Ok(Response { status, head, text: String::from_utf8(text).unwrap() });
            }
        }
        match stream.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => bytes.extend_from_slice(&piece[..length]),
        }
    }
}

pub(crate) fn written(header: Header<'_>, message: Message<'_>) -> String {
    let mut text = String::new();
    Request { header, message }.write(&mut text);
    text
}

pub(crate) fn utf16(text: &str) -> Vec<u8> {
    let mut body = Vec::new();
    charset::encode(text, Charset::Utf16, &mut body);
    body
}

pub(crate) fn sldc(plain: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    Encoder::default().encode(plain, Scheme::One, &mut body);
    body
}

/// An event as Windows writes it.
pub(crate) fn event(channel: &str, record: u64, computer: &str) -> String {
    format!(
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='P'/>\
         <EventID>4624</EventID><TimeCreated SystemTime='2026-01-02T03:04:05.6789012Z'/>\
         <EventRecordID>{record}</EventRecordID><Channel>{channel}</Channel><Computer>{computer}</Computer>\
         </System><EventData><Data Name='a'>{record}</Data></EventData></Event>"
    )
}

/// Where a host is after that record.
pub(crate) fn bookmark(channel: &str, record: u64) -> String {
    format!(
        "<BookmarkList><Bookmark Channel=\"{channel}\" RecordId=\"{record}\" IsCurrent=\"true\"/></BookmarkList>"
    )
}
