//! One key per machine, whatever form its name has.
//!
//! | where | form | key |
//! |---|---|---|
//! | Kerberos | `WIN10$@CORP.EXAMPLE`, `host/win10.corp.example@CORP.EXAMPLE` | `win10.corp.example` |
//! | certificate | `win10.corp.example` | `win10.corp.example` |
//! | NTLM | `CORP\WIN10$` | `win10.corp` |
//! | workgroup | `WIN10` | `win10` |
//! | account | `ACCOUNTING-SERV$@CORP.EXAMPLE` | `accounting-serv$.corp.example` |
//!
//! The name of an account is cut at 15 characters, so one of that length may stand for a machine with
//! a longer name, and its key says so: it is that of no whole name. Which whole name it goes with is for
//! those to say who know the machines. The domain stays in the key, because `dc1` is in every domain. The
//! domain of NTLM is a NetBIOS name, which says nothing certain of the DNS domain; it stands in its place.

use std::borrow::Cow;
use std::fmt;

/// A machine, proved. Only [`MachineKey::parse`] makes one; what it makes of a key is that key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MachineKey(Box<str>);

/// Longest name that is one; that of DNS.
pub const NAME_BYTES_MAX: usize = 255;
/// Windows cuts the name of a machine's account here.
const NETBIOS_CHARS_MAX: usize = 15;
/// Behind the label of a name that may be cut.
const CUT: char = '$';

impl MachineKey {
    /// The machine that a proved name stands for. `None` when it is the name of none.
    pub fn parse(name: &str) -> Option<Self> {
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        let name = Name::parse(name)?;
        let mut key: String = lower(name.label).collect();
        if name.is_netbios && name.label.chars().count() == NETBIOS_CHARS_MAX {
            key.push(CUT);
        }
        for label in name.domain.split('.').filter(|label| !label.is_empty()) {
            key.push('.');
            key.extend(lower(label));
        }
        Some(Self(key.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first part of the name, as far as it is known.
    pub fn label(&self) -> &str {
        let label = self.0.split('.').next().unwrap_or(&self.0);
        label.strip_suffix(CUT).unwrap_or(label)
    }

    /// The name without the mark of one that may be cut.
    pub fn plain(&self) -> Cow<'_, str> {
        match self.may_be_cut() {
            true => self.0.replacen(CUT, "", 1).into(),
            false => Cow::Borrowed(&self.0),
        }
    }

    fn domain(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, domain)| domain)
    }

    /// Whether its name may be the beginning of the machine's.
    pub fn may_be_cut(&self) -> bool {
        self.0.contains(CUT)
    }

    /// The key of the account that a machine of this whole name has in its domain, where that name is cut.
    pub fn cut(&self) -> Option<Self> {
        let label = self.label();
        if self.may_be_cut() {
            return None;
        }
        let (end, last) = label.char_indices().nth(NETBIOS_CHARS_MAX - 1)?;
        let mut cut = format!("{}{CUT}", &label[..end + last.len_utf8()]);
        if !self.domain().is_empty() {
            cut.push('.');
            cut.push_str(self.domain());
        }
        Some(Self(cut.into()))
    }

    /// Whether a name which a machine gives itself is its own: with domain or without, in any case.
    pub fn same_machine(&self, other: &str) -> bool {
        // What hosts call themselves is compared for every event, and is mostly the key itself.
        if self.0.eq_ignore_ascii_case(other) {
            return true;
        }
        let Some(other) = Name::parse(other) else { return false };
        let (label, domain) = (self.label(), self.domain());
        let is_domain = domain.is_empty()
            || other.domain.is_empty()
            || lower(domain).eq(lower(other.domain.trim_end_matches('.')));
        let cut = NETBIOS_CHARS_MAX;
        is_domain
            && (label.chars().eq(lower(other.label))
                // The whole name of one that is cut, or the other way about.
                || self.may_be_cut() && label.chars().eq(lower(other.label).take(cut))
                || other.domain.is_empty()
                    && other.label.chars().count() == cut
                    && lower(other.label).eq(label.chars().take(cut)))
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
    /// It is that of an account.
    is_netbios: bool,
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
        // `host/NAME` has no domain of its own where it is the name of the account.
        let is_netbios = domain.is_empty() && !(netbios_domain.is_empty() && realm.is_empty());
        let (label, is_netbios) = match label.strip_suffix(CUT) {
            Some(label) => (label, true),
            None => (label, is_netbios),
        };
        let domain = [domain, realm, netbios_domain].into_iter().find(|domain| !domain.is_empty());
        let domain = domain.unwrap_or_default().trim_end_matches('.');
        let is_good = is_label(label) && (domain.is_empty() || domain.split('.').all(is_label));
        is_good.then_some(Self { label, domain, is_netbios })
    }
}

