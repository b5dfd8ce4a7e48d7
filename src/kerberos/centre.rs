//! What is said to and by a key distribution centre, as far as it is in clear: the realm that a request is for, and
//! which kind of answer came.
//!
//! ```text
//! AS-REQ, TGS-REQ ─►  AS-REP, TGS-REP    tickets
//!                 ◄┴─ KRB-ERROR          why there is none
//! ```
//! Must not know: sockets, how tickets are asked for.

use super::der::{Der, DerError, SEQUENCE, TEXT, application};
use super::krb_error::KrbError;
use super::name;
use thiserror::Error;

const AS_REQ: u8 = application(10);
const AS_REP: u8 = application(11);
const TGS_REQ: u8 = application(12);
const TGS_REP: u8 = application(13);

/// A request for a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub realm: Box<str>,
    /// Whether it is the first one, with which a client proves itself.
    pub is_first: bool,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Ticket,
    Error(Box<KrbError>),
}

/// Why bytes are no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AnswerError {
    #[error("an answer of nothing")]
    Empty,
    #[error("an answer that begins with byte {first:#04x} and is none of Kerberos")]
    Unknown { first: u8 },
    #[error("a damaged answer: {0}")]
    Damaged(#[from] DerError),
}

impl Request {
    /// A whole request, without its length in front.
    pub fn parse(bytes: &[u8]) -> Result<Self, DerError> {
        let mut whole = Der::new(bytes);
        let is_first = whole.is_next(AS_REQ);
        let tag = if is_first { AS_REQ } else { TGS_REQ };
        let mut request = whole.take(tag, "request for a ticket")?.take(SEQUENCE, "request for a ticket")?;
        request.skip_to(4)?;
        let mut body = request.field(4, SEQUENCE, "body of a request")?;
        body.skip_to(2)?;
        Ok(Self { realm: name::text(body.field(2, TEXT, "realm")?)?, is_first })
    }
}

impl Answer {
    /// A whole answer, without its length in front.
    pub fn parse(bytes: &[u8]) -> Result<Self, AnswerError> {
        match *bytes.first().ok_or(AnswerError::Empty)? {
            tag @ (AS_REP | TGS_REP) => {
                Der::new(bytes).take(tag, "ticket")?;
                Ok(Self::Ticket)
            }
            KrbError::TAG => Ok(Self::Error(Box::new(KrbError::parse(bytes)?))),
            first => Err(AnswerError::Unknown { first }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Timestamp;
    use crate::kerberos::Name;
    use crate::kerberos::der::{BIT_STRING, INTEGER, element, field};

    fn request(tag: u8, has_padata: bool, realm: &str) -> Vec<u8> {
        let number = |place, value: u8| element(field(place), &[&element(INTEGER, &[&[value]])]);
        let options = element(field(0), &[&element(BIT_STRING, &[&[0, 0, 0, 0, 0]])]);
        let name = element(field(1), &[&Name::new(name::PRINCIPAL, ["WIN10$"]).write()]);
        let realm = element(field(2), &[&element(TEXT, &[realm.as_bytes()])]);
        let body = element(field(4), &[&element(SEQUENCE, &[&options, &name, &realm])]);
        let padata = if has_padata { element(field(3), &[&element(SEQUENCE, &[])]) } else { Vec::new() };
        element(tag, &[&element(SEQUENCE, &[&number(1, 5), &number(2, 10), &padata, &body])])
    }

    #[test]
    fn a_request_says_which_realm_it_is_for() {
        for (tag, is_first) in [(AS_REQ, true), (TGS_REQ, false)] {
            for has_padata in [true, false] {
                let bytes = request(tag, has_padata, "CORP.EXAMPLE");
                assert_eq!(Request::parse(&bytes), Ok(Request { realm: "CORP.EXAMPLE".into(), is_first }));
                for cut in 0..bytes.len() {
                    assert!(Request::parse(&bytes[..cut]).is_err(), "{cut}");
                }
            }
        }
        assert!(Request::parse(&request(AS_REP, true, "CORP.EXAMPLE")).is_err());
    }

    #[test]
    fn an_answer_is_a_ticket_or_an_error_or_none() {
        let error = KrbError {
            code: 24,
            server_time: Timestamp(0),
            client_time: None,
            client: None,
            realm: "CORP.EXAMPLE".into(),
            service: Name::new(name::SERVICE, ["krbtgt", "CORP.EXAMPLE"]),
            text: None,
            data: None,
        };
        let bytes = error.write();
        assert_eq!(Answer::parse(&bytes), Ok(Answer::Error(Box::new(error))));
        assert!(matches!(Answer::parse(&bytes[..bytes.len() - 1]), Err(AnswerError::Damaged(_))));
        assert_eq!(Answer::parse(&element(AS_REP, &[b"ticket"])), Ok(Answer::Ticket));
        assert!(matches!(Answer::parse(&[TGS_REP, 0x82, 1]), Err(AnswerError::Damaged(_))));
        assert_eq!(Answer::parse(b"HTTP/1.1 400"), Err(AnswerError::Unknown { first: b'H' }));
        assert_eq!(Answer::parse(b""), Err(AnswerError::Empty));
    }
}
