//! TLS to a server: whom we trust, who we are, and the files of both, which may change.
//!
//! Promises: TLS 1.2 and up; the server's certificate is verified unless `insecure_any_certificate` says
//! otherwise; files are read again for the next connection after they change; why a handshake failed is told in
//! words. Must not know: what is said over the connection.

use super::material::{Material, unusable};
use super::{Config as OwnConfig, Finding, Stamp};
use crate::auth::certificate::{NameFrom, Named};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// TLS to the receiver. A change of the files counts for the next connection.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Files (PEM or DER) with the authorities that may have issued its certificate; without any, those that
    /// this machine trusts.
    pub ca: Vec<PathBuf>,
    /// PEM file with a certificate of our own, for a receiver that asks for one.
    pub certificate: Option<PathBuf>,
    /// PEM file with its private key.
    pub key: Option<PathBuf>,
    /// The name that its certificate must have, where that is not the one in the address.
    pub server_name: Option<String>,
    /// Whether any certificate is taken: whoever is between us and the receiver can then read and change all
    /// that is sent. For tests.
    pub insecure_any_certificate: bool,
}

impl Config {
    /// What is wrong with what was written: key and words.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        match (&self.certificate, &self.key) {
            (Some(_), None) => {
                return Err(("tls.certificate", "a certificate needs its private key, in `tls.key`".into()));
            }
            (None, Some(_)) => {
                return Err(("tls.key", "a private key needs its certificate, in `tls.certificate`".into()));
            }
            _ => {}
        }
        match self.server_name.as_deref().map(|name| (name, ServerName::try_from(name))) {
            Some((name, Err(_))) => {
                Err(("tls.server_name", format!("`{name}` is neither a name of a machine nor an address")))
            }
            _ => Ok(()),
        }
    }
}

/// Shakes hands with servers; one serves all connections of an output.
#[derive(Debug)]
pub struct Client {
    config: Config,
    provider: Arc<CryptoProvider>,
    live: Mutex<Option<Live>>,
}

#[derive(Debug)]
struct Live {
    stamp: Stamp,
    client: Arc<ClientConfig>,
    /// When our own certificate ends, in seconds since 1970.
    expires: Option<i64>,
}

/// Where systems keep the authorities they trust, all in one file.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

