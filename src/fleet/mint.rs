//! Certificates for a fleet: one CA, and from it one certificate for each host and one for the collector
//! that is being tested. A folder keeps them, so that the collector can be told of them:
//!
//! | file | for |
//! |---|---|
//! | `ca.pem`, `ca.key` | the CA: the collector trusts it with its clients, hosts with their collector |
//! | `server.pem`, `server.key` | the collector's own, for the name in its address, localhost and loopback |
//!
//! Not for production: the CA's key lies beside its certificate.

use super::stranger::Stranger;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

#[derive(Debug, Error)]
pub enum MintError {
    #[error("cannot read {path}: {source}; give the certificate and the key of one CA")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("no certificate can be made: {0}")]
    Make(#[from] rcgen::Error),
    #[error("the certificates do not serve TLS: {0}")]
    Tls(String),
}

/// A CA that signs whatever it is asked to.
pub struct Mint {
    issuer: Issuer<'static, KeyPair>,
    ca_pem: String,
    ca_key_pem: String,
}

impl Mint {
    pub fn new() -> Result<Self, MintError> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "Forebay fleet CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let ca_pem = params.self_signed(&key)?.pem();
        let ca_key_pem = key.serialize_pem();
        Ok(Self { issuer: Issuer::new(params, key), ca_pem, ca_key_pem })
    }

    /// With the CA of somebody else.
    pub fn given(certificate: &Path, key: &Path) -> Result<Self, MintError> {
        let read = |path: &Path| {
            fs::read_to_string(path).map_err(|source| MintError::Read { path: path.into(), source })
        };
        let (ca_pem, ca_key_pem) = (read(certificate)?, read(key)?);
        let issuer = Issuer::from_ca_cert_pem(&ca_pem, KeyPair::from_pem(&ca_key_pem)?)?;
        Ok(Self { issuer, ca_pem, ca_key_pem })
    }

    /// The CA that a folder holds; a new one is put there when it holds none, with a certificate for a
    /// collector of this name.
    pub fn of_folder(folder: &Path, collector: &str) -> Result<Self, MintError> {
        let path = |name: &str| folder.join(name);
        let mint = if path("ca.pem").exists() {
            Self::given(&path("ca.pem"), &path("ca.key"))?
        } else {
            let wrong = |source| MintError::Write { path: folder.into(), source };
            fs::create_dir_all(folder).map_err(wrong)?;
            let mint = Self::new()?;
            write(&path("ca.pem"), &mint.ca_pem)?;
            write(&path("ca.key"), &mint.ca_key_pem)?;
            mint
        };
        if !path("server.pem").exists() {
            let mut names: Vec<String> = vec!["localhost".into(), "127.0.0.1".into()];
            if !names.iter().any(|name| name == collector) {
                names.insert(0, collector.into());
            }
            let (certificate, key) = mint.server(&names)?;
            write(&path("server.pem"), &certificate)?;
            write(&path("server.key"), &key)?;
        }
        Ok(mint)
    }

    /// Certificate and key of a collector, as PEM.
    pub fn server(&self, names: &[String]) -> Result<(String, String), MintError> {
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, names.first().map_or("collector", |name| name));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &self.issuer)?.pem(), key.serialize_pem()))
    }

    /// Certificate and key of a host, by the name of its machine.
    fn client(&self, machine: &str, is_expired: bool) -> Result<Shown, MintError> {
        let mut params = CertificateParams::new(vec![machine.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, machine);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if is_expired {
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.der().clone();
        Ok((certificate, PrivatePkcs8KeyDer::from(key.serialize_der()).into()))
    }
}

/// What somebody shows.
type Shown = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// How hosts sign in by TLS.
pub(super) struct ClientTls {
    /// Who signs what hosts show; without, they show nothing.
    mint: Option<Mint>,
    provider: Arc<CryptoProvider>,
    verifier: Arc<WebPkiServerVerifier>,
}

impl ClientTls {
    /// `server_ca` is who vouches for the collector, where that is not the CA of the hosts. `None` where nobody
    /// does. `shows` is whether hosts have certificates themselves.
    pub(super) fn new(
        mint: Option<Mint>,
        server_ca: Option<&Path>,
        shows: bool,
    ) -> Result<Option<Self>, MintError> {
        let provider = Arc::new(ring::default_provider());
        let pem = match (server_ca, &mint) {
            (Some(path), _) => {
                fs::read(path).map_err(|source| MintError::Read { path: path.into(), source })?
            }
            (None, Some(mint)) => mint.ca_pem.clone().into_bytes(),
            (None, None) => return Ok(None),
        };
        let tls = |error: &dyn std::fmt::Display| MintError::Tls(error.to_string());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            roots.add(certificate.map_err(|error| tls(&error))?).map_err(|error| tls(&error))?;
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let verifier = verifier.build().map_err(|error| tls(&error))?;
        Ok(Some(Self { mint: mint.filter(|_| shows), provider, verifier }))
    }

    /// The configuration of one host, with a certificate of its own if it has one. No session is ever resumed: Windows
    /// presents its certificate on each connection.
    pub(super) fn of_host(&self, machine: &str) -> Result<Arc<ClientConfig>, MintError> {
        self.config(self.shown(machine, false)?)
    }

    fn shown(&self, machine: &str, is_expired: bool) -> Result<Option<Shown>, MintError> {
        self.mint.as_ref().map(|mint| mint.client(machine, is_expired)).transpose()
    }

    /// That of somebody who claims to be this host.
    pub(super) fn of_stranger(
        &self,
        stranger: Stranger,
        machine: &str,
    ) -> Result<Arc<ClientConfig>, MintError> {
        self.config(match stranger {
            Stranger::OtherAuthority => Some(Mint::new()?.client(machine, false)?),
            Stranger::Expired => self.shown(machine, true)?,
            Stranger::Nobody => None,
        })
    }

    fn config(&self, shown: Option<Shown>) -> Result<Arc<ClientConfig>, MintError> {
        let tls = |error: rustls::Error| MintError::Tls(error.to_string());
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(tls)?
            .with_webpki_verifier(Arc::clone(&self.verifier));
        let mut config = match shown {
            Some((certificate, key)) => config.with_client_auth_cert(vec![certificate], key).map_err(tls)?,
            None => config.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

/// Nobody else reads keys.
fn write(path: &Path, text: &str) -> Result<(), MintError> {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| MintError::Write { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_ca() {
        let folder = tempfile::tempdir().unwrap();
        let first = Mint::of_folder(folder.path(), "wec.example").unwrap();
        let again = Mint::of_folder(folder.path(), "wec.example").unwrap();
        assert_eq!(first.ca_pem, again.ca_pem);
        for name in ["ca.pem", "ca.key", "server.pem", "server.key"] {
            assert!(folder.path().join(name).metadata().unwrap().len() > 100, "{name}");
        }
        let tls = ClientTls::new(Some(again), None, true).unwrap().unwrap();
        tls.of_host("ws-1.example").unwrap();
        let missing = Mint::given(&folder.path().join("no"), &folder.path().join("ca.key"));
        assert!(missing.err().unwrap().to_string().contains("certificate and the key"));
    }
}
