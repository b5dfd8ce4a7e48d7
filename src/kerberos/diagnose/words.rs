//! Causes in words: a label for metrics, and what an operator is told.

use super::{Asked, Cause, Etype, Keytab, Mechanism, seconds};
use crate::finding::Finding;
use std::fmt;

/// Most services of a keytab that are named.
const NAMED_MAX: usize = 5;

impl Cause {
    /// Every label there is.
    pub const LABELS: [&'static str; 21] = [
        "garbage",
        "ntlm",
        "mechanism",
        "host_refused",
        "keytab_missing",
        "keytab_unreadable",
        "keytab_damaged",
        "keytab_empty",
        "wrong_realm",
        "service_not_in_keytab",
        "etype_not_in_keytab",
        "etype_refused",
        "key_version",
        "wrong_key",
        "clock_skew",
        "ticket_expired",
        "ticket_not_yet_valid",
        "replay",
        "replay_memory",
        "channel_bindings",
        "other",
    ];

    /// For metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Garbage(_) => "garbage",
            Self::Ntlm(_) => "ntlm",
            Self::Mechanism(_) => "mechanism",
            Self::HostRefused { .. } => "host_refused",
            Self::KeytabMissing => "keytab_missing",
            Self::KeytabUnreadable { .. } => "keytab_unreadable",
            Self::KeytabDamaged(_) => "keytab_damaged",
            Self::KeytabEmpty => "keytab_empty",
            Self::Realm { .. } => "wrong_realm",
            Self::Service { .. } => "service_not_in_keytab",
            Self::Etype { .. } => "etype_not_in_keytab",
            Self::EtypeRefused { .. } => "etype_refused",
            Self::Version { .. } => "key_version",
            Self::Key { .. } => "wrong_key",
            Self::Skew { .. } => "clock_skew",
            Self::Expired { .. } => "ticket_expired",
            Self::NotYetValid { .. } => "ticket_not_yet_valid",
            Self::Replay => "replay",
            Self::ReplayMemory { .. } => "replay_memory",
            Self::Bindings => "channel_bindings",
            Self::Other { .. } => "other",
        }
    }

    /// In words: for this host, with this keytab.
    pub fn finding(&self, host: &str, keytab: &str) -> Finding {
        let (why, fix) = self.words(keytab);
        Finding { what: format!("{host} cannot sign in with Kerberos"), why, fix }
    }

    fn words(&self, keytab: &str) -> (String, String) {
        match self {
            Self::Garbage(error) => (
                error.to_string(),
                "see what this host is and what is between it and us: no Windows sends such a token".into(),
            ),
            Self::Ntlm(ntlm) => {
                let user = ntlm.user.as_deref().map(|user| format!(" as {user}")).unwrap_or_default();
                (
                    format!("it offers NTLM{user}, which cannot be checked here, because it has no ticket"),
                    "write the collector's DNS name and no address into its subscription manager, see that \
                     `setspn -Q HTTP/<that name>` finds one account, and take the collector out of its TrustedHosts"
                        .into(),
                )
            }
            Self::Mechanism(mechanism) => {
                let offers = mechanism.as_ref().map_or_else(|| "nothing".into(), Mechanism::to_string);
                (
                    format!("it offers {offers}, and no ticket of Kerberos"),
                    "see that it is a member of the domain and reaches a domain controller on port 88".into(),
                )
            }
            Self::HostRefused { code } => (
                format!("it did not take our proof and says so with Kerberos code {code}"),
                "see that its clock is right and that the key in the keytab is of the account that has the service"
                    .into(),
            ),
            Self::KeytabMissing => (
                format!("there is no keytab {keytab}"),
                "export one: `ktpass -princ HTTP/<name>@<REALM> -mapuser <account> -crypto AES256-SHA1 -ptype \
                 KRB5_NT_PRINCIPAL -pass * -out <file>`"
                    .into(),
            ),
            Self::KeytabUnreadable { why } => (
                format!("keytab {keytab} cannot be read: {why}"),
                "let the user that forebay runs as read it, and nobody else".into(),
            ),
            Self::KeytabDamaged(error) => {
                (format!("keytab {keytab}: {error}"), "export the keytab again, and copy it as binary".into())
            }
            Self::KeytabEmpty => {
                (format!("keytab {keytab} has no key"), "export the keys of HTTP/<name> into it".into())
            }
            Self::Realm { asked, have } => (
                format!("it has a ticket for {asked}, and keytab {keytab} has that service in realm {have} only"),
                format!(
                    "export the keys of {} from realm {} too, or see in which forest the name is registered",
                    asked.service, asked.realm
                ),
            ),
            Self::Service { asked, have } => (
                format!("it has a ticket for {asked}, which keytab {keytab} has no key of; it has {have}"),
                format!(
                    "`setspn -Q {0}` names the account that has it: export its keys, or move {0} to the account \
                     of the keytab",
                    asked.service
                ),
            ),
            Self::Etype { asked, have } => etype(asked, have, keytab),
            Self::EtypeRefused { asked } => (
                format!(
                    "keytab {keytab} has the key for its ticket for {asked}, but the Kerberos library takes no {}",
                    asked.etype
                ),
                "look for permitted_enctypes and allow_weak_crypto in krb5.conf, and allow that type".into(),
            ),
            Self::Version { asked, ticket, newest } if ticket > newest => (
                format!(
                    "its ticket for {asked} is encrypted with version {ticket} of the key, and keytab {keytab} has \
                     {newest}: the password was changed since"
                ),
                "export the keytab again".into(),
            ),
            Self::Version { asked, ticket, newest } => (
                format!(
                    "its ticket for {asked} is encrypted with version {ticket} of the key, and keytab {keytab} \
                     begins later, up to {newest}: the ticket is older than the keytab"
                ),
                "`klist -li 0x3e4 purge` on the host takes a new ticket, or wait until the old one ends; if it comes \
                 again, the domain controllers do not agree on the version"
                    .into(),
            ),
            Self::Key { asked } => {
                let rc4 = match asked.etype {
                    Etype::RC4 => "allow RC4 to the Kerberos library (permitted_enctypes in krb5.conf), or better, ",
                    _ => "",
                };
                let fix = "export the keytab again from the account that has the service; a password that was set \
                           twice, or a `ktpass` with another password or salt, makes such a key";
                (
                    format!("its ticket for {asked} does not open with the key of that version in keytab {keytab}"),
                    format!("{rc4}{fix}"),
                )
            }
            Self::Skew { host, seconds } => skew(host.as_deref(), *seconds),
            Self::Expired { at, now } => (
                format!("its ticket has ended{}", ago(at.map(|at| seconds(*now, at)), "ago")),
                "it should take a new one by itself: see that it reaches a domain controller, and that our clock \
                 is right"
                    .into(),
            ),
            Self::NotYetValid { at, now } => (
                format!("its ticket is not valid yet{}", ago(at.map(|at| seconds(at, *now)), "to go")),
                "our clock is behind that of the domain controllers: synchronise it".into(),
            ),
            Self::Replay => (
                "it sent a token that had come before".into(),
                "look for something between the host and us that sends requests twice; otherwise somebody who \
                 listens tries to pass for this host"
                    .into(),
            ),
            Self::ReplayMemory { why } => (
                format!("nobody could tell a replay: {why}"),
                "give the replay cache a folder that can be written and has room".into(),
            ),
            Self::Bindings => (
                "it is bound to another TLS connection than ours".into(),
                "look for something between the host and us that ends TLS; if that is wanted, give it our \
                 certificate or let it pass TLS through"
                    .into(),
            ),
            Self::Other { why } => (why.clone(), "look into the log of the host and of the domain controller".into()),
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.service, self.realm)
    }
}

