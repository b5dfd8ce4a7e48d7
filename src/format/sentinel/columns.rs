//! Columns of SecurityEvent that are each for the `Data` of their name. Source: Azure Monitor's table reference
//! (`testdata/sentinel/columns.txt`, against which a test holds these).

use crate::format::sieve::Places;

/// A place for each of them.
pub(super) struct Columns;

impl Places for Columns {
    fn place_of(&self, name: &[u8]) -> Option<usize> {
        place(name)
    }

    fn fits(&self, place: usize, text: &[u8]) -> bool {
        !is_number(DATA[place]) || is_int(text)
    }
}

pub(super) fn place(name: &[u8]) -> Option<usize> {
    let mut slot = slot(name);
    loop {
        let place = usize::from(SLOTS[slot].checked_sub(1)?);
        if DATA[place].as_bytes() == name {
            return Some(place);
        }
        slot = (slot + 1) % SLOTS.len();
    }
}

/// One more than the place of a name, where its slot or the next one behind that was free; 0 is a free one.
static SLOTS: [u8; 1024] = {
    let mut slots = [0; 1024];
    let mut place = 0;
    while place < DATA.len() {
        let mut slot = slot(DATA[place].as_bytes());
        while slots[slot] != 0 {
            slot = (slot + 1) % slots.len();
        }
        place += 1;
        slots[slot] = place as u8;
    }
    slots
};

/// By the length and the first byte, with the last eight or, of a short name, the one in the middle and the last.
const fn slot(name: &[u8]) -> usize {
    let (Some(first), length) = (name.first(), name.len()) else { return 0 };
    let end = match name.last_chunk() {
        Some(end) => u64::from_le_bytes(*end),
        None => (name[length / 2] as u64) << 16 | (name[length - 1] as u64) << 8,
    };
    let mixed = (end ^ (*first as u64) << 3 ^ (length as u64) << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 54) as usize
}

/// Those whose type is `int`; the others are text.
pub(super) fn is_number(name: &str) -> bool {
    matches!(
        name,
        "AuditsDiscarded"
            | "AuthenticationLevel"
            | "AuthenticationService"
            | "ErrorCode"
            | "KeyLength"
            | "LogonType"
            | "ServiceStartType"
    )
}

/// A number of 31 bits in decimal, without leading zeros.
pub(super) fn is_int(text: &[u8]) -> bool {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let leading_zero = text.len() > 1 && text[0] == b'0';
    digits && !leading_zero && str::from_utf8(text).is_ok_and(|text| text.parse::<i32>().is_ok())
}

