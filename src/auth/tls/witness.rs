//! One handshake's look at the peer's certificate, and what came of it.
//!
//! rustls asks for a yes or no; who the peer is, and why not, is kept here for those who shook hands.

use super::trust::{Identity, Refusal, Trust};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Debug)]
pub(super) struct Witness {
    trust: Arc<Trust>,
    is_needed: bool,
    number: u64,
    outcome: Mutex<Option<Result<Identity, Refusal>>>,
}

impl Witness {
    pub(super) fn new(trust: Arc<Trust>, is_needed: bool, number: u64) -> Self {
        Self { trust, is_needed, number, outcome: Mutex::default() }
    }

    /// What it found out; none when no certificate was shown.
    pub(super) fn outcome(&self) -> Option<Result<Identity, Refusal>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientCertVerifier for Witness {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.trust.hints()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.is_needed
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let found = self.trust.identify(end_entity, intermediates, self.number, now);
        let answer = match &found {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(refusal) => Err(Error::InvalidCertificate(refusal.error.clone())),
        };
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        answer
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, self.trust.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, self.trust.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.algorithms().supported_schemes()
    }
}
