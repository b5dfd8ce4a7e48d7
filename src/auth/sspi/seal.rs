//! Messages sealed under NTLM, in the layout of WinRM: a signature of 16 bytes in front, and ciphertext as long as the
//! message.

use super::package::{NTLM_SIGNATURE_BYTES, Package};
use crate::auth::gss::Sealed;
use std::fmt;
use thiserror::Error;

/// An established context of NTLM, and its messages. They are sealed as one stream, so whatever goes wrong with one
/// goes wrong with all behind it.
pub struct NtlmSeal {
    /// None once something went wrong.
    package: Option<Package>,
}

/// Why a message cannot be sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NtlmError {
    #[error("a signature of {bytes} bytes; those of NTLM are of {NTLM_SIGNATURE_BYTES}")]
    Signature { bytes: usize },
    #[error("{0}")]
    Sspi(Box<str>),
    #[error("a message before was not what the other side had sealed")]
    Over,
}

impl NtlmSeal {
    pub(super) const fn new(package: Package) -> Self {
        Self { package: Some(package) }
    }

    pub fn wrap(&mut self, message: &[u8]) -> Result<Sealed, NtlmError> {
        let mut data = message.to_vec();
        let token = self.with(|package| package.seal(&mut data))?.to_vec();
        Ok(Sealed { token, data })
    }

    /// Opens in place.
    pub fn unwrap(&mut self, signature: &[u8], sealed: &mut [u8]) -> Result<(), NtlmError> {
        if signature.len() != NTLM_SIGNATURE_BYTES {
            return Err(NtlmError::Signature { bytes: signature.len() });
        }
        self.with(|package| package.open(signature, sealed)).inspect_err(|_| sealed.fill(0))
    }

    fn with<T>(
        &mut self,
        work: impl FnOnce(&mut Package) -> Result<T, ::sspi::Error>,
    ) -> Result<T, NtlmError> {
        let mut package = self.package.take().ok_or(NtlmError::Over)?;
        let done = work(&mut package).map_err(|error| NtlmError::Sspi(error.description.into()))?;
        self.package = Some(package);
        Ok(done)
    }
}

impl fmt::Debug for NtlmSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NtlmSeal")
    }
}
