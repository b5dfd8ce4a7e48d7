//! All that is asked of the crate: a handshake in steps, the key it led to, and messages under NTLM.
//!
//! Promise: a panic in the crate is an error of this handshake and of no other, and nothing that the crate logs is
//! logged, for there are keys in it.
//! Must not know: sockets; which realm, account or service it is for.

use ::sspi::generator::GeneratorState;
use ::sspi::{
    AuthIdentity, AuthIdentityBuffers, BufferType, ClientRequestFlags, CredentialsBuffers,
    DataRepresentation, EncryptionFlags, Error, ErrorKind, Kerberos, KerberosConfig, Negotiate,
    NegotiateConfig, NetworkRequest, Ntlm, SecurityBuffer, SecurityBufferRef, SecurityStatus, Sspi, SspiImpl,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tracing::subscriber::{NoSubscriber, with_default};
use zeroize::Zeroizing;

/// One side of one handshake, and what it is done with.
pub(super) enum Package {
    Kerberos(Box<Kerberos>, Option<CredentialsBuffers>),
    Negotiate(Box<Negotiate>, Option<CredentialsBuffers>),
    Ntlm(Box<Ntlm>, Option<AuthIdentityBuffers>),
}

/// What goes out of the handshake and comes into it.
pub(super) struct Leg<'a> {
    pub(super) service: &'a str,
    pub(super) token: &'a [u8],
    pub(super) bindings: Option<&'a [u8]>,
}

/// As Windows asks.
const ASKED: ClientRequestFlags = ClientRequestFlags::MUTUAL_AUTH
    .union(ClientRequestFlags::REPLAY_DETECT)
    .union(ClientRequestFlags::SEQUENCE_DETECT)
    .union(ClientRequestFlags::CONFIDENTIALITY)
    .union(ClientRequestFlags::INTEGRITY);

/// Longest signature of a message, of either mechanism.
const SIGNATURE_BYTES_MAX: usize = 60;
pub(super) const NTLM_SIGNATURE_BYTES: usize = 16;

/// What is within, and without a trace in the log: the crate's lines have keys in them.
fn caught<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let quiet = || with_default(NoSubscriber::default(), work);
    catch_unwind(AssertUnwindSafe(quiet)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no word on it");
        Err(Error::new(ErrorKind::InternalError, format!("it came to a sudden end: {text}")))
    })
}

impl Package {
    /// Kerberos as it is, or within SPNEGO, which then has nothing else.
    pub(super) fn kerberos(
        url: &str,
        computer: &str,
        credentials: CredentialsBuffers,
        is_negotiated: bool,
    ) -> Result<Self, Error> {
        let config = KerberosConfig::new_with_kdc_url(url, computer.to_owned());
        caught(|| {
            Ok(match is_negotiated {
                true => Self::negotiate(Box::new(config), "kerberos", computer, credentials)?,
                false => {
                    let kerberos = Box::new(Kerberos::new_client_from_config(config)?);
                    Self::Kerberos(kerberos, Some(credentials))
                }
            })
        })
    }

    /// NTLM as it is, or within SPNEGO, which then has nothing else.
    pub(super) fn ntlm(
        computer: &str,
        credentials: AuthIdentity,
        is_negotiated: bool,
    ) -> Result<Self, Error> {
        let config = ::sspi::ntlm::NtlmConfig::new(computer.to_owned());
        let credentials = AuthIdentityBuffers::from(credentials);
        caught(|| {
            Ok(match is_negotiated {
                true => {
                    let credentials = CredentialsBuffers::AuthIdentity(credentials);
                    Self::negotiate(Box::new(config), "ntlm", computer, credentials)?
                }
                false => Self::Ntlm(Box::new(Ntlm::with_config(config)), Some(credentials)),
            })
        })
    }

    fn negotiate(
        config: Box<dyn ::sspi::negotiate::ProtocolConfig>,
        only: &str,
        computer: &str,
        credentials: CredentialsBuffers,
    ) -> Result<Self, Error> {
        let config = NegotiateConfig::new(config, Some(only.into()), computer.to_owned());
        Ok(Self::Negotiate(Box::new(Negotiate::new_client(config)?), Some(credentials)))
    }

    /// Takes the token of the peer, and gives what is to be sent to it and whether that is all. `ask` carries
    /// requests to a key distribution centre and answers back.
    pub(super) fn step(
        &mut self,
        leg: &Leg<'_>,
        ask: impl FnMut(&NetworkRequest) -> Result<Vec<u8>, Error>,
    ) -> Result<(Vec<u8>, bool), Error> {
        caught(|| match self {
            Self::Kerberos(package, credentials) => step(&mut **package, credentials, leg, ask),
            Self::Negotiate(package, credentials) => step(&mut **package, credentials, leg, ask),
            Self::Ntlm(package, credentials) => step(&mut **package, credentials, leg, ask),
        })
    }

