//! What an answer means to a host that waits for an Ack.

use super::http::Answer;
use crate::wsman::charset::{self, Charset};
use crate::wsman::{self, Guid, Reply};

/// What came of a delivery.
pub(super) enum Outcome {
    Acknowledged,
    Refused,
    /// There is none: we have cut the connection ourselves.
    Cut,
    /// In a few words.
    Failed(String),
}

impl Outcome {
    /// What an answer says of the message with this id.
    pub(super) fn of(answer: &Answer, message: Guid) -> Self {
        if answer.body.is_empty() {
            return Self::Failed(format!("HTTP {}, no body", answer.status));
        }
        let Ok(read) = text(answer) else {
            return Self::Failed(format!("HTTP {}, no text", answer.status));
        };
        let Ok(read) = wsman::Answer::parse(&read) else {
            return Self::Failed(format!("HTTP {}, no message", answer.status));
        };
        let relates = format!("uuid:{message}");
        match &read.reply {
            Reply::Ack if answer.status == 200 => match read.header.relates_to.as_deref() {
                Some(to) if to == relates => Self::Acknowledged,
                _ => Self::Failed("an Ack of another message".into()),
            },
            Reply::Fault(fault) if fault.is_delivery_refused() => Self::Refused,
            Reply::Fault(fault) => {
                let number = fault.number().map(|number| format!(" {number}")).unwrap_or_default();
                Self::Failed(format!("HTTP {}, a fault{number}", answer.status))
            }
            _ => Self::Failed(format!("HTTP {}, another message", answer.status)),
        }
    }
}

/// The text of an answer, in the charset that it says it has.
pub(super) fn text(answer: &Answer) -> Result<String, String> {
    let parameters = answer.content_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let declared = parameters
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .find_map(|(_, value)| Charset::from_name(value));
    let mut text = Vec::new();
    charset::decode(&answer.body, declared, &mut text).map_err(|error| error.to_string())?;
    String::from_utf8(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_the_charset_that_it_says() {
        let answer = |content_type: &str, body: &[u8]| Answer {
            content_type: content_type.into(),
            body: body.into(),
            ..Answer::default()
        };
        let utf16 = b"\xff\xfe<\0a\0/\0>\0";
        for content_type in ["", "application/soap+xml;charset=UTF-16", "x/y; a=b; Charset=\"utf-16\""] {
            assert_eq!(text(&answer(content_type, utf16)).unwrap(), "<a/>");
        }
        assert!(text(&answer("application/soap+xml;charset=UTF-8", utf16)).is_err());
    }
}
