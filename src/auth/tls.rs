//! TLS: our certificate, the certificates of hosts, and the files of both, which may change.
//!
//! | file | what |
//! |---|---|
//! | `tls/material` | certificates, keys and revocation lists from files |
//! | `tls/trust` | whose certificates are taken |
//! | `tls/outgoing` | the client's side, for receivers of events |
//! | `tls/witness` | one handshake, and what it found out |
//!
//! Nothing is resumed: a resumed session would vouch for a certificate that has been revoked since, and hosts
//! stay connected for hours. For the same reason a certificate is looked at again when a file has changed.
//! A list of revoked certificates that is past its time is refused, and with it those it is about: whoever
//! keeps the new list from us must not win by that.
//!
//! Promise: TLS 1.2 and up, HTTP/1.1 only; the files in force are the last that made sense together.
//! Must not know: HTTP, connections.

mod material;
pub mod outgoing;
mod trust;
mod witness;

pub use super::certificate::NameFrom;
pub use trust::{Identity, Refusal};

use super::certificate::SignatureHash;
use super::files::Stamp;
use crate::finding::Finding;
use material::Material;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::UnixTime;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256, Sha384, Sha512};
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use trust::Trust;
use witness::Witness;

/// Our own certificate. A change of the files is noticed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// PEM file: the certificate with the name that hosts know us by, then those between it and the root.
    pub certificate: PathBuf,
    /// PEM file with its private key.
    pub key: PathBuf,
}

/// Certificates of hosts. A change of the files is noticed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientsConfig {
    /// Files (PEM or DER) with the authorities that issue them.
    pub ca: Vec<PathBuf>,
    /// Files (PEM or DER) with lists of revoked ones. While a list is past its time, nobody of its authority
    /// gets in. An authority without a list revokes nothing.
    #[serde(default)]
    pub crl: Vec<PathBuf>,
    /// SHA-1 thumbprints of the direct issuers that are taken; without any, all that lead to `ca`.
    #[serde(default)]
    pub issuers: Vec<String>,
    /// Where a certificate names its machine.
    #[serde(default)]
    pub name_from: NameFrom,
}

/// What is asked of peers.
#[derive(Clone, Debug)]
pub struct Spec {
    pub own: Config,
    pub clients: Option<ClientsConfig>,
    /// Who has no certificate may sign in otherwise.
    pub others_may_come: bool,
}

/// Shakes hands; clones are not needed, one serves all.
pub struct Server {
    spec: Spec,
    provider: Arc<CryptoProvider>,
    live: Mutex<Arc<Live>>,
    stamp: Mutex<Stamp>,
}

/// Why a handshake came to nothing.
#[derive(Debug)]
pub enum Failed {
    /// Its certificate is not taken.
    Refused(Refusal),
    /// It does not take ours, speaks no TLS, or went away.
    Broken(io::Error),
}

/// Why handshakes come to nothing, in a word each: first what is wrong with a certificate, then the rest.
pub const FAILURES: [&str; 16] = [
    "unknown_issuer",
    "issuer_not_listed",
    "expired",
    "not_valid_yet",
    "revoked",
    "revocation_list_expired",
    "purpose",
    "signature",
    "no_name",
    "certificate",
    // The host showed no certificate, or does not take ours.
    "no_certificate",
    "alert",
    // It speaks no TLS, or none that we do.
    "no_tls",
    "late",
    "hang_up",
    "broken",
];

/// A handshake that led to a connection.
#[derive(Debug)]
pub struct Shaken<T> {
    pub stream: TlsStream<T>,
    /// Who is at the other end, by its certificate.
    pub identity: Option<Identity>,
    /// What the connection is known by: `tls-server-end-point` of RFC 5929.
    pub binding: Arc<[u8]>,
}

/// What is in force.
struct Live {
    key: Arc<CertifiedKey>,
    binding: Arc<[u8]>,
    trust: Option<Arc<Trust>>,
    /// Which reading of the files it is.
    number: u64,
}

