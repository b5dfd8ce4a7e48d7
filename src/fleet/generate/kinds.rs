//! The kinds of generated events: their System, their fields in order, and where a field stands in the
//! message. `Name|Group/Label` is a field that the message shows below a heading.

use super::values::Field::{self, *};

pub(super) struct Kind {
    pub(super) channel: &'static str,
    pub(super) provider: &'static str,
    pub(super) guid: &'static str,
    pub(super) provider_text: &'static str,
    pub(super) id: u32,
    pub(super) version: u8,
    pub(super) level: u8,
    pub(super) level_text: &'static str,
    pub(super) task: u32,
    pub(super) task_text: &'static str,
    pub(super) opcode: u8,
    pub(super) opcode_text: &'static str,
    pub(super) keywords: &'static str,
    pub(super) keyword: &'static str,
    /// `Security/@UserID`, empty where the event names none.
    pub(super) user: &'static str,
    /// How often, beside the others.
    pub(super) weight: usize,
    pub(super) title: &'static str,
    pub(super) style: Style,
    /// What stands below the fields.
    pub(super) note: &'static str,
    pub(super) fields: &'static [(&'static str, Field)],
}

/// How the message shows the fields.
#[derive(Clone, Copy)]
pub(super) enum Style {
    /// Headings with labels below, as Security does.
    Grouped,
    /// One a line, as Sysmon does.
    Listed,
    /// In one sentence.
    Said,
}

const SECURITY: Kind = Kind {
    channel: "Security",
    provider: "Microsoft-Windows-Security-Auditing",
    guid: "54849625-5478-4994-a5ba-3e3b0328c30d",
    provider_text: "Microsoft Windows security auditing.",
    id: 0,
    version: 0,
    level: 0,
    level_text: "Information",
    task: 0,
    task_text: "",
    opcode: 0,
    opcode_text: "Info",
    keywords: "0x8020000000000000",
    keyword: "Audit Success",
    user: "",
    weight: 1,
    title: "",
    style: Style::Grouped,
    note: "",
    fields: &[],
};
const SYSMON: Kind = Kind {
    channel: "Microsoft-Windows-Sysmon/Operational",
    provider: "Microsoft-Windows-Sysmon",
    guid: "5770385f-c22a-43e0-bf4c-06f5698ffbd9",
    provider_text: "Microsoft-Windows-Sysmon",
    version: 5,
    level: 4,
    keywords: "0x8000000000000000",
    keyword: "",
    user: "S-1-5-18",
    style: Style::Listed,
    ..SECURITY
};
const POWERSHELL: Kind = Kind {
    channel: "Microsoft-Windows-PowerShell/Operational",
    provider: "Microsoft-Windows-PowerShell",
    guid: "a0c1853b-5c40-4b15-8766-3cf1c58f985a",
    provider_text: "Microsoft-Windows-PowerShell",
    version: 1,
    keywords: "0x0",
    keyword: "",
    user: "S-1-5-21-1004336348-1177238915-682003330-1105",
    style: Style::Listed,
    ..SECURITY
};
const SYSTEM: Kind = Kind {
    channel: "System",
    provider: "Service Control Manager",
    guid: "555908d1-a6d7-4695-8e1e-26931d2012f4",
    provider_text: "Microsoft-Windows-Service Control Manager",
    level: 4,
    keywords: "0x8080000000000000",
    keyword: "Classic",
    style: Style::Said,
    ..SECURITY
};

const LOGON_NOTE: &str = "A logon session began on this computer. The subject asked for it and the new logon \
    is who it is for; the logon type says how, most often 2 (at the keyboard), 3 (over the network) or 5 (a \
    service).\r\n\r\nThe network information says where a remote logon came from, as far as that is known; \
    the name of the workstation may be empty.\r\n\r\nThe impersonation level says how far a process of the \
    session may act for the account. The logon GUID leads to the event of the domain controller that issued \
    the ticket; transited services and the package name say how the account was authenticated, and the key \
    length is 0 where no session key was asked for.";
const PROCESS_NOTE: &str = "The token elevation type says what the new process may do under User Account \
    Control:\r\n\r\nType 1 is a full token: User Account Control is off, or the account is the built-in \
    administrator or a service.\r\n\r\nType 2 is an elevated token: the program was started as administrator, \
    or always needs to be.\r\n\r\nType 3 is a limited token: the privileges of an administrator were taken \
    away because the program does not need them.";

