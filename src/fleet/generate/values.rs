//! Values of generated events: who, where and what, the same within one event.

use crate::fleet::dice::Dice;

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    Const(&'static str),
    /// The machine's own account, and who is signed in.
    MachineSid,
    MachineAccount,
    Sid,
    User,
    Domain,
    LogonId,
    Process,
    Parent,
    Image,
    ProcessId,
    ProcessIdHex,
    Command,
    ParentCommand,
    Folder,
    Address,
    Port,
    Guid,
    Time,
    Hashes,
    Name,
    Answers,
    Registry,
    File,
    Service,
    Script,
    Number(usize),
}

const USERS: [&str; 12] = [
    "anna.weber",
    "b.okafor",
    "carla",
    "d.nguyen",
    "svc-backup",
    "svc-sql",
    "e.rossi",
    "f.haddad",
    "grace.h",
    "admin-t1",
    "h.lindqvist",
    "i.petrov",
];
const PROGRAMS: [&str; 14] = [
    r"C:\Windows\System32\svchost.exe",
    r"C:\Windows\System32\services.exe",
    r"C:\Windows\explorer.exe",
    r"C:\Windows\System32\cmd.exe",
    r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe",
    r"C:\Windows\System32\taskhostw.exe",
    r"C:\Windows\System32\conhost.exe",
    r"C:\Program Files\Mozilla Firefox\firefox.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
    r"C:\Program Files\Microsoft Office\root\Office16\OUTLOOK.EXE",
    r"C:\Windows\System32\wbem\WmiPrvSE.exe",
    r"C:\Windows\System32\lsass.exe",
    r"C:\Program Files\7-Zip\7z.exe",
    r"C:\Windows\System32\net.exe",
];
const ARGUMENTS: [&str; 10] = [
    "-k netsvcs -p -s Schedule",
    "/c \"whoami /groups & ipconfig /all > C:\\Temp\\out.txt\"",
    "-NoProfile -ExecutionPolicy Bypass -File C:\\Scripts\\inventory.ps1 -Site \"North\"",
    "--type=renderer --field-trial-handle=1748,i,1029384756,1 --lang=en-US --no-sandbox",
    "0xffffffff -ForceV1",
    "a -mx5 D:\\Backup\\share.7z C:\\Users\\Public\\Documents\\*",
    "use Z: \\\\files01\\home /persistent:yes",
    "-secured -Embedding",
    "/quiet /norestart",
    "",
];
const FILES: [&str; 6] = [
    r"C:\Users\Public\Documents\report-q3.xlsx",
    r"C:\Windows\Temp\tmp4A1F.tmp",
    r"C:\ProgramData\Updates\cache.bin",
    r"C:\Users\Default\AppData\Local\Temp\~DF2C.TMP",
    r"D:\Shares\Finance\2026\ledger.accdb",
    r"C:\Windows\Prefetch\POWERSHELL.EXE-920BBA2A.pf",
];
const KEYS: [&str; 4] = [
    r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Run\Updater",
    r"HKLM\System\CurrentControlSet\Services\bam\State\UserSettings",
    r"HKU\.DEFAULT\Software\Policies\Internet Settings\ProxyEnable",
    r"HKLM\SOFTWARE\Classes\CLSID\InprocServer32\(Default)",
];
const NAMES: [&str; 8] = [
    "login.contoso.example",
    "update.vendor.example",
    "wpad.corp.example",
    "files01.corp.example",
    "time.corp.example",
    "cdn-3.images.example",
    "api.telemetry.example",
    "dc2.corp.example",
];
const SERVICES: [&str; 6] = [
    "Background Intelligent Transfer Service",
    "Windows Update",
    "WinHTTP Web Proxy Auto-Discovery Service",
    "Print Spooler",
    "Windows Modules Installer",
    "Volume Shadow Copy",
];
const SCRIPTS: [&str; 3] = [
    "function Get-Inventory {\r\n    param([string]$Site = 'North')\r\n    $disks = Get-CimInstance Win32_LogicalDisk -Filter \"DriveType=3\"\r\n    foreach ($disk in $disks) {\r\n        if ($disk.FreeSpace / $disk.Size -lt 0.1) { Write-Warning \"$($disk.DeviceID) is nearly full\" }\r\n    }\r\n    $disks | Select-Object DeviceID, Size, FreeSpace | Export-Csv \"\\\\files01\\inventory\\$env:COMPUTERNAME.csv\" -NoTypeInformation\r\n}\r\nGet-Inventory -Site 'North'",
    "$ErrorActionPreference = 'Stop'\r\ntry {\r\n    Get-Service | Where-Object { $_.Status -ne 'Running' -and $_.StartType -eq 'Automatic' } | Start-Service\r\n} catch {\r\n    Add-Content -Path C:\\Logs\\services.log -Value (\"{0:u} {1}\" -f (Get-Date), $_.Exception.Message)\r\n}",
    "prompt",
];

