//! Whose certificates are taken: those that lead to an authority of ours, are in time, not revoked, made for
//! clients, of an issuer that is allowed, and that name a machine.
//!
//! The path is built by webpki, which tells who issued the certificate; Windows names that issuer by the
//! SHA-1 of its certificate. Takes the time as argument.

use super::ClientsConfig;
use super::material::{Material, unusable};
use crate::auth::certificate::{NameFrom, Named};
use crate::auth::{MachineKey, Principal, Scheme};
use crate::finding::Finding;
use crate::wsman::subscription::Thumbprint;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use rustls::{CertificateError, DistinguishedName};
use sha1::{Digest, Sha1};
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList,
    RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy, VerifiedPath,
    anchor_from_trusted_cert,
};

/// Who is at the other end, by certificate.
#[derive(Debug)]
pub struct Identity {
    pub principal: Principal,
    chain: Vec<CertificateDer<'static>>,
    /// Seconds since 1970.
    expires: i64,
    /// Reading of the files by which it was looked at last.
    looked_at: AtomicU64,
}

/// Why a certificate is not taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Of the certificate, for people.
    pub subject: Box<str>,
    pub why: Box<str>,
    pub fix: &'static str,
    /// One of `FAILURES`.
    pub(super) kind: &'static str,
    /// What the peer is told.
    pub(super) error: CertificateError,
}

/// Whose certificates are taken.
#[derive(Debug)]
pub(super) struct Trust {
    anchors: Vec<TrustAnchor<'static>>,
    /// Of each anchor.
    thumbprints: Vec<Thumbprint>,
    hints: Vec<DistinguishedName>,
    revoked: Vec<CertRevocationList<'static>>,
    issuers: Vec<Thumbprint>,
    name_from: NameFrom,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Trust {
    pub(super) fn read(
        config: &ClientsConfig,
        provider: &CryptoProvider,
        material: &mut Material,
    ) -> Result<Self, Finding> {
        let mut trust = Self {
            anchors: Vec::new(),
            thumbprints: Vec::new(),
            hints: Vec::new(),
            revoked: Vec::new(),
            issuers: config.issuers.iter().filter_map(|text| Thumbprint::parse(text)).collect(),
            name_from: config.name_from,
            algorithms: provider.signature_verification_algorithms,
        };
        for path in &config.ca {
            for der in material.certificates(path)? {
                trust.add(&der, path)?;
            }
        }
        for path in &config.crl {
            for der in material.revocations(path)? {
                let list = OwnedCertRevocationList::from_der(&der).map_err(|error| {
                    unusable(path, error, "the authority must issue complete lists, version 2")
                })?;
                trust.revoked.push(list.into());
            }
        }
        Ok(trust)
    }

    fn add(&mut self, der: &CertificateDer<'static>, path: &Path) -> Result<(), Finding> {
        let anchor = anchor_from_trusted_cert(der)
            .map_err(|error| unusable(path, error, "it must hold certificates of authorities"))?;
        self.hints.push(DistinguishedName::in_sequence(&anchor.subject));
        self.anchors.push(anchor.to_owned());
        self.thumbprints.push(thumbprint(der));
        Ok(())
    }

    /// Names of authorities, by which a client chooses among its certificates.
    pub(super) fn hints(&self) -> &[DistinguishedName] {
        &self.hints
    }

    pub(super) const fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.algorithms
    }

    /// Who shows these certificates; `number` is that of the reading of the files.
    pub(super) fn identify(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        number: u64,
        now: UnixTime,
    ) -> Result<Identity, Refusal> {
        let named = Named::read(end, self.name_from);
        let subject = named.as_ref().map_or("(not readable)", |named| &named.subject);
        let issuer = self.issuer(end, between, now).map_err(|error| Refusal::of(subject, error))?;
        if !self.issuers.is_empty() && !issuer.iter().any(|issuer| self.issuers.contains(issuer)) {
            let shown = issuer.first().map(ToString::to_string).unwrap_or_default();
            return Err(Refusal {
                subject: subject.into(),
                why: format!("it was issued by {shown}, which is not among `issuers`").into(),
                fix: "add the thumbprint to `issuers` of the certificates, or give the host another certificate",
                kind: "issuer_not_listed",
                error: CertificateError::UnknownIssuer,
            });
        }
        let issuer =
            issuer.iter().find(|issuer| self.issuers.contains(issuer)).or_else(|| issuer.first()).copied();
        let machine = named.as_ref().and_then(|named| named.machine.as_deref());
        let key = machine.and_then(MachineKey::parse);
        let (Some(named), Some(issuer), Some(machine), Some(key)) = (&named, issuer, machine, key) else {
            let shown = machine.unwrap_or_default();
            return Err(Refusal {
                subject: subject.into(),
                why: match machine {
                    Some(_) => format!("`{}` is the name of no machine", shown.escape_debug()).into(),
                    None => "it does not name a machine where `name_from` looks".into(),
                },
                fix: "issue it with the full name of the machine; `name_from` says whether that stands in the \
                      subject or in the DNS names",
                kind: "no_name",
                error: CertificateError::ApplicationVerificationFailure,
            });
        };
        let chain = std::iter::once(end).chain(between).map(|der| der.clone().into_owned()).collect();
        let name = machine.into();
        let principal = Principal { name, machine: key, scheme: Scheme::Certificate { issuer } };
        Ok(Identity { principal, chain, expires: named.expires, looked_at: AtomicU64::new(number) })
    }

