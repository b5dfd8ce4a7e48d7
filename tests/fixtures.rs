//! The sample log the project ships, `pipelines/sample.evtx`: a made-up morning of three machines
//! as a collector would have stored it. `UPDATE=1 cargo test fixtures` writes it anew.

use forebay::event::Timestamp;
use forebay::event::xml::XmlEvent;
use forebay::evtx::write::{LogWriter, Options};
use std::fmt::Write;
use std::path::Path;

const SAMPLE: &str = "pipelines/sample.evtx";
/// What a fresh clone should not have to download much of.
const SAMPLE_BYTES_MAX: usize = 300 * 1024;

const HOSTS: [&str; 3] = ["dc1.example.org", "web2.example.org", "ws-0317.example.org"];
const USERS: [&str; 6] = ["alice", "bob", "carol", "dave", "svc-backup", "Ünal"];
const AUDIT: (&str, &str) = ("Microsoft-Windows-Security-Auditing", "{54849625-5478-4994-a5ba-3e3b0328c30d}");

/// One event in the making.
struct Draft {
    provider: (&'static str, &'static str),
    id: u32,
    level: u8,
    task: u32,
    keywords: &'static str,
    channel: &'static str,
    body: String,
    rendering: Option<(&'static str, String)>,
}

impl Draft {
    fn audit(id: u32, task: u32, keywords: &'static str, body: String) -> Self {
        Self { provider: AUDIT, id, level: 0, task, keywords, channel: "Security", body, rendering: None }
    }