impl Client {
    /// Nothing is read before the first connection.
    pub fn new(config: &Config) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Self { config: config.clone(), provider, live: Mutex::new(None) }
    }

    /// The client's side of a handshake with the machine of this name or address.
    ///
    /// # Errors
    /// Why not, in words. What will be trouble though it is none yet goes to `report`.
    pub async fn connect<T: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: T,
        host: &str,
        report: &(dyn Fn(Finding) + Send + Sync),
    ) -> Result<TlsStream<T>, Finding> {
        let client = self.current(report)?;
        let shown = self.config.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(shown.trim_matches(['[', ']']).to_owned()).map_err(|_| Finding {
            what: format!("no TLS is possible with `{host}`"),
            why: "it is neither a name of a machine nor an address".into(),
            fix: "correct the address, or set `tls.server_name`".into(),
        })?;
        let connected = TlsConnector::from(client).connect(name, stream).await;
        connected.map_err(|error| self.finding(host, shown, &error))
    }

    /// Reads the files if they have changed, and looks whether our own certificate has ended.
    ///
    /// # Errors
    /// Why nobody could connect with what they hold.
    pub fn current(&self, report: &(dyn Fn(Finding) + Send + Sync)) -> Result<Arc<ClientConfig>, Finding> {
        let stamp = Stamp::of(self.files());
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(live) = live.as_ref().filter(|live| live.stamp == stamp) {
            let now = i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX);
            if let (Some(path), true) =
                (&self.config.certificate, live.expires.is_some_and(|expires| expires < now))
            {
                report(Finding {
                    what: format!("our certificate {} has ended", path.display()),
                    why: "it ended while forebay was running, and receivers refuse it now".into(),
                    fix: "put a new one in its place; it is noticed while forebay runs".into(),
                });
            }
            return Ok(Arc::clone(&live.client));
        }
        let mut material = Material::default();
        let (client, expires) = self.read(&mut material)?;
        material.findings.into_iter().for_each(report);
        let client = Arc::new(client);
        *live = Some(Live { stamp, client: Arc::clone(&client), expires });
        Ok(client)
    }

    fn read(&self, material: &mut Material) -> Result<(ClientConfig, Option<i64>), Finding> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| unusable(Path::new("TLS"), error, "please report this"))?;
        let builder = if self.config.insecure_any_certificate {
            let any = AnyCertificate(Arc::clone(&self.provider));
            builder.dangerous().with_custom_certificate_verifier(Arc::new(any))
        } else {
            let (roots, provider) = (Arc::new(self.roots(material)?), Arc::clone(&self.provider));
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
            let verifier = verifier.map_err(|error| Finding {
                what: "no server can be trusted".into(),
                why: error.to_string(),
                fix: "put certificates of authorities into `tls.ca`".into(),
            })?;
            builder.with_webpki_verifier(verifier)
        };
        let (Some(certificate), Some(key)) = (&self.config.certificate, &self.config.key) else {
            return Ok((builder.with_no_client_auth(), None));
        };
        let own = OwnConfig { certificate: certificate.clone(), key: key.clone() };
        let own = material.own(&own, &self.provider)?;
        let expires = own.cert.first().and_then(|der| Named::read(der, NameFrom::Subject));
        let resolver = Arc::new(rustls::sign::SingleCertAndKey::from(own));
        Ok((builder.with_client_cert_resolver(resolver), expires.map(|named| named.expires)))
    }

    fn roots(&self, material: &mut Material) -> Result<RootCertStore, Finding> {
        let mut roots = RootCertStore::empty();
        for path in self.authorities() {
            let certificates = material.certificates(&path)?;
            // A bundle of a system may hold one that is too odd to be read.
            if roots.add_parsable_certificates(certificates).0 == 0 {
                return Err(unusable(
                    &path,
                    "no authority is in it",
                    "it must hold certificates in PEM form",
                ));
            }
        }
        if roots.is_empty() {
            return Err(Finding {
                what: "no server can be trusted".into(),
                why: "this machine has no list of authorities where such lists usually are".into(),
                fix: "install `ca-certificates`, or put the authority of the receiver into `tls.ca`".into(),
            });
        }
        Ok(roots)
    }

    fn authorities(&self) -> Vec<PathBuf> {
        if !self.config.ca.is_empty() {
            return self.config.ca.clone();
        }
        let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        let usual = || BUNDLES.iter().map(PathBuf::from).find(|path| path.is_file());
        named.or_else(usual).into_iter().collect()
    }

    fn files(&self) -> Vec<PathBuf> {
        let own = self.config.certificate.iter().chain(&self.config.key).cloned();
        self.authorities().into_iter().chain(own).collect()
    }

    fn finding(&self, host: &str, shown: &str, error: &io::Error) -> Finding {
        let what = format!("no TLS with `{host}`");
        let cause = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        let (why, fix) = match cause {
            Some(rustls::Error::InvalidCertificate(certificate)) => of_certificate(certificate, shown),
            Some(rustls::Error::AlertReceived(alert)) => (
                format!("it ended the handshake: {alert:?}"),
                match alert {
                    AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure => {
                        "it may want a certificate of ours: set `tls.certificate` and `tls.key`"
                    }
                    AlertDescription::CertificateExpired => "renew our certificate; see also both clocks",
                    AlertDescription::UnknownCA | AlertDescription::BadCertificate => {
                        "it does not take our certificate: have its authority issue one"
                    }
                    _ => "see the receiver's own log",
                },
            ),
            Some(rustls::Error::InvalidMessage(_)) => (
                "it speaks no TLS there".into(),
                "name its port for TLS, or leave TLS out: `http://` in an address of HTTP, no `tls` elsewhere",
            ),
            _ => (error.to_string(), "see the receiver's own log, and that it speaks TLS 1.2 or newer there"),
        };
        Finding { what, why, fix: fix.into() }
    }
}

fn of_certificate(error: &CertificateError, shown: &str) -> (String, &'static str) {
    use CertificateError as E;
    match error {
        E::Expired | E::ExpiredContext { .. } => {
            ("its certificate has ended".into(), "renew it there; see also the clocks of both machines")
        }
        E::NotValidYet | E::NotValidYetContext { .. } => {
            ("its certificate is not valid yet".into(), "see the clocks of both machines")
        }
        E::UnknownIssuer => (
            "its certificate leads to no authority that we trust".into(),
            "put the certificate of its authority into `tls.ca`",
        ),
        E::NotValidForName | E::NotValidForNameContext { .. } => (
            format!("its certificate is not for `{shown}`"),
            "write the name that stands in it into the address or into `tls.server_name`",
        ),
        E::BadSignature => (
            "its certificate was not signed by the authority that we trust under that name".into(),
            "see whether the authority has a new certificate of the same name, and put that into `tls.ca`",
        ),
        other => (format!("its certificate is not taken: {other}"), "have it issued anew"),
    }
}

/// Takes any certificate of whoever has its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[path = "outgoing_tests.rs"]
mod tests;
