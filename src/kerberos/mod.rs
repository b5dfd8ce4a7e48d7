//! Kerberos, as far as bytes go: what tokens say in clear, keytabs, sealed messages, and why a handshake
//! failed.
//!
//! | file | what |
//! |---|---|
//! | `token` | what a peer offers, and what of it is in clear: SPNEGO, AP-REQ, NTLM |
//! | `ticket` | what is within a ticket, by a key of ours |
//! | `krb_error` | KRB-ERROR, both ways |
//! | `centre` | what is said to and by a key distribution centre |
//! | `diagnose` | why a handshake failed |
//! | `seal` | sealed messages of a context |
//! | `crypto` | encryption with AES, in place |
//! | `keytab`, `key` | the keys of a file |
//! | `name`, `etype`, `der` | names, encryption types, the encoding |
//!
//! Everything foreign is bounded, and an error says what was found and where. Keys are wiped when they go,
//! and are in no debug output.
//! Pure. Must not know: the Kerberos library, files, sockets, clocks, HTTP.

pub mod centre;
pub mod crypto;
mod der;
pub mod diagnose;
pub mod etype;
pub mod key;
pub mod keytab;
pub mod krb_error;
pub mod name;
pub mod seal;
pub mod ticket;
pub mod token;

pub use der::DerError;
pub use etype::Etype;
pub use key::Key;
pub use keytab::Keytab;
pub use krb_error::KrbError;
pub use name::Name;
pub use seal::Sealer;
pub use token::Token;
