//! SPNEGO (RFC 4178, MS-SPNG): which mechanism it is to be, around the first token of the one most wanted.
//!
//! ```text
//! [0x60 length][OID of SPNEGO][0] NegTokenInit  mechanisms, token     the first message
//!                             [1] NegTokenResp  state, mechanism, token    each message after it
//! ```
//!
//! `NegTokenInit2`, which Windows sends, differs in what stands behind the token, and that is not read.

use super::GSS;
use crate::kerberos::der::{Der, DerError, ENUMERATED, OCTETS, OID, SEQUENCE, element, field};
use std::fmt;

/// Most mechanisms in an offer that are kept; Windows offers four.
pub const MECHANISMS_MAX: usize = 32;
/// Longest name of a mechanism that is kept.
const OID_BYTES_MAX: usize = 32;

/// A message of the negotiation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spnego<'a> {
    Init { offered: Vec<Mechanism>, token: Option<&'a [u8]> },
    Answer(Answer<'a>),
}

/// An answer in the negotiation, of either side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer<'a> {
    pub state: Option<State>,
    /// The mechanism that was chosen.
    pub mechanism: Option<Mechanism>,
    pub token: Option<&'a [u8]>,
}

/// How the negotiation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Completed,
    Incomplete,
    Rejected,
    /// The mechanism is another than the one most wanted, so the list of mechanisms is to be signed.
    RequestMic,
}

/// A way to prove who one is, named by an OID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mechanism {
    Kerberos,
    /// The same under the number that Windows 2000 wrote by mistake and all offer since.
    MsKerberos,
    /// Kerberos with the ticket of a user instead of a key.
    UserToUser,
    Ntlm,
    NegoEx,
    Spnego,
    /// The content of its OID.
    Other(Box<[u8]>),
}

impl<'a> Spnego<'a> {
    /// The message, if the token is one of SPNEGO.
    pub fn find(token: &'a [u8]) -> Result<Option<Self>, DerError> {
        let mut token = Der::new(token);
        if token.is_next(field(0)) {
            return Self::init(token.take(field(0), "NegTokenInit")?).map(Some);
        }
        if token.is_next(field(1)) {
            return Answer::read(token.take(field(1), "NegTokenResp")?)
                .map(|answer| Some(Self::Answer(answer)));
        }
        let Ok(mut frame) = token.take(GSS, "GSS token") else { return Ok(None) };
        match Mechanism::read(frame.take(OID, "mechanism")?) {
            Mechanism::Spnego => Self::init(frame.take(field(0), "NegTokenInit")?).map(Some),
            _ => Ok(None),
        }
    }

    fn init(mut init: Der<'a>) -> Result<Self, DerError> {
        let mut init = init.take(SEQUENCE, "NegTokenInit")?;
        let mut offered = Vec::new();
        if let Some(mut list) = init.optional(0, SEQUENCE, "mechanisms")? {
            while !list.is_empty() && offered.len() < MECHANISMS_MAX {
                offered.push(Mechanism::read(list.take(OID, "mechanism")?));
            }
        }
        init.skip_to(2)?;
        let token = init.optional(2, OCTETS, "token of the mechanism")?.map(Der::rest);
        Ok(Self::Init { offered, token })
    }
}

impl<'a> Answer<'a> {
    fn read(mut answer: Der<'a>) -> Result<Self, DerError> {
        let mut answer = answer.take(SEQUENCE, "NegTokenResp")?;
        let state = match answer.optional(0, ENUMERATED, "state")? {
            Some(state) => Some(State::read(state).ok_or_else(|| state.expected("state"))?),
            None => None,
        };
        let mechanism = answer.optional(1, OID, "mechanism")?.map(Mechanism::read);
        let token = answer.optional(2, OCTETS, "token of the mechanism")?.map(Der::rest);
        Ok(Self { state, mechanism, token })
    }

    /// The whole message.
    pub fn write(&self) -> Vec<u8> {
        let optional = |number, inner: Option<Vec<u8>>| {
            inner.map_or_else(Vec::new, |inner| element(field(number), &[&inner]))
        };
        let state = optional(0, self.state.map(|state| element(ENUMERATED, &[&[state as u8]])));
        let mechanism = optional(1, self.mechanism.as_ref().map(Mechanism::write));
        let token = optional(2, self.token.map(|token| element(OCTETS, &[token])));
        element(field(1), &[&element(SEQUENCE, &[&state, &mechanism, &token])])
    }
}

impl State {
    fn read(state: Der<'_>) -> Option<Self> {
        Some(match state.rest() {
            [0] => Self::Completed,
            [1] => Self::Incomplete,
            [2] => Self::Rejected,
            [3] => Self::RequestMic,
            _ => return None,
        })
    }
}

