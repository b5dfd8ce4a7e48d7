//! AP-REQ (RFC 4120 5.5.1): a ticket for a service, and an authenticator that proves it is its owner's.
//!
//! In clear are the name of the service, its realm, and how both are encrypted. Who sends it is not.

use crate::kerberos::der::{BIT_STRING, Der, DerError, INTEGER, OCTETS, SEQUENCE, TEXT, application, field};
use crate::kerberos::etype::Etype;
use crate::kerberos::name::{self, Name};

/// Begins an AP-REQ.
pub(super) const TAG: u8 = application(14);
const TICKET: u8 = application(1);
const AP_REQ: i32 = 14;
const USE_SESSION_KEY: u32 = 1 << 30;
const MUTUAL: u32 = 1 << 29;

/// What of an AP-REQ is in clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApReq<'a> {
    /// The bits of `ap-options`, first one highest.
    pub options: u32,
    pub realm: Box<str>,
    /// Whom the ticket is for.
    pub service: Name,
    pub ticket: Encrypted<'a>,
    pub authenticator: Encrypted<'a>,
}

/// Something encrypted, and with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encrypted<'a> {
    pub etype: Etype,
    /// The version of the key, for a key that has several.
    pub kvno: Option<u32>,
    pub bytes: &'a [u8],
}

impl<'a> ApReq<'a> {
    /// A whole AP-REQ without GSS framing.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DerError> {
        let mut request = Der::new(bytes).take(TAG, "AP-REQ")?.take(SEQUENCE, "AP-REQ")?;
        version(&mut request, 0)?;
        let kind = request.field(1, INTEGER, "message type")?;
        if kind.int32("message type")? != AP_REQ {
            return Err(kind.expected("message type of AP-REQ"));
        }
        let options = request.field(2, BIT_STRING, "options")?.flags("options")?;
        let mut ticket = request.field(3, TICKET, "ticket")?.take(SEQUENCE, "ticket")?;
        version(&mut ticket, 0)?;
        let realm = name::text(ticket.field(1, TEXT, "realm")?)?;
        let service = Name::read(ticket.field(2, SEQUENCE, "name of the service")?)?;
        let ticket = Encrypted::read(ticket.field(3, SEQUENCE, "encrypted part of the ticket")?)?;
        let authenticator = Encrypted::read(request.field(4, SEQUENCE, "authenticator")?)?;
        Ok(Self { options, realm, service, ticket, authenticator })
    }

    /// Whether the client wants our proof as well.
    pub const fn is_mutual(&self) -> bool {
        self.options & MUTUAL != 0
    }

    /// Whether the ticket is for the session key of another ticket instead of a key of ours.
    pub const fn is_user_to_user(&self) -> bool {
        self.options & USE_SESSION_KEY != 0
    }
}

impl<'a> Encrypted<'a> {
    fn read(mut part: Der<'a>) -> Result<Self, DerError> {
        let etype = Etype(part.field(0, INTEGER, "encryption type")?.int32("encryption type")?);
        let kvno = match part.optional(1, INTEGER, "version of the key")? {
            Some(kvno) => Some(kvno.uint32("version of the key")?),
            None => None,
        };
        Ok(Self { etype, kvno, bytes: part.field(2, OCTETS, "encrypted bytes")?.rest() })
    }
}

/// Field `number`, which says version 5.
fn version(sequence: &mut Der<'_>, number: u8) -> Result<(), DerError> {
    let version = sequence.take(field(number), "version 5")?.take(INTEGER, "version 5")?;
    if version.int32("version 5")? == 5 { Ok(()) } else { Err(version.expected("version 5")) }
}
