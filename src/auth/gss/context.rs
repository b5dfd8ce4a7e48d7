//! A context of the library: the calls of a handshake, and what can be asked and done after it.
//!
//! Ownership is as in `library`. Promise: safe to use, whatever comes from the peer. Must not know: what a
//! handshake must prove.

#![expect(unsafe_code, reason = "the library is C")]

use super::abi::*;
use super::library::{Credential, Library, Name, Trouble, bytes};
use crate::kerberos::seal::ContextKey;
use crate::kerberos::{Etype, Key};
use std::ffi::{c_int, c_long};
use std::ptr;

/// What a leg of a handshake brought, and whether it was the last. A token may come with an error.
pub(super) struct Leg {
    pub(super) token: Vec<u8>,
    pub(super) is_last: Result<bool, Trouble>,
}

/// What is known of an established context.
pub(super) struct Facts {
    pub(super) initiator: Vec<u8>,
    pub(super) acceptor: Vec<u8>,
    pub(super) lifetime_seconds: u32,
    /// The second from which the lifetime counts, since 1970.
    pub(super) counted_from: u64,
    pub(super) is_kerberos: bool,
    pub(super) flags: u32,
}

/// What a context leaves behind when its keys are taken out.
pub(super) struct Exported {
    /// Whether it is of RFC 4121.
    pub(super) is_cfx: bool,
    pub(super) is_initiator: bool,
    /// When the ticket ends, in seconds since 1970.
    pub(super) ends_at: u32,
    pub(super) send_sequence: u64,
    pub(super) receive_sequence: u64,
    pub(super) key: ContextKey,
}

/// What opening a message brought.
pub(super) struct Opened {
    pub(super) bytes: usize,
    pub(super) is_sealed: bool,
    /// 0, or the bits of RFC 2744 3.9.1 for a message that came twice, late, early, or after a gap.
    pub(super) order: u32,
}

// SAFETY: C11 7.27.2.4, where seconds are a long as on every system of 64 bits that has this library.
unsafe extern "C" {
    safe fn time(seconds: Option<&mut c_long>) -> c_long;
}

/// The second it is, since 1970, by the clock that the library asks: it is some milliseconds behind the one that
/// knows fractions.
fn second() -> u64 {
    time(None).cast_unsigned()
}

/// A handshake, and the secrets it agreed on.
pub(super) struct Context {
    raw: ContextPointer,
    library: Library,
}

// SAFETY: the library keeps no part of a context in a thread; it must not be used by two at once, and whoever
// uses it has it to himself.
unsafe impl Send for Context {}

impl Context {
    pub(super) const fn new(library: Library) -> Self {
        Self { raw: ptr::null_mut(), library }
    }

