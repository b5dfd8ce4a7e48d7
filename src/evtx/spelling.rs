//! How the Data of a list are written: what an EventData is compared with that is expected to have the
//! same labels.
//!
//! ```text
//! 41 size Data size 06 Name ‖ 05 01 units label 02 05 01 ‖ units value 04
//! └ DataTag, of the chunk ┘   └ spelled ───────────────┘
//! ```

use super::values::kind;
use super::walk::token;

/// Labels in their order.
#[derive(Debug)]
pub(super) struct Spelling {
    bytes: Box<[u8]>,
    /// Of each.
    lengths: Box<[u16]>,
}

/// Before a label, and behind it up to the number of units of the value.
const BEFORE: usize = 4;
const BEHIND: [u8; 3] = [token::CLOSE_START, token::VALUE, kind::STRING];

impl Spelling {
    pub(super) fn new<'l>(labels: impl Iterator<Item = &'l [u8]>) -> Self {
        let (mut bytes, mut lengths) = (Vec::new(), Vec::new());
        for label in labels {
            let [low, high, ..] = (label.len() / 2).to_le_bytes();
            let spelled = [&[token::VALUE, kind::STRING, low, high], label, &BEHIND].concat();
            lengths.push(spelled.len() as u16);
            bytes.extend(spelled);
        }
        Self { bytes: bytes.into(), lengths: lengths.into() }
    }

    pub(super) fn len(&self) -> usize {
        self.lengths.len()
    }

    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &*self.bytes;
        self.lengths.iter().map_while(move |&bytes| rest.split_off(..usize::from(bytes)))
    }

    /// Bytes it holds.
    pub(super) fn weight(&self) -> usize {
        self.bytes.len() + size_of_val(&*self.lengths)
    }
}

/// The label that is spelled.
pub(super) fn label(spelled: &[u8]) -> &[u8] {
    &spelled[BEFORE..spelled.len() - BEHIND.len()]
}