    /// Thumbprints of the direct issuer: one, unless it has several certificates for one key.
    fn issuer(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Vec<Thumbprint>, webpki::Error> {
        let certificate = EndEntityCert::try_from(end)?;
        let lists: Vec<&CertRevocationList<'_>> = self.revoked.iter().collect();
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
            options
                .with_depth(RevocationCheckDepth::Chain)
                .with_status_policy(UnknownStatusPolicy::Allow)
                .with_expiration_policy(ExpirationPolicy::Enforce)
                .build()
        });
        let usage = KeyUsage::client_auth();
        let algorithms = self.algorithms.all;
        let path =
            certificate.verify_for_usage(algorithms, &self.anchors, between, now, usage, revocation, None)?;
        Ok(self.direct_issuer(&path))
    }

    fn direct_issuer(&self, path: &VerifiedPath<'_>) -> Vec<Thumbprint> {
        if let Some(issuer) = path.intermediate_certificates().next() {
            return vec![thumbprint(&issuer.der())];
        }
        let anchor = path.anchor();
        let same = |other: &TrustAnchor<'_>| {
            other.subject == anchor.subject && other.subject_public_key_info == anchor.subject_public_key_info
        };
        let of_anchors = self.anchors.iter().zip(&self.thumbprints);
        of_anchors.filter(|(other, _)| same(other)).map(|(_, thumbprint)| *thumbprint).collect()
    }
}

impl Identity {
    /// Whether it would be taken now. `number` is that of the reading of the files which `trust` is of.
    pub(super) fn look_again(&self, trust: &Trust, number: u64, now: UnixTime) -> Result<(), Refusal> {
        let is_over = i64::try_from(now.as_secs()).is_ok_and(|now| now > self.expires);
        if !is_over && self.looked_at.load(Ordering::Relaxed) == number {
            return Ok(());
        }
        let Some((end, between)) = self.chain.split_first() else { return Ok(()) };
        trust.identify(end, between, number, now)?;
        self.looked_at.store(number, Ordering::Relaxed);
        Ok(())
    }
}

impl Refusal {
    /// In words, of the peer at an address.
    pub fn finding(&self, address: IpAddr) -> Finding {
        Finding {
            what: format!("the certificate of {address} ({}) is not taken", self.subject.escape_debug()),
            why: self.why.to_string(),
            fix: self.fix.into(),
        }
    }

    fn of(subject: &str, error: webpki::Error) -> Self {
        use webpki::Error as E;
        let (kind, error, why, fix) = match error {
            E::UnknownIssuer => (
                "unknown_issuer",
                CertificateError::UnknownIssuer,
                "it leads to none of our authorities".into(),
                "add its authority to `ca`, or give the host a certificate of one that is there",
            ),
            E::CertExpired { .. } => (
                "expired",
                CertificateError::Expired,
                "it has ended, or one between it and the authority has".into(),
                "renew it; see also the clocks of both machines",
            ),
            E::CertNotValidYet { .. } => (
                "not_valid_yet",
                CertificateError::NotValidYet,
                "it is not valid yet".into(),
                "see the clocks of both machines",
            ),
            E::CertRevoked => (
                "revoked",
                CertificateError::Revoked,
                "its authority has revoked it".into(),
                "give the host a new certificate if it is to send again",
            ),
            E::CrlExpired { .. } => (
                "revocation_list_expired",
                CertificateError::ExpiredRevocationList,
                "the list of what its authority has revoked is past its time".into(),
                "fetch the list again from the authority and put it in the place of the old one in `crl`",
            ),
            E::RequiredEkuNotFoundContext(_) => (
                "purpose",
                CertificateError::InvalidPurpose,
                "it was not made for client authentication".into(),
                "issue it with the extended key usage Client Authentication",
            ),
            E::InvalidSignatureForPublicKey => (
                "signature",
                CertificateError::BadSignature,
                "a signature in it is wrong".into(),
                "see whether its authority has a new certificate of the same name, and add that to `ca`",
            ),
            other => (
                "certificate",
                CertificateError::ApplicationVerificationFailure,
                format!("{other:?}").into(),
                "look at the certificate with `openssl x509 -text`",
            ),
        };
        Self { subject: subject.into(), why, fix, kind, error }
    }
}

fn thumbprint(der: &[u8]) -> Thumbprint {
    Thumbprint(Sha1::digest(der).into())
}