/// Letters of all languages, because Windows allows them; nothing that means something in a path, a
/// key or a pattern.
fn is_label(label: &str) -> bool {
    !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
}

/// Letter by letter, so that a name stays as long as it is and cutting means the same before and after.
fn lower(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(|c| {
        let mut lower = c.to_lowercase();
        lower.next().filter(|_| lower.next().is_none()).unwrap_or(c)
    })
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
    fn a_name_that_windows_may_have_cut_is_that_of_no_whole_name() {
        check(
            &["ACCOUNTING-SERV$@CORP.EXAMPLE", "host/accounting-serv@CORP.EXAMPLE"],
            "accounting-serv$.corp.example",
        );
        check(&["CORP\\ACCOUNTING-SERV$", "CORP\\accounting-serv"], "accounting-serv$.corp");
        check(&["ACCOUNTING-SERV$"], "accounting-serv$");
        check(&["accounting-serv.corp.example"], "accounting-serv.corp.example");
        check(&["ACCOUNTING-SERV"], "accounting-serv");
        check(&["ACCOUNTING-SER$@CORP.EXAMPLE"], "accounting-ser.corp.example");
        // Other directories do not cut.
        check(&["ACCOUNTING-SERVER-2$@CORP.EXAMPLE"], "accounting-server-2.corp.example");
    }

    #[test]
    fn machines_whose_names_begin_alike_are_two() {
        check(&["accounting-server-1.corp.example"], "accounting-server-1.corp.example");
        check(&["accounting-server-2.corp.example"], "accounting-server-2.corp.example");
        let key = |name| MachineKey::parse(name).unwrap();
        let account = key("ACCOUNTING-SERV$@CORP.EXAMPLE");
        for name in ["accounting-server-1.corp.example", "accounting-serv.corp.example"] {
            assert_eq!(key(name).cut().as_ref(), Some(&account), "{name}");
        }
        for name in ["accounting-ser.corp.example", "ACCOUNTING-SERV$@CORP.EXAMPLE", "pc1"] {
            assert_eq!(key(name).cut(), None, "{name}");
        }
        assert_ne!(key("accounting-server-1.other.example").cut().as_ref(), Some(&account));
        assert_eq!(key("BÜROMASCHINE-ÜBER-UNS").cut(), Some(key("BÜROMASCHINE-ÜB$")));
    }

    #[test]
    fn the_key_of_a_key_is_itself() {
        for name in ["WIN10$@CORP.EXAMPLE", "ACCOUNTING-SERV$@CORP.EXAMPLE", "accounting-server-2", "İ.x"] {
            let key = MachineKey::parse(name).unwrap();
            assert_eq!(MachineKey::parse(key.as_str()).as_ref(), Some(&key), "{name}");
        }
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
    fn a_cut_name_is_called_by_the_whole_one_and_the_other_way_about() {
        let key = MachineKey::parse("ACCOUNTING-SERV$@CORP.EXAMPLE").unwrap();
        assert!(key.same_machine("ACCOUNTING-SERVER-2.corp.example") && key.same_machine("ACCOUNTING-SERV"));
        assert!(!key.same_machine("ACCOUNTING-SER") && !key.same_machine("accounting-server-2.other"));
        let key = MachineKey::parse("accounting-server-2.corp.example").unwrap();
        assert!(key.same_machine("ACCOUNTING-SERV") && key.same_machine("accounting-server-2"));
        assert!(!key.same_machine("accounting-server-1") && !key.same_machine("ACCOUNTING-SERVE"));
        assert!(!key.same_machine("accounting-serv.corp.example"), "that is another whole name");
    }
}
