//! Bodies that only the other side of a connection can open: sealed as Windows seals them, and answers opened.
//!
//! ```text
//! body ─► (SLDC) ─► sealed ─► multipart/encrypted ─► HTTP        answers the same way back, never SLDC
//! ```
//! Promise: once a connection is sealed, nothing on it is taken that is not.
//! Must not know: how the keys were agreed on.

use super::http::Answer;
use super::outgoing::Outgoing;
use crate::auth::handshake::Seal;
use crate::auth::sealing;
use crate::kerberos::crypto::CryptoError;
use crate::wsman::multipart::{Framing, MultipartError, Part, Protocol};
use thiserror::Error;

/// What seals the messages of one connection.
pub(super) struct Sealing {
    framing: Framing<'static>,
    by: sealing::Sealing,
}

/// Why something cannot be sealed, or an answer not be opened.
#[derive(Debug, Error)]
pub(super) enum SealingError {
    #[error("the answer is not sealed: its content type is `{0}`")]
    NotSealed(Box<str>),
    #[error("the answer is no sealed message: {0}")]
    NoMessage(#[from] MultipartError),
    #[error("the answer is sealed as {}", .0.name())]
    Protocol(Protocol),
    #[error("the answer cannot be opened: {0}")]
    Opening(sealing::SealingError),
    #[error("nothing can be sealed: {0}")]
    Sealing(sealing::SealingError),
    #[error("nothing can be sealed: {0}")]
    Key(#[from] CryptoError),
}

impl SealingError {
    /// In a few words, for counts.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::NotSealed(_) => "not sealed",
            Self::NoMessage(_) | Self::Protocol(_) => "sealed wrongly",
            Self::Opening(_) => "cannot be opened",
            Self::Sealing(_) | Self::Key(_) => "cannot be sealed",
        }
    }
}

impl Sealing {
    pub(super) fn new(seal: Seal, protocol: Protocol) -> Result<Self, SealingError> {
        Ok(Self { framing: Framing::windows(protocol), by: sealing::Sealing::new(seal)? })
    }

    /// The content type of what is sealed.
    pub(super) fn content_type(&self) -> String {
        self.framing.to_string()
    }

    /// The body sealed, with the content type it has itself.
    pub(super) fn seal(&mut self, body: &[u8], content_type: &str) -> Result<Outgoing, SealingError> {
        let sealed = self.by.seal(body).map_err(SealingError::Sealing)?;
        let part = Part { content_type, length: body.len(), token: &sealed.token, sealed: &sealed.data };
        Ok(Outgoing::new(|out| self.framing.write(&[part], false, out)))
    }

    /// Opens an answer: it is what was sealed from then on. One without a body is as it is.
    pub(super) fn open(&mut self, answer: &mut Answer) -> Result<(), SealingError> {
        if answer.body.is_empty() {
            return Ok(());
        }
        let not_sealed = |error| match error {
            MultipartError::NotEncrypted => SealingError::NotSealed(answer.content_type.clone()),
            error => error.into(),
        };
        let framing = Framing::parse(&answer.content_type).map_err(not_sealed)?;
        if framing.protocol != self.framing.protocol {
            return Err(SealingError::Protocol(framing.protocol));
        }
        let parts = framing.read(&answer.body)?;
        let [part] = &parts[..] else { return Err(MultipartError::Parts.into()) };
        let mut body = part.sealed.to_vec();
        let bytes = self.by.open(part.token, &mut body, part.length).map_err(SealingError::Opening)?;
        body.truncate(bytes);
        (answer.content_type, answer.body) = (part.content_type.into(), body);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::handshake::LucidKeys;
    use crate::fleet::target::Target;
    use crate::kerberos::seal::ContextKey;
    use crate::kerberos::{Etype, Key};

    const MESSAGE: &str = "application/soap+xml;charset=UTF-16";

    fn side(is_initiator: bool) -> Sealing {
        let (send, receive) = if is_initiator { (7, 9) } else { (9, 7) };
        let keys = LucidKeys {
            key: ContextKey { key: Key::new(Etype::AES128_SHA1, &[2; 16]), is_of_acceptor: true },
            send_sequence: send,
            receive_sequence: Some(receive),
            is_initiator,
        };
        Sealing::new(Seal::Keys(keys), Protocol::Kerberos).unwrap()
    }

    /// What one side sends, as the other gets it.
    fn carried(request: &Outgoing, by: &Sealing) -> Answer {
        Answer {
            status: 200,
            content_type: by.content_type().into(),
            body: request.body().to_vec(),
            ..Answer::default()
        }
    }

    #[test]
    fn a_sealed_body_is_laid_out_as_windows_does_it() {
        let (mut host, mut collector) = (side(true), side(false));
        let mut sealed = host.seal(b"a message", MESSAGE).unwrap();
        let to = Target::parse("http://wec.example:5985/wsman").unwrap();
        sealed.head(&to, &host.content_type(), true, None);
        let text = String::from_utf8_lossy(sealed.bytes()).into_owned();
        // The captured frames have 238 bytes around a signature of 60, its length, and the message.
        assert_eq!(sealed.body().len(), 238 + 4 + 60 + 9 - "3240".len() + "9".len());
        for line in [
            "Content-Type: multipart/encrypted;\
             protocol=\"application/HTTP-Kerberos-session-encrypted\";boundary=\"Encrypted Boundary\"\r\n\
             Content-Encoding: SLDC\r\nUser-Agent: ",
            "\r\nOriginalContent: type=application/soap+xml;charset=UTF-16;Length=9\r\n--Encrypted Boundary\r\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
        let mut answer = carried(&sealed, &host);
        collector.open(&mut answer).unwrap();
        assert_eq!((&*answer.content_type, &answer.body[..]), (MESSAGE, &b"a message"[..]));
    }

    #[test]
    fn what_is_not_sealed_or_sealed_wrongly_is_not_taken() {
        let (mut host, mut collector) = (side(true), side(false));
        let sealed = collector.seal(b"an answer", MESSAGE).unwrap();
        let good = || carried(&sealed, &side(false));
        let kind = |host: &mut Sealing, mut answer: Answer| host.open(&mut answer).map_err(|why| why.kind());
        assert_eq!(kind(&mut host, Answer { content_type: MESSAGE.into(), ..good() }), Err("not sealed"));
        assert_eq!(kind(&mut host, Answer { content_type: "".into(), ..good() }), Err("not sealed"));
        let spnego = Framing::windows(Protocol::Spnego).to_string();
        assert_eq!(kind(&mut host, Answer { content_type: spnego.into(), ..good() }), Err("sealed wrongly"));
        let mut cut = good();
        cut.body.pop();
        cut.body.truncate(cut.body.len() - 40);
        assert_eq!(kind(&mut host, cut), Err("sealed wrongly"));
        let mut flipped = good();
        let last = flipped.body.len() - "--Encrypted Boundary--\r\n".len() - 1;
        flipped.body[last] ^= 1;
        assert_eq!(kind(&mut host, flipped), Err("cannot be opened"));
        let mut short = good();
        let at = memchr::memmem::find(&short.body, b"Length=9").unwrap();
        short.body[at + 7] = b'8';
        assert_eq!(kind(&mut side(true), short), Err("cannot be opened"), "it says another length");
        assert_eq!(kind(&mut host, good()), Ok(()));
        assert_eq!(kind(&mut host, good()), Err("cannot be opened"), "it came before");
        let empty = Answer { status: 204, ..Answer::default() };
        assert_eq!(kind(&mut host, empty), Ok(()), "an empty body seals nothing");
    }
}
