//! What the C headers of MIT Kerberos declare: RFC 2744, `gssapi_ext.h` and `gssapi_krb5.h`, as far as it is
//! used. Must not know: who owns what, which is `library`.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

/// What C only hands out pointers to.
pub(super) enum NameRecord {}
pub(super) enum CredentialRecord {}
pub(super) enum ContextRecord {}
pub(super) type NamePointer = *mut NameRecord;
pub(super) type CredentialPointer = *mut CredentialRecord;
pub(super) type ContextPointer = *mut ContextRecord;

#[repr(C)]
pub(super) struct Buffer {
    pub(super) length: usize,
    pub(super) value: *mut c_void,
}

impl Buffer {
    pub(super) const EMPTY: Self = Self { length: 0, value: ptr::null_mut() };

    /// For arguments that C declares mutable and only reads.
    pub(super) const fn of(bytes: &[u8]) -> Self {
        Self { length: bytes.len(), value: bytes.as_ptr().cast_mut().cast() }
    }

    pub(super) const fn of_mut(bytes: &mut [u8]) -> Self {
        Self { length: bytes.len(), value: bytes.as_mut_ptr().cast() }
    }
}

#[repr(C)]
pub(super) struct BufferSet {
    pub(super) count: usize,
    pub(super) elements: *mut Buffer,
}

#[repr(C)]
pub(super) struct Oid {
    length: u32,
    elements: *const c_void,
}

impl Oid {
    pub(super) const fn of(bytes: &'static [u8]) -> Self {
        Self { length: bytes.len() as u32, elements: bytes.as_ptr().cast() }
    }

    pub(super) const fn bytes(&self) -> (*const u8, usize) {
        (self.elements.cast(), self.length as usize)
    }
}

#[repr(C)]
pub(super) struct OidSet {
    pub(super) count: usize,
    pub(super) elements: *const Oid,
}

/// Addresses stay empty and of no kind, as in RFC 5929 and as Windows has them.
#[repr(C)]
pub(super) struct ChannelBindings {
    pub(super) initiator_kind: u32,
    pub(super) initiator: Buffer,
    pub(super) acceptor_kind: u32,
    pub(super) acceptor: Buffer,
    pub(super) application: Buffer,
}

impl ChannelBindings {
    pub(super) const fn of(application: &[u8]) -> Self {
        Self {
            initiator_kind: 0,
            initiator: Buffer::EMPTY,
            acceptor_kind: 0,
            acceptor: Buffer::EMPTY,
            application: Buffer::of(application),
        }
    }
}

#[repr(C)]
pub(super) struct KeyValue {
    pub(super) key: *const c_char,
    pub(super) value: *const c_char,
}

#[repr(C)]
pub(super) struct KeyValues {
    pub(super) count: u32,
    pub(super) elements: *const KeyValue,
}

#[repr(C)]
pub(super) struct IovBuffer {
    pub(super) kind: u32,
    pub(super) buffer: Buffer,
}

#[repr(C)]
pub(super) struct LucidKey {
    pub(super) etype: u32,
    pub(super) length: u32,
    pub(super) data: *const u8,
}

#[repr(C)]
pub(super) struct LucidOld {
    sign: u32,
    seal: u32,
    key: LucidKey,
}

#[repr(C)]
pub(super) struct LucidCfx {
    pub(super) has_acceptor_subkey: u32,
    pub(super) key: LucidKey,
    pub(super) acceptor_subkey: LucidKey,
}

#[repr(C)]
pub(super) struct Lucid {
    pub(super) version: u32,
    pub(super) initiator: u32,
    pub(super) end_time: u32,
    pub(super) send_seq: u64,
    pub(super) receive_seq: u64,
    pub(super) protocol: u32,
    pub(super) old: LucidOld,
    pub(super) cfx: LucidCfx,
}

pub(super) const LUCID_VERSION: u32 = 1;
/// RFC 4121, in contrast to RFC 1964 and 4757.
pub(super) const LUCID_CFX: u32 = 1;

