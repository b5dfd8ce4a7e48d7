//! Messages sealed by the library, in the layout of WinRM: a token in front, and ciphertext.

use super::context::Context;
use super::library::Trouble;
use crate::kerberos::Etype;
use std::fmt;
use thiserror::Error;

/// A context that the library keeps, and its messages.
pub struct LibrarySeal {
    context: Context,
    etype: Etype,
}

/// RFC 2744 3.9.1: messages before this one have not come. Whoever takes one away takes away its answer, too.
const GAP: u32 = 16;
const CAMELLIA128: Etype = Etype(25);
const CAMELLIA256: Etype = Etype(26);

/// A sealed message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    pub token: Vec<u8>,
    /// Padding included, so it may be longer than the plain text.
    pub data: Vec<u8>,
}

/// A message that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain {
    pub bytes: usize,
    /// Bytes that stand behind it. Some peers count them where they say how long the message is.
    pub padding: usize,
}

/// Why a message cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    #[error(transparent)]
    Library(#[from] Trouble),
    #[error("the message is signed but not sealed")]
    NotSealed,
    #[error("the message came before, or comes late")]
    Order,
}

impl LibrarySeal {
    /// None for types whose messages it cannot lay out: those older than RC4.
    pub(super) fn new(context: Context, etype: Etype) -> Option<Self> {
        matches!(etype, Etype::RC4 | CAMELLIA128 | CAMELLIA256).then_some(Self { context, etype })
    }

    pub fn wrap(&mut self, plain: &[u8]) -> Result<Sealed, Trouble> {
        let mut data = plain.to_vec();
        let (token, padding) = self.context.wrap(&mut data)?;
        data.extend_from_slice(&padding);
        Ok(Sealed { token, data })
    }

    /// Opens in place: the plain text is at the beginning of `data`. After an error the connection is of no use
    /// any more.
    pub fn unwrap(&mut self, token: &mut [u8], data: &mut [u8]) -> Result<Plain, SealError> {
        let opened = self.context.unwrap(token, data)?;
        if !opened.is_sealed {
            return Err(SealError::NotSealed);
        }
        if opened.order & !GAP != 0 {
            return Err(SealError::Order);
        }
        // RFC 4757 has one byte of padding, a 1; MS-WSMV says that there is none. Text in UTF-16 does not end so.
        let is_padded = self.etype == Etype::RC4 && data[..opened.bytes].ends_with(&[1]);
        let padding = usize::from(is_padded);
        Ok(Plain { bytes: opened.bytes - padding, padding })
    }
}

impl fmt::Debug for LibrarySeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LibrarySeal({})", self.etype)
    }
}
