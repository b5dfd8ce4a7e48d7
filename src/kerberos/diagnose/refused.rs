//! Why a key distribution centre or a service refused us, by its code: in words, with what to do.

use super::{SKEW_SECONDS_MAX, seconds};
use crate::event::Timestamp;
use crate::finding::Finding;
use crate::kerberos::krb_error::{KrbError, code};
use crate::kerberos::name::plain;
use std::fmt;

/// A refusal, and when it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Who refused: the server that was asked, or the service.
    pub by: Box<str>,
    pub error: KrbError,
    /// Our clock then.
    pub at: Timestamp,
}

/// Statuses of Windows that say more than the code beside them (MS-ERREF 2.3.1).
const STATUSES: [(u32, &str, &str); 8] = [
    (0xc000_0064, "the account does not exist", "see how the account is called"),
    (0xc000_006a, "the password is wrong", "give the password that the account has now"),
    (
        0xc000_006f,
        "the account may not sign in at this hour",
        "see the logon hours of the account in the directory",
    ),
    (
        0xc000_0070,
        "the account may not sign in from here",
        "see the list of workstations that the account has in the directory",
    ),
    (0xc000_0071, "the password has expired", "set a new password"),
    (0xc000_0072, "the account is disabled", "enable the account in the directory"),
    (0xc000_0224, "the password must be changed first", "sign in once by hand, or set a new password"),
    (0xc000_0234, "the account is locked out", "unlock the account, and see who tries wrong passwords"),
];

impl Refused {
    /// How many seconds our clock is before that of the other side; behind is less than nothing.
    pub fn ahead_seconds(&self) -> i64 {
        seconds(self.at, self.error.server_time)
    }

    /// Whether our clock is farther from that of the other side than any of them takes.
    pub fn is_skewed(&self) -> bool {
        self.ahead_seconds().abs() > SKEW_SECONDS_MAX
    }

    /// In words, for whoever wanted to sign in as `principal`.
    pub fn finding(&self, principal: &str) -> Finding {
        let (why, fix) = self.words();
        Finding { what: format!("{principal} cannot sign in with Kerberos"), why: self.told(&why), fix }
    }

    fn told(&self, why: &str) -> String {
        let text = self.error.text.as_deref().map(|text| format!(", `{}`", plain(text))).unwrap_or_default();
        format!("{} refuses with code {}{text}: {why}", self.by, self.error.code)
    }

    fn words(&self) -> (String, String) {
        let (service, realm) = (&self.error.service, &self.error.realm);
        if let Some(status) = self.error.nt_status()
            && let Some((_, why, fix)) = STATUSES.iter().find(|(known, ..)| *known == status)
        {
            return ((*why).into(), (*fix).into());
        }
        let words = |why: &str, fix: &str| (why.to_owned(), fix.to_owned());
        match self.error.code {
            code::SKEW => skew(self.ahead_seconds()),
            // With a wrong time nothing that is said of a password is worth much.
            code::PREAUTH_FAILED if self.is_skewed() => skew(self.ahead_seconds()),
            code::PREAUTH_FAILED => words(
                "the password or key is wrong",
                "give the password that the account has now; after a change of it a keytab must be exported again",
            ),
            code::CLIENT_UNKNOWN => (
                format!("realm {realm} has no such account"),
                "see how the account is called (a machine's name ends with `$`), and in which realm it is".into(),
            ),
            code::SERVICE_UNKNOWN => (
                format!("realm {realm} has no service {service}"),
                format!(
                    "`setspn -Q {service}` is to name one account; use the DNS name that is registered, and no address"
                ),
            ),
            code::NOT_UNIQUE => (
                format!("several accounts of realm {realm} have the service {service}"),
                format!("`setspn -X` names them: leave {service} with one"),
            ),
            code::ETYPE_NOSUPP => (
                format!("realm {realm} and we have no encryption type in common for this account or for {service}"),
                "set msDS-SupportedEncryptionTypes of both accounts to 24 (AES), and their passwords once more if those \
                 are older than AES in the domain"
                    .into(),
            ),
            code::CLIENT_EXPIRED => words("the account has expired", "see the end of the account in the directory"),
            code::CLIENT_REVOKED => {
                words("the account is disabled, locked or expired", "look at the account in the directory")
            }
            code::PASSWORD_EXPIRED => {
                words("the password has expired or must be changed first", "set a new password")
            }
            code::PREAUTH_REQUIRED => words(
                "it wants another proof than a password or key with AES",
                "see what the account is required to sign in with, such as a smart card",
            ),
            code::POLICY => words(
                "a policy of the domain forbids it",
                "see the account's authentication policy and logon restrictions",
            ),
            code::WRONG_REALM => (
                "the account is of another realm".into(),
                format!("name the realm that the account is in; {realm} was asked for"),
            ),
            code::UNAVAILABLE => words("it cannot work now", "see the domain controller, or name another one"),
            code::TICKET_EXPIRED => {
                words("the ticket has ended", "see that the clocks of both sides are right")
            }
            code::TICKET_NOT_YET_VALID => {
                words("the ticket is not valid yet", "see that the clocks of both sides are right")
            }
            code::REPEAT => words("it takes this for a replay", "try again"),
            code::NOT_US | code::BAD_KEY_VERSION | code::NO_KEY | code::BAD_INTEGRITY | code::MODIFIED => (
                format!("it cannot open the ticket for {service}"),
                "its keytab is older than the password of its account, or another account has the service: export \
                 its keytab again"
                    .into(),
            ),
            _ => words("what it means is not known here", "look into the log of the domain controller"),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(&self.words().0))
    }
}

