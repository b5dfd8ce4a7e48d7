//! One key per machine, whatever form its name has.
//!
//! | where | form | key |
//! |---|---|---|
//! | Kerberos | `WIN10$@CORP.EXAMPLE`, `host/win10.corp.example@CORP.EXAMPLE` | `win10.corp.example` |
//! | certificate | `win10.corp.example` | `win10.corp.example` |
//! | NTLM | `CORP\WIN10$` | `win10.corp` |
//! | workgroup | `WIN10` | `win10` |
//!
//! The host's label is cut at 15 characters: `HOST$` is, and is one machine with its full name. The
//! domain stays in the key, because `dc1` is in every domain. The domain of NTLM is a NetBIOS name,
//! which says nothing certain of the DNS domain; it stands in its place.

use std::fmt;

/// A machine, proved. Only [`MachineKey::parse`] makes one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MachineKey(Box<str>);

/// Longest name that is one; that of DNS.
pub const NAME_BYTES_MAX: usize = 255;
/// Windows cuts the name of a machine's account here.
const NETBIOS_CHARS_MAX: usize = 15;

impl MachineKey {
    /// The machine that a proved name stands for. `None` when it is the name of none.
    pub fn parse(name: &str) -> Option<Self> {
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        let name = Name::parse(name)?;
        let mut key: String = name.label_as_netbios().collect();
        for label in name.domain.split('.').filter(|label| !label.is_empty()) {
            key.push('.');
            key.extend(label.chars().flat_map(char::to_lowercase));
        }
        Some(Self(key.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a name which a machine gives itself is its own: with domain or without, in any case.
    pub fn same_machine(&self, other: &str) -> bool {
        // What hosts call themselves is compared for every event, and is mostly the key itself.
        if self.0.eq_ignore_ascii_case(other) {
            return true;
        }
        let Some(other) = Name::parse(other) else { return false };
        let (label, domain) = self.0.split_once('.').unwrap_or((&self.0, ""));
        let is_domain = domain.is_empty()
            || other.domain.is_empty()
            || lower(domain).eq(lower(other.domain.trim_end_matches('.')));
        is_domain && label.chars().eq(other.label_as_netbios())
    }
}

impl fmt::Display for MachineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name, taken apart. The domain is empty when there is none.
#[derive(Clone, Copy)]
struct Name<'a> {
    label: &'a str,
    domain: &'a str,
}

impl<'a> Name<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let (name, realm) = name.split_once('@').unwrap_or((name, ""));
        let (netbios_domain, name) = name.split_once('\\').unwrap_or(("", name));
        // `host/name`, `host/name/realm`: the second part is the machine.
        let mut parts = name.split('/');
        let name = match (parts.next(), parts.next()) {
            (Some(service), Some(name)) if is_label(service) => name,
            (Some(name), None) => name,
            _ => return None,
        };
        let (label, domain) = name.split_once('.').unwrap_or((name, ""));
        let label = label.strip_suffix('$').unwrap_or(label);
        let domain = [domain, realm, netbios_domain].into_iter().find(|domain| !domain.is_empty());
        let domain = domain.unwrap_or_default().trim_end_matches('.');
        let is_good = is_label(label) && (domain.is_empty() || domain.split('.').all(is_label));
        is_good.then_some(Self { label, domain })
    }

    fn label_as_netbios(self) -> impl Iterator<Item = char> {
        self.label.chars().take(NETBIOS_CHARS_MAX).flat_map(char::to_lowercase)
    }
}

/// Letters of all languages, because Windows allows them; nothing that means something in a path, a
/// key or a pattern.
fn is_label(label: &str) -> bool {
    !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
}

fn lower(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(names: &[&str], key: &str) {
        for name in names {
            assert_eq!(
                MachineKey::parse(name).map(|found| found.to_string()).as_deref(),
                Some(key),
                "{name}"
            );
        }
    }

    #[test]
    fn every_form_of_a_name_has_one_key() {
        check(
            &[
                "WIN10$@CORP.EXAMPLE",
                "host/win10.corp.example@CORP.EXAMPLE",
                "HOST/WIN10@CORP.EXAMPLE",
                "win10.corp.example",
                "Win10.Corp.Example.",
            ],
            "win10.corp.example",
        );
        check(&["CORP\\WIN10$", "corp\\win10"], "win10.corp");
        check(&["WIN10", "win10$"], "win10");
        check(&["BÜRO-1$@CORP.EXAMPLE", "büro-1.corp.example"], "büro-1.corp.example");
    }

    #[test]
    fn a_name_is_cut_where_windows_cuts_its_account() {
        check(
            &["ACCOUNTING-SERV$@CORP.EXAMPLE", "accounting-server-2.corp.example"],
            "accounting-serv.corp.example",
        );
    }

    #[test]
    fn machines_of_two_domains_are_two() {
        assert_ne!(MachineKey::parse("dc1.a.example"), MachineKey::parse("dc1.b.example"));
    }

    #[test]
    fn what_names_no_machine_has_no_key() {
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        for name in [
            "",
            "$",
            ".",
            "@REALM",
            "a..b",
            ".corp.example",
            "*.corp.example",
            "two words",
            "a/b$c/d",
            "a\0b",
            "../etc",
            "host/",
            "a\nb",
            "x=y",
            &long,
        ] {
            assert_eq!(MachineKey::parse(name), None, "{name:?}");
        }
    }

    #[test]
    fn a_machine_may_call_itself_by_its_short_name_in_any_case() {
        let key = MachineKey::parse("WIN10$@CORP.EXAMPLE").unwrap();
        for name in ["win10.corp.example", "WIN10.Corp.Example", "WIN10", "win10"] {
            assert!(key.same_machine(name), "{name}");
        }
        for name in ["win1", "win10.other.example", "win100", "win10.corp", "", "*"] {
            assert!(!key.same_machine(name), "{name}");
        }
        let workgroup = MachineKey::parse("WIN10").unwrap();
        assert!(workgroup.same_machine("win10.lan"), "its certificate says nothing of a domain");
    }

    #[test]
    fn a_cut_name_is_called_by_the_whole_one() {
        let key = MachineKey::parse("ACCOUNTING-SERV$@CORP.EXAMPLE").unwrap();
        assert!(key.same_machine("ACCOUNTING-SERVER-2.corp.example") && key.same_machine("ACCOUNTING-SERV"));
        assert!(!key.same_machine("ACCOUNTING-SER"));
    }
}
