//! Where a text of EventData stands in the schema, and whether it is one for that place.
//!
//! A text is taken only where what is written gives it back letter by letter: a number is taken in the form that
//! Windows writes, a logon type if the schema has it, an account if it can be put together again. Any other text
//! stays under `unmapped`, as do empty ones and Windows' `-` for none.

use std::net::IpAddr;

/// By what it is, not by where it stands: `User` is who logged on, or whom a process runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Place {
    ActorUid,
    ActorName,
    ActorDomain,
    ActorSession,
    UserUid,
    UserName,
    UserDomain,
    UserSession,
    LogonType,
    Protocol,
    SourceHost,
    SourceIp,
    SourcePort,
    TargetHost,
    ServiceName,
    ServiceUid,
    TicketFlags,
    StatusCode,
    StatusDetail,
    ExitCode,
    ProcessUid,
    Pid,
    File,
    FileVersion,
    FileDescription,
    FileCompany,
    FileProduct,
    FileInternalName,
    Hashes,
    CommandLine,
    Folder,
    Account,
    Integrity,
    IntegritySid,
    CallerUid,
    CallerPid,
    CallerFile,
    CallerCommandLine,
    CallerAccount,
}

impl Place {
    pub(super) const COUNT: usize = Self::CallerAccount as usize + 1;

    /// By number.
    pub(super) const ALL: [Self; Self::COUNT] = [
        Self::ActorUid,
        Self::ActorName,
        Self::ActorDomain,
        Self::ActorSession,
        Self::UserUid,
        Self::UserName,
        Self::UserDomain,
        Self::UserSession,
        Self::LogonType,
        Self::Protocol,
        Self::SourceHost,
        Self::SourceIp,
        Self::SourcePort,
        Self::TargetHost,
        Self::ServiceName,
        Self::ServiceUid,
        Self::TicketFlags,
        Self::StatusCode,
        Self::StatusDetail,
        Self::ExitCode,
        Self::ProcessUid,
        Self::Pid,
        Self::File,
        Self::FileVersion,
        Self::FileDescription,
        Self::FileCompany,
        Self::FileProduct,
        Self::FileInternalName,
        Self::Hashes,
        Self::CommandLine,
        Self::Folder,
        Self::Account,
        Self::Integrity,
        Self::IntegritySid,
        Self::CallerUid,
        Self::CallerPid,
        Self::CallerFile,
        Self::CallerCommandLine,
        Self::CallerAccount,
    ];

    /// Objects that are none without one of their keys: what else belongs to them, and the keys.
    pub(super) const NEEDS: &[(&[Self], &[Self])] = &[
        (&[Self::ActorDomain], &[Self::ActorUid, Self::ActorName]),
        (&[Self::UserDomain], &[Self::UserUid, Self::UserName, Self::Account]),
        (&[Self::SourcePort], &[Self::SourceIp, Self::SourceHost]),
        (
            &[
                Self::FileVersion,
                Self::FileDescription,
                Self::FileCompany,
                Self::FileProduct,
                Self::FileInternalName,
                Self::Hashes,
            ],
            &[Self::File],
        ),
        (
            &[Self::CallerFile, Self::CallerCommandLine, Self::CallerAccount],
            &[Self::CallerPid, Self::CallerUid],
        ),
    ];

    pub(super) fn fits(self, text: &[u8], decimal: bool) -> bool {
        match self {
            Self::Pid | Self::CallerPid if decimal => pid(text, 10).is_some(),
            Self::Pid | Self::CallerPid => pid(text, 16).is_some(),
            Self::ExitCode => exit_code(text).is_some(),
            Self::SourcePort => port(text).is_some(),
            Self::SourceIp => is_address(text),
            Self::LogonType => logon_type(text).is_some(),
            Self::IntegritySid => integrity_of_sid(text).is_some(),
            Self::File | Self::CallerFile => !file_name(text).is_empty(),
            Self::Account | Self::CallerAccount => {
                let (domain, name) = account(text);
                !name.is_empty() && domain.is_none_or(|domain| !domain.is_empty())
            }
            Self::Hashes => hashes(text).all(|hash| hash.is_some()),
            _ => text != b"-",
        }
    }
}

/// A number of at most 31 bits in the one form in which Windows writes it.
pub(super) fn pid(text: &[u8], radix: u32) -> Option<i64> {
    number(text, radix).filter(|number| i32::try_from(*number).is_ok())
}

/// The number of 32 bits, with a sign as the schema's integers have one.
pub(super) fn exit_code(text: &[u8]) -> Option<i64> {
    let number = u32::try_from(number(text, 16)?).ok()?;
    Some(number.cast_signed().into())
}

pub(super) fn port(text: &[u8]) -> Option<i64> {
    number(text, 10).filter(|number| u16::try_from(*number).is_ok())
}

/// Without leading zeros; hexadecimal digits are lower-case, behind `0x`.
fn number(text: &[u8], radix: u32) -> Option<i64> {
    let digits = if radix == 16 { text.strip_prefix(b"0x")? } else { text };
    let is_digit = |byte: &u8| byte.is_ascii_digit() || radix == 16 && matches!(byte, b'a'..=b'f');
    let is_canonical = digits.len() == 1 || digits.first().is_some_and(|first| *first != b'0');
    if !is_canonical || digits.len() > 10 || !digits.iter().all(is_digit) {
        return None;
    }
    i64::from_str_radix(str::from_utf8(digits).ok()?, radix).ok()
}

