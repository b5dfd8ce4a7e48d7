//! Which names of EventData have a key of CEF.
//!
//! | names | key |
//! |---|---|
//! | WorkstationName, Workstation, SourceHostname | `shost` |
//! | IpAddress, SourceAddress, SourceIp, ClientAddress | `src`; an IPv6 address `c6a2` |
//! | IpPort, SourcePort | `spt` |
//! | DestAddress, DestinationIp | `dst`; an IPv6 address `c6a3` |
//! | DestPort, DestinationPort | `dpt` |
//! | TargetUserName, TargetDomainName, TargetLogonId | `duser`, `dntdom`, `duid` |
//! | SubjectUserName, SubjectDomainName, SubjectLogonId | `suser`, `sntdom`, `suid` |
//! | ProcessName, CallerProcessName, ParentProcessName, ParentImage | `sproc` |
//! | NewProcessName, Image | `dproc` |
//! | ObjectName, TargetFilename | `filePath` |
//! | ServiceName | `destinationServiceName` |
//! | LogonType | `cn1`, labelled `LogonType` |
//! | CommandLine | `cs1`, labelled `CommandLine` |
//! | Status, FailureCode, ErrorCode, ResultCode | `cs4`, labelled `Reason or Error Code` |
//! | AuthenticationPackageName | `cs5`, labelled `Authentication Package` |
//!
//! The first that has a text other than `-` takes the key, if the text is what the key is for (a
//! number, an address). IPv4 addresses in the form of IPv6 (`::ffff:…`) are written as IPv4.
//! All that takes none is additional.

use super::{Pen, Texts};
use std::net::IpAddr;

/// Longest values that the format gives its keys.
pub(super) struct Key;

impl Key {
    pub(super) const EXTERNAL_ID_BYTES_MAX: usize = 40;
    pub(super) const DEVICE_HOST_BYTES_MAX: usize = 100;
    pub(super) const NAME_BYTES_MAX: usize = 255;
    pub(super) const HEADER_NAME_BYTES_MAX: usize = 512;
    pub(super) const TEXT_BYTES_MAX: usize = 1023;
    pub(super) const CUSTOM_BYTES_MAX: usize = 4000;
}

#[derive(Clone, Copy)]
enum Slot {
    SourceHost,
    Source,
    SourcePort,
    Destination,
    DestinationPort,
    User,
    UserDomain,
    UserId,
    Subject,
    SubjectDomain,
    SubjectId,
    Process,
    NewProcess,
    File,
    Service,
    LogonType,
    Command,
    Code,
    Package,
}

const SLOTS: usize = Slot::Package as usize + 1;

/// Texts that are written as they are.
const TEXTS: [(Slot, &str, usize); 11] = [
    (Slot::DestinationPort, "dpt", Key::NAME_BYTES_MAX),
    (Slot::User, "duser", Key::TEXT_BYTES_MAX),
    (Slot::UserDomain, "dntdom", Key::NAME_BYTES_MAX),
    (Slot::UserId, "duid", Key::TEXT_BYTES_MAX),
    (Slot::Subject, "suser", Key::TEXT_BYTES_MAX),
    (Slot::SubjectDomain, "sntdom", Key::NAME_BYTES_MAX),
    (Slot::SubjectId, "suid", Key::TEXT_BYTES_MAX),
    (Slot::Process, "sproc", Key::TEXT_BYTES_MAX),
    (Slot::NewProcess, "dproc", Key::TEXT_BYTES_MAX),
    (Slot::File, "filePath", Key::TEXT_BYTES_MAX),
    (Slot::Service, "destinationServiceName", Key::TEXT_BYTES_MAX),
];

/// Custom keys with their labels.
const LABELLED: [(Slot, &str, &str); 3] = [
    (Slot::LogonType, "cn1", "LogonType"),
    (Slot::Command, "cs1", "CommandLine"),
    (Slot::Package, "cs5", "Authentication Package"),
];

/// Which pair of an event has which key.
pub(super) struct Mapped([Option<usize>; SLOTS]);

impl Mapped {
    pub(super) fn of(texts: &Texts) -> Self {
        let mut slots = [None; SLOTS];
        for (place, (name, text)) in texts.pairs().enumerate() {
            let Some(slot) = slot(name) else { continue };
            if slots[slot as usize].is_none() && fits(slot, text.trim_ascii()) {
                slots[slot as usize] = Some(place);
            }
        }
        Self(slots)
    }

