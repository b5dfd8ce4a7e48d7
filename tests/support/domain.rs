//! A domain controller of Samba, compatible with Active Directory, in a network of its own: its ports are below
//! 1024, so it needs root. Whoever is to reach it is started by `command`, in the same network.

use super::lab::{Member, find};
use super::process::{Process, eventually, quiet, told};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

pub(crate) const REALM: &str = "CORP.FOREBAY.TEST";

/// A running controller.
pub(crate) struct Domain {
    /// With everything in its network and among its processes; it goes before what it writes to.
    controller: Process,
    folder: TempDir,
}

/// A machine of the domain that has proved itself.
pub(crate) struct Machine<'d> {
    domain: &'d Domain,
    principal: String,
    cache: PathBuf,
}

impl Domain {
    /// The domain, or a word on why the test is skipped.
    pub(crate) fn start(test: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("SKIP {test}: a domain controller needs root");
            return None;
        }
        for program in ["samba", "samba-tool", "unshare", "nsenter", "ip", "kinit"] {
            if find(program).is_none() {
                println!("SKIP {test}: {program} is not installed");
                return None;
            }
        }
        let folder = TempDir::with_prefix("forebay-domain-").unwrap();
        provision(&folder);
        let (program, at) = (find("samba").unwrap(), folder.path().display().to_string());
        let run = format!(
            "ip link set lo up && exec {} -s {at}/etc/smb.conf -F --no-process-group --debug-stdout",
            program.display()
        );
        let mut controller = Command::new("unshare");
        controller.args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", &run]);
        let controller = Process::start(quiet(controller, folder.path()));
        let domain = Self { controller, folder };
        eventually("the controller gives tickets", || {
            let mut kinit = domain.command("kinit");
            kinit.args(["-k", "-t", &format!("{at}/machines.keytab"), "WS-00000$"]);
            kinit.output().unwrap().status.success()
        });
        Some(domain)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program in the network of the controller.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        let network = format!("--net=/proc/{}/ns/net", self.controller.id());
        command.arg(network).arg("--").arg(find(program).unwrap_or_else(|| program.into()));
        command
            .current_dir(self.folder.path())
            .env("KRB5_CONFIG", self.path("krb5.conf"))
            .env("KRB5CCNAME", format!("FILE:{}", self.path("nobody").display()))
            .env("LC_ALL", "C");
        command
    }

    /// The machine of this number.
    pub(crate) fn machine(&self, number: u32) -> Machine<'_> {
        let (name, cache) = (format!("WS-{number:05}$"), self.path(&format!("tickets-{number}")));
        let machine = Machine { domain: self, principal: format!("{name}@{REALM}"), cache };
        let keytab = self.path("machines.keytab");
        let output = machine.command("kinit").arg("-k").arg("-t").arg(keytab).arg(&name).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        machine
    }
}

impl Member for Machine<'_> {
    fn principal(&self) -> &str {
        &self.principal
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.domain.command(program);
        command.env("KRB5CCNAME", format!("FILE:{}", self.cache.display()));
        command
    }
}

/// A domain on disk, with its accounts and their keytabs.
fn provision(folder: &TempDir) {
    let at = folder.path().display();
    fs::write(folder.path().join("empty.conf"), "").unwrap();
    fs::create_dir(folder.path().join("run")).unwrap();
    let krb5 = format!(
        "[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_canonicalize_hostname = false\n \
         rdns = false\n allow_rc4 = true\n[realms]\n {REALM} = {{\n  kdc = 127.0.0.10\n }}\n\
         [domain_realm]\n .corp.forebay.test = {REALM}\n"
    );
    fs::write(folder.path().join("krb5.conf"), krb5).unwrap();
    let mut tool = Command::new("samba-tool");
    tool.args(["domain", "provision", "-s", &format!("{at}/empty.conf"), &format!("--targetdir={at}")]);
    tool.args([&format!("--realm={REALM}"), "--domain=CORP", "--server-role=dc"]);
    tool.args(["--dns-backend=SAMBA_INTERNAL", "--adminpass=Adm1n-Passw0rd", "--host-name=dc1"]);
    tool.arg("--host-ip=127.0.0.10");
    for option in [
        "interfaces=127.0.0.10/8",
        "bind interfaces only=yes",
        "tls enabled=no",
        "server services=ldap kdc dns cldap rpc",
        &format!("pid directory={at}/run"),
        &format!("ncalrpc dir={at}/run/ncalrpc"),
        &format!("lock directory={at}/run"),
        &format!("winbindd socket directory={at}/run/winbindd"),
        &format!("ntp signd socket directory={at}/run/ntp"),
        &format!("log file={at}/log.%m"),
    ] {
        tool.arg(format!("--option={option}"));
    }
    run(folder, tool);
    let mut accounts = Command::new("/usr/bin/python3");
    accounts.args([concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/domain.py"), &at.to_string()]);
    run(folder, accounts);
}

#[track_caller]
fn run(folder: &TempDir, command: Command) {
    let mut command = quiet(command, folder.path());
    // Nothing of it is to outlive the test.
    let status = command.env("TDB_NO_FSYNC", "1").status().unwrap();
    assert!(status.success(), "{}", told(folder.path()));
}