    fn xml(&self, host: &str, record: u64, time: Timestamp) -> String {
        let mut stamp = Vec::new();
        time.write(7, &mut stamp);
        let stamp = String::from_utf8(stamp).unwrap();
        let (name, guid) = self.provider;
        let provider = if guid.is_empty() {
            format!("<Provider Name='{name}'/><EventID Qualifiers='16384'>{}</EventID>", self.id)
        } else {
            format!(
                "<Provider Name='{name}' Guid='{guid}'/><EventID>{}</EventID><Version>2</Version>",
                self.id
            )
        };
        let mut xml = format!(
            "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>{provider}\
             <Level>{}</Level><Task>{}</Task><Opcode>0</Opcode><Keywords>{}</Keywords>\
             <TimeCreated SystemTime='{stamp}'/><EventRecordID>{record}</EventRecordID><Correlation/>\
             <Execution ProcessID='{}' ThreadID='{}'/><Channel>{}</Channel><Computer>{host}</Computer>\
             <Security/></System>{}",
            self.level,
            self.task,
            self.keywords,
            600 + record % 7 * 4,
            1000 + record % 13 * 8,
            self.channel,
            self.body
        );
        if let Some((task, message)) = &self.rendering {
            let _ = write!(
                xml,
                "<RenderingInfo Culture='en-US'><Message>{message}</Message><Level>Information</Level>\
                 <Task>{task}</Task><Opcode>Info</Opcode><Channel>{}</Channel><Provider>{name}</Provider>\
                 <Keywords><Keyword>Audit Success</Keyword></Keywords></RenderingInfo>",
                self.channel
            );
        }
        xml + "</Event>"
    }
}

fn data(fields: &[(&str, &str)]) -> String {
    let mut body = String::from("<EventData>");
    for (name, value) in fields {
        let value = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = write!(body, "<Data Name='{name}'>{value}</Data>");
    }
    body + "</EventData>"
}

fn sid(user: usize) -> String {
    format!("S-1-5-21-1111111111-2222222222-3333333333-{}", 1100 + user)
}

fn logon(number: usize) -> Draft {
    let user = number % USERS.len();
    let (logon_id, address) =
        (format!("0x{:x}", 0x3e7 + number * 4096), format!("192.0.2.{}", 10 + number % 40));
    let body = data(&[
        ("SubjectUserSid", "S-1-5-18"),
        ("SubjectUserName", "DC1$"),
        ("TargetUserSid", &sid(user)),
        ("TargetUserName", USERS[user]),
        ("TargetLogonId", &logon_id),
        ("LogonType", ["2", "3", "10"][number % 3]),
        ("LogonProcessName", "Advapi  "),
        ("AuthenticationPackageName", "Negotiate"),
        ("WorkstationName", "-"),
        ("ProcessName", r"C:\Windows\System32\lsass.exe"),
        ("IpAddress", &address),
        ("IpPort", "0"),
    ]);
    let mut draft = Draft::audit(4624, 12544, "0x8020000000000000", body);
    if number.is_multiple_of(4) {
        let message = format!(
            "An account was successfully logged on.\r\n\r\nNew Logon:\r\n\tAccount Name:\t\t{}\r\n\tLogon ID:\t\t{logon_id}",
            USERS[user]
        );
        draft.rendering = Some(("Logon", message));
    }
    draft
}

fn failed_logon(number: usize) -> Draft {
    let body = data(&[
        ("SubjectUserSid", "S-1-0-0"),
        ("SubjectUserName", "-"),
        ("TargetUserName", ["administrator", "root", "test & more"][number % 3]),
        ("Status", "0xc000006d"),
        ("FailureReason", "%%2313"),
        ("SubStatus", "0xc000006a"),
        ("LogonType", "3"),
        ("IpAddress", &format!("198.51.100.{}", number % 250)),
        ("IpPort", &(49152 + number).to_string()),
    ]);
    Draft::audit(4625, 12544, "0x8010000000000000", body)
}

fn process(number: usize) -> Draft {
    let command = [
        r#""C:\Program Files\Backup\agent.exe" --once"#,
        r"cmd.exe /c dir C:\Users > C:\Temp\list.txt && type C:\Temp\list.txt",
        "powershell.exe -NoProfile -Command \"Get-Service | Where-Object { $_.Status -eq 'Running' }\"",
    ][number % 3];
    let body = data(&[
        ("SubjectUserSid", &sid(number % USERS.len())),
        ("SubjectUserName", USERS[number % USERS.len()]),
        ("NewProcessId", &format!("0x{:x}", 0x400 + number * 4)),
        ("NewProcessName", r"C:\Windows\System32\cmd.exe"),
        ("TokenElevationType", "%%1936"),
        ("CommandLine", command),
        ("ParentProcessName", r"C:\Windows\explorer.exe"),
    ]);
    Draft::audit(4688, 13312, "0x8020000000000000", body)
}

fn cleared(number: usize) -> Draft {
    let body = format!(
        "<UserData><LogFileCleared xmlns='http://manifests.microsoft.com/win/2004/08/windows/eventlog'>\
         <SubjectUserSid>{}</SubjectUserSid><SubjectUserName>{}</SubjectUserName><SubjectDomainName>EXAMPLE\
         </SubjectDomainName><SubjectLogonId>0x5a1f3</SubjectLogonId></LogFileCleared></UserData>",
        sid(number % USERS.len()),
        USERS[number % USERS.len()]
    );
    let provider = ("Microsoft-Windows-Eventlog", "{fc65ddd8-d6ef-4962-83d5-6e5cfe9ce148}");
    Draft { provider, level: 4, ..Draft::audit(1102, 104, "0x4020000000000000", body) }
}

fn service(number: usize) -> Draft {
    let body = data(&[
        ("ServiceName", &format!("Example Agent {number}")),
        ("ImagePath", r"C:\ProgramData\agent\agent.exe -service"),
        ("ServiceType", "user mode service"),
        ("StartType", "auto start"),
        ("AccountName", "LocalSystem"),
    ]);
    Draft {
        provider: ("Service Control Manager", "{555908d1-a6d7-4695-8e1e-26931d2012f4}"),
        level: 4,
        channel: "System",
        ..Draft::audit(7045, 0, "0x8080000000000000", body)
    }
}

fn sysmon(number: usize) -> Draft {
    let body = data(&[
        ("RuleName", ""),
        ("UtcTime", "2026-01-05 07:30:00.000"),
        ("ProcessGuid", &format!("{{8e1b2c3d-0001-6959-{number:04x}-000000000c00}}")),
        ("ProcessId", &(4000 + number).to_string()),
        ("Image", r"C:\Windows\System32\whoami.exe"),
        ("CommandLine", "whoami /all"),
        ("User", &format!("EXAMPLE\\{}", USERS[number % USERS.len()])),
        ("IntegrityLevel", "Medium"),
        ("Hashes", &format!("SHA256={:064X}", 0x5eed_0000_u64 + number as u64)),
    ]);
    Draft {
        provider: ("Microsoft-Windows-Sysmon", "{5770385f-c22a-43e0-bf4c-06f5698ffbd9}"),
        level: 4,
        channel: "Microsoft-Windows-Sysmon/Operational",
        ..Draft::audit(1, 1, "0x8000000000000000", body)
    }
}

fn script(number: usize) -> Draft {
    let text = format!(
        "function Get-Inventory {{\r\n    param([string]$Name = 'room {number}')\r\n    Get-ChildItem $Name |\r\n\
         \u{20}       Where-Object {{ $_.Length -gt 1MB -and $_.Name -notlike \"*.tmp\" }}\r\n}}\r\n"
    );
    let body = data(&[
        ("MessageNumber", "1"),
        ("MessageTotal", "1"),
        ("ScriptBlockText", &text),
        ("ScriptBlockId", &format!("6a2d1b9c-0000-4000-8000-{number:012}")),
        ("Path", ""),
    ]);
    Draft {
        provider: ("Microsoft-Windows-PowerShell", "{a0c1853b-5c40-4b15-8766-3cf1c58f985a}"),
        level: 5,
        channel: "Microsoft-Windows-PowerShell/Operational",
        ..Draft::audit(4104, 2, "0x0", body)
    }
}

/// A classic provider: Data without names.
fn classic(number: usize) -> Draft {
    let body = format!(
        "<EventData><Data>Backup of volume D: finished</Data><Data>{number}</Data><Data></Data>\
         <Binary>00000000{number:04X}</Binary></EventData>"
    );
    Draft {
        provider: ("Example Backup", ""),
        level: 4,
        channel: "Application",
        ..Draft::audit(100, 0, "0x80000000000000", body)
    }
}

fn sample() -> Vec<u8> {
    const EVENTS: u64 = 160;
    let mut bytes = Vec::new();
    let mut log = LogWriter::create(Options::default(), &mut bytes).unwrap();
    let begin = Timestamp::parse(b"2026-01-05T07:30:00.1234567Z").unwrap();
    for number in 0..EVENTS {
        let index = number as usize;
        let draft = match index % 20 {
            0..6 => logon(index),
            6..9 => failed_logon(index),
            9..14 => process(index),
            14 => service(index),
            15 | 16 => sysmon(index),
            17 => script(index),
            18 => classic(index),
            _ if index.is_multiple_of(3) => cleared(index),
            _ => logon(index),
        };
        let time = Timestamp(begin.0 + (number * 17_123_456_700) as i64);
        let xml = draft.xml(HOSTS[index % HOSTS.len()], 5000 + number, time);
        let event = XmlEvent::parse(xml.as_bytes()).unwrap();
        // A collector stores an event a moment after it happened.
        log.push(&event, Timestamp(time.0 + 1_500_000_000).to_filetime(), &mut bytes).unwrap();
    }
    log.close(&mut bytes).unwrap();
    bytes
}

#[test]
fn the_sample_log_is_what_the_generator_makes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(SAMPLE);
    let made = sample();
    assert!(made.len() <= SAMPLE_BYTES_MAX, "{} bytes", made.len());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let shipped = std::fs::read(&path).unwrap();
    assert!(shipped == made, "{SAMPLE} is another one; `UPDATE=1 cargo test fixtures` writes it anew");
}

