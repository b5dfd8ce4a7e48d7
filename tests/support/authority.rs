//! An authority of a test: certificates of hosts as they should be, and as they should not.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key.
pub(crate) struct Shown {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// The certificate of a host, as its authority should make it.
pub(crate) fn of_host(name: &str) -> CertificateParams {
    but(named(Some(name)), |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth])
}

/// The same but for something.
pub(crate) fn but(
    mut params: CertificateParams,
    change: impl FnOnce(&mut CertificateParams),
) -> CertificateParams {
    change(&mut params);
    params
}

/// One with this common name, and these names beside it.
pub(crate) fn beside(common_name: Option<&str>, dns_names: &[&str]) -> CertificateParams {
    let dns_names: Vec<String> = dns_names.iter().map(|&name| name.into()).collect();
    let names = CertificateParams::new(dns_names).unwrap().subject_alt_names;
    but(named(common_name), |params| params.subject_alt_names = names)
}

fn named(common_name: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    if let Some(name) = common_name {
        params.distinguished_name.push(DnType::CommonName, DnValue::Utf8String(name.into()));
    }
    params
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let params = but(named(Some(name)), |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        });
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub(crate) fn issue(&self, params: &CertificateParams) -> Shown {
        let key = KeyPair::generate().unwrap();
        let chain = vec![params.signed_by(&key, &self.issuer).unwrap().der().clone()];
        Shown { chain, key: PrivatePkcs8KeyDer::from(key.serialize_der()).into() }
    }

    /// `ca.pem`, `own.pem` and `own.key`, as a collector on this machine needs them.
    pub(crate) fn set_up(&self, folder: &Path) {
        let params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let own = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(folder.join("own.pem"), own.pem()).unwrap();
        fs::write(folder.join("own.key"), key.serialize_pem()).unwrap();
        fs::set_permissions(folder.join("own.key"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(folder.join("ca.pem"), &self.pem).unwrap();
    }

    /// The list of what it has revoked, which is good for `until` a year. It is there at once, in whole.
    pub(crate) fn revoke(&self, serials: &[u64], until: i32, path: &Path) {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let fresh = path.with_extension("new");
        fs::write(&fresh, params.signed_by(&self.issuer).unwrap().pem().unwrap()).unwrap();
        fs::rename(fresh, path).unwrap();
    }

    /// How a host connects to a collector that this authority vouches for.
    pub(crate) fn client(
        &self,
        shown: Option<&Shown>,
        version: &'static SupportedProtocolVersion,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match shown {
            Some(Shown { chain, key }) => {
                config.with_client_auth_cert(chain.clone(), key.clone_key()).unwrap()
            }
            None => config.with_no_client_auth(),
        })
    }
}
