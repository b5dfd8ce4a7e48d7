//! Handshakes with hosts of all kinds, and files that change.

use super::*;
use crate::auth::Scheme;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// An authority of the tests.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A host's certificate, as its authority would make it.
fn host(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.serial_number = Some(SerialNumber::from(7_u64));
    params
}

struct Shown {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Authority {
    fn new(name: &str) -> Self {
        let (params, key) = (authority(name), KeyPair::generate().unwrap());
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn below(&self, name: &str) -> Self {
        let (params, key) = (authority(name), KeyPair::generate().unwrap());
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn issue(&self, params: CertificateParams) -> Shown {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Shown { chain: vec![certificate.der().clone()], key }
    }

    fn thumbprint(&self) -> String {
        use sha1::{Digest, Sha1};
        Sha1::digest(self.certificate.der()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A list that revokes the certificates with the serial number of `host`, or none.
    fn revokes(&self, serial: Option<u64>, next_update: i32) -> String {
        let revoked = |serial: u64| RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(next_update, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: serial.map(revoked).into_iter().collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

struct Setting {
    folder: tempfile::TempDir,
    ca: Authority,
    spec: Spec,
}

impl Setting {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let ca = Authority::new("Hosts CA");
        let key = KeyPair::generate().unwrap();
        let own =
            CertificateParams::new(vec!["wec.corp.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        std::fs::write(path("own.pem"), own.pem()).unwrap();
        std::fs::write(path("own.key"), key.serialize_pem()).unwrap();
        std::fs::set_permissions(path("own.key"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        std::fs::write(path("ca.pem"), ca.certificate.pem()).unwrap();
        let clients = ClientsConfig {
            ca: vec![path("ca.pem")],
            crl: Vec::new(),
            issuers: Vec::new(),
            name_from: NameFrom::Subject,
        };
        let own = Config { certificate: path("own.pem"), key: path("own.key") };
        let spec = Spec { own, clients: Some(clients), others_may_come: false };
        Self { folder, ca, spec }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn clients(&mut self) -> &mut ClientsConfig {
        self.spec.clients.as_mut().unwrap()
    }

    fn server(&self) -> Server {
        let (server, findings) = Server::open(&self.spec).unwrap();
        assert!(findings.is_empty(), "{findings:?}");
        server
    }

    /// What a server says of these certificates: the machine, or why not.
    async fn meets(&self, server: &Server, shown: Option<&Shown>) -> Result<String, String> {
        let (identity, _) = shake(server, &self.spec.own.certificate, shown, &["http/1.1"]).await?;
        Ok(identity.map_or_else(|| "nobody".into(), |identity| identity.principal.machine.to_string()))
    }
}

/// Both sides in one process; the alert that the peer got is no part of what is compared.
async fn shake(
    server: &Server,
    own: &Path,
    shown: Option<&Shown>,
    protocols: &[&str],
) -> Result<(Option<Identity>, String), String> {
    use rustls::pki_types::pem::PemObject;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(own).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = match shown {
        Some(shown) => {
            let key = PrivateKeyDer::try_from(shown.key.serialize_der()).unwrap();
            builder.with_client_auth_cert(shown.chain.clone(), key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let (near, far) = tokio::io::duplex(16 << 10);
    let name = ServerName::try_from("wec.corp.example").unwrap();
    let client = async {
        let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, near).await?;
        let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        stream.write_all(b"x").await?;
        let _ = stream.read(&mut [0]).await;
        io::Result::Ok(protocol)
    };
    let serving = async {
        let Shaken { mut stream, identity, .. } = server.accept(far).await?;
        let _ = stream.read(&mut [0]).await;
        Ok::<_, Failed>(identity)
    };
    let (protocol, served) = tokio::join!(client, serving);
    match served {
        Ok(identity) => {
            let protocol = protocol.unwrap().unwrap_or_default();
            Ok((identity, String::from_utf8(protocol).unwrap()))
        }
        Err(failed) => Err(failed.finding([10, 0, 0, 1].into()).to_string()),
    }
}

#[track_caller]
fn told(met: &Result<String, String>, words: &[&str]) {
    let finding = met.as_ref().unwrap_err();
    assert!(finding.contains("10.0.0.1"), "{finding}");
    for word in words {
        assert!(finding.contains(word), "{word}: {finding}");
    }
}

#[tokio::test]
async fn a_host_of_our_authority_is_who_its_certificate_says() {
    let setting = Setting::new();
    let server = setting.server();
    let shown = setting.ca.issue(host("WIN10.corp.example"));
    assert_eq!(setting.meets(&server, Some(&shown)).await, Ok("win10.corp.example".into()));
    let own = &setting.spec.own.certificate;
    let (identity, protocol) = shake(&server, own, Some(&shown), &["h2", "http/1.1"]).await.unwrap();
    let identity = identity.unwrap();
    assert_eq!((&*identity.principal.name, &*protocol), ("WIN10.corp.example", "http/1.1"));
    let Scheme::Certificate { issuer } = identity.principal.scheme else { panic!("by certificate") };
    assert_eq!(issuer.to_string(), setting.ca.thumbprint());
    assert!(shake(&server, own, Some(&shown), &["h2"]).await.is_err());
    assert!(shake(&server, own, Some(&shown), &[]).await.is_ok(), "Windows offers no protocol by name");
}

#[tokio::test]
async fn who_may_not_come_in_is_told_why_and_so_are_we() {
    let setting = Setting::new();
    let server = setting.server();
    let ca = &setting.ca;
    let other = Authority::new("Other CA").issue(host("win10.corp.example"));
    told(&setting.meets(&server, Some(&other)).await, &["CN=win10.corp.example", "none of our authorities"]);
    // It has the same name, and another key.
    let posing = Authority::new("Hosts CA").issue(host("win10.corp.example"));
    told(&setting.meets(&server, Some(&posing)).await, &["CN=win10.corp.example"]);
    let mut expired = host("win10.corp.example");
    (expired.not_before, expired.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    told(&setting.meets(&server, Some(&ca.issue(expired))).await, &["CN=win10.corp.example", "it has ended"]);
    let mut early = host("win10.corp.example");
    (early.not_before, early.not_after) = (date_time_ymd(2090, 1, 1), date_time_ymd(2091, 1, 1));
    told(&setting.meets(&server, Some(&ca.issue(early))).await, &["not valid yet", "clocks"]);
    let mut wrong = host("win10.corp.example");
    wrong.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    told(&setting.meets(&server, Some(&ca.issue(wrong))).await, &["client authentication"]);
    for name in ["*.corp.example", "Jane Doe", "win10/../../x", "", "win10\n"] {
        told(&setting.meets(&server, Some(&ca.issue(host(name)))).await, &["the name of no machine"]);
    }
    told(&setting.meets(&server, None).await, &["TLS"]);
    let good = ca.issue(host("win10.corp.example"));
    assert!(setting.meets(&server, Some(&good)).await.is_ok(), "others are served");
}

#[tokio::test]
async fn the_direct_issuer_counts() {
    let mut setting = Setting::new();
    let (issuing, other) = (setting.ca.below("Issuing CA 1"), setting.ca.below("Issuing CA 2"));
    let under = |authority: &Authority| {
        let mut shown = authority.issue(host("win10.corp.example"));
        shown.chain.push(authority.certificate.der().clone());
        shown
    };
    let server = setting.server();
    let (identity, _) =
        shake(&server, &setting.spec.own.certificate, Some(&under(&issuing)), &[]).await.unwrap();
    let Scheme::Certificate { issuer } = identity.unwrap().principal.scheme else { panic!("by certificate") };
    assert_eq!(issuer.to_string(), issuing.thumbprint());
    setting.clients().issuers = vec![issuing.thumbprint().to_uppercase()];
    let server = setting.server();
    assert!(setting.meets(&server, Some(&under(&issuing))).await.is_ok());
    told(&setting.meets(&server, Some(&under(&other))).await, &[&other.thumbprint(), "`issuers`"]);
    told(&setting.meets(&server, Some(&setting.ca.issue(host("win10")))).await, &["`issuers`"]);
}

#[tokio::test]
async fn several_authorities_and_names_beside_the_subject() {
    let mut setting = Setting::new();
    let second = Authority::new("Second CA");
    let path = setting.folder.path().join("second.cer");
    std::fs::write(&path, second.certificate.der()).unwrap();
    setting.clients().ca.push(path);
    setting.clients().name_from = NameFrom::San;
    let server = setting.server();
    for authority in [&setting.ca, &second] {
        let mut params = host("not a machine");
        params.subject_alt_names = vec![rcgen::SanType::DnsName("win11.corp.example".try_into().unwrap())];
        let met = setting.meets(&server, Some(&authority.issue(params))).await;
        assert_eq!(met, Ok("win11.corp.example".into()));
    }
    told(&setting.meets(&server, Some(&second.issue(host("win11.corp.example")))).await, &["`name_from`"]);
}

#[tokio::test]
async fn revoked_ones_are_refused_and_a_stale_list_refuses_all_of_its_authority() {
    let mut setting = Setting::new();
    let second = Authority::new("Second CA");
    let path = setting.write("second.pem", &second.certificate.pem());
    setting.clients().ca.push(path);
    let list = setting.write("ca.crl", &setting.ca.revokes(Some(7), 2090));
    setting.clients().crl.push(list);
    let server = setting.server();
    let (revoked, mut params) = (setting.ca.issue(host("win10.corp.example")), host("win11.corp.example"));
    params.serial_number = Some(SerialNumber::from(8_u64));
    let good = setting.ca.issue(params);
    told(&setting.meets(&server, Some(&revoked)).await, &["CN=win10.corp.example", "revoked"]);
    assert!(setting.meets(&server, Some(&good)).await.is_ok());
    assert!(setting.meets(&server, Some(&second.issue(host("win12")))).await.is_ok(), "it has no list");

    setting.write("ca.crl", &setting.ca.revokes(None, 2025));
    let findings = server.refresh();
    assert!(findings[0].what.contains("ca.crl is past its time"), "{findings:?}");
    assert!(findings[0].why.contains("Hosts CA"));
    told(&setting.meets(&server, Some(&good)).await, &["past its time"]);
    assert!(setting.meets(&server, Some(&second.issue(host("win12")))).await.is_ok());
}

#[tokio::test]
async fn a_certificate_that_was_taken_is_looked_at_again_when_a_list_changes() {
    let mut setting = Setting::new();
    let list = setting.write("ca.crl", &setting.ca.revokes(None, 2090));
    setting.clients().crl.push(list);
    let server = setting.server();
    let shown = setting.ca.issue(host("win10.corp.example"));
    let (identity, _) = shake(&server, &setting.spec.own.certificate, Some(&shown), &[]).await.unwrap();
    let identity = identity.unwrap();
    assert_eq!(server.look_again(&identity), Ok(()));
    setting.write("ca.crl", &setting.ca.revokes(Some(7), 2090));
    assert_eq!(server.look_again(&identity), Ok(()), "nobody has read it yet");
    assert!(server.refresh().is_empty() && server.refresh().is_empty());
    assert!(server.look_again(&identity).unwrap_err().why.contains("revoked"));
    let trust = server.live().trust.clone().unwrap();
    let late = UnixTime::since_unix_epoch(std::time::Duration::from_secs(90_000_000_000));
    assert!(identity.look_again(&trust, 1, late).unwrap_err().why.contains("ended"));
}

#[tokio::test]
async fn our_own_certificate_is_changed_while_we_run() {
    let setting = Setting::new();
    let server = setting.server();
    let shown = setting.ca.issue(host("win10.corp.example"));
    let key = KeyPair::generate().unwrap();
    let new = CertificateParams::new(vec!["wec.corp.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    setting.write("own.pem", &new.pem());
    let findings = server.refresh();
    assert!(findings[0].what.contains("own.key"), "its key is still the old one: {findings:?}");
    setting.write("own.key", &key.serialize_pem());
    assert!(server.refresh().is_empty());
    // The host trusts the new one only.
    assert!(setting.meets(&server, Some(&shown)).await.is_ok());
}

#[tokio::test]
async fn who_may_sign_in_otherwise_needs_no_certificate() {
    let mut setting = Setting::new();
    setting.spec.others_may_come = true;
    let server = setting.server();
    assert_eq!(setting.meets(&server, None).await, Ok("nobody".into()));
    let other = Authority::new("Other CA").issue(host("win10"));
    told(&setting.meets(&server, Some(&other)).await, &["none of our authorities"]);
    setting.spec.clients = None;
    assert_eq!(setting.meets(&setting.server(), None).await, Ok("nobody".into()));
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let mut setting = Setting::new();
    let told = |spec: &Spec| Server::open(spec).unwrap_err().to_string();
    let ca = setting.clients().ca[0].clone();
    setting.write("ca.pem", "nothing");
    assert!(told(&setting.spec).contains("ca.pem"));
    std::fs::remove_file(&ca).unwrap();
    assert!(told(&setting.spec).contains("ca.pem"));
    setting.write("ca.pem", &setting.ca.certificate.pem());
    let list = setting.write("ca.crl", "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n");
    setting.clients().crl.push(list);
    assert!(told(&setting.spec).contains("ca.crl"));
    setting.clients().crl.clear();
    setting.write("own.key", "nothing");
    assert!(told(&setting.spec).contains("own.key"));
}

#[test]
fn what_will_be_trouble_is_told_at_once() {
    let setting = Setting::new();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["wec.corp.example".to_owned()]).unwrap();
    params.not_after = date_time_ymd(2021, 1, 1);
    params.not_before = date_time_ymd(2020, 1, 1);
    setting.write("own.pem", &params.self_signed(&key).unwrap().pem());
    setting.write("own.key", &key.serialize_pem());
    std::fs::set_permissions(&setting.spec.own.key, std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .unwrap();
    let (_, findings) = Server::open(&setting.spec).unwrap();
    assert!(findings.iter().any(|finding| finding.what.ends_with("own.pem has ended")), "{findings:?}");
    assert!(findings.iter().any(|finding| finding.what.contains("can be read by others")), "{findings:?}");
}

#[tokio::test]
async fn a_peer_that_speaks_no_tls_is_told_of() {
    let (mut near, far) = tokio::io::duplex(1024);
    near.write_all(b"POST /wsman HTTP/1.1\r\n\r\n").await.unwrap();
    let failed = Setting::new().server().accept(far).await.unwrap_err();
    let finding = failed.finding([10, 0, 0, 1].into());
    assert!(finding.what.contains("10.0.0.1") && finding.fix.contains("proxy_from"), "{finding}");
}
