//! Faults, both ways: why a message is refused, and the SOAP that says so.
//!
//! ```text
//! Refusal ──fault()──► Fault { code, subcode, reason, detail, wsman } ──write──► envelope
//!                        ▲                                                         │
//!                        └────────────────────────read────────────────────────────┘
//! ```
//! A host decides by HTTP status, subcode and number. The status of every fault is [`HTTP_STATUS`].
//!
//! Sources: MS-WSMV 2.2.4.43; SOAP 1.2 section 5.4; numbers: Windows SDK, wsmerror.h.

use super::ns::{self, Ns, action};
use super::put::{Text, put};
use super::wsman_fault::WsmanFault;
use super::xml::{Element, Reader, XmlError};
use thiserror::Error;

/// Windows takes the body of other statuses too, but this one is what was seen.
pub const HTTP_STATUS: u16 = 500;
/// Smallest `MaxEnvelopeSize` a peer may ask for (DSP0226).
pub const ENVELOPE_BYTES_MIN: u32 = 8192;

/// Why a message is not served. The first half is found by reading it, the second said by whoever
/// decides about its contents.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    #[error("the body is no XML: {0}")]
    InvalidXml(#[from] XmlError),
    #[error("the envelope is not of SOAP 1.2")]
    SoapVersion,
    #[error("the header {0} must be understood, and is not")]
    NotUnderstood(String),
    #[error("the header Locale must be understood, which is not offered")]
    LocaleMustBeUnderstood,
    #[error("the header {0} is missing")]
    HeaderMissing(&'static str),
    #[error("the header {name} is not valid: {why}")]
    HeaderInvalid { name: &'static str, why: &'static str },
    #[error("the action {0} is not known")]
    ActionNotSupported(String),
    #[error("the resource {0} is not offered")]
    ResourceNotFound(String),
    #[error("ReplyTo is not anonymous, and answers go nowhere else")]
    AddressingMode,
    #[error("MaxEnvelopeSize is below {ENVELOPE_BYTES_MIN}")]
    EnvelopeTooSmall,
    #[error("the body does not fit its action: {0}")]
    InvalidBody(&'static str),
    #[error("the answer is larger than the MaxEnvelopeSize of the request")]
    AnswerTooLarge,
    #[error("the host is not allowed here")]
    AccessDenied,
    #[error("this delivery is not taken; the subscription is to be cancelled")]
    DeliveryRefused,
    #[error("the collector is busy")]
    Busy,
    #[error("the collector failed")]
    Internal,
}

/// Who is to blame, as SOAP has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Sender,
    Receiver,
    MustUnderstand,
    VersionMismatch,
}

/// A SOAP fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub code: Code,
    /// Namespace and local name.
    pub subcode: Option<(Ns, String)>,
    pub reason: String,
    /// `w:FaultDetail`, a URI.
    pub detail: Option<String>,
    pub wsman: Option<WsmanFault>,
}

/// What a refusal says on the wire.
struct Shape {
    code: Code,
    subcode: Option<(Ns, &'static str)>,
    /// Last part of the `FaultDetail` URI.
    detail: Option<&'static str>,
    number: u32,
}

impl Refusal {
    pub(super) fn header(name: &'static str, why: &'static str) -> Self {
        Self::HeaderInvalid { name, why }
    }

    fn shape(&self) -> Shape {
        use Code::{MustUnderstand, Receiver, Sender, VersionMismatch};
        let shape = |code, subcode, detail, number| Shape { code, subcode, detail, number };
        let (a, w) = (|name| Some((Ns::Addressing, name)), |name| Some((Ns::Wsman, name)));
        match self {
            Self::InvalidXml(_) => shape(Sender, w("SchemaValidationError"), None, 2_150_858_819),
            Self::SoapVersion => shape(VersionMismatch, None, None, 2_150_858_765),
            Self::NotUnderstood(_) => shape(MustUnderstand, None, None, 2_150_858_768),
            Self::LocaleMustBeUnderstood => {
                shape(Sender, w("UnsupportedFeature"), Some("Locale"), 2_150_858_887)
            }
            Self::HeaderMissing(_) => {
                shape(Sender, a("MessageInformationHeaderRequired"), None, 2_150_858_769)
            }
            Self::HeaderInvalid { .. } => {
                shape(Sender, a("InvalidMessageInformationHeader"), None, 2_150_858_767)
            }
            Self::ActionNotSupported(_) => shape(Sender, a("ActionNotSupported"), None, 2_150_858_771),
            Self::ResourceNotFound(_) => {
                shape(Sender, a("DestinationUnreachable"), Some("InvalidResourceURI"), 2_150_858_752)
            }
            Self::AddressingMode => {
                shape(Sender, w("UnsupportedFeature"), Some("AddressingMode"), 2_150_858_870)
            }
            Self::EnvelopeTooSmall => {
                shape(Sender, w("EncodingLimit"), Some("MinimumEnvelopeLimit"), 2_150_858_805)
            }
            Self::InvalidBody(_) => shape(Sender, w("SchemaValidationError"), None, 2_150_858_817),
            Self::AnswerTooLarge => shape(Sender, w("EncodingLimit"), Some("MaxEnvelopeSize"), 2_150_858_790),
            Self::AccessDenied => shape(Sender, w("AccessDenied"), None, 5),
            Self::DeliveryRefused => shape(Receiver, w("DeliveryRefused"), None, 2_150_858_804),
            Self::Busy => shape(Sender, w("QuotaLimit"), None, 2_150_858_815),
            Self::Internal => shape(Receiver, w("InternalError"), None, 1359),
        }
    }

