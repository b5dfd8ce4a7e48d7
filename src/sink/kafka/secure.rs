//! TLS and ways to sign in, as written, and as properties of librdkafka.
//!
//! Promise: a password or token crosses the network in the clear only where an option that says so allows it.
//! Must not know: when secrets are read.

use crate::sink::SinkError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `sink.kafka.tls = { ca = ["/etc/forebay/kafka-ca.pem"] }`. A change of the files counts for the next batch.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM files with the authorities that may have issued the brokers' certificates; without any, those that
    /// this machine trusts.
    #[serde(default)]
    pub ca: Vec<PathBuf>,
    /// PEM file with a certificate of our own and those above it, for brokers that ask for one.
    pub certificate: Option<PathBuf>,
    /// PEM file with its private key.
    pub key: Option<PathBuf>,
    /// File with the password of the key, if it has one.
    pub key_password_file: Option<PathBuf>,
    /// Whether any certificate is taken: whoever is between us and the brokers can then read and change all
    /// that is sent. For tests.
    #[serde(default)]
    pub insecure_any_certificate: bool,
}

/// `sink.kafka.sasl.scram = { username = "forebay", password_file = "/run/secrets/kafka" }`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sasl {
    /// SASL PLAIN: the password itself; Azure Event Hubs takes this (`$ConnectionString`).
    pub plain: Option<Account>,
    /// SASL SCRAM: a proof of the password.
    pub scram: Option<Scram>,
    /// SASL OAUTHBEARER with a token from a file, which somebody else keeps fresh.
    pub oauthbearer: Option<Token>,
    /// Kerberos; in builds with the feature `kafka-gssapi`.
    pub gssapi: Option<Gssapi>,
    /// Whether a password or token may cross the network without TLS, for tests.
    #[serde(default)]
    pub insecure_plain_text: bool,
}

/// A user with a password, in one of both ways.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Who it is.
    pub username: String,
    /// Its password; `${env:…}` and `${file:…}` keep it out of this file.
    pub password: Option<String>,
    /// File with the password; when it changes, the next batch signs in anew.
    pub password_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scram {
    /// Which SCRAM the user was made for.
    #[serde(default)]
    pub hash: Hash,
    /// Who it is.
    pub username: String,
    /// Its password; `${env:…}` and `${file:…}` keep it out of this file.
    pub password: Option<String>,
    /// File with the password; when it changes, the next batch signs in anew.
    pub password_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Hash {
    #[serde(rename = "sha-256")]
    Sha256,
    #[default]
    #[serde(rename = "sha-512")]
    Sha512,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// File with the token, read again before it ends; a JWT says when that is, another one is read every
    /// five minutes.
    pub token_file: PathBuf,
    /// Whose it is; the `sub` of a JWT, without it.
    pub principal: Option<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gssapi {
    /// Who we are: `forebay@EXAMPLE.ORG`.
    pub principal: String,
    /// The file with its key.
    pub keytab: PathBuf,
    /// First part of the brokers' names.
    #[serde(default = "service_default")]
    pub service: String,
}

// What brokers are told to be called in all instructions.
fn service_default() -> String {
    "kafka".into()
}

/// How it signs in, where it does.
#[cfg_attr(not(feature = "kafka"), expect(dead_code, reason = "files are read by those who connect"))]
pub(super) enum SignIn<'a> {
    Password { mechanism: &'static str, username: &'a str, text: Option<&'a str>, file: Option<&'a PathBuf> },
    Token,
    Gssapi(&'a Gssapi),
}

impl Sasl {
    /// # Errors
    /// When it is not exactly one way.
    pub(super) fn way(&self) -> Result<SignIn<'_>, SinkError> {
        let mut ways = Vec::new();
        if let Some(Account { username, password, password_file }) = &self.plain {
            let (text, file) = one_of(password.as_deref(), password_file.as_ref(), "sasl.plain")?;
            ways.push(SignIn::Password { mechanism: "PLAIN", username, text, file });
        }
        if let Some(Scram { hash, username, password, password_file }) = &self.scram {
            let (text, file) = one_of(password.as_deref(), password_file.as_ref(), "sasl.scram")?;
            let mechanism = if *hash == Hash::Sha256 { "SCRAM-SHA-256" } else { "SCRAM-SHA-512" };
            ways.push(SignIn::Password { mechanism, username, text, file });
        }
        ways.extend(self.oauthbearer.as_ref().map(|_| SignIn::Token));
        ways.extend(self.gssapi.as_ref().map(SignIn::Gssapi));
        match (ways.pop(), ways.is_empty()) {
            (Some(way), true) => Ok(way),
            (way, _) => {
                let count = if way.is_some() { "more than one way" } else { "no way" };
                let why = format!(
                    "{count} to sign in; write exactly one of `plain`, `scram`, `oauthbearer` and `gssapi`"
                );
                Err(SinkError::Setting { setting: "sasl", why })
            }
        }
    }
}

type Secret<'a> = (Option<&'a str>, Option<&'a PathBuf>);

fn one_of<'a>(
    text: Option<&'a str>,
    file: Option<&'a PathBuf>,
    setting: &'static str,
) -> Result<Secret<'a>, SinkError> {
    if text.is_some() == file.is_some() {
        let why = "needs a password in one place; write either `password` or `password_file`";
        return Err(SinkError::Setting { setting, why: why.into() });
    }
    Ok((text, file))
}

