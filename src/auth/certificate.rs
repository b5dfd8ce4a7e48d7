//! The machine's name in a certificate: the common name of its subject, or its first DNS name.
//!
//! Pure. Must not know: whether the certificate is to be believed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use x509_parser::der_parser::asn1_rs::Tag;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Where a certificate names its machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NameFrom {
    /// The common name of its subject.
    #[default]
    Subject,
    /// Its first DNS name, for templates that leave the subject empty.
    San,
}

/// What is read of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// The machine, as it stands there; none, or several, is no name.
    pub(super) machine: Option<String>,
    /// For people.
    pub(super) subject: String,
    /// Seconds since 1970 after which it is void.
    pub(super) expires: i64,
}

impl Named {
    pub(super) fn read(der: &[u8], from: NameFrom) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let machine = match from {
            NameFrom::Subject => {
                let mut names = certificate.subject().iter_common_name();
                match (names.next(), names.next()) {
                    (Some(name), None) => text(name.attr_value().tag(), name.attr_value().data),
                    _ => None,
                }
            }
            NameFrom::San => {
                let names = certificate.subject_alternative_name().ok().flatten();
                names.and_then(|names| {
                    names.value.general_names.iter().find_map(|name| match name {
                        GeneralName::DNSName(name) => Some((*name).to_owned()),
                        _ => None,
                    })
                })
            }
        };
        let subject: String = certificate.subject().to_string().chars().take(SUBJECT_CHARS_MAX).collect();
        let subject = if subject.is_empty() { "(without a subject)".into() } else { subject };
        Some(Self { machine, subject, expires: certificate.validity().not_after.timestamp() })
    }
}

/// The hash that a certificate is signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignatureHash {
    Sha256,
    Sha384,
    Sha512,
}

/// SHA-256 where it is none of the others: RFC 5929 4.1 asks for it instead of MD5 and SHA-1.
pub(super) fn hash_of_signature(der: &[u8]) -> SignatureHash {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return SignatureHash::Sha256 };
    match certificate.signature_algorithm.algorithm.to_id_string().as_str() {
        // sha384WithRSAEncryption, ecdsa-with-SHA384
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => SignatureHash::Sha384,
        // sha512WithRSAEncryption, ecdsa-with-SHA512
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => SignatureHash::Sha512,
        _ => SignatureHash::Sha256,
    }
}

/// Longest subject that is shown.
const SUBJECT_CHARS_MAX: usize = 200;

/// The kinds of strings that a name may be made of; Windows writes names beyond Latin as BMPString.
fn text(tag: Tag, bytes: &[u8]) -> Option<String> {
    match tag {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String => String::from_utf8(bytes.into()).ok(),
        Tag::BmpString => {
            let (units, rest) = bytes.as_chunks::<2>();
            let units: Vec<u16> = units.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
            String::from_utf16(&units).ok().filter(|_| rest.is_empty())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::string::BmpString;
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair};

    fn der(common_names: &[DnValue], dns_names: &[&str]) -> Vec<u8> {
        let names: Vec<String> = dns_names.iter().map(|&name| name.into()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for name in common_names {
            params.distinguished_name.push(DnType::CommonName, name.clone());
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[track_caller]
    fn check(der: &[u8], from: NameFrom, expected: Option<&str>) {
        assert_eq!(Named::read(der, from).unwrap().machine.as_deref(), expected);
    }

    #[test]
    fn a_machine_is_named_by_its_subject_or_its_first_dns_name() {
        let both = der(&["win10.corp.example".into()], &["other.corp.example", "third.corp.example"]);
        check(&both, NameFrom::Subject, Some("win10.corp.example"));
        check(&both, NameFrom::San, Some("other.corp.example"));
        let neither = der(&[], &[]);
        check(&neither, NameFrom::Subject, None);
        check(&neither, NameFrom::San, None);
        assert_eq!(Named::read(&neither, NameFrom::San).unwrap().subject, "(without a subject)");
    }

    #[test]
    fn a_name_may_be_a_string_of_any_kind() {
        let wide = BmpString::try_from("büro-1").unwrap();
        check(&der(&[DnValue::BmpString(wide)], &[]), NameFrom::Subject, Some("büro-1"));
        check(&der(&[DnValue::Utf8String("büro-1".into())], &[]), NameFrom::Subject, Some("büro-1"));
        assert_eq!(Named::read(b"no certificate", NameFrom::Subject), None);
    }
}
