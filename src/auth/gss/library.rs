//! The GSS library of MIT Kerberos, loaded when it is needed, with names and credentials. C is called from here
//! and from `context`, nowhere else.
//!
//! What C allocates is owned by a value here, which gives it back; what C reads is borrowed for the call. What
//! it points to is copied before the call that made it may be undone. No function keeps a pointer of ours.
//! The library stays loaded once it is, for it has data of each thread.
//! Promise: safe to use, whatever is asked and in whichever order. Must not know: what a handshake must prove.

#![expect(unsafe_code, reason = "the library is C")]

use super::abi::*;
use crate::kerberos::Etype;
use std::error::Error as _;
use std::ffi::{CStr, OsStr, c_int};
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use thiserror::Error;

/// MIT Kerberos' GSS library.
#[derive(Clone)]
pub struct Library(pub(super) Arc<Functions>);

/// The library is not there, or is another one.
#[derive(Debug, Error)]
#[error(
    "Kerberos needs `{name}` of MIT Kerberos, which cannot be loaded ({reason}); install the package \
     libgssapi-krb5-2 (Debian, Ubuntu) or krb5-libs (Red Hat, SUSE, Alpine)"
)]
pub struct Missing {
    name: String,
    reason: String,
}

/// What the library says when it refuses.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text}")]
pub struct Trouble {
    /// RFC 2744 3.9.1: which kind of failure it is.
    pub major: u32,
    /// Of the mechanism; within SPNEGO it is numbered anew.
    pub minor: u32,
    pub text: String,
}

/// Which mechanism: Kerberos as it is, SPNEGO with Kerberos or NTLM within, or NTLM as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    Kerberos,
    Spnego,
    Ntlm,
}

macro_rules! table {
    ($($name:ident($($argument:ty),* $(,)?);)*) => {
        pub(super) struct Functions {
            $(pub(super) $name: unsafe extern "C" fn(*mut u32, $($argument),*) -> u32,)*
        }

        impl Functions {
            fn of(library: &libloading::Library) -> Result<Self, libloading::Error> {
                // SAFETY: the types are those of the headers of MIT Kerberos, which keeps them stable under
                // this library's name, and the library is never unloaded.
                unsafe { Ok(Self { $($name: *library.get(concat!(stringify!($name), "\0"))?,)* }) }
            }
        }
    };
}
each_function!(table);

impl Library {
    /// As it is called wherever MIT Kerberos is installed.
    pub const NAME: &str = "libgssapi_krb5.so.2";

    /// Loads it by its name, or from a path.
    pub fn load(name: impl AsRef<OsStr>) -> Result<Self, Missing> {
        let name = name.as_ref();
        // SAFETY: what the library does when it is loaded is to prepare itself.
        let loaded = unsafe { libloading::Library::new(name) };
        let functions = loaded.and_then(|library| Functions::of(&ManuallyDrop::new(library)));
        functions.map(|functions| Self(Arc::new(functions))).map_err(|error| {
            // What the loader itself says is behind the error, which names the call only.
            let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            Missing { name: name.to_string_lossy().into_owned(), reason }
        })
    }

    /// Credentials for one side of handshakes, out of what `store` names: of `name`, or of whatever is there.
    pub(super) fn acquire(
        &self,
        name: Option<&Name>,
        is_acceptor: bool,
        store: &[(&CStr, &CStr)],
    ) -> Result<Credential, Trouble> {
        let usage = if is_acceptor { ACCEPT } else { INITIATE };
        let elements: Vec<KeyValue> =
            store.iter().map(|(key, value)| KeyValue { key: key.as_ptr(), value: value.as_ptr() }).collect();
        let store = KeyValues { count: elements.len() as u32, elements: elements.as_ptr() };
        let both = [Oid::of(KRB5), Oid::of(SPNEGO)];
        let both = OidSet { count: both.len(), elements: both.as_ptr() };
        let name = name.map_or(ptr::null_mut(), |name| name.raw);
        let (mut minor, mut raw, mut lifetime_seconds) = (0, ptr::null_mut(), 0);
        // SAFETY: what is read lives as long as the call, and what is not wanted may be null.
        let major = unsafe {
            let (mechanisms, lifetime) = (ptr::null_mut(), &mut lifetime_seconds);
            (self.0.gss_acquire_cred_from)(
                &mut minor, name, 0, &both, usage, &store, &mut raw, mechanisms, lifetime,
            )
        };
        self.check(major, minor)?;
        let half = Duration::from_secs(lifetime_seconds.into()) / 2;
        let renew_at = (lifetime_seconds != INDEFINITE).then(|| Instant::now() + half);
        let credential = Credential { raw, library: self.clone(), renew_at };
        let kerberos = Oid::of(KRB5);
        let only = OidSet { count: 1, elements: &kerberos };
        // SAFETY: the credential was made above, and the set lives as long as the call.
        let major = unsafe { (self.0.gss_set_neg_mechs)(&mut minor, raw, &only) };
        self.check(major, minor)?;
        Ok(credential)
    }

    /// The name of a principal, realm included.
    pub(super) fn name(&self, text: &str) -> Result<Name, Trouble> {
        let kind = Oid::of(PRINCIPAL_NAME);
        let (mut minor, mut raw) = (0, ptr::null_mut());
        // SAFETY: text and kind live as long as the call.
        let major =
            unsafe { (self.0.gss_import_name)(&mut minor, &Buffer::of(text.as_bytes()), &kind, &mut raw) };
        self.check(major, minor)?;
        Ok(Name { raw, library: self.clone() })
    }