fn skew(ahead: i64) -> (String, String) {
    let why = match ahead {
        0.. => format!("our clock is {ahead} s ahead of its clock"),
        _ => format!("our clock is {} s behind its clock", ahead.unsigned_abs()),
    };
    (why, "synchronise this machine's clock with the domain controllers".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kerberos::Name;
    use crate::kerberos::der::{INTEGER, OCTETS, SEQUENCE, element, field, integer};

    const SECOND: i64 = 1_000_000_000;

    fn refused(code: i32) -> Refused {
        let error = KrbError {
            code,
            server_time: Timestamp(1_000 * SECOND),
            client_time: None,
            client: None,
            realm: "CORP.EXAMPLE".into(),
            service: Name::new(2, ["HTTP", "wec.corp.example"]),
            text: None,
            data: None,
        };
        Refused { by: "dc1".into(), error, at: Timestamp(1_000 * SECOND) }
    }

    #[track_caller]
    fn check(refused: &Refused, why: &str, fix: &str) {
        let finding = refused.finding("alice@CORP.EXAMPLE");
        assert_eq!(finding.what, "alice@CORP.EXAMPLE cannot sign in with Kerberos");
        assert!(finding.why.contains(why), "{finding}");
        assert!(finding.fix.contains(fix), "{finding}");
        assert_eq!(refused.to_string(), finding.why);
    }

    #[test]
    fn each_code_has_its_words() {
        for (code, why, fix) in [
            (6, "dc1 refuses with code 6: realm CORP.EXAMPLE has no such account", "ends with `$`"),
            (7, "no service HTTP/wec.corp.example", "setspn -Q HTTP/wec.corp.example"),
            (8, "several accounts", "setspn -X"),
            (14, "no encryption type in common", "msDS-SupportedEncryptionTypes"),
            (18, "disabled, locked or expired", "directory"),
            (23, "has expired", "set a new password"),
            (24, "password or key is wrong", "exported again"),
            (35, "cannot open the ticket", "keytab"),
            (68, "another realm", "CORP.EXAMPLE was asked for"),
            (99, "refuses with code 99: what it means is not known here", "log"),
        ] {
            check(&refused(code), why, fix);
        }
    }

    #[test]
    fn clocks_are_told_with_their_seconds() {
        let at = |code, second: i64| Refused { at: Timestamp(second * SECOND), ..refused(code) };
        check(&at(37, 1_600), "our clock is 600 s ahead of its clock", "synchronise");
        check(&at(37, 200), "our clock is 800 s behind its clock", "synchronise");
        check(&at(24, 1_600), "600 s ahead", "synchronise");
        check(&at(24, 1_299), "password or key is wrong", "");
        assert!(at(25, 1_600).is_skewed() && !at(25, 1_200).is_skewed());
    }

    #[test]
    fn a_status_of_windows_says_more_than_the_code() {
        let status = |status: u32| {
            let value = element(field(2), &[&element(OCTETS, &[&status.to_le_bytes(), &[0; 8]])]);
            let kind = element(field(1), &[&element(INTEGER, &[&[3]])]);
            let mut one = refused(18);
            one.error.data = Some(element(SEQUENCE, &[&kind, &value]).into());
            one
        };
        assert_eq!(integer(3), element(INTEGER, &[&[3]]));
        check(&status(0xc000_0072), "code 18: the account is disabled", "enable");
        check(&status(0xc000_0234), "locked out", "unlock");
        check(&status(0xc000_ffff), "disabled, locked or expired", "directory");
    }

    #[test]
    fn what_it_says_itself_breaks_no_line() {
        let mut one = refused(60);
        one.error.text = Some("no\nluck".into());
        check(&one, "code 60, `no\u{fffd}luck`", "");
    }
}
