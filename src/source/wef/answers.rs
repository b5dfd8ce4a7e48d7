//! What is answered: status and envelope, written once into the bytes that are sent.
//!
//! Must not know: what was asked, but for its id and charset.

use crate::wsman::charset::{self, Charset};
use crate::wsman::fault::HTTP_STATUS;
use crate::wsman::{Answer, Guid, Refusal, Reply as Soap};
use bytes::Bytes;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// An answer on its way to the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Option<Bytes>,
    pub(super) content_type: Option<&'static str>,
    /// The connection is of no more use.
    pub(super) close: bool,
}

/// Makes answers.
#[derive(Debug)]
pub(super) struct Answers {
    /// Our own name, which stands in faults.
    machine: Box<str>,
    /// Ids of messages: drawn once, then counted.
    drawn: [u8; 16],
    count: AtomicU64,
}

impl Reply {
    pub(super) const fn empty(status: u16) -> Self {
        Self { status, body: None, content_type: None, close: false }
    }
}

/// The basin has no room, or did not keep it: the host sends it again.
pub(super) const BUSY: Reply = Reply::empty(503);

impl Answers {
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn new(machine: &str) -> io::Result<Self> {
        let mut drawn = [0; 16];
        getrandom::fill(&mut drawn).map_err(io::Error::other)?;
        Ok(Self { machine: machine.into(), drawn, count: AtomicU64::new(0) })
    }

    /// An id that no other message has.
    pub(super) fn id(&self) -> Guid {
        let (mut bits, count) = (self.drawn, self.count.fetch_add(1, Ordering::Relaxed));
        for (byte, more) in bits[8..].iter_mut().zip(count.to_be_bytes()) {
            *byte ^= more;
        }
        Guid::from_bits(bits)
    }

    pub(super) fn soap(&self, soap: Soap<'_>, relates_to: Option<&str>, charset: Charset) -> Reply {
        let status = if matches!(soap, Soap::Fault(_)) { HTTP_STATUS } else { 200 };
        let mut text = String::with_capacity(ANSWER_BYTES);
        Answer::new(soap, self.id(), relates_to).write(&mut text);
        let mut body = Vec::with_capacity(2 * text.len() + 2);
        charset::encode(&text, charset, &mut body);
        let content_type = match charset {
            Charset::Utf16 => "application/soap+xml;charset=UTF-16",
            Charset::Utf8 => "application/soap+xml;charset=UTF-8",
        };
        Reply { status, body: Some(body.into()), content_type: Some(content_type), close: false }
    }

    pub(super) fn fault(&self, why: &Refusal, relates_to: Option<&str>, charset: Charset) -> Reply {
        self.soap(Soap::Fault(why.fault(&self.machine)), relates_to, charset)
    }
}

/// An Ack has 700.
const ANSWER_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_messages_have_one_id() {
        let answers = Answers::new("collector").unwrap();
        let ids: HashSet<Guid> = (0..1000).map(|_| answers.id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(!ids.contains(&Answers::new("collector").unwrap().id()));
    }

    #[test]
    fn an_answer_is_in_the_charset_of_its_request() {
        let answers = Answers::new("collector").unwrap();
        for charset in [Charset::Utf16, Charset::Utf8] {
            let reply = answers.soap(Soap::Ack, Some("uuid:1"), charset);
            let mut text = Vec::new();
            let read = charset::decode(&reply.body.unwrap(), Some(charset), &mut text).unwrap();
            assert_eq!((read.charset, read.marked), (charset, charset == Charset::Utf16));
            let text = String::from_utf8(text).unwrap();
            let answer = Answer::parse(&text).unwrap();
            assert_eq!((answer.reply, answer.header.relates_to.as_deref()), (Soap::Ack, Some("uuid:1")));
        }
        let fault = answers.fault(&Refusal::DeliveryRefused, None, Charset::Utf8);
        assert_eq!(fault.status, 500);
    }
}
