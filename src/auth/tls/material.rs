//! Certificates, keys and revocation lists from files, PEM or DER, and what is wrong with them.

use super::Config;
use crate::auth::certificate::{NameFrom, Named};
use crate::auth::files::is_open_to_others;
use crate::finding::Finding;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Reads files, and collects what will be trouble though it is none yet.
#[derive(Default)]
pub(super) struct Material {
    pub(super) findings: Vec<Finding>,
}

/// Longest file that is read; lists of revoked certificates are the long ones.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// A certificate of ours that ends so soon is told of.
const ENDS_SOON_SECONDS: i64 = 14 * 86_400;

impl Material {
    /// Our own certificate with its key.
    pub(super) fn own(
        &mut self,
        config: &Config,
        provider: &CryptoProvider,
    ) -> Result<CertifiedKey, Finding> {
        let Config { certificate, key } = config;
        let chain = self.certificates(certificate)?;
        self.look_at_own(certificate, &chain);
        if std::fs::metadata(key).is_ok_and(|metadata| is_open_to_others(&metadata)) {
            self.findings.push(Finding {
                what: format!("the private key {} can be read by others", key.display()),
                why: "whoever has it can pose as this machine".into(),
                fix: "take their rights away with `chmod o= FILE`".into(),
            });
        }
        let private = PrivateKeyDer::from_pem_slice(&bytes(key)?).map_err(|error| {
            unusable(key, error, "it must hold one private key in PEM form, without a pass phrase")
        })?;
        CertifiedKey::from_der(chain, private, provider).map_err(|error| {
            let fix = format!("it must be the key of the first certificate in {}", certificate.display());
            unusable(key, error, &fix)
        })
    }

    pub(super) fn certificates(&mut self, path: &Path) -> Result<Vec<CertificateDer<'static>>, Finding> {
        let fix = "it must hold certificates in PEM or DER form";
        let found = items::<CertificateDer<'static>>(path, CertificateDer::from, fix)?;
        match found.iter().any(|der| Named::read(der, NameFrom::Subject).is_none()) {
            true => Err(unusable(path, "what it holds is no certificate", fix)),
            false => Ok(found),
        }
    }

    pub(super) fn revocations(
        &mut self,
        path: &Path,
    ) -> Result<Vec<CertificateRevocationListDer<'static>>, Finding> {
        let fix = "it must hold lists of revoked certificates in PEM or DER form";
        let found =
            items::<CertificateRevocationListDer<'static>>(path, CertificateRevocationListDer::from, fix)?;
        for list in &found {
            self.look_at_list(path, list);
        }
        Ok(found)
    }

    fn look_at_own(&mut self, path: &Path, chain: &[CertificateDer<'static>]) {
        let expires =
            chain.first().and_then(|der| Named::read(der, NameFrom::Subject)).map(|named| named.expires);
        let left = expires.map(|expires| expires - now());
        if let Some(left) = left.filter(|left| *left < ENDS_SOON_SECONDS) {
            self.findings.push(Finding {
                what: format!(
                    "our certificate {} {}",
                    path.display(),
                    if left < 0 { "has ended" } else { "ends soon" }
                ),
                why: format!("{} days are left, and peers refuse it then", left.div_euclid(86_400)),
                fix: "put a new one in its place; it is noticed while forebay runs".into(),
            });
        }
    }

    fn look_at_list(&mut self, path: &Path, list: &[u8]) {
        use x509_parser::prelude::{CertificateRevocationList, FromDer};
        let Ok((_, list)) = CertificateRevocationList::from_der(list) else { return };
        if list.next_update().is_some_and(|next| next.timestamp() < now()) {
            self.findings.push(Finding {
                what: format!("the list of revoked certificates {} is past its time", path.display()),
                why: format!(
                    "until there is a new one, nobody gets in with a certificate of `{}`",
                    list.issuer()
                ),
                fix: "fetch it again from the authority, as a timer should; it is noticed while forebay runs"
                    .into(),
            });
        }
    }
}

fn items<T: PemObject>(path: &Path, from_der: fn(Vec<u8>) -> T, fix: &str) -> Result<Vec<T>, Finding> {
    let bytes = bytes(path)?;
    // A SEQUENCE of DER; PEM is text.
    if bytes.first() == Some(&0x30) {
        return Ok(vec![from_der(bytes)]);
    }
    let found: Result<Vec<T>, _> = T::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(unusable(path, "there is none in it", fix)),
        Err(error) => Err(unusable(path, error, fix)),
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, Finding> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
    read.map_err(|error| {
        unusable(path, error, "see that the file is there and that the user of forebay may read it")
    })?;
    Ok(bytes)
}

pub(super) fn unusable(path: &Path, why: impl Display, fix: &str) -> Finding {
    Finding { what: format!("{} cannot be used", path.display()), why: why.to_string(), fix: fix.into() }
}

fn now() -> i64 {
    i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX)
}
