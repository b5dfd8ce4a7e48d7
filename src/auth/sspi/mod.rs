//! Handshakes that begin with a password or with a single key, by the crate `sspi`: Kerberos, Negotiate and NTLM. No
//! Kerberos library need be there.
//!
//! ```text
//! Initiator (identity, way) ─► Initiating ─ step ─► Package ──────────► Established ─► keys (Kerberos) | NtlmSeal
//!                                                    │   ▲
//!                                            request ▼   │ answer
//!                                                   Centre ── TCP, UDP ── key distribution centres, in turn
//! ```
//! | file | what |
//! |---|---|
//! | `initiator` | who we are, and our side of a handshake |
//! | `package` | all that is asked of the crate, whose panics and logs end here |
//! | `centre` | the way to key distribution centres |
//! | `seal` | messages under NTLM |
//!
//! Each handshake fetches its tickets anew, and there is no cache of them. Known limits, which the library of MIT
//! (`gss`) has not: session keys of AES-256 only, no tickets that somebody else fetched, accounts that must prove
//! themselves first (as all of Windows must), and tickets that are not bound to TLS, whatever bindings there are.
//! Negotiate is Kerberos where centres are named and NTLM where they are not, and never falls back from the one to
//! the other: whoever kept centres away could choose the weaker proof for us.
//! Must not know: HTTP, what is said afterwards.

mod centre;
mod initiator;
mod package;
mod seal;

pub use centre::{Centre, CentreSettings, Server};
pub use initiator::{Identity, IdentityError, Initiating, Initiator, Way};
pub use seal::{NtlmError, NtlmSeal};
