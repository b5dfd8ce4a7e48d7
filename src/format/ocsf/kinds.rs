//! Which events are of which class, and what their `Data` is there.
//!
//! Sources: Microsoft's descriptions of security events (their Event XML), Sysmon's manifest.

use super::Place;
use crate::event::Header;
use crate::format::sieve::Places;

/// What an event is to the schema.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) class: Class,
    pub(super) activity: u32,
    pub(super) activity_name: &'static str,
    data: &'static [(&'static str, Place)],
    /// Numbers of its processes are decimal, not hexadecimal.
    decimal: bool,
    pub(super) own: Own,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Base,
    Authentication,
    Process,
}

/// What an event says without a `Data` for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    Nothing,
    /// It is for another machine, which it names.
    Target,
    /// Its ticket is of this type (`type_id` of an authentication token).
    Ticket(u32),
    Ntlm,
}

impl Class {
    pub(super) fn uid(self) -> u32 {
        match self {
            Self::Base => 0,
            Self::Authentication => 3002,
            Self::Process => 1007,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Base => "Base Event",
            Self::Authentication => "Authentication",
            Self::Process => "Process Activity",
        }
    }

    pub(super) fn category(self) -> (u32, &'static str) {
        match self {
            Self::Base => (0, "Uncategorized"),
            Self::Authentication => (3, "Identity & Access Management"),
            Self::Process => (1, "System Activity"),
        }
    }
}

impl Kind {
    /// An event that the schema has no class for, or that lacks what its class requires.
    pub(super) const BASE: Self = Self {
        class: Class::Base,
        activity: 0,
        activity_name: "Unknown",
        data: &[],
        decimal: false,
        own: Own::Nothing,
    };

    pub(super) fn of(header: &Header<'_>) -> Self {
        let id = header.event_id.as_u64();
        let is = |name| header.provider_name.is(name);
        match id {
            Some(4624..=4776) if is("Microsoft-Windows-Security-Auditing") => id.and_then(Self::security),
            Some(1 | 5) if is("Microsoft-Windows-Sysmon") => id.map(Self::sysmon),
            _ => None,
        }
        .unwrap_or(Self::BASE)
    }

    fn security(id: u64) -> Option<Self> {
        let (class, decimal) = (Class::Authentication, false);
        let of =
            |activity, activity_name, data, own| Kind { class, activity, activity_name, data, decimal, own };
        Some(match id {
            4624 | 4625 => of(1, "Logon", LOGON, Own::Nothing),
            4634 | 4647 => of(2, "Logoff", LOGON, Own::Nothing),
            4648 => of(1, "Logon", EXPLICIT, Own::Target),
            4768 => of(3, "Authentication Ticket", TICKET, Own::Ticket(1)),
            4769 => of(4, "Service Ticket Request", TICKET, Own::Ticket(2)),
            4770 => of(5, "Service Ticket Renew", TICKET, Own::Ticket(2)),
            4771 => of(6, "Preauth", TICKET, Own::Ticket(1)),
            4776 => of(99, "Credential Validation", CREDENTIALS, Own::Ntlm),
            4688 => Self { class: Class::Process, ..of(1, "Launch", LAUNCH, Own::Nothing) },
            4689 => Self { class: Class::Process, ..of(2, "Terminate", EXIT, Own::Nothing) },
            _ => return None,
        })
    }

    fn sysmon(id: u64) -> Self {
        let (activity, activity_name) = if id == 1 { (1, "Launch") } else { (2, "Terminate") };
        let (class, own) = (Class::Process, Own::Nothing);
        Self { class, activity, activity_name, data: SYSMON, decimal: true, own }
    }
}

impl Places for Kind {
    fn place_of(&self, name: &[u8]) -> Option<usize> {
        let found = self.data.iter().find(|(known, _)| known.as_bytes() == name);
        found.map(|(_, place)| *place as usize)
    }

    fn fits(&self, place: usize, text: &[u8]) -> bool {
        Place::ALL[place].fits(text, self.decimal)
    }
}

