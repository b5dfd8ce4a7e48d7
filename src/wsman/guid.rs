//! Identifiers of messages, versions and subscriptions: `uuid:` and a GUID in capitals on the wire.

use std::fmt;

/// A GUID, in the order its text shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// Any 128 bits as a GUID that says of itself that it is made of such (RFC 9562, version 8).
    pub fn from_bits(mut bits: [u8; 16]) -> Self {
        bits[6] = bits[6] & 0x0f | 0x80;
        bits[8] = bits[8] & 0x3f | 0x80;
        Self(bits)
    }

    /// Reads `219C5353-5F3D-4CD7-A644-F6B69E57C1C1`, in any case, with or without `uuid:` before or
    /// braces around it.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = match text.get(..5) {
            Some(scheme) if scheme.eq_ignore_ascii_case("uuid:") => &text[5..],
            _ => text,
        };
        let text = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text).as_bytes();
        if text.len() != 36 {
            return None;
        }
        let mut bytes = [0; 16];
        let mut digits = 0;
        for (at, &byte) in text.iter().enumerate() {
            if matches!(at, 8 | 13 | 18 | 23) {
                if byte != b'-' {
                    return None;
                }
                continue;
            }
            let digit = char::from(byte).to_digit(16)?;
            bytes[digits / 2] = bytes[digits / 2] << 4 | digit as u8;
            digits += 1;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02X}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_is_read_in_every_dress_and_written_in_capitals() {
        let written = "219C5353-5F3D-4CD7-A644-F6B69E57C1C1";
        for text in [
            written.to_string(),
            written.to_lowercase(),
            format!("uuid:{written}"),
            format!("UUID:{written}"),
            format!(" {{{written}}} "),
        ] {
            assert_eq!(Guid::parse(&text).map(|guid| guid.to_string()).as_deref(), Some(written), "{text}");
        }
    }

    #[test]
    fn what_is_no_guid_is_refused() {
        for text in ["", "uuid:", "219C5353", "219C5353-5F3D-4CD7-A644-F6B69E57C1C", "uuid:é"] {
            assert_eq!(Guid::parse(text), None, "{text}");
        }
        assert_eq!(Guid::parse("219C5353-5F3D-4CD7-A644_F6B69E57C1C1"), None);
    }
}
