//! Who is who: a peer's proof (a certificate, a password) becomes a [`Principal`].
//!
//! | file | what |
//! |---|---|
//! | `machine` | one key per machine, whatever form its name has |
//! | `basic` | user and password |
//! | `certificate`, `tls` | the name in a certificate; whose certificates are taken |
//! | `handshake` | a handshake in tokens, and what it proved |
//! | `gss` | that of Kerberos, by the library of MIT |
//! | `sspi` | that of Kerberos and NTLM with a password, by the crate of that name; a feature |
//! | `tickets` | hosts that sign in with Kerberos, and why they could not |
//! | `sealing` | messages of an established context |
//! | `files` | files that are noticed when they change |
//!
//! Promise: what a machine says of itself is never its key; only what it proved is.
//! Must not know: sockets, requests, subscriptions.

pub mod basic;
mod certificate;
pub(crate) mod files;
pub mod gss;
pub mod handshake;
pub mod machine;
pub mod sealing;
#[cfg(feature = "sspi")]
pub mod sspi;
pub mod tickets;
pub mod tls;

pub use machine::MachineKey;

use crate::wsman::subscription::Thumbprint;
use schemars::JsonSchema;
use serde::Deserialize;

/// A peer that has proved who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// As it was proved: the name in the certificate, the user.
    pub name: Box<str>,
    pub machine: MachineKey,
    pub scheme: Scheme,
}

/// How a peer proved who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// A certificate that the CA with this thumbprint issued.
    Certificate { issuer: Thumbprint },
    /// User and password.
    Basic,
    /// A ticket of its domain.
    Kerberos,
}

/// How machines prove who they are.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    pub certificate: Option<tls::ClientsConfig>,
    pub kerberos: Option<tickets::Config>,
    pub basic: Option<basic::Config>,
}