/// OIDs, their content in bytes.
const OIDS: [(&[u8], Mechanism); 6] = [
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2], Mechanism::Kerberos),
    (&[0x2a, 0x86, 0x48, 0x82, 0xf7, 0x12, 1, 2, 2], Mechanism::MsKerberos),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2, 3], Mechanism::UserToUser),
    (&[0x2b, 6, 1, 4, 1, 0x82, 0x37, 2, 2, 10], Mechanism::Ntlm),
    (&[0x2b, 6, 1, 4, 1, 0x82, 0x37, 2, 2, 30], Mechanism::NegoEx),
    (&[0x2b, 6, 1, 5, 5, 2], Mechanism::Spnego),
];

impl Mechanism {
    pub const fn is_kerberos(&self) -> bool {
        matches!(self, Self::Kerberos | Self::MsKerberos | Self::UserToUser)
    }

    pub(super) fn read(oid: Der<'_>) -> Self {
        let bytes = oid.rest();
        match OIDS.iter().find(|(known, _)| *known == bytes) {
            Some((_, mechanism)) => mechanism.clone(),
            None => Self::Other(bytes[..bytes.len().min(OID_BYTES_MAX)].into()),
        }
    }

    /// The OID as an element.
    pub(super) fn write(&self) -> Vec<u8> {
        let known = OIDS.iter().find(|(_, mechanism)| mechanism == self).map(|(bytes, _)| *bytes);
        let bytes = match self {
            Self::Other(bytes) => bytes,
            _ => known.unwrap_or_default(),
        };
        element(OID, &[bytes])
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kerberos => "Kerberos",
            Self::MsKerberos => "Kerberos (Windows)",
            Self::UserToUser => "Kerberos user to user",
            Self::Ntlm => "NTLM",
            Self::NegoEx => "NegoEx",
            Self::Spnego => "SPNEGO",
            Self::Other(bytes) => return dotted(bytes, f),
        })
    }
}

/// `1.3.6.1.5.5.2`
fn dotted(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (mut arc, mut is_first) = (0_u64, true);
    for byte in bytes {
        arc = arc << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        if is_first {
            let top = (arc / 40).min(2);
            write!(f, "{top}.{}", arc - top * 40)?;
        } else {
            write!(f, ".{arc}")?;
        }
        (arc, is_first) = (0, false);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..][..2], 16).unwrap()).collect()
    }

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        for state in [None, Some(State::Completed), Some(State::Rejected), Some(State::RequestMic)] {
            for mechanism in [None, Some(Mechanism::MsKerberos), Some(Mechanism::Other([1, 2].into()))] {
                for token in [None, Some(&b"token"[..])] {
                    let answer = Answer { state, mechanism: mechanism.clone(), token };
                    let bytes = answer.write();
                    assert_eq!(Spnego::find(&bytes), Ok(Some(Spnego::Answer(answer))));
                }
            }
        }
    }

    /// As Windows begins: four mechanisms, a token and hints behind it.
    #[test]
    fn an_offer_of_windows_is_read() {
        let list: Vec<u8> = [Mechanism::MsKerberos, Mechanism::Kerberos, Mechanism::NegoEx, Mechanism::Ntlm]
            .iter()
            .flat_map(Mechanism::write)
            .collect();
        let list = element(field(0), &[&element(SEQUENCE, &[&list])]);
        let flags = hex("a10403020106");
        let token = element(field(2), &[&element(OCTETS, &[b"token"])]);
        let hints = hex("a302300000");
        let init = element(SEQUENCE, &[&list, &flags, &token, &hints[..4]]);
        let init = element(field(0), &[&init]);
        let whole = element(GSS, &[&Mechanism::Spnego.write(), &init]);
        for bytes in [&whole, &init] {
            let Ok(Some(Spnego::Init { offered, token })) = Spnego::find(bytes) else { panic!("an offer") };
            assert_eq!(token, Some(&b"token"[..]));
            let offered: Vec<String> = offered.iter().map(Mechanism::to_string).collect();
            assert_eq!(offered, ["Kerberos (Windows)", "Kerberos", "NegoEx", "NTLM"]);
        }
    }

    #[test]
    fn other_tokens_are_none_of_it() {
        assert_eq!(Spnego::find(b""), Ok(None));
        assert_eq!(Spnego::find(b"NTLMSSP\0"), Ok(None));
        assert_eq!(Spnego::find(&element(GSS, &[&Mechanism::Kerberos.write(), &[1, 0]])), Ok(None));
        assert!(Spnego::find(&element(GSS, &[&Mechanism::Spnego.write(), &[1, 0]])).is_err());
        assert!(Spnego::find(&[0xa1, 2, 0x30, 1]).is_err());
    }

    #[test]
    fn an_unknown_mechanism_has_its_number() {
        let text = |bytes: &[u8]| Mechanism::Other(bytes.into()).to_string();
        assert_eq!(text(&[0x2b, 6, 1, 5, 2, 5]), "1.3.6.1.5.2.5");
        assert_eq!(text(&[0x88, 0x37, 3]), "2.999.3");
        assert_eq!(text(&[0xff; 32]), "");
    }
}