fn etype(asked: &Asked, have: &[Etype], keytab: &str) -> (String, String) {
    let names: Vec<String> = have.iter().map(Etype::to_string).collect();
    let why = format!(
        "its ticket for {asked} is encrypted with {}, and keytab {keytab} has that service with {} only",
        asked.etype,
        names.join(", ")
    );
    let bits = have.iter().filter_map(|etype| etype.directory_bit()).fold(0, |bits, bit| bits | bit);
    let fix = match asked.etype {
        Etype::RC4 if bits & 24 != 0 => format!(
            "set msDS-SupportedEncryptionTypes of the account to {} (AES; without it a domain controller takes RC4), \
             and its password once more if that is older than AES in the domain",
            bits & 24
        ),
        Etype::RC4 => {
            "set msDS-SupportedEncryptionTypes of the account to 24 (AES), then export the keytab again"
                .into()
        }
        _ => format!("export the keytab again with {} among its types", asked.etype),
    };
    (why, fix)
}

fn skew(host: Option<&str>, seconds: Option<i64>) -> (String, String) {
    let of = host.map(|host| format!(" ({host})")).unwrap_or_default();
    let why = match seconds {
        Some(ahead @ 0..) => format!("its clock{of} is {ahead} s ahead of ours"),
        Some(behind) => format!("its clock{of} is {} s behind ours", behind.unsigned_abs()),
        None => format!("its clock{of} differs from ours by more than {} s", super::SKEW_SECONDS_MAX),
    };
    (why, "compare both with a domain controller (`w32tm /stripchart /computer:<dc>`), and set the one that is wrong".into())
}

fn ago(seconds: Option<i64>, word: &str) -> String {
    seconds.map(|seconds| format!(", {seconds} s {word}")).unwrap_or_default()
}

/// The services of a keytab, each once, some of them.
pub(super) fn services(keytab: &Keytab) -> Box<str> {
    let mut names: Vec<String> = Vec::new();
    for entry in &keytab.entries {
        let name = format!("{}@{}", entry.principal, entry.realm);
        if names.contains(&name) {
            continue;
        }
        if names.len() == NAMED_MAX {
            names.push("others".into());
            break;
        }
        names.push(name);
    }
    names.join(", ").into()
}

/// For a keytab that others than its owner and group may read, by its mode.
pub fn exposed(mode: u32, keytab: &str) -> Option<Finding> {
    (mode & 0o004 != 0).then(|| Finding {
        what: format!("keytab {keytab} is readable by others"),
        why: format!(
            "its mode is {:03o}; who has its keys can pass for the collector and for any host",
            mode & 0o777
        ),
        fix: format!("`chmod 600 {keytab}`, or 640 with a group that is the collector's alone"),
    })
}