impl Server {
    /// Reads the files. With it: what will be trouble.
    ///
    /// # Errors
    /// In words, why hosts could not connect.
    pub fn open(spec: &Spec) -> Result<(Self, Vec<Finding>), Finding> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let stamp = Stamp::of(spec.files());
        let (live, findings) = Live::read(spec, &provider, 1)?;
        let (live, stamp) = (Mutex::new(Arc::new(live)), Mutex::new(stamp));
        Ok((Self { spec: spec.clone(), provider, live, stamp }, findings))
    }

    /// Reads the files again if one has changed. The old ones stay in force while the new ones make no sense.
    pub fn refresh(&self) -> Vec<Finding> {
        let stamp = Stamp::of(self.spec.files());
        {
            let mut known = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
            if *known == stamp {
                return Vec::new();
            }
            *known = stamp;
        }
        match Live::read(&self.spec, &self.provider, self.live().number + 1) {
            Ok((live, findings)) => {
                *self.live.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(live);
                tracing::info!(certificate = %self.spec.own.certificate.display(), "certificates read again");
                findings
            }
            Err(finding) => vec![finding],
        }
    }

    /// The server's side of a handshake; with a certificate, who is at the other end.
    pub async fn accept<T: AsyncRead + AsyncWrite + Unpin>(&self, stream: T) -> Result<Shaken<T>, Failed> {
        let live = self.live();
        let witness = live
            .trust
            .as_ref()
            .map(|trust| Arc::new(Witness::new(Arc::clone(trust), !self.spec.others_may_come, live.number)));
        let config =
            self.config(&live, witness.clone()).map_err(|error| Failed::Broken(io::Error::other(error)))?;
        let accepted = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
        match (accepted, witness.and_then(|witness| witness.outcome())) {
            (Ok(stream), outcome) => {
                let identity = outcome.and_then(Result::ok);
                Ok(Shaken { stream, identity, binding: Arc::clone(&live.binding) })
            }
            (Err(_), Some(Err(refusal))) => Err(Failed::Refused(refusal)),
            (Err(error), _) => Err(Failed::Broken(error)),
        }
    }

    /// Whether a certificate that was taken would be taken now.
    pub fn look_again(&self, identity: &Identity) -> Result<(), Refusal> {
        let live = self.live();
        match &live.trust {
            Some(trust) => identity.look_again(trust, live.number, UnixTime::now()),
            None => Ok(()),
        }
    }

    /// One for each handshake, because of its witness; all that is large in it is shared.
    fn config(&self, live: &Live, witness: Option<Arc<Witness>>) -> Result<ServerConfig, rustls::Error> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
        let builder = match witness {
            Some(witness) => builder.with_client_cert_verifier(witness),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&live.key))));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl Spec {
    fn files(&self) -> Vec<&PathBuf> {
        let clients = self.clients.iter().flat_map(|clients| clients.ca.iter().chain(&clients.crl));
        [&self.own.certificate, &self.own.key].into_iter().chain(clients).collect()
    }
}

impl Live {
    fn read(spec: &Spec, provider: &CryptoProvider, number: u64) -> Result<(Self, Vec<Finding>), Finding> {
        let mut material = Material::default();
        let key = Arc::new(material.own(&spec.own, provider)?);
        let trust = match &spec.clients {
            Some(clients) => Some(Arc::new(Trust::read(clients, provider, &mut material)?)),
            None => None,
        };
        let binding = key.cert.first().map(|certificate| end_point(certificate)).unwrap_or_default();
        Ok((Self { key, binding: binding.into(), trust, number }, material.findings))
    }
}

/// `tls-server-end-point` of a certificate: RFC 5929 4.1. The hash is the one of its signature, and SHA-256 where
/// that is older or unknown.
pub fn end_point(certificate: &[u8]) -> Vec<u8> {
    let hash: Vec<u8> = match super::certificate::hash_of_signature(certificate) {
        SignatureHash::Sha256 => Sha256::digest(certificate).to_vec(),
        SignatureHash::Sha384 => Sha384::digest(certificate).to_vec(),
        SignatureHash::Sha512 => Sha512::digest(certificate).to_vec(),
    };
    [b"tls-server-end-point:", &hash[..]].concat()
}

impl Failed {
    /// It went before it said anything that could be wrong.
    pub fn is_hang_up(&self) -> bool {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, UnexpectedEof};
        let Self::Broken(error) = self else { return false };
        matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted)
    }

    /// One of `FAILURES`.
    pub fn kind(&self) -> &'static str {
        use rustls::Error as E;
        let error = match self {
            Self::Refused(refusal) => return refusal.kind,
            Self::Broken(_) if self.is_hang_up() => return "hang_up",
            Self::Broken(error) if error.kind() == io::ErrorKind::TimedOut => return "late",
            Self::Broken(error) => error.get_ref().and_then(|error| error.downcast_ref::<E>()),
        };
        match error {
            Some(E::NoCertificatesPresented) => "no_certificate",
            Some(E::AlertReceived(_)) => "alert",
            Some(E::InvalidMessage(_) | E::PeerIncompatible(_) | E::InappropriateMessage { .. }) => "no_tls",
            _ => "broken",
        }
    }

    /// In words, of the peer at an address.
    pub fn finding(&self, address: IpAddr) -> Finding {
        match self {
            Self::Refused(refusal) => refusal.finding(address),
            Self::Broken(error) => Finding {
                what: format!("{address} could not connect with TLS"),
                why: error.to_string(),
                fix: "a fatal alert came from the host, and its own log says more: it must trust the issuer of \
                      our certificate, and the name in that must be the one it was told; a load balancer in \
                      front belongs in `proxy_from`"
                    .into(),
            },
        }
    }
}

#[cfg(test)]
mod tests;