#[rustfmt::skip]
pub(super) const KINDS: &[Kind] = &[
    Kind {
        id: 4624, version: 2, task: 12544, task_text: "Logon", weight: 20,
        title: "An account was successfully logged on.", note: LOGON_NOTE,
        fields: &[
            ("SubjectUserSid|Subject/Security ID", MachineSid),
            ("SubjectUserName|Subject/Account Name", MachineAccount),
            ("SubjectDomainName|Subject/Account Domain", Domain),
            ("SubjectLogonId|Subject/Logon ID", Const("0x3e7")),
            ("TargetUserSid|New Logon/Security ID", Sid),
            ("TargetUserName|New Logon/Account Name", User),
            ("TargetDomainName|New Logon/Account Domain", Domain),
            ("TargetLogonId|New Logon/Logon ID", LogonId),
            ("LogonType|Logon Information/Logon Type", Const("3")),
            ("LogonProcessName|Detailed Authentication Information/Logon Process", Const("Kerberos")),
            ("AuthenticationPackageName|Detailed Authentication Information/Authentication Package", Const("Kerberos")),
            ("WorkstationName|Network Information/Workstation Name", Const("-")),
            ("LogonGuid|New Logon/Logon GUID", Guid),
            ("TransmittedServices", Const("-")),
            ("LmPackageName", Const("-")),
            ("KeyLength", Const("0")),
            ("ProcessId|Process Information/Process ID", ProcessIdHex),
            ("ProcessName|Process Information/Process Name", Process),
            ("IpAddress|Network Information/Source Network Address", Address),
            ("IpPort|Network Information/Source Port", Port),
            ("ImpersonationLevel", Const("%%1833")),
            ("RestrictedAdminMode", Const("-")),
            ("TargetOutboundUserName", Const("-")),
            ("TargetOutboundDomainName", Const("-")),
            ("VirtualAccount", Const("%%1843")),
            ("TargetLinkedLogonId", Const("0x0")),
            ("ElevatedToken", Const("%%1842")),
        ],
        ..SECURITY
    },
    Kind {
        id: 4634, task: 12545, task_text: "Logoff", weight: 12, title: "An account was logged off.",
        note: "A logon session ended. The logon ID leads to the event with which it began; it is unique until the computer starts again.",
        fields: &[
            ("TargetUserSid|Subject/Security ID", Sid),
            ("TargetUserName|Subject/Account Name", User),
            ("TargetDomainName|Subject/Account Domain", Domain),
            ("TargetLogonId|Subject/Logon ID", LogonId),
            ("LogonType|Logon/Type", Const("3")),
        ],
        ..SECURITY
    },
    Kind {
        id: 4672, task: 12548, task_text: "Special Logon", weight: 8,
        title: "Special privileges assigned to new logon.",
        fields: &[
            ("SubjectUserSid|Subject/Security ID", Sid),
            ("SubjectUserName|Subject/Account Name", User),
            ("SubjectDomainName|Subject/Account Domain", Domain),
            ("SubjectLogonId|Subject/Logon ID", LogonId),
            ("PrivilegeList|Privileges/List", Const("SeSecurityPrivilege\n\t\t\tSeBackupPrivilege\n\t\t\tSeRestorePrivilege\n\t\t\tSeTakeOwnershipPrivilege\n\t\t\tSeDebugPrivilege\n\t\t\tSeSystemEnvironmentPrivilege\n\t\t\tSeLoadDriverPrivilege\n\t\t\tSeImpersonatePrivilege")),
        ],
        ..SECURITY
    },
    Kind {
        id: 4625, task: 12544, task_text: "Logon", weight: 2, title: "An account failed to log on.",
        keywords: "0x8010000000000000", keyword: "Audit Failure", note: LOGON_NOTE,
        fields: &[
            ("SubjectUserSid|Subject/Security ID", Const("S-1-0-0")),
            ("SubjectUserName|Subject/Account Name", Const("-")),
            ("SubjectDomainName|Subject/Account Domain", Const("-")),
            ("SubjectLogonId|Subject/Logon ID", Const("0x0")),
            ("TargetUserSid|Account For Which Logon Failed/Security ID", Const("S-1-0-0")),
            ("TargetUserName|Account For Which Logon Failed/Account Name", User),
            ("TargetDomainName|Account For Which Logon Failed/Account Domain", Domain),
            ("Status|Failure Information/Status", Const("0xc000006d")),
            ("FailureReason|Failure Information/Failure Reason", Const("%%2313")),
            ("SubStatus|Failure Information/Sub Status", Const("0xc000006a")),
            ("LogonType", Const("3")),
            ("LogonProcessName", Const("NtLmSsp ")),
            ("AuthenticationPackageName", Const("NTLM")),
            ("WorkstationName|Network Information/Workstation Name", Const("WS-204")),
            ("IpAddress|Network Information/Source Network Address", Address),
            ("IpPort|Network Information/Source Port", Port),
        ],
        ..SECURITY
    },
    Kind {
        id: 4688, version: 2, task: 13312, task_text: "Process Creation", weight: 14,
        title: "A new process has been created.", note: PROCESS_NOTE,
        fields: &[
            ("SubjectUserSid|Creator Subject/Security ID", Sid),
            ("SubjectUserName|Creator Subject/Account Name", User),
            ("SubjectDomainName|Creator Subject/Account Domain", Domain),
            ("SubjectLogonId|Creator Subject/Logon ID", LogonId),
            ("NewProcessId|Process Information/New Process ID", ProcessIdHex),
            ("NewProcessName|Process Information/New Process Name", Process),
            ("TokenElevationType|Process Information/Token Elevation Type", Const("%%1936")),
            ("ProcessId|Process Information/Creator Process ID", ProcessIdHex),
            ("CommandLine|Process Information/Process Command Line", Command),
            ("TargetUserSid", Const("S-1-0-0")),
            ("TargetUserName", Const("-")),
            ("TargetDomainName", Const("-")),
            ("TargetLogonId", Const("0x0")),
            ("ParentProcessName|Process Information/Creator Process Name", Parent),
            ("MandatoryLabel|Process Information/Mandatory Label", Const("S-1-16-8192")),
        ],
        ..SECURITY
    },
    Kind {
        id: 4689, task: 13313, task_text: "Process Termination", weight: 6, title: "A process has exited.",
        fields: &[
            ("SubjectUserSid|Subject/Security ID", Sid),
            ("SubjectUserName|Subject/Account Name", User),
            ("SubjectDomainName|Subject/Account Domain", Domain),
            ("SubjectLogonId|Subject/Logon ID", LogonId),
            ("Status|Process Information/Exit Status", Const("0x0")),
            ("ProcessId|Process Information/Process ID", ProcessIdHex),
            ("ProcessName|Process Information/Process Name", Process),
        ],
        ..SECURITY
    },
    Kind {
        id: 4769, task: 14337, task_text: "Kerberos Service Ticket Operations", weight: 6,
        title: "A Kerberos service ticket was requested.",
        fields: &[
            ("TargetUserName|Account Information/Account Name", User),
            ("TargetDomainName|Account Information/Account Domain", Const("CORP.EXAMPLE")),
            ("ServiceName|Service Information/Service Name", Const("FILES01$")),
            ("ServiceSid|Service Information/Service ID", Sid),
            ("TicketOptions|Additional Information/Ticket Options", Const("0x40810000")),
            ("TicketEncryptionType|Additional Information/Ticket Encryption Type", Const("0x12")),
            ("IpAddress|Network Information/Client Address", Address),
            ("IpPort|Network Information/Client Port", Port),
            ("Status|Additional Information/Failure Code", Const("0x0")),
            ("LogonGuid|Account Information/Logon GUID", Guid),
            ("TransmittedServices|Additional Information/Transited Services", Const("-")),
        ],
        ..SECURITY
    },
    Kind {
        id: 4663, version: 1, task: 12800, task_text: "File System", weight: 5,
        title: "An attempt was made to access an object.",
        fields: &[
            ("SubjectUserSid|Subject/Security ID", Sid),
            ("SubjectUserName|Subject/Account Name", User),
            ("SubjectDomainName|Subject/Account Domain", Domain),
            ("SubjectLogonId|Subject/Logon ID", LogonId),
            ("ObjectServer|Object/Object Server", Const("Security")),
            ("ObjectType|Object/Object Type", Const("File")),
            ("ObjectName|Object/Object Name", File),
            ("HandleId|Object/Handle ID", ProcessIdHex),
            ("AccessList|Access Request Information/Accesses", Const("%%4416\n\t\t\t\t%%4417\n\t\t\t\t")),
            ("AccessMask|Access Request Information/Access Mask", Const("0x3")),
            ("ProcessId|Process Information/Process ID", ProcessIdHex),
            ("ProcessName|Process Information/Process Name", Process),
            ("ResourceAttributes|Object/Resource Attributes", Const("S:AI")),
        ],
        ..SECURITY
    },
    Kind {
        id: 1, task: 1, task_text: "Process Create (rule: ProcessCreate)", weight: 12,
        title: "Process Create:",
        fields: &[
            ("RuleName", Const("-")), ("UtcTime", Time), ("ProcessGuid", Guid), ("ProcessId", ProcessId),
            ("Image", Process), ("FileVersion", Const("10.0.19041.1 (WinBuild.160101.0800)")),
            ("Description", Image), ("Product", Const("Microsoft® Windows® Operating System")),
            ("Company", Const("Microsoft Corporation")), ("OriginalFileName", Image),
            ("CommandLine", Command), ("CurrentDirectory", Folder), ("User", User), ("LogonGuid", Guid),
            ("LogonId", LogonId), ("TerminalSessionId", Const("1")), ("IntegrityLevel", Const("Medium")),
            ("Hashes", Hashes), ("ParentProcessGuid", Guid), ("ParentProcessId", ProcessId),
            ("ParentImage", Parent), ("ParentCommandLine", ParentCommand), ("ParentUser", User),
        ],
        ..SYSMON
    },
    Kind {
        id: 3, task: 3, task_text: "Network connection detected (rule: NetworkConnect)", weight: 6,
        title: "Network connection detected:",
        fields: &[
            ("RuleName", Const("Usermode")), ("UtcTime", Time), ("ProcessGuid", Guid), ("ProcessId", ProcessId),
            ("Image", Process), ("User", User), ("Protocol", Const("tcp")), ("Initiated", Const("true")),
            ("SourceIsIpv6", Const("false")), ("SourceIp", Address), ("SourceHostname", Const("-")),
            ("SourcePort", Port), ("SourcePortName", Const("-")), ("DestinationIsIpv6", Const("false")),
            ("DestinationIp", Address), ("DestinationHostname", Name), ("DestinationPort", Const("443")),
            ("DestinationPortName", Const("https")),
        ],
        ..SYSMON
    },
    Kind {
        id: 13, version: 2, task: 13, task_text: "Registry value set (rule: RegistryEvent)", weight: 5,
        title: "Registry value set:",
        fields: &[
            ("RuleName", Const("-")), ("EventType", Const("SetValue")), ("UtcTime", Time), ("ProcessGuid", Guid),
            ("ProcessId", ProcessId), ("Image", Process), ("TargetObject", Registry),
            ("Details", Const("DWORD (0x00000001)")), ("User", User),
        ],
        ..SYSMON
    },
    Kind {
        id: 22, task: 22, task_text: "Dns query (rule: DnsQuery)", weight: 6, title: "Dns query:",
        fields: &[
            ("RuleName", Const("-")), ("UtcTime", Time), ("ProcessGuid", Guid), ("ProcessId", ProcessId),
            ("QueryName", Name), ("QueryStatus", Const("0")), ("QueryResults", Answers), ("Image", Process),
            ("User", User),
        ],
        ..SYSMON
    },
    Kind {
        id: 11, version: 2, task: 11, task_text: "File created (rule: FileCreate)", weight: 4,
        title: "File created:",
        fields: &[
            ("RuleName", Const("-")), ("UtcTime", Time), ("ProcessGuid", Guid), ("ProcessId", ProcessId),
            ("Image", Process), ("TargetFilename", File), ("CreationUtcTime", Time), ("User", User),
        ],
        ..SYSMON
    },
    Kind {
        id: 4104, level: 5, level_text: "Verbose", task: 2, task_text: "Execute a Remote Command", opcode: 15,
        opcode_text: "On create calls", weight: 6, title: "Creating Scriptblock text (1 of 1):",
        fields: &[
            ("MessageNumber", Const("1")), ("MessageTotal", Const("1")), ("ScriptBlockText", Script),
            ("ScriptBlockId", Guid), ("Path", Const("C:\\Scripts\\inventory.ps1")),
        ],
        ..POWERSHELL
    },
    Kind {
        id: 4103, level: 4, task: 106, task_text: "Executing Pipeline", opcode: 20,
        opcode_text: "To be used when operation is just executing a method", weight: 5,
        title: "CommandInvocation(Get-CimInstance): \"Get-CimInstance\"",
        fields: &[
            ("ContextInfo", Const("        Severity = Informational\r\n        Host Name = ConsoleHost\r\n        Host Version = 5.1.19041.3031\r\n        Engine Version = 5.1.19041.3031\r\n        Runspace ID = 5\r\n        Pipeline ID = 12\r\n        Command Name = Get-CimInstance\r\n        Command Type = Cmdlet\r\n        Sequence Number = 16\r\n        Connected User = \r\n        Shell ID = Microsoft.PowerShell\r\n")),
            ("UserData", Const("")), ("Payload", Command),
        ],
        ..POWERSHELL
    },
    Kind {
        id: 7036, weight: 6, title: "Service and its new state:",
        fields: &[("param1", Service), ("param2", Const("running"))],
        ..SYSTEM
    },
    Kind {
        id: 7040, weight: 2, user: "S-1-5-18", title: "Start type of a service, before and after:",
        fields: &[
            ("param1", Service), ("param2", Const("demand start")), ("param3", Const("auto start")),
            ("param4", Const("BITS")),
        ],
        ..SYSTEM
    },
    Kind {
        id: 1014, level: 3, level_text: "Warning", task: 1014, keywords: "0x4000000010000000", keyword: "",
        provider: "Microsoft-Windows-DNS-Client", guid: "1c95126e-7eea-49a9-a3fe-a378b03ddb4d",
        provider_text: "Microsoft-Windows-DNS-Client", user: "S-1-5-20", weight: 2,
        title: "No configured DNS server answered for the name:",
        fields: &[("QueryName", Name), ("AddressLength", Number(128)), ("Address", Address)],
        ..SYSTEM
    },
];
