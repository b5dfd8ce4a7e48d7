//! Handshakes with servers as they should be, and as they should not; files that change.

use super::*;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::WebPkiClientVerifier;
use std::fs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

struct Site {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    authority: CertificateDer<'static>,
}

impl Site {
    fn new() -> Self {
        Self::named("an authority")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key), authority: certificate.der().clone() }
    }

    fn params(name: &str, last_year: i32) -> CertificateParams {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(last_year, 1, 1);
        params
    }

    /// A server of this certificate, which asks for ours or not.
    fn server(&self, params: &CertificateParams, asks: bool) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let chain = vec![params.signed_by(&key, &self.issuer).unwrap().der().clone()];
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap();
        let builder = if asks {
            let mut roots = RootCertStore::empty();
            roots.add(self.authority.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()))
    }

    fn own(&self, last_year: i32) {
        let key = KeyPair::generate().unwrap();
        let certificate = Self::params("forebay", last_year).signed_by(&key, &self.issuer).unwrap();
        fs::write(self.path("own.pem"), certificate.pem()).unwrap();
        fs::write(self.path("own.key"), key.serialize_pem()).unwrap();
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(self.path("own.key"), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn trusting(&self) -> Config {
        Config { ca: vec![self.path("ca.pem")], ..Config::default() }
    }

    fn with_own(&self) -> Config {
        Config { certificate: Some(self.path("own.pem")), key: Some(self.path("own.key")), ..self.trusting() }
    }
}

/// One handshake and a byte each way; what was told meanwhile.
async fn shake(client: &Client, server: TlsAcceptor) -> (Result<(), Finding>, Vec<Finding>) {
    let (near, far) = tokio::io::duplex(65_536);
    let told = Mutex::new(Vec::new());
    let report = |finding| told.lock().unwrap().push(finding);
    let serve = async {
        let mut stream = server.accept(far).await.ok()?;
        let byte = stream.read_u8().await.ok()?;
        stream.write_u8(byte).await.ok()
    };
    let ask = async {
        let mut stream = client.connect(near, "localhost", &report).await?;
        let finding = |error| client.finding("localhost", "localhost", &error);
        stream.write_u8(7).await.map_err(finding)?;
        stream.flush().await.map_err(finding)?;
        stream.read_u8().await.map_err(finding).map(drop)
    };
    let (asked, _) = tokio::join!(ask, serve);
    (asked, told.into_inner().unwrap())
}

#[tokio::test]
async fn a_server_is_taken_when_its_certificate_is_good_and_told_of_when_not() {
    let (site, other, same) = (Site::new(), Site::named("another"), Site::new());
    let good = Site::params("localhost", 2090);
    let client = Client::new(&site.trusting());
    let (shaken, told) = shake(&client, site.server(&good, false)).await;
    assert_eq!((shaken, told), (Ok(()), Vec::new()));
    for (server, why) in [
        (other.server(&good, false), "leads to no authority that we trust"),
        (same.server(&good, false), "not signed by the authority"),
        (site.server(&Site::params("elsewhere", 2090), false), "is not for `localhost`"),
        (site.server(&Site::params("localhost", 2020), false), "has ended"),
    ] {
        let finding = shake(&client, server).await.0.unwrap_err();
        assert!(finding.why.contains(why), "{finding}");
    }
    let named = Config { server_name: Some("elsewhere".into()), ..site.trusting() };
    let elsewhere = site.server(&Site::params("elsewhere", 2090), false);
    assert_eq!(shake(&Client::new(&named), elsewhere).await.0, Ok(()));
    let blind = Config { insecure_any_certificate: true, ..Config::default() };
    assert_eq!(shake(&Client::new(&blind), other.server(&good, false)).await.0, Ok(()));
}

#[tokio::test]
async fn our_certificate_is_shown_and_a_new_one_is_noticed() {
    let site = Site::new();
    let server = || site.server(&Site::params("localhost", 2090), true);
    let finding = shake(&Client::new(&site.trusting()), server()).await.0.unwrap_err();
    assert!(finding.fix.contains("tls.certificate"), "{finding}");
    site.own(2090);
    let client = Client::new(&site.with_own());
    assert_eq!(shake(&client, server()).await, (Ok(()), Vec::new()));
    // One that has ended is told of by us and refused by them, until there is a better one.
    site.own(2020);
    let (refused, told) = shake(&client, server()).await;
    assert!(refused.unwrap_err().why.contains("CertificateExpired"));
    assert!(told[0].what.contains("has ended"), "{told:?}");
    assert!(shake(&client, server()).await.1[0].why.contains("while forebay was running"));
    site.own(2091);
    assert_eq!(shake(&client, server()).await, (Ok(()), Vec::new()));
}

#[tokio::test]
async fn what_is_no_tls_or_cannot_be_read_is_told() {
    let site = Site::new();
    let client = Client::new(&site.trusting());
    let (near, mut far) = tokio::io::duplex(4096);
    let serve = async {
        far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        far.shutdown().await.unwrap();
    };
    let (connected, ()) = tokio::join!(client.connect(near, "localhost", &|_| {}), serve);
    assert!(connected.unwrap_err().fix.contains("http://"));
    fs::write(site.path("ca.pem"), "no certificate").unwrap();
    let finding = client.current(&|_| {}).unwrap_err();
    assert!(finding.what.contains("ca.pem"), "{finding}");
}

#[test]
fn half_a_pair_and_an_odd_name_are_refused() {
    let half = Config { certificate: Some("x".into()), ..Config::default() };
    assert_eq!(half.check().unwrap_err().0, "tls.certificate");
    let odd = Config { server_name: Some("a b".into()), ..Config::default() };
    assert!(odd.check().unwrap_err().1.contains("`a b`"));
    assert_eq!(Config::default().check(), Ok(()));
}
