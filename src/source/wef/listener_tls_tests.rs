//! Coming in with a certificate, over real sockets.

use super::*;
use crate::auth::AuthConfig;
use crate::auth::tls::{ClientsConfig, Config, NameFrom};
use crate::filter::OneOrMany;
use crate::source::wef::answers::Reply;
use crate::source::wef::entrance::Written;
use crate::source::wef::room::Room;
use crate::source::wef::session::{Incoming, Peer};
use crate::units::Span;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

/// Says who asked.
struct Who;

impl Service for Who {
    async fn admit(&self, _: &Peer, _: usize, _: Instant) -> Option<Room> {
        Some(Room::default())
    }

    async fn answer(&self, peer: &Peer, _: Incoming<'_>) -> Reply {
        let principal = peer.principal.as_ref().unwrap();
        Reply { body: Some(format!("{} {}", principal.machine, peer.is_tls).into()), ..Reply::empty(200) }
    }
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn issue(&self, name: &str, dns_name: &str) -> (CertificateDer<'static>, KeyPair) {
        let mut params = CertificateParams::new(vec![dns_name.to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from(7_u64));
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().der().clone(), key)
    }

    fn list(&self, revoked: &[u64], path: &Path) {
        let revoked = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2090, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        std::fs::write(path, params.signed_by(&self.issuer).unwrap().pem().unwrap()).unwrap();
    }
}

struct Server {
    address: SocketAddr,
    ca: Authority,
    report: Report,
    stop: CancellationToken,
    serving: JoinSet<Result<(), Closed>>,
    folder: tempfile::TempDir,
}

impl Server {
    async fn start(limits: LimitsConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let ca = Authority::new();
        let (own, key) = ca.issue("wec", "localhost");
        let own = x509_parser::pem::Pem { label: "CERTIFICATE".into(), contents: own.to_vec() };
        std::fs::write(path("own.pem"), pem(&own)).unwrap();
        std::fs::write(path("own.key"), key.serialize_pem()).unwrap();
        std::fs::set_permissions(path("own.key"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        std::fs::write(path("ca.pem"), &ca.pem).unwrap();
        ca.list(&[], &path("ca.crl"));
        let clients = ClientsConfig {
            ca: vec![path("ca.pem")],
            crl: vec![path("ca.crl")],
            issuers: Vec::new(),
            name_from: NameFrom::Subject,
        };
        // The port is free again by the time it is asked for.
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let entrance = Entrance::open(&Written {
            listen: &OneOrMany(vec![address.to_string()]),
            tls: Some(&Config { certificate: path("own.pem"), key: path("own.key") }),
            auth: &AuthConfig { kerberos: None, certificate: Some(clients), basic: None },
            insecure_plain_http: false,
            proxy_from: &[],
            limits: &limits,
        });
        let entrance = entrance.unwrap();
        assert!(entrance.probe().is_empty(), "{:?}", entrance.probe());
        let (report, stop, mut serving) = (Report::new("dc"), CancellationToken::new(), JoinSet::new());
        let (reported, stopping) = (report.clone(), stop.clone());
        serving.spawn(async move { entrance.serve(Who, reported, stopping).await });
        Self { address, ca, report, stop, serving, folder }
    }

    async fn connect(&self) -> TcpStream {
        loop {
            if let Ok(stream) = TcpStream::connect(self.address).await {
                return stream;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn shake(
        &self,
        shown: (CertificateDer<'static>, KeyPair),
    ) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        use rustls::pki_types::pem::PemObject;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca.pem.as_bytes()).unwrap()).unwrap();
        let key = PrivateKeyDer::try_from(shown.1.serialize_der()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![shown.0], key)
            .unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, self.connect().await).await
    }

    /// What a host with this certificate is answered; empty when nothing is.
    async fn ask(&self, shown: (CertificateDer<'static>, KeyPair)) -> String {
        match self.shake(shown).await {
            Ok(mut stream) => once(&mut stream).await,
            Err(_) => String::new(),
        }
    }

    async fn finding(&self) -> String {
        loop {
            if let [finding] = &self.report.take_fresh()[..] {
                return finding.to_string();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn once(stream: &mut tokio_rustls::client::TlsStream<TcpStream>) -> String {
    let request =
        b"POST / HTTP/1.1\r\nHost: wec\r\nContent-Type: application/soap+xml\r\nContent-Length: 1\r\n\r\nx";
    let _ = stream.write_all(request).await;
    let mut said = vec![0; 1024];
    let length = stream.read(&mut said).await.unwrap_or_default();
    String::from_utf8_lossy(&said[..length]).into_owned()
}

fn pem(pem: &x509_parser::pem::Pem) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(&pem.contents);
    format!("-----BEGIN {0}-----\n{text}\n-----END {0}-----\n", pem.label)
}

#[tokio::test]
async fn a_host_is_who_its_certificate_says_until_that_is_revoked() {
    let mut server = Server::start(LimitsConfig::default()).await;
    let mut stream = server.shake(server.ca.issue("WIN10.corp.example", "x")).await.unwrap();
    for _ in 0..2 {
        let said = once(&mut stream).await;
        assert!(said.ends_with("win10.corp.example true"), "{said}");
    }
    server.ca.list(&[7], &server.folder.path().join("ca.crl"));
    let refused = async {
        while !once(&mut stream).await.starts_with("HTTP/1.1 403 ") {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(30), refused).await.unwrap();
    let finding = server.finding().await;
    assert!(finding.contains("WIN10.corp.example") && finding.contains("revoked"), "{finding}");
    assert_eq!(
        server.ask(server.ca.issue("win11.corp.example", "x")).await,
        "",
        "it has the same serial number"
    );
    server.stop.cancel();
    server.serving.join_next().await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn who_has_a_certificate_of_another_authority_stays_outside() {
    let server = Server::start(LimitsConfig::default()).await;
    let other = Authority::new();
    assert_eq!(server.ask(other.issue("win10.corp.example", "x")).await, "");
    let finding = server.finding().await;
    assert!(finding.contains("127.0.0.1") && finding.contains("CN=win10.corp.example"), "{finding}");
    assert!(!server.ask(server.ca.issue("win10.corp.example", "x")).await.is_empty());
}

#[tokio::test]
async fn plain_http_and_silence_are_no_handshake() {
    let limits = LimitsConfig { handshake_timeout: Span::secs(1), ..LimitsConfig::default() };
    let server = Server::start(limits.clone()).await;
    let mut plain = server.connect().await;
    plain.write_all(b"POST /wsman HTTP/1.1\r\nHost: wec\r\n\r\n").await.unwrap();
    while plain.read(&mut [0; 64]).await.is_ok_and(|length| length > 0) {}
    assert!(server.finding().await.contains("127.0.0.1 could not connect with TLS"));

    let server = Server::start(limits).await;
    let mut opened_and_closed = server.connect().await;
    opened_and_closed.shutdown().await.unwrap();
    while opened_and_closed.read(&mut [0; 64]).await.is_ok_and(|length| length > 0) {}
    let mut silent = server.connect().await;
    // The first bytes of a ClientHello.
    silent.write_all(b"\x16\x03\x01\x02\0\x01\0").await.unwrap();
    let ended = timeout(Duration::from_secs(20), silent.read(&mut [0])).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    assert!(server.finding().await.contains("timed out"), "the other one is no trouble");
}