    fn sspi(&mut self) -> &mut dyn Seals {
        match self {
            Self::Kerberos(package, _) => &mut **package,
            Self::Negotiate(package, _) => &mut **package,
            Self::Ntlm(package, _) => &mut **package,
        }
    }

    /// The key that seals messages of Kerberos, and the number of our first one.
    pub(super) fn key(mut self) -> Result<(Zeroizing<Vec<u8>>, u64), Error> {
        caught(|| {
            let key = self.sspi().key()?;
            // Only a message tells the number; nobody is sent this one.
            let mut signature = [0; SIGNATURE_BYTES_MAX];
            self.sspi().seal(&mut signature, &mut [])?;
            let [_, _, _, _, _, _, _, _, a, b, c, d, e, f, g, h, ..] = signature;
            Ok((key, u64::from_be_bytes([a, b, c, d, e, f, g, h])))
        })
    }

    /// Seals a message of NTLM where it lies.
    pub(super) fn seal(&mut self, message: &mut [u8]) -> Result<[u8; NTLM_SIGNATURE_BYTES], Error> {
        caught(|| {
            let mut signature = [0; NTLM_SIGNATURE_BYTES];
            self.sspi().seal(&mut signature, message)?;
            Ok(signature)
        })
    }

    /// Opens one where it lies.
    pub(super) fn open(&mut self, signature: &[u8], sealed: &mut [u8]) -> Result<(), Error> {
        caught(|| self.sspi().open(&mut signature.to_vec(), sealed))
    }
}

fn step<P: Sspi + SspiImpl>(
    package: &mut P,
    credentials: &mut P::CredentialsHandle,
    leg: &Leg<'_>,
    mut ask: impl FnMut(&NetworkRequest) -> Result<Vec<u8>, Error>,
) -> Result<(Vec<u8>, bool), Error> {
    let mut input = vec![SecurityBuffer::new(leg.token.to_vec(), BufferType::Token)];
    input.extend(leg.bindings.map(|data| SecurityBuffer::new(bindings(data), BufferType::ChannelBindings)));
    let mut output = vec![SecurityBuffer::new(Vec::new(), BufferType::Token)];
    let mut asked = package
        .initialize_security_context()
        .with_credentials_handle(credentials)
        .with_context_requirements(ASKED)
        .with_target_data_representation(DataRepresentation::Native)
        .with_target_name(leg.service)
        .with_input(&mut input)
        .with_output(&mut output);
    let mut stepping = package.initialize_security_context_impl(&mut asked)?;
    let mut state = stepping.start();
    let result = loop {
        match state {
            GeneratorState::Suspended(request) => state = stepping.resume(ask(&request)),
            GeneratorState::Completed(result) => break result?,
        }
    };
    drop(stepping);
    let is_last = match result.status {
        SecurityStatus::ContinueNeeded => false,
        SecurityStatus::Ok => true,
        other => {
            return Err(Error::new(ErrorKind::InternalError, format!("a handshake that ends as {other:?}")));
        }
    };
    let token = SecurityBuffer::find_buffer_mut(&mut output, BufferType::Token)?;
    Ok((std::mem::take(&mut token.buffer), is_last))
}

/// `SEC_CHANNEL_BINDINGS`: four pairs of a type or length and a place, of which only the last is used.
fn bindings(data: &[u8]) -> Vec<u8> {
    const HEADER_BYTES: u32 = 32;
    let length = data.len() as u32;
    let header = [0, 0, 0, 0, 0, 0, length, HEADER_BYTES].map(u32::to_le_bytes);
    [header.as_flattened(), data].concat()
}

/// What the packages have in common behind a handshake.
trait Seals {
    fn key(&mut self) -> Result<Zeroizing<Vec<u8>>, Error>;
    fn seal(&mut self, signature: &mut [u8], message: &mut [u8]) -> Result<(), Error>;
    fn open(&mut self, signature: &mut [u8], sealed: &mut [u8]) -> Result<(), Error>;
}

impl<P: Sspi> Seals for P {
    fn key(&mut self) -> Result<Zeroizing<Vec<u8>>, Error> {
        Ok(Zeroizing::new(self.query_context_session_key()?.session_key.as_ref().clone()))
    }

    fn seal(&mut self, signature: &mut [u8], message: &mut [u8]) -> Result<(), Error> {
        let mut parts = [SecurityBufferRef::token_buf(signature), SecurityBufferRef::data_buf(message)];
        self.encrypt_message(EncryptionFlags::empty(), &mut parts).map(drop)
    }

    fn open(&mut self, signature: &mut [u8], sealed: &mut [u8]) -> Result<(), Error> {
        let mut parts = [SecurityBufferRef::token_buf(signature), SecurityBufferRef::data_buf(sealed)];
        self.decrypt_message(&mut parts).map(drop)
    }
}