/// Sorted.
pub(super) const DATA: [&str; 193] = [
    "AccessMask",
    "AccountDomain",
    "AccountExpires",
    "AccountName",
    "AccountSessionIdentifier",
    "AdditionalInfo",
    "AdditionalInfo2",
    "AllowedToDelegateTo",
    "Attributes",
    "AuditPolicyChanges",
    "AuditsDiscarded",
    "AuthenticationLevel",
    "AuthenticationPackageName",
    "AuthenticationProvider",
    "AuthenticationServer",
    "AuthenticationService",
    "AuthenticationType",
    "CACertificateHash",
    "CAPublicKeyHash",
    "CalledStationID",
    "CallerProcessId",
    "CallerProcessName",
    "CallingStationID",
    "CategoryId",
    "CertificateDatabaseHash",
    "ClassId",
    "ClassName",
    "ClientAddress",
    "ClientIPAddress",
    "ClientName",
    "CommandLine",
    "CompatibleIds",
    "DCDNSName",
    "DeviceDescription",
    "DeviceId",
    "DisplayName",
    "Disposition",
    "DomainBehaviorVersion",
    "DomainName",
    "DomainPolicyChanged",
    "DomainSid",
    "EAPType",
    "ElevatedToken",
    "ErrorCode",
    "ExtendedQuarantineState",
    "FailureReason",
    "FileHash",
    "FilePath",
    "FilePathNoUser",
    "Filter",
    "ForceLogoff",
    "Fqbn",
    "FullyQualifiedSubjectMachineName",
    "FullyQualifiedSubjectUserName",
    "GroupMembership",
    "HandleId",
    "HardwareIds",
    "HomeDirectory",
    "HomePath",
    "InterfaceUuid",
    "IpAddress",
    "IpPort",
    "KeyLength",
    "LmPackageName",
    "LocationInformation",
    "LockoutDuration",
    "LockoutObservationWindow",
    "LockoutThreshold",
    "LoggingResult",
    "LogonGuid",
    "LogonHours",
    "LogonID",
    "LogonProcessName",
    "LogonType",
    "MachineAccountQuota",
    "MachineInventory",
    "MachineLogon",
    "MandatoryLabel",
    "MaxPasswordAge",
    "MemberName",
    "MemberSid",
    "MinPasswordAge",
    "MinPasswordLength",
    "MixedDomainMode",
    "NASIPv4Address",
    "NASIPv6Address",
    "NASIdentifier",
    "NASPort",
    "NASPortType",
    "NetworkPolicyName",
    "NewDate",
    "NewMaxUsers",
    "NewProcessId",
    "NewProcessName",
    "NewRemark",
    "NewShareFlags",
    "NewTime",
    "NewUacValue",
    "NewValue",
    "NewValueType",
    "ObjectName",
    "ObjectServer",
    "ObjectType",
    "ObjectValueName",
    "OemInformation",
    "OldMaxUsers",
    "OldRemark",
    "OldShareFlags",
    "OldUacValue",
    "OldValue",
    "OldValueType",
    "OperationType",
    "PackageName",
    "ParentProcessName",
    "PasswordHistoryLength",
    "PasswordLastSet",
    "PasswordProperties",
    "PreviousDate",
    "PreviousTime",
    "PrimaryGroupId",
    "PrivateKeyUsageCount",
    "PrivilegeList",
    "ProcessId",
    "ProcessName",
    "ProfilePath",
    "Properties",
    "ProtocolSequence",
    "ProxyPolicyName",
    "QuarantineHelpURL",
    "QuarantineSessionID",
    "QuarantineSessionIdentifier",
    "QuarantineState",
    "QuarantineSystemHealthResult",
    "RelativeTargetName",
    "RemoteIpAddress",
    "RemotePort",
    "RequestId",
    "Requester",
    "RestrictedAdminMode",
    "RowsDeleted",
    "SamAccountName",
    "ScriptPath",
    "SecurityDescriptor",
    "ServiceAccount",
    "ServiceFileName",
    "ServiceName",
    "ServiceStartType",
    "ServiceType",
    "SessionName",
    "ShareLocalPath",
    "ShareName",
    "SidHistory",
    "Status",
    "SubStatus",
    "SubcategoryGuid",
    "SubcategoryId",
    "Subject",
    "SubjectDomainName",
    "SubjectKeyIdentifier",
    "SubjectLogonId",
    "SubjectMachineName",
    "SubjectMachineSID",
    "SubjectUserName",
    "SubjectUserSid",
    "TableId",
    "TargetDomainName",
    "TargetInfo",
    "TargetLinkedLogonId",
    "TargetLogonGuid",
    "TargetLogonId",
    "TargetOutboundDomainName",
    "TargetOutboundUserName",
    "TargetServerName",
    "TargetSid",
    "TargetUser",
    "TargetUserName",
    "TargetUserSid",
    "TemplateContent",
    "TemplateDSObjectFQDN",
    "TemplateInternalName",
    "TemplateOID",
    "TemplateSchemaVersion",
    "TemplateVersion",
    "TokenElevationType",
    "TransmittedServices",
    "UserAccountControl",
    "UserParameters",
    "UserPrincipalName",
    "UserWorkstations",
    "VendorIds",
    "VirtualAccount",
    "Workstation",
    "WorkstationName",
];