    pub(super) fn check(&self, major: u32, minor: u32) -> Result<(), Trouble> {
        if major & ERRORS == 0 { Ok(()) } else { Err(self.trouble(major, minor)) }
    }

    /// To be called on the thread of the call that failed, for Kerberos keeps its texts there.
    fn trouble(&self, major: u32, minor: u32) -> Trouble {
        let mut texts = self.texts(major, GSS_CODE);
        if minor != 0 {
            texts.extend(self.texts(minor, MECHANISM_CODE));
        }
        texts.dedup();
        Trouble { major, minor, text: texts.join(": ") }
    }

    fn texts(&self, status: u32, kind: c_int) -> Vec<String> {
        let kerberos = Oid::of(KRB5);
        let (mut texts, mut more) = (Vec::new(), 0);
        while texts.len() < TEXTS_MAX {
            let (mut minor, mut text) = (0, Buffer::EMPTY);
            // SAFETY: all that is pointed to lives as long as the call.
            let major = unsafe {
                (self.0.gss_display_status)(&mut minor, status, kind, &kerberos, &mut more, &mut text)
            };
            let text = String::from_utf8_lossy(&self.take(text)).into_owned();
            if major & ERRORS != 0 {
                break;
            }
            texts.extend(Some(text).filter(|text| !text.is_empty()));
            if more == 0 {
                break;
            }
        }
        texts
    }

    /// The bytes of a buffer that the library filled, which goes back to it.
    pub(super) fn take(&self, mut buffer: Buffer) -> Vec<u8> {
        // SAFETY: the library filled it, or left it empty, and nobody else has it.
        let bytes = unsafe { bytes(buffer.value.cast(), buffer.length) }.to_vec();
        let mut minor = 0;
        // SAFETY: as above; this empties it.
        unsafe { (self.0.gss_release_buffer)(&mut minor, &mut buffer) };
        bytes
    }

    /// The name in the library's writing; the name goes back to it.
    pub(super) fn display(&self, raw: NamePointer) -> Result<Vec<u8>, Trouble> {
        let name = Name { raw, library: self.clone() };
        let (mut minor, mut text) = (0, Buffer::EMPTY);
        // SAFETY: the name is ours, and may be null, which is an error.
        let major = unsafe { (self.0.gss_display_name)(&mut minor, name.raw, &mut text, ptr::null_mut()) };
        let text = self.take(text);
        self.check(major, minor).map(|()| text)
    }
}

/// RFC 2744 3.11: a lifetime without end.
const INDEFINITE: u32 = u32::MAX;
/// Most texts that the Kerberos library is asked for about one failure.
const TEXTS_MAX: usize = 4;

/// The bytes there, none for null.
///
/// # Safety
/// `length` bytes are there and stay, unless it is null.
pub(super) unsafe fn bytes<'a>(from: *const u8, length: usize) -> &'a [u8] {
    if from.is_null() {
        return &[];
    }
    // SAFETY: by the promise of the caller.
    unsafe { std::slice::from_raw_parts(from, length) }
}

/// A name that the library has taken apart.
pub(super) struct Name {
    pub(super) raw: NamePointer,
    library: Library,
}

// SAFETY: the library has no name to itself in one thread, and changes none that is there.
unsafe impl Send for Name {}

impl Drop for Name {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: it is ours, and nobody uses it any more.
        unsafe { (self.library.0.gss_release_name)(&mut minor, &mut self.raw) };
    }
}

/// Credentials of one side.
pub(super) struct Credential {
    pub(super) raw: CredentialPointer,
    library: Library,
    /// When half of its time has passed; none where it has no end.
    pub(super) renew_at: Option<Instant>,
}

// SAFETY: what the library changes of a credential in a handshake is behind a lock of that credential; what is
// changed by `acquire` and `allow_only` is changed before anybody else has it.
unsafe impl Send for Credential {}
// SAFETY: as above.
unsafe impl Sync for Credential {}

impl Credential {
    /// Which encryption types an initiator may use from now on.
    pub(super) fn allow_only(&mut self, etypes: &[Etype]) -> Result<(), Trouble> {
        let numbers: Vec<i32> = etypes.iter().map(|etype| etype.0).collect();
        let mut minor = 0;
        // SAFETY: the credential is ours, and the numbers live as long as the call.
        let major = unsafe {
            let allow = self.library.0.gss_krb5_set_allowable_enctypes;
            allow(&mut minor, self.raw, numbers.len() as u32, numbers.as_ptr())
        };
        self.library.check(major, minor)
    }
}

impl Drop for Credential {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: it is ours, and nobody uses it any more.
        unsafe { (self.library.0.gss_release_cred)(&mut minor, &mut self.raw) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_not_there_or_another_says_what_to_install() {
        for (name, why) in [
            ("/nonexistent/libgssapi_krb5.so.2", "cannot open shared object file"),
            ("libc.so.6", "undefined symbol: gss_"),
            ("/etc/passwd", "invalid ELF header"),
        ] {
            let Err(missing) = Library::load(name) else { panic!("{name} was taken") };
            let text = missing.to_string();
            assert!(text.contains(name) && text.contains("install the package libgssapi-krb5-2"), "{text}");
            assert!(text.contains(why), "{text}");
        }
    }
}
