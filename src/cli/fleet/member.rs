//! What can be typed behind `forebay fleet` for hosts that are members of a domain: with keys, or with a password in
//! builds with the feature `sspi`.

use crate::cli::{Exit, Failure};
use crate::fleet::{DomainSettings, Proof, Scheme};
use crate::kerberos::Etype;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Sign-in to a domain")]
pub(super) struct Member {
    /// Sign in by Kerberos, as machines of a domain do, with the keys of this keytab: those of WS-00001$@REALM
    /// for the host ws-00001. Bodies are sealed on http; on https hosts show no certificate
    #[arg(long, value_name = "FILE", group = "proof", conflicts_with = "password")]
    keytab: Option<PathBuf>,
    /// The same with the password in this file, which all machines have (builds with the feature `sspi`)
    #[arg(long, value_name = "FILE", group = "proof", conflicts_with = "password")]
    password_file: Option<PathBuf>,
    /// All hosts sign in as this account instead of each as its machine
    #[arg(long, value_name = "ACCOUNT", requires = "password_file")]
    user: Option<String>,
    /// Key distribution centre, such as `dc1.corp.example` or `udp://10.0.0.1:88`; may be given several times.
    /// `--scheme negotiate` is NTLM without
    #[arg(long, value_name = "SERVER", requires = "password_file")]
    kdc: Vec<String>,
    /// Realm of the machines; with NTLM their domain [default: the domain in capitals]
    #[arg(long, requires = "proof")]
    realm: Option<String>,
    /// The collector's principal [default: HTTP/ and the host of the address]
    #[arg(long, value_name = "PRINCIPAL", requires = "proof")]
    service: Option<String>,
    /// Tokens of Kerberos as they are or within SPNEGO, or those of NTLM, which needs a password
    #[arg(long, value_enum, default_value = "kerberos", requires = "proof")]
    scheme: SchemeName,
    /// Encryption type of tickets and keys, such as aes128-cts-hmac-sha1-96; may be given several times
    /// [default: all that the Kerberos library has]
    #[arg(long, value_name = "TYPE", requires = "keytab", value_parser = etype)]
    etype: Vec<Etype>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum SchemeName {
    Kerberos,
    Negotiate,
    Ntlm,
}

/// Longest password.
#[cfg(feature = "sspi")]
const PASSWORD_BYTES_MAX: u64 = 1024;

impl Member {
    /// None where hosts are no members of a domain.
    pub(super) fn settings(
        &self,
        domain: &str,
        shows_certificates: bool,
    ) -> Result<Option<DomainSettings>, Failure> {
        let Some(proof) = self.proof()? else { return Ok(None) };
        if shows_certificates {
            let why = "`--fault-certificate` is for hosts with certificates, and those of a domain have none";
            return Err(Failure::new(Exit::Usage, why));
        }
        let scheme = match self.scheme {
            SchemeName::Kerberos => Scheme::Kerberos,
            SchemeName::Negotiate => Scheme::Negotiate,
            SchemeName::Ntlm => Scheme::Ntlm,
        };
        let realm = self.realm.clone().unwrap_or_else(|| domain.to_ascii_uppercase());
        Ok(Some(DomainSettings { proof, realm, service: self.service.clone(), scheme }))
    }

    fn proof(&self) -> Result<Option<Proof>, Failure> {
        let Some(path) = self.keytab.clone() else { return self.password() };
        if matches!(self.scheme, SchemeName::Ntlm) {
            return Err(Failure::new(Exit::Usage, "NTLM needs a password, and a keytab has none"));
        }
        Ok(Some(Proof::Keytab { path, etypes: self.etype.clone() }))
    }

    #[cfg(not(feature = "sspi"))]
    fn password(&self) -> Result<Option<Proof>, Failure> {
        // What they are is no matter to this build.
        let _ = (&self.user, &self.kdc);
        match self.password_file {
            None => Ok(None),
            Some(_) => {
                let why = "this build signs in to no domain with a password; build it with `--features sspi`";
                Err(Failure::new(Exit::Unavailable, why))
            }
        }
    }

    #[cfg(feature = "sspi")]
    fn password(&self) -> Result<Option<Proof>, Failure> {
        use crate::fleet::{PasswordSettings, Server};
        use std::io::Read;

        let usage = |why: String| Failure::new(Exit::Usage, why);
        let Some(path) = &self.password_file else { return Ok(None) };
        let centres: Vec<Server> =
            self.kdc.iter().map(|text| Server::parse(text)).collect::<Result<_, _>>().map_err(usage)?;
        match self.scheme {
            SchemeName::Kerberos if centres.is_empty() => {
                return Err(usage(
                    "Kerberos with a password needs a key distribution centre: name one by `--kdc`".into(),
                ));
            }
            SchemeName::Ntlm if !centres.is_empty() => {
                return Err(usage("NTLM asks no key distribution centre: leave out `--kdc`".into()));
            }
            _ => {}
        }
        let failed = |error| Failure::io("read", path, &error);
        let mut text = zeroize::Zeroizing::new(String::new());
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(PASSWORD_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        let password = zeroize::Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned());
        if password.is_empty() {
            return Err(Failure::new(Exit::Data, format!("there is no password in {}", path.display())));
        }
        Ok(Some(Proof::Password(PasswordSettings { user: self.user.clone(), password, centres })))
    }
}

fn etype(text: &str) -> Result<Etype, String> {
    let wrong = || format!("`{text}` is no encryption type; write for example `aes256-cts-hmac-sha1-96`");
    Etype::from_name(text).ok_or_else(wrong)
}
