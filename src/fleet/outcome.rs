//! What an answer means to a host that waits for an Ack.

use super::http::Answer;
use crate::wsman::charset;
use crate::wsman::{self, Guid, Reply};

/// What came of a delivery.
pub(super) enum Outcome {
    Acknowledged,
    Refused,
    /// In a few words.
    Failed(String),
}

impl Outcome {
    /// What an answer says of the message with this id.
    pub(super) fn of(answer: &Answer, message: Guid) -> Self {
        if answer.body.is_empty() {
            return Self::Failed(format!("HTTP {}, no body", answer.status));
        }
        let mut text = Vec::new();
        let read =
            charset::decode(&answer.body, None, &mut text).ok().and_then(|_| String::from_utf8(text).ok());
        let Some(read) = read else { return Self::Failed(format!("HTTP {}, no text", answer.status)) };
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