/// 4624, 4625, 4634, 4647
const LOGON: &[(&str, Place)] = &[
    ("SubjectUserSid", Place::ActorUid),
    ("SubjectUserName", Place::ActorName),
    ("SubjectDomainName", Place::ActorDomain),
    ("SubjectLogonId", Place::ActorSession),
    ("TargetUserSid", Place::UserUid),
    ("TargetUserName", Place::UserName),
    ("TargetDomainName", Place::UserDomain),
    ("TargetLogonId", Place::UserSession),
    ("LogonType", Place::LogonType),
    ("AuthenticationPackageName", Place::Protocol),
    ("WorkstationName", Place::SourceHost),
    ("IpAddress", Place::SourceIp),
    ("IpPort", Place::SourcePort),
    ("ProcessId", Place::CallerPid),
    ("ProcessName", Place::CallerFile),
    ("Status", Place::StatusCode),
    ("FailureReason", Place::StatusDetail),
];

/// 4648
const EXPLICIT: &[(&str, Place)] = &[
    ("SubjectUserSid", Place::ActorUid),
    ("SubjectUserName", Place::ActorName),
    ("SubjectDomainName", Place::ActorDomain),
    ("SubjectLogonId", Place::ActorSession),
    ("TargetUserName", Place::UserName),
    ("TargetDomainName", Place::UserDomain),
    ("TargetServerName", Place::TargetHost),
    ("IpAddress", Place::SourceIp),
    ("IpPort", Place::SourcePort),
    ("ProcessId", Place::CallerPid),
    ("ProcessName", Place::CallerFile),
];

/// 4768 to 4771
const TICKET: &[(&str, Place)] = &[
    ("TargetUserName", Place::UserName),
    ("TargetDomainName", Place::UserDomain),
    ("TargetSid", Place::UserUid),
    ("ServiceName", Place::ServiceName),
    ("ServiceSid", Place::ServiceUid),
    ("TicketOptions", Place::TicketFlags),
    ("Status", Place::StatusCode),
    ("IpAddress", Place::SourceIp),
    ("IpPort", Place::SourcePort),
];

/// 4776
const CREDENTIALS: &[(&str, Place)] =
    &[("TargetUserName", Place::UserName), ("Workstation", Place::SourceHost), ("Status", Place::StatusCode)];

/// 4688
const LAUNCH: &[(&str, Place)] = &[
    ("SubjectUserSid", Place::ActorUid),
    ("SubjectUserName", Place::ActorName),
    ("SubjectDomainName", Place::ActorDomain),
    ("SubjectLogonId", Place::ActorSession),
    ("NewProcessId", Place::Pid),
    ("NewProcessName", Place::File),
    ("ProcessId", Place::CallerPid),
    ("ParentProcessName", Place::CallerFile),
    ("CommandLine", Place::CommandLine),
    ("TargetUserSid", Place::UserUid),
    ("TargetUserName", Place::UserName),
    ("TargetDomainName", Place::UserDomain),
    ("TargetLogonId", Place::UserSession),
    ("MandatoryLabel", Place::IntegritySid),
];

/// 4689
const EXIT: &[(&str, Place)] = &[
    ("SubjectUserSid", Place::ActorUid),
    ("SubjectUserName", Place::ActorName),
    ("SubjectDomainName", Place::ActorDomain),
    ("SubjectLogonId", Place::ActorSession),
    ("Status", Place::ExitCode),
    ("ProcessId", Place::Pid),
    ("ProcessName", Place::File),
];

/// Sysmon's 1 and 5
const SYSMON: &[(&str, Place)] = &[
    ("ProcessGuid", Place::ProcessUid),
    ("ProcessId", Place::Pid),
    ("Image", Place::File),
    ("FileVersion", Place::FileVersion),
    ("Description", Place::FileDescription),
    ("Company", Place::FileCompany),
    ("Product", Place::FileProduct),
    ("OriginalFileName", Place::FileInternalName),
    ("CommandLine", Place::CommandLine),
    ("CurrentDirectory", Place::Folder),
    ("User", Place::Account),
    ("LogonId", Place::UserSession),
    ("IntegrityLevel", Place::Integrity),
    ("Hashes", Place::Hashes),
    ("ParentProcessGuid", Place::CallerUid),
    ("ParentProcessId", Place::CallerPid),
    ("ParentImage", Place::CallerFile),
    ("ParentCommandLine", Place::CallerCommandLine),
    ("ParentUser", Place::CallerAccount),
];
