//! Coming in, over real sockets: what is written of it, PROXY headers, and how many there may be.

use super::*;
use crate::auth::AuthConfig;
use crate::filter::OneOrMany;
use crate::source::wef::answers::Reply;
use crate::source::wef::entrance::{Written, Wrong};
use crate::source::wef::room::Room;
use crate::source::wef::session::{Incoming, Peer};
use crate::units::{ByteSize, Span};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

/// Says from where it was asked.
struct Where;

impl Service for Where {
    async fn admit(&self, _: &Peer, _: usize, _: Instant) -> Option<Room> {
        Some(Room::default())
    }

    async fn answer(&self, peer: &Peer, _: Incoming<'_>) -> Reply {
        Reply { body: Some(peer.address.to_string().into()), ..Reply::empty(200) }
    }
}

struct Server {
    address: SocketAddr,
    report: Report,
    stop: CancellationToken,
    serving: JoinSet<Result<(), Closed>>,
    _folder: tempfile::TempDir,
}

impl Server {
    async fn start(proxy_from: &[&str], limits: LimitsConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passwords");
        let argon = argon2::Argon2::from(argon2::Params::new(8, 1, 1, None).unwrap());
        let hash: argon2::PasswordHash =
            argon2::PasswordHasher::hash_password_with_salt(&argon, b"secret", b"saltsalt").unwrap();
        std::fs::write(&path, format!("win10:{hash}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        // The port is free again by the time it is asked for.
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let entrance = open(&address.to_string(), Some(path), true, proxy_from, &limits).unwrap();
        let (report, stop, mut serving) = (Report::new("dc"), CancellationToken::new(), JoinSet::new());
        let (reported, stopping) = (report.clone(), stop.clone());
        serving.spawn(async move { entrance.serve(Where, reported, stopping).await });
        Self { address, report, stop, serving, _folder: folder }
    }

    async fn connect(&self) -> TcpStream {
        loop {
            if let Ok(stream) = TcpStream::connect(self.address).await {
                return stream;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The body of the answer, if there is one.
    async fn ask(&self, before: &[u8]) -> String {
        let mut stream = self.connect().await;
        let _ = stream.write_all(&[before, REQUEST].concat()).await;
        let mut said = String::new();
        let _ = stream.read_to_string(&mut said).await;
        said.rsplit("\r\n").next().unwrap_or_default().to_owned()
    }

    async fn end(mut self) {
        self.stop.cancel();
        self.serving.join_next().await.unwrap().unwrap().unwrap();
    }
}

const REQUEST: &[u8] = b"POST / HTTP/1.1\r\nHost: wec\r\nAuthorization: Basic d2luMTA6c2VjcmV0\r\n\
    Content-Type: application/soap+xml\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx";

fn open(
    listen: &str,
    passwords: Option<PathBuf>,
    insecure_plain_http: bool,
    proxy_from: &[&str],
    limits: &LimitsConfig,
) -> Result<Entrance, Wrong> {
    let basic = passwords.map(|passwords| crate::auth::basic::Config { passwords });
    let proxy_from: Vec<String> = proxy_from.iter().map(|&text| text.into()).collect();
    Entrance::open(&Written {
        listen: &OneOrMany(vec![listen.to_owned()]),
        tls: None,
        auth: &AuthConfig { basic, kerberos: None, certificate: None },
        insecure_plain_http,
        proxy_from: &proxy_from,
        limits,
    })
}

#[test]
fn certificates_and_tls_belong_together() {
    let opened = |own: bool, ca: &[&str], issuers: &[&str]| {
        let own = own.then(|| tls::Config { certificate: "/own.pem".into(), key: "/own.key".into() });
        let clients = tls::ClientsConfig {
            ca: ca.iter().map(PathBuf::from).collect(),
            crl: Vec::new(),
            issuers: issuers.iter().map(|&text| text.into()).collect(),
            name_from: tls::NameFrom::Subject,
        };
        let opened = Entrance::open(&Written {
            listen: &OneOrMany(vec!["0.0.0.0:5986".into()]),
            tls: own.as_ref(),
            auth: &AuthConfig { kerberos: None, certificate: Some(clients), basic: None },
            insecure_plain_http: false,
            proxy_from: &[],
            limits: &LimitsConfig::default(),
        });
        opened.map_err(|wrong| wrong.key)
    };
    assert_eq!(opened(false, &["/ca.pem"], &[]).unwrap_err(), "auth.certificate");
    assert_eq!(opened(true, &[], &[]).unwrap_err(), "auth.certificate.ca");
    assert_eq!(opened(true, &["/ca.pem"], &["6a47"]).unwrap_err(), "auth.certificate.issuers");
    let entrance = opened(true, &["/ca.pem"], &["6a4720a83504b818c86bac099d3a4bede89945d9"]).unwrap();
    assert!(entrance.probe()[0].what.contains("/own.pem"));
}

#[test]
fn what_makes_no_sense_is_told_with_its_key() {
    let limits = LimitsConfig::default();
    let passwords = || Some(PathBuf::from("/passwords"));
    let key = |opened: Result<Entrance, Wrong>| opened.unwrap_err().key;
    assert_eq!(key(open("5985", passwords(), true, &[], &limits)), "listen");
    assert_eq!(key(open("0.0.0.0:5985", None, true, &[], &limits)), "auth");
    assert_eq!(key(open("0.0.0.0:5985", passwords(), false, &[], &limits)), "auth.basic");
    assert_eq!(key(open("0.0.0.0:5985", passwords(), true, &["ten"], &limits)), "proxy_from");
    let none = LimitsConfig { connections: 0, ..limits.clone() };
    assert_eq!(key(open("0.0.0.0:5985", passwords(), true, &[], &none)), "limits.connections");
    let short = LimitsConfig { body_timeout: Span::millis(5), ..limits.clone() };
    assert_eq!(key(open("0.0.0.0:5985", passwords(), true, &[], &short)), "limits.body_timeout");
    let large = LimitsConfig { body_max: ByteSize::mib(999), ..limits.clone() };
    assert_eq!(key(open("0.0.0.0:5985", passwords(), true, &[], &large)), "limits.body_max");
    let entrance = open("[::]:5985", passwords(), true, &["10.0.0.7", "fd00::/8"], &limits).unwrap();
    assert!(entrance.probe().iter().any(|finding| finding.what.contains("/passwords")));
}

#[tokio::test]
async fn a_listed_balancer_tells_whose_connection_it_is() {
    let server = Server::start(&["127.0.0.0/8"], LimitsConfig::default()).await;
    assert_eq!(server.ask(b"PROXY TCP4 203.0.113.7 198.51.100.1 50123 5986\r\n").await, "203.0.113.7");
    assert_eq!(server.ask(b"PROXY UNKNOWN\r\n").await, "127.0.0.1");
    let second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x08\xc6\x33\x64\x01\xc3\xcb\x17\x62";
    assert_eq!(server.ask(second).await, "203.0.113.8");
    assert!(server.report.findings().is_empty());
    assert_eq!(server.ask(b"").await, "");
    let findings = server.report.findings();
    assert!(findings[0].what.contains("127.0.0.1, which is listed in `proxy_from`"), "{}", findings[0]);
    server.end().await;
}

#[tokio::test]
async fn a_header_of_anybody_else_is_none() {
    let server = Server::start(&["203.0.113.0/24"], LimitsConfig::default()).await;
    assert_eq!(server.ask(b"").await, "127.0.0.1");
    assert_eq!(server.ask(b"PROXY TCP4 203.0.113.7 198.51.100.1 50123 5986\r\n").await, "");
    assert!(server.report.findings()[0].fix.contains("proxy_from"));
    server.end().await;
}

#[tokio::test]
async fn half_a_header_and_silence_is_let_go() {
    let limits = LimitsConfig { handshake_timeout: Span::secs(1), ..LimitsConfig::default() };
    let server = Server::start(&["127.0.0.1"], limits).await;
    let mut stream = server.connect().await;
    stream.write_all(b"PROXY TCP4 203.").await.unwrap();
    let ended = timeout(Duration::from_secs(20), stream.read(&mut [0])).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    assert!(server.report.findings()[0].why.contains("in time"));
    server.end().await;
}

#[tokio::test]
async fn a_crowd_of_one_address_is_closed_at_once_and_told_once() {
    let limits = LimitsConfig { connections_per_address: 2, ..LimitsConfig::default() };
    let server = Server::start(&["127.0.0.1"], limits).await;
    let mut crowd = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect().await;
        let ask = REQUEST.to_vec();
        let ask = String::from_utf8(ask).unwrap().replace("close", "keep-alive");
        stream
            .write_all(format!("PROXY TCP4 203.0.113.7 198.51.100.1 50123 5986\r\n{ask}").as_bytes())
            .await
            .unwrap();
        assert!(stream.read(&mut [0; 512]).await.unwrap() > 0);
        crowd.push(stream);
    }
    for _ in 0..2 {
        assert_eq!(server.ask(b"PROXY TCP4 203.0.113.7 198.51.100.1 50123 5986\r\n").await, "");
    }
    assert_eq!(server.ask(b"PROXY TCP4 203.0.113.8 198.51.100.1 50123 5986\r\n").await, "203.0.113.8");
    let findings = server.report.findings();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].what.contains("203.0.113.7") && findings[0].fix.contains("connections_per_address"));
    drop(crowd);
    while server.ask(b"PROXY TCP4 203.0.113.7 198.51.100.1 50123 5986\r\n").await.is_empty() {}
    server.end().await;
}

#[tokio::test]
async fn a_taken_port_is_a_finding() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::start(&[], LimitsConfig::default()).await;
    let path = server._folder.path().join("passwords");
    let listen = taken.local_addr().unwrap().to_string();
    let entrance = open(&listen, Some(path), true, &[], &LimitsConfig::default()).unwrap();
    assert!(entrance.probe()[0].what.contains(&listen));
    let closed = entrance.serve(Where, Report::new("dc"), CancellationToken::new()).await.unwrap_err();
    assert!(closed.finding.what.contains(&listen) && closed.kind == io::ErrorKind::AddrInUse);
    server.end().await;
}