fn is_address(text: &[u8]) -> bool {
    str::from_utf8(text).is_ok_and(|text| text.parse::<IpAddr>().is_ok())
}

/// `logon_type_id` with its caption, and whether the logon came over the network.
pub(super) fn logon_type(text: &[u8]) -> Option<(i64, &'static str, bool)> {
    Some(match text {
        b"0" => (1, "System", false),
        b"2" => (2, "Interactive", false),
        b"3" => (3, "Network", true),
        b"4" => (4, "Batch", false),
        b"5" => (5, "OS Service", false),
        b"7" => (7, "Unlock", false),
        b"8" => (8, "Network Cleartext", true),
        b"9" => (9, "New Credentials", false),
        b"10" => (10, "Remote Interactive", true),
        b"11" => (11, "Cached Interactive", false),
        b"12" => (12, "Cached Remote Interactive", true),
        b"13" => (13, "Cached Unlock", false),
        _ => return None,
    })
}

const INTEGRITY: [(&str, &str); 6] = [
    ("S-1-16-0", "Untrusted"),
    ("S-1-16-4096", "Low"),
    ("S-1-16-8192", "Medium"),
    ("S-1-16-12288", "High"),
    ("S-1-16-16384", "System"),
    ("S-1-16-20480", "Protected"),
];

/// `integrity_id` with its caption, of a mandatory label (MS-DTYP 2.4.2.4).
pub(super) fn integrity_of_sid(text: &[u8]) -> Option<(i64, &'static str)> {
    let index = INTEGRITY.iter().position(|(sid, _)| sid.as_bytes() == text)?;
    Some((index as i64 + 1, INTEGRITY[index].1))
}

/// The same of the name that Sysmon gives; any other is `Other`.
pub(super) fn integrity(text: &[u8]) -> i64 {
    INTEGRITY.iter().position(|(_, name)| name.as_bytes() == text).map_or(99, |index| index as i64 + 1)
}

/// `DOMAIN\name`
pub(super) fn account(text: &[u8]) -> (Option<&[u8]>, &[u8]) {
    match memchr::memchr(b'\\', text) {
        Some(at) => (Some(&text[..at]), &text[at + 1..]),
        None => (None, if text == b"-" { b"" } else { text }),
    }
}

/// Behind the last separator of a path.
pub(super) fn file_name(path: &[u8]) -> &[u8] {
    let name = memchr::memrchr2(b'\\', b'/', path).map_or(path, |at| &path[at + 1..]);
    if name == b"-" { b"" } else { name }
}

/// `algorithm_id` with its caption, and the value, of `SHA1=…,MD5=…`; None for one that is nothing of this.
pub(super) fn hashes(text: &[u8]) -> impl Iterator<Item = Option<(i64, &'static str, &[u8])>> {
    text.split(|byte| *byte == b',').map(|hash| {
        let (name, value) = hash.split_at_checked(memchr::memchr(b'=', hash)?)?;
        let (id, caption) = match name {
            b"MD5" => (1, "MD5"),
            b"SHA1" => (2, "SHA-1"),
            b"SHA256" => (3, "SHA-256"),
            b"IMPHASH" => (99, "IMPHASH"),
            _ => return None,
        };
        (value.len() > 1).then(|| (id, caption, &value[1..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_stand_under_their_number() {
        assert!(Place::ALL.iter().enumerate().all(|(number, place)| *place as usize == number));
    }

    #[test]
    fn numbers_are_taken_in_the_form_that_windows_writes() {
        assert_eq!((pid(b"0x1c0", 16), pid(b"0x0", 16), pid(b"448", 10)), (Some(448), Some(0), Some(448)));
        for (text, radix) in [
            (&b"0x01c0"[..], 16),
            (b"0x1C0", 16),
            (b"448", 16),
            (b"0x", 16),
            (b"0x80000000", 16),
            (b"0xffffffffffffffff", 16),
            (b"0448", 10),
            (b"+1", 10),
            (b"", 10),
            (b"2147483648", 10),
        ] {
            assert_eq!(pid(text, radix), None, "{}", String::from_utf8_lossy(text));
        }
        assert_eq!((exit_code(b"0xc0000005"), exit_code(b"0x100000000")), (Some(-1_073_741_819), None));
        assert_eq!((port(b"65535"), port(b"65536")), (Some(65535), None));
    }

    #[test]
    fn what_cannot_be_put_together_again_is_not_taken() {
        for (place, good, bad) in [
            (Place::Account, &b"NT AUTHORITY\\SYSTEM"[..], &b"\\SYSTEM"[..]),
            (Place::CallerAccount, b"name", b"DOMAIN\\"),
            (Place::File, b"C:\\a b.exe", b"C:\\a\\"),
            (Place::CallerFile, b"System", b"-"),
            (Place::Hashes, b"SHA1=00,IMPHASH=11", b"SHA1=00,Z=1"),
            (Place::Hashes, b"MD5=0", b"MD5="),
            (Place::SourceIp, b"::ffff:192.0.2.7", b"LOCAL"),
            (Place::LogonType, b"11", b"6"),
            (Place::IntegritySid, b"S-1-16-8192", b"S-1-16-8448"),
            (Place::UserName, b"x", b"-"),
        ] {
            assert!(place.fits(good, false) && !place.fits(bad, false), "{place:?}");
        }
    }
}
