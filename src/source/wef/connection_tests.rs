//! A connection over real sockets: what HTTP clients do wrong, and what they get for it.

use super::*;
use crate::source::Report;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

#[path = "connection_http_tests.rs"]
mod http;

/// Answers with what it was asked, unless it is to wait or has no room.
#[derive(Default)]
struct Echo {
    asked: AtomicUsize,
    dropped: Notify,
}

struct Pending<'e>(&'e Echo);

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.dropped.notify_one();
    }
}

impl Service for Echo {
    async fn admit(&self, _: &Peer, body_bytes: usize, _: Instant) -> Option<Room> {
        (body_bytes != 4444).then(Room::default)
    }

    async fn answer(&self, peer: &Peer, request: Incoming<'_>) -> Reply {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if request.path == "/wait" {
            let _pending = Pending(self);
            std::future::pending::<()>().await;
        }
        let name = peer.principal.as_ref().map_or("nobody", |principal| &*principal.name);
        let (authority, path) = (&peer.authority, request.path);
        let (sldc, charset) = (request.is_sldc, request.charset_hint.unwrap_or("none"));
        let text = format!("{name} {authority} {path} {sldc} {charset} {}", request.body.len());
        let content_type = Some("application/soap+xml;charset=UTF-16");
        Reply { body: Some(text.into()), content_type, ..Reply::empty(200) }
    }
}

struct Server {
    address: std::net::SocketAddr,
    site: Arc<Site<Echo>>,
    report: Report,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    _folder: tempfile::TempDir,
}

const PATIENCE: Patience = Patience {
    first: Duration::from_millis(400),
    head: Duration::from_millis(400),
    idle: Duration::from_secs(3600),
    write: Duration::from_secs(5),
};

fn passwords() -> (tempfile::TempDir, PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("passwords");
    let argon = argon2::Argon2::from(argon2::Params::new(8, 1, 1, None).unwrap());
    let hash: argon2::PasswordHash =
        argon2::PasswordHasher::hash_password_with_salt(&argon, b"secret", b"saltsalt").unwrap();
    std::fs::write(&path, format!("win10:{hash}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    (folder, path)
}

impl Server {
    async fn start() -> Self {
        let (folder, path) = passwords();
        let report = Report::new("dc");
        let site = Arc::new(Site {
            service: Echo::default(),
            tls: None,
            tickets: None,
            passwords: Some(Passwords::open(&path).unwrap()),
            limits: Limits { patience: PATIENCE, body: Duration::from_millis(400), body_bytes_max: 64 << 10 },
            complaints: Complaints::new(report.clone()),
            metrics: report.entrance(&[], &[], &[]),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let (all, stopping) = (Arc::clone(&site), stop.clone());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, remote) = listener.accept().await.unwrap();
                let (site, stop) = (Arc::clone(&all), stopping.clone());
                let caller = Caller { address: remote.ip(), is_tls: false, identity: None, binding: None };
                connections.spawn(async move { serve(&site, caller, stream, &stop).await });
            }
        });
        Self { address, site, report, stop, tasks, _folder: folder }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends a request on a connection of its own and reads the answer; empty when there is none.
    async fn ask(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        let _ = stream.write_all(request.as_bytes()).await;
        answer(&mut stream).await
    }

    /// The finding that was made lately; it names the peer.
    fn finding(&self) -> String {
        let findings = self.report.take_fresh();
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].what.contains("127.0.0.1"), "{}", findings[0]);
        findings[0].to_string()
    }
}

const SIGNED_IN: &str = "Authorization: Basic d2luMTA6c2VjcmV0\r\nConnection: close\r\n";
const SOAP: &str = "Content-Type: application/soap+xml;charset=UTF-16\r\n";

fn post(path: &str, headers: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: wec:5985\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Reads one answer with its body; as much of it as there is.
async fn answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut whole = usize::MAX;
    while answer.len() < whole {
        let mut byte = [0];
        if !matches!(stream.read(&mut byte).await, Ok(1)) {
            break;
        }
        answer.push(byte[0]);
        if whole == usize::MAX && answer.ends_with(b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&answer).to_ascii_lowercase();
            let length =
                head.split("content-length: ").nth(1).map_or("0", |rest| rest.split('\r').next().unwrap());
            whole = answer.len() + length.parse::<usize>().unwrap();
        }
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_host_asks_on_one_connection_as_often_as_it_likes() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    let headers = SIGNED_IN.replace("Connection: close\r\n", "Connection: Keep-Alive\r\n") + SOAP;
    for _ in 0..3 {
        let request =
            post("/wsman/SubscriptionManager/WEC", &format!("{headers}Content-Encoding: SLDC\r\n"), "12345");
        stream.write_all(request.as_bytes()).await.unwrap();
        let said = answer(&mut stream).await;
        assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
        assert!(said.contains("content-type: application/soap+xml;charset=UTF-16\r\n"), "{said}");
        assert!(said.ends_with("win10 wec:5985 /wsman/SubscriptionManager/WEC true UTF-16 5"), "{said}");
    }
    // Longer than its head may take, and long enough for HTTP to be taken down meanwhile.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    stream.write_all(post("/a", &headers, "1").as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.ends_with("win10 wec:5985 /a false UTF-16 1"));
    assert!(server.report.findings().is_empty());
}

