//! What an answer says of the events in its request.
//!
//! Must not know: how answers look.

use crate::finding::Finding;
use std::time::Duration;

/// What an answer says of the items of its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    Taken,
    /// Taken, and the receiver has something to say.
    Noted(Finding),
    /// Taken, and the receiver will tell under this number when they are safe.
    Numbered(u64),
    /// Item by item; with a setback those that are open are not sent again at once.
    Each(Vec<Fate>, Option<Setback>),
    Again(Setback),
    /// The request is.
    TooLarge(String),
    /// Something in it, and it is not known what. Nothing was taken.
    Refused(String),
    /// Some items were taken, the others never will be, and nobody says which: none is sent again.
    Unclear {
        words: String,
        finding: Finding,
    },
    /// The receiver failed over the request and does not expect it again. Nothing was taken.
    Failed(Setback),
    /// Nothing is taken before an operator has done something.
    Locked(Finding),
}

impl Reading {
    /// Whether something in the request was taken.
    pub(crate) fn has_taken(&self) -> bool {
        match self {
            Self::Taken | Self::Noted(_) | Self::Numbered(_) | Self::Unclear { .. } => true,
            Self::Each(fates, _) => fates.contains(&Fate::Taken),
            _ => false,
        }
    }

    /// Whether the time that it took says what the receiver can do: a complaint and a plain no do not.
    pub(crate) fn is_content(&self) -> bool {
        match self {
            Self::Each(_, setback) => setback.is_none() && self.has_taken(),
            _ => self.has_taken() || matches!(self, Self::TooLarge(_)),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Taken,
    Again,
    /// In the receiver's words.
    Refused(String),
}

/// Why events must be sent again, later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setback {
    pub peer: String,
    pub reason: String,
    pub after: Option<Duration>,
    /// Fewer requests at a time would do better.
    pub is_overload: bool,
    /// They may be there though.
    pub may_be_taken: bool,
    pub finding: Option<Finding>,
}

impl Setback {
    pub fn of(peer: &str) -> Self {
        Self {
            peer: peer.to_owned(),
            reason: String::new(),
            after: None,
            is_overload: false,
            may_be_taken: false,
            finding: None,
        }
    }
}

impl From<Setback> for crate::sink::SendError {
    fn from(Setback { peer, reason, after, .. }: Setback) -> Self {
        Self::Retry { peer, reason, after }
    }
}