    pub(super) fn has(&self, place: usize) -> bool {
        self.0.contains(&Some(place))
    }

    fn text<'f>(&self, slot: Slot, texts: &'f Texts) -> &'f [u8] {
        self.0[slot as usize].map_or(&[], |place| texts.text_of(place).trim_ascii())
    }

    pub(super) fn write_source(&self, texts: &Texts, pen: &mut Pen<'_>) {
        pen.text("shost", self.text(Slot::SourceHost, texts), Key::TEXT_BYTES_MAX);
        write_address(self.text(Slot::Source, texts), ["src", "c6a2", "Source IPv6 Address"], pen);
        pen.text("spt", self.text(Slot::SourcePort, texts), Key::NAME_BYTES_MAX);
    }

    pub(super) fn write_rest(&self, texts: &Texts, pen: &mut Pen<'_>) {
        let labels = ["dst", "c6a3", "Destination IPv6 Address"];
        write_address(self.text(Slot::Destination, texts), labels, pen);
        for (slot, key, bytes_max) in TEXTS {
            pen.text(key, self.text(slot, texts), bytes_max);
        }
        for (slot, key, label) in LABELLED {
            let text = self.text(slot, texts);
            if !text.is_empty() {
                pen.text(key, text, Key::CUSTOM_BYTES_MAX);
                pen.label(key, label);
            }
        }
    }

    pub(super) fn write_code(&self, texts: &Texts, pen: &mut Pen<'_>) {
        let code = self.text(Slot::Code, texts);
        pen.text("cs4", if code.is_empty() { b"-" } else { code }, Key::CUSTOM_BYTES_MAX);
        pen.label("cs4", "Reason or Error Code");
    }
}

fn slot(name: &[u8]) -> Option<Slot> {
    Some(match name {
        b"WorkstationName" | b"Workstation" | b"SourceHostname" => Slot::SourceHost,
        b"IpAddress" | b"SourceAddress" | b"SourceIp" | b"ClientAddress" => Slot::Source,
        b"IpPort" | b"SourcePort" => Slot::SourcePort,
        b"DestAddress" | b"DestinationIp" => Slot::Destination,
        b"DestPort" | b"DestinationPort" => Slot::DestinationPort,
        b"TargetUserName" => Slot::User,
        b"TargetDomainName" => Slot::UserDomain,
        b"TargetLogonId" => Slot::UserId,
        b"SubjectUserName" => Slot::Subject,
        b"SubjectDomainName" => Slot::SubjectDomain,
        b"SubjectLogonId" => Slot::SubjectId,
        b"ProcessName" | b"CallerProcessName" | b"ParentProcessName" | b"ParentImage" => Slot::Process,
        b"NewProcessName" | b"Image" => Slot::NewProcess,
        b"ObjectName" | b"TargetFilename" => Slot::File,
        b"ServiceName" => Slot::Service,
        b"LogonType" => Slot::LogonType,
        b"CommandLine" => Slot::Command,
        b"Status" | b"FailureCode" | b"ErrorCode" | b"ResultCode" => Slot::Code,
        b"AuthenticationPackageName" => Slot::Package,
        _ => return None,
    })
}

/// Whether a text says what its key is for.
fn fits(slot: Slot, text: &[u8]) -> bool {
    let text = str::from_utf8(text).unwrap_or_default();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match slot {
        Slot::Source | Slot::Destination => text.parse::<IpAddr>().is_ok(),
        Slot::SourcePort | Slot::DestinationPort => is_number && text.parse::<u16>().is_ok(),
        Slot::LogonType => is_number && text.parse::<u32>().is_ok(),
        _ => !matches!(text, "" | "-"),
    }
}

/// Under the key for IPv4, or the one for IPv6 with its label.
fn write_address(text: &[u8], [v4, v6, label]: [&str; 3], pen: &mut Pen<'_>) {
    let Some(address) = str::from_utf8(text).ok().and_then(|text| text.parse::<IpAddr>().ok()) else {
        return;
    };
    match address.to_canonical() {
        IpAddr::V4(address) => pen.display(v4, address),
        IpAddr::V6(address) => {
            pen.display(v6, address);
            pen.label(v6, label);
        }
    }
}
