//! Kerberos by the library of MIT, which is loaded when it is needed and need not be there otherwise.
//!
//! ```text
//! Acceptor  (keytab, replays) ─► Accepting  ─┐
//!                                            ├─ step ─► Established ─► keys (AES) | LibrarySeal
//! Initiator (cache or keytab) ─► Initiating ─┘
//! ```
//! | file | what |
//! |---|---|
//! | `acceptor` | a listener's side of handshakes |
//! | `initiator` | the side that begins them |
//! | `replay` | each handshake counts once |
//! | `seal` | messages that stay with the library |
//! | `library`, `context` | all that is unsafe: the calls of C, and who owns what |
//! | `abi` | what its headers declare |
//!
//! Chosen: a thin binding of our own over a crate, because those throw the tokens of errors away, have no
//! credential with a keytab of its own, or need C headers and libclang to build.
//! Mechanisms are Kerberos and, around it, SPNEGO; whatever else is installed is not asked.
//! Environment and `krb5.conf` are read by the library as always; its `permitted_enctypes` also limits which
//! tickets are accepted.
//! Must not know: HTTP, machines.

mod abi;
mod acceptor;
mod context;
mod initiator;
mod library;
mod replay;
mod seal;

pub use acceptor::{Accepting, Acceptor, AcceptorError, AcceptorSettings};
pub use initiator::{Identity, Initiating, Initiator, InitiatorError};
pub use library::{Library, Mechanism, Missing, Trouble};
pub use replay::{ReplayProtection, ReplaySettings};
pub use seal::{LibrarySeal, Plain, SealError, Sealed};

use super::handshake::{
    Cause, Established, Flags, LEGS_MAX, LucidKeys, NAME_BYTES_MAX, REQUIRED, Seal, TOKEN_BYTES_MAX, UNWANTED,
};
use context::{Context, Facts};
use std::time::Duration;

/// Whether this token may be looked at, which counts it.
fn fitting(token: &[u8], legs: &mut u32) -> Result<(), Cause> {
    *legs += 1;
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Cause::Long { bytes: token.len() });
    }
    if *legs > LEGS_MAX { Err(Cause::Endless) } else { Ok(()) }
}

/// Judges a context whose last leg is done, and takes its keys if we can seal with them.
fn conclude(context: Context, mechanism: Mechanism, is_acceptor: bool) -> Result<Established, Cause> {
    let Facts { initiator, acceptor, lifetime_seconds, counted_from, is_kerberos, flags } =
        context.facts()?;
    if !is_kerberos {
        return Err(Cause::Mechanism);
    }
    let flags = Flags(flags);
    if let Some((_, missing)) = REQUIRED.into_iter().find(|(flag, _)| !flags.has(*flag)) {
        return Err(Cause::Lacks { missing });
    }
    if let Some((_, unwanted)) = UNWANTED.into_iter().find(|(flag, _)| flags.has(*flag)) {
        return Err(Cause::Unwanted { unwanted });
    }
    let (initiator, acceptor) = (name(initiator)?, name(acceptor)?);
    let (peer, service) = if is_acceptor { (initiator, acceptor) } else { (acceptor.clone(), acceptor) };
    let lifetime = Duration::from_secs(lifetime_seconds.into());
    let (seal, ends_at) = seal(context, flags)?;
    // What an acceptor's context lasts beyond its ticket is the library's `clockskew`, which nothing else tells.
    let granted = |ends_at: u32| {
        (Duration::from_secs(counted_from) + lifetime).saturating_sub(Duration::from_secs(ends_at.into()))
    };
    let skew = ends_at.filter(|_| is_acceptor).map(granted);
    Ok(Established { peer, service, mechanism, flags, lifetime, skew, seal })
}

fn name(bytes: Vec<u8>) -> Result<Box<str>, Cause> {
    if bytes.len() > NAME_BYTES_MAX {
        return Err(Cause::Name);
    }
    String::from_utf8(bytes).map(String::into_boxed_str).map_err(|_| Cause::Name)
}

/// What seals, and when the ticket ends where that is known.
fn seal(context: Context, flags: Flags) -> Result<(Seal, Option<u32>), Cause> {
    let etype = context.etype()?.ok_or(Cause::Etype { etype: None })?;
    let unknown = Cause::Etype { etype: Some(etype) };
    if !etype.is_aes() {
        // The library looks only for what the client asked it to look for.
        if !flags.has(Flags::REPLAY | Flags::SEQUENCE) {
            return Err(Cause::Lacks { missing: "the order of messages" });
        }
        return LibrarySeal::new(context, etype).map(|seal| (Seal::Library(seal), None)).ok_or(unknown);
    }
    let exported = context.export()?;
    if !exported.is_cfx {
        return Err(unknown);
    }
    let keys = LucidKeys {
        key: exported.key,
        send_sequence: exported.send_sequence,
        receive_sequence: Some(exported.receive_sequence),
        is_initiator: exported.is_initiator,
    };
    Ok((Seal::Keys(keys), Some(exported.ends_at)))
}