#[test]
fn every_reader_finds_the_same_events_in_the_sample() {
    let found = crate::evtx_written::readers(&sample());
    for (reader, events) in &found {
        assert_eq!(events.len(), 160, "{reader}");
        for (event, first) in events.iter().zip(&found[0].1) {
            assert!(crate::evtx_written::same(reader, event, first), "{reader} reads\n{event}\nfor\n{first}");
        }
    }
}

#[test]
fn logs_are_joined_by_convert_with_the_same_events() {
    let folder = tempfile::tempdir().unwrap();
    let joined = folder.path().join("joined.evtx");
    let sample_log = Path::new(env!("CARGO_MANIFEST_DIR")).join(SAMPLE);
    let convert = |output: Option<&Path>| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_forebay"));
        command.args(["convert", "--format", "evtx", "--threads", "2"]).args([&sample_log, &sample_log]);
        if let Some(output) = output {
            command.arg("-o").arg(output);
        }
        command.output().unwrap()
    };
    let refused = convert(None);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("-o FILE"));
    let done = convert(Some(&joined));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let expected = &crate::evtx_written::readers(&sample())[0].1;
    for (reader, events) in crate::evtx_written::readers(&std::fs::read(&joined).unwrap()) {
        assert_eq!(events.len(), 320, "{reader}");
        for (event, first) in events.iter().zip(expected.iter().chain(expected)) {
            assert!(crate::evtx_written::same(reader, event, first), "{reader} reads\n{event}\nfor\n{first}");
        }
    }
}