    /// The fault to answer with; `machine` is our own name.
    pub fn fault(&self, machine: &str) -> Fault {
        let Shape { code, subcode, detail, number } = self.shape();
        let reason = self.to_string();
        Fault {
            code,
            subcode: subcode.map(|(ns, name)| (ns, name.to_owned())),
            detail: detail.map(|name| format!("{}{name}", ns::FAULT_DETAIL)),
            wsman: Some(WsmanFault::new(number, machine, &reason)),
            reason,
        }
    }
}

impl Code {
    fn name(self) -> &'static str {
        match self {
            Self::Sender => "Sender",
            Self::Receiver => "Receiver",
            Self::MustUnderstand => "MustUnderstand",
            Self::VersionMismatch => "VersionMismatch",
        }
    }
}

impl Fault {
    /// `a:Action` of its envelope: by whose vocabulary it is.
    pub fn action(&self) -> &'static str {
        match (self.code, &self.subcode) {
            (Code::MustUnderstand, _) | (_, Some((Ns::Addressing, _))) => action::ADDRESSING_FAULT,
            (_, Some((Ns::Eventing, _))) => action::EVENTING_FAULT,
            (_, Some((Ns::Enumeration, _))) => action::ENUMERATION_FAULT,
            _ => action::WSMAN_FAULT,
        }
    }

    /// Whether the peer asks for the subscription to be cancelled.
    pub fn is_delivery_refused(&self) -> bool {
        matches!(&self.subcode, Some((Ns::Wsman, name)) if name == "DeliveryRefused")
    }

    /// The number that says most: the innermost.
    pub fn number(&self) -> Option<u32> {
        self.wsman.as_ref().map(WsmanFault::innermost)
    }

    pub(super) fn write(&self, out: &mut String) {
        put(out, format_args!("<s:Fault><s:Code><s:Value>s:{}</s:Value>", self.code.name()));
        if let Some((ns, name)) = &self.subcode {
            let (prefix, colon) = (ns.prefix(), if ns.prefix().is_empty() { "" } else { ":" });
            put(out, format_args!("<s:Subcode><s:Value>{prefix}{colon}{}</s:Value></s:Subcode>", Text(name)));
        }
        put(
            out,
            format_args!(
                r#"</s:Code><s:Reason><s:Text xml:lang="en-US">{}</s:Text></s:Reason>"#,
                Text(&self.reason)
            ),
        );
        if self.detail.is_some() || self.wsman.is_some() {
            out.push_str("<s:Detail>");
            if let Some(detail) = &self.detail {
                put(out, format_args!("<w:FaultDetail>{}</w:FaultDetail>", Text(detail)));
            }
            if let Some(wsman) = &self.wsman {
                wsman.write(out);
            }
            out.push_str("</s:Detail>");
        }
        out.push_str("</s:Fault>");
    }

    /// Reads the element whose start was just read.
    pub(super) fn read<'a>(reader: &mut Reader<'a>, element: &Element<'a>) -> Result<Self, Refusal> {
        if !element.is(Ns::Soap, "Fault") {
            return Err(Refusal::InvalidBody("a fault holds one s:Fault"));
        }
        let mut fault =
            Self { code: Code::Receiver, subcode: None, reason: String::new(), detail: None, wsman: None };
        let mut code = None;
        while let Some(part) = reader.child()? {
            match (part.ns, part.local) {
                (Ns::Soap, "Code") => code = Some(fault.read_code(reader)?),
                (Ns::Soap, "Reason") => {
                    while let Some(text) = reader.child()? {
                        let words = reader.field()?;
                        if text.is(Ns::Soap, "Text") && fault.reason.is_empty() {
                            fault.reason = words.into_owned();
                        }
                    }
                }
                (Ns::Soap, "Detail") => fault.read_detail(reader)?,
                _ => reader.skip()?,
            }
        }
        fault.code = code.ok_or(Refusal::InvalidBody("a fault needs a Code"))?;
        Ok(fault)
    }

    fn read_code(&mut self, reader: &mut Reader<'_>) -> Result<Code, Refusal> {
        let mut code = None;
        while let Some(part) = reader.child()? {
            match (part.ns, part.local) {
                (Ns::Soap, "Value") => code = known_code(&qname(reader)?),
                (Ns::Soap, "Subcode") => {
                    while let Some(value) = reader.child()? {
                        if value.is(Ns::Soap, "Value") {
                            self.subcode = Some(qname(reader)?);
                        } else {
                            reader.skip()?;
                        }
                    }
                }
                _ => reader.skip()?,
            }
        }
        code.ok_or(Refusal::InvalidBody("the Code of a fault is one of SOAP 1.2"))
    }

    fn read_detail(&mut self, reader: &mut Reader<'_>) -> Result<(), Refusal> {
        while let Some(part) = reader.child()? {
            match (part.ns, part.local) {
                (Ns::Wsman, "FaultDetail") => self.detail = Some(reader.field()?.into_owned()),
                (Ns::WsmanFault, "WSManFault") => {
                    self.wsman = Some(WsmanFault::read(reader, &part)?);
                }
                _ => reader.skip()?,
            }
        }
        Ok(())
    }
}

fn known_code((ns, name): &(Ns, String)) -> Option<Code> {
    let codes = [Code::Sender, Code::Receiver, Code::MustUnderstand, Code::VersionMismatch];
    codes.into_iter().find(|code| *ns == Ns::Soap && code.name() == name)
}

/// The text of an element as a name in a namespace.
fn qname(reader: &mut Reader<'_>) -> Result<(Ns, String), Refusal> {
    let text = reader.field()?;
    let (ns, name) = reader.qname(&text)?;
    // Of a vocabulary that no fault of ours is written in, only the name is kept.
    Ok((if ns.prefix().is_empty() { Ns::None } else { ns }, name))
}