/// Who and what one event is about.
pub(super) struct Scene {
    pub(super) service_process: usize,
    user: &'static str,
    sid: String,
    logon: u64,
    process: &'static str,
    parent: &'static str,
    arguments: &'static str,
    id: usize,
}

impl Scene {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let relative = 1000 + dice.below(9000);
        Self {
            service_process: 4 * (1 + dice.below(300)),
            user: dice.pick(&USERS),
            sid: format!("S-1-5-21-1004336348-1177238915-682003330-{relative}"),
            logon: 0x1_0000 + dice.roll() % 0xfff_ffff,
            process: dice.pick(&PROGRAMS),
            parent: dice.pick(&PROGRAMS),
            arguments: dice.pick(&ARGUMENTS),
            id: 4 * (100 + dice.below(4000)),
        }
    }

    pub(super) fn value(&self, field: Field, dice: &mut Dice) -> String {
        let name = |path: &str| path.rsplit('\\').next().unwrap_or(path).to_owned();
        match field {
            Field::Const(text) => text.into(),
            Field::MachineSid => "S-1-5-18".into(),
            Field::MachineAccount => "HOST$".into(),
            Field::Sid => self.sid.clone(),
            Field::User => self.user.into(),
            Field::Domain => "CORP".into(),
            Field::LogonId => format!("{:#x}", self.logon),
            Field::Process => self.process.into(),
            Field::Parent => self.parent.into(),
            Field::Image => name(self.process),
            Field::ProcessId => self.id.to_string(),
            Field::ProcessIdHex => format!("{:#x}", self.id),
            Field::Command => format!("\"{}\" {}", self.process, self.arguments),
            Field::ParentCommand => self.parent.into(),
            Field::Folder => format!("C:\\Users\\{}\\", self.user),
            Field::Address => format!("10.{}.{}.{}", dice.below(8), dice.below(256), 1 + dice.below(254)),
            Field::Port => (1024 + dice.below(64_000)).to_string(),
            Field::Guid => format!("{{{}}}", dice.guid().to_string().to_lowercase()),
            Field::Time => format!(
                "2026-01-{:02} {:02}:{:02}:{:02}.{:03}",
                1 + dice.below(28),
                dice.below(24),
                dice.below(60),
                dice.below(60),
                dice.below(1000)
            ),
            Field::Hashes => format!(
                "MD5={:016X}{:016X},SHA256={:016X}{:016X}{:016X}{:016X},IMPHASH={:016X}{:016X}",
                dice.roll(),
                dice.roll(),
                dice.roll(),
                dice.roll(),
                dice.roll(),
                dice.roll(),
                dice.roll(),
                dice.roll()
            ),
            Field::Name => dice.pick(&NAMES).into(),
            Field::Answers => format!("::ffff:10.0.{}.{};", dice.below(256), dice.below(256)),
            Field::Registry => dice.pick(&KEYS).into(),
            Field::File => dice.pick(&FILES).into(),
            Field::Service => dice.pick(&SERVICES).into(),
            Field::Script => dice.pick(&SCRIPTS).into(),
            Field::Number(limit) => dice.below(limit).to_string(),
        }
    }
}
