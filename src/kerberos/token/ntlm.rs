//! What an NTLM message (MS-NLMP 2.2.1) says in clear: enough to name who should have sent a ticket.

use crate::kerberos::name::plain;

const SIGNATURE: &[u8] = b"NTLMSSP\0";
const UNICODE: u32 = 1;
/// Length, room and place of a name.
const NAME_FIELD_BYTES: usize = 8;
/// Longest name that is read: 256 characters of UTF-16.
const NAME_BYTES_MAX: usize = 512;

/// An NTLM message, with the names that it has in clear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ntlm {
    /// 1 begins, 2 challenges, 3 proves.
    pub kind: u32,
    pub domain: Option<Box<str>>,
    pub user: Option<Box<str>>,
    pub workstation: Option<Box<str>>,
}

impl Ntlm {
    /// None where the bytes do not begin as NTLM does; what is cut off or points elsewhere is left out.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(SIGNATURE)?;
        let kind = u32::from_le_bytes(*rest.first_chunk()?);
        // The flags come first in a first message, late in a last one.
        let (flags, domain, user, workstation) = match kind {
            1 => (12, Some(16), None, Some(24)),
            3 => (60, Some(28), Some(36), Some(44)),
            _ => return Some(Self { kind, ..Self::default() }),
        };
        let flags = bytes.get(flags..).and_then(|rest| rest.first_chunk()).copied();
        // The names of a first message are of the code page of the machine, whatever the flags say.
        let is_wide = kind == 3 && flags.is_none_or(|flags| u32::from_le_bytes(flags) & UNICODE != 0);
        let name = |at: Option<usize>| name(bytes, at?, is_wide);
        Some(Self { kind, domain: name(domain), user: name(user), workstation: name(workstation) })
    }

    /// The flags of a challenge, by which a server says what it can do; none of any other message.
    pub fn offers(bytes: &[u8]) -> Option<u32> {
        let rest = bytes.strip_prefix(SIGNATURE)?.strip_prefix(&2_u32.to_le_bytes())?;
        rest.get(NAME_FIELD_BYTES..)?.first_chunk().copied().map(u32::from_le_bytes)
    }
}

/// The text that the field at `at` points to: its length, room, and place.
fn name(bytes: &[u8], at: usize, is_wide: bool) -> Option<Box<str>> {
    let field: &[u8; 8] = bytes.get(at..)?.first_chunk()?;
    let length = usize::from(u16::from_le_bytes([field[0], field[1]]));
    let start = u32::from_le_bytes([field[4], field[5], field[6], field[7]]) as usize;
    let text = bytes.get(start..start.checked_add(length)?)?;
    if text.is_empty() || length > NAME_BYTES_MAX {
        return None;
    }
    if !is_wide {
        return Some(plain(&String::from_utf8_lossy(text)));
    }
    let units: Vec<u16> = text.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
    Some(plain(&String::from_utf16_lossy(&units)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message whose fields at these places point to these names behind `head` bytes.
    fn message(kind: u32, flags_at: usize, flags: u32, head: usize, names: &[(usize, &[u8])]) -> Vec<u8> {
        let mut bytes = [SIGNATURE, &kind.to_le_bytes()].concat();
        bytes.resize(head, 0);
        bytes[flags_at..flags_at + 4].copy_from_slice(&flags.to_le_bytes());
        for (at, name) in names {
            let length = (name.len() as u16).to_le_bytes();
            let start = (bytes.len() as u32).to_le_bytes();
            bytes[*at..at + 8].copy_from_slice(&[&length[..], &length, &start].concat());
            bytes.extend_from_slice(name);
        }
        bytes
    }

    fn wide(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn a_first_message_may_name_domain_and_machine() {
        let bytes = message(1, 12, 0xb207, 40, &[(16, b"CORP"), (24, b"WIN10")]);
        let ntlm = Ntlm::read(&bytes).unwrap();
        assert_eq!((ntlm.kind, ntlm.domain.as_deref()), (1, Some("CORP")));
        assert_eq!((ntlm.user.as_deref(), ntlm.workstation.as_deref()), (None, Some("WIN10")));
        let short = Ntlm::read(&bytes[..20]).unwrap();
        assert_eq!(short, Ntlm { kind: 1, ..Ntlm::default() });
    }

    #[test]
    fn a_last_message_names_the_user() {
        let (domain, user, machine) = (wide("CORP"), wide("WIN10$"), wide("WIN10\n"));
        let bytes = message(3, 60, UNICODE, 72, &[(28, &domain), (36, &user), (44, &machine)]);
        let ntlm = Ntlm::read(&bytes).unwrap();
        assert_eq!(ntlm.user.as_deref(), Some("WIN10$"));
        assert_eq!(ntlm.workstation.as_deref(), Some("WIN10\u{fffd}"));
        let bytes = message(3, 60, 0, 72, &[(28, b"CORP"), (36, b"alice"), (44, b"")]);
        let ntlm = Ntlm::read(&bytes).unwrap();
        assert_eq!((ntlm.user.as_deref(), ntlm.workstation.as_deref()), (Some("alice"), None));
    }

    #[test]
    fn a_challenge_says_what_the_server_can_do() {
        let bytes = message(2, 20, 0xe28a_8235, 56, &[(12, &wide("CORP"))]);
        assert_eq!(Ntlm::offers(&bytes), Some(0xe28a_8235));
        assert_eq!(Ntlm::offers(&bytes[..23]), None);
        assert_eq!(Ntlm::offers(&message(1, 12, 0xb207, 40, &[])), None);
    }

    #[test]
    fn what_points_elsewhere_is_left_out() {
        let mut bytes = message(3, 60, UNICODE, 72, &[(36, &wide("WIN10$"))]);
        bytes[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(Ntlm::read(&bytes).unwrap().user, None);
        assert_eq!(Ntlm::read(b"NTLMSSP\0\x01\0\0"), None);
        assert_eq!(Ntlm::read(b"NTLMSSP"), None);
    }
}