#[tokio::test]
async fn without_a_body_a_host_only_signs_in() {
    let server = Server::start().await;
    let said = server.ask(&post("/wsman", &format!("{SIGNED_IN}{SOAP}"), "")).await;
    assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with("\r\n\r\n"), "{said}");
    assert!(!said.contains("content-type"), "{said}");
    let chunked = format!(
        "POST /a HTTP/1.1\r\nHost: wec\r\n{SIGNED_IN}{SOAP}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    );
    let said = server.ask(&chunked).await;
    assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with("\r\n\r\n"), "{said}");
    assert_eq!(server.site.service.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_body_may_come_in_chunks() {
    let server = Server::start().await;
    let request = format!(
        "POST /a HTTP/1.1\r\nHost: wec\r\n{SIGNED_IN}{SOAP}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    );
    assert!(server.ask(&request).await.ends_with(" 5"));
}

#[tokio::test]
async fn who_has_not_signed_in_is_told_how() {
    let server = Server::start().await;
    let said = server.ask(&post("/wsman", SOAP, "12345")).await;
    assert!(
        said.starts_with("HTTP/1.1 401 ") && said.contains("www-authenticate: Basic realm=\"WSMAN\"\r\n"),
        "{said}"
    );
    assert!(server.report.findings().is_empty(), "that is how many clients begin");
    // win10:guess
    let said = server
        .ask(&post("/wsman", &format!("{SOAP}Authorization: Basic d2luMTA6Z3Vlc3M=\r\n"), "12345"))
        .await;
    assert!(said.starts_with("HTTP/1.1 401 "), "{said}");
    assert!(server.finding().contains("not its password"));
    assert_eq!(server.site.service.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn who_guesses_is_told_to_wait() {
    let server = Server::start().await;
    let guess = post("/wsman", &format!("{SOAP}Authorization: Basic d2luMTA6Z3Vlc3M=\r\n"), "12345");
    for _ in 0..5 {
        assert!(server.ask(&guess).await.starts_with("HTTP/1.1 401 "));
    }
    let said = server.ask(&guess).await;
    assert!(said.starts_with("HTTP/1.1 429 ") && said.contains("retry-after: 1\r\n"), "{said}");
}

#[tokio::test]
async fn anybody_may_ask_who_we_are_in_few_words() {
    let server = Server::start().await;
    let headers = format!("{SOAP}Connection: close\r\nWSMANIDENTIFY: unauthenticated\r\n");
    assert!(
        server
            .ask(&post("/wsman", &headers, "12345"))
            .await
            .ends_with("nobody wec:5985 /wsman false UTF-16 5")
    );
    let said = server.ask(&post("/wsman", &headers, &"x".repeat(ANONYMOUS_BYTES_MAX + 1))).await;
    assert!(said.starts_with("HTTP/1.1 413 "), "{said}");
}

#[tokio::test]
async fn what_is_no_request_of_ours_gets_its_status_and_a_finding() {
    let server = Server::start().await;
    let cases = [
        (format!("GET / HTTP/1.1\r\nHost: wec\r\n{SIGNED_IN}\r\n"), "405", "GET"),
        (post("/", SIGNED_IN, "<x/>"), "415", "no type"),
        (post("/", &format!("{SIGNED_IN}Content-Type: text/xml\r\n"), "<x/>"), "415", "text/xml"),
        (
            post("/", &format!("{SIGNED_IN}Content-Type: application/soap+xml;charset=KOI8-R\r\n"), "<x/>"),
            "415",
            "KOI8-R",
        ),
        (post("/", &format!("{SIGNED_IN}{SOAP}Content-Encoding: gzip\r\n"), "<x/>"), "415", "gzip"),
        (post("/", &format!("{SIGNED_IN}{SOAP}"), &"x".repeat((64 << 10) + 1)), "413", "65537"),
        (format!("POST / HTTP/1.1\r\n{SIGNED_IN}{SOAP}Content-Length: 1\r\n\r\nx"), "400", "Host"),
        (post("/", &format!("{SIGNED_IN}{SOAP}Host: two\r\n"), "x"), "400", "Host"),
    ];
    for (request, status, word) in cases {
        // The same kind of the same address is told once, so each case has a server of its own.
        let server = Server::start().await;
        let said = server.ask(&request).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{word}: {said}");
        let finding = server.finding();
        assert!(
            finding.contains(word) && !finding.contains("<x/>") && !finding.contains("secret"),
            "{finding}"
        );
    }
    let said = server.ask(&post("/", &format!("{SIGNED_IN}{SOAP}"), &"x".repeat(4444))).await;
    assert!(said.starts_with("HTTP/1.1 503 "), "no room: {said}");
}

#[tokio::test]
async fn a_body_in_chunks_is_cut_off_where_it_is_too_large() {
    let server = Server::start().await;
    let chunk = format!("{:x}\r\n{}\r\n", 40 << 10, "x".repeat(40 << 10));
    let request = format!(
        "POST /a HTTP/1.1\r\nHost: wec\r\n{SIGNED_IN}{SOAP}Transfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n"
    );
    let said = server.ask(&request).await;
    assert!(said.starts_with("HTTP/1.1 413 "), "{said}");
    assert!(server.finding().contains("more than 65536"));
}

#[tokio::test]
async fn half_a_request_and_silence_is_let_go() {
    let server = Server::start().await;
    let whole = post("/", &format!("{SIGNED_IN}{SOAP}"), "12345");
    for (half, expected, word) in [
        ("", "", ""),
        (&whole[..20], "", "took too long"),
        (&whole[..whole.len() - 2], "HTTP/1.1 408 ", "whole body"),
    ] {
        let server = Server::start().await;
        let mut stream = server.connect().await;
        stream.write_all(half.as_bytes()).await.unwrap();
        let mut said = String::new();
        let reading = stream.read_to_string(&mut said);
        tokio::time::timeout(Duration::from_secs(20), reading).await.unwrap().unwrap();
        assert!(said.starts_with(expected), "{said}");
        match word {
            "" => assert!(server.report.findings().is_empty(), "a health check opens and closes"),
            word => assert!(server.finding().contains(word)),
        }
    }
    assert!(server.ask(&whole).await.starts_with("HTTP/1.1 200 "), "others are served");
}

#[tokio::test]
async fn what_is_not_http_is_refused_and_told() {
    let server = Server::start().await;
    let said = server.ask("\u{16}\u{3}\u{1}\u{2}hello\r\n\r\n").await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 "), "{said}");
    assert!(server.finding().contains("not HTTP"));
    let server = Server::start().await;
    let said = server
        .ask(&format!("POST / HTTP/1.1\r\nHost: wec\r\nX: {}\r\n\r\n", "x".repeat(2 * HEAD_BYTES_MAX)))
        .await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 431 "), "{said}");
    // A ticket of 64 KiB is none of ours yet, and no reason to refuse the head.
    let request = post("/", &format!("{SOAP}Authorization: Negotiate {}\r\n", "x".repeat(64 << 10)), "x");
    assert!(Server::start().await.ask(&request).await.starts_with("HTTP/1.1 401 "));
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_is_dropped() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    stream.write_all(post("/wait", &format!("{SIGNED_IN}{SOAP}"), "12345").as_bytes()).await.unwrap();
    while server.site.service.asked.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    drop(stream);
    tokio::time::timeout(Duration::from_secs(20), server.site.service.dropped.notified()).await.unwrap();
}

#[tokio::test]
async fn a_stop_lets_idle_connections_go_and_waits_for_no_answer_for_long() {
    let mut server = Server::start().await;
    let mut idle = server.connect().await;
    let mut busy = server.connect().await;
    idle.write_all(post("/", &format!("{SOAP}{}", SIGNED_IN.replace("close", "keep-alive")), "1").as_bytes())
        .await
        .unwrap();
    answer(&mut idle).await;
    busy.write_all(post("/wait", &format!("{SIGNED_IN}{SOAP}"), "12345").as_bytes()).await.unwrap();
    while server.site.service.asked.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    server.stop.cancel();
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
    let ended = tokio::time::timeout(Duration::from_secs(20), busy.read(&mut [0])).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)));
    server.tasks.shutdown().await;
}
