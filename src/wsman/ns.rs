//! Names of the protocol: namespaces, actions, resources. Elements are known by namespace and local
//! name, never by prefix; the prefixes here are those that Windows writes.
//!
//! Sources: MS-WSMV 2.2.1; DSP0226; captured messages.

/// The namespaces that mean something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ns {
    /// No namespace at all: `BookmarkList`, `QueryList` and what is in them.
    None,
    Soap,
    Addressing,
    Eventing,
    Enumeration,
    /// DMTF's WS-Management.
    Wsman,
    /// Microsoft's additions to it.
    MsWsman,
    MachineId,
    Subscription,
    Policy,
    Authentication,
    WsmanFault,
    /// Errors of the event log provider.
    EventLog,
    SchemaInstance,
    Identity,
    EventQuery,
    /// `xml:lang`.
    Xml,
    /// Any other.
    Other,
}

const URIS: [(Ns, &str); 18] = [
    (Ns::Soap, SOAP),
    (Ns::Addressing, ADDRESSING),
    (Ns::Wsman, WSMAN),
    (Ns::MsWsman, MS_WSMAN),
    (Ns::Eventing, EVENTING),
    (Ns::Enumeration, ENUMERATION),
    (Ns::MachineId, MACHINE_ID),
    (Ns::Subscription, SUBSCRIPTION),
    (Ns::Policy, POLICY),
    (Ns::Authentication, AUTHENTICATION),
    (Ns::WsmanFault, WSMAN_FAULT),
    (Ns::EventLog, EVENT_LOG),
    (Ns::SchemaInstance, SCHEMA_INSTANCE),
    (Ns::Identity, IDENTITY),
    // One table of MS-WSMV spells it so.
    (Ns::Identity, "http://schemas.dmtf.org/wbem/wsman/identify/1/wsmanidentity.xsd"),
    (Ns::EventQuery, EVENT_QUERY),
    (Ns::EventQuery, "http://schemas.microsoft.com/win/2004/08/events/eventquery/"),
    (Ns::Xml, "http://www.w3.org/XML/1998/namespace"),
];

impl Ns {
    pub(super) fn of(uri: &[u8]) -> Self {
        URIS.iter().find(|(_, known)| known.as_bytes() == uri).map_or(Ns::Other, |(ns, _)| *ns)
    }

    /// Its URI; empty for `None` and `Other`.
    pub fn uri(self) -> &'static str {
        URIS.iter().find(|(ns, _)| *ns == self).map_or("", |(_, uri)| *uri)
    }

    /// The prefix Windows declares for it at the envelope; empty for all others.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Ns::Soap => "s",
            Ns::Addressing => "a",
            Ns::Eventing => "e",
            Ns::Enumeration => "n",
            Ns::Wsman => "w",
            Ns::MsWsman => "p",
            _ => "",
        }
    }
}

pub const SOAP: &str = "http://www.w3.org/2003/05/soap-envelope";
pub const SOAP_1_1: &str = "http://schemas.xmlsoap.org/soap/envelope/";
pub const ADDRESSING: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";
pub const EVENTING: &str = "http://schemas.xmlsoap.org/ws/2004/08/eventing";
pub const ENUMERATION: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration";
pub const WSMAN: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd";
pub const MS_WSMAN: &str = "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd";
pub const CIM_BINDING: &str = "http://schemas.dmtf.org/wbem/wsman/1/cimbinding.xsd";
pub const MACHINE_ID: &str = "http://schemas.microsoft.com/wbem/wsman/1/machineid";
pub const SUBSCRIPTION: &str = "http://schemas.microsoft.com/wbem/wsman/1/subscription";
pub const POLICY: &str = "http://schemas.xmlsoap.org/ws/2002/12/policy";
pub const AUTHENTICATION: &str = "http://schemas.microsoft.com/wbem/wsman/1/authentication";
pub const WSMAN_FAULT: &str = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault";
pub const EVENT_LOG: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/EventLog";
pub const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";
pub const IDENTITY: &str = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd";
pub const EVENT_QUERY: &str = "http://schemas.microsoft.com/win/2004/08/events/eventquery";

/// Values of `a:Action`.
pub mod action {
    pub const ENUMERATE: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/Enumerate";
    pub const ENUMERATE_RESPONSE: &str =
        "http://schemas.xmlsoap.org/ws/2004/09/enumeration/EnumerateResponse";
    pub const SUBSCRIBE: &str = "http://schemas.xmlsoap.org/ws/2004/08/eventing/Subscribe";
    pub const SUBSCRIPTION_END: &str = "http://schemas.xmlsoap.org/ws/2004/08/eventing/SubscriptionEnd";
    /// Also the delivery mode.
    pub const EVENTS: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/Events";
    /// Of each event in a delivery.
    pub const EVENT: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/Event";
    pub const HEARTBEAT: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/Heartbeat";
    pub const DROPPED_EVENTS: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/DroppedEvents";
    pub const ACK: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/Ack";
    pub const END: &str = "http://schemas.microsoft.com/wbem/wsman/1/wsman/End";
    pub const CANCEL: &str = "http://schemas.microsoft.com/wbem/wsman/1/wsman/Cancel";
    pub const ACKNOWLEDGE: &str = "http://schemas.microsoft.com/wbem/wsman/1/wsman/Acknowledge";
    pub const KEEPALIVE: &str = "http://schemas.microsoft.com/wbem/wsman/1/wsman/Keepalive";
    pub const WSMAN_FAULT: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault";
    pub const ADDRESSING_FAULT: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing/fault";
    pub const EVENTING_FAULT: &str = "http://schemas.xmlsoap.org/ws/2004/08/eventing/fault";
    pub const ENUMERATION_FAULT: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/fault";
}

/// Values of `w:ResourceURI`.
pub mod resource {
    pub const SUBSCRIPTION_MANAGER: &str =
        "http://schemas.microsoft.com/wbem/wsman/1/SubscriptionManager/Subscription";
    pub const EVENT_LOG: &str = super::EVENT_LOG;
    pub const FULL_DUPLEX: &str = "http://schemas.microsoft.com/wbem/wsman/1/wsman/FullDuplex";
}

pub const ANONYMOUS: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous";
/// Stands in place of a bookmark: everything that is there.
pub const BOOKMARK_EARLIEST: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/bookmark/earliest";
pub(super) const FAULT_DETAIL: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/faultDetail/";
pub(super) const PROFILE_KERBEROS_HTTP: &str =
    "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/http/spnego-kerberos";
pub(super) const PROFILE_KERBEROS_HTTPS: &str =
    "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/spnego-kerberos";
pub(super) const PROFILE_CERTIFICATE: &str =
    "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual";
