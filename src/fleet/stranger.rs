//! Connections that no collector may serve: with a certificate that is not to be taken, in the name of a host.

use super::dice::Dice;
use super::http::HttpError;
use super::link::Way;
use super::outcome::Outcome;
use super::outgoing::Outgoing;
use super::plan::Faults;
use crate::wsman::Guid;
use crate::wsman::charset::Charset;
use std::fmt;

/// What is wrong with the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stranger {
    /// It is of another authority, of the same name.
    OtherAuthority,
    Expired,
    /// There is none.
    Nobody,
}

const ALL: [Stranger; 3] = [Stranger::OtherAuthority, Stranger::Expired, Stranger::Nobody];

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherAuthority => "certificate of another CA",
            Self::Expired => "expired certificate",
            Self::Nobody => "no certificate",
        })
    }
}

impl Stranger {
    /// Who comes beside a delivery, if anybody.
    pub(super) fn beside(faults: &Faults, dice: &mut Dice) -> Option<Self> {
        dice.chance(faults.certificate).then(|| dice.pick(&ALL))
    }

    /// Asks by the way of a host; what came of it, and whether that is a mistake of the collector.
    pub(super) async fn call(
        self,
        way: &Way,
        request: Outgoing,
        charset: Charset,
        message: Guid,
    ) -> (String, bool) {
        match way.intrude(self, request, charset).await {
            Ok(answer) => match Outcome::of(&answer, message) {
                Outcome::Acknowledged => (format!("{self}, acknowledged"), true),
                Outcome::Refused => (format!("{self}, answered by DeliveryRefused"), false),
                Outcome::Failed(why) => (format!("{self}, answered by {why}"), false),
                Outcome::Cut => (format!("{self}, cut"), false),
            },
            Err(error @ (HttpError::Connect(_) | HttpError::Late)) => {
                (format!("{self}, {}", error.kind()), false)
            }
            // An alert, or the end behind one that did not get through.
            Err(_) => (format!("{self}, refused"), false),
        }
    }
}
