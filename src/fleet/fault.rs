//! What hosts do wrong on purpose.

use super::batch::Batch;
use super::dice::Dice;
use super::form::compress;
use super::host::{Duty, Host};
use super::http::Delivery;
use super::ledger::Entry;
use super::message::{Caller, Task};
use super::outgoing::Outgoing;
use super::plan::Faults;
use crate::wsman::charset::{self, Charset};
use std::fmt;
use std::time::Duration;

/// A body that no host sends, beside the delivery that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Bytes that are no SLDC.
    Noise,
    /// An envelope that ends in its midst.
    Truncated,
    /// UTF-16 with half a character at its end.
    OddBytes,
    /// An action that nobody knows.
    UnknownAction,
    /// Text that is no XML.
    NoXml,
    /// More than an envelope may have.
    Oversize,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Noise => "noise",
            Self::Truncated => "cut envelope",
            Self::OddBytes => "odd bytes",
            Self::UnknownAction => "unknown action",
            Self::NoXml => "no XML",
            Self::Oversize => "oversize body",
        })
    }
}

const MALFORMED: [Fault; 5] =
    [Fault::Noise, Fault::Truncated, Fault::OddBytes, Fault::UnknownAction, Fault::NoXml];
/// Body of an oversize message: above what any host is told to send at most.
const OVERSIZE_BYTES: usize = 4 * 1024 * 1024;
/// A slow delivery: pieces, and the pause between them.
const SLOW: Delivery = Delivery::Slow(16, Duration::from_millis(100));

/// How the next delivery is sent.
pub(super) fn delivery(faults: &Faults, dice: &mut Dice) -> Delivery {
    if dice.chance(faults.cut) {
        Delivery::Cut(dice.below(1000) as f64 / 1000.0)
    } else if dice.chance(faults.unheard) {
        Delivery::Unheard
    } else if dice.chance(faults.slow) {
        SLOW
    } else {
        Delivery::Whole
    }
}

/// What is sent beside it, if anything.
pub(super) fn beside(faults: &Faults, dice: &mut Dice) -> Option<Fault> {
    if dice.chance(faults.malformed) {
        Some(dice.pick(&MALFORMED))
    } else {
        dice.chance(faults.oversize).then_some(Fault::Oversize)
    }
}

/// Chooses an event of a batch to be sent torn. Only where events stand in CDATA: elsewhere the envelope would
/// be torn too.
pub(super) fn tear(batch: &mut Batch, host: &Host, duty: &Duty, dice: &mut Dice) {
    let chance = host.shared.plan.settings.faults.torn;
    if duty.task.subscription.cdata && !batch.numbers.is_empty() && dice.chance(chance) {
        let event = dice.pick(&batch.numbers);
        batch.torn = Some(event);
        host.shared.ledger.write(&Entry::Torn { host: host.number, event });
    }
}

/// The body. All is made of a heartbeat, so that nothing is lost when it is refused.
pub(super) fn body(fault: Fault, task: &Task, caller: Caller<'_>, dice: &mut Dice) -> Outgoing {
    let text = task.heartbeat(caller);
    let compressed = task.subscription.compressed;
    let dressed = |plain: &[u8]| {
        Outgoing::new(|out| if compressed { compress(plain, out) } else { out.extend_from_slice(plain) })
    };
    let utf16 = |text: &str| {
        let mut plain = Vec::new();
        charset::encode(text, Charset::Utf16, &mut plain);
        plain
    };
    match fault {
        Fault::Noise => Outgoing::new(|out| out.extend((0..1000).map(|_| dice.roll() as u8 | 1))),
        Fault::Truncated => {
            let cut = 200 + dice.below(text.len() - 200);
            dressed(&utf16(text.get(..cut).unwrap_or_default()))
        }
        Fault::OddBytes => {
            let mut plain = utf16(&text);
            plain.pop();
            dressed(&plain)
        }
        Fault::UnknownAction => dressed(&utf16(&text.replace("wsman/Heartbeat<", "wsman/Heartbreak<"))),
        Fault::NoXml => dressed(&utf16("GET / HTTP/1.1")),
        Fault::Oversize => Outgoing::new(|out| out.resize(out.len() + OVERSIZE_BYTES, b' ')),
    }
}
