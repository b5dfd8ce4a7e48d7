//! Messages of an established context, sealed and opened: by our own code where the keys are of AES, by the
//! library otherwise, under NTLM by the crate that shook hands.
//!
//! One rule for all: a message that comes twice, or late, is refused; one that never came is passed over, but under
//! NTLM, which has one stream of them.
//! Must not know: multipart bodies, HTTP.

use super::gss::{self, LibrarySeal, Sealed, Trouble};
use super::handshake::Seal;
#[cfg(feature = "sspi")]
use super::sspi::{NtlmError, NtlmSeal};
use crate::kerberos::crypto::{CONFOUNDER_BYTES, CryptoError};
use crate::kerberos::seal::{self, Sealer};
use thiserror::Error;

/// What seals and opens the messages of one context, in their order.
#[derive(Debug)]
pub enum Sealing {
    Ours(Box<Sealer>),
    Library(Box<LibrarySeal>),
    #[cfg(feature = "sspi")]
    Ntlm(Box<NtlmSeal>),
}

/// Why a message cannot be opened, or an answer not be sealed. The context is of no use any more.
#[derive(Debug, Error)]
pub enum SealingError {
    #[error(transparent)]
    Ours(#[from] seal::SealError),
    #[error(transparent)]
    Library(#[from] gss::SealError),
    #[cfg(feature = "sspi")]
    #[error(transparent)]
    Ntlm(#[from] NtlmError),
    #[error("it holds {found} bytes, and says {declared}")]
    Length { declared: usize, found: usize },
    #[error(transparent)]
    Trouble(#[from] Trouble),
    #[error("the system has no random numbers: {0}")]
    Random(getrandom::Error),
}

impl Sealing {
    /// # Errors
    /// When a key is not as long as its type has it.
    pub fn new(seal: Seal) -> Result<Self, CryptoError> {
        Ok(match seal {
            Seal::Keys(keys) => Self::Ours(Box::new(keys.sealer()?)),
            Seal::Library(seal) => Self::Library(Box::new(seal)),
            #[cfg(feature = "sspi")]
            Seal::Ntlm(seal) => Self::Ntlm(Box::new(seal)),
        })
    }

    /// Opens in place: the message is at the beginning of `data`, which holds so many bytes of it. `declared` is
    /// what its framing says of its length, where some count the padding of RC4 and some do not.
    pub fn open(&mut self, token: &[u8], data: &mut [u8], declared: usize) -> Result<usize, SealingError> {
        let (found, padding) = match self {
            Self::Ours(sealer) => (sealer.unseal(token, data)?, 0),
            Self::Library(seal) => {
                let plain = seal.unwrap(&mut token.to_vec(), data)?;
                (plain.bytes, plain.padding)
            }
            #[cfg(feature = "sspi")]
            Self::Ntlm(seal) => {
                seal.unwrap(token, data)?;
                (data.len(), 0)
            }
        };
        if declared != found && declared != found + padding {
            return Err(SealingError::Length { declared, found });
        }
        Ok(found)
    }

    /// Seals a message of ours.
    pub fn seal(&mut self, message: &[u8]) -> Result<Sealed, SealingError> {
        match self {
            Self::Ours(sealer) => {
                let mut confounder = [0; CONFOUNDER_BYTES];
                getrandom::fill(&mut confounder).map_err(SealingError::Random)?;
                let mut data = message.to_vec();
                let signature = sealer.seal(confounder, &mut data);
                Ok(Sealed { token: signature.to_vec(), data })
            }
            Self::Library(seal) => Ok(seal.wrap(message)?),
            #[cfg(feature = "sspi")]
            Self::Ntlm(seal) => Ok(seal.wrap(message)?),
        }
    }
}