    /// Takes a token of the initiator.
    pub(super) fn accept(&mut self, by: &Credential, token: &[u8], bound_to: Option<&[u8]>) -> Leg {
        let bindings = bound_to.map(ChannelBindings::of);
        let bindings = bindings.as_ref().map_or(ptr::null(), ptr::from_ref);
        let (mut minor, mut answer) = (0, Buffer::EMPTY);
        // SAFETY: what is read lives as long as the call; the context is null or of this library; what is not
        // wanted may be null.
        let major = unsafe {
            let (name, mechanism, flags) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
            (self.library.0.gss_accept_sec_context)(
                &mut minor,
                &mut self.raw,
                by.raw,
                &Buffer::of(token),
                bindings,
                name,
                mechanism,
                &mut answer,
                flags,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        self.leg(major, minor, answer)
    }

    /// Takes a token of the acceptor, at first none.
    pub(super) fn initiate(
        &mut self,
        by: &Credential,
        to: (&Name, &'static [u8], u32),
        token: &[u8],
        bound_to: Option<&[u8]>,
    ) -> Leg {
        let bindings = bound_to.map(ChannelBindings::of);
        let bindings = bindings.as_ref().map_or(ptr::null(), ptr::from_ref);
        let (name, mechanism, flags) = to;
        let mechanism = Oid::of(mechanism);
        let (mut minor, mut answer) = (0, Buffer::EMPTY);
        // SAFETY: as in `accept`.
        let major = unsafe {
            let (actual, kept) = (ptr::null_mut(), ptr::null_mut());
            (self.library.0.gss_init_sec_context)(
                &mut minor,
                by.raw,
                &mut self.raw,
                name.raw,
                &mechanism,
                flags,
                0,
                bindings,
                &Buffer::of(token),
                actual,
                &mut answer,
                kept,
                ptr::null_mut(),
            )
        };
        self.leg(major, minor, answer)
    }

    fn leg(&self, major: u32, minor: u32, answer: Buffer) -> Leg {
        let is_last = self.library.check(major, minor).map(|()| major & CONTINUE_NEEDED == 0);
        Leg { token: self.library.take(answer), is_last }
    }

    /// What was agreed on, once the last leg is done.
    pub(super) fn facts(&self) -> Result<Facts, Trouble> {
        // The library does not tell the second from which it counted, so none may begin meanwhile.
        loop {
            let counted_from = second();
            let facts = self.facts_in(counted_from)?;
            if second() == counted_from {
                return Ok(facts);
            }
        }
    }

    fn facts_in(&self, counted_from: u64) -> Result<Facts, Trouble> {
        let (mut minor, mut lifetime_seconds, mut flags) = (0, 0, 0);
        let (mut initiator, mut acceptor, mut mechanism) = (ptr::null_mut(), ptr::null_mut(), ptr::null());
        // SAFETY: the context is null, which is an error, or of this library; what is not wanted may be null.
        let major = unsafe {
            (self.library.0.gss_inquire_context)(
                &mut minor,
                self.raw,
                &mut initiator,
                &mut acceptor,
                &mut lifetime_seconds,
                &mut mechanism,
                &mut flags,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        self.library.check(major, minor)?;
        let initiator = self.library.display(initiator);
        let acceptor = self.library.display(acceptor);
        // SAFETY: null, or one of the library's constants.
        let is_kerberos = unsafe { mechanism.as_ref().is_some_and(|oid| oid_bytes(oid) == KRB5) };
        Ok(Facts {
            initiator: initiator?,
            acceptor: acceptor?,
            lifetime_seconds,
            counted_from,
            is_kerberos,
            flags,
        })
    }

    /// The encryption type of the key that seals messages.
    pub(super) fn etype(&self) -> Result<Option<Etype>, Trouble> {
        let (mut minor, mut set) = (0, ptr::null_mut::<BufferSet>());
        let wanted = Oid::of(SESSION_KEY);
        // SAFETY: the context is null, which is an error, or of this library.
        let major = unsafe {
            (self.library.0.gss_inquire_sec_context_by_oid)(&mut minor, self.raw, &wanted, &mut set)
        };
        self.library.check(major, minor)?;
        // SAFETY: the library made the set, whose second buffer is the encryption type; it is read before it
        // goes back, and nobody else has it.
        let etype = unsafe {
            let named = set.as_ref().filter(|set| set.count > 1).map(|set| &*set.elements.add(1));
            let etype = named.and_then(|oid| etype(bytes(oid.value.cast(), oid.length)));
            (self.library.0.gss_release_buffer_set)(&mut minor, &mut set);
            etype
        };
        Ok(etype)
    }

    /// Takes the keys out, which ends the context.
    pub(super) fn export(mut self) -> Result<Exported, Trouble> {
        let (mut minor, mut lucid) = (0, ptr::null_mut());
        // SAFETY: the context is null, which is an error, or of this library.
        let major = unsafe {
            let export = self.library.0.gss_krb5_export_lucid_sec_context;
            export(&mut minor, &mut self.raw, LUCID_VERSION, &mut lucid)
        };
        self.library.check(major, minor)?;
        // SAFETY: the library made it, in the version that was asked for; all is copied before it goes back, and
        // the lengths are of the keys beside them.
        unsafe {
            let made: &Lucid = &*lucid;
            let key =
                |key: &LucidKey| Key::new(Etype(key.etype as i32), bytes(key.data, key.length as usize));
            let exported = Exported {
                is_cfx: made.version == LUCID_VERSION && made.protocol == LUCID_CFX,
                is_initiator: made.initiator != 0,
                ends_at: made.end_time,
                send_sequence: made.send_seq,
                receive_sequence: made.receive_seq,
                key: match made.cfx.has_acceptor_subkey {
                    0 => ContextKey { key: key(&made.cfx.key), is_of_acceptor: false },
                    _ => ContextKey { key: key(&made.cfx.acceptor_subkey), is_of_acceptor: true },
                },
            };
            (self.library.0.gss_krb5_free_lucid_sec_context)(&mut minor, lucid);
            Ok(exported)
        }
    }

    /// Seals in place, and gives what belongs in front and behind.
    pub(super) fn wrap(&mut self, data: &mut [u8]) -> Result<(Vec<u8>, Vec<u8>), Trouble> {
        let (mut minor, mut is_sealed) = (0, 0);
        let mut parts = [
            IovBuffer { kind: IOV_HEADER | IOV_ALLOCATE, buffer: Buffer::EMPTY },
            IovBuffer { kind: IOV_DATA, buffer: Buffer::of_mut(data) },
            IovBuffer { kind: IOV_PADDING | IOV_ALLOCATE, buffer: Buffer::EMPTY },
        ];
        // SAFETY: the context is null, which is an error, or of this library, and ours alone; data is written
        // within its bounds, and what the library allocates is copied before it goes back.
        unsafe {
            let (functions, count) = (&self.library.0, parts.len() as c_int);
            let major = (functions.gss_wrap_iov)(
                &mut minor,
                self.raw,
                1,
                0,
                &mut is_sealed,
                parts.as_mut_ptr(),
                count,
            );
            let copy = |part: &IovBuffer| bytes(part.buffer.value.cast(), part.buffer.length).to_vec();
            // Its texts are those of the last call, so they are asked for before there is another.
            let checked = self.library.check(major, minor).map(|()| (copy(&parts[0]), copy(&parts[2])));
            (functions.gss_release_iov_buffer)(&mut minor, parts.as_mut_ptr(), count);
            checked
        }
    }

    /// Opens in place: how many bytes of `data` are plain text now, whether they were sealed, and what of the
    /// order of messages is wrong.
    pub(super) fn unwrap(&mut self, header: &mut [u8], data: &mut [u8]) -> Result<Opened, Trouble> {
        let (mut minor, mut is_sealed) = (0, 0);
        let length = data.len();
        let mut parts = [
            IovBuffer { kind: IOV_HEADER, buffer: Buffer::of_mut(header) },
            IovBuffer { kind: IOV_DATA, buffer: Buffer::of_mut(data) },
        ];
        // SAFETY: the context is null, which is an error, or of this library, and ours alone; both buffers are
        // written within their bounds, and their lengths may only become less.
        let major = unsafe {
            let (parts, count) = (parts.as_mut_ptr(), parts.len() as c_int);
            let quality = ptr::null_mut();
            (self.library.0.gss_unwrap_iov)(&mut minor, self.raw, &mut is_sealed, quality, parts, count)
        };
        self.library.check(major, minor)?;
        let bytes = parts[1].buffer.length.min(length);
        Ok(Opened { bytes, is_sealed: is_sealed != 0, order: major & !ERRORS })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let mut minor = 0;
        if !self.raw.is_null() {
            // SAFETY: it is ours, and nobody uses it any more.
            unsafe { (self.library.0.gss_delete_sec_context)(&mut minor, &mut self.raw, ptr::null_mut()) };
        }
    }
}

/// # Safety
/// It is one of the library's, which are constants.
unsafe fn oid_bytes(oid: &Oid) -> &'static [u8] {
    let (elements, length) = oid.bytes();
    // SAFETY: by the promise of the caller.
    unsafe { bytes(elements, length) }
}

/// The last number of the OID that names an encryption type.
fn etype(oid: &[u8]) -> Option<Etype> {
    match oid.strip_prefix(SESSION_KEY_ETYPE)? {
        &[number @ ..128] => Some(Etype(number.into())),
        _ => None,
    }
}