pub(super) const INITIATE: c_int = 1;
pub(super) const ACCEPT: c_int = 2;

pub(super) const GSS_CODE: c_int = 1;
pub(super) const MECHANISM_CODE: c_int = 2;

pub(super) const CONTINUE_NEEDED: u32 = 1;
/// Routine and calling errors; what is below only supplements.
pub(super) const ERRORS: u32 = 0xffff_0000;

pub(super) const IOV_DATA: u32 = 1;
pub(super) const IOV_HEADER: u32 = 2;
pub(super) const IOV_PADDING: u32 = 9;
/// The library makes the room; `gss_release_iov_buffer` gives it back.
pub(super) const IOV_ALLOCATE: u32 = 0x0001_0000;

/// 1.2.840.113554.1.2.2
pub(super) const KRB5: &[u8] = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";
/// 1.3.6.1.5.5.2
pub(super) const SPNEGO: &[u8] = b"\x2b\x06\x01\x05\x05\x02";
/// `GSS_KRB5_NT_PRINCIPAL_NAME`: a name is taken as it is and not looked up in DNS.
pub(super) const PRINCIPAL_NAME: &[u8] = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01";
/// `GSS_C_INQ_SSPI_SESSION_KEY`
pub(super) const SESSION_KEY: &[u8] = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05\x05";
/// `GSS_KRB5_SESSION_KEY_ENCTYPE_OID`, which the number of the encryption type follows.
pub(super) const SESSION_KEY_ETYPE: &[u8] = b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x04";

/// Calls `$then!` with the name and the arguments of each function. All answer with a major status; the first
/// argument of each is where the minor one goes, and is not listed.
macro_rules! each_function {
    ($then:ident) => {
        $then! {
            gss_acquire_cred_from(
                NamePointer, u32, *const OidSet, c_int, *const KeyValues, *mut CredentialPointer,
                *mut *mut OidSet, *mut u32
            );
            gss_set_neg_mechs(CredentialPointer, *const OidSet);
            gss_krb5_set_allowable_enctypes(CredentialPointer, u32, *const i32);
            gss_release_cred(*mut CredentialPointer);
            gss_accept_sec_context(
                *mut ContextPointer, CredentialPointer, *const Buffer, *const ChannelBindings,
                *mut NamePointer, *mut *const Oid, *mut Buffer, *mut u32, *mut u32,
                *mut CredentialPointer
            );
            gss_init_sec_context(
                CredentialPointer, *mut ContextPointer, NamePointer, *const Oid, u32, u32,
                *const ChannelBindings, *const Buffer, *mut *const Oid, *mut Buffer, *mut u32, *mut u32
            );
            gss_delete_sec_context(*mut ContextPointer, *mut Buffer);
            gss_inquire_context(
                ContextPointer, *mut NamePointer, *mut NamePointer, *mut u32, *mut *const Oid, *mut u32,
                *mut c_int, *mut c_int
            );
            gss_inquire_sec_context_by_oid(ContextPointer, *const Oid, *mut *mut BufferSet);
            gss_release_buffer_set(*mut *mut BufferSet);
            gss_krb5_export_lucid_sec_context(*mut ContextPointer, u32, *mut *mut Lucid);
            gss_krb5_free_lucid_sec_context(*mut Lucid);
            gss_wrap_iov(ContextPointer, c_int, u32, *mut c_int, *mut IovBuffer, c_int);
            gss_unwrap_iov(ContextPointer, *mut c_int, *mut u32, *mut IovBuffer, c_int);
            gss_release_iov_buffer(*mut IovBuffer, c_int);
            gss_import_name(*const Buffer, *const Oid, *mut NamePointer);
            gss_display_name(NamePointer, *mut Buffer, *mut *const Oid);
            gss_release_name(*mut NamePointer);
            gss_release_buffer(*mut Buffer);
            gss_display_status(u32, c_int, *const Oid, *mut u32, *mut Buffer);
        }
    };
}
pub(super) use each_function;
