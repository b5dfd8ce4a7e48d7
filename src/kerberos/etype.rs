//! Encryption types by number (RFC 3961, 3962, 4757, 8009), named as `klist` and keytab tools name them.

use std::fmt;

/// How something is encrypted, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Etype(pub i32);

impl Etype {
    pub const AES128_SHA1: Self = Self(17);
    pub const AES256_SHA1: Self = Self(18);
    pub const AES128_SHA256: Self = Self(19);
    pub const AES256_SHA384: Self = Self(20);
    pub const RC4: Self = Self(23);

    /// Its name, where one is known.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            1 => "des-cbc-crc",
            3 => "des-cbc-md5",
            16 => "des3-cbc-sha1",
            17 => "aes128-cts-hmac-sha1-96",
            18 => "aes256-cts-hmac-sha1-96",
            19 => "aes128-cts-hmac-sha256-128",
            20 => "aes256-cts-hmac-sha384-192",
            23 => "arcfour-hmac",
            24 => "arcfour-hmac-exp",
            25 => "camellia128-cts-cmac",
            26 => "camellia256-cts-cmac",
            _ => return None,
        })
    }

    /// By its name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        let is_it = |etype: &Self| etype.name().is_some_and(|known| known.eq_ignore_ascii_case(name));
        (1..=LAST_NAMED).map(Self).find(is_it)
    }

    /// AES of any strength and checksum.
    pub const fn is_aes(self) -> bool {
        matches!(self.0, 17..=20)
    }

    /// The bit of `msDS-SupportedEncryptionTypes` that allows it, where Active Directory has one.
    pub const fn directory_bit(self) -> Option<u32> {
        Some(match self.0 {
            1 => 1,
            3 => 2,
            23 => 4,
            17 => 8,
            18 => 16,
            _ => return None,
        })
    }
}

/// The last number that has a name.
const LAST_NAMED: i32 = 26;

impl fmt::Display for Etype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "encryption type {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_types() {
        for number in 1..=LAST_NAMED {
            if let Some(name) = Etype(number).name() {
                assert_eq!(Etype::from_name(&name.to_ascii_uppercase()), Some(Etype(number)));
            }
        }
        assert_eq!(Etype::from_name("camellia256-cts-cmac"), Some(Etype(LAST_NAMED)));
        assert_eq!(Etype::from_name("aes256"), None);
    }
}