/// All but secrets from files, which are read when a producer is made.
pub(super) fn properties(
    tls: Option<&Tls>,
    sasl: Option<&Sasl>,
    out: &mut BTreeMap<String, String>,
) -> Result<(), SinkError> {
    let mut set = |name: &str, value: String| out.insert(name.into(), value);
    let wrong = |setting, why: &str| Err(SinkError::Setting { setting, why: why.to_owned() });
    let protocol = match (tls, sasl) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    set("security.protocol", protocol.into());
    if let Some(tls) = tls {
        if tls.certificate.is_some() != tls.key.is_some() {
            return wrong("tls", "a certificate and its key belong together; write `certificate` and `key`");
        }
        // The OpenSSL that is linked in knows no place of its own.
        if tls.ca.is_empty() {
            set("ssl.ca.location", "probe".into());
        }
        if let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) {
            set("ssl.certificate.location", certificate.display().to_string());
            set("ssl.key.location", key.display().to_string());
        }
        if tls.insecure_any_certificate {
            set("enable.ssl.certificate.verification", "false".into());
        }
    }
    let Some(sasl) = sasl else { return Ok(()) };
    let way = sasl.way()?;
    let shows = matches!(way, SignIn::Password { mechanism: "PLAIN", .. } | SignIn::Token);
    if shows && tls.is_none() && !sasl.insecure_plain_text {
        return wrong(
            "sasl",
            "whoever listens would have the password or token; add `tls`, or `insecure_plain_text = true` for a test",
        );
    }
    match way {
        SignIn::Password { mechanism, username, text, .. } => {
            set("sasl.mechanisms", mechanism.into());
            set("sasl.username", username.into());
            if let Some(text) = text {
                set("sasl.password", text.into());
            }
        }
        SignIn::Token => {
            set("sasl.mechanisms", "OAUTHBEARER".into());
        }
        SignIn::Gssapi(_) if cfg!(not(feature = "kafka-gssapi")) => {
            return wrong(
                "sasl.gssapi",
                "this forebay was built without Kerberos to Kafka; build it with `cargo build --release --features kafka-gssapi`",
            );
        }
        SignIn::Gssapi(Gssapi { principal, keytab, service }) => {
            set("sasl.mechanisms", "GSSAPI".into());
            set("sasl.kerberos.principal", principal.clone());
            set("sasl.kerberos.keytab", keytab.display().to_string());
            set("sasl.kerberos.service.name", service.clone());
        }
    }
    Ok(())
}
